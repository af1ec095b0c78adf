"""Shards as other formats want them: an index in front, every slot filled, chunks in an order of the format."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.codecs.crc32c import crc32c_combine, crc32c_extend
from voxarium.conversion import ConvertOptions, Target, plan, run
from voxarium.formats import zarr3
from voxarium.formats.zarr3 import Zarr3Driver
from voxarium.model.protocols import PatchableWriter, ShardLayout
from voxarium.stores.audit import AuditStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

SHAPE, CHUNK, SHARD = (19, 23, 30), (4, 5, 6), (8, 10, 18)


@pytest.fixture(params=["walk", "backwards"])
def layout(request, monkeypatch):
    """Zarr shards with the index in front, dense, and chunks in the engine's order or from last to first."""
    sharding = zarr3._sharding

    def in_front(chunk_shape, codecs):
        named = sharding(chunk_shape, codecs)
        named.configuration["index_location"] = "start"
        return named

    def laid_out(self, info):
        shards = info.details.shards
        slots = int(np.prod(shards.counts))
        order = np.arange(slots)[::-1].copy() if request.param == "backwards" else None
        return ShardLayout(head=shards.index_size, dense=True, order=order)

    monkeypatch.setattr(zarr3, "_sharding", in_front)
    monkeypatch.setattr(Zarr3Driver, "shard_layout", laid_out)
    return request.param


def volume():
    data = np.random.default_rng(3).integers(0, 255, SHAPE).astype("<u2")
    data[:9, :, :13] = 0  # whole chunks of fill value
    return data


@pytest.mark.parametrize("store", ["local", "audited", "memory"])
@pytest.mark.parametrize("batch", [True, False])
def test_dense_shards_with_the_index_in_front(layout, store, batch, tmp_path, monkeypatch):
    if not batch:
        monkeypatch.setattr(Zarr3Driver, "encode_many", lambda *_: None)
    data = volume()
    np.save(tmp_path / "em.npy", data)
    image = voxarium.open(tmp_path / "em.npy")
    laid_out = plan(
        image,
        ConvertOptions(axes=tuple("zyx"), chunk=CHUNK, shard=SHARD, levels=2, checksum=True),
    )
    place = {"local": LocalStore(tmp_path / "t"), "memory": MemoryStore()}.get(store)
    place = place or AuditStore(LocalStore(tmp_path / "t"))
    run(laid_out, image, Target(place, place, ""))
    shards = [k for k, _ in place.list("") if "/c/" in k]
    assert len(shards) == 3 * 3 * 2 + 2 * 2 * 1
    slots = 2 * 2 * 3
    for key in shards:
        table = np.frombuffer(place.get(key), "<u8", slots * 2).reshape(slots, 2)
        assert (table != 2**64 - 1).all()  # dense
        if layout == "backwards":
            assert (np.diff(table[:, 0].astype(np.int64)) < 0).all()
    if store != "memory":
        for level, expected in (("s0", data), ("s1", voxarium.open(tmp_path / "t").read(level=1))):
            spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path}/t/{level}/"}}
            assert (ts.open(spec).result().read().result() == expected).all()
    assert (voxarium.core.opening.open_in(place)[...] == data).all()


@pytest.mark.usefixtures("layout")
def test_checksums_of_objects_with_a_late_head_are_those_of_the_whole_object(tmp_path, monkeypatch):
    from voxarium.conversion.ledger import Ledger

    np.save(tmp_path / "em.npy", volume())
    image = voxarium.open(tmp_path / "em.npy")
    noted = {}
    add = Ledger.add
    monkeypatch.setattr(Ledger, "add", lambda self, done: (noted.update({done.key: done.crc32c}), add(self, done))[1])
    laid_out = plan(image, ConvertOptions(axes=tuple("zyx"), chunk=CHUNK, shard=SHARD, levels=1, checksum=True))
    store = LocalStore(tmp_path / "t")
    run(laid_out, image, Target(store, store, ""))
    assert len(noted) == 18
    for key, crc in noted.items():
        assert crc == crc32c_extend(0, store.get(key)), json.dumps(key)


@given(st.binary(max_size=200), st.binary(max_size=5000))
def test_checksums_combine(first, second):
    combined = crc32c_combine(crc32c_extend(0, first), crc32c_extend(0, second), len(second))
    assert combined == crc32c_extend(0, first + second)


@pytest.mark.parametrize("make", [MemoryStore, None])
def test_writers_that_can_go_back_do(make, tmp_path):
    store = make() if make else LocalStore(tmp_path)
    writer = store.create("a/b")
    assert isinstance(writer, PatchableWriter)
    writer.write(b"....chunks")
    writer.patch(0, b"head")
    writer.write(b" tail")
    writer.patch(4, b"C")
    writer.commit()
    assert store.get("a/b") == b"headChunks tail"
