"""Links between members of a dataset: what belongs to what, and as of which release."""

from __future__ import annotations

from dataclasses import replace

from voxarium.errors import Code, InputError
from voxarium.spec.dataset_document import DatasetDocument, Link

__all__ = ["linked", "unlinked"]


def linked(document: DatasetDocument, name: str, link: Link) -> DatasetDocument:
    """Return a document in which a member has a link; an earlier one of the same relation to the same member goes.

    Raises
    ------
    NotFoundError
        If one of the two is no member.
    InputError
        If they are one.

    Examples
    --------
    >>> from voxarium.spec.dataset_document import DatasetMember
    >>> em, mito = (DatasetMember(name=n, path=n, kind=k) for n, k in (("em", "image"), ("mito", "label")))
    >>> document = linked(DatasetDocument(name="p", members=(em, mito)), "mito", Link(member="em", relation="image"))
    >>> [k.member for k in document["mito"].links]
    ['em']
    """
    member, other = document[name], document[link.member]
    if member is other:
        raise InputError(
            f"{member.name} would be linked to itself", code=Code.ARGUMENT_INVALID, fix="name another member"
        )
    new = replace(link, member=other.name)
    kept = tuple(k for k in member.links if (k.relation, k.member) != (new.relation, new.member))
    return document.with_member(replace(member, links=(*kept, new)))


def unlinked(document: DatasetDocument, name: str, link: Link) -> DatasetDocument:
    """Return a document in which a member lacks a link.

    Raises
    ------
    InputError
        If it has none.
    """
    member = document[name]
    kept = tuple(k for k in member.links if (k.relation, k.member) != (link.relation, link.member))
    if kept == member.links:
        raise InputError(
            f"{member.name} is not linked to {link.member} as its {link.relation}",
            code=Code.ARGUMENT_INVALID,
            fix="see voxarium dataset ls",
        )
    return document.with_member(replace(member, links=kept))
