"""Collections as bioformats2raw writes them: rules BF."""

from __future__ import annotations

from typing import Final

from voxarium.model.checking import Place
from voxarium.spec.ome.rules.tables import rules

__all__ = ["RULES", "check_layout", "check_series"]

RULES: Final = rules("""
BF-001 must=all
    `bioformats2raw.layout` is the number 3.
    why: Readers know this layout alone.
    mend: Write the number 3, if the images are laid out so.
    bad: ome05-bf2raw zarr.json#/attributes/ome/bioformats2raw.layout = 2
BF-002 must=all needs=hierarchy
    A plate beside it tells where images are; the numbered layout does not apply then.
    why: Readers that know plates show other images than those that know series alone.
    mend: Move the images into wells, or remove the plate.
    bad: ome05-bf2raw zarr.json#/attributes/ome/plate = {"name": "p", "rows": [{"name": "A"}], "columns":
    [{"name": "1"}], "wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}]}
BF-003 must=all needs=hierarchy
    `OME/METADATA.ome.xml`, which should be there, is OME-XML with MetadataOnly.
    why: It keeps what the microscope wrote; with TiffData in it, readers look for planes in files that are gone.
    mend: Copy it from where the images came from. TiffData and BinData are repaired.
    bad: ome05-bf2raw OME/METADATA.ome.xml remove
    bad: ome05-bf2raw OME/METADATA.ome.xml = "<OME><Image><Pixels><TiffData/></Pixels></Image></OME>"
    bad: ome05-bf2raw OME/METADATA.ome.xml = "no XML"
BF-004 must=all
    `series` of the group OME lists paths, texts, which lead to images, in the order of the images in the OME-XML.
    why: Names and metadata are paired with images by position.
    mend: Copy the missing image again, or correct the list.
    bad: ome05-bf2raw OME/zarr.json#/attributes/ome/series/- = 2
    bad: ome05-bf2raw OME/zarr.json#/attributes/ome/series/1 = "9"
    bad: ome05-bf2raw OME/zarr.json#/attributes/ome/series/1 remove
BF-005 must=all needs=hierarchy
    Without series and plate, images are called 0, 1, 2 and so on.
    why: Readers count upwards and stop at the first number that is missing.
    mend: Rename the folders, or list them as series.
    bad: ome05-bf2raw OME/zarr.json remove
    and: 1/zarr.json move 2/zarr.json
    bad: ome04-bf2raw OME/.zattrs remove
    and: 1/.zattrs move 2/.zattrs
    and: 1/.zgroup move 2/.zgroup
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
