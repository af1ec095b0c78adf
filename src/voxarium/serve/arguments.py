"""What requests for voxels say: an image's address, and arguments that are checked before anything is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from voxarium.core.image import Image
from voxarium.errors import InputError, NotFoundError
from voxarium.model.box import Box
from voxarium.serve.addresses import key_of
from voxarium.serve.answers import Answer, failure
from voxarium.serve.site import Site

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = [
    "Arguments",
    "RefusedError",
    "arguments_of",
    "image_at",
    "parse_box",
    "parse_index",
    "position_of",
    "too_large",
]

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_RANGE: Final = re.compile(r"([0-9]{0,18}):([0-9]{0,18})")
_MOST: Final = 32  # arguments


class RefusedError(Exception):
    """A request that is not answered, with the status and the one line that say why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status

    @property
    def answer(self) -> Answer:
        """What is sent."""
        return failure(self.status, str(self))


def position_of(text: str) -> list[float]:
    """Return a position along z, y, x.

    Raises `RefusedError` if it is none.
    """
    parts = text.split(",")
    try:
        found = [float(p) for p in parts] if len(text) < 200 else []
    except ValueError:
        found = []
    if len(found) != 3 or not all(abs(v) < 1e18 for v in found):  # NaN is not below anything
        raise RefusedError(400, "position is three numbers, Z,Y,X in nanometers")
    return found


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a request, each given at most once."""

    given: Mapping[str, str]

    def text(self, name: str, otherwise: str, *, among: Sequence[str] = ()) -> str:
        """Return a word, one of some."""
        found = self.given.get(name, otherwise)
        if among and found not in among:
            raise RefusedError(400, f"{name} is one of {', '.join(among)}")
        return found

    def number(self, name: str, otherwise: int, *, low: int = 0, high: int = 1 << 31) -> int:
        """Return a whole number within limits."""
        found = self.given.get(name)
        if found is None:
            return otherwise
        if _NUMBER.fullmatch(found) is None or not low <= int(found) <= high:
            raise RefusedError(400, f"{name} is a whole number from {low} to {high}")
        return int(found)

    def level(self, image: Image, otherwise: int = 0) -> int:
        """Return a level that the image has."""
        return self.number("level", otherwise, high=len(image.levels) - 1)


def arguments_of(scope: Scope, known: Sequence[str]) -> Arguments:
    """Return the arguments of a request.

    Raises `RefusedError` if one is not known here, or given twice.
    """
    raw = scope["query_string"].decode("latin-1")
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=_MOST)
    except ValueError as error:
        raise RefusedError(400, "the arguments behind ? cannot be understood") from error
    given = dict(pairs)
    if len(given) != len(pairs):
        raise RefusedError(400, "each argument is given once")
    if not set(given) <= set(known):
        raise RefusedError(400, f"arguments are {', '.join(known)}")
    return Arguments(given)


def image_at(site: Site, raw: bytes, parts_behind: int = 0) -> tuple[Image, str, list[str]]:
    """Return the image at a percent-encoded address, the address, and the last parts of the path, if any are wanted.

    Raises `RefusedError` if there is no image.
    """
    address = key_of(raw.rstrip(b"/"), hidden=site.settings.hidden) if raw else None
    parts = address.split("/") if address is not None else []
    if len(parts) <= parts_behind:
        raise RefusedError(404, "not found")
    place = "/".join(parts[: len(parts) - parts_behind])
    try:
        return site.catalogue.image(place), place, parts[len(parts) - parts_behind :]
    except (NotFoundError, InputError) as error:
        raise RefusedError(404, "no image is at this address") from error


def parse_index(text: str, image: Image, level: int) -> tuple[int | None, ...]:
    """Return one index for each axis; None along axes that were left out.

    Raises `RefusedError` if the text does not name a voxel.
    """
    shape = image.level(level).shape
    parts = _spread(text, image, "at")
    if not all(p is None or _NUMBER.fullmatch(p) for p in parts):
        raise RefusedError(400, f"at is one whole number for each of {_names(image)}")
    index = tuple(None if p is None else int(p) for p in parts)
    if not all(i is None or i < n for i, n in zip(index, shape, strict=True)):
        raise RefusedError(400, f"at lies outside the image, which has {_times(shape)} voxels at level {level}")
    return index


def parse_box(text: str | None, image: Image, level: int) -> Box:
    """Return the region that ``0:8,16:32,7`` names, all of a level without any.

    Raises `RefusedError` if it is none, is empty, or reaches out of the image.
    """
    shape = image.level(level).shape
    if text is None:
        return Box.whole(shape)
    bounds = [_bounds(p, n, image) for p, n in zip(_spread(text, image, "box"), shape, strict=True)]
    for (start, stop), length in zip(bounds, shape, strict=True):
        if stop > length:
            raise RefusedError(400, f"box reaches out of the image, which has {_times(shape)} voxels at level {level}")
        if start >= stop:
            raise RefusedError(400, "box is empty: each range begins before it ends")
    return Box.from_bounds(tuple(a for a, _ in bounds), tuple(b for _, b in bounds))


def _bounds(part: str | None, length: int, image: Image) -> tuple[int, int]:
    if part is None:
        return 0, length
    if _NUMBER.fullmatch(part):
        return int(part), int(part) + 1
    match = _RANGE.fullmatch(part)
    if match is None:
        raise RefusedError(400, f"box is one range for each of {_names(image)}, such as 0:8,16:32,7")
    return int(match[1] or 0), int(match[2]) if match[2] else length


def _spread(text: str, image: Image, name: str) -> list[str | None]:
    """Return one part for each axis: all were given, or those of space, the others being taken whole."""
    parts: list[Any] = text.split(",")  # Any: texts, and None where there is none
    space = [i for i, axis in enumerate(image.axes) if axis.type == "space"]
    if len(parts) == image.ndim:
        return parts
    if len(parts) != len(space):
        raise RefusedError(400, f"{name} needs one part for each of {_names(image)}")
    out: list[str | None] = [None] * image.ndim
    for i, part in zip(space, parts, strict=True):
        out[i] = part
    return out


def _names(image: Image) -> str:
    return ", ".join(axis.name for axis in image.axes)


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def too_large(image: Image, level: int, box: Box, most: int) -> None:
    """Refuse to read more than `most` bytes, or chunks of more than four times that.

    Raises `RefusedError`: With status 413.
    """
    array = image.level(level)
    wanted = box.size * array.dtype.itemsize
    info = array.info
    decoded = array.dtype.itemsize
    for origin, stop, chunk in zip(box.origin, box.stop, info.chunk_shape, strict=True):
        chunk = max(1, chunk)
        decoded *= (-(-stop // chunk) - origin // chunk) * chunk
    if info.contiguous:  # any part of it can be read by itself
        decoded = wanted
    if wanted > most or decoded > 4 * most:
        size = wanted if wanted > most else decoded
        raise RefusedError(
            413, f"this takes {size:,} bytes, and at most {most:,} are answered: ask for less, or for a coarser level"
        )
