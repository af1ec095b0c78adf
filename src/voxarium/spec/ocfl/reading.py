"""Inventories that others wrote: everything is checked, and what is wrong is named by the specification's codes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.errors import Code, FormatError
from voxarium.spec.ocfl.parts import DIGITS, broken, is_time, path_fault
from voxarium.spec.ocfl.writing import INVENTORY_FILE

__all__ = ["MOST_INVENTORY", "Inventory", "Remark", "examine_inventory", "parse_inventory"]

MOST_INVENTORY: Final = 512 << 20
_FIXITY_DIGITS: Final = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
_NAME: Final = re.compile(r"v(0*)([1-9][0-9]{0,8})")
_TYPE: Final = re.compile(r"https://ocfl\.io/(1\.[01])/spec/#inventory")
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_MOST_REMARKS: Final = 1000
Json = Mapping[str, Any]  # Any: JSON as found
State = dict[str, str]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is wrong (its code begins with E), or might be better (W)."""

    code: str
    text: str

    @property
    def wrong(self) -> bool:
        """Whether the specification forbids it."""
        return self.code.startswith("E")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What an inventory says.

    Parameters
    ----------
    identifier, spec_version, algorithm, head, content : str
        Of the object; 1.0 or 1.1; sha512 or sha256; the last version; name of the folders of content.
    versions : tuple of str
        Names, from the first on.
    manifest : dict of str to str
        Digest, in small letters, by content path.
    states : tuple of dict of str to str
        For each version, digest by logical path.
    fixity : dict of str to (dict of str to str)
        For each other algorithm, digest by content path.
    facts : tuple of dict
        For each version, ``created``, ``message`` and ``user`` as they stand.
    """

    identifier: str
    spec_version: str
    algorithm: str
    head: str
    content: str
    versions: tuple[str, ...]
    manifest: State
    states: tuple[State, ...]
    fixity: dict[str, State]
    facts: tuple[Json, ...]


def parse_inventory(data: bytes, where: str = INVENTORY_FILE) -> Inventory:
    """Return what an inventory says.

    Raises
    ------
    FormatError
        If it breaks the specification.
    """
    inventory, remarks = examine_inventory(data, where)
    wrong = [f"{r.text} ({r.code})" for r in remarks if r.wrong]
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise broken(where, f"breaks the specification: {'; '.join(wrong[:5])}{more}")
    return inventory


def examine_inventory(data: bytes, where: str = INVENTORY_FILE) -> tuple[Inventory, tuple[Remark, ...]]:
    """Return what an inventory says, as far as it can be understood, and everything that is wrong with it.

    Raises
    ------
    FormatError
        If it is no JSON object, or too large.
    """
    if len(data) > MOST_INVENTORY:
        raise FormatError(
            f"{where} has {len(data):,} bytes, which is implausible",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="get the object from its source again",
        )
    try:
        body = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise broken(where, f"is not JSON (E033): {error}") from error
    if not isinstance(body, dict):
        raise broken(where, "is no JSON object (E033)")
    reader = _Reader(body)
    return reader.read(), tuple(reader.remarks)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return found


@dataclass(slots=True)
class _Reader:
    """Reads one inventory, noting what is wrong."""

    body: Json
    remarks: list[Remark] = field(default_factory=list)

    def note(self, code: str, text: str) -> None:
        if len(self.remarks) < _MOST_REMARKS:
            self.remarks.append(Remark(code, text))

    def read(self) -> Inventory:
        identifier, kind, algorithm = (self._text(n) for n in ("id", "type", "digestAlgorithm"))
        if identifier and ":" not in identifier:
            self.note("W005", f"id {identifier[:60]!r} is no URI")
        stated = _TYPE.fullmatch(kind)
        if kind and stated is None:
            self.note("E038", f"type is {kind[:80]!r}, which is no known version of the specification")
        if algorithm and algorithm not in DIGITS:
            self.note("E025", f"digestAlgorithm is {algorithm[:40]!r}, not sha512 or sha256")
        elif algorithm == "sha256":
            self.note("W004", "sha512 should be used instead of sha256")
        content = self._content_directory()
        versions = self._version_names()
        head = self._text("head")
        if head and versions and head != versions[-1]:
            self.note("E040", f"head is {head[:40]!r}, not the last version {versions[-1]}")
        digits = DIGITS.get(algorithm, 0)
        manifest = self._manifest(versions, content, digits)
        blocks = self._object("versions", "E044")
        known = set(manifest.values())
        states = tuple(self._version(name, blocks.get(name), digits, known) for name in versions)
        self._compare(manifest, versions, states)
        return Inventory(
            identifier=identifier,
            spec_version=stated[1] if stated else "",
            algorithm=algorithm if algorithm in DIGITS else "",
            head=head,
            content=content,
            versions=tuple(versions),
            manifest=manifest,
            states=states,
            fixity=self._fixity(manifest),
            facts=tuple(_facts(blocks.get(name)) for name in versions),
        )

    # ----------------------------------------------------------------------------------------------------------- facts
    def _text(self, key: str) -> str:
        value = self.body.get(key)
        if isinstance(value, str) and value:
            return value
        code = {"id": "E037", "type": "E038", "digestAlgorithm": "E025", "head": "E040"}[key]
        self.note("E036" if value is None else code, f"{key} is {'missing' if value is None else 'no text'}")
        return ""

    def _object(self, key: str, code: str) -> Json:
        value = self.body.get(key)
        if isinstance(value, dict):
            return value
        self.note("E041" if value is None else code, f"{key} is {'missing' if value is None else 'no object'}")
        return {}

    def _content_directory(self) -> str:
        value = self.body.get("contentDirectory", "content")
        if not isinstance(value, str) or "/" in value or not value:
            self.note("E017", "contentDirectory is not the name of a folder")
            return "content"
        if path_fault(value):
            self.note("E018", f"contentDirectory is {value[:40]!r}")
            return "content"
        return value

    def _version_names(self) -> list[str]:
        """Return the names of versions in order; they are v1, v2 … or all have as many digits."""
        blocks = self.body.get("versions")
        if not isinstance(blocks, dict):
            return []
        named: dict[int, str] = {}
        for name in blocks:
            found = _NAME.fullmatch(name)
            if found is None:
                self.note("E046", f"{name[:40]!r} is no name of a version")
            elif int(found[2]) in named:
                self.note("E010", f"{name} and {named[int(found[2])]} are the same version")
            else:
                named[int(found[2])] = name
        if not named:
            self.note("E008", "there is no version")
            return []
        if sorted(named) != list(range(1, len(named) + 1)):
            self.note("E010" if 1 in named else "E009", "versions are not numbered from 1 on without gaps")
        names = [named[n] for n in sorted(named)]
        if any(name.startswith("v0") for name in names):
            self.note("W001", "numbers of versions should not begin with zeros")
            if len({len(name) for name in names}) > 1 or not all(name.startswith("v0") for name in names):
                self.note("E012", "numbers of versions differ in their number of digits")
        return names

    # --------------------------------------------------------------------------------------------------------- digests
    def _digest(self, text: str, digits: int, where: str, code: str) -> str:
        if digits and (len(text) != digits or _HEX.fullmatch(text) is None):
            self.note(code, f"{where} has {text[:40]!r}, which is no digest of this kind")
        return text.lower()

    def _paths(self, value: Any, where: str, code: str) -> Sequence[str]:  # Any: JSON
        if isinstance(value, list) and all(isinstance(p, str) for p in value):
            return value
        self.note(code, f"{where} has something that is no list of paths")
        return ()

    def _manifest(self, versions: list[str], content: str, digits: int) -> State:
        found: State = {}
        seen: set[str] = set()
        starts = tuple(f"{v}/{content}/" for v in versions)
        for text, value in self._object("manifest", "E041").items():
            digest = self._digest(text, digits, "the manifest", "E025")
            if digest in seen:
                self.note("E096", f"the manifest has {text[:40]} twice, in other letters")
            seen.add(digest)
            for path in self._paths(value, "the manifest", "E091"):
                fault = path_fault(path)
                if fault:
                    self.note("E100" if "slash" in fault else "E099", f"the content path {path[:100]!r} {fault}")
                    continue
                if not path.startswith(starts):
                    self.note("E042", f"the content path {path[:100]!r} is not in the {content} of a version")
                if path in found:
                    self.note("E101", f"the content path {path[:100]!r} comes twice")
                found[path] = digest
        self._conflicts(found, "content", "E101")
        return found

    def _conflicts(self, paths: State, what: str, code: str) -> None:
        """Note paths that are a file and a folder."""
        for path in paths:
            above = path.rpartition("/")[0]
            while above:
                if above in paths:
                    self.note(code, f"the {what} path {above[:100]!r} is a file and a folder")
                    break
                above = above.rpartition("/")[0]

    def _version(self, name: str, block: Any, digits: int, known: set[str]) -> State:  # Any: JSON
        if not isinstance(block, dict):
            self.note("E047", f"{name} is no object")
            return {}
        self._check_facts(name, block)
        state = block.get("state")
        if not isinstance(state, dict):
            self.note("E048" if state is None else "E050", f"{name} has no state")
            return {}
        listed = self._object("manifest", "E041") if known else {}
        found: State = {}
        for text, value in state.items():
            digest = self._digest(text, digits, f"the state of {name}", "E050")
            if text not in listed and digest in known:
                self.note("E050", f"{name} writes {text[:40]} in other letters than the manifest")
            for path in self._paths(value, f"the state of {name}", "E050"):
                fault = path_fault(path)
                if fault:
                    self.note("E052" if "slash" in fault else "E053", f"{name}: the path {path[:100]!r} {fault}")
                    continue
                if path in found:
                    self.note("E095", f"{name}: the path {path[:100]!r} comes twice")
                found[path] = digest
        self._conflicts(found, f"{name} logical", "E095")
        return found

    def _check_facts(self, name: str, block: Json) -> None:
        created, user, message = (block.get(n) for n in ("created", "user", "message"))
        if created is None:
            self.note("E048", f"{name} does not say when it was created")
        elif not is_time(created):
            self.note("E049", f"{name} was created at {str(created)[:40]!r}, which is no time with its zone")
        if message is not None and not isinstance(message, str):
            self.note("E094", f"the message of {name} is no text")
        if message is None or user is None:
            self.note("W007", f"{name} should have a message and a user")
        if user is None:
            return
        if not isinstance(user, dict) or not isinstance(user.get("name"), str) or not user["name"]:
            self.note("E054", f"the user of {name} has no name")
        elif "address" not in user:
            self.note("W008", f"the user of {name} should have an address")
        elif not isinstance(user["address"], str):
            self.note("E054", f"the address of the user of {name} is no text")
        elif ":" not in user["address"]:
            self.note("W009", f"the address of the user of {name} should be a URI")

    def _compare(self, manifest: State, versions: list[str], states: tuple[State, ...]) -> None:
        known, used = set(manifest.values()), set[str]()
        for name, state in zip(versions, states, strict=True):
            digests = set(state.values())
            used |= digests
            for digest in sorted(digests - known):
                self.note("E050", f"{name} names the digest {digest[:40]}, which the manifest does not have")
        for digest in sorted(known - used):
            self.note("E107", f"no version has the digest {digest[:40]} of the manifest")

    def _fixity(self, manifest: State) -> dict[str, State]:
        value = self.body.get("fixity", {})
        if not isinstance(value, dict):
            self.note("E111", "fixity is no object")
            return {}
        found: dict[str, State] = {}
        for algorithm, block in value.items():
            if not isinstance(block, dict):
                self.note("E057", f"fixity of {algorithm[:40]!r} is no object")
                continue
            digits = _FIXITY_DIGITS.get(algorithm, 0)
            seen: set[str] = set()
            mine: State = {}
            for text, paths in block.items():
                digest = self._digest(text, digits, f"fixity of {algorithm[:40]!r}", "E057")
                if digest in seen:
                    self.note("E097", f"fixity has {text[:40]} twice, in other letters")
                seen.add(digest)
                for path in self._paths(paths, "fixity", "E057"):
                    if path not in manifest:
                        self.note("E057", f"fixity names {path[:100]!r}, which the manifest does not have")
                    mine[path] = digest
            found[algorithm] = mine
        return found


def _facts(block: Any) -> Json:  # Any: JSON
    return {k: block.get(k) for k in ("created", "message", "user")} if isinstance(block, dict) else {}
