"""Records for DOIs."""

from __future__ import annotations

import json
import re

import pytest
from export_data import ADA, CONTENT, DATASET, exported, made
from hypothesis import given
from hypothesis import strategies as st

from voxarium.archive.provenance import ProvenanceLog
from voxarium.cli.main import main
from voxarium.errors import ExistsError, InputError
from voxarium.spec.datacite import check_record, is_doi, is_orcid
from voxarium.spec.dataset_document import parse_dataset
from voxarium.stores.local import LocalStore


@pytest.fixture
def record(brain, tmp_path):
    exported(f"{brain}@v1.1", tmp_path / "doi.json", "datacite", url="https://example.org/brain")
    return json.loads((tmp_path / "doi.json").read_bytes())


def dataset(**changes):
    found = {k: v for k, v in (DATASET | changes).items() if v is not None}
    return CONTENT | {"dataset.json": json.dumps(found).encode()}


class TestRecord:
    def test_it_says_what_the_dataset_and_the_release_say(self, record):
        assert check_record(record) == ()
        assert record["doi"] == "10.5072/brain.2" and record["version"] == "v1.1"
        assert record["titles"] == [{"title": "Pinky of the mouse"}]
        assert record["publisher"] == {"name": "Archive of Neurons"}
        assert re.fullmatch(r"20\d\d", record["publicationYear"])
        ada, consortium, somebody = record["creators"]
        assert (ada["givenName"], ada["familyName"], ada["nameType"]) == ("Ada", "Lovelace", "Personal")
        assert ada["nameIdentifiers"][0]["nameIdentifierScheme"] == "ORCID"
        assert ada["affiliation"] == [{"name": "University of London"}]
        assert consortium["nameType"] == "Organizational" and somebody == {"name": "Somebody"}
        assert record["rightsList"][0]["rightsIdentifier"] == "CC-BY-4.0"
        assert record["fundingReferences"][0] == {
            "funderName": "A foundation",
            "awardNumber": "N-17",
            "awardTitle": "Wires",
        }
        assert {(r["relationType"], r["relatedIdentifier"]) for r in record["relatedIdentifiers"]} == {
            ("IsVersionOf", "10.5072/concept.9"),
            ("IsNewVersionOf", "10.5072/brain.1"),
        }
        kinds = {a["alternateIdentifierType"] for a in record["alternateIdentifiers"]}
        assert {"accession number", "URL"} <= kinds and "DOI" not in kinds
        assert record["contributors"] == [{"name": "Ada Lovelace", "contributorType": "ContactPerson"}]
        assert "ada@example.org" not in json.dumps(record)
        assert record["formats"] == ["ome-zarr"]

    @pytest.mark.oracle
    def test_the_package_datacite_finds_it_valid(self, record):
        schema = pytest.importorskip("datacite.schema45", reason="the package datacite is not among the dependencies")
        schema.validator.validate(record)

    def test_a_file_is_not_written_over(self, brain, tmp_path):
        (tmp_path / "doi.json").write_bytes(b"mine")
        with pytest.raises(ExistsError):
            exported(f"{brain}@v1.1", tmp_path / "doi.json", "datacite")
        assert (tmp_path / "doi.json").read_bytes() == b"mine"

    def test_a_withdrawn_release_says_when(self, tmp_path):
        brain = made(tmp_path / "brain")
        assert main(["release", "tombstone", brain, "v1.0", "--reason", "wrong", "-q"]) == 0
        assert (
            main(
                [
                    "release",
                    "export",
                    f"{brain}@v1.0",
                    str(tmp_path / "x.json"),
                    "--as",
                    "datacite",
                    "--withdrawn",
                    "-q",
                ]
            )
            == 0
        )
        found = json.loads((tmp_path / "x.json").read_bytes())
        assert [d["dateType"] for d in found["dates"]] == ["Issued", "Withdrawn"]


class TestGaps:
    @pytest.mark.parametrize(
        ("changes", "text", "command"),
        [
            ({"publisher": None}, "no publisher", "dataset describe DIR --publisher"),
            ({"authors": None}, "no author", "dataset describe DIR --author"),
            (
                {"authors": [{"name": "Ada", "identifier": "https://orcid.org/0000-0002-1825-0098"}]},
                "mistyped",
                "dataset describe DIR --author",
            ),
        ],
    )
    def test_what_is_missing_is_named_with_the_command_that_says_it(self, tmp_path, changes, text, command):
        brain = made(tmp_path / "brain", dataset(**changes))
        with pytest.raises(InputError, match=text) as caught:
            exported(f"{brain}@v1.0", tmp_path / "x.json", "datacite")
        assert command in caught.value.fix and not (tmp_path / "x.json").exists()

    def test_a_release_without_a_doi_and_without_a_dataset_json(self, tmp_path):
        brain = made(tmp_path / "brain", {"a": b"1"}, {})
        from export_data import publish

        publish(LocalStore(brain), "v2.0")
        with pytest.raises(InputError, match="no DOI; no author; no publisher") as caught:
            exported(f"{brain}@v2.0", tmp_path / "x.json", "datacite")
        assert "--identifier" in caught.value.fix
        with pytest.raises(InputError, match="is none"):
            exported(f"{brain}@v2.0", tmp_path / "x.json", "datacite", identifier="brain")

    def test_what_a_release_left_out_is_said_later(self, tmp_path, capsys):
        brain = made(tmp_path / "brain", dataset(publisher=None, authors=None, description=None))
        say = ["dataset", "describe", brain, "--publisher", "An archive", "--author", "Lovelace, Ada"]
        assert main([*say, "--dry-run"]) == 0
        with pytest.raises(InputError):
            exported(f"{brain}@v1.0", tmp_path / "x.json", "datacite")
        assert main([*say, "--affiliation", "A lab", "--funding", "A fund=7", "--json"]) == 0
        report = exported(f"{brain}@v1.0", tmp_path / "x.json", "datacite", identifier="https://doi.org/10.5072/other")
        assert any("no publisher" in n for n in report.plan.notes) and any(
            "description" in n for n in report.plan.notes
        )
        found = json.loads((tmp_path / "x.json").read_bytes())
        assert found["publisher"] == {"name": "An archive"} and found["doi"] == "10.5072/other"
        assert found["fundingReferences"][0]["funderName"] == "A foundation"  # the release says it, and counts

    def test_what_is_said_changes_nothing_else_and_is_logged_without_names(self, tmp_path):
        brain = made(tmp_path / "brain")
        before = parse_dataset((tmp_path / "brain/dataset.json").read_bytes())
        assert main(["dataset", "describe", brain, "--funding", "A fund = 7", "-q"]) == 0
        after = parse_dataset((tmp_path / "brain/dataset.json").read_bytes())
        assert after.funding == ({"funder": "A fund", "award": "7"},)
        assert (after.members, after.authors, after.publisher) == (before.members, before.authors, before.publisher)
        last = list(ProvenanceLog(LocalStore(brain)).activities())[-1].activity
        assert last.operation == "annotate" and last.parameters == {"facts": ["funding"]}
        assert main(["dataset", "describe", brain]) == 2
        assert ADA.name not in json.dumps(last.parameters)


class TestRules:
    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda r: r.pop("doi"), "doi is missing"),
            (lambda r: r.update(doi="https://doi.org/10.5072/x"), "expected a DOI"),
            (lambda r: r.update(creators=[]), "at least 1"),
            (lambda r: r["creators"][0].pop("name"), r"creators\[0\].name is missing"),
            (lambda r: r["creators"][0].update(nameType="Person"), "controlled list"),
            (lambda r: r["creators"][0].update(orcid="x"), "no property of this schema"),
            (
                lambda r: r["creators"][0]["nameIdentifiers"][0].update(nameIdentifier="0000-0002-1825-0098"),
                "check digit",
            ),
            (lambda r: r.update(titles=[{"title": " "}]), r"titles\[0\].title"),
            (lambda r: r.update(publisher="Archive"), "expected an object"),
            (lambda r: r.update(publicationYear=2026), "a year of four digits"),
            (lambda r: r["types"].update(resourceTypeGeneral="Volume"), "controlled list"),
            (lambda r: r.update(schemaVersion="http://datacite.org/schema/kernel-3"), "controlled list"),
            (lambda r: r["dates"][0].update(date="yesterday"), "expected a date"),
            (lambda r: r["dates"].append(dict(r["dates"][0])), "comes twice"),
            (lambda r: r["relatedIdentifiers"][0].update(relationType="IsLike"), "controlled list"),
            (lambda r: r["relatedIdentifiers"][0].update(schemeUri="https://e.org"), "does not have"),
            (lambda r: r["relatedIdentifiers"][0].update(relatedIdentifier="x"), "expected a DOI"),
            (lambda r: r.update(url="example"), "expected an address"),
            (lambda r: r.update(fundingReferences=[{"awardNumber": "1"}]), "funderName is missing"),
            (lambda r: r["descriptions"][0].update(descriptionType="Summary"), "controlled list"),
        ],
    )
    def test_what_breaks_them_is_named(self, record, change, text):
        change(record)
        assert any(re.search(text, found) for found in check_record(record)), check_record(record)

    @pytest.mark.parametrize("value", ["2026", "2026-11", "2026-11-26", "2026-11-26T06:30:00.000Z", "2025/2026-01"])
    def test_dates(self, record, value):
        record["dates"] = [{"date": value, "dateType": "Coverage"}]
        assert check_record(record) == ()

    def test_identifiers(self):
        assert is_doi("10.5072/a b"[:9]) and not is_doi("10.5072/") and not is_doi("doi:10.5072/x")
        assert is_orcid("https://orcid.org/0000-0002-1694-233X") and not is_orcid("0000-0002-1694-2330")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
    max_leaves=6,
)
KEYS = ["doi", "creators", "titles", "publisher", "dates", "relatedIdentifiers", "nameIdentifiers", "types", "name"]


@given(JSON | st.dictionaries(st.sampled_from(KEYS), JSON | st.lists(st.dictionaries(st.sampled_from(KEYS), JSON))))
def test_junk_is_refused_in_words(value):
    assert check_record(value)
