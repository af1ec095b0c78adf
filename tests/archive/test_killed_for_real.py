"""Processes that publish are killed, for real, at every step; and power cuts keep only what was flushed.

A process that has imported everything forks for each try, so that hundreds of them take seconds.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from release_data import filled, publish

from voxarium.archive.datasets import create_dataset, open_dataset
from voxarium.archive.log_reading import LogReader
from voxarium.archive.provenance import record
from voxarium.archive.release_checks import verify_release
from voxarium.archive.retention import CollectOptions, collect
from voxarium.core.release_store import open_release_store
from voxarium.core.releases import iter_releases
from voxarium.model.provenance import Activity
from voxarium.spec.dataset_document import DatasetDocument
from voxarium.stores.local import PARTIAL_FOLDER, LocalStore
from voxarium.stores.objects import ObjectStore

KEYS = {"access_key_id": "me", "secret_access_key": "s3cr3t", "region": "us-east-1"}

SCRIPT = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
from release_data import publish
from voxarium.model.wrapping import StoreWrapper
from voxarium.stores.local import LocalStore
from voxarium.stores.objects import ObjectStore

CHANGES = ("write", "writev", "pwrite", "ftruncate", "fsync", "link", "rename", "replace", "unlink", "mkdir", "rmdir")

class Counter:
    def __init__(self, nth, after):
        self.calls, self.nth, self.after = 0, nth, after
    def call(self, function):
        self.calls += 1
        if self.calls == self.nth and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        last = self.calls == self.nth
        try:
            return function()
        finally:
            if last:
                os.kill(os.getpid(), signal.SIGKILL)

class Killing(StoreWrapper):
    counter = None
    def around(self, operation, call):
        return Killing.counter.call(call)

def work(job):
    counter = Counter(job["nth"], job["after"])
    if job["kind"] == "s3":
        store = ObjectStore(job["where"], config=job["config"])
    else:
        store = LocalStore(job["where"], durable=True)
    if job["kind"] == "calls":
        for name in CHANGES:
            real = getattr(os, name)
            setattr(os, name, lambda *a, real=real, **k: counter.call(lambda: real(*a, **k)))
    else:
        Killing.counter = counter
        store = Killing(store)
    publish(store, "v1.1")
    return counter.calls

for line in sys.stdin:
    job = json.loads(line)
    back, front = os.pipe()
    child = os.fork()
    if child == 0:
        write = os.write
        calls = work(job)
        write(front, str(calls).encode())  # acknowledged
        os._exit(0)
    os.close(front)
    said = os.read(back, 100).decode()
    os.close(back)
    status = os.waitpid(child, 0)[1]
    print(json.dumps({"acknowledged": bool(said), "calls": int(said or 0), "signal": status & 127}), flush=True)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Mother:
    """The process that forks."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, **job):
        import json

        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


@pytest.fixture
def mother(tmp_path, monkeypatch) -> Iterator[Mother]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Mother()
    yield made
    made.close()


def prepared(store):
    filled(store)
    publish(store)
    store.put("em/s0/c/9/9", b"new")
    store.put("dataset.json", b'{"license": "CC0-1.0"}')
    return store


def check(store, found, seen):
    """Look at what a killed process left: everything old is there, and the new release whole or not at all."""
    names = [s.release.name for s in iter_releases(store)]
    assert names in (["v1.0"], ["v1.0", "v1.1"])
    assert names[-1] == "v1.1" or not found["acknowledged"], "acknowledged = present"
    assert found["acknowledged"] != (found["signal"] == signal.SIGKILL)
    seen.add((len(names), found["acknowledged"]))
    for name in names:
        view = open_release_store(store, name, verify=True)
        assert all(view.get(key) is not None for key, _ in view.list(""))
    collect(store, CollectOptions(grace=0.0, apply=True, agent=None))  # whatever was left, nothing that counts goes
    for name in names:
        view = open_release_store(store, name, verify=True)
        assert all(view.get(key) is not None for key, _ in view.list(""))
    publish(store, "v1.1")
    for name in ("v1.0", "v1.1"):
        assert verify_release(store, name).ok
    assert sum(e.operation == "publish" for e in LogReader(store).entries()) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["operations", "calls"])
def test_a_process_that_is_killed_at_any_step_leaves_the_old_release_or_the_new_one(tmp_path, mother, kind, after):
    template = tmp_path / "template"
    prepared(LocalStore(template, durable=True))
    seen = set()
    for nth in itertools.count(1) if kind == "calls" else itertools.count(1 + after, 2):
        folder = tmp_path / "set"
        shutil.copytree(template, folder)
        found = mother.run(kind=kind, where=str(folder), nth=nth, after=after)
        store = LocalStore(folder, durable=True)
        check(store, found, seen)
        left = [p for p in folder.rglob("*") if p.name == PARTIAL_FOLDER or p.suffix == ".partial"]
        assert not left, "collecting removes what killed writers left"
        shutil.rmtree(folder)
        if found["acknowledged"]:
            break
    assert nth > 30 and seen == {(1, False), (2, False), (2, True)}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_that_is_killed_amid_requests_leaves_the_old_release_or_the_new_one(tmp_path, mother, s3, after):
    seen = set()
    for nth in itertools.count(1 + after, 3):  # each is several requests: every third tells enough
        where, config = f"s3://archive/killed-{after}-{nth}", KEYS | {"endpoint": s3}
        store = prepared(ObjectStore(where, config=config))
        found = mother.run(kind="s3", where=where, config=config, nth=nth, after=after)
        check(store, found, seen)
        if found["acknowledged"]:
            break
    assert nth > 30 and seen == {(1, False), (2, False), (2, True)}


# ------------------------------------------------------------------------------------------------------- power cuts
class Disk:
    """Knows what of a folder is on the disk: contents that were flushed, and names whose folders were.

    `os.sync` flushes everything. What was never flushed is lost at a power cut: the worst that may happen.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}  # by inode of the folder
        self._kept: list[int] = []  # descriptors of files, so that no inode is used again
        self._fsync = os.fsync
        self.flush_all()
        monkeypatch.setattr(os, "fsync", self.flush)
        monkeypatch.setattr(os, "sync", self.flush_all)

    def flush(self, fd: int) -> None:
        self._fsync(fd)
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        if self.root in (path, *path.parents):
            self._note(path)

    def flush_all(self) -> None:
        for path in (self.root, *self.root.rglob("*")):
            self._note(path)

    def _note(self, path: Path) -> None:
        status = path.stat()
        self._kept.append(os.open(path, os.O_RDONLY))
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = {e.name: e.inode() for e in os.scandir(path)}
        else:
            self._contents[status.st_ino] = path.read_bytes()

    def after_power_cut(self, folder: Path) -> LocalStore:
        """Make a folder of what is on the disk."""
        self._restore(os.stat(self.root).st_ino, folder)
        return LocalStore(folder, durable=True)

    def _restore(self, inode: int, path: Path) -> None:
        if inode in self._names:
            path.mkdir()
            for name, inner in self._names[inode].items():
                self._restore(inner, path / name)
        else:
            path.write_bytes(self._contents.get(inode, b""))  # a name without content

    def close(self) -> None:
        for fd in self._kept:
            os.close(fd)


@pytest.fixture
def disk(tmp_path) -> Iterator:
    patch = pytest.MonkeyPatch()
    disks = []

    def make(root):
        disks.append(Disk(root, patch))
        return disks[-1]

    yield make
    patch.undo()
    for one in disks:
        one.close()


linux = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="asks Linux which file a descriptor is of")


@linux
def test_what_was_published_survives_a_power_cut(tmp_path, disk):
    store = prepared(LocalStore(tmp_path / "set", durable=True))
    state = disk(tmp_path / "set")
    publish(store, "v1.1")
    found = state.after_power_cut(tmp_path / "found")
    assert [s.release.name for s in iter_releases(found)] == ["v1.0", "v1.1"]
    for name in ("v1.0", "v1.1"):
        assert verify_release(found, name).ok


@linux
def test_the_first_release_of_a_dataset_survives_too(tmp_path, disk):
    """Its folders are new: their names have to be on the disk as well."""
    (tmp_path / "set").mkdir()
    state = disk(tmp_path / "set")
    store = filled(LocalStore(tmp_path / "set"))
    assert not list(state.after_power_cut(tmp_path / "before").list())
    publish(LocalStore(store.root, durable=True))
    found = state.after_power_cut(tmp_path / "found")
    assert verify_release(found, "v1.0").ok


@linux
def test_entries_of_the_log_survive_a_power_cut(tmp_path, disk):
    (tmp_path / "set").mkdir()
    state = disk(tmp_path / "set")
    for n in range(3):
        record(LocalStore(tmp_path / "set", durable=True), Activity(operation="ingest", note=str(n)))
    found = LogReader(state.after_power_cut(tmp_path / "found"))
    assert [a.activity.note for a in found.activities()] == ["0", "1", "2"]


@linux
def test_a_dataset_and_its_changes_survive_a_power_cut(tmp_path, disk):
    """The document is replaced: one that was not flushed could be empty afterwards, and the old one gone."""
    create_dataset(tmp_path / "set", DatasetDocument(name="set"))
    state = disk(tmp_path / "set")
    open_dataset(tmp_path / "set").change(lambda d: __import__("dataclasses").replace(d, license="CC0-1.0"))
    state.after_power_cut(tmp_path / "found")
    assert open_dataset(tmp_path / "found").document.license == "CC0-1.0"


@linux
def test_chunks_are_not_flushed_one_by_one(tmp_path, monkeypatch):
    calls = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append(real(fd)))
    store = LocalStore(tmp_path / "set")
    for i in range(20):
        store.put(f"em/s0/c/{i}", b"x")
    assert not calls
    LocalStore(tmp_path / "set", durable=True).put("em/zarr.json", b"x")
    assert len(calls) == 2  # the file and its folder
