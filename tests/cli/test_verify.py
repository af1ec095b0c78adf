"""``voxarium manifest``, ``voxarium verify`` and ``voxarium convert --digests``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxarium.cli.main import main

CONVERT = ["--axes", "zyx", "--voxel-size", "8", "--unit", "nanometer", "--chunk", "8", "--shard", "16", "--quiet"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def source(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(1).integers(1, 255, (20, 30, 40)).astype(np.uint8))
    return "a.npy"


def out(capsys):
    return json.loads(capsys.readouterr().out)


def test_a_manifest_is_made_and_the_tree_verified_by_it(source, capsys):
    assert main(["convert", source, "t", *CONVERT]) == 0
    assert main(["manifest", "t", "--json", "--zarr-checksum"]) == 0
    made = out(capsys)
    assert made["manifest"] == "t.manifest.parquet" and made["objects"] > 5
    assert made["zarr_checksum"].split("-")[1] == str(made["objects"])
    assert main(["manifest", "t"]) == 1  # it exists
    capsys.readouterr()
    assert main(["verify", "t", "--json", *[a for r in made["roots"] for a in ("--root", r)]]) == 0
    report = out(capsys)
    assert report["ok"] and report["problems"] == [] and report["read"] == made["objects"]
    with open("t/zarr.json", "ab") as document:
        document.write(b" ")
    assert main(["verify", "t/", "--json", "--level", "size"]) == 1
    report = out(capsys)
    (problem,) = report["problems"]
    assert not report["ok"]
    assert (problem["key"], problem["kind"]) == ("zarr.json", "changed")
    assert set(problem) == {"key", "kind", "expected", "found"}
    assert main(["verify", "t", "--quiet"]) == 1
    assert capsys.readouterr().out.startswith("changed     zarr.json  (expected ")
    assert main(["manifest", "t", "--overwrite"]) == 0
    assert "root sha256:" in capsys.readouterr().out
    assert main(["verify", "t", "--level", "sample", "--sample", "3", "--seed", "5"]) == 0
    assert "seed 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sample", "0"],
        ["--root", "x"],
        ["--level", "x"],
        ["--seed", "-1"],
        ["--manifest", "no.parquet", "--sample", "x"],
    ],
)
def test_wrong_arguments_are_told_from_failures(source, capsys, arguments):
    assert main(["manifest", source]) == 0
    assert main(["verify", source, *arguments, "--json"]) == 2
    assert main(["verify", source, "--root", "sha256:" + "0" * 64]) == 1
    assert main(["verify", "nothing"]) == 1
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize("digests", ["sha256", "sha256,blake3", "blake3"])
def test_a_conversion_leaves_a_manifest_that_needed_no_second_read(source, capsys, digests):
    pytest.importorskip("blake3", reason="blake3 is not installed")
    assert main(["convert", source, "t", *CONVERT, "--digests", digests]) == 0
    assert main(["manifest", "t", "--out", "again.parquet", "--json", "--digests", digests]) == 0
    roots = out(capsys)["roots"]
    assert main(["verify", "t", "--json"]) == 0
    assert out(capsys)["roots"] == roots
    assert main(["convert", source, "t", *CONVERT, "--digests", digests]) == 1  # exists
    assert main(["convert", source, "t", *CONVERT, "--manifest", "m.parquet", "--overwrite"]) == 0
    capsys.readouterr()
    assert main(["verify", "t", "--manifest", "m.parquet", "--json"]) == 0
    assert out(capsys)["roots"] == roots[:1]


def test_a_manifest_of_a_whole_collection_is_made_afterwards(tmp_path, capsys):
    for name in "ab":
        (tmp_path / "in").mkdir(exist_ok=True)
        assert main(["convert", _saved(tmp_path, name), f"in/{name}.zarr", *CONVERT]) == 0
    assert main(["convert", "in", "out", "--quiet", "--digests", "sha256"]) == 2
    assert "voxarium manifest" in capsys.readouterr().err


def _saved(folder, name):
    np.save(folder / f"{name}.npy", np.ones((8, 9, 10), np.uint8))
    return f"{name}.npy"
