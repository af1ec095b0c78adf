"""``voxarium convert``: from any source to a sharded, multiscale archive."""

from __future__ import annotations

from typing import Annotated

import typer

from voxarium.cli.arguments import (
    AsJson,
    ByteOffset,
    Quiet,
    SourceDtype,
    SourceFormat,
    SourceOrder,
    SourceShape,
    Threads,
    source_options,
)
from voxarium.cli.jobs import JobArguments, write_collection, write_image
from voxarium.cli.target_arguments import (
    MEANING_PANEL,
    AcceptLoss,
    Axes,
    Checksum,
    Chunk,
    Codec,
    Digests,
    DryRun,
    Factors,
    IgnoreZero,
    Levels,
    Lossy,
    ManifestFile,
    Memory,
    Method,
    Name,
    Order,
    Overwrite,
    Resume,
    Role,
    Series,
    Shard,
    SpecVersion,
    Target,
    TargetDtype,
    TargetFormat,
    Unit,
    target_choices,
)
from voxarium.cli.values import names, numbers, region, resolve_region, words

__all__ = ["convert"]

_TARGET = "What is written"


def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="What to convert; see voxarium info --help.")],
    target: Target,
    format: TargetFormat = "ome-zarr",
    spec_version: SpecVersion = None,
    chunk: Chunk = None,
    shard: Shard = None,
    codec: Codec = None,
    levels: Levels = None,
    method: Method = None,
    factors: Factors = None,
    ignore_zero: IgnoreZero = False,
    dtype: TargetDtype = None,
    lossy: Lossy = False,
    fill_value: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            help="Value of chunks that are left out; 0 if not given.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    order: Order = None,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="Z0:Z1,Y0:Y1,X0:X1",
            help="Region of the source to convert, in its own axis order.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    name: Name = None,
    axes: Axes = None,
    voxel_size: Annotated[
        str | None,
        typer.Option(
            metavar="N|N,N,N",
            help="Physical size of a voxel, per axis of the source.",
            rich_help_panel=MEANING_PANEL,
        ),
    ] = None,
    translation: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,N", help="World position of the first voxel's centre.", rich_help_panel=MEANING_PANEL
        ),
    ] = None,
    unit: Unit = None,
    time_step: Annotated[
        float | None,
        typer.Option(metavar="N", help="Time from one time point to the next.", rich_help_panel=MEANING_PANEL),
    ] = None,
    time_unit: Annotated[
        str | None, typer.Option(metavar="UNIT", help="Its unit: second, ms …", rich_help_panel=MEANING_PANEL)
    ] = None,
    channels: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Names of the channels.", rich_help_panel=MEANING_PANEL)
    ] = None,
    colors: Annotated[
        str | None,
        typer.Option(metavar="COLOR,…", help="Colours of the channels: 00FF00, green …", rich_help_panel=MEANING_PANEL),
    ] = None,
    series: Series = None,
    role: Role = None,
    source_format: SourceFormat = None,
    shape: SourceShape = None,
    source_dtype: SourceDtype = None,
    byte_offset: ByteOffset = None,
    source_order: SourceOrder = None,
    threads: Threads = None,
    memory: Memory = None,
    accept_loss: AcceptLoss = None,
    checksum: Checksum = False,
    digests: Digests = None,
    manifest: ManifestFile = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Convert an image, or all images of a plate, file or folder, into sharded, multiscale archives.

    One number for --chunk, --shard, --factors or --voxel-size stands for all space axes.
    An interrupted conversion goes on with --resume and ends with the same bytes.
    """
    from voxarium.conversion.sources import open_source_or_collection
    from voxarium.core.dataset import Dataset

    job = JobArguments(
        threads=threads,
        overwrite=overwrite,
        resume=resume,
        dry_run=dry_run,
        as_json=as_json,
        quiet=quiet,
        digests=words(digests),
        manifest=manifest,
    )
    options = source_options(source_format, shape, source_dtype, byte_offset, source_order)
    choices = target_choices(
        chunk=chunk,
        shard=shard,
        factors=factors,
        order=order,
        memory=memory,
        fill_value=fill_value,
        role=role,
        format=format,
        spec_version=spec_version,
        codec=codec,
        levels=levels,
        method=method,
        ignore_zero=ignore_zero,
        accept=accept_loss,
        checksum=checksum,
        dtype=dtype,
        lossy=lossy,
        name=name,
        axes=names("--axes", axes),
        voxel_size=numbers("--voxel-size", voxel_size),
        translation=numbers("--translation", translation),
        unit=unit,
        time_step=time_step,
        time_unit=time_unit,
        channels=channels,
        colors=colors,
    )
    cut = region("--crop", crop)
    job.check()
    image = open_source_or_collection(source, format, series=series, **options)
    if isinstance(image, Dataset):
        choices["crop"] = cut
        write_collection(image, target, choices, job)
        return
    choices["crop"] = resolve_region("--crop", cut, image.shape)
    write_image(image, target, choices, job)
