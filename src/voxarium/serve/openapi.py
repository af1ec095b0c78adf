"""``/openapi.json``: the routes of the server for programs, in OpenAPI 3.1, made from one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from voxarium.serve.cutout_files import FORMATS
from voxarium.serve.guards import OPEN
from voxarium.serve.pages import PICTURES
from voxarium.serve.site import Mount, Site
from voxarium.serve.translated import VIEWS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["ROUTES", "Operation", "document", "mount"]

_Schema = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A route.

    Parameters
    ----------
    path : str
        Variable parts in braces; those in `DEEP` may hold slashes.
    summary : str
        What it answers.
    media : tuple of str
        Types of what it answers with.
    schema : schema or None
        Of an answer in JSON.
    status : tuple of str
        Of answers that are no refusals.
    told : tuple of str
        Types of what says why not.
    query : tuple of str
        Names of `_QUERY`; an exclamation mark in front says that it is needed.
    method : str
        In lower case; what is got can be asked for with HEAD too.
    body : schema or None
        Of the JSON that is sent.
    """

    path: str
    summary: str
    media: tuple[str, ...] = ("application/octet-stream",)
    schema: _Schema | None = None
    status: tuple[str, ...] = ("200",)
    told: tuple[str, ...] = ("text/plain",)
    query: tuple[str, ...] = ()
    method: str = "get"
    body: _Schema | None = None


def _whole(low: int, high: int) -> _Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _among(*words: str | int) -> _Schema:
    return {"type": "integer" if isinstance(words[0], int) else "string", "enum": list(words)}


def _text(pattern: str) -> _Schema:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _list(items: _Schema) -> _Schema:
    return {"type": "array", "items": items}


def _object(**properties: _Schema) -> _Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


_TEXT: Final[_Schema] = {"type": "string"}
_NUMBER: Final[_Schema] = {"type": "integer", "minimum": 0}
_ANYTHING: Final[_Schema] = {"type": "object"}
_SPAN: Final = "([0-9]{1,9}|[0-9]{0,9}:[0-9]{0,9})"
_REAL: Final = r"-?[0-9]{1,9}(\.[0-9]{1,6})?"
_CORNER: Final = _whole(-(1 << 31), 1 << 31)
_LENGTH: Final = _whole(1, 1 << 16)
_IMAGES: Final[_Schema] = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 12}
_QUERY: Final[dict[str, _Schema]] = {
    "q": _TEXT, "release": _TEXT, "search": _TEXT, "from": _NUMBER, "size": _whole(64, 1024),
    "box": _text(f"{_SPAN}(,{_SPAN}){{0,7}}"), "at": _text("[0-9]{1,9}(,[0-9]{1,9}){0,7}"), "level": _whole(0, 64),
    "cutout_format": _among(*FORMATS), "picture_format": _among(*PICTURES),
    "listing_format": _TEXT, "bins": _whole(1, 4096), "channel": _whole(0, 10**6),
    "plane": _among("xy", "xz", "yz"), "window": _text("-?[0-9]{1,6},-?[0-9]{1,6}"), "t": _whole(0, 10**6),
    "unit": _among("mm", "um", "nm"), "position": _text(f"{_REAL}(,{_REAL}){{2}}"), "images": _IMAGES,
    "thumbnail_size": _among(128, 256, 512), "searchQuery": _TEXT, "token": _TEXT, "mag": _text("[0-9]+(-[0-9]+){0,2}"),
    "x": _CORNER, "y": _CORNER, "z": _CORNER, "width": _LENGTH, "height": _LENGTH, "depth": _LENGTH,
    # Next to objects, arguments that are not understood are ignored: whoever signs addresses adds some.
    "list-type": _TEXT, "prefix": _TEXT, "delimiter": _TEXT, "start-after": _TEXT, "continuation-token": _TEXT,
    "max-keys": _TEXT, "encoding-type": _TEXT, "access-type": _TEXT,
}  # fmt: skip
_NAMES: Final = {
    "cutout_format": "format", "picture_format": "format", "listing_format": "format", "thumbnail_size": "size",
    "images": "image",
}  # fmt: skip
_PARTS: Final[dict[str, _Schema]] = {
    "view": _among(*VIEWS), "token": _text("[A-Za-z0-9_-]{1,64}"), "version": _text("v[0-9]{1,3}"),
    "level": _whole(0, 64), "index": _NUMBER, "row": _NUMBER, "column": _NUMBER,
}  # fmt: skip
DEEP: Final = frozenset({"address", "key", "rest"})
"""Parts of paths that may hold slashes."""

_S3: Final = ("list-type", "prefix", "delimiter", "start-after", "continuation-token", "max-keys", "encoding-type")
_JSON: Final = ("application/json",)
_HTML: Final = ("text/html",)
_PLAIN: Final = ("text/plain",)
_PNG: Final = ("image/png",)
_PICTURES: Final = ("image/png", "image/jpeg", "image/webp")
_S3_TOLD: Final = ("text/plain", "application/xml")
_JSON_TOLD: Final = ("text/plain", "application/json")
_OBJECT: Final = ("200", "206", "304", "308")
_SHORT: Final[_Schema] = {"type": "string", "maxLength": 199}
_CHANGE: Final = _object(s=_ANYTHING, pg=_SHORT, c=_SHORT)
_COUNTS: Final = _object(
    address=_TEXT, level=_NUMBER, dtype=_TEXT, voxels=_NUMBER, not_finite=_NUMBER, min={}, max={},
    edges=_list({"type": "number"}), counts=_list(_NUMBER),
)  # fmt: skip
_VOXEL: Final = _object(
    address=_TEXT, level=_NUMBER, at=_list({"type": ["integer", "null"]}), value={}, dtype=_TEXT,
    world={"type": ["object", "null"]},
)  # fmt: skip
_CATALOGUE: Final = _object(datasets=_list(_object(name=_TEXT, title=_TEXT, href=_TEXT, format=_list(_TEXT))))
_FOUND: Final = _object(images=_list(_object(address=_TEXT, kind=_TEXT, url=_TEXT)), releases=_list(_ANYTHING))
_LIVES: Final = _object(status=_among("ok"), scanned={"type": "boolean"}, found=_NUMBER)


def _saved(path: str) -> Operation:
    about = "Keeps a state, answers with its link"
    return Operation(
        path=path, summary=about, media=_JSON, schema=_TEXT, status=("201",), method="post", body=_ANYTHING
    )


ROUTES: Final[tuple[Operation, ...]] = (
    Operation(
        path="/", summary="The catalogue of datasets, or a listing of S3", media=("text/html", "application/xml"),
        told=_S3_TOLD, query=("q", *_S3),
    ),
    Operation(path="/index.json", summary="The catalogue for programs", media=_JSON, schema=_CATALOGUE),
    Operation(path="/datasets/{address}", summary="The page of a dataset", media=_HTML),
    Operation(
        path="/cover/{address}", summary="A picture of a dataset", media=_PICTURES,
        query=("thumbnail_size", "picture_format"),
    ),
    Operation(path="/validation/{address}", summary="A report about a dataset", media=_HTML),
    Operation(path="/assets/{name}", summary="A file that pages need", media=("text/*", "image/*")),
    Operation(
        path="/images", summary="The page of all images", media=_HTML, query=("search", "from", "release")
    ),
    _saved("/states"),
    Operation(path="/images.json", summary="All images", media=_JSON, schema=_FOUND, query=("release",)),
    Operation(path="/openapi.json", summary="This document", media=_JSON, schema=_ANYTHING),
    Operation(
        path="/thumbnail/{address}", summary="A picture of an image", media=_PICTURES,
        query=("thumbnail_size", "picture_format"),
    ),
    Operation(
        path="/raw", summary="All roots, as a page, JSON, or a listing of S3",
        media=("text/html", "application/xml", *_JSON),
        status=("200", "308"), told=_S3_TOLD, query=_S3,
    ),
    Operation(
        path="/raw/{key}", summary="An object as it is, or what is in a folder", media=("*/*",), status=_OBJECT,
        told=_S3_TOLD, query=("listing_format", *_S3),
    ),
    Operation(
        path="/as/{view}/{address}", summary="An object of an image shown as another format", media=("*/*",),
        status=_OBJECT,
    ),
    Operation(
        path="/cutout/{address}", summary="Voxels of a region",
        media=tuple(dict.fromkeys(kind for _, kind in FORMATS.values())), query=("box", "level", "cutout_format"),
    ),
    Operation(path="/value/{address}", summary="A voxel", media=_JSON, schema=_VOXEL, query=("!at", "level")),
    Operation(
        path="/histogram/{address}", summary="Counts of values", media=_JSON, schema=_COUNTS,
        query=("level", "bins", "box", "channel"),
    ),
    *(
        Operation(
            path=f"/tile/{{address}}/{{level}}/{{index}}/{{row}}/{{column}}.{ending}", summary="A piece of a plane",
            media=(kind,), query=("size", "plane", "window", "channel", "t"),
        )
        for ending, kind in zip(("png", "jpg", "webp"), _PICTURES, strict=True)
    ),
    Operation(
        path="/view", summary="The viewer with images", media=_HTML, status=("302",), query=("!images", "position")
    ),
    Operation(
        path="/view/{address}", summary="The viewer with an image", media=_HTML, status=("302",), query=("position",)
    ),
    Operation(
        path="/view.json", summary="A state of the viewer", media=_JSON, schema=_ANYTHING, query=("!images", "position")
    ),
    Operation(path="/v/{token}/{file}", summary="The client of the viewer", media=("text/*", "application/*")),
    _saved("/s"),
    Operation(
        path="/s/{name}", summary="A saved state; without .json, the viewer with it", media=_JSON, schema=_ANYTHING,
        status=("200", "302"),
    ),
    Operation(
        path="/state/{token}", summary="Changes a shared state", media=_JSON, schema=_object(g=_TEXT), method="post",
        body=_CHANGE,
    ),
    Operation(
        path="/action/{token}", summary="Takes an action of a viewer", media=_PLAIN, method="post", body=_ANYTHING
    ),
    Operation(path="/credentials/{token}", summary="There are none", media=_PLAIN, method="post", body=_ANYTHING),
    Operation(path="/niivue", summary="NiiVue with images and surfaces", media=_HTML, query=("!images",)),
    Operation(path="/niivue/{address}", summary="NiiVue with an image or a surface", media=_HTML),
    Operation(path="/nii/{file}", summary="The client of NiiVue", media=("text/javascript",)),
    Operation(path="/nii/volume/{address}", summary="An image as NIfTI", query=("unit",)),
    Operation(path="/api/buildinfo", summary="Versions", media=_JSON, schema=_ANYTHING, told=_JSON_TOLD),
    Operation(
        path="/api/{version}/{rest}", summary="Datasets, as WEBKNOSSOS tells of them", media=_JSON, told=_JSON_TOLD,
        query=("searchQuery", "token"),
    ),
    Operation(
        path="/data/{version}/zarr/{id}/{rest}", summary="An object of a dataset of WEBKNOSSOS", media=("*/*",),
        status=_OBJECT, told=_JSON_TOLD, query=("token",),
    ),
    Operation(
        path="/data/{version}/datasets/{id}/layers/{layer}/data",
        summary="A cuboid of a layer", told=_JSON_TOLD,
        query=("!mag", "!x", "!y", "!z", "!width", "!height", "!depth", "token"),
    ),
    Operation(
        path="/v1/{rest}", summary="Channels and cutouts, as a Boss has them", told=_JSON,
        media=("application/json", "application/blosc"), query=("access-type",),
    ),
    Operation(path="/healthz", summary="Whether the server lives", media=_JSON, schema=_LIVES),
    Operation(path="/metrics", summary="Counts for Prometheus", media=_PLAIN),
)  # fmt: skip
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
    shape: dict[str, Any] = {} if operation.schema is None else {"schema": operation.schema}  # Any: JSON
    content = {media: shape if media in _JSON else {} for media in operation.media}
    told: dict[str, Any] = {media: {} for media in operation.told}  # Any: JSON
    out: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": {
            **{code: {"description": operation.summary, **_content(code, content)} for code in operation.status},
            "4XX": {"description": "Why not, in one line", "content": told},
            "500": {"description": "What is stored is damaged", "content": {"text/plain": {}}},
            "501": {"description": "Something is not installed on this server", "content": {"text/plain": {}}},
        },
    }
    if operation.body is not None:
        out["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    return out


def _content(code: str, content: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    return {} if code.startswith("3") else {"content": content}


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:  # Any: JSON
    for part in operation.path.split("{")[1:]:
        name = part.partition("}")[0]
        schema = _PARTS.get(name, {"type": "string", "minLength": 1})
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for asked in operation.query:
        key = asked.removeprefix("!")
        shown = {"name": _NAMES.get(key, key), "in": "query", "required": asked != key, "schema": _QUERY[key]}
        yield shown


def mount(_: Site) -> Mount:
    """Return the route."""
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def described(_: Request) -> Response:
        return JSONResponse(document(), headers={"cache-control": "no-cache"})

    return Mount(name="openapi", routes=[Route("/openapi.json", described)], guards={"openapi.json": OPEN})
