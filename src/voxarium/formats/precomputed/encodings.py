"""The encodings of chunks, by the names in an ``info`` and by the texts people type."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.codec import SizeBounds, as_bytes_array, check_size
from voxarium.spec.precomputed import ScaleInfo

__all__ = ["Choice", "ChunkEncoding", "choose_encoding", "described", "encoding_of", "size_bounds"]

Shape4 = tuple[int, int, int, int]


class ChunkEncoding(Protocol):
    """Turns a chunk, of shape (c, z, y, x), into bytes and back."""

    @property
    def key(self) -> Hashable:
        """Everything a decoder must know."""

    @property
    def text(self) -> str:
        """Description for people."""

    def encode(self, array: NDArray[Any], /) -> Buffer:
        """Return the bytes of a chunk."""

    def decode(
        self, payload: Buffer, shape: Shape4, dtype: np.dtype[Any], out: NDArray[Any] | None = None, /
    ) -> NDArray[Any]:
        """Return the chunk of a payload."""


@dataclass(frozen=True, slots=True)
class Raw:
    """The voxels as they are, little-endian: Fortran order of (x, y, z, c), which is C order of (c, z, y, x)."""

    @property
    def key(self) -> Hashable:
        """Everything a decoder must know."""
        return "raw"

    @property
    def text(self) -> str:
        """Description for people."""
        return "raw"

    def encode(self, array: NDArray[Any], /) -> Buffer:
        """Return the bytes of a chunk; may be a view of it."""
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data

    def decode(
        self, payload: Buffer, shape: Shape4, dtype: np.dtype[Any], _out: NDArray[Any] | None = None, /
    ) -> NDArray[Any]:
        """Return the chunk of a payload; it may be a read-only view."""
        nbytes = math.prod(shape) * dtype.itemsize
        data = as_bytes_array(payload)
        check_size("raw chunk", data.size, (nbytes, nbytes))
        return data.view(dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


class _Setting(NamedTuple):
    """A number that an encoder takes: its key in the ``info``, its bounds, and what it is unless given."""

    key: str
    low: int
    high: int
    usual: int


@dataclass(frozen=True, slots=True)
class _Kind:
    """What an encoding takes.

    Parameters
    ----------
    place : str
        Module and class; empty for raw.
    dtypes, channels : frozenset
        Types it stores, numbers of channels; an empty set stands for all.
    gzip : bool
        Whether its chunks are worth packing in shards.
    setting : _Setting or None
        The number behind a colon.
    also_read : frozenset
        Types that are read, and not written.
    lossy : bool
        What is read is only near what was written.
    """

    place: str
    dtypes: frozenset[str] = frozenset()
    channels: frozenset[int] = frozenset()
    gzip: bool = False
    setting: _Setting | None = None
    also_read: frozenset[str] = frozenset()
    lossy: bool = False


_SIGNED: Final = frozenset({"int8", "int16", "int32", "int64"})
_UNSIGNED: Final = frozenset({"uint8", "uint16", "uint32", "uint64"})
_KINDS: Final[Mapping[str, _Kind]] = {
    "raw": _Kind("", gzip=True),
    "compressed_segmentation": _Kind(
        "compressed_segmentation:CompressedSegmentation", frozenset({"uint32", "uint64"}), gzip=True
    ),
    "jpeg": _Kind(
        "chunk_images:Jpeg",
        frozenset({"uint8"}),
        frozenset({1, 3}),
        setting=_Setting("jpeg_quality", 1, 100, 85),
        lossy=True,
    ),
    "png": _Kind(
        "chunk_images:Png",
        frozenset({"uint8", "uint16"}),
        frozenset({1, 2, 3, 4}),
        setting=_Setting("png_level", 0, 9, 6),
    ),
    "jxl": _Kind(
        "chunk_images:JpegXl",
        frozenset({"uint8"}),
        frozenset({1, 3, 4}),
        setting=_Setting("jxl_quality", 1, 100, 85),
        lossy=True,
    ),
    "compresso": _Kind("compresso:Compresso", _UNSIGNED, frozenset({1}), gzip=True),
    "crackle": _Kind("crackle:Crackle", _UNSIGNED, frozenset({1}), gzip=True, also_read=_SIGNED),
}
_FOREIGN: Final = ("fpzip", "kempressed", "zfpc")


def _made(name: str, *settings: Any) -> ChunkEncoding:  # Any: what the class takes
    kind = _KINDS[name]
    if not kind.place:
        return Raw()
    module, cls = kind.place.split(":")
    made: ChunkEncoding = getattr(import_module(f"voxarium.codecs.{module}"), cls)(*settings)
    return made


def encoding_of(scale: ScaleInfo, dtype: np.dtype[Any], channels: int, where: str) -> ChunkEncoding:
    """Return the encoding of a scale.

    Raises
    ------
    UnsupportedError
        If this package does not have it, or it does not take such voxels.
    """
    kind = _KINDS.get(scale.encoding)
    if kind is None:
        extra = " (an addition of CloudVolume)" if scale.encoding in _FOREIGN else ""
        raise UnsupportedError(
            f"{where} is stored with the encoding {scale.encoding[:80]!r}{extra}, which this package does not have",
            code=Code.CODEC_UNKNOWN,
            fix="convert it with the software that wrote it, to raw or compressed_segmentation for example",
        )
    if dtype.name not in kind.also_read:
        _check_kind(scale.encoding, dtype, channels)
    settings = (tuple(reversed(scale.block_size)),) if scale.block_size is not None else ()
    return _made(scale.encoding, *settings)


def described(scale: ScaleInfo) -> str:
    """Return the encoding of a scale for people, with its setting where that is known.

    Examples
    --------
    >>> scale = ScaleInfo(key="a", size=(1, 1, 1), resolution=(1, 1, 1), chunk_sizes=((1, 1, 1),), encoding="jpeg")
    >>> described(scale)
    'jpeg'
    """
    kind = _KINDS[scale.encoding]
    number = None if kind.setting is None else scale.extra.get(kind.setting.key)
    return scale.encoding if type(number) is not int else f"{scale.encoding}:{number}"


def _check_kind(name: str, dtype: np.dtype[Any], channels: int) -> None:
    kind = _KINDS[name]
    if kind.dtypes and dtype.name not in kind.dtypes:
        raise UnsupportedError(
            f"the encoding {name} does not hold {dtype.name}",
            code=Code.DTYPE_UNSUPPORTED,
            fix=f"use raw, or voxels of {' or '.join(sorted(kind.dtypes))}",
        )
    if kind.channels and channels not in kind.channels:
        raise UnsupportedError(
            f"the encoding {name} does not hold {channels} channels",
            code=Code.FEATURE_UNSUPPORTED,
            fix=f"use raw, or {' or '.join(map(str, sorted(kind.channels)))} channels",
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """An encoding to write.

    Parameters
    ----------
    name : str
        In the ``info``.
    encoding : ChunkEncoding
        At work.
    gzip : int or None
        Level at which chunks are packed in shards; None = not.
    settings : mapping
        Further keys of the scale.
    remark : str
        What the user should know.
    """

    name: str
    encoding: ChunkEncoding
    gzip: int | None
    settings: Mapping[str, Any]  # Any: JSON
    remark: str = ""


_GZIP: Final = _Setting("gzip_level", 0, 9, 5)
_LOSSLESS: Final = ("jxl", 100)


def choose_encoding(text: str | None, dtype: np.dtype[Any], channels: int, *, label: bool) -> Choice:
    """Return the encoding of a text such as ``jpeg:90``; None is the usual one for such voxels.

    Raises
    ------
    InputError
        If there is no such encoding, or no such setting.
    UnsupportedError
        If it does not take such voxels, or would change labels.
    """
    if text is None:
        text = "compressed_segmentation" if label and dtype.name in ("uint32", "uint64") else "raw"
    name, _, setting = text.partition(":")
    level: int | None = _GZIP.usual if name != "raw" else 1  # grey values gain nothing by more
    if name in ("none", "gzip"):  # as the other formats call them
        level = _number(text, setting, _GZIP) if name == "gzip" else None
        name, setting = "raw", setting if name == "none" else ""
    kind = _KINDS.get(name)
    if kind is None:
        raise InputError(
            f"precomputed volumes have no encoding {text!r}",
            code=Code.ARGUMENT_INVALID,
            fix=f"use one of {', '.join(_KINDS)}",
        )
    _check_kind(name, dtype, channels)
    settings: dict[str, Any] = {}
    arguments: list[Any] = []
    if setting or kind.setting is not None:
        number = _number(text, setting, kind.setting)
        arguments.append(number)
        if kind.setting is not None:
            settings[kind.setting.key] = number
    remarks = [_changes(name, arguments[0], label=label)] if kind.lossy and (name, *arguments) != _LOSSLESS else []
    remark = "; ".join([*remarks, *([_REMARKS[name]] if name in _REMARKS else [])])
    return Choice(name, _made(name, *arguments), level if kind.gzip else None, settings, remark)


def _changes(name: str, quality: int, *, label: bool) -> str:
    """Return that an encoding changes voxels; labels are refused, of which a near one is another one."""
    if label:
        raise UnsupportedError(
            f"the encoding {name} changes voxels, and a label that is changed is another label",
            code=Code.FEATURE_UNSUPPORTED,
            fix="leave out the codec, or use one without loss: raw, png, compresso or compressed_segmentation",
        )
    return f"{name} changes voxels: with quality {quality}, what is read is only near what the source holds"


_REMARKS: Final[Mapping[str, str]] = {
    "crackle": "Neuroglancer and TensorStore cannot show chunks in crackle: use compressed_segmentation for them",
    "compresso": "TensorStore cannot read chunks in compresso",
    "jxl": "TensorStore cannot read chunks in jxl",
}


def _number(text: str, setting: str, allowed: _Setting | None) -> int:
    if allowed is not None and not setting:
        return allowed.usual
    if allowed is not None and setting.isascii() and setting.isdigit() and len(setting) < 5:
        value = int(setting)
        if allowed.low <= value <= allowed.high:
            return value
    name = text.partition(":")[0]
    what = "takes no setting" if allowed is None else f"takes a number from {allowed.low} to {allowed.high}"
    raise InputError(
        f"{text!r}: {name} {what}",
        code=Code.ARGUMENT_INVALID,
        fix=f"write {name}" + ("" if allowed is None else f":{allowed.usual}"),
    )


def size_bounds(encoding: ChunkEncoding, shape: Shape4, itemsize: int) -> SizeBounds:
    """Return the least and most bytes of an encoded chunk, for unpacking it safely."""
    nbytes = math.prod(shape) * itemsize
    if encoding.key == "raw":
        return nbytes, nbytes
    blocks = getattr(encoding, "block_shape", (1, 1, 1))
    padded = shape[0] * math.prod(-(-n // b) * b for n, b in zip(shape[1:], blocks, strict=True))
    return 0, 4 * nbytes + 16 * padded + (1 << 16)
