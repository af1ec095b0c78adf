"""Fields of vectors against SciPy, their edges, their cost in memory, and their approximate inverses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.errors import InputError, UnsupportedError
from voxarium.model.approximate import approximate_inverse
from voxarium.model.box import Box
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.model.transforms import Scale, Sequence, Translation
from voxarium.model.vector_field import ArrayField, VectorField
from voxarium.model.warps import Coordinates, Displacements, ProjectAxis

ORDERS = {"nearest": 0, "linear": 1, "bspline-cubic": 3}


def oracle(vectors: np.ndarray[Any, Any], points: np.ndarray[Any, Any], order: int) -> np.ndarray[Any, Any]:
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is the judge of interpolation")
    parts = [
        ndimage.map_coordinates(vectors[..., i], points.T, order=order, mode="mirror") for i in range(vectors.shape[-1])
    ]
    return np.stack(parts, axis=-1)


@pytest.mark.parametrize("interpolation", ORDERS)
@pytest.mark.parametrize("shape", [(7,), (5000,), (1, 9), (2, 3), (190, 3), (40, 37, 5), (70, 35, 66), (3, 2, 1, 4)])
def test_values_between_grid_points_are_those_of_scipy(interpolation: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(*shape, 2)).astype(np.float32)
    points = rng.uniform(0, 1, (500, len(shape))) * (np.asarray(shape) - 1)
    field = VectorField(ArrayField(vectors), interpolation=interpolation)
    found, inside = field.at(points)
    assert inside.all()
    expected = oracle(vectors.astype(np.float64), points, ORDERS[interpolation])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_field_agrees_with_scipy_at_any_point(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    seed = data.draw(st.integers(0, 999))
    name = data.draw(st.sampled_from(list(ORDERS)))
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(*shape, 1))
    points = rng.uniform(0, 1, (20, len(shape))) * (np.asarray(shape) - 1)
    points[:5] = np.floor(points[:5])
    found, _ = VectorField(ArrayField(vectors), interpolation=name).at(points)
    np.testing.assert_allclose(found, oracle(vectors, points, ORDERS[name]), rtol=0, atol=1e-10)


def test_a_field_reaches_half_a_step_beyond_its_points_and_no_further() -> None:
    vectors = np.stack([np.full((3, 4), 10.0), np.full((3, 4), 20.0)], axis=-1)
    grid = Translation((-100.0, -200.0))
    points = np.array([[99.5, 199.5], [99.4, 201], [102.4, 203.4], [102.5, 201], [np.nan, 201], [1e300, 0]])
    moved = Displacements("d", field=VectorField(ArrayField(vectors), grid)).apply(points)
    np.testing.assert_array_equal(moved[[0, 2]], points[[0, 2]] + np.array([10, 20]))
    np.testing.assert_array_equal(moved[[1, 3, 5]], points[[1, 3, 5]])
    assert np.isnan(moved[4, 0])
    found = Coordinates("c", field=VectorField(ArrayField(vectors), grid)).apply(points)
    assert found[[0, 2]].tolist() == [[10, 20]] * 2
    assert np.isnan(found[[1, 3, 4, 5]]).all()


def test_points_may_have_any_number_of_leading_axes_or_be_none() -> None:
    t = Displacements("d", field=VectorField(ArrayField(np.ones((3, 4, 5, 3)))))
    assert t.apply(np.zeros((2, 3, 3))).tolist() == np.ones((2, 3, 3)).tolist()
    assert t.apply((1, 2, 3)).tolist() == [2, 3, 4]
    assert t.apply(np.zeros((0, 3))).shape == (0, 3)
    with pytest.raises(InputError):
        t.apply((1, 2))


class Counted:
    """A field far too large for memory that notes what is read."""

    shape = (100_000, 100_000, 100_000)
    components = 3

    def __init__(self) -> None:
        self.boxes: list[Box] = []

    def read(self, box: Box, /) -> np.ndarray[Any, Any]:
        self.boxes.append(box)
        return np.broadcast_to(np.array([1.0, 2.0, 3.0], np.float32), (*box.shape, 3))


@pytest.mark.parametrize("interpolation", ORDERS)
def test_only_blocks_around_the_points_are_read_once(interpolation: str) -> None:
    source = Counted()
    t = Displacements("d", interpolation, VectorField(source, interpolation=interpolation))
    points = np.array([[5.25, 70000.5, 99_999.0], [6.5, 70001.0, 99_998.5]])
    for _ in range(3):
        np.testing.assert_allclose(t.apply(points), points + np.array([1, 2, 3]), atol=1e-9)
    assert len(source.boxes) == len(set(source.boxes)) <= 2
    assert max(box.size for box in source.boxes) <= 130**3


def test_an_unknown_interpolation_and_bad_shapes_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="lanczos"):
        VectorField(ArrayField(np.zeros((2, 1))), interpolation="lanczos")
    with pytest.raises(InputError):
        VectorField(ArrayField(np.zeros((0, 2, 2))))
    with pytest.raises(InputError):
        Displacements("d", field=VectorField(ArrayField(np.zeros((3, 3, 3)))))


def smooth(shape: tuple[int, ...], size: float) -> np.ndarray[Any, Any]:
    grid = np.stack(np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij"), axis=-1)
    return size * np.sin(grid[..., ::-1] + np.arange(len(shape)))


@pytest.mark.parametrize("interpolation", ["linear", "bspline-cubic"])
def test_a_smooth_field_is_undone_by_its_approximate_inverse(interpolation: str) -> None:
    field = VectorField(ArrayField(smooth((15, 17, 13), 1.5)), Scale((0.5, 0.5, 0.25)), interpolation)
    t = Sequence((Scale((2.0, 2.0, 3.0)), Displacements("d", interpolation, field), Translation((1.0, 2.0, 3.0))))
    with pytest.raises(UnsupportedError, match="approximate"):
        t.inverse()
    back = approximate_inverse(t, tolerance=1e-11)
    points = np.random.default_rng(5).uniform(3, 9, (400, 3))
    np.testing.assert_allclose(back.apply(t.apply(points)), points, rtol=0, atol=1e-9)
    np.testing.assert_allclose(back.inverse().apply(points), t.apply(points))


def test_coordinates_and_splines_have_approximate_inverses_too() -> None:
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (20, 21)), indexing="ij"), axis=-1)
    turned = np.stack([-3.0 * grid[..., 1], 2.0 * grid[..., 0]], axis=-1) + smooth((20, 21), 0.5)
    t = Coordinates("c", field=VectorField(ArrayField(turned)))
    points = np.random.default_rng(6).uniform(4, 15, (50, 2))
    np.testing.assert_allclose(approximate_inverse(t, tolerance=1e-10).apply(t.apply(points)), points, atol=1e-8)
    corners = [(0.0, 0.0, 0.0), (0, 0, 9), (0, 9, 0), (9, 0, 0), (9, 9, 9), (4, 5, 3)]
    spline = ThinPlateSpline(tuple(corners), tuple((x * 2.0, y + 0.5, z + 0.1 * x * y / 9) for z, y, x in corners))
    p = np.random.default_rng(7).uniform(1, 8, (50, 3))
    np.testing.assert_allclose(approximate_inverse(spline, tolerance=1e-10).apply(spline.apply(p)), p, atol=1e-8)


def test_where_no_inverse_is_found_the_answer_is_nan_and_never_a_guess() -> None:
    folded = ArrayField(np.array([[0.0], [-8.0], [0.0], [8.0], [0.0]]))
    t = Displacements("d", field=VectorField(folded))
    assert np.isnan(approximate_inverse(t).apply([[0.9]])).all()
    with pytest.raises(UnsupportedError):
        approximate_inverse(Sequence((t, ProjectAxis((), (0,)))))
