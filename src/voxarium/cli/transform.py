"""``voxarium transform``: points from one coordinate system to another, and transforms from one file to another."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.printing import note, print_json, say
from voxarium.errors import Code, InputError, NotFoundError, VoxariumError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxarium.model.transform_dialect import StatedTransform
    from voxarium.model.transforms import Transform

__all__ = ["transform"]

_MOST_BYTES: Final = 1 << 30
_MOST_LINES: Final = 200


def transform(
    uri: Annotated[
        str | None,
        typer.Argument(metavar="[URI]", help="An image or scene whose coordinate systems are meant."),
    ] = None,
    source: Annotated[str | None, typer.Option("--from", metavar="SYSTEM", help="System of the points.")] = None,
    target: Annotated[str | None, typer.Option("--to", metavar="SYSTEM", help="System to map them to.")] = None,
    points: Annotated[
        str | None,
        typer.Option(metavar="FILE|N,N,N", help="Points in the order of the axes: a .csv or .json file, or one point."),
    ] = None,
    through: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Transform in a file: ITK, 4 × 4 matrix, BigDataViewer, BigWarp landmarks."),
    ] = None,
    orientation: Annotated[
        str | None, typer.Option(metavar="LPS|RAS", help="Coordinates to express an anatomical transform in.")
    ] = None,
    backward: Annotated[
        bool, typer.Option("--backward", help="Take the transform of --through the other way.")
    ] = False,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Invert fields and splines by iteration where there is no other way.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the transform: .tfm, .h5, .mtx, .xml, .csv."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --export.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Map points between coordinate systems, list these, or take a transform from one file to another.

    Coordinates are in the order of the axes (z, y, x), in the system's units; indices of voxels count their centres.
    """
    found, names = _found(uri, source, target, (through, orientation, backward), approximate)
    if found is None:
        if points is not None or export is not None:
            raise InputError(
                "--points and --export need to know the way",
                code=Code.ARGUMENT_INVALID,
                fix="give --from and --to with an image or scene, or --through with a file",
            )
        _list_systems(str(uri), as_json=as_json)
        return
    body: dict[str, Any] = {"from": names[0], "to": names[1], "transform": _json(found)}
    if export is not None:
        _export(found, names, export, orientation, overwrite=overwrite)
        body["out"] = str(export)
    if points is None:
        if as_json:
            print_json(body)
        elif not quiet and export is None:
            say(json.dumps(body["transform"]))
        return
    mapped = found.apply(_points(points))
    if as_json:
        print_json(body | {"points": _rows(mapped)})
    else:
        say("\n".join(",".join(repr(float(v)) for v in row) for row in mapped))


def _found(
    uri: str | None,
    source: str | None,
    target: str | None,
    file: tuple[str | None, str | None, bool],
    approximate: bool,
) -> tuple[Transform | None, tuple[str, str]]:
    """Return the transform that is meant, None when only an address is given; and what it leads from and to."""
    through, orientation, backward = file
    if (source is None) != (target is None) or (uri is None and (through is None or source is not None)):
        raise InputError(
            "an image or scene, or --through, says where points go; --from and --to come together",
            code=Code.ARGUMENT_INVALID,
            fix="voxarium transform URI --from A --to B --points …, or voxarium transform --through FILE --points …",
        )
    out: Transform | None = None
    names = (source or "", target or "")
    if uri is not None and source is not None and target is not None:
        from voxarium.core.systems import open_systems

        out = open_systems(uri).transform(source, target, approximate=approximate)
    if through is not None:
        from voxarium.core.transform_files import read_transform

        stated = read_transform(through, orientation=orientation, backward=backward)
        for text in stated.notes:
            note("note", text, "bold yellow")
        out = stated.transform if out is None else out.then(stated.transform)
        names = (names[0] or stated.source.name, stated.target.name)
    return out, names


def _list_systems(uri: str, *, as_json: bool) -> None:
    from voxarium.core.systems import open_systems

    systems = open_systems(uri)
    if as_json:
        print_json(
            {
                "systems": {
                    n: [{"name": a.name, "type": a.type, "unit": a.unit} for a in s.axes] for n, s in systems.items()
                },
                "transforms": [{"from": e.source, "to": e.target, "name": e.name} for e in systems.edges],
            }
        )
        return
    lines = [f"{n}: {', '.join(f'{a.name} {a.unit or a.type}' for a in s.axes)}" for n, s in systems.items()]
    lines += [f"{e.source} → {e.target}" for e in systems.edges]
    say("\n".join(lines[:_MOST_LINES]))


def _json(transform: Transform) -> dict[str, Any] | str:
    from voxarium.model.transform_json import dump_transform_json

    return dump_transform_json(transform) or type(transform).__name__


def _export(
    transform: Transform, names: tuple[str, str], out: Path, orientation: str | None, *, overwrite: bool
) -> None:
    from dataclasses import replace

    from voxarium.core.transform_files import write_transform
    from voxarium.model.anatomy import ANATOMICAL
    from voxarium.model.transform_dialect import StatedTransform

    stated: Transform | StatedTransform = transform
    if orientation is None and names[0] == names[1] and names[0] in ANATOMICAL:
        whole = ANATOMICAL[names[0]]
        system = replace(whole, axes=whole.axes[-(transform.ndim_in or 3) :])
        stated = StatedTransform(transform=transform, source=system, target=system)
    write_transform(stated, out, orientation=orientation, overwrite=overwrite)


def _rows(points: NDArray[np.float64]) -> list[list[float | None]]:
    """Return points as JSON has them: what is no number is null."""
    return [[v if v == v else None for v in row] for row in points.tolist()]  # noqa: PLR0124 - NaN is not itself


def _points(text: str) -> NDArray[np.float64]:
    """Return the points of a file, or of the text itself; shape (N, axes)."""
    import numpy as np

    path = Path(text)
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".txt", ".json"):
            raw = _read(path)
            rows = json.loads(raw) if suffix == ".json" else _table(raw)
        else:
            rows = [[float(v) for v in part.split(",")] for part in text.split(";")]
        if isinstance(rows, dict):
            rows = rows["points"]
        found = np.array(rows, np.float64)
    except VoxariumError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"--points {text!r} cannot be understood: {error}",
            code=Code.ARGUMENT_INVALID,
            fix="give a .csv with one point per line, a .json with a list of points, or a point such as 1,2,3",
        ) from error
    found = found.reshape(1, -1) if found.ndim == 1 else found
    if found.ndim != 2 or found.size == 0:
        raise InputError(
            f"--points {text!r} holds no list of points",
            code=Code.ARGUMENT_INVALID,
            fix="give one coordinate per axis for every point",
        )
    return found


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(
                f"{path} is larger than 1 GiB", code=Code.SIZE_IMPLAUSIBLE, fix="map the points in parts, or in Python"
            )
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise NotFoundError(
            f"{path} cannot be read: {error.strerror}", code=Code.PATH_MISSING, fix="check the path"
        ) from error


def _table(text: str) -> list[list[float]]:
    """Return the rows of a table; a first line that is no numbers is its heading."""
    rows = [row for row in csv.reader(io.StringIO(text)) if row and not row[0].startswith("#")]
    try:
        return [[float(v) for v in row] for row in rows]
    except ValueError:
        return [[float(v) for v in row] for row in rows[1:]]
