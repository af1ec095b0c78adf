"""What a user may choose about a conversion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

from voxarium.errors import Code, InputError
from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, canonical_unit, guess_axis_type
from voxarium.model.box import Box
from voxarium.model.protocols import WritableImageDriver

__all__ = ["DEFAULT_FORMAT", "ConvertOptions", "as_choices", "described_axes", "per_space_axis", "reduced_axes"]

DEFAULT_FORMAT: Final = "ome-zarr"
"""What is written until a user asks for something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """Choices; None means "take it from the source, or the default".

    Parameters
    ----------
    format, spec_version : str
        Convention to write, such as ``ome-zarr`` and ``0.5``.
    chunk, shard : tuple of int or None
        Voxels; one number stands for all space axes. ``shard=(0,)`` writes every chunk as an object of its own.
    codec : str or None
        Such as ``zstd:1``, ``blosc:lz4:5``, ``gzip:5``, ``none``; None = what the format usually has, whereby
        chunks that the source holds in it, of any level, are taken over as they are.
    levels : int or None
        Number of levels, level 0 included; None = until the coarsest fits a chunk.
    method : str or None
        Downsampling; None = mode for labels, mean otherwise.
    factors : tuple of int or None
        Per space axis and step; None = halve, driving anisotropic voxels towards isotropy.
    axes : tuple of str or None
        Names of the source's axes in stored order.
    order : tuple of str or None
        Names of the axes in the order to write.
    voxel_size, translation : tuple of float or None
        Per space axis of the source, or per axis.
    unit : str or None
        Unit of the space axes.
    time_step : float or None
        Time from one time point to the next.
    time_unit : str or None
        Unit of the time axis.
    channels, colors : tuple of str or None
        Name and colour of every channel: six hexadecimal digits, or a word such as ``green``.
    role : str or None
        intensity, label or prediction.
    dtype : str or None
        Type to write; values that do not fit are an error unless `lossy`.
    crop : Box or None
        Region of the source to convert, in its own axis order.
    fill_value : float or int or None
        Value of chunks that are not written.
    checksum : bool
        Note a CRC-32C of every object in the ledger; resuming then reads finished objects and compares, instead of
        comparing their sizes only. For disks that may lose power.
    digests : tuple of str
        Digests to take of every object while its bytes pass: ``sha256``, ``blake3``; for a manifest, see `convert`.
    accept : tuple of str
        Kinds of `Loss` that may happen (``translation``, ``name`` …), or ``all``.
    ignore_zero : bool
        Zeros do not vote in the mode.
    memory : int
        Bytes that blocks in work may take together.
    """

    format: str = DEFAULT_FORMAT
    spec_version: str | None = None
    chunk: tuple[int, ...] | None = None
    shard: tuple[int, ...] | None = None
    codec: str | None = None
    levels: int | None = None
    method: str | None = None
    factors: tuple[int, ...] | None = None
    axes: tuple[str, ...] | None = None
    order: tuple[str, ...] | None = None
    voxel_size: tuple[float, ...] | None = None
    translation: tuple[float, ...] | None = None
    unit: str | None = None
    time_step: float | None = None
    time_unit: str | None = None
    channels: tuple[str, ...] | None = None
    colors: tuple[str, ...] | None = None
    role: Literal["intensity", "label", "prediction"] | None = None
    name: str | None = None
    dtype: str | None = None
    lossy: bool = False
    crop: Box | None = None
    fill_value: float | None = None
    accept: tuple[str, ...] = ()
    ignore_zero: bool = False
    checksum: bool = False
    digests: tuple[str, ...] = ()
    memory: int = 512 << 20


def described_axes(
    stated: Sequence[Axis], known: bool, names: tuple[str, ...] | None, unit: str | None, time_unit: str | None = None
) -> tuple[Axis, ...]:
    """Return the source's axes as stated by the file or, where given, by the user.

    Raises
    ------
    InputError
        If nobody names the axes, or the count is wrong.
    """
    ndim = len(stated)
    if names is None and not known:
        example = "tczyx"[-ndim:] if ndim <= 5 else "one letter per axis"
        raise InputError(
            f"the source does not say what its {ndim} axes are",
            code=Code.AXES_UNKNOWN,
            fix=f"name them in stored order, such as --axes {example}",
        )
    if names is not None and (len(names) != ndim or len(set(names)) != ndim):
        raise InputError(
            f"axes {','.join(names)!r} do not fit a source with {ndim} axes",
            code=Code.AXES_MISMATCH,
            fix=f"give {ndim} different names in stored order",
        )
    axes = []
    for i, axis in enumerate(stated):
        name = axis.name if names is None else names[i]
        same = known and name == axis.name
        kind = axis.type if same else guess_axis_type(name)
        of = axis.unit if same else None
        if unit is not None and kind == "space":
            of = _unit_of(unit, SPACE_UNITS)
        if time_unit is not None and kind == "time":
            of = _unit_of(time_unit, TIME_UNITS)
        axes.append(Axis(name=name, type=kind, unit=of, labels=axis.labels, extra=axis.extra if same else {}))
    return tuple(axes)


def _unit_of(name: str, table: Mapping[str, float]) -> str:
    unit = canonical_unit(name)
    if unit not in table:
        what, examples = ("time", "second, millisecond, minute")
        if table is SPACE_UNITS:
            what, examples = ("length", "nanometer, micrometer, millimeter, angstrom")
        raise InputError(
            f"the unit {name!r} is no {what}",
            code=Code.UNIT_UNKNOWN,
            fix=f"use {examples} …, in full or short",
        )
    return unit


def per_space_axis(values: Sequence[float] | None, axes: Sequence[Axis], what: str) -> tuple[float | None, ...]:
    """Spread one value, one per space axis, or one per axis over all axes; None where it does not apply.

    Raises
    ------
    InputError
        If the count fits neither.
    """
    if values is None:
        return (None,) * len(axes)
    space = [i for i, a in enumerate(axes) if a.type == "space"]
    if len(values) == 1:
        values = tuple(values) * len(space)
    if len(values) == len(axes) != len(space):
        return tuple(values)
    if len(values) != len(space):
        names = ",".join(axes[i].name for i in space)
        raise InputError(
            f"{what} has {len(values)} values for {len(space)} space axes ({names})",
            code=Code.AXES_MISMATCH,
            fix=f"give one value for all, or {len(space)} in the order {names}",
        )
    out: list[float | None] = [None] * len(axes)
    for i, v in zip(space, values, strict=True):
        out[i] = v
    return tuple(out)


def reduced_axes(
    axes: tuple[Axis, ...], convention: WritableImageDriver, options: ConvertOptions, notes: list[str]
) -> tuple[Axis, ...]:
    """Return the axes as a pyramid may treat them: a convention may name, as ``reducible``, those that can shrink."""
    reducible = getattr(convention, "reducible", None)
    if reducible is None or all(a.name in reducible for a in axes if a.type == "space"):
        return axes
    if options.levels != 1:
        names = ", ".join(a.name for a in axes if a.name in reducible)
        notes.append(f"levels of {convention.name} are smaller along {names} only")
    return tuple(a if a.name in reducible else replace(a, type="other") for a in axes)


def as_choices(choices: dict[str, Any]) -> dict[str, Any]:
    """Turn the shorthands of `convert` into the fields of `ConvertOptions`."""
    known = {f.name for f in fields(ConvertOptions)}
    unknown = sorted(set(choices) - known)
    if unknown:
        raise InputError(
            f"convert has no option {', '.join(unknown)}",
            code=Code.ARGUMENT_INVALID,
            fix=f"its options are {', '.join(sorted(known))}",
        )
    return {k: _CAST.get(k, _same)(v) for k, v in choices.items() if v is not None}


def _same(value: Any) -> Any:
    return value


def _some(value: Any) -> tuple[Any, ...]:
    """Return one number, or several, as a tuple."""
    return (value,) if isinstance(value, int | float) else tuple(value)


def _words(value: Any) -> tuple[str, ...]:
    """Return ``a,b`` as words."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else tuple(value)


def _axis_names(value: Any) -> tuple[str, ...]:
    """Return ``zyx`` and ``z,y,x`` as names."""
    return _words(value) if isinstance(value, str) and "," in value else tuple(value)


_CAST: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("chunk", "shard", "factors", "voxel_size", "translation"), _some),
    **dict.fromkeys(("accept", "channels", "colors", "digests"), _words),
    **dict.fromkeys(("axes", "order"), _axis_names),
}
