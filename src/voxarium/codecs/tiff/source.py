"""A TIFF file as tifffile wants it: seekable, never more than a file, and read in pieces that are kept.

Pages of a TIFF file are a chain, so finding them takes a read for each, and tifffile walks the chain again. Pieces are
therefore kept while the file is parsed. tifffile sees no file of the system, so that it can open nothing beside it.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from typing_extensions import Buffer

from voxarium.errors import Code, FormatError, UnsupportedError, VoxariumError
from voxarium.model.protocols import ByteRange, FileStore, ReadableStore
from voxarium.model.sources import gone, missing_extra, place

__all__ = ["opened_tiff", "translated"]

_PIECE: Final = 64 << 10
_LOCAL_PIECE: Final = 8 << 10
_MOST_KEPT: Final = 64 << 20


class _PieceFile(io.RawIOBase):
    """A file read in pieces of fixed size, of which the last ones are kept."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, piece: int) -> None:
        self._fetch, self._size, self._piece = fetch, size, piece
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + position < 0:
            raise OSError("a place before the start of the file")
        self._position = start + position
        return self._position

    def read_at(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start`; fewer where the file ends."""
        stop = min(start + length, self._size)
        if start < 0 or stop <= start:
            return b""
        first, last = start // self._piece, (stop - 1) // self._piece
        if last - first > 8:  # tables of places: read in one go, and not kept
            return self._fetch(start, stop - start)
        parts = b"".join(self._get(i) for i in range(first, last + 1))
        return parts[start - first * self._piece : stop - first * self._piece]

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read_at(self._position, view.nbytes)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _get(self, number: int) -> bytes:
        found = self._kept.get(number)
        if found is None:
            start = number * self._piece
            found = self._fetch(start, min(self._piece, self._size - start))
            self._kept[number] = found
            if len(self._kept) * self._piece > _MOST_KEPT:
                self._kept.popitem(last=False)
        return found


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what tifffile raises into our errors, and say which file a parser complains about."""
    try:
        yield
    except (FormatError, UnsupportedError) as error:
        if where in error.message:
            raise
        raise type(error)(f"{where}: {error.message}", code=error.code, fix=error.fix) from error
    except (VoxariumError, MemoryError):
        raise
    except Exception as error:  # tifffile meets corrupt files with many kinds of errors
        raise FormatError(
            f"{where} cannot be read as TIFF: {str(error)[:200]}",
            code=Code.METADATA_INVALID,
            fix="copy the file again from its source, or check it with tiffinfo",
        ) from error


@contextmanager
def opened_tiff(
    store: ReadableStore, path: str, check: Callable[[Callable[[int, int], bytes], int], object]
) -> Iterator[tuple[Any, int]]:  # Any: tifffile is untyped here
    """Yield (tifffile.TiffFile, size in bytes) of a file.

    Parameters
    ----------
    store : ReadableStore
        Where it is.
    path : str
        Its key.
    check : callable
        Gets what reads parts of the file, and its size, before tifffile sees it; raises when something is wrong.

    Raises
    ------
    NotFoundError
        If there is no such file.
    FormatError
        If it is no TIFF file, or a broken one.
    UnsupportedError
        If tifffile is not installed.
    """
    try:
        import tifffile
    except ImportError as error:
        raise missing_extra("tiff", f"{place(store, path)} is a TIFF file that needs tifffile") from error
    stat = store.stat(path)
    if stat is None:
        raise gone(store, path)
    local = isinstance(store, FileStore) and store.local_path(path) is not None
    with translated(place(store, path)):
        if local and isinstance(store, FileStore):
            with store.open_file(path) as binary:

                def read_local(start: int, length: int) -> bytes:
                    binary.seek(start)
                    return binary.read(length)

                yield from _parsed(tifffile, _PieceFile(read_local, stat.size, _LOCAL_PIECE), path, stat.size, check)
        else:

            def read_far(start: int, length: int) -> bytes:
                parts = store.get_ranges(path, [ByteRange(start, length)])
                if parts is None:
                    raise gone(store, path)
                return bytes(parts[0])

            yield from _parsed(tifffile, _PieceFile(read_far, stat.size, _PIECE), path, stat.size, check)


def _parsed(tifffile: Any, file: _PieceFile, path: str, size: int, check: Callable[..., object]) -> Iterator[Any]:
    check(file.read_at, size)
    with tifffile.TiffFile(file, name=path.rpartition("/")[2], _multifile=False) as tiff:
        yield tiff, size
