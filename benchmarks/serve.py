"""Raw GETs of `voxarium serve` beside nginx: requests per second, bytes per second, p99.

Both servers have one worker on processor 0; wrk asks from processor 1. Needs `nginx` and `wrk`, on the path or named
as NGINX_BINARY and WRK_BINARY; cases of what is not there say so. The targets: at 256 KiB at least 60 % of nginx's
requests per second, at 64 KiB at least 25 %, p99 within four times; ranges inside a shard the same.
"""

from __future__ import annotations

import contextlib
import json
import os
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
def running(command: list[str], url: str) -> Iterator[None]:
    pinned = ["taskset", "-c", "0", *command] if shutil.which("taskset") else command
    process = subprocess.Popen(pinned, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url, timeout=5).read(1)
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def server(name: str, root: Path, work: Path, port: int) -> list[str] | None:
    if name == "voxarium":
        code = "import sys; from voxarium.cli.main import main; sys.exit(main(sys.argv[1:]))"
        return [sys.executable, "-c", code, "serve", f"files={root}", "--port", str(port), "--quiet"]
    binary = program("nginx")
    if binary is None:
        return None
    (work / "nginx.conf").write_text(NGINX.format(work=work, root=root, port=port))
    return [binary, "-p", str(work), "-c", str(work / "nginx.conf")]


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
        asked = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", "-s", str(script), url]
        if shutil.which("taskset"):
            asked = ["taskset", "-c", "1", *asked]
        with running(command, first):
            done = subprocess.run(asked, capture_output=True, text=True, check=True)
        return figures(done.stdout)


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

if __name__ == "__main__":
    print(json.dumps({"nginx": program("nginx"), "wrk": program("wrk")}), file=sys.stderr)
    main()
