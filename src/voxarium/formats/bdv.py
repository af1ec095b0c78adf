"""BigDataViewer datasets in N5: an XML with registrations beside the container; each view is an image.

Specification: https://github.com/bigdataviewer/bigdataviewer-core/blob/master/BDV%20N5%20format.md. Read: the XML,
``dataset.xml``, of several views ``dataset.xml::setup0/timepoint0``; a container with one view; a view
(``dataset.n5/setup0/timepoint0``). An XML of several views is a collection. Without its XML a view has the place that
its own attributes tell. Written: a view of that address, or for ``dataset.n5`` the first, and the XML beside. HDF5:
`voxarium.formats.bdv_hdf5`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.abilities import NUMBERS, Holds
from voxarium.model.array_specs import join_key
from voxarium.model.attribute_documents import (
    ATTRIBUTES,
    N5_VERSION,
    is_array,
    merged_document,
    numbered_levels,
    read_attributes,
    unknown_attributes,
)
from voxarium.model.axes import Axis
from voxarium.model.collection import CollectionInfo
from voxarium.model.fields import parse_json_object
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.model.sources import declined, place
from voxarium.model.stated_images import open_levels
from voxarium.model.transforms import Transform
from voxarium.spec.bdv import layout, views, xml

__all__ = ["BdvCollectionDriver", "BdvDriver"]

_FILES: Final = (".h5", ".hdf5")
_SETUP: Final = re.compile(r"setup[0-9]{1,9}\Z")
_TIME: Final = re.compile(r"timepoint[0-9]{1,9}\Z")
_VIEW: Final = "setup0/timepoint0"
_KNOWN: Final = frozenset({"downsamplingFactors", "multiScale", "resolution"})
_LOADER: Final = "bdv.n5"
_Open = Callable[[str], ArrayInfo]


class BdvDriver:
    """The convention of BigDataViewer on top of N5 arrays."""

    name: ClassVar[str] = layout.FORMAT
    spec_url: ClassVar[str] = "https://github.com/bigdataviewer/bigdataviewer-core/blob/master/BDV%20N5%20format.md"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 40
    suffixes: ClassVar[tuple[str, ...]] = (".xml",)
    enclosing_documents: ClassVar[tuple[str, ...]] = ("dataset.xml",)
    spec_versions: ClassVar[tuple[str, ...]] = ("1",)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMBERS,
        ndim=(3, 3),
        affine=True,
        axis_names=frozenset("zyx"),
        name=True,
        metadata=True,
        fill_values="zero",
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
            If the container is of another kind, or outside the folder of the XML.
        """
        key, _, inner = path.partition("::")
        if key.lower().endswith(".xml"):
            return self._open_xml(store, key, inner.strip("/"), open_array)
        if key.lower().endswith(_FILES):
            raise declined(self.name, store, path)
        return self._open_n5(store, path, open_array)

    def _open_xml(self, store: ReadableStore, key: str, inner: str, open_array: _Open) -> ImageInfo:
        raw = store.get(key)
        data = None if raw is None else xml.parse_spim_data(raw, place(store, key))
        if data is None or raw is None or data.loader == "bdv.hdf5":
            raise declined(self.name, store, key)
        timepoint, setup = views.chosen_view(data, key, inner)
        container = views.resolved_container(key, data.container, place(store, key))
        if not data.loader.startswith(_LOADER):
            raise UnsupportedError(
                f"{place(store, key)} refers to a container of kind {data.loader!r}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="resave the dataset as N5 or HDF5 in BigStitcher, or open the container itself",
            )
        metadata: dict[str, Any] = {"loader": data.loader, "container": container}
        keys, factors, metadata["levels"] = _n5_levels(store, container, timepoint, setup)
        path = f"{key}::{inner}" if inner else key
        up = "../" * (path.count("/") + 1)  # levels are named relative to the image
        levels = [(up + k, f) for k, f in zip(keys, factors, strict=True)]
        stated = layout.stated_image(levels, views.placement(data, (timepoint, setup)), metadata)
        image = stated.with_arrays(open_levels(path, [name for name, _ in levels], open_array))
        record = replace(image.bag.records[0], header=raw)
        return replace(image, bag=replace(image.bag, records=(record,)))

    def _open_n5(self, store: ReadableStore, path: str, open_array: _Open) -> ImageInfo:
        found = layout.parse_view_path(path)
        if found is None:
            view = _only_view(store, path)
            found = None if view is None else layout.parse_view_path(view)
            if found is None or view is None:
                raise declined(self.name, store, path)
            container, below = path, f"{view}/"
        else:
            container, below = found[0], ""
            if not container and _only_view(store, "") == path:  # part of the container that was opened
                raise declined(self.name, store, path)
        whole = join_key(path, below.rstrip("/")) if below else path
        setup = read_attributes(store, whole.rpartition("/")[0])
        attributes = numbered_levels(store, whole)
        factors = layout.n5_factors(setup, attributes)
        if factors is None or not attributes:
            raise declined(self.name, store, path)
        placed = views.beside(store.get, container, found[1:])
        group = read_attributes(store, whole) or {}
        placed = placed or layout.own_placement(group, attributes["s0"])
        levels = [(below + name, f) for name, f in zip(attributes, factors, strict=True)]
        metadata = {"group": group, "setup": setup, "levels": attributes}
        stated = layout.stated_image(levels, placed, metadata)
        stated = replace(stated, extra=unknown_attributes(group, _KNOWN))
        return stated.with_arrays(open_levels(path, [name for name, _ in levels], open_array))

    # -- writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``n5``."""
        return "n5"

    def level_path(self, level: int, _transform: Transform, _finest: Transform, /) -> str:
        """Return the path of a level below the view: ``s0``, ``s1``, …"""
        return f"s{level}"

    def axis_order(self, _axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return None: `check` demands z, y, x."""

    def expanded(self, target: str, /) -> str:
        """Return the address of a view: of a container the first one's.

        Examples
        --------
        >>> BdvDriver().expanded("out/em.n5"), BdvDriver().expanded("em.n5/setup3/timepoint0/")
        ('out/em.n5/setup0/timepoint0', 'em.n5/setup3/timepoint0')

        Raises
        ------
        InputError
            If it is that of an XML.
        """
        target = target.rstrip("/")
        if target.lower().endswith(".xml"):
            raise InputError(
                f"{target} would be the N5 container, not the XML",
                code=Code.URI_INVALID,
                fix=f"name the container, such as {target[:-4]}.n5: its XML is written beside it",
            )
        return f"{target}/{_VIEW}" if layout.parse_view_path(target) is None else target

    def split(self, target: str, /) -> tuple[str, str]:
        """Return the folder around a container, where the XML goes, and the view in it."""
        parts = target.rstrip("/").split("/")
        above, container, view = "/".join(parts[:-3]), parts[-3] if len(parts) > 2 else "", "/".join(parts[-2:])
        if container.lower().endswith(".n5") and above and not above.endswith(":/"):
            return above, f"{container}/{view}"
        return "/".join(parts[:-2]), view

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when the convention cannot hold the image."""
        layout.check_image(image)

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Return the keys of the XML and of the attributes of the container, the setup and the levels."""
        container = _view_of(path)[0]
        own = (join_key(join_key(path, level.path), ATTRIBUTES) for level in image.levels)
        return (
            views.xml_key(container), join_key(container, ATTRIBUTES), join_key(_setup_of(path), ATTRIBUTES), *own
        )  # fmt: skip

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return the documents of the container, and the XML last.

        Raises
        ------
        InputError
            If the convention cannot hold the image, or other time points of its setup have other levels.
        ExistsError
            If the XML there belongs to something else.
        FormatError
            If documents that are to be extended cannot be read.
        """
        layout.check_image(image)
        container, timepoint, number = _view_of(path)
        key = views.xml_key(container)
        described = views.dump_xml_of(
            image, _LOADER, container.rpartition("/")[2] or ".", (timepoint, number), existing.get(key)
        )
        levels = [layout.dump_level(image, i) for i in range(len(image.levels))]
        factors = [attributes["downsamplingFactors"] for attributes in levels]
        setup = {"downsamplingFactors": factors, "dataType": image.levels[0].array.dtype.name}
        known = views.views_in(existing.get(key)) - {(timepoint, number)}
        if any(s == number for _, s in known):
            _check_same(existing.get(join_key(_setup_of(path), ATTRIBUTES)), setup)
        view = unknown_attributes(image.bag.extra, _KNOWN)
        view |= {"multiScale": True, "resolution": list(layout.voxel_size(image))}
        out: dict[str, bytes] = {}
        for level, attributes in zip(image.levels, levels, strict=True):
            where = join_key(join_key(path, level.path), ATTRIBUTES)
            out[where] = merged_document(existing.get(where), where, attributes)
        for folder, attributes in ((path, view), (_setup_of(path), setup), (container, {"n5": N5_VERSION})):
            where = join_key(folder, ATTRIBUTES)
            out[where] = merged_document(existing.get(where), where, attributes)
        out[key] = described
        return out


def _view_of(path: str) -> tuple[str, int, int]:
    found = layout.parse_view_path(path)
    if found is None:
        raise InputError(f"{path!r} is no view", code=Code.URI_INVALID, fix="name one such as em.n5/setup0/timepoint0")
    return found


def _setup_of(path: str) -> str:
    return path.rpartition("/")[0]


def _check_same(raw: bytes | None, setup: Mapping[str, Any]) -> None:
    """Refuse a time point whose levels or type differ from those of the others: they share one description."""
    found = {} if raw is None else parse_json_object(raw, "the attributes of the setup")
    if all(found.get(key, value) == value for key, value in setup.items()):
        return
    raise InputError(
        f"other time points of this setup have levels {found.get('downsamplingFactors')} of {found.get('dataType')}, "
        f"this one {setup['downsamplingFactors']} of {setup['dataType']}",
        code=Code.ARGUMENT_INVALID,
        fix="write it as another setup, or with the same --levels, --factors and --dtype",
    )


# ------------------------------------------------------------------------------------------------ the containers
def _n5_levels(
    store: ReadableStore, container: str, timepoint: int, setup: int
) -> tuple[list[str], Sequence[tuple[float, ...]], dict[str, Any]]:
    """Return keys and factors of the levels of a view, and their attributes by the path we would write them at."""
    path = join_key(container, xml.view_name(timepoint, setup))
    attributes = numbered_levels(store, path)
    factors = layout.n5_factors(read_attributes(store, path.rpartition("/")[0]), attributes)
    if factors is None or not attributes:
        raise FormatError(
            f"the XML lists {path}, where no levels or no factors are",
            code=Code.LEVEL_MISSING,
            fix="copy the container again, or correct the XML",
        )
    return [join_key(path, n) for n in attributes], factors, attributes


def _only_view(store: ReadableStore, path: str) -> str | None:
    """Return the only view of a container in N5; None when there are none or several."""
    first = read_attributes(store, join_key(path, "setup0")) if not isinstance(store, ListableStore) else {}
    if first is None:
        return None
    if not isinstance(store, ListableStore):  # cannot be listed: look whether there is a second one
        others = [read_attributes(store, join_key(path, p)) for p in ("setup1", "setup0/timepoint1")]
        alone = all(o is None for o in others) and not is_array(first) and "downsamplingFactors" in first
        return _VIEW if alone else None
    setups = [n for n in store.list_dir(path)[1] if _SETUP.match(n)]
    if len(setups) != 1:
        return None
    times = [n for n in store.list_dir(join_key(path, setups[0]))[1] if _TIME.match(n)]
    return f"{setups[0]}/{times[0]}" if len(times) == 1 else None


class BdvCollectionDriver:
    """Views of an XML of BigDataViewer, or of a container in N5 without one."""

    name: ClassVar[str] = layout.FORMAT
    spec_url: ClassVar[str] = BdvDriver.spec_url
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = 40

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """List the views.

        Raises
        ------
        NotFoundError
            If this is no such XML or container.
        FormatError
            If the XML is broken.
        """
        if "::" in path or path.lower().endswith(_FILES):
            raise declined(self.name, store, path)
        if path.lower().endswith(".xml"):
            raw = store.get(path)
            data = None if raw is None else xml.parse_spim_data(raw, place(store, path))
            if data is None or not data.loader.startswith(_LOADER):
                raise declined(self.name, store, path)
            return views.collection(self.name, data, path)
        found = _views(store, path)
        if len(found) < 2:
            raise declined(self.name, store, path)
        return views.container_collection(self.name, found, path, "")


def _views(store: ReadableStore, path: str) -> list[tuple[int, int]]:
    """Return (time point, setup) of the views of a container, as its folders tell."""
    if not isinstance(store, ListableStore) or (path and store.stat(path) is not None):
        return []
    found: list[tuple[int, int]] = []
    for setup in [n for n in store.list_dir(path)[1] if _SETUP.match(n)]:
        below = join_key(path, setup)
        attributes = read_attributes(store, below)
        if attributes is not None and "downsamplingFactors" in attributes and not is_array(attributes):
            times = [n for n in store.list_dir(below)[1] if _TIME.match(n)]
            found.extend((int(t[len("timepoint") :]), int(setup[len("setup") :])) for t in times)
    return sorted(found, key=lambda view: (view[1], view[0]))
