"""Blocks of other writers: cut, padded, of varying length, damaged."""

from __future__ import annotations

import contextlib
import gzip
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.formats.n5 import N5Driver, read_strings
from voxarium.model.box import Box
from voxarium.spec.n5 import dump_block_header, dump_strings, parse_block_header, parse_strings
from voxarium.stores.memory import MemoryStore

N5 = N5Driver()
SHAPE, BLOCKS = (3, 5, 7), (2, 3, 4)
RAMP = np.arange(105, dtype="u2").reshape(SHAPE)


def block(data: np.ndarray[Any, Any]) -> bytes:
    return dump_block_header(data.shape) + data.astype(data.dtype.newbyteorder(">")).tobytes()


def container(kit: Any, blocks: dict[str, bytes], **more: Any) -> MemoryStore:
    return MemoryStore(
        {"a/attributes.json": kit.document(SHAPE, BLOCKS, **more)} | {f"a/{k}": v for k, v in blocks.items()}
    )


def test_the_example_of_the_specification() -> None:
    """A block of 1 × 2 × 3 voxels of uint16: (1, 2, 3, 4, 5, 6) with x fastest."""
    written = bytes.fromhex("0000 0003 00000001 00000002 00000003 0001 0002 0003 0004 0005 0006")
    data = np.arange(1, 7, dtype="u2").reshape(3, 2, 1)
    assert block(data) == written
    header = parse_block_header(written, (3, 2, 1))
    assert (header.mode, header.shape, header.elements, header.length) == ("default", (3, 2, 1), 6, 16)


def test_absent_blocks_are_zeros(kit: Any) -> None:
    array = kit.opened(container(kit, {"1/0/0": block(RAMP[:2, :3, 4:])}))
    expected = np.zeros(SHAPE, "u2")
    expected[:2, :3, 4:] = RAMP[:2, :3, 4:]
    assert (array.read() == expected).all()
    assert N5.read_chunk(array.store, "a", array.info, Box((0, 0, 0), BLOCKS)) is None


def test_edge_blocks_may_be_cut_or_padded_or_anything_between(kit: Any) -> None:
    padded = np.full(BLOCKS, 9, "u2")
    padded[:1, :2, :3] = RAMP[2:, 3:, 4:]
    between = padded[:1, :3, :3]
    for data in (RAMP[2:, 3:, 4:], padded, between):
        array = kit.opened(container(kit, {"1/1/1": block(data)}))
        assert (array[2:, 3:, 4:] == RAMP[2:, 3:, 4:]).all()
        chunk = N5.read_chunk(array.store, "a", array.info, Box((2, 3, 4), (1, 2, 3)))
        assert (chunk == RAMP[2:, 3:, 4:]).all()


def test_a_block_smaller_than_its_place_leaves_zeros(kit: Any) -> None:
    array = kit.opened(container(kit, {"0/0/0": block(RAMP[:1, :2, :3]), "1/1/1": block(RAMP[2:, 3:4, 4:6])}))
    expected = np.zeros(SHAPE, "u2")
    expected[:1, :2, :3] = RAMP[:1, :2, :3]
    expected[2:, 3:4, 4:6] = RAMP[2:, 3:4, 4:6]
    assert (array.read() == expected).all()


def test_what_is_decoded_covers_the_part_within_the_array(kit: Any) -> None:
    info = N5.open(container(kit, {}), "a")
    cut = N5.decode(info, block(RAMP[2:, 3:, 4:]), shape=(1, 2, 3))
    assert cut.shape == (1, 2, 3)
    whole = N5.decode(info, block(RAMP[2:, 3:, 4:]))
    assert whole.shape == BLOCKS
    assert (whole[:1, :2, :3] == cut).all()
    assert whole.sum() == cut.sum()


@pytest.mark.parametrize("compression", ["raw", "zstd", "gzip"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64"])
def test_scratch_is_filled_where_it_fits(kit: Any, compression: str, dtype: str) -> None:
    store = MemoryStore()
    info = kit.write(store, "a", RAMP.astype(dtype), BLOCKS, codec=compression)
    for key, shape in (("a/0/0/0", BLOCKS), ("a/1/1/1", (1, 2, 3))):
        out = np.full(BLOCKS, 7, dtype)
        data = N5.decode(info, store.get(key), shape=shape, out=out)
        assert data.dtype == np.dtype(dtype)
        origin = (0, 0, 0) if shape == BLOCKS else (2, 3, 4)
        assert (data[tuple(map(slice, shape))] == RAMP[Box(origin, shape).slices]).all()


def test_blocks_of_varying_length_and_objects_are_voxels_when_there_is_one_element_for_each(kit: Any) -> None:
    body = RAMP[:2, :3, :4].astype(">u2").tobytes()
    edge = RAMP[2:, 3:, 4:].astype(">u2").tobytes()
    store = container(
        kit,
        {
            "0/0/0": dump_block_header(BLOCKS, 24) + body,
            "1/1/1": struct.pack(">HI", 2, 6) + edge,
        },
    )
    array = kit.opened(store)
    assert (array[:2, :3, :4] == RAMP[:2, :3, :4]).all()
    info = N5.open(store, "a")
    assert (N5.decode(info, store.get("a/1/1/1") or b"", shape=(1, 2, 3)) == RAMP[2:, 3:, 4:]).all()
    assert (N5.decode(info, struct.pack(">HI", 2, 24) + body) == RAMP[:2, :3, :4]).all()


@pytest.mark.parametrize("header", [dump_block_header(BLOCKS, 23), struct.pack(">HI", 2, 25)])
def test_lists_are_no_voxels(kit: Any, header: bytes) -> None:
    info = N5.open(container(kit, {}), "a")
    with pytest.raises(FormatError, match="these are lists"):
        N5.decode(info, header + bytes(50))


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", Code.CHUNK_TRUNCATED),
        (b"\0\0\0", Code.CHUNK_TRUNCATED),
        (dump_block_header(BLOCKS)[:-1], Code.CHUNK_TRUNCATED),
        (dump_block_header(BLOCKS, 24)[:-1], Code.CHUNK_TRUNCATED),
        (struct.pack(">HI", 2, 24)[:-1], Code.CHUNK_TRUNCATED),
        (dump_block_header(BLOCKS) + bytes(47), Code.CHUNK_TRUNCATED),
        (dump_block_header(BLOCKS) + bytes(49), Code.CHUNK_CORRUPT),
        (dump_block_header((3, 3, 4)) + bytes(72), Code.CHUNK_CORRUPT),
        (dump_block_header((0, 3, 4)), Code.CHUNK_CORRUPT),
        (dump_block_header((3, 4)) + bytes(24), Code.CHUNK_CORRUPT),
        (b"\0\3" + bytes(60), Code.CHUNK_CORRUPT),
        (struct.pack(">HHIIII", 1, 3, 4, 3, 2, 2**32 - 1), Code.CHUNK_CORRUPT),
        (struct.pack(">HHIII", 0, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), Code.CHUNK_CORRUPT),
    ],
)
def test_damaged_blocks_say_so_and_name_their_chunk(kit: Any, payload: bytes, code: Code) -> None:
    array = kit.opened(container(kit, {"0/0/0": payload}))
    with pytest.raises(FormatError, match=r"chunk \(0, 0, 0\) of .*a: ") as caught:
        array.read()
    assert caught.value.code is code
    with pytest.raises(FormatError):
        array.check([((0, 0, 0), payload)])


COMPRESSIONS: list[dict[str, Any]] = [
    {"type": "raw"},
    {"type": "gzip"},
    {"type": "gzip", "useZlib": True},
    {"type": "bzip2"},
    {"type": "xz"},
    {"type": "lz4"},
    {"type": "blosc", "cname": "zstd"},
    {"type": "zstd"},
]
TEXTS = ["none", "gzip", "gzip", "bzip2", "xz", "lz4", "blosc:zstd", "zstd"]


@given(st.sampled_from(COMPRESSIONS), st.binary(max_size=80), st.sampled_from([dump_block_header(BLOCKS), b""]))
def test_any_bytes_are_a_chunk_or_a_format_error(compression: dict[str, Any], junk: bytes, head: bytes) -> None:
    keys = {"dimensions": [7, 5, 3], "blockSize": [4, 3, 2], "dataType": "uint16", "compression": compression}
    info = N5.open(MemoryStore({"a/attributes.json": json.dumps(keys).encode()}), "a")
    with contextlib.suppress(FormatError):
        assert N5.decode(info, head + junk).shape == BLOCKS


@given(st.sampled_from(TEXTS), st.data())
def test_any_damage_is_a_chunk_or_a_format_error(codec: str, data: st.DataObject) -> None:
    from voxarium.model.image import ArraySpec

    info = N5.create(ArraySpec(shape=SHAPE, dtype=np.dtype("u2"), chunk_shape=BLOCKS, codec=codec))
    payload = bytearray(N5.encode(info, RAMP[:2, :3, :4]))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    for damaged in (bytes(payload), bytes(payload[:cut])):
        with contextlib.suppress(FormatError):
            assert N5.decode(info, damaged).shape == BLOCKS


@pytest.mark.parametrize("compression", COMPRESSIONS[1:], ids=TEXTS[1:])
def test_a_huge_block_with_a_tiny_payload_sets_no_memory_aside(kit: Any, compression: dict[str, Any]) -> None:
    store = MemoryStore(
        {
            "a/attributes.json": kit.document((2**40, 2**40), (2**15, 2**15), "uint16", compression=compression),
            "a/0/0": dump_block_header((2**15, 2**15)) + b"LZ4Block" + bytes(30),
        }
    )
    with pytest.raises(FormatError):
        N5.read_chunk(store, "a", N5.open(store, "a"), Box((0, 0), (2**15, 2**15)))


def test_bombs_do_not_go_off(kit: Any) -> None:
    bomb = gzip.compress(bytes(1 << 24))
    array = kit.opened(container(kit, {"0/0/0": dump_block_header(BLOCKS) + bomb}, compression={"type": "gzip"}))
    with pytest.raises(FormatError, match="instead of 48"):
        array.read()


def test_gzip_in_several_members_and_settings_nobody_knows(kit: Any) -> None:
    raw = RAMP[:2, :3, :4].astype(">u2").tobytes()
    members = gzip.compress(raw[:10]) + gzip.compress(raw[10:])
    compression = {"type": "gzip", "level": 1, "id": "gzip", "nthreads": 4}
    array = kit.opened(container(kit, {"0/0/0": dump_block_header(BLOCKS) + members}, compression=compression))
    assert (array[:2, :3, :4] == RAMP[:2, :3, :4]).all()


def test_lz4_as_zarr_2_writes_it_is_read(kit: Any) -> None:
    """It stores the settings of numcodecs, and its framing."""
    import numcodecs.lz4

    raw = RAMP[:2, :3, :4].astype(">u2").tobytes()
    payload = dump_block_header(BLOCKS) + numcodecs.lz4.compress(raw)
    array = kit.opened(container(kit, {"0/0/0": payload}, compression={"type": "lz4", "acceleration": 1}))
    assert (array[:2, :3, :4] == RAMP[:2, :3, :4]).all()


def test_lz4_of_unknown_framing_is_not_passed_on_undecoded(kit: Any) -> None:
    """Blocks of z5py have no framing, and the Java library cannot read them."""
    store = MemoryStore()
    created = kit.write(store, "a", RAMP, BLOCKS, codec="lz4")
    assert N5.encoding_key(N5.open(store, "a")) != N5.encoding_key(created)
    other = kit.write(store, "b", RAMP, BLOCKS, codec="gzip:1")
    assert N5.encoding_key(N5.open(store, "b")) == N5.encoding_key(other)
    assert N5.encoding_key(other) != N5.encoding_key(created)


# ----------------------------------------------------------------------------------------------------- strings
WORDS = np.array([["", "one", "zwei"], ["três", "", "五"], ["x" * 9, "y", ""]], object)


@pytest.mark.parametrize("compression", ["raw", "gzip", "zstd"])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_strings_are_read(kit: Any, compression: str, mode: int) -> None:
    from voxarium.codecs import build_packer_n5
    from voxarium.model.codec import ChunkType

    packer = build_packer_n5({"type": compression}, ChunkType((1,), np.dtype("u1")), "a")
    store = MemoryStore(
        {"a/attributes.json": kit.document((3, 3), (2, 2), "string", compression={"type": compression})}
    )
    for y, x in ((0, 0), (1, 0), (1, 1)):
        part = WORDS[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        body = dump_strings(part.reshape(-1).tolist())
        if mode == 2:
            head = struct.pack(">HI", 2, len(body))
            part = np.concatenate([part.reshape(-1), [""] * (4 - part.size)])
            body = dump_strings(part.tolist()) if part.size == 4 and y == 0 else body
            head = struct.pack(">HI", 2, len(body))
        else:
            head = dump_block_header(part.shape, len(body) if mode else None)
        store.put(f"a/{x}/{y}", head + (body if packer is None else bytes(memoryview(packer.encode(body)))))
    found = read_strings(store, "a")
    assert found.shape == (3, 3)
    if mode == 2:
        assert found[:2, :2].tolist() == WORDS[:2, :2].tolist()
    else:
        expected = WORDS.copy()
        expected[:2, 2:] = ""
        assert found.tolist() == expected.tolist()


def test_strings_of_the_java_library_are_read(kit: Any) -> None:
    """Written by its version 4.0.3: the words one, (empty), zürich and 五."""
    block = bytes.fromhex("00010002000000020000000200000011 6f6e6500 00 7ac3bc7269636800 e4ba9400")
    store = MemoryStore({"a/attributes.json": kit.document((2, 2), (2, 2), "string"), "a/0/0": block})
    assert read_strings(store, "a").tolist() == [["one", ""], ["zürich", "五"]]


def test_voxels_are_no_strings(kit: Any) -> None:
    with pytest.raises(UnsupportedError, match="uint16, not strings"):
        read_strings(container(kit, {}), "a")


@pytest.mark.parametrize("shape", [(2**40,), (2**31, 2**31)])
def test_no_more_strings_than_fit_into_memory(kit: Any, shape: tuple[int, ...]) -> None:
    store = MemoryStore({"a/attributes.json": kit.document(shape, (2,) * len(shape), "string")})
    with pytest.raises(FormatError, match="claims") as caught:
        read_strings(store, "a")
    assert caught.value.code is Code.SIZE_IMPLAUSIBLE


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5), max_size=9))
def test_strings_survive(words: list[str]) -> None:
    assert parse_strings(dump_strings(words), len(words)) == words


@given(st.binary(max_size=40), st.integers(0, 6))
def test_any_bytes_are_strings_or_a_format_error(junk: bytes, count: int) -> None:
    with contextlib.suppress(FormatError):
        assert len(parse_strings(junk, count)) == count


@given(st.binary(max_size=40))
def test_any_block_of_strings_is_read_or_refused(junk: bytes) -> None:
    keys = {"dimensions": [3], "blockSize": [3], "dataType": "string", "compression": {"type": "raw"}}
    store = MemoryStore({"a/attributes.json": json.dumps(keys).encode(), "a/0": junk})
    with contextlib.suppress(FormatError):
        assert read_strings(store, "a").shape == (3,)
