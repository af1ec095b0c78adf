"""Manifests of trees: read from what is stored, or made from what a conversion has told, and where they are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.hashing import Wanted, hash_objects
from voxarium.archive.trees import (
    Listing,
    Tree,
    beside,
    existing,
    is_temporary,
    object_exists,
    open_tree,
    read_object,
    write_object,
)
from voxarium.core.digests import check_algorithms, has_blake3
from voxarium.core.executor import Cancel
from voxarium.core.journal import JOB_FOLDER
from voxarium.core.pools import run_all
from voxarium.core.uri import parse_uri
from voxarium.errors import Code, InterruptedJobError, StoreError
from voxarium.model.protocols import ReadableStore
from voxarium.spec.manifest import (
    Manifest,
    Strings,
    check_roots,
    dump_manifest,
    format_root,
    make_manifest,
    manifest_root,
    matching,
)
from voxarium.spec.manifest import parse_manifest as parse
from voxarium.spec.zarr_checksum import zarr_checksum

if TYPE_CHECKING:
    from voxarium.conversion.finished import FinishedObject

__all__ = [
    "SUFFIX",
    "HashingProgress",
    "ManifestReport",
    "ManifestWriter",
    "default_algorithms",
    "make_tree_manifest",
    "manifest_address",
    "manifest_of",
    "read_manifest",
    "roots_of",
    "write_manifest",
]

SUFFIX: Final = ".manifest.parquet"
_MEDIA: Final = ("data", "metadata", "table")
_TABLES: Final = (".parquet", ".feather", ".arrow", ".csv")
_METADATA: Final = (".json", ".zarray", ".zattrs", ".zgroup", ".zmetadata", ".xml", ".md", "info", "provenance")


@dataclass(frozen=True, slots=True, kw_only=True)
class HashingProgress:
    """How far the reading of objects is."""

    objects: int
    total_objects: int
    nbytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestReport:
    """What a manifest holds.

    Parameters
    ----------
    target, manifest : str
        Addresses of the tree and of the file written.
    objects, nbytes : int
        Entries, and bytes of all objects.
    roots : tuple of str
        The manifest's roots, as text.
    zarr_checksum : str or None
        DANDI's checksum, if it was asked for.
    left_out : tuple of str
        Keys of what looks like leftovers of killed writers, which no manifest lists.
    """

    target: str
    manifest: str
    objects: int
    nbytes: int
    roots: tuple[str, ...]
    zarr_checksum: str | None = None
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {
            "target": self.target,
            "manifest": self.manifest,
            "objects": self.objects,
            "bytes": self.nbytes,
            "roots": list(self.roots),
            "zarr_checksum": self.zarr_checksum,
            "left_out": list(self.left_out),
        }


def default_algorithms() -> tuple[str, ...]:
    """Return the digests that a manifest gets: SHA-256, and BLAKE3 where it can be computed."""
    return ("sha256", "blake3") if has_blake3() else ("sha256",)


def manifest_address(target: str | os.PathLike[str]) -> str:
    """Return where the manifest of a tree is kept unless somebody says otherwise: beside it.

    Examples
    --------
    >>> manifest_address("em.ome.zarr")
    'em.ome.zarr.manifest.parquet'
    """
    return beside(target, SUFFIX)


def read_manifest(uri: str | os.PathLike[str]) -> Manifest:
    """Return a stored manifest.

    Raises
    ------
    NotFoundError
        If none is there.
    FormatError, ChecksumError
        If it is broken, or was changed.
    UnsupportedError
        If pyarrow is not installed.
    """
    where = os.fspath(uri)
    made = parse(read_object(uri, "manifest"), where, check=False)
    check_roots(made, roots_of(made), where)
    return made


def roots_of(manifest: Manifest) -> dict[str, bytes]:
    """Return the roots of a manifest by algorithm, each taken by a thread of its own."""
    found: dict[str, bytes] = {}

    def take(algorithm: str) -> None:
        found[algorithm] = manifest_root(manifest, algorithm)

    run_all(take, manifest.algorithms, 2)
    return found


def write_manifest(
    target: str | os.PathLike[str],
    manifest: str | os.PathLike[str] | None = None,
    *,
    digests: Sequence[str] | None = None,
    dandi: bool = False,
    overwrite: bool = False,
    threads: int | None = None,
    progress: Callable[[HashingProgress], None] | None = None,
) -> ManifestReport:
    """Read everything that is stored in a tree, and write a manifest of it.

    Parameters
    ----------
    target : str or path
        A folder, an object-store prefix or a file.
    manifest : str or path or None
        Where to; None = beside the target, as ``TARGET.manifest.parquet``.
    digests : sequence of str or None
        Besides SHA-256, which is always there, ``blake3``; None = if it is installed.
    dandi : bool
        Also compute DANDI's checksum of Zarr trees.
    overwrite : bool
        Replace the manifest.
    threads : int or None
        None = one per processor.
    progress : callable or None
        Called with a `HashingProgress` after each batch.

    Raises
    ------
    ConflictError
        If a conversion into the target was not finished.
    ExistsError
        If the manifest exists.
    """
    tree = open_tree(target)
    address = manifest_address(target) if manifest is None else os.fspath(manifest)
    if not overwrite and object_exists(address):
        raise existing(address)
    algorithms = default_algorithms() if digests is None else check_algorithms(("sha256", *digests))
    tree.refuse_incomplete()
    made = manifest_of(tree, algorithms, own=address, dandi=dandi, threads=threads, progress=progress)
    write_object(address, dump_manifest(made.manifest), overwrite=overwrite)
    return made.report(tree.uri, address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A manifest, DANDI's checksum, and what was left out."""

    manifest: Manifest
    zarr_checksum: str | None = None
    left_out: tuple[str, ...] = ()

    def report(self, target: str, address: str) -> ManifestReport:
        """Return what is told about it."""
        roots = roots_of(self.manifest)
        return ManifestReport(
            target=target,
            manifest=address,
            objects=len(self.manifest),
            nbytes=self.manifest.nbytes,
            roots=tuple(format_root(a, roots[a]) for a in self.manifest.algorithms),
            zarr_checksum=self.zarr_checksum,
            left_out=self.left_out,
        )


def manifest_of(
    tree: Tree,
    algorithms: Sequence[str],
    *,
    own: str = "",
    dandi: bool = False,
    threads: int | None = None,
    known: Manifest | None = None,
    progress: Callable[[HashingProgress], None] | None = None,
    cancel: Cancel | None = None,
) -> Made:
    """Read every object of a tree.

    Parameters
    ----------
    own : str
        Address of the manifest to be; not listed if it lies in the tree.
    dandi, threads, progress
        See `write_manifest`.
    known : Manifest or None
        Objects with a key and size that it lists are not read: they have the digests that it states.
    cancel : Cancel or None
        Set it to stop.

    Raises
    ------
    StoreError
        If an object cannot be read, or changes meanwhile.
    InputError
        If a name cannot be a key of a manifest.
    InterruptedJobError
        If `cancel` was set.
    """
    left_out: list[str] = []
    listing = tree.listing(_kept(tree, own, left_out))
    sums = _Sums(len(listing.sizes), algorithms, md5=dandi)
    done = nbytes = 0
    wanted = list(_wanted(listing)) if known is None else sums.take(listing, known)
    count, total = len(wanted), sum(w.size for w in wanted)
    for batch in hash_objects(tree, wanted, sums.algorithms, threads=threads, cancel=cancel):
        for found in batch:
            if found.error is not None:
                raise found.error
            if found.digests is None:
                raise StoreError(
                    f"{found.wanted.key} vanished while {tree.uri} was read",
                    code=Code.STORE_UNREADABLE,
                    fix="something changes it; try again when that has ended",
                )
            sums.put(found.wanted.number, found.digests)
            done, nbytes = done + 1, nbytes + found.wanted.size
        if progress is not None:
            progress(HashingProgress(objects=done, total_objects=count, nbytes=nbytes, total_bytes=total))
    if done < count:
        raise InterruptedJobError(
            f"stopped after {done:,} of {count:,} objects", code=Code.JOB_INTERRUPTED, fix="run it again"
        )
    checksum = zarr_checksum(sums.iter_md5(listing)) if dandi else None
    return Made(manifest=sums.manifest(listing), zarr_checksum=checksum, left_out=tuple(left_out))


def _kept(tree: Tree, own: str, left_out: list[str]) -> Iterator[tuple[str, int]]:
    mine = own_key(tree, own)
    for key, size in tree.iter_objects():
        if is_temporary(key) or key.startswith(f"{JOB_FOLDER}/"):
            left_out.append(key)
        elif key != mine:
            yield key, size


def own_key(tree: Tree, address: str) -> str:
    """Return the key of a file if it lies in a tree, else nothing."""
    if not address:
        return ""
    root = tree.uri.removeprefix("file://").rstrip("/")
    local = "://" not in address or address.startswith("file://")
    path = os.path.abspath(parse_uri(address).base) if local else address
    return path[len(root) + 1 :] if path.startswith(f"{root}/") else ""


def _wanted(listing: Listing) -> Iterator[Wanted]:
    for i, size in enumerate(listing.sizes):
        yield Wanted(i, listing.keys.name(i), int(size))


def _medium(key: str) -> int:
    """Return the kind of an object, as far as its name tells."""
    name = key.rpartition("/")[2]
    return 1 if name.endswith(_METADATA) else 2 if name.endswith(_TABLES) else 0


class _Sums:
    """Digests of a number of objects, in rows."""

    def __init__(self, count: int, algorithms: Sequence[str], *, md5: bool) -> None:
        self.algorithms = (*algorithms, *(("md5",) if md5 else ()))
        self._rows = {a: np.zeros((count, 16 if a == "md5" else 32), np.uint8) for a in self.algorithms}

    def put(self, row: int, digests: dict[str, bytes]) -> None:
        """Keep the digests of an object."""
        for algorithm, rows in self._rows.items():
            rows[row] = np.frombuffer(digests[algorithm], np.uint8)

    def take(self, listing: Listing, known: Manifest) -> list[Wanted]:
        """Take digests that are known over; return the objects that have to be read."""
        there = matching(listing.keys, known.keys)[0]
        same = there >= 0
        same[same] = known.sizes[there[same]] == listing.sizes[same]
        for algorithm, rows in self._rows.items():
            rows[same] = known.digests(algorithm)[there[same]]
        left = np.flatnonzero(~same).tolist()
        return [Wanted(i, listing.keys.name(i), int(listing.sizes[i])) for i in left]

    def iter_md5(self, listing: Listing) -> Iterator[tuple[str, int, str]]:
        """Yield what DANDI's checksum is made of."""
        for i, size in enumerate(listing.sizes):
            yield listing.keys[i], int(size), self._rows["md5"][i].tobytes().hex()

    def manifest(self, listing: Listing) -> Manifest:
        """Return the manifest."""
        return make_tree_manifest(listing, self._rows)


def make_tree_manifest(listing: Listing, digests: Mapping[str, NDArray[np.uint8]]) -> Manifest:
    """Return the manifest of objects whose digests (by algorithm, a row each) are known."""
    media = np.fromiter((_medium(key) for key in listing.keys), np.uint8, len(listing.sizes))
    return make_manifest(
        listing.keys, listing.sizes, digests["sha256"], blake3=digests.get("blake3"), media=(media, _MEDIA)
    )


class ManifestWriter:
    """Writes the manifest of a conversion from the digests taken while it wrote; hand it over as ``take_objects``.

    Parameters
    ----------
    manifest : str, path or None
        Where to; None = beside the image. What is there is replaced: the conversion was allowed to replace what it
        describes.
    threads : int or None
        For objects whose digests nobody took: those an earlier run finished without, and formats that are one file.

    Examples
    --------
    >>> import voxarium
    >>> writer = ManifestWriter()
    >>> voxarium.convert("em.npy", "em.ome.zarr", digests="sha256", take_objects=writer)  # doctest: +SKIP
    """

    def __init__(self, manifest: str | os.PathLike[str] | None = None, threads: int | None = None) -> None:
        self._manifest = manifest
        self._threads = threads
        self.report: ManifestReport | None = None
        self.read = 0

    def __call__(self, store: ReadableStore, objects: list[FinishedObject]) -> None:
        """Write the manifest of an image's objects."""
        algorithms = ["sha256"]
        if any(o.blake3 is not None for o in objects):
            algorithms.append("blake3")
        sums = _Sums(len(objects), algorithms, md5=False)
        unknown = []
        for i, done in enumerate(objects):
            known = {"sha256": done.sha256, "blake3": done.blake3}
            digests = {a: d for a in algorithms if (d := known[a]) is not None}
            if len(digests) == len(algorithms):
                sums.put(i, digests)
            else:
                unknown.append(Wanted(i, done.key, done.size))
        self._fill(Tree(store), unknown, sums)
        listing = Listing(Strings.of(o.key for o in objects), np.array([o.size for o in objects], np.int64))
        made = Made(manifest=sums.manifest(listing))
        root = store.uri.removeprefix("file://")
        if len(objects) == 1 and objects[0].sha256 is None:  # a format that is one file, in the folder `root`
            root = f"{root}/{objects[0].key}"
        address = manifest_address(root) if self._manifest is None else os.fspath(self._manifest)
        write_object(address, dump_manifest(made.manifest), overwrite=True)
        self.read = len(unknown)
        self.report = made.report(store.uri, address)

    def _fill(self, tree: Tree, unknown: Iterable[Wanted], sums: _Sums) -> None:
        """Read objects whose digests nobody took."""
        for batch in hash_objects(tree, unknown, sums.algorithms, threads=self._threads):
            for found in batch:
                if found.digests is None:
                    raise found.error or StoreError(
                        f"{found.wanted.key} vanished", code=Code.STORE_UNREADABLE, fix="convert it again"
                    )
                sums.put(found.wanted.number, found.digests)
