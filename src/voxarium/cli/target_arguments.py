"""Arguments of commands that write images: the target, and how the job runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from voxarium.cli.arguments import RoleName
from voxarium.cli.values import byte_count, integers, names, scalar

__all__ = [
    "JOB_PANEL",
    "MEANING_PANEL",
    "AcceptLoss",
    "Axes",
    "Checksum",
    "Chunk",
    "Codec",
    "Digests",
    "DryRun",
    "Factors",
    "IgnoreZero",
    "Levels",
    "Lossy",
    "ManifestFile",
    "Memory",
    "Method",
    "Name",
    "Order",
    "Overwrite",
    "Resume",
    "Role",
    "Series",
    "Shard",
    "SpecVersion",
    "Target",
    "TargetDtype",
    "TargetFormat",
    "Unit",
    "target_choices",
]

_TARGET = "What is written"
MEANING_PANEL = "What the source means"
JOB_PANEL = "How the job runs"


Target = Annotated[
    str,
    typer.Argument(metavar="DST", help="A new folder or s3://, gs://, az:// prefix; …/labels/NAME for labels."),
]
TargetFormat = Annotated[str, typer.Option(metavar="NAME", help="Format to write.", rich_help_panel=_TARGET)]
SpecVersion = Annotated[
    str | None,
    typer.Option(metavar="V", help="Version of the format: 0.5, 0.4 …", rich_help_panel=_TARGET),
]
Chunk = Annotated[
    str | None,
    typer.Option(metavar="N|N,N,N", help="Voxels per chunk; 64 if not given.", rich_help_panel=_TARGET),
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="N|N,N,N",
        help="Voxels per shard, a multiple of the chunk; 512 if not given, 0 = an object per chunk.",
        rich_help_panel=_TARGET,
    ),
]
Codec = Annotated[
    str | None,
    typer.Option(
        metavar="NAME:LEVEL",
        help="zstd:1, blosc:lz4:5, gzip:5, none …; what the format usually has if not given.",
        rich_help_panel=_TARGET,
    ),
]
Levels = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Levels, the finest included; until one fits into 64³ if not given.",
        rich_help_panel=_TARGET,
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="mean, median, mode, min, max, stride, gaussian; mode for labels, else mean, if not given.",
        rich_help_panel=_TARGET,
    ),
]
Factors = Annotated[
    str | None,
    typer.Option(
        metavar="N|N,N,N",
        help="Ratio between levels; towards isotropic voxels if not given.",
        rich_help_panel=_TARGET,
    ),
]
IgnoreZero = Annotated[
    bool, typer.Option("--ignore-zero", help="Zeros do not vote in the mode.", rich_help_panel=_TARGET)
]
TargetDtype = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        help="Type to write; values that do not fit stop the job.",
        rich_help_panel=_TARGET,
    ),
]
Lossy = Annotated[bool, typer.Option("--lossy", help="Clip and round values to fit --dtype.", rich_help_panel=_TARGET)]
Order = Annotated[str | None, typer.Option(metavar="AXES", help="Axes in the order to write.", rich_help_panel=_TARGET)]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="Name of the image.", rich_help_panel=_TARGET)]
Axes = Annotated[
    str | None,
    typer.Option(
        metavar="AXES", help="Axes of the source in stored order: zyx, tczyx …", rich_help_panel=MEANING_PANEL
    ),
]
Unit = Annotated[
    str | None,
    typer.Option(metavar="UNIT", help="Unit of both: nanometer, micrometer …", rich_help_panel=MEANING_PANEL),
]
Series = Annotated[
    str | None,
    typer.Option(metavar="N|NAME", help="Which image of a source that holds several.", rich_help_panel=MEANING_PANEL),
]
Role = Annotated[RoleName | None, typer.Option(help="What samples are.", rich_help_panel=MEANING_PANEL)]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory for blocks at work: 1GB.", rich_help_panel=JOB_PANEL)
]
AcceptLoss = Annotated[
    str | None,
    typer.Option(
        metavar="KIND,…", help="Losses that may happen, such as translation,name; or all.", rich_help_panel=_TARGET
    ),
]
Checksum = Annotated[
    bool,
    typer.Option(
        "--checksum",
        help="Note a checksum of every object; --resume then compares contents.",
        rich_help_panel=JOB_PANEL,
    ),
]
Digests = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,…",
        help="Take digests of all objects as they are written, and write a manifest: sha256, blake3. none: not even "
        "the BLAKE3 root for the log of a dataset, which is taken where it costs little.",
        rich_help_panel=JOB_PANEL,
    ),
]
ManifestFile = Annotated[
    str | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        help="Where the manifest goes; DST.manifest.parquet if only --digests is given.",
        rich_help_panel=JOB_PANEL,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace the image at the target; label images inside it are kept.",
        rich_help_panel=JOB_PANEL,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with an interrupted conversion.", rich_help_panel=JOB_PANEL)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan; write nothing.", rich_help_panel=JOB_PANEL)]


def target_choices(
    *,
    chunk: str | None,
    shard: str | None,
    factors: str | None,
    order: str | None,
    memory: str | None,
    fill_value: str | None,
    role: RoleName | None,
    **plain: Any,
) -> dict[str, Any]:  # Any: the types of ConvertOptions' fields
    """Return choices about the target, parsed; `plain` ones are taken as they are."""
    return plain | {
        "chunk": integers("--chunk", chunk),
        "shard": integers("--shard", shard),
        "factors": integers("--factors", factors),
        "order": names("--order", order),
        "memory": byte_count("--memory", memory),
        "fill_value": scalar("--fill-value", fill_value),
        "role": None if role is None else role.value,
    }
