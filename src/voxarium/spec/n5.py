r"""N5: ``attributes.json`` of arrays, headers of blocks, and what blocks of strings hold.

https://github.com/saalfeldlab/n5#file-system-specification

N5 names axes fastest first, (x, y, z); here every shape and index is in C order, (z, y, x).

Dialects read: versions 1 to 4 of the specification; ``compressionType`` instead of ``compression`` (1.x); no ``n5``
version anywhere; no block size (the whole array is one block); the ``codecs`` list of the Java library 4; any keys
beside those of the specification in ``compression``, which are ignored.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from typing_extensions import Buffer

from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.model.codec import corrupt, truncated
from voxarium.model.fields import Fields, Problems, dump_json, parse_json_object

__all__ = [
    "DATASET_KEYS",
    "DTYPES",
    "MAX_BLOCK_BYTES",
    "VERSION",
    "ArrayMetadata",
    "BlockHeader",
    "block_key",
    "dump_array",
    "dump_block_header",
    "dump_group",
    "dump_strings",
    "is_array",
    "numcodecs_of",
    "parse_array",
    "parse_attributes",
    "parse_block_header",
    "parse_strings",
    "parse_version",
]

VERSION: Final = "2.0.0"
"""Version to write into new containers: nothing we write needs a later one, and older readers refuse later ones."""

MAX_BLOCK_BYTES: Final = 2**31
"""The specification's limit of a block (rule 7), which also bounds what is set aside for one."""

DATASET_KEYS: Final = frozenset({"dimensions", "blockSize", "dataType", "compression", "compressionType", "codecs"})
"""Keys that describe an array; all others are attributes of its users."""

_KINDS: Final = {"uint": "u", "int": "i", "float": "f"}
DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    f"{kind}{bits}": np.dtype(f">{_KINDS[kind]}{bits // 8}")
    for kind, widths in (("uint", (8, 16, 32, 64)), ("int", (8, 16, 32, 64)), ("float", (32, 64)))
    for bits in widths
}
"""Stored type by N5's name. Elements are big-endian."""

_OTHER: Final = ("string", "object")
_VERSION_KEY: Final = "n5"
_MAX_AXES: Final = 32
_NUMBERS: Final = re.compile(r"\s*([0-9]{1,9})(?:\.([0-9]{1,9}))?(?:\.([0-9]{1,9}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayMetadata:
    """The ``attributes.json`` of an array.

    Parameters
    ----------
    shape, block_shape : tuple of int
        Elements, in C order: reversed from how they are written.
    data_type : str
        As written: a numeric type, ``string`` or ``object``.
    compression : mapping
        ``type`` and settings, as found.
    version : str or None
        The ``n5`` key, which only the root of a container has; some writers put it everywhere.
    attributes : mapping
        All other keys.
    """

    shape: tuple[int, ...]
    block_shape: tuple[int, ...]
    data_type: str
    compression: Mapping[str, Any]  # Any: JSON as found
    version: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Stored type of the elements, big-endian; None for strings and objects."""
        return DTYPES.get(self.data_type)


# ------------------------------------------------------------------------------------------------ attributes
def parse_attributes(data: Buffer | str | None, where: str = "attributes.json") -> dict[str, Any]:  # Any: JSON
    """Return the attributes of a group or array; none when there is no such document."""
    return {} if data is None else parse_json_object(data, where)


def is_array(attributes: Mapping[str, Any]) -> bool:  # Any: JSON as found
    """Tell whether attributes are those of an array; groups (BDV setups, say) may have one of these keys."""
    return "dimensions" in attributes and "dataType" in attributes


def parse_version(value: object) -> tuple[int, int, int]:
    """Return (major, minor, patch) of an ``n5`` key; zeros for anything else, as the Java library has it.

    Examples
    --------
    >>> parse_version("2.5.1-SNAPSHOT"), parse_version(None)
    ((2, 5, 1), (0, 0, 0))
    """
    match = _NUMBERS.match(value) if isinstance(value, str) else None
    if match is None:
        return 0, 0, 0
    major, minor, patch = (int(n or 0) for n in match.groups())
    return major, minor, patch


def parse_array(data: Buffer | str | Mapping[str, Any], where: str = "attributes.json") -> ArrayMetadata:  # Any: JSON
    """Return the array that an ``attributes.json`` describes.

    Raises
    ------
    FormatError
        If it breaks the specification; all problems are listed.
    """
    problems = Problems(where)
    fields = Fields(data if isinstance(data, Mapping) else parse_json_object(data, where), problems)
    shape = fields.lengths("dimensions", 0)[::-1]
    data_type = fields.choice("dataType", (*DTYPES, *_OTHER))
    has_blocks = fields.has("blockSize")
    block_shape = fields.lengths("blockSize", 1)[::-1] if has_blocks else tuple(max(1, n) for n in shape)
    compression = _compression(fields, where)
    if not 0 < len(shape) <= _MAX_AXES:
        problems.add(f"dimensions has {len(shape)} axes, expected 1 to {_MAX_AXES}")
    if len(block_shape) != len(shape):
        problems.add(f"blockSize has {len(block_shape)} axes and dimensions has {len(shape)}")
    problems.check()
    version = fields.raw(_VERSION_KEY, None)
    meta = ArrayMetadata(
        shape=shape,
        block_shape=block_shape,
        data_type=data_type,
        compression=compression,
        version=version if isinstance(version, str) else None,
        attributes={k: v for k, v in fields.rest().items() if k not in DATASET_KEYS},
    )
    _check_block_size(meta, where)
    return meta


def _compression(fields: Fields, where: str) -> Mapping[str, Any]:  # Any: JSON as found
    """Return compression as an object with a ``type``, whichever way it is written."""
    for key in ("codecs", "compression", "compressionType"):
        if fields.has(key):
            break
    else:
        return {"type": "raw"}
    value = fields.raw(key)
    if key == "codecs":
        return _from_codecs(value, fields)
    if isinstance(value, str):
        return {"type": value}
    if key == "compressionType":
        fields.wrong(key, "a string")
        return {}
    compression = fields.mapping(key)
    if not isinstance(compression.get("type"), str):
        fields.wrong("compression", "an object with a type")
    return compression


def _from_codecs(value: object, fields: Fields) -> Mapping[str, Any]:  # Any: JSON as found
    """Return the compression in a list of codecs: blocks in the layout of N5, then at most one compressor."""
    steps = [s for s in value if isinstance(s, Mapping)] if isinstance(value, list) else []
    names = [s.get("name") for s in steps]
    well = isinstance(value, list) and len(value) == len(steps) and all(isinstance(n, str) for n in names)
    if not well or names[:1] != ["n5bytes"] or len(names) > 2:
        fields.wrong("codecs", "the codec n5bytes and at most one compression behind it")
        return {}
    if len(names) == 1:
        return {"type": "raw"}
    settings = steps[1].get("configuration")
    return {**(settings if isinstance(settings, Mapping) else {}), "type": names[1]}


def _check_block_size(meta: ArrayMetadata, where: str) -> None:
    dtype = meta.dtype
    nbytes = math.prod(meta.block_shape) * (dtype.itemsize if dtype else 1)
    if nbytes > MAX_BLOCK_BYTES:
        raise FormatError(
            f"{where}: blocks of {meta.block_shape} elements take {nbytes} bytes each, the limit is {MAX_BLOCK_BYTES}",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="correct the blockSize, or write the array again with smaller blocks",
        )


def dump_array(meta: ArrayMetadata) -> bytes:
    """Return the ``attributes.json`` of an array: the keys of the specification, then those of its users."""
    document: dict[str, Any] = {} if meta.version is None else {_VERSION_KEY: meta.version}  # Any: JSON
    document |= {
        "dimensions": list(meta.shape[::-1]),
        "blockSize": list(meta.block_shape[::-1]),
        "dataType": meta.data_type,
        "compression": dict(meta.compression),
    }
    return dump_json({**document, **meta.attributes})


def dump_group(attributes: Mapping[str, Any], *, root: bool = False) -> bytes:  # Any: JSON
    r"""Return the ``attributes.json`` of a group; that of the root of a container states the version.

    A version among the attributes stays as it is.

    Examples
    --------
    >>> dump_group({"k": 1}, root=True)
    b'{\n  "n5": "2.0.0",\n  "k": 1\n}\n'
    """
    return dump_json({**({_VERSION_KEY: VERSION} if root else {}), **attributes})


# ---------------------------------------------------------------------------------------------------- blocks
def block_key(index: Sequence[int]) -> str:
    """Return the key of a block below its array.

    Examples
    --------
    >>> block_key((2, 1, 0))  # z, y, x
    '0/1/2'
    """
    return "/".join(map(str, reversed(index)))


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """What stands before the compressed elements of a block.

    Parameters
    ----------
    mode : {"default", "varlength", "object"}
        Kind of block.
    shape : tuple of int or None
        Elements along each axis, in C order; None for objects.
    elements : int
        How many elements follow; for a default block the product of `shape`.
    length : int
        Bytes of the header.
    """

    mode: Literal["default", "varlength", "object"]
    shape: tuple[int, ...] | None
    elements: int
    length: int


def parse_block_header(payload: Buffer, block_shape: tuple[int, ...]) -> BlockHeader:
    """Return the header of a block of an array.

    Raises
    ------
    FormatError
        If it is cut off, has another number of axes, is larger than the array's blocks, or of an unknown mode.
    """
    head = bytes(memoryview(payload)[: 8 + 4 * len(block_shape)])
    if len(head) < 4:
        raise truncated(f"block of {len(head)} bytes is shorter than its header")
    mode = int.from_bytes(head[:2], "big")
    if mode == 2:
        return BlockHeader("object", None, *_count(head, 2))
    if mode > 2:
        raise corrupt(f"block has the mode {mode}; known are 0, 1 and 2")
    ndim = int.from_bytes(head[2:4], "big")
    if ndim != len(block_shape):
        raise corrupt(f"block has {ndim} axes, the array has {len(block_shape)}")
    stop = 4 + 4 * ndim
    if len(head) < stop:
        raise truncated(f"block of {len(head)} bytes is shorter than its header")
    shape = struct.unpack(f">{ndim}I", head[4:stop])[::-1]
    if any(not 0 < n <= most for n, most in zip(shape, block_shape, strict=True)):
        raise corrupt(f"block has the shape {shape}, blocks of the array have {block_shape}")
    if mode == 0:
        return BlockHeader("default", shape, math.prod(shape), stop)
    return BlockHeader("varlength", shape, *_count(head, stop))


def _count(head: bytes, at: int) -> tuple[int, int]:
    """Return the number of elements stated at a place of the header, and where the header ends."""
    if len(head) < at + 4:
        raise truncated(f"block of {len(head)} bytes is shorter than its header")
    count = int.from_bytes(head[at : at + 4], "big")
    if count > MAX_BLOCK_BYTES:
        raise corrupt(f"block claims {count} elements, more than any block may have")
    return count, at + 4


def dump_block_header(shape: tuple[int, ...], elements: int | None = None) -> bytes:
    """Return the header of a default block, or of a varlength block when `elements` is given.

    Examples
    --------
    >>> dump_block_header((3, 2, 1)).hex(" ", 4)
    '00000003 00000001 00000002 00000003'
    """
    head = struct.pack(f">HH{len(shape)}I", 0 if elements is None else 1, len(shape), *reversed(shape))
    return head if elements is None else head + struct.pack(">I", elements)


def numcodecs_of(compression: Mapping[str, Any]) -> Mapping[str, Any] | None:  # Any: JSON
    """Return the numcodecs configuration that undoes a compression.

    Raises
    ------
    UnsupportedError
        If numcodecs has none: LZ4 in Java's framing.
    """
    kind = compression.get("type")
    if kind == "gzip":
        return {"id": "zlib" if compression.get("useZlib") is True else "gzip", "level": 1}
    if kind == "blosc":
        return {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
    known = {"raw": None, "zstd": {"id": "zstd", "level": 1}, "bzip2": {"id": "bz2", "level": 1}}
    known["xz"] = {"id": "lzma", "format": 1, "check": -1, "preset": None, "filters": None}
    if kind not in known:
        raise UnsupportedError(
            f"blocks packed with {kind!r} cannot be presented without copying: other readers do not know it",
            code=Code.FEATURE_UNSUPPORTED,
            fix="copy it with voxarium convert",
        )
    return known[kind]


def parse_strings(data: Buffer, count: int) -> list[str]:
    r"""Return the strings of a decompressed block, in C order; empty ones for those that are not there.

    Parameters
    ----------
    data : bytes-like
        UTF-8, a NUL behind each string.
    count : int
        Elements of the block.

    Raises
    ------
    FormatError
        If there are more, or it is not UTF-8.

    Examples
    --------
    >>> parse_strings(b"one\0\0three\0", 4)
    ['one', '', 'three', '']
    """
    raw = bytes(data)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise corrupt(f"block of strings is not UTF-8: {error}") from error
    strings = text.removesuffix("\0").split("\0", count) if raw else []
    if len(strings) > count:
        raise corrupt(f"block holds more than {count} strings")
    return strings + [""] * (count - len(strings))


def dump_strings(strings: Sequence[str]) -> bytes:
    r"""Return strings as a block holds them before compression.

    Raises
    ------
    ValueError
        If one has a NUL in it.

    Examples
    --------
    >>> dump_strings(["a", ""])
    b'a\x00\x00'
    """
    if any("\0" in s for s in strings):
        raise ValueError("strings with NUL in them cannot be stored in N5")
    return "".join(f"{s}\0" for s in strings).encode()
