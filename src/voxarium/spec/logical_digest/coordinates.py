"""Coordinates in canonical form: metres and seconds, twelve digits, written so that equal ones look equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, canonical_unit

__all__ = ["Coordinates", "coordinates_of"]

_DIGITS: Final = 12
# Every float64 is a decimal number of at most 767 digits; products with a unit's factor stay exact.
_EXACT: Final = Context(prec=1600, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where voxels are.

    Parameters
    ----------
    axes : tuple of (name, type, unit)
        In canonical order.
    matrix : tuple of tuple of str
        One row per axis: world = matrix × index, translation last, as decimal numbers in canonical form.
    """

    axes: tuple[tuple[str, str, str | None], ...]
    matrix: tuple[tuple[str, ...], ...]

    def document(self) -> dict[str, Any]:
        """Return what is hashed, as JSON without fractions."""
        axes = [{"name": name, "type": kind, "unit": unit} for name, kind, unit in self.axes]
        return {"axes": axes, "matrix": [list(row) for row in self.matrix]}


def coordinates_of(
    axes: Sequence[Axis], shape: Sequence[int], matrix: Sequence[Sequence[float]], order: Sequence[int]
) -> Coordinates:
    """Return the coordinates of an image in canonical form.

    Parameters
    ----------
    axes : sequence of Axis
        In stored order; of the array and of the world.
    shape : sequence of int
        In stored order.
    matrix : sequence of rows
        Voxel centre → world in the axes' units, of shape (axes, axes + 1), finite; translation last.
    order : sequence of int
        Canonical order.
    """
    named = [_in_base_units(axes[i], [matrix[i][j] for j in (*order, len(axes))]) for i in order]
    rows = [_rounded(values) for _, _, values in named]
    kept = [i for i, at in enumerate(order) if not _says_nothing(axes[at], shape[at], rows, i)]
    return Coordinates(
        tuple((axes[order[i]].name, axes[order[i]].type, named[i][1]) for i in kept),
        tuple(tuple(_text(rows[i][j]) for j in (*kept, len(order))) for i in kept),
    )


def _in_base_units(axis: Axis, row: Sequence[float]) -> tuple[Axis, str | None, list[Decimal]]:
    """Return the unit in which an axis is stated here, and its row in that unit."""
    exact = [Decimal(v) for v in row]
    if axis.unit is None:
        return axis, None, exact
    unit = canonical_unit(axis.unit)
    tables: tuple[tuple[Mapping[str, float], str], ...] = ((SPACE_UNITS, "meter"), (TIME_UNITS, "second"))
    for table, base in tables:
        if unit in table:
            factor = Decimal(repr(table[unit]))
            return axis, base, [_EXACT.multiply(v, factor) for v in exact]
    return axis, unit, exact


def _rounded(row: Sequence[Decimal]) -> list[Decimal]:
    """Round a row: its factors to twelve digits of the largest, its translation to twelve of the largest of all."""
    largest = max((abs(v) for v in row[:-1]), default=Decimal(0))
    return [*(_round(v, largest) for v in row[:-1]), _round(row[-1], max(largest, abs(row[-1])))]


def _round(value: Decimal, largest: Decimal) -> Decimal:
    if not largest:
        return Decimal(0)
    return value.quantize(Decimal((0, (1,), largest.adjusted() - _DIGITS + 1)), context=_EXACT)


def _says_nothing(axis: Axis, length: int, rows: Sequence[Sequence[Decimal]], at: int) -> bool:
    """Tell whether an axis is there for the sake of a container only: one sample, at 0, not in space."""
    if length != 1 or axis.type == "space":
        return False
    off = [v for j, v in enumerate(rows[at]) if j != at] + [row[at] for i, row in enumerate(rows) if i != at]
    return not any(off)


def _text(value: Decimal) -> str:
    """Write a number as an integer and an exponent of ten: ``8e-9``, ``-125e-2``, ``0``."""
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return "0"
    short = text.rstrip("0")
    return f"{'-' if sign else ''}{short}e{int(exponent) + len(text) - len(short)}"
