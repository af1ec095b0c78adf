"""Release documents: exact, checked, and nothing but errors of ours come of junk."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from release_data import draft, publish

from voxarium.archive.keys import public_key
from voxarium.archive.manifests import read_manifest
from voxarium.archive.release_checks import verify_release
from voxarium.core.release_store import open_release_store
from voxarium.errors import FormatError, InputError
from voxarium.model.canonical_json import dump_canonical
from voxarium.spec.release import (
    LogState,
    ManifestReference,
    Pin,
    PolicyResult,
    Tombstone,
    dump_release,
    dump_tombstone,
    parse_release,
    parse_tombstone,
)
from voxarium.stores.local import LocalStore

GOLDEN = Path(__file__).parent / "golden" / "release-1"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "releases.md"

WHOLE = replace(
    draft("v1.0", "ab" * 16),
    sequence=2,
    parent="cd" * 32,
    manifest=ManifestReference(sha256="ab" * 32, blake3="12" * 32, objects=3, nbytes=2**70),
    dataset="ef" * 32,
    license="CC0-1.0",
    doi="10.1/x",
    concept_doi="10.1/y",
    pins=(Pin(kind="label-map", key="maps/µ", version="7", sha256="34" * 32),),
    software={"voxarium": "1"},
    log=LogState("56" * 16, 5, "78" * 32),
    policy=(PolicyResult("license", "passed"), PolicyResult("checksums", "accepted", "em", "old data")),
    note="for the paper\n",
    extra={"later": [1, {"a": None}]},
)
STONE = Tombstone(
    name="v1.0", sequence=2, document="ab" * 32, reason="why", time="2026-11-26T06:30:00.000Z", write_id="cd" * 16
)


def test_documents_come_back_as_they_were():
    assert parse_release(dump_release(WHOLE), "x") == WHOLE
    assert parse_tombstone(dump_tombstone(STONE), "x") == STONE
    with pytest.raises(InputError, match="takes"):
        dump_release(replace(WHOLE, note="x" * (5 << 20)))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.data())
def test_a_changed_member_is_accepted_as_it_is_or_refused(data):
    """What is parsed has exactly one spelling; everything else is an error."""
    dump, parse = data.draw(st.sampled_from([(dump_release, parse_release), (dump_tombstone, parse_tombstone)]))
    document = json.loads(dump(WHOLE if dump is dump_release else STONE))
    where = data.draw(st.sampled_from(sorted(document)))
    if isinstance(document[where], dict) and document[where] and data.draw(st.booleans()):
        document[where][data.draw(st.sampled_from(sorted(document[where])))] = data.draw(JSON)
    elif data.draw(st.booleans()):
        document[where] = data.draw(JSON)
    else:
        del document[where]
    raw = dump_canonical(document)
    try:
        found = parse(raw, "x")
    except FormatError:
        return
    if dump is dump_release:
        assert parse(dump(found), "x") == found


@settings(max_examples=200)
@given(st.binary(max_size=200) | JSON.map(dump_canonical))
def test_junk_is_refused(raw):
    for parse in (parse_release, parse_tombstone):
        with pytest.raises(FormatError):
            parse(raw, "x")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("sequence",), 0),
        (("sequence",), 1_000_000),
        (("parent",), None),
        (("name",), "../x"),
        (("time",), "2026-02-30T00:00:00.000Z"),
        (("manifest", "key"), "releases/manifests/x.parquet"),
        (("manifest", "bytes"), "-1"),
        (("manifest", "objects"), -1),
        (("software",), {"a": 1}),
        (("policy",), [{}]),
        (("pins",), [1]),
        (("log", "size"), 0),
        (("license",), ""),
        (("note",), "x" * 100_001),
    ],
)
def test_impossible_values_are_named(path, value):
    document = json.loads(dump_release(WHOLE))
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    raw = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(FormatError, match=path[0]):
        parse_release(raw, "x")


def test_too_large_documents_are_refused_unread():
    with pytest.raises(FormatError, match="bytes are more than"):
        parse_release(b" " * (5 << 20), "x")


# -------------------------------------------------------------------------------------------------------------- golden
def test_releases_of_version_1_are_read_checked_and_continued(tmp_path):
    pytest.importorskip("cryptography", reason="checks signatures")
    shutil.copytree(GOLDEN, tmp_path / "set")
    kept = [("kept", (GOLDEN.parent / "release-1.checkpoint").read_bytes())]
    key = public_key(str(GOLDEN.parent / "release-1.pub"))
    for name in ("v1.0", "v1.1"):
        report = verify_release(tmp_path / "set", name, kept=kept, keys=[key])
        assert report.ok, report.problems
        assert report.kept and report.signed_by == ("golden",)
    first = open_release_store(LocalStore(tmp_path / "set"), "v1.0", verify=True, withdrawn=True)
    assert dict(first.list("")) == {"dataset.json": 37, "em/c/0": 5, "em/c/1": 5, "em/zarr.json": 2}
    assert first.get("dataset.json") == b'{"license":"CC0-1.0","name":"golden"}'
    assert publish(LocalStore(tmp_path / "set"), "v1.2").release.release.sequence == 3


def test_the_example_of_the_page_is_the_golden_release():
    example = re.search(r"## Example\n\n```json\n(.*?)\n```", PAGE.read_text("utf-8"), re.DOTALL)[1]
    assert json.loads(example) == json.loads((GOLDEN / "releases/000001.json").read_bytes())


def test_the_specification_suffices_to_check_a_release():
    """Nothing of ours is used here but what the page says, and the reading of Parquet."""
    documents = [p.read_bytes() for p in sorted(GOLDEN.glob("releases/*.json"))]
    releases = [json.loads(d) for d in documents]
    assert [r["sequence"] for r in releases] == [1, 2]
    assert releases[1]["parent"] == hashlib.sha256(documents[0]).hexdigest() and releases[0]["parent"] is None
    for raw in documents:
        text = json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert text.encode() == raw
    lines = [json.loads(p.read_bytes()) for p in sorted(GOLDEN.glob("provenance-log/entries/*"))]
    logged = {(e["operation"], e["write_id"]) for e in lines}
    assert {("publish", hashlib.sha256(d).hexdigest()[:32]) for d in documents} <= logged
    stone = (GOLDEN / "releases/tombstones/000001.json").read_bytes()
    assert ("tombstone", hashlib.sha256(stone).hexdigest()[:32]) in logged
    for release in releases:
        manifest = read_manifest(GOLDEN / release["manifest"]["key"])
        assert (len(manifest), str(manifest.nbytes)) == (release["manifest"]["objects"], release["manifest"]["bytes"])
        leaves = []
        for i, key in enumerate(manifest.keys):
            raw = (GOLDEN / manifest.location(i)[0]).read_bytes()
            digest = hashlib.sha256(raw).digest()
            entry = len(key.encode()).to_bytes(4, "big") + key.encode() + len(raw).to_bytes(8, "big") + digest
            leaves.append(hashlib.sha256(b"\0" + entry).digest())
        head = b"voxarium-manifest-1\nsha256\n" + len(leaves).to_bytes(8, "big")
        assert hashlib.sha256(head + merkle(leaves)).hexdigest() == release["manifest"]["roots"]["sha256"]


def merkle(row):
    if len(row) == 1:
        return row[0]
    k = 1 << ((len(row) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + merkle(row[:k]) + merkle(row[k:])).digest()
