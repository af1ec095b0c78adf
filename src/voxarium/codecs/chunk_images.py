"""Chunks stored as one JPEG, PNG or JPEG XL image, as Neuroglancer precomputed does.

Spec: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.rst. The image holds the
voxels of a chunk in the order x, y, z; channels are the components of a pixel. Any width and height with the right
product are read; written is an image as wide as x and as high as y·z.

What an image says about its size is read here and compared with the chunk before anything is decoded.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.codec import allocate, as_bytes_array, corrupt, truncated
from voxarium.model.sources import missing_extra

__all__ = ["Jpeg", "JpegXl", "Png"]

Shape = tuple[int, int, int, int]

_LONGEST_JPEG: Final = 65500
# A picture is drawn anew by every scan; more than any encoder makes are there to cost time.
_MOST_SCANS: Final = 256
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PNG_SAMPLES: Final = {0: 1, 4: 2, 2: 3, 6: 4}
_JXL_CONTAINER: Final = b"\0\0\0\x0cJXL \r\n\x87\n"
_JXL_RATIOS: Final = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_JXL_LENGTHS: Final = (9, 13, 18, 30)
_DECODER_ERRORS: Final = (RuntimeError, ValueError, OSError, TypeError, EOFError, MemoryError)


class _Size(NamedTuple):
    width: int
    height: int
    samples: int | None = None
    bits: int = 8


# ------------------------------------------------------------------------------------------------ codecs
@dataclass(frozen=True, slots=True)
class Jpeg:
    """Chunks as JPEG: uint8 with one or three channels. Lossy.

    Parameters
    ----------
    quality : int
        1 to 100.
    """

    key: ClassVar[Hashable] = "jpeg"
    quality: int = 85

    def __post_init__(self) -> None:
        _check_number("quality", self.quality, 1, 100)

    @property
    def text(self) -> str:
        """Description for people."""
        return f"jpeg:{self.quality}"

    def encode(self, array: NDArray[Any]) -> bytes:
        """Return the image of a chunk, shape (c, z, y, x).

        Raises
        ------
        InputError
            If the chunk is longer than an image can be.
        UnsupportedError
            If voxels of this type or so many channels cannot be stored this way, or imagecodecs is not installed.
        """
        image = _image_of("jpeg", array, ("u1",), (1, 3), _LONGEST_JPEG)
        # Colours in full: half of their voxels would be made up otherwise.
        options = {"subsampling": "444"} if image.ndim == 3 else {}
        return bytes(_imagecodecs().jpeg8_encode(image, level=self.quality, **options))

    def decode(
        self, payload: Buffer, shape: Shape, dtype: np.dtype[Any], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the voxels of a chunk, shape (c, z, y, x), C order; `out` may give memory for them.

        Raises
        ------
        FormatError
            If the image is damaged or of another size.
        UnsupportedError
            If voxels of this type cannot be stored this way, or imagecodecs is not installed.
        """
        _check_type("jpeg", shape[0], dtype, ("u1",), (1, 3))
        return _decode("jpeg", _jpeg_size, _imagecodecs().jpeg8_decode, payload, _Wanted(shape, dtype, out))


@dataclass(frozen=True, slots=True)
class Png:
    """Chunks as PNG: uint8 or uint16 with one to four channels. Lossless.

    Parameters
    ----------
    level : int
        Effort of the compression, 0 to 9.
    """

    key: ClassVar[Hashable] = "png"
    level: int = 6

    def __post_init__(self) -> None:
        _check_number("level", self.level, 0, 9)

    @property
    def text(self) -> str:
        """Description for people."""
        return f"png:{self.level}"

    def encode(self, array: NDArray[Any]) -> bytes:
        """Return the image of a chunk, shape (c, z, y, x); raises as `Jpeg.encode`."""
        image = _image_of("png", array, ("u1", "u2"), (1, 2, 3, 4), 1_000_000)
        return bytes(_imagecodecs().png_encode(image, level=self.level))

    def decode(
        self, payload: Buffer, shape: Shape, dtype: np.dtype[Any], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the voxels of a chunk, shape (c, z, y, x), C order; raises as `Jpeg.decode`."""
        _check_type("png", shape[0], dtype, ("u1", "u2"), (1, 2, 3, 4))
        return _decode("png", _png_size, _imagecodecs().png_decode, payload, _Wanted(shape, dtype, out))


@dataclass(frozen=True, slots=True)
class JpegXl:
    """Chunks as JPEG XL: uint8 with one, three or four channels.

    Parameters
    ----------
    quality : int
        1 to 100, which is lossless.
    effort : int
        1 to 9.
    """

    key: ClassVar[Hashable] = "jxl"
    quality: int = 85
    effort: int = 3

    def __post_init__(self) -> None:
        _check_number("quality", self.quality, 1, 100)
        _check_number("effort", self.effort, 1, 9)

    @property
    def text(self) -> str:
        """Description for people."""
        return f"jxl:{self.quality}"

    def encode(self, array: NDArray[Any]) -> bytes:
        """Return the image of a chunk, shape (c, z, y, x); raises as `Jpeg.encode`."""
        image = _image_of("jxl", array, ("u1",), (1, 3, 4), 1 << 30)
        options: dict[str, Any] = {"lossless": True}
        if self.quality < 100:
            # The same scale as libjxl's own programs.
            coarse = 53 / 3000 * self.quality**2 - 23 / 20 * self.quality + 25
            options = {"distance": 0.1 + (100 - self.quality) * 0.09 if self.quality >= 30 else coarse}
        return bytes(_jpegxl().jpegxl_encode(image, effort=self.effort, numthreads=1, **options))

    def decode(
        self, payload: Buffer, shape: Shape, dtype: np.dtype[Any], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the voxels of a chunk, shape (c, z, y, x), C order; raises as `Jpeg.decode`."""
        _check_type("jxl", shape[0], dtype, ("u1",), (1, 3, 4))
        return _decode("jxl", _jxl_size, _jpegxl().jpegxl_decode, payload, _Wanted(shape, dtype, out))


# ------------------------------------------------------------------------------------------------ what they share
class _Wanted(NamedTuple):
    shape: Shape
    dtype: np.dtype[Any]
    out: NDArray[Any] | None

    def memory(self) -> NDArray[Any]:
        """Return room for the voxels, flat."""
        native = self.dtype.newbyteorder("=")
        voxels = math.prod(self.shape)
        room = self.out
        if room is None or room.dtype != native or room.size < voxels:
            return allocate(voxels * native.itemsize).view(native)
        if not (room.flags.c_contiguous and room.flags.writeable):
            return allocate(voxels * native.itemsize).view(native)
        return room.reshape(-1)[:voxels]


def _imagecodecs() -> Any:  # Any: the module
    try:
        import imagecodecs
    except ImportError as error:
        raise missing_extra("precomputed", "chunks are images, which need imagecodecs") from error
    return imagecodecs


def _jpegxl() -> Any:  # Any: the module
    module = _imagecodecs()
    if not module.JPEGXL.available:
        raise missing_extra("precomputed", "chunks are JPEG XL images, which this imagecodecs was built without")
    return module


def _check_number(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InputError(
            f"{name} {value!r} is not a whole number from {low} to {high}",
            code=Code.ARGUMENT_INVALID,
            fix=f"choose a {name} from {low} to {high}",
        )


def _check_type(
    name: str, channels: int, dtype: np.dtype[Any], types: tuple[str, ...], counts: tuple[int, ...]
) -> None:
    if dtype.newbyteorder("=") not in [np.dtype(t) for t in types] or channels not in counts:
        able = f"{' or '.join(str(np.dtype(t)) for t in types)} with {', '.join(map(str, counts))} channels"
        raise UnsupportedError(
            f"{name} holds {able}, not {dtype} with {channels}",
            code=Code.DTYPE_UNSUPPORTED,
            fix="use the encoding raw, or convert the voxels",
        )


def _image_of(
    name: str, array: NDArray[Any], types: tuple[str, ...], counts: tuple[int, ...], longest: int
) -> NDArray[Any]:
    """Return a chunk as (height, width), or (height, width, channels)."""
    _check_type(name, array.shape[0], array.dtype, types, counts)
    c, z, y, x = array.shape
    sizes = [(h, w) for h, w in ((z * y, x), (z, y * x)) if 0 < h <= longest and 0 < w <= longest]
    if not sizes:
        raise InputError(
            f"a chunk of shape {array.shape} makes no {name} image, which has at most {longest} lines",
            code=Code.ARGUMENT_INVALID,
            fix="choose smaller chunks, such as 64×64×64",
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if c == 1:
        return np.ascontiguousarray(native).reshape(sizes[0])
    return np.ascontiguousarray(np.moveaxis(native, 0, -1)).reshape(*sizes[0], c)


def _decode(
    name: str,
    size_of: Callable[[bytes], _Size],
    decoder: Callable[..., Any],
    payload: Buffer,
    wanted: _Wanted,
) -> NDArray[Any]:
    """Decode an image whose header agrees with a chunk."""
    data = bytes(as_bytes_array(payload).data)
    channels, *lengths = wanted.shape
    size = size_of(data)
    fits = size.width * size.height == math.prod(lengths) and size.samples in (None, channels)
    if not fits or size.bits != wanted.dtype.itemsize * 8:
        samples = "" if size.samples is None else f" with {size.samples} channels of {size.bits} bits"
        raise corrupt(
            f"the {name} image has {size.width} × {size.height} voxels{samples}, "
            f"which is no chunk of shape {wanted.shape} {wanted.dtype}"
        )
    flat = wanted.memory()
    if channels == 1:
        image = flat.reshape(size.height, size.width)
    else:
        image = np.empty((size.height, size.width, channels), flat.dtype)
    try:
        found = decoder(data, out=image)
    except _DECODER_ERRORS as error:
        raise corrupt(f"the {name} image cannot be decoded: {str(error)[:200]}") from error
    if found is not image:
        # Decoders that have no use for the memory they are given return some of their own.
        raise corrupt(f"the {name} image decodes to {found.shape} instead of {image.shape}")
    if channels > 1:
        flat.reshape(channels, -1)[...] = image.reshape(-1, channels).T
    return flat.reshape(wanted.shape)


# ------------------------------------------------------------------------------------------------ headers
def _png_size(data: bytes) -> _Size:
    if not data.startswith(_PNG_SIGNATURE) or data[12:16] != b"IHDR":
        raise corrupt("the chunk is no PNG image")
    if len(data) < 33:
        raise truncated("the PNG image is cut off")
    width, height, bits, color = struct.unpack(">IIBB", data[16:26])
    if color not in _PNG_SAMPLES:
        raise corrupt(f"the PNG image has colour type {color}, such as a palette, which no chunk has")
    return _Size(width, height, _PNG_SAMPLES[color], bits)


def _jpeg_size(data: bytes) -> _Size:
    if not data.startswith(b"\xff\xd8\xff"):
        raise corrupt("the chunk is no JPEG image")
    if data.rfind(b"\xff\xd9", max(0, len(data) - 4096)) < 0:
        # Its decoder would fill up with grey.
        raise truncated("the JPEG image has no end")
    if data.count(b"\xff\xda") > _MOST_SCANS:
        raise corrupt(f"the JPEG image has more than {_MOST_SCANS} scans")
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, samples = struct.unpack_from(">BHHB", data, at + 4)
            return _Size(width, height, samples, bits)
        bare = marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD7
        at += 1 if marker == 0xFF else 2 if bare else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise corrupt("the JPEG image has no frame")


class _Bits:
    """Bits of a JPEG XL codestream, lowest first."""

    def __init__(self, data: bytes) -> None:
        # The size takes at most 80 bits.
        self._value = int.from_bytes(data[:16], "little")

    def take(self, count: int) -> int:
        """Return the next bits."""
        found = self._value & ((1 << count) - 1)
        self._value >>= count
        return found

    def length(self, small: int) -> int:
        """Return one length of the size: a multiple of 8, or of a given number of bits."""
        return 8 * (self.take(5) + 1) if small else self.take(_JXL_LENGTHS[self.take(2)]) + 1


def _jxl_size(data: bytes) -> _Size:
    stream = _jxl_stream(data) if data.startswith(_JXL_CONTAINER) else data
    if not stream.startswith(b"\xff\x0a"):
        raise corrupt("the chunk is no JPEG XL image")
    if len(stream) < 4:
        raise truncated("the JPEG XL image is cut off")
    bits = _Bits(stream[2:])
    small = bits.take(1)
    height = bits.length(small)
    ratio = bits.take(3)
    if ratio:
        above, below = _JXL_RATIOS[ratio - 1]
        return _Size(height * above // below, height)
    return _Size(bits.length(small), height)


def _jxl_stream(data: bytes) -> bytes:
    """Return the begin of the codestream inside a container."""
    at = 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if kind in (b"jxlc", b"jxlp"):
            return data[at + head + (4 if kind == b"jxlp" else 0) :][:32]
        if length < head:
            break
        at += length
    raise corrupt("the JPEG XL container holds no image")
