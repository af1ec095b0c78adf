"""Codecs: the steps between voxels and stored bytes, their names in Zarr v3, numcodecs and N5, chains of them.

Each codec is a file that knows no other; this module puts them together. They are imported when a name calls
for them. No codec that runs code from the data (pickle) or makes Python objects is known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, Final, NamedTuple

import numpy as np

from voxarium.codecs.chain import Chain
from voxarium.codecs.choice import CodecChoice, parse_codec, parse_compression_n5
from voxarium.codecs.layout import Bytes, Transpose
from voxarium.codecs.sharding import ABSENT, Sharding
from voxarium.errors import Code, UnsupportedError
from voxarium.model.codec import (
    ArrayArrayCodec,
    ArrayBytesCodec,
    BytesBytesCodec,
    ChunkType,
    Codec,
    byteorder,
)
from voxarium.model.fields import Fields, Problems

__all__ = [
    "ABSENT",
    "Chain",
    "CodecChoice",
    "Sharding",
    "build_chain",
    "build_chain_v2",
    "build_packer_n5",
    "parse_codec",
    "parse_compression_n5",
]

# numcodecs ids, as Zarr v2 names them; Zarr v3 knows them with the prefix "numcodecs.".
_NUMCODECS: Final[Mapping[str, str]] = {
    "blosc": "blosc:Blosc",
    "gzip": "deflate:Gzip",
    "zlib": "deflate:Zlib",
    "zstd": "zstd:Zstd",
    "lz4": "lz4:Lz4",
    "bz2": "bz2_lzma:Bzip2",
    "lzma": "bz2_lzma:Lzma",
    "shuffle": "packing:Shuffle",
    "packbits": "packing:PackBools",
    "delta": "filters:Delta",
    "fixedscaleoffset": "filters:FixedScaleOffset",
    "quantize": "filters:Quantize",
    "bitround": "filters:BitRound",
    "astype": "filters:AsType",
    "crc32": "checksums:Crc32",
    "crc32c": "checksums:Crc32c",
    "adler32": "checksums:Adler32",
    "fletcher32": "checksums:Fletcher32",
    "jenkins_lookup3": "checksums:JenkinsLookup3",
}
_V3: Final[Mapping[str, str]] = {
    "bytes": "layout:Bytes",
    "transpose": "layout:Transpose",
    "reshape": "layout:Reshape",
    "packbits": "packing:PackBits",
    "bitround": "filters:BitRound",
    "blosc": "blosc:Blosc",
    "gzip": "deflate:Gzip",
    "zstd": "zstd:Zstd",
    "crc32c": "checksums:Crc32c",
    "sharding_indexed": "sharding:Sharding",
} | {f"numcodecs.{name}": place for name, place in _NUMCODECS.items()}

# Known by name, not by content: the reason helps more than "unknown".
_REFUSED: Final[Mapping[str, str]] = {
    "pickle": "would run code from the data",
    "json2": "makes Python objects, not numbers",
    "msgpack2": "makes Python objects, not numbers",
    "categorize": "makes Python objects, not numbers",
    "vlen-utf8": "holds text, not numbers",
    "vlen-bytes": "holds bytes of varying length, not numbers",
    "vlen-array": "holds arrays of varying length",
}

# Compressions of N5: the codec, and the settings it takes, with N5's defaults; all other settings are ignored.
_N5: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "gzip": ("deflate:Gzip", {"level": 6}),
    "zlib": ("deflate:Zlib", {"level": 6}),
    "bzip2": ("bz2_lzma:Bzip2", {"blockSize": 9}),
    "xz": ("bz2_lzma:Lzma", {"preset": 6}),
    "lz4": ("lz4_block:Lz4Block", {"blockSize": 65536}),
    "blosc": ("blosc:Blosc", {"cname": "blosclz", "clevel": 6, "shuffle": 0, "blocksize": 0}),
    "zstd": ("zstd:Zstd", {"level": 3}),
    "numcodecs.lz4": ("lz4:Lz4", {"acceleration": 1}),
}
_N5_PLACES: Final[Mapping[str, str]] = {name: place for name, (place, _) in _N5.items()}


class _Step(NamedTuple):
    name: str
    settings: object


def _make(step: _Step, table: Mapping[str, str], given: ChunkType, where: str) -> Any:  # Any: one of three protocols
    """Return the codec of a name and its settings, for arrays of one kind."""
    place = table.get(step.name)
    if place is None:
        reason = _REFUSED.get(step.name.removeprefix("numcodecs."))
        raise UnsupportedError(
            f"{where} is stored with the codec {step.name!r}, which "
            + (reason if reason else "this package does not have"),
            code=Code.CODEC_UNKNOWN,
            fix="convert the array with the software that wrote it, to zstd, gzip or blosc for example",
        )
    module, name = place.split(":")
    cls = getattr(import_module(f"voxarium.codecs.{module}"), name)
    fields = Fields(step.settings, Problems(f"{where}: codec {step.name}"))
    if cls is Sharding:
        return Sharding.parse(fields, given, partial(_build_inner, where))
    return cls.parse(fields, given)


def _build_inner(where: str, codecs: object, given: ChunkType, place: str) -> Chain:
    """Return a chain inside a shard, from JSON."""
    problems = Problems(f"{where}: {place} of sharding_indexed")
    if not isinstance(codecs, list) or not codecs:
        problems.add("there is no list of codecs")
    steps: list[tuple[str, Mapping[str, Any]]] = []
    for item in codecs if isinstance(codecs, list) else []:
        if isinstance(item, str):
            steps.append((item, {}))
            continue
        fields = Fields(item, problems)
        steps.append((fields.text("name"), fields.mapping("configuration", {})))
    problems.check()
    return build_chain(steps, given, where)


def build_chain(codecs: Sequence[tuple[str, Mapping[str, Any]]], given: ChunkType, where: str) -> Chain:
    """Return the chain of Zarr v3 codecs, by name and configuration.

    Parameters
    ----------
    codecs : sequence of (str, mapping)
        In encoding order.
    given : ChunkType
        The chunks.
    where : str
        The array, for messages.

    Raises
    ------
    FormatError
        If the codecs do not follow one another, or a configuration is wrong.
    UnsupportedError
        If a codec is not known.
    """
    arrays: list[ArrayArrayCodec] = []
    serializer: ArrayBytesCodec | None = None
    packers: list[BytesBytesCodec] = []
    current = given
    problems = Problems(f"{where}: codecs {', '.join(name for name, _ in codecs)}")
    for name, configuration in codecs:
        codec: Codec = _make(_Step(name, configuration), _V3, current, where)
        if codec.kind == "array->array" and serializer is None:
            arrays.append(codec)  # type: ignore[arg-type]  # its kind says so
            current = arrays[-1].encoded
        elif codec.kind == "array->bytes" and serializer is None:
            serializer = codec  # type: ignore[assignment]  # its kind says so
        elif codec.kind == "bytes->bytes" and serializer is not None:
            packers.append(codec)  # type: ignore[arg-type]  # its kind says so
        else:
            problems.add(f"{name} is {codec.kind} and stands in the wrong place")
            break
    if serializer is None:
        problems.add("no codec turns the array into bytes")
        problems.check()
        raise AssertionError  # pragma: no cover  check() raised
    problems.check()
    return Chain(given, arrays, serializer, packers)


def build_chain_v2(
    codecs: Sequence[Mapping[str, Any]], order: str, dtype: np.dtype[Any], given: ChunkType, where: str
) -> Chain:
    """Return the chain of a Zarr v2 array.

    Parameters
    ----------
    codecs : sequence of mapping
        Filters, then the compressor, as numcodecs configurations.
    order : {"C", "F"}
        Layout of the elements within a chunk.
    dtype : numpy.dtype
        With the stored byte order.
    given : ChunkType
        The chunks.
    where : str
        The array, for messages.

    Raises
    ------
    FormatError
        If a configuration is wrong.
    UnsupportedError
        If a codec is not known, or works on elements after another has made bytes of them.
    """
    arrays: list[ArrayArrayCodec] = []
    packers: list[BytesBytesCodec] = []
    current = replace(given, byteorder=byteorder(dtype))
    if order == "F" and len(given.shape) > 1:
        arrays.append(Transpose.of(tuple(reversed(range(len(given.shape)))), current))
        current = arrays[-1].encoded
    for configuration in codecs:
        settings = dict(configuration)
        name = str(settings.pop("id", ""))
        codec: Codec = _make(_Step(name, settings), _NUMCODECS, current, where)
        if codec.kind == "bytes->bytes":
            packers.append(codec)  # type: ignore[arg-type]  # its kind says so
            continue
        if packers:
            raise UnsupportedError(
                f"{where} has the filter {name!r} behind {packers[-1].text}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="convert the array with the software that wrote it",
            )
        arrays.append(codec)  # type: ignore[arg-type]  # its kind says so
        current = arrays[-1].encoded
    return Chain(given, arrays, Bytes(current, "big" if current.byteorder == ">" else "little"), packers)


def build_packer_n5(compression: Mapping[str, Any], given: ChunkType, where: str) -> BytesBytesCodec | None:
    """Return the codec of an N5 compression; None for ``raw``.

    Parameters
    ----------
    compression : mapping
        ``type`` and settings. Settings that the type does not have are ignored.
    given : ChunkType
        The blocks.
    where : str
        The array, for messages.

    Raises
    ------
    FormatError
        If a setting is wrong.
    UnsupportedError
        If the type is not known.
    """
    name = str(compression.get("type"))
    if name == "raw":
        return None
    if name == "gzip" and compression.get("useZlib") is True:
        name = "zlib"
    if name == "lz4" and "acceleration" in compression and "blockSize" not in compression:
        name = "numcodecs.lz4"  # zarr 2 puts the settings of numcodecs there, and its framing
    _, defaults = _N5.get(name, ("", {}))
    settings = {k: compression.get(k, default) for k, default in defaults.items()}
    if name == "bzip2":
        settings = {"level": settings["blockSize"]}
    codec: BytesBytesCodec = _make(_Step(name, settings), _N5_PLACES, given, where)
    return codec
