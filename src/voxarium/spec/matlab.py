"""MATLAB 7.3 files: HDF5 with a user block, and attributes that tell what a variable is.

Spec: https://www.mathworks.com/help/matlab/import_export/mat-file-versions.html. MATLAB counts the first axis fastest,
HDF5 the last: a variable of size rows × columns × pages is stored as (pages, columns, rows). Nothing is transposed
here; the axes are those of the file, and a remark says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voxarium.errors import Code, FormatError, UnsupportedError

__all__ = ["check_version", "hidden", "is_image_class", "remarks"]

_OLD: Final = (b"MATLAB 5.0 MAT-file", b"MATLAB 6.0 MAT-file")
_NUMBERS: Final = frozenset({"double", "single", "logical"}) | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def check_version(head: bytes, where: str) -> None:
    """Raise UnsupportedError for a MAT-file of an older kind, which is no HDF5."""
    if head.startswith(_OLD):
        raise UnsupportedError(
            f"{where} is a MAT-file of MATLAB 5 to 7.2, which is no HDF5 file",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save it again in MATLAB with save(..., '-v7.3')",
        )


def hidden(name: str) -> bool:
    """Tell whether a path inside a file belongs to MATLAB's own bookkeeping."""
    return any(part in ("#refs#", "#subsystem#") for part in name.split("/"))


def is_image_class(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a variable may be an image; True for datasets that MATLAB did not write."""
    kind = attributes.get("MATLAB_class")
    return kind is None or (isinstance(kind, str) and kind in _NUMBERS and "MATLAB_empty" not in attributes)


def remarks(attributes: Mapping[str, Any], shape: tuple[int, ...], where: str) -> tuple[str, ...]:
    """Return what a reader should know about a variable; nothing for datasets that MATLAB did not write.

    Raises
    ------
    UnsupportedError
        If the variable holds text, references or objects.
    FormatError
        If it is empty: the dataset then holds its size instead of voxels.

    Examples
    --------
    >>> remarks({"MATLAB_class": "uint8"}, (3, 4, 5), "a.mat::/v")
    ('MATLAB variable of size 5 x 4 x 3: the axes appear in the opposite order',)
    """
    kind = attributes.get("MATLAB_class")
    if kind is None:
        return ()
    if attributes.get("MATLAB_empty"):
        raise FormatError(
            f"{where} is an empty MATLAB variable",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="name another variable",
        )
    if kind not in _NUMBERS:
        raise UnsupportedError(
            f"{where} is a MATLAB variable of class {kind!r}, not an array of numbers",
            code=Code.DTYPE_UNSUPPORTED,
            fix="save the voxels as an array of integers or floats of their own",
        )
    if len(shape) < 2:
        return ()
    size = " x ".join(str(n) for n in reversed(shape))
    return (f"MATLAB variable of size {size}: the axes appear in the opposite order",)
