"""Imaris files, made here with h5py after the published layout: sizes, places, colours, hostile files."""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import FormatError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.formats.imaris import ImarisArrayDriver
from voxarium.model.box import Box
from voxarium.spec import imaris as spec
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

SHAPE = (7, 11, 13)
MINIMUM, MAXIMUM = (10.0, -20.0, 5.0), (23.0, -3.5, 8.5)  # x, y, z
IMAGE = {"Unit": "um", "Name": "brain"} | {f"ExtMin{i}": f"{v:.3f}" for i, v in enumerate(MINIMUM)}
IMAGE |= {f"ExtMax{i}": f"{v:.3f}" for i, v in enumerate(MAXIMUM)} | {"X": "13", "Y": "11", "Z": "7"}


def characters(group, **attributes):
    for key, value in attributes.items():
        group.attrs[key] = np.frombuffer(value.encode(), "S1")


def halved(size):
    return tuple(max(1, n // 2) for n in size)


def write(path: Path, *, times=1, channels=1, levels=3, dtype="u2", image=None, padding=3, chunk=(4, 5, 6)):
    """Write a file as the public writer does: sizes rounded down, data padded; return the voxels per level."""
    whole = np.arange(times * channels * np.prod(SHAPE), dtype=dtype).reshape(times, channels, *SHAPE)
    truth = []
    with h5py.File(path, "w") as file:
        characters(file, ImarisDataSet="ImarisDataSet", ImarisVersion="5.5.0", DataSetDirectoryName="DataSet")
        characters(file, DataSetInfoDirectoryName="DataSetInfo")
        info = file.create_group("DataSetInfo")
        characters(info.create_group("Image"), **(IMAGE if image is None else image))
        times_info = {f"TimePoint{t + 1}": f"2021-03-04 12:00:{2.5 * t:06.3f}" for t in range(times)}
        characters(info.create_group("TimeInfo"), DatasetTimePoints=str(times), **times_info)
        for c in range(channels):
            colour = {"Color": f"{c / 2:.3f} 1.000 0.000", "ColorMode": "BaseColor", "ColorRange": f"{c}.0 900.000"}
            characters(info.create_group(f"Channel {c}"), Name=f"stain {c}", Description="x", **colour)
        size = SHAPE
        for r in range(levels):
            step = 2**r
            part = whole[:, :, ::step, ::step, ::step][:, :, : size[0], : size[1], : size[2]]
            for t in range(times):
                for c in range(channels):
                    group = file.create_group(f"DataSet/ResolutionLevel {r}/TimePoint {t}/Channel {c}")
                    sizes = dict(zip(("ImageSizeZ", "ImageSizeY", "ImageSizeX"), map(str, size), strict=True))
                    characters(group, HistogramMin="0.000", **sizes)
                    group["Histogram"] = np.zeros(256, "u8")
                    padded = np.full([n + padding for n in size], 99, dtype)
                    padded[tuple(slice(n) for n in size)] = part[t, c]
                    chunks = tuple(min(a, b) for a, b in zip(chunk, padded.shape, strict=True))
                    group.create_dataset("Data", data=padded, chunks=chunks, compression="gzip", compression_opts=2)
            truth.append(part)
            size = halved(size)
    return truth


def test_levels_have_their_true_size_and_place(tmp_path):
    truth = write(tmp_path / "a.ims")
    image = voxarium.open(tmp_path / "a.ims")
    assert image.info.format == "imaris"
    assert image.name == "brain"
    assert [a.name for a in image.axes] == ["z", "y", "x"]
    assert image.unit == "micrometer"
    voxel = np.array([3.5 / 7, 16.5 / 11, 13 / 13])
    first = np.array([5.0, -20.0, 10.0]) + voxel / 2
    for level, factor in enumerate([1, 2, 4]):
        np.testing.assert_array_equal(image.level(level)[...], truth[level][0, 0])
        scale, translation = image.scale_translation(level)
        np.testing.assert_allclose(scale, voxel * factor, rtol=1e-12)
        np.testing.assert_allclose(translation, first + voxel * (factor - 1) / 2, rtol=1e-12)


def test_time_points_and_channels_are_axes_of_one_image(tmp_path):
    truth = write(tmp_path / "a.ims", times=3, channels=2)
    image = voxarium.open(tmp_path / "a.ims")
    assert [a.name for a in image.axes] == ["t", "c", "z", "y", "x"]
    assert image.axes[0].unit == "second"
    assert image.axes[1].labels == ("stain 0", "stain 1")
    assert image.scale_translation(0)[0][:2] == (2.5, 1.0)
    assert [(c.label, c.color, c.window) for c in image.info.display.channels] == [
        ("stain 0", "00FF00", (0, 900)),
        ("stain 1", "80FF00", (1, 900)),
    ]
    for level in range(3):
        np.testing.assert_array_equal(image.level(level)[...], truth[level])
    np.testing.assert_array_equal(image[1:, 1, 2:5, 3, ::2], truth[0][1:, 1, 2:5, 3, ::2])
    assert image.info.bag.records[0].metadata["Channel 1"]["Description"] == "x"


@pytest.mark.parametrize(("times", "channels", "names"), [(2, 1, "tzyx"), (1, 3, "czyx")])
def test_an_axis_of_one_is_left_out(tmp_path, times, channels, names):
    truth = write(tmp_path / "a.ims", times=times, channels=channels, levels=1)
    image = voxarium.open(tmp_path / "a.ims")
    assert "".join(a.name for a in image.axes) == names
    np.testing.assert_array_equal(image[...], truth[0].squeeze())


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<u4", "<f4"])
def test_every_region_of_every_type(tmp_path, store, reads_like, dtype):
    truth = write(tmp_path / "a.ims", times=2, channels=2, dtype=dtype)
    reads_like(ImarisArrayDriver(), "a.ims/ResolutionLevel 0", truth[0])
    reads_like(ImarisArrayDriver(), "a.ims/ResolutionLevel 1", truth[1])


def test_single_datasets_open_as_plain_hdf5(tmp_path):
    truth = write(tmp_path / "a.ims", channels=2)
    found = voxarium.open(f"{tmp_path}/a.ims::/DataSet/ResolutionLevel 1/TimePoint 0/Channel 1/Data")
    np.testing.assert_array_equal(found[:3, :5, :6], truth[1][0, 1])


def test_it_is_converted_with_its_channels(tmp_path):
    truth = write(tmp_path / "a.ims", channels=2)
    voxarium.convert(tmp_path / "a.ims", tmp_path / "a.ome.zarr", levels=1)
    image = voxarium.open(tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(image[...], truth[0][0])
    assert [c.color for c in image.info.display.channels] == ["00FF00", "80FF00"]
    assert image.scale_translation()[1][1:] == pytest.approx((5.25, -19.25, 10.5))


@pytest.mark.parametrize(
    ("image", "note"),
    [
        ({}, "extent"),
        (IMAGE | {"ExtMax0": "nan"}, "extent"),
        (IMAGE | {"ExtMax1": IMAGE["ExtMin1"]}, "extent"),
        (IMAGE | {"Unit": "furlong"}, "furlong"),
    ],
)
def test_without_a_usable_extent_there_is_no_voxel_size(tmp_path, image, note):
    write(tmp_path / "a.ims", image=image)
    found = voxarium.open(tmp_path / "a.ims")
    assert found.unit is None
    assert found.scale_translation() == ((1, 1, 1), (0, 0, 0))
    assert any(note in n for n in found.info.bag.records[0].notes)


def test_the_unit_is_micrometres_unless_stated(tmp_path):
    write(tmp_path / "a.ims", image={k: v for k, v in IMAGE.items() if k != "Unit"})
    assert voxarium.open(tmp_path / "a.ims").unit == "micrometer"
    write(tmp_path / "b.ims", image=IMAGE | {"Unit": "nm"})
    assert voxarium.open(tmp_path / "b.ims").unit == "nanometer"


def test_other_hdf5_files_of_that_name_open_as_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.ims", "w") as file:
        file["em"] = np.zeros(SHAPE, "u1")
    assert voxarium.open(tmp_path / "a.ims").info.format == "hdf5"


# ------------------------------------------------------------------------------------------------------- far away
class _FileStore(MemoryStore):
    def open_file(self, key, /):
        return io.BytesIO(self.get(key))

    def local_path(self, key, /):
        return None


def test_remote_files_and_other_processes(tmp_path):
    truth = write(tmp_path / "a.ims", times=2)
    store = _FileStore()
    store.put("a.ims", (tmp_path / "a.ims").read_bytes())
    driver = ImarisArrayDriver()
    info = pickle.loads(pickle.dumps(driver.open(store, "a.ims/ResolutionLevel 1")))
    got = driver.read_chunk(store, "a.ims/ResolutionLevel 1", info, Box.whole(info.shape))
    np.testing.assert_array_equal(got, truth[1][:, 0])


# ------------------------------------------------------------------------------------------------------- hostile
def rewritten(path, change):
    with h5py.File(path, "a") as file:
        change(file)


FIRST = "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"


def larger(file):
    characters(file[FIRST], ImageSizeX="99")


def no_data(file):
    del file[FIRST]["Data"]


def no_channels(file):
    del file["DataSet/ResolutionLevel 0/TimePoint 0"]["Channel 0"]


def flat(file):
    del file[FIRST]["Data"]
    file[FIRST]["Data"] = np.zeros(5)


def group_instead(file):
    del file[FIRST]["Data"]
    file[FIRST].create_group("Data")


@pytest.mark.parametrize("change", [larger, no_data, no_channels, flat, group_instead])
def test_broken_files_give_one_clear_error(tmp_path, change):
    write(tmp_path / "a.ims")
    rewritten(tmp_path / "a.ims", change)
    with pytest.raises(FormatError, match=r"a\.ims"):
        voxarium.open(tmp_path / "a.ims")


def test_a_channel_that_differs_is_an_error_when_it_is_read(tmp_path):
    write(tmp_path / "a.ims", channels=2)

    def change(file):
        group = file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 1"]
        del group["Data"]
        group["Data"] = np.zeros((10, 14, 16), "u1")

    rewritten(tmp_path / "a.ims", change)
    image = voxarium.open(tmp_path / "a.ims")
    assert image[0].any()
    with pytest.raises(FormatError, match="channel 1 is uint8"):
        image[1]


def test_links_are_not_followed(tmp_path):
    write(tmp_path / "a.ims")

    def change(file):
        del file[FIRST]["Data"]
        file[FIRST]["Data"] = h5py.ExternalLink("/etc/passwd", "/x")

    rewritten(tmp_path / "a.ims", change)
    with pytest.raises(FormatError, match="no data"):
        voxarium.open(tmp_path / "a.ims")


def test_raw_files_outside_are_refused(tmp_path):
    write(tmp_path / "a.ims")

    def change(file):
        del file[FIRST]["Data"]
        file[FIRST].create_dataset("Data", SHAPE, "u1", external=[("/etc/hostname", 0, 1001)])

    rewritten(tmp_path / "a.ims", change)
    with pytest.raises(UnsupportedError, match="hostname"):
        voxarium.open(tmp_path / "a.ims")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 255)), min_size=1, max_size=6), st.integers(1, 100))
def test_damaged_files_give_our_errors_only(tmp_path, changes, share):
    good = tmp_path / "good.ims"
    if not good.exists():
        write(good, levels=2)
    raw = bytearray(good.read_bytes())
    for at, value in changes:
        raw[at % len(raw)] = value
    (tmp_path / "bad.ims").write_bytes(raw[: max(600, len(raw) * min(share + 30, 100) // 100)])
    try:
        image = voxarium.open(tmp_path / "bad.ims")
        if image.shape == SHAPE:
            image[...]
    except VoxariumError:
        pass


@pytest.mark.parametrize("path", ["", "a.ims", "a.ims/ResolutionLevel 0", "a.ims/x", "b.h5/ResolutionLevel 0"])
def test_declines_what_is_not_there(tmp_path, path):
    with pytest.raises(NotFoundError):
        ImarisArrayDriver().open(LocalStore(tmp_path), path)


texts = st.text(max_size=12) | st.sampled_from(
    ["1", "0", "9" * 30, "1e999", "-1", "nan", "1 2 3", "2021-03-04 12:00:00"]
)
keys = st.sampled_from(["X", "Y", "Z", "Unit", "ExtMin0", "ExtMax0", "ExtMin1", "ExtMax1", "ExtMin2", "ExtMax2"])
attributes = st.dictionaries(keys | st.sampled_from(["Color", "ColorRange", "Name", "TimePoint1", "TimePoint2"]), texts)


@given(st.dictionaries(st.sampled_from(["Image", "TimeInfo", "Channel 0"]), attributes), st.integers(1, 4))
def test_any_text_gives_information(groups, times):
    info = spec.parse_info(groups, 1, times)
    names = spec.axis_names(1, times)
    with contextlib.suppress(FormatError):
        size = spec.parse_size(groups.get("Image", {}), SHAPE, info.size, "here")
        spec.level_transform(info, SHAPE, size, names)
    assert len(spec.axes(info, names)) == len(names)


@given(st.binary(max_size=40) | st.lists(st.binary(max_size=3)) | st.integers() | st.none())
def test_any_attribute_gives_text(value):
    assert isinstance(spec.attribute_text(value), str)


# --------------------------------------------------------------------------------------------------------- oracle
def test_an_independent_reader_sees_the_same(tmp_path):
    reader = pytest.importorskip("imaris_ims_file_reader.ims", reason="imaris-ims-file-reader is not installed")
    write(tmp_path / "a.ims", times=2, channels=2)
    theirs = reader.ims(str(tmp_path / "a.ims"), squeeze_output=False)
    image = voxarium.open(tmp_path / "a.ims")
    for level in range(3):
        theirs.change_resolution_lock(level)
        np.testing.assert_array_equal(np.asarray(theirs[:, :, :, :, :]), image.level(level)[...])
    assert theirs.resolution == pytest.approx(image.voxel_size()[-3:], abs=1e-3)
    theirs.close()


def test_the_specification_needs_no_hdf5():
    assert "h5py" not in vars(sys.modules["voxarium.spec.imaris"])


def test_extents_too_small_to_divide_are_none():
    image = IMAGE | {"ExtMin2": "0", "ExtMax2": "5e-324"}
    assert spec.parse_info({"Image": image}, 1, 1).extent is None
