"""How often chunks of the source are read: counted without walking, so that no length makes a plan take long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voxarium.conversion.plan import reread_factor


@given(st.integers(1, 90), st.integers(1, 25), st.integers(1, 25), st.integers(0, 40))
def test_it_is_what_counting_gives(n: int, block: int, chunk: int, first: int) -> None:
    blocks = [range(s + first, min(s + block, n) + first) for s in range(0, n, block)]
    touched = sum(len({i // chunk for i in each}) for each in blocks)
    whole = len({i // chunk for i in range(first, first + n)})
    assert reread_factor((n, 0), (block, 7), (chunk, 5), (first, 3)) == touched / whole


def test_lengths_that_nobody_stores_take_no_time() -> None:
    assert reread_factor((2**62, 2**61), (3, 64), (2, 32), (1, 0)) > 1
    assert reread_factor((2**62,), (64,), (32,), (0,)) == 1
