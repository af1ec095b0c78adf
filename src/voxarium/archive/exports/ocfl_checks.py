"""OCFL objects, whoever wrote them: everything is checked; the files of a version are taken out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import new, sha256
from typing import Final

import numpy as np

from voxarium.archive.exports.adapters import Package, PackageReport
from voxarium.archive.exports.copying import DIGEST_BYTES, Copier
from voxarium.archive.exports.findings import Findings, compare_digests, iter_package, iter_pieces
from voxarium.archive.manifests import HashingProgress
from voxarium.errors import Code, FormatError, NotFoundError, VoxariumError
from voxarium.model.protocols import ReadableStore
from voxarium.spec import ocfl
from voxarium.spec.manifest import Strings, make_manifest, manifest_root
from voxarium.spec.release import MOST_DOCUMENT, Release, parse_release

__all__ = ["ObjectReader"]

_REGISTERED: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "initial")
_LOGS: Final = "logs/voxarium"
Progress = Callable[[HashingProgress], None]


@dataclass(slots=True)
class _Object:
    """What an object holds: sizes of content by path, other files, and what its inventories say."""

    content: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    inventory: ocfl.Inventory | None = None
    stated: dict[str, dict[str, str]] = field(default_factory=dict)
    """Digest by algorithm and content path, of all inventories."""


class ObjectReader:
    """Reads one object.

    Parameters
    ----------
    store : ReadableStore
        Its root.
    """

    def __init__(self, store: ReadableStore) -> None:
        self._store = store
        self._findings = Findings()
        self._found = _Object()

    def check(self, *, threads: int | None, progress: Progress | None) -> PackageReport:
        """Check everything: names, inventories, and every digest."""
        findings, found = self._findings, self._found
        inventory = self._read()
        if inventory is not None:
            totals = len(found.content), sum(found.content.values())
            compare_digests(self._store, self._expected(), totals, findings, threads=threads, progress=progress)
        package = self._package(inventory, "")
        return PackageReport(package=package, problems=findings.ended(), notes=tuple(dict.fromkeys(findings.notes)))

    def unpack(self, version: str, copier: Copier) -> Package:
        """Copy the files of a version, the last unless one is named.

        Raises
        ------
        NotFoundError
            If there is no such version.
        FormatError
            If the object is malformed or unsafe.
        """
        inventory = self._read()
        package = self._package(inventory, version)
        self._findings.refuse(self._store.uri)
        if inventory is None:  # then there was something to refuse
            raise FormatError(f"{self._store.uri} is no object", code=Code.METADATA_MISSING, fix="name its folder")
        number = _number(inventory, version)
        paths = {digest: path for path, digest in reversed(inventory.manifest.items())}
        state = inventory.states[number]
        objects = (
            (paths[digest], key, self._found.content[paths[digest]], bytes.fromhex(digest))
            for key, digest in sorted(state.items())
        )
        copier.expect(package.objects, package.nbytes)
        copier.copy_objects(self._store, objects, len(state), inventory.algorithm)
        return package

    # ------------------------------------------------------------------------------------------------------ structure
    def _read(self) -> ocfl.Inventory | None:
        """Read the inventories, and compare them with each other and with what is there: all but content."""
        findings, found = self._findings, self._found
        try:
            for key, size in iter_package(self._store, findings):
                inside = key.count("/") >= 2 and key[0] == "v"
                (found.content if inside else found.others)[key] = size
                found.folders.add(key.partition("/")[0])
            self._check_declaration()
            inventory = self._inventory("")
        except FormatError as error:
            findings.add_error(ocfl.INVENTORY_FILE, error)
            return None
        if inventory is None:
            return None
        found.inventory = inventory
        if not inventory.algorithm or not inventory.versions:
            return None
        self._check_names(inventory)
        followed = ""
        for number, name in enumerate(inventory.versions):
            try:
                followed = self._check_version(inventory, number, name, followed)
            except FormatError as error:
                findings.add_error(f"{name}/{ocfl.INVENTORY_FILE}", error)
        self._check_content(inventory)
        return inventory

    def _check_declaration(self) -> None:
        names = [k for k in self._found.others if k.startswith("0=") and "/" not in k]
        if len(names) != 1:
            text = f"there are {len(names)} declarations of an object instead of one (E003)"
            self._findings.add(ocfl.DECLARATION_FILE, "malformed", text)
        for name in names[:1]:
            ocfl.parse_declaration(name, b"".join(iter_pieces(self._store, name, 1024)))

    def _inventory(self, folder: str) -> ocfl.Inventory | None:
        """Return an inventory, compared with the digest beside it; None if there is none."""
        key = f"{folder}{ocfl.INVENTORY_FILE}"
        if key not in self._found.others:
            if not folder:
                self._findings.add(key, "missing", f"{key} is missing (E063)")
            return None
        data = b"".join(iter_pieces(self._store, key, ocfl.MOST_INVENTORY))
        inventory, remarks = ocfl.examine_inventory(data, key)
        for remark in remarks:
            if remark.wrong:
                self._findings.add(key, "malformed", f"{key}: {remark.text} ({remark.code})")
            else:
                self._findings.notes.append(f"{remark.text} ({remark.code})")
        if inventory.algorithm:
            self._check_sidecar(key, inventory.algorithm, data)
        return inventory

    def _check_sidecar(self, key: str, algorithm: str, data: bytes) -> None:
        name = f"{key}.{algorithm}"
        if name not in self._found.others:
            self._findings.add(name, "missing", f"{name} is missing (E058)")
            return
        try:
            stated = ocfl.parse_sidecar(b"".join(iter_pieces(self._store, name, 1024)), algorithm, name)
        except FormatError as error:
            self._findings.add_error(name, error)
            return
        digest = new(algorithm, data).digest()
        if digest != stated:
            text = f"{key} has another {algorithm} digest than stated (E060)"
            self._findings.add(key, "changed", text, f"{algorithm}:{stated.hex()}", f"{algorithm}:{digest.hex()}")

    def _check_names(self, inventory: ocfl.Inventory) -> None:
        """Note files that do not belong where they are."""
        names = set(inventory.versions)
        for key in self._found.others:
            head, inside, _ = key.partition("/")
            if head in ("extensions", "logs") and inside:
                self._check_extension(key)
            elif head in names and inside:
                if not _is_inventory(key.partition("/")[2]):
                    self._findings.add(key, "extra", f"{key} must not be in a version's folder (E015)")
            elif inside or not (_is_inventory(key) or key.startswith("0=")):
                code = "E046" if head.startswith("v") and inside else "E001"
                self._findings.add(key, "extra", f"{key} must not be in an object ({code})")
        strange = {key.partition("/")[0] for key in self._found.content} - names - {"extensions", "logs"}
        for name in sorted(strange):
            self._findings.add(name, "extra", f"{name} is no version of the inventory (E046)")

    def _check_extension(self, key: str) -> None:
        parts = key.split("/")
        if parts[0] == "extensions" and len(parts) == 2:
            self._findings.add(key, "extra", f"{key} must not be there (E067)")
        elif parts[0] == "extensions" and not parts[1].startswith(_REGISTERED):
            self._findings.notes.append(f"the extension {parts[1]} is not registered (W013)")

    def _check_version(self, root: ocfl.Inventory, number: int, name: str, followed: str) -> str:
        """Compare the inventory of a version with that of the object; return the specification that it follows."""
        start = f"{name}/"
        if name not in self._found.folders:
            self._findings.add(name, "missing", f"the folder of {name} is missing (E010)")
            return followed
        mine = self._inventory(start)
        key = f"{start}{ocfl.INVENTORY_FILE}"
        if mine is None:
            self._findings.notes.append(f"{name} should have an inventory (W010)")
            return followed
        add = self._findings.add
        if number == len(root.versions) - 1 and self._differ(key):
            add(key, "changed", f"{key} differs from the object's inventory (E064)")
        if mine.identifier != root.identifier:
            add(key, "changed", f"{key} is of the object {mine.identifier[:100]!r} (E037)")
        if mine.content != root.content:
            add(key, "changed", f"{key} calls the folders of content {mine.content[:40]!r} (E019)")
        if mine.head != name:
            add(key, "changed", f"{key} is the inventory of {mine.head[:40]!r} (E040)")
        if mine.spec_version < followed:
            add(key, "changed", f"{key} follows an earlier version of the specification than the one before (E103)")
        if mine.algorithm != root.algorithm:
            self._findings.notes.append(f"{name} has other digests than the last version (W004)")
        self._compare_states(root, mine, key)
        self._state_digests(mine, key, root, root.versions[: number + 1])
        return max(followed, mine.spec_version)

    def _differ(self, key: str) -> bool:
        first = iter_pieces(self._store, ocfl.INVENTORY_FILE, ocfl.MOST_INVENTORY)
        second = iter_pieces(self._store, key, ocfl.MOST_INVENTORY)
        return b"".join(first) != b"".join(second)

    def _compare_states(self, root: ocfl.Inventory, mine: ocfl.Inventory, key: str) -> None:
        """Note versions that mean other files here than in the object's inventory."""
        known = set(root.versions)
        strange = [v for v in mine.versions if v not in known]
        if strange:
            self._findings.add(key, "changed", f"{key} has versions that the object has not (E066)")
            return
        theirs = root.manifest
        paths = {d: p for p, d in mine.manifest.items()}
        for version, state, facts in zip(mine.versions, mine.states, mine.facts, strict=True):
            at = root.versions.index(version)
            meant = {path: theirs.get(paths.get(digest, "")) for path, digest in state.items()}
            if meant != root.states[at]:
                self._findings.add(key, "changed", f"{key} has other files in {version} (E066)")
            if facts != root.facts[at]:
                self._findings.notes.append(f"{key} says other things of {version} (W011)")

    def _state_digests(self, mine: ocfl.Inventory, key: str, root: ocfl.Inventory, until: Sequence[str]) -> None:
        """Remember the digests that an earlier inventory states; it has all content of its versions."""
        known = set(until)
        for path in root.manifest:
            if path not in mine.manifest and path.partition("/")[0] in known:
                self._findings.add(path, "changed", f"{key} does not list {path} (E023)")
        for path, digest in mine.manifest.items():
            if path not in root.manifest:
                text = f"{key} lists {path}, which the object's inventory does not (E023)"
                self._findings.add(path, "changed", text)
            self._state(mine.algorithm, path, digest)

    def _state(self, algorithm: str, path: str, digest: str) -> None:
        known = self._found.stated.setdefault(algorithm, {})
        if known.setdefault(path, digest) != digest:
            text = f"inventories state different {algorithm} digests of {path} (E092)"
            self._findings.add(path, "changed", text, f"{algorithm}:{known[path]}", f"{algorithm}:{digest}")

    def _check_content(self, inventory: ocfl.Inventory) -> None:
        found, middle = self._found, inventory.content
        for path, digest in inventory.manifest.items():
            self._state(inventory.algorithm, path, digest)
            if path not in found.content:
                self._findings.add(path, "missing", f"{path} is missing (E092)")
        for algorithm, block in inventory.fixity.items():
            if algorithm not in DIGEST_BYTES:
                self._findings.notes.append(f"fixity has {algorithm[:40]} digests, which are not looked at")
                continue
            for path, digest in block.items():
                self._state(algorithm, path, digest)
        for path in found.content:
            if path in inventory.manifest or not path.startswith("v"):
                continue
            if path.split("/")[1] == middle:
                self._findings.add(path, "extra", f"{path} is in no inventory (E023)")
            else:
                self._findings.notes.append(f"{path} is not in a folder of content (W002)")

    # --------------------------------------------------------------------------------------------------------- digests
    def _expected(self) -> Iterator[tuple[str, int, dict[str, bytes]]]:
        """Yield (key, size, digests) of the content that is there."""
        for path, size in self._found.content.items():
            stated = ((a, _hex(known.get(path), a)) for a, known in self._found.stated.items())
            digests = {algorithm: bytes.fromhex(digest) for algorithm, digest in stated if digest}
            if digests:
                yield path, size, digests

    def _package(self, inventory: ocfl.Inventory | None, version: str) -> Package:
        if inventory is None or not inventory.versions:
            return Package(kind="ocfl")
        number = _number(inventory, version)
        state, sizes = inventory.states[number], self._found.content
        paths = {digest: path for path, digest in inventory.manifest.items()}
        release, document = self._release(inventory, number, paths)
        return Package(
            kind="ocfl",
            identifier=inventory.identifier,
            versions=inventory.versions,
            release=release,
            document=document,
            objects=len(state),
            nbytes=sum(sizes.get(paths.get(d, ""), 0) for d in state.values()),
        )

    def _release(self, inventory: ocfl.Inventory, number: int, paths: dict[str, str]) -> tuple[str, str]:
        """Return name and document's digest of the release that a version is proven to be."""
        key = f"{_LOGS}/{number + 1:06d}.json"
        shas = inventory.manifest if inventory.algorithm == "sha256" else inventory.fixity.get("sha256", {})
        if key not in self._found.content and key not in self._found.others:
            return "", ""
        try:
            data = b"".join(iter_pieces(self._store, key, MOST_DOCUMENT))
            release: Release = parse_release(data, key)
        except FormatError as error:
            self._findings.add_error(key, error)
            return "", ""
        state = inventory.states[number]
        try:
            places = [paths[digest] for digest in state.values()]
            digests = np.frombuffer(b"".join(bytes.fromhex(shas[p]) for p in places), np.uint8).reshape(-1, 32)
            sizes = np.array([self._found.content[p] for p in places], np.int64)
            root = manifest_root(make_manifest(Strings.of(state), sizes, digests)).hex()
        except (KeyError, ValueError, VoxariumError):  # what is wrong with the inventory is noted already
            root = ""
        if root != release.manifest.sha256:
            text = f"{inventory.versions[number]} is not what release {release.name} consists of"
            self._findings.add(key, "changed", text, f"sha256:{release.manifest.sha256}", f"sha256:{root}")
            return "", ""
        return release.name, sha256(data).hexdigest()


def _is_inventory(name: str) -> bool:
    return name == ocfl.INVENTORY_FILE or name in (f"{ocfl.INVENTORY_FILE}.sha512", f"{ocfl.INVENTORY_FILE}.sha256")


def _hex(digest: str | None, algorithm: str) -> str:
    """Return a digest if it is one."""
    if digest is None or len(digest) != 2 * DIGEST_BYTES[algorithm]:
        return ""
    return digest if all(c in "0123456789abcdef" for c in digest) else ""


def _number(inventory: ocfl.Inventory, version: str) -> int:
    """Return the position of a version by its name; of the last if none is named."""
    if not version:
        return len(inventory.versions) - 1
    if version in inventory.versions:
        return inventory.versions.index(version)
    raise NotFoundError(
        f"the object has no version {version}",
        code=Code.RELEASE_MISSING,
        fix=f"it has {', '.join(inventory.versions[-10:])}",
    )
