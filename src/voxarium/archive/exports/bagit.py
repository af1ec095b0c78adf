"""Releases as bags (RFC 8493), and bags, whoever wrote them, checked and taken out.

The release's own document lies in the bag as the tag file ``voxarium/release.json``: a bag whose list of digests has
the root that it names is proven to hold that release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import ClassVar, Final

import numpy as np

from voxarium.archive.agents import software_versions
from voxarium.archive.exports.adapters import ExportOptions, ExportPlan, Package, PackageReport
from voxarium.archive.exports.addresses import object_urls
from voxarium.archive.exports.copying import DIGEST_BYTES, Copier
from voxarium.archive.exports.findings import (
    Findings,
    Table,
    compare_digests,
    iter_package,
    iter_pieces,
)
from voxarium.archive.exports.source import ReleaseSource
from voxarium.archive.exports.targets import put_pieces
from voxarium.archive.manifests import HashingProgress
from voxarium.archive.trees import Listing, Tree
from voxarium.core.report import bytes_text
from voxarium.errors import Code, FormatError, InputError
from voxarium.model.protocols import ReadableStore, WritableStore
from voxarium.spec import bagit
from voxarium.spec.manifest import Strings, make_manifest, manifest_root, matching
from voxarium.spec.release import MOST_DOCUMENT, parse_release

__all__ = ["BagExport"]

_RELEASE: Final = "voxarium/release.json"
_MOST_LIST: Final = 1 << 34
_MOST_LISTS: Final = 16
_MOST_TAGS: Final = 100_000
_STRONGEST: Final = ("sha512", "sha384", "sha256", "sha224", "sha1", "md5")
Progress = Callable[[HashingProgress], None]


class BagExport:
    """Writes and reads bags."""

    name: ClassVar[str] = "bagit"
    spec_url: ClassVar[str] = "https://www.rfc-editor.org/rfc/rfc8493"
    summary: ClassVar[str] = "a bag: the objects below data/, lists of digests, what it is"
    options: ClassVar[frozenset[str]] = frozenset({"url", "identifier"})
    single: ClassVar[bool] = False

    # ---------------------------------------------------------------------------------------------------------- writing
    def plan(self, source: ReleaseSource, options: ExportOptions, /) -> ExportPlan:
        """Return what will be written: with an address, ``fetch.txt`` instead of copies."""
        documents = (_RELEASE, bagit.INFO_FILE, "manifest-sha256.txt", "tagmanifest-sha256.txt", bagit.DECLARATION_FILE)
        count = len(source.manifest)
        if not options.url:
            return ExportPlan(objects=count, nbytes=source.manifest.nbytes, documents=documents)
        address = object_urls(source, options.url)
        for i in range(count):  # before anything is written: each must have an address
            address(i)
        note = "the bag is complete when what its fetch.txt lists was fetched"
        return ExportPlan(referred=count, documents=(*documents, bagit.FETCH_FILE), notes=(note,), details=address)

    def write(
        self, source: ReleaseSource, options: ExportOptions, plan: ExportPlan, target: WritableStore, copier: Copier, /
    ) -> None:
        """Write the payload, then the tag files, ``bagit.txt`` last."""
        manifest = source.manifest
        digests = {bagit.DECLARATION_FILE: sha256(bagit.DECLARATION).digest()}

        def put(key: str, parts: Iterable[bytes]) -> None:
            digests[key] = put_pieces(target, key, parts)

        if plan.details is None:
            copier.copy_release(source.objects, range(len(manifest)), lambda key: f"{bagit.PAYLOAD}/{key}")
        else:
            put(bagit.FETCH_FILE, _fetch_lines(source, plan.details))
        lines = (
            bagit.manifest_line(manifest.sha256[i].tobytes(), f"{bagit.PAYLOAD}/{key}")
            for i, key in enumerate(manifest.keys)
        )
        put("manifest-sha256.txt", lines)
        put(_RELEASE, [source.stored.document])
        put(bagit.INFO_FILE, [bagit.dump_info(_info(source, options))])
        listed = sorted(digests.items())
        put("tagmanifest-sha256.txt", (bagit.manifest_line(digest, key) for key, digest in listed))
        target.put(bagit.DECLARATION_FILE, bagit.DECLARATION)

    # ---------------------------------------------------------------------------------------------------------- reading
    def recognises(self, store: ReadableStore, /) -> bool:
        """Tell whether there is a ``bagit.txt``."""
        return store.stat(bagit.DECLARATION_FILE) is not None

    def check(self, store: ReadableStore, /, *, threads: int | None, progress: Progress | None) -> PackageReport:
        """Check everything."""
        findings = Findings()
        try:
            bag = _read(store, findings)
        except FormatError as error:
            findings.add_error(bagit.DECLARATION_FILE, error)
            return PackageReport(package=Package(kind=self.name), problems=findings.ended())
        totals = len(bag.payload.sizes), int(bag.payload.sizes.sum())
        compare_digests(store, _expected(bag), totals, findings, threads=threads, progress=progress)
        package = _package(store, bag, findings)
        return PackageReport(package=package, problems=findings.ended(), notes=tuple(findings.notes))

    def unpack(self, store: ReadableStore, version: str, target: WritableStore, copier: Copier, /) -> Package:
        """Copy what is below ``data/``; see `PackageAdapter`."""
        if version:
            raise InputError("a bag has no versions", code=Code.ARGUMENT_INVALID, fix="leave out --version")
        findings = Findings()
        bag = _read(store, findings)
        for path in bag.awaited:
            findings.add(path, "missing", f"{path} is not in the bag; its fetch.txt says where it is")
        package = _package(store, bag, findings)
        findings.refuse(store.uri)
        algorithm = next((a for a in _STRONGEST if a in bag.lists and len(bag.lists[a]) == len(bag.payload.sizes)), "")
        if not algorithm:
            raise FormatError(
                f"no list of {store.uri} has all files",
                code=Code.METADATA_INVALID,
                fix="`voxarium release check` names what is wrong",
            )
        copier.expect(package.objects, package.nbytes)
        skip, table, sizes = len(bagit.PAYLOAD) + 1, bag.lists[algorithm], bag.payload.sizes
        objects = ((path, path[skip:], int(sizes[i]), table.digests[i].tobytes()) for i, path in enumerate(table.paths))
        copier.copy_objects(store, objects, len(table), algorithm)
        return package


# ------------------------------------------------------------------------------------------------------------- writing
def _fetch_lines(source: ReleaseSource, address: Callable[[int], str]) -> Iterator[bytes]:
    manifest = source.manifest
    for i, key in enumerate(manifest.keys):
        yield bagit.fetch_line(address(i), int(manifest.sizes[i]), f"{bagit.PAYLOAD}/{key}")


def _info(source: ReleaseSource, options: ExportOptions) -> list[tuple[str, str]]:
    document, release, manifest = source.document, source.release, source.manifest
    fields = [
        ("Source-Organization", document.publisher),
        ("Contact-Name", document.contact),
        ("External-Description", document.description or document.name),
        ("Bagging-Date", datetime.now(UTC).date().isoformat()),
        ("External-Identifier", options.identifier),
        ("External-Identifier", release.doi),
        ("Bag-Size", bytes_text(manifest.nbytes)),
        ("Payload-Oxum", f"{manifest.nbytes}.{len(manifest)}"),
        ("Internal-Sender-Identifier", f"{source.label}@{release.name}"),
        ("Internal-Sender-Description", release.note),
        ("Bag-Software-Agent", f"voxarium {software_versions().get('voxarium', '')}".strip()),
        ("License", release.license),
        ("Voxarium-Release", release.name),
        ("Voxarium-Document", f"sha256:{source.stored.digest}"),
        ("Voxarium-Root", f"sha256:{release.manifest.sha256}"),
    ]
    return [(name, value) for name, value in fields if value.strip()]


# ------------------------------------------------------------------------------------------------------------- reading
@dataclass(slots=True)
class _Bag:
    """What a bag lists and what is there."""

    declaration: bagit.Declaration
    payload: Listing
    tags: dict[str, int] = field(default_factory=dict)
    lists: dict[str, Table] = field(default_factory=dict)
    tag_lists: dict[str, Table] = field(default_factory=dict)
    awaited: dict[str, int | None] = field(default_factory=dict)
    info: tuple[tuple[str, str], ...] = ()


def _read(store: ReadableStore, findings: Findings) -> _Bag:
    """Read all lists of a bag, and compare them with what is there: names, not digests.

    Raises
    ------
    FormatError
        If it is no bag.
    """
    tags: dict[str, int] = {}
    payload = Tree(store).listing(_payload(store, tags, findings))
    if bagit.DECLARATION_FILE not in tags:
        raise FormatError(
            f"{store.uri} has no file {bagit.DECLARATION_FILE}", code=Code.METADATA_MISSING, fix="name a bag's folder"
        )
    declaration = bagit.parse_declaration(b"".join(iter_pieces(store, bagit.DECLARATION_FILE, 1024)))
    bag = _Bag(declaration, payload, tags)
    found = [key for key in tags if "/" not in key and "manifest-" in key and key.endswith(".txt")]
    for key in found[:_MOST_LISTS]:
        _read_list(store, bag, key, findings)
    if len(found) > _MOST_LISTS:
        findings.add(found[_MOST_LISTS], "implausible", f"{len(found)} lists of digests are implausible")
    if not bag.lists:
        findings.add("manifest-sha256.txt", "missing", "there is no list of the payload's digests that can be checked")
    _read_fetch(store, bag, findings)
    _compare_payload(bag, findings)
    _compare_tags(bag, findings)
    _read_info(store, bag, findings)
    return bag


def _payload(store: ReadableStore, tags: dict[str, int], findings: Findings) -> Iterator[tuple[str, int]]:
    for key, size in iter_package(store, findings):
        if key.startswith(f"{bagit.PAYLOAD}/"):
            yield key, size
        elif len(tags) < _MOST_TAGS:
            tags[key] = size
        else:
            findings.add(key, "implausible", f"{key} is one tag file too many")


def _read_list(store: ReadableStore, bag: _Bag, key: str, findings: Findings) -> None:
    kind, _, algorithm = key.removesuffix(".txt").partition("-")
    algorithm = algorithm.lower()
    if kind not in ("manifest", "tagmanifest"):
        return
    if algorithm not in bagit.DIGITS:
        findings.notes.append(f"{key} is not looked at: its digests cannot be computed here")
        return
    payload = kind == "manifest"
    table = Table(DIGEST_BYTES[algorithm])
    try:
        for line in bagit.iter_lines(iter_pieces(store, key, _MOST_LIST), bag.declaration.encoding, key):
            try:
                digest, path = bagit.parse_manifest_line(line, algorithm, key, payload=payload)
            except FormatError as error:
                findings.add_error(key, error)
                continue
            table.add(path, digest)
    except FormatError as error:
        findings.add_error(key, error)
    for path in table.sort():
        findings.add(path, "duplicate", f"{key} lists {path} more than once")
    (bag.lists if payload else bag.tag_lists)[algorithm] = table


def _read_fetch(store: ReadableStore, bag: _Bag, findings: Findings) -> None:
    if bagit.FETCH_FILE not in bag.tags:
        return
    fetched = Table(8)
    try:
        pieces = iter_pieces(store, bagit.FETCH_FILE, _MOST_LIST)
        for line in bagit.iter_lines(pieces, bag.declaration.encoding, bagit.FETCH_FILE):
            try:
                found = bagit.parse_fetch_line(line)
            except FormatError as error:
                findings.add_error(bagit.FETCH_FILE, error)
                continue
            size = -1 if found.size is None else found.size
            fetched.add(found.path, size.to_bytes(8, "little", signed=True))
    except FormatError as error:
        findings.add_error(bagit.FETCH_FILE, error)
    for path in fetched.sort():
        findings.add(path, "duplicate", f"{bagit.FETCH_FILE} lists {path} more than once")
    there = matching(fetched.paths, bag.payload.keys)[0]
    sizes = fetched.digests.view("<i8").ravel() if len(fetched) else np.zeros(0, np.int64)
    for algorithm, table in bag.lists.items():
        for i in np.flatnonzero(matching(fetched.paths, table.paths)[0] < 0).tolist():
            path = fetched.paths[i]
            findings.add(path, "unlisted", f"{bagit.FETCH_FILE} lists {path}, manifest-{algorithm}.txt does not")
    for i in np.flatnonzero(there < 0).tolist():
        bag.awaited[fetched.paths[i]] = None if sizes[i] < 0 else int(sizes[i])
    if bag.awaited:
        findings.notes.append(f"{len(bag.awaited):,} files are not in the bag: {bagit.FETCH_FILE} says where they are")


def _compare_payload(bag: _Bag, findings: Findings) -> None:
    """Compare the lists with what is there. Since 1.0 each has to have every file; before, all of them together."""
    listed = np.zeros(len(bag.payload.sizes), np.bool_)
    for algorithm, table in bag.lists.items():
        there, back = matching(table.paths, bag.payload.keys)
        listed |= back >= 0
        for i in np.flatnonzero(there < 0).tolist():
            path = table.paths[i]
            if path not in bag.awaited:
                findings.add(path, "missing", f"{path} is missing, yet manifest-{algorithm}.txt lists it")
        if bag.declaration.version >= (1, 0):
            for i in np.flatnonzero(back < 0).tolist():
                key = bag.payload.keys[i]
                findings.add(key, "extra", f"{key} is not listed in manifest-{algorithm}.txt")
    if bag.declaration.version < (1, 0) and bag.lists:
        for i in np.flatnonzero(~listed).tolist():
            key = bag.payload.keys[i]
            findings.add(key, "extra", f"{key} is listed nowhere")


def _compare_tags(bag: _Bag, findings: Findings) -> None:
    for algorithm, table in bag.tag_lists.items():
        for path in table.paths:
            if path.startswith("tagmanifest-"):
                findings.add(path, "malformed", f"tagmanifest-{algorithm}.txt lists {path}, which it must not")
            elif path not in bag.tags:
                findings.add(path, "missing", f"{path} is missing, yet tagmanifest-{algorithm}.txt lists it")


def _read_info(store: ReadableStore, bag: _Bag, findings: Findings) -> None:
    if bagit.INFO_FILE not in bag.tags:
        return
    try:
        data = b"".join(iter_pieces(store, bagit.INFO_FILE, bagit.MOST_TAG_FILE))
        bag.info = bagit.parse_info(data, bag.declaration.encoding)
    except FormatError as error:
        findings.add_error(bagit.INFO_FILE, error)
        return
    stated = [value for name, value in bag.info if name.lower() == "payload-oxum"]
    have = int(bag.payload.sizes.sum()), len(bag.payload.sizes)
    if stated and not bag.awaited and bagit.parse_oxum(stated[-1]) != have:
        text = f"{have[0]}.{have[1]}"
        message = f"Payload-Oxum states {stated[-1][:60]}, and there are {have[0]:,} bytes in {have[1]:,} files"
        findings.add(bagit.INFO_FILE, "changed", message, stated[-1][:60], text)


def _expected(bag: _Bag) -> Iterator[tuple[str, int, dict[str, bytes]]]:
    """Yield (key, size, digests) of what is listed and there."""
    places = {a: matching(bag.payload.keys, table.paths)[0] for a, table in bag.lists.items()}
    for i, size in enumerate(bag.payload.sizes.tolist()):
        digests = {a: bag.lists[a].digests[at[i]].tobytes() for a, at in places.items() if at[i] >= 0}
        if digests:
            yield bag.payload.keys[i], size, digests
    tags: dict[str, dict[str, bytes]] = {}
    for algorithm, table in bag.tag_lists.items():
        for i, path in enumerate(table.paths):
            if path in bag.tags:
                tags.setdefault(path, {})[algorithm] = table.digests[i].tobytes()
    for path, digests in tags.items():
        yield path, bag.tags[path], digests


def _package(store: ReadableStore, bag: _Bag, findings: Findings) -> Package:
    """Return what the bag is, and the release that it is proven to list."""
    names = {name.lower(): value for name, value in bag.info}
    release, document = _release(store, bag, findings)
    return Package(
        kind=BagExport.name,
        identifier=names.get("external-identifier", ""),
        release=release,
        document=document,
        objects=len(bag.payload.sizes),
        nbytes=int(bag.payload.sizes.sum()),
    )


def _release(store: ReadableStore, bag: _Bag, findings: Findings) -> tuple[str, str]:
    table = bag.lists.get("sha256")
    if _RELEASE not in bag.tags or table is None:
        return "", ""
    try:
        data = b"".join(iter_pieces(store, _RELEASE, MOST_DOCUMENT))
        release = parse_release(data, _RELEASE)
    except FormatError as error:
        findings.add_error(_RELEASE, error)
        return "", ""
    at = matching(table.paths, bag.payload.keys)[0]
    sizes = np.array(
        [bag.payload.sizes[at[i]] if at[i] >= 0 else bag.awaited.get(p) or 0 for i, p in enumerate(table.paths)],
        np.int64,
    )
    skip = len(bagit.PAYLOAD) + 1
    manifest = make_manifest(Strings.of(path[skip:] for path in table.paths), sizes, table.digests)
    root = manifest_root(manifest).hex()
    if root != release.manifest.sha256:
        what = f"the bag does not list what release {release.name} consists of"
        findings.add(_RELEASE, "changed", what, f"sha256:{release.manifest.sha256}", f"sha256:{root}")
        return "", ""
    return release.name, sha256(data).hexdigest()
