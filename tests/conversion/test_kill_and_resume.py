"""A job killed at random moments and resumed ends byte-identical, with nothing left over."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import voxarium
from voxarium.core.executor import Cancel
from voxarium.errors import Code, ConflictError, ExistsError, InterruptedJobError, NotFoundError
from voxarium.stores.local import LocalStore

SCRIPT = """
import sys, voxarium
voxarium.convert(sys.argv[1], sys.argv[2], axes="zyx", voxel_size=8, unit="nanometer", chunk=32, shard=128, levels=4,
                 name="em", memory=1 << 20, threads=2, resume=sys.argv[3] == "resume")
"""


def content(path):
    store = LocalStore(path)
    return {key: store.get(key) for key, _ in store.list("")}


def start(source, target, mode):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(source), str(target), mode], stderr=subprocess.PIPE)


def finish(process):
    assert process.wait(120) == 0, process.stderr.read()
    process.stderr.close()


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_killed_at_twenty_random_moments_and_resumed_is_byte_identical(tmp_path):
    data = np.random.default_rng(3).integers(100, 140, (300, 290, 310)).astype(np.uint8)
    data[:100, :150] = 0
    np.save(tmp_path / "em.npy", data)
    began = time.perf_counter()
    finish(start(tmp_path / "em.npy", tmp_path / "undisturbed", "new"))
    took = time.perf_counter() - began
    expected = content(tmp_path / "undisturbed")
    chance, kills, resumed = random.Random(7), 0, 0
    while kills < 20:
        target = tmp_path / f"killed-{kills}"
        process = start(tmp_path / "em.npy", target, "new")
        while not (target / ".voxarium" / "job.json").exists() and process.poll() is None:
            time.sleep(0.002)  # start-up is not what is tested
        time.sleep(chance.uniform(0, 0.5 * took))
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        process.stderr.close()
        kills += 1
        if (target / ".voxarium" / "job.json").exists():
            with pytest.raises(NotFoundError) as error:
                voxarium.open(target)
            assert error.value.code == Code.IMAGE_INCOMPLETE
            finish(start(tmp_path / "em.npy", target, "resume"))
            resumed += 1
        assert content(target) == expected
        assert not (target / ".voxarium-partial").exists()
        shutil.rmtree(target)
    assert resumed >= 5


@pytest.fixture
def source(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(1).integers(1, 255, (40, 50, 60)).astype(np.uint8))
    return tmp_path / "a.npy"


CHOICES = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 8, "shard": 16, "memory": 1}


def interrupted(source, target, **more):
    image = voxarium.open(source)
    from voxarium.conversion import ConvertOptions, open_target, plan, run
    from voxarium.conversion.running import as_choices
    from voxarium.core.executor import ThreadExecutor

    cancel = Cancel()
    laid_out = plan(image, ConvertOptions(**as_choices(CHOICES | more)), target_name="t")
    with pytest.raises(InterruptedJobError) as error:
        run(
            laid_out, image, open_target(target), executor=ThreadExecutor(2), cancel=cancel,
            progress=lambda p: cancel.set() if p.objects >= 5 else None,
        )  # fmt: skip
    assert "--resume" in error.value.fix


def test_a_cancelled_job_is_no_image_and_resumes(tmp_path, source):
    interrupted(source, tmp_path / "t")
    with pytest.raises(NotFoundError) as error:
        voxarium.open(tmp_path / "t")
    assert error.value.code == Code.IMAGE_INCOMPLETE
    report = voxarium.convert(source, tmp_path / "t", resume=True, **CHOICES)
    assert report.resumed >= 5
    voxarium.convert(source, tmp_path / "u", name="t", **CHOICES)
    assert content(tmp_path / "t") == content(tmp_path / "u")


def test_resuming_under_another_plan_is_refused(tmp_path, source):
    interrupted(source, tmp_path / "t")
    with pytest.raises(ConflictError) as error:
        voxarium.convert(source, tmp_path / "t", resume=True, **(CHOICES | {"voxel_size": 9}))
    assert error.value.code == Code.PLAN_CHANGED


def test_an_existing_target_is_refused_and_kept(tmp_path, source):
    voxarium.convert(source, tmp_path / "t", **CHOICES)
    before = content(tmp_path / "t")
    with pytest.raises(ExistsError):
        voxarium.convert(source, tmp_path / "t", **CHOICES)
    with pytest.raises(ConflictError):
        voxarium.convert(source, tmp_path / "t", resume=True, **CHOICES)
    assert content(tmp_path / "t") == before
    voxarium.convert(source, tmp_path / "t", overwrite=True, **CHOICES)
    assert content(tmp_path / "t") == before


def test_a_damaged_finished_object_is_made_again(tmp_path, source):
    interrupted(source, tmp_path / "t")
    entries = [json.loads(line) for line in (tmp_path / "t/.voxarium/ledger.jsonl").read_text().splitlines()]
    written = [key for key, size, _ in entries if size]
    assert written
    (tmp_path / "t" / written[0]).write_bytes(b"short")
    voxarium.convert(source, tmp_path / "t", resume=True, **CHOICES)
    assert np.array_equal(voxarium.open(tmp_path / "t")[:], np.load(source))


def test_with_checksums_changed_content_of_the_same_size_is_made_again(tmp_path, source):
    interrupted(source, tmp_path / "t", checksum=True)
    entries = [json.loads(line) for line in (tmp_path / "t/.voxarium/ledger.jsonl").read_text().splitlines()]
    key, size = next((key, size) for key, size, crc in entries if size and crc)
    (tmp_path / "t" / key).write_bytes(bytes(size))
    report = voxarium.convert(source, tmp_path / "t", resume=True, checksum=True, **CHOICES)
    assert report.resumed < len(entries)
    assert np.array_equal(voxarium.open(tmp_path / "t")[:], np.load(source))
