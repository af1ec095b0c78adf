"""CellMap's ground truth: ``cellmap.annotation`` of crops, of classes in them, and of their arrays. No I/O.

A crop is a group that lists classes; a class is a multiscale label image of one kind of object. ``annotation_type``
says what values mean: semantic (unknown, absent, present) or instance (unknown, absent; all others are objects).
``complement_counts`` of an array counts the voxels that are *not* the object. Rule ids (``A4``) are those of the
conventions' rule table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError
from voxarium.model.image import ImageInfo
from voxarium.model.stated_images import malformed

__all__ = [
    "FORMAT",
    "INSTANCE",
    "SEMANTIC",
    "VERSION",
    "AnnotationType",
    "ArrayAnnotation",
    "CropAnnotation",
    "annotation_of",
    "array_findings",
    "class_findings",
    "count_complement",
    "count_findings",
    "crop_findings",
    "dump_array",
    "dump_class",
    "dump_crop",
    "parse_array",
    "parse_crop",
    "type_for",
    "with_annotation",
]

FORMAT: Final = "cellmap-annotation"
VERSION: Final = "0.1.1"
SEMANTIC: Final = "semantic_segmentation"
INSTANCE: Final = "instance_segmentation"
_NAMESPACE: Final = ("cellmap", "annotation")
_ENCODED: Final = {SEMANTIC: ("unknown", "absent", "present"), INSTANCE: ("unknown", "absent")}
_MAX_NAMES: Final = 10_000

Kind = Literal["semantic_segmentation", "instance_segmentation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationType:
    """What values of an array mean: `encoding` gives the value of unknown, absent and (semantic only) present."""

    kind: Kind
    encoding: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayAnnotation:
    """Annotation of a class, or of one of its arrays; only those count voxels."""

    class_name: str
    type: AnnotationType
    complement_counts: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CropAnnotation:
    """Annotation of a crop; `original` holds all its keys."""

    name: str | None
    class_names: tuple[str, ...]
    original: Mapping[str, Any]  # Any: JSON as found


# ------------------------------------------------------------------------------------------------------ reading
def annotation_of(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return ``cellmap.annotation`` of attributes; None when there is none."""
    found: Any = attributes
    for key in _NAMESPACE:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def parse_array(found: Mapping[str, Any], where: str) -> ArrayAnnotation | None:
    """Return the annotation of a class or an array; None when it is that of a crop.

    Raises
    ------
    FormatError
        If it is neither.
    """
    name = found.get("class_name")
    if name is None and "class_names" in found:
        return None
    if not isinstance(name, str) or not name:
        malformed(f"{where}: class_name", "is no text", "name the class that is annotated")
    counts = found.get("complement_counts")
    if counts is not None:
        counts = _integers(counts, f"{where}: complement_counts", 0)
    return ArrayAnnotation(
        class_name=name, type=_parse_type(found.get("annotation_type"), where), complement_counts=counts
    )


def _integers(found: Any, where: str, low: int) -> dict[str, int]:
    sound = isinstance(found, Mapping) and len(found) <= 16
    if not sound or not all(type(v) is int and low <= v < 2**64 for v in found.values()):
        malformed(where, "is no object of whole numbers", "give one whole number per key")
    return {str(k): v for k, v in found.items()}


def _parse_type(found: Any, where: str) -> AnnotationType:
    kind = found.get("type") if isinstance(found, Mapping) else None
    if kind not in (SEMANTIC, INSTANCE):
        malformed(f"{where}: annotation_type", f"has the type {str(kind)[:40]!r}", f"use {SEMANTIC} or {INSTANCE}")
    encoding = _integers(found.get("encoding"), f"{where}: annotation_type.encoding", -(2**63))
    extra = sorted(encoding.keys() - {*_ENCODED[kind]})
    if extra:  # A5
        malformed(
            f"{where}: annotation_type.encoding",
            f"has {', '.join(extra)[:60]}",
            f"{kind} encodes {', '.join(_ENCODED[kind])} only",
        )
    return AnnotationType(kind=kind, encoding=encoding)


def parse_crop(found: Mapping[str, Any], where: str) -> CropAnnotation:
    """Return the annotation of a crop.

    Raises
    ------
    FormatError
        If it is none.
    """
    names = found.get("class_names")
    if not isinstance(names, list) or len(names) > _MAX_NAMES or not all(isinstance(n, str) and n for n in names):
        malformed(f"{where}: class_names", "is no list of names", "list the classes of the crop")
    name = found.get("name")
    return CropAnnotation(name=name if isinstance(name, str) else None, class_names=tuple(names), original=dict(found))


# ------------------------------------------------------------------------------------------------------- checking
def crop_findings(crop: CropAnnotation, members: Collection[str]) -> tuple[str, ...]:
    """Return what is wrong with a crop whose group has these members; further ones are allowed."""
    out = []
    if crop.original.get("version") != VERSION:
        out.append(f"version is {str(crop.original.get('version'))[:20]!r}, not {VERSION}")
    absent = [n for n in crop.class_names if n not in members]
    if absent:
        out.append(f"A1: the crop lists {', '.join(absent)}, which it does not have")
    return tuple(out)


def class_findings(annotation: ArrayAnnotation, group: str, levels: Mapping[str, ArrayAnnotation]) -> tuple[str, ...]:
    """Return what is wrong with a class in a group of a name, empty when not known, and with its arrays."""
    out = []
    if group and annotation.class_name != group:
        out.append(f"A2: the group {group!r} is annotated as {annotation.class_name!r}")
    for path, level in levels.items():
        if level.class_name != annotation.class_name or level.type != annotation.type:
            out.append(f"A2: the array {path!r} is annotated as another class or type than its group")
        out += [f"{text} in {path!r}" for text in array_findings(level)]
    return tuple(out)


def array_findings(annotation: ArrayAnnotation) -> tuple[str, ...]:
    """Return what is wrong with an array's annotation by itself."""
    counts = annotation.complement_counts or {}
    extra = sorted(counts.keys() - annotation.type.encoding.keys())
    out = [f"A3: {', '.join(extra)} are counted and not encoded"] if extra else []
    if "present" in counts:
        out.append("A3: complement_counts counts present, which is no complement")
    return tuple(out)


def count_complement(chunks: Iterable[NDArray[Any]], type: AnnotationType) -> tuple[dict[str, int], frozenset[int]]:
    """Return the voxels of unknown and absent, and values that the encoding does not have.

    Parameters
    ----------
    chunks : iterable of ndarray
        All voxels of an array, in any pieces.
    type : AnnotationType
        What values mean. All values of instances are objects, so nothing is foreign there.

    Examples
    --------
    >>> kind = AnnotationType(kind="semantic_segmentation", encoding={"absent": 0, "present": 1})
    >>> count_complement([np.array([0, 0, 1]), np.array([7])], kind)
    ({'absent': 2}, frozenset({7}))
    """
    wanted = {name: value for name, value in type.encoding.items() if name != "present"}
    counts = dict.fromkeys(wanted, 0)
    foreign: set[int] = set()
    for chunk in chunks:
        values, numbers = np.unique(chunk, return_counts=True)
        found = dict(zip(values.tolist(), numbers.tolist(), strict=True))
        for name, value in wanted.items():
            counts[name] += found.get(value, 0)
        if type.kind == SEMANTIC:
            foreign |= found.keys() - {*type.encoding.values()}
    return counts, frozenset(foreign)


def count_findings(annotation: ArrayAnnotation, chunks: Iterable[NDArray[Any]]) -> tuple[str, ...]:
    """Return where the voxels of an array contradict its annotation (rules A4 and A6).

    Examples
    --------
    >>> kind = AnnotationType(kind="semantic_segmentation", encoding={"absent": 0, "present": 1})
    >>> stated = ArrayAnnotation(class_name="mito", type=kind, complement_counts={"absent": 3})
    >>> count_findings(stated, [np.array([0, 0, 1, 1])])
    ('A4: 3 voxels are stated as absent, 2 are',)
    """
    counts, foreign = count_complement(chunks, annotation.type)
    stated = annotation.complement_counts or {}
    out = [
        f"A4: {number} voxels are stated as {name}, {counts[name]} are"
        for name, number in stated.items()
        if name in counts and counts[name] != number
    ]
    if foreign:
        shown = ", ".join(map(str, sorted(foreign)[:8]))
        out.append(f"A6: {len(foreign)} values are not encoded, such as {shown}")
    return tuple(out)


# -------------------------------------------------------------------------------------------------------- writing
def type_for(image: ImageInfo, stated: ArrayAnnotation | None) -> AnnotationType:
    """Return the type an image is written with: what was read, else what its categories say, else instances.

    Raises
    ------
    InputError
        If the image is not one of labels.
    """
    if image.role != "label" or image.levels[0].array.dtype.kind not in "iu":
        raise InputError(
            f"annotations are labels; this image has the role {image.role} and type {image.levels[0].array.dtype}",
            code=Code.ARGUMENT_INVALID,
            fix="give --role label, and convert to an integer type",
        )
    if stated is not None:
        return stated.type
    named = {name: value for value, name in image.value.categories.items()}
    if named.keys() <= {*_ENCODED[SEMANTIC]} and "present" in named:
        return AnnotationType(kind=SEMANTIC, encoding=named)
    return AnnotationType(kind=INSTANCE, encoding={"absent": 0})


def with_annotation(attributes: Mapping[str, Any], annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes with an annotation; other keys of ``cellmap`` are kept."""
    outer, inner = _NAMESPACE
    present = attributes.get(outer)
    kept = {k: v for k, v in present.items() if k != inner} if isinstance(present, Mapping) else {}
    return {**attributes, outer: {**kept, inner: dict(annotation)}}


def _dump_type(type: AnnotationType) -> dict[str, Any]:
    return {"type": type.kind, "encoding": dict(type.encoding)}


def dump_class(name: str, type: AnnotationType) -> dict[str, Any]:
    """Return the annotation of a class."""
    return {"class_name": name, "annotation_type": _dump_type(type)}


def dump_array(name: str, type: AnnotationType, counts: Mapping[str, int] | None) -> dict[str, Any]:
    """Return the annotation of an array; counts are null where nobody has counted."""
    own = None if counts is None else dict(counts)
    return {"class_name": name, "complement_counts": own, "annotation_type": _dump_type(type)}


def dump_crop(name: str, class_name: str, present: CropAnnotation | None) -> dict[str, Any]:
    """Return the annotation of a crop that has a class too."""
    if present is not None:
        names = [*present.class_names, *({class_name} - {*present.class_names})]
        return {**present.original, "class_names": names}
    return {
        "version": VERSION,
        "name": name or None,
        "description": None,
        "created_by": [],
        "created_with": [],
        "start_date": None,
        "end_date": None,
        "duration_days": None,
        "protocol_uri": None,
        "class_names": [class_name],
    }
