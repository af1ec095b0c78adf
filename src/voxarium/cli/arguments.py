"""Arguments that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from voxarium.cli.values import integers

__all__ = [
    "AsJson",
    "ByteOffset",
    "Quiet",
    "RoleName",
    "SourceDtype",
    "SourceFormat",
    "SourceOrder",
    "SourceShape",
    "Threads",
    "Uri",
    "source_options",
]


class RoleName(StrEnum):
    """What samples are."""

    intensity = "intensity"
    label = "label"
    prediction = "prediction"


_RAW = "Sources that do not describe themselves"

Uri = Annotated[
    str,
    typer.Argument(
        metavar="URI",
        help="A path, or s3://, gs://, az://, https://; what is inside a file follows '::' (stack.h5::/em).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Threads = Annotated[int | None, typer.Option(min=1, metavar="N", help="Threads; one per processor if not given.")]
SourceFormat = Annotated[
    str | None, typer.Option(metavar="NAME", help="Driver of the source, such as hdf5.", rich_help_panel=_RAW)
]
SourceShape = Annotated[
    str | None, typer.Option("--shape", metavar="N,N,N", help="Shape of a raw file.", rich_help_panel=_RAW)
]
SourceDtype = Annotated[
    str | None, typer.Option(metavar="TYPE", help="Type of a raw file: uint8, >u2 …", rich_help_panel=_RAW)
]
ByteOffset = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Bytes before the first voxel of a raw file.", rich_help_panel=_RAW),
]
SourceOrder = Annotated[
    str | None,
    typer.Option(metavar="C|F", help="Order of a raw file: C = last axis fastest, F = first.", rich_help_panel=_RAW),
]


def source_options(
    source_format: str | None,
    shape: str | None,
    source_dtype: str | None,
    byte_offset: int | None,
    source_order: str | None,
) -> dict[str, Any]:
    """Return the options that `voxarium.open` takes."""
    given = {
        "format": source_format,
        "shape": integers("--shape", shape),
        "dtype": source_dtype,
        "byte_offset": byte_offset,
        "order": source_order,
    }
    return {name: value for name, value in given.items() if value is not None}
