"""Containers of connectomics against their own libraries: WKW, Neuroglancer precomputed, and a small default write.

Sources are made from the EM volume on first use: a 512³ crop as WKW (LZ4, blocks of 32³), and the whole as precomputed,
sharded (gzip) and not.
"""

from __future__ import annotations

import itertools
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import anonymous_mb, case, main, tensorstore_spec, tree, wipe

warnings.filterwarnings("ignore")
CROP = 512


def crop(data: Path) -> Path:
    path = data / f"em{CROP}.npy"
    if not path.exists():
        np.save(path, np.load(data / "em1024.npy", mmap_mode="r")[:CROP, :CROP, :CROP])
    return path


def made(path: Path, source: Path, **choices: Any) -> Path:
    """Convert once."""
    if not path.exists():
        import voxarium

        options = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "translation": 4, "accept": "all"}
        voxarium.convert(source, path, **options | choices)
    return path


def wkw_layer(data: Path) -> Path:
    return made(data / "wkw" / "em", crop(data), format="webknossos", codec="lz4", levels=1)


@case("wkw lz4 full read/voxarium", voxels=CROP**3, repeat=5)
def wkw_voxarium(data: Path, work: Path):
    import voxarium

    image = voxarium.open(wkw_layer(data))
    assert np.array_equal(image[:70, 100:130, 5:9], np.load(crop(data), mmap_mode="r")[:70, 100:130, 5:9])
    return image.read


@case("wkw lz4 full read/wkw", voxels=CROP**3, repeat=5)
def wkw_library(data: Path, work: Path):
    import wkw

    with wkw.Dataset.open(str(wkw_layer(data) / "1")) as dataset:
        found = dataset.read((5, 100, 0), (4, 30, 70))[0]
    assert np.array_equal(found.T, np.load(crop(data), mmap_mode="r")[:70, 100:130, 5:9])

    def run() -> None:
        with wkw.Dataset.open(str(wkw_layer(data) / "1")) as dataset:
            dataset.read((0, 0, 0), (CROP, CROP, CROP))

    return run


# Options of what we write; None where TensorStore writes, as other people's volumes are not made by us.
PRECOMPUTED: dict[str, dict[str, Any] | None] = {
    "plain": {"shard": (0,)},
    "sharded": None,  # chunks are gzipped
    "sharded by voxarium": {"shard": 512},  # gzipped too, as by default
    "sharded raw": {"shard": 512, "codec": "none"},
}


def precomputed(data: Path, kind: str) -> Path:
    path = data / f"precomputed_{kind.replace(' ', '_')}"
    options = PRECOMPUTED[kind]
    if options is not None:
        return made(path, data / "em1024.npy", format="precomputed", levels=1, **options)
    return sharded_by_tensorstore(path, data / "em1024.npy")


def in_turns(runs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]], rounds: int = 15) -> dict[str, Any]:
    """Time two jobs in turns in one process, so that a slow minute of the machine is one for both."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(-1, rounds):  # the first is a rehearsal
        for name, (run, before) in runs.items():
            before()
            start = time.perf_counter()
            run()
            if number >= 0:
                times[name].append(time.perf_counter() - start)
    ours, theirs = times.values()
    ratios = [t / o for o, t in zip(ours, theirs, strict=True)]
    low, median, high = (round(q, 2) for q in statistics.quantiles(ratios, n=4))
    found = {f"{name}_s": round(statistics.median(values), 3) for name, values in times.items()}
    return {**found, "ratio": median, "quartiles": [low, high], "n": rounds}


def sharded_by_tensorstore(path: Path, source: Path) -> Path:
    """Write gzipped chunks of 64³ in shards of 512³, each of eight minishards, once."""
    if (path / "info").exists():
        return path
    import tensorstore as ts

    em = np.load(source, mmap_mode="r").transpose()[..., None]
    sharding = {
        "@type": "neuroglancer_uint64_sharded_v1", "preshift_bits": 6, "minishard_bits": 3, "shard_bits": 3,
        "hash": "identity", "minishard_index_encoding": "gzip", "data_encoding": "gzip",
    }  # fmt: skip
    volume = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{path}/"},
            "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
            "scale_metadata": {
                "encoding": "raw", "chunk_size": [64] * 3, "resolution": [8] * 3, "sharding": sharding,
            },
        },
        create=True,
        shape=em.shape,
        dtype=em.dtype,
    ).result()  # fmt: skip
    for origin in itertools.product(range(0, 1024, 512), repeat=3):
        region = tuple(slice(o, o + 512) for o in origin)
        volume[region].write(em[region]).result()
    return path


def to_ome_zarr(kind: str) -> None:
    @case(f"precomputed {kind} → OME-Zarr, 5 levels/voxarium", voxels=1024**3, rehearse=True)
    def ours(data: Path, work: Path):
        import voxarium

        source, out = precomputed(data, kind), work / "out"
        options = {"chunk": 64, "shard": 512, "levels": 5, "codec": "zstd:1", "threads": 2}

        return lambda: voxarium.convert(source, out, **options), lambda: wipe(out), lambda: {"files": tree(out)[0]}

    @case(f"precomputed {kind} → OME-Zarr, 5 levels/tensorstore", voxels=1024**3, rehearse=True)
    def theirs(data: Path, work: Path):
        import tensorstore as ts

        source, out = precomputed(data, kind), work / "out"
        context = ts.Context({"data_copy_concurrency": {"limit": 2}, "file_io_sync": False})

        def run() -> None:
            volume = ts.open(
                {"driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": f"{source}/"}},
                context=context,
            ).result()
            finer = volume[ts.d["channel"][0]].transpose()
            for level in range(5):
                size = 1024 >> level
                step = min(512, size)
                spec = tensorstore_spec(out / str(level), 64, step)
                target = ts.open(spec, create=True, dtype="uint8", shape=[size] * 3, context=context).result()
                view = finer if level == 0 else ts.downsample(finer, [2, 2, 2], "mean")
                under_way: list[Any] = []
                for origin in itertools.product(range(0, size, step), repeat=3):
                    region = tuple(slice(o, o + step) for o in origin)
                    under_way.append(target[region].write(view[region]))
                    if len(under_way) >= 2:
                        under_way.pop(0).result()
                for future in under_way:
                    future.result()
                finer = target

        return run, lambda: wipe(out)

    @case(f"precomputed {kind} → OME-Zarr, in turns")
    def both(data: Path, work: Path) -> dict[str, Any]:
        return in_turns({"voxarium": ours(data, work)[:2], "tensorstore": theirs(data, work)[:2]})


for kind in PRECOMPUTED:
    to_ome_zarr(kind)


@case("default write of 384³ as WEBKNOSSOS layer/voxarium", voxels=384**3)
def default_write(data: Path, work: Path):
    """A user's first small image: time, and memory beyond what the process had."""
    import voxarium

    image = np.array(np.load(data / "em1024.npy", mmap_mode="r")[:384, :384, :384])
    np.save(work / "small.npy", image)
    out = work / "ds" / "color"
    held = [anonymous_mb()]

    def run() -> None:
        voxarium.convert(
            work / "small.npy", out, format="webknossos", axes="zyx", voxel_size=8, unit="nanometer", accept="all"
        )
        held.append(anonymous_mb())

    return run, lambda: wipe(work / "ds"), lambda: {"grown_MB": round(max(held) - held[0]), "files": tree(out)[0]}


if __name__ == "__main__":
    main()
