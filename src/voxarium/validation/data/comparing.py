"""Comparing a level with the finer one it was made from, and saying what is wrong where it differs."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.model.box import Box
from voxarium.model.checking import Sheet
from voxarium.model.grid import ChunkGrid
from voxarium.pyramid import Method, downsample, halo
from voxarium.validation.data.blocks import Pair
from voxarium.validation.data.methods import Trial, differences, disagreeing, is_mode, made_with_margin, votes
from voxarium.validation.data.probing import trimmed
from voxarium.validation.data.reading import LevelReader
from voxarium.validation.objects import Group, box_text

__all__ = ["Block", "Tally"]

_MOST_CHUNKS: Final = 20_000
_MOST_REGIONS: Final = 1_000
_MOST_GONE: Final = 1 << 20
_SHOWN: Final = 5
_MOST_VOTES: Final = 1 << 18
_OUTSIDE: Final = 0.5
_NEAR: Final = 2
_MODE: Final = Trial(Method.MODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Voxels of a level.

    Parameters
    ----------
    box : Box
        Which.
    voxels : ndarray
        Their values, with margins around.
    unknown : ndarray of bool or None
        Which could not be read; of the same shape.
    lo, hi : tuple of int
        The margins.
    """

    box: Box
    voxels: NDArray[Any]
    unknown: NDArray[np.bool_] | None
    lo: tuple[int, ...]
    hi: tuple[int, ...]

    @property
    def core(self) -> NDArray[Any]:
        """The voxels without margins."""
        return self.voxels[self._core]

    @property
    def core_unknown(self) -> NDArray[np.bool_] | None:
        """Which of them could not be read."""
        return None if self.unknown is None else self.unknown[self._core]

    def part(self, box: Box) -> Block:
        """Return a part of a block without margins."""
        slices = box.relative_to(self.box.origin).slices
        unknown = None if self.unknown is None else self.unknown[slices]
        return Block(box=box, voxels=self.voxels[slices], unknown=unknown, lo=self.lo, hi=self.hi)

    @property
    def _core(self) -> tuple[slice, ...]:
        return tuple(slice(a, n - b) for a, b, n in zip(self.lo, self.hi, self.voxels.shape, strict=True))


@dataclass(frozen=True, slots=True)
class _Region:
    """Where a level does not follow from the finer one."""

    box: Box
    count: int
    largest: float
    exact: str


class Tally:
    """What comparing a pair of levels has shown so far. Safe to use from several threads.

    Parameters
    ----------
    pair : Pair
        Which levels, and how the one is made of the other.
    readers : sequence of LevelReader
        Of all levels.
    labels : bool
        Whether voxels are ids.
    """

    def __init__(self, pair: Pair, readers: Sequence[LevelReader], *, labels: bool) -> None:
        self.pair = pair
        self.checked = self.wrong = self.doubtful = 0
        self.invented, self.example = 0, ""
        self._fine, self._coarse, self._labels = readers[pair.fine], readers[pair.coarse], labels
        self._invents = labels and pair.trial.method in (Method.MEAN, Method.MEDIAN, Method.GAUSSIAN)
        self._regions: list[_Region] = []
        self._lost, self._lost_coarse = Group(), Group()
        self._fills: Counter[Any] = Counter()
        self._gone: set[tuple[int, tuple[int, ...]]] = set()
        self._lock = threading.Lock()

    def compare(self, fine: Block, coarse: Block) -> None:
        """Compare a block with the finer one below it."""
        factors = self.pair.factors
        if self.pair.trial == _MODE and self._is_mode(fine.core, coarse.voxels):
            return
        expected = made_with_margin(self.pair.trial, fine.voxels, factors, fine.lo, fine.hi)
        if expected is None:  # pragma: no cover  ways without meaning are never chosen
            return
        expected, shown = trimmed(expected, coarse.voxels)
        bad = disagreeing(self.pair.trial, fine.core, shown, expected, factors)
        with self._lock:
            self.checked += shown.size
        if self._invents:
            self._find_invented(fine.core, shown, shown != trimmed(downsample(fine.core, factors, "mode"), shown)[0])
        if bad is None:
            return
        _forget_unknown(bad, fine.core_unknown, coarse.unknown, factors)
        if bad.any():
            self._take_absent(coarse.box, shown, bad)
        if bad.any():
            self._take_wrong(fine.core, coarse.box, shown, expected, bad)

    def take_good(self, count: int) -> None:
        """Count voxels that somebody else has found right."""
        with self._lock:
            self.checked += count

    def _is_mode(self, fine: NDArray[Any], coarse: NDArray[Any]) -> bool:
        if not is_mode(fine, coarse, self.pair.factors):
            return False
        self.take_good(coarse.size)
        return True

    # ---------------------------------------------------------------------------------------- absent chunks
    def _take_absent(self, coarse_box: Box, shown: NDArray[Any], bad: NDArray[np.bool_]) -> None:
        """Take what absent chunks of either level explain, and clear its marks."""
        info = self._coarse.array.info
        grid = ChunkGrid(info.shape, info.chunk_shape)
        tight = _tight(bad).shifted(coarse_box.origin)
        for index in itertools.islice(grid.indices(tight), _MOST_CHUNKS):
            part = grid.clipped_box(index).intersection(coarse_box).relative_to(coarse_box.origin).slices
            if bad[part].any() and self._coarse.is_absent(index):
                self._lose(self._lost_coarse, self._coarse, index)
                bad[part] = False
        if bad.any():
            self._take_absent_fine(coarse_box, shown, bad)

    def _take_absent_fine(self, coarse_box: Box, shown: NDArray[Any], bad: NDArray[np.bool_]) -> None:
        info, factors = self._fine.array.info, self.pair.factors
        grid = ChunkGrid(info.shape, info.chunk_shape)
        tight = _tight(bad).shifted(coarse_box.origin)
        reach = halo(self.pair.trial.method, factors)
        below = Box.from_bounds(
            tuple(a * f - r for a, f, r in zip(tight.origin, factors, reach, strict=True)),
            tuple(b * f + r for b, f, r in zip(tight.stop, factors, reach, strict=True)),
        ).intersection(Box.whole(info.shape))
        for index in itertools.islice(grid.indices(below), _MOST_CHUNKS):
            chunk = grid.clipped_box(index)
            around = _slices(_grown(chunk, reach), factors, coarse_box, bad.shape, whole=False)
            if not bad[around].any() or not self._fine.is_absent(index):
                continue
            inner = _slices(chunk, factors, coarse_box, bad.shape, whole=True)
            values = shown[inner] if bad[inner].any() else shown[around][bad[around]]
            bad[around] = False
            first = values.flat[0]
            self._lose(self._lost, self._fine, index, first.item() if (values == first).all() else None)

    def _lose(self, group: Group, reader: LevelReader, index: tuple[int, ...], value: Any = None) -> None:
        """Note an absent chunk, once, and the only value that the other level has there."""
        span = reader.span(index)
        key = reader.object_key(reader.object_of(index)) if span is None else span.key
        inside = reader.array.info.shard_shape is not None
        with self._lock:
            if (reader.level, index) in self._gone:
                return
            if len(self._gone) < _MOST_GONE:
                self._gone.add((reader.level, index))
            if value is not None:
                self._fills[value] += 1
            group.add(f"{key} chunk {index}" if inside else key)

    # ---------------------------------------------------------------------------------------- wrong voxels
    def _take_wrong(
        self,
        fine: NDArray[Any],
        coarse_box: Box,
        shown: NDArray[Any],
        expected: NDArray[Any],
        bad: NDArray[np.bool_],
    ) -> None:
        if self._labels:
            known = self._find_invented(fine, shown, bad)
            if not self.pair.firm:
                self._doubt(known)
                return
        elif not self.pair.firm:
            outside = bad & _outside(fine, shown, self.pair.factors)
            if outside.sum() <= _OUTSIDE * outside.size:
                self._doubt(int(bad.sum()))
                return
            bad = outside
        elif not self.pair.exact and self.pair.trial.method is Method.MEAN:
            far = bad & (differences(expected, shown) > _NEAR)
            self._doubt(int(bad.sum() - far.sum()))
            bad = far
        if not bad.any():
            return
        gap = differences(expected[bad], shown[bad])
        largest = gap.max()
        count = int(bad.sum())
        with self._lock:
            self.wrong += count
            if len(self._regions) < _MOST_REGIONS:
                box = _tight(bad).shifted(coarse_box.origin)
                self._regions.append(_Region(box, count, float(np.nan_to_num(largest)), str(largest)))

    def _doubt(self, count: int) -> None:
        with self._lock:
            self.doubtful += count

    def _find_invented(self, fine: NDArray[Any], shown: NDArray[Any], among: NDArray[np.bool_]) -> int:
        """Count labels that no voxel below has, and clear their marks; return how many others are marked."""
        where = np.argwhere(among)[:_MOST_VOTES]
        values = shown[tuple(where.T)]
        none = votes(fine, self.pair.factors, where, values) == 0
        if none.any():
            among[tuple(where[none].T)] = False
            with self._lock:
                self.invented += int(none.sum())
                self.example = self.example or str(values[none][0])
        return int(among.sum())

    # ------------------------------------------------------------------------------------------------ report
    def report(self, sheet: Sheet) -> None:
        """Report what was found."""
        pair = self.pair
        levels = f"level {pair.coarse}", f"level {pair.fine}"
        self._report_absent(sheet, *levels)
        sheet.key = self._coarse.array.path
        if self.invented:
            sheet.report(
                "DA-022",
                f"{self.invented:,} voxels of {levels[0]} have labels that {levels[1]} has not there, such as "
                f"{self.example}: it was averaged, or is damaged",
                "make the coarser levels again with mode or stride",
                values=(0, self.invented),
            )
        if self._regions:
            self._report_regions(sheet, *levels)
        elif self.doubtful and pair.firm:
            says = f"{self.doubtful:,} of {self.checked:,} voxels of {levels[0]} are rounded otherwise than the others"
            sheet.report("DA-026", says, "make the coarser levels again", values=(0, self.doubtful))
        elif self.doubtful:
            sheet.report(
                "DA-026",
                f"{levels[0]} is none of mean, mode, stride, median, min, max and gaussian of {levels[1]}; "
                f"{pair.trial.text} comes nearest, with {self.doubtful:,} of {self.checked:,} voxels different",
                "state how it was made",
                values=(None, self.doubtful),
            )

    def _report_absent(self, sheet: Sheet, coarse: str, fine: str) -> None:
        fill = self._fine.array.info.fill_value
        constant = sum(self._fills.values()) == self._lost.count and len(self._fills) == 1
        value = next(iter(self._fills)) if constant else None
        if constant and (value == 0 or self._lost.count > 1):
            says = f"of {fine} <are> absent and read as {fill}, where {coarse} was made from {value}"
            self._lost.report(sheet, "DA-025", says, f"make the fill value {value}", expected=str(value))
        else:
            says = f"of {fine} <are> absent although {coarse} shows that something was there"
            self._lost.report(sheet, "DA-024", says, "copy them again from their source", expected=0)
        says = f"of {coarse} <are> absent although {fine} has voxels there"
        self._lost_coarse.report(sheet, "DA-024", says, f"make {coarse} again", expected=0)

    def _report_regions(self, sheet: Sheet, coarse: str, fine: str) -> None:
        regions = sorted(self._regions, key=lambda r: r.box.origin)
        first = regions[0].box
        boxes = ", ".join(box_text(r.box) for r in regions[:_SHOWN])
        more = f" and {len(regions) - _SHOWN:,} more" if len(regions) > _SHOWN else ""
        worst = max(regions, key=lambda r: r.largest).exact
        pair = self.pair
        origin = tuple(a * f for a, f in zip(first.origin, pair.factors, strict=True))
        chunks = [r.array.info.object_shape for r in (self._coarse, self._fine)]
        index = tuple(a // c for a, c in zip(first.origin, chunks[0], strict=True))
        below = tuple(a // c for a, c in zip(origin, chunks[1], strict=True))
        key = self._coarse.object_key(index) if self._coarse.array is self._coarse.stored else self._coarse.array.path
        other = self._fine.object_key(below) if self._fine.array is self._fine.stored else self._fine.array.path
        sheet.key = key
        sheet.report(
            "DA-020",
            f"{self.wrong:,} of {self.checked:,} voxels of {coarse} are not the {pair.trial.text} of {fine}, in "
            f"{boxes}{more}; they differ by up to {worst}; {key} or {other} is wrong",
            "make the coarser levels again, once it is clear that the finer one is right",
            values=(0, self.wrong),
        )


def _tight(marks: NDArray[np.bool_]) -> Box:
    """Return the smallest box around marks."""
    bounds = []
    for axis in range(marks.ndim):
        line = np.flatnonzero(marks.any(tuple(i for i in range(marks.ndim) if i != axis)))
        bounds.append((int(line[0]), int(line[-1]) + 1))
    return Box.from_bounds(tuple(a for a, _ in bounds), tuple(b for _, b in bounds))


def _grown(box: Box, by: Sequence[int]) -> Box:
    """Return a box with so much more on each side."""
    return Box(
        tuple(a - r for a, r in zip(box.origin, by, strict=True)),
        tuple(n + 2 * r for n, r in zip(box.shape, by, strict=True)),
    )


def _slices(
    chunk: Box, factors: Sequence[int], coarse_box: Box, shape: tuple[int, ...], *, whole: bool
) -> tuple[slice, ...]:
    """Return the coarse voxels over a box of finer ones: those wholly within, or all that touch it."""
    out = []
    for a, b, f, o, n in zip(chunk.origin, chunk.stop, factors, coarse_box.origin, shape, strict=True):
        first, stop = (-(-a // f), b // f) if whole else (a // f, -(-b // f))
        out.append(slice(max(0, first - o), max(0, min(n, stop - o))))
    return tuple(out)


def _forget_unknown(
    bad: NDArray[np.bool_],
    fine: NDArray[np.bool_] | None,
    coarse: NDArray[np.bool_] | None,
    factors: Sequence[int],
) -> None:
    """Clear the marks where either level could not be read."""
    if fine is not None:
        bad &= ~trimmed(downsample(fine, factors, "max"), bad)[0]
    if coarse is not None:
        bad &= ~trimmed(coarse, bad)[0]


def _outside(fine: NDArray[Any], shown: NDArray[Any], factors: Sequence[int]) -> NDArray[np.bool_]:
    """Return where a level has values that no smoothing of the voxels around could have given."""
    if fine.dtype.kind not in "iuf":
        return np.zeros(shown.shape, np.bool_)
    low = trimmed(downsample(fine, factors, "min"), shown)[0].astype(np.float64)
    high = trimmed(downsample(fine, factors, "max"), shown)[0].astype(np.float64)
    for axis in range(low.ndim):
        low, high = _spread(low, axis, np.minimum), _spread(high, axis, np.maximum)
    room = 0.5 * (high - low) + (2 if fine.dtype.kind in "iu" else 0)
    values = shown.astype(np.float64)
    found: NDArray[np.bool_] = (values < low - room) | (values > high + room)
    return found


def _spread(values: NDArray[np.float64], axis: int, function: Any) -> NDArray[np.float64]:  # Any: a ufunc
    """Return the least or greatest of each voxel and its two neighbours."""
    out = values.copy()
    ahead = (slice(None),) * axis
    n = values.shape[axis]
    left, right = (*ahead, slice(0, n - 1)), (*ahead, slice(1, n))
    out[left] = function(out[left], values[right])
    out[right] = function(out[right], values[left])
    return out
