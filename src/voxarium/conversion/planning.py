"""`plan`: check the user's choices against the source and lay out the target."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from voxarium.conversion.blocks import block_of, grown_cells
from voxarium.conversion.channels import described_display
from voxarium.conversion.losses import check_dtype, find_losses, reader_warnings
from voxarium.conversion.naming import image_name
from voxarium.conversion.options import ConvertOptions, described_axes, per_space_axis, reduced_axes
from voxarium.conversion.placing import Placement, place
from voxarium.conversion.plan import Plan, PlannedLevel, Selection, reread_factor
from voxarium.core.image import Image
from voxarium.core.registry import writable_array_driver, writable_image_driver
from voxarium.errors import Code, InputError
from voxarium.model.abilities import holds_of
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArraySpec, ImageInfo, LevelInfo, Role
from voxarium.model.protocols import PayloadDriver, WritableArrayDriver, WritableImageDriver
from voxarium.model.transforms import Transform
from voxarium.pyramid import check_method, default_method, level_shape, level_transform, plan_factors

__all__ = ["plan"]

_Kind = tuple[tuple[Axis, ...], Role, str]  # axes in target order, role, method

_TYPE_ORDER = {"time": 0, "channel": 1, "space": 3}


def plan(
    source: Image,
    options: ConvertOptions | None = None,
    *,
    target_name: str = "",
    steps: tuple[tuple[int, ...], ...] | None = None,
) -> Plan:
    """Lay out a conversion. Reads metadata only.

    Parameters
    ----------
    source : Image
        What to convert; its level 0 is read.
    options : ConvertOptions or None
        The user's choices.
    target_name : str
        Name of the image when neither the options nor the source give one.
    steps : tuple of tuple of int, or None
        Factors of every step of the pyramid, in the source's axis order, instead of what the options say.

    Raises
    ------
    InputError
        If a choice does not fit the source: axes not known, shards not a multiple of chunks, factors, types …
    """
    options = options or ConvertOptions()
    if source.ndim == 0:
        raise InputError(
            "the source is one value without axes, and no image",
            code=Code.AXES_MISMATCH,
            fix="convert an array of at least one axis",
        )
    convention = writable_image_driver(options.format)
    version = options.spec_version or convention.spec_versions[0]
    if version not in convention.spec_versions:
        raise InputError(
            f"{options.format} {version} cannot be written",
            code=Code.ARGUMENT_INVALID,
            fix=f"choose one of {', '.join(convention.spec_versions)}",
        )
    container = writable_array_driver(convention.array_driver(version))
    stated = described_axes(source.axes, source.info.axes_stated, options.axes, options.unit, options.time_unit)
    permutation = _permutation(stated, options.order or convention.axis_order(stated))
    axes = tuple(stated[p] for p in permutation)
    role: Role = options.role or source.info.role
    notes: list[str] = []
    holds = holds_of(convention, version)
    dtype = _target_dtype(source.dtype, role, options, notes)
    check_dtype(dtype, holds, convention.name)
    selection = Selection(crop=_crop(source, options.crop), permutation=permutation, dtype=dtype, lossy=options.lossy)
    if 0 in selection.shape:
        notes.append("the image is empty: an axis has length 0")
    placed = place(source, stated, selection, options, holds=holds, notes=notes)
    axes = placed.axes
    method = check_method(options.method, role) if options.method else default_method(role)
    shrinking = reduced_axes(axes, convention, options, notes)
    found = None if steps is None else tuple(tuple(step[p] for p in permutation) for step in steps)
    found = found if found is not None else _factors(selection.shape, shrinking, placed.sizes, options, notes)
    steps = found[: (holds.most_levels or 64) - 1]
    kind = (axes, role, str(method))
    wanted = tuple(level_transform(*placed.base, steps[:i], method) for i in range(len(steps) + 1))
    held = tuple(placed.transform(geometry, holds) for geometry in wanted)
    levels = _levels((convention, container), selection, kind, steps=steps, transforms=held, options=options)
    image = _image_info(source, options, kind, levels=levels, transforms=held, placed=placed, target_name=target_name)
    convention.check(image, version)
    told = _names_told(source, target_name)
    losses = find_losses(source.info, wanted, image, holds, left=placed.left, turned=placed.turned, told=told)
    notes.extend(reader_warnings(dtype.name, role, holds))
    passing = _can_pass_through(source, selection, container, levels[0], exact=options.codec is not None)
    block, reread = _block(source, selection, levels[0], options.memory, passing=passing)
    levels = grown_cells(levels, block)
    notes.extend(dict.fromkeys((*source.arrays[0].info.remarks, *levels[0].info.remarks)))
    notes.extend(_source_notes(source, selection, block, reread))
    return Plan(
        source="/".join(p for p in (source.store.uri, source.arrays[0].path) if p),
        format=options.format,
        spec_version=version,
        selection=selection,
        levels=levels,
        image=image,
        method=str(method),
        ignore_zero=options.ignore_zero,
        pass_through=passing,
        block=block,
        reread=reread,
        source_chunks=ChunkGrid(selection.crop.shape, source.arrays[0].info.chunk_shape).size,
        options=options,
        source_image="/".join(p for p in (source.store.uri, source.path) if p),
        source_memory=source.arrays[0].working_bytes,
        finds_largest=holds.largest_label and role == "label" and dtype.kind in "iu",
        losses=losses,
        notes=tuple(notes),
    )


def _names_told(source: Image, target_name: str) -> tuple[str, ...]:
    """Return names that the image may have without anybody having given it one."""
    address = "/".join((source.store.uri, source.path)).rstrip("/").rsplit("/", 1)[-1]
    return target_name, address, image_name(address), address.split(".")[0]


def _source_chunk(source: Image, selection: Selection) -> tuple[int, ...]:
    """Return the source's chunks in target order."""
    return tuple(source.arrays[0].info.chunk_shape[p] for p in selection.permutation)


def _block(
    source: Image, selection: Selection, finest: PlannedLevel, memory: int, *, passing: bool
) -> tuple[tuple[int, ...], float]:
    """Return what is read at a time, and how often chunks of the source are read then."""
    stored, chunk = source.arrays[0].info, _source_chunk(source, selection)
    first = tuple(selection.crop.origin[p] for p in selection.permutation)
    in_order = selection.permutation == tuple(range(stored.ndim)) and stored.dtype == selection.dtype
    whole = not stored.contiguous and all(o % c == 0 for o, c in zip(first, chunk, strict=True))
    block = block_of(
        finest,
        chunk,
        memory,
        large=passing or source.store.concurrency > 1,
        as_stored=in_order and whole,
    )
    if stored.contiguous:
        return block, 1.0
    return block, reread_factor(selection.shape, block, chunk, first)


def _source_notes(source: Image, selection: Selection, block: tuple[int, ...], reread: float) -> Iterator[str]:
    if source.info.labels:
        yield f"label images of the source are converted one by one: {', '.join(source.info.labels)}"
    if reread > 1.001:
        chunk = _source_chunk(source, selection)
        yield (
            f"blocks of {' × '.join(map(str, block))} do not align with the source's chunks of "
            f"{' × '.join(map(str, chunk))}: each is read {reread:.2f} times; more --memory may avoid it"
        )


def _permutation(axes: tuple[Axis, ...], order: tuple[str, ...] | None) -> tuple[int, ...]:
    names = [a.name for a in axes]
    if order is None:
        ranks = [_TYPE_ORDER.get(a.type, 2) for a in axes]
        return tuple(sorted(range(len(axes)), key=lambda i: ranks[i]))
    if sorted(order) != sorted(names):
        raise InputError(
            f"the order {','.join(order)!r} is not a permutation of the axes {','.join(names)!r}",
            code=Code.AXES_MISMATCH,
            fix="name every axis of the source once",
        )
    return tuple(names.index(n) for n in order)


def _target_dtype(source: np.dtype[Any], role: str, options: ConvertOptions, notes: list[str]) -> np.dtype[Any]:
    if options.dtype is not None:
        try:
            return np.dtype(options.dtype)
        except TypeError:
            raise InputError(
                f"{options.dtype!r} is no data type", code=Code.ARGUMENT_INVALID, fix="use uint8, uint16, float32 …"
            ) from None
    if role == "label" and source.kind == "i":
        unsigned = np.dtype(f"u{source.itemsize}")
        notes.append(
            f"labels are stored as {unsigned.name} ({source.name} in the source); a negative label is an error"
        )
        return unsigned
    return source


def _crop(source: Image, crop: Box | None) -> Box:
    whole = Box.whole(source.shape)
    if crop is None:
        return whole
    if crop.ndim != whole.ndim or not whole.contains(crop) or crop.size == 0:
        raise InputError(
            f"crop {crop.origin}–{crop.stop} is not inside the source of shape {source.shape}",
            code=Code.BOX_OUT_OF_BOUNDS,
            fix="give start:stop per axis, within the source",
        )
    return crop


def _factors(
    shape: tuple[int, ...], axes: tuple[Axis, ...], scale: tuple[float, ...], options: ConvertOptions, notes: list[str]
) -> tuple[tuple[int, ...], ...]:
    wanted = None
    if options.factors is not None:
        spread = per_space_axis(options.factors, axes, "factors")
        wanted = tuple(1 if f is None else int(f) for f in spread)
        if any(f < 1 for f in wanted) or (math.prod(wanted) == 1 and (options.levels or 2) > 1):
            raise InputError(
                f"factors {options.factors} do not downsample",
                code=Code.ARGUMENT_INVALID,
                fix="give integers of at least 1, one of them larger, such as 2,2,2",
            )
    if options.levels is not None and not 1 <= options.levels <= 64:
        raise InputError(
            f"{options.levels} levels cannot be made", code=Code.ARGUMENT_INVALID, fix="give 1 (no pyramid) to 64"
        )
    if 0 in shape:
        return ()
    kinds, sizes = tuple(a.type for a in axes), tuple(abs(s) for s in scale)
    if options.levels is None:
        chunk = _sizes(options.chunk, _default_chunk(axes), axes, "the chunk")
        most = max((c for c, axis in zip(chunk, axes, strict=True) if axis.type == "space"), default=1)
        return tuple(plan_factors(shape, kinds, sizes, factors=wanted, stop_size=most))
    # Every step there is, down to one voxel; the user's number cuts the list.
    steps = tuple(plan_factors(shape, kinds, sizes, factors=wanted, stop_size=1))
    if len(steps) < options.levels - 1:
        notes.append(f"only {len(steps) + 1} levels can differ, not {options.levels}")
    return steps[: options.levels - 1]


def _sizes(given: tuple[int, ...] | None, default: int, axes: tuple[Axis, ...], what: str) -> tuple[int, ...]:
    spread = per_space_axis(given, axes, what)
    out = []
    for axis, value in zip(axes, spread, strict=True):
        n = int(value) if value is not None else (default if axis.type == "space" and given is None else 1)
        if n < 1:
            raise InputError(
                f"{what} of {n} along {axis.name} is not possible",
                code=Code.ARGUMENT_INVALID,
                fix="give positive lengths",
            )
        out.append(n)
    return tuple(out)


def _default_chunk(axes: tuple[Axis, ...]) -> int:
    """Return the usual chunk length: cubes in three dimensions, larger squares in two."""
    return 64 if sum(a.type == "space" for a in axes) > 2 else 512


def _levels(
    drivers: tuple[WritableImageDriver, WritableArrayDriver],
    selection: Selection,
    kind: _Kind,
    *,
    steps: tuple[tuple[int, ...], ...],
    transforms: tuple[Transform, ...],
    options: ConvertOptions,
) -> tuple[PlannedLevel, ...]:
    (convention, container), (axes, role, _) = drivers, kind
    chunk = _sizes(options.chunk, _default_chunk(axes), axes, "the chunk")
    sharded = options.shard != (0,) and "shards" in container.capabilities
    if options.shard not in (None, (0,)) and not sharded:
        raise InputError(
            f"{container.name} has no shards",
            code=Code.ARGUMENT_INVALID,
            fix="leave out the shard size, or write a version that has shards",
        )
    shard = _shard(options.shard, chunk, axes, 8 * _default_chunk(axes)) if sharded else None
    fill = 0 if options.fill_value is None else options.fill_value
    shape = selection.shape
    # One chunk shape for all levels; only an axis that is shorter than a chunk from the start gets a shorter one.
    fitted = tuple(min(c, max(n, 1)) for c, n in zip(chunk, shape, strict=True))
    levels: list[PlannedLevel] = []
    scale = (1,) * len(shape)
    for i in range(len(steps) + 1):
        factors = steps[i - 1] if i else (1,) * len(shape)
        if i:
            shape = level_shape(shape, factors)
            scale = tuple(s * f for s, f in zip(scale, factors, strict=True))
        outer = None
        if shard is not None:
            outer = tuple(-(-min(s, max(n, 1)) // c) * c for s, n, c in zip(shard, shape, fitted, strict=True))
        info = container.create(
            ArraySpec(
                shape=shape,
                dtype=selection.dtype,
                chunk_shape=fitted,
                shard_shape=outer,
                fill_value=fill,
                codec=options.codec,
                role=role,
                transform=transforms[i],
                dimension_names=tuple(a.name for a in axes),
            )
        )
        following = steps[i] if i < len(steps) else (1,) * len(shape)
        cell = tuple(math.lcm(c, f) for c, f in zip(info.chunk_shape, following, strict=True))
        path = convention.level_path(i, transforms[i], transforms[0])
        levels.append(PlannedLevel(path=path, info=info, factors=factors, scale=scale, cell=cell))
    return tuple(levels)


def _shard(
    given: tuple[int, ...] | None, chunk: tuple[int, ...], axes: tuple[Axis, ...], default: int
) -> tuple[int, ...]:
    wanted = _sizes(given, default, axes, "the shard")
    if given is None:
        return tuple(max(s // c, 1) * c for s, c in zip(wanted, chunk, strict=True))
    for s, c, axis in zip(wanted, chunk, axes, strict=True):
        if s % c:
            nearest = max(round(s / c), 1) * c
            raise InputError(
                f"shard length {s} along {axis.name} is not a multiple of the chunk length {c}",
                code=Code.CHUNK_MISALIGNED,
                fix=f"use a multiple of {c}, such as {nearest}",
            )
    return wanted


def _image_info(
    source: Image,
    options: ConvertOptions,
    kind: _Kind,
    *,
    levels: tuple[PlannedLevel, ...],
    transforms: tuple[Transform, ...],
    placed: Placement,
    target_name: str,
) -> ImageInfo:
    axes, role, method = kind
    return replace(
        source.info,
        format=options.format,
        axes=axes,
        levels=tuple(
            LevelInfo(path=lv.path, array=lv.info, transform=t) for lv, t in zip(levels, transforms, strict=True)
        ),
        name=options.name or source.info.name or target_name,
        role=role,
        spec_version=None,
        axes_stated=True,
        systems=placed.further.systems,
        edges=placed.further.edges,
        labels=(),
        display=described_display(source.info.display, axes, levels[0].info.shape, options),
        method=method if len(levels) > 1 else None,
        largest_label=_largest_stated(source.info, role, levels[0].info.dtype),
    )


def _largest_stated(source: ImageInfo, role: Role, dtype: np.dtype[Any]) -> int | None:
    """Return the largest label that a source of labels states, where the target's type has it."""
    stated = source.largest_label if role == "label" and source.role == "label" and dtype.kind in "iu" else None
    return None if stated is None or stated > np.iinfo(dtype).max else stated


def _can_pass_through(
    source: Image, selection: Selection, container: WritableArrayDriver, finest: PlannedLevel, *, exact: bool
) -> bool:
    """Tell whether the source's stored chunks are already valid chunks of the target.

    Unless `exact`, a compression level other than the target's does not matter: a decoder need not know it.
    """
    driver, info = source.arrays[0].driver, source.arrays[0].info
    if not isinstance(driver, PayloadDriver) or selection.permutation != tuple(range(info.ndim)):
        return False
    if info.dtype != finest.info.dtype or info.chunk_shape != finest.info.chunk_shape:
        return False
    if np.asarray(info.fill_value).tobytes() != np.asarray(finest.info.fill_value).tobytes():
        return False
    if exact and info.codecs != finest.info.codecs:
        return False
    aligned = all(
        o % c == 0 and (e % c == 0 or e == n)
        for o, e, c, n in zip(selection.crop.origin, selection.crop.stop, info.chunk_shape, info.shape, strict=True)
    )
    return aligned and driver.encoding_key(info) == container.encoding_key(finest.info)
