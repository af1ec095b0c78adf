"""Compiled loops of `batch`. Addresses come as integers; numba caches the result between runs."""

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
def _call6(_typing: Any, _f: Any, _a: Any, _b: Any, _c: Any, _d: Any, _e: Any, _g: Any) -> Any:
    return types.int64(*[types.int64] * 7), _word_function(6)


@intrinsic
def _call7(_typing: Any, _f: Any, _a: Any, _b: Any, _c: Any, _d: Any, _e: Any, _g: Any, _h: Any) -> Any:
    return types.int64(*[types.int64] * 8), _word_function(7)


@intrinsic
def _copy(_typing: Any, _target: Any, _source: Any, _count: Any) -> Any:
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
def _store(_typing: Any, _address: Any, _word: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], ir.IntType(64).as_pointer()), align=1)
        return args[1]

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _store_byte(_typing: Any, _address: Any, _value: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        builder.store(builder.trunc(args[1], ir.IntType(8)), pointer)
        return args[1]

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _load_byte(_typing: Any, _address: Any) -> Any:
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


_copy64, _copy32, _copy8 = _fixed_copy(64), _fixed_copy(32), _fixed_copy(8)


@compiled
def _copy_row(target, source, count):  # type: ignore[no-untyped-def]  # compiled
    """Copy a row. Rows of chunks are short: calling the C library for each costs more than copying it."""
    if count >= 1024:
        _copy(target, source, count)
        return
    at = 0
    while at + 64 <= count:
        _copy64(target + at, source + at)
        at += 64
    if at + 32 <= count:
        _copy32(target + at, source + at)
        at += 32
    while at + 8 <= count:
        _copy8(target + at, source + at)
        at += 8
    while at < count:
        _store_byte(target + at, _load_byte(source + at))
        at += 1


@compiled
def copy_box(target, source, shape, target_strides, source_strides, itemsize):  # type: ignore[no-untyped-def]  # compiled
    """Copy a box of up to six axes, row by row."""
    row = shape[5] * itemsize
    for a in range(shape[0]):
        ta, sa = target + a * target_strides[0], source + a * source_strides[0]
        for b in range(shape[1]):
            tb, sb = ta + b * target_strides[1], sa + b * source_strides[1]
            for c in range(shape[2]):
                tc, sc = tb + c * target_strides[2], sb + c * source_strides[2]
                for d in range(shape[3]):
                    td, sd = tc + d * target_strides[3], sc + d * source_strides[3]
                    for e in range(shape[4]):
                        _copy_row(td + e * target_strides[4], sd + e * source_strides[4], row)


@compiled
def decode(function, context, sources, lengths, first, place, shapes, chunk_strides, out_strides, memory):  # type: ignore[no-untyped-def]  # compiled
    """See `batch.decode_chunks`."""
    out, scratch, nbytes, itemsize = memory
    for i in range(len(sources)):
        chunk = scratch
        if function == 0:
            chunk = sources[i]
            if lengths[i] != nbytes:
                return i
        elif call5(function, context, scratch, nbytes, sources[i], lengths[i]) != nbytes:
            return i
        copy_box(out + place[i], chunk + first[i], shapes[i], out_strides, chunk_strides, itemsize)
    return len(sources)


@compiled
def decode_blocks(function, sources, lengths, first, place, shapes, chunk_strides, out_strides, memory):  # type: ignore[no-untyped-def]  # compiled
    """See `batch.decode_chunks`; the function takes and returns 32-bit numbers."""
    out, scratch, nbytes, itemsize = memory
    for i in range(len(sources)):
        if lengths[i] > 0x7FFFFFFF:
            return i
        if call4(function, sources[i], scratch, lengths[i], nbytes) & 0xFFFFFFFF != nbytes:
            return i
        copy_box(out + place[i], scratch + first[i], shapes[i], out_strides, chunk_strides, itemsize)
    return len(sources)


@compiled
def inflated(function, context, target, nbytes, source, length, ends):  # type: ignore[no-untyped-def]  # compiled
    """Decode a gzip or zlib stream of exactly `nbytes`; return that, or -1. `ends` is memory for two words."""
    status = _call7(function, context, source, length, target, nbytes, ends, ends + 8)
    if status & 0xFFFFFFFF != 0 or load_word(ends) != length or load_word(ends + 8) != nbytes:
        return -1
    return nbytes


@compiled
def inflate(function, context, ends, sources, lengths, first, place, shapes, chunk_strides, out_strides, memory):  # type: ignore[no-untyped-def]  # compiled
    """See `batch.decode_chunks`."""
    out, scratch, nbytes, itemsize = memory
    for i in range(len(sources)):
        if inflated(function, context, scratch, nbytes, sources[i], lengths[i], ends.ctypes.data) != nbytes:
            return i
        copy_box(out + place[i], scratch + first[i], shapes[i], out_strides, chunk_strides, itemsize)
    return len(sources)


@compiled
def _fill_words(target, nbytes, word):  # type: ignore[no-untyped-def]  # compiled
    whole = nbytes // 8 * 8
    for at in range(0, whole, 8):
        _store(target + at, word)
    for at in range(whole, nbytes):
        _store_byte(target + at, (word >> (8 * (at - whole))) & 255)


@compiled
def _only(address, nbytes, word):  # type: ignore[no-untyped-def]  # compiled
    """Tell whether memory holds nothing but repetitions of a word."""
    whole = nbytes // 8 * 8
    for at in range(0, whole, 8):
        if load_word(address + at) != word:
            return False
    for at in range(whole, nbytes):
        if _load_byte(address + at) != (word >> (8 * (at - whole))) & 255:
            return False
    return True


@compiled
def encode(function, context, level, first, shapes, data_strides, chunk_strides, memory, target, sizes):  # type: ignore[no-untyped-def]  # compiled
    """See `batch.encode_chunks`."""
    data, scratch, nbytes, itemsize = memory
    packed, bound, word = target
    used = 0
    for i in range(len(first)):
        voxels = itemsize
        straight = True
        for axis in range(6):
            voxels *= shapes[i, axis]
            straight &= shapes[i, axis] <= 1 or data_strides[axis] == chunk_strides[axis]
        chunk = scratch
        if voxels == nbytes and straight:  # it lies in the region as in a chunk
            chunk = data + first[i]
        else:
            if voxels != nbytes:
                _fill_words(scratch, nbytes, word)
            copy_box(scratch, data + first[i], shapes[i], chunk_strides, data_strides, itemsize)
        if _only(chunk, nbytes, word):
            sizes[i] = 0
            continue
        size = _call6(function, context, packed + used, bound, chunk, nbytes, level)
        if size <= 0 or size > bound:
            return -1
        sizes[i] = size
        used += size
    return used
