"""Compiled loops of `crew`: threads that wait for work, fetch chunks, decode them and put them in their places.

Work is described by 64-bit words in memory, at places that `crew` names. Threads take chunks one by one from a counter,
so a thread that wakes up late takes fewer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from voxarium.codecs.batch.kernels import copy_box, inflated
from voxarium.codecs.batch.memory import (
    call1,
    call2,
    call3,
    call4,
    call5,
    compiled,
    exchange,
    load_word,
    store_byte,
    take_numbers,
)

_TAKEN = -2  # instead of a handle: the chunk was read, or is being read
_MOST_OPEN = 256

# Numba's interface is untyped; the signatures below are those of the C library. Any: numba objects.


def _integer_function(handle: bool, count: int) -> Any:
    """Return a codegen for a C function that returns an int: of a 32-bit handle (or not) and `count` words."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word, integer = ir.IntType(64), ir.IntType(32)
        kinds = [integer] * handle + [word] * count
        pointer = builder.inttoptr(args[0], ir.FunctionType(integer, kinds).as_pointer())
        values = [builder.trunc(a, integer) if kind is integer else a for a, kind in zip(args[1:], kinds, strict=True)]
        return builder.sext(builder.call(pointer, values), word)

    return codegen


@intrinsic
def _semaphore(_typing: Any, _function: Any, _address: Any) -> Any:
    return types.int64(types.int64, types.int64), _integer_function(False, 1)


@intrinsic
def _advise(_typing: Any, _function: Any, _handle: Any, _start: Any, _count: Any, _advice: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word, integer = ir.IntType(64), ir.IntType(32)
        pointer = builder.inttoptr(args[0], ir.FunctionType(integer, [integer, word, word, integer]).as_pointer())
        values = [builder.trunc(args[1], integer), args[2], args[3], builder.trunc(args[4], integer)]
        return builder.sext(builder.call(pointer, values), word)

    return types.int64(*[types.int64] * 5), codegen


@intrinsic
def _fetch(_typing: Any, _function: Any, _handle: Any, _buffer: Any, _count: Any, _start: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word, integer = ir.IntType(64), ir.IntType(32)
        pointer = builder.inttoptr(args[0], ir.FunctionType(word, [integer, word, word, word]).as_pointer())
        return builder.call(pointer, [builder.trunc(args[1], integer), *args[2:]])

    return types.int64(*[types.int64] * 5), codegen


@intrinsic
def _open(_typing: Any, _function: Any, _path: Any, _flags: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word, integer = ir.IntType(64), ir.IntType(32)
        # open is variadic: the fixed part has to be declared as such for platforms that pass them differently.
        pointer = builder.inttoptr(args[0], ir.FunctionType(integer, [word, integer], var_arg=True).as_pointer())
        return builder.sext(builder.call(pointer, [args[1], builder.trunc(args[2], integer)]), word)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def _close(_typing: Any, _function: Any, _handle: Any) -> Any:
    return types.int64(types.int64, types.int64), _integer_function(True, 0)


@compiled
def words_at(address, count):  # type: ignore[no-untyped-def]  # compiled
    """Return words as an array."""
    values = np.empty(count, np.int64)
    for i in range(count):
        values[i] = load_word(address + 8 * i)
    return values


@compiled
def _read(job, i, handle, buffer, room, spare):  # type: ignore[no-untyped-def]  # compiled
    """Read the bytes of a chunk from an open object, `room` at most; return their number, or -1.

    `spare` is memory for one byte, to see whether there are more.
    """
    fetch = load_word(job + 8 * 22)
    start, wanted = load_word(load_word(job + 8 * 26) + 8 * i), load_word(load_word(job + 8 * 27) + 8 * i)
    if wanted > room:
        return -1
    if wanted >= 0:
        return wanted if _fetch(fetch, handle, buffer, wanted, start) == wanted else -1
    got = _fetch(fetch, handle, buffer, room, 0)
    if got == room and _fetch(fetch, handle, spare, 1, room) != 0:
        return -1  # longer than expected
    return got if got > 0 else -1


@compiled
def stored_bytes(job, i, handle, buffer, room, spare):  # type: ignore[no-untyped-def]  # compiled
    """Fetch the bytes of a chunk; return their number, or -1 when the careful way has to look."""
    opener = load_word(job + 8 * 39)
    if opener == 0:
        return -1 if handle < 0 else _read(job, i, handle, buffer, room, spare)
    kept = load_word(job + 8 * 77)
    found = exchange(kept + 8 * i, _TAKEN) if kept != 0 else _TAKEN
    if found < 0:
        found = _open(opener, handle, load_word(job + 8 * 71))
    if found < 0:
        return -1
    got = _read(job, i, found, buffer, room, spare)
    _close(load_word(job + 8 * 70), found)
    return got


@compiled
def locate(index, shapes, sizes, part):  # type: ignore[no-untyped-def]  # compiled
    """Work out which part of a chunk lies in the box; `index` is the address of its index.

    Fills `part` with lengths, and returns where the part begins in the target and in the chunk, and how many bytes of
    the chunk it takes to have all of it.
    """
    shape, strides, out_strides, origin, stop = shapes[0], shapes[1], shapes[2], shapes[3], shapes[4]
    ndim, itemsize = sizes
    target = first = last = 0
    for axis in range(6 - ndim, 6):
        start = load_word(index + 8 * (axis - 6 + ndim)) * shape[axis]
        low, high = max(start, origin[axis]), min(start + shape[axis], stop[axis])
        part[axis] = high - low
        target += (low - origin[axis]) * out_strides[axis]
        first += (low - start) * strides[axis]
        last += (high - 1 - start) * strides[axis]
    return target, first, last + itemsize


@compiled
def in_one_piece(shapes, part):  # type: ignore[no-untyped-def]  # compiled
    """Tell whether all of a chunk is wanted, and its voxels lie in the target as they lie in the chunk."""
    shape, strides, out_strides = shapes[0], shapes[1], shapes[2]
    for axis in range(6):
        if part[axis] != shape[axis] or (shape[axis] > 1 and strides[axis] != out_strides[axis]):
            return False
    return True


@compiled
def _decode_start(job, context, target, nbytes, source, length, needed):  # type: ignore[no-untyped-def]  # compiled
    """Decode the blocks of a frame up to the last byte needed; return `nbytes`, or something else on failure."""
    begin, upcoming = load_word(job + 8 * 72), load_word(job + 8 * 73)
    go_on, content = load_word(job + 8 * 74), load_word(job + 8 * 75)
    if call2(content, source, length) != nbytes or call1(begin, context) != 0:
        return -1
    done = at = 0
    while done < needed:
        count = call1(upcoming, context)
        if count <= 0 or at + count > length:
            return -1
        got = call5(go_on, context, target + done, nbytes - done, source + at, count)
        if got < 0:  # zstd's errors are small negative numbers
            return -1
        at += count
        done += got
    return nbytes


@compiled
def _decoded(job, context, chunk, nbytes, source, length, needed):  # type: ignore[no-untyped-def]  # compiled
    """Decode a chunk as far as it is needed; return `nbytes`, or something else on failure."""
    decoder, inflater = load_word(job + 8 * 23), load_word(job + 8 * 80)
    if inflater != 0:
        ends = source + (load_word(job + 8 * 35) + 64) // 64 * 64  # behind the memory for stored bytes
        return inflated(inflater, context, chunk, nbytes, source, length, ends)
    if decoder < 0:  # of LZ4, which takes and returns 32-bit numbers
        return call4(-decoder, source, chunk, length, nbytes) & 0xFFFFFFFF if length < 0x7FFFFFFF else -1
    if nbytes - needed >= 131072:  # a block and more can be left out
        return _decode_start(job, context, chunk, nbytes, source, length, needed)
    return call5(decoder, context, chunk, nbytes, source, length)


@compiled
def chunks_ahead(job):  # type: ignore[no-untyped-def]  # compiled
    """Return how many chunks the disk is told about before they are read: about four megabytes of them.

    More would come later: disks, and the hosts of virtual ones, may tell of many reads only when all are done.
    """
    return min(max(4194304 // load_word(job + 8 * 34), 16), 96)


@compiled
def _keep(job, place, handle):  # type: ignore[no-untyped-def]  # compiled
    """Keep an object open for whoever reads it; the system's numbers tell when too many are open already."""
    if handle < _MOST_OPEN:
        if exchange(place, handle) != _TAKEN:
            return
        handle = exchange(place, _TAKEN)  # it was read meanwhile
    _close(load_word(job + 8 * 70), handle)


@compiled
def _close_kept(job):  # type: ignore[no-untyped-def]  # compiled
    """Close what was opened for chunks that nobody read."""
    kept = load_word(job + 8 * 77)
    if kept == 0:
        return
    for i in range(load_word(job + 8 * 18)):
        handle = load_word(kept + 8 * i)
        if handle >= 0:
            _close(load_word(job + 8 * 70), handle)


@compiled
def _announce(job, advise, i, stop):  # type: ignore[no-untyped-def]  # compiled
    """Tell the system that a chunk will be read, so that the disk can work on it; return the chunk after it.

    Chunks up to `stop` that stand right behind it in the same object are announced with it.
    """
    at = load_word(load_word(job + 8 * 28) + 8 * i)
    if at < 0:
        return i + 1
    objects, starts, lengths = load_word(job + 8 * 28), load_word(job + 8 * 26), load_word(job + 8 * 27)
    start, length = load_word(starts + 8 * i), max(load_word(lengths + 8 * i), 0)  # length 0: to the end
    i += 1
    while i < stop and length > 0 and load_word(objects + 8 * i) == at and load_word(starts + 8 * i) == start + length:
        length += load_word(lengths + 8 * i)
        i += 1
    handle, opener = load_word(load_word(job + 8 * 25) + 8 * at), load_word(job + 8 * 39)
    if opener != 0:
        handle = _open(opener, handle, load_word(job + 8 * 71))
    if handle >= 0:
        _advise(advise, handle, start, length, 3)
        if opener != 0:
            _keep(job, load_word(job + 8 * 77) + 8 * (i - 1), handle)
    return i


@compiled
def announce_until(job, advise, wanted):  # type: ignore[no-untyped-def]  # compiled
    """Announce chunks until so many are, in the order in which they will be read: a disk works in the order of asking.

    What belongs to one read of the disk, a few chunks where they are small, is announced by one thread.
    """
    place, count = job + 8 * 76, load_word(job + 8 * 18)
    run = min(max(262144 // load_word(job + 8 * 34), 1), 16)
    while load_word(place) < wanted:
        i = take_numbers(place, run)
        stop = min(i + run, count)
        while i < stop:
            i = _announce(job, advise, i, stop)


@compiled
def _work(job):  # type: ignore[no-untyped-def]  # compiled
    """Deal with chunks until none is left."""
    other = load_word(job + 8 * 81)
    if other != 0:
        call1(other, job)
        return
    me = take_numbers(job + 8 * 17, 1)
    count, nbytes, itemsize = load_word(job + 8 * 18), load_word(job + 8 * 34), load_word(job + 8 * 33)
    ndim, plain, out = load_word(job + 8 * 30), load_word(job + 8 * 23) == 0, load_word(job + 8 * 32)
    indices, status = load_word(job + 8 * 29), load_word(job + 8 * 31)
    objects, handles = load_word(job + 8 * 28), load_word(job + 8 * 25)
    scratch = load_word(job + 8 * 36) + me * load_word(job + 8 * 37)
    buffer = scratch + (nbytes + 63) // 64 * 64
    context = load_word(load_word(job + 8 * 38) + 8 * me)
    shapes = words_at(job + 8 * 40, 30).reshape(5, 6)
    part = np.ones(6, np.int64)
    judge, argument = load_word(job + 8 * 78), load_word(job + 8 * 79)
    advise, ahead = load_word(job + 8 * 24), chunks_ahead(job)
    while True:
        i = take_numbers(job + 8 * 16, 1)
        if i >= count:
            return
        if advise != 0:
            announce_until(job, advise, min(i + ahead, count))
        at = load_word(objects + 8 * i)
        if at < 0:
            continue
        target = first = 0
        needed, chunk, straight = nbytes, buffer if plain else scratch, False
        stored, room = buffer, load_word(job + 8 * 35)
        if judge == 0:
            target, first, needed = locate(indices + 8 * i * ndim, shapes, (ndim, itemsize), part)
            straight = in_one_piece(shapes, part)
            if straight:
                chunk = out + target
                if plain:
                    stored, room = chunk, nbytes
        got = stored_bytes(job, i, load_word(handles + 8 * at), stored, room, scratch)
        if got >= 0 and not plain:
            got = _decoded(job, context, chunk, nbytes, stored, got, needed)
        if got != nbytes:
            continue
        if judge != 0:
            store_byte(status + i, call3(judge, argument, chunk, indices + 8 * i * ndim) == 1)
        else:
            if not straight:
                copy_box(out + target, chunk + first, part, shapes[2], shapes[1], itemsize)
            store_byte(status + i, 1)


@compiled
def serve(job):  # type: ignore[no-untyped-def]  # compiled
    """Wait for work for ever."""
    wait, post = load_word(job + 8 * 19), load_word(job + 8 * 20)
    while True:
        while _semaphore(wait, job) != 0:  # a signal came in between
            pass
        _work(job)
        _semaphore(post, job + 8 * 8)


@compiled
def run(job, helpers):  # type: ignore[no-untyped-def]  # compiled
    """Work together with helpers; return when every helper that has begun has ended."""
    wait, post = load_word(job + 8 * 19), load_word(job + 8 * 20)
    for _ in range(helpers):
        _semaphore(post, job)
    _work(job)
    begun = helpers
    for _ in range(helpers):
        if _semaphore(load_word(job + 8 * 21), job) == 0:  # its token is still there, so it sleeps
            begun -= 1
    for _ in range(begun):
        while _semaphore(wait, job + 8 * 8) != 0:
            pass
    _close_kept(job)
