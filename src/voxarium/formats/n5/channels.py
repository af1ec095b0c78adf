"""Channels of an image that are arrays of their own, ``c0/s0``, ``c1/s0`` …, as one array with a channel axis.

n5-viewer and BigStitcher export one group of levels per channel. The path of what is joined has ``c*`` in their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, FormatError, NotFoundError
from voxarium.formats.n5.driver import N5Driver
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import IndexCache, ReadableStore, Span
from voxarium.model.sources import declined

__all__ = ["N5ChannelsDriver"]

_MARK: Final = "c*"
_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class _Channels:
    first: ArrayInfo


class N5ChannelsDriver:
    """Reads arrays of one shape and type, one for each channel, as one."""

    name: ClassVar[str] = "n5-channels"
    spec_url: ClassVar[str] = N5Driver.spec_url
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    listed: ClassVar[bool] = False  # a step of the convention around it
    precedence: ClassVar[int] = 60
    _n5: ClassVar[N5Driver] = N5Driver()

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Open the arrays that a path with ``c*`` stands for.

        Raises
        ------
        NotFoundError
            If it has none, or there are no channels.
        FormatError
            If the arrays differ in shape, type or chunks.
        """
        if _MARK not in path.split("/") or "::" in path:
            raise declined(self.name, store, path)
        first = self._n5.open(store, _of(path, 0))
        count = 1
        while count < _MOST:
            try:
                other = self._n5.open(store, _of(path, count))
            except NotFoundError:
                break
            if _likeness(other, self._n5) != _likeness(first, self._n5):
                raise FormatError(
                    f"{_of(path, count)} is {other.dtype} {other.shape} in chunks of {other.chunk_shape}, "
                    f"{_of(path, 0)} is {first.dtype} {first.shape} in chunks of {first.chunk_shape}",
                    code=Code.METADATA_INVALID,
                    fix="open the channels one by one",
                )
            count += 1
        return replace(
            first,
            format=self.name,
            shape=(count, *first.shape),
            chunk_shape=(1, *first.chunk_shape),
            axes=None,
            transform=None,
            details=_Channels(first),
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one chunk, or None when it is absent."""
        inner = Box(box.origin[1:], box.shape[1:])
        found = self._n5.read_chunk(store, _of(path, box.origin[0]), info.details.first, inner)
        return None if found is None else found[np.newaxis]

    def locate(
        self,
        _store: ReadableStore,
        path: str,
        info: ArrayInfo,
        indices: Sequence[tuple[int, ...]],
        _cache: IndexCache,
        /,
    ) -> list[Span | None]:
        """Return where chunks are stored: each is an object of its own."""
        return [Span(self._n5.object_key(_of(path, i[0]), info.details.first, i[1:])) for i in indices]

    def decode(
        self,
        info: ArrayInfo,
        payload: Buffer,
        /,
        *,
        shape: tuple[int, ...] | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return one chunk."""
        cut = None if shape is None else shape[1:]
        found = self._n5.decode(info.details.first, payload, shape=cut, out=None if out is None else out[0])
        return found[np.newaxis]

    def check(self, info: ArrayInfo, payload: Buffer, /) -> None:
        """Raise FormatError for a payload that is cut off."""
        self._n5.check(info.details.first, payload)

    def encoding_key(self, info: ArrayInfo, /) -> object:
        """Return what a decoder of chunks must know. No other array has such chunks: they lack an axis."""
        return (self.name, self._n5.encoding_key(info.details.first))


def _of(path: str, channel: int) -> str:
    return "/".join(f"c{channel}" if part == _MARK else part for part in path.split("/"))


def _likeness(info: ArrayInfo, driver: N5Driver) -> object:
    return info.shape, info.dtype, info.chunk_shape, driver.encoding_key(info)
