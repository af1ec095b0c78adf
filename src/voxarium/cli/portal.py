"""``voxarium portal``: a dataset browser as files."""

from __future__ import annotations

from typing import Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import note, print_json, say

__all__ = ["portal_app"]

portal_app = typer.Typer(
    name="portal",
    help="A dataset browser as files, for an object store or any web server; `voxarium serve` shows the same live.",
    no_args_is_help=True,
)
_MOST_LINES = 20


@portal_app.callback()
def _portal() -> None:
    """Make `build` a command of its own, although it is the only one."""


@portal_app.command()
def build(
    places: Annotated[
        list[str],
        typer.Argument(metavar="ROOT… OUT", help="Folders of datasets, or places in object stores; then where to."),
    ],
    base_url: Annotated[
        str,
        typer.Option(
            metavar="URL", help="Address of the data of ROOT for others; of several, each ROOT's name follows."
        ),
    ] = "",
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title of the catalogue.")] = "Datasets",
    description: Annotated[str, typer.Option(metavar="TEXT", help="A sentence below it.")] = "",
    viewer: Annotated[
        str, typer.Option(metavar="URL", help="A Neuroglancer that links lead to; '' for no such links.")
    ] = "https://neuroglancer-demo.appspot.com/",
    check: Annotated[
        bool, typer.Option("--validate", help="Check the metadata of each dataset; add the reports.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make all pages, and write none.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a catalogue with search and filters, and a page for each dataset: plain files that need no server."""
    from voxarium.errors import Code, InputError
    from voxarium.view.portal.building import PortalOptions, build_portal
    from voxarium.view.portal.words import safe_link

    if len(places) < 2:
        raise InputError(
            "a portal needs a place to be written to",
            code=Code.ARGUMENT_INVALID,
            fix=f"name it behind the data: voxarium portal build {places[0]} site",
        )
    for name, url in (("--base-url", base_url), ("--viewer", viewer)):
        if url and not safe_link(url):
            raise InputError(
                f"{name} {url} is no address of the web", code=Code.ARGUMENT_INVALID, fix="begin it with https://"
            )
    options = PortalOptions(title=title, description=description, base_url=base_url, viewer=viewer, validate=check)
    built = build_portal(places[:-1], places[-1], options, dry_run=dry_run)
    if as_json:
        print_json(built.to_json() | {"dry_run": dry_run})
    elif not quiet:
        for place, why in built.problems[:_MOST_LINES]:
            note("note", f"{place} is left out: {why}", "bold yellow")
        verb = "would write" if dry_run else "wrote"
        count = len(built.datasets)
        say(
            f"{verb} {len(built.written):,} files about {count:,} dataset{'' if count == 1 else 's'} to {built.out}"
            f" ({len(built.kept):,} were up to date, {len(built.removed):,} {'would go' if dry_run else 'went'})"
        )
