"""How levels lie on each other: factors from lengths and scales, and whether coordinates agree with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from voxarium.core.image import Image
from voxarium.errors import InputError
from voxarium.model.checking import Sheet
from voxarium.model.rules import Finding
from voxarium.pyramid import Method
from voxarium.validation.data.rules import RULES

__all__ = ["Place", "check_alignment", "level_factors", "level_place", "level_shifts", "stated_method"]

_MOST_WINDOW: Final = 1 << 15
_NEAR: Final = 0.01  # of a voxel of the level: nothing that anybody sees
_SYNONYMS: Final = {
    "mean": Method.MEAN, "average": Method.MEAN, "averaging": Method.MEAN, "local mean": Method.MEAN,
    "mode": Method.MODE, "majority": Method.MODE, "stride": Method.STRIDE, "subsample": Method.STRIDE,
    "subsampling": Method.STRIDE, "decimation": Method.STRIDE, "sampling": Method.STRIDE, "median": Method.MEDIAN,
    "min": Method.MIN, "max": Method.MAX, "gaussian": Method.GAUSSIAN,
}  # fmt: skip


def stated_method(image: Image) -> Method | None:
    """Return the downsampling method an image states, as far as it is one that is known here."""
    return _SYNONYMS.get((image.info.method or "").strip().lower())


@dataclass(frozen=True, slots=True)
class Place:
    """Where a level lies on another one, per axis: voxels of the finer one per voxel, and where voxel 0 is in them."""

    ratio: tuple[float, ...]
    moved: tuple[float, ...]


def level_place(image: Image, level: int, finer: int = 0) -> Place | None:
    """Return where the metadata put a level; None when it is not only scaled and moved."""
    try:
        scale, translation = image.scale_translation(level)
        base, origin = image.scale_translation(finer)
    except InputError:
        return None
    if not all(math.isfinite(v) for v in (*scale, *translation, *base, *origin)) or 0.0 in base or 0.0 in scale:
        return None
    ratio = tuple(s / b for s, b in zip(scale, base, strict=True))
    moved = tuple((t - o) / b for t, o, b in zip(translation, origin, base, strict=True))
    return Place(ratio, moved)


def level_factors(image: Image, fine: int, coarse: int) -> tuple[int, ...] | None:
    """Return the factors from one level to a coarser one; None where no whole factors lead there.

    Lengths may be rounded up or down. Where they leave a choice, the stated scale decides, else powers of two.
    """
    shapes = image.level(fine).shape, image.level(coarse).shape
    if len(shapes[0]) != len(shapes[1]):
        return None
    place = level_place(image, coarse, fine)
    found = []
    for axis, (n, m) in enumerate(zip(*shapes, strict=True)):
        factor = _factor(n, m, None if place is None else place.ratio[axis])
        if factor is None:
            return None
        found.append(factor)
    return tuple(found) if 1 < math.prod(found) <= _MOST_WINDOW else None


def _factor(n: int, m: int, ratio: float | None) -> int | None:
    if not 0 < m <= n:
        return None
    least = n // (m + 1) + 1  # beyond that floor(n / f) is more
    most = n * 2 if m == 1 else -(-n // (m - 1)) - 1  # beyond that ceil(n / f) is less
    wanted = round(ratio) if ratio is not None and 0.5 <= ratio <= 1 << 20 else 0
    if least <= wanted <= max(most, wanted if m == 1 else most):
        return wanted
    if n == m:
        return 1
    power = 1 << (least - 1).bit_length()
    return power if power <= most else least if least <= most else None


# ------------------------------------------------------------------------------------------------------ alignment
def check_alignment(image: Image) -> tuple[Finding, ...]:
    """Check shapes, scales, translations and fill values of levels against each other; no voxel is read."""
    sheet = Sheet("", RULES)
    method = stated_method(image)
    for level in range(1, len(image.arrays)):
        sheet.key = image.arrays[level].path
        if _check_order(image, level, sheet):
            place = level_place(image, level)
            if place is not None:
                _check_place(image, level, place, method, sheet)
        _check_fill(image, level, sheet)
    return tuple(sheet.findings)


def level_shifts(image: Image) -> dict[str, tuple[tuple[str, float], ...]]:
    """Return by axis how far each level is from where it should lie, in its own voxels; only axes where one is off."""
    stride = stated_method(image) is Method.STRIDE
    found = {}
    for i, axis in enumerate(image.axes):
        rows = [(image.levels[0].path, 0.0)]
        for level in range(1, len(image.arrays)):
            place = level_place(image, level)
            if place is not None and place.ratio[i] > 0:
                wanted = 0.0 if stride else (place.ratio[i] - 1) / 2
                rows.append((image.levels[level].path, (place.moved[i] - wanted) / place.ratio[i]))
        if any(abs(shift) > _NEAR for _, shift in rows):
            found[axis.name] = tuple(rows)
    return found


def _check_order(image: Image, level: int, sheet: Sheet) -> bool:
    before, shape = image.arrays[level - 1].shape, image.arrays[level].shape
    if len(before) == len(shape) and all(m <= n for n, m in zip(before, shape, strict=True)):
        return True
    sheet.report(
        "DA-010",
        f"level {level} has the lengths {shape}, level {level - 1} before it {before}",
        "list the levels from the finest to the coarsest",
        values=(f"at most {list(before)}", list(shape)),
    )
    return False


def _check_place(image: Image, level: int, place: Place, method: Method | None, sheet: Sheet) -> None:
    finest, shape = image.arrays[0].shape, image.arrays[level].shape
    names = [a.name for a in image.axes]
    wrong = [
        name
        for name, n, m, r in zip(names, finest, shape, place.ratio, strict=True)
        if r <= 0 or abs(m * r - n) > 1.5 * max(r, 1.0) + 1e-6 * n
    ]
    if wrong:
        finer = any(m < n and 0 < r < 0.75 for n, m, r in zip(finest, shape, place.ratio, strict=True))
        swapped = ": the scales of levels, or the levels, are swapped" if finer else ""
        sheet.report(
            "DA-011",
            f"the scale of level {level} along {', '.join(wrong)} is {_few(place.ratio)} voxels of level 0, "
            f"while {shape} voxels stand for {finest}{swapped}",
            "make it the voxel size of level 0 times the factors",
            said=(None, "must" if finer else None),
            values=([n / m for n, m in zip(finest, shape, strict=True)], list(place.ratio)),
        )
        return
    report_moved(image, level, place, method, sheet)


def report_moved(
    image: Image, level: int, place: Place, method: Method | None, sheet: Sheet, *, measured: bool = False
) -> None:
    """Report a level that does not lie where its method puts it; `measured`: the method was found from the voxels."""
    names = [a.name for a in image.axes]
    windows = tuple((r - 1) / 2 for r in place.ratio)
    near = [abs(d - w) <= _NEAR * max(r, 1.0) for d, w, r in zip(place.moved, windows, place.ratio, strict=True)]
    zero = [abs(d) <= _NEAR * max(r, 1.0) for d, r in zip(place.moved, place.ratio, strict=True)]
    if method is None:
        if all(near):
            return
        if all(zero):
            says = f"level {level} begins exactly where level 0 does, which is right for strides only"
            sheet.report("DA-014", says, "state the method, and the translation that goes with it")
            return
    right = zero if method is Method.STRIDE else near
    if all(right):
        return
    expected = (0.0,) * len(windows) if method is Method.STRIDE else windows
    off = [f"{n} by {d - e:g}" for n, d, e, ok in zip(names, place.moved, expected, right, strict=True) if not ok]
    how = "" if method is None else f", as {method} of the voxels {'was measured' if measured else 'is stated'}"
    sheet.report(
        "DA-023" if measured else "DA-012",
        f"level {level} is shifted along {', '.join(off)} voxels of level 0{how}",
        f"move it to {_few(expected)} voxels of level 0",
        values=(list(expected), list(place.moved)),
    )


def _check_fill(image: Image, level: int, sheet: Sheet) -> None:
    first, own = image.arrays[0].info.fill_value, image.arrays[level].info.fill_value
    if first is not None and own is not None and not (first == own or (first != first and own != own)):  # noqa: PLR0124
        sheet.report(
            "DA-013",
            f"absent chunks of level {level} read as {own}, those of level 0 as {first}",
            "give all levels the same fill value",
            values=(str(first), str(own)),
        )


def _few(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"
