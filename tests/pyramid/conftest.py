"""Slow references in plain Python, which share nothing with the kernels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]


def _bits(v: Any) -> int:
    return int(v.view(f"i{v.itemsize}")) if v.dtype.kind == "f" else int(v)


def _rank(v: Any) -> int:
    b = _bits(v)
    return b if v.dtype.kind != "f" or b >= 0 else -(b & (2 ** (8 * v.itemsize - 1) - 1)) - 1


def ref_mean(w: Array) -> Any:
    if w.dtype.kind != "f":
        return round(Fraction(sum(int(v) for v in w.flat), w.size))  # Python rounds fractions half to even
    rows = w.astype(np.float64).reshape(-1, w.shape[-1])
    acc = rows[0]
    for row in rows[1:]:
        acc = acc + row
    total = acc[0]
    for v in acc[1:]:
        total = total + v
    return total / w.size


def ref_median(w: Array) -> Any:
    if w.dtype.kind == "f" and np.isnan(w).any():
        return math.nan
    s = sorted((v for v in w.flat), key=_rank)
    a, b = s[(len(s) - 1) // 2], s[len(s) // 2]
    if w.dtype.kind != "f":
        return round(Fraction(int(a) + int(b), 2))
    if _bits(a) == _bits(b):
        return a
    middle = (float(a) + float(b)) / 2
    return float(a) / 2 + float(b) / 2 if math.isinf(middle) else middle


def ref_mode(w: Array, ignore_zero: bool = False) -> Any:
    values = list(w.flat)
    if ignore_zero:
        values = [v for v in values if v != 0] or [abs(v) if w.dtype.kind == "f" else v for v in values]
    count = Counter(_bits(v) for v in values)
    best = max(count.values())
    return min((v for v in values if count[_bits(v)] == best), key=_rank)


def ref_min(w: Array) -> Any:
    return math.nan if w.dtype.kind == "f" and np.isnan(w).any() else min(w.flat, key=_rank)


def ref_max(w: Array) -> Any:
    return math.nan if w.dtype.kind == "f" and np.isnan(w).any() else max(w.flat, key=_rank)


def ref_stride(w: Array) -> Any:
    return w.flat[0]


def reduce(array: Array, factors: tuple[int, ...], function: Callable[[Array], Any]) -> Array:
    """Apply `function` to every window."""
    result = np.empty(tuple(-(-n // f) for n, f in zip(array.shape, factors, strict=True)), array.dtype)
    with np.errstate(all="ignore"):
        for index in np.ndindex(result.shape):
            part = tuple(slice(i * f, i * f + f) for i, f in zip(index, factors, strict=True))
            result[index] = function(array[part])
    return result


@pytest.fixture(scope="session")
def reference() -> SimpleNamespace:
    return SimpleNamespace(
        mean=ref_mean,
        median=ref_median,
        mode=ref_mode,
        min=ref_min,
        max=ref_max,
        stride=ref_stride,
        reduce=reduce,
    )


def _samples(seed: int, shape: tuple[int, ...], dtype: str, kind: str) -> Array:
    rng = np.random.default_rng(seed)
    dt = np.dtype(dtype)
    if kind == "few":  # labels: long runs and ties
        return rng.integers(0, 3, shape).astype(dt)
    if dt.kind == "b":
        return rng.integers(0, 2, shape).astype(dt)
    if dt.kind in "iu":
        info = np.iinfo(dt)
        if kind == "ends":
            pool = np.array([info.min, info.min + 1, info.max - 1, info.max, 0, info.max // 2 + 1], dt)
            return rng.choice(pool, shape)
        return rng.integers(info.min, info.max, shape, dt, endpoint=True)
    if kind == "ends":
        pool = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1.5, -2.5, np.finfo(dt).tiny / 4], dt)
        return rng.choice(pool, shape, p=[0.2, 0.1, 0.05, 0.05, 0.03, 0.02, 0.25, 0.2, 0.1])
    return (rng.standard_normal(shape) * 1000).astype(dt)


@pytest.fixture(scope="session")
def samples() -> Callable[[int, tuple[int, ...], str, str], Array]:
    """Make voxels: `kind` is few (three values), ends (the extremes of the dtype), or any."""
    return _samples
