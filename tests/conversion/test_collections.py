"""Whole collections: plates, series and folders, their labels, interrupted and resumed."""

import json

import numpy as np
import pytest

import voxarium
from voxarium.conversion.collections import plan_parts
from voxarium.conversion.parts import write_collection
from voxarium.conversion.running import plan_for
from voxarium.core.dataset import Dataset
from voxarium.core.journal import JOB_KEY
from voxarium.errors import Code, ConflictError, ExistsError, InputError, InterruptedJobError, NotFoundError
from voxarium.model.collection import CollectionInfo, Member
from voxarium.stores.local import LocalStore

SMALL = {"axes": "zyx", "voxel_size": (3, 2, 2), "unit": "micrometer", "chunk": 8}


def voxels(seed, shape=(5, 20, 17)):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.uint8)


def make_image(tmp_path, target, seed, version, label=False):
    np.save(tmp_path / "a.npy", voxels(seed))
    role = {"role": "label"} if label else {}
    voxarium.convert(tmp_path / "a.npy", target, spec_version=version, **SMALL, **role)


def make_plate(tmp_path, version="0.4"):
    target = tmp_path / "plate.zarr"
    members = []
    for n, (path, row, column) in enumerate([("A/1/0", "A", "1"), ("A/1/1", "A", "1"), ("B/2/0", "B", "2")]):
        make_image(tmp_path, target / path, n, version)
        members.append(Member(path, facts={"row": row, "column": column, "acquisition": 3}))
    make_image(tmp_path, f"{target}/B/2/0/labels/cells", 9, version, label=True)
    facts = {"rows": ["A", "B"], "columns": ["1", "2"], "acquisitions": [{"id": 3, "name": "day", "starttime": 7}]}
    info = CollectionInfo(format="ome-zarr", kind="plate", members=members, name="screen", facts=facts)
    write_collection(LocalStore(str(target)), info, spec_version=version)
    return target


def same_as_source(found, keys=("A/1/0", "A/1/1", "B/2/0")):
    assert [key for key, _ in found.iter_images()] == list(keys)
    for n, key in enumerate(keys):
        assert (found[key][...] == voxels(n)).all()


@pytest.mark.parametrize("versions", [("0.4", "0.5"), ("0.5", "0.4"), ("0.5", "0.6")])
def test_a_plate_becomes_a_plate_with_its_labels(tmp_path, versions):
    source = make_plate(tmp_path, versions[0])
    same_as_source(voxarium.open(source))
    report = voxarium.convert(source, tmp_path / "out.zarr", spec_version=versions[1], chunk=8)
    found = voxarium.open(tmp_path / "out.zarr")
    assert isinstance(found, Dataset) and (found.kind, found.name) == ("plate", "screen")
    assert found.info.spec_version == versions[1] and not found.info.notes
    same_as_source(found)
    assert found["A/1/0"].voxel_size() == (3, 2, 2) and found["A/1/0"].unit == "micrometer"
    assert found.info.facts["acquisitions"] == [{"id": 3, "name": "day", "starttime": 7}]
    assert found["A/1"].members[1].facts == {"field": 1, "acquisition": 3}
    labels = voxarium.open(tmp_path / "out.zarr" / "B" / "2" / "0" / "labels" / "cells")
    assert labels.role == "label" and (labels[...] == voxels(9)).all()
    assert found["B/2/0"].info.labels == ("labels/cells",)
    assert (report.images, report.voxels) == (3, 4 * 5 * 20 * 17)
    assert not (tmp_path / "out.zarr" / JOB_KEY).exists()


def test_a_container_of_series_keeps_its_xml(tmp_path):
    source = tmp_path / "series.zarr"
    for n in range(2):
        make_image(tmp_path, source / str(n), n, "0.5")
    xml = b'<OME xmlns="http://x"><Image Name="left"/><Image Name="right"/></OME>'
    (source / "OME").mkdir()
    (source / "OME" / "METADATA.ome.xml").write_bytes(xml)
    (source / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {
        "ome": {"version": "0.5", "bioformats2raw.layout": 3}}}))  # fmt: skip
    assert voxarium.open(source)["right"].shape == (5, 20, 17)
    voxarium.convert(source, tmp_path / "out.zarr", spec_version="0.4")
    found = voxarium.open(tmp_path / "out.zarr")
    assert (
        found.kind == "series" and found.keys() == ["0", "1"] and [m.name for m in found.members] == ["left", "right"]
    )
    assert (tmp_path / "out.zarr" / "OME" / "METADATA.ome.xml").read_bytes() == xml
    same_as_source(found, ("0", "1"))


def test_a_folder_becomes_a_folder_and_a_plate_inside_stays_a_plate(tmp_path):
    (tmp_path / "in").mkdir()
    plate = make_plate(tmp_path)
    plate.rename(tmp_path / "in" / "plate.zarr")
    make_image(tmp_path, tmp_path / "in" / "b.zarr", 5, "0.4")
    voxarium.convert(tmp_path / "in", tmp_path / "out")
    found = voxarium.open(tmp_path / "out")
    assert found.kind == "folder" and sorted(found.keys()) == ["b.zarr", "plate.zarr"]
    assert found["plate.zarr"].kind == "plate" and (found["plate.zarr/B/2/0"][...] == voxels(2)).all()
    assert (found["b.zarr"][...] == voxels(5)).all()


def test_a_stopped_conversion_goes_on_and_ends_like_one_that_was_not(tmp_path):
    source = make_plate(tmp_path)
    voxarium.convert(source, tmp_path / "whole.zarr", chunk=8, shard=16)
    calls = []

    def stop(now):
        calls.append(now)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedJobError, match="2 of 3 images"):
        voxarium.convert(source, tmp_path / "out.zarr", chunk=8, shard=16, progress=stop)
    with pytest.raises(NotFoundError) as caught:
        voxarium.open(tmp_path / "out.zarr")
    assert caught.value.code == Code.IMAGE_INCOMPLETE
    with pytest.raises(ExistsError, match="unfinished"):
        voxarium.convert(source, tmp_path / "out.zarr", chunk=8, shard=16)
    with pytest.raises(ConflictError, match="other options"):
        voxarium.convert(source, tmp_path / "out.zarr", chunk=8, shard=8, resume=True)
    voxarium.convert(source, tmp_path / "out.zarr", chunk=8, shard=16, resume=True)
    whole, out = ({p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
                  for root in (tmp_path / "whole.zarr", tmp_path / "out.zarr"))  # fmt: skip
    assert whole == out
    with pytest.raises(ConflictError, match="nothing to resume"):
        voxarium.convert(source, tmp_path / "out.zarr", chunk=8, shard=16, resume=True)


def test_overwriting_replaces_a_collection_and_nothing_else(tmp_path):
    source = make_plate(tmp_path)
    out = tmp_path / "out.zarr"
    make_image(tmp_path, out / "Z" / "9", 1, "0.5")
    voxarium.convert(source, out, overwrite=True)
    same_as_source(voxarium.open(out))
    assert not (out / "Z" / "9" / "zarr.json").exists()
    other = tmp_path / "notes"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    with pytest.raises(ExistsError):
        voxarium.convert(source, other, overwrite=True)
    assert (other / "letter.txt").exists()


def test_what_makes_no_sense_for_all_images_is_refused_before_anything_is_written(tmp_path):
    source = make_plate(tmp_path)
    for wrong in ({"name": "x"}, {"crop": ((0, 1), (0, 1), (0, 1))}):
        with pytest.raises(InputError, match="whole collection"):
            voxarium.convert(source, tmp_path / "out.zarr", **wrong)
    with pytest.raises(InputError, match="inside each other"):
        voxarium.convert(source, source / "out.zarr")
    with pytest.raises(InputError, match="plate with 2"):
        voxarium.convert(source, tmp_path / "out.n5", format="n5-viewer")
    assert not (tmp_path / "out.zarr").exists() and not (tmp_path / "out.n5").exists()


def test_a_dry_run_adds_up_every_image(tmp_path):
    source = make_plate(tmp_path)
    totals = plan_parts(voxarium.open(source), str(tmp_path / "out.zarr"), {}, plan_for)
    assert (totals.images, totals.labels, totals.voxels) == (3, 1, 4 * 5 * 20 * 17)
    assert totals.to_json()["source_bytes"] == 4 * 5 * 20 * 17 and not (tmp_path / "out.zarr").exists()


def test_documents_name_only_images_that_are_there(tmp_path):
    make_image(tmp_path, tmp_path / "p.zarr" / "A" / "1" / "0", 0, "0.5")
    members = [Member("A/1/0"), Member("A/2/0")]
    info = CollectionInfo(format="ome-zarr", kind="plate", members=members)
    write_collection(LocalStore(str(tmp_path / "p.zarr")), info, spec_version="0.5")
    found = voxarium.open(tmp_path / "p.zarr")
    assert found.keys() == ["A/1"] and found.info.facts["columns"] == ["1"]
    with pytest.raises(InputError):
        write_collection(
            LocalStore(str(tmp_path)), CollectionInfo(format="x", kind="folder", members=()), spec_version="0.5"
        )


def test_the_command_converts_plans_and_describes_collections(tmp_path):
    from typer.testing import CliRunner

    from voxarium.cli.main import app

    source = make_plate(tmp_path)
    run = lambda *words: CliRunner().invoke(app, [str(w) for w in words])  # noqa: E731
    out = tmp_path / "out.zarr"
    planned = run("convert", source, out, "--dry-run", "--json")
    assert planned.exit_code == 0 and json.loads(planned.stdout)["images"] == 3 and not out.exists()
    assert "3 images, 1 label images" in run("convert", source, out, "--dry-run").stdout
    assert json.loads(run("convert", source, out, "--json").stdout)["images"] == 3
    told = json.loads(run("info", out, "--json").stdout)
    assert (told["kind"], [m["path"] for m in told["members"]]) == ("plate", ["A/1", "B/2"])
    tree = json.loads(run("tree", out, "--json").stdout)
    assert tree["kind"] == "plate" and [c["kind"] for c in tree["children"]] == ["well", "well"]
    assert tree["children"][0]["children"][0]["kind"] == "image"
    assert "plate of 2, ome-zarr 0.5" in run("tree", out).stdout
