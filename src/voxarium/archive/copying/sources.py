"""What is to be copied: objects, what is known of their content, and documents that will say something else."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.copying.history import WithHistory, is_history, iter_history
from voxarium.archive.copying.options import CopyOptions
from voxarium.archive.copying.order import pooled_digest
from voxarium.archive.manifests import manifest_address, read_manifest
from voxarium.archive.release_checks import release_of
from voxarium.archive.releases import open_dataset_store
from voxarium.archive.trees import Listing, Tree, is_temporary, object_exists, open_tree
from voxarium.core.journal import JOB_FOLDER, JOB_KEY
from voxarium.core.release_store import ReleaseStore, open_release_store
from voxarium.core.releases import has_releases, iter_releases, release_manifest
from voxarium.core.uri import is_archive, open_release_of, open_source_store, parse_uri
from voxarium.errors import Code, ConflictError, NotFoundError, VoxariumError
from voxarium.model.protocols import ReadableStore
from voxarium.spec.manifest import Manifest, Strings, matching

__all__ = ["CopySource", "open_copy_source"]


@dataclass(slots=True, kw_only=True)
class CopySource:
    """What is copied.

    Parameters
    ----------
    tree : Tree
        Where it is.
    listing : Listing
        Objects, by keys in the tree.
    sha256 : array of uint8, shape (n, 32)
        Digests that are known of them.
    known : array of bool
        Of which they are.
    edits : mapping of str to bytes
        Documents that say something else at the target.
    absent : int
        Objects that a region leaves out.
    left_out : list of str
        What jobs and stopped writers left behind.
    notes : list of str
        What a user should know.
    """

    tree: Tree
    listing: Listing
    sha256: NDArray[np.uint8]
    known: NDArray[np.bool_]
    edits: Mapping[str, bytes] = field(default_factory=dict)
    absent: int = 0
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, tree: Tree, listing: Listing, left_out: Sequence[str] = (), notes: Sequence[str] = ()) -> Self:
        """Return a source of whose objects nothing is known but their sizes."""
        count = len(listing.sizes)
        return cls(
            tree=tree,
            listing=listing,
            sha256=np.zeros((count, 32), np.uint8),
            known=np.zeros(count, np.bool_),
            left_out=list(left_out),
            notes=list(notes),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all objects."""
        return int(self.listing.sizes.sum())

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Forget objects."""
        numbers = np.flatnonzero(kept)
        keys = Strings.of(self.listing.keys.name(i) for i in numbers.tolist())
        self.listing = Listing(keys, self.listing.sizes[numbers])
        self.sha256, self.known = self.sha256[numbers], self.known[numbers]

    def edit(self, edits: Mapping[str, bytes]) -> None:
        """Let documents say something else, or be there although the source has none."""
        self.edits = {**self.edits, **edits}
        position = {self.listing.keys.name(i): i for i in range(len(self.listing.sizes))}
        new = [key for key in edits if key not in position]
        for key in edits.keys() & position.keys():
            self.listing.sizes[position[key]] = len(edits[key])
            self.known[position[key]] = False
        if not new:
            return
        keys = [*position, *new]
        order = sorted(range(len(keys)), key=lambda i: keys[i].encode("utf-8", "surrogatepass"))
        sizes = np.concatenate([self.listing.sizes, np.array([len(edits[k]) for k in new], np.int64)])
        self.listing = Listing(Strings.of(keys[i] for i in order), sizes[order])
        self.sha256 = np.concatenate([self.sha256, np.zeros((len(new), 32), np.uint8)])[order]
        self.known = np.concatenate([self.known, np.zeros(len(new), np.bool_)])[order]


def open_copy_source(
    source: str | os.PathLike[str] | ReadableStore, options: CopyOptions, *, as_file: bool = False
) -> CopySource:
    """Find out what there is to copy.

    Parameters
    ----------
    source : str, path or ReadableStore
        A folder, a prefix of a store, a file, an archive file, a release (``DATASET@v1.0``), or a part of one.
    options : CopyOptions
        Of these the manifest, and whether something is left out.
    as_file : bool
        Take an archive file as the file it is, not as what is in it.

    Raises
    ------
    NotFoundError
        If there is nothing.
    ConflictError
        If a job has not finished what is there.
    """
    if isinstance(source, ReadableStore):
        return _tree_source(Tree(source), "", options)
    text = os.fspath(source)
    released = release_of(text)
    if released is not None and not options.partial:
        return _release_source(*released)
    return _tree_source(_open(text, as_file), text, options)


def _open(uri: str, as_file: bool) -> Tree:
    where = parse_uri(uri)
    released = open_release_of(where)
    if released is not None:
        store, path = released
        return Tree(store, "", path) if path and store.stat(path) is not None else Tree(store, path)
    if is_archive(where.base) and not as_file:
        return Tree(*open_source_store(uri))
    return open_tree(uri)


# ------------------------------------------------------------------------------------------------------------ releases
def _release_source(dataset: str, name: str) -> CopySource:
    """Return a whole release, with all that tells of releases and the log, so that it can be checked at the target."""
    store = open_dataset_store(dataset)
    released = open_release_store(store, name)
    content = list(released.list())
    places = {released.manifest.location(i)[0] for i in range(len(content))}
    history = [(key, size) for key, size in iter_history(store) if _belongs(key, places)]
    tree = Tree(WithHistory(released, store))
    listing = tree.listing([*content, *history])
    found = CopySource.of(tree, listing)
    _learn(found, released.manifest)
    _learn_pool(found)
    return found


def _belongs(key: str, places: set[str]) -> bool:
    """Tell whether an object about releases goes with one release: of copies of documents only its own do."""
    return pooled_digest(key) is None or key in places


# --------------------------------------------------------------------------------------------------------------- trees
def _tree_source(tree: Tree, address: str, options: CopyOptions) -> CopySource:
    manifest = _manifest(tree, address, options)
    left_out: list[str] = []
    notes: list[str] = []
    if tree.listable:
        listing = tree.listing(_kept(tree, left_out))
    elif manifest is not None:
        listing = Listing(manifest.keys, manifest.sizes.copy())
    else:
        from voxarium.archive.copying.unlisted import expected_objects

        listing = tree.listing(expected_objects(tree, options))
        notes.append(f"{tree.uri} cannot be listed: what its releases and metadata do not name is not copied")
    if manifest is not None:
        listing = _with_missing(tree, listing, manifest)
    if not len(listing.sizes):
        raise NotFoundError(f"nothing at {tree.uri}", code=Code.PATH_MISSING, fix="check the address")
    found = CopySource.of(tree, listing, left_out, notes)
    if isinstance(tree.store, ReleaseStore):
        _learn(found, tree.store.manifest, tree.prefix)
    elif manifest is not None:
        _learn(found, manifest)
    elif not tree.prefix and not tree.file and has_releases(tree.store):
        for stored in reversed(list(iter_releases(tree.store))):
            _learn(found, release_manifest(tree.store, stored.release), in_place=True)
        _learn_pool(found)
    return found


def _manifest(tree: Tree, address: str, options: CopyOptions) -> Manifest | None:
    if options.manifest is not None:
        return read_manifest(options.manifest)
    if not address or isinstance(tree.store, ReleaseStore) or "::" in address:
        return None
    beside = manifest_address(address)
    try:
        return read_manifest(beside) if _is_there(beside) else None
    except NotFoundError:
        return None


def _is_there(address: str) -> bool:
    where = parse_uri(address)
    if where.scheme in ("http", "https"):
        try:
            open_tree(address)
        except VoxariumError:
            return False
        return True
    return object_exists(address)


def _kept(tree: Tree, left_out: list[str]) -> Iterable[tuple[str, int]]:
    for key, size in tree.iter_objects():
        if f"/{key}".endswith(f"/{JOB_KEY}"):
            raise ConflictError(
                f"{tree.uri}/{key.removesuffix(JOB_KEY)} is incomplete: a job in it was stopped or is still running",
                code=Code.IMAGE_INCOMPLETE,
                fix="finish that job first",
            )
        if is_temporary(key) or f"/{JOB_FOLDER}/" in f"/{key}":
            left_out.append(key)
        else:
            yield key, size


# ------------------------------------------------------------------------------------------------------- known content
def _learn(found: CopySource, manifest: Manifest, prefix: str = "", *, in_place: bool = False) -> None:
    """Take digests from a manifest for objects of which none is known; `in_place`: only of objects at their keys."""
    keys = found.listing.keys
    if prefix:
        keys = Strings.of(f"{prefix}/{keys.name(i)}" for i in range(len(keys)))
    there = matching(keys, manifest.keys)[0]
    new = (there >= 0) & ~found.known
    if in_place and manifest.locations is not None:
        new[new] = manifest.locations.lengths[there[new]] == 0
    found.sha256[new] = manifest.sha256[there[new]]
    found.known |= new


def _learn_pool(found: CopySource) -> None:
    for i in range(len(found.listing.sizes)):
        key = found.listing.keys.name(i)
        digest = pooled_digest(key) if is_history(key) else None
        if digest is not None:
            found.sha256[i] = np.frombuffer(digest, np.uint8)
            found.known[i] = True


def _with_missing(tree: Tree, listing: Listing, manifest: Manifest) -> Listing:
    """Return a listing with what the manifest names besides: reading it will tell that it is missing."""
    lost = np.flatnonzero(matching(manifest.keys, listing.keys)[0] < 0).tolist()
    named = [(manifest.keys[i], int(manifest.sizes[i])) for i in lost if manifest.location(i)[0] == manifest.keys[i]]
    if not named:
        return listing
    there = ((listing.keys.name(i), int(listing.sizes[i])) for i in range(len(listing.sizes)))
    return tree.listing(itertools.chain(there, named))
