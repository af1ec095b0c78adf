"""``voxarium read``: a region of one level into a NumPy file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    Uri,
    source_options,
)
from voxarium.cli.output import check_output, partial_file, reserve
from voxarium.cli.printing import print_json, say
from voxarium.cli.values import region, resolve_region

if TYPE_CHECKING:
    from voxarium.core.array import Array
    from voxarium.model.box import Box

__all__ = ["read"]


def read(
    uri: Uri,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.npy", help="NumPy file to write.")],
    box: Annotated[
        str | None,
        typer.Option(metavar="Z0:Z1,Y0:Y1,X0:X1", help="Region in voxels of the level; everything if not given."),
    ] = None,
    level: Annotated[int, typer.Option(min=0, metavar="N", help="Level; 0 is the finest.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    threads: Threads = None,
    source_format: SourceFormat = None,
    shape: SourceShape = None,
    source_dtype: SourceDtype = None,
    byte_offset: ByteOffset = None,
    source_order: SourceOrder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Read a region of one level into a .npy file. Regions may be larger than memory."""
    from voxarium.core.opening import open_one
    from voxarium.core.report import bytes_text
    from voxarium.model.box import Box

    bounds = region("--box", box)
    check_output(out, (".npy",), overwrite=overwrite)
    image = open_one(uri, **source_options(source_format, shape, source_dtype, byte_offset, source_order))
    array = image.level(level)
    wanted = resolve_region("--box", bounds, array.shape) or Box.whole(array.shape)
    started = time.perf_counter()
    _write_npy(out, array, wanted, threads)
    seconds = time.perf_counter() - started
    if as_json:
        print_json(
            {
                "out": str(out),
                "level": level,
                "box": {"origin": list(wanted.origin), "shape": list(wanted.shape)},
                "dtype": array.dtype.name,
                "seconds": round(seconds, 3),
            }
        )
    elif not quiet:
        size = wanted.size * array.dtype.itemsize
        shape_text = " × ".join(map(str, wanted.shape))
        say(f"{out}: {array.dtype.name} {shape_text}, {bytes_text(size)} in {seconds:.2f} s")


def _write_npy(out: Path, array: Array, box: Box, threads: int | None) -> None:
    """Read straight into the pages of the file."""
    import numpy as np

    with partial_file(out) as partial:
        if box.size == 0:
            with partial.open("wb") as file:
                np.save(file, np.empty(box.shape, array.dtype))
            return
        pages = np.lib.format.open_memmap(partial, mode="w+", dtype=array.dtype, shape=box.shape)
        reserve(partial)
        array.read(box, out=pages, threads=threads)
        pages.flush()
