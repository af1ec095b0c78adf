"""HDF5 in parts: datasets whose chunks are objects of their own, until they are put together into one file.

Many writers cannot work on one HDF5 file at a time, so a conversion leaves every chunk as an object, with exactly the
bytes that HDF5 stores (elements shuffled by byte, then deflate), and puts the file together at the end without coding
anything again. ``<dataset>/hdf5-dataset.json`` describes a dataset, ``<dataset>/c/0/1/2`` is a chunk by its grid index,
and ``file.json`` holds the attributes of the file and of its datasets.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.array_specs import NUMERIC
from voxarium.model.axes import SPACE_UNITS, Axis
from voxarium.model.fields import Fields, Problems, dump_json, parse_json_object
from voxarium.model.fill import dump_fill, parse_fill
from voxarium.model.transforms import Transform, scale_translation

__all__ = [
    "ATTRIBUTES",
    "CHUNKS",
    "FILE",
    "DatasetParts",
    "FileParts",
    "chunk_index",
    "dataset_attributes",
    "dump_dataset",
    "dump_file",
    "parse_dataset",
    "parse_file",
]

FILE: Final = "file.json"
CHUNKS: Final = "c"
ATTRIBUTES: Final = "hdf5-dataset.json"
_LARGEST_CHUNK: Final = 2**32 - 1  # of the HDF5 library
_MOST_AXES: Final = 32
_FLAGS: Final = {"channel": 1, "space": 2, "angle": 4, "time": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetParts:
    """A dataset in parts.

    Parameters
    ----------
    shape, chunk_shape : tuple of int
        Voxels. Chunks at the end of an axis are padded, as HDF5 demands.
    dtype : numpy.dtype
        Stored little-endian.
    level : int or None
        Of the deflate filter, 1 to 9; None = not compressed.
    fill_value : numpy scalar
        Value of chunks that have no object.
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    level: int | None
    fill_value: Any = 0  # Any: a numpy scalar of `dtype`

    @property
    def filters(self) -> tuple[tuple[int, int], ...]:
        """HDF5 filter numbers with their first parameter, in encoding order: shuffle, deflate."""
        if self.level is None:
            return ()
        shuffle = ((2, self.dtype.itemsize),) if self.dtype.itemsize > 1 else ()
        return (*shuffle, (1, self.level))

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk before compression."""
        return math.prod(self.chunk_shape) * self.dtype.itemsize

    def check(self) -> None:
        """Raise InputError when HDF5 cannot hold such a dataset."""
        if not self.shape or len(self.shape) > _MOST_AXES:
            raise InputError(
                f"a chunked HDF5 dataset has 1 to {_MOST_AXES} axes, not {len(self.shape)}",
                code=Code.AXES_MISMATCH,
                fix="write another format",
            )
        if self.chunk_bytes > _LARGEST_CHUNK:
            raise InputError(
                f"chunks of {self.chunk_bytes} bytes are too large for HDF5, whose limit is 4 GiB",
                code=Code.ARGUMENT_INVALID,
                fix="use smaller chunks",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileParts:
    """What a file is to hold besides the voxels.

    Parameters
    ----------
    attributes : mapping
        Of the file.
    datasets : mapping
        Attributes of each dataset in parts, by its path.
    tables : mapping
        Small datasets by path: name of the type, and rows of numbers.
    stored : mapping
        Name of the type that stands in the file for another one of the same size, by dataset.
    names : mapping
        Name in the file of a dataset, where it is not the path of its parts.
    """

    attributes: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tables: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    stored: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def dump_dataset(parts: DatasetParts) -> bytes:
    """Return the document of a dataset."""
    return dump_json(
        {
            "shape": list(parts.shape),
            "chunk_shape": list(parts.chunk_shape),
            "dtype": parts.dtype.name,
            "deflate": parts.level,
            "fill_value": dump_fill(parts.fill_value),
        }
    )


def parse_dataset(raw: bytes, where: str) -> DatasetParts:
    """Parse the document of a dataset.

    Raises
    ------
    FormatError
        If it is none.
    """
    problems = Problems(where)
    found = Fields(parse_json_object(raw, where), problems)
    shape, chunk = found.raw("shape"), found.raw("chunk_shape")
    name, level, fill = found.text("dtype"), found.raw("deflate", None), found.raw("fill_value", 0)
    for key, value, least in (("shape", shape, 0), ("chunk_shape", chunk, 1)):
        if not isinstance(value, list) or not all(type(n) is int and least <= n < 2**62 for n in value):
            problems.add(f"{key} is not a list of lengths")
    if name not in NUMERIC:
        problems.add(f"dtype is {name!r}")
    if level is not None and (type(level) is not int or not 1 <= level <= 9):
        problems.add("deflate is not 1 to 9")
    problems.check()
    dtype = np.dtype(name)
    try:
        value = parse_fill(fill, dtype)
        parts = DatasetParts(shape=tuple(shape), chunk_shape=tuple(chunk), dtype=dtype, level=level, fill_value=value)
        if len(shape) != len(chunk):
            raise ValueError("shape and chunk_shape differ in length")
        parts.check()
    except (ValueError, TypeError, InputError) as error:
        raise FormatError(f"{where}: {error}", code=Code.METADATA_INVALID, fix="begin the conversion anew") from error
    return parts


def chunk_index(key: str, parts: DatasetParts) -> tuple[int, ...] | None:
    """Return the grid index in the key of a chunk, relative to its dataset; None for other keys.

    Examples
    --------
    >>> parts = DatasetParts(shape=(9, 9), chunk_shape=(4, 4), dtype=np.dtype("u1"), level=None)
    >>> chunk_index("c/2/0", parts), chunk_index("c/3/0", parts), chunk_index("hdf5-dataset.json", parts)
    ((2, 0), None, None)
    """
    head, *numbers = key.split("/")
    if head != CHUNKS or len(numbers) != len(parts.shape) or not all(n.isascii() and n.isdecimal() for n in numbers):
        return None
    index = tuple(int(n) for n in numbers if len(n) < 20)
    counts = [-(-n // c) for n, c in zip(parts.shape, parts.chunk_shape, strict=True)]
    inside = len(index) == len(counts) and all(i < n for i, n in zip(index, counts, strict=True))
    return index if inside else None


def dump_file(file: FileParts) -> bytes:
    """Return the document of a file."""
    return dump_json(
        {
            "attributes": dict(file.attributes),
            "datasets": {k: dict(v) for k, v in file.datasets.items()},
            "tables": {k: [dtype, rows] for k, (dtype, rows) in file.tables.items()},
            "stored": dict(file.stored),
            "names": dict(file.names),
        }
    )


def parse_file(raw: bytes, where: str) -> FileParts:
    """Parse what `dump_file` returns.

    Raises
    ------
    FormatError
        If it is something else.
    """
    found = parse_json_object(raw, where)
    parts = [found.get(k, {}) for k in ("attributes", "datasets", "tables", "stored", "names")]
    attributes, datasets, tables, stored, names = parts
    if (
        all(isinstance(p, dict) for p in parts)
        and all(isinstance(d, dict) for d in datasets.values())
        and all(isinstance(n, str) for n in (*stored.values(), *names.values()))
        and all(n in NUMERIC for n in stored.values())
        and all(isinstance(t, list) and len(t) == 2 and t[0] in ("int32", "float64") for t in tables.values())
    ):
        pairs = {k: (dtype, rows) for k, (dtype, rows) in tables.items()}
        return FileParts(attributes=attributes, datasets=datasets, tables=pairs, stored=stored, names=names)
    raise FormatError(f"{where} does not describe a file", code=Code.METADATA_INVALID, fix="begin the conversion anew")


def dataset_attributes(axes: tuple[Axis, ...], transform: Transform) -> dict[str, Any]:  # Any: JSON
    """Return the attributes by which programs of the field know axes and voxel sizes of a dataset.

    ``axes``, ``units``, ``scale``, ``translate`` as in COSEM, ``axistags`` for ilastik, and for volumes at the origin
    ``element_size_um`` for Fiji and PlantSeg.

    Examples
    --------
    >>> from voxarium.model.transforms import Scale
    >>> axes = tuple(Axis(name=n, type="space", unit="nanometer") for n in "zyx")
    >>> dataset_attributes(axes, Scale((30.0, 4.0, 4.0)))["element_size_um"]
    [0.03, 0.004, 0.004]
    """
    names = [a.name for a in axes]
    tags = [{"key": a.name, "typeFlags": _FLAGS.get(a.type, 0), "resolution": 0, "description": ""} for a in axes]
    out: dict[str, Any] = {"axes": names, "axistags": json.dumps({"axes": tags})}
    units = [a.unit or "" for a in axes]
    placed = scale_translation(transform, len(axes))
    if placed is None or any(a.type == "space" and a.unit not in SPACE_UNITS for a in axes):
        return out
    scale, translation = placed
    out |= {"units": units, "scale": list(scale)}
    if any(translation):
        out["translate"] = list(translation)
    elif names == ["z", "y", "x"]:
        factors = [SPACE_UNITS[u] / SPACE_UNITS["micrometer"] for u in units]
        out["element_size_um"] = [float(f"{s * f:.12g}") for s, f in zip(scale, factors, strict=True)]
    return out
