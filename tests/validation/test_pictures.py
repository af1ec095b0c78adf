"""Pictures in reports: of stored objects, the worst of them; and of levels that do not lie on each other."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from voxarium.validation import validate
from voxarium.validation.registry import all_rules
from voxarium.validation.reports import html_page
from voxarium.validation.reports.pictures import COLORS, map_picture, shift_picture

from .conftest import written


def fills(picture):
    return re.findall(r'fill="([^"]+)"', picture)


def test_a_cell_shows_the_worst_object_behind_it():
    states = np.ones((3, 2, 4), "uint8")
    states[1, 0, 1] = 5
    states[:, 1, 2] = 0
    states[2, 1, 3] = 0
    found = fills(map_picture(states))
    expected = [1, 5, 1, 1, 1, 1, 0, -1]
    assert found == [COLORS[s] for s in expected]
    assert "24 objects, 4 absent, 1 faulty" in map_picture(states)


def test_many_objects_share_a_cell():
    states = np.ones((300, 1000), "uint8")
    states[299, 999] = 4
    found = fills(map_picture(states))
    assert len(found) == 60 * 63 and found[-1] == COLORS[4] and set(found[:-1]) == {COLORS[1]}


def test_any_number_of_axes_is_drawn():
    for shape in ((), (5,), (2, 3), (2, 3, 4, 5)):
        assert map_picture(np.zeros(shape, "uint8")).startswith("<svg")


def test_levels_are_drawn_from_where_they_begin():
    picture = shift_picture((("s0", 0.0), ("s1", -0.25), ("<s2>", 40.0)))
    starts = [float(x) for x in re.findall(r'<rect x="([^"]+)"', picture)][::3]
    assert fills(picture)[::3] == [COLORS[1], COLORS[3], COLORS[3]]
    assert starts[0] - starts[1] == 16 and starts[2] - starts[0] == 96  # no further than the picture reaches
    assert "s1: -0.25" in picture and "<s2>" not in picture


def test_a_page_shows_how_far_levels_are_moved_and_nothing_where_none_is(tmp_path):
    folder = written(tmp_path, np.arange(9 * 20 * 11, dtype=np.uint16).reshape(9, 20, 11), levels=3, factors=2)
    assert not validate(folder).shifts and "Where levels begin" not in html_page([validate(folder)], all_rules())
    path = folder / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["ome"]["multiscales"][0]["datasets"][2]["coordinateTransformations"][1]["translation"][1] = 0
    path.write_text(json.dumps(document))
    report = validate(folder)
    assert report.shifts == {"": {"y": (("s0", 0), ("s1", 0), ("s2", pytest.approx(-0.375)))}}
    assert "<code>.</code> along y: s1 +0, s2 -0.375 voxels of the level" in html_page([report], all_rules())
