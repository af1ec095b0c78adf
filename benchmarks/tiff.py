"""TIFF → OME-Zarr against the same volume from uncompressed Zarr: 4 GiB, 5 levels, sharded Zarr v3, zstd level 1.

The volumes are streamed to disk, 64 planes at a time, so that making them needs no memory either. `peak_anon_mb` is the
most memory of the process that is not a mapped file. VOXARIUM_TIFF_PLANES=64 makes a small run.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import anonymous_mb, case, main, tree, wipe

warnings.filterwarnings("ignore")
PLANES = int(os.environ.get("VOXARIUM_TIFF_PLANES", "1024"))
SHAPE = (PLANES, 2048, 2048)
LAYOUTS: dict[str, dict[str, Any]] = {
    "one piece": {},
    "pages apart": {"contiguous": False},
    "deflated tiles": {"tile": (256, 256), "compression": "zlib", "compressionargs": {"level": 1}},
}


def planes() -> Iterator[np.ndarray]:
    """Yield planes that compress like electron microscopy does: smooth structures with noise."""
    random = np.random.default_rng(0)
    coarse = random.integers(40, 200, (3072 // 16, 3072 // 16)).astype(np.float32)
    smooth = np.kron(coarse, np.ones((16, 16), np.float32))
    for _ in range(2):
        smooth = (smooth + np.roll(smooth, 5, 0) + np.roll(smooth, 5, 1) + np.roll(smooth, -5, 0)) / 4
    noise = random.normal(0, 6, (2048 + 512, 2048)).astype(np.float32)
    for z in range(PLANES):
        y, x = (z * 3) % 1024, (z * 2) % 1024
        plane = smooth[y : y + 2048, x : x + 2048] + noise[(z * 7) % 512 :][:2048]
        yield np.clip(plane, 0, 255).astype(np.uint8)


def tiff_file(data: Path, name: str) -> Path:
    import tifffile

    path = data / f"volume_{PLANES}_{name.replace(' ', '_')}.tif"
    if path.exists():
        return path
    partial = path.with_suffix(".partial")
    options = dict(LAYOUTS[name])
    with tifffile.TiffWriter(partial, bigtiff=True) as writer:
        if options:
            for plane in planes():
                writer.write(plane, metadata=None, photometric="minisblack", **({"contiguous": False} | options))
        else:
            writer.write(planes(), shape=SHAPE, dtype=np.uint8, photometric="minisblack")
    partial.rename(path)
    return path


def raw_zarr(data: Path) -> Path:
    import tensorstore as ts

    path = data / f"volume_{PLANES}_raw.zarr"
    if (path / "done").exists():
        return path
    wipe(path)
    array = ts.open(
        {"driver": "zarr3", "kvstore": f"file://{path}/"},
        create=True,
        dtype=ts.uint8,
        shape=SHAPE,
        chunk_layout=ts.ChunkLayout(chunk_shape=[64, 64, 64]),
        codec=ts.CodecSpec({"driver": "zarr3", "codecs": [{"name": "bytes"}]}),
    ).result()
    slab, start = [], 0
    for plane in planes():
        slab.append(plane)
        if len(slab) == 64 or start + len(slab) == PLANES:
            array[start : start + len(slab)].write(np.stack(slab)).result()
            start, slab = start + len(slab), []
    (path / "done").touch()
    return path


class Watch:
    """Looks at the memory of this process many times a second."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._going = True
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while self._going:
            self.peak = max(self.peak, anonymous_mb())
            time.sleep(0.02)

    def stop(self) -> float:
        self._going = False
        return round(self.peak)


def job(source: Path, work: Path, **choices: Any):
    import voxarium

    options = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 64, "shard": 512, "levels": 5} | choices
    np.save(work / "warm.npy", np.zeros((70, 70, 70), np.uint8))
    small = options | {"levels": 3} | ({"chunk": 32, "shard": 64} if "format" not in choices else {})
    wipe(work / "warm")
    warm = work / ("warm.ome.tif" if "format" in choices else "warm")
    warm.unlink(missing_ok=True) if warm.is_file() else None
    voxarium.convert(work / "warm.npy", warm, **small)
    out = work / ("out.ome.tif" if "format" in choices else "out")
    watch = Watch()

    def run() -> None:
        voxarium.convert(source, out, threads=2, **options)

    def before() -> None:
        wipe(out)
        out.unlink(missing_ok=True)
        os.sync()

    def after() -> dict[str, Any]:
        files, size = (1, out.stat().st_size) if out.is_file() else tree(out)
        before()
        return {"peak_anon_mb": watch.stop(), "files": files, "MB": round(size / 1e6, 1)}

    return run, before, after


for _name in LAYOUTS:

    @case(f"tiff/{_name}", voxels=PLANES * 2048 * 2048)
    def _tiff(data: Path, work: Path, name: str = _name):
        return job(tiff_file(data, name), work)


@case("tiff/raw Zarr", voxels=PLANES * 2048 * 2048)
def _raw(data: Path, work: Path):
    return job(raw_zarr(data), work)


@case("tiff/OME-TIFF written", voxels=PLANES * 2048 * 2048, repeat=1)
def _written(data: Path, work: Path):
    choices = {"format": "ome-tiff", "chunk": 256, "shard": None}
    return job(tiff_file(data, "one piece"), work, **choices)


if __name__ == "__main__":
    main()
