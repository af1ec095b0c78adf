"""BigDataViewer datasets: an XML with registrations beside N5 or HDF5; each view (setup, time point) is an image.

Specification: https://github.com/bigdataviewer/bigdataviewer-core/blob/master/BDV%20N5%20format.md. Read: the XML,
``dataset.xml`` or with several views ``dataset.xml::setup0/timepoint0``; a container of N5 with one view; a view in
N5 (``dataset.n5/setup0/timepoint0``) or HDF5 (``dataset.h5::/t00000/s00``). Without its XML a view has the place that
its own attributes tell. Written: N5, with the XML beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from voxarium.codecs.hdf5_tree import find, translated
from voxarium.errors import Code, ExistsError, FormatError, InputError, NotFoundError, UnsupportedError
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
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.model.sources import declined, place
from voxarium.model.stated_images import malformed, open_levels, short_unit
from voxarium.model.transforms import Transform
from voxarium.spec import bdv_layout, bdv_xml

__all__ = ["BdvDriver"]

_HDF5: Final = (".h5", ".hdf5")
_SETUP: Final = re.compile(r"setup[0-9]{1,9}\Z")
_TIME: Final = re.compile(r"timepoint[0-9]{1,9}\Z")
_MOST_NAMED: Final = 8
_VIEW: Final = "setup0/timepoint0"
_KNOWN: Final = frozenset({"downsamplingFactors", "multiScale", "resolution"})
_Open = Callable[[str], ArrayInfo]


class BdvDriver:
    """The convention of BigDataViewer on top of N5 and HDF5 arrays."""

    name: ClassVar[str] = bdv_layout.FORMAT
    spec_url: ClassVar[str] = "https://github.com/bigdataviewer/bigdataviewer-core/blob/master/BDV%20N5%20format.md"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 40
    suffixes: ClassVar[tuple[str, ...]] = (".xml",)
    enclosing_documents: ClassVar[tuple[str, ...]] = ("dataset.xml",)
    spec_versions: ClassVar[tuple[str, ...]] = ("1",)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMBERS, ndim=(3, 3), axis_names=frozenset("zyx"), name=True, metadata=True, fill_values="zero"
    )

    # -- reading
    def open(self, store: ReadableStore, path: str, open_array: _Open, /) -> ImageInfo:
        """Parse the view at `path`.

        Raises
        ------
        NotFoundError
            If there is none of this convention.
        InputError
            If there are several views and none is named.
        FormatError
            If the metadata cannot be read or contradict the arrays.
        UnsupportedError
            If the container is of another kind, or outside the folder of the XML.
        """
        key, _, inner = path.partition("::")
        inner = inner.strip("/")
        if key.lower().endswith(".xml"):
            return self._open_xml(store, key, inner, open_array)
        if not key.lower().endswith(_HDF5):
            return self._open_n5(store, path, open_array)
        view = bdv_layout.parse_view_path(inner)
        if view is None:
            raise declined(self.name, store, path)
        levels = [(f"{i}/cells", f) for i, f in enumerate(_hdf5_factors(store, key, view[2]))]
        placed = _beside(store, key, view[1:])
        stated = bdv_layout.stated_image(levels, placed or _unplaced(), {})
        arrays = open_levels(path, [name for name, _ in levels], open_array)
        return stated.with_arrays(arrays, _signed(arrays))

    def _open_xml(self, store: ReadableStore, key: str, inner: str, open_array: _Open) -> ImageInfo:
        factors: Sequence[tuple[float, ...]]
        raw = store.get(key)
        data = None if raw is None else bdv_xml.parse_spim_data(raw, place(store, key))
        if data is None or raw is None:
            raise declined(self.name, store, key)
        timepoint, setup = _chosen_view(data, key, inner)
        container = _resolved(key, data.container, place(store, key))
        placement = _placement(data, (timepoint, setup))
        metadata: dict[str, Any] = {"loader": data.loader, "container": container}
        if data.loader == "bdv.hdf5":
            factors = _hdf5_factors(store, container, setup)
            keys = [f"{container}::/{bdv_layout.hdf5_level(timepoint, setup, i)}" for i in range(len(factors))]
        elif data.loader.startswith("bdv.n5"):
            keys, factors, metadata["levels"] = _n5_levels(store, container, timepoint, setup)
        else:
            raise UnsupportedError(
                f"{place(store, key)} refers to a container of kind {data.loader!r}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="resave the dataset as N5 or HDF5 in BigStitcher, or open the container itself",
            )
        path = f"{key}::{inner}" if inner else key
        up = "../" * (path.count("/") + 1)  # levels are named relative to the image
        levels = [(up + k, f) for k, f in zip(keys, factors, strict=True)]
        stated = bdv_layout.stated_image(levels, placement, metadata)
        arrays = open_levels(path, [name for name, _ in levels], open_array)
        image = stated.with_arrays(arrays, _signed(arrays) if data.loader == "bdv.hdf5" else ())
        record = replace(image.bag.records[0], header=raw)
        return replace(image, bag=replace(image.bag, records=(record,)))

    def _open_n5(self, store: ReadableStore, path: str, open_array: _Open) -> ImageInfo:
        found = bdv_layout.parse_view_path(path)
        if found is None:
            view = _only_view(store, path)
            found = None if view is None else bdv_layout.parse_view_path(view)
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
        factors = bdv_layout.n5_factors(setup, attributes)
        if factors is None or not attributes:
            raise declined(self.name, store, path)
        placed = _beside(store, container, found[1:])
        group = read_attributes(store, whole) or {}
        placed = placed or bdv_layout.own_placement(group, attributes["s0"])
        levels = [(below + name, f) for name, f in zip(attributes, factors, strict=True)]
        metadata = {"group": group, "setup": setup, "levels": {below + n: a for n, a in attributes.items()}}
        stated = bdv_layout.stated_image(levels, placed, metadata)
        stated = replace(stated, extra=unknown_attributes(group, _KNOWN))
        return stated.with_arrays(open_levels(path, [name for name, _ in levels], open_array))

    # -- writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``n5``."""
        return "n5"

    def level_path(self, level: int, _transform: Transform, _finest: Transform, /) -> str:
        """Return the path of a level below the container: ``setup0/timepoint0/s0`` …"""
        return f"{_VIEW}/s{level}"

    def axis_order(self, _axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return None: `check` demands z, y, x."""

    def split(self, target: str, /) -> tuple[str, str]:
        """Return the folder around a container, where the XML goes, and the container."""
        head, _, tail = target.rstrip("/").rpartition("/")
        return (head, tail) if tail.lower().endswith(".n5") and head and not head.endswith(":/") else (target, "")

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when the convention cannot hold the image."""
        bdv_layout.check_image(image)

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Return the keys of the XML and of the attributes of the levels."""
        return (_xml_key(path), *(join_key(join_key(path, level.path), ATTRIBUTES) for level in image.levels))

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return the documents of the container, and the XML last.

        Raises
        ------
        InputError
            If the convention cannot hold the image.
        ExistsError
            If the XML there belongs to something else.
        FormatError
            If documents that are to be extended cannot be read.
        """
        bdv_layout.check_image(image)
        xml = _xml_key(path)
        container = path.rpartition("/")[2] or "."
        _check_replaceable(existing.get(xml), xml, container)
        out: dict[str, bytes] = {}
        levels = [bdv_layout.dump_level(image, i) for i in range(len(image.levels))]
        for level, attributes in zip(image.levels, levels, strict=True):
            key = join_key(join_key(path, level.path), ATTRIBUTES)
            out[key] = merged_document(existing.get(key), key, attributes)
        factors = [attributes["downsamplingFactors"] for attributes in levels]
        view = unknown_attributes(image.bag.extra, _KNOWN)
        view |= {"multiScale": True, "resolution": list(bdv_layout.voxel_size(image))}
        setup = {"downsamplingFactors": factors, "dataType": image.levels[0].array.dtype.name}
        for folder, attributes in ((_VIEW, view), (_VIEW.partition("/")[0], setup), ("", {"n5": N5_VERSION})):
            key = join_key(join_key(path, folder) if folder else path, ATTRIBUTES)
            out[key] = merged_document(None, key, attributes)
        out[xml] = _dump_xml(image, container)
        return out


# ------------------------------------------------------------------------------------------------------ the XML
def _chosen_view(data: bdv_xml.SpimData, key: str, inner: str) -> tuple[int, int]:
    """Return (time point, setup) of the view that is named, or of the only one."""
    views = data.views()
    if inner:
        found = bdv_layout.parse_view_path(inner)
        if found is not None and found[1:] in set(views):
            return found[1], found[2]
    elif len(views) == 1:
        return views[0]
    names = [f"{key}::{bdv_xml.view_name(*view)}" for view in views[:_MOST_NAMED]]
    more = f" and {len(views) - len(names)} more" if len(views) > len(names) else ""
    if inner:
        raise NotFoundError(
            f"{key} has no view {inner!r}", code=Code.PATH_MISSING, fix=f"name one of {', '.join(names)}{more}"
        )
    raise InputError(
        f"{key} describes {len(views)} views",
        code=Code.ARGUMENT_INVALID,
        fix=f"name one of them: {', '.join(names)}{more}" if names else "check the XML: it lists no view",
    )


def _resolved(key: str, relative: str, where: str) -> str:
    """Return the key of a container that an XML at `key` names; it may not leave the store."""
    parts = [] if relative.startswith("/") else key.split("/")[:-1]
    for part in relative.replace("\\", "/").split("/"):
        if part == "..":
            if not parts:
                relative = f"/{relative}"
                break
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if relative.startswith("/") or ":" in relative or "\0" in relative:
        raise UnsupportedError(
            f"{where} refers to {relative.lstrip('/')!r}, outside the folder that was opened",
            code=Code.FEATURE_UNSUPPORTED,
            fix="put the container beside the XML and give its name there as a relative path",
        )
    return "/".join(parts)


def _placement(data: bdv_xml.SpimData, view: tuple[int, int]) -> bdv_layout.Placement:
    setup = data.setup(view[1])
    matrix = data.matrix(*view)
    chain = data.registrations.get(view, ())
    return bdv_layout.Placement(
        matrix=matrix,
        voxel_size=setup.voxel_size if setup else None,
        unit=setup.unit if setup else None,
        name=setup.name if setup else "",
        original={"ViewTransforms": [{"Name": t.name, "affine": list(t.affine)} for t in chain]},
        notes=() if matrix is not None else ("the XML has no registration of this view",),
    )


def _beside(store: ReadableStore, container: str, view: tuple[int, int]) -> bdv_layout.Placement | None:
    """Return the placement of a view by the XML beside its container, or in it; None when there is none."""
    stem = container.rpartition(".")[0]
    folder = container.rpartition("/")[0]
    keys = [f"{stem}.xml"] * bool(stem) + [join_key(folder, "dataset.xml")] * bool(container)
    for key in (*keys, join_key(container, "dataset.xml")):
        raw = store.get(key) if "::" not in key else None
        try:
            data = None if raw is None else bdv_xml.parse_spim_data(raw, place(store, key))
            if data is not None and _resolved(key, data.container, key) == container:
                return _placement(data, view)
        except (FormatError, UnsupportedError):  # a foreign or broken XML beside does not spoil the voxels
            continue
    return None


def _unplaced() -> bdv_layout.Placement:
    return bdv_layout.own_placement(None, {})


def _xml_key(path: str) -> str:
    return f"{path[:-3]}.xml" if path.lower().endswith(".n5") and len(path) > 3 else join_key(path, "dataset.xml")


def _check_replaceable(raw: bytes | None, key: str, container: str) -> None:
    """Refuse to replace an XML that describes more than what is written."""
    if raw is None:
        return
    try:
        data = bdv_xml.parse_spim_data(raw, key)
    except FormatError:
        data = None
    if data is not None and data.container in (container, f"./{container}") and data.views() == [(0, 0)]:
        return
    raise ExistsError(
        f"{key} is there and describes something else",
        code=Code.TARGET_EXISTS,
        fix="choose another name for the target, or move the XML away",
    )


def _dump_xml(image: ImageInfo, container: str) -> bytes:
    setup = bdv_xml.ViewSetup(
        id=0,
        name=image.name,
        size=image.levels[0].array.shape[::-1],
        voxel_size=bdv_layout.voxel_size(image),
        unit=short_unit(image.axes[0].unit),
        attributes={"illumination": 0, "channel": 0, "tile": 0, "angle": 0},
    )
    matrix = bdv_layout.world_matrix(image).ravel().tolist()
    transform = bdv_xml.ViewTransform(affine=tuple(matrix), name="calibration")
    return bdv_xml.dump_spim_data(
        bdv_xml.SpimData(
            loader="bdv.n5",
            container=container,
            setups=(setup,),
            timepoints=(0,),
            registrations={(0, 0): (transform,)},
        )
    )


# ------------------------------------------------------------------------------------------------ the containers
def _n5_levels(
    store: ReadableStore, container: str, timepoint: int, setup: int
) -> tuple[list[str], Sequence[tuple[float, ...]], dict[str, Any]]:
    """Return keys and factors of the levels of a view, and their attributes by the path we would write them at."""
    path = join_key(container, bdv_xml.view_name(timepoint, setup))
    attributes = numbered_levels(store, path)
    factors = bdv_layout.n5_factors(read_attributes(store, path.rpartition("/")[0]), attributes)
    if factors is None or not attributes:
        raise FormatError(
            f"the XML lists {path}, where no levels or no factors are",
            code=Code.LEVEL_MISSING,
            fix="copy the container again, or correct the XML",
        )
    return [join_key(path, n) for n in attributes], factors, {f"{_VIEW}/{n}": a for n, a in attributes.items()}


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


def _hdf5_factors(store: ReadableStore, key: str, setup: int) -> Sequence[tuple[float, ...]]:
    where = place(store, key)
    with translated(where):
        _, node = find(store, key, f"s{setup:02d}/resolutions")
        shape = getattr(node, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] > 64 or shape[1] != 3:
            malformed(f"{where}::/s{setup:02d}/resolutions", f"has shape {shape}", "write the file again")
        return bdv_layout.checked_factors(node[()].tolist())


def _signed(arrays: Mapping[str, ArrayInfo]) -> tuple[str, ...]:
    """Note that HDF5 of BigDataViewer means unsigned numbers where it stores signed ones of 16 bits."""
    if all(a.dtype.name != "int16" for a in arrays.values()):
        return ()
    return ("stored as int16; BigDataViewer means uint16, so negative values stand for 65536 + value",)
