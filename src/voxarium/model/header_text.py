"""Headers of text lines: numbers in them, and files that they name."""

from __future__ import annotations

import math
import re
from typing import Final, NoReturn

from voxarium.errors import Code, FormatError

__all__ = ["LARGEST_HEADER", "checked_lengths", "floats", "integer", "integers", "refuse", "sequence_names"]

LARGEST_HEADER: Final = 1 << 20
_LONGEST: Final = 1 << 48
_MOST_FILES: Final = 1_000_000
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}\Z")
_FIELD: Final = re.compile(r"%(0?)([0-9]{0,2})[du]")
_FIX: Final = "save the file again with the program that wrote it, or correct its header"


def refuse(message: str) -> NoReturn:
    """Raise the error of a header that breaks its specification."""
    raise FormatError(message, code=Code.METADATA_INVALID, fix=_FIX)


def integer(text: str, what: str) -> int:
    """Return a whole number.

    Raises
    ------
    FormatError
        If the text is none.
    """
    if _INTEGER.match(text.strip()) is None:
        refuse(f"{what} is {text[:60]!r}, expected a whole number")
    return int(text)


def integers(text: str, count: int, what: str) -> tuple[int, ...]:
    """Return as many whole numbers as expected, separated by blanks."""
    parts = text.split()
    if len(parts) != count:
        refuse(f"{what} has {len(parts)} numbers, expected {count}")
    return tuple(integer(p, what) for p in parts)


def floats(text: str, count: int, what: str) -> tuple[float, ...]:
    """Return as many numbers as expected, separated by blanks or commas; NaN stands for unknown ones.

    Examples
    --------
    >>> floats("1.5 NaN", 2, "spacings")
    (1.5, nan)
    """
    parts = text.replace(",", " ").split()
    if len(parts) != count:
        refuse(f"{what} has {len(parts)} numbers, expected {count}")
    try:
        found = tuple(float(p) for p in parts)
    except ValueError:
        refuse(f"{what} is {text[:60]!r}, expected {count} numbers")
    return tuple(v if abs(v) < 1e100 else math.nan for v in found)


def checked_lengths(lengths: tuple[int, ...], itemsize: int, where: str) -> tuple[int, ...]:
    """Return lengths of axes unless they are not positive or beyond what any file holds."""
    if not lengths or min(lengths) < 1 or math.prod(lengths) * itemsize >= _LONGEST:
        refuse(f"{where} claims {' x '.join(map(str, lengths[:16]))} voxels")
    return lengths


def sequence_names(pattern: str, first: int, last: int, step: int, where: str) -> tuple[str, ...]:
    """Return the names of numbered files that a pattern of C's printf means.

    Raises
    ------
    FormatError
        If the pattern has not exactly one ``%d``, or means far too many files.

    Examples
    --------
    >>> sequence_names("a%03d.raw", 1, 5, 2, "here")
    ('a001.raw', 'a003.raw', 'a005.raw')
    """
    field = _FIELD.search(pattern)
    if field is None or pattern.count("%") != 1 or step == 0 or min(first, last) < 0:
        refuse(f"{where}: {pattern[:60]!r} from {first} to {last} by {step} names no files")
    count = (last - first) // step + 1
    if not 0 < count <= _MOST_FILES:
        refuse(f"{where}: {pattern[:60]!r} means {count} files")
    before, after = pattern[: field.start()], pattern[field.end() :]
    width, fill = int(field[2] or 0), field[1] or " "
    return tuple(f"{before}{str(first + i * step).rjust(width, fill)}{after}" for i in range(count))
