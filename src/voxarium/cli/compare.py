"""``voxarium compare``: whether two images are equal, and where they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voxarium.cli.arguments import AsJson, Quiet, Threads
from voxarium.cli.printing import print_error, print_json, say
from voxarium.cli.progress import DigestDisplay
from voxarium.errors import VoxariumError

if TYPE_CHECKING:
    from voxarium.core.digesting import Comparison
    from voxarium.model.box import Box

__all__ = ["compare"]

_DIFFERENT: Final = 1
_FAILED: Final = 2
_SHOWN: Final = 10  # blocks that are printed
_LISTED: Final = 1000  # blocks in the JSON document


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="An image, or a tree that voxarium digest wrote (.vldtree).")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    level: Annotated[int, typer.Option(min=0, metavar="N", help="Level of both; 0 is the finest.")] = 0,
    content: Annotated[bool, typer.Option("--content", help="Compare voxels only, not coordinates.")] = False,
    no_count: Annotated[
        bool, typer.Option("--no-count", help="Name the blocks that differ, without counting their voxels.")
    ] = False,
    tree_a: Annotated[
        str | None,
        typer.Option(metavar="FILE.vldtree", help="The tree of A, which is then not read but where B differs."),
    ] = None,
    tree_b: Annotated[str | None, typer.Option(metavar="FILE.vldtree", help="The tree of B.")] = None,
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Tell whether two images are equal, whatever their formats, and where they are not.

    Exit codes: 0 equal, 1 different, 2 not compared.
    """
    from voxarium.core.digesting import compare as compare_images
    from voxarium.core.digesting import open_digest

    try:
        first, second = (None if tree is None else open_digest(tree) for tree in (tree_a, tree_b))
        with DigestDisplay(silent=quiet or as_json) as display:
            found = compare_images(
                a,
                b,
                level=level,
                count=not no_count,
                trees=(first, second),
                threads=threads,
                progress=display.update,
            )
    except VoxariumError as error:
        print_error(error, as_json=as_json)
        raise typer.Exit(_FAILED) from error
    equal = found.equal and (content or found.placed_equal is not False)
    if as_json:
        print_json({"equal": equal, **_document(found)})
    elif not quiet:
        say("\n".join(_lines(found, content)))
    if not equal:
        raise typer.Exit(_DIFFERENT)


def _document(found: Comparison) -> dict[str, Any]:
    return {
        "content_equal": found.equal,
        "coordinates_equal": found.placed_equal,
        "reason": found.reason,
        "axes": list(found.axes),
        "blocks": found.total,
        "different_blocks": len(found.blocks),
        "different_voxels": found.voxels,
        "box": None if found.box is None else _box(found.box),
        "listed": [_box(box) for box in found.blocks[:_LISTED]],
        "a": found.a.to_json(),
        "b": found.b.to_json(),
    }


def _box(box: Box) -> dict[str, list[int]]:
    return {"origin": list(box.origin), "shape": list(box.shape)}


def _region(box: Box) -> str:
    """Return a box as --box of voxarium read wants it."""
    return ",".join(f"{a}:{b}" for a, b in zip(box.origin, box.stop, strict=True))


def _lines(found: Comparison, content: bool) -> list[str]:
    lines = []
    if found.equal:
        lines.append("voxels are equal")
    elif found.reason:
        pair = [f"{d.dtype} {' × '.join(map(str, d.shape))} ({', '.join(d.axes)})" for d in (found.a, found.b)]
        lines.append(f"images differ in {found.reason}: {pair[0]} and {pair[1]}")
    else:
        blocks = f"{len(found.blocks):,} of {found.total:,} blocks"
        voxels = "1 voxel differs" if found.voxels == 1 else f"{found.voxels or 0:,} voxels differ"
        lines.append(f"{blocks} differ" if found.voxels is None else f"{voxels}, in {blocks}")
        if found.box is not None:
            lines.append(f"all within {_region(found.box)} ({', '.join(found.axes)})")
        lines += [f"  {_region(box)}" for box in found.blocks[:_SHOWN]]
        if len(found.blocks) > _SHOWN:
            lines.append(f"  … and {len(found.blocks) - _SHOWN:,} more blocks")
    if not content:
        lines.append(_placed(found))
    return lines


def _placed(found: Comparison) -> str:
    if found.placed_equal is None:
        return "coordinates are not compared: one of the images states none, or none that are affine"
    if found.placed_equal:
        return "coordinates are equal"
    a, b = (
        {} if d.coordinates is None else dict(zip(d.coordinates.axes, d.coordinates.matrix, strict=True))
        for d in (found.a, found.b)
    )
    different = [key for key in (*a, *(k for k in b if k not in a)) if a.get(key) != b.get(key)]
    parts = [f"{name} [{_row(a.get(key))}] and [{_row(b.get(key))}]" for key in different for name in (_axis(key),)]
    return f"coordinates differ (world = matrix × index): {'; '.join(parts)}"


def _axis(key: tuple[str, str, str | None]) -> str:
    return f"{key[0]} in {key[2] or 'no unit'}"


def _row(row: tuple[str, ...] | None) -> str:
    return "–" if row is None else " ".join(row)
