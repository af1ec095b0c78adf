"""``voxarium preview``: a picture of an image."""

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
    Uri,
    source_options,
)
from voxarium.cli.output import check_output, write_whole
from voxarium.cli.printing import print_json, say
from voxarium.cli.values import integers
from voxarium.errors import Code, NotFoundError

if TYPE_CHECKING:
    from voxarium.core.image import Image

__all__ = ["preview"]


def preview(
    uri: Uri,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.png", help="Picture to write.")],
    labels: Annotated[
        str | None,
        typer.Option(metavar="NAME|URI", help="Labels to lay over it: a label of the image, or an address."),
    ] = None,
    level: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Level to draw; the one that fits if not given.")
    ] = None,
    position: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Voxel of level 0 to cut through; the middle if not given."),
    ] = None,
    size: Annotated[int, typer.Option(metavar="PIXELS", help="Longer edge of the picture, about.")] = 1024,
    opacity: Annotated[float, typer.Option(min=0, max=1, metavar="0–1", help="Of the labels.")] = 0.35,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    source_format: SourceFormat = None,
    shape: SourceShape = None,
    source_dtype: SourceDtype = None,
    byte_offset: ByteOffset = None,
    source_order: SourceOrder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw the three slices through a point of an image, with scale bar, and labels if wished."""
    from voxarium.core.opening import open_one
    from voxarium.view.picture import preview_png

    check_output(out, (".png",), overwrite=overwrite)
    place = integers("--position", position)
    image = open_one(uri, **source_options(source_format, shape, source_dtype, byte_offset, source_order))
    over = None if labels is None else _open_labels(image, labels)
    started = time.perf_counter()
    data = preview_png(image, labels=over, size=size, level=level, position=place, opacity=opacity)
    write_whole(out, data)
    seconds = time.perf_counter() - started
    if as_json:
        print_json({"out": str(out), "bytes": len(data), "seconds": round(seconds, 3)})
    elif not quiet:
        say(f"{out}: {image.name}{f' with {over.name}' if over else ''}, {seconds:.2f} s")


def _open_labels(image: Image, name: str) -> Image:
    """Return the labels that a name stands for: those of the image first."""
    from voxarium.core.opening import open_image, open_one

    known = {path.removeprefix("labels/"): path for path in image.info.labels}
    if name in known or name in known.values():
        below = known.get(name, name)
        return open_image(image.store, f"{image.path}/{below}" if image.path else below)
    try:
        return open_one(name)
    except NotFoundError as error:
        if error.code != Code.PATH_MISSING or not known:
            raise
        raise NotFoundError(
            f"{image.name} has no labels {name!r}, and no image is at that path",
            code=Code.PATH_MISSING,
            fix=f"choose {', '.join(known)}, or give the address of a label image",
        ) from error
