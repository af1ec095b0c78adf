"""Checks of CellMap's datasets and crops. https://github.com/janelia-cellmap/cellmap-schemas

A dataset is known by its ``thumbnail.jpg`` beside containers, a container by its name (that of a dataset, or of the
folder around it) and by images in ``em`` or ``recon-1/em``. A crop, a class, and an array are known by
``cellmap.annotation`` in their attributes. Layouts are checked from depth ``hierarchy`` on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from voxarium.errors import FormatError, NotFoundError, UnsupportedError
from voxarium.model.checked_documents import json_of, opened
from voxarium.model.checking import Place, Sheet
from voxarium.model.checks import Below, Checked, CheckNode, NodeKind
from voxarium.model.image import ArrayInfo
from voxarium.model.rules import DEPTHS, Finding, Rule
from voxarium.spec import cellmap_rules as cellmap

__all__ = ["CellmapChecks"]

_ATTRIBUTES: Final = (".zattrs", "zarr.json", "attributes.json")
_ARRAYS: Final = (".zarray", "attributes.json", "zarr.json")
_GROUPS: Final = (".zgroup", "zarr.json")
_THUMBNAIL: Final = "thumbnail.jpg"
_RECON: Final = re.compile(r"recon-[0-9]+\Z")
_TRUTH: Final = "groundtruth"
_DEEPEST: Final = 4  # folders of labels, one in the other
_MOST: Final = 1000  # images of a container, and levels of all of them
_KINDS: Final[Mapping[str, NodeKind]] = {"crop": "collection", "class": "label", "array": "array"}


class CellmapChecks:
    """Knows the layout of CellMap's datasets, and annotations of its ground truth."""

    name: ClassVar[str] = "cellmap"
    spec_url: ClassVar[str] = "https://github.com/janelia-cellmap/cellmap-schemas"
    rules: ClassVar[Mapping[str, Rule]] = cellmap.RULES
    documents: ClassVar[tuple[str, ...]] = (_THUMBNAIL, ".zattrs", ".zgroup", "zarr.json", "attributes.json")

    def check(self, node: CheckNode, /) -> Checked | None:
        """Check a dataset, a container, a crop, a class or an annotated array; None when it is none of these."""
        found = self._annotation(node)
        if found is not None:
            return found
        if DEPTHS.index(node.depth) == 0:
            return None
        if node.document(_THUMBNAIL) is not None:
            return self._dataset(node)
        return self._container(node)

    # -- annotations
    def _annotation(self, node: CheckNode) -> Checked | None:
        name = ".zattrs" if node.document(".zattrs") is not None else "zarr.json"
        whole = opened(node, name, self.rules, "CM-107")
        if whole is None or whole.value is None:
            return None  # what is no JSON is said by the rules of Zarr
        root = whole if name == ".zattrs" else whole["attributes"]
        is_array = node.document(".zarray") is not None or whole.text("node_type") == "array"
        found = cellmap.annotation_of(root)
        kind = cellmap.annotation_kind(found, is_array=is_array)
        if not kind:
            return None
        cellmap.check_annotation(found, kind, node.path.rpartition("/")[2])
        sheets = [whole.sheet]
        if kind == "class":
            arrays = dict(self._class_arrays(node, root))
            cellmap.check_class_arrays(root, found, arrays)
            sheets += [place.sheet for place in arrays.values()]
        elif kind == "crop" and DEPTHS.index(node.depth) > 0:
            listed = node.names("")
            if listed is not None:
                cellmap.check_members(found, listed[1])
        image = kind != "class" or isinstance(root["multiscales"].value, list)
        return Checked(
            kind=_KINDS[kind] if image else "group",
            findings=tuple(f for sheet in sheets for f in sheet.findings),
            below=tuple(Below(path=path) for path in _level_paths(root)) if kind == "class" else (),
        )

    def _class_arrays(self, node: CheckNode, root: Place) -> Iterator[tuple[str, Place]]:
        """Yield annotations of the arrays that an image names."""
        for path in _level_paths(root):
            place = opened(node, f"{path}/.zattrs", self.rules, "CM-107")
            if place is not None and isinstance(cellmap.annotation_of(place).value, dict):
                yield path, cellmap.annotation_of(place)

    def wants_histogram(self, info: ArrayInfo, /) -> bool:
        """Tell whether an array is annotated, so that its values could contradict it."""
        return cellmap.counted(cellmap.annotation_of(Place(dict(info.attributes), "", Sheet("", self.rules))).value)

    def check_histogram(self, path: str, info: ArrayInfo, histogram: Mapping[int, int], /) -> tuple[Finding, ...]:
        """Return where the values of an annotated array contradict the annotation."""
        annotation = cellmap.annotation_of(Place(dict(info.attributes), "", Sheet("", self.rules))).value
        name, above = ("zarr.json", "/attributes") if info.format == "zarr3" else (".zattrs", "")
        key = f"{path}/{name}" if path else name
        return cellmap.check_counts(annotation, histogram, key=key, pointer=f"{above}/cellmap/annotation")

    # -- datasets
    def _dataset(self, node: CheckNode) -> Checked | None:
        listed = node.names("")
        if listed is None or not any(cellmap.stem(name) for name in listed[1]):
            return None
        sheet = Sheet("", self.rules, node.path)
        cellmap.check_dataset(sheet, node.path.rpartition("/")[2], [*listed[0], *listed[1]])
        containers = sorted(name for name in listed[1] if cellmap.stem(name))[:_MOST]
        images = {name: list(self._images(node, name)) for name in containers}
        if len(images) > 1 and len({cellmap.stem(name) for name in images}) == 1:
            cellmap.check_twins(sheet, {name: {path for _, path in found} for name, found in images.items()})
        labels = {path.rpartition("/")[2] for found in images.values() for _, path in found if "labels/" in path}
        meshes = [] if "neuroglancer" not in listed[1] else _folders(node, "neuroglancer/mesh")
        sheets = [sheet]
        for name in meshes[:_MOST]:
            info = json_of(node.document(f"neuroglancer/mesh/{name}/info"))
            sheets.append(Sheet("", self.rules, node.key(f"neuroglancer/mesh/{name}/info")))
            cellmap.check_meshes(sheets[-1], name, labels, None if info is None else info.get("@type"))
        return Checked(
            kind="collection", findings=tuple(f for s in sheets for f in s.findings), documents=(_THUMBNAIL,)
        )

    # -- containers
    def _container(self, node: CheckNode) -> Checked | None:
        around, _, own = node.path.rpartition("/")
        name = cellmap.stem(own)
        if name is None or not (cellmap.is_dataset_name(name) or around.rpartition("/")[2] == name):
            return None
        images = list(self._images(node, ""))
        if not any(path.startswith("em/") for _, path in images):
            return None
        sheet = Sheet("", self.rules, node.path)
        cellmap.check_container(sheet, name, has_thumbnail=node.document(f"../{_THUMBNAIL}") is not None)
        sheets = {folder: Sheet("", self.rules, node.key(folder)) for folder, _ in images}
        every = {path for _, path in images}
        places = {}
        for folder, path in images:
            finest, place = self._check_image(node, sheets[folder], folder)
            leaf, beside = path.rpartition("/")[2], {p.rpartition("/")[2] for p in every}
            if path.startswith("em/"):
                cellmap.check_em(sheets[folder], leaf, finest)
            elif path.startswith("labels/"):
                cellmap.check_label(sheets[folder], leaf, finest, beside)
            if place is not None:
                places[folder] = place
        cellmap.check_spaces(sheets, places)
        truth = [s for folder in _folders(node, "") if _RECON.match(folder) for s in self._truth(node, folder)]
        return Checked(kind="group", findings=tuple(f for s in (sheet, *sheets.values(), *truth) for f in s.findings))

    def _images(self, node: CheckNode, container: str) -> Iterator[tuple[str, str]]:
        """Yield folders of images, and the path each has within its reconstruction."""
        top = _folders(node, container)
        for base in ("", *(f for f in top if _RECON.match(f))):
            inside = top if not base else _folders(node, _joined(container, base))
            for part in ("em", "lm", "labels"):
                if part in inside:
                    folder = _joined(base, part)
                    yield from ((_joined(base, path), path) for path in self._below(node, container, folder, base))

    def _below(self, node: CheckNode, container: str, folder: str, base: str) -> Iterator[str]:
        """Yield paths of images below a folder such as ``em``, as seen from the reconstruction."""
        waiting = [(name, 1) for name in _folders(node, _joined(container, folder)) if name != _TRUTH]
        part = folder.removeprefix(f"{base}/") if base else folder
        for name, depth in waiting:  # it grows, up to so many
            inside = _folders(node, _joined(container, folder, name))
            if _is_array(node, _joined(container, folder, name)):
                continue  # an array by itself has no levels
            if any(cellmap.LEVEL.match(f) for f in inside):
                yield f"{part}/{name}"
            elif depth < _DEEPEST and part == "labels":
                waiting += [(f"{name}/{f}", depth + 1) for f in inside][: max(0, _MOST - len(waiting))]

    def _check_image(self, node: CheckNode, sheet: Sheet, folder: str) -> tuple[cellmap.Stored | None, Any]:
        """Check the levels of an image; return its first one, and where the image is."""
        folders = _folders(node, folder)
        levels: dict[str, cellmap.Stored] = {}
        attributes: Any = None
        for name in [f for f in folders if cellmap.LEVEL.match(f)][:_MOST]:
            info = _array(node, f"{folder}/{name}")
            if info is not None:
                levels[name] = cellmap.Stored(info.shape, info.dtype)
                attributes = dict(info.attributes) if name == "s0" else attributes
        stored = {name for name in folders if cellmap.LEVEL.match(name) and _is_array(node, f"{folder}/{name}")}
        cellmap.check_levels(sheet, sorted(stored), levels)
        finest = levels.get("s0")
        if finest is None:
            return None, None
        group = next((d for n in _ATTRIBUTES if (d := json_of(node.document(f"{folder}/{n}"))) is not None), None)
        stated = group.get("attributes", group) if group is not None else None
        return finest, cellmap.placed(stated, attributes, finest.shape)

    def _truth(self, node: CheckNode, recon: str) -> Iterator[Sheet]:
        """Yield sheets of crops of ground truth."""
        base = f"{recon}/labels/{_TRUTH}"
        if _TRUTH not in _folders(node, f"{recon}/labels"):
            return
        for crop in _folders(node, base)[:_MOST]:
            sheet = Sheet("", self.rules, node.key(f"{base}/{crop}"))
            classes = _folders(node, f"{base}/{crop}")
            if not cellmap.CROP.match(crop):
                sheet.report("CM-010", f"is called {crop[:60]!r}", "call it crop and a number")
            for name in classes[:_MOST]:
                if not _is_array(node, f"{base}/{crop}/{name}/s0"):
                    sheet.report("CM-010", f"has the class {name[:60]!r} without s0", "store the array as s0")
            if "all" not in classes:
                sheet.report("CM-010", "has no class 'all'", "add it: all labels combined", said=(None, "should"))
            yield sheet


def _level_paths(root: Place) -> tuple[str, ...]:
    items = root["multiscales"][0]["datasets"].items()[:_MOST]
    return tuple(path for item in items if (path := item.text("path")))


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _folders(node: CheckNode, folder: str) -> list[str]:
    try:
        listed = node.names(folder)
    except NotFoundError:
        return []
    return sorted(listed[1])[:_MOST] if listed is not None else []


def _is_array(node: CheckNode, folder: str) -> bool:
    for name in _ARRAYS:
        found = json_of(node.document(f"{folder}/{name}"))
        if found is not None:
            kind = {".zarray": True, "zarr.json": found.get("node_type") == "array"}
            return kind.get(name, "dimensions" in found and "dataType" in found)
    return False


def _array(node: CheckNode, path: str) -> ArrayInfo | None:
    try:
        return node.array(path)
    except (FormatError, UnsupportedError):
        return None  # said by the rules of its container
