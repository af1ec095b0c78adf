"""Images in HDF5 files: a dataset per level, ``s0``, ``s1`` …, with attributes that programs of the field know.

Spec: https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html. Each dataset has ``axes``, ``units``, ``scale`` and
``translate``, ilastik's ``axistags``, and for volumes at the origin ``element_size_um``. The attribute ``ome`` of the
file holds the image's description as OME-Zarr has it, so that channels, colours and levels come back; files without
it open as single datasets. Written are chunks as objects, put together into one file at the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, BinaryIO, ClassVar, Final

from voxarium.codecs.hdf5_tree import HEAD, below, has_signature, open_file, translated
from voxarium.errors import Code, FormatError, NotFoundError
from voxarium.model.abilities import Holds
from voxarium.model.array_specs import NUMERIC, join_key
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.model.sources import declined, missing_extra, place, read_head
from voxarium.model.transforms import Transform
from voxarium.spec import hdf5_parts as spec
from voxarium.spec import ome

__all__ = ["Hdf5ImageDriver"]

_NAME: Final = "hdf5"
_SUFFIXES: Final = (".h5", ".hdf5")
_VERSION: Final = "0.5"
_KEY: Final = "ome"
_LARGEST_ATTRIBUTE: Final = 60_000  # what an object header holds
_LARGEST_TEXT: Final = 64 << 20


class Hdf5ImageDriver:
    """Images of several levels in one HDF5 file."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = "https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write", "package"})
    precedence: ClassVar[int] = 20
    suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES
    spec_versions: ClassVar[tuple[str, ...]] = ("1",)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMERIC,
        ndim=(2, 5),
        name=True,
        windows=True,
        colors=True,
        label_colors=True,
        label_properties=True,
        metadata=True,
        roles=frozenset({"label"}),
    )

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Open a file that has the attribute ``ome``; others are left to the array driver.

        Raises
        ------
        NotFoundError
            If this is no such file.
        FormatError
            If its description contradicts its datasets.
        """
        if "::" in path or not path.lower().endswith(_SUFFIXES):
            raise declined(self.name, store, path)
        found = read_head(store, path, HEAD)
        if found is None or not has_signature(found[0]):
            raise declined(self.name, store, path)
        with translated(place(store, path)):
            text = _description(open_file(store, path))
        if text is None:
            raise declined(self.name, store, path)
        attributes = {"ome": ome.parse_v2_attributes(text, place(store, path))}
        arrays = {}
        for level in ome.level_paths(attributes):
            try:
                arrays[level] = open_array(f"{path}::/{checked_key(level)}")
            except NotFoundError as error:
                raise FormatError(
                    f"{place(store, path)} lists the level {level!r}, which is not there",
                    code=Code.LEVEL_MISSING,
                    fix="copy the file again from its source, or open one dataset inside it",
                ) from error
        image = ome.parse_image(attributes, arrays, ())
        inside = f"../{path.rpartition('/')[2]}::/"
        levels = tuple(replace(level, path=inside + level.path) for level in image.levels)
        return replace(image, format=self.name, spec_version=self.spec_versions[0], levels=levels)

    # ------------------------------------------------------------------------------------------------ writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``hdf5-parts``."""
        return "hdf5-parts"

    def level_path(self, level: int, transform: Transform, _finest: Transform, /) -> str:
        """Return the name of the dataset of a level: ``s0``, ``s1``, …"""
        return f"s{level}"

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Any order that OME-Zarr takes."""
        return None

    def split(self, target: str, /) -> tuple[str, str]:
        """Every file stands for itself."""
        return target, ""

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when the image cannot be described."""
        ome.check_image(image, _VERSION)

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Nothing outside the image."""
        return ()

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return ``file.json`` with the attributes of the file and its datasets."""
        ome.check_image(image, _VERSION)
        dumped = ome.dump_attributes(image, _VERSION)
        attributes = {k: v if isinstance(v, str) else json.dumps(v) for k, v in dumped.items()}
        datasets = {level.path: spec.dataset_attributes(image.axes, level.transform) for level in image.levels}
        return {join_key(path, spec.FILE): spec.dump_file(attributes, datasets)}

    def package(self, parts: ListableStore, path: str, file: BinaryIO, /) -> None:
        """Put the parts at `path` together into an HDF5 file. Chunks are copied as they are, in order.

        Raises
        ------
        NotFoundError
            If there are no parts.
        FormatError
            If they are broken.
        UnsupportedError
            If h5py is not installed.
        """
        try:
            import h5py
        except ImportError as error:
            raise missing_extra("hdf5", "HDF5 is to be written") from error
        raw = parts.get(join_key(path, spec.FILE))
        if raw is None:
            raise declined(self.name, parts, path)
        attributes, datasets = spec.parse_file(raw, place(parts, join_key(path, spec.FILE)))
        with h5py.File(file, "w") as out:
            for name, value in attributes.items():
                _put(out, name, value)
            for name, described in datasets.items():
                _copy(parts, join_key(path, checked_key(name)), out, name)
                for key, value in described.items():
                    out[name].attrs[key] = value
                for axis, label in enumerate(described.get("axes", ())):
                    out[name].dims[axis].label = label


def _description(file: Any) -> bytes | None:  # Any: h5py is untyped
    """Return the JSON text in the attribute, or where it is large the dataset, ``ome``."""
    try:
        value = file.attrs.get(_KEY)
    except (OSError, TypeError, ValueError, KeyError, RuntimeError):  # an exotic attribute is none of ours
        return None
    if value is None:
        dataset = below(file, _KEY)
        if (
            getattr(dataset, "shape", None) != ()
            or dataset.dtype.kind not in "SO"
            or dataset.dtype.itemsize > _LARGEST_TEXT
        ):
            return None
        value = dataset[()]
    text = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return text if isinstance(text, bytes) and text.lstrip().startswith(b"{") else None


def _put(file: Any, name: str, text: Any) -> None:  # Any: h5py is untyped
    """Store text as an attribute, or where it is too long for one as a dataset."""
    raw = text.encode() if isinstance(text, str) else text
    if isinstance(raw, bytes) and len(raw) > _LARGEST_ATTRIBUTE:
        file.create_dataset(name, data=raw, dtype=f"S{len(raw)}")
    else:
        file.attrs[name] = text


def _copy(parts: ListableStore, path: str, file: Any, name: str) -> None:  # Any: h5py is untyped
    key = join_key(path, spec.ATTRIBUTES)
    raw = parts.get(key)
    if raw is None:
        raise declined(_NAME, parts, path)
    about = spec.parse_dataset(raw, place(parts, key))
    options: dict[str, Any] = {} if 0 in about.shape else {"chunks": about.chunk_shape}
    if about.level is not None and options:
        options |= {"compression": "gzip", "compression_opts": about.level, "shuffle": about.dtype.itemsize > 1}
    little = about.dtype.newbyteorder("<")
    fill = about.fill_value
    dataset = file.create_dataset(name, about.shape, little, fillvalue=fill, track_times=False, **options)
    chunks = {}
    for found, _ in parts.list(join_key(path, spec.CHUNKS)):
        index = spec.chunk_index(found.removeprefix(f"{path}/"), about)
        if index is not None:
            chunks[index] = found
    for index, found in sorted(chunks.items()):
        payload = parts.get(found)
        if payload is None:
            raise FormatError(
                f"{place(parts, found)} disappeared while the file was put together",
                code=Code.CHUNK_TRUNCATED,
                fix="run the conversion again with --resume",
            )
        dataset.id.write_direct_chunk(tuple(i * c for i, c in zip(index, about.chunk_shape, strict=True)), payload)
