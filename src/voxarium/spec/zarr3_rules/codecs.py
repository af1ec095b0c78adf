"""Chains of codecs, also those within shards: rules Z3-003, Z3-008, Z3-010, Z3-017, Z3-021 and Z3-022."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from voxarium.model.checked_documents import is_integer, lengths_problem
from voxarium.model.checked_values import FLAG, Kind, one_of, whole
from voxarium.model.checking import Place, short
from voxarium.model.codec_kinds import CODEC_KINDS, in_order

__all__ = ["Held", "check_chain", "named"]

_DEEPEST: Final = 8
_MOST: Final = 100
_COMPRESSORS: Final = frozenset({"blosc", "gzip", "zstd"})
_LEVEL: Final = whole(0, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a codec is given: the shape of an array and the bytes of an element, as far as they are known."""

    shape: tuple[int, ...] | None
    ndim: int | None
    itemsize: int | None


def named(place: Place, rule: str) -> str | None:
    """Return the name of an extension point, an object or its name alone; None, reported, for anything else."""
    value = place.value
    if isinstance(value, str) and value:
        full = {"name": value, "configuration": {}}
        fix = f"write {short(full)}"
        place.report("Z3-010", "is a name alone", fix, expected=full, repair=(place.put(full),))
        return value
    name = place.text("name")
    settings = place["configuration"]
    if not name or (settings.there and not isinstance(settings.value, dict)):
        if place.there:
            place.report(rule, f"is {short(value)}", 'make it an object with "name" and "configuration"')
        return None
    marked = place["must_understand"]
    if marked.there:
        marked.report("Z3-010", "is stated within an extension", "remove it", repair=(marked.removed(),))
    return name


def check_chain(place: Place, held: Held, depth: int = 0) -> list[str]:
    """Check a list of codecs; return their names as far as they have some."""
    value = place.value
    if not isinstance(value, list) or not 0 < len(value) <= _MOST or depth > _DEEPEST:
        if place.there:
            place.report("Z3-003", "is no list of codecs", "list at least one codec from array to bytes")
        return []
    names: list[str] = []
    for item in place.items():
        name = named(item, "Z3-003")
        if name is None:
            continue
        names.append(name)
        check = _SETTINGS.get(name)
        if check is not None:
            held = check(item["configuration"], held, depth) or held
        elif CODEC_KINDS.get(name, "array->array") == "array->array":  # nobody knows what it makes of the array
            held = Held(shape=None, ndim=None, itemsize=None)
    if len(names) == len(value) and not in_order(names):
        message = f"is {', '.join(names)[:120]}"
        place.report("Z3-003", message, "put codecs of arrays first, then one to bytes, then codecs of bytes")
    return names


def _bytes(settings: Place, held: Held, _depth: int) -> None:
    order = settings["endian"]
    if order.there and order.value not in ("little", "big"):
        order.report("Z3-017", f"is {short(order.value)}", "make it 'little' or 'big'")
    elif not order.there and held.itemsize is not None and held.itemsize > 1:
        settings.report("Z3-017", "does not state the byte order", 'add "endian": "little" or "big"')


def _transpose(settings: Place, held: Held, _depth: int) -> Held | None:
    order = settings["order"]
    found = order.value
    if found in ("C", "F") and held.ndim is not None:  # of a draft of the specification
        axes = list(range(held.ndim))[:: -1 if found == "F" else 1]
        message, repair = f"is {found!r}, of a draft of the specification", (order.put(axes),)
        order.report("Z3-017", message, f"write {axes}", basis="text", expected=axes, repair=repair)
        return None if held.shape is None else replace(held, shape=tuple(held.shape[i] for i in axes))
    listed = isinstance(found, list) and all(map(is_integer, found))
    if not listed or sorted(found) != list(range(len(found))) or held.ndim not in (None, len(found)):
        count = "every axis" if held.ndim is None else f"each of 0 to {held.ndim - 1}"
        shown = short(found) if order.there else "absent"
        order.report("Z3-017", f"is {shown}", f"list {count} once")
        return Held(shape=None, ndim=held.ndim, itemsize=held.itemsize)
    return None if held.shape is None else replace(held, shape=tuple(held.shape[i] for i in found))


def _crc32c(settings: Place, _held: Held, _depth: int) -> None:
    if settings.value not in ({}, None) and settings.there:
        settings.report("Z3-017", "has settings", "remove them", level="should", repair=(settings.removed(),))


def _fields(*fields: tuple[str, Kind, bool]) -> Callable[[Place, Held, int], None]:
    def check(settings: Place, _held: Held, _depth: int) -> None:
        for name, kind, needed in fields:
            member = settings[name]
            if member.there and not kind.holds(member.value):
                member.report("Z3-017", f"is {short(member.value)}", f"make it {kind.text}")
            elif needed and not member.there:
                settings.report("Z3-017", f"has no {name!r}", f"add it: {kind.text}")

    return check


_blosc_fields = _fields(
    ("cname", one_of("lz4", "lz4hc", "blosclz", "zstd", "snappy", "zlib"), True),
    ("clevel", _LEVEL, True),
    ("shuffle", one_of("noshuffle", "shuffle", "bitshuffle"), True),
    ("blocksize", whole(0), True),
    ("typesize", whole(1), False),
)


def _blosc(settings: Place, held: Held, depth: int) -> None:
    _blosc_fields(settings, held, depth)
    if settings.text("shuffle") in ("shuffle", "bitshuffle") and not settings["typesize"].there:
        settings.report("Z3-017", "has no 'typesize'", "add it: the bytes of an element", level="should")


def _sharding(settings: Place, held: Held, depth: int) -> None:
    chunk = settings["chunk_shape"]
    problem = lengths_problem(chunk.value, 1, held.ndim) if chunk.there else ""
    for name in ("chunk_shape", "codecs", "index_codecs"):
        if not settings[name].there:
            settings.report("Z3-008", f"has no {name!r}", "add it")
    if problem:
        chunk.report("Z3-008", problem, "list the size of a chunk along each axis, all positive")
    inner = None if problem or not chunk.there else tuple(chunk.value)
    if inner is not None and held.shape is not None and any(n % c for n, c in zip(held.shape, inner, strict=True)):
        message = f"is {short(list(inner))}, which does not divide shards of {short(list(held.shape))}"
        chunk.report("Z3-008", message, "make it divide the shape of the shard along each axis")
    location = settings["index_location"]
    if location.there and location.value not in ("start", "end"):
        location.report("Z3-008", f"is {short(location.value)}", "make it 'start' or 'end'")
    count = None if inner is None else len(inner)
    check_chain(settings["codecs"], Held(shape=inner, ndim=count, itemsize=held.itemsize), depth + 1)
    _check_index(settings["index_codecs"], None if count is None else count + 1, depth)


def _check_index(place: Place, ndim: int | None, depth: int) -> None:
    names = check_chain(place, Held(shape=None, ndim=ndim, itemsize=8), depth + 1)
    for name in names:
        if name in _COMPRESSORS or name == "sharding_indexed":
            place.report("Z3-021", f"has the codec {name}", "use the codecs bytes and crc32c only")
    big = any(c.text("name") == "bytes" and c["configuration"].text("endian") == "big" for c in place.items())
    if names and ("crc32c" not in names or big):
        lacks = "is big-endian" if big else "has no checksum"
        place.report("Z3-022", lacks, "write the shards again with bytes (little) and crc32c")


_SETTINGS: Final[Mapping[str, Callable[[Place, Held, int], Held | None]]] = MappingProxyType(
    {
        "bytes": _bytes,
        "transpose": _transpose,
        "sharding_indexed": _sharding,
        "crc32c": _crc32c,
        "gzip": _fields(("level", _LEVEL, True)),
        "zstd": _fields(("level", whole(-131072, 22), True), ("checksum", FLAG, False)),
        "blosc": _blosc,
    }
)
"""Checks of settings; they return what the next codec is given where that is something else."""
