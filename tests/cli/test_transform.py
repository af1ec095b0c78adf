"""``voxarium transform``: points between systems, through files, and transforms from file to file."""

from __future__ import annotations

import json

import pytest

from voxarium.core.transform_files import read_transform


def test_points_go_from_voxels_to_the_world_and_back(run, archive, tmp_path):
    found = run("transform", archive, "--from", "voxels", "--to", "physical", "--points", "1,2,3")
    assert (found.code, found.out) == (0, "40.0,16.0,24.0\n")
    (tmp_path / "p.csv").write_text("z,y,x\n40,16,24\n80,8,8\n")
    document = run(
        "transform", archive, "--from", "physical", "--to", "voxels", "--points", tmp_path / "p.csv", "--json"
    ).json
    assert document["points"] == [[1, 2, 3], [2, 1, 1]]
    assert document["transform"] == {"type": "scale", "scale": [1 / 40, 1 / 8, 1 / 8]}
    (tmp_path / "p.json").write_text(json.dumps([[40, 16, 24]]))
    again = run("transform", archive, "--from", "physical", "--to", "voxels", "--points", tmp_path / "p.json")
    assert again.out == "1.0,2.0,3.0\n"


def test_systems_are_listed(run, archive):
    found = run("transform", archive)
    assert "physical: z nanometer, y nanometer, x nanometer" in found.out
    assert "s0 → physical" in found.out
    assert {"physical", "s0"} <= set(run("transform", archive, "--json").json["systems"])


def test_transforms_go_through_files_from_one_dialect_to_another(run, archive, tmp_path):
    matrix, itk = tmp_path / "m.txt", tmp_path / "m.tfm"
    matrix.write_text("1 0 0 10\n0 1 0 20\n0 0 1 30\n0 0 0 1\n")
    assert run("transform", "--through", matrix, "--points", "0,0,0").out == "30.0,20.0,10.0\n"
    assert (
        run("transform", "--through", matrix, "--points", "0,0,0", "--orientation", "LPS").out == "30.0,-20.0,-10.0\n"
    )
    assert run("transform", "--through", matrix, "--points", "30,20,10", "--backward").out == "0.0,0.0,0.0\n"
    made = run("transform", "--through", matrix, "--export", itk)
    assert (made.code, made.out) == (0, "")
    assert read_transform(itk).transform.apply((0, 0, 0)).tolist() == [30, -20, -10]
    assert run("transform", "--through", matrix, "--export", itk, "--json").error["code"] == "target-exists"
    found = run("transform", archive, "--from", "voxels", "--to", "physical", "--through", matrix, "--points", "1,1,1")
    assert found.out == "70.0,28.0,18.0\n"
    document = run("transform", "--through", matrix, "--json").json
    assert (document["from"], document["transform"]["type"]) == ("RAS", "affine")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--from", "voxels"], 2),
        (["--from", "voxels", "--to", "nowhere", "--points", "1,2,3"], 1),
        (["--from", "voxels", "--to", "physical", "--points", "1,2"], 2),
        (["--from", "voxels", "--to", "physical", "--points", "one"], 2),
        (["--from", "voxels", "--to", "physical", "--points", "none.csv"], 1),
        (["--points", "1,2,3"], 2),
    ],
)
def test_what_cannot_be_understood_is_refused(run, archive, arguments, code):
    found = run("transform", archive, *arguments)
    assert found.code == code
    assert "fix:" in found.err
    assert run("transform").code == 2
