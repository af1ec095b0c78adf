"""DANDI's checksum of a Zarr tree: ``{md5}-{count}--{size}``, so that copies there and here can be compared.

Spec: https://github.com/dandi/dandi-archive/blob/master/doc/design/zarr-support-3.md. A folder is a JSON document of
the folders and files in it, each with checksum, name and size, and its checksum the MD5 of that document, with the
number and the bytes of all files below it. MD5 does not protect against somebody who forges; manifests do.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from voxarium.errors import Code, InputError
from voxarium.model.keys import checked_key

__all__ = ["parse_zarr_checksum", "zarr_checksum"]

_FORM: Final = re.compile(r"([0-9a-f]{32})-([0-9]{1,19})--([0-9]{1,19})")
_MD5: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class _Folder:
    """What is in a folder, as (name, checksum, bytes), and how many files are below it."""

    folders: list[tuple[str, str, int]] = field(default_factory=list)
    files: list[tuple[str, str, int]] = field(default_factory=list)
    count: int = 0

    def checksum(self) -> tuple[str, int]:
        """Return checksum and bytes."""
        document = {"directories": _listed(self.folders), "files": _listed(self.files)}
        size = sum(n for _, _, n in self.folders) + sum(n for _, _, n in self.files)
        text = json.dumps(document, separators=(",", ":"))
        return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}-{self.count}--{size}", size


def _listed(items: list[tuple[str, str, int]]) -> list[dict[str, str | int]]:
    # The order of the fields counts, and so does the order of names: that of their code points.
    return [{"digest": digest, "name": name, "size": size} for name, digest, size in sorted(items)]


def zarr_checksum(objects: Iterable[tuple[str, int, str]]) -> str:
    """Return the checksum of a tree.

    Parameters
    ----------
    objects : iterable of (key, size in bytes, MD5 in hexadecimal digits)
        In any order.

    Raises
    ------
    InputError
        If a key comes twice, or is a file and a folder.

    Examples
    --------
    >>> zarr_checksum([])
    '481a2f77ab786a0f45aafd5db0971caa-0--0'
    """
    folders: dict[str, _Folder] = {"": _Folder()}
    seen: set[str] = set()
    for key, size, digest in objects:
        if key in seen or size < 0 or _MD5.fullmatch(digest) is None:
            raise _refused(key)
        seen.add(checked_key(key))
        parent, _, name = key.rpartition("/")
        folder = _made(folders, parent)
        folder.files.append((name, digest, size))
        folder.count += 1
    for path in sorted(folders, key=lambda p: p.count("/"), reverse=True):  # the deepest first, the root apart
        if not path:
            continue
        if path in seen:
            raise _refused(path)
        checksum, size = folders[path].checksum()
        parent, _, name = path.rpartition("/")
        folders[parent].folders.append((name, checksum, size))
        folders[parent].count += folders[path].count
    return folders[""].checksum()[0]


def _made(folders: dict[str, _Folder], path: str) -> _Folder:
    """Return a folder; those around it are made with it."""
    above = path
    while above not in folders:
        folders[above] = _Folder()
        above = above.rpartition("/")[0]
    return folders[path]


def _refused(key: str) -> InputError:
    return InputError(
        f"{key!r} is listed twice, as a file and a folder, or without a size and an MD5",
        code=Code.ARGUMENT_INVALID,
        fix="list every file once",
    )


def parse_zarr_checksum(text: str) -> tuple[str, int, int]:
    """Return MD5, number of files and bytes of a checksum.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> parse_zarr_checksum("481a2f77ab786a0f45aafd5db0971caa-0--0")
    ('481a2f77ab786a0f45aafd5db0971caa', 0, 0)
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise InputError(
            f"{text!r} is no checksum of a Zarr tree",
            code=Code.ARGUMENT_INVALID,
            fix="give it as DANDI shows it: MD5-FILES--BYTES",
        )
    return found[1], int(found[2]), int(found[3])
