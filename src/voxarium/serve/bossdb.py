"""``/v1/``: every image as channels of a Boss, for ``intern`` and others that read from such a service.

Contract: https://docs.theboss.io/docs, the routes that reading needs: collections, experiments, channels, coordinate
frames, levels, and cutouts in blosc. Which image is which channel: see `voxarium.serve.bossdb_channels`. Without access
control, tokens are accepted, whatever they are.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxarium.codecs.blosc import Blosc
from voxarium.errors import InputError, NotFoundError, UnsupportedError
from voxarium.serve.access import current_visitor, leads_to, may_see
from voxarium.serve.addresses import key_of
from voxarium.serve.answers import Answer, json_answer
from voxarium.serve.bossdb_channels import BossNames, Experiment, experiment_of
from voxarium.serve.catalogue import Scan
from voxarium.serve.guards import OPEN
from voxarium.serve.sending import send_answer
from voxarium.serve.site import Mount, Site
from voxarium.serve.volumes import Volumes

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["BossApp", "mount"]

_FRESH: Final = 30.0
_SPAN: Final = re.compile(r"([0-9]{1,15}):([0-9]{1,15})\Z", re.ASCII)
_LARGE: Final = 64 << 20  # bytes of a cutout that has to wait for other such ones
_BLOSC: Final = b"application/blosc"


def mount(site: Site) -> Mount:
    """Return the routes."""
    # Names follow from all images together: what a request is about is known only when they were looked up.
    return Mount(name="bossdb", bare={"v1": BossApp(site)}, guards={"v1": OPEN})


class BossApp:
    """Answers requests below ``/v1/``, without any framework between.

    Parameters
    ----------
    site : Site
        What the routes share.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._volumes = Volumes(site.catalogue)
        self._large = threading.Lock()
        self._named: tuple[Scan, BossNames] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["method"] not in ("GET", "HEAD"):
            answer = _failure(405, "nothing is written here")
            answer.headers += [(b"allow", b"GET, HEAD, OPTIONS"), (b"connection", b"close")]
        else:
            run = self._site.run_slow if scope["raw_path"].startswith(b"/v1/cutout/") else self._site.run
            answer = await run(self._answer, scope)
        if scope["method"] == "HEAD":
            answer.first, answer.rest = b"", None
        await send_answer(self._site, answer, receive, send)

    def _answer(self, scope: Scope) -> Answer:
        path = key_of(scope["raw_path"].removeprefix(b"/v1/").strip(b"/"))
        parts = [] if path is None else path.split("/")
        try:
            if parts[:1] == ["cutout"]:
                return self._cutout(parts[1:], scope)
            document = self._document(parts)
        except (InputError, UnsupportedError) as error:
            return _failure(404, error.message)  # an image that no channel can be
        except NotFoundError:
            document = None
        return _failure(404, "not found") if document is None else json_answer(document)

    # ------------------------------------------------------------------------------------------------- documents
    def _names(self) -> BossNames:
        self._site.catalogue.scan(_FRESH)
        scan = self._site.catalogue.unfiltered
        named = self._named
        if named is None or named[0] is not scan:
            images = [(e.root.name, e.address) for e in scan.entries if e.image is not None]
            named = self._named = (scan, BossNames.of(self._site.catalogue.roots, images))
        return named[1] if current_visitor() is None else named[1].seen(leads_to, may_see)

    def _experiment(self, collection: str, experiment: str) -> Experiment | None:
        names = self._names()
        address = names.experiments.get(collection, {}).get(experiment)
        return None if address is None else experiment_of(names, collection, experiment, self._volumes.get(address))

    def _document(self, parts: Sequence[str]) -> Any:  # Any: JSON
        match parts:
            case ["collection", *rest]:
                return self._collection(rest)
            case ["coord"]:
                return {"coords": list(self._names().frames)}
            case ["coord", name]:
                place = self._names().frames.get(name)
                found = None if place is None else self._experiment(*place)
                return None if found is None else found.frame_document()
            case ["downsample", collection, experiment, channel]:
                found = self._experiment(collection, experiment)
                return None if found is None or channel not in found.channels else found.levels_document()
            case _:
                return None

    def _collection(self, parts: Sequence[str]) -> Any:  # Any: JSON
        experiments = self._names().experiments
        match parts:
            case []:
                return {"collections": list(experiments)}
            case [name] if name in experiments:
                about = {"name": name, "description": "", "creator": "voxarium", "public": True}
                return about | {"experiments": list(experiments[name])}
            case [name, "experiment"] if name in experiments:
                return {"experiments": list(experiments[name])}
            case [name, "experiment", experiment, *rest]:
                found = self._experiment(name, experiment)
                return None if found is None else _told(found, rest)
            case _:
                return None

    # --------------------------------------------------------------------------------------------------- cutouts
    def _cutout(self, parts: Sequence[str], scope: Scope) -> Answer:
        """Return voxels; `parts` are names, level, and ranges along x, y, z and perhaps t."""
        if len(parts) not in (7, 8) or not parts[3].isdecimal() or len(parts[3]) > 2:
            return _failure(404, "a cutout is COLLECTION/EXPERIMENT/CHANNEL/LEVEL/X:X/Y:Y/Z:Z")
        found = self._experiment(parts[0], parts[1])
        channel = None if found is None else found.channels.get(parts[2])
        if found is None or channel is None:
            return _failure(404, "no such channel")
        accept = dict(scope["headers"]).get(b"accept", b"*/*")
        if _BLOSC not in accept and b"*/*" not in accept:
            return _failure(406, "cutouts are sent as application/blosc")
        if b"filter=" in scope["query_string"]:
            return _failure(400, "cutouts are not filtered by ids")
        box = _box(found, int(parts[3]), parts[4:], self._site.settings.most_cutout * 2)
        if isinstance(box, Answer):
            return box
        if math.prod(e - s for s, e in box) * found.dtype.itemsize <= _LARGE:
            return _voxels(found, channel, int(parts[3]), box)
        with self._large:
            return _voxels(found, channel, int(parts[3]), box)


def _box(found: Experiment, level: int, ranges: Sequence[str], largest: int) -> list[tuple[int, int]] | Answer:
    """Return first and stop along x, y, z and perhaps t; what is answered where they cannot be."""
    if level >= len(found.levels):
        return _failure(400, f"the channel has {len(found.levels)} levels")
    box = [(int(m[1]), int(m[2])) for m in map(_SPAN.match, ranges) if m is not None]
    limits = _limits(found, level)
    if len(box) != len(ranges) or any(not a <= s < e <= b for (s, e), (a, b) in zip(box, limits, strict=False)):
        return _failure(400, "ranges are first:stop, inside the coordinate frame")
    if math.prod(e - s for s, e in box) * found.dtype.itemsize > largest:
        return _failure(413, f"a cutout has at most {largest} bytes")
    return box


def _told(found: Experiment, rest: Sequence[str]) -> Any:  # Any: JSON
    match rest:
        case []:
            return found.experiment_document()
        case ["channel"]:
            return {"channels": list(found.channels)}
        case ["channel", name] if name in found.channels:
            return found.channel_document(name)
        case _:
            return None


def _limits(found: Experiment, level: int) -> list[tuple[int, int]]:
    """Return first and stop along x, y, z, t."""
    shape = found.levels[level].shape
    inside = [(s, s + n) for s, n in zip(found.start, shape, strict=True)]
    return [*inside[::-1], (0, found.volume.times)]


def _voxels(found: Experiment, channel: int, level: int, box: Sequence[tuple[int, int]]) -> Answer:
    (x, x1), (y, y1), (z, z1) = box[:3]
    origin = (z - found.start[0], y - found.start[1], x - found.start[2])
    times = box[3] if len(box) == 4 else (0, 1)
    data = found.volume.read(level, origin, (z1 - z, y1 - y, x1 - x), times=times, channels=(channel, channel + 1))
    raw = np.ascontiguousarray(data[..., 0], found.dtype.newbyteorder("<"))
    body = Blosc(cname="lz4", clevel=5, shuffle=1, typesize=raw.dtype.itemsize).encode(raw.data)
    headers = [(b"content-type", _BLOSC), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-cache")]
    return Answer(200, headers, body)


def _failure(status: int, message: str) -> Answer:
    return json_answer({"status": status, "code": status, "message": message}, status)
