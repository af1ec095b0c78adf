"""Arrays written here and read by others, and the other way round."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
from hypothesis import given
from hypothesis import strategies as st

from voxarium.core.array import Array
from voxarium.formats.n5 import N5Driver
from voxarium.model.box import Box
from voxarium.spec.n5 import VERSION, parse_block_header
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

pytestmark = pytest.mark.oracle

N5 = N5Driver()
DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
CODECS = ["gzip:5", "zstd:3", "blosc:lz4:5", "blosc:zstd:1:bitshuffle", "xz:1", "bzip2", "raw"]
SHAPE, CHUNK = (7, 10, 13), (2, 4, 3)


def same(a: Any, b: Any) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a.view("u1"), b.view("u1"))


@pytest.mark.parametrize("codec", [*CODECS, "lz4", "lz4:64", None])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_written_is_read_again(kit: Any, dtype: str, codec: str | None) -> None:
    store = MemoryStore()
    data = kit.sample(SHAPE, dtype)
    info = kit.write(store, "deep/er", data, CHUNK, **({} if codec is None else {"codec": codec}))
    array = Array(N5, store, "deep/er", N5.open(store, "deep/er"))
    assert array.info.codecs == info.codecs
    assert same(array.read(), data)
    assert same(array.read(Box((1, 3, 2), (5, 6, 11)), threads=2), data[1:6, 3:9, 2:13])
    assert N5.dump("deep/er", array.info) == N5.dump("deep/er", info)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensorstore_reads_what_is_written(kit: Any, tmp_path: Path, dtype: str) -> None:
    data = kit.sample(SHAPE, dtype)
    store = LocalStore(tmp_path)
    for codec in CODECS:
        path = codec.replace(":", "-")
        kit.write(store, path, data, CHUNK, codec=codec, attributes={"resolution": [4, 4, 40]})
        opened = tensorstore.open({"driver": "n5", "kvstore": f"file://{tmp_path / path}/"}).result()
        assert same(np.ascontiguousarray(np.asarray(opened.read().result()).T), data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "compression",
    [
        {"type": "raw"},
        {"type": "gzip"},
        {"type": "gzip", "useZlib": True},
        {"type": "bzip2"},
        {"type": "xz"},
        {"type": "zstd", "level": 1},
        {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 2},
    ],
    ids=lambda c: c["type"],
)
def test_what_tensorstore_writes_is_read(kit: Any, tmp_path: Path, dtype: str, compression: dict[str, Any]) -> None:
    data = kit.sample(SHAPE, dtype)
    metadata = {
        "dimensions": list(SHAPE[::-1]),
        "blockSize": list(CHUNK[::-1]),
        "dataType": np.dtype(dtype).name,
        "compression": compression,
    }
    spec = {"driver": "n5", "kvstore": f"file://{tmp_path}/a/", "metadata": metadata}
    tensorstore.open(spec, create=True).result().write(data.T).result()
    store = LocalStore(tmp_path)
    assert same(Array(N5, store, "a", N5.open(store, "a")).read(), data)


def test_blocks_at_the_end_are_written_cut_to_the_array(kit: Any) -> None:
    store = MemoryStore()
    info = kit.write(store, "a", kit.sample(SHAPE, "u2"), CHUNK, codec="raw")
    payload = store.get(N5.object_key("a", info, (3, 2, 4))) or b""
    assert parse_block_header(payload, CHUNK).shape == (1, 2, 1)
    assert len(payload) == 16 + 2 * 2


@pytest.mark.parametrize("codec", [*CODECS[:4], CODECS[5], "raw"])
def test_z5py_reads_what_is_written(kit: Any, tmp_path: Path, codec: str) -> None:
    z5py = pytest.importorskip("z5py", reason="z5py is not installed")
    data = kit.sample(SHAPE, "u2")
    store = LocalStore(tmp_path)
    store.put("c.n5/attributes.json", json.dumps({"n5": VERSION}).encode())
    kit.write(store, "c.n5/a", data, CHUNK, codec=codec)
    assert same(np.ascontiguousarray(z5py.File(str(tmp_path / "c.n5"), mode="r")["a"][:]), data)


@given(st.data())
def test_any_shape_survives(data: st.DataObject) -> None:
    from voxarium.model.grid import ChunkGrid
    from voxarium.model.image import ArraySpec

    ndim = data.draw(st.integers(1, 5))
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=ndim, max_size=ndim)))
    chunk = tuple(data.draw(st.lists(st.integers(1, 7), min_size=ndim, max_size=ndim)))
    dtype = data.draw(st.sampled_from(DTYPES))
    codec = data.draw(st.sampled_from([*CODECS, "lz4:64"]))
    voxels = np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    info = N5.create(ArraySpec(shape=shape, dtype=np.dtype(dtype), chunk_shape=chunk, codec=codec))
    store = MemoryStore(N5.dump("a", info))
    grid = ChunkGrid(shape, chunk)
    for index in grid.indices():
        if data.draw(st.booleans()):
            box = grid.clipped_box(index)
            store.put(N5.object_key("a", info, index), N5.encode(info, voxels[box.slices]))
        else:
            voxels[grid.clipped_box(index).slices] = 0
    assert same(Array(N5, store, "a", N5.open(store, "a")).read(), voxels)


@pytest.mark.parametrize("codec", [*CODECS, "lz4"])
def test_payloads_can_be_checked_without_decoding(kit: Any, codec: str) -> None:
    """Settings of codecs must not shadow their check: that of xz did."""
    store = MemoryStore()
    info = kit.write(store, "a", kit.sample(SHAPE, "u2"), CHUNK, codec=codec)
    for index in ((0, 0, 0), (3, 2, 4)):
        N5.check(info, store.get(N5.object_key("a", info, index)) or b"")
