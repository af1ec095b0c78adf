"""Requests are begun in the order they came, a few in a turn; answers go together, and all of each."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from voxarium.serve.running import BackgroundServer
from voxarium.serve.turns import TURN, HeldAnswer, Turns


class Transport:
    """Notes what is sent."""

    def __init__(self, calls):
        self.calls = calls
        self.closing = False

    def write(self, data):
        self.calls.append(data)

    def writelines(self, parts):
        self.calls.append(b"".join(parts))

    def close(self):
        self.closing = True
        self.calls.append("close")

    def is_closing(self):
        return self.closing


def run(steps, *, turns=4):
    """Return what is sent in each turn of a loop, of which `steps` does its part in the first."""
    sent = []

    async def main():
        loop, shared = asyncio.get_running_loop(), Turns()
        sent.append([])
        steps(SimpleNamespace(
            answer=lambda: HeldAnswer(Transport(Now(sent)), loop, shared),
            begin=lambda do, gone=False: shared.begin(loop, lambda *_: do(), SimpleNamespace(disconnected=gone), None),
            soon=loop.call_soon,
            quiet=lambda: loop.set_exception_handler(lambda *_: None),
        ))  # fmt: skip
        for _ in range(turns):
            await asyncio.sleep(0)
            sent.append([])

    asyncio.run(main())
    return [turn for turn in sent if turn]


class Now:
    def __init__(self, sent):
        self.sent = sent

    def append(self, call):
        self.sent[-1].append(call)


# ------------------------------------------------------------------------------------------------------- beginning
def test_a_few_are_begun_in_each_turn_in_the_order_they_came():
    begun = []
    wanted = list(range(2 * TURN + 3))

    def steps(of):
        for i in wanted:
            of.begin(lambda i=i: begun.append(i))
            of.soon(lambda: counts.append(len(begun)))

    counts = []
    run(steps, turns=9)
    assert begun == wanted
    assert TURN in counts  # the first few alone


def test_who_has_gone_is_not_answered():
    begun = []
    run(lambda of: [of.begin(lambda i=i: begun.append(i), i == 1) for i in range(3)])
    assert begun == [0, 2]


def test_one_that_cannot_be_begun_does_not_hold_up_the_others():
    begun = []

    def fails():
        raise RuntimeError("no")

    def steps(of):
        of.quiet()
        of.begin(fails)
        for i in range(TURN + 2):
            of.begin(lambda i=i: begun.append(i))

    run(steps, turns=6)
    assert begun == list(range(TURN + 2))


# --------------------------------------------------------------------------------------------------------- sending
def test_answers_of_a_turn_are_sent_at_its_end_each_in_one_call():
    def steps(of):
        for name in (b"a", b"b"):
            answer = of.answer()
            answer.begin()
            answer.write(name + b" head ")
            answer.write(name + b" body")

    assert run(steps) == [[b"a head a body", b"b head b body"]]


def test_what_is_behind_the_first_bytes_is_sent_as_it_comes():
    def steps(of):
        answer = of.answer()
        for _ in range(2):
            answer.begin()
            for part in (b"head ", b"body ", b"more", b" and more"):
                answer.write(part)

    assert run(steps) == [[b"head body ", b"more", b" and more"] * 2]


def test_no_more_is_held_than_the_limit():
    big = bytes(300 << 10)
    mark = "the end of the turn"

    def steps(of):
        for _ in range(3):
            answer = of.answer()
            answer.begin()
            answer.write(b"")
            answer.write(big)
        answer._transport.calls.append(mark)

    assert [len(call) for call in run(steps)[0]] == [len(big), len(big), len(mark), len(big)]


def test_a_head_alone_does_not_wait_for_more():
    def steps(of):
        answer = of.answer()
        answer.begin()
        answer.write(b"head")
        of.soon(lambda: of.soon(lambda: answer.write(b"later")))

    assert run(steps) == [[b"head"], [b"later"]]


def test_what_is_held_goes_before_the_next_and_before_the_end():
    def steps(of):
        answer = of.answer()
        answer.begin()
        answer.write(b"one")
        answer.begin()
        answer.write(b"two")
        answer.close()
        assert answer.is_closing()

    assert run(steps) == [[b"one", b"two", "close"]]


def test_nothing_is_sent_where_the_connection_has_ended():
    def steps(of):
        answer = of.answer()
        answer.begin()
        answer.write(b"head")
        answer._transport.close()

    assert run(steps) == [["close"]]


# ------------------------------------------------------------------------------------------------ of a real server
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


def test_the_last_answer_of_a_connection_is_whole(tmp_path):
    (tmp_path / "x").write_bytes(bytes(100_000))

    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /raw/em/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        assert answer.partition(b"\r\n\r\n")[2] == bytes(100_000)
        writer.close()
        await writer.wait_closed()

    with BackgroundServer([f"em={tmp_path}"]) as server:
        asyncio.run(asyncio.wait_for(talk(int(server.url.rsplit(":", 1)[1])), 60))


def test_more_connections_than_a_turn_begins_are_all_answered(tmp_path):
    (tmp_path / "x").write_bytes(bytes(range(256)))

    async def ask(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET /raw/em/x HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(256) == bytes(range(256))
        writer.close()
        await writer.wait_closed()

    async def main(port):
        await asyncio.wait_for(asyncio.gather(*(ask(port) for _ in range(3 * TURN + 1))), 60)

    with BackgroundServer([f"em={tmp_path}"]) as server:
        asyncio.run(main(int(server.url.rpartition(":")[2])))
