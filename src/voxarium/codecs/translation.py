"""From the codecs of Zarr v2 (numcodecs configurations) to those of Zarr v3 that read the same bytes.

Names of the core and of registered extensions are used where they mean the same, ``numcodecs.*`` elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, UnsupportedError

__all__ = ["PORTABLE", "codecs_for_v3"]

PORTABLE: Final = frozenset({"bytes", "transpose", "blosc", "gzip", "zstd", "crc32c", "sharding_indexed"})
"""Codecs of Zarr v3 that every common reader has; see the documentation of those readers for the others."""

_SHUFFLES: Final = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}
_ELEMENTS: Final = frozenset({"delta", "fixedscaleoffset", "quantize", "astype", "bitround"})
_ARRAYS: Final = _ELEMENTS | {"packbits"}
_TYPES: Final = ("dtype", "astype", "encode_dtype", "decode_dtype")

_Named = tuple[str, dict[str, Any]]  # Any: JSON


def codecs_for_v3(
    codecs: Sequence[Mapping[str, Any]],
    order: str,
    dtype: np.dtype[Any],
    ndim: int,
    where: str,
) -> list[_Named]:
    """Return name and configuration of the Zarr v3 codecs that decode what these numcodecs encoded.

    Parameters
    ----------
    codecs : sequence of mapping
        Filters, then the compressor, as numcodecs configurations.
    order : {"C", "F"}
        Layout of the elements within a chunk.
    dtype : numpy.dtype
        With the stored byte order.
    ndim : int
        Axes of the array.
    where : str
        The array, for messages.

    Raises
    ------
    UnsupportedError
        If Zarr v3 has no way to say it that all readers understand alike.

    Examples
    --------
    >>> codecs_for_v3([{"id": "zlib", "level": 1}], "C", np.dtype("<u2"), 2, "a")
    [('bytes', {'endian': 'little'}), ('numcodecs.zlib', {'level': 1})]
    """
    names = [str(c.get("id")) for c in codecs]
    arrays = next((i for i, name in enumerate(names) if name not in _ARRAYS), len(names))
    _check_byte_order(codecs[:arrays], dtype, where)
    out: list[_Named] = []
    if order == "F" and ndim > 1:
        out.append(("transpose", {"order": list(reversed(range(ndim)))}))
    itemsize = dtype.itemsize
    for config in codecs[:arrays]:
        out.append(_numcodecs(config))
        itemsize = _encoded_itemsize(config, itemsize)
    endian = "big" if arrays == 0 and _big(dtype) else "little"
    out.append(("bytes", {"endian": endian} if itemsize > 1 else {}))
    for config in codecs[arrays:]:
        out.append(_packer(config, itemsize))
        itemsize = 1  # what a compressor returns is bytes
    return out


def _big(dtype: np.dtype[Any]) -> bool:
    return dtype.itemsize > 1 and dtype.newbyteorder("=").str != dtype.str and dtype.str[0] == ">"


def _check_byte_order(filters: Sequence[Mapping[str, Any]], dtype: np.dtype[Any], where: str) -> None:
    """Refuse filters that work on elements whose bytes are reversed.

    Zarr v3 does not say in which byte order such a codec sees elements: zarr-python hands it those of the store,
    others hand it native ones, and each would read garbage where the other reads values.
    """
    for config in filters:
        if config.get("id") not in _ELEMENTS:
            continue
        if _big(dtype) or any(str(config.get(key, ""))[:1] == ">" for key in _TYPES):
            raise UnsupportedError(
                f"{where} has the filter {config.get('id')!r} over big-endian elements, "
                "which readers of Zarr v3 decode differently from one another",
                code=Code.FEATURE_UNSUPPORTED,
                fix="convert this array with voxarium convert, which writes its chunks anew",
            )


def _encoded_itemsize(config: Mapping[str, Any], itemsize: int) -> int:
    if config["id"] == "packbits":
        return 1
    stored = config.get("encode_dtype", config.get("astype", config.get("dtype")))
    try:
        return itemsize if stored is None else np.dtype(str(stored)).itemsize
    except (TypeError, ValueError):  # the codec itself tells what is wrong with it
        return itemsize


def _numcodecs(config: Mapping[str, Any]) -> _Named:
    """Return a codec under its numcodecs name; the configuration is there even when it is empty."""
    return f"numcodecs.{config['id']}", {k: v for k, v in config.items() if k != "id"}


def _packer(config: Mapping[str, Any], itemsize: int) -> _Named:
    known = _NATIVE.get(str(config["id"]))
    found = None if known is None else known(config, itemsize)
    return _numcodecs(config) if found is None else found


def _blosc(config: Mapping[str, Any], itemsize: int) -> _Named | None:
    shuffle = config.get("shuffle", 1)
    if shuffle == -1:  # numcodecs: by the size of elements
        shuffle = 2 if itemsize == 1 else 1
    if not isinstance(shuffle, int) or shuffle not in _SHUFFLES:
        return None
    return "blosc", {
        "typesize": itemsize,
        "cname": config.get("cname", "lz4"),
        "clevel": config.get("clevel", 5),
        "shuffle": _SHUFFLES[shuffle],
        "blocksize": config.get("blocksize", 0),
    }


def _gzip(config: Mapping[str, Any], _itemsize: int) -> _Named:
    level = config.get("level", 1)
    return "gzip", {"level": 6 if level == -1 else level}  # -1 is zlib's word for its default


def _zstd(config: Mapping[str, Any], _itemsize: int) -> _Named:
    return "zstd", {"level": config.get("level", 0), "checksum": config.get("checksum", False)}


_NATIVE: Final[Mapping[str, Any]] = {"blosc": _blosc, "gzip": _gzip, "zstd": _zstd}
