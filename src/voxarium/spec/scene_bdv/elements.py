"""What the modules of this format share: elements as JSON, for what is carried along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from voxarium.model.xml_tree import Element

__all__ = ["CONTAINERS", "MOST_PLACEMENTS", "P", "elements", "from_json", "to_json"]

P: Final = "bdv"
MOST_PLACEMENTS: Final = 1_000_000
CONTAINERS: Final = {"n5": "bdv.n5", "hdf5": "bdv.hdf5", "zarr": "bdv.ome.zarr"}


def to_json(element: Element) -> list[Any]:
    """Return an element as name, attributes, text and children."""
    return [element.tag, dict(element.attributes), element.text.strip(), [to_json(c) for c in element.children]]


def from_json(found: Any) -> Element | None:
    """Return the element of such a list; None when it is none."""
    match found:
        case [str(tag), dict(attributes), str(text), list(children)] if tag:
            inner = [e for c in children if (e := from_json(c)) is not None]
            return Element(tag, {str(k): str(v) for k, v in attributes.items()}, inner, text)
        case _:
            return None


def elements(found: Any) -> Iterator[Element]:
    """Yield the elements of a list of them."""
    for item in found if isinstance(found, list) else ():
        element = from_json(item)
        if element is not None:
            yield element
