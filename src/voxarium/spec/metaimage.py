"""Headers of MetaImage files (``.mha``, ``.mhd``), as ITK, elastix and 3D Slicer write them.

Spec: https://itk.org/Wiki/ITK/MetaIO/Documentation. The first axis of a header runs fastest: it is the last one here.
The world is ITK's: x leads to the left, y to the back, z up; lengths are in millimeters unless stated otherwise. Every
row of ``TransformMatrix`` is the direction of one axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, UnsupportedError
from voxarium.model.axes import SPACE_UNITS, Axis, canonical_unit
from voxarium.model.directions import ORIENTATIONS, named_after_world, placed, simplest
from voxarium.model.header_text import checked_lengths, floats, integer, integers, refuse, sequence_names
from voxarium.model.transforms import Transform

__all__ = ["MetaHeader", "looks_like", "parse_header"]

_MOST_AXES: Final = 10
_MOST_CHANNELS: Final = 1 << 20
_TYPES: Final = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_TRUE: Final = ("true", "t", "1", "yes")
_ITK: Final = "LPS"
_OPPOSITE: Final = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaHeader:
    """What a header says.

    Parameters
    ----------
    shape : tuple of int
        In C order; channels are a last axis.
    files : tuple of str
        Where the voxels are, seen from the folder of the header; empty: behind the header, at byte `stop`.
    slab_axes : int
        How many axes each of several files holds.
    byte_offset : int
        Bytes before the voxels in each file; -1: they are the last bytes.
    compressed, text : bool
        Whether they are a zlib stream; whether they are written as text.
    metadata : mapping
        All fields.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    files: tuple[str, ...]
    slab_axes: int
    stop: int
    byte_offset: int
    compressed: bool
    text: bool
    axes: tuple[Axis, ...]
    transform: Transform | None
    metadata: Mapping[str, Any]  # Any: JSON
    remarks: tuple[str, ...] = ()


def looks_like(head: bytes) -> bool:
    """Tell whether a file begins as MetaImage files do."""
    lines = head[:4096].split(b"\n")
    known = (b"ObjectType", b"NDims", b"Comment", b"ObjectSubType", b"TransformType", b"Name", b"ID", b"BinaryData")
    return b"=" in lines[0] and lines[0].split(b"=")[0].strip() in known


def parse_header(head: bytes, where: str) -> MetaHeader:
    """Parse the lines of a header, up to ``ElementDataFile``, and the list of files behind it.

    Raises
    ------
    FormatError
        If it breaks the specification, or claims an impossible size.
    UnsupportedError
        If it is no image, or voxels have a type that is not read.
    """
    fields, listed, stop = _lines(head, where)
    if fields.get("ObjectType", "Image") != "Image":
        raise UnsupportedError(
            f"{where} holds a {fields['ObjectType'][:40]}, not an image",
            code=Code.FEATURE_UNSUPPORTED,
            fix="open a file with ObjectType = Image",
        )
    missing = [n for n in ("NDims", "DimSize", "ElementType", "ElementDataFile") if n not in fields]
    if missing:
        refuse(f"{where} does not state {', '.join(missing)}")
    ndim = integer(fields["NDims"], f"{where}: NDims")
    channels = integer(fields.get("ElementNumberOfChannels", "1"), f"{where}: ElementNumberOfChannels")
    if not 1 <= ndim <= _MOST_AXES or not 1 <= channels <= _MOST_CHANNELS:
        refuse(f"{where} claims {ndim} axes and {channels} channels")
    dtype = _dtype(fields, where)
    sizes = integers(fields["DimSize"], ndim, f"{where}: DimSize")
    shape = checked_lengths((*sizes[::-1], *((channels,) if channels > 1 else ())), dtype.itemsize, where)
    files, slab_axes = _files(fields, listed, ndim, where)
    skip = integer(fields.get("HeaderSize", "0"), f"{where}: HeaderSize")
    if skip < -1 or (skip < 0 and _flag(fields, "CompressedData")):
        refuse(f"{where} skips {skip} bytes")
    remarks: list[str] = []
    axes, transform = _placed(fields, ndim, channels > 1, where, remarks)
    return MetaHeader(
        shape=shape,
        dtype=dtype,
        files=files,
        slab_axes=slab_axes + (channels > 1),
        stop=stop,
        byte_offset=skip,
        compressed=_flag(fields, "CompressedData"),
        text="BinaryData" in fields and not _flag(fields, "BinaryData"),
        axes=axes,
        transform=transform,
        metadata=fields,
        remarks=tuple(remarks),
    )


def _lines(head: bytes, where: str) -> tuple[dict[str, str], list[str], int]:
    """Return the fields, the names of files that follow ``LIST``, and the byte behind the header."""
    fields: dict[str, str] = {}
    at = 0
    while "ElementDataFile" not in fields:
        end = head.find(b"\n", at)
        line = head[at : end if end >= 0 else len(head)].decode("utf-8", "replace")
        name, equals, value = line.partition("=")
        if not equals:
            if line.strip() or end < 0:
                refuse(f"{where} has the line {line[:60]!r} instead of a field, or no ElementDataFile")
        else:
            fields[name.strip()] = value.strip()
        at = end + 1 if end >= 0 else len(head)
    listed = []
    if fields["ElementDataFile"].upper().startswith("LIST"):
        text = head[at:].decode("utf-8", "replace")
        listed = [n.strip() for n in text.splitlines() if n.strip()]
    return fields, listed, at


def _flag(fields: Mapping[str, str], *names: str) -> bool:
    return any(fields.get(n, "").lower() in _TRUE for n in names)


def _dtype(fields: Mapping[str, str], where: str) -> np.dtype[Any]:
    code = _TYPES.get(fields["ElementType"].removesuffix("_ARRAY"))
    if code is None:
        raise UnsupportedError(
            f"{where} holds voxels of type {fields['ElementType'][:40]!r}",
            code=Code.DTYPE_UNSUPPORTED,
            fix="save it again with plain numbers",
        )
    big = _flag(fields, "BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    return np.dtype(code).newbyteorder(">" if big else "<")


def _files(fields: Mapping[str, str], listed: list[str], ndim: int, where: str) -> tuple[tuple[str, ...], int]:
    text = fields["ElementDataFile"]
    words = text.split()
    if not words:
        refuse(f"{where} names no file")
    if text.upper() in ("LOCAL", "LOCAL ZLIB"):
        return (), ndim
    if words[0].upper() == "LIST":
        held = integer(words[1].rstrip("dD"), f"{where}: ElementDataFile") if len(words) > 1 else ndim - 1
        if not listed:
            refuse(f"{where} lists no files")
    elif "%" in words[0] and len(words) in (3, 4):
        numbers = [integer(w, f"{where}: ElementDataFile") for w in words[1:]]
        listed = list(sequence_names(words[0], numbers[0], numbers[1], [*numbers, 1][2], where))
        held = ndim - 1
    else:
        return (text,), ndim
    if not max(1, ndim - 1) <= held <= ndim:
        raise UnsupportedError(
            f"{where} has {ndim} axes, but each of its files holds {held}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save it as one file",
        )
    return tuple(listed), held


def _placed(
    fields: Mapping[str, str], ndim: int, channels: bool, where: str, remarks: list[str]
) -> tuple[tuple[Axis, ...], Transform | None]:
    """Return axes and transform in C order."""

    def numbers(names: tuple[str, ...], count: int) -> tuple[float, ...] | None:
        name = next((n for n in names if n in fields), None)
        found = None if name is None else floats(fields[name], count, f"{where}: {name}")
        return found if found is None or np.isfinite(found).all() else None

    spacing = numbers(("ElementSpacing",), ndim) or numbers(("ElementSize",), ndim)
    origin = numbers(("Offset", "Position", "Origin"), ndim) or (0.0,) * ndim
    turned = numbers(("TransformMatrix", "Rotation", "Orientation"), ndim * ndim)
    rows = np.eye(ndim) if turned is None else np.array(turned).reshape(ndim, ndim)
    count = min(ndim, 3)
    world = list(named_after_world(rows[:count, :count])) + list(range(count, ndim))
    unit, letters = _unit(fields, remarks), _letters(fields, rows, remarks)
    axes = [
        Axis(name="xyz"[w], type="space", unit=unit, orientation=ORIENTATIONS[letters[w]] if letters else None)
        if w < 3
        else Axis(name="t" if w == 3 else f"dim_{w}", type="time" if w == 3 else "other")
        for w in world
    ][::-1]
    if channels:
        axes.append(Axis(name="c", type="channel"))
    if spacing is None and turned is None and not any(origin):
        remarks.append("the header does not tell the size of a voxel")
        return tuple(axes), None
    steps = rows * np.array(spacing or (1.0,) * ndim)[:, None]
    order = np.array(world)
    back = slice(None, None, -1)
    matrix = placed(ndim + channels, range(ndim), steps[:, order][back, back], np.array(origin)[order][back])
    transform = simplest(matrix)
    if transform is None:
        remarks.append("the directions have no volume, so that voxels have no place")
    return tuple(axes), transform


def _unit(fields: Mapping[str, str], remarks: list[str]) -> str:
    text = fields.get("DistanceUnits", "mm")
    unit = canonical_unit(text)
    if unit not in SPACE_UNITS:
        if text not in ("?", ""):
            remarks.append(f"the unit {text[:40]!r} is not known; millimeters are taken")
        return "millimeter"
    return unit


def _letters(fields: Mapping[str, str], rows: Any, remarks: list[str]) -> str:  # Any: an array
    """Return where the world's axes lead, as letters, for anatomical images."""
    text = fields.get("AnatomicalOrientation", "").upper()
    if len(text) != 3 or sorted({"R": "L", "A": "P", "S": "I"}.get(c, c) for c in text) != ["I", "L", "P"]:
        return ""
    world = named_after_world(rows[:3, :3]) if len(rows) >= 3 else ()
    leads = "".join(
        _ITK[w] if not math.copysign(1, rows[i, w]) < 0 else _OPPOSITE[_ITK[w]] for i, w in enumerate(world)
    )
    # The letters name where axes come from: RAI, from the right, runs to the left.
    if leads and "".join(_OPPOSITE[c] for c in text) != leads:
        remarks.append(f"AnatomicalOrientation is {text}, which its directions are not; the directions are used")
    return _ITK if leads else ""
