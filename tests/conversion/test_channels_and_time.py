"""Sources of 2 to 5 axes: channels get names and colours, time gets a step and a unit, one of several is chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium
from voxarium.cli.main import main
from voxarium.errors import InputError

SHAPE = {"t": 3, "c": 2, "z": 7, "y": 21, "x": 33}


def source(folder: Path, axes: str) -> tuple[Path, np.ndarray]:
    voxels = np.random.default_rng(4).integers(0, 999, [SHAPE[a] for a in axes], np.uint16)
    np.save(folder / "a.npy", voxels)
    return folder / "a.npy", voxels


@pytest.mark.parametrize("axes", ["yx", "tyx", "cyx", "zyx", "tcyx", "tzyx", "czyx", "tczyx"])
@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
def test_any_number_of_axes(axes: str, version: str, tmp_path: Path) -> None:
    path, voxels = source(tmp_path, axes)
    given: dict[str, Any] = {"voxel_size": 0.5, "unit": "um", "levels": 2, "spec_version": version}
    if "t" in axes:
        given |= {"time_step": 2.5, "time_unit": "min"}
    if "c" in axes:
        given |= {"channels": ["DAPI", "GFP"], "colors": ["#00f", "green"]}
    voxarium.convert(path, tmp_path / "a.zarr", axes=axes, **given)
    image = voxarium.open(tmp_path / "a.zarr")
    assert np.array_equal(image[...], voxels)
    size = dict(zip(axes, image.voxel_size(), strict=True))
    units = {a.name: a.unit for a in image.axes}
    assert size["x"] == 0.5
    if "t" in axes:
        assert (size["t"], units["t"]) == (2.5, "minute")
        assert image.voxel_size(1)[0] == 2.5  # time is not downsampled
    if "c" in axes:
        assert [(c.label, c.color) for c in image.info.display.channels] == [("DAPI", "0000FF"), ("GFP", "00FF00")]
        assert size["c"] == 1.0


def test_axes_are_put_into_the_order_of_the_format(tmp_path: Path) -> None:
    path, voxels = source(tmp_path, "zyxc")
    voxarium.convert(path, tmp_path / "a.zarr", axes="zyxc", levels=1, channels=["a", "b"])
    image = voxarium.open(tmp_path / "a.zarr")
    assert [a.name for a in image.axes] == ["c", "z", "y", "x"]
    assert np.array_equal(image[...], np.moveaxis(voxels, -1, 0))


@pytest.mark.parametrize(
    ("axes", "options", "says"),
    [
        ("czyx", {"channels": ["one"]}, "1 names are given for 2 channels"),
        ("zyx", {"colors": ["red", "blue"]}, "2 colours are given for 1 channels"),
        ("czyx", {"colors": ["red", "bluish"]}, "'bluish' is no colour"),
        ("zyx", {"time_step": 1.0}, "none of which is time"),
        ("tzyx", {"time_step": -1.0}, "not positive"),
        ("tzyx", {"time_unit": "meter"}, "is no time"),
    ],
)
def test_what_does_not_fit_is_refused(axes: str, options: dict[str, Any], says: str, tmp_path: Path) -> None:
    path, _ = source(tmp_path, axes)
    with pytest.raises(InputError, match=says):
        voxarium.convert(path, tmp_path / "a.zarr", axes=axes, **options)
    assert not (tmp_path / "a.zarr").exists()


def test_the_program_takes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = source(tmp_path, "tczyx")
    told = ["--channels", "DAPI,GFP", "--colors", "00F,FF0000", "--time-step", "500", "--time-unit", "ms"]
    assert main(["convert", str(path), str(tmp_path / "a.zarr"), "--axes", "tczyx", *told, "--quiet"]) == 0
    assert main(["info", str(tmp_path / "a.zarr"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["axes"][0] == {"name": "t", "type": "time", "unit": "millisecond"}
    assert said["levels"][0]["voxel_size"][0] == 500.0


def test_one_of_several_images_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i, name in enumerate(("em", "lm")):
        np.save(tmp_path / "a.npy", np.full((5, 6, 7), i + 1, np.uint8))
        voxarium.convert(tmp_path / "a.npy", tmp_path / f"both/{name}", axes="zyx", levels=1)
    for series, value in (("lm", 2), ("0", 1)):
        target = tmp_path / f"{series}.zarr"
        assert main(["convert", str(tmp_path / "both"), str(target), "--series", series, "--quiet"]) == 0
        assert (voxarium.open(target)[...] == value).all()
    assert main(["convert", str(tmp_path / "both"), str(tmp_path / "c.zarr"), "--series", "xm"]) == 1
    assert main(["convert", str(tmp_path / "both/em"), str(tmp_path / "c.zarr"), "--series", "5"]) == 2
    capsys.readouterr()


def test_channels_lie_nowhere_in_a_format_that_counts_from_corners(tmp_path):
    """The corner of voxel 0 is put at the origin along axes of space; a channel has no corner."""
    np.save(tmp_path / "a.npy", np.arange(2 * 5 * 7 * 9, dtype="uint8").reshape(2, 5, 7, 9))
    place = {"axes": "czyx", "voxel_size": 8, "unit": "nanometer"}
    voxarium.convert(tmp_path / "a.npy", tmp_path / "a", format="precomputed", **place)
    found = voxarium.open(tmp_path / "a")
    assert found.scale_translation() == ((1.0, 8.0, 8.0, 8.0), (0.0, 4.0, 4.0, 4.0))


def test_a_single_value_is_no_image(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.uint16(5))
    with pytest.raises(InputError, match="one value without axes"):
        voxarium.convert(tmp_path / "a.npy", tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()
