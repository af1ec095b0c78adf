""".zarray, .zgroup, .zattrs and .zmetadata."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import Code, FormatError, VoxariumError
from voxarium.spec.zarr2 import (
    ArrayMetadata,
    GroupMetadata,
    dump_array,
    dump_attributes,
    dump_group,
    parse_array,
    parse_attributes,
    parse_consolidated,
    parse_group,
)


def document(**changes: Any) -> dict[str, Any]:
    base = {
        "zarr_format": 2,
        "shape": [5, 7],
        "chunks": [2, 3],
        "dtype": "<u2",
        "compressor": {"id": "zlib", "level": 1},
        "fill_value": 0,
        "order": "C",
        "filters": None,
    }
    return {k: v for k, v in (base | changes).items() if v is not ...}


def refused(**changes: Any) -> str:
    with pytest.raises(FormatError) as caught:
        parse_array(document(**changes))
    assert caught.value.code is Code.METADATA_INVALID
    return str(caught.value)


def test_reads_every_field() -> None:
    meta = parse_array(json.dumps(document(order="F", dimension_separator="/", extra=[1])), {"k": 1})
    assert (meta.shape, meta.chunk_shape, meta.order, meta.dimension_separator) == ((5, 7), (2, 3), "F", "/")
    assert meta.dtype == np.dtype("<u2")
    assert meta.extra == {"extra": [1]}
    assert meta.attributes == {"k": 1}
    again = parse_array(dump_array(meta))
    assert again.extra == {"extra": [1]}
    assert again.compressor == {"id": "zlib", "level": 1}


def test_what_may_be_left_out() -> None:
    meta = parse_array(document(compressor=..., filters=[], order=..., fill_value=...))
    assert (meta.compressor, meta.filters, meta.order, meta.dimension_separator) == (None, (), "C", ".")
    assert meta.fill_value == 0
    assert json.loads(dump_array(meta))["filters"] is None  # null, not []


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("<u2", None, np.uint16(0)),
        (">i4", -3, np.int32(-3)),
        ("|b1", 1, np.bool_(True)),
        ("|b1", None, np.bool_(False)),
        ("<i8", 5.0, np.int64(5)),
        ("|u1", "0", np.uint8(0)),  # n5-zarr
        (">f4", "1.5", np.float32(1.5)),
        ("<f8", "NaN", np.float64(np.nan)),
        ("<f8", "-Infinity", np.float64(-np.inf)),
        ("<c8", [1, -2], np.complex64(1 - 2j)),
        ("<c16", 0, np.complex128(0)),
    ],
)
def test_fill_values(dtype: str, value: Any, expected: np.generic) -> None:
    fill = parse_array(document(dtype=dtype, fill_value=value)).fill_value
    assert fill.dtype == expected.dtype
    assert fill.tobytes() == expected.tobytes()


def test_fill_values_of_bytes_are_base64() -> None:
    meta = parse_array(document(dtype="|S3", fill_value="YWJj"))
    assert meta.dtype is None
    assert meta.fill_value == b"abc"
    assert json.loads(dump_array(meta))["fill_value"] == "YWJj"
    assert "fill_value" in refused(dtype="|V4", fill_value="a")


@pytest.mark.parametrize("dtype", ["<U7", "|O", "<M8[ns]", [["a", "<i2"]], "|V8"])
def test_data_types_that_are_no_numbers_have_no_dtype(dtype: Any) -> None:
    meta = parse_array(document(dtype=dtype, fill_value=None))
    assert meta.dtype is None
    assert json.loads(dump_array(meta))["dtype"] == dtype


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("zarr_format", 3), ("shape", [5, -1]), ("shape", 5), ("chunks", [2, 0]), ("chunks", [2]),
        ("dtype", "u2"),
        ("dtype", "<f3"), ("dtype", 5), ("dtype", ...), ("order", "K"), ("order", 1),
        ("dimension_separator", "-"),
        ("compressor", "zlib"), ("compressor", {"level": 1}), ("filters", {}), ("filters", [1]),
        ("fill_value", 2**16),
        ("fill_value", "x"), ("chunks", [2**40, 2**40]), ("shape", ...),
    ],
)  # fmt: skip
def test_wrong_values(key: str, value: Any) -> None:
    assert key in refused(**{key: value})


def test_groups_and_attributes() -> None:
    assert parse_attributes(None) == {}
    assert np.isnan(parse_attributes(b'{"a": NaN}')["a"])  # zarr-python 2 wrote this
    assert dump_attributes({"a": 1}) == b'{\n  "a": 1\n}\n'
    group = parse_group(b'{"zarr_format": 2}', {"k": 1})
    assert group.attributes == {"k": 1}
    assert json.loads(dump_group(group)) == {"zarr_format": 2}
    with pytest.raises(FormatError, match="zarr_format"):
        parse_group(b"{}")


def test_consolidated() -> None:
    doc = {
        "zarr_consolidated_format": 1,
        "metadata": {
            ".zgroup": {"zarr_format": 2},
            ".zattrs": {"g": 1},
            "a/b/.zarray": document(),
            "a/b/.zattrs": {"k": 2},
        },
    }
    nodes = parse_consolidated(json.dumps(doc))
    assert isinstance(nodes[""], GroupMetadata)
    assert nodes[""].attributes == {"g": 1}
    assert isinstance(nodes["a/b"], ArrayMetadata)
    assert nodes["a/b"].attributes == {"k": 2}
    with pytest.raises(FormatError, match=r"metadata\.x"):
        parse_consolidated({"zarr_consolidated_format": 1, "metadata": {"x": 1}})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["<u2", "|V3", "|S9", "<M8[ns]", "NaN", "zlib", "1e5", "-3", "YWJj", "9" * 30])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "level", "x"]), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*document(), "dimension_separator", "y"]), json_values))
def test_any_value_anywhere_is_read_or_refused(changes: dict[str, Any]) -> None:
    with suppress(VoxariumError):
        dump_array(parse_array(document() | changes))


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (parse_array, parse_group, parse_attributes, parse_consolidated):
        with suppress(FormatError):
            parse(data)


@given(st.dictionaries(st.sampled_from(["a/.zarray", ".zgroup", "a/.zattrs", ".zarray", "/", ""]), json_values))
def test_any_consolidated_metadata_is_read_or_refused(metadata: dict[str, Any]) -> None:
    with suppress(FormatError):
        parse_consolidated({"zarr_consolidated_format": 1, "metadata": metadata})
