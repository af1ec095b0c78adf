"""Files that commands write: refused early, and there only when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from voxarium.errors import Code, ExistsError, InputError, StoreError

__all__ = ["check_output", "partial_file", "reserve", "write_whole"]


def check_output(out: Path, suffixes: tuple[str, ...], *, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before any work is done.

    Raises
    ------
    InputError
        If the name ends otherwise than the file will be.
    ExistsError
        If it exists and is not to be replaced, or is a folder.
    StoreError
        If its folder does not exist.
    """
    if out.suffix.lower() not in suffixes:
        raise InputError(
            f"--out {out} does not end with {' or '.join(suffixes)}",
            code=Code.ARGUMENT_INVALID,
            fix=f"name the file {out.name}{suffixes[0]}",
        )
    if out.is_dir() or (out.exists() and not overwrite):
        raise ExistsError(
            f"{out} exists", code=Code.TARGET_EXISTS, fix="choose another name, or replace it with --overwrite"
        )
    if not out.parent.is_dir():
        raise StoreError(
            f"the folder {out.parent} does not exist", code=Code.STORE_UNWRITABLE, fix="make the folder first"
        )


@contextmanager
def partial_file(out: Path) -> Iterator[Path]:
    """Give a path to write to; the file takes its name at the end, and vanishes if anything goes wrong.

    Raises
    ------
    StoreError
        If it cannot be written.
    ReleaseFrozenError
        If it is part of a release.
    """
    from voxarium.core.guarding import refuse_published

    refuse_published(out)
    partial = out.with_name(f".{out.name}.partial")
    try:
        yield partial
        partial.replace(out)
    except OSError as error:
        raise StoreError(
            f"{out} could not be written: {error.strerror or error}",
            code=Code.STORE_UNWRITABLE,
            fix="check the folder's permissions and the space left",
        ) from error
    finally:
        with suppress(OSError):  # on read-only disks even what is not there cannot be removed
            partial.unlink(missing_ok=True)


def reserve(path: Path) -> None:
    """Have the disk set aside all bytes of a file: whoever writes into its mapped pages is killed when there are none.

    Raises
    ------
    OSError
        If there is not enough space.
    """
    allocate = getattr(os, "posix_fallocate", None)  # not on every system
    if allocate is not None:
        with path.open("r+b") as file:
            allocate(file.fileno(), 0, file.seek(0, os.SEEK_END))


def write_whole(out: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all."""
    with partial_file(out) as partial:
        partial.write_bytes(data)
