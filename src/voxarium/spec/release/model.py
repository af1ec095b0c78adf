"""What releases and tombstones hold, and where in a dataset everything about them lies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any, Final

from voxarium.errors import Code, InputError

__all__ = [
    "DATASET_KEY", "DRAFTS", "FOLDER", "PIECES", "POOL", "STATES", "LogState", "ManifestReference", "Pin",
    "PolicyResult", "Release", "Tombstone", "check_draft_name", "check_name", "draft_key", "entry_id",
    "is_composed", "is_draft_name", "is_name", "manifest_key", "may_change", "pieces_key", "pool_key",
    "release_key", "tombstone_key",
]  # fmt: skip

FOLDER: Final = "releases"
"""Folder of the dataset that holds everything about releases."""

POOL: Final = f"{FOLDER}/objects"
"""Folder of copies of documents that may change after a release: each under its SHA-256."""

PIECES: Final = f"{FOLDER}/pieces"
"""Folder of lists of pieces: what a location in here stands for is put together as the list says."""

DRAFTS: Final = f"{FOLDER}/drafts"
"""Folder of drafts: a folder for each, with a document for each of its states."""

STATES: Final = ("passed", "advised", "accepted", "failed", "off")
"""What may become of a check of the policy; nothing with a failed one is published."""

DATASET_KEY: Final = "dataset.json"
"""The description of the dataset."""

_LISTS: Final = "labels"  # folders whose own documents only list what is in them
_DOCUMENTS: Final = (".json", ".zattrs", ".zgroup", ".zmetadata", ".md", ".txt", ".cff", "LICENSE", "README", ".png",
                     ".jpg", ".webp")  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_DRAFT: Final = re.compile(r"draft(?:[._+-][A-Za-z0-9._+-]{0,90})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestReference:
    """Which manifest: its roots (hexadecimal; BLAKE3's may be empty), and how much it lists."""

    sha256: str
    blake3: str = ""
    objects: int
    nbytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A part of the dataset that has a version of its own.

    Parameters
    ----------
    kind : str
        ``label-map``, ``graph``, ``annotations`` or another word.
    key : str
        Its folder or object.
    version : str
        Its version, as its makers count.
    sha256 : str
        Root of the manifest of nothing but this part, hexadecimal.
    """

    kind: str
    key: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LogState:
    """How far the provenance log was before: its id, number of entries, and their root (hexadecimal)."""

    log: str
    size: int
    root: str


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What became of a check: its name, one of `STATES`, what was found, and why it was accepted all the same."""

    check: str
    state: str
    detail: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A published version.

    Parameters
    ----------
    name, sequence : str, int
        Its name, used once, and its number from 1.
    parent : str
        SHA-256 of the document of the release before; empty for the first.
    time : str
        UTC with milliseconds.
    write_id : str
        32 hexadecimal digits made up for this attempt to publish: tells a writer that got no answer what is its own.
    manifest : ManifestReference
        All objects.
    dataset : str
        SHA-256 of ``dataset.json``; empty when there is none.
    license : str
        As the dataset states it: an SPDX identifier or an address.
    doi, concept_doi : str
        Identifiers of this version and of all versions together; empty as long as there are none.
    pins : tuple of Pin
        Parts with versions of their own.
    software : mapping of str to str
        Versions of what made the release.
    log : LogState or None
        The provenance log as it was before.
    policy : tuple of PolicyResult
        What was checked.
    note : str
        For readers.
    omits : tuple of str
        Keys of what lies in the dataset, and belongs neither to this release nor to the next.
    extra : mapping
        Whatever later versions put into a document.
    """

    name: str
    sequence: int
    parent: str = ""
    time: str
    write_id: str
    manifest: ManifestReference
    dataset: str = ""
    license: str = ""
    doi: str = ""
    concept_doi: str = ""
    pins: tuple[Pin, ...] = ()
    software: Mapping[str, str] = field(default_factory=dict)
    log: LogState | None = None
    policy: tuple[PolicyResult, ...] = ()
    note: str = ""
    omits: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    def same_content(self, other: Release) -> bool:
        """Tell whether another attempt to publish would say the same."""
        apart = ("sequence", "parent", "time", "write_id", "software", "log", "policy", "extra")
        return all(getattr(self, f.name) == getattr(other, f.name) for f in fields(self) if f.name not in apart)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """Says that a release was withdrawn, and why.

    Parameters
    ----------
    name, sequence, document : str, int, str
        Which release; SHA-256 of its document.
    reason : str
        Why; stays for ever, so it should name no person.
    time, write_id : str
        As in a release.
    """

    name: str
    sequence: int
    document: str
    reason: str
    time: str
    write_id: str


# ---------------------------------------------------------------------------------------------------------------- keys
def release_key(sequence: int) -> str:
    """Return the key of a release document.

    Examples
    --------
    >>> release_key(1)
    'releases/000001.json'
    """
    return f"{FOLDER}/{sequence:06d}.json"


def tombstone_key(sequence: int) -> str:
    """Return the key of the tombstone of a release."""
    return f"{FOLDER}/tombstones/{sequence:06d}.json"


def manifest_key(root: str) -> str:
    """Return the key of the manifest with a root."""
    return f"{FOLDER}/manifests/{root}.parquet"


def pool_key(digest: str) -> str:
    """Return the key of the copy of a document."""
    return f"{POOL}/{digest}"


def may_change(key: str, *, in_dataset: bool) -> bool:
    """Tell whether later releases may have another object at this key: descriptions of the dataset, and mere lists.

    Parameters
    ----------
    in_dataset : bool
        Whether there is a `DATASET_KEY`.

    Examples
    --------
    >>> [may_change(k, in_dataset=True) for k in ("README.md", "em/labels/zarr.json", "em/zarr.json")]
    [True, True, False]
    """
    folder, _, name = key.rpartition("/")
    return in_dataset and name.endswith(_DOCUMENTS) and (not folder or folder.rpartition("/")[2] == _LISTS)


def pieces_key(digest: str) -> str:
    """Return the key of a list of pieces."""
    return f"{PIECES}/{digest}"


def is_composed(place: str) -> bool:
    """Tell whether what a location leads to is a list of pieces.

    Examples
    --------
    >>> is_composed(pieces_key("ab" * 32)), is_composed("em/s0/c/0")
    (True, False)
    """
    return place.startswith(f"{PIECES}/")


def draft_key(name: str, sequence: int) -> str:
    """Return the key of a state of a draft.

    Examples
    --------
    >>> draft_key("draft", 1)
    'releases/drafts/draft/000001.json'
    """
    return f"{DRAFTS}/{name}/{sequence:06d}.json"


def is_draft_name(text: str) -> bool:
    """Tell whether a draft may have this name, and so no release.

    Examples
    --------
    >>> is_draft_name("draft"), is_draft_name("draft-cells"), is_draft_name("drafty"), is_draft_name("v1.0")
    (True, True, False, False)
    """
    return _DRAFT.fullmatch(text) is not None


def check_draft_name(text: str) -> str:
    """Return the name of a draft.

    Raises
    ------
    InputError
        If it cannot be one.
    """
    if is_draft_name(text):
        return text
    raise InputError(
        f"{text!r} is no name of a draft",
        code=Code.ARGUMENT_INVALID,
        fix="call it draft, or draft- and letters, digits and . _ + -, such as draft-cells",
    )


def is_name(text: str) -> bool:
    """Tell whether a release may have this name."""
    return _NAME.fullmatch(text) is not None


def check_name(text: str) -> str:
    """Return the name of a release.

    Raises
    ------
    InputError
        If it cannot be one.
    """
    if is_name(text) and not is_draft_name(text):
        return text
    raise InputError(
        f"{text!r} is no name of a release",
        code=Code.ARGUMENT_INVALID,
        fix="use letters, digits and . _ + -, beginning with a letter or digit, such as v1.0; drafts are called draft…",
    )


def entry_id(document: bytes) -> str:
    """Return the `write_id` of the log entry about a document: so the entry itself, not only its details, names it."""
    return sha256(document).hexdigest()[:32]
