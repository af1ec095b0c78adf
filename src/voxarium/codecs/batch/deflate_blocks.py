"""Blocks of a deflate stream for compiled code: their heads, and their codes one by one (RFC 1951).

The state of a stream is memory of `STREAM` bytes, at an address. Nothing is trusted: no byte is read or written outside
the memory that `begin` was given, and a stream that is not in every respect what the standard says, or is merely
unusual, is given up. libdeflate then judges it, see `kernels.inflated`.
"""

from __future__ import annotations

import numpy as np

from voxarium.codecs.batch.deflate_codes import (
    ALIVE,
    BACK_BITS,
    BACK_ENTRIES,
    BACK_LENGTHS,
    BACK_MASK,
    BACK_TABLE,
    BASE_BACKS,
    CODE_ENTRIES,
    CODE_LENGTHS,
    CODE_MASK,
    CODE_TABLE,
    COUNT_BITS_OF,
    NONE,
    PLAIN_ENTRIES,
    PLAIN_LENGTHS,
    PLAIN_MASK,
    PLAIN_TABLE,
    arrange,
    search,
    tabulate,
)
from voxarium.codecs.batch.memory import (
    call3,
    compiled,
    copy8,
    copy_bytes,
    load_byte,
    load_half,
    load_word,
    mirrored,
    shifted,
    store_byte,
    store_half,
    store_word,
    voxels_at,
)

RUNNING, DONE, GIVEN_UP, IDLE = 0, 1, 2, 3
# Words of a stream: position in the source, as address x 8 + bit; next byte of the room; ends of both; begin of the
# room; whether the block is the last; one of the above; function of the check sum; wrapping; where `search` begins for
# codes that no table holds.
AT, TARGET, END, ROOM_END, ROOM, _LAST, STATE, _SUM, _WRAPPING, _FIRST, _INDEX, _SPARE = (8 * i for i in range(12))
# Numbers of codes of each length, symbols in the order of their codes, lengths of codes (64 bits each), and tables.
_COUNTS, _BACK_COUNTS, _SYMBOLS, _BACK_SYMBOLS, _LENGTHS, BACKS, CODES = 128, 256, 384, 2688, 2944, 5504, 7552
STREAM = 15744
# Bytes that a turn, five literals and a short match, reads and writes at most; and those it touches beyond.
_MOST_READ, _MOST_WRITTEN, _READ_AHEAD, _WRITTEN_AHEAD = 16, 32, 24, 40
_LEAST_WRITTEN = 16  # before turns are made
MOST_TURNS = 10  # that a code may stand for: 64 bits read, 258 bytes written

_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])


@compiled
def _peek(at, end):  # type: ignore[no-untyped-def]  # compiled
    """Return the next bits, at least 57; zeros behind the end."""
    place = at >> 3
    if place + 8 <= end:
        return shifted(load_word(place), at & 7)
    word = 0
    for i in range(min(8, end - place)):
        word |= load_byte(place + i) << (8 * i)
    return shifted(word, at & 7)


@compiled
def _codes_of(stream):  # type: ignore[no-untyped-def]  # compiled
    """Return (counts, symbols) of literals and lengths of matches."""
    return voxels_at(stream + _COUNTS, (16,), np.int64), voxels_at(stream + _SYMBOLS, (288,), np.int64)


@compiled
def _backs_of(stream):  # type: ignore[no-untyped-def]  # compiled
    """Return (counts, symbols) of distances."""
    return voxels_at(stream + _BACK_COUNTS, (16,), np.int64), voxels_at(stream + _BACK_SYMBOLS, (32,), np.int64)


@compiled
def _repetition(symbol, bits):  # type: ignore[no-untyped-def]  # compiled
    """Return how often a length is repeated, and how many bits that took."""
    if symbol == 16:
        return 3 + (bits & 3), 2
    if symbol == 17:
        return 3 + (bits & 7), 3
    return 11 + (bits & 127), 7


@compiled
def _read_lengths(stream, lengths):  # type: ignore[no-untyped-def]  # compiled
    """Read the lengths of a block's codes; return the numbers of codes and of distances, or -1 and 0."""
    at, end = load_word(stream + AT), load_word(stream + END)
    bits = _peek(at, end)
    codes, backs, given = (bits & 31) + 257, (bits >> 5 & 31) + 1, (bits >> 10 & 15) + 4
    at += 14
    bits = _peek(at, end)
    for i in range(19):
        lengths[_ORDER[i]] = bits & 7 if i < given else 0
        bits >>= 3
    at += 3 * given
    counts, symbols = _codes_of(stream)  # overwritten soon, as is the table
    if codes > 286 or backs > 30 or arrange(lengths[:19], counts, symbols) != 0:
        return -1, 0
    table = stream + BACKS
    tabulate(table, PLAIN_TABLE, counts, symbols, PLAIN_ENTRIES, PLAIN_LENGTHS)
    i = left = 0
    while i < codes + backs:
        if left < 14:  # as many bits as a code and what belongs to it may have
            bits, left = _peek(at, end), 57
        entry = load_half(table + 4 * (bits & PLAIN_MASK))
        length, value = entry & 255, entry >> 8
        if value < 16:
            lengths[i] = value
            i += 1
        else:
            count, extra = _repetition(value, bits >> length)
            length += extra
            if i + count > codes + backs or (value == 16 and i == 0):
                return -1, 0
            lengths[i : i + count] = lengths[i - 1] if value == 16 else 0
            i += count
        at += length
        bits = shifted(bits, length)
        left -= length
    store_word(stream + AT, at)
    return codes, backs


@compiled
def _begin_codes(stream, fixed):  # type: ignore[no-untyped-def]  # compiled
    """Make the tables of a block; tell whether they are good."""
    lengths = voxels_at(stream + _LENGTHS, (320,), np.int64)
    if fixed:
        codes, backs = 288, 32
        lengths[:144] = 8
        lengths[144:256] = 9
        lengths[256:280] = 7
        lengths[280:288] = 8
        lengths[288:] = 5
    else:
        codes, backs = _read_lengths(stream, lengths)
    counts, symbols = _codes_of(stream)
    if codes < 0 or lengths[256] == 0 or arrange(lengths[:codes], counts, symbols) != 0:
        return False
    tabulate(stream + CODES, CODE_TABLE, counts, symbols, CODE_ENTRIES, CODE_LENGTHS)
    first = index = 0
    for length in range(1, 12):
        index += counts[length]
        first = (first + counts[length]) << 1
    store_word(stream + _FIRST, first)
    store_word(stream + _INDEX, index)
    counts, symbols = _backs_of(stream)
    left = arrange(lengths[codes : codes + backs], counts, symbols)
    if left < 0 or (left > 0 and counts.sum() > 1):  # a block without matches has no distances, or a single one
        return False
    tabulate(stream + BACKS, BACK_TABLE, counts, symbols, BACK_ENTRIES, BACK_LENGTHS)
    return True


@compiled
def _copy_stored(stream):  # type: ignore[no-untyped-def]  # compiled
    """Copy a block that is stored as it is; tell whether it is good."""
    place, end = (load_word(stream + AT) + 7) >> 3, load_word(stream + END)
    if place + 4 > end:
        return False
    lengths, target = load_half(place), load_word(stream + TARGET)
    count = lengths & 0xFFFF
    if count != lengths >> 16 ^ 0xFFFF or place + 4 + count > end or target + count > load_word(stream + ROOM_END):
        return False
    copy_bytes(target, place + 4, count)
    store_word(stream + TARGET, target + count)
    store_word(stream + AT, (place + 4 + count) << 3)
    return True


@compiled
def _is_whole(stream):  # type: ignore[no-untyped-def]  # compiled
    """Tell whether a stream that has ended fills its room, and the check sum behind it is right."""
    place, end = (load_word(stream + AT) + 7) >> 3, load_word(stream + END)
    room, function = load_word(stream + ROOM), load_word(stream + _SUM)
    count = load_word(stream + ROOM_END) - room
    if load_word(stream + TARGET) != room + count:
        return False
    if load_word(stream + _WRAPPING) == 31:
        if place + 8 != end or load_half(place + 4) != count & 0xFFFFFFFF:
            return False
        return call3(function, 0, room, count) & 0xFFFFFFFF == load_half(place)
    if place + 4 != end:
        return False
    given = 0
    for i in range(4):
        given = given << 8 | load_byte(place + i)
    return call3(function, 1, room, count) & 0xFFFFFFFF == given


@compiled
def _next_block(stream):  # type: ignore[no-untyped-def]  # compiled
    """Go to the next block that has codes; return the state of the stream."""
    while load_word(stream + _LAST) == 0:
        at, end = load_word(stream + AT), load_word(stream + END)
        bits = _peek(at, end)
        kind = bits >> 1 & 3
        store_word(stream + _LAST, bits & 1)
        store_word(stream + AT, at + 3)
        good = _copy_stored(stream) if kind == 0 else kind < 3 and _begin_codes(stream, kind == 1)
        if not good or load_word(stream + AT) > end << 3:
            return GIVEN_UP
        if kind != 0:
            return RUNNING
    return DONE if _is_whole(stream) else GIVEN_UP


@compiled
def _repeat(target, back, count, room_end):  # type: ignore[no-untyped-def]  # compiled
    """Repeat bytes from `back` bytes before `target`; return where they end."""
    stop = target + count
    if stop + 8 <= room_end:
        least = back  # a multiple of the period, 8 at least, by which whole words may be copied once there are as many
        while least < 8:
            least += back
        first = min(target + least - back, stop)
        while target < first:
            store_byte(target, load_byte(target - back))
            target += 1
        while target < stop:
            copy8(target, target - least)
            target += 8
    while target < stop:
        store_byte(target, load_byte(target - back))
        target += 1
    return stop


@compiled
def _distance(stream, bits):  # type: ignore[no-untyped-def]  # compiled
    """Return how far back a match reaches, and how many bits say so; 0 where that is no distance."""
    entry = load_half(stream + BACKS + 4 * (bits & BACK_MASK))
    if entry != 0:
        return (entry >> 16) + (shifted(bits, entry) & ((1 << (entry >> 11 & 15)) - 1)), entry >> 6 & 31
    counts, symbols = _backs_of(stream)
    symbol, length = search(bits, NONE, NONE, NONE, NONE, counts, symbols)
    if symbol < 0 or symbol > 29:
        return 0, 0
    extra = BACK_BITS[symbol]
    return BASE_BACKS[symbol] + (shifted(bits, length) & ((1 << extra) - 1)), length + extra


@compiled
def one_code(stream):  # type: ignore[no-untyped-def]  # compiled
    """Deal with one code, whatever it is; return the state of the stream."""
    at, end, target = load_word(stream + AT), load_word(stream + END), load_word(stream + TARGET)
    bits = _peek(at, end)
    entry = load_half(stream + CODES + 4 * (bits & CODE_MASK))
    if entry == 0:
        counts, symbols = _codes_of(stream)
        first, index = load_word(stream + _FIRST), load_word(stream + _INDEX)
        symbol, length = search(bits, CODE_TABLE, shifted(mirrored(bits), 53), first, index, counts, symbols)
        if symbol < 0:
            return GIVEN_UP
        entry = CODE_ENTRIES[symbol] + length * CODE_LENGTHS[symbol]
    room = load_word(stream + ROOM_END) - target
    if entry & ALIVE:
        at += entry & 255
        if at > end << 3 or room < 1:
            return GIVEN_UP
        store_byte(target, entry >> 16)
        store_word(stream + AT, at)
        store_word(stream + TARGET, target + 1)
        return RUNNING
    count, length = entry >> 16 & 511, entry >> 25 & 15
    if count == 0:
        store_word(stream + AT, at + length)
        return GIVEN_UP if at + length > end << 3 else _next_block(stream)
    extra = COUNT_BITS_OF[count]
    count += shifted(bits, length) & ((1 << extra) - 1)
    back, more = _distance(stream, shifted(bits, length + extra))
    at += length + extra + more
    if back == 0 or count > min(258, room) or back > target - load_word(stream + ROOM) or at > end << 3:
        return GIVEN_UP
    store_word(stream + AT, at)
    store_word(stream + TARGET, _repeat(target, back, count, target + room))
    return RUNNING


@compiled
def turns_left(stream):  # type: ignore[no-untyped-def]  # compiled
    """Return how many turns a stream may make before it comes near an end of its memory."""
    source = load_word(stream + END) - (load_word(stream + AT) >> 3) - _READ_AHEAD
    room = load_word(stream + ROOM_END) - load_word(stream + TARGET) - _WRITTEN_AHEAD
    if load_word(stream + TARGET) - load_word(stream + ROOM) < _LEAST_WRITTEN:
        return 0
    return min(source // _MOST_READ, room // _MOST_WRITTEN)


@compiled
def rest(stream):  # type: ignore[no-untyped-def]  # compiled
    """Leave a stream standing while others go on: no code moves it, and what it writes is memory of its own."""
    store_word(stream + STATE, IDLE)
    store_word(stream + AT, stream << 3)
    store_word(stream + TARGET, stream + _SPARE)
    for i in range(CODE_MASK + 1):
        store_half(stream + CODES + 4 * i, ALIVE)


@compiled
def begin(stream, source, length, target, nbytes, wrapping, function):  # type: ignore[no-untyped-def]  # compiled
    """Begin a stream that should fill its room.

    Parameters
    ----------
    stream : int
        Address of its state.
    source, length, target, nbytes : int
        Addresses and lengths of the stored bytes and of the room.
    wrapping : int
        31 for gzip, 15 for zlib.
    function : int
        C function (sum so far, address, length) of the check sum: CRC-32 for gzip, Adler-32 for zlib.

    Returns
    -------
    int
        The state of the stream.
    """
    store_word(stream + STATE, GIVEN_UP)
    head = 10 if wrapping == 31 else 2
    if length < head + 6:
        return GIVEN_UP
    word = load_word(source)
    if wrapping == 31:
        if word & 0xFFFFFFFF != 0x00088B1F:  # no name, no comment
            return GIVEN_UP
    elif word & 0x200F != 8 or ((word & 255) << 8 | word >> 8 & 255) % 31 != 0:  # no dictionary
        return GIVEN_UP
    store_word(stream + AT, (source + head) << 3)
    store_word(stream + END, source + length)
    store_word(stream + TARGET, target)
    store_word(stream + ROOM, target)
    store_word(stream + ROOM_END, target + nbytes)
    store_word(stream + _LAST, 0)
    store_word(stream + _SUM, function)
    store_word(stream + _WRAPPING, wrapping)
    state = _next_block(stream)
    store_word(stream + STATE, state)
    return state
