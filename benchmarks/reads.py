"""Cutouts and scans, local files: random 64³ and 256³ boxes and a full scan, warm and cold page cache."""

from __future__ import annotations

import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import case, main

warnings.filterwarnings("ignore")
STORES = ("shard_64", "shard_32", "zarr_64", "zarr_32")
Reader = Callable[[tuple[int, int, int], int], np.ndarray]


def drop(path: Path) -> None:
    """Remove a store from the page cache."""
    for file in path.rglob("*"):
        if file.is_file():
            fd = os.open(file, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def voxarium_reader(path: Path) -> Reader:
    import voxarium
    from voxarium import Box

    image = voxarium.open(path)
    return lambda o, n: image.read(Box(o, (n, n, n)))


def tensorstore_reader(path: Path) -> Reader:
    import tensorstore as ts

    context = ts.Context({"data_copy_concurrency": {"limit": 2}})
    array = ts.open(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}, context=context, read=True
    ).result()
    return lambda o, n: array[o[0] : o[0] + n, o[1] : o[1] + n, o[2] : o[2] + n].read().result()


def zarr_reader(path: Path) -> Reader:
    import zarr

    array = zarr.open_array(str(path), mode="r")
    return lambda o, n: array[o[0] : o[0] + n, o[1] : o[1] + n, o[2] : o[2] + n]


def zarrs_reader(path: Path) -> Reader:
    import zarrs  # noqa: F401  registers the pipeline

    import zarr

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    return zarr_reader(path)


def h5py_reader(path: Path) -> Reader:
    import h5py

    array = h5py.File(path, "r")["v"]
    return lambda o, n: array[o[0] : o[0] + n, o[1] : o[1] + n, o[2] : o[2] + n]


def settle(path: Path) -> None:
    """Read everything once, so that caches below this machine's own are alike for every tool."""
    for file in path.rglob("*"):
        if file.is_file():
            file.read_bytes()


def measure(reader: Reader, path: Path, volume: str, data: Path) -> dict[str, Any]:
    size = 1024 if volume == "em1024" else 512
    settle(path)
    reference = np.load(data / f"{volume}.npy", mmap_mode="r")
    row: dict[str, Any] = {
        "equal": bool(np.array_equal(reader((100, 200, 300), 64), reference[100:164, 200:264, 300:364]))
    }
    for n, count in ((64, 60), (256, 8)):
        origins = np.random.default_rng(5).integers(0, size - n, (count, 3)).tolist()
        for state in ("cold", "warm"):
            if state == "cold":
                drop(path)
            times = []
            for origin in origins:
                start = time.perf_counter()
                reader(tuple(origin), n)
                times.append(time.perf_counter() - start)
            times.sort()
            row[f"{n}_{state}_p50_ms"] = round(1e3 * statistics.median(times), 2)
            row[f"{n}_{state}_p95_ms"] = round(1e3 * times[min(count - 1, int(count * 0.95))], 2)
    for state in ("cold", "warm"):
        if state == "cold":
            drop(path)
        start = time.perf_counter()
        for z in range(0, size, 256):
            for y in range(0, size, 256):
                for x in range(0, size, 256):
                    reader((z, y, x), 256)
        row[f"scan_{state}_MVx_s"] = round(size**3 / (time.perf_counter() - start) / 1e6)
    return row


READERS = {
    "voxarium": voxarium_reader,
    "tensorstore": tensorstore_reader,
    "zarr-python": zarr_reader,
    "zarrs": zarrs_reader,
}


def add(volume: str, store: str, name: str, make: Callable[[Path], Reader]) -> None:
    @case(f"{volume}/{store}/{name}", timeout=300)
    def _case(data: Path, work: Path) -> dict[str, Any]:
        path = data / (f"{volume}.h5" if store == "h5" else f"{volume}_{store}.zarr")
        if store == "h5" and not path.exists():
            import h5py

            with h5py.File(path, "w") as file:
                file.create_dataset(
                    "v",
                    data=np.load(data / f"{volume}.npy"),
                    chunks=(64, 64, 64),
                    compression="gzip",
                    compression_opts=1,
                )
        return measure(make(path), path, volume, data)


for _volume in ("em1024", "seg512"):
    for _store in STORES:
        for _name, _make in READERS.items():
            add(_volume, _store, _name, _make)
add("em1024", "h5", "h5py (gzip 1)", h5py_reader)

if __name__ == "__main__":
    main()
