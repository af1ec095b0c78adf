"""``voxarium access``: which datasets of a server everybody may see, and who did what."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import print_json, printable, say
from voxarium.cli.token import DatabaseOption, opened, person, when

__all__ = ["access_app"]

access_app = typer.Typer(
    name="access", help="Which datasets of a server are public; who did what.", no_args_is_help=True
)


class Word(StrEnum):
    """What a dataset may be."""

    public = "public"
    private = "private"
    unset = "unset"


@access_app.command("set")
def set_(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Root, folder or image; * for the rest.")],
    what: Annotated[Word, typer.Argument(metavar="public|private|unset")],
    database: DatabaseOption = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make a dataset public or private; servers notice within five seconds. What is below it follows."""
    from voxarium.serve.database.rules import set_rule

    with opened(database, create=True) as found:
        set_rule(found, address, None if what is Word.unset else what is Word.public, by=person())
    if as_json:
        print_json({"address": address, "public": None if what is Word.unset else what is Word.public})
    elif not quiet:
        say(f"{printable(address)} is {what}")


@access_app.command("list")
def list_(database: DatabaseOption = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List what was set."""
    from voxarium.serve.database.rules import list_rules

    with opened(database) as found:
        rules = list_rules(found)
    if as_json:
        print_json({"rules": [{"address": a, "public": p} for a, p in rules.items()]})
        return
    if quiet:
        return
    for address, public in rules.items():
        say(f"{'public ' if public else 'private'}  {printable(address)}")


@access_app.command()
def log(
    most: Annotated[int, typer.Option("--most", "-n", min=1, max=100_000, metavar="N", help="How many.")] = 100,
    action: Annotated[str | None, typer.Option(metavar="NAME", help="Only these, such as token-created.")] = None,
    database: DatabaseOption = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print who did what, the newest first. The log is only appended to."""
    from voxarium.serve.database.audit import list_events

    with opened(database) as found:
        events = list_events(found, most=most, action=action)
    if as_json:
        print_json({"events": [event.document() for event in events]})
        return
    if quiet:
        return
    for event in events:
        say(f"{when(event.at)}  {printable(event.who) or '-'}  {event.action}  {printable(event.what)}  {event.client}")
