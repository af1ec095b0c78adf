"""Streams that one thread decodes several at once come out as zlib decodes them, or are given up."""

from __future__ import annotations

import ctypes
import mmap
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.codecs import batch
from voxarium.codecs.batch import available, decode_many, inflating
from voxarium.codecs.batch.inflating import check_sum_of, inflater_of
from voxarium.codecs.deflate import Gzip, Zlib

pytestmark = [
    pytest.mark.skipif(not available(), reason="numcodecs does not show its zstd here"),
    pytest.mark.skipif(not inflater_of("gzip"), reason="the package deflate has no wheel for this machine"),
]

PAGE = mmap.PAGESIZE
WRAPPINGS = {"gzip": 31, "zlib": 15}


class Guarded:
    """Memory of so many bytes; touching what is right behind it ends the process."""

    def __init__(self, size: int) -> None:
        whole = -(-size // PAGE) * PAGE
        self._map = mmap.mmap(-1, whole + PAGE)
        self._all = np.frombuffer(self._map, np.uint8)
        first = self._all.ctypes.data
        self.address = first + whole - size
        self.bytes = self._all[whole - size : whole]
        if sys.platform == "linux":
            assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(first + whole), PAGE, 0) == 0

    @property
    def before(self) -> np.ndarray:
        return self._all[: len(self._all) - PAGE - len(self.bytes)]


def run(streams: list[tuple[bytes, int]], key: str) -> list[bytes | None]:
    """Decode up to four streams together; None for one that was given up."""
    from voxarium.codecs.batch.abreast import STREAMS, advance, rest_unless_running
    from voxarium.codecs.batch.deflate_blocks import DONE, RUNNING, STATE, STREAM, begin, rest

    function, wrapping = check_sum_of(key)
    memory = Guarded(STREAMS * STREAM)
    states = [memory.bytes[i * STREAM + STATE :][:8].view(np.int64) for i in range(STREAMS)]
    for i in range(STREAMS):
        rest(memory.address + i * STREAM)
    sources, rooms = [], []
    for i, (payload, size) in enumerate(streams):
        sources.append(Guarded(len(payload)))
        rooms.append(Guarded(size))
        sources[-1].bytes[:] = np.frombuffer(payload, np.uint8)
        begin(
            memory.address + i * STREAM, sources[-1].address, len(payload), rooms[-1].address, size, wrapping, function
        )
    found: list[bytes | None] = [None] * len(streams)
    over = [False] * len(streams)
    while True:
        for i, room in enumerate(rooms):
            if states[i] != RUNNING and not over[i]:
                over[i] = True
                found[i] = room.bytes.tobytes() if states[i] == DONE else None
        if not rest_unless_running(memory.address):
            break
        advance(memory.address)
    assert not any(m.before.any() for m in rooms)
    return found


@st.composite
def contents(draw):
    """Voxels of many kinds: noise of few or many values, runs, rows that repeat, words that count up."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.sampled_from([1, 7, 40, 63, 255, 258, 259, 1000, 4097, 33000]))
    kind = draw(st.sampled_from(["noise", "normal", "runs", "periods", "counting", "zeros", "rare"]))
    if kind == "noise":
        return rng.integers(0, draw(st.sampled_from([2, 3, 17, 64, 256])), size).astype(np.uint8).tobytes()
    if kind == "normal":
        return rng.normal(120, draw(st.sampled_from([0.5, 9, 40])), size).astype(np.uint8).tobytes()
    if kind == "runs":
        return np.repeat(rng.integers(0, 256, size), rng.integers(1, 400, size))[:size].astype(np.uint8).tobytes()
    if kind == "periods":
        period = draw(st.integers(1, 40))
        row = np.tile(rng.integers(0, 256, period), size // period + 1)[:size]
        return np.where(rng.random(size) < 0.02, rng.integers(0, 256, size), row).astype(np.uint8).tobytes()
    if kind == "counting":
        return (np.arange(size // 4 + 1, dtype=np.uint32) * 7919).tobytes()[:size]
    if kind == "rare":  # codes of all lengths
        return rng.geometric(0.45, size).clip(0, 255).astype(np.uint8).tobytes()
    return bytes(size)


@st.composite
def packings(draw, key):
    """A function that packs bytes in one of the ways of zlib, with or without flushes in between."""
    level, memory = draw(st.integers(0, 9)), draw(st.integers(1, 9))
    strategy = draw(st.sampled_from([0, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED]))
    flush = draw(st.sampled_from([None, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]))
    window = draw(st.integers(9, 15)) + (16 if key == "gzip" else 0)

    def pack(data: bytes) -> bytes:
        packer = zlib.compressobj(level, zlib.DEFLATED, window, memory, strategy)
        if flush is None:
            return packer.compress(data) + packer.flush()
        half = len(data) // 2
        return packer.compress(data[:half]) + packer.flush(flush) + packer.compress(data[half:]) + packer.flush()

    return pack


@st.composite
def batches(draw):
    key = draw(st.sampled_from(["gzip", "zlib"]))
    parts = draw(st.lists(contents(), min_size=1, max_size=4))
    return key, [(draw(packings(key))(part), part) for part in parts]


@settings(max_examples=300)
@given(batches())
def test_streams_come_out_as_they_went_in(case):
    key, streams = case
    assert run([(packed, len(data)) for packed, data in streams], key) == [data for _, data in streams]


@settings(max_examples=300)
@given(batches(), st.data())
def test_damaged_streams_are_given_up_or_right(case, data):
    key, streams = case
    hostile = []
    for packed, part in streams:
        broken, size = bytearray(packed), len(part)
        for _ in range(data.draw(st.integers(1, 3))):
            kind = data.draw(st.sampled_from(["flip", "cut", "append", "room", "set"]))
            at = data.draw(st.integers(0, 2**16)) % max(len(broken), 1)
            if kind == "flip" and broken:
                broken[at] ^= 1 << data.draw(st.integers(0, 7))
            elif kind == "set" and broken:
                broken[at] = data.draw(st.integers(0, 255))
            elif kind == "cut":
                del broken[at:]
            elif kind == "append":
                broken += data.draw(st.binary(min_size=1, max_size=9))
            else:
                size = max(1, size + data.draw(st.integers(-300, 300)))
        hostile.append((bytes(broken), size))
    for (packed, size), found in zip(hostile, run(hostile, key), strict=True):
        if found is not None:
            unpacker = zlib.decompressobj(WRAPPINGS[key])
            assert unpacker.decompress(packed, size + 1) == found
            assert unpacker.eof
            assert not unpacker.unused_data


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=400), min_size=1, max_size=4), st.sampled_from(["gzip", "zlib"]))
def test_junk_behind_a_good_head_is_given_up(parts, key):
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\0" if key == "gzip" else b"\x78\x01"
    assert run([(head + part, 1000) for part in parts], key) == [None] * len(parts)


@pytest.mark.parametrize("codec", [Gzip(5), Zlib(5)], ids=["gzip", "zlib"])
@pytest.mark.parametrize("count", [3, 4, 5, 11])
def test_chunks_are_placed_up_to_a_damaged_one(codec, count, monkeypatch):
    """Whatever stands in the slots: literals, what libdeflate is better at, and what it has to judge."""
    monkeypatch.setattr(inflating, "_PATIENCE", 0)
    monkeypatch.setattr(batch, "_PATIENCE", 0)
    rng = np.random.default_rng(5)
    data = rng.normal(99, 20, (count, 9, 10, 11)).astype(np.uint8)
    data[1] = 7
    payloads = [codec.encode(d.tobytes()) for d in data]
    places = np.array([[(1, 2, 3), (9 * i, 0, 0), (8, 7, 6)] for i in range(count)], np.int64)
    out = np.zeros((9 * count, 7, 6), np.uint8)
    scratch = np.empty((9, 10, 11), np.uint8)
    assert decode_many(codec, payloads, places, scratch, out, plain=False) == count
    assert np.array_equal(out.reshape(count, 9, 7, 6)[:, :8], data[:, 1:, 2:9, 3:9])
    for bad in range(count):
        out[:] = 0
        broken = bytearray(payloads[bad])
        broken[-5] ^= 1
        some = [*payloads[:bad], bytes(broken), *payloads[bad + 1 :]]
        assert decode_many(codec, some, places, scratch, out, plain=False) == bad
        assert np.array_equal(out.reshape(count, 9, 7, 6)[:bad, :8], data[:bad, 1:, 2:9, 3:9])
