"""Changes of one document by many writers: none is lost, whatever the store can and cannot do; every wait ends."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest

from voxarium.archive import shared_documents
from voxarium.archive.datasets import DatasetFolder, create_dataset, open_dataset
from voxarium.archive.shared_documents import change_document, obeys_tags
from voxarium.errors import Code, ConflictError, NotFoundError, StoreError, UnsupportedError, VoxariumError
from voxarium.model.protocols import TaggedStore
from voxarium.spec.dataset_document import DatasetDocument, dump_dataset
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

WRITERS, EACH = 8, 6


@pytest.fixture(autouse=True)
def forgotten():
    """Stores have equal addresses in different tests; what was found out about one is not true of the next."""
    shared_documents._known.clear()


class Obedient(MemoryStore):
    """Obeys conditions."""

    def __init__(self):
        super().__init__()
        self.turn = threading.Lock()

    def get_tagged(self, key, /):
        with self.turn:
            data = self.get(key)
            return None if data is None else (data, self.stat(key).generation)

    def put_tagged(self, key, data, tag, /):
        with self.turn:
            seen = self.stat(key)
            if seen is None or seen.generation != tag:
                return False
            self.put(key, data)
            return True


class Refusing(Obedient):
    """Refuses every conditional write, as RadosGW does: it compares the tag with its quotes."""

    def put_tagged(self, key, data, tag, /):
        return False


class Careless(Obedient):
    """Ignores the condition."""

    def put_tagged(self, key, data, tag, /):
        self.put(key, data)
        return True


class Unable(Obedient):
    """Says that it cannot."""

    def put_tagged(self, key, data, tag, /):
        raise UnsupportedError("no", code=Code.FEATURE_UNSUPPORTED, fix="-")


KINDS = {
    "obedient": (Obedient, True),
    "refusing": (Refusing, False),
    "careless": (Careless, False),
    "unable": (Unable, False),
    "plain": (MemoryStore, False),
}


def adding(name):
    def how(data):
        names = json.loads(data or b"[]")
        return None if name in names else json.dumps([*names, name]).encode()

    return how


def together(work, count=WRITERS):
    errors = []

    def guarded(i):
        try:
            work(i)
        except (VoxariumError, AssertionError) as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def write_many(open_store):
    def work(i):
        store = open_store()
        for j in range(EACH):
            change_document(store, "list.json", adding(f"{i}-{j}"))

    together(work)
    store = open_store()
    assert sorted(json.loads(store.get("list.json"))) == sorted(f"{i}-{j}" for i in range(WRITERS) for j in range(EACH))
    assert [key for key, _ in store.list("")] == ["list.json"], "nothing is left"


@pytest.mark.parametrize("name", KINDS)
def test_of_many_writers_none_loses_a_change(name):
    kind, obeys = KINDS[name]
    store = kind()
    if isinstance(store, TaggedStore):
        assert obeys_tags(store) is obeys
    write_many(lambda: store)


def test_of_many_writers_on_s3_none_loses_a_change(make_s3):
    assert obeys_tags(make_s3())
    write_many(make_s3)


def test_tags_of_s3_are_those_of_what_was_read(make_s3):
    store = make_s3()
    assert store.get_tagged("x") is None
    store.put("x", b"1")
    data, tag = store.get_tagged("x")
    assert data == b"1" and store.put_tagged("x", b"2", tag) and not store.put_tagged("x", b"3", tag)
    store.delete("x")
    assert not store.put_tagged("x", b"4", tag) and store.get("x") is None


CHANGE = """
import json, sys
from voxarium.archive.shared_documents import change_document
from voxarium.stores.local import LocalStore
store = LocalStore(sys.argv[1])
for i in range(20):
    name = sys.argv[2] + "-" + str(i)
    change_document(store, "list.json", lambda data: json.dumps([*json.loads(data or b"[]"), name]).encode())
"""


def test_of_several_processes_on_local_files_none_loses_a_change(tmp_path):
    workers = [subprocess.Popen([sys.executable, "-c", CHANGE, str(tmp_path), str(i)]) for i in range(4)]
    assert [w.wait(timeout=200) for w in workers] == [0] * 4
    assert len(json.loads((tmp_path / "list.json").read_bytes())) == 80


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(StoreError, match="could not be opened"):
        change_document(LocalStore(tmp_path / "no"), "x", adding("a"))


@pytest.mark.parametrize("kind", [Refusing, MemoryStore])
def test_a_turn_that_nobody_ends_is_over_after_a_while(monkeypatch, kind):
    monkeypatch.setattr(shared_documents, "_ABANDONED", 0.3)
    store = kind()
    store.put(".voxarium-locks/list.json/7", b"its writer was killed")
    together(lambda i: change_document(store, "list.json", adding(str(i))), 3)
    assert sorted(json.loads(store.get("list.json"))) == ["0", "1", "2"]


def test_who_is_slow_and_not_dead_gets_no_second_turn(monkeypatch):
    """A lock that another writer created anew meanwhile is not the one that was waited for."""
    monkeypatch.setattr(shared_documents, "_ABANDONED", 0.2)

    class Renewed(MemoryStore):
        renewed = 0

        def put_if_absent(self, key, data, /):
            if key.endswith("/2") and not self.renewed:
                self.renewed = 1
                self.put(".voxarium-locks/x/1", b"another")
                threading.Timer(0.5, lambda: self.delete(".voxarium-locks/x/1")).start()
            return super().put_if_absent(key, data)

    store = Renewed()
    store.put(".voxarium-locks/x/1", b"one")
    change_document(store, "x", adding("a"))
    assert store.renewed and json.loads(store.get("x")) == ["a"]


def test_waiting_ends(monkeypatch):
    monkeypatch.setattr(shared_documents, "_PATIENCE", 0.3)

    class Changing(Obedient):
        """Somebody else is always faster, once it has shown that it obeys."""

        def put_tagged(self, key, data, tag, /):
            return super().put_tagged(key, data, tag) if key.startswith(".") else False

    held = MemoryStore()
    held.put(".voxarium-locks/x/1", b"at work")
    for store in (Changing(), held):
        store.put("x", b"[]")
        started = time.monotonic()
        with pytest.raises(ConflictError) as caught:
            change_document(store, "x", adding("a"))
        assert caught.value.code == Code.DATASET_BUSY and time.monotonic() - started < 60
    monkeypatch.setattr(shared_documents, "_PATIENCE", 1e9)
    monkeypatch.setattr(shared_documents, "_pause", lambda attempt: None)
    for store in (Changing(), held):
        store.put("x", b"[]")
        with pytest.raises(ConflictError):
            change_document(store, "x", adding("a"))


@pytest.mark.parametrize("kind", ["error", "lost-answer"])
def test_a_writer_that_fails_or_is_stopped_at_any_call_breaks_nothing(monkeypatch, kind):
    monkeypatch.setattr(shared_documents, "_ABANDONED", 0.05)
    counting = FaultStore(MemoryStore({"x": b"[]"}), [FaultRule(probability=0.0)])
    change_document(counting, "x", adding("a"))
    for nth in range(1, counting._seen[0] + 1):
        inner = MemoryStore({"x": b"[]"})
        try:
            change_document(FaultStore(inner, [FaultRule(kind=kind, nth=nth)]), "x", adding("a"))
            assert json.loads(inner.get("x")) == ["a"]
        except StoreError:
            assert json.loads(inner.get("x")) in ([], ["a"])
        change_document(inner, "x", adding("b"))
        assert "b" in json.loads(inner.get("x"))


def test_an_answer_that_got_lost_is_found_out():
    class Losing(Obedient):
        def put_tagged(self, key, data, tag, /):
            done = super().put_tagged(key, data, tag)
            if key == "x":
                raise StoreError("no answer", code=Code.STORE_UNREADABLE, fix="-")
            return done

    store = Losing()
    store.put("x", b"[]")
    change_document(store, "x", adding("a"))
    assert json.loads(store.get("x")) == ["a"]

    class Failing(Obedient):
        def put_tagged(self, key, data, tag, /):
            if key == "x":
                raise StoreError("no way", code=Code.STORE_UNREADABLE, fix="-")
            return super().put_tagged(key, data, tag)

    store = Failing()
    store.put("x", b"[]")
    with pytest.raises(StoreError, match="no way"):
        change_document(store, "x", adding("a"))


# ------------------------------------------------------------------------------------------------------------- datasets
def renamed(i):
    from dataclasses import replace

    return lambda document: replace(document, authors=(*document.authors, person(i)))


def person(i):
    from voxarium.spec.dataset_document import Person

    return Person(name=f"author {i}")


def test_members_that_are_listed_at_the_same_time_on_s3_are_all_listed(make_s3):
    make_s3().put("dataset.json", dump_dataset(DatasetDocument(name="set", layout="default")))

    def work(i):
        folder = DatasetFolder(make_s3(), make_s3().uri)
        for j in range(3):
            folder.change(renamed(f"{i}-{j}"))

    together(work)
    folder = DatasetFolder(make_s3(), make_s3().uri)
    assert {a.name for a in folder.document.authors} == {f"author {i}-{j}" for i in range(WRITERS) for j in range(3)}
    collection = folder.store.get("zarr.json")
    folder.change(lambda d: d)
    assert folder.store.get("zarr.json") == collection, "what is derived is that of the last document"


def test_members_that_are_listed_at_the_same_time_in_a_folder_are_all_listed(tmp_path):
    create_dataset(tmp_path / "set", DatasetDocument(name="set", layout="default"))
    together(lambda i: open_dataset(tmp_path / "set").change(renamed(i)))
    assert len(open_dataset(tmp_path / "set").document.authors) == WRITERS


def test_a_document_that_went_missing_is_said(tmp_path):
    folder = create_dataset(tmp_path / "set", DatasetDocument(name="set", layout="default"))
    (tmp_path / "set/dataset.json").unlink()
    with pytest.raises(NotFoundError, match="no dataset"):
        folder.change(renamed(1))
