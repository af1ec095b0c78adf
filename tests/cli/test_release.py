"""``voxarium release`` and addresses of releases."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxarium.cli.main import main

VOXELS = np.random.default_rng(1).integers(1, 255, (9, 20, 30)).astype(np.uint8)
CONVERT = ["--axes", "zyx", "--voxel-size", "8", "--unit", "nanometer", "--chunk", "8", "--quiet"]
ACCEPT = ["--accept", "manifest-only"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A dataset `set` with an image, in the working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("VOXARIUM_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("VOXARIUM_AGENT", "Ada")
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", VOXELS)
    assert main(["convert", "a.npy", "set/em", *CONVERT]) == 0
    (tmp_path / "set/dataset.json").write_text('{"license": "CC-BY-4.0", "authors": [{"name": "Ada"}]}')
    assert main(["log", "add", "set", "ingest", "--quiet"]) == 0


def run(capsys, *arguments, code=0):
    capsys.readouterr()
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def text(capsys, *arguments, code=0):
    capsys.readouterr()
    assert main([*arguments]) == code
    found = capsys.readouterr()
    return found.out + found.err


def test_a_release_is_published_shown_checked_compared_and_withdrawn(capsys, tmp_path):
    pytest.importorskip("cryptography", reason="signs")
    assert main(["key", "create", "lab"]) == 0
    create = ["release", "create", "set", "v1.0", "--key", "lab", "--checkpoint", "kept.txt", "--doi", "10.1/x"]
    assert "checksums" in text(capsys, *create, code=1)
    assert not (tmp_path / "set/releases").exists()
    made = run(capsys, *create, *ACCEPT, "--pin", "annotations:em/s0=7", "--note", "for the paper")
    assert made["created"] and made["signed"] and made["sequence"] == 1
    assert [r["check"] for r in made["policy"] if r["state"] == "accepted"] == ["checksums"]
    assert run(capsys, *create, *ACCEPT, "--pin", "annotations:em/s0=7", "--note", "for the paper")["created"] is False
    assert main(["convert", "a.npy", "set/lm", *CONVERT]) == 0
    shown = text(capsys, "release", "create", "set", "v1.1", "--key", "lab", *ACCEPT)
    assert "passed    license" in shown and "accepted  checksums" in shown and "v1.1 published: release 2" in shown

    listed = run(capsys, "release", "list", "set")["releases"]
    assert [r["name"] for r in listed] == ["v1.0", "v1.1"] and listed[1]["parent"] == listed[0]["sha256"]
    assert "v1.1" in text(capsys, "release", "list", "set")
    shown = text(capsys, "release", "show", "set", "v1.0")
    assert "10.1/x" in shown and "annotations em/s0 7" in shown and "for the paper" in shown

    checked = run(capsys, "release", "verify", "set", "v1.0", "--checkpoint", "kept.txt", "--key", "lab")
    assert checked["ok"] and checked["signed_by"] == ["lab"] and checked["kept_checkpoint"]
    assert "v1.0 is what was published" in text(capsys, "release", "verify", "set", "v1.0", "--documents")
    assert run(capsys, "verify", "set@v1.1")["release"] == "v1.1"
    assert "is what was published" in text(capsys, "verify", "set@v1.0", "--level", "size")

    found = run(capsys, "release", "diff", "set", "v1.0", "v1.1", "--image", "em=lm")
    assert found["images"][0]["equal"] and not found["changed"] and len(found["added"]) >= 2
    assert "added     lm/zarr.json" in text(capsys, "release", "diff", "set", "v1.0", "v1.1")
    assert "equal voxels" in text(capsys, "release", "diff", "set", "v1.0", "v1.1", "--image", "em=lm")

    assert main(["release", "tombstone", "set", "v1.0", "--reason", "swapped slices", "--quiet"]) == 0
    assert run(capsys, "release", "list", "set")["releases"][0]["withdrawn"]["reason"] == "swapped slices"
    assert "swapped slices" in text(capsys, "info", "set@v1.0/em", code=1)
    assert "lm" in text(capsys, "info", "set@v1.1/lm")
    assert "tombstone by Ada" in text(capsys, "log", "show", "set")


def test_what_was_changed_is_named(capsys, tmp_path):
    assert main(["release", "create", "set", "v1.0", *ACCEPT, "--quiet"]) == 0
    (tmp_path / "set/em/s0/zarr.json").write_text("{}")
    found = run(capsys, "verify", "set@v1.0", code=1)
    assert [(p["key"], p["kind"]) for p in found["problems"]] == [("em/s0/zarr.json", "truncated")]
    assert "em/s0/zarr.json is truncated" in text(capsys, "release", "verify", "set", "v1.0", code=1)


def test_published_images_are_refused_as_targets(capsys):
    assert main(["release", "create", "set", "v1.0", *ACCEPT, "--quiet"]) == 0
    for arguments in (
        ["convert", "a.npy", "set/em", *CONVERT, "--overwrite"],
        ["digest", "set/em", "--tree", "set/em/zarr.vldtree", "--quiet"],
    ):
        code = main(arguments)
        assert code == (1 if arguments[0] == "convert" else 0)
    assert "never changes" in capsys.readouterr().err
    assert main(["verify", "set@v1.0", "--quiet"]) == 0


def test_trees_of_published_images_are_not_replaced(capsys):
    assert main(["digest", "set/em", "--tree", "set/em.vldtree", "--quiet"]) == 0
    assert main(["release", "create", "set", "v1.0", *ACCEPT, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["digest", "set/em", "--tree", "set/em.vldtree", "--overwrite", "--quiet"]) == 1
    assert "em.vldtree" in capsys.readouterr().err


def test_a_dry_run_reports_checks_and_sizes(capsys, tmp_path):
    found = run(capsys, "release", "create", "set", "v1.0", "--dry-run", code=1)
    assert found["release"] is None and found["objects"] > 2
    assert "would consist of" in text(capsys, "release", "create", "set", "v1.0", "--dry-run", *ACCEPT)
    assert not (tmp_path / "set/releases").exists()


def test_a_policy_is_read_from_a_file(capsys, tmp_path):
    (tmp_path / "p.json").write_text('{"require": ["license"], "advise": ["checksums"]}')
    found = run(capsys, "release", "create", "set", "v1.0", "--policy", "p.json")
    states = {r["check"]: r["state"] for r in found["policy"]}
    assert (states["license"], states["checksums"], states["secrets"]) == ("passed", "advised", "off")


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "set", "a/b", *ACCEPT],
        ["create", "set", "v1", "--pin", "x"],
        ["create", "set", "v1", "--accept", "magic=x"],
        ["create", "set", "v1", "--checkpoint", "x.txt"],
        ["tombstone", "set", "v1", "--reason", ""],
    ],
)
def test_wrong_arguments_are_refused(capsys, arguments):
    assert main(["release", *arguments]) == 2


def test_what_is_not_there_is_said(capsys):
    assert "no release v9" in text(capsys, "release", "show", "set", "v9", code=1)
    assert "nothing at" in text(capsys, "release", "list", "other", code=1)
    assert run(capsys, "release", "list", "set")["releases"] == []


def test_a_dataset_is_made_published_continued_and_published_again(capsys, tmp_path):
    """Everything by the commands that belong to datasets."""
    facts = ["--license", "CC-BY-4.0", "--author", "Ada Lovelace"]
    assert main(["dataset", "create", "brain", "--name", "brain", *facts]) == 0
    assert main(["convert", "a.npy", "brain/em/first", *CONVERT]) == 0
    first = run(capsys, "release", "create", "brain", "v1.0", *ACCEPT)
    assert {r["check"]: r["state"] for r in first["policy"] if r["state"] != "passed"} == {"checksums": "accepted"}
    assert main(["convert", "a.npy", "brain/em/second", *CONVERT]) == 0
    assert run(capsys, "release", "create", "brain", "v1.1", *ACCEPT)["new_objects"] > 2
    for name in ("v1.0", "v1.1"):
        assert run(capsys, "verify", f"brain@{name}")["ok"]
    assert main(["dataset", "rename", "brain", "em/first", "em/third"]) == 1
    assert "may belong to a release" in capsys.readouterr().err
    assert run(capsys, "verify", "brain@v1.1")["ok"]
    assert "em/first" in text(capsys, "tree", "brain@v1.0")
