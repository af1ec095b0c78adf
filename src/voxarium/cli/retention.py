"""``voxarium release gc``: remove what nothing names any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.log import By, Dataset, agent_of
from voxarium.cli.printing import print_json, say

if TYPE_CHECKING:
    from voxarium.archive.retention import Collected, Doomed

__all__ = ["gc"]

_KINDS: Final = {
    "manifest": "manifest of no release",
    "object": "named by no release or draft",
    "pieces": "named by no release or draft",
    "draft": "superseded state of a draft",
    "temporary": "left by a stopped writer",
    "upload": "begun in parts and never finished",
    "withdrawn": "of a withdrawn release only",
}


def gc(
    dataset: Dataset,
    apply: Annotated[bool, typer.Option("--apply", help="Remove; else only tell what would be removed.")] = False,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="Keep what is younger, by the clock of the store: 7d, 36h, 90m.")
    ] = "7d",
    withdrawn: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also what only this withdrawn release consists of; needs --reason."),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; goes into the log.")] = "",
    by: By = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Remove objects that no release and no draft names: leftovers of stopped writers, superseded drafts.

    Tells what that would be; --apply does it. What a release consists of is never removed; that of withdrawn ones only
    if it is asked for by name. While any document of a release or draft cannot be read, nothing is removed.
    """
    from voxarium.archive.retention import CollectOptions, collect, parse_duration

    options = CollectOptions(
        grace=parse_duration(grace), apply=apply, withdrawn=withdrawn or (), reason=reason, agent=agent_of(by)
    )
    found = collect(dataset, options)
    if as_json:
        print_json(found.to_json())
        return
    if not quiet:
        for one in found.objects:
            say(_line(found, one))
        for note in found.notes:
            say(f"note: {note}")
        say(_summary(found))


def _line(found: Collected, one: Doomed) -> str:
    from voxarium.core.report import bytes_text

    days = (found.now - one.modified) / 86400
    return f"{one.key}  {bytes_text(one.size)}, {days:,.1f} days old, {_KINDS[one.kind]}"


def _summary(found: Collected) -> str:
    from voxarium.core.report import bytes_text

    size = f"{len(found.objects):,} objects, {bytes_text(found.nbytes)}"
    young = f"; {found.young:,} more are too young" if found.young else ""
    if found.applied:
        return f"removed {size}{young}"
    return f"would remove {size}{young}" + (" (--apply removes them)" if found.objects else "")
