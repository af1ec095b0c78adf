"""Releases for git-annex and DataLad: tables of addresses and keys, from which both make a tree without fetching it.

The tree that comes of it is what ``git annex add`` would have made of the same files: the same keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.exports.adapters import ExportOptions, ExportPlan
from voxarium.archive.exports.addresses import object_urls
from voxarium.archive.exports.copying import Copier
from voxarium.archive.exports.source import ReleaseSource
from voxarium.archive.exports.targets import put_pieces
from voxarium.errors import Code, InputError
from voxarium.model.protocols import WritableStore
from voxarium.spec import git_annex

__all__ = ["DataladExport"]

_TABLE, _KEYS, _URLS, _README = "urls.csv", "fromkey.txt", "registerurl.txt", "README.md"
_WEB: Final = ("http://", "https://")


class DataladExport:
    """Writes tables."""

    name: ClassVar[str] = "datalad"
    spec_url: ClassVar[str] = "https://git-annex.branchable.com/internals/key_format/"
    summary: ClassVar[str] = "tables for datalad addurls and git annex: addresses, names, digests, keys"
    options: ClassVar[frozenset[str]] = frozenset({"url", "digest"})
    single: ClassVar[bool] = False

    def plan(self, source: ReleaseSource, options: ExportOptions, /) -> ExportPlan:
        """Return what will be written; for MD5 keys all objects are read."""
        algorithm = options.digest or "sha256"
        if algorithm not in git_annex.BACKENDS:
            known = " or ".join(git_annex.BACKENDS)
            raise InputError(f"--digest {algorithm}", code=Code.ARGUMENT_INVALID, fix=f"use {known}")
        url = options.url or source.dataset.uri
        if not options.url and not url.startswith(_WEB):
            raise InputError(
                "git-annex needs to know where the objects can be got",
                code=Code.ARGUMENT_INVALID,
                fix="give the address at which the dataset is published: --url https://example.org/brain",
            )
        address = object_urls(source, url)
        count = len(source.manifest)
        for i, key in enumerate(source.manifest.keys):
            git_annex.checked_name(key)
            address(i)
        notes = [] if url.startswith(_WEB) else ["git-annex itself gets http and https only; DataLad also gets s3"]
        if algorithm != "sha256":
            notes.append("manifests have no such digests: every object is read")
        return ExportPlan(
            referred=count, documents=(_TABLE, _KEYS, _URLS, _README), notes=tuple(notes), details=address
        )

    def write(
        self, source: ReleaseSource, options: ExportOptions, plan: ExportPlan, target: WritableStore, copier: Copier, /
    ) -> None:
        """Write the tables."""
        algorithm = options.digest or "sha256"
        digests = source.manifest.sha256
        if algorithm != "sha256":
            copier.expect(len(digests), source.manifest.nbytes)
            digests = copier.copy_release(source.objects, np.arange(len(digests)), None, (algorithm,))[algorithm]
        tables = _Tables(source, algorithm, digests, plan.details)
        put_pieces(target, _TABLE, tables.rows())
        put_pieces(target, _KEYS, tables.keys())
        put_pieces(target, _URLS, tables.urls())
        target.put(_README, _readme(source, algorithm).encode())


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """What the tables are made of."""

    source: ReleaseSource
    algorithm: str
    digests: NDArray[np.uint8]
    address: Callable[[int], str]

    def rows(self) -> Iterator[bytes]:
        """Yield the table for DataLad."""
        yield git_annex.table_row(("url", "filename", self.algorithm, "size"))
        for i, (name, _) in enumerate(self._keys()):
            size = int(self.source.manifest.sizes[i])
            yield git_annex.table_row((self.address(i), name, self.digests[i].tobytes().hex(), size))

    def keys(self) -> Iterator[bytes]:
        """Yield key and name of each file."""
        for name, key in self._keys():
            yield git_annex.fromkey_line(key, name)

    def urls(self) -> Iterator[bytes]:
        """Yield key and address of each file."""
        for i, (_, key) in enumerate(self._keys()):
            yield git_annex.registerurl_line(key, self.address(i))

    def _keys(self) -> Iterator[tuple[str, str]]:
        manifest = self.source.manifest
        for i, name in enumerate(manifest.keys):
            size = int(manifest.sizes[i])
            yield name, git_annex.annex_key(self.algorithm, self.digests[i].tobytes(), size, name)


def _readme(source: ReleaseSource, algorithm: str) -> str:
    kind = git_annex.BACKENDS[algorithm]
    return f"""# {source.label} {source.release.name} for git-annex and DataLad

Release document sha256:{source.stored.digest}, {len(source.manifest):,} files, {source.manifest.nbytes:,} bytes.

With git-annex, in a new folder (nothing is fetched):

    git init && git annex init
    git annex fromkey --force --batch < fromkey.txt
    git annex registerurl --batch < registerurl.txt
    git commit -m "{source.label} {source.release.name}"

With DataLad:

    datalad create {source.label} && cd {source.label}
    datalad addurls --key 'et:{kind.removesuffix("E")}-s{{size}}--{{{algorithm}}}' urls.csv '{{url}}' '{{filename}}'

Then `git annex get em/` or `datalad get em/` fetches what is wanted, and checks it.
"""
