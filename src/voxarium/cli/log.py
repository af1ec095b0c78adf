"""``voxarium log``: what was done to a dataset, whether the log of it is intact, and what others are told of it."""

from __future__ import annotations

import contextlib
import json
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.output import write_whole
from voxarium.cli.printing import note, print_json, say
from voxarium.errors import Code, ExistsError, FormatError, InputError, NotFoundError, StoreError

if TYPE_CHECKING:
    from voxarium.archive.log_report import LogReport
    from voxarium.model.provenance import Agent, Artifact, RecordedActivity

__all__ = ["agent_of", "log_app", "read_bytes"]

_MOST_BYTES: Final = 64 << 20
_DIGEST: Final = re.compile(r"(.+)=([a-z0-9][a-z0-9.-]*:[0-9A-Za-z+/=._-]+)")

log_app = typer.Typer(
    name="log",
    help="The provenance log of a dataset: show it, check it, sign it, add to it, export it.",
    no_args_is_help=True,
)

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="Root of the dataset: a folder, s3://, https:// …")]
About = Annotated[
    str, typer.Option(metavar="KEY", help="Only what was done to or with this image, or what lies below it.")
]
By = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Who: 'Ada Lovelace <https://orcid.org/…>'; VOXARIUM_AGENT or the login name."),
]


class ExportFormat(StrEnum):
    """How a log is written for others."""

    PROV_JSON = "prov-json"
    RO_CRATE = "ro-crate"
    CLOUDVOLUME = "cloudvolume"
    JSONL = "jsonl"


# --------------------------------------------------------------------------------------------------------- showing
@log_app.command()
def show(dataset: Dataset, about: About = "", as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List what was done to a dataset, the oldest first."""
    from voxarium.archive.log_exports import activity_json, iter_about
    from voxarium.archive.provenance import open_log

    found = iter_about(open_log(dataset).existing(), about)
    if as_json:
        print_json({"entries": [activity_json(r) for r in found]})
        return
    if quiet:
        return
    for recorded in found:
        say("\n".join(_lines(recorded)))


def _lines(recorded: RecordedActivity) -> list[str]:
    activity = recorded.activity
    by = f" by {activity.agent.name}" if activity.agent else ""
    lines = [f"{recorded.sequence:>5}  {recorded.time[:19].replace('T', ' ')}  {activity.operation}{by}"]
    rows = [("from", _shown(a)) for a in activity.inputs] + [("to", _shown(a)) for a in activity.outputs]
    rows += [(name, json.dumps(value, ensure_ascii=False)) for name, value in activity.parameters.items()]
    software = ", ".join(f"{name} {version}" for name, version in activity.software.items())
    rows += [("with", software), ("note", activity.note), ("removed", ", ".join(recorded.removed))]
    return lines + [f"{'':7}{name}: {text}" for name, text in rows if text]


def _shown(artifact: Artifact) -> str:
    size = "" if artifact.size is None else f", {artifact.size:,} bytes"
    role = f", {artifact.role}" if artifact.role else ""
    return f"{artifact.address}{role}{size}" + (f" ({artifact.digest})" if artifact.digest else "")


# -------------------------------------------------------------------------------------------------------- checking
@log_app.command()
def verify(
    dataset: Dataset,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A checkpoint kept elsewhere: the log must have grown from it."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Public key to believe: its line, a file that holds it, or a key's name."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a log: every entry, every detail, and what signed checkpoints say. Exit code 1 if anything is wrong.

    Without a checkpoint that was kept elsewhere, a log that was cut off or replaced as a whole cannot be told from a
    true one. The last checkpoint that was signed on this machine is always looked at.
    """
    from voxarium.archive.keys import public_key, remembered_checkpoints
    from voxarium.archive.log_checks import check_log
    from voxarium.archive.provenance import open_log

    kept = [(str(path), read_bytes(path)) for path in checkpoint or ()]
    log = open_log(dataset).existing()
    with contextlib.suppress(FormatError):  # a broken first entry: the check says so
        kept += remembered_checkpoints(log.log_id())
    report = check_log(log, kept=kept, keys=[public_key(k) for k in key or ()])
    if as_json:
        print_json(report.to_json())
    elif not quiet:
        _print_report(report, asked=bool(key))
    if not report.ok:
        raise typer.Exit(1)


def _print_report(report: LogReport, *, asked: bool) -> None:
    for problem in report.problems:
        note(problem.kind, problem.message, "bold red")
    for key in report.leftovers:
        note("note", f"{key} belongs to no entry; a writer that was stopped may have left it", "bold yellow")
    state = "intact" if report.ok else "NOT intact"
    removed = f", {report.removed:,} removed on purpose" if report.removed else ""
    say(f"{state}: {report.size:,} entries hang together, {report.details:,} details{removed}")
    say(f"root {report.root}")
    for point in report.checkpoints:
        who = f", signed by {' and '.join(point.signed_by)}" if point.signed_by else ""
        say(f"agrees with the checkpoint of {point.size:,} entries in {point.source}{who}")
    if asked and report.ok and report.signed_size < report.size:
        note("note", f"entries from {report.signed_size} on are not signed yet", "bold yellow")


@log_app.command()
def checkpoint(
    dataset: Dataset,
    key: Annotated[str, typer.Option(metavar="NAME", help="Key to sign with: its name, or the path of its .pem file.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the checkpoint here, to be kept or published.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a log and sign what it is now. Keep the checkpoint elsewhere: it makes any later rewriting visible."""
    from voxarium.archive.checkpoints import sign_checkpoint
    from voxarium.archive.keys import open_key
    from voxarium.archive.provenance import open_log

    signed = sign_checkpoint(open_log(dataset, writable=True), open_key(key))
    if out is not None:
        write_whole(out, signed)
    if as_json:
        print_json({"checkpoint": signed.decode(), "out": None if out is None else str(out)})
    elif not quiet:
        say(signed.decode().rstrip("\n"))


# ---------------------------------------------------------------------------------------------------------- adding
@log_app.command()
def add(
    dataset: Dataset,
    operation: Annotated[
        str, typer.Argument(metavar="OPERATION", help="What was done: ingest, convert, fix, edit, delete …")
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="ADDRESS[=DIGEST]", help="What was read; DIGEST is such as sha256:ab12…"),
    ] = None,
    outputs: Annotated[
        list[str] | None, typer.Option("--output", metavar="ADDRESS[=DIGEST]", help="What was written.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="How it was done; VALUE is JSON or text.")
    ] = None,
    text: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, or what else a reader should know.")] = "",
    by: By = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Record something that was done to a dataset by other means. Entries cannot be changed afterwards."""
    from voxarium.archive.provenance import open_log
    from voxarium.model.provenance import Activity

    activity = Activity(
        operation=operation,
        inputs=[_artifact(a) for a in inputs or ()],
        outputs=[_artifact(a) for a in outputs or ()],
        parameters=dict(_parameter(p) for p in parameter or ()),
        agent=agent_of(by),
        note=text,
    )
    entry = open_log(dataset, writable=True).append(activity)
    if as_json:
        print_json({"entry": entry.sequence, "operation": operation})
    elif not quiet:
        say(f"entry {entry.sequence}: {operation}")


def _artifact(text: str) -> Artifact:
    from voxarium.model.provenance import Artifact

    found = _DIGEST.fullmatch(text)
    return Artifact(found[1], found[2]) if found else Artifact(text)


def _parameter(text: str) -> tuple[str, Any]:  # Any: JSON
    from voxarium.model.provenance import plain_parameters

    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError(
            f"--parameter {text}", code=Code.ARGUMENT_INVALID, fix="write it as NAME=VALUE, such as level=3"
        )
    try:
        return name, plain_parameters(json.loads(value))
    except (ValueError, RecursionError):
        return name, plain_parameters(value)


def agent_of(by: str | None) -> Agent | None:
    """Return who is meant by ``--by``."""
    from voxarium.archive.agents import default_agent, parse_agent

    return default_agent() if by is None else parse_agent(by)


@log_app.command("import")
def import_(
    dataset: Dataset,
    layer: Annotated[str, typer.Argument(metavar="KEY", help="Layer in the dataset that has a file provenance.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Take over the steps that CloudVolume or Igneous noted in a layer's file provenance; each is taken once."""
    from voxarium.archive.log_exports import import_cloudvolume
    from voxarium.archive.provenance import open_log
    from voxarium.spec.cloudvolume_provenance import FILE_NAME

    log = open_log(dataset, writable=True)
    key = layer.strip("/")
    data = log.read_object(f"{key}/{FILE_NAME}", _MOST_BYTES)
    if data is None:
        raise NotFoundError(
            f"no file {FILE_NAME} in {key} of {log.store.uri}",
            code=Code.PATH_MISSING,
            fix="name the folder of a layer that CloudVolume or Igneous made",
        )
    added = import_cloudvolume(log, data, key)
    if as_json:
        print_json({"entries": added})
    elif not quiet:
        say(f"{added} steps recorded")


@log_app.command()
def remove(
    dataset: Dataset,
    sequence: Annotated[int, typer.Argument(metavar="ENTRY", help="Number of the entry.")],
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="agent, inputs, outputs, parameters, software, note.")
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; stands in the log.")] = "",
    by: By = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; nothing is removed without this.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Remove details of an entry for good, such as a name. The log stays valid, and says that something was removed."""
    from voxarium.archive.provenance import open_log
    from voxarium.archive.redaction import remove_payloads

    log = open_log(dataset, writable=True)
    what = f"{', '.join(names)} of entry {sequence} in {log.existing().uri}"
    if not yes:
        raise InputError(
            f"{what} would be removed for good",
            code=Code.ARGUMENT_INVALID,
            fix="give --yes to do so; copies, backups and older versions in a bucket are not reached",
        )
    remove_payloads(log, sequence, names, reason=reason, agent=agent_of(by))
    if as_json:
        print_json({"entry": sequence, "removed": names})
    elif not quiet:
        say(f"removed: {what}")


# ------------------------------------------------------------------------------------------------------- exporting
@log_app.command()
def export(
    dataset: Dataset,
    form: Annotated[ExportFormat, typer.Option("--as", help="Kind of document.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it here; a file provenance of CloudVolume is added to."),
    ] = None,
    about: About = "",
    name: Annotated[str, typer.Option(metavar="TEXT", help="Name of the dataset, for ro-crate.")] = "",
    description: Annotated[str, typer.Option(metavar="TEXT", help="What it is, for ro-crate.")] = "",
    licence: Annotated[str, typer.Option("--license", metavar="URL", help="Its licence, for ro-crate.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write what a log says as W3C PROV-JSON, RO-Crate metadata, CloudVolume's file provenance, or JSON lines."""
    from voxarium.archive import log_exports
    from voxarium.archive.provenance import open_log
    from voxarium.spec.ro_crate import CrateFacts

    merged = form is ExportFormat.CLOUDVOLUME
    if out is not None and out.exists() and not (overwrite or merged):
        raise ExistsError(
            f"{out} exists", code=Code.TARGET_EXISTS, fix="choose another name, or replace it with --overwrite"
        )
    log = open_log(dataset).existing()
    if form is ExportFormat.PROV_JSON:
        data = log_exports.export_prov_json(log, about)
    elif form is ExportFormat.RO_CRATE:
        name = name or Path(dataset.rstrip("/")).name
        facts = CrateFacts(name=name, description=description or name, license=licence)
        data = log_exports.export_ro_crate(log, facts, about)
    elif form is ExportFormat.CLOUDVOLUME:
        existing = read_bytes(out) if out is not None and out.exists() and not overwrite else None
        data = log_exports.export_cloudvolume(log, existing, about)
    else:
        data = log_exports.export_json_lines(log, about)
    if out is not None:
        write_whole(out, data)
    if as_json:
        written = {"text": data.decode()} if out is None else {"out": str(out)}
        print_json({"as": form.value, **written})
    elif out is None and not quiet:
        typer.echo(data.decode(), nl=False)


def read_bytes(path: Path) -> bytes:
    """Return the beginning of a file, which is all of it unless it is none of ours.

    Raises
    ------
    NotFoundError
        If it is not there.
    StoreError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except FileNotFoundError as error:
        raise NotFoundError(f"nothing at {path}", code=Code.PATH_MISSING, fix="check the path") from error
    except OSError as error:
        raise StoreError(
            f"{path} could not be read: {error.strerror}", code=Code.STORE_UNREADABLE, fix="check its permissions"
        ) from error
