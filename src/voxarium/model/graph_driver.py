"""Graphs of coordinate systems that join several images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from voxarium.model.axes import CoordinateSystem
from voxarium.model.image import TransformEdge
from voxarium.model.protocols import ReadableStore

__all__ = ["GraphDriver", "GraphInfo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInfo:
    """Coordinate systems of a group, and the transforms that join them with those of the images below it.

    A system of an image is called ``path#name``, `path` relative to the group.
    """

    format: str
    systems: Sequence[CoordinateSystem] = ()
    edges: Sequence[TransformEdge] = ()
    notes: Sequence[str] = ()


class GraphDriver(Protocol):
    """Reads such groups. It is offered by the entry point ``voxarium.graph_drivers``."""

    name: ClassVar[str]
    spec_url: ClassVar[str]

    def open(self, store: ReadableStore, path: str, /) -> GraphInfo:
        """Return what the group at `path` states.

        Raises
        ------
        NotFoundError
            If it is no such group.
        FormatError
            If it is one, and broken.
        """
