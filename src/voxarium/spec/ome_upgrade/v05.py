"""From 0.1, 0.2, 0.3 and 0.4 to 0.5: everything below ``ome``, axes as objects, a scale for every level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voxarium.model.axes import guess_axis_type
from voxarium.spec.ome_upgrade.documents import MAX_AXES, Levels, Upgraded, items, malformed, numbers, path_of

__all__ = ["level_axes", "level_paths", "upgrade_to_05"]

_FIVE: Final = "tczyx"
_KEPT_VERSION: Final = ("image-label", "plate", "well")  # LB-014, PL-006, WL-004: stated in 0.5 too
_MAX_LEVELS: Final = 256


def level_paths(ome: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the arrays that an image's metadata name, below its group.

    Raises
    ------
    FormatError
        If the list cannot be read.
    """
    found = ome.get("multiscales")
    if found is None:
        return ()
    out: dict[str, None] = {}
    for i, body in enumerate(items(found, "multiscales")):
        datasets = items(body.get("datasets"), f"multiscales[{i}].datasets")
        if not 0 < len(datasets) <= _MAX_LEVELS:
            malformed(f"multiscales[{i}].datasets has {len(datasets)} items")
        for k, dataset in enumerate(datasets):
            out[path_of(dataset.get("path"), f"multiscales[{i}].datasets[{k}].path")] = None
    return tuple(out)


def level_axes(ome: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the names of the axes of each level's array, from metadata of 0.5 (ST-010)."""
    out: dict[str, tuple[str, ...]] = {}
    for body in ome.get("multiscales", ()):
        names = tuple(axis["name"] for axis in body["axes"])
        for dataset in body["datasets"]:
            out.setdefault(path_of(dataset["path"], "path"), names)
    return out


def upgrade_to_05(ome: Mapping[str, Any], shapes: Levels) -> Upgraded:
    """Return metadata of 0.1 to 0.4, as `ome_content` gives them, in the form of 0.5.

    Parameters
    ----------
    ome : mapping
        What stood at the top of ``.zattrs``.
    shapes : mapping
        Shapes of the levels' arrays, by path.

    Raises
    ------
    FormatError
        If the metadata are broken in a way that 0.5 could not say either.
    """
    notes: list[str] = []
    out: dict[str, Any] = {"version": "0.5"}
    for key, value in ome.items():
        if key == "multiscales":
            out[key] = [_multiscale(b, f"multiscales[{i}]", shapes, notes) for i, b in enumerate(items(value, key))]
        elif key in _KEPT_VERSION and isinstance(value, dict):
            out[key] = value | {"version": "0.5"}
        elif key == "omero" and isinstance(value, dict):
            out[key] = {k: v for k, v in value.items() if k != "version"}
        elif key != "version":
            out[key] = value
    return Upgraded(out, tuple(notes))


def _multiscale(body: Mapping[str, Any], where: str, shapes: Levels, notes: list[str]) -> dict[str, Any]:
    datasets = items(body.get("datasets"), f"{where}.datasets")
    if "coordinateSystems" in body:
        malformed(f"{where} has coordinateSystems, which versions before 0.6 do not know")
    if body.get("axes") is None and body.get("version", "0.1") not in ("0.1", "0.2"):
        malformed(f"{where} has no axes", "add the list of axes, such as z, y, x, to the metadata first")
    axes = _axes(body.get("axes"), where, notes)
    for dataset in datasets:
        path = path_of(dataset.get("path"), f"{where}.datasets.path")
        if path in shapes and len(shapes[path]) != len(axes):
            malformed(f"level {path!r} has {len(shapes[path])} axes, and {where} states {len(axes)}")
    out = {k: v for k, v in body.items() if k != "version"}
    if "axes" not in out:
        out = {"axes": axes} | out
    return out | {"axes": axes, "datasets": _datasets(datasets, where, shapes, notes)}


def _axes(found: Any, where: str, notes: list[str]) -> list[Any]:
    if found is None:
        notes.append(f"{where} has no axes: t, c, z, y, x, as in 0.1 and 0.2")
        return [{"name": n, "type": guess_axis_type(n)} for n in _FIVE]
    if not isinstance(found, list) or not 0 < len(found) <= MAX_AXES:
        malformed(f"{where}.axes is not a list of axes")
    out = []
    for axis in found:
        if isinstance(axis, str) and axis:
            kind = guess_axis_type(axis)
            out.append({"name": axis} | ({} if kind == "other" else {"type": kind}))
        elif isinstance(axis, dict) and isinstance(axis.get("name"), str) and axis["name"]:
            out.append(axis)
        else:
            malformed(f"{where}.axes has an axis without a name")
    if any(isinstance(a, str) for a in found):
        notes.append(f"{where}.axes are names, as in 0.3: types follow from them")
    names = [a["name"] for a in out]
    if len(set(names)) != len(names):
        malformed(f"{where}.axes repeats a name")
    return out


def _datasets(found: list[dict[str, Any]], where: str, shapes: Levels, notes: list[str]) -> list[dict[str, Any]]:
    """Give a scale and a translation to levels that state none: what readers of the older version derive."""
    if all(d.get("coordinateTransformations") for d in found):
        return found
    paths = [path_of(d.get("path"), where) for d in found]
    absent = [p for p in paths if p not in shapes]
    if absent:
        malformed(f"level {absent[0]!r} of {where} states no scale, and there is no array to derive it from")
    notes.append(f"{where}: levels without a scale get the ratio of their shapes")
    finest = found[0].get("coordinateTransformations")
    ndim = len(shapes[paths[0]])
    scale, shift = [1.0] * ndim, [0.0] * ndim
    if finest:
        scale, shift = _stated(finest, ndim, where)
    out = []
    for path, dataset in zip(paths, found, strict=True):
        if not dataset.get("coordinateTransformations"):
            factors = [_factor(n, m) for n, m in zip(shapes[paths[0]], shapes[path], strict=True)]
            derived = [s * (f - 1) / 2 + t for s, f, t in zip(scale, factors, shift, strict=True)]
            ratio = [s * f for s, f in zip(scale, factors, strict=True)]
            steps: list[dict[str, Any]] = [
                {"type": "scale", "scale": numbers(ratio, ndim, f"{where}: scale of {path!r}")},
                {"type": "translation", "translation": numbers(derived, ndim, f"{where}: translation of {path!r}")},
            ]
            dataset = dataset | {"coordinateTransformations": steps}
        out.append(dataset)
    return out


def _stated(found: Any, ndim: int, where: str) -> tuple[list[float], list[float]]:
    """Return scale and translation of the finest level."""
    scale, shift = [1.0] * ndim, [0.0] * ndim
    for step in items(found, f"{where}.datasets[0].coordinateTransformations"):
        if step.get("type") == "scale":
            by = numbers(step.get("scale"), ndim, f"{where}: scale")
            scale, shift = (
                [s * b for s, b in zip(scale, by, strict=True)],
                [t * b for t, b in zip(shift, by, strict=True)],
            )
        elif step.get("type") == "translation":
            by = numbers(step.get("translation"), ndim, f"{where}: translation")
            shift = [t + b for t, b in zip(shift, by, strict=True)]
        elif step.get("type") != "identity":
            malformed(f"{where}: the finest level has a transformation of type {str(step.get('type'))[:40]!r}")
    return scale, shift


def _factor(fine: int, coarse: int) -> float:
    """Return the factor between two lengths: a whole number where rounding up or down explains it."""
    if coarse < 1 or fine < 1:
        return 1.0
    nearest = max(1, round(fine / coarse))
    whole = coarse in (fine // nearest, -(-fine // nearest))
    return float(nearest) if whole else fine / coarse
