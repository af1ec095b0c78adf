"""Which drivers exist: entry points of installed packages, and those registered by hand."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.checks import CheckDriver
from voxarium.model.collection import CollectionDriver
from voxarium.model.protocols import ArrayDriver, ImageDriver, WritableArrayDriver, WritableImageDriver
from voxarium.model.upgrades import UpgradeDriver
from voxarium.model.versioned import VersionedStoreDriver

__all__ = [
    "array_driver",
    "array_drivers",
    "check_drivers",
    "check_format",
    "collection_drivers",
    "image_driver",
    "image_drivers",
    "picture_drawers",
    "register_array_driver",
    "register_collection_driver",
    "register_image_driver",
    "release_export",
    "release_exports",
    "server_driver",
    "upgrade_driver",
    "versioned_store_driver",
    "versioned_store_drivers",
    "writable_array_driver",
    "writable_image_driver",
]

_ARRAYS: Final = "voxarium.array_drivers"
_IMAGES: Final = "voxarium.image_drivers"
_COLLECTIONS: Final = "voxarium.collection_drivers"
_UPGRADES: Final = "voxarium.upgrades"
_CHECKS: Final = "voxarium.checks"
_SERVERS: Final = "voxarium.servers"
_EXPORTS: Final = "voxarium.release_exports"
_VERSIONED: Final = "voxarium.versioned_stores"
_PICTURES: Final = "voxarium.pictures"
_added: dict[str, list[Any]] = {_ARRAYS: [], _IMAGES: [], _COLLECTIONS: []}  # Any: drivers of any kind


@cache
def _offered() -> Any:  # Any: its type depends on the version of Python
    """Return what installed packages offer: found once, because every package is asked."""
    return entry_points()


@cache
def _installed(group: str) -> tuple[Any, ...]:
    """Load the drivers that installed packages offer; our own first, so nobody shadows them by accident.

    A driver with a lower ``precedence`` (0 unless it says so) is asked earlier: narrow conventions before wide ones.
    """
    newest_first = sorted(_offered().select(group=group), key=lambda e: e.name, reverse=True)  # zarr3 before zarr2
    found = sorted(newest_first, key=lambda e: not e.value.startswith("voxarium."))
    return tuple(sorted((e.load()() for e in found), key=lambda d: getattr(d, "precedence", 0)))


def register_array_driver(driver: ArrayDriver) -> None:
    """Add a driver for this process. Installed packages use the entry point ``voxarium.array_drivers`` instead."""
    _added[_ARRAYS].append(driver)


def register_image_driver(driver: ImageDriver) -> None:
    """Add an image driver for this process; see `register_array_driver`."""
    _added[_IMAGES].append(driver)


def register_collection_driver(driver: CollectionDriver) -> None:
    """Add a driver of collections for this process; see `register_array_driver`."""
    _added[_COLLECTIONS].append(driver)


def array_drivers() -> tuple[ArrayDriver, ...]:
    """Return every array driver in the order in which they are tried."""
    return (*_added[_ARRAYS], *_installed(_ARRAYS))


def image_drivers() -> tuple[ImageDriver, ...]:
    """Return every image driver in the order in which they are tried."""
    return (*_added[_IMAGES], *_installed(_IMAGES))


def collection_drivers() -> tuple[CollectionDriver, ...]:
    """Return every driver of collections in the order in which they are tried."""
    return (*_added[_COLLECTIONS], *_installed(_COLLECTIONS))


def check_drivers() -> tuple[CheckDriver, ...]:
    """Return every driver that checks stored documents."""
    return _installed(_CHECKS)


def server_driver(name: str) -> Any:  # Any: faces towards other systems have their own classes
    """Return what opens datasets of servers of a kind, in that kind's words."""
    return _named(_installed(_SERVERS), name, "server")


def release_exports() -> tuple[Any, ...]:  # Any: their protocol belongs to a higher layer
    """Return every adapter that hands releases to other systems."""
    return _installed(_EXPORTS)


def release_export(name: str) -> Any:
    """Return the adapter of this name; see `voxarium.archive.exports`."""
    return _named(_installed(_EXPORTS), name, "export")


def versioned_store_drivers() -> tuple[VersionedStoreDriver, ...]:
    """Return every driver of stores that keep versions."""
    return _installed(_VERSIONED)


def versioned_store_driver(name: str) -> VersionedStoreDriver:
    """Return the driver of this name of stores that keep versions."""
    driver: VersionedStoreDriver = _named(versioned_store_drivers(), name, "versioned store")
    return driver


def picture_drawers() -> tuple[Any, ...]:  # Any: they lie above this layer; each has ``draw(image) -> bytes``
    """Return what draws small pictures of images, as PNG files."""
    return _installed(_PICTURES)


def _writable(drivers: tuple[Any, ...]) -> str:  # Any: drivers of either kind
    return " or ".join(str(d.name) for d in drivers if "write" in d.capabilities)


def _named(drivers: tuple[Any, ...], name: str, kind: str, ability: str = "") -> Any:  # Any: the caller's kind
    """Return the driver of this name; the error names those that have the ability that is asked for."""
    for driver in drivers:
        if driver.name == name:
            return driver
    known = ", ".join(sorted({d.name for d in drivers if not ability or ability in d.capabilities}))
    raise InputError(
        f"no {f'{kind} driver' if kind else 'format'} is called {name!r}",
        code=Code.FORMAT_UNRECOGNISED,
        fix=f"use one of {known}, or install the package that brings it",
    )


def check_format(name: str) -> None:
    """Refuse a format that no driver of any kind reads.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    _named((*image_drivers(), *array_drivers(), *collection_drivers()), name, "")


def array_driver(name: str) -> ArrayDriver:
    """Return the array driver of this name."""
    driver: ArrayDriver = _named(array_drivers(), name, "array")
    return driver


def image_driver(name: str) -> ImageDriver:
    """Return the image driver of this name."""
    driver: ImageDriver = _named(image_drivers(), name, "image")
    return driver


def writable_array_driver(name: str) -> WritableArrayDriver:
    """Return the array driver of this name if it can write."""
    driver = _named(array_drivers(), name, "array", "write")
    if isinstance(driver, WritableArrayDriver):
        return driver
    raise UnsupportedError(
        f"format {name!r} can be read, not written",
        code=Code.FEATURE_UNSUPPORTED,
        fix=f"write to {_writable(array_drivers())}",
    )


def writable_image_driver(name: str) -> WritableImageDriver:
    """Return the image driver of this name if it can write."""
    driver = _named(image_drivers(), name, "image", "write")
    if isinstance(driver, WritableImageDriver):
        return driver
    raise UnsupportedError(
        f"format {name!r} can be read, not written",
        code=Code.FEATURE_UNSUPPORTED,
        fix=f"write to {_writable(image_drivers())}",
    )


def upgrade_driver(name: str) -> UpgradeDriver:
    """Return the driver of this name that brings stored metadata to later versions."""
    driver: UpgradeDriver = _named(_installed(_UPGRADES), name, "upgrade")
    return driver
