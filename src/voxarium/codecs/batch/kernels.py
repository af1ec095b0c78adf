"""Compiled loops of `batch`. Addresses come as integers."""

from __future__ import annotations

from voxarium.codecs.batch.memory import (
    call4,
    call5,
    call6,
    call7,
    compiled,
    copy8,
    copy32,
    copy64,
    copy_bytes,
    load_byte,
    load_word,
    store_byte,
    store_word,
)


@compiled
def _copy_row(target, source, count):  # type: ignore[no-untyped-def]  # compiled
    """Copy a row. Rows of chunks are short: calling the C library for each costs more than copying it."""
    if count >= 1024:
        copy_bytes(target, source, count)
        return
    at = 0
    while at + 64 <= count:
        copy64(target + at, source + at)
        at += 64
    if at + 32 <= count:
        copy32(target + at, source + at)
        at += 32
    while at + 8 <= count:
        copy8(target + at, source + at)
        at += 8
    while at < count:
        store_byte(target + at, load_byte(source + at))
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
    status = call7(function, context, source, length, target, nbytes, ends, ends + 8)
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
        store_word(target + at, word)
    for at in range(whole, nbytes):
        store_byte(target + at, (word >> (8 * (at - whole))) & 255)


@compiled
def _only(address, nbytes, word):  # type: ignore[no-untyped-def]  # compiled
    """Tell whether memory holds nothing but repetitions of a word."""
    whole = nbytes // 8 * 8
    for at in range(0, whole, 8):
        if load_word(address + at) != word:
            return False
    for at in range(whole, nbytes):
        if load_byte(address + at) != (word >> (8 * (at - whole))) & 255:
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
        size = call6(function, context, packed + used, bound, chunk, nbytes, level)
        if size <= 0 or size > bound:
            return -1
        sizes[i] = size
        used += size
    return used
