"""A real server on a free port of this machine, and a client that hides nothing."""

from __future__ import annotations

import http.client
import socket
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytest.importorskip("starlette", reason="Starlette is not installed")


class Client:
    """Sends requests as they are written, and returns answers as they come."""

    def __init__(self, server):
        self.server = server
        self.url = server.url
        parts = urlsplit(server.url)
        self.host, self.port = parts.hostname, parts.port

    def request(self, path, method="GET", headers=None, body=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            answer.body = answer.read()
            return answer
        finally:
            connection.close()

    get = request

    @contextmanager
    def connected(self):
        with socket.create_connection((self.host, self.port), timeout=30) as connection:
            yield connection

    def raw(self, data):
        """Send bytes as they are; return all that comes until the server closes."""
        with self.connected() as connection:
            connection.sendall(data)
            out = b""
            while part := connection.recv(1 << 16):
                out += part
            return out


@pytest.fixture(scope="session")
def client_of():
    """Return what makes a client of a server."""
    return Client


@pytest.fixture
def serve():
    """Start servers; all are stopped at the end."""
    from voxarium.serve.running import BackgroundServer
    from voxarium.serve.site import Settings

    running = []

    def start(*uris, access_log=None, **settings):
        server = BackgroundServer([str(u) for u in uris], settings=Settings(**settings), access_log=access_log)
        running.append(server.__enter__())
        return Client(server)

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def postgresql_url():
    """Start a server of PostgreSQL, once."""
    from . import postgresql

    if postgresql.programs() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    if postgresql.account() is None:
        pytest.skip("PostgreSQL does not run as root, and there is no other user")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with postgresql.running("/tmp", postgresql.account()) as url:
        yield url
