"""What microscopes tell about an image: channels, planes, objective, times and stage positions, whatever the format.

Units are fixed, so that nobody has to convert twice: wavelengths in nanometers, lengths in micrometers, times in
seconds, dates in ISO 8601. A position is a place of the stage, not of the image: it is carried and never moves voxels
by itself. Drivers put `Acquisition.carried()` among the keys an image carries (`Bag.extra`), where targets that hold
metadata keep it; `acquisition_of` finds it again, whatever the image went through.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from voxarium.model.image import Bag, ChannelDisplay

__all__ = [
    "ACQUISITION",
    "Acquisition",
    "ChannelFacts",
    "ObjectiveFacts",
    "PlaneFacts",
    "acquisition_of",
    "even_step",
    "parse_acquisition",
]

ACQUISITION: Final = "acquisition"
_MOST_CHANNELS: Final = 10_000
_MOST_PLANES: Final = 10_000_000
_EVEN: Final = 1e-3  # of a step; clocks of microscopes jitter less than people care about


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFacts:
    """How one channel was recorded.

    Parameters
    ----------
    name, fluor : str
        What people call it; the dye or protein.
    color : str or None
        Six hexadecimal digits.
    excitation, emission : float or None
        Wavelengths in nanometers.
    exposure : float or None
        Seconds, where it is the same for all planes.
    pinhole : float or None
        Diameter in micrometers.
    gain : float or None
        Of the detector, in its own unit.
    mode, contrast, illumination, detector : str
        ``LaserScanningConfocalMicroscopy``, ``Fluorescence``, ``Epifluorescence``, name of the camera or detector.
    extra : mapping
        What else the source says, as JSON.
    """

    name: str = ""
    fluor: str = ""
    color: str | None = None
    excitation: float | None = None
    emission: float | None = None
    exposure: float | None = None
    pinhole: float | None = None
    gain: float | None = None
    mode: str = ""
    contrast: str = ""
    illumination: str = ""
    detector: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveFacts:
    """The objective: `magnification` as engraved, `aperture` = numerical aperture."""

    model: str = ""
    manufacturer: str = ""
    magnification: float | None = None
    aperture: float | None = None
    immersion: str = ""
    correction: str = ""
    refractive_index: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneFacts:
    """How one plane was recorded.

    Parameters
    ----------
    index : mapping of str to int
        Where the plane is along the other axes: ``{"t": 0, "c": 1, "z": 7}``.
    time : float or None
        Seconds since the acquisition began.
    exposure : float or None
        Seconds.
    position : tuple of three (float or None), or None
        Place of the stage, along z, y, x, in micrometers.
    """

    index: Mapping[str, int]
    time: float | None = None
    exposure: float | None = None
    position: tuple[float | None, float | None, float | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """What a microscope tells about one image.

    Parameters
    ----------
    date : str
        When it began, ISO 8601; empty when unknown.
    description, instrument : str
        What people wrote about it; model of the microscope.
    objective : ObjectiveFacts or None
        The objective.
    channels : tuple of ChannelFacts
        In the order of the channel axis.
    planes : tuple of PlaneFacts
        Those something is known of.
    times : tuple of float
        Seconds since the beginning, per index of the time axis; empty when unknown or evenly spaced.
    position : tuple of three (float or None), or None
        Place of the stage for the whole image, along z, y, x, in micrometers.
    extra : mapping
        What else the source says that has no place here and is worth a name, as JSON.
    """

    date: str = ""
    description: str = ""
    instrument: str = ""
    objective: ObjectiveFacts | None = None
    channels: tuple[ChannelFacts, ...] = ()
    planes: tuple[PlaneFacts, ...] = ()
    times: tuple[float, ...] = ()
    position: tuple[float | None, float | None, float | None] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found

    def __bool__(self) -> bool:
        """Tell whether anything is known."""
        return self != Acquisition()

    def to_json(self) -> dict[str, Any]:
        """Return everything that is known as JSON; planes as columns, which take a tenth of the room.

        Examples
        --------
        >>> Acquisition(date="2026-01-01", channels=(ChannelFacts(name="GFP", emission=509.0),)).to_json()
        {'date': '2026-01-01', 'channels': [{'name': 'GFP', 'emission': 509.0}]}
        """
        out = _known(self, ("date", "description", "instrument"))
        if self.objective is not None:
            out["objective"] = _known(self.objective)
        if self.channels:
            out["channels"] = [_known(c) for c in self.channels]
        if self.planes:
            out["planes"] = _columns(self.planes)
        if self.times:
            out["times"] = list(self.times)
        return out | _known(self, ("position", "extra"))

    def carried(self) -> dict[str, Any]:
        """Return what belongs into `Bag.extra`: nothing when nothing is known."""
        return {ACQUISITION: self.to_json()} if self else {}

    def labels(self) -> tuple[str, ...]:
        """Return a name for every channel, for `Axis.labels`; empty when one has none."""
        names = tuple(c.name or c.fluor for c in self.channels)
        return names if all(names) else ()

    def displays(self, known: Sequence[ChannelDisplay] = ()) -> tuple[ChannelDisplay, ...]:
        """Return how channels are to be shown: names and colours from here where `known` says nothing."""
        out = []
        for i in range(max(len(known), len(self.channels))):
            shown = known[i] if i < len(known) else ChannelDisplay()
            facts = self.channels[i] if i < len(self.channels) else ChannelFacts()
            label = shown.label or facts.name or facts.fluor or None
            out.append(replace(shown, label=label, color=shown.color or facts.color))
        return tuple(out) if any(c != ChannelDisplay() for c in out) else ()


def even_step(times: Iterable[float | None]) -> float | None:
    """Return the step of evenly spaced moments in seconds; None when they are not, or fewer than two.

    Examples
    --------
    >>> even_step([0.0, 2.0, 4.0]), even_step([0.0, 1.0, 4.0])
    (2.0, None)
    """
    found: list[float] = []
    for t in times:
        if t is None or not math.isfinite(t):
            return None
        found.append(t)
    if len(found) < 2:
        return None
    step = (found[-1] - found[0]) / (len(found) - 1)
    even = step > 0 and all(abs(t - found[0] - i * step) <= _EVEN * step for i, t in enumerate(found))
    return float(f"{step:.12g}") if even else None


def acquisition_of(bag: Bag) -> Acquisition:
    """Return what is carried along with an image; empty when nothing is."""
    return parse_acquisition(bag.extra.get(ACQUISITION))


def parse_acquisition(found: Any) -> Acquisition:  # Any: JSON of anybody
    """Return what `Acquisition.to_json` gave; what cannot be read is left out, never refused."""
    if not isinstance(found, Mapping):
        return Acquisition()
    channels, objective, times = found.get("channels"), found.get("objective"), found.get("times")
    moments = [_number(t) for t in times[:_MOST_PLANES]] if isinstance(times, list) else []
    return Acquisition(
        **_parsed(Acquisition, found, ("date", "description", "instrument", "extra")),
        objective=ObjectiveFacts(**_parsed(ObjectiveFacts, objective)) if isinstance(objective, Mapping) else None,
        channels=tuple(
            ChannelFacts(**_parsed(ChannelFacts, c)) if isinstance(c, Mapping) else ChannelFacts()
            for c in (channels[:_MOST_CHANNELS] if isinstance(channels, list) else ())
        ),
        planes=_planes(found.get("planes")),
        times=tuple(t for t in moments if t is not None) if None not in moments else (),
        position=_position(found.get("position")),
    )


# ------------------------------------------------------------------------------------------------------- JSON
def _known(facts: Any, names: Sequence[str] = ()) -> dict[str, Any]:  # Any: one of the classes above
    out = {}
    for name in names or [f.name for f in fields(facts)]:
        value = getattr(facts, name)
        if value not in ("", None, {}, ()):
            out[name] = list(value) if isinstance(value, tuple) else dict(value) if name == "extra" else value
    return out


def _columns(planes: tuple[PlaneFacts, ...]) -> dict[str, list[Any]]:  # Any: numbers and None
    names = list(dict.fromkeys(name for p in planes for name in p.index))
    out: dict[str, list[Any]] = {"axes": names, "index": [[p.index.get(n, 0) for n in names] for p in planes]}
    for name in ("time", "exposure", "position"):
        column = [getattr(p, name) for p in planes]
        if any(v is not None for v in column):
            out[name] = [list(v) if isinstance(v, tuple) else v for v in column]
    return out


def _planes(found: Any) -> tuple[PlaneFacts, ...]:  # Any: JSON
    if not isinstance(found, Mapping):
        return ()
    names, rows = found.get("axes"), found.get("index")
    if not isinstance(names, list) or not isinstance(rows, list) or len(rows) > _MOST_PLANES:
        return ()
    if not all(isinstance(n, str) for n in names):
        return ()
    columns = {k: v for k in ("time", "exposure", "position") if isinstance(v := found.get(k), list)}
    out = []
    for i, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names) or not all(type(n) is int and n >= 0 for n in row):
            continue
        cells = {k: v[i] for k, v in columns.items() if i < len(v)}
        out.append(
            PlaneFacts(
                index=dict(zip(names, row, strict=True)),
                time=_number(cells.get("time")),
                exposure=_number(cells.get("exposure")),
                position=_position(cells.get("position")),
            )
        )
    return tuple(out)


def _position(found: Any) -> tuple[float | None, float | None, float | None] | None:  # Any: JSON
    if not isinstance(found, list) or len(found) != 3:
        return None
    z, y, x = (_number(v) for v in found)
    return None if z is y is x is None else (z, y, x)


def _number(value: Any) -> float | None:  # Any: JSON
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _parsed(kind: type[Any], found: Mapping[str, Any], names: Sequence[str] = ()) -> dict[str, Any]:
    """Return the fields of a class that are there with the right type."""
    out: dict[str, Any] = {}
    for one in fields(kind):
        if (names and one.name not in names) or one.name not in found:
            continue
        value = found[one.name]
        if one.name == "extra":
            out |= {"extra": dict(value)} if isinstance(value, Mapping) else {}
        elif "float" in str(one.type):
            out[one.name] = _number(value)
        elif isinstance(value, str):
            out[one.name] = value
    return out
