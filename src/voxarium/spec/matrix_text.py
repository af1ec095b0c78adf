"""4 × 4 matrices as text: from NIfTI world coordinates (RAS millimetres) to others of the kind.

Four rows of four numbers, the last ``0 0 0 1``. Files ending with ``.mat`` look the same when FSL writes them and mean
something else: FLIRT's matrices map voxel numbers times voxel sizes, with x mirrored when an image is stored that way,
so that without both images they cannot be understood. They are refused.
"""

from __future__ import annotations

import math
import re
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.anatomy import ANATOMICAL, anatomical_change, anatomical_name, from_xyz, to_xyz
from voxarium.model.transform_dialect import StatedTransform

__all__ = ["MatrixText", "parse_matrix_text"]

_MOST: Final = 4096  # bytes of a matrix with comments
_SPLIT: Final = re.compile(r"[\s,;\[\]]+")


def _rows(raw: bytes) -> list[list[float]] | None:
    if len(raw) > _MOST:
        return None
    try:
        lines = [line for line in raw.decode("ascii").splitlines() if line.strip() and line.lstrip()[0] not in "#%"]
        return [[float(v) for v in _SPLIT.split(line.strip()) if v] for line in lines]
    except ValueError:  # UnicodeDecodeError is one too
        return None


def parse_matrix_text(name: str, raw: bytes) -> StatedTransform:
    """Return the transform of a text.

    Raises
    ------
    FormatError
        If the text is no such matrix.
    UnsupportedError
        If its name says that FSL wrote it.
    """
    rows = _rows(raw)
    if rows is None or [len(r) for r in rows] != [4] * 4 or rows[3] != [0, 0, 0, 1]:
        raise FormatError(
            f"{name} is no 4 × 4 matrix with the last row 0 0 0 1",
            code=Code.METADATA_INVALID,
            fix="write four rows of four numbers",
        )
    if name.lower().endswith(".mat"):
        raise UnsupportedError(
            f"{name} looks like a matrix of FSL: it counts scaled voxels, and means nothing without both images",
            code=Code.FEATURE_UNSUPPORTED,
            fix="convert it with the two images (c3d_affine_tool -fsl2ras), or, if it maps RAS millimetres, rename it "
            "to .txt",
        )
    try:
        if not all(math.isfinite(v) for row in rows for v in row):
            raise InputError("numbers are not finite", code=Code.TRANSFORM_INVALID, fix="give finite numbers")
        transform = from_xyz(np.asarray(rows[:3]))
    except InputError as error:
        raise FormatError(f"{name}: {error.message}", code=Code.METADATA_INVALID, fix=error.fix) from error
    ras = ANATOMICAL["RAS"]
    return StatedTransform(transform=transform, source=ras, target=ras, format="matrix")


def matrix_text(matrix: NDArray[np.float64]) -> bytes:
    """Return the text of a matrix of shape (3, 4)."""
    rows = [*matrix.tolist(), [0.0, 0.0, 0.0, 1.0]]
    return ("\n".join(" ".join(repr(float(v)) for v in row) for row in rows) + "\n").encode()


class MatrixText:
    """4 × 4 matrices in the convention of NIfTI."""

    name: ClassVar[str] = "matrix"
    title: ClassVar[str] = "4 × 4 matrix between RAS millimetres"
    suffixes: ClassVar[tuple[str, ...]] = (".mtx",)

    def claims(self, name: str, raw: bytes, /) -> bool:
        """Tell whether a file holds sixteen numbers in four rows."""
        rows = _rows(raw)
        return rows is not None and [len(r) for r in rows] == [4] * 4

    def parse(self, name: str, raw: bytes, /) -> StatedTransform:
        """Return the transform; see `parse_matrix_text`."""
        return parse_matrix_text(name, raw)

    def dump(self, name: str, stated: StatedTransform, /) -> bytes:
        """Return the text.

        Raises
        ------
        UnsupportedError
            If the transform is not an affine one of LPS or RAS points.
        """
        found = {anatomical_name(s) for s in (stated.source, stated.target)}
        orientation = found.pop() if len(found) == 1 else None
        if orientation is None or stated.source.ndim != 3:
            raise UnsupportedError(
                f"NIfTI matrices map RAS millimetres, this transform {stated.source.name} to {stated.target.name}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="say which orientation the coordinates have: LPS or RAS",
            )
        matrix = anatomical_change(stated.transform, orientation, "RAS").matrix(3)
        return matrix_text(to_xyz(matrix))
