"""Small datasets for the tests of copies."""

from __future__ import annotations

from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import Policy
from voxarium.stores.memory import MemoryStore

CONTENT = {
    "dataset.json": b'{"license": "CC-BY-4.0", "authors": [{"name": "Ada"}], "name": "brain"}',
    "em/zarr.json": b'{"a": 1}',
    **{f"em/s0/c/{i}/{j}": bytes([i, j]) * (100 + i) for i in range(3) for j in range(4)},
    "em/s0/zarr.json": b'{"s0": 1}',
    "em/labels/zarr.json": b'{"labels": []}',
    "notes/\u00b5.txt": b"",
}


def publish(store, name="v1.0"):
    """Publish without any checks: the objects are no images."""
    return create_release(store, name, ReleaseOptions(policy=Policy(require=frozenset()), agent=None))


def objects(store) -> dict[str, bytes]:
    """Return everything in a store, leftovers included."""
    if isinstance(store, MemoryStore):
        return {key: store.get(key) for key, _ in store.list()}
    return {p.relative_to(store).as_posix(): p.read_bytes() for p in store.rglob("*") if p.is_file()}
