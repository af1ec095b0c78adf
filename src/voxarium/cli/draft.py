"""``voxarium release draft``: begin, look at and give up drafts of the next release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.log import Dataset
from voxarium.cli.printing import print_json, say

if TYPE_CHECKING:
    from voxarium.archive.drafts import DraftStatus

__all__ = ["draft_app"]

_SHOWN = 20

draft_app = typer.Typer(
    name="draft",
    help="Edits of published voxels that are not published yet. Voxels are edited in Python: voxarium.open_draft.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="DRAFT", help="draft, or draft- and more, such as draft-cells.")]


@draft_app.command()
def create(
    dataset: Dataset,
    name: Name = "draft",
    base: Annotated[str, typer.Option(metavar="NAME", help="Release to edit; without it, the last.")] = "",
    text: Annotated[str, typer.Option("--note", metavar="TEXT", help="What it is for.")] = "",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Begin a draft: it shows a release as it is, until it is edited."""
    from voxarium.archive.drafts import create_draft, draft_status

    made = create_draft(dataset, name, base=base, note=text)
    if as_json:
        print_json(draft_status(dataset, name).to_json())
    elif not quiet:
        say(f"{name} is open, and edits {made.state.base}: {str(dataset).rstrip('/')}@{name}")


@draft_app.command()
def status(dataset: Dataset, name: Name = "draft", as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Show what a draft changes, and what that takes."""
    from voxarium.archive.drafts import draft_status

    found = draft_status(dataset, name)
    if as_json:
        print_json(found.to_json())
    elif not quiet:
        say("\n".join(_lines(found)))


@draft_app.command("list")
def list_(dataset: Dataset, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List all drafts, those that were published or discarded too."""
    from voxarium.archive.drafts import list_drafts

    states = [d.state for d in list_drafts(dataset)]
    if as_json:
        rows = [{"name": s.name, "state": s.state, "base": s.base, "release": s.release or None} for s in states]
        print_json({"drafts": rows})
        return
    if quiet:
        return
    for state in states:
        as_what = f" as {state.release}" if state.release else ""
        say(f"{state.name}  {state.state}{as_what}, of {state.base}, {state.time[:16].replace('T', ' ')}")


@draft_app.command()
def rebase(dataset: Dataset, name: Name = "draft", as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Let a draft edit the last release, where that did not change the same voxels; coarser levels are made anew."""
    from voxarium.archive.draft_rebasing import rebase_draft

    found = rebase_draft(dataset, name)
    if as_json:
        print_json({"name": name, "before": found.before, "base": found.state.base, "voxels": found.voxels})
        return
    if quiet:
        return
    if found.before == found.state.base:
        say(f"{name} edits {found.before}, which is the last release")
    else:
        say(f"{name} edits {found.state.base} instead of {found.before}: {found.voxels:,} voxels were assigned again")


@draft_app.command()
def discard(dataset: Dataset, name: Name = "draft", as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Give up a draft. What only it needs goes with the next voxarium release gc."""
    from voxarium.archive.drafts import discard_draft

    state = discard_draft(dataset, name)
    if as_json:
        print_json({"name": name, "state": state.state, "objects": len(state.edits)})
    elif not quiet:
        say(f"{name} is discarded, with edits of {len(state.edits):,} objects")


def _lines(found: DraftStatus) -> list[str]:
    from voxarium.core.report import bytes_text

    state = found.state
    rows = [
        ("draft", f"{state.name}, revision {state.sequence}, {state.time}"),
        ("edits", f"release {state.base}"),
        ("behind", f"{', '.join(found.behind)} came since" if found.behind else ""),
        ("note", state.note),
        ("objects", f"{len(state.edits):,} differ; {bytes_text(found.stored)} are stored for them"),
        *((("removed" if not e.location else "changed"), key) for key, e in sorted(state.edits.items())[:_SHOWN]),
    ]
    more = len(state.edits) - _SHOWN
    return [f"{title:8} {text}" for title, text in rows if text] + ([f"and {more:,} more"] if more > 0 else [])
