"""``resolution`` and ``offset`` of an array without a convention: (z, y, x) to some writers, (x, y, z) to others.

What is the same in every order is used; what is not stays unknown, and a remark says which options tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxarium.model.attribute_documents import numbers
from voxarium.model.stated_images import plain_transform
from voxarium.model.transforms import Transform

__all__ = ["stated_transform"]


def stated_transform(attributes: Mapping[str, Any], ndim: int) -> tuple[Transform | None, tuple[str, ...]]:
    """Return voxel centre → world where the order of axes does not matter, and remarks.

    Examples
    --------
    >>> stated_transform({"resolution": [8, 8, 8]}, 3)[0]
    Scale(scale=(8.0, 8.0, 8.0))
    >>> stated_transform({"resolution": [4, 4, 40]}, 3)[0] is None
    True
    """
    sizes = numbers(attributes.get("resolution"), ndim, positive=True)
    if sizes is None:
        return None, ()
    start = numbers(attributes.get("offset", [0.0] * ndim), ndim)
    if start is not None and len({*sizes}) == 1 and len({*start}) == 1:
        return plain_transform(sizes, start, "resolution"), ()
    stated = ", ".join(f"{key} {attributes[key]}" for key in ("resolution", "offset", "unit") if key in attributes)
    return None, (
        f"{stated}: nothing says whether this is (z, y, x) or (x, y, z); name the axes in stored order with --axes, "
        "and give --voxel-size, --translation and --unit in the same order",
    )
