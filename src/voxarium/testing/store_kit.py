"""What every store must do, as pytest classes to inherit from.

A test module of a store makes a subclass with a fixture ``store``. For `ReadableStoreTests` the store must
hold the objects of `REFERENCE`; for `WritableStoreTests` it must be empty and fresh for every test::

    class TestMyStore(WritableStoreTests):
        @pytest.fixture
        def store(self):
            return MyStore()

Capabilities (listing, files) are tested where the store claims them.
"""

# ruff: noqa: S101  a kit for pytest asserts

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import pytest

from voxarium.errors import Code, InputError, NotFoundError, StoreError
from voxarium.model.protocols import (
    AppendableStore,
    ByteRange,
    FileStore,
    ListableStore,
    ReadableStore,
    WritableStore,
)

__all__ = ["ODD_KEYS", "REFERENCE", "UNSAFE_KEYS", "ReadableStoreTests", "WritableStoreTests"]

REFERENCE: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "a.bin": bytes(i * 7 % 251 for i in range(1009)),
        "c/0/0/1": b"chunk",
        "empty": b"",
        "n/10": b"ten",
        "n/2": b"two",
        "n/deep/er.bin": b"\x00\xff" * 11,
        "n/über größe.bin": b"umlauts",
        "n/100% + #1?.bin": b"what must be quoted in URLs",
        "n.bin": b"beside the folder n",
        "zarr.json": b'{"zarr_format": 3}',
    }
)
UNSAFE_KEYS: Final = (
    "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/..", "./a", "a/.",
    "a\\b", "a\0b", "a\nb", "\ud800",
)  # fmt: skip
ODD_KEYS: Final = ("a b", "ä/ö/ü", "日本/語", "~x", "a+b=c&d", "[1]", "x*y", "q?", "#h", "50%", "'\"<>|", "…")


class ReadableStoreTests:
    """Reading: absent is None, ranges are exact, and nothing is guessed."""

    @pytest.fixture
    def readable(self, store: Any) -> Any:  # Any: a store of the subclass, with what it claims
        """Return the store, holding `REFERENCE`."""
        return store

    def test_it_is_a_readable_store(self, readable: Any) -> None:
        """The protocol's members are there, and their types are right."""
        assert isinstance(readable, ReadableStore)
        assert isinstance(readable.uri, str)
        assert "://" in readable.uri
        assert readable.concurrency >= 1

    @pytest.mark.parametrize("key", REFERENCE)
    def test_whole_objects_are_returned(self, readable: Any, key: str) -> None:
        """Every byte of an object comes back, whatever its name."""
        found = readable.get(key)
        assert isinstance(found, bytes)
        assert found == REFERENCE[key]

    @pytest.mark.parametrize("key", ["nothing", "n", "n/deep", "c/0/0/1/0", "A.BIN", "a.bin.more"])
    def test_absent_is_none(self, readable: Any, key: str) -> None:
        """Neither folders nor keys below objects are objects."""
        assert readable.get(key) is None
        assert readable.stat(key) is None
        assert readable.get_ranges(key, [ByteRange(0, 1)]) is None
        assert readable.get_ranges(key, [ByteRange(-1)]) is None
        assert readable.get_ranges(key, [ByteRange(0)]) is None
        assert readable.get_ranges(key, []) is None

    def test_ranges_come_in_the_order_asked(self, readable: Any) -> None:
        """Ranges may overlap, repeat, be empty, count from the end, and reach to the end."""
        data = REFERENCE["a.bin"]
        ranges = [
            (ByteRange(500, 10), data[500:510]),
            (ByteRange(3, 1), data[3:4]),
            (ByteRange(-7), data[-7:]),
            (ByteRange(505, 10), data[505:515]),
            (ByteRange(1000), data[1000:]),
            (ByteRange(-9, 4), data[-9:-5]),
            (ByteRange(3, 1), data[3:4]),
            (ByteRange(17, 0), b""),
            (ByteRange(1009, 0), b""),
            (ByteRange(1009), b""),
            (ByteRange(0, 1009), data),
        ]
        found = readable.get_ranges("a.bin", [r for r, _ in ranges])
        assert [bytes(part) for part in found] == [part for _, part in ranges]
        assert readable.get_ranges("a.bin", []) == []

    def test_random_ranges_equal_slices(self, readable: Any) -> None:
        """Whatever is joined and split on the way, the bytes are those of the object."""
        data, rng = REFERENCE["a.bin"], random.Random(7)
        for _ in range(12):
            spans = [sorted(rng.sample(range(len(data) + 1), 2)) for _ in range(rng.randint(1, 6))]
            ranges = [ByteRange(a - len(data) if rng.random() < 0.3 else a, b - a) for a, b in spans if a < len(data)]
            found = readable.get_ranges("a.bin", ranges)
            assert [bytes(part) for part in found] == [data[a:b] for a, b in spans if a < len(data)]

    @pytest.mark.parametrize(
        "beyond",
        [ByteRange(1000, 10), ByteRange(1009, 1), ByteRange(5000, 2), ByteRange(1010), ByteRange(-1010)],
    )
    def test_ranges_beyond_the_end_raise(self, readable: Any, beyond: ByteRange) -> None:
        """A short answer is never given, not even when other ranges are fine."""
        for ranges in ([beyond], [ByteRange(0, 4), beyond]):
            with pytest.raises(StoreError) as caught:
                readable.get_ranges("a.bin", ranges)
            assert caught.value.code == Code.FILE_TRUNCATED
            assert caught.value.fix

    def test_ranges_of_an_empty_object(self, readable: Any) -> None:
        """An empty object has an empty range, and no last byte."""
        found = readable.get_ranges("empty", [ByteRange(0), ByteRange(0, 0)])
        assert [bytes(part) for part in found] == [b"", b""]
        with pytest.raises(StoreError):
            readable.get_ranges("empty", [ByteRange(-1)])

    def test_negative_lengths_are_refused(self, readable: Any) -> None:
        """They are a mistake of the caller, not of the store."""
        with pytest.raises(InputError):
            readable.get_ranges("a.bin", [ByteRange(5, -1)])

    @pytest.mark.parametrize("key", UNSAFE_KEYS)
    def test_unsafe_keys_are_refused(self, readable: Any, key: str) -> None:
        """No method lets a key out of the store's root."""
        for read in (readable.get, readable.stat, lambda k: readable.get_ranges(k, [ByteRange(0, 1)])):
            with pytest.raises(InputError) as caught:
                read(key)
            assert caught.value.code == Code.KEY_UNSAFE

    def test_stat_tells_the_size(self, readable: Any) -> None:
        """The size is exact, and the generation stays the same while nothing changes."""
        for key, data in REFERENCE.items():
            stat = readable.stat(key)
            assert stat.size == len(data), key
            assert stat.generation == readable.stat(key).generation

    def test_listing(self, readable: Any) -> None:
        """Every key is listed once with its size; a prefix is a folder, not the beginning of a name."""
        if not isinstance(readable, ListableStore):
            pytest.skip("this store cannot be listed")
        assert dict(readable.list()) == {k: len(v) for k, v in REFERENCE.items()}
        assert len(list(readable.list())) == len(REFERENCE)
        assert dict(readable.list("n")) == {k: len(v) for k, v in REFERENCE.items() if k.startswith("n/")}
        assert list(readable.list("n/deep")) == [("n/deep/er.bin", 22)]
        assert list(readable.list("nothing")) == []

    def test_listing_of_a_folder(self, readable: Any) -> None:
        """Names and folders are told apart, and numbers sort as numbers."""
        if not isinstance(readable, ListableStore):
            pytest.skip("this store cannot be listed")
        names, folders = readable.list_dir()
        assert list(names) == ["a.bin", "empty", "n.bin", "zarr.json"]
        assert list(folders) == ["c", "n"]
        names, folders = readable.list_dir("n")
        assert list(names) == ["2", "10", "100% + #1?.bin", "über größe.bin"]
        assert list(folders) == ["deep"]
        names, folders = readable.list_dir("nothing")
        assert (list(names), list(folders)) == ([], [])

    def test_listing_refuses_unsafe_prefixes(self, readable: Any) -> None:
        """A listing does not leave the root either."""
        if not isinstance(readable, ListableStore):
            pytest.skip("this store cannot be listed")
        for prefix in UNSAFE_KEYS[1:]:
            with pytest.raises(InputError):
                list(readable.list(prefix))
            with pytest.raises(InputError):
                readable.list_dir(prefix)

    def test_files(self, readable: Any) -> None:
        """An object can be read and sought in like a file."""
        if not isinstance(readable, FileStore):
            pytest.skip("this store presents no files")
        data = REFERENCE["a.bin"]
        with readable.open_file("a.bin") as file:
            assert file.seek(-9, 2) == 1000
            assert file.read(4) == data[-9:-5]
            assert file.seek(0) == 0
            assert file.read() == data
            assert file.read() == b""
        with readable.open_file("empty") as file:
            assert file.read() == b""
        with pytest.raises(NotFoundError):
            readable.open_file("nothing")
        path = readable.local_path("a.bin")
        if path is not None:
            with open(path, "rb") as file:
                assert file.read() == data

    def test_threads_read_side_by_side(self, readable: Any) -> None:
        """One store serves several threads."""
        wrong: list[object] = []

        def read(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(5):
                key = rng.choice(sorted(REFERENCE))
                if readable.get(key) != REFERENCE[key]:
                    wrong.append(key)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


class WritableStoreTests(ReadableStoreTests):
    """Writing: objects appear whole or not at all."""

    can_put_if_absent: bool = True

    @pytest.fixture
    def readable(self, store: Any) -> Any:  # Any: as above
        """Return the store, filled with `REFERENCE`."""
        for key, data in REFERENCE.items():
            store.put(key, data)
        return store

    def test_it_is_a_writable_store(self, store: Any) -> None:
        """The protocol's members are there."""
        assert isinstance(store, WritableStore)

    def test_any_buffer_can_be_put(self, store: Any) -> None:
        """The bytes of an array are stored whatever its type."""
        import numpy as np

        array = np.arange(6, dtype="<u2").reshape(2, 3)
        store.put("array", array)
        store.put("view", memoryview(bytearray(b"abc"))[1:])
        assert store.get("array") == array.tobytes()
        assert store.get("view") == b"bc"

    def test_put_replaces(self, store: Any) -> None:
        """The old content is gone, and the generation tells that something changed."""
        store.put("k/x", b"first, and longer")
        before = store.stat("k/x")
        store.put("k/x", b"second")
        assert store.get("k/x") == b"second"
        assert store.stat("k/x").generation != before.generation

    def test_put_if_absent(self, store: Any) -> None:
        """The first wins, and the second is told."""
        if not self.can_put_if_absent:
            pytest.skip("this store cannot decide that")
        assert store.put_if_absent("k/once", b"first") is True
        assert store.put_if_absent("k/once", b"second") is False
        assert store.get("k/once") == b"first"

    def test_one_of_many_wins(self, store: Any) -> None:
        """Of threads that race for a key, exactly one succeeds, and its content stays."""
        if not self.can_put_if_absent:
            pytest.skip("this store cannot decide that")
        won: list[bytes] = []

        def race(content: bytes) -> None:
            if store.put_if_absent("lock", content):
                won.append(content)

        threads = [threading.Thread(target=race, args=(bytes([i]) * 100,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert store.get("lock") == won[0]

    def test_pieces_appear_at_commit(self, store: Any) -> None:
        """Before, nothing is there, or the old object is."""
        writer = store.create("k/pieces")
        writer.write(b"one ")
        assert store.get("k/pieces") is None
        writer.write(memoryview(b"two"))
        assert store.get("k/pieces") is None
        writer.commit()
        assert store.get("k/pieces") == b"one two"
        writer.abort()  # safe, and without effect
        assert store.get("k/pieces") == b"one two"
        again = store.create("k/pieces")
        again.write(b"three")
        assert store.get("k/pieces") == b"one two"
        again.commit()
        assert store.get("k/pieces") == b"three"

    def test_an_object_may_be_empty(self, store: Any) -> None:
        """Absent and empty are different things."""
        store.put("k/e1", b"")
        store.create("k/e2").commit()
        assert (store.get("k/e1"), store.get("k/e2")) == (b"", b"")

    def test_abort_leaves_nothing(self, store: Any) -> None:
        """Neither the object nor a trace in listings."""
        writer = store.create("k/gone")
        writer.write(b"x" * 1000)
        writer.abort()
        writer.abort()
        assert store.get("k/gone") is None
        assert store.stat("k/gone") is None
        store.put("k/kept", b"old")
        writer = store.create("k/kept")
        writer.write(b"new")
        writer.abort()
        assert store.get("k/kept") == b"old"
        if isinstance(store, ListableStore):
            assert list(store.list()) == [("k/kept", 3)]

    def test_unfinished_objects_are_not_listed(self, store: Any) -> None:
        """An object that is being written is nobody's business."""
        store.put("done", b"1")
        writer = store.create("begun")
        writer.write(b"x")
        if isinstance(store, ListableStore):
            assert list(store.list()) == [("done", 1)]
            names, folders = store.list_dir()
            assert (list(names), list(folders)) == (["done"], [])
        writer.abort()
        assert store.get("begun") is None

    def test_delete(self, store: Any) -> None:
        """Deleting twice is no error; neighbours stay."""
        store.put("k/a", b"1")
        store.put("k/b", b"2")
        store.delete("k/a")
        store.delete("k/a")
        store.delete("never/was")
        assert store.get("k/a") is None
        assert store.get("k/b") == b"2"
        store.put("k/a", b"3")
        assert store.get("k/a") == b"3"

    def test_unsafe_keys_cannot_be_written(self, store: Any) -> None:
        """No method writes outside the root."""
        for key in UNSAFE_KEYS:
            for write in (
                lambda k: store.put(k, b"x"),
                lambda k: store.put_if_absent(k, b"x"),
                store.create,
                store.delete,
            ):
                with pytest.raises(InputError):
                    write(key)

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_odd_names(self, store: Any, key: str) -> None:
        """What is a safe key is also a usable one, and is listed as it was given."""
        store.put(key, b"odd")
        assert store.get(key) == b"odd"
        if isinstance(store, ListableStore):
            assert list(store.list()) == [(key, 3)]

    def test_a_large_object(self, store: Any) -> None:
        """Objects beyond one part of a multipart upload, written in uneven pieces."""
        data = random.Random(3).randbytes(1 << 20) * 12
        writer = store.create("big")
        for start in range(0, len(data), 3_000_001):
            writer.write(data[start : start + 3_000_001])
        writer.commit()
        assert store.stat("big").size == len(data)
        found = store.get_ranges("big", [ByteRange(-5), ByteRange(8 << 20, 9), ByteRange((8 << 20) - 4, 8)])
        at = 8 << 20
        assert [bytes(p) for p in found] == [data[-5:], data[at : at + 9], data[at - 4 : at + 4]]
        assert store.get("big") == data

    def test_threads_write_side_by_side(self, store: Any) -> None:
        """Writers of several threads do not disturb each other."""

        def write(i: int) -> None:
            writer = store.create(f"t/{i}")
            for _ in range(3):
                writer.write(bytes([i]) * 100)
            store.put(f"p/{i}", bytes([i]))
            writer.commit()

        threads = [threading.Thread(target=write, args=(i,)) for i in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i in range(5):
            assert store.get(f"t/{i}") == bytes([i]) * 300
            assert store.get(f"p/{i}") == bytes([i])

    def test_append(self, store: Any) -> None:
        """Where objects can grow, they grow at the end."""
        if not isinstance(store, AppendableStore):
            pytest.skip("objects of this store cannot grow")
        store.append("log/a", b"one\n")
        store.append("log/a", b"two\n")
        assert store.get("log/a") == b"one\ntwo\n"
