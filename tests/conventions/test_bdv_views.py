"""Several views of BigDataViewer: written one after the other into one container, opened as a dataset."""

from __future__ import annotations

import numpy as np
import pytest

import voxarium
from voxarium.core.dataset import Dataset
from voxarium.errors import InputError

OPTIONS = {"format": "bdv", "axes": "zyx", "voxel_size": (4, 2, 2), "unit": "nanometer", "chunk": 8, "levels": 2}
VIEWS = {"setup0/timepoint0": 0, "setup0/timepoint3": 100, "setup2/timepoint0": 200}


@pytest.fixture
def written(tmp_path):
    for view, number in VIEWS.items():
        np.save(tmp_path / "data.npy", np.full((9, 10, 11), number + 7, "u2"))
        there = {"translation": (0, number, 0), "name": f"tile {view[5]}"}
        voxarium.convert(tmp_path / "data.npy", f"{tmp_path}/em.n5/{view}", **OPTIONS, **there)
    return tmp_path


def test_every_view_has_its_voxels_and_place(written):
    for view, number in VIEWS.items():
        image = voxarium.open(f"{written}/em.xml::{view}")
        assert image.info.format == "bdv" and (image[...] == number + 7).all()
        assert image.scale_translation()[1] == (0, number, 0)


@pytest.mark.parametrize("address", ["em.xml", "em.n5"])
def test_the_xml_and_the_container_are_datasets_of_the_views_that_are_there(written, address):
    dataset = voxarium.open(written / address)
    assert isinstance(dataset, Dataset) and len(dataset) == 3
    for view, number in VIEWS.items():
        key = next(k for k in dataset if k.endswith(view))
        assert (dataset[key][...] == number + 7).all()
    facts = [dict(m.facts) for m in dataset.members]
    assert {"setup": 2, "timepoint": 0} in [{k: f[k] for k in ("setup", "timepoint")} for f in facts]


def test_time_points_of_a_setup_share_levels_and_type(written):
    np.save(written / "other.npy", np.zeros((9, 10, 11), "u1"))
    with pytest.raises(InputError, match="other time points"):
        voxarium.convert(written / "other.npy", f"{written}/em.n5/setup0/timepoint4", **OPTIONS)
    voxarium.convert(written / "other.npy", f"{written}/em.n5/setup3/timepoint4", **OPTIONS)
    assert len(voxarium.open(written / "em.xml")) == 4


def test_views_in_hdf5_are_a_dataset(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for setup in range(2):
            file[f"s{setup:02d}/resolutions"] = np.ones((1, 3))
            file[f"s{setup:02d}/subdivisions"] = np.full((1, 3), 4, "i4")
            file[f"t00000/s{setup:02d}/0/cells"] = np.full((3, 4, 5), setup - 1, "i2")
    for address in ("a.h5",):
        dataset = voxarium.open(tmp_path / address)
        assert isinstance(dataset, Dataset) and len(dataset) == 2
        assert [int(dataset[k][0, 0, 0]) for k in dataset] == [65535, 0]
