"""Transformations since 0.6 against what lies around them: rules TR-009, TR-011, TR-015, TR-016 and TR-018."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from voxarium.model.checking import Place, short
from voxarium.spec.ome.rules.around import Around, GroupFacts, safe_path
from voxarium.spec.ome.rules.arrays import axes_of
from voxarium.spec.ome.rules.dimensions import check_dimensions

__all__ = ["check_references", "referenced_paths"]

_DEEPEST: Final = 32
_MOST: Final = 10_000
_MATRICES: Final = {"affine": "TR-015", "rotation": "TR-016"}
_FIELDS: Final = {"displacements": "displacement", "coordinates": "coordinate"}
_Systems = Mapping[str, int]
_Counts = tuple[int | None, int | None]  # coordinates that come, and that go


def referenced_paths(scene: Place) -> list[str]:
    """Return the paths of images that transformations of a scene begin or end at, each once."""
    ends = (edge[end].text("path") for edge in scene["coordinateTransformations"].items() for end in _ENDS)
    return list(dict.fromkeys(p for p in ends if p is not None and safe_path(p)))[:_MOST]


_ENDS: Final = ("input", "output")


def check_references(ome: Place, around: Around) -> None:
    """Check the systems and arrays that transformations of images and scenes refer to."""
    holders = [*ome["multiscales"].items(), ome["scene"]]
    known: dict[str, _Systems | None] = {}
    for holder in holders:
        own = _systems(holder)
        for edge in holder["coordinateTransformations"].items()[:_MOST]:
            counts = [_end_count(edge[end], own, known, around) for end in _ENDS]
            if any(edge[end]["path"].there for end in _ENDS):
                check_dimensions(edge, *counts)
            for item in _all(edge):
                _check_stored(item, around, (counts[0], counts[1]) if item.pointer == edge.pointer else (None, None))


def _systems(holder: Place) -> _Systems:
    items = holder["coordinateSystems"].items()
    return {item.text("name") or "": len(item["axes"].items()) for item in reversed(items)}


def _end_count(end: Place, own: _Systems, known: dict[str, _Systems | None], around: Around) -> int | None:
    """Return how many axes the system at an end has; report an end that is nowhere."""
    name, path = end.text("name"), end.text("path")
    if path is None:
        return own.get(name or "")
    if path not in known:
        known[path] = _systems_at(around.group(path)) if safe_path(path) else None
    systems = known[path]
    if systems is None:
        end["path"].report("TR-009", "leads to no image", "copy what is missing, or correct the path", basis="text")
        return None
    if name is not None and name not in systems:
        shown = ", ".join(short(s) for s in list(systems)[:10])[:200]
        message = f"is {short(name)}, which the image at {short(path)} does not describe"
        end["name"].report("TR-009", message, f"name one of {shown}" if shown else "describe it there", basis="text")
    return systems.get(name or "")


def _systems_at(group: GroupFacts | None) -> _Systems | None:
    """Return the coordinate systems of another group; None when there is none with any."""
    if group is None or group.error is not None:
        return None
    images, scene = group.ome.get("multiscales"), group.ome.get("scene")
    holders = [*(images if isinstance(images, list) else []), scene]
    found: dict[str, int] = {}
    for holder in holders:
        listed = holder.get("coordinateSystems") if isinstance(holder, dict) else None
        for system in listed if isinstance(listed, list) else []:
            if isinstance(system, dict) and isinstance(system.get("name"), str):
                axes = system.get("axes")
                found.setdefault(system["name"], len(axes) if isinstance(axes, list) else 0)
    return found or None


def _all(item: Place, depth: int = 0) -> Iterator[Place]:
    """Yield a transformation and those within it."""
    yield item
    if depth < _DEEPEST:
        inner = [*item["transformations"].items(), item["forward"], item["inverse"], item["transformation"]]
        for place in inner:
            if isinstance(place.value, dict):
                yield from _all(place, depth + 1)


def _check_stored(item: Place, around: Around, counts: _Counts) -> None:
    """Check a matrix or a field that stands in an array or image of its own, for so many coordinates to so many."""
    kind, path = item.text("type") or "", item.text("path")
    if path is None:
        return
    if kind in _MATRICES and not item[kind].there:
        _check_matrix(item, kind, path, around, counts)
    elif kind in _FIELDS:
        _check_field(item["path"], kind, around, counts)


def _check_matrix(item: Place, kind: str, path: str, around: Around, counts: _Counts) -> None:
    array = around.array(path)
    place = item["path"]
    if array is None:
        place.report(_MATRICES[kind], "leads to no array", f"write the numbers as {kind!r}", basis="text")
        return
    shape, more = array.shape, int(kind == "affine")
    rows, columns = counts[1], None if counts[0] is None else counts[0] + more
    square = more or shape[:1] == shape[1:]
    if len(shape) != 2 or not square or shape[0] != (rows or shape[0]) or shape[1] != (columns or shape[1]):
        wanted = f"{rows or 'M'} × {columns or 'N + 1'}" if more else f"{rows or 'N'} × {columns or 'N'}"
        message = f"leads to an array of shape {shape}"
        place.report(_MATRICES[kind], message, f"store a matrix of {wanted} numbers", basis="text")


def _check_field(place: Place, kind: str, around: Around, counts: _Counts) -> None:
    """Check an image of vectors: it has one axis for them, which is not of space, as long as there are coordinates."""
    group = around.group(place.value) if safe_path(place.value) else None
    if group is None or not group.is_image:
        place.report("TR-018", "leads to no image", "store the vectors as an image", basis="text")
        return
    if group.error is not None:
        return
    first = Place(dict(group.ome), "", place.sheet)["multiscales"][0]
    axes = axes_of(first)
    at = [i for i, axis in enumerate(axes) if axis.text("type") == _FIELDS[kind]]
    if len(at) != 1 or axes[at[0]]["discrete"].value is not True:
        message = f"leads to an image with {len(at)} axes of type {_FIELDS[kind]}, which are to be 'discrete'"
        fix = f"give the one axis of the vectors the type {_FIELDS[kind]}, and 'discrete': true"
        place.report("TR-018", message, fix, basis="text")
        return
    array = around.array(f"{safe_path(place.value)}/{first['datasets'][0].text('path')}")
    if counts[0] is not None and len(axes) != counts[0] + 1:
        message = f"leads to an image of {len(axes)} axes, for {counts[0]} coordinates"
        place.report("TR-018", message, "give it an axis per coordinate, and one for vectors", basis="text")
    elif array is not None and at[0] < len(array.shape) and array.shape[at[0]] != (counts[1] or array.shape[at[0]]):
        message = f"leads to vectors of {array.shape[at[0]]} numbers, for {counts[1]} coordinates"
        place.report("TR-018", message, "store a number per coordinate", basis="text")
