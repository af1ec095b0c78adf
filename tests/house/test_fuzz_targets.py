"""The fuzz targets of `fuzz/`: everything that reads what others wrote has one, and each of them works."""

from __future__ import annotations

import random
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "fuzz"))

import harness  # noqa: E402
import table  # noqa: E402


def test_every_specification_has_a_line_in_the_table():
    modules = {
        p.stem for p in (ROOT / "src/voxarium/spec").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    known = {line.module.split(".")[1] for line in table.LINES if line.module.startswith("spec.")} | set(table.WITHOUT)
    assert not modules - known - {"__init__"}, "add a line to fuzz/table.py"


def test_every_line_names_something_that_exists():
    assert not {line.module for line in table.LINES} - set(harness.modules())


@pytest.mark.parametrize("module", harness.modules())
def test_seeds_and_some_inputs_pass_each_target(module):
    one = harness.target(module)
    numbers = random.Random(0)
    seeds = list(harness.seeds(module))
    for seed in seeds:
        one(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(200):
            data = bytearray(numbers.choice(seeds) if seeds and i % 2 else numbers.randbytes(numbers.randrange(1, 300)))
            for _ in range(3):
                data[numbers.randrange(len(data))] = numbers.randrange(256)
            one(bytes(data))
