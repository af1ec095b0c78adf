"""Checkpoints and signed notes: the text that is signed, and the lines that hold signatures.

A note is text that ends with a newline, an empty line, and one line for each signature: an em dash, the name of the
key, and Base64 of the key's id (four bytes) and the signature. A checkpoint is a note of three lines or more: its
origin (which log), its size, Base64 of the root.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from voxarium.errors import Code, FormatError

__all__ = [
    "ED25519",
    "Checkpoint",
    "NoteSignature",
    "PublicKey",
    "SignedNote",
    "dump_checkpoint",
    "dump_note",
    "dump_public_key",
    "key_id",
    "parse_checkpoint",
    "parse_note",
    "parse_public_key",
]

ED25519: Final = 1
"""Number of the signature's algorithm, as signed notes count."""

_MOST_BYTES: Final = 64 << 10
_MOST_SIGNATURES: Final = 100
_MOST_SIZE: Final = 2**53 - 1
_DASH: Final = "— "
_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a log says of itself.

    Parameters
    ----------
    origin : str
        Which log it is.
    size : int
        Number of its entries.
    root : bytes
        Root of the tree over them, 32 bytes.
    extensions : tuple of str
        Further lines, which the signatures cover too.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A signature: name and id (four bytes) of the key, and what the key's algorithm made."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedNote:
    """Text and the signatures over it, of keys that may be known or not."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A name and a key that checks signatures (Ed25519, 32 bytes)."""

    name: str
    raw: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys apart; they prove nothing."""
        return key_id(self.name, self.raw)


def _malformed(what: str, why: str) -> FormatError:
    return FormatError(
        f"{what} is malformed: {why}",
        code=Code.METADATA_INVALID,
        fix="get it anew from whoever gave it; it must not be changed, not even its white space",
    )


def key_id(name: str, raw: bytes) -> bytes:
    """Return the id of an Ed25519 key: the beginning of a hash of its name and bytes."""
    return sha256(name.encode() + b"\n" + bytes([ED25519]) + raw).digest()[:4]


def dump_public_key(key: PublicKey) -> str:
    """Return a key as signed notes write it: ``name+id+Base64``.

    Examples
    --------
    >>> dump_public_key(PublicKey("lab", bytes(32)))
    'lab+9ff7fd24+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return f"{key.name}+{key.key_id.hex()}+{base64.b64encode(bytes([ED25519]) + key.raw).decode()}"


def parse_public_key(text: str) -> PublicKey:
    """Parse a key as signed notes write it.

    Raises
    ------
    FormatError
        If it is not one, or of another kind than Ed25519.
    """
    name, _, rest = text.strip().partition("+")
    number, _, encoded = rest.partition("+")
    if _NAME.fullmatch(name) is None:
        raise _malformed("the public key", "it has no name, then + and an id, then + and Base64")
    raw = _decoded(encoded, "the public key")
    if len(raw) != 33 or raw[0] != ED25519:
        raise _malformed("the public key", "it is no Ed25519 key")
    if number != key_id(name, raw[1:]).hex():
        raise _malformed("the public key", f"{number[:20]!r} is not the id of this name and key")
    return PublicKey(name, raw[1:])


def _decoded(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise _malformed(what, f"{text[:40]!r} is not Base64") from error
    if base64.b64encode(raw).decode() != text:  # other spellings of the same bytes
        raise _malformed(what, f"{text[:40]!r} is not Base64 in its usual form")
    return raw


def dump_note(note: SignedNote) -> bytes:
    """Return a signed note as bytes."""
    lines = [f"{_DASH}{s.name} {base64.b64encode(s.key_id + s.signature).decode()}\n" for s in note.signatures]
    return (note.text + "\n" + "".join(lines)).encode()


def parse_note(data: bytes) -> SignedNote:
    """Parse a signed note; whether its signatures hold is not looked at.

    Raises
    ------
    FormatError
        If it is not one.
    """
    if len(data) > _MOST_BYTES:
        raise _malformed("the note", f"it is longer than {_MOST_BYTES} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise _malformed("the note", "it is not UTF-8") from error
    head, found, tail = whole.rpartition("\n\n")
    if not found or not head or not tail.endswith("\n"):
        raise _malformed("the note", "it is not text, an empty line, and lines of signatures")
    if re.search(r"[\x00-\x09\x0b-\x1f\x7f]", whole):
        raise _malformed("the note", "it has control characters")
    lines = tail[:-1].split("\n")
    if len(lines) > _MOST_SIGNATURES:
        raise _malformed("the note", f"it has more than {_MOST_SIGNATURES} signatures")
    return SignedNote(head + "\n", tuple(_parse_signature(line) for line in lines))


def _parse_signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or _NAME.fullmatch(name) is None:
        raise _malformed("the note", f"{line[:40]!r} is not a signature")
    raw = _decoded(encoded, "the note")
    if len(raw) < 5:
        raise _malformed("the note", f"{line[:40]!r} has no signature")
    return NoteSignature(name, raw[:4], raw[4:])


def dump_checkpoint(checkpoint: Checkpoint) -> str:
    r"""Return the text of a checkpoint, which is what is signed.

    Examples
    --------
    >>> dump_checkpoint(Checkpoint(origin="example.org/log", size=0, root=bytes(32)))
    'example.org/log\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n'
    """
    root = base64.b64encode(checkpoint.root).decode()
    return "\n".join([checkpoint.origin, str(checkpoint.size), root, *checkpoint.extensions, ""])


def parse_checkpoint(text: str) -> Checkpoint:
    """Parse the text of a checkpoint.

    Raises
    ------
    FormatError
        If it is not one.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "":
        raise _malformed("the checkpoint", "it is not an origin, a size and a root, each on its line")
    origin, size, root = lines[:3]
    if not all(lines):
        raise _malformed("the checkpoint", "it has an empty line")
    if _SIZE.fullmatch(size) is None or int(size) > _MOST_SIZE:
        raise _malformed("the checkpoint", f"{size[:40]!r} is no number of entries")
    raw = _decoded(root, "the checkpoint")
    if len(raw) != 32:
        raise _malformed("the checkpoint", "its root is not 32 bytes long")
    return Checkpoint(origin=origin, size=int(size), root=raw, extensions=tuple(lines[3:]))
