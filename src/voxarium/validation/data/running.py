"""Checking voxels: each level is read once, in blocks, and compared with the finer one as it goes by."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.image import Image
from voxarium.model.box import Box
from voxarium.model.checking import Sheet
from voxarium.model.image import ArrayInfo
from voxarium.model.rules import Finding
from voxarium.pyramid import Method, halo, source_box
from voxarium.validation.data.blocks import Pair, Run, grouped, sampled_boxes, stored_boxes
from voxarium.validation.data.comparing import Block, Tally
from voxarium.validation.data.judging import judged_pieces
from voxarium.validation.data.methods import trials
from voxarium.validation.data.probing import Probe, probe
from voxarium.validation.data.reading import Faults, LevelReader
from voxarium.validation.data.relations import level_factors, level_place, report_moved, stated_method
from voxarium.validation.data.reporting import marked_maps, report_faults
from voxarium.validation.data.rules import RULES
from voxarium.validation.data.shards import ObjectFaults, check_one_object, has_objects, objects_of
from voxarium.validation.data.values import Values
from voxarium.validation.objects import ObjectMap

__all__ = ["DataResult", "check_data"]

_MEMORY: Final = 2 << 30
_NO_MAPS: Final[Mapping[str, ObjectMap]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataResult:
    """What reading an image found.

    Parameters
    ----------
    findings : tuple of Finding
        What is wrong.
    maps : mapping of str to ObjectMap
        Maps of the census, by path of the array, with what cannot be read marked.
    voxels, chunks, nbytes : int
        What was read of all levels, decoded.
    sample : float
        Share of the objects that was asked for; 1 = everything.
    faults : int
        Chunks, or whole objects, that cannot be read.
    methods : mapping of int to str
        How each level was made, as far as its voxels tell.
    histograms : mapping of str to mapping of int to int
        By path of the array, the voxels per value, absent chunks included, of levels that this was asked for; none
        where something was left out, or could not be read.
    """

    findings: tuple[Finding, ...] = ()
    maps: Mapping[str, ObjectMap] = field(default_factory=dict)
    voxels: int = 0
    chunks: int = 0
    nbytes: int = 0
    sample: float = 1.0
    faults: int = 0
    methods: Mapping[int, str] = field(default_factory=dict)
    histograms: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


def check_data(
    image: Image,
    *,
    sample: float = 1.0,
    census: Mapping[str, ObjectMap] = _NO_MAPS,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    histogram: Callable[[ArrayInfo], bool] | None = None,
) -> DataResult:
    """Read an image and check its voxels.

    Memory is bounded by threads × about 50 MB, and one byte per stored object where there are maps of a census; large
    chunks, and gaussian levels, take more: a few times their own size.

    Parameters
    ----------
    image : Image
        The opened image.
    sample : float
        Share of the stored objects to read, the same ones each time; 1 = everything.
    census : mapping of str to ObjectMap
        What a census found: parts without any object are passed over.
    threads : int or None
        None = one per processor.
    progress : callable or None
        Called with the number of voxels since the last call.
    histogram : callable or None
        Tells of which levels the values are to be counted: formats may state the counts.

    Raises
    ------
    StoreError
        If the store fails; what is wrong with stored bytes is a finding.
    """
    check = _Check(image, min(max(sample, 0.0), 1.0), census, threads, histogram=histogram)
    return check.run(progress)


def _others_place(method: Method, role: str) -> tuple[Method, ...]:
    """Return the methods that put a level elsewhere than one does.

    Every voxel of a window of noise is a mode of it: for other images than labels, modes are not thought of.
    """
    if method is not Method.STRIDE:
        return (Method.STRIDE,)
    windowed = (Method.MEAN, Method.MEDIAN, Method.MIN, Method.MAX)
    return (*windowed, Method.MODE) if role == "label" else windowed


class _Check:
    def __init__(
        self,
        image: Image,
        sample: float,
        census: Mapping[str, ObjectMap],
        threads: int | None,
        *,
        histogram: Callable[[ArrayInfo], bool] | None,
    ) -> None:
        self.image, self.sample, self.census = image, sample, census
        self.faults = Faults()
        self.readers = [LevelReader(a, i, self.faults) for i, a in enumerate(image.arrays)]
        self.executor = ThreadExecutor(threads)
        self.sheet = Sheet("", RULES)
        self.values = [
            Values(image, i, histogram=histogram is not None and histogram(a.info)) for i, a in enumerate(image.arrays)
        ]
        self.tallies: dict[int, Tally] = {}
        self.voxels = self.chunks = self.nbytes = 0
        self._lock = threading.Lock()
        self._counted: set[int] = set()

    def run(self, progress: Callable[[int], None] | None) -> DataResult:
        """Check everything."""
        pairs = list(self._pairs())
        labels = self.image.role == "label"
        self.tallies = {p.coarse: Tally(p, self.readers, labels=labels) for p in pairs}
        for run in grouped(self.image.arrays, pairs, most=self._block_bytes()):
            self._check_run(run, progress)
        self._check_objects()
        report_faults(self.faults, self.readers, self.sheet)
        for tally in self.tallies.values():
            tally.report(self.sheet)
        for values in self.values:
            values.report(self.sheet)
        return DataResult(
            findings=tuple(self.sheet.findings),
            maps=marked_maps(self.census, self.faults, self.readers),
            voxels=self.voxels,
            chunks=self.chunks,
            nbytes=self.nbytes,
            sample=self.sample,
            faults=len(self.faults.found) + self.faults.more,
            methods={t.pair.coarse: t.pair.trial.text for t in self.tallies.values() if t.pair.firm},
            histograms=dict(self._histograms()) if self.sample >= 1 else {},
        )

    def _histograms(self) -> Iterator[tuple[str, Mapping[int, int]]]:
        broken = {f.level for f in self.faults.found.values()}
        for values, reader in zip(self.values, self.readers, strict=True):
            if values.histogram is not None and values.level not in broken and reader.unsupported is None:
                yield values.path, values.histogram

    # ------------------------------------------------------------------------------------------------- levels
    def _pairs(self) -> Iterator[Pair]:
        """Find out how each level was made, and report what is wrong with that alone."""
        stated = stated_method(self.image)
        levels = range(1, len(self.image.arrays))
        probed = dict(self.executor.map_unordered(lambda level: (level, self._probe(level)), iter(levels), Cancel()))
        for coarse in levels:
            self.sheet.key = self.image.arrays[coarse].path
            found = probed[coarse]
            if found is None:
                self._report_incomparable(coarse)
                continue
            fine, factors, seen = found
            if seen.moved is not None:
                self._report_shifted(coarse, fine, factors, seen)
                continue
            trial = seen.trial
            if stated is not None and trial.method is not stated and seen.refutes(stated):
                self.sheet.report(
                    "DA-021",
                    f"level {coarse} is the {trial.text} of level {fine}, not the {stated}",
                    f"state the method {trial.method}",
                    values=(str(trial.method), str(stated)),
                )
            place = level_place(self.image, coarse)
            others = _others_place(trial.method, self.image.role)
            if trial.method is not stated and place is not None and seen.refutes(*others):
                report_moved(self.image, coarse, place, trial.method, self.sheet, measured=True)
            yield Pair(fine=fine, coarse=coarse, factors=factors, trial=trial, firm=seen.firm, exact=seen.exact)

    def _probe(self, coarse: int) -> tuple[int, tuple[int, ...], Probe] | None:
        """Return the level that a level was made from, the factors, and how; None when nothing can be said."""
        best: tuple[int, tuple[int, ...], Probe] | None = None
        for fine in dict.fromkeys((coarse - 1, 0)):
            factors = level_factors(self.image, fine, coarse)
            arrays = self.image.arrays[fine], self.image.arrays[coarse]
            if factors is None or arrays[0].dtype != arrays[1].dtype:
                continue
            ways = trials(self.image.role, stated_method(self.image))
            known = self.census.get(self.image.arrays[fine].path)
            present = None if known is None or known.states is None else partial(self._is_stored, fine)
            seen = probe(*arrays, factors, ways, present=present)
            if seen.firm and (fine == coarse - 1 or seen.against):
                return fine, factors, seen
            best = best or (fine, factors, seen)
        return best

    def _report_incomparable(self, coarse: int) -> None:
        shapes = self.image.arrays[coarse - 1].shape, self.image.arrays[coarse].shape
        self.sheet.report(
            "DA-026",
            f"level {coarse}, of shape {shapes[1]}, is no whole factors smaller than level {coarse - 1}, of shape "
            f"{shapes[0]}, or of another type: it was not compared",
            "make the coarser levels again by whole factors",
        )

    def _report_shifted(self, coarse: int, fine: int, factors: tuple[int, ...], seen: Probe) -> None:
        """Report a level whose voxels lie elsewhere; one of strides may begin within the first window."""
        moved = seen.moved or ()
        place = level_place(self.image, coarse, fine)
        within = all(0 <= m < f for m, f in zip(moved, factors, strict=True))
        if seen.trial.method == "stride" and within:
            if place is not None and any(abs(d - m) > 0.01 for d, m in zip(place.moved, moved, strict=True)):
                self.sheet.report(
                    "DA-023",
                    f"level {coarse} has voxel {moved} of each window of level {fine}, and is placed elsewhere",
                    f"move it by {moved} voxels of level {fine} against it",
                    values=(list(moved), list(place.moved)),
                )
            return
        by = ", ".join(f"{a.name} by {m}" for a, m in zip(self.image.axes, moved, strict=True) if m)
        self.sheet.report(
            "DA-027",
            f"the voxels of level {coarse} are the {seen.trial.text} of those of level {fine} moved along {by} voxels "
            f"of level {fine}",
            "make the coarser levels again",
            values=([0] * len(moved), list(moved)),
        )

    # ------------------------------------------------------------------------------------------------- blocks
    def _block_bytes(self) -> int:
        """Return how large blocks may be: for all threads together within the memory promised, small in samples."""
        return min(max(_MEMORY // self.executor.workers, 16 << 20), 128 << 20) if self.sample >= 1 else 0

    def _check_run(self, run: Run, progress: Callable[[int], None] | None) -> None:
        first = {level for level in (run.level, *(p.coarse for p in run.pairs)) if level not in self._counted}
        array = self.image.arrays[run.level]
        known = self._known_below(run)
        some = None if known is None else stored_boxes(array, run.block, known, self.sample)
        boxes = sampled_boxes(array, run.block, self.sample) if some is None else iter(some)
        for done in self.executor.map_unordered(partial(self._check_block, run, first), boxes, Cancel()):
            if progress is not None:
                progress(done)
        self._counted |= first
        if some is not None and self.sample >= 1:
            rest = sum(self.values[level].take_rest() for level in first)
            if progress is not None:
                progress(rest)

    def _known_below(self, run: Run) -> list[tuple[ObjectMap, tuple[int, ...]]] | None:
        """Return what a census knows of the levels of a run, with their factors; None where it does not know."""
        total = (1,) * self.image.arrays[run.level].ndim
        found = []
        for level, factors in ((run.level, total), *((p.coarse, p.factors) for p in run.pairs)):
            known = self.census.get(self.image.arrays[level].path)
            if known is None or self.readers[level].stored is not self.image.arrays[level]:
                return None
            total = tuple(a * b for a, b in zip(total, factors, strict=True))
            found.append((known, total))
        return found if self._is_even(run) else None

    def _is_even(self, run: Run) -> bool:
        """Tell whether absent chunks of all levels of a run agree."""
        fills = {self.image.arrays[level].info.fill_value for level in (run.level, *(p.coarse for p in run.pairs))}
        return len(fills) == 1 and not any(p.trial.method == "gaussian" for p in run.pairs)

    def _check_block(self, run: Run, first: set[int], box: Box) -> int:
        """Read one block of every level of a run, and compare each with the one before; return voxels read."""
        boxes = list(self._boxes(run, box))
        if self._is_nothing(run, boxes):
            for level, at in boxes:
                if level in first and at.size:
                    self.values[level].take_fill(self.image.arrays[level].info.fill_value, at.size)
            return sum(b.size for level, b in boxes if level in first)
        blocks = [self._take(level, at, first) for level, at in boxes[1:]]
        for piece in self._unproven(run, box, blocks, first):
            finest = self._take(run.level, piece, first, run.pairs[0] if run.pairs else None)
            if blocks:
                self._compare(run.pairs[0], finest, blocks[0])
        for pair, before, block in zip(run.pairs[1:], blocks, blocks[1:], strict=False):
            self._compare(pair, before, block)
        return sum(b.size for level, b in boxes if level in first)

    def _unproven(self, run: Run, box: Box, blocks: Sequence[Block], first: set[int]) -> Iterator[Box]:
        """Yield the pieces of a block of the finest level to look at: all but those that a judge finds good."""
        values = self.values[run.level]
        able = blocks and (run.level not in first or not values.looks)
        judged = judged_pieces(self.readers[run.level], run, box, blocks[0]) if able else None
        for piece in box.tiles(run.piece):
            if judged is None or not judged(piece):
                yield piece
            else:
                self.tallies[run.pairs[0].coarse].take_good(piece.size // math.prod(run.pairs[0].factors))
                if run.level in first:
                    self._count(run.level, piece)
                    values.take_unseen(piece.size)

    def _take(self, level: int, box: Box, first: set[int], pair: Pair | None = None) -> Block:
        """Read voxels, and look at them alone if nobody has."""
        block = self._read(level, box, pair)
        if level in first:
            self._count(level, box)
            self.values[level].take(block.core, block.core_unknown)
        return block

    def _compare(self, pair: Pair, fine: Block, coarse: Block) -> None:
        """Compare voxels with the part of a coarser block above them."""
        shape, stop = self.image.arrays[pair.fine].shape, coarse.box.stop
        first = tuple(min(a // f, n) for a, f, n in zip(fine.box.origin, pair.factors, stop, strict=True))
        last = tuple(
            n if b >= m else min(b // f, n) for b, f, n, m in zip(fine.box.stop, pair.factors, stop, shape, strict=True)
        )
        box = Box.from_bounds(first, last)
        if box.size:
            self.tallies[pair.coarse].compare(fine, coarse.part(box))

    def _boxes(self, run: Run, box: Box) -> Iterator[tuple[int, Box]]:
        """Yield the boxes of every level over a block."""
        yield run.level, box
        for pair in run.pairs:
            shapes = self.image.arrays[pair.fine].shape, self.image.arrays[pair.coarse].shape
            start, stop = [], []
            for a, b, f, n, m in zip(box.origin, box.stop, pair.factors, *shapes, strict=True):
                start.append(min(a // f, m))
                stop.append(m if b >= n else min(-(-b // f), m))
            box = Box.from_bounds(tuple(start), tuple(stop))
            yield pair.coarse, box

    def _read(self, level: int, box: Box, pair: Pair | None) -> Block:
        """Read a block, with the margins that the method of the first pair needs."""
        none = (0,) * box.ndim
        reader = self.readers[level]
        reach = none if pair is None else halo(pair.trial.method, pair.factors)
        if pair is None or not any(reach):
            voxels, unknown = reader.read(box)
            return Block(box=box, voxels=voxels, unknown=unknown, lo=none, hi=none)
        shape = self.image.arrays[level].shape
        windows = Box.from_bounds(
            tuple(a // f for a, f in zip(box.origin, pair.factors, strict=True)),
            tuple(-(-b // f) for b, f in zip(box.stop, pair.factors, strict=True)),
        )
        around, lo, hi = source_box(windows, pair.factors, shape, reach)
        voxels, unknown = reader.read(around)
        return Block(box=box, voxels=voxels, unknown=unknown, lo=lo, hi=hi)

    def _is_nothing(self, run: Run, boxes: Sequence[tuple[int, Box]]) -> bool:
        """Tell whether a census knows of no object in any of the boxes, so that all is fill value, and the same."""
        return self._is_even(run) and not any(self._is_stored(level, box) for level, box in boxes)

    def _is_stored(self, level: int, box: Box) -> bool:
        """Tell whether anything may be stored in a box: False only where a census says so."""
        known = self.census.get(self.image.arrays[level].path)
        if known is None or known.states is None or self.readers[level].stored is not self.image.arrays[level]:
            return True
        spans = zip(box.origin, box.stop, known.object_shape, strict=True)
        return bool(known.states[tuple(slice(a // n, -(-b // n)) for a, b, n in spans)].any())

    def _count(self, level: int, box: Box) -> None:
        array = self.image.arrays[level]
        spans = zip(box.origin, box.stop, array.info.chunk_shape, strict=True)
        chunks = math.prod(-(-b // c) - a // c for a, b, c in spans)
        with self._lock:
            self.voxels += box.size
            self.chunks += chunks
            self.nbytes += box.size * array.dtype.itemsize

    def _check_objects(self) -> None:
        """Check objects as a whole."""
        for level, reader in enumerate(self.readers):
            if not has_objects(reader.stored):
                continue
            faults = ObjectFaults()
            indices = objects_of(reader.stored, self.sample, self.census.get(reader.stored.path))
            for _ in self.executor.map_unordered(partial(check_one_object, reader.stored, faults), indices, Cancel()):
                pass
            faults.report(self.sheet, f"level {level}")
