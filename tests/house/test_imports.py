"""What importing costs, and what it must not load."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "numba", "h5py", "tifffile", "imagecodecs", "PIL", "fsspec", "aiohttp", "obstore", "zarr", "tensorstore",
    "numpy", "rich", "typer", "numcodecs",
}  # fmt: skip
OPTIONAL = {"h5py", "tifffile", "imagecodecs", "PIL", "fsspec", "aiohttp"}


def loaded_by(code: str) -> set[str]:
    """Return the packages that a fresh interpreter has loaded after running some code."""
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(m.partition('.')[0] for m in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_but_the_standard_library():
    assert not loaded_by("import voxarium") & HEAVY


def test_help_loads_neither_drivers_nor_numeric_packages():
    code = "from voxarium.cli.main import main\nimport contextlib, io\n"
    code += "with contextlib.redirect_stdout(io.StringIO()):\n    assert main(['convert', '--help']) == 0"
    assert not loaded_by(code) & (HEAVY - {"typer", "rich"})


def test_opening_an_array_loads_no_optional_package_and_no_compiler(tmp_path):
    code = f"import numpy as np, voxarium\nnp.save({str(tmp_path / 'a.npy')!r}, np.zeros((2, 3, 4)))\n"
    code += f"voxarium.open({str(tmp_path / 'a.npy')!r})[...]"
    assert not loaded_by(code) & (OPTIONAL | {"numba", "obstore"})


@pytest.mark.parametrize("name", ["convert", "plan", "open", "Image", "Array"])
def test_a_public_name_stays_itself_after_its_package_was_imported(name):
    code = f"import voxarium, voxarium.conversion, voxarium.core.opening\nassert callable(voxarium.{name})\n"
    code += f"from voxarium import {name} as again\nassert again is voxarium.{name}"
    loaded_by(code)
