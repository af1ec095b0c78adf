"""Turns the bytes of a fuzzer into what functions take: documents, mappings, files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = ["KINDS", "Reader", "Several"]

_NUMBERS: Final = (0, 1, -1, 2, 3, 7, 64, 255, 2**16, 2**31, 2**32, 2**53 + 1, 2**62, 2**63, 2**64, -(2**63), 10**30)
_FLOATS: Final = (0.0, -0.0, 1.5, -2.5, 1e-320, 1e308, 1e16, float("inf"), float("nan"))
_TEXTS: Final = (
    "",
    "/",
    "..",
    "../a",
    "a/b",
    "\0",
    "é",
    "x",
    "y",
    "z",
    "µm",
    "nanometer",
    "<u8",
    "|O",
    "0",
    "-1",
    "1e9",
)
_DEEPEST: Final = 4


class Several(tuple):  # type: ignore[type-arg]
    """Arguments that come together."""


class Reader:
    """Takes choices from bytes; when they are used up, every choice is the first."""

    def __init__(self, data: bytes, words: Sequence[str] = (), examples: Sequence[Any] = ()) -> None:
        self._data = data
        self._at = 0
        self._words = tuple(words) or ("a",)
        self._examples = tuple(examples)

    def number(self, below: int) -> int:
        """Return a number from 0."""
        size = 1 if below <= 256 else 2
        part = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(part, "little") % below

    def choice(self, values: Sequence[Any]) -> Any:
        """Return one of some values."""
        return values[self.number(len(values))]

    def rest(self) -> bytes:
        """Return what is left."""
        part, self._at = self._data[self._at :], len(self._data)
        return part

    def word(self) -> str:
        """Return a text: most often one that the module knows."""
        return str(self.choice(self._words if self.number(8) else _TEXTS))

    def value(self, depth: int = 0) -> Any:
        """Return any JSON value."""
        kind = self.number(9 if depth < _DEEPEST else 6)
        if kind == 0:
            return self.choice((None, True, False))
        if kind in (1, 2):
            return self.choice(_NUMBERS) if self.number(3) else self.number(1 << 16)
        if kind == 3:
            return self.choice(_FLOATS)
        if kind in (4, 5):
            return self.word()
        if kind in (6, 7):
            same = self.value(depth + 1)
            return [same if self.number(2) else self.value(depth + 1) for _ in range(self.number(5))]
        return self.mapping(depth + 1)

    def mapping(self, depth: int = 0) -> dict[str, Any]:
        """Return a JSON object with names that the module knows."""
        return {self.word(): self.value(depth) for _ in range(self.number(8))}

    def json(self) -> Any:
        """Return an example with a few things wrong, or any value."""
        if not self._examples or not self.number(4):
            return self.value()
        document = copy.deepcopy(self.choice(self._examples))
        for _ in range(self.number(4)):
            self._spoil(document)
        return document

    def _spoil(self, node: Any) -> None:
        """Change one thing somewhere inside a list or object."""
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = self.choice(keys)
            if isinstance(node[key], (dict, list)) and self.number(4):
                node = node[key]
                continue
            if self.number(3):
                node[key] = self.value(2)
            else:
                del node[key]
            return
        if isinstance(node, dict):
            node[self.word()] = self.value(2)
        else:
            node.append(self.value(2))


def _mapping(reader: Reader) -> dict[str, Any]:
    found = reader.json()
    return found if isinstance(found, dict) else reader.mapping()


def _document(reader: Reader) -> bytes:
    if not reader.number(4):
        return reader.rest()
    return json.dumps(reader.json()).encode()


def _file(reader: Reader) -> Several:
    data = reader.rest()
    return Several((lambda start, length: data[start : start + length] if start >= 0 else b"", len(data)))


KINDS: Final[dict[str, Callable[[Reader], Any]]] = {
    "bytes": Reader.rest,
    "text": lambda reader: reader.rest().decode("utf-8", "replace"),
    "document": _document,
    "json": Reader.json,
    "mapping": _mapping,
    "levels": lambda reader: {f"s{i}": _mapping(reader) for i in range(reader.number(4))},
    "file": _file,
    "ndim": lambda reader: reader.number(7),
    "path": Reader.word,
    "where": lambda _: "somewhere",
}
