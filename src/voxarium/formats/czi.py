"""Zeiss CZI files, through pylibCZIrw (LGPL), the reader of their makers.

Spec: https://github.com/ZEISS/libczi. Scenes are images of their own. Each has the axes t, c, z, y, x, of which those
with one entry are left out but for y and x; colours are a last axis. Places that no tile covers are 0, as the library
gives them: the format has no other value for them. Levels of the file's own pyramid are not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, UnsupportedError
from voxarium.model.acquisition import Acquisition, ChannelFacts, ObjectiveFacts
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.protocols import ReadableStore
from voxarium.model.series_files import (
    Series,
    SeriesArrayDriver,
    SeriesCollectionDriver,
    SeriesImageDriver,
    local_file,
)
from voxarium.model.sources import missing_extra
from voxarium.model.transforms import Scale
from voxarium.model.xml_tree import Element, parse_xml

__all__ = ["CziArrayDriver", "CziCollectionDriver", "CziDriver"]

_SPEC: Final = "https://github.com/ZEISS/libczi"
_SUFFIXES: Final = (".czi",)
_TYPES: Final = {
    "Gray8": ("u1", 1), "Gray16": ("u2", 1), "Gray32Float": ("f4", 1), "Bgr24": ("u1", 3), "Bgr48": ("u2", 3),
}  # fmt: skip
_ELSE: Final = frozenset("TCZXYSMB")  # scenes and tiles are resolved by the library; B is obsolete
_TILE: Final = 1024


class _Reader:
    """An open file."""

    def __init__(self, local: str, where: str) -> None:
        try:
            from pylibCZIrw.czi import CziReader
        except ImportError as error:
            raise missing_extra("czi", f"reading {where} needs pylibCZIrw") from error
        self._file = CziReader(local)
        self._box: Mapping[str, tuple[int, int]] = self._file.total_bounding_box
        self._scenes = dict(sorted(self._file.scenes_bounding_rectangle.items()))
        self._series: tuple[Series, ...] | None = None
        self._where = where

    def series(self) -> Sequence[Series]:
        """Describe every scene."""
        if self._series is None:
            root = parse_xml(self._file.raw_metadata.encode(), self._where)
            self._series = tuple(self._described(n, root) for n in range(max(1, len(self._scenes))))
        return self._series

    def read_plane(self, number: int, index: tuple[int, ...], box: Box, /) -> NDArray[Any]:
        """Return part of a plane."""
        x, y, _, _ = self._rectangle(number)
        names = [n for n in "TCZ" if self._length(n) > 1]
        plane = {n: self._box[n][0] for n in "TCZ" if n in self._box}
        plane |= {n: self._box[n][0] + i for n, i in zip(names, index, strict=True)}
        roi = (x + box.origin[1], y + box.origin[0], box.shape[1], box.shape[0])
        scene = list(self._scenes)[number] if self._scenes else None
        got: NDArray[Any] = self._file.read(roi=roi, plane=plane, scene=scene, zoom=1.0, pixel_type=self._pixel_type())
        if got.shape[-1] == 1:
            return got[..., 0]
        first = box.origin[2]
        return got[..., ::-1][..., first : first + box.shape[2]]  # stored as blue, green, red

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _pixel_type(self) -> str:
        types = set(self._file.pixel_types.values())
        if len(types) != 1 or not types <= _TYPES.keys():
            raise UnsupportedError(
                f"{self._where} holds voxels of types {', '.join(sorted(types))}",
                code=Code.DTYPE_UNSUPPORTED,
                fix=f"save its channels with one of the types {', '.join(_TYPES)}",
            )
        return str(types.pop())

    def _length(self, name: str) -> int:
        start, stop = self._box.get(name, (0, 1))
        return max(1, stop - start)

    def _rectangle(self, number: int) -> tuple[int, int, int, int]:
        found = list(self._scenes.values())[number] if self._scenes else self._file.total_bounding_rectangle
        return found.x, found.y, found.w, found.h

    def _described(self, number: int, root: Element) -> Series:
        extra = sorted(n for n in self._box if n not in _ELSE and self._length(n) > 1)
        if extra:
            raise UnsupportedError(
                f"{self._where} has the further axes {', '.join(extra)}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="save one of their entries as a file of its own",
            )
        code, samples = _TYPES[self._pixel_type()]
        _, _, width, height = self._rectangle(number)
        names = [n for n in "TCZ" if self._length(n) > 1]
        shape = (*(self._length(n) for n in names), height, width, *((samples,) if samples > 1 else ()))
        steps = _steps(root)
        channels = _channels(root, self._length("C"))
        labels = tuple(c.name for c in channels) if all(c.name for c in channels) else ()
        axes = [_axis(n.lower(), n in steps, labels) for n in [*names, "Y", "X"]]
        if samples > 1:
            axes.append(Axis(name="c" if "C" not in names else "sample", type="channel"))
        scale = [steps.get(n, 1.0) for n in [*names, "Y", "X"]] + [1.0] * (samples > 1)
        plane = (min(height, _TILE), min(width, _TILE), *((samples,) if samples > 1 else ()))
        scene = list(self._scenes)[number] if self._scenes else 0
        return Series(
            name=_scene_name(root, scene) or (f"scene {scene}" if len(self._scenes) > 1 else ""),
            shape=shape,
            dtype=np.dtype(code),
            axes=tuple(axes),
            plane_axes=len(plane),
            chunk_shape=plane,
            transform=Scale(tuple(scale)) if steps else None,
            acquisition=_acquisition(root, channels),
            metadata={"xml": self._file.raw_metadata},
        )


def _axis(name: str, sized: bool, labels: tuple[str, ...]) -> Axis:
    if name == "t":
        return Axis(name="t", type="time", unit="second" if sized else None)
    if name == "c":
        return Axis(name="c", type="channel", labels=labels)
    return Axis(name=name, type="space", unit="micrometer" if sized else None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e100 else None


def _steps(root: Element) -> dict[str, float]:
    """Return the size of a voxel in micrometers and, where it is stated, the interval in seconds, by axis."""
    items = root.find("Metadata", "Scaling", "Items")
    out = {}
    for item in () if items is None else items.iter("Distance"):
        value = _number(item.content("Value"))
        if value and value > 0:
            out[item.attributes.get("Id", "")] = float(f"{value * 1e6:.12g}")
    interval = _number(
        root.content("Metadata", "Information", "Image", "Dimensions", "T", "Positions", "Interval", "Increment")
    )
    return {n: v for n, v in out.items() if n in "XYZ"} | ({"T": interval} if interval and interval > 0 else {})


def _channels(root: Element, count: int) -> tuple[ChannelFacts, ...]:
    found = root.find("Metadata", "Information", "Image", "Dimensions", "Channels")
    shown = root.find("Metadata", "DisplaySetting", "Channels")
    colors = {}
    for entry in () if shown is None else shown.iter("Channel"):
        text = entry.content("Color").lstrip("#")
        if len(text) in (6, 8):
            colors[entry.attributes.get("Id", "")] = text[-6:].upper()
    out = []
    for entry in () if found is None else list(found.iter("Channel"))[:count]:
        exposure = _number(entry.content("ExposureTime"))  # nanoseconds
        out.append(
            ChannelFacts(
                name=entry.attributes.get("Name", ""),
                fluor=entry.content("Fluor"),
                color=colors.get(entry.attributes.get("Id", "")),
                excitation=_number(entry.content("ExcitationWavelength")),
                emission=_number(entry.content("EmissionWavelength")),
                exposure=None if exposure is None else float(f"{exposure * 1e-9:.12g}"),
                mode=entry.content("AcquisitionMode"),
                contrast=entry.content("ContrastMethod"),
                illumination=entry.content("IlluminationType"),
            )
        )
    return tuple(out) if len(out) == count else ()


def _acquisition(root: Element, channels: tuple[ChannelFacts, ...]) -> Acquisition:
    information = root.find("Metadata", "Information") or Element("Information")
    lens = information.find("Instrument", "Objectives", "Objective")
    objective = None
    if lens is not None:
        objective = ObjectiveFacts(
            model=lens.attributes.get("Name", "") or lens.content("Manufacturer", "Model"),
            magnification=_number(lens.content("NominalMagnification")),
            aperture=_number(lens.content("LensNA")),
            immersion=lens.content("Immersion"),
        )
    return Acquisition(
        date=information.content("Image", "AcquisitionDateAndTime"),
        description=information.content("Document", "Description"),
        instrument=information.content("Instrument", "Microscopes", "Microscope", "System"),
        objective=objective,
        channels=channels,
    )


def _scene_name(root: Element, scene: int) -> str:
    found = root.find("Metadata", "Information", "Image", "Dimensions", "S", "Scenes")
    for entry in () if found is None else found.iter("Scene"):
        if entry.attributes.get("Index") == str(scene):
            return entry.attributes.get("Name", "")
    return ""


class _Czi:
    """What the drivers share."""

    name = "czi"
    spec_url = _SPEC
    suffixes: tuple[str, ...] = _SUFFIXES
    extra = "czi"

    def accepts(self, head: bytes) -> bool:
        """Tell by the first bytes whether this is such a file."""
        return head.startswith(b"ZISRAWFILE")

    def begin(self, store: ReadableStore, path: str) -> _Reader:
        """Open a file."""
        return _Reader(local_file(store, path, "pylibCZIrw"), path)


class CziArrayDriver(SeriesArrayDriver, of=_Czi()):
    """Reads one scene."""


class CziDriver(SeriesImageDriver, of=_Czi()):
    """One scene with its metadata."""


class CziCollectionDriver(SeriesCollectionDriver, of=_Czi()):
    """The scenes of a file."""
