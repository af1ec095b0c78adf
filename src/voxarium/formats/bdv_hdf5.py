"""BigDataViewer datasets in HDF5: an XML with registrations beside the file; each view is an image.

Specification: https://imagej.net/plugins/bdv/ (``/t00000/s00/0/cells``, ``/s00/resolutions``, ``/s00/subdivisions``).
Read: the XML, of several views ``dataset.xml::setup0/timepoint0``; a file with one view; a view
(``dataset.h5::/t00000/s00``). Without its XML a view has no place. Numbers of 16 bits are stored signed and mean
unsigned ones. Written: a file with one view, and the XML beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from voxarium.codecs.hdf5_tree import HEAD, find, has_signature, translated
from voxarium.model.abilities import NUMBERS, Holds, ReaderLimit
from voxarium.model.array_specs import join_key
from voxarium.model.axes import Axis
from voxarium.model.collection import CollectionInfo
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place, read_head
from voxarium.model.stated_images import malformed, open_levels
from voxarium.model.transforms import Transform
from voxarium.spec import hdf5_parts
from voxarium.spec.bdv import layout, views, xml

__all__ = ["BdvHdf5CollectionDriver", "BdvHdf5Driver"]

_NAME: Final = "bdv-hdf5"
_LOADER: Final = "bdv.hdf5"
_MOST_VIEWS: Final = 100_000
_SUFFIXES: Final = (".h5", ".hdf5")
_Open = Callable[[str], ArrayInfo]


class BdvHdf5Driver:
    """The convention of BigDataViewer on top of HDF5 datasets."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = "https://imagej.net/plugins/bdv/"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 41
    suffixes: ClassVar[tuple[str, ...]] = (".xml", *_SUFFIXES)
    file_suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES  # the XML, which is written beside it, is named after it
    spec_versions: ClassVar[tuple[str, ...]] = ("1",)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMBERS - {"int16"},
        ndim=(3, 3),
        affine=True,
        axis_names=frozenset("zyx"),
        name=True,
        fill_values="zero",
        reader_limits=(
            ReaderLimit(
                reader="BigDataViewer",
                dtypes=NUMBERS - {"int16", "uint8", "uint16"},
                message="releases that know 8 and 16 bits only do not show this type",
                fix="use --dtype uint16 where the values allow, or write bdv (N5)",
            ),
        ),
    )

    # -- reading
    def open(self, store: ReadableStore, path: str, open_array: _Open, /) -> ImageInfo:
        """Parse the view at `path`.

        Raises
        ------
        NotFoundError
            If there is none of this convention, or there are several views and none is named.
        FormatError
            If the metadata cannot be read or contradict the arrays.
        UnsupportedError
            If the file is outside the folder of the XML.
        """
        key, _, inner = path.partition("::")
        inner = inner.strip("/")
        if key.lower().endswith(".xml"):
            return self._open_xml(store, key, inner, open_array)
        if not key.lower().endswith(_SUFFIXES):
            raise declined(self.name, store, path)
        found = layout.parse_view_path(inner) if inner else _only_view(store, key)
        if found is None:
            raise declined(self.name, store, path)
        _, timepoint, setup = found
        factors = _factors(store, key, setup)
        if inner:
            names = [f"{i}/cells" for i in range(len(factors))]
        else:
            up = "../" * (path.count("/") + 1)
            names = [f"{up}{key}::/{layout.hdf5_level(timepoint, setup, i)}" for i in range(len(factors))]
        placed = views.beside(store.get, key, (timepoint, setup)) or views.unplaced()
        stated = layout.stated_image(list(zip(names, factors, strict=True)), placed, {})
        return self._named(stated.with_arrays(open_levels(path, names, open_array)))

    def _open_xml(self, store: ReadableStore, key: str, inner: str, open_array: _Open) -> ImageInfo:
        raw = store.get(key)
        data = None if raw is None else xml.parse_spim_data(raw, place(store, key))
        if data is None or raw is None or data.loader != _LOADER:
            raise declined(self.name, store, key)
        timepoint, setup = views.chosen_view(data, key, inner)
        container = views.resolved_container(key, data.container, place(store, key))
        factors = _factors(store, container, setup)
        path = f"{key}::{inner}" if inner else key
        up = "../" * (path.count("/") + 1)  # levels are named relative to the image
        names = [f"{up}{container}::/{layout.hdf5_level(timepoint, setup, i)}" for i in range(len(factors))]
        metadata = {"loader": data.loader, "container": container}
        placed = views.placement(data, (timepoint, setup))
        stated = layout.stated_image(list(zip(names, factors, strict=True)), placed, metadata)
        image = self._named(stated.with_arrays(open_levels(path, names, open_array)))
        record = replace(image.bag.records[0], header=raw)
        return replace(image, bag=replace(image.bag, records=(record,)))

    def _named(self, image: ImageInfo) -> ImageInfo:
        return replace(image, format=self.name)

    # -- writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``hdf5-parts``."""
        return "hdf5-parts"

    def level_path(self, level: int, _transform: Transform, _finest: Transform, /) -> str:
        """Return the name of the dataset of a level: ``t00000/s00/0/cells`` …"""
        return layout.hdf5_level(0, 0, level)

    def axis_order(self, _axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return None: `check` demands z, y, x."""

    def split(self, target: str, /) -> tuple[str, str]:
        """Return the folder around the file, where the XML goes, and the name of the file."""
        head, _, tail = target.rpartition("/")
        return head, tail

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when the convention cannot hold the image."""
        layout.check_image(image)

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Return the key of the XML."""
        return (views.xml_key(path),)

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return what is to be in the file, and the XML last.

        Raises
        ------
        InputError
            If the convention cannot hold the image.
        ExistsError
            If the XML there belongs to something else.
        """
        layout.check_image(image)
        key = views.xml_key(path)
        described = views.dump_xml_of(image, _LOADER, path.rpartition("/")[2], (0, 0), existing.get(key))
        levels = [layout.dump_level(image, i)["downsamplingFactors"] for i in range(len(image.levels))]
        tables = {
            "s00/resolutions": ("float64", levels),
            "s00/subdivisions": ("int32", [list(level.array.chunk_shape[::-1]) for level in image.levels]),
        }
        datasets: dict[str, dict[str, Any]] = {level.path: {} for level in image.levels}
        stored = {level.path: "int16" for level in image.levels if level.array.dtype.name == "uint16"}
        file = hdf5_parts.FileParts(datasets=datasets, tables=tables, stored=stored)
        return {join_key(path, hdf5_parts.FILE): hdf5_parts.dump_file(file), key: described}


class BdvHdf5CollectionDriver:
    """Views of an XML of BigDataViewer, or of an HDF5 file."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = BdvHdf5Driver.spec_url
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = 41
    suffixes: ClassVar[tuple[str, ...]] = BdvHdf5Driver.suffixes

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """List the views.

        Raises
        ------
        NotFoundError
            If this is no such XML or file.
        FormatError
            If it is broken.
        """
        if path.lower().endswith(".xml") and "::" not in path:
            raw = store.get(path)
            data = None if raw is None else xml.parse_spim_data(raw, place(store, path))
            if data is None or data.loader != _LOADER:
                raise declined(self.name, store, path)
            return views.collection(self.name, data, path)
        found = _views(store, path) if path.lower().endswith(_SUFFIXES) and "::" not in path else []
        if len(found) < 2:
            raise declined(self.name, store, path)
        return views.container_collection(self.name, found, path, "::/")


def _only_view(store: ReadableStore, key: str) -> tuple[str, int, int] | None:
    """Return the only view of a file; None when it is no such file or has several."""
    found = _views(store, key)
    return ("", *found[0]) if len(found) == 1 else None


def _views(store: ReadableStore, key: str) -> list[tuple[int, int]]:
    """Return (time point, setup) of the views of a file; none when it is another kind of file."""
    head = read_head(store, key, HEAD)
    if head is None or not has_signature(head[0]):
        return []
    found: list[tuple[int, int]] = []
    with translated(place(store, key)):
        _, root = find(store, key, "")
        setups = {n for n in _some(root) if n[:1] == "s"}
        for name in [n for n in _some(root) if layout.parse_view_path(f"{n}/s00") is not None]:
            _, group = find(store, key, name)
            inside = [layout.parse_view_path(f"{name}/{n}") for n in _some(group)]
            found.extend(v[1:] for v in inside if v is not None and f"s{v[2]:02d}" in setups)
            if len(found) > _MOST_VIEWS:
                break
    return sorted(found, key=lambda view: (view[1], view[0]))


def _some(group: Any) -> list[str]:  # Any: h5py is untyped
    return list(group)[:_MOST_VIEWS] if hasattr(group, "keys") else []


def _factors(store: ReadableStore, key: str, setup: int) -> Sequence[tuple[float, ...]]:
    where = place(store, key)
    with translated(where):
        _, node = find(store, key, f"s{setup:02d}/resolutions")
        shape = getattr(node, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] > 64 or shape[1] != 3:
            malformed(f"{where}::/s{setup:02d}/resolutions", f"has shape {shape}", "write the file again")
        return layout.checked_factors(node[()].tolist())
