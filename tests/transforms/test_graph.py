"""Ways through graphs of coordinate systems: shortest, inverted where possible, refused with the edge that blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.errors import NotFoundError, UnsupportedError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.graph import TransformGraph, simplified
from voxarium.model.image import TransformEdge
from voxarium.model.transforms import (
    Affine,
    Identity,
    MapAxis,
    Rotation,
    Scale,
    Sequence,
    Transform,
    Translation,
)
from voxarium.model.vector_field import ArrayField, VectorField
from voxarium.model.warps import AxisTransform, Bijection, ByDimension, Displacements, ProjectAxis, Unresolved

NDIM = 3


def rotation(seed: int) -> Rotation:
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(NDIM, NDIM)))[0]
    q[0] *= np.sign(np.linalg.det(q))
    return Rotation(tuple(map(tuple, q.tolist())))


@st.composite
def invertible(draw: st.DrawFn, depth: int = 2) -> Transform:  # noqa: PLR0911 - one return per kind
    number = st.floats(-50, 50).map(lambda v: round(v, 3))
    factor = st.floats(0.25, 4).map(lambda v: round(v, 3)) | st.floats(-4, -0.25).map(lambda v: round(v, 3))
    kind = draw(st.integers(0, 8 if depth else 5))
    row = [draw(number) for _ in range(NDIM)]
    if kind == 0:
        return Identity()
    if kind == 1:
        return Scale(tuple(draw(factor) for _ in range(NDIM)))
    if kind == 2:
        return Translation(tuple(row))
    if kind == 3:
        return rotation(draw(st.integers(0, 999)))
    if kind == 4:
        return MapAxis(tuple(draw(st.permutations(range(NDIM)))))
    if kind == 5:
        turn = np.asarray(rotation(draw(st.integers(0, 999))).rows) @ np.diag([draw(factor) for _ in range(NDIM)])
        return Affine(tuple(map(tuple, np.column_stack([turn, row]).tolist())))
    if kind == 6:
        return Sequence(tuple(draw(st.lists(invertible(depth - 1), min_size=1, max_size=4))))
    if kind == 7:
        inner = draw(invertible(depth - 1))
        return Bijection(inner, inner.inverse())
    order = draw(st.permutations(range(NDIM)))
    return ByDimension(
        (
            AxisTransform((order[0],), (order[1],), Scale((draw(factor),))),
            AxisTransform((order[1], order[2]), (order[0], order[2]), Translation((row[0], row[1]))),
        )
    )


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_random_graphs_lead_there_and_back(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 7))
    edges = []
    for i in range(1, count):  # a tree: every system is reached from every other one, in exactly one way
        a, b = f"s{data.draw(st.integers(0, i - 1))}", f"s{i}"
        if data.draw(st.booleans()):
            a, b = b, a
        edges.append(TransformEdge(source=a, target=b, transform=data.draw(invertible())))
    graph = TransformGraph({f"s{i}": system(f"s{i}") for i in range(count)}, edges)
    points = np.random.default_rng(1).uniform(-10, 10, (5, NDIM))
    for i in range(count):
        there, back = graph.transform("s0", f"s{i}"), graph.transform(f"s{i}", "s0")
        moved = there.apply(points)
        size = max(1.0, float(np.abs(moved).max()))
        np.testing.assert_allclose(back.apply(moved), points, rtol=0, atol=1e-9 * size)
        by_hand = points
        for step in graph.way("s0", f"s{i}"):
            by_hand = step.transform.apply(by_hand)
        np.testing.assert_allclose(moved, by_hand, rtol=0, atol=1e-9 * size)
        np.testing.assert_allclose(there.inverse().apply(moved), points, rtol=0, atol=1e-9 * size)


def system(name: str, ndim: int = NDIM) -> CoordinateSystem:
    return CoordinateSystem(name=name, axes=tuple(Axis(name=f"a{i}") for i in range(ndim)))


def edge(source: str, target: str, transform: Transform, name: str | None = None) -> TransformEdge:
    return TransformEdge(source=source, target=target, transform=transform, name=name)


def test_the_shortest_way_is_taken() -> None:
    one = Translation((1.0,))
    graph = TransformGraph({}, [edge("a", "b", one), edge("b", "c", one), edge("c", "d", one), edge("d", "a", one)])
    assert graph.transform("a", "d") == Translation((-1.0,))
    assert graph.transform("a", "c") == Translation((2.0,))
    assert graph.transform("a", "a") == Identity()


def test_a_longer_way_is_taken_around_an_edge_without_inverse() -> None:
    flat = Affine(((1, 0, 0), (0, 0, 0)))
    graph = TransformGraph(
        {}, [edge("b", "a", flat), edge("a", "c", Scale((2, 2))), edge("b", "c", Translation((1, 1)))]
    )
    assert graph.transform("a", "b").apply((3, 4)).tolist() == [5, 7]


def test_the_edge_that_blocks_is_named() -> None:
    graph = TransformGraph(
        {},
        [edge("a", "b", Scale((2, 2))), edge("c", "b", ProjectAxis((0,)), "shadow"), edge("c", "d", Identity())],
    )
    with pytest.raises(UnsupportedError, match=r"c → b \(shadow\) cannot be taken backward") as caught:
        graph.transform("a", "d")
    assert "a → b" not in caught.value.message
    with pytest.raises(UnsupportedError, match="'x' is joined with 'x', 'y' only"):
        TransformGraph({}, [*graph.edges, edge("x", "y", Identity())]).transform("x", "a")
    with pytest.raises(NotFoundError, match="'nowhere'"):
        graph.transform("a", "nowhere")
    broken = TransformGraph({}, [edge("a", "b", Unresolved("affine", "m", "it is broken"))])
    with pytest.raises(UnsupportedError, match=r"a → b cannot be taken forward: it is broken"):
        broken.transform("a", "b")


def test_fields_are_inverted_only_when_asked() -> None:
    field = Displacements("d", field=VectorField(ArrayField(np.full((9, 9, 2), 0.5))))
    graph = TransformGraph({"a": system("a", 2)}, [edge("a", "b", field)])
    with pytest.raises(UnsupportedError, match="approximate"):
        graph.transform("b", "a")
    assert graph.transform("b", "a", approximate=True).apply((3.5, 4.5)).tolist() == [3, 4]


def test_runs_of_affine_steps_become_one() -> None:
    field = Displacements("d", field=VectorField(ArrayField(np.zeros((3, 3, 2)))))
    turn = Rotation(((0, -1), (1, 0)))
    found = simplified(Sequence((turn, Scale((2, 3)), field, MapAxis((1, 0)), MapAxis((1, 0)), turn)), 2)
    assert isinstance(found, Sequence)
    assert found.transforms == (Affine(((0, -2, 0), (3, 0, 0))), field, Affine(((0, -1, 0), (1, 0, 0))))
    assert simplified(Sequence((turn, turn.inverse())), 2) == Identity()
    dropped = simplified(Sequence((ProjectAxis((0,)), Scale((2, 3)))), 3)
    assert dropped.apply((9, 1, 1)).tolist() == [2, 3]
