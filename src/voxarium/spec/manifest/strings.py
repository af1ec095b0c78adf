"""Many texts in two arrays: their bytes one behind the other, and where each begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Strings"]

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """Texts as UTF-8.

    Parameters
    ----------
    offsets : array of int64, shape (n + 1,)
        Text i is ``data[offsets[i] : offsets[i + 1]]``.
    data : array of uint8
        All bytes.
    """

    offsets: NDArray[np.int64]
    data: NDArray[np.uint8]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Return texts given one by one. Half a surrogate pair, as in names that are not UTF-8, becomes no UTF-8 here.

        Examples
        --------
        >>> Strings.of(["b", "ä"]).data.tolist()
        [98, 195, 164]
        """
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(encoded), np.uint8))

    @classmethod
    def joined(cls, parts: Sequence[Strings]) -> Self:
        """Return the texts of several as one."""
        offsets, end = [np.zeros(1, np.int64)], 0
        for part in parts:
            offsets.append(part.offsets[1:] + end)
            end += int(part.offsets[-1])
        data = [part.data for part in parts]
        return cls(np.concatenate(offsets), np.concatenate(data) if data else np.empty(0, np.uint8))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> str:
        return self.raw(i).decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        for i in range(len(self)):
            yield self[i]

    def raw(self, i: int) -> bytes:
        """Return the bytes of a text."""
        return self.data[self.offsets[i] : self.offsets[i + 1]].tobytes()

    def name(self, i: int) -> str:
        """Return a text as it was given to `of`, even if it is no UTF-8."""
        return self.raw(i).decode("utf-8", "surrogatepass")

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each text."""
        return np.diff(self.offsets)

    def is_utf8(self) -> bool:
        """Tell whether every text is UTF-8."""
        starts = self.offsets[:-1][self.lengths > 0]
        if bool(((self.data[starts] & 0xC0) == 0x80).any()):
            return False
        first, count = 0, len(self)
        while first < count:  # whole texts, about 1 MB of them at a time
            stop = int(np.searchsorted(self.offsets, self.offsets[first] + _PIECE, "right")) - 1
            stop = min(max(stop, first + 1), count)
            try:
                self.data[self.offsets[first] : self.offsets[stop]].tobytes().decode("utf-8")
            except UnicodeDecodeError:
                return False
            first = stop
        return True
