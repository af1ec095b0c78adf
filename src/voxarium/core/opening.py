"""`open`: from an address to an Image, an Array or a Dataset."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from voxarium.core.array import Array
from voxarium.core.cropped import PartOfArray
from voxarium.core.dataset import Dataset
from voxarium.core.image import Image
from voxarium.core.journal import JOB_KEY
from voxarium.core.registry import array_driver, array_drivers, image_driver, image_drivers
from voxarium.core.remembering import remembering
from voxarium.core.uri import iter_above, open_source_store
from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo, LevelInfo
from voxarium.model.keys import resolved_key
from voxarium.model.protocols import ArrayDriver, ImageDriver, ListableStore, ReadableStore
from voxarium.model.transforms import Identity

__all__ = ["as_image", "images_below", "open", "open_array", "open_image", "open_in", "open_one"]


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

    Examples
    --------
    >>> import voxarium
    >>> image = voxarium.open("archive.ome.zarr")  # doctest: +SKIP
    """
    store, path = open_source_store(uri, references=references)
    part = _open_from_above(uri, format, options)
    return open_in(store, path, format=format, **options) if part is None else part


def _open_from_above(uri: str | os.PathLike[str], format: str | None, options: dict[str, Any]) -> Image | None:
    """Open a folder that is part of something larger, and described by a document of a folder above it.

    Drivers of such formats name the document as ``enclosing_documents``: layers of a dataset, scales of a volume.
    """
    drivers: list[ImageDriver | ArrayDriver] = [*image_drivers(), *array_drivers()]
    drivers = [d for d in drivers if format in (None, d.name)]
    named = [(d.name, names) for d in drivers if (names := getattr(d, "enclosing_documents", ()))]
    if not named:
        return None
    for store, path in iter_above(uri):
        for name, documents in named:
            if any(store.stat(document) is not None for document in documents):
                try:
                    return open_image(store, path, format=name, **options)
                except NotFoundError as error:
                    if error.code == Code.IMAGE_INCOMPLETE:
                        raise
    return None


def open_one(uri: str | os.PathLike[str], *, format: str | None = None, **options: Any) -> Image:
    """Open exactly one image.

    Raises
    ------
    InputError
        If several images are there.
    """
    found = open(uri, format=format, **options)
    if isinstance(found, Dataset):
        raise InputError(
            f"{os.fspath(uri)} is no image, but a folder with {len(found)}",
            code=Code.ARGUMENT_INVALID,
            fix=f"name one of them: {', '.join(found.keys())}",
        )
    return found


def open_in(store: ReadableStore, path: str = "", *, format: str | None = None, **options: Any) -> Image | Dataset:
    """Open what is at `path` in a store; see `open`."""
    try:
        return open_image(store, path, format=format, **options)
    except NotFoundError as error:
        if error.code not in (Code.FORMAT_UNRECOGNISED, Code.METADATA_MISSING):
            raise
        images, problems = images_below(store, path) if isinstance(store, ListableStore) else ([], {})
        _add_listed(store, path, images, problems)
        if not images and problems:
            raise next(iter(problems.values())) from error
        if not images:
            raise
        return Dataset(store, path, tuple(images), problems)


def _add_listed(store: ReadableStore, path: str, images: list[Image], problems: dict[str, VoxariumError]) -> None:
    """Add images that a document at `path` lists and a search of folders did not meet, or could not.

    Drivers of conventions with such documents have a method ``members(store, path)``: names below `path`.
    """
    known = {image.path for image in images} | problems.keys()
    for driver in image_drivers():
        for name in _members(driver, store, path, problems):
            below = f"{path}/{name}" if path else name
            if below in known:
                continue
            known.add(below)
            try:
                images.append(open_image(store, below, format=driver.name))
            except VoxariumError as error:
                problems[below] = error


def _members(
    driver: ImageDriver, store: ReadableStore, path: str, problems: dict[str, VoxariumError]
) -> tuple[str, ...]:
    members: Callable[[ReadableStore, str], tuple[str, ...]] | None = getattr(driver, "members", None)
    if members is None:
        return ()
    try:
        return members(store, path)
    except FormatError as error:  # a broken list does not hide what was found without it
        problems[path] = error
        return ()


def images_below(store: ListableStore, path: str = "", depth: int = 2) -> tuple[list[Image], dict[str, VoxariumError]]:
    """Find images in the folders below `path`; a folder that is an image is not searched further.

    Returns
    -------
    (list of Image, dict)
        What opened, and by path why other things that are images did not.
    """
    found: list[Image] = []
    problems: dict[str, VoxariumError] = {}
    for name in store.list_dir(path)[1]:
        below = f"{path}/{name}" if path else name
        try:
            found.append(open_image(store, below))
        except NotFoundError as error:
            if error.code == Code.IMAGE_INCOMPLETE:
                problems[below] = error
            elif depth > 1:
                deeper, wrong = images_below(store, below, depth - 1)
                found.extend(deeper)
                problems |= wrong
        except (FormatError, UnsupportedError) as error:
            problems[below] = error
    return found, problems


def open_image(store: ReadableStore, path: str = "", *, format: str | None = None, **options: Any) -> Image:
    """Open an image, or an array as an image with one level."""
    local = store.concurrency == 1  # elsewhere the question costs a request: asked when nothing opens
    if local:
        _refuse_incomplete(store, path)
    try:
        return _open_complete(store, path, format, options)
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
        fix="run the same voxarium convert command again with --resume, or begin anew with --overwrite",
    )


def _open_complete(store: ReadableStore, path: str, format: str | None, options: dict[str, Any]) -> Image:
    opened: dict[str, Array] = {}
    asked = remembering(store)

    def open_level(key: str) -> ArrayInfo:
        array = opened[key] = _open_array(store, asked, key, None, {})
        return array.info

    arrays_too = format is None or any(d.name == format for d in array_drivers())
    for driver in _image_candidates(format):
        try:
            info = driver.open(asked, path, open_level)
        except NotFoundError:
            if not arrays_too:
                raise  # the convention that was asked for says best why this is none of its images
            continue
        arrays = tuple(_level_array(opened[resolved_key(path, level.path)], level) for level in info.levels)
        return Image(store, path, info, arrays)
    array = _open_array(store, asked, path, format, options)
    return as_image(array)


def _level_array(stored: Array, level: LevelInfo) -> Array:
    return stored if level.part is None else PartOfArray(stored, level.part, level.array)


def _image_candidates(name: str | None) -> tuple[ImageDriver, ...]:
    if name is None:
        return image_drivers()
    return (image_driver(name),) if any(d.name == name for d in image_drivers()) else ()


def _accepted(driver: ArrayDriver, options: dict[str, Any]) -> bool:
    return set(options) <= set(getattr(driver, "options", ()))


def _unlikely(driver: ArrayDriver, path: str) -> int:
    """Return how late to ask a driver: every question is a request, and a name mostly tells whose file it is."""
    suffixes = getattr(driver, "suffixes", ())
    if not suffixes:
        return 1
    return 0 if path.partition("::")[0].lower().endswith(tuple(suffixes)) else 2


def open_array(store: ReadableStore, path: str = "", *, format: str | None = None, **options: Any) -> Array:
    """Open one stored grid, whatever its container.

    Raises
    ------
    NotFoundError
        If no driver recognises it.
    InputError
        If no driver takes these options.
    """
    return _open_array(store, remembering(store), path, format, options)


def _open_array(
    store: ReadableStore, asked: ReadableStore, path: str, format: str | None, options: dict[str, Any]
) -> Array:
    """Open an array of `store`, whose documents are asked for through `asked`."""
    options = {k: v for k, v in options.items() if v is not None}
    candidates = array_drivers() if format is None else (array_driver(format),)
    able = [d for d in candidates if _accepted(d, options)]
    if not able:
        raise InputError(
            f"no driver takes the option {', '.join(options)}",
            code=Code.ARGUMENT_INVALID,
            fix="name the format, and check its options in the documentation",
        )
    telling: NotFoundError | None = None
    for driver in sorted(able, key=lambda d: _unlikely(d, path)):
        try:
            return Array(driver, store, path, driver.open(asked, path, **options))
        except NotFoundError as error:
            if error.code not in (Code.METADATA_MISSING, Code.FORMAT_UNRECOGNISED):
                telling = telling or error  # a driver that knows better than "not mine"
    if telling is not None:
        raise telling
    where = "/".join(p for p in (store.uri, path) if p)
    raise NotFoundError(
        f"nothing that can be opened at {where}",
        code=Code.FORMAT_UNRECOGNISED,
        fix=f"check the path; formats known here: {', '.join(sorted({d.name for d in array_drivers()}))}",
    )


def as_image(array: Array) -> Image:
    """Present one array as an image with one level; axes it does not name get placeholders."""
    info = array.info
    axes = info.axes or tuple(Axis(name=f"dim_{i}") for i in range(info.ndim))
    level = LevelInfo(path="", array=info, transform=info.transform or Identity())
    image = ImageInfo(format=info.format, axes=axes, levels=(level,), axes_stated=info.axes is not None)
    return Image(array.store, array.path, image, (array,))
