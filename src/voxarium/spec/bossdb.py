"""BossDB: addresses, what its REST service tells of a channel, and the routes of cutouts.

Spec: https://docs.theboss.io/docs, https://github.com/jhuapl-boss/boss. A channel of an experiment of a collection is
one image; the experiment's coordinate frame has its size and voxel size, and levels halve x and y (``anisotropic``)
or all axes (``isotropic``), rounded up. Cutouts name x, y and z ranges in absolute voxels of the frame; their payload
is blosc, z slowest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import numpy as np

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, canonical_unit
from voxarium.model.box import Box
from voxarium.model.fields import parse_json_object
from voxarium.model.transforms import Scale, Transform, Translation

__all__ = ["BossAddress", "BossChannel", "BossLevel", "cutout_key", "frame_name", "parse_address", "parse_channel"]

HOST: Final = "api.bossdb.io"
_NAME: Final = re.compile(r"[\w-]{1,255}\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?\Z")
_TYPES: Final = ("uint8", "uint16", "uint32", "uint64")
_CUBOID: Final = (16, 512, 512)
_MOST: Final = 1 << 40
_SMALLEST: Final = 1e-12
_LEVELS: Final = 10  # the service's routes have one digit for the level
_FIX: Final = "check the channel with the service's own pages"


@dataclass(frozen=True, slots=True, kw_only=True)
class BossAddress:
    """A channel of a service; `stated` tells whether the address names the host itself."""

    protocol: str
    host: str
    collection: str
    experiment: str
    channel: str
    stated: bool

    @property
    def uri(self) -> str:
        """The address in full."""
        scheme = "" if self.protocol == "https" else f"{self.protocol}://"
        return f"bossdb://{scheme}{self.host}/{self.route}"

    @property
    def route(self) -> str:
        """Collection, experiment and channel."""
        return f"{self.collection}/{self.experiment}/{self.channel}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BossLevel:
    """One level of a channel.

    Parameters
    ----------
    number : int
        How the service counts it, 0 = native.
    shape, chunk, start : tuple of int
        Voxels, voxels worth asking for at once, and first voxel, along the image's axes.
    transform : Transform
        Voxel centre → world.
    """

    number: int
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    start: tuple[int, ...]
    transform: Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class BossChannel:
    """What the service tells of a channel."""

    name: str
    dtype: np.dtype[Any]
    label: bool
    axes: tuple[Axis, ...]
    levels: tuple[BossLevel, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found
    notes: tuple[str, ...] = ()


def parse_address(uri: str, protocol: str = "https", host: str = HOST) -> BossAddress:
    """Parse ``bossdb://[[http[s]://]host/]collection/experiment/channel``.

    Parameters
    ----------
    uri : str
        The address.
    protocol, host : str
        Used where the address has none.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> parse_address("bossdb://Kasthuri2015/ac4/em").host
    'api.bossdb.io'
    >>> parse_address("bossdb://http://localhost:5000/a/b/c").uri
    'bossdb://http://localhost:5000/a/b/c'
    """
    scheme, _, rest = uri.partition("://")
    stated = False
    if "://" in rest:
        protocol, _, rest = rest.partition("://")
        stated = True
    parts = rest.strip("/").split("/")
    if len(parts) == 4:
        host, stated = parts.pop(0), True
    sound = len(parts) == 3 and all(_NAME.match(p) for p in parts) and _HOST.match(host)
    if scheme not in ("bossdb", "boss") or protocol not in ("http", "https") or not sound or (stated and "://" in rest):
        raise InputError(
            "the address is not one of a BossDB channel",
            code=Code.URI_INVALID,
            fix="write bossdb://collection/experiment/channel, or bossdb://https://host/collection/experiment/channel",
        )
    return BossAddress(
        protocol=protocol, host=host, collection=parts[0], experiment=parts[1], channel=parts[2], stated=stated
    )


def cutout_key(level: BossLevel, box: Box) -> str:
    """Return the route of a cutout behind the channel's; `box` in voxels of the level, along the image's axes.

    Examples
    --------
    >>> level = BossLevel(number=1, shape=(9, 9, 9), chunk=(9, 9, 9), start=(5, 0, 0), transform=Scale((1, 1, 1)))
    >>> cutout_key(level, Box((0, 2, 4), (3, 3, 3)))
    '1/4:7/2:5/5:8'
    """
    spans = [f"{o + s}:{o + s + n}" for o, n, s in zip(box.origin, box.shape, level.start, strict=True)]
    time = spans[:-3]
    return "/".join([str(level.number), *reversed(spans[-3:]), *time])


def frame_name(experiment: bytes) -> str:
    """Return the name of an experiment's coordinate frame."""
    name = parse_json_object(experiment, "the experiment").get("coord_frame")
    if not isinstance(name, str) or not _NAME.match(name):
        _invalid("the experiment names no coordinate frame")
    return name


def parse_channel(channel: bytes, experiment: bytes, frame: bytes, downsample: bytes | None) -> BossChannel:
    """Parse the documents about a channel.

    Raises
    ------
    FormatError
        If they contradict the service's own rules.
    UnsupportedError
        If voxels are of a type that the service does not serve.
    """
    of_channel = parse_json_object(channel, "the channel")
    of_experiment = parse_json_object(experiment, "the experiment")
    of_frame = parse_json_object(frame, "the coordinate frame")
    of_levels = {} if downsample is None else parse_json_object(downsample, "the levels")
    dtype = of_channel.get("datatype")
    if dtype not in _TYPES:
        raise UnsupportedError(
            f"the channel holds {dtype!r}, which cutouts cannot be decoded from",
            code=Code.DTYPE_UNSUPPORTED,
            fix=f"choose a channel of {', '.join(_TYPES)}",
        )
    geometry = _Geometry.parse(of_frame, of_experiment)
    notes: list[str] = []
    numbers = _numbers(of_channel, of_experiment, of_levels, geometry, notes)
    bucket, folder = of_channel.get("bucket"), of_channel.get("cv_path")
    if of_channel.get("storage_type") == "cloudvol" and isinstance(folder, str) and folder:
        where = f"s3://{bucket}/{folder.strip('/')}" if isinstance(bucket, str) and bucket else folder
        notes.append(f"the same voxels are stored as precomputed volume at {where[:500]}, which is quicker to read")
    metadata = {"channel": of_channel, "experiment": of_experiment, "coord_frame": of_frame, "levels": of_levels}
    return BossChannel(
        name=str(of_channel.get("name", "")),
        dtype=np.dtype(dtype),
        label=of_channel.get("type") == "annotation",
        axes=geometry.axes,
        levels=tuple(geometry.level(n, of_levels) for n in numbers),
        metadata=metadata,
        notes=tuple(notes),
    )


def _invalid(message: str) -> NoReturn:
    raise FormatError(message, code=Code.METADATA_INVALID, fix=_FIX)


def _whole(value: Any, what: str, least: int = 0) -> int:  # Any: JSON as found
    if type(value) is not int or not least <= value < _MOST:
        _invalid(f"{what} is {str(value)[:40]!r}")
    return value


def _numbers(
    channel: Mapping[str, Any],
    experiment: Mapping[str, Any],
    levels: Mapping[str, Any],
    geometry: _Geometry,
    notes: list[str],
) -> range:
    """Return which levels can be read."""
    base = _whole(channel.get("base_resolution", 0), "base_resolution")
    count = _whole(
        levels.get("num_hierarchy_levels", experiment.get("num_hierarchy_levels", 1)), "num_hierarchy_levels"
    )
    status = str(levels.get("status", channel.get("downsample_status", "")))
    if base >= _LEVELS:
        _invalid(f"base_resolution is {base}")
    if status.upper() != "DOWNSAMPLED":
        notes.append(f"coarser levels are left out: the service says {status or 'nothing'!r} about them")
        return range(base, base + 1)
    if any(geometry.start) and count > 1:
        notes.append("coarser levels are left out: the coordinate frame does not begin at 0")
        return range(base, base + 1)
    return range(base, max(base + 1, min(count, _LEVELS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Geometry:
    """Sizes and voxel sizes along z, y, x; `times` has the count, and `step` the seconds or so between them."""

    size: tuple[int, int, int]
    start: tuple[int, int, int]
    voxel: tuple[float, float, float]
    unit: str | None
    times: int
    step: float
    time_unit: str | None
    isotropic: bool

    @classmethod
    def parse(cls, frame: Mapping[str, Any], experiment: Mapping[str, Any]) -> _Geometry:
        start, size, voxel = [], [], []
        for axis in "zyx":
            first = _whole(frame.get(f"{axis}_start"), f"{axis}_start")
            stop = _whole(frame.get(f"{axis}_stop"), f"{axis}_stop", first + 1)
            length = frame.get(f"{axis}_voxel_size")
            if isinstance(length, bool) or not isinstance(length, int | float) or not _SMALLEST < length < _MOST:
                _invalid(f"{axis}_voxel_size is {str(length)[:40]!r}")
            start.append(first)
            size.append(stop - first)
            voxel.append(float(length))
        unit = canonical_unit(str(frame.get("voxel_unit", "")).removesuffix("s"))
        step, time_unit = experiment.get("time_step"), str(experiment.get("time_step_unit") or "").removesuffix("s")
        timed = isinstance(step, int | float) and not isinstance(step, bool) and math.isfinite(step) and step > 0
        return cls(
            size=(size[0], size[1], size[2]),
            start=(start[0], start[1], start[2]),
            voxel=(voxel[0], voxel[1], voxel[2]),
            unit=unit if unit in SPACE_UNITS else None,
            times=_whole(experiment.get("num_time_samples", 1), "num_time_samples", 1),
            step=float(step) if timed and step is not None else 1.0,
            time_unit=canonical_unit(time_unit) if timed and canonical_unit(time_unit) in TIME_UNITS else None,
            isotropic=experiment.get("hierarchy_method") == "isotropic",
        )

    @property
    def axes(self) -> tuple[Axis, ...]:
        spatial = tuple(Axis(name=n, type="space", unit=self.unit) for n in "zyx")
        return spatial if self.times == 1 else (Axis(name="t", type="time", unit=self.time_unit), *spatial)

    def level(self, number: int, levels: Mapping[str, Any]) -> BossLevel:
        """Return a level; the service's own sizes win over the rule."""
        factor = 1 << number
        factors = (factor if self.isotropic else 1, factor, factor)
        shape = tuple(-(-n // f) for n, f in zip(self.size, factors, strict=True))
        told = _told(levels, "extent", number)
        if told is not None and not any(self.start):
            shape = tuple(_whole(n, "an extent", 1) for n in told)
            # The service may serve another hierarchy than the experiment says: what it tells decides.
            factors = tuple(_nearest(n, m, factor) for n, m in zip(self.size, shape, strict=True))  # type: ignore[assignment]
        chunk = _told(levels, "cuboid_size", number) or _CUBOID
        chunk = tuple(_whole(n, "a cuboid size", 1) for n in chunk)
        if math.prod(chunk) > 1 << 28:
            chunk = _CUBOID
        scale = tuple(v * f for v, f in zip(self.voxel, factors, strict=True))
        shift = tuple(v * (s + (f - 1) / 2) for v, s, f in zip(self.voxel, self.start, factors, strict=True))
        lead = () if self.times == 1 else (self.times,)
        place: Transform = Scale((*(self.step,) * len(lead), *scale))
        if any(shift):
            place = place.then(Translation((*(0.0,) * len(lead), *shift)))
        return BossLevel(
            number=number,
            shape=(*lead, *shape),
            chunk=(*(1,) * len(lead), *(min(c, n) for c, n in zip(chunk, shape, strict=True))),
            start=(*(0,) * len(lead), *self.start),
            transform=place,
        )


def _told(levels: Mapping[str, Any], key: str, number: int) -> tuple[Any, ...] | None:  # Any: JSON as found
    """Return what the service says of a level, x y z, as z y x."""
    table = levels.get(key)
    values = table.get(str(number)) if isinstance(table, Mapping) else None
    return tuple(reversed(values)) if isinstance(values, list) and len(values) == 3 else None


def _nearest(whole: int, part: int, factor: int) -> int:
    """Return by how much an axis was reduced: not at all, or by the level's factor."""
    if part == whole and factor > 1 and whole > 1:
        return 1
    return factor if -(-whole // factor) == part else max(1, round(whole / part))
