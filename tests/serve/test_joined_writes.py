"""The head of an answer and its first bytes are sent in one call, and nothing is held back or put out of order."""

from __future__ import annotations

import asyncio

import pytest

from voxarium.serve.protocol import _Joining
from voxarium.serve.running import BackgroundServer


class Transport:
    def __init__(self):
        self.calls = []

    def write(self, data):
        self.calls.append(data)

    def writelines(self, parts):
        self.calls.append(b"".join(parts))

    def close(self):
        self.calls.append("close")

    def is_closing(self):
        return self.calls[-1:] == ["close"]


def run(steps):
    transport = Transport()

    async def main():
        await steps(_Joining(transport, asyncio.get_running_loop()))
        await asyncio.sleep(0)

    asyncio.run(main())
    return transport.calls


def test_head_and_body_go_together_and_the_rest_as_it_comes():
    async def steps(joining):
        for _ in range(2):
            joining.begin()
            joining.write(b"head ")
            joining.write(b"body ")
            joining.write(b"more")

    assert run(steps) == [b"head body ", b"more"] * 2


def test_a_head_alone_does_not_wait():
    async def steps(joining):
        joining.begin()
        joining.write(b"head")
        await asyncio.sleep(0)
        joining.write(b"later")

    assert run(steps) == [b"head", b"later"]


def test_what_waits_goes_before_the_next_and_before_the_end():
    async def steps(joining):
        joining.begin()
        joining.write(b"one")
        joining.flush()
        joining.begin()
        joining.write(b"two")
        joining.close()
        assert joining.is_closing()

    assert run(steps) == [b"one", b"two", "close"]


def test_nothing_is_sent_where_the_connection_has_ended():
    async def steps(joining):
        joining.begin()
        joining.write(b"head")
        joining._transport.close()

    assert run(steps) == ["close"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answers_of_one_connection_come_in_order(tmp_path, method):
    names = [f"f{i}" for i in range(9)]
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(bytes([65 + i]) * (1 + i * 20_000))

    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for name in names:  # all at once, before any answer is read
            writer.write(f"{method} /raw/em/{name} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        for i in range(len(names)):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert b"content-length: %d\r\n" % (1 + i * 20_000) in head
            if method == "GET":
                assert await reader.readexactly(1 + i * 20_000) == bytes([65 + i]) * (1 + i * 20_000)
        writer.close()
        await writer.wait_closed()

    with BackgroundServer([f"em={tmp_path}"]) as server:
        asyncio.run(asyncio.wait_for(talk(int(server.url.rsplit(":", 1)[1])), 60))
