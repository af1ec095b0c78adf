"""Garbage collection: what is named stays, whatever happens; what is not goes when it is old by the store's clock."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from release_data import CONTENT, filled, publish

from voxarium.archive.log_reading import LogReader
from voxarium.archive.release_checks import verify_release
from voxarium.archive.releases import withdraw_release
from voxarium.archive.retention import GRACE, CollectOptions, collect, parse_duration
from voxarium.cli.main import app
from voxarium.core.release_store import open_release_store
from voxarium.errors import ChecksumError, Code, FormatError, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.wrapping import StoreWrapper
from voxarium.spec.release import DraftState, draft_key, dump_draft, release_key
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

DAY = 86400.0
OLD = "releases/objects/" + "ab" * 32


class Clocked(MemoryStore):
    """A store with a clock of its own."""

    now = 1e9

    def clock(self):
        return self.now


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def go(store, **options):
    return collect(store, CollectOptions(agent=None, **options))


def keys(found):
    return [d.key for d in found.objects]


def released(store=None):
    store = filled(Clocked() if store is None else store)
    publish(store)
    store.put("em/s0/c/9/9", b"new")
    store.put("dataset.json", b'{"license": "CC0-1.0"}')
    publish(store, "v1.1")
    return store


def with_leftovers(store):
    """Put leftovers of every kind into a store; return their keys."""
    left = {
        OLD: b"x" * 10,
        "releases/manifests/" + "ab" * 32 + ".parquet": b"y",
        "releases/pieces/" + "cd" * 32: b"z",
        "releases/.clock-1.tmp": b"",
        "em/s0/c/5.1b2c.partial": b"part",
        "em/s0/zarr.json.__lock": b"",
    }
    for key, data in left.items():
        store.put(key, data)
    return sorted(left)


def snapshot(store):
    return {k: store.get(k) for k, _ in store.list("")}


# ------------------------------------------------------------------------------------------------------ what is removed
def test_only_what_nothing_names_is_removed_and_only_when_asked():
    store = released()
    before = snapshot(store)
    left = with_leftovers(store)
    store.put("em/.voxarium/ledger.tmp", b"a job that may be resumed")
    store.now += 8 * DAY
    found = go(store)
    assert keys(found) == left and not found.applied and found.nbytes == 16 and found.young == 0
    assert set(left) <= set(snapshot(store))
    assert {d.kind for d in found.objects} == {"object", "manifest", "pieces", "temporary"}
    done = go(store, apply=True)
    assert keys(done) == left and done.applied
    after = snapshot(store)
    assert {k: v for k, v in after.items() if k in before} == before
    assert not set(left) & set(after) and "em/.voxarium/ledger.tmp" in after
    for name in ("v1.0", "v1.1"):
        assert verify_release(store, name).ok
    entry = next(a for a in LogReader(store).activities() if a.activity.operation == "collect").activity
    assert [a.address for a in entry.inputs] == left and entry.parameters["objects"] == 6
    assert keys(go(store, apply=True)) == []
    assert len([e for e in LogReader(store).entries() if e.operation == "collect"]) == 1


def test_what_is_young_by_the_clock_of_the_store_stays():
    store = released()
    left = with_leftovers(store)
    store.now += GRACE - 1
    assert (keys(go(store)), go(store).young) == ([], len(left))
    store.now += 1
    assert keys(go(store)) == left
    store.now -= 100 * DAY  # a store whose clock was put back: everything is from the future
    assert keys(go(store)) == []


@pytest.mark.parametrize("skew", [-400 * DAY, -3600, 3600, 400 * DAY])
def test_the_clock_of_this_machine_does_not_matter(skew, monkeypatch):
    store = released()
    left = with_leftovers(store)
    true = time.time

    class Skewed(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.fromtimestamp(true() + skew, tz)

    monkeypatch.setattr(time, "time", lambda: true() + skew)
    monkeypatch.setattr("voxarium.archive.releases.datetime", Skewed)
    monkeypatch.setattr("voxarium.archive.provenance.datetime", Skewed, raising=False)
    store.now += GRACE - 1
    assert keys(go(store, apply=True)) == []
    store.now += 2
    assert keys(go(store, apply=True)) == left


def test_local_files_have_their_ages_and_hidden_parts_too(tmp_path):
    store = released(LocalStore(tmp_path / "brain"))
    left = [*with_leftovers(store), ".voxarium-partial/1-a-0", "em/.voxarium-partial/1-b-0"]
    for key in left[-2:]:
        (tmp_path / "brain" / key).parent.mkdir(exist_ok=True)
        (tmp_path / "brain" / key).write_bytes(b"half")
    assert keys(go(store)) == []
    for key in left:
        past = time.time() - 8 * DAY
        os.utime(tmp_path / "brain" / key, (past, past))
    os.utime(tmp_path / "brain" / "em/zarr.json", (1, 1))
    assert keys(go(store)) == sorted(left)
    assert keys(go(store, apply=True)) == sorted(left)
    assert keys(go(store, grace=0.0)) == [] and verify_release(store, "v1.0").ok
    assert not [p for p in (tmp_path / "brain").rglob("*") if p.name.endswith((".tmp", ".partial"))]


def test_objects_in_buckets_have_the_ages_that_the_server_says(make_s3):
    store = released(make_s3())
    left = with_leftovers(store)
    assert keys(go(store)) == []
    found = go(store, grace=0.0, apply=True)
    assert keys(found) == left and abs(found.now - time.time()) < 600
    assert verify_release(make_s3(), "v1.0").ok and store.modified("nothing") is None


def test_superseded_states_of_drafts_go_and_the_newest_stays():
    store = released()
    for n in (1, 2, 3):
        state = DraftState(name="draft", sequence=n, draft="0" * 32, write_id="1" * 32, base="v1.0",
                           base_document="2" * 64, time="2026-11-26T06:30:00.000Z")  # fmt: skip
        store.put(draft_key("draft", n), dump_draft(state))
    store.now += 8 * DAY
    assert keys(go(store, apply=True)) == [draft_key("draft", 1), draft_key("draft", 2)]
    assert store.stat(draft_key("draft", 3)) is not None


# ------------------------------------------------------------------------------------------------------------ withdrawn
def test_objects_of_a_withdrawn_release_stay_unless_it_is_named_and_a_reason_given():
    store = released()
    store.now += 8 * DAY
    with pytest.raises(InputError, match="no release that was withdrawn"):
        go(store, withdrawn=["v1.1"], reason="x")
    withdraw_release(store, "v1.1", "wrong")
    assert keys(go(store, apply=True)) == []
    with pytest.raises(InputError, match="without a reason"):
        go(store, withdrawn=["v1.1"], apply=True)
    for wrong in ("v1.0", "v9"):
        with pytest.raises(InputError, match="withdrawn"):
            go(store, withdrawn=[wrong], reason="x")
    before = snapshot(store)
    found = go(store, withdrawn=["v1.1"], reason="a person asked for it", apply=True)
    assert "em/s0/c/9/9" in keys(found) and len(found.objects) == 2
    assert sorted(d.kind for d in found.objects) == ["object", "withdrawn"]  # a chunk, and the copy of dataset.json
    assert set(before) - set(snapshot(store)) == set(keys(found))
    assert verify_release(store, "v1.0").ok
    assert {(p.kind) for p in verify_release(store, "v1.1").problems} == {"missing"}
    entry = [a for a in LogReader(store).activities() if a.activity.operation == "collect"][-1].activity
    assert entry.note == "a person asked for it" and entry.parameters["withdrawn"] == ["v1.1"]


# --------------------------------------------------------------------------------------------------------------- safety
@pytest.mark.parametrize(
    ("key", "data"),
    [
        (release_key(2), b"{}"),
        ("releases/drafts/draft/000001.json", b"{}"),
        (release_key(4), None),  # a gap
    ],
)
def test_nothing_is_removed_while_a_document_cannot_be_read(key, data):
    store = released()
    with_leftovers(store)
    store.now += 8 * DAY
    store.put(key, store.get(release_key(2)) if data is None else data)
    before = snapshot(store)
    with pytest.raises((FormatError, ChecksumError, NotFoundError)):
        go(store, apply=True)
    assert snapshot(store) == before


def test_nothing_is_removed_while_a_manifest_is_missing_or_another():
    store = released()
    with_leftovers(store)
    store.now += 8 * DAY
    manifest = next(k for k, _ in store.list("releases/manifests") if "abab" not in k)
    data = store.get(manifest)
    for other in (None, b"x", data[:-1]):
        store.delete(manifest)
        if other is not None:
            store.put(manifest, other)
        before = snapshot(store)
        with pytest.raises((FormatError, NotFoundError)):
            go(store, apply=True)
        assert snapshot(store) == before


class Stopped(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("kind", ["error", "lost-answer", "stopped"])
def test_whenever_it_is_stopped_everything_named_is_there(kind):
    total = 1
    for n in range(1, 400):
        store = released()
        left = with_leftovers(store)
        store.now += 8 * DAY
        named = {k: v for k, v in snapshot(store).items() if k not in left}
        rule = FaultRule(nth=n, error=Stopped()) if kind == "stopped" else FaultRule(nth=n, kind=kind)
        faulty = FaultStore(store, [rule])
        with contextlib.suppress(Stopped, VoxariumError):
            go(faulty, apply=True)
        after = snapshot(store)
        assert {k: after.get(k) for k in named} == named
        assert verify_release(store, "v1.0", with_objects=False).ok or kind == "lost-answer"
        if not faulty.fired[0]:
            break
        assert [k for k in left if k not in after] == [] or any(
            e.operation == "collect" for e in LogReader(store).entries()
        )
        go(store, apply=True)
        assert not set(left) & set(snapshot(store))
        total += 1
    assert 30 < total < 399


def test_what_is_named_or_written_again_while_others_are_removed_stays():
    class Meanwhile(StoreWrapper):
        """Somebody publishes, and somebody writes an old object again, when the first object is removed."""

        done = False

        def around(self, operation, call):
            result = call()
            if operation.method == "delete" and "clock" not in operation.key and not self.done:
                self.done = True
                self.inner.put(OLD, b"x" * 10)
            return result

    store = released()
    left = with_leftovers(store)
    store.now += 8 * DAY
    found = go(Meanwhile(store), apply=True)
    assert set(left) - set(keys(found)) == {OLD} and store.get(OLD) is not None


def test_a_leftover_that_a_writer_finds_is_young_again():
    store = filled(Clocked())
    copy = "releases/objects/" + __import__("hashlib").sha256(CONTENT["dataset.json"]).hexdigest()
    store.put(copy, CONTENT["dataset.json"])
    store.now += 8 * DAY
    publish(store)
    assert store.modified(copy) == store.now
    store.now += DAY
    publish(store, "v1.1")
    assert store.modified(copy) == store.now - DAY  # named by a release: left alone


def test_a_copy_that_is_removed_while_a_release_is_made_is_stored_again():
    class Removing(StoreWrapper):
        def around(self, operation, call):
            result = call()
            if operation.method == "put_if_absent" and operation.key == release_key(1):
                for key, _ in list(self.inner.list("releases/objects")):
                    self.inner.delete(key)
                for key, _ in list(self.inner.list("releases/manifests")):
                    self.inner.delete(key)
            return result

    store = filled(Clocked())
    publish(Removing(store))
    assert verify_release(store, "v1.0").ok
    assert open_release_store(store, "v1.0").get("dataset.json") == CONTENT["dataset.json"]


def test_stores_that_do_not_tell_ages_are_refused():
    class Silent(StoreWrapper):
        modified = None

    inner = released()
    store = Silent(inner)
    with pytest.raises((UnsupportedError, TypeError)) as caught:
        go(store)
    assert getattr(caught.value, "code", Code.FEATURE_UNSUPPORTED) is Code.FEATURE_UNSUPPORTED


# ------------------------------------------------------------------------------------------------------------------ cli
def test_durations_are_read_and_others_refused():
    assert [parse_duration(t) for t in ("30s", "90m", "1.5h", "7d", "2w")] == [30, 5400, 5400, 604800, 1209600]
    for text in ("", "7", "-1d", "7 years", "1e9d", "nan"):
        with pytest.raises(InputError, match="no duration"):
            parse_duration(text)


def test_the_command_lists_first_and_removes_with_apply(tmp_path):
    store = released(LocalStore(tmp_path / "brain"))
    left = with_leftovers(store)
    run = CliRunner().invoke
    told = run(app, ["release", "gc", str(tmp_path / "brain")])
    assert told.exit_code == 0 and "would remove 0 objects" in told.output and "6 more are too young" in told.output
    shown = json.loads(run(app, ["release", "gc", str(tmp_path / "brain"), "--grace", "0s", "--json"]).output)
    assert [o["key"] for o in shown["objects"]] == left and shown["bytes"] == 16 and not shown["applied"]
    assert set(left) <= set(snapshot(store))
    done = run(app, ["release", "gc", str(tmp_path / "brain"), "--grace", "0s", "--apply", "--by", "Ada"])
    assert done.exit_code == 0 and "removed 6 objects" in done.output
    assert not set(left) & set(snapshot(store))
