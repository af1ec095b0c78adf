"""``/cutout/``, ``/tile/``, ``/value/``, ``/histogram/``: voxels for people and scripts that read no format.

Addresses of images are those of the other routes; ``box`` and ``at`` are in voxels of the level, in the order of the
image's axes. What is asked for wrongly is answered with 400 and one line, what is too much with 413.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import InputError
from voxarium.model.box import Box
from voxarium.serve.answers import Answer, failure, json_answer
from voxarium.serve.arguments import RefusedError, arguments_of, image_at, parse_box, parse_index, too_large
from voxarium.serve.cutout_files import FORMATS, Cutout, encode
from voxarium.serve.guards import Guard, address_guard
from voxarium.serve.sending import send_answer
from voxarium.serve.site import Mount, Site
from voxarium.serve.tiles import tile

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["mount"]

_MOST_COUNTED: Final = 64 << 20  # bytes of voxels for a histogram
_MOST_BINS: Final = 4096


def mount(site: Site) -> Mount:
    """Return the routes of voxels."""
    routes = {"cutout": _cutout, "tile": tile, "value": _value, "histogram": _histogram}
    apps = {name: _app(site, name, answer) for name, answer in routes.items()}
    return Mount(name="voxels", bare=apps, guards={n: Guard(address_guard(n), _absent) for n in routes})


def _absent() -> Answer:
    return failure(404, "no image is at this address")


def _app(site: Site, name: str, make: Callable[[Site, Scope, bytes], Answer]) -> ASGIApp:
    """Return an application that answers from a thread: reading waits and drawing takes long."""

    def made(scope: Scope, rest: bytes) -> Answer:
        try:
            return make(site, scope, rest)
        except RefusedError as refused:
            return refused.answer

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            allow = [(b"allow", b"GET, HEAD, OPTIONS"), (b"connection", b"close")]
            answer = failure(405, "only GET and HEAD are possible here", allow)
        else:
            answer = await site.run_slow(made, scope, scope["raw_path"][len(name) + 2 :])
        if scope["method"] == "HEAD":
            answer.first = b""
        await send_answer(site, answer, receive, send)

    return app


def _cutout(site: Site, scope: Scope, raw: bytes) -> Answer:
    arguments = arguments_of(scope, ("box", "level", "format"))
    image, _, _ = image_at(site, raw)
    level = arguments.level(image)
    format = arguments.text("format", "npy", among=tuple(FORMATS))
    box = parse_box(arguments.given.get("box"), image, level)
    too_large(image, level, box, site.settings.most_cutout)
    body, media_type = encode(Cutout(image, level, box), format)
    age = site.settings.max_age
    cache = b"public, max-age=%d" % age if age else b"no-cache"
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", cache),
    ]
    return Answer(200, headers, body)


def _value(site: Site, scope: Scope, raw: bytes) -> Answer:
    arguments = arguments_of(scope, ("at", "level"))
    image, address, _ = image_at(site, raw)
    level = arguments.level(image)
    if "at" not in arguments.given:
        raise RefusedError(400, f"at is needed: one whole number for each of {', '.join(a.name for a in image.axes)}")
    index = parse_index(arguments.given["at"], image, level)
    shape = image.level(level).shape
    box = Box(tuple(i or 0 for i in index), tuple(n if i is None else 1 for i, n in zip(index, shape, strict=True)))
    too_large(image, level, box, min(site.settings.most_cutout, 1 << 20) if None in index else _one(site))
    found = image.read(box, level=level)
    kept = found[tuple(slice(None) if i is None else 0 for i in index)]
    return json_answer({
        "address": address,
        "level": level,
        "at": list(index),
        "value": _json(kept),
        "dtype": image.dtype.name,
        "world": _world(site, image, level, index),
    })  # fmt: skip


def _one(site: Site) -> int:
    return site.settings.most_cutout


def _world(site: Site, image: Any, level: int, index: tuple[int | None, ...]) -> dict[str, Any] | None:
    """Return where the centre of a voxel is; None where that takes more than a scale and a translation."""
    try:
        scale, translation = image.scale_translation(level)
    except InputError:
        return None
    return {
        axis.name: {"position": i * s + t, "unit": axis.unit}
        for axis, i, s, t in zip(image.axes, index, scale, translation, strict=True)
        if i is not None
    }


def _json(values: Any) -> Any:  # Any: a sample, or an array of them → JSON
    """Return samples as JSON; what is no number there is a text, complex ones are pairs."""
    if isinstance(values, np.ndarray) and values.ndim:
        return [_json(v) for v in values]
    value = values.item() if isinstance(values, np.generic | np.ndarray) else values
    if isinstance(value, complex):
        return [_json(value.real), _json(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float) else str(value)


def _histogram(site: Site, scope: Scope, raw: bytes) -> Answer:
    arguments = arguments_of(scope, ("level", "bins", "box", "channel"))
    image, address, _ = image_at(site, raw)
    level = arguments.level(image, len(image.levels) - 1)
    bins = arguments.number("bins", 256, low=1, high=_MOST_BINS)
    box = parse_box(arguments.given.get("box"), image, level)
    channel = next((i for i, axis in enumerate(image.axes) if axis.type == "channel"), None)
    if "channel" in arguments.given:
        if channel is None:
            raise RefusedError(400, "the image has no channels")
        chosen = arguments.number("channel", 0, high=image.level(level).shape[channel] - 1)
        start, stop = list(box.origin), list(box.stop)
        start[channel], stop[channel] = chosen, chosen + 1
        box = Box.from_bounds(tuple(start), tuple(stop))
    too_large(image, level, box, min(_MOST_COUNTED, site.settings.most_cutout))
    return json_answer({"address": address, "level": level, **_counted(image.read(box, level=level), bins)})


def _counted(data: NDArray[Any], bins: int) -> dict[str, Any]:
    """Return counts of values; whole numbers of few values have a bin each."""
    values = np.abs(data) if np.iscomplexobj(data) else data
    values = values.astype(np.uint8) if values.dtype == bool else values
    out: dict[str, Any] = {"dtype": data.dtype.name, "voxels": int(data.size), "not_finite": 0}
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        out["not_finite"] = int(values.size - np.count_nonzero(finite))
        values = values[finite]
    if values.size == 0:
        return {**out, "min": None, "max": None, "edges": [], "counts": []}
    low, high = values.min().item(), values.max().item()
    if values.dtype.kind in "iu" and high - low < bins:
        offsets = (values.ravel() - values.dtype.type(low)).astype(np.int64)
        counts = np.bincount(offsets, minlength=high - low + 1)
        edges = [float(v) - 0.5 for v in range(low, high + 2)]
    else:
        counts, found = _binned(values, bins, low, high)
        edges = found
    return {**out, "min": low, "max": high, "edges": edges, "counts": counts.tolist()}


def _binned(values: NDArray[Any], bins: int, low: float, high: float) -> tuple[NDArray[np.int64], list[float]]:
    if not math.isfinite(float(high) - float(low)):  # the width of a bin has to be a number
        values, low, high = values / 2, low / 2, high / 2
        counts, edges = np.histogram(values, bins, (low, high))
        return counts, [min(max(float(e) * 2, -1.7e308), 1.7e308) for e in edges]
    if float(low) == float(high):
        return np.asarray([values.size], np.int64), [float(low), float(high)]
    counts, edges = np.histogram(values.astype(np.float64, copy=False), bins, (float(low), float(high)))
    return counts, edges.tolist()
