"""A threaded range server on 127.0.0.1 that counts requests, adds latency and misbehaves on demand."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Faults:
    """What goes wrong; every field may be changed while the server runs."""

    ignore_range: bool = False  # 200 with the whole object
    no_suffix: bool = False  # 501 for suffix ranges, as some servers do
    no_head: bool = False  # 405 for HEAD
    no_etag: bool = False
    latency: float = 0.0  # seconds before each answer
    status: dict[str, int] = field(default_factory=dict)  # path → status
    fail_first: int = 0  # this many requests get 503
    truncate: int | None = None  # close the connection after so many body bytes
    short_range: int = 0  # answer ranges with so many bytes less, consistently labelled
    wrong_range: bool = False  # 206 with other bytes than asked
    token: str | None = None  # required query parameter "token"
    redirect: dict[str, str] = field(default_factory=dict)


class RangeServer:
    """Serves a dictionary of objects: ``with RangeServer({"a": b"..."}) as server: server.url``."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.faults = Faults()
        self.requests: list[tuple[str, str, str | None]] = []
        self.bytes_sent = 0
        self.peak = 0
        self._active = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def counts(self) -> Counter[str]:
        return Counter(method for method, _, _ in self.requests)

    def __enter__(self) -> Self:
        outer = self

        class Handler(_Handler):
            owner = outer

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that hang up are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def enter(self) -> None:
        with self._lock:
            self._active += 1
            self.peak = max(self.peak, self._active)

    def leave(self) -> None:
        with self._lock:
            self._active -= 1


class _Handler(BaseHTTPRequestHandler):
    owner: RangeServer
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.owner.enter()
        try:
            self._respond(body=body)
        finally:
            self.owner.leave()

    def _respond(self, *, body: bool) -> None:
        faults = self.owner.faults
        url = urlsplit(self.path)
        key = unquote(url.path).lstrip("/")
        asked = self.headers.get("Range")
        self.owner.requests.append((self.command, key, asked))
        if faults.latency:
            time.sleep(faults.latency)
        status = faults.status.get(key)
        if faults.fail_first > 0:
            faults.fail_first -= 1
            status = 503
        if faults.token is not None and parse_qs(url.query).get("token") != [faults.token]:
            status = 403
        if key in faults.redirect:
            return self._plain(302, body, {"Location": faults.redirect[key]})
        if not body and faults.no_head:
            status = 405
        if asked and faults.no_suffix and asked.startswith("bytes=-"):
            status = 501
        if status is None and key not in self.owner.objects:
            status = 404
        if status is not None:
            return self._plain(status, body, {})
        return self._object(self.owner.objects[key], asked, body=body)

    def _plain(self, status: int, body: bool, headers: dict[str, str]) -> None:
        text = b"<html>no</html>"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if body:
            self.wfile.write(text)

    def _object(self, data: bytes, asked: str | None, *, body: bool) -> None:
        faults = self.owner.faults
        size = len(data)
        start, stop = 0, size
        partial = asked is not None and not faults.ignore_range
        if partial:
            match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
            assert match
            if match[1]:
                start = int(match[1])
                stop = min(size, int(match[2]) + 1) if match[2] else size
            else:
                start = max(0, size - int(match[2]))
            if start >= size:
                return self._plain(416, body, {"Content-Range": f"bytes */{size}"})
            stop = max(start + 1, stop - faults.short_range)
            if faults.wrong_range:
                start, stop = 0, stop - start
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        if not faults.no_etag:
            self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        self.send_header("Last-Modified", "Wed, 18 Nov 2026 10:00:00 GMT")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if not body:
            return None
        part = data[start:stop]
        if faults.truncate is not None and len(part) > faults.truncate:
            self.wfile.write(part[: faults.truncate])
            self.wfile.flush()
            self.close_connection = True
            return None
        self.wfile.write(part)
        self.owner.bytes_sent += len(part)
        return None
