from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from voxarium.cli.main import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        return json.loads(self.out)["error"]


@pytest.fixture
def run(capsys):
    """Run the program in this process; return exit code and output."""

    def call(*arguments):
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def volume():
    """Grey values, each voxel another along z: shape 20, 33, 45."""
    z, y, x = np.mgrid[:20, :33, :45]
    return (z * 7 + y * 3 + x).astype(np.uint8)


@pytest.fixture
def npy(tmp_path, volume):
    path = tmp_path / "volume.npy"
    np.save(path, volume)
    return path


@pytest.fixture
def archive(tmp_path, npy, run):
    """The volume as OME-Zarr with two levels, and labels in it."""
    target = tmp_path / "em.ome.zarr"
    made = run(
        "convert",
        npy,
        target,
        "--axes",
        "zyx",
        "--voxel-size",
        "40,8,8",
        "--unit",
        "nm",
        "--chunk",
        16,
        "--shard",
        32,
        "--levels",
        2,
        "--quiet",
    )
    assert made.code == 0, made.err
    labels = tmp_path / "labels.npy"
    np.save(labels, (np.load(npy) // 50).astype(np.uint32))
    made = run(
        "convert",
        labels,
        target / "labels" / "cells",
        "--axes",
        "zyx",
        "--voxel-size",
        "40,8,8",
        "--unit",
        "nm",
        "--chunk",
        16,
        "--shard",
        32,
        "--role",
        "label",
        "--quiet",
    )
    assert made.code == 0, made.err
    return target
