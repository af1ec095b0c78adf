"""Transforms beyond one matrix: by dimension, projections, bijections, and those stored elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as _field
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from voxarium.errors import Code, UnsupportedError
from voxarium.model.transforms import Transform, invalid, not_invertible, walk
from voxarium.model.vector_field import VectorField

__all__ = [
    "AxisTransform",
    "Bijection",
    "ByDimension",
    "Coordinates",
    "Displacements",
    "ProjectAxis",
    "Unresolved",
]


@dataclass(frozen=True, slots=True)
class AxisTransform:
    """A transform of some axes: `input_axes` feed it, its outputs become `output_axes`."""

    input_axes: tuple[int, ...]
    output_axes: tuple[int, ...]
    transform: Transform

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_axes", tuple(self.input_axes))
        object.__setattr__(self, "output_axes", tuple(self.output_axes))
        out = walk((self.transform,), len(self.input_axes))
        if min(*self.input_axes, *self.output_axes, 0) < 0 or (out is not None and out != len(self.output_axes)):
            invalid(
                f"axes {self.input_axes} → {self.output_axes} do not fit their transform",
                "name one axis, from 0 on, per coordinate the transform takes and gives",
            )


@dataclass(frozen=True, slots=True)
class ByDimension(Transform):
    """Transforms that each see some of the axes; together they give every output axis exactly once."""

    items: tuple[AxisTransform, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))
        given = sorted(i for item in self.items for i in item.output_axes)
        if not given or given != list(range(len(given))):
            invalid(
                f"transforms by dimension give the output axes {given}",
                "give every output axis exactly once, from 0 on",
            )

    @property
    def _used(self) -> list[int]:
        return sorted(i for item in self.items for i in item.input_axes)

    @property
    @override
    def ndim_in(self) -> int | None:
        used = self._used
        return len(used) if used == list(range(len(used))) else None

    @property
    @override
    def ndim_out(self) -> int:
        return sum(len(item.output_axes) for item in self.items)

    def _checked(self, ndim: int) -> None:
        if self._used and self._used[-1] >= ndim:
            invalid(f"axis {self._used[-1]} is beyond points of {ndim} axes", "give points with all input axes")

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        p = self._points(points)
        self._checked(p.shape[-1])
        out = np.empty((*p.shape[:-1], self.ndim_out))
        for item in self.items:
            out[..., list(item.output_axes)] = item.transform.apply(p[..., list(item.input_axes)])
        return out

    @override
    def inverse(self) -> Transform:
        if self.ndim_in is None:
            not_invertible("the transform by dimension", "its inputs are not each used exactly once")
        return ByDimension(tuple(AxisTransform(i.output_axes, i.input_axes, i.transform.inverse()) for i in self.items))

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        self._checked(ndim)
        out = np.zeros((self.ndim_out, ndim + 1))
        for item in self.items:
            m = item.transform.matrix(len(item.input_axes))
            out[np.ix_(item.output_axes, (*item.input_axes, ndim))] = m
        return out


@dataclass(frozen=True, slots=True)
class ProjectAxis(Transform):
    """Drop inputs, then insert zeros so that they stand at `created_outputs` of the output.

    Examples
    --------
    >>> ProjectAxis(dropped_inputs=(0,), created_outputs=(0, 2)).apply((7, 8, 9)).tolist()
    [0.0, 8.0, 0.0, 9.0]
    """

    dropped_inputs: tuple[int, ...] = ()
    created_outputs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "dropped_inputs", tuple(sorted(self.dropped_inputs)))
        object.__setattr__(self, "created_outputs", tuple(sorted(self.created_outputs)))
        both = (self.dropped_inputs, self.created_outputs)
        if not any(both) or any(len(set(axes)) != len(axes) or min(axes, default=0) < 0 for axes in both):
            invalid(
                f"projection drops axes {self.dropped_inputs} and creates axes {self.created_outputs}",
                "name at least one axis, each once, counted from 0",
            )

    @property
    @override
    def ndim_out(self) -> None:
        return None

    def _rows(self, ndim: int) -> list[int | None]:
        """Return the input axis of each output; None for a created one."""
        if max(self.dropped_inputs, default=-1) >= ndim:
            invalid(f"axis {self.dropped_inputs[-1]} is beyond points of {ndim} axes", "drop axes that exist")
        kept = [i for i in range(ndim) if i not in self.dropped_inputs]
        size = len(kept) + len(self.created_outputs)
        if max(self.created_outputs, default=-1) >= size or size == 0:
            invalid(
                f"projection to {size} axes cannot create axes {self.created_outputs}",
                "create axes that exist",
            )
        return [None if o in self.created_outputs else kept.pop(0) for o in range(size)]

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        p = self._points(points)
        rows = self._rows(p.shape[-1])
        return np.stack([np.zeros(p.shape[:-1]) if i is None else p[..., i] for i in rows], axis=-1)

    @override
    def inverse(self) -> Transform:
        not_invertible("the projection", "it drops or creates axes")

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        rows = self._rows(ndim)
        out = np.zeros((len(rows), ndim + 1))
        for o, i in enumerate(rows):
            if i is not None:
                out[o, i] = 1.0
        return out


@dataclass(frozen=True, slots=True)
class Bijection(Transform):
    """A transform that states its inverse."""

    forward: Transform
    backward: Transform

    def __post_init__(self) -> None:
        walk((self.forward, self.backward), None)
        walk((self.backward, self.forward), None)

    @property
    @override
    def ndim_in(self) -> int | None:
        return self.forward.ndim_in

    @property
    @override
    def ndim_out(self) -> int | None:
        return self.forward.ndim_out

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        return self.forward.apply(points)

    @override
    def inverse(self) -> Transform:
        return Bijection(self.backward, self.forward)

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        return self.forward.matrix(ndim)


class _Elsewhere(Transform):
    """Base of transforms that no matrix describes, and whose numbers may not be at hand."""

    __slots__ = ()

    def _refuse(self) -> NoReturn:
        raise UnsupportedError(
            f"{self} cannot be evaluated",
            code=Code.FEATURE_UNSUPPORTED,
            fix="use the level's own transform to `world`, or take the transform from image.systems or "
            "voxarium.read_transform, which load what it needs",
        )

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        self._refuse()

    @override
    def inverse(self) -> Transform:
        self._refuse()

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        self._refuse()


class _Field(_Elsewhere):
    """Base of transforms by a field of vectors."""

    __slots__ = ()

    path: str
    field: VectorField | None

    @property
    @override
    def ndim_in(self) -> int | None:
        return None if self.field is None else self.field.ndim

    def _vectors(self, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return points, vectors and which points lie in the field, all of them as rows."""
        if self.field is None:
            self._refuse()
        p = self._points(points)
        return p, *self.field.at(p.reshape(-1, p.shape[-1]))

    @override
    def inverse(self) -> Transform:
        if self.field is None:
            self._refuse()
        raise UnsupportedError(
            f"the field {self.path or 'in memory'!r} has no inverse in closed form",
            code=Code.NOT_INVERTIBLE,
            fix="map points in the forward direction, or ask for an approximate inverse "
            "(voxarium.model.approximate.approximate_inverse)",
        )

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        raise UnsupportedError(
            f"the field {self.path or 'in memory'!r} is no affine transform",
            code=Code.FEATURE_UNSUPPORTED,
            fix="apply it to points instead",
        )


@dataclass(frozen=True, slots=True)
class Displacements(_Field):
    """Add the vector that the field at `path` has at each point; outside the field, points stay where they are.

    `field` is None until the field is opened: the transform is then carried along, and not applied.
    """

    path: str = ""
    interpolation: str = "linear"
    field: VectorField | None = _field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.field is not None and self.field.source.components != self.field.ndim:
            invalid(
                f"a field of {self.field.ndim} axes has displacements of {self.field.source.components} numbers",
                "give one displacement per axis",
            )

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        p, vectors, _ = self._vectors(points)
        return p + vectors.reshape(p.shape)


@dataclass(frozen=True, slots=True)
class Coordinates(_Field):
    """Look up the output point in the field at `path`; outside the field, coordinates are NaN.

    `field` is None until the field is opened: the transform is then carried along, and not applied.
    """

    path: str = ""
    interpolation: str = "linear"
    field: VectorField | None = _field(default=None, compare=False, repr=False)

    @property
    @override
    def ndim_out(self) -> int | None:
        return None if self.field is None else self.field.source.components

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        p, vectors, inside = self._vectors(points)
        vectors[~inside] = np.nan
        return vectors.reshape(*p.shape[:-1], vectors.shape[-1])


@dataclass(frozen=True, slots=True)
class Unresolved(_Elsewhere):
    """A transform known by its kind alone: its matrix is an array at `path`, or `reason` says why."""

    kind: str
    path: str | None = None
    reason: str = ""
