"""What differs between two manifests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxarium.spec.manifest.entries import Manifest
from voxarium.spec.manifest.ordering import match
from voxarium.spec.manifest.strings import Strings

__all__ = ["Difference", "differences", "matching"]

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Difference:
    """Positions of entries that are not the same in two manifests.

    Parameters
    ----------
    removed : array of int64
        Positions in the old one.
    added : array of int64
        Positions in the new one.
    changed : array of int64, shape (n, 2)
        Position in the old one and in the new one of keys whose size or content differs.
    """

    removed: Positions
    added: Positions
    changed: Positions

    def __bool__(self) -> bool:
        return bool(len(self.removed) or len(self.added) or len(self.changed))


def matching(first: Strings, second: Strings) -> tuple[Positions, Positions]:
    """Return, for each of two lists of sorted texts, where its texts are in the other; -1 where they are not."""
    return match(first.offsets, first.data, second.offsets, second.data)


def differences(old: Manifest, new: Manifest) -> Difference:
    """Compare two manifests by key, size and SHA-256."""
    there, back = matching(old.keys, new.keys)
    mine = np.flatnonzero(there >= 0)
    yours = there[mine]
    # As eight-byte words: a comparison of 32 single bytes takes longer.
    same = (_words(old.sha256)[mine] == _words(new.sha256)[yours]).all(axis=1)
    same &= old.sizes[mine] == new.sizes[yours]
    return Difference(
        removed=np.flatnonzero(there < 0),
        added=np.flatnonzero(back < 0),
        changed=np.stack([mine[~same], yours[~same]], axis=1),
    )


def _words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(digests).view(np.uint64)
