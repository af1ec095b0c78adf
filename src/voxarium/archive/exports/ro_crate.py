"""Releases as RO-Crates: the objects, and a document that says in schema.org's words what they are and how they came.

A crate names members, folders and files at the root, never single chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Final
from urllib.parse import quote

import numpy as np

from voxarium.archive.exports.adapters import ExportOptions, ExportPlan
from voxarium.archive.exports.addresses import object_urls
from voxarium.archive.exports.copying import Copier
from voxarium.archive.exports.source import ReleaseSource
from voxarium.core.report import bytes_text
from voxarium.model.fields import dump_json
from voxarium.model.protocols import WritableStore
from voxarium.spec.dataset_document import DatasetMember
from voxarium.spec.ro_crate import FILE_NAME, CrateFacts, CratePart, CratePerson, PartKind, dump_ro_crate

__all__ = ["RoCrateExport"]

_MOST_FILES: Final = 1000
"""Files at the root that are named one by one; more are chunks, or the like."""
_MEDIA: Final = {
    "json": "application/json", "jsonl": "application/jsonl", "md": "text/markdown", "txt": "text/plain",
    "csv": "text/csv", "xml": "application/xml", "html": "text/html", "png": "image/png", "jpg": "image/jpeg",
    "webp": "image/webp", "tif": "image/tiff", "tiff": "image/tiff", "zip": "application/zip",
    "parquet": "application/vnd.apache.parquet", "h5": "application/x-hdf5", "yaml": "application/yaml",
}  # fmt: skip


class RoCrateExport:
    """Writes crates."""

    name: ClassVar[str] = "ro-crate"
    spec_url: ClassVar[str] = "https://www.researchobject.org/ro-crate/specification/1.2/"
    summary: ClassVar[str] = "an RO-Crate: the objects and ro-crate-metadata.json"
    options: ClassVar[frozenset[str]] = frozenset({"url", "identifier"})
    single: ClassVar[bool] = False

    def plan(self, source: ReleaseSource, options: ExportOptions, /) -> ExportPlan:
        """Return what will be written: with an address, the document alone."""
        inside = _Inside(source)
        notes = [] if source.release.license else ["the release states no licence, which a crate must have"]
        own = source.manifest.find(FILE_NAME)
        if own >= 0:
            notes.append(f"the release has a {FILE_NAME} of its own, which is replaced")
        address = _addresses(source, options.url) if options.url else None
        document = dump_json(dump_ro_crate(source.activities(), _facts(source, options, inside), inside.kind, address))
        count = len(source.manifest) - (own >= 0)
        nbytes = source.manifest.nbytes - (int(source.manifest.sizes[own]) if own >= 0 else 0)
        plan = ExportPlan(documents=(FILE_NAME,), notes=tuple(notes), details=document)
        return replace(plan, referred=count) if options.url else replace(plan, objects=count, nbytes=nbytes)

    def write(
        self, source: ReleaseSource, options: ExportOptions, plan: ExportPlan, target: WritableStore, copier: Copier, /
    ) -> None:
        """Copy the objects, then write the document."""
        if not options.url:
            rows = np.arange(len(source.manifest))
            own = source.manifest.find(FILE_NAME)
            copier.copy_release(source.objects, rows[rows != own], lambda key: key)
        target.put(FILE_NAME, plan.details)


@dataclass(frozen=True, slots=True)
class _Inside:
    """What lies where in a release."""

    source: ReleaseSource

    def kind(self, key: str) -> PartKind:
        """Tell what lies at a key."""
        key = key.strip("/")
        if self.source.manifest.find(key) >= 0:
            return "file"
        try:
            return "folder" if next(iter(self.source.objects.list(key)), None) is not None else ""
        except ValueError:  # addresses in a log need not be keys
            return ""

    def file(self, key: str) -> CratePart:
        """Return a file as a part."""
        manifest = self.source.manifest
        i = manifest.find(key)
        suffix = key.rpartition("/")[2].rpartition(".")[2].lower()
        return CratePart(
            key=key,
            kind="file",
            size=int(manifest.sizes[i]),
            sha256=manifest.sha256[i].tobytes().hex(),
            format=_MEDIA.get(suffix, "application/octet-stream"),
            description=f"file of {bytes_text(int(manifest.sizes[i]))}",
        )

    def contents(self, key: str) -> str:
        """Say how much is in a folder."""
        count = nbytes = 0
        for _, size in self.source.objects.list(key):
            count, nbytes = count + 1, nbytes + size
        return f"{count:,} objects, {bytes_text(nbytes)}"


def _addresses(source: ReleaseSource, url: str) -> Callable[[str, PartKind], str]:
    address = object_urls(source, url)

    def where(key: str, kind: PartKind) -> str:
        if kind == "file":
            return address(source.manifest.find(key))
        return f"{url.rstrip('/')}/{quote(key)}/"

    return where


def _facts(source: ReleaseSource, options: ExportOptions, inside: _Inside) -> CrateFacts:
    document, release = source.document, source.release
    identifiers = [options.identifier, release.doi, *document.identifiers]
    properties = {
        "voxarium-release-document": f"sha256:{source.stored.digest}",
        "voxarium-manifest-root": f"sha256:{release.manifest.sha256}",
    }
    return CrateFacts(
        name=document.name,
        description=document.description or document.name,
        license=release.license,
        version=release.name,
        published=release.time,
        identifiers=tuple(dict.fromkeys(filter(None, identifiers))),
        properties=properties | ({"concept-doi": release.concept_doi} if release.concept_doi else {}),
        authors=tuple(
            CratePerson(name=p.name, identifier=p.identifier, affiliation=p.affiliation) for p in document.authors
        ),
        contact=document.contact,
        publisher=document.publisher,
        funding=document.funding,
        parts=tuple(_parts(source, inside)),
    )


def _parts(source: ReleaseSource, inside: _Inside) -> Iterator[CratePart]:
    """Yield members, and files and folders at the root that are none."""
    members = {m.path: m for m in source.document.members if inside.kind(m.path)}
    named = {m.name: m.path for m in members.values()}
    files, folders = source.objects.list_dir("")
    pictures = [m.thumbnail for m in members.values()] + [source.document.thumbnail]
    loose = [f for f in files if f != FILE_NAME]
    keys = dict.fromkeys([p for p in pictures if p and source.manifest.find(p) >= 0] + loose[:_MOST_FILES])
    for key in keys:
        if key not in members:
            yield inside.file(key)
    for folder in folders:
        if folder not in members:
            yield CratePart(key=folder, kind="folder", description=inside.contents(folder))
    for member in members.values():
        yield _member(member, source, inside, named)


def _member(member: DatasetMember, source: ReleaseSource, inside: _Inside, named: dict[str, str]) -> CratePart:
    kind = inside.kind(member.path)
    known = inside.file(member.path) if kind == "file" else None
    about = known.description if known else inside.contents(member.path)
    return CratePart(
        key=member.path,
        kind=kind,
        name=member.name,
        description="; ".join(filter(None, (member.description, about))),
        format=member.format or (known.format if known else ""),
        size=known.size if known else None,
        sha256=known.sha256 if known else "",
        keywords=tuple(dict.fromkeys(filter(None, (member.kind, member.role)))),
        based_on=tuple(named[link.member] for link in member.links if link.member in named),
        thumbnail=member.thumbnail if member.thumbnail and source.manifest.find(member.thumbnail) >= 0 else "",
    )
