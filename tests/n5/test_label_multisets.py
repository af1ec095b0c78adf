"""Label multisets of Paintera."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.codecs.label_multiset import INVALID, decode_label_multisets
from voxarium.errors import Code, FormatError, InputError
from voxarium.formats.n5 import N5Driver
from voxarium.model.image import ArraySpec
from voxarium.spec.n5 import dump_block_header
from voxarium.stores.memory import MemoryStore

N5 = N5Driver()
Lists = list[tuple[tuple[int, int], ...]]


def serialized(lists: Lists, *, stated: bool = False) -> bytes:
    """Return a block; equal lists are stored once."""
    places: dict[tuple[tuple[int, int], ...], int] = {}
    body, offsets = b"", b""
    for entries in lists:
        if entries not in places:
            places[entries] = len(body)
            body += struct.pack("<i", len(entries)) + b"".join(struct.pack("<Qi", *e) for e in entries)
        offsets += struct.pack(">i", places[entries])
    known = [most(e) for e in lists] if stated else []
    return struct.pack(">i", len(known)) + b"".join(struct.pack(">Q", n) for n in known) + offsets + body


def most(entries: tuple[tuple[int, int], ...]) -> int:
    """Return the label with the highest count; the lowest of several, as signed numbers."""
    counted = [(-n, label - 2**64 if label >= 2**63 else label) for label, n in entries if n > 0]
    return min(counted)[1] % 2**64 if counted else INVALID


ENTRY = st.tuples(st.integers(0, 9) | st.integers(2**64 - 5, 2**64 - 1), st.integers(0, 5))
LISTS = st.lists(st.lists(ENTRY, max_size=5).map(tuple), max_size=12)


@given(LISTS, st.booleans())
def test_the_most_frequent_label_is_found(lists: Lists, stated: bool) -> None:
    found = decode_label_multisets(serialized(lists, stated=stated), len(lists))
    assert found.dtype == np.uint64
    assert found.tolist() == [most(entries) for entries in lists]


def test_arrays_of_multisets_are_read_as_labels(kit: Any) -> None:
    labels = np.arange(3 * 5, dtype="u8").reshape(3, 5) // 2 + 2**40
    more = {"isLabelMultiset": True, "maxId": 9, "compression": {"type": "gzip"}}
    store = MemoryStore({"a/attributes.json": kit.document((3, 5), (2, 3), "uint8", **more)})
    packer = N5.open(store, "a").details.packer
    for y, x in ((0, 0), (0, 1), (1, 1)):
        part = labels[2 * y : 2 * y + 2, 3 * x : 3 * x + 3]
        body = serialized([((int(n), 3), (7, 1)) for n in part.reshape(-1)])
        store.put(f"a/{x}/{y}", dump_block_header(part.shape, len(body)) + packer.encode(body))
    array = kit.opened(store)
    assert (array.dtype, array.info.codecs) == (np.dtype("u8"), ("label_multiset", "gzip:6"))
    labels[2:, :3] = 0
    assert (array.read() == labels).all()
    array.check([((0, 0), store.get("a/0/0"))])
    plain = N5.create(ArraySpec(shape=(3, 5), dtype=np.dtype("u8"), chunk_shape=(2, 3), codec="gzip:6"))
    assert N5.encoding_key(plain) != N5.encoding_key(array.info)


def test_arrays_of_multisets_are_not_written() -> None:
    with pytest.raises(InputError, match="isLabelMultiset"):
        N5.create(ArraySpec(shape=(3,), dtype=np.dtype("u1"), chunk_shape=(3,), attributes={"isLabelMultiset": True}))


def test_blocks_of_labels_are_bounded_too(kit: Any) -> None:
    store = MemoryStore({"a/attributes.json": kit.document((2**40,), (2**30,), "uint8", isLabelMultiset=True)})
    with pytest.raises(FormatError) as caught:
        N5.open(store, "a")
    assert caught.value.code is Code.SIZE_IMPLAUSIBLE


GOOD = serialized([((1, 2), (3, 4)), ((5, 6),)])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\0\0\0", Code.CHUNK_TRUNCATED),
        (GOOD[:11], Code.CHUNK_TRUNCATED),
        (GOOD[:-1], Code.CHUNK_CORRUPT),
        (struct.pack(">i", 3) + GOOD[4:], Code.CHUNK_CORRUPT),
        (struct.pack(">i", 2) + GOOD[4:12], Code.CHUNK_TRUNCATED),
        (struct.pack(">i", -1) + GOOD[4:], Code.CHUNK_CORRUPT),
        (struct.pack(">iii", 0, -4, 0) + GOOD[12:], Code.CHUNK_CORRUPT),
        (struct.pack(">iii", 0, 0, 41) + GOOD[12:], Code.CHUNK_CORRUPT),
        (struct.pack(">iii", 0, 0, 0) + struct.pack("<i", -1), Code.CHUNK_CORRUPT),
        (struct.pack(">iii", 0, 0, 0) + struct.pack("<i", 2**31 - 1), Code.CHUNK_CORRUPT),
        (struct.pack(">iii", 0, 0, 4) + struct.pack("<iiiiiiii", 2, 1, 0, 0, 0, 0, 0, 0), Code.CHUNK_CORRUPT),
    ],
)
def test_damage_is_a_format_error(data: bytes, code: Code) -> None:
    with pytest.raises(FormatError) as caught:
        decode_label_multisets(data, 2)
    assert caught.value.code is code


@given(st.binary(max_size=80), st.integers(0, 6))
def test_any_bytes_are_labels_or_a_format_error(junk: bytes, count: int) -> None:
    for data in (junk, bytes(4) + junk, bytes(4 + 4 * count) + junk):
        with contextlib.suppress(FormatError):
            assert len(decode_label_multisets(data, count)) == count


def test_a_block_that_is_no_multiset_names_its_chunk(kit: Any) -> None:
    store = MemoryStore({"a/attributes.json": kit.document((3,), (3,), "uint8", isLabelMultiset=True)})
    for payload in (dump_block_header((3,)) + bytes(3), b"\0\2\0\0\0\3" + bytes(3)):
        store.put("a/0", payload)
        with pytest.raises(FormatError, match=r"chunk \(0,\) of"):
            kit.opened(store).read()
