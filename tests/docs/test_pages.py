"""The pages: their commands and programs run, their links lead somewhere, the generated ones are fresh.

Blocks of ``bash`` and ``python`` of a page run one after the other in one folder, which holds ``slices/`` and
``labels.h5``; Python blocks of a page share their names. In the info string of a block, ``fails="why"`` means
that the command fails; ``s3`` runs it against a server of our own; ``skip="why"`` leaves it out;
``file="name"`` belongs to another test.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def blocks(page):
    """Return (language, info string, code) of the blocks that run."""
    found = [(kind, info.strip(), code) for kind, info, code in FENCE.findall(page.read_text("utf-8"))]
    return [b for b in found if b[0] in ("bash", "python") and "skip=" not in b[1] and "file=" not in b[1]]


def named(page):
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    from voxarium.testing.specimen import Specimen
    from voxarium.testing.specimen.writers import write_hdf5_labels, write_tiff_slices

    folder = tmp_path_factory.mktemp("source")
    specimen = Specimen(shape=(48, 72, 80), seed=3)
    write_tiff_slices(specimen, folder / "slices")
    write_hdf5_labels(specimen, folder / "labels.h5", "volumes/labels/neuron_ids")
    return folder


@pytest.fixture
def folder(source, tmp_path):
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def s3_environment():
    """Start a server that speaks S3, with the bucket that the pages name."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket="my-bucket")
    yield keys | {"AWS_ENDPOINT_URL": endpoint}
    client.close()
    server.stop()


def run_bash(code, folder, environment):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=os.environ | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=named)
def test_blocks_run(page, folder, monkeypatch, request, tmp_path_factory):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VOXARIUM_KEYS", str(tmp_path_factory.mktemp("keys")))
    names: dict[str, object] = {}
    for kind, info, code in blocks(page):
        if kind == "python":
            exec(compile(code, named(page), "exec"), names)
            continue
        environment = request.getfixturevalue("s3_environment") if info == "s3" else {}
        done = run_bash(code, folder, environment)
        assert (done.returncode != 0) == ("fails=" in info), f"{code}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


def test_blocks_that_do_not_run_say_why():
    for page in PAGES:
        for kind, info, code in FENCE.findall(page.read_text("utf-8")):
            if kind in ("bash", "python") and info.strip():
                assert re.fullmatch(r' (s3|(skip|fails)="[^"]{10,}"|file="[\w.]+")', info), (
                    f"{named(page)}: {info}{code}"
                )


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for target in LINK.findall(re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{named(page)} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w\- ]", "", t).lower().replace(" ", "-") for t in titles], target


def test_commands_and_options_in_the_pages_exist():
    import typer.main

    from voxarium.cli.main import app

    def all_options(command):
        own = {o for p in command.params for o in [*p.opts, *p.secondary_opts]} | {"--help"}
        return own.union(*(all_options(c) for c in getattr(command, "commands", {}).values()))

    commands = typer.main.get_command(app).commands
    options = {name: all_options(c) for name, c in commands.items()}
    everything = set().union(*options.values()) | {"--version", "--install-completion", "--show-completion"}
    for page in PAGES:
        text = page.read_text("utf-8")
        for command in re.findall(r"`voxarium ([a-z]+)", text):
            assert command in commands, f"{named(page)}: voxarium {command}"
        for option in re.findall(r"`(--[a-z_-]+)", text):
            assert option in everything or page.name == "CONTRIBUTING.md", f"{named(page)}: {option}"


def test_targets_of_make_in_the_pages_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"^make ([a-z]+)|`make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE):
            assert "".join(target) in targets, f"{named(page)}: make {''.join(target)}"


def test_continuous_integration_runs_what_developers_run():
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert lines[-1] == "exec make test"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_news_fragments_have_known_types():
    types = set(re.findall(r"^\| `([a-z]+)`", (ROOT / "news" / "README.md").read_text("utf-8"), re.MULTILINE))
    configured = set(
        re.findall(r'^directory = "([a-z]+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    )
    assert types == configured - {"news"}
    for path in (ROOT / "news").glob("*.md"):
        assert path.name == "README.md" or path.name.split(".")[-2] in types, path.name


def generator():
    sys.path.insert(0, str(ROOT / "docs"))  # where the script finds its parts
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh():
    assert sorted(generator().stale()) == [], "run make docs"


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150
