"""The official examples of 0.6 map points as computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voxarium.errors import FormatError
from voxarium.model.graph import TransformGraph
from voxarium.spec.ome.scene import parse_scene
from voxarium.spec.ome.transformations import dump_transform, parse_transform
from voxarium.spec.ome.v06 import parse_edges, parse_systems

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "ngff" / "ngff-spec" / "0.6rc0" / "examples"
pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="the official examples are not at hand")


def example(name: str) -> Any:
    return json.loads((EXAMPLES / "transformations" / f"{name}.json").read_text())


def graph(document: Any) -> TransformGraph:
    notes: list[str] = []
    systems = parse_systems(document, "example", notes)
    edges = parse_edges(document, "example", systems, notes)
    assert notes == []
    return TransformGraph(systems, edges)


# name, from, to, point, image: worked out on paper from the numbers in the document
BY_HAND = [
    ("affine2d2d", "ji", "yx", (2, 3), (1 * 2 + 2 * 3 + 3, 4 * 2 + 5 * 3 + 6)),
    ("affine2d2d_with_channel", "cji", "cyx", (9, 2, 3), (9, 1 * 2 + 2 * 3 + 3, 4 * 2 + 5 * 3 + 6)),
    ("affine2d3d", "ij", "zyx", (2, 3), (2, 2 * 2 + 3 * 3 + 4, 5 * 2 + 6 * 3 + 7)),
    ("byDimension1", "in", "out", (5, 7), (5 * 2, 7 - 1)),
    ("byDimension2", "in", "out", (1, 2, 3, 4), (2 * 2, 4 + 0.5, 3 + 1.5)),
    ("mapAxis1", "in", "out2", (5, 7), (7, 5)),
    ("mapAxis1", "out1", "out2", (5, 7), (7, 5)),
    ("projectAxis", "in", "out", (5, 7), (0, 0, 5, 7)),
    ("projectAxis2", "in", "out", (1, 2, 3), (0, 2, 3)),
    ("rotation", "ji", "yx", (2, 3), (-3, 2)),
    ("rotation", "yx", "ji", (-3, 2), (2, 3)),
    ("scale_with_discrete", "in", "out", (1, 2, 3), (1, 6.24, 6)),
    ("sequence", "in", "out", (1, 2), ((1 + 0.1) * 2, (2 + 0.9) * 3)),
]


@pytest.mark.parametrize(("name", "source", "target", "point", "image"), BY_HAND)
def test_an_example_maps_a_point_as_worked_out_by_hand(
    name: str, source: str, target: str, point: tuple[float, ...], image: tuple[float, ...]
) -> None:
    found = graph(example(name)).transform(source, target).apply(point)
    assert found.tolist() == pytest.approx(list(image))


def test_every_readable_example_is_written_as_it_was_read() -> None:
    count = 0
    for file in sorted((EXAMPLES / "transformations").glob("*.json")):
        for item in json.loads(file.read_text()).get("coordinateTransformations", []):
            try:
                transform = parse_transform(item, file.name)
            except FormatError:
                assert file.stem in {"byDimensionInvalid1", "byDimensionInvalid2", "byDimensionXarray"}, file.stem
                continue
            again = dump_transform(transform)
            assert parse_transform(again, file.name) == transform
            count += 1
    assert count >= 12


@pytest.mark.parametrize("name", ["scene_registration", "scene_stitching"])
def test_official_scenes_are_parsed(name: str) -> None:
    document = json.loads((EXAMPLES / "scene" / f"{name}.json").read_text())
    found = parse_scene(document["attributes"]["ome"]["scene"])
    assert found.notes == ()
    assert (
        found.edges[0].source
        == {
            "scene_registration": "JRC2018F#physical",
            "scene_stitching": "tile_0#physical",
        }[name]
    )
