"""CREMI's layout of HDF5: ``/volumes/raw`` and ``/volumes/labels/*``, each with ``resolution`` and ``offset``.

Both are in nanometres and in the order of numpy, (z, y, x); `offset` is where the first voxel lies relative to that of
the raw data, since labels cover a part of it. No I/O. https://cremi.org/data
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from voxarium.model.attribute_documents import numbers
from voxarium.model.stated_images import StatedImage, StatedLevel, axes_named, malformed, plain_transform

__all__ = ["FORMAT", "LABELS", "RAW", "parse_image", "parse_name"]

FORMAT: Final = "cremi"
RAW: Final = "volumes/raw"
LABELS: Final = "volumes/labels"
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
