"""What is copied into a dataset becomes a member of it, as what is converted does."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import voxarium
from voxarium.archive.datasets import create_dataset, open_dataset
from voxarium.archive.provenance import open_log
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import Policy
from voxarium.cli.main import app
from voxarium.errors import Code, InputError
from voxarium.spec.dataset_document import DatasetDocument
from voxarium.stores.memory import MemoryStore

VOXELS = np.random.default_rng(1).integers(1, 200, (19, 20, 31)).astype(np.uint8)
HOW = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 8, "levels": 3}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXARIUM_AGENT", "Ada")
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", VOXELS)
    voxarium.convert("a.npy", "em.zarr", **HOW)


def dataset(name="set", layout="default"):
    return create_dataset(name, DatasetDocument(name=name, layout=layout))


def last(uri="set"):
    return list(open_log(uri).activities())[-1].activity


def run(*words, code=0):
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == code, result.output
    return result.output


def test_an_image_is_listed_drawn_and_recorded():
    folder = dataset()
    report = voxarium.copy("em.zarr", "set/em/raw", write_manifest=True)
    assert report.listed.member == "em/raw" and report.target.endswith("set/em/raw")
    converted = voxarium.convert("a.npy", "set/em/other", **HOW)
    members = {m.name: m for m in open_dataset("set").document.members}
    copied, other = members["em/raw"], members["em/other"]
    assert (copied.kind, copied.role, copied.format) == (other.kind, other.role, other.format)
    assert folder.store.get(copied.thumbnail) == folder.store.get(other.thumbnail) and converted
    assert open_dataset("set").document.thumbnail
    entry = list(open_log("set").activities())[report.listed.entry].activity
    assert (entry.operation, entry.agent.name) == ("ingest", "Ada")
    assert entry.inputs[0].address.endswith("em.zarr")
    assert [(o.address, o.digest, o.role) for o in entry.outputs] == [("em/raw", report.roots[0], "image")]
    assert np.array_equal(voxarium.open("set")["em/raw"][...], VOXELS)
    assert voxarium.verify("set/em/raw").ok


@pytest.mark.parametrize(
    ("choices", "shape"),
    [({"levels": "1:"}, (10, 10, 16)), ({"box": ((None, None), (0, 8), (0, 8))}, VOXELS.shape)],
)
def test_a_part_of_an_image_is_listed_too(choices, shape):
    dataset()
    report = voxarium.copy("em.zarr", "set/em/part", **choices)
    assert report.listed.member == "em/part"
    assert voxarium.open("set")["em/part"].shape == shape
    said = last().parameters
    assert next(iter(choices)) in said and "threads" not in said


def test_a_member_of_another_dataset_and_of_a_release_is_listed():
    dataset("one")
    dataset("two")
    voxarium.copy("em.zarr", "one/em/raw")
    create_release("one", "v1.0", ReleaseOptions(policy=Policy(require=frozenset()), agent=None))
    voxarium.copy("one@v1.0/em/raw", "two/em/released")
    assert "one@v1.0" in last("two").inputs[0].address and last("two").parameters["compared"] > 0
    voxarium.copy("one/em/raw", "two/em/raw")
    assert last("two").inputs[0].address.endswith("one/em/raw")
    assert [m.name for m in open_dataset("two").document.members] == ["em/released", "em/raw"]
    inside = voxarium.copy("two/em/raw", "two/em/again")
    assert last("two").inputs[0].address == "em/raw" and inside.listed.member == "em/again"


def test_the_layout_says_where_it_goes_and_what_it_is_called():
    dataset("jrc_cell-1", "cellmap")
    report = voxarium.copy("em.zarr", "jrc_cell-1/em/fibsem-uint8")
    assert report.target.endswith("jrc_cell-1/jrc_cell-1.zarr/recon-1/em/fibsem-uint8")
    assert "as the layout of the dataset says" in report.notes[0] and report.listed.member == "em/fibsem-uint8"
    with pytest.raises(InputError, match="rule L4") as caught:
        voxarium.copy("em.zarr", "jrc_cell-1/em/raw")
    assert caught.value.code is Code.NAME_REFUSED and not open_dataset("jrc_cell-1").has("em/raw")
    with pytest.raises(InputError, match="rule L9"):
        voxarium.copy("em.zarr", "jrc_cell-1/em/tem-uint8", levels="1:")  # the first level would be called s1
    report = voxarium.copy("em.zarr", "jrc_cell-1/em/raw", register=False)
    assert report.listed is None and report.target.endswith("jrc_cell-1/em/raw")
    assert len(open_dataset("jrc_cell-1").document.members) == 1


def test_files_become_members_by_their_names():
    dataset()
    os.makedirs("set/em")
    report = voxarium.copy("a.npy", "set/em/")
    assert report.listed.member == "em/a.npy" and np.array_equal(voxarium.open("set")["em/a.npy"][...], VOXELS)
    assert voxarium.copy("a.npy", "set/em/b.npy").listed.member == "em/b.npy"


def test_what_is_no_image_is_copied_and_said(tmp_path):
    dataset()
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes/1.ply").write_bytes(b"ply")
    report = voxarium.copy("meshes", "set/meshes/cells")
    assert report.ok and report.listed is None and "voxarium dataset add" in report.notes[0]
    dataset("inner")
    report = voxarium.copy("inner", "set/inner")
    assert report.ok and report.listed is None and "dataset of its own" in report.notes[0]
    assert not open_dataset("set").document.members


def test_a_level_of_a_member_is_no_member():
    dataset()
    voxarium.copy("em.zarr", "set/em/raw", levels="0")
    report = voxarium.copy("em.zarr/s1", "set/em/raw/s1")
    assert report.listed is None and "a part of the member em/raw" in report.notes[0]
    assert [m.name for m in open_dataset("set").document.members] == ["em/raw"]


def test_a_copy_that_is_not_whole_is_not_listed(tmp_path):
    dataset()
    voxarium.write_manifest("em.zarr")
    chunk = next(p for p in (tmp_path / "em.zarr/s0/c").rglob("*") if p.is_file())
    chunk.write_bytes(b"x" + chunk.read_bytes()[1:])
    report = voxarium.copy("em.zarr", "set/em/raw")
    assert not report.ok and report.listed is None and not open_dataset("set").document.members


def test_a_copy_that_is_completed_is_listed_once_and_what_people_said_stays():
    dataset()
    voxarium.copy("em.zarr", "set/em/raw", levels="1:")
    folder = open_dataset("set")
    folder.change(lambda d: d.with_member(replace(d["em/raw"], description="of Ada")))
    voxarium.copy("em.zarr", "set/em/raw", update=True)
    member = open_dataset("set").document["em/raw"]
    assert member.description == "of Ada" and len(open_dataset("set").document.members) == 1
    assert voxarium.open("set")["em/raw"].shape == VOXELS.shape


def test_stores_in_memory_have_no_dataset_around_them():
    report = voxarium.copy("em.zarr", MemoryStore())
    assert report.ok and report.listed is None


def test_the_command_lists_and_says_so():
    dataset()
    assert "it will be listed as em/raw" in run("copy", "em.zarr", "set/em/raw", "--dry-run")
    assert "em/raw is listed in" in run("copy", "em.zarr", "set/em/raw")
    found = json.loads(run("copy", "em.zarr", "set/em/two", "--json"))
    assert found["listed"]["member"] == "em/two"
    found = json.loads(run("copy", "em.zarr", "set/em/three", "--no-register", "--json"))
    assert found["listed"] is None
    assert "em/three" not in run("dataset", "ls", "set")
