"""``voxarium validate --fix``: repairs shown as diffs, made on request, and undone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voxarium.cli.printing import note, print_json, say
from voxarium.errors import Code, InputError

if TYPE_CHECKING:
    from voxarium.validation import Report

__all__ = ["show_fixes", "undo_fixes"]


def show_fixes(uris: Sequence[str], reports: Sequence[Report], *, apply: bool, as_json: bool, quiet: bool) -> None:
    """Show what would be repaired; with `apply` make it so."""
    from voxarium.archive.recorded import fix

    documents: list[dict[str, Any]] = []
    for uri, report in zip(uris, reports, strict=True):
        fixes = fix(uri, report, apply=apply)
        plan, undo = fixes.plan, fixes.undo
        documents.append({"uri": report.uri, **plan.to_json(), "applied": apply, "undo": undo})
        if as_json or quiet:
            continue
        for repair in plan.repairs:
            say(f"# {', '.join(repair.rules)}\n{repair.diff()}".rstrip())
        for place, why in plan.skipped:
            note("skipped", f"{place}: {why}", "bold yellow")
        count = f"{len(plan.repairs):,} {'object' if len(plan.repairs) == 1 else 'objects'}"
        done = "repaired" if apply else "to repair (make it so with --apply)"
        later = f"; undo with --undo {undo}" if undo else ""
        say(f"{count} {done}; {plan.left:,} findings without a certain repair{later}")
    if as_json:
        print_json(documents[0] if len(documents) == 1 else {"reports": documents})


def undo_fixes(uris: Sequence[str], key: str, *, as_json: bool) -> None:
    """Undo the repairs that a file belongs to."""
    from voxarium.archive import recorded

    if len(uris) != 1:
        raise InputError("--undo takes one address", code=Code.ARGUMENT_INVALID, fix="name what was repaired")
    count = recorded.undo_fixes(uris[0], _undo_key(uris[0], key))
    if as_json:
        print_json({"restored": count})
    else:
        say(f"{count:,} {'object' if count == 1 else 'objects'} restored")


def _undo_key(uri: str, name: str) -> str:
    """Return the key of an undo file, given that, its mere name, or its path from here."""
    from voxarium.validation.fixing import FOLDER

    folder, _, file = name.replace(os.sep, "/").rpartition("/")
    if not folder:
        return f"{FOLDER}/{file}"
    here = os.path.realpath(os.path.join(uri.removeprefix("file://"), FOLDER))
    return f"{FOLDER}/{file}" if os.path.realpath(folder) == here else name
