"""``voxarium log`` and ``voxarium key``: a curator records, signs, loses and finds out."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("cryptography", reason="makes and checks signatures")


@pytest.fixture(autouse=True)
def own_keys(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    monkeypatch.setenv("VOXARIUM_KEYS", str(folder))
    monkeypatch.setenv("VOXARIUM_AGENT", "Ada Lovelace <https://orcid.org/0000-0001-2345-6789>")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return folder


@pytest.fixture
def dataset(tmp_path, run):
    folder = tmp_path / "pinky"
    folder.mkdir()
    done = run("log", "add", folder, "ingest", "--input", f"s3://lab/raw.tif=sha256:{'ab' * 32}", "--output", "em/raw")
    assert (done.code, done.out, done.err) == (0, "entry 0: ingest\n", "")
    run(
        "log",
        "add",
        folder,
        "fix",
        "--output",
        "em/raw",
        "--note",
        "slices 7 and 8 swapped",
        "--parameter",
        "slices=[7, 8]",
        "--parameter",
        "tool=imod",
        "--by",
        "Grace",
    )
    return folder


def test_what_was_done_is_shown(run, dataset):
    shown = run("log", "show", dataset)
    assert shown.code == 0 and shown.err == ""
    lines = shown.out.splitlines()
    assert lines[0].startswith("    0  20") and lines[0].endswith("ingest by Ada Lovelace")
    assert f"       from: s3://lab/raw.tif (sha256:{'ab' * 32})" in lines
    assert "       slices: [7, 8]" in lines and "       note: slices 7 and 8 swapped" in lines
    found = run("log", "show", dataset, "--json").json["entries"]
    assert [e["operation"] for e in found] == ["ingest", "fix"]
    assert found[0]["agent"] == {
        "name": "Ada Lovelace",
        "kind": "person",
        "identifier": "https://orcid.org/0000-0001-2345-6789",
    }
    assert found[1]["parameters"] == {"slices": [7, 8], "tool": "imod"} and found[1]["agent"]["name"] == "Grace"
    assert run("log", "show", dataset, "--about", "labels").out == ""


def test_a_signed_checkpoint_that_was_kept_tells_that_the_log_was_cut(run, dataset, tmp_path, own_keys):
    line = run("key", "create", "lab.example.org").out.strip()
    assert line.startswith("lab.example.org+") and run("key", "show").out.strip() == line
    assert run("key", "show", "--json").json["keys"][0]["line"] == line
    kept = tmp_path / "kept.txt"
    signed = run("log", "checkpoint", dataset, "--key", "lab.example.org", "--out", kept)
    assert signed.code == 0 and signed.out.startswith("voxarium-log/") and kept.read_text() == signed.out
    run("log", "add", dataset, "audit")
    good = run("log", "verify", dataset, "--checkpoint", kept, "--key", line)
    assert good.code == 0 and good.out.startswith("intact: 3 entries") and "signed by lab.example.org" in good.out
    assert "entries from 2 on are not signed yet" in good.err
    for entry in ("000000000001", "000000000002"):
        (dataset / f"provenance-log/entries/{entry}.jsonl").unlink()
    assert run("log", "verify", dataset).code == 1  # the checkpoint beside the entries
    for note in (dataset / "provenance-log").rglob("*.txt"):
        note.unlink()
    assert run("log", "verify", dataset).code == 1  # the one that was signed on this machine
    for note in (own_keys / "checkpoints").iterdir():
        note.unlink()
    assert run("log", "verify", dataset).code == 0
    bad = run("log", "verify", dataset, "--checkpoint", kept, "--key", line, "--json")
    assert bad.code == 1 and bad.json["ok"] is False
    assert [p["kind"] for p in bad.json["problems"]] == ["truncated", "unsigned"]
    quiet = run("log", "verify", dataset, "--checkpoint", kept, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (1, "", "")


def test_a_changed_entry_is_named(run, dataset):
    run("log", "add", dataset, "audit")
    file = dataset / "provenance-log/entries/000000000001.jsonl"
    file.write_text(file.read_text().replace('"fix"', '"edit"'))
    bad = run("log", "verify", dataset)
    assert bad.code == 1 and "changed: entry 1 in" in bad.err and "NOT intact: 1 entries" in bad.out
    key = run("key", "create", "k")
    assert key.code == 0
    refused = run("log", "checkpoint", dataset, "--key", "k")
    assert refused.code == 1 and "is not signed" in refused.err


def test_details_are_removed_only_when_told_so(run, dataset):
    refused = run("log", "remove", dataset, 0, "agent")
    assert refused.code == 2 and "--yes" in refused.err
    assert run("log", "remove", dataset, 0, "agent", "--reason", "asked to", "--yes").code == 0
    shown = run("log", "show", dataset, "--json").json["entries"]
    assert "agent" not in shown[0] and shown[0]["removed"] == ["agent"]
    assert shown[2]["operation"] == "remove-payload" and shown[2]["note"] == "asked to"
    done = run("log", "verify", dataset)
    assert done.code == 0 and "1 removed on purpose" in done.out
    assert run("log", "remove", dataset, 9, "agent", "--yes").code == 2


@pytest.mark.parametrize(
    ("form", "holds"),
    [("prov-json", '"prefix"'), ("ro-crate", '"@graph"'), ("cloudvolume", '"processing"'), ("jsonl", '"sequence": 1')],
)
def test_logs_are_exported(run, dataset, tmp_path, form, holds):
    shown = run("log", "export", dataset, "--as", form)
    assert shown.code == 0 and holds in shown.out
    target = tmp_path / "out"
    assert run("log", "export", dataset, "--as", form, "--out", target).code == 0
    assert target.read_text() == shown.out
    again = run("log", "export", dataset, "--as", form, "--out", target)
    assert again.code == (0 if form == "cloudvolume" else 1)
    assert target.read_text() == shown.out
    assert run("log", "export", dataset, "--as", form, "--out", target, "--overwrite").code == 0


def test_cloudvolumes_file_is_taken_over_once(run, dataset):
    (dataset / "em").mkdir()
    step = {"method": {"task": "DownsampleTask", "mip": 0}, "by": "me@example.org", "date": "2026"}
    (dataset / "em/provenance").write_text(json.dumps({"description": "", "processing": [step]}))
    assert run("log", "import", dataset, "em").out == "1 steps recorded\n"
    assert run("log", "import", dataset, "em").out == "0 steps recorded\n"
    assert run("log", "show", dataset, "--json").json["entries"][2]["operation"] == "downsample"
    assert run("log", "import", dataset, "labels").code == 1


def test_what_cannot_be_done_says_why(run, dataset, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for words in (["show"], ["verify"], ["export", "--as", "jsonl"]):
        done = (
            run("log", words[0], empty, *words[1:], "--json")
            if words[0] != "export"
            else run("log", "export", empty, "--as", "jsonl")
        )
        assert done.code == 1
    assert run("log", "show", empty, "--json").error["code"] == "log-missing"
    assert run("log", "show", tmp_path / "nothing", "--json").error["code"] == "path-missing"
    assert run("log", "add", tmp_path / "nothing", "fix").code == 1
    assert run("log", "add", dataset, "Fix It").code == 2
    assert run("log", "add", dataset, "fix", "--parameter", "x").code == 2
    assert run("log", "checkpoint", dataset, "--key", "nobody").code == 1
    assert run("log", "verify", dataset, "--key", "nobody").code == 1
    assert run("log", "verify", dataset, "--checkpoint", tmp_path / "nothing").code == 1
    assert run("key", "create", "a b").code == 2
    assert not (tmp_path / "nothing").exists()
    assert list(empty.iterdir()) == []


def test_control_characters_of_a_log_do_not_reach_the_terminal(run, dataset):
    run("log", "add", dataset, "fix", "--note", "a\x1b[2Jb", "--by", "x\x1b")
    assert "\x1b" not in run("log", "show", dataset).out
