"""Names of the files of a stack: which are images, are they of one kind, which numbers are left out."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from voxarium.errors import Code, InputError

__all__ = ["IMAGE_SUFFIXES", "kind_of", "missing_numbers", "one_kind"]

_KINDS: Final = {
    ".tif": "tiff", ".tiff": "tiff", ".btf": "tiff", ".tf8": "tiff", ".png": "png", ".jpg": "jpeg",
    ".jpeg": "jpeg", ".bmp": "bmp", ".webp": "webp", ".pgm": "pgm", ".ppm": "pgm",
    ".jp2": "jpeg2000", ".j2k": "jpeg2000", ".jpx": "jpeg2000", ".avif": "avif",
}  # fmt: skip
IMAGE_SUFFIXES: Final = tuple(_KINDS)
_NUMBER: Final = re.compile(r"[0-9]+")
_MOST_MISSING: Final = 100


def kind_of(name: str) -> str | None:
    """Return the image format that a file name promises; None when it promises none."""
    _, dot, suffix = name.lower().rpartition(".")
    return _KINDS.get(dot + suffix)


def one_kind(names: Sequence[str], where: str) -> list[str]:
    """Return the images among `names`; they must be of one format.

    Raises
    ------
    InputError
        If there are several formats.
    """
    images = [n for n in names if not n.startswith((".", "~")) and kind_of(n) is not None]
    counts = Counter(n.rpartition(".")[2] for n in images)
    if len({kind_of(n) for n in images}) <= 1:
        return images
    listed = ", ".join(f"{n} x .{suffix}" for suffix, n in counts.most_common())
    raise InputError(
        f"{where} mixes images of several formats: {listed}",
        code=Code.SLICE_MISMATCH,
        fix=f"choose one with a glob, such as {where.rstrip('/')}/*.{counts.most_common(1)[0][0]}",
    )


def missing_numbers(names: Sequence[str]) -> list[int]:
    """Return numbers that a sequence of file names leaves out, if one number changes from name to name.

    Examples
    --------
    >>> missing_numbers(["a_001.png", "a_002.png", "a_004.png"])
    [3]
    """
    if len({tuple(_NUMBER.split(n)) for n in names}) != 1 or any(len(n) > 4000 for n in names):
        return []
    rows = [[int(d) for d in _NUMBER.findall(n)] for n in names]
    changing = [column for column in zip(*rows, strict=True) if len(set(column)) > 1]
    if len(changing) != 1:
        return []
    numbers = sorted(set(changing[0]))
    step = min(b - a for a, b in itertools.pairwise(numbers))
    absent: list[int] = []
    for a, b in itertools.pairwise(numbers):
        absent.extend(range(a + step, min(b, a + step * (_MOST_MISSING + 1)), step))
        if len(absent) >= _MOST_MISSING:
            break
    return absent[:_MOST_MISSING]
