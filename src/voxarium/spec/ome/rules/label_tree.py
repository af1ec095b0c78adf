"""Labels in a hierarchy: lists of them, what they list, and label images beside their image. Rules LB."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Final

from voxarium.model.checking import Place, Sheet, short
from voxarium.model.edits import Edit
from voxarium.spec.ome.rules.around import Around, GroupFacts, ImageFacts, Told, safe_path
from voxarium.spec.ome.rules.arrays import axes_of
from voxarium.spec.ome.rules.storage import ACCEPTED

__all__ = ["check_label", "check_labels_group", "image_facts", "unlisted_labels"]

LABELS: Final = "labels"
_DEEPEST: Final = 3
_MOST: Final = 2000


def image_facts(ome: Place, path: str, shapes: Mapping[str, tuple[int, ...]]) -> ImageFacts:
    """Return what label images of the first image are compared with; shapes are by path below the group."""
    image = ome["multiscales"][0]
    return ImageFacts(
        path=path,
        axes=tuple(axis.text("name") for axis in axes_of(image)),
        shapes=tuple(shapes.get(d.text("path") or "") for d in image["datasets"].items()),
    )


# -- the group of labels, as its image sees it
def unlisted_labels(around: Around, found: GroupFacts | None, sheet: Sheet) -> list[str]:
    """Return the paths of label images in a folder ``labels`` that lists none at all, and report that.

    `sheet` is that of the image; `found` the group of labels, where it is one.
    """
    images = sorted(_images(around, LABELS))
    if images:
        name = _document_name(around, found)
        own = Sheet(sheet.version, sheet.rules, around.key(f"{LABELS}/{name}"), sheet.findings)
        own.report(
            "LB-001",
            f"does not list the label images in it: {', '.join(images[:5])[:120]}",
            "list their paths as 'labels'",
            pointer="" if found is None else found.pointer,
            values=(images[:20], None),
            said=("text", None),
            repair=_list_repair(own, around, found, images),
        )
    return images


def _document_name(around: Around, found: GroupFacts | None) -> str:
    return found.name if found is not None else "zarr.json" if around.prefer == 3 else ".zattrs"


def _list_repair(own: Sheet, around: Around, found: GroupFacts | None, images: list[str]) -> tuple[Edit, ...]:
    body: dict[str, Any] = {"labels": images}
    if own.version == "0.4":
        marker = around.key(f"{LABELS}/.zgroup")
        made = () if found is not None and found.marked else (Edit(key=marker, value={"zarr_format": 2}),)
        known = found is not None and found.document
        return (*made, Edit(key=own.key, pointer="/labels" if known else "", value=images if known else body))
    ome = {"version": ACCEPTED[own.version][0], **body}
    if found is not None:
        return (Edit(key=own.key, pointer="/attributes/ome", value=ome),)
    return (Edit(key=own.key, value={"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}),)


def _images(around: Around, folder: str, depth: int = 0) -> Iterator[str]:
    """Yield the paths, below ``labels``, of images in a folder."""
    for name in around.folders(folder)[:_MOST]:
        path = f"{folder}/{name}"
        group = around.group(path)
        if group is None or group.error is not None:
            continue
        if group.is_image:
            yield path.removeprefix(f"{LABELS}/")
        elif depth < _DEEPEST:
            yield from _images(around, path, depth + 1)


# -- the group of labels itself
def check_labels_group(listed: Place, around: Around, told: Told | None) -> list[str]:
    """Check what a list of labels lists, and what it does not; return the paths of what it should."""
    if told is not None and told.image is None:
        listed.report("LB-015", "is beside no image", "move it into the group of the image it is about", basis="text")
    if not isinstance(listed.value, list):
        return []
    names: set[str] = set()
    for item in listed.items()[:_MOST]:
        path = safe_path(item.value) if isinstance(item.value, str) else None
        if isinstance(item.value, str) and not path:
            item.report("LB-002", f"is {short(item.value)}, no path below the list", "name a folder here", basis="text")
        elif path:
            names.add(path)
            _check_listed(item, path, around)
    _check_between(listed.sheet, names, around)
    inside = Around(path=around.path, document=_inside(around), names=_names_inside(around), prefer=around.prefer)
    missing = sorted(set(_images(inside, LABELS)) - names)
    whole = listed.put([*listed.value, *missing])
    for name in missing:
        listed.report(
            "LB-003",
            f"does not list {short(name)}",
            "list all label images",
            basis="text",
            expected=name[:200],
            repair=(whole,),
        )
    return missing


def _inside(around: Around) -> Any:
    """Return a reader for which the group is called ``labels``, as it is for the image around it."""
    return lambda name: around.document(name.removeprefix(f"{LABELS}/"))


def _names_inside(around: Around) -> Any:
    return lambda folder: around.names(folder.removeprefix(LABELS).removeprefix("/"))


def _check_listed(item: Place, path: str, around: Around) -> None:
    group = around.group(path)
    if group is None:
        item.report("LB-002", "leads to no group", "copy the label image, or remove it from the list", basis="text")
    elif not group.is_image:
        item.report("LB-002", "leads to a group that is no image", "describe its levels as multiscales", basis="text")


def _check_between(sheet: Sheet, names: set[str], around: Around) -> None:
    between = {"/".join(parts[:i]) for parts in (n.split("/") for n in names) for i in range(1, len(parts))}
    for path in sorted(between - names):
        group = around.group(path)
        if group is not None and group.attributes:
            own = Sheet(sheet.version, sheet.rules, around.key(f"{path}/{group.name}"), sheet.findings)
            Place(dict(group.attributes), group.pointer, own).report(
                "LB-004", "has metadata, between the list and a label image", "remove them", basis="text"
            )


# -- a label image
def check_label(ome: Place, around: Around, told: Told, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check a label image that a list names against its image."""
    own = image_facts(ome, around.path, shapes)
    if not ome["image-label"].there:
        source = {"source": {"image": _relative(around.path, told)}}
        ome.report(
            "LB-008",
            "has no 'image-label', though it is listed as a label image",
            "add it, with colours",
            basis="text",
            repair=(ome["image-label"].put(source),) if told.image is not None else (),
        )
    elif isinstance(ome["image-label"].value, dict):
        _check_source(ome["image-label"], around, told)
    if told.image is None:
        return
    datasets = ome["multiscales"][0]["datasets"]
    if own.shapes and told.image.shapes and len(own.shapes) != len(told.image.shapes):
        message = f"has {len(own.shapes)} levels, its image {len(told.image.shapes)}"
        datasets.report("LB-006", message, "make as many levels", basis="text", expected=len(told.image.shapes))
    for i, (shape, whole) in enumerate(zip(own.shapes, told.image.shapes, strict=False)):
        if shape is not None and whole is not None:
            _check_lengths(datasets[i], dict(zip(own.axes, shape, strict=False)), told.image, whole)


def _check_lengths(level: Place, own: Mapping[str | None, int], image: ImageFacts, shape: tuple[int, ...]) -> None:
    lengths = dict(zip(image.axes, shape, strict=False))
    for name, length in own.items():
        if length != 1 and length != lengths.get(name, 1):
            whose = "no such axis" if name not in lengths else f"{lengths[name]}"
            message = f"is {length} long along {short(name)}, its image has {whose}"
            level.report("LB-007", message, "store labels on the grid of their image, or 1 long", basis="text")
            return


def _relative(path: str, told: Told) -> str:
    """Return where the image is, seen from a label image."""
    inside = path.removeprefix(told.image.path).strip("/") if told.image is not None else ""
    return "../" * (inside.count("/") + 1)


def _check_source(label: Place, around: Around, told: Told) -> None:
    """Check that the image a label image names is one, where it can be looked at."""
    stated = label["source"].text("image")
    if label["source"].there and label["source"]["image"].there and stated is None:
        return
    path = posixpath.normpath(f"/{around.path}/{'../../' if stated is None else stated}").strip("/")
    top = told.top.path
    if stated is not None and ("://" in stated or stated.startswith("/")):
        return
    below = path if not top else None if not f"{path}/".startswith(f"{top}/") else path[len(top) :].strip("/")
    group = None if below is None else told.top.group(below)
    if below is None or (group is not None and group.is_image):
        return
    right = _relative(around.path, told)
    place = label["source"]["image"] if stated is not None else label
    said = f"is {short(stated)}" if stated is not None else "names no 'source', which means '../../'"
    place.report(
        "LB-013",
        f"{said}: no image is there",
        f"name the image it labels: {right!r}",
        basis="text",
        expected=right,
        repair=(label["source"]["image"].put(right),) if told.image is not None else (),
    )
