"""Presenting an image as OME-Zarr without copying it: a reference file that says where its chunks are."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from voxarium.conversion.options import DEFAULT_FORMAT, ConvertOptions, as_choices, described_axes, per_space_axis
from voxarium.core.image import Image
from voxarium.core.opening import open_one
from voxarium.core.references import FOLDERS, SUFFIXES
from voxarium.core.registry import writable_array_driver, writable_image_driver
from voxarium.core.uri import open_target_store, parse_uri
from voxarium.errors import Code, ExistsError, InputError, UnsupportedError
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo, ImageInfo, LevelInfo
from voxarium.model.native import Span
from voxarium.model.protocols import ReadableStore
from voxarium.model.references import ReferableDriver, ReferringDriver
from voxarium.model.transforms import Scale, Translation, scale_translation
from voxarium.spec.references import Pointer, Reference, dump_references
from voxarium.stores.references import has_parquet_references, put_parquet_references

__all__ = ["VirtualReport", "virtualize"]

SPEC_VERSION: Final = "0.4"
"""Version that is presented: its arrays are Zarr v2, which can say all that foreign chunks need."""
_MOST_INLINE: Final = 256 << 20
_PLACE: Final = ("axes", "voxel_size", "translation", "unit", "role")


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualReport:
    """What a reference file holds.

    Parameters
    ----------
    target : str
        Where it is.
    levels, references, inlined : int
        Levels presented; chunks referred to; chunks that had to be encoded into the file.
    inline_bytes : int
        Bytes of those.
    outside : tuple of str
        Files referred to that are not below the folder of the reference file.
    """

    target: str
    levels: int
    references: int
    inlined: int
    inline_bytes: int
    outside: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "target": self.target,
            "levels": self.levels,
            "references": self.references,
            "inlined": self.inlined,
            "inline_bytes": self.inline_bytes,
            "outside": list(self.outside),
        }


def virtualize(
    source: str | os.PathLike[str] | Image,
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    most_inline: int = _MOST_INLINE,
    **options: Any,
) -> VirtualReport:
    """Write a reference file that presents an image as OME-Zarr, without copying its voxels.

    Parameters
    ----------
    source : str, path or Image
        HDF5, N5, Neuroglancer precomputed (raw), NumPy, raw binary, Zarr v2 …
    target : str or path
        A ``.json`` file, or a ``.parq`` folder for millions of chunks (needs pyarrow).
    most_inline : int
        Bytes of chunks that may be encoded into the file: those that are cut where the array ends.
    **options
        ``axes``, ``voxel_size``, ``translation``, ``unit``, ``role``: what the source does not say, as for
        `voxarium.convert`; and options of the source's driver.

    Raises
    ------
    UnsupportedError
        If no other reader could decode the chunks.
    ExistsError
        If the target exists and `overwrite` is not given.

    Examples
    --------
    >>> voxarium.virtualize("em.h5::/raw", "em.json")  # doctest: +SKIP
    """
    told = as_choices({k: options.pop(k) for k in _PLACE if k in options})
    image = source if isinstance(source, Image) else open_one(source, **options)
    folder, name = _split(os.fspath(target))
    store = open_target_store(folder)
    if not overwrite and (store.stat(name) or has_parquet_references(store, name)):
        raise ExistsError(
            f"{os.fspath(target)} exists", code=Code.TARGET_EXISTS, fix="choose another name, or add overwrite"
        )
    work = _Virtual(image, _described(image.info, ConvertOptions(**told)), store.uri, most_inline)
    documents, levels = work.build()
    if not dry_run:
        if name.lower().endswith(SUFFIXES):
            references: dict[str, Reference] = dict(documents)
            for path, _, refs in levels:
                references |= {f"{path}/{'.'.join(map(str, i)) or '0'}": r for i, r in refs.items()}
            store.put(name, dump_references(references))
        else:
            arrays = ((path, ChunkGrid(i.shape, i.chunk_shape).counts, refs) for path, i, refs in levels)
            put_parquet_references(store, name, documents, arrays)
    return VirtualReport(
        target=os.fspath(target),
        levels=len(levels),
        references=sum(len(refs) for _, _, refs in levels) - work.inlined,
        inlined=work.inlined,
        inline_bytes=work.inline_bytes,
        outside=tuple(sorted(work.outside)),
    )


def _split(target: str) -> tuple[str, str]:
    where = parse_uri(target)
    base = os.path.abspath(where.base) if where.scheme == "file" else where.base
    folder, _, name = base.rpartition("/")
    if where.inner or not name.lower().endswith((*SUFFIXES, *FOLDERS)):
        raise InputError(
            f"{target} cannot hold references",
            code=Code.ARGUMENT_INVALID,
            fix=f"name a file that ends in {' or '.join((*SUFFIXES, *FOLDERS))}",
        )
    return folder or "/", name


def _described(info: ImageInfo, options: ConvertOptions) -> ImageInfo:
    """Return what is known of an image, with what the user says beyond it."""
    axes = described_axes(info.axes, info.axes_stated, options.axes, options.unit)
    info = replace(info, axes=axes, axes_stated=True, role=options.role or info.role)
    if options.voxel_size is None and options.translation is None:
        return info
    stated = scale_translation(info.levels[0].transform, len(axes))
    if len(info.levels) > 1 or stated is None:
        raise InputError(
            "a voxel size cannot be given for an image that states the place of several levels, or a rotation",
            code=Code.ARGUMENT_INVALID,
            fix="leave it out, or copy the image with voxarium convert",
        )
    size = per_space_axis(options.voxel_size, axes, "the voxel size")
    shift = per_space_axis(options.translation, axes, "the translation")
    placed = Scale(tuple(a if b is None else b for a, b in zip(stated[0], size, strict=True))).then(
        Translation(tuple(a if b is None else b for a, b in zip(stated[1], shift, strict=True)))
    )
    return replace(info, levels=(replace(info.levels[0], transform=placed),))


_Level = tuple[str, ArrayInfo, dict[tuple[int, ...], Reference]]


class _Virtual:
    """Collects documents and references of one image."""

    def __init__(self, image: Image, info: ImageInfo, folder: str, most_inline: int) -> None:
        self._image = image
        self._info = info
        self._folder = _address(folder).rstrip("/")
        self._most = most_inline
        self._names: dict[tuple[int, str], str] = {}
        self.inlined = self.inline_bytes = 0
        self.outside: set[str] = set()

    def build(self) -> tuple[dict[str, bytes], list[_Level]]:
        """Return the documents by key, and per level its path, metadata and references."""
        convention = writable_image_driver(DEFAULT_FORMAT)
        container = writable_array_driver(convention.array_driver(SPEC_VERSION))
        if not isinstance(container, ReferringDriver):
            raise UnsupportedError(
                f"{container.name} cannot refer", code=Code.FEATURE_UNSUPPORTED, fix="report this, please"
            )
        source = self._info
        finest = source.levels[0].transform
        infos, levels = [], []
        for number, level in enumerate(source.levels):
            described, references = self._level(number, container)
            path = convention.level_path(number, level.transform, finest)
            infos.append(LevelInfo(path=path, array=described, transform=level.transform))
            levels.append((path, described, references))
        image = replace(source, levels=tuple(infos), labels=(), spec_version=SPEC_VERSION)
        convention.check(image, SPEC_VERSION)
        documents: dict[str, bytes] = {}
        for path, described, _ in levels:
            documents |= container.dump(path, described)
        return documents | convention.dump("", image, SPEC_VERSION, {}), levels

    def _level(self, number: int, container: ReferringDriver) -> tuple[ArrayInfo, dict[tuple[int, ...], Reference]]:
        array, level = self._image.arrays[number], self._image.levels[number]
        driver = array.driver
        if not isinstance(driver, ReferableDriver) or level.part is not None:
            raise UnsupportedError(
                f"level {number}, {array.info.format}, cannot be presented without copying",
                code=Code.FEATURE_UNSUPPORTED,
                fix="copy it with voxarium convert",
            )
        referable = driver.referable(array.info)
        described = container.describe(referable, array.info)
        grid = ChunkGrid(array.shape, referable.chunk_shape)
        found: dict[tuple[int, ...], Reference] = {}
        for index, span in driver.stored_chunks(array.store, array.path, array.info):
            if span is not None:
                found[index] = self._pointer(array.store, span)
                continue
            chunk = np.full(referable.chunk_shape, described.fill_value, array.dtype)
            box = grid.clipped_box(index)
            chunk[tuple(slice(0, n) for n in box.shape)] = array.read(box)
            found[index] = self._inline(bytes(memoryview(container.encode(described, chunk)).cast("B")))
        return described, found

    def _inline(self, data: bytes) -> bytes:
        self.inlined += 1
        self.inline_bytes += len(data)
        if self.inline_bytes > self._most:
            raise InputError(
                f"chunks that are cut where the array ends take more than {self._most:,} bytes",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="allow more with most_inline (--most-inline), or copy the image with voxarium convert",
            )
        return data

    def _pointer(self, store: ReadableStore, span: Span) -> Pointer:
        known = (id(store), span.key)
        url = self._names.get(known)
        if url is None:
            if len(self._names) > 100_000:
                self._names.clear()
            url = self._names[known] = self._name(f"{_address(store.uri).rstrip('/')}/{span.key}")
        if span.length is None:
            return Pointer(url)
        return Pointer(url, span.start, span.length)

    def _name(self, address: str) -> str:
        """Return an address relative to the reference file where it is below its folder."""
        if address.startswith(f"{self._folder}/"):
            return address[len(self._folder) + 1 :]
        self.outside.add(address)
        return address


def _address(uri: str) -> str:
    """Return a path for local places, else the address."""
    where = parse_uri(uri)
    return posixpath.normpath(os.path.abspath(where.base)) if where.scheme == "file" else where.base
