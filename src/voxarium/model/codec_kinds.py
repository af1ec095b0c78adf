"""Where a codec of Zarr v3 may stand in a chain, by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["CODEC_KINDS", "in_order"]

CODEC_KINDS: Final[Mapping[str, str]] = (
    dict.fromkeys(["transpose", "reshape", "bitround", "scale_offset", "cast_value"], "array->array")
    | dict.fromkeys([f"numcodecs.{n}" for n in ("delta", "bitround", "fixedscaleoffset", "quantize")], "array->array")
    | dict.fromkeys(["numcodecs.packbits", "numcodecs.astype"], "array->array")
    | dict.fromkeys(["bytes", "sharding_indexed", "packbits", "zfp", "vlen-utf8", "vlen-bytes"], "array->bytes")
    | dict.fromkeys(["numcodecs.pcodec", "numcodecs.zfpy", "n5_default"], "array->bytes")
    | dict.fromkeys(["blosc", "gzip", "zstd", "crc32c"], "bytes->bytes")
    | dict.fromkeys(
        [f"numcodecs.{n}" for n in ("blosc", "gzip", "zlib", "zstd", "lz4", "bz2", "lzma", "shuffle")],
        "bytes->bytes",
    )
    | dict.fromkeys(
        [f"numcodecs.{n}" for n in ("crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3")],
        "bytes->bytes",
    )
)
"""Codecs that are not listed cannot be judged."""

_ORDER: Final = ("array->array", "array->bytes", "bytes->bytes")


def in_order(names: Sequence[str]) -> bool:
    """Tell whether codecs are array → array, exactly one array → bytes, bytes → bytes; true where one is not known.

    Examples
    --------
    >>> in_order(["transpose", "bytes", "zstd"]), in_order(["zstd", "bytes"]), in_order(["zstd", "nobody.knows"])
    (True, False, True)
    """
    kinds = [CODEC_KINDS.get(name) for name in names]
    if None in kinds:
        return True
    ranks = [_ORDER.index(kind) for kind in kinds if kind]
    return ranks.count(1) == 1 and ranks == sorted(ranks)
