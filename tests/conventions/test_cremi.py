"""CREMI: HDF5 whose numbers are (z, y, x) nanometres."""

from __future__ import annotations

import numpy as np
import pytest

import voxarium
from voxarium.errors import FormatError, NotFoundError
from voxarium.formats.cremi import CremiDriver
from voxarium.formats.hdf5 import Hdf5Driver
from voxarium.model.transforms import scale_translation
from voxarium.spec import cremi
from voxarium.stores.local import LocalStore

h5py = pytest.importorskip("h5py")
RAW = np.arange(3 * 20 * 31, dtype=np.uint8).reshape(3, 20, 31)
IDS = np.arange(2 * 10 * 15, dtype=np.uint64).reshape(2, 10, 15)


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "sample_A.hdf"
    with h5py.File(path, "w") as file:
        file["volumes/raw"] = RAW
        file["volumes/raw"].attrs["resolution"] = [40.0, 5.0, 4.0]
        file["volumes/raw"].attrs["comment"] = "x"
        file["volumes/labels/neuron_ids"] = IDS
        file["volumes/labels/neuron_ids"].attrs.update(resolution=[40.0, 5.0, 4.0], offset=[40.0, 25.0, 12.0])
        file["volumes/labels/clefts"] = IDS
        file["annotations/ids"] = np.arange(5)
    return path


def open_with(path, inner=""):
    store = LocalStore(path.parent)
    name = f"{path.name}::{inner}" if inner else path.name
    return CremiDriver().open(store, name, lambda key: Hdf5Driver().open(store, key))


class TestCremi:
    """Reading."""

    @pytest.mark.parametrize("inner", ["", "/volumes", "/volumes/raw", "volumes/raw/"])
    def test_raw_data_stand_for_the_file(self, sample, inner):
        image = open_with(sample, inner)
        assert [(a.name, a.unit) for a in image.axes] == [(n, "nanometer") for n in "zyx"]
        assert scale_translation(image.levels[0].transform, 3) == ((40, 5, 4), (0, 0, 0))
        assert image.role == "intensity" and image.bag.extra == {"comment": "x"}
        assert image.labels == ("volumes/labels/clefts", "volumes/labels/neuron_ids")

    def test_labels_lie_where_their_offset_says(self, sample):
        image = open_with(sample, "/volumes/labels/neuron_ids")
        assert scale_translation(image.levels[0].transform, 3) == ((40, 5, 4), (40, 25, 12))
        assert image.role == "label" and image.name == "neuron_ids"
        assert image.edges[0].original == {"resolution": [40, 5, 4], "offset": [40, 25, 12]}

    @pytest.mark.parametrize("inner", ["", "::/volumes/labels/neuron_ids"])
    def test_voxels(self, sample, inner):
        image = voxarium.open(f"{sample}{inner}")
        assert image.info.format == "cremi"
        assert (image[...] == (IDS if inner else RAW)).all()

    def test_others_are_declined(self, sample, tmp_path):
        with h5py.File(tmp_path / "other.h5", "w") as file:
            file["raw"] = RAW
            file["volumes/raw"] = RAW  # without a resolution
        (tmp_path / "broken.h5").write_bytes(b"junk")
        store = LocalStore(tmp_path)
        for path in (
            "other.h5",
            "other.h5::/raw",
            "broken.h5",
            "none.h5",
            "a.n5",
            "",
            "sample_A.hdf::/annotations/ids",
            "sample_A.hdf::/volumes/labels",
            "sample_A.hdf::/volumes/labels/clefts",
        ):
            with pytest.raises(NotFoundError):
                CremiDriver().open(store, path, lambda key: Hdf5Driver().open(store, key))

    @pytest.mark.parametrize(
        "attributes",
        [
            {"resolution": [1, 2]},
            {"resolution": [0, 1, 1]},
            {"resolution": "abc"},
            {"resolution": [1, 2, 3], "offset": ["a"]},
        ],
    )
    def test_broken_numbers_are_an_error(self, attributes):
        with pytest.raises(FormatError):
            cremi.parse_image("volumes/raw", attributes, 3, "x")
