"""`open`: from an address to an Image, an Array or a Dataset."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from voxarium.core.array import Array
from voxarium.core.array_opening import as_image, how_unlikely, is_accepted, open_array, open_array_asking
from voxarium.core.cropped import PartOfArray
from voxarium.core.dataset import Dataset, names_text
from voxarium.core.image import Image
from voxarium.core.journal import JOB_KEY
from voxarium.core.registry import array_drivers, check_format, collection_drivers, image_drivers
from voxarium.core.remembering import learn, remembering
from voxarium.core.uri import iter_above, open_source_store
from voxarium.errors import Code, FormatError, InputError, NotFoundError, StoreError, UnsupportedError, VoxariumError
from voxarium.model.collection import CollectionDriver, CollectionInfo, Member, MemberKind, member_key
from voxarium.model.copies import CopyingDriver
from voxarium.model.image import ArrayInfo, ImageInfo, LevelInfo
from voxarium.model.keys import resolved_key
from voxarium.model.protocols import ArrayDriver, ImageDriver, ListableStore, ReadableStore

__all__ = [
    "as_image",
    "described_above",
    "find",
    "images_below",
    "only_image",
    "open",
    "open_array",
    "open_image",
    "open_in",
    "open_member",
    "open_one",
]

_T = TypeVar("_T")
_NOT_MINE: Final = (Code.FORMAT_UNRECOGNISED, Code.METADATA_MISSING)


def open(
    uri: str | os.PathLike[str], *, format: str | None = None, references: Sequence[str] = (), **options: Any
) -> Image | Dataset:
    """Open what is at a path or URI.

    Parameters
    ----------
    uri : str or path
        A local path, ``https://``, ``s3://``, ``gs://``, ``az://`` or any fsspec address;
        ``file.h5::/dataset`` and ``archive.ozx::labels/x`` name things inside files.
    format : str or None
        Name of the driver; None = find out.
    references : sequence of str
        For reference files: prefixes of addresses they may lead to, besides the folder they are in.
    **options
        Options of the driver, such as ``shape=`` and ``dtype=`` for raw binary files.

    Returns
    -------
    Image or Dataset
        A single array opens as an image with one level; a folder of images as a dataset.

    Raises
    ------
    NotFoundError
        If nothing is there, or nothing that any driver recognises.
    FormatError
        If it is there and broken.
    InputError
        If there is no such format or option.

    Examples
    --------
    >>> import voxarium
    >>> image = voxarium.open("archive.ome.zarr")  # doctest: +SKIP
    """
    if format is not None:
        check_format(format)
    store, path = open_source_store(uri, references=references)
    part = _open_from_above(uri, format, options)
    if part is not None:
        return part
    try:
        return open_in(store, path, format=format, **options)
    except NotFoundError as error:
        if error.code not in _NOT_MINE:
            raise
        with suppress(StoreError):  # servers may refuse what is above
            part = _open_from_above(uri, format, options, far=True)
        if part is None:
            raise
        return part


def _open_from_above(
    uri: str | os.PathLike[str], format: str | None, options: dict[str, Any], *, far: bool = False
) -> Image | None:
    """Open a folder that is part of something larger, and described by a document of a folder above it."""
    for store, path, name in described_above(uri, format, far=far):
        try:
            return open_image(store, path, format=name, **options)
        except NotFoundError as error:
            if error.code == Code.IMAGE_INCOMPLETE:
                raise
    return None


def described_above(
    uri: str | os.PathLike[str], format: str | None = None, *, far: bool = False
) -> Iterator[tuple[ReadableStore, str, str]]:
    """Yield what may describe a local folder: store of a folder above, path of `uri` in it, name of the driver.

    With `far`, what may describe an address of the web.

    Drivers of such formats name the document as ``enclosing_documents``: layers of a dataset, scales of a volume.
    """
    drivers: list[ImageDriver | ArrayDriver] = [*image_drivers(), *array_drivers()]
    drivers = [d for d in drivers if format in (None, d.name)]
    named = [(d.name, names) for d in drivers if (names := getattr(d, "enclosing_documents", ()))]
    for store, path in iter_above(uri, far=far) if named else ():
        for name, documents in named:
            if any(store.stat(document) is not None for document in documents):
                yield store, path, name


def open_one(uri: str | os.PathLike[str], *, format: str | None = None, **options: Any) -> Image:
    """Open exactly one image.

    Raises
    ------
    InputError
        If several images are there.
    """
    return only_image(open(uri, format=format, **options), os.fspath(uri))


def only_image(found: Image | Dataset, uri: str) -> Image:
    """Return the only image of what was opened.

    Raises
    ------
    InputError
        If several images are there.
    """
    while isinstance(found, Dataset) and len(found) == 1:
        found = found[found.keys()[0]]
    if isinstance(found, Image):
        return found
    what = "a folder" if found.kind == "folder" else f"a {found.kind}"
    example = found.keys()[0] if found.members else ""
    where = f"{uri.rstrip('/')}{'' if example.startswith('::') else '/'}{example}"
    raise InputError(
        f"{uri} is no image, but {what} with {len(found):,}: {names_text(found.keys())}",
        code=Code.ARGUMENT_INVALID,
        fix=f"name one of them, such as {where}",
    )


def open_in(store: ReadableStore, path: str = "", *, format: str | None = None, **options: Any) -> Image | Dataset:
    """Open what is at `path` in a store; see `open`."""
    try:
        found = _complete(store, path, format, lambda: _find(store, path, format, options, collections=True))
    except NotFoundError as error:
        if error.code not in _NOT_MINE or not isinstance(store, ListableStore):
            raise
        folder = _search(store, path, 2)
        if not folder.members and folder.problems:
            raise next(iter(folder.problems.values())) from error
        if not folder.members:
            raise
        return folder
    return found if isinstance(found, Image) else _dataset(store, path, found)


# -- collections
def _dataset(store: ReadableStore, path: str, info: CollectionInfo) -> Dataset:
    return Dataset(store, path, info, lambda member: open_member(store, path, info, member))


def open_member(store: ReadableStore, path: str, info: CollectionInfo, member: Member) -> Image | Dataset:
    """Open a member of the collection at `path`.

    Raises
    ------
    NotFoundError, FormatError, UnsupportedError
        If it is not there, or cannot be opened.
    """
    below = member_key(path, member.path)
    names = {*(d.name for d in image_drivers()), *(d.name for d in collection_drivers())}
    found = _with_carried(_known_or_any(store, below, info.format if info.format in names else None), info, member)
    if member.kind == "label" and isinstance(found, Image) and found.role == "intensity" and found.dtype.kind in "iu":
        return Image(store, below, replace(found.info, role="label"), found.arrays)
    return found


def _with_carried(found: Image | Dataset, info: CollectionInfo, member: Member) -> Image | Dataset:
    """Return a member with what its collection knows about it."""
    known = {} if info.carried is None or not isinstance(found, Image) else info.carried(member)
    if not known or not isinstance(found, Image):
        return found
    bag = replace(found.info.bag, extra={**known, **found.info.bag.extra})
    return Image(found.store, found.path, replace(found.info, bag=bag), found.arrays)


def _known_or_any(store: ReadableStore, path: str, format: str | None) -> Image | Dataset:
    """Open what is most likely of one format, asking nobody else then; else whatever is there."""
    if format is None:
        return open_in(store, path)
    try:
        found = _find(store, path, format, {}, collections=True)
    except NotFoundError as error:
        if error.code not in _NOT_MINE:
            raise
        try:
            return open_in(store, path)
        except NotFoundError as other:
            raise (error if other.code in _NOT_MINE else other) from None
    return found if isinstance(found, Image) else _dataset(store, path, found)


def find(store: ReadableStore, path: str = "") -> Image | Dataset:
    """Open what is at `path`: an image, or a collection that a document lists; folders are not searched."""
    found = _complete(store, path, None, lambda: _find(store, path, None, {}, collections=True))
    return found if isinstance(found, Image) else _dataset(store, path, found)


def _search(store: ListableStore, path: str, depth: int) -> Dataset:
    """Return what is found in the folders below `path`."""
    found: dict[str, Image] = {}
    members: list[Member] = []
    problems: dict[str, VoxariumError] = {}
    for below, item in _iter_below(store, path, depth, collections=True):
        key = below.removeprefix(f"{path}/") if path else below
        if isinstance(item, VoxariumError):
            problems[key] = item
            continue
        kind: MemberKind = "label" if isinstance(item, Image) and item.role == "label" else "image"
        if isinstance(item, Image):
            found[key] = item
        members.append(Member(path=key, name=key, kind=kind if isinstance(item, Image) else "collection"))
    info = CollectionInfo(format="folder", kind="folder", members=tuple(members))
    opener = partial(open_member, store, path, info)
    return Dataset(store, path, info, opener, opened=found, problems=problems)


def images_below(store: ListableStore, path: str = "", depth: int = 2) -> tuple[list[Image], dict[str, VoxariumError]]:
    """Find images in the folders below `path`; a folder that is an image is not searched further.

    Returns
    -------
    (list of Image, dict)
        What opened, and by path why other things that are images did not.
    """
    found: list[Image] = []
    problems: dict[str, VoxariumError] = {}
    for below, item in _iter_below(store, path, depth, collections=False):
        if isinstance(item, Image):
            found.append(item)
        elif isinstance(item, VoxariumError):
            problems[below] = item
    return found, problems


def _iter_below(
    store: ListableStore, path: str, depth: int, *, collections: bool
) -> Iterator[tuple[str, Image | CollectionInfo | VoxariumError]]:
    """Yield (path, what it is) of images and collections in folders, and of such that do not open."""
    for name in store.list_dir(path)[1]:
        below = f"{path}/{name}" if path else name
        looking = partial(_find, store, below, None, {}, collections=collections)
        try:
            yield below, _complete(store, below, None, looking)
        except NotFoundError as error:
            if error.code == Code.IMAGE_INCOMPLETE:
                yield below, error
            elif depth > 1:
                yield from _iter_below(store, below, depth - 1, collections=collections)
        except (FormatError, UnsupportedError) as error:
            yield below, error


# -- images and arrays
def open_image(store: ReadableStore, path: str = "", *, format: str | None = None, **options: Any) -> Image:
    """Open an image, or an array as an image with one level."""
    found = _complete(store, path, format, lambda: _find(store, path, format, options, collections=False))
    if isinstance(found, Image):
        return found
    raise TypeError("not an image")  # pragma: no cover  collections were not asked for


def _complete(store: ReadableStore, path: str, format: str | None, look: Callable[[], _T]) -> _T:
    """Return what is found at `path`, unless a job has not finished it."""
    local = store.concurrency == 1  # elsewhere the question costs a request: asked when nothing opens
    if local:
        _refuse_incomplete(store, path)
    try:
        return look()
    except NotFoundError:
        if not local:
            _refuse_incomplete(store, path)
        raise


def _refuse_incomplete(store: ReadableStore, path: str) -> None:
    """Say so when a job has not finished what is at `path`: chunks alone are no image."""
    if "::" in path or store.stat(f"{path}/{JOB_KEY}" if path else JOB_KEY) is None:
        return
    where = "/".join(p for p in (store.uri, path) if p)
    raise NotFoundError(
        f"the image at {where} is incomplete: its conversion was stopped or is still running",
        code=Code.IMAGE_INCOMPLETE,
        fix="run the same voxarium convert command again with --resume (voxarium copy: as it was), or begin anew with "
        "--overwrite",
    )


def _find(
    store: ReadableStore, path: str, format: str | None, options: dict[str, Any], *, collections: bool
) -> Image | CollectionInfo:
    """Ask image drivers, then drivers of collections, then array drivers."""
    asked = remembering(store)
    lists = _Lists(asked, path, format if collections else None, collections and not options)
    refused: NotFoundError | None = None
    for driver in _named(image_drivers(), format):
        try:
            return _image_of(driver, store, asked, path, options)
        except NotFoundError as error:
            refused = error
            # A driver that knows the document, but as something else than an image, knows best who to ask.
            listed = lists.ask(driver.name) if error.code == Code.FORMAT_UNRECOGNISED else None
            if listed is not None:
                return listed
    listed = lists.ask(None)
    if listed is not None:
        return listed
    if format is not None and not _named(array_drivers(), format):
        if refused is not None:
            raise refused  # the convention that was asked for says best why this is none of its images
        if collections and _named(collection_drivers(), format):
            where = "/".join(p for p in (store.uri, path) if p)
            raise NotFoundError(
                f"no {format} collection at {where}",
                code=Code.FORMAT_UNRECOGNISED,
                fix="check the path, or leave the format open",
            )
    return as_image(open_array_asking(store, asked, path, format, options))


def _image_of(
    driver: ImageDriver, store: ReadableStore, asked: ReadableStore, path: str, options: dict[str, Any]
) -> Image:
    opened: dict[str, Array] = {}

    def open_level(key: str) -> ArrayInfo:
        if not opened and isinstance(driver, CopyingDriver):
            learn(asked, lambda: driver.copies(asked, path))
        array = opened[key] = open_array_asking(store, asked, key, None, {})
        return array.info

    own = options if options and is_accepted(driver, options) else {}
    opening: Any = driver.open  # Any: options that only some drivers take
    info: ImageInfo = opening(asked, path, open_level, **own)
    arrays = tuple(_level_array(opened[resolved_key(path, level.path)], level) for level in info.levels)
    return Image(store, path, info, arrays)


class _Lists:
    """Asks drivers of collections about one place, each once."""

    def __init__(self, asked: ReadableStore, path: str, format: str | None, wanted: bool) -> None:
        self._asked = asked
        self._path = path
        drivers = _named(collection_drivers(), format) if wanted else ()
        self._left = [d for d in drivers if how_unlikely(d, path) < 2]

    def ask(self, name: str | None) -> CollectionInfo | None:
        """Return what the drivers of a name, or all that were not asked yet, find."""
        for driver in [d for d in self._left if name in (None, d.name)]:
            self._left.remove(driver)
            try:
                return driver.open(self._asked, self._path)
            except NotFoundError as error:
                if error.code not in _NOT_MINE:
                    raise
        return None


_D = TypeVar("_D", ArrayDriver, ImageDriver, CollectionDriver)


def _named(drivers: tuple[_D, ...], name: str | None) -> tuple[_D, ...]:
    return drivers if name is None else tuple(d for d in drivers if d.name == name)[:1]


def _level_array(stored: Array, level: LevelInfo) -> Array:
    return stored if level.part is None else PartOfArray(stored, level.part, level.array)
