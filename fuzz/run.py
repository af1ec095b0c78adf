"""Write a target for every module of `table.py` and run each for a while; anything but our own errors is a finding.

python fuzz/run.py [--seconds 20] [--jobs 2] [--only spec.zarr3]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from harness import modules, seeds

HERE = Path(__file__).resolve().parent
TARGET = '''"""Fuzz `voxarium.{module}`. Written by fuzz/run.py; edit fuzz/table.py instead."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import main  # noqa: E402

main("{module}")
'''


def prepare(module: str) -> Path:
    """Write the target and its seeds; return the target."""
    path = HERE / "targets" / f"{module.replace('.', '_')}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(TARGET.format(module=module))
    corpus = HERE / "corpus" / path.stem
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds(module):
        (corpus / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    (HERE / "findings").mkdir(exist_ok=True)
    return path


def run(module: str, seconds: int) -> str | None:
    """Fuzz one module; return what was found."""
    path = prepare(module)
    command = [
        sys.executable,
        str(path),
        str(HERE / "corpus" / path.stem),
        f"-max_total_time={seconds}",
        "-timeout=20",
        "-rss_limit_mb=2500",
        "-max_len=4096",
        f"-artifact_prefix={HERE / 'findings' / path.stem}-",
    ]
    # A target that hangs is stopped by libFuzzer; this is for one that hangs before.
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 600, check=False, errors="replace")
    tries = re.findall(r"Done (\d+) runs", done.stderr)
    if done.returncode == 0 and tries:
        print(f"{module}: {tries[-1]} inputs, nothing found", flush=True)
        return None
    print(f"{module}: FOUND something", flush=True)
    lines = (done.stdout + done.stderr).splitlines()
    traces = [i for i, line in enumerate(lines) if "Traceback" in line or "ERROR: libFuzzer" in line]
    return "\n".join(lines[traces[0] if traces else 0 :][-60:])


def main() -> None:
    """Run all targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    chosen = [m for m in modules() if not args.only or m in args.only.split(",")]
    if not chosen:
        sys.exit(f"error: no module {args.only}\nfix: choose from {', '.join(modules())}")
    with ThreadPoolExecutor(args.jobs) as pool:
        found = list(pool.map(lambda m: run(m, args.seconds), chosen))
    for module, text in zip(chosen, found, strict=True):
        if text:
            print(f"\n## {module}\n{text}")
    if any(found):
        stem = "fuzz/targets/<module>.py fuzz/findings/<file>"
        sys.exit(f"error: {sum(map(bool, found))} modules let something through\nfix: repeat with python {stem}")


if __name__ == "__main__":
    main()
