"""What others are told of a log: PROV-JSON, RO-Crate, CloudVolume's file, JSON lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.archive.log_exports import (
    export_cloudvolume,
    export_json_lines,
    export_prov_json,
    export_ro_crate,
    import_cloudvolume,
    iter_about,
)
from voxarium.archive.provenance import ProvenanceLog
from voxarium.archive.redaction import remove_payloads
from voxarium.errors import FormatError, VoxariumError
from voxarium.model.provenance import Activity, Agent, Artifact
from voxarium.spec.cloudvolume_provenance import activities_of, dump_layer, parse_layer
from voxarium.spec.ro_crate import CrateFacts
from voxarium.stores.memory import MemoryStore

SHA = "sha256:" + "ab" * 32
FACTS = CrateFacts(name="Pinky", description="a mouse", license="https://creativecommons.org/licenses/by/4.0/")


@pytest.fixture
def log():
    store = MemoryStore({"em/raw.tif": b"x", "em/fibsem/zarr.json": b"{}"})
    log = ProvenanceLog(store)
    ada = Agent("Ada Lovelace", "person", "https://orcid.org/0000-0001-2345-6789")
    log.append(
        Activity(
            operation="ingest",
            inputs=[Artifact("s3://lab/raw.tif", SHA)],
            agent=ada,
            outputs=[Artifact("em/raw.tif", SHA, 1)],
        )
    )
    log.append(
        Activity(
            operation="convert",
            inputs=[Artifact("em/raw.tif", SHA, 1)],
            outputs=[Artifact("em/fibsem", "voxarium-logical-1:cd", role="image")],
            parameters={"codec": {"name": "zstd"}, "chunk": [64, 64, 64]},
            software={"voxarium": "0.1", "numpy": "2.4.6"},
            agent=Agent("A lab", "organization"),
            note="for the paper",
        )
    )
    log.append(Activity(operation="fix", outputs=[Artifact("em/fibsem")], note="patient 7"))
    remove_payloads(log, 2, ["note"])
    return log


def test_artifacts_chain_operations_in_prov(log):
    document = json.loads(export_prov_json(log))
    assert set(document) == {"prefix", "entity", "activity", "agent", "used", "wasGeneratedBy", "wasAssociatedWith"}
    used = {(r["prov:activity"], r["prov:entity"]) for r in document["used"].values()}
    made = {(r["prov:activity"], r["prov:entity"]) for r in document["wasGeneratedBy"].values()}
    (raw,) = [e for a, e in made if a == "log:entry-0"]
    assert ("log:entry-1", raw) in used
    assert document["entity"][raw]["vox:digest"] == SHA
    assert "patient" not in json.dumps(document)
    assert document["activity"]["log:entry-2"]["vox:removed"] == "note"
    assert json.loads(document["activity"]["log:entry-1"]["vox:parameters"])["chunk"] == [64, 64, 64]
    assert json.loads(export_prov_json(ProvenanceLog(MemoryStore())))["prefix"]


@pytest.mark.oracle
def test_the_package_prov_reads_it(log):
    model = pytest.importorskip("prov.model", reason="reads W3C PROV; not among the test dependencies")
    document = model.ProvDocument.deserialize(content=export_prov_json(log).decode(), format="json")
    assert len(list(document.get_records(model.ProvActivity))) == 4
    assert len(list(document.get_records(model.ProvUsage))) == 2
    again = json.loads(document.serialize(format="json"))
    assert set(again["entity"]) == set(json.loads(export_prov_json(log))["entity"])


def test_a_crate_names_files_folders_actions_and_people(log):
    document = json.loads(export_ro_crate(log, FACTS))
    graph = {entity["@id"]: entity for entity in document["@graph"]}
    assert len(graph) == len(document["@graph"])
    root = graph["./"]
    assert root["hasPart"] == [{"@id": "em/fibsem/"}, {"@id": "em/raw.tif"}]
    assert graph["em/raw.tif"]["@type"] == "File" and graph["em/raw.tif"]["contentSize"] == "1"
    assert graph["em/fibsem/"]["@type"] == "Dataset"
    assert graph["s3://lab/raw.tif"]["@type"] == "CreativeWork"
    assert graph["https://orcid.org/0000-0001-2345-6789"]["@type"] == "Person"
    assert [graph[a["@id"]]["@type"] for a in root["mentions"]][:3] == ["CreateAction", "CreateAction", "UpdateAction"]
    assert {"@id": "#program-voxarium-0.1"} in graph["#entry-1"]["instrument"]
    references = {m[0] for e in graph.values() for m in _ids(e, top=True)}
    outside = {"https://w3id.org/ro/crate/1.2"}
    assert references - outside <= set(graph)
    assert "patient" not in json.dumps(document)


def _ids(value, top=False):
    if isinstance(value, dict):
        if not top and set(value) == {"@id"}:
            yield (value["@id"],)
        for v in value.values():
            yield from _ids(v)
    elif isinstance(value, list):
        for v in value:
            yield from _ids(v)


@pytest.mark.oracle
def test_the_package_rocrate_reads_it(log, tmp_path, tmp_path_factory):
    rocrate = pytest.importorskip("rocrate.rocrate", reason="rocrate, which reads RO-Crates, is not installed")
    for key, _ in log.store.list():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(log.store.get(key))
    (tmp_path / "ro-crate-metadata.json").write_bytes(export_ro_crate(log, FACTS))
    crate = rocrate.ROCrate(tmp_path)
    assert crate.name == "Pinky"
    assert {e.id for e in crate.data_entities} == {"em/raw.tif", "em/fibsem/"}
    assert crate.dereference("#entry-1")["agent"]["name"] == "A lab"
    assert crate.dereference("#entry-1")["result"].id == "em/fibsem/"
    crate.write(tmp_path_factory.mktemp("copy") / "crate")


def test_what_was_done_to_one_thing_can_be_asked(log):
    assert [r.sequence for r in iter_about(log, "em/fibsem")] == [1, 2]
    assert [r.sequence for r in iter_about(log, "em")] == [0, 1, 2]
    assert [r.sequence for r in iter_about(log, "em/fib")] == []
    lines = [json.loads(line) for line in export_json_lines(log, "em/fibsem").splitlines()]
    assert lines[0]["parameters"]["codec"] == {"name": "zstd"} and lines[1]["removed"] == ["note"]


# ----------------------------------------------------------------------------------------------------- CloudVolume
# As CloudVolume and Igneous write it.
LAYER = {
    "description": "image of a mouse",
    "owners": ["me@example.org"],
    "processing": [
        {
            "method": {"task": "TransferTask", "src": "gs://a/b", "shape": [2048, 2048, 64]},
            "by": "me@example.org",
            "date": "2026-01-02 03:04 UTC",
        },
        {"method": {"task": "DownsampleTask", "mip": 0}, "by": "me@example.org", "date": "2026-01-02 04:04 UTC"},
        {"method": "by hand", "by": "you@example.org", "description": "shifted"},
    ],
    "sources": ["gs://a/b"],
    "laboratory": "ours",
}


def test_a_file_of_cloudvolume_is_taken_over_once():
    log = ProvenanceLog(MemoryStore())
    data = json.dumps(LAYER).encode()
    assert import_cloudvolume(log, data, "em") == 3
    assert import_cloudvolume(log, data, "em") == 0
    assert import_cloudvolume(log, data, "other") == 3
    found = [r.activity for r in log.activities()][:3]
    assert [a.operation for a in found] == ["convert", "downsample", "convert"]
    assert found[2].agent == Agent("you@example.org") and found[2].note == "shifted"
    assert found[0].inputs == (Artifact("gs://a/b"),) and found[0].outputs == (Artifact("em"),)
    assert found[1].parameters["cloudvolume"] == LAYER["processing"][1]


def test_steps_are_added_to_a_file_of_cloudvolume_once(log):
    data = json.dumps(LAYER).encode()
    more = json.loads(export_cloudvolume(log, data, "em/fibsem"))
    assert more["processing"][:3] == LAYER["processing"] and more["laboratory"] == "ours"
    assert [s["method"]["task"] for s in more["processing"][3:]] == ["convert", "fix"]
    assert more["processing"][3]["by"] == "A lab" and more["sources"] == ["gs://a/b", "em/raw.tif"]
    again = export_cloudvolume(log, json.dumps(more).encode(), "em/fibsem")
    assert json.loads(again) == more
    assert import_cloudvolume(log, again, "em") == 3  # our own steps are not taken for others'
    assert set(json.loads(export_cloudvolume(log))) == {"description", "owners", "sources", "processing"}


@pytest.mark.oracle
def test_cloudvolume_reads_and_approves_it(log):
    provenance = pytest.importorskip("cloudvolume.provenance", reason="CloudVolume is not among the test dependencies")
    layer = provenance.DataLayerProvenance().from_json(export_cloudvolume(log, json.dumps(LAYER).encode()))
    layer.validate()
    assert len(layer.processing) == 7


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"// JSON5\n{}",
        b'{"processing": {}}',
        b'{"processing": [1]}',
        b'{"owners": 5}',
        b'{"sources": [1]}',
        b'{"description": []}',
    ],
)
def test_files_that_are_not_cloudvolumes_are_refused(data):
    with pytest.raises(FormatError):
        parse_layer(data, "provenance")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda v: (
        st.lists(v, max_size=3)
        | st.dictionaries(
            st.sampled_from(["processing", "sources", "owners", "description", "method", "by", "task"]), v
        )
    ),
    max_leaves=10,
)


@given(JSON, st.lists(st.dictionaries(st.sampled_from(["method", "by", "date", "description"]), JSON), max_size=3))
def test_junk_is_refused_or_can_be_recorded(value, steps):
    for document in (value, {"processing": steps, "sources": value}):
        try:
            layer = parse_layer(json.dumps(document).encode(), "provenance")
        except FormatError:
            continue
        dump_layer(layer)
        log = ProvenanceLog(MemoryStore())
        for write_id, activity in activities_of(layer, "em"):
            log.append(activity, write_id=write_id)
        try:
            list(log.activities())
        except VoxariumError as error:
            raise AssertionError(error) from error
