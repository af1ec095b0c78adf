"""How layers are shown: shader controls, opacity, segments and their colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from voxarium.model.fields import Fields, Problems
from voxarium.model.image import LabelColor
from voxarium.model.scene import Rendering
from voxarium.model.scene_fields import color, number, own, pair, short
from voxarium.spec.neuroglancer_state.sources import P

__all__ = ["dump_rendering", "parse_rendering"]

_CONTROL: Final = "normalized"
_COLORED: Final = (
    "#uicontrol invlerp normalized\n#uicontrol vec3 color color\nvoid main() {\n  emitRGB(color * normalized());\n}\n"
)
"""The shader that is written for a coloured image which has none of its own."""


def parse_rendering(fields: Fields, problems: Problems, kind: str) -> Rendering:
    """Return how a layer is shown."""
    visible = fields.boolean("visible", True)
    shader = fields.text("shader", "")
    found = Rendering(
        opacity=number(fields, "selectedAlpha" if kind == "labels" else "opacity"),
        blend=fields.text("blend", "") or None,
        visible=None if visible else False,
        shader=None if shader in ("", _COLORED) else shader,
    )
    if fields.has("shaderControls") and fields.raw("shaderControls") is not None:
        found = _with_controls(found, Fields(fields.mapping("shaderControls"), problems, "shaderControls"), problems)
    if kind == "labels" and fields.has("segmentDefaultColor"):
        word = fields.raw("segmentDefaultColor")
        digits = color(word)
        extra = found.extra if digits is not None else {**found.extra, f"{P}:segmentDefaultColor": word}
        found = replace(found, color=digits, extra=extra)
    if fields.has("segments"):
        found = _with_segments(found, fields)
    if fields.has("segmentColors"):
        found = _with_colors(found, fields.mapping("segmentColors"))
    return found


def _with_controls(rendering: Rendering, fields: Fields, problems: Problems) -> Rendering:
    digits = color(fields.raw("color", None)) if fields.has("color") else None
    rest = fields.rest()
    names = [n for n, v in rest.items() if isinstance(v, Mapping) and {"range", "window"} & v.keys()]
    extra: dict[str, Any] = {}
    window = limits = None
    if names:
        name = _CONTROL if _CONTROL in names else names[0]
        body = Fields(rest.pop(name), problems, f"shaderControls.{name}")
        window, limits = pair(body, "range"), pair(body, "window")
        if name != _CONTROL:
            extra[f"{P}:control"] = name
        if body.rest():
            extra[f"{P}:controlSettings"] = body.rest()
    if fields.has("color") and digits is None:
        rest["color"] = fields.raw("color")
    if rest:
        extra[f"{P}:shaderControls"] = rest
    extra = {**rendering.extra, **extra}
    inverted = window is not None and window[0] > window[1]
    return replace(
        rendering,
        window=None if window is None else (min(window), max(window)),
        limits=limits,
        invert=inverted or None,
        color=digits,
        extra=extra,
    )


def _with_segments(rendering: Rendering, fields: Fields) -> Rendering:
    found = fields.raw("segments", None)
    if not isinstance(found, list):
        if found is not None:
            fields.wrong("segments", "a list of labels", found)
        return rendering
    words = [str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in found]
    selected = tuple(int(w) for w in words if _is_label(w))
    extra = dict(rendering.extra)
    if len(selected) != len(words):
        extra[f"{P}:segments"] = found
    return replace(rendering, selected=selected, extra=extra)


def _is_label(word: object) -> bool:
    return isinstance(word, str) and word.isascii() and word.isdigit() and len(word) <= 20


def _with_colors(rendering: Rendering, found: Mapping[str, Any]) -> Rendering:
    colors: list[LabelColor] = []
    others: dict[str, Any] = {}
    for label, word in found.items():
        digits = color(word)
        if digits is None or not _is_label(label):
            others[label] = word
        else:
            rgb = [int(digits[i : i + 2], 16) for i in (0, 2, 4)]
            colors.append(LabelColor(label=int(label), rgba=(rgb[0], rgb[1], rgb[2], 255)))
    extra = rendering.extra if not others else {**rendering.extra, f"{P}:segmentColors": others}
    return replace(rendering, label_colors=tuple(colors), extra=extra)


# -- writing
def dump_rendering(rendering: Rendering, kind: str, shown: bool) -> dict[str, Any]:
    """Return the keys of a layer that say how it is shown."""
    extra = own(rendering.extra, P)
    out: dict[str, Any] = {} if shown else {"visible": False}
    if rendering.opacity is not None:
        out["selectedAlpha" if kind == "labels" else "opacity"] = rendering.opacity
    if rendering.blend and kind != "labels":
        out["blend"] = rendering.blend
    if kind == "labels":
        out |= _segments(rendering, extra)
    controls = _controls(rendering, extra, kind)
    if rendering.shader:
        out["shader"] = rendering.shader
    elif kind == "image" and rendering.color is not None:
        out["shader"] = _COLORED
    if controls:
        out["shaderControls"] = controls
    return out


def _segments(rendering: Rendering, extra: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if "segmentDefaultColor" in extra:
        out["segmentDefaultColor"] = extra["segmentDefaultColor"]
    if rendering.color is not None:
        out["segmentDefaultColor"] = f"#{rendering.color.lower()}"
    words = [str(label) for label in rendering.selected]
    stated = extra.get("segments")
    if isinstance(stated, list) and [str(w) for w in stated if _is_label(str(w))] == words:
        words = stated
    if words:
        out["segments"] = words
    colors = {str(c.label): "#{:02x}{:02x}{:02x}".format(*c.rgba[:3]) for c in rendering.label_colors}
    others = extra.get("segmentColors")
    colors |= others if isinstance(others, Mapping) else {}
    if colors:
        out["segmentColors"] = colors
    return out


def _controls(rendering: Rendering, extra: Mapping[str, Any], kind: str) -> dict[str, Any]:
    others = extra.get("shaderControls")
    out: dict[str, Any] = dict(others) if isinstance(others, Mapping) else {}
    if kind != "labels":
        settings = extra.get("controlSettings")
        body: dict[str, Any] = dict(settings) if isinstance(settings, Mapping) else {}
        if rendering.window is not None:
            low, high = map(short, rendering.window)
            body["range"] = [high, low] if rendering.invert else [low, high]
        if rendering.limits is not None:
            body["window"] = [short(v) for v in rendering.limits]
        if body:
            out[str(extra.get("control", _CONTROL))] = body
        if rendering.color is not None:
            out["color"] = f"#{rendering.color.lower()}"
    return out
