"""Counts of requests, bytes and seconds, as Prometheus reads them."""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from voxarium import __version__

__all__ = ["Metrics"]

_BOUNDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)  # seconds
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Metrics:
    """Counters of one process, or of several that share a folder. For one event loop.

    Parameters
    ----------
    shared : str or None
        Folder where the processes of a server leave their counts. Those of a process that ended stay there: what
        counts up must never go down.
    """

    def __init__(self, shared: str | None = None) -> None:
        self.in_flight = 0
        self.refused = 0  # connections and requests turned away for being too many, too large or too slow
        self._shared = shared
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._sent: defaultdict[str, int] = defaultdict(int)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(_BOUNDS) + 1))

    def share(self) -> None:
        """Tell the other processes, if there are any."""
        if self._shared is None:
            return
        counts = {
            "refused": self.refused,
            "requests": [[*key, count] for key, count in self._requests.items()],
            "routes": {r: [self._sent[r], self._seconds[r], self._buckets[r]] for r in self._buckets},
        }
        path = os.path.join(self._shared, str(os.getpid()))
        with suppress(OSError):  # a full disk is no reason to stop serving
            with open(f"{path}.new", "w", encoding="utf-8") as file:
                json.dump(counts, file)
            os.replace(f"{path}.new", f"{path}.json")

    def _with_others(self) -> Metrics:
        """Return the sum over all processes."""
        if self._shared is None:
            return self
        self.share()
        total = Metrics()
        total.in_flight = self.in_flight
        for name in os.listdir(self._shared):
            if name.endswith(".json"):
                with open(os.path.join(self._shared, name), encoding="utf-8") as file:
                    total.add_counts(json.load(file))
        return total

    def add_counts(self, counts: dict[str, Any]) -> None:
        """Add what another process counted."""
        self.refused += counts["refused"]
        for route, method, status, count in counts["requests"]:
            self._requests[route, method, status] += count
        for route, (sent, seconds, buckets) in counts["routes"].items():
            self._sent[route] += sent
            self._seconds[route] += seconds
            self._buckets[route] = [a + b for a, b in zip(self._buckets[route], buckets, strict=True)]

    def add(self, route: str, method: str, status: int, sent: int, seconds: float) -> None:
        """Count a request. `route` is one of those of the server, never what a client made up."""
        self._requests[route, method if method in _METHODS else "other", status] += 1
        self._sent[route] += sent
        self._seconds[route] += seconds
        self._buckets[route][bisect_left(_BOUNDS, seconds)] += 1

    def text(self) -> str:
        """Return all of it in the text format of Prometheus; of several processes, together."""
        return "\n".join(self._with_others()._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _head("voxarium_info", "gauge", "Version of the server.")
        yield f'voxarium_info{{version="{__version__}"}} 1'
        yield from _head("voxarium_requests_in_flight", "gauge", "Requests being answered.")
        yield f"voxarium_requests_in_flight {self.in_flight}"
        yield from _head("voxarium_refused_total", "counter", "Turned away: too many, too large, too slow.")
        yield f"voxarium_refused_total {self.refused}"
        yield from _head("voxarium_requests_total", "counter", "Requests answered.")
        for (route, method, status), count in sorted(self._requests.items()):
            yield f'voxarium_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}'
        yield from _head("voxarium_sent_bytes_total", "counter", "Bytes of bodies sent.")
        for route, sent in sorted(self._sent.items()):
            yield f'voxarium_sent_bytes_total{{route="{route}"}} {sent}'
        yield from _head("voxarium_request_seconds", "histogram", "From the first line of a request to the last byte.")
        for route, counts in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*_BOUNDS, "+Inf"), counts, strict=True):
                total += count
                yield f'voxarium_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}'
            yield f'voxarium_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'voxarium_request_seconds_count{{route="{route}"}} {total}'
        yield from _process()


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _process() -> Iterator[str]:
    """Yield what the system knows of this process, where it tells."""
    with suppress(OSError, ValueError, IndexError):
        files = len(os.listdir("/proc/self/fd"))
        yield from _head("process_open_fds", "gauge", "Open files and connections.")
        yield f"process_open_fds {files}"
        with open("/proc/self/statm", encoding="ascii") as file:
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        yield from _head("process_resident_memory_bytes", "gauge", "Memory in use.")
        yield f"process_resident_memory_bytes {resident}"
