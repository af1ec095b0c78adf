"""Collections as bioformats2raw writes them: rules BF."""

from __future__ import annotations

from typing import Final

from voxarium.model.checking import Place
from voxarium.spec.ome.rules.tables import rules

__all__ = ["RULES", "check_layout", "check_series"]

RULES: Final = rules("""
BF-001 must=all
    `bioformats2raw.layout` is the number 3.
BF-002 must=all needs=hierarchy
    A plate beside it tells where images are; the numbered layout does not apply then.
BF-003 must=all needs=hierarchy
    `OME/METADATA.ome.xml`, which should be there, is OME-XML with MetadataOnly.
BF-004 must=all
    `series` of the group OME lists paths, texts, in the order of the images in the OME-XML.
BF-005 must=all needs=hierarchy
    Without series and plate, images are called 0, 1, 2 and so on.
BF-006 should=all needs=nothing
    Readers tell that there are further images.
""")

_LAYOUT: Final = 3


def check_layout(place: Place) -> None:
    """Check the number of the layout."""
    if isinstance(place.value, bool) or place.value != _LAYOUT:
        place.report("BF-001", "is not 3", "make it the number 3")


def check_series(place: Place) -> None:
    """Check the list of images of the group OME."""
    if not isinstance(place.value, list):
        place.report("BF-004", "is not a list", "list the paths of the images")
    for item in place.items():
        if not isinstance(item.value, str):
            item.report("BF-004", "is not a text", "name the path of an image")
