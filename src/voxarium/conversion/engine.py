"""The engine: each block is read once, feeds every level from memory, and each object is written once."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.conversion.finished import FinishedObject
from voxarium.conversion.gather import Gatherer
from voxarium.conversion.ledger import Ledger
from voxarium.conversion.plan import Plan, PlannedLevel, Task
from voxarium.conversion.voxels import cast_voxels, whole_chunk
from voxarium.conversion.writing import LevelWriter
from voxarium.core.array import Array
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid
from voxarium.model.protocols import BatchDriver, WritableArrayDriver, WritableStore
from voxarium.pyramid import downsample, downsample_gaussian, halo, source_box

__all__ = ["Engine", "Progress"]

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is.

    Parameters
    ----------
    voxels, total : int
        Level-0 voxels dealt with, and to be dealt with.
    objects : int
        Objects finished.
    written : int
        Bytes stored.
    """

    voxels: int
    total: int
    objects: int
    written: int


class Engine:
    """Turns tasks into finished objects of all levels.

    `run_task` may be called from many threads; together the calls must cover every task of a stage once, and stages
    must follow one another.
    """

    def __init__(
        self, plan: Plan, source: Array, target: tuple[WritableArrayDriver, WritableStore], ledger: Ledger
    ) -> None:
        self._plan = plan
        self._source = source
        self._driver, self._store = target
        self._batch = self._driver if isinstance(self._driver, BatchDriver) else None
        self._ledger = ledger
        self._scratch = threading.local()
        self._counts = threading.Lock()
        self._before = dict.fromkeys(ledger.done)
        self.written = 0
        self.objects = 0
        self._writers = [
            LevelWriter(
                self._driver,
                self._store,
                level.path,
                level.info,
                order=(level.cell, level.scale, plan.steps),
                finished=self._note,
                checksum=plan.options.checksum,
                digests=plan.options.digests,
            )
            for level in plan.levels
        ]
        self._gatherers = [Gatherer(lv.info.shape, lv.cell, lv.info.dtype) for lv in plan.levels]
        # Only filters that look beyond their window read a finer level back; see `Plan.stages`.
        self._finer = [source] + [Array(self._driver, self._store, lv.path, lv.info) for lv in plan.levels[:-1]]
        self._chunk_grids = [ChunkGrid(lv.info.shape, lv.info.chunk_shape) for lv in plan.levels]
        self._object_grids = [ChunkGrid(lv.info.shape, lv.info.object_shape) for lv in plan.levels]

    def _note(self, finished: FinishedObject) -> None:
        self._ledger.add(finished)
        with self._counts:
            self.objects += finished.size > 0
            self.written += finished.size

    def abort(self) -> None:
        """Forget objects that are not finished."""
        for writer in self._writers:
            writer.abort()

    # ---------------------------------------------------------------------------------------------- what is needed
    def _unfinished(self, level: int, box: Box) -> list[tuple[Index, Box]]:
        """Return (grid index, part of `box`) of the objects of a level that this run has to write."""
        grid, writer = self._object_grids[level], self._writers[level]
        found = []
        for index in grid.indices(box):
            if self._before and writer.key(index) in self._before:
                continue
            found.append((index, grid.box(index).intersection(box)))
        return found

    def needed(self, level: int, box: Box) -> bool:
        """Tell whether a region of a level still feeds an unfinished object, of this level or a coarser one."""
        if not self._before:
            return True
        planned = self._plan.levels[level]
        box = box.snapped_to(planned.cell).intersection(Box.whole(planned.info.shape))
        if self._unfinished(level, box):
            return True
        if level + 1 == len(self._plan.levels) or not self._plan.windowed:
            return False
        return self.needed(level + 1, _coarser(box, self._plan.levels[level + 1]))

    # ----------------------------------------------------------------------------------------------------- one block
    def run_task(self, task: Task) -> Task:
        """Carry out one task: read a block and take it through every level it feeds; return the task."""
        level, box = task.level, task.box
        if not self.needed(level, box):
            return task
        if level:
            self._process(level, box.origin, self._filtered(level, box))
        elif self._plan.pass_through:
            self._pass_block(box)
        else:
            data = self._read(box)
            self._note_largest(data)
            self._process(0, box.origin, data)
        return task

    def _note_largest(self, data: NDArray[Any]) -> None:
        if self._plan.finds_largest and data.size:
            self._ledger.note_largest(int(data.max()))

    def _filtered(self, level: int, box: Box) -> NDArray[Any]:
        """Make a region of a level from the finer level just written, with the neighbours the filter looks at."""
        factors = self._plan.levels[level].factors
        finer = self._finer[level]
        region, low, high = source_box(box, factors, finer.shape, halo=halo(self._plan.method, factors))
        padded = finer.read(region, threads=1)
        return downsample_gaussian(padded, factors, low, high)

    def _read(self, box: Box) -> NDArray[Any]:
        """Read a block in target order and type, contiguous."""
        selection = self._plan.selection
        region = selection.source_box(box)
        raw = self._source.read(region, out=self._block_scratch(region.shape), threads=1)
        raw = raw.transpose(selection.permutation)
        if raw.dtype != selection.dtype:
            raw = cast_voxels(raw, selection.dtype, lossy=selection.lossy, origin=box.origin)
        return np.ascontiguousarray(raw)

    def _process(self, level: int, origin: Index, data: NDArray[Any]) -> None:
        """Encode a region of whole cells, and send its downsampled voxels up."""
        box = Box(origin, data.shape)
        for index, part in self._unfinished(level, box):
            if not self._put_batch(level, index, part, origin, data):
                self._writers[level].put(index, list(self._encode(level, part, origin, data)))
        self._send_up(level, box, data)

    def _send_up(self, level: int, box: Box, data: NDArray[Any]) -> None:
        above = level + 1
        if above == len(self._plan.levels) or not self._plan.windowed:
            return
        planned = self._plan.levels[above]
        coarse = _coarser(box, planned)
        if self.needed(above, coarse):
            gatherer = self._gatherers[above]
            room = gatherer.room(coarse)
            part = downsample(data, planned.factors, self._plan.method, ignore_zero=self._plan.ignore_zero, out=room)
            for origin, cell in gatherer.insert(coarse.origin, part, placed=room is not None):
                self._process(above, origin, cell)

    def _put_batch(self, level: int, index: Index, part: Box, origin: Index, data: NDArray[Any]) -> bool:
        """Encode the chunks of one object that lie in a region in one call, if the driver can; tell whether it did."""
        if self._batch is None or not data.ndim or self._writers[level].layout.dense:
            return False
        info, writer = self._plan.levels[level].info, self._writers[level]
        chunks = writer.in_order(index, list(self._chunk_grids[level].indices(part)))
        shape = np.array(info.chunk_shape, np.int64)
        start = np.array(chunks, np.int64) * shape
        length = np.minimum(start + shape, np.array(info.shape, np.int64)) - start
        places = np.stack([start - np.array(origin, np.int64), length], axis=1)
        encoded = self._batch.encode_many(info, data, places, self._chunk_scratch(info.chunk_shape, info.dtype))
        if encoded is None:
            return False
        writer.put_run(index, chunks, *encoded)
        return True

    def _encode(
        self, level: int, part: Box, origin: Index, data: NDArray[Any]
    ) -> Iterator[tuple[Index, Buffer | None]]:
        """Yield (chunk index, payload) of the chunks of one object that lie in a region; None = only fill value."""
        info, grid, writer = self._plan.levels[level].info, self._chunk_grids[level], self._writers[level]
        scratch = self._chunk_scratch(info.chunk_shape, info.dtype)
        for index in grid.indices(part):
            inside = grid.clipped_box(index)
            chunk = whole_chunk(info, data[inside.relative_to(origin).slices], scratch)
            if chunk is None:
                yield index, writer.fill_chunk() if writer.layout.dense else None
                continue
            payload = self._driver.encode(info, chunk)
            yield index, payload if isinstance(payload, bytes) else bytes(payload)

    def _block_scratch(self, shape: Index) -> NDArray[Any]:
        """Return memory for one block; the system need not find and clear it anew each time."""
        size = math.prod(shape)
        kept: NDArray[Any] | None = getattr(self._scratch, "block", None)
        if kept is None or kept.size < size:
            kept = self._scratch.block = np.empty(size, self._source.dtype)
        return kept[:size].reshape(shape)

    def _chunk_scratch(self, shape: Index, dtype: np.dtype[Any]) -> NDArray[Any]:
        kept: NDArray[Any] | None = getattr(self._scratch, "chunk", None)
        if kept is None or kept.shape != shape or kept.dtype != dtype:
            kept = self._scratch.chunk = np.empty(shape, dtype)
        return kept

    # ------------------------------------------------------------------------------------------------- pass-through
    def _pass_block(self, box: Box) -> None:
        """Store the source's chunks as they are; decode them only if a coarser level needs the voxels."""
        selection, planned = self._plan.selection, self._plan.levels[0]
        grid = self._chunk_grids[0]
        first = tuple(o // c for o, c in zip(selection.crop.origin, planned.info.chunk_shape, strict=True))
        indices = [tuple(i + f for i, f in zip(index, first, strict=True)) for index in grid.indices(box)]
        stored = self._source.payloads(indices)
        above = (
            self._plan.windowed and len(self._plan.levels) > 1 and self.needed(1, _coarser(box, self._plan.levels[1]))
        )
        # Before anything is stored: a damaged chunk goes no further.
        # Whoever makes coarser levels decodes anyway; the largest label alone is worth it only where nobody states it.
        wanted = above or (
            self._plan.finds_largest and len(self._plan.levels) == 1 and self._plan.image.largest_label is None
        )
        data = np.empty(box.shape if wanted else 0, planned.info.dtype)
        if wanted:
            self._source.place(stored, selection.source_box(box), data)
            self._note_largest(data)
        else:
            self._source.check(stored)
        filler = self._writers[0].fill_chunk() if self._writers[0].layout.dense else None
        payloads = {
            tuple(i - f for i, f in zip(index, first, strict=True)): filler if payload is None else payload
            for index, payload in stored
        }
        for index, part in self._unfinished(0, box):
            self._writers[0].put(index, [(i, payloads[i]) for i in grid.indices(part)])
        if above:
            self._send_up(0, box, data)


def _coarser(box: Box, above: PlannedLevel) -> Box:
    """Return the region of the next level that a region of whole windows becomes."""
    start = tuple(o // f for o, f in zip(box.origin, above.factors, strict=True))
    stop = tuple(-(-e // f) for e, f in zip(box.stop, above.factors, strict=True))
    return Box.from_bounds(start, stop)


ProgressCallback = Callable[[Progress], None]
