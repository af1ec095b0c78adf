"""CREMI's layout of HDF5: ``/volumes/raw`` and ``/volumes/labels/*``, each with ``resolution`` and ``offset``.

Both are in nanometres and in the order of numpy, (z, y, x); `offset` is where the first voxel lies relative to that of
the raw data, since labels cover a part of it. No I/O. https://cremi.org/data
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from voxarium.errors import Code, InputError
from voxarium.model.attribute_documents import numbers
from voxarium.model.image import ImageInfo
from voxarium.model.stated_images import (
    StatedImage,
    StatedLevel,
    axes_named,
    malformed,
    plain_transform,
    scale_and_translation,
)

__all__ = ["FORMAT", "LABELS", "NEURON_IDS", "RAW", "check_image", "dump_image", "parse_image", "parse_name"]

FORMAT: Final = "cremi"
RAW: Final = "volumes/raw"
LABELS: Final = "volumes/labels"
NEURON_IDS: Final = "volumes/labels/neuron_ids"
_NAME: Final = re.compile(r"volumes/(?:raw|labels/[^/]+)\Z")
_KNOWN: Final = frozenset({"resolution", "offset"})


def parse_name(inner: str) -> str | None:
    """Return which dataset a name within a file means: that of the file or of ``volumes`` is the raw data.

    Examples
    --------
    >>> parse_name(""), parse_name("/volumes/labels/clefts"), parse_name("/volumes/labels")
    ('volumes/raw', 'volumes/labels/clefts', None)
    """
    name = inner.strip("/")
    if name in ("", "volumes"):
        return RAW
    return name if _NAME.match(name) else None


def parse_image(name: str, attributes: Mapping[str, Any], ndim: int, path: str) -> StatedImage | None:
    """Return what a dataset states; None when it is not CREMI's.

    Parameters
    ----------
    name, path : str
        Name of the dataset in the file; its path relative to the image.

    Raises
    ------
    FormatError
        If the numbers cannot be used.
    """
    if "resolution" not in attributes or ndim != 3:
        return None
    sizes = numbers(attributes["resolution"], 3, positive=True)
    start = numbers(attributes.get("offset", [0.0] * 3), 3)
    if sizes is None or start is None:
        malformed(f"/{name}", "has no resolution and offset of three numbers, (z, y, x)", "correct the attributes")
    label = name.startswith(LABELS)
    notes = []
    if label and "offset" in attributes:
        notes.append("offset is relative to the raw data")
    return StatedImage(
        format=FORMAT,
        axes=axes_named("zyx", ["nanometer"] * 3, "axes"),
        levels=(
            StatedLevel(
                path=path,
                transform=plain_transform(sizes, start, f"/{name}"),
                original={k: v for k, v in attributes.items() if k in _KNOWN},
            ),
        ),
        metadata={"name": name, "attributes": dict(attributes)},
        name=name.rpartition("/")[2],
        role="label" if label else "intensity",
        extra={k: v for k, v in attributes.items() if k not in _KNOWN},
        notes=tuple(notes),
    )


# -------------------------------------------------------------------------------------------------------- writing
def check_image(image: ImageInfo) -> None:
    """Raise unless the layout can hold an image.

    Raises
    ------
    InputError
        If it has several levels, or its axes are not z, y, x in nanometres.
    """
    if len(image.levels) != 1:
        raise InputError(
            f"CREMI's layout holds one level, not {len(image.levels)}",
            code=Code.ARGUMENT_INVALID,
            fix="add --levels 1, or write hdf5, which holds pyramids",
        )
    names = [a.name for a in image.axes]
    if names != ["z", "y", "x"] or any(a.unit not in (None, "nanometer") for a in image.axes):
        raise InputError(
            f"CREMI's layout holds volumes of z, y, x in nanometres, this image has {', '.join(names)}",
            code=Code.AXES_MISMATCH,
            fix="write one channel and time point at a time, and give a length with --unit",
        )


def dump_image(image: ImageInfo) -> dict[str, Any]:
    """Return the attributes of an image's dataset."""
    check_image(image)
    scale, translation = scale_and_translation(image, 0, "CREMI's layout")
    kept = {k: v for k, v in image.bag.extra.items() if k not in _KNOWN}
    out: dict[str, Any] = {**kept, "resolution": list(scale)}
    if image.role == "label" or any(translation):
        out["offset"] = list(translation)
    return out
