"""What the images of TIFF files are: axes, levels in the world, names, colours, and everything carried along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from voxarium.codecs.tiff import TiffLevel, TiffSeries
from voxarium.formats.tiff.files import Opened, stated
from voxarium.model.acquisition import Acquisition
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, Bag, ChannelDisplay, ImageInfo, LevelInfo, Role, SourceRecord
from voxarium.model.image import Display as DisplayHints
from voxarium.model.transforms import Identity, Scale, Transform, Translation, scale_translation
from voxarium.spec.ome_xml import OME_XML, RECORD, OmeImage, only_image
from voxarium.spec.tiff_metadata import PlaneMetadata, axes_of, parse_stated

__all__ = ["SOURCE_METADATA", "array_info", "image_info"]

SOURCE_METADATA: Final = "source_metadata"
"""The key under which an image carries what its file said in dialects other than OME-XML (`Bag.extra`)."""

_MOST_CARRIED: Final = 32 << 20
# Keys of ImageJ that say no more than axes, voxel sizes and levels do.
_TRIVIAL: Final = frozenset(
    {"ImageJ", "images", "slices", "frames", "channels", "hyperstack", "unit", "spacing", "finterval", "fps", "mode",
     "loop", "min", "max", "axes", "order", "yunit", "zunit", "vunit", "cunit"}
)  # fmt: skip
# Tags that say something about the image; the others say how it is stored, or which program stored it.
_TELLING: Final = frozenset(
    {"ImageDescription", "DocumentName", "PageName", "Make", "Model", "Artist", "HostComputer", "Copyright", "DateTime"}
)
_ROLES: Final[Mapping[str, Role]] = {"label": "label", "prediction": "prediction"}


@dataclass(frozen=True, slots=True)
class _About:
    """What is known of one image."""

    series: TiffSeries
    ome: OmeImage | None
    found: PlaneMetadata

    @property
    def private(self) -> Mapping[str, Any]:  # Any: JSON
        return {} if self.ome is None else self.ome.private


def _about(opened: Opened, number: int) -> _About:
    series = opened.images[number]
    ome = opened.described(number)
    if ome is None:
        return _About(series, None, parse_stated(series.kind, stated(opened), series.resolution))
    labels = ome.acquisition.labels()
    displays = _windowed(ome.private.get("windows"), len(ome.acquisition.channels))
    found = PlaneMetadata(
        sizes=ome.physical, channels=labels, name=ome.name, acquisition=ome.acquisition, displays=displays
    )
    return _About(series, ome, found)


def _windowed(windows: Any, count: int) -> tuple[ChannelDisplay, ...]:  # Any: JSON
    if not isinstance(windows, list) or len(windows) != count:
        return ()
    out = []
    for found in windows:
        fine = isinstance(found, list) and len(found) in (2, 4) and all(type(v) in (int, float) for v in found)
        pairs = [(float(found[i]), float(found[i + 1])) for i in range(0, len(found), 2)] if fine else []
        window, limits = (*pairs, None, None)[:2]
        out.append(ChannelDisplay(window=window, limits=limits))
    return tuple(out)


def _geometry(about: _About, level: TiffLevel) -> tuple[tuple[Axis, ...] | None, Transform | None]:
    """Return axes and transform of the finest level."""
    axes, transform = axes_of(level.letters, about.found, level.shape)
    private = about.private.get("geometry")
    if axes is None or not isinstance(private, Mapping):
        return axes, transform
    names = [a.name for a in axes]
    stated_names = private.get("axes")
    if not isinstance(stated_names, list) or not set(names) <= {n for n in stated_names if isinstance(n, str)}:
        return axes, transform
    columns = [private.get(k) for k in ("units", "scale", "translation")]
    if not all(isinstance(c, list) and len(c) == len(stated_names) for c in columns):
        return axes, transform
    order = [stated_names.index(n) for n in names]
    units, scale, shift = ([c[i] for i in order] for c in columns if isinstance(c, list))
    if not all(type(v) in (int, float) and -1e300 < v < 1e300 for v in (*scale, *shift)) or 0 in scale:
        return axes, transform
    axes = tuple(replace(a, unit=u if isinstance(u, str) else None) for a, u in zip(axes, units, strict=True))
    return axes, Scale(tuple(map(float, scale))).then(Translation(tuple(map(float, shift))))


def _coarser(finest: Transform, fine: tuple[int, ...], coarse: tuple[int, ...]) -> Transform:
    """Return the transform of a level from the sizes; each of its voxels stands for a window of finer ones."""
    factors = tuple(_factor(a, b) for a, b in zip(fine, coarse, strict=True))
    own = Scale(factors).then(Translation(tuple((f - 1) / 2 for f in factors)))
    placed = scale_translation(own.then(finest), len(fine))
    return own.then(finest) if placed is None else Scale(placed[0]).then(Translation(placed[1]))


def _factor(fine: int, coarse: int) -> float:
    nearest = max(1, round(fine / max(coarse, 1)))
    whole = coarse in (fine // nearest, -(-fine // nearest))
    return float(nearest) if whole else fine / coarse


def array_info(driver: str, opened: Opened, number: int, level: int, levels: Sequence[TiffLevel]) -> ArrayInfo:
    """Return one level as an array."""
    one = levels[level]
    about = _about(opened, number)
    axes, transform = _geometry(about, levels[0])
    if transform is not None and level and len(one.shape) == len(levels[0].shape):
        transform = _coarser(transform, levels[0].shape, one.shape)
    attributes: dict[str, Any] = {"tiff": {"axes": one.letters}}  # Any: JSON
    if opened.file is not None:
        attributes["tiff"]["pages"] = opened.file.pages
    x, y, unit = about.series.resolution
    if (x, y) != (None, None):
        attributes["tiff"]["resolution"] = {"x": x, "y": y, "per": unit or "unknown"}
    missing = opened.missing.get(number, 0)
    return ArrayInfo(
        format=driver,
        shape=one.shape,
        dtype=one.dtype,
        chunk_shape=one.chunk_shape,
        contiguous=one.flat,
        codecs=("tiff", one.compression),
        axes=axes,
        transform=transform,
        attributes=attributes,
        remarks=(f"{missing} planes are in no file: they read as 0",) if missing else (),
        details=replace(one, starts=None) if one.starts is None else one,
    )


def image_info(
    driver: str, opened: Opened, number: int, arrays: Sequence[tuple[str, ArrayInfo]], levels: Sequence[TiffLevel]
) -> ImageInfo:
    """Return an image of the levels that were opened, with their paths."""
    about = _about(opened, number)
    axes, transform = _geometry(about, levels[0])
    notes = list(() if about.ome is None else about.ome.notes)
    finest = arrays[0][1]
    fitting = [a for a in arrays if a[1].ndim == finest.ndim and a[1].dtype == finest.dtype]
    if len(fitting) < len(arrays):
        notes.append(f"{len(arrays) - len(fitting)} levels have other axes or another type; left out")
    base = transform or Identity()
    infos = tuple(
        LevelInfo(
            path=path, array=array, transform=base if array is finest else _coarser(base, finest.shape, array.shape)
        )
        for path, array in fitting
    )
    facts = about.found.acquisition
    role = _ROLES.get(str(about.private.get("role")), "intensity")
    displays = _displays(about, axes, finest.shape)
    return ImageInfo(
        format=driver,
        axes=axes or tuple(Axis(name=f"dim_{i}") for i in range(finest.ndim)),
        axes_stated=axes is not None,
        levels=infos,
        name=about.found.name or (about.series.name if len(opened.images) > 1 else ""),
        role=role,
        display=DisplayHints(channels=displays),
        bag=_bag(opened, number, about, facts, notes),
    )


def _displays(about: _About, axes: tuple[Axis, ...] | None, shape: tuple[int, ...]) -> tuple[ChannelDisplay, ...]:
    """Return how channels are shown, where as many are described as there are."""
    found = about.found.acquisition.displays(about.found.displays)
    count = next((n for a, n in zip(axes or (), shape, strict=False) if a.name == "c"), 1)
    return found if len(found) == count else ()


def _bag(opened: Opened, number: int, about: _About, facts: Acquisition, notes: list[str]) -> Bag:
    extra: dict[str, Any] = dict(facts.carried())  # Any: JSON
    private = about.private.get("extra")
    if isinstance(private, Mapping):
        extra |= {k: v for k, v in private.items() if isinstance(k, str)}
    records = []
    if opened.document is not None and opened.raw is not None:
        records.append(SourceRecord(format=RECORD, metadata={"image": number}, header=opened.raw, notes=tuple(notes)))
        if about.ome is not None:
            text = only_image(opened.document, number)
            if len(text) <= _MOST_CARRIED:
                extra[OME_XML] = text.decode()
    found = stated(opened)
    if found:
        records.append(SourceRecord(format="tiff", metadata=found))
    if about.ome is None:
        telling = _telling(found)
        if telling:
            extra[SOURCE_METADATA] = telling
    return Bag(records=tuple(records), extra=extra)


def _telling(found: Mapping[str, Any]) -> dict[str, Any]:  # Any: JSON
    """Return what is worth carrying into another format."""
    out = {kind: value for kind, value in found.items() if kind not in ("tags", "imagej")}
    imagej = found.get("imagej")
    if isinstance(imagej, Mapping) and not set(imagej) <= _TRIVIAL:
        out["imagej"] = imagej
    tags = {k: v for k, v in found.get("tags", {}).items() if k in _TELLING}
    description = tags.get("ImageDescription")
    told = isinstance(description, str) and (
        not description or "imagej" in found or "svs" in found or description.startswith(('{"shape":', "ImageJ="))
    )
    if told:
        tags.pop("ImageDescription")
    return out | ({"tags": tags} if tags else {})
