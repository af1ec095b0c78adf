"""A PostgreSQL server of our own, in a temporary folder, for tests."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path


def programs():
    """Return the folder of PostgreSQL's programs; None when it is not installed."""
    found = [*sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True), *os.environ["PATH"].split(os.pathsep)]
    return next((Path(p) for p in found if (Path(p) / "initdb").exists() and (Path(p) / "postgres").exists()), None)


def account():
    """Return a user that the server runs as: it refuses to be root."""
    import pwd

    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(folder, who):
    """Run a server; yield the URL of its database."""
    home = Path(tempfile.mkdtemp(prefix="vx-pg-", dir=folder))
    if who:
        os.chown(home, who["user"], who["group"])
    where = programs()
    options = {"cwd": home, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **who}
    try:
        subprocess.run(
            [where / "initdb", "-D", home / "data", "-A", "trust", "-U", "voxarium", "--no-sync", "-E", "UTF8"],
            check=True, timeout=120, **options,
        )  # fmt: skip
        port = free_port()
        command = [where / "postgres", "-D", home / "data", "-p", str(port), "-k", home, "-h", "127.0.0.1", "-F"]
        with subprocess.Popen(command, **options) as server:
            try:
                for _ in range(600):
                    with socket.socket() as probe:
                        if probe.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    time.sleep(0.1)
                yield f"postgresql://voxarium@127.0.0.1:{port}/postgres"
            finally:
                server.terminate()
                server.wait(60)
    finally:
        shutil.rmtree(home, ignore_errors=True)
