"""CellMap annotation crops: label images of one class each, in OME-Zarr 0.4 with ``cellmap.annotation``.

Rules: see `voxarium.spec.cellmap_annotation`. A class is an image; a crop is a folder of them. Counts of voxels are
kept where they still hold and left out otherwise: `count_findings` compares them with the voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from voxarium.errors import FormatError
from voxarium.model.abilities import INTEGERS, Holds
from voxarium.model.array_specs import join_key
from voxarium.model.attribute_documents import merged_document, read_attributes
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo, SourceRecord, Value
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place
from voxarium.model.stated_images import open_levels
from voxarium.model.transforms import Transform
from voxarium.spec import cellmap_annotation as cellmap
from voxarium.spec import ome

__all__ = ["CellmapAnnotationDriver"]

_ATTRIBUTES: Final = ".zattrs"
_GROUP: Final = ".zgroup"
_OME: Final = "0.4"


class CellmapAnnotationDriver:
    """The convention of CellMap's ground truth on top of OME-Zarr 0.4."""

    name: ClassVar[str] = cellmap.FORMAT
    spec_url: ClassVar[str] = "https://github.com/janelia-cellmap/cellmap-schemas"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = -10
    spec_versions: ClassVar[tuple[str, ...]] = (cellmap.VERSION,)
    holds: ClassVar[Holds] = Holds(
        dtypes=INTEGERS,
        ndim=(2, 5),
        name=True,
        label_colors=True,
        label_properties=True,
        metadata=True,
        roles=frozenset({"label"}),
    )

    # -- reading
    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Parse the class at `path`.

        Raises
        ------
        NotFoundError
            If there is none of this convention; also for a crop, which is a folder of images.
        FormatError
            If the metadata cannot be read, contradict the arrays, or name an array that is not there.
        """
        attributes = read_attributes(store, path, (_ATTRIBUTES,))
        found = None if attributes is None else cellmap.annotation_of(attributes)
        if attributes is None or found is None or "multiscales" not in attributes:
            raise declined(self.name, store, path)
        where = place(store, path)
        annotation = cellmap.parse_array(found, where)
        if annotation is None:
            raise declined(self.name, store, path)
        arrays = open_levels(path, ome.level_paths(attributes), open_array)
        image = ome.parse_image(attributes, arrays)
        levels = {p: raw for p, i in arrays.items() if (raw := cellmap.annotation_of(i.attributes)) is not None}
        parsed = {p: a for p, raw in levels.items() if (a := cellmap.parse_array(raw, f"{where}/{p}")) is not None}
        notes = list(cellmap.class_findings(annotation, where.rpartition("/")[2], parsed))
        crop = _crop(store, path, annotation.class_name, notes)
        metadata: dict[str, Any] = {
            "class": dict(found),
            "crop": crop,
            "levels": {p: {"annotation": dict(a), "shape": list(arrays[p].shape)} for p, a in levels.items()},
        }
        record = SourceRecord(format=self.name, spec_version=cellmap.VERSION, metadata=metadata, notes=tuple(notes))
        bag = replace(image.bag, records=(record, *image.bag.records), extra=_without_annotation(image.bag.extra))
        categories = {value: name for name, value in annotation.type.encoding.items()}
        return replace(
            image,
            format=self.name,
            name=image.name or annotation.class_name,
            role="label",
            value=Value(categories=categories),
            bag=bag,
        )

    # -- writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``zarr2``."""
        return "zarr2"

    def level_path(self, level: int, _transform: Transform, _finest: Transform, /) -> str:
        """Return the path of a level below the class: ``s0``, ``s1``, …"""
        return f"s{level}"

    def axis_order(self, _axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return None: the order of the specification (time, channel, space) is the usual one."""

    def split(self, target: str, /) -> tuple[str, str]:
        """Return the Zarr around a target, or the folder around the crop, and the class in it."""
        parts = target.rstrip("/").split("/")
        root = next((i for i, part in enumerate(parts) if part.lower().endswith(".zarr")), len(parts) - 3)
        root = root if root < len(parts) - 1 and (root > 0 or parts[0]) else len(parts) - 1
        return "/".join(parts[: root + 1]), "/".join(parts[root + 1 :])

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when the convention cannot hold the image."""
        ome.check_image(image, _OME)
        cellmap.type_for(image, None)

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Return the keys of the crop, of groups around it, and of the attributes of the levels."""
        around = tuple(join_key(folder, _GROUP) for folder in _around(path))
        levels = tuple(join_key(join_key(path, level.path), _ATTRIBUTES) for level in image.levels)
        return (*around, *_crop_keys(path), *levels)

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return the documents of levels, groups around, crop and class, the class's own attributes last.

        Raises
        ------
        InputError, UnsupportedError
            If the convention cannot hold the image.
        FormatError
            If documents that are to be extended cannot be read.
        """
        ome.check_image(image, _OME)
        record = next((r.metadata for r in image.bag.records if r.format == self.name), {})
        stated = cellmap.parse_array(record["class"], "the source") if "class" in record else None
        kind = cellmap.type_for(image, stated)
        name = path.rpartition("/")[2] or (stated.class_name if stated else image.name) or "object"
        out: dict[str, bytes] = {}
        for i, level in enumerate(image.levels):
            counts = _kept_counts(record, level.path, level.array.shape) if i == 0 else None
            key = join_key(join_key(path, level.path), _ATTRIBUTES)
            own = cellmap.with_annotation({}, cellmap.dump_array(name, kind, counts))
            out[key] = merged_document(existing.get(key), key, own)
        for folder in _around(path):
            key = join_key(folder, _GROUP)
            if key not in existing:
                out[key] = merged_document(None, key, {"zarr_format": 2})
        out |= _dump_crop(path, name, record.get("crop"), existing)
        attributes = ome.dump_attributes(image, _OME)
        own = cellmap.with_annotation(attributes, cellmap.dump_class(name, kind))
        return out | ome.dump_group(path, _OME, own)


def _crop(store: ReadableStore, path: str, class_name: str, notes: list[str]) -> Mapping[str, Any] | None:
    """Return the annotation of the crop around a class; what is wrong with it is noted."""
    if not path:
        return None  # it cannot be seen from here
    try:
        attributes = read_attributes(store, path.rpartition("/")[0], (_ATTRIBUTES,))
        found = None if attributes is None else cellmap.annotation_of(attributes)
        if found is None:
            return None
        crop = cellmap.parse_crop(found, "the crop")
    except FormatError as error:  # a broken crop does not spoil the class
        notes.append(error.message)
        return None
    if class_name not in crop.class_names:
        notes.append(f"A1: the crop does not list {class_name!r}")
    return crop.original


def _without_annotation(extra: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(extra)
    found = out.pop("cellmap", None)
    rest = {k: v for k, v in found.items() if k != "annotation"} if isinstance(found, Mapping) else {}
    return out | ({"cellmap": rest} if rest else {})


def _around(path: str) -> tuple[str, ...]:
    """Return the folders around the class, the outermost first; the root is one of them."""
    parts = path.split("/") if path else []
    return tuple("/".join(parts[:i]) for i in range(len(parts)))


def _crop_keys(path: str) -> tuple[str, ...]:
    return (join_key(path.rpartition("/")[0], _ATTRIBUTES),) if "/" in path else ()


def _kept_counts(record: Mapping[str, Any], path: str, shape: tuple[int, ...]) -> Mapping[str, int] | None:
    """Return the counts of level 0 where all its voxels are those that were counted."""
    found = record.get("levels", {}).get(path)
    if found is None or found["shape"] != list(shape):
        return None
    parsed = cellmap.parse_array(found["annotation"], path)
    return None if parsed is None else parsed.complement_counts


def _dump_crop(
    path: str, class_name: str, stated: Mapping[str, Any] | None, existing: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return the attributes of the crop around a class, which lists it too; nothing when it is not in one."""
    keys = _crop_keys(path)
    if not keys:
        return {}
    key, folder = keys[0], path.rpartition("/")[0]
    present = existing.get(key)
    attributes = {} if present is None else ome.parse_v2_attributes(present, key)
    found = cellmap.annotation_of(attributes)
    if found is None and stated is not None:
        found = {**stated, "name": folder.rpartition("/")[2], "class_names": []}
    crop = None if found is None else cellmap.parse_crop(found, key)
    own = cellmap.dump_crop(folder.rpartition("/")[2], class_name, crop)
    return {key: merged_document(present, key, cellmap.with_annotation(attributes, own))}
