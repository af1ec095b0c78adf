"""What a provenance log says, for others: W3C PROV-JSON, RO-Crate, CloudVolume's file, and plain JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from voxarium.archive.log_reading import LogReader
from voxarium.archive.provenance import ProvenanceLog
from voxarium.errors import NotFoundError
from voxarium.model.fields import dump_json
from voxarium.model.provenance import RecordedActivity
from voxarium.spec.cloudvolume_provenance import (
    FILE_NAME,
    LayerProvenance,
    activities_of,
    dump_layer,
    parse_layer,
    with_activities,
)
from voxarium.spec.prov_json import dump_prov_json
from voxarium.spec.ro_crate import CrateFacts, PartKind, dump_ro_crate

__all__ = [
    "activity_json",
    "export_cloudvolume",
    "export_json_lines",
    "export_prov_json",
    "export_ro_crate",
    "import_cloudvolume",
    "iter_about",
]


def iter_about(log: LogReader, about: str = "") -> Iterator[RecordedActivity]:
    """Yield what was done to, or with, something: a key, or what lies below it. Empty: everything."""
    about = about.strip("/")
    for recorded in log.activities():
        artifacts = (*recorded.activity.inputs, *recorded.activity.outputs)
        if not about or any(f"{a.address.strip('/')}/".startswith(f"{about}/") for a in artifacts):
            yield recorded


def activity_json(recorded: RecordedActivity) -> dict[str, Any]:  # Any: JSON
    """Return an entry and its details as one JSON object, without what is empty."""
    activity = asdict(recorded.activity)
    for name in ("inputs", "outputs"):
        activity[name] = [{k: v for k, v in a.items() if v not in ("", None)} for a in activity[name]]
    if activity["agent"]:
        activity["agent"] = {k: v for k, v in activity["agent"].items() if v}
    head = {"sequence": recorded.sequence, "time": recorded.time}
    rest = {"removed": list(recorded.removed), "write_id": recorded.write_id, "log": recorded.log}
    return head | {k: v for k, v in (activity | rest).items() if v}


def export_json_lines(log: LogReader, about: str = "") -> bytes:
    """Return one line of JSON for each entry."""
    lines = (json.dumps(activity_json(r), ensure_ascii=False) + "\n" for r in iter_about(log, about))
    return "".join(lines).encode("utf-8", "replace")


def export_prov_json(log: LogReader, about: str = "") -> bytes:
    """Return a document of W3C PROV-JSON."""
    return dump_json(dump_prov_json(iter_about(log, about)))


def export_ro_crate(log: LogReader, facts: CrateFacts, about: str = "") -> bytes:
    """Return the document ``ro-crate-metadata.json`` for the root of the dataset."""
    folder = log.folder.rpartition("/")[0]

    def kind_of(key: str) -> PartKind:
        try:
            return "folder" if log.store.stat(f"{folder}/{key}" if folder else key) is None else "file"
        except ValueError:  # addresses need not be keys
            return "folder"

    return dump_json(dump_ro_crate(iter_about(log, about), facts, kind_of))


def export_cloudvolume(log: LogReader, existing: bytes | None = None, about: str = "") -> bytes:
    """Return CloudVolume's file ``provenance``: what was in it, and steps for what it does not have yet.

    Raises
    ------
    FormatError
        If `existing` is no such file.
    """
    layer = LayerProvenance() if existing is None else parse_layer(existing, "the file provenance")
    return dump_layer(with_activities(layer, iter_about(log, about)))


def import_cloudvolume(log: ProvenanceLog, data: bytes, address: str) -> int:
    """Record the steps of CloudVolume's file ``provenance``; those that are recorded already are passed over.

    Parameters
    ----------
    log : ProvenanceLog
        In a store that can be written.
    data : bytes
        The file.
    address : str
        Key of its layer in the dataset, or its URI.

    Returns
    -------
    int
        How many were added.

    Raises
    ------
    FormatError
        If it is no such file.
    """
    try:
        known = {entry.write_id for entry in log.existing().entries()}
    except NotFoundError:
        known = set()
    added = 0
    for write_id, activity in activities_of(parse_layer(data, f"{address}/{FILE_NAME}"), address):
        if write_id not in known:
            log.append(activity, write_id=write_id)
            added += 1
    return added
