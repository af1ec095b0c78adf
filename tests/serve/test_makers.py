"""Threads that make answers: results and errors arrive, few run at a time, and who went away is not waited for."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest

from voxarium.serve.makers import Makers

WHO = contextvars.ContextVar("who", default="")


def test_results_errors_and_contexts_arrive_and_few_work_at_a_time():
    makers, running, most = Makers(2), [0], [0]
    lock = threading.Lock()

    def make(number):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.002)
        with lock:
            running[0] -= 1
        if number % 7 == 3:
            raise KeyError(number)
        return number, WHO.get()

    async def visitor(number):
        WHO.set(f"visitor {number}")
        try:
            return await makers.run(make, number)
        except KeyError as error:
            return error.args[0], "failed"

    async def all_of_them():
        return await asyncio.gather(*(visitor(i) for i in range(60)))

    try:
        found = asyncio.run(all_of_them())
    finally:
        makers.close()
    assert found == [(i, "failed" if i % 7 == 3 else f"visitor {i}") for i in range(60)]
    assert 1 <= most[0] <= 2


def test_who_goes_away_is_forgotten_and_threads_end_when_they_are_closed():
    makers, begun, go = Makers(1), threading.Event(), threading.Event()
    made = []

    async def impatient():
        first = asyncio.ensure_future(makers.run(lambda: begun.set() or go.wait(20)))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        second = asyncio.ensure_future(makers.run(made.append, 1))
        await asyncio.sleep(0.01)
        for task in (first, second):
            task.cancel()
        for task in (first, second):
            with pytest.raises(asyncio.CancelledError):
                await task
        go.set()
        return await makers.run(lambda: "next")

    assert asyncio.run(impatient()) == "next" and made == []
    makers.close()
    end = time.monotonic() + 20
    while any(t.name.startswith("serve-maker") for t in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(t.name.startswith("serve-maker") for t in threading.enumerate())
