"""BossDB channels: ``bossdb://collection/experiment/channel``, cutouts of a REST service as chunks.

Spec: https://docs.theboss.io/docs, see `voxarium.spec.bossdb` and `voxarium.stores.bossdb`. Chunks are the service's
own cuboids. The service answers every cutout inside the coordinate frame, with zeros where nothing was ever written;
an answer "not found" is therefore an error, never an absent chunk. Voxel 0 of the frame has its centre at 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.blosc import Blosc
from voxarium.errors import Code, FormatError, StoreError
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo, Bag, ImageInfo, LevelInfo, SourceRecord
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined
from voxarium.spec.bossdb import BossChannel, BossLevel, cutout_key, parse_channel

__all__ = ["BossArrayDriver", "BossDriver"]

_NAME: Final = "bossdb"
_SPEC: Final = "https://docs.theboss.io/docs"
_SCHEME: Final = "bossdb://"
_BLOSC: Final = Blosc(cname="lz4", clevel=5, shuffle=1, typesize=1)  # payloads say themselves how they were made


class BossArrayDriver:
    """Reads one level of a channel, cuboid by cuboid."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = -20  # costs nothing elsewhere

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Open a level by its number.

        Raises
        ------
        NotFoundError
            If the store is no channel, or has no such level.
        FormatError
            If the service's documents contradict its rules.
        UnsupportedError
            If voxels are of a type that cannot be decoded.
        """
        channel = _channel(store, path, self.name) if path.isdecimal() else None
        found = [level for level in channel.levels if str(level.number) == path] if channel else []
        if channel is None or not found:
            raise declined(self.name, store, path)
        return ArrayInfo(
            format=self.name,
            shape=found[0].shape,
            dtype=channel.dtype,
            chunk_shape=found[0].chunk,
            codecs=("blosc",),
            axes=channel.axes,
            transform=found[0].transform,
            details=found[0],
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`, which need not be a whole chunk.

        Raises
        ------
        StoreError
            If the service does not answer, or denies the channel.
        FormatError
            If the answer is damaged, or has another size than asked for.
        """
        key = f"cutout/{cutout_key(cast(BossLevel, info.details), box)}"
        raw = store.get(key)
        if raw is None:
            raise StoreError(
                f"{store.uri}: the service has no cutout {key}",
                code=Code.STORE_UNREADABLE,
                fix="check that the channel still exists; it is not treated as empty",
            )
        nbytes = box.size * info.dtype.itemsize
        try:
            data = _BLOSC.decode(raw, (nbytes, nbytes))
        except FormatError as error:
            raise type(error)(f"{store.uri}, {key}: {error.message}", code=error.code, fix=error.fix) from error
        return np.frombuffer(data, info.dtype.newbyteorder("<")).astype(info.dtype, copy=False).reshape(box.shape)


class BossDriver:
    """Levels, voxel sizes and kind of a channel."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = -20

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Open a channel.

        Raises
        ------
        NotFoundError
            If the store is no channel.
        StoreError
            If the service denies it.
        FormatError
            If the service's documents contradict its rules.
        """
        channel = None if path else _channel(store, path, self.name)
        if channel is None:
            raise declined(self.name, store, path)
        levels = tuple(
            LevelInfo(path=str(level.number), array=open_array(str(level.number)), transform=level.transform)
            for level in channel.levels
        )
        record = SourceRecord(format=_NAME, spec_version="v1", metadata=channel.metadata, notes=channel.notes)
        return ImageInfo(
            format=_NAME,
            axes=channel.axes,
            levels=levels,
            name=channel.name,
            role="label" if channel.label else "intensity",
            bag=Bag(records=(record,)),
        )


def _channel(store: ReadableStore, path: str, name: str) -> BossChannel:
    if not store.uri.startswith(_SCHEME):
        raise declined(name, store, path)
    documents = [store.get(key) for key in ("channel", "experiment", "frame")]
    channel, experiment, frame = documents
    if channel is None or experiment is None or frame is None:
        raise StoreError(
            f"{store.uri}: the service knows no such channel",
            code=Code.STORE_UNREADABLE,
            fix="check the names of collection, experiment and channel, and that the token may read them",
        )
    return parse_channel(channel, experiment, frame, store.get("levels"))
