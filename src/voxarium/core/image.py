"""A multiscale raster with true coordinates, opened lazily."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxarium.core.array import Array, Selector
from voxarium.errors import Code, InputError, NotFoundError
from voxarium.model.axes import Axis, unit_factor
from voxarium.model.box import Box
from voxarium.model.image import ImageInfo, LevelInfo
from voxarium.model.protocols import ReadableStore
from voxarium.model.transforms import Transform, scale_translation

if TYPE_CHECKING:
    from voxarium.core.systems import Systems

__all__ = ["Image"]


class Image:
    """A multiscale raster: axes, levels (0 = finest), coordinates, and hints for display.

    Indexing and ``numpy.asarray`` work on level 0.
    """

    def __init__(self, store: ReadableStore, path: str, info: ImageInfo, arrays: tuple[Array, ...]) -> None:
        self.store = store
        self.path = path
        self.info = info
        self.arrays = arrays

    @property
    def name(self) -> str:
        """Name, as stated, or the last part of the address."""
        where = f"{self.store.uri}/{self.path.split('::')[0]}"
        return self.info.name or where.rstrip("/").rsplit("/", 1)[-1]

    @property
    def role(self) -> str:
        """What the samples are: intensity, label or prediction."""
        return self.info.role

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes in stored order."""
        return self.info.axes

    @property
    def levels(self) -> tuple[LevelInfo, ...]:
        """Metadata of every level."""
        return self.info.levels

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis, at level 0."""
        return self.arrays[0].shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a raw sample."""
        return self.arrays[0].dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def unit(self) -> str | None:
        """Unit shared by all space axes, or None."""
        units = {a.unit for a in self.axes if a.type == "space"}
        return units.pop() if len(units) == 1 else None

    def level(self, index: int) -> Array:
        """Return the array of one level.

        Raises
        ------
        NotFoundError
            If there is no such level.
        """
        if not 0 <= index < len(self.arrays):
            raise NotFoundError(
                f"{self.name} has no level {index}",
                code=Code.LEVEL_MISSING,
                fix=f"choose a level from 0 to {len(self.arrays) - 1}",
            )
        return self.arrays[index]

    def scale_translation(self, level: int = 0) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return (scale, translation) of a level: world = index × scale + translation, at voxel centres.

        Raises
        ------
        InputError
            If the level's transform is more than that (rotated or sheared).
        """
        self.level(level)
        found = scale_translation(self.levels[level].transform, self.ndim)
        if found is None:
            raise InputError(
                f"level {level} of {self.name} is not only scaled and translated",
                code=Code.TRANSFORM_INVALID,
                fix="use image.levels[i].transform, which maps points through the whole transform",
            )
        return found

    def voxel_size(self, level: int = 0) -> tuple[float, ...]:
        """Return the physical size of a voxel per axis, in the axes' units."""
        return tuple(abs(s) for s in self.scale_translation(level)[0])

    @cached_property
    def systems(self) -> Systems:
        """Coordinate systems of the image, and the transforms between them; ``voxels`` are the indices of level 0."""
        from voxarium.core.systems import Systems

        return Systems.of_image(self)

    def transform(self, source: str, target: str, *, approximate: bool = False) -> Transform:
        """Return the transform from one coordinate system to another; see `Systems.transform`."""
        return self.systems.transform(source, target, approximate=approximate)

    def map_points(
        self, points: ArrayLike, source: str, target: str, *, approximate: bool = False
    ) -> NDArray[np.float64]:
        """Map points from one coordinate system to another; see `Systems.map_points`.

        Examples
        --------
        ``image.map_points([(0, 0, 0)], "voxels", image.info.world)``
        """
        return self.systems.map_points(points, source, target, approximate=approximate)

    def read(
        self,
        box: Box | None = None,
        *,
        level: int = 0,
        out: NDArray[Any] | None = None,
        threads: int | None = None,
    ) -> NDArray[Any]:
        """Read a region of one level, in voxels of that level; see `Array.read`."""
        return self.level(level).read(box, out=out, threads=threads)

    def world(self, *, level: int = 0, unit: str | None = None, **bounds: tuple[float, float] | float) -> NDArray[Any]:
        """Read the voxels whose centres lie in a region given in world coordinates.

        Parameters
        ----------
        level : int
            Pyramid level to read.
        unit : str or None
            Unit of the bounds of axes that have one; None = each axis's own.
        **bounds : (float, float) or float
            Axis name → half-open interval, or one coordinate for the nearest voxel (the axis is dropped).
            Axes not named are read whole.

        Examples
        --------
        ``image.world(z=(1000, 2000), y=(0, 512), unit="nanometer")``
        """
        scale, translation = self.scale_translation(level)
        shape = self.level(level).shape
        names = [a.name for a in self.axes]
        unknown = sorted(set(bounds) - set(names))
        if unknown:
            raise InputError(
                f"{self.name} has no axis {', '.join(unknown)}",
                code=Code.AXES_MISMATCH,
                fix=f"its axes are {', '.join(names)}",
            )
        start, stop, post = [], [], []
        for i, axis in enumerate(self.axes):
            lo, hi, keep = _index_bounds(bounds.get(axis.name), axis, unit, (scale[i], translation[i]), shape[i])
            start.append(lo)
            stop.append(hi)
            post.append(slice(None) if keep else 0)
        box = Box.from_bounds(tuple(start), tuple(stop))
        return self.read(box, level=level)[tuple(post)]

    def resampled(self, **choices: Any) -> Image:
        """Return this image on another grid, computed as it is read; the choices are those of `ResampleOptions`.

        Examples
        --------
        ``image.resampled(voxel_size=16, interpolation="cubic")[:10]``
        """
        from voxarium.core.resampling import ResampleOptions, resampled

        return resampled(self, ResampleOptions(**choices))

    def iter_levels(self) -> Iterator[tuple[LevelInfo, Array]]:
        """Yield metadata and array of every level, finest first."""
        return zip(self.levels, self.arrays, strict=True)

    def __getitem__(self, selection: Selector | tuple[Selector, ...]) -> NDArray[Any]:
        return self.arrays[0][selection]

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self.arrays[0].__array__(dtype, copy)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yield the planes of the first axis of level 0, each read when it is asked for."""
        return iter(self.arrays[0])

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __repr__(self) -> str:
        from voxarium.core.report import image_text

        return image_text(self)

    def _repr_html_(self) -> str:
        from voxarium.core.report import image_html

        return image_html(self)


def _index_bounds(
    bound: tuple[float, float] | float | None,
    axis: Axis,
    unit: str | None,
    scaling: tuple[float, float],
    length: int,
) -> tuple[int, int, bool]:
    """Return (first index, stop index, keep the axis) of the voxels whose centres lie within a world bound."""
    if bound is None:
        return 0, length, True
    scale, translation = scaling
    factor = _factor(unit, axis)
    numbers = _numbers(bound, axis.name)
    if len(numbers) == 1:
        place = (numbers[0] * factor - translation) / scale
        if not (length and -0.5 <= place <= length - 0.5):  # infinities too
            raise InputError(
                f"{axis.name}={bound} lies outside the image",
                code=Code.BOX_OUT_OF_BOUNDS,
                fix=f"the axis spans {_extent(scaling, length, factor)}",
            )
        at = min(max(round(place), 0), length - 1)
        return at, at + 1, False
    if numbers[0] > numbers[1]:
        raise InputError(
            f"{axis.name}={bound} runs backwards", code=Code.ARGUMENT_INVALID, fix="give the smaller bound first"
        )
    a, b = (min(max((edge * factor - translation) / scale, -1.0), length + 1.0) for edge in numbers)
    # Centres on a bound belong to the interval that starts there; the tolerance absorbs float rounding.
    if scale > 0:
        lo, hi = math.ceil(a - 1e-9), math.ceil(b - 1e-9)
    else:
        lo, hi = math.floor(b + 1e-9) + 1, math.floor(a + 1e-9) + 1
    return min(max(lo, 0), length), min(max(hi, 0), length), True


def _factor(unit: str | None, axis: Axis) -> float:
    """Return what bounds are multiplied with to be in the unit of the axis."""
    if unit is None:
        return 1.0
    if axis.unit is None and axis.type in ("space", "time"):
        raise InputError(
            f"the axis {axis.name} has no unit, so {unit!r} means nothing there",
            code=Code.UNIT_UNKNOWN,
            fix="leave out the unit, or state one when the image is converted",
        )
    return 1.0 if axis.unit is None else unit_factor(unit, axis.unit)


def _numbers(bound: Any, name: str) -> tuple[float, ...]:
    """Return one coordinate, or two bounds."""
    given = tuple(bound) if isinstance(bound, tuple | list | np.ndarray) else (bound,)
    if len(given) in (1, 2) and all(isinstance(n, Real) and not math.isnan(n) for n in given):
        return tuple(float(n) for n in given)
    raise InputError(
        f"{name}={bound!r} is no region",
        code=Code.ARGUMENT_INVALID,
        fix=f"give one coordinate, such as {name}=5, or two bounds, such as {name}=(0, 10)",
    )


def _extent(scaling: tuple[float, float], length: int, factor: float) -> str:
    first, last = scaling[1] / factor, (scaling[1] + scaling[0] * (length - 1)) / factor
    return f"{first:g} to {last:g}"
