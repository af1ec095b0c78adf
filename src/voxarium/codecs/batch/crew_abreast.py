"""What threads of a `crew` do with gzip and zlib chunks: each decodes several at once, see `abreast`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cfunc, types

from voxarium.codecs.batch.abreast import STREAMS, advance, ended_well, enter, rest_unless_running
from voxarium.codecs.batch.crew_kernels import (
    announce_until,
    chunks_ahead,
    in_one_piece,
    locate,
    stored_bytes,
    words_at,
)
from voxarium.codecs.batch.deflate_blocks import RUNNING, STATE, STREAM, rest
from voxarium.codecs.batch.kernels import copy_box
from voxarium.codecs.batch.memory import call3, compiled, load_word, store_byte, take_numbers

# Words of a chunk that is being decoded.
_CHUNK, _DECODED, _STORED, _LENGTH, _TARGET, _FIRST, _STRAIGHT = range(7)


@compiled
def _take(job, slot, part, shapes, buffers):  # type: ignore[no-untyped-def]  # compiled
    """Fetch the next chunk that is there; tell whether there is one."""
    count, nbytes, itemsize = load_word(job + 8 * 18), load_word(job + 8 * 34), load_word(job + 8 * 33)
    ndim, indices, handles = load_word(job + 8 * 30), load_word(job + 8 * 29), load_word(job + 8 * 25)
    advise, ahead = load_word(job + 8 * 24), chunks_ahead(job)
    stored = buffers + (nbytes + 63) // 64 * 64
    while True:
        i = take_numbers(job + 8 * 16, 1)
        if i >= count:
            return False
        if advise != 0:
            announce_until(job, advise, min(i + ahead, count))
        at = load_word(load_word(job + 8 * 28) + 8 * i)
        if at < 0:
            continue
        slot[_DECODED], slot[_STRAIGHT] = buffers, 0
        if load_word(job + 8 * 78) == 0:  # nobody judges it, so it goes to its place
            target, slot[_FIRST], _ = locate(indices + 8 * i * ndim, shapes, (ndim, itemsize), part)
            slot[_TARGET] = load_word(job + 8 * 32) + target
            if in_one_piece(shapes, part):
                slot[_DECODED], slot[_STRAIGHT] = slot[_TARGET], 1
        length = stored_bytes(job, i, load_word(handles + 8 * at), stored, load_word(job + 8 * 35), buffers)
        if length >= 0:
            slot[_CHUNK], slot[_STORED], slot[_LENGTH] = i, stored, length
            return True


@compiled
def _deliver(job, slot, part, shapes):  # type: ignore[no-untyped-def]  # compiled
    """Put a decoded chunk in its place, or show it to the judge."""
    i, judge, done = slot[_CHUNK], load_word(job + 8 * 78), 1
    if judge != 0:
        index = load_word(job + 8 * 29) + 8 * i * load_word(job + 8 * 30)
        done = call3(judge, load_word(job + 8 * 79), slot[_DECODED], index) == 1
    elif slot[_STRAIGHT] == 0:
        source = slot[_DECODED] + slot[_FIRST]
        copy_box(slot[_TARGET], source, part, shapes[2], shapes[1], load_word(job + 8 * 33))
    store_byte(load_word(job + 8 * 31) + i, done)


@compiled
def _work_abreast(job):  # type: ignore[no-untyped-def]  # compiled
    """Deal with chunks until none is left, up to four at once."""
    me = take_numbers(job + 8 * 17, 1)
    nbytes, abreast = load_word(job + 8 * 34), load_word(job + 8 * 84)
    streams = load_word(job + 8 * 36) + me * load_word(job + 8 * 37)
    ends = streams + STREAMS * STREAM
    room = (nbytes + 63) // 64 * 64 + (load_word(job + 8 * 35) + 64) // 64 * 64
    context = load_word(load_word(job + 8 * 38) + 8 * me)
    functions = (load_word(job + 8 * 80), context, ends, load_word(job + 8 * 82), load_word(job + 8 * 83))
    shapes = words_at(job + 8 * 40, 30).reshape(5, 6)
    slots, parts = np.full((STREAMS, 7), -1, np.int64), np.ones((STREAMS, 6), np.int64)
    for k in range(STREAMS):
        rest(streams + k * STREAM)
    more = True
    while True:
        for k in range(abreast):
            stream, slot, part = streams + k * STREAM, slots[k], parts[k]
            while load_word(stream + STATE) != RUNNING:
                chunk, stored, length = slot[_DECODED], slot[_STORED], slot[_LENGTH]
                if slot[_CHUNK] >= 0 and ended_well(functions, stream, chunk, nbytes, stored, length):
                    _deliver(job, slot, part, shapes)
                slot[_CHUNK] = -1
                more = more and _take(job, slot, part, shapes, ends + 64 + k * room)
                if not more:
                    break
                enter(functions, stream, slot[_DECODED], nbytes, slot[_STORED], slot[_LENGTH])
        if not rest_unless_running(streams):
            return
        advance(streams)


def _work(job: Any) -> int:
    _work_abreast(job)
    return 0


def _compiled_work() -> Any:  # Any: a C function of numba
    signature = types.int64(types.int64)
    try:
        return cfunc(signature, cache=True)(_work)
    except RuntimeError:  # as in `compiled`
        return cfunc(signature)(_work)


_function = _compiled_work()  # on import, as then one thread compiles it and others wait


def work_address() -> int:
    """Return the address of what a thread does: a C function of the address of its job, which returns 0."""
    return int(_function.address)
