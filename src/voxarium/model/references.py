"""Arrays whose stored chunks a reader of another format can use where they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from voxarium.errors import Code, UnsupportedError
from voxarium.model.flat_array import FlatArray, whole_slabs
from voxarium.model.image import ArrayInfo
from voxarium.model.native import Span
from voxarium.model.protocols import ArrayDriver, ReadableStore, WritableArrayDriver

__all__ = ["Referable", "ReferableDriver", "ReferringDriver", "flat_chunks", "flat_referable", "not_referable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Referable:
    """How to decode the stored chunks of an array, in numcodecs' words.

    Parameters
    ----------
    chunk_shape : tuple of int
        Voxels of a chunk; chunks at the end of an axis reach beyond the array.
    dtype : numpy.dtype
        With its byte order.
    order : str
        ``C``: the last axis runs fastest within a chunk; ``F``: the first.
    filters, compressor
        numcodecs configurations in encoding order; the compressor is the last step.
    """

    chunk_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"] = "C"
    filters: tuple[Mapping[str, Any], ...] = ()  # Any: JSON
    compressor: Mapping[str, Any] | None = None  # Any: JSON


@runtime_checkable
class ReferableDriver(ArrayDriver, Protocol):
    """A container whose chunks can be referred to."""

    def referable(self, info: ArrayInfo, /) -> Referable:
        """Return how others decode the chunks; UnsupportedError when no other reader could."""

    def stored_chunks(
        self, store: ReadableStore, path: str, info: ArrayInfo, /
    ) -> Iterator[tuple[tuple[int, ...], Span | None]]:
        """Yield (index in the grid of `Referable.chunk_shape`, where its bytes are) of chunks that are there.

        None instead of a span: the stored bytes are not those of a whole chunk, which has to be encoded anew.
        """


@runtime_checkable
class ReferringDriver(WritableArrayDriver, Protocol):
    """A container that can describe chunks which something else has stored."""

    def describe(self, referable: Referable, info: ArrayInfo, /) -> ArrayInfo:
        """Return the metadata of an array like `info` with such chunks."""


def flat_referable(layout: FlatArray) -> Referable:
    """Return how others read pieces of an array that lies in one piece in a file."""
    return Referable(chunk_shape=whole_slabs(layout)[0], dtype=layout.dtype, order=layout.order)


def flat_chunks(layout: FlatArray, key: str) -> Iterator[tuple[tuple[int, ...], Span | None]]:
    """Yield where the pieces are."""
    for index, start, length in whole_slabs(layout)[1]:
        yield index, Span(key, start, length)


def not_referable(what: str, why: str) -> UnsupportedError:
    """Return the error for chunks that cannot be referred to."""
    return UnsupportedError(
        f"{what} cannot be presented without copying: {why}",
        code=Code.FEATURE_UNSUPPORTED,
        fix="copy it with voxarium convert",
    )
