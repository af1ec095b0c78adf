"""Arrays written here and read by others, and the other way round."""

from __future__ import annotations

import itertools
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore

import zarr
from voxarium.codecs import parse_codec
from voxarium.formats.zarr2 import Zarr2Driver
from voxarium.formats.zarr3 import Zarr3Driver
from voxarium.model.image import ArraySpec
from voxarium.model.protocols import WritableArrayDriver

pytestmark = pytest.mark.oracle

ZARR2, ZARR3 = Zarr2Driver(), Zarr3Driver()
DTYPES = ["b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
CODECS = ["zstd:1", "gzip:5", "blosc:lz4:5", "blosc:zstd:1:bitshuffle", "none"]
SHAPE, CHUNK, SHARD = (7, 10, 13), (2, 4, 3), (4, 8, 12)


def spec(dtype: str, codec: str, shard: tuple[int, ...] | None = None, **more: Any) -> ArraySpec:
    return ArraySpec(shape=SHAPE, dtype=np.dtype(dtype), chunk_shape=CHUNK, shard_shape=shard, codec=codec, **more)


def read_tensorstore(folder: Path, driver: str) -> Any:
    return tensorstore.open({"driver": driver, "kvstore": f"file://{folder}/"}).result().read().result()


def same(a: Any, b: Any) -> bool:
    return a.shape == b.shape and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


def test_drivers_keep_to_the_protocol() -> None:
    assert isinstance(ZARR2, WritableArrayDriver)
    assert isinstance(ZARR3, WritableArrayDriver)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sharded", [False, True])
def test_zarr3_is_read_by_others(kit: Any, tmp_path: Path, dtype: str, sharded: bool) -> None:
    data = kit.sample(SHAPE, dtype)
    store = kit.DictStore()
    for codec in CODECS:
        path = codec.replace(":", "-")
        kit.write(
            ZARR3,
            store,
            path,
            spec(dtype, codec, SHARD if sharded else None, dimension_names=("z", "y", "x")),
            data,
        )
        assert same(kit.read(ZARR3, store, path), data)
    kit.save_folder(store, tmp_path)
    for codec in CODECS:
        folder = tmp_path / codec.replace(":", "-")
        assert same(zarr.open_array(folder, mode="r")[...], data)
        assert same(read_tensorstore(folder, "zarr3"), data)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zarr2_is_read_by_others(kit: Any, tmp_path: Path, dtype: str) -> None:
    data = kit.sample(SHAPE, dtype)
    store = kit.DictStore()
    for codec in CODECS:
        path = codec.replace(":", "-")
        kit.write(ZARR2, store, path, spec(dtype, codec, attributes={"k": 1}), data)
        assert same(kit.read(ZARR2, store, path), data)
    kit.save_folder(store, tmp_path)
    for codec in CODECS:
        folder = tmp_path / codec.replace(":", "-")
        array = zarr.open_array(folder, mode="r", zarr_format=2)
        assert dict(array.attrs) == {"k": 1}
        assert same(array[...], data)
        assert same(read_tensorstore(folder, "zarr"), data)


ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
V3_CHAINS: list[list[Any]] = [
    ["bytes"],
    ["bytes:big", {"name": "zstd", "configuration": {"level": 3}}],
    ["bytes", {"name": "gzip", "configuration": {"level": 1}}, {"name": "crc32c"}],
    [{"name": "transpose", "configuration": {"order": [2, 0, 1]}}, "bytes", ZSTD],
    ["bytes", {"name": "blosc", "configuration": {
        "cname": "zstd", "clevel": 3, "shuffle": "shuffle", "typesize": 2, "blocksize": 0}}],
]  # fmt: skip


def bytes_codec(name: str) -> dict[str, Any]:
    return {"name": "bytes", "configuration": {"endian": "big" if name.endswith("big") else "little"}}


def sharding(
    chunk: list[int], codecs: list[Any], location: str = "end", index: list[Any] | None = None
) -> dict[str, Any]:
    index = [bytes_codec("bytes"), {"name": "crc32c"}] if index is None else index
    return {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": chunk,
            "codecs": codecs,
            "index_codecs": index,
            "index_location": location,
        },
    }


V3_SHARDS: list[Any] = [
    lambda inner: [sharding([2, 4, 3], inner)],
    lambda inner: [sharding([2, 4, 3], inner, "start", [bytes_codec("bytes")])],
    lambda inner: [sharding([2, 4, 3], inner, "end", [bytes_codec("big")])],
    lambda inner: [sharding([4, 4, 6], [sharding([2, 2, 3], inner, "start")])],
    lambda inner: [{"name": "transpose", "configuration": {"order": [2, 1, 0]}}, sharding([3, 4, 2], inner)],
]


def write_tensorstore_v3(
    folder: Path, codecs: list[Any], data: Any, chunk: tuple[int, ...], encoding: dict[str, Any]
) -> None:
    metadata = {
        "shape": data.shape,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": encoding,
        "data_type": data.dtype.name,
        "codecs": codecs,
        "fill_value": 3,
    }
    spec = {"driver": "zarr3", "kvstore": f"file://{folder}/", "metadata": metadata, "create": True}
    tensorstore.open(spec).result().write(data).result()


@pytest.mark.parametrize("chain", range(len(V3_CHAINS)))
def test_zarr3_of_tensorstore(kit: Any, tmp_path: Path, chain: int) -> None:
    """Every chain, plain and in every kind of shard, with every key encoding, some chunks absent."""
    data = kit.sample(SHAPE, "u2")
    data[:2] = 3
    steps: list[Any] = V3_CHAINS[chain]
    inner = [bytes_codec(c) if isinstance(c, str) else c for c in steps]
    encodings = itertools.cycle(
        {"name": n, "configuration": {"separator": s}} for n in ("default", "v2") for s in ("/", ".")
    )
    for i, wrap in enumerate([None, *V3_SHARDS]):
        folder = tmp_path / str(i)
        write_tensorstore_v3(folder, wrap(inner) if wrap else inner, data, CHUNK if i == 0 else SHARD, next(encodings))
        assert same(kit.read(ZARR3, kit.load_folder(folder)), data), i


@pytest.mark.parametrize("case", range(len(V3_SHARDS)))
def test_zarr3_shards_written_here_are_read_by_tensorstore(kit: Any, tmp_path: Path, case: int) -> None:
    data = kit.sample(SHAPE, "u2")
    data[:2] = 3
    inner = [bytes_codec("bytes"), ZSTD]
    write_tensorstore_v3(tmp_path, V3_SHARDS[case](inner), np.zeros(SHAPE, "u2"), SHARD, {"name": "default"})
    store = kit.DictStore({"zarr.json": (tmp_path / "zarr.json").read_bytes()})
    kit.write_info(ZARR3, store, "", ZARR3.open(store, ""), data)
    kit.save_folder(store, tmp_path)
    assert same(read_tensorstore(tmp_path, "zarr3"), data)
    if case != 4:  # zarr-python compares the chunks of a transposed shard with the wrong axes
        assert same(zarr.open_array(tmp_path, mode="r")[...], data)


@pytest.mark.parametrize("after", [{"name": "crc32c"}, {"name": "gzip", "configuration": {"level": 1}}, ZSTD])
@pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")
def test_zarr3_codecs_behind_shards(kit: Any, tmp_path: Path, after: dict[str, Any]) -> None:
    """Only zarr-python writes these; the whole shard is then one chunk."""
    data = kit.sample(SHAPE, "u2")
    data[:2] = 3
    document = zarr_json(ZARR3.dump("", ZARR3.create(spec("u2", "zstd", SHARD, fill_value=3)))["zarr.json"])
    document["codecs"].append(after)
    store = kit.DictStore({"zarr.json": dump(document)})
    info = ZARR3.open(store, "")
    assert (info.chunk_shape, info.shard_shape) == (SHARD, None)
    kit.write_info(ZARR3, store, "", info, data)
    kit.save_folder(store, tmp_path / "ours")
    assert same(zarr.open_array(tmp_path / "ours", mode="r")[...], data)
    kit.save_folder(kit.DictStore({"zarr.json": dump(document)}), tmp_path / "theirs")
    zarr.open_array(tmp_path / "theirs", mode="r+")[...] = data
    assert same(kit.read(ZARR3, kit.load_folder(tmp_path / "theirs")), data)


V2_CASES: list[Any] = [
    {"compressor": None, "filters": None},
    {"compressor": {"id": "zlib", "level": 1}, "filters": [{"id": "delta", "dtype": "<u2"}]},
    {"compressor": {"id": "bz2", "level": 1}, "filters": [{"id": "shuffle", "elementsize": 2}]},
    {"compressor": {"id": "lz4", "acceleration": 1}, "filters": [{"id": "crc32", "location": "end"}]},
    {
        "compressor": {"id": "zstd", "level": 1},
        "filters": [{"id": "astype", "encode_dtype": "<u4", "decode_dtype": "<u2"}],
    },
    {
        "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
        "filters": None,
    },
]


@pytest.mark.parametrize("case", range(len(V2_CASES)))
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_zarr2_of_zarr_python(kit: Any, case: int, order: Any, dtype: str) -> None:
    data = kit.sample(SHAPE, "u2")
    memory: dict[str, Any] = {}
    config = dict(V2_CASES[case])
    separator: Any = "/" if case % 2 else "."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.create_array(
            zarr.storage.MemoryStore(memory),
            shape=SHAPE,
            chunks=CHUNK,
            dtype=dtype,
            order=order,
            fill_value=7,
            zarr_format=2,
            chunk_key_encoding={"name": "v2", "separator": separator},
            compressors=None,
            filters=None,
        )
        document = zarr_json(memory[".zarray"].to_bytes()) | config
        if config["filters"] and "dtype" in config["filters"][0]:
            document["filters"] = [{**config["filters"][0], "dtype": dtype}]
        memory[".zarray"] = zarr.core.buffer.cpu.Buffer.from_bytes(dump(document))
        array = zarr.open_array(zarr.storage.MemoryStore(memory), mode="r+", zarr_format=2)
        array[:] = data
    store = kit.DictStore({k: v.to_bytes() for k, v in memory.items()})
    info = ZARR2.open(store, "")
    assert info.dtype == np.dtype("u2")
    assert info.fill_value == 7
    assert same(kit.read(ZARR2, store), data)


def zarr_json(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data)
    return found


def dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize("shape", [(), (1,), (0,), (5, 0, 3), (2, 3, 1, 4), (2, 1, 3, 2, 1, 3)])
@pytest.mark.parametrize("version", [2, 3])
def test_any_number_of_axes(kit: Any, tmp_path: Path, shape: tuple[int, ...], version: int) -> None:
    driver = ZARR2 if version == 2 else ZARR3
    data = kit.sample(shape, "i4")
    store = kit.DictStore()
    chunk = tuple(min(2, n) or 1 for n in shape)
    shards = [None] if version == 2 else [None, tuple(2 * c for c in chunk)]
    for i, shard in enumerate(shards):
        new = ArraySpec(shape=shape, dtype=data.dtype, chunk_shape=chunk, shard_shape=shard, fill_value=-1)
        info = kit.write(driver, store, str(i), new, data)
        assert same(kit.read(driver, store, str(i)), data)
        assert pickle.loads(pickle.dumps(info)).shape == shape
    kit.save_folder(store, tmp_path)
    for i in range(len(shards)):
        assert same(zarr.open_array(tmp_path / str(i), mode="r")[...], data)


def test_short_names_are_what_others_see(kit: Any, tmp_path: Path) -> None:
    """The settings a short name stands for are those in the metadata zarr-python parses."""
    choice = parse_codec("blosc:zstd:3:bitshuffle", np.dtype("u2"))
    store = kit.DictStore()
    kit.write(ZARR3, store, "", spec("u2", "blosc:zstd:3:bitshuffle"), kit.sample(SHAPE, "u2"))
    kit.save_folder(store, tmp_path)
    blosc: Any = zarr.open_array(tmp_path, mode="r").compressors[0]
    assert blosc.to_dict()["configuration"] == choice.to_v3()[0][1]
