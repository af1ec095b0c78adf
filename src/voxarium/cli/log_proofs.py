"""``voxarium log prove`` and ``check``: proofs for those who have a checkpoint and not the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.log import Dataset, read_bytes
from voxarium.cli.output import write_whole
from voxarium.cli.printing import note, print_json, say
from voxarium.errors import Code, InputError

if TYPE_CHECKING:
    from voxarium.archive.log_proofs import CheckedProof

__all__ = ["check", "prove"]


def prove(
    dataset: Dataset,
    release: Annotated[str, typer.Option(metavar="NAME", help="That the log has this release.")] = "",
    entry: Annotated[int | None, typer.Option(metavar="N", help="That the log has this entry.")] = None,
    since: Annotated[
        Path | None, typer.Option(metavar="FILE", help="That it still has what it had at this checkpoint.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it here instead of printing it.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Prove to somebody who does not have the log what a signed checkpoint of it says; voxarium log check looks at it.

    The proof leads to the newest checkpoint in the dataset, and takes a few hundred bytes, however long the log is.
    """
    from voxarium.archive.log_proofs import prove_document, prove_entry, prove_growth
    from voxarium.archive.provenance import open_log
    from voxarium.archive.releases import open_dataset_store
    from voxarium.core.releases import find_release

    if [release != "", entry is not None, since is not None].count(True) != 1:
        raise InputError(
            "it is not said what is to be proved",
            code=Code.ARGUMENT_INVALID,
            fix="give one of --release NAME, --entry N and --since FILE",
        )
    log = open_log(dataset)
    if release:
        proof = prove_document(log, find_release(open_dataset_store(dataset), release).document)
    else:
        proof = prove_entry(log, entry) if entry is not None else prove_growth(log, read_bytes(Path(str(since))))
    if out is not None:
        write_whole(out, proof)
    if as_json:
        print_json({"proof": proof.decode(), "out": None if out is None else str(out)})
    elif out is None and not quiet:
        say(proof.decode().rstrip("\n"))


def check(
    proof: Annotated[Path, typer.Argument(metavar="PROOF", help="A file from voxarium log prove.")],
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Public key to believe: its line, a file that holds it, or a key's name."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The checkpoint that was kept, since which the log only grew.")
    ] = None,
    document: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The document of the release that it is about: 000001.json.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a proof; neither the dataset nor its log is needed. Exit code 1 if it does not hold."""
    from voxarium.archive.keys import public_key
    from voxarium.archive.log_proofs import check_proof

    found = check_proof(
        read_bytes(proof),
        keys=[public_key(k) for k in key or ()],
        kept=None if checkpoint is None else read_bytes(checkpoint),
        document=None if document is None else read_bytes(document),
    )
    if as_json:
        print_json(found.to_json())
    elif not quiet:
        _print(found)
    if not found.ok:
        raise typer.Exit(1)


def _print(found: CheckedProof) -> None:
    for problem in found.problems:
        note("broken", problem, "bold red")
    who = f", signed by {' and '.join(found.signed_by)}" if found.signed_by else ""
    what = f"the first {found.since:,} entries are as they were"
    if found.entry is not None:
        what = f"entry {found.entry.sequence} ({found.entry.operation}, {found.entry.time}) is in the log"
    say(f"{'proved' if found.ok else 'NOT proved'}: {what}")
    say(f"by the checkpoint of {found.size:,} entries of {found.origin}{who}")
    if found.ok and not found.signed_by:
        note("note", "nobody's signature was looked at: name whom you believe with --key", "bold yellow")
