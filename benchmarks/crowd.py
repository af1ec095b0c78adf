"""Many clients at once, in one thread: each keeps a connection, asks again and again, and compares what comes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Wish:
    """A request: its path, the bytes that are wanted of it, and what should come."""

    path: str
    status: int = 200
    body: bytes | None = None  # not compared
    span: tuple[int, int] | None = None  # first byte, and the one behind the last


@dataclass
class Outcome:
    requests: int = 0
    bytes: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    slow: int = 0  # answers that were read slowly, and whole
    vanished: int = 0  # clients that left in the middle of an answer
    times: list[float] = field(default_factory=list)

    def quantile(self, q: float) -> float:
        return sorted(self.times)[int(q * (len(self.times) - 1))] if self.times else 0.0


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wish: Wish) -> tuple[int, bytes]:
    ranged = "" if wish.span is None else f"Range: bytes={wish.span[0]}-{wish.span[1] - 1}\r\n"
    writer.write(f"GET {wish.path} HTTP/1.1\r\nHost: crowd\r\n{ranged}\r\n".encode())
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)


async def _client(where: tuple[str, int], wish: Callable[[random.Random], Wish], seed: int, end: float, out: Outcome):
    chosen = random.Random(seed)
    reader, writer = await asyncio.open_connection(*where)
    try:
        while time.monotonic() < end:
            wanted, began = wish(chosen), time.monotonic()
            try:
                status, body = await asyncio.wait_for(_asked(reader, writer, wanted), 60)
            except (OSError, EOFError, ValueError, TimeoutError) as error:
                out.errors[f"{wanted.path.split('/')[1]}: {type(error).__name__}"] += 1
                return
            out.times.append(time.monotonic() - began)
            out.requests += 1
            out.bytes += len(body)
            if status != wanted.status or (wanted.body is not None and body != wanted.body):
                out.errors[f"{wanted.path}: {status}, {len(body)} bytes"] += 1
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _nuisance(where: tuple[str, int], wish: Wish, end: float, out: Outcome, *, slow: bool) -> None:
    """Ask for something long: read it slowly to its end, or leave after the first bytes."""
    while time.monotonic() < end:
        reader, writer = await asyncio.open_connection(*where, limit=4096)
        writer.write(f"GET {wish.path} HTTP/1.1\r\nHost: crowd\r\nConnection: close\r\n\r\n".encode())
        with contextlib.suppress(OSError):
            await reader.read(1000)
            while slow and time.monotonic() < end and await reader.read(4096):
                await asyncio.sleep(0.05)
        out.slow += slow
        out.vanished += not slow
        writer.transport.abort()
        await asyncio.sleep(0.1)


async def _all(where: tuple[str, int], wish: Callable[[random.Random], Wish], long: Wish, clients: int, seconds: float):
    out, end = Outcome(), time.monotonic() + seconds
    tasks = [_client(where, wish, i, end, out) for i in range(clients)]
    tasks += [_nuisance(where, long, end, out, slow=i % 2 == 0) for i in range(8)]
    await asyncio.gather(*tasks)
    return out


def crowd(
    where: tuple[str, int], wish: Callable[[random.Random], Wish], long: Wish, *, clients: int, seconds: float
) -> Outcome:
    """Ask with many clients for some seconds; eight more read `long` slowly, or vanish while they do."""
    return asyncio.run(_all(where, wish, long, clients, seconds))


def resident(pid: int) -> int:
    """Return the memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> list[str]:
    """Return what a process has open: files and sockets."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return [f for f in found if f.startswith(("/", "socket:")) and not f.startswith("/dev/")]


def settled(check: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not check() and time.monotonic() < end:
        time.sleep(0.05)
    return check()
