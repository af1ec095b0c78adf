"""What travels with an image: its own part of a document of many images, and facts OME-XML has no place for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from voxarium.errors import FormatError
from voxarium.model.fields import parse_json_object
from voxarium.model.xml_tree import Element, dump_xml
from voxarium.spec.ome_xml.document import OmeDocument
from voxarium.spec.ome_xml.tree import children, copied, first, local

__all__ = ["NAMESPACE", "annotate", "only_image", "private_of", "without_private"]

NAMESPACE: Final = "urn:voxarium:image"
_CANDIDATES: Final = frozenset({"Instrument", "ROI"})
_BEHIND: Final = frozenset({"ROI", "BinaryOnly"})  # what follows StructuredAnnotations in the schema's order


def only_image(document: OmeDocument, number: int) -> bytes:
    """Return the document with one image only, and without what only other images refer to."""
    root = document.root
    images = list(children(root, "Image"))
    if len(images) == 1:
        return dump_xml(root)
    wanted = images[number]
    candidates = {e.attributes["ID"]: e for e in _candidates(root) if "ID" in e.attributes}
    common = (e for e in root.children if local(e) not in _CANDIDATES | {"Image", "StructuredAnnotations"})
    kept = _reached([wanted, *common], candidates)
    gone = _reached((e for e in images if e is not wanted), candidates) - kept
    others = {e.attributes.get("ID", "") for e in images if e is not wanted}
    others.discard(wanted.attributes.get("ID", ""))
    out = Element(root.tag, dict(root.attributes), text=root.text)
    for element in root.children:
        if local(element) == "Image" and element is not wanted:
            continue
        if local(element) == "StructuredAnnotations":
            left = [copied(e) for e in element.children if e.attributes.get("ID") not in gone]
            if left:
                out.children.append(Element(element.tag, dict(element.attributes), left))
        elif element.attributes.get("ID") not in gone or local(element) not in _CANDIDATES:
            out.children.append(_without_references(copied(element), others))
    return dump_xml(out)


def _candidates(root: Element) -> Iterator[Element]:
    """Yield what may belong to one image only."""
    for element in root.children:
        if local(element) in _CANDIDATES:
            yield element
        elif local(element) == "StructuredAnnotations":
            yield from element.children


def _references(element: Element) -> Iterator[str]:
    name = local(element)
    if (name.endswith(("Ref", "Settings"))) and "ID" in element.attributes:
        yield element.attributes["ID"]
    for child in element.children:
        yield from _references(child)


def _reached(start: Iterable[Element], candidates: Mapping[str, Element]) -> set[str]:
    """Return the IDs of candidates that elements refer to, directly or through other candidates."""
    seen: set[str] = set()
    waiting = [name for element in start for name in _references(element)]
    owners = {e.attributes["ID"]: o for o, c in candidates.items() for e in _inside(c) if "ID" in e.attributes}
    while waiting:
        name = waiting.pop()
        name = name if name in candidates else owners.get(name, "")
        if name in candidates and name not in seen:
            seen.add(name)
            waiting.extend(_references(candidates[name]))
    return seen


def _inside(element: Element) -> Iterator[Element]:
    """Yield the parts of an instrument, which images refer to by themselves."""
    return (c for c in element.children if not local(c).endswith("Ref"))


def _without_references(element: Element, others: set[str]) -> Element:
    """Return an element of its own without references to images that are not there."""
    element.children = [
        _without_references(c, others)
        for c in element.children
        if local(c) != "ImageRef" or c.attributes.get("ID") not in others
    ]
    return element


# --------------------------------------------------------------------------------------------- facts of our own
def private_of(root: Element, image: Element) -> dict[str, Any]:  # Any: JSON
    """Return the facts that `annotate` added to an image; empty when there are none."""
    wanted = {e.attributes.get("ID", "") for e in children(image, "AnnotationRef")}
    out: dict[str, Any] = {}
    for annotation in children(first(root, "StructuredAnnotations"), "MapAnnotation"):
        about = annotation.attributes
        if about.get("Namespace") != NAMESPACE or about.get("ID", "") not in wanted:
            continue
        for entry in children(first(annotation, "Value"), "M"):
            try:
                value = parse_json_object(f'{{"value": {entry.text}}}'.encode(), "an annotation")
            except FormatError:  # somebody edited it: what is left of the document is still good
                continue
            out[entry.attributes.get("K", "")] = value.get("value")
    return out


def without_private(root: Element, image: Element) -> None:
    """Remove what `annotate` added."""
    annotations = first(root, "StructuredAnnotations")
    ours = {
        e.attributes.get("ID", "")
        for e in children(annotations, "MapAnnotation")
        if e.attributes.get("Namespace") == NAMESPACE
    }
    if annotations is None or not ours:
        return
    annotations.children = [e for e in annotations.children if e.attributes.get("ID") not in ours]
    if not annotations.children:
        root.children = [e for e in root.children if e is not annotations]
    image.children = [e for e in image.children if local(e) != "AnnotationRef" or e.attributes.get("ID") not in ours]


def annotate(root: Element, image: Element, facts: Mapping[str, Any]) -> None:  # Any: JSON
    """Add facts to an image as a MapAnnotation, one JSON value for each; nothing when there are none."""
    if not facts:
        return
    prefix = root.tag[: -len(local(root))]
    taken = set(_ids(root))
    number = next(i for i in range(len(taken) + 1) if f"Annotation:Voxarium:{i}" not in taken)
    identifier = f"Annotation:Voxarium:{number}"
    annotations = first(root, "StructuredAnnotations")
    if annotations is None:
        annotations = Element(f"{prefix}StructuredAnnotations")
        places = [i for i, e in enumerate(root.children) if local(e) in _BEHIND]
        root.children.insert(places[0] if places else len(root.children), annotations)
    entries = [Element(f"{prefix}M", {"K": k}, text=json.dumps(v)) for k, v in facts.items()]
    value = Element(f"{prefix}Value", children=entries)
    annotation = Element(f"{prefix}MapAnnotation", {"ID": identifier, "Namespace": NAMESPACE}, [value])
    annotations.children.append(annotation)
    image.children.append(Element(f"{prefix}AnnotationRef", {"ID": identifier}))


def _ids(element: Element) -> Iterator[str]:
    if "ID" in element.attributes:
        yield element.attributes["ID"]
    for child in element.children:
        yield from _ids(child)
