"""``/niivue``: NiiVue, for NIfTI, surfaces and tractograms, and for any other image as NIfTI.

The client comes with the package ``ipyniivue``, or is a file that ``VOXARIUM_NIIVUE`` names: ``index.min.js`` of the
npm package ``@niivue/niivue``. NIfTI files, surfaces and tractograms are sent as they are, other images as NIfTI, at
the finest level that a browser holds at once.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import numpy as np

from voxarium.core.image import Image
from voxarium.core.opening import open_image
from voxarium.errors import Code, InputError, NotFoundError, UnsupportedError
from voxarium.model.axes import SPACE_UNITS
from voxarium.model.box import Box
from voxarium.serve.access import may_see
from voxarium.serve.addresses import key_of, quoted
from voxarium.serve.answers import Answer, failure
from voxarium.serve.arguments import RefusedError
from voxarium.serve.cutout_files import Cutout, encode
from voxarium.serve.guards import Asked, Guard, address_below, images_asked
from voxarium.serve.layers import images_at
from voxarium.serve.niivue_page import NIIVUE_SCRIPT, niivue_page
from voxarium.serve.site import Mount, Site
from voxarium.serve.translated import VIEWS, shown
from voxarium.view.contrast import windows_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Scope

__all__ = ["SURFACES", "client_script", "is_surface", "mount"]

SURFACES: Final = (
    ".gii", ".mz3", ".obj", ".off", ".ply", ".stl", ".vtk", ".fsm", ".srf", ".tri", ".trk", ".tck", ".trx", ".tt",
    ".pial", ".white", ".orig", ".inflated", ".smoothwm", ".sphere",
)  # fmt: skip
"""Ends of names of surfaces and tractograms; what is in them, the viewer finds out."""

_NEEDED: Final = "NiiVue is not installed here: pip install 'voxarium[niivue]'"
# The package exports a widget only; the class behind it is exported too by one more name at the end.
_CLASS: Final = re.compile(r'"Creating new Niivue instance"\);.{0,200}?=new ([A-Za-z_$][\w$]*)\(')
_EXPORT: Final = re.compile(r"export\{([A-Za-z_$][\w$]*) as default\};?\s*$")
_MOST_SHOWN: Final = 12
_MOST_FILE: Final = 1 << 30  # bytes of a file that is sent as it is
_MOST_LEVEL: Final = 64 << 20  # bytes of voxels of a volume
_MOST_ALL: Final = 128 << 20  # with all times and channels
_UNITS: Final = {"mm": 1.0, "um": 1e3, "nm": 1e6}  # what one step of the viewer's coordinates is, per millimetre
_LABELS: Final = 16_777_213  # a prime below what float32 tells apart


@cache
def client_script() -> bytes:
    """Return the client as a module that exports ``Niivue``.

    Raises
    ------
    UnsupportedError
        If it is not installed, or of a release that is not known here.
    """
    told = os.environ.get("VOXARIUM_NIIVUE")
    if told:
        path = Path(told)
        if path.is_file():
            return path.read_bytes()
    found = find_spec("ipyniivue")
    path = Path() if found is None or found.origin is None else Path(found.origin).parent / "static" / "widget.js"
    if told or not path.is_file():
        raise UnsupportedError(
            "the viewer of volumes and surfaces needs NiiVue, which is not installed",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[niivue]'",
        )
    text = path.read_text("utf-8")
    name, end = _CLASS.search(text), _EXPORT.search(text)
    if name is None or end is None:
        raise UnsupportedError(
            "the installed release of ipyniivue is not known here",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[niivue]', which brings one that is",
        )
    return f"{text[: end.start()]}export{{{end[1]} as default,{name[1]} as Niivue}};\n".encode()


def is_surface(address: str) -> bool:
    """Tell by its name whether something is a surface or a tractogram."""
    return address.lower().endswith(SURFACES)


def mount(site: Site) -> Mount:
    """Return the routes."""
    from starlette.routing import Route

    pages = _Pages(site)
    routes = [
        Route("/niivue", pages.page),
        Route("/niivue/{address:path}", pages.page),
        Route("/nii/client.js", pages.client),
        Route("/nii/page.js", pages.script),
        Route("/nii/volume/{address:path}", pages.volume),
    ]
    guards = {"niivue": Guard(partial(images_asked, first="niivue"), _absent), "nii": Guard(_volume_asked, _no_image)}
    return Mount(name="niivue", routes=routes, guards=guards)


def _absent() -> Answer:
    return failure(404, "no image and no surface is at this address")


def _no_image() -> Answer:
    return failure(404, "no image is at this address")


def _volume_asked(scope: Scope) -> Asked | None:
    """Return whose voxels a request is for; the client is nobody's."""
    if not scope["raw_path"].startswith(b"/nii/volume/"):
        return Asked()
    address = address_below(scope, "nii", skipped=1)
    return None if address is None else Asked((address,))


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, request: Request) -> Response:
        """Answer with a page that shows images and surfaces."""
        from starlette.responses import HTMLResponse

        try:
            addresses = self._addresses(request)
            await self._site.run(client_script)
            shown_things = await self._site.run_slow(_shown, self._site, addresses)
        except RefusedError as refused:
            return _plain(refused.status, str(refused))
        except UnsupportedError as error:
            return _plain(501, f"{error.message}: {error.fix}")
        depth = request.scope["raw_path"].count(b"/") - 1
        text, policy = niivue_page(shown_things, "../" * depth or "./")
        return HTMLResponse(text, headers={"cache-control": "no-cache", "content-security-policy": policy})

    def _addresses(self, request: Request) -> list[str]:
        given = [g.encode("utf-8", "replace") for g in request.query_params.getlist("image")]
        if request.path_params.get("address"):
            given.insert(0, request.scope["raw_path"].removeprefix(b"/niivue/").rstrip(b"/"))
        found = [key_of(g, hidden=self._site.settings.hidden) for g in given]
        if not found or len(found) > _MOST_SHOWN:
            raise RefusedError(400, f"image is needed: the address of an image or a surface, up to {_MOST_SHOWN} times")
        known = [f for f in found if f is not None]
        if len(known) < len(found):
            raise RefusedError(404, "nothing is at this address")
        return known

    async def client(self, request: Request) -> Response:
        """Answer with the client."""
        try:
            body = await self._site.run(client_script)
        except UnsupportedError:
            return _plain(501, _NEEDED)
        return _script(body)

    async def script(self, request: Request) -> Response:
        """Answer with the script of the page."""
        return _script(NIIVUE_SCRIPT.encode())

    async def volume(self, request: Request) -> Response:
        """Answer with an image as NIfTI."""
        from starlette.responses import Response

        raw = request.scope["raw_path"].removeprefix(b"/nii/volume/").rstrip(b"/")
        address, unit = key_of(raw, hidden=self._site.settings.hidden), request.query_params.get("unit", "mm")
        if address is None or unit not in _UNITS:
            return _plain(404 if address is None else 400, "not found" if address is None else "unit is mm, um or nm")
        try:
            body = await self._site.run_slow(_volume, self._site, address, unit)
        except RefusedError as refused:
            return _plain(refused.status, str(refused))
        return Response(body, media_type="application/octet-stream", headers={"cache-control": "no-cache"})


# ------------------------------------------------------------------------------------------------- what is shown
def _shown(site: Site, addresses: Sequence[str]) -> dict[str, Any]:  # Any: JSON
    """Return what the page loads: volumes, labels last, and surfaces.

    Raises `RefusedError` if there is nothing.
    """
    meshes = [
        {"url": f"/raw/{quoted(a)}", "name": a.rpartition("/")[2]}
        for a in addresses
        if is_surface(a) and _size(site, a) is not None
    ]
    found = dict(i for a in addresses if not is_surface(a) for i in images_at(site, a))
    if not found and not meshes:
        raise RefusedError(404, "no image and no surface is at this address")
    if len(found) > _MOST_SHOWN:
        raise RefusedError(400, f"more than {_MOST_SHOWN} images are too many for one view; name some of them")
    unit = "mm" if meshes else _unit(found.values())
    ordered = sorted(found.items(), key=lambda item: item[1].role == "label")
    return {
        "title": ", ".join(addresses)[:100],
        "unit": unit,
        "volumes": [_volume_entry(site, a, image, unit, first=i == 0) for i, (a, image) in enumerate(ordered)],
        "meshes": meshes,
    }


def _size(site: Site, address: str) -> int | None:
    """Return the bytes of a file; None where there is none that is sent."""
    if not may_see(address):
        return None
    try:
        root, below = site.catalogue.root_of(address)
    except NotFoundError:
        return None
    source, key = (root.source, below) if below else (root.whole or (None, ""))
    if source is None or "::" in address:
        return None
    opened = source.open(key, wait=True)
    if opened is None:
        return None
    try:
        return opened.facts.size if opened.facts.size <= _MOST_FILE else None
    finally:
        opened.close()


def _unit(images: Any) -> str:  # Any: an iterable of Image
    """Return the unit in which the smallest voxel is nearest to one."""
    sizes = []
    for image in images:
        for axis, size in zip(image.axes, _sizes(image), strict=True):
            if axis.type == "space" or not image.info.axes_stated:  # without a unit they are shown in nanometres
                sizes.append(size * SPACE_UNITS.get(axis.unit or "nanometer", 1e-9) * 1e3)
    smallest = min(sizes, default=1.0)
    return "mm" if smallest >= 0.01 else "um" if smallest >= 1e-5 else "nm"


def _sizes(image: Image) -> tuple[float, ...]:
    try:
        return image.voxel_size()
    except InputError:
        return (1.0,) * image.ndim


def _volume_entry(site: Site, address: str, image: Image, unit: str, *, first: bool) -> dict[str, Any]:  # Any: JSON
    name = image.name.removesuffix(".gz").removesuffix(".nii")
    if image.info.format == "nifti" and unit == "mm" and _size(site, address) is not None:
        compressed = ".gz" if address.lower().endswith(".gz") else ""
        out: dict[str, Any] = {"url": f"/raw/{quoted(address)}", "name": f"{name}.nii{compressed}"}
    else:
        out = {"url": f"/nii/volume/{quoted(address)}?{urlencode({'unit': unit})}", "name": f"{name}.nii"}
    if image.role == "label":
        return out | {"colormap": "random", "opacity": 1.0 if first else 0.5}
    try:
        low, high = windows_of(image, channels=1)[0]
        slope, intercept = image.info.value.slope, image.info.value.intercept
        window = sorted((low * slope + intercept, high * slope + intercept))
    except (InputError, UnsupportedError):
        return out | {"colormap": "gray"}
    return (
        out
        | {"colormap": "gray" if first else "warm", "opacity": 1.0 if first else 0.5}
        | ({"cal_min": window[0], "cal_max": window[1]} if window[0] < window[1] else {})
    )


def _volume(site: Site, address: str, unit: str) -> bytes:
    """Return NIfTI of the finest level that a browser holds.

    Raises `RefusedError` if there is no image, or no level is small enough.
    """
    try:
        image = site.catalogue.image(address)
    except (NotFoundError, InputError) as error:
        raise RefusedError(404, "no image is at this address") from error
    try:
        found = open_image(shown(VIEWS["neuroglancer"], image))
    except (InputError, UnsupportedError) as error:
        raise RefusedError(422, f"this image cannot be shown: {error.message}") from error
    space = [i for i, axis in enumerate(found.axes) if axis.type == "space"]
    most = min(_MOST_LEVEL, site.settings.most_cutout)
    sizes = [array.dtype.itemsize * math.prod(array.shape[i] for i in space) for array in found.arrays]
    level = next((i for i, size in enumerate(sizes) if 0 < size <= most), None)
    if level is None:
        raise RefusedError(413, "no level of this image is small enough for this viewer")
    left = max(1, min(_MOST_ALL, site.settings.most_cutout) // sizes[level])
    stop = list(found.arrays[level].shape)
    for i in range(found.ndim):
        if i not in space:
            stop[i] = min(stop[i], left)
            left = max(1, left // stop[i])
    box = Box.from_bounds((0,) * found.ndim, tuple(stop))
    data = found.read(box, level=level)
    if image.role == "label" and data.dtype.itemsize == 8:
        data = (data % _LABELS).astype(np.int32)
    return encode(Cutout(found, level, box, data, per_millimeter=_UNITS[unit]), "nifti")[0]


def _plain(status: int, text: str) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(f"{text}\n", status, headers={"cache-control": "no-store"})


def _script(body: bytes) -> Response:
    from starlette.responses import Response

    return Response(body, headers={"content-type": "text/javascript", "cache-control": "no-cache"})
