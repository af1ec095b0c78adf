"""Compiled loops of `crackle`. Nothing here trusts the bytes: every place is checked before it is used.

Outlines run along the cracks between voxels, from corner to corner. Of each voxel two bits are kept: whether it is one
with its left neighbour and with the one above.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

_LEFT: Final = np.uint8(1)
_ABOVE: Final = np.uint8(2)
_UP, _RIGHT, _DOWN, _NONE = 0, 1, 2, 9


def _compiled(function: Any) -> Any:
    """Compile a function on its first call: without the lock, kept on disk between runs where that is possible."""
    try:
        return njit(nogil=True, cache=True, boundscheck=False)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(nogil=True, boundscheck=False)(function)


@_compiled
def _number(data, at, width, end):  # type: ignore[no-untyped-def]  # compiled
    """Return a little-endian number of up to 8 bytes, or -1 when it ends behind `end` or is absurd."""
    if at < 0 or at + width > end:
        return np.int64(-1)
    value = np.int64(0)
    for i in range(width):
        value |= np.int64(data[at + i]) << (8 * i)
    return value if value >= 0 else np.int64(-1)


@_compiled
def _read_starts(code, shape, widths, starts):  # type: ignore[no-untyped-def]  # compiled
    """Fill the corners where outlines begin, (y, x); return (how many or -1, where the moves begin)."""
    ny, nx = shape
    length = _number(code, 0, 4, len(code))
    end = 4 + length
    if length < 0 or end > len(code):
        return -1, 0
    count = 0
    at = 4
    lines = _number(code, at, widths[0], end)
    at += widths[0]
    y = np.int64(0)
    for _ in range(lines):
        step, columns = _number(code, at, widths[0], end), _number(code, at + widths[0], widths[1], end)
        at += widths[0] + widths[1]
        if step < 0 or columns < 0 or step > ny - y:
            return -1, 0
        y += step
        x = np.int64(0)
        for _ in range(columns):
            step = _number(code, at, widths[1], end)
            at += widths[1]
            if step < 0 or step > nx - x:
                return -1, 0
            x += step
            starts[count, 0] = y
            starts[count, 1] = x
            count += 1
    return (count if lines >= 0 else -1), end


@_compiled
def _unpack(code, start, moves):  # type: ignore[no-untyped-def]  # compiled
    """Fill moves of two bits each, every one relative to the one before; return how many."""
    count = 0
    move = 0
    for at in range(start, len(code)):
        for shift in range(0, 8, 2):
            move = (move + ((code[at] >> shift) & 3)) & 3
            moves[count] = move
            count += 1
    return count


@_compiled
def _unpack_modelled(code, start, model, order, moves):  # type: ignore[no-untyped-def]  # compiled
    """Fill moves that a model of the last `order` moves has packed into one to three bits; return how many."""
    if start >= len(code):
        return 0
    turn = np.int64(code[start] & 3)
    move = turn
    moves[0] = move
    count = 1
    row = turn << (2 * (order - 1))
    bit = 8 * start + 2
    end = 8 * len(code)
    while bit < end:
        rank = 0
        while rank < 3 and bit < end and (code[bit >> 3] >> (bit & 7)) & 1:
            rank += 1
            bit += 1
        if rank < 3:
            bit += 1
        turn = np.int64(model[row, rank])
        move = (move + turn) & 3
        moves[count] = move
        count += 1
        row = (row >> 2) + (turn << (2 * (order - 1)))
    return count


@_compiled
def _step(joined, y, x, move, shape, permitted):  # type: ignore[no-untyped-def]  # compiled
    """Walk along one crack, which parts two voxels, or joins them; return the new corner, y = -1 if outside."""
    ny, nx = shape
    by, bx, bit = y, x, _LEFT
    if move == _UP:
        y -= 1
        by = y
    elif move == _DOWN:
        y += 1
    elif move == _RIGHT:
        x += 1
        bit = _ABOVE
    else:
        x -= 1
        bx = x
        bit = _ABOVE
    if y < 0 or y > ny or x < 0 or x > nx:
        return -1, x
    if by < ny and bx < nx:
        if permitted:
            joined[by * nx + bx] |= bit
        else:
            joined[by * nx + bx] &= ~bit
    return y, x


@_compiled
def _draw(moves, count, starts, number, joined, shape, permitted):  # type: ignore[no-untyped-def]  # compiled
    """Follow all outlines. A move and its opposite together mean: branch here, or this branch ends."""
    waiting = np.empty((count // 2 + 1, 2), np.int64)
    at = 0
    for outline in range(number):
        y, x = starts[outline, 0], starts[outline, 1]
        pending = _NONE
        branches = 0
        while True:
            if at >= count:
                return False
            move = np.int64(moves[at])
            at += 1
            if (move ^ pending) != 2:
                if pending != _NONE:
                    y, x = _step(joined, y, x, pending, shape, permitted)
                    if y < 0:
                        return False
                pending = move
                continue
            pending = _NONE
            if move in (_RIGHT, _DOWN):
                waiting[branches, 0] = y
                waiting[branches, 1] = x
                branches += 1
            elif branches:
                branches -= 1
                y, x = waiting[branches, 0], waiting[branches, 1]
            else:
                break
    return True


@_compiled
def _root(parents, label):  # type: ignore[no-untyped-def]  # compiled
    while parents[label] != label:
        parents[label] = parents[parents[label]]
        label = parents[label]
    return label


@_compiled
def _components(joined, areas, parents, shape):  # type: ignore[no-untyped-def]  # compiled
    """Number the areas of a slice from 0, in the order in which they begin; return how many there are."""
    ny, nx = shape
    used = 0
    at = 0
    for y in range(ny):
        for x in range(nx):
            above = y > 0 and joined[at] & _ABOVE
            if x > 0 and joined[at] & _LEFT:
                label = np.int64(areas[at - 1])
                if above and areas[at - nx] != label:
                    a, b = _root(parents, label), _root(parents, np.int64(areas[at - nx]))
                    label = min(a, b)
                    parents[max(a, b)] = label
            elif above:
                label = np.int64(areas[at - nx])
            else:
                label = used
                parents[label] = label
                used += 1
            areas[at] = label
            at += 1
    count = 0
    for label in range(used):
        if parents[label] == label:
            parents[label] = count
            count += 1
        else:
            # Parents are smaller, so theirs is the final number already.
            parents[label] = parents[parents[label]]
    for i in range(ny * nx):
        areas[i] = parents[areas[i]]
    return count


@_compiled
def decode_slice(code, areas, shape, widths, model, order, permitted):  # type: ignore[no-untyped-def]  # compiled
    """Fill the number of the area of each voxel of a slice; return how many areas there are, or -1.

    Parameters: crack codes; memory; (y, x); bytes of a y and an x; the model and its order, 0 for none; whether
    cracks join.
    """
    joined = np.full(shape[0] * shape[1], 0 if permitted else 3, np.uint8)
    if len(code):
        starts = np.empty((len(code), 2), np.int64)
        number, begin = _read_starts(code, shape, widths, starts)
        if number < 0:
            return -1
        moves = np.empty(8 * len(code) + 1, np.uint8)
        count = _unpack_modelled(code, begin, model, order, moves) if order else _unpack(code, begin, moves)
        if not _draw(moves, count, starts, number, joined, shape, permitted):
            return -1
    return _components(joined, areas, np.empty(shape[0] * shape[1], np.uint32), shape)


@_compiled
def decode_pins(data, at, labels, areas, widths, owners, shape):  # type: ignore[no-untyped-def]  # compiled
    """Fill the number of the label of every area; return whether the pins could be read.

    Parameters: the labels section; where the pins begin; number of labels; area of each voxel, counted over all slices;
    bytes of (a count, an index, a depth, an area); memory, filled with the number of the background; (z, y, x).
    """
    count_width, index_width, depth_width, area_width = widths
    plane = shape[1] * shape[2]
    # Pins win over single areas, so those come first.
    for pinning in range(2):
        place = np.int64(at)
        for label in range(labels):
            pins = _number(data, place, count_width, len(data))
            place += count_width
            if pins < 0 or pins > (len(data) - place) // (index_width + depth_width):
                return False
            index = np.int64(0)
            for i in range(pins if pinning else 0):
                step = _number(data, place + i * index_width, index_width, len(data))
                depth = _number(data, place + pins * index_width + i * depth_width, depth_width, len(data))
                if step < 0 or depth < 0 or step >= len(areas) - index:
                    return False
                index += step
                for voxel in range(index, min(len(areas), index + min(depth, shape[0]) * plane + 1), plane):
                    owners[areas[voxel]] = label
            place += pins * (index_width + depth_width)
            singles = _number(data, place, count_width, len(data))
            place += count_width
            if singles < 0 or singles > (len(data) - place) // area_width:
                return False
            area = np.int64(0)
            for i in range(0 if pinning else singles):
                step = _number(data, place + i * area_width, area_width, len(data))
                if step < 0 or step >= len(owners) - area:
                    return False
                area += step
                owners[area] = label
            place += singles * area_width
    return True
