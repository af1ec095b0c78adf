"""The image model: the smallest one every format of the field maps to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.transforms import Transform

if TYPE_CHECKING:
    from voxarium.model.array_part import ArrayPart

__all__ = [
    "ArrayInfo",
    "ArraySpec",
    "Bag",
    "ChannelDisplay",
    "Display",
    "ImageInfo",
    "LabelColor",
    "LevelInfo",
    "Role",
    "SourceRecord",
    "TransformEdge",
    "Value",
]

Role = Literal["intensity", "label", "prediction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayInfo:
    """Everything a reader needs to know about one stored array, without reading any voxel.

    Parameters
    ----------
    format : str
        Name of the driver that opened it, such as ``zarr3``.
    shape, chunk_shape : tuple of int
        Voxels, in C order. `chunk_shape` is the smallest piece that can be decoded by itself.
    dtype : numpy.dtype
        Type of a voxel in memory; always native byte order.
    contiguous : bool
        True when there are no chunks and reading a region costs what the region covers; `chunk_shape` is then only a
        hint at how to read on.
    shard_shape : tuple of int or None
        Voxels per stored object when objects hold several chunks.
    clipped : bool
        True when chunks at the end of an axis are stored cut to the array; False when they are padded.
    fill_value : scalar
        Value of voxels in absent chunks.
    codecs : tuple of str
        The chain in encoding order, for people: ``("bytes:little", "zstd:1")``.
    axes : tuple of Axis or None
        Named axes where the file states them.
    transform : Transform or None
        Voxel centre → world, where the file states it.
    attributes : mapping
        The array's own JSON attributes, as found.
    remarks : tuple of str
        What a user should know about the source, such as gaps in the numbering of slices.
    details : object
        The driver's parsed metadata or open handle; opaque to everyone else.
    """

    format: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_shape: tuple[int, ...]
    contiguous: bool = False
    shard_shape: tuple[int, ...] | None = None
    clipped: bool = False
    fill_value: Any = 0  # Any: a numpy scalar of `dtype`
    codecs: tuple[str, ...] = ()
    axes: tuple[Axis, ...] | None = None
    transform: Transform | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found
    remarks: tuple[str, ...] = ()
    details: Any = None  # Any: private to the driver

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def object_shape(self) -> tuple[int, ...]:
        """Voxels per stored object: the shard, or the chunk when there are no shards."""
        return self.shard_shape or self.chunk_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySpec:
    """What a new array should be; a driver turns it into an `ArrayInfo`.

    `codec` names one compressor, ``zstd:1``, ``blosc:lz4:5``, ``gzip:5``, or ``none``; None is the driver's default.
    `role` and `transform` (voxel centre → world) are for containers that choose by them: an encoding for labels, names
    of chunks that hold positions.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_shape: tuple[int, ...]
    shard_shape: tuple[int, ...] | None = None
    fill_value: Any = 0  # Any: a scalar that `dtype` can hold
    codec: str | None = None
    role: Role = "intensity"
    transform: Transform | None = None
    dimension_names: tuple[str, ...] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelInfo:
    """One step of a pyramid: where its array is and how its voxel centres map to the world.

    Parameters
    ----------
    path : str
        Path of the stored array, relative to the image; it may lead through ``..``, never out of the store.
    array : ArrayInfo
        The array, or the part of it.
    transform : Transform
        Voxel centre of `array` → world.
    part : ArrayPart or None
        What the level shows of the stored array, when that is not all of it as it stands.
    """

    path: str
    array: ArrayInfo
    transform: Transform
    part: ArrayPart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """How raw samples become real values. Raw samples are stored; this is applied on request.

    Parameters
    ----------
    slope, intercept : float
        real = raw × slope + intercept.
    table : tuple of float
        Real value per raw index; empty when linear.
    categories : mapping of int to str
        Names of categorical values.
    unit : str or None
        Unit of the real value.
    valid_range : tuple of two floats or None
        Smallest and largest raw value that means something.
    components : str
        What one sample is: scalar, vector, rgb, or complex.
    """

    slope: float = 1.0
    intercept: float = 0.0
    table: tuple[float, ...] = ()
    categories: Mapping[int, str] = field(default_factory=dict)
    unit: str | None = None
    valid_range: tuple[float, float] | None = None
    components: Literal["scalar", "vector", "rgb", "complex"] = "scalar"

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float64]:
        """Return real values for raw samples, as float64 of the same shape."""
        if self.table:
            looked_up: NDArray[np.float64] = np.asarray(self.table, np.float64)[raw]
            return looked_up
        real: NDArray[np.float64] = raw.astype(np.float64) * self.slope + self.intercept
        return real


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDisplay:
    """How one channel is to be shown."""

    label: str | None = None
    color: str | None = None  # six hexadecimal digits
    window: tuple[float, float] | None = None  # shown range
    limits: tuple[float, float] | None = None  # possible range
    active: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelColor:
    """The colour of one label, RGBA 0–255."""

    label: int
    rgba: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """Hints for viewers; they never change a voxel."""

    channels: tuple[ChannelDisplay, ...] = ()
    label_colors: tuple[LabelColor, ...] = ()
    label_properties: tuple[Mapping[str, Any], ...] = ()  # Any: JSON as found
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """Where metadata came from and what it said, unchanged."""

    format: str
    spec_version: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # Any: native metadata as JSON
    header: bytes | None = None
    notes: tuple[str, ...] = ()  # what was mapped, derived, or in conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class Bag:
    """What the model has no place for: original headers and unknown metadata, carried along."""

    records: tuple[SourceRecord, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)  # unknown keys beside the image's own; Any: JSON as found


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformEdge:
    """One transform of the graph between coordinate systems, with what it is for and its original numbers."""

    source: str
    target: str
    transform: Transform
    role: str = ""
    name: str | None = None
    original: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """A multiscale raster: metadata only, no voxel.

    Parameters
    ----------
    format : str
        Name of the image driver, such as ``ome-zarr``; or of the array driver for a plain array.
    axes : tuple of Axis
        In stored order.
    levels : tuple of LevelInfo
        0 = finest. Transforms map voxel centres to `world`.
    role : str
        intensity, label or prediction.
    axes_stated : bool
        False when the file names no axes and placeholders stand in.
    world : str
        Name of the coordinate system the levels' transforms lead to.
    systems, edges : tuple
        Further coordinate systems and the transforms between them.
    labels : tuple of str
        Paths, relative to the image, of label images that belong to it.
    source_image : str or None
        For a label image: the image it labels, as stated.
    method : str or None
        Downsampling method the levels were made with, as stated.
    largest_label : int or None
        Of labels: no voxel has a larger one, as stated; who adds labels counts on from there.
    """

    format: str
    axes: tuple[Axis, ...]
    levels: tuple[LevelInfo, ...]
    name: str = ""
    role: Role = "intensity"
    spec_version: str | None = None
    axes_stated: bool = True
    world: str = "physical"
    systems: tuple[CoordinateSystem, ...] = ()
    edges: tuple[TransformEdge, ...] = ()
    value: Value = field(default_factory=Value)
    display: Display = field(default_factory=Display)
    labels: tuple[str, ...] = ()
    source_image: str | None = None
    method: str | None = None
    largest_label: int | None = None
    bag: Bag = field(default_factory=Bag)
