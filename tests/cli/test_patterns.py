"""File-name patterns on the command line."""

from __future__ import annotations

import numpy as np
import pytest

import voxarium

tifffile = pytest.importorskip("tifffile", reason="makes the planes")


def test_a_pattern_is_planned_converted_and_read_back(run, tmp_path):
    (tmp_path / "scan").mkdir()
    for well in ("A01", "H12"):
        for c in (1, 2):
            for z in range(3):
                if (well, c, z) != ("A01", 2, 1):
                    tifffile.imwrite(tmp_path / "scan" / f"{well}_{c}_{z}.tif", np.full((9, 5), 10 * c + z, np.uint8))
    source, target = f"{tmp_path}/scan/{{well}}_{{c}}_{{z}}.tif", tmp_path / "plate.zarr"
    choices = ["--voxel-size", "2,1,1", "--unit", "micrometer", "--channels", "DAPI,GFP"]
    told = run("tree", source)
    assert told.code == 0 and "H/12/0" in told.out
    planned = run("convert", source, target, *choices, "--dry-run", "--json")
    assert planned.code == 0 and planned.json["images"] == 2 and planned.json["voxels"] == 2 * 2 * 3 * 9 * 5
    assert any("1 of 6 planes have no file" in note for note in planned.json["notes"])
    done = run("convert", source, target, *choices, "--quiet")
    assert (done.code, done.err) == (0, "")
    plate = voxarium.open(target)
    assert plate.kind == "plate" and [m.path for m in plate.members] == ["A/01", "H/12"]
    image = plate["H/12/0"]
    assert [c.label for c in image.info.display.channels] == ["DAPI", "GFP"] and image[1, 2].max() == 22


def test_an_unclear_pattern_is_refused_with_advice(run, tmp_path):
    refused = run("convert", f"{tmp_path}/{{c}}{{z}}.tif", tmp_path / "o.zarr", "--json")
    assert refused.code == 2 and "put a character between" in refused.error["fix"]
