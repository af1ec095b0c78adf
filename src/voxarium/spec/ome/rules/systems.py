"""Coordinate systems of 0.6, the graph of transformations between them, and scenes: rules TR and SC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from voxarium.model.checked_values import NAME, OBJECT, TEXT, Field, check_fields, check_unique, objects
from voxarium.model.checking import Place, short
from voxarium.spec.ome.rules.axes import check_axes
from voxarium.spec.ome.rules.dimensions import check_dimensions
from voxarium.spec.ome.rules.tables import rules
from voxarium.spec.ome.rules.transforms import check_transform

__all__ = ["RULES", "check_graph", "check_scene"]

RULES: Final = rules("""
TR-001 must=0.6,0.9
    A coordinate system has a `name`, which no other one in its list has, and `axes`.
    why: Transformations refer to it by name.
    mend: Name every system once.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateSystems/1/name = "physical"
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateSystems/1/axes remove
TR-003 must=0.6,0.9
    `input` and `output` are objects with `name` and `path` (texts are those of drafts), needed except within
    another transformation.
    why: Without both ends nobody knows what is transformed into what.
    mend: Write {"name": "physical"}, with a `path` where the system is that of another image.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/input = "physical"
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/output remove
TR-004 must=0.6,0.9
    A dataset has one transformation: scale, identity, or a sequence of a scale and a translation.
    why: Simple viewers understand these alone, and every image must be showable by them.
    mend: Keep scale and translation here, and put the rest into the transformations of the image.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/transformations/0 remove
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/type = "affine"
TR-005 must=0.6,0.9
    A dataset's transformation leads from its own `path` to a coordinate system of the image, by `name`.
    why: Otherwise it says something about another array.
    mend: Name the path of the dataset, and a system of this image.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/input/path = "s9"
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/output/name = "nowhere"
TR-006 must=0.6,0.9
    The transformations of all datasets lead to the same coordinate system.
    why: Levels are the same image; viewers change them while zooming.
    mend: Let all lead to one, and add a transformation of the image to the other.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/output/name = "world"
TR-007 must=0.6,0.9
    A transformation of the image has the coordinate system of the datasets at one side, and at the other one
    of the image, or of a label image below it (`name` and `path`).
    why: Readers start from the system of the datasets and would have to search for a way.
    mend: Combine transformations so that each begins or ends there.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/input = {"name": "world"}
TR-008 must=0.6,0.9
    Between an image and its label image stands an identity, scale or translation, or a sequence of these two.
    why: Viewers lay labels over an image without resampling them.
    mend: Resample the labels, or make them an image of their own in a scene.
    bad: ome06-label zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/- = {"type": "affine", "affine":
    [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 0]], "input":
    {"name": "physical"}, "output": {"name": "physical", "path": "labels/cells"}}
TR-009 must=0.6,0.9
    Names of coordinate systems, and paths, lead somewhere.
    why: A transformation to nowhere is ignored by some readers, others refuse the image.
    mend: Describe the system, or correct the name.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/output/name = "nowhere"
    bad: ome06-scene zarr.json#/attributes/ome/scene/coordinateTransformations/0/input/path = "gone"
    bad: ome06-scene zarr.json#/attributes/ome/scene/coordinateTransformations/0/input/name = "nowhere"
TR-010 must=0.6,0.9
    Every coordinate system can be reached from every other one.
    why: Nothing can be shown in a system that is not joined to the others.
    mend: Add the transformation that is missing, or remove the system.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations remove
    bad: ome06-scene zarr.json#/attributes/ome/scene/coordinateSystems/0/name = "alone"
SC-001 must=0.6,0.9
    A scene has `coordinateTransformations`, a list of at least one; `coordinateSystems` is a list.
    why: A scene is nothing but how images lie to each other.
    mend: Add a transformation per image.
    bad: ome06-scene zarr.json#/attributes/ome/scene/coordinateTransformations = []
    bad: ome06-scene zarr.json#/attributes/ome/scene/coordinateSystems = {}
SC-002 must=0.6,0.9
    Inputs and outputs of a scene have a `name`, a `path` if the system is that of an image below, and nothing
    else.
    why: The same name is used in many images; the path says which is meant.
    mend: Give the name of a coordinate system.
    bad: ome06-scene zarr.json#/attributes/ome/scene/coordinateTransformations/0/input/name remove
    bad: ome06-scene zarr.json#/attributes/ome/scene/coordinateTransformations/0/input/more = 1
SC-003 should=0.6,0.9 needs=nothing
    The first coordinate system of a scene is the one to show.
""")

_TO_LABELS: Final = frozenset({"identity", "scale", "translation", "sequence"})
_LEVEL_TYPES: Final = ("scale", "identity", "sequence")
_END: Final = (Field("name", TEXT, "TR-003"), Field("path", TEXT, "TR-003"))
_Systems = Mapping[str, int]  # numbers of axes by name


# -- images
def check_graph(image: Place, datasets: list[Place]) -> None:
    """Check coordinate systems and transformations of an image."""
    if not image["coordinateSystems"].there:
        image.report("MS-002", "has no 'coordinateSystems'", "describe the space the levels lie in")
    systems = _check_systems(image["coordinateSystems"], "MS-002", least=1)
    targets = [_check_dataset(dataset, systems) for dataset in datasets]
    named = [t for t in targets if t is not None]
    for dataset, target in zip(datasets, targets, strict=True):
        if target is not None and target != named[0]:
            message = f"leads to {short(target)}, the first one to {short(named[0])}"
            dataset.report("TR-006", message, "let all levels lead to the same coordinate system", basis="text")
    edges = image["coordinateTransformations"]
    if edges.there:
        _check_edges(edges, systems, named[0] if named else None)
    if named:
        _check_connected(image["coordinateSystems"], edges.items(), systems, named)


def _check_systems(place: Place, list_rule: str, least: int) -> _Systems:
    """Check a list of coordinate systems; return their numbers of axes by name."""
    items = objects(place, list_rule, least=least)
    for item in items:
        check_fields(item, (Field("name", NAME, "TR-001", "must"),))
        if item["axes"].there:
            check_axes(item["axes"])
        else:
            item.report("TR-001", "has no 'axes'", "list its axes")
    check_unique(items, "TR-001", "name", text="0.6 0.9" if list_rule == "MS-002" else "")
    return {item.text("name") or "": len(item["axes"].items()) for item in reversed(items)}


def _check_dataset(dataset: Place, systems: _Systems) -> str | None:
    """Check the transformation of a level; return the name of the system it leads to."""
    place = dataset["coordinateTransformations"]
    items = objects(place, "TR-004")
    if len(items) > 1:
        place.report("TR-004", f"has {len(items)} transformations", "keep exactly one")
    targets = [_check_level(item, dataset, systems) for item in items]
    return targets[0] if targets else None


def _check_level(item: Place, dataset: Place, systems: _Systems) -> str | None:
    for end, key in (("input", "path"), ("output", "name")):
        _check_end(item, end)
        if isinstance(item[end].value, dict):
            check_fields(item[end], (Field(key, TEXT, "TR-005", "must"),))
    _check_level_type(item)
    path, source = dataset.text("path"), item["input"].text("path")
    if path is not None and source is not None and path != source:
        item["input"]["path"].report(
            "TR-005", f"is {short(source)}, not {short(path)}", "name the dataset itself", basis="text"
        )
    for end, key in (("input", "name"), ("output", "path")):
        if item[end][key].there:
            item[end][key].report("TR-005", "does not belong here", "remove it", basis="text")
    target = item["output"].text("name")
    if target is not None and target not in systems:
        item["output"]["name"].report("TR-005", f"is {short(target)}", _name_one(systems), basis="text")
    elif target is not None:
        check_dimensions(item, systems[target], systems[target])
    return target


def _check_level_type(item: Place) -> None:
    kind = item.text("type")
    if kind not in _LEVEL_TYPES:
        shown = f"is of type {short(kind)}" if kind else "has no 'type'"
        item.report("TR-004", shown, "use a scale, an identity, or a sequence of a scale and a translation")
        return
    check_transform(item)
    if kind != "sequence" or not isinstance(item["transformations"].value, list):
        return
    kinds = [step.text("type") for step in item["transformations"].items()]
    if len(kinds) != 2 or not {"scale", "translation"} >= set(kinds):
        item["transformations"].report("TR-004", "is not a scale and a translation", "keep these two")
    elif kinds != ["scale", "translation"]:
        item["transformations"].report(
            "TR-004", "is not a scale and then a translation", "put the scale first", basis="text"
        )


def _check_end(item: Place, end: str) -> None:
    """Check an input or output for being an object of texts."""
    check_fields(item, (Field(end, OBJECT, "TR-003", "must"),))
    if isinstance(item[end].value, dict):
        check_fields(item[end], _END)


def _check_edges(edges: Place, systems: _Systems, intrinsic: str | None) -> None:
    items = objects(edges, "TR-002")
    for item in items:
        check_transform(item)
        for end in ("input", "output"):
            _check_end(item, end)
            if isinstance(item[end].value, dict) and not item[end]["name"].there:
                item[end].report("TR-003", "has no 'name'", _name_one(systems))
            _check_known(item[end], systems)
        _check_sides(item, intrinsic)
        check_dimensions(item, *(_axes_at(item[end], systems) for end in ("input", "output")))
    _check_names(items)


def _check_known(end: Place, systems: _Systems) -> None:
    name = end.text("name")
    if name is not None and not end["path"].there and name not in systems:
        end["name"].report("TR-009", f"is {short(name)}, which is not described", _name_one(systems), basis="text")


def _check_sides(item: Place, intrinsic: str | None) -> None:
    ends = [item["input"], item["output"]]
    if intrinsic is None or any(not isinstance(end.value, dict) for end in ends):
        return
    if not any(end.text("name") == intrinsic and not end["path"].there for end in ends):
        fix = f"let it begin or end at {short(intrinsic)}"
        item.report("TR-007", "does not touch the coordinate system of the datasets", fix, basis="text")
    if any(end["path"].there for end in ends) and item.text("type") not in _TO_LABELS:
        fix = "use an identity, a scale, a translation, or a sequence of these two"
        shown = f"is of type {short(item.text('type'))}, between image and label image"
        item.report("TR-008", shown, fix, basis="text")


def _axes_at(end: Place, systems: _Systems) -> int | None:
    return None if end["path"].there else systems.get(end.text("name") or "")


def _name_one(systems: Iterable[str]) -> str:
    shown = [s for s in islice(systems, 10) if s]
    return f"name one of {', '.join(short(s) for s in shown)}"[:200] if shown else "describe it in coordinateSystems"


def _check_names(items: list[Place]) -> None:
    """Report names of transformations that come twice."""
    seen: set[str] = set()
    for item in items:
        name = item.text("name")
        if name is not None and name in seen:
            item["name"].report(
                "TR-002", f"is {short(name)} as that of another one", "give it another name", basis="text"
            )
        seen.add(name or "")


def _check_connected(place: Place, edges: list[Place], systems: _Systems, start: list[str]) -> None:
    """Report coordinate systems that nothing joins to those in `start`."""
    beside: dict[str, list[str]] = {}
    for edge in edges:
        a, b = (_node(edge[end]) for end in ("input", "output"))
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    found, waiting = set(start), list(start)
    while waiting:
        new = [n for n in beside.get(waiting.pop(), ()) if n not in found]
        found.update(new)
        waiting += new
    for item in place.items():
        name = item.text("name")
        if name in systems and name not in found:
            item.report(
                "TR-010", f"{short(name)} cannot be reached", "add a transformation that leads to it", basis="text"
            )


def _node(end: Place) -> str:
    """Return what an end stands for: a system here, or the image at a path, whose own systems are connected."""
    path = end.text("path")
    return (end.text("name") or "") if path is None else f"\0{path}"


# -- scenes
def check_scene(scene: Place) -> None:
    """Check a scene."""
    if not isinstance(scene.value, dict):
        scene.report("SC-001", "is not an object", 'write {"coordinateTransformations": […]}')
        return
    if not scene["coordinateTransformations"].there:
        scene.report("SC-001", "has no 'coordinateTransformations'", "say how the images lie to each other")
    systems = _check_systems(scene["coordinateSystems"], "SC-001", least=0)
    edges = objects(scene["coordinateTransformations"], "SC-001")
    for item in edges:
        check_transform(item)
        for end in ("input", "output"):
            _check_scene_end(item, end)
            _check_known(item[end], systems)
        check_dimensions(item, *(_axes_at(item[end], systems) for end in ("input", "output")))
    _check_names(edges)
    first = next((_node(e["input"]) for e in edges), None)
    if first is not None:
        _check_connected(scene["coordinateSystems"], edges, systems, [first])


def _check_scene_end(item: Place, end: str) -> None:
    _check_end(item, end)
    if not isinstance(item[end].value, dict):
        return
    if not item[end]["name"].there:
        item[end].report("SC-002", "has no 'name'", "name a coordinate system")
    if more := sorted(k for k in item[end].value if k not in ("name", "path")):
        item[end].report("SC-002", f"has {short(more[0])}", "keep name and path only")
