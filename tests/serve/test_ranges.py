"""Parts of objects, and what clients already have: RFC 9110, without a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.serve.conditions import check_conditions, http_date, range_applies
from voxarium.serve.media import accepted, decoded, media_type
from voxarium.serve.ranges import MOST_RANGES, RangeError, parse_ranges

ETAG = b'"abc-1"'
THEN = 784111777


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=3-8", [(3, 9)]),
        (b"bytes=3-", [(3, 10)]),
        (b"bytes=3-99", [(3, 10)]),
        (b"bytes=-4", [(6, 10)]),
        (b"bytes=-400", [(0, 10)]),
        (b"Bytes = 1-2 ", [(1, 3)]),
        (b"bytes=0-1, 4-5", [(0, 2), (4, 6)]),
        (b"bytes=4-5,0-1,99-100", [(4, 6), (0, 2)]),
        (b"bytes=0-99999999999999999999999999999", [(0, 10)]),
        (b"bytes=0000000000000000000000000000002-3", [(2, 4)]),
    ],
)
def test_ranges_mean_what_the_rfc_says(value, parts):
    assert parse_ranges(value, 10) == parts


@pytest.mark.parametrize("value", [b"lines=0-1", b"bytes", b"", b"0-1"])
def test_other_units_are_ignored(value):
    assert parse_ranges(value, 10) is None


@pytest.mark.parametrize(
    "value",
    [
        b"bytes=", b"bytes=-", b"bytes=5-3", b"bytes=a-b", b"bytes=1", b"bytes=-0", b"bytes=10-", b"bytes=10-12",
        b"bytes=0-1,", b"bytes=--1", b"bytes=+1-2", b"bytes=1-2-3", b"bytes=0x1-2", b"bytes=0-9,0-9", b"bytes=0-8,0-8",
        b"bytes=" + b",".join(b"0-0" for _ in range(MOST_RANGES + 1)), b"bytes=\xb2-3", b"bytes=1-2\n",
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused(value):
    with pytest.raises(RangeError):
        parse_ranges(value, 10)


def test_an_empty_object_has_no_ranges():
    for value in (b"bytes=0-", b"bytes=0-0", b"bytes=-1"):
        with pytest.raises(RangeError):
            parse_ranges(value, 0)


@given(st.one_of(st.binary(max_size=80), st.from_regex(rb"\Abytes=[0-9,\- ]{0,60}\Z")), st.integers(0, 1 << 62))
def test_any_header_gives_parts_within_the_object_or_a_refusal(value, size):
    try:
        parts = parse_ranges(value, size)
    except RangeError:
        return
    for start, stop in parts or []:
        assert 0 <= start < stop <= size


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({b"if-none-match": ETAG}, 304),
        ({b"if-none-match": b'"x", W/"abc-1"'}, 304),
        ({b"if-none-match": b"*"}, 304),
        ({b"if-none-match": b'"x"'}, None),
        ({b"if-none-match": b'"x"', b"if-modified-since": http_date(THEN)}, None),
        ({b"if-modified-since": http_date(THEN)}, 304),
        ({b"if-modified-since": http_date(THEN - 1)}, None),
        ({b"if-modified-since": b"yesterday"}, None),
        ({b"if-match": ETAG}, None),
        ({b"if-match": b'W/"abc-1"'}, 412),
        ({b"if-match": b"*"}, None),
        ({b"if-match": b'"x"'}, 412),
        ({b"if-unmodified-since": http_date(THEN - 1)}, 412),
        ({b"if-unmodified-since": http_date(THEN)}, None),
    ],
)
def test_conditions_are_weighed_as_the_rfc_says(headers, status):
    assert check_conditions(headers, ETAG, THEN) == status


def test_a_range_applies_to_the_same_object_only():
    assert range_applies({}, ETAG, THEN)
    assert range_applies({b"if-range": ETAG}, ETAG, THEN)
    assert range_applies({b"if-range": http_date(THEN)}, ETAG, THEN)
    for other in (b'"x"', b'W/"abc-1"', http_date(THEN + 1), http_date(THEN - 1), b"junk", b""):
        assert not range_applies({b"if-range": other}, ETAG, THEN)


@given(
    st.dictionaries(st.sampled_from([b"if-match", b"if-none-match", b"if-modified-since", b"if-range"]), st.binary())
)
def test_junk_in_conditions_does_no_harm(headers):
    assert check_conditions(headers, ETAG, THEN) in (None, 304, 412)
    assert range_applies(headers, ETAG, THEN) in (True, False)


def test_types_are_those_of_documents_and_never_ones_that_browsers_run():
    assert media_type("a/zarr.json") == media_type("a/.zattrs") == media_type("seg/info") == b"application/json"
    assert media_type("a/c/0/1") == media_type("a/0.1.2") == media_type("x.shard") == b"application/octet-stream"
    for name in ("x.html", "x.HTM", "x.svg", "x.js", "x.xhtml", "x.xml"):
        assert media_type(name) == b"text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("header", "coding", "taken"),
    [
        (b"gzip, deflate, br", b"gzip", True),
        (b"gzip;q=0.5", b"gzip", True),
        (b"gzip; q=0", b"gzip", False),
        (b"*", b"zstd", True),
        (b"*;q=0, br", b"zstd", False),
        (b"identity", b"gzip", False),
        (b"", b"gzip", False),
        (None, b"gzip", False),
        (b"GZIP", b"gzip", True),
        (b";;;,\xff", b"gzip", False),
    ],
)
def test_encodings_are_sent_to_those_who_take_them(header, coding, taken):
    assert accepted(header, coding) is taken


def test_a_bomb_is_not_decompressed():
    import gzip

    from voxarium.errors import FormatError

    with pytest.raises(FormatError):
        decoded(gzip.compress(bytes(10 << 20)), b"gzip", 1 << 20)
