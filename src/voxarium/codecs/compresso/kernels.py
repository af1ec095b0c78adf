"""Compiled loops of `compresso`. Nothing here trusts the bytes: every place is checked before it is used.

Voxels are flat, x fastest. An edge is a voxel that differs from the next one along x or y (or z, in three dimensions).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

DONE: Final = 0
WINDOWS_WRONG: Final = 1
IDS_WRONG: Final = 2
LOCATIONS_WRONG: Final = 3
LOCATION_OUTSIDE: Final = 4

# What a location may say instead of a label: copy the voxel left, right, above, below, of the previous or next slice;
# or: the label comes next, as it is. Other labels are stored plus the number of these.
# All of one unsigned type, since others would meet in floating point.
_LITERAL: Final = np.uint64(6)
_CODES: Final = np.uint64(7)
_ONE: Final = np.uint64(1)


def _compiled(function: Any) -> Any:
    """Compile a function on its first call: without the lock, kept on disk between runs where that is possible."""
    try:
        return njit(nogil=True, cache=True, boundscheck=False)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(nogil=True, boundscheck=False)(function)


@_compiled
def _block_edges(edges, value, first, shape, steps):  # type: ignore[no-untyped-def]  # compiled
    """Set the edges of one window, whose first voxel is (z, y, x)."""
    nz, ny, nx = shape
    bit = 0
    for z in range(first[0], first[0] + steps[0]):
        for y in range(first[1], first[1] + steps[1]):
            row = (z * ny + y) * nx
            for x in range(first[2], first[2] + steps[2]):
                if z < nz and y < ny and x < nx and (value >> np.uint64(bit)) & _ONE:
                    edges[row + x] = 1
                bit += 1


@_compiled
def decode_edges(codes, values, edges, shape, steps):  # type: ignore[no-untyped-def]  # compiled
    """Set `edges` (zeros) from run-length coded numbers of windows."""
    grid = (
        (shape[0] + steps[0] - 1) // steps[0],
        (shape[1] + steps[1] - 1) // steps[1],
        (shape[2] + steps[2] - 1) // steps[2],
    )
    windows = np.zeros(grid[0] * grid[1] * grid[2], np.uint64)
    at = 0
    for code in codes:
        number = code >> _ONE
        if code & _ONE:
            if number > np.uint64(len(windows) - at):
                return WINDOWS_WRONG
            at += np.int64(number)
        else:
            if at >= len(windows):
                return WINDOWS_WRONG
            windows[at] = number
            at += 1
    if at != len(windows):
        return WINDOWS_WRONG
    at = 0
    for z in range(grid[0]):
        for y in range(grid[1]):
            for x in range(grid[2]):
                number = windows[at]
                at += 1
                if number >= np.uint64(len(values)):
                    return WINDOWS_WRONG
                if values[number]:
                    _block_edges(edges, values[number], (z * steps[0], y * steps[1], x * steps[2]), shape, steps)
    return DONE


@_compiled
def _root(parents, label):  # type: ignore[no-untyped-def]  # compiled
    while parents[label] != label:
        parents[label] = parents[parents[label]]
        label = parents[label]
    return label


@_compiled
def _joined(parents, a, b):  # type: ignore[no-untyped-def]  # compiled
    """Return the label of two components that touch: the smaller root."""
    if a == 0 or a == b:
        return b
    if b == 0:
        return a
    a, b = _root(parents, a), _root(parents, b)
    if a < b:
        parents[b] = a
        return a
    parents[a] = b
    return b


@_compiled
def _joined_run(labels, parents, beside, start, end, label):  # type: ignore[no-untyped-def]  # compiled
    """Join a run of voxels that are no edges with those beside it, in another row; return its label, 0 for none."""
    last = np.uint32(0)
    for x in range(end - start):
        other = labels[np.uint64(beside + start + x)]
        if other != last and other != 0:
            label = np.uint32(_joined(parents, other, label))
        last = other
    return label


@_compiled
def _components(edges, labels, parents, shape):  # type: ignore[no-untyped-def]  # compiled
    """Number the components of voxels that are no edges, from 1, in the order in which they begin.

    Fills `labels` and `parents` (one longer); the component of voxel i is ``parents[labels[i]]``. Returns how many.
    """
    nz, ny, nx = shape
    used = 0
    parents[0] = 0
    for line in range(nz * ny):
        row = line * nx
        x = 0
        while x < nx:
            if edges[np.uint64(row + x)]:
                labels[np.uint64(row + x)] = 0
                x += 1
                continue
            start = x
            while x < nx and not edges[np.uint64(row + x)]:
                x += 1
            label = np.uint32(0)
            if line % ny:
                label = _joined_run(labels, parents, row - nx, start, x, label)
            if line >= ny:
                label = _joined_run(labels, parents, row - ny * nx, start, x, label)
            if label == 0:
                used += 1
                label = np.uint32(used)
                parents[label] = label
            for i in range(x - start):
                labels[np.uint64(row + start + i)] = label
    count = 0
    for label in range(1, used + 1):
        if parents[label] == label:
            count += 1
            parents[label] = count
        else:
            # Parents are smaller, so theirs is the final number already.
            parents[label] = parents[parents[label]]
    return count


@_compiled
def _room(shape, flat):  # type: ignore[no-untyped-def]  # compiled
    """Return (slices numbered together, memory for labels, memory for parents)."""
    depth = 1 if flat else shape[0]
    voxels = depth * shape[1] * shape[2]
    return depth, np.empty(voxels, np.uint32), np.empty(voxels + 1, np.uint32)


@_compiled
def _decode_inside(edges, ids, out, shape, flat):  # type: ignore[no-untyped-def]  # compiled
    """Write the label of every component; edges become 0. Returns whether there was one label for each component."""
    depth, labels, parents = _room(shape, flat)
    voxels = len(labels)
    total = 0
    for z in range(0, shape[0], depth):
        start = z * shape[1] * shape[2]
        count = _components(edges[start : start + voxels], labels, parents, (depth, shape[1], shape[2]))
        if total + count > len(ids):
            return False
        part, own = out[start : start + voxels], ids[total : total + count]
        for i in range(voxels):
            number = np.int64(parents[labels[i]]) - 1
            # Not in one expression, whose two types would meet in floating point.
            if number >= 0:
                part[i] = own[number]
            else:
                part[i] = 0
        total += count
    return total == len(ids)


@_compiled
def _neighbour(code, at, z, y, x, shape):  # type: ignore[no-untyped-def]  # compiled
    """Return the voxel that a location code below 6 copies, or -1."""
    nz, ny, nx = shape
    if code == 0 and x > 0:
        return at - 1
    if code == 1 and x < nx - 1:
        return at + 1
    if code == 2 and y > 0:
        return at - nx
    if code == 3 and y < ny - 1:
        return at + nx
    if code == 4 and z > 0:
        return at - ny * nx
    if code == 5 and z < nz - 1:
        return at + ny * nx
    return -1


@_compiled
def _inner_neighbour(edges, at, z, y, x, shape, flat):  # type: ignore[no-untyped-def]  # compiled
    """Return the voxel whose label an edge has for certain, or -1."""
    if x > 0 and not edges[at - 1]:
        return at - 1
    if y > 0 and not edges[at - shape[2]]:
        return at - shape[2]
    if not flat and z > 0 and not edges[at - shape[1] * shape[2]]:
        return at - shape[1] * shape[2]
    return -1


@_compiled
def decode(edges, ids, locations, out, shape, flat):  # type: ignore[no-untyped-def]  # compiled
    """Write all labels. `flat`: components lie within a slice."""
    if not _decode_inside(edges, ids, out, shape, flat):
        return IDS_WRONG
    used = 0
    for z in range(shape[0]):
        for y in range(shape[1]):
            row = (z * shape[1] + y) * shape[2]
            walls = edges[row : row + shape[2]]
            for x in range(shape[2]):
                if not walls[x]:
                    continue
                at = row + x
                source = _inner_neighbour(edges, at, z, y, x, shape, flat)
                if source >= 0:
                    out[at] = out[source]
                    continue
                if used >= len(locations):
                    return LOCATIONS_WRONG
                code = np.uint64(locations[used])
                used += 1
                if code >= _CODES:
                    out[at] = code - _CODES
                elif code == _LITERAL:
                    if used >= len(locations):
                        return LOCATIONS_WRONG
                    out[at] = locations[used]
                    used += 1
                else:
                    source = _neighbour(code, at, z, y, x, shape)
                    if source < 0:
                        return LOCATION_OUTSIDE
                    out[at] = out[source]
    return DONE if used == len(locations) else LOCATIONS_WRONG


# ------------------------------------------------------------------------------------------------ encoding
@_compiled
def find_edges(data, edges, shape):  # type: ignore[no-untyped-def]  # compiled
    """Set `edges` of every slice; return how many there are."""
    nz, ny, nx = shape
    count = 0
    for line in range(nz * ny):
        row = line * nx
        below = line % ny < ny - 1
        for x in range(nx - 1):
            edges[row + x] = data[row + x] != data[row + x + 1]
        edges[row + nx - 1] = 0
        if below:
            for x in range(nx):
                edges[row + x] |= data[row + x] != data[row + x + nx]
        for x in range(nx):
            count += edges[row + x]
    return count


@_compiled
def collect_ids(data, edges, ids, counts, shape):  # type: ignore[no-untyped-def]  # compiled
    """Fill the labels of all components and the number of components of every slice; return how many there are."""
    depth, labels, parents = _room(shape, True)
    voxels = len(labels)
    total = 0
    for z in range(shape[0]):
        start = z * voxels
        count = _components(edges[start : start + voxels], labels, parents, (depth, shape[1], shape[2]))
        if total + count > len(ids):
            larger = np.empty(max(2 * len(ids), total + count), ids.dtype)
            larger[:total] = ids[:total]
            ids = larger
        for i in range(voxels):
            if labels[i]:
                ids[total + parents[labels[i]] - 1] = data[start + i]
        counts[z] = count
        total += count
    return ids[:total]


@_compiled
def collect_locations(data, edges, locations, between, shape, largest):  # type: ignore[no-untyped-def]  # compiled
    """Fill the locations, and how many lie between the begins of slices; return how many there are.

    `largest`: value of the type.
    """
    used = 0
    begin = 0
    for z in range(shape[0]):
        between[z] = used - begin
        begin = used
        for y in range(shape[1]):
            row = (z * shape[1] + y) * shape[2]
            walls = edges[row : row + shape[2]]
            for x in range(shape[2]):
                if not walls[x]:
                    continue
                at = row + x
                if _inner_neighbour(edges, at, z, y, x, shape, True) >= 0:
                    continue
                value = data[at]
                # Left and above are edges too, or one of them had been the inner neighbour.
                if x < shape[2] - 1 and not edges[at + 1] and data[at + 1] == value:
                    locations[used] = 1
                elif y < shape[1] - 1 and not edges[at + shape[2]] and data[at + shape[2]] == value:
                    locations[used] = 3
                elif np.uint64(value) > largest - _CODES:
                    locations[used] = _LITERAL
                    used += 1
                    locations[used] = value
                else:
                    locations[used] = np.uint64(value) + _CODES
                used += 1
    return used


@_compiled
def collect_windows(edges, windows, shape, steps):  # type: ignore[no-untyped-def]  # compiled
    """Fill the windows (zeros) of a chunk."""
    nz, ny, nx = shape
    gy, gx = (ny + steps[1] - 1) // steps[1], (nx + steps[2] - 1) // steps[2]
    for z in range(nz):
        for y in range(ny):
            first = ((z % steps[0]) * steps[1] + y % steps[1]) * steps[2]
            line = (z // steps[0] * gy + y // steps[1]) * gx
            row = (z * ny + y) * nx
            walls = edges[row : row + nx]
            for window in range(gx):
                bits = np.uint64(0)
                for x in range(window * steps[2], min(nx, (window + 1) * steps[2])):
                    bits |= np.uint64(walls[x]) << np.uint64(x - window * steps[2])
                windows[line + window] |= bits << np.uint64(first)


@_compiled
def number_windows(windows, most):  # type: ignore[no-untyped-def]  # compiled
    """Replace windows of up to `most` bits by the number of their value; return the values, ascending."""
    numbers = np.zeros(1 << most, np.int64)
    for window in windows:
        numbers[window] = 1
    values = np.empty(numbers.sum(), np.uint64)
    count = 0
    for value in range(len(numbers)):
        if numbers[value]:
            values[count] = value
            numbers[value] = count
            count += 1
    for i in range(len(windows)):
        windows[i] = numbers[windows[i]]
    return values


@_compiled
def run_lengths(windows, codes, longest):  # type: ignore[no-untyped-def]  # compiled
    """Fill the codes of numbered windows: runs of number 0, other numbers one by one. Returns how many there are."""
    used = 0
    run = 0
    for number in windows:
        if number == 0:
            run += 1
            if run == longest:
                codes[used] = run << 1 | 1
                used += 1
                run = 0
            continue
        if run:
            codes[used] = run << 1 | 1
            used += 1
            run = 0
        codes[used] = number << 1
        used += 1
    if run:
        codes[used] = run << 1 | 1
        used += 1
    return used
