"""Plates, wells and containers of series in a hierarchy. Rules PL, WL and BF."""

from __future__ import annotations

from typing import Final

from voxarium.errors import FormatError
from voxarium.model.checked_values import whole
from voxarium.model.checking import Place, Sheet, short
from voxarium.model.edits import Edit
from voxarium.spec.ome.rules.around import Around, Told, safe_path
from voxarium.spec.ome.series import METADATA_XML, SERIES_GROUP, image_names, metadata_only

__all__ = ["check_container", "check_plate_tree", "check_well_tree", "series_paths"]

_MOST: Final = 10_000
_MOST_ROWS: Final = 256


# -- plates
def check_plate_tree(plate: Place, around: Around) -> None:
    """Check that groups of rows and wells are there, and only those that are listed."""
    wells = [(w["path"], w.text("path")) for w in plate["wells"].items()[:_MOST]]
    paths = {path: place for place, path in wells if path and path.count("/") == 1 and safe_path(path) == path}
    seen: set[str] = set()
    for path, place in paths.items():
        row = path.partition("/")[0]
        if row not in seen and around.group(row) is None:
            message = f"is in row {short(row)}, which is no group"
            repair = () if around.group(path) is None else _group_edits(around, row)
            place.report("PL-007", message, "make it a group", basis="text", repair=repair)
        seen.add(row)
        if around.group(path) is None:
            fix = "copy the missing well, or remove it from the list"
            place.report("PL-007", "leads to no group", fix, basis="text")
    _check_unlisted(plate, around, set(paths))


def _group_edits(around: Around, path: str) -> tuple[Edit, ...]:
    if around.prefer == 3:
        value = {"zarr_format": 3, "node_type": "group", "attributes": {}}
        return (Edit(key=around.key(f"{path}/zarr.json"), value=value),)
    return (Edit(key=around.key(f"{path}/.zgroup"), value={"zarr_format": 2}),)


def _check_unlisted(plate: Place, around: Around, listed: set[str]) -> None:
    """Report wells that are there and not listed, and rows without wells."""
    names = {r.text("name") for r in plate["rows"].items()}
    for row in [f for f in around.folders("") if f in names][:_MOST_ROWS]:
        wells = {f"{row}/{column}" for column in around.folders(row)}
        for path in sorted(wells - listed)[:_MOST]:
            group = around.group(path)
            if group is not None and "well" in group.ome:
                message = f"do not list {short(path)}, which is there"
                plate["wells"].report("PL-007", message, "list it, or remove it", basis="text", level="should")
        if not wells and around.group(row) is not None:
            message = f"has the row {short(row)}, a group without wells"
            plate.report("PL-007", message, "remove the empty group", basis="text", level="should")


# -- wells
def check_well_tree(well: Place, around: Around, told: Told | None) -> None:
    """Check that the fields of a well are images, and their acquisitions those of the plate."""
    known = None if told is None else told.acquisitions
    for image in well["images"].items()[:_MOST]:
        path = image.text("path")
        group = around.group(path) if path and safe_path(path) else None
        if path and (group is None or not group.is_image):
            fix = "copy the missing image, or remove it from the list"
            image["path"].report("WL-001", "leads to no image", fix, basis="text")
        check_acquisition(image, known)


def check_acquisition(image: Place, known: tuple[int, ...] | None) -> None:
    """Check the acquisition of a field against those of the plate, where that is known."""
    number = image["acquisition"]
    if known is None:
        return
    if not number.there and len(known) > 1:
        image.report("WL-003", "has no 'acquisition'; the plate has several", "name one by its id", basis="text")
    elif whole().holds(number.value) and known and number.value not in known:
        shown = f"is {short(number.value)}, which is no acquisition of the plate"
        number.report("WL-003", shown, f"name one of {', '.join(map(str, known[:20]))}", basis="text")


# -- containers
def series_paths(around: Around) -> list[tuple[Place, str]] | None:
    """Return the paths that the group OME lists, and where each stands; None when it lists none."""
    group = around.group(SERIES_GROUP)
    listed = None if group is None else group.ome.get("series")
    if group is None or not isinstance(listed, list):
        return None
    key = around.key(f"{SERIES_GROUP}/{group.name}")
    pointer = group.pointer + ("" if group.ome is group.attributes else "/ome")
    root = Place(dict(group.ome), pointer, Sheet("", {}, key))
    return [(item, item.value) for item in root["series"].items()[:_MOST] if isinstance(item.value, str)]


def check_container(ome: Place, around: Around) -> None:
    """Check a container of series: that what is listed is there, and what its OME-XML says."""
    sheet, layout = ome.sheet, ome["bioformats2raw.layout"]
    series = series_paths(around)
    for item, path in series or ():
        group = around.group(path)
        if safe_path(path) in (None, "") or group is None or not group.is_image:
            own = Place(item.value, item.pointer, Sheet(sheet.version, sheet.rules, item.sheet.key, sheet.findings))
            own.report("BF-004", "leads to no image", "copy the missing image, or correct the list", basis="text")
    if ome["plate"].there:
        _check_beside_plate(ome, series, around)
    elif series is None:
        _check_numbers(layout, around)
    _check_xml(layout, around, None if series is None else len(series))


def _check_numbers(layout: Place, around: Around) -> None:
    """Check that images are called 0, 1, 2 …"""
    folders = [n for n in around.folders("") if n.isdecimal() and n.isascii() and len(n) < 9][:_MOST]
    numbers = {int(n) for n in folders if around.group(n) is not None}
    if 0 not in numbers and around.group("0") is None:
        layout.report("BF-005", "there is no image 0, and no list of series", "copy the images", basis="text")
    missing = sorted(set(range(max(numbers, default=0))) - numbers - {0})
    if missing and len(missing) < _MOST:
        message = f"images are not numbered without gaps: there is no {missing[0]}"
        layout.report("BF-005", message, "copy the missing images, or list the others as series", basis="text")


def _check_beside_plate(ome: Place, series: list[tuple[Place, str]] | None, around: Around) -> None:
    """Report images that are none of the plate's."""
    wells = {w.text("path") for w in ome["plate"]["wells"].items()}
    listed = [path for _, path in series or ()]
    loose = [n for n in around.folders("") if n.isdecimal() and (g := around.group(n)) is not None and g.is_image]
    for path in [*listed, *loose][:_MOST]:
        if "/".join((safe_path(path) or "").split("/")[:2]) not in wells:
            message = f"is beside a plate, of which the image {short(path)} is none"
            ome["bioformats2raw.layout"].report("BF-002", message, "keep images in wells", basis="text")


def _check_xml(layout: Place, around: Around, count: int | None) -> None:
    sheet = layout.sheet
    raw = around.document(METADATA_XML)
    own = Sheet(sheet.version, sheet.rules, around.key(METADATA_XML), sheet.findings)
    if raw is None:
        fix = "copy it from where the images came from"
        own.report("BF-003", "is not there", fix, said=("text", "should"))
        return
    try:
        names, plain = image_names(raw), metadata_only(raw)
    except FormatError as error:
        own.report("BF-003", error.message.removeprefix(f"{METADATA_XML} ")[:200], error.fix, said=("text", None))
        return
    if plain is not raw:
        own.report(
            "BF-003",
            "says where planes are stored, or has no MetadataOnly",
            "put MetadataOnly in the place of TiffData and BinData",
            said=("text", None),
            repair=(Edit(key=own.key, value=plain.decode()),),
        )
    if count is not None and len(names) != count:
        message = f"describes {len(names)} images, {count} are listed as series"
        own.report("BF-004", message, "list the images in the order of the OME-XML", said=("text", None))
