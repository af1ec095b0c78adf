"""Collections of OME-Zarr (RFC-8): documents that group images, labels and other things.

https://ngff.openmicroscopy.org/rfc/8/ (draft of August 2026, status D1)

Three dialects are read: the draft, whose nodes have a ``type``; the examples beside it, whose nodes have a
``node_type``; and the proposal of 2024, whose collections have ``members``. The draft is written. It has no words for
rendering and views: they are written under keys with the prefix ``voxarium:``, and what other dialects said under
theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from voxarium.errors import FormatError
from voxarium.model.fields import dump_json
from voxarium.model.scene import Scene, SceneLoss
from voxarium.model.scene_fields import parse_document, refuse
from voxarium.spec.collections.reading import find_collection, parse_collection
from voxarium.spec.collections.words import P
from voxarium.spec.collections.writing import VERSIONS, dump_collection

__all__ = ["VERSIONS", "Collections", "dump_collection", "parse_collection"]


class Collections:
    """The dialect of OME-Zarr collections."""

    name: ClassVar[str] = P
    title: ClassVar[str] = "OME-Zarr collection (RFC-8 draft)"
    files: ClassVar[tuple[str, ...]] = ("zarr.json", "collection.json")

    def claims(self, name: str, document: bytes, /) -> bool:
        """Tell whether a document holds a collection in one of the three dialects."""
        try:
            return find_collection(parse_document(document, name)) is not None
        except FormatError:
            return False

    def more(self, name: str, document: bytes, /) -> tuple[str, ...]:
        """Return nothing: collections name others, which are scenes of their own."""
        return ()

    def parse(self, documents: Mapping[str, bytes], /) -> Scene:
        """Return the scene; see `parse_collection`."""
        if not documents:
            raise refuse("the collection", "is not there")
        return parse_collection(next(iter(documents.values())))

    def dump(self, scene: Scene, /) -> tuple[Mapping[str, bytes], tuple[SceneLoss, ...]]:
        """Return ``collection.json``; see `dump_collection`."""
        document, losses = dump_collection(scene)
        return {"collection.json": dump_json(document)}, losses
