"""Small changes of stored documents and objects: what a repair does, and what makes a good example bad."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxarium.errors import Code, FormatError, InputError

__all__ = ["REMOVED", "Edit", "apply_edit", "apply_edits", "edited_document", "parse_edit", "pointer_parts"]

REMOVED: Final = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change of one object.

    Parameters
    ----------
    key : str
        Which object.
    action : str
        ``set`` (a value at `pointer` of a JSON document, made with what is missing above it; at an empty pointer the
        whole object), ``remove`` (that value, or the object), ``move`` and ``copy`` (the object, to the key `value`),
        ``truncate`` (to `value` bytes), ``flip`` (the lowest bit of byte `value`; from the end if negative).
    pointer : str
        JSON pointer (RFC 6901) into the document.
    value : JSON
        See `action`.
    """

    key: str
    action: str = "set"
    pointer: str = ""
    value: Any = None  # Any: JSON

    def __str__(self) -> str:
        place = f"{self.key}#{self.pointer}" if self.pointer else self.key
        if self.action == "set":
            return f"{place} = {json.dumps(self.value, ensure_ascii=False)}"
        return f"{place} {self.action}" + ("" if self.value is None else f" {self.value}")


_ACTIONS: Final = ("remove", "move", "copy", "truncate", "flip")


def parse_edit(text: str) -> Edit:
    """Return the edit that a line says: ``KEY#POINTER = JSON``, ``KEY#POINTER remove`` or ``KEY ACTION VALUE``.

    An object as a whole is replaced by a JSON document with ``KEY = JSON``, by other bytes with ``KEY = "text"``.

    Examples
    --------
    >>> str(parse_edit('zarr.json#/shape = [3, 4]')), str(parse_edit("c/0 truncate 5")), str(parse_edit("c/0 remove"))
    ('zarr.json#/shape = [3, 4]', 'c/0 truncate 5', 'c/0 remove')
    """
    place, _, rest = text.strip().partition(" ")
    key, _, pointer = place.partition("#")
    word, _, value = rest.strip().partition(" ")
    if word == "=":
        return Edit(key=key, pointer=pointer, value=json.loads(value))
    if word not in _ACTIONS:
        raise InputError(f"no edit: {text!r}", code=Code.ARGUMENT_INVALID, fix=f"use = or one of {_ACTIONS}")
    number = word in ("truncate", "flip")
    return Edit(key=key, pointer=pointer, action=word, value=int(value) if number else value or None)


def pointer_parts(pointer: str) -> list[str]:
    """Return the keys a JSON pointer names, outermost first.

    Examples
    --------
    >>> pointer_parts("/a~1b/0")
    ['a/b', '0']
    """
    return [p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:]]


def edited_document(document: Any, edit: Edit) -> Any:  # Any: JSON
    """Return a JSON value with one place set or removed; the value itself stays as it is.

    Raises
    ------
    FormatError
        If the place does not exist and cannot be made.
    """
    return _edited(document, pointer_parts(edit.pointer), edit)


def _edited(value: Any, parts: list[str], edit: Edit) -> Any:
    if not parts:
        return edit.value
    head, rest = parts[0], parts[1:]
    if isinstance(value, list):
        at = len(value) if head == "-" else int(head) if head.isdigit() else -1
        if not 0 <= at < len(value) + (edit.action == "set" and not rest):
            raise _nowhere(edit)
        if not rest and edit.action == REMOVED:
            return value[:at] + value[at + 1 :]
        return [*value[:at], _edited(value[at] if at < len(value) else None, rest, edit), *value[at + 1 :]]
    if not isinstance(value, dict | None):
        raise _nowhere(edit)
    members = dict(value or {})
    if not rest and edit.action == REMOVED:
        if head not in members:
            raise _nowhere(edit)
        del members[head]
        return members
    return {**members, head: _edited(members.get(head), rest, edit)}


def _nowhere(edit: Edit) -> FormatError:
    return FormatError(
        f"{edit.key} has no place {edit.pointer!r}",
        code=Code.METADATA_INVALID,
        fix="correct the document by hand",
    )


def apply_edit(objects: dict[str, bytes], edit: Edit) -> None:
    """Change objects in place.

    Raises
    ------
    FormatError
        If the object is not there, or is no JSON document with such a place.
    """
    if edit.action == "set" and not edit.pointer:
        value = edit.value
        objects[edit.key] = value.encode() if isinstance(value, str) else _dumped(value)
        return
    if edit.key not in objects:
        raise _nowhere(edit)
    if edit.pointer:
        objects[edit.key] = _dumped(edited_document(json.loads(objects[edit.key]), edit))
        return
    _BYTES[edit.action](objects, edit.key, edit.value)


def apply_edits(objects: Mapping[str, bytes], edits: tuple[Edit, ...]) -> dict[str, bytes]:
    """Return objects after changes, one after the other."""
    out = dict(objects)
    for edit in edits:
        apply_edit(out, edit)
    return out


def _dumped(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def _flip(objects: dict[str, bytes], key: str, at: int) -> None:
    changed = bytearray(objects[key])
    changed[at] ^= 1
    objects[key] = bytes(changed)


def _copy(objects: dict[str, bytes], key: str, to: str) -> None:
    objects[to] = objects[key]


def _truncate(objects: dict[str, bytes], key: str, size: int) -> None:
    objects[key] = objects[key][:size]


def _move(objects: dict[str, bytes], key: str, to: str) -> None:
    objects[to] = objects.pop(key)


def _remove(objects: dict[str, bytes], key: str, _value: None) -> None:
    del objects[key]


_BYTES: Final[Mapping[str, Callable[[dict[str, bytes], str, Any], None]]] = {
    "remove": _remove, "move": _move, "copy": _copy, "truncate": _truncate, "flip": _flip,
}  # fmt: skip
