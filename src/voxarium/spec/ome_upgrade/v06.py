"""From 0.5 to 0.6: coordinate systems, and transformations with input and output (TR-001, TR-003 … TR-006)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voxarium.spec.ome_upgrade.documents import MAX_AXES, Upgraded, cannot, items, malformed, numbers, path_of

__all__ = ["upgrade_to_06"]

_SYSTEM: Final = "physical"
_NO_VERSION: Final = ("image-label", "plate", "well")  # LB-014, PL-006, WL-004: not stated in 0.6

_Pair = tuple[list[Any], list[Any] | None]
"""Scale and translation of a level, numbers as they are written."""


def upgrade_to_06(ome: Mapping[str, Any]) -> Upgraded:
    """Return metadata of 0.5 (the ``ome`` object) in the form of 0.6.

    Levels lead to one coordinate system. Transformations of a whole multiscales object are taken into those of its
    levels, since readers show an image in the system its levels lead to.

    Raises
    ------
    FormatError
        If the metadata are broken.
    UnsupportedError
        If 0.6 cannot say it.
    """
    notes: list[str] = []
    out: dict[str, Any] = dict(ome) | {"version": "0.6"}
    if "multiscales" in ome:
        found = items(ome["multiscales"], "multiscales")
        out["multiscales"] = [_multiscale(b, f"multiscales[{i}]", notes) for i, b in enumerate(found)]
    for key in _NO_VERSION:
        if isinstance(ome.get(key), dict):
            out[key] = {k: v for k, v in ome[key].items() if k != "version"}
    return Upgraded(out, tuple(notes))


def _multiscale(body: Mapping[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    if "coordinateSystems" in body:
        malformed(f"{where} has coordinateSystems, which 0.5 does not know")
    axes = items(body.get("axes"), f"{where}.axes")
    if not 0 < len(axes) <= MAX_AXES:
        malformed(f"{where}.axes has {len(axes)} items")
    common: _Pair | None = None
    if body.get("coordinateTransformations"):
        common = _pair(body["coordinateTransformations"], len(axes), where)
        notes.append(f"{where}.coordinateTransformations was taken into those of the levels")
    out = {k: v for k, v in body.items() if k not in ("axes", "datasets", "coordinateTransformations", "version")}
    datasets = items(body.get("datasets"), f"{where}.datasets")
    levels = [_dataset(d, len(axes), common, f"{where}.datasets[{i}]") for i, d in enumerate(datasets)]
    return {"coordinateSystems": [{"name": _SYSTEM, "axes": axes}], "datasets": levels} | out


def _dataset(dataset: Mapping[str, Any], ndim: int, common: _Pair | None, where: str) -> dict[str, Any]:
    path = path_of(dataset.get("path"), f"{where}.path")
    scale, translation = _pair(dataset.get("coordinateTransformations"), ndim, where)
    if common is not None:
        scale, translation = _composed((scale, translation), common, where)
    step: dict[str, Any] = {"type": "scale", "scale": scale}
    if translation is not None:
        moved = {"type": "translation", "translation": translation}
        step = {"type": "sequence", "transformations": [step, moved]}
    ends = {"input": {"path": path}, "output": {"name": _SYSTEM}}
    return dict(dataset) | {"path": path, "coordinateTransformations": [step | ends]}


def _pair(found: Any, ndim: int, where: str) -> _Pair:
    """Read a scale, and a translation after it (CT-002); identity alone is a scale of 1 (CT-006)."""
    steps = items(found, f"{where}.coordinateTransformations")
    kinds = [step.get("type") for step in steps]
    if any("path" in step for step in steps):
        cannot(f"{where} keeps its numbers in an array", "write the numbers into the metadata")
    if kinds == ["identity"]:
        return [1.0] * ndim, None
    if kinds not in (["scale"], ["scale", "translation"]):
        text = ", ".join(str(k)[:20] for k in kinds) or "nothing"
        cannot(
            f"{where}.coordinateTransformations is {text}, not a scale and a translation", "correct the metadata first"
        )
    scale = numbers(steps[0].get("scale"), ndim, f"{where}: scale")
    if len(steps) == 1:
        return scale, None
    return scale, numbers(steps[1].get("translation"), ndim, f"{where}: translation")


def _composed(own: _Pair, common: _Pair, where: str) -> _Pair:
    count, what = len(own[0]), f"{where}: what comes of both transformations"
    scale = numbers([a * b for a, b in zip(own[0], common[0], strict=True)], count, what)
    if own[1] is None and common[1] is None:
        return scale, None
    zeros = [0] * count
    moved = [t * s for t, s in zip(own[1] or zeros, common[0], strict=True)]
    return scale, numbers([t + u for t, u in zip(moved, common[1] or zeros, strict=True)], count, what)
