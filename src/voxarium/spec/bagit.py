"""BagIt: a folder of files with lists of their digests. RFC 8493 (1.0), and the drafts 0.93 to 0.97 for reading.

https://www.rfc-editor.org/rfc/rfc8493. Seen in the wild: paths that begin with ``./``; the ``*`` that md5sum writes
before names; a plain ``%`` in names (bagit-python does not encode it, the RFC does); tag files in Latin-1 or UTF-16;
digests in capital letters. Bags come from strangers: no path may lead out of the bag, lines have a limit.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.keys import checked_key

__all__ = [
    "DECLARATION", "DECLARATION_FILE", "DIGITS", "FETCH_FILE", "INFO_FILE", "MOST_TAG_FILE", "PAYLOAD", "Declaration",
    "FetchLine", "decode_path", "dump_info", "encode_path", "fetch_line", "iter_lines", "manifest_line",
    "parse_declaration", "parse_fetch_line", "parse_info", "parse_manifest_line", "parse_oxum",
]  # fmt: skip

DECLARATION_FILE: Final = "bagit.txt"
DECLARATION: Final = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
INFO_FILE: Final = "bag-info.txt"
FETCH_FILE: Final = "fetch.txt"
PAYLOAD: Final = "data"
DIGITS: Final = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
"""Hexadecimal digits of digests, by algorithm."""

MOST_TAG_FILE: Final = 16 << 20
_LONGEST_LINE: Final = 1 << 15  # characters
_LARGEST: Final = 2**62
_ENCODINGS: Final = {
    "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "ascii", "ascii": "ascii", "iso-8859-1": "iso-8859-1",
    "latin-1": "iso-8859-1", "latin1": "iso-8859-1", "utf-16": "utf-16", "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be", "windows-1252": "cp1252", "cp1252": "cp1252",
}  # fmt: skip
_DECLARED: Final = re.compile(
    r"BagIt-Version: ([0-9])\.([0-9]{1,2})(?:\r\n|\r|\n)Tag-File-Character-Encoding: ([A-Za-z0-9._-]{1,40})[\r\n]*"
)
_ENCODED: Final = re.compile(r"%(0[AaDd]|25)")
_INFO: Final = re.compile(r"([^:\s][^:]*?)\s*:(?:\s(.*))?", re.DOTALL)
_MANIFEST: Final = re.compile(r"([0-9A-Fa-f]{1,200})[ \t]+(.+)")
_FETCH: Final = re.compile(r"([^ \t]+)[ \t]+(-|[0-9]{1,40})[ \t]+(.+)")
_OXUM: Final = re.compile(r"([0-9]{1,19})\.([0-9]{1,19})")
_FIX: Final = "get the bag from its source again"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What ``bagit.txt`` says: version as (1, 0), and the codec of the other tag files."""

    version: tuple[int, int]
    encoding: str


@dataclass(frozen=True, slots=True)
class FetchLine:
    """A file that is elsewhere: its address, size in bytes if known, and path in the bag."""

    url: str
    size: int | None
    path: str


def _broken(where: str, what: str, code: Code = Code.METADATA_INVALID) -> FormatError:
    return FormatError(f"{where} {what}", code=code, fix=_FIX)


# --------------------------------------------------------------------------------------------------------------- paths
def encode_path(path: str) -> str:
    r"""Return a path as manifests write it: line ends and per cent signs, and nothing else, as RFC 3986 encodes them.

    Examples
    --------
    >>> encode_path("data/50%\n.txt")
    'data/50%25%0A.txt'
    """
    return path.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def decode_path(text: str) -> str:
    r"""Return the path that a manifest means.

    Examples
    --------
    >>> decode_path("data/50%25%0a%20")
    'data/50%\n%20'
    """
    return _ENCODED.sub(lambda m: chr(int(m[1], 16)), text)


def _checked(text: str, where: str, *, payload: bool) -> str:
    """Return the path in a line, as long as it stays in the bag."""
    path = decode_path(text)
    while path.startswith("./"):
        path = path[2:]
    inside = path.removeprefix("*") if not payload or path.startswith(f"*{PAYLOAD}/") else path
    try:
        if inside.startswith("~"):
            raise InputError("a home folder", code=Code.KEY_UNSAFE, fix=_FIX)
        checked_key(inside)
    except InputError as error:
        raise _broken(where, f"names {text[:100]!r}, which is no safe path in a bag", Code.KEY_UNSAFE) from error
    if inside.startswith(f"{PAYLOAD}/") is not payload:
        what = "not below data/" if payload else "below data/, in a list of tag files"
        raise _broken(where, f"names {text[:100]!r}, which is {what}", Code.KEY_UNSAFE)
    return inside


# ------------------------------------------------------------------------------------------------------------- writing
def manifest_line(digest: bytes, path: str) -> bytes:
    """Return a line of a manifest."""
    return f"{digest.hex()}  {encode_path(path)}\n".encode()


def fetch_line(url: str, size: int, path: str) -> bytes:
    r"""Return a line of ``fetch.txt``; white space in the address is encoded.

    Examples
    --------
    >>> fetch_line("https://example.org/a b", 5, "data/a b")
    b'https://example.org/a%20b 5 data/a b\n'
    """
    address = re.sub(r"\s", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), url)
    return f"{address} {size} {encode_path(path)}\n".encode()


def dump_info(fields: Iterable[tuple[str, str]]) -> bytes:
    r"""Return ``bag-info.txt``. Line ends in values become continued lines.

    Examples
    --------
    >>> dump_info([("Contact-Name", "Ada"), ("External-Description", "a\n\nb")])
    b'Contact-Name: Ada\nExternal-Description: a\n  b\n'
    """
    lines = []
    for name, value in fields:
        parts = [
            p for line in value.splitlines() if (p := "".join(c if c.isprintable() else " " for c in line).strip())
        ]
        lines.append(f"{name}: " + "\n  ".join(parts) + "\n")
    return "".join(lines).encode("utf-8", "replace")


# ------------------------------------------------------------------------------------------------------------- reading
def parse_declaration(data: bytes, where: str = DECLARATION_FILE) -> Declaration:
    """Return what ``bagit.txt`` says.

    Raises
    ------
    FormatError
        If it is no such file, or of a version or encoding that is not known.
    """
    try:
        text = data[:1024].decode("utf-8")
    except UnicodeDecodeError as error:
        raise _broken(where, "is not UTF-8") from error
    found = _DECLARED.fullmatch(text) if len(data) <= 1024 else None
    if found is None:
        raise _broken(where, "does not consist of BagIt-Version and Tag-File-Character-Encoding")
    version = int(found[1]), int(found[2])
    if version != (1, 0) and not (0, 93) <= version <= (0, 97):
        raise _broken(where, f"states version {found[1]}.{found[2]}, which is not known")
    encoding = _ENCODINGS.get(found[3].lower())
    if encoding is None:
        raise _broken(where, f"states the encoding {found[3]!r}, which is not known")
    return Declaration(version, encoding)


def iter_lines(pieces: Iterable[bytes], encoding: str, where: str) -> Iterator[str]:
    """Yield the lines of a tag file that are not empty, without their ends.

    Raises
    ------
    FormatError
        If the text is not in this encoding, or a line is too long.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    rest = ""
    for piece, final in _marked(pieces):
        try:
            *lines, rest = (rest + decoder.decode(piece, final)).split("\n")
        except UnicodeDecodeError as error:
            raise _broken(where, f"is not {encoding}") from error
        for line in (*lines, rest) if final else lines:
            if len(line) > _LONGEST_LINE:
                raise _broken(where, "has a line that is too long", Code.SIZE_IMPLAUSIBLE)
            if line:
                yield line
        if len(rest) > _LONGEST_LINE:
            raise _broken(where, "has a line that is too long", Code.SIZE_IMPLAUSIBLE)


def _marked(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    for piece in pieces:
        yield piece, False
    yield b"", True


def parse_manifest_line(line: str, algorithm: str, where: str, *, payload: bool) -> tuple[bytes, str]:
    """Return digest and path.

    Raises
    ------
    FormatError
        If it is no line of a manifest; with the code ``key-unsafe`` if its path may not be used.
    """
    found = _MANIFEST.fullmatch(line)
    if found is None or len(found[1]) != DIGITS[algorithm]:
        raise _broken(where, f"has the line {line[:100]!r}, expected a {algorithm} digest and a path")
    return bytes.fromhex(found[1]), _checked(found[2], where, payload=payload)


def parse_fetch_line(line: str, where: str = FETCH_FILE) -> FetchLine:
    """Return what a line of ``fetch.txt`` says.

    Raises
    ------
    FormatError
        If it is none; with the code ``key-unsafe`` if its path or address may not be used, ``size-implausible`` if its
        size cannot be true.
    """
    found = _FETCH.fullmatch(line)
    if found is None:
        raise _broken(where, f"has the line {line[:100]!r}, expected an address, a size and a path")
    path = _checked(found[3], where, payload=True)
    scheme = found[1].partition(":")[0].lower()
    if ":" not in found[1] or scheme in ("file", "data", "javascript"):
        raise _broken(where, f"leads to {found[1][:100]!r}, which must not be fetched", Code.KEY_UNSAFE)
    size = None if found[2] == "-" else int(found[2])
    if size is not None and size > _LARGEST:
        raise _broken(where, f"states {size} bytes for {path}, which is implausible", Code.SIZE_IMPLAUSIBLE)
    return FetchLine(found[1], size, path)


def parse_info(data: bytes, encoding: str, where: str = INFO_FILE) -> tuple[tuple[str, str], ...]:
    r"""Return names and values of ``bag-info.txt``, in order; names may come more than once.

    Raises
    ------
    FormatError
        If a line has no colon.

    Examples
    --------
    >>> parse_info(b"Contact-Name: Ada\nExternal-Description: a\n  b\n", "utf-8")
    (('Contact-Name', 'Ada'), ('External-Description', 'a b'))
    """
    out: list[tuple[str, str]] = []
    for line in iter_lines([data], encoding, where):
        if line[0] in " \t":
            if not out:
                raise _broken(where, "begins with a continued line")
            out[-1] = out[-1][0], f"{out[-1][1]} {line.strip()}".strip()
            continue
        found = _INFO.fullmatch(line)
        if found is None:
            raise _broken(where, f"has the line {line[:100]!r}, expected a name, a colon and a value")
        out.append((found[1], (found[2] or "").strip()))
    return tuple(out)


def parse_oxum(text: str) -> tuple[int, int] | None:
    """Return bytes and number of files that a ``Payload-Oxum`` states; None if it is none.

    Examples
    --------
    >>> parse_oxum("279164409832.1198")
    (279164409832, 1198)
    """
    found = _OXUM.fullmatch(text.strip())
    return None if found is None else (int(found[1]), int(found[2]))
