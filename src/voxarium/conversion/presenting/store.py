"""A read-only store that shows an image as another format.

Documents are those that a conversion would write; chunks are made on request, from the image's own levels where they
are, and from the next finer level where they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs.crc32c import crc32c_extend
from voxarium.conversion.options import ConvertOptions
from voxarium.conversion.packaging import packaging_driver
from voxarium.conversion.plan import Plan, PlannedLevel
from voxarium.conversion.planning import plan
from voxarium.conversion.presenting.pyramids import own_pyramid
from voxarium.conversion.target import Target, put_documents
from voxarium.conversion.voxels import cast_voxels, whole_chunk
from voxarium.core.image import Image
from voxarium.core.recent import Recent
from voxarium.core.registry import writable_array_driver, writable_image_driver
from voxarium.errors import Code, StoreError, UnsupportedError
from voxarium.model.abilities import Loss
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid
from voxarium.model.protocols import ByteRange, KeyedDriver, ObjectStat, WritableArrayDriver
from voxarium.pyramid import downsample
from voxarium.stores.memory import MemoryStore

__all__ = ["PresentedStore", "present"]

_LONGEST: Final = 256  # voxels of a coarsest level: what a viewer loads at once
_RECENT: Final = 64 << 20


def present(image: Image, format: str = "ome-zarr", *, cache: int = _RECENT, **choices: Any) -> PresentedStore:
    """Return a store that shows an image in another format.

    Parameters
    ----------
    image : Image
        What to show. Nothing is read until somebody asks.
    format : str
        Convention to show: any that can be written as separate objects.
    cache : int
        Bytes of finished objects, and as many of voxels of computed levels, that are kept for the next request.
    **choices
        As for `voxarium.convert`: ``spec_version``, ``chunk``, ``codec``, ``axes``, ``voxel_size``, ``unit`` … What the
        format cannot hold is left out, see `PresentedStore.losses`.

    Raises
    ------
    InputError
        If a choice does not fit the image.
    UnsupportedError
        If the format cannot be shown object by object.
    """
    options = replace(ConvertOptions(format=format, shard=(0,), accept=("all",)), **choices)
    convention = writable_image_driver(options.format)
    driver = writable_array_driver(convention.array_driver(options.spec_version or convention.spec_versions[0]))
    if not isinstance(driver, KeyedDriver) or packaging_driver(convention) is not None:
        raise UnsupportedError(
            f"{options.format} cannot be shown without writing it",
            code=Code.FEATURE_UNSUPPORTED,
            fix="show it as ome-zarr, precomputed or n5-viewer, or convert it",
        )
    pyramid = own_pyramid(image, options, longest=_LONGEST)
    laid_out = plan(image, replace(options, method=str(pyramid.method)), steps=pyramid.steps)
    return PresentedStore(image, laid_out, driver, stored=pyramid.stored, cache=cache)


@dataclass(frozen=True, slots=True)
class _Object:
    """The bytes of an object, perhaps in the memory of voxels that nobody else has, and what is told of them."""

    raw: memoryview
    stat: ObjectStat


def _object(data: Buffer) -> _Object:
    view = memoryview(data)
    raw = np.frombuffer(view, np.uint8).data.toreadonly() if view.nbytes else view
    return _Object(raw, ObjectStat(len(raw), f"{len(raw):x}-{crc32c_extend(0, raw):08x}"))


class PresentedStore:
    """Objects of a format, made from an image of another one when they are read. Thread-safe.

    Parameters
    ----------
    image : Image
        What is shown.
    laid_out : Plan
        As what.
    driver : WritableArrayDriver
        Makes its objects.
    stored : int
        How many levels of the plan are levels of the image.
    cache : int
        Bytes kept of finished objects, and of voxels of computed levels.
    """

    def __init__(self, image: Image, laid_out: Plan, driver: WritableArrayDriver, *, stored: int, cache: int) -> None:
        if not isinstance(driver, KeyedDriver):
            raise TypeError("a driver that does not know its keys")  # pragma: no cover  see `present`
        self._image = image
        self._plan = laid_out
        self._driver = driver
        self._keys: KeyedDriver = driver
        self._stored = min(stored, len(laid_out.levels))
        self._objects: Recent[str, _Object | None] = Recent(cache, lambda found: 64 + (found.stat.size if found else 0))
        self._voxels: Recent[tuple[int, tuple[int, ...]], NDArray[Any]] = Recent(cache, lambda found: found.nbytes)
        documents = MemoryStore()
        put_documents(laid_out, Target(store=documents, hierarchy=documents, path=""))
        self._documents = {key: _object(documents.get(key) or b"") for key, _ in documents.list("")}
        self._grids = [ChunkGrid(level.info.shape, level.info.chunk_shape) for level in laid_out.levels]

    # -- what it is
    @property
    def uri(self) -> str:
        """Address of the image that is shown."""
        return "/".join(p for p in (self._image.store.uri, self._image.path) if p)

    @property
    def concurrency(self) -> int:
        """Objects are made by the thread that asks."""
        return 1

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What of the image the format cannot say."""
        return self._plan.losses

    @property
    def documents(self) -> tuple[str, ...]:
        """Keys of the metadata."""
        return tuple(self._documents)

    @property
    def plan(self) -> Plan:
        """How it is laid out: levels, shapes, chunks."""
        return self._plan

    # -- reading
    def get(self, key: str, /) -> bytes | None:
        """Return a document or a chunk; None for what is no key, and for chunks of nothing but fill value."""
        found = self._found(key)
        return None if found is None else bytes(found.raw)

    def _found(self, key: str) -> _Object | None:
        document = self._documents.get(key)
        if document is not None:
            return document
        return self._objects.get(key, lambda: self._made(key))

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of an object."""
        found = self._found(key)
        if found is None:
            return None
        raw, out = found.raw, []
        for wanted in ranges:
            start = wanted.start if wanted.start >= 0 else len(raw) + wanted.start
            stop = len(raw) if wanted.length is None else start + wanted.length
            if not 0 <= start <= stop <= len(raw):
                raise StoreError(
                    f"{key} has {len(raw)} bytes, not {stop}", code=Code.STORE_UNREADABLE, fix="ask for what is there"
                )
            out.append(raw if stop - start == len(raw) else raw[start:stop])
        return out

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and checksum of an object, which is made for that."""
        found = self._found(key)
        return None if found is None else found.stat

    # -- making
    def _made(self, key: str) -> _Object | None:
        for number, level in enumerate(self._plan.levels):
            index = self._index(level, key)
            if index is None:
                continue
            grid = self._grids[number]
            if any(not 0 <= i < n for i, n in zip(index, grid.counts, strict=True)):
                return None
            voxels = self._read(number, grid.clipped_box(index))
            chunk = whole_chunk(level.info, voxels)
            return None if chunk is None else _object(self._driver.encode(level.info, chunk))
        return None

    def _index(self, level: PlannedLevel, key: str) -> tuple[int, ...] | None:
        if level.path and not key.startswith(f"{level.path}/"):
            return None
        return self._keys.object_index(level.path, level.info, key)

    def _read(self, number: int, box: Box) -> NDArray[Any]:
        """Return voxels of a level, in the order and type of the plan."""
        level, selection = self._plan.levels[number], self._plan.selection
        if number < self._stored:
            if number:
                selection = replace(selection, crop=Box.whole(self._image.arrays[number].shape))
            raw = self._image.arrays[number].read(selection.source_box(box), threads=1)
            raw = raw.transpose(selection.permutation)
            same = raw.dtype == selection.dtype
            return raw if same else cast_voxels(raw, selection.dtype, lossy=True, origin=box.origin)
        out = np.empty(box.shape, level.info.dtype)
        grid = self._grids[number]
        for index in grid.indices(box):
            cell = grid.clipped_box(index)
            voxels = self._voxels.get((number, index), partial(self._computed, number, cell))
            part = cell.intersection(box)
            out[part.relative_to(box.origin).slices] = voxels[part.relative_to(cell.origin).slices]
        return out

    def _computed(self, number: int, cell: Box) -> NDArray[Any]:
        """Make a chunk of a level from the finer one."""
        factors = self._plan.levels[number].factors
        finer = self._plan.levels[number - 1].info.shape
        fine = Box(
            tuple(o * f for o, f in zip(cell.origin, factors, strict=True)),
            tuple(n * f for n, f in zip(cell.shape, factors, strict=True)),
        ).intersection(Box.whole(finer))
        data = np.ascontiguousarray(self._read(number - 1, fine))
        return downsample(data, factors, self._plan.method, ignore_zero=self._plan.ignore_zero)
