"""Several processes behind one address."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")


def command_of(pid):
    """What process `pid` was started with; nothing for one that has ended since it was listed."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def children(process):
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    # The interpreter's own watcher of semaphores is a child too.
    return [int(pid) for pid in found if b"spawn_main" in command_of(pid)]


def fetched(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def test_several_processes_answer_are_replaced_and_count_together(tmp_path):
    (tmp_path / "x").write_bytes(b"data")
    log = tmp_path / "log.jsonl"
    code = "import sys; from voxarium.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        "serve",
        f"em={tmp_path}",
        "--json",
        "--workers",
        "2",
        "--access-log",
        str(log),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = json.loads(process.stdout.readline())["url"]
            for _ in range(30):
                assert fetched(f"{url}/raw/em/x") == b"data"
            first = children(process)
            assert len(first) == 2
            os.kill(first[0], signal.SIGKILL)  # one of our own server's processes
            for _ in range(300):
                if len(now := children(process)) == 2 and first[0] not in now:
                    break
                time.sleep(0.1)
            assert len(now) == 2 and first[1] in now
            for _ in range(30):
                assert fetched(f"{url}/raw/em/x") == b"data"
            time.sleep(1.5)  # counts are shared twice a second
            text = fetched(f"{url}/metrics").decode()
        finally:
            process.terminate()
        assert process.wait(40) == 0
    count = int(re.search(r'requests_total\{route="raw",method="GET",status="200"\} (\d+)', text)[1])
    assert 30 <= count <= 60  # a killed process takes with it what it had not told yet
    assert len(log.read_text().splitlines()) >= 30
    assert all(json.loads(line)["method"] == "GET" for line in log.read_text().splitlines())
