"""Compiled loops that encode. Positions are counted in 32-bit words, as the format does."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from voxarium.codecs.compressed_segmentation.compiling import compiled

TABLE_TOO_FAR: Final = -1

_FARTHEST_TABLE: Final = (1 << 24) - 1
# Up to here a sorted table is searched by comparing with all of it, which takes no branches.
_FEW: Final = 16
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_HIGH: Final = np.uint64(32)


@intrinsic
def _copy_eight(_typing: Any, target: Any, _to: Any, source: Any, _from: Any) -> Any:
    """Copy eight elements from a place of one array to a place of another: a few vector instructions."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = [
            builder.gep(context.make_array(signature.args[i])(context, builder, args[i]).data, [args[i + 1]])
            for i in (0, 2)
        ]
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        count = context.get_constant(types.int64, 8)
        cgutils.raw_memcpy(builder, *places, count, size, 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64), codegen


@compiled
def _gather(voxels, data, at, steps, size, block):  # type: ignore[no-untyped-def]  # compiled
    """Copy a block, padded with its first voxel."""
    if size != block:
        value = data[at]
        for i in range(len(voxels)):
            voxels[i] = value
    for z in range(size[0]):
        for y in range(size[1]):
            source = at + z * steps[1] + y * steps[2]
            target = (y + block[1] * z) * block[2]
            if size[2] == 8:
                _copy_eight(voxels, target, data, source)
                continue
            for x in range(size[2]):
                voxels[target + x] = data[source + x]


@compiled
def _hash(value):  # type: ignore[no-untyped-def]  # compiled
    mixed = np.uint64(value) * _GOLDEN
    return mixed ^ (mixed >> _HIGH)


@compiled
def _sort(table, count):  # type: ignore[no-untyped-def]  # compiled
    """Sort the first entries: by insertion when they are few, else as a heap, which no input makes slow."""
    if count <= _FEW:
        for i in range(1, count):
            value = table[i]
            j = i
            while j > 0 and table[j - 1] > value:
                table[j] = table[j - 1]
                j -= 1
            table[j] = value
        return
    for step in range(count // 2 + count - 1):
        if step < count // 2:
            root, end = count // 2 - 1 - step, count
        else:
            root, end = 0, count - 1 - (step - count // 2)
            table[0], table[end] = table[end], table[0]
        value = table[root]
        child = 2 * root + 1
        while child < end:
            if child + 1 < end and table[child + 1] > table[child]:
                child += 1
            if table[child] <= value:
                break
            table[root] = table[child]
            root = child
            child = 2 * root + 1
        table[root] = value


@compiled
def _collect(voxels, table, slots, stamp):  # type: ignore[no-untyped-def]  # compiled
    """Put each value of a block once into `table`; return how many. `slots`: (stamp, place) by hash."""
    count = 0
    previous = voxels[0]
    table[0] = previous
    count = 1
    for i in range(1, len(voxels)):
        value = voxels[i]
        if value == previous:
            continue
        previous = value
        if count <= _FEW:
            known = False
            for j in range(count):
                known |= table[j] == value
            if not known:
                table[count] = value
                count += 1
                if count > _FEW:
                    for j in range(count):
                        _place(table[j], j, table, slots, stamp)
        elif _place(value, count, table, slots, stamp) == count:
            table[count] = value
            count += 1
    return count


@compiled
def _collect_few(voxels, table):  # type: ignore[no-untyped-def]  # compiled
    """Put each value of a block once into `table`, ascending; return how many, or 0 when there are many.

    Sweeps over the whole block, of which each finds the next larger value, take no branches.
    """
    lowest = voxels[0]
    highest = voxels[0]
    for i in range(len(voxels)):
        lowest = min(lowest, voxels[i])
        highest = max(highest, voxels[i])
    table[0] = lowest
    count = 1
    while lowest != highest:
        if count == _FEW:
            return 0
        following = highest
        for i in range(len(voxels)):
            voxel = voxels[i]
            following = min(following, voxel if voxel > lowest else highest)
        table[count] = following
        count += 1
        lowest = following
    return count


@compiled
def _place(value, place, table, slots, stamp):  # type: ignore[no-untyped-def]  # compiled
    """Return the place of a value; a new one gets `place`."""
    mask = len(slots) - 1
    at = np.int64(_hash(value) & np.uint64(mask))
    while slots[at, 0] == stamp:
        if table[slots[at, 1]] == value:
            return slots[at, 1]
        at = (at + 1) & mask
    slots[at, 0] = stamp
    slots[at, 1] = place
    return place


@compiled
def _rank(voxels, codes, table, count):  # type: ignore[no-untyped-def]  # compiled
    """Set the codes of a block: the place of each voxel in the sorted table."""
    if count <= _FEW:
        for i in range(len(voxels)):
            codes[i] = 0
        for j in range(count - 1):
            below = table[j]
            for i in range(len(voxels)):
                codes[i] += voxels[i] > below
        return
    previous = voxels[0]
    code = np.searchsorted(table[:count], previous)
    for i in range(len(voxels)):
        if voxels[i] != previous:
            previous = voxels[i]
            code = np.searchsorted(table[:count], previous)
        codes[i] = code


@compiled
def _pack(words, at, codes, size, block, bits):  # type: ignore[no-untyped-def]  # compiled
    """Write the codes of a block; those of padding are 0."""
    count = (len(codes) * bits + 31) // 32
    if size == block and bits <= 4 and (len(codes) & 31) == 0:
        if bits == 1:
            for w in range(count):
                word = np.uint32(0)
                for k in range(32):
                    word |= codes[w * 32 + k] << np.uint32(k)
                words[at + w] = word
        elif bits == 2:
            for w in range(count):
                word = np.uint32(0)
                for k in range(16):
                    word |= codes[w * 16 + k] << np.uint32(2 * k)
                words[at + w] = word
        else:
            for w in range(count):
                word = np.uint32(0)
                for k in range(8):
                    word |= codes[w * 8 + k] << np.uint32(4 * k)
                words[at + w] = word
        return count
    for w in range(count):
        words[at + w] = 0
    for z in range(size[0]):
        for y in range(size[1]):
            row = (y + block[1] * z) * block[2]
            for i in range(row, row + size[2]):
                bit = i * bits
                words[at + (bit >> 5)] |= codes[i] << np.uint32(bit & 31)
    return count


@compiled
def _write_table(words, at, table, count, wide):  # type: ignore[no-untyped-def]  # compiled
    if wide == 1:
        for i in range(count):
            words[at + i] = np.uint32(table[i])
    else:
        for i in range(count):
            value = np.uint64(table[i])
            words[at + 2 * i] = np.uint32(value & np.uint64(0xFFFFFFFF))
            words[at + 2 * i + 1] = np.uint32(value >> _HIGH)
    return count * wide


@compiled
def _find_table(words, base, table, count, wide, kept):  # type: ignore[no-untyped-def]  # compiled
    """Return the slot of a table that was written already, or of the free slot for it."""
    mixed = np.uint64(count)
    for i in range(count):
        mixed = _hash(mixed ^ np.uint64(table[i]))
    mask = len(kept) - 1
    slot = np.int64(mixed & np.uint64(mask))
    while kept[slot, 1] != 0:
        if kept[slot, 1] == count:
            at = base + kept[slot, 0]
            same = True
            for i in range(count):
                if wide == 1:
                    same &= words[at + i] == np.uint32(table[i])
                else:
                    value = np.uint64(words[at + 2 * i]) | (np.uint64(words[at + 2 * i + 1]) << _HIGH)
                    same &= value == np.uint64(table[i])
            if same:
                return slot
        slot = (slot + 1) & mask
    return slot


@compiled
def _bits_for(count):  # type: ignore[no-untyped-def]  # compiled
    if count == 1:
        return 0
    bits = 1
    while bits < 32 and (1 << bits) < count:
        bits *= 2
    return bits


@compiled
def _grown(words, used, more):  # type: ignore[no-untyped-def]  # compiled
    """Return memory with room for more words."""
    if used + more <= len(words):
        return words
    larger = np.empty(max(2 * len(words), used + more), np.uint32)
    larger[:used] = words[:used]
    return larger


@compiled
def _encode_block(words, base, at, header, data, start, steps, size, block, wide, room):  # type: ignore[no-untyped-def]  # compiled
    """Write one block; return where the next one begins, or -1 when a table lies out of reach."""
    voxels, table, codes, slots, kept = room
    _gather(voxels, data, start, steps, size, block)
    number = _collect_few(voxels, table)
    if number == 0:
        number = _collect(voxels, table, slots, header + 1)
        _sort(table, number)
    bits = _bits_for(number)
    words[header + 1] = at - base
    if bits:
        _rank(voxels, codes, table, number)
        at += _pack(words, at, codes, size, block, bits)
    slot = _find_table(words, base, table, number, wide, kept)
    if kept[slot, 1] == 0:
        kept[slot, 0] = at - base
        kept[slot, 1] = number
        at += _write_table(words, at, table, number, wide)
    if kept[slot, 0] > _FARTHEST_TABLE:
        return np.int64(-1)
    words[header] = kept[slot, 0] | (bits << 24)
    return at


@compiled
def _encode_row(words, base, at, header, data, start, steps, size, block, wide, room):  # type: ignore[no-untyped-def]  # compiled
    """Write the blocks that follow each other along x; there is memory for all of them. Returns as `_encode_block`."""
    for x in range(0, size[2], block[2]):
        part = (size[0], size[1], min(block[2], size[2] - x))
        at = _encode_block(words, base, at, header, data, start + x, steps, part, block, wide, room)
        if at < 0:
            return at
        header += 2
    return at


@compiled
def _encode_channel(words, base, data, first, steps, shape, block, wide):  # type: ignore[no-untyped-def]  # compiled
    """Append one channel; return (words, number used, whether every table could be reached)."""
    nz, ny, nx = shape
    bz, by, bx = block
    along = (nx + bx - 1) // bx
    blocks = ((nz + bz - 1) // bz) * ((ny + by - 1) // by) * along
    count = bz * by * bx
    room = (
        np.empty(count, data.dtype),
        np.empty(count + 1, data.dtype),
        np.empty(count, np.uint32),
        np.zeros((_power(2 * count), 2), np.int64),
        np.zeros((_power(2 * blocks), 2), np.int64),
    )
    words = _grown(words, base, 2 * blocks)
    header, at = base, base + 2 * blocks
    for z in range(0, nz, bz):
        for y in range(0, ny, by):
            size = (min(bz, nz - z), min(by, ny - y), nx)
            start = first + z * steps[1] + y * steps[2]
            words = _grown(words, at, along * (count * (wide + 1) + 1))
            at = _encode_row(words, base, at, header, data, start, steps, size, block, wide, room)
            if at < 0:
                return words, at, False
            header += 2 * along
    return words, at, True


@compiled
def _power(least):  # type: ignore[no-untyped-def]  # compiled
    """Return the smallest power of two that is not below a number."""
    power = 1
    while power < least:
        power *= 2
    return power


@compiled
def encode(words, data, steps, shape, block, wide):  # type: ignore[no-untyped-def]  # compiled
    """Encode all channels.

    Parameters: memory, which is replaced when it does not suffice; the voxels as one axis that begins with the first;
    elements from one channel, plane and row to the next; (channels, z, y, x); block shape (z, y, x); words of a label.
    Returns (memory, words used or what is wrong).
    """
    channels = shape[0]
    words = _grown(words, 0, channels)
    used = channels
    for c in range(channels):
        words[c] = used
        words, used, reached = _encode_channel(words, used, data, c * steps[0], steps, shape[1:], block, wide)
        if not reached:
            return words, TABLE_TOO_FAR
    return words, used
