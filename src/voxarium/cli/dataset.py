"""``voxarium dataset``: make a folder a dataset, list what belongs to it, link, rename."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import note, print_json, say
from voxarium.errors import Code, InputError, NotFoundError

if TYPE_CHECKING:
    from voxarium.archive.datasets import DatasetFolder
    from voxarium.spec.dataset_document import DatasetDocument, DatasetMember, Person

__all__ = ["DryRun", "Folder", "dataset_app"]

dataset_app = typer.Typer(
    name="dataset",
    help="Datasets: everything about one specimen in one folder, with licence, authors, links and provenance.",
    no_args_is_help=True,
)

Folder = Annotated[str, typer.Argument(metavar="DIR", help="The dataset: a folder, s3:// …")]
Member = Annotated[str, typer.Argument(metavar="MEMBER", help="Name of a member, or its path in the dataset.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]


class LayoutName(StrEnum):
    """Rules about names and places."""

    default = "default"
    cellmap = "cellmap"
    webknossos = "webknossos"


class KindName(StrEnum):
    """What a member is."""

    image = "image"
    label = "label"
    collection = "collection"
    mesh = "mesh"
    skeleton = "skeleton"
    annotation = "annotation"
    table = "table"
    graph = "graph"


@dataset_app.command()
def create(
    dataset: Annotated[str, typer.Argument(metavar="DIR", help="The folder, new or with images in it.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the dataset.")],
    layout: Annotated[LayoutName, typer.Option(help="Rules about names and places.")] = LayoutName.default,
    licence: Annotated[str, typer.Option("--license", metavar="SPDX", help="Such as CC-BY-4.0.")] = "",
    author: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Such as 'Ada Lovelace <https://orcid.org/…>'; repeat it.")
    ] = None,
    description: Annotated[str, typer.Option(metavar="TEXT", help="What it is.")] = "",
    contact: Annotated[str, typer.Option(metavar="TEXT", help="Who can be asked: a name or an address.")] = "",
    identifier: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A DOI or accession number; repeat it.")
    ] = None,
    funding: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="Who paid for it; repeat it.")] = None,
    specimen: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A fact, such as organism='Mus musculus'; repeat it.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make a folder a dataset: write dataset.json, which you may edit by hand, and begin its provenance log."""
    from voxarium.archive.datasets import create_dataset, planned_dataset
    from voxarium.spec.dataset_document import DatasetDocument

    document = DatasetDocument(
        name=name,
        layout=layout.value,
        license=licence,
        authors=tuple(map(_person, author or ())),
        description=description,
        contact=contact,
        identifiers=tuple(identifier or ()),
        funding=tuple({"funder": text} for text in funding or ()),
        specimen=dict(map(_fact, specimen or ())),
    )
    found = planned_dataset(dataset, document) if dry_run else create_dataset(dataset, document)
    if as_json:
        print_json(_document_json(document, found) | ({"dry_run": True} if dry_run else {}))
    elif not quiet:
        say(f"{'would make' if dry_run else 'made'} {found.uri} the dataset {name}, layout {layout.value}")
        if not licence:
            note("note", "no licence is stated, so nobody may use it: add it to dataset.json", "bold yellow")


def _person(text: str) -> Person:
    from voxarium.archive.agents import parse_agent
    from voxarium.spec.dataset_document import Person

    agent = parse_agent(text)
    return Person(name=agent.name, identifier=agent.identifier)


def _fact(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InputError(
            f"--specimen {text}", code=Code.ARGUMENT_INVALID, fix="write it as KEY=VALUE, such as organism=mouse"
        )
    return key, value


# --------------------------------------------------------------------------------------------------------- changing
@dataset_app.command()
def add(
    dataset: Folder,
    path: Annotated[str, typer.Argument(metavar="PATH", help="What lies in the dataset: its path there.")],
    kind: Annotated[
        KindName | None, typer.Option(help="What it is; found out for images, to be said for everything else.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List something that lies in the dataset as a member; images that are converted into it are listed anyway."""
    from voxarium.archive.datasets import facts_of, open_dataset
    from voxarium.archive.layouts import Facts
    from voxarium.archive.members import list_member
    from voxarium.model.provenance import Activity, Artifact

    folder = open_dataset(dataset)
    given = _inside(folder, path)
    found = None if kind not in (None, KindName.image, KindName.label) else _opened(folder, given)
    if found is not None:
        facts = facts_of(found)
        if kind is not None and facts.kind != "collection":
            facts = Facts(kind=kind.value, format=facts.format, dtype=facts.dtype, role=facts.role, levels=facts.levels)
    elif kind in (None, KindName.image, KindName.label):
        raise InputError(
            f"no image is at {folder.address(given)}",
            code=Code.FORMAT_UNRECOGNISED,
            fix="say what it is with --kind mesh, skeleton, annotation, table or graph; or check the path",
        )
    else:
        facts = Facts(kind=kind.value)
    place = folder.place(given, facts)
    _check_there(folder, given, place.path)
    if dry_run:
        member, notes = None, tuple[str, ...]()
    else:
        member, notes = list_member(folder, place, found, facts)
        folder.record(Activity(operation="ingest", outputs=[Artifact(place.path, role=facts.kind)]))
    if as_json:
        print_json(_member_json(member) if member else {"name": place.name, "path": place.path, "dry_run": True})
    elif not quiet:
        for text in notes:
            note("note", text, "bold yellow")
        say(f"{'would list' if dry_run else 'listed'} {place.name} ({facts.kind}) at {place.path}")


def _inside(folder: DatasetFolder, path: str) -> str:
    """Return a path in the dataset, also given as one that leads to it from elsewhere."""
    from voxarium.archive.datasets import enclosing_dataset
    from voxarium.model.keys import checked_key

    given = path.rstrip("/")
    if not given.startswith(("/", ".", "~")) and "://" not in given:
        around = enclosing_dataset(given)
        if around is not None and around[0].uri == folder.uri and not folder.has(given):
            return around[1]
        return checked_key(given)
    around = enclosing_dataset(given)
    if around is None or around[0].uri != folder.uri:
        raise InputError(
            f"{path} does not lie in {folder.uri}",
            code=Code.ARGUMENT_INVALID,
            fix=f"convert it into the dataset: voxarium convert {path} {folder.uri}/NAME; or copy it there first",
        )
    return around[1]


def _opened(folder: DatasetFolder, given: str) -> Any:
    from voxarium.archive.datasets import open_in

    return open_in(folder.address(given))


def _check_there(folder: DatasetFolder, given: str, path: str) -> None:
    if path == given and folder.has(path):
        return
    if folder.has(path):
        return
    if folder.has(given):
        raise InputError(
            f"{given} lies in the wrong place for the layout {folder.document.layout}",
            code=Code.NAME_REFUSED,
            fix=f"move it to {path} in the dataset, then add it again",
        )
    raise NotFoundError(f"nothing at {folder.address(path)}", code=Code.PATH_MISSING, fix="check the path")


@dataset_app.command()
def link(
    dataset: Folder,
    member: Member,
    to: Annotated[str, typer.Argument(metavar="OTHER", help="The member it belongs to.")],
    relation: Annotated[
        str, typer.Option("--as", metavar="WORD", help="What OTHER is to it; the kind of OTHER if not given.")
    ] = "",
    release: Annotated[str, typer.Option(metavar="NAME", help="Release that has OTHER in the state that counts.")] = "",
    digest: Annotated[str, typer.Option(metavar="DIGEST", help="Of that state, such as its logical digest.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Remove the link.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say that a member belongs to another: meshes to the labels they were made from, labels to their image."""
    from voxarium.archive.datasets import open_dataset
    from voxarium.archive.linking import linked, unlinked
    from voxarium.model.provenance import Activity, Artifact
    from voxarium.spec.dataset_document import Link

    folder = open_dataset(dataset)
    document = folder.document
    other = document[to]
    made = Link(member=other.name, relation=relation or other.kind, release=release, digest=digest)
    name = document[member].name

    def how(before: DatasetDocument) -> DatasetDocument:
        return unlinked(before, name, made) if remove else linked(before, name, made)

    after = how(document) if dry_run else folder.change(how)
    if not dry_run:
        folder.record(
            Activity(
                operation="annotate",
                outputs=[Artifact(after[name].path)],
                parameters={"link": other.name, "relation": made.relation, "release": release, "removed": remove},
            )
        )
    if as_json:
        print_json(_member_json(after[name]) | ({"dry_run": True} if dry_run else {}))
    elif not quiet:
        at = f" as of {release}" if release else ""
        verb = "would be" if dry_run else "is"
        say(f"{name} {verb} {'no longer ' if remove else ''}linked to {other.name} ({made.relation}){at}")


@dataset_app.command()
def rename(
    dataset: Folder,
    old: Annotated[str, typer.Argument(metavar="OLD", help="Name of a member.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Give a member another name: it moves to where that belongs, and links, views and alignments follow."""
    from voxarium.archive.datasets import open_dataset
    from voxarium.archive.renaming import plan_renaming
    from voxarium.archive.renaming import rename as run

    folder = open_dataset(dataset)
    plan = plan_renaming(folder, old, new)
    if not dry_run:
        run(folder, plan)
    if as_json:
        print_json(plan.to_json() | {"dry_run": dry_run})
    elif not quiet:
        for before, after in plan.moves:
            say(f"{'would move' if dry_run else 'moved'} {before} to {after}")


# ---------------------------------------------------------------------------------------------------------- showing
@dataset_app.command()
def ls(dataset: Folder, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List the members of a dataset."""
    from voxarium.archive.datasets import open_dataset

    document = open_dataset(dataset).document
    if as_json:
        print_json({"name": document.name, "members": [_member_json(m) for m in document.members]})
        return
    if quiet:
        return
    width = max((len(m.name) for m in document.members), default=0)
    for m in document.members:
        links = ", ".join(f"{k.relation} {k.member}" + (f"@{k.release}" if k.release else "") for k in m.links)
        say(f"{m.name:{width}}  {m.kind:10}  {m.path}" + (f"  → {links}" if links else ""))
    for text in document.iter_dangling():
        note("note", text, "bold yellow")


@dataset_app.command()
def show(
    dataset: Folder,
    member: Annotated[str | None, typer.Argument(metavar="MEMBER", help="One member only.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what dataset.json says: of the dataset, or of one member."""
    from voxarium.archive.datasets import open_dataset

    folder = open_dataset(dataset)
    document = folder.document
    found = _document_json(document, folder) if member is None else _member_json(document[member])
    if as_json:
        print_json(found)
        return
    if quiet:
        return
    for key, value in found.items():
        for line in _lines(key, value):
            say(line)
    for text in document.iter_dangling() if member is None else ():
        note("note", text, "bold yellow")


def _lines(key: str, value: Any) -> list[str]:
    if isinstance(value, list):
        return [f"{key}:"] + [f"  {_one(v)}" for v in value]
    return [f"{key}: {_one(value)}"]


def _one(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    parts = (f"{k} {_one(v)}" if k not in ("name", "member") else _one(v) for k, v in value.items() if k != "links")
    return ", ".join(parts)


def _member_json(member: DatasetMember) -> dict[str, Any]:  # Any: JSON
    from voxarium.spec.dataset_document import member_json

    return member_json(member)


def _document_json(document: DatasetDocument, folder: DatasetFolder) -> dict[str, Any]:  # Any: JSON
    import json

    from voxarium.spec.dataset_document import dump_dataset

    return {"uri": folder.uri, **json.loads(dump_dataset(document))}
