"""Images inside images: what a label image takes from the image around it, unless the user says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from voxarium.conversion.options import ConvertOptions
from voxarium.conversion.plan import Plan
from voxarium.conversion.planning import plan
from voxarium.conversion.target import Target
from voxarium.core.image import Image
from voxarium.core.opening import open_image
from voxarium.core.registry import writable_image_driver
from voxarium.errors import VoxariumError
from voxarium.pyramid import level_shape

__all__ = ["plan_inside"]


def plan_inside(source: Image, options: ConvertOptions, target: Target, *, target_name: str) -> Plan:
    """Lay out a conversion into a place that may be inside an image: both then agree in version and levels.

    Raises
    ------
    InputError
        As `plan`.
    """
    around = _image_around(target, options.format)
    if around is None:
        return plan(source, options, target_name=target_name)
    if options.spec_version is None:
        options = replace(options, spec_version=_version(around, options.format))
    steps = None
    count = len(around.levels)
    if (options.role or source.info.role) == "label":
        if options.factors is None and options.levels in (None, count):
            steps = _steps(source, options, around)
        if options.levels is None:
            options = replace(options, levels=count)
    laid_out = plan(source, options, target_name=target_name, steps=steps)
    return replace(laid_out, notes=(*laid_out.notes, *_remarks(laid_out, count)))


def _image_around(target: Target, format: str) -> Image | None:
    """Return the nearest image that the target lies in; None when there is none."""
    path = target.path
    while path:
        path = path.rpartition("/")[0]
        try:
            return open_image(target.hierarchy, path, format=format)
        except VoxariumError:
            continue
    return None


def _version(around: Image, format: str) -> str | None:
    version = around.info.spec_version
    return version if version in writable_image_driver(format).spec_versions else None


def _steps(source: Image, options: ConvertOptions, around: Image) -> tuple[tuple[int, ...], ...] | None:
    """Return the factors of the steps of the image around, in the axis order of the source; None when they do not fit.

    They fit images on the same grid; what is smaller or larger gets levels by its own voxel size.
    """
    names = options.axes or tuple(a.name for a in source.axes)
    shape = options.crop.shape if options.crop is not None else source.shape
    extent = {axis.name: i for i, axis in enumerate(around.axes)}
    space = {axis.name for axis in around.axes if axis.type == "space"}
    if len(names) != len(shape) or not space <= set(names) or 0 in shape:
        return None
    if any(around.shape[extent[name]] != n for name, n in zip(names, shape, strict=True) if name in space):
        return None
    found = []
    for number in range(1, len(around.levels)):
        step = _step(around, number)
        if step is None or level_shape(around.arrays[number - 1].shape, step) != around.arrays[number].shape:
            return None
        found.append(tuple(step[extent[name]] if name in space else 1 for name in names))
    return tuple(found)


def _step(image: Image, number: int) -> tuple[int, ...] | None:
    """Return the factors that lead to a level, in the axis order of the image; None when it tells no such."""
    try:
        fine, coarse = (image.scale_translation(n)[0] for n in (number - 1, number))
        return tuple(max(round(abs(c / f)), 1) for f, c in zip(fine, coarse, strict=True))
    except (VoxariumError, ArithmeticError, ValueError):  # turned, or scaled by 0 or by what is no number
        return None


def _remarks(laid_out: Plan, count: int) -> Iterator[str]:
    if laid_out.image.role == "label" and len(laid_out.levels) != count:
        yield f"{len(laid_out.levels)} levels are written, but the image around has {count}: they should be as many"
