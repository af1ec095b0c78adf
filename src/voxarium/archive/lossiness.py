"""How far the voxels of an image that is stored with loss are from those it was made of, and the log's word on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.log_reading import LogReader
from voxarium.archive.members import record_in_dataset
from voxarium.conversion.sources import open_source
from voxarium.core.image import Image
from voxarium.errors import Code, InputError, VoxariumError
from voxarium.model.box import Box
from voxarium.model.protocols import ReadableStore

__all__ = ["Loss", "measure_loss", "measured_images"]

_AT_ONCE: Final = 1 << 24  # voxels
_REMAKING: Final = ("convert", "resample", "ingest", "edit", "copy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Absolute differences of voxels of level 0, in raw values.

    Parameters
    ----------
    max_error, mean_error : float
        The greatest, and the mean over all voxels.
    voxels : int
        How many were compared.
    """

    max_error: float
    mean_error: float
    voxels: int

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return it for ``--json`` and the log."""
        return {"max_error": self.max_error, "mean_error": self.mean_error, "voxels": str(self.voxels)}


def measure_loss(
    image: str | os.PathLike[str], original: str | os.PathLike[str] | Image, *, record: bool = True
) -> Loss:
    """Compare every voxel of level 0 of an image with those of what it was made of, and note the result in the log.

    Parameters
    ----------
    image : str or path
        In a dataset, if it is to be noted.
    original : str, path or Image
        What it was made of: the same voxels, in any format.
    record : bool
        Note it in the log of the dataset; publishing asks for that of images that are stored with loss.

    Raises
    ------
    InputError
        If the two have not the same shape.
    """
    stored = open_source(image)
    other = original if isinstance(original, Image) else open_source(original)
    names = _names(stored), _names(other)
    if not other.info.axes_stated and len(names[0]) == len(names[1]):
        names = names[0], dict(zip(names[0], names[1].values(), strict=True))  # in the order of storage
    lengths = [{name: i.shape[axis] for name, axis in n.items()} for i, n in zip((stored, other), names, strict=True)]
    if lengths[0] != lengths[1]:
        raise InputError(
            f"{stored.name} has {lengths[0]} voxels, {other.name} {lengths[1]}",
            code=Code.AXES_MISMATCH,
            fix="name the image that it was made of, with the same axes",
        )
    greatest, total, count = 0.0, 0.0, 0
    for box in _boxes(stored):
        start = {name: box.origin[axis] for name, axis in names[0].items()}
        length = {name: box.shape[axis] for name, axis in names[0].items()}
        ours, theirs = (_plain(i, n, start, length) for i, n in zip((stored, other), names, strict=True))
        apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
        greatest, total, count = max(greatest, float(apart.max())), total + float(apart.sum()), count + apart.size
    loss = Loss(max_error=greatest, mean_error=total / max(count, 1), voxels=count)
    if record:
        source = other.store.uri + (f"/{other.path}" if other.path else "")
        record_in_dataset(image, "measure", loss.to_json(), source=source)
    return loss


def _names(image: Image) -> dict[str, int]:
    """Return the axes along which an image has more than one voxel, by name."""
    return {a.name: i for i, (a, n) in enumerate(zip(image.axes, image.shape, strict=True)) if n != 1}


def _boxes(image: Image) -> list[Box]:
    """Return regions of whole planes of chunks that fit into memory."""
    array = image.arrays[0]
    step = list(array.info.object_shape)
    for axis in reversed(range(len(step))):
        while step[axis] < image.shape[axis] and np.prod(step, dtype=float) * 2 <= _AT_ONCE:
            step[axis] *= 2
    whole = Box.whole(image.shape)
    return list(whole.tiles(tuple(min(s, max(n, 1)) for s, n in zip(step, image.shape, strict=True))))


def _plain(image: Image, names: Mapping[str, int], start: Mapping[str, int], length: Mapping[str, int]) -> NDArray[Any]:
    """Return voxels of a region, with axes in the order of their names, and none of one voxel in the whole image."""
    origin, shape = [0] * image.ndim, [1] * image.ndim
    for name, axis in names.items():
        origin[axis], shape[axis] = start[name], length[name]
    data = image.read(Box(tuple(origin), tuple(shape)))
    kept = sorted(names.values())
    data = data.reshape([shape[axis] for axis in kept])
    return data.transpose([kept.index(names[name]) for name in sorted(names)])


def measured_images(store: ReadableStore) -> dict[str, str]:
    """Return what the log says of losses, by path of the image, as far as the image was not made anew since."""
    found: dict[str, str] = {}
    try:
        for recorded in LogReader(store).activities():
            activity = recorded.activity
            for output in activity.outputs:
                if activity.operation == "measure":
                    said = activity.parameters
                    found[output.address] = f"at most {said.get('max_error')}, {said.get('mean_error')} on average"
                elif activity.operation in _REMAKING:
                    for path in [p for p in found if p == output.address or output.address.startswith(f"{p}/")]:
                        del found[path]
    except VoxariumError:  # a log that is broken: `voxarium log verify` says so
        return {}
    return found
