"""Images as volumes along z, y, x with channels and times, all levels included: what services of cutouts speak of."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.core.opening import open_image
from voxarium.errors import Code, UnsupportedError, VoxariumError
from voxarium.model.axes import Axis, unit_factor
from voxarium.model.box import Box
from voxarium.serve.catalogue import Catalogue
from voxarium.serve.translated import View, shown

__all__ = ["Volume", "VolumeLevel", "Volumes", "open_volume"]

_VIEW: Final = View(
    name="volume", title="volume", format="ome-zarr", choices={"spec_version": "0.5", "codec": "none"}, located=True
)
_KEPT: Final = 32  # volumes, each with what it has computed
_PLACED: Final = 1e-3  # voxels
# Types that no service has, and what holds all their values.
_WIDER: Final[dict[str, np.dtype[Any]]] = {"bool": np.dtype("uint8"), "float16": np.dtype("float32")}
Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class VolumeLevel:
    """One level: voxels of level 0 per voxel, and voxels, along z, y, x."""

    factors: Triple
    shape: Triple
    array: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """An image, its axes in the order t, c, z, y, x; those that it lacks have length 1.

    Parameters
    ----------
    name : str
        Of the image.
    label : bool
        Whether samples are ids.
    dtype : numpy.dtype
        Of what is read.
    axes : str
        Which of t, c, z, y, x are stored.
    times, channels : int
        How many.
    step : (float, str) or None
        Between times, and its unit.
    voxel_size : tuple of three floats
        Of level 0 along z, y, x, in nanometers.
    centre : tuple of three floats
        Of voxel 0 of level 0, in voxels.
    largest_label : int or None
        As stated.
    levels : tuple of VolumeLevel
        Those whose voxels are windows of whole voxels of level 0, finest first.
    """

    name: str
    label: bool
    dtype: np.dtype[Any]
    axes: str
    times: int
    channels: int
    step: tuple[float, str] | None
    voxel_size: tuple[float, float, float]
    centre: tuple[float, float, float]
    levels: tuple[VolumeLevel, ...]
    largest_label: int | None = None

    def read(
        self,
        level: int,
        origin: Triple,
        shape: Triple,
        *,
        times: tuple[int, int] = (0, 1),
        channels: tuple[int, int] | None = None,
    ) -> NDArray[Any]:
        """Return voxels along t, z, y, x, c; zeros where a box leaves the volume.

        Parameters
        ----------
        level : int
            Which.
        origin, shape : tuple of three int
            Voxels of the level along z, y, x.
        times, channels : (int, int)
            First and stop, both inside; all channels unless told.
        """
        first, stop = (0, self.channels) if channels is None else channels
        out = np.zeros((times[1] - times[0], *shape, stop - first), self.dtype)
        found = self.levels[level]
        box = Box(origin, shape).intersection(Box.whole(found.shape))
        if 0 in box.shape or not out.size:
            return out
        spans = {"t": times, "c": (first, stop)}
        spans |= {n: (o, o + s) for n, o, s in zip("zyx", box.origin, box.shape, strict=True)}
        part = Box.from_bounds(*zip(*(spans[n] for n in self.axes), strict=True))
        voxels = found.array.read(part, threads=1)
        for place, name in enumerate("tczyx"):
            if name not in self.axes:
                voxels = np.expand_dims(voxels, place)
        inside = box.relative_to(origin).slices
        out[(slice(None), *inside)] = np.moveaxis(voxels, 1, -1)
        return out


def open_volume(image: Image) -> Volume:
    """Return an image as a volume.

    Raises
    ------
    InputError, UnsupportedError
        If it is none: it has axes of other kinds, or is no raster in space.
    """
    presented = open_image(shown(_VIEW, image))
    axes = "".join(a.name for a in presented.axes)
    if not set(axes) <= set("tczyx") or list(axes) != [n for n in "tczyx" if n in axes] or "yx" not in axes:
        raise UnsupportedError(
            f"an image with the axes {', '.join(axes)} is no volume",
            code=Code.FEATURE_UNSUPPORTED,
            fix="name its axes t, c, z, y, x",
        )
    dtype = _WIDER.get(presented.dtype.name, presented.dtype)
    if dtype.kind not in "uif" or dtype.itemsize > 8:
        raise UnsupportedError(
            f"no service of cutouts has samples of {dtype}", code=Code.DTYPE_UNSUPPORTED, fix="convert the image"
        )
    lengths = dict(zip(axes, presented.shape, strict=True))
    scale, translation = presented.scale_translation(0)
    size, centre = _places(presented.axes, scale, translation)
    times = lengths.get("t", 1)
    named = presented.axes[axes.index("t")] if "t" in axes else None
    return Volume(
        name=image.name,
        label=image.role == "label",
        dtype=dtype.newbyteorder("<"),
        axes=axes,
        times=times,
        channels=lengths.get("c", 1),
        step=None if named is None or named.unit is None else (scale[0], named.unit),
        voxel_size=size,
        centre=centre,
        levels=tuple(_levels(presented, axes)),
        largest_label=image.info.largest_label,
    )


def _places(
    axes: tuple[Axis, ...], scale: tuple[float, ...], translation: tuple[float, ...]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return voxel size in nanometers and place of voxel 0 in voxels, along z, y, x; planes are as thick as wide."""
    size: dict[str, float] = {}
    centre = {"z": 0.5}
    for axis, s, t in zip(axes, scale, translation, strict=True):
        if axis.name in "zyx":
            size[axis.name] = abs(s) * unit_factor(axis.unit or "nanometer", "nanometer")
            centre[axis.name] = t / s
    size.setdefault("z", size["x"])
    return (size["z"], size["y"], size["x"]), (centre["z"], centre["y"], centre["x"])


def _levels(image: Image, axes: str) -> list[VolumeLevel]:
    base = image.scale_translation(0)
    levels: list[VolumeLevel] = []
    for number, array in enumerate(image.arrays):
        scale, translation = image.scale_translation(number)
        factors = {"z": 1}
        for place, name in enumerate(axes):
            ratio = scale[place] / base[0][place]
            factor = round(ratio)
            shift = (translation[place] - base[1][place]) / base[0][place]
            if factor < 1 or abs(ratio - factor) > _PLACED or abs(shift - (factor - 1) / 2) > _PLACED * factor:
                return levels  # a level between the voxels of level 0, such as every second one of them
            factors[name] = factor
        shape = {"z": 1, **dict(zip(axes, array.shape, strict=True))}
        z, y, x = ((factors[n], shape[n]) for n in "zyx")
        levels.append(VolumeLevel((z[0], y[0], x[0]), (z[1], y[1], x[1]), array))
    return levels


class Volumes:
    """Volumes by address; an image that was opened anew becomes a volume anew. Thread-safe.

    Parameters
    ----------
    catalogue : Catalogue
        With the images.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Image, Volume | VoxariumError]] = OrderedDict()

    def get(self, address: str) -> Volume:
        """Return the image at an address as a volume.

        Raises
        ------
        NotFoundError
            If there is no image.
        InputError, UnsupportedError
            If it is no volume.
        """
        image = self._catalogue.image(address)
        with self._lock:
            kept = self._kept.get(address)
        if kept is None or kept[0] is not image:
            kept = (image, _opened(image))
            with self._lock:
                self._kept[address] = kept
        with self._lock:
            if address in self._kept:
                self._kept.move_to_end(address)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        if isinstance(kept[1], VoxariumError):
            raise kept[1].with_traceback(None)
        return kept[1]


def _opened(image: Image) -> Volume | VoxariumError:
    try:
        return open_volume(image)
    except VoxariumError as error:
        return error
