"""Writing fields of displacements and coordinates as images whose first axis holds the vectors' components."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from voxarium.conversion.naming import image_name
from voxarium.conversion.options import DEFAULT_FORMAT
from voxarium.conversion.target import open_target, refuse_or_clear
from voxarium.core.registry import writable_array_driver, writable_image_driver
from voxarium.errors import Code, InputError
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ArraySpec, ImageInfo, LevelInfo
from voxarium.model.protocols import WritableArrayDriver, WritableStore
from voxarium.model.transforms import Identity, Scale, Transform, Translation
from voxarium.model.transforms import Sequence as Steps
from voxarium.model.vector_field import INTERPOLATIONS
from voxarium.model.warps import Coordinates, Displacements

__all__ = ["write_field"]

_FIRST_VERSION: Final = "0.6"  # of OME-Zarr: earlier ones know no fields
_VOXELS: Final = 2**18  # of a chunk
_NAMES: Final = {"displacement": "d", "coordinate": "c"}


def write_field(
    uri: str | os.PathLike[str],
    vectors: Any,  # Any: sliced like an ndarray, such as h5py or zarr arrays
    axes: str | Sequence[Axis],
    *,
    kind: Literal["displacement", "coordinate"] = "displacement",
    scale: Sequence[float] | None = None,
    translation: Sequence[float] | None = None,
    unit: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Transform:
    r"""Write a field of vectors, and return the transform that names it.

    Parameters
    ----------
    uri : str or path
        Where the group of the field is to be.
    vectors : array
        Shape (\\*grid, components), such as (z, y, x, 3): one vector per grid point, its components in the order of
        `axes`, in units of the world. Only a chunk at a time is taken of it.
    axes : str or sequence of Axis
        Of the grid, such as ``zyx``.
    kind : str
        ``displacement`` to add to a point, or ``coordinate`` of the output.
    scale, translation : sequence of float or None
        Of the grid: a grid point lies at index × scale + translation, in the system that the transform maps from.
    unit : str or None
        Of axes given as text.
    options : mapping or None
        ``interpolation`` (linear, nearest, bspline-cubic) and ``path`` (of the group, relative to the one that will
        state the transform) of the transform that is returned; ``codec``, ``chunk`` (shape over the grid),
        ``overwrite``, ``format``, ``spec_version``.

    Raises
    ------
    InputError
        If the vectors do not fit the axes.
    ExistsError
        If the target exists.
    """
    grid = _grid_axes(axes, unit)
    shape = tuple(vectors.shape)
    chosen = dict(options or {})
    interpolation = chosen.get("interpolation", "linear")
    _check(shape, grid, kind, interpolation, np.dtype(vectors.dtype))
    target = open_target(uri, chosen.get("format", DEFAULT_FORMAT))
    refuse_or_clear(target, overwrite=bool(chosen.get("overwrite", False)))
    version = chosen.get("spec_version", _FIRST_VERSION)
    convention = writable_image_driver(chosen.get("format", DEFAULT_FORMAT))
    container = writable_array_driver(convention.array_driver(version))
    chunk = tuple(chosen.get("chunk") or _chunk(shape[:-1]))
    vector = Axis(name=_free(_NAMES[kind], grid), type=kind, extra={"discrete": True})
    level = convention.level_path(0, Identity(), Identity())
    placed = Steps(
        (
            Scale((1.0, *(scale or (1.0,) * len(grid)))),
            Translation((0.0, *(translation or (0.0,) * len(grid)))),
        )
    )
    info = container.create(
        ArraySpec(
            shape=(shape[-1], *shape[:-1]),
            dtype=np.dtype(vectors.dtype).newbyteorder("="),
            chunk_shape=(shape[-1], *chunk),
            codec=chosen.get("codec"),
            dimension_names=(vector.name, *(a.name for a in grid)),
        )
    )
    image = ImageInfo(
        format=convention.name,
        axes=(vector, *grid),
        levels=(LevelInfo(path=level, array=info, transform=placed),),
        name=image_name(os.fspath(uri)),
        spec_version=version,
    )
    convention.check(image, version)
    _write_chunks(target.store, container, level, info, vectors)
    for key, data in container.dump(level, info).items():
        target.store.put(key, data)
    for key, data in convention.dump("", image, version, {}).items():
        target.store.put(key, data)
    where = chosen.get("path") or os.path.basename(os.fspath(uri).rstrip("/"))
    transform = Displacements if kind == "displacement" else Coordinates
    return transform(where, interpolation)


def _grid_axes(axes: str | Sequence[Axis], unit: str | None) -> tuple[Axis, ...]:
    if isinstance(axes, str):
        return tuple(Axis(name=n, type="space", unit=unit) for n in axes)
    return tuple(axes)


def _free(name: str, axes: Sequence[Axis]) -> str:
    return name if all(a.name != name for a in axes) else f"{name}_"


def _check(shape: tuple[int, ...], grid: Sequence[Axis], kind: str, interpolation: str, dtype: np.dtype[Any]) -> None:
    problem, fix = "", ""
    if len(shape) != len(grid) + 1 or not all(shape):
        problem, fix = f"vectors of shape {shape} do not fit {len(grid)} axes", "give (*grid, components)"
    elif kind not in _NAMES:
        problem, fix = f"there are no fields of kind {kind!r}", f"use one of {', '.join(_NAMES)}"
    elif kind == "displacement" and shape[-1] != len(grid):
        problem, fix = f"displacements of {shape[-1]} numbers do not fit {len(grid)} axes", "give one number per axis"
    elif interpolation not in INTERPOLATIONS:
        problem, fix = f"fields are not interpolated by {interpolation!r}", f"use one of {', '.join(INTERPOLATIONS)}"
    elif dtype.kind not in "iuf":
        problem, fix = f"vectors of type {dtype} are not real numbers", "convert them to float32 or float64"
    if problem:
        raise InputError(problem, code=Code.ARGUMENT_INVALID, fix=fix)


def _chunk(shape: Sequence[int]) -> tuple[int, ...]:
    edge = max(1, round(_VOXELS ** (1 / len(shape))))
    return tuple(min(n, edge) for n in shape)


def _write_chunks(
    store: WritableStore, container: WritableArrayDriver, path: str, info: ArrayInfo, vectors: Any
) -> None:
    counts = [math.ceil(n / c) for n, c in zip(info.shape, info.chunk_shape, strict=True)]
    for index in itertools.product(*map(range, counts)):
        spans = [slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(index, info.chunk_shape, info.shape, strict=True)]
        part = np.moveaxis(np.asarray(vectors[(*spans[1:], slice(None))]), -1, 0)
        store.put(container.object_key(path, info, index), container.encode(info, _whole(part, info)))


def _whole(part: NDArray[Any], info: ArrayInfo) -> NDArray[Any]:
    """Return a chunk of native byte order, padded where the container stores whole ones."""
    part = np.ascontiguousarray(part, info.dtype)
    if info.clipped or part.shape == info.chunk_shape:
        return part
    out = np.full(info.chunk_shape, info.fill_value, info.dtype)
    out[tuple(map(slice, part.shape))] = part
    return out
