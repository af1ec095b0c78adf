"""Jobs that write an image: what is asked is planned and printed, or done while its progress is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voxarium.cli.printing import note, print_json, say
from voxarium.cli.progress import ConversionProgress
from voxarium.cli.summary import print_plan, report_text, totals_text
from voxarium.errors import Code, InputError

if TYPE_CHECKING:
    from voxarium.archive.manifests import ManifestWriter
    from voxarium.archive.members import MemberJob
    from voxarium.archive.tree_roots import RootTaker
    from voxarium.conversion.plan import Plan
    from voxarium.core.dataset import Dataset
    from voxarium.core.image import Image

__all__ = ["JobArguments", "write_collection", "write_image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobArguments:
    """How a job runs, as the user said it."""

    threads: int | None
    overwrite: bool
    resume: bool
    dry_run: bool
    as_json: bool
    quiet: bool
    digests: Sequence[str] | None = None
    manifest: str | None = None
    operation: str = "convert"
    parameters: Mapping[str, Any] | None = None
    """What a dataset's log says was done, and how; None: the choices."""

    @property
    def with_manifest(self) -> bool:
        """Whether a manifest is written of the result."""
        return (self.digests is not None and not self.no_digests) or self.manifest is not None

    @property
    def no_digests(self) -> bool:
        """Whether no digests are wanted, not even those that cost little."""
        return tuple(self.digests or ()) == ("none",)

    def writer(self, target: str) -> tuple[ManifestWriter | None, tuple[str, ...]]:
        """Return who writes the manifest, and the digests to take."""
        if not self.with_manifest:
            return None, ()
        from voxarium.archive.manifests import ManifestWriter, manifest_address
        from voxarium.archive.trees import existing, object_exists
        from voxarium.core.digests import check_algorithms

        algorithms = check_algorithms(("sha256", *(() if self.no_digests else self.digests or ())))
        address = self.manifest or manifest_address(target)
        if not (self.overwrite or self.resume) and object_exists(address):
            raise existing(address)
        return ManifestWriter(self.manifest, self.threads), algorithms

    def check(self) -> None:
        """Refuse what excludes each other."""
        if self.overwrite and self.resume:
            raise InputError(
                "--overwrite and --resume exclude each other",
                code=Code.ARGUMENT_INVALID,
                fix="use --resume to go on with an interrupted conversion, --overwrite to begin anew",
            )


def write_image(
    image: Image, target: str, choices: dict[str, Any], job: JobArguments, *, like: Image | None = None
) -> None:
    """Plan a conversion and print the plan, or carry it out and print the report.

    Parameters
    ----------
    choices : dict
        The fields of `ConvertOptions`.
    like : Image or None
        An image that was looked at, which the target must not touch.
    """
    from voxarium.conversion.running import plan_for
    from voxarium.conversion.target import check_apart, open_target
    from voxarium.core.pools import cpu_count

    member = _member_of_dataset(image, target, choices, job)
    target = target if member is None else member.target
    plan = plan_for(image, target, choices)
    for other in (image, like) if job.dry_run else (like,):
        if other is not None:
            check_apart(other, open_target(target, plan.format))
    if job.dry_run:
        document = plan.to_json(job.threads or cpu_count())
        if job.as_json:
            print_json(document)
        elif not job.quiet:
            print_plan(document)
        return
    _run(image, target, choices, job, plan.notes, member, taker=_root_taker(plan, target, job, member))


def _root_taker(plan: Plan, target: str, job: JobArguments, member: MemberJob | None) -> RootTaker | None:
    """Return who takes the root of what is written into a dataset, for its log, where that costs little."""
    if member is None or job.no_digests or job.with_manifest:
        return None
    from voxarium.archive.tree_roots import RootTaker, is_cheap

    return RootTaker(target) if is_cheap(plan) else None


def _member_of_dataset(
    source: Image | Dataset, target: str, choices: Mapping[str, Any], job: JobArguments
) -> MemberJob | None:
    """Return the member that the target will be, if it lies in a dataset; its layout may put it elsewhere."""
    from voxarium.archive.members import member_job, planned_facts

    found = member_job(target, planned_facts(source, choices))
    if found is not None and not (job.as_json or job.quiet):
        for text in found.notes:
            note("note", text, "bold yellow")
    return found


def write_collection(dataset: Dataset, target: str, choices: dict[str, Any], job: JobArguments) -> None:
    """Plan or convert every image of a collection."""
    from voxarium.conversion.collections import plan_parts
    from voxarium.conversion.running import plan_for

    if job.with_manifest:
        raise InputError(
            "a conversion of several images writes no manifest",
            code=Code.ARGUMENT_INVALID,
            fix=f"make it afterwards: voxarium manifest {target}",
        )
    member = _member_of_dataset(dataset, target, choices, job)
    target = target if member is None else member.target
    if job.dry_run:
        document = plan_parts(dataset, target, choices, plan_for).to_json()
        if job.as_json:
            print_json(document)
        elif not job.quiet:
            say(totals_text(document))
        return
    _run(dataset, target, choices, job, dataset.info.notes, member)


def _run(
    source: Image | Dataset,
    target: str,
    choices: dict[str, Any],
    job: JobArguments,
    notes: Iterable[str],
    member: MemberJob | None,
    *,
    taker: RootTaker | None = None,
) -> None:
    from voxarium.conversion.running import convert

    silent = job.as_json or job.quiet
    writer, digests = job.writer(target)
    if not silent:
        for text in notes:
            note("note", text, "bold yellow")
    with ConversionProgress(silent=silent) as progress:
        report = convert(
            source,
            target,
            threads=job.threads,
            resume=job.resume,
            overwrite=job.overwrite,
            progress=progress.update,
            take_objects=writer or taker,
            **choices | {"digests": digests if taker is None else taker.digests},
        )
    made = None if writer is None else writer.report
    roots = (() if taker is None else taker.roots) if made is None else made.roots
    parameters = choices if job.parameters is None else job.parameters
    listed = None if member is None else member.finish(job.operation, source, parameters, roots)
    if listed is not None and not silent:
        for text in listed.notes:
            note("note", text, "bold yellow")
    if job.as_json:
        manifest = {} if made is None else {"manifest": made.manifest, "roots": list(roots)}
        print_json(report.to_json() | manifest | ({} if listed is None else listed.to_json()))
    elif not job.quiet:
        say(report_text(report, target))
        for root in () if made is None else roots:
            say(f"root {root}")
        if listed is not None:
            say(f"{listed.member} is a member of {listed.dataset}")
