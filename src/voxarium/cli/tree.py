"""``voxarium tree``: everything below an address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxarium.cli.arguments import AsJson, Quiet, Uri
from voxarium.cli.printing import print_json, printable, stdout_console

if TYPE_CHECKING:
    from rich.text import Text

    from voxarium.core.hierarchy import Node

__all__ = ["tree"]

_STYLES = {
    "group": "bold",
    "image": "bold cyan",
    "plate": "bold magenta",
    "well": "bold magenta",
    "series": "bold magenta",
    "collection": "bold magenta",
    "array": "green",
    "file": "yellow",
    "incomplete": "bold yellow",
    "unsupported": "yellow",
    "broken": "bold red",
}


def tree(
    uri: Uri,
    depth: Annotated[int, typer.Option(min=0, metavar="N", help="How many folders to go down.")] = 8,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show the hierarchy: groups, images, labels and arrays with their shapes."""
    from voxarium.core.hierarchy import walk
    from voxarium.core.uri import open_source_store

    store, path = open_source_store(uri)
    root = replace(walk(store, path, depth=depth), name=uri)
    if as_json:
        print_json(root.to_json())
    elif not quiet:
        stdout_console().print(_branch(root, None), soft_wrap=True)


def _branch(node: Node, parent: Any) -> Any:  # Any: rich.tree.Tree, which is not imported for --help
    from rich.tree import Tree

    label = _label(node)
    branch = Tree(label) if parent is None else parent.add(label)
    if node.kind == "image" and node.image is not None:
        for level in node.image.levels:
            branch.add(_level(level.path, level.array.shape))
    for child in node.children:
        _branch(child, branch)
    if node.more and node.dataset is not None:
        branch.add(f"… {node.more:,} more of {len(node.dataset):,}")
    return branch


def _level(path: str, shape: tuple[int, ...]) -> Text:
    from rich.text import Text

    return Text.assemble((printable(path), "green"), "  ", " × ".join(f"{n:,}" for n in shape))


def _label(node: Node) -> Text:
    from rich.text import Text

    facts: str = node.kind
    image = node.image
    if image is not None and node.kind == "image":
        version = f" {image.info.spec_version}" if image.info.spec_version else ""
        facts = f"{image.role} image, {image.info.format}{version}, {image.dtype.name}"
    elif image is not None:
        facts = f"{image.info.format} array, {image.dtype.name} {' × '.join(f'{n:,}' for n in image.shape)}"
    elif node.dataset is not None:
        info = node.dataset.info
        version = f" {info.spec_version}" if info.spec_version else ""
        facts = f"{node.kind} of {len(node.dataset):,}, {info.format}{version}"
    elif node.problem:
        facts = f"{node.kind}: {node.problem}"
    style = "" if node.problem else "dim"
    return Text.assemble((printable(node.name), _STYLES[node.kind]), "  ", (printable(facts), style))
