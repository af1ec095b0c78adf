"""Small datasets for the tests of releases."""

from __future__ import annotations

from voxarium.archive.release_checks import verify_release
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import Policy
from voxarium.spec.release import ManifestReference, Release

CONTENT = {
    "dataset.json": b'{"license": "CC-BY-4.0", "authors": [{"name": "Ada"}], "name": "brain"}',
    "em/zarr.json": b'{"a": 1}',
    **{f"em/s0/c/{i}/{j}": bytes([i, j]) * (100 + i) for i in range(3) for j in range(2)},
    "em/labels/zarr.json": b'{"labels": []}',
    "notes/µ.txt": b"",
}
NOTHING = Policy(require=frozenset())
"""A policy that checks nothing: these objects are no images."""


def filled(store):
    """Put the dataset into a store."""
    for key, data in CONTENT.items():
        store.put(key, data)
    return store


def publish(store, name="v1.0", **options):
    """Publish without any checks."""
    return create_release(store, name, ReleaseOptions(policy=NOTHING, agent=None, **options))


def kinds(store, name="v1.0", **options):
    """Return (key, kind) of all problems of a release."""
    return {(p.key, p.kind) for p in verify_release(store, name, **options).problems}


def draft(name, write_id, digest="ab" * 32):
    """Return a release whose manifest is not there."""
    return Release(
        name=name,
        sequence=1,
        time="2026-11-26T06:30:00.000Z",
        write_id=write_id,
        manifest=ManifestReference(sha256=digest, objects=1, nbytes=5),
    )
