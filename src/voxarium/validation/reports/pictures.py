"""Pictures of reports, as SVG."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLORS", "map_picture"]

_SIDE: Final = 320  # pixels
_CELLS: Final = 64  # along a side; more objects share a cell, which shows the worst of them
# By state, the worst last: what an object map holds (see `voxarium.validation.census`).
COLORS: Final = {0: "#b0b7bd55", 1: "#3f9d6b", 2: "#e0a100", 3: "#d9480f", 4: "#c0392b", 5: "#8e1b3d"}


def map_picture(states: NDArray[np.uint8]) -> str:
    """Return a map of the stored objects of an array, seen along its first axes: rows and columns are the last two.

    Parameters
    ----------
    states : ndarray of uint8, shape of the grid of objects
        0 absent, 1 present, larger numbers for what is wrong, the worse the larger.
    """
    flat = _flattened(np.asarray(states))
    rows, columns = flat.shape
    cell = max(1.0, min(24.0, _SIDE / max(rows, columns)))
    squares = []
    for row in range(rows):
        for column in range(columns):
            color = COLORS.get(int(flat[row, column]), COLORS[5])
            squares.append(
                f'<rect x="{column * cell:.1f}" y="{row * cell:.1f}" width="{cell * 0.92:.1f}" '
                f'height="{cell * 0.92:.1f}" fill="{color}"/>'
            )
    size = f'width="{columns * cell:.0f}" height="{rows * cell:.0f}"'
    label = f'role="img" aria-label="{_words(states)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}><title>{_words(states)}</title>'
    return f"{head}{''.join(squares)}</svg>"


def _flattened(states: NDArray[Any]) -> NDArray[Any]:
    """Return two axes of at most as many cells as are drawn; each shows the worst object behind it."""
    worst = states.reshape((1,) * max(0, 2 - states.ndim) + states.shape)
    while worst.ndim > 2:
        faults = np.where(worst > 1, worst, 0).max(axis=0)
        # Of sound ones, absent shows only where nothing along the axis is present.
        worst = np.maximum(faults, worst.max(axis=0) > 0)
    for axis in (0, 1):
        step = -(-worst.shape[axis] // _CELLS)
        worst = np.maximum.reduceat(worst, np.arange(0, worst.shape[axis], step), axis=axis)
    return worst


def _words(states: NDArray[Any]) -> str:
    total, absent, wrong = states.size, int(np.count_nonzero(states == 0)), int(np.count_nonzero(states > 1))
    return f"{total:,} objects, {absent:,} absent, {wrong:,} faulty"
