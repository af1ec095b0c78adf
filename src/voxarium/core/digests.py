"""Digests of objects: SHA-256, which everybody has, and BLAKE3, which is several times faster where SHA-256 is not in
the processor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from typing_extensions import Buffer

from voxarium.errors import Code, InputError, StoreError
from voxarium.model.protocols import ByteRange, ReadableStore
from voxarium.model.sources import missing_extra

__all__ = ["ALGORITHMS", "Digester", "check_algorithms", "digests_of", "has_blake3"]

ALGORITHMS: Final = ("sha256", "blake3")
_OTHERS: Final = ("md5", "sha1", "sha224", "sha384", "sha512")
"""Only for comparisons with others, such as DANDI, bags and OCFL objects."""
_PIECE: Final = 8 << 20


class _Hasher(Protocol):
    def update(self, data: Buffer, /) -> Any:  # Any: hashlib returns nothing, blake3 itself
        """Take bytes."""

    def digest(self) -> bytes:
        """Return the digest of all bytes taken."""


def has_blake3() -> bool:
    """Tell whether BLAKE3 can be computed here."""
    try:
        import blake3  # noqa: F401
    except ImportError:
        return False
    return True


def check_algorithms(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of algorithms, each once, after a look whether they can be computed here.

    Raises
    ------
    InputError
        If one is not known.
    UnsupportedError
        If its package is not installed.
    """
    found = tuple(dict.fromkeys(names))
    unknown = [name for name in found if name not in ALGORITHMS]
    if unknown:
        raise InputError(
            f"no digest is called {', '.join(unknown)}",
            code=Code.ARGUMENT_INVALID,
            fix=f"use {' or '.join(ALGORITHMS)}, or both with a comma between them",
        )
    Digester(found)
    return found


class Digester:
    """Takes the digests of one object while its bytes pass.

    Examples
    --------
    >>> digester = Digester(["sha256"])
    >>> digester.update(b"voxel")
    >>> digester.digests()["sha256"].hex()[:8]
    '9ac00055'
    """

    __slots__ = ("_hashers",)

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._hashers: list[tuple[str, _Hasher]] = [(name, _hasher(name)) for name in algorithms]

    def update(self, data: Buffer) -> None:
        """Take bytes; the interpreter lock is released for all but short ones."""
        view = memoryview(data).cast("B")
        for _, hasher in self._hashers:
            hasher.update(view)

    def digests(self) -> dict[str, bytes]:
        """Return the digests of everything taken, by algorithm."""
        return {name: hasher.digest() for name, hasher in self._hashers}


def _hasher(name: str) -> _Hasher:
    if name in ("sha256", *_OTHERS):
        return hashlib.new(name, usedforsecurity=False)
    try:
        from blake3 import blake3
    except ImportError as error:
        raise missing_extra("blake3", "BLAKE3 digests need the package blake3") from error
    made: _Hasher = blake3()
    return made


def digests_of(
    store: ReadableStore, key: str, size: int, algorithms: Sequence[str], byte_offset: int = 0
) -> dict[str, bytes] | None:
    """Read an object, or a part of one, and return its digests; None when it is absent.

    Parameters
    ----------
    size : int
        Bytes to read.
    byte_offset : int
        Where they begin.

    Raises
    ------
    StoreError
        If it cannot be read, or is shorter (code ``file-truncated``).
    """
    digester = Digester(algorithms)
    for start in range(0, max(size, 1), _PIECE):
        length = min(_PIECE, size - start)
        parts = store.get_ranges(key, [ByteRange(byte_offset + start, length)])
        if parts is None:
            return None
        if memoryview(parts[0]).nbytes != length:
            raise StoreError(
                f"{key} gave too few bytes at {byte_offset + start}",
                code=Code.FILE_TRUNCATED,
                fix="the object changed while it was read; try again",
            )
        digester.update(parts[0])
    return digester.digests()
