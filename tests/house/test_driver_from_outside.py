"""A format is added in one file, by a package of its own: the example of CONTRIBUTING.md, word for word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r'^```\w+ file="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.fixture
def plugin(tmp_path):
    """The driver in a folder that looks like an installed package, and the environment that finds it."""
    files = dict(BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "rawgrid_driver.py").write_text(files["rawgrid_driver.py"])
    (folder / "test_rawgrid.py").write_text(files["test_rawgrid.py"])
    group, line = re.search(r'entry-points\."([\w.]+)"\]\n(\w+) = "([\w:]+)"', files["pyproject.toml"]).group(1, 2)
    value = re.search(r'= "([\w:]+)"', files["pyproject.toml"])[1]
    info = folder / "rawgrid-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rawgrid\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{line} = {value}\n")
    return folder, os.environ | {"PYTHONPATH": str(folder)}


def test_the_examples_own_tests_pass(plugin):
    folder, environment = plugin
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "test_rawgrid.py",
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_the_program_opens_reads_and_converts_the_new_format(plugin, tmp_path):
    _, environment = plugin
    make = "import json, pathlib, numpy as np\np = pathlib.Path('grid')\np.mkdir()\n"
    make += "h = dict(shape=[4, 6, 5], chunk=[4, 6, 5], dtype='uint8', voxel_size=[8, 8, 8])\n"
    make += "(p / 'rawgrid.json').write_text(json.dumps(h))\n(p / 'c.0.0.0').write_bytes(bytes(range(120)))"
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True, timeout=60)
    program = str(Path(sys.executable).with_name("voxarium"))
    for arguments in (
        ["info", "grid"],
        ["convert", "grid", "grid.ome.zarr", "--quiet"],
        ["read", "grid.ome.zarr", "--box", "1:2,2:4,0:5", "--out", "part.npy"],
    ):
        done = subprocess.run(
            [program, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
    check = "import numpy as np; assert np.load('part.npy').ravel().tolist() == list(range(40, 50))"
    subprocess.run([sys.executable, "-c", check], cwd=tmp_path, check=True, timeout=60)


def test_junk_in_the_header_is_a_format_error(plugin, tmp_path):
    _, environment = plugin
    program = str(Path(sys.executable).with_name("voxarium"))
    for i, junk in enumerate((b"", b"[]", b'{"shape": [1]}', b'{"shape": [9e99, 1, 1]}', b"\xff\x00")):
        folder = tmp_path / f"g{i}"
        folder.mkdir()
        (folder / "rawgrid.json").write_bytes(junk)
        done = subprocess.run(
            [program, "info", str(folder), "--json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1 and '"metadata-invalid"' in done.stdout, done.stderr
