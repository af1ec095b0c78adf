"""The main job against its peers: copy + pyramid (5 levels, 2×2×2) into sharded Zarr v3, two threads, zstd level 1."""

from __future__ import annotations

import itertools
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from common import anonymous_mb, case, main, tensorstore_spec, tree, wipe

warnings.filterwarnings("ignore")
LEVELS = 5
VOLUMES = {"em": ("em1024", 1024, "uint8", "mean"), "seg": ("seg512", 512, "uint64", "mode")}


def job(name: str, kind: str, **meta: Any):
    """Register a case that writes into a fresh folder."""

    def register(make):
        @case(f"{kind}/{name}", voxels=VOLUMES[kind][1] ** 3, rehearse=True, **meta)
        def _case(data: Path, work: Path):
            out = work / "out"
            run = make(data, out)

            def after() -> dict[str, Any]:
                files, size = tree(out)
                wipe(out)
                return {"files": files, "MB": round(size / 1e6, 1)}

            return run, lambda: wipe(out), after

        return make

    return register


def voxarium_job(kind: str, source: str, **choices: Any):
    def make(data: Path, out: Path):
        import voxarium

        volume = VOLUMES[kind][0]
        address = str(data / (f"{volume}.npy" if source == "npy" else f"{volume}_{source}.zarr"))
        options = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 64, "shard": 512, "levels": LEVELS}
        options |= {"role": "label" if kind == "seg" else "intensity"} | choices
        # Kernels are compiled once per installation and cached; a small run makes sure of that.
        small = np.zeros((70, 70, 70), VOLUMES[kind][2])
        np.save(out.parent / "warm.npy", small)
        wipe(out.parent / "warm")
        voxarium.convert(
            out.parent / "warm.npy", out.parent / "warm", **(options | {"chunk": 32, "shard": 64, "levels": 3})
        )
        return lambda: voxarium.convert(address, out, threads=2, **options)

    return make


def tensorstore_job(kind: str, source: str, chunk: int = 64, ahead: int = 2, levels: int = LEVELS):
    def make(data: Path, out: Path):
        import tensorstore as ts

        volume, n, dtype, method = VOLUMES[kind]
        context = ts.Context({"data_copy_concurrency": {"limit": 2}, "file_io_sync": False})

        def opened() -> Any:
            if source == "npy":
                return ts.array(np.load(data / f"{volume}.npy", mmap_mode="r"))
            path = data / f"{volume}_{source}.zarr"
            return ts.open(
                {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}, context=context
            ).result()

        def run() -> None:
            finer = opened()
            for level in range(levels):
                size = n >> level
                step = min(512, size)
                target = ts.open(
                    tensorstore_spec(out / str(level), chunk, step),
                    create=True,
                    dtype=dtype,
                    shape=[size] * 3,
                    context=context,
                ).result()
                view = finer if level == 0 else ts.downsample(finer, [2, 2, 2], method)
                under_way: list[Any] = []
                for origin in itertools.product(range(0, size, step), repeat=3):
                    region = tuple(slice(o, o + step) for o in origin)
                    under_way.append(target[region].write(view[region]))
                    if len(under_way) >= ahead:
                        under_way.pop(0).result()
                for future in under_way:
                    future.result()
                finer = target

        return run

    return make


def limit(kind: str, chunk: int):
    """The physical limit on two cores: (encode + source copy + page-cache write, on one core) ÷ 2."""

    def make(data: Path, work: Path) -> dict[str, Any]:
        from numcodecs.zstd import Zstd

        volume, n, _, _ = VOLUMES[kind]
        source = np.load(data / f"{volume}.npy", mmap_mode="r")
        codec = Zstd(1)
        work.mkdir(parents=True, exist_ok=True)
        encode = copy = 0.0
        stored: list[bytes] = []
        # One eighth of the volume stands for the whole: every other slab pair, chunk by chunk.
        share = 0
        buffer = np.empty((64, n, n), source.dtype)
        for z in range(0, n, 512 if kind == "em" else 256):
            start = time.process_time()
            np.copyto(buffer, source[z : z + 64])
            copy += time.process_time() - start
            share += buffer.size
            for zc, y, x in itertools.product(range(0, 64, chunk), range(0, n, chunk), range(0, n, chunk)):
                piece = np.ascontiguousarray(buffer[zc : zc + chunk, y : y + chunk, x : x + chunk])
                start = time.process_time()
                stored.append(codec.encode(piece))
                encode += time.process_time() - start
        path = work / "limit.bin"
        for _ in range(2):  # the first is a rehearsal
            start = time.process_time()
            with path.open("wb", buffering=0) as file:
                for payload in stored:
                    file.write(payload)
            write = time.process_time() - start
            path.unlink()
        whole = n**3 / share
        levels = sum(0.125**i for i in range(LEVELS))
        seconds = (encode * whole * levels + copy * whole + write * whole * levels) / 2
        return {
            "median_s": round(seconds, 3),
            "encode_cpu_s": round(encode * whole * levels, 3),
            "copy_cpu_s": round(copy * whole, 3),
            "write_cpu_s": round(write * whole * levels, 3),
        }

    return make


case("em/limit 64")(limit("em", 64))
case("em/limit 32")(limit("em", 32))
case("seg/limit 64")(limit("seg", 64))

for source in ("npy", "raw_64"):
    job(f"voxarium {source} 512/64", "em")(voxarium_job("em", source))
    job(f"tensorstore tuned {source} 512/64", "em")(tensorstore_job("em", source))
job("voxarium npy 512/32", "em")(voxarium_job("em", "npy", chunk=32))
job("tensorstore tuned npy 512/32", "em")(tensorstore_job("em", "npy", chunk=32))
job("tensorstore naive npy 512/64", "em")(tensorstore_job("em", "npy", ahead=1))
job("voxarium npy 512/64", "seg")(voxarium_job("seg", "npy"))
job("tensorstore tuned npy 512/64", "seg")(tensorstore_job("seg", "npy"))
job("voxarium re-container zarr_64 → 512/64", "em")(voxarium_job("em", "zarr_64", levels=1))
job("tensorstore decode + encode zarr_64 → 512/64", "em")(tensorstore_job("em", "zarr_64", levels=1))
job("voxarium shards → 512/64 with pyramid, payloads passed through", "em")(voxarium_job("em", "zarr_64"))


@case("em/voxarium memory npy 512/64")
def memory(data: Path, work: Path) -> dict[str, Any]:
    """Peak of anonymous memory during the job, the mapped source not counted."""
    import threading

    run = voxarium_job("em", "npy")(data, work / "out")
    wipe(work / "out")
    before = anonymous_mb()
    peak = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], anonymous_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    done.set()
    watcher.join()
    wipe(work / "out")
    return {"anonymous_before_mb": round(before), "anonymous_peak_mb": round(peak[0])}


def ngff_zarr_job(data: Path, out: Path):
    import dask
    import ngff_zarr as nz

    dask.config.set(num_workers=2)

    def run() -> None:
        image = nz.to_ngff_image(
            np.load(data / "em1024.npy", mmap_mode="r"), dims=["z", "y", "x"], scale=dict.fromkeys("zyx", 8.0)
        )
        scales = nz.to_multiscales(image, scale_factors=[2, 4, 8, 16], method=nz.Methods.DASK_BIN_SHRINK, chunks=64)
        nz.to_ngff_zarr(str(out / "x.ome.zarr"), scales, version="0.5", chunks_per_shard=8)

    return run


def ome_zarr_job(data: Path, out: Path):
    import dask
    import dask.array as da
    from ome_zarr import scale, writer

    import zarr

    dask.config.set(num_workers=2)

    def run() -> None:
        group = zarr.open_group(str(out / "x.ome.zarr"), mode="w", zarr_format=3)
        writer.write_image(
            da.from_array(np.load(data / "em1024.npy", mmap_mode="r"), chunks=512),
            group,
            axes="zyx",
            scale_factors=[dict.fromkeys("zyx", f) for f in (2, 4, 8, 16)],
            method=scale.Methods.LOCAL_MEAN,
            storage_options={"chunks": (64,) * 3, "shards": (512,) * 3},
        )

    return run


job("ngff-zarr dask_bin_shrink", "em", repeat=1)(ngff_zarr_job)
job("ome-zarr-py local_mean", "em", repeat=1)(ome_zarr_job)

if __name__ == "__main__":
    main()
