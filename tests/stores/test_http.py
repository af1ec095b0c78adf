from __future__ import annotations

import pickle
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from http_server import RangeServer

from voxarium.errors import Code, InputError, StoreError
from voxarium.model.protocols import ByteRange, FileStore, ListableStore, WritableStore
from voxarium.stores.http import HttpStore

DATA = bytes(i * 13 % 256 for i in range(300_007))


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer({"d/a": DATA, "d/b": b"b"}) as server:
        yield server


@pytest.fixture
def store(server: RangeServer) -> HttpStore:
    return HttpStore(f"{server.url}/d?token=s3cr3t", retries=1)


def test_it_is_for_reading_only(store: HttpStore) -> None:
    assert isinstance(store, FileStore)
    assert not isinstance(store, WritableStore)
    assert not isinstance(store, ListableStore)
    assert store.concurrency >= 16


def test_a_shard_index_costs_one_request(server: RangeServer, store: HttpStore) -> None:
    found = store.get_ranges("a", [ByteRange(-20)])
    assert found is not None
    assert bytes(found[0]) == DATA[-20:]
    assert server.requests == [("GET", "d/a", "bytes=-20")]


def test_near_ranges_share_a_request_and_far_ones_are_side_by_side(server: RangeServer, store: HttpStore) -> None:
    server.faults.latency = 0.05
    started = time.perf_counter()
    asked = [(0, 10), (10, 5), (100_000, 7), (40, 3), (200_000, 1), (299_000, 1007)]
    found = store.get_ranges("a", [ByteRange(a, n) for a, n in asked])
    assert found is not None
    assert [bytes(p) for p in found] == [DATA[a : a + n] for a, n in asked]
    assert len(server.requests) == 4
    assert server.peak == 4
    assert time.perf_counter() - started < 0.15


def test_a_server_that_ignores_ranges_is_asked_once_for_the_object(server: RangeServer, store: HttpStore) -> None:
    server.faults.ignore_range = True
    assert store.get_ranges("a", [ByteRange(5, 2)]) == [DATA[5:7]]
    server.requests.clear()
    assert store.get_ranges("a", [ByteRange(299_999, 5), ByteRange(7, 1)]) == [
        DATA[299_999:300_004],
        DATA[7:8],
    ]
    assert server.requests == [("GET", "d/a", None)]


@pytest.mark.parametrize("status", [401, 403])
def test_forbidden_is_not_absent(server: RangeServer, store: HttpStore, status: int) -> None:
    server.faults.status["d/a"] = status
    for read in (
        lambda: store.get("a"),
        lambda: store.stat("a"),
        lambda: store.get_ranges("a", [ByteRange(0, 1)]),
        lambda: store.get_ranges("a", [ByteRange(-1)]),
        lambda: store.open_file("a"),
    ):
        with pytest.raises(StoreError) as caught:
            read()
        assert caught.value.code == Code.STORE_PERMISSION
        assert str(status) in str(caught.value)
        assert "not treated as empty" in caught.value.fix


def test_forbidden_is_absent_when_the_user_says_so(server: RangeServer) -> None:
    server.faults.status["d/a"] = 403
    store = HttpStore(f"{server.url}/d", forbidden_is_absent=True)
    assert store.get("a") is None
    assert store.stat("a") is None
    assert store.get_ranges("a", [ByteRange(0, 1)]) is None
    assert store.get_ranges("a", [ByteRange(-1)]) is None
    assert store.get("b") == b"b"


@pytest.mark.parametrize("status", [400, 405, 429, 500, 501, 503])
def test_trouble_is_not_absence(server: RangeServer, store: HttpStore, status: int) -> None:
    """In particular 405, which obstore reports as "not found"."""
    server.faults.status["d/a"] = status
    for read in (
        lambda: store.get("a"),
        lambda: store.stat("a"),
        lambda: store.get_ranges("a", [ByteRange(0, 1)]),
        lambda: store.get_ranges("a", [ByteRange(-1)]),
    ):
        with pytest.raises(StoreError) as caught:
            read()
        assert caught.value.code == Code.STORE_UNREADABLE


def test_gone_is_absent(server: RangeServer, store: HttpStore) -> None:
    server.faults.status["d/a"] = 410
    assert store.get("a") is None
    assert store.stat("a") is None


def test_a_passing_failure_is_overcome(server: RangeServer, store: HttpStore) -> None:
    server.faults.fail_first = 1
    assert store.get("b") == b"b"
    assert len(server.requests) == 2


def test_retries_are_bounded(server: RangeServer, store: HttpStore) -> None:
    server.faults.status["d/a"] = 503
    with pytest.raises(StoreError, match="HTTP 503"):
        store.get("a")
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["truncate", "wrong_range", "short_range"])
def test_wrong_answers_are_noticed(server: RangeServer, store: HttpStore, fault: str) -> None:
    setattr(server.faults, fault, {"truncate": 50, "wrong_range": True, "short_range": 3}[fault])
    with pytest.raises(StoreError) as caught:
        store.get_ranges("a", [ByteRange(1000, 500)])
    assert caught.value.code in (Code.STORE_UNREADABLE, Code.FILE_TRUNCATED)


def test_a_stalled_server_is_given_up(server: RangeServer) -> None:
    server.faults.latency = 2.0
    store = HttpStore(f"{server.url}/d", timeout=0.1, retries=0)
    started = time.perf_counter()
    with pytest.raises(StoreError, match="did not answer in time"):
        store.get("a")
    assert time.perf_counter() - started < 1.5


def test_an_unreachable_server_is_an_error() -> None:
    with RangeServer({}) as server:
        url = server.url
    store = HttpStore(url, retries=0)
    with pytest.raises(StoreError, match="cannot be connected to"):
        store.get("a")


def test_redirects_are_followed(server: RangeServer, store: HttpStore) -> None:
    server.faults.redirect["d/r"] = f"{server.url}/d/a"
    assert store.get_ranges("r", [ByteRange(3, 4)]) == [DATA[3:7]]


def test_tokens_are_sent_and_never_shown(server: RangeServer, store: HttpStore) -> None:
    server.faults.token = "s3cr3t"
    assert store.get("b") == b"b"
    server.faults.status["d/a"] = 500
    for url in (f"{server.url}/d?token=s3cr3t", server.url.replace("//", "//me:s3cr3t@") + "/d"):
        store = HttpStore(url, retries=0)
        shown = [store.uri, repr(store)]
        for read in (
            lambda s=store: s.get("a"),
            lambda s=store: s.stat("a"),
            lambda s=store: s.get_ranges("a", [ByteRange(0, 9), ByteRange(200_000, 9)]),
        ):
            with pytest.raises(StoreError) as caught:
                read()
            shown.append("".join(traceback.format_exception(caught.value)))
        for text in shown:
            # The traceback quotes this test's own lines.
            assert "s3cr3t" not in "\n".join(line for line in text.split("\n") if "read()" not in line)


def test_a_password_becomes_a_header(server: RangeServer) -> None:
    import base64

    seen: list[str | None] = []
    import http_server

    respond = http_server._Handler._respond

    def recording(self: http_server._Handler, *, body: bool) -> None:
        seen.append(self.headers.get("Authorization"))
        respond(self, body=body)

    http_server._Handler._respond = recording  # type: ignore[method-assign]
    try:
        HttpStore(server.url.replace("//", "//me:p%40ss@") + "/d").get("b")
    finally:
        http_server._Handler._respond = respond  # type: ignore[method-assign]
    assert seen == ["Basic " + base64.b64encode(b"me:p@ss").decode()]


@pytest.mark.parametrize("url", ["ftp://x/y", "http://", "/tmp/x", "https:///x"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        HttpStore(url)
    assert caught.value.code == Code.URI_INVALID


def test_it_survives_pickling(server: RangeServer, store: HttpStore) -> None:
    again = pickle.loads(pickle.dumps(store))
    assert again.get("b") == b"b"
    assert again.uri == store.uri


def test_files_read_ahead(server: RangeServer, store: HttpStore) -> None:
    with store.open_file("a") as file:
        assert file.read(10) == DATA[:10]
        assert file.read(10) == DATA[10:20]
    assert [m for m, _, _ in server.requests] == ["HEAD", "GET"]
