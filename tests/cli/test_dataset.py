"""``voxarium dataset``: a curator makes one, converts into it, adds, links, renames."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest

import voxarium
from voxarium.archive.datasets import create_dataset, enclosing_dataset, open_dataset
from voxarium.archive.log_checks import check_log
from voxarium.archive.provenance import open_log
from voxarium.spec.dataset_document import DatasetDocument

pytest.importorskip("PIL", reason="draws thumbnails")

EM = np.arange(5 * 7 * 9, dtype="u1").reshape(5, 7, 9)
SPACE = ("--axes", "z,y,x", "--voxel-size", "8", "--unit", "nm", "-q")


@pytest.fixture(autouse=True)
def a_name(monkeypatch):
    monkeypatch.setenv("VOXARIUM_AGENT", "Ada Lovelace")


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "em.npy", EM)
    np.save(tmp_path / "cells.npy", (EM % 5).astype("u4"))
    return tmp_path


@pytest.fixture
def pinky(files, run):
    """A dataset with an image and labels."""
    folder = files / "pinky"
    assert run("dataset", "create", folder, "--name", "pinky", "--license", "CC-BY-4.0", "--author", "Ada").code == 0
    assert run("convert", files / "em.npy", folder / "em" / "fibsem-uint8", *SPACE).code == 0
    assert run("convert", files / "cells.npy", folder / "labels" / "cells", "--role", "label", *SPACE).code == 0
    return folder


def _members(folder):
    return {m.name: m for m in open_dataset(folder).document.members}


def _operations(folder):
    return [a.activity.operation for a in open_log(folder).activities()]


def test_what_is_converted_into_a_dataset_is_listed_drawn_and_recorded(pinky):
    members = _members(pinky)
    assert [(m.kind, m.role, m.format) for m in members.values()] == [
        ("image", "intensity", "ome-zarr"),
        ("label", "label", "ome-zarr"),
    ]
    assert members["labels/cells"].links[0].member == "em/fibsem-uint8"
    assert (pinky / members["labels/cells"].thumbnail).read_bytes().startswith(b"\x89PNG")
    assert (pinky / "thumbnail.png").is_file()
    last = list(open_log(pinky).activities())[-1].activity
    assert last.operation == "convert" and last.outputs[0].address == "labels/cells"
    assert last.inputs[0].address.endswith("cells.npy") and last.parameters["role"] == "label"
    assert last.agent.name == "Ada Lovelace" and "voxarium" in last.software
    assert check_log(open_log(pinky)).ok


def test_the_log_has_the_root_of_what_was_written(pinky, files, run):
    """It is the one that a manifest made later has."""
    activities = [r.activity for r in open_log(pinky).activities()]
    for written in (a.outputs[0] for a in activities if a.operation == "convert"):
        assert written.digest.startswith("blake3:")
        made = run("manifest", pinky / written.address, "--out", files / "m.parquet", "--overwrite", "--json")
        assert written.digest in made.json["roots"]
    assert run("convert", files / "em.npy", pinky / "again", "--digests", "none", *SPACE).code == 0
    assert list(open_log(pinky).activities())[-1].activity.outputs[0].digest == ""
    assert run("convert", files / "em.npy", pinky / "seg", "--format", "precomputed", *SPACE).code == 0


def test_a_dataset_opens_with_its_members_by_name(pinky):
    found = voxarium.open(pinky)
    assert (found.name, found.info.format, found.keys()) == ("pinky", "dataset", ["em/fibsem-uint8", "labels/cells"])
    assert (found["em/fibsem-uint8"][...] == EM).all()
    assert found["labels/cells"].role == "label"


def test_other_readers_see_a_group_and_the_collection_document(pinky):
    listed = voxarium.open(pinky / "collection.json")
    assert [m.kind for m in listed.members] == ["image", "label"]
    assert (listed[listed.keys()[0]][...] == EM).all()
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(pinky), mode="r")
    assert group["em/fibsem-uint8"].attrs["ome"]["version"] == "0.5"


def test_the_dataset_passes_the_rules_of_publishing(pinky, run):
    done = run("validate", pinky, "--profile", "publish", "--json")
    found = json.dumps(json.loads(done.out))
    assert "PB-001" not in found and "PB-002" not in found and "PB-003" not in found and "PB-004" not in found


def test_thumbnails_and_the_log_are_no_images_of_it(pinky, files, run):
    """Pictures of members of other proportions are no slices of a stack."""
    np.save(files / "tall.npy", np.zeros((5, 90, 8), "u1"))
    assert run("convert", files / "tall.npy", pinky / "em" / "tall", *SPACE).code == 0
    assert len(list((pinky / "thumbnails").iterdir())) == 3
    assert run("validate", pinky, "--depth", "hierarchy").code == 0
    shown = run("tree", pinky).out
    assert "em/tall" in shown and "─ thumbnails" not in shown and "─ provenance-log" not in shown


def test_documents_of_all_members_are_checked_and_a_missing_member_is_found(pinky, run):
    document = pinky / "em" / "fibsem-uint8" / "zarr.json"
    document.write_text(document.read_text().replace('"nanometer"', "5"))
    found = run("validate", pinky, "--json")
    assert found.code == 1 and "em/fibsem-uint8/zarr.json" in found.out
    assert found.json["examined"]["images"] == 2
    (pinky / "labels" / "cells").rename(pinky / "away")
    missing = run("validate", pinky)
    assert missing.code == 1 and re.search(r"^\s+labels/cells: ", missing.out, re.MULTILINE)


def test_converting_again_keeps_what_people_said_of_the_image(pinky, files, run):
    document = json.loads((pinky / "dataset.json").read_text())
    document["members"][0] |= {"description": "the raw stack", "rendering": {"window": [3, 99]}, "microscope": "A"}
    (pinky / "dataset.json").write_text(json.dumps(document))
    assert run("convert", files / "em.npy", pinky / "em" / "fibsem-uint8", "--overwrite", *SPACE).code == 0
    member = _members(pinky)["em/fibsem-uint8"]
    assert (member.description, member.rendering, member.extra) == (
        "the raw stack",
        {"window": [3, 99]},
        {"microscope": "A"},
    )


def test_a_dry_run_lists_and_records_nothing(pinky, files, run):
    before = (pinky / "dataset.json").read_bytes()
    done = run("convert", files / "em.npy", pinky / "other", "--dry-run", "--json", *SPACE[:-1])
    assert done.code == 0 and not (pinky / "other").exists()
    assert (pinky / "dataset.json").read_bytes() == before and len(_operations(pinky)) == 3


def test_json_says_which_member_it_became(pinky, files, run):
    done = run("convert", files / "em.npy", pinky / "other", "--json", *SPACE[:-1])
    assert json.loads(done.out)["member"] == "other"


def test_other_things_are_added_and_linked(pinky, run):
    (pinky / "meshes" / "cells").mkdir(parents=True)
    (pinky / "meshes" / "cells" / "info").write_text("{}")
    done = run("dataset", "add", pinky, "meshes/cells", "--kind", "mesh", "--json")
    assert json.loads(done.out)["links"] == [{"member": "labels/cells", "relation": "label"}]
    done = run("dataset", "link", pinky, "meshes/cells", "labels/cells", "--release", "v1.0", "--json")
    assert json.loads(done.out)["links"] == [{"member": "labels/cells", "relation": "label", "release": "v1.0"}]
    assert run("dataset", "link", pinky, "meshes/cells", "labels/cells", "--remove", "-q").code == 0
    assert _members(pinky)["meshes/cells"].links == ()
    assert _operations(pinky)[3:] == ["ingest", "annotate", "annotate"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "nowhere"), "no image is at"),
        (("add", "nowhere", "--kind", "mesh"), "nothing at"),
        (("add", "../outside", "--kind", "mesh"), "does not lie in"),
        (("add", "provenance-log", "--kind", "table"), "cannot be a member's name"),
        (("link", "labels/cells", "labels/cells"), "linked to itself"),
        (("link", "labels/cells", "soma"), "no member 'soma'"),
        (("rename", "labels/cells", "em/fibsem-uint8"), "is a member already"),
        (("rename", "em/fibsem-uint8", "em/fibsem-uint8/inside"), "inside each other"),
        (("rename", "em/fibsem-uint8", "../em"), "is not a key"),
        (("show", "soma"), "no member 'soma'"),
    ],
)
def test_what_cannot_be_done_is_said(pinky, run, arguments, says):
    before = (pinky / "dataset.json").read_bytes()
    done = run("dataset", arguments[0], pinky, *arguments[1:])
    assert done.code in (1, 2) and says in done.err and "fix:" in done.err
    assert (pinky / "dataset.json").read_bytes() == before


def test_renaming_moves_the_image_and_links_follow(pinky, run):
    done = run("dataset", "rename", pinky, "em/fibsem-uint8", "raw/fib", "--dry-run", "--json")
    assert json.loads(done.out)["moves"][0] == {"from": "em/fibsem-uint8", "to": "raw/fib"}
    assert (pinky / "em" / "fibsem-uint8").is_dir()
    assert run("dataset", "rename", pinky, "em/fibsem-uint8", "raw/fib", "-q").code == 0
    members = _members(pinky)
    assert members["labels/cells"].links[0].member == "raw/fib"
    assert (pinky / members["raw/fib"].thumbnail).is_file() and members["raw/fib"].thumbnail.endswith("raw__fib.png")
    assert (voxarium.open(pinky)["raw/fib"][...] == EM).all()
    assert "./raw/fib" in (pinky / "collection.json").read_text()
    assert _operations(pinky)[-1] == "rename"


def test_renaming_labels_corrects_the_list_of_labels(pinky, run):
    assert run("dataset", "rename", pinky, "labels/cells", "labels/neurons", "-q").code == 0
    listed = json.loads((pinky / "labels" / "zarr.json").read_text())["attributes"]["ome"]["labels"]
    assert listed == ["neurons"]


def test_renaming_an_image_takes_the_members_inside_along(pinky, files, run):
    inside = pinky / "em" / "fibsem-uint8" / "labels" / "mito"
    assert run("convert", files / "cells.npy", inside, "--role", "label", *SPACE).code == 0
    assert run("dataset", "rename", pinky, "em/fibsem-uint8", "em/raw", "-q").code == 0
    member = _members(pinky)["em/raw/labels/mito"]
    assert member.path == "em/raw/labels/mito" and member.links[0].member == "em/raw"
    assert voxarium.open(pinky)["em/raw/labels/mito"].role == "label"


def test_a_renaming_that_was_stopped_goes_on(pinky, run):
    (pinky / "raw").mkdir()
    os.rename(pinky / "em" / "fibsem-uint8", pinky / "raw" / "fib")
    assert run("dataset", "rename", pinky, "em/fibsem-uint8", "raw/fib", "-q").code == 0
    assert (voxarium.open(pinky)["raw/fib"][...] == EM).all()


def test_nothing_is_moved_that_a_release_may_name(pinky, run):
    (pinky / "releases").mkdir()
    (pinky / "releases" / "1.json").write_text("{}")
    done = run("dataset", "rename", pinky, "em/fibsem-uint8", "raw")
    assert done.code == 1 and "release" in done.err and (pinky / "em" / "fibsem-uint8").is_dir()


def test_renaming_never_leaves_the_dataset_by_a_link(pinky, run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (pinky / "away").symlink_to(tmp_path / "elsewhere")
    done = run("dataset", "rename", pinky, "em/fibsem-uint8", "away/raw")
    assert done.code == 2 and "symbolic link" in done.err


def test_list_and_show(pinky, run):
    assert "labels/cells     label" in run("dataset", "ls", pinky).out
    assert [m["name"] for m in json.loads(run("dataset", "ls", pinky, "--json").out)["members"]] == [*_members(pinky)]
    shown = run("dataset", "show", pinky).out
    assert "license: CC-BY-4.0" in shown and "name: pinky" in shown
    assert json.loads(run("dataset", "show", pinky, "labels/cells", "--json").out)["kind"] == "label"


def test_cellmap_puts_images_into_its_containers(files, run):
    folder = files / "hela"
    assert run("dataset", "create", folder, "--name", "hela", "--layout", "cellmap").code == 2
    assert run("dataset", "create", folder, "--name", "jrc_hela-2", "--layout", "cellmap").code == 0
    done = run("convert", files / "em.npy", folder / "em" / "fibsem-uint16", *SPACE)
    assert done.code == 2 and "rule L4" in done.err and not (folder / "em").exists()
    assert run("convert", files / "em.npy", folder / "em" / "fibsem-uint8", *SPACE).code == 0
    inside = folder / "jrc_hela-2.zarr" / "recon-1" / "em" / "fibsem-uint8"
    assert (voxarium.open(inside)[...] == EM).all()
    assert (voxarium.open(folder)["em/fibsem-uint8"][...] == EM).all()
    assert (folder / "thumbnail.jpg").read_bytes().startswith(b"\xff\xd8")
    zarr = pytest.importorskip("zarr")
    assert "em/fibsem-uint8" in zarr.open_group(str(folder / "jrc_hela-2.zarr" / "recon-1"), mode="r")


def test_webknossos_layers_keep_their_names_in_its_document(files, run):
    folder = files / "wk"
    run("dataset", "create", folder, "--name", "wk", "--layout", "webknossos", "-q")
    assert run("convert", files / "em.npy", folder / "em/color", "--format", "webknossos", *SPACE).code == 2
    assert run("convert", files / "em.npy", folder / "color", "--format", "webknossos", *SPACE).code == 0
    assert run("dataset", "rename", folder, "color", "em", "-q").code == 0
    layers = json.loads((folder / "datasource-properties.json").read_text())["dataLayers"]
    assert [layer["name"] for layer in layers] == ["em"]
    assert (voxarium.open(folder)["em"][...] == EM).all()


def test_resample_upgrade_and_fix_are_recorded(pinky, files, run):
    assert run("resample", pinky / "em" / "fibsem-uint8", pinky / "em" / "half", "--voxel-size", "16", "-q").code == 0
    last = list(open_log(pinky).activities())[-1].activity
    assert (last.operation, last.inputs[0].address, last.outputs[0].address) == (
        "resample",
        "em/fibsem-uint8",
        "em/half",
    )
    assert last.parameters["voxel_size"] == [16]
    old = pinky / "old"
    assert run("convert", files / "em.npy", old, "--spec-version", "0.4", *SPACE).code == 0
    assert run("upgrade", pinky, "-q").code == 0
    last = list(open_log(pinky).activities())[-1].activity
    assert (last.operation, last.outputs[0].address, last.parameters["to"]) == ("upgrade", ".", "0.5")
    listed = pinky / "labels" / "zarr.json"
    document = json.loads(listed.read_text())
    document["attributes"]["ome"]["labels"] = []
    listed.write_text(json.dumps(document))
    assert run("validate", pinky, "--fix", "--json").json["repairs"] and _operations(pinky)[-1] == "upgrade"
    done = run("validate", pinky, "--fix", "--apply", "--json").json
    last = list(open_log(pinky).activities())[-1].activity
    assert (last.operation, last.parameters["undo"]) == ("fix", done["undo"])
    assert run("validate", pinky, "--undo", done["undo"]).code == 0
    assert _operations(pinky)[-2:] == ["fix", "fix"]


def test_outside_of_datasets_nothing_is_recorded(files, run):
    (files / "dataset.json").write_text('{"sources": {}, "views": {}}')  # of another program
    assert run("convert", files / "em.npy", files / "em.ome.zarr", *SPACE).code == 0
    assert enclosing_dataset(files / "em.ome.zarr") is None and not (files / "provenance-log").exists()


def test_a_dataset_is_made_once_and_a_broken_document_stops_the_job(pinky, files, run):
    assert run("dataset", "create", pinky, "--name", "again").code == 1
    (pinky / "dataset.json").write_text('{"voxarium_dataset": "9.0", "name": "pinky"}')
    done = run("convert", files / "em.npy", pinky / "em" / "new", *SPACE)
    assert done.code == 1 and "9.0" in done.err and not (pinky / "em" / "new").exists()


def test_many_writers_lose_no_member(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from voxarium.archive.layouts import Facts, Place

    folder = create_dataset(tmp_path / "d", DatasetDocument(name="d"))

    def register(i):
        folder.register(Place(f"t{i}", f"t{i}"), Facts(kind="table"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(register, range(24)))
    assert len(folder.document.members) == 24
