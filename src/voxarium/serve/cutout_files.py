"""Voxels as files: npy, PNG, TIFF and NIfTI, made in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.image import Image
from voxarium.errors import InputError
from voxarium.model.axes import SPACE_UNITS
from voxarium.model.box import Box
from voxarium.serve.arguments import RefusedError

__all__ = ["FORMATS", "Cutout", "encode"]

_TIFF_TYPES: Final = "uifcb"
_NIFTI_CODES: Final = {
    "uint8": 2, "int16": 4, "int32": 8, "float32": 16, "complex64": 32, "float64": 64, "int8": 256, "uint16": 512,
    "uint32": 768, "int64": 1024, "uint64": 1280, "complex128": 1792,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cutout:
    """Voxels of a region, and where they are from."""

    image: Image
    level: int
    box: Box
    data: NDArray[Any]


def encode(cutout: Cutout, format: str) -> tuple[bytes, str]:
    """Return a file and its media type.

    Raises `RefusedError` if the format cannot hold these voxels.
    """
    make, media_type = FORMATS[format]
    return make(cutout), media_type


def _npy(cutout: Cutout) -> bytes:
    out = io.BytesIO()
    np.save(out, cutout.data, allow_pickle=False)
    return out.getvalue()


def _png(cutout: Cutout) -> bytes:
    picture = _plane(cutout)
    if picture.dtype not in (np.uint8, np.uint16) or (picture.ndim == 3 and picture.dtype != np.uint8):
        raise RefusedError(400, f"png holds no {picture.dtype.name}; ask for npy")
    if max(picture.shape) > 65_535:
        raise RefusedError(400, "png of more than 65535 pixels along an edge is not made; ask for less")
    try:
        from PIL import Image as Pictures
    except ImportError as error:
        raise RefusedError(501, "png needs Pillow on the server: pip install 'voxarium[images]'") from error
    out = io.BytesIO()
    Pictures.fromarray(np.ascontiguousarray(picture)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _plane(cutout: Cutout) -> NDArray[Any]:
    """Return (rows, columns), or with three or four channels behind: all other axes have one voxel."""
    axes, data = cutout.image.axes, cutout.data
    channel = next((i for i, a in enumerate(axes) if a.type == "channel" and data.shape[i] in (3, 4)), None)
    rest = [i for i in range(data.ndim) if i != channel]
    long = [i for i in rest if data.shape[i] > 1]
    if len(long) > 2 or len(rest) < 2:
        raise RefusedError(400, "png is one plane: give one index along all axes but two, such as box=7,:,:")
    shown = sorted((long + [i for i in reversed(rest) if i not in long])[:2])
    order = [*shown, channel] if channel is not None else shown
    return data.transpose([i for i in range(data.ndim) if i not in order] + order).reshape(
        [data.shape[i] for i in order]
    )


def _tiff(cutout: Cutout) -> bytes:
    if cutout.data.dtype.kind not in _TIFF_TYPES or cutout.data.dtype == np.float16:
        raise RefusedError(400, f"tiff holds no {cutout.data.dtype.name}; ask for npy")
    try:
        import tifffile
    except ImportError as error:
        raise RefusedError(501, "tiff needs tifffile on the server: pip install 'voxarium[tiff]'") from error
    out = io.BytesIO()
    names = [axis.name.upper() for axis in cutout.image.axes]
    known = all(len(n) == 1 for n in names) and set(names) <= set("TCZYX") and len(set(names)) == len(names)
    metadata: dict[str, Any] = {"axes": "".join(names)} if known else {}
    tifffile.imwrite(out, cutout.data, photometric="minisblack", metadata=metadata, bigtiff=cutout.data.nbytes > 2**31)
    return out.getvalue()


def _nifti(cutout: Cutout) -> bytes:
    """Return NIfTI-1, or NIfTI-2 for long axes: x, y, z, then t and c; the affine leads to millimetres."""
    data, axes = cutout.data, cutout.image.axes
    code = _NIFTI_CODES.get(data.dtype.name)
    if code is None:
        raise RefusedError(400, f"nifti holds no {data.dtype.name}; ask for npy")
    names = [axis.name for axis in axes]
    others = [n for n in names if n not in "xyz" or len(n) != 1]
    if len(set(names)) != len(names) or not {"y", "x"} <= set(names) or len(others) > 4:
        raise RefusedError(400, f"nifti needs axes x, y, z and up to four others, not {', '.join(names)}")
    time = next((i for i, a in enumerate(axes) if a.type == "time"), None)
    order = [names.index(n) if n in names else -1 for n in "xyz"]
    order += [-1 if time is None else time] if others else []
    order += [names.index(n) for n in others if names.index(n) != time]
    lengths = [1 if i < 0 else data.shape[i] for i in order]
    voxels = data.transpose([i for i in order if i >= 0]).reshape(lengths).ravel(order="F")
    scale, first, unit = _place(cutout, order[:3])
    head = np.zeros(1, _HEADER)[0]
    head["sizeof_hdr"], head["magic"] = 540, b"n+2\0\r\n\x1a\n"
    head["datatype"], head["bitpix"] = code, data.dtype.itemsize * 8
    head["dim"][: len(lengths) + 1] = [len(lengths), *lengths]
    head["dim"][len(lengths) + 1 :] = 1
    head["pixdim"] = 1.0
    head["pixdim"][1:4] = np.abs(scale)
    head["vox_offset"], head["scl_slope"] = 544, 1.0
    head["sform_code"], head["xyzt_units"] = 1, 2 if unit else 0
    for row, (s, t) in enumerate(zip(scale, first, strict=True)):
        head["srow"][row][row], head["srow"][row][3] = s, t
    return bytes(head.tobytes() + b"\0\0\0\0" + voxels.astype(data.dtype.newbyteorder("<"), copy=False).tobytes())


# NIfTI-2: https://nifti.nimh.nih.gov/pub/dist/doc/nifti2.h
_HEADER: Final = np.dtype([
    ("sizeof_hdr", "<i4"), ("magic", "S8"), ("datatype", "<i2"), ("bitpix", "<i2"), ("dim", "<i8", 8),
    ("intent_p", "<f8", 3), ("pixdim", "<f8", 8), ("vox_offset", "<i8"), ("scl_slope", "<f8"), ("scl_inter", "<f8"),
    ("cal_max", "<f8"), ("cal_min", "<f8"), ("slice_duration", "<f8"), ("toffset", "<f8"), ("slice_start", "<i8"),
    ("slice_end", "<i8"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "<i4"), ("sform_code", "<i4"),
    ("quatern", "<f8", 3), ("qoffset", "<f8", 3), ("srow", "<f8", (3, 4)), ("slice_code", "<i4"),
    ("xyzt_units", "<i4"), ("intent_code", "<i4"), ("intent_name", "S16"), ("dim_info", "u1"), ("unused", "S15"),
])  # fmt: skip


def _place(cutout: Cutout, order: Sequence[int]) -> tuple[list[float], list[float], bool]:
    """Return scale, place of the first voxel's centre, both of x, y, z in millimetres, and whether units are known."""
    try:
        scale, translation = cutout.image.scale_translation(cutout.level)
    except InputError:  # rotated: only where the voxels are in the array is said
        scale, translation = (1.0,) * cutout.image.ndim, (0.0,) * cutout.image.ndim
    sizes, firsts, known = [], [], True
    for i in order:
        unit = None if i < 0 else cutout.image.axes[i].unit
        factor = SPACE_UNITS.get(unit or "", 1e-3) * 1e3
        known = known and (i < 0 or unit in SPACE_UNITS)
        sizes.append(1.0 if i < 0 else scale[i] * factor)
        firsts.append(0.0 if i < 0 else (translation[i] + cutout.box.origin[i] * scale[i]) * factor)
    return sizes, firsts, known


FORMATS: Final[dict[str, tuple[Callable[[Cutout], bytes], str]]] = {
    "npy": (_npy, "application/octet-stream"),
    "png": (_png, "image/png"),
    "tiff": (_tiff, "image/tiff"),
    "nifti": (_nifti, "application/octet-stream"),
}
