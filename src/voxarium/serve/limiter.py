"""Limits of how much each client may ask for: so many requests and bytes a second, and few guesses of tokens."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

__all__ = ["Buckets", "Guesses", "network_of"]

_KEPT: Final = 65_536  # clients that are remembered
_BURST: Final = 10.0  # seconds' worth that may come at once


def network_of(client: str) -> str:
    """Return what is counted as one client: an address, or the network of 64 bits that one has in IPv6.

    Examples
    --------
    >>> network_of("192.0.2.7"), network_of("2001:db8::1:2")
    ('192.0.2.7', '2001:db8::')
    """
    if ":" not in client:
        return client
    try:
        return str(ipaddress.IPv6Network((client.partition("%")[0], 64), strict=False).network_address)
    except ValueError:
        return client


class Buckets:
    """Counts what clients use; each gets so much a second, and may save up some seconds' worth.

    Parameters
    ----------
    rate : float
        A second; 0 = there is no limit.
    now : callable
        The clock, in seconds.
    """

    def __init__(self, rate: float, now: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._most = rate * _BURST
        self._now = now
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when that was

    def wait(self, client: str) -> float:
        """Return for how many seconds a client has to wait; 0 when it may go on."""
        if not self._rate:
            return 0.0
        left = self._left(client)
        return 0.0 if left >= 0 else -left / self._rate

    def charge(self, client: str, amount: float) -> None:
        """Note what a client used; it may be more than was left, and is waited for then."""
        if not self._rate:
            return
        left = self._left(client) - amount
        self._kept[client] = (left, self._now())
        self._kept.move_to_end(client)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def _left(self, client: str) -> float:
        left, at = self._kept.get(client, (self._most, self._now()))
        return min(self._most, left + (self._now() - at) * self._rate)


class Guesses:
    """Counts wrong tokens of each client. The same one again is no guess: a script whose token ended repeats it.

    Parameters
    ----------
    most : int
        Different wrong tokens in a window.
    seconds : float
        The window.
    now : callable
        The clock.
    """

    def __init__(self, most: int = 20, seconds: float = 60.0, now: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, set[str]]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Return for how many seconds no token of a client is looked at; 0 when it is."""
        with self._lock:
            began, wrong = self._kept.get(client, (0.0, set()))
        left = began + self._seconds - self._now()
        return left if len(wrong) >= self._most and left > 0 else 0.0

    def add(self, client: str, digest: str) -> bool:
        """Note a wrong token, by its hash; tell whether it is the client's first one in this window."""
        with self._lock:
            began, wrong = self._kept.pop(client, (self._now(), set()))
            if self._now() >= began + self._seconds:
                began, wrong = self._now(), set()
            first = not wrong
            wrong.add(digest)
            self._kept[client] = (began, wrong)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return first
