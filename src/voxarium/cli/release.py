"""``voxarium release``: publish versions of a dataset, list and compare them, check them, withdraw them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voxarium.cli.arguments import AsJson, Quiet, Threads
from voxarium.cli.draft import draft_app
from voxarium.cli.log import By, Dataset, agent_of, read_bytes
from voxarium.cli.output import write_whole
from voxarium.cli.printing import note, print_json, say
from voxarium.cli.progress import HashingDisplay
from voxarium.cli.retention import gc
from voxarium.cli.verify import LevelName
from voxarium.errors import Code, InputError

if TYPE_CHECKING:
    from voxarium.archive.release_checks import ReleaseReport
    from voxarium.archive.release_diff import ImageDiff, ReleaseDiff
    from voxarium.archive.release_making import Published
    from voxarium.core.releases import StoredRelease
    from voxarium.spec.release import PolicyResult, Tombstone

__all__ = ["print_release_report", "release_app"]

_SHOWN: Final = 20  # objects that are printed of each kind

release_app = typer.Typer(
    name="release",
    help="Versions of a dataset that never change: publish, list, show, compare, check, withdraw, tidy up.",
    no_args_is_help=True,
)

release_app.command()(gc)
release_app.add_typer(draft_app)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the release, such as v1.0.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; stays for ever, so name no person.")]
Kept = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", metavar="FILE", help="A checkpoint kept elsewhere: history must have grown from it."),
]
Believed = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="KEY", help="Public key to believe: its line, a file that holds it, or a name."),
]


# ---------------------------------------------------------------------------------------------------------- publishing
@release_app.command()
def create(
    dataset: Dataset,
    name: Name,
    key: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Sign a checkpoint with this key: its name, or its .pem file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="Also write the checkpoint here, to be kept.")
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK=REASON", help="Publish although this check fails; the reason is published too."),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON with the checks to require and to advise.")
    ] = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:KEY=VERSION", help="A part with a version of its own: graph:graphs/all=7."),
    ] = None,
    licence: Annotated[str, typer.Option("--license", metavar="ID", help="If dataset.json states none.")] = "",
    doi: Annotated[str, typer.Option(metavar="DOI", help="Reserved for this version.")] = "",
    concept_doi: Annotated[str, typer.Option(metavar="DOI", help="Of all versions together.")] = "",
    text: Annotated[str, typer.Option("--note", metavar="TEXT", help="What a reader should know.")] = "",
    draft: Annotated[str, typer.Option(metavar="DRAFT", help="Publish this draft: draft, or draft-…")] = "",
    consolidate: Annotated[
        bool, typer.Option("--consolidate", help="Store edited shards whole, not as ranges of published ones.")
    ] = False,
    by: By = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count; write nothing.")] = False,
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Publish what a dataset holds now, under a name that is never used again.

    Every check is reported before anything is written. Exit code 1 when one fails that is not accepted. What was
    published can then not be changed by any command; new images and levels go beside it, into the next release.
    """
    from voxarium.archive.keys import open_key
    from voxarium.archive.release_making import ReleaseOptions, create_release
    from voxarium.archive.release_policy import Policy, parse_policy

    options = ReleaseOptions(
        policy=Policy() if policy is None else parse_policy(read_bytes(policy), str(policy)),
        accept=dict(_accepted(a) for a in accept or ()),
        license=licence,
        doi=doi,
        concept_doi=concept_doi,
        pins=[_pin(p) for p in pin or ()],
        note=text,
        draft=draft,
        consolidate=consolidate,
        agent=agent_of(by),
        key=None if key is None else open_key(key),
        threads=threads,
        dry_run=dry_run,
    )
    if consolidate and not draft:
        raise InputError("--consolidate without --draft", code=Code.ARGUMENT_INVALID, fix="name the draft to publish")
    if out is not None and key is None:
        raise InputError("--checkpoint without --key", code=Code.ARGUMENT_INVALID, fix="name the key that signs it")
    silent = as_json or quiet
    with HashingDisplay(silent=silent) as bar:
        published = create_release(dataset, name, options, tell=None if silent else _tell, progress=bar.update)
    if out is not None and published.checkpoint is not None:
        write_whole(out, published.checkpoint)
    if as_json:
        print_json(published.to_json())
    elif not quiet:
        _print_published(published, name)
    if any(r.state == "failed" for r in published.policy):  # a dry run
        raise typer.Exit(1)


def _accepted(text: str) -> tuple[str, str]:
    check, _, reason = text.partition("=")
    return check.strip(), reason


def _pin(text: str) -> tuple[str, str, str]:
    kind, colon, rest = text.partition(":")
    key, equals, version = rest.rpartition("=")
    if not colon or not equals or not kind or not key or not version:
        raise InputError(
            f"--pin {text}", code=Code.ARGUMENT_INVALID, fix="write it as KIND:KEY=VERSION, such as graph:graphs/all=7"
        )
    return kind, key, version


def _tell(result: PolicyResult) -> None:
    reason = f" (accepted: {result.reason})" if result.reason else ""
    say(f"{result.state:8}  {result.check}{': ' if result.detail else ''}{result.detail}{reason}")


def _print_published(published: Published, name: str) -> None:
    from voxarium.core.report import bytes_text

    size = f"{published.objects:,} objects, {bytes_text(published.nbytes)}"
    new = f"{published.new_objects:,} objects and {bytes_text(published.new_bytes)} are new"
    stored = published.release
    if stored is None:
        say(f"{name} would consist of {size}; {new}")
        return
    state = "published" if published.created else "was published before, with the same content"
    say(f"{stored.release.name} {state}: release {stored.release.sequence}, {size}; {new}")
    say(f"document sha256:{stored.digest}")
    say(f"root sha256:{stored.release.manifest.sha256}")
    if published.checkpoint is not None:
        say(published.checkpoint.decode().rstrip("\n"))


@release_app.command()
def tombstone(
    dataset: Dataset,
    name: Name,
    reason: Reason,
    by: By = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Withdraw a release: nothing is deleted, and whoever opens it is told why not to use it."""
    from voxarium.archive.releases import withdraw_release

    found, made = withdraw_release(dataset, name, reason, agent_of(by))
    if as_json:
        print_json({"release": found.name, "sequence": found.sequence, "reason": found.reason, "created": made})
    elif not quiet:
        say(f"{found.name} is withdrawn: {found.reason}")


# ------------------------------------------------------------------------------------------------------------- showing
@release_app.command("list")
def list_(dataset: Dataset, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List the releases of a dataset, the oldest first."""
    from voxarium.archive.releases import open_dataset_store
    from voxarium.core.releases import iter_releases, stored_tombstone
    from voxarium.core.report import bytes_text

    store = open_dataset_store(dataset)
    found = [(stored, stored_tombstone(store, stored.release.sequence)) for stored in iter_releases(store)]
    if as_json:
        print_json({"releases": [_release_json(stored, tombstone) for stored, tombstone in found]})
        return
    if quiet:
        return
    for stored, withdrawn in found:
        release = stored.release
        size = f"{release.manifest.objects:,} objects, {bytes_text(release.manifest.nbytes)}"
        state = "" if withdrawn is None else f"  withdrawn: {withdrawn.reason}"
        say(f"{release.sequence:>4}  {release.name:12}  {release.time[:16].replace('T', ' ')}  {size}{state}")


@release_app.command()
def show(dataset: Dataset, name: Name, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Show what a release says of itself."""
    from voxarium.archive.releases import open_dataset_store
    from voxarium.core.releases import find_release, stored_tombstone

    store = open_dataset_store(dataset)
    stored = find_release(store, name)
    withdrawn = stored_tombstone(store, stored.release.sequence)
    if as_json:
        print_json(_release_json(stored, withdrawn))
        return
    if quiet:
        return
    say("\n".join(_lines(stored, withdrawn)))


def _release_json(stored: StoredRelease, withdrawn: Tombstone | None) -> dict[str, Any]:  # Any: JSON
    import json

    document: dict[str, Any] = json.loads(stored.document)
    state = None if withdrawn is None else {"reason": withdrawn.reason, "time": withdrawn.time}
    return {**document, "sha256": stored.digest, "withdrawn": state}


def _lines(stored: StoredRelease, withdrawn: Tombstone | None) -> list[str]:
    from voxarium.core.report import bytes_text

    release = stored.release
    rows = [
        ("release", f"{release.name}, number {release.sequence}, {release.time}"),
        ("withdrawn", "" if withdrawn is None else f"{withdrawn.time}: {withdrawn.reason}"),
        ("document", f"sha256:{stored.digest}"),
        ("parent", f"sha256:{release.parent}" if release.parent else ""),
        ("root", f"sha256:{release.manifest.sha256}"),
        ("size", f"{release.manifest.objects:,} objects, {bytes_text(release.manifest.nbytes)}"),
        ("licence", release.license),
        ("doi", release.doi),
        ("concept doi", release.concept_doi),
        *(("pin", f"{p.kind} {p.key} {p.version} (sha256:{p.sha256})") for p in release.pins),
        ("made with", ", ".join(f"{n} {v}" for n, v in release.software.items())),
        *((r.state, f"{r.check}{f': {r.reason}' if r.reason else ''}") for r in release.policy if r.state != "passed"),
        ("note", release.note),
    ]
    return [f"{title:12} {text}" for title, text in rows if text]


# ------------------------------------------------------------------------------------------------------------ comparing
@release_app.command()
def diff(
    dataset: Dataset,
    old: Annotated[str, typer.Argument(metavar="OLD", help="Name of a release.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Name of another.")],
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY[=KEY]", help="Also count the voxels that differ: em/cells, or em/cells=em/cells-2."),
    ] = None,
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List what differs between two releases: objects, and of images the regions and the number of voxels.

    Images with a tree of digests beside them (KEY.vldtree) that differs are compared in any case.
    """
    from voxarium.archive.release_diff import diff_releases

    pairs = [(a, b or a) for a, _, b in (text.partition("=") for text in image or ())]
    found = diff_releases(dataset, old, new, images=pairs, threads=threads)
    if as_json:
        print_json(found.to_json())
        return
    if quiet:
        return
    for title, objects in (("added", found.added), ("removed", found.removed), ("changed", found.changed)):
        for changed in objects[:_SHOWN]:
            say(f"{title:8}  {changed.key}")
        if len(objects) > _SHOWN:
            say(f"{title:8}  and {len(objects) - _SHOWN:,} more")
    for one in found.images:
        say(f"image     {_image_text(one)}")
    say(_summary(found))


def _image_text(one: ImageDiff) -> str:
    where = one.before if one.before == one.after else f"{one.before} and {one.after}"
    found = one.comparison
    if found is None:
        return f"{where}: not compared: {one.reason}"
    if found.equal:
        return f"{where}: equal voxels"
    if found.reason:
        return f"{where}: another {found.reason}"
    box = "" if found.box is None else f" within {found.box.origin} + {found.box.shape}"
    voxels = "voxels not counted" if found.voxels is None else f"{found.voxels:,} voxels"
    return f"{where}: {voxels} in {len(found.blocks):,} of {found.total:,} blocks differ{box}"


def _summary(found: ReleaseDiff) -> str:
    counts = f"{len(found.added):,} added, {len(found.removed):,} removed, {len(found.changed):,} changed"
    return f"{found.old} to {found.new}: {counts}, {found.same:,} the same"


# ------------------------------------------------------------------------------------------------------------- checking
@release_app.command()
def verify(
    dataset: Dataset,
    name: Name,
    level: Annotated[
        LevelName,
        typer.Option(help="list: names; size: sizes too; sample: some objects are read too; full: all are."),
    ] = LevelName.full,
    checkpoint: Kept = None,
    key: Believed = None,
    documents: Annotated[
        bool, typer.Option("--documents", help="Check documents, log and signatures; leave the objects.")
    ] = False,
    threads: Threads = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a check that was stopped.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Tell whether a release is what was published: objects, manifest, document, all releases before, log, signatures.

    Without a checkpoint that was kept elsewhere, a history that was replaced as a whole cannot be told from a true one.
    Exit code 1 if anything is wrong.
    """
    from voxarium.archive.keys import public_key
    from voxarium.archive.release_checks import verify_release
    from voxarium.archive.verify import VerifyOptions

    with HashingDisplay(silent=as_json or quiet) as bar:
        report = verify_release(
            dataset,
            name,
            VerifyOptions(level=level.value, threads=threads),
            kept=[(str(path), read_bytes(path)) for path in checkpoint or ()],
            keys=[public_key(k) for k in key or ()],
            with_objects=not documents,
            resume=resume,
            progress=bar.update,
        )
    print_release_report(report, as_json=as_json, quiet=quiet)


def print_release_report(report: ReleaseReport, *, as_json: bool, quiet: bool) -> None:
    """Print what a check of a release found; end with exit code 1 if that is anything."""
    if as_json:
        print_json(report.to_json())
    else:
        for problem in report.problems:
            note(problem.kind, problem.message, "bold red")
        if not quiet:
            _print_state(report)
    if not report.ok:
        raise typer.Exit(1)


def _print_state(report: ReleaseReport) -> None:
    objects = report.objects
    read = "" if objects is None else f", {objects.objects:,} objects, {objects.read:,} of them read"
    state = "is what was published" if report.ok else f"is NOT what was published: {len(report.problems):,} problems"
    say(f"{report.name} {state}: release {report.sequence} of {report.releases}{read}")
    say(f"document sha256:{report.digest}")
    if report.signed_by:
        say(f"signed by {' and '.join(report.signed_by)}")
    if report.ok and not report.kept:
        note("note", "no checkpoint that was kept elsewhere covers it (--checkpoint)", "bold yellow")
