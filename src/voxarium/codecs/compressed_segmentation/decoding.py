"""Compiled loops that decode. Nothing here trusts the bytes: every place is checked before it is used.

Positions are counted in 32-bit words, as the format does. Those of voxels are unsigned, so that nothing has to be done
about negative ones and whole rows are written at once.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from voxarium.codecs.compressed_segmentation.compiling import compiled

DONE: Final = 0
HEADERS_OUTSIDE: Final = 1
BITS_UNKNOWN: Final = 2
VALUES_OUTSIDE: Final = 3
TABLE_OUTSIDE: Final = 4

_FEW: Final = 16
_HIGH: Final = np.uint64(32)


@compiled
def _entry(out, words, at, wide):  # type: ignore[no-untyped-def]  # compiled
    """Return one entry of a table, in the type of `out`."""
    value = np.uint64(words[at])
    if wide == 2:
        value |= np.uint64(words[at + 1]) << _HIGH
    return out.dtype.type(value)


@compiled
def _fill(out, at, steps, size, value):  # type: ignore[no-untyped-def]  # compiled
    """Write a block that holds one value."""
    if size[2] == 8:
        for z in range(size[0]):
            for y in range(size[1]):
                row = np.uint64(at + z * steps[0] + y * steps[1])
                for x in range(8):
                    out[row + np.uint64(x)] = value
        return
    for z in range(size[0]):
        for y in range(size[1]):
            row = np.uint64(at + z * steps[0] + y * steps[1])
            for x in range(size[2]):
                out[row + np.uint64(x)] = value


@compiled
def _rows_of_two(out, at, steps, size, block, words, values, table):  # type: ignore[no-untyped-def]  # compiled
    """Write a block of two values whose rows are 8 long: a byte for each row."""
    low, high = table[0], table[1]
    for z in range(size[0]):
        for y in range(size[1]):
            row = np.uint64(at + z * steps[0] + y * steps[1])
            number = y + block[1] * z
            code = words[values + (number >> 2)] >> np.uint32((number & 3) * 8)
            for x in range(8):
                out[row + np.uint64(x)] = high if (code >> np.uint32(x)) & np.uint32(1) else low


@compiled
def _rows_of_four(out, at, steps, size, block, words, values, table):  # type: ignore[no-untyped-def]  # compiled
    """Write a block of up to four values whose rows are 8 long: 16 bits for each row."""
    for z in range(size[0]):
        for y in range(size[1]):
            row = np.uint64(at + z * steps[0] + y * steps[1])
            number = y + block[1] * z
            code = words[values + (number >> 1)] >> np.uint32((number & 1) * 16)
            for x in range(8):
                out[row + np.uint64(x)] = table[(code >> np.uint32(2 * x)) & np.uint32(3)]


@compiled
def _rows_of_sixteen(out, at, steps, size, block, words, values, table):  # type: ignore[no-untyped-def]  # compiled
    """Write a block of up to sixteen values whose rows are 8 long: a word for each row."""
    for z in range(size[0]):
        for y in range(size[1]):
            row = np.uint64(at + z * steps[0] + y * steps[1])
            code = words[values + y + block[1] * z]
            for x in range(8):
                out[row + np.uint64(x)] = table[(code >> np.uint32(4 * x)) & np.uint32(15)]


@compiled
def _rows(out, at, steps, size, block, words, values, bits, table, entries, wide):  # type: ignore[no-untyped-def]  # compiled
    """Write any block; each code is checked against the entries that lie within the payload. True: all did."""
    mask = np.uint32(0xFFFFFFFF) if bits == 32 else np.uint32((1 << bits) - 1)
    for z in range(size[0]):
        for y in range(size[1]):
            row = np.uint64(at + z * steps[0] + y * steps[1])
            bit = (y + block[1] * z) * block[2] * bits
            for x in range(size[2]):
                code = np.int64((words[values + (bit >> 5)] >> np.uint32(bit & 31)) & mask)
                if code >= entries:
                    return False
                out[row + np.uint64(x)] = _entry(out, words, table + code * wide, wide)
                bit += bits
    return True


@compiled
def _decode_block(out, at, steps, size, block, words, base, header, wide, near):  # type: ignore[no-untyped-def]  # compiled
    """Write one block; `near` is room for a table of 16."""
    first = np.int64(words[header])
    bits = first >> 24
    table = base + (first & 0xFFFFFF)
    if bits > 32 or (bits != 0 and (bits & (bits - 1)) != 0):
        return BITS_UNKNOWN
    if table + wide > len(words):
        return TABLE_OUTSIDE
    entries = (len(words) - table) // wide
    if bits == 0:
        _fill(out, at, steps, size, _entry(out, words, table, wide))
        return DONE
    values = base + np.int64(words[header + 1])
    # Encoders write whole blocks; what lies outside the chunk is not needed, and some leave it out.
    last = (size[2] - 1 + block[2] * (size[1] - 1 + block[1] * (size[0] - 1))) * bits
    if values + (last >> 5) >= len(words):
        return VALUES_OUTSIDE
    if block[2] == 8 and size[2] == 8 and bits <= 4 and entries >= 1 << bits:
        for i in range(1 << bits):
            near[i] = _entry(out, words, table + i * wide, wide)
        if bits == 1:
            _rows_of_two(out, at, steps, size, block, words, values, near)
        elif bits == 2:
            _rows_of_four(out, at, steps, size, block, words, values, near)
        else:
            _rows_of_sixteen(out, at, steps, size, block, words, values, near)
        return DONE
    if _rows(out, at, steps, size, block, words, values, bits, table, entries, wide):
        return DONE
    return TABLE_OUTSIDE


@compiled
def decode(words, out, shape, block, wide):  # type: ignore[no-untyped-def]  # compiled
    """Decode all channels into `out`.

    Parameters: the payload as uint32; the voxels as one axis of uint32 or uint64; (channels, z, y, x); block shape
    (z, y, x); words of a label. Returns (what is wrong, number of the block counted over all channels).
    """
    channels, nz, ny, nx = shape
    bz, by, bx = block
    gz, gy, gx = (nz + bz - 1) // bz, (ny + by - 1) // by, (nx + bx - 1) // bx
    steps = (ny * nx, nx)
    near = np.empty(_FEW, out.dtype)
    done = 0
    for c in range(channels):
        base = np.int64(words[c])
        if base + 2 * gz * gy * gx > len(words):
            return HEADERS_OUTSIDE, done
        header = base
        for z in range(0, nz, bz):
            for y in range(0, ny, by):
                for x in range(0, nx, bx):
                    size = (min(bz, nz - z), min(by, ny - y), min(bx, nx - x))
                    at = ((c * nz + z) * ny + y) * nx + x
                    wrong = _decode_block(out, at, steps, size, block, words, base, header, wide, near)
                    if wrong != DONE:
                        return wrong, done
                    header += 2
                    done += 1
    return DONE, done
