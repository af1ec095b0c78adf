"""The program as a whole: help, version, usage errors, interruptions, pipes, hostile names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer

import voxarium
from voxarium.cli.main import app

PROGRAM = str(Path(sys.executable).with_name("voxarium"))


def call(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)


def test_version(run):
    told = run("--version")
    assert (told.code, told.out) == (0, f"voxarium {voxarium.__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(run, arguments):
    told = run(*arguments)
    assert told.code == 0
    for command in ("info", "tree", "convert", "preview", "read", "--install-completion", "Exit codes"):
        assert command in told.out


def commands(group, *above):
    """Yield the words of every command, those of groups included."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *above, name)
        else:
            yield (*above, name)


@pytest.mark.parametrize("command", [*commands(typer.main.get_command(app))], ids=" ".join)
def test_every_command_has_help_json_and_quiet(run, command):
    told = run(*command, "--help")
    assert told.code == 0
    assert "--json" in told.out and "--quiet" in told.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "frobnicate"),
        (["info"], "URI"),
        (["info", "a", "b"], "b"),
        (["convert", "a"], "DST"),
        (["convert", "a", "b", "--chnk", "3"], "--chunk"),
        (["read", "a"], "--out"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_usage_errors_name_what_is_wrong_and_where_help_is(run, arguments, words):
    told = run(*arguments)
    assert told.code == 2 and told.out == ""
    assert told.err.startswith("error: ") and words in told.err and "--help" in told.err
    told = run(*arguments, "--json")
    assert told.code == 2 and told.error["code"] == "argument-invalid"


def test_the_installed_program_exits_with_its_codes(tmp_path):
    assert call("--version").returncode == 0
    assert call("info", tmp_path / "nothing").returncode == 1
    told = call("info")
    assert told.returncode == 2 and "Traceback" not in told.stderr


def test_shells_get_completions():
    told = call(
        env=os.environ | {"_VOXARIUM_COMPLETE": "complete_bash", "COMP_WORDS": "voxarium con", "COMP_CWORD": "1"}
    )
    assert told.stdout.split() == ["convert"]
    # The shell is found among the parents of the process, so there has to be one.
    command = ["bash", "-c", '"$0" --show-completion bash; exit $?', PROGRAM]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0 and "_VOXARIUM_COMPLETE" in told.stdout


def test_a_reader_that_stops_listening_is_no_error(archive):
    process = subprocess.Popen([PROGRAM, "info", str(archive)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(60)


def test_terminals_without_our_letters_are_served(archive):
    told = call("info", archive, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert told.returncode == 0 and "20 ? 33 ? 45" in told.stdout


def test_names_in_files_cannot_steer_the_terminal(run, archive):
    path = archive / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["ome"]["multiscales"][0]["name"] = "\x1b[2Jgone\x07"
    path.write_text(json.dumps(document))
    (archive / "s\x1b[31m").mkdir()
    (archive / "s\x1b[31m" / "file").write_text("x")
    for command in ("info", "tree"):
        told = run(command, archive)
        assert told.code == 0 and "\x1b" not in told.out and "\x07" not in told.out
    assert "\x1b" not in run("info", archive / "\x1b[31m").err
    assert run("info", archive, "--json").json["name"] == "\x1b[2Jgone\x07"


def wait_for(condition, seconds=40):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_ctrl_c_stops_a_conversion_that_resumes_to_the_same_bytes(tmp_path):
    np.save(tmp_path / "v.npy", np.random.default_rng(0).integers(0, 16, (64, 192, 256), np.uint8))
    options = [
        "--axes",
        "zyx",
        "--chunk",
        "32",
        "--shard",
        "64",
        "--codec",
        "zstd:13",
        "--memory",
        "1MB",
        "--threads",
        "1",
    ]
    command = ["convert", "v.npy", "a.ome.zarr", *options]
    job = subprocess.Popen([PROGRAM, *command], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ledger = tmp_path / "a.ome.zarr" / ".voxarium" / "ledger.jsonl"
    wait_for(lambda: job.poll() is not None or (ledger.exists() and ledger.stat().st_size > 0))
    job.send_signal(signal.SIGINT)
    out, err = job.communicate(timeout=60)
    assert job.returncode == 1, out
    assert "error: stopped" in err and "--resume" in err and "Traceback" not in err
    told = call("info", "a.ome.zarr", cwd=tmp_path)
    assert told.returncode == 1 and "incomplete" in told.stderr
    told = call(*command, "--resume", cwd=tmp_path)
    assert told.returncode == 0 and "were there already" in told.stdout
    assert call("convert", "v.npy", "b/a.ome.zarr", *options, cwd=tmp_path).returncode == 0
    files = [
        {p.relative_to(r): p.read_bytes() for p in r.rglob("*") if p.is_file()}
        for r in (tmp_path / "a.ome.zarr", tmp_path / "b" / "a.ome.zarr")
    ]
    assert files[0] == files[1]


def test_another_plan_does_not_resume(run, npy, tmp_path):
    target = tmp_path / "o.ome.zarr"
    (target / ".voxarium").mkdir(parents=True)
    (target / ".voxarium" / "job.json").write_text('{"fingerprint": "other"}')
    told = run("convert", npy, target, "--axes", "zyx", "--resume", "--json")
    assert told.code == 1 and told.error["code"] == "plan-changed" and "--overwrite" in told.error["fix"]
    told = run("convert", npy, target, "--axes", "zyx", "--json")
    assert told.code == 1 and told.error["code"] == "target-exists" and "--resume" in told.error["fix"]


def test_what_lists_and_changes_a_dataset_is_silent_or_json(run, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("VOXARIUM_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("VOXARIUM_DATABASE", f"{tmp_path}/server.sqlite")
    brain = archive.parent / "brain"
    assert run("dataset", "create", brain, "--name", "brain", "--license", "CC0-1.0", "--quiet").code == 0
    changing = [
        ("key", "create", "lab.example.org"),
        ("access", "set", "lab/em.zarr", "public"),
        ("log", "add", brain, "edit", "--note", "by hand"),
        ("log", "checkpoint", brain, "--key", "lab.example.org"),
    ]
    told = [run(*command, "--json").json for command in changing]
    assert told[0]["name"] == "lab.example.org" and told[1]["public"] is True
    assert told[2]["operation"] == "edit" and "lab.example.org" in told[3]["checkpoint"]
    listing = [
        ("dataset", "ls", brain), ("dataset", "show", brain), ("log", "show", brain), ("release", "list", brain),
        ("log", "export", brain, "--as", "jsonl"), ("key", "show"), ("access", "list"), ("access", "log"),
        ("token", "list"), ("rules",), ("rules", "QU-002"),
    ]  # fmt: skip
    for command in listing:
        assert run(*command).code == 0
        quiet = run(*command, "--quiet")
        assert (quiet.code, quiet.out, quiet.err) == (0, "", ""), command
        assert run(*command, "--json").json, command
    token = run("token", "create", "me", "--may", "read:*", "--quiet")
    assert token.code == 0 and token.err == "" and len(token.out.split()) == 1
