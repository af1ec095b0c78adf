"""``voxarium digest`` and ``voxarium compare``."""

from __future__ import annotations

import numpy as np
import pytest

import voxarium


@pytest.fixture
def changed(tmp_path, volume):
    data = volume.copy()
    data[3, 4, 5] += 1
    np.save(tmp_path / "changed.npy", data)
    return tmp_path / "changed.npy"


def test_equal_images_print_equal_digests(run, archive, npy):
    told = run("digest", archive, npy, "--axes", "zyx")
    lines = told.out.splitlines()
    assert told.code == 0 and len(lines) == 4
    assert lines[0] == f"{voxarium.logical_digest(archive).content}  {archive}"
    assert lines[2].split()[0] == lines[0].split()[0]
    assert lines[1].startswith("vld1-bound:")


def test_digests_are_told_as_json(run, archive, npy):
    told = run("digest", archive, npy, "--json").json["digests"]
    assert [t["content"] for t in told] == [voxarium.logical_digest(npy).content] * 2
    assert told[0]["axes"] == ["z", "y", "x"] and told[0]["bound"] and told[1]["bound"] is None
    assert told[0]["coordinates"]["matrix"][0] == ["4e-8", "0", "0", "0"]


def test_all_levels_are_digested(run, archive):
    told = run("digest", archive, "--level", "all", "--json").json["digests"]
    assert [t["level"] for t in told] == [0, 1] and len({t["content"] for t in told}) == 2
    assert run("digest", archive, "--level", 1).out.splitlines()[0].endswith(" level 1")


def test_all_images_of_a_folder_are_digested(run, archive, tmp_path):
    told = run("digest", tmp_path, "--json").json["digests"]
    assert str(archive) in [t["uri"] for t in told]


def test_images_that_do_not_open_are_named_and_fail_the_command(run, archive, tmp_path):
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr" / "zarr.json").write_text("{junk")
    told = run("digest", tmp_path, "--json")
    assert told.code == 1 and [str(archive)] == [t["uri"] for t in told.json["digests"]]
    assert list(told.json["problems"]) == [f"{tmp_path}/broken.zarr"]
    assert "left out" in run("digest", tmp_path).err


def test_equal_images_compare_with_0(run, archive, npy):
    told = run("compare", archive, npy)
    assert told.code == 0 and "voxels are equal" in told.out
    assert run("compare", archive, npy, "--quiet").out == ""


def test_a_changed_voxel_compares_with_1_and_is_located(run, archive, changed):
    told = run("compare", archive, changed)
    assert told.code == 1
    assert "1 voxel differs, in 1 of 1 blocks" in told.out and "3:4,4:5,5:6 (z, y, x)" in told.out
    found = run("compare", archive, changed, "--json")
    assert found.code == 1 and found.json["different_voxels"] == 1
    assert found.json["box"] == {"origin": [3, 4, 5], "shape": [1, 1, 1]}
    assert found.json["listed"] == [{"origin": [0, 0, 0], "shape": [20, 33, 45]}]
    assert "1 of 1 blocks differ" in run("compare", archive, changed, "--no-count").out


def test_trees_stand_for_images(run, archive, changed, tmp_path):
    tree = tmp_path / "a.vldtree"
    assert run("digest", archive, "--tree", tree).code == 0
    assert run("compare", tree, archive).code == 0
    assert run("compare", changed, tree).code == 1
    assert run("digest", archive, "--tree", tree, "--json").error["code"] == "target-exists"
    assert run("digest", archive, "--tree", tree, "--overwrite").code == 0


def test_trees_beside_images_save_reading_what_is_equal(run, archive, changed, tmp_path):
    trees = tmp_path / "a.vldtree", tmp_path / "b.vldtree"
    assert run("digest", archive, "--tree", trees[0]).code == run("digest", changed, "--tree", trees[1]).code == 0
    told = run("compare", archive, changed, "--tree-a", trees[0], "--tree-b", trees[1], "--json")
    assert told.code == 1 and told.json["different_voxels"] == 1


def test_coordinates_count_unless_only_content_is_asked_for(run, archive, npy, tmp_path):
    moved = tmp_path / "moved.zarr"
    made = run("convert", npy, moved, "--axes", "zyx", "--voxel-size", "40,8,9", "--unit", "nm", "--levels", 1, "-q")
    assert made.code == 0, made.err
    told = run("compare", archive, moved)
    assert told.code == 1 and "voxels are equal" in told.out and "coordinates differ" in told.out
    assert "x in meter [0 0 8e-9 0] and [0 0 9e-9 0]" in told.out
    assert run("compare", archive, moved, "--content").code == 0


def test_other_shapes_are_told_apart(run, archive, tmp_path, volume):
    np.save(tmp_path / "part.npy", volume[1:])
    told = run("compare", archive, tmp_path / "part.npy")
    assert told.code == 1 and "differ in shape" in told.out


def test_what_cannot_be_compared_is_2(run, archive, tmp_path):
    told = run("compare", archive, tmp_path / "nothing.zarr", "--json")
    assert told.code == 2 and told.error["code"] == "path-missing"
    (tmp_path / "junk.vldtree").write_bytes(b"junk")
    assert run("compare", archive, tmp_path / "junk.vldtree").code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["--level", "9"], 1, "level-missing"),
        (["--level", "-1"], 2, "argument-invalid"),
        (["--level", "x"], 2, "argument-invalid"),
        (["--level", "all", "--tree", "x.vldtree"], 2, "argument-invalid"),
        (["--tree", "x.txt"], 2, "argument-invalid"),
        (["--axes", "yx"], 2, "axes-mismatch"),
    ],
)
def test_wrong_arguments_are_said(run, archive, tmp_path, monkeypatch, arguments, code, kind):
    monkeypatch.chdir(tmp_path)
    told = run("digest", archive, *arguments, "--json")
    assert (told.code, told.error["code"]) == (code, kind)
    assert not (tmp_path / "x.vldtree").exists()
