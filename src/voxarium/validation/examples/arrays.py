"""Images whose objects and voxels are as they should be: what examples of the rules CE and DA are made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.registry import array_driver
from voxarium.model.grid import ChunkGrid
from voxarium.model.protocols import ShardedArrayDriver, WritableArrayDriver
from voxarium.pyramid import downsample
from voxarium.stores.memory import MemoryStore

__all__ = ["BASES", "pyramid"]

SHAPE: Final = (6, 10, 14)
CHUNK: Final = (3, 5, 7)
_BYTES: Final[dict[str, Any]] = {"name": "bytes", "configuration": {"endian": "little"}}
_PLAIN: Final[list[dict[str, Any]]] = [_BYTES]
_SUMMED: Final[list[dict[str, Any]]] = [_BYTES, {"name": "crc32c"}]
_PACKED: Final = [_BYTES, {"name": "zstd", "configuration": {"level": 1, "checksum": False}}]
_SHARDED: Final[list[dict[str, Any]]] = [
    {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": list(CHUNK),
            "codecs": _PACKED,
            "index_codecs": _SUMMED,
            "index_location": "end",
        },
    }
]
_AXES: Final = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
_VOXEL: Final = (40.0, 8.0, 6.0)


def voxels(dtype: str = "uint8") -> NDArray[Any]:
    """Return an image that differs from voxel to voxel and is zero nowhere."""
    z, y, x = np.indices(SHAPE)
    values: NDArray[Any] = (z * 37 + y * 91 + x * 53 + z * y * x * 7) % 251 + 1
    return values.astype(dtype)


def labels() -> NDArray[Any]:
    """Return a few labels with slanted borders, one of them a single voxel."""
    z, y, x = np.indices(SHAPE)
    found = np.where(2 * z + y > x, 7, np.where(y > 5, 300, 12)).astype(np.uint32)
    found[4, 3, 9] = 70_000
    return found


def pyramid(
    objects: dict[str, bytes],
    path: str,
    levels: list[NDArray[Any]],
    codecs: list[dict[str, Any]],
    *,
    method: str,
    chunk: tuple[int, ...] | None = None,
    facts: Mapping[str, Any] | None = None,  # Any: JSON
) -> None:
    """Add an image in OME-Zarr 0.5 to a tree: its levels, each half as large, and its documents."""
    if chunk is None:
        chunk = SHAPE if codecs[0]["name"] == "sharding_indexed" else CHUNK
    datasets = []
    for number, data in enumerate(levels):
        _store(objects, f"{path}/{number}", data, chunk, codecs)
        scale = [v * 2**number for v in _VOXEL]
        moved = [0.0 if method == "stride" else v * (2**number - 1) / 2 for v in _VOXEL]
        transforms = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": moved}]
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
    how = {"type": method, "metadata": {"method": method}}
    image = {"name": path.rpartition("/")[2], "axes": _AXES, "datasets": datasets, **how}
    _group(objects, path, {"ome": {"version": "0.5", "multiscales": [image], **(facts or {})}})


def _group(objects: dict[str, bytes], path: str, attributes: Mapping[str, Any]) -> None:
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    objects[f"{path}/zarr.json"] = json.dumps(document, indent=2).encode()


def _store(
    objects: dict[str, bytes], path: str, data: NDArray[Any], chunk: tuple[int, ...], codecs: list[dict[str, Any]]
) -> None:
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(data.shape),
        "data_type": data.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": codecs,
        "dimension_names": list("zyx"),
    }
    objects[f"{path}/zarr.json"] = json.dumps(document, indent=2).encode()
    store = MemoryStore()
    store.put(f"{path}/zarr.json", objects[f"{path}/zarr.json"])
    driver: Any = array_driver("zarr3")  # Any: writable, and with shards
    info = driver.open(store, path)
    grid = ChunkGrid(info.shape, info.object_shape)
    for index in grid.indices():
        whole = np.zeros(info.object_shape, data.dtype)
        box = grid.clipped_box(index)
        whole[tuple(slice(0, n) for n in box.shape)] = data[box.slices]
        write = _chunk if info.shard_shape is None else _shard
        objects[driver.object_key(path, info, index)] = write(driver, info, index, whole)


def _chunk(driver: WritableArrayDriver, info: Any, _index: tuple[int, ...], whole: NDArray[Any]) -> bytes:
    return bytes(driver.encode(info, whole))


def _shard(driver: ShardedArrayDriver, info: Any, index: tuple[int, ...], whole: NDArray[Any]) -> bytes:
    inner = ChunkGrid(info.shard_shape, info.chunk_shape)
    table = np.zeros((inner.size, 2), np.uint64)
    parts: list[bytes] = []
    for slot, within in enumerate(inner.indices()):
        part = bytes(driver.encode(info, np.ascontiguousarray(whole[inner.box(within).slices])))
        table[slot] = sum(map(len, parts)), len(part)
        parts.append(part)
    head, tail = driver.pack_shard(info, index, table)
    return head + b"".join(parts) + tail


def _image(
    codecs: list[dict[str, Any]],
    method: str = "mean",
    *,
    chunk: tuple[int, ...] | None = None,
    make: Callable[[], NDArray[Any]] = voxels,
) -> Callable[[], dict[str, bytes]]:
    def tree() -> dict[str, bytes]:
        objects: dict[str, bytes] = {}
        finest = make()
        coarse = downsample(finest, (2, 2, 2), method)
        pyramid(objects, "image", [finest, coarse], codecs, method=method, chunk=chunk)
        return objects

    return tree


def _wide() -> NDArray[Any]:
    z, y, x = np.indices((4, 8, 16))
    values: NDArray[Any] = (z * 61 + y * 29 + x * x * 17 + x * y * 5) % 251 + 1
    return values.astype(np.uint8)


def _sparse() -> dict[str, bytes]:
    finest = voxels()
    finest[: CHUNK[0], CHUNK[1] :, : CHUNK[2]] = 0
    objects = _image(_PLAIN, make=lambda: finest)()
    del objects["image/0/c/0/1/0"]
    return objects


def _labelled() -> dict[str, bytes]:
    objects = _image(_PLAIN)()
    finest = labels()
    colors = [{"label-value": value, "rgba": [value % 256, 90, 200, 255]} for value in (7, 12, 300, 70_000)]
    facts = {"image-label": {"version": "0.5", "colors": colors, "source": {"image": "../../"}}}
    coarse = downsample(finest, (2, 2, 2), "mode")
    pyramid(objects, "image/labels/cells", [finest, coarse], _PLAIN, method="mode", facts=facts)
    _group(objects, "image/labels", {"ome": {"version": "0.5", "labels": ["cells"]}})
    return objects


BASES: Final[Mapping[str, Callable[[], dict[str, bytes]]]] = {
    "pyramid-zarr3": _image(_PLAIN),
    "pyramid-zarr3-crc32c": _image(_SUMMED),
    "pyramid-zarr3-zstd": _image(_PACKED),
    "pyramid-zarr3-sharded": _image(_SHARDED),
    "pyramid-zarr3-stride": _image(_PLAIN, "stride"),
    "pyramid-zarr3-wide": _image(_PLAIN, chunk=(4, 8, 2), make=_wide),
    "pyramid-zarr3-float": _image(_PLAIN, make=lambda: voxels("float32")),
    "pyramid-zarr3-sparse": _sparse,
    "labelled-zarr3": _labelled,
}
