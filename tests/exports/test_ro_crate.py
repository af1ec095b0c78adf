"""Crates of releases."""

from __future__ import annotations

import json

import pytest
from export_data import CONTENT, LATER, contents, exported, made

from voxarium.spec.ro_crate import FILE_NAME, CrateFacts, CratePerson, dump_ro_crate


def graph(folder):
    found = json.loads((folder / FILE_NAME).read_bytes())
    assert found["@context"] == "https://w3id.org/ro/crate/1.2/context"
    entities = {e["@id"]: e for e in found["@graph"]}
    assert len(entities) == len(found["@graph"])
    return entities


def ids(value):
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for v in value.values():
            yield from ids(v)
    elif isinstance(value, list):
        for v in value:
            yield from ids(v)


@pytest.fixture
def crate(brain, tmp_path):
    exported(f"{brain}@v1.1", tmp_path / "crate", "ro-crate")
    return tmp_path / "crate"


class TestCrate:
    def test_objects_lie_beside_the_document(self, crate):
        found = contents(crate)
        assert found.pop(FILE_NAME) and found == CONTENT | LATER

    def test_everything_that_is_referred_to_is_there(self, crate):
        entities = graph(crate)
        outside = {"https://w3id.org/ro/crate/1.2"}
        for entity in entities.values():
            assert set(ids({k: v for k, v in entity.items() if k != "@id"})) <= set(entities) | outside, entity
        parts = [p["@id"] for p in entities["./"]["hasPart"]]
        assert parts == ["LICENSE", "dataset.json", "em/", "em/labels/cells/", "notes/", "tables/",
                         "tables/synapses.parquet"]  # fmt: skip
        for name in parts:
            assert (crate / name).is_dir() == name.endswith("/") and (crate / name).exists()

    def test_members_say_what_they_are(self, crate):
        entities = graph(crate)
        assert entities["em/"]["@type"] == "Dataset" and entities["em/"]["encodingFormat"] == "ome-zarr"
        assert entities["em/"]["description"].startswith("raw; 11 objects")
        assert entities["em/"]["hasPart"] == {"@id": "em/labels/cells/"}
        cells = entities["em/labels/cells/"]
        assert cells["name"] == "cells" and cells["isBasedOn"] == {"@id": "em/"} and cells["keywords"] == "label"
        table = entities["tables/synapses.parquet"]
        assert table["contentSize"] == "4" and table["encodingFormat"] == "application/vnd.apache.parquet"
        assert len(table["sha256"]) == 64

    def test_people_money_licence_and_identifiers(self, crate):
        entities = graph(crate)
        root = entities["./"]
        assert root["license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}
        assert root["version"] == "v1.1" and root["datePublished"].startswith("20")
        ada, consortium, somebody = (entities[a["@id"]] for a in root["author"])
        assert ada["@id"] == "https://orcid.org/0000-0002-1825-0097" and ada["@type"] == "Person"
        assert entities[ada["affiliation"]["@id"]]["name"] == "University of London"
        assert consortium["@type"] == "Organization" and somebody["@id"] == "#person-Somebody"
        assert [entities[f["@id"]]["name"] for f in root["funder"]] == ["A foundation", "Another one"]
        grant = entities[root["funding"]["@id"]]
        assert grant["identifier"] == "N-17" and grant["name"] == "Wires"
        publisher = entities[root["publisher"]["@id"]]
        assert entities[publisher["contactPoint"]["@id"]]["email"] == "ada@example.org"
        names = [entities[i["@id"]] for i in root["identifier"]]
        assert names[0]["@id"] == "https://doi.org/10.5072/brain.2" and names[0]["value"] == "doi:10.5072/brain.2"
        assert "EMPIAR-1" in [n["value"] for n in names]
        assert entities["#voxarium-release-document"]["value"].startswith("sha256:")

    def test_what_was_done_is_an_action(self, crate):
        entities = graph(crate)
        actions = [entities[a["@id"]] for a in entities["./"]["mentions"]]
        assert [a["name"] for a in actions] == ["convert", "publish"]  # what was done before the release
        assert actions[0]["result"] == {"@id": "em/"} and entities["em/"]["@type"] == "Dataset"
        assert entities[actions[0]["agent"]["@id"]]["name"] in ("Ada Lovelace", "Lovelace, Ada")
        gone = entities[actions[1]["result"]["@id"]]
        assert gone["@type"] == "CreativeWork" and gone["name"] == "releases/000001.json"

    def test_addresses_instead_of_copies(self, brain, tmp_path):
        exported(f"{brain}@v1.1", tmp_path / "crate", "ro-crate", url="https://example.org/brain@v1.1")
        assert set(contents(tmp_path / "crate")) == {FILE_NAME}
        entities = graph(tmp_path / "crate")
        parts = {p["@id"] for p in entities["./"]["hasPart"]}
        assert "https://example.org/brain@v1.1/em/" in parts and "https://example.org/brain@v1.1/LICENSE" in parts
        assert parts <= set(entities)

    def test_a_release_that_is_a_crate_already(self, tmp_path):
        brain = made(tmp_path / "brain", {FILE_NAME: b"{}", "a/b": b"1"}, {})
        report = exported(f"{brain}@v1.0", tmp_path / "crate", "ro-crate")
        assert any("of its own" in n for n in report.plan.notes) and report.plan.objects == 1
        assert graph(tmp_path / "crate")["./"]["hasPart"] == {"@id": "a/"}
        assert any("no licence" in n for n in report.plan.notes)

    def test_not_one_entity_for_each_chunk(self, tmp_path):
        brain = made(tmp_path / "brain", {f"{i}": b"1" for i in range(1200)} | {"a/b": b"1"}, {})
        exported(f"{brain}@v1.0", tmp_path / "crate", "ro-crate")
        assert len(graph(tmp_path / "crate")["./"]["hasPart"]) == 1001

    @pytest.mark.oracle
    def test_the_package_rocrate_reads_it(self, crate, tmp_path):
        oracle = pytest.importorskip("rocrate.rocrate", reason="rocrate, which reads RO-Crates, is not installed")
        found = oracle.ROCrate(crate)
        assert found.name == "Pinky of the mouse" and found.version == "1.2"
        assert found.root_dataset["license"]["identifier"] == "CC-BY-4.0"
        assert {e.id for e in found.data_entities} >= {"em/", "em/labels/cells/", "tables/synapses.parquet"}
        assert found.dereference("#entry-0")["agent"].id == "https://orcid.org/0000-0002-1825-0097"
        found.write(tmp_path / "copy")
        assert set(contents(tmp_path / "copy")) >= set(CONTENT | LATER)


def test_facts_that_are_no_addresses():
    facts = CrateFacts(
        name="n",
        description="d",
        license="see the file",
        contact="Ada",
        authors=(CratePerson(name="A", identifier="5"),),
    )
    entities = {e["@id"]: e for e in dump_ro_crate([], facts, lambda _: "")["@graph"]}
    assert entities["./"]["license"] == "see the file"
    assert entities["#person-A"]["identifier"] == "5" and entities["#person-A"]["contactPoint"] == {"@id": "#contact"}
