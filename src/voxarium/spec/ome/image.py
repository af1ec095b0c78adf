"""From the attributes of a group to an image and back, for every version."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, Bag, Display, ImageInfo, LevelInfo, SourceRecord
from voxarium.model.transforms import Scale, Sequence, Transform, Translation
from voxarium.spec.ome import graph, v04, v06
from voxarium.spec.ome.display import dump_image_label, dump_omero, parse_image_label, parse_omero
from voxarium.spec.ome.document import as_list, as_mapping, json_ready, malformed
from voxarium.spec.ome.multiscale import Multiscale
from voxarium.spec.ome.transformations import canonical, fits

__all__ = ["FORMAT", "dump_attributes", "level_paths", "namespace", "parse_image"]

FORMAT: Final = "ome-zarr"
_RELEASED: Final = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6")
_DRAFT: Final = re.compile(r"(\d+\.\d+)(?:\.dev\d+|rc\d+|-dev\d*)")
# What a group says in other roles; it names things that stay behind when the image is written elsewhere.
_STRUCTURE: Final = frozenset({"plate", "well", "series", "scene", "labels", "bioformats2raw.layout"})
_OME: Final = _STRUCTURE | {"version", "multiscales", "omero", "image-label"}
_MULTISCALE: Final = frozenset(
    {
        "version",
        "name",
        "type",
        "axes",
        "coordinateSystems",
        "datasets",
        "coordinateTransformations",
        "metadata",
    }
)
_DATASET: Final = frozenset({"path", "coordinateTransformations"})
_MAX_MULTISCALES: Final = 4096


def namespace(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object that holds the OME keys: ``ome`` since 0.5, the attributes themselves before.

    Raises
    ------
    FormatError
        If ``ome`` is not an object.
    """
    return as_mapping(attributes["ome"], "attributes.ome") if "ome" in attributes else attributes


def _multiscales(attributes: Mapping[str, Any]) -> list[Any]:
    where = "ome.multiscales" if "ome" in attributes else "multiscales"
    return as_list(namespace(attributes).get("multiscales"), where, _MAX_MULTISCALES)


def _stated_version(attributes: Mapping[str, Any], body: Mapping[str, Any], notes: list[str]) -> str:
    """Return the version the metadata follow; where none is stated, the one they look like."""
    holder = namespace(attributes) if "ome" in attributes else body
    version = holder.get("version")
    if isinstance(version, str) and version:
        if version not in _RELEASED:
            notes.append(_unreleased(version))
        return version
    axes = body.get("axes")
    if "ome" in attributes:
        version = "0.6" if "coordinateSystems" in body else "0.5"
    elif isinstance(axes, list) and axes and isinstance(axes[0], str):
        version = "0.3"
    else:
        version = "0.1" if axes is None else "0.4"
    notes.append(f"no version is stated; read as {version}")
    return version


def _unreleased(version: str) -> str:
    """Return the note about a version that is none of the released ones."""
    draft = _DRAFT.fullmatch(version)
    if draft is None:
        return f"the version {version[:40]!r} is unknown here; read by its structure"
    after = "on the way to 1.0" if draft[1] == "0.9" else f"of {draft[1]}"
    return f"the version {version[:40]!r} is a draft {after}, whose metadata may change; read by its structure"


def _parse_multiscale(attributes: Mapping[str, Any]) -> tuple[Mapping[str, Any], str, Multiscale]:
    found = _multiscales(attributes)
    where = ("ome." if "ome" in attributes else "") + "multiscales[0]"
    body = as_mapping(found[0], where)
    notes: list[str] = []
    version = _stated_version(attributes, body, notes)
    if len(found) > 1:
        notes.append(f"{len(found)} multiscales are stated; the first is read")
    try:
        if "coordinateSystems" in body:
            parsed = v06.parse_multiscale(body, where)
        else:
            parsed = v04.parse_multiscale(body, version, where)
    except InputError as error:  # numbers that overflow when transforms are composed, say
        raise FormatError(f"{where}: {error.message}", code=Code.METADATA_INVALID, fix=error.fix) from error
    return body, version, replace(parsed, notes=notes + parsed.notes)


def level_paths(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the levels' arrays, below the group, finest first.

    Raises
    ------
    FormatError
        If the attributes cannot be read as an image.
    """
    return _parse_multiscale(attributes)[2].paths


def parse_image(
    attributes: Mapping[str, Any], arrays: Mapping[str, ArrayInfo], labels: tuple[str, ...] = ()
) -> ImageInfo:
    """Return the image a group's attributes describe.

    Parameters
    ----------
    attributes : mapping
        Content of ``.zattrs``, or of ``attributes`` in ``zarr.json``.
    arrays : mapping of str to ArrayInfo
        The array of each path that `level_paths` names.
    labels : tuple of str
        Paths of label images below the group.

    Raises
    ------
    FormatError
        If the attributes cannot be read as an image, or contradict the arrays.
    """
    body, version, parsed = _parse_multiscale(attributes)
    notes = parsed.notes
    parsed = _finest_first(parsed, arrays)
    shapes = [arrays[p].shape for p in parsed.paths]
    axes = _checked_axes(parsed, shapes)
    _note_conflicts(axes, parsed, arrays)
    levels = tuple(
        LevelInfo(path=path, array=arrays[path], transform=_transform(parsed, shapes, i, notes))
        for i, path in enumerate(parsed.paths)
    )
    ome = namespace(attributes)
    channels, omero = parse_omero(ome.get("omero"), notes)
    label = ome.get("image-label")
    is_label = isinstance(label, dict)
    colors, properties, source = parse_image_label(label, notes) if isinstance(label, dict) else ((), (), None)
    name, method = body.get("name"), body.get("type")
    return ImageInfo(
        format=FORMAT,
        axes=axes,
        levels=levels,
        name=name if isinstance(name, str) else "",
        role="label" if is_label else "intensity",
        spec_version=version,
        world=parsed.world,
        systems=parsed.systems,
        edges=parsed.edges,
        display=Display(channels=channels, label_colors=colors, label_properties=properties, extra=omero),
        labels=labels,
        source_image=source,
        method=method if isinstance(method, str) and method else None,
        bag=Bag(
            records=(SourceRecord(format=FORMAT, spec_version=version, metadata=attributes, notes=tuple(notes)),),
            extra={k: v for k, v in attributes.items() if k not in (_OME if ome is attributes else {"ome"})},
        ),
    )


def _finest_first(parsed: Multiscale, arrays: Mapping[str, ArrayInfo]) -> Multiscale:
    """Return the levels ordered by size, as they should be stated (MS-005)."""
    order = sorted(range(len(parsed.paths)), key=lambda i: -math.prod(arrays[parsed.paths[i]].shape))
    if order == sorted(order):
        return parsed
    parsed.notes.append("the levels were not stated from fine to coarse; sorted by size")
    return replace(
        parsed,
        paths=tuple(parsed.paths[i] for i in order),
        transforms=tuple(parsed.transforms[i] for i in order),
    )


def _note_conflicts(axes: tuple[Axis, ...], parsed: Multiscale, arrays: Mapping[str, ArrayInfo]) -> None:
    names = [a.name for a in axes]
    first = arrays[parsed.paths[0]].dtype
    for path in parsed.paths:
        array = arrays[path]
        stated = None if array.axes is None else [a.name for a in array.axes]
        if stated is not None and stated != names:  # ST-010
            parsed.notes.append(f"the array {path!r} names its dimensions {stated}; the image's axes count")
        if array.dtype != first:  # MS-007
            parsed.notes.append(f"the level {path!r} has type {array.dtype}, the first one {first}")


def _checked_axes(parsed: Multiscale, shapes: list[tuple[int, ...]]) -> tuple[Axis, ...]:
    axes = parsed.axes
    for path, shape in zip(parsed.paths, shapes, strict=True):
        if len(shape) != len(axes):
            malformed(
                f"the image has {len(axes)} axes ({', '.join(a.name for a in axes)}), but the array {path!r}",
                f"has {len(shape)}",
                "correct the list of axes, or the path of the level",
            )
    return axes


def _transform(parsed: Multiscale, shapes: list[tuple[int, ...]], level: int, notes: list[str]) -> Transform:
    """Return a level's transform; one that is not stated follows from the shapes (MS-012)."""
    stated = parsed.transforms[level]
    ndim = len(shapes[0])
    if stated is not None:
        if not fits(stated, ndim, ndim):
            malformed(f"the transform of level {parsed.paths[level]!r}", "does not fit its axes", "correct it")
        return stated
    notes.append(f"level {parsed.paths[level]!r} states no transform; derived from the shapes of the levels")
    factors = tuple(_factor(n, m) for n, m in zip(shapes[0], shapes[level], strict=True))
    shift = tuple((f - 1) / 2 for f in factors)
    own: Transform = Sequence((Scale(factors), Translation(shift)))
    finest = parsed.transforms[0]
    return own if finest is None or level == 0 else canonical(own.then(finest), ndim)


def _factor(fine: int, coarse: int) -> float:
    """Return the factor between two lengths: a whole number where rounding up or down explains it."""
    if coarse < 1 or fine < 1:
        return 1.0
    nearest = max(1, round(fine / coarse))
    whole = coarse in (fine // nearest, -(-fine // nearest))
    return float(nearest) if whole else fine / coarse


# -- writing
def dump_attributes(image: ImageInfo, spec_version: str, *, default_source: str | None = None) -> dict[str, Any]:
    """Return the attributes of the group of an image.

    Parameters
    ----------
    image : ImageInfo
        It should have passed `check_image`.
    spec_version : str
        0.4, 0.5 or 0.6.
    default_source : str or None
        For a label image that does not state its source: where it lies, relative to the label.

    Raises
    ------
    UnsupportedError
        If the version cannot hold the transforms.
    """
    original = next((r.metadata for r in image.bag.records if r.format == FORMAT), {})
    ome: dict[str, Any] = {} if spec_version == "0.4" else {"version": spec_version}
    ome["multiscales"] = [_dump_multiscale(image, spec_version, _first(original))]
    omero = dump_omero(image.display, image.levels[0].array.dtype, spec_version)
    if omero is not None:
        ome["omero"] = omero
    known = original.get("ome", original)
    if image.role == "label":
        stated = known.get("image-label") if isinstance(known, dict) else None
        ome["image-label"] = dump_image_label(
            image, spec_version, default_source, stated if isinstance(stated, dict) else {}
        )
    if isinstance(original.get("ome"), dict):
        ome |= {k: v for k, v in original["ome"].items() if k not in _OME}
    extra = {k: v for k, v in json_ready(image.bag.extra).items() if k not in _OME and k != "ome"}
    return ome | extra if spec_version == "0.4" else {"ome": ome} | extra


def _first(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first multiscales object of what was read; empty when nothing was."""
    try:
        return as_mapping(_multiscales(attributes)[0], "multiscales[0]")
    except FormatError:
        return {}


def _dump_multiscale(image: ImageInfo, spec_version: str, original: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"version": "0.4"} if spec_version == "0.4" else {}
    if image.name:
        out["name"] = image.name
    if image.method:
        out["type"] = image.method
        same = original.get("type") == image.method and original.get("metadata") is not None
        out["metadata"] = original["metadata"] if same else {"method": image.method}
    out |= v04.dump_multiscale(image) if spec_version < "0.6" else graph.dump_multiscale(image)
    stated = original.get("datasets", [])
    found = {str(d.get("path")): d for d in stated if isinstance(d, dict)}
    for dataset in out["datasets"]:
        dataset |= {k: v for k, v in found.get(dataset["path"], {}).items() if k not in _DATASET}
    return out | {k: v for k, v in original.items() if k not in _MULTISCALE}
