"""What the microscope shows: membranes, cytoplasm, mitochondria, vesicles, synaptic densities and noise."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxarium.testing.specimen.field import Work, open_brick, open_quarter
from voxarium.testing.specimen.lattice import World, kernel, mix, part, position_hash
from voxarium.testing.specimen.window import BRICK, Window

__all__ = ["CLOUD", "Job", "Marks", "Target", "render"]

_MEMBRANE: Final = 1.9  # half width of the dark line between two neurites, in units of 8 nm
CLOUD: Final = 26.0  # radius of the vesicle cloud before a synapse
_MESH: Final = 7.0  # distance of vesicles in the cloud


class Marks(NamedTuple):
    """Synapses near a region."""

    place: NDArray[np.float64]  # (n, 6) point on the membrane in units, direction from pre to post
    sides: NDArray[np.int32]  # (n, 2) neurons pre and post, numbered within the window; -1 when not in it


class Target(NamedTuple):
    """Where to write. Arrays that are not wanted have size 0. Box in voxels."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]
    em: NDArray[np.uint8]
    labels: NDArray[np.int64]  # supervoxel numbers
    neurons: NDArray[np.int64]
    base: tuple[int, int]  # added to the numbers of supervoxels and of neurons
    membrane: float  # voxels nearer to another neurite than this are labelled 0


class Job(NamedTuple):
    """All that is needed to compute one box."""

    world: World
    win: Window
    work: Work
    marks: Marks
    target: Target


class Paper(NamedTuple):
    """Scratch for painting one brick."""

    span: NDArray[np.int64]  # wanted range within the brick: start (3), stop (3)
    shift: NDArray[np.int64]  # index in the brick + shift = index in the target
    coarse: NDArray[np.float32]
    fine: NDArray[np.float32]
    near: NDArray[np.int64]  # synapses that reach the brick
    grey: NDArray[np.float32]


# -------------------------------------------------------------------------------------------------- noise
@kernel
def _spread(a: NDArray[np.float32], n: int) -> None:
    """Move n³ corner values apart, in place, to every other index."""
    for z in range(n - 1, -1, -1):
        for y in range(n - 1, -1, -1):
            for x in range(n - 1, -1, -1):
                a[2 * z, 2 * y, 2 * x] = a[z, y, x]


@kernel
def _double(a: NDArray[np.float32], n: int) -> None:
    """Spread n³ corner values in place to (2 n - 1)³ by linear interpolation."""
    m = 2 * n - 1
    half = np.float32(0.5)
    _spread(a, n)
    for z in range(0, m, 2):
        for y in range(0, m, 2):
            for x in range(1, m, 2):
                a[z, y, x] = (a[z, y, x - 1] + a[z, y, x + 1]) * half
        for y in range(1, m, 2):
            for x in range(m):
                a[z, y, x] = (a[z, y - 1, x] + a[z, y + 1, x]) * half
    for z in range(1, m, 2):
        for i in range(m * m):
            a[z, i // m, i % m] = (a[z - 1, i // m, i % m] + a[z + 1, i // m, i % m]) * half


@kernel
def _add(seed: np.uint64, a: NDArray[np.float32], brick: tuple[int, int, int], n: int, gain: float) -> None:
    """Add independent values to n³ corners; those shared with the next brick are the same there."""
    k = n - 1
    for z in range(n):
        for y in range(n):
            for x in range(n):
                h = position_hash(seed, 30 + n, brick[0] * k + z, brick[1] * k + y, brick[2] * k + x)
                u = part(h, 0) + part(h, 1) + part(h, 2) - 1.5
                a[z, y, x] += np.float32(gain * u)


@kernel
def _grain(
    seed: np.uint64, brick: tuple[int, int, int], coarse: NDArray[np.float32], fine: NDArray[np.float32]
) -> None:
    """Fill (9, 9, 9) smooth noise of wavelengths 8 and 4 voxels, and of 2 voxels."""
    coarse[:] = 0
    fine[:] = 0
    _add(seed, coarse, brick, 2, 0.9)
    _double(coarse, 2)
    _add(seed, coarse, brick, 3, 1.6)
    _double(coarse, 3)
    _double(coarse, 5)
    _add(seed, fine, brick, 5, 2.0)
    _double(fine, 5)


# ------------------------------------------------------------------------------------------------ objects
@kernel
def _vesicle(seed: np.uint64, z: float, y: float, x: float) -> float:
    """Return the change of grey by a vesicle of 40 nm: a dark ring, a pale core, and a mesh of its own."""
    iz = np.floor(z / _MESH)  # layers and rows are shifted at random, or the meshes would be seen
    y += _MESH * part(position_hash(seed, 41, int(iz), 0, 0), 0)
    iy = np.floor(y / _MESH)
    x += _MESH * part(position_hash(seed, 42, int(iz), int(iy), 0), 0)
    ix = np.floor(x / _MESH)
    h = position_hash(seed, 40, int(iz), int(iy), int(ix))
    if part(h, 3) > 0.75:
        return 0.0
    dz = z - (iz + 0.4 + 0.2 * part(h, 0)) * _MESH
    dy = y - (iy + 0.4 + 0.2 * part(h, 1)) * _MESH
    dx = x - (ix + 0.4 + 0.2 * part(h, 2)) * _MESH
    d = np.sqrt(dz * dz + dy * dy + dx * dx)
    if d > 3.3:
        return 0.0
    return 12.0 if d < 1.3 else -34.0


@kernel
def _synapse(seed: np.uint64, mark: NDArray[np.float64], pre: bool, p: tuple[float, float, float], gap: float) -> float:
    """Return the change of grey near a synapse, pre or post side, `gap` away from the membrane."""
    dz, dy, dx = p[0] - mark[0], p[1] - mark[1], p[2] - mark[2]
    axial = dz * mark[3] + dy * mark[4] + dx * mark[5]
    square = dz * dz + dy * dy + dx * dx
    radial = np.sqrt(max(0.0, square - axial * axial))
    if not pre:
        return -50.0 * max(0.0, 1.0 - 0.25 * gap) if radial < 9.0 and -5.0 < axial < 9.0 else 0.0
    bar: float = max(radial - 1.6, -axial - 8.0) if axial > -6.0 else max(radial - 4.6, abs(axial + 7.6) - 1.3)
    if bar < 1.0:
        return -58.0 * min(1.0, 1.2 - bar)
    if square < CLOUD * CLOUD and gap > 4.5:
        return _vesicle(seed, p[0], p[1], p[2])
    return 0.0


@kernel
def _stripes(h: np.uint64, p: tuple[float, float, float]) -> float:
    """Return the phase of the cristae at a point: planes across a random direction."""
    a, b, c = part(h, 0) - 0.5, part(h, 1) - 0.5, part(h, 2) - 0.5
    return np.float64((a * p[0] + b * p[1] + c * p[2]) / (7.0 * np.sqrt(a * a + b * b + c * c + 1e-3)))


@kernel
def _mito_shade(depth: float, phase: float) -> float:
    """Return the grey within a mitochondrion: dark walls and cristae."""
    if depth > 0.84:
        return 82.0
    return 97.0 if phase - np.floor(phase) < 0.45 else 120.0


# ------------------------------------------------------------------------------------------------- stages
@kernel
def _cytoplasm(world: World, win: Window, work: Work, paper: Paper) -> None:
    shade, owner, row = win.shade, win.owner, work.row
    coarse, fine, grey, span = paper.coarse, paper.fine, paper.grey, paper.span
    for z in range(span[0], span[3]):
        for y in range(span[1], span[4]):
            for x in range(span[2], span[5]):
                at = z * 64 + y * 8 + x
                c, f = coarse[z, y, x], fine[z, y, x]
                blob = (np.float32(-0.75) - c - np.float32(0.25) * f) * np.float32(55.0)
                dark = min(np.float32(30.0), max(np.float32(0.0), blob))
                grey[at] = shade[owner[row[at]]] + np.float32(9.0) * c + np.float32(7.5) * f - dark


@kernel
def _mitochondria(world: World, win: Window, work: Work, brick: tuple[int, int, int], paper: Paper) -> None:
    mito, owner, side, supervoxel = win.mito, win.owner, win.side, win.supervoxel
    row, along, axis, wall = work.row, work.along, work.axis, work.depth
    coarse, fine, grey, span = paper.coarse, paper.fine, paper.grey, paper.span
    seed, scale = world.twigs.seed, world.scale
    for z in range(span[0], span[3]):
        for y in range(span[1], span[4]):
            for x in range(span[2], span[5]):
                at = z * 64 + y * 8 + x
                p = owner[row[at]]
                s = along[at] * np.float32(1.18)
                if mito[p] == 0.0 or side[row[at]] == 0 or s >= 1.0:
                    continue
                c = coarse[z, y, x]
                d = axis[at] / (mito[p] * np.sqrt(1.0 - s * s * s) + 0.01)
                d = max(d, wall[at] / 0.74) + 0.03 * c
                if d < 1.0:
                    place = (
                        (brick[0] * 8 + z) * scale[0], (brick[1] * 8 + y) * scale[1],
                        (brick[2] * 8 + x) * scale[2],
                    )  # fmt: skip
                    phase = _stripes(mix(seed ^ np.uint64(supervoxel[p])), place) + 0.2 * c
                    grey[at] = np.float32(_mito_shade(d, phase) + 4.0 * c + 6.0 * fine[z, y, x])


@kernel
def _membranes(gap: NDArray[np.float32], grey: NDArray[np.float32]) -> None:
    for at in range(BRICK**3):
        m = gap[at] * np.float32(1.0 / _MEMBRANE)
        m *= m
        grey[at] -= np.float32(0.82) * (grey[at] - np.float32(74.0)) / (np.float32(1.0) + m * m)


@kernel
def _near_marks(world: World, marks: Marks, brick: tuple[int, int, int], near: NDArray[np.int64]) -> int:
    """List the synapses that can change a voxel of a brick; return how many."""
    n = 0
    for i in range(marks.place.shape[0]):
        inside = True
        for a in range(3):
            low, high = brick[a] * BRICK * world.scale[a], (brick[a] + 1) * BRICK * world.scale[a]
            inside = inside and low - CLOUD <= marks.place[i, a] <= high + CLOUD
        if inside:
            near[n] = i
            n += 1
    return n


@kernel
def _synapses(world: World, work: Work, marks: Marks, brick: tuple[int, int, int], paper: Paper) -> None:
    n = _near_marks(world, marks, brick, paper.near)
    s, span, grey = world.scale, paper.span, paper.grey
    for k in range(n):
        pre, post = marks.sides[paper.near[k]]
        mark = marks.place[paper.near[k]]
        for z in range(span[0], span[3]):
            for y in range(span[1], span[4]):
                for x in range(span[2], span[5]):
                    at = z * 64 + y * 8 + x
                    if work.neuron[at] == pre or work.neuron[at] == post:
                        p = ((brick[0] * 8 + z) * s[0], (brick[1] * 8 + y) * s[1], (brick[2] * 8 + x) * s[2])
                        found = _synapse(world.twigs.seed, mark, work.neuron[at] == pre, p, work.gap[at])
                        grey[at] = np.float32(max(30.0, grey[at] + found))


@kernel
def _expose(seed: np.uint64, em: NDArray[np.uint8], brick: tuple[int, int, int], paper: Paper) -> None:
    """Add shot noise and write the wanted part."""
    grey, span, shift = paper.grey, paper.span, paper.shift
    for z in range(span[0], span[3]):
        for y in range(span[1], span[4]):
            for x in range(span[2], span[5]):
                h = position_hash(seed, 60, brick[0] * 8 + z, brick[1] * 8 + y, brick[2] * 8 + x)
                shot = part(h, 0) + part(h, 1) + part(h, 2) + part(h, 3) - 2.0
                g = grey[z * 64 + y * 8 + x] + 11.0 * shot + 0.5
                em[shift[0] + z, shift[1] + y, shift[2] + x] = np.uint8(min(255.0, max(0.0, g)))


@kernel
def _label(world: World, win: Window, work: Work, target: Target, paper: Paper) -> None:
    row, gap, along, span, shift = work.row, work.gap, work.along, paper.span, paper.shift
    owner, side, supervoxel, neuron = win.owner, win.side, win.supervoxel, win.neuron
    labels, neurons, membrane, base = target.labels, target.neurons, target.membrane, target.base
    last_trunk = 4 * world.trunk_keys
    for z in range(span[0], span[3]):
        for y in range(span[1], span[4]):
            for x in range(span[2], span[5]):
                at = z * 64 + y * 8 + x
                r = row[at]
                n = supervoxel[owner[r]]
                if n <= last_trunk:
                    n += (2 if side[r] > 0 else 0) + (1 if along[at] > 0.5 else 0)
                hidden = gap[at] < membrane
                if labels.size > 0:
                    labels[shift[0] + z, shift[1] + y, shift[2] + x] = 0 if hidden else n + base[0]
                if neurons.size > 0:
                    n = neuron[owner[r]] + base[1]
                    neurons[shift[0] + z, shift[1] + y, shift[2] + x] = 0 if hidden else n


# ------------------------------------------------------------------------------------------------- bricks
@kernel
def _clip(target: Target, brick: tuple[int, int, int], paper: Paper) -> None:
    """Write the wanted range within the brick, and what turns its indices into those of the target."""
    for a in range(3):
        first = brick[a] * BRICK
        paper.span[a] = max(0, target.start[a] - first)
        paper.span[3 + a] = min(BRICK, target.stop[a] - first)
        paper.shift[a] = first - target.start[a]


@kernel
def _wanted(span: NDArray[np.int64], quarter: int) -> bool:
    """Tell whether any voxel of a quarter is asked for."""
    for a in range(3):
        low = ((quarter >> (2 - a)) & 1) * 4
        if span[a] >= low + 4 or span[3 + a] <= low:
            return False
    return True


@kernel
def _render_brick(job: Job, brick: tuple[int, int, int], paper: Paper) -> None:
    world, win, work, target = job.world, job.win, job.work, job.target
    _clip(target, brick, paper)
    pieces = open_brick(world, win, work, brick)
    for quarter in range(8):
        if _wanted(paper.span, quarter):
            open_quarter(win, work, pieces, quarter)
    if target.labels.size > 0 or target.neurons.size > 0:
        _label(world, win, work, target, paper)
    if target.em.size > 0:
        _grain(world.twigs.seed, brick, paper.coarse, paper.fine)
        _cytoplasm(world, win, work, paper)
        _mitochondria(world, win, work, brick, paper)
        _membranes(work.gap, paper.grey)
        _synapses(world, work, job.marks, brick, paper)
        _expose(world.twigs.seed, target.em, brick, paper)


@kernel
def render(job: Job) -> None:
    """Compute every voxel of the target's box."""
    paper = Paper(
        np.zeros(6, np.int64), np.zeros(3, np.int64), np.empty((9, 9, 9), np.float32),
        np.empty((9, 9, 9), np.float32), np.empty(job.marks.place.shape[0] + 1, np.int64),
        np.zeros(BRICK**3, np.float32),
    )  # fmt: skip
    a, b = job.target.start, job.target.stop
    for z in range(a[0] // BRICK, (b[0] - 1) // BRICK + 1):
        for y in range(a[1] // BRICK, (b[1] - 1) // BRICK + 1):
            for x in range(a[2] // BRICK, (b[2] - 1) // BRICK + 1):
                _render_brick(job, (z, y, x), paper)
