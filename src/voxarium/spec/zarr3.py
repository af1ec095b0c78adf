"""Zarr v3 metadata: ``zarr.json`` of arrays and groups. Core specification 3.0 and 3.1.

https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html

Only the document is judged here; whether a codec's settings fit the array is for `voxarium.codecs` to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from typing_extensions import Buffer

from voxarium.errors import Code, UnsupportedError
from voxarium.model.array_specs import NUMERIC
from voxarium.model.codec_kinds import in_order
from voxarium.model.fields import Fields, Problems, dump_json, parse_json_object
from voxarium.model.fill import dump_fill, parse_fill

__all__ = [
    "ArrayMetadata",
    "ChunkKeys",
    "GroupMetadata",
    "NamedConfiguration",
    "dump_array",
    "dump_group",
    "parse_array",
    "parse_consolidated",
    "parse_group",
    "parse_node",
]

_MAX_AXES: Final = 32
_MAX_NESTING: Final = 8
_MAX_CODECS: Final = 32
_MAX_CHUNK_BYTES: Final = 2**36  # a chunk is decoded in memory; larger ones are a mistake or an attack
_SPEC: Final = "https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html"


@dataclass(frozen=True, slots=True)
class NamedConfiguration:
    """An extension point: a name and its settings."""

    name: str
    configuration: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the object form, which readers of 3.0 know too."""
        return {"name": self.name, "configuration": dict(self.configuration)}


@dataclass(frozen=True, slots=True)
class ChunkKeys:
    """How chunk indices become keys: encoding ``default`` (``c/0/1``) or ``v2`` (``0.1``)."""

    name: Literal["default", "v2"] = "default"
    separator: Literal["/", "."] = "/"

    @property
    def prefix(self) -> str:
        """What stands before the first index."""
        return "c" + self.separator if self.name == "default" else ""

    def key(self, index: Sequence[int]) -> str:
        """Return the key of a chunk below its array.

        Examples
        --------
        >>> ChunkKeys().key((2, 0)), ChunkKeys("v2", ".").key((2, 0)), ChunkKeys().key(())
        ('c/2/0', '2.0', 'c')
        """
        if not index:
            return "c" if self.name == "default" else "0"
        return self.prefix + self.separator.join(map(str, index))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayMetadata:
    """The ``zarr.json`` of an array.

    Parameters
    ----------
    shape, chunk_shape : tuple of int
        Elements in C order; `chunk_shape` is that of the chunk grid (the shard, where there are shards).
    data_type : str
        Name as written; for an extension data type its name.
    dtype : numpy.dtype or None
        None for data types outside the core specification.
    fill_value : numpy scalar or JSON
        JSON as found when `dtype` is None.
    extra : mapping
        Unknown top-level fields that declare ``must_understand: false``, and consolidated metadata.
    """

    shape: tuple[int, ...]
    data_type: str
    dtype: np.dtype[Any] | None
    chunk_shape: tuple[int, ...]
    codecs: tuple[NamedConfiguration, ...]
    chunk_keys: ChunkKeys = field(default_factory=ChunkKeys)
    fill_value: Any = 0  # Any: see above
    dimension_names: tuple[str | None, ...] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMetadata:
    """The ``zarr.json`` of a group; `consolidated` holds the nodes described inline, if any."""

    attributes: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found
    consolidated: Mapping[str, ArrayMetadata | GroupMetadata] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found


# ---------------------------------------------------------------------------------------------------- parse
def parse_node(data: Buffer | str | Mapping[str, Any], where: str = "zarr.json") -> ArrayMetadata | GroupMetadata:
    """Return the array or group a ``zarr.json`` describes.

    Raises
    ------
    FormatError
        If it breaks the specification; all problems are listed.
    UnsupportedError
        If it needs an extension that this package does not have.
    """
    doc = data if isinstance(data, Mapping) else parse_json_object(data, where)
    return parse_group(doc, where) if doc.get("node_type") == "group" else parse_array(doc, where)


def parse_array(data: Buffer | str | Mapping[str, Any], where: str = "zarr.json") -> ArrayMetadata:
    """Return the array a ``zarr.json`` describes. Raises as `parse_node` does."""
    doc = data if isinstance(data, Mapping) else parse_json_object(data, where)
    problems = Problems(where)
    fields = Fields(doc, problems)
    _header(fields, "array")
    shape = fields.lengths("shape", 0)
    if len(shape) > _MAX_AXES:
        problems.add(f"shape has {len(shape)} axes, more than {_MAX_AXES}")
    data_type, dtype = _data_type(fields)
    chunk_shape, grid = _chunk_grid(fields, problems, len(shape))
    codecs = _codecs(fields.raw("codecs"), problems, "codecs")
    chunk_keys = _chunk_keys(fields, problems)
    fill_value = _fill(fields, dtype)
    dimension_names = _dimension_names(fields, len(shape))
    attributes = fields.mapping("attributes", {})
    if grid == "regular" and math.prod(chunk_shape) * (dtype.itemsize if dtype else 1) > _MAX_CHUNK_BYTES:
        problems.add(f"chunks of {chunk_shape} elements take more than {_MAX_CHUNK_BYTES >> 30} GiB each")
    transformers = fields.raw("storage_transformers", [])
    if not isinstance(transformers, list):
        fields.wrong("storage_transformers", "a list")
    extra = fields.rest()
    problems.check()
    if grid != "regular":
        raise _unsupported(where, f"chunk grid {grid!r}", "rewrite the array with a regular chunk grid")
    if transformers:
        raise _unsupported(where, "storage transformers", "open the array with the software that wrote it")
    _check_understood(where, extra)
    return ArrayMetadata(
        shape=shape,
        data_type=data_type,
        dtype=dtype,
        chunk_shape=chunk_shape,
        codecs=codecs,
        chunk_keys=chunk_keys,
        fill_value=fill_value,
        dimension_names=dimension_names,
        attributes=attributes,
        extra=extra,
    )


def parse_group(data: Buffer | str | Mapping[str, Any], where: str = "zarr.json") -> GroupMetadata:
    """Return the group a ``zarr.json`` describes. Raises as `parse_node` does."""
    doc = data if isinstance(data, Mapping) else parse_json_object(data, where)
    problems = Problems(where)
    fields = Fields(doc, problems)
    _header(fields, "group")
    attributes = fields.mapping("attributes", {})
    fields.raw("consolidated_metadata", None)
    extra = fields.rest()
    problems.check()
    _check_understood(where, extra)
    return GroupMetadata(attributes=attributes, consolidated=parse_consolidated(doc, where), extra=extra)


def parse_consolidated(
    data: Buffer | str | Mapping[str, Any], where: str = "zarr.json"
) -> dict[str, ArrayMetadata | GroupMetadata] | None:
    """Return the nodes that a group's inline consolidated metadata describes, by path; None when it has none.

    Nodes that this package cannot read are left out: they may be no concern of the reader's.
    """
    doc = data if isinstance(data, Mapping) else parse_json_object(data, where)
    found = doc.get("consolidated_metadata")
    if found is None:
        return None
    problems = Problems(where)
    fields = Fields(found, problems, "consolidated_metadata")
    fields.choice("kind", ("inline",), "inline")
    entries = fields.mapping("metadata")
    problems.check("remove the consolidated metadata; it is only a copy of the nodes' own")
    nodes: dict[str, ArrayMetadata | GroupMetadata] = {}
    for path, entry in entries.items():
        plain = Fields(entry, problems, f"consolidated_metadata.metadata.{path}").rest()
        # A nested group's repeats what the top one says; following it could recurse without end.
        plain.pop("consolidated_metadata", None)
        problems.check("remove the consolidated metadata; it is only a copy of the nodes' own")
        try:
            nodes[path] = parse_node(plain, f"{where}: {path}")
        except UnsupportedError:
            continue
    return nodes


def _header(fields: Fields, node_type: str) -> None:
    fields.integer("zarr_format", 3, 3)
    fields.choice("node_type", (node_type,))


def _unsupported(where: str, what: str, fix: str) -> UnsupportedError:
    return UnsupportedError(f"{where} uses {what}", code=Code.FEATURE_UNSUPPORTED, fix=fix)


def _check_understood(where: str, extra: Mapping[str, Any]) -> None:
    """Refuse unknown fields that do not say they may be ignored (core specification, "Extensions")."""
    for key, value in extra.items():
        if key == "consolidated_metadata" or (isinstance(value, Mapping) and value.get("must_understand") is False):
            continue
        raise _unsupported(
            where,
            f"the unknown extension {key!r}",
            "open the array with the software that wrote it; an extension may change what the bytes mean",
        )


def _named(value: object, fields: Fields, key: str) -> NamedConfiguration:
    """Read an extension point: an object, or since 3.1 only a name."""
    if isinstance(value, str) and value:
        return NamedConfiguration(value)
    if isinstance(value, Mapping) and isinstance(value.get("name"), str) and value["name"]:
        configuration = value.get("configuration", {})
        if isinstance(configuration, Mapping):
            return NamedConfiguration(value["name"], configuration)
    fields.wrong(key, "an object with a name and a configuration", value)
    return NamedConfiguration("")


def _data_type(fields: Fields) -> tuple[str, np.dtype[Any] | None]:
    value = fields.raw("data_type")
    named = _named(value, fields, "data_type") if value is not None else NamedConfiguration("")
    return named.name, np.dtype(named.name) if named.name in NUMERIC else None


def _chunk_grid(fields: Fields, problems: Problems, ndim: int) -> tuple[tuple[int, ...], str]:
    value = fields.raw("chunk_grid")
    if value is None:
        return (), "regular"
    grid = _named(value, fields, "chunk_grid")
    if grid.name != "regular":
        return (), grid.name
    settings = Fields(grid.configuration, problems, "chunk_grid.configuration")
    chunk_shape = settings.lengths("chunk_shape", 1)
    if len(chunk_shape) != ndim:
        problems.add(f"chunk_grid has {len(chunk_shape)} axes and shape has {ndim}")
    return chunk_shape, "regular"


def _chunk_keys(fields: Fields, problems: Problems) -> ChunkKeys:
    value = fields.raw("chunk_key_encoding")
    if value is None:
        return ChunkKeys()
    named = _named(value, fields, "chunk_key_encoding")
    if named.name not in ("default", "v2"):
        fields.wrong("chunk_key_encoding", "the encoding 'default' or 'v2'")
        return ChunkKeys()
    settings = Fields(named.configuration, problems, "chunk_key_encoding.configuration")
    usual = "/" if named.name == "default" else "."
    separator = settings.choice("separator", ("/", "."), usual)
    return ChunkKeys("v2" if named.name == "v2" else "default", "." if separator == "." else "/")


def _fill(fields: Fields, dtype: np.dtype[Any] | None) -> Any:  # Any: numpy scalar, or JSON of an unknown data type
    value = fields.raw("fill_value")
    if dtype is None:
        return value
    if value is None:
        if fields.has("fill_value"):
            fields.wrong("fill_value", f"a value of {dtype.name}")
        return dtype.type(0)
    try:
        return parse_fill(value, dtype)
    except ValueError as error:
        fields.wrong("fill_value", str(error))
        return dtype.type(0)


def _dimension_names(fields: Fields, ndim: int) -> tuple[str | None, ...] | None:
    names = fields.raw("dimension_names", None)
    if names is None:
        return None
    if isinstance(names, list) and len(names) == ndim and all(n is None or isinstance(n, str) for n in names):
        return tuple(names)
    fields.wrong("dimension_names", f"a list of {ndim} strings or nulls")
    return None


def _codecs(value: object, problems: Problems, at: str, depth: int = 0) -> tuple[NamedConfiguration, ...]:
    """Read a chain of codecs, also those inside shards, and check the order of their kinds (rule Z3-003)."""
    if value is None:
        return ()
    if not isinstance(value, list) or not value or depth > _MAX_NESTING:
        problems.add(f"{at} is not a list of codecs" if depth <= _MAX_NESTING else f"{at} is nested too deeply")
        return ()
    if len(value) > _MAX_CODECS:  # each sets aside room for what the next may need
        problems.add(f"{at} is a chain of {len(value):,} codecs; {_MAX_CODECS} are plausible")
        return ()
    found = []
    for i, item in enumerate(value):
        codec = _named(item, Fields({}, problems, f"{at}[{i}]"), "name")
        found.append(codec)
        if codec.name == "sharding_indexed":
            for key in ("codecs", "index_codecs"):
                if key in codec.configuration:
                    _codecs(codec.configuration[key], problems, f"{at}[{i}].{key}", depth + 1)
    if not in_order([c.name for c in found]):
        problems.add(
            f"{at} ({', '.join(c.name for c in found)}) is not array -> array codecs, "
            "one array -> bytes codec, bytes -> bytes codecs"
        )
    return tuple(found)


# ----------------------------------------------------------------------------------------------------- dump
def dump_array(meta: ArrayMetadata) -> bytes:
    """Return the ``zarr.json`` of an array, in object form throughout (rule Z3-010)."""
    doc: dict[str, Any] = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(meta.shape),
        "data_type": meta.data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(meta.chunk_shape)}},
        "chunk_key_encoding": {
            "name": meta.chunk_keys.name,
            "configuration": {"separator": meta.chunk_keys.separator},
        },
        "fill_value": meta.fill_value if meta.dtype is None else dump_fill(meta.fill_value),
        "codecs": [c.to_json() for c in meta.codecs],
        "attributes": dict(meta.attributes),
    }
    if meta.dimension_names is not None:
        doc["dimension_names"] = list(meta.dimension_names)
    return dump_json(doc | dict(meta.extra))


def dump_group(meta: GroupMetadata) -> bytes:
    """Return the ``zarr.json`` of a group; consolidated metadata is not written."""
    doc = {"zarr_format": 3, "node_type": "group", "attributes": dict(meta.attributes)}
    return dump_json(doc | dict(meta.extra))
