"""Reading multiscales of 0.6: coordinate systems and a graph of transformations (rules TR-001 … TR-020).

In the drafts 0.6.dev1–dev4 `input` and `output` may be plain texts, and a level may have any transform.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from voxarium.errors import FormatError, InputError, UnsupportedError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.image import TransformEdge
from voxarium.model.transforms import Transform
from voxarium.model.warps import Unresolved
from voxarium.spec.ome.axes import parse_axes
from voxarium.spec.ome.document import as_list, as_mapping, as_text, malformed
from voxarium.spec.ome.multiscale import DATASET, MULTISCALE, Multiscale, parse_datasets, reference
from voxarium.spec.ome.transformations import canonical, fits, parse_transform

__all__ = ["parse_edges", "parse_multiscale", "parse_systems", "permuted_axes"]

_MAX_SYSTEMS: Final = 256
_MAX_EDGES: Final = 1024
_Systems = Mapping[str, CoordinateSystem]


def parse_multiscale(body: Mapping[str, Any], where: str) -> Multiscale:
    """Return what a multiscales object of 0.6 says.

    The world is the system the levels lead to, or, where that is one of bare array indices, the next one.

    Raises
    ------
    FormatError
        If it cannot be read in any sensible way.
    """
    notes: list[str] = []
    systems = parse_systems(body, where, notes)
    datasets = parse_datasets(body, where)
    levels = [_parse_level(path, dataset, here, systems, notes) for path, dataset, here in datasets]
    targets = {edge.target for edge in levels if edge is not None}
    if len(targets) > 1:
        malformed(
            f"{where}.datasets",
            f"lead to several coordinate systems: {', '.join(sorted(targets))}",
            "let the output of every level name the same one",
        )
    intrinsic = systems[targets.pop()] if targets else next(iter(systems.values()))
    if any(_names_ends_by_texts(dataset) for _, dataset, _ in datasets):
        notes.append(f"{where}.datasets state input and output as texts, as the drafts 0.6.dev1 to 0.6.dev3 did")
    further = parse_edges(body, where, systems, notes)
    onward = _onward(intrinsic, further, systems)
    world = intrinsic if onward is None else systems[onward.target]
    transforms: list[Transform | None] = []
    for edge in levels:
        if edge is None:
            transforms.append(None)
        else:
            whole = edge.transform if onward is None else edge.transform.then(onward.transform)
            transforms.append(canonical(whole, intrinsic.ndim))
    return Multiscale(
        axes=_stored_axes(transforms[0], intrinsic, world),
        paths=tuple(path for path, _, _ in datasets),
        transforms=tuple(transforms),
        world=world.name,
        systems=tuple(systems.values()),
        edges=(*(e for e in levels if e is not None), *further),
        notes=notes,
    )


def _names_ends_by_texts(dataset: Mapping[str, Any]) -> bool:
    """Tell whether the first transformation of a dataset is written as drafts before 0.6.dev4 had it."""
    first = dataset["coordinateTransformations"][0] if dataset.get("coordinateTransformations") else {}
    return any(isinstance(first.get(end), str) for end in ("input", "output"))


def parse_systems(body: Mapping[str, Any], where: str, notes: list[str]) -> dict[str, CoordinateSystem]:
    """Return the coordinate systems that an object lists, by name."""
    here = f"{where}.coordinateSystems"
    out: dict[str, CoordinateSystem] = {}
    for i, found in enumerate(as_list(body.get("coordinateSystems"), here, _MAX_SYSTEMS)):
        item = as_mapping(found, f"{here}[{i}]")
        name = as_text(item.get("name"), f"{here}[{i}].name")
        if name in out:
            malformed(here, f"names {name!r} twice", "give every coordinate system a name of its own")
        axes = parse_axes(item.get("axes"), f"{here}[{i}].axes", notes)
        extra = {k: v for k, v in item.items() if k not in ("name", "axes")}
        out[name] = CoordinateSystem(name=name, axes=axes, extra=extra)
    return out


def _parse_level(
    path: str,
    dataset: Mapping[str, Any],
    where: str,
    systems: _Systems,
    notes: list[str],
) -> TransformEdge | None:
    """Return the edge from a level's array to its coordinate system; None when the level states none."""
    found = dataset.get("coordinateTransformations")
    if found is None or found == []:
        return None
    here = f"{where}.coordinateTransformations"
    if len(items := as_list(found, here, _MAX_EDGES)) > 1:  # TR-004
        notes.append(f"{here} has {len(items)} transformations; the first is used")
    item = as_mapping(items[0], f"{here}[0]")
    transform = parse_transform(item, f"{here}[0]")
    if path not in reference(item.get("input")):
        notes.append(f"{here}[0].input is not the level's path {path!r}; taken as meant")
    target = reference(item.get("output"))[0]
    if target is None and len(systems) == 1:
        target = next(iter(systems))
        notes.append(f"{here}[0].output is not stated; taken as {target!r}")
    if target is None or target not in systems:
        known = ", ".join(systems)
        malformed(f"{here}[0].output", f"is {target!r}, no coordinate system here", f"name one of {known}")
    ndim = systems[target].ndim
    if not fits(transform, ndim, ndim):
        names = ", ".join(a.name for a in systems[target].axes)
        malformed(f"{here}[0]", f"does not fit the axes {names}", "give one number per axis")
    return TransformEdge(
        source=path,
        target=target,
        transform=transform,
        role=DATASET,
        name=_name(item),
        original=dataset,
    )


def _name(item: Mapping[str, Any]) -> str | None:
    name = item.get("name")
    return name if isinstance(name, str) else None


def parse_edges(body: Mapping[str, Any], where: str, systems: _Systems, notes: list[str]) -> tuple[TransformEdge, ...]:
    """Return the transforms between coordinate systems. One that cannot be read does not spoil the image."""
    found = body.get("coordinateTransformations")
    if found is None or found == []:
        return ()
    here = f"{where}.coordinateTransformations"
    out = []
    for i, given in enumerate(as_list(found, here, _MAX_EDGES)):
        item = as_mapping(given, f"{here}[{i}]")
        ends = [reference(item.get(k)) for k in ("input", "output")]
        named = [name if path is None else f"{path}#{name}" for name, path in ends]
        try:
            transform = _parse_edge(item, f"{here}[{i}]", [systems.get(n or "") for n in named])
        except FormatError as error:
            notes.append(error.message)
            transform = Unresolved(str(item.get("type")), reason=error.message)
        source, target = (n or "" for n in named)
        out.append(
            TransformEdge(
                source=source,
                target=target,
                transform=transform,
                role=MULTISCALE,
                name=_name(item),
                original=item,
            )
        )
    return tuple(out)


def _parse_edge(item: Mapping[str, Any], where: str, ends: list[CoordinateSystem | None]) -> Transform:
    transform = parse_transform(item, where)
    if ends[0] is not None and ends[1] is not None and not fits(transform, ends[0].ndim, ends[1].ndim):
        malformed(
            where,
            f"does not map {ends[0].ndim} axes ({ends[0].name}) to {ends[1].ndim} ({ends[1].name})",
            "correct its parameters, or the coordinate systems it joins",
        )
    return transform


def _onward(intrinsic: CoordinateSystem, edges: tuple[TransformEdge, ...], systems: _Systems) -> TransformEdge | None:
    """Return the transform from a system of bare indices to one with meaning, if there is one."""
    if any(a.type != "array" for a in intrinsic.axes):
        return None
    for edge in edges:
        target = systems.get(edge.target)
        if edge.source == intrinsic.name and target is not None and target.ndim == intrinsic.ndim:
            try:
                edge.transform.matrix(intrinsic.ndim)
            except (InputError, UnsupportedError):
                continue
            return edge
    return None


def permuted_axes(transform: Transform, axes: tuple[Axis, ...]) -> tuple[Axis, ...] | None:
    """Return the world axis each stored axis runs along; None when one runs along several."""
    ndim = len(axes)
    try:
        with np.errstate(all="ignore"):
            used = transform.matrix(ndim)[:, :-1] != 0
    except (InputError, UnsupportedError):
        return None
    if used.shape != (ndim, ndim) or (used.sum(axis=0) != 1).any() or (used.sum(axis=1) != 1).any():
        return None
    return tuple(axes[int(i)] for i in used.argmax(axis=0))


def _stored_axes(transform: Transform | None, intrinsic: CoordinateSystem, world: CoordinateSystem) -> tuple[Axis, ...]:
    """Return the axes in stored order: those of the world where each stored axis runs along one of them."""
    found = world.axes if transform is None else permuted_axes(transform, world.axes)
    if found is not None:
        return found
    named = {a.name: a for a in world.axes}
    return tuple(named.get(a.name, a) for a in intrinsic.axes)
