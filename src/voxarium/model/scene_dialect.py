"""What a scene dialect offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

from voxarium.model.scene import Scene, SceneLoss

__all__ = ["LinkDialect", "SceneDialect"]


class SceneDialect(Protocol):
    """One way to write scenes down. Parsers raise FormatError only; writers report what the dialect cannot hold.

    A dialect is offered by the entry point ``voxarium.scene_dialects``.
    """

    name: ClassVar[str]
    """Such as ``mobie``."""
    title: ClassVar[str]
    """What it is, for people."""
    files: ClassVar[tuple[str, ...]]
    """Names of the document in a folder, the likeliest first."""

    def claims(self, name: str, document: bytes, /) -> bool:
        """Tell whether a document, called `name`, is of this dialect; never raises."""

    def more(self, name: str, document: bytes, /) -> tuple[str, ...]:
        """Return names of further documents, relative to the first, that belong to the scene."""

    def parse(self, documents: Mapping[str, bytes], /) -> Scene:
        """Return the scene; the first document is the one that was claimed.

        Raises
        ------
        FormatError
            If the documents break their specification.
        """

    def dump(self, scene: Scene, /) -> tuple[Mapping[str, bytes], tuple[SceneLoss, ...]]:
        """Return documents by name, the main one first, and what they do not say as the scene does."""


@runtime_checkable
class LinkDialect(Protocol):
    """A dialect whose documents fit into a link that a viewer opens."""

    def link(self, document: bytes, viewer: str | None = None, /) -> str:
        """Return the link for a document, in the viewer at an address; None = the public one."""
