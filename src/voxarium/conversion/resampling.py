"""`resample`: an image on another grid, written by the same engine as any conversion."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from voxarium.conversion.engine import Progress
from voxarium.conversion.options import DEFAULT_FORMAT, as_choices, described_axes, per_space_axis
from voxarium.conversion.running import Report, convert
from voxarium.conversion.sources import open_source
from voxarium.conversion.target import check_apart, open_target
from voxarium.core.image import Image
from voxarium.core.resampling import ResampleOptions, resampled
from voxarium.core.resampling.grid import space_axes
from voxarium.core.resampling.view import like_image
from voxarium.errors import Code, InputError
from voxarium.model.transforms import Scale, Sequence, Translation, scale_translation

__all__ = ["Resampling", "described", "resample", "resampling_for"]

_MEANING = ("axes", "unit", "role", "source_voxel_size", "source_translation")
_SHARED = ("fill_value", "memory")


@dataclass(frozen=True, slots=True)
class Resampling:
    """What `convert` takes: the resampled image, and its own choices. `like` is the image whose grid is used."""

    image: Image
    choices: dict[str, Any]  # Any: the types of ConvertOptions' fields
    like: Image | None


def resampling_for(source: Image, choices: dict[str, Any]) -> Resampling:
    """Return the image that `resample` would write for these choices, and what it would tell `convert`.

    Raises
    ------
    InputError
        If there is no such choice, or one does not fit.
    """
    given = {k: v for k, v in choices.items() if v is not None}
    own = {f.name for f in fields(ResampleOptions)}
    rest = {k: v for k, v in given.items() if k not in {*own, *_MEANING} or k in _SHARED}
    as_choices(rest)  # refuses unknown names
    image = described(source, **{k: v for k, v in given.items() if k in _MEANING})
    wanted = {k: v for k, v in given.items() if k in own}
    like = None
    if "like" in wanted:
        like, level = like_image(wanted["like"])
        wanted["like"] = _only_level(like, level)
    if isinstance(wanted.get("box"), tuple):
        wanted["box"] = _named_box(image, wanted["box"])
    return Resampling(resampled(image, ResampleOptions(**wanted)), rest, like)


def _named_box(image: Image, box: tuple[tuple[float, float] | None, ...]) -> dict[str, tuple[float, float]]:
    """Return a box by the names of the space axes, given one pair for each in order."""
    names = [image.axes[i].name for i in space_axes(image)]
    if len(box) != len(names):
        raise InputError(
            f"the box has {len(box)} ranges for {len(names)} space axes",
            code=Code.AXES_MISMATCH,
            fix=f"give start:stop for {','.join(names)}",
        )
    return {name: pair for name, pair in zip(names, box, strict=True) if pair is not None}


def _only_level(image: Image, level: int) -> Image:
    """Return an image of one of the levels of another."""
    image.level(level)
    return Image(image.store, image.path, replace(image.info, levels=(image.levels[level],)), (image.arrays[level],))


def described(
    source: Image,
    *,
    axes: str | tuple[str, ...] | None = None,
    unit: str | None = None,
    role: str | None = None,
    source_voxel_size: float | tuple[float, ...] | None = None,
    source_translation: float | tuple[float, ...] | None = None,
) -> Image:
    """Return an image with what its file does not say about it.

    Parameters
    ----------
    axes, unit, role
        As in `ConvertOptions`.
    source_voxel_size, source_translation : float or tuple of float
        Per space axis, of level 0; the other levels keep their place relative to it.

    Raises
    ------
    InputError
        If something does not fit.
    """
    told = as_choices({"axes": axes, "voxel_size": source_voxel_size, "translation": source_translation})
    names = told.get("axes")
    if names is None and not source.info.axes_stated and unit is None:
        return source if role is None else _retold(source, role=role)
    stated = described_axes(source.axes, source.info.axes_stated, names, unit)
    sizes = per_space_axis(told.get("voxel_size"), stated, "the voxel size")
    moved = per_space_axis(told.get("translation"), stated, "the translation")
    levels = source.levels
    if any(v is not None for v in (*sizes, *moved)):
        place = scale_translation(levels[0].transform, source.ndim)
        if place is None:
            raise InputError(
                f"{source.name} is rotated or sheared",
                code=Code.TRANSFORM_INVALID,
                fix="leave out the source's voxel size and translation: it states its place",
            )
        scale = tuple(old if new is None else float(new) for old, new in zip(place[0], sizes, strict=True))
        shift = tuple(old if new is None else float(new) for old, new in zip(place[1], moved, strict=True))
        finest = Sequence((Scale(scale), Translation(shift)))
        back = levels[0].transform.inverse()
        levels = tuple(replace(lv, transform=lv.transform.then(back).then(finest)) for lv in levels)
    changes: dict[str, Any] = {"axes": stated, "axes_stated": True, "levels": levels}
    return _retold(source, **changes | ({} if role is None else {"role": role}))


def _retold(source: Image, **changes: Any) -> Image:
    return Image(source.store, source.path, replace(source.info, **changes), source.arrays)


def resample(
    source: str | os.PathLike[str] | Image,
    target: str | os.PathLike[str],
    *,
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    source_options: dict[str, Any] | None = None,
    **choices: Any,
) -> Report:
    """Write an image anew on another grid, block by block: of another image, or of voxels of a given size.

    Parameters
    ----------
    source : str, path or Image
        What to resample; time and channel axes pass through.
    target : str or path
        Where to write the result.
    threads, resume, overwrite, progress, source_options
        As in `convert`.
    **choices
        The fields of `ResampleOptions`, of which ``like`` or ``voxel_size`` is needed, and those of `ConvertOptions`
        about the target. ``axes``, ``unit``, ``role``, ``source_voxel_size`` and ``source_translation`` tell what the
        source does not.

    Raises
    ------
    InputError, UnsupportedError, NotFoundError, FormatError, ExistsError, StoreError
        Nothing is left behind unless work had begun; then the target can be resumed.

    Examples
    --------
    >>> import voxarium
    >>> voxarium.resample("em.ome.zarr", "em-16nm.ome.zarr", voxel_size=16)  # doctest: +SKIP
    """
    job = resampling_for(open_source(source, **(source_options or {})), choices)
    if job.like is not None:
        check_apart(job.like, open_target(target, job.choices.get("format") or DEFAULT_FORMAT))
    return convert(
        job.image, target, threads=threads, resume=resume, overwrite=overwrite, progress=progress, **job.choices
    )
