"""A layer and its stored arrays as an image: padding cut off, axes in order, positions at voxel centres."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from voxarium.errors import Code, FormatError
from voxarium.model.array_part import ArrayPart
from voxarium.model.axes import Axis, CoordinateSystem, guess_axis_type
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo, Bag, ChannelDisplay, Display, ImageInfo, LevelInfo, SourceRecord
from voxarium.model.transforms import scale_translation
from voxarium.spec.webknossos.geometry import LayerFrame, centre_transform, corner_of, layer_frame
from voxarium.spec.webknossos.properties import Layer, Mag, Properties

__all__ = ["FORMAT", "OWN_KEY", "StoredMag", "parse_image", "stored_names", "with_notes"]

FORMAT: Final = "webknossos"
OWN_KEY: Final = "voxarium"  # of an entry: a name unlike a folder's, hints for single channels
_SPACE: Final = ("z", "y", "x")
_REVERSED: Final = ("n5", "neuroglancerPrecomputed")  # their first axis runs fastest; arrays here show it last


@dataclass(frozen=True, slots=True)
class StoredMag:
    """A mag, the path of its array relative to the layer's folder, and the array as it is stored."""

    mag: Mag
    path: str
    array: ArrayInfo


def parse_image(properties: Properties, layer: Layer, stored: Sequence[StoredMag]) -> ImageInfo:
    """Return the image of a layer; its levels show parts of the stored arrays.

    Raises
    ------
    FormatError
        If an array does not fit what the layer says about it.
    """
    notes = list(layer.notes)
    frame = layer_frame(layer.transformations)
    if frame.note:
        notes.append(frame.note)
    levels: list[LevelInfo] = []
    names: tuple[str, ...] = ()
    for item in stored:
        level, shown = _level(properties, layer, frame, item)
        if levels and (shown != names or level.array.dtype != levels[0].array.dtype):
            raise _contradiction(layer, item, "has other axes or voxels of another type than the finest mag")
        names = shown
        levels.append(level)
    axes = levels[0].array.axes or ()
    _check_type(layer, levels[0], notes)
    if layer.data_format.startswith("zarr"):
        _note_repairs(layer, stored, levels, notes)
    edges = frame.edges(layer, properties.voxel_size, len(axes) - 3)
    record = SourceRecord(
        format=FORMAT,
        spec_version=str(properties.metadata.get("version", 1)),
        metadata={"layer": dict(layer.metadata), "dataset": dict(properties.metadata)},
        notes=tuple(notes),
    )
    return ImageInfo(
        format=FORMAT,
        axes=axes,
        levels=tuple(levels),
        name=_own_name(layer),
        role="label" if layer.category == "segmentation" else "intensity",
        spec_version=layer.data_format,
        systems=(CoordinateSystem(name="dataset", axes=axes),) if edges else (),
        edges=edges,
        largest_label=_largest(layer),
        display=_display(layer, _channels(levels[0])),
        bag=Bag(records=(record,)),
    )


def _contradiction(layer: Layer, item: StoredMag, what: str) -> FormatError:
    return FormatError(
        f"the array {item.path!r} of layer {layer.name} {what}",
        code=Code.METADATA_INVALID,
        fix="correct the entry of the layer in datasource-properties.json, or write the layer again",
    )


def _level(
    properties: Properties, layer: Layer, frame: LayerFrame, item: StoredMag
) -> tuple[LevelInfo, tuple[str, ...]]:
    """Return a level and the names of its axes."""
    names = stored_names(layer, item)
    places = {name: i for i, name in enumerate(names)}
    box = layer.level_box(item.mag.factors)
    origin, shape = [0] * len(names), list(item.array.shape)
    begins = _begin(layer, item, places)
    for axis, name in enumerate(_SPACE):
        origin[places[name]] = box.origin[axis] - begins[axis]
        shape[places[name]] = box.shape[axis]
    for extra in layer.additional_axes:
        origin[places[extra.name]], shape[places[extra.name]] = extra.origin, extra.length
    shown = [extra.name for extra in layer.additional_axes]
    if "c" in places:
        channel = item.mag.channel
        if channel is not None:
            if channel >= item.array.shape[places["c"]]:
                raise _contradiction(layer, item, f"has no channel {channel}")
            origin[places["c"]], shape[places["c"]] = channel, 1
        if shape[places["c"]] != 1:
            shown.append("c")
    shown += _SPACE
    part = ArrayPart(Box(tuple(origin), tuple(shape)), tuple(places[n] for n in shown))
    others = [e.origin for e in layer.additional_axes] + [0] * ("c" in shown)
    transform = centre_transform(box.origin, item.mag.factors, properties.voxel_size, frame, others)
    axes = tuple(_axis(n, properties.unit) for n in shown)
    if part == ArrayPart(Box.whole(item.array.shape), tuple(range(item.array.ndim))):
        # All of it as it stands: its chunks can then be taken over undecoded.
        array = replace(item.array, axes=axes)
        return LevelInfo(path=item.path, array=array, transform=transform), tuple(shown)
    return LevelInfo(path=item.path, array=part.shown(item.array, axes), transform=transform, part=part), tuple(shown)


def _axis(name: str, unit: str | None) -> Axis:
    return Axis(name=name, type=guess_axis_type(name), unit=unit if name in _SPACE else None)


def stored_names(layer: Layer, item: StoredMag) -> tuple[str, ...]:
    """Return the name of each axis of a stored array, as the layer tells; FormatError when that does not fit."""
    ndim = item.array.ndim
    own = tuple(a.name for a in item.array.axes or ())
    wanted = {"x", "y", "z", *(e.name for e in layer.additional_axes)}
    if layer.data_format == "wkw" or (layer.data_format in _REVERSED and wanted <= {*own} <= wanted | {"c"}):
        names = own
    else:
        names = _ordered(layer, item, ndim)
    if len(names) != ndim or not wanted <= {*names} <= wanted | {"c"}:
        raise _contradiction(layer, item, f"has {ndim} axes, of which the layer does not tell which is which")
    return names


def _ordered(layer: Layer, item: StoredMag, ndim: int) -> tuple[str, ...]:
    """Return names by ``axisOrder``, or by the order c, x, y, z that holds without one."""
    order = dict(item.mag.axis_order or {})
    if not order:
        usual = ["x", "y", "z"] if ndim == 3 + len(layer.additional_axes) else ["c", "x", "y", "z"]
        taken = {e.index for e in layer.additional_axes}
        free = [i for i in range(ndim) if i not in taken]
        order = dict(zip(usual, free, strict=False)) if len(free) == len(usual) else {}
    order |= {e.name: e.index for e in layer.additional_axes}
    if sorted(order.values()) == list(range(ndim + 1)) and "c" in order:
        # A container that does not show a single channel as an axis of its own.
        at = order.pop("c")
        order = {name: i - (i > at) for name, i in order.items()}
    if sorted(order.values()) != list(range(ndim)):
        return ()
    names = tuple(sorted(order, key=order.__getitem__))
    return names[::-1] if layer.data_format in _REVERSED else names


def _begin(layer: Layer, item: StoredMag, places: Mapping[str, int]) -> tuple[int, int, int]:
    """Return which voxel of the mag is the first stored one: 0, but for containers that know where they begin."""
    found = None
    if layer.data_format == "neuroglancerPrecomputed" and item.array.transform is not None:
        found = scale_translation(item.array.transform, item.array.ndim)
    if found is None:
        return 0, 0, 0
    corners = corner_of(*found)
    z, y, x = (math.floor(corners[places[n]] + 0.5) for n in _SPACE)
    return z, y, x


def _note_repairs(layer: Layer, stored: Sequence[StoredMag], levels: Sequence[LevelInfo], notes: list[str]) -> None:
    """Note what an OME-Zarr document beside the arrays, if there is one, gets wrong."""
    for item, level in zip(stored, levels, strict=True):
        part = level.part
        if part is None or (part.box.shape == item.array.shape and not any(part.box.origin)):
            continue
        notes.append(
            f"arrays of {layer.data_format} are padded and begin at voxel 0 of the dataset, which an OME-Zarr document "
            "beside them does not say: the part inside the bounding box is shown, at its true position"
        )
        return


def _channels(level: LevelInfo) -> int:
    names = [a.name for a in level.array.axes or ()]
    return level.array.shape[names.index("c")] if "c" in names else 1


def _check_type(layer: Layer, level: LevelInfo, notes: list[str]) -> None:
    """Note where the entry of the layer and the arrays disagree; the arrays are right."""
    found = level.array.dtype
    if layer.dtype != found:
        notes.append(f"elementClass is {layer.element_class!r} for {layer.channels} channels; the arrays hold {found}")
    if _channels(level) != layer.channels:
        notes.append(f"numChannels is {layer.channels}; the arrays have {_channels(level)}")


def _largest(layer: Layer) -> int | None:
    """Return the largest id of a segmentation, where the entry states a possible one."""
    found = layer.metadata.get("largestSegmentId")
    if layer.category != "segmentation" or not isinstance(found, int) or isinstance(found, bool):
        return None
    return found if 0 <= found < 2**64 else None


def _own_name(layer: Layer) -> str:
    """Return the image's name where it is another than the layer's, which is that of a folder."""
    own = layer.metadata.get(OWN_KEY)
    name = own.get("name") if isinstance(own, Mapping) else None
    return name if isinstance(name, str) else ""


def _display(layer: Layer, channels: int) -> Display:
    """Return hints from a layer's view configuration; all of it is in the source record too."""
    own = layer.metadata.get(OWN_KEY)
    items = own.get("channels") if isinstance(own, Mapping) else None
    if isinstance(items, list) and len(items) == channels and all(isinstance(i, Mapping) for i in items):
        return Display(channels=tuple(_channel(i, one=True) for i in items))
    if not layer.view:
        return Display()
    return Display(channels=(_channel(layer.view, one=channels == 1),) * min(channels, 256))


def _channel(view: Mapping[str, Any], *, one: bool) -> ChannelDisplay:
    label, color = view.get("label"), view.get("color")
    text = None
    if one and isinstance(color, list) and len(color) == 3 and all(_is_byte(v) for v in color):
        text = "".join(f"{int(v):02X}" for v in color)
    return ChannelDisplay(
        label=label if isinstance(label, str) else None,
        color=text,
        window=_range(view.get("intensityRange")),
        limits=_range([view.get("min"), view.get("max")]),
        active=view.get("isDisabled") is not True,
    )


def _is_byte(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 255


def _range(found: object) -> tuple[float, float] | None:
    if not isinstance(found, list) or len(found) != 2:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e300 for v in found):
        return None
    return float(found[0]), float(found[1])


def with_notes(image: ImageInfo, notes: Sequence[str]) -> ImageInfo:
    """Return the image with more notes in its source record."""
    if not notes:
        return image
    first, *others = image.bag.records
    first = replace(first, notes=(*first.notes, *notes))
    return replace(image, bag=replace(image.bag, records=(first, *others)))
