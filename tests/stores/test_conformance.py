"""Every store does what the kit wants."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).parent))
from http_server import RangeServer

from voxarium.errors import UnsupportedError
from voxarium.stores.audit import AuditStore
from voxarium.stores.cache import CacheStore
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.fsspec_store import FsspecStore, WritableFsspecStore
from voxarium.stores.http import HttpStore
from voxarium.stores.latency import LatencyStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore
from voxarium.stores.objects import ObjectStore
from voxarium.stores.zip import ZipStore
from voxarium.stores.zip_writer import ZipWriter
from voxarium.testing.store_kit import REFERENCE, ReadableStoreTests, WritableStoreTests

SERIAL = itertools.count()


class TestLocalStore(WritableStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalStore:
        return LocalStore(tmp_path / "root")


class TestMemoryStore(WritableStoreTests):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestZipWriter(WritableStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ZipWriter]:
        writer = ZipWriter(tmp_path / "out.ozx", held=1 << 20)
        yield writer
        writer.abort()
        assert list(tmp_path.iterdir()) == []


class TestZipStore(ReadableStoreTests):
    @pytest.fixture(params=["stored", "zip64", "deflated", "streamed"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> ZipStore:
        path = tmp_path / "in.zip"
        write_zip(path, request.param)
        return ZipStore(LocalStore(tmp_path), "in.zip")


class TestZipStoreOwn(ReadableStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ZipStore:
        with ZipWriter(tmp_path / "own.ozx") as writer:
            for key, data in REFERENCE.items():
                writer.put(key, data)
        return ZipStore.from_uri(str(tmp_path / "own.ozx"))


class TestZipOverHttp(ReadableStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ZipStore]:
        write_zip(tmp_path / "in.zip", "stored")
        with RangeServer({"x/in.zip": (tmp_path / "in.zip").read_bytes()}) as server:
            yield ZipStore(HttpStore(f"{server.url}/x"), "in.zip")


def write_zip(path: Path, kind: str) -> None:
    import io
    import zipfile

    class Unseekable(io.RawIOBase):
        """Makes zipfile put sizes behind the data."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            return self.file.write(data)

    method = zipfile.ZIP_DEFLATED if kind == "deflated" else zipfile.ZIP_STORED
    with open(path, "wb") as file:
        target: Any = Unseekable(file) if kind == "streamed" else file
        with zipfile.ZipFile(target, "w", method) as archive:
            archive.mkdir("n") if hasattr(archive, "mkdir") else None
            for key, data in REFERENCE.items():
                with archive.open(key, "w", force_zip64=kind == "zip64") as member:
                    member.write(data)


class TestHttpStore(ReadableStoreTests):
    @pytest.fixture(params=["plain", "no-range", "no-suffix", "no-head", "no-etag"])
    def store(self, request: pytest.FixtureRequest) -> Iterator[HttpStore]:
        with RangeServer({f"my data/{k}": v for k, v in REFERENCE.items()}) as server:
            server.faults.ignore_range = request.param == "no-range"
            server.faults.no_suffix = request.param == "no-suffix"
            server.faults.no_head = request.param == "no-head"
            server.faults.no_etag = request.param == "no-etag"
            yield HttpStore(f"{server.url}/my%20data/?token=secret", retries=0)


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def make_bucket(endpoint: str) -> str:
    import urllib.request

    name = f"bucket-{next(SERIAL)}"
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT")
    urllib.request.urlopen(request, timeout=5).close()
    return name


CONFIG = {"access_key_id": "test", "secret_access_key": "test", "region": "us-east-1"}


class TestObjectStore(WritableStoreTests):
    @pytest.fixture
    def store(self, s3_endpoint: str) -> ObjectStore:
        uri = f"s3://{make_bucket(s3_endpoint)}/some/prefix"
        return ObjectStore(uri, config={**CONFIG, "endpoint": s3_endpoint})


class TestObjectStoreRoot(ReadableStoreTests):
    @pytest.fixture
    def store(self, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        store = ObjectStore.from_uri(f"s3://{make_bucket(s3_endpoint)}")
        for key, data in REFERENCE.items():
            store.put(key, data)
        return store


class TestFsspecMemory(WritableStoreTests):
    @pytest.fixture
    def store(self) -> FsspecStore:
        store = FsspecStore.from_uri(f"memory://kit{next(SERIAL)}/root")
        assert isinstance(store, WritableFsspecStore)
        return store


class TestFsspecLocal(WritableStoreTests):
    """Files show while they are written, and cannot be made only if absent."""

    can_put_if_absent = False

    @pytest.fixture
    def store(self, tmp_path: Path) -> FsspecStore:
        return FsspecStore.from_uri(f"local://{tmp_path}/root")

    def test_put_if_absent_does_not_pretend(self, store: WritableFsspecStore) -> None:
        with pytest.raises(UnsupportedError):
            store.put_if_absent("a", b"")


class TestCacheStore(WritableStoreTests):
    @pytest.fixture(params=["memory", "always", "disk", "tiny"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> CacheStore:
        options: dict[str, dict[str, Any]] = {
            "memory": {},
            "always": {"max_age": 0},
            "disk": {"disk": tmp_path / "cache"},
            "tiny": {"memory": 900, "remember_absent": True},
        }
        return CacheStore(LocalStore(tmp_path / "root"), **options[request.param])


class TestAuditStore(WritableStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> AuditStore:
        return AuditStore(LocalStore(tmp_path))


class TestLatencyStore(WritableStoreTests):
    @pytest.fixture
    def store(self) -> LatencyStore:
        return LatencyStore(MemoryStore(), 0.0001, bytes_per_second=1e9)


class TestFaultStore(WritableStoreTests):
    @pytest.fixture
    def store(self) -> FaultStore:
        return FaultStore(MemoryStore(), [FaultRule(keys="other/*"), FaultRule(probability=0.0)])
