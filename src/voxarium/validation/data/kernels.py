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
def _count_votes(fine: Array, at: tuple[int, int], window: tuple[int, int, int], chosen: Array, count: Array) -> int:
    """Count the votes for each voxel of a row; return how many have less than half."""
    wz, wy, wx = window
    size, m = wz * wy * wx, chosen.size
    for x in range(m):
        count[x] = 0
    for j in range(wz * wy):
        row = fine[at[0] * wz + j // wy, at[1] * wy + j % wy]
        for i in range(wx):
            for x in range(m):
                count[x] += row[wx * x + i] == chosen[x]
    few = 0
    for x in range(m):
        few += 2 * count[x] < size
    return few


@kernel
def are_modes(fine: Array, coarse: Array, window: tuple[int, int, int], count: Array) -> bool:
    """Tell whether every coarse voxel has as many votes in its window as any other value.

    `fine` has three axes and whole windows only; `count` is scratch of as many small integers as a row of `coarse`.
    """
    wz, wy, wx = window
    size = wz * wy * wx
    for z in range(coarse.shape[0]):
        for y in range(coarse.shape[1]):
            if _count_votes(fine, (z, y), window, coarse[z, y], count) == 0:
                continue  # with half of the votes each is a mode, whatever the others are
            for x in range(coarse.shape[2]):
                votes = int(count[x])
                if 2 * votes < size and _is_beaten(fine, (z * wz, y * wy, x * wx), window, votes):
                    return False
    return True
