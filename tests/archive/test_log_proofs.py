"""Proofs that an entry is in a log, and that it only grew, for those who have a checkpoint and not the log."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hypothesis import given
from hypothesis import strategies as st
from release_data import filled, publish
from typer.testing import CliRunner

from voxarium.archive.checkpoints import sign_checkpoint
from voxarium.archive.keys import create_key, open_key, public_key
from voxarium.archive.log_proofs import check_proof, prove_document, prove_entry, prove_growth
from voxarium.archive.log_reading import LogReader
from voxarium.archive.provenance import record
from voxarium.cli.main import app
from voxarium.errors import FormatError, InputError, NotFoundError
from voxarium.model.provenance import Activity
from voxarium.spec.release import release_key
from voxarium.spec.transparency_log import LogProof, dump_proof, parse_proof
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("VOXARIUM_KEYS", str(tmp_path / "keys"))
    create_key("ada")
    create_key("eve")


def grown(store, count):
    for n in range(count):
        record(store, Activity(operation="ingest", note=str(n)))
    return LogReader(store)


def keys(*names):
    return [public_key(name) for name in names]


def test_every_entry_is_proved_by_every_later_checkpoint():
    store = MemoryStore()
    for size in range(1, 10):
        log = grown(store, 1)
        sign_checkpoint(log, open_key("ada"))
        for n in range(size):
            proof = prove_entry(log, n)
            found = check_proof(proof, keys=keys("ada"))
            assert found.ok and found.entry.sequence == n and (found.size, found.signed_by) == (size, ("ada",))
            assert proof.startswith(b"c2sp.org/tlog-proof@v1\nextra ") and len(proof) < 3000


def test_growth_is_proved_between_any_two_checkpoints():
    store, kept = MemoryStore(), []
    for _ in range(8):
        kept.append(sign_checkpoint(grown(store, 1), open_key("ada")))
        for size, note in enumerate(kept, 1):
            proof = prove_growth(LogReader(store), note)
            found = check_proof(proof, keys=keys("ada"), kept=note)
            assert found.ok and (found.since, found.size) == (size, len(kept))
            for other in kept:
                if other != note:
                    assert not check_proof(proof, keys=keys("ada"), kept=other).ok


def test_a_release_is_proved_by_its_document():
    store = filled(MemoryStore())
    publish(store)
    store.put("em/new", b"1")
    publish(store, "v1.1")
    sign_checkpoint(LogReader(store), open_key("ada"))
    documents = [store.get(release_key(n)) for n in (1, 2)]
    proof = prove_document(LogReader(store), documents[1])
    found = check_proof(proof, keys=keys("ada"), document=documents[1])
    assert found.ok and found.entry.operation == "publish"
    assert "not about this document" in check_proof(proof, document=documents[0]).problems[0]
    with pytest.raises(NotFoundError, match="no entry about this document"):
        prove_document(LogReader(store), b"{}")


def test_what_no_checkpoint_covers_is_not_proved():
    log = grown(MemoryStore(), 3)
    with pytest.raises(NotFoundError, match="no checkpoint beside") as caught:
        prove_entry(log, 0)
    assert "voxarium log checkpoint" in caught.value.fix
    sign_checkpoint(log, open_key("ada"))
    grown(log.store, 1)
    prove_entry(log, 2)
    for n in (3, 4, -1):
        with pytest.raises(NotFoundError):
            prove_entry(log, n)


def test_who_signs_matters():
    log = grown(MemoryStore(), 5)
    kept = sign_checkpoint(log, open_key("eve"))
    proof = prove_entry(log, 1)
    assert check_proof(proof).ok and check_proof(proof).signed_by == ()
    assert check_proof(proof, keys=keys("ada", "eve")).signed_by == ("eve",)
    assert "not signed by a key" in check_proof(proof, keys=keys("ada")).problems[0]
    growth = prove_growth(log, kept)
    assert len(check_proof(growth, keys=keys("ada"), kept=kept).problems) == 2


def test_a_log_that_was_rewritten_cannot_prove_growth():
    store = MemoryStore()
    kept = sign_checkpoint(grown(store, 6), open_key("ada"))
    other = MemoryStore()
    theirs = sign_checkpoint(grown(other, 9), open_key("ada"))
    with pytest.raises(InputError, match="not a later state"):
        prove_growth(LogReader(other), kept)
    forged = dump_proof(LogProof(number=6, hashes=(), note=theirs))
    assert "is about" in check_proof(forged, keys=keys("ada"), kept=kept).problems[0]
    with pytest.raises(InputError, match="is not given"):
        check_proof(forged)


def test_any_change_of_a_proof_is_noticed():
    log = grown(MemoryStore(), 7)
    kept = sign_checkpoint(log, open_key("ada"))
    grown(log.store, 4)
    sign_checkpoint(log, open_key("ada"))
    for proof in (prove_entry(log, 4), prove_growth(log, kept)):
        assert check_proof(proof, keys=keys("ada"), kept=kept).ok
        for at in range(0, len(proof), 3):
            bad = bytearray(proof)
            bad[at] ^= 1
            with contextlib.suppress(FormatError, InputError):
                assert not check_proof(bytes(bad), keys=keys("ada"), kept=kept).ok, at


@given(st.binary(max_size=200) | st.text(alphabet="c2sp.org/tlog-proof@v1\n index=A", max_size=100).map(str.encode))
def test_junk_is_refused(raw):
    for data in (raw, b"c2sp.org/tlog-proof@v1\n" + raw, b"voxarium-log-growth@v1\n" + raw):
        with contextlib.suppress(FormatError):
            parse_proof(data)


@pytest.mark.parametrize(
    "text",
    [
        "c2sp.org/tlog-proof@v1\nindex 1\n\nnote", "c2sp.org/tlog-proof@v1\nextra AA==\nold 1\n\nnote",
        "voxarium-log-growth@v1\nold 01\n\nnote", "voxarium-log-growth@v1\nold 1\nAA==\n\nnote",
        "voxarium-log-growth@v1\nold 1\n" + base64.b64encode(bytes(32)).decode() * 2 + "\n\nnote",
        "voxarium-log-growth@v1\nold 1\n" + f"{base64.b64encode(bytes(32)).decode()}\n" * 65 + "\nnote",
        "voxarium-log-growth@v1\nold 1", "voxarium-log-growth@v2\nold 1\n\nnote",
    ],
)  # fmt: skip
def test_proofs_that_are_none_are_refused(text):
    with pytest.raises(FormatError):
        parse_proof(text.encode())


def test_commands_prove_and_check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = filled(LocalStore(tmp_path / "set"))
    publish(LocalStore(tmp_path / "set", durable=True))
    del store

    def run(*words, code=0):
        result = CliRunner().invoke(app, ["log", *map(str, words)])
        assert result.exit_code == code, (result.output, result.exception)
        return result.output

    run("checkpoint", "set", "--key", "ada", "--out", "kept.txt")
    run("add", "set", "audit")
    run("checkpoint", "set", "--key", "ada", "--quiet")
    run("prove", "set", "--release", "v1.0", "--out", "release.proof")
    text = run("check", "release.proof", "--key", "ada", "--document", f"set/{release_key(1)}")
    assert "proved: entry 0 (publish, " in text and "signed by ada" in text
    run("prove", "set", "--since", "kept.txt", "--out", "growth.proof")
    found = json.loads(run("check", "growth.proof", "--key", "ada", "--checkpoint", "kept.txt", "--json"))
    assert found["ok"] and found["since"] == 1 and found["size"] == 2 and found["entry"] is None
    assert "NOT proved" in run("check", "growth.proof", "--key", "eve", "--checkpoint", "kept.txt", code=1)
    Path("one.proof").write_text(run("prove", "set", "--entry", "1"))
    assert "name whom you believe" in run("check", "one.proof")
    run("prove", "set", code=1)
    run("prove", "set", "--entry", "1", "--release", "v1.0", code=1)
    run("check", "growth.proof", code=1)
    run("check", "kept.txt", code=1)
