"""Channels and how to show them: rules OM."""

from __future__ import annotations

from typing import Final

from voxarium.model.checked_values import FLAG, NUMBER, OBJECT, TEXT, Field, check_fields, matching, objects
from voxarium.model.checking import Place, short
from voxarium.spec.ome.rules.tables import rules

__all__ = ["RULES", "check_omero"]

RULES: Final = rules("""
OM-001 must=all
    `omero.channels` lists objects with `color`, six hexadecimal digits, and `window`, the numbers min, max,
    start and end (0.9: start and end).
OM-002 should=all needs=arrays
    There are as many channels as the channel axis is long.
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
_HEX: Final = matching("[0-9A-Fa-f]{6}", "six hexadecimal digits")


def check_omero(place: Place) -> None:
    """Check the channels of an image."""
    if not isinstance(place.value, dict):
        place.report("OM-001", "is not an object", 'write {"channels": […]}')
        return
    if not place["channels"].there:
        place.report("OM-001", "has no 'channels'", "list one object per channel")
    for channel in objects(place["channels"], "OM-001", least=0):
        check_fields(channel, _CHANNEL)
        color, window = channel["color"], channel["window"]
        if isinstance(color.value, str) and not _HEX.holds(color.value):
            color.report("OM-001", f"is {short(color.value)}", f"make it {_HEX.text}", basis="text")
        if isinstance(window.value, dict):
            check_fields(window, _LIMITS + (_RANGE_IF if place.version == "0.9" else _RANGE))
