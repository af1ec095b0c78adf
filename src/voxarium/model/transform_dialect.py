"""Transforms in files of their own, and what reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from voxarium.model.axes import CoordinateSystem
from voxarium.model.transforms import Transform

__all__ = ["StatedTransform", "TransformDialect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedTransform:
    """A transform as a file states it.

    Parameters
    ----------
    transform : Transform
        From points of `source` to points of `target`, in C order (z, y, x).
    source, target : CoordinateSystem
        LPS and RAS are world coordinates in millimetres.
    format : str
        Dialect it was read from.
    notes : tuple of str
        What a user should know: points that were left out, where a rotation's centre went.
    """

    transform: Transform
    source: CoordinateSystem
    target: CoordinateSystem
    format: str = ""
    notes: tuple[str, ...] = ()


class TransformDialect(Protocol):
    """One way to write transforms into files. It is offered by the entry point ``voxarium.transform_dialects``."""

    name: ClassVar[str]
    title: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    """Endings of files that are written in this dialect unless another one is named."""

    def claims(self, name: str, raw: bytes, /) -> bool:
        """Tell whether a file is of this dialect; never raises."""

    def parse(self, name: str, raw: bytes, /) -> StatedTransform:
        """Return the transform.

        Raises
        ------
        FormatError
            If the file breaks its specification.
        UnsupportedError
            If it states something that cannot be used, and why.
        """

    def dump(self, name: str, stated: StatedTransform, /) -> bytes:
        """Return the content of a file called `name`.

        Raises
        ------
        UnsupportedError
            If the dialect cannot hold the transform.
        """
