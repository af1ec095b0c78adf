"""``voxarium digest``: what voxels are, however they are stored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

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
from voxarium.cli.output import check_output, write_whole
from voxarium.cli.printing import error_json, note, print_json, say
from voxarium.cli.progress import DigestDisplay
from voxarium.cli.values import names
from voxarium.errors import Code, InputError, VoxariumError

if TYPE_CHECKING:
    from voxarium.core.image import Image
    from voxarium.spec.logical_digest import LogicalDigest

__all__ = ["digest"]

_ALL: Final = "all"


def digest(
    uris: Annotated[list[str], typer.Argument(metavar="URI…", help="Images, or folders and collections of images.")],
    level: Annotated[str, typer.Option(metavar="N|all", help="Level; 0 is the finest.")] = "0",
    axes: Annotated[
        str | None, typer.Option(metavar="AXES", help="Axes in stored order, where files do not name them: zyx …")
    ] = None,
    tree: Annotated[
        Path | None,
        typer.Option(metavar="FILE.vldtree", help="Also write the digests of all blocks, for voxarium compare."),
    ] = None,
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
    """Print digests of voxels, equal for equal images in any container, chunks, codec, byte order and order of axes.

    `content` stands for voxels, type and shape; `bound` for these and the coordinates.
    """
    if tree is not None:
        check_output(tree, (".vldtree",), overwrite=overwrite)
        if len(uris) > 1 or level == _ALL:
            raise InputError(
                "--tree takes the digest of one level of one image",
                code=Code.ARGUMENT_INVALID,
                fix="name one image, and one --level",
            )
    options = source_options(source_format, shape, source_dtype, byte_offset, source_order)
    named = None if axes is None else names("--axes", axes)
    found: list[dict[str, Any]] = []
    problems: dict[str, VoxariumError] = {}
    chosen = [pair for address in uris for pair in _images(address, options, problems, alone=tree is not None)]
    work = [(uri, image, number) for uri, image in chosen for number in _levels(level, image)]
    for uri, image, number in work:
        started = time.perf_counter()
        made = _digest(image, number, named, threads, silent=quiet or as_json)
        seconds = round(time.perf_counter() - started, 3)
        found.append({"uri": uri, "level": number, **made.to_json(), "seconds": seconds})
        if tree is not None:
            _write_tree(tree, made)
        if not as_json:
            _print(uri, number, made)
    if as_json:
        print_json({"digests": found, "problems": {uri: error_json(error) for uri, error in problems.items()}})
    for uri, error in problems.items():
        note("warning", f"{uri} cannot be opened, and was left out: {error.message}", "bold yellow")
    if problems:
        raise typer.Exit(1)


def _images(
    uri: str, options: dict[str, Any], problems: dict[str, VoxariumError], *, alone: bool
) -> Iterator[tuple[str, Image]]:
    """Yield the image at an address, or all images of a collection, with their addresses."""
    from voxarium.core.image import Image
    from voxarium.core.opening import only_image
    from voxarium.core.opening import open as open_any

    def below(key: str) -> str:
        return f"{uri.rstrip('/')}{'' if key.startswith('::') else '/'}{key}"

    found = open_any(uri, **options)
    if isinstance(found, Image) or alone:
        yield uri, only_image(found, uri)
        return
    for key, image in found.iter_images():
        yield below(key), image
    problems |= {below(key): error for key, error in found.problems.items()}


def _levels(text: str, image: Image) -> range:
    """Return the levels that are meant."""
    if text == _ALL:
        return range(len(image.levels))
    if not text.isdecimal() or len(text) > 4:
        raise InputError(
            f"--level {text} is no level", code=Code.ARGUMENT_INVALID, fix="give a number from 0 on, or all"
        )
    return range(int(text), int(text) + 1)


def _digest(
    image: Image, level: int, axes: tuple[str, ...] | None, threads: int | None, *, silent: bool
) -> LogicalDigest:
    from voxarium.core.digesting import logical_digest

    with DigestDisplay(silent=silent) as display:
        return logical_digest(image, level=level, axes=axes, threads=threads, progress=display.update)


def _write_tree(out: Path, made: LogicalDigest) -> None:
    from voxarium.spec.logical_digest import dump_tree

    write_whole(out, dump_tree(made))


def _print(uri: str, level: int, made: LogicalDigest) -> None:
    where: Any = uri if level == 0 else f"{uri} level {level}"
    say(f"{made.content}  {where}")
    say(f"{made.bound}  {where}" if made.bound else f"coordinates are not stated, or not affine  {where}")
