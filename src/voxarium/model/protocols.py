"""What a driver must offer; what a store must is in `store_protocols`, and can be had from here too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.model.abilities import Holds
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo, ArraySpec, ImageInfo
from voxarium.model.native import Located, NativeCrew, NativeReads, Span
from voxarium.model.store_protocols import (
    AppendableStore,
    ByteRange,
    FileStore,
    ListableStore,
    ManyStore,
    NativeStore,
    ObjectStat,
    ObjectWriter,
    PartialStore,
    PatchableWriter,
    ProbeStore,
    ReadableStore,
    ResumableStore,
    TaggedStore,
    TimedStore,
    Upload,
    UploadingStore,
    WritableStore,
)
from voxarium.model.transforms import Transform

if TYPE_CHECKING:
    from voxarium.model.flat_array import FlatArray

__all__ = [
    "AppendableStore",
    "ArrayDriver",
    "BatchDriver",
    "ByteRange",
    "FileStore",
    "FlatDriver",
    "ImageDriver",
    "IndexCache",
    "KeyedDriver",
    "ListableStore",
    "ManyStore",
    "NativeDriver",
    "NativeStore",
    "ObjectStat",
    "ObjectWriter",
    "PartialStore",
    "PatchableWriter",
    "PayloadDriver",
    "ProbeStore",
    "ReadableStore",
    "RegionDriver",
    "ResumableStore",
    "ShardLayout",
    "ShardedArrayDriver",
    "SizedDriver",
    "Span",
    "TaggedStore",
    "TimedStore",
    "Upload",
    "UploadingStore",
    "WritableArrayDriver",
    "WritableImageDriver",
    "WritableStore",
]


# -------------------------------------------------------------------------------------------------------- drivers
@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLayout:
    """How a shard is put together: a head, chunks one behind the other, a tail.

    Parameters
    ----------
    head : int
        Bytes before the first chunk; written last, when it is known where the chunks are.
    dense : bool
        True when every slot holds a chunk, also of fill value only or outside the array.
    optional : bool
        True when a dense shard of nothing but fill value need not exist; others need not in any case.
    order : ndarray of int64, shape (slots,), or None
        Slots (positions in C order within a whole shard) in the order in which chunks must stand; None = any.
    """

    head: int = 0
    dense: bool = False
    optional: bool = False
    order: NDArray[np.int64] | None = None


class IndexCache(Protocol):
    """Keeps what drivers parsed of shard indexes. Bounded; thread-safe; entries of changed objects are forgotten."""

    def get(self, store: ReadableStore, key: str, load: Callable[[], object | None], /) -> object | None:
        """Return the parsed index of `key`, calling `load` when it is not known. None means the object is absent."""


@runtime_checkable
class ArrayDriver(Protocol):
    """Knows one container. The least a format needs; see the capabilities below for faster ways."""

    name: ClassVar[str]
    spec_url: ClassVar[str]
    capabilities: ClassVar[frozenset[str]]

    def open(self, store: ReadableStore, path: str, /, **options: Any) -> ArrayInfo:
        """Parse the metadata of the array at `path`; NotFoundError when there is no array of this format.

        `options` are only passed to drivers that declare their names in a class attribute ``options``.
        """

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one chunk (`box` as the grid gives it, clipped to the array), or None when absent."""


@runtime_checkable
class RegionDriver(ArrayDriver, Protocol):
    """A container that reads any region well by itself (memory-mapped files, HDF5)."""

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` (shape of `box`) with the voxels of `box`."""


@runtime_checkable
class FlatDriver(RegionDriver, Protocol):
    """A container whose array is one uncompressed piece of a file. An optimisation only."""

    def flat_layout(self, path: str, info: ArrayInfo, /) -> tuple[str, FlatArray] | None:
        """Return the file's key, and where the voxels are in it; None for an array that is no such piece."""


@runtime_checkable
class SizedDriver(ArrayDriver, Protocol):
    """A container of which several arrays share one file, and that knows what each of them takes."""

    def stored_bytes(self, store: ReadableStore, path: str, info: ArrayInfo, /) -> int | None:
        """Return the bytes of the voxels as stored; None when they are not known without reading them."""


@runtime_checkable
class PayloadDriver(ArrayDriver, Protocol):
    """A container whose chunks are byte spans: lets the core fetch in parallel, coalesce, and pass bytes through."""

    def locate(
        self,
        store: ReadableStore,
        path: str,
        info: ArrayInfo,
        indices: Sequence[tuple[int, ...]],
        cache: IndexCache,
        /,
    ) -> list[Span | None]:
        """Return where each chunk's payload is; None for a chunk the index says is absent."""

    def decode(
        self,
        info: ArrayInfo,
        payload: Buffer,
        /,
        *,
        shape: tuple[int, ...] | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return one chunk, of `info.chunk_shape`, or of `shape` when `info.clipped`, which is then given.

        `out` is scratch of the shape of a whole chunk that may be filled and returned. Raises FormatError
        (ChecksumError) only.
        """

    def encoding_key(self, info: ArrayInfo, /) -> object:
        """Return a hashable description of the chunk encoding.

        Two arrays with equal keys, equal `chunk_shape` and equal `dtype` can exchange payloads byte for byte.
        """


@runtime_checkable
class BatchDriver(PayloadDriver, Protocol):
    """A container that codes many chunks in one call that does not hold the interpreter lock. An optimisation only."""

    def decode_many(
        self,
        info: ArrayInfo,
        payloads: Sequence[Buffer],
        places: NDArray[np.int64],
        scratch: NDArray[Any],
        out: NDArray[Any],
        /,
    ) -> int | None:
        """Decode payloads and put the wanted part of each chunk in its place in `out`.

        `places` has shape (chunks, 3, axes): first voxel within the chunk, first voxel within `out`, number of voxels.
        `scratch` has the shape of a chunk. Returns how many chunks were decoded, all or up to a damaged one; None when
        this array or `out` cannot be handled, and nothing was done.
        """

    def encode_many(
        self, info: ArrayInfo, data: NDArray[Any], places: NDArray[np.int64], scratch: NDArray[Any], /
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
        """Encode chunks of a region, one behind the other.

        `places` has shape (chunks, 2, axes): first voxel within `data`, number of voxels (less than a chunk where the
        array ends). Returns all payloads and the bytes of each, 0 for a chunk of fill value only; or None as above.
        """


@runtime_checkable
class NativeDriver(BatchDriver, Protocol):
    """A container whose chunks are fetched and decoded in one call without the lock. An optimisation only."""

    def locate_many(
        self, store: ReadableStore, path: str, info: ArrayInfo, indices: NDArray[np.int64], cache: IndexCache, /
    ) -> Located:
        """Return where chunks are; `indices` has shape (chunks, axes). The same as `locate`, in arrays."""

    def can_decode_fetched(self, info: ArrayInfo, out: NDArray[Any], chunks: int, /) -> bool:
        """Tell whether `decode_fetched` can put so many chunks of this array into `out`."""

    def decode_fetched(
        self, info: ArrayInfo, reads: NativeReads, box: Box, out: NDArray[Any], crew: NativeCrew, /
    ) -> NDArray[np.uint8]:
        """Fetch chunks, decode them, and put the parts that lie in `box` into `out`, its voxels.

        Returns 1 for each chunk that is done, 0 for one that needs a closer look: absent, damaged, or of unusual form.
        With a judge (`reads.judge`), chunks are put nowhere, and those that it finds good are done.
        """


@runtime_checkable
class WritableArrayDriver(PayloadDriver, Protocol):
    """A container that can be written. Pure: it makes bytes, the engine stores them."""

    def create(self, spec: ArraySpec, /) -> ArrayInfo:
        """Return the metadata of a new array; InputError when the spec cannot be met."""

    def dump(self, path: str, info: ArrayInfo, /) -> dict[str, bytes]:
        """Return the metadata documents of the array by key."""

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a stored object (shard, or chunk when unsharded) by its grid index."""

    def encode(self, info: ArrayInfo, chunk: NDArray[Any], /) -> Buffer:
        """Return the payload of one chunk of exactly `info.chunk_shape`, or cut to the array when `info.clipped`."""


@runtime_checkable
class KeyedDriver(ArrayDriver, Protocol):
    """A container whose stored objects can be told by their keys: which belong to an array, and which are missing."""

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a stored object (shard, or chunk when unsharded) by its grid index."""

    def object_index(self, path: str, info: ArrayInfo, key: str, /) -> tuple[int, ...] | None:
        """Return the grid index of a stored object by its key, also outside the grid; None for any other object.

        The inverse of `object_key`: only a key that `object_key` would make has an index. Called for every key of a
        listing, a million of them: fast, and silent about junk.
        """


@runtime_checkable
class ShardedArrayDriver(WritableArrayDriver, Protocol):
    """A container whose objects can hold many chunks. It names ``shards`` among its capabilities."""

    def shard_layout(self, info: ArrayInfo, /) -> ShardLayout:
        """Return how a shard is put together."""

    def pack_shard(self, info: ArrayInfo, index: tuple[int, ...], table: NDArray[np.uint64], /) -> tuple[bytes, bytes]:
        """Return what stands before and behind the chunks of the shard at grid `index`.

        `table` has shape (slots in C order, 2): byte offset within the object, and length; 2**64 - 1 for both where no
        chunk is. The first part has `ShardLayout.head` bytes.
        """


@runtime_checkable
class ImageDriver(Protocol):
    """Knows one convention on top of containers."""

    name: ClassVar[str]
    spec_url: ClassVar[str]
    capabilities: ClassVar[frozenset[str]]

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Parse the image at `path`; NotFoundError when there is none of this convention.

        `open_array` opens an array by its key in the same store, whatever its container.
        """


@runtime_checkable
class WritableImageDriver(ImageDriver, Protocol):
    """A convention that can be written. Pure: it makes documents, the engine stores them, in order, last."""

    spec_versions: ClassVar[tuple[str, ...]]  # the first is the default
    holds: ClassVar[Holds]  # what it can express; conversion declares the rest lost

    def array_driver(self, spec_version: str, /) -> str:
        """Return the name of the array driver that holds the levels."""

    def level_path(self, level: int, transform: Transform, finest: Transform, /) -> str:
        """Return the path of a level below the image; transforms of it and level 0 map voxel centres to the world."""

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return the names of axes in the order this convention stores them; None when it takes any order."""

    def split(self, target: str, /) -> tuple[str, str]:
        """Return (address of the outermost folder of this convention, path within) of a target; pure.

        The path is empty when an image stands for itself. Otherwise the outer folder holds documents that name the
        image (labels of an image, layers of a dataset): `touched` and `dump` see it.
        """

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when this version cannot hold the image (axes count, order, types)."""

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return the documents of the image by key, the one that makes it an image last.

        `existing` holds the present content of the keys named by `touched`.
        """

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Return keys of documents outside the image that `dump` will update (a listing of labels, say)."""
