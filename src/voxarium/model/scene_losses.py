"""Losses: what a document does not say as the scene it was written from, found by reading the document back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from voxarium.errors import InputError, UnsupportedError
from voxarium.model.scene import Rendering, Scene, SceneLoss, SceneNode, SceneView
from voxarium.model.scene_facts import Fact, Forms, look_facts, part, scene_facts, shown_nodes
from voxarium.model.transforms import Transform

__all__ = ["lost", "renamed", "with_ids"]

_TOLERANCE: Final = 1e-9
_SHOWN: Final = 80


def lost(before: Scene, after: Scene, dialect: str) -> tuple[SceneLoss, ...]:
    """Return what `after`, read from a document of `dialect`, does not say as `before` did.

    What lies within something that is lost as a whole is not listed again.
    """
    now = scene_facts(after)
    after = _with_units(before, after)
    now |= {w: f for w, f in scene_facts(after).items() if w.startswith("views/")}
    out: dict[str, SceneLoss] = {}
    gone: set[str] = set()

    def compare(where: str, fact: Fact | None, found: Fact | None) -> None:
        if where in out or _below(where, gone) or _alike(fact, found):
            return
        if found is None:
            gone.add(where)
        kind = "transform" if fact is None else fact.kind
        out[where] = SceneLoss(kind=kind, where=where, message=_message(dialect, fact, found))

    gone_ids = {n.id for n in before.nodes} - {n.id for n in after.nodes}
    for where, fact in scene_facts(before).items():
        if fact.kind == "view" and where.endswith("/visible"):  # lost nodes are lost by themselves
            fact = replace(fact, value=tuple(id for id in fact.value if id not in gone_ids))
        compare(where, fact, now.get(where))
    nodes, views = {n.id: n for n in after.nodes}, {v.name: v for v in after.views}
    shown = {name: set(shown_nodes(after, view)) for name, view in views.items()}
    was_shown = {v.name: set(shown_nodes(before, v)) for v in before.views}
    for node in before.nodes:
        twin = nodes.get(node.id)
        if twin is None:
            continue
        for view in _contexts(before, node, views, was_shown):
            was = look_facts(before, node, view)
            is_now = look_facts(
                after, twin, views[view.name] if view is not None else _nearest(after, twin, views, shown)
            )
            for where in [*was, *(w for w in is_now if w.startswith("placement") and "/" not in w and w not in was)]:
                compare(f"nodes/{part(node.id)}/{where}", was.get(where), is_now.get(where))
    return tuple(out.values())


def _contexts(
    scene: Scene, node: SceneNode, views: Mapping[str, SceneView], shown: Mapping[str, set[str]]
) -> list[SceneView | None]:
    """Return the ways of looking at a node that count: by itself, if it says anything, and in each view kept."""
    own = bool(node.placements) or node.rendering != Rendering(visible=node.rendering.visible)
    seen: list[SceneView | None] = [v for v in scene.views if v.name in views and node.id in shown[v.name]]
    return [None, *seen] if own or not seen else seen


def _nearest(
    scene: Scene, node: SceneNode, views: Mapping[str, SceneView], shown: Mapping[str, set[str]]
) -> SceneView | None:
    """Return the view to look at a node in when it says nothing by itself."""
    if node.placements or node.rendering != Rendering(visible=node.rendering.visible):
        return None
    return next((v for v in views.values() if node.id in shown[v.name]), None)


def _alike(fact: Fact | None, found: Fact | None) -> bool:
    if fact is None or found is None:
        return fact is found or (fact is not None and fact.value == () and found is None)
    return same(fact.value, found.value)


def _with_units(before: Scene, after: Scene) -> Scene:
    """Give numbers without a unit that of the scene they were written from: the unit is lost, they are not."""
    units = {a.name: a.unit for a in before.axes}
    if not units or any(a.unit for a in after.axes):
        return after
    axes = tuple(replace(a, unit=units.get(a.name)) for a in after.axes)
    systems = tuple(replace(s, axes=axes) if s.name == after.world else s for s in after.systems)
    return replace(after, systems=systems)


def _below(where: str, gone: set[str]) -> bool:
    parts = where.split("/")
    return any("/".join(parts[:i]) in gone for i in range(1, len(parts)))


def same(a: Any, b: Any) -> bool:
    """Compare two facts; numbers to 1e-9 of the largest in their group."""
    if isinstance(a, Forms) or isinstance(b, Forms):
        return isinstance(a, Forms) and isinstance(b, Forms) and _same_forms(a, b)
    if isinstance(a, Transform) and isinstance(b, Transform):
        return a == b or _same_transform(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and _near(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        if a and len(a) == len(b) and all(map(_is_number, (*a, *b))):
            return _near(np.array(a, float), np.array(b, float))
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if _is_number(a) and _is_number(b):
        return _near(np.array([a], float), np.array([b], float))
    return bool(a == b) or repr(a) == repr(b)  # NaN, which JSON should not hold, is like itself


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**53


def _near(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    if a.ndim == 2 and a.size:  # the translation of a matrix may be far larger than the rest
        return _near(a[:, :-1].ravel(), b[:, :-1].ravel()) and _near(a[:, -1], b[:, -1])
    return bool(
        np.abs(a - b).max(initial=0.0) <= _TOLERANCE * max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    )


def _same_forms(a: Forms, b: Forms) -> bool:
    common = a.matrices.keys() & b.matrices.keys()
    return a.target == b.target and any(_same_steps(a.matrices[k], b.matrices[k]) for k in common)


def _same_steps(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        # Rotations leave rounding errors of their largest entries where zeros belong.
        return a.shape == b.shape and _near(a, b)
    return isinstance(a, tuple) and isinstance(b, tuple) and same(a, b)


def _same_transform(a: Transform, b: Transform) -> bool:
    for ndim in (a.ndim_in, b.ndim_in, 3):
        if ndim is None:
            continue
        try:
            first, second = a.matrix(ndim), b.matrix(ndim)
        except (InputError, UnsupportedError):  # no matrix, or of other points: they were compared as they are
            return False
        return first.shape == second.shape and _near(first, second)
    return False


def _message(dialect: str, fact: Fact | None, found: Fact | None) -> str:
    if fact is None:
        return f"{dialect} moves it: {_shown(found.value if found is not None else '')}"
    if found is None:
        return f"{dialect} does not keep it: {_shown(fact.value)}"
    return f"{dialect} makes {_shown(found.value)} of {_shown(fact.value)}"


def _shown(value: Any) -> str:
    if isinstance(value, Forms):
        value = next((v.tolist() if isinstance(v, np.ndarray) else v for v in value.matrices.values()), value.target)
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


# -- names
def renamed(scene: Scene, fit: Callable[[SceneNode], str], dialect: str) -> tuple[Scene, tuple[SceneLoss, ...]]:
    """Return the scene with ids that a dialect can write, unique again, and what they were.

    Parameters
    ----------
    fit : callable
        Gives an id that the dialect can write for a node.
    """
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for node in scene.nodes:
        base = new = fit(node)
        count = 1
        while new in taken:
            count += 1
            new = f"{base}-{count}"
        taken.add(new)
        ids[node.id] = new
    losses = tuple(
        SceneLoss(kind="name", where=f"nodes/{part(old)}", message=f"{dialect} calls it {new!r}")
        for old, new in ids.items()
        if new != old
    )
    return (with_ids(scene, ids), losses) if losses else (scene, ())


def with_ids(scene: Scene, ids: Mapping[str, str]) -> Scene:
    """Return the scene with other node ids everywhere."""

    def new(id: str) -> str:
        return ids.get(id, id)

    def cells(found: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(map(new, cell)) for cell in found)

    def moved(view: SceneView) -> SceneView:
        return replace(
            view,
            visible=None if view.visible is None else tuple(map(new, view.visible)),
            renderings={new(k): v for k, v in view.renderings.items()},
            moves=tuple(replace(m, nodes=cells(m.nodes)) for m in view.moves),
        )

    return replace(
        scene,
        nodes=tuple(
            replace(
                n,
                id=new(n.id),
                parent=None if n.parent is None else new(n.parent),
                label_of=tuple(map(new, n.label_of)),
            )
            for n in scene.nodes
        ),
        views=tuple(moved(v) for v in scene.views),
    )
