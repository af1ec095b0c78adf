"""Objects that were begun in parts and never finished are found in buckets, and removed when they are old."""

from __future__ import annotations

import contextlib
import http.server
import json
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import ceph_cluster
from hypothesis import given
from hypothesis import strategies as st
from release_data import filled, publish
from typer.testing import CliRunner

from voxarium.archive.log_reading import LogReader
from voxarium.archive.release_checks import verify_release
from voxarium.archive.retention import CollectOptions, collect
from voxarium.cli.main import app
from voxarium.errors import FormatError, StoreError, UnsupportedError
from voxarium.model.protocols import UploadingStore
from voxarium.spec.s3_uploads import Credentials, Request, parse_parts, parse_uploads, signed
from voxarium.stores.audit import AuditStore
from voxarium.stores.memory import MemoryStore
from voxarium.stores.objects import ObjectStore

KEYS = {"access_key_id": "me", "secret_access_key": "s3cr3t", "region": "us-east-1"}
NAMES = ["em/s0/c/0/0", "em/a b+c%20ü&<.bin", "em/s0/c/0/1"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@contextlib.contextmanager
def client(url):
    boto3 = pytest.importorskip("boto3")
    keys = {"aws_access_key_id": "me", "aws_secret_access_key": "s3cr3t", "region_name": "us-east-1"}
    made = boto3.client("s3", endpoint_url=url, **keys)
    try:
        yield made
    finally:
        made.close()


def begun(url, prefix, names=NAMES):
    with client(url) as s3:
        for name in names:
            key = f"{prefix}/{name}"
            made = s3.create_multipart_upload(Bucket="archive", Key=key)
            s3.upload_part(Bucket="archive", Key=key, UploadId=made["UploadId"], PartNumber=1, Body=b"x" * 1000)


def left(url, prefix):
    with client(url) as s3:
        found = s3.list_multipart_uploads(Bucket="archive").get("Uploads", [])
    return sorted(u["Key"].removeprefix(f"{prefix}/") for u in found if u["Key"].startswith(f"{prefix}/"))


def prefix_of(store):
    return store.uri.rpartition("/")[2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_they_are_listed_first_and_removed_when_asked(make_s3, s3):
    store = make_s3()
    filled(store)
    publish(store)
    begun(s3, prefix_of(store))
    begun(s3, "another", ["em/s0/c/0/0"])
    options = CollectOptions(agent=None)
    found = collect(store, options)
    assert [(d.key, d.kind, d.size) for d in found.objects] == [(n, "upload", 1000) for n in sorted(NAMES)]
    assert all(d.upload for d in found.objects) and not found.notes
    assert left(s3, prefix_of(store)) == sorted(NAMES)
    assert len(collect(store, CollectOptions(agent=None, apply=True)).objects) == 3
    assert not left(s3, prefix_of(store)) and left(s3, "another") == ["em/s0/c/0/0"]
    entry = list(LogReader(store).activities())[-1].activity
    assert entry.operation == "collect" and {(a.address, a.role) for a in entry.inputs} == {
        (n, "upload") for n in NAMES
    }
    assert verify_release(store, "v1.0").ok


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_command_names_them(make_s3, s3, monkeypatch):
    store = make_s3()
    filled(store)
    begun(s3, prefix_of(store))
    for name, value in (("ACCESS_KEY_ID", "me"), ("SECRET_ACCESS_KEY", "s3cr3t"), ("ENDPOINT_URL", s3)):
        monkeypatch.setenv(f"AWS_{name}", value)
    result = CliRunner().invoke(app, ["release", "gc", store.uri])
    assert result.exit_code == 0, result.output
    assert "em/s0/c/0/1  1.0 kB" in result.output and "begun in parts and never finished" in result.output
    found = json.loads(CliRunner().invoke(app, ["release", "gc", store.uri, "--json"]).output)
    assert [o["kind"] for o in found["objects"]] == ["upload"] * 3 and found["notes"] == []


# ----------------------------------------------------------------------------------------------- a server of our own
class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: ClassVar[dict] = {}
    seen: ClassVar[list] = []

    def do_GET(self):
        parts = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        self.seen.append((self.command, parts.path, query))
        status, body = self.answers.get(query.get("key-marker", query.get("uploadId", "")), (404, b"<Error/>"))
        self.send_response(status)
        if status == 307:
            self.send_header("location", body.decode())
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self):
        self.do_GET()

    def log_message(self, *_):
        pass


class Wrapped(MemoryStore):
    """A store in memory with the uploads of another."""

    def __init__(self, other):
        super().__init__({})
        self.list_uploads, self.abort_upload = other.list_uploads, other.abort_upload


@pytest.fixture
def server():
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    Server.answers, Server.seen = {}, []
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()
    thread.join()


def page(*uploads, following=None):
    rows = "".join(
        f"<Upload><Key>{k}</Key><UploadId>{u}</UploadId><Initiated>{t}</Initiated></Upload>" for k, u, t in uploads
    )
    more = "<IsTruncated>false</IsTruncated>"
    if following:
        key, name = following
        more = (
            f"<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>"
            f"<NextUploadIdMarker>{name}</NextUploadIdMarker>"
        )
    body = f"<ListMultipartUploadsResult><EncodingType>url</EncodingType>{more}{rows}</ListMultipartUploadsResult>"
    return body.encode()


PARTS = b"<ListPartsResult><Part><Size>7</Size></Part><Part><Size>5</Size></Part></ListPartsResult>"


def opened(server, **config):
    return ObjectStore("s3://archive/brain", config=KEYS | {"endpoint": server} | config, retries=0)


def test_pages_are_followed_and_names_decoded(server):
    Server.answers = {
        "": (200, page(("brain/a%20b+c", "U1", "2026-01-02T03:04:05.000Z"), following=("brain/a%20b+c", "U1"))),
        "brain/a b c": (200, page(("brain/%C3%BC", "U2", "2026-01-02T03:04:05Z"), ("brain2/x", "U3", "2026-01-01"))),
        "U1": (200, PARTS),
    }
    found = list(opened(server).list_uploads())
    assert [(u.key, u.name, u.size) for u in found] == [("a b c", "U1", 12), ("ü", "U2", 0)]
    assert found[0].started == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    first = Server.seen[0]
    assert first == ("GET", "/archive", {"uploads": "", "prefix": "brain/", "encoding-type": "url"})
    opened(server).abort_upload(found[1])  # which is gone
    assert Server.seen[-1][:2] == ("DELETE", "/archive/brain/%C3%BC")


def test_what_is_young_by_the_clock_of_the_server_stays(server, monkeypatch):
    Server.answers = {
        "": (200, page(("brain/a", "U1", "2026-01-02T03:04:05Z"), ("brain/b", "U2", "2026-01-09T03:04:04Z"))),
    }
    now = datetime(2026, 1, 9, 3, 4, 6, tzinfo=UTC).timestamp()
    monkeypatch.setattr("voxarium.archive.retention._clock", lambda _store: now)
    store = Wrapped(opened(server))
    found = collect(store, CollectOptions(agent=None))
    assert [d.key for d in found.objects] == ["a"] and found.young == 1
    found = collect(store, CollectOptions(agent=None, grace=0))
    assert [d.key for d in found.objects] == ["a", "b"]


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ((403, b"<Error><Code>AccessDenied</Code></Error>"), StoreError, "HTTP 403"),
        ((500, b""), StoreError, "HTTP 500"),
        ((404, b""), StoreError, "HTTP 404"),
        ((307, b"http://127.0.0.1:1/elsewhere"), StoreError, "HTTP 307"),
        ((200, b"<html/>"), FormatError, "is html"),
        ((200, b"no xml"), FormatError, "XML"),
        ((200, page(("brain/a", "U1", "yesterday"))), FormatError, "the time 'yesterday'"),
        ((200, page(("brain/%ff", "U1", "2026-01-02"))), FormatError, "no text"),
        ((200, page(following=("", "U"))), FormatError, "NextKeyMarker"),
    ],
)
def test_answers_that_are_none_are_refused(server, answer, error, text):
    Server.answers = {"": answer}
    with pytest.raises(error, match=text) as caught:
        list(opened(server).list_uploads())
    assert "s3cr3t" not in str(caught.value) and "Signature" not in str(caught.value)


def test_a_list_without_end_is_given_up(server):
    Server.answers = dict.fromkeys(("", "k"), (200, page(following=("k", "U"))))
    with pytest.raises(StoreError, match="does not end"):
        list(opened(server).list_uploads())
    assert len(Server.seen) == 2


def test_who_cannot_ask_is_told_what_else_to_do(monkeypatch):
    store = ObjectStore("s3://archive/brain", config={"region": "us-east-1"})
    with pytest.raises(UnsupportedError, match="access key only") as caught:
        store.list_uploads()
    assert "lifecycle rule" in caught.value.fix
    with pytest.raises(UnsupportedError, match="Google"):
        ObjectStore("gs://archive/brain", anonymous=True).list_uploads()
    azure = ObjectStore("az://container/brain", config={"account_name": "a", "access_key": "AAAA"})
    assert list(azure.list_uploads()) == []
    silent = Wrapped(store)
    found = collect(silent, CollectOptions(agent=None))
    assert found.objects == () and "lifecycle rule" in found.notes[0]
    assert isinstance(AuditStore(store), UploadingStore) and not isinstance(AuditStore(MemoryStore()), UploadingStore)


# ---------------------------------------------------------------------------------------------------- signatures
@pytest.mark.oracle
@given(
    key=st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20),
    token=st.sampled_from(["", "a/token=="]),
)
def test_requests_are_signed_as_botocore_signs_them(key, token):
    pytest.importorskip("botocore")
    from unittest.mock import patch

    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Theirs

    request = Request(method="GET", host="h:9", path=f"/bucket/{key}", query={"uploadId": f"{key}=", "uploads": ""})
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    mine = signed(request, Credentials(key="me", secret="s3cr3t", token=token), "eu-x-1", when)
    theirs = AWSRequest("GET", f"http://h:9{request.target}", headers={})
    names = [n for n in ("get_current_datetime", "datetime") if hasattr(auth, n)]
    with patch(f"botocore.auth.{names[0]}") as clock:
        if names[0] == "datetime":
            clock.datetime.utcnow.return_value = when.replace(tzinfo=None)
        else:
            clock.return_value = when.replace(tzinfo=None)
        auth.S3SigV4Auth(Theirs("me", "s3cr3t", token or None), "s3", "eu-x-1").add_auth(theirs)
    wanted = dict(theirs.headers.items())
    if wanted.get("X-Amz-Content-SHA256") == "UNSIGNED-PAYLOAD":
        pytest.skip("this botocore does not sign empty bodies over plain HTTP")
    assert mine["Authorization"] == wanted["Authorization"]


def test_credentials_show_no_secret():
    assert "s3cr3t" not in repr(Credentials(key="me", secret="s3cr3t"))


@given(st.binary(max_size=200) | st.text(alphabet="<>/ListPartsResult Upload&;", max_size=120).map(str.encode))
def test_junk_is_refused(raw):
    for parse in (parse_uploads, parse_parts):
        with contextlib.suppress(FormatError):
            parse(raw)


@pytest.mark.slow
@pytest.mark.skipif(ceph_cluster.missing() is not None, reason="Ceph is not installed")
@pytest.mark.timeout(900)
def test_a_server_that_checks_signatures_understands_the_questions(tmp_path):
    """Ceph's gateway refuses wrong signatures; moto does not look at them."""
    boto3 = pytest.importorskip("boto3")
    with ceph_cluster.gateway(tmp_path) as url:
        keys = {"aws_access_key_id": "A", "aws_secret_access_key": "S", "region_name": "us-east-1"}
        s3 = boto3.client("s3", endpoint_url=url, **keys)
        s3.create_bucket(Bucket="archive")
        for name in NAMES:
            s3.create_multipart_upload(Bucket="archive", Key=f"brain/{name}")
        config = {"access_key_id": "A", "secret_access_key": "S", "region": "us-east-1", "endpoint": url}
        store = ObjectStore("s3://archive/brain", config=config)
        found = sorted(store.list_uploads(), key=lambda u: u.key)
        assert [u.key for u in found] == sorted(NAMES)
        for upload in found:
            store.abort_upload(upload)
        assert not list(store.list_uploads())
        s3.close()
        with pytest.raises(StoreError, match="HTTP 403"):
            list(ObjectStore("s3://archive/brain", config=config | {"secret_access_key": "wrong"}).list_uploads())
