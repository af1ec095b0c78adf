"""What an adapter that hands a release to another system offers. Each is one file and one line of entry points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from voxarium.archive.exports.copying import Copier
from voxarium.archive.exports.source import ReleaseSource
from voxarium.archive.manifests import HashingProgress
from voxarium.model.protocols import ReadableStore, WritableStore

__all__ = [
    "ExportOptions", "ExportPlan", "ExportReport", "Package", "PackageAdapter", "PackageProblem", "PackageReport",
    "ReleaseExport", "RootedExport",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How a release is handed over. An adapter names those it understands; others are refused.

    Parameters
    ----------
    url : str
        Where others can get the objects: the address of the dataset, or, if it ends with ``@NAME``, of the release.
        Objects are then referred to instead of copied.
    digest : str
        Algorithm of the digests that the other system knows objects by.
    identifier : str
        What the other system calls the release or the dataset.
    storage_root : bool
        Put it into a storage root, which may exist, instead of a place of its own.
    """

    url: str = ""
    digest: str = ""
    identifier: str = ""
    storage_root: bool = False

    @property
    def given(self) -> frozenset[str]:
        """Names of the options that were given."""
        return frozenset(n for n in ("url", "digest", "identifier", "storage_root") if getattr(self, n))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """What will be written.

    Parameters
    ----------
    objects, nbytes : int
        Objects that are copied.
    documents : tuple of str
        Documents that are written besides, as far as they have names before.
    referred : int
        Objects that are only referred to.
    notes : tuple of str
        What the user should know.
    place : str
        Where in the target, if not at its root.
    details : object
        Whatever the adapter wants to have at hand when it writes.
    """

    objects: int = 0
    nbytes: int = 0
    documents: tuple[str, ...] = ()
    referred: int = 0
    notes: tuple[str, ...] = ()
    place: str = ""
    details: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was written, or would be."""

    release: str
    kind: str
    target: str
    plan: ExportPlan
    dry_run: bool

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the report for ``--json``."""
        return {
            "release": self.release,
            "format": self.kind,
            "target": self.target,
            "objects": self.plan.objects,
            "bytes": self.plan.nbytes,
            "documents": list(self.plan.documents),
            "referred": self.plan.referred,
            "notes": list(self.plan.notes),
            "dry_run": self.dry_run,
        }


@runtime_checkable
class ReleaseExport(Protocol):
    """Writes a release in the form of another system."""

    name: ClassVar[str]
    spec_url: ClassVar[str]
    summary: ClassVar[str]
    options: ClassVar[frozenset[str]]
    """Which fields of `ExportOptions` it understands."""
    single: ClassVar[bool]
    """Whether the target is one file, not a folder."""

    def plan(self, source: ReleaseSource, options: ExportOptions, /) -> ExportPlan:
        """Return what will be written, without reading any of the release's objects but documents."""

    def write(
        self, source: ReleaseSource, options: ExportOptions, plan: ExportPlan, target: WritableStore, copier: Copier, /
    ) -> None:
        """Write into an empty place. What says that it is complete comes last.

        If `single`, the one object has the key `voxarium.archive.exports.targets.SINGLE`.
        """


@runtime_checkable
class RootedExport(ReleaseExport, Protocol):
    """An adapter that may put what it writes below a root that it shares with others."""

    def prepare(self, root: WritableStore, /) -> None:
        """Make the root, or see that it is one.

        Raises
        ------
        InputError
            If it is another thing.
        """


# ------------------------------------------------------------------------------------------------------------ packages
@dataclass(frozen=True, slots=True, kw_only=True)
class PackageProblem:
    """One thing that is wrong with a package.

    Parameters
    ----------
    key : str
        Object in the package.
    kind : str
        ``missing``, ``extra``, ``changed``, ``malformed``, ``unsafe``, ``duplicate``, ``implausible``, ``link`` …
    message : str
        What is wrong.
    expected, found : str or None
        What was to be there, what is.
    """

    key: str
    kind: str
    message: str
    expected: str | None = None
    found: str | None = None

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the problem for ``--json``."""
        return {n: getattr(self, n) for n in ("key", "kind", "message", "expected", "found")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What a package says it holds.

    Parameters
    ----------
    kind : str
        Name of its adapter.
    identifier : str
        Its own name for itself.
    versions : tuple of str
        Its versions, the oldest first; empty if it has only one state.
    release : str
        Name of the release that it is proven to hold; empty if it proves nothing.
    document : str
        SHA-256 of that release's document.
    objects, nbytes : int
        What it holds, as far as known.
    """

    kind: str
    identifier: str = ""
    versions: tuple[str, ...] = ()
    release: str = ""
    document: str = ""
    objects: int = 0
    nbytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageReport:
    """What a check of a package found."""

    package: Package
    problems: tuple[PackageProblem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the report for ``--json``."""
        p = self.package
        return {
            "ok": self.ok,
            "problems": [problem.to_json() for problem in self.problems],
            "notes": list(self.notes),
            "format": p.kind,
            "identifier": p.identifier,
            "versions": list(p.versions),
            "release": p.release or None,
            "document": f"sha256:{p.document}" if p.document else None,
            "objects": p.objects,
            "bytes": p.nbytes,
        }


@runtime_checkable
class PackageAdapter(Protocol):
    """Reads what it, or other software, wrote: checks it and takes the objects out."""

    name: ClassVar[str]

    def recognises(self, store: ReadableStore, /) -> bool:
        """Tell whether a folder claims to be one of these."""

    def check(
        self, store: ReadableStore, /, *, threads: int | None, progress: Callable[[HashingProgress], None] | None
    ) -> PackageReport:
        """Check everything: what is listed, what is there, and every digest."""

    def unpack(self, store: ReadableStore, version: str, target: WritableStore, copier: Copier, /) -> Package:
        """Copy the objects of a version (empty: the last) into an empty place, each under its own key.

        Raises
        ------
        FormatError
            If it is malformed or unsafe.
        ChecksumError
            If an object is not what it should be.
        """
