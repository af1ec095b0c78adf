"""How the loops of `compressed_segmentation` are compiled."""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["compiled"]


def compiled(function: Any) -> Any:
    """Compile a function on its first call: without the lock, kept on disk between runs where that is possible."""
    try:
        return njit(nogil=True, cache=True, boundscheck=False)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(nogil=True, boundscheck=False)(function)
