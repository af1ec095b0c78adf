"""What is known of stored objects: one byte each, to be counted and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.core.cropped import PartOfArray
from voxarium.core.dataset import names_text
from voxarium.model.box import Box
from voxarium.model.checking import Sheet
from voxarium.model.edits import Edit
from voxarium.model.grid import ChunkGrid
from voxarium.model.protocols import KeyedDriver
from voxarium.model.rules import Level

__all__ = ["MOST_MAPPED", "Group", "ObjectMap", "ObjectState", "box_text", "is_keyed", "object_grid", "stored_array"]

MOST_MAPPED: Final = 1 << 26
"""Objects of an array of which a map is kept: 64 MiB."""
_NAMED: Final = 5
_VERBS: Final = {"are": "is", "have": "has", "lie": "lies", "belong": "belongs", "end": "ends"}


class ObjectState(IntEnum):
    """What is known of one stored object."""

    ABSENT = 0
    PRESENT = 1
    EMPTY = 2
    MISNAMED = 3
    WRONG_SIZE = 4
    CORRUPT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMap:
    """The objects of one array.

    Parameters
    ----------
    path : str
        Path of the array in the store.
    counts : tuple of int
        Objects along each axis.
    object_shape : tuple of int
        Voxels per object.
    states : ndarray of uint8, shape `counts`, or None
        An `ObjectState` each; None where there would be more than `MOST_MAPPED`.
    places : ndarray of int64, shape (objects, axes), or None
        Where there is no map: which objects are present, unless they are too many as well.
    """

    path: str
    counts: tuple[int, ...]
    object_shape: tuple[int, ...]
    states: NDArray[np.uint8] | None
    places: NDArray[np.int64] | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        states = np.zeros(0, np.uint8) if self.states is None else self.states
        return np.array(states, dtype, copy=copy)

    def count(self, state: ObjectState) -> int:
        """Return how many objects are in a state; 0 where no map is kept."""
        return 0 if self.states is None else int(np.count_nonzero(self.states == state))

    def state(self, index: tuple[int, ...]) -> ObjectState | None:
        """Return the state of an object; None where no map is kept."""
        return None if self.states is None else ObjectState(int(self.states[index]))


def stored_array(array: Array) -> Array:
    """Return the array as it is stored, where what is shown is a part of it."""
    return array.stored if isinstance(array, PartOfArray) else array


def is_keyed(array: Array) -> bool:
    """Tell whether the stored objects of an array lie in a grid, each with a key of its own."""
    shares = getattr(array.driver, "shares_objects", None)  # an ability of few: shards that are no boxes
    return isinstance(array.driver, KeyedDriver) and (shares is None or not shares(array.info))


def object_grid(array: Array) -> ChunkGrid:
    """Return the grid of stored objects."""
    return ChunkGrid(array.info.shape, array.info.object_shape)


def box_text(box: Box) -> str:
    """Return a box as the indices it spans.

    Examples
    --------
    >>> box_text(Box((0, 5), (4, 2)))
    '[0:4, 5:7]'
    """
    return f"[{', '.join(f'{a}:{b}' for a, b in zip(box.origin, box.stop, strict=True))}]"


class Group:
    """Things of one kind that are wrong in one way: the first few are named, the rest counted.

    Parameters
    ----------
    most_repairs : int
        How many repairs are kept.
    """

    __slots__ = ("_most", "count", "keys", "repairs")

    def __init__(self, most_repairs: int = 0) -> None:
        self.count = 0
        self.keys: list[str] = []
        self.repairs: list[Edit] = []
        self._most = most_repairs

    def add(self, key: str, repair: Edit | None = None) -> None:
        """Count one more."""
        self.count += 1
        if len(self.keys) < _NAMED:
            self.keys.append(key)
        if repair is not None and len(self.repairs) < self._most:
            self.repairs.append(repair)

    def report(
        self,
        sheet: Sheet,
        rule: str,
        what: str,
        fix: str,
        *,
        expected: Any = None,  # Any: JSON
        level: Level | None = None,
    ) -> None:
        """Report them as one finding, if there are any; `what` says what they are, behind
        their number, with verbs such as ``<are>``.
        """
        if not self.count:
            return
        sheet.key = self.keys[0]
        one = self.count == 1
        for word, alone in _VERBS.items():
            what = what.replace(f"<{word}>", alone if one else word)
        names = names_text(self.keys, _NAMED)
        more = f" and {self.count - len(self.keys):,} more" if self.count > len(self.keys) else ""
        plural = "object" if one else "objects"
        sheet.report(
            rule,
            f"{self.count:,} {plural} {what}: {names}{more}",
            fix,
            said=(None, level),
            values=(expected, self.count),
            repair=tuple(self.repairs) if len(self.repairs) == self.count else (),
        )
