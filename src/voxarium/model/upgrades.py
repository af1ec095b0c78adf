"""What it takes to bring a tree of stored metadata to a later version without touching its chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

__all__ = ["NodeUpgrade", "ReadBelow", "UpgradeDriver"]

ReadBelow = Callable[[str], Mapping[str, bytes]]
"""Gives the documents of a node, by name, from its path below the one that is upgraded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUpgrade:
    """What becomes of the documents of one node.

    Parameters
    ----------
    written : mapping of str to bytes
        Documents to be stored, by name. What is stored already in the same bytes may be among them.
    replaced : tuple of str
        Names of documents that the written ones stand for; removed unless both are to be kept.
    notes : tuple of str
        What was guessed, or what not every reader will understand.
    below : mapping
        What nodes below must be told, by their path below this one.
    """

    written: Mapping[str, bytes] = field(default_factory=dict)
    replaced: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    below: Mapping[str, Any] = field(default_factory=dict)  # Any: between a driver and itself


@runtime_checkable
class UpgradeDriver(Protocol):
    """Knows a family of versions. Pure: it gets documents and makes documents; the engine reads and stores.

    A driver is offered by the entry point ``voxarium.upgrades``.
    """

    name: ClassVar[str]
    spec_url: ClassVar[str]
    targets: ClassVar[tuple[str, ...]]
    """Versions that can be reached; the first is the default."""
    first: ClassVar[tuple[str, ...]]
    """Names of the documents that tell whether a folder is an array."""
    documents: ClassVar[tuple[str, ...]]
    """Names of all documents of a node."""

    def kind(self, found: Mapping[str, bytes], /) -> Literal["array", "group"] | None:
        """Tell what a folder with these documents is; None when it is no node."""

    def upgrade(
        self,
        path: str,
        found: Mapping[str, bytes],
        target: str,
        told: Any,  # Any: what the node above said in `NodeUpgrade.below`; None if nothing
        read_below: ReadBelow,
        /,
    ) -> NodeUpgrade:
        """Return what becomes of a node.

        Raises
        ------
        FormatError, UnsupportedError
            If the node must stay as it is; the message says why. What is below it then stays too.
        """
