"""What a user may choose about a copy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from voxarium.errors import Code, InputError, NotFoundError

__all__ = ["CopyOptions", "chosen_levels"]

_LEVELS: Final = re.compile(r"([0-9]{0,4})(:?)([0-9]{0,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """What is copied, and how.

    Parameters
    ----------
    images : tuple of str
        Only these members of a dataset, by name or path.
    levels : str
        Only these levels of images and of the labels below them: ``2``, ``1:`` (from 1 on), ``:3``, ``0,2``. Empty =
        all.
    box : tuple of (start, stop) or None
        Only stored objects that hold voxels of this region, in voxels of level 0 of the whole image; None for a bound =
        as far as the image goes.
    manifest : str or None
        Manifest that says what the source should be; None = the one beside it, if there is one.
    write_manifest : bool
        Write a manifest of the target beside it, from digests taken while copying.
    update : bool
        Complete a copy that is there: what is the same stays, the rest is replaced, unless it was published there.
    limit : int or None
        Bytes per second at most.
    threads : int or None
        None = as many as the stores take requests.
    """

    images: tuple[str, ...] = ()
    levels: str = ""
    box: tuple[tuple[int | None, int | None], ...] | None = None
    manifest: str | None = None
    write_manifest: bool = False
    update: bool = False
    limit: int | None = None
    threads: int | None = None

    @property
    def partial(self) -> bool:
        """Whether less than everything is copied."""
        return bool(self.images or self.levels or self.box is not None)

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises
        ------
        InputError
            If something does not.
        """
        if self.limit is not None and self.limit < 1024:
            raise InputError(
                f"a limit of {self.limit} bytes per second", code=Code.ARGUMENT_INVALID, fix="allow at least 1 kB/s"
            )
        if self.threads is not None and self.threads < 1:
            raise InputError("no threads", code=Code.ARGUMENT_INVALID, fix="give a positive number, or none")
        if self.levels:
            _parsed(self.levels)

    def selection(self) -> dict[str, Any]:
        """Return what is copied, as a job notes it."""
        box = None if self.box is None else [list(b) for b in self.box]
        return {"images": list(self.images), "levels": self.levels, "box": box}


def chosen_levels(text: str, count: int, what: str) -> tuple[int, ...]:
    """Return the levels that a choice means for an image that has `count`.

    Raises
    ------
    InputError
        If it cannot be understood.
    NotFoundError
        If none or not all of them are there.

    Examples
    --------
    >>> chosen_levels("1:", 4, "em"), chosen_levels("0,2", 4, "em"), chosen_levels("", 2, "em")
    ((1, 2, 3), (0, 2), (0, 1))
    """
    if not text:
        return tuple(range(count))
    found: set[int] = set()
    for start, stop in _parsed(text):
        if stop is not None and stop > count and stop - start == 1:
            found.add(start)  # said to be missing below
        found.update(range(start, count if stop is None else min(stop, count)))
    if not found or max(found) >= count:
        raise NotFoundError(
            f"{what} has no level {max(found, default=text)}",
            code=Code.LEVEL_MISSING,
            fix=f"choose from levels 0 to {count - 1}",
        )
    return tuple(sorted(found))


def _parsed(text: str) -> list[tuple[int, int | None]]:
    out: list[tuple[int, int | None]] = []
    for part in text.split(","):
        match = _LEVELS.fullmatch(part.strip())
        if match is None or not (match[1] or match[2]):
            raise InputError(
                f"levels {text!r} cannot be understood",
                code=Code.ARGUMENT_INVALID,
                fix="write them as 2, as 1: (from 1 on), as :3 (before 3), or as 0,2",
            )
        start = int(match[1] or 0)
        stop = (int(match[3]) if match[3] else None) if match[2] else start + 1
        if stop is not None and stop <= start:
            raise InputError(
                f"levels {text!r} hold none", code=Code.ARGUMENT_INVALID, fix="give a stop behind the start"
            )
        out.append((start, stop))
    return out
