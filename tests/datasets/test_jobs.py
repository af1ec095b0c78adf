"""The library's functions list and record what they write into a dataset, as the program does."""

from __future__ import annotations

import inspect
import pickle
from functools import partial

import numpy as np
import pytest

import voxarium
from voxarium.archive import recorded
from voxarium.archive.datasets import create_dataset, open_dataset
from voxarium.archive.manifests import ManifestWriter
from voxarium.archive.provenance import open_log
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import Policy
from voxarium.cli.main import main
from voxarium.errors import InputError
from voxarium.spec.dataset_document import DatasetDocument

VOXELS = np.random.default_rng(1).integers(1, 200, (9, 20, 31)).astype(np.uint8)
HOW = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 8, "levels": 2}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXARIUM_AGENT", "Ada")
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", VOXELS)


def dataset(layout="default", name="set"):
    return create_dataset(name, DatasetDocument(name=name, layout=layout))


def log(uri="set"):
    return [(a.activity, a.sequence) for a in open_log(uri).activities()]


def last(uri="set"):
    return log(uri)[-1][0]


def test_what_is_converted_into_a_dataset_becomes_a_member():
    folder = dataset()
    report = voxarium.convert("a.npy", "set/em/raw", **HOW)
    assert report.target.endswith("set/em/raw") and report.voxels == VOXELS.size
    member = open_dataset("set").document["em/raw"]
    assert (member.kind, member.format, member.thumbnail) == ("image", "ome-zarr", "thumbnails/em__raw.png")
    assert folder.store.get(member.thumbnail).startswith(b"\x89PNG")
    activity = last()
    assert (activity.operation, activity.agent.name) == ("convert", "Ada")
    assert activity.inputs[0].address.endswith("a.npy") and activity.outputs[0].address == "em/raw"
    assert activity.parameters["chunk"] == 8 and activity.parameters["voxel_size"] == 8
    assert np.array_equal(voxarium.open("set")["em/raw"][...], VOXELS)


def test_a_prediction_is_listed_as_one_although_its_format_has_no_word_for_that():
    dataset()
    voxarium.convert("a.npy", "set/em/raw", **HOW)
    voxarium.convert("a.npy", "set/em/mito", role="prediction", accept=["role"], **HOW)
    roles = {m.name: (m.kind, m.role) for m in open_dataset("set").document.members}
    assert roles == {"em/raw": ("image", "intensity"), "em/mito": ("image", "prediction")}
    voxarium.convert("a.npy", "set/em/mito", overwrite=True, **HOW)
    assert open_dataset("set").document["em/mito"].role == "prediction"
    assert main(["dataset", "add", "set", "em/mito", "--quiet"]) == 0
    assert open_dataset("set").document["em/mito"].role == "prediction"
    voxarium.convert("a.npy", "set/em/mito", overwrite=True, role="intensity", **HOW)
    assert open_dataset("set").document["em/mito"].role == "intensity"


def test_it_says_what_the_program_says():
    dataset(name="one")
    dataset(name="two")
    voxarium.convert("a.npy", "one/em/raw", role="label", **HOW)
    arguments = ["--role", "label", "--quiet", "--axes", "zyx", "--voxel-size", "8", "--unit", "nanometer"]
    assert main(["convert", "a.npy", "two/em/raw", *arguments, "--chunk", "8", "--levels", "2"]) == 0
    documents = [open_dataset(name).document for name in ("one", "two")]
    assert documents[0].members == documents[1].members and documents[0].thumbnail == documents[1].thumbnail
    python, program = last("one"), last("two")
    assert (python.operation, python.inputs) == (program.operation, program.inputs)
    assert python.outputs == program.outputs
    assert python.outputs[0].digest.startswith("blake3:")
    assert set(python.parameters) <= set(program.parameters)
    assert python.software.keys() == program.software.keys()


def test_the_root_of_what_is_written_is_taken_on_the_way():
    dataset()
    voxarium.convert("a.npy", "set/em/raw", **HOW)
    taken = last().outputs[0].digest
    assert taken in voxarium.write_manifest("set/em/raw").roots
    voxarium.resample("set/em/raw", "set/em/16nm", voxel_size=16)
    assert last().outputs[0].digest in voxarium.write_manifest("set/em/16nm").roots
    voxarium.convert("a.npy", "set/em/none", digests=(), **HOW)
    assert not last().outputs[0].digest
    voxarium.convert("a.npy", "set/em/n5", format="cosem", threads=1, **HOW)
    assert last().outputs[0].digest in voxarium.write_manifest("set/em/n5").roots


def test_images_that_are_open_already_are_converted_too(tmp_path):
    dataset()
    voxarium.convert("a.npy", "set/em/raw", **HOW)
    image = voxarium.open("set/em/raw")
    voxarium.convert(image, "set/em/copy", spec_version="0.4")
    assert last().inputs[0].address == "em/raw"
    voxarium.convert(image, "set/em/resumed", threads=1, overwrite=True)
    assert "threads" not in last().parameters and "overwrite" not in last().parameters


def test_a_manifest_that_is_made_on_the_way_is_recorded():
    dataset()
    writer = ManifestWriter()
    voxarium.convert("a.npy", "set/em/raw", take_objects=writer, digests=("sha256",), **HOW)
    assert last().outputs[0].digest == writer.report.roots[0]
    made = voxarium.write_manifest("set/em/raw", overwrite=True)
    assert (last().operation, last().outputs[0].digest) == ("manifest", made.roots[0])
    assert voxarium.verify("set/em/raw").ok
    count = len(log())
    voxarium.write_manifest("set", "set.manifest.parquet")
    assert len(log()) == count and voxarium.verify("set", "set.manifest.parquet").ok


def test_what_is_resampled_into_a_dataset_becomes_a_member():
    dataset()
    voxarium.convert("a.npy", "set/em/raw", **HOW)
    voxarium.resample("set/em/raw", "set/em/coarse", like=voxarium.open("set/em/raw"), voxel_size=None)
    activity = last()
    assert (activity.operation, activity.inputs[0].address) == ("resample", "em/raw")
    assert activity.parameters["like"].endswith("set/em/raw")
    voxarium.resample("set/em/raw", "set/em/16nm", voxel_size=16)
    assert last().parameters["voxel_size"] == 16
    assert {m.name for m in open_dataset("set").document.members} == {"em/raw", "em/coarse", "em/16nm"}


def test_upgrades_are_recorded_and_new_copies_listed():
    dataset()
    voxarium.convert("a.npy", "set/em/raw", spec_version="0.4", **HOW)
    assert voxarium.upgrade("set/em/raw", to="0.5", mode="dual", dry_run=True).written and last().operation == "convert"
    voxarium.upgrade("set/em/raw", to="0.5", beside="set/em/new")
    assert last().operation == "upgrade" and last().inputs[0].address == "em/raw"
    assert open_dataset("set").document["em/new"].format == "ome-zarr"
    voxarium.upgrade("set/em/raw", to="0.5", mode="dual")
    assert (last().operation, last().parameters["mode"], last().outputs[0].address) == ("upgrade", "dual", "em/raw")
    voxarium.roll_back("set/em/raw")
    assert last().parameters["rollback"] is True and voxarium.open("set/em/raw").info.spec_version == "0.4"


def test_fixes_are_recorded_and_undone(tmp_path):
    dataset()
    voxarium.convert("a.npy", "set/em/raw", **HOW)
    voxarium.convert("a.npy", "set/em/raw/labels/cells", role="label", **HOW)
    path = tmp_path / "set/em/raw/labels/cells/zarr.json"
    good = path.read_text()
    path.write_text(good.replace('"../../"', '"../"'))
    bad = path.read_text()
    assert bad != good
    count = len(log())
    planned = recorded.fix("set/em/raw")
    assert planned.plan.repairs and not planned.undo and path.read_text() == bad and len(log()) == count
    fixed = recorded.fix("set/em/raw", apply=True)
    assert path.read_text() != bad and last().operation == "fix" and last().parameters["undo"] == fixed.undo
    assert recorded.undo_fixes("set/em/raw", fixed.undo) == len(fixed.plan.repairs)
    assert path.read_text() == bad and last().parameters["undo"] == fixed.undo
    with pytest.raises(InputError, match="in place"):
        recorded.fix("a.npy")


def test_audits_are_noted_when_that_is_asked_for(capsys):
    dataset()
    voxarium.convert("a.npy", "set/em/raw", **HOW)
    voxarium.write_manifest("set/em/raw")
    count = len(log())
    report = voxarium.verify("set/em/raw")
    assert len(log()) == count
    assert recorded.record_audit("set/em/raw", report)
    said = last()
    assert (said.operation, said.outputs[0].digest) == ("audit", report.roots[0])
    assert said.parameters["ok"] is True and said.parameters["read"] == report.objects
    assert main(["verify", "set/em/raw", "--record", "--quiet"]) == 0 and len(log()) == count + 2
    create_release("set", "v1.0", ReleaseOptions(policy=Policy(require=frozenset()), agent=None))
    assert main(["verify", "set@v1.0", "--record", "--quiet"]) == 0
    assert last().operation == "audit" and last().parameters["release"] == "v1.0"
    assert main(["verify", "set@v1.0", "--quiet"]) == 0
    voxarium.convert("a.npy", "elsewhere", **HOW)
    voxarium.write_manifest("elsewhere")
    assert main(["verify", "elsewhere", "--record"]) == 2 and "lies in no dataset" in capsys.readouterr().err


def test_the_layout_says_where_a_member_goes():
    dataset("cellmap", "jrc_set-1")
    report = voxarium.convert("a.npy", "jrc_set-1/em/fibsem-uint8", **HOW)
    assert report.target.endswith("jrc_set-1/jrc_set-1.zarr/recon-1/em/fibsem-uint8")
    assert any("as the layout of the dataset says" in note for note in report.notes)
    assert open_dataset("jrc_set-1").document["em/fibsem-uint8"].path == "jrc_set-1.zarr/recon-1/em/fibsem-uint8"
    with pytest.raises(InputError):
        voxarium.convert("a.npy", "jrc_set-1/em/Not A Name!", **HOW)


def test_nothing_is_listed_of_what_failed(monkeypatch):
    dataset()
    count = len(log())
    with pytest.raises(InputError):
        voxarium.convert("a.npy", "set/em/raw", axes="zy")
    assert len(log()) == count and not open_dataset("set").document.members


def test_outside_of_datasets_nothing_is_added(tmp_path):
    voxarium.convert("a.npy", "em", spec_version="0.4", **HOW)
    voxarium.resample("em", "coarse", voxel_size=16)
    voxarium.upgrade("em", to="0.5")
    voxarium.write_manifest("em")
    assert {p.name for p in tmp_path.iterdir()} == {"a.npy", "em", "coarse", "em.manifest.parquet"}


def test_the_functions_have_the_arguments_and_words_of_the_engines():
    from voxarium import conversion
    from voxarium.archive import manifests

    engines = (conversion.convert, conversion.resample, conversion.upgrading.upgrade, manifests.write_manifest)
    for engine in engines:
        public = getattr(voxarium, engine.__name__)
        assert public is not engine and public.__doc__ == engine.__doc__
        assert inspect.signature(public) == inspect.signature(engine)
        assert pickle.loads(pickle.dumps(partial(public, 1))).func is public
