"""``voxarium resample``: an image on another grid."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
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
from voxarium.cli.jobs import JobArguments, write_image
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
from voxarium.cli.values import names, numbers, words, world_box

__all__ = ["resample"]

_GRID = "Where the result lies"


class InterpolationName(StrEnum):
    """How values between voxels are found."""

    nearest = "nearest"
    linear = "linear"
    cubic = "cubic"


def resample(
    source: Annotated[str, typer.Argument(metavar="SRC", help="What to resample; see voxarium info --help.")],
    target: Target,
    like: Annotated[
        str | None,
        typer.Option(metavar="URI[@LEVEL]", help="Image whose grid the result gets.", rich_help_panel=_GRID),
    ] = None,
    voxel_size: Annotated[
        str | None,
        typer.Option(metavar="N|N,N,N", help="Voxel size of the result, per space axis.", rich_help_panel=_GRID),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            metavar="Z0:Z1,Y0:Y1,X0:X1",
            help="Region of the world to cover, faces of voxels; all of the source if not given.",
            rich_help_panel=_GRID,
        ),
    ] = None,
    transform: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="World of the source → world of the result: OME-Zarr JSON, a matrix as text, ITK, BigWarp …",
            rich_help_panel=_GRID,
        ),
    ] = None,
    inverse_transform: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The same in the other direction, instead.", rich_help_panel=_GRID),
    ] = None,
    interpolation: Annotated[
        InterpolationName | None,
        typer.Option(help="nearest for labels, else linear, if not given.", rich_help_panel=_GRID),
    ] = None,
    fill_value: Annotated[
        str | None,
        typer.Option(metavar="VALUE", help="Value outside the source; 0 if not given.", rich_help_panel=_GRID),
    ] = None,
    source_level: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Level to read; the coarsest that suffices if not given.", rich_help_panel=_GRID
        ),
    ] = None,
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
    order: Order = None,
    name: Name = None,
    axes: Axes = None,
    source_voxel_size: Annotated[
        str | None,
        typer.Option(metavar="N|N,N,N", help="Voxel size of the source.", rich_help_panel=MEANING_PANEL),
    ] = None,
    source_translation: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,N", help="World position of the source's first voxel's centre.", rich_help_panel=MEANING_PANEL
        ),
    ] = None,
    unit: Unit = None,
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
    """Write an image on another grid: of another image, or of voxels of a given size.

    Voxels are interpolated block by block from the level of the source that suffices; time and channels pass through.
    An interrupted job goes on with --resume and ends with the same bytes.
    """
    from voxarium.conversion.resampling import resampling_for
    from voxarium.conversion.sources import open_source
    from voxarium.core.resampling.reading import both_ways_at, transform_at

    job = JobArguments(
        threads=threads,
        overwrite=overwrite,
        resume=resume,
        dry_run=dry_run,
        as_json=as_json,
        quiet=quiet,
        digests=words(digests),
        manifest=manifest,
        operation="resample",
    )
    job.check()
    way, back = (None, None) if transform is None else both_ways_at(transform)
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
        unit=unit,
        voxel_size=numbers("--voxel-size", voxel_size),
        source_voxel_size=numbers("--source-voxel-size", source_voxel_size),
        source_translation=numbers("--source-translation", source_translation),
        box=world_box("--box", box),
        like=like,
        transform=way,
        inverse=back if inverse_transform is None else transform_at(inverse_transform),
        interpolation=None if interpolation is None else interpolation.value,
        level=source_level,
    )
    found = resampling_for(open_source(source, series=series, **options), choices)
    asked = choices | {"transform": transform, "inverse": inverse_transform}
    write_image(found.image, target, found.choices, replace(job, parameters=asked), like=found.like)
