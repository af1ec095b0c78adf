"""Headers of PNG, JPEG and TIFF files, parsed from the few bytes that matter.

Specs: PNG https://www.w3.org/TR/png-3/, JPEG ITU-T T.81, TIFF 6.0, BigTIFF
https://www.awaresystems.be/imaging/tiff/bigtiff.html. Reading a header this way takes microseconds, so
every slice of a stack can be checked before a long job begins.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.model.image_header import ImageHeader

__all__ = ["PNG_SIGNATURE", "ReadAt", "check_page_chain", "image_kind", "parse_image_header"]

ReadAt = Callable[[int, int], bytes]
"""Returns `length` bytes from `start`; fewer where the file ends."""

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_TIFF_MAGIC: Final = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
_TYPE_SIZES: Final = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST_MARKERS: Final = 10_000
_MOST_TAGS: Final = 4096
_MOST_SEGMENTS: Final = 1 << 20
_MOST_PAGES: Final = 10_000_000


def image_kind(head: bytes) -> str | None:
    """Return ``png``, ``jpeg`` or ``tiff`` by the first bytes of a file; None for anything else."""
    if head.startswith(PNG_SIGNATURE):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return "tiff" if head[:4] in _TIFF_MAGIC else None


def parse_image_header(read: ReadAt, size: int) -> ImageHeader | None:
    """Return what the header says; None if the file is neither PNG, JPEG nor TIFF.

    Parameters
    ----------
    read : callable
        Gives bytes of the file.
    size : int
        Size of the file in bytes.

    Raises
    ------
    FormatError
        If the header is broken or cut off.
    UnsupportedError
        If the file is fine but its voxels would not be exact (palettes, CMYK).
    """
    parsers = {"png": _parse_png, "jpeg": _parse_jpeg, "tiff": _parse_tiff}
    kind = image_kind(read(0, 8))
    return None if kind is None else parsers[kind](read, size)


def _cut_off(kind: str) -> FormatError:
    return FormatError(
        f"the {kind} header is cut off",
        code=Code.FILE_TRUNCATED,
        fix="copy or export the file again from its source",
    )


def _broken(kind: str, reason: str) -> FormatError:
    return FormatError(
        f"the {kind} header {reason}",
        code=Code.METADATA_INVALID,
        fix="export the image again from its source",
    )


def _unsupported(what: str, fix: str) -> UnsupportedError:
    return UnsupportedError(what, code=Code.FEATURE_UNSUPPORTED, fix=fix)


# ------------------------------------------------------------------------------------------------------- PNG
_PNG_SAMPLES: Final = {0: 1, 2: 3, 4: 2, 6: 4}
_PNG_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def _parse_png(read: ReadAt, size: int) -> ImageHeader:
    head = read(0, 33)
    if len(head) < 33:
        raise _cut_off("PNG")
    length, name, width, height, depth, color = struct.unpack(">I4sIIBB", head[8:26])
    if length != 13 or name != b"IHDR" or zlib.crc32(head[12:29]) != int.from_bytes(head[29:33], "big"):
        raise _broken("PNG", "does not begin with a sound IHDR chunk")
    if not 0 < width < 1 << 31 or not 0 < height < 1 << 31 or depth not in _PNG_DEPTHS.get(color, ()):
        raise _broken("PNG", f"claims {width} x {height} voxels of depth {depth}, colour type {color}")
    if color == 3:
        raise _unsupported(
            "the PNG has a palette, so its values are colour numbers",
            "save it as greyscale or RGB; for label images save the numbers as greyscale",
        )
    if depth < 8:
        raise _unsupported(
            f"the PNG has {depth} bits per voxel, which decoders stretch to 8", "save it with 8 or 16 bits"
        )
    return ImageHeader(
        kind="png",
        width=width,
        height=height,
        samples=_PNG_SAMPLES[color],
        dtype=np.dtype(f"u{depth // 8}"),
        bits=depth,
    )


# ------------------------------------------------------------------------------------------------------ JPEG
_NOT_SOF: Final = frozenset({0xC4, 0xC8, 0xCC})


def _parse_jpeg(read: ReadAt, size: int) -> ImageHeader:
    at = 2
    for _ in range(_MOST_MARKERS):
        head = read(at, 10)
        if len(head) < 10:
            raise _cut_off("JPEG")
        if head[0] != 0xFF:
            raise _broken("JPEG", f"has no marker at byte {at}")
        marker = head[1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_SOF:
            return _jpeg_frame(head)
        elif marker in (0xD9, 0xDA):
            break
        else:
            length = int.from_bytes(head[2:4], "big")
            if length < 2:
                raise _broken("JPEG", f"has an impossible segment at byte {at}")
            at += 2 + length
    raise _broken("JPEG", "has no frame")


def _jpeg_frame(head: bytes) -> ImageHeader:
    precision, height, width, samples = struct.unpack(">BHHB", head[4:10])
    if width == 0 or height == 0:
        raise _broken("JPEG", f"claims {width} x {height} voxels")
    if precision != 8 or samples not in (1, 3):
        raise _unsupported(
            f"the JPEG has {samples} components of {precision} bits",
            "save it as greyscale or RGB with 8 bits",
        )
    return ImageHeader(kind="jpeg", width=width, height=height, samples=samples, dtype=np.dtype("u1"), bits=precision)


# ------------------------------------------------------------------------------------------------------ TIFF
@dataclass(frozen=True, slots=True)
class _Tiff:
    """How one TIFF file writes numbers."""

    read: ReadAt
    order: str
    big: bool

    def exactly(self, at: int, length: int) -> bytes:
        data = self.read(at, length)
        if len(data) < length:
            raise _cut_off("TIFF")
        return data

    def number(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self.order == "<" else "big")

    @property
    def first(self) -> int:
        return self.number(self.exactly(8, 8) if self.big else self.exactly(4, 4))

    def page(self, at: int) -> tuple[list[bytes], int]:
        """Return the entries of the page at byte `at`, and where the next page is; 0 = nowhere."""
        width, step, pointer = (8, 20, 8) if self.big else (2, 12, 4)
        count = self.number(self.exactly(at, width))
        if not 0 < count <= _MOST_TAGS:
            raise _broken("TIFF", f"claims {count} tags at byte {at}")
        data = self.exactly(at + width, count * step)
        # Writers that were cut off behind the last page leave no pointer; there was nothing more to say.
        following = self.number(self.read(at + width + count * step, pointer))
        return [data[i : i + step] for i in range(0, len(data), step)], following

    def stop(self, entry: bytes) -> int:
        """Return the byte behind the values of an entry; 0 when they are in the entry itself."""
        pointer = 8 if self.big else 4
        length = _TYPE_SIZES.get(self.number(entry[2:4]), 1) * self.number(entry[4 : 4 + pointer])
        return 0 if length <= pointer else self.number(entry[4 + pointer :]) + length

    def values(self, entry: bytes, limit: int) -> tuple[int, ...] | None:
        """Return the values of an entry of integers; None for other types and for more than `limit`."""
        pointer = 8 if self.big else 4
        kind, count = self.number(entry[2:4]), self.number(entry[4 : 4 + pointer])
        code = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if code is None or not 0 < count <= limit:
            return None
        length = struct.calcsize(code) * count
        field = entry[4 + pointer :]
        data = field[:length] if length <= pointer else self.exactly(self.number(field), length)
        return struct.unpack(f"{self.order}{count}{code}", data)


def _tiff(read: ReadAt) -> _Tiff:
    head = read(0, 16)
    order = _TIFF_MAGIC[head[:4]]
    tiff = _Tiff(read, order, head[2:3] == b"+" or head[3:4] == b"+")
    if tiff.big and (len(head) < 16 or tiff.number(head[4:6]) != 8):
        raise _broken("TIFF", "has an unknown size of offsets")
    return tiff


_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_OFFSETS, _SAMPLES, _ROWS, _COUNTS, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _FORMAT = 322, 323, 324, 339
_WANTED: Final = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _ROWS, _PLANAR, _FORMAT}
    | {_TILE_WIDTH, _TILE_HEIGHT}
)


def _parse_tiff(read: ReadAt, size: int) -> ImageHeader:
    tiff = _tiff(read)
    entries, following = tiff.page(tiff.first)
    by_tag = {tiff.number(e[:2]): e for e in entries}
    tags = {t: v for t, e in by_tag.items() if t in _WANTED and (v := tiff.values(e, 1024)) is not None}
    if _WIDTH not in tags or _HEIGHT not in tags or 0 in (tags[_WIDTH][0], tags[_HEIGHT][0]):
        raise _broken("TIFF", "states no width and height")
    bits = tags.get(_BITS, (1,))
    form = tags.get(_FORMAT, (1,))
    samples = tags.get(_SAMPLES, (1,))[0]
    if len(set(bits)) != 1 or len(set(form)) != 1 or samples == 0:
        raise _unsupported("the TIFF mixes types of samples", "save each channel as an image of its own")
    header = ImageHeader(
        kind="tiff",
        width=tags[_WIDTH][0],
        height=tags[_HEIGHT][0],
        samples=samples,
        dtype=_tiff_type(bits[0], form[0], tiff.order),
        bits=bits[0],
        tile=_tile(tags),
        several=following != 0,
    )
    plain = (
        tags.get(_COMPRESSION, (1,))[0] == 1
        and tags.get(_FILL_ORDER, (1,))[0] == 1
        and tags.get(_PHOTOMETRIC, (1,))[0] != 6  # YCbCr may be subsampled
        and (samples == 1 or tags.get(_PLANAR, (1,))[0] == 1)
        and bits[0] == header.dtype.itemsize * 8
        and _TILE_OFFSETS not in by_tag
    )
    return _with_offset(header, tiff, by_tag) if plain else header


def _tile(tags: dict[int, tuple[int, ...]]) -> tuple[int, int] | None:
    if _TILE_HEIGHT not in tags or _TILE_WIDTH not in tags:
        return None
    tile = (tags[_TILE_HEIGHT][0], tags[_TILE_WIDTH][0])
    return tile if min(tile) > 0 else None


def _tiff_type(bits: int, form: int, order: str) -> np.dtype[Any]:
    kind = {1: "u", 2: "i", 3: "f", 4: "u", 6: "c"}.get(form)
    sizes = {"u": (1, 2, 4, 8), "i": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}
    if kind is not None and bits:
        if bits == 1 and kind == "u":
            return np.dtype("?")
        for size in sizes[kind]:
            if bits <= size * 8:
                return np.dtype(f"{order}{kind}{size}")
    raise _unsupported(
        f"the TIFF has samples of {bits} bits in format {form}", "save it with 8, 16 or 32 bits per sample"
    )


def _with_offset(header: ImageHeader, tiff: _Tiff, by_tag: dict[int, bytes]) -> ImageHeader:
    """Add where the voxels are, if the strips follow one another."""
    if _OFFSETS not in by_tag or _COUNTS not in by_tag:
        return header
    offsets = tiff.values(by_tag[_OFFSETS], _MOST_SEGMENTS)
    counts = tiff.values(by_tag[_COUNTS], _MOST_SEGMENTS)
    if offsets is None or counts is None or len(offsets) != len(counts):
        return header
    joined = all(a + n == b for a, n, b in zip(offsets[:-1], counts[:-1], offsets[1:], strict=True))
    if not joined or sum(counts) < header.nbytes:
        return header
    return ImageHeader(
        kind=header.kind,
        width=header.width,
        height=header.height,
        samples=header.samples,
        dtype=header.dtype,
        bits=header.bits,
        byte_offset=offsets[0],
        several=header.several,
    )


def check_page_chain(read: ReadAt, size: int) -> int:
    """Return the number of pages of a TIFF file; pages and values of tags must lie inside the file.

    A file that was cut off loses its last pages, and readers that follow the chain show what is left as if
    it were all there is.

    Raises
    ------
    FormatError
        If a page lies beyond the end, or the chain is a circle.
    """
    tiff = _tiff(read)
    at, seen = tiff.first, set[int]()
    while at:
        if at in seen or len(seen) >= _MOST_PAGES:
            raise _broken("TIFF", "has pages that follow one another in a circle")
        seen.add(at)
        if at >= size:
            raise FormatError(
                f"page {len(seen)} of the TIFF should be at byte {at}, but the file has {size} bytes",
                code=Code.FILE_TRUNCATED,
                fix="copy or export the file again from its source",
            )
        entries, at = tiff.page(at)
        stop = max(map(tiff.stop, entries))
        if stop > size:
            raise FormatError(
                f"a tag of page {len(seen)} of the TIFF ends at byte {stop}, but the file has {size} bytes",
                code=Code.FILE_TRUNCATED,
                fix="copy or export the file again from its source",
            )
    return len(seen)
