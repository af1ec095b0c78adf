"""Files that only bioio reads, where somebody installed it and its plug-ins. https://bioio-devs.github.io/bioio

Asked last, and for files of this machine only; ``format="bioio"`` asks it alone, for files that others read, too.
Scenes are the series; voxels are read plane by plane. What opens is a matter of the plug-ins, which are neither
installed nor chosen here (some are under the GPL). Sizes are taken to be micrometers, on which plug-ins agree.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, UnsupportedError
from voxarium.model.acquisition import Acquisition, ChannelFacts
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
from voxarium.model.transforms import Scale

__all__ = ["BioioArrayDriver", "BioioCollectionDriver", "BioioDriver"]

_SPEC: Final = "https://bioio-devs.github.io/bioio"
_SUFFIXES: Final = (
    ".dv", ".r3d", ".sldy", ".sld", ".oib", ".oif", ".oir", ".vsi", ".zvi", ".ets", ".lei", ".ipl", ".ims", ".gif",
    ".mp4", ".mov", ".avi", ".czi", ".lif", ".nd2", ".lsm", ".stk", ".tif", ".tiff", ".xlif", ".xlef", ".lof", ".mvd2",
)  # fmt: skip
_PRECEDENCE: Final = 100
_MOST_TEXT: Final = 1 << 20


class _Reader:
    """An open file."""

    def __init__(self, store: ReadableStore, path: str) -> None:
        try:
            from bioio import BioImage
        except ImportError as error:
            raise UnsupportedError(
                f"reading {path} needs bioio",
                code=Code.FEATURE_UNSUPPORTED,
                fix="install bioio and its plug-in for this format, such as bioio-imageio",
            ) from error
        self._image = BioImage(local_file(store, path, "bioio"))
        self._at: int | None = None

    def series(self) -> Sequence[Series]:
        """Describe every scene."""
        return tuple(self._described(number) for number in range(len(self._image.scenes)))

    def read_plane(self, number: int, index: tuple[int, ...], box: Box, /) -> NDArray[Any]:
        """Return part of a plane."""
        names, data = self._scene(number)
        others = iter(index)
        wanted: list[int | slice] = []
        for name, length in zip(names, data.shape, strict=True):
            if name in "YXS":
                wanted.append(box.slices["YXS".index(name)])
            else:
                wanted.append(next(others) if length > 1 else 0)
        part = data[tuple(wanted)]
        return np.asarray(part.compute(scheduler="synchronous"))

    def close(self) -> None:
        """Let go of the file, which bioio opens for each read."""
        self._at = None

    def _scene(self, number: int) -> tuple[Sequence[str], Any]:  # Any: a dask array
        if self._at != number:
            self._image.set_scene(number)
            self._at = number
        data = self._image.dask_data
        names = tuple(self._image.dims.order)
        if "".join(n for n in names if n in "YXS") not in ("YX", "YXS") or names[-1] not in "XS":
            raise UnsupportedError(
                f"bioio gives the axes {''.join(names)}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="convert the file with bioio itself",
            )
        return names, data

    def _described(self, number: int) -> Series:
        names, data = self._scene(number)
        kept = [
            (n, int(s), c[0]) for n, s, c in zip(names, data.shape, data.chunks, strict=True) if n in "YXS" or s > 1
        ]
        labels = tuple(str(c) for c in self._image.channel_names or ())
        steps = self._steps()
        plane = sum(n in "YXS" for n, _, _ in kept)
        channels = tuple(ChannelFacts(name=label) for label in labels)
        sizes = dict(zip(names, data.shape, strict=True))
        several = len(self._image.scenes) > 1
        return Series(
            name=str(self._image.scenes[number]) if several else "",
            shape=tuple(s for _, s, _ in kept),
            dtype=np.dtype(data.dtype).newbyteorder("="),
            axes=tuple(_axis(n, n in steps, labels if len(labels) == s else (), "C" in sizes) for n, s, _ in kept),
            plane_axes=plane,
            chunk_shape=tuple(int(c) for _, _, c in kept[len(kept) - plane :]),
            transform=Scale(tuple(steps.get(n, 1.0) for n, _, _ in kept)) if steps else None,
            acquisition=Acquisition(channels=channels if len(channels) == sizes.get("C", 1) else ()),
            metadata=self._metadata(),
        )

    def _steps(self) -> dict[str, float]:
        """Return the size of a voxel in micrometers and the interval in seconds, by axis."""
        found = self._image.physical_pixel_sizes
        steps = {name: getattr(found, name, None) for name in "ZYX"}
        with suppress(Exception):  # most plug-ins do not tell it, each in its way
            interval = self._image.time_interval
            steps["T"] = interval.total_seconds() if isinstance(interval, timedelta) else interval
        return {
            n: float(v) for n, v in steps.items() if isinstance(v, (int, float)) and math.isfinite(v) and 0 < v < 1e12
        }

    def _metadata(self) -> dict[str, Any]:  # Any: JSON
        text = ""
        with suppress(Exception):  # of any type, which may not even be text
            found = self._image.metadata
            text = found.to_xml() if hasattr(found, "to_xml") else "" if found is None else str(found)
        return {"reader": type(self._image.reader).__module__, "metadata": text[:_MOST_TEXT]}


def _axis(name: str, sized: bool, labels: tuple[str, ...], channels: bool) -> Axis:
    if name in "ZYX":
        return Axis(name=name.lower(), type="space", unit="micrometer" if sized else None)
    if name == "T":
        return Axis(name="t", type="time", unit="second" if sized else None)
    if name == "C":
        return Axis(name="c", type="channel", labels=labels)
    if name == "S":
        return Axis(name="sample" if channels else "c", type="channel")
    return Axis(name=name.lower(), type="other")


class _Bioio:
    """What the drivers share."""

    name = "bioio"
    spec_url = _SPEC
    suffixes: tuple[str, ...] = _SUFFIXES
    extra = "bioio"
    precedence = _PRECEDENCE
    word = "scene"  # arrays of files that other drivers read too

    def accepts(self, _head: bytes) -> bool:
        """Tell whether bioio is there; which files it reads only its plug-ins know."""
        return importlib.util.find_spec("bioio") is not None

    def begin(self, store: ReadableStore, path: str) -> _Reader:
        """Open a file of this machine."""
        return _Reader(store, path)


class BioioArrayDriver(SeriesArrayDriver, of=_Bioio()):
    """Reads one scene."""


class BioioDriver(SeriesImageDriver, of=_Bioio()):
    """One scene with its metadata."""


class BioioCollectionDriver(SeriesCollectionDriver, of=_Bioio()):
    """The scenes of a file."""
