"""``voxarium convert``: choices, dry runs, what is refused, and what is left behind."""

from __future__ import annotations

import os

import numpy as np
import pytest

import voxarium

BASICS = ["--axes", "zyx", "--voxel-size", "8", "--unit", "nanometer"]


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_level_is_there_with_its_coordinates(run, npy, tmp_path, volume):
    target = tmp_path / "out.ome.zarr"
    done = run("convert", npy, target, *BASICS, "--chunk", 8, "--shard", 16, "--levels", 3, "--method", "mean")
    assert done.code == 0 and done.err == ""
    assert "29,700 voxels in 3 levels" in done.out and "MVx/s" in done.out and "voxarium info" in done.out
    image = voxarium.open(target)
    assert (image[...] == volume).all()
    assert [a.shape for a in image.arrays] == [(20, 33, 45), (10, 17, 23), (5, 9, 12)]
    assert image.voxel_size(2) == (32, 32, 32)
    assert image.scale_translation(1)[1] == (4, 4, 4)


def test_json_reports_what_was_done(run, npy, tmp_path):
    done = run("convert", npy, tmp_path / "o.ome.zarr", *BASICS, "--levels", 1, "--json")
    assert done.err == ""
    assert done.json["voxels"] == 20 * 33 * 45 and done.json["levels"] == 1
    assert done.json["written_bytes"] > 0 and done.json["objects"] >= 3 and isinstance(done.json["notes"], list)


def test_quiet_says_nothing(run, npy, tmp_path):
    done = run("convert", npy, tmp_path / "o.ome.zarr", "--axes", "zyx", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_an_unknown_voxel_size_is_noted(run, npy, tmp_path):
    done = run("convert", npy, tmp_path / "o.ome.zarr", "--axes", "zyx")
    assert done.code == 0 and done.err.startswith("note: ") and "--voxel-size" in done.err


def test_a_dry_run_writes_nothing_and_tells_the_cost(run, npy, tmp_path):
    target = tmp_path / "o.ome.zarr"
    shown = run("convert", npy, target, *BASICS, "--dry-run")
    assert shown.code == 0 and "Nothing was written" in shown.out
    for word in ("objects", "memory", "time", "20 × 33 × 45"):
        assert word in shown.out
    document = run("convert", npy, target, *BASICS, "--dry-run", "--json", "--threads", 2).json
    for key in (
        "objects",
        "chunks",
        "raw_bytes",
        "source_requests",
        "memory_bytes",
        "seconds",
        "levels",
        "notes",
    ):
        assert key in document
    assert document["threads"] == 2
    assert not target.exists()


def test_choices_reach_the_archive(run, tmp_path, volume):
    source, target = tmp_path / "v.npy", tmp_path / "o.ome.zarr"
    np.save(source, volume.astype(np.uint16))
    done = run(
        *["convert", source, target, "--axes", "z,y,x", "--voxel-size", "40,4,4", "--unit", "nm"],
        *[
            "--crop",
            "2:18,:,5:45",
            "--chunk",
            "8,16,16",
            "--shard",
            "16,32,32",
            "--codec",
            "blosc:lz4:5",
            "--factors",
            "1,2,2",
        ],
        *[
            "--levels",
            "2",
            "--method",
            "stride",
            "--dtype",
            "uint8",
            "--name",
            "mine",
            "--threads",
            "1",
            "--memory",
            "64MB",
        ],
        *["--translation", "100,0,0", "--spec-version", "0.5", "--json"],
    )
    assert done.code == 0, done.out
    document = run("info", target, "--json").json
    first, second = document["levels"]
    assert document["name"] == "mine"
    assert first["shape"] == [16, 33, 40] and second["shape"] == [16, 17, 20]
    assert first["chunk"] == [8, 16, 16] and first["shard"] == [16, 32, 32] and first["dtype"] == "uint8"
    assert any("blosc" in codec for codec in first["codecs"])
    assert first["translation"] == [100 + 2 * 40, 0, 5 * 4]
    assert (voxarium.open(target)[...] == volume[2:18, :, 5:]).all()


@pytest.mark.parametrize(("target", "name"), [("sample.1.ome.zarr", "sample.1"), ("brain.v2", "brain.v2")])
def test_the_default_name_is_that_of_the_target_without_endings_of_formats(run, npy, tmp_path, target, name):
    assert run("convert", npy, tmp_path / target, *BASICS, "--levels", 1, "--quiet").code == 0
    assert voxarium.open(tmp_path / target).name == name


def test_order_permutes(run, npy, tmp_path, volume):
    target = tmp_path / "o.ome.zarr"
    assert run("convert", npy, target, "--axes", "zyx", "--order", "xyz", "--voxel-size", "1,2,3", "-q").code == 0
    image = voxarium.open(target)
    assert [a.name for a in image.axes] == ["x", "y", "z"] and image.voxel_size() == (3, 2, 1)
    assert (image[...] == volume.T).all()


def test_version_0_4_has_no_shards(run, npy, tmp_path, volume):
    target = tmp_path / "o.zarr"
    assert run("convert", npy, target, *BASICS, "--spec-version", "0.4", "--chunk", 16, "-q").code == 0
    document = run("info", target, "--json").json
    assert document["spec_version"] == "0.4" and document["levels"][0]["shard"] is None
    assert (voxarium.open(target)[...] == volume).all()


def test_shard_0_makes_every_chunk_an_object(run, npy, tmp_path):
    target = tmp_path / "o.ome.zarr"
    assert run("convert", npy, target, *BASICS, "--chunk", 16, "--shard", 0, "-q").code == 0
    assert run("info", target, "--json").json["levels"][0]["shard"] is None


def test_raw_files_take_their_shape_from_options(run, tmp_path, volume):
    source, target = tmp_path / "v.raw", tmp_path / "o.ome.zarr"
    source.write_bytes(b"12345678" + volume.astype(">u2").tobytes())
    raw = ["--shape", "20,33,45", "--source-dtype", ">u2", "--byte-offset", 8]
    assert run("convert", source, target, *BASICS, *raw, "-q").code == 0
    assert (voxarium.open(target)[...] == volume).all()
    fortran = tmp_path / "f.bin"
    fortran.write_bytes(np.asfortranarray(volume).tobytes(order="F"))
    raw = ["--shape", "20,33,45", "--source-dtype", "uint8", "--source-order", "F", "--source-format", "raw"]
    assert run("convert", fortran, tmp_path / "f.ome.zarr", *BASICS, *raw, "-q").code == 0
    assert (voxarium.open(tmp_path / "f.ome.zarr")[...] == volume).all()


def test_a_label_is_listed_by_its_image(run, archive):
    assert any("cells" in label for label in run("info", archive, "--json").json["labels"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--axes", "yx"], "3 axes"),
        (["--axes", "zyy"], "names"),
        (["--chunk", "64,64"], "space axes"),
        (["--chunk", "0"], "positive"),
        (["--chunk", "6x4"], "--chunk"),
        (["--chunk", ""], "--chunk"),
        (["--chunk", "16", "--shard", "40"], "multiple of 16"),
        (["--crop", "0:4,0:4"], "axes"),
        (["--crop", "0:4,0:4,0:99"], "within"),
        (["--crop", "4:4,:,:"], "empty"),
        (["--crop", "9:4,:,:"], "empty"),
        (["--crop", "a:b,:,:"], "--crop"),
        (["--crop", "-3:4,:,:"], "--crop"),
        (["--voxel-size", "8,8"], "space axes"),
        (["--voxel-size", "0"], "positive"),
        (["--voxel-size", "-8"], "positive"),
        (["--voxel-size", "nan"], "--voxel-size"),
        (["--voxel-size", "eight"], "--voxel-size"),
        (["--translation", "1,2"], "space axes"),
        (["--unit", "parrots"], "unit"),
        (["--factors", "1"], "downsample"),
        (["--factors", "0"], "factors"),
        (["--levels", "0"], "levels"),
        (["--levels", "many"], "--levels"),
        (["--method", "magic"], "mean"),
        (["--codec", "magic:1"], "codec"),
        (["--format", "magic"], "magic"),
        (["--spec-version", "9"], "0.5"),
        (["--dtype", "magic"], "type"),
        (["--role", "magic"], "intensity"),
        (["--order", "zy"], "axes"),
        (["--memory", "lots"], "--memory"),
        (["--memory", "0"], "--memory"),
        (["--threads", "0"], "--threads"),
        (["--threads", "two"], "--threads"),
        (["--fill-value", "green"], "--fill-value"),
        (["--overwrite", "--resume"], "exclude"),
        (["--shape", "a"], "--shape"),
        (["--chnk", "64"], "--chunk"),
        (["--source-format", "magic"], "magic"),
    ],
)
def test_wrong_arguments_are_explained_and_write_nothing(run, npy, tmp_path, arguments, words):
    target = tmp_path / "o.ome.zarr"
    given = ["convert", npy, target, "--axes", "zyx", *arguments]
    told = run(*given)
    assert told.code == 2, told.err
    lines = told.err.strip().splitlines()
    assert lines[-2].startswith("error: ") and lines[-1].startswith("fix: ")
    assert words in told.err
    assert not target.exists()
    told = run(*given, "--json")
    assert set(told.error) == {"code", "message", "fix"} and told.err == ""


def test_axes_that_nobody_names_are_asked_for(run, npy, tmp_path):
    told = run("convert", npy, tmp_path / "o.ome.zarr", "--json")
    assert told.code == 2 and told.error["code"] == "axes-unknown" and "--axes zyx" in told.error["fix"]


def test_a_target_that_exists_is_left_alone(run, archive, npy, volume):
    before = contents(archive)
    told = run("convert", npy, archive, *BASICS, "--json")
    assert told.code == 1 and told.error["code"] == "target-exists" and "--overwrite" in told.error["fix"]
    assert contents(archive) == before


def test_overwrite_replaces_the_image_and_keeps_labels_inside(run, archive, npy):
    assert run("convert", npy, archive, *BASICS, "--levels", 1, "--overwrite", "-q").code == 0
    document = run("info", archive, "--json").json
    assert len(document["levels"]) == 1 and document["labels"] == ["labels/cells"]


def test_a_file_in_the_way_is_left_alone(run, npy, tmp_path):
    (tmp_path / "file").write_text("precious")
    for target in (tmp_path / "file", tmp_path / "file" / "below"):
        told = run("convert", npy, target, *BASICS, "--overwrite", "--json")
        assert told.code == 1 and told.error["code"] == "target-exists"
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_target_inside_its_source_is_refused(run, archive, dry):
    for target in (archive, archive / "inside.ome.zarr", archive.parent):
        told = run("convert", archive, target, "--overwrite", "--json", *dry)
        assert told.code == 2 and told.error["code"] == "target-in-source", target
    assert run("info", archive).code == 0


@pytest.mark.parametrize("target", ["https://example.org/o.ome.zarr", "stack.h5::/em"])
def test_a_target_that_cannot_be_written_is_refused(run, npy, target):
    told = run("convert", npy, target, *BASICS, "--json")
    assert told.code == 2 and told.error["code"] in ("store-read-only", "uri-invalid")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission_is_an_error(run, npy, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    told = run("convert", npy, tmp_path / "locked" / "o.ome.zarr", *BASICS, "--json")
    assert told.code == 1 and told.error["code"] in ("store-permission", "store-unwritable")


def test_a_target_where_nothing_can_be_made_is_an_error(run, npy):
    told = run("convert", npy, "/proc/voxarium.ome.zarr", *BASICS, "--json")
    assert told.code == 1 and told.error["code"] in ("store-permission", "store-unwritable"), told.out


@pytest.mark.parametrize("name", ["nothing.npy", "empty", "cut.npy", "junk.npy", "junk.tif", "junk.h5"])
def test_a_broken_source_is_an_error_and_leaves_no_target(run, npy, tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.npy").write_bytes(npy.read_bytes()[:300])
    for junk in ("junk.npy", "junk.tif", "junk.h5"):
        (tmp_path / junk).write_bytes(b"junk" * 100)
    told = run("convert", tmp_path / name, tmp_path / "o.ome.zarr", *BASICS, "--json")
    assert told.code == 1 and told.error["fix"]
    assert not (tmp_path / "o.ome.zarr").exists()


def test_values_that_do_not_fit_stop_the_job_unless_lossy(run, tmp_path):
    source, target = tmp_path / "v.npy", tmp_path / "o.ome.zarr"
    np.save(source, np.full((4, 5, 6), 300, np.uint16))
    told = run("convert", source, target, *BASICS, "--dtype", "uint8", "--json")
    assert told.code == 2 and told.error["code"] == "dtype-range" and "--lossy" in told.error["fix"]
    assert run("convert", source, target, *BASICS, "--dtype", "uint8", "--lossy", "--overwrite", "-q").code == 0
    assert (voxarium.open(target)[...] == 255).all()


def test_resume_where_nothing_was_begun_says_so(run, npy, tmp_path, archive):
    for target in (tmp_path / "new.ome.zarr", archive):
        told = run("convert", npy, target, *BASICS, "--resume", "--json")
        assert told.code == 1 and told.error["code"] == "nothing-to-resume"


def test_two_runs_write_the_same_bytes(run, npy, tmp_path):
    for name, threads in (("a", 1), ("b", 2)):
        target = tmp_path / name / "em.ome.zarr"
        target.parent.mkdir()
        assert run("convert", npy, target, *BASICS, "--chunk", 8, "--shard", 16, "--threads", threads, "-q").code == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_several_images_are_converted_together_where_the_format_can_hold_them(run, archive, npy, tmp_path):
    (tmp_path / "many").mkdir()
    archive.rename(tmp_path / "many" / "a.ome.zarr")
    assert run("convert", npy, tmp_path / "many" / "b.ome.zarr", *BASICS, "-q").code == 0
    told = run("convert", tmp_path / "many", tmp_path / "o.n5", "--format", "n5-viewer", "--json")
    assert told.code == 2 and "a.ome.zarr" in told.error["fix"]
    assert run("convert", tmp_path / "many", tmp_path / "o.ome.zarr", "--json").json["images"] == 2
    assert sorted(p.name for p in (tmp_path / "o.ome.zarr").iterdir() if p.is_dir()) == ["a.ome.zarr", "b.ome.zarr"]
