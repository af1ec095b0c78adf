"""Arrays in memory that are read in chunks."""

from __future__ import annotations

from voxarium.core.array import Array
from voxarium.model.image import ArrayInfo
from voxarium.stores.memory import MemoryStore


class MemoryDriver:
    """Shows an array in memory, in chunks."""

    name = "memory"
    spec_url = ""
    capabilities = frozenset({"read"})

    def __init__(self, data):
        self._data = data
        self.reads = []

    def open(self, _store, _path, /, **_options):
        raise NotImplementedError

    def read_chunk(self, _store, _path, _info, box, /):
        self.reads.append(box)
        return self._data[box.slices]


def array_of(data, axes=None, chunk=None, transform=None, **more):
    info = ArrayInfo(
        format="memory",
        shape=data.shape,
        dtype=data.dtype,
        chunk_shape=chunk or tuple(max(1, n) for n in data.shape),
        axes=axes,
        transform=transform,
        **more,
    )
    return Array(MemoryDriver(data), MemoryStore(), "", info)
