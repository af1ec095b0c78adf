"""A small store, and writing and reading of whole arrays through the drivers' protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxarium.errors import Code, StoreError
from voxarium.model.array_specs import join_key
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.keys import resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat, WritableArrayDriver

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


class DictStore:
    """Objects in a dict; counts requests."""

    def __init__(self, objects: dict[str, bytes] | None = None, concurrency: int = 1) -> None:
        self.objects = {} if objects is None else objects
        self.concurrency = concurrency
        self.requests: list[tuple[str, str]] = []

    uri = "dict:"

    def get(self, key: str, /) -> bytes | None:
        self.requests.append(("get", key))
        return self.objects.get(key)

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> list[memoryview] | None:
        self.requests.append(("ranges", key))
        data = self.objects.get(key)
        if data is None:
            return None
        return [memoryview(data)[slice(*resolve_range(r, len(data)))] for r in ranges]

    def stat(self, key: str, /) -> ObjectStat | None:
        self.requests.append(("stat", key))
        data = self.objects.get(key)
        return None if data is None else ObjectStat(len(data), str(hash(data)))


class BrokenStore(DictStore):
    """Fails on every request."""

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> list[memoryview] | None:
        raise StoreError("no route", code=Code.STORE_UNREADABLE, fix="try again")


class DictCache:
    """Keeps every index."""

    def __init__(self) -> None:
        self.kept: dict[str, object] = {}

    def get(self, store: Any, key: str, load: Callable[[], object | None], /) -> object | None:
        if key not in self.kept:
            found = load()
            if found is None:
                return None
            self.kept[key] = found
        return self.kept[key]


def load_folder(folder: Path) -> DictStore:
    return DictStore({str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()})


def save_folder(store: DictStore, folder: Path) -> None:
    for key, data in store.objects.items():
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def read_array(driver: Any, store: Any, path: str = "") -> np.ndarray[Any, Any]:
    """Read through locate, get_ranges and decode, with scratch, as the core does."""
    info = driver.open(store, path)
    out = np.full(info.shape, info.fill_value, info.dtype)
    grid = ChunkGrid(info.shape, info.chunk_shape)
    indices = list(grid.indices())
    scratch = np.empty(info.chunk_shape, info.dtype)
    for index, span in zip(indices, driver.locate(store, path, info, indices, DictCache()), strict=True):
        if span is None:
            continue
        payload = store.get(span.key)
        if payload is None:
            continue
        if span.length is not None:
            payload = memoryview(payload)[span.start : span.start + span.length]
        chunk = driver.decode(info, payload, out=scratch)
        assert chunk.shape == info.chunk_shape
        assert chunk.dtype == info.dtype
        box = grid.clipped_box(index)
        out[box.slices] = chunk[tuple(slice(0, n) for n in box.shape)]
    return out


def write_info(driver: Any, store: DictStore, path: str, info: ArrayInfo, data: np.ndarray[Any, Any]) -> None:
    """Write objects as the engine does: shards assembled from payloads, index last or first."""
    objects = ChunkGrid(info.shape, info.object_shape)
    for index in objects.indices():
        box = objects.box(index)
        full = np.full(box.shape, info.fill_value, info.dtype)
        inside = objects.clipped_box(index)
        full[inside.relative_to(box.origin).slices] = data[inside.slices]
        key = driver.object_key(path, info, index)
        store.objects[key] = encode_object(driver, info, full)


def encode_object(driver: WritableArrayDriver, info: ArrayInfo, full: np.ndarray[Any, Any]) -> bytes:
    if info.shard_shape is None:
        return bytes(memoryview(driver.encode(info, full)))
    size = driver.shard_layout(info).head
    grid = ChunkGrid(full.shape, info.chunk_shape)
    table = np.full((grid.size, 2), 2**64 - 1, np.uint64)
    body = bytes(size)
    for row, index in enumerate(grid.indices()):
        payload = bytes(memoryview(driver.encode(info, np.ascontiguousarray(full[grid.box(index).slices]))))
        table[row] = len(body), len(payload)
        body += payload
    head, tail = driver.pack_shard(info, (0,) * info.ndim, table)
    assert len(head) == size
    return head + body[size:] + tail


def write_array(
    driver: WritableArrayDriver, store: DictStore, path: str, spec: ArraySpec, data: np.ndarray[Any, Any]
) -> ArrayInfo:
    info = driver.create(spec)
    for key, document in driver.dump(path, info).items():
        store.objects[key] = document
    write_info(driver, store, path, info, data)
    return info


def sample(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return compressible values with every bit used somewhere."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.choice(np.array([limits.min, limits.max, 0, 1, 3, limits.max // 3], dtype), shape)
    values = rng.choice(np.array([0.0, -0.0, 1.5, -2.25, np.inf, 1e-3]), shape)
    return values.astype(dtype) if dtype.kind == "f" else (values + 1j).astype(dtype)


class Kit:
    """What test modules take from here; test folders are no packages, so they cannot import it."""

    DictStore, BrokenStore, DictCache = DictStore, BrokenStore, DictCache
    load_folder, save_folder = staticmethod(load_folder), staticmethod(save_folder)
    read, write, write_info = staticmethod(read_array), staticmethod(write_array), staticmethod(write_info)
    encode_object, sample, join = staticmethod(encode_object), staticmethod(sample), staticmethod(join_key)
    shared = SHARED


@pytest.fixture
def kit() -> type[Kit]:
    return Kit
