"""Views of MoBIE: displays, transforms of sources, the viewer's transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from voxarium.model.fields import Fields, Problems
from voxarium.model.quaternions import quaternion_of
from voxarium.model.scene import Move, Rendering, SceneView
from voxarium.model.scene_fields import affine_from_xyz, carried, listed, number, numbers, pair, texts
from voxarium.spec.mobie.words import BLENDS, DISPLAYS, P, digits_of

__all__ = ["parse_view", "viewer"]

_SPECIAL: Final = frozenset({"regionDisplay", "sourceAnnotationDisplay"})


def parse_view(name: str, found: object, problems: Problems) -> SceneView:
    """Return one view."""
    fields = Fields(found, problems, f"views.{name}")
    renderings: dict[str, Rendering] = {}
    special: list[list[Any]] = []
    for i, item in enumerate(listed(fields, "sourceDisplays")):
        kind, body = _tagged(item, f"views.{name}.sourceDisplays[{i}]", problems)
        if kind not in DISPLAYS:
            special.append([i, item])
            continue
        display = Fields(body, problems, f"views.{name}.sourceDisplays[{i}].{kind}")
        sources = texts(display, "sources") or ()
        rendering = _parse_display(kind, display)
        if any(s in renderings for s in sources):  # shown twice in one view: the model has room for one
            special.append([i, item])
        else:
            renderings |= {s: _for_source(s, kind, rendering, len(sources)) for s in sources}
    moves, odd = _parse_moves(name, fields, problems)
    transform = fields.mapping("viewerTransform", {})
    place = viewer(Fields(transform, problems, f"views.{name}.viewerTransform"))
    exclusive = fields.boolean("isExclusive", True)
    extra = carried(fields, P)
    for key, value in (("displays", special), ("transforms", odd), ("viewerTransform", place.pop("raw"))):
        if value:
            extra[f"{P}:{key}"] = value
    return SceneView(
        name=name,
        description=str(extra.pop(f"{P}:description", "") or ""),
        exclusive=None if exclusive else False,
        visible=tuple(renderings),
        renderings=renderings,
        moves=moves,
        extra=extra,
        **place,
    )


def _tagged(item: object, where: str, problems: Problems) -> tuple[str, object]:
    """Return key and value of an object with a single key."""
    if isinstance(item, Mapping) and len(item) == 1:
        key = next(iter(item))
        return str(key), item[key]
    problems.add(f"{where} is not an object with one key")
    return "", {}


def _parse_display(kind: str, fields: Fields) -> Rendering:
    word, blend = fields.raw("color", None), fields.text("blendingMode", "")
    digits = digits_of(word)
    visible = fields.boolean("visible", True)
    found = Rendering(
        window=pair(fields, "contrastLimits"),
        opacity=number(fields, "opacity"),
        color=digits,
        lut=(fields.text("lut", "") or None) if digits is not None or not isinstance(word, str) else word,
        invert=fields.boolean("invert", False) or None,
        visible=None if visible else False,
        blend=BLENDS.get(blend, blend) or None,
    )
    extra = carried(fields, P)
    if kind == "segmentationDisplay" and f"{P}:selectedSegmentIds" in extra:
        extra[f"{P}:selectedSegmentIds"] = texts(fields, "selectedSegmentIds") or ()
    return Rendering(**{k: getattr(found, k) for k in _PLAIN}, extra=extra)


_PLAIN: Final = ("window", "opacity", "color", "lut", "invert", "visible", "blend")


def _for_source(source: str, kind: str, rendering: Rendering, count: int) -> Rendering:
    """Return a display's rendering for one of its sources, which takes the selected segments that are its own."""
    extra = dict(rendering.extra)
    ids = extra.pop(f"{P}:selectedSegmentIds", ())
    selected: list[int] = []
    others: list[str] = []
    for text in ids:
        owner, _, label = text.rpartition(";0;")
        if owner == source and label.isascii() and label.isdigit() and len(label) < 20:
            selected.append(int(label))
        elif text.startswith(f"{source};"):
            others.append(text)
    if others:
        extra[f"{P}:selectedSegmentIds"] = others
    if count == 1 and extra.get(f"{P}:name") == source:
        del extra[f"{P}:name"]
    if kind != "imageDisplay":
        extra[f"{P}:display"] = kind
    return Rendering(**{k: getattr(rendering, k) for k in _PLAIN}, selected=tuple(selected), extra=extra)


# -- transforms of sources
def _parse_moves(name: str, fields: Fields, problems: Problems) -> tuple[tuple[Move, ...], list[list[Any]]]:
    """Return the moves, and with their places those transforms the model does not know."""
    moves: list[Move] = []
    odd: list[list[Any]] = []
    for i, item in enumerate(listed(fields, "sourceTransforms")):
        where = f"views.{name}.sourceTransforms[{i}]"
        kind, body = _tagged(item, where, problems)
        parser = _MOVES.get(kind)
        move = None if parser is None else parser(Fields(body, problems, f"{where}.{kind}"))
        if move is None:
            odd.append([i, item])
        else:
            moves.append(move)
    return tuple(moves), odd


def _affine(fields: Fields) -> Move:
    values = numbers(fields, "parameters", 12)
    return Move(
        kind="affine",
        nodes=(texts(fields, "sources") or (),),
        transform=None if values is None else affine_from_xyz(values),
        **_common(fields),
    )


def _crop(fields: Fields) -> Move:
    low, high, box = numbers(fields, "min", 3), numbers(fields, "max", 3), numbers(fields, "boxAffine", 12)
    return Move(
        kind="crop",
        nodes=(texts(fields, "sources") or (),),
        transform=None if box is None else affine_from_xyz(box),
        low=None if low is None else low[::-1],
        high=None if high is None else high[::-1],
        **_common(fields),
    )


def _common(fields: Fields, *, nested: bool = False) -> dict[str, Any]:
    after = _cells(fields, "sourceNamesAfterTransform") if nested else (texts(fields, "sourceNamesAfterTransform"),)
    times = numbers(fields, "timepoints") or ()
    positions = [
        tuple(int(v) for v in p)
        for p in listed(fields, "positions")
        if isinstance(p, list) and len(p) == 2 and all(type(v) is int for v in p)
    ]
    return {
        "results": tuple(cell for cell in after if cell),
        "timepoints": tuple(int(t) for t in times),
        "positions": tuple(positions),
        "name": fields.text("name", ""),
        "extra": carried(fields, P),
    }


def _cells(fields: Fields, key: str) -> tuple[tuple[str, ...], ...]:
    found = listed(fields, key)
    if all(isinstance(cell, list) and all(isinstance(s, str) for s in cell) for cell in found):
        return tuple(map(tuple, found))
    fields.wrong(key, "a list of lists of names", found)
    return ()


def _merged_grid(fields: Fields) -> Move:
    name = fields.text("mergedGridSourceName", "")
    cells = tuple((s,) for s in texts(fields, "sources") or ())
    return Move(kind="merged-grid", nodes=cells, **(_common(fields) | {"results": ((name,),)}))


def _transformed_grid(fields: Fields) -> Move:
    key = "nestedSources" if fields.has("nestedSources") else "sources"
    return Move(kind="grid", nodes=_cells(fields, key), **_common(fields, nested=True))


def _timepoints(fields: Fields) -> Move:
    return Move(kind="timepoints", nodes=(texts(fields, "sources") or (),), **_common(fields))


_MOVES: Final = {
    "affine": _affine,
    "crop": _crop,
    "mergedGrid": _merged_grid,
    "transformedGrid": _transformed_grid,
    "timepoints": _timepoints,
}


# -- the viewer
def viewer(fields: Fields) -> dict[str, Any]:
    """Return position, orientation, scale and time of a viewer transform; `raw` is what it said beyond a position.

    A matrix maps the world to the screen: ``normalizedAffine`` to a screen whose centre is 0 and whose width is 1,
    ``affine`` to pixels of a window whose size nobody knows.
    """
    out: dict[str, Any] = {"raw": {}}
    time = number(fields, "timepoint")
    if time is not None and time.is_integer():
        out["time"] = int(time)
    position = numbers(fields, "position", 3)
    if position is not None:
        out["position"] = position[::-1]
    for key in ("normalizedAffine", "affine"):
        values = numbers(fields, key, 12)
        if values is None:
            continue
        out["raw"][key] = list(values)
        matrix = np.asarray(values).reshape(3, 4)
        orientation = quaternion_of(matrix[:, :3].T)
        if orientation is not None:
            out["orientation"] = orientation
            if key == "normalizedAffine":
                centre = -np.linalg.inv(matrix[:, :3]) @ matrix[:, 3]
                out["position"] = tuple(float(v) + 0.0 for v in centre[::-1])
            else:
                out["scale"] = float(1.0 / np.cbrt(np.linalg.det(matrix[:, :3])))
    out["raw"] |= fields.rest()
    return out
