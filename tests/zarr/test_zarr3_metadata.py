"""zarr.json: what is accepted, what is refused, and what comes out again."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import Code, FormatError, UnsupportedError, VoxariumError
from voxarium.spec.zarr3 import (
    ArrayMetadata,
    ChunkKeys,
    GroupMetadata,
    dump_array,
    dump_group,
    parse_array,
    parse_consolidated,
    parse_group,
    parse_node,
)


def document(**changes: Any) -> dict[str, Any]:
    base = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [5, 7],
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 3]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
    }
    return {k: v for k, v in (base | changes).items() if v is not ...}


def refused(**changes: Any) -> str:
    with pytest.raises(FormatError) as caught:
        parse_array(document(**changes))
    assert caught.value.code is Code.METADATA_INVALID
    return str(caught.value)


def test_reads_every_field() -> None:
    meta = parse_array(json.dumps(document(dimension_names=["y", None], attributes={"a": [1]})).encode())
    assert meta.shape == (5, 7)
    assert meta.chunk_shape == (2, 3)
    assert meta.dtype == np.dtype("u2")
    assert meta.dimension_names == ("y", None)
    assert meta.attributes == {"a": [1]}
    assert meta.codecs[0].name == "bytes"


def test_lists_all_problems_at_once() -> None:
    message = refused(
        zarr_format=2,
        shape=[5, -1],
        fill_value="x",
        chunk_key_encoding={"name": "zigzag"},
        dimension_names=["y"],
    )
    for part in (
        "zarr_format is 2",
        "shape is [5, -1]",
        "fill_value is 'x'",
        "zigzag",
        "dimension_names is ['y']",
    ):
        assert part in message


@pytest.mark.parametrize(
    "key",
    [
        "zarr_format",
        "node_type",
        "shape",
        "data_type",
        "chunk_grid",
        "chunk_key_encoding",
        "fill_value",
        "codecs",
    ],
)
def test_required_fields_are_named_when_missing(key: str) -> None:
    assert f"{key} is missing" in refused(**{key: ...})


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("bool", True, np.bool_(True)),
        ("int8", -128, np.int8(-128)),
        ("uint64", 2**64 - 1, np.uint64(2**64 - 1)),
        ("int64", 7.0, np.int64(7)),
        ("float32", "Infinity", np.float32(np.inf)),
        ("float32", "-Infinity", np.float32(-np.inf)),
        ("float16", "NaN", np.float16(np.nan)),
        ("float64", 0.1, np.float64(0.1)),
        ("float64", "0x3ff0000000000000", np.float64(1)),
        ("float16", "0x3c00", np.float16(1)),
        ("complex64", [1, "NaN"], np.complex64(complex(1, np.nan))),
        ("complex128", ["0x3ff0000000000000", "-Infinity"], np.complex128(complex(1, -np.inf))),
    ],
)
def test_fill_values(dtype: str, value: Any, expected: np.generic) -> None:
    fill = parse_array(document(data_type=dtype, fill_value=value)).fill_value
    assert fill.dtype == expected.dtype
    assert fill.tobytes() == expected.tobytes()


def test_unusual_nan_keeps_its_bits() -> None:
    meta = parse_array(document(data_type="float32", fill_value="0x7fc00001"))
    assert meta.fill_value.tobytes() == bytes.fromhex("0100c07f")
    assert json.loads(dump_array(meta))["fill_value"] == "0x7fc00001"


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("bool", 2), ("bool", "true"), ("uint8", 256), ("uint8", -1), ("uint8", 1.5), ("uint8", True),
        ("uint8", "0"),
        ("float32", "nan"), ("float32", "0x3c00"), ("float32", 1e300), ("float64", 10**400),
        ("float32", None),
        ("complex64", [1]), ("complex64", {}), ("int8", None),
    ],
)  # fmt: skip
def test_wrong_fill_values(dtype: str, value: Any) -> None:
    assert "fill_value" in refused(data_type=dtype, fill_value=value)


@pytest.mark.parametrize(
    ("encoding", "index", "key"),
    [
        ({"name": "default"}, (1, 2), "c/1/2"),
        ({"name": "default", "configuration": {"separator": "."}}, (1, 2), "c.1.2"),
        ({"name": "v2"}, (1, 2), "1.2"),
        ({"name": "v2", "configuration": {"separator": "/"}}, (1, 2), "1/2"),
        ("default", (), "c"),
        ({"name": "v2"}, (), "0"),
    ],
)
def test_chunk_keys(encoding: Any, index: tuple[int, ...], key: str) -> None:
    assert parse_array(document(chunk_key_encoding=encoding)).chunk_keys.key(index) == key


@pytest.mark.parametrize(
    "codecs",
    [
        [],
        {},
        [1],
        [{"name": ""}],
        ["gzip"],
        [{"name": "bytes"}, {"name": "bytes"}],
        [{"name": "gzip"}, {"name": "bytes"}],
        [{"name": "bytes"}, {"name": "transpose"}],
        [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "zstd"}]}}],
        [
            {
                "name": "sharding_indexed",
                "configuration": {"codecs": ["bytes"], "index_codecs": ["crc32c", "bytes"]},
            }
        ],
    ],
)
def test_wrong_chains_of_codecs(codecs: Any) -> None:
    assert "codecs" in refused(codecs=codecs)


def test_codecs_in_shards_nested_without_end_are_refused() -> None:
    codec: Any = {"name": "bytes"}
    for _ in range(300):
        codec = {"name": "sharding_indexed", "configuration": {"codecs": [codec]}}
    assert "too deeply" in refused(codecs=[codec])


def test_unknown_fields_need_permission_to_be_ignored() -> None:
    meta = parse_array(document(note={"must_understand": False, "x": 1}, consolidated_metadata=None))
    assert meta.extra["note"] == {"must_understand": False, "x": 1}
    assert json.loads(dump_array(meta))["note"]["x"] == 1
    for bad in ({"must_understand": True}, {}, 1, None):
        with pytest.raises(UnsupportedError, match="'note'") as caught:
            parse_array(document(note=bad))
        assert caught.value.code is Code.FEATURE_UNSUPPORTED


def test_rectilinear_grids_and_storage_transformers_are_named() -> None:
    grid = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[1, 4], [7]]}}
    with pytest.raises(UnsupportedError, match="rectilinear"):
        parse_array(document(chunk_grid=grid))
    with pytest.raises(UnsupportedError, match="storage transformers"):
        parse_array(document(storage_transformers=[{"name": "x"}]))
    assert parse_array(document(storage_transformers=[])).shape == (5, 7)


def test_chunks_larger_than_memory_are_refused() -> None:
    huge = {"name": "regular", "configuration": {"chunk_shape": [2**40, 2**40]}}
    assert "GiB each" in refused(chunk_grid=huge)


@pytest.mark.parametrize("chunk_shape", [[2], [2, 0], [2, 3.0], [2, True], "23", None])
def test_wrong_chunk_shapes(chunk_shape: Any) -> None:
    assert "chunk_" in refused(chunk_grid={"name": "regular", "configuration": {"chunk_shape": chunk_shape}})


def test_unknown_data_types_are_parsed_but_have_no_dtype() -> None:
    meta = parse_array(document(data_type={"name": "numpy.datetime64", "configuration": {}}, fill_value="NaT"))
    assert meta.dtype is None
    assert meta.fill_value == "NaT"
    assert parse_array(document(data_type="r16", fill_value=[0, 1])).data_type == "r16"


def test_array_round_trip() -> None:
    meta = parse_array(document(dimension_names=["y", "x"], fill_value=9, attributes={"µ": float("nan")}))
    again = parse_array(dump_array(meta))
    assert again.attributes == {"µ": "NaN"}  # JSON has no NaN
    assert (again.shape, again.codecs, again.fill_value) == (meta.shape, meta.codecs, meta.fill_value)
    assert again.dimension_names == ("y", "x")
    assert dump_array(again) == dump_array(parse_array(dump_array(again)))


def test_half_a_surrogate_pair_survives() -> None:
    meta = parse_array(json.dumps(document(attributes={"x": "\ud800"})))
    assert parse_array(dump_array(meta)).attributes == {"x": "\ud800"}


def test_groups_and_their_consolidated_metadata() -> None:
    inner = {"zarr_format": 3, "node_type": "group", "attributes": {"k": 1}}
    unreadable = document(future={"must_understand": True})
    doc = inner | {
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": {"a": document(), "b": inner, "c": unreadable},
        }
    }
    group = parse_group(doc)
    assert group.consolidated is not None
    assert set(group.consolidated) == {"a", "b"}
    assert isinstance(group.consolidated["a"], ArrayMetadata)
    assert isinstance(group.consolidated["b"], GroupMetadata)
    assert isinstance(parse_node(doc), GroupMetadata)
    assert parse_consolidated(inner) is None
    assert json.loads(dump_group(group)) == inner
    with pytest.raises(FormatError, match="consolidated"):
        parse_consolidated(inner | {"consolidated_metadata": {"metadata": {"a": 3}}})


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b"1" * 5000, b"[" * 100_000, b'{"a":' * 100_000])
def test_junk_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_array(data)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(
        ["bytes", "zstd", "sharding_indexed", "regular", "default", "uint16", "r8", "NaN", "0x00", "", "name"]
    )
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "configuration", "codecs", "chunk_shape", "must_understand", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*document(), "dimension_names", "consolidated_metadata", "y"]), json_values))
def test_any_value_anywhere_is_read_or_refused(changes: dict[str, Any]) -> None:
    for parse in (parse_array, parse_group, parse_node, parse_consolidated):
        with suppress(VoxariumError):
            found = parse(document() | changes)
            if isinstance(found, ArrayMetadata):
                dump_array(found)


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (parse_array, parse_group, parse_node, parse_consolidated):
        with suppress(FormatError):
            parse(data)


def test_chunk_keys_of_ten_thousands() -> None:
    assert ChunkKeys().key((10_000, 0, 123_456)) == "c/10000/0/123456"
