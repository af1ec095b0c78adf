"""One harness for all benchmarks: every case runs in a process of its own, repeats, and reports medians.

Timings are wall time; `cores` is processor time over wall time; `rss_mb` is the peak of the process. Cases wait for a
quiet machine first, since a busy one measures somebody else.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CASES: dict[str, tuple[Callable[[Path, Path], Any], dict[str, Any]]] = {}


def case(name: str, **meta: Any) -> Callable[[Callable[[Path, Path], Any]], Callable[[Path, Path], Any]]:
    """Register `function(data, work)`; it returns (run, before, after) or a finished dictionary.

    What writes a lot should say ``rehearse=True``: it is run once before it is measured. A virtual machine's host takes
    free memory back within seconds, and giving it again costs up to 2 s a gigabyte, which would drown what is measured.
    Memory that the last run's files took is at hand, if `before` removes them and nothing else happens in between.
    """

    def register(function: Callable[[Path, Path], Any]) -> Callable[[Path, Path], Any]:
        CASES[name] = (function, meta)
        return function

    return register


def processor_seconds() -> float:
    """Return user + system seconds of this process and its finished children."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


def peak_mb() -> float:
    """Return the peak resident memory that is not a mapped file, where the kernel tells; else all of it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def anonymous_mb() -> float:
    """Return the resident memory now that is not a mapped file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return peak_mb()


def tree(path: Path) -> tuple[int, int]:
    """Return (files, bytes) below a folder."""
    sizes = [p.stat().st_size for p in path.rglob("*") if p.is_file()]
    return len(sizes), sum(sizes)


def wipe(path: Path) -> Path:
    """Remove a folder and return its path."""
    shutil.rmtree(path, ignore_errors=True)
    return path


def tensorstore_spec(path: Path, chunk: int, shard: int | None) -> dict[str, Any]:
    """Describe a Zarr v3 array as this library writes it, for TensorStore to write."""
    inner = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 1}},
    ]
    codecs = inner
    if shard:
        index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
        codecs = [
            {
                "name": "sharding_indexed",
                "configuration": {"chunk_shape": [min(chunk, shard)] * 3, "codecs": inner, "index_codecs": index},
            }
        ]
    grid = {"name": "regular", "configuration": {"chunk_shape": [shard or chunk] * 3}}
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {"chunk_grid": grid, "codecs": codecs},
    }


def best(run: Callable[[], Any], repeat: int = 7) -> float:
    """Return the shortest of several runs, in seconds."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def busy() -> float:
    """Return non-idle processor seconds of the whole machine."""
    fields = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def wait_quiet(limit: float = 20.0) -> None:
    """Wait until the rest of the machine is idle, but not for ever."""
    end = time.time() + limit
    while time.time() < end:
        before, start = busy(), time.time()
        time.sleep(0.5)
        if (busy() - before) / (time.time() - start) < 0.25:
            return


def _child(name: str, data: Path, work: Path, repeat: int) -> dict[str, Any]:
    function, meta = CASES[name]
    found = function(data, work)
    if isinstance(found, dict):
        return {"case": name, **found, "rss_mb": round(peak_mb())}
    run, before, after = (*found, None, None)[:3] if isinstance(found, tuple) else (found, None, None)
    walls, cores, others = [], [], []
    if meta.get("rehearse"):
        before()
        run()
    for _ in range(meta.get("repeat", repeat)):
        if before:
            before()
        all0, own0, start = busy(), processor_seconds(), time.perf_counter()
        run()
        wall = time.perf_counter() - start
        own = processor_seconds() - own0
        walls.append(wall)
        cores.append(own / wall)
        others.append(max(0.0, (busy() - all0 - own) / wall))
    row = {
        "case": name,
        "median_s": round(statistics.median(walls), 4),
        "min_s": round(min(walls), 4),
        "max_s": round(max(walls), 4),
        "cores": round(statistics.median(cores), 2),
        "other_cores": round(statistics.median(others), 2),
        "n": len(walls),
        "rss_mb": round(peak_mb()),
    }
    if "voxels" in meta:
        row["MVx_s"] = round(meta["voxels"] / row["median_s"] / 1e6, 1)
    if after:
        row |= after()
    return row


def main() -> None:
    """Run the registered cases, each in a process of its own, and print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=HERE / "volumes" / "data")
    parser.add_argument("--work", type=Path, default=HERE / "volumes" / "scratch")
    parser.add_argument("--only", default="")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1, help="run the whole list this often, interleaved")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.case:
        print("RESULT " + json.dumps(_child(args.case, args.data, args.work, args.repeat)))
        return
    chosen = [n for n in CASES if not args.only or any(part in n for part in args.only.split(","))]
    for _ in range(args.rounds):
        for name in chosen:
            wait_quiet()
            command = [sys.executable, sys.argv[0], "--data", args.data, "--work", args.work, "--repeat", args.repeat]
            line = _run_child([*map(str, command), "--case", name], name, CASES[name][1].get("timeout", 600))
            print(line, flush=True)
            if args.out:
                with args.out.open("a") as file:
                    file.write(line + "\n")


def _run_child(command: list[str], name: str, timeout: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return json.dumps({"case": name, "error": f"no result after {timeout:.0f} s"})
    found = [row[7:] for row in done.stdout.splitlines() if row.startswith("RESULT ")]
    if found:
        return found[-1]
    return json.dumps({"case": name, "error": (done.stderr.strip().splitlines() or ["no output"])[-1][:300]})
