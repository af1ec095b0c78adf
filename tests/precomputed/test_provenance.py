"""The file ``provenance`` of CloudVolume, which is written beside the ``info`` of a volume."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import voxarium
from voxarium.conversion.history import activity_of
from voxarium.conversion.running import open_source, plan_for
from voxarium.spec.cloudvolume_provenance import activities_of, parse_layer

CHOICES = {"format": "precomputed", "axes": "zyx", "voxel_size": (40, 8, 8), "unit": "nm", "translation": (20, 4, 4)}


@pytest.fixture
def source(tmp_path):
    np.save(tmp_path / "em.npy", np.random.default_rng(1).integers(1, 9, (20, 21, 22)).astype("u1"))
    return tmp_path / "em.npy"


def test_it_tells_from_what_and_how_a_volume_was_made(source, tmp_path):
    voxarium.convert(source, tmp_path / "em", **CHOICES, levels=2, codec="none", memory=1 << 26)
    found = json.loads((tmp_path / "em" / "provenance").read_text())
    assert list(found) == ["description", "owners", "sources", "processing"]
    assert found["sources"] == [f"file://{tmp_path}/em.npy"]
    (step,) = found["processing"]
    assert step["method"]["task"] == "convert" and set(step["method"]["software"]) == {"voxarium"}
    assert step["method"]["inputs"] == found["sources"]
    assert step["method"]["parameters"] == {
        "format": "precomputed", "axes": ["z", "y", "x"], "voxel_size": [40, 8, 8], "unit": "nm",
        "translation": [20, 4, 4], "levels": 2, "codec": "none", "method": "mean",
    }  # fmt: skip
    rules = {f.rule for f in voxarium.validate(tmp_path / "em").findings}
    assert "PC-007" not in rules


def test_the_same_job_writes_the_same_and_a_log_takes_it_over(source, tmp_path):
    for name in ("a", "b"):
        voxarium.convert(source, tmp_path / name, **CHOICES)
    raw = (tmp_path / "a" / "provenance").read_bytes()
    assert raw == (tmp_path / "b" / "provenance").read_bytes()
    ((_, activity),) = activities_of(parse_layer(raw, "provenance"), "em")
    assert activity.operation == "convert" and activity.inputs[0].address.endswith("/em.npy")


def test_no_credentials_get_into_it(tmp_path):
    np.save(tmp_path / "em.npy", np.ones((4, 5, 6), "u1"))
    plan = plan_for(open_source(tmp_path / "em.npy"), tmp_path / "em", CHOICES)
    secret = replace(plan, source_image="https://me:word@example.org/em.zarr?X-Amz-Signature=ab")
    assert activity_of(secret).inputs[0].address == "https://example.org/em.zarr"


def test_other_formats_have_none(source, tmp_path):
    voxarium.convert(source, tmp_path / "em.ome.zarr", **{k: v for k, v in CHOICES.items() if k != "format"})
    assert not list(tmp_path.rglob("provenance"))


@pytest.mark.oracle
def test_cloudvolume_reads_it(source, tmp_path):
    cloudvolume = pytest.importorskip("cloudvolume", reason="CloudVolume is not installed")
    voxarium.convert(source, tmp_path / "em", **CHOICES)
    volume = cloudvolume.CloudVolume(f"file://{tmp_path}/em", progress=False)
    assert list(volume.provenance.sources) == [f"file://{tmp_path}/em.npy"]
    assert volume.provenance.processing[0]["method"]["task"] == "convert"
