"""WKW files made byte by byte, datasets made by hand, and the data other software wrote."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import SimpleNamespace

import numcodecs.lz4
import numpy as np
import pytest

from voxarium.stores.memory import MemoryStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
VOXEL_TYPES = ["uint8", "uint16", "uint32", "uint64", "float32", "float64", "int8", "int16", "int32", "int64"]


@pytest.fixture(scope="session")
def shared():
    folder = SHARED / "webknossos"
    if not folder.is_dir():
        pytest.skip(f"shared data are not at {SHARED}")
    return folder


def header_bytes(dtype, channels, block_len, file_len, block_type, byte_offset=0):
    """Return a header as the specification lays it out."""
    sides = (file_len.bit_length() - 1) << 4 | (block_len.bit_length() - 1)
    voxel = VOXEL_TYPES.index(np.dtype(dtype).name) + 1
    size = channels * np.dtype(dtype).itemsize
    return b"WKW" + bytes([1, sides, block_type, voxel, size]) + struct.pack("<Q", byte_offset)


def morton(z, y, x):
    place = 0
    for bit in range(16):
        place |= (x >> bit & 1) << 3 * bit | (y >> bit & 1) << 3 * bit + 1 | (z >> bit & 1) << 3 * bit + 2
    return place


def wkw_file(cube, block_len, block_type):
    """Return a file of a cube of voxels (z, y, x, c), written without the driver."""
    file_len = cube.shape[0] // block_len
    count = file_len**3
    blocks = [b""] * count
    for z, y, x in np.ndindex((file_len,) * 3):
        at = tuple(slice(i * block_len, (i + 1) * block_len) for i in (z, y, x))
        raw = cube[at].transpose(3, 2, 1, 0).astype(cube.dtype.newbyteorder("<")).tobytes("F")
        blocks[morton(z, y, x)] = raw if block_type == 1 else bytes(numcodecs.lz4.compress(raw))[4:]
    start = 16 if block_type == 1 else 16 + 8 * count
    head = header_bytes(cube.dtype, cube.shape[3], block_len, file_len, block_type, start)
    ends = start + np.cumsum([len(b) for b in blocks])
    table = b"" if block_type == 1 else ends.astype("<u8").tobytes()
    return head + table + b"".join(blocks)


def put_wkw(store, path, data, *, block_len=4, file_len=2, block_type=2, origin=(0, 0, 0), absent=()):
    """Write an array (z, y, x[, c]) whose first voxel is voxel `origin`; files in `absent` are left out."""
    wide = data if data.ndim == 4 else data[..., None]
    side = block_len * file_len
    counts = [-(-(o + n) // side) for o, n in zip(origin, wide.shape, strict=False)]
    whole = np.zeros([c * side for c in counts] + [wide.shape[3]], data.dtype)
    whole[tuple(slice(o, o + n) for o, n in zip(origin, wide.shape, strict=False))] = wide
    prefix = f"{path}/" if path else ""
    store.put(f"{prefix}header.wkw", header_bytes(data.dtype, wide.shape[3], block_len, file_len, block_type))
    for z, y, x in np.ndindex(*counts):
        if (z, y, x) not in absent:
            cube = whole[tuple(slice(i * side, (i + 1) * side) for i in (z, y, x))]
            store.put(f"{prefix}z{z}/y{y}/x{x}.wkw", wkw_file(cube, block_len, block_type))
    return whole


@pytest.fixture
def store():
    return MemoryStore()


def entry(name="em", **changes):
    """Return the entry of a layer: 20 × 15 × 10 voxels (x, y, z) from (3, 5, 7) on."""
    found = {
        "name": name,
        "category": "color",
        "boundingBox": {"topLeft": [3, 5, 7], "width": 20, "height": 15, "depth": 10},
        "dataFormat": "wkw",
        "mags": [{"mag": [1, 1, 1], "path": f"./{name}/1"}],
        "numChannels": 1,
        "elementClass": "uint16",
    } | changes
    return {k: v for k, v in found.items() if v is not None}


def put_properties(store, *entries, folder="", scale=None, **more):
    scale = scale or {"factor": [4.0, 5.0, 30.0], "unit": "nanometer"}
    document = {"id": {"name": "ds", "team": ""}, "scale": scale, "dataLayers": list(entries), "version": 1} | more
    store.put(
        f"{folder}/datasource-properties.json" if folder else "datasource-properties.json",
        json.dumps(document).encode(),
    )
    return document


def ramp(shape, dtype="<u2"):
    return (np.arange(np.prod(shape)) % 60_001 + 1).astype(dtype).reshape(shape)


@pytest.fixture(scope="session")
def kit():
    return SimpleNamespace(
        header_bytes=header_bytes, morton=morton, wkw_file=wkw_file, put_wkw=put_wkw, entry=entry,
        put_properties=put_properties, ramp=ramp,
    )  # fmt: skip
