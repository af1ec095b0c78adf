"""``/openapi.json``: the routes of the server for programs, in OpenAPI 3.1, made from one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from voxarium.serve.guards import OPEN
from voxarium.serve.site import Mount, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["ROUTES", "Operation", "document", "mount"]

_Schema = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """A route.

    Parameters
    ----------
    path : str
        Variable parts in braces; those in `DEEP` may hold slashes.
    summary : str
        What it answers.
    media_type : str
        Of the answer.
    query : tuple of str
        Names of `_QUERY`.
    method : str
        In lower case; what is got can be asked for with HEAD too.
    body : schema or None
        Of the JSON that is sent.
    """

    path: str
    summary: str
    media_type: str = "application/octet-stream"
    query: tuple[str, ...] = ()
    method: str = "get"
    body: _Schema | None = None


def _whole(low: int, high: int) -> _Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _among(*words: str) -> _Schema:
    return {"type": "string", "enum": list(words)}


_TEXT: Final[_Schema] = {"type": "string"}
_QUERY: Final[dict[str, _Schema]] = {
    "q": _TEXT, "release": _TEXT,
    "search": _TEXT, "from": _whole(0, 10**8), "size": _whole(64, 1024), "box": _TEXT, "at": _TEXT,
    "level": _whole(0, 64), "cutout_format": _among("npy", "png", "tiff", "nifti"), "listing_format": _among("json"),
    "bins": _whole(1, 4096), "channel": _whole(0, 10**6), "plane": _among("xy", "xz", "yz"), "window": _TEXT,
    "t": _whole(0, 10**6), "unit": _among("mm", "um", "nm"), "list-type": _among("2"), "prefix": _TEXT,
    "delimiter": _among("/"), "start-after": _TEXT, "continuation-token": _TEXT, "max-keys": _whole(0, 1000),
    "encoding-type": _among("url"), "images": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 12},
    "thumbnail_size": {"type": "integer", "enum": [128, 256, 512]}, "searchQuery": _TEXT, "token": _TEXT,
    "mag": _TEXT, "x": _whole(-(1 << 31), 1 << 31), "y": _whole(-(1 << 31), 1 << 31),
    "z": _whole(-(1 << 31), 1 << 31), "width": _whole(1, 1 << 16), "height": _whole(1, 1 << 16),
    "depth": _whole(1, 1 << 16), "access-type": _among("raw"),
}  # fmt: skip
_NAMES: Final = {
    "cutout_format": "format", "listing_format": "format", "thumbnail_size": "size", "images": "image",
}  # fmt: skip
DEEP: Final = frozenset({"address", "key", "rest"})
"""Parts of paths that may hold slashes."""

_S3: Final = ("list-type", "prefix", "delimiter", "start-after", "continuation-token", "max-keys", "encoding-type")
_JSON: Final = "application/json"
_STATE: Final[_Schema] = {"type": "object"}
_CHANGE: Final[_Schema] = {
    "type": "object",
    "properties": {"s": {"type": "object"}, "pg": _TEXT, "c": _TEXT},
    "required": ["s", "pg", "c"],
}

ROUTES: Final[tuple[Operation, ...]] = (
    Operation("/", "The catalogue of datasets, or a listing of S3", "text/html", ("q", *_S3)),
    Operation("/index.json", "The catalogue for programs", _JSON),
    Operation("/datasets/{address}", "The page of a dataset", "text/html"),
    Operation("/cover/{address}", "A picture of a dataset", "image/png", ("thumbnail_size",)),
    Operation("/validation/{address}", "A report about a dataset", "text/html"),
    Operation("/assets/{name}", "A file that pages need", "text/css"),
    Operation("/images", "The page of all images", "text/html", ("search", "from", "release")),
    Operation("/states", "Keeps a state, answers with its link", _JSON, method="post", body=_STATE),
    Operation("/images.json", "All images", _JSON, ("release",)),
    Operation("/openapi.json", "This document", _JSON),
    Operation("/thumbnail/{address}", "A picture of an image", "image/png", ("thumbnail_size",)),
    Operation("/raw", "A listing of S3 of all roots", "application/xml", _S3),
    Operation("/raw/{key}", "An object as it is, or what is in a folder", query=("listing_format", *_S3)),
    Operation("/as/{view}/{address}", "An object of an image shown as another format"),
    Operation("/cutout/{address}", "Voxels of a region", query=("box", "level", "cutout_format")),
    Operation("/value/{address}", "A voxel", _JSON, ("at", "level")),
    Operation("/histogram/{address}", "Counts of values", _JSON, ("level", "bins", "box", "channel")),
    Operation(
        "/tile/{address}/{level}/{index}/{row}/{column}.png",
        "A piece of a plane",
        "image/png",
        ("size", "plane", "window", "channel", "t"),
    ),
    Operation("/view", "The viewer with images", "text/html", ("images",)),
    Operation("/view/{address}", "The viewer with an image", "text/html"),
    Operation("/view.json", "A state of the viewer", _JSON, ("images",)),
    Operation("/v/{token}/{file}", "The client of the viewer", "text/html"),
    Operation("/s", "Keeps a state, answers with its link", _JSON, method="post", body=_STATE),
    Operation("/s/{name}", "A saved state", _JSON),
    Operation("/state/{token}", "Changes a shared state", _JSON, method="post", body=_CHANGE),
    Operation("/action/{token}", "Takes an action of a viewer", "text/plain", method="post", body=_STATE),
    Operation("/credentials/{token}", "There are none", "text/plain", method="post", body=_STATE),
    Operation("/niivue", "NiiVue with images and surfaces", "text/html", ("images",)),
    Operation("/niivue/{address}", "NiiVue with an image or a surface", "text/html"),
    Operation("/nii/{file}", "The client of NiiVue", "text/javascript"),
    Operation("/nii/volume/{address}", "An image as NIfTI", query=("unit",)),
    Operation("/api/buildinfo", "Versions", _JSON),
    Operation("/api/{version}/{rest}", "Datasets, as WEBKNOSSOS tells of them", _JSON, ("searchQuery", "token")),
    Operation("/data/{version}/zarr/{id}/{rest}", "An object of a dataset of WEBKNOSSOS"),
    Operation(
        "/data/{version}/datasets/{id}/layers/{layer}/data",
        "A cuboid of a layer",
        query=("mag", "x", "y", "z", "width", "height", "depth", "token"),
    ),
    Operation("/v1/{rest}", "Channels and cutouts, as a Boss has them", query=("access-type",)),
    Operation("/healthz", "Whether the server lives", _JSON),
    Operation("/metrics", "Counts for Prometheus", "text/plain"),
)
"""Every route but ``/events/``, whose answers have no end, and those of signing in, which people use."""


def document() -> dict[str, Any]:  # Any: JSON
    """Return the description of the server."""
    paths: dict[str, dict[str, Any]] = {}  # Any: JSON
    for operation in ROUTES:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Voxarium", "version": version("voxarium")},
        "paths": paths,
    }


def _described(operation: Operation) -> dict[str, Any]:  # Any: JSON
    out: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": {
            "200": {"description": operation.summary, "content": {operation.media_type: {}}},
            "4XX": {"description": "Why not, in one line", "content": {"text/plain": {}}},
            "500": {"description": "What is stored is damaged", "content": {"text/plain": {}}},
            "501": {"description": "This server cannot do that", "content": {"text/plain": {}}},
        },
    }
    if operation.body is not None:
        out["requestBody"] = {"required": True, "content": {_JSON: {"schema": operation.body}}}
    return out


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:  # Any: JSON
    for part in operation.path.split("{")[1:]:
        name = part.partition("}")[0]
        schema = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for key in operation.query:
        yield {"name": _NAMES.get(key, key), "in": "query", "required": False, "schema": _QUERY[key]}


def mount(_: Site) -> Mount:
    """Return the route."""
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def described(_: Request) -> Response:
        return JSONResponse(document(), headers={"cache-control": "no-cache"})

    return Mount(name="openapi", routes=[Route("/openapi.json", described)], guards={"openapi.json": OPEN})
