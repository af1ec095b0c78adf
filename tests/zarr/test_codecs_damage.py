"""Payloads that are damaged, lie about their size, or are of an unusual dialect."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numcodecs
import numcodecs.blosc
import numcodecs.zstd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium import codecs
from voxarium.codecs import Chain, build_chain, build_chain_v2
from voxarium.errors import ChecksumError, Code, FormatError, InputError, UnsupportedError
from voxarium.model.codec import ChunkType

SHAPE = (3, 5, 7)
LITTLE = ("bytes", {"endian": "little"})


def chain(*codecs: tuple[str, dict[str, Any]], dtype: str = "<u2", shape: tuple[int, ...] = SHAPE) -> Chain:
    return build_chain(codecs, ChunkType(shape, np.dtype(dtype), np.zeros((), dtype)[()]), "a")


def chain_v2(*codecs: dict[str, Any], dtype: str = "<u2", order: str = "C", shape: tuple[int, ...] = SHAPE) -> Chain:
    native = np.dtype(dtype).newbyteorder("=")
    return build_chain_v2(codecs, order, np.dtype(dtype), ChunkType(shape, native, native.type(0)), "a")


def ramp(dtype: str = "u2", shape: tuple[int, ...] = SHAPE) -> np.ndarray[Any, Any]:
    return (np.arange(np.prod(shape, dtype=int)) % 250).reshape(shape).astype(dtype)


# ----------------------------------------------------------------------------------------- damaged payloads
DAMAGED = [
    ("zstd", {"level": 1}), ("gzip", {"level": 1}),
    ("blosc", {"cname": "lz4", "clevel": 5, "shuffle": "noshuffle"}),
    ("blosc", {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle", "typesize": 2}),
    ("numcodecs.zlib", {}), ("numcodecs.lz4", {}), ("numcodecs.bz2", {}), ("numcodecs.lzma", {}),
    ("crc32c", {}),
    ("numcodecs.shuffle", {"elementsize": 2}), ("numcodecs.fletcher32", {}),
]  # fmt: skip


@pytest.mark.parametrize("codec", DAMAGED, ids=lambda c: c[0])
def test_every_truncation_is_a_format_error(codec: tuple[str, dict[str, Any]]) -> None:
    steps = chain(LITTLE, codec)
    packed = bytes(memoryview(steps.encode(ramp())))
    for n in range(len(packed)):
        with pytest.raises(FormatError):
            steps.decode(packed[:n])
        with pytest.raises(FormatError):
            steps.decode(memoryview(packed)[:n], np.empty(SHAPE, "u2"))


@pytest.mark.parametrize("codec", DAMAGED, ids=lambda c: c[0])
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_is_a_format_error_or_a_chunk(codec: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    steps = chain(LITTLE, codec)
    packed = bytearray(memoryview(steps.encode(ramp())))
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), min_size=1, max_size=4)):
        packed[at] = data.draw(st.integers(0, 255))
    out = np.empty(SHAPE, "u2") if data.draw(st.booleans()) else None
    with suppress(FormatError):
        assert steps.decode(bytes(packed), out).shape == SHAPE


@pytest.mark.parametrize("codec", DAMAGED, ids=lambda c: c[0])
@given(st.binary(max_size=64))
def test_any_bytes_are_a_format_error_or_a_chunk(codec: tuple[str, dict[str, Any]], payload: bytes) -> None:
    with suppress(FormatError):
        assert chain(LITTLE, codec).decode(payload).shape == SHAPE


@pytest.mark.parametrize(
    ("codec", "bomb"),
    [
        ("zstd", numcodecs.zstd.compress(bytes(1 << 26), 1)),
        ("gzip", gzip.compress(bytes(1 << 26))),
        ("numcodecs.zlib", zlib.compress(bytes(1 << 26))),
        ("numcodecs.bz2", bz2.compress(bytes(1 << 26))),
        ("numcodecs.lzma", lzma.compress(bytes(1 << 26))),
        ("blosc", numcodecs.blosc.compress(bytes(1 << 26), b"zstd", 1)),
        ("numcodecs.lz4", numcodecs.lz4.compress(bytes(1 << 26))),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
@pytest.mark.parametrize("nested", [False, True])
def test_bombs_do_not_go_off(codec: str, bomb: bytes, nested: bool) -> None:
    """64 MiB of zeros in a few bytes, where 210 bytes (or a compressed form of them) are expected."""
    steps = chain(LITTLE, ("gzip", {"level": 1}), (codec, {})) if nested else chain(LITTLE, (codec, {}))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as caught:
            steps.decode(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24  # LZMA's dictionary alone takes 8 MiB
    finally:
        tracemalloc.stop()
    assert caught.value.code in (Code.CHUNK_CORRUPT, Code.CHUNK_TRUNCATED)


@pytest.mark.parametrize("codec", ["zstd", "gzip", "blosc", "numcodecs.lz4"])
def test_a_huge_chunk_shape_with_a_tiny_payload_sets_no_memory_aside(codec: str) -> None:
    big = chain(LITTLE, (codec, {}), dtype="u1", shape=(1 << 30,))
    small = chain(LITTLE, (codec, {}), dtype="u1", shape=(8,))
    payload = bytearray(memoryview(small.encode(np.zeros(8, "u1"))))
    if codec in ("blosc", "numcodecs.lz4"):
        at = 4 if codec == "blosc" else 0
        payload[at : at + 4] = (1 << 30).to_bytes(4, "little")
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            big.decode(bytes(payload))
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------------------------------------------- dialects
def test_zstd_frames_of_every_kind() -> None:
    data = np.zeros((40, 30, 100), "u2")
    data[::3, 5] = 7
    raw, steps = data.tobytes(), chain(LITTLE, ("zstd", {}), shape=data.shape)
    half = numcodecs.zstd.compress(raw[: len(raw) // 2], 1), numcodecs.zstd.compress(raw[len(raw) // 2 :], 1)
    skippable = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    for payload in (
        b"".join(half),
        skippable + b"".join(half),
        skippable + numcodecs.zstd.compress(raw, 1, True),
    ):
        assert np.array_equal(steps.decode(payload), data)
        with pytest.raises(FormatError):
            steps.decode(payload + half[0])
        with pytest.raises(FormatError):
            steps.decode(payload[:-1])
    with pytest.raises(FormatError, match="holds 120000 bytes instead of 240000"):
        steps.decode(half[0])


def streamed(raw: bytes, *, block: int = 1 << 17) -> bytes:
    """Return a zstd frame of uncompressed blocks that does not state its content size."""
    out = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x58])  # no size, window descriptor
    for at in range(0, len(raw), block):
        part = raw[at : at + block]
        last = at + block >= len(raw)
        out += ((len(part) << 3) | last).to_bytes(3, "little") + part
    return out


def test_zstd_frames_without_a_size() -> None:
    data = ramp(shape=(4, 100, 400))
    steps = chain(LITTLE, ("zstd", {}), shape=data.shape)
    payload = streamed(data.tobytes())
    assert np.array_equal(steps.decode(payload), data)
    for wrong in (
        streamed(data.tobytes()[:-1]),
        streamed(data.tobytes() + b"x"),
        payload[:-1],
        payload + b"x",
    ):
        with pytest.raises(FormatError):
            steps.decode(wrong)
    # Behind another compressor the size is only bounded.
    twice = chain(LITTLE, ("gzip", {"level": 1}), ("zstd", {}), shape=data.shape)
    assert np.array_equal(twice.decode(streamed(gzip.compress(data.tobytes()))), data)
    run = b"\x28\xb5\x2f\xfd\x00\x58" + b"\x02\x00\x10\x00" * 300 + b"\x03\x00\x10\x00"  # 300 runs of 128 KiB
    with pytest.raises(FormatError, match="may hold"):
        twice.decode(run)


def test_gzip_members_and_padding() -> None:
    raw = ramp().tobytes()
    steps = chain(LITTLE, ("gzip", {}))
    assert np.array_equal(steps.decode(gzip.compress(raw[:100]) + gzip.compress(raw[100:]) + b"\0\0\0"), ramp())
    with pytest.raises(FormatError):
        steps.decode(gzip.compress(raw) + b"junk")
    with pytest.raises(FormatError):
        chain(LITTLE, ("numcodecs.zlib", {})).decode(zlib.compress(raw) + b"junk")


def test_blosc_headers_that_lie() -> None:
    steps = chain(LITTLE, ("blosc", {}))
    good = bytes(memoryview(steps.encode(ramp())))
    for at, value in ((0, 4), (3, 0), (4, 1), (8, 255), (12, 1), (15, 255)):
        bad = bytearray(good)
        bad[at] = value
        if bytes(bad) != good:
            with pytest.raises(FormatError):
                steps.decode(bytes(bad))
    with pytest.raises(FormatError):
        steps.decode(good + b"x")


@pytest.mark.parametrize(
    "codec",
    ["crc32c", "numcodecs.crc32", "numcodecs.adler32", "numcodecs.fletcher32", "numcodecs.jenkins_lookup3"],
)
def test_a_wrong_checksum_is_told_apart(codec: str) -> None:
    steps = chain(LITTLE, (codec, {}))
    bad = bytearray(memoryview(steps.encode(ramp())))
    bad[20] ^= 4
    with pytest.raises(ChecksumError) as caught:
        steps.decode(bytes(bad))
    assert caught.value.code is Code.CHECKSUM_MISMATCH
    assert steps.bounds == (214, 214)


# ---------------------------------------------------------------------------------------- hostile settings
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**70)
    | st.floats()
    | st.sampled_from(["little", "lz4", "shuffle", "<i2", ">f4", "O", "int8", "end", "bytes", "i2,i2", "start_byte"])
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "id", "configuration"]), inner)
    ),
    max_leaves=6,
)
NAMES = [*codecs._V3, *(f"v2:{name}" for name in codecs._NUMCODECS)]
KEYS = [
    "endian",
    "order",
    "shape",
    "level",
    "checksum",
    "cname",
    "clevel",
    "shuffle",
    "typesize",
    "blocksize",
    "acceleration",
    "format",
    "check",
    "preset",
    "filters",
    "location",
    "initval",
    "prefix",
    "dtype",
    "astype",
    "offset",
    "scale",
    "digits",
    "keepbits",
    "elementsize",
    "encode_dtype",
    "decode_dtype",
    "padding_encoding",
    "first_bit",
    "end_bit",
    "chunk_shape",
    "codecs",
    "index_codecs",
    "index_location",
]


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(KEYS), json_values, max_size=5),
    st.sampled_from(["u1", "u2", ">i4", "f4", "f8", "b1", "c8"]),
)
def test_any_settings_are_read_or_refused(name: str, configuration: dict[str, Any], dtype: str) -> None:
    """And when they are read, chunks survive encoding and decoding, unless the codec is a lossy one."""
    shape = (2, 3, 4)
    data = np.ones(shape, np.dtype(dtype).newbyteorder("="))
    try:
        if name.startswith("v2:"):
            steps = chain_v2({"id": name[3:], **configuration}, dtype=dtype, shape=shape)
        elif codecs._V3[name].split(":")[0] in ("layout", "filters", "packing", "sharding"):
            steps = chain((name, configuration), ("bytes", {"endian": "little"}), dtype=data.dtype.str, shape=shape)
        else:
            steps = chain(("bytes", {"endian": "little"}), (name, configuration), dtype=data.dtype.str, shape=shape)
    except (FormatError, UnsupportedError):
        return
    with suppress(InputError, FormatError):  # settings may exceed the range of the elements
        found = steps.decode(steps.encode(data))
        assert found.shape == shape
        assert found.dtype == data.dtype


def test_one_chain_serves_many_threads() -> None:
    steps = chain(LITTLE, ("zstd", {"level": 1}), ("crc32c", {}), shape=(40, 50, 60))
    chunks = [np.random.default_rng(i).integers(0, 9, (40, 50, 60), "u2") for i in range(8)]

    def there_and_back(i: int) -> bool:
        chunk = chunks[i % 8]
        return np.array_equal(steps.decode(steps.encode(chunk), np.empty_like(chunk)), chunk)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(there_and_back, range(64)))
