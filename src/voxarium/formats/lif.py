"""Leica LIF files, through liffile (BSD).

Spec: "LIF file format", Leica Microsystems, which comes with LAS AF; read by https://github.com/cgohlke/liffile. Every
image of a project is a series. Axes are in the order in which they are stored, without those of one entry; lengths are
in micrometers and times in seconds. Channels of colour cameras are a last axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.model.acquisition import Acquisition, ChannelFacts
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.protocols import ReadableStore
from voxarium.model.series_files import (
    Series,
    SeriesArrayDriver,
    SeriesCollectionDriver,
    SeriesImageDriver,
    binary_file,
)
from voxarium.model.sources import missing_extra
from voxarium.model.transforms import Scale

__all__ = ["LifArrayDriver", "LifCollectionDriver", "LifDriver"]

_SPEC: Final = "https://github.com/cgohlke/liffile"
_SUFFIXES: Final = (".lif",)
_DESCRIPTION: Final = "./Data/Image/ImageDescription/"
_COLORS: Final = {
    "blue": "0000FF", "green": "00FF00", "red": "FF0000", "cyan": "00FFFF", "magenta": "FF00FF", "yellow": "FFFF00",
    "gray": "FFFFFF", "grey": "FFFFFF",
}  # fmt: skip
_MOST_DEPTH: Final = 32
_MOST_ENTRIES: Final = 200_000


class _Reader:
    """An open file."""

    def __init__(self, store: ReadableStore, path: str) -> None:
        try:
            from liffile import LifFile
        except ImportError as error:
            raise missing_extra("lif", f"reading {path} needs liffile") from error
        with ExitStack() as stack:
            self._binary = stack.enter_context(binary_file(store, path))
            self._file = LifFile(self._binary)
            self._images = list(self._file.images)
            stack.pop_all()
        self._series: tuple[Series, ...] | None = None

    def series(self) -> Sequence[Series]:
        """Describe every image."""
        if self._series is None:
            self._series = tuple(_described(image) for image in self._images)
        return self._series

    def read_plane(self, number: int, index: tuple[int, ...], box: Box, /) -> NDArray[Any]:
        """Return part of a plane."""
        frames = self._images[number].frames
        frame: NDArray[Any] = frames[tuple(index)] if index else frames[0]
        return frame[box.slices]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        self._binary.close()


def _described(image: Any) -> Series:  # Any: the library is not typed for us
    inner = list(image.frames.frame_dims)
    lead = [letter for letter in image.frames.dims if letter not in inner]
    shape = (*(image.frames.sizes[letter] for letter in lead), *image.frames.frame_shape)
    steps = dict(_steps(image.xml_element))
    channels = tuple(_channels(image.xml_element))
    axes: list[Axis] = []
    for letter, length in zip([*lead, *inner], shape, strict=True):
        axes.append(_axis(letter, letter in steps, {a.name for a in axes}, channels, length))
    scale = tuple(steps.get(letter, 1.0) for letter in [*lead, *inner])
    named = next((a.labels for a in axes if a.type == "channel"), ())
    return Series(
        name=image.path if hasattr(image, "path") else image.name,
        shape=tuple(map(int, shape)),
        dtype=np.dtype(image.dtype).newbyteorder("="),
        axes=tuple(axes),
        plane_axes=len(inner),
        transform=Scale(scale) if steps else None,
        acquisition=Acquisition(
            date=_date(image), channels=channels if len(channels) == max(1, len(named)) or not named else ()
        ),
        metadata=_json(image.xml_element, _Budget()),
    )


def _axis(letter: str, sized: bool, taken: set[str], channels: Sequence[ChannelFacts], length: int) -> Axis:
    if letter in "XYZ":
        return Axis(name=letter.lower(), type="space", unit="micrometer" if sized else None)
    if letter == "T":
        return Axis(name="t", type="time", unit="second" if sized else None)
    if letter in "CS" and "c" not in taken:
        names = tuple(c.name for c in channels)
        known = letter == "C" and len(names) == length and all(names)
        return Axis(name="c", type="channel", labels=names if known else ())
    name = letter.lower()
    return Axis(name=name if name not in taken else f"{name}_{len(taken)}", type="other")


def _steps(element: Any) -> Iterable[tuple[str, float]]:  # Any: an element of ElementTree
    """Yield axis and distance between its entries, in micrometers or seconds."""
    for entry in element.findall(_DESCRIPTION + "Dimensions/DimensionDescription"):
        letter = {"1": "X", "2": "Y", "3": "Z", "4": "T"}.get(entry.get("DimID", ""))
        count, length = int(entry.get("NumberOfElements", "1")), abs(float(entry.get("Length", "0")))
        factor = {"m": 1e6, "mm": 1e3, "µm": 1.0, "um": 1.0, "s": 1.0, "": 1e6}.get(entry.get("Unit", ""))
        if letter and factor and count > 1 and 0 < length < 1e9:
            yield letter, float(f"{length * factor / (count - 1):.12g}")


def _channels(element: Any) -> Iterable[ChannelFacts]:  # Any: an element of ElementTree
    for entry in element.findall(_DESCRIPTION + "Channels/ChannelDescription"):
        properties = {p.findtext("Key", ""): p.findtext("Value", "") for p in entry.findall("ChannelProperty")}
        lut = entry.get("LUTName", "")
        yield ChannelFacts(
            name=properties.get("DyeName", "") or entry.get("NameOfMeasuredQuantity", "") or lut,
            fluor=properties.get("DyeName", ""),
            color=_COLORS.get(lut.lower()),
            extra={"lut": lut} | {k: v for k, v in properties.items() if k and v},
        )


def _date(image: Any) -> str:  # Any: the library is not typed for us
    stamps = image.timestamps
    return "" if stamps is None or len(stamps) == 0 else str(np.datetime_as_string(stamps[0], unit="s"))


class _Budget:
    """How many entries of a document may still be carried."""

    def __init__(self) -> None:
        self.left = _MOST_ENTRIES


def _json(element: Any, budget: _Budget, depth: int = 0) -> dict[str, Any]:  # Any: an element; JSON
    """Return an element as JSON: attributes by name, children as lists by tag, text as ``#text``."""
    out: dict[str, Any] = dict(element.attrib)
    text = (element.text or "").strip()
    if text:
        out["#text"] = text
    for child in element:
        budget.left -= 1
        # The time stamp of every plane would be most of the document, and other images have documents of their own.
        if depth >= _MOST_DEPTH or budget.left < 0 or child.tag in ("TimeStampList", "TimeStamp", "Children"):
            continue
        out.setdefault(f"{child.tag}" if child.tag not in element.attrib else f"{child.tag}[]", []).append(
            _json(child, budget, depth + 1)
        )
    return out


class _Lif:
    """What the drivers share."""

    name = "lif"
    spec_url = _SPEC
    suffixes: tuple[str, ...] = _SUFFIXES
    extra = "lif"

    def accepts(self, head: bytes) -> bool:
        """Tell by the first bytes whether this is such a file."""
        return head.startswith(b"\x70\0\0\0") and head[8:9] == b"\x2a"

    def begin(self, store: ReadableStore, path: str) -> _Reader:
        """Open a file, wherever it is."""
        return _Reader(store, path)


class LifArrayDriver(SeriesArrayDriver, of=_Lif()):
    """Reads one image."""


class LifDriver(SeriesImageDriver, of=_Lif()):
    """One image with its metadata."""


class LifCollectionDriver(SeriesCollectionDriver, of=_Lif()):
    """The images of a project."""
