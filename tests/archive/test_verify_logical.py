"""Audits of voxels: whatever container they are in, they are compared with the digests that somebody recorded."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from release_data import publish

import voxarium
from voxarium.archive.provenance import record
from voxarium.archive.release_checks import verify_release
from voxarium.archive.verify import VerifyOptions, verify
from voxarium.cli.main import main
from voxarium.errors import InputError, NotFoundError
from voxarium.model.provenance import Activity, Artifact
from voxarium.stores.local import LocalStore

LOGICAL = VerifyOptions(level="logical")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def image(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "em.npy", rng.integers(1, 9, (70, 65, 80)).astype(np.uint8))
    choices = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 64, "levels": 1}
    voxarium.convert(tmp_path / "em.npy", tmp_path / "em.zarr", **choices)
    assert main(["digest", str(tmp_path / "em.zarr"), "--tree", str(tmp_path / "em.zarr.vldtree"), "-q"]) == 0
    return tmp_path / "em.zarr"


def changed(image, at=(0, 0, 0)):
    """Write the image anew with another voxel."""
    data = np.load(image.parent / "em.npy")
    data[at] ^= 1
    np.save(image.parent / "em.npy", data)
    choices = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 64, "levels": 1, "overwrite": True}
    voxarium.convert(image.parent / "em.npy", image, **choices)


def test_voxels_are_compared_without_any_manifest(image):
    report = verify(image, options=LOGICAL)
    assert report.ok and report.images == 1 and report.objects == 0
    changed(image, (69, 0, 79))
    report = verify(image, options=LOGICAL)
    assert [(p.key, p.kind) for p in report.problems] == [(".", "voxels")]
    assert "1 of 8 blocks" in report.problems[0].found and "64:70, 0:64, 64:80" in report.problems[0].found


def test_a_copy_in_another_format_is_the_same_image(image, tmp_path):
    digest = voxarium.logical_digest(image)
    voxarium.convert(image, tmp_path / "em.other", spec_version="0.4", chunk=32, levels=1)
    given = VerifyOptions(level="logical", digests=(digest.content, digest.bound))
    assert verify(tmp_path / "em.other", options=given).images == 1
    wrong = VerifyOptions(level="logical", digests=("vld1-content:" + "0" * 64,))
    assert [p.kind for p in verify(tmp_path / "em.other", options=wrong).problems] == ["voxels"]
    with pytest.raises(NotFoundError, match="no logical digest"):
        verify(tmp_path / "em.other", options=LOGICAL)


def test_coordinates_that_changed_are_told_apart_from_voxels(image):
    document = json.loads((image / "zarr.json").read_bytes())
    scale = document["attributes"]["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    scale[0] *= 2
    (image / "zarr.json").write_text(json.dumps(document))
    assert [(p.key, p.kind) for p in verify(image, options=LOGICAL).problems] == [(".", "coordinates")]


def test_with_a_manifest_objects_are_looked_at_too(image):
    voxarium.write_manifest(image)
    assert verify(image, options=LOGICAL).objects > 1
    (image / "extra").write_bytes(b"x")
    chunk = next(p for p in image.rglob("c/*/*/*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-7])
    kinds = {p.kind for p in verify(image, options=LOGICAL).problems}
    assert {"extra", "truncated", "unreadable"} <= kinds


def test_the_log_of_a_dataset_tells_until_something_changed(image, tmp_path):
    brain = tmp_path / "brain"
    (brain / "em").mkdir(parents=True)
    (image).rename(brain / "em/raw")
    digest = voxarium.logical_digest(brain / "em/raw")
    record(brain, Activity(operation="audit", inputs=[Artifact("em/raw", digest.content)]))
    report = verify(brain, options=LOGICAL)
    assert report.ok and report.images == 1
    publish(LocalStore(brain))
    found = verify_release(str(brain), "v1.0", LOGICAL)
    assert found.ok and found.objects.images == 1
    record(brain, Activity(operation="audit", inputs=[Artifact("em/raw", "vld1-content:" + "1" * 64)]))
    assert [(p.key, p.kind) for p in verify(brain, options=LOGICAL).problems] == [("em/raw", "voxels")]
    assert [(p.key, p.kind) for p in verify_release(str(brain), "v1.0", LOGICAL).problems] == [("em/raw", "voxels")]
    record(brain, Activity(operation="edit", outputs=[Artifact("em/raw")]))
    with pytest.raises(NotFoundError):
        verify(brain, options=LOGICAL)


def test_trees_and_links_in_a_dataset_count(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["dataset", "create", "brain", "--name", "brain", "-q"]) == 0
    Path("brain/em").mkdir()
    image.rename("brain/em/raw")
    Path("em.zarr.vldtree").rename("brain/em/raw.vldtree")
    voxarium.convert("em.npy", "brain/em/other", axes="zyx", voxel_size=8, unit="nanometer", levels=1)
    for path in ("em/raw", "em/other"):
        assert main(["dataset", "add", "brain", path, "-q"]) == 0
    report = verify("brain", options=LOGICAL)
    assert report.ok and report.images == 1 and report.unrecorded == ("em/other",)
    content = voxarium.logical_digest("brain/em/other").content
    assert main(["dataset", "link", "brain", "em/raw", "em/other", "--digest", content, "-q"]) == 0
    report = verify("brain", options=LOGICAL)
    assert report.ok and report.images == 2 and not report.unrecorded


def test_the_command(image, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "em.zarr", "--level", "logical"]) == 0
    assert "1 images decoded" in capsys.readouterr().out
    assert main(["verify", "em.zarr", "--level", "logical", "--digest", "vld1-content:" + "0" * 64, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [p["kind"] for p in report["problems"]] == ["voxels"] and report["images"] == 1
    assert main(["verify", "em.zarr", "--level", "logical", "--digest", "md5:1"]) == 2
    assert main(["verify", "em.zarr", "--digest", "vld1-content:" + "0" * 64]) == 2


def test_one_digest_for_several_images_is_refused(image, tmp_path):
    voxarium.convert(
        tmp_path / "em.npy", tmp_path / "second.zarr", axes="zyx", voxel_size=8, unit="nanometer", levels=1
    )
    with pytest.raises(InputError):
        verify(tmp_path, options=VerifyOptions(level="logical", digests=("vld1-content:" + "0" * 64,)))
