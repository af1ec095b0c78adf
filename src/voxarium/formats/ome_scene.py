"""OME-Zarr scenes: a group with ``ome.scene`` joins the coordinate systems of the images below it.

Specification: https://ngff.openmicroscopy.org/0.6/. Read in Zarr 3 only, as 0.6 demands.
"""

from __future__ import annotations

from typing import ClassVar

from voxarium.errors import Code, NotFoundError
from voxarium.model.graph_driver import GraphInfo
from voxarium.model.protocols import ReadableStore
from voxarium.spec import ome

__all__ = ["OmeSceneDriver"]


class OmeSceneDriver:
    """Reads the graph of a scene; its images are opened by whoever follows the graph."""

    name: ClassVar[str] = "ome-zarr-scene"
    spec_url: ClassVar[str] = "https://ngff.openmicroscopy.org/0.6/"

    def open(self, store: ReadableStore, path: str, /) -> GraphInfo:
        """Return the coordinate systems and transforms of the scene at `path`.

        Raises
        ------
        NotFoundError
            If there is no scene.
        FormatError
            If the scene cannot be read.
        """
        key = ome.join(path, "zarr.json")
        raw = store.get(key)
        found = None if raw is None else ome.parse_v3_attributes(raw, key)
        scene = None if found is None else ome.namespace(found).get("scene")
        if scene is None:
            raise NotFoundError(
                f"no scene at {ome.join(store.uri, path)}",
                code=Code.FORMAT_UNRECOGNISED,
                fix="check the path; its zarr.json should have attributes.ome.scene",
            )
        return ome.parse_scene(scene)
