"""What lies around a group, as far as checks of hierarchies ask for it, from the bytes of its documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from voxarium.errors import FormatError, InputError
from voxarium.model.keys import checked_key
from voxarium.spec.ome.dialects import is_foreign
from voxarium.spec.ome.document import parse_json
from voxarium.spec.ome.rules.arrays import ArrayFacts
from voxarium.spec.ome.rules.storage import KEYS

__all__ = ["Around", "GroupFacts", "ImageFacts", "Told", "array_facts", "group_facts", "safe_path"]

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})
_MAX_RANK: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """A group, as its documents say.

    Parameters
    ----------
    name : str
        Of the document with the attributes: ``zarr.json`` or ``.zattrs``.
    document : mapping
        All of that document; empty when it is not there, or broken.
    error : FormatError or None
        Why it could not be read.
    marked : bool
        Whether it is a group beyond doubt: always in Zarr 3, with a ``.zgroup`` in Zarr 2.
    """

    name: str
    document: Mapping[str, Any] = field(default_factory=dict)
    error: FormatError | None = None
    marked: bool = True

    @property
    def zarr_format(self) -> int:
        """Which Zarr it is of."""
        return 3 if self.name == "zarr.json" else 2

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Its attributes."""
        found = self.document.get("attributes") if self.zarr_format == 3 else self.document
        return found if isinstance(found, Mapping) else _EMPTY

    @property
    def pointer(self) -> str:
        """JSON pointer to its attributes."""
        return "/attributes" if self.zarr_format == 3 else ""

    @property
    def ome(self) -> Mapping[str, Any]:
        """Where its OME keys are."""
        found = self.attributes.get("ome")
        return found if isinstance(found, Mapping) else self.attributes

    @property
    def is_image(self) -> bool:
        """Whether it has a list of multiscales; a broken document is given the benefit of the doubt."""
        return self.error is not None or isinstance(self.ome.get("multiscales"), list)

    @property
    def has_metadata(self) -> bool:
        """Whether it is of OME-Zarr: it has an ``ome``, or a key of the older versions with what they put there."""
        found = self.attributes
        if isinstance(found.get("ome"), Mapping):
            return True
        return any(k in found and isinstance(found[k], _TYPES.get(k, dict)) for k in KEYS) and not is_foreign(found)


_TYPES: Final[Mapping[str, Any]] = MappingProxyType(
    {"multiscales": list, "labels": list, "series": list, "bioformats2raw.layout": object}
)


def group_facts(
    documents: Callable[[str], bytes | None], path: str, prefer: int = 3, *, mixed: bool = True
) -> GroupFacts | None:
    """Return the group at a path; None when there is none.

    `prefer` is the Zarr format to look for first, and the only one unless `mixed`: every question may be a request.
    """
    readers = (_v3_group, _v2_group) if prefer == 3 else (_v2_group, _v3_group)
    for read in readers if mixed else readers[:1]:
        found = read(documents, f"{path}/" if path else "")
        if found is not None:
            return found
    return None


def _v3_group(documents: Callable[[str], bytes | None], prefix: str) -> GroupFacts | None:
    raw = documents(f"{prefix}zarr.json")
    if raw is None:
        return None
    try:
        found = parse_json(raw, "the document")
    except FormatError as error:
        return GroupFacts(name="zarr.json", error=error)
    if found.get("node_type") == "array":
        return None
    return GroupFacts(name="zarr.json", document=found)


def _v2_group(documents: Callable[[str], bytes | None], prefix: str) -> GroupFacts | None:
    raw = documents(f"{prefix}.zattrs")
    marker = documents(f"{prefix}.zgroup")
    if raw is None and marker is None:
        return None
    try:
        found = {} if raw is None else parse_json(raw, "the document")
    except FormatError as error:
        return GroupFacts(name=".zattrs", error=error)
    facts = GroupFacts(name=".zattrs", document=found, marked=marker is not None)
    return facts if facts.marked or facts.has_metadata else None  # else the attributes of an array


def array_facts(documents: Callable[[str], bytes | None], path: str, prefer: int = 3) -> ArrayFacts | None:
    """Return the array at a path; None when there is none that can be understood."""
    names = ("zarr.json", ".zarray") if prefer == 3 else (".zarray", "zarr.json")
    for name in names:
        raw = documents(f"{path}/{name}" if path else name)
        if raw is None:
            continue
        try:
            found = parse_json(raw, "the document")
        except FormatError:
            return None
        facts = _v3_array(found) if name == "zarr.json" else _v2_array(found)
        if facts is not None:
            return facts
    return None


def _shape(found: Any) -> tuple[int, ...] | None:
    whole = isinstance(found, list) and len(found) <= _MAX_RANK
    return tuple(found) if whole and all(type(n) is int and n >= 0 for n in found) else None


def _dtype(found: Any) -> np.dtype[np.generic]:
    """Return a data type of either Zarr; that of bytes where it is none of numbers."""
    try:
        return np.dtype(found if isinstance(found, str) and len(found) < 16 else "V1")
    except TypeError:
        return np.dtype("V1")


def _v3_array(found: Mapping[str, Any]) -> ArrayFacts | None:
    shape = _shape(found.get("shape"))
    if found.get("node_type") == "group" or shape is None:
        return None
    names = found.get("dimension_names")
    listed = names if isinstance(names, list) and len(names) == len(shape) else None
    return ArrayFacts(
        shape=shape,
        dtype=_dtype(found.get("data_type")),
        zarr_format=3,
        dimension_names=None if listed is None else tuple(n if isinstance(n, str) else None for n in listed),
    )


def _v2_array(found: Mapping[str, Any]) -> ArrayFacts | None:
    shape = _shape(found.get("shape"))
    if shape is None:
        return None
    separator = found.get("dimension_separator", ".")
    return ArrayFacts(
        shape=shape,
        dtype=_dtype(found.get("dtype")),
        zarr_format=2,
        separator=separator if isinstance(separator, str) else ".",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """Looks at what lies below a group; all paths are below it.

    Parameters
    ----------
    path : str
        Of the group in the store.
    document : callable
        Returns the bytes of an object.
    names : callable
        Lists a folder: names of objects, names of folders; None when that is not possible.
    prefer : int
        The Zarr format to look for first.
    mixed : bool
        Whether to look for groups of the other one too.
    """

    path: str
    document: Callable[[str], bytes | None]
    names: Callable[[str], tuple[Sequence[str], Sequence[str]] | None]
    prefer: int = 3
    mixed: bool = True

    def group(self, path: str) -> GroupFacts | None:
        """Return the group at a path; None where there is none, and where the path is none."""
        safe = safe_path(path)
        return None if safe is None else group_facts(self.document, safe, self.prefer, mixed=self.mixed)

    def array(self, path: str) -> ArrayFacts | None:
        """Return the array at a path; None where there is none, and where the path is none."""
        safe = safe_path(path)
        return None if not safe else array_facts(self.document, safe, self.prefer)

    def folders(self, path: str) -> tuple[str, ...]:
        """Return the names of folders that can be groups; none where that is not known."""
        found = self.names(path)
        names = () if found is None else found[1]
        return tuple(n for n in names if not n.startswith((".", "__")) and safe_path(n))

    def key(self, name: str) -> str:
        """Return the key in the store of an object below the group."""
        return f"{self.path}/{name}" if self.path else name


def safe_path(path: str) -> str | None:
    """Return a path below a group as stores want it; None when it leads elsewhere.

    Examples
    --------
    >>> safe_path("./s0/"), safe_path(""), safe_path("../s0")
    ('s0', '', None)
    """
    while path.startswith("./"):
        path = path[2:]
    path = path.rstrip("/")
    try:
        return checked_key(path) if path not in ("", ".") else ""
    except InputError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What a label image is compared with."""

    path: str
    axes: tuple[str | None, ...]
    shapes: tuple[tuple[int, ...] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the check of a group says about one below it.

    Parameters
    ----------
    group : str
        What it is meant to be, a key of `GROUPS`.
    version : str
        Whose rules the group above follows.
    top : Around
        The outermost group of the hierarchy.
    image : ImageFacts or None
        The image around labels.
    acquisitions : tuple of int or None
        Those of the plate around a well.
    """

    group: str
    version: str
    top: Around
    image: ImageFacts | None = None
    acquisitions: tuple[int, ...] | None = None
