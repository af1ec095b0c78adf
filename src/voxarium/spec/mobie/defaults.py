"""What a MoBIE dataset says about a source as such, although it only has views.

By custom every source has a view of its own name, for the viewer's menus: it says how the source is shown. And a source
that every view places by the same matrices simply is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from voxarium.model.scene import Move, Placement, Scene, SceneNode, SceneView, Step
from voxarium.model.scene_facts import plain_move
from voxarium.spec.mobie.words import P

__all__ = ["fold_views", "promote_placements", "without_moves"]


def fold_views(scene: Scene) -> Scene:
    """Return the scene with the views of single sources taken as what the sources say themselves.

    Placements are promoted first: a view that still moves its source says more than the source could.
    """
    nodes = {n.id: n for n in scene.nodes}
    kept: list[SceneView] = []
    for view in scene.views:
        node = nodes.get(view.name)
        if node is None or not _is_own(view):
            kept.append(view)
            continue
        about: dict[str, Any] = {k.removeprefix(f"{P}:"): v for k, v in view.extra.items()}
        description = node.description or view.description  # 0.2 had one for the source itself
        if view.description and view.description != description:
            about["description"] = view.description
        if view.exclusive is None:
            about["isExclusive"] = True
        group = about.pop("uiSelectionGroup", "")
        content = group if isinstance(group, str) and group != node.kind else ""
        extra = {**node.extra, f"{P}:view": about} if about else node.extra
        rendering = view.renderings[node.id]
        nodes[node.id] = replace(node, rendering=rendering, content=content, description=description, extra=extra)
    return replace(scene, nodes=tuple(nodes.values()), views=tuple(kept))


def _is_own(view: SceneView) -> bool:
    """Tell whether a view shows the source of its name, and nothing else that a source could not say itself."""
    odd = {f"{P}:displays", f"{P}:transforms", f"{P}:viewerTransform"} & view.extra.keys()
    unmoved = view.position is None and view.orientation is None and view.time is None and not view.moves
    return view.name != "default" and tuple(view.renderings) == (view.name,) and unmoved and not odd


def _step(move: Move) -> Step:
    if move.transform is None:
        raise ValueError(move.kind)
    return Step(transform=move.transform, name=move.name, extra=move.extra)


def promote_placements(scene: Scene) -> Scene:
    """Return the scene with matrices that come first in all views of a source as the source's own placement."""
    paths: dict[str, list[list[Move]]] = {n.id: [] for n in scene.nodes}
    for view in scene.views:
        for id, moves in _own_moves(view).items():
            if id in paths:
                paths[id].append(moves)
    own = {id: tuple(_common_start([list(map(_step, moves)) for moves in chains])) for id, chains in paths.items()}
    nodes = tuple(_placed(n, own[n.id]) for n in scene.nodes)
    counts = {id: len(steps) for id, steps in own.items()}
    return replace(scene, nodes=nodes, views=tuple(without_moves(v, counts) for v in scene.views))


def _placed(node: SceneNode, steps: tuple[Step, ...]) -> SceneNode:
    return replace(node, placements=(Placement(steps=steps),) if steps else ())


def _own_moves(view: SceneView) -> dict[str, list[Move]]:
    """Return for every source of a view the matrices that come before anything else happens to it."""
    found: dict[str, list[Move]] = {id: [] for id in view.visible or ()}
    closed: set[str] = set()
    for move in view.moves:
        for id in (s for cell in move.nodes for s in cell):
            if not plain_move(move) or move.transform is None:
                closed.add(id)
                found.setdefault(id, [])
            elif id not in closed:
                found.setdefault(id, []).append(move)
    return found


def _common_start(chains: list[list[Step]]) -> list[Step]:
    out: list[Step] = []
    if chains:
        for steps in zip(*chains, strict=False):
            if any(s != steps[0] for s in steps):
                break
            out.append(steps[0])
    return out


def without_moves(view: SceneView, counts: Mapping[str, int]) -> SceneView:
    """Return the view without the first so many matrices of each source."""
    left = dict(counts)
    moves: list[Move] = []
    for move in view.moves:
        cells = move.nodes
        if plain_move(move) and move.transform is not None:
            ids = [s for cell in cells for s in cell]
            gone = {s for s in ids if left.get(s, 0) > 0}
            for s in gone:
                left[s] -= 1
            cells = (tuple(s for s in ids if s not in gone),) if gone else cells
        if any(cells):
            moves.append(move if cells is move.nodes else replace(move, nodes=cells))
    return replace(view, moves=tuple(moves))
