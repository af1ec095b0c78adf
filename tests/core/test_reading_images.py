"""Cutouts by index and by world coordinates, against NumPy and plain arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

import voxarium
from voxarium.errors import Code, InputError, NotFoundError
from voxarium.model.transforms import Scale, Sequence, Translation

SHAPE = (21, 34, 17)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    data = np.random.default_rng(0).integers(0, 60000, SHAPE).astype(np.uint16)
    np.save(folder / "a.npy", data)
    voxarium.convert(
        folder / "a.npy", folder / "a.zarr", axes="zyx", voxel_size=(40, 8, 8), unit="nanometer", chunk=8, shard=16,
        translation=(1000, 0, -20), levels=3, factors=2,
    )  # fmt: skip
    return voxarium.open(folder / "a.zarr"), data


@settings(max_examples=150)
@given(selection=basic_indices(SHAPE, allow_newaxis=True, allow_ellipsis=True))
def test_basic_indexing_is_numpys(archive, selection):
    image, data = archive
    found = image[selection]
    assert np.array_equal(found, data[selection])
    assert np.shape(found) == data[selection].shape


@pytest.mark.parametrize(
    "selection",
    [
        *(21, -22, (0, 0, 0, 0), "z", 1.5, [1, 2], (Ellipsis, Ellipsis), slice(None, None, 0), slice(1.5, 3), True),
        *(np.array([1, 2]), (0, np.array([1, 2])), np.ones(SHAPE, bool), np.array([[1.5]]), np.bool_(True), range(3)),
    ],
)
def test_what_cannot_be_selected_is_an_error_that_tells_the_mend(archive, selection):
    with pytest.raises(InputError) as error:
        archive[0][selection]
    assert error.value.fix


def test_numpy_takes_an_image_for_an_array(archive):
    image, data = archive
    assert np.array_equal(np.asarray(image), data)
    assert np.asarray(image, np.float32).dtype == np.float32
    assert len(image) == 21
    with pytest.raises(ValueError, match="copy=False"):
        np.asarray(image, copy=False)


def test_the_planes_of_an_image_are_iterated_over(archive):
    image, data = archive
    for whole in (image, image.level(0)):
        assert all(np.array_equal(a, b) for a, b in zip(whole, data, strict=True))
    assert [plane.shape for plane in image.level(2)] == [(9, 5)] * 6


@settings(max_examples=100)
@given(
    level=st.integers(0, 2),
    low=st.tuples(*[st.integers(-200_000, 2_200_000).map(lambda i: i / 1000)] * 3),
    length=st.tuples(*[st.integers(0, 900_000).map(lambda i: i / 1000)] * 3),
)
def test_world_reads_the_voxels_whose_centres_lie_inside(archive, level, low, length):
    image, _ = archive
    scale, translation = image.scale_translation(level)
    whole = image.read(level=level)
    bounds = [(a, a + n) for a, n in zip(low, length, strict=True)]
    keep = []
    for (a, b), s, t, n in zip(bounds, scale, translation, whole.shape, strict=True):
        centres = np.arange(n) * s + t
        keep.append((centres >= a) & (centres < b))
    found = image.world(level=level, z=bounds[0], y=bounds[1], x=bounds[2])
    assert np.array_equal(found, whole[np.ix_(*keep)])


def test_world_takes_units_and_points(archive):
    image, data = archive
    assert np.array_equal(image.world(z=(1.0, 1.2), unit="micrometer"), data[:5])
    assert np.array_equal(image.world(z=1080, y=(0, 80)), data[2, :10])
    assert np.array_equal(image.world(), data)
    assert np.array_equal(image.world(z=(-np.inf, np.int64(1080)), y=np.array([8, 24])), data[:2, 1:3])
    assert np.array_equal(image.world(z=np.float32(1080), x=(-20, float("inf"))), data[2])


def test_world_follows_axes_that_run_backwards(tmp_path):
    data = np.arange(5 * 7, dtype=np.uint8).reshape(5, 7)
    np.save(tmp_path / "a.npy", data)
    voxarium.convert(tmp_path / "a.npy", tmp_path / "a.zarr", axes="yx", unit="nm")
    image = voxarium.open(tmp_path / "a.zarr")
    backwards = replace(image.levels[0], transform=Sequence((Scale((-2, 3)), Translation((10, 0)))))
    image = voxarium.Image(image.store, image.path, replace(image.info, levels=(backwards,)), image.arrays)
    # Centres at y = 10, 8, 6, 4, 2.
    assert np.array_equal(image.world(y=(4, 10)), data[1:4])
    assert np.array_equal(image.world(y=(3.5, 99)), data[:4])
    assert np.array_equal(image.world(y=(-5, 2)), data[5:])
    assert np.array_equal(image.world(y=4.3), data[3])


def test_world_refuses_units_where_the_axis_has_none(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4), np.uint8))
    voxarium.convert(tmp_path / "a.npy", tmp_path / "a.zarr", axes="cyx")
    image = voxarium.open(tmp_path / "a.zarr")
    assert image.world(c=1, y=(0, 2)).shape == (2, 4)
    assert image.world(c=1, unit="nm").shape == (3, 4)
    with pytest.raises(InputError) as error:
        image.world(y=(0, 2), unit="nm")
    assert error.value.code == Code.UNIT_UNKNOWN


def test_world_refuses_what_is_not_there(archive):
    image, _ = archive
    for bounds in ({"t": (0, 1)}, {"z": 5}, {"z": (5, 1)}):
        with pytest.raises(InputError) as error:
            image.world(**bounds)
        assert error.value.fix
    for odd in ((0, float("nan")), float("nan"), float("inf"), "a", ("a", "b"), (1, 2, 3), (), [None, 2], {"a": 1}):
        with pytest.raises(InputError) as error:
            image.world(z=odd)
        assert error.value.fix
    with pytest.raises(InputError) as error:
        image.world(z=(0, 1), unit="second")
    assert error.value.code == Code.UNIT_UNKNOWN
    with pytest.raises(NotFoundError):
        image.read(level=9)


def test_reading_outside_or_into_the_wrong_array_is_refused(archive):
    image, _ = archive
    for box in (voxarium.Box((0, 0, 0), (22, 1, 1)), voxarium.Box((-1, 0, 0), (1, 1, 1)), voxarium.Box((0,), (1,))):
        with pytest.raises(InputError):
            image.read(box)
    for odd in (((0, 2), (0, 2), (0, 2)), "0:2", slice(3)):
        with pytest.raises(InputError, match="is no Box"):
            image.read(odd)
    with pytest.raises(InputError):
        image.read(voxarium.Box((0, 0, 0), (2, 2, 2)), out=np.empty((2, 2, 2), np.uint8))
    out = np.empty((2, 3, 4), np.uint16)
    assert image.read(voxarium.Box((1, 2, 3), (2, 3, 4)), out=out) is out
    backwards = np.empty((4, 3, 2), np.uint16).T  # last axis not contiguous
    assert np.array_equal(image.read(voxarium.Box((1, 2, 3), (2, 3, 4)), out=backwards), out)


def test_descriptions_show_levels_chunks_and_voxel_sizes(archive):
    image, _ = archive
    text, page = repr(image), image._repr_html_()
    for word in ("40 × 8 × 8", "21 × 34 × 17", "16 × 16 × 16", "zstd:1", "uint16"):
        assert word in text
        assert word in page
    assert "Array" in repr(image.level(1))
    assert "<table>" in image.level(1)._repr_html_()


def test_overwriting_an_image_keeps_the_labels_inside(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((9, 8, 7), np.uint8))
    target = tmp_path / "a.zarr"
    known = {"axes": "zyx", "voxel_size": 1}
    voxarium.convert(tmp_path / "a.npy", target, **known)
    voxarium.convert(tmp_path / "a.npy", target / "labels" / "cells", role="label", **known)
    np.save(tmp_path / "b.npy", np.full((9, 8, 7), 5, np.uint8))
    voxarium.convert(tmp_path / "b.npy", target, overwrite=True, **known)
    image = voxarium.open(target)
    assert image.info.labels == ("labels/cells",)
    assert image[0, 0, 0] == 5
    assert voxarium.open(target / "labels" / "cells")[0, 0, 0] == 1
