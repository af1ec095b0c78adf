"""Landmarks of BigWarp: a table without a heading, one pair of points per line, joined by a thin plate spline.

Columns: name, active (true or false), the moving point, the fixed point; each point x, y, z (or x, y). A point that was
never set is written as Infinity.
"""

from __future__ import annotations

import csv
import io
import math
from typing import ClassVar, Final

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.model.transform_dialect import StatedTransform

__all__ = ["BigWarpLandmarks", "parse_landmarks"]

_MOST: Final = 64 * 2**20
_COLUMNS: Final = {8: 3, 6: 2}
_Point = tuple[float, ...]


def _malformed(where: str, message: str) -> FormatError:
    return FormatError(f"{where} {message}", code=Code.METADATA_INVALID, fix="export the landmarks from BigWarp again")


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _malformed(where, f"has {text[:40]!r} in place of a coordinate") from None


def parse_landmarks(name: str, raw: bytes) -> StatedTransform:
    """Return the spline that takes moving points to fixed ones.

    Raises
    ------
    FormatError
        If it is no table of landmarks, or no pair is active.
    """
    if len(raw) > _MOST:
        raise _malformed(name, f"has {len(raw)} bytes, more than landmarks ever need")
    try:
        rows = [row for row in csv.reader(io.StringIO(raw.decode("utf-8-sig")), skipinitialspace=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _malformed(name, f"cannot be read: {error}") from error
    ndim = _COLUMNS.get(len(rows[0])) if rows else None
    if ndim is None or any(len(row) != len(rows[0]) for row in rows):
        raise _malformed(name, "is not a table of 8 columns (or 6, in two dimensions)")
    moving: list[_Point] = []
    fixed: list[_Point] = []
    for row in rows:
        numbers = [_number(v, name) for v in row[2:]]
        active = row[1].strip().lower()
        if active not in ("true", "false"):
            raise _malformed(name, f"has {row[1][:40]!r} in place of true or false")
        if active == "true" and all(map(math.isfinite, numbers)):
            moving.append(tuple(numbers[:ndim][::-1]))
            fixed.append(tuple(numbers[ndim:][::-1]))
    left = len(rows) - len(moving)
    try:
        spline = ThinPlateSpline(tuple(moving), tuple(fixed))
    except (InputError, IndexError, ValueError):
        raise _malformed(name, "has no pair of points that is active and complete") from None
    notes = (f"{left} pairs of points are inactive or incomplete; they are left out",) if left else ()
    return StatedTransform(
        transform=spline,
        source=_system("moving", ndim),
        target=_system("fixed", ndim),
        format="bigwarp",
        notes=notes,
    )


def _system(name: str, ndim: int) -> CoordinateSystem:
    return CoordinateSystem(name=name, axes=tuple(Axis(name=n, type="space") for n in "zyx"[-ndim:]))


class BigWarpLandmarks:
    """Landmarks of BigWarp, as the thin plate spline through them."""

    name: ClassVar[str] = "bigwarp"
    title: ClassVar[str] = "landmarks of BigWarp"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)

    def claims(self, name: str, raw: bytes, /) -> bool:
        """Tell whether the first line looks like a landmark."""
        try:
            row = next(csv.reader([raw[:4096].decode("utf-8-sig").splitlines()[0]], skipinitialspace=True))
        except (UnicodeDecodeError, csv.Error, IndexError, StopIteration):
            return False
        return len(row) in _COLUMNS and row[1].strip().lower() in ("true", "false")

    def parse(self, name: str, raw: bytes, /) -> StatedTransform:
        """Return the spline; see `parse_landmarks`."""
        return parse_landmarks(name, raw)

    def dump(self, name: str, stated: StatedTransform, /) -> bytes:
        """Return the table.

        Raises
        ------
        UnsupportedError
            If the transform is no thin plate spline of two or three axes.
        """
        spline = stated.transform
        if not isinstance(spline, ThinPlateSpline) or spline.ndim_in not in _COLUMNS.values():
            raise UnsupportedError(
                "BigWarp's landmarks hold thin plate splines of two or three axes only",
                code=Code.FEATURE_UNSUPPORTED,
                fix="write another dialect, such as itk",
            )
        out = io.StringIO()
        table = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for i, (a, b) in enumerate(zip(spline.source, spline.target, strict=True)):
            table.writerow([f"Pt-{i}", "true", *map(repr, a[::-1]), *map(repr, b[::-1])])
        return out.getvalue().encode()
