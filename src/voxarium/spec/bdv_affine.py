"""Affines of BigDataViewer: twelve numbers, row by row, x before y before z; as a line of text or as XML.

``<affine>`` stands alone or inside ``<ViewTransform>``; of the transforms in a ``<ViewRegistration>`` the last one is
applied first. Units are those of whoever wrote it.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

import numpy as np

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.anatomy import from_xyz, to_xyz
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.transform_dialect import StatedTransform
from voxarium.model.transforms import Identity, Transform
from voxarium.model.xml_tree import Element, dump_xml, parse_xml

__all__ = ["BdvAffine", "parse_bdv_affine"]

_MOST: Final = 2**20
_SPLIT: Final = re.compile(r"[\s,;()\[\]]+")
_MOST_STEPS: Final = 256
_WHERE: Final = "the affine"


def _system(name: str) -> CoordinateSystem:
    return CoordinateSystem(name=name, axes=tuple(Axis(name=n, type="space") for n in "zyx"))


def _malformed(where: str, message: str) -> FormatError:
    return FormatError(f"{where} {message}", code=Code.METADATA_INVALID, fix="give twelve numbers, row by row")


def _affine(text: str, where: str) -> Transform:
    try:
        numbers = [float(v) for v in _SPLIT.split(text) if v]
    except ValueError:
        raise _malformed(where, "holds something else than numbers") from None
    if len(numbers) != 12 or not np.isfinite(numbers).all():
        raise _malformed(where, f"holds {len(numbers)} numbers, not twelve finite ones")
    return from_xyz(np.asarray(numbers).reshape(3, 4))


def _elements(root: Element, where: str) -> list[Element]:
    if root.tag == "affine":
        return [root]
    steps = [root] if root.tag == "ViewTransform" else list(root.iter("ViewTransform"))
    if root.tag not in ("ViewTransform", "ViewRegistration") or not 0 < len(steps) <= _MOST_STEPS:
        raise _malformed(where, "has no <affine>, <ViewTransform> or <ViewRegistration> at its root")
    found = [s.find("affine") for s in steps]
    return [f for f in found if f is not None]


def parse_bdv_affine(name: str, raw: bytes) -> StatedTransform:
    """Return the transform of a text or an XML document.

    Raises
    ------
    FormatError
        If it is no such thing.
    """
    if len(raw) > _MOST:
        raise _malformed(name, f"has {len(raw)} bytes, more than an affine ever needs")
    try:
        if raw.lstrip().startswith(b"<"):
            out: Transform = Identity()
            for element in reversed(_elements(parse_xml(raw, name), name)):
                out = out.then(_affine(element.text, name))
        else:
            out = _affine(raw.decode("ascii"), name)
    except (UnicodeDecodeError, InputError) as error:
        raise _malformed(name, f"cannot be read: {error}") from error
    return StatedTransform(transform=out, source=_system("voxels"), target=_system("world"), format="bdv-affine")


class BdvAffine:
    """Twelve numbers, as BigDataViewer and its family write them."""

    name: ClassVar[str] = "bdv-affine"
    title: ClassVar[str] = "affine of BigDataViewer"
    suffixes: ClassVar[tuple[str, ...]] = (".xml",)

    def claims(self, name: str, raw: bytes, /) -> bool:
        """Tell whether a file holds twelve numbers in a line, or begins as the XML of a registration."""
        head = raw[:4096].lstrip()
        if head.startswith(b"<"):
            return re.search(rb"<(affine|ViewTransform|ViewRegistration)\b", head) is not None and b"<Spim" not in head
        text = raw.strip()
        return len(text) < 2048 and b"\n" not in text and len(re.findall(rb"[^\s,;()\[\]]+", text)) == 12

    def parse(self, name: str, raw: bytes, /) -> StatedTransform:
        """Return the transform; see `parse_bdv_affine`."""
        return parse_bdv_affine(name, raw)

    def dump(self, name: str, stated: StatedTransform, /) -> bytes:
        """Return a ``<ViewTransform>`` for names that end with .xml, else a line.

        Raises
        ------
        UnsupportedError
            If the transform is not an affine one of three axes.
        """
        matrix = stated.transform.matrix(3)
        if matrix.shape != (3, 4):
            raise UnsupportedError(
                "BigDataViewer's affines have three axes",
                code=Code.FEATURE_UNSUPPORTED,
                fix="write the part of three space axes",
            )
        text = " ".join(repr(float(v)) for v in to_xyz(matrix).ravel())
        if not name.lower().endswith(".xml"):
            return f"{text}\n".encode()
        affine = Element("affine", text=text)
        return dump_xml(Element("ViewTransform", {"type": "affine"}, [affine]))
