"""Anatomical directions of axes: RFC-4, part of 0.9.dev1 and seen in documents of earlier versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["ORIENTATIONS", "clashes"]

_PAIRS: Final = (
    ("left", "right"), ("anterior", "posterior"), ("inferior", "superior"), ("dorsal", "ventral"), ("dorsal", "palmar"),
    ("dorsal", "plantar"), ("rostral", "caudal"), ("cranial", "caudal"), ("proximal", "distal"),
    ("superficial", "deep"), ("apical", "basal"), ("apex", "base"),
)  # fmt: skip

# The 24 values; each stands beside its opposite.
ORIENTATIONS: Final = tuple(f"{a}-to-{b}" for pair in _PAIRS for a, b in (pair, pair[::-1]))


def clashes(values: Iterable[str | None]) -> dict[int, str]:
    """Return the positions of directions that an earlier one has or is opposite to, each with that one (OR-002).

    Examples
    --------
    >>> clashes([None, "left-to-right", "dorsal-to-ventral", "right-to-left"])
    {3: 'left-to-right'}
    """
    seen: dict[frozenset[str], str] = {}
    found: dict[int, str] = {}
    for i, value in enumerate(values):
        if value in ORIENTATIONS:
            ends = frozenset(value.split("-to-"))
            if ends in seen:
                found[i] = seen[ends]
            seen.setdefault(ends, value)
    return found
