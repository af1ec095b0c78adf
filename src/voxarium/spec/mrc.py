"""Headers of MRC and CCP4 map files, MRC2014 and its older forms.

Spec: https://www.ccpem.ac.uk/mrc_format/mrc2014.php; modes 16 and 101 and the flag of unsigned bytes are IMOD's,
https://bio3d.colorado.edu/imod/doc/mrc_format.txt. Lengths are in ångström. Which of X, Y, Z the columns, rows and
sections of a map are is in the header: axes are named by it, and stay in the order in which they are stored.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.model.axes import Axis
from voxarium.model.directions import placed, simplest
from voxarium.model.transforms import Transform

__all__ = ["HEADER_BYTES", "LARGEST_CARRIED", "MrcHeader", "is_mrc", "packed", "parse_header", "unpacked"]

HEADER_BYTES: Final = 1024
LARGEST_CARRIED: Final = 1 << 20
_MAP: Final = (b"MAP ", b"MAP\0")
_LITTLE: Final = (b"\x44\x44", b"\x44\x41")
_BIG: Final = (b"\x11\x11",)
_TYPES: Final = {0: "i1", 1: "i2", 2: "f4", 4: "c8", 6: "u2", 12: "f2", 16: "u1", 101: "u1"}
_PACKED: Final = 101
_RGB: Final = 16
_MOST: Final = 1 << 31
_STACKS: Final = range(401, 631)
_IMOD: Final = 1146047817
_SIGNED: Final = 1
_LABELS: Final = 10
_FIX: Final = "copy the file again from its source, or save it again with a program that follows MRC2014"


@dataclass(frozen=True, slots=True, kw_only=True)
class MrcHeader:
    """What a header says.

    Parameters
    ----------
    stored_shape : tuple of int
        In C order, of `dtype`: with two voxels to a byte in mode 101.
    shape : tuple of int
        Voxels.
    byte_offset : int
        Where the voxels begin: behind the extended header.
    axes : tuple of Axis
        In stored order.
    transform : Transform or None
        Voxel centre → world, where the header tells the size of a voxel.
    metadata : mapping
        Every field.
    """

    mode: int
    shape: tuple[int, ...]
    stored_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    byte_offset: int
    axes: tuple[Axis, ...]
    transform: Transform | None
    metadata: Mapping[str, Any]  # Any: JSON
    remarks: tuple[str, ...] = ()

    def described(self, extended: bytes) -> dict[str, Any]:  # Any: JSON
        """Return the fields with the extended header, which only its makers understand, as base64."""
        return dict(self.metadata) | ({"extended_header": base64.b64encode(extended).decode()} if extended else {})


def is_mrc(head: bytes) -> bool:
    """Tell whether a file begins as MRC files do since 1996: by the word in its header."""
    return len(head) >= HEADER_BYTES and head[208:212] in _MAP


def parse_header(head: bytes, where: str) -> MrcHeader:
    """Parse the first 1024 bytes of a file.

    Raises
    ------
    FormatError
        If they are no header, or state an impossible size.
    UnsupportedError
        If voxels have a type that is not read.
    """
    if len(head) < HEADER_BYTES:
        raise _invalid(f"{where} has {len(head)} bytes, less than a header")
    order = _byte_order(head, where)
    fields = _fields(head, order)
    mode, size, grid = fields["mode"], fields["size"], fields["grid"]
    if mode not in _TYPES:
        raise UnsupportedError(
            f"{where} holds voxels of mode {mode}{' (complex integers)' if mode == 3 else ''}",
            code=Code.DTYPE_UNSUPPORTED,
            fix=f"save it as one of the modes {', '.join(map(str, _TYPES))}",
        )
    if not all(0 < n < _MOST for n in size):
        raise _invalid(f"{where} claims {size[0]} x {size[1]} x {size[2]} voxels")
    if not 0 <= fields["extended_bytes"] < _MOST:
        raise _invalid(f"{where} claims an extended header of {fields['extended_bytes']} bytes")
    directions = _directions(fields["axis_order"], where)
    lead, sections = _sections(fields, where)
    shape = (*lead, sections, size[1], size[0])
    stored = (*shape[:-1], packed(size[0])) if mode == _PACKED else shape
    channels = (3,) if mode == _RGB else ()
    sized = _is_sized(fields)
    axes, stack = _axes(directions, lead, fields, sized)
    remarks: list[str] = []
    transform = _transform(fields, [a.name for a in axes[-3:]], len(lead), remarks) if sized else None
    if channels:
        axes = (*axes, Axis(name="c", type="channel", labels=("red", "green", "blue")))
        transform = None if transform is None else simplest(_with_channels(transform, len(axes)))
    if not sized and (grid == [0, 0, 0] or fields["cell"] == [0, 0, 0]) and not stack:
        remarks.append("the header does not tell the size of a voxel")
    return MrcHeader(
        mode=mode,
        shape=(*shape, *channels),
        stored_shape=(*stored, *channels),
        dtype=_dtype(mode, order, fields, remarks),
        byte_offset=HEADER_BYTES + fields["extended_bytes"],
        axes=axes,
        transform=transform,
        metadata=fields,
        remarks=tuple(remarks),
    )


def packed(voxels: int) -> int:
    """Return the bytes of a row of voxels of four bits."""
    return (voxels + 1) // 2


def unpacked(row_bytes: np.ndarray[Any, np.dtype[np.uint8]], first: int, count: int) -> Any:  # Any: an array
    """Return voxels of four bits from the bytes that hold them; the first of a byte is its lower half.

    Parameters
    ----------
    row_bytes : ndarray of uint8, shape (..., bytes)
        From byte ``first // 2`` of every row.
    first, count : int
        Which voxels of a row.
    """
    out = np.empty((*row_bytes.shape[:-1], row_bytes.shape[-1] * 2), np.uint8)
    out[..., 0::2] = row_bytes & 15
    out[..., 1::2] = row_bytes >> 4
    skip = first % 2
    return out[..., skip : skip + count]


def _invalid(message: str) -> FormatError:
    return FormatError(message, code=Code.METADATA_INVALID, fix=_FIX)


def _byte_order(head: bytes, where: str) -> Literal["<", ">"]:
    """Return the byte order: by the machine stamp, or by what makes sense where there is none."""
    stamp = head[212:214]
    likely: tuple[Literal["<", ">"], ...] = (">", "<") if stamp in _BIG else ("<", ">")
    for order in likely:
        numbers = struct.unpack_from(order + "4i", head)
        axes = struct.unpack_from(order + "3i", head, 64)
        if 0 <= numbers[3] < 128 and all(0 < n < _MOST for n in numbers[:3]) and all(0 <= a <= 3 for a in axes):
            return order
    raise _invalid(f"{where} has no header of an MRC file")


def _fields(head: bytes, order: str) -> dict[str, Any]:  # Any: JSON
    """Return every field under a readable name."""

    def numbers(code: str, at: int) -> list[Any]:  # Any: integers or floats
        return [_json(v) for v in struct.unpack_from(order + code, head, at)]

    labels = numbers("i", 220)[0]
    texts = [_text(head[224 + 80 * i : 304 + 80 * i]) for i in range(min(max(labels, 0), _LABELS))]
    return {
        "size": numbers("3i", 0),
        "mode": numbers("i", 12)[0],
        "start": numbers("3i", 16),
        "grid": numbers("3i", 28),
        "cell": numbers("3f", 40),
        "angles": numbers("3f", 52),
        "axis_order": numbers("3i", 64),
        "minimum_maximum_mean": numbers("3f", 76),
        "space_group": numbers("i", 88)[0],
        "extended_bytes": numbers("i", 92)[0],
        "extended_type": _text(head[104:108]),
        "version": numbers("i", 108)[0],
        "imod_stamp": numbers("i", 152)[0],
        "imod_flags": numbers("i", 156)[0],
        "origin": numbers("3f", 196),
        "byte_order": "big" if order == ">" else "little",
        "deviation": numbers("f", 216)[0],
        "labels": [t for t in texts if t],
    }


def _json(value: float) -> Any:  # Any: JSON
    if isinstance(value, int):
        return value
    # What was meant, not its neighbour in single precision: 1.72, not 1.7200000286102295.
    return float(f"{value:.7g}") if math.isfinite(value) else repr(value)


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("latin-1").rstrip()


def _dtype(mode: int, order: Literal["<", ">"], fields: Mapping[str, Any], remarks: list[str]) -> np.dtype[Any]:
    if mode == 0 and fields["imod_stamp"] == _IMOD and not fields["imod_flags"] & _SIGNED:
        remarks.append("bytes are unsigned: IMOD's flag says so")
        return np.dtype("u1")
    return np.dtype(_TYPES[mode]).newbyteorder(order)


def _directions(order: list[int], where: str) -> tuple[str, str, str]:
    """Return the names of sections, rows, and columns."""
    if order == [0, 0, 0]:  # written before the field was
        order = [1, 2, 3]
    if sorted(order) != [1, 2, 3]:
        raise _invalid(f"{where} says that its axes are {order}, which is no order of 1, 2, 3")
    names = ["xyz"[i - 1] for i in order]
    return names[2], names[1], names[0]


def _sections(fields: Mapping[str, Any], where: str) -> tuple[tuple[int, ...], int]:
    """Return how many volumes there are, if it is a stack of volumes, and how many sections each has."""
    sections, per_volume = fields["size"][2], fields["grid"][2]
    if fields["space_group"] not in _STACKS:
        return (), sections
    if not 0 < per_volume <= sections or sections % per_volume:
        raise _invalid(f"{where} is a stack of volumes of {per_volume} sections, but has {sections}")
    return (sections // per_volume,), per_volume


def _is_sized(fields: Mapping[str, Any]) -> bool:
    cell, grid = fields["cell"], fields["grid"]
    return all(isinstance(c, float) and 0 < c < 1e12 for c in cell) and all(0 < m < _MOST for m in grid)


def _axes(
    directions: tuple[str, str, str], lead: tuple[int, ...], fields: Mapping[str, Any], sized: bool
) -> tuple[tuple[Axis, ...], bool]:
    """Return the axes, and whether sections are images of their own rather than planes of one volume."""
    unit = "angstrom" if sized else None
    spatial = [Axis(name=n, type="space", unit=unit) for n in directions]
    stack = fields["space_group"] == 0 and fields["grid"][2] == 1 and fields["size"][2] > 1 and directions[0] == "z"
    if stack:
        spatial[0] = Axis(name="n", type="other")
    volumes = tuple(Axis(name="n", type="other") for _ in lead)
    return (*volumes, *spatial), stack


def _transform(fields: Mapping[str, Any], names: list[str], lead: int, remarks: list[str]) -> Transform | None:
    """Return voxel centre → ångström, in the stored order of axes."""
    vectors = _cell_vectors(fields, remarks)
    steps = vectors / np.asarray(fields["grid"], float)[:, None]  # one voxel along X, Y, Z
    at = _origin(fields, steps, remarks)
    ndim = lead + 3
    kept = [i for i, name in enumerate(names) if name != "n"]
    world = ["xyz".index(names[i]) for i in kept]
    found = simplest(placed(ndim, [lead + i for i in kept], steps[np.ix_(world, world)], [at[w] for w in world]))
    if found is None:
        remarks.append("the cell has no volume, so that voxels have no place")
    return found


def _cell_vectors(fields: Mapping[str, Any], remarks: list[str]) -> Any:  # Any: an array
    """Return the edges of the cell, one a row, in X, Y, Z; the first along X, the second in the plane of X and Y."""
    a, b, c = fields["cell"]
    angles = fields["angles"]
    usual = all(isinstance(v, float) and 0 < v < 180 for v in angles)
    if not usual or all(abs(v - 90) < 1e-3 for v in angles):
        return np.diag([a, b, c])
    alpha, beta, gamma = (math.cos(math.radians(v)) if v != 90 else 0.0 for v in angles)
    sine = math.sqrt(1 - gamma * gamma)
    tilt = (alpha - beta * gamma) / sine
    rest = 1 - beta * beta - tilt * tilt
    if rest <= 0:
        remarks.append(f"no cell has the angles {angles}; right angles are taken instead")
        return np.diag([a, b, c])
    return np.array([[a, 0, 0], [b * gamma, b * sine, 0], [c * beta, c * tilt, c * math.sqrt(rest)]])


def _origin(fields: Mapping[str, Any], steps: Any, remarks: list[str]) -> Any:  # Any: arrays
    """Return where the first voxel is: by the origin, else by the numbers of the first column, row and section."""
    origin, start = fields["origin"], [0, 0, 0]
    order = fields["axis_order"] if fields["axis_order"] != [0, 0, 0] else [1, 2, 3]
    for axis, first in zip(order, fields["start"], strict=True):
        start[axis - 1] = first if abs(first) < _MOST - 1 else 0
    counted = np.asarray(start, float) @ steps
    if not all(isinstance(v, float) for v in origin) or not any(origin):
        return [float(f"{v:.12g}") for v in counted]
    if any(start) and not np.allclose(counted, origin, rtol=1e-3, atol=1e-3):
        remarks.append(f"the origin {origin} and the start {start} disagree; the origin is used")
    return origin


def _with_channels(transform: Transform, ndim: int) -> Any:  # Any: an array
    matrix = np.eye(ndim, ndim + 1)
    inner = transform.matrix(ndim - 1)
    matrix[: ndim - 1, : ndim - 1], matrix[: ndim - 1, -1] = inner[:, :-1], inner[:, -1]
    return matrix
