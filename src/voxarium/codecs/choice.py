"""Compressors by the short names people type: ``zstd:1``, ``gzip:5``, ``blosc:lz4:5:shuffle``, ``none``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, InputError

__all__ = ["CodecChoice", "parse_codec", "parse_compression_n5"]

_SHUFFLES: Final = ("noshuffle", "shuffle", "bitshuffle")
_CNAMES: Final = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
_BLOSC_MOST: Final = 2**31 - 17
_LEVELS: Final = {"zstd": (-131072, 22, 1), "gzip": (0, 9, 5)}
# Only N5 has these: the setting's name, lowest, highest and usual value.
_N5_ONLY: Final = {"lz4": ("blockSize", 64, 2**25, 65536), "xz": ("preset", 0, 9, 6), "bzip2": ("blockSize", 1, 9, 9)}


@dataclass(frozen=True, slots=True)
class CodecChoice:
    """A compressor and its settings; `name` is zstd, gzip, blosc or none."""

    name: str
    level: int = 0
    cname: str = ""
    shuffle: str = "noshuffle"
    typesize: int = 1

    def check_chunk(self, nbytes: int) -> None:
        """Raise InputError when the compressor cannot take a chunk of so many bytes."""
        if self.name == "blosc" and nbytes > _BLOSC_MOST:
            raise InputError(
                f"blosc cannot hold chunks of {nbytes} bytes, its limit is 2 GiB",
                code=Code.ARGUMENT_INVALID,
                fix="use smaller chunks, or zstd",
            )

    def to_v3(self) -> list[tuple[str, dict[str, Any]]]:  # Any: JSON
        """Return the Zarr v3 codecs: one, or none."""
        if self.name == "none":
            return []
        if self.name == "zstd":
            return [("zstd", {"level": self.level, "checksum": False})]
        if self.name == "gzip":
            return [("gzip", {"level": self.level})]
        return [
            (
                "blosc",
                {
                    "cname": self.cname,
                    "clevel": self.level,
                    "shuffle": self.shuffle,
                    "typesize": self.typesize,
                    "blocksize": 0,
                },
            )
        ]

    def to_numcodecs(self) -> dict[str, Any] | None:  # Any: JSON
        """Return the compressor of Zarr v2."""
        if self.name == "none":
            return None
        if self.name != "blosc":
            return {"id": self.name, "level": self.level}
        return {
            "id": "blosc",
            "cname": self.cname,
            "clevel": self.level,
            "shuffle": _SHUFFLES.index(self.shuffle),
            "blocksize": 0,
        }


def parse_codec(text: str | None, dtype: np.dtype[Any]) -> CodecChoice:
    """Return the compressor that a short name means for elements of a type.

    Parameters
    ----------
    text : str or None
        ``zstd[:level]``, ``gzip[:level]``, ``blosc[:compressor[:level[:shuffle]]]`` or ``none``; None for ``zstd:1``.
        By default blosc shuffles the bytes of elements that have more than one.
    dtype : numpy.dtype
        Type of the elements.

    Raises
    ------
    InputError
        If the name or a setting is unknown.

    Examples
    --------
    >>> parse_codec("blosc:zstd:3", np.dtype("u2"))
    CodecChoice(name='blosc', level=3, cname='zstd', shuffle='shuffle', typesize=2)
    """
    text = "zstd:1" if text is None else text
    name, *settings = text.strip().lower().split(":")
    if name == "none" and not settings:
        return CodecChoice("none")
    if name in _LEVELS and len(settings) <= 1:
        low, high, usual = _LEVELS[name]
        return CodecChoice(name, _level(text, settings[0], low, high) if settings else usual)
    if name == "blosc" and len(settings) <= 3:
        cname = settings[0] if settings else "lz4"
        level = _level(text, settings[1], 0, 9) if len(settings) > 1 else 5
        shuffle = settings[2] if len(settings) > 2 else "shuffle" if dtype.itemsize > 1 else "noshuffle"
        if cname in _CNAMES and shuffle in _SHUFFLES:
            return CodecChoice("blosc", level, cname, shuffle, dtype.itemsize)
    raise InputError(
        f"codec {text!r} is not known",
        code=Code.ARGUMENT_INVALID,
        fix="use zstd:1, gzip:5, blosc:lz4:5, blosc:zstd:3:bitshuffle, or none",
    )


def parse_compression_n5(text: str, dtype: np.dtype[Any]) -> dict[str, Any]:  # Any: JSON
    """Return the N5 compression that a short name means: the keys of its specification and no others.

    Parameters
    ----------
    text : str
        As for `parse_codec`; also ``raw``, ``lz4[:bytes]``, ``xz[:preset]`` and ``bzip2[:level]``.
    dtype : numpy.dtype
        Type of the elements.

    Raises
    ------
    InputError
        If the name or a setting is unknown.

    Examples
    --------
    >>> parse_compression_n5("bzip2", np.dtype("u1"))
    {'type': 'bzip2', 'blockSize': 9}
    """
    name, *settings = text.strip().lower().split(":")
    if name == "raw" and not settings:
        return {"type": "raw"}
    if name in _N5_ONLY and len(settings) <= 1:
        key, low, high, usual = _N5_ONLY[name]
        return {"type": name, key: _level(text, settings[0], low, high) if settings else usual}
    choice = parse_codec(text, dtype)
    if choice.name == "blosc":
        shuffle = _SHUFFLES.index(choice.shuffle)
        return {"type": "blosc", "cname": choice.cname, "clevel": choice.level, "shuffle": shuffle, "blocksize": 0}
    return {"type": "raw"} if choice.name == "none" else {"type": choice.name, "level": choice.level}


def _level(text: str, value: str, low: int, high: int) -> int:
    try:
        level = int(value)
    except ValueError:
        level = low - 1
    if low <= level <= high:
        return level
    raise InputError(
        f"codec {text!r} has no level {value!r}",
        code=Code.ARGUMENT_INVALID,
        fix=f"use a level from {low} to {high}",
    )
