"""Voxels on their way into chunks: another type, filled up to a whole chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError
from voxarium.model.image import ArrayInfo

__all__ = ["cast_voxels", "whole_chunk"]


def whole_chunk(info: ArrayInfo, voxels: NDArray[Any], scratch: NDArray[Any] | None = None) -> NDArray[Any] | None:
    """Return the chunk that voxels are the part of that lies in the array; None when they are all fill value.

    Containers that store chunks cut to the array get them so, others filled up. `scratch` may be of the shape of a
    chunk; what is returned may be it.
    """
    if _is_fill(voxels, info.fill_value):
        return None
    if info.clipped or voxels.shape == info.chunk_shape:
        return np.ascontiguousarray(voxels)
    chunk = np.empty(info.chunk_shape, info.dtype) if scratch is None else scratch
    chunk.fill(info.fill_value)
    chunk[tuple(slice(0, n) for n in voxels.shape)] = voxels
    return chunk


def _is_fill(voxels: NDArray[Any], fill: Any) -> bool:
    """Tell whether all voxels are, bit for bit, the fill value."""
    value = np.asarray(fill, voxels.dtype)
    if voxels.dtype.kind in "fc":
        # -0.0 equals 0.0 and NaN equals nothing, so bits are compared.
        return voxels.flat[0].tobytes() == value.tobytes() and voxels.tobytes() == value.tobytes() * voxels.size
    return bool(voxels.flat[0] == value) and bool((voxels == value).all())


def cast_voxels(raw: NDArray[Any], dtype: np.dtype[Any], *, lossy: bool, origin: tuple[int, ...]) -> NDArray[Any]:
    """Convert samples, refusing values that the target type cannot hold unless `lossy`, which clips and rounds."""
    rounds = raw.dtype.kind in "iu" and raw.dtype.itemsize == 8 and dtype.kind in "fc"  # "safe" to NumPy even so
    if np.can_cast(raw.dtype, dtype, "safe") and not rounds:
        return raw.astype(dtype)
    if lossy and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if raw.dtype.kind == "f":
            raw = np.nan_to_num(np.rint(raw.astype(np.float64)), nan=0.0, posinf=np.inf, neginf=-np.inf)
        low, high = limits.min, limits.max
        if raw.dtype.kind in "iu":
            own = np.iinfo(raw.dtype)
            low, high = max(low, own.min), min(high, own.max)
        with np.errstate(invalid="ignore"):
            clipped: NDArray[Any] = np.clip(raw, low, high).astype(dtype)
        if raw.dtype.kind == "f":
            clipped[raw >= high] = high  # floats have no 2⁶³ - 1
        return clipped
    if lossy:
        with np.errstate(over="ignore"):
            return raw.astype(dtype)
    with np.errstate(all="ignore"):
        cast = raw.astype(dtype)
        same = cast.astype(raw.dtype) == raw
        if raw.dtype.kind in "iu" and dtype.kind in "iu":
            same &= (cast < 0) == (raw < 0)
    if raw.dtype.kind == "f":
        same |= np.isnan(raw) & np.isnan(cast) if dtype.kind == "f" else False
    if not bool(same.all()):
        where = tuple(int(i) for i in np.unravel_index(int(np.argmin(same)), same.shape))
        raise InputError(
            f"the value {raw[where]} of voxel {tuple(o + i for o, i in zip(origin, where, strict=True))} "
            f"does not fit {dtype.name}",
            code=Code.DTYPE_RANGE,
            fix=f"write a wider type than {dtype.name}, or allow clipping and rounding with --lossy",
        )
    return cast
