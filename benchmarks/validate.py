"""Validation: the census of a million keys, and decoding and comparing every level against decoding alone."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from common import case, main

warnings.filterwarnings("ignore")
SIDE = 100  # objects along each axis of the tree of keys


# ------------------------------------------------------------------------------------------------------- census
def tree_of_keys(work: Path, separator: str) -> Any:
    """An array of a million chunks of eight bytes, each a file of its own."""
    from voxarium.core.array import Array
    from voxarium.core.registry import array_driver
    from voxarium.model.image import ArraySpec
    from voxarium.spec.zarr3 import parse_array
    from voxarium.stores.local import LocalStore

    driver = array_driver("zarr3")
    info = driver.create(ArraySpec(shape=(2 * SIDE,) * 3, dtype=np.dtype("u1"), chunk_shape=(2, 2, 2), codec="none"))
    (document,) = driver.dump("s0", info).values()
    if separator == ".":
        document = document.replace(b'"separator": "/"', b'"separator": "."')
        parse_array(document, "zarr.json")
    root = work / f"keys{'-flat' if separator == '.' else ''}"
    if not (root / "s0/zarr.json").exists():
        folder = root / "s0"
        folder.mkdir(parents=True)
        for z in range(SIDE):
            for y in range(SIDE):
                if separator == "/":
                    (folder / f"c/{z}/{y}").mkdir(parents=True)
                for x in range(SIDE):
                    fd = os.open(folder / separator.join(("c", str(z), str(y), str(x))), os.O_CREAT | os.O_WRONLY)
                    os.write(fd, b"12345678")
                    os.close(fd)
        (folder / "zarr.json").write_bytes(document)
    store = LocalStore(root)
    return Array(driver, store, "s0", driver.open(store, "s0"))


def add_census(name: str, separator: str) -> None:
    @case(f"census/a million keys, {name}", timeout=600)
    def _case(data: Path, work: Path) -> Any:
        from voxarium.validation.census import CheckedArray, take_census

        array = tree_of_keys(data, separator)

        def run() -> None:
            result = take_census([CheckedArray(array, "level 0")], known=lambda key: key.endswith("zarr.json"))
            if result.findings or result.counts["s0"].present != SIDE**3:
                raise SystemExit(str(result.findings))

        return run, None, None


add_census("in folders", "/")
add_census("in one folder", ".")


# --------------------------------------------------------------------------------------------------------- data
def pyramid(data: Path, volume: str, codec: str, chunk: int, shard: int) -> Path:
    """An image of all its levels, written by this library."""
    import voxarium

    target = data / f"validate-{volume}-{codec.replace(':', '')}-{chunk}-{shard}.ome.zarr"
    if not target.exists():
        label = {"role": "label"} if volume.startswith("seg") else {}
        voxarium.convert(
            data / f"{volume}.npy", target, axes="zyx", voxel_size=8, unit="nanometer", codec=codec, chunk=chunk,
            shard=shard, factors=(2, 2, 2), **label,
        )  # fmt: skip
    return target


def add_data(volume: str, codec: str, chunk: int, shard: int) -> None:
    @case(f"data/{volume} {codec} {chunk}/{shard}", timeout=600)
    def _case(data: Path, work: Path) -> dict[str, Any]:
        import voxarium
        from voxarium.core.pools import cpu_count
        from voxarium.validation.data import check_data

        image = voxarium.open(pyramid(data, volume, codec, chunk, shard))
        cores = cpu_count()

        def decode(threads: int) -> float:
            """Seconds to decode every level in blocks, into memory that is used again."""
            block = 256
            out = np.empty((block,) * 3, image.dtype)
            start = time.perf_counter()
            for array in image.arrays:
                for box in voxarium.Box.whole(array.shape).tiles((block,) * 3):
                    array.read(box, out=out[tuple(slice(0, n) for n in box.shape)], threads=threads)
            return time.perf_counter() - start

        def check() -> float:
            start = time.perf_counter()
            result = check_data(image, threads=cores)
            if result.findings:
                raise SystemExit(str(result.findings))
            return time.perf_counter() - start

        decode(cores), check()  # warm: page cache, compiled code
        one = min(decode(1) for _ in range(3))
        both = min(decode(cores) for _ in range(3))
        checked = min(check() for _ in range(3))
        voxels = sum(a.size for a in image.arrays)
        return {
            "decode_1_MVx_s": round(voxels / one / 1e6),
            "decode_all_MVx_s": round(voxels / both / 1e6),
            "check_MVx_s": round(voxels / checked / 1e6),
            "check_to_decode_times_cores": round(one / cores / checked, 2),
            "check_to_decode_all": round(both / checked, 2),
        }


for _volume in ("em1024", "seg512"):
    add_data(_volume, "zstd:1", 64, 512)
    add_data(_volume, "zstd:1", 32, 256)
    add_data(_volume, "zstd:1", 64, 0)
add_data("em1024", "blosc:lz4:5", 64, 512)
add_data("em1024", "none", 64, 0)

if __name__ == "__main__":
    main()
