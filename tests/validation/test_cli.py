"""``voxarium validate`` and ``voxarium rules``: verdicts, exit codes, reports as files."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import voxarium
from voxarium.cli.main import main
from voxarium.model.edits import apply_edits, parse_edit
from voxarium.validation.examples import bases

from .conftest import written


def stored(folder: Path, base: str, *edits: str) -> Path:
    tree = apply_edits(dict(bases()[base]()), tuple(parse_edit(e) for e in edits))
    for key, raw in tree.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    return folder


def asked(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, dict]:
    code = main(["validate", *map(str, args), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_valid_image_ends_with_0(tmp_path, capsys):
    code, report = asked(capsys, stored(tmp_path / "em.zarr", "image"))
    assert code == 0 and report["valid"] is True
    assert report["counts"] == {"MUST": 0, "SHOULD": 0} and report["findings"] == []
    assert report["examined"] == {"arrays": 2, "documents": report["examined"]["documents"], "images": 1} | {
        "nodes": report["examined"]["nodes"]
    }


def test_what_counts_ends_with_1_and_names_place_and_mend(tmp_path, capsys):
    folder = stored(tmp_path / "em.zarr", "image", "s1/zarr.json#/codecs = []")
    code, report = asked(capsys, folder)
    assert code == 1 and report["valid"] is False and report["counts"]["MUST"] >= 1
    finding = next(f for f in report["findings"] if f["rule"] == "GE-001")
    assert set(finding) >= {"rule", "level", "key", "pointer", "message", "expected", "found", "fix"}
    assert finding["level"] == "MUST" and finding["fix"]


def test_quality_counts_only_where_it_is_asked_for(tmp_path, capsys):
    folder = stored(tmp_path / "a.zarr", "array", "zarr.json#/dimension_names remove")
    assert asked(capsys, folder)[0] == 0
    code, report = asked(capsys, folder, "--profile", "quality")
    assert code == 1 and {f["rule"] for f in report["findings"]} == {"QU-002"}


def test_several_addresses_share_one_verdict(tmp_path, capsys):
    good, bad = stored(tmp_path / "good", "image"), stored(tmp_path / "bad", "image", "s1/zarr.json#/codecs = []")
    code, report = asked(capsys, good, bad)
    assert code == 1 and len(report["uris"]) == 2
    assert {f["uri"].rpartition("/")[2] for f in report["findings"]} == {"bad"}


def test_an_address_that_cannot_be_opened_does_not_hide_the_others(tmp_path, capsys):
    bad = stored(tmp_path / "bad", "image", "s1/zarr.json#/codecs = []")
    code, report = asked(capsys, tmp_path / "nothing", bad)
    assert code == 2 and not report["valid"] and report["findings"]
    (error,) = report["errors"]
    assert error["uri"].endswith("nothing") and error["code"] == "path-missing" and error["fix"]
    assert asked(capsys, tmp_path / "nothing")[0] == 2
    assert asked(capsys, tmp_path / "nothing", tmp_path / "neither")[0] == 2


def test_a_folder_of_anything_is_searched(tmp_path, capsys):
    stored(tmp_path / "a" / "deep" / "em.zarr", "image")
    stored(tmp_path / "b.zarr", "array")
    (tmp_path / "notes.txt").write_text("nothing")
    code, report = asked(capsys, tmp_path)
    assert code == 0 and report["examined"]["images"] == 1 and report["examined"]["arrays"] == 3


def test_a_layer_is_checked_with_what_describes_it(tmp_path, capsys):
    """A layer of a WEBKNOSSOS dataset says nothing about itself."""
    import numpy as np

    import voxarium

    np.save(tmp_path / "a.npy", np.arange(5 * 20 * 30, dtype="uint16").reshape(5, 20, 30))
    place = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 16}
    for layer in ("em", "lm"):
        voxarium.convert(tmp_path / "a.npy", tmp_path / "wk" / layer, format="webknossos", **place)
    code, report = asked(capsys, tmp_path / "wk/em", "--depth", "census")
    assert code == 0 and report["examined"]["images"] == 1 and report["uri"].endswith("/wk/em")
    next((tmp_path / "wk/lm").rglob("*.wkw")).write_bytes(b"")
    assert asked(capsys, tmp_path / "wk/em", "--depth", "census")[0] == 0
    assert asked(capsys, tmp_path / "wk/lm", "--depth", "census")[0] == 1
    assert asked(capsys, tmp_path / "wk", "--depth", "census")[0] == 1


def test_nothing_at_the_address_is_an_error(tmp_path, capsys):
    assert main(["validate", str(tmp_path / "none")]) == 2
    assert "nothing at" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["validate", str(tmp_path / "empty"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["fix"]


@pytest.mark.parametrize("wrong", [["--sample", "0"], ["--sample", "150%"], ["--depth", "deepest"]])
def test_wrong_arguments_end_with_2(tmp_path, capsys, wrong):
    folder = stored(tmp_path / "em.zarr", "image")
    assert main(["validate", str(folder), *wrong]) == 2


def test_reports_are_written_in_every_form(tmp_path, capsys):
    hostile = '<script>alert(1)</script>"'
    folder = stored(tmp_path / "em.zarr", "image", f"s1/zarr.json#/shape = {json.dumps([hostile])}")
    html, sarif, junit = tmp_path / "r.html", tmp_path / "r.sarif", tmp_path / "r.xml"
    code = main(["validate", str(folder), "--html", str(html), "--sarif", str(sarif), "--junit", str(junit)])
    assert code == 1
    page = html.read_text("utf-8")
    assert "GE-00" in page and "<script>" not in page and "src=" not in page
    log = json.loads(sarif.read_text("utf-8"))
    run = log["runs"][0]
    assert log["version"] == "2.1.0" and run["results"][0]["level"] == "error"
    assert run["tool"]["driver"]["rules"][run["results"][0]["ruleIndex"]]["id"] == run["results"][0]["ruleId"]
    suite = ElementTree.fromstring(junit.read_bytes()).find("testsuite")
    assert suite is not None and int(suite.get("failures", "0")) >= 1 and suite.find("testcase/failure") is not None


def test_text_names_rules_worst_first(tmp_path, capsys):
    folder = stored(tmp_path / "em.zarr", "image", "s1/zarr.json#/codecs = []")
    assert main(["validate", str(folder), "--profile", "quality"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("MUST") and "fix:" in out and out.rstrip().splitlines()[-1].startswith("invalid (quality")


def test_the_dingus_answers_for_documents_and_hierarchies(tmp_path, capsys):
    case = tmp_path / "case.json"
    case.write_text('{"ome": {"version": "0.5", "labels": ["cells"]}, "_conformance": {}}')
    assert main(["validate", "--dingus", str(case)]) == 0
    assert json.loads(capsys.readouterr().out) == {"valid": True, "message": ""}
    case.write_text('{"ome": {"version": "0.5", "multiscales": []}}')
    assert main(["validate", "--dingus", str(case)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["valid"] is False and "MS-001" in answer["message"]
    assert main(["validate", "--dingus", str(stored(tmp_path / "em.zarr", "image"))]) == 0
    assert json.loads(capsys.readouterr().out)["valid"] is True


def test_an_array_is_printed_for_the_tests_of_zarr(tmp_path, capsys):
    folder = stored(tmp_path / "a.zarr", "array")
    assert main(["validate", f"--array_path={folder}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 * 13 * 11 and lines[:3] == ["1", "1", "2"]
    (folder / "c/0/0/0").write_bytes(b"junk")
    assert main(["validate", "--array_path", str(folder)]) == 1
    assert main(["validate"]) == 2


def test_rules_are_listed_and_explained(capsys):
    assert main(["rules"]) == 0
    assert "QU-001" in capsys.readouterr().out
    assert main(["rules", "qu-001"]) == 0
    out = capsys.readouterr().out
    assert "why:" in out and "bad:" in out and "mend:" in out
    assert main(["rules", "QU-001", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["depth"] == "hierarchy"
    assert main(["rules", "XX-999"]) == 2


@pytest.mark.parametrize("form", ["key", "name", "path", "absolute", "elsewhere"])
def test_repairs_are_undone_by_key_name_or_path_of_their_file(tmp_path, capsys, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    folder = stored(tmp_path / "em.zarr", "ome05", "s0/zarr.json#/dimension_names remove")
    before = (folder / "s0/zarr.json").read_bytes()
    main(["validate", "em.zarr", "--fix", "--apply", "--quiet"])
    assert (folder / "s0/zarr.json").read_bytes() != before
    file = ".voxarium-fix/undo-0001.json"
    given = {"key": file, "name": "undo-0001.json", "path": f"em.zarr/{file}", "absolute": f"{folder}/{file}"}
    code = main(["validate", "em.zarr", "--undo", given.get(form, f"other.zarr/{file}")])
    assert code == (form == "elsewhere")
    assert ((folder / "s0/zarr.json").read_bytes() == before) == (form != "elsewhere")


def test_a_census_says_how_many_objects_are_absent(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.ones((5, 9, 7), np.uint8))
    voxarium.convert(tmp_path / "a.npy", tmp_path / "a.zarr", axes="zyx", chunk=4, shard=0, levels=1)
    assert "absent" not in asked(capsys, tmp_path / "a.zarr")[1]["examined"]
    assert asked(capsys, tmp_path / "a.zarr", "--depth", "census")[1]["examined"]["absent objects"] == 0
    (tmp_path / "a.zarr/s0/c/0/2/1").unlink()
    assert asked(capsys, tmp_path / "a.zarr", "--depth", "census")[1]["examined"]["absent objects"] == 1
    main(["validate", str(tmp_path / "a.zarr"), "--depth", "census"])
    assert "1 absent object," in capsys.readouterr().out


def test_where_an_image_does_not_open_all_its_levels_are_checked_by_themselves(tmp_path, capsys):
    folder = written(tmp_path, np.arange(9 * 20 * 11, dtype=np.uint16).reshape(9, 20, 11), levels=3, chunk=4, shard=8)
    for level, change in {"s0": {"codecs": []}, "s1": {"fill_value": "x"}}.items():
        path = folder / level / "zarr.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    shard = next(p for p in (folder / "s2/c").rglob("*") if p.is_file())
    shard.write_bytes(shard.read_bytes()[:-3])
    code, report = asked(capsys, folder, "--depth", "data")
    found = {(f["rule"], f["key"]) for f in report["findings"]}
    assert code == 1
    assert found >= {("Z3-003", "s0/zarr.json"), ("Z3-016", "s1/zarr.json"), ("DA-003", str(shard.relative_to(folder)))}
    assert [f["key"] for f in report["findings"] if f["rule"] == "GE-001"] == ["", "s1"]  # what s0 has is said of both
    assert not any(f["rule"][:2] in ("QU", "PB") for f in report["findings"])


def test_the_number_of_the_format_is_repaired_in_every_document(tmp_path, capsys):
    folder = written(tmp_path, np.zeros((5, 6, 7), np.uint8), levels=2, chunk=4, spec_version="0.4")
    (folder / ".zmetadata").unlink(missing_ok=True)
    for path in (*folder.rglob(".zgroup"), *folder.rglob(".zarray")):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"zarr_format": "2"}))
    code, report = asked(capsys, folder)
    assert code == 1 and sorted(f["key"] for f in report["findings"] if f["rule"] == "Z2-004") == [
        ".zgroup",
        "s0/.zarray",
        "s1/.zarray",
    ]
    main(["validate", str(folder), "--fix", "--apply", "--quiet"])
    assert asked(capsys, folder, "--depth", "data")[0] == 0
