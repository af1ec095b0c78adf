"""What an archive needs: licence, people, provenance, a picture, nothing left over, no secrets, labels without loss."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from voxarium.core.image import Image
from voxarium.core.journal import JOB_FOLDER
from voxarium.model.checking import Sheet
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.model.rules import Rule, rules
from voxarium.validation.collecting import Collector

__all__ = ["LOSSY", "RULES", "check_lossless", "check_publishing", "secrets_in"]

RULES: Final[dict[str, Rule]] = {
    rule.id: rule
    for rule in rules(
        """
PB-001 must needs=hierarchy
    A licence is stated: `license` in dataset.json or ro-crate-metadata.json, or a file LICENSE.
    why: Without one nobody may use the data.
    mend: Add it to dataset.json, as an SPDX identifier such as CC-BY-4.0.
    bad: published dataset.json#/license remove
PB-002 must needs=hierarchy
    Somebody is named who can be asked: `authors` or `contact` in dataset.json, or `author` in ro-crate-metadata.json.
    why: Errors are found years later, and somebody has to be told.
    mend: Add names, best with ORCID identifiers.
    bad: published dataset.json#/authors = []
PB-003 must needs=hierarchy
    Provenance is recorded: a log in provenance-log/, a file provenance (precomputed), or ro-crate-metadata.json.
    why: Data whose origin and treatment are unknown cannot be trusted or made again.
    mend: Make it a dataset (voxarium dataset create) before converting into it; or write ro-crate-metadata.json.
    bad: published provenance remove
PB-004 should needs=hierarchy
    There is a picture: thumbnail.jpg, thumbnail.png or thumbnail.webp.
    why: Catalogues show one, and people find by looking.
    mend: Make one with voxarium preview.
    bad: published thumbnail.png remove
PB-005 must needs=hierarchy
    Nothing is left over from jobs or writers.
    why: Leftovers are copied and published for ever, and an unfinished job is not the image.
    mend: Finish the job with --resume, or remove what it left.
    bad: published .voxarium/job.json = {}
PB-006 must needs=hierarchy
    Metadata hold no secrets: no keys, passwords or tokens.
    why: What is published once is read and kept by others within minutes.
    mend: Remove it, and make it invalid where it is used.
    bad: published dataset.json#/note = "AKIAIOSFODNN7EXAMPLE"
PB-007 must needs=hierarchy
    Label images are stored without loss.
    why: A label that changes by one is another object.
    mend: Write it again with a lossless codec.
    bad: label-image s0/zarr.json#/codecs = [{"name": "numcodecs.fixedscaleoffset", "configuration": {"offset": 0, \
"scale": 1, "dtype": "<u4", "astype": "<u4"}}, {"name": "bytes", "configuration": {"endian": "little"}}]
""",
        basis="publish",
    )
}

_PICTURES: Final = ("thumbnail.jpg", "thumbnail.png", "thumbnail.webp")
LOSSY: Final = ("jpeg", "jpg", "webp", "avif", "fixedscaleoffset", "quantize", "bitround", "zfp", "sz3", "lerc")
_LEFT: Final = re.compile(r"\.(partial|tmp|temp|__lock)$|^\.tmp|\.voxarium-partial")
_LARGEST: Final = 16 << 20
_DOCUMENTS: Final = (
    "dataset.json", "ro-crate-metadata.json", "provenance", "zarr.json", ".zattrs", "attributes.json", "info",
    "datasource-properties.json",
)  # fmt: skip
_SECRETS: Final[Mapping[str, re.Pattern[str]]] = {
    "an access key of AWS": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a password in an address": re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"]{1,80}:[^\s/@\"]{1,80}@"),
    "a token of GitHub": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b"),
    "a signed address": re.compile(r"[?&](X-Amz-Signature|sig|X-Goog-Signature)=[A-Za-z0-9%]{16}"),
    "a password": re.compile(r"\"(password|passwd|secret|api_?key|access_?token|auth_?token)\"\s*:\s*\"[^\"]{6}", re.I),
}


def check_publishing(found: Collector, store: ReadableStore, path: str) -> None:
    """Report what is missing at the root of what is to be published."""
    documents = {name: _text(store, f"{path}/{name}" if path else name) for name in _DOCUMENTS}
    dataset, crate = _object(documents["dataset.json"]), _crate(documents["ro-crate-metadata.json"])
    files, folders = store.list_dir(path) if isinstance(store, ListableStore) else ((), ())
    names = {n.lower() for n in files}

    def note(rule: str, message: str, fix: str, key: str = path) -> None:
        found.note(RULES, rule, key, message, fix)

    if not (dataset.get("license") or crate.get("license") or any(n.startswith(("license", "licence")) for n in names)):
        note("PB-001", "states no licence", "add license to dataset.json")
    if not (dataset.get("authors") or dataset.get("contact") or crate.get("author")):
        note("PB-002", "names nobody who can be asked", "add authors to dataset.json")
    if not (documents["provenance"] or crate or "provenance-log" in folders):
        note("PB-003", "records no provenance", "keep a log, or add ro-crate-metadata.json")
    if not names & set(_PICTURES):
        note("PB-004", "has no thumbnail", "add thumbnail.png")
    for name in [*(n for n in files if _LEFT.search(n)), *(f for f in folders if f == JOB_FOLDER or _LEFT.search(f))]:
        note("PB-005", "is left over", "finish the job, or remove it", f"{path}/{name}" if path else name)
    for name, text in documents.items():
        for what in secrets_in(text or ""):
            note("PB-006", f"holds {what}", "remove it", f"{path}/{name}" if path else name)


def secrets_in(text: str) -> list[str]:
    """Return what secrets a document holds, in words; empty when it holds none."""
    return [what for what, pattern in _SECRETS.items() if pattern.search(text)]


def check_lossless(sheet: Sheet, image: Image) -> None:
    """Report a label image that is stored with loss."""
    lossy = [c for c in image.arrays[0].info.codecs if any(word in c.lower() for word in LOSSY)]
    if image.role == "label" and lossy:
        sheet.report("PB-007", f"is a label image stored with {', '.join(lossy)}", "write it again without loss")


def _text(store: ReadableStore, key: str) -> str | None:
    stat = store.stat(key)
    raw = None if stat is None or stat.size > _LARGEST else store.get(key)
    return None if raw is None else raw.decode("utf-8", "replace")


def _object(text: str | None) -> Mapping[str, Any]:  # Any: JSON as found
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _crate(text: str | None) -> Mapping[str, Any]:  # Any: JSON as found
    """Return the root data entity of an RO-Crate; empty where there is none."""
    graph = _object(text).get("@graph")
    entities = [e for e in graph if isinstance(e, dict)] if isinstance(graph, list) else []
    return next((e for e in entities if e.get("@id") == "./"), {})
