"""Opening single arrays: which driver, and which options it takes."""

from __future__ import annotations

from typing import Any

from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.core.registry import array_driver, array_drivers
from voxarium.core.remembering import remembering
from voxarium.errors import Code, InputError, NotFoundError
from voxarium.model.axes import Axis
from voxarium.model.collection import CollectionDriver
from voxarium.model.image import ChannelDisplay, Display, ImageInfo, LevelInfo
from voxarium.model.protocols import ArrayDriver, ImageDriver, ReadableStore
from voxarium.model.transforms import Identity

__all__ = ["as_image", "how_unlikely", "is_accepted", "open_array", "open_array_asking"]


def is_accepted(driver: ArrayDriver | ImageDriver, options: dict[str, Any]) -> bool:
    """Tell whether a driver takes all of the options."""
    return set(options) <= set(getattr(driver, "options", ()))


def how_unlikely(driver: ArrayDriver | CollectionDriver, path: str) -> int:
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
    return open_array_asking(store, remembering(store), path, format, options)


def open_array_asking(
    store: ReadableStore, asked: ReadableStore, path: str, format: str | None, options: dict[str, Any]
) -> Array:
    """Open an array of `store`, whose documents are asked for through `asked`."""
    options = {k: v for k, v in options.items() if v is not None}
    candidates = array_drivers() if format is None else (array_driver(format),)
    able = [d for d in candidates if is_accepted(d, options)]
    if not able:
        raise InputError(
            f"no driver takes the option {', '.join(options)}",
            code=Code.ARGUMENT_INVALID,
            fix="name the format, and check its options in the documentation",
        )
    telling: NotFoundError | None = None
    for driver in sorted(able, key=lambda d: how_unlikely(d, path)):
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
    labels = next((a.labels for a in axes if a.type == "channel"), ())
    shown = Display(channels=tuple(ChannelDisplay(label=label) for label in labels))
    image = ImageInfo(format=info.format, axes=axes, levels=(level,), axes_stated=info.axes is not None, display=shown)
    return Image(array.store, array.path, image, (array,))
