"""Who kept one signed checkpoint notices whatever was done to the log since; who has only the key, forgeries."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess

import pytest

from voxarium.archive import keys as keys_module
from voxarium.archive.checkpoints import sign_checkpoint
from voxarium.archive.keys import (
    SigningKey,
    create_key,
    known_keys,
    open_key,
    public_key,
    remembered_checkpoints,
    verify_signature,
)
from voxarium.archive.log_checks import check_log
from voxarium.archive.log_reading import LogReader
from voxarium.archive.provenance import ProvenanceLog
from voxarium.errors import ChecksumError, Code, ExistsError, FormatError, InputError, NotFoundError, StoreError
from voxarium.model.canonical_json import dump_canonical
from voxarium.model.provenance import Activity
from voxarium.spec.transparency_log import (
    NoteSignature,
    SignedNote,
    dump_note,
    dump_public_key,
    leaf_hash,
    parse_checkpoint,
    parse_note,
    verify_consistency,
    verify_inclusion,
)
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

cryptography = pytest.importorskip("cryptography", reason="makes and checks signatures")


def filled(count=6, name="n"):
    log = ProvenanceLog(MemoryStore())
    for i in range(count):
        log.append(Activity(operation="convert", note=f"{name}{i}"))
    return log


def objects_of(log):
    return {key: log.store.get(key) for key, _ in log.store.list()}


@pytest.fixture
def curator():
    create_key("lab.example.org")
    return open_key("lab.example.org")


def kinds(objects, **options):
    report = check_log(LogReader(MemoryStore(objects)), **options)
    return [p.kind for p in report.problems]


# ------------------------------------------------------------------------------------------------------------ keys
def test_keys_are_files_that_only_their_owner_may_read(curator):
    folder = keys_module.key_folder()
    assert stat.S_IMODE((folder / "lab.example.org.pem").stat().st_mode) == 0o600
    line = (folder / "lab.example.org.pub").read_text().strip()
    assert dump_public_key(curator.public) == line
    for text in (line, str(folder / "lab.example.org.pub"), "lab.example.org", str(folder / "lab.example.org.pem")):
        assert public_key(text) == curator.public
    assert known_keys() == [curator.public]
    assert "example" in repr(curator) and "rivate" not in repr(curator)


def test_a_key_that_others_can_read_is_refused(curator):
    path = keys_module.key_folder() / "lab.example.org.pem"
    path.chmod(0o640)
    with pytest.raises(StoreError) as caught:
        open_key("lab.example.org")
    assert caught.value.code == Code.STORE_PERMISSION


def test_keys_are_never_replaced_and_names_are_safe(curator):
    with pytest.raises(ExistsError):
        create_key("lab.example.org")
    for name in ("", "../x", "a b", "a+b", ".x", "é", "x" * 101):
        with pytest.raises(InputError):
            create_key(name)
    with pytest.raises(NotFoundError) as caught:
        open_key("nobody")
    assert caught.value.code == Code.KEY_MISSING
    with pytest.raises(NotFoundError):
        public_key("nobody")


def test_files_that_are_no_keys_are_refused(tmp_path, monkeypatch, curator):
    other = tmp_path / "x.pem"
    other.touch(mode=0o600)
    for data in (b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        other.write_bytes(data)
        with pytest.raises(FormatError):
            open_key(str(other))
    (tmp_path / "x.pub").write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError):
        public_key(str(tmp_path / "x.pub"))


def test_keys_can_be_encrypted(monkeypatch):
    monkeypatch.setenv("VOXARIUM_KEY_PASSPHRASE", "correct horse")
    create_key("locked")
    assert b"ENCRYPTED" in (keys_module.key_folder() / "locked.pem").read_bytes()
    assert open_key("locked").public == public_key("locked")
    for wrong in ("", "wrong"):
        monkeypatch.setenv("VOXARIUM_KEY_PASSPHRASE", wrong)
        with pytest.raises(FormatError, match="locked"):
            open_key("locked")


def test_keys_can_be_kept_in_the_keyring(monkeypatch):
    keyring = pytest.importorskip("keyring", reason="keeps secrets of users")
    backend = pytest.importorskip("keyring.backend", reason="keeps secrets of users")

    class Memory(backend.KeyringBackend):
        priority = 1

        def __init__(self):
            super().__init__()
            self.kept = {}

        def get_password(self, service, username):
            return self.kept.get((service, username))

        def set_password(self, service, username, password):
            self.kept[service, username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    try:
        create_key("held", in_keyring=True)
        assert not (keys_module.key_folder() / "held.pem").exists()
        assert open_key("held").public == public_key("held")
        with pytest.raises(ExistsError):
            create_key("held", in_keyring=True)
    finally:
        keyring.set_keyring(before)


def test_signatures_are_those_of_openssl(curator, tmp_path):
    if subprocess.run(["openssl", "version"], capture_output=True).returncode:
        pytest.skip("openssl is not installed")
    (tmp_path / "text").write_bytes(b"a\n")
    (tmp_path / "signature").write_bytes(curator.sign("a\n").signature)
    pem = keys_module.key_folder() / "lab.example.org.pem"
    done = subprocess.run(
        [
            "openssl",
            "pkeyutl",
            "-verify",
            "-rawin",
            "-inkey",
            pem,
            "-sigfile",
            tmp_path / "signature",
            "-in",
            tmp_path / "text",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_signatures_of_others_and_over_other_texts_do_not_hold(curator):
    signature = curator.sign("a\n")
    assert verify_signature(curator.public, signature, "a\n")
    assert not verify_signature(curator.public, signature, "b\n")
    assert not verify_signature(create_key("other"), signature, "a\n")
    assert not verify_signature(curator.public, NoteSignature(signature.name, signature.key_id, b"x" * 64), "a\n")
    assert not verify_signature(curator.public, NoteSignature(signature.name, signature.key_id, b"x"), "a\n")


# ----------------------------------------------------------------------------------------------------- checkpoints
def test_a_checkpoint_vouches_for_what_is_there_and_lets_the_log_grow(curator):
    log = filled(6)
    note = sign_checkpoint(log, curator)
    assert sign_checkpoint(log, curator) == note
    log.append(Activity(operation="audit"))
    report = check_log(log, kept=[("kept", note)], keys=[curator.public])
    assert report.ok and (report.size, report.signed_size, report.leftovers) == (7, 6, ())
    assert {c.source for c in report.checkpoints} == {"kept", log.checkpoint_key(6, curator.public.key_id)}
    point = parse_checkpoint(parse_note(note).text)
    assert (point.origin, point.size) == (report.origin, 6)
    with pytest.raises(NotFoundError):
        sign_checkpoint(ProvenanceLog(MemoryStore()), curator)


class Unlisted:
    """A store that can be read and not listed: a plain web server."""

    concurrency = 4
    uri = "https://example.org/set"

    def __init__(self, inner):
        self.get, self.get_ranges, self.stat = inner.get, inner.get_ranges, inner.stat


def test_the_latest_checkpoint_is_found_where_nothing_can_be_listed(curator):
    log = filled(3)
    sign_checkpoint(log, curator)
    log.append(Activity(operation="audit"))
    sign_checkpoint(log, curator)
    log.append(Activity(operation="audit"))
    report = check_log(LogReader(Unlisted(log.store)), keys=[curator.public])
    assert report.ok and (report.size, report.signed_size) == (5, 4)
    assert [c.source for c in report.checkpoints] == [log.latest_key]
    objects = {k: v for k, v in objects_of(log).items() if k != log.latest_key}
    report = check_log(LogReader(Unlisted(MemoryStore(objects))), keys=[curator.public])
    assert [p.kind for p in report.problems] == ["unsigned"]


def test_several_people_may_sign(curator):
    log = filled(3)
    create_key("second")
    second = open_key("second")
    sign_checkpoint(log, curator)
    sign_checkpoint(log, second)
    report = check_log(log, keys=[second.public, curator.public])
    assert sorted(c.signed_by for c in report.checkpoints) == [("lab.example.org",), ("second",)]


def test_a_truncated_log_is_found(curator):
    log = filled(6)
    note = sign_checkpoint(log, curator)
    objects = objects_of(log)
    for left in range(6):
        cut = {k: v for k, v in objects.items() if "entries" in k and k < log.segment_key(left)}
        found = kinds(cut, kept=[("kept", note)], keys=[curator.public], details=False)
        assert found == ["truncated", "unsigned"]


def test_a_fork_of_the_log_is_found(curator):
    """An attacker goes on from an earlier state as if the rest had never been."""
    log = filled(6)
    note = sign_checkpoint(log, curator)
    early = {
        k: v
        for k, v in objects_of(log).items()
        if "checkpoint" not in k and ("payloads" in k or k < log.segment_key(4))
    }
    forged = ProvenanceLog(MemoryStore(early))
    for i in range(5):
        forged.append(Activity(operation="convert", note=f"other {i}"))
    assert check_log(forged).ok  # by itself it looks as good as the true one
    report = check_log(forged, kept=[("kept", note)])
    assert [p.kind for p in report.problems] == ["rewritten"]


def test_a_rewritten_history_is_found_and_narrowed_down_by_earlier_checkpoints(curator):
    log = filled(4)
    first = sign_checkpoint(log, curator)
    log.append(Activity(operation="fix"))
    second = sign_checkpoint(log, curator)
    objects = objects_of(log)
    objects = {k: v for k, v in objects.items() if "checkpoint" not in k}
    forged = json.loads(objects[log.segment_key(4)]) | {"operation": "audit"}
    objects[log.segment_key(4)] = dump_canonical(forged) + b"\n"
    assert kinds(objects) == []  # nothing continues the last entry
    report = check_log(LogReader(MemoryStore(objects)), kept=[("first", first), ("second", second)])
    assert [(p.kind, p.sequence) for p in report.problems] == [("rewritten", 4)]


def test_a_history_rewritten_from_the_first_entry_on_is_found(curator):
    log = filled(5)
    note = sign_checkpoint(log, curator)
    previous, lines = None, []
    for entry in log.lines():
        document = json.loads(entry.data) | {"previous": previous, "operation": "audit"}
        lines.append(dump_canonical(document))
        previous = leaf_hash(lines[-1]).hex()
    objects = objects_of(log) | {log.segment_key(i): line + b"\n" for i, line in enumerate(lines)}
    without = {k: v for k, v in objects.items() if "checkpoint" not in k}
    assert kinds(without) == []
    assert kinds(without, kept=[("kept", note)]) == ["rewritten"]
    assert kinds(without, keys=[curator.public]) == ["unsigned"]
    assert set(kinds(objects)) == {"rewritten"}  # the checkpoint that lies with it tells, unless that was removed too


def test_the_log_of_another_dataset_in_its_place_is_found(curator):
    """Both are genuine, and signed by the same key."""
    log, other = filled(6), filled(6)
    note = sign_checkpoint(log, curator)
    sign_checkpoint(other, curator)
    assert kinds(objects_of(other), keys=[curator.public]) == []
    assert kinds(objects_of(other), kept=[("kept", note)], keys=[curator.public]) == ["replaced"]


def test_a_checkpoint_that_somebody_else_signed_or_changed_is_found(curator):
    log = filled(5)
    note = sign_checkpoint(log, curator)
    key = log.checkpoint_key(5, curator.public.key_id)
    parsed = parse_note(note)
    create_key("attacker")
    forged = open_key("attacker").sign(parsed.text)
    as_curator = NoteSignature("lab.example.org", curator.public.key_id, forged.signature)
    objects = objects_of(log)
    for signature, expected in ((forged, ["unsigned"]), (as_curator, ["signature", "unsigned"])):
        false = dump_note(SignedNote(parsed.text, (signature,)))
        assert kinds(objects | {key: false, log.latest_key: false}, keys=[curator.public]) == expected
    for position in range(len(note)):
        changed = bytearray(note)
        changed[position] ^= 1
        for keys in ([key], [log.latest_key], [key, log.latest_key]):
            found = kinds(objects | dict.fromkeys(keys, bytes(changed)), keys=[curator.public])
            # A change of the signer's name or id makes it a signature of somebody unknown, which proves nothing.
            assert found or (len(keys) == 1 and parsed.text == parse_note(changed).text), position


def test_a_key_of_the_same_name_is_another_key(curator, tmp_path):
    log = filled(2)
    impostor = create_key("lab.example.org", folder=tmp_path)
    sign_checkpoint(log, open_key("lab.example.org", folder=tmp_path))
    assert impostor.key_id != curator.public.key_id
    report = check_log(log, keys=[curator.public])
    assert [p.kind for p in report.problems] == ["unsigned"]


def test_junk_beside_the_log_is_named_and_stops_nothing(curator):
    log = filled(3)
    sign_checkpoint(log, curator)
    for junk in (b"", b"\xff", b"a\n\n\xe2\x80\x94 b AAAAAAA=\n", b"x" * 70_000):
        objects = objects_of(log) | {"provenance-log/checkpoints/000000000009-0123abcd.txt": junk}
        assert kinds(objects, keys=[curator.public]) == ["malformed"]
    objects = objects_of(log) | {"provenance-log/checkpoints/notes.txt": b"x"}
    assert check_log(LogReader(MemoryStore(objects))).leftovers == ("provenance-log/checkpoints/notes.txt",)


def test_a_broken_log_is_never_signed(curator):
    log = filled(5)
    objects = objects_of(log)
    objects[log.segment_key(2)] = objects[log.segment_key(2)].replace(b"convert", b"invert")
    broken = ProvenanceLog(MemoryStore(objects))
    with pytest.raises(ChecksumError, match="entry 2"):
        sign_checkpoint(broken, curator)
    assert not list(broken.checkpoints())


def test_what_contradicts_an_earlier_checkpoint_is_never_signed(curator):
    log = filled(5)
    sign_checkpoint(log, curator)
    objects = {k: v for k, v in objects_of(log).items() if k != log.segment_key(4)}
    with pytest.raises(ChecksumError, match="knows of 5"):
        sign_checkpoint(ProvenanceLog(MemoryStore(objects)), curator)


def test_a_log_that_was_cut_back_is_not_signed_again_on_the_same_machine(curator):
    """Also when the attacker removed the checkpoint beside it: the curator would vouch for a forgery in good faith."""
    log = filled(5)
    note = sign_checkpoint(log, curator)
    assert [n for _, n in remembered_checkpoints(log.log_id())] == [note]
    cut = {k: v for k, v in objects_of(log).items() if "checkpoint" not in k and k < log.segment_key(3)}
    assert kinds(cut, details=False) == []
    with pytest.raises(ChecksumError, match="knows of 5"):
        sign_checkpoint(ProvenanceLog(MemoryStore(cut)), curator)
    log.append(Activity(operation="audit"))
    assert [n for _, n in remembered_checkpoints(log.log_id())] == [note]
    assert [n for _, n in remembered_checkpoints(log.log_id())] != [sign_checkpoint(log, curator)]
    assert remembered_checkpoints("../x") == remembered_checkpoints("") == []


def test_a_log_without_its_first_entry_is_not_signed(curator):
    log = filled(3)
    objects = {k: v for k, v in objects_of(log).items() if k != log.segment_key(0)}
    with pytest.raises(ChecksumError, match="entry 0 is missing"):
        sign_checkpoint(ProvenanceLog(MemoryStore(objects)), curator)


@pytest.mark.parametrize("kind", ["error", "lost-answer"])
def test_signing_that_is_stopped_at_any_call_leaves_a_valid_log(curator, kind):
    nth, finished = 0, False
    while not finished:
        nth += 1
        log = filled(2)
        fault = FaultStore(log.store, [FaultRule(kind=kind, nth=nth)])
        with contextlib.suppress(StoreError):
            sign_checkpoint(ProvenanceLog(fault), curator)
        finished = not any(fault.fired)
        assert check_log(log).ok
        sign_checkpoint(log, curator)
        assert check_log(log, keys=[curator.public]).ok


def test_a_light_client_checks_one_entry_and_growth_without_the_log(curator):
    log = filled(9)
    old = parse_checkpoint(parse_note(sign_checkpoint(log, curator)).text)
    for i in range(5):
        log.append(Activity(operation="audit", note=str(i)))
    new = parse_checkpoint(parse_note(sign_checkpoint(log, curator)).text)
    proofs = log.tree()
    line = next(line for line in log.lines() if line.sequence == 3)
    assert verify_inclusion(leaf_hash(line.data), 3, new.size, new.root, proofs.prove_inclusion(3, new.size))
    assert verify_consistency(old.size, old.root, new.size, new.root, proofs.prove_consistency(old.size, new.size))


def test_local_files_and_s3_can_be_signed(curator, tmp_path, make_s3):
    for store in (LocalStore(tmp_path), make_s3()):
        log = ProvenanceLog(store)
        log.append(Activity(operation="ingest"))
        note = sign_checkpoint(log, curator)
        assert check_log(log, kept=[("kept", note)], keys=[curator.public]).ok
    assert os.listdir(tmp_path / "provenance-log/checkpoints")
    assert isinstance(curator, SigningKey)
