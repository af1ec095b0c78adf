"""Where levels lie: scales against shapes, and the shift that averaging makes. Rules MS-013 and MS-014."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxarium.model.checked_values import NUMBERS
from voxarium.model.checking import Place
from voxarium.model.edits import Edit

__all__ = ["check_spacing"]

# Methods whose voxels are as far around their own centre as the voxels they were made of, and those that take the
# first of them. Names are those of the specification's examples and of writers seen.
_CENTRED: Final = (
    "mean",
    "average",
    "median",
    "mode",
    "local_mean",
    "gaussian",
    "itk_bin_shrink",
    "binning",
    "min",
    "max",
)
_STRIDED: Final = ("stride", "strided", "decimate", "decimation", "subsample", "subsampling", "sampling")
_CLOSE: Final = 1e-3  # of a voxel of level 0
_MAX_AXES: Final = 64


@dataclass(frozen=True, slots=True)
class _Spacing:
    """Scale and translation of a level, and where they stand."""

    item: Place
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    shift_place: Place | None


def check_spacing(image: Place, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check where levels say they lie against shapes of their arrays, by path, and how they say they were made."""
    spacings = [(d, _spacing(d)) for d in image["datasets"].items()]
    if not spacings or (first := spacings[0][1]) is None:
        return
    for dataset, spacing in spacings[1:]:
        if spacing is None or len(spacing.scale) != len(first.scale):
            continue
        factors = [b / a for a, b in zip(first.scale, spacing.scale, strict=True)]
        sizes = [shapes.get(d.text("path") or "") for d in (spacings[0][0], dataset)]
        if sizes[0] is not None and sizes[1] is not None and len(sizes[0]) == len(sizes[1]) == len(factors):
            _check_ratio(spacing, factors, sizes[0], sizes[1])
        _check_shift(image, spacing, first, factors)


def _spacing(dataset: Place) -> _Spacing | None:
    """Return what a level's transformations say; None where they break the rules, which is reported elsewhere."""
    listed = dataset["coordinateTransformations"]
    if dataset.version < "0.6":
        items = listed.items()
    else:
        item = listed[0]
        items = item["transformations"].items() if item.text("type") == "sequence" else [item]
    kinds = [item.text("type") for item in items]
    if kinds not in (["scale"], ["scale", "translation"]):
        return None
    scale = _numbers(items[0]["scale"].value)
    if scale is None or not all(v > 0 for v in scale):
        return None
    if len(items) == 1:
        return _Spacing(items[0], scale, (0.0,) * len(scale), None)
    shift = _numbers(items[1]["translation"].value)
    return None if shift is None or len(shift) != len(scale) else _Spacing(items[0], scale, shift, items[1])


def _numbers(value: Any) -> tuple[float, ...] | None:  # Any: JSON
    if not NUMBERS.holds(value) or not 0 < len(value) <= _MAX_AXES:
        return None
    try:
        found = tuple(map(float, value))
    except OverflowError:
        return None
    return found if all(1e-300 < abs(v) < 1e300 or v == 0 for v in found) else None


def _check_ratio(spacing: _Spacing, factors: list[float], finest: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Report a scale that makes a level longer or shorter than level 0 by a voxel of its own, or more."""
    for i, (factor, most, count) in enumerate(zip(factors, finest, shape, strict=True)):
        if most and count and abs(count * factor - most) >= max(factor, 1) * (1 - 1e-9):
            message = f"{count} voxels of {factor:g} each, along axis {i}, stand for {most}"
            spacing.item.report(
                "MS-014", message, f"make the scale {most / count:g} times that of level 0, or what was meant"
            )
            return


def _check_shift(image: Place, spacing: _Spacing, first: _Spacing, factors: list[float]) -> None:
    """Report a level that does not lie where its method puts it."""
    method = (image.text("type") or "").lower()
    units = [(b - a) / s for a, b, s in zip(first.shift, spacing.shift, first.scale, strict=True)]
    centred = [(f - 1) / 2 for f in factors]
    fits = {
        "centred": all(math.isclose(u, c, rel_tol=1e-6, abs_tol=_CLOSE) for u, c in zip(units, centred, strict=True)),
        "strided": all(abs(u) <= _CLOSE for u in units),
    }
    kind = "centred" if method in _CENTRED else "strided" if method in _STRIDED else ""
    if (kind and fits[kind]) or (not kind and fits["centred"]):
        return
    place = spacing.shift_place or spacing.item
    if kind:
        wanted = [a + c * s for a, c, s in zip(first.shift, centred, first.scale, strict=True)]
        expected = wanted if kind == "centred" else list(first.shift)
        message = f"does not lie where {method[:20]!r} puts it: moved by {_shown(units)} voxels of level 0"
        fix = f"translate it by {_shown(expected)}"
        place.report("MS-013", message, fix, expected=expected, repair=(_repair(spacing, expected),))
    elif fits["strided"]:
        message = "begins where level 0 does, which is right only if every n-th voxel was taken"
        place.report("MS-013", message, "say so as type 'stride', or translate it by half of what it grew by")
    else:
        message = f"is moved by {_shown(units)} voxels of level 0, which no usual way to make levels does"
        place.report("MS-013", message, f"a mean moves it by {_shown(centred)}")


def _shown(values: list[float]) -> str:
    return ", ".join(f"{v:g}" for v in values)


def _repair(spacing: _Spacing, shift: list[float]) -> Edit:
    """Return the edit that gives a level its translation."""
    numbers = [int(v) if v.is_integer() and abs(v) < 2**53 else v for v in shift]
    if spacing.shift_place is not None:
        return spacing.shift_place["translation"].put(numbers)
    translation = {"type": "translation", "translation": numbers}
    if spacing.item.version < "0.6":
        listed = spacing.item.pointer.rpartition("/")[0]
        return Edit(key=spacing.item.sheet.key, pointer=f"{listed}/-", value=translation)
    if spacing.item.pointer.rsplit("/", 2)[-2] == "transformations":  # a sequence of a scale alone
        return Edit(
            key=spacing.item.sheet.key, pointer=f"{spacing.item.pointer.rpartition('/')[0]}/-", value=translation
        )
    ends = {k: v for k, v in spacing.item.value.items() if k not in ("type", "scale")}
    scale = {"type": "scale", "scale": spacing.item.value["scale"]}
    return spacing.item.put({"type": "sequence", "transformations": [scale, translation]} | ends)
