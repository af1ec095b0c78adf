"""OCDBT databases as TensorStore writes them, in every version they have."""

from __future__ import annotations

import itertools
import random
import struct
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import tensorstore as ts
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.core.uri import open_folder, open_source_store
from voxarium.core.versioned import iter_versions
from voxarium.errors import ChecksumError, Code, FormatError, InputError, NotFoundError, StoreError, VoxariumError
from voxarium.model.protocols import ByteRange, ListableStore
from voxarium.model.versioned import VersionedFolder, VersionedStoreDriver
from voxarium.spec import ocdbt
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore
from voxarium.stores.ocdbt import OcdbtDriver, OcdbtStore
from voxarium.testing.store_kit import REFERENCE, ReadableStoreTests

CONFIGS: dict[str, dict[str, Any]] = {
    "usual": {},
    "small-nodes": {"max_decoded_node_bytes": 200, "version_tree_arity_log2": 1, "max_inline_value_bytes": 10},
    "numbered": {"manifest_kind": "numbered", "max_decoded_node_bytes": 300, "version_tree_arity_log2": 2},
    "uncompressed": {"compression": None, "max_decoded_node_bytes": 300},
    "nothing-inline": {"max_inline_value_bytes": 0, "compression": {"id": "zstd", "level": 19}},
}


def written(path: Path, config: dict[str, Any]) -> list[dict[str, bytes]]:
    """Write a database of many versions; return what each has, the first (before any key) included."""
    kv = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{path}/", "config": config}).result()
    rng, now = random.Random(7), {}
    states: list[dict[str, bytes]] = []
    for step in range(30):
        key = "/".join(rng.choice(["a", "bb", "c1", "c10", "zarr.json", "ä"]) for _ in range(rng.randint(1, 3)))
        value = rng.randbytes(rng.choice([0, 5, 50, 500, 5000]))
        if step % 5 == 4:
            key = rng.choice(sorted(now))
            kv.delete_range(ts.KvStore.KeyRange(key, key + "\0")).result()
            del now[key]
        else:
            kv.write(key, value).result()
            now[key] = value
        states.append(dict(now))
    return states


def folder(path: Path) -> VersionedFolder:
    return VersionedFolder(store=LocalStore(str(path)), address=str(path))


class TestOcdbt:
    @pytest.mark.oracle
    @pytest.mark.parametrize("config", CONFIGS)
    def test_every_version_has_the_bytes_that_tensorstore_wrote(self, tmp_path: Path, config: str) -> None:
        states = written(tmp_path, CONFIGS[config])
        versions = list(OcdbtDriver().versions(folder(tmp_path)))
        assert len(versions) >= len(states)
        latest = OcdbtStore(LocalStore(str(tmp_path)))
        assert {k: latest.get(k) for k, _ in latest.list()} == states[-1]
        seen = []
        for version in reversed(versions):
            store = OcdbtStore(LocalStore(str(tmp_path)), version.name)
            oracle = ts.KvStore.open(
                {"driver": "ocdbt", "base": f"file://{tmp_path}/", "version": int(version.name[1:])}
            ).result()
            held = {k.decode(): oracle.read(k).result().value for k in oracle.list().result()}
            assert {k: store.get(k) for k, _ in store.list()} == held
            assert [(k, len(v)) for k, v in sorted(held.items(), key=lambda p: p[0].encode())] == list(store.list())
            assert OcdbtStore(LocalStore(str(tmp_path)), version.time).generation == store.generation
            seen.append(held)
        assert all(state in seen for state in states)

    def test_ranges_sizes_and_folders_are_those_of_the_keys(self, tmp_path: Path) -> None:
        kv = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{tmp_path}/"}).result()
        values = {"zarr.json": b"{}", "s0/c/0/0": bytes(range(256)) * 3, "s0/c/0/1": b"x", "s0/c/10": b"", "s00": b"y"}
        for key, value in values.items():
            kv.write(key, value).result()
        store = OcdbtStore(LocalStore(str(tmp_path)))
        assert isinstance(store, ListableStore)
        assert store.list_dir("") == (["s00", "zarr.json"], ["s0"])
        assert store.list_dir("s0/c") == (["10"], ["0"])
        assert store.list_dir("none") == ([], [])
        assert dict(store.list("s0")) == {"s0/c/0/0": 768, "s0/c/0/1": 1, "s0/c/10": 0}
        for key, value in values.items():
            stat = store.stat(key)
            assert stat is not None
            assert stat.size == len(value)
        parts = store.get_ranges("s0/c/0/0", [ByteRange(-3), ByteRange(2, 4), ByteRange(766, 2)])
        assert parts is not None
        assert [bytes(p) for p in parts] == [b"\xfd\xfe\xff", b"\x02\x03\x04\x05", b"\xfe\xff"]
        assert store.get("s0/c/0") is None
        assert store.stat("s0/c/0/2") is None
        assert store.get_ranges("absent", [ByteRange(0, 1)]) is None
        with pytest.raises(StoreError):
            store.get_ranges("s0/c/0/0", [ByteRange(700, 100)])
        with pytest.raises(InputError):
            store.get("../secret")

    def test_a_version_is_fixed_when_it_is_opened(self, tmp_path: Path) -> None:
        kv = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{tmp_path}/"}).result()
        kv.write("a", b"1").result()
        store = OcdbtStore(LocalStore(str(tmp_path)))
        kv.write("a", b"2").result()
        assert store.get("a") == b"1"
        assert OcdbtStore(LocalStore(str(tmp_path))).get("a") == b"2"

    def test_a_database_without_any_commit_is_empty(self, tmp_path: Path) -> None:
        kv = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{tmp_path}/"}).result()
        kv.write("a", b"").result()
        kv.delete_range(ts.KvStore.KeyRange("", "")).result()
        store = OcdbtStore(LocalStore(str(tmp_path)))
        assert list(store.list()) == []
        assert store.get("a") is None

    @pytest.mark.parametrize(
        "version", ["v0", "v99", "1969-01-01T00:00:00Z", "main", "v", "v-1", "2026-13-01T00:00:00Z"]
    )
    def test_a_version_that_is_not_there_is_not_found(self, tmp_path: Path, version: str) -> None:
        ts.KvStore.open({"driver": "ocdbt", "base": f"file://{tmp_path}/"}).result().write("a", b"1").result()
        with pytest.raises(NotFoundError) as caught:
            OcdbtStore(LocalStore(str(tmp_path)), version)
        assert caught.value.code == Code.VERSION_MISSING

    def test_a_time_between_two_commits_means_the_earlier(self, tmp_path: Path) -> None:
        kv = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{tmp_path}/"}).result()
        for i in range(40):
            kv.write("a", str(i).encode()).result()
        versions = list(OcdbtDriver().versions(folder(tmp_path)))
        for later, earlier in itertools.pairwise(versions):
            between = ocdbt.time_text(ocdbt.parse_commit_time(later.time) - 1)
            assert OcdbtStore(LocalStore(str(tmp_path)), between).uri.endswith(f"@{earlier.name}")


class TestOcdbtStore(ReadableStoreTests):
    """What every store does."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> OcdbtStore:
        kv = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{tmp_path}/"}).result()
        for key, value in REFERENCE.items():
            kv.write(key, value).result()
        return OcdbtStore(LocalStore(str(tmp_path)))


class TestAddresses:
    @pytest.fixture
    def database(self, tmp_path: Path) -> Path:
        """A zarr array in a database, in two versions."""
        path = tmp_path / "em.ocdbt"
        grid = {"name": "regular", "configuration": {"chunk_shape": [3, 4, 5]}}
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "ocdbt", "base": f"file://{path}/", "path": "em/s0/"},
            "metadata": {"shape": [5, 6, 7], "data_type": "uint16", "chunk_grid": grid},
        }
        array = ts.open(spec, create=True).result()
        with ts.Transaction(atomic=False) as transaction:
            array.with_transaction(transaction)[...] = np.arange(210, dtype="<u2").reshape(5, 6, 7)
        with ts.Transaction(atomic=False) as transaction:
            array.with_transaction(transaction)[1, 2, 3] = 9999
        return path

    def test_arrays_inside_open_at_any_version(self, database: Path) -> None:
        newest = next(iter(iter_versions(str(database), open_folder)))
        before = f"v{int(newest.name[1:]) - 1}"
        old = np.arange(210, dtype="<u2").reshape(5, 6, 7)
        new = old.copy()
        new[1, 2, 3] = 9999
        for address, expected in {
            f"{database}::em/s0": new,
            f"{database}|ocdbt:em/s0": new,
            f"{database}/|ocdbt:em/s0/": new,
            f"file://{database}/|ocdbt:@{before}/em/s0": old,
            f"{database}@{newest.name}/em/s0": new,
            f"{database}@{before}/em/s0": old,
            f"{database}@{newest.time}/em/s0": new,
        }.items():
            image = voxarium.open(address)
            assert isinstance(image, voxarium.Image), address
            assert np.array_equal(image[...], expected), address
        found = voxarium.open(str(database))
        assert isinstance(found, voxarium.Dataset)
        assert list(found.keys()) == ["em/s0"]

    def test_addresses_that_name_nothing_say_what_is_wrong(self, database: Path) -> None:
        for address, error in {
            f"{database}@v999/em/s0": NotFoundError,
            f"{database}|ocdbt:@main/em/s0": NotFoundError,
            f"{database}|other:em": VoxariumError,
            f"{database}|ocdbt:em|zarr3:": InputError,
            f"{database}|ocdbt": InputError,
            "|ocdbt:em": InputError,
            f"{database}-none|ocdbt:em": NotFoundError,
            f"{database.parent}|ocdbt:em": NotFoundError,
            f"{database.parent}/em@v1": NotFoundError,
        }.items():
            with pytest.raises(error):
                open_source_store(address)

    def test_nothing_is_written_into_a_version(self, database: Path) -> None:
        with pytest.raises(InputError) as caught:
            voxarium.convert(f"{database}::em/s0", f"{database}|ocdbt:copy")
        assert caught.value.code == Code.STORE_READ_ONLY

    def test_the_driver_is_found_by_its_entry_point(self) -> None:
        assert isinstance(OcdbtDriver(), VersionedStoreDriver)


def envelope(magic: int, body: bytes, compression: int = 0) -> bytes:
    head = magic.to_bytes(4, "big") + struct.pack("<Q", len(body) + 18) + bytes([0, compression]) + body
    return head + google_crc32c.value(head).to_bytes(4, "little")


def varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def manifest(table: bytes, location: bytes) -> bytes:
    """A manifest with one version, whose root is at `location` (file, offset, length)."""
    head = bytes(16) + varint(0) + varint(100) + varint(8 << 20) + bytes([4]) + varint(0)
    version = varint(1) + varint(1) + b"\x00" + location + varint(1) + varint(1) + varint(0) + struct.pack("<Q", 5)
    return envelope(ocdbt.MANIFEST, head + table + version + varint(0))


def table(*paths: str) -> bytes:
    names = [p.encode() for p in paths]
    lengths = b"".join(varint(len(n)) for n in names)
    return varint(len(names)) + bytes(max(0, len(names) - 1)) + lengths + bytes(len(names)) + b"".join(names)


class TestHostile:
    def database(self, node: bytes, key: str = "d/x") -> MemoryStore:
        root = varint(0) + varint(0) + varint(len(node))
        return MemoryStore({ocdbt.MANIFEST_KEY: manifest(table(key), root), "d/x": node})

    def leaf(self, entries: int, *columns: bytes) -> bytes:
        return envelope(ocdbt.BTREE_NODE, b"\x00" + table("d/x") + varint(entries) + b"".join(columns))

    def test_a_good_database_made_by_hand_opens(self) -> None:
        node = self.leaf(1, varint(1), b"k", varint(3), varint(0), b"abc")
        assert OcdbtStore(self.database(node)).get("k") == b"abc"

    @pytest.mark.parametrize("key", ["../x", "/etc/passwd", "d//x", "d/\\x"])
    def test_data_files_outside_of_the_database_are_refused(self, key: str) -> None:
        with pytest.raises(FormatError) as caught:
            OcdbtStore(self.database(b"", key))
        assert caught.value.code == Code.KEY_UNSAFE

    def test_numbers_of_entries_without_bytes_are_refused(self) -> None:
        for count in (2, 2**20, 2**62, 2**64 - 1):
            with pytest.raises(FormatError):
                OcdbtStore(self.database(self.leaf(count, varint(1), b"k"))).get("k")

    def test_long_keys_that_share_their_beginning_do_not_fill_memory(self) -> None:
        n = 20_000
        shared = varint(65000) * (n - 1)
        own = varint(65000) + varint(2) * (n - 1)
        node = self.leaf(n, shared, own, bytes(65000) + bytes(2 * (n - 1)), bytes(n), bytes(n))
        with pytest.raises(FormatError) as caught:
            OcdbtStore(self.database(node)).get("k")
        assert caught.value.code == Code.SIZE_IMPLAUSIBLE

    def test_a_compressed_body_that_grows_too_much_is_refused(self) -> None:
        from numcodecs.zstd import Zstd

        node = envelope(ocdbt.BTREE_NODE, Zstd(1).encode(bytes(100 << 20)), 1)
        with pytest.raises(FormatError):
            OcdbtStore(self.database(node)).get("k")

    def test_a_tree_that_leads_into_itself_ends(self) -> None:
        def node(length: int) -> bytes:
            columns = varint(1) + varint(0) + b"k" + varint(0) + varint(0) + varint(length) + bytes(3)
            return envelope(ocdbt.BTREE_NODE, b"\x01" + table("d/x") + varint(1) + columns)

        data = node(len(node(1)))
        head = bytes(16) + varint(0) + varint(100) + varint(8 << 20) + bytes([4]) + varint(0)
        version = varint(1) + varint(1) + b"\x01" + varint(0) + varint(0) + varint(len(data)) + bytes(3) + bytes(8)
        whole = envelope(ocdbt.MANIFEST, head + table("d/x") + version + varint(0))
        store = OcdbtStore(MemoryStore({ocdbt.MANIFEST_KEY: whole, "d/x": data}))
        for call in (lambda: store.get("k"), lambda: list(store.list()), lambda: store.list_dir("")):
            with pytest.raises(FormatError):
                call()

    def test_a_value_beyond_its_file_is_an_error_and_not_absent(self) -> None:
        node = self.leaf(1, varint(1), b"k", varint(2**40), varint(1), varint(0), varint(5))
        store = OcdbtStore(self.database(node))
        with pytest.raises(StoreError):
            store.get("k")
        gone = self.database(node)
        gone.delete("d/x")
        with pytest.raises(StoreError):
            OcdbtStore(gone).get("k")

    def test_a_changed_byte_is_noticed(self, tmp_path: Path) -> None:
        written(tmp_path, CONFIGS["small-nodes"])
        objects = {k: LocalStore(str(tmp_path)).get(k) or b"" for k, _ in LocalStore(str(tmp_path)).list()}
        data = bytearray(objects[ocdbt.MANIFEST_KEY])
        data[40] ^= 4
        with pytest.raises(ChecksumError):
            OcdbtStore(MemoryStore({**objects, ocdbt.MANIFEST_KEY: bytes(data)}))

    @settings(max_examples=150, deadline=None)
    @given(data=st.binary(max_size=200), height=st.integers(0, 3), magic=st.sampled_from(["m", "v", "b"]))
    def test_junk_gives_errors_of_this_package_only(self, data: bytes, height: int, magic: str) -> None:
        place = ocdbt.Place(ocdbt.DataFile("d/x", "d/"), 0, 5)
        try:
            if magic == "m":
                ocdbt.parse_manifest(data, "m")
            elif magic == "v":
                ocdbt.parse_version_node(data, "v", ocdbt.Subtree(5, 5, height, place))
            else:
                ocdbt.parse_btree_node(data, "b", "d/", height)
        except VoxariumError:
            pass
