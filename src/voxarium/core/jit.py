"""How kernels are compiled. Only kernel modules import this: opening and planning must not load numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba import types

__all__ = ["callback", "kernel", "part"]

F = TypeVar("F", bound=Callable[..., Any])  # Any: whatever the kernel takes


def kernel(function: F) -> F:
    """Compile a function on its first call per dtype: one thread, without the GIL, kept on disk between runs.

    Numpy's error model spares a branch per division. No fastmath: floats must not depend on the machine.
    """
    try:
        return cast(F, numba.njit(nogil=True, boundscheck=False, error_model="numpy", cache=True)(function))
    except RuntimeError:  # neither the package folder nor the user's cache folder can be written
        return cast(F, numba.njit(nogil=True, boundscheck=False, error_model="numpy")(function))


def part(function: F) -> F:
    """Compile a function that only kernels call: it becomes part of them, and of what is kept of them."""
    return cast(F, numba.njit(nogil=True, boundscheck=False, error_model="numpy")(function))


def callback(words: int) -> Callable[[F], Any]:  # Any: an object of numba, whose `address` C code calls
    """Compile a function of so many 64-bit words, that returns one, for other compiled code to call at its address."""
    signature = types.int64(*[types.int64] * words)

    def compile_it(function: F) -> Any:
        try:
            return numba.cfunc(signature, error_model="numpy", cache=True)(function)
        except RuntimeError:  # as above
            return numba.cfunc(signature, error_model="numpy")(function)

    return compile_it
