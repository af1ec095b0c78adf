"""Publishing: a release is whole or not there, names and numbers are used once, every manipulation is named."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import threading
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from release_data import CONTENT, draft, filled, kinds, publish

from voxarium.archive.checkpoints import sign_checkpoint
from voxarium.archive.keys import create_key, open_key, public_key
from voxarium.archive.log_reading import LogReader
from voxarium.archive.provenance import record
from voxarium.archive.release_checks import verify_release
from voxarium.archive.release_diff import diff_releases
from voxarium.archive.releases import Releases, withdraw_release
from voxarium.archive.verify import VerifyOptions
from voxarium.core.releases import find_release, iter_releases
from voxarium.errors import (
    ChecksumError,
    Code,
    ConflictError,
    ExistsError,
    InputError,
    NotFoundError,
    StoreError,
    UnsupportedError,
    VoxariumError,
)
from voxarium.model.provenance import Activity, Agent
from voxarium.spec.release import dump_release, entry_id, parse_release, release_key
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

WRITERS = 8
EACH = int(os.environ.get("VOXARIUM_TEST_COMMITS", "20"))  # 100 before a release; takes minutes


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Stopped(BaseException):
    """The process ends here."""


def logged(store, operation="publish"):
    return [e.write_id for e in LogReader(store).entries() if e.operation == operation]


# ------------------------------------------------------------------------------------------------------------ creating
def test_a_release_is_published_verified_and_continued():
    store = filled(MemoryStore())
    first = publish(store, note="for the paper", pins=[("annotations", "notes", "7")], doi="10.1/x")
    assert first.created and (first.objects, first.new_objects) == (len(CONTENT), len(CONTENT))
    release = first.release.release
    assert (release.sequence, release.parent, release.license, release.doi) == (1, "", "CC-BY-4.0", "10.1/x")
    assert release.dataset == sha256(CONTENT["dataset.json"]).hexdigest()
    assert (release.pins[0].kind, release.pins[0].key, release.pins[0].version) == ("annotations", "notes", "7")
    store.put("em/s0/c/9/9", b"new")
    store.put("dataset.json", b'{"license": "CC0-1.0"}')
    second = publish(store, "v1.1")
    assert (second.new_objects, second.new_bytes) == (2, 25)
    assert (second.release.release.sequence, second.release.release.parent) == (2, first.release.digest)
    assert second.release.release.log.size == 1
    for name in ("v1.0", "v1.1"):
        report = verify_release(store, name)
        assert report.ok, report.problems
        assert report.releases == 2 and report.objects.read == report.objects.objects
    assert logged(store) == [entry_id(s.document) for s in iter_releases(store)]


def test_the_same_again_is_the_same_release():
    store = filled(MemoryStore())
    first = publish(store)
    again = publish(store)
    assert (again.created, again.release) == (False, first.release)
    assert len(logged(store)) == 1
    store.put("em/s0/c/9/9", b"new")
    for name in ("v1.0", "V1.0"):
        with pytest.raises(ExistsError, match=r"release v1\.0 already"):
            publish(store, name)
    assert len(list(iter_releases(store))) == 1


@pytest.mark.parametrize("name", ["", "../x", "a/b", "v1@2", "-x", "a b", "x" * 101, "\n"])
def test_names_that_would_be_confused_are_refused(name):
    with pytest.raises(InputError, match="no name of a release"):
        publish(filled(MemoryStore()), name)


def test_a_pin_must_name_something():
    with pytest.raises(InputError, match="nothing at graphs"):
        publish(filled(MemoryStore()), pins=[("graph", "graphs", "1")])


def test_the_order_in_which_a_store_lists_does_not_matter():
    class Backwards(MemoryStore):
        def list(self, prefix="", /):
            return iter(sorted(super().list(prefix), reverse=True))

    found = {publish(filled(kind())).release.release.manifest for kind in (MemoryStore, Backwards)}
    assert len(found) == 1


def test_what_stopped_writers_left_is_not_published():
    store = filled(MemoryStore())
    store.put("em/s0/c/5.partial", b"x")
    store.put("em/.voxarium/ledger", b"x")
    assert publish(store).objects == len(CONTENT)


def test_a_dataset_that_changes_meanwhile_is_not_published():
    class Busy(MemoryStore):
        busy = False

        def get(self, key, /):
            if self.busy and key.startswith("em/s0"):
                self.put(f"em/s0/c/new{secrets.token_hex(4)}", b"x")
            return super().get(key)

    store = filled(Busy())
    store.busy = True
    with pytest.raises((ConflictError, StoreError)):
        publish(store)
    assert not list(iter_releases(store))


# -------------------------------------------------------------------------------------------------------- many at once
COMMIT = """
import secrets, sys
sys.path.insert(0, sys.argv[1])
from release_data import draft
from voxarium.archive.releases import Releases, open_dataset_store
releases = Releases(open_dataset_store(sys.argv[2], writable=True))
for i in range(int(sys.argv[4])):
    stored, made = releases.commit(draft(f"w{sys.argv[3]}-{i}", secrets.token_hex(16)))
    releases.complete(stored)
    print(made, stored.release.name, stored.digest)
"""


def all_there(store, acknowledged, *, with_log=True):
    assert len(acknowledged) == len(set(acknowledged)) == WRITERS * EACH
    found = list(iter_releases(store))
    assert {(s.release.name, s.digest) for s in found} == set(acknowledged)
    assert [s.release.sequence for s in found] == list(range(1, WRITERS * EACH + 1))
    assert [s.release.parent for s in found] == ["", *(s.digest for s in found[:-1])]
    assert len({s.release.name for s in found}) == len(found)
    if with_log:
        assert sorted(logged(store)) == sorted(entry_id(s.document) for s in found)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_processes_publish_into_local_files_and_nothing_is_lost(tmp_path):
    (tmp_path / "set").mkdir()
    command = [sys.executable, "-c", COMMIT, str(Path(__file__).parent), str(tmp_path / "set")]
    workers = [
        subprocess.Popen([*command, str(w), str(EACH)], stdout=subprocess.PIPE, text=True) for w in range(WRITERS)
    ]
    lines = [line.split() for w in workers for line in w.communicate(timeout=3000)[0].splitlines()]
    assert not any(w.returncode for w in workers)
    assert all(made == "True" for made, _, _ in lines)
    all_there(LocalStore(tmp_path / "set"), [(name, digest) for _, name, digest in lines])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_writers_publish_on_s3_and_nothing_is_lost(make_s3):
    acknowledged, errors = [], []

    def work(writer):
        releases = Releases(make_s3())
        try:
            for i in range(EACH):
                stored, made = releases.commit(draft(f"w{writer}-{i}", secrets.token_hex(16)))
                assert made
                acknowledged.append((stored.release.name, stored.digest))
        except (VoxariumError, AssertionError) as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(w,)) for w in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    all_there(make_s3(), acknowledged, with_log=False)  # the log on S3 has a test of its own


def test_of_writers_that_want_one_name_one_gets_it():
    for _ in range(10):
        store, made, refused, start = MemoryStore(), [], [], threading.Barrier(6)

        def work(i, store=store, made=made, refused=refused, start=start):
            start.wait()
            try:
                made.append(Releases(store).commit(draft("v1", secrets.token_hex(16), f"{i:064x}"))[0])
            except ExistsError:
                refused.append(i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(made), len(refused), len(list(iter_releases(store)))) == (1, 5, 1)


# ------------------------------------------------------------------------------------------------------------- stopping
def test_a_writer_stopped_at_any_call_leaves_a_whole_release_or_none_and_the_rerun_succeeds():
    """Every operation of the store in turn is the last one of the process, done or not."""
    counting = FaultStore(filled(MemoryStore()), [FaultRule(probability=0.0)])
    publish(counting)
    calls = counting._seen[0]
    assert calls > 20
    states = set()
    for kind in ("error", "lost-answer"):
        for nth in range(1, calls + 1):
            inner = filled(MemoryStore())
            fault = FaultStore(inner, [FaultRule(kind=kind, nth=nth, error=Stopped())])
            with contextlib.suppress(Stopped):
                publish(fault)
            found = list(iter_releases(inner))
            assert len(found) <= 1
            problems = kinds(inner) if found else {("none", "")}
            states.add(frozenset(kind for _, kind in problems))
            publish(inner)
            assert verify_release(inner, "v1.0").ok, (kind, nth)
            assert len(list(iter_releases(inner))) == len(logged(inner)) == 1
    assert states == {frozenset({""}), frozenset({"log-missing"}), frozenset()}, states


def test_errors_at_any_call_are_told_or_mended():
    counting = FaultStore(filled(MemoryStore()), [FaultRule(probability=0.0)])
    publish(counting)
    for kind in ("error", "lost-answer"):
        for nth in range(1, counting._seen[0] + 1):
            inner = filled(MemoryStore())
            fault = FaultStore(inner, [FaultRule(kind=kind, nth=nth)])
            try:
                publish(fault)
            except VoxariumError:
                publish(inner)
            assert verify_release(inner, "v1.0").ok, (kind, nth)
            assert len(list(iter_releases(inner))) == len(logged(inner)) == 1


def test_the_next_writer_logs_what_a_stopped_one_published():
    store = filled(MemoryStore())
    Releases(store).commit(draft("lost", "ab" * 16))  # its time is long past, and it was never logged
    assert ("releases/000001.json", "unlogged") in kinds(_with_log(store), "lost")
    publish(store)
    assert len(logged(store)) == 2


def _with_log(store):
    record(store, Activity(operation="ingest"))
    return store


def test_a_lost_answer_and_a_late_write_are_told_apart():
    class Late(MemoryStore):
        """Reports an error for the first document, and stores it when the next writer comes."""

        late = None

        def put_if_absent(self, key, data, /):
            if key == release_key(1) and self.late is None:
                self.late = key, bytes(data)
                raise StoreError("timed out", code=Code.STORE_UNWRITABLE, fix="wait")
            if self.late:
                super().put_if_absent(*self.late)
            return super().put_if_absent(key, data)

    store = Late()
    with pytest.raises(StoreError):
        Releases(store).commit(draft("a", "ab" * 16))
    stored, made = Releases(store).commit(draft("b", "cd" * 16))
    assert made and stored.release.sequence == 2
    stored, made = Releases(store).commit(draft("a", "ab" * 16))
    assert made and stored.release.sequence == 1


class Obstinate(MemoryStore):
    """Replaces objects although it is told not to."""

    def put_if_absent(self, key, data, /):
        self.put(key, data)
        return True


def test_a_store_that_replaces_what_it_should_leave_is_refused():
    store = filled(Obstinate())
    with pytest.raises(UnsupportedError, match="only where none is"):
        publish(store)
    assert not list(iter_releases(store))


def test_a_store_that_cannot_be_written_is_refused():
    class ReadOnly:
        concurrency, uri = 1, "x://"

        def get(self, key, /):
            return None

        get_ranges = stat = get

    with pytest.raises(UnsupportedError, match="cannot be written"):
        Releases(ReadOnly()).commit(draft("a", "ab" * 16))
    with pytest.raises(NotFoundError, match="nothing of it was published"):
        find_release(ReadOnly(), "a")


# ---------------------------------------------------------------------------------------------------------- tombstones
def test_a_withdrawn_release_stays_and_says_why():
    store = filled(MemoryStore())
    publish(store)
    with pytest.raises(InputError, match="without a reason"):
        withdraw_release(store, "v1.0", " ")
    tombstone, made = withdraw_release(store, "v1.0", "two slices were swapped", Agent("Ada"))
    assert made and tombstone.reason == "two slices were swapped"
    assert withdraw_release(store, "v1.0", "two slices were swapped")[1] is False
    with pytest.raises(ExistsError, match="swapped"):
        withdraw_release(store, "v1.0", "another reason")
    with pytest.raises(NotFoundError, match=r"no release v2.*"):
        withdraw_release(store, "v2", "x")
    assert len(logged(store, "tombstone")) == 1
    assert verify_release(store, "v1.0").ok
    store.put("releases/tombstones/000001.json", store.get("releases/tombstones/000001.json").replace(b"two", b"six"))
    assert {k for _, k in kinds(store)} == {"unlogged", "missing"}
    store.delete("releases/tombstones/000001.json")
    assert ("releases/tombstones/000001.json", "missing") in kinds(store)


# ----------------------------------------------------------------------------------------------------------- tampering
@pytest.fixture
def signed():
    """A dataset with two releases, its key, and the last checkpoint, kept elsewhere."""
    pytest.importorskip("cryptography", reason="signs")
    create_key("lab")
    store = filled(MemoryStore())
    record(store, Activity(operation="ingest"))
    publish(store, key=open_key("lab"))
    store.put("em/s0/c/9/9", b"new")
    last = publish(store, "v1.1", key=open_key("lab"))
    return store, [("kept", last.checkpoint)]


def problems(signed, name="v1.0"):
    store, kept = signed
    return kinds(store, name, kept=kept, keys=[public_key("lab")])


def test_what_was_signed_and_kept_is_said(signed):
    store, kept = signed
    report = verify_release(store, "v1.0", kept=kept, keys=[public_key("lab")])
    assert report.ok and report.kept and report.signed_by == ("lab",)
    assert not verify_release(store, "v1.0").kept
    json.dumps(report.to_json())


def test_swapped_objects_are_named(signed):
    store = signed[0]
    a, b = store.get("em/s0/c/1/0"), store.get("em/s0/c/1/1")
    store.put("em/s0/c/1/0", b)
    store.put("em/s0/c/1/1", a)
    assert problems(signed) == {("em/s0/c/1/0", "swapped"), ("em/s0/c/1/1", "swapped")}


def test_changed_cut_and_deleted_objects_are_named_also_copied_documents(signed):
    store = signed[0]
    store.put("em/s0/c/0/1", b"\xff" * 200)
    store.put("em/s0/c/2/0", b"x")
    store.delete("em/s0/c/2/1")
    copy = f"releases/objects/{sha256(CONTENT['dataset.json']).hexdigest()}"
    store.put(copy, store.get(copy).replace(b"Ada", b"Eve"))
    assert problems(signed) == {
        ("em/s0/c/0/1", "changed"),
        ("em/s0/c/2/0", "truncated"),
        ("em/s0/c/2/1", "missing"),
        ("dataset.json", "changed"),
    }


def test_a_manifest_that_was_rewritten_is_named(signed):
    store = signed[0]
    first, second = (s.release.manifest.sha256 for s in iter_releases(store))
    store.put(f"releases/manifests/{first}.parquet", store.get(f"releases/manifests/{second}.parquet"))
    assert problems(signed) == {(f"releases/manifests/{first}.parquet", "manifest")}
    store.delete(f"releases/manifests/{first}.parquet")
    assert problems(signed) == {(f"releases/manifests/{first}.parquet", "manifest")}


def rewrite(store, sequence, **changes):
    release = parse_release(store.get(release_key(sequence)), "x")
    store.put(release_key(sequence), dump_release(replace(release, **changes)))


def test_a_release_that_was_renamed_is_named(signed):
    store = signed[0]
    rewrite(store, 2, name="v2.0")
    found = problems(signed, "v2.0")
    assert {("releases/000002.json", "unlogged"), ("releases/000002.json", "missing")} <= found
    assert ("releases/", "missing") in problems(signed, "v1.1")


def test_a_document_that_was_rewritten_breaks_the_chain(signed):
    store = signed[0]
    rewrite(store, 1, license="CC0-1.0")
    assert {("releases/000001.json", "chain"), ("releases/000001.json", "unlogged")} <= problems(signed, "v1.1")


def test_numbers_that_were_exchanged_are_named(signed):
    store = signed[0]
    first, second = store.get(release_key(1)), store.get(release_key(2))
    store.put(release_key(1), second)
    store.put(release_key(2), first)
    assert {("releases/000001.json", "malformed"), ("releases/000002.json", "malformed")} <= problems(signed)


def test_a_removed_release_is_named(signed):
    store = signed[0]
    store.delete(release_key(1))
    assert ("releases/000001.json", "missing") in problems(signed, "v1.1")
    store.delete(release_key(2))
    assert ("releases/000002.json", "missing") in problems(signed, "v1.1")


def test_a_name_that_comes_twice_is_named(signed):
    store = signed[0]
    rewrite(store, 2, name="V1.0")
    assert ("releases/000002.json", "renamed") in problems(signed)


def _forged(store):
    """Publish the same names with other content, as an attacker with all rights but no key would."""
    for key, _ in list(store.list("")):
        if key.startswith(("releases/", "provenance-log/")):
            store.delete(key)
    store.put("em/s0/c/0/0", b"forged")
    record(store, Activity(operation="ingest"))
    publish(store)
    publish(store, "v1.1")


def test_a_history_that_was_made_up_anew_is_found_by_who_kept_the_checkpoint(signed):
    store, kept = signed
    _forged(store)
    assert {k for _, k in kinds(store, kept=kept)} == {"log-replaced"}
    assert "log-unsigned" in {k for _, k in kinds(store, keys=[public_key("lab")])}
    assert kinds(store) == set()  # nobody else can tell


def test_a_log_that_was_cut_off_is_found(signed):
    store, _ = signed
    entries = sorted(k for k, _ in store.list("provenance-log/entries"))
    store.delete(entries[-1])
    found = problems(signed)
    assert "log-truncated" in {k for _, k in found}
    assert ("releases/000002.json", "unlogged") in found


def test_a_log_that_was_continued_otherwise_is_found(signed):
    """A fork: the last entries are replaced by others that hang together."""
    store, kept = signed
    entries = sorted(k for k, _ in store.list("provenance-log/entries"))
    for key in entries[1:]:
        store.delete(key)
    record(store, Activity(operation="audit"))
    record(store, Activity(operation="audit"))
    assert "log-rewritten" in {k for _, k in kinds(store, kept=kept)}


def test_a_release_of_another_log_is_found():
    store = filled(MemoryStore())
    record(store, Activity(operation="ingest"))
    publish(store)
    for key, _ in list(store.list("provenance-log")):
        store.delete(key)
    Releases(store).complete(next(iter_releases(store)))
    assert ("provenance-log", "log-rewritten") in kinds(store)


def test_a_broken_history_is_never_signed(signed):
    store, _ = signed
    _forged(store)
    key, log = open_key("lab"), LogReader(store)
    entries = sorted(k for k, _ in store.list("provenance-log/entries"))
    store.put(entries[0], store.get(entries[0]).replace(b"ingest", b"import"))
    with pytest.raises(ChecksumError, match="not signed"):
        sign_checkpoint(log, key)


def test_levels_of_looking_at_objects():
    store = filled(MemoryStore())
    publish(store)
    store.put("em/s0/c/0/0", b"\xff" * len(CONTENT["em/s0/c/0/0"]))
    assert verify_release(store, "v1.0", VerifyOptions(level="size")).ok
    assert verify_release(store, "v1.0", with_objects=False).ok
    assert not verify_release(store, "v1.0").ok


# -------------------------------------------------------------------------------------------------------------- compare
def test_a_diff_lists_objects():
    store = filled(MemoryStore())
    publish(store)
    store.put("dataset.json", b"{}")
    store.put("em/s0/c/9/9", b"new")
    store.delete("notes/µ.txt")
    publish(store, "v1.1")
    found = diff_releases(store, "v1.0", "v1.1")
    assert [(o.key, o.before, o.after) for o in found.added] == [("em/s0/c/9/9", None, 3)]
    assert [(o.key, o.before) for o in found.removed] == [("notes/µ.txt", 0)]
    assert [(o.key, o.after) for o in found.changed] == [("dataset.json", 2)]
    assert found.same == len(CONTENT) - 2
    json.dumps(found.to_json())
    assert diff_releases(store, "v1.0", "v1.0").same == len(CONTENT)
