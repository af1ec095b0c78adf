"""Images in memory, and an independent way to interpolate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo, LevelInfo
from voxarium.model.transforms import Affine, Scale, Sequence, Translation
from voxarium.stores.memory import MemoryStore


class Held:
    """A driver that shows an array in memory chunk by chunk, and counts how often each chunk is read."""

    name = "held"
    spec_url = ""
    capabilities = frozenset({"read"})

    def __init__(self, data):
        self.data = data
        self.reads = []

    def open(self, store, path, /):
        raise NotImplementedError

    def read_chunk(self, store, path, info, box, /):
        self.reads.append(box.origin)
        return np.array(self.data[box.slices])


def held_array(data, chunk=None, driver=None, **about):
    driver = driver or Held(data)
    info = ArrayInfo(
        format="held", shape=data.shape, dtype=data.dtype, chunk_shape=chunk or data.shape, clipped=True, **about
    )
    return Array(driver, MemoryStore(), "held", info)


def held_image(
    data, *, axes="zyx", scale=None, translation=None, chunk=None, role="intensity", unit="nanometer",
    transform=None, driver=None,
):  # fmt: skip
    """Return an image of an array in memory."""
    kinds = {"t": "time", "c": "channel"}
    named = tuple(
        Axis(name=n, type=kinds.get(n, "space"), unit=unit if kinds.get(n, "space") == "space" else None) for n in axes
    )
    n = data.ndim
    if transform is None:
        transform = Sequence(
            (
                Scale(tuple((1.0,) * n if scale is None else scale)),
                Translation(tuple((0.0,) * n if translation is None else translation)),
            )
        )
    array = held_array(data, chunk, driver)
    level = LevelInfo(path="", array=array.info, transform=transform)
    info = ImageInfo(format="held", axes=named, levels=(level,), name="held", role=role, spec_version="1")
    return Image(array.store, "", info, (array,))


def with_level(image, data, transform):
    """Return an image with one more, coarser level."""
    from dataclasses import replace

    array = held_array(data)
    level = LevelInfo(path="more", array=array.info, transform=transform)
    info = replace(image.info, levels=(*image.levels, level))
    return Image(image.store, image.path, info, (*image.arrays, array))


def affine(linear, shift=None):
    linear = np.asarray(linear, float)
    shift = np.zeros(len(linear)) if shift is None else np.asarray(shift, float)
    return Affine(tuple(map(tuple, np.column_stack([linear, shift]).tolist())))


def rotation(degrees_z, degrees_x=0.0):
    a, b = np.radians([degrees_z, degrees_x])
    about_z = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_x = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return about_z @ about_x


def positions(image, source, level=0):
    """Return the positions of an image's voxels in a source that lies in the same world, shape (3, *shape)."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in image.shape), indexing="ij"), axis=-1)
    world = image.levels[0].transform.apply(grid)
    return np.moveaxis(source.levels[level].transform.inverse().apply(world), -1, 0)


def inside(at, shape):
    n = np.array(shape).reshape(-1, *(1,) * (at.ndim - 1))
    return ((at >= -0.5) & (at < n - 0.5)).all(axis=0)


def catmull_rom(data, at):
    """Interpolate by the textbook formula, in a loop over the 4³ voxels around; edges repeat."""
    n = np.array(data.shape)
    at = np.clip(at, 0, (n - 1).reshape(-1, *(1,) * (at.ndim - 1)))
    low = np.floor(at).astype(int)
    f = at - low
    weights = np.stack(
        [(-f + 2 * f**2 - f**3) / 2, (2 - 5 * f**2 + 3 * f**3) / 2, (f + 4 * f**2 - 3 * f**3) / 2, (f**3 - f**2) / 2]
    )
    total = np.zeros(at.shape[1:])
    for taps in itertools.product(range(4), repeat=data.ndim):
        index = tuple(np.clip(low[a] + t - 1, 0, n[a] - 1) for a, t in enumerate(taps))
        total += np.prod([weights[t, a] for a, t in enumerate(taps)], axis=0) * data[index].astype(float)
    return total


@pytest.fixture
def rng():
    return np.random.default_rng(11)
