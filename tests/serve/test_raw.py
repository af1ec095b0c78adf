"""Raw bytes over HTTP: each demand that clients make of a server of files."""

from __future__ import annotations

import gzip
import json
import os
from email.parser import BytesParser

import pytest

DATA = bytes(range(256)) * 40


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "em"
    (root / "c/0").mkdir(parents=True)
    (root / "c/0/1").write_bytes(DATA)
    (root / ".zarray").write_text("{}")
    (root / "info").write_text("{}")
    (root / "empty").write_bytes(b"")
    (root / "näme 100%.txt").write_text("ä")
    (root / ".git").mkdir()
    (root / ".git/config").write_text("secret")
    return root


@pytest.fixture
def client(folder, serve):
    return serve(folder)


def test_an_object_is_sent_whole_with_all_that_clients_need(client):
    answer = client.get("/raw/em/c/0/1", headers={"Accept-Encoding": "gzip, br"})
    assert answer.status == 200 and answer.body == DATA
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Encoding"] is None
    assert answer.headers["ETag"].startswith('"') and answer.headers["Last-Modified"].endswith("GMT")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/raw/em/.zarray").headers["Content-Type"] == "application/json"
    assert client.get("/raw/em/info").headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", ["Range", "range"])
@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=5-9", 5, 10), ("bytes=-7", len(DATA) - 7, len(DATA)), ("bytes=10000-", 10000, None)],
)
def test_parts_are_sent_with_their_place(client, name, asked, start, stop):
    answer = client.get("/raw/em/c/0/1", headers={name: asked})
    assert answer.status == 206 and answer.body == DATA[start:stop]
    last = start + len(answer.body) - 1
    assert answer.headers["Content-Range"] == f"bytes {start}-{last}/{len(DATA)}"
    assert answer.headers["Content-Length"] == str(len(answer.body))


def test_several_parts_are_sent_as_the_rfc_says(client):
    answer = client.get("/raw/em/c/0/1", headers={"Range": "bytes=300-309,0-2,-4"})
    assert answer.status == 206 and answer.headers["Content-Length"] == str(len(answer.body))
    kind = answer.headers["Content-Type"]
    assert kind.startswith("multipart/byteranges; boundary=")
    message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + answer.body)
    parts = message.get_payload()
    assert [p["Content-Range"] for p in parts] == [
        f"bytes 300-309/{len(DATA)}", f"bytes 0-2/{len(DATA)}", f"bytes {len(DATA) - 4}-{len(DATA) - 1}/{len(DATA)}",
    ]  # fmt: skip
    boundary = kind.partition("boundary=")[2].encode()
    bodies = [
        part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in answer.body.split(b"--" + boundary)[1:-1]
    ]
    assert bodies == [DATA[300:310], DATA[0:3], DATA[-4:]]


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=99999-999999", "bytes=-0", "bytes=5-2", "bytes=x", "bytes="])
def test_what_lies_beyond_is_416_with_the_size(client, asked):
    answer = client.get("/raw/em/c/0/1", headers={"Range": asked})
    assert answer.status == 416 and answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_other_units_are_ignored(client):
    answer = client.get("/raw/em/c/0/1", headers={"Range": "pages=1-2"})
    assert answer.status == 200 and answer.body == DATA


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}, {"Accept-Encoding": "gzip, br, zstd"}])
def test_head_tells_the_size_and_never_an_encoding(client, headers):
    answer = client.get("/raw/em/c/0/1", "HEAD", headers)
    assert answer.status == 200 and answer.body == b""
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.headers["Content-Encoding"] is None and answer.headers["Accept-Ranges"] == "bytes"


def test_empty_objects_are_objects(client):
    answer = client.get("/raw/em/empty")
    assert answer.status == 200 and answer.body == b"" and answer.headers["Content-Length"] == "0"
    assert client.get("/raw/em/empty", "HEAD").headers["Content-Length"] == "0"
    assert client.get("/raw/em/empty", headers={"Range": "bytes=0-"}).status == 416


def test_what_a_client_has_is_not_sent_again(client, folder):
    first = client.get("/raw/em/c/0/1")
    tag, when = first.headers["ETag"], first.headers["Last-Modified"]
    for headers in ({"If-None-Match": tag}, {"If-Modified-Since": when}, {"If-None-Match": f'W/{tag}, "x"'}):
        answer = client.get("/raw/em/c/0/1", headers=headers)
        assert answer.status == 304 and answer.body == b"" and answer.headers["ETag"] == tag
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert client.get("/raw/em/c/0/1", headers={"If-Match": '"x"'}).status == 412
    partly = {"Range": "bytes=0-3", "If-Range": tag}
    assert client.get("/raw/em/c/0/1", headers=partly).status == 206
    (folder / "c/0/1").write_bytes(DATA[::-1])
    os.utime(folder / "c/0/1", ns=(1, 1))
    assert client.get("/raw/em/c/0/1", headers={"If-None-Match": tag}).status == 200
    answer = client.get("/raw/em/c/0/1", headers=partly)
    assert answer.status == 200 and answer.body == DATA[::-1]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/raw/em/.zarray", {}, 200),
        ("GET", "/raw/em/c/0/1", {"Range": "bytes=0-1"}, 206),
        ("HEAD", "/raw/em/c/0/1", {}, 200),
        ("GET", "/raw/em/c/9/9", {}, 404),
        ("HEAD", "/raw/em/c/9/9", {}, 404),
        ("GET", "/raw/other/x", {}, 404),
        ("GET", "/nothing", {}, 404),
        ("GET", "/raw/em/c/0/1", {"Range": "bytes=99999-"}, 416),
        ("POST", "/raw/em/.zarray", {}, 405),
        ("PUT", "/raw/em/.zarray", {}, 405),
        ("DELETE", "/raw/em/.zarray", {}, 405),
        ("POST", "/healthz", {}, 405),
        ("GET", "/", {}, 200),
        ("GET", "/images.json", {}, 200),
        ("GET", "/healthz", {}, 200),
        ("GET", "/metrics", {}, 200),
        ("GET", "/thumbnail/em/nothing", {}, 404),
        ("GET", "/raw/em/", {}, 200),
        ("GET", "/" + "x" * 20000, {}, 414),
        ("GET", "/raw/em/.zarray", {"X": "x" * 70000}, 431),
    ],
)
def test_pages_of_other_sites_may_read_every_answer(client, method, path, headers, status):
    answer = client.get(path, method, {"Origin": "https://viewer.example", **headers})
    assert answer.status == status
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert "Content-Range" in exposed and "ETag" in exposed and "Content-Length" in exposed


def test_a_failure_of_the_server_can_be_read_too(client, folder, monkeypatch):
    from voxarium.serve import sources

    def broken(self, key, *, wait):
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(sources.FolderSource, "open", broken)
    answer = client.get("/raw/em/info")
    assert answer.status == 500 and answer.headers["Access-Control-Allow-Origin"] == "*"
    assert b"secret" not in answer.body


def test_browsers_that_ask_first_are_allowed(client):
    asking = {
        "Origin": "https://viewer.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "range, if-none-match",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = client.get("/raw/em/c/0/1", "OPTIONS", asking)
    assert answer.status == 204 and answer.body == b""
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "range, if-none-match"
    assert answer.headers["Access-Control-Allow-Private-Network"] == "true"
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


def test_only_named_sites_may_read_when_some_are_named(folder, serve):
    client = serve(folder, origins=("https://viewer.example",))
    answer = client.get("/raw/em/info", headers={"Origin": "https://viewer.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://viewer.example"
    assert "origin" in answer.headers["Vary"].lower()
    other = client.get("/raw/em/info", headers={"Origin": "https://other.example"})
    assert other.headers["Access-Control-Allow-Origin"] is None and other.status == 200


@pytest.mark.parametrize(
    "path",
    ["c", "c/0", "c/0/2", "c/0/1/2", "nope/.zgroup", ".zgroup", ".zattrs", "zarr.json", "c//0/1", "c/0/1/", "näme"],
)
def test_what_is_absent_is_404_and_nothing_else(client, path):
    from urllib.parse import quote

    for method in ("GET", "HEAD"):
        assert client.get(f"/raw/em/{quote(path)}", method).status == 404


def test_names_with_spaces_and_letters_of_all_languages_are_found(client):
    assert client.get("/raw/em/n%C3%A4me%20100%25.txt").body == "ä".encode()


def test_names_that_begin_with_a_dot_are_hidden_unless_they_are_zarr_s(folder, serve, client):
    assert client.get("/raw/em/.git/config").status == 404
    assert b".git" not in client.get("/raw/em/").body
    assert client.get("/raw/em/.git/?format=json").status == 404
    assert b"config" not in client.get("/raw/em?list-type=2&prefix=.git/").body
    assert serve(folder, hidden=True).get("/raw/em/.git/config").body == b"secret"


def test_large_objects_are_sent_piece_by_piece(tmp_path, serve):
    data = os.urandom(5_000_001)
    (tmp_path / "big").write_bytes(data)
    client = serve(f"files={tmp_path}")
    assert client.get("/raw/files/big").body == data
    answer = client.get("/raw/files/big", headers={"Range": "bytes=100000-4000000"})
    assert answer.status == 206 and answer.body == data[100000:4000001]
    several = client.get("/raw/files/big", headers={"Range": "bytes=0-2000000,3000000-3000001"})
    assert data[:2000001] in several.body and len(several.body) == int(several.headers["Content-Length"])


def test_an_object_that_changes_while_it_is_sent_is_never_mixed(tmp_path, serve):
    (tmp_path / "big").write_bytes(bytes(64 << 20))
    client = serve(f"files={tmp_path}")
    with client.connected() as connection:
        connection.sendall(b"GET /raw/files/big HTTP/1.1\r\nHost: x\r\n\r\n")
        got = len(connection.recv(1000))
        (tmp_path / "new").write_bytes(b"\xff" * (64 << 20))
        (tmp_path / "new").replace(tmp_path / "big")
        while part := connection.recv(1 << 20):
            assert b"\xff" not in part
            got += len(part)
    assert got < 64 << 20


# ------------------------------------------------------------------------------------------------------------- twins
@pytest.fixture
def twins(tmp_path, serve):
    root = tmp_path / "seg"
    root.mkdir()
    (root / "0-64.gz").write_bytes(gzip.compress(DATA))
    (root / "both").write_bytes(DATA)
    (root / "both.gz").write_bytes(gzip.compress(b"another"))
    (root / "broken.gz").write_bytes(b"junk")
    (root / "bomb.gz").write_bytes(gzip.compress(bytes(80 << 20)))
    return serve(root)


def test_a_compressed_twin_stands_for_the_object(twins):
    answer = twins.get("/raw/seg/0-64", headers={"Accept-Encoding": "gzip, deflate"})
    assert answer.status == 200 and answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body) == DATA and answer.headers["Content-Length"] == str(len(answer.body))
    assert "accept-encoding" in answer.headers["Vary"].lower()
    plain = twins.get("/raw/seg/0-64", headers={"Accept-Encoding": "identity"})
    assert plain.body == DATA and plain.headers["Content-Encoding"] is None
    assert plain.headers["ETag"] != answer.headers["ETag"]
    again = twins.get("/raw/seg/0-64", headers={"Accept-Encoding": "gzip", "If-None-Match": answer.headers["ETag"]})
    assert again.status == 304


def test_ranges_and_head_of_a_twin_are_those_of_the_object(twins):
    headers = {"Accept-Encoding": "gzip", "Range": "bytes=100-199"}
    answer = twins.get("/raw/seg/0-64", headers=headers)
    assert answer.status == 206 and answer.body == DATA[100:200] and answer.headers["Content-Encoding"] is None
    head = twins.get("/raw/seg/0-64", "HEAD", {"Accept-Encoding": "gzip"})
    assert head.headers["Content-Length"] == str(len(DATA)) and head.headers["Content-Encoding"] is None


def test_an_object_that_exists_is_sent_itself_and_a_twin_by_its_own_name_as_it_is(twins):
    answer = twins.get("/raw/seg/both", headers={"Accept-Encoding": "gzip"})
    assert answer.body == DATA and answer.headers["Content-Encoding"] is None
    own = twins.get("/raw/seg/0-64.gz", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(own.body) == DATA and own.headers["Content-Encoding"] is None


@pytest.mark.parametrize(("coding", "suffix"), [("br", "br"), ("zstd", "zst")])
def test_other_encodings_are_known(coding, suffix, tmp_path, serve):
    if coding == "br":
        brotli = pytest.importorskip("brotli")
        packed = brotli.compress(DATA)
    else:
        from voxarium.codecs.zstd import Zstd

        packed = Zstd(1).encode(DATA)
    (tmp_path / f"x.{suffix}").write_bytes(packed)
    client = serve(f"files={tmp_path}")
    answer = client.get("/raw/files/x", headers={"Accept-Encoding": coding})
    assert answer.headers["Content-Encoding"] == coding and answer.body == packed
    assert client.get("/raw/files/x").body == DATA


def test_broken_twins_and_bombs_are_errors_and_not_zeros(twins):
    assert twins.get("/raw/seg/broken").status == 500
    assert twins.get("/raw/seg/bomb").status == 500
    assert twins.get("/raw/seg/bomb", headers={"Accept-Encoding": "gzip"}).status == 200


# ------------------------------------------------------------------------------------------------------------- roots
def test_several_roots_and_files_have_names_of_their_own(tmp_path, serve):
    for where in ("a/em", "b/em"):
        (tmp_path / where).mkdir(parents=True)
        (tmp_path / where / "x").write_text(where)
    (tmp_path / "scan.tif").write_bytes(DATA)
    (tmp_path / "neighbour").write_text("not served")
    client = serve(tmp_path / "a/em", tmp_path / "b/em", f"third={tmp_path / 'b'}", tmp_path / "scan.tif")
    assert client.get("/raw/em/x").body == b"a/em"
    assert client.get("/raw/em-2/x").body == b"b/em"
    assert client.get("/raw/third/em/x").body == b"b/em"
    answer = client.get("/raw/scan.tif", headers={"Range": "bytes=1-3"})
    assert answer.status == 206 and answer.body == DATA[1:4] and answer.headers["Content-Type"] == "image/tiff"
    for path in ("/raw/scan.tif/", "/raw/scan.tif/neighbour", "/raw/scan.tif/scan.tif", "/raw/neighbour"):
        assert client.get(path).status == 404
    listed = json.loads(client.get("/raw/?format=json").body)
    assert listed["folders"] == ["em", "em-2", "third"] and [f["name"] for f in listed["files"]] == ["scan.tif"]


def test_two_roots_of_one_stated_name_are_refused(tmp_path):
    from voxarium.errors import InputError
    from voxarium.serve.roots import open_roots

    with pytest.raises(InputError, match="named em"):
        open_roots([f"em={tmp_path}", f"em={tmp_path}"])


def test_what_is_inside_a_zip_file_is_served_and_the_file_too(tmp_path, serve):
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.ozx", "w") as file:
        file.writestr("zarr.json", "{}")
        file.writestr("0/c/0", DATA)
    client = serve(tmp_path / "x.ozx")
    assert client.get("/raw/x.ozx").body == (tmp_path / "x.ozx").read_bytes()
    assert client.get("/raw/x.ozx", "HEAD").headers["Content-Length"] == str((tmp_path / "x.ozx").stat().st_size)
    answer = client.get("/raw/x.ozx/0/c/0", headers={"Range": "bytes=-5"})
    assert answer.body == DATA[-5:] and answer.status == 206
    assert client.get("/raw/x.ozx/0/c/1").status == 404
    assert json.loads(client.get("/raw/x.ozx/?format=json").body)["folders"] == ["0"]


def test_another_server_is_served_through_this_one(folder, serve, client):
    through = serve(f"far={client.url}/raw/em")
    assert through.get("/raw/far/c/0/1").body == DATA
    answer = through.get("/raw/far/c/0/1", headers={"Range": "bytes=7-9"})
    assert answer.status == 206 and answer.body == DATA[7:10]
    assert through.get("/raw/far/c/0/9").status == 404
    tag = through.get("/raw/far/info").headers["ETag"]
    assert through.get("/raw/far/info", headers={"If-None-Match": tag}).status == 304


def test_max_age_is_told(folder, serve):
    assert serve(folder, max_age=60).get("/raw/em/info").headers["Cache-Control"] == "public, max-age=60"


# ----------------------------------------------------------------------------------------------------------- waiting
def test_a_file_that_is_not_in_memory_is_read_in_a_thread(client, monkeypatch):
    import threading

    where = []

    def cold(fd, buffers, at, flags=0):
        where.append(("peek", threading.current_thread().name))
        raise BlockingIOError

    real = os.pread

    def read(fd, count, at):
        where.append(("read", threading.current_thread().name))
        return real(fd, count, at)

    monkeypatch.setattr(os, "preadv", cold)
    monkeypatch.setattr(os, "pread", read)
    answer = client.get("/raw/em/c/0/1", headers={"Range": "bytes=4-9"})
    assert answer.body == DATA[4:10]
    assert ("peek", "voxarium-serve") in where and ("read", "voxarium-serve") not in where
    assert any(kind == "read" and name.startswith("serve_") for kind, name in where)


def test_files_of_network_file_systems_are_opened_in_a_thread(folder, serve, monkeypatch):
    import threading

    from voxarium.serve import sources

    monkeypatch.setattr(sources, "file_system", lambda _: "nfs4")
    monkeypatch.setattr(sources, "no_links_opener", lambda: None)  # files are opened by os.open then
    where = []
    real = os.open

    def opening(path, *arguments, **more):
        if str(path).endswith("c/0/1"):
            where.append(threading.current_thread().name)
        return real(path, *arguments, **more)

    client = serve(folder)
    monkeypatch.setattr(os, "open", opening)
    assert client.get("/raw/em/c/0/1").body == DATA
    assert where and all(name.startswith("serve_") for name in where)


def test_what_may_not_be_read_is_an_error_and_not_absent(folder, serve, monkeypatch):
    from voxarium.serve import sources

    monkeypatch.setattr(sources, "no_links_opener", lambda: None)  # files are opened by os.open then
    client = serve(folder)
    real = os.open

    def refused(path, *arguments, **more):
        if str(path).endswith("c/0/1"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", refused)
    answer = client.get("/raw/em/c/0/1")
    assert answer.status == 500 and str(folder).encode() not in answer.body


def test_requests_under_way_are_ended_before_the_server_stops(tmp_path, serve):
    import threading

    (tmp_path / "big").write_bytes(os.urandom(30 << 20))
    client = serve(f"em={tmp_path}")
    with client.connected() as connection:
        connection.sendall(b"GET /raw/em/big HTTP/1.1\r\nHost: x\r\n\r\n")
        got = connection.recv(1000)
        stopping = threading.Thread(target=client.server.stop)
        stopping.start()
        while part := connection.recv(1 << 20):
            got += part
        stopping.join(20)
    assert got.partition(b"\r\n\r\n")[2] == (tmp_path / "big").read_bytes()


def test_a_bucket_is_served(serve, monkeypatch):
    pytest.importorskip("moto")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        for name, value in (keys | {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true"}).items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="lab")
        s3.put_object(Bucket="lab", Key="em/c/0", Body=DATA)
        s3.put_object(Bucket="lab", Key="private/x", Body=b"secret")
        s3.close()
        client = serve("s3://lab/em")
        assert client.get("/raw/em/c/0").body == DATA
        assert client.get("/raw/em/c/0", headers={"Range": "bytes=-5"}).body == DATA[-5:]
        assert client.get("/raw/em/c/1").status == 404
        assert client.get("/raw/em/../private/x").status == 404
        listed = client.get("/raw/em?list-type=2").body.decode()
        assert "<Key>c/0</Key>" in listed and f"<Size>{len(DATA)}</Size>" in listed and "private" not in listed
    finally:
        server.stop()
