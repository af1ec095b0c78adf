"""The largest label: found as voxels pass, kept where it is stated, known to a job that goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest

import voxarium
from voxarium.conversion import running
from voxarium.conversion.ledger import Ledger
from voxarium.conversion.running import open_source, plan_for
from voxarium.core.executor import Cancel
from voxarium.errors import InterruptedJobError
from voxarium.model.box import Box
from voxarium.stores.memory import MemoryStore

PLACED = {"axes": "zyx", "voxel_size": (40, 8, 8), "unit": "nanometer", "translation": (20, 4, 4)}
SHAPE = (23, 70, 65)
TARGETS = [("webknossos", "wkw"), ("webknossos", "zarr3"), ("paintera", "1")]


@pytest.fixture
def labels(tmp_path):
    data = np.random.default_rng(2).integers(0, 1000, SHAPE).astype("u4")
    data[17, 69, 1] = 70_001  # a single voxel, which no coarser level keeps
    np.save(tmp_path / "seg.npy", data)
    return tmp_path / "seg.npy"


def place(tmp_path, format, name="seg"):
    return tmp_path / "out.n5" / name if format == "paintera" else tmp_path / "out" / name


def stated(address, format):
    """What the documents say, read without a driver."""
    if format == "paintera":
        group = json.loads((address / "attributes.json").read_text())
        data = json.loads((address / "data" / "attributes.json").read_text())
        assert group.get("maxId") == data.get("maxId")
        return group.get("maxId")
    layers = json.loads((address.parent / "datasource-properties.json").read_text())["dataLayers"]
    return next(e for e in layers if e["name"] == address.name).get("largestSegmentId")


@pytest.mark.parametrize(("format", "version"), TARGETS)
def test_it_is_found_as_voxels_pass(labels, tmp_path, format, version):
    chosen = {"format": format, "spec_version": version, "chunk": 16, **PLACED}
    target = place(tmp_path, format)
    voxarium.convert(labels, target, role="label", levels=3, **chosen)
    assert stated(target, format) == 70_001
    assert voxarium.open(target).info.largest_label == 70_001
    voxarium.convert(labels, place(tmp_path, format, "em"), levels=1, **chosen)
    assert stated(place(tmp_path, format, "em"), format) is None
    voxarium.convert(
        labels, place(tmp_path, format, "part"), role="label", levels=1, crop=Box((0, 0, 0), (17, 70, 65)), **chosen
    )
    assert stated(place(tmp_path, format, "part"), format) == 999


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize(("format", "version"), TARGETS[1:])
def test_it_is_found_when_chunks_are_passed_through(labels, tmp_path, format, version, levels):
    kind = {"format": "n5-viewer", "accept": "role"} if format == "paintera" else {}
    first = tmp_path / "first.n5" / "seg" if kind else tmp_path / "first.ome.zarr"
    voxarium.convert(labels, first, role="label", levels=1, chunk=16, **kind, **PLACED)
    chosen = {"format": format, "spec_version": version, "chunk": 16, "levels": levels, "role": "label"}
    plan = plan_for(open_source(first), place(tmp_path, format), chosen)
    assert plan.pass_through
    voxarium.convert(first, place(tmp_path, format), **chosen)
    assert stated(place(tmp_path, format), format) == 70_001


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize(("format", "version"), TARGETS)
@pytest.mark.parametrize(("start", "other"), TARGETS)
def test_a_larger_one_that_the_source_states_is_kept(labels, tmp_path, format, version, start, other, levels):
    (tmp_path / "a").mkdir()
    first = place(tmp_path / "a", start)
    chosen = {"chunk": 16, "levels": levels}
    voxarium.convert(labels, first, role="label", format=start, spec_version=other, **chosen, **PLACED)
    for document in [*first.rglob("attributes.json"), *first.parent.glob("datasource-properties.json")]:
        document.write_text(document.read_text().replace("70001", "123456"))
    assert voxarium.open(first).info.largest_label == 123_456
    target = place(tmp_path, format)
    voxarium.convert(first, target, format=format, spec_version=version, **chosen)
    assert stated(target, format) == 123_456
    small = place(tmp_path, format, "small")  # whose type has no such label
    voxarium.convert(
        first, small, format=format, spec_version=version, **chosen, dtype="uint16", crop=Box((0, 0, 0), (17, 70, 65))
    )
    assert stated(small, format) == 999


@pytest.mark.parametrize("found", [-1, True, "7", 2**64, 1.5, None, []])
def test_what_cannot_be_a_label_is_not_believed(labels, tmp_path, found):
    target = tmp_path / "out" / "seg"
    voxarium.convert(labels, target, role="label", format="webknossos", levels=1, chunk=16, **PLACED)
    document = tmp_path / "out" / "datasource-properties.json"
    document.write_text(document.read_text().replace("70001", json.dumps(found)))
    assert voxarium.open(target).info.largest_label is None
    voxarium.convert(labels, tmp_path / "b.n5" / "seg", role="label", format="paintera", levels=1, chunk=16, **PLACED)
    for document in (tmp_path / "b.n5" / "seg").rglob("attributes.json"):
        document.write_text(document.read_text().replace("70001", json.dumps(found)))
    assert voxarium.open(tmp_path / "b.n5" / "seg").info.largest_label is None


@pytest.mark.parametrize(("format", "version"), TARGETS)
def test_a_job_that_goes_on_knows_what_the_first_run_saw(tmp_path, format, version):
    data = np.ones((16, 64, 640), "u4")
    data[0, 0, 0] = 50_000  # in the first block that is read
    np.save(tmp_path / "seg.npy", data)
    chosen = {"format": format, "spec_version": version, "chunk": 16, "shard": 16, "memory": 1 << 16, "levels": 1}
    chosen |= PLACED | {"role": "label", "threads": 1}
    if format == "paintera":
        del chosen["shard"]
    cancel = Cancel()
    target = place(tmp_path, format)

    def stop(progress):
        if progress.objects > 3:
            cancel.set()

    source = running.open_source(tmp_path / "seg.npy")
    where = running.open_target(target, format)
    laid_out = running.plan_for(source, target, {k: v for k, v in chosen.items() if k != "threads"}, where)
    with pytest.raises(InterruptedJobError):
        running.run(laid_out, source, where, executor=running.ThreadExecutor(1), cancel=cancel, progress=stop)
    report = voxarium.convert(tmp_path / "seg.npy", target, resume=True, **chosen)
    assert report.resumed > 3
    assert stated(target, format) == 50_000


def test_the_ledger_tells_it_in_time_and_survives_nonsense():
    store = MemoryStore()
    ledger = Ledger(store)
    ledger.begin({"fingerprint": "f"})
    for label in (3, 9, 5, 9):
        ledger.note_largest(label)
    ledger.flush()
    keys = [k for k, _ in store.list("") if "ledger" in k]
    lines = b"".join(store.get(k) for k in keys)
    assert lines.count(b"largest_label") == 2
    store.put(keys[0], lines + b'{"largest_label": "x"}\n{"other": 99}\n{"largest_label"')
    again = Ledger(store)
    again.resume("f")
    assert again.largest == 9
