"""Imaris files (``.ims``): one image of several time points, channels and levels in an HDF5 file.

Spec: https://imaris.oxinst.com/support/imaris-file-format, see `voxarium.spec.imaris`. Every time point and channel
is a dataset of its own; they are presented as one array with the axes t, c, z, y, x, of which t and c are left out
where there is one only. Single datasets open as plain HDF5: ``file.ims::/DataSet/ResolutionLevel 0/TimePoint 0/…``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.hdf5_filters import Hdf5Voxels, number_type
from voxarium.codecs.hdf5_tree import HEAD, below, check_storage, has_signature, open_file, translated
from voxarium.errors import Code, FormatError
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo, Bag, Display, ImageInfo, LevelInfo, SourceRecord
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place, read_head
from voxarium.spec import imaris as spec

__all__ = ["ImarisArrayDriver", "ImarisDriver"]

_NAME: Final = "imaris"
_SPEC: Final = "https://imaris.oxinst.com/support/imaris-file-format"
_SUFFIX: Final = ".ims"
_LEVEL: Final = re.compile(r"(?P<key>.+\.ims)/ResolutionLevel (?P<level>[0-9]{1,2})\Z", re.IGNORECASE)
_MOST_LEVELS: Final = 64
_MOST_ASKED: Final = 1000  # datasets, for their size
_MOST_CHANNELS: Final = 4096
_MOST_TIMES: Final = 1_000_000
_MOST_GROUPS: Final = 10_000
_MOST_ATTRIBUTES: Final = 1000
_MOST_OPEN: Final = 256


class _Level:
    """The datasets of one level, opened when they are read. Pickled without the open file."""

    __slots__ = ("channels", "dtype", "group", "kept", "level", "size", "times")

    def __init__(
        self,
        level: int,
        lead: tuple[int, int],
        size: tuple[int, int, int],
        dtype: np.dtype[Any],
        group: Any,  # Any: h5py is untyped
    ) -> None:
        self.level, self.size = level, size
        self.times, self.channels = lead
        self.dtype = dtype
        self.group = group
        self.kept: dict[tuple[int, int], Hdf5Voxels] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return (_Level, (self.level, (self.times, self.channels), self.size, self.dtype, None))

    def voxels(self, store: ReadableStore, key: str, time: int, channel: int) -> Hdf5Voxels:
        """Return the voxels of one channel at one time."""
        found = self.kept.get((time, channel))
        if found is not None:
            return found
        where = f"{place(store, key)}, level {self.level}, time point {time}, channel {channel}"
        if self.group is None:  # came from another process
            self.group = _level_group(store, key, self.level)
        dataset = _data(store, key, self.group, (time, channel), where)
        if number_type(dataset, where) != self.dtype or any(
            a < b for a, b in zip(dataset.shape, self.size, strict=True)
        ):
            raise FormatError(
                f"{where} is {dataset.dtype} {dataset.shape}, the first one {self.dtype} {self.size}",
                code=Code.METADATA_INVALID,
                fix=f"open it by itself, as {place(store, key)}::{dataset.name}",
            )
        found = Hdf5Voxels.of(dataset, key, where)
        if len(self.kept) >= _MOST_OPEN:
            self.kept.clear()
        self.kept[time, channel] = found
        return found


class ImarisArrayDriver:
    """Reads one level of an Imaris file as one array."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Open ``file.ims/ResolutionLevel n``, which is how the image driver names its levels.

        Raises
        ------
        NotFoundError
            If the path is none of these.
        FormatError
            If the file is broken, or stores fewer voxels than it states.
        UnsupportedError
            If h5py or a filter is not installed.
        """
        match = _LEVEL.match(path)
        if match is None or "::" in path:
            raise declined(self.name, store, path)
        key, level = match["key"], int(match["level"])
        with translated(place(store, key)):
            group = _level_group(store, key, level)
            info = _info(group.file, key)
            channels, times = len(info.channels), _times(group, key)
            where = f"{place(store, key)}, level {level}"
            dataset = _data(store, key, group, (0, 0), where)
            dtype = number_type(dataset, where)
            stated = info.size if level == 0 else None
            size = spec.parse_size(_attributes(dataset.parent), tuple(map(int, dataset.shape)), stated, where)
            names = spec.axis_names(channels, times)
            lead = tuple(n for n in (times, channels) if n > 1)
            details = _Level(level, (times, channels), size, dtype, group)
            voxels = details.voxels(store, key, 0, 0)
            return ArrayInfo(
                format=self.name,
                shape=(*lead, *size),
                dtype=dtype,
                chunk_shape=(*(1,) * len(lead), *(min(c, n) for c, n in zip(voxels.chunk_shape, size, strict=True))),
                fill_value=dataset.fillvalue if dataset.fillvalue is not None else 0,
                codecs=voxels.codecs,
                axes=spec.axes(info, names),
                details=details,
            )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`, one time point and channel after the other."""
        level = cast(_Level, info.details)
        key = path.rpartition("/")[0]
        volume = Box(box.origin[-3:], box.shape[-3:])
        with translated(place(store, key)):
            for time, channel, index in _volumes(level, box):
                level.voxels(store, key, time, channel).read(store, volume, out[index])

    def stored_bytes(self, store: ReadableStore, path: str, info: ArrayInfo, /) -> int | None:
        """Return the bytes of the level's datasets in the file; None when there are too many to ask."""
        level = cast(_Level, info.details)
        key = path.rpartition("/")[0]
        if level.times * level.channels > _MOST_ASKED:
            return None
        with translated(place(store, key)):
            pairs = itertools.product(range(level.times), range(level.channels))
            found = [level.voxels(store, key, t, c).dataset for t, c in pairs]
            return sum(int(dataset.id.get_storage_size()) for dataset in found)


class ImarisDriver:
    """Names, colours, extent and levels of an Imaris file."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = (_SUFFIX,)

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Open an Imaris file.

        Raises
        ------
        NotFoundError
            If this is no such file.
        FormatError
            If it is broken.
        UnsupportedError
            If h5py or a filter is not installed.
        """
        if "::" in path or not path.lower().endswith(_SUFFIX):
            raise declined(self.name, store, path)
        found = read_head(store, path, HEAD)
        if found is None or not has_signature(found[0]):
            raise declined(self.name, store, path)
        with translated(place(store, path)):
            file = open_file(store, path)
            top = below(file, _directory(file, "DataSet"))
            count = 0 if top is None else spec.numbered(list(top), "ResolutionLevel", _MOST_LEVELS)
            if not count:
                raise declined(self.name, store, path)
            info = _info(file, path)
        arrays = [(f"ResolutionLevel {i}", open_array(f"{path}/ResolutionLevel {i}")) for i in range(count)]
        return _image(info, arrays)


def _image(info: spec.ImarisInfo, arrays: list[tuple[str, ArrayInfo]]) -> ImageInfo:
    first = arrays[0][1]
    names = tuple(a.name for a in first.axes or ())
    finest = cast("tuple[int, int, int]", first.shape[-3:])
    levels = tuple(
        LevelInfo(
            path=path,
            array=array,
            transform=spec.level_transform(info, finest, cast("tuple[int, int, int]", array.shape[-3:]), names),
        )
        for path, array in arrays
    )
    for level in levels:
        if level.array.shape[:-3] != first.shape[:-3] or level.array.dtype != first.dtype:
            raise FormatError(
                f"{level.path} is {level.array.dtype} {level.array.shape}, level 0 is {first.dtype} {first.shape}",
                code=Code.METADATA_INVALID,
                fix="save the file again with Imaris, or open one dataset inside it as plain HDF5",
            )
    record = SourceRecord(format=_NAME, metadata=info.metadata, notes=info.notes)
    return ImageInfo(
        format=_NAME,
        axes=first.axes or (),
        levels=levels,
        name=info.name,
        display=Display(channels=info.channels),
        bag=Bag(records=(record,)),
    )


# ------------------------------------------------------------------------------------------------- inside a file
def _volumes(level: _Level, box: Box) -> Iterator[tuple[int, int, tuple[Any, ...]]]:
    """Yield time point, channel, and index into the output, of everything a box touches."""
    lead = iter(zip(box.origin[:-3], box.shape[:-3], strict=True))
    t0, times = next(lead) if level.times > 1 else (0, 0)
    c0, channels = next(lead) if level.channels > 1 else (0, 0)
    for t, c in itertools.product(range(max(times, 1)), range(max(channels, 1))):
        index = ((t,) if level.times > 1 else ()) + ((c,) if level.channels > 1 else ())
        yield t0 + t, c0 + c, (*index, ...)


def _directory(file: Any, name: str) -> str:  # Any: h5py is untyped
    """Return the name a file gives to one of its directories."""
    return spec.attribute_text(file.attrs.get(f"{name}DirectoryName", name)).strip("/") or name


def _level_group(store: ReadableStore, key: str, level: int) -> Any:  # Any: h5py is untyped
    found = read_head(store, key, HEAD)
    if found is None or not has_signature(found[0]):
        raise declined(_NAME, store, key)
    file = open_file(store, key)
    group = below(file, _directory(file, "DataSet"), f"ResolutionLevel {level}")
    if group is None:
        raise declined(_NAME, store, f"{key}, level {level}")
    return group


def _times(group: Any, key: str) -> int:  # Any: h5py is untyped
    count = spec.numbered(list(group), "TimePoint", _MOST_TIMES)
    if not count:
        raise FormatError(f"{key}: {group.name} has no time points", code=Code.METADATA_INVALID, fix=_AGAIN)
    return count


_AGAIN: Final = "copy the file again from its source, or save it again with Imaris"


def _data(store: ReadableStore, key: str, group: Any, at: tuple[int, int], where: str) -> Any:
    dataset = below(group, f"TimePoint {at[0]}", f"Channel {at[1]}", "Data")
    if not hasattr(dataset, "shape"):
        raise FormatError(f"{where}: there are no data", code=Code.METADATA_INVALID, fix=_AGAIN)
    check_storage(store, key, dataset, 0)
    return dataset


def _info(file: Any, key: str) -> spec.ImarisInfo:  # Any: h5py is untyped
    """Return what the file says about the image as a whole."""
    first = below(file, _directory(file, "DataSet"), "ResolutionLevel 0")
    point = below(first, "TimePoint 0")
    if not hasattr(point, "keys"):
        raise FormatError(f"{key} has no image at level 0, time point 0", code=Code.METADATA_INVALID, fix=_AGAIN)
    channels = spec.numbered(list(point), "Channel", _MOST_CHANNELS)
    if not channels:
        raise FormatError(f"{key} has no channels", code=Code.METADATA_INVALID, fix=_AGAIN)
    top = below(file, _directory(file, "DataSetInfo"))
    names = list(itertools.islice(top, _MOST_GROUPS)) if hasattr(top, "keys") else []
    groups = {name: _attributes(group) for name in names if hasattr(group := below(top, name), "keys")}
    return spec.parse_info(groups, channels, _times(first, key))


def _attributes(group: Any) -> dict[str, str]:  # Any: h5py is untyped
    out = {}
    for name in itertools.islice(group.attrs, _MOST_ATTRIBUTES):
        try:
            out[name] = spec.attribute_text(group.attrs[name])
        except (OSError, TypeError, ValueError, KeyError, RuntimeError):  # an exotic attribute does not spoil an image
            continue
    return out
