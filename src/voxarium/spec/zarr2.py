"""Zarr v2 metadata: ``.zarray``, ``.zgroup``, ``.zattrs`` and consolidated ``.zmetadata``.

https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html

Dialects read: ``dimension_separator`` absent (then ``.``) or ``/``; ``filters: []`` instead of null; a null
fill value (zeros); integral floats and (n5-zarr) quoted numbers as fill values; bare NaN in attributes.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from typing_extensions import Buffer

from voxarium.model.fields import Fields, Problems, dump_json, parse_json_object
from voxarium.model.fill import dump_fill, parse_fill

__all__ = [
    "ArrayMetadata",
    "GroupMetadata",
    "chunk_key",
    "dump_array",
    "dump_attributes",
    "dump_group",
    "parse_array",
    "parse_attributes",
    "parse_consolidated",
    "parse_group",
]

_NUMERIC: Final = re.compile(r"(?:[|<>](?:b1|[iu]1)|[<>](?:[iuf][248]|c8|c16))\Z")
_OTHER: Final = re.compile(r"[|<>](?:[SUVO][0-9]{0,9}|[mM]8(?:\[[0-9]{0,9}[a-zA-Zμ]{1,7}\])?)\Z")
_NUMBER: Final = re.compile(r"-?[0-9]{1,25}(?:\.[0-9]{0,25})?(?:[eE][+-]?[0-9]{1,3})?\Z")
_MAX_AXES: Final = 32
_MAX_FILTERS: Final = 32  # each sets aside room for what the next may need
_MAX_CHUNK_BYTES: Final = 2**36  # a chunk is decoded in memory; larger ones are a mistake or an attack


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayMetadata:
    """The ``.zarray`` of an array, and the attributes beside it.

    Parameters
    ----------
    shape, chunk_shape : tuple of int
        Elements, in C order of the axes whatever `order` says.
    dtype_json : str or list
        As written.
    dtype : numpy.dtype or None
        With the stored byte order; None for strings, times, objects and structures.
    compressor : mapping or None
        numcodecs configuration: ``id`` and settings.
    filters : tuple of mapping
        numcodecs configurations, in encoding order.
    order : {"C", "F"}
        Layout of elements within a chunk.
    fill_value : numpy scalar, JSON or None
        Scalar of `dtype` (zero for null); bytes for byte strings; else JSON as found.
    extra : mapping
        Unknown keys, carried along.
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    dtype_json: Any  # Any: string, or nested lists of a structure
    dtype: np.dtype[Any] | None
    compressor: Mapping[str, Any] | None = None  # Any: JSON as found
    filters: tuple[Mapping[str, Any], ...] = ()  # Any: JSON as found
    order: Literal["C", "F"] = "C"
    fill_value: Any = 0  # Any: see above
    dimension_separator: Literal["/", "."] = "."
    attributes: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMetadata:
    """The ``.zgroup`` of a group, and the attributes beside it."""

    attributes: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found


def chunk_key(index: Sequence[int], separator: str) -> str:
    """Return the key of a chunk below its array; ``0`` for an array without axes.

    Examples
    --------
    >>> chunk_key((2, 0), "/"), chunk_key((), ".")
    ('2/0', '0')
    """
    return separator.join(map(str, index)) if index else "0"


# ---------------------------------------------------------------------------------------------------- parse
def parse_attributes(data: Buffer | str | None, where: str = ".zattrs") -> dict[str, Any]:  # Any: JSON as found
    """Return the attributes in a ``.zattrs``; none when there is no such document."""
    return {} if data is None else parse_json_object(data, where)


def parse_group(
    data: Buffer | str | Mapping[str, Any],
    attributes: Mapping[str, Any] | None = None,
    where: str = ".zgroup",
) -> GroupMetadata:
    """Return the group a ``.zgroup`` describes.

    Raises
    ------
    FormatError
        If it breaks the specification; all problems are listed.
    """
    problems = Problems(where)
    fields = Fields(data if isinstance(data, Mapping) else parse_json_object(data, where), problems)
    fields.integer("zarr_format", 2, 2)
    problems.check()
    return GroupMetadata(attributes=attributes or {}, extra=fields.rest())


def parse_array(
    data: Buffer | str | Mapping[str, Any],
    attributes: Mapping[str, Any] | None = None,
    where: str = ".zarray",
) -> ArrayMetadata:
    """Return the array a ``.zarray`` describes.

    Raises
    ------
    FormatError
        If it breaks the specification; all problems are listed.
    """
    problems = Problems(where)
    fields = Fields(data if isinstance(data, Mapping) else parse_json_object(data, where), problems)
    fields.integer("zarr_format", 2, 2)
    shape = fields.lengths("shape", 0)
    chunk_shape = fields.lengths("chunks", 1)
    if len(shape) > _MAX_AXES:
        problems.add(f"shape has {len(shape)} axes, more than {_MAX_AXES}")
    if len(chunk_shape) != len(shape):
        problems.add(f"chunks has {len(chunk_shape)} axes and shape has {len(shape)}")
    dtype_json = fields.raw("dtype")
    dtype = _dtype(dtype_json, fields)
    if math.prod(chunk_shape) * (dtype.itemsize if dtype else 1) > _MAX_CHUNK_BYTES:
        problems.add(f"chunks of {chunk_shape} elements take more than {_MAX_CHUNK_BYTES >> 30} GiB each")
    order = fields.choice("order", ("C", "F"), "C")
    separator = fields.choice("dimension_separator", (".", "/"), ".")
    compressor, filters = _codec(fields, "compressor"), _filters(fields)
    fill_value = _fill(fields, dtype, dtype_json)
    problems.check()
    return ArrayMetadata(
        shape=shape,
        chunk_shape=chunk_shape,
        dtype_json=dtype_json,
        dtype=dtype,
        compressor=compressor,
        filters=filters,
        order="F" if order == "F" else "C",
        fill_value=fill_value,
        dimension_separator="/" if separator == "/" else ".",
        attributes=attributes or {},
        extra=fields.rest(),
    )


def parse_consolidated(
    data: Buffer | str | Mapping[str, Any], where: str = ".zmetadata"
) -> dict[str, ArrayMetadata | GroupMetadata]:
    """Return the nodes a ``.zmetadata`` describes, by path (the root is ``""``).

    Raises
    ------
    FormatError
        If the document or one of the nodes breaks the specification.
    """
    problems = Problems(where)
    fields = Fields(data if isinstance(data, Mapping) else parse_json_object(data, where), problems)
    fields.integer("zarr_consolidated_format", 1, 1)
    entries = fields.mapping("metadata")
    for key, entry in entries.items():
        if not isinstance(entry, Mapping):
            problems.add(f"metadata.{key} is not an object")
    fix = "remove the consolidated metadata; it is only a copy of the nodes' own"
    problems.check(fix)
    nodes: dict[str, ArrayMetadata | GroupMetadata] = {}
    for key, entry in entries.items():
        path, _, name = key.rpartition("/")
        attributes = entries.get(f"{path}/.zattrs" if path else ".zattrs", {})
        if name == ".zarray":
            nodes[path] = parse_array(entry, attributes, f"{where}: {key}")
        elif name == ".zgroup" and path not in nodes:
            nodes[path] = parse_group(entry, attributes, f"{where}: {key}")
    return nodes


def _dtype(value: object, fields: Fields) -> np.dtype[Any] | None:
    if isinstance(value, str):
        if _NUMERIC.match(value):
            return np.dtype(value)
        if not _OTHER.match(value):
            fields.wrong("dtype", "a numpy type string such as '<u2'")
    elif value is not None and (not isinstance(value, list) or not value):
        fields.wrong("dtype", "a numpy type string such as '<u2'")
    return None


def _codec(fields: Fields, key: str) -> Mapping[str, Any] | None:
    value = fields.raw(key, None)
    if value is None:
        return None
    if isinstance(value, Mapping) and isinstance(value.get("id"), str):
        return value
    fields.wrong(key, "null or an object with an id")
    return None


def _filters(fields: Fields) -> tuple[Mapping[str, Any], ...]:
    value = fields.raw("filters", None)
    if value is None:
        return ()
    if isinstance(value, list) and len(value) > _MAX_FILTERS:
        fields.wrong("filters", f"a list of at most {_MAX_FILTERS}")
        return ()
    if isinstance(value, list) and all(isinstance(f, Mapping) and isinstance(f.get("id"), str) for f in value):
        return tuple(value)
    fields.wrong("filters", "null or a list of objects with an id")
    return ()


def _fill(fields: Fields, dtype: np.dtype[Any] | None, dtype_json: object) -> Any:  # Any: see ArrayMetadata
    value = fields.raw("fill_value", None)
    if dtype is not None:
        if value is None:
            # "null" leaves the values of absent chunks undefined; every reader takes zeros.
            return dtype.newbyteorder("=").type(0)
        if isinstance(value, str) and _NUMBER.match(value):
            value = float(value) if dtype.kind in "fc" or not value.lstrip("-").isdigit() else int(value)
        try:
            return parse_fill(value, dtype)
        except ValueError as error:
            fields.wrong("fill_value", str(error))
            return dtype.newbyteorder("=").type(0)
    raw = not isinstance(dtype_json, str) or dtype_json[1:2] in ("S", "V")
    if raw and isinstance(value, str):
        try:
            return base64.standard_b64decode(value)
        except (binascii.Error, ValueError):
            fields.wrong("fill_value", "base64 text")
    return value


# ----------------------------------------------------------------------------------------------------- dump
def dump_array(meta: ArrayMetadata) -> bytes:
    """Return the ``.zarray`` of an array."""
    fill = meta.fill_value
    if meta.dtype is not None:
        fill = dump_fill(fill, exact_nan=False)
    elif isinstance(fill, bytes):
        fill = base64.standard_b64encode(fill).decode()
    doc: dict[str, Any] = {
        "zarr_format": 2,
        "shape": list(meta.shape),
        "chunks": list(meta.chunk_shape),
        "dtype": meta.dtype_json,
        "compressor": None if meta.compressor is None else dict(meta.compressor),
        "fill_value": fill,
        "order": meta.order,
        "filters": [dict(f) for f in meta.filters] or None,  # null, never []: rule Z2-001
        "dimension_separator": meta.dimension_separator,
    }
    return dump_json(doc | dict(meta.extra))


def dump_group(meta: GroupMetadata) -> bytes:
    """Return the ``.zgroup`` of a group."""
    return dump_json({"zarr_format": 2} | dict(meta.extra))


def dump_attributes(attributes: Mapping[str, Any]) -> bytes:  # Any: JSON
    """Return a ``.zattrs``."""
    return dump_json(attributes)
