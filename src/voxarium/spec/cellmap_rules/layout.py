"""The layout of a dataset: rules CM-001 to CM-010. Paths are given, listings made elsewhere."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from voxarium.model.checked_values import NUMBER
from voxarium.model.checking import Sheet, short

__all__ = [
    "CROP", "LEVEL", "Placed", "Stored", "check_container", "check_dataset", "check_em", "check_label", "check_levels",
    "check_meshes", "check_spaces", "check_twins", "is_dataset_name", "placed", "stem",
]  # fmt: skip

LEVEL: Final = re.compile(r"s(0|[1-9][0-9]{0,2})\Z")
"""Names of levels."""
CROP: Final = re.compile(r"crop[0-9]+\Z")
"""Names of crops."""

_DATASET: Final = re.compile(r"[a-z0-9]+_[a-z0-9][a-z0-9-]*\Z")
_EM: Final = re.compile(r"[a-z0-9][A-Za-z0-9_-]*-((?:u?int(?:8|16|32|64))|float(?:16|32|64))\Z")
_SUFFIXES: Final = (".n5", ".zarr")
_MESHES: Final = ("neuroglancer_legacy_mesh", "neuroglancer_multilod_draco")
_OWN: Final = frozenset({"thumbnail.jpg", "neuroglancer"})


@dataclass(frozen=True, slots=True)
class Stored:
    """An array: its shape in C order, and its type."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an image is, as far as it says so: axes and units in C order, and the corners of the voxels' centres."""

    axes: tuple[str, ...]
    units: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def is_dataset_name(name: str) -> bool:
    """Tell whether a name is one of a dataset."""
    return _DATASET.match(name) is not None


def stem(name: str) -> str | None:
    """Return the name of a container without its ending; None for other names.

    Examples
    --------
    >>> stem("jrc_hela-2.n5"), stem("neuroglancer")
    ('jrc_hela-2', None)
    """
    suffix = next((s for s in _SUFFIXES if name.endswith(s) and name != s), None)
    return None if suffix is None else name.removesuffix(suffix)


# --------------------------------------------------------------------------------------------------------- datasets
def check_dataset(sheet: Sheet, name: str, names: Sequence[str]) -> None:
    """Check what is in the folder of a dataset, the key of the sheet; `name` is empty where it is not known."""
    containers = {n: s for n in names if (s := stem(n)) is not None}
    for wrong in sorted({s for s in (name, *containers.values()) if s and not is_dataset_name(s)}):
        sheet.report("CM-001", f"is called {short(wrong)}", "call it institute_specimen, in lower case")
    name = name or next(iter(containers.values()))
    for container, own in containers.items():
        if own != name:
            message = f"has the container {short(container)}, and is called {short(name)}"
            sheet.report("CM-002", message, "call containers like their dataset")
    others = [n for n in names if n not in _OWN and n not in containers and not n.lower().startswith("readme")]
    if others:
        message = f"has {', '.join(sorted(others)[:8])[:200]} beside its containers"
        sheet.report("CM-002", message, "keep what belongs to no published tool elsewhere", said=(None, "quality"))


def check_container(sheet: Sheet, name: str, *, has_thumbnail: bool) -> None:
    """Check a container by its name and what is beside it."""
    if not is_dataset_name(name):
        sheet.report("CM-001", f"is of the dataset {short(name)}", "call it institute_specimen, in lower case")
    if not has_thumbnail:
        sheet.report("CM-002", "has no thumbnail.jpg beside it", "add a picture of the dataset")


def check_twins(sheet: Sheet, images: Mapping[str, Collection[str]]) -> None:
    """Check that containers have the same images, by the name of the container."""
    every = {path for paths in images.values() for path in paths}
    for container, paths in images.items():
        lacking = sorted(every - {*paths})
        if lacking:
            shown = ", ".join(lacking[:8])[:200]
            sheet.report("CM-003", f"has no {shown} in {container}, as in the other container", "convert what lacks")


def check_meshes(sheet: Sheet, name: str, labels: Collection[str], kind: Any) -> None:
    """Check a folder of meshes: its name, and the type in its ``info`` (None: there is none)."""
    if labels and name not in labels:
        message = f"is called {short(name)}, and no label image is"
        sheet.report("CM-007", message, "call it like the label image the meshes are of")
    if kind is not None and kind not in _MESHES:
        sheet.report("CM-007", f"holds {short(kind)}", f"write meshes as {' or '.join(_MESHES)}", pointer="/@type")


# ------------------------------------------------------------------------------------------------------------ images
def check_em(sheet: Sheet, name: str, finest: Stored | None) -> None:
    """Check the name of an image of an electron microscope."""
    match = _EM.match(name)
    if match is None:
        sheet.report("CM-004", f"is called {short(name)}", "call it modality-type, such as fibsem-uint8")
    elif finest is not None and finest.dtype.name != match[1]:
        message = f"is called {short(name)}, and has the type {finest.dtype.name}"
        sheet.report("CM-004", message, "name the type it has")


def check_label(sheet: Sheet, name: str, finest: Stored | None, beside: Collection[str]) -> None:
    """Check the name of a label image or prediction; `beside` are the names of others in its folder."""
    if name.endswith("_seg"):
        if finest is not None and finest.dtype.kind not in "iu":
            message = f"is a segmentation of the type {finest.dtype.name}"
            sheet.report("CM-006", message, "store labels as integers")
        twin = name.removesuffix("_seg") + "_pred"
        if twin not in beside:
            sheet.report("CM-006", f"has no {twin} beside it", "add the prediction", said=(None, "quality"))
    elif not name.endswith("_pred"):
        fix = "call it name_seg, or name_pred for a prediction"
        sheet.report("CM-006", f"is called {short(name)}", fix, said=(None, "quality"))


def check_levels(sheet: Sheet, folders: Sequence[str], levels: Mapping[str, Stored]) -> None:
    """Check the levels of an image.

    Parameters
    ----------
    folders : sequence of str
        All folders in that of the image.
    levels : mapping of str to Stored
        Arrays among them that could be opened.
    """
    numbers = sorted(int(m[1]) for f in folders if (m := LEVEL.match(f)))
    if numbers != list(range(len(numbers))) or not numbers:
        shown = ", ".join(f"s{n}" for n in numbers[:8]) or "none"
        sheet.report("CM-009", f"has the levels {shown}", "call them s0, s1 and so on, without a gap")
    known = [(f"s{n}", levels[f"s{n}"]) for n in numbers if f"s{n}" in levels]
    for (finer, a), (coarser, b) in pairwise(known):
        if len(a.shape) != len(b.shape):
            message = f"has {len(b.shape)} dimensions in {coarser}, {len(a.shape)} in {finer}"
            sheet.report("CM-009", message, "write all levels with as many")
        elif any(m > n for m, n in zip(b.shape, a.shape, strict=True)):
            message = f"has {list(b.shape)} voxels in {coarser}, {list(a.shape)} in {finer}"
            sheet.report("CM-009", message, "name the largest level s0, and the next s1")
        if a.dtype != b.dtype:
            message = f"has the type {b.dtype.name} in {coarser}, {a.dtype.name} in {finer}"
            sheet.report("CM-009", message, "write all levels with one type")


# ------------------------------------------------------------------------------------------------------------- space
def placed(attributes: Any, array: Any, shape: Sequence[int]) -> Placed | None:  # Any: JSON as found
    """Return where an image is by the attributes of its group and of s0; None where they do not say."""
    stated = array.get("transform") if isinstance(array, dict) else None
    if isinstance(stated, dict):
        step = -1 if stated.get("order") == "F" else 1
        return _placed(*(stated.get(k) for k in ("axes", "units", "scale", "translate")), shape=shape, step=step)
    try:
        image = attributes["multiscales"][0]
        axes, dataset = image["axes"], image["datasets"][0]["coordinateTransformations"]
        names, units = [a["name"] for a in axes], [a.get("unit", "") for a in axes]
        scale = dataset[0]["scale"]
        translate = dataset[1]["translation"] if len(dataset) > 1 else [0] * len(scale)
    except (LookupError, TypeError, AttributeError):
        return None
    return _placed(names, units, scale, translate, shape=shape)


def _placed(axes: Any, units: Any, scale: Any, translate: Any, *, shape: Sequence[int], step: int = 1) -> Placed | None:
    lists = (axes, units, scale, translate)
    if not all(isinstance(v, list) and len(v) == len(shape) for v in lists):
        return None
    named = all(isinstance(v, str) for v in (*axes, *units))
    if not named or not all(NUMBER.holds(v) and abs(v) < 1e100 for v in (*scale, *translate)):
        return None
    low = tuple(float(v) for v in translate)[::step]
    size = tuple(float(v) for v in scale)[::step]
    high = tuple(t + s * max(0, min(n, 2**62) - 1) for t, s, n in zip(low, size, shape, strict=True))
    return Placed(tuple(axes)[::step], tuple(units)[::step], low, high)


def check_spaces(sheets: Mapping[str, Sheet], places: Mapping[str, Placed]) -> None:
    """Check that images, by their path, share axes and units, and overlap the first."""
    first, rest = next(iter(places.items()), None), list(places.items())[1:]
    if first is None:
        return
    name, whole = first
    for path, place in rest:
        if (place.axes, place.units) != (whole.axes, whole.units):
            message = f"is in {_text(place)}, and {name} in {_text(whole)}"
            sheets[path].report("CM-008", message, "give all images of a dataset the same axes and units")
        elif any(math.isfinite(a) and (a > d or b < c) for a, b, c, d in _ends(place, whole)):
            message = f"does not overlap {name}"
            sheets[path].report("CM-008", message, "correct the translation of s0", said=(None, "should"))


def _ends(a: Placed, b: Placed) -> list[tuple[float, float, float, float]]:
    return list(zip(a.low, a.high, b.low, b.high, strict=True))


def _text(place: Placed) -> str:
    return ", ".join(f"{a} ({u})" for a, u in zip(place.axes, place.units, strict=True))[:120]
