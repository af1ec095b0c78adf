"""How the objects of a scale are named: bare, or with the suffix that CloudFiles adds on local disks.

CloudVolume writes ``0-64_0-64_0-64.gz``, and a reader that only knows the bare name finds no chunk, which looks like
background. So the folder is looked at when a scale is opened, and when it holds nothing that could be a chunk, that is
said.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from typing_extensions import Buffer

from voxarium.codecs.brotli import Brotli
from voxarium.codecs.deflate import Gzip
from voxarium.codecs.zstd import Zstd
from voxarium.errors import Code, FormatError, StoreError, UnsupportedError
from voxarium.model.array_specs import join_key
from voxarium.model.codec import BytesBytesCodec, SizeBounds
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.spec.precomputed import ScaleInfo, chunk_name, parse_chunk_name

__all__ = ["BARE", "Naming", "look"]

_MOST_LISTED: Final = 1000  # one page of a listing
_PACKERS: Final[dict[str, BytesBytesCodec]] = {
    ".gz": Gzip(5),
    ".br": Brotli(),
    ".zst": Zstd(1),
    ".zstd": Zstd(1),
}
_MAGIC: Final = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}


@dataclass(frozen=True, slots=True)
class Naming:
    """Suffixes of the objects of a scale.

    Parameters
    ----------
    suffixes : tuple of str
        Those in use; several only where several were found.
    legacy : bool or None
        Whether shards are pairs of ``.index`` and ``.data``; None when that is not known.
    remark : str
        What a user should know.
    """

    suffixes: tuple[str, ...] = ("",)
    legacy: bool | None = None
    remark: str = ""

    @property
    def packing(self) -> tuple[Hashable, ...] | None:
        """What a decoder must know of the packing; None when chunks differ."""
        if len(self.suffixes) > 1:
            return None
        return (_PACKERS[self.suffixes[0]].key,) if self.suffixes[0] else ()

    def key(self, store: ReadableStore, bare: str) -> str | None:
        """Return the key of a chunk whose bare key is given; None when there is none under any suffix."""
        if len(self.suffixes) == 1:
            return bare + self.suffixes[0]
        return next((bare + s for s in self.suffixes if store.stat(bare + s) is not None), None)

    def unpacked(self, payload: Buffer, size: SizeBounds) -> Buffer:
        """Return a payload without the packing that its suffix tells of."""
        suffix = self.suffixes[0]
        if len(self.suffixes) > 1:
            # Nothing but raw chunks can begin like this by chance; their size tells.
            head = bytes(memoryview(payload)[:4])
            fits = size[0] == size[1] == memoryview(payload).nbytes
            suffix = "" if fits else next((s for magic, s in _MAGIC.items() if head.startswith(magic)), "")
        return _PACKERS[suffix].decode(payload, size) if suffix else payload


BARE: Final = Naming()


def look(store: ReadableStore, folder: str, scale: ScaleInfo) -> Naming:
    """Find out how the objects of a scale are named.

    Raises
    ------
    FormatError
        If there are chunks, and none belongs to this scale.
    UnsupportedError
        If they are packed in ways that cannot be told apart.
    """
    listed = _listed(store, folder)
    if scale.sharding is not None:
        return _shards(store, folder, listed)
    found: set[str] = set()
    stranger = ""
    for name in listed or ():
        suffix = _suffix(name, scale)
        if suffix is not None:
            found.add(suffix)
        elif parse_chunk_name(name) is not None:
            stranger = name
    if not found and (listed is None or len(listed) == _MOST_LISTED):
        found = _tried(store, folder, scale)
    if len(found) > 1 and ".br" in found:
        raise UnsupportedError(
            f"{folder} holds chunks named with and without .br, which cannot be told apart",
            code=Code.FEATURE_UNSUPPORTED,
            fix="unpack the .br files (brotli -d) and remove them",
        )
    if found:
        return Naming(tuple(sorted(found)))
    if stranger:
        raise FormatError(
            f"{folder} holds chunks such as {stranger!r}, but none of the scale {scale.key!r} "
            f"(chunks of {scale.chunk_sizes[0]} from {scale.voxel_offset})",
            code=Code.METADATA_INVALID,
            fix="correct voxel_offset, size and chunk_sizes in the info, or unpack the chunks",
        )
    return Naming(remark=_nothing(folder, scale, sure=listed is not None and len(listed) < _MOST_LISTED))


def _nothing(folder: str, scale: ScaleInfo, *, sure: bool) -> str:
    what = "there is no chunk" if sure else "none of the chunks looked for exists"
    return f"{what} of the scale {scale.key!r} in {folder}: every voxel is read as 0"


def _listed(store: ReadableStore, folder: str) -> list[str] | None:
    """Return names of the first objects in a folder; None where listing is not possible."""
    if not isinstance(store, ListableStore):
        return None
    start = f"{folder}/" if folder else ""
    try:
        names = (key.removeprefix(start) for key, _ in store.list(folder))
        return [n for n in islice(names, _MOST_LISTED) if "/" not in n]
    except StoreError:  # whoever may read objects need not be allowed to list them
        return None


def _suffix(name: str, scale: ScaleInfo) -> str | None:
    """Return the suffix of a name when it is one of a chunk of this scale."""
    found = parse_chunk_name(name)
    if found is None or (found[2] and found[2] not in _PACKERS):
        return None
    cell = tuple((a - o) // c for a, o, c in zip(found[0], scale.voxel_offset, scale.chunk, strict=True))
    if not all(0 <= i < n for i, n in zip(cell, scale.grid, strict=True)):
        return None
    return found[2] if chunk_name(cell, scale.chunk, scale.voxel_offset, scale.size) + found[2] == name else None


def _cells(scale: ScaleInfo) -> Iterator[tuple[int, int, int]]:
    """Yield cells that probably hold something: the middle first, corners are often background."""
    x, y, z = scale.grid
    for part in (2, 4, 3):
        yield x // part, y // part, z // part
    yield 0, 0, 0
    yield x - 1, y - 1, z - 1


def _tried(store: ReadableStore, folder: str, scale: ScaleInfo) -> set[str]:
    for cell in dict.fromkeys(_cells(scale)):
        bare = join_key(folder, chunk_name(cell, scale.chunk, scale.voxel_offset, scale.size))
        for suffix in ("", *_PACKERS):
            if store.stat(bare + suffix) is not None:
                return {suffix}
    return set()


def _shards(store: ReadableStore, folder: str, listed: list[str] | None) -> Naming:
    if listed is None or len(listed) == _MOST_LISTED:
        return BARE
    shards = any(n.endswith(".shard") for n in listed)
    legacy = any(n.endswith(".index") for n in listed)
    if shards or legacy:
        return Naming(legacy=None if shards and legacy else legacy)
    return Naming(legacy=False, remark=f"there is no shard in {folder}: every voxel is read as 0")
