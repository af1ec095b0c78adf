"""Reference files as stores: keys whose bytes lie in other files, which are read where they are.

What a reference file may lead to is not for it to say: `ReferenceStore` gets a function that opens addresses, and that
function decides (see `voxarium.core.uri`).
"""

from __future__ import annotations

import io
import json
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from typing_extensions import Buffer

from voxarium.errors import Code, FormatError, NotFoundError, StoreError
from voxarium.model.array_specs import join_key
from voxarium.model.fields import parse_json_object
from voxarium.model.keys import checked_key, checked_prefix, natural_key, resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat, ReadableStore, WritableStore
from voxarium.model.sources import missing_extra
from voxarium.spec.references import (
    ParquetReferences,
    Pointer,
    Reference,
    check_pointer,
    is_references,
    parse_parquet,
    parse_references,
)

__all__ = [
    "ReferenceStore",
    "has_parquet_references",
    "open_parquet_references",
    "open_references",
    "put_parquet_references",
]

Opener: TypeAlias = Callable[[str], tuple[ReadableStore, str]]
_Names: TypeAlias = tuple[list[str], list[str]]  # inside the class, `list` is a method
_MOST_BYTES: Final = 1 << 30  # of a reference file
_METADATA: Final = ".zmetadata"
_RECORD_SIZE: Final = 100_000  # rows of a Parquet file that is written
_FILES_KEPT: Final = 16  # Parquet files whose rows are kept in memory


class _Table(Protocol):
    """References by key."""

    def find(self, key: str, /) -> Reference | None:
        """Return the reference of a key."""

    def names(self) -> Iterator[str]:
        """Yield all keys."""


class ReferenceStore:
    """Keys whose bytes lie elsewhere.

    Parameters
    ----------
    table
        References by key.
    uri : str
        Address of the reference file.
    generation : str
        Changes when the reference file does.
    opener : callable
        From an address to (store, key); it raises when the address may not be followed.
    concurrency : int
        How many requests at a time pay off.
    """

    def __init__(self, table: _Table, uri: str, generation: str, opener: Opener, concurrency: int) -> None:
        self._table = table
        self._uri = uri
        self._generation = generation
        self._open = opener
        self.concurrency = concurrency

    @property
    def uri(self) -> str:
        """Address of the reference file."""
        return self._uri

    def __repr__(self) -> str:
        return f"ReferenceStore({self._uri!r})"

    def get(self, key: str, /) -> bytes | None:
        """Return the bytes of a key.

        Raises
        ------
        NotFoundError
            If the file referred to is gone: that is no absent chunk.
        """
        found = self._table.find(checked_key(key))
        if found is None or isinstance(found, bytes):
            return found
        store, name = self._open(found.url)
        if found.length is None and found.start == 0:
            whole = store.get(name)
            return bytes(self._present(whole, key, found))
        parts = store.get_ranges(name, [ByteRange(found.start, found.length)])
        data = bytes(self._present(parts, key, found)[0])
        if found.length is not None and len(data) != found.length:
            raise StoreError(
                f"{found.url} ends before the bytes of {key!r}",
                code=Code.STORE_UNREADABLE,
                fix="make the reference file again: the file it refers to has changed",
            )
        return data

    def _present(self, found: Any, key: str, pointer: Pointer) -> Any:
        if found is None:
            raise NotFoundError(
                f"{self._uri} refers to {pointer.url} for {key!r}, where nothing is",
                code=Code.PATH_MISSING,
                fix="put the file back where the reference file expects it, or make the reference file again",
            )
        return found

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one key, in the order asked."""
        found = self._table.find(checked_key(key))
        if found is None:
            return None
        if isinstance(found, bytes):
            view = memoryview(found)
            return [view[slice(*resolve_range(r, len(found)))] for r in ranges]
        size = self._size(key, found)
        spans = [resolve_range(r, size) for r in ranges]
        store, name = self._open(found.url)
        parts = store.get_ranges(name, [ByteRange(found.start + a, b - a) for a, b in spans])
        return list(self._present(parts, key, found))

    def _size(self, key: str, pointer: Pointer) -> int:
        if pointer.length is not None:
            return pointer.length
        store, name = self._open(pointer.url)
        return max(0, int(self._present(store.stat(name), key, pointer).size) - pointer.start)

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return the size of a key's bytes and the generation of the reference file."""
        found = self._table.find(checked_key(key))
        if found is None:
            return None
        size = len(found) if isinstance(found, bytes) else self._size(key, found)
        return ObjectStat(size, self._generation)

    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) below a folder; -1 stands for the size of a file that would have to be asked."""
        below = checked_prefix(prefix)
        start = f"{below}/" if below else ""
        for key in sorted(k for k in self._table.names() if k.startswith(start)):
            found = self._table.find(key)
            if isinstance(found, Pointer):
                yield key, -1 if found.length is None else found.length
            elif found is not None:
                yield key, len(found)

    def list_dir(self, prefix: str = "", /) -> _Names:
        """Return (names of objects, names of folders) directly in a folder."""
        below = checked_prefix(prefix)
        start = f"{below}/" if below else ""
        files: set[str] = set()
        folders: set[str] = set()
        for key in self._table.names():
            if key.startswith(start):
                name, rest, _ = key[len(start) :].partition("/")
                (folders if rest else files).add(name)
        return sorted(files, key=natural_key), sorted(folders, key=natural_key)


class _Dictionary:
    def __init__(self, references: Mapping[str, Reference]) -> None:
        self._references = references

    def find(self, key: str, /) -> Reference | None:
        return self._references.get(key)

    def names(self) -> Iterator[str]:
        return iter(self._references)


def open_references(base: ReadableStore, key: str, opener: Opener) -> ReferenceStore | None:
    """Open a JSON file of references; None when it is there and is something else.

    Raises
    ------
    NotFoundError
        If it does not exist.
    FormatError
        If it is no JSON, or asks for something that cannot be.
    """
    where = f"{base.uri.rstrip('/')}/{key}"
    data, generation = _document(base, key, where)
    document = parse_json_object(data, where)
    if not is_references(document):
        return None
    table = _Dictionary(parse_references(document, where))
    return ReferenceStore(table, where, generation, opener, base.concurrency)


def _document(base: ReadableStore, key: str, where: str) -> tuple[bytes, str]:
    stat = base.stat(key)
    if stat is None:
        raise NotFoundError(f"nothing at {where}", code=Code.PATH_MISSING, fix="check the path")
    if stat.size > _MOST_BYTES:
        raise FormatError(
            f"{where} has {stat.size:,} bytes of references",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="write the references as Parquet, which are read as needed",
        )
    return base.get(key) or b"", stat.generation


class _Parquet:
    """References in a folder of Parquet files; the rows of the last few files are kept."""

    def __init__(self, base: ReadableStore, folder: str, found: ParquetReferences, where: str) -> None:
        self._base = base
        self._folder = folder
        self._found = found
        self._where = where
        self._rows: OrderedDict[str, list[Reference | None]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: str, /) -> Reference | None:
        document = self._found.documents.get(key)
        if document is not None:
            return document
        for path, array in self._found.arrays.items():
            start = f"{path}/" if path else ""
            if key.startswith(start) and (number := array.number(key[len(start) :])) is not None:
                file, row = divmod(number, self._found.record_size)
                rows = self._load(f"{start}refs.{file}.parq")
                return rows[row] if row < len(rows) else None
        return None

    def names(self) -> Iterator[str]:
        return iter(self._found.documents)  # chunks are not listed: there may be very many

    def _load(self, name: str) -> list[Reference | None]:
        with self._lock:
            if name in self._rows:
                self._rows.move_to_end(name)
                return self._rows[name]
        data = self._base.get(join_key(self._folder, name))
        rows = [] if data is None else _parse_rows(data, f"{self._where}/{name}", self._found.record_size)
        with self._lock:
            self._rows[name] = rows
            while len(self._rows) > _FILES_KEPT:
                self._rows.popitem(last=False)
        return rows


def _parse_rows(data: bytes, where: str, most: int) -> list[Reference | None]:
    """Return the references of one Parquet file, by row."""
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise missing_extra("references", f"{where} is a Parquet file") from error
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        if file.metadata.num_rows > most:
            raise ValueError(f"{file.metadata.num_rows} rows, more than the record size")
        table = file.read(columns=[c for c in ("path", "offset", "size", "raw") if c in file.schema_arrow.names])
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
        count = table.num_rows
    except Exception as error:
        raise FormatError(
            f"{where} cannot be read: {error}", code=Code.METADATA_INVALID, fix="make the references again"
        ) from error
    blank = [None] * count
    return [
        _row(path, start, size, raw, where)
        for path, start, size, raw in zip(
            columns.get("path", blank),
            columns.get("offset", blank),
            columns.get("size", blank),
            columns.get("raw", blank),
            strict=True,
        )
    ]


def _row(path: Any, start: Any, size: Any, raw: Any, where: str) -> Reference | None:
    if raw is not None:
        return raw.encode() if isinstance(raw, str) else bytes(raw)
    if not path:
        return None
    if not isinstance(path, str):
        raise FormatError(f"{where} names no file", code=Code.METADATA_INVALID, fix="make the references again")
    whole = not start and not size  # as fsspec writes a whole file
    return check_pointer(path, 0 if whole else start, None if whole else size, where=where)


def has_parquet_references(base: ReadableStore, folder: str) -> bool:
    """Tell whether a folder holds references in Parquet files."""
    return base.stat(join_key(folder, _METADATA)) is not None


def open_parquet_references(base: ReadableStore, folder: str, opener: Opener) -> ReferenceStore:
    """Open a folder of references in Parquet files.

    Raises
    ------
    NotFoundError
        If there is none.
    FormatError
        If its ``.zmetadata`` does not describe Zarr arrays.
    """
    where = "/".join(p for p in (base.uri.rstrip("/"), folder) if p)
    data, generation = _document(base, join_key(folder, _METADATA), where)
    table = _Parquet(base, folder, parse_parquet(data, where), where)
    return ReferenceStore(table, where, generation, opener, base.concurrency)


# ---------------------------------------------------------------------------------------------- in Parquet
def put_parquet_references(
    store: WritableStore,
    folder: str,
    documents: Mapping[str, bytes],
    arrays: Iterable[tuple[str, tuple[int, ...], Mapping[tuple[int, ...], Reference]]],
) -> None:
    """Write the folder of Parquet files that fsspec's lazy references read; what makes it one, last.

    Parameters
    ----------
    documents : mapping of str to bytes
        Metadata by key.
    arrays : iterable of (path, chunks per axis, references by grid index)
        One entry per array.

    Raises
    ------
    UnsupportedError
        If pyarrow is not installed.
    """
    for path, counts, references in arrays:
        for number, rows in _records(counts, references):
            store.put(join_key(folder, f"{path}/refs.{number}.parq"), _packed(rows))
    metadata = {key: json.loads(data) for key, data in documents.items()}
    store.put(join_key(folder, _METADATA), json.dumps({"metadata": metadata, "record_size": _RECORD_SIZE}).encode())


def _records(
    counts: tuple[int, ...], references: Mapping[tuple[int, ...], Reference]
) -> Iterator[tuple[int, list[Reference | None]]]:
    total = math.prod(counts)
    for number in range(-(-total // _RECORD_SIZE)):
        start, stop = number * _RECORD_SIZE, min(total, (number + 1) * _RECORD_SIZE)
        places = np.stack(np.unravel_index(np.arange(start, stop), counts), axis=1).tolist() if counts else [()]
        rows: list[Reference | None] = [references.get(tuple(p)) for p in places]
        yield number, rows + [None] * (_RECORD_SIZE - len(rows))  # readers expect files of full length


def _packed(rows: list[Reference | None]) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise missing_extra("references", "references as Parquet need pyarrow") from error
    pointers = [r if isinstance(r, Pointer) else None for r in rows]
    table = pa.table(
        {
            "path": pa.array([None if p is None else p.url for p in pointers], pa.string()).dictionary_encode(),
            "offset": pa.array([0 if p is None else p.start for p in pointers], pa.int64()),
            "size": pa.array([0 if p is None else p.length or 0 for p in pointers], pa.int64()),
            "raw": pa.array([r if isinstance(r, bytes) else None for r in rows], pa.binary()),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()
