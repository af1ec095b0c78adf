"""``voxarium read``: regions into .npy files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def test_a_region_is_read(run, archive, tmp_path, volume):
    out = tmp_path / "part.npy"
    done = run("read", archive, "--box", "2:10,:7,5", "--out", out)
    assert done.code == 0 and "uint8 8 × 7 × 1" in done.out
    assert (np.load(out) == volume[2:10, :7, 5:6]).all()


def test_everything_is_read_without_a_box(run, archive, tmp_path, volume):
    assert run("read", archive, "-o", tmp_path / "all.npy", "-q").out == ""
    assert (np.load(tmp_path / "all.npy") == volume).all()


def test_a_level_is_read_in_its_own_voxels(run, archive, tmp_path):
    told = run("read", archive, "--level", 1, "--box", "0:2,0:3,0:4", "--out", tmp_path / "l.npy", "--json").json
    assert told["box"] == {"origin": [0, 0, 0], "shape": [2, 3, 4]} and told["level"] == 1 and told["dtype"] == "uint8"
    assert np.load(tmp_path / "l.npy").shape == (2, 3, 4)


def test_a_file_is_replaced_only_when_asked(run, archive, tmp_path):
    out = tmp_path / "x.npy"
    out.write_text("precious")
    told = run("read", archive, "--out", out, "--json")
    assert told.code == 1 and told.error["code"] == "target-exists" and out.read_text() == "precious"
    assert run("read", archive, "--out", out, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["--box", "0:5,0:5"], 2, "axes-mismatch"),
        (["--box", "0:5,0:5,0:500"], 2, "box-out-of-bounds"),
        (["--box", "50:,:,:"], 2, "box-out-of-bounds"),
        (["--box", "3:3,:,:"], 2, "argument-invalid"),
        (["--box", "x"], 2, "argument-invalid"),
        (["--box", ""], 2, "argument-invalid"),
        (["--box", "0:99999999999999999999999999999999999999999,:,:"], 2, "argument-invalid"),
        (["--level", "9"], 1, "level-missing"),
        (["--level", "-1"], 2, "argument-invalid"),
        (["--out", "x.txt"], 2, "argument-invalid"),
    ],
)
def test_wrong_arguments_leave_no_file(run, archive, tmp_path, monkeypatch, arguments, code, kind):
    monkeypatch.chdir(tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    given = arguments if "--out" in arguments else [*arguments, "--out", "x.npy"]
    told = run("read", archive, *given, "--json")
    assert (told.code, told.error["code"]) == (code, kind)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_corrupt_chunk_leaves_no_file(run, archive, tmp_path):
    shard = max(
        (p for p in archive.rglob("*") if p.is_file() and "labels" not in p.parts and p.suffix != ".json"),
        key=lambda p: p.stat().st_size,
    )
    data = bytearray(shard.read_bytes())
    data[5:40] = bytes(35)
    shard.write_bytes(data)
    told = run("read", archive, "--out", tmp_path / "x.npy", "--json")
    assert told.code == 1 and told.error["code"] in ("chunk-corrupt", "chunk-truncated", "checksum-mismatch")
    assert not list(tmp_path.glob("*x.npy*"))


def test_a_folder_that_does_not_exist_is_an_error(run, archive, tmp_path):
    told = run("read", archive, "--out", tmp_path / "no" / "x.npy", "--json")
    assert told.code == 1 and told.error["code"] == "store-unwritable"


@pytest.fixture
def disk(tmp_path):
    """A disk of 64 kB; called with an option, it is mounted anew with that."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", folder], capture_output=True)

    if not sys.platform.startswith("linux") or mount("size=64k").returncode:
        pytest.skip("needs the right to mount a small disk")
    yield folder, mount
    subprocess.run(["umount", folder], capture_output=True)


def test_a_full_disk_is_an_error_and_kills_nobody(archive, disk):
    folder, _ = disk
    program = Path(sys.executable).with_name("voxarium")
    command = [program, "read", archive, "--level", "0", "--out", folder / "all.npy", "--json"]
    (folder / "full").write_bytes(bytes(48 << 10))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and json.loads(done.stdout)["error"]["code"] == "store-unwritable", done.stderr
    assert "No space left" in done.stdout
    assert [p.name for p in folder.iterdir()] == ["full"]


@pytest.mark.parametrize("command", ["read", "preview"])
def test_a_disk_that_cannot_be_written_is_an_error(run, archive, disk, command):
    folder, mount = disk
    mount("remount", "ro")
    told = run(command, archive, "--out", folder / ("x.npy" if command == "read" else "x.png"), "--json")
    assert told.code == 1 and told.error["code"] == "store-unwritable"
    assert "Read-only" in told.error["message"]
