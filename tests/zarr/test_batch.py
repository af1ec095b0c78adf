"""Chunks coded in batches are the same as chunks coded one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs.zstd import Zstd

from voxarium.codecs import batch
from voxarium.codecs.batch import available, decode_chunks, decode_many, encode_chunks
from voxarium.codecs.batch.inflating import inflater_of
from voxarium.codecs.deflate import Gzip, Zlib
from voxarium.errors import Code, FormatError
from voxarium.formats.zarr3 import Zarr3Driver
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArraySpec

pytestmark = pytest.mark.skipif(not available(), reason="numcodecs does not show its zstd here")

DTYPES = ["u1", "i2", "u4", "i8", "u8", "f2", "f4", "f8", "c8"]


@st.composite
def volumes(draw):
    ndim = draw(st.integers(1, 6))
    shape = tuple(draw(st.lists(st.integers(1, 11 if ndim < 4 else 5), min_size=ndim, max_size=ndim)))
    chunk = tuple(draw(st.lists(st.integers(1, 9 if ndim < 4 else 4), min_size=ndim, max_size=ndim)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    data = rng.integers(0, 3, shape).astype(dtype)
    data[tuple(slice(0, max(n // 2, 1)) for n in shape)] = 1
    return data, chunk, draw(st.sampled_from([0, 1])), rng


@given(volumes())
def test_batches_equal_single_chunks(case):
    data, chunk, fill_number, rng = case
    grid = ChunkGrid(data.shape, chunk)
    indices = list(grid.indices())
    fill = np.full((), fill_number, data.dtype)
    boxes = [grid.clipped_box(i) for i in indices]
    places = np.array([[b.origin, b.shape] for b in boxes], np.int64)
    scratch = np.empty(chunk, data.dtype)
    packed, sizes = encode_chunks(data, places, scratch, fill, 1)
    ends = np.cumsum(sizes)
    payloads = [bytes(packed[e - n : e]) for e, n in zip(ends, sizes, strict=True)]
    for box, payload in zip(boxes, payloads, strict=True):
        full = np.full(chunk, fill, data.dtype)
        full[tuple(slice(0, n) for n in box.shape)] = data[box.slices]
        if (full == fill).all():
            assert payload == b""
        else:
            assert payload == Zstd(1).encode(np.ascontiguousarray(full))
    # And back, into a part of the array that cuts chunks anywhere.
    start = tuple(int(rng.integers(0, n)) for n in data.shape)
    wanted = Box.from_bounds(start, data.shape)
    out = np.full(wanted.shape, fill, data.dtype)
    rows, some = [], []
    for index, payload in zip(indices, payloads, strict=True):
        part = grid.clipped_box(index).intersection(wanted)
        if part.size and payload:
            first = grid.box(index).origin
            rows.append([part.relative_to(first).origin, part.relative_to(wanted.origin).origin, part.shape])
            some.append(payload)
    if some:
        assert decode_chunks(some, np.array(rows, np.int64), scratch, out) == len(some)
    assert np.array_equal(out, data[wanted.slices])


def test_plain_chunks_are_placed_as_they_are():
    data = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)
    places = np.array([[(1, 0, 2), (0, 1, 0), (3, 4, 4)], [(0, 0, 0), (0, 0, 0), (1, 1, 1)]], np.int64)
    out = np.zeros((3, 5, 4), np.uint16)
    scratch = np.empty((4, 5, 6), np.uint16)
    assert decode_chunks([data.tobytes(), data.tobytes()[:-2]], places, scratch, out, plain=True) == 1
    assert np.array_equal(out[:, 1:], data[1:, :4, 2:])


@pytest.mark.skipif(not inflater_of("gzip"), reason="the package deflate has no wheel for this machine")
@pytest.mark.parametrize("codec", [Gzip(6), Zlib(1)])
def test_deflated_chunks_are_placed_up_to_a_damaged_one(codec, monkeypatch):
    monkeypatch.setattr(batch, "_worth_loading", lambda _chunks: True)
    data = np.random.default_rng(1).integers(0, 9, (3, 4, 5, 7)).astype("u4")
    payloads = [codec.encode(chunk.tobytes()) for chunk in data]
    places = np.array([[(1, 0, 2), (0, 5 * i, 0), (3, 4, 5)] for i in range(3)], np.int64)
    out, scratch = np.zeros((3, 15, 5), "u4"), np.empty((4, 5, 7), "u4")
    assert decode_many(codec, payloads, places, scratch, out, plain=False) == 3
    for i in range(3):
        assert np.array_equal(out[:, 5 * i : 5 * i + 4], data[i, 1:, :4, 2:])
    for bad in (payloads[1][:-1], payloads[1] + b"x", payloads[0][:9] + payloads[1][:-9], b"", codec.encode(b"short")):
        assert decode_many(codec, [payloads[0], bad, payloads[2]], places, scratch, out, plain=False) == 1


@pytest.mark.parametrize("damage", ["cut", "flip", "other size", "empty"])
def test_a_damaged_chunk_stops_the_batch_there(damage):
    good = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)
    payload = Zstd(1).encode(good)
    bad = {
        "cut": payload[:-5],
        "flip": payload[:12] + bytes([payload[12] ^ 255]) + payload[13:],
        "other size": Zstd(1).encode(np.zeros(999, np.uint8)),
        "empty": b"",
    }[damage]
    places = np.array([[(0, 0, 0), (4 * i, 0, 0), (4, 5, 6)] for i in range(3)], np.int64)
    out = np.zeros((12, 5, 6), np.uint16)
    done = decode_chunks([payload, bad, payload], places, np.empty((4, 5, 6), np.uint16), out)
    assert done == 1 or damage == "flip"  # a flipped bit may decode to other voxels: zstd without checksum
    assert np.array_equal(out[:4], good)


def test_payloads_can_be_checked_without_decoding():
    driver = Zarr3Driver()
    info = driver.create(ArraySpec(shape=(64, 64), dtype=np.dtype("u1"), chunk_shape=(64, 64)))
    payload = bytes(driver.encode(info, np.random.default_rng(0).integers(0, 99, (64, 64)).astype(np.uint8)))
    driver.check(info, payload)
    for bad in (payload[:-1], payload[:4], b"", payload + payload, Zstd(1).encode(np.zeros(7, np.uint8))):
        with pytest.raises(FormatError) as error:
            driver.check(info, bad)
        assert error.value.code in (Code.CHUNK_TRUNCATED, Code.CHUNK_CORRUPT)
