"""Taking values out of an ``info`` as Neuroglancer does: words in any case, whole numbers also as text or ``64.0``."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Any, Final

from voxarium.model.fields import REQUIRED, Fields

__all__ = ["LenientFields", "read_number", "read_whole"]

_WHOLE: Final = re.compile(r"\s*[+-]?[0-9]{1,19}\s*\Z")
_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]{1,25}(?:\.[0-9]{0,25})?(?:[eE][+-]?[0-9]{1,3})?\s*\Z")


def read_whole(value: object) -> int | None:
    """Return a whole number, also one written as text or with a fraction of 0; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None  # infinities and NaN are none
    return int(value) if isinstance(value, str) and _WHOLE.match(value) else None


def read_number(value: object) -> float | None:
    """Return a finite number, also one written as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = float(value) if _NUMBER.match(value) else None
    if not isinstance(value, (int, float)) or not abs(value) <= 1e308:
        return None
    return value if math.isfinite(value) else None


class LenientFields(Fields):
    """Fields of a document that others wrote by hand."""

    __slots__ = ()

    def whole(self, key: str, low: int, high: int, default: int | object = REQUIRED) -> int:
        """Return a whole number within bounds."""
        value = self.raw(key, default)
        if not self.has(key):
            return value if isinstance(value, int) else low
        found = read_whole(value)
        if found is None or not low <= found <= high:
            self.wrong(key, f"an integer from {low} to {high}")
            return low
        return found

    def wholes(self, key: str, low: int, high: int, default: object = REQUIRED) -> tuple[int, int, int]:
        """Return three whole numbers within bounds."""
        value = self.raw(key, default)
        found = self.three(value, low, high)
        if found is None:
            if self.has(key):
                self.wrong(key, f"three integers from {low} to {high}")
            return (low, low, low)
        return found

    @staticmethod
    def three(value: Any, low: int, high: int) -> tuple[int, int, int] | None:  # Any: JSON as found
        """Return three whole numbers within bounds, or None."""
        if not isinstance(value, (list, tuple)) or len(value) != 3:
            return None
        x, y, z = map(read_whole, value)
        if x is None or y is None or z is None or not all(low <= n <= high for n in (x, y, z)):
            return None
        return x, y, z

    def lengths_nm(self, key: str) -> tuple[float, float, float]:
        """Return three positive lengths."""
        value = self.raw(key)
        if isinstance(value, list) and len(value) == 3:
            x, y, z = map(read_number, value)
            # A metre is 1e9; the bounds keep products with voxel indices finite.
            if x is not None and y is not None and z is not None and all(1e-30 <= n <= 1e30 for n in (x, y, z)):
                return x, y, z
        if self.has(key):
            self.wrong(key, "three positive lengths in nanometers")
        return (1.0, 1.0, 1.0)

    def word(self, key: str, options: Collection[str] | None, default: str | object = REQUIRED) -> str:
        """Return a word in lower case, one of a few unless `options` is None."""
        value = self.text(key, default).lower()
        if options is not None and isinstance(self.raw(key, default), str) and value not in options:
            self.wrong(key, " or ".join(repr(o) for o in options))
        return value
