"""Whether voxels, decoded, are those whose logical digests somebody recorded: in any container, without a manifest too.

Digests are looked for in files ``.vldtree`` beside images, in the provenance log (the last that speaks of an image; a
later change of it without a digest makes it unknown), and in the links of ``dataset.json``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from voxarium.archive.log_reading import LOG_FOLDER, LogReader
from voxarium.archive.manifests import HashingProgress
from voxarium.archive.trees import Tree, beside, read_object
from voxarium.archive.verify.options import is_logical_digest
from voxarium.archive.verify.report import Problem
from voxarium.core.dataset import Dataset
from voxarium.core.digesting import logical_digest
from voxarium.core.digesting.comparing import TREE_SUFFIX
from voxarium.core.digesting.running import DigestProgress
from voxarium.core.executor import Cancel
from voxarium.core.image import Image
from voxarium.core.opening import find, open_in
from voxarium.errors import (
    Code,
    FormatError,
    InputError,
    InterruptedJobError,
    NotFoundError,
    StoreError,
    UnsupportedError,
)
from voxarium.model.protocols import ListableStore
from voxarium.spec.dataset_document import is_dataset, parse_dataset
from voxarium.spec.logical_digest import LogicalDigest, parse_tree
from voxarium.spec.release import DATASET_KEY

__all__ = ["LogicalResult", "check_logical"]

_CONTENT: Final = "vld1-content:"
_MOST_TREE: Final = 1 << 34


@dataclass(frozen=True, slots=True)
class LogicalResult:
    """What voxels told.

    Parameters
    ----------
    problems : list of Problem
        What is not as it was recorded.
    compared : int
        Images that were compared with a digest.
    unrecorded : list of str
        Images of which no digest is recorded.
    seconds : float
        Wall time.
    """

    problems: list[Problem] = field(default_factory=list)
    compared: int = 0
    unrecorded: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(slots=True)
class _Record:
    """What is recorded of an image: texts with where they are from, and a tree."""

    texts: dict[str, str] = field(default_factory=dict)
    tree: LogicalDigest | None = None

    def __bool__(self) -> bool:
        return bool(self.texts) or self.tree is not None


def check_logical(
    tree: Tree,
    *,
    given: Sequence[str] = (),
    log: LogReader | None = None,
    threads: int | None = None,
    progress: Callable[[HashingProgress], None] | None = None,
    cancel: Cancel | None = None,
) -> LogicalResult:
    """Decode images, and compare their voxels and coordinates with the digests that are recorded.

    Parameters
    ----------
    tree : Tree
        An image, a file, or something with images in it.
    given : sequence of str
        Digests that the only image must have, as text.
    log : LogReader or None
        The provenance log; None = the one in the tree, if there is one.
    threads : int or None
        None = one per processor.
    progress : callable or None
        Called with a `HashingProgress` now and then: images and bytes of voxels.
    cancel : Cancel or None
        Set it to stop before the next image.

    Raises
    ------
    NotFoundError
        If no image is there, or no digest of any is recorded.
    InputError
        If a digest was given and there are several images.
    InterruptedJobError
        If `cancel` was set.
    """
    started = time.perf_counter()
    images = _images(tree)
    if given and len(images) != 1:
        raise InputError(
            f"one digest for {len(images):,} images", code=Code.ARGUMENT_INVALID, fix="name the image it belongs to"
        )
    records = _Records(tree, log)
    found: list[tuple[str, Image, _Record]] = []
    unrecorded: list[str] = []
    for key, image in images.items():
        record = records.of(key, image)
        record.texts |= dict.fromkeys(given, "as given")
        if record:
            found.append((key, image, record))
        else:
            unrecorded.append(key)
    if not found:
        raise NotFoundError(
            f"no logical digest of anything in {tree.uri} is recorded",
            code=Code.METADATA_MISSING,
            fix="record one: voxarium digest IMAGE --tree IMAGE.vldtree; or give one with --digest",
        )
    problems: list[Problem] = []
    display = _Display([image for _, image, _ in found], progress)
    for key, image, record in found:
        if cancel:
            raise InterruptedJobError(
                f"stopped before {key or tree.uri}", code=Code.JOB_INTERRUPTED, fix="run it again"
            )
        problems.extend(_differences(key or ".", image, record, threads, display))
        display.next(image)
    return LogicalResult(problems, len(found), unrecorded, time.perf_counter() - started)


def _images(tree: Tree) -> dict[str, Image]:
    """Return the images of a tree by their paths in it; label images below images too."""
    path = tree.at(tree.file) if tree.file else tree.prefix
    try:
        opened = find(tree.store, path)
    except NotFoundError:
        if tree.file or not isinstance(tree.store, ListableStore):
            raise
        opened = open_in(tree.store, path)  # searches folders
    skip = len(tree.prefix) + 1 if tree.prefix else 0
    found: dict[str, Image] = {}
    for key, image in opened.iter_images() if isinstance(opened, Dataset) else (("", opened),):
        found[key] = image
        for label in image.info.labels:
            below = find(tree.store, "/".join(p for p in (image.path, label) if p))
            if isinstance(below, Image):
                found[below.path[skip:]] = below
    if isinstance(opened, Dataset):
        for error in opened.problems.values():
            raise error
    return found


# -------------------------------------------------------------------------------------------------------------- records
class _Records:
    """What is recorded of the images of a tree."""

    def __init__(self, tree: Tree, log: LogReader | None) -> None:
        self._tree = tree
        self._log = LogReader(tree.store, tree.at(LOG_FOLDER)) if log is None else log
        self._stated: dict[str, list[str]] = {}
        if not tree.file:
            self._read_log()
            self._read_links()

    def of(self, key: str, image: Image) -> _Record:
        """Return what is recorded of an image.

        Raises
        ------
        FormatError
            If the file with its tree is damaged.
        """
        record = _Record(tree=self._digests_beside(key))
        for path in {key, image.path}:
            record.texts |= dict.fromkeys(self._stated.get(path, ()), "as recorded")
        return record

    def _digests_beside(self, key: str) -> LogicalDigest | None:
        where = self._tree.at(key or self._tree.file) + TREE_SUFFIX
        if key or self._tree.file:
            stat = self._tree.store.stat(where)
            if stat is None or stat.size > _MOST_TREE:
                return None
            raw = self._tree.store.get(where)
            return None if raw is None else parse_tree(raw, where)
        address = beside(self._tree.uri.removeprefix("file://"), TREE_SUFFIX)
        try:
            return parse_tree(read_object(address, "tree of digests"), address)
        except (NotFoundError, StoreError):
            return None

    def _read_log(self) -> None:
        log = self._log
        if log.store.stat(log.segment_key(0)) is None:
            return
        for recorded in log.activities():
            activity = recorded.activity
            for artifact in activity.outputs:
                self._stated.pop(artifact.address.strip("/"), None)  # what was said before is out of date
            for artifact in (*activity.inputs, *activity.outputs):
                if is_logical_digest(artifact.digest):
                    self._add(artifact.address.strip("/"), artifact.digest)

    def _read_links(self) -> None:
        raw = self._tree.store.get(self._tree.at(DATASET_KEY))
        if raw is None or not is_dataset(raw):
            return
        document = parse_dataset(raw, DATASET_KEY)
        for member in document.members:
            for link in member.links:
                other = document.find(link.member)
                if other is not None and not link.release and is_logical_digest(link.digest):
                    self._add(other.path, link.digest)

    def _add(self, path: str, digest: str) -> None:
        known = self._stated.setdefault("" if path == "." else path, [])
        if digest not in known:
            known.append(digest)


# ----------------------------------------------------------------------------------------------------------- comparison
def _differences(key: str, image: Image, record: _Record, threads: int | None, display: _Display) -> Iterator[Problem]:
    """Yield what is not as recorded of one image."""
    try:
        found = logical_digest(image, threads=threads, progress=display.update)
    except (StoreError, FormatError, UnsupportedError) as error:
        yield Problem(key, "unreadable", next(iter(record.texts), None), error.message)
        return
    known = record.tree
    if known is not None and known.content != found.content:
        yield Problem(key, "voxels", known.content, f"{found.content}{_where(known, found)}")
    elif known is not None and known.bound is not None and known.bound != found.bound:
        yield Problem(key, "coordinates", known.bound, found.bound)
    for text in record.texts:
        now = found.content if text.startswith(_CONTENT) else found.bound
        if now != text:
            yield Problem(key, "voxels" if text.startswith(_CONTENT) else "coordinates", text, now)


def _where(known: LogicalDigest, found: LogicalDigest) -> str:
    """Say which blocks differ, where grids are the same."""
    if (known.dtype, known.grid) != (found.dtype, found.grid):
        return f", {found.dtype} of shape {found.shape} instead of {known.dtype} of shape {known.shape}"
    numbers = np.flatnonzero((known.leaves != found.leaves).any(axis=1)).tolist()
    boxes = [found.block_box(n) for n in numbers[:3]]
    spans = ["[" + ", ".join(f"{a}:{b}" for a, b in zip(box.origin, box.stop, strict=True)) + "]" for box in boxes]
    more = f" and {len(numbers) - 3:,} more" if len(numbers) > 3 else ""
    return f", other voxels in {len(numbers):,} of {len(found.leaves):,} blocks: {', '.join(spans)}{more}"


class _Display:
    """Tells how far the decoding is, in images and bytes of voxels."""

    def __init__(self, images: Sequence[Image], progress: Callable[[HashingProgress], None] | None) -> None:
        self._progress = progress
        self._total = sum(image.arrays[0].nbytes for image in images)
        self._count = len(images)
        self._items = [image.dtype.itemsize for image in images]
        self._done = self._bytes = 0
        self._lock = threading.Lock()

    def update(self, now: DigestProgress) -> None:
        """Take note of the image under way; called from any thread."""
        self._tell(now.voxels * self._items[self._done])

    def next(self, image: Image) -> None:
        """Take note of an image that is done."""
        self._done += 1
        self._bytes += image.arrays[0].nbytes
        self._tell(0)

    def _tell(self, more: int) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._progress(
                HashingProgress(
                    objects=self._done,
                    total_objects=self._count,
                    nbytes=self._bytes + more,
                    total_bytes=self._total,
                )
            )
