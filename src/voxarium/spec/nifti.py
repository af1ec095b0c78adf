"""NIfTI-1 and NIfTI-2: the header in, no I/O.

Specs: https://nifti.nimh.nih.gov/nifti-1 and /nifti-2. The first index runs fastest: shapes here are reversed, so that
the last axis runs fastest, and matrices map (…, k, j, i) to world coordinates in the order z, y, x. The world is
RAS: x grows to the right, y to the front, z to the top of the subject.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.model.axes import Axis
from voxarium.model.image import Value
from voxarium.model.transforms import Affine, Scale, Transform, Translation

__all__ = ["HEADER_BYTES", "NiftiHeader", "Placement", "has_magic", "parse_header"]

HEADER_BYTES: Final = 540
"""Enough for either version."""
_MOST_VOXELS: Final = 2**62
_NAMES: Final = ("x", "y", "z", "t", "c", "dim_6", "dim_7")
_TYPES: Final = ("space", "space", "space", "time", "channel", "other", "other")
_SPACE: Final = {1: "meter", 2: "millimeter", 3: "micrometer"}
_TIME: Final = {8: "second", 16: "millisecond", 24: "microsecond", 32: "hertz", 40: "ppm", 48: "radian/second"}
_ORIENTATIONS: Final = {"x": "left-to-right", "y": "posterior-to-anterior", "z": "inferior-to-superior"}
_DTYPES: Final = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    32: "c8",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
    1792: "c16",
}
_COLORS: Final = {128: 3, 2304: 4}  # samples of RGB24 and RGBA32
_SPACES: Final = {0: "unknown", 1: "scanner", 2: "aligned", 3: "talairach", 4: "mni", 5: "template"}

# (format, names) of the fields of a header, in order; a name of None skips.
_V1: Final = (
    "i10s18sihcB8h3fhhhh8ffffhBBffffii80s24shh6f4f4f4f16s4s",
    "sizeof_hdr _data_type _db_name _extents _session_error _regular dim_info dim intent_p intent_code datatype bitpix "
    "slice_start pixdim vox_offset scl_slope scl_inter slice_end slice_code xyzt_units cal_max cal_min slice_duration "
    "toffset _glmax _glmin descrip aux_file qform_code sform_code quatern srow_x srow_y srow_z intent_name magic",
)
_V2: Final = (
    "i8shh8q3d8dqddddddqq80s24sii6d4d4d4diii16sB15s",
    "sizeof_hdr magic datatype bitpix dim intent_p pixdim vox_offset scl_slope scl_inter cal_max cal_min "
    "slice_duration toffset slice_start slice_end descrip aux_file qform_code sform_code quatern srow_x srow_y srow_z "
    "slice_code xyzt_units intent_code intent_name dim_info _unused",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One of the ways a file says where its voxels are.

    `transform` maps the voxel centre, with all axes of the array, to world coordinates. `space` is what its code says
    the world is: scanner, aligned, talairach, mni, template; `method` the field: sform, qform or pixdim.
    """

    method: str
    code: int
    space: str
    transform: Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class NiftiHeader:
    """What a file says about its voxels.

    Parameters
    ----------
    version : int
        1 or 2.
    single : bool
        False when the voxels are in an ``.img`` beside the ``.hdr``.
    shape : tuple of int
        In C order; colours are a last axis.
    dtype : numpy.dtype
        As stored, with its byte order.
    byte_offset : int
        Where the first voxel is.
    placements : tuple of Placement
        The one in force first: sform, else qform, else the spacing alone.
    fields : mapping
        All fields, by their names in the specification.
    """

    version: int
    single: bool
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[Axis, ...]
    byte_offset: int
    value: Value
    placements: tuple[Placement, ...]
    fields: Mapping[str, Any]

    @property
    def stop(self) -> int:
        """Byte behind the last voxel."""
        return self.byte_offset + math.prod(self.shape) * self.dtype.itemsize


def has_magic(head: bytes) -> bool:
    """Tell whether bytes begin a NIfTI header."""
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:12] in (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")


def _refuse(where: str, message: str) -> NoReturn:
    raise FormatError(
        f"{where}: {message}",
        code=Code.METADATA_INVALID,
        fix="restore the file from a copy, or write its header again with nibabel",
    )


def parse_header(head: bytes, where: str) -> NiftiHeader:
    """Return what a header says.

    Raises
    ------
    FormatError
        If it is cut off, or makes no sense.
    UnsupportedError
        If the voxels are of a type that cannot be held.
    """
    version = 2 if head[4:7] in (b"n+2", b"ni2") else 1
    layout, names = _V2 if version == 2 else _V1
    size = 540 if version == 2 else 348
    if len(head) < size or not has_magic(head):
        _refuse(where, "is no NIfTI header" if len(head) >= size else "ends within its header")
    order = "<" if int.from_bytes(head[:4], "little") == size else ">"
    if int.from_bytes(head[:4], "little" if order == "<" else "big") != size:
        _refuse(where, f"states a header of {int.from_bytes(head[:4], 'little')} bytes")
    raw = _fields(layout, names, order, head[:size])
    count, sizes = raw["dim"][0], raw["dim"][1:]
    if not 1 <= count <= 7:
        _refuse(where, f"has {count} axes; 1 to 7 are possible")
    lengths = [int(n) for n in sizes[:count]]
    if any(n < 1 for n in lengths) or math.prod(lengths) > _MOST_VOXELS:
        _refuse(where, f"has the shape {lengths}")
    dtype, samples = _dtype(raw["datatype"], order, where)
    single = bytes(raw["magic"])[1:2] == b"+"
    offset = raw["vox_offset"]
    if not (math.isfinite(offset) and 0 <= offset < 2**62) or (single and offset < size + 4):
        _refuse(where, f"begins its voxels at byte {offset}")
    axes, colors = _axes(raw, count), (Axis(name="c", type="channel"),) * (samples > 1)
    if colors and count > 4:
        _refuse(where, "has colours beside a fifth axis")
    placements = _placements(raw, count, len(colors), where)
    return NiftiHeader(
        version=version,
        single=single,
        shape=tuple(lengths[::-1]) + ((samples,) if samples > 1 else ()),
        dtype=dtype,
        axes=_oriented(axes, placements[0]) + colors,
        byte_offset=int(offset),
        value=_value(raw, samples, dtype),
        placements=placements,
        fields=_plain(raw),
    )


def _fields(layout: str, names: str, order: str, head: bytes) -> dict[str, Any]:
    """Return the fields by name; runs of equal numbers as tuples."""
    values = list(struct.unpack(order + layout, head))
    out: dict[str, Any] = {}
    groups = {"dim": 8, "intent_p": 3, "pixdim": 8, "quatern": 6, "srow_x": 4, "srow_y": 4, "srow_z": 4}
    for name in names.split():
        count = groups.get(name)
        if count is None:
            out[name] = values.pop(0)
        else:
            out[name], values = tuple(values[:count]), values[count:]
    return out


def _dtype(code: int, order: str, where: str) -> tuple[np.dtype[Any], int]:
    if code in _COLORS:
        return np.dtype("u1"), _COLORS[code]
    if code not in _DTYPES:
        raise UnsupportedError(
            f"{where}: voxels of NIfTI's type {code} cannot be held",
            code=Code.DTYPE_UNSUPPORTED,
            fix="convert the file to a common type, such as float64, with nibabel",
        )
    return np.dtype(order + _DTYPES[code]), 1


def _axes(raw: Mapping[str, Any], count: int) -> tuple[Axis, ...]:
    """Return the axes in C order."""
    space, time = _SPACE.get(raw["xyzt_units"] & 7), _TIME.get(raw["xyzt_units"] & 56)
    axes = []
    for name, kind in zip(_NAMES[:count], _TYPES[:count], strict=True):
        if kind == "time" and time in ("hertz", "ppm", "radian/second"):
            axes.append(Axis(name="f", type="frequency", unit=time))
        else:
            axes.append(Axis(name=name, type=kind, unit={"space": space, "time": time}.get(kind)))
    return tuple(axes[::-1])


def _oriented(axes: tuple[Axis, ...], placement: Placement) -> tuple[Axis, ...]:
    """Name the anatomical directions, where the file says that its world has them."""
    if placement.code == 0:
        return axes
    return tuple(Axis(name=a.name, type=a.type, unit=a.unit, orientation=_ORIENTATIONS.get(a.name)) for a in axes)


def _value(raw: Mapping[str, Any], samples: int, dtype: np.dtype[Any]) -> Value:
    components: Literal["scalar", "rgb", "complex"] = (
        "rgb" if samples > 1 else "complex" if dtype.kind == "c" else "scalar"
    )
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0 or samples > 1:
        slope, intercept = 1.0, 0.0
    return Value(slope=slope, intercept=intercept, components=components)


def _placements(raw: Mapping[str, Any], count: int, colors: int, where: str) -> tuple[Placement, ...]:
    """Return the ways the header places voxels, the one in force first."""
    found = []
    rows = np.array([raw["srow_x"], raw["srow_y"], raw["srow_z"]], np.float64)
    if raw["sform_code"] > 0 and np.isfinite(rows).all():
        found.append(("sform", int(raw["sform_code"]), rows))
    turned = _qform(raw)
    if raw["qform_code"] > 0 and turned is not None:
        found.append(("qform", int(raw["qform_code"]), turned))
    if not found:
        found.append(("pixdim", 0, np.column_stack([np.diag(_spacing(raw)), np.zeros(3)])))
    out = []
    for method, code, matrix in found:
        if count >= 3 and np.linalg.matrix_rank(matrix[:, :3]) != 3:
            continue
        transform = _transform(raw, matrix, count, colors)
        out.append(Placement(method=method, code=code, space=_SPACES.get(code, "other"), transform=transform))
    if not out:
        _refuse(where, "places its voxels with a singular matrix")
    return tuple(out)


def _spacing(raw: Mapping[str, Any]) -> list[float]:
    """Return the distances between voxels along x, y, z; 1 where they are not given."""
    return [abs(float(d)) if math.isfinite(d) and d else 1.0 for d in raw["pixdim"][1:4]]


def _qform(raw: Mapping[str, Any]) -> NDArray[np.float64] | None:
    b, c, d, *shift = (float(v) for v in raw["quatern"])
    rest = 1.0 - (b * b + c * c + d * d)
    if not all(map(math.isfinite, (b, c, d, *shift))) or rest < -1e-4:
        return None
    if rest < 1e-7:  # half a turn: the rest is rounding
        norm = math.sqrt(b * b + c * c + d * d)
        a, b, c, d = 0.0, b / norm, c / norm, d / norm
    else:
        a = math.sqrt(rest)
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    mirror = -1.0 if raw["pixdim"][0] == -1 else 1.0
    return np.column_stack([turn * (np.array(_spacing(raw)) * (1, 1, mirror)), shift])


def _transform(raw: Mapping[str, Any], matrix: NDArray[np.float64], count: int, colors: int) -> Transform:
    """Return the transform of the whole array, in C order, for a matrix (3, 4) in NIfTI's order."""
    space = min(count, 3)
    ndim = count + colors
    out = np.zeros((ndim, ndim + 1))
    first = count - space  # axes before z in C order
    out[:, :ndim] = np.eye(ndim)
    linear, shift = matrix[:space, :space][::-1, ::-1], matrix[:space, 3][::-1]
    out[first : first + space, first : first + space] = linear
    out[first : first + space, -1] = shift
    if count >= 4:
        step = float(raw["pixdim"][4])
        out[first - 1, first - 1] = abs(step) if math.isfinite(step) and step else 1.0
        start = float(raw["toffset"])
        out[first - 1, -1] = start if math.isfinite(start) else 0.0
    diagonal = np.diagonal(out)
    if np.count_nonzero(out[:, :ndim]) == ndim and np.all(diagonal):
        return Scale(tuple(diagonal.tolist())).then(Translation(tuple(out[:, -1].tolist())))
    return Affine(tuple(map(tuple, out.tolist())))


def _plain(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields as JSON."""
    out: dict[str, Any] = {}
    for name, value in raw.items():
        if name.startswith("_"):
            continue
        if isinstance(value, bytes):
            out[name] = value.split(b"\0")[0].decode("latin-1")
        elif isinstance(value, tuple):
            out[name] = [_number(v) for v in value]
        else:
            out[name] = _number(value)
    return out


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
