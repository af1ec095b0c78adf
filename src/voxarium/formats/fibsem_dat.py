"""Janelia FIB-SEM ``.dat``: one file per slice, or a folder or glob of them as a stack along z.

Spec: https://github.com/clbarnes/jeiss-specs, see `voxarium.spec.fibsem_dat`. Slices are taken in natural order and
must agree in size and type; those far away are compared by the first and the last. Raw samples are given, as
stored; scaling factors are among the attributes. How thick a slice is the files do not say, so a stack has no voxel
size until somebody tells it.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray
from voxarium.model.image import ArrayInfo
from voxarium.model.keys import natural_key
from voxarium.model.protocols import FileStore, ListableStore, ReadableStore
from voxarium.model.sources import declined, place, read_head, truncated
from voxarium.spec.fibsem_dat import HEADER_BYTES, MAGIC, DatHeader, check_tiles, parse_header

__all__ = ["FibsemDatDriver"]

_SUFFIX: Final = ".dat"
_GLOB: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class _Files:
    """Where the slices are; `keys` has one entry for a single file."""

    keys: tuple[str, ...]
    layout: FlatArray
    stacked: bool


class FibsemDatDriver:
    """Reads .dat files, plane by plane."""

    name: ClassVar[str] = "fibsem-dat"
    spec_url: ClassVar[str] = "https://github.com/clbarnes/jeiss-specs"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = (_SUFFIX,)
    precedence: ClassVar[int] = -10  # before raw files, which may have any content

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Open a file, a folder of files, or a glob such as ``slices/*_0-0-0.dat``.

        Raises
        ------
        NotFoundError
            If there are no such files.
        FormatError
            If a header is broken, or a file is cut off.
        InputError
            If slices differ in size or type, or are tiles side by side.
        """
        if "::" in path:
            raise declined(self.name, store, path)
        found = read_head(store, path, HEADER_BYTES)
        if found is not None:
            header = self._header(store, path, found)
            return self._describe(header, _Files((path,), _layout(header), stacked=False))
        keys = self._keys(store, path)
        header = self._header(store, keys[0], None)
        self._check(store, keys, header)
        return self._describe(header, _Files(keys, _layout(header), stacked=True))

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`. Only the rows a box touches are read."""
        files = cast(_Files, info.details)
        if not files.stacked:
            files.layout.read(store, files.keys[0], box, out)
            return
        plane = Box(box.origin[1:], box.shape[1:])
        for i in range(box.shape[0]):
            files.layout.read(store, files.keys[box.origin[0] + i], plane, out[i])

    # ------------------------------------------------------------------------------------------------- headers
    def _header(self, store: ReadableStore, key: str, found: tuple[bytes, int] | None) -> DatHeader:
        found = found or read_head(store, key, HEADER_BYTES)
        if found is None or not (found[0].startswith(MAGIC) and key.lower().endswith(_SUFFIX)):
            raise declined(self.name, store, key)
        head, size = found
        if size < HEADER_BYTES:
            raise truncated(place(store, key), size, HEADER_BYTES)
        header = parse_header(head, place(store, key))
        if size < header.stop:
            raise truncated(place(store, key), size, header.stop)
        return header

    def _keys(self, store: ReadableStore, path: str) -> tuple[str, ...]:
        """Return the slices of a folder or glob, in order."""
        if not isinstance(store, ListableStore):
            raise declined(self.name, store, path)
        folder, _, pattern = path.rpartition("/")
        if not _GLOB.search(pattern):
            folder, pattern = path, "*"
        if _GLOB.search(folder):
            raise declined(self.name, store, path)
        names = [n for n in store.list_dir(folder)[0] if n.lower().endswith(_SUFFIX) and not n.startswith(".")]
        names = sorted((n for n in names if fnmatch.fnmatchcase(n, pattern)), key=natural_key)
        if not names:
            raise declined(self.name, store, path)
        first = f"{folder}/{names[0]}" if folder else names[0]
        head = read_head(store, first, len(MAGIC))
        if head is None or head[0] != MAGIC:
            raise declined(self.name, store, path)
        check_tiles(names, place(store, folder))
        return tuple(f"{folder}/{n}" if folder else n for n in names)

    def _check(self, store: ReadableStore, keys: tuple[str, ...], expected: DatHeader) -> None:
        local = isinstance(store, FileStore) and store.local_path(keys[0]) is not None
        for key in keys if local else keys[-1:]:
            try:
                header = self._header(store, key, None)
            except NotFoundError as error:
                raise FormatError(
                    f"{place(store, key)} is no FIB-SEM .dat file, though the others beside it are",
                    code=Code.METADATA_INVALID,
                    fix="take it out of the folder, or choose files with a glob",
                ) from error
            if not header.agrees_with(expected):
                raise InputError(
                    f"{place(store, key)} is {header}, but the first slice is {expected}",
                    code=Code.SLICE_MISMATCH,
                    fix="take this file out of the folder, or choose files with a glob",
                )

    def _describe(self, header: DatHeader, files: _Files) -> ArrayInfo:
        attributes: dict[str, Any] = {"fibsem": dict(header.metadata)}
        axes, transform = header.axes, header.transform
        shape, chunk, remarks = header.shape, files.layout.chunk_shape, []
        if files.stacked:
            names = [key.rpartition("/")[2] for key in files.keys]
            attributes["source_files"] = {"first": names[0], "last": names[-1], "count": len(names)}
            shape, chunk = (len(names), *shape), (1, *chunk)
            axes = (Axis(name="z", type="space"), *(Axis(name=a.name, type=a.type, labels=a.labels) for a in axes))
            transform = None
            if header.pixel_size is not None:
                size = f"{header.pixel_size:g}"
                remarks.append(f"pixels are {size} nm wide; how far slices are apart is not stated: give a voxel size")
        return ArrayInfo(
            format=self.name,
            shape=shape,
            dtype=header.dtype.newbyteorder("="),
            chunk_shape=chunk,
            contiguous=not files.stacked,
            codecs=("bytes:big",) if header.dtype.itemsize > 1 else ("bytes",),
            axes=axes,
            transform=transform,
            attributes=attributes,
            remarks=tuple(remarks),
            details=files,
        )


def _layout(header: DatHeader) -> FlatArray:
    return FlatArray(shape=header.shape, dtype=header.dtype, byte_offset=HEADER_BYTES)
