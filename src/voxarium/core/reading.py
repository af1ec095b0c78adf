"""Reading a box of an array: locate, fetch in few requests, decode in parallel, place."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs.batch.crew import crews_possible
from voxarium.core.flat_reading import FlatReader
from voxarium.core.native_reading import NativeReader
from voxarium.core.placing import Placer
from voxarium.core.pools import cpu_count, run_all
from voxarium.core.requests import Objects, Request, group_requests, merge_ranges
from voxarium.errors import Code, FormatError
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo
from voxarium.model.native import ChunkJudge
from voxarium.model.protocols import (
    ArrayDriver,
    BatchDriver,
    ByteRange,
    FlatDriver,
    IndexCache,
    ManyStore,
    NativeDriver,
    NativeStore,
    PayloadDriver,
    ProbeStore,
    ReadableStore,
    RegionDriver,
    Span,
)

__all__ = ["Source", "check_payloads", "fetch_payloads", "judge_chunks", "place_payloads", "read_into"]

# Two spans closer than this are fetched in one request: at 20 ms a request and 100 MB/s, a gap of 1 MiB costs less
# than a second request would, but wastes transfer that others may pay for.
_COALESCE_GAP: Final = 128 << 10
_LARGEST_REQUEST: Final = 8 << 20
_GAP_LOCAL: Final = 16 << 10  # reading so much more costs less than another call
# Chunks decoded in one call take about so much memory: it stays in the cache, and calls stay rare.
_BATCH_BYTES: Final = 512 << 10
_DISK_WORKERS: Final = 6
_BATCH_LEAST: Final = 4
_BATCH_MOST: Final = 64
_FEW: Final = 3

_scratch = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An opened array: who reads it, and from where."""

    driver: ArrayDriver
    store: ReadableStore
    path: str
    info: ArrayInfo
    cache: IndexCache
    # Capabilities are looked up once: asking a protocol costs tens of microseconds.
    region: RegionDriver | None = field(init=False)
    payload: PayloadDriver | None = field(init=False)
    batch: BatchDriver | None = field(init=False)
    many: ManyStore | None = field(init=False)
    probe: ProbeStore | None = field(init=False)
    native: NativeReader | None = field(init=False)
    flat: FlatReader | None = field(init=False)
    most_stored: int = field(init=False)

    def __post_init__(self) -> None:
        able = self.driver
        object.__setattr__(self, "region", able if isinstance(able, RegionDriver) else None)
        object.__setattr__(self, "payload", able if isinstance(able, PayloadDriver) else None)
        object.__setattr__(self, "many", self.store if isinstance(self.store, ManyStore) else None)
        object.__setattr__(self, "probe", self.store if isinstance(self.store, ProbeStore) else None)
        nbytes = math.prod(self.info.chunk_shape) * self.info.dtype.itemsize
        object.__setattr__(self, "most_stored", nbytes + nbytes // 64 + 4096)
        batch = isinstance(able, BatchDriver) and self.info.ndim > 0
        object.__setattr__(self, "batch", able if batch else None)
        native = flat = None
        store = self.store if isinstance(self.store, NativeStore) and crews_possible() else None
        if store is not None and batch and isinstance(able, NativeDriver):
            native = NativeReader(able, store, self.path, self.info, self.cache, most_stored=self.most_stored)
        if store is not None and isinstance(able, FlatDriver) and (found := able.flat_layout(self.path, self.info)):
            flat = FlatReader(found[1], store, found[0])
        object.__setattr__(self, "native", native)
        object.__setattr__(self, "flat", flat)


def _fetch(source: Source, request: Request | Objects) -> Iterator[tuple[tuple[int, ...], Buffer | None]]:
    """Yield (chunk index, payload) of one request; None only for an object that is surely absent."""
    store = source.store
    if isinstance(request, Objects):
        keys = [key for _, key in request.chunks]
        many = [store.get(k) for k in keys] if source.many is None else source.many.get_many(keys, source.most_stored)
        yield from zip((index for index, _ in request.chunks), many, strict=True)
        return
    # In a network, the gaps between chunks are fetched along; on a disk, only small ones.
    gap = _GAP_LOCAL if store.concurrency == 1 else request.stop
    ranges, members = merge_ranges(request, gap)
    parts = store.get_ranges(request.key, ranges)
    if parts is None:
        # The index was read a moment ago, so this is not an absent chunk but one that vanished.
        raise FormatError(
            f"shard {request.key} disappeared while it was read",
            code=Code.CHUNK_TRUNCATED,
            fix="open the array again; something is rewriting it",
        )
    for wanted, part, chunks in zip(ranges, parts, members, strict=True):
        view = memoryview(part)
        for index, offset, length in chunks:
            at = offset - wanted.start
            yield index, view[at : at + length]


def _locate(
    source: Source, indices: Sequence[tuple[int, ...]], workers: int
) -> list[tuple[tuple[int, ...], Span | None]]:
    """Find the spans of chunks; indexes of several remote shards are fetched side by side."""
    driver, info = source.payload, source.info
    if driver is None:  # pragma: no cover  callers checked
        return []
    if source.store.concurrency == 1 or info.shard_shape is None:
        spans = driver.locate(source.store, source.path, info, indices, source.cache)
        return list(zip(indices, spans, strict=True))
    per_shard = tuple(s // c for s, c in zip(info.shard_shape, info.chunk_shape, strict=True))
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for index in indices:
        groups.setdefault(tuple(i // n for i, n in zip(index, per_shard, strict=True)), []).append(index)
    found: list[tuple[tuple[int, ...], Span | None]] = []
    lock = threading.Lock()

    def locate(group: list[tuple[int, ...]]) -> None:
        spans = driver.locate(source.store, source.path, info, group, source.cache)
        with lock:
            found.extend(zip(group, spans, strict=True))

    run_all(locate, list(groups.values()), workers)
    return found


def _workers(source: Source, threads: int | None) -> int:
    wanted = cpu_count() if threads is None else threads
    return max(wanted, source.store.concurrency) if threads != 1 or source.store.concurrency > 1 else 1


def fetch_payloads(
    source: Source, indices: Sequence[tuple[int, ...]], threads: int = 1
) -> list[tuple[tuple[int, ...], Buffer | None]]:
    """Return the stored bytes of chunks, undecoded; None for absent ones."""
    located = _locate(source, indices, _workers(source, threads))
    out: list[tuple[tuple[int, ...], Buffer | None]] = [(i, None) for i, span in located if span is None]
    present = [(i, span) for i, span in located if span is not None]
    lock = threading.Lock()

    def fetch(request: Request | Objects) -> None:
        got = list(_fetch(source, request))
        with lock:
            out.extend(got)

    # Payload sharing keeps the whole request alive, so requests stay modest.
    requests = list(group_requests(present, gap=_COALESCE_GAP, largest=_LARGEST_REQUEST, most=_BATCH_MOST))
    run_all(fetch, requests, _workers(source, threads))
    return out


def _chunk_scratch(info: ArrayInfo) -> NDArray[Any]:
    kept: NDArray[Any] | None = getattr(_scratch, "chunk", None)
    if kept is None or kept.shape != info.chunk_shape or kept.dtype != info.dtype:
        kept = _scratch.chunk = np.empty(info.chunk_shape, info.dtype)
    return kept


def read_into(source: Source, box: Box, out: NDArray[Any], threads: int | None = None) -> None:
    """Fill `out` with the voxels of `box`, which lies inside the array.

    Parameters
    ----------
    source : Source
        The opened array.
    box : Box
        Region, clipped to the array by the caller.
    out : ndarray
        Shape of `box`, dtype of the array; need not be contiguous.
    threads : int or None
        Threads that decode; None = one per processor. Requests to remote stores may use more.
    """
    if out.size == 0:
        return
    if source.flat is not None and source.flat.read(box, out, _workers(source, threads)):
        return
    if source.region is not None:
        source.region.read_region(source.store, source.path, source.info, box, out)
    elif source.payload is not None:
        grid = ChunkGrid(source.info.shape, source.info.chunk_shape)
        workers = _workers(source, threads)
        native = source.native
        if native is None or not native.read(box, out, workers, partial(_read_payloads, source, box, out)):
            _read_payloads(source, box, out, list(grid.indices(box)), workers)
    else:
        _read_chunks(source, box, out, threads)


def judge_chunks(source: Source, box: Box, judge: ChunkJudge, threads: int | None = None) -> NDArray[np.bool_] | None:
    """Have compiled code look at the chunks of a box of whole chunks; None where chunks cannot be decoded so."""
    return None if source.native is None else source.native.judge(box, judge, _workers(source, threads))


def _read_payloads(
    source: Source, box: Box, out: NDArray[Any], indices: Sequence[tuple[int, ...]], workers: int
) -> None:
    """Read the chunks at `indices` and put their parts that lie in `box` into `out`."""
    driver, info = source.payload, source.info
    if driver is None:  # pragma: no cover  callers checked
        return
    place = Placer(info, box, out)
    present = []
    for index, span in _locate(source, indices, workers):
        if span is None:
            place.absent(index)
        else:
            present.append((index, span))
    probe = source.probe
    slow = workers > 1 and probe is not None and _on_disk(probe, present)
    if slow:
        workers = max(workers, _DISK_WORKERS)  # most of them wait, each for a piece of its own
    requests = _grouped(source, present, workers)

    def read(request: Request | Objects | None) -> None:
        if request is not None:
            _place(source, driver, _fetch(source, request), place)
        elif probe is not None:
            probe.announce(_pieces(requests))

    if slow:
        # One thread more tells the disk everything at once, while the others wait for their first pieces.
        run_all(read, [None, *requests], workers + 1)
    else:
        run_all(read, requests, workers)


def place_payloads(
    source: Source, payloads: Iterable[tuple[tuple[int, ...], Buffer | None]], box: Box, out: NDArray[Any]
) -> None:
    """Decode payloads of chunks that cover `box`, and fill `out`, of its shape."""
    if source.payload is not None:
        _place(source, source.payload, payloads, Placer(source.info, box, out))


def check_payloads(source: Source, payloads: Iterable[tuple[tuple[int, ...], Buffer | None]]) -> None:
    """Raise FormatError for a payload that is cut off or of another size, as far as that shows without decoding."""
    check = getattr(source.driver, "check", None)
    if check is None:
        return
    for index, payload in payloads:
        if payload is not None:
            try:
                check(source.info, payload)
            except FormatError as error:
                raise _located(error, source, index) from error


def _place(
    source: Source,
    driver: PayloadDriver,
    payloads: Iterable[tuple[tuple[int, ...], Buffer | None]],
    place: Placer,
) -> None:
    """Decode chunks and put them in their places."""
    pieces = []
    for index, payload in payloads:
        if payload is None:
            place.absent(index)
        else:
            pieces.append((index, payload))
    done = 0
    if source.batch is not None and pieces:
        done = _decode_batch(source, source.batch, pieces, place)
    for index, payload in pieces[done:]:
        try:
            shape = _clipped_shape(source.info, index) if source.info.clipped else None
            place.chunk(index, driver.decode(source.info, payload, shape=shape, out=_chunk_scratch(source.info)))
        except FormatError as error:
            raise _located(error, source, index) from error


def _clipped_shape(info: ArrayInfo, index: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a chunk that is cut to the array."""
    return tuple(min(c, n - i * c) for i, c, n in zip(index, info.chunk_shape, info.shape, strict=True))


def _grouped(source: Source, present: Sequence[tuple[tuple[int, ...], Span]], workers: int) -> list[Request | Objects]:
    """Group chunks into what is fetched and decoded at once."""
    info = source.info
    if source.store.concurrency > 1:
        # Chunks that are objects of their own are fetched side by side; those of a shard in few requests.
        most = 1 if info.shard_shape is None else 1 << 30
        return list(group_requests(present, gap=_COALESCE_GAP, largest=_LARGEST_REQUEST, most=most))
    most = _batch_size(info, len(present), workers)
    return list(group_requests(present, gap=1 << 62, largest=1 << 62, most=most))


def _batch_size(info: ArrayInfo, chunks: int, workers: int) -> int:
    """Return how many chunks are read and decoded in one call."""
    nbytes = math.prod(info.chunk_shape) * info.dtype.itemsize
    wanted = min(max(_BATCH_BYTES // max(nbytes, 1), _BATCH_LEAST), _BATCH_MOST)
    return max(1, min(wanted, math.ceil(chunks / workers)))


def _on_disk(probe: ProbeStore, present: Sequence[tuple[tuple[int, ...], Span]]) -> bool:
    """Tell whether reading will wait for a disk, judged by the first and the last span."""
    if len(present) < _FEW:
        return False
    return not all(probe.in_memory(span.key, span.start) for _, span in (present[0], present[-1]))


def _pieces(requests: Sequence[Request | Objects]) -> Iterator[tuple[str, list[ByteRange]]]:
    """Yield what a list of requests will read, object by object."""
    for request in requests:
        if isinstance(request, Objects):
            yield from ((key, [ByteRange(0)]) for _, key in request.chunks)
        else:
            yield request.key, merge_ranges(request, _GAP_LOCAL)[0]


def _decode_batch(
    source: Source, driver: BatchDriver, pieces: list[tuple[tuple[int, ...], Buffer]], place: Placer
) -> int:
    """Decode as many chunks as possible in one call; the rest, a damaged chunk first, goes the careful way."""
    info = source.info
    places = place.places([index for index, _ in pieces])
    done = driver.decode_many(info, [p for _, p in pieces], places, _chunk_scratch(info), place.out)
    return done or 0


def _located(error: FormatError, source: Source, index: tuple[int, ...]) -> FormatError:
    where = "/".join(p for p in (source.store.uri, source.path) if p)
    return type(error)(f"chunk {index} of {where}: {error.message}", code=error.code, fix=error.fix)


def _read_chunks(source: Source, box: Box, out: NDArray[Any], threads: int | None) -> None:
    """Read through the smallest driver: chunk by chunk."""
    info = source.info
    grid = ChunkGrid(info.shape, info.chunk_shape)
    place = Placer(info, box, out)

    def read(index: tuple[int, ...]) -> None:
        chunk = source.driver.read_chunk(source.store, source.path, info, grid.clipped_box(index))
        if chunk is None:
            place.absent(index)
        else:
            place.chunk(index, chunk)

    run_all(read, list(grid.indices(box)), _workers(source, threads))
