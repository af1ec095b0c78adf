"""Kernel for the mode of windows: exact, and fast where neighbours carry the same label, as they mostly do.

Voxels are unsigned integers here and are never computed with. A stretch of windows is first only checked for
being uniform; where it is not, windows of two labels are settled all at once, and only the few that are left
one by one.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from voxarium.core.jit import kernel, part
from voxarium.pyramid.kernels_rank import sort
from voxarium.pyramid.windows import RowGrid

__all__ = ["mode"]

Array = NDArray[Any]  # Any: a kernel is compiled per dtype
Rule = tuple[Any, Any]  # Any: unsigned scalars as wide as a voxel


@part
def _copy_uniform(rows: RowGrid, start: int, q: Array) -> Any:
    # Write each window's first voxel; return 0 when every window holds one value only, as nearly all do.
    src, rel, wx = rows.src, rows.rel, rows.wx
    D, m = q.dtype.type, q.size
    diff = D(0)
    r0 = src[start + rel[0] : start + rel[0] + wx * m]
    if wx == 2 and rel.size == 4:
        r1, r2, r3 = (
            src[start + rel[1] : start + rel[1] + 2 * m],
            src[start + rel[2] : start + rel[2] + 2 * m],
            src[start + rel[3] : start + rel[3] + 2 * m],
        )
        for x in range(m):
            i = 2 * x
            v = r0[i]
            q[x] = v
            near = D((v ^ r0[i + 1]) | (v ^ r1[i]) | (v ^ r1[i + 1]))
            diff = D(diff | near | (v ^ r2[i]) | (v ^ r2[i + 1]) | (v ^ r3[i]) | (v ^ r3[i + 1]))
    elif wx == 2 and rel.size == 2:
        r1 = src[start + rel[1] : start + rel[1] + 2 * m]
        for x in range(m):
            i = 2 * x
            v = r0[i]
            q[x] = v
            diff = D(diff | (v ^ r0[i + 1]) | (v ^ r1[i]) | (v ^ r1[i + 1]))
    else:
        for x in range(m):
            q[x] = r0[wx * x]
        for j in range(rel.size):
            r = src[start + rel[j] : start + rel[j] + wx * m]
            for p in range(wx):
                for x in range(m):
                    diff = D(diff | (r[wx * x + p] ^ q[x]))
    return diff


@part
def _choose(a: Any, b: Any, votes: Any, half: Any, rule: Rule) -> Any:
    # Label a has `votes`, b the rest of twice `half`. Selects keep to a voxel's width; logic on bools widens.
    flip, always = rule
    zero = type(a)(0)
    winner = a if (a ^ flip) < (b ^ flip) else b
    winner = a if votes > half else winner
    winner = b if votes < half else winner
    winner = winner if (b | always) != zero else a
    return winner if (a | always) != zero else b


@part
def _settle_8(rows: RowGrid, start: int, rule: Rule, marks: Array, q: Array) -> Any:
    # Settle windows of one or two labels, all x at once; mark those with a third. Returns 0 when none has.
    src, rel = rows.src, rows.rel
    D, m = q.dtype.type, q.size
    r0, r1 = src[start + rel[0] : start + rel[0] + 2 * m], src[start + rel[1] : start + rel[1] + 2 * m]
    r2, r3 = src[start + rel[2] : start + rel[2] + 2 * m], src[start + rel[3] : start + rel[3] + 2 * m]
    rest = D(0)
    for x in range(m):
        i = 2 * x
        a, c, d, e, f, g, h, b = r0[i], r0[i + 1], r1[i], r1[i + 1], r2[i], r2[i + 1], r3[i], r3[i + 1]
        votes = D(D(c == a) + D(d == a) + D(e == a) + D(f == a) + D(g == a) + D(h == a) + D(b == a) + D(1))
        b = b if b != a else h
        b = b if b != a else g
        b = b if b != a else f
        b = b if b != a else e
        b = b if b != a else d
        b = b if b != a else c
        third = min(D(c ^ a), D(c ^ b)) | min(D(d ^ a), D(d ^ b)) | min(D(e ^ a), D(e ^ b))
        third = D(third | min(D(f ^ a), D(f ^ b)) | min(D(g ^ a), D(g ^ b)) | min(D(h ^ a), D(h ^ b)))
        marks[x] = third
        rest = D(rest | third)
        q[x] = _choose(a, b, votes, D(4), rule)
    return rest


@part
def _settle_4_of(a: Any, c: Any, d: Any, e: Any, rule: Rule) -> Any:
    D = type(a)
    votes = D(D(c == a) + D(d == a) + D(e == a) + D(1))
    b = e if e != a else d
    b = b if b != a else c
    third = D(min(D(c ^ a), D(c ^ b)) | min(D(d ^ a), D(d ^ b)))
    return _choose(a, b, votes, D(2), rule), third


@part
def _settle_4(rows: RowGrid, start: int, rule: Rule, marks: Array, q: Array) -> Any:
    # Windows of two rows of two, or of four rows of one.
    src, rel = rows.src, rows.rel
    D, m = q.dtype.type, q.size
    rest = D(0)
    if rel.size == 2:
        r0, r1 = src[start + rel[0] : start + rel[0] + 2 * m], src[start + rel[1] : start + rel[1] + 2 * m]
        for x in range(m):
            i = 2 * x
            q[x], third = _settle_4_of(r0[i], r0[i + 1], r1[i], r1[i + 1], rule)
            marks[x] = third
            rest = D(rest | third)
    else:
        r0, r1 = src[start + rel[0] : start + rel[0] + m], src[start + rel[1] : start + rel[1] + m]
        r2, r3 = src[start + rel[2] : start + rel[2] + m], src[start + rel[3] : start + rel[3] + m]
        for x in range(m):
            q[x], third = _settle_4_of(r0[x], r1[x], r2[x], r3[x], rule)
            marks[x] = third
            rest = D(rest | third)
    return rest


@part
def _settle_2(rows: RowGrid, start: int, rule: Rule, q: Array) -> None:
    # Windows of one row of two, or of two rows of one: a tie, or the same twice.
    src, rel = rows.src, rows.rel
    one, m = q.dtype.type(1), q.size
    if rel.size == 1:
        r0 = src[start : start + 2 * m]
        for x in range(m):
            q[x] = _choose(r0[2 * x], r0[2 * x + 1], one, one, rule)
    else:
        r0, r1 = src[start + rel[0] : start + rel[0] + m], src[start + rel[1] : start + rel[1] + m]
        for x in range(m):
            q[x] = _choose(r0[x], r1[x], one, one, rule)


@part
def _winner(column: Array, n: int, rule: Rule) -> Any:
    # Count and remove one label after another until those left cannot win; sort when there are many.
    flip, always = rule
    D = column.dtype.type
    best, most, rounds = column[0], 0, 0
    while n > 0 and n >= most:
        if rounds == 16:
            sort(column, n)
        label, left = column[n - 1], n
        if rounds < 16:
            left = 0
            for i in range(n):
                v = column[i]
                column[left] = v
                left += v != label
        else:
            while left > 0 and column[left - 1] == label:
                left -= 1
        count = n - left if (label | always) != D(0) else 0
        if count > most or (count == most and (label ^ flip) < (best ^ flip)):
            best, most = label, count
        n = left
        rounds += 1
    return best


@part
def _settle_any(rows: RowGrid, start: int, rule: Rule, scratch: tuple[Array, Array], q: Array) -> None:
    # Settle the marked windows one by one. q holds the value of those that are uniform.
    src, rel, wx = rows.src, rows.rel, rows.wx
    marks, column = scratch
    D = q.dtype.type
    for x in range(q.size):
        if marks[x] == D(0):
            continue
        diff = D(0)
        for j in range(rel.size):
            o = start + rel[j] + wx * x
            for p in range(wx):
                v = src[o + p]
                column[j * wx + p] = v
                diff = D(diff | (v ^ q[x]))
        if diff != D(0):
            q[x] = _winner(column, rel.size * wx, rule)


@kernel
def mode(rows: RowGrid, rule: Rule, marks: Array, column: Array) -> None:
    """Most frequent voxel of each window; of several, the smallest.

    `rule` is (flip, always): `flip` is the sign bit for signed voxels, else 0; zeros abstain when `always` is
    0, unless the whole window is zero, and vote when it is not. `marks` is scratch, whose length is how many
    windows are looked at together; `column` is scratch for one window.
    """
    dst, grid, rel, wx = rows.dst, rows.grid, rows.rel, rows.wx
    D = dst.dtype.type
    step = marks.size
    for i0 in range(grid[0]):
        for i1 in range(grid[1]):
            for i2 in range(grid[2]):
                s = i0 * grid[4] + i1 * grid[5] + i2 * grid[6]
                d = i0 * grid[7] + i1 * grid[8] + i2 * grid[9]
                for x0 in range(0, grid[3], step):
                    m, start = min(step, grid[3] - x0), s + wx * x0
                    q = dst[d + x0 : d + x0 + m]
                    if rel.size * wx == 2:
                        _settle_2(rows, start, rule, q)
                        continue
                    rest = _copy_uniform(rows, start, q)
                    if rest == D(0):
                        continue
                    if rel.size == 4 and wx == 2:
                        rest = _settle_8(rows, start, rule, marks, q)
                    elif rel.size * wx == 4 and wx <= 2:
                        rest = _settle_4(rows, start, rule, marks, q)
                    else:
                        marks[:m] = D(1)
                    if rest != D(0):
                        _settle_any(rows, start, rule, (marks, column), q)
