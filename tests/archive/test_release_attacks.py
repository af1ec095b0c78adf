"""The attacks that other readers fell for, as images of a release: refused or harmless, within bounded memory.

The table is that of what was measured of zarr-python (up to 4 GB for a chunk of 256 KiB, wrong voxels without an error,
files served from outside).
"""

from __future__ import annotations

import contextlib
import gzip
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from release_data import NOTHING, kinds

import voxarium
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.core.release_store import open_release_store
from voxarium.core.uri import open_source_store
from voxarium.errors import ChecksumError, FormatError, InputError, UnsupportedError, VoxariumError
from voxarium.stores.local import LocalStore

CHUNK = (64, 64, 64)  # 256 KiB
MOST = 96 << 20  # bytes that an attack may add to what the process takes


def array(codecs, *, shape=CHUNK, chunk=CHUNK, dtype="uint8"):
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": codecs,
        "attributes": {},
    }


LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
SHARDED = {
    "name": "sharding_indexed",
    "configuration": {
        "chunk_shape": (32, 64, 64),
        "codecs": [LITTLE],
        "index_codecs": [LITTLE, {"name": "crc32c"}],
        "index_location": "end",
    },
}


def crc(data):
    import google_crc32c

    return data + google_crc32c.value(data).to_bytes(4, "little")


def shard(*spans, body=b""):
    index = b"".join(offset.to_bytes(8, "little") + length.to_bytes(8, "little") for offset, length in spans)
    return body + crc(index)


def zeros_in(codec, nbytes):
    """Return a bomb, made piece by piece."""
    if codec == "gzip":
        return gzip.compress(bytes(1 << 26), 1) * (nbytes >> 26)
    numcodecs = pytest.importorskip("numcodecs")
    return numcodecs.zstd.compress(bytes(1 << 26), 1) * (nbytes >> 26)


HALF = 32 * 64 * 64
ATTACKS = {
    # name: (metadata, chunk at 0/0/0)
    "gzip-bomb": lambda: (array([LITTLE, {"name": "gzip", "configuration": {"level": 1}}]), zeros_in("gzip", 1 << 30)),
    "zstd-bomb": lambda: (
        array([LITTLE, {"name": "zstd", "configuration": {"level": 0, "checksum": False}}]),
        zeros_in("zstd", 1 << 30),
    ),
    "index-beyond-the-end": lambda: (array([SHARDED]), shard((0, 1 << 40), (1 << 40, HALF), body=bytes(HALF))),
    "index-that-overflows": lambda: (array([SHARDED]), shard((2**64 - 2, HALF), (2**63, 2**63), body=bytes(HALF))),
    "chunk-of-10^12-bytes": lambda: (array([LITTLE], shape=(10**4,) * 3, chunk=(10**4,) * 3), b"x"),
    "shape-of-2^62": lambda: (array([LITTLE], shape=(2**62, 2**62, 2**62)), b"x"),
    "negative-shape": lambda: (array([LITTLE], shape=(-1, 64, 64)), b"x"),
    "many-codecs": lambda: (array([LITTLE] + [{"name": "gzip", "configuration": {"level": 1}}] * 100000), b"x"),
}


V2 = {"zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "|u1", "compressor": None, "fill_value": 0, "order": "C"}


def resident(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) << 10
    raise AssertionError(field)


class Memory:
    """Measures by how much the process grows at most."""

    def __enter__(self):
        Path("/proc/self/clear_refs").write_text("5")  # the highest is the present one
        self.before = resident("VmRSS")
        return self

    def __exit__(self, *_):
        self.grown = resident("VmHWM") - self.before


def opened(address):
    return voxarium.open_array(*open_source_store(address))


def published(root, files):
    for key, data in files.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    create_release(root, "v1.0", ReleaseOptions(policy=NOTHING, agent=None))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells how much memory was taken")
@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_within_bounded_memory(tmp_path, name):
    metadata, chunk = ATTACKS[name]()
    published(tmp_path / "set", {"a/zarr.json": metadata, "a/c/0/0/0": chunk})
    # What is needed anyway is loaded before.
    (tmp_path / "plain").mkdir()
    published(tmp_path / "plain", {"a/zarr.json": array([LITTLE]), "a/c/0/0/0": bytes(64**3)})
    assert not opened(f"{tmp_path}/plain@v1.0/a")[...].any()
    with Memory() as memory, pytest.raises(VoxariumError) as caught:
        opened(f"{tmp_path}/set@v1.0/a")[0:64, 0:64, 0:64]
    assert isinstance(caught.value, (FormatError, UnsupportedError, InputError, ChecksumError))
    assert memory.grown < MOST, f"{memory.grown >> 20} MiB"


def test_an_absent_chunk_of_a_giant_array_is_no_work(tmp_path):
    published(tmp_path / "set", {"a/zarr.json": array([LITTLE], shape=(10**9,) * 3), "a/c/9/9/9": b"x"})
    with Memory() as memory:
        found = opened(f"{tmp_path}/set@v1.0/a")[10**8 : 10**8 + 3, 5:7, :2]
    assert found.shape == (3, 2, 2) and not found.any() and memory.grown < MOST


def test_an_index_that_names_one_chunk_twice_is_found_by_the_manifest(tmp_path):
    """A valid index that leads to another valid chunk: no checksum of the format tells. The release does."""
    body = bytes([1]) * HALF + bytes([2]) * HALF
    good, alias = shard((0, HALF), (HALF, HALF), body=body), shard((HALF, HALF), (HALF, HALF), body=body)
    assert len(good) == len(alias)
    published(tmp_path / "set", {"a/zarr.json": array([SHARDED]), "a/c/0/0/0": good})
    (tmp_path / "set/a/c/0/0/0").write_bytes(alias)
    store = LocalStore(tmp_path / "set")
    assert kinds(store) == {("a/c/0/0/0", "changed")}
    with pytest.raises(ChecksumError):
        open_release_store(store, "v1.0", verify=True).get("a/c/0/0/0")


@pytest.mark.parametrize("key", ["../secret", "a/../../secret", "/etc/passwd", "a//b", "a/./b", "C:\\x/..", "a\0b"])
def test_no_key_leads_out_of_a_release(tmp_path, key):
    published(tmp_path / "set", {"a/x": b"x"})
    (tmp_path / "secret").write_bytes(b"secret")
    view = open_release_store(LocalStore(tmp_path / "set"), "v1.0")
    for call in (view.get, view.stat, lambda k: view.get_ranges(k, [])):
        try:
            found = call(key)
        except InputError:
            continue
        assert found is None
    store = voxarium.zarr_store(f"{tmp_path}/set@v1.0/a") if pytest.importorskip("zarr") else None
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    with contextlib.suppress(InputError):
        assert sync(store.get(key, default_buffer_prototype())) is None


def test_a_link_that_replaces_an_object_is_found(tmp_path):
    published(tmp_path / "set", {"a/x": b"public"})
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "set/a/x").unlink()
    (tmp_path / "set/a/x").symlink_to(tmp_path / "secret")
    assert kinds(LocalStore(tmp_path / "set")) == {("a/x", "changed")}


def test_filters_that_run_code_are_refused(tmp_path):
    metadata = V2 | {"filters": [{"id": "pickle"}]}
    published(tmp_path / "set", {"a/.zarray": metadata, "a/0": pickle.dumps(np.zeros(4, np.uint8))})
    with pytest.raises(UnsupportedError):
        opened(f"{tmp_path}/set@v1.0/a")[...]


def test_chains_of_many_filters_are_refused(tmp_path):
    published(tmp_path / "set", {"a/.zarray": V2 | {"filters": [{"id": "gzip", "level": 1}] * 100_000}, "a/0": b"x"})
    with pytest.raises(FormatError, match="at most 32"):
        opened(f"{tmp_path}/set@v1.0/a")
