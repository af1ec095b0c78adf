"""What the acceptance tests share: the program, references in plain NumPy, and how to look at targets."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import voxarium
from voxarium.cli.main import main
from voxarium.errors import VoxariumError
from voxarium.stores.local import LocalStore


@pytest.fixture(autouse=True)
def no_cloud_settings(monkeypatch):
    """Tests see no credentials and no endpoints of the person who runs them."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def cli(capsys):
    """Run the program in this process; return exit code and output."""

    def call(*arguments):
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def content():
    """Return every object below a folder: {key: bytes}."""

    def call(path):
        store = LocalStore(path)
        return {key: store.get(key) for key, _ in store.list("")}

    return call


@pytest.fixture
def refused():
    """Call something that must be refused with one error of a code; return the error, whose fix says something."""

    def call(code, function, *words):
        with pytest.raises(VoxariumError) as caught:
            function()
        error = caught.value
        assert error.code == code, f"{error.code}: {error} ({error.fix})"
        assert len(error.fix) > 8
        for word in words:
            assert str(word) in f"{error.message} {error.fix}", f"{word!r} is not in: {error} ({error.fix})"
        return error

    return call


@pytest.fixture
def npy(tmp_path):
    """Write an array as a .npy file; return its path."""

    def call(data, name="source.npy"):
        path = tmp_path / name
        np.save(path, data)
        return path

    return call


class References:
    """Downsampling as the documentation states it, in the plainest NumPy. Windows at the end are cut, not padded."""

    @staticmethod
    def sums(data, factors, kind=np.int64):
        out = data.astype(kind)
        count = np.ones(data.shape, np.int64)
        for axis, f in enumerate(factors):
            starts = np.arange(0, data.shape[axis], f)
            out, count = np.add.reduceat(out, starts, axis), np.add.reduceat(count, starts, axis)
        return out, count

    @classmethod
    def mean(cls, data, factors):
        """The exact mean of the window, halves to the even number."""
        total, count = cls.sums(data, factors)
        quotient, rest = np.divmod(total, count)
        up = (2 * rest > count) | ((2 * rest == count) & (quotient % 2 == 1))
        return (quotient + up).astype(data.dtype)

    @staticmethod
    def mode(data, factors):
        """The most frequent value of the window; the smallest of equally frequent ones."""
        views = []
        padding = [(0, -n % f) for n, f in zip(data.shape, factors, strict=True)]
        present = np.pad(np.ones(data.shape, bool), padding)
        padded = np.pad(data, padding)
        for corner in itertools.product(*(range(f) for f in factors)):
            at = tuple(slice(c, None, f) for c, f in zip(corner, factors, strict=True))
            views.append((padded[at], present[at]))
        best, votes = np.zeros_like(views[0][0]), np.zeros(views[0][0].shape, np.int8)
        for value, here in views:
            count = sum((((other == value) & there).astype(np.int8) for other, there in views), np.int8(0))
            count = np.where(here, count, 0)
            better = (count > votes) | ((count == votes) & (count > 0) & (value < best))
            best, votes = np.where(better, value, best), np.where(better, count, votes)
        return best

    @staticmethod
    def stride(data, factors):
        return data[tuple(slice(None, None, f) for f in factors)]


@pytest.fixture(scope="session")
def references():
    return References


@pytest.fixture(scope="session")
def shared():
    """The folder of real data, which the repository does not hold."""
    path = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not (path / "fib25").is_dir():
        pytest.skip(f"real data is not there: {path}/fib25")
    return path


@pytest.fixture
def leaves_nothing(tmp_path):
    """Check that a refused job left no target behind."""

    def call(target):
        assert not Path(target).exists(), sorted(Path(target).rglob("*"))

    return call


@pytest.fixture
def resumable(refused):
    """Check that an interrupted target is no image to anybody, and holds only whole objects under final names."""

    def call(target):
        target = Path(target)
        assert target.is_dir()
        refused(voxarium.Code.IMAGE_INCOMPLETE, lambda: voxarium.open(target), "--resume")
        assert not list(target.rglob("zarr.json")) and not list(target.rglob(".z*"))
        ledger = target / ".voxarium" / "ledger.jsonl"
        finished = {}
        if ledger.exists():
            finished = {k: n for k, n, _ in map(json.loads, ledger.read_text().splitlines())}
        for path in target.rglob("*"):
            key = path.relative_to(target).as_posix()
            if path.is_file() and not key.startswith(".voxarium"):
                assert finished.get(key, path.stat().st_size) == path.stat().st_size
        return finished

    return call
