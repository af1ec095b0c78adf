"""What drivers of single files share: looking at the first bytes, declining, naming an extra that is not installed."""

from __future__ import annotations

from voxarium.errors import Code, FormatError, NotFoundError, UnsupportedError
from voxarium.model.protocols import ByteRange, ReadableStore

__all__ = ["declined", "missing_extra", "place", "read_head", "truncated"]


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
