"""Writing SpimData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from voxarium.model.scene import (
    VOXELS,
    Placement,
    Scene,
    SceneLoss,
    SceneNode,
    matrix_of,
)
from voxarium.model.scene_facts import effective_placements, part, shown_nodes, world_matrices
from voxarium.model.scene_fields import own, tidy, xyz_from_matrix
from voxarium.model.scene_losses import lost
from voxarium.model.xml_tree import Element, dump_xml
from voxarium.spec.scene_bdv.elements import CONTAINERS, MOST_PLACEMENTS, P, elements
from voxarium.spec.scene_bdv.reading import parse_spim_data

__all__ = ["dump_spim_data"]


def dump_spim_data(scene: Scene) -> tuple[bytes, tuple[SceneLoss, ...]]:
    """Return the XML of a scene, and what it does not say as the scene does.

    Images and labels become setups, in order. One image loader serves them all: it is the one the scene was read with,
    or the container which all of them share.
    """
    stand_ins: list[SceneLoss] = []
    extra = own(scene.bag.extra, P)
    root = Element("SpimData", {"version": "0.2"})
    root.add("BasePath", str(extra.get("BasePath", ".")), type="relative")
    root.children += list(elements(extra.get("elements")))
    sequence = root.add("SequenceDescription")
    carried = list(elements(extra.get("sequence")))
    nodes = [n for n in scene.nodes if n.kind in ("image", "labels")]
    if any(e.tag == "ImageLoader" for e in carried):
        sequence.children += [e for e in carried if e.tag == "ImageLoader"]
    elif not _dump_loader(sequence, nodes):
        stand_ins.append(
            SceneLoss(kind="required", where="nodes", message=f"{P} needs one container of all images; none is named")
        )
    setups = sequence.add("ViewSetups")
    numbers = _setup_numbers(nodes)
    for node in nodes:
        _dump_setup(setups, node, numbers[node.id])
    setups.children += list(elements(extra.get("setups")))
    _dump_timepoints(sequence, scene.timepoints or ((0, 0),))
    sequence.children += [e for e in carried if e.tag != "ImageLoader"]
    registrations = root.add("ViewRegistrations")
    for node in nodes:
        _dump_registrations(registrations, scene, node, numbers[node.id], stand_ins)
    registrations.children += list(elements(extra.get("registrations")))
    raw = dump_xml(root)
    return raw, (*stand_ins, *lost(scene, parse_spim_data(raw), P))


def _setup_numbers(nodes: Sequence[SceneNode]) -> dict[str, int]:
    """Return the number of each setup: the one it had, if that is still its own."""
    out: dict[str, int] = {}
    used: set[int] = set()
    for node in nodes:
        stated = node.extra.get(f"{P}:setup")
        if type(stated) is int and 0 <= stated < 10**9 and stated not in used:
            out[node.id] = stated
            used.add(stated)
    free = (n for n in range(len(nodes) + len(used) + 1) if n not in used)
    return {n.id: out[n.id] if n.id in out else next(free) for n in nodes}


def _dump_loader(sequence: Element, nodes: Sequence[SceneNode]) -> bool:
    found = {(s.format, s.uri) for n in nodes for s in n.sources[:1]}
    format, uri = next(iter(found), ("", ""))
    tag = next((t for t, f in CONTAINERS.items() if f == format.replace("bdv-", "bdv.", 1)), None)
    if len(found) != 1 or tag is None:
        return False
    absolute = "://" in uri or uri.startswith("/")
    sequence.add("ImageLoader", format=CONTAINERS[tag]).add(tag, uri, type="absolute" if absolute else "relative")
    return True


def _dump_setup(holder: Element, node: SceneNode, number: int) -> None:
    element = holder.add("ViewSetup")
    element.add("id", str(number))
    if node.id != f"setup{number}":
        element.add("name", node.id)
    if node.box is not None and node.box.ndim == 3:
        element.add("size", " ".join(map(str, node.box.shape[::-1])))
    if node.voxel_size is not None and len(node.voxel_size) == 3:
        voxel = element.add("voxelSize")
        voxel.add("unit", (node.axes[0].unit if node.axes else None) or "pixel")
        voxel.add("size", " ".join(repr(float(v)) for v in node.voxel_size[::-1]))
    element.children += list(elements(node.extra.get(f"{P}:elements")))
    attributes = node.extra.get(f"{P}:attributes")
    if isinstance(attributes, Mapping):
        own_ones = element.add("attributes")
        for name, value in attributes.items():
            own_ones.add(str(name), str(value))


def _dump_timepoints(sequence: Element, runs: Sequence[tuple[int, int]]) -> None:
    if len(runs) == 1:
        element = sequence.add("Timepoints", type="range")
        element.add("first", str(runs[0][0]))
        element.add("last", str(runs[0][1]))
        return
    element = sequence.add("Timepoints", type="pattern")
    element.add("integerpattern", ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs))


def _dump_registrations(
    holder: Element, scene: Scene, node: SceneNode, number: int, stand_ins: list[SceneLoss]
) -> None:
    view = next((v for v in scene.views if node.id in shown_nodes(scene, v)), None)
    runs = scene.timepoints or ((0, 0),)
    for placement in effective_placements(scene, node, view):
        chain = _chain(scene, node, placement)
        if chain is None:
            continue
        count = sum(last - first + 1 for first, last in runs)
        if placement.timepoint is not None:
            times: Iterator[int] = iter((placement.timepoint,))
        elif count <= MOST_PLACEMENTS:
            times = (t for first, last in runs for t in range(first, last + 1))
        else:
            message = f"{P} must register {count} timepoints one by one; they are left out"
            stand_ins.append(SceneLoss(kind="required", where=f"nodes/{part(node.id)}/placement", message=message))
            continue
        for time in times:
            element = holder.add("ViewRegistration", timepoint=str(time), setup=str(number))
            for step in chain:
                element.children.append(step)


def _chain(scene: Scene, node: SceneNode, placement: Placement) -> list[Element] | None:
    """Return the transforms of a registration, the one applied last first; None when they are no matrices of voxels."""
    matrices = [matrix_of(s.transform, 3) for s in placement.steps]
    if placement.source == VOXELS and all(m is not None and m.shape == (3, 4) for m in matrices):
        steps = [(s.name, m) for s, m in zip(placement.steps, matrices, strict=True) if m is not None]
    else:
        whole = world_matrices(scene, node, placement).get(VOXELS)
        if whole is None or whole.shape != (3, 4) or placement.target != scene.world:
            return None
        steps = [("", np.vectorize(tidy)(whole))]
    out = []
    for name, matrix in reversed(steps):
        element = Element("ViewTransform", {"type": "affine"})
        if name:
            element.add("Name", name)
        element.add("affine", " ".join(map(repr, xyz_from_matrix(matrix))))
        out.append(element)
    return out
