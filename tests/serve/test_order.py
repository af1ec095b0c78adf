"""Requests are begun in the order in which they came, a few in a turn of the loop: no connection always waits twice."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from voxarium.serve.protocol import _TURN, _Queue
from voxarium.serve.running import BackgroundServer


def begun(put):
    """Return what is begun in each turn of a loop."""
    turns = []

    async def main():
        loop, queue = asyncio.get_running_loop(), _Queue()
        put(lambda name, gone=False: queue.put(
            loop, lambda cycle, _: turns[-1].append(cycle.name), SimpleNamespace(name=name, disconnected=gone), None
        ))  # fmt: skip
        for _ in range(10):
            turns.append([])
            await asyncio.sleep(0)

    asyncio.run(main())
    return [turn for turn in turns if turn]


def test_a_few_in_each_turn_in_the_order_they_came():
    wanted = list(range(2 * _TURN + 3))
    found = begun(lambda put: [put(i) for i in wanted])
    assert [len(turn) for turn in found] == [_TURN, _TURN, 3]
    assert [i for turn in found for i in turn] == wanted


def test_whoever_has_gone_is_not_answered():
    assert begun(lambda put: [put(i, i == 1) for i in range(3)]) == [[0, 2]]


def test_more_than_one_turn_of_connections_at_once_are_all_answered(tmp_path):
    (tmp_path / "x").write_bytes(bytes(range(256)))
    wanted = b"".join(bytes([i]) for i in range(256))

    async def ask(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET /raw/em/x HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(256) == wanted
        writer.close()
        await writer.wait_closed()

    async def main(port):
        await asyncio.wait_for(asyncio.gather(*(ask(port) for _ in range(3 * _TURN + 1))), 30)

    with BackgroundServer([f"em={tmp_path}"]) as server:
        asyncio.run(main(int(server.url.rpartition(":")[2])))
