"""The directory of a ZIP file: PKWARE APPNOTE 6.3.10, with ZIP64.

Only what naming and finding the members takes. The directory is trusted for nothing it does not prove:
members must lie one behind the other in front of the directory, none may claim more bytes than its place
holds, and names must be safe keys. Split and self-extracting archives are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.keys import checked_key

__all__ = [
    "LOCAL_HEADER_SIZE",
    "MAX_TAIL",
    "Member",
    "ZipEnd",
    "dump_directory",
    "dump_local_header",
    "parse_directory",
    "parse_end",
    "parse_local_header",
]

SPEC_URL: Final = "https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT"
LOCAL_HEADER_SIZE: Final = 30
STORED: Final = 0
DEFLATED: Final = 8

_LOCAL: Final = struct.Struct("<4s5H3I2H")  # 4.3.7
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")  # 4.3.12
_END: Final = struct.Struct("<4s4H2IH")  # 4.3.16
_LOCATOR: Final = struct.Struct("<4sIQI")  # 4.3.15
_END64: Final = struct.Struct("<4sQ2H2I4Q")  # 4.3.14
MAX_TAIL: Final = 65535 + _END.size + _LOCATOR.size + _END64.size

_U16: Final = 0xFFFF
_U32: Final = 0xFFFFFFFF
_UTF8_NAME: Final = 0x800
_ENCRYPTED: Final = 0x2041  # traditional, strong, and masked headers
_VERSION: Final = 45  # ZIP64
_DATE: Final = 0x21  # 1 January 1980: equal content gives equal bytes
_PADDING_ID: Final = 0xD935  # the extra field the Android tools align members with


def _bad(what: str, code: Code = Code.METADATA_INVALID) -> FormatError:
    return FormatError(what, code=code, fix="the ZIP file is damaged or no plain ZIP file; pack it anew")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of an archive, as the directory tells it.

    Parameters
    ----------
    name : str
        Its key.
    method : int
        0 stored, 8 deflated.
    crc : int
        CRC-32 of the content.
    stored_size, size : int
        Bytes in the archive, and of the content.
    header : int
        Byte at which the local header starts.
    limit : int
        Byte behind its place in the archive: where the next member, or the directory, begins.
    flags : int
        General purpose bits.
    """

    name: str
    method: int = STORED
    crc: int
    stored_size: int
    size: int
    header: int
    limit: int = 0
    flags: int = _UTF8_NAME

    @property
    def encrypted(self) -> bool:
        """Whether a password is needed."""
        return bool(self.flags & _ENCRYPTED)


@dataclass(frozen=True, slots=True)
class ZipEnd:
    """Where the directory is, how many members it names, and the archive's comment."""

    start: int
    size: int
    count: int
    comment: bytes


def parse_end(tail: bytes, file_size: int) -> ZipEnd:
    """Find the directory from the last bytes of a file.

    Parameters
    ----------
    tail : bytes
        The last `MAX_TAIL` bytes, or the whole file when it is shorter.
    file_size : int
        Bytes of the file.

    Raises
    ------
    FormatError
        If these bytes do not end a ZIP file, or it is split, or has something in front.
    """
    base = file_size - len(tail)
    at = _find_end(tail)
    _, disk, first_disk, here, count, size, start, _ = _END.unpack_from(tail, at)
    end = at + base
    locator = at - _LOCATOR.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        found = _parse_end64(tail, locator, base)
        for field, value, full in zip((count, size, start), found[:3], (_U16, _U32, _U32), strict=True):
            if field not in (full, value):
                raise _bad("the two ends of the ZIP directory contradict each other")
        (count, size, start), end = found[:3], found[3]
    elif disk or first_disk or here != count:
        raise _bad("the ZIP file is split into several parts")
    if start + size != end:
        raise _bad(f"the ZIP directory does not reach from byte {start} to its end record at byte {end}")
    if count * _CENTRAL.size > size:
        raise _bad(f"{count} members cannot be described in {size} bytes", Code.SIZE_IMPLAUSIBLE)
    return ZipEnd(start, size, count, tail[at + _END.size :])


def _find_end(tail: bytes) -> int:
    """Return where the end record is. A comment may hold its signature, but only one may fit the file."""
    fitting = []
    at = tail.find(b"PK\x05\x06", max(0, len(tail) - _END.size - _U16))
    while at >= 0:
        if at + _END.size <= len(tail):
            length = _END.unpack_from(tail, at)[7]
            if at + _END.size + length == len(tail):
                fitting.append(at)
        at = tail.find(b"PK\x05\x06", at + 1)
    if len(fitting) == 1:
        return fitting[0]
    raise _bad("the ZIP file has two ends" if fitting else "this is not a ZIP file, or its end is cut off")


def _parse_end64(tail: bytes, locator: int, base: int) -> tuple[int, int, int, int]:
    """Return count, size and start of the directory, and the byte at which the ZIP64 end record is."""
    _, disk, at, disks = _LOCATOR.unpack_from(tail, locator)
    if disk or disks > 1:
        raise _bad("the ZIP file is split into several parts")
    if not base <= at <= base + locator - _END64.size:
        raise _bad(f"the ZIP64 end record is not at byte {at}")
    sig, length, _, _, disk, first, here, count, size, start = _END64.unpack_from(tail, at - base)
    if sig != b"PK\x06\x06" or at + 12 + length != base + locator:
        raise _bad(f"the ZIP64 end record is not at byte {at}")
    if disk or first or here != count:
        raise _bad("the ZIP file is split into several parts")
    return count, size, start, at


def parse_directory(raw: bytes, end: ZipEnd) -> dict[str, Member]:
    """Return the members by name, without folders. Of members with one name the last counts.

    Raises
    ------
    FormatError
        If an entry is damaged, a name is unsafe, or members overlap.
    """
    found: list[Member] = []
    at = 0
    for _ in range(end.count):
        member, at = _parse_entry(raw, at)
        found.append(member)
    if at != len(raw):
        raise _bad(f"the ZIP directory has {len(raw) - at} bytes too many")
    members = {}
    for member in _placed(found, end.start):
        if not member.name.endswith("/"):
            members[_safe(member.name)] = member
    return members


def _parse_entry(raw: bytes, at: int) -> tuple[Member, int]:
    if at + _CENTRAL.size > len(raw):
        raise _bad("the ZIP directory is cut off", Code.FILE_TRUNCATED)
    sig, _, _, flags, method, _, _, crc, stored, size, n, m, k, disk, _, _, header = _CENTRAL.unpack_from(raw, at)
    name_at = at + _CENTRAL.size
    stop = name_at + n + m + k
    if sig != b"PK\x01\x02" or stop > len(raw) or n == 0:
        raise _bad(f"the entry at byte {at} of the ZIP directory is damaged")
    wide = [v == _U32 for v in (size, stored, header)]
    if any(wide) or disk == _U16:
        size, stored, header, disk = _widened(raw[name_at + n : name_at + n + m], (size, stored, header, disk))
    if disk:
        raise _bad("the ZIP file is split into several parts")
    name = _decoded(raw[name_at : name_at + n], flags)
    return (
        Member(name=name, method=method, crc=crc, stored_size=stored, size=size, header=header, flags=flags),
        stop,
    )


def _widened(extra: bytes, fields: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return size, stored size, header and disk, the saturated ones from the ZIP64 field (4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        ident, length = struct.unpack_from("<2H", extra, at)
        body = extra[at + 4 : at + 4 + length]
        if ident == 1:
            break
        at += 4 + length
    else:
        return fields  # 4 GiB - 1 may also be meant
    out = list(fields)
    position = 0
    for i, (full, width, code) in enumerate(((_U32, 8, "<Q"), (_U32, 8, "<Q"), (_U32, 8, "<Q"), (_U16, 4, "<I"))):
        if out[i] == full:
            if position + width > len(body):
                raise _bad("a ZIP64 field of the ZIP directory is too short")
            out[i] = struct.unpack_from(code, body, position)[0]
            position += width
    return out[0], out[1], out[2], out[3]


def _decoded(name: bytes, flags: int) -> str:
    try:
        return name.decode("utf-8")  # many writers leave the flag out
    except UnicodeDecodeError:
        if flags & _UTF8_NAME:
            raise _bad(f"the name {name!r} in the ZIP directory is not UTF-8") from None
        return name.decode("cp437")  # D.1


def _placed(found: Sequence[Member], stop: int) -> Iterable[Member]:
    """Yield the members in the order given, each with the byte behind its place."""
    order = sorted(range(len(found)), key=lambda i: found[i].header)
    limits = [0] * len(found)
    limit = stop
    for i in reversed(order):
        member = found[i]
        least = member.header + LOCAL_HEADER_SIZE + member.stored_size
        if least > limit:
            # Overlapping members are how a small archive claims to hold petabytes.
            raise _bad(f"{member.name!r} overlaps what follows it in the ZIP file", Code.SIZE_IMPLAUSIBLE)
        limits[i], limit = limit, member.header
    for member, limit in zip(found, limits, strict=True):
        yield Member(
            name=member.name, method=member.method, crc=member.crc, stored_size=member.stored_size,
            size=member.size, header=member.header, limit=limit, flags=member.flags,
        )  # fmt: skip


def _safe(name: str) -> str:
    try:
        return checked_key(name)
    except InputError as error:
        raise FormatError(
            f"the ZIP file holds a member named {name!r}, which is not a safe key",
            code=Code.KEY_UNSAFE,
            fix="do not trust this file; pack it anew with relative names",
        ) from error


def parse_local_header(raw: bytes, member: Member) -> int:
    """Return the byte of the archive at which a member's data starts.

    Parameters
    ----------
    raw : bytes
        At least `LOCAL_HEADER_SIZE` bytes from `member.header` on.
    member : Member
        The entry of the directory.

    Raises
    ------
    FormatError
        If there is no header, or it contradicts the directory.
    """
    if len(raw) < LOCAL_HEADER_SIZE:
        raise _bad(f"the header of {member.name!r} is cut off", Code.FILE_TRUNCATED)
    sig, _, flags, method, _, _, _, stored, size, n, m = _LOCAL.unpack_from(raw)
    start: int = member.header + LOCAL_HEADER_SIZE + n + m
    if sig != b"PK\x03\x04" or method != member.method or (flags ^ member.flags) & _ENCRYPTED:
        raise _bad(f"the header of {member.name!r} at byte {member.header} contradicts the ZIP directory")
    told = not flags & 8 and _U32 not in (stored, size)  # not behind the data, and not in a ZIP64 field
    if (told and (stored, size) != (member.stored_size, member.size)) or start + member.stored_size > member.limit:
        raise _bad(f"{member.name!r} does not have the size the ZIP directory tells", Code.SIZE_IMPLAUSIBLE)
    return start


# ---------------------------------------------------------------------------------------------- writing
def dump_local_header(member: Member, *, padding: int = 0) -> bytes:
    """Return the header of a stored member, `padding` (0 or at least 4) bytes longer than needed."""
    name = member.name.encode("utf-8")
    large = member.size >= _U32 or member.stored_size >= _U32
    extra = struct.pack("<2H2Q", 1, 16, member.size, member.stored_size) if large else b""
    if padding:
        extra += struct.pack("<2H", _PADDING_ID, padding - 4) + bytes(padding - 4)
    sizes = (_U32, _U32) if large else (member.stored_size, member.size)
    fixed = _LOCAL.pack(
        b"PK\x03\x04",
        _VERSION,
        member.flags,
        member.method,
        0,
        _DATE,
        member.crc,
        *sizes,
        len(name),
        len(extra),
    )
    return fixed + name + extra


def dump_directory(members: Iterable[Member], start: int, comment: bytes = b"") -> bytes:
    """Return the directory of stored members and both end records, to stand at byte `start`."""
    out = bytearray()
    count = 0
    for m in members:
        wide = [v for v in (m.size, m.stored_size, m.header) if v >= _U32]
        extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        name = m.name.encode("utf-8")
        clipped = (min(m.stored_size, _U32), min(m.size, _U32), len(name), len(extra), 0, 0, 0, 0o644 << 16)
        made_by = 3 << 8 | _VERSION  # Unix: the file mode is understood
        head = (b"PK\x01\x02", made_by, _VERSION, m.flags, m.method, 0, _DATE, m.crc)
        out += _CENTRAL.pack(*head, *clipped, min(m.header, _U32)) + name + extra
        count += 1
    size = len(out)
    out += _END64.pack(b"PK\x06\x06", _END64.size - 12, _VERSION, _VERSION, 0, 0, count, count, size, start)
    out += _LOCATOR.pack(b"PK\x06\x07", 0, start + size, 1)
    counts = (min(count, _U16),) * 2
    out += _END.pack(b"PK\x05\x06", 0, 0, *counts, min(size, _U32), min(start, _U32), len(comment))
    return bytes(out) + comment
