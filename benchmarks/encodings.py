"""Chunk encodings of Neuroglancer precomputed on one core, and the packages others use for them.

Chunks of 64³ voxels of a real segmentation (``shared/data/connectomics``), else of the labels that `data.py` makes; of
its EM for images. Memory for decoded chunks is used again where the interface allows it, as readers do.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import best, case, main

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "connectomics" / "connectomics.npy.ckl.gz"
SHAPE = (1, 64, 64, 64)


def labels(data: Path) -> np.ndarray:
    """Return labels as a memory map, (z, y, x)."""
    path = data / "connectomics512.npy"
    if not path.exists() and SHARED.exists():
        from voxarium.codecs.crackle import Crackle

        packed = gzip.decompress(SHARED.read_bytes())
        np.save(path, Crackle().decode(packed, (1, 512, 512, 512), np.dtype("u4"))[0])
    return np.load(path if path.exists() else data / "seg512.npy", mmap_mode="r")


def chunks(volume: np.ndarray, dtype: str) -> list[np.ndarray]:
    """Return 128 of the 512 chunks of the first 512³ voxels, evenly spread."""
    places = [(z, y, x) for z in range(0, 512, 64) for y in range(0, 512, 64) for x in range(y % 128, 512, 256)]
    return [np.ascontiguousarray(volume[z : z + 64, y : y + 64, x : x + 64]).astype(dtype)[None] for z, y, x in places]


Coder = Callable[[], tuple[Callable[[np.ndarray], bytes], Callable[[bytes, np.dtype[Any]], Any]]]


def add(name: str, coder: Coder, dtype: str, volume: str = "labels", count: int = 128) -> None:
    @case(f"{name} {dtype}")
    def _case(data: Path, work: Path) -> dict[str, Any]:
        source = labels(data) if volume == "labels" else np.load(data / "em1024.npy", mmap_mode="r")
        arrays = chunks(source, dtype)[:count]
        encode, decode = coder()
        packed = [encode(a) for a in arrays]
        decode(packed[0], arrays[0].dtype)
        voxels = sum(a.size for a in arrays)
        return {
            "encode_MVx_s": round(voxels / best(lambda: [encode(a) for a in arrays], 5) / 1e6, 1),
            "decode_MVx_s": round(voxels / best(lambda: [decode(p, arrays[0].dtype) for p in packed], 5) / 1e6, 1),
            "ratio": round(sum(a.nbytes for a in arrays) / sum(map(len, packed)), 1),
        }


def ours(make: Callable[[], Any]) -> Coder:
    def coder() -> Any:
        codec = make()
        out: dict[Any, np.ndarray] = {}

        def decode(payload: bytes, dtype: np.dtype[Any]) -> Any:
            return codec.decode(payload, SHAPE, dtype, out.setdefault(dtype, np.empty(SHAPE, dtype)))

        return codec.encode, decode

    return coder


def compressed_segmentation() -> Any:
    from voxarium.codecs.compressed_segmentation import CompressedSegmentation

    return CompressedSegmentation()


def compresso() -> Any:
    from voxarium.codecs.compresso import Compresso

    return Compresso()


def crackle() -> Any:
    from voxarium.codecs.crackle import Crackle

    return Crackle()


def image(name: str, *options: int) -> Callable[[], Any]:
    def make() -> Any:
        from voxarium.codecs import chunk_images

        return getattr(chunk_images, name)(*options)

    return make


# The packages take (x, y, z) in Fortran order, which is the same memory.
def package_compressed_segmentation() -> Any:
    import compressed_segmentation as package

    return (
        lambda array: package.compress(array.T, (8, 8, 8), order="F"),
        lambda payload, dtype: package.decompress(payload, SHAPE[::-1], dtype, (8, 8, 8), order="F"),
    )


def package_compresso() -> Any:
    import compresso as package

    return lambda array: package.compress(array[0].T), lambda payload, dtype: package.decompress(payload)


def package_crackle() -> Any:
    import crackle as package

    return (
        lambda array: package.compress(array[0].T, parallel=1),
        lambda payload, dtype: package.decompress(payload, parallel=1),
    )


def tensorstore_compressed_segmentation() -> Any:
    import tensorstore as ts

    stores: dict[Any, Any] = {}

    def opened(dtype: np.dtype[Any]) -> Any:
        if dtype not in stores:
            scale = {"size": SHAPE[:0:-1], "chunk_size": SHAPE[:0:-1], "resolution": [1, 1, 1], "key": "s"}
            scale |= {"encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8]}
            multiscale = {"type": "segmentation", "data_type": dtype.name, "num_channels": 1}
            spec = {
                "driver": "neuroglancer_precomputed",
                "kvstore": {"driver": "memory"},
                "multiscale_metadata": multiscale,
                "scale_metadata": scale,
                "context": {"data_copy_concurrency": {"limit": 1}},
            }
            stores[dtype] = ts.open(spec, create=True).result()
        return stores[dtype]

    def encode(array: np.ndarray) -> bytes:
        store = opened(array.dtype)
        store.write(array.T).result()
        return bytes(store.kvstore["s/0-64_0-64_0-64"])

    def decode(payload: bytes, dtype: np.dtype[Any]) -> Any:
        store = opened(dtype)
        store.kvstore["s/0-64_0-64_0-64"] = payload
        return store.read().result()

    return encode, decode


for _dtype in ("uint32", "uint64"):
    add("compressed_segmentation/voxarium", ours(compressed_segmentation), _dtype)
    add("compressed_segmentation/package", package_compressed_segmentation, _dtype)
    add("compressed_segmentation/tensorstore", tensorstore_compressed_segmentation, _dtype)
    add("compresso/voxarium", ours(compresso), _dtype)
    add("compresso/package", package_compresso, _dtype)
    add("crackle/voxarium", ours(crackle), _dtype)
    add("crackle/package", package_crackle, _dtype)
add("jpeg/voxarium", ours(image("Jpeg", 85)), "uint8", "em", 32)
add("png/voxarium", ours(image("Png", 6)), "uint8", "em", 8)
add("jxl/voxarium", ours(image("JpegXl", 85)), "uint8", "em", 8)

if __name__ == "__main__":
    main()
