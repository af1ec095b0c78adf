"""Checks that every container makes of an array that is to be created, and small parts drivers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.axes import Axis, guess_axis_type
from voxarium.model.fill import parse_fill
from voxarium.model.image import ArraySpec

__all__ = ["NUMERIC", "check_shapes", "checked_dtype", "checked_fill", "join_key", "named_axes"]

NUMERIC: Final = frozenset(
    {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
    | {"float16", "float32", "float64", "complex64", "complex128"}
)
"""Names, in numpy and in the Zarr core specification, of the types of elements an array may have."""


def join_key(path: str, key: str) -> str:
    """Return a key below a path; the path of a store's root is empty."""
    return f"{path}/{key}" if path else key


def named_axes(names: Sequence[str | None] | None) -> tuple[Axis, ...] | None:
    """Return axes when every one has a name of its own, else None.

    Examples
    --------
    >>> named_axes(["z", None]) is None
    True
    """
    if not names or len(set(names)) != len(names) or not all(names):
        return None
    return tuple(Axis(name=n, type=guess_axis_type(n)) for n in names if n)


def checked_dtype(spec: ArraySpec) -> np.dtype[Any]:
    """Return the native type of a new array's elements; UnsupportedError unless it is numeric."""
    dtype = np.dtype(spec.dtype).newbyteorder("=")
    if dtype.name in NUMERIC:
        return dtype
    raise UnsupportedError(
        f"arrays of {dtype.name} cannot be written",
        code=Code.DTYPE_UNSUPPORTED,
        fix="convert to an integer, floating-point, complex or boolean type",
    )


def check_shapes(spec: ArraySpec) -> None:
    """Raise InputError unless shapes, chunks, shards and names of a new array fit one another."""
    ndim = len(spec.shape)
    shapes = {"chunk": spec.chunk_shape, "shard": spec.shard_shape or spec.chunk_shape}
    for what, shape in shapes.items():
        if len(shape) != ndim or any(n < 1 for n in shape) or any(n < 0 for n in spec.shape):
            raise InputError(
                f"{what} shape {tuple(shape)} does not fit an array of shape {tuple(spec.shape)}",
                code=Code.CHUNK_MISALIGNED,
                fix=f"give {ndim} positive lengths, one for each axis",
            )
    names = spec.dimension_names
    if names is not None and len(names) != ndim:
        raise InputError(
            f"{len(names)} dimension names do not fit an array with {ndim} axes",
            code=Code.AXES_MISMATCH,
            fix="give one name for each axis",
        )
    for axis, (chunk, shard) in enumerate(zip(spec.chunk_shape, shapes["shard"], strict=True)):
        if shard % chunk:
            nearest = max(1, (shard + chunk // 2) // chunk) * chunk
            label = f"{names[axis]} (axis {axis})" if names else f"axis {axis}"
            raise InputError(
                f"chunk length {chunk} does not divide shard length {shard} on {label}",
                code=Code.CHUNK_MISALIGNED,
                fix=f"use a shard length on {label} that is a multiple of {chunk}, such as {nearest}",
            )


def checked_fill(spec: ArraySpec, dtype: np.dtype[Any]) -> np.generic:
    """Return the fill value of a new array as a scalar of its type; InputError when it does not fit."""
    value = np.asarray(spec.fill_value)
    try:
        if value.shape != ():
            raise ValueError("one value")
        if dtype.kind == "c":
            return parse_fill([complex(value).real, complex(value).imag], dtype)
        same: Any = value[()]
        scalar: np.generic = same if value.dtype == dtype else parse_fill(value.item(), dtype)
        return scalar
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{spec.fill_value!r} is no fill value for {dtype.name}: expected {error}",
            code=Code.DTYPE_RANGE,
            fix=f"use a fill value that {dtype.name} can hold, such as 0",
        ) from error
