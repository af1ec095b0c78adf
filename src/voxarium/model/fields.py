"""Reading JSON that others wrote: every value is checked, and all problems are reported together."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from typing_extensions import Buffer

from voxarium.errors import Code, FormatError

__all__ = ["REQUIRED", "Fields", "Problems", "dump_json", "parse_json_object"]

REQUIRED: Final = object()
"""Default of a key that must be present."""

_MAX_INT: Final = 2**63 - 1
_SHOWN: Final = 12


class Problems:
    """Collects what is wrong with one document."""

    __slots__ = ("_found", "_where")

    def __init__(self, where: str) -> None:
        self._where = where
        self._found: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, message: str) -> None:
        """Note one problem."""
        self._found.append(message)

    def check(self, fix: str = "correct the metadata, or write the array again") -> None:
        """Raise one FormatError that lists the problems, if there are any."""
        if not self._found:
            return
        shown = "; ".join(self._found[:_SHOWN])
        more = len(self._found) - _SHOWN
        raise FormatError(
            f"{self._where}: {shown}" + (f"; and {more} more" if more > 0 else ""),
            code=Code.METADATA_INVALID,
            fix=fix,
        )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Fields:
    """Takes values out of a JSON object, noting what is missing or of the wrong kind.

    A getter always returns a value of its type, so that the rest can be checked too; after `Problems.check`
    all are as the document says.
    """

    __slots__ = ("_at", "_data", "_problems", "_seen")

    def __init__(self, data: object, problems: Problems, at: str = "") -> None:
        self._problems = problems
        self._at = at
        self._seen: set[str] = set()
        if isinstance(data, Mapping):
            self._data: Mapping[str, Any] = data  # Any: JSON as found
        else:
            self._data = {}
            problems.add(f"{at or 'the document'} is not an object")

    def _path(self, key: str) -> str:
        return f"{self._at}.{key}" if self._at else key

    def has(self, key: str) -> bool:
        """Tell whether the object has a key."""
        return key in self._data

    def wrong(self, key: str, expected: str, found: object = REQUIRED) -> None:
        """Note that a value is not what it should be."""
        value = self._data.get(key) if found is REQUIRED else found
        self._problems.add(f"{self._path(key)} is {_shown(value)}, expected {expected}")

    def raw(self, key: str, default: object = REQUIRED) -> Any:  # Any: JSON as found
        """Return a value unchecked; None and a problem when it is required and missing."""
        self._seen.add(key)
        if key in self._data:
            return self._data[key]
        if default is REQUIRED:
            self._problems.add(f"{self._path(key)} is missing")
            return None
        return default

    def integer(self, key: str, low: int, high: int = _MAX_INT, default: int | object = REQUIRED) -> int:
        """Return an integer within bounds."""
        value = self.raw(key, default)
        if key in self._data and (not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high):
            self.wrong(key, f"an integer from {low} to {high}" if low != high else f"the number {low}")
            return low
        return value if isinstance(value, int) else low

    def lengths(self, key: str, low: int) -> tuple[int, ...]:
        """Return a list of integers, each at least `low`."""
        value = self.raw(key)
        if isinstance(value, list) and all(_is_length(v, low) for v in value):
            return tuple(value)
        if key in self._data:
            self.wrong(key, f"a list of integers of at least {low}")
        return ()

    def number(self, key: str, default: float | object = REQUIRED) -> float:
        """Return a finite number."""
        value = self.raw(key, default)
        if key not in self._data:
            return value if isinstance(value, (int, float)) else 0.0
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= 1.7e308:
            self.wrong(key, "a finite number")
            return 0.0
        return value

    def boolean(self, key: str, default: bool | object = REQUIRED) -> bool:
        """Return true or false."""
        value = self.raw(key, default)
        if key in self._data and not isinstance(value, bool):
            self.wrong(key, "true or false")
        return value is True

    def text(self, key: str, default: str | object = REQUIRED) -> str:
        """Return a string."""
        value = self.raw(key, default)
        if key in self._data and not isinstance(value, str):
            self.wrong(key, "a string")
        return value if isinstance(value, str) else ""

    def choice(self, key: str, options: Collection[str], default: str | object = REQUIRED) -> str:
        """Return one of a few strings."""
        value = self.text(key, default)
        if isinstance(self._data.get(key), str) and value not in options:
            self.wrong(key, " or ".join(repr(o) for o in options))
        return value

    def mapping(self, key: str, default: Mapping[str, Any] | object = REQUIRED) -> Mapping[str, Any]:
        """Return an object."""
        value = self.raw(key, default)
        if key in self._data and not isinstance(value, Mapping):
            self.wrong(key, "an object")
        return value if isinstance(value, Mapping) else {}

    def rest(self) -> dict[str, Any]:  # Any: JSON as found
        """Return what no getter has asked for."""
        return {k: v for k, v in self._data.items() if k not in self._seen}

    def done(self) -> None:
        """Note keys nobody asked for, then raise if anything was wrong.

        For settings of codecs, where an unknown key may change what the bytes mean.
        """
        for key in sorted(map(str, self.rest())):
            self._problems.add(f"{self._path(key)} is not a known setting")
        self._problems.check()


def _is_length(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= _MAX_INT


def parse_json_object(data: Buffer | str, where: str) -> dict[str, Any]:  # Any: JSON as found
    """Return the JSON object in a document.

    Raises
    ------
    FormatError
        If it is not UTF-8, not JSON, nested too deeply, or not an object.
    """
    try:
        text = data if isinstance(data, str) else bytes(data).decode("utf-8-sig")
        # Bare NaN and Infinity are no JSON, yet zarr-python 2 wrote them into attributes: they are read.
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{where} is not JSON: {error}",
            code=Code.METADATA_INVALID,
            fix="restore the document from a copy; it may be cut off, or not be metadata at all",
        ) from error
    if isinstance(value, dict):
        return value
    raise FormatError(
        f"{where} holds {_shown(value)} instead of an object",
        code=Code.METADATA_INVALID,
        fix="restore the document from a copy",
    )


def dump_json(value: Mapping[str, Any]) -> bytes:  # Any: JSON
    r"""Return a document as indented UTF-8 JSON; equal input gives equal bytes.

    NaN and infinities, which JSON does not have, become the strings the Zarr family uses for them.

    Examples
    --------
    >>> dump_json({"a": float("nan")})
    b'{\n  "a": "NaN"\n}\n'
    """
    plain = _without_specials(value)
    try:
        return (json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except UnicodeEncodeError:  # half a surrogate pair can only be written as an escape
        return (json.dumps(plain, indent=2, allow_nan=False) + "\n").encode()


def _without_specials(value: Any) -> Any:  # Any: JSON
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(k): _without_specials(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_specials(v) for v in value]
    return value
