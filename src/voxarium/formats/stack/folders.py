"""Stacks of images: a folder or glob of slices, or one picture. TIFF files with many pages are `formats.tiff`.

Specs: TIFF 6.0, PNG, JPEG. Slices are taken in natural order (``slice_2`` before ``slice_10``) and must agree in size
and type: the header of every local slice is read at opening. Colours are a last axis ``c``, and then the axes have
names; writers that want ``c`` first permute. One image that is no stack keeps its two axes.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError, NotFoundError
from voxarium.formats.stack.slices import agreeing_header, plane_chunk, read_header, read_slice
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo
from voxarium.model.image_header import ImageHeader
from voxarium.model.keys import natural_key
from voxarium.model.protocols import FileStore, ListableStore, ReadableStore
from voxarium.model.sources import declined, place, read_head, truncated
from voxarium.spec.image_headers import image_kind
from voxarium.spec.slice_names import IMAGE_SUFFIXES, kind_of, missing_numbers, one_kind

__all__ = ["StackDriver"]

_GLOB: Final = re.compile(r"[*?\[]")
_OTHERS: Final = (".zarr", ".n5", "zarr.json", ".zgroup", ".zarray")


@dataclass(frozen=True, slots=True)
class _Slices:
    """The files of a stack in order, and what each of them must look like."""

    folder: str
    names: tuple[str, ...]
    header: ImageHeader

    def key(self, number: int) -> str:
        return f"{self.folder}/{self.names[number]}" if self.folder else self.names[number]


class StackDriver:
    """Reads stacks of images, slice by slice."""

    name: ClassVar[str] = "stack"
    spec_url: ClassVar[str] = "https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = IMAGE_SUFFIXES

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Open a folder of slices, a glob such as ``slices/*.tif``, or one image file.

        Parameters
        ----------
        store : ReadableStore
            Where the images are.
        path : str
            Folder (empty for the store itself), glob, or file.

        Raises
        ------
        NotFoundError
            If there are no images, or the folder is empty.
        InputError
            If a folder mixes formats, or slices differ in size or type.
        FormatError
            If a file is cut off or corrupt.
        UnsupportedError
            If a package is not installed, or voxels would not be exact.
        """
        if "::" in path:
            raise declined(self.name, store, path)
        if path and store.stat(path) is not None:
            return self._open_file(store, path)
        if not isinstance(store, ListableStore):
            raise declined(self.name, store, path)
        return self._open_slices(store, path)

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`. Every slice the box touches is decoded once."""
        details = info.details
        if isinstance(details, ImageHeader):
            read_slice(store, path, details, box, out)
        else:
            slices = cast(_Slices, details)
            plane = Box(box.origin[1:], box.shape[1:])
            for i in range(box.shape[0]):
                read_slice(store, slices.key(box.origin[0] + i), slices.header, plane, out[i])

    # ------------------------------------------------------------------------------------------ one file
    def _open_file(self, store: ReadableStore, path: str) -> ArrayInfo:
        found = read_head(store, path, 16)
        kind = None if found is None else image_kind(found[0])
        by_name = kind_of(path)
        if found is None or "tiff" in (kind, by_name) or (kind is None and by_name is None):
            raise declined(self.name, store, path)
        if found[1] < 16:
            raise truncated(place(store, path), found[1], None)
        header = read_header(store, path)
        axes = tuple(Axis(name=n, type="space") for n in "yx")
        return ArrayInfo(
            format=self.name,
            shape=header.shape,
            dtype=header.dtype.newbyteorder("="),
            chunk_shape=header.shape,
            codecs=(header.kind,),
            axes=None if header.samples == 1 else (*axes, Axis(name="c", type="channel")),
            details=header,
        )

    # ----------------------------------------------------------------------------------------- many files
    def _open_slices(self, store: ListableStore, path: str) -> ArrayInfo:
        slices = self._slices(store, path)
        header = slices.header
        spatial = tuple(Axis(name=n, type="space") for n in "zyx")
        gaps = missing_numbers(slices.names)
        files = {"first": slices.names[0], "last": slices.names[-1], "count": len(slices.names)}
        return ArrayInfo(
            format=self.name,
            shape=(len(slices.names), *header.shape),
            dtype=header.dtype.newbyteorder("="),
            chunk_shape=(1, *plane_chunk(header)),
            codecs=(header.kind,),
            axes=None if header.samples == 1 else (*spatial, Axis(name="c", type="channel")),
            attributes={"source_files": files | ({"missing_numbers": gaps} if gaps else {})},
            remarks=_gap_remark(gaps),
            details=slices,
        )

    def _slices(self, store: ListableStore, path: str) -> _Slices:
        folder, _, pattern = path.rpartition("/")
        if _GLOB.search(folder):
            raise InputError(
                f"{path!r} has a wildcard in a folder",
                code=Code.ARGUMENT_INVALID,
                fix="use wildcards in the last part only, as in slices/*.tif",
            )
        if _GLOB.search(pattern):
            names = [n for n in store.list_dir(folder)[0] if fnmatch.fnmatchcase(n, pattern)]
            if not names:
                raise NotFoundError(
                    f"no file matches {place(store, path)}",
                    code=Code.PATH_MISSING,
                    fix="check the pattern; * stands for any characters, upper and lower case differ",
                )
            kept = one_kind(names, place(store, path))
            if not kept:
                raise declined(self.name, store, path)
        else:
            folder = path
            files, folders = store.list_dir(folder)
            kept = self._of_folder(store, path, files, folders)
        names = sorted(kept, key=natural_key)
        first = f"{folder}/{names[0]}" if folder else names[0]
        slices = _Slices(folder, tuple(names), read_header(store, first))
        _check_slices(store, slices)
        return slices

    def _of_folder(self, store: ListableStore, path: str, files: Sequence[str], folders: Sequence[str]) -> list[str]:
        """Return the images of a folder, if it is a stack."""
        if any(n.endswith(_OTHERS) for n in (*files, *folders)):
            raise declined(self.name, store, path)
        if not files and not folders:
            raise NotFoundError(
                f"{place(store, path)} is empty or does not exist",
                code=Code.FOLDER_EMPTY,
                fix="check the path, and that the images were copied there",
            )
        images = one_kind(files, place(store, path))
        # A single picture beside other things is a preview, not a stack.
        if not images or (len(images) == 1 and len(files) + len(folders) > 1):
            raise declined(self.name, store, path)
        return images


# --# ------------------------------------------------------------------------------------------------- slices
def _check_slices(store: ReadableStore, slices: _Slices) -> None:
    """Compare the headers of all slices with that of the first; far away, of the last only."""
    count = len(slices.names)
    local = isinstance(store, FileStore) and store.local_path(slices.key(0)) is not None
    for i in range(count) if local else (0, count - 1):
        agreeing_header(store, slices.key(i), slices.header)


def _gap_remark(missing: Sequence[int]) -> tuple[str, ...]:
    """Say that numbers are missing between the slices; the slices are stacked without gaps."""
    if not missing:
        return ()
    some = ", ".join(map(str, missing[:8])) + (" …" if len(missing) > 8 else "")
    return (f"the slices' numbers leave out {some}: slices are stacked without gaps",)
