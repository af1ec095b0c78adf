"""Who may see what: rules about datasets, what a visitor was granted, and the one question that all routes ask.

A dataset is named by an address: that of a root, of an image, or of a folder between. What holds for an address holds
for everything below it. `may_see` is about the request that is being answered; without access control, and outside of
requests, everything may be seen.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from voxarium.errors import Code, InputError

__all__ = [
    "SCOPES",
    "Grants",
    "Rules",
    "Visitor",
    "answering",
    "checked_scope",
    "current_visitor",
    "leads_to",
    "may",
    "may_see",
    "place_of",
]

SCOPES: Final = ("read", "annotate", "edit", "publish", "admin")  # each includes those before it
_RANKS: Final = {scope: rank for rank, scope in enumerate(SCOPES)}
_TWINS: Final = (".gz", ".br", ".zst")  # compressed objects, which stand for those without the ending


def place_of(address: str) -> str:
    """Return the parts of an address, one slash between them; what is inside a file lies below it.

    Examples
    --------
    >>> place_of("lab/scan.lif::/3"), place_of("*")
    ('lab/scan.lif/3', '')
    """
    if address == "*":
        return ""
    if "::" in address:
        address = address.replace("::", "/")
    if "//" in address or address.startswith("/") or address.endswith("/"):
        return "/".join(part for part in address.split("/") if part)
    return address


def checked_scope(scope: str) -> str:
    """Return a scope.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if scope not in _RANKS:
        raise InputError(
            f"there is no scope {scope[:40]!r}", code=Code.ARGUMENT_INVALID, fix=f"scopes are {', '.join(SCOPES)}"
        )
    return scope


def _above(place: str) -> Iterator[str]:
    """Yield a place and all that it lies in, the whole (``""``) last."""
    yield place
    while place:
        place = place.rpartition("/")[0]
        yield place


def _without_releases(place: str) -> str:
    """Return the dataset of what lies in a release: ``brain/em`` of ``brain@v1.0/em``."""
    return "/".join(part.partition("@")[0] or part for part in place.split("/"))


def _folded(place: str) -> str:
    """Return how a file system that takes several spellings for one name may compare a place."""
    return unicodedata.normalize("NFC", place).casefold()


class Rules:
    """Which datasets everybody may see. The rule about the closest address holds.

    Parameters
    ----------
    public : bool
        Whether datasets are public that no rule is about.
    datasets : mapping
        Address → whether it is public.

    Raises
    ------
    InputError
        If a part of a file is to be private: the file as it is would show it.

    Examples
    --------
    >>> rules = Rules(public=False, datasets={"lab/open": True, "lab/open/new": False})
    >>> [rules.public(a) for a in ("lab", "lab/open/em.zarr", "lab/open/new/em.zarr", "lab/opened")]
    [False, True, False, False]

    A release is no more public than its dataset, unless a rule opens it.

    >>> rules = Rules(datasets={"brain": False, "brain@v1.0": True})
    >>> [rules.public(a) for a in ("brain/em", "brain@v1.0/em", "brain@v2.0/em")]
    [False, True, False]
    """

    def __init__(self, *, public: bool = True, datasets: Mapping[str, bool] | None = None) -> None:
        self.default = public
        self._open: set[str] = set()
        self._closed: set[str] = set()
        for address, opened in (datasets or {}).items():
            if not opened and "::" in address:
                raise InputError(
                    f"{address} is part of a file and cannot be private by itself",
                    code=Code.ARGUMENT_INVALID,
                    fix=f"make {address.partition('::')[0]} private",
                )
            place = place_of(address)
            if not place:
                self.default = opened
            elif opened:
                self._open.add(place)
            else:
                # A name that differs in capitals may be the same folder: what is private is so in all spellings.
                self._closed.add(_folded(place))
        self._leading = {above for place in self._open for above in _above(place)}

    @property
    def all_public(self) -> bool:
        """Whether there is nothing private."""
        return self.default and not self._closed

    def public(self, address: str) -> bool:
        """Tell whether everybody may see what is at an address."""
        if not self._open and not self._closed:
            return self.default
        place = place_of(address)
        if not place:
            return self.all_public
        spelled = _folded(place) if self._closed else ""
        if spelled.endswith(_TWINS) and spelled.rpartition(".")[0] in self._closed:
            return place in self._open
        asked = place
        while place:
            if self._closed and spelled in self._closed:
                return False
            if place in self._open:
                break
            place, spelled = place.rpartition("/")[0], spelled.rpartition("/")[0]
        if not place and not self.default:
            return False
        # What a release consists of is as private as its dataset, unless a rule is about the release.
        return "@" not in asked or "@" in place or self.public(_without_releases(asked))

    def leads(self, address: str) -> bool:
        """Tell whether something public lies below an address."""
        return place_of(address) in self._leading


@dataclass(frozen=True, slots=True)
class Grants:
    """What was granted to somebody: the highest scope by place, ``""`` being everything.

    Examples
    --------
    >>> grants = Grants.of([("annotate", "lab/em"), ("read", "*")])
    >>> grants.include("lab/em/0", "annotate"), grants.include("lab/other", "annotate"), grants.include("x", "read")
    (True, False, True)
    """

    ranks: Mapping[str, int] = field(default_factory=dict)
    leading: frozenset[str] = frozenset()

    @classmethod
    def of(cls, granted: Iterable[tuple[str, str]]) -> Grants:
        """Return grants, given as (scope, address).

        Raises
        ------
        InputError
            If there is no such scope.
        """
        ranks: dict[str, int] = {}
        for scope, address in granted:
            place = place_of(address)
            ranks[place] = max(ranks.get(place, -1), _RANKS[checked_scope(scope)])
        return cls(ranks, frozenset(above for place in ranks for above in _above(place)))

    def include(self, address: str, scope: str) -> bool:
        """Tell whether a scope was granted for an address."""
        if not self.ranks:
            return False
        needed = _RANKS[scope]
        return any(self.ranks.get(place, -1) >= needed for place in _above(place_of(address)))

    def holding(self, address: str) -> str | None:
        """Return the closest place that a grant is about; None when there is none."""
        return next((place for place in _above(place_of(address)) if place in self.ranks), None)

    def anywhere(self, scope: str) -> bool:
        """Tell whether a scope was granted for anything."""
        return any(rank >= _RANKS[scope] for rank in self.ranks.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks, and what they may.

    Parameters
    ----------
    rules : Rules
        About everybody.
    grants : Grants
        About this visitor.
    who : str
        For the log: the id of a token, the name of a user; empty for somebody unknown.
    client : str
        Where the request comes from.
    prefix : str
        What stands before all paths of this visitor: ``/t/TOKEN``, a secret.
    """

    rules: Rules
    grants: Grants = field(default_factory=Grants)
    who: str = ""
    client: str = ""
    prefix: str = ""

    def may(self, address: str, scope: str = "read") -> bool:
        """Tell whether a scope holds for an address; ``""`` and ``*`` are everything."""
        if scope == "read" and self.rules.public(address):
            return True
        return self.grants.include(address, scope)

    def leads_to(self, address: str) -> bool:
        """Tell whether an address may be seen, or something below it."""
        return self.may(address) or self.rules.leads(address) or place_of(address) in self.grants.leading


_VISITOR: ContextVar[Visitor | None] = ContextVar("visitor", default=None)


def current_visitor() -> Visitor | None:
    """Return whose request is being answered; None without access control, and outside of requests."""
    return _VISITOR.get()


@contextmanager
def answering(visitor: Visitor | None) -> Iterator[None]:
    """Answer a request of a visitor; threads that `Site.run` uses know it too."""
    token = _VISITOR.set(visitor)
    try:
        yield
    finally:
        _VISITOR.reset(token)


def may_see(address: str) -> bool:
    """Tell whether the request that is being answered may see what is at an address: a dataset, an image, a file.

    Examples
    --------
    >>> may_see("lab/em.zarr")
    True
    """
    return may(address, "read")


def may(address: str, scope: str) -> bool:
    """Tell whether the request that is being answered has a scope for what is at an address."""
    visitor = _VISITOR.get()
    return visitor is None or visitor.may(address, scope)


def leads_to(address: str) -> bool:
    """Tell whether the request that is being answered may see what is at an address, or something below it."""
    visitor = _VISITOR.get()
    return visitor is None or visitor.leads_to(address)
