"""Finding out how a level was made: all ways are tried on a few small boxes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.errors import FormatError, StoreError, UnsupportedError
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid
from voxarium.pyramid import Method, halo, source_box
from voxarium.validation.data.blocks import sampled_boxes
from voxarium.validation.data.methods import Trial, disagreeing, made, made_with_margin

__all__ = ["Probe", "probe"]

_TILE: Final = 32
_TILES: Final = 12
_ENOUGH: Final = 4
_PLENTY: Final = 500  # voxels
_MANY: Final = 64
_SOME: Final = 32
_ROUNDINGS: Final = (Trial(Method.MEAN, "up"), Trial(Method.MEAN, "down"))
_TOLD_BY: Final = 48  # voxels: fewer agree by chance
_LOOKED_AT: Final = 60
_CONSIDERED: Final = 4_000
_GOLDEN: Final = 0.6180339887
_FIRM: Final = 0.6
_MOST_MOVES: Final = 130
_MOST_WINDOW: Final = 512
_MOST_TILE_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a few boxes say about how a level was made.

    Parameters
    ----------
    trial : Trial
        The way that most boxes agree with.
    firm : bool
        Whether they do so beyond doubt.
    exact : bool
        Whether it is also sure how means are rounded.
    against : mapping of Method to int
        Where all boxes agree: voxels that contradict other methods, of those that were tried.
    moved : tuple of int or None
        Finer voxels by which the level is moved, when only that explains the boxes, with `trial` as the way.
    """

    trial: Trial
    firm: bool
    exact: bool = True
    against: Mapping[Method, int] = field(default_factory=dict)
    moved: tuple[int, ...] | None = None

    def refutes(self, *methods: Method) -> bool:
        """Tell whether the level was surely made by none of some methods."""
        return all(self.against.get(method, 0) >= _MANY for method in methods)


@dataclass(frozen=True, slots=True)
class _Tile:
    """A box of a level, and the finer voxels below and around it."""

    box: Box
    coarse: NDArray[Any]
    fine: NDArray[Any]
    lo: tuple[int, ...]
    hi: tuple[int, ...]

    @property
    def core(self) -> NDArray[Any]:
        """The finer voxels below it."""
        return self.fine[tuple(slice(a, n - b) for a, b, n in zip(self.lo, self.hi, self.fine.shape, strict=True))]


def probe(
    fine: Array,
    coarse: Array,
    factors: tuple[int, ...],
    ways: Sequence[Trial],
    *,
    present: Callable[[Box], bool] | None,
) -> Probe:
    """Return how a level was most probably made.

    Parameters
    ----------
    fine, coarse : Array
        The levels.
    factors : tuple of int
        From the one to the other.
    ways : sequence of Trial
        What to try, in the order of preference.
    present : callable or None
        Tells whether anything is stored in a box of the finer level, where that is known.
    """
    boxes = _boxes(fine, coarse, factors, present)
    if halo(ways[0].method, factors) == (0,) * len(factors):
        # Most levels were made as stated, or as usual: no voxel around the boxes is needed to see that.
        found = _as_expected(_tiles(fine, coarse, factors, boxes, around=False), factors, ways[0], few=len(boxes))
        if found is not None:
            return found
    tiles = list(itertools.islice(_tiles(fine, coarse, factors, boxes, around=True), _TILES))
    if not tiles:
        return Probe(trial=ways[0], firm=len(boxes) < _LOOKED_AT)
    votes = {way: _Votes() for way in ways}
    for way, tile in itertools.product(ways, tiles):
        votes[way].add(_share(way, tile, factors), tile)
    best = max(ways, key=lambda w: (votes[w].agreed, -votes[w].share))  # the first of equals
    if best.rounding == "near":
        # A little damage is near the mean as well. Where means are rounded in steps, hardly a box has the exact ones.
        exact = [w for w in ways if w.method is best.method and w.rounding != "near"]
        best = max(
            (w for w in exact if votes[w].agreed >= _FIRM * len(tiles)), key=lambda w: votes[w].agreed, default=best
        )
    others: dict[Method, int] = {}
    for way in ways:
        if way.method is not best.method:
            others[way.method] = min(votes[way].against, others.get(way.method, 1 << 62))
    explained = votes[best].agreed >= _FIRM * len(tiles)
    firm = explained and min(others.values()) >= _SOME
    moved = None if explained else _moved(tiles, factors, best)
    if moved is not None:
        return Probe(trial=moved[0], firm=False, moved=moved[1])
    rounded = [votes[w].against for w in ways if w.method is best.method and w != best and w.rounding != "near"]
    every = votes[best].agreed == len(tiles)
    return Probe(trial=best, firm=firm, exact=min(rounded, default=_MANY) >= _MANY, against=others if every else {})


@dataclass(slots=True)
class _Votes:
    """What boxes say about one way."""

    agreed: int = 0
    share: float = 0.0
    against: int = 0

    def add(self, share: float, tile: _Tile) -> None:
        """Note which share of a box contradicts it."""
        self.agreed += share == 0.0
        self.share += share
        self.against += round(share * tile.coarse.size)


def _as_expected(tiles: Iterator[_Tile], factors: tuple[int, ...], way: Trial, *, few: int) -> Probe | None:
    """Return the way that is expected, if it explains boxes until they tell enough, or there are no more; else None.

    Nothing is sure of a large level of which `few` boxes were looked at that are all alike.
    """
    rival = _Votes()
    roundings = {w: _Votes() for w in _ROUNDINGS} if way == Trial(Method.MEAN) else {}
    other = Trial(Method.MEAN if way.method is Method.STRIDE else Method.STRIDE)
    for number, tile in enumerate(tiles):
        if _share(way, tile, factors):
            return None
        rival.add(_share(other, tile, factors), tile)
        for rounding, said in roundings.items():
            if said.against < _MANY:
                said.add(_share(rounding, tile, factors), tile)
        sure = all(said.against >= _MANY for said in roundings.values())
        if number + 1 >= _ENOUGH and rival.against >= _PLENTY and (sure or number + 1 >= _TILES):
            break
    return Probe(
        trial=way,
        firm=rival.against >= _MANY or few < _LOOKED_AT,
        exact=all(said.against >= _MANY for said in roundings.values()),
        against={other.method: rival.against},
    )


def _boxes(fine: Array, coarse: Array, factors: tuple[int, ...], present: Callable[[Box], bool] | None) -> list[Box]:
    """Return boxes scattered over a level, where anything is stored, in no order."""
    shape = tuple(_tile_length(n, f) for n, f in zip(coarse.shape, factors, strict=True))
    if math.prod(shape) * math.prod(factors) * fine.dtype.itemsize > _MOST_TILE_BYTES:
        return []
    count = ChunkGrid(coarse.shape, shape).size
    most = _LOOKED_AT if present is None else _CONSIDERED
    worth = list(sampled_boxes(coarse, shape, min(1.0, most / max(count, 1))))
    if present is not None:
        worth = [box for box in worth if present(source_box(box, factors, fine.shape)[0])]
    some = worth[:: max(1, len(worth) // _LOOKED_AT)][:_LOOKED_AT]
    return [box for _, box in sorted(enumerate(some), key=lambda e: e[0] * _GOLDEN % 1)]


def _tiles(
    fine: Array, coarse: Array, factors: tuple[int, ...], boxes: Sequence[Box], *, around: bool
) -> Iterator[_Tile]:
    """Read boxes that are not all alike; `around`: with the finer voxels around them."""
    margins = tuple(max(h, f) if f > 1 else 0 for h, f in zip(halo("gaussian", factors), factors, strict=True))
    for box in boxes:
        below, lo, hi = source_box(box, factors, fine.shape, margins if around else None)
        try:
            tile = _Tile(box, coarse.read(box, threads=1), fine.read(below, threads=1), lo, hi)
        except (FormatError, StoreError, UnsupportedError):
            continue  # named when everything is read
        if tile.coarse.size and not _alike(tile.core):
            yield tile


def _tile_length(n: int, factor: int) -> int:
    # Several boxes also in small images: one damaged voxel must not spoil all of them.
    return max(1, min(_TILE if factor > 1 else 4, -(-n // 2)))


def _alike(voxels: NDArray[Any]) -> bool:
    return bool((voxels == voxels.flat[0]).all())


def _share(way: Trial, tile: _Tile, factors: tuple[int, ...]) -> float:
    """Return which share of a box a way does not explain."""
    # Margins beyond what the method looks at are cut off, as it demands.
    reach = halo(way.method, factors)
    lo = tuple(min(a, r) for a, r in zip(tile.lo, reach, strict=True))
    hi = tuple(min(a, r) for a, r in zip(tile.hi, reach, strict=True))
    part = tuple(
        slice(a - x, n - (b - y)) for a, b, x, y, n in zip(tile.lo, tile.hi, lo, hi, tile.fine.shape, strict=True)
    )
    expected = made_with_margin(way, tile.fine[part], factors, lo, hi)
    if expected is None or expected.dtype != tile.coarse.dtype:
        return 1.0
    shown, coarse = trimmed(expected, tile.coarse)
    bad = disagreeing(way, tile.core, coarse, shown, factors)
    return 0.0 if bad is None else float(bad.mean())


def trimmed(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the part that two arrays have in common, from index 0: lengths may be rounded up or down."""
    if a.shape == b.shape:
        return a, b
    common = tuple(slice(0, min(n, m)) for n, m in zip(a.shape, b.shape, strict=True))
    return a[common], b[common]


# ----------------------------------------------------------------------------------------------------------- moves
def _moved(tiles: Sequence[_Tile], factors: tuple[int, ...], best: Trial) -> tuple[Trial, tuple[int, ...]] | None:
    """Return a way, and by how many finer voxels a level is moved, when that explains all boxes."""
    if math.prod(factors) > _MOST_WINDOW:
        return None
    ranges = [range(-f, f + 1) if f > 1 else range(1) for f in factors]
    moves = sorted(itertools.product(*ranges), key=lambda m: sum(map(abs, m)))
    ways = dict.fromkeys((best, Trial(Method.MEAN), Trial(Method.MODE), Trial(Method.STRIDE)))
    for way in ways:
        for move in moves[: _MOST_MOVES * 3]:
            if any(move) and _explains(way, move, tiles, factors):
                return way, move
    return None


def _explains(way: Trial, move: tuple[int, ...], tiles: Sequence[_Tile], factors: tuple[int, ...]) -> bool:
    seen = told = 0
    for tile in tiles:
        part, windows = [], []
        for a, b, n, f, m, c in zip(tile.lo, tile.hi, tile.fine.shape, factors, move, tile.coarse.shape, strict=True):
            # Windows that lie wholly within what was read, moved or not.
            first = max(0, -((a + m) // f))
            stop = min(c, (n - a - m) // f, (n - a - b) // f)
            part.append(slice(a + m + first * f, max(a + m + first * f, a + m + stop * f)))
            windows.append(slice(first, max(first, stop)))
        fine, coarse = tile.fine[tuple(part)], tile.coarse[tuple(windows)]
        if not fine.size or _alike(fine):
            continue
        expected = made(way, fine, factors)
        if expected is None or expected.dtype != coarse.dtype or expected.shape != coarse.shape:
            return False
        if disagreeing(way, fine, coarse, expected, factors) is not None:
            return False
        seen += len(np.unique(coarse)) > 1
        told += coarse.size
    return seen >= min(2, len(tiles)) and told >= _TOLD_BY
