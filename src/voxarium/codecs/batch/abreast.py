"""Several deflate streams at once by one thread, for compiled code.

A stream is a chain: where a code begins shows when the one before it was looked up, some seven cycles later, so one
stream leaves most of a core idle. Chunks are many and independent of each other, so this goes through four at once:
each step looks up one code in each. Voxels of images are mostly literals, and these take no branch at all. What is
none leaves its stream standing, as its entry in the table takes no bits, until all have made a few steps; short
matches are then dealt with in all streams alike, without a branch, and the rest one by one.

Labels and other volumes that deflate makes much smaller are mostly long matches, which libdeflate copies faster: see
`enter`.
"""

from __future__ import annotations

import numpy as np

from voxarium.codecs.batch.deflate_blocks import (
    AT,
    BACKS,
    CODES,
    DONE,
    GIVEN_UP,
    IDLE,
    MOST_TURNS,
    ROOM,
    RUNNING,
    STATE,
    STREAM,
    TARGET,
    begin,
    one_code,
    rest,
    turns_left,
)
from voxarium.codecs.batch.deflate_codes import ALIVE, BACK_MASK, CODE_MASK, NONE
from voxarium.codecs.batch.kernels import copy_box, inflated
from voxarium.codecs.batch.memory import (
    compiled,
    copy16,
    load_half,
    load_word,
    not_above,
    shifted,
    store_byte,
    store_word,
)

STREAMS = 4
_SOME_GROUPS, _MOST_GROUPS = np.int64(2), np.int64(4)  # of five steps
_FAR = np.int64(1 << 30)


@compiled
def _look(bits, table):  # type: ignore[no-untyped-def]  # compiled
    """Return the bits behind a code, and what the table says of it."""
    entry = load_half(table + 4 * (bits & CODE_MASK))
    return shifted(bits, entry), entry


@compiled
def _short_match(entry, at, target, stream):  # type: ignore[no-untyped-def]  # compiled
    """Deal with a match of up to 10 bytes, if this is one, without a branch.

    Returns where source and target are then, and -1 if it was one, else 0.
    """
    length, count = entry >> 25 & 15, entry >> 16 & 511
    bits = shifted(load_word(at >> 3), (at & 7) + length)
    found = load_half(stream + BACKS + 4 * (bits & BACK_MASK))
    back = (found >> 16) + (shifted(bits, found) & ((1 << (found >> 11 & 15)) - 1))
    # Not farther back than what is there, and no nearer than what is copied; less than none is a large number.
    good = -((entry >> 31) & (not_above(back - count, target - load_word(stream + ROOM) - count)))
    copy16(target, target - (back & good))  # what is behind the match is overwritten by what comes
    return at + ((length + (found >> 6 & 31)) & good), target + (count & good), good


@compiled
def _with_care(entry, stream, at, target, turns):  # type: ignore[no-untyped-def]  # compiled
    """Deal with any code; return where source and target are then, and how many turns are sure to be left."""
    if entry & ALIVE:
        return at, target, turns
    store_word(stream + AT, at)
    store_word(stream + TARGET, target)
    state = one_code(stream)
    store_word(stream + STATE, state)
    read, written = load_word(stream + AT) - at, load_word(stream + TARGET) - target
    left = turns - MOST_TURNS if state == RUNNING and read <= 64 and written <= 258 else NONE  # not so: a new block
    return at + read, target + written, left


@compiled
def _keep(streams, a0, a1, a2, a3, o0, o1, o2, o3):  # type: ignore[no-untyped-def]  # compiled
    """Keep where four streams are, and their targets."""
    s0, s1, s2, s3 = streams, streams + STREAM, streams + 2 * STREAM, streams + 3 * STREAM
    store_word(s0 + AT, a0)
    store_word(s1 + AT, a1)
    store_word(s2 + AT, a2)
    store_word(s3 + AT, a3)
    store_word(s0 + TARGET, o0)
    store_word(s1 + TARGET, o1)
    store_word(s2 + TARGET, o2)
    store_word(s3 + TARGET, o3)


@compiled
def _race(streams, turns, groups):  # type: ignore[no-untyped-def]  # compiled
    """Go through all streams for some turns, each of so many groups of five codes, or until one has ended.

    Returns how many bytes were written, and how many short matches there were. The streams are written out, so that
    their places stay in registers.
    """
    s0, s1, s2, s3 = streams, streams + STREAM, streams + 2 * STREAM, streams + 3 * STREAM
    a0, a1, a2, a3 = load_word(s0 + AT), load_word(s1 + AT), load_word(s2 + AT), load_word(s3 + AT)
    o0, o1, o2, o3 = load_word(s0 + TARGET), load_word(s1 + TARGET), load_word(s2 + TARGET), load_word(s3 + TARGET)
    begun, matches, e0, e1, e2, e3 = o0 + o1 + o2 + o3, NONE, NONE, NONE, NONE, NONE
    while turns >= groups:
        turns -= groups
        for _ in range(groups):
            b0 = shifted(load_word(a0 >> 3), a0 & 7)
            b1 = shifted(load_word(a1 >> 3), a1 & 7)
            b2 = shifted(load_word(a2 >> 3), a2 & 7)
            b3 = shifted(load_word(a3 >> 3), a3 & 7)
            n0 = n1 = n2 = n3 = NONE
            for i in range(5):
                b0, e0 = _look(b0, s0 + CODES)
                b1, e1 = _look(b1, s1 + CODES)
                b2, e2 = _look(b2, s2 + CODES)
                b3, e3 = _look(b3, s3 + CODES)
                n0 += e0
                n1 += e1
                n2 += e2
                n3 += e3
                store_byte(o0 + i, e0 >> 16)
                store_byte(o1 + i, e1 >> 16)
                store_byte(o2 + i, e2 >> 16)
                store_byte(o3 + i, e3 >> 16)
            a0, o0 = a0 + (n0 & 255), o0 + (n0 >> 8 & 7)
            a1, o1 = a1 + (n1 & 255), o1 + (n1 >> 8 & 7)
            a2, o2 = a2 + (n2 & 255), o2 + (n2 >> 8 & 7)
            a3, o3 = a3 + (n3 & 255), o3 + (n3 >> 8 & 7)
        if e0 & e1 & e2 & e3 & ALIVE == 0:
            a0, o0, g0 = _short_match(e0, a0, o0, s0)
            a1, o1, g1 = _short_match(e1, a1, o1, s1)
            a2, o2, g2 = _short_match(e2, a2, o2, s2)
            a3, o3, g3 = _short_match(e3, a3, o3, s3)
            matches -= g0 + g1 + g2 + g3
            if (e0 | g0) & (e1 | g1) & (e2 | g2) & (e3 | g3) & ALIVE == 0:
                a0, o0, turns = _with_care(e0 | g0, s0, a0, o0, turns)
                a1, o1, turns = _with_care(e1 | g1, s1, a1, o1, turns)
                a2, o2, turns = _with_care(e2 | g2, s2, a2, o2, turns)
                a3, o3, turns = _with_care(e3 | g3, s3, a3, o3, turns)
    _keep(streams, a0, a1, a2, a3, o0, o1, o2, o3)
    return o0 + o1 + o2 + o3 - begun, matches


@compiled
def advance(streams):  # type: ignore[no-untyped-def]  # compiled
    """Go on with four streams, one of which is running at least, until one of them has ended.

    It is either done, or given up; see `STATE`. Streams that are not running must rest.
    """
    groups = _SOME_GROUPS
    while True:
        turns = _FAR
        for i in range(STREAMS):
            stream = streams + i * STREAM
            state = load_word(stream + STATE)
            while state == RUNNING and turns_left(stream) < _MOST_GROUPS:
                state = one_code(stream)
            store_word(stream + STATE, state)
            if state == RUNNING:
                turns = min(turns, turns_left(stream))
            elif state != IDLE:
                return
        written, matches = _race(streams, turns, groups)
        # The rarer matches are, the longer is it worth while to leave streams standing until they are dealt with.
        groups = 1 if written < 10 * matches else _SOME_GROUPS if written < 50 * matches else _MOST_GROUPS


@compiled
def enter(functions, stream, chunk, nbytes, source, length):  # type: ignore[no-untyped-def]  # compiled
    """Let a stream begin with a chunk, unless that is better left to libdeflate.

    `functions` are libdeflate's (see `inflating`): inflater, its context, memory for two words, check sum, wrapping.
    """
    if 5 * length > 2 * nbytes:  # measured: up to a ratio of 2.2 this is faster, from 3.8 on libdeflate is
        begin(stream, source, length, chunk, nbytes, functions[4], functions[3])
    else:
        store_word(stream + STATE, GIVEN_UP)


@compiled
def ended_well(functions, stream, chunk, nbytes, source, length):  # type: ignore[no-untyped-def]  # compiled
    """Tell whether a chunk is decoded whose stream has ended; libdeflate decodes what was given up, if it is good."""
    if load_word(stream + STATE) == DONE:
        return True
    return inflated(functions[0], functions[1], chunk, nbytes, source, length, functions[2]) == nbytes


@compiled
def rest_unless_running(streams):  # type: ignore[no-untyped-def]  # compiled
    """Let streams rest that have nothing to do; tell whether any is running."""
    running = False
    for k in range(STREAMS):
        state = load_word(streams + k * STREAM + STATE)
        if state == RUNNING:
            running = True
        elif state != IDLE:
            rest(streams + k * STREAM)
    return running


@compiled
def inflate_abreast(functions, streams, sources, lengths, first, place, shapes, chunk_strides, out_strides, memory):  # type: ignore[no-untyped-def]  # compiled
    """See `batch.decode_chunks`. `streams` is memory for the state of four; there is a chunk of scratch for each."""
    out, scratch, nbytes, itemsize = memory
    chunk_of = np.full(STREAMS, -1, np.int64)
    begun, stop = 0, len(sources)
    for k in range(STREAMS):
        rest(streams + k * STREAM)
    while True:
        for k in range(STREAMS):
            stream, chunk = streams + k * STREAM, scratch + k * nbytes
            while load_word(stream + STATE) != RUNNING:
                i = chunk_of[k]
                if i >= 0 and ended_well(functions, stream, chunk, nbytes, sources[i], lengths[i]):
                    copy_box(out + place[i], chunk + first[i], shapes[i], out_strides, chunk_strides, itemsize)
                elif i >= 0:
                    stop = min(stop, i)
                chunk_of[k] = -1
                if begun >= stop:
                    break
                chunk_of[k] = begun
                enter(functions, stream, chunk, nbytes, sources[begun], lengths[begun])
                begun += 1
        if not rest_unless_running(streams):
            return stop
        advance(streams)
