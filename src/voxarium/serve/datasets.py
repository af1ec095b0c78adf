"""Datasets of a server: what was found, put together by what it belongs to, and what is known of each."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, TypeVar

from voxarium.errors import VoxariumError
from voxarium.serve.access import current_visitor
from voxarium.serve.addresses import quoted
from voxarium.serve.catalogue import Scan
from voxarium.serve.roots import Root
from voxarium.serve.site import Site
from voxarium.view.portal.catalogue import Summary, summary_of
from voxarium.view.portal.facts import DatasetFacts
from voxarium.view.portal.gathering import Thing, dataset_facts

__all__ = ["Datasets", "Group"]

_FRESH: Final = 30.0  # seconds for which what is known of a dataset is shown again
_REPORTED: Final = 300.0  # seconds for which a report is
_KEPT: Final = 64
_COVER: Final = 512  # pixels
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A dataset: its address, its root, its path in the store, and what was found in it."""

    address: str
    root: Root
    path: str
    things: Sequence[Thing]


class Datasets:
    """The datasets of a site. Thread-safe. They are the same for all visitors: `unseen` tells what not to show.

    Parameters
    ----------
    site : Site
        With the catalogue of images.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._checking = threading.Lock()
        self._groups: dict[str, Group] = {}
        self._grouped: Scan | None = None
        self._facts: OrderedDict[str, tuple[float, DatasetFacts]] = OrderedDict()
        self._reports: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._summaries: tuple[Scan | None, list[Summary]] = (None, [])
        self._summing: asyncio.Future[None] | None = None

    # ------------------------------------------------------------------------------------------------------- groups
    def groups(self) -> dict[str, Group]:
        """Return the datasets that were found last, by address."""
        scan = self._site.catalogue.unfiltered
        with self._lock:
            if self._grouped is not scan:
                self._groups = _grouped(scan)
                self._grouped = scan
            return self._groups

    def known(self, address: str) -> Group | None:
        """Return a dataset that was found."""
        return self.groups().get(address)

    async def group(self, address: str, patience: float) -> Group | None:
        """Return a dataset; where nothing was found yet, after waiting some seconds for it."""
        await self._site.look(None if self._site.catalogue.latest.at is None else patience)
        return self.known(address)

    async def around(self, address: str) -> str | None:
        """Return the address of the dataset that something belongs to."""
        await self._site.look()
        scan = self._site.catalogue.unfiltered
        return next((e.group for e in scan.entries if e.address == address and e.group in self.groups()), None)

    def unseen(self) -> set[str]:
        """Return the addresses of datasets that the request that is being answered may not see, or not all of."""
        visitor, scan = current_visitor(), self._site.catalogue.unfiltered
        if visitor is None or visitor.may("*"):
            return set()
        return {
            e.group for e in (*scan.datasets, *scan.entries) if not (visitor.may(e.address) and visitor.may(e.group))
        }

    # -------------------------------------------------------------------------------------------------------- facts
    async def summaries(self, patience: float | None = None) -> list[Summary]:
        """Return a line of each dataset; the last ones where new ones take longer than `patience` seconds."""
        await self._site.look(patience)
        scan = self._site.catalogue.unfiltered
        if self._summaries[0] is not scan:
            if self._summing is None or self._summing.done():
                self._summing = asyncio.ensure_future(self._site.run_slow(self._summarise, scan))
            await asyncio.wait([self._summing], timeout=patience)
            if self._summing.done():
                self._summing.result()
        return self._summaries[1]

    def _summarise(self, scan: Scan) -> None:
        made = []
        for group in _grouped(scan).values():
            facts = dataset_facts(group.root.store, group.path, group.things, address=group.address, steps=0)
            place = quoted(group.address)
            cover = f"cover/{place}?size={_COVER}" if facts.main is not None else ""
            made.append(summary_of(facts, f"datasets/{place}", cover))
        self._summaries = (scan, sorted(made, key=lambda s: (s.title.lower(), s.name)))

    def facts(self, group: Group) -> DatasetFacts:
        """Return everything that is known of a dataset, at most half a minute old."""
        with self._lock:
            known = self._facts.get(group.address)
        if known is not None and monotonic() < known[0]:
            return known[1]
        facts = dataset_facts(group.root.store, group.path, group.things, address=group.address)
        _keep(self._lock, self._facts, group.address, (monotonic() + _FRESH, facts))
        return facts

    def report(self, group: Group) -> str | None:
        """Return a report about a dataset as a page; empty if none can be made, None while another one is made."""
        with self._lock:
            known = self._reports.get(group.address)
        if known is not None and monotonic() < known[0]:
            return known[1]
        if not self._checking.acquire(blocking=False):
            return None
        try:
            # Checking is much code, and `voxarium view` shows its first voxels without it.
            from voxarium.view.portal.checking import check_dataset

            checked = check_dataset(group.root.store, self.facts(group))
        except VoxariumError:
            checked = None
        finally:
            self._checking.release()
        page = "" if checked is None else checked.page
        _keep(self._lock, self._reports, group.address, (monotonic() + _REPORTED, page))
        return page


def _keep(lock: threading.Lock, kept: OrderedDict[str, _V], name: str, value: _V) -> None:
    with lock:
        kept.pop(name, None)
        kept[name] = value
        while len(kept) > _KEPT:
            kept.popitem(last=False)


def _grouped(scan: Scan) -> dict[str, Group]:
    """Return what was found by dataset; what holds nothing that opens is none, unless it says that it is one."""
    things: dict[str, list[Thing]] = {}
    roots: dict[str, Root] = {}
    for entry in (*scan.datasets, *scan.entries):
        if entry.thing is not None:
            things.setdefault(entry.group, []).append(entry.thing)
            roots[entry.group] = entry.root
    return {
        address: Group(address=address, root=roots[address], path=found[0].group, things=tuple(found))
        for address, found in things.items()
        if any(thing.image is not None or thing.kind == "dataset" for thing in found)
    }
