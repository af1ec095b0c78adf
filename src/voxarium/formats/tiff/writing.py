"""OME-TIFF written: tiles and smaller copies of every plane, BigTIFF where it must be, and the OME-XML."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.tiff import encode_tile
from voxarium.errors import Code, FormatError, InputError
from voxarium.formats.tiff.files import open_any, split
from voxarium.formats.tiff.images import TiffDriver
from voxarium.model.abilities import Holds
from voxarium.model.array_specs import join_key
from voxarium.model.axes import SPACE_UNITS, Axis, unit_factor
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.model.sources import declined, place
from voxarium.model.transforms import Transform, scale_translation
from voxarium.spec import tiff_parts as spec
from voxarium.spec.ome_xml import UNITS, dump_ome_xml

__all__ = ["OmeTiffDriver"]

_NAME: Final = "ome-tiff"
_ORDER: Final = "tczyx"


class OmeTiffDriver(TiffDriver):
    """OME-TIFF files with one image of 2 to 5 axes."""

    name: ClassVar[str] = _NAME
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write", "package"})
    precedence: ClassVar[int] = 10
    suffixes: ClassVar[tuple[str, ...]] = (".ome.tif", ".ome.tiff", ".ome.btf")
    spec_versions: ClassVar[tuple[str, ...]] = ("2016-06",)
    reducible: ClassVar[frozenset[str]] = frozenset("yx")
    """Axes along which levels may be smaller: a smaller copy belongs to one plane."""
    holds: ClassVar[Holds] = Holds(
        dtypes=frozenset(spec.DTYPES),
        ndim=(2, 5),
        axis_names=frozenset(_ORDER),
        units=frozenset(UNITS) & frozenset(SPACE_UNITS),
        name=True,
        windows=True,
        colors=True,
        metadata=True,
        roles=frozenset({"label", "prediction"}),
    )

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Open an image of an OME-TIFF file, as `TiffDriver` does; other TIFF files are none.

        Raises
        ------
        NotFoundError
            If this is no OME-TIFF file.
        FormatError
            If it is broken.
        """
        key, _ = split(path)
        if not key.lower().endswith(TiffDriver.suffixes) or open_any(self.name, store, key).document is None:
            raise declined(self.name, store, path)
        return super().open(store, path, open_array)

    # ------------------------------------------------------------------------------------------------ writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``ome-tiff-parts``."""
        return "ome-tiff-parts"

    def level_path(self, level: int, transform: Transform, _finest: Transform, /) -> str:
        """Return the name of a level among the parts."""
        return f"level{level}"

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return t, c, z, y, x; None when there are other axes, which `check` refuses."""
        names = {a.name for a in axes}
        return tuple(n for n in _ORDER if n in names) if len(names) == len(axes) and names <= set(_ORDER) else None

    def split(self, target: str, /) -> tuple[str, str]:
        """Every file stands for itself."""
        return target, ""

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError when the image has other axes, or levels are smaller along other axes than y and x."""
        names = [a.name for a in image.axes]
        shapes = [level.array.shape for level in image.levels]
        if self.axis_order(image.axes) is None or names[-2:] != ["y", "x"] or 0 in shapes[0]:
            raise InputError(
                f"OME-TIFF holds images with the axes t, c, z, y, x, not {', '.join(names)} {shapes[0]}",
                code=Code.AXES_MISMATCH,
                fix="name the axes with --axes, such as czyx",
            )
        if any(shape[:-2] != shapes[0][:-2] for shape in shapes):
            raise InputError(
                "levels of OME-TIFF are smaller along y and x only",
                code=Code.ARGUMENT_INVALID,
                fix="use --factors 2, or --levels 1",
            )

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Nothing outside the image."""
        return ()

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return ``file.json`` with the OME-XML and the names of the levels."""
        parts = spec.FileParts(
            description=dump_ome_xml(image).decode(),
            levels=tuple(level.path for level in image.levels),
            per_centimeter=_density(image),
        )
        return {join_key(path, spec.FILE): spec.dump_file(parts)}

    def package(self, parts: ListableStore, path: str, file: BinaryIO, /) -> None:
        """Put the parts at `path` together into a file. Tiles are copied as they are, level by level, plane by plane.

        Raises
        ------
        NotFoundError
            If there are no parts.
        FormatError
            If they are broken.
        """
        raw = parts.get(join_key(path, spec.FILE))
        if raw is None:
            raise declined(self.name, parts, path)
        about = spec.parse_file(raw, place(parts, join_key(path, spec.FILE)))
        levels = [_Tiles(parts, join_key(path, checked_key(name))) for name in about.levels]
        planes = levels[0].about.planes
        if any(level.about.planes != planes for level in levels):
            raise FormatError(
                "the levels differ in planes", code=Code.METADATA_INVALID, fix="begin the conversion anew"
            )
        text = about.description.encode()
        nbytes = sum(level.nbytes for level in levels)
        tiles = sum(level.offsets.size for level in levels)
        big = spec.is_big(nbytes, planes * len(levels), tiles, len(text))
        file.write(spec.dump_start(big))
        for level in levels:
            level.copy(file)
        _write_pages(file, levels, about, big)


def _density(image: ImageInfo) -> tuple[float, float] | None:
    """Return voxels per centimeter along x and y, for programs that know no OME-XML."""
    placed = scale_translation(image.levels[0].transform, len(image.axes))
    units = [a.unit for a in image.axes[-2:]]
    if placed is None or any(u not in SPACE_UNITS for u in units):
        return None
    y, x = (
        1 / (abs(s) * unit_factor(str(u), "centimeter")) if s else 0.0
        for s, u in zip(placed[0][-2:], units, strict=True)
    )
    return (x, y) if all(1e-6 < v < 4e9 for v in (x, y)) else None


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
