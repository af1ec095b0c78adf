"""Objects put together of byte ranges of others, readable like any other object."""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, BinaryIO, Final, NoReturn, TypeVar, cast

from typing_extensions import Buffer

from voxarium.core.releases import read_bounded
from voxarium.errors import Code, FormatError, NotFoundError, StoreError
from voxarium.model.keys import resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat, ReadableStore
from voxarium.model.ranged import open_ranged
from voxarium.model.wrapping import Operation, StoreWrapper
from voxarium.spec.release import MOST_PIECES, PIECES, Piece, is_composed, parse_pieces

__all__ = ["ComposedStore", "Composition"]

_T = TypeVar("_T")
_KEPT: Final = 64 << 20  # bytes of lists


@dataclass(frozen=True, slots=True)
class Composition:
    """The pieces of an object, and where in it each ends."""

    pieces: tuple[Piece, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> Composition:
        """Return pieces with their places.

        Examples
        --------
        >>> Composition.of([Piece("a", 5, 3), Piece("b", 0, 4)]).ends
        (3, 7)
        """
        return cls(tuple(pieces), tuple(itertools.accumulate(p.length for p in pieces)))

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self.ends[-1] if self.ends else 0

    def parts(self, start: int, stop: int) -> Iterator[Piece]:
        """Yield the parts of pieces that make up a range of the object.

        Examples
        --------
        >>> list(Composition.of([Piece("a", 5, 3), Piece("", 0, 2, b"xy")]).parts(2, 4))
        [Piece(key='a', start=7, length=1, data=b''), Piece(key='', start=0, length=1, data=b'x')]
        """
        i = bisect_right(self.ends, start)
        while start < stop:
            piece, end = self.pieces[i], self.ends[i]
            skip, length = start - (end - piece.length), min(stop, end) - start
            if piece.key:
                yield Piece(piece.key, piece.start + skip, length)
            else:
                yield Piece("", 0, length, piece.data[skip : skip + length])
            start, i = start + length, i + 1


class ComposedStore(StoreWrapper):
    """A dataset in which the key of a list of pieces stands for the object that the list describes.

    Parameters
    ----------
    inner : ReadableStore
        The dataset as stored.
    """

    def __init__(self, inner: ReadableStore) -> None:
        super().__init__(inner)
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Composition, int]] = OrderedDict()
        self._bytes = 0
        self._answers: dict[str, Callable[[Operation], Any]] = {
            "get": self._get,
            "get_ranges": self._get_ranges,
            "stat": self._stat,
            "open_file": self._open_file,
            "local_path": lambda _operation: None,
        }

    def around(self, operation: Operation, call: Callable[[], _T]) -> _T:
        """Do an operation, on the described object where a list of pieces is meant."""
        answer = self._answers.get(operation.method) if is_composed(operation.key) else None
        return call() if answer is None else cast("_T", answer(operation))

    def _get(self, operation: Operation) -> bytes | None:
        found = self.composition(operation.key)
        return None if found is None else bytes(self._read(operation.key, found, [ByteRange(0, found.size)])[0])

    def _get_ranges(self, operation: Operation) -> Sequence[Buffer] | None:
        found = self.composition(operation.key)
        return None if found is None else self._read(operation.key, found, operation.ranges)

    def _stat(self, operation: Operation) -> ObjectStat | None:
        found = self.composition(operation.key)
        return None if found is None else ObjectStat(found.size, operation.key.rpartition("/")[2])

    def _open_file(self, operation: Operation) -> BinaryIO:
        found = self.composition(operation.key)
        if found is None:
            raise NotFoundError(f"no object {operation.key!r}", code=Code.PATH_MISSING, fix="restore it from a copy")
        return open_ranged(self, operation.key, found.size)

    def composition(self, key: str) -> Composition | None:
        """Return the pieces of an object by the key of their list; None when there is no such list.

        Raises
        ------
        StoreError
            If it is not what its name says.
        """
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                return found[0]
        data = read_bounded(self.inner, key, MOST_PIECES)
        if data is None:
            return None
        if key != f"{PIECES}/{sha256(data).hexdigest()}":
            self._broken(key, "is not what its name says")
        try:
            composition = Composition.of(parse_pieces(data, key))
        except FormatError as error:
            self._broken(key, error.message)
        with self._lock:
            if key not in self._known:
                self._known[key] = composition, len(data)
                self._bytes += len(data)
            while self._bytes > _KEPT and len(self._known) > 1:
                self._bytes -= self._known.popitem(last=False)[1][1]
        return composition

    def _read(self, key: str, composition: Composition, ranges: Sequence[ByteRange]) -> list[Buffer]:
        parts = [list(composition.parts(*resolve_range(r, composition.size))) for r in ranges]
        wanted: dict[str, list[Piece]] = {}
        for part in itertools.chain.from_iterable(parts):
            if part.key:
                wanted.setdefault(part.key, []).append(part)
        found: dict[str, Iterator[Buffer]] = {}
        for place, pieces in wanted.items():
            got = self.inner.get_ranges(place, [ByteRange(p.start, p.length) for p in pieces])
            if got is None:
                self._broken(key, f"needs {place}, which is gone")
            if any(memoryview(data).nbytes != p.length for data, p in zip(got, pieces, strict=True)):
                self._broken(key, f"needs more of {place} than there is")
            found[place] = iter(got)
        out: list[Buffer] = []
        for row in parts:
            data = [next(found[p.key]) if p.key else p.data for p in row]
            out.append(data[0] if len(data) == 1 else b"".join(data))
        return out

    def _broken(self, key: str, what: str) -> NoReturn:
        raise StoreError(
            f"{key} in {self.inner.uri} {what}",
            code=Code.CHECKSUM_MISMATCH,
            fix="restore it from a copy; `voxarium release verify` names all that is not as it was",
        )
