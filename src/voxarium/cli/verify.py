"""``voxarium verify`` and ``voxarium manifest``: what should be stored, and whether it is."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet, Threads
from voxarium.cli.printing import note, print_json, say
from voxarium.cli.progress import HashingDisplay
from voxarium.cli.values import words
from voxarium.errors import Code, InputError

if TYPE_CHECKING:
    from voxarium.archive.release_checks import ReleaseReport
    from voxarium.archive.verify import VerifyReport

__all__ = ["manifest", "verify"]

_Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="A folder, an s3://, gs:// or az:// prefix, a file, or a release: DATASET@v1.0."
    ),
]


class LevelName(StrEnum):
    """How closely to look."""

    list = "list"
    size = "size"
    sample = "sample"
    full = "full"
    logical = "logical"


def verify(
    target: _Target,
    manifest: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What should be there; TARGET.manifest.parquet if not given."),
    ] = None,
    level: Annotated[
        LevelName,
        typer.Option(
            help="list: names; size: sizes too; sample: some objects are read too; full: all are; logical: images are "
            "decoded too, and compared with logical digests that are recorded."
        ),
    ] = LevelName.full,
    sample: Annotated[
        str | None,
        typer.Option(metavar="N%|N", help="Share or number of objects that --level sample reads; 1% if not given."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="Draw the sample of an earlier report.")] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(metavar="ROOT", help="Root that the manifest must have (sha256:…); may be repeated."),
    ] = None,
    digest: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIGEST", help="With --level logical: what the image must be (vld1-content:…); may be repeated."
        ),
    ] = None,
    threads: Threads = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an audit that was stopped.")] = False,
    journal: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where its state is kept; in your cache folder if not given."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Note the result in the provenance log of the dataset.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Tell whether what is stored is what a manifest says; name what is missing, extra, changed, cut off or swapped.

    Of a release (DATASET@NAME), its documents, the log and what is signed on this machine are checked too.
    Exit code 0 when nothing was found, 1 when something was.
    """
    from voxarium.archive.release_checks import release_of, verify_release
    from voxarium.archive.verify import VerifyOptions, parse_sample
    from voxarium.archive.verify import verify as run_verify
    from voxarium.cli.release import print_release_report

    chosen = {} if seed is None else {"seed": seed}
    options = VerifyOptions(
        level=level.value,
        sample=0.01 if sample is None else parse_sample(sample),
        roots=tuple(root or ()),
        digests=tuple(digest or ()),
        threads=threads,
        **chosen,
    )
    with HashingDisplay(silent=as_json or quiet) as bar:
        reference = None if manifest else release_of(target)
        if reference is not None:
            released = verify_release(*reference, options, resume=resume, progress=bar.update)
            _record(target, released, wanted=record)
            print_release_report(released, as_json=as_json, quiet=quiet)
            return
        report = run_verify(target, manifest, options, journal=journal, resume=resume, progress=bar.update)
        _record(target, report, wanted=record)
    if as_json:
        print_json(report.to_json())
    else:
        _print(report, quiet=quiet)
    if not report.ok:
        raise typer.Exit(1)


def _record(target: str, report: VerifyReport | ReleaseReport, *, wanted: bool) -> None:
    from voxarium.archive.recorded import record_audit

    if wanted and not record_audit(target, report):
        raise InputError(
            f"{target} lies in no dataset, so there is no log to note the result in",
            code=Code.ARGUMENT_INVALID,
            fix="leave --record out, or make the folder a dataset: voxarium dataset create",
        )


def _print(report: VerifyReport, *, quiet: bool) -> None:
    from voxarium.core.report import bytes_text

    for problem in report.problems:
        was = problem.found or "nothing"
        say(f"{problem.kind:10}  {problem.key}  (expected {problem.expected or 'nothing'}, found {was})")
    if quiet:
        return
    if not report.listed:
        note("note", "this place cannot be listed, so extra objects were not looked for", "bold yellow")
    read = f", {report.read:,} read ({bytes_text(report.nbytes)}, {report.algorithm})" if report.algorithm else ""
    drawn = "" if report.seed is None else f", seed {report.seed}"
    result = "as it was recorded" if report.ok else f"{len(report.problems):,} problems"
    result = "as the manifest says" if report.ok and report.level != "logical" else result
    objects = f"; {report.objects:,} objects{read}{drawn}" if report.objects or report.level != "logical" else ""
    images = f"; {report.images:,} images decoded" if report.level == "logical" else ""
    for key in report.unrecorded:
        note("note", f"no logical digest of {key or report.target} is recorded", "bold yellow")
    say(f"{report.target}: {result}{objects}{images}")


def manifest(
    target: _Target,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where to; TARGET.manifest.parquet if not given.")
    ] = None,
    digests: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="sha256, which is always there, and blake3; both if not given."),
    ] = None,
    zarr_checksum: Annotated[
        bool, typer.Option("--zarr-checksum", help="Also print the checksum that DANDI has of Zarr trees.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the manifest.")] = False,
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Read everything that is stored in a tree, and write a manifest: names, sizes and digests of all objects.

    What it prints as root is one digest of them all: keep it elsewhere, and verify can start from it (--root).
    """
    from voxarium.archive.recorded import write_manifest
    from voxarium.core.report import bytes_text

    with HashingDisplay(silent=as_json or quiet) as bar:
        report = write_manifest(
            target,
            out,
            digests=words(digests),
            dandi=zarr_checksum,
            overwrite=overwrite,
            threads=threads,
            progress=bar.update,
        )
    if as_json:
        print_json(report.to_json())
        return
    for key in report.left_out:
        note("note", f"{key} looks like what a killed writer left, and is not listed", "bold yellow")
    if quiet:
        return
    say(f"{report.manifest} lists {report.objects:,} objects, {bytes_text(report.nbytes)}")
    for text in report.roots:
        say(f"root {text}")
    if report.zarr_checksum is not None:
        say(f"zarr checksum {report.zarr_checksum}")
