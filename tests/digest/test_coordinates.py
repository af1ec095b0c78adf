"""Coordinates in canonical form, and the order of axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis
from voxarium.model.transforms import Affine, Scale, Translation
from voxarium.spec.logical_digest import canonical_order, coordinates_of

ZYX = tuple(Axis(name=n, type="space", unit="nanometer") for n in "zyx")
SHAPE = (2, 3, 4)


def matrix_of(matrix, axes=ZYX, shape=SHAPE, order=None):
    return coordinates_of(axes, shape, matrix, order or range(len(axes))).matrix


def one(value, translation=0.0, unit="nanometer"):
    axis = Axis(name="x", type="space", unit=unit)
    return coordinates_of((axis,), (5,), [[value, translation]], (0,)).matrix[0]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (8.0, "8e-9"),
        (-8.0, "-8e-9"),
        (40.0, "4e-8"),
        (3.24, "324e-11"),
        (0.1 + 0.2, "3e-10"),
        (1 / 3, "333333333333e-21"),
        (2 / 3, "666666666667e-21"),
        (999999999999.4, "999999999999e-9"),
        (999999999999.5, "1e3"),
        (100000000000.5, "1e2"),
        (100000000001.5, "100000000002e-9"),
        (float(np.float32(0.1)), "10000000149e-20"),
        (1.7976931348623157e308, "179769313486e288"),
        (5e-324, "494065645841e-344"),
    ],
)
def test_numbers_are_written_with_twelve_digits(value, written):
    assert one(value)[0] == written


@pytest.mark.parametrize(
    ("translation", "written"),
    [(0.0, "0"), (-0.0, "0"), (1e-16, "0"), (4e-11, "4e-20"), (12.960000000000001, "1296e-11"), (1e6 + 1e-7, "1e-3")],
)
def test_a_translation_is_as_exact_as_the_larger_of_it_and_the_voxel(translation, written):
    assert one(8.0, translation)[1] == written


def test_noise_of_rotations_is_rounded_away():
    turn = np.deg2rad(90)
    c, s = float(np.cos(turn)), float(np.sin(turn))
    rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 8 * c, -8 * s, 5.0], [0.0, 8 * s, 8 * c, 0.0]]
    assert matrix_of(rows)[1:] == (("0", "0", "-8e-9", "5e-9"), ("0", "8e-9", "0", "0"))


@pytest.mark.parametrize("unit", sorted(SPACE_UNITS))
def test_every_unit_of_length_becomes_metres(unit):
    assert SPACE_UNITS[unit] == pytest.approx(float(one(1.0, unit=unit)[0]), rel=1e-11)


def test_units_of_time_become_seconds_and_others_stay():
    for unit, factor in TIME_UNITS.items():
        found = coordinates_of((Axis(name="t", type="time", unit=unit),), (5,), [[1.0, 0.0]], (0,))
        assert found.axes == (("t", "time", "second"),) and float(found.matrix[0][0]) == pytest.approx(factor)
    for unit in (None, "", "furlong"):
        found = coordinates_of((Axis(name="x", type="space", unit=unit),), (5,), [[2.5, 0.0]], (0,))
        assert found.axes == (("x", "space", unit),) and found.matrix == (("25e-1", "0"),)


def test_rows_and_columns_follow_the_axes(array_of):
    data = np.arange(24, dtype=np.uint8).reshape(SHAPE)
    rows = np.array([[40.0, 0.5, 0.25, 3.0], [0.75, 8.0, 0.125, 4.0], [0.0, 0.0625, 9.0, 5.0]])
    expected = voxarium.logical_digest(array_of(data, ZYX, transform=Affine(tuple(map(tuple, rows)))))
    assert expected.bound is not None
    for order in itertools.permutations(range(3)):
        turned = rows[list(order)][:, [*order, 3]]
        array = array_of(
            np.ascontiguousarray(data.transpose(order)),
            tuple(ZYX[i] for i in order),
            transform=Affine(tuple(map(tuple, turned.tolist()))),
        )
        found = voxarium.logical_digest(array)
        assert (found.content, found.bound) == (expected.content, expected.bound)


def test_time_and_channels_of_one_sample_do_not_count_unless_they_say_something(array_of):
    data = np.arange(24, dtype=np.uint8).reshape(1, 1, *SHAPE)
    tc = (Axis(name="t", type="time", unit="second"), Axis(name="c", type="channel"))
    plain = voxarium.logical_digest(array_of(data[0, 0], ZYX, transform=Scale((40.0, 8.0, 8.0)))).bound
    five = Scale((7.0, 1.0, 40.0, 8.0, 8.0))
    assert voxarium.logical_digest(array_of(data, (*tc, *ZYX), transform=five)).bound == plain
    late = five.then(Translation((2.0, 0.0, 0.0, 0.0, 0.0)))
    assert voxarium.logical_digest(array_of(data, (*tc, *ZYX), transform=late)).bound != plain


def test_a_slice_knows_where_it_is(array_of):
    data = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    a, b = (Scale((40.0, 8.0, 8.0)).then(Translation((z, 0.0, 0.0))) for z in (0.0, 40.0))
    assert (
        voxarium.logical_digest(array_of(data, ZYX, transform=a)).bound
        != voxarium.logical_digest(array_of(data, ZYX, transform=b)).bound
    )


def test_without_names_or_affine_coordinates_nothing_is_bound(array_of):
    data = np.zeros(SHAPE, np.uint8)
    assert voxarium.logical_digest(array_of(data)).bound is None

    flat = Affine(((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)))
    assert voxarium.logical_digest(array_of(data, ZYX, transform=flat)).bound is None


def test_names_that_are_no_text_are_an_error(array_of):
    axes = (Axis(name="\ud800", type="space"), *ZYX[1:])
    with pytest.raises(voxarium.VoxariumError, match="no Unicode text"):
        voxarium.logical_digest(array_of(np.zeros(SHAPE, np.uint8), axes))


@given(order=st.permutations(range(6)))
def test_known_axes_have_one_order_however_they_are_stored(order):
    names = {"t": "time", "c": "channel", "vector": "displacement", "z": "space", "Y": "space", "x": "space"}
    axes = [Axis(name=n, type=t) for n, t in names.items()]
    stored = [axes[i] for i in order]
    assert [stored[i].name for i in canonical_order(stored)] == list(names)


def test_axes_that_are_not_told_apart_stay_as_they_are():
    axes = [Axis(name=n, type="space") for n in ("row", "x", "column", "z")]
    assert [axes[i].name for i in canonical_order(axes)] == ["row", "column", "z", "x"]
    assert canonical_order([Axis(name=f"dim_{i}") for i in range(11)]) == tuple(range(11))
