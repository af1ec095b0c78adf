"""Fixtures of the tests of TIFF files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import voxarium
from voxarium.model.box import Box
from voxarium.stores.local import LocalStore


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
def reads_like(tmp_path: Path) -> Callable[..., Any]:
    """A function that opens a file and compares many regions of every kind with what is expected."""

    def check(path: str, expected: NDArray[Any], **options: Any) -> voxarium.Image:
        image = voxarium.open(tmp_path / path, **options)
        assert isinstance(image, voxarium.Image)
        assert image.shape == expected.shape
        assert image.dtype == expected.dtype.newbyteorder("=") and image.dtype.isnative
        chunk = image.arrays[0].info.chunk_shape
        assert len(chunk) == image.ndim and all(0 < c <= max(n, 1) for c, n in zip(chunk, image.shape, strict=True))
        for box in boxes(image.shape):
            np.testing.assert_array_equal(image.read(box), expected[box.slices])
            # A target that is not contiguous, as when a region is read into part of a larger block.
            wide = np.zeros(tuple(n + 2 for n in box.shape), image.dtype)
            part = wide[tuple(slice(1, n + 1) for n in box.shape)]
            image.read(box, out=part)
            np.testing.assert_array_equal(part, expected[box.slices])
            assert not wide[0].any()
        return image

    return check
