"""The log: nobody's entry is lost or doubled, nothing that stops a writer breaks it, every change is named."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest

from voxarium.archive.log_checks import check_log
from voxarium.archive.log_reading import LogReader
from voxarium.archive.provenance import ProvenanceLog, open_log, record
from voxarium.archive.redaction import remove_payloads
from voxarium.errors import (
    ChecksumError,
    Code,
    ConflictError,
    FormatError,
    InputError,
    NotFoundError,
    StoreError,
    UnsupportedError,
    VoxariumError,
)
from voxarium.model.protocols import ReadableStore
from voxarium.model.provenance import Activity, Agent, Artifact
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

WRITERS, APPENDS = 8, 100


def activity(text="x", **more):
    return Activity(operation="convert", note=text, agent=Agent("Ada"), **more)


def filled(store, count=5):
    log = ProvenanceLog(store)
    for i in range(count):
        log.append(activity(f"n{i}", outputs=[Artifact(f"em/s{i}", size=i)]))
    return log


def notes(log):
    return [a.activity.note for a in log.activities()]


def check(store, **options):
    return check_log(LogReader(store), **options)


# --------------------------------------------------------------------------------------------------------- adding
def test_what_was_done_can_be_read_in_order(tmp_path):
    log = filled(LocalStore(tmp_path), 3)
    assert notes(open_log(tmp_path)) == ["n0", "n1", "n2"]
    assert [a.activity.outputs for a in log.activities()][2] == (Artifact("em/s2", size=2),)
    entries = list(log.entries())
    assert [e.sequence for e in entries] == [0, 1, 2]
    assert {e.log for e in entries} == {entries[0].write_id}
    report = check(LocalStore(tmp_path))
    assert report.ok and (report.size, report.details, report.leftovers) == (3, 9, ())


def test_an_entry_itself_tells_nothing_of_who_what_and_why(tmp_path):
    record(tmp_path, activity("a secret", inputs=[Artifact("s3://patient-7/raw")], parameters={"knife": 3}))
    line = (tmp_path / "provenance-log/entries/000000000000.jsonl").read_text()
    assert not [word for word in ("secret", "Ada", "patient", "knife") if word in line]


WRITER = """
import sys
from voxarium.archive.provenance import open_log
from voxarium.model.provenance import Activity
log = open_log(sys.argv[1], writable=True)
for i in range(int(sys.argv[3])):
    print(sys.argv[2], log.append(Activity(operation="audit", note=f"{sys.argv[2]}-{i}")).write_id)
"""


def test_eight_processes_add_to_one_log_of_local_files_and_nothing_is_lost(tmp_path):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(w), str(APPENDS)], stdout=subprocess.PIPE, text=True
        )
        for w in range(WRITERS)
    ]
    acknowledged = [tuple(line.split()) for w in workers for line in w.communicate(timeout=200)[0].splitlines()]
    assert not any(w.returncode for w in workers)
    _all_there(LocalStore(tmp_path), acknowledged)


def _all_there(store, acknowledged):
    assert len(acknowledged) == len(set(acknowledged)) == WRITERS * APPENDS
    entries = list(LogReader(store).entries())
    assert sorted(e.write_id for e in entries) == sorted(w for _, w in acknowledged)
    report = check(store)
    assert report.ok and report.size == WRITERS * APPENDS and not report.leftovers


@pytest.mark.slow
def test_eight_writers_add_to_one_log_on_s3_and_nothing_is_lost(make_s3):
    acknowledged, errors = [], []

    def work(writer):
        log = ProvenanceLog(make_s3())
        try:
            for _ in range(APPENDS):
                acknowledged.append((writer, log.append(Activity(operation="audit")).write_id))
        except VoxariumError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(w,)) for w in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    _all_there(make_s3(), acknowledged)


def test_threads_may_share_a_log():
    store = MemoryStore()
    log = ProvenanceLog(store)
    threads = [threading.Thread(target=lambda: [log.append(activity()) for _ in range(20)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert check(store).ok and check(store).size == 100


def test_the_same_write_id_adds_nothing_twice():
    store = MemoryStore()
    first = record(store, activity(), write_id="ab" * 16)
    record(store, activity())
    assert record(store, activity(), write_id="ab" * 16) == first
    assert check(store).size == 2
    with pytest.raises(InputError, match="write_id"):
        record(store, activity(), write_id="../x")


def test_the_same_write_id_at_the_same_time_adds_one_entry():
    for _ in range(20):
        store, found, start = MemoryStore(), [], threading.Barrier(4)

        def work(store=store, found=found, start=start):
            log = ProvenanceLog(store)
            start.wait()
            found.append(log.append(activity("same"), write_id="ab" * 16))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4 and len({e.time + str(e.sequence) for e in found}) == 1
        assert check(store).ok and check(store).size == 1


def test_a_write_id_stands_for_one_operation_only():
    store = MemoryStore()
    fault = FaultStore(store, [FaultRule(methods=frozenset({"put_if_absent"}), keys="*/entries/*")])
    with pytest.raises(StoreError):
        record(fault, activity("one"), write_id="ab" * 16)
    with pytest.raises(ConflictError, match="other details"):
        record(store, activity("another"), write_id="ab" * 16)
    assert record(store, activity("one"), write_id="ab" * 16).sequence == 0
    assert check(store).ok and not check(store).leftovers


class Late(MemoryStore):
    """Reports an error for the first entry, and stores it when the next writer has looked for it in vain."""

    late = None

    def put_if_absent(self, key, data, /):
        if "/entries/" in key and self.late is None:
            self.late = key, bytes(data)
            raise StoreError("timed out", code=Code.STORE_UNWRITABLE, fix="wait")
        if self.late:
            super().put_if_absent(*self.late)
        return super().put_if_absent(key, data)


def test_a_write_that_arrives_after_its_writer_gave_up_is_not_doubled():
    store = Late()
    with pytest.raises(StoreError):
        record(store, activity("mine"), write_id="ab" * 16)
    assert check(store).size == 0
    record(store, activity("mine"), write_id="ab" * 16)
    record(store, activity("next"))
    assert check(store).ok and notes(ProvenanceLog(store)) == ["mine", "next"]


class Obstinate(MemoryStore):
    """Replaces objects although it is told not to."""

    def put_if_absent(self, key, data, /):
        self.put(key, data)
        return True


def test_a_store_that_replaces_what_it_should_leave_is_refused():
    with pytest.raises(UnsupportedError, match="only where none is"):
        record(Obstinate(), activity())
    store = Obstinate()
    source = _objects(filled(MemoryStore(), 2).store)
    for key, data in source.items():
        store.put(key, data)
    with pytest.raises(UnsupportedError, match="only where none is"):
        record(store, activity())
    assert _objects(store).items() >= source.items()


class Unlisted:
    """A store that can be read, and neither listed nor written: a plain web server."""

    concurrency = 4
    uri = "https://example.org/set"

    def __init__(self, inner):
        self.get, self.get_ranges, self.stat = inner.get, inner.get_ranges, inner.stat


def test_a_log_behind_a_web_server_is_read_and_checked():
    store = Unlisted(filled(MemoryStore(), 9).store)
    assert isinstance(store, ReadableStore)
    log = ProvenanceLog(store)
    assert notes(log) == [f"n{i}" for i in range(9)]
    assert check_log(log).size == 9
    with pytest.raises(UnsupportedError, match="cannot be written"):
        log.append(activity())


def test_segments_of_several_entries_are_read():
    store = filled(MemoryStore(), 5).store
    objects = _objects(store)
    keys = [f"provenance-log/entries/{i:012d}.jsonl" for i in range(5)]
    joined = MemoryStore({k: v for k, v in objects.items() if k not in keys[2:4]})
    joined.put(keys[1], b"".join(objects[k] for k in keys[1:4]))
    assert notes(ProvenanceLog(joined)) == [f"n{i}" for i in range(5)]
    ProvenanceLog(joined).append(activity("n5"))
    assert check(joined).ok and check(joined).size == 6


def test_a_dataset_without_a_log_says_so(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        open_log(tmp_path).existing()
    assert caught.value.code == Code.LOG_MISSING
    with pytest.raises(NotFoundError):
        open_log(tmp_path / "nothing", writable=True)


# ------------------------------------------------------------------------------------------------------- accidents
@pytest.mark.parametrize("kind", ["error", "lost-answer"])
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("before", [0, 3])
def test_a_writer_that_is_stopped_at_any_call_leaves_a_valid_log(kind, killed, before):
    """Killed, or told of an error: what was acknowledged is there, once; what was not is there whole or not at all."""
    nth = 0
    while True:
        nth += 1
        store = filled(MemoryStore(), before).store
        fault = FaultStore(store, [FaultRule(kind=kind, nth=nth, error=KeyboardInterrupt() if killed else None)])
        done = True
        try:
            entry = ProvenanceLog(fault).append(activity("mine"))
        except (KeyboardInterrupt, StoreError):
            done = False
        finished = not any(fault.fired)
        report = check(store)
        assert report.ok, report.problems
        found = notes(ProvenanceLog(store))
        assert found[:before] == [f"n{i}" for i in range(before)]
        assert found[before:] in (["mine"], []) and (found[before:] or not done)
        if done:
            assert entry.sequence == before
        ProvenanceLog(store).append(activity("next"))
        assert check(store).ok
        if finished:
            break
    assert nth > 3


@pytest.mark.parametrize("seed", range(6))
def test_writers_on_a_store_that_keeps_failing_never_break_the_log(seed):
    store = MemoryStore()
    acknowledged = []

    def work(writer):
        rules = [FaultRule(kind="lost-answer", probability=0.1), FaultRule(kind="error", probability=0.1)]
        fault = FaultStore(store, rules, seed=seed * 10 + writer)
        log = ProvenanceLog(fault)
        for i in range(15):
            try:
                log.append(activity(f"{writer}-{i}"))
            except StoreError:
                continue
            acknowledged.append(f"{writer}-{i}")

    threads = [threading.Thread(target=work, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = notes(ProvenanceLog(store))
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))
    assert check(store).ok


class Hesitant(MemoryStore):
    """Says once for each object that it exists already: S3 does so when two requests for one key overlap."""

    def __init__(self):
        super().__init__()
        self.refused = set()

    def put_if_absent(self, key, data, /):
        if key not in self.refused:
            self.refused.add(key)
            return False
        return super().put_if_absent(key, data)


def test_a_refusal_that_leaves_nothing_behind_is_tried_again():
    store = Hesitant()
    assert [record(store, activity(str(i))).sequence for i in range(3)] == [0, 1, 2]
    assert check(store).ok and check(store).size == 3


class Full(MemoryStore):
    """Always says that the object exists, and never has it."""

    def put_if_absent(self, key, data, /):
        return False


def test_retries_are_bounded(monkeypatch):
    monkeypatch.setattr("voxarium.archive.provenance._MOST_ATTEMPTS", 5)
    with pytest.raises(ConflictError) as caught:
        record(Full(), activity())
    assert caught.value.code == Code.LOG_BUSY


@pytest.mark.parametrize("after", [0.7, 0.9, 1.1])
def test_killed_processes_leave_a_valid_log_with_everything_they_acknowledged(tmp_path, after):
    workers = [
        subprocess.Popen(
            [sys.executable, "-u", "-c", WRITER, str(tmp_path), str(w), "100000"], stdout=subprocess.PIPE, text=True
        )
        for w in range(3)
    ]
    while not (tmp_path / "provenance-log/entries/000000000001.jsonl").exists():
        assert all(w.poll() is None for w in workers)
        time.sleep(0.01)
    time.sleep(after - 0.7)
    for worker in workers:
        worker.kill()
    acknowledged = {
        line.split()[1] for w in workers for line in w.communicate()[0].splitlines() if len(line.split()[-1]) == 32
    }
    report = check(LocalStore(tmp_path))
    assert report.ok, report.problems
    assert acknowledged <= {e.write_id for e in open_log(tmp_path).entries()}
    record(tmp_path, activity("after"))
    assert check(LocalStore(tmp_path)).size == report.size + 1


def test_what_a_stopped_writer_leaves_is_named_and_harmless():
    store = filled(MemoryStore(), 2).store
    fault = FaultStore(store, [FaultRule(methods=frozenset({"put_if_absent"}), nth=2)])
    with pytest.raises(StoreError):
        record(fault, activity())
    report = check(store)
    assert report.ok and len(report.leftovers) == 1 and "/payloads/" in report.leftovers[0]


def test_a_corrupt_end_is_not_written_over(tmp_path):
    filled(LocalStore(tmp_path), 3)
    last = tmp_path / "provenance-log/entries/000000000002.jsonl"
    last.write_bytes(last.read_bytes()[:-9])
    with pytest.raises(FormatError, match="cut off"):
        record(tmp_path, activity())
    assert not (tmp_path / "provenance-log/entries/000000000003.jsonl").exists()


# -------------------------------------------------------------------------------------------------------- tampering
def _objects(store):
    return {key: store.get(key) for key, _ in store.list()}


def _key(i):
    return f"provenance-log/entries/{i:012d}.jsonl"


@pytest.mark.parametrize("at", range(6))
def test_a_flipped_bit_anywhere_in_an_entry_is_found_and_the_entry_named(at):
    objects = _objects(filled(MemoryStore(), 6).store)
    line = objects[_key(at)]
    for position in range(0, len(line), 7):
        store = MemoryStore(objects)
        changed = bytearray(line)
        changed[position] ^= 1 << position % 8
        store.put(_key(at), bytes(changed))
        report = check(store)
        if at == 5:  # nothing continues the last entry: only a checkpoint, or its details, can tell
            assert report.ok or {p.sequence for p in report.problems} <= {4, 5}
            continue
        assert not report.ok
        assert report.problems[0].sequence == at, (position, report.problems[0])
        assert report.size == at


def test_removed_exchanged_and_added_entries_are_named():
    objects = _objects(filled(MemoryStore(), 6).store)
    assert _first({k: v for k, v in objects.items() if k != _key(2)}) == ("missing", 2)
    assert _first({k: v for k, v in objects.items() if k != _key(0)}) == ("missing", 0)
    assert _first(objects | {_key(2): objects[_key(3)], _key(3): objects[_key(2)]}) == ("misplaced", 2)
    assert _first(objects | {_key(2): objects[_key(2)] + objects[_key(3)]}) == ("extra", 3)
    assert _first(objects | {_key(4): b""}) == ("malformed", 4)
    assert _first(objects | {_key(4): b"junk\n"}) == ("malformed", 4)
    other = _objects(filled(MemoryStore(), 6).store)
    assert _first(objects | {_key(3): other[_key(3)]}) == ("foreign", 3)


def _first(objects):
    report = check(MemoryStore(objects))
    return report.problems[0].kind, report.problems[0].sequence


def test_an_entry_written_anew_with_the_right_form_is_named():
    objects = _objects(filled(MemoryStore(), 6).store)
    for at in range(5):
        document = json.loads(objects[_key(at)])
        forged = json.dumps(document | {"operation": "audit"}, separators=(",", ":"), sort_keys=True) + "\n"
        assert _first(objects | {_key(at): forged.encode()}) == ("changed", at)
        if at:
            forged = json.dumps(document | {"previous": "ab" * 32}, separators=(",", ":"), sort_keys=True) + "\n"
            assert _first(objects | {_key(at): forged.encode()}) == ("changed", at)


def test_changed_and_missing_details_are_named():
    log = filled(MemoryStore(), 3)
    key = log.payload_key(list(log.entries())[1].write_id)
    objects = _objects(log.store)
    changed = objects | {key: objects[key].replace(b'"n1"', b'"n9"')}
    assert _first(changed) == ("payload-changed", 1)
    assert _first(objects | {key: b"junk"}) == ("payload-changed", 1)
    assert _first({k: v for k, v in objects.items() if k != key}) == ("payload-missing", 1)
    with pytest.raises(ChecksumError):
        notes(ProvenanceLog(MemoryStore(changed)))


def test_objects_that_are_too_large_are_not_read():
    class Huge(MemoryStore):
        def stat(self, key, /):
            found = super().stat(key)
            return found and type(found)(2**62, found.generation)

        def get(self, key, /):
            raise MemoryError

    report = check(Huge(_objects(filled(MemoryStore(), 2).store)))
    assert report.problems[0].kind == "malformed"


# -------------------------------------------------------------------------------------------------------- redaction
def test_details_can_be_removed_and_the_log_still_holds():
    store = filled(MemoryStore(), 3).store
    log = ProvenanceLog(store)
    entry = remove_payloads(log, 1, ["agent", "outputs"], reason="asked to", agent=Agent("Curator"))
    assert entry.removal.sequence == 1 and entry.sequence == 3
    second = list(log.activities())[1]
    assert second.activity.agent is None and second.removed == ("agent", "outputs")
    assert second.activity.note == "n1"
    report = check(store)
    assert report.ok and (report.size, report.removed, report.details) == (4, 2, 9)
    assert remove_payloads(log, 1, ["agent"]) is None
    remove_payloads(log, 1, ["note"])
    assert store.get(log.payload_key(list(log.entries())[1].write_id)) is None
    assert check(store).ok
    assert not [k for k, v in _objects(store).items() if b'"n1"' in v]


def test_what_is_not_there_cannot_be_removed():
    log = filled(MemoryStore(), 2)
    for sequence, names in ((5, ["agent"]), (-1, ["agent"]), (0, ["inputs"]), (0, [])):
        with pytest.raises(InputError):
            remove_payloads(log, sequence, names)
    assert check(log.store).size == 2


@pytest.mark.parametrize("killed", [False, True])
def test_a_removal_that_is_stopped_at_any_call_is_finished_by_doing_it_again(killed):
    nth, finished = 0, False
    while not finished:
        nth += 1
        store = filled(MemoryStore(), 2).store
        fault = FaultStore(store, [FaultRule(nth=nth, error=KeyboardInterrupt() if killed else None)])
        try:
            remove_payloads(ProvenanceLog(fault), 0, ["note"])
        except (KeyboardInterrupt, StoreError):
            assert {p.kind for p in check(store).problems} <= {"payload-remains"}
        finished = not any(fault.fired)
        remove_payloads(ProvenanceLog(store), 0, ["note"])
        assert check(store).ok and check(store).removed == 1
        assert sum(e.removal is not None for e in ProvenanceLog(store).entries()) == 1


# ----------------------------------------------------------------------------------------------------------- replay
def test_replaying_from_zero_gives_the_digests_that_were_noted(tmp_path):
    store = LocalStore(tmp_path)
    noted = []
    for i in range(7):
        record(store, activity(str(i)))
        report = check(store)
        noted.append((report.size, report.head, report.root))
    copy = MemoryStore(_objects(store))
    lines = list(LogReader(copy).lines())
    for size, head, root in noted:
        part = MemoryStore({line.key: line.data + b"\n" for line in lines[:size]})
        again = check(part, details=False)
        assert (again.size, again.head, again.root) == (size, head, root)
