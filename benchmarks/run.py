"""Run every benchmark and print what docs/performance.md states: figures, ratios, and which targets hold.

python benchmarks/run.py [--only convert,containers,reads,http_reads,kernels,encodings,inflating] [--rounds 1]
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SUITES = ("kernels", "encodings", "inflating", "convert", "containers", "reads", "http_reads")

# (what, numerator, denominator, figure, least ratio): numerator ÷ denominator must reach the ratio.
RATIOS = [
    ("EM from .npy, 64³", "em/tensorstore tuned npy 512/64", "em/voxarium npy 512/64", "median_s", 1.8),
    ("EM from raw Zarr, 64³", "em/tensorstore tuned raw_64 512/64", "em/voxarium raw_64 512/64", "median_s", 1.8),
    ("EM from .npy, 32³", "em/tensorstore tuned npy 512/32", "em/voxarium npy 512/32", "median_s", 1.7),
    ("labels from .npy", "seg/tensorstore tuned npy 512/64", "seg/voxarium npy 512/64", "median_s", 1.8),
    (
        "re-container",
        "em/tensorstore decode + encode zarr_64 → 512/64",
        "em/voxarium re-container zarr_64 → 512/64",
        "median_s",
        5.0,
    ),
    ("wall ÷ limit, inverted (≥ 1/1.8)", "em/limit 64", "em/voxarium npy 512/64", "median_s", 1 / 1.8),
]
PRECOMPUTED = ("plain", "sharded", "sharded by voxarium", "sharded raw")
CONTAINERS = [
    ("WKW full read ÷ the wkw library (≥ 1/1.3)", "wkw lz4 full read/wkw", "wkw lz4 full read/voxarium", 1 / 1.3),
    *(
        (
            f"precomputed {kind} → OME-Zarr",
            f"precomputed {kind} → OME-Zarr, 5 levels/tensorstore",
            f"precomputed {kind} → OME-Zarr, 5 levels/voxarium",
            2.0,
        )
        for kind in PRECOMPUTED
    ),
]
# (suite, case, figure, least value)
LEAST = [
    ("encodings", f"compressed_segmentation/voxarium {dtype}", figure, least)
    for dtype in ("uint32", "uint64")
    for figure, least in (("encode_MVx_s", 150.0), ("decode_MVx_s", 500.0))
]
LEAST += [("containers", f"precomputed {kind} → OME-Zarr, in turns", "ratio", 2.0) for kind in PRECOMPUTED]
READ_FIGURES = ["64_cold_p50_ms", "64_warm_p50_ms", "256_cold_p50_ms", "256_warm_p50_ms"]


def machine() -> str:
    """Describe the machine and the versions that were compared."""
    names = ("voxarium", "numpy", "numba", "numcodecs", "tensorstore", "zarr", "zarrs", "ngff-zarr", "ome-zarr", "h5py")
    names += ("compressed-segmentation", "compresso", "crackle-codec", "imagecodecs")
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}; {', '.join(found)}"


def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    """Return the last row of each case; several rounds are joined by their medians' minimum-noise middle."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        grouped.setdefault(row["case"], []).append(row)
    out = {}
    for case, rows in grouped.items():
        good = [r for r in rows if "error" not in r] or rows
        merged = dict(good[-1])
        for key, value in merged.items():
            if isinstance(value, float):
                values = sorted(float(r[key]) for r in good if key in r)
                merged[key] = values[len(values) // 2]
        out[case] = merged
    return out


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    columns = list(dict.fromkeys(k for r in rows.values() for k in r if k not in ("case", "n")))
    lines = ["| case | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    for case, row in rows.items():
        lines.append(f"| {case} | " + " | ".join(str(row.get(c, "")) for c in columns) + " |")
    return "\n".join(lines)


def verdicts(found: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Return one line per target that the figures allow to judge."""
    lines = []
    convert = found.get("convert", {})
    for what, above, below, figure, least in RATIOS:
        if figure in convert.get(above, {}) and figure in convert.get(below, {}):
            ratio = convert[above][figure] / convert[below][figure]
            lines.append(f"{'ok  ' if ratio >= least else 'MISS'} {what}: {ratio:.2f} (at least {least:.2f})")
    containers = found.get("containers", {})
    for what, above, below, least in CONTAINERS:
        if "median_s" in containers.get(above, {}) and "median_s" in containers.get(below, {}):
            ratio = containers[above]["median_s"] / containers[below]["median_s"]
            lines.append(f"{'ok  ' if ratio >= least else 'MISS'} {what}: {ratio:.2f} (at least {least:.2f})")
    for suite, case, figure, least in LEAST:
        value = found.get(suite, {}).get(case, {}).get(figure)
        if value is not None:
            lines.append(f"{'ok  ' if value >= least else 'MISS'} {case} {figure}: {value} (at least {least})")
    reads = found.get("reads", {})
    for case, row in reads.items():
        if not case.endswith("/voxarium"):
            continue
        peer = reads.get(case.replace("/voxarium", "/tensorstore"), {})
        ratios = {f: peer[f] / row[f] for f in READ_FIGURES if f in peer and f in row}
        ratios |= {f: row[f] / peer[f] for f in ("scan_cold_MVx_s", "scan_warm_MVx_s") if f in peer and f in row}
        for figure, ratio in ratios.items():
            lines.append(f"{'ok  ' if ratio >= 1 else 'MISS'} {case} {figure}: {ratio:.2f} × tensorstore")
    return lines


def main() -> None:
    """Run the suites one after another; each case runs in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SUITES))
    parser.add_argument("--rounds", default="1")
    parser.add_argument("--keep", action="store_true", help="add to earlier results instead of replacing them")
    args = parser.parse_args()
    results = HERE / "volumes" / "results"
    results.mkdir(parents=True, exist_ok=True)
    print(machine(), flush=True)
    subprocess.run([sys.executable, str(HERE / "data.py")], check=True)
    found = {}
    for suite in [s for s in SUITES if s in args.only.split(",")]:
        out = results / f"{suite}.jsonl"
        if not args.keep:
            out.unlink(missing_ok=True)
        print(f"\n## {suite}", flush=True)
        command = [sys.executable, str(HERE / f"{suite}.py"), "--out", str(out), "--rounds", args.rounds]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found[suite] = rows_of(out)
        print(table(found[suite]), flush=True)
    print("\n## Targets\n" + "\n".join(verdicts(found)))


if __name__ == "__main__":
    main()
