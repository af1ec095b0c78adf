"""Trees of Zarr v2 and v3: an array of 3 × 4 × 5 numbers in chunks of 2 × 3 × 4, by itself and in groups."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs import build_chain
from voxarium.model.codec import ChunkType

__all__ = ["BASES"]

SHAPE: Final = (3, 4, 5)
CHUNK: Final = (2, 3, 4)


def voxels() -> NDArray[np.uint16]:
    """Return the voxels of all examples: no two alike."""
    return np.arange(1, 61, dtype=np.uint16).reshape(SHAPE) * 37


def _chunks(data: NDArray[np.uint16], shape: tuple[int, ...] = CHUNK) -> dict[tuple[int, ...], NDArray[np.uint16]]:
    """Return chunks by their index, those at the ends padded with zeros."""
    grid = [-(-n // c) for n, c in zip(data.shape, shape, strict=True)]
    whole = np.zeros([n * c for n, c in zip(grid, shape, strict=True)], data.dtype)
    whole[tuple(slice(0, n) for n in data.shape)] = data
    out = {}
    for index in product(*map(range, grid)):
        place = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, shape, strict=True))
        out[index] = np.ascontiguousarray(whole[place])
    return out


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


def _below(folder: str, tree: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{key}": raw for key, raw in tree.items()}


# -------------------------------------------------------------------------------------------------------- version 2
def zarr2() -> dict[str, bytes]:
    """Return an array of Zarr v2, not packed."""
    document = {
        "zarr_format": 2,
        "shape": list(SHAPE),
        "chunks": list(CHUNK),
        "dtype": "<u2",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }
    tree = {".zarray": _json(document), ".zattrs": _json({"unit": "nm"})}
    return tree | {"/".join(map(str, i)): chunk.astype("<u2").tobytes() for i, chunk in _chunks(voxels()).items()}


def zarr2_group() -> dict[str, bytes]:
    """Return two groups of Zarr v2, one in the other, with an array each."""
    group = _json({"zarr_format": 2})
    tree = {".zgroup": group, ".zattrs": _json({"title": "example"}), "raw/.zgroup": group}
    return tree | _below("em", zarr2()) | _below("raw/em", zarr2())


def zarr2_consolidated() -> dict[str, bytes]:
    """Return the same groups with consolidated metadata."""
    tree = zarr2_group()
    names = (".zarray", ".zgroup", ".zattrs")
    copies = {key: json.loads(raw) for key, raw in tree.items() if key.rpartition("/")[2] in names}
    return tree | {".zmetadata": _json({"zarr_consolidated_format": 1, "metadata": copies})}


def zarr2_dual() -> dict[str, bytes]:
    """Return an array that readers of v2 and of v3 find, in the same chunks."""
    document = _array3([{"name": "bytes", "configuration": {"endian": "little"}}])
    document["chunk_key_encoding"] = {"name": "v2", "configuration": {"separator": "/"}}
    return zarr2() | {"zarr.json": _json(document)}


# -------------------------------------------------------------------------------------------------------- version 3
def _array3(codecs: list[dict[str, Any]], chunk: tuple[int, ...] = CHUNK) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(SHAPE),
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": codecs,
        "attributes": {"unit": "nm"},
        "dimension_names": ["z", "y", "x"],
    }


def _stored3(codecs: list[dict[str, Any]], stored: tuple[int, ...] = CHUNK) -> dict[str, bytes]:
    chain = build_chain(
        [(c["name"], c.get("configuration", {})) for c in codecs], ChunkType(stored, np.dtype("<u2"), np.uint16(0)), ""
    )
    tree = {"zarr.json": _json(_array3(codecs, stored))}
    for index, chunk in _chunks(voxels(), stored).items():
        tree["/".join(("c", *map(str, index)))] = bytes(chain.encode(chunk))
    return tree


_LITTLE: Final = {"name": "bytes", "configuration": {"endian": "little"}}
_SUM: Final = {"name": "crc32c"}


def zarr3_plain() -> dict[str, bytes]:
    """Return an array of Zarr v3, not packed and without checksums."""
    return _stored3([_LITTLE])


def zarr3() -> dict[str, bytes]:
    """Return an array of Zarr v3, its chunks turned, packed and with checksums."""
    turn = {"name": "transpose", "configuration": {"order": [2, 0, 1]}}
    pack = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
    return _stored3([turn, _LITTLE, pack, _SUM])


def zarr3_sharded() -> dict[str, bytes]:
    """Return an array of Zarr v3 in shards of two chunks."""
    shards = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": list(CHUNK),
            "codecs": [_LITTLE, _SUM],
            "index_codecs": [_LITTLE, _SUM],
            "index_location": "end",
        },
    }
    return _stored3([shards], (2, 3, 8))


def zarr3_group() -> dict[str, bytes]:
    """Return two groups of Zarr v3, one in the other, with an array each."""
    group = _json({"zarr_format": 3, "node_type": "group", "attributes": {"title": "example"}})
    return {
        "zarr.json": group,
        "raw/zarr.json": group,
        **_below("em", zarr3_plain()),
        **_below("raw/em", zarr3_plain()),
    }


def zarr3_consolidated() -> dict[str, bytes]:
    """Return the same groups with consolidated metadata."""
    tree = zarr3_group()
    copies = {
        key.rpartition("/")[0]: json.loads(raw) for key, raw in sorted(tree.items()) if key.endswith("/zarr.json")
    }
    root = json.loads(tree["zarr.json"])
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": copies}
    return tree | {"zarr.json": _json(root)}


BASES: Final[Mapping[str, Callable[[], dict[str, bytes]]]] = MappingProxyType(
    {
        "zarr2": zarr2,
        "zarr2-group": zarr2_group,
        "zarr2-consolidated": zarr2_consolidated,
        "zarr2-dual": zarr2_dual,
        "zarr3": zarr3,
        "zarr3-plain": zarr3_plain,
        "zarr3-sharded": zarr3_sharded,
        "zarr3-group": zarr3_group,
        "zarr3-consolidated": zarr3_consolidated,
    }
)
