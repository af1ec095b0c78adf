"""From a store to what the pages say of a dataset in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from voxarium.core.hierarchy import Node
from voxarium.core.image import Image
from voxarium.core.opening import open_image
from voxarium.errors import FormatError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.protocols import ReadableStore
from voxarium.spec.dataset_document import (
    FILE_NAME,
    MOST_BYTES,
    OWN_FOLDERS,
    DatasetDocument,
    DatasetMember,
    is_dataset,
    parse_dataset,
)
from voxarium.view.portal.facts import DatasetFacts, LayerFacts
from voxarium.view.portal.history import history_of

__all__ = ["REPORT_NAMES", "Thing", "dataset_facts", "iter_things", "joined"]

REPORT_NAMES: Final = ("validation.html", "validation.json", "reports/validation.html", "reports/validation.json")
"""Where reports of `voxarium validate` are looked for in a dataset."""

_MOST_LAYERS: Final = 500
_ORDER: Final = ("image", "label", "collection", "mesh", "skeleton", "annotation", "table", "graph")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """Something that was found in a store.

    Parameters
    ----------
    path : str
        In the store.
    kind : str
        image or array; or why it is none: incomplete, unsupported, broken; or dataset: what lists others.
    group : str
        Path of what it belongs to: the outermost image or collection around it.
    image : Image or None
        Where it opened.
    problem : str
        Why it did not; may name places on the machine.
    """

    path: str
    kind: str
    group: str
    image: Image | None = None
    problem: str = ""


def iter_things(node: Node, path: str, group: str | None = None) -> Iterator[Thing]:
    """Yield what is at a node of a hierarchy and below it.

    Parameters
    ----------
    node : Node
        From `walk`.
    path : str
        Its path in the store, where no image says its own.
    group : str or None
        Path of what is around it.
    """
    if node.image is not None:
        path = node.image.path
    if group is None and (node.image is not None or node.dataset is not None or node.problem):
        group = path
    own = path if group is None else group
    if node.image is not None:
        yield Thing(path=path, kind=node.kind, group=own, image=node.image)
    elif node.problem:
        yield Thing(path=path, kind=node.kind, group=own, problem=node.problem)
    elif node.dataset is not None and node.dataset.info.format == "dataset":
        yield Thing(path=path, kind="dataset", group=own)
    for child in node.children:
        yield from iter_things(child, joined(path, child.name), group)


def joined(path: str, name: str) -> str:
    """Return the path of something below another path."""
    return f"{path}{name}" if name.startswith("::") else f"{path}/{name}".strip("/")


def dataset_facts(
    store: ReadableStore, path: str, things: Sequence[Thing], *, address: str, steps: int = 200
) -> DatasetFacts:
    """Return what is known of a dataset; nothing that is wrong with it keeps the rest from being shown.

    Parameters
    ----------
    store : ReadableStore
        Holds it.
    path : str
        Of the dataset in the store.
    things : sequence of Thing
        What was found in it.
    address : str
        Its name in addresses of pages.
    steps : int
        Entries of the provenance log that are read, from the newest; 0 = neither log nor releases but the newest.
    """
    document, problem = _document(store, path)
    layers = tuple(sorted(_layers(store, path, things, document), key=_rank))
    folder = "::" not in path
    return DatasetFacts(
        address=address,
        path=path,
        title=_title(document, layers, address),
        document=document,
        layers=layers[:_MOST_LAYERS],
        history=history_of(store, path, steps) if folder else history_of(store, path, -1),
        reports=tuple(r for r in REPORT_NAMES if document is not None and _there(store, joined(path, r))),
        problem=problem,
    )


def _document(store: ReadableStore, path: str) -> tuple[DatasetDocument | None, str]:
    if "::" in path:
        return None, ""
    try:
        key = joined(path, FILE_NAME)
        stat = store.stat(key)
        data = None if stat is None or stat.size > MOST_BYTES else store.get(key)
        return (parse_dataset(data, key), "") if data is not None and is_dataset(data) else (None, "")
    except FormatError:
        return None, "dataset.json breaks its specification"
    except VoxariumError:
        return None, ""


def _title(document: DatasetDocument | None, layers: Sequence[LayerFacts], address: str) -> str:
    if document is not None:
        stated = document.extra.get("title")
        return stated.strip()[:300] if isinstance(stated, str) and stated.strip() else document.name
    own = next((layer.image for layer in layers if layer.image is not None and not layer.path), None)
    stated = "" if own is None else own.info.name
    last = address.rstrip("/:").rpartition("/")[2] or address
    return stated if stated and stated not in ("/", "0") else last


def _there(store: ReadableStore, key: str) -> bool:
    try:
        return store.stat(key) is not None
    except VoxariumError:
        return False


# ------------------------------------------------------------------------------------------------------------- layers
def _layers(
    store: ReadableStore, path: str, things: Sequence[Thing], document: DatasetDocument | None
) -> Iterator[LayerFacts]:
    found = {_below(path, thing.path): thing for thing in things}
    listed: set[str] = set()
    for member in document.members[: _MOST_LAYERS * 2] if document is not None else ():
        listed.add(member.path)
        yield _member_layer(store, joined(path, member.path), member, found.get(member.path))
    for below, thing in found.items():
        own = thing.kind == "dataset" or (document is not None and (not below or below.split("/")[0] in OWN_FOLDERS))
        if below not in listed and not own:
            yield _found_layer(below, thing, document is None)


def _below(path: str, whole: str) -> str:
    return whole.removeprefix(path).lstrip("/") if path else whole


def _member_layer(store: ReadableStore, path: str, member: DatasetMember, thing: Thing | None) -> LayerFacts:
    image, problem = None, ""
    if member.kind in ("image", "label"):
        image, problem = _opened(store, path, thing)
    elif member.kind != "collection" and not _exists(store, path):
        problem = "not there"
    role = member.role or ("" if image is None else image.role)
    return LayerFacts(
        name=member.name,
        path=member.path,
        kind=member.kind,
        role="label" if member.kind == "label" and not role else role,
        format=member.format or ("" if image is None else image.info.format),
        description=member.description,
        system=member.system,
        thumbnail=member.thumbnail,
        links=tuple((k.relation, k.member) for k in member.links),
        image=image,
        problem=problem,
    )


def _opened(store: ReadableStore, path: str, thing: Thing | None) -> tuple[Image | None, str]:
    if thing is not None:
        return thing.image, "" if thing.image is not None else thing.kind
    try:
        return open_image(store, path), ""
    except NotFoundError:
        return None, "not there"
    except UnsupportedError:
        return None, "unsupported"
    except VoxariumError:
        return None, "broken"


def _exists(store: ReadableStore, path: str) -> bool:
    """Tell whether there is an object or a folder; a store that cannot list is given the benefit of the doubt."""
    try:
        if store.stat(path) is not None:
            return True
        listed = getattr(store, "list_dir", None)
        return listed is None or any(map(len, listed(path)))
    except VoxariumError:
        return False


def _found_layer(below: str, thing: Thing, alone: bool) -> LayerFacts:
    image = thing.image
    role = "" if image is None else image.role
    return LayerFacts(
        name=below.removeprefix("::/"),
        path=below,
        kind="label" if role == "label" else "image",
        role=role,
        format="" if image is None else image.info.format,
        listed=alone,
        image=image,
        problem="" if image is not None else thing.kind,
    )


def _rank(layer: LayerFacts) -> tuple[int, int, int, str]:
    roles = ("intensity", "prediction", "label")
    role = roles.index(layer.role) if layer.role in roles else len(roles)
    kind = _ORDER.index(layer.kind) if layer.kind in _ORDER else len(_ORDER)
    return (0 if kind < 2 else kind, role, -layer.nbytes, layer.name)
