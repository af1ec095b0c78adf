"""HDF5 datasets: ``file.h5::/volumes/raw``, or ``file.h5`` when it holds one image only; of several it is a list.

Spec: https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html. Dialects: CREMI, ilastik, PlantSeg, funlib, Fiji's
plugins, BDV (see `voxarium.spec.array_attributes`), MATLAB 7.3 (`voxarium.spec.matlab`). Links are followed by
hand, so that a file cannot make us read beyond the folder it is in; a virtual dataset whose sources are gone is
refused, because HDF5 would answer with fill values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.hdf5_filters import DEFLATE, FLETCHER32, SHUFFLE, Hdf5Voxels, number_type
from voxarium.codecs.hdf5_tree import (
    HEAD,
    check_storage,
    datasets_below,
    find,
    has_signature,
    open_file,
    translated,
)
from voxarium.errors import Code, FormatError, InputError
from voxarium.model.box import Box
from voxarium.model.collection import CollectionInfo, Member, MemberKind
from voxarium.model.image import ArrayInfo
from voxarium.model.native import Span
from voxarium.model.protocols import ReadableStore
from voxarium.model.references import Referable, flat_chunks, flat_referable, not_referable
from voxarium.model.sources import declined, place, read_head, truncated
from voxarium.spec import matlab
from voxarium.spec.array_attributes import json_value, presented_type, stated_axes

__all__ = ["Hdf5CollectionDriver", "Hdf5Driver"]

_MOST_LISTED: Final = 25
_MOST_ATTRIBUTES: Final = 1000
_MOST_MEMBERS: Final = 10_000
_SHORT: Final = 16  # a grid of two axes, one of them shorter than this, is a table where there is something larger
_LABELS: Final = frozenset({"label", "labels", "seg", "segmentation", "segmentations", "instances", "neuron_ids"})
_BLOSC: Final = 32001
_ZSTD: Final = 32015  # numbers of filters that plug-ins bring


class Hdf5Driver:
    """Reads HDF5 datasets region by region."""

    name: ClassVar[str] = "hdf5"
    spec_url: ClassVar[str] = "https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = (
        ".h5",
        ".hdf5",
        ".hdf",
        ".he5",
        ".ims",
        ".ilp",
        ".mat",
        ".nwb",
    )

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Open a dataset; without a name in `path`, the only image-like dataset of the file.

        Raises
        ------
        NotFoundError
            If this is no HDF5 file, or there is no such dataset.
        InputError
            If the file holds several datasets and none is named.
        FormatError
            If the file is cut off or corrupt.
        UnsupportedError
            If h5py or a filter is not installed, the elements are not numbers, or a link leaves the folder.
        """
        key, _, name = path.partition("::")
        self._check_signature(store, path, key)
        with translated(place(store, path)):
            key, node = find(store, key, name)
            if not hasattr(node, "shape"):
                node = _only_image(node, place(store, path))
            check_storage(store, key, node, 0)
            dtype = presented_type(node.name or "", number_type(node, place(store, path)))
            return self._describe(node, dtype, key, place(store, path))

    def _check_signature(self, store: ReadableStore, path: str, key: str) -> None:
        found = read_head(store, key, HEAD)
        if found is None:
            raise declined(self.name, store, path)
        head, size = found
        if has_signature(head):
            return
        if not key.lower().endswith(self.suffixes):
            raise declined(self.name, store, path)
        matlab.check_version(head, place(store, key))
        if size < 64:
            raise truncated(place(store, key), size, None)
        raise FormatError(
            f"{place(store, key)} has no HDF5 signature",
            code=Code.METADATA_INVALID,
            fix="check that the download was complete, and that the file is not compressed (gunzip it)",
        )

    def _describe(self, dataset: Any, dtype: np.dtype[Any], key: str, where: str) -> ArrayInfo:
        shape = tuple(int(n) for n in dataset.shape)
        voxels = Hdf5Voxels.of(dataset, key, where)
        attributes = _attributes(dataset)
        axes, transform = stated_axes(attributes, len(shape), dataset.name or "")
        return ArrayInfo(
            format=self.name,
            shape=shape,
            dtype=dtype,
            chunk_shape=voxels.chunk_shape,
            contiguous=voxels.layout is not None,
            fill_value=_fill_value(dataset, dtype),
            codecs=voxels.codecs,
            axes=axes,
            transform=transform,
            attributes=attributes,
            remarks=matlab.remarks(attributes, shape, where),
            details=voxels,
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`."""
        voxels = cast(Hdf5Voxels, info.details)
        with translated(place(store, path)):
            if voxels.dataset is None:  # came from another process
                voxels.dataset = self.open(store, path).details.dataset
            # What is stored as signed and means unsigned numbers is the same bits.
            voxels.read(store, box, out.view(number_type(voxels.dataset, "")))

    def referable(self, info: ArrayInfo, /) -> Referable:
        """Return how others decode the chunks."""
        found = _referable(cast(Hdf5Voxels, info.details))
        meant = info.dtype.newbyteorder(found.dtype.byteorder)  # unsigned where signed bits are stored
        return replace(found, dtype=meant)

    def stored_chunks(
        self, store: ReadableStore, path: str, info: ArrayInfo, /
    ) -> Iterator[tuple[tuple[int, ...], Span | None]]:
        """Yield where chunks are in the file; those never written are left out."""
        with translated(place(store, path)):
            yield from _stored_chunks(cast(Hdf5Voxels, info.details))

    def stored_bytes(self, store: ReadableStore, path: str, info: ArrayInfo, /) -> int | None:
        """Return the bytes of the dataset in the file, None for one that is made of others."""
        voxels = cast(Hdf5Voxels, info.details)
        if voxels.dataset is None or voxels.dataset.is_virtual:
            return None
        with translated(place(store, path)):
            return int(voxels.dataset.id.get_storage_size())


class Hdf5CollectionDriver:
    """Images of a file of several of which no convention says more: ``x.h5::/em``, ``x.h5::/labels``."""

    name: ClassVar[str] = "hdf5-datasets"
    spec_url: ClassVar[str] = Hdf5Driver.spec_url
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = 90  # every convention knows its files better
    suffixes: ClassVar[tuple[str, ...]] = tuple(s for s in Hdf5Driver.suffixes if s != ".ims")

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """List the datasets that may be images; those of integers that are called labels are labels.

        Raises
        ------
        NotFoundError
            If this is no HDF5 file, or has fewer than two images.
        FormatError
            If the file is cut off or corrupt.
        UnsupportedError
            If h5py is not installed.
        """
        found = read_head(store, path, HEAD)
        if found is None or not has_signature(found[0]):
            raise declined(self.name, store, path)
        with translated(place(store, path)):
            members = [_member(d) for d in _images(list(datasets_below(open_file(store, path))))]
        named = [m for m in members if m.path.isprintable()]  # names may be any bytes
        if len(members) < 2 or not named:
            raise declined(self.name, store, path)
        left = len(members) - len(named[:_MOST_MEMBERS])
        notes = (f"{left:,} more datasets are not listed",) if left else ()
        return CollectionInfo(format=self.name, kind="collection", members=tuple(named[:_MOST_MEMBERS]), notes=notes)


def _member(dataset: Any) -> Member:  # Any: h5py is untyped
    name = str(dataset.name)
    called = {part.lower() for part in name.split("/")[-2:]}
    kind: MemberKind = "label" if dataset.dtype.kind in "iu" and not _LABELS.isdisjoint(called) else "image"
    return Member(path=f"::{name}", name=name.rpartition("/")[2], kind=kind)


def _fill_value(dataset: Any, dtype: np.dtype[Any]) -> Any:  # Any: a scalar
    fill = dataset.fillvalue
    if fill is None or dtype.kind != "u" or dataset.dtype.kind == "u":
        return 0 if fill is None else fill
    return np.asarray(fill).astype(dtype)[()]  # stored as signed, meant as unsigned: the same bits


def _only_image(group: Any, where: str) -> Any:
    if not hasattr(group, "keys"):
        raise InputError(f"{where} is a named type, not a dataset", code=Code.ARGUMENT_INVALID, fix="name a dataset")
    found = list(datasets_below(group))
    images = _images(found)
    if len(images) == 1:
        return images[0]
    base = where.partition("::")[0]
    listed = "; ".join(f"{d.name} {d.shape} {d.dtype}" for d in found[:_MOST_LISTED])
    more = f"; and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    example = f"{base}::{images[0].name}" if images else f"{base}::/dataset"
    raise InputError(
        f"{where} holds {len(images)} datasets that could be images: {listed or 'none at all'}{more}",
        code=Code.ARGUMENT_INVALID,
        fix=f"name one of them, as in {example}",
    )


def _images(found: list[Any]) -> list[Any]:  # Any: h5py is untyped
    """Return what of the datasets of a file may be images; tables are, where there is nothing else."""
    images = [d for d in found if _may_be_image(d)]
    grids = [d for d in images if len(d.shape) > 2 or min(d.shape) >= _SHORT]
    return grids or images


def _may_be_image(dataset: Any) -> bool:
    if dataset.shape is None or len(dataset.shape) < 2 or dataset.dtype.kind not in "biufc":
        return False
    if matlab.hidden(dataset.name or ""):
        return False
    return "MATLAB_class" not in dataset.attrs or matlab.is_image_class(_attributes(dataset))


def _attributes(dataset: Any) -> dict[str, Any]:  # Any: JSON
    out: dict[str, Any] = {}
    for name in list(dataset.attrs)[:_MOST_ATTRIBUTES]:
        try:
            header = dataset.attrs.get_id(name)
            if header.shape is not None and math.prod(header.shape) > 10_000:
                out[name] = f"array of shape {header.shape}, {header.dtype}"
            else:
                value = dataset.attrs[name]
                out[name] = None if hasattr(value, "shape") and value.shape is None else json_value(value)
        except (OSError, TypeError, ValueError, KeyError, RuntimeError) as error:
            out[name] = f"unreadable: {error}"[:200]  # an exotic attribute is no reason to refuse the voxels
    return out


def _referable(voxels: Hdf5Voxels) -> Referable:
    """Return how others decode the chunks of a dataset.

    Raises
    ------
    UnsupportedError
        If they have a filter that no other reader knows, or the file begins with something else.
    """
    dataset = voxels.dataset
    if dataset.file.userblock_size:  # whether places count it differs by version
        raise not_referable(f"{dataset.name}", "a block of other data stands before the file's own")
    if voxels.layout is not None:
        return flat_referable(voxels.layout)
    if not dataset.chunks:
        raise not_referable(f"{dataset.name}", "its storage is neither chunked nor in one piece")
    settings = dataset.id.get_create_plist()
    steps = [_step(settings.get_filter(i), dataset.name) for i in range(settings.get_nfilters())]
    return Referable(
        chunk_shape=tuple(int(n) for n in dataset.chunks),
        dtype=dataset.dtype,
        filters=tuple(steps[:-1]),
        compressor=steps[-1] if steps else None,
    )


def _step(entry: Any, name: str) -> Mapping[str, Any]:  # Any: h5py's tuple; JSON
    number, values = int(entry[0]), entry[2]
    if number == SHUFFLE:
        return {"id": "shuffle", "elementsize": int(values[0]) if len(values) else 1}
    if number == DEFLATE:
        return {"id": "zlib", "level": int(values[0]) if len(values) else 1}
    if number == FLETCHER32:
        return {"id": "fletcher32"}
    if number == _BLOSC:
        return {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
    if number == _ZSTD:
        return {"id": "zstd", "level": 1}
    raise not_referable(name, f"other readers do not know its filter {number}")


def _stored_chunks(voxels: Hdf5Voxels) -> Iterator[tuple[tuple[int, ...], Span | None]]:
    """Yield (index in the grid, where the bytes are) of chunks that were written; None where a filter was left out."""
    if voxels.layout is not None:
        yield from flat_chunks(voxels.layout, voxels.key)
        return
    dataset = voxels.dataset
    found: list[Any] = []
    dataset.id.chunk_iter(found.append)
    for chunk in found:
        index = tuple(int(o) // int(c) for o, c in zip(chunk.chunk_offset, dataset.chunks, strict=True))
        whole = chunk.filter_mask == 0
        yield index, Span(voxels.key, int(chunk.byte_offset), int(chunk.size)) if whole else None
