"""What checks of packages have in common: a bounded list of problems, lists of objects in columns, links."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.exports.adapters import PackageProblem
from voxarium.archive.hashing import Wanted, hash_objects
from voxarium.archive.manifests import HashingProgress
from voxarium.archive.trees import Tree
from voxarium.errors import ChecksumError, Code, FormatError, InputError
from voxarium.model.protocols import ByteRange, ListableStore, ReadableStore
from voxarium.spec.manifest import Strings, sorted_strings

__all__ = ["Findings", "Table", "compare_digests", "iter_package", "iter_pieces"]

_MOST: Final = 10_000
_BATCH: Final = 1 << 16
_PIECE: Final = 1 << 20
_KINDS: Final = {
    Code.KEY_UNSAFE: "unsafe",
    Code.SIZE_IMPLAUSIBLE: "implausible",
    Code.CHECKSUM_MISMATCH: "changed",
}


class Findings:
    """Collects what is wrong with a package, up to a bound."""

    def __init__(self) -> None:
        self.problems: list[PackageProblem] = []
        self.notes: list[str] = []
        self.more = 0

    def add(self, key: str, kind: str, message: str, expected: str | None = None, found: str | None = None) -> None:
        """Note one problem."""
        if len(self.problems) >= _MOST:
            self.more += 1
            return
        self.problems.append(PackageProblem(key=key, kind=kind, message=message, expected=expected, found=found))

    def add_error(self, key: str, error: FormatError) -> None:
        """Note what a parser said."""
        self.add(key, _KINDS.get(error.code, "malformed"), error.message)

    def ended(self) -> tuple[PackageProblem, ...]:
        """Return all problems."""
        if self.more:
            note = f"and {self.more:,} more problems"
            return (*self.problems, PackageProblem(key="", kind="more", message=note))
        return tuple(self.problems)

    def refuse(self, uri: str) -> None:
        """Raise the first problem, if there is any.

        Raises
        ------
        FormatError
            If there is.
        """
        if not self.problems:
            return
        first, others = self.problems[0], len(self.problems) + self.more - 1
        kind = ChecksumError if first.kind in ("missing", "changed") else FormatError
        raise kind(
            f"{uri}: {first.message}" + (f"; and {others:,} more problems" if others else ""),
            code=Code.CHECKSUM_MISMATCH if kind is ChecksumError else Code.METADATA_INVALID,
            fix="`voxarium release check` names everything that is wrong; get the package from its source again",
        )


class Table:
    """Objects by path with a digest each, as columns: no Python object stays for each.

    Parameters
    ----------
    width : int
        Bytes of a digest.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._waiting: list[tuple[str, bytes]] = []
        self._parts: list[Strings] = []
        self._rows: list[NDArray[np.uint8]] = []
        self.paths = Strings.of(())
        self.digests = np.zeros((0, width), np.uint8)

    def add(self, path: str, digest: bytes) -> None:
        """Add one."""
        self._waiting.append((path, digest))
        if len(self._waiting) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._parts.append(Strings.of(path for path, _ in self._waiting))
        data = b"".join(digest for _, digest in self._waiting)
        self._rows.append(np.frombuffer(data, np.uint8).reshape(-1, self._width))
        self._waiting = []

    def sort(self) -> list[str]:
        """Sort by path; return paths that come more than once, of which only the first entry stays."""
        self._flush()
        self.paths, order = sorted_strings(Strings.joined(self._parts))
        rows = np.concatenate(self._rows)
        self.digests = rows if order is None else rows[order]
        self._parts, self._rows = [], []
        paths = self.paths
        same = np.flatnonzero(np.diff(paths.lengths) == 0).tolist()
        twice = [i + 1 for i in same if paths.raw(i) == paths.raw(i + 1)]
        if not twice:
            return []
        kept = np.ones(len(paths), np.bool_)
        kept[twice] = False
        names = [paths[i] for i in twice]
        self.paths = Strings.of(paths.name(i) for i in np.flatnonzero(kept).tolist())
        self.digests = self.digests[kept]
        return names

    def __len__(self) -> int:
        return len(self.paths)


def iter_pieces(store: ReadableStore, key: str, most: int) -> Iterator[bytes]:
    """Yield an object piece by piece.

    Raises
    ------
    FormatError
        If it is absent or implausibly large.
    """
    try:
        found = store.stat(key)
    except InputError as error:  # names of files that are no keys
        raise FormatError(f"{store.uri}: {error.message}", code=Code.KEY_UNSAFE, fix=error.fix) from error
    if found is None or found.size > most:
        what = "is missing" if found is None else f"has {found.size:,} bytes, which is implausible"
        raise FormatError(
            f"{key} in {store.uri} {what}",
            code=Code.METADATA_MISSING if found is None else Code.SIZE_IMPLAUSIBLE,
            fix="get the package from its source again",
        )
    for start in range(0, found.size, _PIECE):
        parts = store.get_ranges(key, [ByteRange(start, min(_PIECE, found.size - start))])
        if parts is None:
            return
        yield bytes(parts[0])


def iter_package(store: ReadableStore, findings: Findings) -> Iterator[tuple[str, int]]:
    """Yield (key, size) of every file of a package. Links, which may lead out of it or in circles, are not followed.

    Raises
    ------
    FormatError
        If its store cannot be listed.
    """
    from voxarium.stores.local import LocalStore

    if isinstance(store, LocalStore):
        yield from _walk(store.root, findings)
    elif isinstance(store, ListableStore):
        yield from store.list("")
    else:
        raise FormatError(
            f"{store.uri} cannot be listed, so nobody can tell what is in it",
            code=Code.FEATURE_UNSUPPORTED,
            fix="copy the package to a folder",
        )


def _walk(root: str, findings: Findings) -> Iterator[tuple[str, int]]:
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                found = [(e.name, e.stat(follow_symlinks=False)) for e in entries]
        except OSError as error:
            findings.add(folder, "unreadable", f"{folder or root} could not be listed: {error.strerror or error}")
            continue
        for name, status in found:
            key = f"{folder}/{name}" if folder else name
            if stat.S_ISDIR(status.st_mode):
                waiting.append(key)
            elif stat.S_ISREG(status.st_mode):
                yield key, status.st_size
            else:
                what = "a link" if stat.S_ISLNK(status.st_mode) else "no file"
                findings.add(key, "link", f"{key} is {what}; packages hold files only")


def compare_digests(
    store: ReadableStore,
    wanted: Iterator[tuple[str, int, dict[str, bytes]]],
    totals: tuple[int, int],
    findings: Findings,
    *,
    threads: int | None,
    progress: Callable[[HashingProgress], None] | None,
) -> None:
    """Read objects given as (key, size, digests by algorithm), and note those that are not as they should be.

    Neighbours that have the same algorithms are read together.
    """
    done = nbytes = 0
    for algorithms, group in _grouped(wanted):
        expected = {i: (key, digests) for i, (key, _, digests) in enumerate(group)}
        asked = (Wanted(i, key, size) for i, (key, size, _) in enumerate(group))
        for batch in hash_objects(Tree(store), asked, algorithms, threads=threads):
            for found in batch:
                key, digests = expected[found.wanted.number]
                done, nbytes = done + 1, nbytes + found.wanted.size
                if found.digests is None:
                    why = found.error.message if found.error is not None else f"{key} is missing"
                    findings.add(key, "unreadable" if found.error is not None else "missing", why)
                    continue
                for algorithm, digest in digests.items():
                    got = found.digests[algorithm]
                    if got != digest:
                        what = f"{key} has another {algorithm} digest than stated"
                        findings.add(key, "changed", what, f"{algorithm}:{digest.hex()}", f"{algorithm}:{got.hex()}")
            if progress is not None:
                progress(
                    HashingProgress(
                        objects=done,
                        total_objects=max(totals[0], done),
                        nbytes=nbytes,
                        total_bytes=max(totals[1], nbytes),
                    )
                )


def _grouped(
    wanted: Iterator[tuple[str, int, dict[str, bytes]]],
) -> Iterator[tuple[tuple[str, ...], list[tuple[str, int, dict[str, bytes]]]]]:
    group: list[tuple[str, int, dict[str, bytes]]] = []
    algorithms: tuple[str, ...] = ()
    for item in wanted:
        needed = tuple(sorted(item[2]))
        if group and (needed != algorithms or len(group) == _BATCH):
            yield algorithms, group
            group = []
        algorithms = needed
        group.append(item)
    if group:
        yield algorithms, group
