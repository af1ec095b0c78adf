"""``voxarium release export | check | import``: releases for other systems, and packages that others wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet, Threads
from voxarium.cli.printing import note, print_json, say
from voxarium.cli.progress import HashingDisplay
from voxarium.cli.release import release_app

if TYPE_CHECKING:
    from voxarium.archive.exports import ExportReport, PackageReport

__all__ = ["release_app"]

PackageFolder = Annotated[str, typer.Argument(metavar="PACKAGE", help="Folder of a bag, an OCFL object …")]
PackageKind = Annotated[str, typer.Option("--as", metavar="FORMAT", help="bagit, ocfl; found out if not given.")]


@release_app.command()
def export(
    release: Annotated[str, typer.Argument(metavar="DATASET@NAME", help="The release, such as brain@v1.0.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A folder or file that does not exist yet, s3:// …")],
    kind: Annotated[
        str, typer.Option("--as", metavar="FORMAT", help="bagit, ocfl, ro-crate, datacite, datalad, files.")
    ],
    url: Annotated[
        str,
        typer.Option(
            metavar="URL", help="Refer to the objects there instead of copying: the dataset, or DATASET@NAME."
        ),
    ] = "",
    digest: Annotated[
        str, typer.Option(metavar="NAME", help="Digest by which objects are known there: sha256, sha512, md5.")
    ] = "",
    identifier: Annotated[str, typer.Option(metavar="TEXT", help="What it is called there: a DOI, a URI.")] = "",
    storage_root: Annotated[
        bool, typer.Option("--storage-root", help="TARGET is an OCFL storage root, new or not.")
    ] = False,
    withdrawn: Annotated[bool, typer.Option("--withdrawn", help="Also if the release was withdrawn.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written; write nothing.")] = False,
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a release as other systems want it: a bag, an OCFL object, an RO-Crate, metadata for a DOI, git-annex.

    Every object is checked while it is copied. The target appears when it is complete, and nothing is written over.
    """
    from voxarium.archive.exports import ExportOptions, export_release

    options = ExportOptions(url=url, digest=digest, identifier=identifier, storage_root=storage_root)
    with HashingDisplay(silent=as_json or quiet) as bar:
        report = export_release(
            release,
            target,
            kind,
            options,
            dry_run=dry_run,
            withdrawn=withdrawn,
            threads=threads,
            progress=bar.update,
        )
    if as_json:
        print_json(report.to_json())
    elif not quiet:
        _print_report(report)


def _print_report(report: ExportReport) -> None:
    from voxarium.core.report import bytes_text

    plan = report.plan
    for text in plan.notes:
        note("note", text, "bold yellow")
    parts = []
    if plan.objects:
        parts.append(f"{plan.objects:,} objects, {bytes_text(plan.nbytes)}")
    if plan.referred:
        parts.append(f"{plan.referred:,} objects by their addresses")
    if plan.documents:
        parts.append(", ".join(plan.documents))
    would = "would be written" if report.dry_run else "written"
    say(f"{report.release} {would} as {report.kind} to {report.target}: {'; '.join(parts) or 'nothing'}")


@release_app.command()
def check(
    package: PackageFolder,
    kind: PackageKind = "",
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a bag or an OCFL object, whoever wrote it: what it lists, what is there, every digest.

    Exit code 1 if anything is wrong. One that holds a release is compared with the digests of that release.
    """
    from voxarium.archive.exports import check_package

    with HashingDisplay(silent=as_json or quiet) as bar:
        report = check_package(package, kind, threads=threads, progress=bar.update)
    if as_json:
        print_json(report.to_json())
    else:
        for problem in report.problems:
            note(problem.kind, problem.message, "bold red")
        if not quiet:
            _print_package(report, package)
    if not report.ok:
        raise typer.Exit(1)


@release_app.command("import")
def import_(
    package: PackageFolder,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A folder that does not exist yet.")],
    kind: PackageKind = "",
    version: Annotated[str, typer.Option(metavar="NAME", help="Which of its versions; the last if not given.")] = "",
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Take the objects out of a bag or an OCFL object into a new folder, each checked while it is copied."""
    from voxarium.archive.exports import import_package

    with HashingDisplay(silent=as_json or quiet) as bar:
        report = import_package(package, target, kind, version=version, threads=threads, progress=bar.update)
    if as_json:
        print_json(report.to_json())
    elif not quiet:
        _print_package(report, package)


def _print_package(report: PackageReport, address: str) -> None:
    from voxarium.core.report import bytes_text

    found = report.package
    for text in report.notes:
        note("note", text, "bold yellow")
    state = "is whole" if report.ok else f"is NOT whole: {len(report.problems):,} problems"
    versions = f", versions {' '.join(found.versions)}" if found.versions else ""
    say(f"{address} {state}: {found.kind}, {found.objects:,} objects, {bytes_text(found.nbytes)}{versions}")
    if found.release:
        say(f"it holds release {found.release}, document sha256:{found.document}")
