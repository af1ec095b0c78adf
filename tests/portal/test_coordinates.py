"""The coordinate picture: layers lie in it where they lie in the world."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.core.uri import open_source_store
from voxarium.view.portal.coordinate_picture import coordinate_picture
from voxarium.view.portal.coordinates import Coordinates, PlacedLayer, coordinates_of
from voxarium.view.portal.facts import DatasetFacts, LayerFacts
from voxarium.view.portal.gathering import dataset_facts


def facts_of(folder, **document):
    base = {"voxarium_dataset": "1.0", "name": "set"} | document
    (folder / "dataset.json").write_text(json.dumps(base))
    store, path = open_source_store(folder)
    return dataset_facts(store, path, (), address="set")


def member(name, **more):
    return {"name": name, "path": f"{name}.zarr", "kind": "image"} | more


def written(folder, name, shape, **place):
    np.save(folder / "source.npy", np.zeros(shape, np.uint8))
    voxarium.convert(folder / "source.npy", folder / f"{name}.zarr", **{"axes": "zyx", "unit": "nanometer"} | place)


def test_boxes_reach_to_the_outer_edges_of_voxels(tmp_path):
    written(tmp_path, "em", (4, 6, 10), voxel_size=(40, 8, 2), translation=(100, -8, 0))
    (placed,) = coordinates_of(facts_of(tmp_path, members=[member("em")])).layers
    assert placed.low == (80, -12, -1) and placed.high == (80 + 160, -12 + 48, -1 + 20)


def test_layers_in_other_units_lie_where_they_belong(tmp_path):
    written(tmp_path, "em", (4, 6, 10), voxel_size=8)
    written(tmp_path, "lm", (2, 3, 5), voxel_size=0.016, unit="micrometer")
    layers = coordinates_of(facts_of(tmp_path, members=[member("em"), member("lm")])).layers
    (em,), (lm,) = ([p for p in layers if p.layer.name == n] for n in ("em", "lm"))
    assert np.allclose(em.high, (28, 44, 76)) and np.allclose(lm.high, (24, 40, 72)) and np.allclose(lm.low, -8)


def test_images_without_units_are_drawn_in_voxels_or_left_out_beside_measured_ones(tmp_path):
    np.save(tmp_path / "raw.npy", np.zeros((3, 4, 5), np.uint8))
    alone = coordinates_of(facts_of(tmp_path, members=[member("raw", path="raw.npy")]))
    assert not alone.measured and len(alone.layers) == 1
    assert "voxels" in coordinate_picture(alone, "set")
    written(tmp_path, "em", (4, 6, 10), voxel_size=8)
    both = coordinates_of(facts_of(tmp_path, members=[member("em"), member("raw", path="raw.npy")]))
    assert [p.layer.name for p in both.layers] == ["em"]
    assert both.left_out == (("raw", "its voxels have no physical size"),)


def axes(unit):
    return [{"name": n, "type": "space", "unit": unit} for n in "zyx"]


def test_alignments_bring_layers_of_other_systems_into_the_first(tmp_path):
    written(tmp_path, "em", (4, 6, 10), voxel_size=8)
    written(tmp_path, "lm", (4, 6, 10), voxel_size=8)
    move = {"type": "translation", "translation": [1, 2, 3]}  # micrometers, from the first system to that of lm
    facts = facts_of(
        tmp_path,
        members=[member("em"), member("lm", system="lm")],
        systems=[{"name": "em", "axes": axes("nanometer")}, {"name": "lm", "axes": axes("micrometer")}],
        alignments=[{"source": "em", "target": "lm", "transform": {"type": "scale", "scale": [0.001] * 3}},
                    {"source": "lm", "target": "nowhere", "transform": move}],
    )  # fmt: skip
    em, lm = coordinates_of(facts).layers
    assert np.allclose(em.corners, lm.corners)
    moved = facts_of(
        tmp_path,
        members=[member("em"), member("lm")],
        systems=[{"name": "em", "axes": axes("nanometer")}],
        alignments=[{"source": "lm", "target": "em", "transform": {"type": "translation", "translation": [8, 16, 24]}}],
    )
    em, lm = coordinates_of(moved).layers
    assert np.allclose(lm.corners - em.corners, (8, 16, 24))


def test_what_no_alignment_leads_to_is_left_out_and_said(tmp_path):
    written(tmp_path, "em", (4, 6, 10), voxel_size=8)
    written(tmp_path, "lm", (4, 6, 10), voxel_size=8)
    facts = facts_of(
        tmp_path,
        members=[member("em"), member("lm", system="lm")],
        systems=[{"name": "em", "axes": axes("nanometer")}, {"name": "lm", "axes": axes("nanometer")}],
        alignments=[{"source": "lm", "target": "em", "transform": {"type": "bijection"}}] * 0,
    )
    found = coordinates_of(facts)
    assert [p.layer.name for p in found.layers] == ["em"] and "no alignment" in found.left_out[0][1]


def shapes(picture):
    """Return the boxes of each panel, by layer: (left, top, right, bottom)."""
    panels = []
    for panel in picture.split('<rect class="panel"')[1:]:
        boxes = {}
        for number, points in re.findall(r'data-layer="(\d+)">.*?<polygon points="([^"]+)"', panel):
            at = np.array([[float(v) for v in p.split(",")] for p in points.split()])
            boxes[int(number)] = (*at.min(axis=0), *at.max(axis=0))
        panels.append(boxes)
    return panels


def box(low, high):
    return np.array(
        [[(low, high)[i >> 2 & 1][0], (low, high)[i >> 1 & 1][1], (low, high)[i & 1][2]] for i in range(8)], float
    )


def picture_of(*boxes):
    layers = tuple(
        PlacedLayer(LayerFacts(name=f"l{i}", path=f"l{i}", kind="image"), box(*b)) for i, b in enumerate(boxes)
    )
    return coordinate_picture(Coordinates(layers), "set")


def test_all_three_planes_have_one_scale_and_share_their_edges():
    xy, zy, xz = shapes(picture_of(((0, 0, 0), (100, 300, 500)), ((20, 60, 100), (40, 120, 300))))
    k = (xy[0][2] - xy[0][0]) / 500
    for panel, (across, down) in ((xy, (2, 1)), (zy, (0, 1)), (xz, (2, 0))):
        size = (100, 300, 500)
        assert panel[0][2] - panel[0][0] == pytest.approx(k * size[across], abs=0.2)
        assert panel[0][3] - panel[0][1] == pytest.approx(k * size[down], abs=0.2)
        low, high = (20, 60, 100), (40, 120, 300)
        for axis, (a, b) in ((across, (0, 2)), (down, (1, 3))):
            assert panel[1][a] - panel[0][a] == pytest.approx(k * low[axis], abs=0.2)
            assert panel[1][b] - panel[1][a] == pytest.approx(k * (high[axis] - low[axis]), abs=0.2)
    assert (xy[0][1], xy[0][3]) == (zy[0][1], zy[0][3]) and (xy[0][0], xy[0][2]) == (xz[0][0], xz[0][2])


def test_the_scale_bar_is_as_long_as_it_says():
    picture = picture_of(((0, 0, 0), (1000, 3000, 5000)))
    x1, x2 = map(float, re.search(r'class="scale"><line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"', picture).groups())
    number, unit = re.search(r"<text[^>]*>([\d.]+) (nm|µm)</text></g></svg>", picture).groups()
    nm = float(number) * {"nm": 1, "µm": 1000}[unit]
    xy = shapes(picture)[0][0]
    assert (x2 - x1) / nm == pytest.approx((xy[2] - xy[0]) / 5000, rel=0.02)


def test_what_is_too_small_to_be_seen_is_marked():
    assert 'class="ring"' in picture_of(((0, 0, 0), (1e6, 1e6, 1e6)), ((5e5, 5e5, 5e5), (5.001e5, 5.001e5, 5.001e5)))


finite = st.floats(-1e17, 1e17)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.tuples(finite, finite, finite), st.tuples(finite, finite, finite)), min_size=1, max_size=4)
)
def test_any_boxes_give_a_picture(boxes):
    picture = picture_of(*boxes)
    assert picture.startswith("<svg") and "nan" not in picture.lower() and "inf" not in picture


def test_nothing_gives_no_picture():
    assert coordinate_picture(Coordinates(()), "set") == ""
    assert coordinates_of(DatasetFacts(address="x", path="", title="x")).layers == ()
