"""Proofs as files: that an entry is in a log, or that a log has only grown, as a signed checkpoint says.

That of an entry is a https://c2sp.org/tlog-proof with the entry itself as its extra data. That of growth has the same
form with a header of its own, and the number of entries of the earlier checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from voxarium.errors import Code, FormatError

__all__ = ["LogProof", "dump_proof", "parse_proof"]

_MOST_BYTES: Final = 1 << 20
_MOST_HASHES: Final = 64
_INCLUSION: Final = "c2sp.org/tlog-proof@v1"
_GROWTH: Final = "voxarium-log-growth@v1"
_NUMBER: Final = re.compile(r"(index|old) (0|[1-9][0-9]{0,15})")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """A proof, and the checkpoint that it leads to.

    Parameters
    ----------
    number : int
        Place of the entry, from 0; or the number of entries there were.
    hashes : tuple of bytes
        The proof itself, as RFC 6962 has it.
    note : bytes
        The signed checkpoint.
    entry : bytes or None
        The entry, as it stands in the log; None: a proof that the log only grew.
    """

    number: int
    hashes: tuple[bytes, ...]
    note: bytes
    entry: bytes | None = None


def dump_proof(proof: LogProof) -> bytes:
    r"""Return a proof as bytes.

    Examples
    --------
    >>> dump_proof(LogProof(number=3, hashes=(bytes(32),), note=b"text\n\nsignatures\n"))
    b'voxarium-log-growth@v1\nold 3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\ntext\n\nsignatures\n'
    """
    return "".join(f"{line}\n" for line in _lines(proof)).encode() + b"\n" + proof.note


def _lines(proof: LogProof) -> Iterator[str]:
    if proof.entry is None:
        yield from (_GROWTH, f"old {proof.number}")
    else:
        yield from (_INCLUSION, f"extra {base64.b64encode(proof.entry).decode()}", f"index {proof.number}")
    yield from (base64.b64encode(part).decode() for part in proof.hashes)


def parse_proof(data: bytes) -> LogProof:
    """Parse a proof; whether it holds is not looked at, nor whether its checkpoint is one.

    Raises
    ------
    FormatError
        If it is none.
    """
    head, found, note = data[: _MOST_BYTES + 1].partition(b"\n\n")
    if len(data) > _MOST_BYTES or not found:
        raise _malformed("it is not a few lines, an empty one, and a checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise _malformed("it is not text") from error
    kind, rest = lines[0], lines[1:]
    if kind not in (_INCLUSION, _GROWTH):
        raise _malformed(f"it begins with {kind[:40]!r}")
    entry = None
    if kind == _INCLUSION:
        if not rest or not rest[0].startswith("extra "):
            raise _malformed("it does not hold the entry")
        entry = _decoded(rest.pop(0).removeprefix("extra "))
    match = _NUMBER.fullmatch(rest[0]) if rest else None
    if match is None or (match[1] == "index") != (entry is not None) or len(rest) > _MOST_HASHES + 1:
        raise _malformed("it does not say which entry, or how many there were")
    hashes = tuple(_decoded(line) for line in rest[1:])
    if any(len(h) != 32 for h in hashes):
        raise _malformed("a hash has another length than 32 bytes")
    return LogProof(number=int(match[2]), hashes=hashes, note=note, entry=entry)


def _decoded(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise _malformed(f"{text[:40]!r} is not Base64") from error
    if base64.b64encode(raw).decode() != text:  # other spellings of the same bytes
        raise _malformed(f"{text[:40]!r} is not Base64 in its usual form")
    return raw


def _malformed(why: str) -> FormatError:
    return FormatError(
        f"the proof is malformed: {why}",
        code=Code.METADATA_INVALID,
        fix="get it anew: voxarium log prove DATASET",
    )
