"""What a listing tells: objects that are missing, extra, or of another size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.trees import Tree
from voxarium.archive.verify.report import Kind, Problem
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.errors import Code, InterruptedJobError, StoreError
from voxarium.spec.manifest import Manifest, matching

__all__ = ["Census", "census", "size_text"]

_MOST_REQUESTS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Census:
    """What is there.

    Parameters
    ----------
    sizes : array of int64
        Bytes of each object of the manifest; -1 = not there, -2 = nobody can tell.
    extra : list of (str, int)
        Keys and sizes of what the manifest does not have.
    listed : bool
        Whether the tree could be listed.
    errors : dict of int to str
        Why nobody can tell, by position.
    """

    sizes: NDArray[np.int64]
    extra: list[tuple[str, int]]
    listed: bool
    errors: dict[int, str]

    def iter_problems(self, manifest: Manifest, *, with_sizes: bool) -> Iterator[Problem]:
        """Yield what is wrong with the list, and with sizes if wanted."""
        for i in np.flatnonzero(self.sizes == -1).tolist():
            yield Problem(manifest.keys[i], "missing", size_text(manifest.sizes[i]), None)
        for i, why in self.errors.items():
            yield Problem(manifest.keys[i], "unreadable", size_text(manifest.sizes[i]), why)
        for key, size in self.extra:
            yield Problem(key.encode("utf-8", "replace").decode(), "extra", None, size_text(size))
        if with_sizes:
            for i in np.flatnonzero((self.sizes >= 0) & (self.sizes != manifest.sizes)).tolist():
                found, expected = self.sizes[i], manifest.sizes[i]
                kind: Kind = "truncated" if found < expected else "changed"
                yield Problem(manifest.keys[i], kind, size_text(expected), size_text(found))


def size_text(size: np.int64 | int) -> str:
    """Return a size for a report."""
    return f"{int(size)} bytes"


def census(tree: Tree, manifest: Manifest, own: str, cancel: Cancel) -> Census:
    """List the tree once; where it cannot be listed, ask for every object of the manifest.

    Parameters
    ----------
    own : str
        Key of the manifest itself if it lies in the tree, which is then no extra object.
    """
    if not tree.listable:
        return _asked(tree, manifest, cancel)
    listing = tree.listing()
    there, back = matching(manifest.keys, listing.keys)
    sizes = np.where(there >= 0, listing.sizes[np.maximum(there, 0)] if len(listing.sizes) else -1, -1)
    used = {own}
    if manifest.locations is not None:
        for i in np.flatnonzero(manifest.locations.lengths).tolist():
            used.add(manifest.location(i)[0])
            sizes[i] = manifest.sizes[i]  # whether it is there shows when it is read
    unknown = ((listing.keys.name(i), int(listing.sizes[i])) for i in np.flatnonzero(back < 0).tolist())
    return Census(sizes, [(key, size) for key, size in unknown if key not in used], True, {})


def _asked(tree: Tree, manifest: Manifest, cancel: Cancel) -> Census:
    sizes = np.full(len(manifest), -2, np.int64)
    errors: dict[int, str] = {}

    def ask(i: int) -> tuple[int, int, str]:
        if manifest.location(i)[0] != manifest.keys[i]:
            return i, int(manifest.sizes[i]), ""
        try:
            stat = tree.store.stat(tree.at(manifest.keys[i]))
        except StoreError as error:
            return i, -2, error.message
        return i, -1 if stat is None else stat.size, ""

    workers = ThreadExecutor(min(_MOST_REQUESTS, max(1, tree.store.concurrency)))
    for i, size, why in workers.map_unordered(ask, iter(range(len(manifest))), cancel):
        sizes[i] = size
        if why:
            errors[i] = why
    if cancel:
        raise InterruptedJobError(
            f"stopped before all objects of {tree.uri} were asked for", code=Code.JOB_INTERRUPTED, fix="run it again"
        )
    return Census(sizes, [], False, errors)
