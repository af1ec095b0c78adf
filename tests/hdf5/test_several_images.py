"""Files of several datasets: a list of images, unless a convention knows better."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

import voxarium
from voxarium.cli.main import main
from voxarium.errors import FormatError, InputError, VoxariumError

EM = (np.arange(7 * 18 * 21) % 251).astype(np.uint8).reshape(7, 18, 21)
LABELS = (EM // 50).astype(np.uint64)


@pytest.fixture
def two(tmp_path):
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["em"] = EM
        file["volumes/labels"] = LABELS
        file["transforms"] = np.zeros((300, 2), np.int64)  # a table
        file["scale"] = np.ones(3)
    return tmp_path / "two.h5"


def test_every_image_is_listed_and_opens_voxel_by_voxel(two):
    found = voxarium.open(two)
    assert isinstance(found, voxarium.Dataset)
    assert found.keys() == ["::/em", "::/volumes/labels"]
    assert [m.kind for m in found.members] == ["image", "label"]
    np.testing.assert_array_equal(found["em"][...], EM)
    np.testing.assert_array_equal(found["::/volumes/labels"][...], LABELS)
    assert found["labels"].role == "label"
    np.testing.assert_array_equal(voxarium.open(f"{two}::/volumes/labels")[...], LABELS)


@pytest.mark.parametrize("name", ["em", "volumes/labels"])
def test_one_image_and_tables_still_open_as_that_image(tmp_path, name):
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file[name] = EM
        file["transforms"] = np.zeros((21317, 2), np.int64)
    np.testing.assert_array_equal(voxarium.open(tmp_path / "one.h5")[...], EM)


def test_tables_are_images_where_there_is_nothing_else(tmp_path):
    with h5py.File(tmp_path / "tables.h5", "w") as file:
        file["a"] = np.zeros((300, 2), np.uint8)
        file["b"] = np.zeros((3, 400), np.uint8)
    assert voxarium.open(tmp_path / "tables.h5").keys() == ["::/a", "::/b"]


def test_an_array_is_not_guessed(two):
    with pytest.raises(InputError, match="2 datasets that could be images"):
        voxarium.open(two, format="hdf5")
    with pytest.raises(InputError, match="name one of them"):
        voxarium.convert(two, two.parent / "out.npy.zarr", axes="zyx", format="zarr3")


@pytest.mark.parametrize("name", ["two.h5", "two.hdf5", "two.mat", "two.nwb"])
def test_names_of_all_kinds(two, name):
    assert len(voxarium.open(two.rename(two.parent / name))) == 2


def test_names_with_odd_letters_open(tmp_path):
    names = ["a/raw", "b/raw", "c d/ra#w?", "é/x::y"]
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        for i, name in enumerate(names):
            file[name] = EM + i
        file["line\nbreak"] = EM
    found = voxarium.open(tmp_path / "odd.h5")
    assert found.keys() == [f"::/{n}" for n in names]
    assert found.info.notes == ("1 more datasets are not listed",)
    for i, image in enumerate(found[key] for key in found):
        np.testing.assert_array_equal(image[...], EM + i)


def test_a_convention_is_asked_first(tmp_path):
    with h5py.File(tmp_path / "cremi.h5", "w") as file:
        file["volumes/raw"] = EM
        file["volumes/raw"].attrs["resolution"] = (40.0, 4.0, 4.0)
        file["volumes/labels/neuron_ids"] = LABELS
        file["volumes/labels/neuron_ids"].attrs["resolution"] = (40.0, 4.0, 4.0)
    found = voxarium.open(tmp_path / "cremi.h5")
    assert found.info.format == "cremi"
    assert found.info.labels
    with h5py.File(tmp_path / "bdv.h5", "w") as file:
        for setup in ("s00", "s01"):
            file[f"{setup}/resolutions"] = np.ones((1, 3))
            file[f"{setup}/subdivisions"] = np.full((1, 3), 16, np.int32)
            file[f"t00000/{setup}/0/cells"] = EM.astype(np.int16)
    assert voxarium.open(tmp_path / "bdv.h5").info.format == "bdv-hdf5"


def test_broken_files_are_format_errors(two):
    data = two.read_bytes()
    for keep in (100, 700, 2000, len(data) // 2):
        (two.parent / "cut.h5").write_bytes(data[:keep])
        with pytest.raises(FormatError):
            voxarium.open(two.parent / "cut.h5")
    rng = np.random.default_rng(5)
    for _ in range(60):
        junk = np.frombuffer(data, np.uint8).copy()
        at = rng.integers(8, 3000, 12)
        junk[at] = rng.integers(0, 256, 12)
        (two.parent / "junk.h5").write_bytes(junk.tobytes())
        try:
            found = voxarium.open(two.parent / "junk.h5")
            for member in getattr(found, "members", ()):
                found[member.path]
        except VoxariumError:
            pass


def test_info_and_tree_show_each(two, capsys):
    assert main(["info", str(two)]) == 0
    assert "::/em: em, image" in capsys.readouterr().out
    assert main(["tree", str(two), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [c["name"] for c in shown["children"]] == ["::/em", "::/volumes/labels"]


def test_all_are_converted(two):
    assert main(["convert", str(two), str(two.parent / "out"), "--axes", "zyx", "--quiet"]) == 0
    np.testing.assert_array_equal(voxarium.open(two.parent / "out/em")[...], EM)
    labels = voxarium.open(two.parent / "out/labels")
    np.testing.assert_array_equal(labels[...], LABELS)
    assert labels.role == "label"
