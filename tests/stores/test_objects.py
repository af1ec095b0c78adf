from __future__ import annotations

import logging
import pickle
import threading
import traceback
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from voxarium.errors import Code, InputError, StoreError
from voxarium.model.protocols import ByteRange, ListableStore, WritableStore
from voxarium.stores.objects import ObjectStore

PART = 5 << 20


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/tests", method="PUT"), timeout=5).close()
    yield url
    server.stop()


@pytest.fixture
def store(endpoint: str, request: pytest.FixtureRequest) -> ObjectStore:
    return make(endpoint, f"s3://tests/{abs(hash(request.node.name))}")


def make(endpoint: str, uri: str, **options: Any) -> ObjectStore:
    keys = {"access_key_id": "me", "secret_access_key": "s3cr3t", "region": "us-east-1"}
    return ObjectStore(uri, config={**keys, "endpoint": endpoint}, part_size=PART, **{"retries": 0, **options})


def uploads(endpoint: str) -> int:
    with urllib.request.urlopen(f"{endpoint}/tests?uploads", timeout=5) as answer:
        return answer.read().count(b"<Upload>")


def test_capabilities(store: ObjectStore) -> None:
    assert isinstance(store, WritableStore)
    assert isinstance(store, ListableStore)
    assert store.concurrency >= 16


def test_a_missing_bucket_is_not_an_empty_one(endpoint: str) -> None:
    """Otherwise a misspelt address would read as an image of zeros."""
    for read in (
        lambda s: s.get("a"),
        lambda s: s.stat("a"),
        lambda s: s.get_ranges("a", [ByteRange(0, 1)]),
        lambda s: s.get_ranges("a", [ByteRange(-1)]),
        lambda s: list(s.list()),
        lambda s: s.list_dir(),
        lambda s: s.put("a", b"x"),
        lambda s: s.delete("a"),
    ):
        with pytest.raises(StoreError, match="bucket does not exist"):
            read(make(endpoint, "s3://no-such-bucket/p"))


def test_a_large_object_is_sent_while_it_is_written(endpoint: str, store: ObjectStore) -> None:
    writer = store.create("big")
    assert uploads(endpoint) == 0
    for i in range(6):
        writer.write(bytes([i]) * (PART // 2))
    writer.commit()
    writer.commit()
    assert uploads(endpoint) == 0
    assert store.get("big") == b"".join(bytes([i]) * (PART // 2) for i in range(6))


def test_an_abandoned_upload_is_removed(endpoint: str) -> None:
    """The server may stumble when parts are still under way; the request is then repeated."""
    store = make(endpoint, "s3://tests/abandoned", retries=4)
    writer = store.create("gone")
    for _ in range(4):
        writer.write(b"x" * PART)
    writer.abort()
    assert store.get("gone") is None
    assert uploads(endpoint) == 0


def test_many_uploads_and_reads_at_once(store: ObjectStore) -> None:
    """Uploads that wait for their producers block nobody else."""
    store.put("source", b"s" * 1000)
    writers = [store.create(f"w{i}") for i in range(8)]
    for writer in writers:
        writer.write(b"a" * (PART + 1))
    assert store.get("source") == b"s" * 1000
    done: list[int] = []

    def finish(i: int) -> None:
        for _ in range(3):
            assert store.get_ranges("source", [ByteRange(0, 3), ByteRange(990, 10)]) is not None
            writers[i].write(b"b" * 100)
        writers[i].commit()
        done.append(i)

    threads = [threading.Thread(target=finish, args=(i,), daemon=True) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == list(range(8))
    stat = store.stat("w7")
    assert stat is not None
    assert stat.size == PART + 301


def test_a_failing_upload_raises(endpoint: str) -> None:
    writer = make(endpoint, "s3://no-such-bucket/p").create("big")
    with pytest.raises(StoreError, match="bucket does not exist"):  # noqa: PT012  either may notice
        for _ in range(5):
            writer.write(b"x" * PART)
        writer.commit()
    with pytest.raises(StoreError):
        writer.write(b"more")
    writer.abort()


def test_secrets_are_not_shown(endpoint: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = make(endpoint.rsplit(":", 1)[0] + ":1", "s3://tests/x")
    for access in (
        lambda: bad.get("a"),
        lambda: bad.put("a", b""),
        lambda: bad.put_if_absent("a", b""),
        lambda: list(bad.list()),
        lambda: bad.create("a").commit(),
    ):
        with pytest.raises(StoreError) as caught:
            access()
        text = "".join(traceback.format_exception(caught.value))
        assert "s3cr3t" not in text + bad.uri + repr(bad)
        assert "Credential=" not in text
    with pytest.raises(InputError) as refused:
        ObjectStore("s3://me:s3cr3t@tests/x")
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("uri", ["s3://", "s3:///x", "http://x/y", "s3://b/../c", "s3://b/a?x=1", "gs://"])
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(InputError):
        ObjectStore(uri)


def test_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        ObjectStore("s3://b", config={"no_such_option": "s3cr3t"})
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value)).replace('"s3cr3t"', "")


def test_public_data_needs_no_credentials(endpoint: str) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="me",
        aws_secret_access_key="s3cr3t",
    )
    client.put_object(Bucket="tests", Key="public/a", Body=b"open to all", ACL="public-read")
    client.close()
    config = {"endpoint": endpoint, "region": "us-east-1"}
    assert ObjectStore("s3://tests/public", config=config).get("a") == b"open to all"
    assert ObjectStore("s3://tests/public", config=config, anonymous=True).get("a") == b"open to all"


def test_without_credentials_nothing_waits_for_a_cloud(endpoint: str) -> None:
    signed = ObjectStore(
        "s3://tests/public",
        anonymous=False,
        retries=0,
        config={
            "endpoint": endpoint,
            "region": "us-east-1",
            "metadata_endpoint": endpoint.rsplit(":", 1)[0] + ":1",
        },
    )
    with pytest.raises(StoreError) as caught:
        signed.get("a")
    assert caught.value.code in (Code.STORE_UNREADABLE, Code.STORE_PERMISSION)


def test_it_survives_pickling(store: ObjectStore) -> None:
    store.put("a", b"1")
    again = pickle.loads(pickle.dumps(store))
    assert again.get("a") == b"1"
    assert again.uri == store.uri


def test_other_clouds_are_addressed() -> None:
    """Only that they can be made: no server for them runs here."""
    assert ObjectStore("gs://bucket/p").uri == "gs://bucket/p"
    assert ObjectStore("gcs://bucket").uri == "gs://bucket"
    assert ObjectStore("az://box/p", config={"account_name": "me"}).uri == "az://box/p"


def test_listing_is_by_folders(store: ObjectStore) -> None:
    for key in ("a/1", "a/10", "a/2", "ab/1"):
        store.put(key, b"x")
    assert [k for k, _ in store.list("a")] == ["a/1", "a/10", "a/2"]
    assert store.list_dir("a") == (["1", "2", "10"], [])


def test_many_keys_are_listed(store: ObjectStore) -> None:
    keys = [f"m/{i:04d}" for i in range(30)]
    for key in keys:
        store.put(key, b"")
    assert [k for k, _ in store.list("m")] == keys
