"""What every target does: make arguments of bytes, call the function, and let only errors of our own pass."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from inputs import KINDS, Reader, Several
from table import LINES, Line

from voxarium.errors import VoxariumError

__all__ = ["lines_of", "main", "modules", "seeds", "target"]

SHARED: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
_MOST_EXAMPLES: Final = 40
_LARGEST_EXAMPLE: Final = 4096


def modules() -> list[str]:
    """Return the modules that have lines and exist."""
    return [m for m in dict.fromkeys(line.module for line in LINES) if importlib.util.find_spec(f"voxarium.{m}")]


def lines_of(module: str) -> list[Line]:
    """Return the lines of a module."""
    return [line for line in LINES if line.module == module]


def _words(module: str) -> list[str]:
    """Return the texts that the source of a module, or of a package, contains."""
    spec = importlib.util.find_spec(f"voxarium.{module}")
    if spec is None or spec.origin is None:
        return []
    path = Path(spec.origin)
    found: dict[str, None] = {}
    for source in sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= 40:
                found[node.value] = None
    return list(found)[:256]


def _examples(line: Line) -> Iterator[bytes]:
    """Yield small files of the shared data."""
    if line.examples and SHARED.is_dir():
        count = 0
        for path in sorted(SHARED.rglob(line.examples)):
            if path.is_file() and path.stat().st_size <= _LARGEST_EXAMPLE and count < _MOST_EXAMPLES:
                count += 1
                yield path.read_bytes()


def _documents(line: Line) -> list[Any]:
    found = []
    for raw in _examples(line):
        try:
            found.append(json.loads(raw))
        except ValueError:
            continue
    return [f for f in found if isinstance(f, (dict, list))]


def _function(line: Line) -> Callable[..., object]:
    if line.function.startswith("calls:"):
        import calls

        return getattr(calls, line.function.removeprefix("calls:"))  # type: ignore[no-any-return]
    return getattr(importlib.import_module(f"voxarium.{line.module}"), line.function)  # type: ignore[no-any-return]


def target(module: str) -> Callable[[bytes], None]:
    """Return a function that throws bytes at a module; the first byte chooses one of its lines."""
    lines = lines_of(module)
    functions = [_function(line) for line in lines]
    structured = {"document", "json", "mapping"}
    documents = [_documents(line) if structured & set(line.takes.split()) else [] for line in lines]
    words = _words(module)

    def one(data: bytes) -> None:
        which = data[0] % len(lines) if data else 0
        reader = Reader(data[1:], words, documents[which])
        arguments: list[Any] = []
        for kind in lines[which].takes.split():
            made = KINDS[kind](reader)
            arguments.extend(made if isinstance(made, Several) else (made,))
        try:
            functions[which](*arguments)
        except VoxariumError:
            return

    return one


def seeds(module: str) -> Iterator[bytes]:
    """Yield inputs to begin with: examples from the shared data and from `calls.py`."""
    import calls

    for i, line in enumerate(lines_of(module)):
        head = bytes([i])
        for raw in _examples(line):
            # 0: the document as it is.
            yield head + (b"\0" if "document" in line.takes.split() else b"") + raw
        for raw in calls.examples(line.function.removeprefix("calls:")):
            yield head + raw


KERNELS = ["voxarium.spec.manifest.hashing", "voxarium.spec.manifest.ordering"]
"""Modules of compiled functions that are imported with what is fuzzed."""


def main(module: str) -> None:
    """Fuzz one module with the options of libFuzzer on the command line."""
    import atheris

    # Functions that numba compiles must stay as they are, so only the module itself is watched, and those it parses
    # with; kernels are imported later, at the first call, or stay out.
    watched = [f"voxarium.{module}", "voxarium.model", "voxarium.spec"]
    with atheris.instrument_imports(include=watched, exclude=KERNELS):
        importlib.import_module(f"voxarium.{module}")
    one = target(module)
    for seed in seeds(module):
        one(seed)  # compiles what is compiled; this takes seconds and would count as hanging
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
