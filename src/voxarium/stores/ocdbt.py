"""OCDBT databases of TensorStore: any version of one as a read-only store.

See `voxarium.spec.ocdbt` for the format. A version is fixed when it is opened: what others commit later is not seen.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import ClassVar, Final

from typing_extensions import Buffer

from voxarium.codecs.zstd import Zstd
from voxarium.errors import Code, FormatError, InputError, NotFoundError, StoreError, UnsupportedError
from voxarium.model.keys import checked_key, checked_prefix, natural_key, resolve_range
from voxarium.model.protocols import ByteRange, ListableStore, ObjectStat, ReadableStore
from voxarium.model.versioned import StoredVersion, VersionedFolder
from voxarium.spec import ocdbt
from voxarium.spec.ocdbt import Generation, Interior, Leaf, Manifest, Place, Subtree

__all__ = ["OcdbtDriver", "OcdbtStore"]

_MOST_STORED: Final = ocdbt.MOST_DECODED + (1 << 20)  # bytes of a document as stored
_MOST_KEPT: Final = 128 << 20  # bytes that nodes in memory take
_MOST_KEYS: Final = 50_000_000  # in one listing: a few nodes that mention each other could list keys for ever
_ZSTD: Final = Zstd(0)


class _Documents:
    """The documents of a database."""

    def __init__(self, base: ReadableStore) -> None:
        self.base = base

    def where(self, place: Place) -> str:
        """Name a place in messages."""
        return f"{self.base.uri.rstrip('/')}/{place.file.key} at byte {place.start}"

    def manifest(self) -> Manifest:
        """Return the newest manifest."""
        found = self._whole(ocdbt.MANIFEST_KEY)
        if found is None:
            raise NotFoundError(
                f"{self.base.uri} is no OCDBT database: it has no {ocdbt.MANIFEST_KEY}",
                code=Code.METADATA_MISSING,
                fix="check the path",
            )
        if not found.numbered:
            return found
        if not isinstance(self.base, ListableStore):
            raise UnsupportedError(
                f"the versions of {self.base.uri} are in numbered files, and this store cannot list files",
                code=Code.FEATURE_UNSUPPORTED,
                fix="open it by another address, such as that of the object store itself",
            )
        while True:
            names = self.base.list_dir("")[0]
            numbers = {n: name for name in names if (n := ocdbt.numbered_key(name)) is not None}
            if not numbers:
                return found  # nothing was committed yet
            newest = self._whole(numbers[max(numbers)])
            if newest is not None:  # otherwise replaced by a newer one at this moment
                return newest

    def _whole(self, key: str) -> Manifest | None:
        where = f"{self.base.uri.rstrip('/')}/{key}"
        stat = self.base.stat(key)
        if stat is None:
            return None
        if stat.size > _MOST_STORED:
            raise _implausible(where, stat.size)
        data = self.base.get(key)
        return None if data is None else ocdbt.parse_manifest(self._body(data, ocdbt.MANIFEST, where), where)

    def body(self, place: Place, magic: int) -> Buffer:
        """Return the decompressed body of a document in a data file."""
        if place.length > _MOST_STORED:
            raise _implausible(self.where(place), place.length)
        return self._body(self.value(place, [(0, place.length)])[0], magic, self.where(place))

    def _body(self, data: Buffer, magic: int, where: str) -> Buffer:
        compression, body = ocdbt.parse_envelope(data, magic, where)
        if compression == "none":
            return body
        return _ZSTD.decode(body, (0, ocdbt.MOST_DECODED))

    def value(self, place: Place, spans: Sequence[tuple[int, int]]) -> Sequence[Buffer]:
        """Return parts of a place."""
        found = self.base.get_ranges(place.file.key, [ByteRange(place.start + a, b - a) for a, b in spans])
        if found is None:
            raise StoreError(
                f"{self.base.uri} has lost its data file {place.file.key}",
                code=Code.STORE_UNREADABLE,
                fix="restore it from a copy; what is in it is not treated as absent",
            )
        return found

    # -- versions
    def version(self, name: str) -> Generation | None:
        """Return a version; None for the newest when there is none at all."""
        manifest = self.manifest()
        if not name:
            return manifest.generations[-1] if manifest.generations else self._last(manifest.subtrees)
        try:
            wanted = ocdbt.parse_version(name)
        except InputError as error:
            raise NotFoundError(str(error), code=Code.VERSION_MISSING, fix=error.fix) from error
        number = wanted if isinstance(wanted, int) else None
        time = None if isinstance(wanted, int) else ocdbt.parse_commit_time(wanted)
        generations, subtrees = manifest.generations, manifest.subtrees
        while True:
            found = _choose(generations, number, time)
            if found is not None:
                return found
            below = _choose_below(subtrees, number, time)
            if below is None:
                raise NotFoundError(
                    f"{self.base.uri} has no version {name}",
                    code=Code.VERSION_MISSING,
                    fix="`voxarium versions` lists those it has",
                )
            generations, subtrees = self._below(below)

    def _last(self, subtrees: Sequence[Subtree]) -> Generation | None:
        while subtrees:
            generations, subtrees = self._below(subtrees[-1])
            if generations:
                return generations[-1]
        return None

    def _below(self, subtree: Subtree) -> tuple[Sequence[Generation], Sequence[Subtree]]:
        place = subtree.place
        found = ocdbt.parse_version_node(self.body(place, ocdbt.VERSION_NODE), self.where(place), subtree)
        generations = [g for g in found if isinstance(g, Generation)]
        return generations, [s for s in found if isinstance(s, Subtree)]

    def iter_versions(self) -> Iterator[Generation]:
        """Yield all versions, newest first."""
        manifest = self.manifest()
        yield from self._backwards(manifest.generations, manifest.subtrees, 2**64)

    def _backwards(
        self, generations: Sequence[Generation], subtrees: Sequence[Subtree], before: int
    ) -> Iterator[Generation]:
        waiting: list[Subtree] = []
        while True:
            for found in reversed(generations):
                if found.number >= before:
                    raise _disordered(self.base.uri, "versions")
                before = found.number
                yield found
            waiting.extend(subtrees)
            if not waiting:
                return
            generations, subtrees = self._below(waiting.pop())


def _implausible(where: str, size: int) -> FormatError:
    return FormatError(
        f"{where} has {size:,} bytes, which is implausible",
        code=Code.SIZE_IMPLAUSIBLE,
        fix="restore the database from a copy",
    )


def _disordered(where: str, what: str) -> FormatError:
    return FormatError(
        f"{what} of {where} are not in order", code=Code.METADATA_INVALID, fix="restore the database from a copy"
    )


def _choose(generations: Sequence[Generation], number: int | None, time: int | None) -> Generation | None:
    if time is None:
        return next((g for g in generations if g.number == number), None)
    return next((g for g in reversed(generations) if g.time <= time), None)


def _choose_below(subtrees: Sequence[Subtree], number: int | None, time: int | None) -> Subtree | None:
    if number is not None:
        return next((s for s in subtrees if s.last >= number), None)
    return next((s for s in reversed(subtrees) if time is not None and s.first_time <= time), None)


class OcdbtStore:
    """One version of an OCDBT database.

    Keys that are no text, or are not safe, are not listed and cannot be read.

    Parameters
    ----------
    base : ReadableStore
        The folder of the database.
    version : str
        ``v12``, a time such as ``2026-01-31T06:00:00Z`` (the last version before or at it), or empty: the newest.

    Raises
    ------
    NotFoundError
        If there is no database, or no such version.
    FormatError
        If it is broken.
    """

    def __init__(self, base: ReadableStore, version: str = "") -> None:
        self._documents = _Documents(base)
        self._generation = self._documents.version(version)
        self._nodes: OrderedDict[Place, Leaf | Interior] = OrderedDict()
        self._kept = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"OcdbtStore({self.uri!r})"

    @property
    def generation(self) -> Generation | None:
        """The version that is read; None when nothing was ever committed."""
        return self._generation

    @property
    def uri(self) -> str:
        """Address of the version."""
        number = self._generation.number if self._generation else 0
        return f"{self._documents.base.uri.rstrip('/')}@v{number}"

    @property
    def concurrency(self) -> int:
        """How many requests at a time pay off."""
        return self._documents.base.concurrency

    def get(self, key: str, /) -> bytes | None:
        """Return a whole value."""
        found = self._find(key)
        if isinstance(found, Place):
            return bytes(self._documents.value(found, [(0, found.length)])[0])
        return found

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one value."""
        found = self._find(key)
        if found is None:
            return None
        if isinstance(found, Place):
            return self._documents.value(found, [resolve_range(r, found.length) for r in ranges])
        view = memoryview(found)
        return [view[slice(*resolve_range(r, len(found)))] for r in ranges]

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return the size of a value, and where it is: data files do not change."""
        found = self._find(key)
        return None if found is None else _stat(found)

    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) below a folder, sorted by the bytes of the key."""
        start = f"{checked_prefix(prefix)}/".encode() if prefix else b""
        for key, node, i in self._from(start):
            if not key.startswith(start):
                return
            name = _name(key)
            if name is not None:
                yield name, int(node.lengths[i])

    def list_dir(self, prefix: str = "", /) -> tuple[Sequence[str], Sequence[str]]:
        """Return (names of objects, names of folders) directly in a folder."""
        start = f"{checked_prefix(prefix)}/".encode() if prefix else b""
        files: set[str] = set()
        folders: set[str] = set()
        at: bytes | None = start
        while at is not None:
            at = self._names(start, at, files, folders)
        return sorted(files, key=natural_key), sorted(folders, key=natural_key)

    def _names(self, start: bytes, at: bytes, files: set[str], folders: set[str]) -> bytes | None:
        """Take names of a folder until one is a folder; return the first key that can be behind it."""
        for key, _, _ in self._from(at):
            if not key.startswith(start):
                return None
            name, slash, _ = key[len(start) :].partition(b"/")
            text = _name(name)
            if text is not None:
                (folders if slash else files).add(text)
            if slash:
                return start + name + b"0"  # "0" follows "/"
        return None

    # -- the tree
    def _node(self, place: Place, height: int) -> Leaf | Interior:
        with self._lock:
            found = self._nodes.get(place)
            if found is not None:
                self._nodes.move_to_end(place)
        if found is None:
            body = self._documents.body(place, ocdbt.BTREE_NODE)
            found = ocdbt.parse_btree_node(body, self._documents.where(place), place.file.folder, height)
            with self._lock:
                if place not in self._nodes:
                    self._nodes[place] = found
                    self._kept += found.nbytes
                while self._kept > _MOST_KEPT and len(self._nodes) > 1:
                    self._kept -= self._nodes.popitem(last=False)[1].nbytes
        elif getattr(found, "height", 0) != height:  # one node at two heights: a tree that leads into itself
            raise _disordered(self._documents.where(place), "nodes")
        return found

    def _find(self, key: str) -> bytes | Place | None:
        left = checked_key(key).encode()
        if self._generation is None or self._generation.root is None:
            return None
        place, height = self._generation.root, self._generation.height
        while True:
            node = self._node(place, height)
            if isinstance(node, Leaf):
                i = node.position(left)
                return node.value(i) if i >= 0 and node.keys[i] == left else None
            i = node.position(left)
            if i < 0:
                return None
            child = node.child(i)
            if not left.startswith(child.prefix):
                return None
            left, place, height = left[len(child.prefix) :], child.place, height - 1

    def _from(self, start: bytes) -> Iterator[tuple[bytes, Leaf, int]]:
        """Yield (key, leaf, position in it) from the first key that is not before `start`."""
        generation, last, count = self._generation, b"", 0
        if generation is None or generation.root is None:
            return
        waiting = [(generation.root, generation.height, b"", -1)]  # last: position in the node, -1 before it was seen
        while waiting:
            place, height, prefix, i = waiting.pop()
            node = self._node(place, height)
            i = _position(node, prefix, start) if i < 0 else i
            if isinstance(node, Interior):
                if i < len(node.keys):
                    child = node.child(i)
                    waiting.append((place, height, prefix, i + 1))
                    waiting.append((child.place, height - 1, prefix + child.prefix, -1))
                continue
            for j in range(i, len(node.keys)):
                key = prefix + node.keys[j]
                if (count and key <= last) or count > _MOST_KEYS or len(key) > 65535:
                    raise _disordered(self.uri, "keys")
                last, count = key, count + 1
                yield key, node, j


def _position(node: Leaf | Interior, prefix: bytes, start: bytes) -> int:
    """Return the first entry of a node that can have a key that is not before `start`."""
    if prefix >= start or not start.startswith(prefix):
        return 0 if prefix >= start else len(node.keys)
    rest = start[len(prefix) :]
    i = node.position(rest)
    if isinstance(node, Interior):
        return max(0, i)
    return i if i >= 0 and node.keys[i] == rest else i + 1


def _name(key: bytes) -> str | None:
    """Return a key as text; None when it is none that a store may have."""
    try:
        return checked_key(key.decode())
    except (UnicodeDecodeError, InputError):
        return None


def _stat(found: bytes | Place) -> ObjectStat:
    if isinstance(found, Place):
        return ObjectStat(found.length, f"{found.file.key}:{found.start}:{found.length}")
    return ObjectStat(len(found), sha256(found).hexdigest()[:32])


class OcdbtDriver:
    """OCDBT databases."""

    name: ClassVar[str] = "ocdbt"
    spec_url: ClassVar[str] = "https://google.github.io/tensorstore/kvstore/ocdbt/index.html"
    markers: ClassVar[tuple[str, ...]] = (ocdbt.MANIFEST_KEY,)
    suffixes: ClassVar[tuple[str, ...]] = (".ocdbt",)

    def open(self, folder: VersionedFolder, version: str, /) -> OcdbtStore:
        """Return a version of a database."""
        return OcdbtStore(folder.store, version)

    def versions(self, folder: VersionedFolder, /) -> Iterator[StoredVersion]:
        """Yield all versions, newest first."""
        for found in _Documents(folder.store).iter_versions():
            time = ocdbt.time_text(found.time)
            yield StoredVersion(name=f"v{found.number}", kind="generation", time=time, facts={"keys": found.keys})
