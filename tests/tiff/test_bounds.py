"""Conversions of TIFF files read each byte about once, and need memory for what they work on, not for the file."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
import tifffile

import voxarium
from voxarium.conversion.running import plan_for
from voxarium.core.opening import open_image
from voxarium.stores.memory import MemoryStore

MEMORY = 12 << 20
SHAPE = (64, 512, 512)


class Counting(MemoryStore):
    """Far away, and counting."""

    def __init__(self):
        super().__init__()
        self.read = 0
        self._counting = threading.Lock()

    def get_ranges(self, key, ranges, /):
        found = super().get_ranges(key, ranges)
        with self._counting:
            self.read += sum(memoryview(part).nbytes for part in found)
        return found


@pytest.fixture(scope="module")
def volume():
    return np.random.default_rng(1).integers(0, 50, SHAPE, np.uint8)


LAYOUTS = {
    "one piece": {},
    "pages apart": {"contiguous": False},
    "tiles": {"contiguous": False, "tile": (128, 128), "compression": "zlib", "compressionargs": {"level": 1}},
    "strips": {"contiguous": False, "rowsperstrip": 64, "compression": "zlib", "compressionargs": {"level": 1}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("format", ["ome-zarr", "ome-tiff"])
def test_memory_is_bounded_and_the_source_is_read_once(tmp_path, volume, layout, format):
    options = LAYOUTS[layout]
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=True) as writer:
        if options:
            for plane in volume:
                writer.write(plane, metadata=None, photometric="minisblack", **options)
        else:
            writer.write(volume, photometric="minisblack")
    store = Counting()
    store.put("a.tif", (tmp_path / "a.tif").read_bytes())
    size = store.stat("a.tif").size
    shard = {"shard": 128} if format == "ome-zarr" else {}
    choices = {"format": format, "axes": "zyx", "chunk": 64, "codec": "none", "levels": 2, **shard}
    voxarium.convert(open_image(store, "a.tif"), tmp_path / "warm.tif", memory=MEMORY, threads=1, **choices)
    plan = plan_for(open_image(store, "a.tif"), str(tmp_path / "out.tif"), choices | {"memory": MEMORY})
    store.read = 0
    tracemalloc.start()
    try:
        image = open_image(store, "a.tif")
        opened = store.read
        voxarium.convert(image, tmp_path / "out.tif", memory=MEMORY, threads=1, **choices)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert opened < size * 0.3 or layout != "one piece"
    assert store.read - opened <= size * plan.reread * 1.1 + 100_000
    assert peak < volume.nbytes * 0.75  # what one thread works on, not what the file holds
    target = voxarium.open(tmp_path / "out.tif")
    np.testing.assert_array_equal(target[::17], volume[::17])
