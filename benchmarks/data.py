"""Make the volumes the benchmarks work on: 1024³ uint8 EM and 512³ uint64 labels.

From the real FIB-SEM stack and labels in ``shared/data/fib25`` (mirrored to size) when they are there, else from the
synthetic specimen, which compresses alike. Then the same voxels as Zarr: chunk files and shards, 64³ and 32³ chunks.
"""

from __future__ import annotations

import argparse
import gzip
import io
from pathlib import Path

import numpy as np

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "fib25"


def mirrored(volume: np.ndarray, n: int) -> np.ndarray:
    """Return `volume` mirrored to n³."""
    for axis, length in enumerate(volume.shape):
        index = np.arange(n) % (2 * length)
        volume = np.take(volume, np.where(index < length, index, 2 * length - 1 - index), axis)
    return np.ascontiguousarray(volume)


def real() -> tuple[np.ndarray, np.ndarray]:
    """Return (EM, labels) of the real stack."""
    import h5py
    from PIL import Image

    em = np.stack([np.asarray(Image.open(p)) for p in sorted((SHARED / "grayscale_maps").glob("*.png"))])
    with h5py.File(io.BytesIO(gzip.decompress((SHARED / "groundtruth.h5.gz").read_bytes())), "r") as file:
        stack = file["stack"][:]
        body_of = np.zeros(int(stack.max()) + 1, np.int64)
        body_of[file["transforms"][:, 0]] = file["transforms"][:, 1]
    # Bodies, as a segmentation is published; the stack itself holds superpixels of single slices.
    stack = np.unique(body_of[stack], return_inverse=True)[1].reshape(stack.shape)
    # Ids as large as those of a proofreading database, beyond what a float64 holds exactly.
    ids = np.uint64(720575940600000000) + np.random.default_rng(0).choice(2**27, stack.max() + 1, replace=False).astype(
        np.uint64
    )
    ids[0] = 0
    return mirrored(em, 1024), mirrored(ids[stack], 512)


def synthetic() -> tuple[np.ndarray, np.ndarray]:
    """Return (EM, labels) of the specimen."""
    from voxarium.model.box import Box
    from voxarium.testing.specimen import Specimen

    specimen = Specimen(shape=(1024, 1024, 1024), seed=1)
    em = np.empty((1024, 1024, 1024), np.uint8)
    for z in range(0, 1024, 64):
        em[z : z + 64] = specimen.em(Box((z, 0, 0), (64, 1024, 1024)))
    return em, specimen.supervoxels(Box((0, 0, 0), (512, 512, 512)))


def write_zarr(path: Path, data: np.ndarray, chunk: int, shard: int | None, level: int | None) -> None:
    """Write a Zarr v3 array with TensorStore, independently of what is measured."""
    import tensorstore as ts

    inner = [{"name": "bytes", "configuration": {"endian": "little"}}]
    if level is not None:
        inner.append({"name": "zstd", "configuration": {"level": level}})
    outer = inner
    if shard:
        index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
        outer = [
            {
                "name": "sharding_indexed",
                "configuration": {"chunk_shape": [chunk] * 3, "codecs": inner, "index_codecs": index},
            }
        ]
    metadata = {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [shard or chunk] * 3}},
        "codecs": outer,
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    array = ts.open(spec, create=True, delete_existing=True, dtype=data.dtype, shape=data.shape).result()
    array.write(data).result()


def main() -> None:
    """Write everything that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parent / "volumes" / "data")
    root = parser.parse_args().data
    root.mkdir(parents=True, exist_ok=True)
    if not (root / "seg512.npy").exists():
        em, seg = real() if SHARED.exists() else synthetic()
        np.save(root / "em1024.npy", em)
        np.save(root / "seg512.npy", seg)
    for volume in ("em1024", "seg512"):
        data = np.load(root / f"{volume}.npy", mmap_mode="r")
        for name, chunk, shard, level in (
            ("raw_64", 64, None, None),
            ("zarr_64", 64, None, 1),
            ("zarr_32", 32, None, 1),
            ("shard_64", 64, 512, 1),
            ("shard_32", 32, 512, 1),
        ):
            path = root / f"{volume}_{name}.zarr"
            if not (path / "zarr.json").exists():
                write_zarr(path, data, chunk, shard, level)
                print(path.name, flush=True)


if __name__ == "__main__":
    main()
