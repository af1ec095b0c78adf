"""Codes of deflate for compiled code: from their lengths to tables, and what tables say of them (RFC 1951)."""

from __future__ import annotations

import numpy as np

from voxarium.codecs.batch.memory import compiled, copy_bytes, mirrored, shifted, store_half

# Bits by which tables are asked. NumPy's integers are variables for numba, so functions are compiled once.
CODE_TABLE, BACK_TABLE, PLAIN_TABLE = np.int64(11), np.int64(9), np.int64(7)
CODE_MASK, BACK_MASK, PLAIN_MASK = 2047, 511, 127
NONE = np.int64(0)
ALIVE, _LITERAL = 1 << 12, 1 << 8

_COUNT_BITS = np.array([0] * 8 + [n for n in range(1, 6) for _ in range(4)] + [0])
_BASE_COUNTS = np.concatenate(([3], 3 + np.cumsum(2 ** _COUNT_BITS[:-2]), [258]))
COUNT_BITS_OF = np.zeros(512, np.int64)
COUNT_BITS_OF[_BASE_COUNTS] = _COUNT_BITS
BACK_BITS = np.array([0, 0] + [n for n in range(14) for _ in range(2)])
BASE_BACKS = np.concatenate(([1], 1 + np.cumsum(2 ** BACK_BITS[:-1])))

# What tables say of a code: an entry by its symbol, and how the code's length is added to it.
# A literal is ALIVE | LITERAL | value << 16, length << 0: the low bits of five together tell how many bits and literals
# they were. Of a match the low 16 bits are 0: least count << 16, length << 25, SHORT << 31 if there are no extra bits
# and it is one of up to 10 bytes. The block's end has the count 0, what is no code 511.
CODE_ENTRIES = np.full(288, 511 << 16)
CODE_ENTRIES[:256] = ALIVE | _LITERAL | np.arange(256) << 16
CODE_ENTRIES[256] = 0
CODE_ENTRIES[257:286] = _BASE_COUNTS << 16
CODE_ENTRIES[257:265] |= 1 << 31
CODE_LENGTHS = np.where(np.arange(288) < 256, 1, 1 << 25)
# Of a distance: length << 0, length and extra bits << 6, extra bits << 11, least distance << 16; 0 for what is none.
BACK_ENTRIES = np.append(BACK_BITS << 6 | BACK_BITS << 11 | BASE_BACKS << 16, [0, 0])
BACK_LENGTHS = np.where(np.arange(32) < 30, 1 | 1 << 6, 0)
# Of the length of a code: length << 0, value << 8.
PLAIN_ENTRIES = np.arange(19) << 8
PLAIN_LENGTHS = np.ones(19, np.int64)


@compiled
def arrange(lengths, counts, symbols):  # type: ignore[no-untyped-def]  # compiled
    """Count codes of each length and put their symbols in order.

    Returns how much room for codes is left, in units of the longest: 0 for a complete code, less for too many codes.
    """
    counts[:] = 0
    for n in lengths:
        counts[n] += 1
    counts[0] = 0
    places = np.zeros(17, np.int64)
    left = 1
    for n in range(1, 16):
        left = 2 * left - counts[n]
        if left < 0:
            return left
        places[n + 1] = places[n] + counts[n]
    for symbol in range(len(lengths)):
        n = lengths[symbol]
        if n:
            symbols[places[n]] = symbol
            places[n] += 1
    return left


@compiled
def tabulate(table, bits, counts, symbols, entries, lengths):  # type: ignore[no-untyped-def]  # compiled
    """Fill a table of 2**bits entries: by the next bits of a stream, what they begin with; 0 for longer codes."""
    store_half(table, 0)
    code = at = 0
    for length in range(1, bits + 1):
        copy_bytes(table + (2 << length), table, 2 << length)
        for _ in range(counts[length]):
            place = shifted(mirrored(code), 64 - length)  # codes are packed from their first bit
            symbol = symbols[at]
            store_half(table + 4 * place, entries[symbol] + length * lengths[symbol])
            at += 1
            code += 1
        code <<= 1


@compiled
def search(bits, known, code, first, index, counts, symbols):  # type: ignore[no-untyped-def]  # compiled
    """Find a code that is longer than its `known` bits, bit by bit; return symbol and length, or -1 and 0."""
    bits >>= known
    for length in range(known + 1, 16):
        code = code << 1 | (bits & 1)
        bits >>= 1
        count = counts[length]
        if first <= code < first + count:
            return symbols[index + code - first], length
        index += count
        first = (first + count) << 1
    return -1, 0
