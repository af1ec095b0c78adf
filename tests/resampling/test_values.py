"""Values: against SciPy, textbook formulas and ramps, for every type."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.model.transforms import Identity, Scale, Sequence, Translation
from voxarium.model.warps import AxisTransform, Bijection, ByDimension

from .conftest import (
    affine,
    catmull_rom,
    held_image,
    inside,
    positions,
    rotation,
    with_level,
)

ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is the oracle; it is in the test extra")

SHAPE = (13, 18, 23)
TYPES = [
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64",
]  # fmt: skip
WAYS = {
    "shift": affine(np.eye(3), (0.25, -3.0, 7.5)),
    "scaled": affine(np.diag([1.7, 0.6, 0.31]), (1, 2, 3)),
    "mirrored": affine(np.diag([-1.0, 1, -1]), (11, 0, 20)),
    "turned": affine([[0, 0, 1], [1, 0, 0], [0, -1, 0]], (0, 0, 17)),
    "rigid": affine(rotation(31, -12), (2, -1, 3)),
    "sheared": affine([[1, 0.2, 0], [0.1, 0.9, -0.3], [0, 0.4, 1.2]], (0.3, 0.7, -2)),
    "by dimension": ByDimension(
        (AxisTransform((0,), (0,), Scale((1.5,))), AxisTransform((1, 2), (1, 2), affine([[0.8, -0.6], [0.6, 0.8]])))
    ),
}


def random_data(rng, dtype, shape=SHAPE):
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.4
    if dtype.kind == "f":
        return rng.normal(0, 100, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def reference(data, at, order):
    """Return float64 values by SciPy, edges repeated."""
    return ndimage.map_coordinates(data.astype(np.float64), at, order=order, mode="nearest")


def check(found, expected, dtype):
    """Compare with float64 values: floats closely, integers to within the rounding of a tie."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        eps = max(np.finfo(dtype).eps, 1e-6)
        np.testing.assert_allclose(found.astype(float), expected, rtol=2 * eps, atol=500 * eps)
        return
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    clamped = np.clip(expected, float(low), float(high))
    span = float(high) - float(low)
    assert np.abs(found.astype(float) - clamped).max() <= 0.5 + span * 1e-6


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_values_are_those_of_the_reference(rng, way, interpolation):
    for dtype in ("uint8", "int16", "float32"):
        data = random_data(rng, dtype)
        image = held_image(data, scale=(2.0, 1.0, 1.5), translation=(5, -3, 0.25))
        new = image.resampled(voxel_size=(1.9, 1.1, 0.7), transform=way, interpolation=interpolation, fill_value=77)
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in new.shape), indexing="ij"), axis=-1)
        world = way.inverse().apply(new.levels[0].transform.apply(grid))
        at = np.moveaxis(image.levels[0].transform.inverse().apply(world), -1, 0)
        found, within = new[...], inside(np.round(at, 9), SHAPE)
        assert (found[~within] == 77).all() and within.any()
        if interpolation == "cubic":
            expected = catmull_rom(data, at)
        else:
            expected = reference(data, np.floor(np.round(at, 9) + 0.5) if interpolation == "nearest" else at, 1)
        check(found[within], expected[within], dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_every_type_is_interpolated_rounded_half_to_even_and_clamped(rng, dtype, interpolation):
    data = random_data(rng, dtype)
    image = held_image(data)
    way = WAYS["rigid"]
    new = image.resampled(voxel_size=0.9, transform=way, interpolation=interpolation, fill_value=1)
    assert new.dtype == data.dtype
    at = positions(new, held_image(data, transform=way))
    within = inside(at, SHAPE)
    found = new[...]
    assert (found[~within] == 1).all()
    if interpolation == "nearest":
        index = tuple(np.floor(at + 0.5).astype(int)[:, within])
        assert (found[within] == data[index]).all()
        return
    expected = reference(data, at, 1) if interpolation == "linear" else catmull_rom(data, at)
    check(found[within], expected[within], dtype)


@pytest.mark.parametrize("dtype", [*TYPES, "complex64", "complex128"])
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_the_same_grid_gives_the_same_bytes(rng, dtype, interpolation):
    if np.dtype(dtype).kind == "c":
        data = (random_data(rng, "float64") + 1j * random_data(rng, "float64")).astype(dtype)
    else:
        data = random_data(rng, dtype)
    if data.dtype.kind in "fc":
        data[1, 2, 3], data[4, 5, 6], data[7, 8, 9] = np.nan, np.inf, -0.0
    scale, translation = (0.1, 0.3, 0.7), (1 / 3, 0.1, -7.7)
    image = held_image(data, scale=scale, translation=translation)
    new = image.resampled(voxel_size=scale, interpolation=interpolation)
    assert new.shape == data.shape and new[...].tobytes() == data.tobytes()
    assert np.allclose(new.scale_translation(), (scale, translation), rtol=1e-13)
    # Through a longer way, where nothing is copied as a whole:
    back = new.resampled(voxel_size=(0.1, 0.3, 0.35), interpolation=interpolation)
    again = held_image(back[...], transform=back.levels[0].transform).resampled(
        like=image, interpolation=interpolation, transform=Identity()
    )
    assert again.shape == data.shape


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("dtype", ["uint64", "int64", "float64", "float32"])
def test_sample_points_are_exact_beyond_what_floats_carry(rng, dtype, interpolation):
    data = random_data(rng, dtype)
    image = held_image(data)
    turned = image.resampled(
        voxel_size=1, transform=affine([[0, 0, 1], [1, 0, 0], [0, -1, 0]]), interpolation=interpolation
    )
    assert turned[...].tobytes() == np.ascontiguousarray(data.transpose(2, 0, 1)[:, :, ::-1]).tobytes()
    halved = image.resampled(voxel_size=(1, 1, 0.5), box={"x": (-0.25, 22.25)}, interpolation=interpolation)
    assert halved[:, :, ::2].tobytes() == data.tobytes()


def test_labels_are_never_computed_with(rng):
    data = rng.integers(2**53, 2**64 - 1, SHAPE, np.uint64)
    image = held_image(data, role="label")
    found = image.resampled(voxel_size=0.77, transform=WAYS["sheared"])[...]
    assert set(np.unique(found)) <= {*np.unique(data), 0}
    with pytest.raises(InputError, match="invent labels"):
        image.resampled(voxel_size=1, interpolation="linear")
    assert image.resampled(voxel_size=1).role == "label"


def test_a_position_between_two_voxels_belongs_to_the_one_with_the_higher_index():
    data = np.arange(1, 8, dtype=np.int16).reshape(1, 1, 7)
    image = held_image(data)
    at = image.resampled(voxel_size=1, box={"x": (-1.0, 8.0)}, interpolation="nearest")
    assert at[0, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 0, 0]


def test_edges_reach_half_a_voxel_and_no_farther():
    data = np.array([10, 20, 30], np.float64).reshape(1, 1, 3)
    image = held_image(data)
    new = image.resampled(voxel_size=0.25, box={"x": (-1.125, 3.125)}, interpolation="linear", fill_value=-1)
    expected = [-1, -1, 10, 10, 10, 12.5, 15, 17.5, 20, 22.5, 25, 27.5, 30, 30, -1, -1, -1]
    assert new[0, 0].tolist() == expected  # from -1 to 3; -0.5 belongs to the image, 2.5 does not


def test_halves_go_to_even():
    data = np.array([0, 1, 2, 3, 0, 255], np.uint8).reshape(1, 1, 6)
    found = held_image(data).resampled(voxel_size=1, box={"x": (0.0, 5.0)}, interpolation="linear")[0, 0]
    assert found.tolist() == [0, 2, 2, 2, 128]


def test_cubics_overshoot_is_clamped():
    data = np.array([0, 0, 255, 255, 0, 0], np.uint8).reshape(1, 1, 6)
    found = held_image(data).resampled(voxel_size=0.25, interpolation="cubic")[0, 0]
    assert found.min() == 0 and found.max() == 255 and (found == 255).sum() >= 4
    signed = held_image(data.astype(np.int16)).resampled(voxel_size=0.25, interpolation="cubic")[0, 0]
    assert signed.min() < 0 and signed.max() > 255


def test_nan_and_infinity_reach_as_far_as_they_weigh():
    data = np.zeros((1, 1, 9))
    data[0, 0, 4] = np.nan
    for interpolation, reach in (("linear", 1), ("cubic", 2)):
        found = held_image(data).resampled(voxel_size=0.5, box={"x": (-0.25, 8.25)}, interpolation=interpolation)[0, 0]
        at = np.arange(17) / 2
        weighs = (np.abs(at - 4) < reach) & ((at == 4) | (at % 1 != 0))
        assert (np.isnan(found) == weighs).all()
    data[0, 0, 4:] = np.inf
    found = held_image(data).resampled(voxel_size=0.5, box={"x": (-0.25, 8.25)}, interpolation="linear")[0, 0]
    assert np.isinf(found[7:]).all() and (found[:7] == 0).all()


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_a_ramp_stays_the_ramp_under_any_affine(interpolation, seed):
    rng = np.random.default_rng(seed)
    linear = rng.normal(0, 0.4, (3, 3)) + np.diag(rng.choice([-1, 1], 3) * rng.uniform(0.7, 1.6, 3))
    if abs(np.linalg.det(linear)) < 0.2:
        return
    slopes = rng.normal(0, 1, 3)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    scale, translation = rng.uniform(0.5, 3, 3), rng.normal(0, 10, 3)
    image = held_image((index * scale + translation) @ slopes, scale=scale, translation=translation)
    way = affine(linear, rng.normal(0, 5, 3))
    new = image.resampled(voxel_size=tuple(rng.uniform(0.6, 2.5, 3)), transform=way, interpolation=interpolation)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in new.shape), indexing="ij"), axis=-1)
    world = way.inverse().apply(new.levels[0].transform.apply(grid))
    at = (world - translation) / scale
    interior = ((at >= 1) & (at <= np.array(SHAPE) - 2)).all(axis=-1)
    error = np.abs(new[...] - world @ slopes)[interior]
    if error.size:
        assert error.max() <= 1e-6 * np.abs(slopes * scale).sum()


def test_time_and_channels_pass_through_wherever_they_stand(rng):
    for axes, shape in (("tczyx", (2, 3, 7, 9, 11)), ("zyxc", (7, 9, 11, 3)), ("cyx", (3, 9, 11)), ("yxt", (9, 11, 2))):
        data = rng.integers(0, 255, shape).astype(np.uint8)
        image = held_image(data, axes=axes, chunk=tuple(max(1, n // 2) for n in shape))
        space = [i for i, a in enumerate(axes) if a in "zyx"]
        ndim = len(space)
        turn = rotation(20)[3 - ndim :, 3 - ndim :]
        for interpolation in ("nearest", "linear", "cubic"):
            new = image.resampled(voxel_size=0.8, transform=affine(turn), interpolation=interpolation)
            assert [a.name for a in new.axes] == list(axes)
            moved = np.moveaxis(data, space, range(-ndim, 0)).reshape(-1, *(shape[i] for i in space))
            found = np.moveaxis(new[...], space, range(-ndim, 0)).reshape(len(moved), *(new.shape[i] for i in space))
            for one, expected in zip(found, moved, strict=True):
                names = "".join(axes[i] for i in space)
                single = held_image(expected, axes=names).resampled(
                    voxel_size=0.8, transform=affine(turn), interpolation=interpolation
                )
                assert (one == single[...]).all()


def spline():
    corners = [(z, y, x) for z in (0.0, 12.0) for y in (0.0, 17.0) for x in (0.0, 22.0)] + [(6.0, 8.0, 11.0)]
    moved = [(z + 0.2 * y / 17, y + 0.4, x - 0.3 * z / 12) for z, y, x in corners[:-1]] + [(7.5, 9.5, 10.0)]
    return ThinPlateSpline(tuple(corners), tuple(moved)), ThinPlateSpline(tuple(moved), tuple(corners))


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_a_transform_that_bends_is_followed_exactly(rng, interpolation):
    data = random_data(rng, "float32")
    image = held_image(data, chunk=(4, 5, 6))
    there, back = spline()
    new = image.resampled(like=image, inverse=back, interpolation=interpolation, fill_value=-7)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    at = np.moveaxis(back.apply(grid), -1, 0)
    within = inside(at, SHAPE)
    found = new[...]
    assert (found[~within] == -7).all()
    if interpolation == "nearest":
        expected = data[tuple(np.floor(at[:, within] + 0.5).astype(int))]
        assert (found[within] == expected).mean() > 0.999
    else:
        expected = reference(data, at, 1) if interpolation == "linear" else catmull_rom(data, at)
        check(found[within], expected[within], "float32")
    both = image.resampled(voxel_size=1, transform=Bijection(there, back), interpolation=interpolation)
    assert both.ndim == 3
    with pytest.raises(UnsupportedError) as error:
        image.resampled(voxel_size=1, transform=there)
    assert error.value.code == Code.NOT_INVERTIBLE and "inverse" in error.value.fix
    with pytest.raises(InputError, match="not known"):
        image.resampled(voxel_size=1, inverse=back)


def test_a_coarser_target_reads_the_level_that_suffices(rng):
    data = random_data(rng, "uint8", (12, 24, 24))
    half = random_data(rng, "uint8", (12, 12, 12))
    quarter = random_data(rng, "uint8", (6, 6, 6))
    image = held_image(data, scale=(2.0, 1, 1))
    image = with_level(image, half, Sequence((Scale((2.0, 2.0, 2.0)), Translation((0, 0.5, 0.5)))))
    image = with_level(image, quarter, Sequence((Scale((4.0, 4.0, 4.0)), Translation((1, 1.5, 1.5)))))
    for size, level in ((1.0, 0), (1.9, 0), (2.0, 1), (3.9, 1), (4.0, 2), (9.0, 2), ((1.0, 2.0, 2.0), 1)):
        new = image.resampled(voxel_size=size)
        assert f"from level {level} " in new.levels[0].array.remarks[0]
        assert (
            f"from level {level} "
            in image.resampled(voxel_size=size, interpolation="nearest").levels[0].array.remarks[0]
        )
    assert (image.resampled(voxel_size=2.0)[...] == half).all()
    assert (image.resampled(voxel_size=4.0)[...] == quarter).all()
    turned = image.resampled(voxel_size=4.0, transform=affine(rotation(45)))
    assert "from level 2 " in turned.levels[0].array.remarks[0]
    assert "from level 0 " in image.resampled(voxel_size=4.0, level=0).levels[0].array.remarks[0]
    assert any("skipped" in r for r in image.resampled(voxel_size=9.0).levels[0].array.remarks)


def test_units_and_the_order_of_axes_are_those_of_the_other_image(rng):
    data = random_data(rng, "uint8")
    image = held_image(data, scale=(40, 4, 4), translation=(100, 10, 20))
    other = held_image(
        np.zeros(SHAPE[::-1], np.uint8), axes="xyz", unit="micrometer", scale=(0.004, 0.004, 0.04),
        translation=(0.02, 0.01, 0.1),
    )  # fmt: skip
    new = image.resampled(like=other)
    assert [a.name for a in new.axes] == ["x", "y", "z"] and new.unit == "micrometer"
    assert (new[...] == data.transpose(2, 1, 0)).all()


def test_an_oblique_plane_is_cut_out_of_a_volume(rng):
    from voxarium.model.transforms import Affine

    data = random_data(rng, "float32", (2, *SHAPE))
    image = held_image(data, axes="czyx")
    plane = held_image(np.zeros((20, 25), np.uint8), axes="vu")
    back = Affine(((0.3, 0.1, 2.0), (0.7, -0.2, 4.0), (0.0, 0.8, 0.5)))
    new = image.resampled(like=plane, inverse=back)
    assert [a.name for a in new.axes] == ["c", "v", "u"] and new.shape == (2, 20, 25)
    at = np.moveaxis(back.apply(np.stack(np.meshgrid(np.arange(20), np.arange(25), indexing="ij"), axis=-1)), -1, 0)
    within = inside(at, SHAPE)
    assert 0 < within.sum() < within.size
    for channel in range(2):
        found = new[channel]
        assert (found[~within] == 0).all()
        check(found[within], reference(data[channel], at, 1)[within], "float32")


def test_a_rotated_image_is_set_upright(rng):
    data = random_data(rng, "float32")
    image = held_image(data, transform=affine(rotation(30) * 2.0, (1, 2, 3)))
    new = image.resampled(voxel_size=2)
    at = positions(new, image)
    within = inside(at, SHAPE)
    check(new[...][within], reference(data, at, 1)[within], "float32")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "not known"),
        ({"voxel_size": 1, "like": "x"}, "twice"),
        ({"voxel_size": (1, 2)}, "2 values"),
        ({"voxel_size": 0}, "not positive"),
        ({"voxel_size": float("nan")}, "not positive"),
        ({"voxel_size": 1e-300}, "make"),
        ({"voxel_size": 1, "box": {"q": (0, 1)}}, "names the axis q"),
        ({"voxel_size": 1, "box": {"x": (1, 1)}}, "empty"),
        ({"voxel_size": 1, "interpolation": "lanczos"}, "lanczos"),
        ({"voxel_size": 1, "fill_value": 300}, "fill value"),
        ({"voxel_size": 1, "transform": Scale((1.0, 2.0))}, "axes"),
    ],
)
def test_choices_that_do_not_fit_are_refused(choices, message):
    with pytest.raises(InputError, match=message):
        held_image(np.zeros(SHAPE, np.uint8)).resampled(**choices)


def test_an_independent_resampler_agrees_on_a_whole_image(rng):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is a second oracle; it is in the test extra")
    data = random_data(rng, "float32")
    image = held_image(data, scale=(2.0, 1.0, 1.5), translation=(5, -3, 0.25))
    back = affine(rotation(13, 7) * 1.1, (-2, 3, 1))
    box = {"z": (0.0, 30.0), "y": (-10.0, 12.0), "x": (0.0, 33.0)}
    theirs = sitk.GetImageFromArray(data)
    theirs.SetSpacing((1.5, 1.0, 2.0))
    theirs.SetOrigin((0.25, -3, 5))
    way = sitk.AffineTransform(3)
    matrix = back.matrix(3)
    way.SetMatrix(matrix[::-1, -2::-1].ravel().tolist())
    way.SetTranslation(matrix[::-1, -1].tolist())
    for interpolation, kind in (("linear", sitk.sitkLinear), ("nearest", sitk.sitkNearestNeighbor)):
        new = image.resampled(voxel_size=1.25, box=box, inverse=back, interpolation=interpolation, fill_value=-9)
        first = new.scale_translation()[1]
        expected = sitk.GetArrayFromImage(
            sitk.Resample(
                theirs, list(new.shape[::-1]), way, kind, first[::-1], (1.25,) * 3, np.eye(3).ravel().tolist(), -9.0
            )
        )
        found = new[...]
        same = np.isclose(found, expected, rtol=1e-5, atol=1e-3)
        assert same.mean() > 0.995  # what lies on a border of voxels may fall to either side
        assert ((found == -9) == (expected == -9)).mean() > 0.995
