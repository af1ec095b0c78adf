"""Multiscales of 0.1–0.5: one list of axes, scale and translation per level.

Rules MS-002 … MS-012 and CT-001 … CT-006.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voxarium.errors import Code, UnsupportedError
from voxarium.model.axes import Axis
from voxarium.model.image import ImageInfo, TransformEdge
from voxarium.model.transforms import Identity, Scale, Transform, Translation, scale_translation
from voxarium.spec.ome.axes import FIVE_AXES, dump_axis, parse_axes
from voxarium.spec.ome.document import as_list, malformed
from voxarium.spec.ome.multiscale import DATASET, MULTISCALE, WORLD, Multiscale, parse_datasets
from voxarium.spec.ome.transformations import canonical, fits, parse_transform

__all__ = ["dump_multiscale", "parse_multiscale", "scale_and_translation"]

_INTRINSIC: Final = "intrinsic"
_MAX_TRANSFORMS: Final = 64


def parse_multiscale(body: Mapping[str, Any], spec_version: str, where: str) -> Multiscale:
    """Return what a multiscales object of 0.1–0.5 says.

    Raises
    ------
    FormatError
        If it cannot be read in any sensible way.
    """
    notes: list[str] = []
    axes = _parse_axes(body, spec_version, where, notes)
    common = _parse_transforms(body, axes, where, notes)
    target = WORLD if common is None else _INTRINSIC
    edges: list[TransformEdge] = []
    transforms: list[Transform | None] = []
    paths: list[str] = []
    for path, dataset, here in parse_datasets(body, where):
        own = _parse_transforms(dataset, axes, here, notes)
        paths.append(path)
        if own is None:
            transforms.append(None)
            continue
        edges.append(TransformEdge(source=path, target=target, transform=own, role=DATASET, original=dataset))
        transforms.append(canonical(own if common is None else own.then(common), len(axes)))
    if common is not None:
        original = {"coordinateTransformations": body["coordinateTransformations"]}
        edges.append(
            TransformEdge(source=_INTRINSIC, target=WORLD, transform=common, role=MULTISCALE, original=original)
        )
    return Multiscale(
        axes=axes,
        paths=tuple(paths),
        transforms=tuple(transforms),
        edges=tuple(edges),
        notes=notes,
    )


def _parse_axes(body: Mapping[str, Any], spec_version: str, where: str, notes: list[str]) -> tuple[Axis, ...]:
    found = body.get("axes")
    if found is None and spec_version in ("0.1", "0.2"):
        return FIVE_AXES
    if found is None:
        malformed(where, "has no axes", "add the list of axes, such as z, y, x, to the metadata")
    axes = parse_axes(found, f"{where}.axes", notes)
    if spec_version >= "0.4" and any(isinstance(a, str) for a in found):
        notes.append(f"{where}.axes are texts, as in 0.3; types were guessed from the names")
    return axes


def _parse_transforms(
    body: Mapping[str, Any], axes: tuple[Axis, ...], where: str, notes: list[str]
) -> Transform | None:
    """Return the composition of a list of transformations; None when there are none."""
    found = body.get("coordinateTransformations")
    if found is None or found == []:
        return None
    here = f"{where}.coordinateTransformations"
    out: Transform = Identity()
    kinds = []
    for i, item in enumerate(as_list(found, here, _MAX_TRANSFORMS)):
        step = parse_transform(item, f"{here}[{i}]")
        if not fits(step, len(axes), len(axes)):
            names = ", ".join(a.name for a in axes)
            malformed(f"{here}[{i}]", f"does not fit the axes {names}", "give one number per axis")
        kinds.append(item["type"])
        out = out.then(step)
    if kinds not in (["scale"], ["scale", "translation"]):  # CT-002
        notes.append(f"{here} is {', '.join(kinds)}, not a scale and a translation; applied in this order")
    return canonical(out, len(axes))


def scale_and_translation(image: ImageInfo, level: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return scale and translation of a level.

    Raises
    ------
    UnsupportedError
        If the level's transform is more than that.
    """
    found = scale_translation(image.levels[level].transform, len(image.axes))
    if found is not None:
        return found
    raise UnsupportedError(
        f"level {level} is rotated, sheared or warped, which OME-Zarr before 0.6 cannot express",
        code=Code.FEATURE_UNSUPPORTED,
        fix='write spec_version="0.6"',
    )


def dump_multiscale(image: ImageInfo) -> dict[str, Any]:
    """Return axes, datasets and transformations in the form of 0.4 and 0.5.

    The split of the transforms between levels and image is kept where it still gives the levels' transforms.
    """
    out: dict[str, Any] = {"axes": [dump_axis(a) for a in image.axes]}
    common, own = _kept_split(image)
    levels = range(len(image.levels))
    pairs = [scale_and_translation(image, i) for i in levels] if common is None else own
    moved = any(any(translation) for _, translation in pairs)
    out["datasets"] = [
        {"path": level.path, "coordinateTransformations": _dump_pair(pair, moved)}
        for level, pair in zip(image.levels, pairs, strict=True)
    ]
    if common is not None:
        out["coordinateTransformations"] = _dump_pair(common, any(common[1]))
    return out


_Pair = tuple[tuple[float, ...], tuple[float, ...]]


def _kept_split(image: ImageInfo) -> tuple[_Pair | None, list[_Pair]]:
    """Return the image's own (scale, translation) and the levels' before it; None when the split is gone."""
    ndim = len(image.axes)
    whole = [e for e in image.edges if e.role == MULTISCALE and (e.source, e.target) == (_INTRINSIC, WORLD)]
    by_path = {e.source: e.transform for e in image.edges if e.role == DATASET}
    if len(whole) != 1:
        return None, []
    own: list[_Pair] = []
    for level in image.levels:
        before = by_path.get(level.path)
        pair = None if before is None else scale_translation(before, ndim)
        if before is None or pair is None or canonical(before.then(whole[0].transform), ndim) != level.transform:
            return None, []
        own.append(pair)
    return scale_translation(whole[0].transform, ndim), own


def _dump_pair(pair: _Pair, moved: bool) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = [{"type": "scale", "scale": list(Scale(pair[0]).scale)}]
    if moved:
        out.append({"type": "translation", "translation": list(Translation(pair[1]).translation)})
    return out
