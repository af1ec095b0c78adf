"""WKW arrays of WEBKNOSSOS: a folder with ``header.wkw`` and cubes of blocks, raw or compressed with LZ4.

Spec: https://github.com/scalableminds/webknossos-wrap. The format does not say how large an array is: beside a
``datasource-properties.json`` that lists it, it is as large as that says, else as far as its files reach (or the option
``shape``). Index 0 is voxel 0 of the dataset. Signed voxels, which the library writes and its documentation does not
mention, are read and written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs import Chain
from voxarium.codecs.batch.chained import ChainedChunks
from voxarium.codecs.layout import Bytes
from voxarium.codecs.lz4_raw import Lz4Raw
from voxarium.errors import Code, FormatError, InputError, NotFoundError, StoreError
from voxarium.formats.wkw.objects import WkwDetails, WkwObjects
from voxarium.model.array_specs import check_shapes, checked_fill, join_key
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.codec import ChunkType
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.native import Located, Span
from voxarium.model.protocols import ByteRange, IndexCache, ListableStore, ReadableStore, ShardLayout
from voxarium.model.transforms import Scale, Transform, Translation, scale_translation
from voxarium.model.transforms import Sequence as Chained
from voxarium.spec import webknossos, wkw

__all__ = ["WkwDriver"]

_MOST_FILES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _FileIndex:
    """Where blocks are in one file: `starts` by place in the file, one more than blocks; None when raw."""

    first: int
    starts: NDArray[np.int64] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return 64 + (0 if self.starts is None else self.starts.nbytes)


class WkwDriver(WkwObjects, ChainedChunks):
    """Reads and writes WKW arrays."""

    name: ClassVar[str] = "wkw"
    spec_url: ClassVar[str] = "https://github.com/scalableminds/webknossos-wrap"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write", "shards"})
    enclosing_documents: ClassVar[tuple[str, ...]] = (webknossos.DOCUMENT,)
    options: ClassVar[tuple[str, ...]] = ("shape",)

    # ------------------------------------------------------------------------------------------------- read
    def open(
        self, store: ReadableStore, path: str, /, *, shape: Sequence[int] | None = None, **_options: Any
    ) -> ArrayInfo:
        """Parse the ``header.wkw`` at `path`.

        `shape` tells the voxels along z, y, x where neither a dataset nor a listing can.

        Raises
        ------
        NotFoundError
            If there is none.
        FormatError
            If it breaks the specification.
        InputError
            If nothing tells how large the array is.
        """
        key = join_key(path, wkw.HEADER_NAME)
        raw = None if "::" in path else store.get(key)
        if raw is None:
            raise NotFoundError(
                f"there is no {key} in {store.uri}",
                code=Code.METADATA_MISSING,
                fix="check the path; it should hold header.wkw and folders z0, z1, …",
            )
        header = wkw.parse_header(raw, key)
        transform, unit = None, None
        if shape is not None:
            space = _given_shape(shape)
        else:
            found = _from_dataset(store, path)
            space, transform, unit = found or (_listed_shape(store, path, header), None, None)
        return _info(header, space, transform, unit)

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one block, or None when its file is absent."""
        index = tuple(a // c for a, c in zip(box.origin, info.chunk_shape, strict=True))
        span = self.locate(store, path, info, [index], _NoCache())[0]
        parts = None if span is None else store.get_ranges(span.key, [ByteRange(span.start, span.length)])
        return None if parts is None else self.decode(info, parts[0])[tuple(slice(0, n) for n in box.shape)]

    def locate(
        self,
        store: ReadableStore,
        path: str,
        info: ArrayInfo,
        indices: Sequence[tuple[int, ...]],
        cache: IndexCache,
        /,
    ) -> list[Span | None]:
        """Return where blocks are; the table of each file is read once."""
        grid = np.array(indices, np.int64).reshape(len(indices), info.ndim)
        located = self.locate_many(store, path, info, grid, cache)
        return [located.span(i) for i in range(len(indices))]

    def locate_many(
        self, store: ReadableStore, path: str, info: ArrayInfo, indices: NDArray[np.int64], cache: IndexCache, /
    ) -> Located:
        """Return where blocks are, in arrays; the table of each file is read once."""
        header: wkw.Header = info.details.header
        files = indices[:, :3] // header.file_len
        places = wkw.morton_places(indices[:, :3] - files * header.file_len, header.file_len)
        members: dict[tuple[int, ...], list[int]] = {}
        for i, file in enumerate(map(tuple, files.tolist())):
            members.setdefault(file, []).append(i)
        names = [self.object_key(path, info, file) for file in members]
        objects = np.full(len(indices), -1, np.int64)
        starts, lengths = np.zeros(len(indices), np.int64), np.full(len(indices), header.block_bytes, np.int64)
        for number, (name, some) in enumerate(zip(names, members.values(), strict=True)):
            index = cache.get(store, name, partial(_load_index, store, name, header))
            if not isinstance(index, _FileIndex):
                continue
            wanted = places[some]
            objects[some] = number
            if index.starts is None:
                starts[some] = index.first + wanted * header.block_bytes
            else:
                starts[some] = index.starts[wanted]
                lengths[some] = index.starts[wanted + 1] - index.starts[wanted]
        return Located(keys=names, objects=objects, starts=starts, lengths=lengths)

    def encode_many(
        self, _info: ArrayInfo, _data: NDArray[Any], _places: NDArray[np.int64], _scratch: NDArray[Any], /
    ) -> None:
        """Return None: every block of a file is encoded by itself."""

    # ------------------------------------------------------------------------------------------------ write
    def create(self, spec: ArraySpec, /) -> ArrayInfo:
        """Return the metadata of a new array: blocks and files become cubes whose sides are powers of two.

        Files do not reach further beyond the array than their sides demand. Where the array begins at whole voxels that
        files can begin at, it stands at its own place in the files' grid; elsewhere the layer must say where it is.

        Raises
        ------
        InputError
            If it has other axes than z, y, x and channels, too many channels, or another fill value than 0.
        UnsupportedError
            If the type or codec is not one of WKW.
        """
        check_shapes(spec)
        dtype = np.dtype(spec.dtype).newbyteorder("=")
        channels = wkw.checked_channels(spec, dtype)
        if checked_fill(spec, dtype) != 0:
            raise InputError(
                f"absent voxels of WKW are 0, not {spec.fill_value}",
                code=Code.ARGUMENT_INVALID,
                fix="leave out the fill value",
            )
        block_type = wkw.checked_block_type(spec.codec)
        space = spec.shape[0], spec.shape[1], spec.shape[2]
        sides = wkw.choose_sides(
            space,
            max(spec.chunk_shape[:3]),
            0 if spec.shard_shape is None else max(spec.shard_shape[:3]),
            tight=block_type == "raw",
        )
        corner = webknossos.native_corner(spec.transform, spec.shape)
        block_len, side = wkw.aligned_sides(sides, corner)
        header = wkw.Header(
            block_len=block_len, file_len=side // block_len, block_type=block_type, dtype=dtype, channels=channels
        )
        wkw.check_header(header)
        return _info(header, space, origin=(corner[0] // side, corner[1] // side, corner[2] // side))

    def dump(self, path: str, info: ArrayInfo, /) -> dict[str, bytes]:
        """Return the ``header.wkw`` by key."""
        return {join_key(path, wkw.HEADER_NAME): wkw.dump_header(info.details.header)}

    def shard_layout(self, info: ArrayInfo, /) -> ShardLayout:
        """Return how a file is put together: header and table, then every block, in Morton order; or no file."""
        header: wkw.Header = info.details.header
        return ShardLayout(head=header.head_size, dense=True, optional=True, order=wkw.morton_order(header.file_len))

    def pack_shard(self, info: ArrayInfo, _index: tuple[int, ...], table: NDArray[np.uint64], /) -> tuple[bytes, bytes]:
        """Return the header of a file and, when blocks are compressed, where they end."""
        header: wkw.Header = replace(info.details.header, byte_offset=info.details.header.head_size)
        head = wkw.dump_header(header)
        if header.compressed:
            head += wkw.dump_ends(table[wkw.morton_order(header.file_len)].sum(axis=1, dtype=np.uint64))
        return head, b""


def _given_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the lengths a user gave, with or without one for channels, which the header knows."""
    lengths = tuple(shape)
    if len(lengths) in (3, 4) and all(isinstance(n, int) and 0 <= n < 2**48 for n in lengths):
        return lengths[0], lengths[1], lengths[2]
    raise InputError(
        f"shape {lengths} is not that of a WKW array",
        code=Code.ARGUMENT_INVALID,
        fix="give the voxels along z, y, x",
    )


def _listed_shape(store: ReadableStore, path: str, header: wkw.Header) -> tuple[int, int, int]:
    where = "/".join(p for p in (store.uri, path) if p)
    if not isinstance(store, ListableStore):
        raise InputError(
            f"{where} does not say how large it is, and its store cannot be listed",
            code=Code.ARGUMENT_INVALID,
            fix="open it as a layer of its dataset, or give shape= along z, y, x",
        )
    prefix = f"{path}/" if path else ""
    keys = (key.removeprefix(prefix) for key, _ in store.list(path))
    return wkw.extent(keys, header.side, _MOST_FILES, where)


def _from_dataset(store: ReadableStore, path: str) -> tuple[tuple[int, int, int], Transform, str | None] | None:
    """Return shape along z, y, x, transform and unit, as a dataset around the array says; None when none does.

    The array of a mag is at ``<dataset>/<layer>/<mag>``, or wherever the dataset says it is.
    """
    parts = path.split("/")
    for up in (2, 1):
        if not path or len(parts) < up:
            continue
        folder = "/".join(parts[:-up])
        key = join_key(folder, webknossos.DOCUMENT)
        raw = store.get(key)
        if raw is None:
            continue
        try:
            return webknossos.stored_extent(raw, key, folder, path)
        except FormatError:  # somebody else's document, or a broken one: who opens the layer is told
            return None
    return None


def _info(
    header: wkw.Header,
    space: tuple[int, int, int],
    transform: Transform | None = None,
    unit: str | None = None,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> ArrayInfo:
    """Return what readers need to know. A single channel is no axis."""
    more = (header.channels,) if header.channels > 1 else ()
    axes = [Axis(name=n, type="space", unit=unit) for n in "zyx"]
    if more:
        axes.append(Axis(name="c", type="channel"))
        if transform is not None:
            transform = _with_channels(transform)
    chunk = (header.block_len,) * 3 + more
    given = ChunkType(chunk, header.dtype, np.zeros((), header.dtype)[()])
    level = {"raw": None, "lz4": 0, "lz4hc": 9}[header.block_type]
    chain = Chain(given, [], Bytes(given, "little"), [] if level is None else [Lz4Raw(level)])
    return ArrayInfo(
        format=WkwDriver.name,
        shape=space + more,
        dtype=header.dtype,
        chunk_shape=chunk,
        shard_shape=(header.side,) * 3 + more,
        fill_value=given.fill_value,
        codecs=chain.texts,
        axes=tuple(axes),
        transform=transform,
        details=WkwDetails(header, chain, origin),
    )


def _with_channels(transform: Transform) -> Transform:
    """Return a transform of z, y, x for z, y, x, c."""
    found = scale_translation(transform, 3)
    if found is None:  # pragma: no cover  centre_transform makes no other
        return transform
    return Chained((Scale((*found[0], 1.0)), Translation((*found[1], 0.0))))


def _load_index(store: ReadableStore, key: str, expected: wkw.Header) -> _FileIndex | None:
    """Read and check the head of a file; None when there is no file."""
    length = expected.head_size
    try:
        parts = store.get_ranges(key, [ByteRange(0, length)])
    except StoreError as error:
        if error.code is not Code.FILE_TRUNCATED:
            raise
        raise FormatError(
            f"{key} is shorter than its header and table of {length} bytes",
            code=Code.SHARD_INDEX_CORRUPT,
            fix="the file is damaged; copy it again from its source",
        ) from error
    if parts is None:
        return None
    head = memoryview(parts[0])
    header = wkw.parse_header(head, key)
    if not header.agrees_with(expected) or header.byte_offset < wkw.HEADER_SIZE:
        raise FormatError(
            f"the header of {key} contradicts {wkw.HEADER_NAME}",
            code=Code.METADATA_INVALID,
            fix="the file belongs to another array, or is damaged; copy the array again from its source",
        )
    if not header.compressed:
        return _FileIndex(min(header.byte_offset, 2**62))
    # The size costs nothing for a local file, a round trip elsewhere; there, reading beyond the end fails.
    stat = store.stat(key) if store.concurrency == 1 else None
    starts = wkw.parse_ends(head[wkw.HEADER_SIZE :], header, None if stat is None else stat.size, key)
    return _FileIndex(header.byte_offset, starts)


class _NoCache:
    """An index cache that keeps nothing."""

    def get(self, _store: ReadableStore, _key: str, load: Callable[[], object | None], /) -> object | None:
        return load()
