from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import Code, InputError, StoreError
from voxarium.model.keys import checked_key, checked_prefix, merged_ranges, natural_key, resolve_range
from voxarium.model.protocols import ByteRange

SIZES = st.integers(0, 50)


@given(st.text(alphabet="ab./\\\0é", max_size=9))
def test_accepted_keys_stay_below_the_root(text: str) -> None:
    import posixpath

    try:
        key = checked_key(text)
    except InputError as error:
        assert error.code == Code.KEY_UNSAFE  # noqa: PT017
    else:
        assert key == text == posixpath.normpath(text)
        assert not key.startswith("/")
        assert not {"", ".", ".."} & set(key.split("/"))
        assert "\\" not in key


def test_dots_inside_names_are_fine() -> None:
    for key in ("...", "a..b", ".zattrs", "a/.zgroup", "..a", "a/..."):
        assert checked_key(key) == key
    assert checked_prefix("") == ""


@given(st.integers(-60, 60), st.none() | st.integers(-3, 60), SIZES)
def test_a_range_is_what_a_slice_is_or_an_error(start: int, length: int | None, size: int) -> None:
    data = bytes(range(size))
    try:
        a, b = resolve_range(ByteRange(start, length), size)
    except StoreError:
        first = start if start >= 0 else size + start
        assert first < 0 or first > size or (length is not None and first + length > size)
    except InputError:
        assert length is not None
        assert length < 0
    else:
        assert 0 <= a <= b <= size
        assert data[a:b] == (data[start:] if length is None else data[start:][:length])


@given(st.lists(st.tuples(SIZES, st.integers(1, 20)), max_size=12), st.integers(0, 10), st.integers(1, 40))
def test_merged_requests_cover_every_range_once(ranges: list[tuple[int, int]], gap: int, limit: int) -> None:
    spans = [(a, a + n) for a, n in ranges]
    fetches = merged_ranges(spans, gap=gap, limit=limit)
    assert sorted(m for f in fetches for m in f.members) == list(range(len(spans)))
    for f in fetches:
        assert all(f.start <= spans[m][0] and spans[m][1] <= f.stop for m in f.members)
        longest = max(spans[m][1] - spans[m][0] for m in f.members)
        assert f.stop - f.start <= max(limit, longest)
    wanted = {i for a, b in spans for i in range(a, b)}
    read = sum(f.stop - f.start for f in fetches)
    assert read <= sum(b - a for a, b in spans) + gap * max(0, len(spans) - 1)
    assert wanted <= {i for f in fetches for i in range(f.start, f.stop)}


@given(st.lists(st.integers(0, 10**6)))
def test_numbers_sort_as_numbers(numbers: list[int]) -> None:
    names = [f"s{n}.tif" for n in numbers]
    assert sorted(names, key=natural_key) == [f"s{n}.tif" for n in sorted(numbers)]


@given(st.lists(st.text(max_size=8)))
def test_natural_order_is_total(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == sorted(reversed(names), key=natural_key)


def test_natural_order_survives_anything() -> None:
    names = ["²", "1" * 5000, "٣", "", "007", "7", "07"]
    assert [n for n in sorted(names, key=natural_key) if n.endswith("7")] == ["007", "07", "7"]
    with pytest.raises(StoreError):
        resolve_range(ByteRange(0, 2**70), 10)
