"""N5: a driver of arrays, and reading of strings."""

from __future__ import annotations

from voxarium.formats.n5.driver import N5Driver
from voxarium.formats.n5.strings import read_strings

__all__ = ["N5Driver", "read_strings"]
