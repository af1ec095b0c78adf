"""What a request shows: each file of routes says it, and one check, in front of all routes, asks whether it may.

A guard is found by the first part of a path. Where a file of routes names none, or a guard cannot tell, only visitors
who may see everything are answered: what somebody forgets is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from voxarium.serve.access import Visitor
from voxarium.serve.addresses import key_of
from voxarium.serve.answers import Answer, failure

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["OPEN", "Asked", "Guard", "address_below", "address_guard", "images_asked", "permits", "seen_inside"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request shows or does.

    Parameters
    ----------
    addresses : tuple of str
        Of datasets, images or files; none where nothing of any is shown, or where only what the visitor may see is.
    scope : str
        What is needed for each of them.
    folders : bool
        Whether it is enough that something below may be seen: the answer is then a list of that.
    """

    addresses: tuple[str, ...] = ()
    scope: str = "read"
    folders: bool = False


_EVERYTHING: Final = Asked(("*",))


def seen_inside(_: Scope) -> Asked | None:
    """Say that a route shows only what it finds through the catalogue, which shows each visitor what they may see."""
    return Asked()


def _not_found() -> Answer:
    return failure(404, "not found")


@dataclass(frozen=True, slots=True)
class Guard:
    """What requests show, and how they are answered when they may not.

    Parameters
    ----------
    asks : callable
        Takes the scope of a request; returns None when it cannot tell.
    absent : callable
        Returns what the route answers where nothing is: nobody is to see the difference.
    methods : tuple of str
        With which requests come; others are refused before anything is looked at. Empty: the route decides.
    """

    asks: Callable[[Scope], Asked | None]
    absent: Callable[[], Answer] = _not_found
    methods: tuple[str, ...] = ("GET", "HEAD")


OPEN: Final = Guard(seen_inside, methods=())
_CLOSED: Final = Guard(lambda _: None, methods=())
_REFUSED: Final = [(b"allow", b"GET, HEAD, OPTIONS"), (b"connection", b"close")]


def permits(visitor: Visitor, guard: Guard | None, scope: Scope) -> tuple[Asked, Answer | None]:
    """Return what is asked for, and what a visitor is answered who may not see it; None when they may.

    All requests under access control come through here.
    """
    guard = guard or _CLOSED
    if guard.methods and scope["method"] not in guard.methods:
        return Asked(), failure(405, "only GET and HEAD are possible here", _REFUSED)
    asked = guard.asks(scope) or _EVERYTHING
    for address in asked.addresses:
        allowed = visitor.leads_to(address) if asked.folders else visitor.may(address, asked.scope)
        if not allowed:
            return asked, guard.absent()
    return asked, None


# -------------------------------------------------------------------------------------------------------- addresses
def address_below(scope: Scope, first: str, *, skipped: int = 0) -> str | None:
    """Return the address in a path ``/first/…/ADDRESS``; None when there is none.

    Parameters
    ----------
    scope : mapping
        Of ASGI.
    first : str
        First part of the path, written so and not encoded, as the routes take it.
    skipped : int
        Parts between it and the address.
    """
    raw: bytes = scope["raw_path"]
    start = b"/" + first.encode() + b"/"
    if not raw.startswith(start):
        return None
    rest = raw[len(start) :]
    for _ in range(skipped):
        rest = rest.partition(b"/")[2]
    return key_of(rest.rstrip(b"/"), hidden=True) if rest else None


def address_guard(first: str) -> Callable[[Scope], Asked | None]:
    """Return what tells the address in paths ``/first/ADDRESS…``."""

    def asks(scope: Scope) -> Asked | None:
        address = address_below(scope, first)
        return None if address is None else Asked((address,))

    return asks


def images_asked(scope: Scope, first: str) -> Asked | None:
    """Return the addresses in ``/first/ADDRESS?image=ADDRESS…``, as the viewer takes them."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    given = [key_of(value.encode("utf-8", "replace"), hidden=True) for name, value in pairs if name == "image"]
    if scope["raw_path"].strip(b"/") != first.encode():
        given.append(address_below(scope, first))
    known = tuple(address for address in given if address is not None)
    return Asked(known, folders=True) if len(known) == len(given) else None
