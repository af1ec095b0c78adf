"""Maps of stored objects: a picture that shows the worst."""

from __future__ import annotations

import re

import numpy as np

from voxarium.validation.reports.pictures import COLORS, map_picture


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
