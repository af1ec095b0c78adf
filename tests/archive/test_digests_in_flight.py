"""Digests that are taken while a conversion writes are those of what it wrote, however often it was stopped."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time

import numpy as np
import pytest

import voxarium
from voxarium.archive.manifests import write_manifest
from voxarium.archive.verify import verify
from voxarium.conversion import ConvertOptions, open_target, plan, run
from voxarium.conversion.ledger import Ledger
from voxarium.conversion.running import as_choices
from voxarium.core.digests import Digester, check_algorithms, digests_of
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.errors import InputError, InterruptedJobError, StoreError, UnsupportedError
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

CHOICES = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 8, "shard": 16, "memory": 1}
TARGETS = {
    "ome-zarr": {},
    "ome-zarr with an object per chunk": {"shard": 0},
    "precomputed": {"format": "precomputed"},
    "n5-canonical": {"format": "n5-canonical", "shard": None},
    "webknossos": {"format": "webknossos"},
}


def blake3_of(data):
    return pytest.importorskip("blake3", reason="blake3 is not installed").blake3(data).digest()


@pytest.fixture
def source(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(1).integers(1, 255, (40, 50, 60)).astype(np.uint8))
    return tmp_path / "a.npy"


class Taken:
    """Keeps what a conversion tells about its objects, and refuses to as often as wanted."""

    def __init__(self, failures=0):
        self.objects, self.failures = {}, failures

    def __call__(self, store, objects):
        if self.failures:
            self.failures -= 1
            raise StoreError("on purpose", code="store-unwritable", fix="none")
        assert len({o.key for o in objects}) == len(objects)
        self.objects = {o.key: o for o in objects}


def assert_true(taken, folder, algorithms):
    store = LocalStore(folder)
    content = {key: store.get(key) for key, _ in store.list("")}
    assert set(taken.objects) == set(content)
    for key, data in content.items():
        found = taken.objects[key]
        assert found.size == len(data)
        assert found.sha256 == (hashlib.sha256(data).digest() if "sha256" in algorithms else None), key
        assert found.blake3 == (blake3_of(data) if "blake3" in algorithms else None), key


@pytest.mark.parametrize("kind", TARGETS)
def test_digests_are_those_of_the_objects_written(source, tmp_path, kind):
    blake3_of(b"")
    taken = Taken()
    voxarium.convert(source, tmp_path / "t", take_objects=taken, digests="sha256,blake3", **(CHOICES | TARGETS[kind]))
    assert len(taken.objects) > 4
    assert_true(taken, tmp_path / "t", ["sha256", "blake3"])


@pytest.mark.parametrize("kind", ["ome-zarr", "webknossos"])
def test_after_a_stop_digests_of_finished_objects_come_from_the_ledger(source, tmp_path, kind, monkeypatch):
    choices = CHOICES | TARGETS[kind] | {"digests": ("sha256",)}
    image, cancel = voxarium.open(source), Cancel()
    laid_out = plan(image, ConvertOptions(**as_choices(choices)), target_name="t")
    with pytest.raises(InterruptedJobError):
        run(
            laid_out, image, open_target(tmp_path / "t", laid_out.format), executor=ThreadExecutor(2), cancel=cancel,
            progress=lambda p: cancel.set() if p.objects >= 3 else None,
        )  # fmt: skip
    with open(next(tmp_path.rglob("ledger.jsonl")), "a") as ledger:
        ledger.write('["cut off", 5, null, "ab')  # as a kill leaves it
    taken = Taken(failures=1)
    with pytest.raises(StoreError):  # the manifest could not be stored: the job is not over
        voxarium.convert(source, tmp_path / "t", resume=True, take_objects=taken, **choices)
    report = voxarium.convert(source, tmp_path / "t", resume=True, take_objects=taken, **choices)
    assert report.resumed >= 3
    assert_true(taken, tmp_path / "t", ["sha256"])


SCRIPT = """
import sys
from voxarium.cli.main import main
sys.exit(main(["convert", *sys.argv[1:], "--axes", "zyx", "--voxel-size", "8", "--unit", "nanometer", "--chunk", "16",
               "--shard", "64", "--memory", "1MB", "--threads", "2", "--quiet", "--digests", "sha256"]))
"""


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_killed_at_random_moments_and_resumed_leaves_a_true_manifest(tmp_path):
    np.save(tmp_path / "em.npy", np.random.default_rng(3).integers(100, 140, (200, 210, 220)).astype(np.uint8))
    chance, resumed = random.Random(3), 0
    for i in range(5):
        target = tmp_path / f"t{i}"
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "em.npy"), str(target)]
        process = subprocess.Popen(command)
        ledger = target / ".voxarium" / "ledger.jsonl"
        while not (ledger.exists() and ledger.read_bytes().count(b"\n") > 1) and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.wait(60)
        if (target / ".voxarium").exists():
            assert subprocess.run([*command, "--resume"], timeout=120).returncode == 0
            resumed += 1
        report = verify(target)
        assert report.ok and report.read == report.objects > 50
        assert report.roots == write_manifest(target, tmp_path / "again.parquet", digests=(), overwrite=True).roots
    assert resumed


def test_a_job_begun_without_digests_tells_what_it_does_not_know(source, tmp_path):
    taken = Taken()
    voxarium.convert(source, tmp_path / "t", take_objects=taken, **CHOICES)
    assert_true(taken, tmp_path / "t", [])


def test_a_format_that_is_one_file_tells_of_that_file(source, tmp_path):
    taken = Taken()
    voxarium.convert(
        source, tmp_path / "em.h5", format="cremi", take_objects=taken, digests=("sha256",), voxel_size=8,
        unit="nanometer", axes="zyx",
    )  # fmt: skip
    assert {k: o.size for k, o in taken.objects.items()} == {"em.h5": (tmp_path / "em.h5").stat().st_size}


@pytest.mark.parametrize("digests", [[1], [None, None, None], ["zz" * 32, None], ["ab", None], [["ab" * 32], None]])
def test_a_ledger_with_impossible_digests_is_not_believed(digests):
    store = MemoryStore({"a": b"xyz", ".voxarium/job.json": b'{"fingerprint": "f"}'})
    store.put(".voxarium/ledger.jsonl", json.dumps(["a", 3, None, *digests]).encode())
    assert Ledger(store).resume("f") == 0
    store.put(".voxarium/ledger.jsonl", json.dumps(["a", 3, None, "ab" * 32, None]).encode())
    ledger = Ledger(store)
    assert ledger.resume("f") == 1 and ledger.done["a"].sha256 == bytes([0xAB] * 32)


def test_parts_of_objects_and_objects_that_are_not_there():
    data = bytes(range(256)) * 50_000  # more than one piece
    store = MemoryStore({"a": data, "empty": b""})
    assert digests_of(store, "a", len(data), ["sha256"]) == {"sha256": hashlib.sha256(data).digest()}
    assert digests_of(store, "a", 7, ["sha256"], 5) == {"sha256": hashlib.sha256(data[5:12]).digest()}
    assert digests_of(store, "empty", 0, ["sha256"]) == {"sha256": hashlib.sha256(b"").digest()}
    assert digests_of(store, "b", 7, ["sha256"]) is None
    with pytest.raises(StoreError):
        digests_of(store, "a", len(data) + 1, ["sha256"])


def test_unknown_algorithms_are_refused(source, tmp_path, monkeypatch):
    assert check_algorithms(["sha256", "sha256"]) == ("sha256",)
    with pytest.raises(InputError, match="crc"):
        voxarium.convert(source, tmp_path / "t", digests="crc", **CHOICES)
    assert not (tmp_path / "t").exists()
    monkeypatch.setitem(__import__("sys").modules, "blake3", None)
    with pytest.raises(UnsupportedError) as error:
        Digester(["blake3"])
    assert "voxarium[blake3]" in error.value.fix
