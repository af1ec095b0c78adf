"""``voxarium upgrade``: metadata of a later version over the same chunks."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import note, print_json, say
from voxarium.cli.progress import UpgradeDisplay
from voxarium.errors import Code, InputError

if TYPE_CHECKING:
    from voxarium.conversion.upgrading import UpgradeReport

__all__ = ["upgrade"]


class ModeName(StrEnum):
    """What becomes of the old documents."""

    REPLACE = "replace"
    DUAL = "dual"


def upgrade(
    uri: Annotated[
        str,
        typer.Argument(metavar="URI", help="Root of the tree: image, plate, container of images, or any Zarr group."),
    ],
    to: Annotated[str | None, typer.Option(metavar="V", help="Version: 0.5 or 0.6; 0.5 if not given.")] = None,
    beside: Annotated[
        str | None,
        typer.Option(metavar="DST", help="Leave URI as it is; put the result here, with chunks linked or copied."),
    ] = None,
    mode: Annotated[ModeName, typer.Option(help="dual: old documents stay, readers of both versions work.")] = (
        ModeName.REPLACE
    ),
    copy: Annotated[bool, typer.Option("--copy", help="With --beside: copy chunks, never link them.")] = False,
    skip_refused: Annotated[
        bool, typer.Option("--skip-refused", help="Leave what cannot be upgraded as it is, and do the rest.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Undo the last upgrade in place, finished or not.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List every document and every refusal; change nothing.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Upgrade OME-Zarr 0.1-0.5 to 0.5 or 0.6 without touching chunks.

    Whole trees at once: images, labels, plates, bioformats2raw containers, other groups and arrays. In place, a journal
    in the tree (.voxarium-upgrade) allows --rollback; a stopped upgrade is finished by the same command.
    """
    from voxarium.archive.jobs import roll_back
    from voxarium.archive.jobs import upgrade as run_upgrade

    if rollback and (to or beside or dry_run or skip_refused or copy):
        raise InputError(
            "--rollback takes no other option",
            code=Code.ARGUMENT_INVALID,
            fix="give only the root of the tree that was upgraded",
        )
    with UpgradeDisplay(silent=as_json or quiet) as bar:
        if rollback:
            report = roll_back(uri, progress=bar.update)
        else:
            report = run_upgrade(
                uri,
                to=to,
                beside=beside,
                mode=mode.value,
                dry_run=dry_run,
                skip_refused=skip_refused,
                links=not copy,
                progress=bar.update,
            )
    if as_json:
        print_json(report.to_json())
    elif not quiet:
        _print(report, dry_run=dry_run, rollback=rollback)
    if dry_run and report.refusals and not skip_refused:
        raise typer.Exit(1)


def _print(report: UpgradeReport, *, dry_run: bool, rollback: bool) -> None:
    for action, key in report.changes:
        say(f"{action:6}  {key}")
    for refusal in report.refusals:
        note("refused", f"{refusal.path or '.'}: {refusal.message} ({refusal.fix})", "bold red")
    for text, (count, places) in report.notes.items():
        where = ", ".join(p or "." for p in places) + (
            f" and {count - len(places)} more" if count > len(places) else ""
        )
        note("note", f"{text} ({where})", "bold yellow")
    say(_summary(report, dry_run=dry_run, rollback=rollback))


def _summary(report: UpgradeReport, *, dry_run: bool, rollback: bool) -> str:
    documents = f"{report.written:,} documents written, {report.removed:,} removed"
    if rollback:
        return f"undone: {documents.replace('written', 'restored')}"
    if dry_run:
        return f"would upgrade {report.nodes:,} nodes to {report.target}: {documents}; nothing was changed"
    extra = f", {report.linked:,} objects linked, {report.copied:,} copied" if report.linked or report.copied else ""
    undo = f"; undo with --rollback ({report.journal})" if report.journal else ""
    return f"{report.nodes:,} nodes follow {report.target}: {documents}{extra}{undo}"
