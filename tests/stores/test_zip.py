from __future__ import annotations

import io
import json
import os
import struct
import sys
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from http_server import RangeServer

from voxarium.errors import (
    ChecksumError,
    Code,
    ExistsError,
    FormatError,
    NotFoundError,
    StoreError,
    UnsupportedError,
    VoxariumError,
)
from voxarium.model.protocols import ByteRange, ListableStore, WritableStore
from voxarium.spec.ozx import dump_comment, parse_comment
from voxarium.spec.zip_directory import dump_directory, parse_directory, parse_end
from voxarium.stores.audit import AuditStore
from voxarium.stores.http import HttpStore
from voxarium.stores.memory import MemoryStore
from voxarium.stores.zip import ZipStore
from voxarium.stores.zip_writer import ZipWriter

GROUP = json.dumps({"node_type": "group", "attributes": {"ome": {"version": "0.5"}}}).encode()
SHARDED = json.dumps({"node_type": "array", "codecs": [{"name": "sharding_indexed"}]}).encode()
PLAIN = json.dumps({"node_type": "array", "codecs": [{"name": "bytes"}]}).encode()


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_STORED, **options: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def opened(raw: bytes, **options: Any) -> ZipStore:
    return ZipStore(MemoryStore({"x.zip": raw}), "x.zip", **options)


def patched(raw: bytes, signature: bytes, at: int, code: str, value: int, which: int = 0) -> bytes:
    """Overwrite a field of the record that starts with `signature`."""
    start = -1
    for _ in range(which + 1):
        start = raw.index(signature, start + 1)
    out = bytearray(raw)
    struct.pack_into(code, out, start + at, value)
    return bytes(out)


# ------------------------------------------------------------------------------------------------- reading
def test_capabilities() -> None:
    store = opened(packed({"a": b"1"}))
    assert isinstance(store, ListableStore)
    assert not isinstance(store, WritableStore)


def test_opening_and_reading_take_few_requests() -> None:
    """The size, the end, then one request per member, and one per set of ranges."""
    base = AuditStore(MemoryStore({"x.zip": packed({f"c/{i}": bytes([i]) * 99 for i in range(50)})}))
    store = ZipStore(base, "x.zip")
    assert base.round_trips == 2
    base.reset()
    assert store.get("c/7") == b"\x07" * 99
    assert base.round_trips == 1
    base.reset()
    assert store.get_ranges("c/8", [ByteRange(-3), ByteRange(0, 2)]) == [b"\x08" * 3, b"\x08" * 2]
    assert base.round_trips == 1
    assert store.get_ranges("c/9", []) == []
    assert store.get("none") is None
    assert base.round_trips == 1


def test_a_large_directory_takes_one_request_more() -> None:
    raw = packed({f"c/{i:05d}": b"" for i in range(3000)})
    base = AuditStore(MemoryStore({"x.zip": raw}))
    store = ZipStore(base, "x.zip")
    assert base.round_trips == 3
    assert sum(1 for _ in store.list("c")) == 3000
    with pytest.raises(FormatError) as caught:
        ZipStore(base, "x.zip", max_directory=1000)
    assert caught.value.code == Code.SIZE_IMPLAUSIBLE


def test_a_zip_on_a_server_is_read_by_ranges() -> None:
    raw = packed({"big": bytes(500_000), "zarr.json": b"{}"})
    with RangeServer({"d/x.ozx": raw}) as server:
        store = ZipStore(HttpStore(f"{server.url}/d"), "x.ozx")
        assert store.uri == f"{server.url}/d/x.ozx"
        assert store.get("zarr.json") == b"{}"
        assert store.get_ranges("big", [ByteRange(100, 5)]) == [bytes(5)]
        assert server.bytes_sent < 200_000


def test_of_members_with_one_name_the_last_counts() -> None:
    """As zarr-python's ZipStore leaves them when metadata is rewritten."""
    with pytest.warns(UserWarning, match="Duplicate name"):  # noqa: PT031
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("zarr.json", b"old")
            archive.writestr("zarr.json", b"new")
    assert opened(file.getvalue()).get("zarr.json") == b"new"


def test_names_without_the_utf8_flag_are_read() -> None:
    raw = packed({"äöü": b"1"})
    cleared = patched(patched(raw, b"PK\x01\x02", 8, "<H", 0), b"PK\x03\x04", 6, "<H", 0)
    assert [k for k, _ in opened(cleared).list()] == ["äöü"]


def test_absent_and_empty_files() -> None:
    with pytest.raises(NotFoundError):
        ZipStore(MemoryStore(), "x.zip")
    with pytest.raises(NotFoundError):
        ZipStore.from_uri("/nonexistent/x.zip")
    assert list(opened(packed({})).list()) == []
    with pytest.raises(FormatError):
        opened(b"")


# ------------------------------------------------------------------------------------------ hostile archives
@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\\b", "a//b", "./x", "a\nb"])
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(FormatError) as caught:
        opened(packed({name: b"x", "fine": b"y"}))
    assert caught.value.code == Code.KEY_UNSAFE


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    raw = packed({"bomb": bytes(10 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(raw) < 20_000
    store = opened(raw, max_inflated=1 << 20)
    for read in (lambda: store.get("bomb"), lambda: store.get_ranges("bomb", [ByteRange(0, 1)])):
        with pytest.raises(FormatError) as caught:
            read()
        assert caught.value.code == Code.SIZE_IMPLAUSIBLE
    lying = patched(raw, b"PK\x01\x02", 24, "<I", 0xFFFFFFF0)  # more than deflate can
    with pytest.raises(FormatError) as caught:
        opened(lying, max_inflated=1 << 40).get("bomb")
    assert caught.value.code == Code.SIZE_IMPLAUSIBLE


@pytest.mark.parametrize("claimed", [0, 99, 101, 5000])
def test_a_member_never_inflates_beyond_what_it_claims(claimed: int) -> None:
    raw = packed({"m": b"ab" * 50}, zipfile.ZIP_DEFLATED)
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        raw = patched(raw, signature, at, "<I", claimed)
    with pytest.raises(FormatError):
        opened(raw).get("m")


def test_overlapping_members_are_refused() -> None:
    """Many entries that share one body: petabytes in a small file."""
    raw = packed({"a": b"x" * 500, "b": b"y" * 500})
    with pytest.raises(FormatError, match="overlaps"):
        opened(patched(raw, b"PK\x01\x02", 42, "<I", 0, which=1))


def test_a_local_header_may_not_contradict_the_directory() -> None:
    raw = packed({"a": b"x" * 50, "b": b"y" * 50})
    for at, code, value in ((8, "<H", 8), (22, "<I", 49), (28, "<H", 60000), (0, "<I", 7)):
        bad = patched(raw, b"PK\x03\x04", at, code, value)
        for read in (lambda s: s.get("a"), lambda s: s.get_ranges("a", [ByteRange(0, 1)])):
            with pytest.raises(FormatError):
                read(opened(bad))


def test_damage_is_noticed() -> None:
    raw = bytearray(packed({"a": b"x" * 50}))
    raw[40] ^= 1
    with pytest.raises(ChecksumError) as caught:
        opened(bytes(raw)).get("a")
    assert caught.value.code == Code.CHECKSUM_MISMATCH
    deflated = bytearray(packed({"a": os.urandom(500)}, zipfile.ZIP_DEFLATED))
    deflated[31] = 0xFF
    with pytest.raises(FormatError):
        opened(bytes(deflated)).get("a")


def test_encrypted_and_foreign_methods_are_unsupported() -> None:
    raw = packed({"a": b"x" * 50})
    with pytest.raises(UnsupportedError, match="encrypted"):
        opened(patched(raw, b"PK\x01\x02", 8, "<H", 1)).get("a")
    with pytest.raises(UnsupportedError, match="method 93"):
        opened(patched(raw, b"PK\x01\x02", 10, "<H", 93)).get("a")


def test_split_prefixed_and_cut_files_are_refused() -> None:
    raw = packed({"a": b"x" * 50})
    for bad in (
        b"#!/bin/sh\n" + raw,
        raw[:-1],
        raw + b"\0",
        raw[10:],
        patched(raw, b"PK\x05\x06", 4, "<H", 1),
        patched(raw, b"PK\x05\x06", 10, "<H", 60000),
        patched(raw, b"PK\x05\x06", 12, "<I", 1 << 30),
        patched(raw, b"PK\x05\x06", 16, "<I", 3),
    ):
        with pytest.raises(FormatError):
            opened(bad)


def test_a_comment_cannot_fake_a_second_end() -> None:
    raw = packed({"a": b"x"})
    fake = raw[raw.index(b"PK\x05\x06") :]
    two = patched(raw, b"PK\x05\x06", 20, "<H", len(fake)) + fake
    with pytest.raises(FormatError, match="two ends"):
        opened(two)


@given(st.binary(max_size=120), st.integers(0, 10_000), st.integers(0, 400), st.booleans())
def test_junk_gives_an_error_or_a_value(junk: bytes, at: int, cut: int, deflate: bool) -> None:
    method = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    raw = bytearray(packed({"a/b": b"xyz" * 20, "zarr.json": b"{}", "e": b""}, method))
    at %= len(raw)
    raw[at : at + len(junk)] = junk
    del raw[len(raw) - cut % len(raw) :]
    for candidate in (junk, bytes(raw)):
        try:
            store = opened(candidate)
            for key, _ in store.list():
                store.get(key)
                store.get_ranges(key, [ByteRange(0)])
        except VoxariumError as error:
            assert error.fix  # noqa: PT017


# ------------------------------------------------------------------------------------------------- writing
@pytest.mark.parametrize("size", [100, 9 << 20], ids=["copied", "padded"])
def test_documents_stand_first_and_others_can_read_it(tmp_path: Path, size: int) -> None:
    path = tmp_path / "em.ozx"
    body = os.urandom(size)
    with ZipWriter(path) as store:
        store.put("0/c/0/0", body)
        store.put("0/zarr.json", SHARDED)
        store.put("labels/cells/zarr.json", GROUP)
        store.put("labels/zarr.json", GROUP)
        store.put("10/zarr.json", SHARDED)
        store.put("2/zarr.json", SHARDED)
        writer = store.create("0/c/0/1")
        store.put("zarr.json", GROUP)
        writer.write(body[:50])
        writer.commit()
        assert not path.exists()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        infos = archive.infolist()
        assert archive.read("0/c/0/0") == body
        assert archive.comment == dump_comment("0.5")
    expected = ["zarr.json", "0/zarr.json", "2/zarr.json", "10/zarr.json", "labels/zarr.json"]
    expected += ["labels/cells/zarr.json", "0/c/0/0", "0/c/0/1"]
    assert [i.filename for i in infos] == expected
    offsets = [i.header_offset for i in infos]
    assert offsets == sorted(offsets)
    assert offsets[0] == 0
    assert all(i.compress_type == zipfile.ZIP_STORED for i in infos)
    assert b"PK\x06\x06" in path.read_bytes()[-2000:]
    assert os.listdir(tmp_path) == ["em.ozx"]
    store = ZipStore.from_uri(f"file://{path}")
    assert store.ozx_version == "0.5"
    assert store.get("0/c/0/1") == body[:50]
    assert path.stat().st_size < size + 70_000


def test_the_comment_is_for_sharded_images_only(tmp_path: Path) -> None:
    for name, documents in {
        "unsharded": {"zarr.json": GROUP, "0/zarr.json": PLAIN},
        "no-ome": {"zarr.json": b"{}"},
        "junk": {"zarr.json": b"\xff["},
        "no-root": {"0/zarr.json": SHARDED},
    }.items():
        with ZipWriter(tmp_path / name) as store:
            for key, data in documents.items():
                store.put(key, data)
        assert zipfile.ZipFile(tmp_path / name).comment == b""


def test_replaced_and_deleted_objects_leave_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with ZipWriter(path) as store:
        store.put("a", b"SECRET-1" * 1000)
        store.put("b", b"SECRET-2" * 1000)
        store.put("c", b"kept")
        store.put("a", b"new")
        store.delete("b")
        store.put("big", bytes(9 << 20))
    raw = path.read_bytes()
    assert b"SECRET" not in raw
    assert zipfile.ZipFile(path).testzip() is None
    assert {k: ZipStore.from_uri(str(path)).get(k) for k in ("a", "b", "c")} == {
        "a": b"new",
        "b": None,
        "c": b"kept",
    }


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        with ZipWriter(tmp_path / name) as store:
            store.put("c/0", b"x" * 1000)
            store.put("zarr.json", GROUP)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_failed_job_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ZipWriter(tmp_path / "x.zip") as store:  # noqa: PT012
        store.put("a", b"1")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_existing_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"precious")
    with pytest.raises(ExistsError):
        ZipWriter(path)
    path.unlink()
    store = ZipWriter(path)
    path.write_bytes(b"precious")
    with pytest.raises(ExistsError):
        store.close()
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["x.zip"]
    with ZipWriter(path, overwrite=True) as store:
        assert path.read_bytes() == b"precious"
    assert zipfile.is_zipfile(path)


def test_a_closed_file_takes_nothing_more(tmp_path: Path) -> None:
    store = ZipWriter(tmp_path / "x.zip", durable=True)
    begun = store.create("late")
    begun.write(b"x")
    store.close()
    store.close()
    for write in (
        lambda: store.put("a", b""),
        lambda: store.put("zarr.json", b""),
        lambda: store.create("a"),
        lambda: store.delete("a"),
        begun.commit,
        lambda: store.get("a"),
    ):
        with pytest.raises(StoreError):
            write()


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ZipWriter(tmp_path / "x.zip")
    store.put("a", b"1")
    real = os.pwrite

    def full(fd: int, data: Any, at: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StoreError) as caught:
        store.put("b", b"2")
    assert caught.value.code == Code.STORE_FULL
    monkeypatch.setattr(os, "pwrite", real)
    store.put("c", b"3")
    store.close()
    assert zipfile.ZipFile(tmp_path / "x.zip").namelist() == ["a", "c"]


def test_many_threads_write_one_file(tmp_path: Path) -> None:
    with ZipWriter(tmp_path / "x.zip", held=1000) as store:

        def work(i: int) -> None:
            for j in range(20):
                writer = store.create(f"c/{i}/{j}")
                writer.write(bytes([i]) * (j * 97))
                writer.write(bytes([j]))
                writer.commit()
                store.put(f"d/{i}/{j}/zarr.json", b"{}")

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 160
        assert archive.read("c/3/19") == b"\x03" * (19 * 97) + b"\x13"


def test_more_members_than_16_bits_count(tmp_path: Path) -> None:
    with ZipWriter(tmp_path / "x.zip") as store:
        for i in range(65_600):
            store.put(f"{i}", b"")
    assert sum(1 for _ in ZipStore.from_uri(str(tmp_path / "x.zip")).list()) == 65_600
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert len(archive.namelist()) == 65_600


class _Sparse:
    """A file of many GiB of zeros around a few bytes."""

    concurrency = 1
    uri = "mem://sparse"

    def __init__(self, parts: dict[int, bytes], size: int) -> None:
        self.parts = parts
        self.size = size

    def get(self, key: str, /) -> bytes | None:
        raise NotImplementedError

    def stat(self, key: str, /) -> Any:
        from voxarium.model.protocols import ObjectStat

        return ObjectStat(self.size, "1")

    def get_ranges(self, key: str, ranges: Any, /) -> Any:
        out = []
        for r in ranges:
            part = bytearray(r.length)
            for at, data in self.parts.items():
                for i in range(max(at, r.start), min(at + len(data), r.start + r.length)):
                    part[i - r.start] = data[i - at]
            out.append(bytes(part))
        return out


def test_members_beyond_four_gibibytes() -> None:
    from voxarium.spec.zip_directory import Member, dump_local_header

    size = 5 << 30
    large = Member(name="big", crc=0, stored_size=size, size=size, header=0)
    head = dump_local_header(large)
    behind = len(head) + size
    small = Member(name="s", crc=zlib.crc32(b"after"), stored_size=5, size=5, header=behind)
    tail = dump_local_header(small) + b"after"
    start = behind + len(tail)
    directory = dump_directory([large, small], start)
    end = parse_end(directory, start + len(directory))
    assert end.start == start
    assert parse_directory(directory[: end.size], end)["s"].header == behind
    parts = {0: head, behind: tail, start: directory, len(head) + size - 3: b"end"}
    store = ZipStore(_Sparse(parts, start + len(directory)), "big.zip")
    assert store.get("s") == b"after"
    assert store.get_ranges("big", [ByteRange(-3), ByteRange(4 << 30, 2)]) == [b"end", b"\0\0"]


@given(st.binary(max_size=60))
def test_any_comment_is_read(comment: bytes) -> None:
    parse_comment(comment)


def test_comments() -> None:
    assert parse_comment(dump_comment("0.6")) == ("0.6", True)
    assert parse_comment(b'{"ome": {"version": "0.5"}}\0') == ("0.5", False)
    for junk in (b"", b"[]", b'{"ome": 5}', b'{"ome": {"version": 5, "zipFile": []}}', b"[" * 5000):
        assert parse_comment(junk) == (None, False)
