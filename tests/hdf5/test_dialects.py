"""HDF5 as other programs write it: MATLAB, ilastik, NeuroProof, NWB; links and virtual datasets."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.errors import Code, FormatError, InputError, UnsupportedError, VoxariumError
from voxarium.formats.hdf5 import Hdf5Driver
from voxarium.model.box import Box
from voxarium.spec import matlab
from voxarium.stores.memory import MemoryStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = (np.arange(7 * 9 * 11) % 251).astype("u1").reshape(7, 9, 11)


# --------------------------------------------------------------------------------------------------------- MATLAB
def write_mat(path, **variables):
    """Write a file as MATLAB does: a user block, reversed axes, classes as fixed-length text."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, (kind, data, extra) in variables.items():
            dataset = file.create_dataset(name.replace("__", "/"), data=data, chunks=data.shape, compression="gzip")
            dataset.attrs["MATLAB_class"] = np.bytes_(kind)
            dataset.attrs.update(extra)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 .")


def test_a_matlab_variable_opens_with_a_remark_about_its_axes(tmp_path):
    write_mat(tmp_path / "a.mat", volume=("uint8", DATA, {}))
    image = voxarium.open(tmp_path / "a.mat")
    np.testing.assert_array_equal(image[...], DATA)
    assert image.arrays[0].info.remarks == (
        "MATLAB variable of size 11 x 9 x 7: the axes appear in the opposite order",
    )


def test_logical_variables_and_bookkeeping_do_not_hide_the_image(tmp_path):
    text = np.array([[72, 105]], "u2")
    write_mat(
        tmp_path / "a.mat",
        mask=("logical", DATA % 2, {"MATLAB_int_decode": 1}),
        note=("char", text, {"MATLAB_int_decode": 2}),
        nothing=("double", np.array([[0, 0]], "u8"), {"MATLAB_empty": 1}),
        **{"#refs#__a": ("double", DATA.astype("f8"), {})},
    )
    np.testing.assert_array_equal(voxarium.open(tmp_path / "a.mat")[...], DATA % 2)
    with pytest.raises(UnsupportedError, match="char"):
        voxarium.open(f"{tmp_path}/a.mat::/note")
    with pytest.raises(FormatError, match="empty"):
        voxarium.open(f"{tmp_path}/a.mat::/nothing")


def test_older_mat_files_are_named_as_such(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file, Platform: PCWIN64".ljust(512))
    with pytest.raises(UnsupportedError, match="MATLAB 5") as caught:
        voxarium.open(tmp_path / "a.mat")
    assert "v7.3" in caught.value.fix


@given(
    st.dictionaries(st.sampled_from(["MATLAB_class", "MATLAB_empty"]), st.text() | st.integers() | st.lists(st.text()))
)
def test_any_attributes_give_remarks_or_our_errors(attributes):
    if isinstance(attributes.get("MATLAB_class"), list):
        attributes["MATLAB_class"] = str(attributes["MATLAB_class"])
    with contextlib.suppress(VoxariumError):
        assert all(isinstance(r, str) for r in matlab.remarks(attributes, (2, 3), "here"))


# -------------------------------------------------------------------------------------------------------- ilastik
def test_ilastik_axes_are_those_of_the_stored_order(tmp_path):
    tags = {"axes": [{"key": k, "typeFlags": 2, "resolution": 0, "description": ""} for k in "tzyxc"]}
    with h5py.File(tmp_path / "seg.h5", "w") as file:
        data = file.create_dataset("exported_data", data=DATA[None, ..., None], chunks=(1, 4, 4, 4, 1))
        data.attrs["axistags"] = json.dumps(tags)
        data.attrs["display_mode"] = b"random-colortable"
        data.attrs["drange"] = np.array([0, 250])
    image = voxarium.open(tmp_path / "seg.h5")
    assert [(a.name, a.type) for a in image.axes] == [
        ("t", "time"),
        ("z", "space"),
        ("y", "space"),
        ("x", "space"),
        ("c", "channel"),
    ]
    np.testing.assert_array_equal(image[0, ..., 0], DATA)


@pytest.mark.parametrize("tags", ["", "{", "[]", '{"axes": 7}', '{"axes": [{"key": 3}]}', "[" * 5000, b"\xff"])
def test_broken_axistags_do_not_spoil_the_voxels(tmp_path, tags):
    with h5py.File(tmp_path / "seg.h5", "w") as file:
        file["exported_data"] = DATA
        file["exported_data"].attrs["axistags"] = tags
    image = voxarium.open(tmp_path / "seg.h5")
    assert not image.info.axes_stated
    np.testing.assert_array_equal(image[...], DATA)


# ------------------------------------------------------------------------------------------------ files of others
def test_neuroproof_stacks_name_both_of_their_datasets(tmp_path):
    source = SHARED / "fib25" / "oversegmented_stack_labels.h5.gz"
    if not source.exists():
        pytest.skip("shared data is not here")
    (tmp_path / "labels.h5").write_bytes(gzip.decompress(source.read_bytes()))
    image = voxarium.open(f"{tmp_path}/labels.h5::/stack")
    assert voxarium.open(tmp_path / "labels.h5").shape == image.shape  # the other one is a table
    with h5py.File(tmp_path / "labels.h5") as file:
        np.testing.assert_array_equal(image[100:103], file["stack"][100:103])
    assert len(np.unique(voxarium.open(f"{tmp_path}/labels.h5::/transforms")[:, 0])) == 3337


def test_nwb_files_open_as_plain_hdf5():
    folder = SHARED / "neuro" / "nwb_generated"
    if not folder.exists():
        pytest.skip("shared data is not here")
    image = voxarium.open(f"{folder}/ophys_pynwb420.nwb::/acquisition/tps/data")
    np.testing.assert_array_equal(image[...], np.load(folder / "mov.npy"))
    for path in sorted((SHARED / "neuro" / "nwb").glob("*.nwb")):
        with contextlib.suppress(InputError):  # most hold no image, or several
            assert voxarium.open(path).info.format == "hdf5"


def test_pybdv_cells_open_as_plain_hdf5():
    path = SHARED / "neuro" / "h5_generated" / "n_bdv.h5"
    if not path.exists():
        pytest.skip("shared data is not here")
    with h5py.File(path) as file:
        name = "t00000/s00/0/cells"
        np.testing.assert_array_equal(voxarium.open(f"{path}::/{name}")[...], file[name][...].view("u2"))


# ------------------------------------------------------------------------------------ links and virtual datasets
def test_virtual_datasets_of_several_files_in_the_folder_are_read(tmp_path):
    (tmp_path / "parts").mkdir()
    layout = h5py.VirtualLayout((4, *DATA.shape), "u1")
    for i in range(3):
        with h5py.File(tmp_path / "parts" / f"{i}.h5", "w") as file:
            file["em"] = DATA + i
        layout[i] = h5py.VirtualSource(f"parts/{i}.h5", "em", DATA.shape)
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("em", layout, fillvalue=5)
    expected = np.stack([DATA, DATA + 1, DATA + 2, np.full_like(DATA, 5)])
    np.testing.assert_array_equal(voxarium.open(tmp_path / "all.h5")[...], expected)


def _virtual(path, source, name="em"):
    layout = h5py.VirtualLayout(DATA.shape, "u1")
    layout[...] = h5py.VirtualSource(source, name, DATA.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("em", layout)


def test_virtual_datasets_in_a_circle_end(tmp_path):
    _virtual(tmp_path / "a.h5", "b.h5")
    _virtual(tmp_path / "b.h5", "a.h5")
    with pytest.raises(VoxariumError) as caught:
        voxarium.open(tmp_path / "a.h5")
    assert caught.value.code == Code.FEATURE_UNSUPPORTED


@pytest.mark.parametrize("source", ["../out.h5", "/etc/out.h5", "parts/../../out.h5"])
def test_virtual_sources_outside_are_refused(tmp_path, source):
    folder = tmp_path / "in"
    folder.mkdir()
    with h5py.File(tmp_path / "out.h5", "w") as file:
        file["em"] = DATA
    _virtual(folder / "a.h5", source)
    with pytest.raises(UnsupportedError, match="outside"):
        voxarium.open(folder / "a.h5")


def test_a_link_of_a_virtual_source_may_not_leave_either(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    with h5py.File(tmp_path / "out.h5", "w") as file:
        file["em"] = DATA
    with h5py.File(folder / "b.h5", "w") as file:
        file["em"] = h5py.ExternalLink("../out.h5", "/em")
    _virtual(folder / "a.h5", "b.h5")
    with pytest.raises(UnsupportedError, match="outside"):
        voxarium.open(folder / "a.h5")


def test_absurd_shapes_cost_nothing(tmp_path, store):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("em", (2**40, 2**20, 2**2), "u8", chunks=(1, 64, 4))
    info = Hdf5Driver().open(store, "a.h5")
    assert info.shape == (2**40, 2**20, 4)
    image = voxarium.open(tmp_path / "a.h5")
    assert not image[2**40 - 1, 2**20 - 3 :, 0].any()


# -------------------------------------------------------------------------------------------------------- far away
class _Remote(MemoryStore):
    """A store far away that counts what is asked of it."""

    concurrency = 8

    def __init__(self):
        super().__init__()
        self.ranges = []
        self.seeks = 0

    def open_file(self, key, /):
        outer = self

        class File(io.BytesIO):
            def readinto(self, buffer, /):
                outer.seeks += 1
                return super().readinto(buffer)

        return File(self.get(key))

    def local_path(self, key, /):
        return None

    def get_ranges(self, key, ranges, /):
        self.ranges.append(len(ranges))
        return super().get_ranges(key, ranges)


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (3, 4, 5), "compression": "gzip", "shuffle": True}, {"chunks": (3, 4, 5)}]
)
def test_chunks_far_away_are_asked_for_side_by_side(tmp_path, options):
    data = np.arange(7 * 9 * 11, dtype="<u2").reshape(7, 9, 11)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("em", data=data, **options)
    store = _Remote()
    store.put("a.h5", (tmp_path / "a.h5").read_bytes())
    driver = Hdf5Driver()
    info = driver.open(store, "a.h5::em")
    np.testing.assert_array_equal(driver.read_chunk(store, "a.h5::em", info, Box.whole(data.shape)), data)
    store.ranges.clear()
    store.seeks = 0
    part = Box((1, 2, 3), (5, 6, 7))
    np.testing.assert_array_equal(driver.read_chunk(store, "a.h5::em", info, part), data[part.slices])
    assert store.ranges == [30] if not options else [8]  # rows of one piece, or chunks, in one call
    assert not store.seeks


def test_links_far_away_lead_to_the_other_file(tmp_path):
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("em", data=DATA, chunks=(3, 4, 5), compression="gzip")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["em"] = h5py.ExternalLink("b.h5", "/em")
    store = _Remote()
    for name in ("a.h5", "b.h5"):
        store.put(name, (tmp_path / name).read_bytes())
    info = pickle.loads(pickle.dumps(Hdf5Driver().open(store, "a.h5::em")))
    np.testing.assert_array_equal(Hdf5Driver().read_chunk(store, "a.h5::em", info, Box.whole(DATA.shape)), DATA)


@pytest.mark.parametrize("chunks", [None, (3, 4, 5)])
def test_user_blocks_far_away(tmp_path, chunks):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=1024) as file:
        file.create_dataset("em", data=DATA, chunks=chunks)
    store = _Remote()
    store.put("a.h5", (tmp_path / "a.h5").read_bytes())
    info = Hdf5Driver().open(store, "a.h5")
    np.testing.assert_array_equal(Hdf5Driver().read_chunk(store, "a.h5", info, Box.whole(DATA.shape)), DATA)


def test_chunks_that_claim_too_much_are_not_fetched(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("em", (3, 4, 5), "u1", chunks=(3, 4, 5), compression="gzip")
        dataset.id.write_direct_chunk((0, 0, 0), bytes(200_000))
    store = _Remote()
    store.put("a.h5", (tmp_path / "a.h5").read_bytes())
    info = Hdf5Driver().open(store, "a.h5")
    with pytest.raises(FormatError, match="claims"):
        Hdf5Driver().read_chunk(store, "a.h5", info, Box.whole(info.shape))
