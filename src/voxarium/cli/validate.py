"""``voxarium validate``: everything that is wrong, by rule, with the mend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet, Threads
from voxarium.cli.printing import print_error, print_json, say
from voxarium.cli.progress import ValidationDisplay
from voxarium.cli.validation_fixes import show_fixes, undo_fixes
from voxarium.cli.validation_output import merged_json, print_report, print_rule, write_files
from voxarium.cli.values import fraction
from voxarium.errors import Code, InputError, VoxariumError

if TYPE_CHECKING:
    from voxarium.validation import Report

__all__ = ["rules", "validate"]


class DepthName(StrEnum):
    """How deep to look."""

    document = "document"
    hierarchy = "hierarchy"
    census = "census"
    data = "data"


class ProfileName(StrEnum):
    """What makes the result invalid."""

    schema = "schema"
    schema_strict = "schema-strict"
    spec = "spec"
    strict = "strict"
    quality = "quality"
    publish = "publish"


_FILES = "Reports"


def validate(
    uris: Annotated[
        list[str] | None, typer.Argument(metavar="URI...", help="Images, arrays, plates, files, or folders.")
    ] = None,
    depth: Annotated[
        DepthName,
        typer.Option(help="Up to metadata, what they name, every object, or every voxel."),
    ] = DepthName.hierarchy,
    profile: Annotated[
        ProfileName,
        typer.Option(help="schema: official schemas; spec: the text; strict: its SHOULDs too; quality, publish: ours."),
    ] = ProfileName.spec,
    sample: Annotated[
        str | None, typer.Option(metavar="PART", help="Decode only this part of the objects: 1%, 0.01.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A page with pictures.", rich_help_panel=_FILES)
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SARIF, for code hosts.", rich_help_panel=_FILES)
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JUnit XML, for continuous integration.", rich_help_panel=_FILES)
    ] = None,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Show safe repairs of metadata as a diff; nothing is changed without --apply."),
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="With --fix: make the repairs; keep a file to undo them.")] = (
        False
    ),
    undo: Annotated[
        str | None, typer.Option(metavar="FILE", help="Undo the repairs of a file in .voxarium-fix/ and stop.")
    ] = None,
    dingus: Annotated[
        bool,
        typer.Option("--dingus", help="Answer one test case of the OME-Zarr conformance runner; profile schema."),
    ] = False,
    array_path: Annotated[
        str | None,
        typer.Option(
            "--array_path", metavar="FOLDER", help="Answer one test case of zarr-conformance-tests: print an array."
        ),
    ] = None,
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check images against the rules of their formats, and report everything that is wrong.

    Exit codes: 0 valid, 1 something counts in the profile, 2 it could not be checked. `voxarium rules ID` explains one.
    """
    uris = uris or []
    if _answered(uris, profile, dingus=dingus, array_path=array_path):
        return
    if undo is not None:
        undo_fixes(uris, undo, as_json=as_json)
        return
    if apply and not fix:
        raise InputError("--apply needs --fix", code=Code.ARGUMENT_INVALID, fix="add --fix, or leave --apply out")
    from voxarium.validation import validate as run

    part = 1.0 if sample is None else fraction("--sample", sample)
    with ValidationDisplay(silent=as_json or quiet) as bar:
        checked = partial(
            run, depth=depth.value, profile=profile.value, sample=part, threads=threads, progress=bar.update
        )
        reports, refused = _reports(uris, checked, as_json=as_json)
    if fix:
        show_fixes([u for u in uris if u not in refused], reports, apply=apply, as_json=as_json, quiet=quiet)
        _end(refused, as_json=as_json)
        return
    write_files(reports, html=html, sarif=sarif, junit=junit)
    if as_json:
        print_json(merged_json(reports, refused))
    elif not quiet:
        for report in reports:
            print_report(report)
    _end(refused, as_json=as_json)
    if not all(report.valid for report in reports):
        raise typer.Exit(1)


def _reports(
    uris: list[str], checked: Callable[[str], Report], *, as_json: bool
) -> tuple[list[Report], dict[str, VoxariumError]]:
    """Return the reports, and why other addresses could not be checked; where none could, the program ends with 2."""
    reports, refused = [], {}
    for uri in uris:
        try:
            reports.append(checked(uri))
        except VoxariumError as error:
            refused[uri] = error
    if not reports:
        for why in list(refused.values())[: 1 if as_json else None]:  # JSON is one document
            print_error(why, as_json=as_json)
        raise typer.Exit(2)
    return reports, refused


def _end(refused: Mapping[str, VoxariumError], *, as_json: bool) -> None:
    """End the program with 2 where an address could not be checked, and say why; JSON has said it."""
    for error in () if as_json else refused.values():
        print_error(error, as_json=False)
    if refused:
        raise typer.Exit(2)


def _answered(uris: list[str], profile: ProfileName, *, dingus: bool, array_path: str | None) -> bool:
    """Answer the runner of a conformance suite; tell whether one asked."""
    if array_path is not None:
        from voxarium.validation.conformance import answer

        raise typer.Exit(answer(array_path))
    if not uris:
        raise InputError("nothing to validate", code=Code.ARGUMENT_INVALID, fix="name an image, an array or a folder")
    if not dingus:
        return False
    from voxarium.validation.dingus import verdict

    if len(uris) != 1:
        raise InputError("--dingus takes one path", code=Code.ARGUMENT_INVALID, fix="give the path of one test case")
    chosen = ProfileName.schema_strict if profile == ProfileName.schema_strict else ProfileName.schema
    print_json(verdict(uris[0], chosen.value))
    return True


def rules(
    rule: Annotated[str | None, typer.Argument(metavar="ID", help="A rule, such as MS-004; all if not given.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Explain a rule: what it demands, why, an example that breaks it, and the mend; or list all rules."""
    from voxarium.validation.registry import all_rules, rule_named

    sets = all_rules()
    if rule is None:
        if as_json:
            listed = [{"rule": r.id, "set": s.name, "text": r.text} for s in sets for r in s.rules.values()]
            print_json({"rules": listed})
            return
        for found in () if quiet else sets:
            say(f"{found.title}\n" + "\n".join(f"  {r.id:8} {r.text}" for r in found.rules.values()))
        return
    named = rule_named(rule, sets)
    if named is None:
        raise InputError(f"no rule is called {rule}", code=Code.ARGUMENT_INVALID, fix="see voxarium rules")
    if as_json or not quiet:
        print_rule(*named, as_json=as_json)
