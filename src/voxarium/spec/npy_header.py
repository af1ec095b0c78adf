"""Headers of NumPy's .npy files, versions 1 to 3.

The header is the text of a Python dictionary. It is scanned, never evaluated, and nothing is ever unpickled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, FormatError, UnsupportedError

__all__ = ["MAGIC", "NpyHeader", "header_length", "parse_npy_header", "parse_plain_dtype"]

MAGIC: Final = b"\x93NUMPY"
_LARGEST_HEADER: Final = 64 << 10
_MOST_AXES: Final = 64
_ENTRY: Final = re.compile(
    r"""\s*(?P<q>['"])(?P<key>\w+)(?P=q)\s*:\s*(?:
        (?P<q2>['"])(?P<text>[^'"\\]*)(?P=q2)
      | (?P<flag>True|False)
      | \((?P<tuple>[0-9L,\s]*)\)
    )\s*(?P<end>,?\s*\}|,)""",
    re.VERBOSE,
)
_STRUCTURED: Final = re.compile(r"""\s*['"]descr['"]\s*:\s*\[""")
_KEYS: Final = frozenset({"descr", "fortran_order", "shape"})
_PLAIN: Final = re.compile(r"([<>=|]?)([biufc])(\d{1,2})")
_SIZES: Final = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """A parsed header; `data_start` is the byte offset of the first element."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    data_start: int


def _invalid(reason: str) -> FormatError:
    return FormatError(
        f"the .npy header {reason}",
        code=Code.METADATA_INVALID,
        fix="save the array again with numpy.save",
    )


def header_length(head: bytes) -> tuple[int, int]:
    """Return (where the dictionary begins, its length) in bytes, from at least the first 12 bytes of a file.

    Raises
    ------
    FormatError
        If the magic, the version or the length is wrong.
    """
    if not head.startswith(MAGIC) or len(head) < 10:
        raise _invalid("has a wrong magic number or is cut off")
    version = head[6]
    if version not in (1, 2, 3):
        raise _invalid(f"has version {version}, known are 1, 2 and 3")
    width = 2 if version == 1 else 4
    if len(head) < 8 + width:
        raise _invalid("is cut off")
    length = int.from_bytes(head[8 : 8 + width], "little")
    if length > _LARGEST_HEADER:
        raise FormatError(
            f"the .npy header claims {length} bytes, more than {_LARGEST_HEADER}",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="save the array again with numpy.save, with a plain dtype",
        )
    return 8 + width, length


def parse_plain_dtype(text: str) -> np.dtype[Any]:
    """Return the numeric dtype a type string names: ``<u2``, ``|b1``, ``>f4``.

    Raises
    ------
    UnsupportedError
        If it is no boolean, integer, float or complex type of a common size.
    """
    match = _PLAIN.fullmatch(text)
    if match is None or int(match[3]) not in _SIZES[match[2]]:
        raise _unsupported(text)
    return np.dtype(text)


def _unsupported(what: str) -> UnsupportedError:
    return UnsupportedError(
        f"elements of type {what[:80]!r} are no plain numbers",
        code=Code.DTYPE_UNSUPPORTED,
        fix="save one numeric field as plain numbers; Python objects are never unpickled",
    )


def _entries(text: str) -> dict[str, re.Match[str]]:
    found: dict[str, re.Match[str]] = {}
    if not text.startswith("{"):
        raise _invalid("is no dictionary")
    at = 1
    while True:
        match = _ENTRY.match(text, at)
        if _STRUCTURED.match(text, at):
            raise _unsupported("structured")
        if match is None:
            raise _invalid(f"cannot be understood at {text[at : at + 40]!r}")
        key = match["key"]
        if key in found:
            raise _invalid(f"repeats {key}")
        found[key] = match
        at = match.end()
        if match["end"].endswith("}"):
            break
    if set(found) != _KEYS or text[at:].strip(" \n\0\t"):
        raise _invalid(f"has the keys {', '.join(sorted(found))} instead of descr, fortran_order, shape")
    return found


def _shape(text: str) -> tuple[int, ...]:
    parts = [p.strip() for p in text.split(",")]
    if parts[-1] == "":
        parts.pop()
    elif len(parts) == 1:
        raise _invalid("has a number as shape, not a tuple")
    if len(parts) > _MOST_AXES or not all(re.fullmatch(r"[0-9]{1,19}L?", p) for p in parts):
        raise _invalid(f"has the shape ({text[:80]})")
    return tuple(int(p.rstrip("L")) for p in parts)


def parse_npy_header(head: bytes) -> NpyHeader:
    """Parse the first bytes of a .npy file, at least up to the end of its header.

    Raises
    ------
    FormatError
        If the header does not follow the specification.
    UnsupportedError
        If the elements are not plain numbers.
    """
    start, length = header_length(head)
    raw = head[start : start + length]
    if len(raw) < length:
        raise FormatError(
            f"the .npy header is cut off: {len(raw)} of {length} bytes",
            code=Code.FILE_TRUNCATED,
            fix="copy the file again from its source",
        )
    try:
        text = raw.decode("utf-8" if head[6] == 3 else "latin-1")
    except UnicodeDecodeError as error:
        raise _invalid("is not UTF-8") from error
    found = _entries(text)
    if found["descr"]["text"] is None or found["fortran_order"]["flag"] is None or found["shape"]["tuple"] is None:
        raise _invalid("has a value of the wrong kind")
    return NpyHeader(
        shape=_shape(found["shape"]["tuple"]),
        dtype=parse_plain_dtype(found["descr"]["text"]),
        fortran_order=found["fortran_order"]["flag"] == "True",
        data_start=start + length,
    )
