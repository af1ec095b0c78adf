"""Collections: several images that belong together, such as a plate, the series of a file, or a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from voxarium.model.image import Bag
from voxarium.model.keys import resolved_key
from voxarium.model.protocols import ReadableStore

__all__ = [
    "CollectionDriver",
    "CollectionInfo",
    "CollectionKind",
    "Member",
    "MemberKind",
    "WritableCollectionDriver",
    "member_key",
]

MemberKind = Literal["image", "label", "collection"]
CollectionKind = Literal["plate", "well", "series", "collection", "folder"]


@dataclass(frozen=True, slots=True)
class Member:
    """One thing in a collection, known by name; it is opened when somebody asks for it.

    Parameters
    ----------
    path : str
        Seen from the collection, in the same store: ``A/1/0``, ``labels/cells``; or what follows the address of a
        file: ``::/0``.
    name : str
        For people; empty when it has none but its path.
    kind : str
        image, label, or collection (which has members of its own, such as a well).
    facts : mapping
        What the collection says about it: row, column, field, acquisition, series …
    """

    path: str
    name: str = ""
    kind: MemberKind = "image"
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionInfo:
    """What a document says about a collection, without opening any member.

    Parameters
    ----------
    format : str
        Name of the driver. Members are opened by the image driver of the same name first, if there is one.
    kind : str
        plate, well, series, collection or folder.
    members : sequence of Member
        In the order of the document; may be made as it is asked for.
    facts : mapping
        What the collection says about itself: rows, columns, acquisitions …
    carried : callable or None
        What the collection knows about a member beyond `Member.facts`, as keys that an image carries (`Bag.extra`).
        They join those of the member, which count where it has a key itself.
    notes : tuple of str
        What users should know: members left out, guesses made.
    own_folders : tuple of str
        Folders right below it that belong to the collection itself, and hold no members: nobody looks for images there.
    """

    format: str
    kind: CollectionKind
    members: Sequence[Member]
    name: str = ""
    spec_version: str | None = None
    bag: Bag = field(default_factory=Bag)
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    carried: Callable[[Member], Mapping[str, Any]] | None = None  # Any: JSON
    notes: tuple[str, ...] = ()
    own_folders: tuple[str, ...] = ()


def member_key(folder: str, path: str) -> str:
    """Return the path in the store of a member of the collection at `folder`.

    Raises
    ------
    InputError
        If it leads out of the store.

    Examples
    --------
    >>> member_key("plate.zarr", "A/1/0"), member_key("scan.lif", "::/0"), member_key("sets/a", "../b")
    ('plate.zarr/A/1/0', 'scan.lif::/0', 'sets/b')
    """
    outside, mark, inside = path.partition("::")
    return f"{resolved_key(folder, outside) if outside else folder}{mark}{inside}"


@runtime_checkable
class CollectionDriver(Protocol):
    """Knows documents that list images. Entry points: ``voxarium.collection_drivers``.

    A driver may have ``suffixes``: it is then asked about files with such names only; and ``precedence``.
    """

    name: ClassVar[str]
    spec_url: ClassVar[str]
    capabilities: ClassVar[frozenset[str]]

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """Parse the collection at `path`; NotFoundError when there is none of this kind."""


@runtime_checkable
class WritableCollectionDriver(CollectionDriver, Protocol):
    """Documents around images of the convention of the same name. Pure: it makes documents, the engine stores them."""

    kinds: ClassVar[frozenset[str]]  # of collections that have documents; others are folders of images

    def dump(self, info: CollectionInfo, spec_version: str, /) -> dict[str, bytes]:
        """Return the documents by key below the collection, the one that makes it a collection last.

        `info` lists images that are there: those of a plate as ``row/column/image``, in the order of its wells.

        Raises
        ------
        InputError
            If a rule of the specification would be broken.
        """
