"""Kernel that confirms modes: cheaper than finding them, since the answer is known."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from voxarium.core.jit import kernel, part

__all__ = ["are_modes"]

Array = NDArray[Any]  # Any: a kernel is compiled per dtype


@part
def _is_beaten(fine: Array, corner: tuple[int, int, int], window: tuple[int, int, int], votes: int) -> bool:
    """Tell whether any voxel of a window has more votes than so many."""
    oz, oy, ox = corner
    wz, wy, wx = window
    size = wz * wy * wx
    for i in range(size):
        value = fine[oz + i // (wy * wx), oy + i // wx % wy, ox + i % wx]
        others = 0
        for j in range(i, size):
            others += fine[oz + j // (wy * wx), oy + j // wx % wy, ox + j % wx] == value
        if others > votes:
            return True
    return False


@part
def _count_votes(fine: Array, corner: tuple[int, int, int], window: tuple[int, int, int], value: Any) -> int:
    """Count the voxels of a window that have a value."""
    oz, oy, ox = corner
    wz, wy, wx = window
    votes = 0
    if wz == 2 and wy == 2 and wx == 2:
        a, b, c, d = fine[oz, oy], fine[oz, oy + 1], fine[oz + 1, oy], fine[oz + 1, oy + 1]
        for x in range(ox, ox + 2):
            votes += int(a[x] == value) + int(b[x] == value) + int(c[x] == value) + int(d[x] == value)
        return votes
    for z in range(oz, oz + wz):
        for y in range(oy, oy + wy):
            for x in range(ox, ox + wx):
                votes += fine[z, y, x] == value
    return votes


@part
def _mark_others(fine: Array, at: tuple[int, int], window: tuple[int, int, int], wide: Array, marks: Array) -> Any:
    """Mark the places of a row where any of the fine rows differs from the coarse one; return 0 where none is.

    `wide` holds the coarse row with every voxel repeated. Plain vector code: nearly all windows of labels are of one.
    """
    wz, wy, _ = window
    n, oz, oy = wide.size, at[0] * wz, at[1] * wy
    found = marks.dtype.type(0)
    if wz == 2 and wy == 2:
        a, b, c, d = fine[oz, oy], fine[oz, oy + 1], fine[oz + 1, oy], fine[oz + 1, oy + 1]
        for x in range(n):
            mark = (a[x] ^ wide[x]) | (b[x] ^ wide[x]) | (c[x] ^ wide[x]) | (d[x] ^ wide[x])
            marks[x] = mark
            found |= mark
        return found
    marks[:] = 0
    for j in range(wz * wy):
        row = fine[oz + j // wy, oy + j % wy]
        for x in range(n):
            marks[x] |= row[x] ^ wide[x]
            found |= marks[x]
    return found


@part
def _repeat(row: Array, wx: int, wide: Array) -> None:
    if wx == 2:
        for x in range(row.size):
            wide[2 * x] = row[x]
            wide[2 * x + 1] = row[x]
        return
    for x in range(row.size):
        for i in range(wx):
            wide[wx * x + i] = row[x]


@kernel
def are_modes(fine: Array, coarse: Array, window: tuple[int, int, int], scratch: Array) -> bool:
    """Tell whether every coarse voxel has as many votes in its window as any other value.

    `fine` has three axes and whole windows only; `scratch` has two rows as long as those of `fine`.
    """
    wz, wy, wx = window
    size = wz * wy * wx
    wide, marks = scratch[0], scratch[1]
    for z in range(coarse.shape[0]):
        for y in range(coarse.shape[1]):
            _repeat(coarse[z, y], wx, wide)
            if _mark_others(fine, (z, y), window, wide, marks) == 0:
                continue
            after = 0  # voxels of the row that were seen
            for i in range(marks.size):
                if marks[i] == 0 or i < after:
                    continue
                x = i >> 1 if wx == 2 else i // wx
                after = wx * (x + 1)
                corner = z * wz, y * wy, x * wx
                votes = _count_votes(fine, corner, window, coarse[z, y, x])
                # With half of the votes it is a mode, whatever the others are.
                if 2 * votes < size and _is_beaten(fine, corner, window, votes):
                    return False
    return True
