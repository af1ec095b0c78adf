"""Codecs by themselves: agreement with numcodecs, settings, short names."""

from __future__ import annotations

import pickle
import zlib
from typing import Any

import numcodecs
import numcodecs.blosc
import numcodecs.zstd
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.codecs import Chain, build_chain, build_chain_v2, parse_codec
from voxarium.errors import Code, FormatError, InputError, UnsupportedError
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


# --------------------------------------------------------------------------------- agreement with numcodecs
COMPRESSORS = [
    {"id": "zlib", "level": 6},
    {"id": "gzip", "level": 1},
    {"id": "bz2", "level": 9},
    {"id": "lzma", "format": 1, "check": -1, "preset": None, "filters": None},
    {"id": "lzma", "format": 2, "check": -1, "preset": 1, "filters": None},
    {
        "id": "lzma",
        "format": 3,
        "check": -1,
        "preset": None,
        "filters": [{"id": 3, "dist": 2}, {"id": 33, "preset": 1}],
    },
    {"id": "lz4", "acceleration": 3},
    {"id": "zstd", "level": 3},
    {"id": "zstd", "level": -5, "checksum": True},
    {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
    {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 2, "blocksize": 64},
    {"id": "blosc", "cname": "zlib", "clevel": 9, "shuffle": -1, "blocksize": 0},
    {"id": "blosc", "cname": "blosclz", "clevel": 0, "shuffle": 0, "blocksize": 0},
    {"id": "shuffle", "elementsize": 2},
    {"id": "crc32"},
    {"id": "crc32c"},
    {"id": "crc32c", "location": "start"},
    {"id": "adler32"},
    {"id": "fletcher32"},
    {"id": "jenkins_lookup3", "initval": 5, "prefix": None},
]


@pytest.mark.parametrize("config", COMPRESSORS, ids=lambda c: "-".join(map(str, c.values()))[:40])
def test_bytes_codecs_agree_with_numcodecs_both_ways(config: dict[str, Any]) -> None:
    reference = numcodecs.get_codec(config)
    ours = chain_v2(config)
    data = ramp()
    assert np.array_equal(ours.decode(bytes(memoryview(reference.encode(data)))), data)
    packed = bytes(memoryview(ours.encode(data)))
    assert np.frombuffer(memoryview(reference.decode(packed)), "<u2").tolist() == data.ravel().tolist()
    # The same codec under its Zarr v3 name.
    settings = {k: v for k, v in config.items() if k != "id"}
    v3 = chain(LITTLE, (f"numcodecs.{config['id']}", settings))
    assert np.array_equal(v3.decode(packed), data)
    assert v3.key == ours.key
    assert np.array_equal(pickle.loads(pickle.dumps(v3)).decode(packed), data)


FILTERS = [
    ({"id": "delta", "dtype": "<i2"}, "<i2"),
    ({"id": "delta", "dtype": "<i2", "astype": "<i4"}, "<i2"),
    ({"id": "delta", "dtype": ">i4", "astype": ">i4"}, ">i4"),
    ({"id": "fixedscaleoffset", "offset": 3, "scale": 2, "dtype": "<f8", "astype": "|u1"}, "<f8"),
    ({"id": "fixedscaleoffset", "offset": 0.5, "scale": 10.5, "dtype": "<f4", "astype": "<i4"}, "<f4"),
    ({"id": "quantize", "digits": 2, "dtype": "<f8", "astype": "<f4"}, "<f8"),
    ({"id": "astype", "encode_dtype": "<i4", "decode_dtype": "<i8"}, "<i8"),
    ({"id": "astype", "encode_dtype": ">f4", "decode_dtype": "<f8"}, "<f8"),
    ({"id": "bitround", "keepbits": 5}, "<f4"),
    ({"id": "bitround", "keepbits": 30}, "<f8"),
    ({"id": "packbits"}, "|b1"),
]


@pytest.mark.parametrize(("config", "dtype"), FILTERS, ids=lambda v: str(v)[:30])
@pytest.mark.parametrize("order", ["C", "F"])
def test_filters_agree_with_numcodecs_both_ways(config: dict[str, Any], dtype: str, order: Any) -> None:
    reference = numcodecs.get_codec(config)
    data: Any = ramp(dtype) if dtype != "|b1" else ramp("u1") % 3 == 0
    laid_out = np.asarray(data, dtype, order=order).ravel("K")
    theirs = np.ascontiguousarray(reference.encode(laid_out)).tobytes()
    ours = chain_v2(config, {"id": "zlib"}, dtype=dtype, order=order)
    assert zlib.decompress(bytes(memoryview(ours.encode(data)))) == theirs
    expected = np.asarray(reference.decode(theirs)).view(dtype).reshape(SHAPE, order=order)
    assert np.array_equal(ours.decode(zlib.compress(theirs)), expected)


def test_several_filters_in_a_row() -> None:
    filters: list[dict[str, Any]] = [
        {"id": "delta", "dtype": "<i2"},
        {"id": "shuffle", "elementsize": 2},
        {"id": "crc32"},
    ]
    data = ramp("i2")
    payload: Any = data
    for config in filters:
        payload = numcodecs.get_codec(config).encode(np.ascontiguousarray(payload))
    assert np.array_equal(chain_v2(*filters, dtype="<i2").decode(bytes(payload)), data)
    with pytest.raises(UnsupportedError, match="'delta' behind"):
        chain_v2({"id": "zlib"}, {"id": "delta", "dtype": "<i2"}, dtype="<i2")


# --------------------------------------------------------------------------------------------------- layout
@pytest.mark.parametrize("dtype", ["b1", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_bytes_in_either_order(dtype: str, endian: str) -> None:
    data = ramp(dtype)
    steps = chain(("bytes", {"endian": endian}), dtype=dtype)
    packed = bytes(memoryview(steps.encode(data)))
    assert packed == data.astype(data.dtype.newbyteorder("<" if endian == "little" else ">")).tobytes()
    for offset in (0, 1):  # also from an odd place within a shard
        found = steps.decode(memoryview(bytes(offset) + packed)[offset:])
        assert np.array_equal(found, data)
        assert found.dtype == data.dtype
        assert found.flags.aligned


def test_multi_byte_elements_need_a_byte_order() -> None:
    with pytest.raises(FormatError, match="endian is missing"):
        chain(("bytes", {}))
    assert chain(("bytes", {}), dtype="u1").key == ()


def test_booleans_other_than_one_are_true() -> None:
    found = chain(("bytes", {}), dtype="b1", shape=(3,)).decode(b"\x00\x02\xff")
    assert found.tolist() == [False, True, True]
    assert found.view("u1").tolist() == [0, 1, 1]


@given(st.permutations([0, 1, 2]))
def test_transpose_is_undone(order: list[int]) -> None:
    steps = chain(("transpose", {"order": order}), LITTLE, ("zstd", {"level": 1}))
    data = ramp()
    assert (
        bytes(memoryview(chain(("transpose", {"order": order}), LITTLE).encode(data)))
        == data.transpose(order).tobytes()
    )
    assert np.array_equal(steps.decode(steps.encode(data), np.empty(SHAPE, "u2")), data)


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [0, 1, 3], "K", None, [0.0, 1, 2]])
def test_wrong_transposes(order: Any) -> None:
    with pytest.raises(FormatError, match="codec transpose: order"):
        chain(("transpose", {"order": order}), LITTLE)


@pytest.mark.parametrize(
    ("shape", "stored"),
    [
        ([[0, 1], 7], (15, 7)),
        ([-1], (105,)),
        ([3, [1, 2]], (3, 35)),
        ([[0], 5, 1, [2]], (3, 5, 1, 7)),
        ([5, 3, 7], (5, 3, 7)),
    ],
)
def test_reshape(shape: Any, stored: tuple[int, ...]) -> None:
    order = list(reversed(range(len(stored))))
    steps = chain(("reshape", {"shape": shape}), ("transpose", {"order": order}), LITTLE)
    data = ramp()
    assert bytes(memoryview(steps.encode(data))) == data.reshape(stored).transpose(order).tobytes()
    assert np.array_equal(steps.decode(steps.encode(data)), data)


@pytest.mark.parametrize(
    "shape", [[4, -1], [-1, -1], [[1], [0], 7], [[2, 1], 3], [0, -1], [[0, 2], 5], [[3]], "x", [1.5], [-2]]
)
def test_wrong_reshapes(shape: Any) -> None:
    with pytest.raises(FormatError, match="shape"):
        chain(("reshape", {"shape": shape}), LITTLE)


@pytest.mark.parametrize("padding", ["none", "start_byte", "end_byte", "first_byte", "last_byte"])
@pytest.mark.parametrize(
    ("dtype", "bits", "values"),
    [
        ("b1", {}, [True, False, True, True, False, True, False, False, True]),
        ("u2", {"start_bit": 0, "end_bit": 11}, [4095, 1, 2048]),
        ("i2", {"first_bit": 0, "last_bit": 4}, [-16, 15, -1, 7]),
        ("u4", {"start_bit": 4, "end_bit": 6}, [0x70, 0x10, 0x50]),
        ("f4", {}, [1.5, -2.0]),
        ("c8", {}, [1 + 2j, -3.5j]),
    ],
)
def test_packbits_of_zarr3(dtype: str, bits: dict[str, Any], values: list[Any], padding: str) -> None:
    data = np.array(values, dtype)
    steps = chain(("packbits", {"padding_encoding": padding, **bits}), dtype=dtype, shape=data.shape)
    packed = bytes(memoryview(steps.encode(data)))
    assert len(packed) == steps.bounds[0]
    assert np.array_equal(steps.decode(packed), data)
    with pytest.raises(FormatError):
        steps.decode(packed[:-1])
    if padding == "start_byte":
        with pytest.raises(FormatError, match="padding"):
            steps.decode(b"\x09" + packed[1:])


def test_packbits_puts_the_first_element_into_the_lowest_bit() -> None:
    assert chain(("packbits", {}), dtype="b1", shape=(9,)).decode(b"\x05\x01").tolist() == [
        1,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        1,
    ]
    twelve = chain(("packbits", {"end_bit": 11}), shape=(2,))
    assert bytes(memoryview(twelve.encode(np.array([0xABC, 0x123], "u2")))) == bytes.fromhex("bc3a12")


# ------------------------------------------------------------------------------------------ what is refused
@pytest.mark.parametrize("name", ["pickle", "numcodecs.pickle", "json2", "vlen-utf8", "zfp", "", "__class__", "layout"])
def test_unknown_codecs_are_named(name: str) -> None:
    with pytest.raises(UnsupportedError, match="a is stored with the codec") as caught:
        chain(LITTLE, (name, {}))
    assert caught.value.code is Code.CODEC_UNKNOWN
    assert repr(name) in str(caught.value)
    with pytest.raises(UnsupportedError):
        chain_v2({"id": name})


@pytest.mark.parametrize(
    ("name", "configuration"),
    [
        ("zstd", {"level": 99}), ("zstd", {"level": "1"}), ("zstd", {"checksum": 1}), ("zstd", {"depth": 1}),
        ("gzip", {"level": 10}), ("blosc", {"cname": "gzip"}), ("blosc", {"shuffle": "x"}),
        ("blosc", {"shuffle": 7}),
        ("blosc", {"clevel": -1}), ("blosc", {"typesize": 0}), ("crc32c", {"seed": 1}),
        ("numcodecs.bz2", {"level": 0}),
        ("numcodecs.lzma", {"format": 9}), ("numcodecs.lzma", {"filters": [1]}),
        ("numcodecs.lzma", {"preset": "x"}),
        ("numcodecs.lzma", {"format": 3, "filters": [{"id": 33, "dict_size": 2**40}]}),
        ("numcodecs.crc32", {"location": "middle"}), ("numcodecs.shuffle", {"elementsize": -1}),
        ("numcodecs.jenkins_lookup3", {"prefix": "x"}),
    ],
)  # fmt: skip
def test_wrong_settings_of_byte_codecs(name: str, configuration: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        chain(LITTLE, (name, configuration))
    assert caught.value.code is Code.METADATA_INVALID


@pytest.mark.parametrize(
    ("name", "configuration", "dtype"),
    [
        ("numcodecs.delta", {"dtype": "O"}, "u2"), ("numcodecs.delta", {"dtype": "<i4"}, "u2"),
        ("numcodecs.delta", {"dtype": "<i2,<i2"}, "u4"), ("numcodecs.delta", {}, "b1"),
        ("numcodecs.delta", {"dtype": 3}, "u2"),
        ("numcodecs.fixedscaleoffset", {"offset": "x", "scale": 1}, "f4"),
        ("numcodecs.fixedscaleoffset", {}, "f4"),
        ("numcodecs.fixedscaleoffset", {"offset": 0, "scale": 1e999}, "f4"),
        ("numcodecs.quantize", {"digits": 1}, "u2"),
        ("numcodecs.quantize", {"digits": 10**9}, "f4"), ("numcodecs.astype", {}, "u2"),
        ("numcodecs.astype", {"encode_dtype": "<c8"}, "f4"), ("bitround", {}, "f4"),
        ("bitround", {"keepbits": -1}, "f4"),
        ("numcodecs.packbits", {}, "u1"),
    ],
)  # fmt: skip
def test_wrong_settings_of_filters(name: str, configuration: dict[str, Any], dtype: str) -> None:
    with pytest.raises(FormatError) as caught:
        chain((name, configuration), LITTLE, dtype=dtype)
    assert caught.value.code is Code.METADATA_INVALID


@pytest.mark.parametrize(
    "codecs",
    [[LITTLE, LITTLE], [("gzip", {}), LITTLE], [("gzip", {})], [LITTLE, ("transpose", {"order": [0]})]],
)
def test_codecs_in_the_wrong_place(codecs: Any) -> None:
    with pytest.raises(FormatError):
        chain(*codecs, shape=(3,))


def test_bitround_of_integers_cannot_be_written() -> None:
    with pytest.raises(InputError):
        chain(("bitround", {"keepbits": 3}), LITTLE).encode(ramp())


# ---------------------------------------------------------------------------------------------- short names
@pytest.mark.parametrize(
    ("text", "dtype", "v3", "v2"),
    [
        ("none", "u1", [], None),
        ("zstd", "u1", [("zstd", {"level": 1, "checksum": False})], {"id": "zstd", "level": 1}),
        ("zstd:-7", "u1", [("zstd", {"level": -7, "checksum": False})], {"id": "zstd", "level": -7}),
        ("GZIP:5", "u1", [("gzip", {"level": 5})], {"id": "gzip", "level": 5}),
        (
            "blosc:zstd:3:bitshuffle", "f4",
            [
                (
                    "blosc",
                    {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle", "typesize": 4, "blocksize": 0},
                )
            ],
            {"id": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 2, "blocksize": 0},
        ),
        (
            "blosc", "u1",
            [("blosc", {"cname": "lz4", "clevel": 5, "shuffle": "noshuffle", "typesize": 1, "blocksize": 0})],
            {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 0, "blocksize": 0},
        ),
    ],
)  # fmt: skip
def test_short_names(text: str, dtype: str, v3: Any, v2: Any) -> None:
    choice = parse_codec(text, np.dtype(dtype))
    assert choice.to_v3() == v3
    assert choice.to_numcodecs() == v2


@pytest.mark.parametrize(
    "text", ["", "lzma", "zstd:x", "zstd:23", "gzip:10", "none:1", "blosc:lz5", "blosc:lz4:10", "zstd:1:2"]
)
def test_unknown_short_names(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_codec(text, np.dtype("u1"))
    assert caught.value.fix


def test_blosc_has_a_largest_chunk() -> None:
    with pytest.raises(InputError, match="2 GiB"):
        parse_codec("blosc", np.dtype("u1")).check_chunk(2**31)


# -------------------------------------------------------------------------------------------------- scratch
@pytest.mark.parametrize("name", ["zstd", "blosc", "numcodecs.lz4"])
def test_decodes_straight_into_scratch(name: str) -> None:
    steps = chain(LITTLE, (name, {}))
    packed = steps.encode(ramp())
    out = np.empty(SHAPE, "u2")
    assert steps.decode(packed, out) is out
    assert np.array_equal(out, ramp())
    checked = chain(LITTLE, (name, {}), ("crc32c", {}))
    assert checked.decode(checked.encode(ramp()), out) is out


@pytest.mark.parametrize(
    "scratch",
    [
        np.empty((7, 5, 3), "u2").T,
        np.empty((3, 5, 8), "u2"),
        np.empty(SHAPE, "f2"),
        np.broadcast_to(np.uint16(0), SHAPE),
    ],
)
def test_unfit_scratch_is_left_alone(scratch: np.ndarray[Any, Any]) -> None:
    steps = chain(LITTLE, ("zstd", {}))
    assert np.array_equal(steps.decode(steps.encode(ramp()), scratch), ramp())


def test_keys_say_who_can_exchange_payloads() -> None:
    assert chain(LITTLE, ("zstd", {"level": 1})).key == chain_v2({"id": "zstd", "level": 19}).key
    assert chain(("transpose", {"order": [2, 1, 0]}), LITTLE).key == chain_v2(order="F").key
    assert chain(LITTLE).key != chain(("bytes", {"endian": "big"})).key
    assert chain(LITTLE, dtype="u1").key == chain(("bytes", {"endian": "big"}), dtype="u1").key
    assert chain(LITTLE, ("gzip", {})).key != chain(LITTLE, ("numcodecs.zlib", {})).key
    assert chain(("transpose", {"order": [0, 1, 2]}), LITTLE).key == chain(LITTLE).key
    hash(chain(LITTLE, ("blosc", {})).key)
