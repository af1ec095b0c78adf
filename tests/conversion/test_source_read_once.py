"""What is read of a source: each slice, and each HDF5 chunk, once."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from PIL import Image as Picture

import voxarium
from voxarium.conversion import ConvertOptions, Target, plan, run
from voxarium.core.executor import ThreadExecutor
from voxarium.core.opening import open_in
from voxarium.formats.hdf5 import Hdf5Driver
from voxarium.stores.audit import AuditStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

OPTIONS = {"axes": ("z", "y", "x"), "chunk": (16,), "shard": (32,), "voxel_size": (1.0,)}


@pytest.mark.parametrize("threads", [1, 3])
def test_each_slice_of_a_stack_is_read_once(tmp_path, threads):
    data = np.random.default_rng(0).integers(0, 255, (37, 90, 110)).astype(np.uint8)
    for i, plane in enumerate(data):
        Picture.fromarray(plane).save(tmp_path / f"s{i}.png")
    source, target = AuditStore(LocalStore(tmp_path)), MemoryStore()
    image = open_in(source)
    laid_out = plan(image, ConvertOptions(**OPTIONS))
    assert laid_out.reread == 1.0
    source.reset()
    run(laid_out, image, Target(target, target, ""), executor=ThreadExecutor(threads))
    assert dict(source.reads_per_key) == {f"s{i}.png": 1 for i in range(37)}
    assert np.array_equal(open_in(target).read(), data)


def test_a_stack_too_large_for_its_memory_says_how_often_slices_are_read(tmp_path):
    for i in range(20):
        Picture.fromarray(np.full((90, 110), i, np.uint8)).save(tmp_path / f"s{i}.png")
    source, target = AuditStore(LocalStore(tmp_path)), MemoryStore()
    image = open_in(source)
    laid_out = plan(image, ConvertOptions(**OPTIONS, memory=1))
    source.reset()
    run(laid_out, image, Target(target, target, ""), executor=ThreadExecutor(2))
    assert laid_out.reread > 1
    assert any("read" in note for note in laid_out.notes)
    assert sum(source.reads_per_key.values()) == round(20 * laid_out.reread)


def test_each_hdf5_chunk_is_read_once(tmp_path, monkeypatch):
    data = np.random.default_rng(0).integers(0, 9, (50, 61, 72)).astype(np.int32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", data=data, chunks=(10, 24, 36), compression="gzip")
    seen = np.zeros((5, 3, 2), int)
    read = Hdf5Driver.read_region

    def counted(self, store, path, info, box, out, /):
        for index in voxarium.open_array(store, path).grid.indices(box):
            seen[index] += 1
        return read(self, store, path, info, box, out)

    monkeypatch.setattr(Hdf5Driver, "read_region", counted)
    image, target = voxarium.open(f"{tmp_path}/a.h5::/v"), MemoryStore()
    laid_out = plan(image, ConvertOptions(**OPTIONS, role="label"))
    assert laid_out.reread == 1.0
    run(laid_out, image, Target(target, target, ""), executor=ThreadExecutor(2))
    assert (seen == 1).all()
    assert np.array_equal(open_in(target).read(), data)
