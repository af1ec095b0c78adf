"""What compiled loops do with memory and C functions. Addresses come as integers; numba caches results between runs."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic


def compiled(function: Any) -> Any:
    """Compile a function on its first call: without the lock, kept on disk between runs where that is possible."""
    try:
        return njit(nogil=True, cache=True, boundscheck=False)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(nogil=True, boundscheck=False)(function)


# Numba's interface is untyped; the signatures below are LLVM's. Any: numba objects.


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.IntType(8).as_pointer())


def _word_function(count: int) -> Any:
    """Return a codegen that calls a C function of `count` 64-bit words at an address."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        pointer = builder.inttoptr(args[0], ir.FunctionType(word, [word] * count).as_pointer())
        return builder.call(pointer, args[1:])

    return codegen


@intrinsic
def call1(_typing: Any, _f: Any, _a: Any) -> Any:
    """Call a C function of one 64-bit word at an address."""
    return types.int64(*[types.int64] * 2), _word_function(1)


@intrinsic
def call2(_typing: Any, _f: Any, _a: Any, _b: Any) -> Any:
    """Call a C function of two 64-bit words at an address."""
    return types.int64(*[types.int64] * 3), _word_function(2)


@intrinsic
def call3(_typing: Any, _f: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """Call a C function of three 64-bit words at an address."""
    return types.int64(*[types.int64] * 4), _word_function(3)


@intrinsic
def call4(_typing: Any, _f: Any, _a: Any, _b: Any, _c: Any, _d: Any) -> Any:
    """Call a C function of four 64-bit words at an address."""
    return types.int64(*[types.int64] * 5), _word_function(4)


@intrinsic
def call5(_typing: Any, _f: Any, _a: Any, _b: Any, _c: Any, _d: Any, _e: Any) -> Any:
    """Call a C function of five 64-bit words at an address."""
    return types.int64(*[types.int64] * 6), _word_function(5)


@intrinsic
def call6(_typing: Any, _f: Any, _a: Any, _b: Any, _c: Any, _d: Any, _e: Any, _g: Any) -> Any:
    """Call a C function of six 64-bit words at an address."""
    return types.int64(*[types.int64] * 7), _word_function(6)


@intrinsic
def call7(_typing: Any, _f: Any, _a: Any, _b: Any, _c: Any, _d: Any, _e: Any, _g: Any, _h: Any) -> Any:
    """Call a C function of seven 64-bit words at an address."""
    return types.int64(*[types.int64] * 8), _word_function(7)


@intrinsic
def copy_bytes(_typing: Any, _target: Any, _source: Any, _count: Any) -> Any:
    """Copy a number of bytes."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        cgutils.raw_memcpy(builder, _pointer(builder, args[0]), _pointer(builder, args[1]), args[2], 1, 1)
        return args[2]

    return types.int64(*[types.int64] * 3), codegen


@intrinsic
def load_word(_typing: Any, _address: Any) -> Any:
    """Return the 64-bit word at an address."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], ir.IntType(64).as_pointer()), align=1)

    return types.int64(types.int64), codegen


@intrinsic
def _to_pointer(_typing: Any, _address: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _pointer(builder, args[0])

    return types.voidptr(types.int64), codegen


@njit(nogil=True)
def voxels_at(address, shape, dtype):  # type: ignore[no-untyped-def]  # compiled
    """Return the memory at an address as an array, within compiled code."""
    return carray(_to_pointer(address), shape, dtype)


@intrinsic
def load_half(_typing: Any, _address: Any) -> Any:
    """Return the 32-bit word at an address, without a sign."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], ir.IntType(32).as_pointer())
        return builder.zext(builder.load(pointer, align=1), ir.IntType(64))

    return types.int64(types.int64), codegen


@intrinsic
def store_half(_typing: Any, _address: Any, _word: Any) -> Any:
    """Put the lowest 32 bits of a word at an address."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], ir.IntType(32).as_pointer())
        builder.store(builder.trunc(args[1], ir.IntType(32)), pointer, align=1)
        return args[1]

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def store_word(_typing: Any, _address: Any, _word: Any) -> Any:
    """Put a 64-bit word at an address."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], ir.IntType(64).as_pointer()), align=1)
        return args[1]

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def store_byte(_typing: Any, _address: Any, _value: Any) -> Any:
    """Put the lowest byte of a word at an address."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        builder.store(builder.trunc(args[1], ir.IntType(8)), pointer)
        return args[1]

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def load_byte(_typing: Any, _address: Any) -> Any:
    """Return the byte at an address."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(pointer), ir.IntType(64))

    return types.int64(types.int64), codegen


def _fixed_copy(count: int) -> Any:
    """Return an intrinsic that copies a number of bytes known when it is compiled: a few vector instructions."""

    @intrinsic
    def copy(_typing: Any, _target: Any, _source: Any) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            size = ir.Constant(ir.IntType(64), count)
            cgutils.raw_memcpy(builder, _pointer(builder, args[0]), _pointer(builder, args[1]), size, 1, 1)
            return args[0]

        return types.int64(types.int64, types.int64), codegen

    return copy


copy64, copy32, copy16, copy8 = _fixed_copy(64), _fixed_copy(32), _fixed_copy(16), _fixed_copy(8)


@intrinsic
def shifted(_typing: Any, _word: Any, _count: Any) -> Any:
    """Shift a word to the right by the lowest six bits of a count; zeros come in."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.lshr(args[0], builder.and_(args[1], ir.Constant(ir.IntType(64), 63)))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def not_above(_typing: Any, _a: Any, _b: Any) -> Any:
    """Return 1 if a word without a sign is at most another, else 0."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.zext(builder.icmp_unsigned("<=", args[0], args[1]), ir.IntType(64))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def mirrored(_typing: Any, _word: Any) -> Any:
    """Return a word with its bits the other way round."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        function = builder.module.declare_intrinsic("llvm.bitreverse", [ir.IntType(64)])
        return builder.call(function, [args[0]])

    return types.int64(types.int64), codegen


def _atomic(operation: str) -> Any:
    """Return a codegen that changes a word which many threads do, and returns what was there."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw(operation, pointer, args[1], "seq_cst")

    return codegen


@intrinsic
def take_numbers(_typing: Any, _address: Any, _count: Any) -> Any:
    """Take some numbers from a counter that many threads share; return the first."""
    return types.int64(types.int64, types.int64), _atomic("add")


@intrinsic
def exchange(_typing: Any, _address: Any, _word: Any) -> Any:
    """Put a word where many threads do, and return what was there."""
    return types.int64(types.int64, types.int64), _atomic("xchg")
