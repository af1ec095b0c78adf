"""attributes.json in the dialects of other writers, and what the driver makes of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.formats.n5 import N5Driver
from voxarium.model.image import ArraySpec
from voxarium.model.protocols import Span, WritableArrayDriver
from voxarium.spec import n5
from voxarium.stores.memory import MemoryStore

N5 = N5Driver()
PLAIN: dict[str, Any] = {
    "dimensions": [7, 5, 3],
    "blockSize": [4, 3, 2],
    "dataType": "uint16",
    "compression": {"type": "raw"},
}


def parse(**changes: Any) -> n5.ArrayMetadata:
    keys = {k: v for k, v in (PLAIN | changes).items() if v is not None}
    return n5.parse_array(json.dumps(keys).encode())


def test_shapes_are_turned_around() -> None:
    meta = parse()
    assert (meta.shape, meta.block_shape) == ((3, 5, 7), (2, 3, 4))
    assert meta.dtype == np.dtype(">u2")
    assert n5.block_key((2, 1, 0)) == "0/1/2"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"compression": None, "compressionType": "gzip"}, {"type": "gzip"}),
        ({"compression": "bzip2"}, {"type": "bzip2"}),
        ({"compression": None}, {"type": "raw"}),
        (
            {"compression": {"type": "zstd", "level": 3, "id": "zstd"}},
            {"type": "zstd", "level": 3, "id": "zstd"},
        ),
        ({"compression": None, "codecs": [{"name": "n5bytes"}]}, {"type": "raw"}),
        (
            {"codecs": [{"name": "n5bytes"}, {"name": "gzip", "configuration": {"level": 2}}]},
            {"type": "gzip", "level": 2},
        ),
    ],
)
def test_compression_is_read_however_it_is_written(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert parse(**changes).compression == expected


def test_without_a_block_size_the_array_is_one_block() -> None:
    assert parse(blockSize=None, dimensions=[7, 0, 3]).block_shape == (3, 1, 7)


def test_keys_of_users_are_attributes_and_those_of_the_array_are_not() -> None:
    meta = parse(n5="2.5.1", resolution=[4, 4, 40], transform={"axes": ["z"]}, compressionType="gzip")
    assert meta.attributes == {"resolution": [4, 4, 40], "transform": {"axes": ["z"]}}
    assert meta.version == "2.5.1"


def test_metadata_survive_writing_and_are_written_with_the_keys_of_the_specification_only() -> None:
    meta = parse(zeta=1, alpha=[2.5])
    written = json.loads(n5.dump_array(meta))
    assert written == PLAIN | {"zeta": 1, "alpha": [2.5]}
    assert n5.parse_array(n5.dump_array(meta)) == meta


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dimensions": [7, 5]}, "blockSize has 3 axes and dimensions has 2"),
        ({"dimensions": [7, -5, 3]}, "dimensions is"),
        ({"dimensions": [], "blockSize": []}, "expected 1 to 32"),
        ({"dimensions": [2] * 33, "blockSize": [1] * 33}, "expected 1 to 32"),
        ({"dimensions": "7,5,3"}, "dimensions is"),
        ({"dimensions": [7.5, 5, 3]}, "dimensions is"),
        ({"blockSize": [4, 0, 2]}, "blockSize is"),
        ({"blockSize": [2**62, 3, 2]}, "the limit is"),
        ({"dimensions": [2**62, 2**62, 1], "blockSize": None}, "the limit is"),
        ({"dataType": "float16"}, "dataType is"),
        ({"dataType": 8}, "dataType is"),
        ({"compression": {}}, "an object with a type"),
        ({"compression": 7}, "compression is"),
        ({"compression": None, "compressionType": {"type": "gzip"}}, "compressionType is"),
        ({"codecs": [{"name": "sharding_indexed"}]}, "n5bytes"),
        ({"codecs": [{"name": "n5bytes"}, 7]}, "n5bytes"),
        ({"codecs": {}}, "n5bytes"),
    ],
)
def test_broken_documents_say_what_is_wrong(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        parse(**changes)


def test_huge_dimensions_cost_nothing() -> None:
    assert parse(dimensions=[2**62, 2**62, 2**62]).shape == (2**62, 2**62, 2**62)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=8), x, max_size=4),
    max_leaves=8,
)
KEYS = [*PLAIN, "compressionType", "codecs", "n5", "type"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON | st.sampled_from([*PLAIN.values(), "gzip", [{"name": "n5bytes"}]])))
def test_any_document_is_an_array_a_group_or_an_error(junk: dict[str, Any]) -> None:
    store = MemoryStore({"a/attributes.json": json.dumps(junk).encode()})
    try:
        info = N5.open(store, "a")
    except (FormatError, NotFoundError, UnsupportedError):
        return
    assert len(info.shape) == len(info.chunk_shape) > 0


@given(st.binary(max_size=64))
def test_any_bytes_are_no_array(junk: bytes) -> None:
    with pytest.raises((FormatError, NotFoundError)):
        N5.open(MemoryStore({"a/attributes.json": junk}), "a")


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.5.0", (1, 5, 0)), ("4", (4, 0, 0)), ("2.1-beta", (2, 1, 0)), ("", (0, 0, 0)), (4, (0, 0, 0))],
)
def test_versions(text: object, version: tuple[int, int, int]) -> None:
    assert n5.parse_version(text) == version


def test_the_root_of_a_container_states_the_version_and_keeps_one_it_has() -> None:
    assert json.loads(n5.dump_group({"k": 1}, root=True)) == {"n5": n5.VERSION, "k": 1}
    assert json.loads(n5.dump_group({"n5": "4.0.0", "k": 1}, root=True)) == {"n5": "4.0.0", "k": 1}
    assert json.loads(n5.dump_group({"k": 1})) == {"k": 1}


# ------------------------------------------------------------------------------------------------- the driver
def test_the_driver_keeps_to_the_protocol() -> None:
    assert isinstance(N5, WritableArrayDriver)


@pytest.mark.parametrize("attributes", [None, b"{}", b'{"n5": "4.0.0"}', b'{"dataType": "uint8"}'])
def test_groups_are_no_arrays(attributes: bytes | None) -> None:
    """A BDV setup is a group with the key dataType."""
    store = MemoryStore({} if attributes is None else {"g/attributes.json": attributes})
    with pytest.raises(NotFoundError) as caught:
        N5.open(store, "g")
    assert caught.value.code is Code.METADATA_MISSING


def test_an_array_says_of_axes_and_coordinates_what_its_attributes_say(kit: Any) -> None:
    more: dict[str, Any] = {"lens": 1}
    info = N5.open(MemoryStore({"attributes.json": kit.document((3, 5, 7), (2, 3, 4), **more)}), "")
    assert info.axes is None
    assert info.transform is None
    more = {"pixelResolution": {"dimensions": [4, 5, 40], "unit": "nm"}, "axes": ["x", "y", "z"]}
    info = N5.open(MemoryStore({"attributes.json": kit.document((3, 5, 7), (2, 3, 4), **more)}), "")
    assert [a.name for a in info.axes or ()] == ["z", "y", "x"]
    assert info.transform is not None and info.transform.apply((1, 1, 1)).tolist() == [40, 5, 4]
    assert info.attributes == more
    assert (info.dtype, info.fill_value, info.codecs) == (np.dtype("u2"), 0, ("bytes:big",))


def test_a_later_major_version_is_refused(kit: Any) -> None:
    N5.open(MemoryStore({"attributes.json": kit.document((3,), (2,), n5="4.9.9")}), "")
    with pytest.raises(UnsupportedError, match=r"version 5\.0\.0"):
        N5.open(MemoryStore({"attributes.json": kit.document((3,), (2,), n5="5.0.0")}), "")


@pytest.mark.parametrize("data_type", ["string", "object"])
def test_strings_and_objects_are_no_voxels(kit: Any, data_type: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        N5.open(MemoryStore({"a/attributes.json": kit.document((3,), (2,), data_type)}), "a")
    assert caught.value.code is Code.DTYPE_UNSUPPORTED


def test_an_unknown_compression_is_named(kit: Any) -> None:
    with pytest.raises(UnsupportedError, match="'jpeg'") as caught:
        N5.open(MemoryStore({"a/attributes.json": kit.document((3,), (2,), compression={"type": "jpeg"})}), "a")
    assert caught.value.code is Code.CODEC_UNKNOWN


def new(**changes: Any) -> ArraySpec:
    base: dict[str, Any] = {"shape": (3, 5, 7), "dtype": np.dtype("u2"), "chunk_shape": (2, 3, 4)}
    return ArraySpec(**(base | changes))


@pytest.mark.parametrize(
    ("codec", "written"),
    [
        ("gzip:5", {"type": "gzip", "level": 5}),
        ("zstd:3", {"type": "zstd", "level": 3}),
        ("blosc:zstd:3", {"type": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 1, "blocksize": 0}),
        ("lz4", {"type": "lz4", "blockSize": 65536}),
        ("lz4:1024", {"type": "lz4", "blockSize": 1024}),
        ("xz", {"type": "xz", "preset": 6}),
        ("bzip2:3", {"type": "bzip2", "blockSize": 3}),
        ("none", {"type": "raw"}),
        ("raw", {"type": "raw"}),
    ],
)
def test_codecs_are_written_with_the_keys_of_the_specification(codec: str, written: dict[str, Any]) -> None:
    documents = N5.dump("em/s0", N5.create(new(codec=codec, attributes={"k": [1]})))
    assert {k: json.loads(v) for k, v in documents.items()} == {
        "em/s0/attributes.json": PLAIN | {"compression": written, "k": [1]}
    }


def test_an_array_at_the_root_is_a_container_too() -> None:
    document = json.loads(N5.dump("", N5.create(new()))["attributes.json"])
    assert document["n5"] == n5.VERSION
    assert N5.dump("", N5.open(MemoryStore(N5.dump("", N5.create(new()))), "")) == N5.dump("", N5.create(new()))


def test_keys_of_chunks_count_x_first() -> None:
    info = N5.create(new())
    assert N5.object_key("a/b", info, (1, 0, 2)) == "a/b/2/0/1"
    assert N5.object_key("", info, (1, 0, 2)) == "2/0/1"
    assert N5.locate(MemoryStore(), "a", info, [(1, 0, 2)], None) == [Span("a/2/0/1")]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"chunk_shape": (2, 3)}, Code.CHUNK_MISALIGNED),
        ({"shape": (), "chunk_shape": ()}, Code.AXES_MISMATCH),
        ({"chunk_shape": (2**10, 2**10, 2**10)}, Code.ARGUMENT_INVALID),
        ({"fill_value": 1}, Code.ARGUMENT_INVALID),
        ({"fill_value": 2**16}, Code.DTYPE_RANGE),
        ({"shard_shape": (4, 6, 8)}, Code.ARGUMENT_INVALID),
        ({"attributes": {"dimensions": [1]}}, Code.ARGUMENT_INVALID),
        ({"codec": "rar"}, Code.ARGUMENT_INVALID),
        ({"codec": "lz4:7"}, Code.ARGUMENT_INVALID),
        ({"codec": "xz:x"}, Code.ARGUMENT_INVALID),
        ({"codec": "bzip2:0"}, Code.ARGUMENT_INVALID),
    ],
)
def test_specs_that_cannot_be_met(changes: dict[str, Any], code: Code) -> None:
    with pytest.raises(InputError) as caught:
        N5.create(new(**changes))
    assert caught.value.code is code


@pytest.mark.parametrize("dtype", ["b1", "f2", "c8", "c16"])
def test_types_that_n5_does_not_have(dtype: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        N5.create(new(dtype=np.dtype(dtype)))
    assert caught.value.code is Code.DTYPE_UNSUPPORTED
