"""What reading tells: objects whose bytes are others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.hashing import Found, Wanted
from voxarium.archive.verify.listing import size_text
from voxarium.archive.verify.report import Problem
from voxarium.errors import Code, InputError
from voxarium.model.keys import checked_key
from voxarium.spec.manifest import Manifest

__all__ = ["Contents"]


class Contents:
    """Compares what was read with a manifest.

    Parameters
    ----------
    manifest : Manifest
        What should be there.
    algorithm : str
        Which digest is compared.
    sizes : array of int64
        Sizes found, per object of the manifest; negative = not there.
    """

    def __init__(self, manifest: Manifest, algorithm: str, sizes: NDArray[np.int64]) -> None:
        self._manifest = manifest
        self._algorithm = algorithm
        self._digests = manifest.digests(algorithm)
        self._sizes = sizes
        self._known: tuple[NDArray[np.uint64], NDArray[np.int64]] | None = None

    def iter_wanted(self, numbers: Iterable[int], elsewhere: list[Problem]) -> Iterator[Wanted]:
        """Yield what has to be read of the objects at `numbers`; places that are not followed go to `elsewhere`."""
        manifest = self._manifest
        for i in numbers:
            key, (place, start) = manifest.keys[i], manifest.location(i)
            if place == key and not start:
                yield Wanted(i, key, int(self._sizes[i]))
                continue
            try:
                yield Wanted(i, checked_key(place), int(manifest.sizes[i]), start, whole=False)
            except InputError:
                # A manifest from a stranger could otherwise make this machine ask any server.
                elsewhere.append(Problem(key, "elsewhere", place, None))

    def problem(self, found: Found) -> Problem | None:
        """Say what is wrong with an object that was read; None when nothing is."""
        i = found.wanted.number
        key, size = self._manifest.keys[i], int(self._manifest.sizes[i])
        if found.error is not None:
            short = found.error.code == Code.FILE_TRUNCATED and not found.wanted.whole
            return Problem(key, "truncated" if short else "unreadable", size_text(size), found.error.message)
        if found.digests is None:
            return Problem(key, "missing", size_text(size), None)
        digest = found.digests[self._algorithm]
        if digest == self._digests[i].tobytes() and found.wanted.size == size:
            return None
        # An object that was emptied has not the content of one that is empty: it has none.
        other = self._owner(digest, found.wanted.size) if found.wanted.size else None
        if other is not None:
            return Problem(key, "swapped", self._text(self._digests[i].tobytes()), f"the content of {other}")
        if found.wanted.size < size:
            return Problem(key, "truncated", size_text(size), size_text(found.wanted.size))
        if found.wanted.size > size:
            return Problem(key, "changed", size_text(size), size_text(found.wanted.size))
        return Problem(key, "changed", self._text(self._digests[i].tobytes()), self._text(digest))

    def _text(self, digest: bytes) -> str:
        return f"{self._algorithm}:{digest.hex()}"

    def _owner(self, digest: bytes, size: int) -> str | None:
        """Return the key of an object of the manifest that has this content."""
        if self._known is None:
            first = np.ascontiguousarray(self._digests[:, :8]).view(np.uint64)[:, 0]
            order = np.argsort(first, kind="stable")
            self._known = first[order], order
        values, order = self._known
        wanted = np.frombuffer(digest[:8], np.uint64)[0]
        at = int(np.searchsorted(values, wanted))
        while at < len(values) and values[at] == wanted:
            i = int(order[at])
            if self._digests[i].tobytes() == digest and int(self._manifest.sizes[i]) == size:
                return self._manifest.keys[i]
            at += 1
        return None
