"""Where the layers of a dataset lie in the world: their corners in one coordinate system, in nanometres."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voxarium.core.image import Image
from voxarium.errors import VoxariumError
from voxarium.model.axes import Axis, CoordinateSystem, unit_factor
from voxarium.model.transform_json import parse_transform_json
from voxarium.model.transforms import Transform
from voxarium.spec.dataset_document import DatasetDocument
from voxarium.view.portal.facts import DatasetFacts, LayerFacts

__all__ = ["Coordinates", "PlacedLayer", "coordinates_of"]

_MOST: Final = 200  # layers that are placed
_LARGEST: Final = 1e18  # nanometres
_LONGEST_WAY: Final = 8  # alignments one after the other
Points: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PlacedLayer:
    """A layer and its eight corners along z, y, x, at the outer edges of its voxels."""

    layer: LayerFacts
    corners: Points

    @property
    def low(self) -> tuple[float, ...]:
        """Smallest coordinate along z, y, x."""
        return tuple(float(v) for v in self.corners.min(axis=0))

    @property
    def high(self) -> tuple[float, ...]:
        """Largest coordinate along z, y, x."""
        return tuple(float(v) for v in self.corners.max(axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class Coordinates:
    """All that could be placed, whether lengths are nanometres (else voxels), and what could not be placed and why."""

    layers: tuple[PlacedLayer, ...]
    measured: bool = True
    system: str = ""
    left_out: tuple[tuple[str, str], ...] = ()


def coordinates_of(facts: DatasetFacts) -> Coordinates:
    """Return where the images and labels of a dataset lie, in its first coordinate system."""
    rasters = list(facts.rasters)
    measured = any(_units(layer) is not None for layer in rasters)
    systems = _Systems(facts.document)
    placed, left_out = [], []
    for layer in rasters:
        try:
            corners = systems.placed(layer, _corners(layer, measured), facts)
        except _UnplacedError as error:
            left_out.append((layer.name or facts.title, str(error)))
            continue
        placed.append(PlacedLayer(layer, corners))
    if len(placed) > _MOST:
        left_out.append((f"{len(placed) - _MOST:,} more layers", "they are too many for a picture"))
    return Coordinates(tuple(placed[:_MOST]), measured, systems.first, tuple(left_out))


class _UnplacedError(Exception):
    """Why a layer is not in the picture."""


def _space(image: Image) -> list[int]:
    """Return the positions of up to three axes of space, in the order z, y, x."""
    axes = list(enumerate(image.axes))
    space = [i for i, a in axes if a.type == "space"]
    if len(space) < 2:  # nothing stated: the last axes are space by custom
        space = [i for i, a in axes if a.type not in ("channel", "time")]
    space = space[-3:]
    names = [image.axes[i].name.lower() for i in space]
    if len(set(names)) == len(names) and set(names) <= set("zyx"):  # files may store x first
        space.sort(key=lambda i: "zyx".index(image.axes[i].name.lower()))
    return space


def _units(layer: LayerFacts) -> list[float] | None:
    """Return nanometres per unit of each axis of space; None where an axis has no unit of length."""
    image = layer.image
    try:
        return None if image is None else [_nm(image.axes[i]) for i in _space(image)] or None
    except VoxariumError:
        return None


def _nm(axis: Axis) -> float:
    return unit_factor(axis.unit or "", "nanometer")


def _corners(layer: LayerFacts, measured: bool) -> Points:
    """Return the corners of an image along z, y, x; one with two axes of space is a plane at z = 0."""
    image = layer.image
    if image is None:
        raise _UnplacedError("it did not open")
    space, units = _space(image), _units(layer)
    if len(space) < 2:
        raise _UnplacedError("it has fewer than two axes of space")
    if measured and units is None:
        raise _UnplacedError("its voxels have no physical size")
    points = np.zeros((2 ** len(space), image.ndim), np.float64)
    ends = product(*((-0.5, image.shape[i] - 0.5) for i in space))
    points[:, space] = list(ends)
    try:
        world = image.levels[0].transform.apply(points)[:, space]
    except (VoxariumError, IndexError) as error:
        raise _UnplacedError("its transform cannot be applied to its corners") from error
    found = np.zeros((len(points), 3), np.float64)
    found[:, 3 - len(space) :] = world * (units or [1.0] * len(space))
    return _checked(found)


def _checked(points: Points) -> Points:
    if not np.isfinite(points).all() or np.abs(points).max(initial=0.0) > _LARGEST:
        raise _UnplacedError("its coordinates are beyond all measure")
    return points


# ------------------------------------------------------------------------------------------------------------ systems
class _Systems:
    """The coordinate systems of a dataset, and the ways between them that its alignments are."""

    def __init__(self, document: DatasetDocument | None) -> None:
        systems = () if document is None else document.systems
        self._known: Mapping[str, CoordinateSystem] = {s.name: s for s in systems}
        self.first = systems[0].name if systems else ""
        self._ways: dict[str, list[tuple[str, Callable[[Points], Points]]]] = {}
        for alignment in () if document is None else document.alignments[:1000]:
            try:
                transform = parse_transform_json(alignment.transform, "an alignment")
            except VoxariumError:
                continue
            self._add(alignment.source, alignment.target, transform)
            try:
                self._add(alignment.target, alignment.source, transform.inverse())
            except VoxariumError:
                continue  # the way back cannot be computed

    def _add(self, source: str, target: str, transform: Transform) -> None:
        def way(points: Points) -> Points:
            return transform.apply(points / self._nm(source)) * self._nm(target)

        self._ways.setdefault(source, []).append((target, way))

    def _nm(self, name: str) -> Points:
        """Return nanometres per unit along the axes of a system; a layer's own coordinates are in nanometres here."""
        system = self._known.get(name)
        try:
            return np.array([_nm(a) for a in system.axes] if system is not None else [1.0] * 3)
        except VoxariumError:
            return np.ones(3)

    def placed(self, layer: LayerFacts, corners: Points, facts: DatasetFacts) -> Points:
        """Return corners in the first system."""
        start = layer.system or self.first
        own = self._own_units(layer)
        for name, moved in self._reached(layer.name, corners / own):
            if name == self.first:
                return _checked(moved)
        if start == self.first:
            return corners
        for name, moved in self._reached(start, corners):
            if name == self.first:
                return _checked(moved)
        raise _UnplacedError(f"no alignment leads from its system {start} to {self.first or 'the others'}")

    def _own_units(self, layer: LayerFacts) -> Points:
        """Return nanometres per unit of a layer whose own coordinates an alignment starts from."""
        units = _units(layer)
        return np.array(units) if units is not None and len(units) == 3 and layer.name in self._ways else np.ones(3)

    def _reached(self, start: str, corners: Points) -> Iterator[tuple[str, Points]]:
        """Yield the systems that can be reached, and the corners there, nearest first."""
        seen, waiting = {start}, deque([(start, corners, 0)])
        while waiting:
            name, points, steps = waiting.popleft()
            if name != start:
                yield name, points
            for target, way in self._ways.get(name, ()) if steps < _LONGEST_WAY else ():
                if target in seen:
                    continue
                seen.add(target)
                try:
                    moved = way(points)
                except (VoxariumError, ValueError, IndexError):
                    continue  # it has other axes
                if moved.shape == points.shape:
                    waiting.append((target, moved, steps + 1))


def extent_of(layers: Sequence[PlacedLayer]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the smallest box around all layers: lowest and highest z, y, x."""
    lows, highs = np.array([p.low for p in layers]), np.array([p.high for p in layers])
    return tuple(float(v) for v in lows.min(axis=0)), tuple(float(v) for v in highs.max(axis=0))
