"""The layout of CellMap and COSEM, as OpenOrganelle publishes it. Rules L1 to L11: docs/reference/dataset-json.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from voxarium.archive.layouts.layout import Facts, Place, broken, parts_of

__all__ = ["CellmapLayout"]

_DATASET: Final = re.compile(r"[a-z0-9]+_[a-z0-9][a-z0-9-]*")
_EM: Final = re.compile(r"[a-z0-9][a-z0-9.-]*-(u?int(?:8|16|32|64)|float(?:16|32|64))")
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RECON: Final = re.compile(r"recon-[1-9][0-9]*")
_CROP: Final = re.compile(r"crop[0-9]+")
_LEVEL: Final = re.compile(r"s(0|[1-9][0-9]*)")
_GROUPS: Final = ("em", "lm", "labels")
_IMAGES: Final = ("", "image", "label")
_N5: Final = ("n5", "cosem", "n5-viewer", "n5-canonical", "ome-n5", "paintera", "bdv")
_MESHES: Final = "neuroglancer/mesh/"


class CellmapLayout:
    """Images lie in ``<dataset>.zarr/recon-1/{em,lm,labels}``, meshes in ``neuroglancer/mesh``.

    A member's name leaves out the container and the first alignment: ``em/fibsem-uint8`` is
    ``jrc_hela-2.zarr/recon-1/em/fibsem-uint8``; ``recon-2/em/fibsem-uint8`` lies in ``recon-2``;
    ``n5/em/fibsem-uint8`` in the older container, which has no alignments; ``mesh/mito_seg`` in ``neuroglancer``.
    """

    name: ClassVar[str] = "cellmap"
    thumbnail: ClassVar[str] = "thumbnail.jpg"
    zarr_root: ClassVar[bool] = False
    collection_document: ClassVar[bool] = True

    def check_name(self, dataset: str) -> None:
        """Refuse names that are not an institute's, an underscore, and an identifier."""
        if _DATASET.fullmatch(dataset) is None:
            raise broken(
                "rule L1 of the layout cellmap",
                f"a dataset cannot be called {dataset!r}",
                "use institute_identifier in lower case, such as jrc_hela-2",
            )

    def place(self, dataset: str, given: str, facts: Facts) -> Place:
        """Return the place of an image, a mesh, or anything else."""
        parts = parts_of(given)
        if facts.kind == "collection":
            raise broken(
                "rule L2 of the layout cellmap", f"{given} holds several images", "convert each into a path of its own"
            )
        if facts.kind == "mesh" or given.startswith(("mesh/", _MESHES)):
            return _mesh(given)
        if parts[0] == "neuroglancer" or facts.kind not in _IMAGES:
            return _other(given, facts)
        place, inside = _contained(dataset, parts, facts)
        _check_image(inside, facts, given)
        return place

    def notes(self, dataset: str, place: Place, facts: Facts, names: Mapping[str, str]) -> tuple[str, ...]:
        """Return recommendations that are not followed."""
        found = []
        last = place.name.rpartition("/")[2]
        if place.name.startswith("mesh/") and not any(
            n.rpartition("/")[2] == last for n, kind in names.items() if kind == "label"
        ):
            found.append(f"{place.name} is not named like a label image of the dataset (rule L7)")
        if last.endswith("_seg") and not place.name.startswith("mesh/"):
            twin = f"{place.name.removesuffix('_seg')}_pred"
            if twin not in names:
                found.append(f"{place.name} has no prediction {twin} beside it (rule L6)")
        return tuple(found)


def _mesh(given: str) -> Place:
    inner = given.removeprefix(_MESHES).removeprefix("mesh/")
    if "/" in inner or _PLAIN.fullmatch(inner) is None:
        raise broken(
            "rule L7 of the layout cellmap",
            f"meshes cannot be called {given!r}",
            f"use mesh/ and the name of their label image, such as mesh/{inner.rpartition('/')[2] or 'mito_seg'}",
        )
    return Place(f"mesh/{inner}", f"{_MESHES}{inner}")


def _other(given: str, facts: Facts) -> Place:
    """Return the place of what other programs keep in folders of their own (L2), and of skeletons, tables …"""
    image = facts.kind in _IMAGES
    if image and not (given.startswith("neuroglancer/em/") and given.endswith(".precomputed")):
        raise broken(
            "rule L2 of the layout cellmap",
            f"an image cannot lie in {given!r}",
            "use em/NAME, lm/NAME or labels/NAME; copies for Neuroglancer are neuroglancer/em/NAME.precomputed",
        )
    return Place(given, given)


def _contained(dataset: str, parts: list[str], facts: Facts) -> tuple[Place, list[str]]:
    """Return the place of an image in a container, and the parts of its name from em, lm or labels on."""
    inside = list(parts)
    older = facts.format in _N5 or inside[0] in ("n5", f"{dataset}.n5")
    container = f"{dataset}.n5" if older else f"{dataset}.zarr"
    explicit = inside[0] == container
    if explicit or inside[0] == "n5":
        del inside[0]
    recon = inside.pop(0) if inside and _RECON.fullmatch(inside[0]) else ""
    if len(inside) < 2 or inside[0] not in _GROUPS:
        raise broken(
            "rule L2 of the layout cellmap",
            f"an image cannot be called {'/'.join(parts)!r}",
            f"use em/NAME, lm/NAME or labels/NAME, or their paths in {container}",
        )
    name = "/".join(inside)
    if older:
        between, name = recon, f"n5/{f'{recon}/' if recon else ''}{name}"
    else:
        between = recon or ("" if explicit else "recon-1")
        name = name if recon in ("", "recon-1") else f"{recon}/{name}"
    return Place(name, "/".join(p for p in (container, between, *inside) if p)), inside


def _check_image(inside: list[str], facts: Facts, given: str) -> None:
    group, *rest = inside
    if not all(map(_PLAIN.fullmatch, rest)):
        raise broken(
            "rule L2 of the layout cellmap", f"an image cannot be called {given!r}", "use letters, digits and _ . -"
        )
    if group == "em":
        _check_em(rest, facts, given)
    elif group == "lm" and len(rest) != 1:
        raise broken("rule L5 of the layout cellmap", f"{given} is more than lm/NAME", "use one name below lm")
    elif group == "labels":
        _check_label(rest, facts, given)
    wrong = [n for i, n in enumerate(facts.levels) if (m := _LEVEL.fullmatch(n)) is None or int(m[1]) != i]
    if wrong:
        raise broken(
            "rule L9 of the layout cellmap",
            f"levels of {given} are called {', '.join(facts.levels[:5])}",
            "call them s0, s1, s2 …: voxarium convert does",
        )


def _check_em(rest: list[str], facts: Facts, given: str) -> None:
    found = _EM.fullmatch(rest[0]) if len(rest) == 1 else None
    if found is None:
        raise broken(
            "rule L4 of the layout cellmap",
            f"an electron micrograph cannot be called {given!r}",
            f"use em/MODALITY-TYPE, such as em/fibsem-{facts.dtype or 'uint8'}",
        )
    if facts.dtype and found[1] != facts.dtype:
        raise broken(
            "rule L4 of the layout cellmap",
            f"{given} has voxels of {facts.dtype}",
            f"call it em/{rest[0].removesuffix(found[1])}{facts.dtype}",
        )


def _check_label(rest: list[str], facts: Facts, given: str) -> None:
    if rest[0] == "groundtruth" and (len(rest) != 3 or _CROP.fullmatch(rest[1]) is None):
        raise broken(
            "rule L10 of the layout cellmap",
            f"ground truth cannot be called {given!r}",
            "use labels/groundtruth/cropN/CLASS, such as labels/groundtruth/crop1/mito",
        )
    if rest[-1].endswith("_seg") and facts.dtype and not facts.dtype.startswith(("uint", "int")):
        raise broken(
            "rule L6 of the layout cellmap",
            f"{given} has voxels of {facts.dtype}, and a segmentation has whole numbers",
            f"convert it with --dtype uint64, or call it {given.removesuffix('_seg')}_pred if it is a prediction",
        )
    if rest[-1].endswith("_pred") and facts.role == "label":
        raise broken(
            "rule L6 of the layout cellmap",
            f"{given} is a label image, and the name is that of a prediction",
            f"call it {given.removesuffix('_pred')}_seg",
        )
