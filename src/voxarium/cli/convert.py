"""``voxarium convert``: from any source to a sharded, multiscale archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from voxarium.cli.arguments import (
    AsJson,
    ByteOffset,
    Quiet,
    RoleName,
    SourceDtype,
    SourceFormat,
    SourceOrder,
    SourceShape,
    Threads,
    source_options,
)
from voxarium.cli.printing import note, print_json, say
from voxarium.cli.progress import ConversionProgress
from voxarium.cli.summary import print_plan, report_text, totals_text
from voxarium.cli.values import byte_count, integers, names, numbers, region, resolve_region, scalar
from voxarium.errors import Code, InputError

if TYPE_CHECKING:
    from voxarium.conversion.plan import Plan
    from voxarium.core.dataset import Dataset

__all__ = ["convert"]

_TARGET = "What is written"
_MEANING = "What the source means"
_JOB = "How the job runs"


def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="What to convert; see voxarium info --help.")],
    target: Annotated[
        str,
        typer.Argument(metavar="DST", help="A new folder or s3://, gs://, az:// prefix; …/labels/NAME for labels."),
    ],
    format: Annotated[str, typer.Option(metavar="NAME", help="Format to write.", rich_help_panel=_TARGET)] = "ome-zarr",
    spec_version: Annotated[
        str | None,
        typer.Option(metavar="V", help="Version of the format: 0.5, 0.4 …", rich_help_panel=_TARGET),
    ] = None,
    chunk: Annotated[
        str | None,
        typer.Option(metavar="N|N,N,N", help="Voxels per chunk; 64 if not given.", rich_help_panel=_TARGET),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="N|N,N,N",
            help="Voxels per shard, a multiple of the chunk; 512 if not given, 0 = an object per chunk.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            metavar="NAME:LEVEL",
            help="zstd:1, blosc:lz4:5, gzip:5, none …; what the format usually has if not given.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    levels: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Levels, the finest included; until one fits into 64³ if not given.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="mean, median, mode, min, max, stride, gaussian; mode for labels, else mean, if not given.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    factors: Annotated[
        str | None,
        typer.Option(
            metavar="N|N,N,N",
            help="Ratio between levels; towards isotropic voxels if not given.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    ignore_zero: Annotated[
        bool, typer.Option("--ignore-zero", help="Zeros do not vote in the mode.", rich_help_panel=_TARGET)
    ] = False,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="Type to write; values that do not fit stop the job.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Clip and round values to fit --dtype.", rich_help_panel=_TARGET)
    ] = False,
    fill_value: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            help="Value of chunks that are left out; 0 if not given.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    order: Annotated[
        str | None, typer.Option(metavar="AXES", help="Axes in the order to write.", rich_help_panel=_TARGET)
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="Z0:Z1,Y0:Y1,X0:X1",
            help="Region of the source to convert, in its own axis order.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the image.", rich_help_panel=_TARGET)
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(metavar="AXES", help="Axes of the source in stored order: zyx, tczyx …", rich_help_panel=_MEANING),
    ] = None,
    voxel_size: Annotated[
        str | None,
        typer.Option(
            metavar="N|N,N,N",
            help="Physical size of a voxel, per axis of the source.",
            rich_help_panel=_MEANING,
        ),
    ] = None,
    translation: Annotated[
        str | None,
        typer.Option(metavar="N,N,N", help="World position of the first voxel's centre.", rich_help_panel=_MEANING),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(metavar="UNIT", help="Unit of both: nanometer, micrometer …", rich_help_panel=_MEANING),
    ] = None,
    time_step: Annotated[
        float | None,
        typer.Option(metavar="N", help="Time from one time point to the next.", rich_help_panel=_MEANING),
    ] = None,
    time_unit: Annotated[
        str | None, typer.Option(metavar="UNIT", help="Its unit: second, ms …", rich_help_panel=_MEANING)
    ] = None,
    channels: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Names of the channels.", rich_help_panel=_MEANING)
    ] = None,
    colors: Annotated[
        str | None,
        typer.Option(metavar="COLOR,…", help="Colours of the channels: 00FF00, green …", rich_help_panel=_MEANING),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(metavar="N|NAME", help="Which image of a source that holds several.", rich_help_panel=_MEANING),
    ] = None,
    role: Annotated[RoleName | None, typer.Option(help="What samples are.", rich_help_panel=_MEANING)] = None,
    source_format: SourceFormat = None,
    shape: SourceShape = None,
    source_dtype: SourceDtype = None,
    byte_offset: ByteOffset = None,
    source_order: SourceOrder = None,
    threads: Threads = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory for blocks at work: 1GB.", rich_help_panel=_JOB)
    ] = None,
    accept_loss: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,…", help="Losses that may happen, such as translation,name; or all.", rich_help_panel=_TARGET
        ),
    ] = None,
    checksum: Annotated[
        bool,
        typer.Option(
            "--checksum", help="Note a checksum of every object; --resume then compares contents.", rich_help_panel=_JOB
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the image at the target; label images inside it are kept.",
            rich_help_panel=_JOB,
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted conversion.", rich_help_panel=_JOB)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan; write nothing.", rich_help_panel=_JOB)
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Convert an image, or all images of a plate, file or folder, into sharded, multiscale archives.

    One number for --chunk, --shard, --factors or --voxel-size stands for all space axes.
    An interrupted conversion goes on with --resume and ends with the same bytes.
    """
    from voxarium.conversion.running import convert as run_conversion
    from voxarium.conversion.running import open_source_or_collection, plan_for
    from voxarium.conversion.target import check_apart, open_target
    from voxarium.core.dataset import Dataset

    options = source_options(source_format, shape, source_dtype, byte_offset, source_order)
    choices: dict[str, Any] = {  # Any: the types of ConvertOptions' fields
        "format": format,
        "spec_version": spec_version,
        "chunk": integers("--chunk", chunk),
        "shard": integers("--shard", shard),
        "codec": codec,
        "levels": levels,
        "method": method,
        "factors": integers("--factors", factors),
        "ignore_zero": ignore_zero,
        "accept": accept_loss,
        "checksum": checksum,
        "dtype": dtype,
        "lossy": lossy,
        "fill_value": scalar("--fill-value", fill_value),
        "order": names("--order", order),
        "name": name,
        "axes": names("--axes", axes),
        "voxel_size": numbers("--voxel-size", voxel_size),
        "translation": numbers("--translation", translation),
        "unit": unit,
        "time_step": time_step,
        "time_unit": time_unit,
        "channels": channels,
        "colors": colors,
        "role": None if role is None else role.value,
        "memory": byte_count("--memory", memory),
    }
    cut = region("--crop", crop)
    if overwrite and resume:
        raise InputError(
            "--overwrite and --resume exclude each other",
            code=Code.ARGUMENT_INVALID,
            fix="use --resume to go on with an interrupted conversion, --overwrite to begin anew",
        )
    image = open_source_or_collection(source, format, series=series, **options)
    if isinstance(image, Dataset):
        choices["crop"] = cut
        _convert_collection(image, target, choices, threads, _Job(resume, overwrite, dry_run, as_json, quiet))
        return
    choices["crop"] = resolve_region("--crop", cut, image.shape)
    plan = plan_for(image, target, choices)
    if dry_run:
        check_apart(image, open_target(target, plan.format))
        _print_plan(plan, threads, as_json=as_json, quiet=quiet)
        return
    silent = as_json or quiet
    if not silent:
        for text in plan.notes:
            note("note", text, "bold yellow")
    with ConversionProgress(silent=silent) as progress:
        report = run_conversion(
            image,
            target,
            threads=threads,
            resume=resume,
            overwrite=overwrite,
            progress=progress.update,
            **choices,
        )
    if as_json:
        print_json(report.to_json())
    elif not quiet:
        say(report_text(report, target))


class _Job(NamedTuple):
    """How a job runs and what it prints."""

    resume: bool
    overwrite: bool
    dry_run: bool
    as_json: bool
    quiet: bool


def _convert_collection(dataset: Dataset, target: str, choices: dict[str, Any], threads: int | None, job: _Job) -> None:
    """Convert every image of a collection."""
    from voxarium.conversion.collections import plan_parts
    from voxarium.conversion.running import convert as run_conversion
    from voxarium.conversion.running import plan_for

    if job.dry_run:
        document = plan_parts(dataset, target, choices, plan_for).to_json()
        if job.as_json:
            print_json(document)
        elif not job.quiet:
            say(totals_text(document))
        return
    silent = job.as_json or job.quiet
    if not silent:
        for text in dataset.info.notes:
            note("note", text, "bold yellow")
    with ConversionProgress(silent=silent) as progress:
        report = run_conversion(
            dataset,
            target,
            threads=threads,
            resume=job.resume,
            overwrite=job.overwrite,
            progress=progress.update,
            **choices,
        )
    if job.as_json:
        print_json(report.to_json())
    elif not job.quiet:
        say(report_text(report, target))


def _print_plan(plan: Plan, threads: int | None, *, as_json: bool, quiet: bool) -> None:
    from voxarium.core.pools import cpu_count

    document = plan.to_json(threads or cpu_count())
    if as_json:
        print_json(document)
    elif not quiet:
        print_plan(document)
