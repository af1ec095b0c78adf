"""An upgrade killed at any file operation loses nothing: it can be finished, or undone, to the last byte."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

import voxarium
from voxarium.errors import ConflictError, NotFoundError

# Forks for every point: the child kills itself at the given file operation inside the tree.
SCRIPT = """
import hashlib, os, shutil, signal, sys
from pathlib import Path
import voxarium
from voxarium.conversion.upgrading import roll_back, upgrade

source, work, what, step = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
WRITES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"}

def content():
    return {str(f.relative_to(work)): hashlib.sha256(f.read_bytes()).hexdigest()
            for f in sorted(Path(work).rglob("*")) if f.is_file()}

def fresh(prepared):
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source, work)
    if prepared:
        upgrade(work, to="0.6")

def act():
    roll_back(work) if what == "rollback" else upgrade(work, to="0.6")

def killed(at):
    child = os.fork()
    if child == 0:
        seen = 0
        def hook(event, args):
            nonlocal seen
            if event in WRITES or (event == "open" and isinstance(args[2], int) and args[2] & os.O_WRONLY):
                if work in os.fspath(args[0]) if isinstance(args[0], str) else False:
                    seen += 1
                    if seen == at:
                        os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        act()
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0

fresh(False)
original = content()
fresh(True)
upgraded = content()
points, again = 0, 0
at = 1
while True:
    fresh(what == "rollback")
    if not killed(at):
        break
    points += 1
    if what == "finish":
        upgrade(work, to="0.6")
        assert content() == upgraded, at
    else:
        try:
            roll_back(work)
        except voxarium.VoxariumError as error:
            assert error.code == "nothing-to-resume", error
            again += 1
        assert content() == original, (at, content().keys() ^ original.keys())
    at += step
print(points, again)
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["finish", "undo", "rollback"])
def test_killed_at_every_file_operation(tmp_path, trees, what):
    trees.group(tmp_path / "t", {"own": 1})
    trees.labelled(tmp_path / "t/image")
    arguments = [str(tmp_path / "t"), str(tmp_path / "work"), what, "1"]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    points, again = map(int, done.stdout.split())
    assert points > 40
    assert again < points / 2 or what == "finish"


RUN = "import sys, voxarium; voxarium.upgrade(sys.argv[1], to='0.6')"


@pytest.mark.slow
def test_killed_at_random_moments_it_is_finished_or_undone(tmp_path, trees):
    trees.plate(tmp_path / "source", rows="ABC", columns=range(1, 9), fields=2)
    original = trees.content(tmp_path / "source")
    shutil.copytree(tmp_path / "source", tmp_path / "whole")
    voxarium.upgrade(tmp_path / "whole", to="0.6")
    upgraded = trees.content(tmp_path / "whole")
    chance, halfway = random.Random(5), 0
    for turn in range(14):
        work = tmp_path / f"work-{turn}"
        shutil.copytree(tmp_path / "source", work)
        process = subprocess.Popen([sys.executable, "-c", RUN, str(work)], stderr=subprocess.PIPE)
        while not (work / trees.journal).exists() and process.poll() is None:
            time.sleep(0.001)  # start-up is not what is tested
        time.sleep(chance.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        process.stderr.close()
        found = trees.content(work)
        halfway += found not in (original, upgraded)
        chunks = {k: v for k, v in found.items() if ".voxarium-partial" not in k and k[-1].isdigit()}
        assert chunks == {k: v for k, v in original.items() if k[-1].isdigit()}
        if turn % 2:
            voxarium.upgrade(work, to="0.6")
            assert trees.content(work) == upgraded
            voxarium.roll_back(work)
        else:
            with contextlib.suppress(NotFoundError):  # killed before the journal was complete: nothing was changed
                voxarium.roll_back(work)
        assert trees.content(work) == original
        shutil.rmtree(work)
    assert halfway >= 3


def stopped(tree, monkeypatch, after):
    """Upgrade, with a store that fails after some documents."""
    from voxarium.stores.local import LocalStore

    create, count = LocalStore.create, 0

    def failing(self, key):
        nonlocal count
        if key.endswith("zarr.json"):
            count += 1
            if count > after:
                raise KeyboardInterrupt
        return create(self, key)

    monkeypatch.setattr(LocalStore, "create", failing)
    with pytest.raises(KeyboardInterrupt):
        voxarium.upgrade(tree, to="0.5")
    monkeypatch.undo()


def test_a_stopped_upgrade_goes_on_only_with_its_own_settings(tmp_path, trees, monkeypatch):
    trees.labelled(tmp_path / "t")
    before = trees.content(tmp_path / "t")
    stopped(tmp_path / "t", monkeypatch, 3)
    assert len(trees.content(tmp_path / "t").keys() - before.keys()) == 3
    with pytest.raises(ConflictError, match="other settings"):
        voxarium.upgrade(tmp_path / "t", to="0.6")
    listed = voxarium.upgrade(tmp_path / "t", to="0.5", dry_run=True)
    report = voxarium.upgrade(tmp_path / "t", to="0.5")
    assert report.resumed and listed.resumed and len(listed.changes) == report.written + report.removed
    assert voxarium.open(tmp_path / "t").info.spec_version == "0.5"
    assert voxarium.roll_back(tmp_path / "t").written
    assert trees.content(tmp_path / "t") == before


def test_a_half_done_tree_is_read_all_the_time(tmp_path, trees, monkeypatch):
    trees.plate(tmp_path / "t")
    expected = trees.voxels(tmp_path / "t", 2)
    for after in (1, 4, 9):
        shutil.copytree(tmp_path / "t", tmp_path / str(after))
        stopped(tmp_path / str(after), monkeypatch, after)
        for well in ("A/1/0", "A/1/1", "B/2/1"):
            assert (voxarium.open(tmp_path / str(after) / well)[...] == expected[f"{well}/0"]).all()
