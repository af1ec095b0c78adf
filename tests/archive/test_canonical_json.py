"""RFC 8785: the vectors of the RFC, and properties."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voxarium.errors import FormatError, InputError
from voxarium.model.canonical_json import DEEPEST, MOST_INTEGER, dump_canonical, parse_canonical

# RFC 8785, appendix B
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MOST_INTEGER, MOST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_are_written_as_the_rfc_lists_them(bits, text):
    value = struct.unpack(">d", bytes.fromhex(bits))[0]
    assert dump_canonical(value) == text.encode()
    assert parse_canonical(text.encode(), "it") == value


def test_the_example_of_the_rfc():
    source = r"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    expected = (
        "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e"
        "756d62657273223a5b3333333333333333332e333333333333332c31652b3330"
        "2c342e352c302e3030322c31652d32375d2c22737472696e67223a22e282ac24"
        "5c75303030665c6e4127425c225c5c5c5c5c222f227d"
    )
    assert dump_canonical(json.loads(source)).hex() == expected


def test_keys_are_sorted_by_utf16_as_in_the_rfc():
    source = (
        r'{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",'
        r' "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6":'
        r' "Latin Small Letter O With Diaeresis"}'
    )
    order = list(json.loads(dump_canonical(json.loads(source))).values())
    assert order == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


@given(VALUES)
@example(-0.0)
@example(1e20)
@example([2.0**53, {"": 2.0**53 + 2}])
def test_what_is_written_comes_back_and_is_written_again_alike(value):
    data = dump_canonical(value)
    again = parse_canonical(data, "it")
    assert again == value
    assert dump_canonical(again) == data
    assert json.loads(data, parse_int=float) == value


@pytest.mark.oracle
@given(VALUES)
def test_another_implementation_writes_the_same(value):
    other = pytest.importorskip("rfc8785", reason="another implementation of RFC 8785")
    assert dump_canonical(value) == other.dumps(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_comes_back(value):
    text = dump_canonical(value).decode()
    assert float(text) == value
    assert "E" not in text and not text.endswith(".0")


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 2**53, -(2**53), "\ud800", {"\udc00": 1}, {1: 2}, b"x", {1, 2}, object(), 1j],
)
def test_values_without_canonical_form_are_refused(value):
    for nested in (value, [value], {"a": value}):
        with pytest.raises(InputError):
            dump_canonical(nested)


def test_depth_is_bounded_both_ways():
    value: object = 1
    for _ in range(DEEPEST):
        value = [value]
    assert parse_canonical(dump_canonical(value), "it") == value
    with pytest.raises(InputError, match="deep"):
        dump_canonical([value])
    for deep in (DEEPEST + 1, 100_000):
        with pytest.raises(FormatError):
            parse_canonical(b"[" * deep + b"]" * deep, "it")


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b"1.0",
        b"-0",
        b"1e5",
        b"9007199254740993",
        b"1" * 5000,
        b"NaN",
        b"[Infinity]",
        b'"\\u00e9"',
        b'"\\/"',
        b'"\\ud800"',
        b'"\xff"',
        b'\xef\xbb\xbf"a"',
        b"1\n",
        b" 1",
        b"",
        b"[1,]",
    ],
)
def test_other_spellings_are_refused(data):
    with pytest.raises(FormatError):
        parse_canonical(data, "it")


@given(st.binary(max_size=40) | st.text('[]{}",:0123456789.eE+-\\u ntf', max_size=24).map(str.encode))
def test_junk_is_refused_or_is_canonical(data):
    try:
        value = parse_canonical(data, "it")
    except FormatError:
        return
    assert dump_canonical(value) == data
