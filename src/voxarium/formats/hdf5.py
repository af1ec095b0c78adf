"""HDF5 datasets: ``file.h5::/volumes/raw``, or ``file.h5`` when it holds one image only.

Spec: https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html. Dialects: CREMI, ilastik, PlantSeg, funlib, Fiji's
plugins, BDV (see `voxarium.spec.array_attributes`). Links are followed by hand, so that a file cannot make
us read beyond the folder it is in; a virtual dataset whose sources are gone is refused, because HDF5 would
answer with fill values.
"""

from __future__ import annotations

import contextlib
import math
from importlib import import_module
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.hdf5_filters import DEFLATE, FLETCHER32, SHUFFLE, decode_filters
from voxarium.codecs.hdf5_tree import check_storage, datasets_below, find, local_name, translated
from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray, slab_shape
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place, read_head, truncated
from voxarium.spec.array_attributes import json_value, stated_axes

__all__ = ["Hdf5Driver"]

_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_SIGNATURE_PLACES: Final = (0, 512, 1024, 2048)  # behind a user block of any of these sizes
_MOST_LISTED: Final = 25
_MOST_ATTRIBUTES: Final = 1000
_FILTER_NAMES: Final = {
    1: "gzip",
    2: "shuffle",
    3: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    32000: "lzf",
}
_OURS: Final = frozenset({DEFLATE, SHUFFLE, FLETCHER32})
_CONTIGUOUS, _CHUNKED = 1, 2


class _Handle:
    """An open dataset, and faster ways to its voxels where there are any. Pickled without the open file."""

    __slots__ = ("dataset", "filters", "layout")

    def __init__(
        self,
        dataset: Any,  # Any: h5py is untyped
        layout: FlatArray | None = None,
        filters: tuple[tuple[int, int], ...] | None = None,
    ) -> None:
        self.dataset = dataset
        self.layout = layout
        self.filters = filters

    def __reduce__(self) -> tuple[object, ...]:
        return (_Handle, (None, self.layout, self.filters))


class Hdf5Driver:
    """Reads HDF5 datasets region by region."""

    name: ClassVar[str] = "hdf5"
    spec_url: ClassVar[str] = "https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".hdf", ".he5", ".ims", ".ilp", ".nwb")

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
            dtype = _number_type(node, place(store, path))
            return self._describe(node, dtype, place(store, path))

    def _check_signature(self, store: ReadableStore, path: str, key: str) -> None:
        found = read_head(store, key, _SIGNATURE_PLACES[-1] + len(_SIGNATURE))
        if found is None:
            raise declined(self.name, store, path)
        head, size = found
        if any(head.startswith(_SIGNATURE, at) for at in _SIGNATURE_PLACES):
            return
        if not key.lower().endswith(self.suffixes):
            raise declined(self.name, store, path)
        if size < 64:
            raise truncated(place(store, key), size, None)
        raise FormatError(
            f"{place(store, key)} has no HDF5 signature",
            code=Code.METADATA_INVALID,
            fix="check that the download was complete, and that the file is not compressed (gunzip it)",
        )

    def _describe(self, dataset: Any, dtype: np.dtype[Any], where: str) -> ArrayInfo:
        import h5py

        shape = tuple(int(n) for n in dataset.shape)
        settings = dataset.id.get_create_plist()
        filters = tuple(settings.get_filter(i) for i in range(settings.get_nfilters()))
        _check_filters(filters, where)
        plain = dataset.id.get_type() == h5py.h5t.py_create(dataset.dtype, logical=True)
        layout: FlatArray | None = None
        ours: tuple[tuple[int, int], ...] | None = None
        if plain and settings.get_layout() == _CONTIGUOUS and dataset.id.get_offset() is not None:
            layout = FlatArray(shape=shape, dtype=dataset.dtype, byte_offset=int(dataset.id.get_offset()))
        elif plain and settings.get_layout() == _CHUNKED and all(f[0] in _OURS for f in filters):
            ours = tuple((int(f[0]), int(f[2][0]) if len(f[2]) else 0) for f in filters)
        chunks = slab_shape(shape, dtype.itemsize) if dataset.chunks is None else dataset.chunks
        attributes = _attributes(dataset)
        axes, transform = stated_axes(attributes, len(shape), dataset.name or "")
        return ArrayInfo(
            format=self.name,
            shape=shape,
            dtype=dtype,
            chunk_shape=tuple(max(1, min(int(c), n)) for c, n in zip(chunks, shape, strict=True)),
            contiguous=layout is not None,
            fill_value=dataset.fillvalue if dataset.fillvalue is not None else 0,
            codecs=tuple(_filter_name(f) for f in filters),
            axes=axes,
            transform=transform,
            attributes=attributes,
            details=_Handle(dataset, layout, ours),
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`."""
        handle = cast(_Handle, info.details)
        with translated(place(store, path)):
            if handle.dataset is None:  # came from another process
                handle.dataset = self.open(store, path).details.dataset
            if handle.layout is not None:
                key = path.partition("::")[0]
                if handle.dataset.file.filename == local_name(store, key):
                    handle.layout.read(store, key, box, out)
                    return
            if handle.filters is not None and _worth_whole_chunks(handle.dataset, box):
                _read_chunks(handle.dataset, handle.filters, box, out)
            elif out.flags.c_contiguous and out.ndim:
                handle.dataset.read_direct(out, source_sel=box.slices)
            else:
                out[...] = handle.dataset[box.slices]


def _only_image(group: Any, where: str) -> Any:
    if not hasattr(group, "keys"):
        raise InputError(f"{where} is a named type, not a dataset", code=Code.ARGUMENT_INVALID, fix="name a dataset")
    found = list(datasets_below(group))
    images = [d for d in found if d.shape is not None and len(d.shape) >= 2 and d.dtype.kind in "biufc"]
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


def _number_type(dataset: Any, where: str) -> np.dtype[Any]:
    dtype: np.dtype[Any] = dataset.dtype
    if dataset.shape is None or dtype.kind not in "biufc" or dtype.str[1:] in ("f16", "c32"):
        what = "nothing" if dataset.shape is None else f"fields {', '.join(dtype.names)}" if dtype.names else str(dtype)
        raise UnsupportedError(
            f"{where}: {dataset.name} holds {what}, not plain numbers",
            code=Code.DTYPE_UNSUPPORTED,
            fix="name a numeric dataset, or store one field as integers or floats",
        )
    return np.dtype(dtype.newbyteorder("=").str)  # without the metadata that h5py attaches to enumerations


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


def _filter_name(entry: Any) -> str:
    name = _FILTER_NAMES.get(entry[0], entry[3].decode("ascii", "replace").split(" ")[0] or f"filter {entry[0]}")
    return f"{name}:{entry[2][0]}" if entry[0] == DEFLATE and len(entry[2]) else name


def _check_filters(filters: tuple[Any, ...], where: str) -> None:
    import h5py

    absent = [f for f in filters if not h5py.h5z.filter_avail(f[0])]
    if absent:
        with contextlib.suppress(ImportError):  # importing it registers its filters
            import_module("hdf5plugin")
        absent = [f for f in absent if not h5py.h5z.filter_avail(f[0])]
    if absent:
        raise UnsupportedError(
            f"{where} needs {', '.join(map(_filter_name, absent))}, which this installation cannot decode",
            code=Code.CODEC_NOT_INSTALLED,
            fix="pip install hdf5plugin",
        )


# --------------------------------------------------------------------------------------------------- reading
def _worth_whole_chunks(dataset: Any, box: Box) -> bool:
    """Tell whether at least half of the touched chunks is wanted; else HDF5's chunk cache does better."""
    whole = box.snapped_to(dataset.chunks).intersection(Box.whole(dataset.shape))
    return box.size * 2 >= whole.size


def _read_chunks(dataset: Any, filters: tuple[tuple[int, int], ...], box: Box, out: NDArray[Any]) -> None:
    grid = ChunkGrid(dataset.shape, dataset.chunks)
    nbytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    for index in grid.indices(box):
        chunk_box = grid.box(index)
        part = chunk_box.intersection(box)
        target = out[part.relative_to(box.origin).slices]
        if dataset.id.get_chunk_info_by_coord(chunk_box.origin).byte_offset is None:
            target[...] = dataset.fillvalue  # never written
            continue
        mask, payload = dataset.id.read_direct_chunk(chunk_box.origin)
        try:
            data = decode_filters(payload, filters, mask, nbytes)
        except FormatError as error:
            where = f"{dataset.file.filename}::{dataset.name}, chunk at {chunk_box.origin}"
            raise type(error)(f"{where}: {error.message}", code=error.code, fix=error.fix) from error
        chunk = data.view(dataset.dtype).reshape(dataset.chunks)
        target[...] = chunk[part.relative_to(chunk_box.origin).slices]
