"""A graph of coordinate systems: the way from one to another, as one transform."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.approximate import approximate_inverse
from voxarium.model.axes import CoordinateSystem
from voxarium.model.image import TransformEdge
from voxarium.model.transforms import (
    Affine,
    Identity,
    Scale,
    Sequence,
    Transform,
    Translation,
    scale_translation,
)
from voxarium.model.warps import Unresolved

__all__ = ["Step", "TransformGraph", "simplified"]

_MOST_NAMES: Final = 12  # of systems, in a message

Resolve = Callable[[TransformEdge], Transform]


@dataclass(frozen=True, slots=True)
class Step:
    """One edge of a way, and whether it is taken backward."""

    edge: TransformEdge
    backward: bool
    transform: Transform

    @property
    def text(self) -> str:
        """The edge for people."""
        return _text(self.edge)


def _text(edge: TransformEdge) -> str:
    name = f" ({edge.name})" if edge.name else ""
    return f"{edge.source} → {edge.target}{name}"


class TransformGraph:
    """Coordinate systems and the transforms between them.

    Parameters
    ----------
    systems : mapping of str to CoordinateSystem
        By name. Edges may lead to names that are not among them.
    edges : iterable of TransformEdge
        Each maps points of its source to its target.
    resolve : callable or None
        Returns the transform of an edge ready for use: it opens fields. None = as it stands.

    Examples
    --------
    >>> edge = TransformEdge(source="a", target="b", transform=Scale((2.0,)))
    >>> TransformGraph({}, [edge]).transform("b", "a")
    Scale(scale=(0.5,))
    """

    def __init__(
        self,
        systems: Mapping[str, CoordinateSystem],
        edges: Iterable[TransformEdge],
        resolve: Resolve | None = None,
    ) -> None:
        self.systems = dict(systems)
        self.edges = tuple(edges)
        self._resolve = resolve
        self._touching: dict[str, list[int]] = {}
        for i, edge in enumerate(self.edges):
            for end in dict.fromkeys((edge.source, edge.target)):
                self._touching.setdefault(end, []).append(i)
        self._found: dict[tuple[int, bool, bool], Transform | VoxariumError] = {}

    def __contains__(self, name: object) -> bool:
        return name in self.systems or name in self._touching

    @property
    def names(self) -> tuple[str, ...]:
        """Names of every system, stated or only referred to."""
        return tuple(dict.fromkeys((*self.systems, *self._touching)))

    def transform(self, source: str, target: str, *, approximate: bool = False) -> Transform:
        """Return the transform along the shortest way; see `way`."""
        out: Transform = Identity()
        for step in self.way(source, target, approximate=approximate):
            out = out.then(step.transform)
        known = self.systems.get(source)
        return simplified(out, out.ndim_in if known is None else known.ndim)

    def way(self, source: str, target: str, *, approximate: bool = False) -> tuple[Step, ...]:
        """Return the steps of the shortest way from one system to another.

        Edges are taken backward where their transform has an inverse; with `approximate`, fields and splines too.

        Raises
        ------
        NotFoundError
            If there is no such system.
        UnsupportedError
            If no way leads there: the message names the edges that block it.
        """
        for name in (source, target):
            if name not in self:
                raise NotFoundError(
                    f"there is no coordinate system {name!r}",
                    code=Code.PATH_MISSING,
                    fix=f"choose one of {_listed(self.names)}",
                )
        came = self._search(source, target, lambda i, backward: self._usable(i, backward, approximate))
        if target not in came:
            self._refuse(source, target, approximate)
        return self._steps(came, source, target, approximate)

    def _search(
        self, source: str, target: str, usable: Callable[[int, bool], bool]
    ) -> dict[str, tuple[str, int, bool]]:
        """Return for each system that was reached from where, by which edge, and whether backward."""
        came: dict[str, tuple[str, int, bool]] = {source: ("", -1, False)}
        queue = deque([source])
        while queue and target not in came:
            at = queue.popleft()
            for i in self._touching.get(at, ()):
                edge = self.edges[i]
                for start, end, backward in ((edge.source, edge.target, False), (edge.target, edge.source, True)):
                    if start == at and end not in came and usable(i, backward):
                        came[end] = (at, i, backward)
                        queue.append(end)
        return came

    def _steps(
        self, came: dict[str, tuple[str, int, bool]], source: str, target: str, approximate: bool
    ) -> tuple[Step, ...]:
        steps = []
        at = target
        while at != source:
            at, i, backward = came[at]
            found = self._transform(i, backward, approximate)
            if not isinstance(found, Transform):  # the search has looked; kept for the checker
                raise found
            steps.append(Step(self.edges[i], backward, found))
        return tuple(reversed(steps))

    def _usable(self, index: int, backward: bool, approximate: bool) -> bool:
        return isinstance(self._transform(index, backward, approximate), Transform)

    def _transform(self, index: int, backward: bool, approximate: bool) -> Transform | VoxariumError:
        """Return the transform of an edge in one direction, or why there is none."""
        key = (index, backward, approximate and backward)
        if key not in self._found:
            self._found[key] = self._directed(self.edges[index], backward, approximate)
        return self._found[key]

    def _directed(self, edge: TransformEdge, backward: bool, approximate: bool) -> Transform | VoxariumError:
        try:
            forward = edge.transform if self._resolve is None else self._resolve(edge)
            unready = _unready(forward)
            if unready is not None:
                return UnsupportedError(unready, code=Code.FEATURE_UNSUPPORTED, fix="correct the transform")
            if not backward:
                return forward
            return approximate_inverse(forward) if approximate else forward.inverse()
        except VoxariumError as error:
            return error

    def _refuse(self, source: str, target: str, approximate: bool) -> NoReturn:
        came = self._search(source, target, lambda _i, _backward: True)
        if target not in came:
            island = [n for n in self.names if n in self._search(source, "", lambda _i, _b: True)]
            raise UnsupportedError(
                f"no transform leads from {source!r} to {target!r}: {source!r} is joined with {_listed(island)} only",
                code=Code.NOT_INVERTIBLE,
                fix="add a transform that joins the two parts",
            )
        blocks, fixes = [], []
        at = target
        while at != source:
            at, i, backward = came[at]
            found = self._transform(i, backward, approximate)
            if isinstance(found, VoxariumError):
                how = "backward" if backward else "forward"
                blocks.append(f"{_text(self.edges[i])} cannot be taken {how}: {found.message}")
                fixes.append(found.fix)
        raise UnsupportedError(
            f"no transform leads from {source!r} to {target!r}: {'; '.join(reversed(blocks))}",
            code=Code.NOT_INVERTIBLE,
            fix=fixes[-1],
        )


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return ", ".join(map(repr, known[:_MOST_NAMES])) + more


def _unready(transform: Transform) -> str | None:
    """Return why a transform cannot be used, None when it can as far as one can see."""
    if isinstance(transform, Unresolved):
        return transform.reason or f"its {transform.kind} at {transform.path!r} was not opened"
    if isinstance(transform, Sequence):
        return next((found for t in transform.transforms if (found := _unready(t)) is not None), None)
    return None


def simplified(transform: Transform, ndim: int | None) -> Transform:
    """Return the same map with runs of affine steps merged into one.

    A run becomes an identity, a scale, a translation, a scale and a translation, or an affine.

    Examples
    --------
    >>> turn = Affine(((0, -1, 0), (1, 0, 0)))
    >>> simplified(Sequence((turn, Scale((2, 2)), turn.inverse(), Translation((1, 0)))), 2)
    Sequence(transforms=(Scale(scale=(2.0, 2.0)), Translation(translation=(1.0, 0.0))))
    """
    if ndim is None:
        return transform
    steps: list[Transform] = []
    matrix: NDArray[np.float64] | None = None
    count = ndim  # of axes where the walk is
    run: list[Transform] = []
    for t in transform.transforms if isinstance(transform, Sequence) else (transform,):
        found = _matrix(t, count)
        if found is None:
            steps += _merged(run, matrix)
            run, matrix = [], None
            steps.append(t)
            after = t.ndim_out
            if after is None:
                return transform
            count = after
        else:
            run.append(t)
            matrix = found if matrix is None else _product(found, matrix)
            count = len(found)
    steps += _merged(run, matrix)
    if not steps:
        return Identity()
    return steps[0] if len(steps) == 1 else Sequence(tuple(steps))


def _matrix(transform: Transform, ndim: int) -> NDArray[np.float64] | None:
    try:
        with np.errstate(all="ignore"):
            found = transform.matrix(ndim)
    except (InputError, UnsupportedError):
        return None
    return found if np.isfinite(found).all() else None


def _product(then: NDArray[np.float64], first: NDArray[np.float64]) -> NDArray[np.float64]:
    out: NDArray[np.float64] = then[:, :-1] @ first
    out[:, -1] += then[:, -1]
    return out


def _merged(run: list[Transform], matrix: NDArray[np.float64] | None) -> list[Transform]:
    if matrix is None or not np.isfinite(matrix).all() or len(matrix) == 0:
        return run
    affine = Affine(tuple(map(tuple, matrix.tolist())))
    if len(matrix) != matrix.shape[1] - 1:
        return [affine]
    found = scale_translation(affine, len(matrix))
    if found is None:
        return [affine] if len(run) > 1 else run
    scale, shift = found
    steps: list[Transform] = [Scale(scale)] if set(scale) != {1.0} else []
    return [*steps, Translation(shift)] if any(shift) else steps
