"""WEBKNOSSOS datasets as scenes: layers, transforms, attachments and view settings of ``datasource-properties.json``.

https://docs.webknossos.org/webknossos-py/spec/ (datasource properties)

WEBKNOSSOS counts voxels of magnification 1 from a common origin, corner-based, in x, y, z order. Its rotation, three
angles, is carried along, not interpreted. Zoom is taken as voxels (of the smallest side) per screen pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from voxarium.errors import FormatError
from voxarium.model.fields import dump_json
from voxarium.model.scene import Scene, SceneLoss
from voxarium.model.scene_fields import parse_document, refuse
from voxarium.spec.webknossos_scene.reading import parse_datasource
from voxarium.spec.webknossos_scene.words import P
from voxarium.spec.webknossos_scene.writing import dump_datasource

__all__ = ["Webknossos", "dump_datasource", "parse_datasource"]


class Webknossos:
    """The dialect of WEBKNOSSOS datasets."""

    name: ClassVar[str] = P
    title: ClassVar[str] = "WEBKNOSSOS dataset"
    files: ClassVar[tuple[str, ...]] = ("datasource-properties.json",)

    def claims(self, name: str, document: bytes, /) -> bool:
        """Tell whether a document has data layers."""
        try:
            return isinstance(parse_document(document, name).get("dataLayers"), list)
        except FormatError:
            return False

    def more(self, name: str, document: bytes, /) -> tuple[str, ...]:
        """Return nothing: the properties are one document."""
        return ()

    def parse(self, documents: Mapping[str, bytes], /) -> Scene:
        """Return the scene; see `parse_datasource`."""
        if not documents:
            raise refuse("datasource-properties.json", "is not there")
        return parse_datasource(next(iter(documents.values())))

    def dump(self, scene: Scene, /) -> tuple[Mapping[str, bytes], tuple[SceneLoss, ...]]:
        """Return ``datasource-properties.json``; see `dump_datasource`."""
        document, losses = dump_datasource(scene)
        return {"datasource-properties.json": dump_json(document)}, losses
