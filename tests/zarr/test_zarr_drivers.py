"""What the Zarr drivers say about arrays, and the errors they raise."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.formats.zarr2 import Zarr2Driver
from voxarium.formats.zarr3 import Zarr3Driver
from voxarium.model.box import Box
from voxarium.model.image import ArraySpec
from voxarium.model.protocols import ShardedArrayDriver, Span

ZARR2, ZARR3 = Zarr2Driver(), Zarr3Driver()
BOTH = pytest.mark.parametrize("driver", [ZARR2, ZARR3], ids=["zarr2", "zarr3"])


def new(**changes: Any) -> ArraySpec:
    base: dict[str, Any] = {"shape": (5, 7), "dtype": np.dtype("u2"), "chunk_shape": (2, 3)}
    return ArraySpec(**(base | changes))


def edited(driver: Any, **changes: Any) -> dict[str, bytes]:
    """Return the documents of an array with some keys changed."""
    documents: dict[str, bytes] = driver.dump("a", driver.create(new()))
    key = "a/zarr.json" if driver is ZARR3 else "a/.zarray"
    return documents | {key: json.dumps(json.loads(documents[key]) | changes).encode()}


@BOTH
def test_info_says_what_is_stored(driver: Any, kit: Any) -> None:
    created = driver.create(
        new(
            fill_value=9,
            dimension_names=("c", "x"),
            attributes={"k": [1]},
            codec="gzip:3",
            dtype=np.dtype(">u2"),
        )
    )
    store = kit.DictStore(driver.dump("deep/er", created))
    info = driver.open(store, "deep/er")
    for found in (created, info):
        assert found.format == driver.name
        assert (found.shape, found.chunk_shape, found.shard_shape) == ((5, 7), (2, 3), None)
        assert found.dtype == np.dtype("u2")
        assert found.dtype.isnative
        assert found.fill_value == 9
        assert found.fill_value.dtype == np.dtype("u2")
        assert found.codecs == ("bytes:little", "gzip:3")
        assert [(a.name, a.type) for a in found.axes] == [("c", "channel"), ("x", "space")]
        assert found.attributes["k"] == [1]
    assert driver.encoding_key(info) == driver.encoding_key(created)
    assert driver.dump("deep/er", info) == store.objects


@BOTH
def test_the_root_is_the_empty_path(driver: Any, kit: Any) -> None:
    info = driver.create(new())
    assert set(driver.dump("", info)) == {"zarr.json"} if driver is ZARR3 else {".zarray"}
    assert driver.object_key("", info, (1, 0)) == ("c/1/0" if driver is ZARR3 else "1/0")
    assert driver.object_key("a/b", info, (1, 0)) == ("a/b/c/1/0" if driver is ZARR3 else "a/b/1/0")


@BOTH
def test_absent_arrays_and_chunks(driver: Any, kit: Any) -> None:
    with pytest.raises(NotFoundError) as caught:
        driver.open(kit.DictStore(), "a")
    assert caught.value.code is Code.METADATA_MISSING
    info = driver.create(new())
    store = kit.DictStore()
    assert driver.read_chunk(store, "a", info, Box((2, 3), (2, 3))) is None
    key = driver.object_key("a", info, (2, 2))
    assert driver.locate(store, "a", info, [(2, 2)], kit.DictCache()) == [Span(key)]
    assert driver.locate(store, "a", info, [], kit.DictCache()) == []
    store.objects[key] = bytes(memoryview(driver.encode(info, np.full((2, 3), 4, "u2"))))
    edge = driver.read_chunk(store, "a", info, Box((4, 6), (1, 1)))
    assert edge.tolist() == [[4]]


def test_a_group_is_no_array(kit: Any) -> None:
    store = kit.DictStore({"g/zarr.json": b'{"zarr_format": 3, "node_type": "group"}'})
    with pytest.raises(NotFoundError, match="group"):
        ZARR3.open(store, "g")


@pytest.mark.parametrize("data_type", ["r16", "string", {"name": "numpy.datetime64"}, "bfloat16", "int4"])
def test_data_types_of_zarr3_that_are_refused(kit: Any, data_type: Any) -> None:
    with pytest.raises(UnsupportedError) as caught:
        ZARR3.open(kit.DictStore(edited(ZARR3, data_type=data_type, fill_value="")), "a")
    assert caught.value.code is Code.DTYPE_UNSUPPORTED


@pytest.mark.parametrize("dtype", ["|S3", "<U3", "|O", "<M8[s]", [["a", "<i2"]]])
def test_data_types_of_zarr2_that_are_refused(kit: Any, dtype: Any) -> None:
    with pytest.raises(UnsupportedError) as caught:
        ZARR2.open(kit.DictStore(edited(ZARR2, dtype=dtype, fill_value=None)), "a")
    assert caught.value.code is Code.DTYPE_UNSUPPORTED


def test_codecs_that_are_refused(kit: Any) -> None:
    for documents, driver in (
        (
            edited(ZARR3, codecs=[{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "jpegxl"}]),
            ZARR3,
        ),
        (edited(ZARR2, compressor={"id": "imagecodecs_jpegxl"}), ZARR2),
        (edited(ZARR2, filters=[{"id": "pickle"}]), ZARR2),
    ):
        with pytest.raises(UnsupportedError, match=r"^a is stored") as caught:
            driver.open(kit.DictStore(documents), "a")
        assert caught.value.code is Code.CODEC_UNKNOWN


@pytest.mark.parametrize("names", [["y", "y"], ["y", None], ["", "x"], None])
def test_axes_need_names_of_their_own(kit: Any, names: Any) -> None:
    changes = {} if names is None else {"dimension_names": names}
    assert ZARR3.open(kit.DictStore(edited(ZARR3, **changes)), "a").axes is None


@pytest.mark.parametrize("names", [["y"], "yx", [1, 2], ["y", "y"], {}])
def test_dimensions_of_xarray_are_checked(kit: Any, names: Any) -> None:
    documents = edited(ZARR2) | {"a/.zattrs": json.dumps({"_ARRAY_DIMENSIONS": names}).encode()}
    assert ZARR2.open(kit.DictStore(documents), "a").axes is None


@BOTH
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"chunk_shape": (2,)}, Code.CHUNK_MISALIGNED),
        ({"chunk_shape": (2, 0)}, Code.CHUNK_MISALIGNED),
        ({"shape": (-1, 7)}, Code.CHUNK_MISALIGNED),
        ({"dimension_names": ("x",)}, Code.AXES_MISMATCH),
        ({"fill_value": 2**16}, Code.DTYPE_RANGE),
        ({"fill_value": 1.5}, Code.DTYPE_RANGE),
        ({"fill_value": [1, 2]}, Code.DTYPE_RANGE),
        ({"fill_value": "x"}, Code.DTYPE_RANGE),
        ({"codec": "rar"}, Code.ARGUMENT_INVALID),
        ({"codec": "blosc", "chunk_shape": (2**16, 2**16)}, Code.ARGUMENT_INVALID),
    ],
)
def test_specs_that_cannot_be_met(driver: Any, changes: dict[str, Any], code: Code) -> None:
    with pytest.raises(InputError) as caught:
        driver.create(new(**changes))
    assert caught.value.code is code
    assert caught.value.fix


@BOTH
@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("f4", float("nan")),
        ("f4", np.float64(2)),
        ("i8", np.int8(-3)),
        ("b1", True),
        ("c8", 1 - 2j),
        ("f2", "Infinity"),
    ],
)
def test_fill_values_survive(driver: Any, kit: Any, dtype: str, value: Any) -> None:
    info = driver.create(new(dtype=np.dtype(dtype), fill_value=value))
    found = driver.open(kit.DictStore(driver.dump("a", info)), "a").fill_value
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found, np.asarray(float("inf") if value == "Infinity" else value), equal_nan=dtype != "b1")


@BOTH
@pytest.mark.parametrize("dtype", ["S3", "U2", "M8[s]", "O", [("a", "i2")]])
def test_types_that_cannot_be_written(driver: Any, dtype: Any) -> None:
    with pytest.raises(UnsupportedError) as caught:
        driver.create(new(dtype=np.dtype(dtype)))
    assert caught.value.code is Code.DTYPE_UNSUPPORTED


def test_a_shard_holds_whole_chunks() -> None:
    with pytest.raises(InputError) as caught:
        ZARR3.create(new(shard_shape=(4, 10), dimension_names=("y", "x")))
    assert caught.value.code is Code.CHUNK_MISALIGNED
    assert "chunk length 3 does not divide shard length 10 on x (axis 1)" in str(caught.value)
    assert caught.value.fix.endswith("such as 9")
    with pytest.raises(InputError, match="no shards"):
        ZARR2.create(new(shard_shape=(4, 9)))


def test_arrays_without_shards_have_no_index() -> None:
    info = ZARR3.create(new())
    with pytest.raises(InputError):
        ZARR3.shard_layout(info)
    with pytest.raises(InputError):
        ZARR3.pack_shard(info, (0, 0), np.zeros((1, 2), np.uint64))
    assert isinstance(ZARR3, ShardedArrayDriver) and not isinstance(ZARR2, ShardedArrayDriver)


@BOTH
def test_without_compression_nothing_is_copied(driver: Any) -> None:
    info = driver.create(new(codec="none"))
    chunk = np.arange(6, dtype="u2").reshape(2, 3)
    payload = driver.encode(info, chunk)
    assert np.shares_memory(np.frombuffer(payload, "u1"), chunk)
    assert np.shares_memory(driver.decode(info, payload), chunk)
    assert driver.decode(info, bytes(payload)).tolist() == chunk.tolist()


@BOTH
@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], lambda a: a.astype(">u2")]
)
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_chunks_of_any_layout_are_encoded_alike(driver: Any, layout: Any, codec: str) -> None:
    info = driver.create(new(codec=codec))
    chunk = np.arange(6, dtype="u2").reshape(2, 3)
    assert bytes(memoryview(driver.encode(info, layout(chunk)))) == bytes(memoryview(driver.encode(info, chunk)))


def test_payloads_move_between_versions(kit: Any) -> None:
    """Equal encoding keys mean equal bytes, whatever the container or the compression level."""
    two, three = ZARR2.create(new(codec="zstd:3")), ZARR3.create(new(codec="zstd:1", shard_shape=(4, 9)))
    assert ZARR2.encoding_key(two) == ZARR3.encoding_key(three)
    chunk = kit.sample((2, 3), "u2")
    assert np.array_equal(ZARR3.decode(three, ZARR2.encode(two, chunk)), chunk)
    assert ZARR2.encoding_key(two) != ZARR2.encoding_key(ZARR2.create(new(codec="gzip:3")))


@BOTH
@pytest.mark.parametrize("size", [0, 1, 11, 13, 10_000])
def test_raw_chunks_of_the_wrong_size(driver: Any, size: int) -> None:
    info = driver.create(new(codec="none"))
    with pytest.raises(FormatError) as caught:
        driver.decode(info, bytes(size))
    assert caught.value.code is (Code.CHUNK_TRUNCATED if size < 12 else Code.CHUNK_CORRUPT)
