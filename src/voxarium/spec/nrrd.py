"""Headers of NRRD files ("nearly raw raster data"), versions 1 to 5.

Spec: https://teem.sourceforge.net/nrrd/format.html. The first axis of a header runs fastest: it is the last one here.
Directions other than those of the axes make an affine transform; axes have the names of the world's axes they run
along. Where a space is anatomical, its letters say where the world's axes lead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, UnsupportedError
from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, canonical_unit
from voxarium.model.directions import ORIENTATIONS, named_after_world, placed, simplest
from voxarium.model.header_text import checked_lengths, floats, integer, integers, refuse, sequence_names
from voxarium.model.transforms import Transform

__all__ = ["MAGIC", "NrrdHeader", "header_stop", "parse_header"]

MAGIC: Final = b"NRRD000"
_MOST_AXES: Final = 16
_MOST_FIELDS: Final = 10_000
_TYPES: Final = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPE_OF: Final = {name: code for code, names in _TYPES.items() for name in names.split("|")}
_ENCODINGS: Final = {"raw": "raw", "gz": "gzip", "gzip": "gzip", "bz2": "bzip2", "bzip2": "bzip2", "hex": "hex"} | {
    name: "ascii" for name in ("txt", "text", "ascii")
}
_SPACES: Final = {
    "right-anterior-superior": "RAS", "ras": "RAS", "left-anterior-superior": "LAS", "las": "LAS",
    "left-posterior-superior": "LPS", "lps": "LPS", "rast": "RAS", "last": "LAS", "lpst": "LPS",
}  # fmt: skip
_SPATIAL: Final = ("domain", "space", "???", "none", "stub", "")
_VECTOR: Final = re.compile(r"none|\([^()]*\)")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ALIASES: Final = {
    "datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip", "axismins": "axis mins",
    "axismaxs": "axis maxs", "centerings": "centers", "sampleunits": "sample units", "blocksize": "block size",
    "oldmin": "old min", "oldmax": "old max", "spaceorigin": "space origin",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NrrdHeader:
    """What a header says.

    Parameters
    ----------
    shape : tuple of int
        In C order.
    encoding : str
        raw, gzip, bzip2, ascii, or hex.
    files : tuple of str
        Where the voxels are, seen from the folder of the header; empty: behind the header.
    slab_axes : int
        How many axes each of several files holds, all but the first or all.
    byte_skip, line_skip : int
        What stands before the voxels; `byte_skip` -1: they are the last bytes.
    metadata : mapping
        All fields and all keys.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    encoding: str
    files: tuple[str, ...]
    slab_axes: int
    byte_skip: int
    line_skip: int
    axes: tuple[Axis, ...]
    transform: Transform | None
    metadata: Mapping[str, Any]  # Any: JSON
    remarks: tuple[str, ...] = ()


def header_stop(head: bytes) -> int | None:
    r"""Return the byte behind the blank line that ends a header; None when it is not there.

    Examples
    --------
    >>> header_stop(b"NRRD0004\ntype: float\n\ndata")
    22
    """
    found = re.search(rb"\r?\n\r?\n", head)
    return None if found is None else found.end()


def parse_header(header: bytes, where: str) -> NrrdHeader:
    """Parse the lines of a header, up to its blank line or the end of its file.

    Raises
    ------
    FormatError
        If it breaks the specification, or claims an impossible size.
    UnsupportedError
        If voxels have a type or encoding that is not read.
    """
    fields, keys, listed = _lines(header, where)
    missing = [n for n in ("dimension", "type", "sizes", "encoding") if n not in fields]
    if missing:
        refuse(f"{where} does not state {', '.join(missing)}")
    ndim = integer(fields["dimension"], f"{where}: dimension")
    if not 1 <= ndim <= _MOST_AXES:
        refuse(f"{where} claims {ndim} axes")
    dtype = _dtype(fields, where)
    sizes = checked_lengths(integers(fields["sizes"], ndim, f"{where}: sizes"), dtype.itemsize, where)
    encoding = _ENCODINGS.get(fields["encoding"].lower())
    if encoding is None:
        raise UnsupportedError(
            f"{where} is encoded as {fields['encoding'][:40]!r}",
            code=Code.CODEC_UNKNOWN,
            fix="save it again as raw or gzip",
        )
    files, slab_axes = _files(fields, listed, ndim, where)
    byte_skip = integer(fields.get("byte skip", "0"), f"{where}: byte skip")
    line_skip = integer(fields.get("line skip", "0"), f"{where}: line skip")
    if byte_skip < -1 or not 0 <= line_skip <= 100_000 or (byte_skip < 0 and encoding != "raw"):
        refuse(f"{where} skips {byte_skip} bytes and {line_skip} lines")
    remarks: list[str] = []
    axes, transform = _Geometry(fields, sizes, where, remarks).described()
    return NrrdHeader(
        shape=sizes[::-1],
        dtype=dtype,
        encoding=encoding,
        files=files,
        slab_axes=slab_axes,
        byte_skip=byte_skip,
        line_skip=line_skip,
        axes=axes,
        transform=transform,
        metadata={"fields": fields} | ({"keys": keys} if keys else {}),
        remarks=tuple(remarks),
    )


def _lines(header: bytes, where: str) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return the fields, the free keys, and the names of files that follow ``LIST``."""
    if not header.startswith(MAGIC):
        refuse(f"{where} does not begin with {MAGIC.decode()}")
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    lines = header.decode("utf-8", "replace").splitlines()[1:]
    for number, line in enumerate(lines):
        if not line.strip() or len(fields) + len(keys) > _MOST_FIELDS:
            break
        key, equals, value = line.partition(":=")
        name, colon, text = line.partition(":")
        if line.startswith("#"):
            continue
        if equals and len(key) <= len(name):
            keys[key] = value.replace("\\n", "\n").replace("\\\\", "\\")
        elif colon:
            name = name.strip().lower()
            name = _ALIASES.get(name, name)
            if name in fields:
                refuse(f"{where} states {name!r} twice")
            fields[name] = text.strip()
            if name == "data file" and text.strip().upper().startswith("LIST"):
                return fields, keys, [n.strip() for n in lines[number + 1 :] if n.strip()]
        else:
            refuse(f"{where} has the line {line[:60]!r}, which is neither field nor key")
    return fields, keys, []


def _dtype(fields: Mapping[str, str], where: str) -> np.dtype[Any]:
    code = _TYPE_OF.get(" ".join(fields["type"].lower().split()))
    if code is None:
        raise UnsupportedError(
            f"{where} holds voxels of type {fields['type'][:40]!r}",
            code=Code.DTYPE_UNSUPPORTED,
            fix="save it again with plain numbers",
        )
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower())
    if order is None and code[1] != "1" and fields["encoding"].lower() not in ("ascii", "text", "txt"):
        refuse(f"{where} does not state whether its bytes are little or big endian")
    return np.dtype(code).newbyteorder("<" if order is None or order == "<" else ">")


def _files(fields: Mapping[str, str], listed: list[str], ndim: int, where: str) -> tuple[tuple[str, ...], int]:
    text = fields.get("data file", "")
    if not text:
        return (), ndim
    words = text.split()
    if words[0].upper() == "LIST":
        if not listed:
            refuse(f"{where} lists no files")
        return tuple(listed), _slab_axes(words[1:], ndim, where)
    if "%" in text and len(words) in (4, 5):
        first, last, step = (integer(w, f"{where}: data file") for w in words[1:4])
        return sequence_names(words[0], first, last, step, where), _slab_axes(words[4:], ndim, where)
    return (text,), ndim


def _slab_axes(words: list[str], ndim: int, where: str) -> int:
    found = integer(words[0], f"{where}: data file") if words else ndim - 1
    if not max(ndim - 1, 1) <= found <= ndim:
        raise UnsupportedError(
            f"{where} is {ndim}-dimensional, but each of its files holds {found} axes",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save it as one file",
        )
    return found


class _Geometry:
    """Axes and transform of a header. Everything in here is in the order of the header, fastest axis first."""

    def __init__(self, fields: Mapping[str, str], sizes: tuple[int, ...], where: str, remarks: list[str]) -> None:
        self._fields, self._where, self._remarks = fields, where, remarks
        self._ndim = len(sizes)
        kinds = fields.get("kinds", "").lower().split()
        self._kinds = [*kinds, *[""] * self._ndim][: self._ndim]
        self._spacings = self._per_axis("spacings")
        self._units = self._quoted("units", self._ndim)

    def described(self) -> tuple[tuple[Axis, ...], Transform | None]:
        """Return axes and transform, in C order."""
        space = self._fields.get("space", "").lower()
        letters = _SPACES.get(space.removesuffix("-time"), "")
        vectors = self._vectors()
        if vectors is None:
            return self._by_spacing()
        spatial = [i for i, v in enumerate(vectors) if v is not None]
        rows = np.array([vectors[i] for i in spatial], np.float64)
        count = rows.shape[1] if rows.ndim == 2 else 0
        units = self._world_units(count, letters)
        if count != len(spatial) or not 1 <= count <= 3:
            self._remarks.append("axes and space differ in number: only the size of voxels is used, not their place")
            lengths = dict(zip(spatial, np.sqrt((rows * rows).sum(axis=-1)).tolist(), strict=True))
            return self._finished(spatial, list(range(len(spatial))), units or [None] * 3, "", lengths)
        world = named_after_world(rows)
        axes, _ = self._finished(spatial, list(world), units, letters, {})
        text = self._fields.get("space origin")
        origin = floats(text.strip("() "), count, f"{self._where}: space origin") if text else (0.0,) * count
        if not np.isfinite(origin).all():
            origin = (0.0,) * count
        order = np.array(world)
        directions = rows[:, order]  # columns: the world's axes in the order of the array's
        matrix = placed(self._ndim, spatial, directions, np.array(origin)[order])
        for i in range(self._ndim):
            if i not in spatial and self._spacings[i] is not None:
                matrix[i, i] = self._spacings[i]
        transform = simplest(_reversed(matrix))
        if transform is None:
            self._remarks.append("the space directions have no volume, so that voxels have no place")
        return axes, transform

    def _by_spacing(self) -> tuple[tuple[Axis, ...], Transform | None]:
        spatial = [i for i, kind in enumerate(self._kinds) if kind in _SPATIAL][:3]
        known = {i: s for i, s in enumerate(self._spacings) if s is not None and i in spatial}
        units = [self._unit(self._units[i], SPACE_UNITS) for i in spatial]
        return self._finished(spatial, list(range(len(spatial))), units, "", known)

    def _finished(
        self,
        spatial: list[int],
        world: list[int],
        units: list[str | None],
        letters: str,
        steps: Mapping[int, float],
    ) -> tuple[tuple[Axis, ...], Transform | None]:
        """Return axes and, with known steps, the transform, in C order."""
        axes: list[Axis] = []
        for i in range(self._ndim):
            if i in spatial:
                j = world[spatial.index(i)]
                turn = ORIENTATIONS[letters[j]] if j < len(letters) else None
                unit = units[j] if j < len(units) else None
                axes.append(Axis(name="xyz"[j] if j < 3 else f"dim_{i}", type="space", unit=unit, orientation=turn))
            else:
                axes.append(self._other(i, {a.name for a in axes}))
        if not steps and all(s is None for s in self._spacings):
            return tuple(axes[::-1]), None
        matrix = np.eye(self._ndim, self._ndim + 1)
        starts = self._starts()
        for i in range(self._ndim):
            step = steps.get(i) or (self._spacings[i] if i not in spatial else None) or 1.0
            matrix[i, i], matrix[i, -1] = step, starts[i] + (step / 2 if self._is_cell(i) and starts[i] else 0.0)
        return tuple(axes[::-1]), simplest(_reversed(matrix))

    def _other(self, i: int, taken: set[str]) -> Axis:
        if self._kinds[i] == "time" and "t" not in taken:
            return Axis(name="t", type="time", unit=self._unit(self._units[i], TIME_UNITS))
        channel = self._kinds[i] not in _SPATIAL or i == 0
        if channel and "c" not in taken:
            return Axis(name="c", type="channel")
        return Axis(name=f"dim_{i}", type="channel" if channel else "other")

    # ------------------------------------------------------------------------------------------------- fields
    def _per_axis(self, name: str) -> list[float | None]:
        text = self._fields.get(name)
        found = floats(text, self._ndim, f"{self._where}: {name}") if text else (math.nan,) * self._ndim
        return [v if math.isfinite(v) and v != 0 else None for v in found]

    def _starts(self) -> list[float]:
        text = self._fields.get("axis mins")
        found = floats(text, self._ndim, f"{self._where}: axis mins") if text else (0.0,) * self._ndim
        return [v if math.isfinite(v) else 0.0 for v in found]

    def _is_cell(self, i: int) -> bool:
        centers = self._fields.get("centers", "").lower().split()
        return i < len(centers) and centers[i] == "cell"

    def _quoted(self, name: str, count: int) -> list[str]:
        found = [a or b for a, b in _QUOTED.findall(self._fields.get(name, ""))]
        return [*found, *[""] * count][:count]

    def _vectors(self) -> list[tuple[float, ...] | None] | None:
        text = self._fields.get("space directions")
        if text is None:
            return None
        found = _VECTOR.findall(text.lower())
        if len(found) != self._ndim:
            refuse(f"{self._where}: space directions has {len(found)} vectors, expected {self._ndim}")
        lengths = {v.count(",") + 1 for v in found if v != "none"}
        if len(lengths) > 1 or (lengths and max(lengths) > 8):
            refuse(f"{self._where}: space directions differ in length")
        out: list[tuple[float, ...] | None] = []
        for v in found:
            numbers = None if v == "none" else floats(v.strip("()"), max(lengths), f"{self._where}: space directions")
            out.append(numbers if numbers is not None and np.isfinite(numbers).all() else None)
        return out if any(out) else None

    def _world_units(self, count: int, letters: str) -> list[str | None]:
        if "space units" not in self._fields and letters:
            self._remarks.append("no unit is stated; millimeters are taken, as programs of this format do")
            return ["millimeter"] * count
        return [self._unit(u, SPACE_UNITS) for u in self._quoted("space units", count)]

    def _unit(self, text: str, known: Mapping[str, float]) -> str | None:
        unit = canonical_unit(text)
        if text and unit not in known:
            self._remarks.append(f"the unit {text[:40]!r} is not known")
        return unit if unit in known else None


def _reversed(matrix: np.ndarray[Any, np.dtype[np.float64]]) -> Any:  # Any: an array
    """Return the matrix of the same transform with the axes in reverse order."""
    out = np.empty_like(matrix)
    out[:, :-1], out[:, -1] = matrix[::-1, -2::-1], matrix[::-1, -1]
    return out
