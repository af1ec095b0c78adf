"""Datasets of a WEBKNOSSOS server, or of ours, in the words of its scripts: layers, mags, offsets along x, y, z.

>>> import voxarium
>>> dataset = voxarium.Dataset.remote_open("https://example.org/datasets/em-6c6162/view", token="…")  # doctest: +SKIP
>>> mag = dataset.get_color_layer().get_mag("2-2-1")                                              # doctest: +SKIP
>>> voxels = mag.read(absolute_offset=(1024, 512, 64), size=(256, 256, 32))                      # doctest: +SKIP

Contract: see `voxarium.serve.webknossos`. Voxels come from the server that the address names, or from one below its
domain; nothing else is followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from voxarium.core.image import Image
from voxarium.core.opening import open_image
from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.interop.datastore import TokenStore, checked_token
from voxarium.model.box import Box
from voxarium.model.fields import parse_json_object
from voxarium.spec.webknossos import DOCUMENT, FORMAT, Layer, Properties, mag_literal, parse_layer, parse_properties

__all__ = ["RemoteDataset", "RemoteLayer", "RemoteMag", "WebknossosServers"]

_VERSIONS: Final = range(13, 17)
_DATA: Final = 15  # the newest version of the routes of data
_BY_ID: Final = re.compile(r"(?P<base>.*?)/datasets/(?:[^/]*-)?(?P<id>[0-9a-fA-F]+)(?:/view)?/?\Z")
_BY_NAME: Final = re.compile(r"(?P<base>.*?)/datasets/(?P<organization>[^/]+)/(?P<name>[^/]+?)(?:/view)?/?\Z")
_PART: Final = re.compile(r"[^/\\?#%\x00-\x1f]{1,1024}\Z")
_MOST: Final = 4 << 30  # bytes of what is read at once
_FARTHEST: Final = 1 << 40
_NEXT: Final = "see voxarium.Dataset.remote_open"
Triple = tuple[int, int, int]


class WebknossosServers:
    """Opens datasets of servers; see `voxarium.Dataset.remote_open`."""

    name: ClassVar[str] = FORMAT

    def open(
        self,
        uri: str,
        name: str | None = None,
        /,
        *,
        token: str | None = None,
        organization: str | None = None,
        datastore: str | None = None,
    ) -> RemoteDataset:
        """Open a dataset.

        Parameters
        ----------
        uri : str
            Address of the dataset's page, ``https://host/datasets/NAME-ID/view``; or of the server, with `name`.
        name : str or None
            Of the dataset.
        token : str or None
            Sent to the server; one in the address is taken too.
        organization : str or None
            That has the dataset, where it is found by name; None = that of the token.
        datastore : str or None
            Server that has the voxels, where it is of another domain than the one that tells of them.

        Raises
        ------
        InputError
            If the address is none, or the token must not be sent.
        NotFoundError
            If there is no such dataset.
        StoreError
            If the server does not answer, or refuses.
        FormatError
            If it answers with what is no dataset.
        """
        base, identifier, organization, name, token = _parsed(uri, name, organization, token)
        server = TokenStore(base, token=token)
        version = _version(server)
        if identifier is None:
            if organization is None:
                organization = _text(_asked(server, f"api/v{version}/user"), "organization")
            found = _asked(server, f"api/v{version}/datasets/disambiguate/{organization}/{name}/toId")
            identifier = _text(found, "id")
        about = _asked(server, f"api/v{version}/datasets/{identifier}")
        told = about.get("dataStore")
        place = datastore or _followed(base, _text(told if isinstance(told, Mapping) else {}, "url"))
        url = f"{place.rstrip('/')}/data/v{min(version, _DATA)}/zarr/{identifier}"
        return RemoteDataset(str(about.get("name", identifier)), TokenStore(url, token=checked_token(url, token)))


def _wrong(message: str, code: Code = Code.ARGUMENT_INVALID, fix: str = _NEXT) -> InputError:
    return InputError(message, code=code, fix=fix)


def _parsed(
    uri: str, name: str | None, organization: str | None, token: str | None
) -> tuple[str, str | None, str | None, str | None, str | None]:
    """Return the server's address, and id or organization and name of the dataset, and the token."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise _wrong("the address is not one of a dataset on a server", Code.URI_INVALID)
    token = token or next(iter(parse_qs(parts.query).get("token", [])), None)
    path = unquote(parts.path)
    by_id, by_name = _BY_ID.match(path), _BY_NAME.match(path)
    identifier = None
    if name is None and by_id is not None:
        path, identifier = by_id["base"], by_id["id"]
    elif name is None and by_name is not None:
        path, organization, name = by_name["base"], by_name["organization"], by_name["name"]
    elif name is None:
        raise _wrong("the address names a server, but no dataset", Code.URI_INVALID)
    for part in [organization, *([] if name is None else name.split("/"))]:
        if part is not None and (not _PART.match(part) or part in (".", "..")):
            raise _wrong(f"{part[:60]!r} cannot be part of a name")
    return f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}", identifier, organization, name, token


def _asked(server: TokenStore, route: str) -> dict[str, Any]:
    raw = server.get(route)
    if raw is None:
        raise NotFoundError(
            f"{server.uri} has nothing at {route}",
            code=Code.PATH_MISSING,
            fix="check the address of the dataset, and that the token may read it",
        )
    return parse_json_object(raw, f"{server.uri}/{route}")


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 8192 or (key != "url" and not _PART.match(value)):
        raise FormatError(f"the server tells no {key}", code=Code.METADATA_INVALID, fix=_NEXT)
    return value


def _version(server: TokenStore) -> int:
    told = _asked(server, "api/buildinfo").get("httpApiVersioning")
    versions = told if isinstance(told, Mapping) else {}
    newest, oldest = (versions.get(k) for k in ("currentApiVersion", "oldestSupportedApiVersion"))
    if type(newest) is not int or type(oldest) is not int or not oldest <= _VERSIONS[-1] or newest < _VERSIONS[0]:
        raise FormatError(
            f"{server.uri} does not speak versions {_VERSIONS[0]} to {_VERSIONS[-1]} of the interface",
            code=Code.METADATA_INVALID,
            fix="check that the address is that of a WEBKNOSSOS server, or of voxarium serve",
        )
    return min(newest, _VERSIONS[-1])


def _followed(base: str, url: str) -> str:
    """Return the address of the server that has the voxels, if it may be asked.

    Examples
    --------
    >>> _followed("https://webknossos.org", "https://data.webknossos.org")
    'https://data.webknossos.org'
    """
    own, other = urlsplit(base), urlsplit(url)
    same = (own.scheme, own.netloc) == (other.scheme, other.netloc)
    below = other.scheme == "https" and "@" not in other.netloc and (other.hostname or "").endswith(f".{own.hostname}")
    if not same and not below:
        raise InputError(
            f"the voxels are said to be on another server, {other.scheme}://{other.hostname}, which is not followed",
            code=Code.URI_INVALID,
            fix="if you trust that server with the token, give its address as datastore=",
        )
    return url


# ------------------------------------------------------------------------------------------------------------- faces
class RemoteDataset:
    """A dataset of a server; nothing is read but its description.

    Parameters
    ----------
    name : str
        Of the dataset.
    store : TokenStore
        What the server has of it.
    """

    def __init__(self, name: str, store: TokenStore) -> None:
        self.name = name
        self._store = store
        raw = store.get(DOCUMENT)
        if raw is None:
            raise NotFoundError(
                f"{store.uri} has no data", code=Code.METADATA_MISSING, fix="check that the dataset can be used there"
            )
        self._properties: Properties = parse_properties(raw, DOCUMENT)
        self._layers: dict[str, RemoteLayer] = {}

    def __repr__(self) -> str:
        return f"RemoteDataset({self.name!r}, layers={list(self._properties.layers)})"

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Size of a voxel of mag 1 along x, y, z, in nanometers."""
        z, y, x = self._properties.voxel_size
        return x, y, z

    @property
    def layers(self) -> dict[str, RemoteLayer]:
        """All layers by name."""
        return {name: self.get_layer(name) for name in self._properties.layers}

    def get_layer(self, name: str) -> RemoteLayer:
        """Return a layer.

        Raises
        ------
        NotFoundError
            If there is none of this name.
        FormatError
            If what the server says of it cannot be.
        """
        if name not in self._layers:
            layer = parse_layer(self._properties, name, DOCUMENT)
            if layer is None:
                raise NotFoundError(
                    f"{self.name} has no layer {name!r}",
                    code=Code.PATH_MISSING,
                    fix=f"choose one of {', '.join(self._properties.layers)}",
                )
            self._layers[name] = RemoteLayer(self._store, layer)
        return self._layers[name]

    def get_color_layer(self, name: str | None = None) -> RemoteLayer:
        """Return the color layer, or the one of a name; InputError where there are several and none is named."""
        return self._of_category("color", name)

    def get_segmentation_layer(self, name: str | None = None) -> RemoteLayer:
        """Return the segmentation layer, or the one of a name; InputError where there are several."""
        return self._of_category("segmentation", name)

    def _of_category(self, category: str, name: str | None) -> RemoteLayer:
        names = [n for n, entry in self._properties.layers.items() if entry.get("category") == category]
        if name is None and len(names) > 1:
            raise _wrong(f"{self.name} has {len(names)} {category} layers", fix=f"name one of {', '.join(names)}")
        if not names or (name is not None and name not in names):
            raise NotFoundError(
                f"{self.name} has no {category} layer{'' if name is None else f' {name!r}'}",
                code=Code.PATH_MISSING,
                fix=f"choose one of {', '.join(self._properties.layers)}",
            )
        return self.get_layer(name or names[0])


class RemoteLayer:
    """A layer of a dataset on a server.

    Parameters
    ----------
    store : TokenStore
        What the server has of the dataset.
    layer : Layer
        What it says of the layer.
    """

    def __init__(self, store: TokenStore, layer: Layer) -> None:
        self._store = store
        self._layer = layer
        self.name = layer.name
        self.category = layer.category
        self.num_channels = layer.channels

    def __repr__(self) -> str:
        return f"RemoteLayer({self.name!r}, {self.category}, mags={list(self.mags)})"

    @cached_property
    def image(self) -> Image:
        """The layer as an image: axes z, y, x, positions at voxel centres, all that images can."""
        return open_image(self._store, self.name, format=FORMAT)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        return self.image.dtype

    @property
    def bounding_box(self) -> tuple[Triple, Triple]:
        """First voxel, and voxels, of mag 1 along x, y, z."""
        return _reversed(self._layer.box.origin), _reversed(self._layer.box.shape)

    @property
    def mags(self) -> tuple[str, ...]:
        """Names of the mags, finest first."""
        return tuple(mag_literal(mag.factors) for mag in self._layer.mags)

    def get_mag(self, mag: str | int | Sequence[int]) -> RemoteMag:
        """Return a mag: ``2``, ``"2-2-1"``, or ``(2, 2, 1)`` along x, y, z.

        Raises
        ------
        NotFoundError
            If the layer has no such mag.
        """
        parts = str(mag).split("-") if isinstance(mag, str | int) else [str(n) for n in mag]
        wanted = "-".join(parts if len(parts) == 3 and len(set(parts)) > 1 else parts[:1])
        for number, known in enumerate(self._layer.mags):
            if mag_literal(known.factors) == wanted and len(parts) in (1, 3):
                return RemoteMag(self, number, known.factors)
        raise NotFoundError(
            f"layer {self.name} has no mag {mag}", code=Code.LEVEL_MISSING, fix=f"choose one of {', '.join(self.mags)}"
        )


@dataclass(frozen=True, slots=True)
class RemoteMag:
    """One mag of a layer; `factors` along z, y, x."""

    layer: RemoteLayer
    number: int
    factors: Triple

    @property
    def name(self) -> str:
        """Such as ``2-2-1``."""
        return mag_literal(self.factors)

    def read(self, absolute_offset: Sequence[int] | None = None, size: Sequence[int] | None = None) -> NDArray[Any]:
        """Return voxels along c, x, y, z; zeros outside the layer. Further axes follow the channels.

        Parameters
        ----------
        absolute_offset, size : sequence of three int
            Voxels of mag 1 along x, y, z, in multiples of the mag; all of the layer unless told.

        Raises
        ------
        InputError
            If they are no such multiples, or more than 4 GiB.
        """
        inner = self.layer._layer.level_box(self.factors)
        origin = (
            inner.origin if absolute_offset is None else self._in_mag(absolute_offset, "absolute_offset", -_FARTHEST)
        )
        rest = tuple(b - o for b, o in zip(inner.stop, origin, strict=True))
        shape = rest if size is None else self._in_mag(size, "size", 0)
        image = self.layer.image
        others = image.shape[:-3]
        if min(shape) < 0 or np.prod([float(n) for n in (*others, *shape)]) * image.dtype.itemsize > _MOST:
            raise _wrong(f"{shape[::-1]} voxels are none, or more than {_MOST >> 30} GiB", fix="read smaller parts")
        out = np.zeros((*others, *shape), image.dtype)
        part = Box(origin, shape).intersection(inner)
        if 0 not in part.shape:
            lead = tuple(slice(None) for _ in others)
            stored = part.relative_to(inner.origin)
            box = Box((*(0 for _ in others), *stored.origin), (*others, *stored.shape))
            out[(*lead, *part.relative_to(origin).slices)] = image.read(box, level=self.number)
        names = [axis.name for axis in image.axes]
        if "c" not in names:
            return out[np.newaxis].swapaxes(-1, -3)
        return np.moveaxis(out, names.index("c"), 0).swapaxes(-1, -3)

    def _in_mag(self, given: Sequence[int], what: str, least: int) -> Triple:
        """Return voxels of mag 1 along x, y, z as voxels of the mag along z, y, x."""
        numbers = [int(n) for n in given]
        if len(numbers) != 3 or not all(least <= n < _FARTHEST for n in numbers):
            raise _wrong(f"{what} is {tuple(given)}, not three whole numbers along x, y, z", fix="give voxels of mag 1")
        z, y, x = numbers[::-1]
        fz, fy, fx = self.factors
        if z % fz or y % fy or x % fx:
            raise _wrong(f"{what} {(x, y, z)} is no multiple of mag {self.name}", fix="choose multiples of the mag")
        return z // fz, y // fy, x // fx


def _reversed(triple: Sequence[int]) -> Triple:
    z, y, x = triple
    return x, y, z
