"""``voxarium release icechunk``: a release as a version of an Icechunk repository."""

from __future__ import annotations

from typing import Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import note, print_json, say

__all__ = ["icechunk"]


def icechunk(
    release: Annotated[
        str, typer.Argument(metavar="DATASET@NAME[/PATH]", help="The release, or a part of it: brain@v1.0/em.")
    ],
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="A folder or s3:// …; made if need be.")],
    branch: Annotated[str, typer.Option(metavar="NAME", help="Branch to commit on; made if need be.")] = "main",
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="PATH", help="Leave this folder of the release out.")
    ] = None,
    whole_shards: Annotated[
        bool,
        typer.Option("--whole-shards", help="Refer to shards as wholes: fewer references, larger requests of readers."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written; write nothing.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Commit a release to an Icechunk repository, tagged with its name; chunks stay where they are.

    Only images of Zarr version 3 can be in one. Readers must authorise the place of the chunks, which is printed.
    """
    from voxarium.archive.icechunk_export import export_icechunk
    from voxarium.core.report import bytes_text

    choices = {"branch": branch, "without": without or (), "whole_shards": whole_shards, "dry_run": dry_run}
    made = export_icechunk(release, repository, **choices)  # type: ignore[arg-type]  # each of its type
    if as_json:
        print_json(made.to_json())
        return
    if quiet:
        return
    if made.left_out:
        shown = ", ".join(made.left_out[:5]) + (" …" if len(made.left_out) > 5 else "")
        note("note", f"{len(made.left_out):,} documents that are no Zarr are left out: {shown}", "bold yellow")
    state = "would be written to" if dry_run else "written to" if made.created else "was already in"
    size = f"{made.arrays:,} arrays, {made.chunks:,} references to {bytes_text(made.nbytes)}"
    say(f"{made.release} {state} {made.repository}: {size}")
    if made.shards:
        say(f"chunks of {made.shards:,} shards are referred to one by one; the arrays there have no shards")
    if made.stored:
        say(f"{made.stored:,} chunks lie in several places, and are stored there")
    if made.snapshot:
        say(f"snapshot {made.snapshot}, tag {made.tag}")
    say(f"chunks are at {made.prefix}")
