"""Reading blocks whatever is wrong with them: good ones fast, bad ones chunk by chunk, every fault named."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.core.cropped import PartOfArray
from voxarium.core.index_cache import BoundedIndexCache
from voxarium.errors import ChecksumError, Code, FormatError, StoreError, UnsupportedError, VoxariumError
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid
from voxarium.model.native import ChunkJudge, Span
from voxarium.model.protocols import KeyedDriver, PayloadDriver
from voxarium.validation.objects import stored_array

__all__ = ["Fault", "Faults", "LevelReader", "place_text"]

_MOST: Final = 10_000
_DAMAGE: Final = frozenset({Code.FILE_TRUNCATED, Code.CHUNK_TRUNCATED, Code.CHUNK_CORRUPT, Code.SHARD_INDEX_CORRUPT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A chunk, or a whole object, that cannot be read.

    Parameters
    ----------
    rule : str
        Which rule that breaks.
    level : int
        Of which level.
    key : str
        Key of the object, as far as it has one.
    span : Span or None
        Where in it.
    index, box : tuple of int, Box
        Which chunk, and its voxels; of the object for a whole one.
    whole : bool
        True for a whole object.
    message : str
        What the reader said.
    """

    rule: str
    level: int
    key: str
    span: Span | None
    index: tuple[int, ...]
    box: Box
    whole: bool
    message: str


class Faults:
    """All faults, each once. Safe to use from several threads."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, bool, tuple[int, ...]], Fault] = {}
        self.more = 0
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Note one."""
        name = (fault.level, fault.whole, fault.index)
        with self._lock:
            if len(self.found) < _MOST:
                self.found.setdefault(name, fault)
            elif name not in self.found:
                self.more += 1


def place_text(fault: Fault) -> str:
    """Return where a fault is: chunk, bytes, voxels."""
    what = "object" if fault.whole else "chunk"
    where = f"{what} {fault.index} (voxels {list(fault.box.origin)} to {list(fault.box.stop)})"
    span = fault.span
    if span is not None and span.length is not None:
        where += f", bytes {span.start} to {span.start + span.length}"
    return where


class LevelReader:
    """Reads blocks of one level.

    Parameters
    ----------
    array : Array
        The level.
    level : int
        Its number.
    faults : Faults
        Where faults go.
    """

    def __init__(self, array: Array, level: int, faults: Faults) -> None:
        self.array, self.level = array, level
        self.stored = stored_array(array)
        self.unsupported: str | None = None
        self._faults = faults
        self._cache = BoundedIndexCache(32 << 20)
        self._scratch = threading.local()

    def read(self, box: Box) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Return voxels, and where they are not known; None when all are.

        The memory is used again by the next call on the same thread: fresh pages cost as much as decoding does.
        """
        out = self._memory(box)
        if self.unsupported is None:
            try:
                self.array.read(box, out=out, threads=1)
                return out, None
            except UnsupportedError as error:
                self.unsupported = error.message
            except (FormatError, StoreError) as error:
                if not _is_damage(error):
                    raise
                return out, self._read_carefully(box, out)
        out[...] = 0
        return out, np.ones(box.shape, np.bool_)

    def judge(self, box: Box, judge: ChunkJudge) -> NDArray[np.bool_] | None:
        """Return which chunks of a box a judge finds good; None where that is not possible, for whatever reason."""
        try:
            return self.array.judge(box, judge, threads=1)
        except (FormatError, StoreError, UnsupportedError):
            return None

    def _memory(self, box: Box) -> NDArray[Any]:
        kept: NDArray[Any] | None = getattr(self._scratch, "voxels", None)
        if kept is None or kept.size < box.size:
            kept = self._scratch.voxels = np.empty(box.size, self.array.dtype)
        return kept[: box.size].reshape(box.shape)

    def _read_carefully(self, box: Box, out: NDArray[Any]) -> NDArray[np.bool_]:
        """Read chunk by chunk; return which voxels are not known."""
        unknown = np.zeros(box.shape, np.bool_)
        part = self.array.part if isinstance(self.array, PartOfArray) else None
        wanted = box if part is None else part.stored_box(box).intersection(Box.whole(self.stored.shape))
        grid = ChunkGrid(self.stored.info.shape, self.stored.info.chunk_shape)
        for index in grid.indices(wanted):
            piece = grid.clipped_box(index).intersection(wanted)
            target = None if part is not None else out[piece.relative_to(box.origin).slices]
            error = self._try(index, piece, target)
            if error is not None and part is None:
                unknown[piece.relative_to(box.origin).slices] = True
            elif error is not None:
                unknown[...] = True
        if part is not None:
            out[...] = 0
            unknown[...] = True
        return unknown

    def _try(self, index: tuple[int, ...], piece: Box, out: NDArray[Any] | None) -> VoxariumError | None:
        """Read one chunk, or note what is wrong with it."""
        try:
            self.stored.read(piece, out=out, threads=1)
        except UnsupportedError as error:
            self.unsupported = error.message
            return error
        except (FormatError, StoreError) as error:
            if not _is_damage(error):
                raise
            if out is not None:
                out[...] = 0
            self._faults.add(self._fault(index, error))
            return error
        return None

    def _fault(self, index: tuple[int, ...], error: VoxariumError) -> Fault:
        info = self.stored.info
        whole = info.shard_shape is not None and not self._is_found(index)
        rule = "DA-003" if whole else "DA-002" if isinstance(error, ChecksumError) else "DA-001"
        grid = ChunkGrid(info.shape, info.object_shape if whole else info.chunk_shape)
        span = None if whole else self.span(index)
        number = self.object_of(index)
        return Fault(
            rule=rule,
            level=self.level,
            key=span.key if span is not None else self.object_key(number),
            span=span,
            index=number if whole else index,
            box=grid.clipped_box(number if whole else index),
            whole=whole,
            message=error.message.rpartition(": ")[2] or error.message,
        )

    # ------------------------------------------------------------------------------------------------- places
    def object_of(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """Return the grid index of the object that holds a chunk."""
        info = self.stored.info
        return tuple(i * c // o for i, c, o in zip(index, info.chunk_shape, info.object_shape, strict=True))

    def object_key(self, index: tuple[int, ...]) -> str:
        """Return the key of an object; the path of the array where objects have none."""
        driver = self.stored.driver
        if isinstance(driver, KeyedDriver):
            return driver.object_key(self.stored.path, self.stored.info, index)
        return self.stored.path

    def span(self, index: tuple[int, ...]) -> Span | None:
        """Return where a chunk is stored; None when it is absent, or has no such place."""
        driver, stored = self.stored.driver, self.stored
        if not isinstance(driver, PayloadDriver):
            return None
        try:
            return driver.locate(stored.store, stored.path, stored.info, [index], self._cache)[0]
        except (FormatError, StoreError):
            return None

    def _is_found(self, index: tuple[int, ...]) -> bool:
        """Tell whether the index that says where a chunk is can be read."""
        driver, stored = self.stored.driver, self.stored
        if not isinstance(driver, PayloadDriver):
            return True
        try:
            driver.locate(stored.store, stored.path, stored.info, [index], self._cache)
        except (FormatError, StoreError):
            return False
        return True

    def is_absent(self, index: tuple[int, ...]) -> bool:
        """Tell whether a chunk is surely not stored."""
        driver, stored = self.stored.driver, self.stored
        if not isinstance(driver, PayloadDriver):
            return False
        try:
            span = driver.locate(stored.store, stored.path, stored.info, [index], self._cache)[0]
            return span is None or (span.length is None and stored.store.stat(span.key) is None)
        except (FormatError, StoreError):
            return False


def _is_damage(error: VoxariumError) -> bool:
    """Tell whether stored bytes are at fault, and not the way to them."""
    return isinstance(error, FormatError) or error.code in _DAMAGE
