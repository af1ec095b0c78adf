"""Fixtures of the tests of microscope formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voxarium.model.box import Box
from voxarium.stores.local import LocalStore

Check = Callable[..., Any]


def boxes(shape: tuple[int, ...]) -> list[Box]:
    """The whole array, its last voxel, and odd parts of it."""
    whole = Box.whole(shape)
    last = Box(tuple(n - 1 for n in shape), (1,) * len(shape))
    middle = Box(tuple(n // 3 for n in shape), tuple(max(1, n // 2) for n in shape)).intersection(whole)
    thin = Box((0,) * len(shape), (*shape[:-1], 1))
    slab = Box((shape[0] // 2, *(0,) * (len(shape) - 1)), (1, *shape[1:]))
    return [whole, last, middle, thin, slab]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store over an empty folder."""
    return LocalStore(tmp_path)


@pytest.fixture
def reads_like(store: LocalStore) -> Check:
    """A function that opens `path` with a driver and compares many regions with `expected`."""

    def check(driver: Any, path: str, expected: NDArray[Any], **options: Any) -> Any:
        info = driver.open(store, path, **options)
        assert info.shape == expected.shape
        assert info.dtype == expected.dtype.newbyteorder("=")
        assert info.dtype.isnative
        assert len(info.chunk_shape) == info.ndim
        assert all(0 < c <= max(n, 1) for c, n in zip(info.chunk_shape, info.shape, strict=True))
        for box in boxes(info.shape):
            out = np.empty(box.shape, info.dtype)
            driver.read_region(store, path, info, box, out)
            np.testing.assert_array_equal(out, expected[box.slices])
            # A target that is not contiguous, as when a region is read into part of a larger block.
            wide = np.zeros(tuple(n + 2 for n in box.shape), info.dtype)
            part = wide[tuple(slice(1, n + 1) for n in box.shape)]
            driver.read_region(store, path, info, box, part)
            np.testing.assert_array_equal(part, expected[box.slices])
            assert not wide[0].any()
        box = Box.whole(info.chunk_shape)
        np.testing.assert_array_equal(driver.read_chunk(store, path, info, box), expected[box.slices])
        return info

    return check
