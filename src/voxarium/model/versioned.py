"""Stores that keep versions of what is in them: how one is opened, and what there is to open.

Such a store lies in a folder of another store. Its driver is found by the entry point group
``voxarium.versioned_stores``; nothing else names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from voxarium.model.protocols import ReadableStore

__all__ = ["StoredVersion", "VersionedFolder", "VersionedStoreDriver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionedFolder:
    """A folder that a driver is to open.

    Parameters
    ----------
    store : ReadableStore
        The folder as it is.
    address : str
        A path of this machine, or a URI: for libraries that open it by themselves.
    allowed : sequence of str
        Prefixes of addresses outside the folder that it may lead to.
    options : mapping
        Of the store.
    """

    store: ReadableStore
    address: str
    allowed: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)  # Any: each kind of store has its own


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """One of the versions.

    Parameters
    ----------
    name : str
        What stands behind the ``@`` of its address.
    kind : str
        In the words of its driver.
    time : str
        UTC, as in RFC 3339; empty when it is not stated.
    message : str
        What its writer says of it.
    facts : mapping
        What else is known.
    """

    name: str
    kind: str
    time: str = ""
    message: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return it as an object of JSON."""
        return {
            "name": self.name, "kind": self.kind, "time": self.time, "message": self.message, "facts": dict(self.facts)
        }  # fmt: skip


@runtime_checkable
class VersionedStoreDriver(Protocol):
    """Knows one kind of store with versions."""

    name: ClassVar[str]  # also what stands behind the `|` of an address
    spec_url: ClassVar[str]
    markers: ClassVar[tuple[str, ...]]  # keys; a folder that has all of one group, joined by spaces, is of this kind
    suffixes: ClassVar[tuple[str, ...]]  # of folders that are likely of this kind

    def open(self, folder: VersionedFolder, version: str, /) -> ReadableStore:
        """Return a version, read-only; the newest when `version` is empty. NotFoundError when there is none."""

    def versions(self, folder: VersionedFolder, /) -> Iterator[StoredVersion]:
        """Yield what can be opened, the newest of each kind first."""
