"""Drafts: what is to become of a release, one document for each state, each stored once and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.errors import InputError
from voxarium.model.canonical_json import MOST_INTEGER
from voxarium.model.fields import Fields, Problems
from voxarium.model.keys import checked_key
from voxarium.spec.release.checking import HASH, ID, NAME, begin, dumped, matched, optional, text, time_of
from voxarium.spec.release.model import FOLDER, PIECES, POOL, is_draft_name

__all__ = ["MOST_DRAFT", "DraftState", "Edit", "dump_draft", "parse_draft"]

MOST_DRAFT: Final = 64 << 20
"""Bytes of a state of a draft."""

_FORMAT: Final = "voxarium-draft"
_STATES: Final = ("open", "published", "discarded")
_MOST_SEQUENCE: Final = 999_999


@dataclass(frozen=True, slots=True)
class Edit:
    """What an object is instead: where, and how large; no location: it is absent."""

    location: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftState:
    """A draft at one moment.

    Parameters
    ----------
    name, sequence : str, int
        Of the draft; number of this state, from 1.
    draft : str
        32 hexadecimal digits, made up when the draft was created: the same name may be used again later.
    write_id : str
        The same for this state.
    base, base_document : str
        Name of the release that is edited, and SHA-256 of its document.
    state : str
        ``open``, ``published`` or ``discarded``. What is no longer open names nothing.
    release : str
        What it was published as; empty as long as it was not.
    time : str
        UTC with milliseconds.
    note : str
        What it is for.
    edits : mapping of str to Edit
        Objects by key that differ from those of the base.
    extra : mapping
        Whatever later versions put into a document.
    """

    name: str
    sequence: int
    draft: str
    write_id: str
    base: str
    base_document: str
    time: str
    state: str = "open"
    release: str = ""
    note: str = ""
    edits: Mapping[str, Edit] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    @property
    def is_open(self) -> bool:
        """Whether it can be edited."""
        return self.state == "open"


def dump_draft(state: DraftState) -> bytes:
    """Return the document of a state, to be stored as it is.

    Raises
    ------
    InputError
        If it would be too large.
    """
    return dumped(
        {
            **state.extra,
            "format": _FORMAT,
            "version": 1,
            "name": state.name,
            "sequence": state.sequence,
            "draft": state.draft,
            "write_id": state.write_id,
            "base": state.base,
            "base_document": state.base_document,
            "time": state.time,
            "state": state.state,
            "release": state.release or None,
            "note": state.note,
            "edits": {k: [e.location, e.size] if e.location else None for k, e in state.edits.items()},
        },
        MOST_DRAFT,
    )


def parse_draft(data: bytes, where: str) -> DraftState:
    """Parse the document of a state.

    Raises
    ------
    FormatError
        If it is none, or not in canonical form.
    """
    problems = Problems(where)
    found = begin(data, where, _FORMAT, problems, MOST_DRAFT)
    name = found.text("name")
    if not is_draft_name(name):
        found.wrong("name", "the name of a draft")
    state = DraftState(
        name=name,
        sequence=found.integer("sequence", 1, _MOST_SEQUENCE),
        draft=matched(found, "draft", ID),
        write_id=matched(found, "write_id", ID),
        base=matched(found, "base", NAME),
        base_document=matched(found, "base_document", HASH),
        time=time_of(found),
        state=found.choice("state", _STATES),
        release=optional(found, "release", NAME),
        note=text(found, "note"),
        edits=_edits(found, problems),
        extra=found.rest(),
    )
    if not state.is_open and state.edits:
        found.wrong("edits", "nothing once the draft is not open")
    problems.check("restore it from a copy, or discard the draft")
    return state


def _edits(found: Fields, problems: Problems) -> dict[str, Edit]:
    edits = {}
    for key, value in found.mapping("edits").items():
        edit = _edit(key, value)
        if edit is None:
            problems.add(f"edits[{key[:100]!r}] is neither null nor [location, bytes] for an object of the dataset")
            break
        edits[key] = edit
    return edits


def _edit(key: str, value: Any) -> Edit | None:  # Any: JSON
    try:
        if checked_key(key) != key or key.startswith(f"{FOLDER}/"):
            return None
    except InputError:
        return None
    if value is None:
        return Edit("")
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        return None
    folder, _, digest = value[0].rpartition("/")
    size = value[1]
    good = folder in (POOL, PIECES) and HASH.fullmatch(digest) and type(size) is int and 0 <= size <= MOST_INTEGER
    return Edit(value[0], size) if good else None
