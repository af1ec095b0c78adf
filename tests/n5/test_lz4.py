"""LZ4 in the framing of the Java library."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.codecs.lz4_block import Lz4Block
from voxarium.codecs.lz4_block.xxhash32 import xxh32
from voxarium.errors import ChecksumError, Code, FormatError

# Written by LZ4BlockOutputStream of lz4-java 1.8.0.
JAVA = {
    b"": "4c5a34426c6f636b16000000000000000000000000",
    b"x": "4c5a34426c6f636b1601000000010000001093c001784c5a34426c6f636b16000000000000000000000000",
    b"abc" * 5: "4c5a34426c6f636b160f0000000f00000049a475066162636162636162636162636162634c5a34426c6f636b1600000000"
    "0000000000000000",
}


def decoded(payload: bytes, size: int, **more: Any) -> bytes:
    return bytes(Lz4Block().decode(payload, (size, size), **more))


@pytest.mark.parametrize("data", list(JAVA))
def test_streams_of_the_java_library_are_read(data: bytes) -> None:
    assert decoded(bytes.fromhex(JAVA[data]), len(data)) == data


@pytest.mark.parametrize("data", [b"", b"x"])
def test_bytes_that_cannot_shrink_are_written_as_the_java_library_does(data: bytes) -> None:
    assert Lz4Block().encode(data).hex() == JAVA[data]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0x02CC5D05),
        (b"a", 0x550D7456),
        (b"abc", 0x32D153FF),
        (b"Nobody inspects the spammish repetition", 0xE2293B2F),
    ],
)
def test_the_hash_is_that_of_its_specification(data: bytes, value: int) -> None:
    assert xxh32(np.frombuffer(data, np.uint8), 0) == value


@given(st.binary(max_size=300), st.sampled_from([64, 100, 65536, 1 << 25]), st.booleans())
def test_any_bytes_survive(data: bytes, frame: int, scratch: bool) -> None:
    codec = Lz4Block(frame)
    packed = codec.encode(data)
    codec.check(packed, (len(data), len(data)))
    out = np.empty(len(data), np.uint8) if scratch else None
    found = codec.decode(packed, (len(data), len(data)), out)
    assert bytes(found) == data
    assert out is None or found.obj is out
    assert len(packed) <= codec.encoded_bounds((len(data), len(data)))[1]


def test_frames_are_as_long_as_the_setting_says() -> None:
    data = np.random.default_rng(5).bytes(1000)
    packed = Lz4Block(256).encode(data)
    assert packed.count(b"LZ4Block") == 5
    assert decoded(packed, 1000) == data


@pytest.mark.parametrize(("setting", "frame"), [(6, 65536), (-1, 65536), (2**30, 65536), (64, 64), (2**20, 2**20)])
def test_settings_that_are_levels_are_no_sizes(setting: int, frame: int) -> None:
    from voxarium.model.fields import Fields, Problems

    assert Lz4Block.parse(Fields({"blockSize": setting}, Problems("a")), None).frame_bytes == frame


def test_a_wrong_checksum_is_told_apart() -> None:
    packed = bytearray(bytes.fromhex(JAVA[b"abc" * 5]))
    packed[22] ^= 1
    with pytest.raises(ChecksumError) as caught:
        decoded(bytes(packed), 15)
    assert caught.value.code is Code.CHECKSUM_MISMATCH


def test_a_block_without_framing_is_read() -> None:
    import numcodecs.lz4

    data = b"voxel" * 50
    assert decoded(numcodecs.lz4.compress(data)[4:], 250) == data
    with pytest.raises(FormatError):
        decoded(numcodecs.lz4.compress(data)[4:], 251)
    with pytest.raises(FormatError, match="framing"):
        Lz4Block().decode(numcodecs.lz4.compress(data)[4:], (0, 300))


def test_every_truncation_is_a_format_error_but_that_of_the_end_mark() -> None:
    data = bytes(range(200)) * 2
    packed = Lz4Block(128).encode(data)
    for cut in range(1, len(packed)):
        if cut == len(packed) - 21:
            assert decoded(packed[:cut], 400) == data
            continue
        with pytest.raises(FormatError):
            decoded(packed[:cut], 400)


@pytest.mark.parametrize("size", [14, 16, 0, 2**31])
def test_another_size_than_expected_is_a_format_error(size: int) -> None:
    packed = bytes.fromhex(JAVA[b"abc" * 5])
    for act in (Lz4Block().decode, Lz4Block().check):
        with pytest.raises(FormatError):
            act(packed, (size, size))


def test_bytes_behind_the_end_are_a_format_error() -> None:
    with pytest.raises(FormatError, match="1 bytes behind its end"):
        decoded(bytes.fromhex(JAVA[b"x"]) + b"\0", 1)


@pytest.mark.parametrize(
    "head",
    [
        "3016 00000000 00000000 00000000",
        "16 01000000 02000000 00000000",
        "26 00000000 01000000 00000000",
        "26 01000000 00000000 00000000",
        "20 01000000 01040000 00000000",
        "2f 01000000 ffffffff 00000000",
        "2f 01000000 00000002 00000000",
    ],
)
def test_impossible_frames_are_format_errors(head: str) -> None:
    with pytest.raises(FormatError):
        Lz4Block().decode(b"LZ4Block" + bytes.fromhex(head.replace(" ", "")) + bytes(40), (0, 2**31))


@given(st.binary(max_size=100), st.booleans())
def test_any_payload_is_decoded_or_a_format_error(junk: bytes, framed: bool) -> None:
    with contextlib.suppress(FormatError):
        assert len(decoded(b"LZ4Block" * framed + junk, 64)) == 64
