"""NIfTI-1 and NIfTI-2: ``.nii``, ``.nii.gz``, and ``.hdr`` with ``.img``.

Spec: https://nifti.nimh.nih.gov, see `voxarium.spec.nifti`. A gzipped file cannot be entered in the middle: it is
inflated once, as a whole, up to 2 GiB of voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.deflate import Gzip, inflated_head
from voxarium.errors import Code, NotFoundError, UnsupportedError
from voxarium.model.axes import CoordinateSystem
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray
from voxarium.model.image import ArrayInfo, Bag, ImageInfo, LevelInfo, SourceRecord, TransformEdge
from voxarium.model.native import Span
from voxarium.model.protocols import ReadableStore
from voxarium.model.references import Referable, flat_chunks, flat_referable, not_referable
from voxarium.model.sources import declined, gone, place, read_head, truncated
from voxarium.model.transforms import Identity
from voxarium.spec.nifti import HEADER_BYTES, NiftiHeader, has_magic, parse_header

__all__ = ["NiftiDriver", "NiftiImageDriver"]

_SUFFIXES: Final = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")
_MOST_INFLATED: Final = 2 << 30
_BEYOND: Final = 16 << 20  # bytes that may stand behind the voxels
_SPEC: Final = "https://nifti.nimh.nih.gov/nifti-2"


@dataclass(slots=True)
class _Details:
    """The header, where the voxels are, and, for a gzipped file, the voxels once they were needed."""

    header: NiftiHeader
    head: bytes
    key: str
    layout: FlatArray
    packed: bool
    voxels: NDArray[Any] | None = None


class NiftiDriver:
    """Reads NIfTI files region by region."""

    name: ClassVar[str] = "nifti"
    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Parse the header; the file must be as long as the header says.

        Raises
        ------
        NotFoundError
            If this is no NIfTI file.
        FormatError
            If the header is broken, or the file is cut off.
        UnsupportedError
            If the voxels cannot be held, or a gzipped file is too large to be inflated.
        """
        key = _header_key(path)
        found = read_head(store, key, HEADER_BYTES * 4)
        if found is None:
            raise declined(self.name, store, path)
        head, size = found
        packed = head[:2] == b"\x1f\x8b"
        if packed:
            if not key.lower().endswith(_SUFFIXES):
                raise declined(self.name, store, path)
            head = inflated_head(head, HEADER_BYTES)
        if not has_magic(head) and not key.lower().endswith((".nii", ".nii.gz")):
            raise declined(self.name, store, path)
        header = parse_header(head[:HEADER_BYTES], place(store, key))
        if not header.single:
            key, size, packed = self._voxels(store, key)
        layout = FlatArray(shape=header.shape, dtype=header.dtype, byte_offset=header.byte_offset)
        if packed and layout.stop > _MOST_INFLATED:
            raise UnsupportedError(
                f"{place(store, key)} has {layout.stop:,} bytes of voxels in one gzip stream",
                code=Code.FEATURE_UNSUPPORTED,
                fix="gunzip it first: voxels in the middle can then be read",
            )
        if not packed and size < layout.stop:
            raise truncated(place(store, key), size, layout.stop)
        return self._describe(_Details(header, head[:HEADER_BYTES], key, layout, packed))

    def _voxels(self, store: ReadableStore, key: str) -> tuple[str, int, bool]:
        """Return the key of the file that holds the voxels, its size, and whether it is gzipped."""
        stem = key[: key.lower().rindex(".hdr")]
        for name in (f"{stem}.img", f"{stem}.img.gz"):
            stat = store.stat(name)
            if stat is not None:
                return name, stat.size, name.endswith(".gz")
        raise NotFoundError(
            f"{place(store, key)} has no {stem.rpartition('/')[2]}.img beside it, which holds the voxels",
            code=Code.PATH_MISSING,
            fix="put both files into one folder",
        )

    def _describe(self, details: _Details) -> ArrayInfo:
        header = details.header
        return ArrayInfo(
            format=self.name,
            shape=header.shape,
            dtype=header.dtype.newbyteorder("="),
            chunk_shape=details.layout.chunk_shape,
            contiguous=not details.packed,
            codecs=(
                f"bytes:{'big' if header.dtype.str[0] == '>' else 'little'}",
                *(["gzip"] if details.packed else []),
            ),
            axes=header.axes,
            transform=header.placements[0].transform,
            attributes={"nifti": dict(header.fields)},
            details=details,
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def flat_layout(self, _path: str, info: ArrayInfo, /) -> tuple[str, FlatArray] | None:
        """Return where the voxels are; see `FlatDriver`."""
        details = cast(_Details, info.details)
        return None if details.packed else (details.key, details.layout)

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`. The first read of a gzipped file inflates all of it."""
        details = cast(_Details, info.details)
        if not details.packed:
            details.layout.read(store, details.key, box, out)
            return
        if details.voxels is None:
            raw = store.get(details.key)
            if raw is None:
                raise gone(store, details.key)
            layout = details.layout
            data = Gzip(1).decode(raw, (layout.stop, layout.stop + _BEYOND))
            details.voxels = np.frombuffer(data, layout.dtype, offset=layout.byte_offset).reshape(layout.shape)
        out[...] = details.voxels[box.slices]

    def referable(self, info: ArrayInfo, /) -> Referable:
        """Return how others read pieces of the file."""
        details = cast(_Details, info.details)
        if details.packed:
            raise not_referable(details.key, "it is gzipped as a whole")
        return flat_referable(details.layout)

    def stored_chunks(
        self, _store: ReadableStore, _path: str, info: ArrayInfo, /
    ) -> Iterator[tuple[tuple[int, ...], Span | None]]:
        """Yield where pieces of the file are."""
        details = cast(_Details, info.details)
        return flat_chunks(details.layout, details.key)


def _header_key(path: str) -> str:
    """Return the key of the header; ``.img`` has it in the ``.hdr`` beside it."""
    lower = path.lower()
    for voxels, header in ((".img.gz", ".hdr.gz"), (".img", ".hdr")):
        if lower.endswith(voxels):
            return path[: -len(voxels)] + header
    return path


class NiftiImageDriver:
    """Presents a NIfTI file as an image: its scaling of values, and all the ways it places voxels."""

    name: ClassVar[str] = "nifti"
    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Open the file as an image with one level.

        Raises
        ------
        NotFoundError
            If this is no NIfTI file.
        """
        if not path.lower().endswith(_SUFFIXES):
            raise declined(self.name, store, path)
        array = open_array(path)
        if not isinstance(array.details, _Details):
            raise declined(self.name, store, path)
        header = array.details.header
        world = header.placements[0]
        others = header.placements[1:]
        record = SourceRecord(
            format=self.name,
            spec_version=str(header.version),
            metadata=dict(header.fields),
            header=array.details.head,
            notes=tuple(f"{p.method} leads to {p.space}" for p in header.placements),
        )
        return ImageInfo(
            format=self.name,
            spec_version=str(header.version),
            axes=header.axes,
            levels=(LevelInfo(path=f"../{path.rpartition('/')[2]}", array=array, transform=world.transform),),
            name=path.rpartition("/")[2].split(".")[0],
            world=world.space,
            systems=tuple(CoordinateSystem(name=f"{p.space}:{p.method}", axes=header.axes) for p in others),
            edges=tuple(
                TransformEdge(
                    source=world.space,
                    target=f"{p.space}:{p.method}",
                    transform=_between(world.transform, p.transform),
                    role=f"nifti:{p.method}:{p.code}",
                )
                for p in others
            ),
            value=header.value,
            bag=Bag(records=(record,)),
        )


def _between(first: Any, second: Any) -> Any:
    """Return the transform from one world to the other."""
    return Identity() if first == second else first.inverse().then(second)
