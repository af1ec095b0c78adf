"""Taking the census: one listing, every key looked at once."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.errors import UnsupportedError
from voxarium.model.checking import Sheet
from voxarium.model.protocols import KeyedDriver, ListableStore
from voxarium.model.rules import Finding
from voxarium.validation.census.levels import orphans
from voxarium.validation.census.roll import ArrayCount, Beside, Roll
from voxarium.validation.census.rules import RULES
from voxarium.validation.objects import MOST_MAPPED, Group, ObjectMap, is_keyed, stored_array

__all__ = ["CensusResult", "CheckedArray", "checked_levels", "take_census"]

_STEP: Final = 10_000  # keys between two reports of progress
_MOST_COMPARED: Final = 1 << 25


@dataclass(frozen=True, slots=True)
class CheckedArray:
    """An array whose objects are counted.

    Parameters
    ----------
    array : Array
        The opened array.
    what : str
        What messages call it, such as ``level 0``.
    finer : int or None
        Position, among the arrays given, of the level it was made from.
    """

    array: Array
    what: str
    finer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CensusResult:
    """What a census found.

    Parameters
    ----------
    findings : tuple of Finding
        What is wrong.
    counts : mapping of str to ArrayCount
        By path of the array; arrays whose objects have no keys of their own are left out.
    maps : mapping of str to ObjectMap
        The same arrays, object by object.
    keys, extra, nbytes : int
        Objects listed, those of them that belong to nothing, and the bytes of all.
    listed : bool
        False when the store cannot be listed: then nothing is known.
    """

    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, ArrayCount] = field(default_factory=dict)
    maps: Mapping[str, ObjectMap] = field(default_factory=dict)
    keys: int = 0
    extra: int = 0
    nbytes: int = 0
    listed: bool = True


def checked_levels(image: Image) -> list[CheckedArray]:
    """Return the levels of an image, each with the finer one it was made from."""
    return [CheckedArray(a, f"level {i}", i - 1 if i else None) for i, a in enumerate(image.arrays)]


def take_census(
    arrays: Sequence[CheckedArray],
    *,
    known: Callable[[str], bool],
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    root: str | None = None,
) -> CensusResult:
    """Count the objects of arrays in one store by listing them once.

    Memory is one byte per object of the arrays' grids, and does not grow with the number of keys.

    Parameters
    ----------
    arrays : sequence of CheckedArray
        All of one store.
    known : callable
        Tells whether a key belongs to something else: a document, another image.
    threads : int or None
        Not used yet.
    progress : callable or None
        Called with the number of keys since the last call.
    root : str or None
        The folder that is listed; None = the one that all arrays are in.

    Raises
    ------
    StoreError
        If the listing fails.
    """
    if not arrays:
        return CensusResult()
    store = stored_array(arrays[0].array).store
    rolls = _rolls(arrays)
    below = os.path.commonpath([f"/{r.folder}" for r in rolls])[1:] if rolls else ""
    # Nobody knows what belongs to arrays whose objects have no place in a grid.
    opaque = tuple(f"{a.path}/" for a in map(_stored, arrays) if not is_keyed(a) and a.path)
    listing = _listing(store, below if root is None else root) if rolls else iter(())
    sheet = Sheet("", RULES)
    if listing is None:
        where = stored_array(arrays[0].array).path or store.uri
        sheet.report("CE-001", f"{where} is in a store that cannot be listed", "check it where it can be listed")
        return CensusResult(findings=tuple(sheet.findings), listed=False)
    beside = Beside()
    counted = _count(listing, rolls, beside, lambda k: k.startswith(opaque) or known(k), progress)
    for roll in rolls:
        roll.report(sheet)
    _compare(arrays, rolls, sheet)
    beside.report(sheet)
    return CensusResult(
        findings=tuple(sheet.findings),
        counts={r.array.path: r.total() for r in rolls},
        maps={r.array.path: r.map() for r in rolls},
        keys=counted[0],
        extra=beside.count + sum(r.extra for r in rolls),
        nbytes=counted[1],
    )


def _stored(checked: CheckedArray) -> Array:
    return stored_array(checked.array)


def _rolls(arrays: Sequence[CheckedArray]) -> list[Roll]:
    """Return a roll for every array whose objects have keys, once each."""
    found: dict[str, Roll] = {}
    room = MOST_MAPPED
    for checked in arrays:
        stored = stored_array(checked.array)
        if isinstance(stored.driver, KeyedDriver) and is_keyed(stored) and stored.path not in found:
            roll = Roll(stored, stored.driver, checked.what, room)
            room -= 0 if roll.states is None else len(roll.states)
            found[stored.path] = roll
    return list(found.values())


def _listing(store: Any, root: str) -> Iterator[tuple[str, int]] | None:
    """Begin a listing; None when the store cannot be listed."""
    if not isinstance(store, ListableStore):
        return None
    try:
        listing = store.list(root)
        first = next(listing, None)
    except UnsupportedError:
        return None
    return iter(()) if first is None else _joined(first, listing)


def _joined(first: tuple[str, int], rest: Iterator[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    yield first
    yield from rest


def _count(
    listing: Iterator[tuple[str, int]],
    rolls: list[Roll],
    beside: Beside,
    known: Callable[[str], bool],
    progress: Callable[[int], None] | None,
) -> tuple[int, int]:
    """Give every key to the array it belongs to; return how many keys there are, and their bytes."""
    keys = nbytes = 0
    now = rolls[0] if rolls else None
    for key, size in listing:
        keys += 1
        nbytes += size
        if progress is not None and keys % _STEP == 0:
            progress(_STEP)
        # Neighbours in a listing mostly belong to the same array.
        if now is not None and now.take(key, size):
            continue
        taker = next((r for r in rolls if r is not now and r.take(key, size)), None)
        if taker is not None:
            now = taker
        elif not known(key):
            inside = next((r for r in rolls if key.startswith(r.prefix)), None)
            if inside is None or not inside.stray(key):
                beside.take(key, inside)
    if progress is not None:
        progress(keys % _STEP)
    return keys, nbytes


def _compare(arrays: Sequence[CheckedArray], rolls: list[Roll], sheet: Sheet) -> None:
    """Report objects of a level that the next finer one cannot have given, and those it should have."""
    by_path = {r.array.path: r for r in rolls}
    for checked in arrays:
        coarse = by_path.get(stored_array(checked.array).path)
        finer = None if checked.finer is None else arrays[checked.finer]
        fine = None if finer is None else by_path.get(stored_array(finer.array).path)
        if finer is None or fine is None or coarse is None or fine is coarse:
            continue
        if _comparable(fine, coarse):
            _report_orphans(fine, coarse, sheet)


def _comparable(fine: Roll, coarse: Roll) -> bool:
    """Tell whether the grids of two levels are known, and no length grows."""
    sizes = [0 if r.states is None else len(r.states) for r in (fine, coarse)]
    if not min(sizes) > 0 or max(sizes) > _MOST_COMPARED or len(fine.counts) != len(coarse.counts) or not fine.counts:
        return False
    return all(n >= m for n, m in zip(fine.array.shape, coarse.array.shape, strict=True))


def _report_orphans(fine: Roll, coarse: Roll, sheet: Sheet) -> None:
    alone, lacking = orphans(fine.map(), fine.array.shape, coarse.map(), coarse.array.shape)
    above, below = Group(), Group()
    for index in alone.tolist():
        above.add(coarse.key(tuple(index)))
    for index in lacking.tolist():
        below.add(coarse.key(tuple(index)))
    above.report(
        sheet,
        "CE-003",
        f"of {coarse.what} <lie> over nothing: {fine.what} has no object there",
        f"copy {fine.what} again from its source",
    )
    below.report(
        sheet,
        "CE-004",
        f"of {coarse.what} <are> absent although {fine.what} has all objects there",
        "make the coarser levels again, unless nearly all of it is fill value",
    )
