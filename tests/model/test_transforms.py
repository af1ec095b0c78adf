"""Transforms: inverse, composition and matrix agree with `apply`; what cannot be is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.transforms import (
    Affine,
    Identity,
    MapAxis,
    Rotation,
    Scale,
    Sequence,
    Transform,
    Translation,
    scale_translation,
)
from voxarium.model.warps import (
    AxisTransform,
    Bijection,
    ByDimension,
    Coordinates,
    Displacements,
    ProjectAxis,
    Unresolved,
)

NDIM = 3
number = st.floats(-50, 50, allow_subnormal=False)
factor = st.floats(0.05, 20).flatmap(lambda v: st.sampled_from([v, -v]))
three = st.tuples(number, number, number)


@st.composite
def rotations(draw: st.DrawFn) -> Rotation:
    out = np.eye(3)
    for a, b in ((0, 1), (1, 2), (0, 2)):
        angle = draw(st.floats(-math.pi, math.pi))
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
        out = out @ turn
    return Rotation(tuple(map(tuple, out.tolist())))


@st.composite
def affines(draw: st.DrawFn) -> Affine:
    """An invertible affine: rotation, then scale, then rotation, then translation."""
    a, b = (draw(rotations()).matrix(3)[:, :3] for _ in range(2))
    scale, shift = draw(st.tuples(factor, factor, factor)), draw(three)
    return Affine(tuple(map(tuple, np.column_stack([a * scale @ b, shift]).tolist())))


simple: st.SearchStrategy[Transform] = st.one_of(
    st.just(Identity()),
    st.tuples(factor, factor, factor).map(Scale),
    three.map(Translation),
    st.permutations(range(3)).map(lambda p: MapAxis(tuple(p))),
)


@st.composite
def by_dimension(draw: st.DrawFn) -> ByDimension:
    inputs, outputs = draw(st.permutations(range(3))), draw(st.permutations(range(3)))
    return ByDimension(
        (
            AxisTransform((inputs[0],), (outputs[0],), Scale((draw(factor),))),
            AxisTransform(tuple(inputs[1:]), tuple(outputs[1:]), Translation((draw(number), draw(number)))),
        )
    )


invertible: st.SearchStrategy[Transform] = st.one_of(
    simple,
    rotations(),
    affines(),
    by_dimension(),
    st.lists(simple, min_size=1, max_size=4).map(lambda t: Sequence(tuple(t))),
)
points = st.lists(three, min_size=1, max_size=4).map(np.asarray)


@given(invertible, points)
@settings(max_examples=150, deadline=None)
def test_the_inverse_undoes_the_transform(t: Transform, p: np.ndarray) -> None:
    scale = np.abs(t.apply(p)).max() + 1e3
    np.testing.assert_allclose(t.inverse().apply(t.apply(p)), p, atol=1e-9 * scale)
    np.testing.assert_allclose(t.apply(t.inverse().apply(p)), p, atol=1e-7 * scale)


@given(invertible, points)
@settings(max_examples=150, deadline=None)
def test_the_matrix_agrees_with_apply(t: Transform, p: np.ndarray) -> None:
    m = t.matrix(NDIM)
    assert m.dtype == np.float64
    assert m.shape == (NDIM, NDIM + 1)
    expected = t.apply(p)
    np.testing.assert_allclose(p @ m[:, :-1].T + m[:, -1], expected, atol=1e-10 * (np.abs(expected).max() + 1e3))


@given(st.lists(invertible, min_size=2, max_size=4), points)
@settings(max_examples=150, deadline=None)
def test_composition_applies_one_after_another(chain: list[Transform], p: np.ndarray) -> None:
    joined = chain[0]
    expected = chain[0].apply(p)
    for t in chain[1:]:
        joined = joined.then(t)
        expected = t.apply(expected)
    np.testing.assert_allclose(joined.apply(p), expected, atol=1e-10 * (np.abs(expected).max() + 1e6))


@given(
    st.lists(
        st.one_of(st.tuples(factor, factor).map(Scale), st.tuples(number, number).map(Translation)),
        max_size=6,
    )
)
def test_scales_and_translations_merge_into_one_of_each(chain: list[Transform]) -> None:
    joined: Transform = Identity()
    for t in chain:
        joined = joined.then(t)
    steps = joined.transforms if isinstance(joined, Sequence) else (joined,)
    assert [type(s) for s in steps] in ([Identity], [Scale], [Translation], [Scale, Translation])
    assert scale_translation(joined, 2) is not None


def test_equal_transforms_are_equal_and_hash_alike() -> None:
    a, b = (
        Sequence([Scale([2, 3]), Translation(np.array([-0.0, 1]))]),
        Sequence((Scale((2.0, 3.0)), Translation((0.0, 1.0)))),
    )  # type: ignore[arg-type]  # lists are taken too
    assert a == b
    assert hash(a) == hash(b)
    assert repr(a) == repr(b)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (Identity(), ((1, 1), (0, 0))),
        (Scale((2, 3)), ((2, 3), (0, 0))),
        (Translation((2, 3)), ((1, 1), (2, 3))),
        (Sequence((Translation((1, 1)), Scale((2, 3)))), ((2, 3), (2, 3))),
        (Affine(((4, 0, 1), (0, 5, 2))), ((4, 5), (1, 2))),
        (MapAxis((0, 1)), ((1, 1), (0, 0))),
        (MapAxis((1, 0)), None),
        (Affine(((1, 1e-9, 0), (0, 1, 0))), None),
        (Affine(((1, 0, 0), (0, 0, 0))), None),
        (Scale((2, 3, 4)), None),
        (Affine(((1, 0, 0),)), None),
        (Displacements("field"), None),
    ],
)
def test_scale_translation_is_found_where_there_is_no_more(transform: Transform, expected: object) -> None:
    assert scale_translation(transform, 2) == expected


def test_rotation_maps_points_forward() -> None:
    """The first axis turns into the second: rows are the new axes, as in OME-Zarr 0.6."""
    assert Rotation(((0, 1), (-1, 0))).apply((2, 3)).tolist() == [3, -2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Scale(()),
        lambda: Scale((1, 0)),
        lambda: Scale((1, math.inf)),
        lambda: Translation((math.nan,)),
        lambda: MapAxis((0, 2)),
        lambda: MapAxis((1, 1)),
        lambda: MapAxis(()),
        lambda: Rotation(((1, 0), (0, -1))),
        lambda: Rotation(((1, 0.01), (0, 1))),
        lambda: Rotation(((1e200, 0), (0, 1e200))),
        lambda: Rotation(((1, 0, 0), (0, 1, 0))),
        lambda: Affine(()),
        lambda: Affine(((1,),)),
        lambda: Affine(((1, 2), (1, 2, 3))),
        lambda: Sequence(()),
        lambda: Sequence((Scale((1, 2)), Scale((1, 2, 3)))),
        lambda: Sequence((Affine(((1, 0, 0),)), Scale((1, 2)))),
        lambda: Scale((1, 2)).then(Scale((1, 2, 3))),
        lambda: ByDimension(()),
        lambda: ByDimension((AxisTransform((0,), (1,), Scale((2,))),)),
        lambda: AxisTransform((0,), (0, 1), Scale((2,))),
        lambda: AxisTransform((-1,), (0,), Scale((2,))),
        ProjectAxis,
        lambda: ProjectAxis((0, 0)),
        lambda: ProjectAxis((), (-1,)),
        lambda: Scale((1, 2)).apply((1, 2, 3)),
        lambda: Identity().apply(3),
        lambda: Scale((1, 2)).matrix(3),
        lambda: ProjectAxis((3,)).apply((1, 2)),
        lambda: ProjectAxis((), (5,)).matrix(2),
        lambda: ByDimension((AxisTransform((4,), (0,), Scale((2,))),)).matrix(2),
        lambda: Bijection(Scale((1, 2)), Affine(((1, 0, 0),))),
    ],
)
def test_what_is_no_transform_is_refused(make: object) -> None:
    with pytest.raises(InputError) as caught:
        make()  # type: ignore[operator]
    assert caught.value.code == Code.TRANSFORM_INVALID


@pytest.mark.parametrize(
    "transform",
    [
        Affine(((1, 2, 0), (2, 4, 0))),
        Affine(((1, 0, 0),)),
        Affine(((0, 0, 0), (0, 0, 0))),
        ByDimension((AxisTransform((0,), (0,), Scale((2,))), AxisTransform((0,), (1,), Scale((2,))))),
        ProjectAxis((0,), (1,)),
    ],
)
def test_a_transform_that_loses_axes_has_no_inverse(transform: Transform) -> None:
    with pytest.raises(UnsupportedError) as caught:
        transform.inverse()
    assert caught.value.code == Code.NOT_INVERTIBLE


def test_an_affine_with_very_different_units_still_has_its_inverse() -> None:
    a = Affine(((1e-9, 0, 5e-9), (0, 1e9, 7e9)))
    np.testing.assert_allclose(a.inverse().apply(a.apply((3, 4))), (3, 4))


@pytest.mark.parametrize("transform", [Displacements("d"), Coordinates("c"), Unresolved("affine", "m")])
def test_transforms_stored_elsewhere_are_carried_but_not_applied(transform: Transform) -> None:
    for use in (lambda: transform.apply((1, 2)), transform.inverse, lambda: transform.matrix(2)):
        with pytest.raises(UnsupportedError):
            use()
    assert Scale((1, 2)).then(transform) == Sequence((Scale((1, 2)), transform))


def test_projection_drops_then_creates() -> None:
    t = ProjectAxis(dropped_inputs=(1,), created_outputs=(0, 3))
    assert t.apply([(1, 2, 3)]).tolist() == [[0, 1, 3, 0]]
    p = np.array([4.0, 5.0, 6.0])
    m = t.matrix(3)
    assert (m[:, :-1] @ p + m[:, -1]).tolist() == t.apply(p).tolist()


def test_a_bijection_knows_its_inverse() -> None:
    t = Bijection(Scale((2.0, 4.0)), Scale((0.5, 0.25)))
    assert t.inverse().apply(t.apply((3, 5))).tolist() == [3, 5]
    assert (t.ndim_in, t.ndim_out) == (2, 2)
    assert t.matrix(2).tolist() == Scale((2, 4)).matrix(2).tolist()


def test_dimensions_follow_through_a_sequence() -> None:
    t = Sequence((Identity(), Affine(((1, 0, 0, 0), (0, 1, 0, 0))), Scale((2, 3))))
    assert (t.ndim_in, t.ndim_out) == (3, 2)
    assert Identity().ndim_in is None
    assert Sequence((Identity(),)).ndim_out is None
    assert Sequence((ProjectAxis((0,)), Scale((2, 3)))).ndim_out == 2
