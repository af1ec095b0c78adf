"""Images as collections, experiments and channels of a Boss: names, and the documents about them. No I/O.

A root is a collection. An image is an experiment with a coordinate frame of its own, named by what follows the root in
its address; each of its channels is a channel: ``image`` or ``labels``, with a number where there are several.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, UnsupportedError
from voxarium.model.axes import unit_factor
from voxarium.serve.volumes import Triple, Volume, VolumeLevel

__all__ = ["BossNames", "Experiment", "experiment_of"]

_ODD: Final = re.compile(r"[^A-Za-z0-9_\-]+", re.ASCII)
_LONGEST: Final = 200
_LEVELS: Final = 10
_FARTHEST: Final = 1 << 40
_EXACT: Final = 1e-6
_CUBOID: Final = (16, 512, 512)
# What the service has; 32 bits are sent as 64, which hold the same ids.
_TYPES: Final = {"uint8": "uint8", "uint16": "uint16", "uint32": "uint64", "uint64": "uint64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BossNames:
    """Which image a name means.

    Parameters
    ----------
    experiments : mapping
        Collection → experiment → address of the image.
    frames : mapping
        Coordinate frame → (collection, experiment).
    roots : mapping
        Collection → root.
    """

    experiments: Mapping[str, Mapping[str, str]]
    frames: Mapping[str, tuple[str, str]]
    roots: Mapping[str, str]

    @classmethod
    def of(cls, roots: Iterable[str], addresses: Iterable[tuple[str, str]]) -> BossNames:
        """Return names for all images, given as (root, address).

        Examples
        --------
        >>> names = BossNames.of(["lab"], [("lab", "lab/em.h5::/raw"), ("lab", "lab/em/h5-raw")])
        >>> dict(names.experiments["lab"])
        {'em_h5_raw': 'lab/em.h5::/raw', 'em_h5-raw': 'lab/em/h5-raw'}
        """
        collections: dict[str, str] = {}
        for root in roots:
            collections[root] = _unique(_sound(root), set(collections.values()))
        experiments: dict[str, dict[str, str]] = {name: {} for name in collections.values()}
        frames: dict[str, tuple[str, str]] = {}
        for root, address in addresses:
            collection = collections[root]
            held = experiments[collection]
            name = _unique(_sound(address[len(root) :].strip("/:") or root), held)
            held[name] = address
            frames[_unique(f"{collection}-{name}", frames)] = (collection, name)
        return cls(experiments=experiments, frames=frames, roots={name: root for root, name in collections.items()})

    def seen(self, root: Callable[[str], bool], address: Callable[[str], bool]) -> BossNames:
        """Return the names of those roots and images that are shown; they are the same for everybody."""
        shown = {
            collection: {name: place for name, place in held.items() if address(place)}
            for collection, held in self.experiments.items()
            if root(self.roots[collection])
        }
        frames = {frame: place for frame, place in self.frames.items() if place[1] in shown.get(place[0], ())}
        return BossNames(experiments=shown, frames=frames, roots=self.roots)

    def frame(self, collection: str, experiment: str) -> str:
        """Return the name of the coordinate frame of an experiment."""
        return next(name for name, place in self.frames.items() if place == (collection, experiment))


def _sound(text: str) -> str:
    return _ODD.sub("_", text).strip("_")[:_LONGEST] or "unnamed"


def _unique(name: str, taken: Iterable[str]) -> str:
    if name not in taken:
        return name
    i = 2
    while f"{name}-{i}" in taken:
        i += 1
    return f"{name}-{i}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An image as an experiment.

    Parameters
    ----------
    collection, name, frame : str
        Names, and that of its coordinate frame.
    volume : Volume
        The image.
    dtype : numpy.dtype
        Of what is sent.
    start : tuple of three int
        First voxel of the frame along z, y, x: voxel 0 of a frame has its centre at 0.
    levels : tuple of VolumeLevel
        Those that halve x and y each time.
    """

    collection: str
    name: str
    frame: str
    volume: Volume
    dtype: np.dtype[Any]
    start: Triple
    levels: tuple[VolumeLevel, ...]

    @property
    def channels(self) -> dict[str, int]:
        """Name → number of the channel of the image."""
        name = "labels" if self.volume.label else "image"
        count = self.volume.channels
        return {name: 0} if count == 1 else {f"{name}_{i}": i for i in range(count)}

    def _isotropic(self) -> bool:
        return len(self.levels) > 1 and self.levels[1].factors == (2, 2, 2)

    def experiment_document(self) -> dict[str, Any]:
        """Return what is told of the experiment."""
        volume = self.volume
        step = volume.step
        return {
            "name": self.name,
            "description": volume.name,
            "collection": self.collection,
            "coord_frame": self.frame,
            "channels": list(self.channels),
            "num_hierarchy_levels": len(self.levels),
            "hierarchy_method": "isotropic" if self._isotropic() else "anisotropic",
            "num_time_samples": volume.times,
            "time_step": None if step is None else step[0] * unit_factor(step[1], "second"),
            "time_step_unit": "" if step is None else "seconds",
            "creator": "voxarium",
            "public": True,
        }

    def frame_document(self) -> dict[str, Any]:
        """Return what is told of the coordinate frame."""
        document: dict[str, Any] = {"name": self.frame, "description": "", "voxel_unit": "nanometers", "public": True}
        for axis, first, size, voxel in zip(
            "zyx", self.start, self.volume.levels[0].shape, self.volume.voxel_size, strict=True
        ):
            document |= {f"{axis}_start": first, f"{axis}_stop": first + size, f"{axis}_voxel_size": voxel}
        return document

    def channel_document(self, channel: str) -> dict[str, Any]:
        """Return what is told of a channel."""
        return {
            "name": channel,
            "description": self.volume.name,
            "experiment": self.name,
            "type": "annotation" if self.volume.label else "image",
            "datatype": self.dtype.name,
            "base_resolution": 0,
            "default_time_sample": 0,
            "sources": [],
            "related": [],
            "downsample_status": self._status,
            "storage_type": "spdb",
            "bucket": "",
            "cv_path": "",
            "creator": "voxarium",
            "public": True,
        }

    @property
    def _status(self) -> str:
        return "DOWNSAMPLED" if len(self.levels) > 1 else "NOT_DOWNSAMPLED"

    def levels_document(self) -> dict[str, Any]:
        """Return what is told of the levels, along x, y, z."""
        document: dict[str, Any] = {"num_hierarchy_levels": len(self.levels), "status": self._status}
        document |= {"extent": {}, "voxel_size": {}, "cuboid_size": {}}
        for number, level in enumerate(self.levels):
            size = [v * f for v, f in zip(self.volume.voxel_size, level.factors, strict=True)]
            document["extent"][str(number)] = list(level.shape[::-1])
            document["voxel_size"][str(number)] = size[::-1]
            document["cuboid_size"][str(number)] = list(_CUBOID[::-1])
        return document


def experiment_of(names: BossNames, collection: str, experiment: str, volume: Volume) -> Experiment:
    """Return an image as an experiment.

    An image that begins at whole numbers of voxels has a frame that begins there, and one level: services count coarse
    voxels from 0.

    Raises
    ------
    UnsupportedError
        If the service has no such samples.
    """
    stored = volume.dtype.name
    if stored not in _TYPES or not volume.levels:
        raise UnsupportedError(
            f"a Boss has no samples of {stored}", code=Code.DTYPE_UNSUPPORTED, fix="read the image as OME-Zarr"
        )
    near = [round(c) if abs(c) < _FARTHEST else -1 for c in volume.centre]
    if volume.levels[0].shape[0] == 1 and "z" not in volume.axes:
        near[0] = 0
    placed = all(
        n >= 0 and (abs(c - n) <= _EXACT or name not in volume.axes)
        for n, c, name in zip(near, volume.centre, "zyx", strict=True)
    )
    start = (near[0], near[1], near[2]) if placed else (0, 0, 0)
    kept = [level for n, level in enumerate(volume.levels[:_LEVELS]) if level.factors[1:] == (1 << n, 1 << n)]
    whole = len(kept) if kept == list(volume.levels[: len(kept)]) else 1
    return Experiment(
        collection=collection,
        name=experiment,
        frame=names.frame(collection, experiment),
        volume=volume,
        dtype=np.dtype(_TYPES[stored]),
        start=start,
        levels=tuple(volume.levels[: 1 if any(start) else whole]),
    )
