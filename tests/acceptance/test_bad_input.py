"""What cannot be converted is refused with one error that tells the mend, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import voxarium
from voxarium import Code

CHOICES = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 8, "shard": 16, "memory": 1}


@pytest.fixture
def volume():
    return np.random.default_rng(5).integers(0, 255, (24, 33, 40)).astype(np.uint8)


@pytest.fixture
def refuse(refused, leaves_nothing, tmp_path):
    """Convert something that must be refused before anything is written."""

    def call(source, code, *words, target=None, **choices):
        target = tmp_path / "new" / "target.ome.zarr" if target is None else target
        existed = os.path.exists(target)
        error = refused(code, lambda: voxarium.convert(source, target, **{**CHOICES, **choices}), *words)
        if not existed:
            leaves_nothing(target)
            assert target.parent.exists() == (target.parent != tmp_path / "new")
        return error

    return call


def slices(folder, stack, suffix=".png"):
    from PIL import Image

    folder.mkdir()
    for i, plane in enumerate(stack):
        Image.fromarray(plane).save(folder / f"slice_{i}{suffix}")
    return folder


# ------------------------------------------------------------------------------------------------ what is not there
def test_missing_path(refuse, tmp_path):
    (tmp_path / "volume.npy").touch()
    refuse(tmp_path / "volum.npy", Code.PATH_MISSING, "volum.npy", "volume.npy")


def test_path_below_a_missing_folder(refuse, tmp_path):
    refuse(tmp_path / "no" / "such" / "em.zarr", Code.PATH_MISSING, "em.zarr", "'no'")


def test_empty_folder(refuse, tmp_path):
    (tmp_path / "slices").mkdir()
    refuse(tmp_path / "slices", Code.FOLDER_EMPTY, "slices")


def test_glob_without_matches(refuse, tmp_path, volume):
    slices(tmp_path / "slices", volume[:2])
    refuse(tmp_path / "slices" / "*.tif", Code.PATH_MISSING, "*.tif")


def test_missing_dataset_of_an_hdf5_file(refuse, tmp_path, volume):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/raw"] = volume
    refuse(f"{tmp_path}/a.h5::/volumes/row", Code.PATH_MISSING, "row", "raw")


def test_several_datasets_and_none_named_into_a_format_of_one(refuse, tmp_path, volume):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"], file["labels"] = volume, volume
    refuse(tmp_path / "a.h5", Code.ARGUMENT_INVALID, "raw", "labels", "a.h5", format="precomputed", accept=("all",))


def test_a_folder_of_several_images_into_a_format_of_one(refuse, tmp_path, volume, npy):
    for name in ("a", "b"):
        voxarium.convert(npy(volume), tmp_path / "many" / name, **CHOICES)
    refuse(tmp_path / "many", Code.ARGUMENT_INVALID, "a, b", format="precomputed", accept=("all",))


def test_a_file_of_no_known_format(refuse, tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    refuse(tmp_path / "notes.txt", Code.FORMAT_UNRECOGNISED, "notes.txt")


# ------------------------------------------------------------------------------------------------------ slices
def test_slices_of_different_size(refuse, tmp_path, volume):
    folder = slices(tmp_path / "slices", [*volume[:3], volume[3, :30], *volume[4:6]])
    refuse(folder, Code.SLICE_MISMATCH, "slice_3.png")


def test_slices_of_different_dtype(refuse, tmp_path, volume):
    folder = slices(tmp_path / "slices", [*volume[:3], volume[3].astype(np.uint16), *volume[4:6]])
    refuse(folder, Code.SLICE_MISMATCH, "slice_3.png", "uint16")


def test_mixed_image_kinds(refuse, tmp_path, volume):
    folder = slices(tmp_path / "slices", volume[:4])
    slices(tmp_path / "more", volume[4:6], ".tif")
    for path in (tmp_path / "more").iterdir():
        shutil.move(path, folder / f"z{path.name}")
    refuse(folder, Code.SLICE_MISMATCH, ".png", ".tif", "*.png")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_slice_cut_off_in_its_header(refuse, tmp_path, volume, suffix):
    folder = slices(tmp_path / "slices", volume[:4], suffix)
    path = folder / f"slice_2{suffix}"
    path.write_bytes(path.read_bytes()[:20])
    error = refuse(folder, Code.FILE_TRUNCATED, f"slice_2{suffix}")
    assert isinstance(error, voxarium.VoxariumError)


# -------------------------------------------------------------------------------------------------- truncated files
def shorten(path, keep):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@pytest.mark.parametrize("keep", [0.0, 0.0003, 0.5, 0.999])
def test_truncated_npy(refuse, npy, volume, keep):
    path = npy(volume)
    shorten(path, keep)
    refuse(path, Code.FILE_TRUNCATED, "source.npy")


@pytest.mark.parametrize("keep", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_truncated_tiff(refuse, tmp_path, volume, compression, keep):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, volume, compression=compression, photometric="minisblack")
    shorten(path, keep)
    refuse(path, Code.FILE_TRUNCATED, "stack.tif")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_truncated_hdf5(refuse, tmp_path, volume, keep):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", data=volume, chunks=(8, 8, 8), compression="gzip")
    shorten(path, keep)
    refuse(f"{path}::/raw", Code.FILE_TRUNCATED, "a.h5")


def test_an_unfinished_conversion_is_no_source(refuse, tmp_path, volume, npy):
    voxarium.convert(npy(volume), tmp_path / "half", **CHOICES)
    (tmp_path / "half" / ".voxarium").mkdir()
    (tmp_path / "half" / ".voxarium" / "job.json").write_text("{}")
    refuse(tmp_path / "half", Code.IMAGE_INCOMPLETE, "half", "--resume")


# -------------------------------------------------------------------------------------------------------- metadata
def zarr_array(path, volume, **options):
    import zarr

    array = zarr.create_array(
        path, shape=volume.shape, dtype=volume.dtype, chunks=(8, 8, 8), dimension_names=["z", "y", "x"], **options
    )
    array[...] = volume
    return path


def changed(path, change):
    document = json.loads((path / "zarr.json").read_text())
    change(document)
    (path / "zarr.json").write_text(json.dumps(document))
    return path


def test_unknown_codec(refuse, tmp_path, volume):
    path = zarr_array(tmp_path / "a.zarr", volume)
    changed(path, lambda d: d["codecs"].append({"name": "jpegxl", "configuration": {}}))
    refuse(path, Code.CODEC_UNKNOWN, "jpegxl")


def test_codec_of_a_package_that_is_not_installed(refuse, tmp_path, volume, monkeypatch):
    slices(tmp_path / "slices", volume[:3])
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    refuse(tmp_path / "slices", Code.EXTRA_NOT_INSTALLED, "pip install 'voxarium[images]'")


def test_metadata_that_is_no_json(refuse, tmp_path, volume):
    path = zarr_array(tmp_path / "a.zarr", volume)
    (path / "zarr.json").write_text('{"zarr_format": 3,')
    refuse(path, Code.METADATA_INVALID, "zarr.json")


def test_metadata_of_an_implausible_size(refuse, tmp_path, volume):
    path = zarr_array(tmp_path / "a.zarr", volume)

    def enlarge(document):
        document["chunk_grid"]["configuration"]["chunk_shape"] = [2**20] * 3
        document["shape"] = [2**20] * 3

    refuse(changed(path, enlarge), Code.METADATA_INVALID, "1048576", "zarr.json")


# ---------------------------------------------------------------------------------------------------------- choices
@pytest.mark.parametrize(
    ("choices", "code", "words"),
    [
        ({"axes": None}, Code.AXES_UNKNOWN, ("--axes", "zyx")),
        ({"axes": "yx"}, Code.AXES_MISMATCH, ("3",)),
        ({"axes": "tzyx"}, Code.AXES_MISMATCH, ("3",)),
        ({"axes": "zzx"}, Code.AXES_MISMATCH, ("3 different",)),
        ({"order": "zy"}, Code.AXES_MISMATCH, ("every axis",)),
        ({"voxel_size": (8, 8)}, Code.AXES_MISMATCH, ("z,y,x",)),
        ({"voxel_size": 0}, Code.ARGUMENT_INVALID, ("z", "8,8,8")),
        ({"voxel_size": float("nan")}, Code.ARGUMENT_INVALID, ("z",)),
        ({"unit": "parsnip"}, Code.UNIT_UNKNOWN, ("parsnip", "nanometer")),
        ({"unit": "second"}, Code.UNIT_UNKNOWN, ("second", "nanometer")),
        ({"chunk": 8, "shard": 20}, Code.CHUNK_MISALIGNED, ("20", "z", "multiple of 8", "16")),
        ({"chunk": (8, 8, 8), "shard": (16, 16, 12)}, Code.CHUNK_MISALIGNED, ("12", "x", "multiple of 8")),
        ({"chunk": 0}, Code.ARGUMENT_INVALID, ("chunk", "z")),
        ({"chunk": -8}, Code.ARGUMENT_INVALID, ("chunk", "z")),
        ({"chunk": (8, 8)}, Code.AXES_MISMATCH, ("z,y,x",)),
        ({"factors": 1}, Code.ARGUMENT_INVALID, ("2,2,2",)),
        ({"factors": (2, 2)}, Code.AXES_MISMATCH, ("z,y,x",)),
        ({"levels": 0}, Code.ARGUMENT_INVALID, ("levels",)),
        ({"levels": 1000}, Code.ARGUMENT_INVALID, ("levels",)),
        ({"method": "bicubic"}, Code.ARGUMENT_INVALID, ("bicubic", "mean")),
        ({"method": "mean", "role": "label"}, Code.ARGUMENT_INVALID, ("mode",)),
        ({"codec": "rar:9"}, Code.ARGUMENT_INVALID, ("rar", "zstd")),
        ({"codec": "zstd:99"}, Code.ARGUMENT_INVALID, ("99",)),
        ({"dtype": "uint7"}, Code.ARGUMENT_INVALID, ("uint7",)),
        ({"dtype": "<U4"}, Code.DTYPE_UNSUPPORTED, ("str",)),
        ({"fill_value": 300}, None, ("300", "uint8")),
        ({"fill_value": "blue"}, None, ("blue",)),
        ({"crop": voxarium.Box((0, 0, 0), (25, 1, 1))}, Code.BOX_OUT_OF_BOUNDS, ("(24, 33, 40)",)),
        ({"crop": voxarium.Box((0, 0), (2, 2))}, Code.BOX_OUT_OF_BOUNDS, ("(24, 33, 40)",)),
        ({"format": "n6"}, Code.FORMAT_UNRECOGNISED, ("n6", "ome-zarr")),
        ({"spec_version": "0.9"}, Code.ARGUMENT_INVALID, ("0.9", "0.5")),
        ({"shards": 16}, Code.ARGUMENT_INVALID, ("shards", "shard")),
    ],
    ids=lambda value: ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_choices_that_do_not_fit(tmp_path, npy, volume, leaves_nothing, choices, code, words):
    with pytest.raises(voxarium.VoxariumError) as caught:
        voxarium.convert(npy(volume), tmp_path / "t", **{**CHOICES, **choices})
    error = caught.value
    assert code is None or error.code == code, f"{error.code}: {error} ({error.fix})"
    for word in words:
        assert word in f"{error.message} {error.fix}", f"{word!r} is not in: {error} ({error.fix})"
    leaves_nothing(tmp_path / "t")


# ------------------------------------------------------------------------------------------------ source and target
def test_target_inside_source(refuse, tmp_path, volume):
    folder = slices(tmp_path / "slices", volume[:4])
    refuse(folder, Code.TARGET_IN_SOURCE, "slices", target=folder / "em.ome.zarr")
    assert len(list(folder.iterdir())) == 4


def test_target_inside_a_zarr_source(refuse, tmp_path, volume):
    path = zarr_array(tmp_path / "a.zarr", volume)
    refuse(path, Code.TARGET_IN_SOURCE, "a.zarr", target=path / "em.ome.zarr", axes=None)


def test_source_inside_target(refuse, tmp_path, volume, npy):
    source = npy(volume, "source.npy")
    for choices in ({}, {"overwrite": True}):
        refuse(source, Code.TARGET_IN_SOURCE, "source.npy", target=tmp_path, **choices)
    assert source.exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_target_is_the_source(refuse, tmp_path, volume, content, npy, overwrite):
    voxarium.convert(npy(volume), tmp_path / "em", **CHOICES)
    before = content(tmp_path / "em")
    refuse(tmp_path / "em", Code.TARGET_IN_SOURCE, "em", target=tmp_path / "em", overwrite=overwrite)
    assert content(tmp_path / "em") == before


def test_target_is_the_source_by_another_name(refuse, tmp_path, volume, content, npy):
    """Otherwise --overwrite would delete the only copy."""
    voxarium.convert(npy(volume), tmp_path / "real" / "em", **CHOICES)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    before = content(tmp_path / "real" / "em")
    refuse(
        tmp_path / "real" / "em", Code.TARGET_IN_SOURCE, target=tmp_path / "link" / "em", overwrite=True
    )  # fmt: skip
    refuse(
        tmp_path / "link" / "em", Code.TARGET_IN_SOURCE, target=tmp_path / "real" / "em", overwrite=True
    )  # fmt: skip
    refuse(
        tmp_path / "real" / "em", Code.TARGET_IN_SOURCE, target=tmp_path / "link" / "em" / "new"
    )  # fmt: skip
    assert content(tmp_path / "real" / "em") == before


@pytest.mark.parametrize("below", ["", "em.zarr"])
def test_target_is_a_file(refuse, tmp_path, volume, npy, below):
    (tmp_path / "notes.txt").write_text("keep")
    refuse(npy(volume), Code.TARGET_EXISTS, "notes.txt is a file", target=tmp_path / "notes.txt" / below)
    assert (tmp_path / "notes.txt").read_text() == "keep"


def test_target_far_below_a_file(tmp_path, volume, npy):
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(voxarium.VoxariumError) as caught:
        voxarium.convert(npy(volume), tmp_path / "notes.txt" / "a" / "b" / "em", **CHOICES)
    assert "notes.txt" in caught.value.message
    assert (tmp_path / "notes.txt").read_text() == "keep"


def test_target_exists(refuse, tmp_path, volume, npy):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.pdf").write_text("keep")
    target = tmp_path / "precious"
    refuse(npy(volume), Code.TARGET_EXISTS, "precious", "--overwrite", target=target)
    refuse(npy(volume), Code.TARGET_EXISTS, "thesis.pdf", "another target", target=target, overwrite=True)
    assert [p.name for p in target.iterdir()] == ["thesis.pdf"]


@pytest.mark.parametrize("target", ["https://example.org/em.zarr", "em.h5::/raw", "mem://em", ""])
def test_targets_that_cannot_be_written(refused, npy, volume, tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    source = npy(volume)
    with pytest.raises(voxarium.VoxariumError) as caught:
        voxarium.convert(source, target, **CHOICES)
    assert caught.value.code in (Code.URI_INVALID, Code.STORE_READ_ONLY)
    assert [p.name for p in tmp_path.iterdir()] == ["source.npy"]


def test_nothing_to_resume(refuse, npy, volume):
    refuse(npy(volume), Code.NOTHING_TO_RESUME, "--resume", resume=True)


# -------------------------------------------------------------------------------------------------------- the disk
@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own; one may be made read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small file system")

    def mount(*options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
        return folder

    yield mount
    subprocess.run(["umount", folder], capture_output=True)


def test_read_only_target(refuse, small_disk, npy, volume):
    folder = small_disk("size=1m", "ro")
    refuse(npy(volume), Code.STORE_PERMISSION, "target", "read-only", target=folder / "target")
    assert not list(folder.iterdir())


def test_a_folder_without_permission(refuse, tmp_path, npy, volume):
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "closed").mkdir(mode=0o555)
    refuse(npy(volume), Code.STORE_PERMISSION, "closed", target=tmp_path / "closed" / "em")


def test_a_disk_that_is_full_from_the_start(refuse, small_disk, npy, volume):
    folder = small_disk("size=64k")
    (folder / "ballast").write_bytes(bytes(64 << 10))
    refuse(npy(volume), Code.STORE_FULL, "target", "free", target=folder / "target")
    assert [p.name for p in folder.iterdir()] == ["ballast"]


# ------------------------------------------------------------------------------------------------------ the program
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("--axes", "yx"), 2),
        (("--axes", "zyx", "--chunk", "8", "--shard", "20"), 2),
        (("--axes", "zyx", "--chunk", "eight"), 2),
        (("--axes", "zyx", "--resume"), 1),
        (("--axes", "zyx", "--resume", "--overwrite"), 2),
        (("--axes", "zyx", "--no-such-option"), 2),
        (("--axes", "zyx", "--crop", "0:99,0:1,0:1"), 2),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_program_prints_one_error_and_its_mend(cli, tmp_path, npy, volume, arguments, code, as_json):
    done = cli("convert", npy(volume), tmp_path / "t", *arguments, *(["--json"] if as_json else []))
    assert done.code == code
    if as_json:
        assert set(done.json["error"]) == {"code", "message", "fix"} and not done.err
    else:
        assert not done.out
        lines = done.err.splitlines()
        assert [line.split(":")[0] for line in lines if not line.startswith("note:")] == ["error", "fix"]
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("command", ["convert", "info", "tree", "preview", "read"])
def test_every_command_says_that_a_path_is_missing(cli, tmp_path, command):
    more = {
        "convert": [tmp_path / "t"],
        "preview": ["--out", tmp_path / "a.png"],
        "read": ["--out", tmp_path / "a.npy"],
    }
    done = cli(command, tmp_path / "nothing.zarr", *more.get(command, []))
    assert done.code == 1
    assert done.err.startswith("error: nothing at ") and "\nfix: " in done.err
    assert not list(tmp_path.iterdir())


def test_other_packages_do_not_talk_into_the_error(tmp_path, volume):
    """tifffile logs what it stumbles over; logging prints that to stderr unless told otherwise."""
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, volume, photometric="minisblack")
    data = path.read_bytes()
    at = data.index(b"\x11\x01")  # the tag of the strips' offsets gets a data type that does not exist
    path.write_bytes(data[: at + 2] + b"\xee\xee" + data[at + 4 :])
    code = "import sys; from voxarium.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "convert", path, tmp_path / "t", "--axes", "zyx"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 1 and not (tmp_path / "t").exists()
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "fix"], done.stderr


def test_a_dry_run_refuses_what_the_run_would_refuse(cli, tmp_path, npy, volume):
    source = npy(volume)
    done = cli("convert", source, tmp_path, "--axes", "zyx", "--dry-run")
    assert done.code == 2 and "error: " in done.err
    done = cli("convert", source, tmp_path / "t", "--axes", "zyx", "--dry-run", "--json")
    assert done.code == 0 and done.json["objects"] >= 1
    assert [p.name for p in tmp_path.iterdir()] == ["source.npy"]
