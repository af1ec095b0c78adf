"""Small N5 containers in memory, and writing of whole arrays through the driver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxarium.core.array import Array
from voxarium.formats.n5 import N5Driver
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.stores.memory import MemoryStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
N5 = N5Driver()


def document(shape: tuple[int, ...], blocks: tuple[int, ...], dtype: str = "uint16", **more: Any) -> bytes:
    """Return an attributes.json; shapes in C order."""
    keys = {"dimensions": shape[::-1], "blockSize": blocks[::-1], "dataType": dtype, "compression": {"type": "raw"}}
    return json.dumps({k: v for k, v in (keys | more).items() if v is not None}).encode()


def opened(store: MemoryStore, path: str = "a") -> Array:
    return Array(N5, store, path, N5.open(store, path))


def write_array(store: Any, path: str, data: np.ndarray[Any, Any], chunk: tuple[int, ...], **more: Any) -> ArrayInfo:
    """Write an array as the engine does: chunks at the end of an axis cut to it."""
    info = N5.create(ArraySpec(shape=data.shape, dtype=data.dtype, chunk_shape=chunk, **more))
    for key, content in N5.dump(path, info).items():
        store.put(key, content)
    grid = ChunkGrid(info.shape, info.chunk_shape)
    for index in grid.indices():
        part = data[grid.clipped_box(index).slices]
        store.put(N5.object_key(path, info, index), N5.encode(info, part))
    return info


def sample(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return compressible values with every bit used somewhere."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.choice(np.array([limits.min, limits.max, 0, 1, 3, limits.max // 3], dtype), shape)
    return rng.choice(np.array([0.0, -0.0, 1.5, -2.25, np.inf, 1e-3], dtype), shape)


class Kit:
    """What test modules take from here; test folders are no packages, so they cannot import it."""

    driver, shared = N5, SHARED
    document, opened, write, sample = map(staticmethod, (document, opened, write_array, sample))


@pytest.fixture
def kit() -> type[Kit]:
    return Kit
