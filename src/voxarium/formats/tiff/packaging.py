"""A TIFF file put together from its parts: tiles copied as they are, and behind them the pages that say where."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.tiff import encode_tile
from voxarium.errors import Code, FormatError
from voxarium.model.array_specs import join_key
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ListableStore
from voxarium.model.sources import declined, place
from voxarium.spec import tiff_parts as spec

__all__ = ["put_together"]

_NAME: Final = "ome-tiff"


def put_together(parts: ListableStore, path: str, file: BinaryIO) -> None:
    """Write the file from the parts at `path`, level by level, plane by plane.

    Raises
    ------
    NotFoundError
        If there are no parts.
    FormatError
        If they are broken.
    """
    raw = parts.get(join_key(path, spec.FILE))
    if raw is None:
        raise declined(_NAME, parts, path)
    about = spec.parse_file(raw, place(parts, join_key(path, spec.FILE)))
    levels = [_Tiles(parts, join_key(path, checked_key(name))) for name in about.levels]
    planes = levels[0].about.planes
    if any(level.about.planes != planes for level in levels):
        raise FormatError("the levels differ in planes", code=Code.METADATA_INVALID, fix="begin the conversion anew")
    text = about.description.encode()
    nbytes = sum(level.nbytes for level in levels)
    tiles = sum(level.offsets.size for level in levels)
    big = spec.is_big(nbytes, planes * len(levels), tiles, len(text))
    file.write(spec.dump_start(big))
    for level in levels:
        level.copy(file)
    _write_pages(file, levels, about, big)


class _Tiles:
    """The tiles of one level: where they are among the parts, and where they come to stand."""

    def __init__(self, parts: ListableStore, path: str) -> None:
        key = join_key(path, spec.LEVEL)
        raw = parts.get(key)
        if raw is None:
            raise declined(_NAME, parts, path)
        self.about = spec.parse_level(raw, place(parts, key))
        self._parts, self._path = parts, path
        grid = self.about.grid
        self.offsets: NDArray[np.uint64] = np.zeros((self.about.planes, math.prod(grid[-2:])), np.uint64)
        self.counts = np.zeros_like(self.offsets)
        self._there = np.zeros(grid, np.bool_)
        self.nbytes = 0
        for found, size in parts.list(join_key(path, spec.CHUNKS)):
            index = spec.tile_index(found.removeprefix(f"{path}/"), self.about)
            if index is not None:
                self._there[index] = True
                self.nbytes += size + 8

    def copy(self, file: BinaryIO) -> None:
        """Append all tiles; those that have no object share one of the fill value."""
        absent = (0, 0)
        for number, (index, there) in enumerate(self._indices()):
            at = divmod(number, self.offsets.shape[1])
            if there:
                self.offsets[at], self.counts[at] = _append(file, self._payload(index))
                continue
            if not absent[1]:
                about = self.about
                tile = np.full(about.tile, np.asarray(about.fill_value).astype(about.dtype))
                absent = _append(file, encode_tile(tile, about.compression, about.level))
            self.offsets[at], self.counts[at] = absent

    def _indices(self) -> Iterator[tuple[tuple[int, ...], bool]]:
        for index in np.ndindex(self._there.shape):
            yield index, bool(self._there[index])

    def _payload(self, index: tuple[int, ...]) -> bytes:
        key = join_key(self._path, "/".join((spec.CHUNKS, *map(str, index))))
        payload = self._parts.get(key)
        if payload is None:
            raise FormatError(
                f"{place(self._parts, key)} disappeared while the file was put together",
                code=Code.CHUNK_TRUNCATED,
                fix="run the conversion again with --resume",
            )
        return payload


def _append(file: BinaryIO, data: bytes) -> tuple[int, int]:
    """Write bytes at the end, at an even place; return where they begin, and how many there are."""
    at = file.tell()
    file.write(data + b"\0" * (len(data) % 2))
    return at, len(data)


def _write_pages(file: BinaryIO, levels: list[_Tiles], about: spec.FileParts, big: bool) -> None:
    """Write a page for each plane, behind the pages of its smaller copies, and chain them."""
    file.write(b"\0" * (-file.tell() % 8))
    before = 8 if big else 4  # where the place of the first page belongs
    for plane in range(levels[0].about.planes):
        smaller = []
        for level in levels[1:]:
            smaller.append(file.tell())
            page = spec.PageLayout(
                parts=level.about, offsets=level.offsets[plane], counts=level.counts[plane], reduced=True
            )
            file.write(spec.dump_page(page, file.tell(), big)[0])
        page = spec.PageLayout(
            parts=levels[0].about,
            offsets=levels[0].offsets[plane],
            counts=levels[0].counts[plane],
            smaller=smaller,
            description=b"" if plane else about.description.encode(),
            per_centimeter=about.per_centimeter,
        )
        at = file.tell()
        data, pointer_at = spec.dump_page(page, at, big)
        file.write(data)
        end = file.tell()
        file.seek(before)
        file.write(spec.pointer(at, big))
        file.seek(end)
        before = at + pointer_at
