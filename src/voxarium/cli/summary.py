"""What a conversion will do, and what it did, for people."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from voxarium.cli.printing import note, printable, stdout_console

if TYPE_CHECKING:
    from voxarium.conversion.running import Report

__all__ = ["duration_text", "print_plan", "rate_text", "report_text", "totals_text"]


def duration_text(seconds: float) -> str:
    """Return a duration for people.

    Examples
    --------
    >>> duration_text(0.42), duration_text(75), duration_text(9000)
    ('0.42 s', '1 min 15 s', '2 h 30 min')
    """
    seconds = max(seconds, 0.01)
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def rate_text(rate: float) -> str:
    """Return a rate, given in millions of voxels per second.

    Examples
    --------
    >>> rate_text(0.3712), rate_text(1234.5)
    ('0.37 MVx/s', '1,234 MVx/s')
    """
    return f"{rate:.2g} MVx/s" if rate < 10 else f"{rate:,.0f} MVx/s"


def _times(numbers: list[int] | None) -> str:
    return "–" if numbers is None else " × ".join(f"{n:,}" for n in numbers)


def print_plan(plan: dict[str, Any]) -> None:
    """Print a plan as a table, from its JSON form."""
    from rich.table import Table

    from voxarium.core.report import bytes_text

    levels = Table("level", "path", "shape", "chunk", "shard", "type", "factors", box=None, pad_edge=False)
    for i, level in enumerate(plan["levels"]):
        levels.add_row(
            str(i),
            level["path"],
            _times(level["shape"]),
            _times(level["chunk"]),
            _times(level["shard"]),
            level["dtype"],
            _times(level["factors"]) if i else "–",
        )
    facts = Table.grid(padding=(0, 2))
    facts.add_column(justify="right", style="bold")
    for what, value in (
        ("source", plan["source"]),
        ("format", f"{plan['format']} {plan['spec_version']}"),
        ("levels by", plan["method"] + (", stored chunks pass through" if plan["pass_through"] else "")),
        ("objects", f"{plan['objects']:,} at most, of {plan['chunks']:,} chunks"),
        (
            "raw bytes",
            f"{bytes_text(plan['source_bytes'])} read, {bytes_text(plan['raw_bytes'])} in all levels",
        ),
        ("work", f"{plan['blocks']:,} × a block of {_times(plan['block'])}"),
        ("source chunks", f"{plan['source_requests']:,} reads, {plan['reread_factor']:g} per chunk"),
        ("memory", f"about {bytes_text(plan['memory_bytes'])}"),
        (
            "time",
            f"some {duration_text(plan['seconds'])} with {plan['threads']} thread{'s' if plan['threads'] != 1 else ''}",
        ),
    ):
        facts.add_row(what, printable(value))
    for loss in plan["losses"]:
        facts.add_row("[bold red]lost[/]", printable(f"{loss['message']} ({loss['kind']})"))
    console = stdout_console()
    console.print(levels)
    console.print()
    console.print(facts)
    for text in plan["notes"]:
        note("note", text, "bold yellow")
    console.print("\nNothing was written: this was a dry run.")


def report_text(report: Report, target: str) -> str:
    """Return what a conversion did, and what to do next."""
    from voxarium.core.report import bytes_text

    rate = report.voxels / max(report.seconds, 1e-9) / 1e6
    within = f"{report.levels} level{'s' if report.levels != 1 else ''}"
    if report.images != 1:
        within = f"{report.images:,} images"
    lines = [f"{target}: {report.voxels:,} voxels in {within}, {report.objects:,} objects"]
    if report.resumed:
        lines.append(f"  {report.resumed:,} objects were there already; {bytes_text(report.written_bytes)} added")
    else:
        ratio = report.source_bytes / max(report.written_bytes, 1)
        lines.append(
            f"  {bytes_text(report.source_bytes)} raw → {bytes_text(report.written_bytes)} stored, "
            f"all levels included ({ratio:.2f} : 1)"
        )
    lines.append(f"  {duration_text(report.seconds)}, {rate_text(rate)}")
    where = shlex.quote(target)
    lines.append(f"next: voxarium info {where}")
    if report.images == 1:
        lines.append(f"      voxarium preview {where} --out preview.png")
    return "\n".join(lines)


def totals_text(totals: dict[str, Any]) -> str:
    """Return what converting a collection would mean, from its JSON form."""
    from voxarium.core.report import bytes_text

    labels = f", {totals['labels']:,} label images" if totals["labels"] else ""
    lines = [
        f"{totals['images']:,} images{labels}: {totals['voxels']:,} voxels",
        f"  {totals['objects']:,} objects at most, of {totals['chunks']:,} chunks",
        f"  {bytes_text(totals['source_bytes'])} read, {bytes_text(totals['raw_bytes'])} in all levels",
        f"  some {duration_text(totals['seconds'])} with one thread",
        *(f"  note: {text}" for text in totals["notes"]),
        "Nothing was written: this was a dry run.",
    ]
    return "\n".join(lines)
