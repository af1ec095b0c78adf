"""``voxarium upgrade``: what it prints, and its exit codes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import voxarium
from voxarium.cli.main import main


@pytest.fixture
def tree(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3 * 5 * 7, dtype=np.uint16).reshape(3, 5, 7))
    voxarium.convert(
        tmp_path / "a.npy", tmp_path / "t", axes="zyx", voxel_size=8, unit="nanometer", spec_version="0.4", levels=1
    )
    return tmp_path / "t"


def test_dry_run_run_and_rollback(tree, capsys):
    before = {f: f.read_bytes() for f in tree.rglob("*") if f.is_file()}
    assert main(["upgrade", str(tree), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "write   zarr.json" in out and "remove  .zattrs" in out and "nothing was changed" in out
    assert main(["upgrade", str(tree), "--to", "0.6", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["target"] == "0.6" and report["journal"] == ".voxarium-upgrade/0001" and not report["refusals"]
    assert voxarium.open(tree).info.spec_version == "0.6"
    assert main(["upgrade", str(tree), "--rollback"]) == 0
    assert "undone" in capsys.readouterr().out
    assert {f: f.read_bytes() for f in tree.rglob("*") if f.is_file()} == before
    assert main(["upgrade", str(tree), "--rollback"]) == 1


def test_refusals_are_listed_and_fail(tree, capsys):
    file = next(tree.rglob(".zarray"))
    file.write_text(file.read_text().replace('"<u2"', '"|O"'))
    assert main(["upgrade", str(tree), "--dry-run"]) == 1
    assert "refused" in capsys.readouterr().err
    assert main(["upgrade", str(tree)]) == 1
    assert "nothing was changed" in capsys.readouterr().err
    assert not (tree / "zarr.json").exists()


def test_wrong_arguments(tree, capsys):
    assert main(["upgrade", str(tree), "--rollback", "--dry-run"]) == 2
    assert main(["upgrade", str(tree), "--to", "0.9"]) == 2
    assert main(["upgrade", str(tree), "--mode", "other"]) == 2
    assert main(["upgrade", str(tree), "--beside", str(tree / "in")]) == 2
    capsys.readouterr()


def test_beside_and_dual(tree, capsys):
    new = tree.parent / "new"
    assert main(["upgrade", str(tree), "--beside", str(new), "--mode", "dual", "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert (new / ".zattrs").exists() and (new / "zarr.json").exists() and not (tree / "zarr.json").exists()
