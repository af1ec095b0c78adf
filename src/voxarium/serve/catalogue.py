"""The images of all roots: found in the background, and looked up by their addresses. All views begin here.

The address of an image is the name of its root and what follows: ``em/cells.ome.zarr``, ``scan.lif::/3``. A view puts
its own name in front and what it presents behind: ``/raw/em/cells.ome.zarr/0/zarr.json``.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic, time
from typing import Final

from voxarium.core.hierarchy import walk
from voxarium.core.image import Image
from voxarium.core.opening import open_image
from voxarium.errors import Code, InputError, NotFoundError, VoxariumError
from voxarium.serve.access import current_visitor, leads_to, may_see
from voxarium.serve.addresses import is_shown
from voxarium.serve.releases import ReleaseEntry, ReleaseRoots
from voxarium.serve.roots import Root
from voxarium.view.portal.gathering import Thing, iter_things

__all__ = ["Catalogue", "Entry", "Found", "Scan"]

_LOG: Final = logging.getLogger("voxarium.serve")
_DEPTHS: Final = (8, 4, 2, 1)  # folders to go down; fewer where there is too much
_KEPT: Final = 256  # opened images, and addresses known to be none
_FRESH: Final = 30.0  # seconds until an image is opened anew: data may have been replaced
_KEPT_SCANS: Final = 4
_DEEPEST: Final = 12  # parts of an address that are tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that was found.

    Parameters
    ----------
    address : str
        Name of the root and what follows.
    root : Root
        Where it was found.
    kind : str
        image or array; or why it is none: incomplete, unsupported, broken.
    image : Image or None
        The opened image.
    problem : str
        Why it did not open.
    group : str
        Address of the dataset that it belongs to: the outermost image or collection around it.
    thing : Thing or None
        The same as it lies in the store of the root.
    """

    address: str
    root: Root
    kind: str
    image: Image | None = None
    problem: str = ""
    group: str = ""
    thing: Thing | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found, and when (seconds since 1970; None: not yet); apart from it what only lists others."""

    entries: tuple[Entry, ...] = ()
    at: float | None = None
    releases: tuple[ReleaseEntry, ...] = ()
    datasets: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """An image and what follows its address."""

    image: Image
    address: str
    rest: str


class Catalogue:
    """Images by address. Thread-safe; everything here may wait for disks and networks.

    A request finds only what its visitor may see; to all others nothing is there.

    Parameters
    ----------
    roots : sequence of Root
        What is served.
    hidden : bool
        Serve names that begin with a dot.
    """

    def __init__(self, roots: Sequence[Root], *, hidden: bool = False) -> None:
        self.roots = {root.name: root for root in roots}
        self.releases = ReleaseRoots(self.roots, hidden=hidden)
        self._all = Scan()
        self._scanned_releases: OrderedDict[str, tuple[Root, Scan]] = OrderedDict()
        self._listed: dict[str, Image] = {}
        self._scanning = threading.Lock()
        self._lock = threading.Lock()
        self._opening: dict[str, Future[Image | VoxariumError]] = {}
        self._known: OrderedDict[str, tuple[float, Image | VoxariumError]] = OrderedDict()

    # ------------------------------------------------------------------------------------------------------ all
    def scan(self, fresh: float = 0.0) -> Scan:
        """Look through all roots, unless that was done less than `fresh` seconds ago; return what is found."""
        with self._scanning:
            found = self._all
            if found.at is None or time() - found.at >= fresh:
                everything = [e for root in self.roots.values() for e in _entries(root)]
                entries = tuple(e for e in everything if e.kind != "dataset")
                datasets = tuple(e for e in everything if e.kind == "dataset")
                self._listed = {e.address: e.image for e in entries if e.image is not None}
                self._all = Scan(entries, time(), self._releases(everything), datasets)
        return self.latest

    @property
    def latest(self) -> Scan:
        """What was found last, as far as the request that is being answered may see it."""
        visitor, found = current_visitor(), self._all
        if visitor is None or visitor.may("*"):
            return found
        return Scan(
            tuple(e for e in found.entries if visitor.may(e.address)),
            found.at,
            tuple(e for e in found.releases if visitor.may(e.address)),
            tuple(e for e in found.datasets if visitor.may(e.address)),
        )

    @property
    def unfiltered(self) -> Scan:
        """What was found last, also what a visitor must not be told of: for names that are the same for all."""
        return self._all

    def seen_roots(self) -> dict[str, Root]:
        """Return the roots that the request that is being answered may see something of."""
        return {name: root for name, root in self.roots.items() if leads_to(name)}

    def _releases(self, found: Sequence[Entry]) -> tuple[ReleaseEntry, ...]:
        try:
            return tuple(self.releases.entries(entry.address for entry in found))
        except VoxariumError as error:
            _LOG.error("releases could not be listed: %s", error)
            return ()

    def scan_release(self, address: str) -> Scan:
        """Return the images of one release: looked for once.

        Raises
        ------
        NotFoundError
            If there is no such release, or it was withdrawn.
        """
        found = self.releases.find(address) if may_see(address) else None
        if found is None or found[1]:
            raise _nothing(address)
        root = found[0]
        with self._scanning:
            kept = self._scanned_releases.get(address)
            if kept is None or kept[0] is not root:
                kept = (root, Scan(tuple(e for e in _entries(root) if e.kind != "dataset"), time()))
            self._scanned_releases[address] = kept
            self._scanned_releases.move_to_end(address)
            while len(self._scanned_releases) > _KEPT_SCANS:
                self._scanned_releases.popitem(last=False)
        return kept[1]

    # ------------------------------------------------------------------------------------------------------ one
    def root_of(self, address: str) -> tuple[Root, str]:
        """Return a root and what follows its name.

        Raises
        ------
        NotFoundError
            If no root has this name.
        """
        released = self.releases.find(address)
        if released is not None:
            return released
        cut = min((i for i in (address.find("/"), address.find("::")) if i >= 0), default=len(address))
        root = self.roots.get(address[:cut])
        if root is None:
            raise _nothing(address)
        return root, address[cut:].removeprefix("/")

    def image(self, address: str) -> Image:
        """Return the image at an address.

        Raises
        ------
        NotFoundError
            If there is none.
        FormatError, UnsupportedError, StoreError
            If it cannot be opened.
        """
        if not may_see(address):
            raise _nothing(address)
        with self._lock:
            known = self._known.get(address)
            if known is not None and monotonic() < known[0]:
                return _image_or_raise(known[1])
            under_way = self._opening.get(address)
            if under_way is None:
                mine = self._opening[address] = Future()
        if under_way is not None:  # what many ask for at once is opened once
            return _image_or_raise(under_way.result())
        try:
            found = self._opened(address)
            mine.set_result(found)
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            self._keep(address, mine)
        return _image_or_raise(found)

    def _keep(self, address: str, opened: Future[Image | VoxariumError]) -> None:
        with self._lock:
            del self._opening[address]
            if opened.exception() is None:
                self._known[address] = (monotonic() + _FRESH, opened.result())
                self._known.move_to_end(address)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)

    def _opened(self, address: str) -> Image | VoxariumError:
        try:
            root, below = self.root_of(address)
            path = root.image_path(below)
            if below and not is_shown(below.replace("::", "/").strip("/")):
                raise _nothing(address)
            scan = self._all
            listed = self._listed.get(address)
            if listed is not None and scan.at is not None and time() - scan.at < _FRESH:
                return listed
            return _with_role(open_image(root.store, path), listed)
        except VoxariumError as error:
            return error

    def find(self, address: str) -> Found:
        """Return the image that an address begins with, and the rest of it: the part that a view understands.

        Raises
        ------
        NotFoundError
            If no part of it is an image.
        FormatError, UnsupportedError, StoreError
            If an image there cannot be opened.
        """
        scanned = {e.address for e in self.latest.entries if e.image is not None}
        cuts = [i for i, letter in enumerate(address) if letter == "/" and address[i - 2 : i] != "::"]
        starts = [*(address[:i] for i in cuts[:_DEEPEST]), address]
        for start in sorted(starts, key=lambda s: (s not in scanned, -len(s) if s in scanned else len(s))):
            try:
                return self.within(Found(self.image(start), start, address[len(start) :].removeprefix("/")))
            except (NotFoundError, InputError):
                continue
        raise _nothing(address)

    def within(self, found: Found) -> Found:
        """Return the labels of an image that the rest of an address begins with; the image itself if there are none."""
        for label in found.image.info.labels:
            if found.rest == label or found.rest.startswith(f"{label}/"):
                address = f"{found.address}/{label}"
                with suppress(NotFoundError, InputError):
                    return Found(self.image(address), address, found.rest[len(label) :].removeprefix("/"))
        return found


def _with_role(image: Image, listed: Image | None) -> Image:
    """Return an image as a label where the list that it was found in says so, and it does not itself."""
    if listed is None or listed.role != "label" or image.role != "intensity":
        return image
    return Image(image.store, image.path, replace(image.info, role="label"), image.arrays)


def _image_or_raise(found: Image | VoxariumError) -> Image:
    if isinstance(found, VoxariumError):
        raise found.with_traceback(None)  # it is raised again and again
    return found


def _nothing(address: str) -> NotFoundError:
    return NotFoundError(f"no image at {address}", code=Code.PATH_MISSING, fix="see the list of images at /")


def _entries(root: Root) -> Iterator[Entry]:
    for depth in _DEPTHS:
        try:
            found = walk(root.store, root.path, depth=depth)
        except InputError:
            continue  # too many things to show
        except NotFoundError:
            return
        except VoxariumError as error:
            yield Entry(address=root.name, root=root, kind="broken", problem=error.message)
            return
        for thing in iter_things(found, root.path):
            yield Entry(
                address=_address(root, thing.path),
                root=root,
                kind=thing.kind,
                image=thing.image,
                problem=thing.problem,
                group=_address(root, thing.group),
                thing=thing,
            )
        return
    problem = "too much is in here to look through; name folders further down"
    yield Entry(address=root.name, root=root, kind="broken", problem=problem)


def _address(root: Root, path: str) -> str:
    below = root.below(path)
    return root.name + (below if below.startswith("::") or not below else f"/{below}")
