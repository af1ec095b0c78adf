"""A dataset with two releases, the second with a change, an addition and objects that are equal."""

from __future__ import annotations

import json

from voxarium.archive.exports import ExportOptions, export_release, open_release_source
from voxarium.archive.provenance import ProvenanceLog
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import Policy
from voxarium.model.provenance import Activity, Agent, Artifact
from voxarium.stores.local import LocalStore

DATASET = {
    "voxarium_dataset": "1.0",
    "name": "Pinky of the mouse",
    "description": "An image of neurons.\nOf a mouse.",
    "license": "CC-BY-4.0",
    "authors": [
        {
            "name": "Lovelace, Ada",
            "identifier": "https://orcid.org/0000-0002-1825-0097",
            "affiliation": "University of London",
        },
        {"name": "A consortium", "identifier": "https://ror.org/04xfq0f34"},
        {"name": "Somebody"},
    ],
    "contact": "Ada Lovelace <ada@example.org>",
    "publisher": "Archive of Neurons",
    "funding": [{"funder": "A foundation", "award": "N-17", "title": "Wires"}, {"funder": "Another one"}],
    "identifiers": ["10.5072/concept.9", "EMPIAR-1", "https://example.org/brain"],
    "members": [
        {"name": "em", "path": "em", "kind": "image", "role": "intensity", "format": "ome-zarr", "description": "raw"},
        {"name": "cells", "path": "em/labels/cells", "kind": "label", "role": "label", "format": "ome-zarr",
         "links": [{"member": "em", "relation": "image"}]},
        {"name": "synapses", "path": "tables/synapses.parquet", "kind": "table"},
    ],
}  # fmt: skip
CONTENT = {
    "dataset.json": json.dumps(DATASET).encode(),
    "LICENSE": b"as you like",
    "em/zarr.json": b'{"a": 1}',
    **{f"em/s0/c/{i}/{j}": bytes([i, j]) * (100 + i) for i in range(3) for j in range(2)},
    "em/s0/c/2/7": bytes([2, 1]) * 102,  # equal to another chunk
    "em/labels/cells/zarr.json": b'{"b": 2}',
    "em/labels/cells/c/0": b"\0" * 77,
    "tables/synapses.parquet": b"PAR1",
    "notes/50% µ & more.txt": b"",
}
LATER = {"em/s1/c/0": b"x" * 501, "tables/more.parquet": b"PAR1", "LICENSE": b"as I like"}
ADA = Agent("Ada Lovelace", "person", "https://orcid.org/0000-0002-1825-0097")


def publish(store, name, **options):
    """Publish without any checks."""
    return create_release(store, name, ReleaseOptions(policy=Policy(require=frozenset()), agent=ADA, **options))


def made(folder, content=CONTENT, later=LATER):
    """Make the dataset with the releases v1.0 and v1.1; return its address."""
    store = LocalStore(folder)
    for key, data in content.items():
        store.put(key, data)
    ProvenanceLog(store).append(
        Activity(
            operation="convert",
            inputs=[Artifact("s3://lab/raw.tif", "sha256:" + "ab" * 32)],
            outputs=[Artifact("em", role="image")],
            parameters={"codec": {"name": "zstd"}},
            software={"voxarium": "0.1"},
            agent=ADA,
        )
    )
    publish(store, "v1.0", doi="10.5072/brain.1", concept_doi="10.5072/concept.9", note="the first")
    for key, data in later.items():
        store.put(key, data)
    publish(store, "v1.1", doi="10.5072/brain.2", concept_doi="10.5072/concept.9")
    return str(folder)


def exported(release, target, kind, **options):
    """Export a release, and return the report."""
    return export_release(release, target, kind, ExportOptions(**options))


def contents(folder, inside=""):
    """Return the files below a folder by key."""
    root = folder / inside if inside else folder
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def source(dataset, name="v1.0"):
    """Open a release."""
    return open_release_source(dataset, name)
