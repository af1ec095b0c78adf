"""What was done to a dataset: by whom, from what, to what, how, with what. Plain data that every engine can make."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable
from urllib.parse import urlsplit, urlunsplit

from voxarium.errors import Code, InputError
from voxarium.model.canonical_json import MOST_INTEGER

__all__ = [
    "OPERATIONS",
    "Activity",
    "Agent",
    "Artifact",
    "HistoryDriver",
    "RecordedActivity",
    "Recorder",
    "plain_parameters",
    "public_address",
]

OPERATIONS: Final[dict[str, str]] = {
    "ingest": "files came into the dataset as they were",
    "convert": "an image was written in another format",
    "downsample": "levels were made from finer ones",
    "resample": "an image was brought onto another grid",
    "upgrade": "metadata were brought to a later version",
    "fix": "something wrong was put right",
    "edit": "voxels or labels were changed",
    "annotate": "something was added to what is known of the images",
    "validate": "rules were checked",
    "manifest": "digests of what is stored were taken",
    "audit": "stored bytes were compared with their digests",
    "publish": "a release was made",
    "tombstone": "a release was withdrawn",
    "collect": "what nothing names any more was removed",
    "copy": "the dataset came here from another place",
    "delete": "something was removed from the dataset",
    "remove-payload": "details of an earlier entry were removed",
}
"""Operations by name. Others may be recorded too."""

_OPERATION: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_DIGEST: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}:[0-9A-Za-z+/=._-]{1,200}")
_SECRET: Final = re.compile(r"passw|passphrase|secret|token|credential|api_?key|access_?key|account_?key|\bsas\b", re.I)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DEEPEST: Final = 40

AgentKind: TypeAlias = Literal["person", "organization", "software"]
_KINDS: Final = ("person", "organization", "software")


@dataclass(frozen=True, slots=True)
class Agent:
    """Who did something.

    Parameters
    ----------
    name : str
        For people to read.
    kind : str
        ``person``, ``organization`` or ``software``.
    identifier : str
        Address that stands for them, such as an ORCID's or ROR's; empty if there is none.
    """

    name: str
    kind: AgentKind = "person"
    identifier: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip() or self.kind not in _KINDS:
            raise InputError(
                f"an agent of kind {self.kind!r} named {self.name!r}",
                code=Code.ARGUMENT_INVALID,
                fix=f"give a name, and one of the kinds {', '.join(_KINDS)}",
            )


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something that an operation read or wrote.

    Parameters
    ----------
    address : str
        Its key in the dataset, or the URI of something outside. Credentials and queries are cut off.
    digest : str
        ``sha256:…``, ``blake3:…`` or that of another scheme; empty if nobody computed one.
    size : int or None
        Bytes.
    role : str
        What it was to the operation, where that is not plain.
    """

    address: str
    digest: str = ""
    size: int | None = None
    role: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", public_address(self.address))
        if not self.address:
            raise InputError(
                "an artifact has no address", code=Code.ARGUMENT_INVALID, fix="give its key in the dataset, or a URI"
            )
        if self.digest and _DIGEST.fullmatch(self.digest) is None:
            raise InputError(
                f"{self.digest!r} is no digest", code=Code.ARGUMENT_INVALID, fix="write it as sha256:ab12…"
            )
        if self.size is not None and not 0 <= self.size <= MOST_INTEGER:
            raise InputError(
                f"{self.address} has a size of {self.size} bytes",
                code=Code.ARGUMENT_INVALID,
                fix="give a number of bytes, or None",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One operation.

    Parameters
    ----------
    operation : str
        What was done, preferably one of `OPERATIONS`.
    inputs, outputs : sequence of Artifact
        What was read, what was written. For many objects, name their manifest instead.
    parameters : mapping
        How: JSON values (`plain_parameters` makes them).
    software : mapping of str to str
        Versions by name of the program and of the libraries that mattered.
    agent : Agent or None
        Who; None: nobody said.
    note : str
        Why, or whatever else a reader should know.
    """

    operation: str
    inputs: Sequence[Artifact] = ()
    outputs: Sequence[Artifact] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    software: Mapping[str, str] = field(default_factory=dict)
    agent: Agent | None = None
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if _OPERATION.fullmatch(self.operation) is None:
            raise InputError(
                f"{self.operation!r} is no name of an operation",
                code=Code.ARGUMENT_INVALID,
                fix=f"use one of {', '.join(OPERATIONS)}, or another word of small letters, digits and dashes",
            )


Recorder: TypeAlias = Callable[[Activity], object]
"""What an engine is handed to tell what it did; `voxarium.archive.provenance.ProvenanceLog.append` is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedActivity:
    """An operation as the log has it.

    Parameters
    ----------
    log, write_id : str
        Which log, and which act of writing: 32 hexadecimal digits each.
    sequence : int
        Number of the entry, from 0.
    time : str
        UTC, such as ``2026-11-26T03:29:02.123Z``.
    activity : Activity
        What of it can still be read.
    removed : tuple of str
        Names of the details that were removed later: agent, inputs, note …
    """

    log: str
    write_id: str
    sequence: int
    time: str
    activity: Activity
    removed: tuple[str, ...] = ()


@runtime_checkable
class HistoryDriver(Protocol):
    """What an image driver offers whose convention keeps, beside an image, how it was made."""

    def dump_history(self, path: str, made: Activity, /) -> dict[str, bytes]:
        """Return the documents, by key, that tell how the image at `path` was made; pure."""


def public_address(address: str) -> str:
    """Return an address without user, password, query and fragment: logs are read by everyone.

    Examples
    --------
    >>> public_address("https://me:secret@example.org/em.zarr?X-Amz-Signature=ab#x")
    'https://example.org/em.zarr'
    >>> public_address("em/s0")
    'em/s0'
    """
    if _SCHEME.match(address) is None:
        return address
    base, colons, inner = address.partition("::")
    try:
        parts = urlsplit(base)
    except ValueError:  # a malformed host
        return re.split(r"[?#]", base)[0].rpartition("@")[2]
    place = parts.netloc.rpartition("@")[2]
    inner = re.split(r"[?#]", inner)[0] if colons else ""
    return urlunsplit((parts.scheme, place, parts.path, "", "")) + colons + inner


def plain_parameters(value: Any, depth: int = 0) -> Any:  # Any: whatever options hold, and JSON
    """Return options as JSON that a log can hold: paths and the like as text, large integers and NaN too.

    What is named like a password, key or token is not recorded.

    Examples
    --------
    >>> plain_parameters({"chunk": (64, 64, 64), "fill": float("nan"), "seed": 2**63, "codec": None})
    {'chunk': [64, 64, 64], 'fill': 'NaN', 'seed': '9223372036854775808', 'codec': None}
    """
    if depth > _DEEPEST:
        return "…"
    if value is None or isinstance(value, (bool, str)):
        return _text(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return int(value) if abs(value) <= MOST_INTEGER else str(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _special(value)
    if isinstance(value, Mapping):
        return {
            _whole(str(k)): "(not recorded)" if _SECRET.search(str(k)) and v else plain_parameters(v, depth + 1)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain_parameters(v, depth + 1) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_text(str(v)) for v in value)
    item = getattr(value, "tolist", None)  # scalars and arrays of numpy
    return plain_parameters(item(), depth + 1) if callable(item) else _text(str(value))


def _text(value: str) -> str:
    return public_address(_whole(value))


def _whole(value: str) -> str:
    """Return text without halves of surrogate pairs, which nothing but Python can hold."""
    return value.encode("utf-8", "replace").decode()


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
