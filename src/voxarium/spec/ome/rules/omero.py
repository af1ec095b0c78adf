"""Channels and how to show them: rules OM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from voxarium.model.checked_values import FLAG, NUMBER, OBJECT, TEXT, Field, check_fields, matching, objects
from voxarium.model.checking import Place, short
from voxarium.spec.ome.rules.tables import rules

__all__ = ["RULES", "check_omero"]

RULES: Final = rules("""
OM-001 must=all
    `omero.channels` lists objects with `color`, six hexadecimal digits, and `window`, the numbers min, max,
    start and end (0.9: start and end).
    why: Viewers take colour and contrast from here; without a window some show black, some refuse the image.
    mend: Describe every channel. A missing window is repaired for images of 8 bits, whose whole range is shown anyway.
    bad: ome05 zarr.json#/attributes/ome/omero/channels/0/color = "#00FF00"
    bad: ome05 zarr.json#/attributes/ome/omero/channels/0/window remove
    bad: ome05 zarr.json#/attributes/ome/omero/channels/0/window/start remove
    bad: ome05 s0/zarr.json#/data_type = "uint8"
    and: zarr.json#/attributes/ome/omero/channels/0/window remove
    bad: ome05 zarr.json#/attributes/ome/omero/channels remove
OM-002 should=all needs=arrays
    There are as many channels as the channel axis is long.
    why: Viewers pair them by position: channels are shown in the colour of another, or not at all.
    mend: Describe every channel once.
    bad: ome05 zarr.json#/attributes/ome/omero/channels/- = {"color": "FF0000", "window": {"min": 0, "max": 99,
    "start": 0, "end": 99}}
""")

# The schemas since 0.5 let a channel do without colour and window; the text of the specification does not.
_LATER: Final = "0.5 0.6 0.9"
_CHANNEL: Final = (
    Field("color", TEXT, "OM-001", "must", text=_LATER),
    Field("window", OBJECT, "OM-001", "must", text=_LATER),
    Field("label", TEXT, "OM-001"),
    Field("family", TEXT, "OM-001", text_kind="0.9"),
    Field("active", FLAG, "OM-001"),
    Field("inverted", FLAG, "OM-001", text_kind="0.4 0.5 0.6"),
)
_LIMITS: Final = tuple(Field(k, NUMBER, "OM-001", "must") for k in ("start", "end"))
_RANGE: Final = tuple(Field(k, NUMBER, "OM-001", "must") for k in ("min", "max"))
_RANGE_IF: Final = tuple(Field(k, NUMBER, "OM-001") for k in ("min", "max"))
# Types whose whole range is what viewers show anyway; of wider ones, images use a part that only voxels tell.
_WINDOWS: Final[Mapping[Any, Field]] = {
    np.dtype(name): Field(
        "window", OBJECT, "OM-001", "must", text=_LATER, default={"min": a, "max": b, "start": a, "end": b}
    )
    for name, a, b in (("uint8", 0, 255), ("int8", -128, 127))
}
_HEX: Final = matching("[0-9A-Fa-f]{6}", "six hexadecimal digits")


def check_omero(place: Place, dtype: np.dtype[np.generic] | None = None) -> None:
    """Check the channels of an image, whose voxels have a type where that is known."""
    if not isinstance(place.value, dict):
        place.report("OM-001", "is not an object", 'write {"channels": […]}')
        return
    if not place["channels"].there:
        place.report("OM-001", "has no 'channels'", "list one object per channel")
    fields = [_WINDOWS.get(dtype, f) if f.name == "window" else f for f in _CHANNEL]
    for channel in objects(place["channels"], "OM-001", least=0):
        check_fields(channel, fields)
        color, window = channel["color"], channel["window"]
        if isinstance(color.value, str) and not _HEX.holds(color.value):
            color.report("OM-001", f"is {short(color.value)}", f"make it {_HEX.text}", basis="text")
        if isinstance(window.value, dict):
            check_fields(window, _LIMITS + (_RANGE_IF if place.version == "0.9" else _RANGE))
