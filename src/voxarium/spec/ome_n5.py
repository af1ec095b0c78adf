"""OME-NGFF metadata in ``attributes.json`` of N5: the order of axes, which N5 has the other way round. No I/O.

OME-NGFF lists axes in the order of the array's dimensions. Java libraries take N5's, so x comes first and each list of
a transformation follows; what Python wrote through zarr 2 has the order of numpy, x last. OME-NGFF demands time,
channel, z, y, x: a list in this order is numpy's, its reverse is N5's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["c_order", "is_ours", "n5_order"]

_TYPES: Final = {"time": 0, "channel": 1, "space": 3}
_SPACE: Final = {"z": 0, "y": 1, "x": 2}


def _holder(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    found = attributes.get("ome")
    return found if isinstance(found, Mapping) else attributes


def _axes(attributes: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    found = _holder(attributes).get("multiscales")
    first = found[0] if isinstance(found, list) and found else None
    axes = first.get("axes") if isinstance(first, Mapping) else None
    whole = isinstance(axes, list) and bool(axes) and all(isinstance(a, Mapping) for a in axes)
    return axes if whole else None


def is_ours(attributes: Mapping[str, Any]) -> bool:
    """Tell whether attributes of a group are OME-NGFF: its axes are objects, unlike those of COSEM and Neuroglancer."""
    return _axes(attributes) is not None


def _place(axis: Mapping[str, Any]) -> tuple[int, int]:
    name = axis.get("name")
    known = isinstance(name, str)
    kind = axis.get("type") if isinstance(axis.get("type"), str) else None
    if kind is None and known:
        kind = {"t": "time", "c": "channel"}.get(str(name), "space" if name in _SPACE else None)
    return _TYPES.get(str(kind), 2), _SPACE.get(str(name), 0) if known else 0


def c_order(attributes: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return attributes with axes and transformations in C order, and a note when they were turned.

    Examples
    --------
    >>> axes = [{"name": n, "type": "space"} for n in "xyz"]
    >>> turned, _ = c_order({"multiscales": [{"axes": axes, "datasets": []}]})
    >>> [a["name"] for a in turned["multiscales"][0]["axes"]]
    ['z', 'y', 'x']
    """
    axes = _axes(attributes)
    places = [] if axes is None else list(map(_place, axes))
    if places == sorted(places):
        return attributes, ()
    if places[::-1] != sorted(places):
        return attributes, ("the axes are in no usual order; taken as the array's, the slowest first",)
    return n5_order(attributes), ("axes and transformations are stated in the order of N5, the fastest first",)


def n5_order(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes with axes and the numbers of transformations reversed."""
    out = dict(attributes)
    if isinstance(out.get("ome"), Mapping):
        return out | {"ome": n5_order(out["ome"])}
    found = out.get("multiscales")
    if isinstance(found, list):
        out["multiscales"] = [_reversed_multiscale(m) if isinstance(m, Mapping) else m for m in found]
    return out


def _reversed_multiscale(body: Mapping[str, Any]) -> dict[str, Any]:
    out = _reversed_transforms(body)
    if isinstance(out.get("axes"), list):
        out["axes"] = out["axes"][::-1]
    if isinstance(out.get("datasets"), list):
        out["datasets"] = [_reversed_transforms(d) if isinstance(d, Mapping) else d for d in out["datasets"]]
    return out


def _reversed_transforms(body: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(body)
    found = out.get("coordinateTransformations")
    if isinstance(found, list):
        out["coordinateTransformations"] = [
            {k: v[::-1] if k in ("scale", "translation") and isinstance(v, list) else v for k, v in t.items()}
            if isinstance(t, Mapping)
            else t
            for t in found
        ]
    return out
