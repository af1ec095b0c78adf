"""Datasets: a folder with Voxarium's own ``dataset.json``, which lists what belongs to one specimen.

Specification: docs/reference/dataset-json.md. Images, label images and collections are members that open; the slots for
meshes, skeletons, annotations, tables and graphs are listed under the fact ``others``.
"""

from __future__ import annotations

from typing import ClassVar, Final

from voxarium.errors import Code, NotFoundError
from voxarium.model.collection import CollectionInfo, Member, MemberKind
from voxarium.model.image import Bag, SourceRecord
from voxarium.model.protocols import ReadableStore
from voxarium.spec.dataset_document import (
    FILE_NAME,
    MOST_BYTES,
    OWN_FOLDERS,
    DatasetDocument,
    DatasetMember,
    is_dataset,
    parse_dataset,
)

__all__ = ["DatasetDriver"]

_KINDS: Final[dict[str, MemberKind]] = {"image": "image", "label": "label", "collection": "collection"}


class DatasetDriver:
    """Reads ``dataset.json``."""

    name: ClassVar[str] = "dataset"
    spec_url: ClassVar[str] = "https://voxarium.readthedocs.io/reference/dataset-json"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = -10  # before the collection document beside it, which says less

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """List the members of the dataset at `path`.

        Raises
        ------
        NotFoundError
            If there is no dataset, but perhaps another program's ``dataset.json``.
        FormatError
            If the document breaks the specification.
        """
        key = f"{path}/{FILE_NAME}" if path else FILE_NAME
        stat = None if "::" in path else store.stat(key)
        data = None if stat is None or stat.size > MOST_BYTES else store.get(key)
        if data is None or not is_dataset(data):
            raise NotFoundError(
                f"no {FILE_NAME} of a dataset under {path!r} in {store.uri}",
                code=Code.FORMAT_UNRECOGNISED,
                fix="check the path; voxarium dataset create makes one",
            )
        document = parse_dataset(data, key)
        others = [{"name": m.name, "path": m.path, "kind": m.kind} for m in document.members if m.kind not in _KINDS]
        return CollectionInfo(
            format=self.name,
            kind="collection",
            name=document.name,
            spec_version=document.spec_version,
            members=tuple(_member(m, kind) for m in document.members if (kind := _KINDS.get(m.kind))),
            bag=Bag(records=(SourceRecord(format=self.name, header=data),)),
            facts=_facts(document) | ({"others": others} if others else {}),
            notes=tuple(document.iter_dangling())[:20],
            own_folders=OWN_FOLDERS,
        )


def _member(member: DatasetMember, kind: MemberKind) -> Member:
    facts = {"role": member.role, "format": member.format, "system": member.system}
    links = [{"relation": k.relation, "member": k.member} for k in member.links]
    return Member(
        path=member.path,
        name=member.name,
        kind=kind,
        facts={k: v for k, v in facts.items() if v} | ({"links": links} if links else {}),
    )


def _facts(document: DatasetDocument) -> dict[str, object]:
    facts = {
        "layout": document.layout,
        "license": document.license,
        "description": document.description,
        "authors": [p.name for p in document.authors],
    }
    return {k: v for k, v in facts.items() if v}
