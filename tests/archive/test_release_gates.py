"""What must hold before a release of ours: stopped at any system call, damaged anywhere, attacked by who can write."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from release_data import CONTENT, draft, filled, kinds, publish

from voxarium.archive import releases as releases_module
from voxarium.archive.checkpoints import sign_checkpoint
from voxarium.archive.keys import create_key, open_key, public_key
from voxarium.archive.log_reading import LogReader
from voxarium.archive.provenance import ProvenanceLog, record
from voxarium.archive.release_checks import verify_release
from voxarium.archive.releases import Releases
from voxarium.core.release_store import open_release_store
from voxarium.core.releases import iter_releases
from voxarium.errors import ChecksumError
from voxarium.model.provenance import Activity
from voxarium.spec.release import dump_release, entry_id, parse_release, release_key
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# ------------------------------------------------------------------------------------------------- every system call
class Stopped(BaseException):
    """The machine stops here."""


class Machine:
    """Counts the system calls that change files, stops at one of them, and does nothing any more from then on.

    What would be done by `finally` and `except` is not done either, as it would not when the power goes.
    """

    CALLS = ("write", "writev", "pwrite", "ftruncate", "fsync", "link", "rename", "replace", "unlink", "mkdir", "rmdir")

    def __init__(self, monkeypatch, nth=0, *, after=False):
        self.calls = 0
        self.stopped = False
        self._nth, self._after = nth, after
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))
        opening = os.open

        def opened(path, flags, *args, **options):
            changes = flags & (os.O_CREAT | os.O_TRUNC)
            return (
                self._call(opening, path, flags, *args, **options)
                if changes
                else opening(path, flags, *args, **options)
            )

        monkeypatch.setattr(os, "open", opened)

    def _wrapped(self, real: Callable) -> Callable:
        return lambda *args, **options: self._call(real, *args, **options)

    def _call(self, real, *args, **options):
        if self.stopped:
            raise Stopped
        self.calls += 1
        if self.calls != self._nth:
            return real(*args, **options)
        self.stopped = True
        if self._after:
            found = real(*args, **options)
            if real.__name__ == "open":
                os.close(found)
        raise Stopped


def dataset(folder):
    """Return a local dataset with one release and a change that the next one publishes."""
    store = filled(LocalStore(folder, durable=True))
    publish(store)
    store.put("em/s0/c/9/9", b"new")
    store.put("dataset.json", b'{"license": "CC0-1.0"}')
    return store


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["not-done", "done"])
def test_a_machine_that_stops_at_any_system_call_leaves_the_old_release_or_the_new_one(tmp_path, after):
    with pytest.MonkeyPatch.context() as patch:
        store = dataset(tmp_path / "count")
        machine = Machine(patch)
        publish(store, "v1.1")
    assert machine.calls > 40
    seen = set()
    for nth in range(1, machine.calls + 1):
        store = dataset(tmp_path / str(nth))
        with pytest.MonkeyPatch.context() as patch:
            stopping = Machine(patch, nth, after=after)
            with pytest.raises(Stopped):
                publish(store, "v1.1")
        assert stopping.stopped
        again = LocalStore(tmp_path / str(nth), durable=True)
        found = [s.release.name for s in iter_releases(again)]
        assert found in (["v1.0"], ["v1.0", "v1.1"]), nth
        seen.add(len(found))
        assert {k for _, k in kinds(again)} <= {"unlogged"}, nth
        for name in found:  # whole, readable, as published
            view = open_release_store(again, name, verify=True)
            assert all(view.get(key) is not None for key, _ in view.list(""))
        publish(again, "v1.1")
        for name in ("v1.0", "v1.1"):
            assert verify_release(again, name).ok, nth
        assert [s.release.name for s in iter_releases(again)] == ["v1.0", "v1.1"]
        assert sum(e.operation == "publish" for e in LogReader(again).entries()) == 2
    assert seen == {1, 2}


def test_everything_is_on_the_disk_before_the_document_gets_its_name(tmp_path, monkeypatch):
    """A power cut keeps what was flushed: objects and manifest first, and the document before it appears."""
    store = dataset(tmp_path / "set")
    flushed, linked, opened = set(), [], {}
    real = {name: getattr(os, name) for name in ("open", "fsync", "link")}

    def opening(path, flags, *args, **options):
        fd = real["open"](path, flags, *args, **options)
        opened[fd] = os.fspath(path)
        return fd

    def linking(source, target, **options):
        linked.append((target, source in flushed, len(linked)))
        return real["link"](source, target, **options)

    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "fsync", lambda fd: (flushed.add(opened[fd]), real["fsync"](fd))[1])
    monkeypatch.setattr(os, "link", linking)
    publish(store, "v1.1")
    order = [Path(target).relative_to(tmp_path / "set").as_posix() for target, _, _ in linked]
    assert all(done for _, done, _ in linked), "flushed before it appears"
    document = order.index("releases/000002.json")
    assert all(
        order.index(key) < document for key in order if key.startswith(("releases/manifests/", "releases/objects/"))
    )
    assert all(i > document for i, key in enumerate(order) if key.startswith("provenance-log/entries/"))


# --------------------------------------------------------------------------------------------------- damage to anything
@pytest.fixture
def signed():
    """A dataset with two releases, its key, and the last checkpoint, kept elsewhere."""
    pytest.importorskip("cryptography", reason="signs")
    create_key("lab")
    store = filled(MemoryStore())
    record(store, Activity(operation="ingest"))
    publish(store, key=open_key("lab"))
    store.put("em/s0/c/9/9", b"new")
    return store, publish(store, "v1.1", key=open_key("lab")).checkpoint


def named(store, checkpoint, name):
    return kinds(store, name, kept=[("kept", checkpoint)], keys=[public_key("lab")])


def copied(store):
    return MemoryStore({key: store.get(key) for key, _ in store.list("")})


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGE = {
    "flip": lambda data: flipped(data) if data else b"x",
    "truncate": lambda data: data[: len(data) // 2] if data else b"x",
    "empty": lambda data: b"" if data else b"x",
    "extend": lambda data: data + b"\0",
    "delete": lambda data: None,
}


def is_said(store, checkpoint, key):
    """Tell whether a check of the releases names an object, or what it is part of."""
    said = {k for name in ("v1.0", "v1.1") for k, _ in named(store, checkpoint, name)}
    if key.startswith("releases/objects/"):  # problems name the object whose content is kept there
        digest = key.rpartition("/")[2]
        return any(sha256(data).hexdigest() == digest and k in said for k, data in CONTENT.items()) or key in said
    if key.startswith("provenance-log/"):
        return any(k.startswith("provenance-log") for k in said)
    return key in said


def all_keys():
    store = filled(MemoryStore())
    record(store, Activity(operation="ingest"))
    return len(list(store.list("")))


@pytest.mark.parametrize("how", DAMAGE)
def test_whatever_is_damaged_is_named(signed, how):
    """Objects, kept documents, manifests, releases, entries of the log: each in turn."""
    store, checkpoint = signed
    harmless = set()
    for key, _ in list(store.list("")):
        damaged = copied(store)
        data = DAMAGE[how](store.get(key))
        damaged.delete(key) if data is None else damaged.put(key, data)
        if not is_said(damaged, checkpoint, key):
            harmless.add(key.rpartition("/")[0] or key)
    # The documents of the dataset may change: releases have copies of theirs. Signed checkpoints that lie beside the
    # log are for convenience: those that count are kept elsewhere. The empty object shows that stores obey.
    assert harmless <= {"dataset.json", "em/labels", "provenance-log", "provenance-log/checkpoints", "releases/objects"}
    for name in ("v1.0", "v1.1"):
        assert named(store, checkpoint, name) == set()


def test_whatever_is_exchanged_is_named(signed):
    """Every two objects of one kind: chunks, manifests, documents, entries of the log."""
    store, checkpoint = signed
    groups = ("em/s0/c/", "releases/manifests/", "releases/0", "provenance-log/entries/", "provenance-log/payloads/")
    for group in groups:
        keys = [key for key, _ in store.list("") if key.startswith(group)]
        assert len(keys) >= 2, group
        for a, b in itertools.combinations(keys, 2):
            changed = copied(store)
            changed.put(a, store.get(b))
            changed.put(b, store.get(a))
            assert is_said(changed, checkpoint, a) and is_said(changed, checkpoint, b), (a, b)


# ---------------------------------------------------------------------------------------------------------- clocks
@pytest.mark.parametrize("hours", [-1, 1])
def test_writers_whose_clocks_differ_by_an_hour_lose_nothing(monkeypatch, hours):
    """One of two writers is early or late; both publish in turn, and each release is logged once."""
    from datetime import datetime, timedelta

    real = releases_module.datetime

    class Shifted(datetime):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + timedelta(hours=hours)

    store = filled(MemoryStore())
    for i in range(6):
        with monkeypatch.context() as patch:
            if i % 2:
                patch.setattr(releases_module, "datetime", Shifted)
            publish(store, f"v{i}")
            # A release that the other writer has just committed, and will log in a moment.
            lost, _ = Releases(store).commit(draft(f"w{i}", f"{i:032x}"))
        publish(store, f"x{i}")
        Releases(store).complete(lost)
    found = list(iter_releases(store))
    logged = [e.write_id for e in LogReader(store).entries() if e.operation == "publish"]
    assert len(found) == 18 and sorted(logged) == sorted(entry_id(s.document) for s in found)
    assert verify_release(store, "x5").ok


# ------------------------------------------------------------------------------------------------------------ replay
def merkle(row):
    """RFC 6962, written anew."""
    if not row:
        return sha256(b"").digest()
    if len(row) == 1:
        return row[0]
    k = 1 << ((len(row) - 1).bit_length() - 1)
    return sha256(b"\1" + merkle(row[:k]) + merkle(row[k:])).digest()


def test_replaying_the_log_from_zero_gives_the_digests_of_all_releases():
    store = filled(MemoryStore())
    record(store, Activity(operation="ingest"))
    for i in range(5):
        store.put(f"em/s0/c/8/{i}", bytes([i]) * 9)
        publish(store, f"v{i}")
        record(store, Activity(operation="audit"))
    lines = [line.data for line in ProvenanceLog(store).lines()]
    entries = list(ProvenanceLog(store).entries())
    leaves = [sha256(b"\0" + line).digest() for line in lines]
    replayed = {}
    previous = ""
    for i, entry in enumerate(entries):  # from zero, believing nothing but the entries
        assert entry.sequence == i and entry.previous == previous
        previous = leaves[i].hex()
        if entry.operation == "publish":
            activity = LogReader(store).recorded(entry).activity
            replayed[activity.parameters["name"]] = (activity.outputs[0].digest, activity.inputs[0].digest, i)
    for stored in iter_releases(store):
        document, manifest, at = replayed.pop(stored.release.name)
        assert document == f"sha256:{sha256(store.get(stored.key)).hexdigest()}"
        assert manifest == f"manifest-root-sha256:{stored.release.manifest.sha256}"
        state = stored.release.log
        assert state.size <= at and state.root == merkle(leaves[: state.size]).hex()
    assert not replayed


# ------------------------------------------------------------------------------------------------------------ attackers
def rebuilt(store, *, without=(), renamed=None):
    """Make up a history that hangs together, as an attacker would who can write everything and has no key.

    Releases are published anew from what now lies in the dataset, with times, names and notes as they were.
    """
    found = list(iter_releases(store))
    for key, _ in list(store.list("")):
        if key.startswith(("releases/", "provenance-log/")):
            store.delete(key)
    record(store, Activity(operation="ingest"))
    added = store.get("em/s0/c/9/9")
    for stored in found:
        name = (renamed or {}).get(stored.release.name, stored.release.name)
        if name in without:
            continue
        store.delete("em/s0/c/9/9") if stored.release.sequence == 1 else store.put("em/s0/c/9/9", added)
        publish(store, name, note=stored.release.note)


def swap_objects(store):
    a, b = store.get("em/s0/c/1/0"), store.get("em/s0/c/1/1")
    store.put("em/s0/c/1/0", b)
    store.put("em/s0/c/1/1", a)
    rebuilt(store)


def rewrite_manifest(store):
    store.put("em/s0/c/2/0", b"other" * 40)
    rebuilt(store)


def truncate_log(store):
    """Remove the second release with all that tells of it, signed checkpoints too."""
    entries = sorted(k for k, _ in store.list("provenance-log/entries"))
    stored = list(iter_releases(store))[-1]
    kept = stored.release.log.size
    log = LogReader(store)
    payloads = [log.payload_key(e.write_id) for e in list(log.entries())[kept:]]
    for key in (*entries[kept:], *payloads, stored.key, f"releases/manifests/{stored.release.manifest.sha256}.parquet"):
        store.delete(key)
    for key, _ in list(store.list("provenance-log/checkpoints")):
        store.delete(key)
    store.delete("provenance-log/checkpoint.txt")


def fork_log(store):
    """Go on from the first release in another way."""
    truncate_log(store)
    store.put("em/s0/c/9/9", b"other")
    record(store, Activity(operation="audit"))
    publish(store, "v1.1")


def rename_release(store):
    rebuilt(store, renamed={"v1.1": "v2.0"})


def rewrite_document(store):
    """Change the licence of the first release, and all documents and entries after it."""
    first = parse_release(store.get(release_key(1)), "x")
    rebuilt(store)
    from dataclasses import replace

    again = parse_release(store.get(release_key(1)), "x")
    store.put(release_key(1), dump_release(replace(again, license="CC0-1.0", time=first.time)))


ATTACKS = (swap_objects, rewrite_manifest, truncate_log, fork_log, rename_release, rewrite_document)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda f: f.__name__)
def test_who_kept_the_last_signed_checkpoint_notices(signed, attack):
    store, checkpoint = signed
    attack(store)
    for name in ("v1.0", "v1.1"):
        report = verify_release(store, name, kept=[("kept", checkpoint)], keys=[public_key("lab")])
        assert not report.ok and any(p.kind.startswith("log-") for p in report.problems), name


@pytest.mark.parametrize("attack", ATTACKS[:-1], ids=lambda f: f.__name__)
def test_the_attacks_are_good_ones(signed, attack, tmp_path, monkeypatch):
    """They leave a dataset in which nothing is wrong for who has no checkpoint and no key: the test above means it."""
    store, _ = signed
    attack(store)
    monkeypatch.setenv("VOXARIUM_KEYS", str(tmp_path / "another machine"))
    names = [s.release.name for s in iter_releases(store)]
    assert names and all(kinds(copied(store), name) == set() for name in names)


@pytest.mark.parametrize("attack", [truncate_log, fork_log], ids=lambda f: f.__name__)
def test_the_owner_does_not_sign_what_an_attacker_left_of_a_log(signed, attack):
    """On the machine that signed before, a later checkpoint would vouch for the attacker's history."""
    store, _ = signed
    attack(store)
    for _ in range(3):
        record(store, Activity(operation="audit"))
    with pytest.raises(ChecksumError, match="not signed"):
        sign_checkpoint(LogReader(store), open_key("lab"))
