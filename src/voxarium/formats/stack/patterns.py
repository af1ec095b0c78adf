"""Planes in files whose names say where each belongs: one image, a plate, or a series of images.

An address such as ``scan/{well}_{field}_{c}_{z}.tif`` opens as what its placeholders say, see
`voxarium.spec.file_patterns`; an image of a plate is ``scan/{well}_{field}_{c}_{z}.tif::/B/03/1``. Every image has
the positions that were found anywhere, so that the images of a plate agree; planes without a file read as 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError, NotFoundError
from voxarium.formats.stack.slices import agreeing_header, plane_chunk, read_header, read_slice
from voxarium.model.axes import Axis, guess_axis_type
from voxarium.model.box import Box
from voxarium.model.collection import CollectionInfo, Member
from voxarium.model.image import ArrayInfo
from voxarium.model.image_header import ImageHeader
from voxarium.model.keys import natural_key
from voxarium.model.protocols import FileStore, ListableStore, ReadableStore
from voxarium.model.sources import declined, place
from voxarium.spec.file_patterns import Arrangement, Group, Pattern, arrange, parse_pattern
from voxarium.spec.slice_names import IMAGE_SUFFIXES, kind_of, missing_numbers

__all__ = ["FilePatternCollectionDriver", "FilePatternDriver"]

_FORMAT: Final = "file-patterns"
_MOST_FILES: Final = 1_000_000
_MOST_FOLDERS: Final = 100_000


@dataclass(frozen=True, slots=True)
class _Planes:
    """The files of an image, and what each must look like."""

    keys: Mapping[tuple[int, ...], str]
    header: ImageHeader


class FilePatternDriver:
    """Reads images whose planes are files named by a pattern."""

    name: ClassVar[str] = _FORMAT
    spec_url: ClassVar[str] = "https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = IMAGE_SUFFIXES
    precedence: ClassVar[int] = -20  # braces in an address mean nothing else, a * beside them does

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Open the only image of a pattern, or the one that is named behind ``::``.

        Raises
        ------
        NotFoundError
            If this is no pattern, no file fits, or there are several images and none is named.
        InputError
            If the pattern is unclear, or files differ in size or type.
        FormatError
            If a file is cut off or corrupt.
        """
        text, _, inner = path.partition("::")
        found = _arranged(store, text)
        inner = inner.strip("/")
        if found is None or (not inner and found.pattern.kind != "image"):
            raise declined(self.name, store, path)
        group = found.groups.get(inner)
        if group is None:
            raise NotFoundError(
                f"the pattern {text} has no image {inner}",
                code=Code.PATH_MISSING,
                fix=f"name one that it has, such as {next(iter(found.groups)) or 'none at all'}",
            )
        planes = _Planes(group.planes, _common_header(store, group))
        lead = tuple(map(len, found.positions))
        return ArrayInfo(
            format=self.name,
            shape=(*lead, *planes.header.shape),
            dtype=planes.header.dtype.newbyteorder("="),
            chunk_shape=((1,) * len(lead)) + plane_chunk(planes.header),
            codecs=(planes.header.kind,),
            axes=_axes(found, planes.header, place(store, text)),
            attributes={"source_files": {"pattern": text, "count": len(group.planes), **group.texts}},
            remarks=_remarks(found, group),
            details=planes,
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return a part of one plane; None when there is no file of it."""
        planes = cast(_Planes, info.details)
        lead = info.ndim - len(planes.header.shape)
        if box.shape[:lead] == (1,) * lead and box.origin[:lead] not in planes.keys:
            return None
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`. Every plane the box touches is decoded once."""
        planes = cast(_Planes, info.details)
        lead = info.ndim - len(planes.header.shape)
        plane = Box(box.origin[lead:], box.shape[lead:])
        for index in itertools.product(*(range(n) for n in box.shape[:lead])):
            target: Any = (*index, ...)  # Any: an index expression
            key = planes.keys.get(tuple(o + i for o, i in zip(box.origin, index, strict=False)))
            if key is None:
                out[target] = info.fill_value
            else:
                read_slice(store, key, planes.header, plane, out[target])


class FilePatternCollectionDriver:
    """Lists the images of patterns with wells or fields."""

    name: ClassVar[str] = _FORMAT
    spec_url: ClassVar[str] = FilePatternDriver.spec_url
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = IMAGE_SUFFIXES
    precedence: ClassVar[int] = -20

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """List the images of a pattern; no file is opened.

        Raises
        ------
        NotFoundError
            If this is no pattern, it means one image, or no file fits.
        InputError
            If the pattern is unclear, or two files are the same plane.
        """
        found = None if "::" in path else _arranged(store, path)
        if found is None or found.pattern.kind == "image":
            raise declined(self.name, store, path)
        groups = found.groups.values()
        facts: dict[str, Any] = {"axes": list(found.pattern.axes)}
        if found.pattern.kind == "plate":
            facts["rows"] = list(dict.fromkeys(g.row for g in groups))
            facts["columns"] = sorted({g.column for g in groups}, key=natural_key)
        return CollectionInfo(
            format=self.name,
            kind="plate" if found.pattern.kind == "plate" else "series",
            members=tuple(_member(group, i) for i, group in enumerate(groups)),
            facts=facts,
            notes=_unmatched(found),
        )


def _member(group: Group, number: int) -> Member:
    facts: dict[str, Any] = dict(group.texts)
    if group.row:
        facts |= {"row": group.row, "column": group.column, "field": int(group.field or 0)}
    else:
        facts |= {"series": number, "field": int(group.field)}
    return Member(path=f"::/{group.path}", name=f"{group.row}{group.column} {group.field}".strip(), facts=facts)


# -- finding files
def _arranged(store: ReadableStore, text: str) -> Arrangement | None:
    """Return the files of a pattern; None when `text` is none, or names what is there as it stands."""
    if "{" not in text or kind_of(text) is None or not isinstance(store, ListableStore):
        return None
    if store.stat(text) is not None:
        return None
    pattern = parse_pattern(text)
    keys = _files(store, pattern)
    found = arrange(text, keys)
    if not found.groups:
        such = f"; there is {found.unmatched[0]}" if found.unmatched else ""
        raise NotFoundError(
            f"no file fits {place(store, text)}{such}",
            code=Code.PATH_MISSING,
            fix="rows are letters, columns, fields, t and z digits; channels letters, digits and -; case matters",
        )
    return found


def _files(store: ListableStore, pattern: Pattern) -> tuple[str, ...]:
    """Return the images in folders that fit; names of files are compared later."""
    *folders, last = pattern.parts()
    prefixes = [""]
    for part in folders:
        if part.literal:
            prefixes = [f"{p}{part.text}/" for p in prefixes]
            continue
        names = ((p, n) for p in prefixes for n in store.list_dir(p.rstrip("/"))[1])
        prefixes = [f"{p}{n}/" for p, n in names if part.match(n) is not None]
        _bounded(len(prefixes), _MOST_FOLDERS, "folders", pattern)
    keys: list[str] = []
    wanted = kind_of(last.text)
    for prefix in prefixes:
        keys += [f"{prefix}{n}" for n in store.list_dir(prefix.rstrip("/"))[0] if kind_of(n) == wanted]
        _bounded(len(keys), _MOST_FILES, "files", pattern)
    return tuple(keys)


def _bounded(count: int, most: int, what: str, pattern: Pattern) -> None:
    if count > most:
        raise InputError(
            f"the pattern {pattern.text!r} leads to more than {most:,} {what}",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="write more of the names out, so that it covers a part of them",
        )


# -- what the files are
def _common_header(store: ReadableStore, group: Group) -> ImageHeader:
    """Return what all planes look like. Far away, only the first and last are compared."""
    keys = [group.planes[p] for p in sorted(group.planes)]
    header = read_header(store, keys[0])
    local = isinstance(store, FileStore) and store.local_path(keys[0]) is not None
    for key in keys if local else (keys[0], keys[-1]):
        agreeing_header(store, key, header)
    return header


def _axes(found: Arrangement, header: ImageHeader, where: str) -> tuple[Axis, ...]:
    named = zip(found.pattern.axes, found.positions, strict=True)
    lead = (Axis(name=a, type=guess_axis_type(a), labels=names if a == "c" else ()) for a, names in named)
    axes = (*lead, *(Axis(name=n, type="space") for n in "yx"))
    if header.samples == 1:
        return axes
    if "c" in found.pattern.axes:
        raise InputError(
            f"the files of {where} have colours, and the pattern has channels",
            code=Code.AXES_MISMATCH,
            fix="use another placeholder than {c}, or save planes of one channel",
        )
    return (*axes, Axis(name="c", type="channel"))


def _remarks(found: Arrangement, group: Group) -> tuple[str, ...]:
    out = []
    total = math.prod(map(len, found.positions))
    missing = total - len(group.planes)
    if missing:
        spots = itertools.product(*(range(len(p)) for p in found.positions))
        first = next(s for s in spots if s not in group.planes)
        named = zip(found.pattern.axes, found.positions, first, strict=True)
        where = ", ".join(f"{a}={names[i]}" for a, names, i in named)
        out.append(f"{missing:,} of {total:,} planes have no file ({where} …): they read as 0")
    for axis, names in zip(found.pattern.axes, found.positions, strict=True):
        gaps = missing_numbers(names) if axis != "c" else []
        if gaps:
            out.append(f"{axis} leaves out {_some(list(map(str, gaps)))}: planes are stacked without gaps")
    return (*out, *_unmatched(found))


def _unmatched(found: Arrangement) -> tuple[str, ...]:
    count = found.unmatched_count
    if not count:
        return ()
    return (f"{count:,} files beside them do not fit the pattern, such as {found.unmatched[0]}",)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
