"""Hostile and broken clients: nothing gets out, nothing is held, nothing fails inside."""

from __future__ import annotations

import gc
import os
import re
import socket
import time
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SECRET = b"the secret outside"


def maze(tmp_path):
    """Make a folder that others want to get out of."""
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "em-other").mkdir()
    (tmp_path / "em-other/secret").write_bytes(SECRET)
    root = tmp_path / "em"
    (root / "a").mkdir(parents=True)
    (root / "a/x").write_bytes(b"inside")
    (root / "secret-link").symlink_to(tmp_path / "secret")
    (root / "dir-link").symlink_to(tmp_path)
    (root / "relative-link").symlink_to("../secret")
    (root / "prefix-link").symlink_to(tmp_path / "em-other/secret")  # begins with the root's path, as text
    (root / "loop").symlink_to("loop")
    (root / "ok-link").symlink_to("a/x")
    os.mkfifo(root / "pipe")
    (root / "device").symlink_to("/dev/zero")
    return root


@pytest.fixture
def folder(tmp_path):
    return maze(tmp_path)


@pytest.fixture
def client(folder, serve):
    return serve(folder)


@pytest.fixture(scope="module")
def trapped(tmp_path_factory, client_of):
    from voxarium.serve.running import BackgroundServer

    with BackgroundServer([str(maze(tmp_path_factory.mktemp("maze")))]) as server:
        yield client_of(server)


@pytest.fixture(scope="module")
def shared(tmp_path_factory, client_of):
    """A server for many small questions."""
    from voxarium.serve.running import BackgroundServer

    above = tmp_path_factory.mktemp("above")
    (above / "secret").write_bytes(SECRET)
    (above / "em").mkdir()
    (above / "em/x").write_bytes(bytes(range(100)))
    with BackgroundServer([f"em={above / 'em'}"]) as server:
        yield client_of(server)


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


PATHS = [
    "../secret", "a/../../secret", "%2e%2e/secret", "%2E%2E/secret", ".%2e/secret", "..%2fsecret", "..%5csecret",
    "..\\secret", "a/..%2f..%2fsecret", "%252e%252e/secret", "./../secret", "a/./x", "/etc/passwd", "//etc/passwd",
    "%2fetc%2fpasswd", "a//x", "a/x%00", "a/x%00.png", "%00", "a/x%0d%0aSet-Cookie:a=b", "..;/secret",
    "%c0%ae%c0%ae/secret",
    "%ff%fe", "secret-link", "dir-link/secret", "relative-link", "prefix-link", "dir-link/em/a/x", "loop",
    "pipe", "device",
    "..", ".", "", "a/..", "....//secret", "%", "%zz", "a/x/", "a/x/..", "\u202e", "C:/secret", "~root",
    "a/x::", "::/0",
    "%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd", "a" * 5000, "/".join("a" * 3000),
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_no_path_leads_out(trapped, path):
    encoded = quote(path, safe="%/\\:;~.")
    for method, view in (("GET", "raw"), ("HEAD", "raw"), ("GET", "thumbnail")):
        answer = trapped.raw(f"{method} /{view}/em/{encoded} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert SECRET not in answer and b"root:" not in answer
        assert status_of(answer) in (404, 414, 400) or path in ("", "dir-link/em/a/x"), answer[:200]
        assert b"Set-Cookie" not in answer


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_no_listing_leads_out(trapped, path):
    prefix = quote(path, safe="")
    for target in (f"/raw/em?list-type=2&prefix={prefix}", f"/raw?list-type=2&prefix={prefix}",
                   f"/?list-type=2&prefix=raw/{prefix}", f"/raw/em?list-type=2&start-after={prefix}"):  # fmt: skip
        answer = trapped.get(target)
        assert answer.status in (200, 400, 404, 414)
        keys = re.findall(rb"<Key>([^<]*)", answer.body)
        assert {key.rsplit(b"em/")[-1] for key in keys} <= {b"a/x", b"ok-link"}


def test_links_within_the_root_work_and_others_only_when_wanted(client, folder, serve):
    assert client.get("/raw/em/ok-link").body == b"inside"
    assert client.get("/raw/em/secret-link").status == 404
    follows = serve(folder, follow=True)
    assert follows.get("/raw/em/secret-link").body == SECRET
    assert follows.get("/raw/em/device").status == 404
    assert follows.get("/raw/em/../secret").status == 404


def test_images_are_not_read_through_links_that_lead_out(tmp_path, serve):
    import numpy as np

    import voxarium

    np.save(tmp_path / "s.npy", np.ones((4, 5, 6), np.uint8))
    voxarium.convert(tmp_path / "s.npy", tmp_path / "private.zarr", axes="zyx", voxel_size=1, unit="nanometer")
    voxarium.convert(tmp_path / "s.npy", tmp_path / "em/public.zarr", axes="zyx", voxel_size=1, unit="nanometer")
    (tmp_path / "em/private.zarr").symlink_to(tmp_path / "private.zarr")
    client = serve(tmp_path / "em")
    body = client.get("/images.json").body
    assert b"em/public.zarr" in body and b"private" not in body
    assert client.get("/thumbnail/em/public.zarr").status == 200
    assert client.get("/thumbnail/em/private.zarr").status == 404


def test_files_that_refer_to_others_do_not_lead_out(tmp_path, serve):
    h5py = pytest.importorskip("h5py")
    import numpy as np

    root = tmp_path / "em"
    root.mkdir()
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file.create_dataset("em", data=np.full((8, 9, 10), 77, np.uint8))
    (tmp_path / "secret.bin").write_bytes(bytes([77]) * 720)
    with h5py.File(root / "link.h5", "w") as file:
        file["em"] = h5py.ExternalLink("../secret.h5", "/em")
    with h5py.File(root / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((8, 9, 10), np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "em", (8, 9, 10))
        file.create_virtual_dataset("em", layout)
    with h5py.File(root / "external.h5", "w") as file:
        file.create_dataset("em", (8, 9, 10), np.uint8, external=[(str(tmp_path / "secret.bin"), 0, 720)])
    client = serve(root)
    for name in ("link", "virtual", "external"):
        for address in (f"em/{name}.h5", f"em/{name}.h5::/em"):
            assert client.get(f"/thumbnail/{address}").status == 404


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "evil.example/<script>", 'evil"onload="x', "a" * 3000])
def test_what_clients_send_does_not_come_back_as_headers_or_html(client, value):
    host = value.replace("\r\n", "%0d%0a")
    answer = client.raw(f"GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: {host}\r\nConnection: close\r\n\r\n".encode())
    assert status_of(answer) == 200
    assert b"<script>x" not in answer and b"onload" not in answer and b"evil.example" not in answer
    head = answer.partition(b"\r\n\r\n")[0]
    assert b"set-cookie" not in head.lower()
    asking = "OPTIONS /raw/em/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    asking += f"Access-Control-Request-Headers: {host}, range\r\n\r\n"
    answer = client.raw(asking.encode())
    assert status_of(answer) == 204 and b"evil" not in answer and b"range" in answer


def test_redirects_stay_on_the_server(client):
    for path in ("/raw//evil.example", "//evil.example/..", "/raw/em/a/../a", "/raw/em//evil.example"):
        answer = client.raw(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n".encode()
        )
        assert status_of(answer) in (400, 404), answer[:100]


BROKEN = [
    b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET /raw/em/a/x HTTP/9.9\r\n\r\n",
    b"GET /raw/em/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /raw/em/a/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET /raw/em/a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999999\r\n\r\n",
    b"GET /raw/em/a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /raw/em/a/x HTTP/1.1\r\nHost : x\r\n\r\n", b"GET /raw/em/a/x HTTP/1.1\r\n Folded: x\r\n\r\n",
    b"POST /raw/em/a/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
]  # fmt: skip


@pytest.mark.parametrize("data", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_http_is_refused_and_others_are_served_on(shared, data):
    answer = shared.raw(data)
    assert status_of(answer) in (400, 404, 405, 413, 505, 204, None) and b"Traceback" not in answer
    if answer:
        assert b"access-control-allow-origin" in answer
    assert shared.get("/raw/em/x").status == 200


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        ["Range", "If-Range", "If-None-Match", "If-Modified-Since", "Accept-Encoding", "Accept", "Host", "Origin"]
    ),
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60),
        st.from_regex(r"\Abytes=[0-9,\- ]{0,40}\Z"),
        st.lists(st.tuples(st.integers(-9, 10**20), st.integers(-9, 10**20)), max_size=80).map(
            lambda parts: "bytes=" + ",".join(f"{a}-{b}" for a, b in parts)
        ),
    ),
)
def test_no_header_makes_the_server_fail(shared, name, value):
    data = f"GET /raw/em/x HTTP/1.1\r\nConnection: close\r\n{name}: {value}\r\n\r\n".encode("latin-1")
    answer = shared.raw(data)
    assert status_of(answer) in (200, 206, 304, 400, 416)
    assert SECRET not in answer


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["/raw/em/", "/raw/", "/thumbnail/", "/", "/raw?list-type=2&prefix="]), st.binary(max_size=40))
def test_no_address_makes_the_server_fail(shared, start, rest):
    target = start.encode() + quote(rest).encode()
    answer = shared.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status_of(answer) in (200, 206, 308, 400, 404)
    assert SECRET not in answer


def test_bodies_nobody_asked_for_are_refused_before_they_are_read(shared):
    head = b"POST /raw/em/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    assert status_of(shared.raw(head)) == 413
    assert shared.get("/raw/em/x", body=b"z" * 1000).status == 200


def test_heads_without_end_are_cut_off(shared):
    with shared.connected() as connection:
        connection.sendall(b"GET /raw/em/x HTTP/1.1\r\n")
        answer = b""
        try:
            for _ in range(400):
                connection.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")
            while part := connection.recv(1 << 16):
                answer += part
        except OSError:
            pass  # closed while we were still sending
    assert answer == b"" or status_of(answer) == 431
    assert shared.get("/raw/em/x").status == 200


def test_clients_that_never_finish_asking_are_let_go(folder, serve):
    client = serve(folder, head_seconds=0.3)
    with client.connected() as silent, client.connected() as slow:
        slow.sendall(b"GET /raw/em/a/x HTTP/1.1\r\nX: ")
        assert status_of(silent.recv(1000)) == 408 and silent.recv(1000) == b""
        assert status_of(slow.recv(1000)) == 408 and slow.recv(1000) == b""
    with client.connected() as second:  # also after a first request that was all right
        second.sendall(b"GET /raw/em/a/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert second.recv(1000).endswith(b"inside")
        second.sendall(b"GET /raw")
        assert status_of(second.recv(1000)) == 408


def open_paths():
    """Return what this process, which the server runs in, has open below temporary folders."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue
    return found


def settled(check, seconds=20.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.02)
    return check()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's /proc")
def test_slow_clients_and_those_that_vanish_hold_nothing(tmp_path, serve):
    with open(tmp_path / "big", "wb") as file:
        file.truncate(1 << 30)
    client = serve(f"em={tmp_path}", stall_seconds=5.0)
    assert client.get("/raw/em/big", "HEAD").status == 200
    gc.collect()
    before = len(open_paths())
    metrics = client.server.site.metrics
    with ExitStack() as slow:
        for i in range(20):
            connection = slow.enter_context(socket.create_connection((client.host, client.port), timeout=30))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /raw/em/big HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(1)
            if i % 2:
                connection.close()  # it vanishes in the middle
        # While the others wait, the file is open only for as long as a piece of it is read.
        assert settled(lambda: metrics.in_flight > 0 and not any(path.endswith("/big") for path in open_paths()))
        # Those that read nothing for a while are let go too, while their end is still open.
        assert settled(lambda: metrics.in_flight == 0)
        assert settled(lambda: len(open_paths()) <= before + 10)
    assert settled(lambda: len(open_paths()) <= before)


def test_too_many_requests_are_told_to_come_back(folder, serve):
    client = serve(folder, most_requests=1)
    client.server.site.metrics.in_flight = 5
    answer = client.get("/raw/em/a/x", headers={"Origin": "https://viewer.example"})
    assert (
        answer.status == 503 and answer.headers["Retry-After"] and answer.headers["Access-Control-Allow-Origin"] == "*"
    )
    client.server.site.metrics.in_flight = 0
    assert client.get("/raw/em/a/x").status == 200


def test_too_many_connections_are_turned_away(folder, serve):
    client = serve(folder, most_connections=3)
    held = [socket.create_connection((client.host, client.port), timeout=30) for _ in range(3)]
    try:
        assert settled(lambda: status_of(client.raw(b"")) == 503, 5)
    finally:
        for connection in held:
            connection.close()
    assert settled(lambda: client.get("/raw/em/a/x").status == 200)


def test_what_is_logged_of_failures_has_no_token_and_stays_on_its_line(folder, serve, monkeypatch, caplog):
    from voxarium.serve import sources

    def broken(self, key, *, wait):
        raise RuntimeError("broken")

    client = serve(folder)
    monkeypatch.setattr(sources.FolderSource, "open", broken)
    assert client.get("/raw/em/a%0aroot:x").status == 404  # a newline is part of no key
    assert client.get("/raw/em/a%e2%80%a8b").status == 500
    assert all("\n" not in record.getMessage() and "\u2028" not in record.getMessage() for record in caplog.records)
    assert any("failed" in record.getMessage() for record in caplog.records)
