"""Checking what stands beside the mags of a layer: attachments, transformations, view configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from voxarium.model.checked_values import NAME, Kind, matching, objects
from voxarium.model.checking import Place, short
from voxarium.spec.webknossos.rules.mags import check_path
from voxarium.spec.webknossos.rules.values import are_numbers, need

__all__ = ["ATTACHMENTS", "attachments_of", "check_attachments", "check_transformations", "check_view"]

ATTACHMENTS: Final = ("meshes", "agglomerates", "connectomes", "segmentIndex", "segmentStatistics", "cumsum")
_STORED: Final = ("zarr3", "hdf5", "json", "neuroglancerPrecomputed")
_FORMAT: Final = matching("|".join(_STORED), f"one of {', '.join(_STORED)}")
_MOST_POINTS: Final = 100_000


def attachments_of(place: Place) -> list[Place]:
    """Return the entries of all attachments that are objects, lists of them or single ones."""
    if not isinstance(place.value, dict):
        return []
    out: list[Place] = []
    for name in ATTACHMENTS:
        found = place[name]
        out += found.items() if isinstance(found.value, list) else [found]
    return [entry for entry in out if isinstance(entry.value, dict)]


def check_attachments(place: Place) -> None:
    """Check the list of what belongs to a segmentation."""
    if not place.there or place.value is None:
        return
    if not isinstance(place.value, dict):
        place.report("WK-031", f"is {short(place.value)}", 'write {"meshes": […], …}')
        return
    for name in place.value:
        if name not in ATTACHMENTS:
            place[name].report("WK-031", "is no kind of attachment", f"use one of {', '.join(ATTACHMENTS)}")
        elif place[name].value is not None and not isinstance(place[name].value, dict):
            objects(place[name], "WK-031", least=0)
    seen: set[tuple[str, str]] = set()
    for entry in attachments_of(place):
        need(entry, "name", NAME, "WK-031")
        need(entry, "dataFormat", _FORMAT, "WK-031")
        if need(entry, "path", NAME, "WK-031") is not None:
            check_path(entry["path"], "WK-031")
        kind, name = entry.pointer[len(place.pointer) + 1 :].partition("/")[0], entry.text("name")
        if name is not None:
            if (kind, name) in seen:
                entry["name"].report("WK-031", f"is {short(name)} again", "rename one of them")
            seen.add((kind, name))


def check_transformations(place: Place) -> None:
    """Check the transformations of a layer."""
    if not place.there or place.value is None:
        return
    for item in objects(place, "WK-032", least=0):
        kind = item["type"].value
        if kind == "affine":
            _check_matrix(item)
        elif kind == "thin_plate_spline":
            _check_spline(item)
        else:
            at = item["type"] if item["type"].there else item
            at.report("WK-032", f"is {short(at.value)}", "use affine or thin_plate_spline")


def _check_matrix(item: Place) -> None:
    place = item["matrix"]
    rows = place.value if isinstance(place.value, list) else []
    if len(rows) != 4 or not all(are_numbers(row, 4) for row in rows) or [float(v) for v in rows[3]] != [0, 0, 0, 1]:
        at = place if place.there else item
        at.report("WK-032", "is no matrix of 4 × 4 numbers with 0 0 0 1 last", "write it row by row")
        return
    matrix = np.array([row[:3] for row in rows[:3]], np.float64)
    largest = np.abs(matrix).max(axis=1)
    if not largest.all() or abs(np.linalg.det(matrix / largest[:, None])) < 1e-12:
        place.report("WK-033", "cannot be inverted", "correct the matrix")


def _check_spline(item: Place) -> None:
    points = item["correspondences"]
    source, target = points["source"].value, points["target"].value
    sound = _are_points(source) and _are_points(target) and len(source) == len(target)
    if not sound:
        at = points if points.there else item
        at.report("WK-032", "has no source and target points in equal number", "list points of three numbers each")


def _are_points(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_POINTS and all(are_numbers(point, 3) for point in value)


def check_view(place: Place, kinds: Mapping[str, Kind]) -> None:
    """Check a view configuration by the kinds of values it may have."""
    if not place.there or place.value is None:
        return
    if not isinstance(place.value, dict):
        place.report("WK-034", f"is {short(place.value)}", "write an object")
        return
    for name, kind in kinds.items():
        member = place[name]
        if member.there and member.value is not None and not kind.holds(member.value):
            member.report("WK-034", f"is {short(member.value)}", f"make it {kind.text}")
