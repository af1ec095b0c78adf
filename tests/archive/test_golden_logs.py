"""Logs of every version of the format stay readable, and the specification suffices to check them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from voxarium.archive.keys import public_key
from voxarium.archive.log_checks import check_log
from voxarium.archive.provenance import open_log, record
from voxarium.model.provenance import Activity

GOLDEN = Path(__file__).parent / "golden" / "log-1"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "provenance.md"
ROOT = "c41e066ce0ac498f7381848c153ae9d3d1b3b04e0eadd17ef9451938770d0ca2"


def test_a_log_of_version_1_is_read_checked_and_continued(tmp_path):
    pytest.importorskip("cryptography", reason="checks signatures")
    shutil.copytree(GOLDEN, tmp_path / "set")
    report = check_log(open_log(tmp_path / "set"), keys=[public_key(str(GOLDEN / "key.pub"))])
    assert report.ok and (report.size, report.signed_size, report.root) == (3, 3, ROOT)
    assert (report.details, report.removed, report.leftovers) == (8, 1, ())
    found = list(open_log(tmp_path / "set").activities())
    assert [a.activity.operation for a in found] == ["ingest", "convert", "remove-payload"]
    assert found[0].removed == ("agent",) and found[1].activity.parameters["µ"] == 1e-7
    record(tmp_path / "set", Activity(operation="audit"))
    assert check_log(open_log(tmp_path / "set")).size == 4


def test_the_specification_suffices_to_check_a_log():
    """Nothing of ours is used here but what the page says."""

    def canonical(value):  # enough of RFC 8785 for these values
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.replace("1e-07", "1e-7").encode()

    folder = GOLDEN / "provenance-log"
    lines = [p.read_bytes().rstrip(b"\n") for p in sorted((folder / "entries").iterdir())]
    hashes = [hashlib.sha256(b"\0" + line).digest() for line in lines]
    entries = [json.loads(line) for line in lines]
    assert [e["previous"] for e in entries] == [None, hashes[0].hex(), hashes[1].hex()]
    removed = {(e["removes"]["sequence"], n) for e in entries if "removes" in e for n in e["removes"]["payloads"]}
    for entry in entries:
        payloads = json.loads((folder / "payloads" / f"{entry['write_id']}.json").read_bytes())["payloads"]
        for name, digest in entry["payloads"].items():
            if name not in payloads:
                assert (entry["sequence"], name) in removed
                continue
            assert hashlib.sha256(canonical({"name": name, **payloads[name]})).hexdigest() == digest
    root = hashlib.sha256(b"\1" + hashlib.sha256(b"\1" + hashes[0] + hashes[1]).digest() + hashes[2]).digest()
    assert root.hex() == ROOT
    text, _, signature = (folder / "checkpoints/000000000003-de22eece.txt").read_text().rpartition("\n\n")
    origin, size, encoded = text.split("\n")
    assert (origin, int(size), base64.b64decode(encoded)) == (f"voxarium-log/{entries[0]['log']}", 3, root)
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519", reason="checks signatures")
    name, number, key = (GOLDEN / "key.pub").read_text().strip().split("+", 2)
    raw = base64.b64decode(signature.split()[-1])
    assert signature.split()[1] == name and raw[:4].hex() == number
    ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:]).verify(raw[4:], (text + "\n").encode())


def test_the_page_shows_these_very_bytes():
    text = PAGE.read_text("utf-8")
    shown = [block.rstrip("\n") for _, block in re.findall(r"^```(json|text)\n(.*?)^```$", text, re.M | re.S)]
    folder = GOLDEN / "provenance-log"
    for path in (*sorted((folder / "entries").iterdir()), *sorted((folder / "payloads").iterdir())[:2]):
        assert path.read_text("utf-8").rstrip("\n") in shown, path.name
    assert (folder / "checkpoints/000000000003-de22eece.txt").read_text("utf-8").rstrip("\n") in shown
    assert f"{ROOT}\n{(GOLDEN / 'key.pub').read_text().strip()}" in shown
    for line in (p.read_bytes().rstrip(b"\n") for p in (folder / "entries").iterdir()):
        assert hashlib.sha256(b"\0" + line).hexdigest() in shown
    (gone,) = [s for s in shown if s.startswith('{"name":"agent"')]
    first = json.loads((folder / "entries/000000000000.jsonl").read_bytes())
    assert hashlib.sha256(gone.encode()).hexdigest() == first["payloads"]["agent"]


def test_the_page_lists_the_operations_in_use():
    from voxarium.model.provenance import OPERATIONS

    sentence = re.search(r"Operations in use: (.*?)\. Others", PAGE.read_text("utf-8"), re.S)[1]
    assert re.findall(r"`([a-z-]+)`", sentence) == list(OPERATIONS)
