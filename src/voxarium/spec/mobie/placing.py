"""Writing MoBIE: the transforms of a view's sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from voxarium.model.scene import STORED, Move, Scene, SceneNode, SceneView, Step, matrix_of
from voxarium.model.scene_facts import world_matrices
from voxarium.model.scene_fields import own, tidy, xyz_from_matrix
from voxarium.model.transforms import Affine, Identity, Transform
from voxarium.spec.mobie.words import P

__all__ = ["dump_transforms"]

_GRIDS: Final = {"grid": "transformedGrid", "merged-grid": "mergedGrid"}


def dump_transforms(scene: Scene, view: SceneView) -> list[Any]:
    """Return the transforms of a view: the matrices that place its sources, then the view's own moves."""
    seen = list(view.visible) if view.visible is not None else [n.id for n in scene.nodes]
    seen += [s for m in view.moves for cell in m.nodes for s in cell]
    nodes = {n.id: n for n in scene.nodes}
    out: list[Any] = []
    for id in dict.fromkeys(seen):
        node = nodes.get(id)
        for steps, times in _steps(scene, node) if node is not None else ():
            for step in steps:
                body = _affine(step.transform, step.name, own(step.extra, P), times)
                same = next((t["affine"] for t in out if {**t["affine"], "sources": 0} == {**body, "sources": 0}), None)
                if same is None or len(steps) > 1:
                    out.append({"affine": body | {"sources": [id]}})
                else:
                    same["sources"].append(id)
    return out + [item for m in view.moves if (item := _move(m)) is not None]


def _steps(scene: Scene, node: SceneNode) -> list[tuple[tuple[Step, ...], tuple[int, ...]]]:
    """Return the matrices that place a node in the world, with the timepoints they hold for."""
    out: list[tuple[tuple[Step, ...], tuple[int, ...]]] = []
    for placement in node.placements:
        times = () if placement.timepoint is None else (placement.timepoint,)
        plain = placement.source == STORED and not node.axes
        if plain and all(matrix_of(s.transform, 3) is not None for s in placement.steps):
            out.append((placement.steps, times))
            continue
        matrix = world_matrices(scene, node, placement).get(STORED)
        if matrix is not None and matrix.shape == (3, 4) and placement.target == scene.world:
            tidied = np.vectorize(tidy)(matrix)
            if not (tidied == np.eye(3, 4)).all():
                only = placement.steps[0] if len(placement.steps) == 1 else Step(transform=Identity())
                out.append(((replace(only, transform=Affine(tuple(map(tuple, tidied.tolist())))),), times))
    return out


def _affine(transform: Transform, name: str, extra: Mapping[str, Any], times: tuple[int, ...]) -> dict[str, Any]:
    matrix = matrix_of(transform, 3)
    out: dict[str, Any] = {"parameters": [] if matrix is None else xyz_from_matrix(matrix)}
    if name:
        out["name"] = name
    if times:
        out["timepoints"] = list(times)
    return out | dict(extra)


def _move(move: Move) -> dict[str, Any] | None:
    out: dict[str, Any] = {"name": move.name} if move.name else {}
    if move.timepoints:
        out["timepoints"] = list(move.timepoints)
    if move.positions:
        out["positions"] = [list(p) for p in move.positions]
    body = _grid(move) if move.kind in _GRIDS else _boxed(move)
    return None if body is None else {_GRIDS.get(move.kind, move.kind): out | body | own(move.extra, P)}


def _grid(move: Move) -> dict[str, Any]:
    if move.kind == "merged-grid":
        name = move.results[0][0] if move.results and move.results[0] else ""
        return {"mergedGridSourceName": name, "sources": [s for cell in move.nodes for s in cell]}
    out: dict[str, Any] = {"nestedSources": [list(cell) for cell in move.nodes]}
    if move.results:
        out["sourceNamesAfterTransform"] = [list(cell) for cell in move.results]
    return out


def _boxed(move: Move) -> dict[str, Any] | None:
    """Return the body of a move of some sources alike; None when it cannot be written."""
    out: dict[str, Any] = {"sources": [s for cell in move.nodes for s in cell]}
    if move.results:
        out["sourceNamesAfterTransform"] = list(move.results[0])
    matrix = None if move.transform is None else matrix_of(move.transform, 3)
    if move.kind == "affine":
        if matrix is None or matrix.shape != (3, 4):
            return None
        out["parameters"] = xyz_from_matrix(matrix)
    elif move.kind == "crop":
        if move.low is None or move.high is None:
            return None
        out |= {"min": list(move.low[::-1]), "max": list(move.high[::-1])}
        if matrix is not None:
            out["boxAffine"] = xyz_from_matrix(matrix)
    return out
