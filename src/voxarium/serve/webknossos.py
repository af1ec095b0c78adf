"""``/api/`` and ``/data/``: every image as a dataset of WEBKNOSSOS, for the scripts that stream from such servers.

Contract: the routes of https://github.com/scalableminds/webknossos that its Python client asks, versions 13 to 16.
The id of a dataset is its address in hexadecimal digits; an image is a dataset of one layer (and of its labels), a
folder or file with several images is one of several layers. Without access control, any token is accepted.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import Buffer

from voxarium.errors import Code, NotFoundError, VoxariumError
from voxarium.serve.access import current_visitor, leads_to, may_see
from voxarium.serve.addresses import key_of
from voxarium.serve.answers import Answer, WouldWait, failure, json_answer
from voxarium.serve.guards import Guard
from voxarium.serve.pages import base_url
from voxarium.serve.raw import absent
from voxarium.serve.sending import send_answer
from voxarium.serve.site import Mount, Site
from voxarium.serve.volumes import Triple, Volume, Volumes
from voxarium.serve.webknossos_asked import ABSENT, CUBOID, DATA, api_absent, api_asked, data_asked
from voxarium.serve.webknossos_datasets import (
    Dataset,
    Layer,
    address_of,
    dataset_id,
    layer_of,
    layer_title,
    parsed_mag,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

__all__ = ["Datasets", "mount"]

_VERSIONS: Final = range(13, 17)
_NUMBER: Final = re.compile(r"-?[0-9]{1,13}\Z", re.ASCII)
_INDEX: Final = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,10}){3,4}\Z", re.ASCII)
_DOCUMENT: Final = "datasource-properties.json"
_LONGEST: Final = 1 << 16  # voxels of a cuboid along an axis
_PIECE: Final = 8 << 20  # read at once: chunks are decoded anew for each piece that they reach into
_MOST_LAYERS: Final = 64
_FRESH: Final = 30.0
_KEPT: Final = 64


# --------------------------------------------------------------------------------------------------------- datasets
class Datasets:
    """Datasets by address. Thread-safe; everything here may wait for disks and networks.

    Parameters
    ----------
    site : Site
        With the catalogue.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._volumes = Volumes(site.catalogue)
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[float, Dataset]] = OrderedDict()

    def addresses(self) -> list[str]:
        """Return the addresses of all datasets that were found: images, and what holds several of them."""
        images = [e.address for e in self._site.catalogue.scan(_FRESH).entries if e.image is not None]
        held: dict[str, int] = {}
        for address in images:
            holder = _holder(address)
            held[holder] = held.get(holder, 0) + 1
        known = dict.fromkeys(images)
        return [*images, *(h for h, n in held.items() if h and h not in known and 1 < n <= _MOST_LAYERS)]

    def get(self, address: str) -> Dataset:
        """Return a dataset.

        Raises
        ------
        NotFoundError
            If nothing there can be shown as one, to the visitor who asks.
        """
        if not leads_to(address):
            raise _no_dataset(address)
        found = self._found(address)
        layers = {name: layer for name, layer in found.layers.items() if may_see(layer.address)}
        if not layers:
            raise _no_dataset(address)
        return found if len(layers) == len(found.layers) else replace(found, layers=layers)

    def _found(self, address: str) -> Dataset:
        """Return a dataset with the layers that the visitor may see."""
        visitor = current_visitor()
        key = (address, "" if visitor is None else visitor.who)  # its mags follow from the layers that are shown
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and monotonic() < kept[0]:
            return kept[1]
        made = self._made(address)
        with self._lock:
            self._kept[key] = (monotonic() + _FRESH, made)
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made

    def _made(self, address: str) -> Dataset:
        catalogue = self._site.catalogue
        entries = (catalogue.latest if catalogue.latest.at is not None else catalogue.scan()).entries
        members = [e.address for e in entries if e.image is not None and _holder(e.address) == address]
        volumes: dict[str, Volume] = {}
        places: dict[str, str] = {}
        for member in [address, *members[:_MOST_LAYERS]]:
            try:
                name = layer_title(member, volumes)
                volumes[name] = self._volumes.get(member)
                places[name] = member
            except VoxariumError:
                continue  # what is no image, or none that a layer can be, is left out
        if not volumes:
            raise _no_dataset(address)
        finest = min((v.voxel_size for v in volumes.values()), key=lambda size: size[0] * size[1] * size[2])
        layers: dict[str, Layer] = {}
        for name, volume in volumes.items():
            try:
                layers[name] = replace(layer_of(name, volume, finest), address=places[name])
            except VoxariumError:
                continue
        return Dataset(address=address, voxel_size=finest, layers=layers)


def _no_dataset(address: str) -> NotFoundError:
    return NotFoundError(f"no dataset at {address}", code=Code.PATH_MISSING, fix="see the list of images at /")


def _holder(address: str) -> str:
    """Return the address of what holds an image.

    Examples: ``lab`` for ``lab/em``, ``lab/em.h5`` for ``lab/em.h5::/raw``, ``lab/em`` for ``lab/em/labels/cells``.
    """
    if "::" in address:
        return address.partition("::")[0]
    holder, _, name = address.rpartition("/")
    return holder.removesuffix("/labels") if name else ""


# ------------------------------------------------------------------------------------------------------------ routes
def mount(site: Site) -> Mount:
    """Return the routes."""
    from starlette.routing import Route

    datasets = Datasets(site)
    answers = _Api(site, datasets)
    api = "/api/v{version:int}"
    routes = [
        Route("/api/buildinfo", answers.build_info),
        Route(f"{api}/buildinfo", answers.build_info),
        Route(f"{api}/health", answers.health),
        Route(f"{api}/user", answers.user),
        Route(f"{api}/datasets", answers.datasets),
        Route(f"{api}/datasets/disambiguate/{{organization}}/{{name:path}}/toId", answers.identified),
        Route(f"{api}/datasets/{{id}}", answers.dataset),
    ]
    guards = {"api": Guard(api_asked, api_absent), "data": Guard(data_asked)}
    return Mount(name="webknossos", bare={"data": DataApp(site, datasets)}, routes=routes, guards=guards)


class _Api:
    """The answers about datasets, and about the server."""

    def __init__(self, site: Site, datasets: Datasets) -> None:
        self._site = site
        self._datasets = datasets

    async def build_info(self, request: Request) -> Response:
        return _told(request, _BUILD)

    async def health(self, request: Request) -> Response:
        return _told(request, {})

    async def user(self, request: Request) -> Response:
        return _told(request, _VISITOR)

    async def datasets(self, request: Request) -> Response:
        words = request.query_params.get("searchQuery", "")[:4096]
        found = [_compact(a) for a in await self._site.run_slow(self._datasets.addresses) if words in a]
        found.sort(key=lambda d: d["name"] != words)  # clients take the first
        return _told(request, found)

    async def dataset(self, request: Request) -> Response:
        address = address_of(request.path_params["id"])
        try:
            found = None if address is None else await self._site.run(self._datasets.get, address)
        except NotFoundError:
            found = None
        return _told(request, None if found is None else found.document(base_url(request, self._site.settings)))

    async def identified(self, request: Request) -> Response:
        name = request.path_params["name"]
        known = name in await self._site.run_slow(self._datasets.addresses)
        return _told(request, {"id": dataset_id(name)} if known else None)


def _told(request: Request, document: Any) -> Response:  # Any: JSON
    from starlette.responses import JSONResponse

    if document is None or request.path_params.get("version", _VERSIONS[-1]) not in _VERSIONS:
        return JSONResponse(ABSENT, 404, headers=_UNKEPT)
    return JSONResponse(document, headers=_UNKEPT)


_UNKEPT: Final = {"cache-control": "no-cache"}
_BUILD: Final[dict[str, Any]] = {
    "webknossos": {"name": "voxarium", "version": "0"},
    "localDataStoreEnabled": True,
    "localTracingStoreEnabled": False,
    "httpApiVersioning": {"currentApiVersion": _VERSIONS[-1], "oldestSupportedApiVersion": _VERSIONS[0]},
}
_VISITOR: Final[dict[str, Any]] = {
    "id": "", "email": "", "organization": "voxarium", "firstName": "", "lastName": "", "created": 0,
    "lastActivity": 0, "isActive": True, "isAdmin": False, "isDatasetManager": False, "teams": [], "experiences": {},
}  # fmt: skip


def _compact(address: str) -> dict[str, Any]:
    return {
        "id": dataset_id(address), "name": address, "tags": [], "owningOrganization": "voxarium", "folderId": "",
        "isActive": True, "isEditable": False, "isUnreported": False, "displayName": address, "created": 0,
        "lastUsedByUser": 0, "status": "", "colorLayerNames": [], "segmentationLayerNames": [],
    }  # fmt: skip


class DataApp:
    """Answers requests below ``/data/``, without any framework between.

    Parameters
    ----------
    site : Site
        What the routes share.
    datasets : Datasets
        What is shown.
    """

    def __init__(self, site: Site, datasets: Datasets) -> None:
        self._site = site
        self._datasets = datasets
        self._most = site.settings.most_cutout
        age = site.settings.max_age
        self._cache = b"public, max-age=%d" % age if age else b"no-cache"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["method"] not in ("GET", "HEAD"):
            allow = [(b"allow", b"GET, HEAD, OPTIONS"), (b"connection", b"close")]
            answer = failure(405, "only GET and HEAD are possible here", allow)
        else:
            answer = await self._site.run(self._answer, scope)
        if scope["method"] == "HEAD":
            answer.first, answer.rest = b"", None
        await send_answer(self._site, answer, receive, send)

    def _answer(self, scope: Scope) -> Answer:
        path = key_of(scope["raw_path"].removeprefix(b"/data/"))
        if path is None:
            return absent()
        match = DATA.match(path)
        if match is not None:
            dataset = self._dataset(match)
            return absent() if dataset is None else self._object(dataset, match["key"])
        match = CUBOID.match(path)
        dataset = None if match is None else self._dataset(match)
        layer = None if match is None or dataset is None else dataset.layers.get(match["layer"])
        return absent() if layer is None else _cuboid_answer(layer, _query(scope["query_string"]), 8 * self._most)

    def _dataset(self, match: re.Match[str]) -> Dataset | None:
        address = address_of(match["id"])
        try:
            return None if address is None else self._datasets.get(address)
        except NotFoundError:
            return None

    def _object(self, dataset: Dataset, key: str) -> Answer:
        if key == _DOCUMENT:
            return json_answer(dataset.source())
        parts = key.split("/")
        layer = dataset.layers.get(parts[0])
        mag = parsed_mag(parts[1]) if len(parts) == 3 else None
        if layer is None or mag is None or mag not in layer.mags:
            return absent()
        if parts[2] == ".zarray":
            return self._bytes(layer.array_document(mag), b"application/json")
        found = layer.bucket(mag, _index(parts[2])) if _INDEX.match(parts[2]) else None
        return absent() if found is None else self._bytes(found, b"application/octet-stream")

    def _bytes(self, body: bytes, kind: bytes) -> Answer:
        size = b"%d" % len(body)
        return Answer(200, [(b"content-type", kind), (b"content-length", size), (b"cache-control", self._cache)], body)


def _index(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


# ----------------------------------------------------------------------------------------------------------- cuboids
def _query(raw: bytes) -> Mapping[str, str]:
    from urllib.parse import parse_qsl

    try:
        return dict(parse_qsl(raw.decode("ascii", "replace"), max_num_fields=32))
    except ValueError:
        return {}


@dataclass(frozen=True, slots=True)
class _Cuboid:
    layer: Layer
    mag: Triple
    origin: Triple  # voxels of the mag along z, y, x
    shape: Triple

    @property
    def row(self) -> int:
        """Bytes of a row along x."""
        return self.shape[2] * self.layer.volume.channels * self.layer.volume.dtype.itemsize

    @property
    def bytes(self) -> int:
        return self.row * self.shape[0] * self.shape[1]


def _cuboid_answer(layer: Layer, query: Mapping[str, str], largest: int) -> Answer:
    """Return the voxels of a box, raw, channels and x fastest; read slab by slab as they are sent."""
    mag = parsed_mag(query.get("mag", ""))
    if mag is None or mag not in layer.mags:
        return failure(404, "the layer has no such mag")
    names = ("z", "y", "x", "depth", "height", "width")
    if not all(_NUMBER.match(query.get(name, "")) for name in names):
        return failure(400, "a box is x, y, z, width, height and depth, in whole numbers")
    z, y, x, depth, height, width = (int(query[name]) for name in names)
    if min(depth, height, width) < 1:
        return failure(400, "a box has at least one voxel")
    if query.get("halfByte", "false") != "false" or any(p % m for p, m in zip((z, y, x), mag, strict=True)):
        return failure(400, "x, y and z are multiples of the mag; bytes are whole")
    origin = (z // mag[0], y // mag[1], x // mag[2])
    cuboid = _Cuboid(layer, mag, origin, (depth, height, width))
    if max(cuboid.shape) > _LONGEST or cuboid.bytes > largest:
        return failure(413, f"a box has at most {_LONGEST} voxels along an axis and {largest} bytes")
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"%d" % cuboid.bytes),
        (b"cache-control", b"no-cache"),
        (b"missing-buckets", b"[]"),
    ]
    slabs = _Slabs(cuboid)
    return Answer(200, headers, slabs.read(wait=True), slabs)


class _Slabs:
    """The bytes of a cuboid, slab by slab."""

    def __init__(self, cuboid: _Cuboid) -> None:
        self._cuboid = cuboid
        self._at = 0  # in rows

    def read(self, *, wait: bool) -> Buffer:
        """Return the next slab: planes, or rows of one."""
        box = self._cuboid
        depth, height, width = box.shape
        if self._at >= depth * height:
            return b""
        if not wait:
            raise WouldWait
        z, y = divmod(self._at, height)
        rows = max(1, _PIECE // box.row)
        planes = min(depth - z, rows // height) if y == 0 else 0
        shape = (planes, height, width) if planes else (1, min(rows, height - y), width)
        origin = (box.origin[0] + z, box.origin[1] + y, box.origin[2])
        data = box.layer.read(box.mag, origin, shape)
        self._at += shape[0] * shape[1]
        return data.tobytes()
