"""``voxarium virtualize``: a reference file instead of a copy."""

from __future__ import annotations

from typing import Annotated

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
    Uri,
    source_options,
)
from voxarium.cli.printing import print_json, say
from voxarium.cli.values import names, numbers

__all__ = ["virtualize"]


def virtualize(
    uri: Uri,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A .json file, or a .parq folder.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the target.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    most_inline: Annotated[
        int, typer.Option(min=0, metavar="BYTES", help="Bytes of cut chunks that may go into the file.")
    ] = 256 << 20,
    axes: Annotated[str | None, typer.Option(metavar="AXES", help="Axes of the source in stored order: zyx …")] = None,
    voxel_size: Annotated[str | None, typer.Option(metavar="N|N,N,N", help="Distance between voxels.")] = None,
    translation: Annotated[str | None, typer.Option(metavar="N,N,N", help="Centre of the first voxel.")] = None,
    unit: Annotated[str | None, typer.Option(metavar="UNIT", help="Unit of both.")] = None,
    role: Annotated[RoleName | None, typer.Option(help="What samples are.")] = None,
    source_format: SourceFormat = None,
    shape: SourceShape = None,
    source_dtype: SourceDtype = None,
    byte_offset: ByteOffset = None,
    source_order: SourceOrder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Present an image as OME-Zarr without copying it: write references to its chunks."""
    import voxarium

    report = voxarium.virtualize(
        uri,
        target,
        overwrite=overwrite,
        dry_run=dry_run,
        most_inline=most_inline,
        axes=None if axes is None else names("--axes", axes),
        voxel_size=numbers("--voxel-size", voxel_size),
        translation=numbers("--translation", translation),
        unit=unit,
        role=None if role is None else role.value,
        **source_options(source_format, shape, source_dtype, byte_offset, source_order),
    )
    if as_json:
        print_json(report.to_json())
        return
    if quiet:
        return
    would = "would hold" if dry_run else "holds"
    say(f"{report.target} {would} {report.references:,} references in {report.levels} levels")
    if report.inlined:
        say(f"and {report.inlined:,} chunks of {report.inline_bytes:,} bytes that are cut where the array ends")
    for address in report.outside[:3]:
        say(f"it leads to {address}: readers must allow that (VOXARIUM_REFERENCES)")
