"""``/as/<view>/``: every image as OME-Zarr, precomputed or N5, whatever it is stored as. Nothing is written.

The address of an image follows the name of the view: ``/as/precomputed/scan.lif::/3/info``. Chunks are made when they
are asked for; levels that an image lacks are computed, and kept for a while (see `voxarium.conversion.presenting`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from voxarium.conversion import PresentedStore, present
from voxarium.core.image import Image
from voxarium.errors import Code, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.axes import Axis
from voxarium.serve.addresses import key_of
from voxarium.serve.answers import Answer, failure
from voxarium.serve.catalogue import Found
from voxarium.serve.guards import Asked, Guard, address_below
from voxarium.serve.overviews import with_overviews
from voxarium.serve.raw import RawRequest, absent, answer_raw
from voxarium.serve.sending import send_answer
from voxarium.serve.site import Mount, Site
from voxarium.serve.slabs import cube_of, in_slabs
from voxarium.serve.sources import StoreSource
from voxarium.view.neuroglancer_state import SHOWN_TYPES

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["VIEWS", "Presentations", "View", "mount", "prepared", "shown", "shown_axes"]

_PREFIX: Final = "/as/"
_KEPT: Final = 64  # presented images
_MOST_NEAR: Final = 4096  # folders
_CACHE: Final = 32 << 20  # bytes for each: finished objects, and as many of voxels of computed levels
_HEADERS: Final = frozenset({
    b"range", b"if-range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since",
    b"accept-encoding",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One way of showing an image.

    Parameters
    ----------
    name : str
        Part of the address.
    title : str
        For people.
    format : str
        Convention that is shown.
    choices : mapping
        As for `voxarium.present`.
    located : bool
        Whether images without known voxel sizes are shown with voxels of one nanometer, as the format states sizes.
    narrowed : bool
        Whether types of voxels that viewers do not know become such that they do: float64 becomes float32.
    quick : bool
        Whether levels that are missing are made of a few slices where that is cheaper, see `voxarium.serve.overviews`.
    """

    name: str
    title: str
    format: str
    choices: dict[str, Any] = field(default_factory=dict)  # Any: choices of a conversion
    located: bool = False
    narrowed: bool = False
    quick: bool = False


VIEWS: Final[dict[str, View]] = {
    view.name: view
    for view in (
        View(name="ome-zarr-0.4", title="OME-Zarr 0.4 (Zarr 2)", format="ome-zarr", choices={"spec_version": "0.4"}),
        View(name="ome-zarr-0.5", title="OME-Zarr 0.5 (Zarr 3)", format="ome-zarr", choices={"spec_version": "0.5"}),
        View(name="ome-zarr-0.6", title="OME-Zarr 0.6 (Zarr 3)", format="ome-zarr", choices={"spec_version": "0.6"}),
        View(name="precomputed", title="Neuroglancer precomputed", format="precomputed", located=True),
        View(name="n5", title="N5 (as n5-viewer writes it)", format="n5-viewer"),
        View(
            name="neuroglancer",
            title="OME-Zarr 0.5 with the types that Neuroglancer knows",
            format="ome-zarr",
            choices={"spec_version": "0.5"},
            located=True,
            narrowed=True,
            quick=True,
        ),
        View(
            name="neuroglancer-channels",
            title="precomputed, whose channels a shader of Neuroglancer sees together",
            format="precomputed",
            located=True,
            quick=True,
        ),
    )
}


def mount(site: Site) -> Mount:
    """Return the routes of translated images."""
    return Mount(name="translated", bare={"as": TranslatedApp(Presentations(site))}, guards={"as": Guard(_asked)})


def _asked(scope: Scope) -> Asked | None:
    address = address_below(scope, "as", skipped=1)
    return None if address is None else Asked((address,))


class Presentations:
    """Images as views of them; an image that was opened anew is presented anew. Thread-safe.

    Parameters
    ----------
    site : Site
        With the catalogue.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[Image, StoreSource | VoxariumError]] = OrderedDict()
        self._places: frozenset[str] = frozenset()

    def split(self, address: str) -> tuple[str, str]:
        """Return the address of an image that an address begins with, and the key that follows.

        Raises
        ------
        NotFoundError
            If no part of it is an image.
        """
        catalogue = self.site.catalogue
        known = self._places
        for end in _ends(address):
            if address[:end] in known:
                found = catalogue.within(Found(catalogue.image(address[:end]), address[:end], address[end + 1 :]))
                return found.address, found.rest
        if "::" in address and catalogue.latest.at is None:
            catalogue.scan(float("inf"))  # only what was found tells where names inside a file end
        found = catalogue.find(address)
        return found.address, found.rest

    def near(self, address: str) -> bool:
        """Tell whether the voxels of an image are on a disk of this machine."""
        return self.site.catalogue.image(address).store.concurrency == 1

    def source(self, view: View, address: str) -> StoreSource:
        """Return what gives the objects of a view of the image at an address.

        Raises
        ------
        NotFoundError
            If there is no image.
        InputError, UnsupportedError
            If it cannot be shown so.
        """
        image = self.site.catalogue.image(address)
        with self._lock:
            kept = self._kept.get((view.name, address))
        if kept is None or kept[0] is not image:
            kept = (image, _presented(view, image))
            with self._lock:
                self._kept[(view.name, address)] = kept
                self._kept.move_to_end((view.name, address))
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
                self._places = frozenset(place for _, place in self._kept)
        if isinstance(kept[1], VoxariumError):
            raise kept[1].with_traceback(None)
        return kept[1]


def _ends(address: str) -> list[int]:
    """Return where the address of an image may end: before a slash, the last first."""
    return [i for i in range(len(address) - 1, 0, -1) if address[i] == "/"] + [len(address)]


def _presented(view: View, image: Image) -> StoreSource | VoxariumError:
    try:
        return StoreSource(shown(view, image))
    except VoxariumError as error:
        return error


def shown(view: View, image: Image) -> PresentedStore:
    """Return an image as a view of it.

    Axes that nobody named are taken for the last of t, c, z, y, x: a viewer has to show something.

    Raises
    ------
    InputError, UnsupportedError
        If it cannot be shown so.
    """
    axes = shown_axes(image)
    image = prepared(image, axes, quick=view.quick)
    cube = cube_of(image, [i for i, axis in enumerate(axes) if axis.type == "space"])
    choices: dict[str, Any] = {"chunk": cube, **view.choices}
    if not image.info.axes_stated:
        choices["axes"] = tuple(axis.name for axis in axes)
    if view.narrowed:
        choices |= _narrowed(image)
    if view.located and any(axis.type == "space" and axis.unit is None for axis in axes):
        choices["unit"] = "nanometer"
        if not image.info.axes_stated:
            choices["voxel_size"] = (1.0,)
    return present(image, view.format, cache=_CACHE, **choices)


def prepared(image: Image, axes: Sequence[Axis], *, quick: bool) -> Image:
    """Return an image that keeps what it decodes and, if `quick`, has smaller levels where those are cheap."""
    return in_slabs(with_overviews(image, axes) if quick else image)


def shown_axes(image: Image) -> tuple[Axis, ...]:
    """Return the axes under which an image is shown.

    Raises
    ------
    InputError
        If there are too many that nobody named.
    """
    if image.info.axes_stated:
        return image.axes
    if image.ndim > len(_USUAL):
        raise InputError(
            f"nobody says what the {image.ndim} axes are", code=Code.AXES_UNKNOWN, fix="convert it with --axes"
        )
    names = _USUAL[len(_USUAL) - image.ndim :]
    return tuple(Axis(name=n, type="space" if n in "zyx" else "time" if n == "t" else "channel") for n in names)


def _narrowed(image: Image) -> dict[str, str]:
    """Return the type in which a viewer can show voxels, where it does not know theirs."""
    if image.dtype.name in SHOWN_TYPES:
        return {}
    if image.dtype.kind == "b":
        return {"dtype": "uint8"}
    if image.role == "label" and image.dtype.kind == "i":
        return {"dtype": "uint64"}
    return {"dtype": "float32"}


_USUAL: Final = "tczyx"


class TranslatedApp:
    """Answers requests below ``/as/``, without any framework between.

    Parameters
    ----------
    presentations : Presentations
        What is shown.
    """

    def __init__(self, presentations: Presentations) -> None:
        self._shown = presentations
        age = presentations.site.settings.max_age
        self._cache = b"public, max-age=%d" % age if age else b"no-cache"
        self._near: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        site, method = self._shown.site, scope["method"]
        if method not in ("GET", "HEAD"):
            allow = [(b"allow", b"GET, HEAD, OPTIONS"), (b"connection", b"close")]
            answer = failure(405, "only GET and HEAD are possible here", allow)
        else:
            # Images far away are waited for, others take a processor; which is which is known from the time before.
            folder = scope["raw_path"].rpartition(b"/")[0]
            run = site.run_maker if folder in self._near else site.run
            answer = await run(self._answer, scope, method, folder)
        if method == "HEAD":
            answer.first, answer.rest = b"", None
        await send_answer(site, answer, receive, send)

    def _answer(self, scope: Scope, method: str, folder: bytes) -> Answer:
        name, _, rest = scope["raw_path"].removeprefix(_PREFIX.encode()).partition(b"/")
        view = VIEWS.get(name.decode("latin-1"))
        address = key_of(rest.rstrip(b"/"), hidden=self._shown.site.settings.hidden) if rest else None
        if view is None or address is None:
            return absent()
        place, key = self._shown.split(address)
        try:
            source = self._shown.source(view, place)
        except NotFoundError:
            return absent()
        except (InputError, UnsupportedError) as error:
            return failure(422, f"this image cannot be shown as {view.title}: {error.message}")
        if not key:
            return absent()
        if folder not in self._near and self._shown.near(place):
            if len(self._near) > _MOST_NEAR:
                self._near = set()
            self._near.add(folder)
        headers = {n: v for n, v in scope["headers"] if n in _HEADERS}
        return answer_raw(RawRequest(method, key, source, headers, self._cache), wait=True)
