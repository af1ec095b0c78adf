"""``voxarium copy``: archives from place to place, object by object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxarium.cli.arguments import AsJson, Quiet, Threads
from voxarium.cli.printing import note, print_json, say
from voxarium.cli.progress import HashingDisplay
from voxarium.cli.values import byte_count, region

if TYPE_CHECKING:
    from voxarium.archive.copying import CopyPlan, CopyReport

__all__ = ["copy"]

_PARTS = "Parts"


def copy(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A folder, an s3://, gs://, az:// or https:// address, an .ozx, a file, or a release: DATASET@v1.0.",
        ),
    ],
    target: Annotated[
        str, typer.Argument(metavar="DST", help="A folder or prefix that holds nothing else; a file for a file.")
    ],
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Only this member of a dataset; may be repeated.", rich_help_panel=_PARTS),
    ] = None,
    level: Annotated[
        str,
        typer.Option(metavar="N|N:|N,N", help="Only these levels: 2, 1: (from 1 on), 0,2.", rich_help_panel=_PARTS),
    ] = "",
    box: Annotated[
        str | None,
        typer.Option(
            metavar="A:B,…",
            help="Only what holds voxels of this region of level 0; the rest then reads as fill value.",
            rich_help_panel=_PARTS,
        ),
    ] = None,
    limit: Annotated[
        str | None, typer.Option(metavar="SIZE/s", help="At most so many bytes per second, such as 50MB/s.")
    ] = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="Complete a copy that is there; what was published there is never replaced."),
    ] = False,
    manifest: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What the source should be; SRC.manifest.parquet if not given and there."),
    ] = None,
    write_manifest: Annotated[
        bool, typer.Option("--write-manifest", help="Write DST.manifest.parquet from digests taken while copying.")
    ] = False,
    no_register: Annotated[
        bool,
        typer.Option("--no-register", help="Do not list an image in the dataset it is copied into."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List and count; write nothing.")] = False,
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Copy an archive between stores, object by object; what arrives is compared with the manifest or release.

    An image that is copied into a dataset becomes a member of it, as one that is converted does. The same command again
    goes on with a copy that was stopped. Exit code 0 when all is there, 1 when an object of the
    source is not what it should be: the documents that would make the copy count as whole are then not copied.
    """
    from voxarium.archive.copying import copy as run_copy
    from voxarium.archive.copying import plan_copy

    choices: dict[str, Any] = {
        "images": tuple(image or ()),
        "levels": level,
        "box": region("--box", box),
        "limit": byte_count("--limit", None if limit is None else limit.removesuffix("/s")),
        "update": update,
        "manifest": manifest,
        "write_manifest": write_manifest,
        "threads": threads,
        "register": not no_register,
    }
    if dry_run:
        _print_plan(plan_copy(source, target, **choices), as_json=as_json, quiet=quiet)
        return
    with HashingDisplay(silent=as_json or quiet) as bar:
        report = run_copy(source, target, progress=bar.update, **choices)
    if as_json:
        print_json(report.to_json())
    else:
        _print_report(report, quiet=quiet)
    if not report.ok:
        raise typer.Exit(1)


def _print_plan(plan: CopyPlan, *, as_json: bool, quiet: bool) -> None:
    from voxarium.core.report import bytes_text

    if as_json:
        print_json(plan.to_json())
        return
    if quiet:
        return
    for text in plan.notes:
        note("note", text, "bold yellow")
    say(f"{plan.source} to {plan.target}: {plan.objects:,} objects, {bytes_text(plan.nbytes)}")
    if plan.left_objects < plan.objects:
        say(f"of these {plan.left_objects:,} objects, {bytes_text(plan.left_bytes)}, are left")
    if plan.absent:
        say(f"{plan.absent:,} objects lie outside of the region and will be absent")
    say(f"{plan.compared:,} will be compared with digests that are known; about {plan.seconds:,.0f} s")


def _print_report(report: CopyReport, *, quiet: bool) -> None:
    from voxarium.core.report import bytes_text

    for problem in report.problems:
        was = problem.found or "nothing"
        say(f"{problem.kind:10}  {problem.key}  (expected {problem.expected or 'something'}, found {was})")
    if quiet:
        return
    for text in (*report.notes, *(f"{key} is a leftover and was not copied" for key in report.left_out)):
        note("note", text, "bold yellow")
    before = f"; {report.resumed + report.same:,} were there" if report.resumed + report.same else ""
    copied = f"{report.copied:,} objects, {bytes_text(report.copied_bytes)}, copied{before}"
    if not report.ok:
        say(f"{report.target} is not whole: {len(report.problems):,} problems; {copied}")
        return
    say(f"{report.target} is whole: {copied}; {report.compared:,} compared with digests that were known")
    if report.edited:
        say(f"{', '.join(report.edited)} say what is there")
    if report.absent:
        say(f"{report.absent:,} objects outside of the region are absent")
    if report.listed is not None:
        say(f"{report.listed.member} is listed in {report.listed.dataset}")
    if report.manifest is not None:
        say(f"{report.manifest} lists {report.objects:,} objects")
    for root in report.roots:
        say(f"root {root}")
