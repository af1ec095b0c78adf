"""Which dataset a request of a client of WEBKNOSSOS is about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from voxarium.serve.addresses import key_of
from voxarium.serve.answers import Answer, json_answer
from voxarium.serve.guards import Asked
from voxarium.serve.webknossos_datasets import address_of

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["ABSENT", "CUBOID", "DATA", "api_absent", "api_asked", "data_asked"]

_GENERAL: Final = re.compile(r"/api/(v[0-9]{1,9}/)?(buildinfo|health|user|datasets)", re.ASCII)
_NAMED: Final = re.compile(
    r"/api/v[0-9]{1,9}/datasets/(?:disambiguate/[^/]+/(?P<name>.+)/toId|(?P<id>[^/]+))\Z", re.ASCII | re.DOTALL
)
DATA: Final = re.compile(r"v(?P<version>1[3-6])/zarr/(?P<id>[0-9a-f]+)/(?P<key>.+)\Z", re.ASCII)
CUBOID: Final = re.compile(r"v(?P<version>1[3-6])/datasets/(?P<id>[0-9a-f]+)/layers/(?P<layer>[^/]+)/data\Z", re.ASCII)
ABSENT: Final = {"messages": [{"error": "not found"}]}


def api_asked(scope: Scope) -> Asked | None:
    """Return the dataset that a request is about; lists are of what may be seen."""
    path = scope["path"]
    if _GENERAL.fullmatch(path):
        return Asked()
    match = _NAMED.match(path)
    if match is None:
        return None
    address = match["name"] if match["id"] is None else address_of(match["id"])
    return None if address is None else Asked((address,), folders=True)


def api_absent() -> Answer:
    """Return what the API answers where nothing is."""
    return json_answer(ABSENT, 404)


def data_asked(scope: Scope) -> Asked | None:
    """Return the dataset whose voxels a request is for."""
    path = key_of(scope["raw_path"].removeprefix(b"/data/"))
    match = None if path is None else DATA.match(path) or CUBOID.match(path)
    address = None if match is None else address_of(match["id"])
    return None if address is None else Asked((address,), folders=True)
