"""States of viewers as text: what of this server they show, and no token in them that is another visitor's."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from voxarium.serve.addresses import key_of
from voxarium.serve.secret_text import without_tokens
from voxarium.serve.webknossos_datasets import address_of

__all__ = ["places_in", "portable", "prefixed"]

_TOKEN: Final = re.compile(r"/t/vx_[a-z0-9]{12}_[A-Za-z0-9_-]{43}(?=/)", re.ASCII)
_PLACE: Final = re.compile(
    r"(?:/(?:raw|as/[^/\s]+|view|thumbnail|cutout|value|histogram|tile)/|[?&]image=)([^\s|#?&\"'<>]+)", re.ASCII
)
_DATASET: Final = re.compile(r"(?:/zarr/|/datasets/)(?:[^/\s]*-)?((?:[0-9a-f]{2})+)(?=/|$|[\s|#?])", re.ASCII)
_UNKNOWN: Final = "*"  # an address that cannot be understood: only for those who see everything


def portable(text: str) -> str:
    """Return the JSON of a state without tokens: each visitor's own is put in when it is read."""
    return without_tokens(_TOKEN.sub("", text))


def prefixed(text: str, base: str, prefix: str) -> str:
    """Return a state for a visitor all of whose paths begin with `prefix`."""
    if not prefix:
        return text
    return re.sub(re.escape(base) + r"(?=/(?:raw|as|s|v|view|data)/)", lambda _: base + prefix, text)


def places_in(text: str, roots: Collection[str]) -> frozenset[str]:
    """Return the addresses of images and files of these roots that a state names, on whatever server."""
    return frozenset(place for found in _strings(json.loads(text)) for place in _places(found, roots))


def _strings(node: Any) -> Iterator[str]:  # Any: JSON
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            waiting.extend(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _places(text: str, roots: Collection[str]) -> Iterator[str]:
    if "/" not in text:
        return
    for match in _PLACE.finditer(text):
        address = key_of(match[1].strip("/").encode("utf-8", "replace"), hidden=True)
        if address is None:
            yield _UNKNOWN
        elif re.split(r"/|::", address, maxsplit=1)[0] in roots:
            yield address
    for match in _DATASET.finditer(text):
        address = address_of(match[1])
        if address is not None and re.split(r"/|::", address, maxsplit=1)[0] in roots:
            yield address
