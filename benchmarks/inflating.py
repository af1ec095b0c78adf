"""Gzipped chunks on one core: four streams at once against libdeflate, one after the other.

Chunks are of the EM that `data.py` makes, and of the sharded precomputed volume that `containers.py` has TensorStore
write. What comes out is compared before anything is timed.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import best, case, main

COUNT = 96


def chunks(data: Path, size: int) -> list[bytes]:
    """Return chunks of the EM, evenly spread over two slabs."""
    em = np.load(data / "em1024.npy", mmap_mode="r")
    places = [(z, y, x) for z in (0, 320) for y in range(0, 1024, 128) for x in range(0, 1024, 192)][:COUNT]
    return [np.ascontiguousarray(em[z : z + size, y : y + size, x : x + size]).tobytes() for z, y, x in places]


def packed_by_zlib(size: int, level: int, strategy: int) -> Callable[[Path], list[bytes]]:
    def pack(raw: bytes) -> bytes:
        packer = zlib.compressobj(level, zlib.DEFLATED, 31, 8, strategy)
        return packer.compress(raw) + packer.flush()

    return lambda data: [pack(raw) for raw in chunks(data, size)]


def packed_by_tensorstore(data: Path) -> list[bytes]:
    from containers import precomputed

    import voxarium
    from voxarium.core.index_cache import BoundedIndexCache
    from voxarium.model.protocols import ByteRange

    array = voxarium.open(precomputed(data, "sharded")).arrays[0]
    indices = np.array([(z, y, x) for z in (0, 5) for y in range(0, 16, 2) for x in range(0, 16, 3)], np.int64)
    located = array.driver.locate_many(array.store, array.path, array.info, indices, BoundedIndexCache())
    spans = [located.span(i) for i in range(len(indices))]
    return [bytes(array.store.get_ranges(s.key, [ByteRange(s.start, s.length)])[0]) for s in spans]


def add(name: str, pack: Callable[[Path], list[bytes]]) -> None:
    @case(f"inflating {name}")
    def _case(data: Path, work: Path) -> dict[str, Any]:
        import deflate

        from voxarium.codecs.batch import decode_many, inflating, loops
        from voxarium.codecs.deflate import Gzip

        loops()
        inflating._PATIENCE = 0
        packed = pack(data)
        raw = [gzip.decompress(p) for p in packed]
        size, count = len(raw[0]), len(raw)
        places = np.array([[(0,), (size * i,), (size,)] for i in range(count)], np.int64)
        out, scratch = np.zeros(size * count, np.uint8), np.empty(size, np.uint8)
        assert decode_many(Gzip(5), packed, places, scratch, out, plain=False) == count
        assert out.tobytes() == b"".join(raw)
        ours = best(lambda: decode_many(Gzip(5), packed, places, scratch, out, plain=False), 15)
        theirs = best(lambda: [deflate.gzip_decompress(p, size) for p in packed], 15)
        return {
            "voxarium_MB_s": round(out.nbytes / ours / 1e6),
            "libdeflate_MB_s": round(out.nbytes / theirs / 1e6),
            "ratio": round(out.nbytes / sum(map(len, packed)), 2),
        }


add("TensorStore, 64³", packed_by_tensorstore)
add("zlib 6, 64³", packed_by_zlib(64, 6, 0))
add("zlib 1, 64³", packed_by_zlib(64, 1, 0))
add("zlib Huffman only, 64³", packed_by_zlib(64, 6, zlib.Z_HUFFMAN_ONLY))
add("zlib 5, 32³", packed_by_zlib(32, 5, 0))


if __name__ == "__main__":
    main()
