"""``voxarium dataset describe``: say more of a dataset: who made it, who may use it, who publishes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.dataset import DryRun, Folder, dataset_app
from voxarium.cli.printing import print_json, say
from voxarium.errors import Code, InputError

if TYPE_CHECKING:
    from voxarium.spec.dataset_document import Person

__all__ = ["dataset_app"]


@dataset_app.command()
def describe(
    dataset: Folder,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="Name of the dataset.")] = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="What it is.")] = None,
    licence: Annotated[str | None, typer.Option("--license", metavar="SPDX", help="Such as CC-BY-4.0.")] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Such as 'Lovelace, Ada <https://orcid.org/…>'; repeat it. Replaces all."),
    ] = None,
    affiliation: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of the authors that are named with it.")
    ] = None,
    contact: Annotated[str | None, typer.Option(metavar="TEXT", help="Who can be asked.")] = None,
    publisher: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Who makes it available: an archive, an institute.")
    ] = None,
    identifier: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A DOI or accession number; repeat it. Replaces all.")
    ] = None,
    funding: Annotated[
        list[str] | None, typer.Option(metavar="FUNDER[=AWARD]", help="Who paid for it; repeat it. Replaces all.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Change what dataset.json says of the whole dataset. Only what is given changes; releases stay as they are."""
    from dataclasses import replace

    from voxarium.archive.datasets import open_dataset
    from voxarium.model.provenance import Activity, Artifact
    from voxarium.spec.dataset_document import FILE_NAME

    given: dict[str, Any] = {
        "name": name,
        "description": description,
        "license": licence,
        "authors": None if author is None else tuple(_person(a, affiliation or "") for a in author),
        "contact": contact,
        "publisher": publisher,
        "identifiers": None if identifier is None else tuple(identifier),
        "funding": None if funding is None else tuple(map(_funding, funding)),
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise InputError(
            "nothing is said of the dataset", code=Code.ARGUMENT_INVALID, fix="see voxarium dataset describe --help"
        )
    folder = open_dataset(dataset)
    if dry_run:
        replace(folder.document, **changes)
    else:
        folder.change(lambda before: replace(before, **changes))
        # What was said may name people, who may want to be forgotten: the log has the names of the facts only.
        folder.record(
            Activity(operation="annotate", outputs=[Artifact(FILE_NAME)], parameters={"facts": sorted(changes)})
        )
    if as_json:
        print_json({"dataset": folder.uri, "changed": sorted(changes), "dry_run": dry_run})
    elif not quiet:
        say(f"{'would change' if dry_run else 'changed'} {', '.join(sorted(changes))} of {folder.uri}")


def _person(text: str, affiliation: str) -> Person:
    from voxarium.archive.agents import parse_agent
    from voxarium.spec.dataset_document import Person

    agent = parse_agent(text)
    return Person(name=agent.name, identifier=agent.identifier, affiliation=affiliation)


def _funding(text: str) -> dict[str, str]:
    funder, _, award = text.partition("=")
    return {"funder": funder.strip()} | ({"award": award.strip()} if award.strip() else {})
