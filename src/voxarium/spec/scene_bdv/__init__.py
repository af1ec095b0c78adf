"""BigDataViewer XML (SpimData) as scenes: view setups, timepoints, and chains of matrices that place them.

https://imagej.net/plugins/bdv/ (SpimData)

Matrices map voxel centres, in x, y, z order; of a chain the last one listed is applied first. Elements the model has no
place for (cameras, bounding boxes, interest points, the image loader's settings …) are carried along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from voxarium.errors import FormatError
from voxarium.model.scene import Scene, SceneLoss
from voxarium.model.scene_fields import refuse
from voxarium.model.xml_tree import parse_xml
from voxarium.spec.scene_bdv.elements import P
from voxarium.spec.scene_bdv.reading import parse_spim_data
from voxarium.spec.scene_bdv.writing import dump_spim_data

__all__ = ["Bdv", "dump_spim_data", "parse_spim_data"]


class Bdv:
    """The dialect of BigDataViewer XML."""

    name: ClassVar[str] = P
    title: ClassVar[str] = "BigDataViewer XML"
    files: ClassVar[tuple[str, ...]] = ("dataset.xml",)

    def claims(self, name: str, document: bytes, /) -> bool:
        """Tell whether a document is SpimData."""
        if b"<SpimData" not in document[:65536]:
            return False
        try:
            return parse_xml(document, name).tag == "SpimData"
        except FormatError:
            return True  # broken, and ours: the parser will say how

    def more(self, name: str, document: bytes, /) -> tuple[str, ...]:
        """Return nothing: the XML is one document."""
        return ()

    def parse(self, documents: Mapping[str, bytes], /) -> Scene:
        """Return the scene; see `parse_spim_data`."""
        if not documents:
            raise refuse("the XML", "is not there")
        return parse_spim_data(next(iter(documents.values())))

    def dump(self, scene: Scene, /) -> tuple[Mapping[str, bytes], tuple[SceneLoss, ...]]:
        """Return ``dataset.xml``; see `dump_spim_data`."""
        raw, losses = dump_spim_data(scene)
        return {"dataset.xml": raw}, losses
