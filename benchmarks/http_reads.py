"""Cutouts over a loopback HTTP server that adds 20 ms to every request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from common import case, main

warnings.filterwarnings("ignore")
DELAY = 0.020


class Server:
    """A small keep-alive HTTP/1.1 server with byte ranges and added latency; counts requests and bytes."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.requests = self.sent = 0
        self.port = 0

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
            while line := await reader.readline():
                method, path, _ = line.decode().split()
                headers = {}
                while row := (await reader.readline()).decode().strip():
                    key, _, value = row.partition(":")
                    headers[key.lower()] = value.strip()
                self.requests += 1
                await asyncio.sleep(DELAY)
                status, extra, body = self._body(unquote(path.split("?")[0]), headers.get("range"))
                self.sent += len(body)
                head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nAccept-Ranges: bytes\r\n{extra}\r\n"
                writer.write(head.encode() + (b"" if method == "HEAD" else body))
                await writer.drain()
        writer.close()

    def _body(self, path: str, asked: str | None) -> tuple[str, str, bytes]:
        file = self.root / path.lstrip("/")
        if ".." in path or not file.is_file():
            return "404 Not Found", "", b""
        size = file.stat().st_size
        start, stop = 0, size
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = (
                (max(0, size - int(last)), size)
                if not first
                else (int(first), min(size, int(last) + 1) if last else size)
            )
        fd = os.open(file, os.O_RDONLY)
        body = os.pread(fd, stop - start, start)
        os.close(fd)
        extra = f'ETag: "{size:x}"\r\nLast-Modified: Fri, 20 Nov 2026 00:00:00 GMT\r\n'
        if not asked:
            return "200 OK", extra, body
        return "206 Partial Content", f"{extra}Content-Range: bytes {start}-{stop - 1}/{size}\r\n", body

    async def _serve(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await server.serve_forever()


@contextlib.contextmanager
def serving(root: Path) -> Iterator[Server]:
    """Run the server in a process's own thread for the length of the block."""
    server, ready = Server(root), threading.Event()
    loop = asyncio.new_event_loop()

    def go() -> None:
        with contextlib.suppress(asyncio.CancelledError, RuntimeError):
            loop.run_until_complete(server._serve(ready))

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    ready.wait()
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join(2)


def voxarium_reader(url: str):
    import voxarium
    from voxarium import Box

    image = voxarium.open(url)
    return lambda o, n: image.read(Box(o, (n, n, n)))


def tensorstore_reader(url: str, cached: bool = False):
    import tensorstore as ts

    base, _, path = url.partition("/em")
    context = ts.Context({"cache_pool": {"total_bytes_limit": 200 << 20 if cached else 0}})
    spec = {"driver": "zarr3", "kvstore": {"driver": "http", "base_url": base, "path": f"/em{path}/"}}
    more = {"recheck_cached_data": False} if cached else {}
    array = ts.open(spec, context=context, read=True, **more).result()
    return lambda o, n: array[o[0] : o[0] + n, o[1] : o[1] + n, o[2] : o[2] + n].read().result()


def zarr_reader(url: str):
    from zarr.storage import FsspecStore

    import zarr

    array = zarr.open_array(FsspecStore.from_url(url, read_only=True), mode="r")
    return lambda o, n: array[o[0] : o[0] + n, o[1] : o[1] + n, o[2] : o[2] + n]


def add(store: str, name: str, make: Any) -> None:
    @case(f"http 20 ms/{store}/{name}", timeout=300)
    def _case(data: Path, work: Path) -> dict[str, Any]:
        row: dict[str, Any] = {}
        with serving(data) as server:
            url = f"http://127.0.0.1:{server.port}/em1024_{store}.zarr"
            reference = np.load(data / "em1024.npy", mmap_mode="r")
            for n, count in ((64, 30), (256, 5)):
                origins = np.random.default_rng(5).integers(0, 1024 - n, (count, 3)).tolist()
                # first: an array opened anew for every read, so no index is known; cached: all indexes are known.
                times = []
                for origin in origins[: max(3, count // 3)]:
                    reader = make(url)
                    start = time.perf_counter()
                    block = reader(tuple(origin), n)
                    times.append(time.perf_counter() - start)
                    z, y, x = origin
                    row["equal"] = row.get("equal", True) and bool(
                        np.array_equal(block, reference[z : z + n, y : y + n, x : x + n])
                    )
                row[f"{n}_first_p50_ms"] = round(1e3 * statistics.median(times), 1)
                reader = make(url)
                for corner in np.ndindex(2, 2, 2):
                    reader(tuple(512 * c for c in corner), 32)
                times, before = [], server.requests
                for origin in origins:
                    start = time.perf_counter()
                    reader(tuple(origin), n)
                    times.append(time.perf_counter() - start)
                row[f"{n}_cached_p50_ms"] = round(1e3 * statistics.median(times), 1)
                row[f"{n}_requests"] = round((server.requests - before) / count, 1)
        return row


for _store in ("shard_64", "zarr_64"):
    add(_store, "voxarium", voxarium_reader)
    add(_store, "tensorstore", tensorstore_reader)
    add(_store, "tensorstore, 200 MB cache, no recheck", lambda url: tensorstore_reader(url, cached=True))
    add(_store, "zarr-python (fsspec)", zarr_reader)

if __name__ == "__main__":
    main()
