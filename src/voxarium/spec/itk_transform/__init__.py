"""ITK transform files: text (.txt, .tfm), HDF5 (.h5), and MATLAB 4 as ANTs writes it (.mat).

ITK's own code is the specification: https://docs.itk.org. Points are LPS millimetres in the order x, y, z; here they
are LPS in the order z, y, x. Read: identity, translation, scale, affine, Euler, versor and similarity transforms in two
and three dimensions, composites, displacement fields in HDF5. B-spline transforms are not.
"""

from __future__ import annotations

from typing import ClassVar

from voxarium.errors import Code, UnsupportedError
from voxarium.model.anatomy import ANATOMICAL, anatomical_change, anatomical_name
from voxarium.model.axes import CoordinateSystem
from voxarium.model.transform_dialect import StatedTransform
from voxarium.spec.itk_transform.files import (
    HDF5_MAGIC,
    TEXT_MAGIC,
    dump_hdf5,
    dump_text,
    is_matlab,
    parse_hdf5,
    parse_matlab,
    parse_text,
)
from voxarium.spec.itk_transform.parameters import dump_parts, parse_parts

__all__ = ["ItkTransforms", "parse_itk"]

_HDF5: tuple[str, ...] = (".h5", ".hdf5", ".hdf")


def parse_itk(name: str, raw: bytes) -> StatedTransform:
    """Return the transform of a file; what it is decides its first bytes.

    Raises
    ------
    FormatError
        If it cannot be read.
    UnsupportedError
        If it holds a transform of another kind.
    """
    if raw.startswith(HDF5_MAGIC):
        parts = parse_hdf5(raw, name)
    elif is_matlab(raw):
        parts = parse_matlab(raw, name)
    else:
        parts = parse_text(raw, name)
    transform, ndim, notes = parse_parts(parts, name)
    lps = ANATOMICAL["LPS"]
    system = lps if ndim == 3 else CoordinateSystem(name="LPS", axes=lps.axes[-ndim:])
    return StatedTransform(transform=transform, source=system, target=system, format="itk", notes=notes)


class ItkTransforms:
    """Transforms as the Insight Toolkit writes them."""

    name: ClassVar[str] = "itk"
    title: ClassVar[str] = "ITK transform"
    suffixes: ClassVar[tuple[str, ...]] = (".tfm", ".txt", *_HDF5)

    def claims(self, name: str, raw: bytes, /) -> bool:
        """Tell whether a file begins like one of ITK's."""
        return raw.startswith((TEXT_MAGIC, HDF5_MAGIC)) or is_matlab(raw)

    def parse(self, name: str, raw: bytes, /) -> StatedTransform:
        """Return the transform; see `parse_itk`."""
        return parse_itk(name, raw)

    def dump(self, name: str, stated: StatedTransform, /) -> bytes:
        """Return a text, or an HDF5 file when the name says so.

        Raises
        ------
        UnsupportedError
            If the transform is not one of LPS or RAS points, or ITK has no class for it.
        """
        found = {anatomical_name(s) for s in (stated.source, stated.target)}
        orientation = found.pop() if len(found) == 1 else None
        if orientation is None:
            raise UnsupportedError(
                f"ITK transforms map LPS millimetres, this one maps {stated.source.name} to {stated.target.name}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="say which orientation the coordinates have: LPS or RAS",
            )
        ndim = stated.source.ndim
        transform = anatomical_change(stated.transform, orientation, "LPS")
        parts = dump_parts(transform, ndim)
        return dump_hdf5(parts) if name.lower().endswith(_HDF5) else dump_text(parts)
