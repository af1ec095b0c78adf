"""OME-Zarr images and labels on Zarr groups: reads 0.1–0.6 and 0.9.dev1, writes 0.4, 0.5 and 0.6.

Specification: https://ngff.openmicroscopy.org. Dialects seen in the wild and read: metadata of 0.4 in a group
of Zarr 3 without ``ome``; levels below further groups (``scale0/image``); the drafts 0.6.dev1 to 0.6.dev4, with texts
as `input` and `output` until dev3; label images without ``image-label``; ``.zattrs`` without ``.zgroup``. Other
conventions have lists of ``multiscales`` too (COSEM, xarray-multiscale, ndpyramid): theirs are declined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Final, NoReturn

from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.model.abilities import Holds
from voxarium.model.array_specs import NUMERIC
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo, SourceRecord
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.transforms import Transform
from voxarium.spec import ome

__all__ = ["OmeZarrDriver"]

_LABELS: Final = "labels"


class OmeZarrDriver:
    """The convention of the Open Microscopy Environment on top of Zarr arrays."""

    name: ClassVar[str] = ome.FORMAT
    spec_url: ClassVar[str] = "https://ngff.openmicroscopy.org/0.5/"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    spec_versions: ClassVar[tuple[str, ...]] = ome.VERSIONS
    options: ClassVar[tuple[str, ...]] = ("multiscale",)
    hierarchy_markers: ClassVar[tuple[str, ...]] = ("zarr.json", ".zgroup", ".zattrs")
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

    # -- reading
    def open(
        self,
        store: ReadableStore,
        path: str,
        open_array: Callable[[str], ArrayInfo],
        /,
        *,
        multiscale: str | int | None = None,
    ) -> ImageInfo:
        """Parse the image at `path`; the one called `multiscale`, by name or number, where the group holds several.

        Raises
        ------
        NotFoundError
            If there is no group, or one that is no image.
        FormatError
            If the metadata cannot be read, contradict the arrays, or name an array that is not there.
        InputError
            If there is no such multiscale.
        """
        where = ome.join(store.uri, path)
        attributes, zarr_format = _attributes(store, path)
        if attributes is None:
            raise NotFoundError(
                f"no group of an OME-Zarr image at {where}",
                code=Code.METADATA_MISSING,
                fix="check the path; it should hold zarr.json, or .zgroup and .zattrs",
            )
        if not isinstance(ome.namespace(attributes).get("multiscales"), list) or ome.is_foreign(attributes):
            _refuse_other(attributes, where)
        notes = ome.multiscale_notes(attributes)
        if multiscale is not None:
            attributes = ome.with_chosen(attributes, multiscale)
        arrays = _open_levels(open_array, path, attributes, where)
        labels, wrong = _labels(store, path, zarr_format)
        notes += wrong
        image = ome.parse_image(attributes, arrays, labels)
        unmarked = image.role == "intensity" and image.levels[0].array.dtype.kind in "iu"
        if unmarked and _listed_as_label(store, path, zarr_format):
            image = replace(image, role="label")
            notes.append("read as a label image: the group of labels lists it")
        return _with_notes(image, notes)

    def copies(self, store: ReadableStore, path: str, /) -> dict[str, bytes | None]:
        """Return by key the documents of arrays that consolidated metadata of the group repeat."""
        try:
            zarr_format = _attributes(store, path)[1]
            raw = store.get(ome.join(path, "zarr.json" if zarr_format == 3 else ".zmetadata"))
            if raw is None:
                return {}
            return ome.v3_copies(raw, path) if zarr_format == 3 else ome.v2_copies(raw, path)
        except FormatError:
            return {}

    # -- writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``zarr2`` for 0.4, ``zarr3`` for later versions."""
        ome.check_version(spec_version)
        return "zarr2" if spec_version < "0.5" else "zarr3"

    def holds_for(self, spec_version: str, /) -> Holds:
        """Return what a version holds: from 0.6 on rotations, shears and further coordinate systems too."""
        graph = spec_version >= "0.6"
        return replace(self.holds, affine=graph, transforms=graph)

    def level_path(self, level: int, _transform: Transform, _finest: Transform, /) -> str:
        """Return the path of a level below the image: ``s0``, ``s1``, …"""
        return f"s{level}"

    def axis_order(self, _axes: tuple[Axis, ...], /) -> None:
        """Return None: the order of the specification (time, channel, space) is the usual one."""

    def split(self, target: str, /) -> tuple[str, str]:
        """Return the image around a label image, and the path of that in it."""
        head, found, tail = target.rpartition("/labels/")
        return (head, f"labels/{tail}") if found else (target, "")

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when this version cannot hold the image."""
        ome.check_image(image, spec_version)

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Return the keys of the labelled image, the group that lists labels, and groups between it and the image."""
        root, folders = _label_root(path, image)
        if root is None:
            return ()
        between = tuple(ome.group_keys(folder, spec_version)[0] for folder in folders)
        around = [(folder, version) for folder in (_parent(root), root) for version in ("0.4", "0.5")]
        return tuple(key for folder, version in around for key in ome.group_keys(folder, version)) + between

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return the documents of the image, its own attributes last.

        Raises
        ------
        InputError
            If the image breaks a rule (see `check`), or the labels beside it follow another version.
        UnsupportedError
            If this version cannot hold it.
        FormatError
            If the list of labels beside it cannot be read.
        """
        ome.check_image(image, spec_version)
        documents: dict[str, bytes] = {}
        root, folders = _label_root(path, image)
        source = None
        if root is not None:
            for folder in (_parent(root), root):
                ome.check_group_version(folder, spec_version, existing)
            name = path.removeprefix(f"{root}/")
            source = "../" * (name.count("/") + 2)
            documents |= ome.add_label(root, spec_version, name, existing)
            for folder in folders:  # groups between carry no metadata (LB-004)
                key, content = next(iter(ome.dump_group(folder, spec_version, {}).items()))
                documents |= {} if key in existing else {key: content}
        attributes = ome.dump_attributes(image, spec_version, default_source=source)
        return documents | ome.dump_group(path, spec_version, attributes)

    def with_copies(
        self, path: str, documents: Mapping[str, bytes], levels: Mapping[str, bytes], existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return documents with consolidated metadata of levels, since 0.5; and in the image around a label image.

        That one is changed where it has consolidated metadata: readers that trust those would not find the label image.
        """
        own = ome.join(path, "zarr.json")
        if own not in documents:
            return dict(documents)
        changed = {**documents, own: ome.add_copies(documents[own], _below(path, levels))}
        found = _split(path)
        around = "" if found is None else ome.join(_parent(found[0]), "zarr.json")
        if around in existing and ome.has_copies(existing[around], around):
            nodes = _below(_parent(around), {**documents, **levels})
            changed[around] = ome.add_copies(existing[around], nodes)
        return changed


def _attributes(store: ReadableStore, path: str) -> tuple[Mapping[str, object] | None, int]:
    """Return the attributes of the group at `path` and its Zarr format; None when there is no group."""
    key = ome.join(path, "zarr.json")
    raw = store.get(key)
    found = None if raw is None else ome.parse_v3_attributes(raw, key)
    if found is not None and ("ome" in found or "multiscales" in found) and not ome.is_foreign(found):
        return found, 3
    key = ome.join(path, ".zattrs")
    older = store.get(key)
    if older is not None:
        return ome.parse_v2_attributes(older, key), 2
    return found, 3


def _refuse_other(attributes: Mapping[str, object], where: str) -> NoReturn:
    """Raise for a group that is no image, telling what it is."""
    keys = ome.namespace(attributes).keys() | attributes.keys()
    if "multiscales" in ome.namespace(attributes) and "ome" in attributes:
        ome.malformed(where, "has multiscales that are not a list", "write them as a list of objects")
    if "ome" not in attributes and "multiscales" in attributes:
        _refuse_foreign(where)
    kinds = {
        "plate": ("a plate of wells", "open one field of view, such as A/1/0 below it"),
        "well": ("a well of images", "open one of its images, such as 0 below it"),
        "bioformats2raw.layout": ("a collection of images", "open one of its images, such as 0 below it"),
        "scene": ("a scene of images", "open one of the images below it"),
        "labels": ("a list of label images", "open one of those it lists"),
    }
    what, fix = next(
        (text for key, text in kinds.items() if key in keys),
        ("a group without OME-Zarr metadata", "open one of the arrays or images below it"),
    )
    raise NotFoundError(f"{where} is {what}, not an image", code=Code.FORMAT_UNRECOGNISED, fix=fix)


def _refuse_foreign(where: str) -> NoReturn:
    raise NotFoundError(
        f"the multiscales of {where} are not those of OME-Zarr, but of another convention",
        code=Code.FORMAT_UNRECOGNISED,
        fix="open one of the arrays below it, or name the format",
    )


def _open_levels(
    open_array: Callable[[str], ArrayInfo], path: str, attributes: Mapping[str, object], where: str
) -> dict[str, ArrayInfo]:
    """Return the arrays of the levels. What might be 0.1 but has not its five axes is of another convention."""
    paths = ome.level_paths(attributes)
    if ome.is_unmarked(attributes) and not _has_five_axes(open_array, ome.join(path, paths[0])):
        _refuse_foreign(where)
    return {p: _open_level(open_array, ome.join(path, p)) for p in paths}


def _has_five_axes(open_array: Callable[[str], ArrayInfo], key: str) -> bool:
    try:
        return open_array(key).ndim == 5
    except NotFoundError:
        return False


def _open_level(open_array: Callable[[str], ArrayInfo], key: str) -> ArrayInfo:
    try:
        return open_array(key)
    except NotFoundError as error:
        raise FormatError(
            f"the image lists the level {key!r}, where no array can be opened: {error.message}",
            code=Code.LEVEL_MISSING,
            fix="copy the missing level, or remove it from the list of datasets",
        ) from error


def _labels(store: ReadableStore, path: str, zarr_format: int) -> tuple[tuple[str, ...], list[str]]:
    """Return the paths of the labels below the image, and what was wrong with their list."""
    folder = ome.join(path, _LABELS)
    try:
        listed = _listing(store, folder, zarr_format)
    except FormatError as error:  # a broken list of labels does not spoil the image
        return (), [error.message]
    names, notes = [], []
    for name in listed:
        try:
            names.append(ome.join(_LABELS, checked_key(name)))
        except InputError:
            notes.append(f"{folder} lists {name!r}, which is no path below it; ignored")
    return tuple(names), notes


def _listing(store: ReadableStore, folder: str, zarr_format: int) -> tuple[str, ...]:
    key = ome.join(folder, "zarr.json" if zarr_format == 3 else ".zattrs")
    raw = store.get(key)
    if raw is None:
        return ()
    attributes = ome.parse_v3_attributes(raw, key) if zarr_format == 3 else ome.parse_v2_attributes(raw, key)
    return () if attributes is None else ome.parse_labels(attributes)


def _split(path: str) -> tuple[str, str] | None:
    """Return the group of labels a path lies in and the name within; None when it lies in none."""
    parts = path.split("/")
    if _LABELS not in parts[:-1]:
        return None
    at = len(parts) - 1 - parts[-2::-1].index(_LABELS)
    return "/".join(parts[:at]), "/".join(parts[at:])


def _listed_as_label(store: ReadableStore, path: str, zarr_format: int) -> bool:
    found = _split(path)
    if found is None:
        return False
    try:
        return found[1] in _listing(store, found[0], zarr_format)
    except FormatError:
        return False


def _label_root(path: str, image: ImageInfo) -> tuple[str | None, list[str]]:
    """Return the group that lists a label image, and the groups between; None for other images."""
    found = _split(path) if image.role == "label" else None
    if found is None:
        return None, []
    root, name = found
    parts = name.split("/")[:-1]
    return root, [ome.join(root, *parts[: i + 1]) for i in range(len(parts))]


def _below(path: str, documents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return documents of nodes below a group, by the path of the node there."""
    prefix = f"{path}/" if path else ""
    inside = {key.removeprefix(prefix): raw for key, raw in documents.items() if key.startswith(prefix)}
    return {_parent(key): raw for key, raw in inside.items() if key.endswith("/zarr.json")}


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _with_notes(image: ImageInfo, notes: list[str]) -> ImageInfo:
    """Return the image with more notes in its source record."""
    if not notes:
        return image
    first: SourceRecord = image.bag.records[0]
    first = replace(first, notes=first.notes + tuple(notes))
    return replace(image, bag=replace(image.bag, records=(first, *image.bag.records[1:])))
