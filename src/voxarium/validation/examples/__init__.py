"""Small trees that break no rule; the examples of rules are changes of them.

One module per format, each with ``BASES``: functions that make a tree, key → bytes, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules

__all__ = ["bases"]


def bases() -> dict[str, Callable[[], Mapping[str, bytes]]]:
    """Return what makes each tree, by name."""
    found: dict[str, Callable[[], Mapping[str, bytes]]] = {}
    for module in sorted(iter_modules(__path__), key=lambda m: m.name):
        found |= import_module(f"{__name__}.{module.name}").BASES
    return found
