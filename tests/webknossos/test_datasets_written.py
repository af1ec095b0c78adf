"""Collections that are written as WEBKNOSSOS datasets: each image a layer of one document."""

from __future__ import annotations

import json

import numpy as np
import pytest

import voxarium
from voxarium.core.journal import JOB_KEY
from voxarium.errors import Code, InterruptedJobError

PLACED = {"axes": "zyx", "voxel_size": (40, 8, 8), "unit": "nm", "translation": (20, 4, 4), "levels": 2, "chunk": 16}


@pytest.fixture
def dataset(tmp_path):
    """A dataset of two layers of different kinds."""
    generator = np.random.default_rng(6)
    truth = {"em": generator.integers(1, 99, (20, 31, 42)).astype("u1")}
    truth["seg"] = generator.integers(1, 9999, (20, 31, 42)).astype("u4")
    for name, data in truth.items():
        np.save(tmp_path / "a.npy", data)
        kind = {"role": "label"} if name == "seg" else {}
        voxarium.convert(tmp_path / "a.npy", tmp_path / "first" / name, format="webknossos", **PLACED, **kind)
    return tmp_path / "first", truth


@pytest.mark.parametrize("version", ["wkw", "zarr3"])
def test_a_dataset_becomes_a_dataset(dataset, tmp_path, version):
    source, truth = dataset
    target = tmp_path / "second"
    report = voxarium.convert(source, target, format="webknossos", spec_version=version, levels=2)
    assert report.images == 2
    layers = json.loads((target / "datasource-properties.json").read_text())["dataLayers"]
    assert [(e["name"], e["category"], e["dataFormat"]) for e in layers] == [
        ("em", "color", version), ("seg", "segmentation", version),
    ]  # fmt: skip
    assert layers[1]["largestSegmentId"] == int(truth["seg"].max())
    found = voxarium.open(target)
    for name, data in truth.items():
        assert (found[name][...] == data).all()
        assert found[name].scale_translation() == voxarium.open(source)[name].scale_translation()
    assert not (target / JOB_KEY).exists()


@pytest.mark.parametrize("version", ["wkw", "zarr3"])
def test_a_job_that_was_stopped_leaves_complete_layers_as_they_are(dataset, tmp_path, version):
    source, truth = dataset
    target = tmp_path / "second"
    choices = {"format": "webknossos", "spec_version": version, "levels": 1}

    def stop(_progress):
        if (target / "seg").exists():
            raise InterruptedJobError("stopped", code=Code.JOB_INTERRUPTED, fix="go on")

    with pytest.raises(InterruptedJobError):
        voxarium.convert(source, target, progress=stop, **choices)
    assert (target / JOB_KEY).exists()
    report = voxarium.convert(source, target, resume=True, **choices)
    assert report.images == 2 and report.resumed >= 1
    assert all((voxarium.open(target)[name][...] == data).all() for name, data in truth.items())
