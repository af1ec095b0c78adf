"""An image as a layer: the entry of ``datasource-properties.json``, added to what the document holds already."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.axes import SPACE_UNITS, canonical_unit, unit_factor
from voxarium.model.fields import dump_json, parse_json_object
from voxarium.model.image import ChannelDisplay, ImageInfo
from voxarium.model.transforms import scale_translation
from voxarium.spec.webknossos.geometry import native_corner
from voxarium.spec.webknossos.image import FORMAT, OWN_KEY
from voxarium.spec.webknossos.properties import DOCUMENT, parse_properties

__all__ = ["check_image", "check_layer_name", "dump_properties"]

_NAME: Final = re.compile(r"[A-Za-z0-9_$@\-]+[A-Za-z0-9_$@\-.]*\Z", re.ASCII)
_TOLERANCE: Final = 1e-6
_AXES: Final = (("z", "y", "x"), ("z", "y", "x", "c"))
# What an entry says about its voxels; everything else of an entry that an image came from is carried along.
_STRUCTURE: Final = frozenset(
    {
        "name", "category", "boundingBox", "dataFormat", "mags", "wkwResolutions", "numChannels", "elementClass",
        "largestSegmentId", "mappings", "attachments", "coordinateTransformations", "additionalAxes", "cubeLength",
        "defaultViewConfiguration", OWN_KEY,
    }
)  # fmt: skip
Triple = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the levels of an image lie, along z, y, x.

    `size` is that of a voxel of level 0; `shift` the world position of voxel 0's corner, but for the voxels that files
    begin at, `corner`; `ratios` are voxels of level 0 per voxel of each level.
    """

    size: Triple
    shift: Triple
    corner: tuple[int, ...]
    ratios: tuple[tuple[int, ...], ...]
    unit: str


def _refuse(message: str, fix: str, code: Code = Code.TRANSFORM_INVALID) -> InputError:
    return InputError(message, code=code, fix=fix)


def check_layer_name(name: str) -> None:
    """Raise InputError unless a layer may have this name."""
    if not _NAME.match(name):
        raise _refuse(
            f"{name!r} cannot be the name of a layer",
            "end the target's path with a name of letters, digits, _, $, @ and -",
            Code.ARGUMENT_INVALID,
        )


def check_image(image: ImageInfo) -> None:
    """Raise InputError unless a layer can hold the axes, units and positions of an image."""
    _grid(image)


def _grid(image: ImageInfo) -> _Grid:
    names = tuple(a.name for a in image.axes)
    if names not in _AXES:
        raise _refuse(
            f"a layer has the axes z, y, x and perhaps c, not {', '.join(names)}",
            "write one image for each time point",
            Code.AXES_MISMATCH,
        )
    unit = canonical_unit(image.axes[0].unit or "")
    if unit not in SPACE_UNITS:
        raise _refuse(
            f"a layer needs a unit of length, not {image.axes[0].unit!r}",
            "give --unit, such as nanometer",
            Code.UNIT_UNKNOWN,
        )
    factors = [unit_factor(a.unit or "", unit) for a in image.axes[:3]]
    places = [_place(image, i, factors) for i in range(len(image.levels))]
    size, shift, corner = places[0]
    ratios = []
    for number, (other, begins, _) in enumerate(places):
        ratio = tuple(round(b / a) if abs(b / a) < 2**31 else 0 for a, b in zip(size, other, strict=True))
        exact = all(
            n >= 1 and abs(b - n * a) <= _TOLERANCE * abs(a) for n, a, b in zip(ratio, size, other, strict=True)
        )
        same = all(abs(a - b) <= _TOLERANCE * abs(s) for a, b, s in zip(shift, begins, size, strict=True))
        if not exact or not same:
            raise _refuse(
                f"level {number} is not level 0 in windows of whole voxels: WEBKNOSSOS has no place for it",
                "use another method than stride, fewer levels, or a translation of a multiple of the coarsest voxel",
            )
        ratios.append(ratio)
    return _Grid(size, shift, corner, tuple(ratios), unit)


def _place(image: ImageInfo, number: int, factors: Sequence[float]) -> tuple[Triple, Triple, tuple[int, ...]]:
    """Return voxel size, remaining shift and first voxel of a level."""
    level = image.levels[number]
    found = scale_translation(level.transform, len(image.axes))
    if found is None:
        raise _refuse(
            f"level {number} is rotated or sheared",
            "give the voxel size to write it unrotated; its own transform is then not applied",
        )
    scale, translation = found
    if (scale[3:], translation[3:]) not in (((), ()), ((1.0,), (0.0,))):
        raise _refuse("channels have a position or a distance, which a layer does not know", "give channels scale 1")
    corner = native_corner(level.transform, level.array.shape)
    size = tuple(s * f for s, f in zip(scale, factors, strict=False))
    shift = tuple((t - (n + 0.5) * s) * f for t, s, n, f in zip(translation, scale, corner, factors, strict=False))
    return size, shift, corner


def dump_properties(name: str, image: ImageInfo, existing: bytes | None, data_format: str = "wkw") -> bytes:
    """Return the document with an entry for the image, in place of any of that name.

    `data_format` is that of the arrays, ``wkw`` or ``zarr3``.

    Raises
    ------
    InputError
        If a layer cannot hold the image, or cannot have the name.
    FormatError
        If the present document cannot be read.
    """
    check_layer_name(name)
    grid = _grid(image)
    record = next((r for r in image.bag.records if r.format == FORMAT), None)
    stated = record.metadata if record is not None else {}
    document = _new_document(name, grid, stated) if existing is None else parse_json_object(existing, DOCUMENT)
    properties = parse_properties(dump_json(document), DOCUMENT)
    if properties.unit is None:
        raise FormatError(
            f"{DOCUMENT} states no unit of length that is known",
            code=Code.METADATA_INVALID,
            fix='correct its scale, such as {"factor": [8, 8, 40], "unit": "nanometer"}',
        )
    factor = unit_factor(grid.unit, properties.unit)
    relative = tuple(s * factor / v for s, v in zip(grid.size, properties.voxel_size, strict=True))
    first = tuple(round(r) for r in relative)
    if any(n < 1 or abs(r - n) > 1e-9 * n for r, n in zip(relative, first, strict=True)):
        first = (1, 1, 1)
    stretch = tuple(_tidy(r / n) for r, n in zip(relative, first, strict=True))
    shift = tuple(_tidy(s * factor / v) for s, v in zip(grid.shift, properties.voxel_size, strict=True))
    entry = _entry(name, image, grid, first, data_format)
    if any(s != 1 for s in stretch) or any(shift):
        entry["coordinateTransformations"] = [{"type": "affine", "matrix": _matrix(stretch, shift)}]
    entry |= _view(name, image, stated.get("layer"))
    layers = document["dataLayers"]
    at = next((i for i, e in enumerate(layers) if isinstance(e, dict) and e.get("name") == name), len(layers))
    document["dataLayers"] = [*layers[:at], entry, *layers[at + 1 :]]
    return dump_json(document)


def _new_document(name: str, grid: _Grid, stated: Mapping[str, Any]) -> dict[str, Any]:
    dataset = stated.get("dataset")
    known = dataset.get("id") if isinstance(dataset, Mapping) else None
    title = known.get("name") if isinstance(known, Mapping) else None
    z, y, x = (abs(s) for s in grid.size)
    return {
        "id": {"name": title if isinstance(title, str) and title else name, "team": ""},
        "scale": {"factor": [x, y, z], "unit": grid.unit},
        "dataLayers": [],
        "version": 1,
    }


def _entry(name: str, image: ImageInfo, grid: _Grid, first: Sequence[int], data_format: str) -> dict[str, Any]:
    array = image.levels[0].array
    channels = array.shape[3] if array.ndim == 4 else 1
    z, y, x = (n * m for n, m in zip(array.shape[:3], first, strict=True))
    mags = []
    for level, ratio in zip(image.levels, grid.ratios, strict=True):
        mag: dict[str, Any] = {
            "mag": [n * m for n, m in zip(ratio, first, strict=True)][::-1],
            "path": f"./{name}/{level.path}",
        }
        if data_format == "wkw":
            mag["cubeLength"] = level.array.object_shape[0]
        mags.append(mag | {"axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}})
    labels = image.role == "label"
    largest = {"largestSegmentId": image.largest_label} if labels and image.largest_label is not None else {}
    return {
        "name": name,
        "category": "segmentation" if labels else "color",
        "boundingBox": {
            "topLeft": [n * m for n, m in zip(grid.corner, first, strict=True)][::-1],
            "width": x,
            "height": y,
            "depth": z,
        },
        "dataFormat": data_format,
        "mags": mags,
        "numChannels": channels,
        "elementClass": _element_class(array.dtype.name, array.dtype.itemsize * 8 * channels),
        **largest,
    }


def _element_class(dtype: str, bits: int) -> str:
    """Return the element class: its bits are those of all channels together."""
    kind = dtype.rstrip("0123456789")
    return {"float32": "float", "float64": "double"}.get(f"{kind}{bits}", f"{kind}{bits}")


def _tidy(value: float) -> float:
    """Return a number, or the whole one it is but for rounding."""
    near = round(value)
    return float(near) if abs(value - near) <= 1e-12 * max(1.0, abs(value)) else value


def _matrix(stretch: Sequence[float], shift: Sequence[float]) -> list[list[float]]:
    rows = [[0.0] * 4 for _ in range(4)]
    for row, (s, t) in enumerate(zip(stretch[::-1], shift[::-1], strict=True)):
        rows[row][row], rows[row][3] = s, t
    rows[3][3] = 1.0
    return rows


def _view(name: str, image: ImageInfo, stated: object) -> dict[str, Any]:
    """Return display hints, and what the entry the image came from says besides."""
    known: Mapping[str, Any] = stated if isinstance(stated, Mapping) else {}
    entry = {k: v for k, v in known.items() if k not in _STRUCTURE}
    own: dict[str, Any] = {} if image.name in ("", name) else {"name": image.name}
    found = known.get("defaultViewConfiguration")
    view = dict(found) if isinstance(found, Mapping) else {}
    channels = image.display.channels
    if channels:
        hints = _hints(channels[0])
        view = {k: v for k, v in view.items() if k not in ("color", "intensityRange", "min", "max", "isDisabled")}
        view |= hints
        if any(c.label for c in channels) or any(_hints(c) != hints for c in channels):
            own["channels"] = [{"label": c.label, **_hints(c)} for c in channels]
    if own:
        entry[OWN_KEY] = own
    if view:
        entry["defaultViewConfiguration"] = view
    return entry


def _hints(channel: ChannelDisplay) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    if channel.color is not None:
        hints["color"] = [int(channel.color[i : i + 2], 16) for i in (0, 2, 4)]
    if channel.window is not None:
        hints["intensityRange"] = [_plain(v) for v in channel.window]
    if channel.limits is not None:
        hints["min"], hints["max"] = (_plain(v) for v in channel.limits)
    if not channel.active:
        hints["isDisabled"] = True
    return hints


def _plain(value: float) -> float:
    return int(value) if math.isfinite(value) and float(value).is_integer() else value
