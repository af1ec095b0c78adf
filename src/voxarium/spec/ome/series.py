"""Containers of several images: ``bioformats2raw.layout`` 3 (rules BF), scenes, lists of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.keys import checked_key
from voxarium.model.xml_tree import Element, dump_xml, parse_xml
from voxarium.spec.ome.document import malformed
from voxarium.spec.ome.image import namespace

__all__ = [
    "LAYOUT",
    "METADATA_XML",
    "SERIES_GROUP",
    "dump_layout",
    "dump_series",
    "image_names",
    "is_container",
    "multiscale_notes",
    "parse_series",
    "scene_paths",
    "with_chosen",
]

LAYOUT: Final = "bioformats2raw.layout"
SERIES_GROUP: Final = "OME"
METADATA_XML: Final = "OME/METADATA.ome.xml"
_STORED: Final = frozenset({"TiffData", "BinData"})
_MOST: Final = 1_000_000


def is_container(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a group is a container of series; FormatError when its layout is another than 3."""
    stated = namespace(attributes).get(LAYOUT, attributes.get(LAYOUT))
    if stated is None:
        return False
    if stated != 3 or isinstance(stated, bool):
        malformed(LAYOUT, f"is {stated!r}; only layout 3 is known", "write it as the number 3")
    return True


def parse_series(attributes: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return (paths of the images of a container, notes), from the group ``OME``; None when it lists none.

    Raises
    ------
    FormatError
        If the list is none.
    """
    found = namespace(attributes).get("series")
    if found is None:
        return None
    if not isinstance(found, list) or len(found) > _MOST:
        malformed("series", "is not a list of paths", 'write it as ["0", "1", …]')
    paths: dict[str, None] = {}
    wrong: list[object] = []
    for item in found:
        try:
            key = checked_key(item.removeprefix("./").rstrip("/")) if isinstance(item, str) else None
        except InputError:
            key = None
        if key is None or key in paths:
            wrong.append(item)
        else:
            paths[key] = None
    if found and not paths:
        malformed("series", f"names no path below the container: {wrong[0]!r}"[:200], "name folders inside it")
    note = f"series left out, as they are no paths or listed twice: {', '.join(repr(w)[:60] for w in wrong[:3])}"
    return tuple(paths), (note,) if wrong else ()


def image_names(xml: bytes) -> tuple[str, ...]:
    """Return the names of the images an OME-XML document describes, in order; empty for those without one.

    Raises
    ------
    FormatError
        If it is no XML.
    """
    root = parse_xml(xml, METADATA_XML)
    return tuple(_plain(e, "Name") for e in root.children if _local(e.tag) == "Image")


def metadata_only(xml: bytes) -> bytes:
    """Return an OME-XML document that says of no image where its planes are stored: rule BF-003.

    ``TiffData`` and ``BinData`` point into the file the document came from; ``MetadataOnly`` stands in their place. A
    document that is so already, or no XML, is returned as it is.

    Examples
    --------
    >>> b"<MetadataOnly/>" in metadata_only(b"<OME><Image><Pixels><TiffData/></Pixels></Image></OME>")
    True
    """
    try:
        root = parse_xml(xml, METADATA_XML)
    except FormatError:
        return xml
    changed = False
    for pixels in (
        p for i in root.children if _local(i.tag) == "Image" for p in i.children if _local(p.tag) == "Pixels"
    ):
        kinds = [_local(e.tag) for e in pixels.children]
        if kinds.count("MetadataOnly") == 1 and not _STORED & set(kinds):
            continue
        rest = [e for e in pixels.children if _local(e.tag) not in (*_STORED, "MetadataOnly")]
        at = sum(_local(e.tag) == "Channel" for e in rest)  # the schema wants it right behind the channels
        prefix = pixels.tag[: len(pixels.tag) - len("Pixels")]
        pixels.children = [*rest[:at], Element(f"{prefix}MetadataOnly"), *rest[at:]]
        changed = True
    return dump_xml(root) if changed else xml


def _local(tag: str) -> str:
    return tag.rpartition(":")[2].rpartition("}")[2]


def _plain(element: Element, name: str) -> str:
    return element.attributes.get(name, "")


def scene_paths(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the images a ``scene`` of 0.6 puts in place, below its group, in the order they appear."""
    scene = namespace(attributes).get("scene")
    listed = scene.get("coordinateTransformations") if isinstance(scene, Mapping) else None
    paths: dict[str, None] = {}
    for item in listed if isinstance(listed, list) and len(listed) <= _MOST else []:
        for side in ("input", "output"):
            end = item.get(side) if isinstance(item, Mapping) else None
            path = end.get("path") if isinstance(end, Mapping) else None
            try:
                if isinstance(path, str) and path not in (".", ""):
                    paths[checked_key(path.removeprefix("./").rstrip("/"))] = None
            except InputError:
                continue
    return tuple(paths)


def multiscale_notes(attributes: Mapping[str, Any]) -> list[str]:
    """Return notes when a group holds several multiscales, of which one at a time can be opened, or only a region."""
    own = attributes.get("voxarium")
    partial = isinstance(own, Mapping) and isinstance(own.get("present"), Mapping)
    notes = ["a copy of a region: the rest of the image reads as fill value"] if partial else []
    found = namespace(attributes).get("multiscales")
    if not isinstance(found, list) or len(found) < 2:
        return notes
    return [
        *notes,
        f"the group holds {len(found):,} multiscales: {_numbered(found)}; the option multiscale chooses one",
    ]


def _numbered(found: list[Any]) -> str:
    names = [m.get("name") if isinstance(m, Mapping) else None for m in found[:20]]
    return ", ".join(f"{i} ({n[:60]})" if isinstance(n, str) and n else str(i) for i, n in enumerate(names))


def with_chosen(attributes: Mapping[str, Any], wanted: str | int) -> Mapping[str, Any]:
    """Return the attributes with one of several multiscales first, chosen by name or number.

    Raises
    ------
    InputError
        If there is none of that name, or several.
    FormatError
        If the multiscales are no list.
    """
    found = namespace(attributes).get("multiscales")
    if not isinstance(found, list) or len(found) > _MOST:
        malformed("multiscales", "is not a list", "write it as a list of objects")
    names = [m.get("name") if isinstance(m, Mapping) else None for m in found]
    places = [i for i, name in enumerate(names) if name == wanted]
    if not places and str(wanted).isdecimal() and len(str(wanted)) < 9 and int(wanted) < len(found):
        places = [int(wanted)]
    if len(places) != 1:
        raise InputError(
            f"{'several multiscales are' if places else 'no multiscale is'} called {wanted!r}",
            code=Code.ARGUMENT_INVALID,
            fix=f"choose one by number or by its own name: {_numbered(found)}",
        )
    first = places[0]
    ordered = [found[first], *found[:first], *found[first + 1 :]]
    if "ome" in attributes:
        return {**attributes, "ome": {**attributes["ome"], "multiscales": ordered}}
    return {**attributes, "multiscales": ordered}


def dump_layout(spec_version: str, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the attributes of the group of a container."""
    content = {LAYOUT: 3, **(extra or {})}
    return {"ome": {"version": spec_version, **content}} if spec_version >= "0.5" else content


def dump_series(paths: Sequence[str], spec_version: str) -> dict[str, Any]:
    """Return the attributes of the group ``OME`` of a container."""
    content = {"series": list(paths)}
    return {"ome": {"version": spec_version, **content}} if spec_version >= "0.5" else content
