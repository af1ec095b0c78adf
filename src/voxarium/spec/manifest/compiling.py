"""How the kernels of manifests are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["kernel", "part"]

F = TypeVar("F", bound=Callable[..., Any])  # Any: whatever the kernel takes


def kernel(function: F) -> F:
    """Compile on the first call, without the GIL, kept on disk between runs."""
    try:
        return cast(F, numba.njit(nogil=True, boundscheck=False, error_model="numpy", cache=True)(function))
    except RuntimeError:  # neither the package folder nor the user's cache folder can be written
        return cast(F, numba.njit(nogil=True, boundscheck=False, error_model="numpy")(function))


def part(function: F) -> F:
    """Compile a function that only kernels call."""
    return cast(F, numba.njit(nogil=True, boundscheck=False, error_model="numpy")(function))
