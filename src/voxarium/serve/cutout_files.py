"""Voxels as files: npy, PNG, TIFF, NIfTI and zipped OME-Zarr."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.image import Image
from voxarium.errors import InputError, VoxariumError
from voxarium.model.axes import SPACE_UNITS
from voxarium.model.box import Box
from voxarium.serve.arguments import RefusedError
from voxarium.serve.cutout_zarr import zarr_file
from voxarium.serve.translated import shown_axes

__all__ = ["FORMATS", "Cutout", "encode"]

_TIFF_TYPES: Final = "uifcb"
_WIDER: Final[dict[str, np.dtype[Any]]] = {"bool": np.dtype("uint8"), "float16": np.dtype("float32")}
_NIFTI_UNITS: Final = {1.0: 2, 1e3: 3}  # millimetres, micrometres
_NIFTI_CODES: Final = {
    "uint8": 2, "int16": 4, "int32": 8, "float32": 16, "complex64": 32, "float64": 64, "int8": 256, "uint16": 512,
    "uint32": 768, "int64": 1024, "uint64": 1280, "complex128": 1792,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cutout:
    """A region of an image, perhaps its voxels; `per_millimeter` steps of a file's coordinates are a millimetre."""

    image: Image
    level: int
    box: Box
    data: NDArray[Any] | None = None
    per_millimeter: float = 1.0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""
        return self.image.dtype if self.data is None else self.data.dtype

    def read(self) -> NDArray[Any]:
        """Return the voxels."""
        return self.image.read(self.box, level=self.level) if self.data is None else self.data


def encode(cutout: Cutout, format: str) -> tuple[bytes, str]:
    """Return a file and its media type.

    Raises `RefusedError` if the format cannot hold these voxels.
    """
    make, media_type = FORMATS[format]
    return make(cutout), media_type


def _npy(cutout: Cutout) -> bytes:
    out = io.BytesIO()
    np.save(out, cutout.read(), allow_pickle=False)
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
    axes, data = cutout.image.axes, cutout.read()
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
    dtype = cutout.dtype
    if dtype.kind not in _TIFF_TYPES or dtype == np.float16:
        raise RefusedError(400, f"tiff holds no {dtype.name}; ask for npy")
    try:
        import tifffile
    except ImportError as error:
        raise RefusedError(501, "tiff needs tifffile on the server: pip install 'voxarium[tiff]'") from error
    data, out = cutout.read(), io.BytesIO()
    names = [axis.name.upper() for axis in cutout.image.axes]
    known = all(len(n) == 1 for n in names) and set(names) <= set("TCZYX") and len(set(names)) == len(names)
    metadata: dict[str, Any] = {"axes": "".join(names)} if known else {}
    tifffile.imwrite(out, data, photometric="minisblack", metadata=metadata, bigtiff=data.nbytes > 2**31)
    return out.getvalue()


def _nifti(cutout: Cutout) -> bytes:
    """Return NIfTI-2: x, y, z, then t and c; the affine leads to millimetres. Axes without names are the usual ones."""
    dtype = _WIDER.get(cutout.dtype.name, cutout.dtype)
    code = _NIFTI_CODES.get(dtype.name)
    if code is None:
        raise RefusedError(400, f"nifti holds no {dtype.name}; ask for npy")
    try:
        axes = shown_axes(cutout.image)
    except InputError as error:
        raise RefusedError(400, f"nifti needs axes with names: {error.message}") from error
    names = [axis.name for axis in axes]
    others = [n for n in names if n not in "xyz" or len(n) != 1]
    if len(set(names)) != len(names) or not {"y", "x"} <= set(names) or len(others) > 4:
        raise RefusedError(400, f"nifti needs axes x, y, z and up to four others, not {', '.join(names)}")
    time = next((i for i, a in enumerate(axes) if a.type == "time"), None)
    order = [names.index(n) if n in names else -1 for n in "xyz"]
    order += [-1 if time is None else time] if others else []
    order += [names.index(n) for n in others if names.index(n) != time]
    data = cutout.read().astype(dtype, copy=False)
    lengths = [1 if i < 0 else data.shape[i] for i in order]
    voxels = data.transpose([i for i in order if i >= 0]).reshape(lengths).ravel(order="F")
    rows, sizes, unit = _place(cutout, order[:3])
    head = np.zeros(1, _HEADER)[0]
    head["sizeof_hdr"], head["magic"] = 540, b"n+2\0\r\n\x1a\n"
    head["datatype"], head["bitpix"] = code, data.dtype.itemsize * 8
    head["dim"][: len(lengths) + 1] = [len(lengths), *lengths]
    head["dim"][len(lengths) + 1 :] = 1
    head["pixdim"] = 1.0
    head["pixdim"][1:4] = sizes
    head["vox_offset"], head["scl_slope"] = 544, 1.0
    head["sform_code"], head["xyzt_units"] = 1, _NIFTI_UNITS.get(cutout.per_millimeter, 0) if unit else 0
    head["srow"] = rows
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


def _place(cutout: Cutout, order: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return rows x, y, z of the affine, sizes of voxels along them, and whether units are known."""
    image, ndim = cutout.image, cutout.image.ndim
    try:
        matrix = image.levels[cutout.level].transform.matrix(ndim)
    except VoxariumError:  # no affine: only where the voxels are in the array is said
        matrix = np.eye(ndim, ndim + 1)
    first = matrix[:, :-1] @ np.array(cutout.box.origin, np.float64) + matrix[:, -1]
    rows, known = np.eye(3, 4), True
    for row, i in enumerate(order):
        if i < 0:
            continue
        unit = image.axes[i].unit
        factor = SPACE_UNITS.get(unit or "", 1e-3) * 1e3 * cutout.per_millimeter
        known = known and unit in SPACE_UNITS
        for column, j in enumerate(order):
            rows[row, column] = matrix[i, j] * factor if j >= 0 else 0.0
        rows[row, 3] = first[i] * factor
    sizes = np.sqrt((rows[:, :3] ** 2).sum(axis=0))
    return rows, np.where(sizes > 0, sizes, 1.0), known


def _zarr(cutout: Cutout) -> bytes:
    return zarr_file(cutout.image, cutout.level, cutout.box)


FORMATS: Final[dict[str, tuple[Callable[[Cutout], bytes], str]]] = {
    "npy": (_npy, "application/octet-stream"),
    "png": (_png, "image/png"),
    "tiff": (_tiff, "image/tiff"),
    "nifti": (_nifti, "application/octet-stream"),
    "zarr": (_zarr, "application/zip"),
}
