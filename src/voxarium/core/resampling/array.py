"""An array whose voxels are interpolated from another one when they are read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from voxarium.core.array import Array
from voxarium.core.pools import cpu_count, run_all
from voxarium.core.resampling.covering import Cover, cover, region_of
from voxarium.core.resampling.interpolating import Interpolator, Loaded
from voxarium.core.resampling.positions import Bent, Bounds, Positions, Straight
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import ReadableStore

__all__ = ["Mapping", "ResampledArray"]

_SMALL: Final = 1 << 15  # voxels; smaller pieces are not worth a thread
_LARGE: Final = 1 << 26
_PSEUDO_CHUNK: Final = 64
_LEAST: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """How a target's voxels come from a source.

    Parameters
    ----------
    source : Array
        The level that is read.
    source_space, target_space : tuple of int
        Which axes are space, in either array; the others correspond in order, and pass through.
    positions : Positions
        Target index → source index, for the space axes.
    interpolation : str
        nearest, linear or cubic.
    memory : int
        Bytes that the regions of the source in memory may take together.
    """

    source: Array
    source_space: tuple[int, ...]
    target_space: tuple[int, ...]
    positions: Positions
    interpolation: str
    memory: int


class ResampledArray(Array):
    """An array that reads like any other, and is computed as it is read.

    Parameters
    ----------
    mapping : Mapping
        Where its voxels come from.
    path : str
        What stands for it in plans and messages.
    info : ArrayInfo
        What it is.
    """

    def __init__(self, mapping: Mapping, path: str, info: ArrayInfo) -> None:
        super().__init__(_ResampledDriver(self), mapping.source.store, path, info)
        self.mapping = mapping
        self._outer_source = tuple(i for i in range(mapping.source.ndim) if i not in mapping.source_space)
        self._outer_target = tuple(i for i in range(len(info.shape)) if i not in mapping.target_space)
        self._source_shape = _three(tuple(mapping.source.shape[i] for i in mapping.source_space))
        self._chunk = _three(_chunk_lengths(mapping))
        self._whole = _whole_axes(mapping.positions)
        self._interpolator = Interpolator(
            mapping.interpolation, info, (len(mapping.source_space), len(mapping.target_space))
        )

    @property
    @override
    def working_bytes(self) -> int:
        """Bytes of the source that a thread holds while it reads."""
        return max(_LEAST, self.mapping.memory // (2 * cpu_count()))

    @override
    def read(
        self, box: Box | None = None, *, out: NDArray[Any] | None = None, threads: int | None = None
    ) -> NDArray[Any]:
        box, out = self._checked(box, out)
        if out.size:
            self.read_region(box, out, threads)
        return out

    def read_region(self, box: Box, out: NDArray[Any], threads: int | None) -> None:
        """Fill `out`, of the shape of `box`, which lies inside."""
        into = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        workers = cpu_count() if threads is None else threads
        pieces = self._pieces(box, workers)
        inner = threads if len(pieces) == 1 else 1

        def fill(piece: Box) -> None:
            self._fill(piece, box, into, inner)

        self._interpolator.prepare()
        run_all(fill, pieces, workers)
        if into is not out:
            out[...] = into

    # ------------------------------------------------------------------------------------------------ cutting up
    def _space(self, box: Box) -> Box:
        """Return the space axes of a box of the target, as three."""
        space = self.mapping.target_space
        return Box(_three(tuple(box.origin[i] for i in space), 0), _three(tuple(box.shape[i] for i in space)))

    def _needed(self, box: Box) -> Box | None:
        """Return the region of the source's space axes that a box of the target needs."""
        bounds = self.mapping.positions.coarse(self._space(box))
        return region_of(bounds, self._source_shape, self.mapping.interpolation, self._whole)

    def _pieces(self, box: Box, workers: int) -> list[Box]:
        """Cut a box so that the source of each piece fits into memory, and every thread has one."""
        todo, pieces = [box], []
        share = max(-(-box.size // workers) if workers > 1 else box.size, _SMALL)
        while todo:
            piece = todo.pop()
            if piece.size > _LARGE and (halves := self._halved(piece)) is not None:
                todo.extend(reversed(halves))  # before its bounds are worked out, which takes memory too
                continue
            region = self._needed(piece)
            heavy = region is not None and self._nbytes(region, piece) > self.working_bytes
            halves = self._halved(piece) if heavy or (region is not None and piece.size > share) else None
            if halves is None:
                pieces.append(piece)
            else:
                todo.extend(reversed(halves))
        return pieces

    def _halved(self, box: Box) -> tuple[Box, Box] | None:
        """Return the halves of a box; None when cutting it would save nothing."""
        positions = self.mapping.positions
        grain = dict(zip(self.mapping.target_space, _steps(positions, len(self.mapping.target_space)), strict=True))
        able = [i for i in range(box.ndim) if _middle(box, i, grain.get(i, 1)) is not None]
        # Channels of one chunk stay together as long as space can be cut well.
        space = [i for i in able if i in grain and box.shape[i] >= 2 * _PSEUDO_CHUNK]
        outer = [i for i in able if i not in grain]
        if not able:
            return None
        axis = max(space or outer or able, key=lambda i: box.shape[i])
        return _halves(box, axis, grain.get(axis, 1))

    # ------------------------------------------------------------------------------------------------ one piece
    def _fill(self, piece: Box, box: Box, out: NDArray[Any], threads: int | None) -> None:
        target = out[piece.relative_to(box.origin).slices]
        positions, space = self.mapping.positions, self._space(piece)
        if isinstance(positions, Straight) and positions.shift is not None:
            self._copy(piece, space.shifted(positions.shift), target, threads)
            return
        if isinstance(positions, Bent):
            self._fill_tiles(positions, piece, target, threads)
            return
        found = cover(positions.bounds(space), self._source_shape, self._chunk, self.mapping.interpolation, self._whole)
        if found is None or not isinstance(positions, Straight):
            target[...] = self.info.fill_value
        else:
            source = self._read_cover(found, piece, threads)
            self._interpolator.straight(
                self._loaded(source, found.region), (space, self._part(target)), positions.matrix
            )

    def _copy(self, piece: Box, wanted: Box, target: NDArray[Any], threads: int | None) -> None:
        """Fill a piece whose voxels are voxels of the source."""
        inside = wanted.intersection(Box.whole(self._source_shape))
        if inside.shape != wanted.shape:
            target[...] = self.info.fill_value
        if inside.size:
            part = self._in_axes(inside.relative_to(wanted.origin), Box.whole(target.shape))
            wide = self._source_box(inside, piece)
            self.mapping.source.read(wide, out=self._in_source_axes(target[part.slices]), threads=threads)

    def _fill_tiles(self, positions: Bent, piece: Box, target: NDArray[Any], threads: int | None) -> None:
        """Fill a piece tile by tile: one read for all as far as bounds tell, then exact positions."""
        space = self._space(piece)
        tiles = list(space.tiles(positions.tile))
        found = held = None
        if len(tiles) > 1:
            found = cover(positions.bounds(space), self._source_shape, self._chunk, self.mapping.interpolation)
        if found is not None and self._nbytes(found.region, piece) <= self.working_bytes:
            held = self._loaded(self._read_cover(found, piece, threads), found.region)
        for tile in tiles:
            origin = tuple(o // n * n for o, n in zip(tile.origin, positions.tile, strict=True))
            at = positions.evaluated(origin)
            for part, source in self._tile_parts(tile, at, origin, piece, (held, found)):
                into = target[self._in_axes(part.relative_to(space.origin), Box.whole(target.shape)).slices]
                if source is None:
                    into[...] = self.info.fill_value
                else:
                    exact = np.ascontiguousarray(at[(slice(None), *part.relative_to(origin).slices)])
                    self._interpolator.given(source, (part, self._part(into)), exact)

    def _tile_parts(
        self,
        tile: Box,
        at: NDArray[np.float64],
        origin: tuple[int, ...],
        piece: Box,
        held: tuple[Loaded | None, Cover | None],
    ) -> Iterator[tuple[Box, Loaded | None]]:
        """Yield parts of a tile, and what of the source each needs: out of what is held, or read for it alone."""
        todo = [tile]
        while todo:
            part = todo.pop()
            bounds = _tight(at[(slice(None), *part.relative_to(origin).slices)], self._source_shape)
            needed = region_of(bounds, self._source_shape, self.mapping.interpolation)
            if needed is None:
                yield part, None
            elif held[0] is not None and held[1] is not None and held[1].holds(needed):
                yield part, held[0]
            elif part.size == 1 or self._nbytes(needed, piece) <= self.working_bytes:
                read = self.mapping.source.read(self._source_box(needed, piece), threads=1)
                yield part, self._loaded(read, needed)
            else:
                todo.extend(_halves(part, max(range(3), key=lambda i: part.shape[i])))

    def _nbytes(self, region: Box, piece: Box) -> int:
        """Return the bytes of a region of the source, for the outer indices of a piece."""
        return region.size * math.prod(piece.shape[i] for i in self._outer_target) * self.dtype.itemsize

    def _read_cover(self, found: Cover, piece: Box, threads: int | None) -> NDArray[Any]:
        """Read the touched chunks of a region; the rest of it stays as it is in memory, and is never looked at."""
        source = self.mapping.source
        whole = self._source_box(found.region, piece)
        held = np.empty(whole.shape, source.dtype)

        def read(box: Box) -> None:
            wide = self._source_box(box, piece)
            source.read(wide, out=held[wide.relative_to(whole.origin).slices], threads=threads)

        run_all(read, found.boxes, source.store.concurrency)  # in a network, waits overlap
        return held

    def _loaded(self, held: NDArray[Any], region: Box) -> Loaded:
        """Return a region of the source as the interpolator takes it: space axes last."""
        return held.transpose((*self._outer_source, *self.mapping.source_space)), region, self._source_shape

    # --------------------------------------------------------------------------------------------------- axes
    def _in_axes(self, space: Box, around: Box, axes: tuple[int, ...] | None = None) -> Box:
        """Return `around` with its space axes, of the target if not given, replaced by the last of three."""
        axes = self.mapping.target_space if axes is None else axes
        origin, shape = list(around.origin), list(around.shape)
        for place, axis in enumerate(axes, 3 - len(axes)):
            origin[axis], shape[axis] = space.origin[place], space.shape[place]
        return Box(tuple(origin), tuple(shape))

    def _source_box(self, space: Box, piece: Box) -> Box:
        """Return the box of the source of some space and of the outer indices of a piece of the target."""
        box = Box.whole(self.mapping.source.shape)
        origin, shape = list(box.origin), list(box.shape)
        for i, j in zip(self._outer_source, self._outer_target, strict=True):
            origin[i], shape[i] = piece.origin[j], piece.shape[j]
        return self._in_axes(space, Box(tuple(origin), tuple(shape)), self.mapping.source_space)

    def _in_source_axes(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return a part of the target with its axes in the order of the source; both have as many space axes."""
        order = [0] * self.ndim
        pairs = zip(
            (*self._outer_source, *self.mapping.source_space),
            (*self._outer_target, *self.mapping.target_space),
            strict=True,
        )
        for i, j in pairs:
            order[i] = j
        return target.transpose(order)

    def _part(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return a part of the target with its space axes last."""
        return target.transpose((*self._outer_target, *self.mapping.target_space))


class _ResampledDriver:
    """Reads a resampled array; made for one array."""

    name: ClassVar[str] = "resampled"
    spec_url: ClassVar[str] = ""
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})

    def __init__(self, array: ResampledArray) -> None:
        self._array = array

    def open(self, _store: ReadableStore, _path: str, /, **_options: Any) -> ArrayInfo:
        """Return the metadata of the array."""
        return self._array.info

    def read_chunk(self, _store: ReadableStore, _path: str, _info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        return self._array.read(box, threads=1)

    def read_region(self, _store: ReadableStore, _path: str, _info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`."""
        self._array.read_region(box, out, None)


def _three(values: tuple[int, ...], lead: int = 1) -> tuple[int, ...]:
    """Return values of up to three axes as three."""
    return (lead,) * (3 - len(values)) + tuple(values)


def _steps(positions: Positions, ndim: int) -> tuple[int, ...]:
    """Return where pieces are cut at best, along each space axis of the target: bent ones only between tiles."""
    return positions.tile[3 - ndim :] if isinstance(positions, Bent) else (1,) * ndim


def _middle(box: Box, axis: int, grain: int) -> int | None:
    """Return where to cut a box along an axis, at a multiple of the grain; None when it lies between two."""
    start, stop = box.origin[axis], box.origin[axis] + box.shape[axis]
    if box.shape[axis] > _PSEUDO_CHUNK:
        grain = max(grain, 32)
    middle = -(-(start + stop) // 2 // grain) * grain
    for cut in (middle, middle - grain):
        if start < cut < stop:
            return cut
    return None


def _halves(box: Box, axis: int, grain: int = 1) -> tuple[Box, Box]:
    middle = _middle(box, axis, grain)
    stop, start = list(box.stop), list(box.origin)
    stop[axis] = start[axis] = box.stop[axis] if middle is None else middle
    return Box.from_bounds(box.origin, tuple(stop)), Box.from_bounds(tuple(start), box.stop)


def _chunk_lengths(mapping: Mapping) -> tuple[int, ...]:
    info = mapping.source.info
    if info.contiguous:
        return (_PSEUDO_CHUNK,) * len(mapping.source_space)
    return tuple(max(1, info.chunk_shape[i]) for i in mapping.source_space)


def _whole_axes(positions: Positions) -> tuple[bool, ...]:
    """Tell along which axes of the source every position is a voxel's centre."""
    if not isinstance(positions, Straight):
        return (False, False, False)
    return tuple((positions.matrix == np.rint(positions.matrix)).all(axis=1).tolist())


def _tight(at: NDArray[np.float64], shape: tuple[int, ...]) -> Bounds:
    """Return the bounds of those positions that lie in the source."""
    flat = at.reshape(3, -1)
    n = np.array(shape, np.float64)[:, None]
    with np.errstate(invalid="ignore"):
        inside = ((flat >= -0.5) & (flat < n - 0.5)).all(axis=0)
    kept = flat[:, inside]
    if not kept.size:
        nowhere = np.full((1, 3), np.nan)
        return Bounds(nowhere, nowhere)
    return Bounds(kept.min(axis=1)[None], kept.max(axis=1)[None])
