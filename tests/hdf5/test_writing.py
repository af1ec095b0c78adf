"""Images written into one HDF5 file: parts by the engine, put together without coding anything again."""

from __future__ import annotations

import contextlib
import errno
import json

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.conversion import ConvertOptions, Target, plan, run
from voxarium.conversion.packaging import check_file, discard, package, packaging_driver, parts_address
from voxarium.core.executor import Cancel
from voxarium.core.registry import image_driver
from voxarium.errors import (
    Code,
    ExistsError,
    FormatError,
    InputError,
    InterruptedJobError,
    NotFoundError,
    StoreError,
    UnsupportedError,
)
from voxarium.formats.hdf5_parts import Hdf5PartsDriver
from voxarium.model.image import ArraySpec
from voxarium.model.transforms import Scale
from voxarium.spec import hdf5_parts as spec
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

DRIVER = packaging_driver(image_driver("hdf5"))


def folder_of_parts(address):
    """Return the place parts are written to, whatever becomes of them later."""
    store = LocalStore(address)
    return Target(store, store, "")


def converted(source, target, **choices):
    """Convert into parts, and put them together."""
    image = source if hasattr(source, "info") else voxarium.open(source)
    address = parts_address(str(target))
    place = folder_of_parts(address)
    report = run(plan(image, ConvertOptions(format="hdf5", **choices), target_name="em"), image, place)
    package(DRIVER, place.store, "", str(target))
    discard(place.store, address)
    return report


def saved(tmp_path, data):
    np.save(tmp_path / "source.npy", data)
    return tmp_path / "source.npy"


def noise(shape=(19, 23, 30), dtype="<u2", seed=1):
    return np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["?", "u1", "<u2", "<u4", "<u8", "i1", "<i2", "<i8", "<f2", "<f4", "<f8"])
@pytest.mark.parametrize("codec", [None, "none", "gzip:9"])
def test_h5py_reads_every_type_and_codec(tmp_path, dtype, codec):
    data = noise(dtype=dtype)
    data[:8, :8] = 0
    converted(saved(tmp_path, data), tmp_path / "em.h5", axes="zyx", chunk=(8, 8, 8), levels=1, codec=codec)
    with h5py.File(tmp_path / "em.h5") as file:
        dataset = file["s0"]
        assert dataset.dtype == data.dtype
        assert dataset.chunks == (8, 8, 8)
        assert dataset.compression == (None if codec == "none" else "gzip")
        np.testing.assert_array_equal(dataset[...], data)
        assert dataset.id.get_num_chunks() == 36 - 4  # those of zeros only are not stored
    np.testing.assert_array_equal(voxarium.open(tmp_path / "em.h5")[...], data)


def test_levels_places_and_name_come_back(tmp_path):
    data = noise((37, 41, 52))
    place = {"voxel_size": (30, 4, 4.5), "unit": "nanometer", "translation": (120, -8, 3)}
    converted(saved(tmp_path, data), tmp_path / "em.h5", axes=tuple("zyx"), chunk=(16, 16, 16), levels=3, **place)
    voxarium.convert(tmp_path / "source.npy", tmp_path / "em.zarr", axes="zyx", chunk=(16, 16, 16), levels=3, **place)
    ours, other = voxarium.open(tmp_path / "em.h5"), voxarium.open(tmp_path / "em.zarr")
    assert ours.info.format == "hdf5"
    assert ours.name == "em"
    assert len(ours.levels) == 3
    for level in range(3):
        assert ours.scale_translation(level) == other.scale_translation(level)
        np.testing.assert_array_equal(ours.level(level)[...], other.level(level)[...])
        single = voxarium.open(f"{tmp_path}/em.h5::/s{level}")
        assert single.scale_translation() == ours.scale_translation(level)
        assert single.unit == "nanometer"


def test_programs_of_the_field_find_what_they_look_for(tmp_path):
    converted(
        saved(tmp_path, noise()),
        tmp_path / "em.h5",
        axes=tuple("zyx"),
        voxel_size=(30, 4, 4),
        unit="nanometer",
        levels=1,
    )
    with h5py.File(tmp_path / "em.h5") as file:
        dataset = file["s0"]
        assert dataset.attrs["element_size_um"].tolist() == [0.03, 0.004, 0.004]  # Fiji, PlantSeg
        assert [a["key"] for a in json.loads(dataset.attrs["axistags"])["axes"]] == ["z", "y", "x"]  # ilastik
        assert [d.label for d in dataset.dims] == ["z", "y", "x"]
        assert json.loads(file.attrs["ome"])["multiscales"][0]["datasets"][0]["path"] == "s0"


def test_channels_and_label_colours_come_back(tmp_path):
    data = noise((2, 3, 9, 11, 13), "u1")
    voxarium.convert(saved(tmp_path, data), tmp_path / "a.zarr", axes="tczyx", levels=1)
    document = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    shown = [{"label": n, "color": c, "active": True} for n, c in (("a", "FF0000"), ("b", "00FF00"), ("c", "0000FF"))]
    for channel in shown:
        channel["window"] = {"min": 0, "max": 255, "start": 3, "end": 99}
    document["attributes"]["ome"]["omero"] = {"channels": shown}
    document["attributes"]["mine"] = {"kept": [1, 2]}
    (tmp_path / "a.zarr" / "zarr.json").write_text(json.dumps(document))
    converted(tmp_path / "a.zarr", tmp_path / "a.h5", levels=1)
    image = voxarium.open(tmp_path / "a.h5")
    assert "".join(a.name for a in image.axes) == "tczyx"
    assert [(c.label, c.color, c.window) for c in image.info.display.channels][2] == ("c", "0000FF", (3, 99))
    np.testing.assert_array_equal(image[...], data)


def test_descriptions_too_long_for_an_attribute(tmp_path):
    voxarium.convert(saved(tmp_path, noise(dtype="u4")), tmp_path / "a.zarr", axes="zyx", levels=1, role="label")
    document = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    colors = [{"label-value": i, "rgba": [i % 256, 1, 2, 255]} for i in range(3000)]
    document["attributes"]["ome"]["image-label"] = {"colors": colors}
    (tmp_path / "a.zarr" / "zarr.json").write_text(json.dumps(document))
    converted(tmp_path / "a.zarr", tmp_path / "a.h5", levels=1)
    image = voxarium.open(tmp_path / "a.h5")
    assert image.role == "label"
    assert len(image.info.display.label_colors) == 3000
    with h5py.File(tmp_path / "a.h5") as file:
        assert "ome" not in file.attrs


def test_coarse_levels_get_chunks_that_hdf5_takes(tmp_path):
    data = noise((5, 6, 7))
    converted(saved(tmp_path, data), tmp_path / "em.h5", axes=tuple("zyx"), chunk=(4, 4, 4), levels=3)
    with h5py.File(tmp_path / "em.h5") as file:
        assert file["s2"].shape == (2, 2, 2)
        assert file["s2"].chunks == (2, 2, 2)


def test_an_empty_image(tmp_path):
    converted(saved(tmp_path, np.zeros((0, 5, 6), "u1")), tmp_path / "em.h5", axes=tuple("zyx"))
    assert voxarium.open(tmp_path / "em.h5").shape == (0, 5, 6)


def test_the_same_parts_give_the_same_bytes_and_a_killed_job_resumes(tmp_path):
    data = noise((64, 40, 40))
    source, target = saved(tmp_path, data), str(tmp_path / "em.h5")
    options = ConvertOptions(format="hdf5", axes=tuple("zyx"), chunk=(8, 8, 8), levels=2, memory=1 << 16)
    converted(source, tmp_path / "whole.h5", axes=tuple("zyx"), chunk=(8, 8, 8), levels=2, memory=1 << 16)
    image, address = voxarium.open(source), parts_address(target)
    cancel = Cancel()
    place = folder_of_parts(address)
    with pytest.raises(InterruptedJobError):
        run(plan(image, options, target_name="em"), image, place, progress=lambda _: cancel.set(), cancel=cancel)
    report = run(plan(image, options, target_name="em"), image, place, resume=True)
    assert report.resumed
    for _ in range(2):
        package(DRIVER, place.store, "", target)
        assert (tmp_path / "em.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    discard(place.store, address)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["em.h5", "source.npy", "whole.h5"]


# ------------------------------------------------------------------------------------------------------- refusals
def test_a_file_appears_whole_or_not_at_all(tmp_path):
    (tmp_path / "em.h5").write_bytes(b"old")
    with pytest.raises(NotFoundError):
        package(DRIVER, MemoryStore(), "", str(tmp_path / "em.h5"))
    store = MemoryStore()
    store.put("file.json", spec.dump_file(spec.FileParts(datasets={"s0": {}})))
    store.put("s0/hdf5-dataset.json", b"{}")
    with pytest.raises(FormatError):
        package(DRIVER, store, "", str(tmp_path / "em.h5"))
    assert [p.name for p in tmp_path.iterdir()] == ["em.h5"]
    assert (tmp_path / "em.h5").read_bytes() == b"old"


def test_a_full_disk_is_told(tmp_path):
    class Full:
        def package(self, parts, path, file, /):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreError) as caught:
        package(Full(), MemoryStore(), "", str(tmp_path / "em.h5"))
    assert caught.value.code == Code.STORE_FULL
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_replaced_unasked(tmp_path):
    check_file(str(tmp_path / "new.h5"), overwrite=False)
    (tmp_path / "old.h5").write_bytes(b"")
    (tmp_path / "folder.h5").mkdir()
    check_file(str(tmp_path / "old.h5"), overwrite=True)
    for name, overwrite in (("old.h5", False), ("folder.h5", False), ("folder.h5", True)):
        with pytest.raises(ExistsError):
            check_file(str(tmp_path / name), overwrite=overwrite)


@pytest.mark.parametrize("target", ["s3://bucket/em.h5", "a.zip::em.h5", "/"])
def test_files_are_written_on_this_machine(target):
    with pytest.raises(InputError):
        parts_address(target)


@pytest.mark.parametrize(
    ("change", "match"),
    [({"codec": "zstd:3"}, "zstd"), ({"shard_shape": (8, 8, 8)}, "shards"), ({"chunk_shape": (2048,) * 3}, "4 GiB")],
)
def test_what_hdf5_cannot_hold_is_refused_at_once(change, match):
    settings = {"shape": (4096,) * 3, "dtype": np.dtype("u1"), "chunk_shape": (4, 4, 4)} | change
    with pytest.raises(InputError, match=match):
        Hdf5PartsDriver().create(ArraySpec(**settings))
    with pytest.raises((InputError, UnsupportedError)):
        Hdf5PartsDriver().create(ArraySpec(shape=(), dtype=np.dtype("u1"), chunk_shape=()))


def _without_s1(file):
    del file["s1"]


def _no_list(file):
    file.attrs["ome"] = '{"multiscales": 7}'


def _outside(file):
    file.attrs["ome"] = '{"version": "0.5", "multiscales": [{"datasets": [{"path": "../../etc"}]}]}'


def _transposed(file):
    data = file["s1"][...].T
    del file["s1"]
    file["s1"] = data[..., None]


@pytest.mark.parametrize("change", [_without_s1, _no_list, _outside, _transposed])
def test_descriptions_that_contradict_the_file_are_errors(tmp_path, change):
    converted(saved(tmp_path, noise()), tmp_path / "em.h5", axes=tuple("zyx"), levels=2)
    with h5py.File(tmp_path / "em.h5", "a") as file:
        change(file)
    with pytest.raises((FormatError, InputError)):
        voxarium.open(tmp_path / "em.h5")


@pytest.mark.parametrize("value", ["text", 3, np.arange(4), b"\xff\xfe", ""])
def test_other_attributes_of_that_name_do_not_matter(tmp_path, value):
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file["volume"] = noise()
        file.attrs["ome"] = value
    np.testing.assert_array_equal(voxarium.open(tmp_path / "em.h5")[...], noise())


# ------------------------------------------------------------------------------------------------------- in parts
def test_parts_are_an_array_as_well(tmp_path):
    data = noise((9, 10, 11))
    image = voxarium.open(saved(tmp_path, data))
    place = folder_of_parts(tmp_path / "parts")
    options = ConvertOptions(format="hdf5", axes=tuple("zyx"), chunk=(4, 4, 4), levels=1)
    run(plan(image, options, target_name="em"), image, place)
    np.testing.assert_array_equal(voxarium.open(tmp_path / "parts" / "s0")[...], data)
    (tmp_path / "parts" / "s0" / "c" / "0" / "0" / "0").write_bytes(b"junk")
    with pytest.raises(FormatError):
        voxarium.open(tmp_path / "parts" / "s0")[...]


values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.lists(st.integers(), max_size=4)
)
documents = st.dictionaries(st.sampled_from(["shape", "chunk_shape", "dtype", "deflate", "fill_value", "x"]), values)


@given(st.binary(max_size=60) | documents.map(lambda d: json.dumps(d).encode()))
def test_any_document_gives_parts_or_a_format_error(raw):
    with contextlib.suppress(FormatError):
        assert spec.parse_dataset(raw, "here").shape is not None
    with contextlib.suppress(FormatError):
        spec.parse_file(raw, "here")


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4),
    st.sampled_from(["u1", "i4", "f8", "bool", "complex64"]),
    st.none() | st.integers(1, 9),
)
def test_documents_of_datasets_come_back(sizes, dtype, level):
    shape, chunk = zip(*sizes, strict=True)
    kind = np.dtype(dtype)
    parts = spec.DatasetParts(shape=shape, chunk_shape=chunk, dtype=kind, level=level, fill_value=kind.type(1))
    assert spec.parse_dataset(spec.dump_dataset(parts), "here") == parts


@given(st.text(alphabet="c/0123456789.-", max_size=12))
def test_any_key_is_a_chunk_inside_or_none(key):
    parts = spec.DatasetParts(shape=(9, 9), chunk_shape=(4, 4), dtype=np.dtype("u1"), level=None)
    index = spec.chunk_index(key, parts)
    assert index is None or all(0 <= i < 3 for i in index)


def test_a_transform_that_is_no_scale_leaves_axes_only():
    from voxarium.model.axes import Axis
    from voxarium.model.transforms import Affine

    axes = tuple(Axis(name=n, type="space", unit="nanometer") for n in "yx")
    sheared = Affine(((1.0, 0.5, 0.0), (0.0, 1.0, 0.0)))
    assert set(spec.dataset_attributes(axes, sheared)) == {"axes", "axistags"}
    assert "scale" in spec.dataset_attributes(axes, Scale((2.0, 3.0)))


def test_discarding_leaves_what_is_not_ours(tmp_path):
    folder = tmp_path / ".em.h5.parts"
    folder.mkdir()
    store = LocalStore(folder)
    store.put("s0/c/0", b"x")
    discard(store, str(folder))
    assert not folder.exists()
