"""Coordinate systems at an address: those of an image, or of a scene and the images in it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxarium.errors import Code, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.graph import TransformGraph
from voxarium.model.graph_driver import GraphDriver, GraphInfo
from voxarium.model.image import TransformEdge
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.transforms import Transform

if TYPE_CHECKING:
    from voxarium.core.image import Image

__all__ = ["Systems", "open_systems"]

_GROUP = "voxarium.graph_drivers"
_VOXELS = "voxels"


@cache
def _drivers() -> tuple[GraphDriver, ...]:
    return tuple(e.load()() for e in sorted(entry_points(group=_GROUP), key=lambda e: e.name))


class Systems(Mapping[str, CoordinateSystem]):
    """Named coordinate systems, and the transforms between them.

    Every level of an image is one, under its path (``s0``): indices of its voxel centres. ``voxels`` stands for level
    0. Systems of an image below a scene are called ``path#name``. Images that a transform refers to are opened when a
    way leads there, fields when points are mapped.
    """

    def __init__(self, store: ReadableStore, path: str) -> None:
        self._store = store
        self._path = path
        self._systems: dict[str, CoordinateSystem] = {}
        self._edges: list[tuple[TransformEdge, str]] = []  # with the folder that its paths are relative to
        self._aliases: dict[str, str] = {}
        self._opened: dict[str, VoxariumError | None] = {}  # images below, by path
        self._graph: TransformGraph | None = None
        self.notes: tuple[str, ...] = ()

    @classmethod
    def of_image(cls, image: Image) -> Systems:
        """Return the systems of an image."""
        out = cls(image.store, image.path)
        out._add_image(image, "", image.path)
        return out

    @classmethod
    def of_graph(cls, store: ReadableStore, path: str, info: GraphInfo) -> Systems:
        """Return the systems of a group that joins images."""
        out = cls(store, path)
        out._systems = {s.name: s for s in info.systems}
        out._edges = [(e, path) for e in info.edges]
        out.notes = tuple(info.notes)
        return out

    # -- a mapping of the systems that are known so far
    def __getitem__(self, name: str) -> CoordinateSystem:
        found = self._systems.get(self._known(name))
        if found is None:
            raise NotFoundError(
                f"there is no coordinate system {name!r}",
                code=Code.PATH_MISSING,
                fix=f"choose one of {', '.join(self._systems)}",
            )
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._systems)

    def __len__(self) -> int:
        return len(self._systems)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._known(name) in self._systems

    def __repr__(self) -> str:
        return f"Systems({', '.join(self)})"

    @property
    def edges(self) -> tuple[TransformEdge, ...]:
        """Transforms between systems that are known so far."""
        return tuple(e for e, _ in self._edges)

    # -- ways
    def transform(self, source: str, target: str, *, approximate: bool = False) -> Transform:
        """Return the transform along the shortest way from one system to another.

        Parameters
        ----------
        source, target : str
            Names of systems.
        approximate : bool
            Whether fields and splines may be inverted by iteration. Points for which that fails become NaN.

        Raises
        ------
        NotFoundError
            If there is no such system.
        UnsupportedError
            If no way leads there; the message names the transform that blocks it.
        """
        a, b = self._known(source), self._known(target)
        try:
            return self._built().transform(a, b, approximate=approximate)
        except UnsupportedError:
            if not self._open_referred():
                raise
            return self._built().transform(a, b, approximate=approximate)

    def map_points(
        self, points: ArrayLike, source: str, target: str, *, approximate: bool = False
    ) -> NDArray[np.float64]:
        """Map points of one system to another; shape (..., axes of the source) to (..., axes of the target).

        Raises
        ------
        InputError
            If the points do not have the axes of the source.
        NotFoundError, UnsupportedError
            As for `transform`.
        """
        transform = self.transform(source, target, approximate=approximate)
        values = np.asarray(points, np.float64)
        system = self._systems.get(self._known(source))
        if system is not None and (values.ndim == 0 or values.shape[-1] != system.ndim):
            raise InputError(
                f"points of shape {values.shape} do not fit the axes {', '.join(a.name for a in system.axes)}",
                code=Code.AXES_MISMATCH,
                fix="give points whose last axis holds one coordinate per axis",
            )
        return transform.apply(values)

    def _known(self, name: str) -> str:
        """Return the name that a name stands for; the image it lies in is opened."""
        for path in self._referred():
            if name.startswith((f"{path}#", f"{path}/")):
                self._open_image(path)
        return self._aliases.get(name, name)

    def _built(self) -> TransformGraph:
        if self._graph is None:
            folders = {id(e): folder for e, folder in self._edges}
            self._graph = TransformGraph(
                self._systems, [e for e, _ in self._edges], lambda e: self._resolved(e, folders[id(e)])
            )
        return self._graph

    def _resolved(self, edge: TransformEdge, folder: str) -> Transform:
        from voxarium.core.fields import resolved

        return resolved(edge.transform, self._store, folder)

    # -- images
    def _referred(self) -> list[str]:
        """Return paths of images that edges refer to and that were not opened yet."""
        ends = (end for e, folder in self._edges if folder == self._path for end in (e.source, e.target))
        paths = dict.fromkeys(end.rpartition("#")[0] for end in ends if "#" in end and end not in self._systems)
        return [p for p in paths if p and p not in self._opened]

    def _open_referred(self) -> bool:
        """Open every image that edges refer to; tell whether there was one."""
        paths = self._referred()
        return any([self._open_image(p) for p in paths])

    def _open_image(self, path: str) -> bool:
        from voxarium.core.opening import open_image

        try:
            place = posixpath.join(self._path, checked_key(path))
            image = open_image(self._store, place)
        except VoxariumError as error:
            self._opened[path] = error
            self.notes += (f"the image {path!r} cannot be opened: {error.message}",)
            return False
        self._opened[path] = None
        self._add_image(image, path, place)
        return True

    def _add_image(self, image: Image, path: str, folder: str) -> None:
        info = image.info
        prefix, below = (f"{path}#", f"{path}/") if path else ("", "")
        renamed = {level.path: f"{below}{level.path}" if level.path else f"{prefix}{_VOXELS}" for level in info.levels}

        def name(end: str) -> str:
            if end in renamed:
                return renamed[end]
            return f"{below}{end}" if "#" in end else f"{prefix}{end}"

        for system in info.systems:
            self._systems[name(system.name)] = replace(system, name=name(system.name))
        world = name(info.world)
        self._systems.setdefault(world, CoordinateSystem(name=world, axes=info.axes))
        indices = tuple(Axis(name=a.name, type="array") for a in info.axes)
        for level in info.levels:
            at = renamed[level.path]
            self._systems.setdefault(at, CoordinateSystem(name=at, axes=indices))
            self._edges.append((TransformEdge(source=at, target=world, transform=level.transform), folder))
        self._edges += [(replace(e, source=name(e.source), target=name(e.target)), folder) for e in info.edges]
        voxels = f"{prefix}{_VOXELS}"
        if info.levels and voxels not in self._systems:
            self._aliases[voxels] = renamed[info.levels[0].path]
        self._graph = None


def open_systems(uri: str | os.PathLike[str]) -> Systems:
    """Open the coordinate systems of an image, or of a group that joins images (an OME-Zarr scene).

    Raises
    ------
    NotFoundError
        If neither is there.
    InputError
        If there are several images, and nothing that joins them.
    FormatError
        If it is there and broken.

    Examples
    --------
    >>> systems = open_systems("scene.zarr")  # doctest: +SKIP
    >>> systems.map_points([(0, 0)], "tile_1#voxels", "world")  # doctest: +SKIP
    """
    from voxarium.core.opening import open_one
    from voxarium.core.uri import open_source_store

    store, path = open_source_store(uri)
    for driver in _drivers():
        try:
            info = driver.open(store, path)
        except NotFoundError:
            continue
        return Systems.of_graph(store, path, info)
    return open_one(uri).systems
