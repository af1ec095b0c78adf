"""Downsampling in memory on two threads, against tinybrain-class figures and the memory limit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import best, case, main


def add(volume: str, factors: tuple[int, int, int], method: str) -> None:
    @case(f"{volume} {method} {'×'.join(map(str, factors))}")
    def _case(data: Path, work: Path) -> dict[str, Any]:
        from voxarium.pyramid.methods import downsample

        array = np.ascontiguousarray(np.load(data / f"{volume}.npy", mmap_mode="r")[:512, :512, :512])
        out = np.empty([-(-n // f) for n, f in zip(array.shape, factors, strict=True)], array.dtype)
        # Bricks as the engine makes them, so that both threads always have work.
        depth = 64 // factors[0] * factors[0]
        bricks = [slice(z, min(z + depth, 512)) for z in range(0, 512, depth)]

        def one(brick: slice) -> None:
            downsample(array[brick], factors, method, out=out[brick.start // factors[0] : -(-brick.stop // factors[0])])

        one(bricks[0])
        single = best(lambda: [one(b) for b in bricks])
        with ThreadPoolExecutor(2) as pool:
            double = best(lambda: list(pool.map(one, bricks)))
        return {
            "GVx_s_1_thread": round(array.size / single / 1e9, 2),
            "GVx_s_2_threads": round(array.size / double / 1e9, 2),
        }


for _factors in ((2, 2, 2), (1, 2, 2)):
    add("em1024", _factors, "mean")
    add("seg512", _factors, "mode")
add("em1024", (2, 2, 2), "median")
add("em1024", (3, 3, 3), "mean")
add("seg512", (2, 2, 2), "stride")

if __name__ == "__main__":
    main()
