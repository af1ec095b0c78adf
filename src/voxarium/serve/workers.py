"""Several processes behind one socket: each answers by itself, and one that dies is replaced."""

from __future__ import annotations

import multiprocessing
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import TYPE_CHECKING, Final

from voxarium.serve.access_log import AccessLog
from voxarium.serve.running import run
from voxarium.serve.site import Settings, open_site

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Work", "run_workers"]

_PAUSE: Final = 1.0  # seconds before a process is replaced: one that cannot start must not keep the machine busy
_PATIENCE: Final = 15.0  # seconds for processes to end what they are answering


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What each process is told.

    Parameters
    ----------
    uris : tuple of str
        What to serve.
    settings : Settings
        How.
    access_log : str or None
        Where requests are noted; all processes append to the same file.
    """

    uris: tuple[str, ...]
    settings: Settings
    access_log: str | None = None


def _work(work: Work, listening: socket.socket) -> None:
    """Be one of the processes."""
    site = open_site(work.uris, work.settings)
    listening.setblocking(False)
    run(site, listening, access_log=None if work.access_log is None else AccessLog(work.access_log))


def run_workers(work: Work, listening: socket.socket, count: int, ready: Callable[[], None]) -> None:
    """Answer requests with several processes until SIGINT or SIGTERM.

    Parameters
    ----------
    work : Work
        What to serve.
    listening : socket
        All processes take connections from it.
    count : int
        Of processes.
    ready : callable
        Called when they are started.
    """
    stopping: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="voxarium-serve-") as folder:
        work = replace(work, settings=replace(work.settings, shared=folder))
        processes = [_started(context, work, listening) for _ in range(count)]
        try:
            ready()
            while not stopping:
                for dead in wait([p.sentinel for p in processes], timeout=0.2):
                    time.sleep(_PAUSE)
                    if not stopping:
                        at = next(i for i, p in enumerate(processes) if p.sentinel == dead)
                        processes[at] = _started(context, work, listening)
        finally:
            _stop(processes)
            for number, handler in before.items():
                signal.signal(number, handler)


def _started(context: SpawnContext, work: Work, listening: socket.socket) -> SpawnProcess:
    process = context.Process(target=_work, args=(work, listening), name="voxarium-serve")
    process.start()
    return process


def _stop(processes: list[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    end = time.monotonic() + _PATIENCE
    for process in processes:
        process.join(max(0.1, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
