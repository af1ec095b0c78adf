"""What a target cannot hold, found before anything is written: units are converted, positions moved only if told to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, get_args

import numpy as np

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.abilities import Holds, Loss, LossKind
from voxarium.model.axes import SPACE_UNITS, Axis, canonical_unit, unit_factor
from voxarium.model.image import ImageInfo, TransformEdge, Value
from voxarium.model.transforms import scale_translation

__all__ = ["check_dtype", "find_losses", "fitting_units", "reader_warnings", "refuse_losses", "snapped"]

_TOLERANCE: Final = 1e-6  # of a voxel; what rounding of decimal voxel sizes leaves behind
_USUAL_UNITS: Final = ("nanometer", "micrometer", "millimeter")

Geometry = tuple[tuple[float, ...], tuple[float, ...]]


def check_dtype(dtype: np.dtype[np.generic], holds: Holds, format: str) -> None:
    """Raise UnsupportedError, naming a type that would do, when a convention does not store a type."""
    if dtype.name in holds.dtypes:
        return
    # numpy calls int64 → float64 safe, which rounds what is above 2**53.
    wider = [
        d
        for d in map(np.dtype, holds.dtypes)
        if np.can_cast(dtype, d, "safe") and not (dtype.kind in "iu" and dtype.itemsize == 8 and d.kind == "f")
    ]
    if wider:
        best = min(wider, key=lambda d: (d.itemsize, d.kind != dtype.kind, d.name))
        fix = f"add --dtype {best.name}, which holds every value"
    else:
        known = [np.dtype(n) for n in holds.dtypes]
        whole = dtype.kind in "iu"
        near = min(
            known,
            key=lambda d: (d.kind != dtype.kind, whole != (d.kind in "iu"), abs(d.itemsize - 4), d.name),
        )
        fix = f"add --dtype {near.name}: values that fit are kept, others are an error, or clipped with --lossy"
    raise UnsupportedError(f"{format} does not store {dtype.name}", code=Code.DTYPE_UNSUPPORTED, fix=fix)


def fitting_units(axes: tuple[Axis, ...], base: Geometry, holds: Holds) -> tuple[tuple[Axis, ...], Geometry]:
    """Convert lengths to a unit the convention can name; return axes and (scale, translation)."""
    if not holds.units:  # any, or none at all
        return axes, base
    usual = next((u for u in _USUAL_UNITS if u in holds.units), min(holds.units))
    scale, translation, fitted = list(base[0]), list(base[1]), list(axes)
    for i, axis in enumerate(axes):
        unit = None if axis.unit is None else canonical_unit(axis.unit)
        if axis.type != "space" or unit is None or unit in holds.units or unit not in SPACE_UNITS:
            continue
        factor = unit_factor(unit, usual)
        scale[i] = float(f"{scale[i] * factor:.15g}")
        translation[i] = float(f"{translation[i] * factor:.15g}")
        fitted[i] = replace(axis, unit=usual)
    return tuple(fitted), (tuple(scale), tuple(translation))


def snapped(
    axes: tuple[Axis, ...], scale: tuple[float, ...], translation: tuple[float, ...], holds: Holds
) -> tuple[float, ...]:
    """Return the nearest translation the convention can express. Channels and times have no corner: they stay."""
    if holds.translation == "any":
        return translation
    if holds.translation == "none":
        return (0.0,) * len(translation)
    out = []
    for axis, s, t in zip(axes, scale, translation, strict=True):
        exact = (round(t / s - 0.5) + 0.5) * s
        keep = axis.type != "space" or abs(t - exact) <= _TOLERANCE * abs(s)
        out.append(t if keep else exact)
    return tuple(out)


def find_losses(
    source: ImageInfo,
    wanted: Iterable[Geometry],
    target: ImageInfo,
    holds: Holds,
    *,
    left: tuple[TransformEdge, ...] = (),
    turned: bool = False,
    told: tuple[str, ...] = (),
) -> tuple[Loss, ...]:
    """Return what of an image will be gone.

    Parameters
    ----------
    source : ImageInfo
        What is converted.
    wanted : iterable of (scale, translation)
        Where the levels ought to be, in the target's axes and units.
    target : ImageInfo
        What will be written, its levels already where the convention can put them.
    holds : Holds
        What the convention can express.
    left : tuple of TransformEdge
        Transforms between coordinate systems that the target will not have.
    turned : bool
        True when the source is rotated or sheared, and the target will not be.
    told : tuple of str
        What addresses tell: the names of source and target.
    """
    found: list[Loss] = []

    def lose(kind: LossKind, message: str, fix: str = "write a format that holds it") -> None:
        found.append(Loss(kind=kind, message=message, fix=fix))

    _lose_place(wanted, target, lose)
    if holds.units is not None:
        units = sorted({a.unit for a in target.axes if a.type == "space" and a.unit is not None} - holds.units)
        if units:
            lose("units", f"the unit {', '.join(units)} of the voxel size")
    _lose_transforms(target, left, turned, lose)
    suffix = holds.role_suffixes.get(target.role)
    by_name = suffix is not None and any(name.endswith(suffix) for name in (target.name, *told))
    if target.role != "intensity" and target.role not in holds.roles and not by_name:
        mend = "readers have to be told with --role" if suffix is None else f"let the target's name end with {suffix}"
        lose("role", f"that the voxels are a {target.role} image", mend)
    if source.name and source.name not in told and not holds.name:
        lose("name", f"the name {source.name!r}", "give the target this name")
    _lose_display(target, holds, lose)
    if source.value != Value() and not holds.value:
        lose(
            "value",
            f"the real values: raw × {source.value.slope:g} + {source.value.intercept:g} {source.value.unit or ''}",
        )
    if any(axis.labels for axis in source.axes) and not holds.metadata:
        lose("metadata", "labels of indices along axes")
    if source.bag.extra and not holds.metadata:
        keys = sorted(source.bag.extra)
        lose("metadata", f"further metadata: {', '.join(keys[:5])}{' …' if len(keys) > 5 else ''}")
    return tuple(found)


def _lose_place(wanted: Iterable[Geometry], target: ImageInfo, lose: Callable[..., None]) -> None:
    for level, (scale, translation) in zip(target.levels, wanted, strict=True):
        placed = scale_translation(level.transform, len(target.axes))
        if placed is None:
            continue
        shift = [(b - a) / s for a, b, s in zip(translation, placed[1], scale, strict=True)]
        if max(map(abs, shift), default=0) <= _TOLERANCE:
            continue
        space = [i for i, a in enumerate(target.axes) if a.type == "space"]
        text = ", ".join(f"{target.axes[i].name} {shift[i]:+.3g}" for i in space)
        first = ",".join(f"{placed[1][i]:g}" for i in space) if level is target.levels[0] else ""
        lose(
            "translation",
            f"the position of level {level.path}: it moves by {text} of its voxels",
            f"say where the first voxel's centre lies with --translation {first}" if first else "write fewer --levels",
        )
        return  # the coarser levels follow


def _lose_transforms(
    target: ImageInfo, left: tuple[TransformEdge, ...], turned: bool, lose: Callable[..., None]
) -> None:
    if turned:
        _lose_rotation(target, lose)
    if left:
        between = ", ".join(f"{e.source} → {e.target}" for e in left[:3])
        lose("transforms", f"{len(left)} transform(s) between coordinate systems ({between})")


def _lose_rotation(target: ImageInfo, lose: Callable[..., None]) -> None:
    placed = scale_translation(target.levels[0].transform, len(target.axes))
    space = [i for i, a in enumerate(target.axes) if a.type == "space"]
    text = ""
    if placed is not None:
        sizes, first = (", ".join(f"{target.axes[i].name} {n[i]:.6g}" for i in space) for n in placed)
        text = f": voxels of {sizes} are written along the axes, the centre of the first at {first}"
    lose(
        "transforms",
        f"the rotation or shear of the image{text}",
        "write a format or version that holds affine transforms, or place the image anew with --voxel-size",
    )


def _lose_display(target: ImageInfo, holds: Holds, lose: Callable[..., None]) -> None:
    display = target.display
    if any(c.window is not None for c in display.channels) and not holds.windows:
        lose("windows", "the shown range of channels")
    if any(c.color is not None or c.label is not None for c in display.channels) and not holds.colors:
        lose("colors", "names and colours of channels")
    if display.label_colors and not holds.label_colors:
        lose("label_colors", f"colours of {len(display.label_colors)} labels")
    if display.label_properties and not holds.label_properties:
        lose("label_properties", f"properties of {len(display.label_properties)} labels")


def refuse_losses(losses: tuple[Loss, ...], accepted: tuple[str, ...], format: str) -> None:
    """Raise UnsupportedError when something would be lost that the user did not accept.

    Raises
    ------
    InputError
        If a name of what is accepted means nothing.
    """
    known = set(get_args(LossKind)) | {"all"}
    strange = sorted(set(accepted) - known)
    if strange:
        raise InputError(
            f"no loss is called {', '.join(strange)}",
            code=Code.ARGUMENT_INVALID,
            fix=f"use {', '.join(sorted(known))}",
        )
    left = [loss for loss in losses if "all" not in accepted and loss.kind not in accepted]
    if not left:
        return
    kinds = ",".join(dict.fromkeys(loss.kind for loss in left))
    raise UnsupportedError(
        f"{format} cannot hold everything: " + "; ".join(loss.message for loss in left),
        code=Code.LOSS_DECLARED,
        fix=f"{'; '.join(dict.fromkeys(loss.fix for loss in left))}; or accept the loss with --accept-loss {kinds}",
    )


def reader_warnings(dtype: str, role: str, holds: Holds) -> tuple[str, ...]:
    """Return what common readers will not show of an image of a type and role."""
    limits = [limit for limit in holds.reader_limits if limit.concerns(dtype, role)]
    return tuple(f"{limit.reader}: {limit.message}; {limit.fix}" for limit in limits)
