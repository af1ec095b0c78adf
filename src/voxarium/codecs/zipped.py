"""Payloads that are a zip archive with one member, as KNOSSOS stores cubes of segmentation."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Final

from typing_extensions import Buffer

from voxarium.errors import Code, FormatError

__all__ = ["unzip_only"]

_ERRORS: Final = (zipfile.BadZipFile, zlib.error, OSError, ValueError, KeyError, EOFError, RuntimeError)


def _corrupt(reason: str) -> FormatError:
    return FormatError(f"a zipped cube {reason}", code=Code.CHUNK_CORRUPT, fix="copy it again from its source")


def unzip_only(payload: Buffer, limit: int) -> bytes:
    """Return the first member of an archive, of `limit` bytes at most.

    Raises
    ------
    FormatError
        If this is no archive, or its member is larger.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            names = archive.namelist()
            if not names or archive.getinfo(names[0]).file_size > limit:
                raise _corrupt("is an empty archive" if not names else "claims an implausible size")
            with archive.open(names[0]) as member:
                data = member.read(limit + 1)
    except _ERRORS as error:  # what the library raises for damaged archives
        raise _corrupt(f"is no sound zip archive: {error}") from error
    if len(data) > limit:
        raise _corrupt("is larger than it says")
    return data
