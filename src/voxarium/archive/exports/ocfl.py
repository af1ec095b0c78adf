"""Releases as versions of an OCFL object: each content is stored once, however many releases have it.

The object of a release has the releases before it as its earlier versions. The documents of the releases lie in
``logs/``: the SHA-256 digests that the inventory states prove which release a version is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.agents import software_versions
from voxarium.archive.exports.adapters import ExportOptions, ExportPlan, Package, PackageReport
from voxarium.archive.exports.copying import DIGEST_BYTES, Copier
from voxarium.archive.exports.ocfl_checks import ObjectReader
from voxarium.archive.exports.source import ReleaseSource
from voxarium.archive.exports.targets import put_pieces
from voxarium.archive.manifests import HashingProgress
from voxarium.core.releases import stored_tombstone
from voxarium.core.report import bytes_text
from voxarium.errors import Code, InputError
from voxarium.model.protocols import ListableStore, ReadableStore, WritableStore
from voxarium.spec import ocfl
from voxarium.spec.manifest import Manifest

__all__ = ["OcflExport"]

_ALGORITHMS: Final = ("sha512", "sha256")
Progress = Callable[[HashingProgress], None]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Version:
    """A release as a version.

    Parameters
    ----------
    source : ReleaseSource
        The release.
    contents : array of int64
        For each object of its manifest, the number of its content; contents are numbered as they first appear.
    new : array of int64
        Rows of the manifest whose content is stored in this version, by number of content.
    first : int
        Number of the first of these contents.
    """

    source: ReleaseSource
    contents: Rows
    new: Rows
    first: int

    @property
    def stop(self) -> int:
        """Number of contents up to this version."""
        return self.first + len(self.new)


class OcflExport:
    """Writes and reads OCFL objects."""

    name: ClassVar[str] = "ocfl"
    spec_url: ClassVar[str] = "https://ocfl.io/1.1/spec/"
    summary: ClassVar[str] = "an OCFL object: this release and those before as versions, equal content stored once"
    options: ClassVar[frozenset[str]] = frozenset({"digest", "identifier", "storage_root"})
    single: ClassVar[bool] = False

    # ---------------------------------------------------------------------------------------------------------- writing
    def plan(self, source: ReleaseSource, options: ExportOptions, /) -> ExportPlan:
        """Return what will be written."""
        if options.digest not in ("", *_ALGORITHMS):
            raise InputError(
                f"--digest {options.digest}", code=Code.ARGUMENT_INVALID, fix=f"use {' or '.join(_ALGORITHMS)}"
            )
        versions = _versions(source)
        identifier = options.identifier or _identifier(source)
        notes = [] if ":" in identifier else [f"the identifier {identifier} should be a URI"]
        size = _inventory_bytes(versions)
        if size > ocfl.MOST_INVENTORY // 2:
            notes.append(
                f"the inventory will have about {bytes_text(size)}, which few programs read: use larger shards"
            )
        sizes = [v.source.manifest.sizes[v.new] for v in versions]
        return ExportPlan(
            objects=versions[-1].stop,
            nbytes=sum(int(s.sum()) for s in sizes),
            documents=(ocfl.INVENTORY_FILE, ocfl.DECLARATION_FILE),
            notes=tuple(notes),
            place=ocfl.layout_path(identifier) if options.storage_root else "",
            details=(identifier, versions),
        )

    def prepare(self, root: WritableStore, /) -> None:
        """Make a storage root, or see that it is one of our layout."""
        documents = ocfl.layout_documents()
        if isinstance(root, ListableStore) and any(map(len, root.list_dir(""))):
            stated = root.get("ocfl_layout.json")
            if root.stat(ocfl.ROOT_DECLARATION_FILE) is None or stated is None or ocfl.LAYOUT.encode() not in stated:
                raise InputError(
                    f"{root.uri} is no OCFL storage root of the layout {ocfl.LAYOUT}",
                    code=Code.TARGET_EXISTS,
                    fix="name one, or a folder that does not exist; or export the object alone, without --storage-root",
                )
            return
        for key, data in documents.items():
            root.put_if_absent(key, data)

    def write(
        self, source: ReleaseSource, options: ExportOptions, plan: ExportPlan, target: WritableStore, copier: Copier, /
    ) -> None:
        """Write content version by version, the inventories, and the declaration last."""
        identifier, versions = plan.details
        algorithm = options.digest or _ALGORITHMS[0]
        extra = () if algorithm == "sha256" else (algorithm,)
        digests = np.zeros((plan.objects, DIGEST_BYTES[algorithm]), np.uint8)
        for number, version in enumerate(versions, 1):
            found = copier.copy_release(version.source.objects, version.new, _content(number), extra)
            shas = version.source.manifest.sha256[version.new]
            digests[version.first : version.stop] = found[algorithm] if extra else shas
        table = _Contents(versions, algorithm, digests)
        for number, version in enumerate(versions, 1):
            target.put(f"logs/voxarium/{number:06d}.json", version.source.stored.document)
            digest = table.put(target, f"v{number}/", identifier, number)
            target.put(f"v{number}/{ocfl.INVENTORY_FILE}.{algorithm}", ocfl.sidecar(digest))
        digest = table.put(target, "", identifier, len(versions))
        target.put(f"{ocfl.INVENTORY_FILE}.{algorithm}", ocfl.sidecar(digest))
        target.put(ocfl.DECLARATION_FILE, ocfl.DECLARATION)

    # ---------------------------------------------------------------------------------------------------------- reading
    def recognises(self, store: ReadableStore, /) -> bool:
        """Tell whether there is the declaration of an object."""
        return any(store.stat(f"0=ocfl_object_{v}") is not None for v in ("1.1", "1.0"))

    def check(self, store: ReadableStore, /, *, threads: int | None, progress: Progress | None) -> PackageReport:
        """Check everything."""
        return ObjectReader(store).check(threads=threads, progress=progress)

    def unpack(self, store: ReadableStore, version: str, target: WritableStore, copier: Copier, /) -> Package:
        """Copy the files of a version under their logical paths; see `PackageAdapter`."""
        return ObjectReader(store).unpack(version, copier)


# ------------------------------------------------------------------------------------------------------------- writing
def _identifier(source: ReleaseSource) -> str:
    """Return what the dataset, not one release of it, may be called by a URI."""
    release = source.release
    if release.concept_doi:
        return f"https://doi.org/{release.concept_doi}"
    if release.log is not None:
        return UUID(release.log.log).urn
    first = next(source.history())
    return UUID(first.stored.digest[:32]).urn


def _content(number: int) -> Callable[[str], str]:
    return lambda key: f"v{number}/content/{key}"


def _versions(source: ReleaseSource) -> list[_Version]:
    """Number the contents of all releases up to one, as they first appear."""
    known = np.empty(0, "S32")  # sorted; trailing zeros of a digest do not matter, since all are equally long
    numbers = np.empty(0, np.int64)
    out: list[_Version] = []
    for release in source.history():
        rows = _as_text(release.manifest)
        texts, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
        at = np.minimum(np.searchsorted(known, texts), max(len(known) - 1, 0))
        there = known[at] == texts if len(known) else np.zeros(len(texts), np.bool_)
        mine = np.empty(len(texts), np.int64)
        mine[there] = numbers[at[there]] if len(known) else 0
        fresh = np.flatnonzero(~there)
        fresh = fresh[np.argsort(first[fresh], kind="stable")]  # in the order of the manifest
        begin = len(known)
        mine[fresh] = begin + np.arange(len(fresh))
        out.append(_Version(release, mine[inverse.ravel()], first[fresh].astype(np.int64), begin))
        known = np.concatenate([known, texts[fresh]])
        numbers = np.concatenate([numbers, mine[fresh]])
        order = np.argsort(known, kind="stable")
        known, numbers = known[order], numbers[order]
    return out


def _inventory_bytes(versions: Sequence[_Version]) -> int:
    """Return about how large the inventory will be: each path some three times, and digests."""
    manifests = [v.source.manifest for v in versions]
    return sum(200 * len(m) + int(m.keys.offsets[-1]) for m in manifests) + 400 * versions[-1].stop


def _as_text(manifest: Manifest) -> NDArray[np.bytes_]:
    return np.ascontiguousarray(manifest.sha256).view("S32").ravel()


@dataclass(frozen=True, slots=True, eq=False)
class _Contents:
    """All contents, with what is needed to write inventories of them."""

    versions: Sequence[_Version]
    algorithm: str
    digests: NDArray[np.uint8]

    def manifest(self, count: int, algorithm: str) -> Iterator[ocfl.Group]:
        """Yield digest and content path of the first contents."""
        for number, version in enumerate(self.versions, 1):
            manifest = version.source.manifest
            for at, row in enumerate(version.new.tolist(), version.first):
                if at >= count:
                    return
                digest = self.digests[at] if algorithm == self.algorithm else manifest.sha256[row]
                yield digest.tobytes().hex(), (_content(number)(manifest.keys[row]),)

    def state(self, version: _Version) -> Iterator[ocfl.Group]:
        """Yield digests and logical paths of a version."""
        keys = version.source.manifest.keys
        order = np.argsort(version.contents, kind="stable")
        ends = np.flatnonzero(np.diff(version.contents[order])) + 1
        for rows in np.split(order, ends) if len(order) else ():
            digest = self.digests[version.contents[rows[0]]].tobytes().hex()
            yield digest, (keys[row] for row in rows.tolist())

    def put(self, target: WritableStore, folder: str, identifier: str, count: int) -> bytes:
        """Store the inventory of the first so many versions, and return its digest."""
        versions = self.versions[:count]
        stop = versions[-1].stop
        other = "sha256" if self.algorithm != "sha256" else ""
        pieces = ocfl.inventory_pieces(
            identifier,
            self.algorithm,
            self.manifest(stop, self.algorithm),
            ((_head(v.source), self.state(v)) for v in versions),
            [(other, self.manifest(stop, other))] if other else [],
        )
        return put_pieces(target, f"{folder}{ocfl.INVENTORY_FILE}", pieces, self.algorithm)


def _head(source: ReleaseSource) -> ocfl.VersionHead:
    release = source.release
    tombstone = stored_tombstone(source.dataset, release.sequence)
    parts = (
        f"release {release.name}",
        release.note,
        "" if tombstone is None else f"withdrawn: {tombstone.reason}",
        f"document sha256:{source.stored.digest}",
    )
    recorded = source.publication()
    agent = None if recorded is None else recorded.activity.agent
    name = f"voxarium {software_versions()['voxarium']}" if agent is None else agent.name
    address = "https://voxarium.readthedocs.io" if agent is None else agent.identifier
    return ocfl.VersionHead(created=release.time, message="; ".join(filter(None, parts)), user=name, address=address)
