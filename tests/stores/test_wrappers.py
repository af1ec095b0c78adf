from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import Code, InputError, StoreError
from voxarium.model.protocols import (
    AppendableStore,
    ByteRange,
    FileStore,
    ListableStore,
    ReadableStore,
    ResumableStore,
    WritableStore,
)
from voxarium.model.wrapping import StoreWrapper
from voxarium.stores.audit import AuditStore
from voxarium.stores.cache import CacheStore
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.http import HttpStore
from voxarium.stores.latency import LatencyStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

CAPABILITIES = (ReadableStore, ListableStore, WritableStore, AppendableStore, ResumableStore, FileStore)
WRAPPERS: dict[str, Any] = {
    "audit": AuditStore,
    "cache": CacheStore,
    "latency": lambda inner: LatencyStore(inner, 0.0),
    "fault": lambda inner: FaultStore(inner, []),
}


class BareStore:
    """No more than the protocol of a readable store."""

    concurrency = 3
    uri = "bare://"

    def get(self, key: str, /) -> bytes | None:
        return b"abc" if key == "a" else None

    def get_ranges(self, key: str, ranges: Any, /) -> Any:
        return [b"abc"[r.start : r.start + r.length] for r in ranges] if key == "a" else None

    def stat(self, key: str, /) -> None:
        return None


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapper_can_what_the_wrapped_store_can(wrap: Any, tmp_path: Path) -> None:
    for inner in (LocalStore(tmp_path), MemoryStore(), HttpStore("http://127.0.0.1:1"), BareStore()):
        outer = wrap(wrap(inner))
        for kind in CAPABILITIES:
            assert isinstance(outer, kind) == isinstance(inner, kind), (inner, kind)
        assert outer.uri == inner.uri
        assert isinstance(outer, StoreWrapper)


def test_the_class_of_a_wrapper_is_what_it_was_asked_for(tmp_path: Path) -> None:
    store = AuditStore(LocalStore(tmp_path))
    assert isinstance(store, AuditStore)
    assert type(store).__name__ == "AuditStore"
    assert type(store) is type(AuditStore(LocalStore(tmp_path / "other")))
    assert repr(store).startswith("AuditStore(LocalStore(")


# --------------------------------------------------------------------------------------------------- audit
def test_audit_counts_requests_and_bytes() -> None:
    store = AuditStore(MemoryStore({"a": b"0123456789"}), record=True)
    store.get("a")
    store.get("none")
    store.get_ranges("a", [ByteRange(0, 2), ByteRange(-3)])
    store.stat("a")
    list(store.list())  # type: ignore[attr-defined]
    with pytest.raises(StoreError):
        store.get_ranges("a", [ByteRange(20, 1)])
    assert store.requests == {"get": 2, "get_ranges": 2, "stat": 1, "list": 1}
    assert store.failures == {"get_ranges": 1}
    assert store.bytes_by_method == {"get": 10, "get_ranges": 5}
    assert store.reads_per_key == {"a": 2}
    assert store.bytes_read == 15
    assert store.bytes_written == 0
    assert [o.method for o in store.log] == ["get", "get", "get_ranges", "stat", "list", "get_ranges"]
    store.reset()
    assert not store.requests
    assert store.bytes_read == 0


def test_audit_counts_written_objects(tmp_path: Path) -> None:
    store: Any = AuditStore(LocalStore(tmp_path))
    store.put("a", b"12345")
    store.put_if_absent("a", b"678")
    store.put_if_absent("b", b"678")
    writer = store.create("c")
    writer.write(b"12")
    writer.write(b"34")
    writer.commit()
    gone = store.create("d")
    gone.write(b"xx")
    gone.abort()
    store.append("log", b"line")
    store.delete("a")
    assert store.writes_per_key == {"a": 1, "b": 1, "c": 1, "log": 1}
    assert store.bytes_written_per_key == {"a": 5, "b": 3, "c": 4, "d": 2, "log": 4}
    assert store.requests["write"] == 3
    assert store.requests["commit"] == 1


def test_audit_sees_through_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(200_000))
    store: Any = AuditStore(LocalStore(tmp_path))
    with store.open_file("a") as file:
        file.seek(100_000)
        file.read(10)
    assert store.requests["open_file"] == 1
    assert 10 <= store.bytes_by_method["read"] < 200_000
    assert store.local_path("a") == str(tmp_path / "a")
    assert store.requests["local_path"] == 1


def test_audit_is_safe_between_threads() -> None:
    store = AuditStore(LatencyStore(MemoryStore({"a": b"1"}), 0.001))
    threads = [threading.Thread(target=lambda: [store.get("a") for _ in range(25)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.requests["get"] == store.reads_per_key["a"] == store.bytes_read == 200
    assert 2 <= store.peak <= 8


# ------------------------------------------------------------------------------------------------- latency
def test_latency_takes_time_and_hides_the_path(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    store: Any = LatencyStore(LocalStore(tmp_path), 0.02, bytes_per_second=50_000, concurrency=7)
    started = time.perf_counter()
    store.get("a")
    assert time.perf_counter() - started >= 0.04
    assert store.local_path("a") is None
    assert store.concurrency == 7
    with store.open_file("a") as file:
        assert file.read() == bytes(1000)


# --------------------------------------------------------------------------------------------------- fault
def test_the_nth_operation_fails() -> None:
    store: Any = FaultStore(MemoryStore(), [FaultRule(methods=frozenset({"put"}), keys="c/*", nth=2)])
    store.put("c/1", b"")
    store.put("d/1", b"")
    with pytest.raises(StoreError):
        store.put("c/2", b"")
    store.put("c/3", b"")
    assert sorted(k for k, _ in store.list()) == ["c/1", "c/3", "d/1"]
    assert store.fired == [1]


def test_everything_behind_the_nth_fails() -> None:
    store = FaultStore(MemoryStore({"a": b"x"}), [FaultRule(kind="permission", after=2)])
    assert (store.get("a"), store.get("a")) == (b"x", b"x")
    for _ in range(3):
        with pytest.raises(StoreError) as caught:
            store.get("a")
        assert caught.value.code == Code.STORE_PERMISSION


def test_a_disk_of_a_given_size() -> None:
    inner = MemoryStore()
    store: Any = FaultStore(inner, [FaultRule(kind="full", after_bytes=100)])
    store.put("a", bytes(60))
    writer = store.create("b")
    writer.write(bytes(40))
    with pytest.raises(StoreError) as caught:
        writer.write(bytes(1))
    assert caught.value.code == Code.STORE_FULL
    writer.abort()
    assert store.get("a") == bytes(60)
    assert inner.get("b") is None


def test_data_comes_back_too_short(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    store: Any = FaultStore(LocalStore(tmp_path), [FaultRule(kind="truncate", keep=3)])
    assert store.get("a") == b"012"
    assert [bytes(p) for p in store.get_ranges("a", [ByteRange(2, 8), ByteRange(0, 2)])] == [b"234", b"01"]
    assert store.stat("a").size == 10


def test_an_answer_is_lost() -> None:
    inner = MemoryStore()
    store: Any = FaultStore(inner, [FaultRule(kind="lost-answer", methods=frozenset({"put_if_absent"}))])
    with pytest.raises(StoreError):
        store.put_if_absent("a", b"x")
    assert inner.get("a") == b"x"


def test_a_process_is_killed() -> None:
    store: Any = FaultStore(MemoryStore(), [FaultRule(error=KeyboardInterrupt(), methods=frozenset({"commit"}))])
    writer = store.create("a")
    writer.write(b"x")
    with pytest.raises(KeyboardInterrupt):
        writer.commit()
    assert store.get("a") is None


def failing(seed: int) -> list[bool]:
    store = FaultStore(MemoryStore({"a": b"x"}), [FaultRule(probability=0.3)], seed=seed)
    out = []
    for _ in range(60):
        try:
            store.get("a")
            out.append(False)
        except StoreError:
            out.append(True)
    return out


def test_random_faults_are_reproducible() -> None:
    assert failing(5) == failing(5)
    assert failing(5) != failing(6)
    assert 5 < sum(failing(5)) < 35
    with pytest.raises(InputError):
        FaultRule(probability=1.5)


# --------------------------------------------------------------------------------------------------- cache
def counted(objects: dict[str, bytes], **options: Any) -> tuple[AuditStore, Any]:
    inner = AuditStore(MemoryStore(objects))
    return inner, CacheStore(inner, **options)


def test_a_second_read_costs_nothing() -> None:
    inner, cache = counted({"a": b"0123456789"})
    for _ in range(3):
        assert cache.get_ranges("a", [ByteRange(-4), ByteRange(1, 2)]) == [b"6789", b"12"]
    assert inner.requests == {"get_ranges": 1}
    assert cache.get_ranges("a", [ByteRange(1, 2), ByteRange(5, 1)]) == [b"12", b"5"]
    assert inner.bytes_read == 4 + 2 + 1
    assert (cache.hits, cache.misses) == (5, 3)
    assert cache.get("a") == b"0123456789"
    assert cache.get_ranges("a", [ByteRange(3, 3), ByteRange(-1)]) == [b"345", b"9"]
    assert inner.requests == {"get_ranges": 2, "get": 1}
    with pytest.raises(StoreError):
        cache.get_ranges("a", [ByteRange(8, 3)])


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    inner, cache = counted({f"{i}": bytes(800) for i in range(20)}, memory=4000)
    for key in ("0", "1", "2", "3", "0", "4"):
        cache.get(key)
    inner.reset()
    cache.get("0")
    assert inner.requests == {}
    cache.get("1")
    assert inner.requests == {"get": 1}
    assert cache._used <= 4000
    inner, cache = counted({"big": bytes(2000)}, memory=4000)
    cache.get("big")
    assert cache._used == 0


def test_own_writes_are_seen_at_once(tmp_path: Path) -> None:
    for options in ({}, {"max_age": 1000.0}, {"disk": tmp_path}, {"remember_absent": True}):
        cache: Any = CacheStore(MemoryStore(), **options)
        assert cache.get("a") is None
        cache.put("a", b"1")
        assert cache.get("a") == b"1"
        writer = cache.create("a")
        writer.write(b"2")
        assert cache.get("a") == b"1"
        writer.commit()
        assert cache.get("a") == b"2"
        cache.append("a", b"3")
        assert cache.get("a") == b"23"
        cache.delete("a")
        assert cache.get("a") is None
        assert cache.put_if_absent("a", b"4")
        assert cache.get_ranges("a", [ByteRange(0)]) == [b"4"]


def test_foreign_writes_are_seen_as_the_age_says() -> None:
    inner = MemoryStore({"a": b"old"})
    trusting, asking, ageing = (CacheStore(inner, max_age=age) for age in (None, 0, 0.05))
    for cache in (trusting, asking, ageing):
        assert cache.get("a") == b"old"
    inner.put("a", b"new")
    assert trusting.get("a") == b"old"
    assert asking.get("a") == b"new"
    time.sleep(0.06)
    assert ageing.get("a") == b"new"
    trusting.forget("a")
    assert trusting.get("a") == b"new"
    trusting.forget()
    inner.delete("a")
    assert asking.get("a") is None


def test_absence_is_remembered_only_on_request() -> None:
    inner, cache = counted({})
    assert cache.get("a") is cache.get("a") is None
    assert inner.requests["get"] == 2
    inner, cache = counted({}, remember_absent=True)
    assert cache.get("a") is cache.get("a") is cache.get_ranges("a", [ByteRange(0, 1)]) is None
    assert inner.requests.total() == 1


def test_errors_are_not_remembered() -> None:
    cache = CacheStore(FaultStore(MemoryStore({"a": b"x"}), [FaultRule(nth=1)]))
    with pytest.raises(StoreError):
        cache.get("a")
    assert cache.get("a") == b"x"


def test_the_disk_outlives_the_program(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"0123456789")
    for reads in (1, 0):
        inner = AuditStore(LocalStore(tmp_path / "data"))
        cache = CacheStore(inner, disk=tmp_path / "cache")
        assert cache.get_ranges("a", [ByteRange(3, 4)]) == [b"3456"]
        assert inner.requests["get_ranges"] == reads
        assert inner.requests["stat"] == 1
    (tmp_path / "data" / "a").write_bytes(b"abcdefghijk")
    cache = CacheStore(inner, disk=tmp_path / "cache")
    assert cache.get_ranges("a", [ByteRange(3, 4)]) == [b"defg"]


def test_a_damaged_disk_cache_is_as_good_as_none(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "data")
    store.put("a", b"0123456789")
    CacheStore(store, disk=tmp_path / "cache").get("a")
    (entry,) = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    good = entry.read_bytes()
    for bad in (b"", good[:-1], good[:-1] + b"x", b"junk" * 10):
        entry.write_bytes(bad)
        assert CacheStore(store, disk=tmp_path / "cache").get("a") == b"0123456789"
    entry.unlink()
    entry.mkdir()
    assert CacheStore(store, disk=tmp_path / "cache").get("a") == b"0123456789"


def test_the_disk_cache_is_bounded(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "data")
    for i in range(30):
        store.put(f"{i}", bytes([i]) * 1000)
    cache = CacheStore(store, disk=tmp_path / "cache", disk_bytes=10_000, memory=0)
    for i in range(30):
        assert cache.get(f"{i}") == bytes([i]) * 1000
        assert sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*") if p.is_file()) <= 10_000
    assert any((tmp_path / "cache").rglob("*"))


def test_a_full_cache_disk_does_not_stop_reading(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file is in the way")
    store = MemoryStore({"a": b"x"})
    assert CacheStore(store, disk=tmp_path / "cache").get("a") == b"x"


@given(
    st.lists(
        st.tuples(st.sampled_from("rgwdx"), st.sampled_from("ab"), st.integers(-6, 5), st.integers(0, 4)),
        max_size=25,
    ),
    st.sampled_from([0, 500, 5000]),
    st.booleans(),
)
def test_a_cache_changes_nothing_but_speed(steps: list[tuple[str, str, int, int]], memory: int, absent: bool) -> None:
    """Any series of reads and writes through the cache gives what the store alone gives."""
    plain = MemoryStore({"a": b"012345"})
    cached: Any = CacheStore(MemoryStore({"a": b"012345"}), memory=memory, remember_absent=absent)
    for what, key, start, length in steps:
        results = []
        for store in (plain, cached):
            try:
                if what == "r":
                    found = store.get_ranges(key, [ByteRange(start, length), ByteRange(0)])
                    results.append(None if found is None else [bytes(p) for p in found])
                elif what == "g":
                    results.append(store.get(key))
                elif what == "w":
                    store.put(key, bytes([65 + start % 7]) * length)
                elif what == "d":
                    store.delete(key)
                else:
                    results.append(store.put_if_absent(key, b"new"))
            except StoreError as error:
                results.append(error.code)
        assert results[: len(results) // 2] == results[len(results) // 2 :]


def test_threads_share_a_cache() -> None:
    objects = {f"{i}": bytes([i]) * 300 for i in range(20)}
    _, cache = counted(objects, memory=3000)
    wrong: list[str] = []

    def work(seed: int) -> None:
        for i in range(200):
            key = f"{(i * 7 + seed) % 20}"
            if cache.get(key) != objects[key] or cache.get_ranges(key, [ByteRange(3, 4)]) != [objects[key][3:7]]:
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache._used <= 3000
    assert cache._used == sum(200 + len(v) for v in cache._entries.values())


def test_senseless_sizes_are_refused() -> None:
    for options in ({"memory": -1}, {"disk_bytes": -1}, {"max_age": -1.0}):
        with pytest.raises(InputError):
            CacheStore(MemoryStore(), **options)  # type: ignore[arg-type]
