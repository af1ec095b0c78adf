"""Releases of a dataset as they are stored: documents by number, their manifests, tombstones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from voxarium.errors import ChecksumError, Code, FormatError, InputError, NotFoundError
from voxarium.model.protocols import ReadableStore
from voxarium.spec.manifest import Manifest, manifest_root, parse_manifest
from voxarium.spec.release import (
    MOST_DOCUMENT,
    Release,
    Tombstone,
    manifest_key,
    parse_release,
    parse_tombstone,
    release_key,
    tombstone_key,
)

__all__ = [
    "MOST_MANIFEST", "StoredRelease", "check_manifest", "find_release", "has_releases", "iter_releases",
    "read_bounded", "release_manifest", "stored_release", "stored_tombstone",
]  # fmt: skip

MOST_MANIFEST: Final = 1 << 34


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """A release and its document as stored."""

    release: Release
    document: bytes

    @property
    def key(self) -> str:
        """Key of the document."""
        return release_key(self.release.sequence)

    @property
    def digest(self) -> str:
        """SHA-256 of the document, hexadecimal."""
        return sha256(self.document).hexdigest()


def read_bounded(store: ReadableStore, key: str, most: int) -> bytes | None:
    """Return an object that is not larger than it may be; None when it is absent.

    Raises
    ------
    FormatError
        If it is larger.
    """
    stat = store.stat(key)
    if stat is None:
        return None
    if stat.size > most:
        raise FormatError(
            f"{key} in {store.uri} has {stat.size:,} bytes, which is implausible",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="restore it from a copy",
        )
    return store.get(key)


def has_releases(store: ReadableStore) -> bool:
    """Tell whether a dataset (a store) has any release."""
    return store.stat(release_key(1)) is not None


def stored_release(store: ReadableStore, sequence: int) -> StoredRelease | None:
    """Return a release by its number; None when there is none.

    Raises
    ------
    FormatError
        If its document is broken, or that of another number.
    """
    key = release_key(sequence)
    data = read_bounded(store, key, MOST_DOCUMENT)
    if data is None:
        return None
    release = parse_release(data, key)
    if release.sequence != sequence:
        raise FormatError(
            f"{key} is the document of release {release.sequence}",
            code=Code.METADATA_INVALID,
            fix="restore it from a copy; release documents must never be changed",
        )
    return StoredRelease(release, data)


def iter_releases(store: ReadableStore, first: int = 1) -> Iterator[StoredRelease]:
    """Yield the releases from a number on, in order, up to the first that is not there.

    Raises
    ------
    FormatError
        If a document is broken.
    """
    sequence = first
    while (found := stored_release(store, sequence)) is not None:
        yield found
        sequence += 1


def find_release(store: ReadableStore, name: str) -> StoredRelease:
    """Return a release by its name.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    names = []
    for found in iter_releases(store):
        if found.release.name == name:
            return found
        names.append(found.release.name)
    raise NotFoundError(
        f"{store.uri} has no release {name}",
        code=Code.RELEASE_MISSING,
        fix=f"it has {', '.join(names[-10:])}" if names else "nothing of it was published yet",
    )


def stored_tombstone(store: ReadableStore, sequence: int) -> Tombstone | None:
    """Return the tombstone of a release; None when it was not withdrawn.

    Raises
    ------
    FormatError
        If it is broken.
    """
    key = tombstone_key(sequence)
    data = read_bounded(store, key, MOST_DOCUMENT)
    return None if data is None else parse_tombstone(data, key)


def release_manifest(store: ReadableStore, release: Release) -> Manifest:
    """Return the manifest of a release, checked against what the document says of it.

    Raises
    ------
    NotFoundError
        If it is missing.
    FormatError, ChecksumError
        If it is broken, or another one.
    """
    key = manifest_key(release.manifest.sha256)
    data = read_bounded(store, key, MOST_MANIFEST)
    if data is None:
        raise NotFoundError(
            f"the manifest of release {release.name}, {key}, is missing",
            code=Code.PATH_MISSING,
            fix="restore it from a copy; any manifest with the root that the release names will do",
        )
    manifest = parse_manifest(data, key, check=False)  # its roots are compared with those of the document
    check_manifest(manifest, release)
    return manifest


def check_manifest(manifest: Manifest, release: Release) -> None:
    """Refuse a manifest that is not the one a release names.

    Raises
    ------
    ChecksumError
        If it is not.
    """
    stated = release.manifest
    try:
        same = manifest_root(manifest).hex() == stated.sha256 and (
            not stated.blake3 or manifest_root(manifest, "blake3").hex() == stated.blake3
        )
    except InputError:  # digests that the document promises are not there
        same = False
    if not same or (len(manifest), manifest.nbytes) != (stated.objects, stated.nbytes):
        raise ChecksumError(
            f"{manifest_key(stated.sha256)} is not the manifest that release {release.name} names",
            code=Code.CHECKSUM_MISMATCH,
            fix="find out who changed it, and restore it from a copy",
        )
