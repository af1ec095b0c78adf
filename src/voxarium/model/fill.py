"""Fill values as the Zarr family writes them into JSON."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import numpy as np

__all__ = ["dump_fill", "parse_fill"]

_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_HEX: Final = re.compile(r"0x[0-9a-fA-F]{1,16}\Z")


def parse_fill(value: object, dtype: np.dtype[Any]) -> np.generic:
    """Return the numpy scalar that a JSON fill value means.

    Takes what Zarr v3 allows, and also integral floats for integers and 0 and 1 for booleans, which are found
    in Zarr v2 stores.

    Raises
    ------
    ValueError
        If `dtype` cannot hold the value; the message says what was expected.

    Examples
    --------
    >>> parse_fill("Infinity", np.dtype("float32"))
    np.float32(inf)
    >>> parse_fill("0x3c00", np.dtype("float16"))
    np.float16(1.0)
    """
    if dtype.kind == "b":
        if isinstance(value, (bool, int, float)) and value in (0, 1):
            return np.bool_(value)
        raise ValueError("true or false")
    if dtype.kind in "iu":
        return _integer(value, dtype)
    if dtype.kind == "f":
        return _float(value, dtype)
    if isinstance(value, list) and len(value) == 2:
        part = np.dtype(f"f{dtype.itemsize // 2}")
        both = np.array([_float(v, part) for v in value], part)
        pair: np.generic = both.view(dtype.newbyteorder("=")).reshape(-1)[0]
        return pair
    if dtype.kind == "c" and isinstance(value, (int, float, str)):
        return parse_fill([value, 0], dtype)
    raise ValueError("a pair of real and imaginary part")


def _integer(value: object, dtype: np.dtype[Any]) -> np.generic:
    limits = np.iinfo(dtype)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and limits.min <= value <= limits.max:
        scalar: np.generic = np.array([value], dtype.newbyteorder("="))[0]
        return scalar
    raise ValueError(f"an integer from {limits.min} to {limits.max}")


def _float(value: object, dtype: np.dtype[Any]) -> np.generic:
    native = dtype.newbyteorder("=")
    if isinstance(value, str):
        if value in _SPECIAL:
            return _scalar(_SPECIAL[value], native)
        if _HEX.match(value) and len(value) == 2 + 2 * dtype.itemsize:
            bits: np.generic = np.array([int(value, 16)], f"u{dtype.itemsize}").view(native)[0]
            return bits
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            scalar = _scalar(float(value), native)
        except OverflowError as error:
            raise ValueError(f"a number that {native.name} can hold") from error
        if math.isfinite(value) and not np.isfinite(scalar):
            raise ValueError(f"a number that {native.name} can hold")
        return scalar
    raise ValueError('a number, "NaN", "Infinity", "-Infinity" or hexadecimal digits of the full width')


def _scalar(value: float, dtype: np.dtype[Any]) -> np.generic:
    with np.errstate(over="ignore"):
        scalar: np.generic = np.array([value], np.float64).astype(dtype)[0]
    return scalar


def dump_fill(value: Any, *, exact_nan: bool = True) -> Any:  # Any: numpy scalar in, JSON out
    """Return the JSON form of a fill value.

    Parameters
    ----------
    value : numpy scalar
        The fill value in the array's dtype.
    exact_nan : bool
        Write unusual NaN bit patterns as hexadecimal digits, as Zarr v3 can.

    Examples
    --------
    >>> dump_fill(np.complex64(1 - 2j))
    [1.0, -2.0]
    """
    scalar = np.asarray(value)[()]
    kind = scalar.dtype.kind
    if kind == "b":
        return bool(scalar)
    if kind in "iu":
        return int(scalar)
    if kind == "c":
        return [dump_fill(scalar.real, exact_nan=exact_nan), dump_fill(scalar.imag, exact_nan=exact_nan)]
    if np.isnan(scalar):
        usual = np.array(math.nan, scalar.dtype)
        if exact_nan and scalar.tobytes() != usual.tobytes():
            return "0x" + np.array([scalar], scalar.dtype.newbyteorder(">")).tobytes().hex()
        return "NaN"
    if np.isinf(scalar):
        return "Infinity" if scalar > 0 else "-Infinity"
    return float(scalar)
