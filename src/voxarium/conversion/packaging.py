"""Targets that are one file: a conversion leaves parts in a folder beside it, and they are put together at the end.

That is so for formats that are one file, and for archives (``.ozx``, ``.zip``) of all others.

Many threads cannot write one such file, but they can write its chunks as objects, as for any other format, and a
killed job resumes. Putting together copies bytes that are encoded already, in one pass; the file appears whole, under
a temporary name until then.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any, BinaryIO, Final, Protocol, runtime_checkable

from voxarium.core.guarding import refuse_published
from voxarium.core.journal import JOB_FOLDER
from voxarium.core.registry import writable_array_driver
from voxarium.errors import Code, ExistsError, InputError, StoreError
from voxarium.model.protocols import ByteRange, ListableStore, ReadableStore, WritableImageDriver, WritableStore
from voxarium.stores.zip_writer import ZipWriter

__all__ = [
    "PackagingDriver",
    "archive",
    "check_file",
    "check_suffix",
    "discard",
    "package",
    "packaging_driver",
    "parts_address",
]

_PARTS: Final = ".parts"
_PARTIAL: Final = ".partial"
_PIECE: Final = 8 << 20


@runtime_checkable
class PackagingDriver(Protocol):
    """A driver whose parts become one file: of a convention, or of the container several conventions share."""

    def package(self, parts: ListableStore, path: str, file: BinaryIO, /) -> None:
        """Write the file from the parts at `path`; the same parts give the same bytes."""


def packaging_driver(driver: WritableImageDriver) -> PackagingDriver | None:
    """Return the convention, or else its container, if it makes one file of its parts."""
    container = writable_array_driver(driver.array_driver(driver.spec_versions[0]))
    for candidate in (driver, container):
        if "package" in candidate.capabilities and isinstance(candidate, PackagingDriver):
            return candidate
    return None


def check_suffix(driver: WritableImageDriver, target: str) -> None:
    """Raise InputError when a file of this name would not be found again for what it is.

    Conventions tell the ends of such names in a class attribute ``file_suffixes``; those without take any.
    """
    suffixes: tuple[str, ...] = getattr(driver, "file_suffixes", ())
    name = target.rstrip("/").rpartition("/")[2]
    if suffixes and not name.lower().endswith(suffixes):
        raise InputError(
            f"a file of {driver.name} is not recognised by the name {name!r}",
            code=Code.URI_INVALID,
            fix=f"let it end with {' or '.join(suffixes)}",
        )


def parts_address(target: str) -> str:
    """Return where the parts of a file are kept until it is complete: a hidden folder beside it.

    Raises
    ------
    InputError
        If the file is not to be on this machine.

    Examples
    --------
    >>> parts_address("out/em.h5")
    'out/.em.h5.parts'
    """
    folder, name = os.path.split(target.removeprefix("file://").rstrip("/"))
    if "://" in target.removeprefix("file://") or "::" in target or not name:
        raise InputError(
            f"one file cannot be written to {target}",
            code=Code.URI_INVALID,
            fix="write it to a path on this machine, then copy it; an archive is written as a whole",
        )
    return os.path.join(folder, f".{name}{_PARTS}")


def check_file(target: str, *, overwrite: bool) -> None:
    """Raise ExistsError when something is there that may not be replaced; a folder never is, nor what was published."""
    if os.path.isdir(target) or (os.path.lexists(target) and not overwrite):
        folder = os.path.isdir(target)
        raise ExistsError(
            f"{target} {'is a folder' if folder else 'exists'}",
            code=Code.TARGET_EXISTS,
            fix="choose another target" + ("" if folder else ", or replace it with --overwrite"),
        )
    refuse_published(target)


def package(driver: PackagingDriver, parts: ListableStore, path: str, target: str) -> int:
    """Put the parts together into the file `target`, replacing any; return its size in bytes.

    Parameters
    ----------
    driver : PackagingDriver
        Who knows how.
    parts : ListableStore
        Where the parts are.
    path : str
        Their path in the store.
    target : str
        The file. It appears whole or not at all.

    Raises
    ------
    StoreError
        If it cannot be written.
    FormatError
        If the parts are broken.
    """
    partial = os.path.join(os.path.dirname(target), f".{os.path.basename(target)}{_PARTIAL}")
    try:
        with open(partial, "w+b") as file:
            driver.package(parts, path, file)
        size = os.path.getsize(partial)
        os.replace(partial, target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial)
    return size


def _unwritable(target: str, error: OSError) -> StoreError:
    return StoreError(
        f"{target} could not be written: {error.strerror or error}",
        code=Code.STORE_FULL if error.errno == errno.ENOSPC else Code.STORE_UNWRITABLE,
        fix="free some space, or check the permissions of the folder; then run the same command with --resume",
    )


def archive(parts: ListableStore, target: str) -> int:
    """Put all objects of a conversion into the archive `target`, replacing any; return its size in bytes.

    Nothing is compressed once more, documents stand first, and the same objects give the same bytes. Memory: a piece of
    eight megabytes.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        with ZipWriter(target, overwrite=True) as file:
            for key, size in sorted(parts.list("")):
                if not key.startswith(f"{JOB_FOLDER}/"):
                    _add(file, parts, key, size)
        return os.path.getsize(target)
    except OSError as error:
        raise _unwritable(target, error) from error


def _add(file: ZipWriter, parts: ReadableStore, key: str, size: int) -> None:
    writer = file.create(key)
    try:
        for start in range(0, size, _PIECE):
            found = parts.get_ranges(key, [ByteRange(start, min(_PIECE, size - start))])
            if found is None:
                raise StoreError(
                    f"{key} is gone from {parts.uri}",
                    code=Code.PATH_MISSING,
                    fix="something else removes files there; run the same command with --resume",
                )
            writer.write(found[0])
        writer.commit()
    except BaseException:
        writer.abort()
        raise


def discard(parts: Any, address: str) -> None:  # Any: a store that lists and deletes
    """Remove the parts of a file that is complete, and their folder."""
    if not isinstance(parts, WritableStore) or not isinstance(parts, ListableStore):
        return
    for key in [key for key, _ in parts.list("")]:
        parts.delete(key)
    for folder, _, _ in os.walk(address, topdown=False):
        with contextlib.suppress(OSError):  # something else is in it
            os.rmdir(folder)
