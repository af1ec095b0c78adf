"""Manifests as Parquet files: how they are written, and how those of others are read without trusting them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import ChecksumError, Code, FormatError, VoxariumError
from voxarium.model.sources import missing_extra
from voxarium.spec.manifest.entries import LONGEST_KEY, MOST_MEDIA, Manifest, checked_manifest
from voxarium.spec.manifest.layout import Footer, check_pages, parse_footer
from voxarium.spec.manifest.strings import Strings
from voxarium.spec.manifest.tree import manifest_root

__all__ = ["check_roots", "dump_manifest", "parse_manifest"]

_T = TypeVar("_T")
_METADATA: Final = b"voxarium.manifest"
_ROWS: Final = 1 << 17  # per row group
_MOST_NAMES: Final = 64 << 10  # bytes of names of kinds
_TEXTS: Final = ("key", "location")
_COLUMNS: Final = {"key": "text", "location": "text", "media": "text", "size": "int64", "byte_offset": "int64"} | {
    "sha256": "digest",
    "blake3": "digest",
}
_WIDTHS: Final = {"size": 8, "sha256": 32, "blake3": 32, "byte_offset": 8}
_VERSIONS: Final = (1, 2)  # 2: locations may lead to lists of pieces
_NEEDED: Final = ("key", "size", "sha256")


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise missing_extra("archive", "manifests are Parquet files") from error
    return pa, pq


# ------------------------------------------------------------------------------------------------------- writing
def dump_manifest(manifest: Manifest) -> bytes:
    """Return a manifest as a Parquet file, with its roots.

    Raises
    ------
    UnsupportedError
        If pyarrow is not installed.
    """
    pa, pq = _arrow()
    columns = {
        "key": _texts(pa, manifest.keys),
        "size": _numbers_to(pa, manifest.sizes, np.int64),
        "sha256": _digests(pa, manifest.sha256),
    }
    if manifest.blake3 is not None:
        columns["blake3"] = _digests(pa, manifest.blake3)
    if manifest.media is not None:
        names = pa.array(list(manifest.media_names), pa.string())
        columns["media"] = pa.DictionaryArray.from_arrays(_numbers_to(pa, manifest.media, np.int32), names)
    if manifest.locations is not None and manifest.byte_offsets is not None:
        columns |= {
            "location": _texts(pa, manifest.locations),
            "byte_offset": _numbers_to(pa, manifest.byte_offsets, np.int64),
        }
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    schema = pa.schema(fields)
    out = io.BytesIO()
    # Digests do not get smaller. No statistics: a reader that trusted them could be led past entries. No Arrow schema:
    # the types of Parquet are enough, and readers have one description less to believe.
    with pq.ParquetWriter(
        out,
        schema,
        compression={name: "none" if name in ("sha256", "blake3") else "zstd" for name in columns},
        use_dictionary=["media"] if "media" in columns else False,
        column_encoding={
            name: "DELTA_LENGTH_BYTE_ARRAY" if name in _TEXTS else "PLAIN" for name in columns if name != "media"
        },
        write_statistics=False,
        store_schema=False,
    ) as writer:
        writer.write_table(pa.table(list(columns.values()), schema=schema), row_group_size=_ROWS)
        writer.add_key_value_metadata({_METADATA: json.dumps(_summary(manifest)).encode()})
    return out.getvalue()


def _summary(manifest: Manifest) -> dict[str, Any]:
    return {
        "version": 2 if manifest.composed else 1,
        "objects": len(manifest),
        "bytes": manifest.nbytes,
        "roots": {a: manifest_root(manifest, a).hex() for a in manifest.algorithms},
    }


def _texts(pa: Any, texts: Strings) -> Any:
    buffers = [None, pa.py_buffer(np.ascontiguousarray(texts.offsets)), pa.py_buffer(np.ascontiguousarray(texts.data))]
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers)


def _digests(pa: Any, digests: NDArray[np.uint8]) -> Any:
    return pa.Array.from_buffers(pa.binary(32), len(digests), [None, pa.py_buffer(np.ascontiguousarray(digests))])


# ------------------------------------------------------------------------------------------------------- reading
def parse_manifest(data: Buffer, where: str, *, check: bool = True) -> Manifest:
    """Return the manifest in a Parquet file. Memory stays below a few times the file's size plus its texts.

    Parameters
    ----------
    data : bytes-like
        The file.
    where : str
        What errors call it.
    check : bool
        Whether to compute the roots, and compare them with those stated; else `check_roots` is still to be called.

    Raises
    ------
    FormatError
        If it is no manifest, or asks for more memory than one of its rows may.
    ChecksumError
        If its entries do not have the root that it states.
    UnsupportedError
        If pyarrow is not installed.
    """
    pa, pq = _arrow()
    view = memoryview(data).cast("B")
    try:
        footer = parse_footer(view, _COLUMNS)
        summary = _stated(footer.metadata)
        _check_columns(view, footer)  # before anything is decoded
        limits = {"thrift_string_size_limit": 64 << 20, "thrift_container_size_limit": 1_000_000}
        kinds = ["media"] if any(c.name == "media" for c in footer.columns) else []
        file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(view)), read_dictionary=kinds, **limits)
        made = _manifest(file, summary)
    except VoxariumError:
        raise
    except Exception as error:  # noqa: BLE001  whatever pyarrow raises for bytes that are no Parquet file
        _refuse(where, f"is no manifest: {' '.join(str(error).split())[:200]}")
    checked_manifest(made, where)
    if check:
        check_roots(made, {a: manifest_root(made, a) for a in made.algorithms}, where)
    return made


def _refuse(where: str, what: str) -> NoReturn:
    raise FormatError(f"{where}: {what}", code=Code.METADATA_INVALID, fix="get the manifest from its source again")


def _stated(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    found = json.loads((metadata or {}).get(_METADATA, b"null"))
    if not isinstance(found, dict) or type(found.get("version")) is not int or not isinstance(found.get("roots"), dict):
        raise ValueError("it does not say that it is one")
    if found["version"] not in _VERSIONS:
        raise ValueError(f"it is one of version {found['version']}, which needs a newer Voxarium")
    return found


def _check_columns(view: memoryview, footer: Footer) -> None:
    names = {column.name for column in footer.columns} or {*_NEEDED}
    if not {*_NEEDED} <= names or ("location" in names) != ("byte_offset" in names):
        raise ValueError(f"columns {', '.join(sorted(names))}")
    # Digests are neither compressed nor shared: every row takes 32 bytes of the file at least.
    if footer.rows > len(view) // 32:
        raise ValueError(f"{footer.rows:,} rows in a file of {len(view):,} bytes")
    for column in footer.columns:
        each = LONGEST_KEY + 16 if column.name in _TEXTS else _WIDTHS.get(column.name, 8)
        allowed = _MOST_NAMES if column.name == "media" else 0
        need = check_pages(view, column, most=column.rows * each + _MOST_NAMES, dictionary=allowed)
        if column.name == "sha256" and (column.compressed or need < 32 * column.rows):
            raise ValueError("digests are compressed or missing")


def _manifest(file: Any, summary: Mapping[str, Any]) -> Manifest:
    names = file.schema_arrow.names

    def column(name: str) -> Any:  # one at a time: what pyarrow decoded goes before the next is
        return file.read(columns=[name], use_threads=False).column(name) if name in names else None

    def maybe(convert: Callable[[Any], _T], name: str) -> _T | None:
        return convert(column(name)) if name in names else None

    media, words = maybe(_media, "media") or (None, ())
    return Manifest(
        keys=_strings(column("key")),
        sizes=_numbers(column("size")),
        sha256=_bytes(column("sha256")),
        blake3=maybe(_bytes, "blake3"),
        media=media,
        media_names=words,
        locations=maybe(_strings, "location"),
        byte_offsets=maybe(_numbers, "byte_offset"),
        composed=summary["version"] > 1,
        stated_roots=tuple((str(a), str(root)) for a, root in summary["roots"].items()),
    )


def _numbers(column: Any) -> NDArray[np.int64]:
    parts = [_numbers_of(chunk, np.int64) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _numbers_of(chunk: Any, dtype: type[Any]) -> NDArray[Any]:
    # `numpy.asarray` would do, but makes pyarrow import pandas.
    found = np.frombuffer(chunk.buffers()[1] or b"", dtype)
    return found[chunk.offset : chunk.offset + len(chunk)]


def _numbers_to(pa: Any, numbers: NDArray[Any], dtype: type[Any]) -> Any:
    kind = pa.from_numpy_dtype(dtype)
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers, dtype))])


def _bytes(column: Any) -> NDArray[np.uint8]:
    parts = []
    for chunk in column.chunks:
        raw = np.frombuffer(chunk.buffers()[1] or b"", np.uint8)
        parts.append(raw[32 * chunk.offset : 32 * (chunk.offset + len(chunk))].reshape(-1, 32))
    return np.concatenate(parts) if parts else np.empty((0, 32), np.uint8)


def _strings(column: Any) -> Strings:
    offsets, data, end = [np.zeros(1, np.int64)], [], 0
    for chunk in column.chunks:
        if not len(chunk):
            continue
        found = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        raw = np.frombuffer(chunk.buffers()[2] or b"", np.uint8)
        if found[0] < 0 or found[-1] > len(raw) or bool((found[1:] < found[:-1]).any()):
            raise ValueError("texts overlap")  # kernels rely on it; `checked_manifest` looks at the letters
        raw = raw[found[0] : found[-1]]
        offsets.append(found[1:].astype(np.int64) - int(found[0]) + end)
        data.append(raw)
        end += len(raw)
    return Strings(np.concatenate(offsets), np.concatenate(data) if data else np.empty(0, np.uint8))


def _media(column: Any) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    names: dict[str, int] = {}
    parts = [np.empty(0, np.uint8)]
    for chunk in column.chunks:
        chunk.validate(full=True)
        own = [names.setdefault(name, len(names)) for name in chunk.dictionary.to_pylist()]
        if len(names) > MOST_MEDIA:
            raise ValueError("too many kinds of objects")
        parts.append(np.array(own, np.uint8)[_numbers_of(chunk.indices, np.int32)])
    return np.concatenate(parts), tuple(names)


def check_roots(manifest: Manifest, roots: Mapping[str, bytes], where: str) -> None:
    """Compare the roots of a manifest that was read with those that its file states.

    Raises
    ------
    ChecksumError
        If they differ.
    """
    stated = dict(manifest.stated_roots)
    for algorithm in manifest.algorithms:
        if stated.get(algorithm) != roots[algorithm].hex():
            raise ChecksumError(
                f"{where}: entries do not have the root that the file states ({algorithm})",
                code=Code.CHECKSUM_MISMATCH,
                fix="the manifest was damaged or changed; get it from its source again",
            )
