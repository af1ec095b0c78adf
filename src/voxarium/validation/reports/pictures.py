"""Pictures of reports, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLORS", "LEGEND", "map_picture", "shift_picture"]

_SIDE: Final = 320  # pixels
_CELLS: Final = 64  # along a side; more objects share a cell, which shows the worst of them
# By `ObjectState`, the worst last; and, below zero, objects of which some are present and some are not.
_SOME: Final = -1
COLORS: Final = {
    0: "#b0b7bd66", _SOME: "#9ccfb4", 1: "#3f9d6b", 2: "#e0a100", 3: "#d9480f", 4: "#c0392b", 5: "#8e1b3d",
}  # fmt: skip
LEGEND: Final = {
    "present": COLORS[1], "some absent": COLORS[_SOME], "absent": COLORS[0], "empty": COLORS[2],
    "misnamed": COLORS[3], "of a wrong size": COLORS[4], "unreadable": COLORS[5],
}  # fmt: skip


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
    shaped = states.reshape((1,) * max(0, 2 - states.ndim) + states.shape)
    stack = shaped.reshape(-1, *shaped.shape[-2:])
    worst, absent = np.where(stack > 1, stack, 0).max(axis=0), (stack == 0).sum(axis=0, dtype=np.int64)
    count = np.full(absent.shape, len(stack), np.int64)
    for axis in (0, 1):
        step = -(-worst.shape[axis] // _CELLS)
        at = np.arange(0, worst.shape[axis], step)
        worst = np.maximum.reduceat(worst, at, axis=axis)
        absent, count = np.add.reduceat(absent, at, axis=axis), np.add.reduceat(count, at, axis=axis)
    sound = np.where(absent == 0, 1, np.where(absent == count, 0, _SOME))
    return np.where(worst > 1, worst, sound)


def _words(states: NDArray[Any]) -> str:
    total, absent, wrong = states.size, int(np.count_nonzero(states == 0)), int(np.count_nonzero(states > 1))
    return f"{total:,} objects, {absent:,} absent, {wrong:,} faulty"


_VOXEL: Final = 64  # pixels that a voxel of any level is wide where levels are compared
_ROW: Final = 26
_MARGIN: Final = 1.5  # voxels: what is further away is drawn there


def shift_picture(levels: Sequence[tuple[str, float]]) -> str:
    """Return the first voxels of each level, each drawn equally wide, against the line where all should begin.

    Parameters
    ----------
    levels : sequence of (str, float)
        Path of a level, and how far it lies from where it should, in its own voxels.
    """
    start = (_MARGIN + 0.1) * _VOXEL
    width, height = start + (3 + _MARGIN) * _VOXEL, _ROW * len(levels) + 4
    drawn = []
    for row, (_, shift) in enumerate(levels):
        color = COLORS[1] if abs(shift) <= 0.01 else COLORS[3]
        left = start + min(max(shift, -_MARGIN), _MARGIN) * _VOXEL
        drawn += [
            f'<rect x="{left + i * _VOXEL:.1f}" y="{row * _ROW + 4}" width="{_VOXEL - 2}" height="{_ROW - 6}" '
            f'fill="{color}"/>'
            for i in range(3)
        ]
    line = f'<path d="M{start:.1f} 0V{height}" stroke="currentColor" stroke-dasharray="3 3"/>'
    words = escape(", ".join(f"{path}: {shift:+.3g}" for path, shift in levels))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" role="img"'
    return f'{head} aria-label="{words}"><title>{words}</title>{"".join(drawn)}{line}</svg>'
