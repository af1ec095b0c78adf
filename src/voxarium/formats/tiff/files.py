"""From a path to the images of a TIFF file, of several that belong together, or of a companion of such.

Paths: ``file.tif``, ``file.tif::/3`` or ``file.tif::/name`` for one image of several, and a level behind it:
``file.tif::/3/1``. Files that OME-XML names are looked for in the folder of the file, and never outside.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from voxarium.codecs.tiff import TiffFile, TiffLevel, TiffSeries, files_level, open_series, open_tiff
from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place, read_head, truncated
from voxarium.spec.image_headers import check_page_chain, image_kind
from voxarium.spec.ome_xml import OmeDocument, OmeImage, parse_ome_xml

__all__ = ["COMPANION", "SUFFIXES", "Opened", "levels_of", "number_of", "open_any", "split"]

COMPANION: Final = ".companion.ome"
_CERTAIN: Final = (".tif", ".tiff", ".btf", ".tf2", ".tf8")
SUFFIXES: Final = (
    *_CERTAIN, ".lsm", ".stk", ".svs", ".ndpi", ".scn", ".qptiff", ".bif", ".gel", ".flex", ".vsi.tif", COMPANION,
)  # fmt: skip
_MOST_XML: Final = 256 << 20
_MOST_PLANES: Final = 10_000_000
_MOST_FILES: Final = 1_000_000
_MOST_KEPT: Final = 8
_MOST_BYTES: Final = 256 << 20


@dataclass(slots=True)
class Opened:
    """What is at a key.

    Parameters
    ----------
    key : str
        The file: TIFF or companion.
    file : TiffFile or None
        What tifffile says; None for a companion.
    document, raw : OmeDocument, bytes, or None
        The OME-XML, parsed and as found.
    images : tuple of TiffSeries
        All images.
    scattered : bool
        True when the planes are found through the OME-XML, not through tifffile.
    levels : dict
        Levels of images that were opened, by number.
    missing : dict
        How many planes of an image are nowhere, by number.
    generations : dict
        Files of an image and their state, by number, where they can be compared at no cost.
    """

    key: str
    file: TiffFile | None
    document: OmeDocument | None
    raw: bytes | None
    images: tuple[TiffSeries, ...]
    scattered: bool = False
    levels: dict[int, tuple[TiffLevel, ...]] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)
    generations: dict[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def described(self, number: int) -> OmeImage | None:
        """Return what OME-XML says about an image."""
        if self.document is None or number >= len(self.document.images) or not self._matched:
            return None
        return self.document.images[number]

    @property
    def _matched(self) -> bool:
        return self.document is not None and len(self.document.images) == len(self.images)

    @property
    def nbytes(self) -> int:
        """Bytes that keeping it takes, roughly."""
        text = 0 if self.raw is None else 20 * len(self.raw)
        return text + sum(0 if lv.pages is None else lv.pages.nbytes for some in self.levels.values() for lv in some)


# What was parsed last: levels of one image are opened one by one, and parsing a file of many pages takes seconds.
_kept: OrderedDict[tuple[str, str, str], Opened] = OrderedDict()


def split(path: str) -> tuple[str, str]:
    """Return (key of the file, what is named inside it).

    Examples
    --------
    >>> split("a/b.tif::/3/1"), split("b.tif")
    (('a/b.tif', '3/1'), ('b.tif', ''))
    """
    key, _, inner = path.partition("::")
    return key, inner.strip("/")


def open_any(driver: str, store: ReadableStore, key: str) -> Opened:
    """Open a TIFF file or a companion file.

    Raises
    ------
    NotFoundError
        If this is neither.
    FormatError
        If it is broken.
    """
    companion = key.lower().endswith(COMPANION)
    found = read_head(store, key, 16)
    if found is None:
        raise declined(driver, store, key)
    if not companion:
        _check_head(driver, store, key, found)
    stat = store.stat(key)
    name = (store.uri, key, "" if stat is None else stat.generation)
    kept = _kept.get(name)
    if kept is None:
        kept = _open_companion(store, key) if companion else _open_tiff(store, key)
        _keep(name, kept)
    return kept


def _check_head(driver: str, store: ReadableStore, key: str, found: tuple[bytes, int]) -> None:
    head, size = found
    certain = key.lower().endswith(_CERTAIN)
    if image_kind(head) == "tiff" or certain:
        if size < 16:
            raise truncated(place(store, key), size, None)
        if image_kind(head) != "tiff":
            raise FormatError(
                f"{place(store, key)} is no TIFF file",
                code=Code.METADATA_INVALID,
                fix="check that it was copied whole and has the right ending",
            )
        return
    raise declined(driver, store, key)


def _keep(name: tuple[str, str, str], opened: Opened) -> None:
    _kept[name] = opened
    while len(_kept) > 1 and (len(_kept) > _MOST_KEPT or sum(o.nbytes for o in list(_kept.values())) > _MOST_BYTES):
        try:
            _kept.popitem(last=False)
        except KeyError:  # another thread was faster
            return


# ---------------------------------------------------------------------------------------------------- one file
def _open_tiff(store: ReadableStore, key: str) -> Opened:
    file = open_tiff(store, key, check_page_chain)
    opened = Opened(key=key, file=file, document=None, raw=None, images=file.series, levels=dict(file.levels))
    if file.ome_xml is None:
        return opened
    raw = file.ome_xml.encode("utf-8", "replace")
    document = parse_ome_xml(raw, place(store, key))
    if document.metadata_file:
        return _open_companion(store, _beside(store, key, document.metadata_file))
    opened.document, opened.raw = document, raw
    own = key.rpartition("/")[2]
    others = set(document.files) - {own}
    as_ome = all(s.kind == "ome" for s in file.series) and len(file.series) == len(document.images)
    if not document.images or (as_ome and not others):
        return opened
    return _scattered(opened)


def _open_companion(store: ReadableStore, key: str) -> Opened:
    stat = store.stat(key)
    if stat is not None and stat.size > _MOST_XML:
        raise FormatError(
            f"{place(store, key)} has {stat.size} bytes, more than metadata ever needs",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="check that the file is what its name says",
        )
    raw = store.get(key)
    if raw is None:
        raise NotFoundError(
            f"{place(store, key)}, which has the metadata, does not exist",
            code=Code.PATH_MISSING,
            fix="put the companion file into the folder of the TIFF files",
        )
    document = parse_ome_xml(raw, place(store, key))
    return _scattered(Opened(key=key, file=None, document=document, raw=raw, images=()))


def _beside(store: ReadableStore, key: str, name: str) -> str:
    """Return the key of a file that metadata name; it may not leave the folder."""
    folder = key.rpartition("/")[0]
    try:
        if "\\" in name or "::" in name:
            raise InputError("a backslash, or a path inside a file", code=Code.URI_INVALID, fix="")
        return checked_key(f"{folder}/{checked_key(name)}" if folder else name)
    except InputError as error:
        raise FormatError(
            f"{place(store, key)} names the file {name[:200]!r}, which is not in its folder",
            code=Code.METADATA_INVALID,
            fix="put all files of the image into one folder, and correct the names in the OME-XML",
        ) from error


# ------------------------------------------------------------------------------------------------ several files
def _scattered(opened: Opened) -> Opened:
    """List the images as the OME-XML describes them."""
    images = opened.document.images if opened.document is not None else ()
    opened.images = tuple(_listed(image) for image in images)
    opened.scattered = True
    opened.levels = {}
    return opened


def _leading(image: OmeImage) -> list[tuple[str, int]]:
    """Return letter and length of the axes of planes, the slowest first; channels of several samples count once."""
    samples = max(image.samples, default=1)
    found = []
    for letter in reversed(image.order[2:]):
        length = image.sizes.get(letter, 1)
        found.append((letter, max(1, length // samples) if letter == "C" else length))
    return found


def _listed(image: OmeImage) -> TiffSeries:
    leading = [(a, n) for a, n in _leading(image) if n > 1]
    samples = max(image.samples, default=1)
    letters = "".join(a for a, _ in leading) + "YX" + ("S" if samples > 1 else "")
    shape = (*(n for _, n in leading), image.sizes.get("Y", 1), image.sizes.get("X", 1))
    shape = (*shape, samples) if samples > 1 else shape
    dtype = np.dtype(image.dtype) if image.dtype else None
    return TiffSeries(name=image.name, kind="ome", shape=shape, letters=letters, dtype=dtype, level_shapes=(shape,))


def levels_of(store: ReadableStore, opened: Opened, number: int) -> tuple[TiffLevel, ...]:
    """Return the levels of an image, finest first.

    Raises
    ------
    FormatError
        If files are broken, or do not fit together.
    NotFoundError
        If a file is not there.
    """
    found = opened.levels.get(number)
    if any(_state(store, key) != state for key, state in opened.generations.get(number, ())):
        found = None
    if found is None:
        if opened.scattered:
            found = _gathered(store, opened, number)
        else:
            found = open_series(store, opened.key, check_page_chain, number)
        opened.levels[number] = found
    return found


def _gathered(store: ReadableStore, opened: Opened, number: int) -> tuple[TiffLevel, ...]:
    where = f"{place(store, opened.key)}, image {number}"
    image = opened.document.images[number] if opened.document is not None else OmeImage()
    leading = _leading(image)
    total = math.prod(n for _, n in leading)
    if total > _MOST_PLANES:
        raise FormatError(f"{where} claims {total} planes", code=Code.SIZE_IMPLAUSIBLE, fix="check the OME-XML")
    planes: list[tuple[str, int] | None] = [None] * total
    files = _Files(store, opened)
    for block in image.blocks:
        key = files.key(block.file)
        first = {"Z": block.z or 0, "C": block.c or 0, "T": block.t or 0}
        start = 0
        for letter, length in leading:
            start = total if first[letter] >= length else start * length + first[letter]
        page = block.page or 0
        count = block.count
        if count is None:
            count = 1 if block.page is not None else files.pages(key)
        if block.page is None and block.count is None:
            count = min(count, total - start)
        if start + count > total:
            raise FormatError(
                f"{where} places {count} planes from number {start} on, but has {total}",
                code=Code.METADATA_INVALID,
                fix="correct the sizes or TiffData in the OME-XML",
            )
        planes[start : start + count] = [(key, page + i) for i in range(count)]
    missing = planes.count(None)
    if missing == total:
        raise FormatError(f"{where} has no planes", code=Code.METADATA_INVALID, fix="add TiffData to the OME-XML")
    opened.missing[number] = missing
    if store.concurrency == 1:
        keys = dict.fromkeys(entry[0] for entry in planes if entry is not None)
        opened.generations[number] = tuple((key, _state(store, key)) for key in keys)
    kept = [(a, n) for a, n in leading if n > 1]
    return files_level(store, planes, kept, check=check_page_chain, where=where)


def _state(store: ReadableStore, key: str) -> str:
    stat = store.stat(key)
    return "" if stat is None else stat.generation


class _Files:
    """Files that an OME-XML names, and how many pages they have."""

    def __init__(self, store: ReadableStore, opened: Opened) -> None:
        self._store, self._opened = store, opened
        self._keys: dict[str, str] = {}
        self._pages: dict[str, int] = {}

    def key(self, name: str) -> str:
        """Return the key of a file; a single file that was renamed is the one that was opened."""
        known = self._keys.get(name)
        if known is not None:
            return known
        if len(self._keys) >= _MOST_FILES:
            raise FormatError("the OME-XML names too many files", code=Code.SIZE_IMPLAUSIBLE, fix="check it")
        opened = self._opened
        found = opened.key if not name else _beside(self._store, opened.key, name)
        if found != opened.key and self._store.stat(found) is None:
            several = opened.document is not None and len(opened.document.files) > 1
            if several or opened.file is None:
                raise NotFoundError(
                    f"{place(self._store, opened.key)} has planes in {name!r}, which is not in its folder",
                    code=Code.PATH_MISSING,
                    fix="put all files of the image into one folder under their own names",
                )
            found = opened.key
        self._keys[name] = found
        return found

    def pages(self, key: str) -> int:
        """Return the number of pages of a file."""
        if key not in self._pages:
            opened = self._opened
            own = opened.file if key == opened.key else None
            self._pages[key] = (own or open_tiff(self._store, key, check_page_chain, -1)).pages
        return self._pages[key]


# ------------------------------------------------------------------------------------------------------- names
def number_of(store: ReadableStore, opened: Opened, inner: str) -> tuple[int, int]:
    """Return (number of an image, of a level) that a path inside a file means.

    Raises
    ------
    NotFoundError
        If there is no such image.
    """
    head, _, tail = inner.rpartition("/")
    for name, level in ((inner, "0"), (head, tail)):
        number = _numbered(opened, name)
        if number is not None and level.isascii() and level.isdecimal() and len(level) < 4:
            return number, int(level)
    names = ", ".join(f"{i} ({s.name})" if s.name else str(i) for i, s in enumerate(opened.images[:20]))
    raise NotFoundError(
        f"{place(store, opened.key)} has no image {inner!r}",
        code=Code.PATH_MISSING,
        fix=f"choose one of {names}",
    )


def _numbered(opened: Opened, name: str) -> int | None:
    if name.isascii() and name.isdecimal() and len(name) < 9:
        return int(name) if int(name) < len(opened.images) else None
    same = [i for i, s in enumerate(opened.images) if name and s.name == name]
    return same[0] if len(same) == 1 else None


def stated(opened: Opened) -> Any:  # Any: JSON
    """Return what the file says beside OME-XML, by kind."""
    return {} if opened.file is None else opened.file.stated
