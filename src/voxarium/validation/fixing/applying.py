"""Making repairs, and undoing them. The file that undoes them is stored before anything is changed."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

from voxarium.codecs.brotli import Brotli
from voxarium.codecs.deflate import Gzip
from voxarium.codecs.zstd import Zstd
from voxarium.errors import Code, ConflictError, FormatError, NotFoundError
from voxarium.model.codec import BytesBytesCodec
from voxarium.model.keys import checked_key
from voxarium.model.protocols import WritableStore
from voxarium.validation.fixing.planning import Repair, RepairPlan

__all__ = ["FOLDER", "apply_repairs", "undo_repairs"]

FOLDER: Final = ".voxarium-fix"
_FORMAT: Final = "voxarium-undo"
_MOST_UNDOS: Final = 10_000
_LARGEST_OBJECT: Final = 1 << 30  # bytes of an object after unpacking


def apply_repairs(store: WritableStore, plan: RepairPlan) -> str:
    """Make all repairs of a plan; return the key of the file that undoes them, empty if there was nothing to do.

    Documents appear whole or not at all. A process that dies half way leaves a tree that `undo_repairs` brings back.

    Raises
    ------
    ConflictError
        If a document is no longer what the plan was made for; nothing is changed then.
    """
    if not plan.repairs:
        return ""
    for repair in plan.repairs:
        if not repair.to and store.get(repair.key) != repair.before:
            raise _changed(repair.key, "validate again, and repair what is found then")
        if repair.unpack:
            _unpacked(repair.key, store.get(repair.key) or b"")  # damaged ones stop it before anything is changed
    number, key = _reserve(store, [_undo_action(r) for r in plan.repairs])
    for repair in plan.repairs:
        if repair.to:
            _rename(store, repair, f"{FOLDER}/{number:04}/{repair.key}")
        elif repair.after is not None:
            store.put(repair.key, repair.after)
    return key


def undo_repairs(store: WritableStore, key: str) -> int:
    """Bring back everything as it was before the repairs that a file belongs to; return how many objects.

    Raises
    ------
    NotFoundError
        If there is no such file.
    FormatError
        If it is none.
    ConflictError
        If something was changed after the repair; nothing is changed then.
    """
    raw = store.get(key)
    if raw is None:
        raise NotFoundError(f"no {key} here", code=Code.PATH_MISSING, fix=f"name a file in {FOLDER}/")
    actions = _parsed(raw, key)
    folder = key.rpartition("/")[2].removeprefix("undo-").removesuffix(".json")
    for action in actions:
        if not action.get("to"):
            now = store.get(action["key"])
            if _digest(now) not in (action["became"], _digest(_was(action))):
                raise _changed(action["key"], "bring it back by hand: the file has its former content")
    for action in reversed(actions):
        if action.get("to"):
            _rename_back(store, action, f"{FOLDER}/{folder}/{action['key']}")
        elif (was := _was(action)) is None:
            store.delete(action["key"])
        else:
            store.put(action["key"], was)
    store.delete(key)
    return len(actions)


def _changed(key: str, fix: str) -> ConflictError:
    return ConflictError(f"{key} was changed meanwhile", code=Code.PLAN_CHANGED, fix=fix)


# -- the file
def _reserve(store: WritableStore, actions: list[dict[str, Any]]) -> tuple[int, str]:
    content = json.dumps({"format": _FORMAT, "version": 1, "actions": actions}, indent=1).encode() + b"\n"
    for number in range(1, _MOST_UNDOS):
        key = f"{FOLDER}/undo-{number:04}.json"
        if store.put_if_absent(key, content):
            return number, key
    raise ConflictError(f"{FOLDER} is full", code=Code.TARGET_EXISTS, fix="remove the undo files that nobody will need")


def _undo_action(repair: Repair) -> dict[str, Any]:
    if repair.to:
        return {"key": repair.key, "to": repair.to, "unpack": repair.unpack}
    was = None if repair.before is None else base64.b64encode(repair.before).decode()
    return {"key": repair.key, "was": was, "became": _digest(repair.after)}


def _digest(raw: bytes | None) -> str | None:
    return None if raw is None else hashlib.sha256(raw).hexdigest()


def _was(action: dict[str, Any]) -> bytes | None:
    return None if action["was"] is None else base64.b64decode(action["was"])


def _parsed(raw: bytes, key: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(raw)
        if document["format"] != _FORMAT or document["version"] != 1:
            raise ValueError(document["format"])
        actions: list[dict[str, Any]] = document["actions"]
        for action in actions:
            checked_key(action["key"])
            if action.get("to"):
                checked_key(action["to"])
            else:
                _was(action)
                str(action["became"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(
            f"{key} is no file that undoes repairs: {error}", code=Code.METADATA_INVALID, fix="name another one"
        ) from error
    return actions


# -- names
def _rename(store: WritableStore, repair: Repair, kept: str) -> None:
    """Give an object its right name; the packed original of an unpacked one is kept for undoing."""
    raw = store.get(repair.key)
    if raw is None:
        raise _changed(repair.key, "validate again, and repair what is found then")
    store.put(repair.to, _unpacked(repair.key, raw) if repair.unpack else raw)
    if repair.unpack:
        store.put(kept, raw)
    store.delete(repair.key)


def _rename_back(store: WritableStore, action: dict[str, Any], kept: str) -> None:
    raw = store.get(kept if action["unpack"] else action["to"])
    if raw is not None:  # else this one had not been made
        store.put(action["key"], raw)
        if action["unpack"]:
            store.delete(kept)
    if store.stat(action["key"]) is not None:
        store.delete(action["to"])


def _unpacked(key: str, raw: bytes) -> bytes:
    """Return what a packed object holds.

    Raises
    ------
    FormatError
        If it is damaged, or larger than a chunk can be.
    """
    codec = _CODECS[key.rpartition(".")[2]]
    return bytes(codec.decode(raw, (0, _LARGEST_OBJECT)))


_CODECS: Final[dict[str, BytesBytesCodec]] = {"gz": Gzip(5), "zst": Zstd(0), "br": Brotli()}
