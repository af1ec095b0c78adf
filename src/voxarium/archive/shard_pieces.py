"""Edited shards as byte ranges: what is untouched stays where it is, what is new is stored once by its content.

Where a format leaves the order of chunks free, new chunks go behind the old ones, whose bytes then lie unused in the
middle: so no other chunk moves, and an index differs from the old one in a few bytes. Formats that prescribe an order
get it; chunks that stay in neighbouring places are still one range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.core.composed import ComposedStore, Composition
from voxarium.core.index_cache import BoundedIndexCache
from voxarium.core.release_store import ReleaseStore
from voxarium.errors import Code, StoreError, UnsupportedError
from voxarium.model.protocols import ByteRange, ShardedArrayDriver, ShardLayout, Span
from voxarium.spec.release import Edit, Piece, dump_pieces, is_composed, pieces_key, pool_key

__all__ = ["EditedShard", "Put"]

Put = Callable[[Callable[[str], str], bytes], str]
"""Stores bytes under a key made of their SHA-256; returns the key."""

_ABSENT: Final = 2**64 - 1
_INLINE: Final = 4096  # bytes that stand in the list itself
_LEAST_KEPT: Final = 0.2  # of what is new
_GAP: Final = 96  # naming a range takes about so many bytes


@dataclass(frozen=True, slots=True)
class _Old:
    """A stored shard as it is: its pieces, and where each chunk lies (by slot)."""

    composition: Composition
    spans: Mapping[int, Span]


class EditedShard:
    """One shard of an array in a release or draft, some chunks of which are others.

    Parameters
    ----------
    view : ReleaseStore
        The release or draft.
    array : Array
        The array, opened in it.
    index : tuple of int
        Which shard.
    payloads : mapping of int to (bytes or None)
        New chunks by slot (position in C order within a whole shard); None: nothing but fill value.
    put : Put
        Where new bytes go.
    """

    def __init__(
        self,
        view: ReleaseStore,
        array: Array,
        index: tuple[int, ...],
        payloads: Mapping[int, bytes | None],
        put: Put,
    ) -> None:
        self._view = view
        self._array = array
        self._driver = cast("ShardedArrayDriver", array.driver)
        self._index = index
        self._payloads = payloads
        self._put = put
        self._new: dict[str, bytes] = {}  # what will be stored if it is used
        self.key = self._driver.object_key(array.path, array.info, index)
        self._layout: ShardLayout = self._driver.shard_layout(array.info)
        self._old = self._read_old()

    # ------------------------------------------------------------------------------------------------------- as it was
    @property
    def _per_shard(self) -> tuple[int, ...]:
        info = self._array.info
        return tuple(s // c for s, c in zip(info.object_shape, info.chunk_shape, strict=True))

    def _read_old(self) -> _Old:
        per_shard, counts = self._per_shard, self._array.grid.counts
        slots = np.arange(math.prod(per_shard))
        places = np.stack(np.unravel_index(slots, per_shard), axis=1) + np.array(self._index) * per_shard
        inside = (places < counts).all(axis=1)
        found = self._driver.locate(
            self._view, self._array.path, self._array.info, list(map(tuple, places[inside].tolist())),
            BoundedIndexCache(),
        )  # fmt: skip
        spans = {int(s): span for s, span in zip(slots[inside], found, strict=True) if span is not None}
        if any(span.length is None or span.key != self.key for span in spans.values()):
            raise UnsupportedError(
                f"{self.key} is no shard whose chunks can be told apart",
                code=Code.FEATURE_UNSUPPORTED,
                fix="convert the image to sharded Zarr v3 first",
            )
        return _Old(self._composition(), spans)

    def _composition(self) -> Composition:
        manifest = self._view.manifest
        i = manifest.find(self.key)
        if i < 0:
            return Composition.of([])
        place, start = manifest.location(i)
        if manifest.composed and is_composed(place):
            found = ComposedStore(self._view.inner).composition(place)
            if found is None:
                raise StoreError(f"{place} is gone", code=Code.STORE_UNREADABLE, fix="restore it from a copy")
            return found
        return Composition.of([Piece(place, start, int(manifest.sizes[i]))])

    def _parts(self, slot: int) -> list[Piece]:
        """Return where the bytes of a chunk are; nothing for one that is absent."""
        if slot in self._payloads:
            data = self._payloads[slot]
            return [] if data is None else [self._stored(data)]
        span = self._old.spans.get(slot)
        return [] if span is None else list(self._old.composition.parts(span.start, span.start + (span.length or 0)))

    def _stored(self, data: bytes) -> Piece:
        key = pool_key(sha256(data).hexdigest())
        self._new[key] = data
        return Piece(key, 0, len(data))

    # -------------------------------------------------------------------------------------------------------- as it is
    def edit(self) -> Edit:
        """Return the shard as a list of pieces; whole, when hardly anything of it is old."""
        free = self._layout.order is None and not self._layout.dense
        pieces, table = self._appended() if free else self._ordered()
        if not self._worthwhile(table):
            return self.whole()
        head, tail = self._ends(table)
        whole = _merged([*self._changed(head, 0), *pieces, *self._changed(tail, -len(tail))])
        composition = Composition.of(whole)
        for key in {p.key for p in whole} & self._new.keys():
            self._put(pool_key, self._new[key])
        return Edit(self._put(pieces_key, dump_pieces(composition.pieces)), composition.size)

    def _worthwhile(self, table: NDArray[np.uint64]) -> bool:
        """Tell whether enough of a shard stays where it is: all of it would take a fifth more than what is new."""
        base = self._base()
        if base is None:
            return False
        live = int(table[table[:, 1] != _ABSENT, 1].sum())
        kept = sum(
            p.length
            for slot, span in self._old.spans.items()
            if slot not in self._payloads
            for p in self._old.composition.parts(span.start, span.start + (span.length or 0))
            if p.key == base
        )
        return kept > _LEAST_KEPT * (live - kept)

    def _base(self) -> str | None:
        """Return the key of the object of which most is used; None when there is none."""
        pieces = [p for p in self._old.composition.pieces if p.key]
        return max(pieces, key=lambda p: p.length).key if pieces else None

    def whole(self) -> Edit:
        """Return the shard as one object, without unused bytes."""
        pieces, table = self._ordered()
        head, tail = self._ends(table)
        data = b"".join([head, *self._read(pieces), tail])
        return Edit(self._put(pool_key, data), len(data))

    def _read(self, pieces: Sequence[Piece]) -> Iterator[bytes]:
        for piece in _merged(pieces):
            if not piece.key:
                yield piece.data
                continue
            if piece.key in self._new:
                yield self._new[piece.key][piece.start : piece.start + piece.length]
                continue
            found = self._view.inner.get_ranges(piece.key, [ByteRange(piece.start, piece.length)])
            if found is None:
                raise StoreError(f"{piece.key} is gone", code=Code.STORE_UNREADABLE, fix="restore it from a copy")
            yield bytes(found[0])

    def _ends(self, table: NDArray[np.uint64]) -> tuple[bytes, bytes]:
        return self._driver.pack_shard(self._array.info, self._index, table)

    def _ordered(self) -> tuple[list[Piece], NDArray[np.uint64]]:
        """Return chunks one behind the other, in the order of the format, and the table of their places."""
        table = np.full((math.prod(self._per_shard), 2), _ABSENT, np.uint64)
        order = range(len(table)) if self._layout.order is None else self._layout.order.tolist()
        pieces: list[Piece] = []
        at = self._layout.head
        for slot in order:
            parts = self._parts(slot)
            if not parts and self._layout.dense:
                parts = [self._fill()]
            if parts:
                length = sum(p.length for p in parts)
                table[slot] = at, length
                at += length
                pieces += parts
        return pieces, table

    def _fill(self) -> Piece:
        info = self._array.info
        return self._stored(bytes(self._driver.encode(info, np.full(info.chunk_shape, info.fill_value, info.dtype))))

    def _appended(self) -> tuple[list[Piece], NDArray[np.uint64]]:
        """Return the oldest range as it is, and what is not in it behind it."""
        base = self._main()
        if base is None:
            return self._ordered()
        first = self._layout.head
        table = np.full((math.prod(self._per_shard), 2), _ABSENT, np.uint64)
        moved: list[int] = []
        for slot in sorted({*self._old.spans, *self._payloads}):
            span = self._old.spans.get(slot)
            if slot in self._payloads or span is None:
                moved.append(slot)
            elif first <= span.start and span.start + (span.length or 0) <= first + base.length:
                table[slot] = span.start, span.length or 0
            else:
                moved.append(slot)
        pieces, at = [base], first + base.length
        for slot in moved:
            parts = self._parts(slot)
            if parts:
                length = sum(p.length for p in parts)
                table[slot] = at, length
                at += length
                pieces += parts
        return pieces, table

    def _main(self) -> Piece | None:
        """Return the range that holds the chunks of the object that was edited first."""
        composition = self._old.composition
        head = self._layout.head
        tail = len(self._ends(np.full((math.prod(self._per_shard), 2), _ABSENT, np.uint64))[1])
        data = composition.size - tail
        if data <= head:
            return None
        # Behind the head, which may be in several pieces, there is one range of chunks that were never moved.
        base = next(composition.parts(head, data), None)
        return base if base is not None and base.key else None

    def _changed(self, data: bytes, start: int) -> Iterator[Piece]:
        """Yield the pieces of an end of the shard: ranges of the same end of the old object, and new bytes."""
        old = self._old_end(data, start) if data else None
        if old is None:
            yield from self._given(data)
            return
        key, at, before = old
        differs = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(data, np.uint8)).tolist()
        done = 0
        for first, stop in _runs(differs):
            if first > done:
                yield Piece(key, at + done, first - done)
            yield from self._given(data[first:stop])
            done = stop
        if done < len(data):
            yield Piece(key, at + done, len(data) - done)

    def _given(self, data: bytes) -> Iterator[Piece]:
        if data:
            yield Piece("", 0, len(data), data) if len(data) <= _INLINE else self._stored(data)

    def _old_end(self, data: bytes, start: int) -> tuple[str, int, bytes] | None:
        """Return key, first byte and bytes of the same end of the old object; None when it has none."""
        base = self._base()
        stat = None if base is None else self._view.inner.stat(base)
        if base is None or stat is None or stat.size < len(data):
            return None
        at = start if start >= 0 else stat.size + start
        found = self._view.inner.get_ranges(base, [ByteRange(at, len(data))])
        return None if found is None else (base, at, bytes(found[0]))


def _runs(positions: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, behind the last) of runs of positions; runs that nearly touch are one."""
    first = last = -1
    for at in positions:
        if first >= 0 and at - last > _GAP:
            yield first, last + 1
            first = at
        elif first < 0:
            first = at
        last = at
    if first >= 0:
        yield first, last + 1


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Return pieces with neighbouring ranges of one object as one."""
    out: list[Piece] = []
    for piece in pieces:
        last = out[-1] if out else None
        if last is not None and piece.key and last.key == piece.key and last.start + last.length == piece.start:
            out[-1] = Piece(last.key, last.start, last.length + piece.length)
        elif last is not None and not piece.key and not last.key:
            out[-1] = Piece("", 0, last.length + piece.length, last.data + piece.data)
        else:
            out.append(piece)
    return out
