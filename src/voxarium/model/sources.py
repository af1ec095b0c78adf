"""What drivers of single files share: a look at the first bytes, and the errors they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from voxarium.errors import Code, FormatError, NotFoundError, UnsupportedError
from voxarium.model.protocols import ByteRange, FileStore, ReadableStore

__all__ = ["declined", "gone", "missing_extra", "opened", "place", "read_head", "truncated"]


_HEAD: Final = 4096


def place(store: ReadableStore, path: str) -> str:
    """Return the address of something in a store, for messages."""
    return "/".join(p for p in (store.uri.rstrip("/"), path) if p)


def declined(driver: str, store: ReadableStore, path: str) -> NotFoundError:
    """Return the error that says "not a file of mine", which lets the next driver try."""
    return NotFoundError(
        f"no {driver} file at {place(store, path)}",
        code=Code.METADATA_MISSING,
        fix="check the path, or name the format with open(..., format=...)",
    )


def gone(store: ReadableStore, path: str) -> NotFoundError:
    """Return the error for a file that was there when the array was opened."""
    return NotFoundError(
        f"{place(store, path)} disappeared while it was read",
        code=Code.PATH_MISSING,
        fix="restore the file, then try again",
    )


def missing_extra(extra: str, what: str) -> UnsupportedError:
    """Return the error for something that needs an optional package."""
    return UnsupportedError(
        f"{what}, which this installation cannot do",
        code=Code.EXTRA_NOT_INSTALLED,
        fix=f"pip install 'voxarium[{extra}]'",
    )


def truncated(where: str, found: int | None, needed: int | None) -> FormatError:
    """Return the error for a file that ends too early, with both sizes in bytes where known."""
    sizes = "" if found is None else f": {found} bytes" + ("" if needed is None else f", {needed} needed")
    return FormatError(
        f"{where} is cut off{sizes}",
        code=Code.FILE_TRUNCATED,
        fix="copy or export the file again from its source, and compare sizes or checksums",
    )


def read_head(store: ReadableStore, path: str, length: int) -> tuple[bytes, int] | None:
    """Return up to `length` first bytes of a file and its size in bytes; None when `path` is no file.

    A path with ``::`` names something inside a file and is none either.
    """
    if not path or "::" in path:
        return None
    stat = store.stat(path)
    if stat is None:
        return None
    if stat.size == 0:
        return b"", 0
    parts = store.get_ranges(path, [ByteRange(0, min(length, stat.size))])
    return None if parts is None else (bytes(parts[0]), stat.size)


class _Pieces:
    """Any place of a file, a few bytes at a time. `binary` is the open file where there is one."""

    __slots__ = ("_head", "_path", "_size", "_store", "binary")

    def __init__(self, store: ReadableStore, path: str, size: int, binary: BinaryIO | None) -> None:
        self._store, self._path, self._size, self.binary = store, path, size, binary
        # A local file costs nothing to ask again; elsewhere the first request covers most headers.
        self._head = b"" if binary is not None else self._fetch(0, min(size, _HEAD))

    def _fetch(self, start: int, length: int) -> bytes:
        parts = self._store.get_ranges(self._path, [ByteRange(start, length)]) if length > 0 else None
        return bytes(parts[0]) if parts else b""

    def read_at(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start`; fewer where the file ends."""
        length = min(length, self._size - start)
        if length <= 0:
            return b""
        if self.binary is not None:
            self.binary.seek(start)
            return self.binary.read(length)
        if start + length <= len(self._head):
            return self._head[start : start + length]
        return self._fetch(start, length)


@contextmanager
def opened(store: ReadableStore, path: str) -> Iterator[tuple[_Pieces, int]]:
    """Yield what reads pieces of a file, and its size in bytes.

    Raises
    ------
    NotFoundError
        If there is no such file.
    """
    stat = store.stat(path)
    if stat is None:
        raise gone(store, path)
    if isinstance(store, FileStore) and store.local_path(path) is not None:
        with store.open_file(path) as file:
            yield _Pieces(store, path, stat.size, file), stat.size
    else:
        yield _Pieces(store, path, stat.size, None), stat.size
