"""Checking the ``info`` of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voxarium.model.checked_values import objects
from voxarium.model.checking import ABSENT, Place, short
from voxarium.spec.precomputed.info import DATA_TYPES
from voxarium.spec.precomputed.rules.scales import Voxels, check_scales
from voxarium.spec.precomputed.rules.values import folder, whole, word

__all__ = ["LINKS", "VolumeFacts", "check_volume"]

LINKS: Final = ("mesh", "skeletons", "segment_properties")
_MOST_SCALES: Final = 1000
_MOST_CHANNELS: Final = 2**20


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What a check of deeper things needs.

    Parameters
    ----------
    kind : str or None
        ``image`` or ``segmentation``.
    links : tuple of (Place, str)
        Where the document names meshes and the like, and the keys of these folders.
    scales : tuple of Place
        Those that are objects.
    """

    kind: str | None
    links: tuple[tuple[Place, str], ...]
    scales: tuple[Place, ...]


def check_volume(root: Place) -> VolumeFacts:
    """Check an ``info`` that describes a volume."""
    kind = word(root["type"], "PC-010", ("image", "segmentation"))
    data_type = word(root["data_type"], "PC-011", DATA_TYPES)
    channels = whole(root["num_channels"], "PC-012", 1, _MOST_CHANNELS)
    if kind == "segmentation":
        _check_labels(root, data_type, channels)
    scales = _scales(root)
    check_scales(scales, Voxels(data_type, channels))
    return VolumeFacts(kind, tuple(_links(root, kind)), tuple(scales))


def _check_labels(root: Place, data_type: str | None, channels: int | None) -> None:
    if channels not in (None, 1):
        root["num_channels"].report("PC-012", f"is {channels} for a segmentation", "write 1", expected=1)
    if data_type is not None and not data_type.startswith("uint"):
        root["data_type"].report("PC-013", f"is {data_type!r} for a segmentation", "write labels as uint32 or uint64")


def _scales(root: Place) -> list[Place]:
    place = root["scales"]
    if place.value is ABSENT:
        root.report("PC-014", "has no 'scales'", "list at least one scale")
    elif isinstance(place.value, list) and len(place.value) > _MOST_SCALES:
        place.report("PC-014", f"lists {len(place.value):,} scales", f"list at most {_MOST_SCALES}")
        return []
    return objects(place, "PC-014")


def _links(root: Place, kind: str | None) -> list[tuple[Place, str]]:
    out = []
    for name in LINKS:
        place = root[name]
        if not place.there or place.value is None or place.value == "":
            continue
        if kind == "image":
            place.report(
                "PC-039", f"is {short(place.value)} for an image", "remove it, or say that it is a segmentation"
            )
        key = folder(place, "PC-038")
        if key is not None:
            out.append((place, key))
    return out
