"""Checking what is stored: what a driver of checks gets, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import ReadableStore
from voxarium.model.rules import Depth, Finding, Rule

__all__ = ["Below", "CheckDriver", "CheckNode", "Checked", "NodeKind"]

NodeKind = Literal["image", "label", "array", "collection", "group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckNode:
    """A folder, or a file, that is checked.

    Parameters
    ----------
    path : str
        Its path in the store.
    depth : str
        How deep the whole check goes. At ``document`` only `document` may be called.
    document : callable
        Returns an object by its name below the node (``zarr.json``, ``labels/.zattrs``); None when it is not there.
        Nothing is asked of the store twice.
    array : callable
        Opens an array by its path below the node, whatever its container; None when there is none.
        Raises FormatError or UnsupportedError when it cannot be read.
    names : callable
        Lists a folder below the node: names of objects, names of folders; None when the store cannot be listed.
    told : object
        What the driver itself said about this node, in `Below.told`, when it checked the node above; else None.
    """

    path: str
    depth: Depth
    document: Callable[[str], bytes | None]
    array: Callable[[str], ArrayInfo | None]
    names: Callable[[str], tuple[Sequence[str], Sequence[str]] | None]
    told: Any = None  # Any: between a driver and itself

    def key(self, name: str) -> str:
        """Return the key in the store of an object by its name below the node."""
        return f"{self.path}/{name}" if self.path else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """A node that a document names: it is checked next, by the same driver alone.

    Parameters
    ----------
    path : str
        Its path below the node that names it, or in the store when it begins with ``/``.
    told : object
        What its check must know.
    """

    path: str
    told: Any = None  # Any: between a driver and itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check of one node found.

    Parameters
    ----------
    kind : str
        What the node is. Images, label images and arrays are opened and checked further; what is below groups is
        searched where the driver names nothing below.
    findings : tuple of Finding
        Keys are keys in the store.
    below : tuple of Below
        What its documents name.
    documents : tuple of str
        Names below the node of objects that belong to it, beside those that were asked for: not strays.
    """

    kind: NodeKind
    findings: tuple[Finding, ...] = ()
    below: tuple[Below, ...] = ()
    documents: tuple[str, ...] = ()


@runtime_checkable
class CheckDriver(Protocol):
    """Knows the rules of one format. A driver is offered by the entry point ``voxarium.checks``.

    It checks documents that the readers of the same format refuse, so it does not use them: rules and checks are pure
    functions of a module in ``spec``. What it names below a node is checked by itself, by drivers that look at the same
    documents, and by those whose names it gives in a class attribute ``also``.
    """

    name: ClassVar[str]
    spec_url: ClassVar[str]
    rules: ClassVar[Mapping[str, Rule]]
    """By id; links to the clauses are `spec_url` unless `links` says otherwise."""
    documents: ClassVar[tuple[str, ...]]
    """Names of objects one of which a node must have."""

    def check(self, node: CheckNode, /) -> Checked | None:
        """Check one node; None when it is none of this format.

        Errors of the store pass through; everything that is wrong with documents is a finding.
        """


@runtime_checkable
class ObjectCheckDriver(Protocol):
    """An array driver that can tell whether one stored object is put together as it should be.

    What is wrong with decoded voxels is checked elsewhere, and what `locate` and `decode` refuse is found by calling
    them: this is for faults that reading does not notice, such as a chunk kept in the wrong shard.
    """

    def check_object(
        self, store: ReadableStore, path: str, info: ArrayInfo, key: str, index: tuple[int, ...], /
    ) -> Sequence[tuple[str, str]]:
        """Return (what is wrong, what to do about it) for the object with this grid index."""
