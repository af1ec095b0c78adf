"""Layouts: which names the members of a dataset may have, and where they lie."""

from __future__ import annotations

from typing import Final

from voxarium.archive.layouts.cellmap import CellmapLayout
from voxarium.archive.layouts.default import DefaultLayout
from voxarium.archive.layouts.layout import Facts, Layout, Place
from voxarium.archive.layouts.webknossos import WebknossosLayout
from voxarium.errors import Code, InputError

__all__ = ["LAYOUTS", "Facts", "Layout", "Place", "layout_named"]

LAYOUTS: Final[dict[str, Layout]] = {
    layout.name: layout for layout in (DefaultLayout(), CellmapLayout(), WebknossosLayout())
}


def layout_named(name: str) -> Layout:
    """Return a layout.

    Raises
    ------
    InputError
        If none has this name.
    """
    found = LAYOUTS.get(name)
    if found is None:
        raise InputError(
            f"no layout is called {name!r}", code=Code.ARGUMENT_INVALID, fix=f"choose one of {', '.join(LAYOUTS)}"
        )
    return found
