"""From the text of an option to its value; what cannot be understood is an InputError naming the option."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, NoReturn

from voxarium.errors import Code, InputError

if TYPE_CHECKING:
    from voxarium.model.box import Box

__all__ = [
    "Region",
    "byte_count",
    "fraction",
    "integers",
    "names",
    "numbers",
    "region",
    "resolve_region",
    "scalar",
    "words",
    "world_box",
]

Region = tuple[tuple[int | None, int | None], ...]

_SIZES: Final = re.compile(r"([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([kmgtp]?i?)b?", re.IGNORECASE)
_PART: Final = re.compile(r"([0-9]+)|([0-9]*):([0-9]*)")
_POWERS: Final = " kmgtp"


def _wrong(option: str, text: str, fix: str) -> NoReturn:
    raise InputError(f"{option} {text!r} cannot be understood", code=Code.ARGUMENT_INVALID, fix=fix)


def integers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Parse ``64`` or ``64,128,128``.

    Examples
    --------
    >>> integers("--chunk", "64,128,128")
    (64, 128, 128)
    """
    if text is None:
        return None
    fix = f"give one whole number for all space axes, or one per axis: {option} 64 or {option} 64,128,128"
    parts = [p.strip() for p in text.split(",")]
    if not all(p.isascii() and p.isdigit() and len(p) < 19 for p in parts):
        _wrong(option, text, fix)
    return tuple(int(p) for p in parts)


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Parse ``8`` or ``40,4.5,4.5``.

    Examples
    --------
    >>> numbers("--voxel-size", "40,4.5,4.5")
    (40.0, 4.5, 4.5)
    """
    if text is None:
        return None
    fix = f"give one number for all space axes, or one per axis: {option} 8 or {option} 40,4.5,4.5"
    try:
        values = tuple(float(p) for p in text.split(","))
    except ValueError:
        _wrong(option, text, fix)
    if not all(math.isfinite(v) for v in values):
        _wrong(option, text, fix)
    return values


def scalar(option: str, text: str | None) -> float | int | None:
    """Parse one number; whole ones stay exact.

    Examples
    --------
    >>> scalar("--fill-value", "18446744073709551615")
    18446744073709551615
    """
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)  # nan and inf are values that voxels can have
    except ValueError:
        _wrong(option, text, f"give one number, such as {option} 0")


def words(given: str | None) -> tuple[str, ...] | None:
    """Return the words of ``sha256,blake3``.

    Examples
    --------
    >>> words("sha256, blake3")
    ('sha256', 'blake3')
    """
    return None if given is None else tuple(part.strip() for part in given.split(","))


def names(option: str, text: str | None) -> tuple[str, ...] | None:
    """Parse ``zyx`` or ``time,z,y,x``.

    Examples
    --------
    >>> names("--axes", "zyx")
    ('z', 'y', 'x')
    """
    if text is None:
        return None
    parts = tuple(p.strip() for p in text.split(",")) if "," in text else tuple(text.strip())
    if not parts or not all(parts):
        _wrong(option, text, f"name every axis in stored order: {option} zyx or {option} time,z,y,x")
    return parts


def fraction(option: str, text: str) -> float:
    """Return a part of a whole: ``1%``, ``0.01``.

    Examples
    --------
    >>> fraction("--sample", "1%"), fraction("--sample", "0.5")
    (0.01, 0.5)
    """
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = 0.0
    if rest or not 0 < value <= 1:
        _wrong(option, text, "give a part above 0, at most 1, such as 1% or 0.01")
    return value


def byte_count(option: str, text: str | None) -> int | None:
    """Parse ``1GB``, ``512MiB`` or a plain number of bytes.

    Examples
    --------
    >>> byte_count("--memory", "1.5GB"), byte_count("--memory", "4kiB")
    (1500000000, 4096)
    """
    if text is None:
        return None
    match = _SIZES.fullmatch(text.strip())
    amount = float(match[1]) if match else 0.0
    if match is None or not 0 < amount < 1e18:
        _wrong(option, text, f"give a positive size, such as {option} 1GB or {option} 512MiB")
    prefix = match[2].lower()
    base = 1024 if prefix.endswith("i") else 1000
    if prefix == "i":
        _wrong(option, text, f"give a size such as {option} 1GB or {option} 512MiB")
    return int(amount * base ** _POWERS.index(prefix[:1] or " "))


def region(option: str, text: str | None) -> Region | None:
    """Parse ``0:64,128:256,:``: start and stop per axis, each of which may be left out.

    One index stands for itself: ``5`` is ``5:6``.

    Examples
    --------
    >>> region("--box", "0:64,:10,5")
    ((0, 64), (None, 10), (5, 6))
    """
    if text is None:
        return None
    fix = f"give start:stop for each axis in stored order, such as {option} 0:64,128:256,128:256"
    bounds: list[tuple[int | None, int | None]] = []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None or len(part) > 40:
            _wrong(option, text, fix)
        if match[1]:
            bounds.append((int(match[1]), int(match[1]) + 1))
            continue
        start, stop = (int(s) if s else None for s in (match[2], match[3]))
        if stop is not None and stop <= (start or 0):
            raise InputError(
                f"{option} {text!r} is empty: {part.strip()} holds no voxel",
                code=Code.ARGUMENT_INVALID,
                fix=f"give a stop behind the start, such as {start or 0}:{(start or 0) + 64}",
            )
        bounds.append((start, stop))
    return tuple(bounds)


def resolve_region(option: str, bounds: Region | None, shape: tuple[int, ...]) -> Box | None:
    """Return the box that a region means for an array of this shape.

    Raises
    ------
    InputError
        If it has another number of axes, or leaves the array.
    """
    from voxarium.model.box import Box

    if bounds is None:
        return None
    if len(bounds) != len(shape):
        raise InputError(
            f"{option} has {len(bounds)} ranges for {len(shape)} axes",
            code=Code.AXES_MISMATCH,
            fix=f"give start:stop for each axis; the shape is {','.join(map(str, shape))}",
        )
    start = tuple(a or 0 for a, _ in bounds)
    stop = tuple(n if b is None else b for (_, b), n in zip(bounds, shape, strict=True))
    if any(b > n or a >= b for a, b, n in zip(start, stop, shape, strict=True)):
        asked = ",".join(f"{a}:{b}" for a, b in zip(start, stop, strict=True))
        raise InputError(
            f"{option} {asked} is not inside the image of shape {','.join(map(str, shape))}",
            code=Code.BOX_OUT_OF_BOUNDS,
            fix=f"stay within {','.join(f'0:{n}' for n in shape)}",
        )
    return Box.from_bounds(start, stop)


def world_box(option: str, text: str | None) -> tuple[tuple[float, float] | None, ...] | None:
    """Parse ``100:200,-5.5:20,:``: a region of the world per space axis; ``:`` for an axis as far as it goes.

    Examples
    --------
    >>> world_box("--box", "100:200,-5.5:20,:")
    ((100.0, 200.0), (-5.5, 20.0), None)
    """
    if text is None:
        return None
    fix = f"give start:stop in world units for each space axis, such as {option} 0:1e4,0:2500,:"
    bounds: list[tuple[float, float] | None] = []
    for part in text.split(","):
        ends = [p.strip() for p in part.split(":")]
        if ends == ["", ""]:
            bounds.append(None)
            continue
        try:
            low, high = map(float, ends)
        except ValueError:
            _wrong(option, text, fix)
        bounds.append((low, high))
    return tuple(bounds)
