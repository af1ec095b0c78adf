"""CREMI's layout and BigDataViewer's HDF5 as h5py and the XML show them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import voxarium
from voxarium.errors import ExistsError, UnsupportedError

h5py = pytest.importorskip("h5py")

SIZE, START = (40.0, 8.0, 6.0), (180.0, 68.0, 75.0)
OPTIONS = {"axes": "zyx", "voxel_size": SIZE, "translation": START, "unit": "nanometer", "chunk": 8}


def saved(folder, dtype, shape=(13, 22, 31)):
    data = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    np.save(folder / "data.npy", data)
    return data


def test_raw_data_in_cremis_layout(tmp_path):
    data = saved(tmp_path, "uint8")
    voxarium.convert(tmp_path / "data.npy", tmp_path / "a.hdf", format="cremi", **OPTIONS)
    with h5py.File(tmp_path / "a.hdf") as file:
        assert file.attrs["file_format"] == "0.2"
        raw = file["volumes/raw"]
        assert np.array_equal(raw[()], data)
        assert raw.attrs["resolution"].tolist() == [40, 8, 6] and raw.attrs["offset"].tolist() == list(START)
    image = voxarium.open(tmp_path / "a.hdf")
    assert image.info.format == "cremi" and image.scale_translation() == (SIZE, START)


def test_labels_are_neuron_ids(tmp_path):
    data = saved(tmp_path, "uint64")
    target = tmp_path / "labels.hdf"
    voxarium.convert(tmp_path / "data.npy", target, format="cremi", role="label", **OPTIONS)
    with h5py.File(target) as file:
        assert np.array_equal(file["volumes/labels/neuron_ids"][()], data) and "raw" not in file["volumes"]
    image = voxarium.open(target)
    assert image.role == "label" and image.info.format == "cremi" and image.scale_translation() == (SIZE, START)
    assert np.array_equal(voxarium.open(f"{target}::/volumes/labels/neuron_ids")[...], data)


@pytest.mark.parametrize(("dtype", "stored"), [("uint8", "u1"), ("uint16", "<i2"), ("uint32", "<u4")])
def test_bigdataviewer_finds_levels_and_reads_16_bits_as_unsigned(tmp_path, dtype, stored):
    data = saved(tmp_path, dtype)
    voxarium.convert(tmp_path / "data.npy", tmp_path / "em.h5", format="bdv-hdf5", levels=3, name="em", **OPTIONS)
    with h5py.File(tmp_path / "em.h5") as file:
        assert file["s00/resolutions"][()].tolist()[0] == [1, 1, 1] and file["s00/resolutions"].shape == (3, 3)
        assert file["s00/subdivisions"][()].tolist()[0] == [8, 8, 8]
        cells = file["t00000/s00/0/cells"]
        assert cells.dtype == stored and np.array_equal(cells[()].view(dtype), data)
        assert file["t00000/s00/2/cells"].shape < (13, 22, 31)
    root = ET.parse(tmp_path / "em.xml").getroot()
    loader = root.find("SequenceDescription/ImageLoader")
    assert loader.get("format") == "bdv.hdf5" and loader.find("hdf5").text == "em.h5"
    for address in ("em.h5", "em.xml", "em.h5::/t00000/s00"):
        image = voxarium.open(f"{tmp_path}/{address}")
        assert image.info.format == "bdv-hdf5" and image.dtype == dtype and len(image.levels) == 3
        assert np.array_equal(image[...], data) and image.scale_translation() == (SIZE, START)


def test_absent_cells_are_zero_and_int16_is_refused(tmp_path):
    np.save(tmp_path / "data.npy", np.zeros((9, 10, 11), "u2"))
    voxarium.convert(tmp_path / "data.npy", tmp_path / "em.h5", format="bdv-hdf5", **OPTIONS)
    assert not voxarium.open(tmp_path / "em.xml")[...].any()
    np.save(tmp_path / "signed.npy", np.zeros((9, 10, 11), "i2"))
    with pytest.raises(UnsupportedError, match="int16"):
        voxarium.convert(tmp_path / "signed.npy", tmp_path / "b.h5", format="bdv-hdf5", **OPTIONS)
    assert not (tmp_path / "b.xml").exists()


def test_an_xml_of_something_else_is_not_replaced(tmp_path):
    saved(tmp_path, "uint8")
    (tmp_path / "em.xml").write_text("<notes/>")
    with pytest.raises(ExistsError, match="describes something else"):
        voxarium.convert(tmp_path / "data.npy", tmp_path / "em.h5", format="bdv-hdf5", **OPTIONS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.npy", "em.xml"]
