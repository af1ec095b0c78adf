"""The objects of one array, ticked off as a listing goes by."""

from __future__ import annotations

import os.path
from array import array as numbers
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from voxarium.core.array import Array
from voxarium.errors import VoxariumError
from voxarium.model.checking import Sheet
from voxarium.model.edits import Edit
from voxarium.model.protocols import KeyedDriver, PayloadDriver
from voxarium.validation.census.names import KeySpelling, is_leftover, is_noise, without_packing
from voxarium.validation.census.sizes import size_bounds
from voxarium.validation.objects import MOST_MAPPED, Group, ObjectMap, ObjectState, object_grid

__all__ = ["ArrayCount", "Beside", "Roll"]

_MOST_REPAIRS: Final = 50_000
_UNPACKED: Final = (".gz", ".br", ".zst")  # what repairs can unpack
_COPY: Final = "copy it again from its source"
_PACKED, _MISSPELT = 1, 2
_PART: Final = 1 << 20
_MOST_PLACES: Final = 1 << 21
_LARGEST: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayCount:
    """The objects of one array.

    Parameters
    ----------
    expected, present : int
        Objects in the grid, and those of them that exist.
    misnamed : int
        Objects that exist under another name only.
    nbytes : int
        Bytes of those that exist.
    """

    expected: int
    present: int
    misnamed: int
    nbytes: int

    @property
    def absent(self) -> int:
        """Objects that exist under no name."""
        return self.expected - self.present - self.misnamed


class Roll:
    """The objects of one array.

    Parameters
    ----------
    array : Array
        As it is stored.
    driver : KeyedDriver
        Its driver.
    what : str
        What messages call it.
    room : int
        Objects of which a map may be kept.
    """

    def __init__(self, array: Array, driver: KeyedDriver, what: str, room: int = MOST_MAPPED) -> None:
        self.array, self.what = array, what
        self._driver, self._path, self._info = driver, array.path, array.info
        grid = object_grid(array)
        self.counts, self.expected = grid.counts, grid.size
        self.states: bytearray | None = bytearray(self.expected) if self.expected <= room else None
        self.folder = self._folder()
        self.prefix = f"{self.folder}/" if self.folder else ""
        self._least, self._most, self._exact = size_bounds(array)
        self._spelling = KeySpelling(driver, array.path, array.info, self.prefix)
        self._meant: dict[int, tuple[int, str, str]] = {}  # object: in what way, key found, key meant
        self._places = numbers("q")
        self._misnamed: bytearray | None = None
        self._misnamed_unmapped = [0, 0, 0]
        self.present = self.nbytes = self.misnamed = self.extra = 0
        self._wrong = {name: Group() for name in ("empty", "small", "exact", "large", "outside", "leftover")}

    def _folder(self) -> str:
        """Return the folder that all objects are in."""
        first, other = (self._driver.object_key(self._path, self._info, (i,) * self._info.ndim) for i in (0, 1))
        if not self._path or first.startswith(f"{self._path}/"):
            return self._path
        return os.path.commonpath([first, other])

    # -------------------------------------------------------------------------------------------- while listing
    def take(self, key: str, size: int) -> bool:
        """Tick off an object; tell whether it is one of this array's."""
        index = self._driver.object_index(self._path, self._info, key)
        if index is None:
            return False
        flat = 0
        for i, n in zip(index, self.counts, strict=True):
            if not 0 <= i < n or i > _LARGEST:
                self.extra += 1
                self._wrong["outside"].add(key)
                return True
            flat = flat * n + i
        self.present += 1
        self.nbytes += size
        state = 1
        if size < self._least or size > self._most or (self._exact is not None and size != self._exact):
            state = self._missized(key, size)
        if self.states is not None:
            self.states[flat] = state
        elif self.present <= _MOST_PLACES:
            self._places.extend(index)
        return True

    def _missized(self, key: str, size: int) -> int:
        if size == 0:
            kind = "empty"
        elif self._exact is not None:
            kind = "exact"
        else:
            kind = "small" if size < self._least else "large"
        self._wrong[kind].add(key)
        return ObjectState.EMPTY if kind == "empty" else ObjectState.WRONG_SIZE

    def stray(self, key: str) -> bool:
        """Look whether a key that is none of this array's was meant to be; tell whether that is so."""
        plain = without_packing(key)
        if plain is not None:
            index = self._driver.object_index(self._path, self._info, plain)
            if index is not None:
                return self._misname(_PACKED, key, plain, index)
        meant = self._spelling.meant(key)
        if meant is not None:
            return self._misname(_MISSPELT, key, *meant)
        if is_leftover(key[len(self.prefix) :]):
            self.extra += 1
            self._wrong["leftover"].add(key)
            return True
        return False

    def _misname(self, way: int, key: str, plain: str, index: tuple[int, ...]) -> bool:
        if any(not 0 <= i < n for i, n in zip(index, self.counts, strict=True)):
            return False
        if self.states is None:
            self._misnamed_unmapped[way] += 1
            self.misnamed += 1
            flat = -1 - len(self._meant)
        else:
            self._misnamed = self._misnamed or bytearray(self.expected)
            flat = int(np.ravel_multi_index(index, self.counts))
            self._misnamed[flat] = way
        if len(self._meant) < _MOST_REPAIRS:
            self._meant[flat] = (way, key, plain)
        return True

    # ------------------------------------------------------------------------------------------------ afterwards
    def map(self) -> ObjectMap:
        """Return what is known of the objects."""
        states = None if self.states is None else np.frombuffer(self.states, np.uint8).reshape(self.counts)
        places = None
        if states is None and self.present <= _MOST_PLACES:
            places = np.array(self._places, np.int64).reshape(-1, len(self.counts))
        shape = self._info.object_shape
        return ObjectMap(path=self.array.path, counts=self.counts, object_shape=shape, states=states, places=places)

    def total(self) -> ArrayCount:
        """Return how many there are."""
        return ArrayCount(expected=self.expected, present=self.present, misnamed=self.misnamed, nbytes=self.nbytes)

    def key(self, index: tuple[int, ...]) -> str:
        """Return the key of an object."""
        return self._driver.object_key(self._path, self._info, index)

    def report(self, sheet: Sheet) -> None:
        """Report what is wrong with the objects of this array."""
        self._report_misnamed(sheet)
        wrong, of = self._wrong, f"of {self.what}"
        wrong["empty"].report(sheet, "CE-005", f"{of} <have> no bytes", _COPY)
        wrong["small"].report(
            sheet, "CE-010", f"{of} <are> smaller than any can be", _COPY, expected=f"at least {self._least} bytes"
        )
        wrong["exact"].report(
            sheet, "CE-010", f"{of} <have> not the size of their voxels", _COPY, expected=f"{self._exact} bytes"
        )
        wrong["large"].report(
            sheet,
            "CE-010",
            f"{of} <are> far larger than their voxels",
            "look what is in them",
            expected=f"at most {self._most} bytes",
            level="should",
        )
        wrong["outside"].report(
            sheet, "CE-008", f"<lie> outside the grid {self.counts} {of}", "correct the shape, or remove them"
        )
        wrong["leftover"].report(
            sheet, "CE-009", f"of an unfinished writer <lie> in {self.what}", "remove them, and check what it wrote"
        )
        self._report_absent(sheet)

    def _report_misnamed(self, sheet: Sheet) -> None:
        """Report objects that readers do not find, and those they find although there is another of the kind."""
        hidden = np.zeros(3, np.int64)
        beside = np.zeros(3, np.int64)
        if self._misnamed is not None and self.states is not None:
            ways, states = np.frombuffer(self._misnamed, np.uint8), np.frombuffer(self.states, np.uint8)
            absent = states == ObjectState.ABSENT
            hidden = np.bincount(ways[absent], minlength=3)
            beside = np.bincount(ways[~absent], minlength=3)
            self.misnamed = int(hidden[1:].sum())
            states[(ways != 0) & absent] = ObjectState.MISNAMED
        elif self.misnamed:
            hidden = np.array(self._misnamed_unmapped)
        for way, rule, says in ((_PACKED, "CE-006", _PACKED_TEXT), (_MISSPELT, "CE-007", _MISSPELT_TEXT)):
            self.extra += int(beside[way])
            self._group(way, int(hidden[way]), hidden=True).report(sheet, rule, f"of {self.what} {says[0]}", says[1])
            self._group(way, int(beside[way]), hidden=False).report(
                sheet, rule, f"of {self.what} {says[2]}", "remove those that are out of date", level="should"
            )

    def _group(self, way: int, count: int, *, hidden: bool) -> Group:
        group = Group(_MOST_REPAIRS)
        for flat, (how, key, plain) in self._meant.items():
            absent = flat < 0 or self.states is None or self.states[flat] == ObjectState.MISNAMED
            if how == way and absent == hidden and count:
                certain = hidden and way == _PACKED and count <= _MOST_REPAIRS
                action = self._mend(key) if certain else None
                group.add(key, None if action is None else Edit(key=key, action=action, value=plain))
        group.count = count
        return group

    def _mend(self, key: str) -> str | None:
        """Return what makes an object named after a compressor the object it stands for; None when that is not sure."""
        if self._is_whole(key):
            return "move"
        known = getattr(self.array.driver, "packed_suffixes", ())  # who reads such names knows that they are packed
        return "unpack" if key.endswith(tuple(s for s in known if s in _UNPACKED)) else None

    def _is_whole(self, key: str) -> bool:
        """Tell whether an object is a chunk of this array just as it is, whatever its name says."""
        driver, info = self.array.driver, self._info
        if not isinstance(driver, PayloadDriver) or info.shard_shape is not None or info.clipped:
            return False
        try:
            payload = self.array.store.get(key)
            return payload is not None and driver.decode(info, payload).shape == info.chunk_shape
        except VoxariumError:
            return False

    def _report_absent(self, sheet: Sheet) -> None:
        absent = self.total().absent
        if not absent:
            return
        group = Group()
        for index in self._first_absent():
            group.add(self.key(index))
        group.keys = group.keys or [self.array.path]
        group.count = absent
        out_of = "all there are" if absent == self.expected else f"out of {self.expected:,}"
        group.report(
            sheet,
            "CE-002",
            f"of {self.what}, {out_of}, <are> absent and read as {self._info.fill_value}",
            "none is needed where the source holds nothing but that",
            expected=0,
        )

    def _first_absent(self) -> Iterator[tuple[int, ...]]:
        if self.states is None:
            return
        states, found = np.frombuffer(self.states, np.uint8), 0
        for at in range(0, states.size, _PART):
            for flat in np.flatnonzero(states[at : at + _PART] == ObjectState.ABSENT)[: 8 - found]:
                found += 1
                yield tuple(int(i) for i in np.unravel_index(at + int(flat), self.counts))
            if found == 8:
                return


_PACKED_TEXT: Final = (
    "<are> named after a compressor, so that readers find nothing there",
    "rename them, unpacked unless that is how the codecs pack chunks",
    "<are> there twice, once named after a compressor",
)
_MISSPELT_TEXT: Final = (
    "<have> names other than the metadata says, so that readers find nothing there",
    "correct separator and prefix in the metadata, or rename the objects",
    "<are> there twice, once under a name that the metadata does not make",
)


class Beside:
    """Objects that belong to nothing."""

    __slots__ = ("_beside", "_inside", "_leftover", "count")

    def __init__(self) -> None:
        self._inside, self._beside, self._leftover = Group(), Group(), Group()
        self.count = 0

    def take(self, key: str, roll: Roll | None) -> None:
        """Note one."""
        self.count += 1
        if is_noise(key):
            self._beside.add(key)
        elif roll is None and is_leftover(key):
            self._leftover.add(key)
        else:
            (self._beside if roll is None else self._inside).add(key)

    def report(self, sheet: Sheet) -> None:
        """Report all of them."""
        self._leftover.report(sheet, "CE-009", "of an unfinished writer", "remove them, and check what it wrote")
        self._inside.report(sheet, "CE-011", "in folders of arrays <belong> to nothing", "move or remove them")
        self._beside.report(sheet, "CE-012", "<belong> to nothing this format knows", "move or remove them")
