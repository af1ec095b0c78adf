"""JSON with one spelling for each value (RFC 8785, JCS), so that it can be hashed and signed.

No white space, keys sorted by their UTF-16 code units, numbers as ECMAScript writes them, text as UTF-8 with only the
escapes that JSON demands. Values are those of I-JSON: every number is a float64, so integers beyond ±(2⁵³ − 1) are
refused, and so are NaN, infinities, halves of surrogate pairs and names that stand twice.
https://www.rfc-editor.org/rfc/rfc8785
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any, Final

from voxarium.errors import Code, FormatError, InputError

__all__ = ["DEEPEST", "MOST_INTEGER", "dump_canonical", "parse_canonical"]

MOST_INTEGER: Final = 2**53 - 1
"""The largest integer that a reader with float64 numbers gets right."""

DEEPEST: Final = 64
"""Levels of lists and objects inside each other."""

_SPARE_DIGITS: Final = 21  # from 10²¹ on, ECMAScript writes an exponent


def dump_canonical(value: Any) -> bytes:  # Any: JSON
    r"""Return the canonical form of a value: equal values give equal bytes, here and in any other implementation.

    Parameters
    ----------
    value : None, bool, int, float, str, list, tuple or mapping of str
        Also nested, at most 64 levels deep.

    Raises
    ------
    InputError
        If something in it has no canonical form.

    Examples
    --------
    >>> dump_canonical({"b": [1.0, 1e-7, 1e21], "a": "\u00b5m\n"}).decode()
    '{"a":"µm\\n","b":[1,1e-7,1e+21]}'
    """
    parts: list[str] = []
    _write(value, parts, 0)
    try:
        return "".join(parts).encode()
    except UnicodeEncodeError:
        raise _refused("text with half a surrogate pair") from None


def parse_canonical(data: bytes, where: str) -> Any:  # Any: JSON
    """Return the value of a canonical document.

    Parameters
    ----------
    data : bytes
        The document, without anything around it.
    where : str
        What it is, for messages.

    Raises
    ------
    FormatError
        If it is not JSON, or JSON in another than its canonical form.
    """
    try:
        value = json.loads(data.decode(), parse_int=_integer, parse_constant=_constant)
        canonical = dump_canonical(value)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{where} is not canonical JSON: {error}",
            code=Code.METADATA_INVALID,
            fix="restore it from a copy; nothing but its author's program may rewrite it",
        ) from error
    if canonical != data:
        at = next((i for i, (a, b) in enumerate(zip(canonical, data, strict=False)) if a != b), len(canonical))
        raise FormatError(
            f"{where} is JSON, but not in canonical form from byte {at} on",
            code=Code.METADATA_INVALID,
            fix="restore it from a copy; nothing but its author's program may rewrite it",
        )
    return value


def _integer(text: str) -> int | float:
    """Return a number without point and exponent; a large one is a float64 that ECMAScript writes so."""
    if len(text) <= 17 and abs(number := int(text)) <= MOST_INTEGER:
        return number
    return float(text)


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _refused(what: str) -> InputError:
    return InputError(
        f"{what} has no canonical JSON",
        code=Code.ARGUMENT_INVALID,
        fix="use text, true, false, null, finite numbers, integers below 2**53, lists, and objects with text as keys",
    )


def _write(value: Any, parts: list[str], depth: int) -> None:  # Any: JSON
    if isinstance(value, str):
        parts.append(encode_basestring(value))
    elif value is None or value is True or value is False:
        parts.append("null" if value is None else "true" if value else "false")
    elif isinstance(value, (int, float)):
        parts.append(_number(value))
    elif depth >= DEEPEST:
        raise _refused(f"a value more than {DEEPEST} levels deep")
    elif isinstance(value, Mapping):
        _write_object(value, parts, depth)
    elif isinstance(value, (list, tuple)):
        parts.append("[")
        for i, item in enumerate(value):
            if i:
                parts.append(",")
            _write(item, parts, depth + 1)
        parts.append("]")
    else:
        raise _refused(f"a value of type {type(value).__name__}")


def _write_object(value: Mapping[Any, Any], parts: list[str], depth: int) -> None:  # Any: JSON
    if not all(isinstance(k, str) for k in value):
        raise _refused("an object with keys that are not text")
    parts.append("{")
    for i, key in enumerate(sorted(value, key=_utf16)):
        if i:
            parts.append(",")
        parts.append(encode_basestring(key))
        parts.append(":")
        _write(value[key], parts, depth + 1)
    parts.append("}")


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")  # halves are refused when all is put together


def _number(value: int | float) -> str:
    """Return a number as ECMAScript's Number.prototype.toString does (ECMA-262, Number::toString)."""
    if isinstance(value, int):
        if abs(value) > MOST_INTEGER:
            raise _refused("an integer beyond 2**53 - 1")
        return int.__repr__(value)
    if not math.isfinite(value):
        raise _refused("a number that is not finite")
    if value == 0:
        return "0"  # also for -0
    # Python's repr has the same digits (the fewest that come back as the same number), other exponents.
    mantissa, _, exponent = float.__repr__(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)  # digits before the decimal point
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    return ("-" if value < 0 else "") + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    """Return significant digits with the decimal point behind the first `point` of them."""
    if len(digits) <= point <= _SPARE_DIGITS:
        return digits + "0" * (point - len(digits))
    if 0 < point <= _SPARE_DIGITS:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"
