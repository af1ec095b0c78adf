"""Checks of one format at a time, over trees in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import strategies as st

from voxarium.core.registry import array_drivers
from voxarium.errors import FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.checks import CheckDriver, CheckNode
from voxarium.model.image import ArrayInfo
from voxarium.model.keys import resolved_key
from voxarium.model.rules import Depth, Finding
from voxarium.stores.memory import MemoryStore

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
"""What a document may hold that nobody expects."""


def joined(path: str, name: str) -> str:
    return "/".join(part for part in (path, name) if part)


def array_at(store: Any, path: str) -> ArrayInfo | None:
    unreadable: Exception | None = None
    for driver in array_drivers():
        try:
            return driver.open(store, path)
        except NotFoundError:
            continue
        except (FormatError, UnsupportedError) as error:
            unreadable = error
    if unreadable is not None:
        raise unreadable
    return None


def document_at(store: Any, path: str, name: str) -> bytes | None:
    try:
        return store.get(resolved_key(path, name))
    except InputError:
        return None  # it leads out of the store


def node_of(store: Any, path: str, depth: Depth, told: Any = None) -> CheckNode:
    def refuse(*_: str) -> Any:
        raise AssertionError("only documents may be asked for at this depth")

    deep = depth != "document"
    return CheckNode(
        path=path,
        depth=depth,
        document=lambda name: document_at(store, path, name),
        array=(lambda name: array_at(store, joined(path, name))) if deep else refuse,
        names=(lambda name: store.list_dir(joined(path, name))) if deep else refuse,
        told=told,
    )


def walk(driver: CheckDriver, store: Any, depth: Depth) -> list[Finding]:
    """Check all folders that have one of the driver's documents, and what it names below; each once."""
    waiting: list[tuple[str, Any]] = [("", None)]
    done: set[str] = set()
    out: list[Finding] = []
    while waiting:
        path, told = waiting.pop(0)
        if path in done:
            continue
        _, folders = store.list_dir(path)
        waiting += [(joined(path, name), None) for name in folders]
        if told is None and not any(store.get(joined(path, name)) is not None for name in driver.documents):
            continue
        checked = driver.check(node_of(store, path, depth, told))
        if checked is None:
            continue
        done.add(path)
        known = {(f.rule, f.key, f.pointer, f.message) for f in out}
        out += [f for f in checked.findings if (f.rule, f.key, f.pointer, f.message) not in known]
        waiting[:0] = [(resolved_key(path, below.path), below.told) for below in checked.below]
    return out


Check = Callable[..., list[Finding]]


@pytest.fixture
def check() -> Check:
    """Return findings of a driver about a tree."""

    def run(driver: CheckDriver, objects: Mapping[str, bytes], depth: Depth = "hierarchy") -> list[Finding]:
        return walk(driver, MemoryStore(dict(objects)), depth)

    return run


@pytest.fixture
def check_store() -> Check:
    """Return findings of a driver about a store."""
    return walk
