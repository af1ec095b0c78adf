"""The compiled loop of `many`. Addresses come as integers; numba caches the result between runs."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


def _compiled(function: Any) -> Any:
    """Compile a function on its first call: without the lock, kept on disk between runs where that is possible."""
    try:
        return njit(nogil=True, cache=True, boundscheck=False)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(nogil=True, boundscheck=False)(function)


# Numba's interface is untyped; the signatures below are those of the C library. Any: numba objects.


@intrinsic
def _open(_typing: Any, _function: Any, _path: Any, _flags: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word, integer = ir.IntType(64), ir.IntType(32)
        # open is variadic: the fixed part has to be declared as such for platforms that pass them differently.
        pointer = builder.inttoptr(args[0], ir.FunctionType(integer, [word, integer], var_arg=True).as_pointer())
        return builder.sext(builder.call(pointer, [args[1], builder.trunc(args[2], integer)]), word)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def _pread(_typing: Any, _function: Any, _file: Any, _buffer: Any, _count: Any, _offset: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word, integer = ir.IntType(64), ir.IntType(32)
        pointer = builder.inttoptr(args[0], ir.FunctionType(word, [integer, word, word, word]).as_pointer())
        return builder.call(pointer, [builder.trunc(args[1], integer), *args[2:]])

    return types.int64(*[types.int64] * 5), codegen


@intrinsic
def _close(_typing: Any, _function: Any, _file: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word, integer = ir.IntType(64), ir.IntType(32)
        pointer = builder.inttoptr(args[0], ir.FunctionType(integer, [integer]).as_pointer())
        return builder.sext(builder.call(pointer, [builder.trunc(args[1], integer)]), word)

    return types.int64(types.int64, types.int64), codegen


@_compiled
def read_files(functions, paths, flags, target, found):  # type: ignore[no-untyped-def]  # compiled
    """See `many.read_files`."""
    open_, pread, close = functions
    buffer, most = target
    at = 0
    for i in range(len(paths)):
        found[i, 0] = at
        found[i, 1] = -1
        file = _open(open_, paths[i], flags)
        if file < 0:
            continue
        size = 0
        got = asked = 1
        while got == asked and size <= most:
            # One byte more than expected is asked for, so that a longer file is noticed; the next one overwrites it.
            # A regular file gives less than asked for only at its end (or beyond 2 GiB, which a chunk is not).
            asked = most + 1 - size
            got = _pread(pread, file, buffer + at + size, asked, size)
            size += max(got, 0)
        _close(close, file)
        if got >= 0 and size <= most:
            found[i, 1] = size
            at += size
