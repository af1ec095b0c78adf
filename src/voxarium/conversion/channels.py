"""Channels and time, as a user describes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from voxarium.conversion.options import ConvertOptions
from voxarium.errors import Code, InputError
from voxarium.model.axes import Axis
from voxarium.model.image import ChannelDisplay, Display

__all__ = ["described_display", "time_step"]

_NAMED: Final = {
    "red": "FF0000",
    "green": "00FF00",
    "blue": "0000FF",
    "cyan": "00FFFF",
    "magenta": "FF00FF",
    "yellow": "FFFF00",
    "white": "FFFFFF",
    "gray": "FFFFFF",
    "grey": "FFFFFF",
    "orange": "FF8000",
}


def described_display(display: Display, axes: Sequence[Axis], shape: Sequence[int], options: ConvertOptions) -> Display:
    """Return hints for viewers with the names and colours of channels that a user gives.

    Parameters
    ----------
    axes, shape
        Of the image that is written.

    Raises
    ------
    InputError
        If their number is not that of the channels, or a colour is none.
    """
    if options.channels is None and options.colors is None:
        return display
    count = next((n for a, n in zip(axes, shape, strict=True) if a.type == "channel"), 1)
    for name, given in (("names", options.channels), ("colours", options.colors)):
        if given is not None and len(given) != count:
            raise InputError(
                f"{len(given)} {name} are given for {count} channels",
                code=Code.ARGUMENT_INVALID,
                fix="give one per channel, in stored order",
            )
    known = list(display.channels) if len(display.channels) == count else [ChannelDisplay()] * count
    for i, name in enumerate(options.channels or ()):
        known[i] = replace(known[i], label=name)
    for i, color in enumerate(options.colors or ()):
        known[i] = replace(known[i], color=_color(color))
    return replace(display, channels=tuple(known))


def _color(text: str) -> str:
    """Return six hexadecimal digits for ``#00ff00``, ``00FF00``, ``0f0`` or ``green``."""
    digits = _NAMED.get(text.lower(), text.removeprefix("#"))
    if len(digits) == 3:
        digits = "".join(d * 2 for d in digits)
    if len(digits) != 6 or any(d not in "0123456789abcdefABCDEF" for d in digits):
        raise InputError(
            f"{text!r} is no colour",
            code=Code.ARGUMENT_INVALID,
            fix=f"give six hexadecimal digits, such as 00FF00, or one of {', '.join(_NAMED)}",
        )
    return digits.upper()


def time_step(axes: Sequence[Axis], options: ConvertOptions) -> tuple[float | None, ...]:
    """Return, per axis, the time between two indices where the user gives it.

    Raises
    ------
    InputError
        If there is no time axis, or the step is not positive.
    """
    if options.time_step is None:
        return (None,) * len(axes)
    if not (math.isfinite(options.time_step) and options.time_step > 0):
        raise InputError(
            f"a time step of {options.time_step} is not positive",
            code=Code.ARGUMENT_INVALID,
            fix="give the time from one time point to the next, such as 2.5",
        )
    if not any(a.type == "time" for a in axes):
        raise InputError(
            f"a time step is given for {', '.join(a.name for a in axes)}, none of which is time",
            code=Code.AXES_MISMATCH,
            fix="name the axes in stored order, such as --axes tzyx",
        )
    return tuple(options.time_step if a.type == "time" else None for a in axes)
