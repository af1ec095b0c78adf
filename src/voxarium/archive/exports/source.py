"""A release that is open to be handed over: its objects, what it says of itself, and what is known of the dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from voxarium.archive.log_reading import LogReader
from voxarium.archive.releases import open_dataset_store
from voxarium.core.release_store import ReleaseStore, open_release_store
from voxarium.core.releases import StoredRelease, find_release, iter_releases, read_bounded, release_manifest
from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.model.fields import dump_json, parse_json_object
from voxarium.model.protocols import ReadableStore
from voxarium.model.provenance import RecordedActivity
from voxarium.spec.dataset_document import (
    FILE_NAME,
    MARKER,
    MOST_BYTES,
    SPEC_VERSION,
    DatasetDocument,
    is_dataset,
    parse_dataset,
)
from voxarium.spec.manifest import Manifest
from voxarium.spec.release import Release

__all__ = ["ReleaseSource", "open_release_source"]

_PLAIN: Final = ("name", "description", "license", "authors", "contact", "funding", "identifiers", "publisher")
"""What is taken from a ``dataset.json`` that does not follow our specification."""


@dataclass(frozen=True)
class ReleaseSource:
    """A release and all that is known of it.

    Parameters
    ----------
    dataset : ReadableStore
        The dataset.
    stored : StoredRelease
        The release's document.
    objects : ReleaseStore
        The release's objects.
    """

    dataset: ReadableStore
    stored: StoredRelease
    objects: ReleaseStore

    @property
    def release(self) -> Release:
        """What the document says."""
        return self.stored.release

    @property
    def manifest(self) -> Manifest:
        """What the release lists."""
        return self.objects.manifest

    @property
    def label(self) -> str:
        """The last part of the dataset's address."""
        return self.dataset.uri.rstrip("/").rpartition("/")[2] or "dataset"

    @cached_property
    def document(self) -> DatasetDocument:
        """What ``dataset.json`` of the release says; nothing but a name if there is none.

        Raises
        ------
        FormatError
            If it is broken.
        """
        return self._read(self.objects, f"{FILE_NAME} of release {self.release.name}")

    @cached_property
    def completed(self) -> DatasetDocument:
        """The same, with facts that it leaves out taken from the dataset's present ``dataset.json``."""
        present = self._read(self.dataset, FILE_NAME)
        facts = ("description", "license", "authors", "contact", "funding", "identifiers", "publisher")
        own = self.document
        return replace(own, **{n: getattr(own, n) or getattr(present, n) for n in facts})

    def _read(self, store: ReadableStore, where: str) -> DatasetDocument:
        data = read_bounded(store, FILE_NAME, MOST_BYTES)
        if data is None:
            return DatasetDocument(name=self.label)
        if is_dataset(data):
            return parse_dataset(data, where)
        try:
            body = parse_json_object(data, where)
            plain = {n: body[n] for n in _PLAIN if n in body}
            return parse_dataset(dump_json({MARKER: SPEC_VERSION, "name": self.label} | plain), where)
        except FormatError:  # another program's
            return DatasetDocument(name=self.label)

    def history(self) -> Iterator[ReleaseSource]:
        """Yield the releases from the first to this one.

        Raises
        ------
        NotFoundError, FormatError
            If one of them is broken.
        """
        for stored in iter_releases(self.dataset):
            if stored.release.sequence == self.release.sequence:
                yield self
                return
            manifest = release_manifest(self.dataset, stored.release)
            yield ReleaseSource(self.dataset, stored, ReleaseStore(self.dataset, manifest, stored.release.name))

    def activities(self) -> Iterator[RecordedActivity]:
        """Yield what the provenance log says was done before the release."""
        state = self.release.log
        if state is None:
            return
        log = LogReader(self.dataset)
        try:
            found = log.existing().activities()
        except NotFoundError:
            return
        for recorded in found:
            if recorded.sequence >= state.size:
                return
            yield recorded

    def publication(self) -> RecordedActivity | None:
        """Return the log's entry about the release; None if there is none yet."""
        from voxarium.spec.release import entry_id

        wanted = entry_id(self.stored.document)
        try:
            found = LogReader(self.dataset).existing().activities()
        except NotFoundError:
            return None
        return next((r for r in found if r.write_id == wanted), None)


def open_release_source(
    dataset: str | os.PathLike[str] | ReadableStore, name: str, *, withdrawn: bool = False
) -> ReleaseSource:
    """Open a release to be handed over.

    Parameters
    ----------
    dataset : str, path or ReadableStore
        The dataset.
    name : str
        Of the release; or empty, and `dataset` is such as ``brain@v1.0``.
    withdrawn : bool
        Open it also if it was withdrawn.

    Raises
    ------
    NotFoundError
        If there is no such release, or it was withdrawn.
    InputError
        If no release is named.
    """
    if not isinstance(dataset, ReadableStore) and not name:
        from voxarium.archive.release_checks import release_of

        found = release_of(os.fspath(dataset))
        if found is None:
            raise InputError(
                f"{os.fspath(dataset)} names no release",
                code=Code.ARGUMENT_INVALID,
                fix="write it as DATASET@NAME, such as brain@v1.0; `voxarium release list DATASET` shows them",
            )
        dataset, name = found
    store = dataset if isinstance(dataset, ReadableStore) else open_dataset_store(dataset)
    return ReleaseSource(store, find_release(store, name), open_release_store(store, name, withdrawn=withdrawn))
