"""Two hundred clients, some of them slow, some vanishing: no error, bounded memory, and nothing stays open."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

import voxarium

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
CLIENTS, SECONDS = 200, 4.0
CODE = "import sys; from voxarium.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def crowd():
    """Return the clients that the benchmark has too."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "crowd.py"
    spec = importlib.util.spec_from_file_location("crowd", path)
    module = sys.modules["crowd"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["crowd"]


def write(folder):
    """Write files, and a sharded image; return what is in them."""
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 255, 8 << 20, np.uint8).tobytes()
    (folder / "shard").write_bytes(raw)
    for i in range(16):
        (folder / f"c{i}").write_bytes(raw[i * 1000 : i * 1000 + 65536])
    voxels = rng.integers(0, 255, (128, 96, 128), np.uint8)
    np.save(folder / "em.npy", voxels)
    voxarium.convert(
        folder / "em.npy", folder / "em.zarr", axes="zyx", voxel_size=8, unit="nanometer", chunk=32, shard=128, levels=1
    )
    return raw, voxels


def test_two_hundred_clients_are_served_without_error_and_leave_nothing_behind(tmp_path, crowd):
    raw, voxels = write(tmp_path)

    def wish(chosen):
        kind, i = chosen.randrange(10), chosen.randrange(20)
        if kind < 4:
            first = chosen.randrange(len(raw) - 65536)
            return crowd.Wish("/raw/em/shard", 206, raw[first : first + 65536], span=(first, first + 65536))
        if kind < 6:
            known = i < 16
            return crowd.Wish(
                f"/raw/em/c{i}", 200 if known else 404, raw[i * 1000 : i * 1000 + 65536] if known else None
            )
        if kind < 9:
            z, y, x = chosen.randrange(2) * 64, 0, chosen.randrange(2) * 64
            key = f"{x}-{x + 64}_{y}-{y + 64}_{z}-{z + 64}"
            body = voxels[z : z + 64, y : y + 64, x : x + 64].tobytes()
            return crowd.Wish(f"/as/precomputed/em/em.zarr/8_8_8/{key}", 200, body)
        return crowd.Wish("/healthz" if i % 2 else "/thumbnail/em/em.zarr")

    program = [sys.executable, "-c", CODE, "serve", f"em={tmp_path}", "--json"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            parts = urlsplit(json.loads(process.stdout.readline())["url"])
            where, long = (parts.hostname, parts.port), crowd.Wish("/raw/em/shard")
            first = crowd.crowd(where, wish, long, clients=4, seconds=1.0)  # everything is loaded
            assert not first.errors and first.requests
            assert crowd.settled(lambda: not has_sockets(crowd, process.pid))
            memory, opened = crowd.resident(process.pid), len(crowd.descriptors(process.pid))
            found = crowd.crowd(where, wish, long, clients=CLIENTS, seconds=SECONDS)
            assert not found.errors and found.requests > CLIENTS and found.vanished
            assert crowd.resident(process.pid) - memory < 300 << 20
            assert crowd.settled(lambda: not has_sockets(crowd, process.pid)), crowd.descriptors(process.pid)
            assert crowd.settled(lambda: len(crowd.descriptors(process.pid)) <= opened), crowd.descriptors(process.pid)
        finally:
            process.terminate()
        assert process.wait(30) == 0


def has_sockets(crowd, pid):
    """Tell whether a server has more sockets than a silent one: the one it listens on, and those of its event loop."""
    return sum(d.startswith("socket:") for d in crowd.descriptors(pid)) > 3
