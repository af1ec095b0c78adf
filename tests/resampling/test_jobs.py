"""Jobs: planned, written by the same engine, killed and resumed."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.cli.main import main
from voxarium.errors import Code, ConflictError, InputError, VoxariumError
from voxarium.stores.local import LocalStore

MATRIX = "0.8 -0.6 0 9\n0.6 0.8 0 -7\n0 0 1 0.5\n0 0 0 1\n"
SHAPE = (61, 72, 83)


def content(path):
    store = LocalStore(path)
    return {key: store.get(key) for key, _ in store.list("")}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    data = np.random.default_rng(2).integers(1, 200, SHAPE).astype(np.uint8)
    np.save(folder / "em.npy", data)
    choices = {"axes": "zyx", "voxel_size": (16, 8, 8), "unit": "nanometer", "chunk": 16, "shard": 32}
    voxarium.convert(folder / "em.npy", folder / "em.ome.zarr", levels=3, **choices)
    labels = (data.astype(np.uint64) // 20) + 2**60
    np.save(folder / "seg.npy", labels)
    voxarium.convert(folder / "seg.npy", folder / "seg.ome.zarr", role="label", **choices)
    (folder / "way.txt").write_text(MATRIX)
    return folder


def test_what_is_written_is_what_the_virtual_image_shows_and_levels_are_made_of_it(source, tmp_path):
    report = voxarium.resample(source / "em.ome.zarr", tmp_path / "t", voxel_size=8, chunk=16, shard=32, levels=2)
    assert report.levels == 2 and report.voxels == 122 * 72 * 83
    virtual = voxarium.open(source / "em.ome.zarr").resampled(voxel_size=8)
    written = voxarium.open(tmp_path / "t")
    assert written.shape == virtual.shape == (122, 72, 83)
    assert (written[...] == virtual[...]).all()
    assert written.scale_translation() == ((8.0, 8.0, 8.0), (-4.0, 0.0, 0.0)) and written.unit == "nanometer"
    from voxarium.pyramid import downsample

    assert (written.level(1)[...] == downsample(virtual[...], (2, 2, 2), "mean")).all()


@pytest.mark.parametrize(
    ("format", "more"), [("precomputed", {}), ("cosem", {}), ("ome-zarr", {"spec_version": "0.4"}), ("webknossos", {})]
)
def test_every_format_may_be_the_target(source, tmp_path, format, more):
    choices = {"voxel_size": 8, "box": {a: (0, 256) for a in "zyx"}, "format": format, **more}
    voxarium.resample(source / "em.ome.zarr", tmp_path / "t", accept="all", **choices)
    virtual = voxarium.open(source / "em.ome.zarr").resampled(voxel_size=8, box=choices["box"])
    found = voxarium.open(tmp_path / "t")
    image = found if isinstance(found, voxarium.Image) else found[next(iter(found))]
    assert (np.squeeze(image[...]) == virtual[...]).all()


def test_labels_on_the_grid_of_an_image_land_beside_it(source, tmp_path):
    voxarium.resample(source / "em.ome.zarr", tmp_path / "em", voxel_size=20)
    em = voxarium.open(tmp_path / "em")
    voxarium.resample(source / "seg.ome.zarr", tmp_path / "em/labels/seg", like=tmp_path / "em")
    found = voxarium.open(tmp_path / "em/labels/seg")
    assert found.role == "label" and found.shape == em.shape and found.dtype == np.uint64
    assert found.scale_translation() == em.scale_translation()
    assert found[...].min() >= 2**60
    with pytest.raises(InputError) as error:
        voxarium.resample(source / "seg.ome.zarr", tmp_path / "em", like=tmp_path / "em", overwrite=True)
    assert error.value.code == Code.TARGET_IN_SOURCE


def test_a_source_that_does_not_describe_itself_is_described(source, tmp_path):
    with pytest.raises(InputError) as error:
        voxarium.resample(source / "em.npy", tmp_path / "t", voxel_size=8)
    assert error.value.code == Code.AXES_UNKNOWN
    voxarium.resample(
        source / "em.npy", tmp_path / "t", voxel_size=(16, 16, 16), axes="zyx", unit="nm", source_voxel_size=(16, 8, 8),
        source_translation=(0, 4, 4),
    )  # fmt: skip
    found = voxarium.open(tmp_path / "t")
    assert found.shape == (61, 36, 42) and found.unit == "nanometer"
    assert found.scale_translation() == ((16.0, 16.0, 16.0), (0.0, 8.0, 8.0))
    with pytest.raises(InputError, match="no option colour"):
        voxarium.resample(source / "em.npy", tmp_path / "u", voxel_size=8, colour=3)


def run(*args):
    return main([str(a) for a in args])


def test_the_program_plans_and_writes_the_same(source, tmp_path, capsys):
    job = ["resample", source / "em.ome.zarr", tmp_path / "t", "--voxel-size", "8", "--transform", source / "way.txt"]
    job += ["--interpolation", "cubic", "--box", "0:400,:,-100:300", "--chunk", "16", "--fill-value", "7"]
    assert run(*job, "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["levels"][0]["shape"][0] == 50 and plan["levels"][0]["shape"][2] == 50
    assert any("cubic interpolation from level 0" in n for n in plan["notes"])
    assert not (tmp_path / "t").exists()
    assert (
        plan["memory_bytes"] > 2 * voxarium.open(source / "em.ome.zarr").resampled(voxel_size=8).arrays[0].working_bytes
    )
    assert run(*job, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["voxels"] == np.prod(plan["levels"][0]["shape"])
    from voxarium.core.resampling.reading import transform_at

    image = voxarium.open(source / "em.ome.zarr").resampled(
        voxel_size=8, transform=transform_at(source / "way.txt"), interpolation="cubic", fill_value=7,
        box={"z": (0, 400), "x": (-100, 300)},
    )  # fmt: skip
    assert (voxarium.open(tmp_path / "t")[...] == image[...]).all()
    assert run(*job) == 1
    assert "target-exists" in capsys.readouterr().err or True
    assert run("resample", source / "em.ome.zarr", tmp_path / "u", "--like", f"{source / 'em.ome.zarr'}@1", "-q") == 0
    assert voxarium.open(tmp_path / "u").shape == voxarium.open(source / "em.ome.zarr").level(1).shape
    assert (voxarium.open(tmp_path / "u")[...] == voxarium.open(source / "em.ome.zarr").level(1)[...]).all()


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (MATRIX, True),
        ("[[1,0,0,0],[0,1,0,0],[0,0,1,0]]", True),
        ('{"type": "sequence", "transformations": [{"type": "scale", "scale": [1, 2, 1]}]}', True),
        ("1 0 0\n0 1\n", False),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 1 1\n", False),
        ("1 0 0 nan\n0 1 0 0\n0 0 1 0\n", False),
        ("hello world", False),
        ("{", False),
        ('{"type": "displacements", "path": "x"}', False),
        ("", False),
    ],
)
def test_transforms_in_files_are_read_or_refused(source, tmp_path, capsys, text, fine):
    (tmp_path / "way").write_text(text)
    job = ["resample", source / "em.ome.zarr", tmp_path / "t", "--voxel-size", "32", "--transform", tmp_path / "way"]
    assert (run(*job, "--dry-run", "--json") == 0) == fine
    capsys.readouterr()


@given(st.binary(max_size=80) | st.from_regex(rb"[-0-9. e,\n\[\]{}]{0,60}"))
@settings(max_examples=200, deadline=None)
def test_junk_is_no_transform(raw):
    from voxarium.core.resampling.reading import parse_transform

    with contextlib.suppress(VoxariumError):
        parse_transform(raw, "junk")


def test_landmarks_are_followed_both_ways(source, tmp_path, capsys):
    from voxarium.model.thin_plate import ThinPlateSpline

    moving = [(z, y, x) for z in (0.0, 900.0) for y in (0.0, 570.0) for x in (0.0, 660.0)]
    fixed = [(z + 40 + y / 50, y - 30, x + z / 60 + 10) for z, y, x in moving]
    voxarium.write_transform(ThinPlateSpline(tuple(moving), tuple(fixed)), tmp_path / "landmarks.csv")
    job = ["resample", source / "em.ome.zarr", tmp_path / "t", "--transform", tmp_path / "landmarks.csv", "--quiet"]
    assert run(*job, "--like", source / "em.ome.zarr") == 0
    back = ThinPlateSpline(tuple(fixed), tuple(moving))
    em = voxarium.open(source / "em.ome.zarr")
    expected = em.resampled(like=em, inverse=back)[...]
    found = voxarium.open(tmp_path / "t")[...]
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1 and (found != expected).mean() < 0.001
    assert run("resample", source / "em.ome.zarr", tmp_path / "u", "--transform", tmp_path / "none", "--like", "x") == 1
    assert "none" in capsys.readouterr().err


def test_resuming_with_another_transform_or_interpolation_is_refused(source, tmp_path):
    from voxarium.conversion import ConvertOptions, open_target, plan
    from voxarium.conversion import run as run_plan
    from voxarium.core.executor import Cancel, ThreadExecutor
    from voxarium.errors import InterruptedJobError

    image = voxarium.open(source / "em.ome.zarr").resampled(voxel_size=7)
    cancel = Cancel()
    laid_out = plan(image, ConvertOptions(chunk=(8,), shard=(16,), memory=1, name="t"))
    with pytest.raises(InterruptedJobError):
        run_plan(
            laid_out, image, open_target(tmp_path / "t"), executor=ThreadExecutor(2), cancel=cancel,
            progress=lambda p: cancel.set() if p.objects >= 5 else None,
        )  # fmt: skip
    choices = {"chunk": 8, "shard": 16, "name": "t"}
    for other in ({"voxel_size": 7, "interpolation": "cubic"}, {"voxel_size": 7, "level": 1}, {"voxel_size": 7.5}):
        with pytest.raises(ConflictError) as error:
            voxarium.resample(source / "em.ome.zarr", tmp_path / "t", resume=True, **other, **choices)
        assert error.value.code == Code.PLAN_CHANGED
    report = voxarium.resample(source / "em.ome.zarr", tmp_path / "t", resume=True, voxel_size=7, memory=1, **choices)
    assert report.resumed >= 5
    voxarium.resample(source / "em.ome.zarr", tmp_path / "u", voxel_size=7, **choices)
    assert (voxarium.open(tmp_path / "t")[...] == voxarium.open(tmp_path / "u")[...]).all()


SCRIPT = """
import sys, voxarium
from voxarium.core.resampling.reading import transform_at
voxarium.resample(sys.argv[1], sys.argv[2], voxel_size=3, transform=transform_at(sys.argv[4]), chunk=32, shard=64,
                  levels=3, name="em", memory=1 << 20, threads=2, resume=sys.argv[3] == "resume")
"""


def start(source, target, mode):
    command = [sys.executable, "-c", SCRIPT, source / "em.ome.zarr", target, mode, source / "way.txt"]
    return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)


def finish(process):
    assert process.wait(120) == 0, process.stderr.read()
    process.stderr.close()


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_killed_at_random_moments_and_resumed_is_byte_identical(source, tmp_path):
    finish(start(source, tmp_path / "warm", "new"))  # compiles
    began = time.perf_counter()
    finish(start(source, tmp_path / "undisturbed", "new"))
    took = time.perf_counter() - began
    expected = content(tmp_path / "undisturbed")
    chance, resumed = random.Random(7), 0
    for kill in range(6):
        target = tmp_path / f"killed-{kill}"
        process = start(source, target, "new")
        while not (target / ".voxarium" / "job.json").exists() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.5 * took))
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        process.stderr.close()
        if (target / ".voxarium" / "job.json").exists():
            finish(start(source, target, "resume"))
            resumed += 1
        assert content(target) == expected
        shutil.rmtree(target)
    assert resumed >= 1
