"""Raw GETs of `voxarium serve` beside nginx, translated chunks, and many clients: requests and bytes per second, p99.

Both servers have one worker on processor 0; wrk asks from processor 1. Needs `nginx` and `wrk`, on the path or named
as NGINX_BINARY and WRK_BINARY; cases of what is not there say so. The targets: at 256 KiB at least 60 % of nginx's
requests per second, at 64 KiB at least 25 %, p99 within four times; ranges inside a shard the same. Translated chunks
(64³ of uint8, precomputed, from zstd chunks of 64³ or 32³ in shards): 1,500 requests and 400 MB per second. Two hundred
clients for a minute (CROWD_SECONDS): no error, bounded memory, and nothing that stays open.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import case, main
from crowd import Wish, crowd, descriptors, resident, settled

OBJECTS = 512
SHARD = 256 << 20
SECONDS = int(os.environ.get("SECONDS_EACH", "8"))
CONNECTIONS = 16
SIZES = {"256 KiB": 256 << 10, "64 KiB": 64 << 10, "1 KiB": 1 << 10}

NGINX = """
worker_processes 1; daemon off; pid {work}/nginx.pid; error_log {work}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush off; keepalive_requests 1000000000; open_file_cache max=2000;
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3;
  uwsgi_temp_path {work}/t4; scgi_temp_path {work}/t5;
  server {{
    listen 127.0.0.1:{port};
    location /raw/files/ {{ alias {root}/; add_header Access-Control-Allow-Origin *; }}
  }}
}}
"""

TRANSLATED_LUA = """
math.randomseed(7)
request = function()
  local key = {}
  for i = 1, 3 do
    local first = 64 * math.random(0, 15)
    key[i] = first .. "-" .. (first + 64)
  end
  return wrk.format("GET", "/as/precomputed/em/1_1_1/" .. table.concat(key, "_"))
end
"""

LUA = """
math.randomseed(7)
request = function()
  local headers = {{}}
  local path = "/raw/files/{path}"
  if {ranged} then
    local first = math.random(0, {last})
    headers["Range"] = "bytes=" .. first .. "-" .. (first + {length} - 1)
  else
    path = path .. math.random(0, {objects} - 1)
  end
  return wrk.format("GET", path, headers)
end
"""


def program(name: str) -> str | None:
    return os.environ.get(f"{name.upper()}_BINARY") or shutil.which(name)


def objects(work: Path) -> Path:
    """Write objects of each size and one shard, once."""
    root = work / "serve"
    if (root / "complete").exists():
        return root
    root.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(1).integers(0, 256, SHARD, np.uint8).tobytes()
    (root / "shard").write_bytes(data)
    for name, size in SIZES.items():
        folder = root / name.replace(" ", "")
        folder.mkdir(exist_ok=True)
        for i in range(OBJECTS):
            (folder / f"c{i}").write_bytes(data[i * 4096 : i * 4096 + size])
    (root / "complete").touch()
    return root


@contextlib.contextmanager
def running(command: list[str], url: str) -> Iterator[subprocess.Popen[bytes]]:
    pinned = ["taskset", "-c", "0", *command] if shutil.which("taskset") else command
    process = subprocess.Popen(pinned, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url, timeout=5).read(1)
                break
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def voxarium_serve(root: str, port: int) -> list[str]:
    code = "import sys; from voxarium.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", code, "serve", root, "--port", str(port), "--quiet"]


def server(name: str, root: Path, work: Path, port: int) -> list[str] | None:
    if name == "voxarium":
        return voxarium_serve(f"files={root}", port)
    binary = program("nginx")
    if binary is None:
        return None
    (work / "nginx.conf").write_text(NGINX.format(work=work, root=root, port=port))
    return [binary, "-p", str(work), "-c", str(work / "nginx.conf")]


def asked(script: Path, url: str) -> dict[str, Any]:
    """Ask with wrk, from the other processor, and return the figures."""
    wrk = [program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", "-s", str(script), url]
    if shutil.which("taskset"):
        wrk = ["taskset", "-c", "1", *wrk]
    # The first requests load compiled code, which takes a second.
    subprocess.run([w if w != f"-d{SECONDS}s" else "-d2s" for w in wrk], capture_output=True, check=True)
    return figures(subprocess.run(wrk, capture_output=True, text=True, check=True).stdout)


def add(name: str, what: str, path: str, length: int, *, ranged: bool) -> None:
    @case(f"serve/{what}/{name}", timeout=120)
    def _case(_: Path, work: Path) -> dict[str, Any]:
        wrk = program("wrk")
        root, port = objects(work), free_port()
        command = server(name, root, work, port)
        if wrk is None or command is None:
            return {"skipped": f"{'wrk' if wrk is None else name} is not installed"}
        script = work / "wrk.lua"
        script.write_text(
            LUA.format(path=path, ranged=str(ranged).lower(), length=length, last=SHARD - length, objects=OBJECTS)
        )
        url = f"http://127.0.0.1:{port}"
        first = f"{url}/raw/files/{path if ranged else path + '0'}"
        with running(command, first):
            return asked(script, url)


def figures(text: str) -> dict[str, Any]:
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    total = float(re.search(r"Transfer/sec:\s+([\d.]+)", text)[1])
    unit = re.search(r"Transfer/sec:\s+[\d.]+([KMG]?B)", text)[1]
    factor = {"B": 1e-6, "KB": 1.024e-3, "MB": 1.048576, "GB": 1073.741824}[unit]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "requests_per_s": round(rate),
        "MB_per_s": round(total * factor),
        "p99_ms": round(float(p99[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[p99[2]], 2),
        "failed": int(failed[1]) if failed else 0,
    }


for _server in ("nginx", "voxarium"):
    for _what, _size in SIZES.items():
        add(_server, _what, f"{_what.replace(' ', '')}/c", _size, ranged=False)
    add(_server, "64 KiB of a shard", "shard", 64 << 10, ranged=True)


def add_translated(chunk: int) -> None:
    @case(f"serve/translated 64³ from {chunk}³", timeout=120)
    def _case(data: Path, work: Path) -> dict[str, Any]:
        """Chunks in shards become raw ones of 64³."""
        if program("wrk") is None:
            return {"skipped": "wrk is not installed"}
        port = free_port()
        script = work / "translated.lua"
        script.write_text(TRANSLATED_LUA)
        url = f"http://127.0.0.1:{port}"
        shards = data / f"em1024_shard_{chunk}.zarr"
        with running(voxarium_serve(f"em={shards}", port), f"{url}/as/precomputed/em/info"):
            return asked(script, url)


for _chunk in (64, 32):
    add_translated(_chunk)


@case("serve/200 clients", timeout=300)
def two_hundred(data: Path, work: Path) -> dict[str, Any]:
    """Whole files, ranges, translated chunks, pictures and what is not there, all compared where they are known."""
    root, port = objects(work), free_port()
    with open(root / "shard", "rb") as file:
        raw = file.read(32 << 20)
    link = root / "em.zarr"
    if not link.exists():
        shutil.copytree(data / "em1024_shard_32.zarr", link)

    def wish(chosen: random.Random) -> Wish:
        kind = chosen.randrange(20)
        if kind < 8:
            first = chosen.randrange(len(raw) - 65536)
            return Wish("/raw/files/shard", 206, raw[first : first + 65536], span=(first, first + 65536))
        if kind < 13:
            i = chosen.randrange(OBJECTS)
            return Wish(f"/raw/files/64KiB/c{i}", 200, raw[i * 4096 : i * 4096 + 65536])
        if kind < 14:
            return Wish("/raw/files/64KiB/none", 404)
        if kind < 15:
            return Wish(chosen.choice(("/healthz", "/metrics", "/images.json", "/thumbnail/files/em.zarr")))
        z, y, x = (64 * chosen.randrange(16) for _ in range(3))
        return Wish(f"/as/precomputed/files/em.zarr/1_1_1/{x}-{x + 64}_{y}-{y + 64}_{z}-{z + 64}")

    where, long = ("127.0.0.1", port), Wish("/raw/files/shard")
    with running(voxarium_serve(f"files={root}", port), f"http://127.0.0.1:{port}/images.json") as process:
        crowd(where, wish, long, clients=8, seconds=3.0)
        settled(lambda: sum("socket" in d for d in descriptors(process.pid)) <= 3)
        before, opened = resident(process.pid), len(descriptors(process.pid))
        found = crowd(where, wish, long, clients=200, seconds=float(os.environ.get("CROWD_SECONDS", "60")))
        after = resident(process.pid)
        left = settled(lambda: len(descriptors(process.pid)) <= opened)
        return {
            "requests": found.requests, "GB": round(found.bytes / 1e9, 1), "errors": dict(found.errors),
            "p50_ms": round(found.quantile(0.5) * 1e3, 1), "p99_ms": round(found.quantile(0.99) * 1e3, 1),
            "slow": found.slow, "vanished": found.vanished, "rss_before_MB": before >> 20, "rss_after_MB": after >> 20,
            "nothing_left_open": left,
        }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps({"nginx": program("nginx"), "wrk": program("wrk")}), file=sys.stderr)
    main()
