"""Walking through everything below an address: groups, images, labels, arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from voxarium.core.dataset import Dataset
from voxarium.core.image import Image
from voxarium.core.opening import find
from voxarium.core.registry import array_drivers, collection_drivers
from voxarium.errors import Code, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.protocols import ListableStore, ReadableStore

__all__ = ["Node", "walk"]

Kind = Literal[
    "group", "image", "array", "plate", "well", "series", "collection", "file", "incomplete", "unsupported", "broken"
]

_MOST_NODES: Final = 10_000
_MOST_MEMBERS: Final = 100  # of one collection, that are opened and shown
_KINDS: Final[dict[str, Kind]] = {"plate": "plate", "well": "well", "series": "series"}  # the rest: collection


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One thing in a hierarchy.

    Parameters
    ----------
    name : str
        Last part of its path; the address itself for the root.
    kind : str
        group, image, array, plate, well, series or collection; file (one that needs to be told more before it opens);
        incomplete (a conversion under way), unsupported, or broken (it cannot be parsed).
    image : Image or None
        The opened image; arrays open as images with one level.
    problem : str
        Why it did not open.
    children : tuple of Node
        What is below it, without the levels of an image.
    dataset : Dataset or None
        The collection, with all its members by name.
    more : int
        Members of a collection beyond those among `children`.
    """

    name: str
    kind: Kind
    image: Image | None = None
    problem: str = ""
    children: tuple[Node, ...] = field(default=())
    dataset: Dataset | None = None
    more: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the node and everything below it for ``voxarium tree --json``."""
        out: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.image is not None:
            out["role"] = self.image.role
            out["dtype"] = self.image.dtype.name
            out["levels"] = [{"path": level.path, "shape": list(level.array.shape)} for level in self.image.levels]
        if self.dataset is not None:
            out |= {"format": self.dataset.info.format, "members": len(self.dataset), "more": self.more}
        if self.problem:
            out["problem"] = self.problem
        if self.kind in ("group", "image") or self.dataset is not None:
            out["children"] = [child.to_json() for child in self.children]
        return out


def walk(store: ReadableStore, path: str, *, depth: int) -> Node:
    """Return what is at `path` and below.

    Parameters
    ----------
    store : ReadableStore
        Where to look. Stores that cannot list show images and their labels only.
    path : str
        Where to begin.
    depth : int
        How many folders to go down.

    Raises
    ------
    NotFoundError
        If there is nothing.
    FormatError
        If what is at `path` itself cannot be opened.
    InputError
        If there is too much to show.
    """
    name = "/".join(p for p in (store.uri, path) if p)
    walker = _Walk(store)
    try:
        return walker.opened(path, name, depth)
    except NotFoundError as error:
        return walker.group(path, name, depth, error)


def broken(name: str, error: VoxariumError) -> Node:
    """Return a node for what is listed, and cannot be opened."""
    return Node(name=name, kind="broken", problem=error.message)


class _Walk:
    def __init__(self, store: ReadableStore) -> None:
        self._store = store
        self._count = 0
        drivers = (*array_drivers(), *collection_drivers())
        self._suffixes = tuple(s for d in drivers for s in getattr(d, "suffixes", ()))

    def node(self, path: str, name: str, depth: int) -> Node:
        """Return what is at `path`, whatever is wrong with it."""
        return self._guarded(
            partial(self.opened, path, name, depth), name, lambda error: self.group(path, name, depth, error)
        )

    def _guarded(self, look: Callable[[], Node], name: str, otherwise: Callable[[NotFoundError], Node]) -> Node:
        self._count += 1
        if self._count > _MOST_NODES:
            raise InputError(
                f"there are more than {_MOST_NODES:,} things below {self._store.uri}",
                code=Code.ARGUMENT_INVALID,
                fix="begin further down, or show less with --depth",
            )
        try:
            return look()
        except NotFoundError as error:
            if error.code == Code.IMAGE_INCOMPLETE:
                return Node(name=name, kind="incomplete", problem=error.message)
            return otherwise(error)
        except InputError as error:
            return Node(name=name, kind="file", problem=error.message)
        except UnsupportedError as error:
            return Node(name=name, kind="unsupported", problem=error.message)
        except VoxariumError as error:
            return Node(name=name, kind="broken", problem=error.message)

    def opened(self, path: str, name: str, depth: int) -> Node:
        return self._shown(find(self._store, path), path, name, depth)

    def _shown(self, found: Image | Dataset, path: str, name: str, depth: int) -> Node:
        if isinstance(found, Dataset):
            return self._collection(found, path, name, depth)
        image = found
        if len(image.levels) == 1 and not image.levels[0].path:
            return Node(name=name, kind="array", image=image)
        return Node(name=name, kind="image", image=image, children=self._inside(path, image, depth))

    def _collection(self, found: Dataset, path: str, name: str, depth: int) -> Node:
        """Return a collection with its first members, and folders that hold none of its members."""
        shown = found.members[:_MOST_MEMBERS] if depth else ()
        children = []
        for member in shown:
            opened = partial(self._member, found, member.path, path, depth - 1)
            children.append(self._guarded(opened, member.path, partial(broken, member.path)))
        if depth and "::" not in path:
            known = {*found.info.own_folders, *(m.path.split("/")[0] for m in found.members)}
            children.extend(self._children(path, [f for f in self._list(path)[1] if f not in known], depth))
        kind = _KINDS.get(found.kind, "collection")
        more = len(found) - len(shown)
        return Node(name=name, kind=kind, dataset=found, children=tuple(children), more=more)

    def _member(self, found: Dataset, key: str, path: str, depth: int) -> Node:
        opened = found[key]
        return self._shown(opened, opened.path, key, depth)

    def group(self, path: str, name: str, depth: int, error: NotFoundError) -> Node:
        """Return a folder that is no image; `error` says why it is none."""
        if error.code not in (Code.FORMAT_UNRECOGNISED, Code.METADATA_MISSING):
            raise error
        files, folders = self._list(path)
        if not files and not folders:
            raise error
        if depth == 0:
            return Node(name=name, kind="group")
        known = [f for f in files if f.lower().endswith(self._suffixes)]
        return Node(name=name, kind="group", children=self._children(path, [*folders, *known], depth))

    def _list(self, path: str) -> tuple[list[str], list[str]]:
        if not isinstance(self._store, ListableStore):
            return [], []
        files, folders = self._store.list_dir(path)
        return list(files), [f for f in folders if not f.startswith(".")]

    def _children(self, path: str, names: list[str], depth: int) -> tuple[Node, ...]:
        found = []
        for name in names:
            below = f"{path}/{name}" if path else name
            try:
                found.append(self.node(below, name, depth - 1))
            except NotFoundError:
                continue  # a folder without anything in it
        return tuple(found)

    def _inside(self, path: str, image: Image, depth: int) -> tuple[Node, ...]:
        """Return what an image holds besides its levels; a store that cannot list knows its labels only."""
        if depth == 0:
            return ()
        if not isinstance(self._store, ListableStore):
            labels = [f"labels/{name}" for name in image.info.labels]
            return self._children(path, labels, depth)
        levels = {level.path.split("/")[0] for level in image.levels}
        return self._children(path, [f for f in self._list(path)[1] if f not in levels], depth)
