"""Nikon ND2 files, through nd2 (BSD).

Spec: none is public; read by https://github.com/tlambert03/nd2. Stage positions are series of their own. The other
loops of the experiment are axes in their order, then c, y, x; colours of a camera are a last axis. Stage positions,
times, wavelengths and the whole of the file's metadata are carried along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, is_dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.model.acquisition import Acquisition, ChannelFacts, ObjectiveFacts
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
from voxarium.model.sources import missing_extra, truncated
from voxarium.model.transforms import Scale
from voxarium.spec.nd2_frames import FRAME_START, TAIL_BYTES, map_position, parse_frames

__all__ = ["Nd2ArrayDriver", "Nd2CollectionDriver", "Nd2Driver"]

_SPEC: Final = "https://github.com/tlambert03/nd2"
_SUFFIXES: Final = (".nd2",)
_MAGIC: Final = b"\xda\xce\xbe\x0a"
_MOST_DEPTH: Final = 32
_MOST_FRAMES: Final = 10_000_000
_LARGEST_MAP: Final = 1 << 30
_MOST_ENTRIES: Final = 200_000


class _Reader:
    """An open file."""

    def __init__(self, store: ReadableStore, path: str) -> None:
        try:
            from nd2 import ND2File
        except ImportError as error:
            raise missing_extra("nd2", f"reading {path} needs nd2") from error
        with ExitStack() as stack:
            self._binary = stack.enter_context(binary_file(store, path))
            file: Any = self._binary  # Any: the types of files differ in a default
            self._file = ND2File(file)
            stack.callback(self._file.close)
            self._sizes = {k: int(v) for k, v in self._file.sizes.items()}
            self._frames = _recorded(self._binary)
            stack.pop_all()
        self._loops = [k for k in self._sizes if k not in "CYXS"]
        self._series: tuple[Series, ...] | None = None

    def series(self) -> Sequence[Series]:
        """Describe every stage position."""
        if self._series is None:
            metadata = _metadata(self._file)
            self._series = tuple(self._described(i, metadata) for i in range(self._sizes.get("P", 1)))
        return self._series

    def read_plane(self, number: int, index: tuple[int, ...], box: Box, /) -> NDArray[Any]:
        """Return part of a frame: all channels of a place, c, y, x and colours."""
        others = iter(index)
        at = [number if loop == "P" else next(others) for loop in self._loops]
        lengths = tuple(self._sizes[loop] for loop in self._loops)
        frame = int(np.ravel_multi_index(at, lengths)) if at else 0
        shape = tuple(n for k, n in self._sizes.items() if k in "CYXS")
        if self._frames is not None and not self._is_there(frame):
            return np.zeros(box.shape, np.dtype(self._file.dtype).newbyteorder("="))
        got: NDArray[Any] = np.asarray(self._file.read_frame(frame)).reshape(shape)
        return got[box.slices]

    def _is_there(self, frame: int) -> bool:
        """Tell whether a frame was recorded; what was recorded and cut off is an error, not black."""
        frames, size = self._frames or ({}, 0)
        if frame not in frames:
            return False
        lossless = self._file.attributes.compressionType == "lossless"
        length = 1 if lossless else self._file.attributes.heightPx * (self._file.attributes.widthBytes or 0)
        if frames[frame] + FRAME_START + length > size:
            raise truncated(f"frame {frame}", size, frames[frame] + FRAME_START + length)
        return True

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        self._binary.close()

    def _remarks(self) -> tuple[str, ...]:
        planned = math.prod(self._sizes[loop] for loop in self._loops)
        recorded = range(min(planned, _MOST_FRAMES)) if self._frames is None else self._frames[0]
        missing = sum(i not in recorded for i in range(min(planned, _MOST_FRAMES)))
        return (f"{missing} of {planned} frames of the file were never recorded; they are 0",) if missing else ()

    def _described(self, number: int, metadata: Mapping[str, Any]) -> Series:  # Any: JSON
        names = [k for k in self._sizes if k != "P"]
        found = self._file.metadata
        channels = tuple(_channel(c) for c in (getattr(found, "channels", None) or ()))
        points = _points(self._file)
        steps = _steps(self._file)
        axes = [_axis(k, k in steps, channels, self._sizes) for k in names]
        point = points[number] if number < len(points) else None
        return Series(
            name=(point[1] if point else "") or (f"position {number}" if self._sizes.get("P", 1) > 1 else ""),
            shape=tuple(self._sizes[k] for k in names),
            dtype=np.dtype(self._file.dtype).newbyteorder("="),
            axes=tuple(axes),
            plane_axes=sum(k in "CYXS" for k in names),
            transform=Scale(tuple(steps.get(k, 1.0) for k in names)) if steps else None,
            acquisition=Acquisition(
                date=str(self._file.text_info.get("date", "")),
                description=str(self._file.text_info.get("description", "")),
                objective=_objective(found),
                channels=channels if len(channels) == self._sizes.get("C", 1) else (),
                position=point[0] if point else None,
            ),
            metadata=metadata,
            remarks=self._remarks(),
        )


def _recorded(file: Any) -> tuple[Mapping[int, int], int] | None:  # Any: see above
    """Return where frames are, and the size of the file; None for files of the old kind."""
    file.seek(0)
    if file.read(4) != _MAGIC:
        return None
    size = file.seek(0, 2)
    file.seek(max(0, size - TAIL_BYTES))
    at = map_position(file.read(TAIL_BYTES), size)
    file.seek(at)
    return parse_frames(file.read(min(size - at, _LARGEST_MAP))), size


def _axis(name: str, sized: bool, channels: tuple[ChannelFacts, ...], sizes: Mapping[str, int]) -> Axis:
    if name in "ZYX":
        return Axis(name=name.lower(), type="space", unit="micrometer" if sized else None)
    if name == "T":
        return Axis(name="t", type="time", unit="second" if sized else None)
    if name == "C":
        labels = tuple(c.name for c in channels)
        return Axis(name="c", type="channel", labels=labels if len(labels) == sizes["C"] and all(labels) else ())
    if name == "S":
        return Axis(name="c" if "C" not in sizes else "sample", type="channel")
    return Axis(name=name.lower(), type="other")


def _steps(file: Any) -> dict[str, float]:  # Any: the library's classes, which change between versions
    """Return the size of a voxel in micrometers and the interval in seconds, by axis."""
    out: dict[str, float] = {}
    found = file.metadata
    if getattr(found, "channels", None):
        size = file.voxel_size()
        calibrated = found.channels[0].volume.axesCalibrated
        for i, name in enumerate("XYZ"):
            value = float(getattr(size, name.lower()))
            if calibrated[i] and 0 < value < 1e9 and name in file.sizes:
                out[name] = float(f"{value:.12g}")
    for loop in file.experiment or ():
        period = getattr(getattr(loop, "parameters", None), "periodMs", 0) or 0
        if loop.type == "TimeLoop" and 0 < period < 1e15 and "T" in file.sizes:
            out["T"] = float(f"{period / 1000:.12g}")
    return out


def _channel(found: Any) -> ChannelFacts:  # Any: as above
    meta, microscope = found.channel, found.microscope
    color = meta.color
    return ChannelFacts(
        name=str(meta.name or ""),
        color=f"{color.r & 255:02X}{color.g & 255:02X}{color.b & 255:02X}" if color is not None else None,
        excitation=_known(meta.excitationLambdaNm),
        emission=_known(meta.emissionLambdaNm),
        pinhole=_known(microscope.pinholeDiameterUm),
        extra={"modality": [str(f) for f in microscope.modalityFlags or ()]} if microscope.modalityFlags else {},
    )


def _objective(found: Any) -> ObjectiveFacts | None:  # Any: as above
    channels = getattr(found, "channels", None)
    if not channels:
        return None
    lens = channels[0].microscope
    return ObjectiveFacts(
        model=str(lens.objectiveName or ""),
        magnification=_known(lens.objectiveMagnification),
        aperture=_known(lens.objectiveNumericalAperture),
        refractive_index=_known(lens.immersionRefractiveIndex),
    )


def _known(value: Any) -> float | None:  # Any: a number or None
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) and value else None


def _points(file: Any) -> list[tuple[tuple[float, float, float], str]]:  # Any: as above
    """Return place (z, y, x in micrometers) and name of every stage position."""
    for loop in file.experiment or ():
        if loop.type == "XYPosLoop":
            places = [(p.stagePositionUm, p.name) for p in loop.parameters.points]
            return [((float(s.z), float(s.y), float(s.x)), str(name or "")) for s, name in places]
    return []


def _metadata(file: Any) -> dict[str, Any]:  # Any: as above; JSON
    budget = [_MOST_ENTRIES]
    parts = {
        "attributes": file.attributes._asdict(),
        "metadata": file.metadata,
        "experiment": list(file.experiment or ()),
        "text_info": dict(file.text_info),
        "unstructured": file.unstructured_metadata(),
    }
    return {name: _json(part, budget, 0) for name, part in parts.items()}


def _json(value: Any, budget: list[int], depth: int) -> Any:  # Any: anything; JSON
    budget[0] -= 1
    if budget[0] < 0 or depth > _MOST_DEPTH:
        return None
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(k): _json(v, budget, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(v, budget, depth + 1) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)[:1000]


class _Nd2:
    """What the drivers share."""

    name = "nd2"
    spec_url = _SPEC
    suffixes: tuple[str, ...] = _SUFFIXES
    extra = "nd2"

    def accepts(self, head: bytes) -> bool:
        """Tell by the first bytes whether this is such a file; those before 2009 were JPEG 2000."""
        return head.startswith(_MAGIC) or head[4:8] == b"jP  "

    def begin(self, store: ReadableStore, path: str) -> _Reader:
        """Open a file."""
        return _Reader(store, path)


class Nd2ArrayDriver(SeriesArrayDriver, of=_Nd2()):
    """Reads one stage position."""


class Nd2Driver(SeriesImageDriver, of=_Nd2()):
    """One stage position with its metadata."""


class Nd2CollectionDriver(SeriesCollectionDriver, of=_Nd2()):
    """The stage positions of a file."""
