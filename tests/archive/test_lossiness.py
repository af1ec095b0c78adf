"""How far an image that is stored with loss is from the original is measured, noted, and asked for at the gate."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import voxarium
from voxarium.archive.datasets import create_dataset
from voxarium.archive.lossiness import measure_loss, measured_images
from voxarium.archive.provenance import open_log
from voxarium.archive.releases import open_dataset_store
from voxarium.cli.main import app
from voxarium.errors import InputError
from voxarium.spec.dataset_document import DatasetDocument

VOXELS = np.random.default_rng(1).integers(0, 255, (19, 33, 47)).astype(np.uint8)
HOW = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "accept": ("translation",)}


@pytest.fixture(autouse=True)
def brain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXARIUM_AGENT", "Ada")
    np.save("em.npy", VOXELS)
    create_dataset("brain", DatasetDocument(name="brain"))


def test_the_greatest_and_the_mean_error_are_those_of_all_voxels(monkeypatch):
    monkeypatch.setattr("voxarium.archive.lossiness._AT_ONCE", 3000)  # several regions
    pytest.importorskip("imagecodecs")
    voxarium.convert("em.npy", "brain/em", format="precomputed", codec="jpeg", chunk=16, **HOW)
    stored = voxarium.open("brain/em")[...].squeeze().astype(float)
    apart = np.abs(stored - VOXELS)
    voxarium.convert("em.npy", "original", **HOW)
    loss = measure_loss("brain/em", "original")
    assert loss.max_error == apart.max() > 0 and loss.voxels == VOXELS.size
    assert loss.mean_error == pytest.approx(apart.mean())
    entry = list(open_log("brain").activities())[-1].activity
    assert (entry.operation, entry.outputs[0].address) == ("measure", "em")
    assert "at most" in measured_images(open_dataset_store("brain"))["em"]
    voxarium.convert("em.npy", "brain/em", format="precomputed", codec="jpeg", overwrite=True, **HOW)
    assert not measured_images(open_dataset_store("brain"))


def test_an_image_without_loss_has_none():
    voxarium.convert("em.npy", "brain/em", **HOW)
    voxarium.convert("em.npy", "original", **HOW)
    loss = measure_loss("brain/em", "original", record=False)
    assert (loss.max_error, loss.mean_error) == (0.0, 0.0) and not measured_images(open_dataset_store("brain"))


def test_images_of_other_shapes_are_refused():
    voxarium.convert("em.npy", "brain/em", **HOW)
    np.save("cut.npy", VOXELS[:5])
    voxarium.convert("cut.npy", "cut", **HOW)
    with pytest.raises(InputError, match="voxels"):
        measure_loss("brain/em", "cut")


def test_the_command_measures_and_the_gate_asks_for_it():
    pytest.importorskip("imagecodecs")
    voxarium.convert("em.npy", "original", **HOW)
    voxarium.convert("original", "brain/em", format="precomputed", codec="jpeg", **HOW)

    def run(*words):
        return CliRunner().invoke(app, list(words))

    def lossy():
        rows = json.loads(run("release", "create", "brain", "v1.0", "--dry-run", "--json").output)["policy"]
        return next(r for r in rows if r["check"] == "lossy-intensity")

    assert lossy()["state"] == "failed" and "nobody measured the loss" in lossy()["detail"]
    assert "on average" in run("dataset", "measure", "brain", "em", "original").output
    assert lossy()["state"] == "passed" and "jpeg" in lossy()["detail"] and "at most" in lossy()["detail"]
    assert set(json.loads(run("dataset", "measure", "brain", "em", "original", "--json").output)) == {
        "max_error", "mean_error", "voxels",
    }  # fmt: skip
