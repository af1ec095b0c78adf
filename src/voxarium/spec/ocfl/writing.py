"""Inventories as text, piece by piece, and the other documents of objects and storage roots."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from voxarium.model.fields import dump_json

__all__ = [
    "DECLARATION", "DECLARATION_FILE", "INVENTORY_FILE", "LAYOUT", "ROOT_DECLARATION", "ROOT_DECLARATION_FILE", "Group",
    "VersionHead", "inventory_pieces", "layout_documents", "layout_path", "sidecar",
]  # fmt: skip

DECLARATION_FILE: Final = "0=ocfl_object_1.1"
DECLARATION: Final = b"ocfl_object_1.1\n"
ROOT_DECLARATION_FILE: Final = "0=ocfl_1.1"
ROOT_DECLARATION: Final = b"ocfl_1.1\n"
INVENTORY_FILE: Final = "inventory.json"
LAYOUT: Final = "0003-hash-and-id-n-tuple-storage-layout"
_TYPE: Final = "https://ocfl.io/1.1/spec/#inventory"
_TUPLE, _TUPLES = 3, 3
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]")
_LONGEST: Final = 100

Group = tuple[str, Iterable[str]]
"""A digest in hexadecimal, and paths of files that have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionHead:
    """What a version says of itself; `address` is a ``mailto:`` or an ORCID's address, or empty."""

    created: str
    message: str
    user: str
    address: str = ""


def inventory_pieces(
    identifier: str,
    algorithm: str,
    manifest: Iterable[Group],
    versions: Iterable[tuple[VersionHead, Iterable[Group]]],
    fixity: Iterable[tuple[str, Iterable[Group]]] = (),
) -> Iterator[bytes]:
    """Yield an inventory piece by piece: it may have millions of entries.

    Parameters
    ----------
    identifier : str
        Of the object.
    algorithm : str
        ``sha512`` or ``sha256``.
    manifest : iterable of (digest, content paths)
        Each digest once.
    versions : iterable of (VersionHead, iterable of (digest, logical paths))
        From the first on.
    fixity : iterable of (algorithm, iterable of (digest, content paths))
        Other digests.
    """
    yield _text('{\n"id": ', identifier, ',\n"type": ', _TYPE, ',\n"digestAlgorithm": ', algorithm, ',\n"manifest": {')
    yield from _groups(manifest)
    yield b'},\n"versions": {'
    count = 0
    for head, state in versions:
        count += 1
        user = {"name": head.user} | ({"address": head.address} if head.address else {})
        yield f"{',' if count > 1 else ''}\n".encode()
        yield _text("", f"v{count}", ': {"created": ', head.created, ', "message": ', head.message)
        yield f', "user": {json.dumps(user, ensure_ascii=False)}, "state": {{'.encode()
        yield from _groups(state)
        yield b"}}"
    yield _text('},\n"head": ', f"v{count}")
    written = 0
    for name, groups in fixity:
        yield _text(',\n"fixity": {\n' if not written else ",\n", name, ": {")
        written += 1
        yield from _groups(groups)
        yield b"}"
    yield b"}\n}\n" if written else b"\n}\n"


def _text(*parts: str) -> bytes:
    """Return text and JSON strings by turns."""
    return "".join(p if i % 2 == 0 else json.dumps(p, ensure_ascii=False) for i, p in enumerate(parts)).encode()


def _groups(groups: Iterable[Group]) -> Iterator[bytes]:
    waiting: list[str] = []
    between = "\n"
    for digest, paths in groups:
        waiting.append(f'{between}"{digest}": {json.dumps(list(paths), ensure_ascii=False)}')
        between = ",\n"
        if len(waiting) == 4096:
            yield "".join(waiting).encode()
            waiting = []
    yield "".join(waiting).encode()


def sidecar(digest: bytes) -> bytes:
    """Return what stands beside an inventory: its digest and its name."""
    return f"{digest.hex()} {INVENTORY_FILE}\n".encode()


def layout_path(identifier: str) -> str:
    """Return where an object lies in a storage root of the layout 0003 with its own defaults.

    Examples
    --------
    >>> layout_path("..hor/rib:le-$id")
    '487/326/d8c/%2e%2ehor%2frib%3ale-%24id'
    """
    digest = sha256(identifier.encode()).hexdigest()
    name = "".join(c if _PLAIN.fullmatch(c) else "".join(f"%{b:02x}" for b in c.encode()) for c in identifier)
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}-{digest}"
    return "/".join([digest[i * _TUPLE : (i + 1) * _TUPLE] for i in range(_TUPLES)] + [name])


def layout_documents() -> dict[str, bytes]:
    """Return the documents of a storage root of this layout by key, its declaration last."""
    config: dict[str, Any] = {  # Any: JSON
        "extensionName": LAYOUT,
        "digestAlgorithm": "sha256",
        "tupleSize": _TUPLE,
        "numberOfTuples": _TUPLES,
    }
    layout = {
        "extension": LAYOUT,
        "description": "by three parts of the digest of the identifier, then the identifier",
    }
    return {
        f"extensions/{LAYOUT}/config.json": dump_json(config),
        "ocfl_layout.json": dump_json(layout),
        ROOT_DECLARATION_FILE: ROOT_DECLARATION,
    }
