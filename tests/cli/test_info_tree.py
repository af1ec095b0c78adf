"""``voxarium info`` and ``voxarium tree``: what is there, whole, unfinished or broken."""

from __future__ import annotations

import json

import numpy as np
import pytest


def test_info_describes_every_level(run, archive):
    found = run("info", archive)
    assert found.code == 0 and found.err == ""
    assert "ome-zarr 0.5" in found.out
    assert "z 40 nm, y 8 nm, x 8 nm" in found.out
    assert "20 × 33 × 45" in found.out and "cells" in found.out


def test_info_json_has_the_keys_that_scripts_rely_on(run, archive):
    document = run("info", archive, "--json").json
    assert document["complete"] is True
    assert (document["format"], document["spec_version"], document["role"]) == (
        "ome-zarr",
        "0.5",
        "intensity",
    )
    assert document["axes"] == [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    assert any("cells" in label for label in document["labels"])
    first = document["levels"][0]
    assert (first["shape"], first["dtype"], first["chunk"], first["shard"]) == (
        [20, 33, 45],
        "uint8",
        [16] * 3,
        [32] * 3,
    )
    assert first["voxel_size"] == [40, 8, 8] and first["translation"] == [0, 0, 0]
    assert first["codecs"] and first["path"]
    for level in document["levels"]:
        assert {
            "path",
            "shape",
            "dtype",
            "chunk",
            "shard",
            "codecs",
            "voxel_size",
            "translation",
        } <= level.keys()


def test_info_of_labels_says_so(run, archive):
    assert run("info", archive / "labels" / "cells", "--json").json["role"] == "label"


def test_info_of_a_folder_of_images_lists_them(run, archive, npy):
    folder = archive.parent / "lab"
    folder.mkdir()
    archive.rename(folder / "a.ome.zarr")
    assert run("convert", npy, folder / "b.ome.zarr", "--axes", "zyx", "--levels", 1, "-q").code == 0
    document = run("info", folder, "--json").json
    assert document["format"] == "dataset"
    assert [image["key"] for image in document["images"]] == ["a.ome.zarr", "b.ome.zarr"]
    assert document["images"][0]["levels"][0]["shape"] == [20, 33, 45]
    assert "a.ome.zarr" in run("info", folder).out


def test_info_quiet_says_nothing(run, archive):
    assert run("info", archive, "--quiet") == run("info", archive, "-q")
    assert run("info", archive, "-q").out == ""


def test_info_of_an_unfinished_target_says_incomplete_and_how_to_go_on(run, archive):
    (archive / ".voxarium").mkdir()
    (archive / ".voxarium" / "job.json").write_text("{}")
    told = run("info", archive)
    assert told.code == 1 and told.out == ""
    assert "incomplete" in told.err and "--resume" in told.err
    told = run("info", archive, "--json")
    assert told.code == 1 and told.json["complete"] is False and told.error["code"] == "image-incomplete"
    listed = run("tree", archive.parent, "--json").json
    assert [c["kind"] for c in listed["children"] if c["name"] == "em.ome.zarr"] == ["incomplete"]


def test_chunks_of_an_unfinished_target_are_no_images(run, archive):
    (archive / "zarr.json").unlink()
    (archive / ".voxarium").mkdir()
    (archive / ".voxarium" / "job.json").write_text("{}")
    assert run("info", archive, "--json").error["code"] == "image-incomplete"
    assert run("info", archive.parent, "--json").code == 1 or all(
        "em.ome.zarr" not in i["key"] for i in run("info", archive.parent, "--json").json["images"]
    )


def test_raw_files_are_described_by_options(run, tmp_path):
    (tmp_path / "v.raw").write_bytes(b"head" + bytes(2 * 3 * 4 * 2))
    told = run("info", tmp_path / "v.raw", "--shape", "2,3,4", "--source-dtype", ">u2", "--byte-offset", 4, "--json")
    assert told.json["levels"][0]["shape"] == [2, 3, 4] and told.json["levels"][0]["dtype"] == "uint16"
    told = run("info", tmp_path / "v.raw")
    assert told.code == 2 and "shape" in told.err


def test_tree_shows_images_labels_and_levels(run, archive):
    shown = run("tree", archive)
    assert shown.code == 0
    assert "intensity image, ome-zarr 0.5, uint8" in shown.out
    assert "label image, ome-zarr 0.5, uint32" in shown.out
    assert "20 × 33 × 45" in shown.out
    document = run("tree", archive, "--json").json
    assert document["kind"] == "image" and document["levels"][0]["shape"] == [20, 33, 45]
    labels = next(c for c in document["children"] if c["name"] == "labels")
    assert [(c["name"], c["kind"], c["role"]) for c in labels["children"]] == [("cells", "image", "label")]


def test_tree_shows_files_and_what_is_broken(run, tmp_path, npy):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "cut.npy").write_bytes(npy.read_bytes()[:500])
    (tmp_path / "sub" / "bad.zarr").mkdir()
    (tmp_path / "sub" / "bad.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "array"')
    (tmp_path / "sub" / "plain.raw").write_bytes(bytes(24))
    document = run("tree", tmp_path, "--json").json
    kinds = {c["name"]: c["kind"] for c in document["children"]}
    assert kinds == {"sub": "group", "volume.npy": "array"}
    inner = next(c for c in document["children"] if c["name"] == "sub")
    assert {c["name"]: c["kind"] for c in inner["children"]} == {
        "cut.npy": "broken",
        "bad.zarr": "broken",
        "plain.raw": "file",
    }
    assert [c["name"] for c in run("tree", tmp_path, "--depth", 0, "--json").json.get("children", [])] == []


@pytest.mark.parametrize("command", ["info", "tree"])
def test_what_is_not_there_is_named_with_what_is_near(run, archive, command):
    told = run(command, archive.parent / "em.ome.zar")
    assert told.code == 1
    assert told.err.startswith("error: nothing at ") and "fix: " in told.err and "em.ome.zarr" in told.err
    told = run(command, archive.parent / "em.ome.zar", "--json")
    assert told.code == 1 and told.err == ""
    assert told.error["code"] == "path-missing" and told.error["message"] and told.error["fix"]


@pytest.mark.parametrize("command", ["info", "tree"])
def test_an_empty_folder_is_an_error(run, tmp_path, command):
    (tmp_path / "empty").mkdir()
    told = run(command, tmp_path / "empty", "--json")
    assert told.code == 1 and told.error["code"] in (
        "folder-empty",
        "format-unrecognised",
        "metadata-missing",
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"zarr_format": 3}',
        b'{"zarr_format": 3, "node_type": "array", "shape": [1]}',
        b"\xff\xfe\x00",
    ],
)
def test_broken_metadata_is_an_error_not_a_crash(run, tmp_path, content):
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr" / "zarr.json").write_bytes(content)
    told = run("info", tmp_path / "x.zarr", "--json")
    assert told.code == 1 and told.error["fix"]


def test_a_truncated_file_is_an_error(run, tmp_path, npy):
    (tmp_path / "cut.npy").write_bytes(npy.read_bytes()[:-100])
    told = run("info", tmp_path / "cut.npy", "--json")
    assert told.code == 1 and told.error["code"] == "file-truncated"


def test_names_and_numbers_of_the_text_and_the_json_agree(run, archive):
    text, document = run("info", archive).out, run("info", archive, "--json").json
    for level in document["levels"]:
        assert " × ".join(f"{n:,}" for n in level["shape"]) in text
    assert json.dumps(document)


def test_a_float_fill_value_that_json_lacks_is_text(run, tmp_path):
    source, target = tmp_path / "f.npy", tmp_path / "f.ome.zarr"
    np.save(source, np.ones((2, 3, 4), np.float32))
    assert run("convert", source, target, "--axes", "zyx", "--fill-value", "nan", "-q").code == 0
    assert run("info", target, "--json").json["levels"][0]["fill_value"] == "nan"
