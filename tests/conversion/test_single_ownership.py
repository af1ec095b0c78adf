"""Whatever the sizes, chunks, shards, blocks and threads: no wrong voxel, one write per object, one read per chunk."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.conversion import ConvertOptions, Target, plan, run
from voxarium.core.executor import ThreadExecutor
from voxarium.core.opening import open_in
from voxarium.formats.zarr3 import Zarr3Driver
from voxarium.model.image import ArraySpec
from voxarium.pyramid import downsample
from voxarium.stores.audit import AuditStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore


def write_zarr(store, data: np.ndarray, chunk: tuple[int, ...], codec: str = "zstd:1") -> None:
    """Write a plain Zarr v3 array of chunk files."""
    driver = Zarr3Driver()
    info = driver.create(
        ArraySpec(shape=data.shape, dtype=data.dtype, chunk_shape=chunk, codec=codec, dimension_names=("z", "y", "x"))
    )
    for key, document in driver.dump("", info).items():
        store.put(key, document)
    for index in np.ndindex(*(-(-n // c) for n, c in zip(data.shape, chunk, strict=True))):
        full = np.zeros(chunk, data.dtype)
        part = data[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunk, strict=True))]
        full[tuple(slice(0, n) for n in part.shape)] = part
        store.put(driver.object_key("", info, index), bytes(driver.encode(info, full)))


@st.composite
def jobs(draw):
    chunk = draw(st.tuples(*[st.sampled_from([4, 5, 8, 12, 16])] * 3))
    return {
        "shape": draw(st.tuples(*[st.integers(1, 61)] * 3)),
        "chunk": chunk,
        "shard": draw(
            st.one_of(st.just((0,)), st.tuples(*[st.sampled_from([c * k for k in (1, 2, 3)]) for c in chunk]))
        ),
        "source_chunk": draw(st.tuples(*[st.sampled_from([4, 7, 8, 16, 64])] * 3)),
        "factors": draw(st.sampled_from([(2, 2, 2), (1, 2, 2), (2, 2, 1), (3, 2, 1), (4, 4, 4), (1, 1, 3)])),
        "levels": draw(st.integers(1, 5)),
        "threads": draw(st.sampled_from([1, 2, 5])),
        "memory": draw(st.sampled_from([1, 1 << 30])),
        "method": draw(st.sampled_from(["mean", "mode", "max", "stride", "gaussian"])),
        "codec": draw(st.sampled_from(["zstd:1", "none"])),
        "crop": draw(st.booleans()),
        "seed": draw(st.integers(0, 9)),
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs())
def test_no_wrong_voxel_and_every_object_written_once(job):
    rng = np.random.default_rng(job["seed"])
    data = rng.integers(0, 4, job["shape"]).astype(np.uint8)
    data[: job["shape"][0] // 2] = 0
    source_store, target_store = AuditStore(MemoryStore()), AuditStore(MemoryStore())
    write_zarr(source_store, data, job["source_chunk"])
    source_store.reset()
    image = open_in(source_store)
    crop = None
    if job["crop"] and min(job["shape"]) > 2:
        crop = voxarium.Box((1, 0, 1), tuple(n - 2 for n in job["shape"]))
        data = data[crop.slices]
    options = ConvertOptions(
        chunk=job["chunk"], shard=job["shard"], factors=job["factors"], levels=job["levels"], method=job["method"],
        codec=job["codec"], memory=job["memory"], voxel_size=(8.0,), unit="nanometer", crop=crop,
    )  # fmt: skip
    laid_out = plan(image, options)
    source_store.reset()
    run(laid_out, image, Target(target_store, target_store, ""), executor=ThreadExecutor(job["threads"]))
    reads = {k: n for k, n in source_store.reads_per_key.items() if k.startswith("c/")}
    writes = dict(target_store.writes_per_key)
    found = open_in(target_store)
    assert len(found.levels) == len(laid_out.levels)
    expected = data
    for i, level in enumerate(laid_out.levels):
        if i:
            expected = downsample(expected, level.factors, job["method"])
        assert np.array_equal(found.read(level=i), expected), f"level {i}"
    again = {k: n for k, n in writes.items() if n != 1 and not k.startswith(".voxarium/")}
    assert not again
    assert not [k for k, _ in target_store.list("") if k.startswith(".voxarium")]
    if laid_out.reread == 1.0:
        assert all(n == 1 for n in reads.values())
    assert sum(reads.values()) <= math.ceil(laid_out.requests * 1.001)


@pytest.mark.parametrize("threads", [1, 4])
def test_bytes_do_not_depend_on_threads(tmp_path, threads):
    data = np.random.default_rng(0).integers(0, 200, (70, 90, 110)).astype(np.uint8)
    np.save(tmp_path / "a.npy", data)
    trees = []
    for name, n in (("one", 1), ("many", threads + 1)):
        voxarium.convert(
            tmp_path / "a.npy",
            tmp_path / name,
            axes="zyx",
            voxel_size=4,
            unit="nanometer",
            chunk=16,
            shard=32,
            threads=n,
            memory=1,
            name="a",
        )
        store = LocalStore(tmp_path / name)
        trees.append({key: store.get(key) for key, _ in store.list("")})
    assert trees[0] == trees[1]


def test_payloads_pass_through_undecoded(tmp_path):
    data = np.random.default_rng(0).integers(0, 200, (40, 50, 30)).astype(np.uint8)
    source = LocalStore(tmp_path / "source")
    write_zarr(source, data, (16, 16, 16))
    laid_out = plan(voxarium.open(tmp_path / "source"), ConvertOptions(chunk=(16,), shard=(32,), voxel_size=(1.0,)))
    assert laid_out.pass_through
    voxarium.convert(tmp_path / "source", tmp_path / "target", chunk=16, shard=32, voxel_size=1)
    found = voxarium.open(tmp_path / "target")
    assert np.array_equal(found[:], data)
    payload = dict(found.level(0).payloads([(0, 1, 0)]))[(0, 1, 0)]
    assert bytes(payload) == source.get("c/0/1/0")
