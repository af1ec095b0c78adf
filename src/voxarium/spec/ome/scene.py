"""Scenes of 0.6: coordinate systems of a group, transforms to those of images below it (rules SC-001, SC-002)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxarium.model.graph_driver import GraphInfo
from voxarium.spec.ome.document import as_mapping, malformed
from voxarium.spec.ome.v06 import parse_edges, parse_systems

__all__ = ["parse_scene"]


def parse_scene(scene: object) -> GraphInfo:
    """Return what the object ``scene`` of a group says.

    Raises
    ------
    FormatError
        If it is no scene. A transform that cannot be read does not spoil the others.
    """
    body: Mapping[str, Any] = as_mapping(scene, "scene")
    notes: list[str] = []
    systems = parse_systems(body, "scene", notes) if body.get("coordinateSystems") else {}
    edges = parse_edges(body, "scene", systems, notes)
    if not edges:
        malformed("scene.coordinateTransformations", "is missing or empty", "state how the images are joined")
    for i, edge in enumerate(edges):
        unnamed = [end for end in (edge.source, edge.target) if not end or end.endswith("#None")]
        if unnamed:
            malformed(
                f"scene.coordinateTransformations[{i}]",
                "does not name the coordinate systems it joins",
                "give input and output a name, and the path of the image that it belongs to",
            )
    return GraphInfo(format="ome-zarr", systems=tuple(systems.values()), edges=edges, notes=tuple(notes))
