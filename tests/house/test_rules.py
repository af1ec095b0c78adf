"""The house rules that a linter does not check."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import voxarium
from voxarium.errors import Code

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "voxarium").rglob("*.py"))
PUBLIC = sorted(set(voxarium.__all__) - {"__version__"})


def test_public_names_are_few_sorted_by_case_and_all_there():
    assert len(voxarium.__all__) <= 40
    assert dir(voxarium) == sorted(voxarium.__all__)
    for name in voxarium.__all__:
        assert getattr(voxarium, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        voxarium.nothing  # noqa: B018


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring(name):
    assert len(getattr(voxarium, name).__doc__.split()) >= 4


def test_modules_are_not_too_long():
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text("utf-8").splitlines())) > 470}
    assert not long, "split them by meaning"


def test_no_module_has_a_name_that_means_nothing():
    assert not [p for p in SOURCES if p.stem in ("utils", "util", "helpers", "misc", "common")]


def test_every_module_says_what_it_is():
    assert not [str(p) for p in SOURCES if not ast.get_docstring(ast.parse(p.read_text("utf-8")))]


def test_library_code_has_no_assert_and_no_print():
    found = []
    for path in (p for p in SOURCES if "testing" not in p.parts):  # kits for tests assert, as tests do
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found


def test_every_raised_error_of_ours_has_a_code_and_a_fix():
    classes = {n for n in importlib.import_module("voxarium.errors").__all__ if n.endswith("Error")}
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in classes:
                words = {k.arg for k in node.keywords}
                if not {"code", "fix"} <= words and None not in words:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found


def test_names_under_raises_exist():
    known = set(importlib.import_module("voxarium.errors").__all__) | set(dir(builtins))
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                continue
            section = re.search(
                r"^Raises\n-+\n(.*?)(?:\n\n|\Z)", ast.get_docstring(node) or "", re.MULTILINE | re.DOTALL
            )
            for line in section[1].splitlines() if section else ():
                if line[:1].strip():
                    found += [f"{path.name} {node.name}: {n}" for n in re.split(r",\s*", line) if n not in known]
    assert not found


def test_every_code_is_documented():
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    assert not [code for code in Code if f"| `{code}` |" not in page]


def test_no_file_names_a_package_host_or_somebodys_machine():
    # Put together here, so that this file does not contain what it looks for.
    patterns = ["index-" + "url", r"https?://[^ \"]*" + "/simple" + "/", "/home" + r"/\w+/", re.escape(f"{ROOT}/")]
    named = "|".join(patterns)
    files = [p for p in ROOT.glob("*") if p.is_file() and p.name not in (".gitignore",)]
    for folder in ("src", "docs", "examples", "news", ".ci", "benchmarks", "tests"):
        files += [p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".md", ".toml", ".txt", "", ".json")]
    found = []
    for path in files:
        if path == Path(__file__).resolve() or not path.is_file() or "volumes" in path.relative_to(ROOT).parts:
            continue
        for match in re.finditer(named, path.read_text("utf-8", errors="replace")):
            found.append(f"{path.relative_to(ROOT)}: {match[0]}")
    assert not found


def test_constraints_are_names_and_versions():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    assert not [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]
    assert not [line for line in pins if line.startswith("voxarium")]


def test_layers_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout


def test_decisions_are_numbered_and_say_what_they_prevent():
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(p.name[:4]) for p in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text("utf-8")
        for part in ("**Problem.**", "**Failure prevented.**", "**Decision.**", "**Cost.**"):
            assert part in text, page.name
