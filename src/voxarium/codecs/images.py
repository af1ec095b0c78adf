"""Decoding of whole PNG, JPEG and similar files.

PNG goes through imagecodecs where it is installed (twice as fast, and 16-bit colour stays exact), else
through Pillow. JPEG goes through Pillow, which notices files that are cut off.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.model.image_header import ImageHeader
from voxarium.model.sources import missing_extra

__all__ = ["decode_image", "open_other_image"]

_LARGEST_IMAGE: Final = 8 << 30
# No deflate stream expands further; a header that claims more was made up (PNG) .
_DEFLATE_RATIO: Final = 1032
# The decoders report corrupt files with any of these.
_CORRUPT: Final = (OSError, RuntimeError, SyntaxError, ValueError, EOFError)
_SLACK: Final = 1 << 16
_MODES: Final = {"L": ("u1", 1), "I;16": ("<u2", 1), "I;16B": (">u2", 1), "RGB": ("u1", 3), "RGBA": ("u1", 4)}


def decode_image(data: bytes, header: ImageHeader) -> NDArray[Any]:
    """Return the voxels of an image file, shape (height, width) or (height, width, samples).

    Raises
    ------
    FormatError
        If the data is cut off or corrupt, or the header claims an implausible size.
    UnsupportedError
        If the decoder is not installed, or would not be exact.
    """
    plausible = _LARGEST_IMAGE
    if header.kind == "png":
        plausible = min(plausible, len(data) * _DEFLATE_RATIO + _SLACK)
    if header.nbytes > plausible:
        raise FormatError(
            f"the header claims {header} ({header.nbytes} bytes), but the file has only {len(data)} bytes",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="export the image again from its source; split images above 8 GiB into tiles (TIFF)",
        )
    try:
        image = _decode_png(data, header) if header.kind == "png" else _decode_pillow(data, header)
    except _CORRUPT as error:
        if isinstance(error, (FormatError, UnsupportedError)):
            raise
        raise _undecodable(str(error)) from error
    if image.shape != header.shape or image.dtype != header.dtype.newbyteorder("="):
        raise UnsupportedError(
            f"the image was announced as {header}, but decodes to {image.shape} {image.dtype}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save it as plain greyscale or RGB, without palette or transparent colour",
        )
    return image


def _undecodable(reason: str) -> FormatError:
    short = any(word in reason.lower() for word in ("truncated", "too small", "end of", "not enough", "unexpected end"))
    return FormatError(
        f"the image {'is cut off' if short else 'cannot be decoded'}: {reason[:200]}",
        code=Code.FILE_TRUNCATED if short else Code.CHUNK_CORRUPT,
        fix="copy or export the file again from its source",
    )


def _decode_png(data: bytes, header: ImageHeader) -> NDArray[Any]:
    try:
        import imagecodecs
    except ImportError:
        return _decode_pillow(data, header)
    if not imagecodecs.PNG.available:
        return _decode_pillow(data, header)
    return np.asarray(imagecodecs.png_decode(data))


def _decode_pillow(data: Buffer, header: ImageHeader) -> NDArray[Any]:
    image_module = _pillow()
    if header.bits == 16 and header.samples > 1:
        raise missing_extra(
            "tiff", "Pillow would cut 16-bit colours to 8 bits; decoding them exactly needs imagecodecs"
        )
    image_module.init()
    # Image.open would refuse or warn above 90 million voxels, whatever the memory; the size was judged above.
    factory, _ = image_module.OPEN[header.kind.upper()]
    with factory(io.BytesIO(data), None) as image:
        return np.asarray(image)


def _pillow() -> Any:  # Any: the module
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_extra("images", "decoding PNG, JPEG, WebP or BMP") from error
    return Image


def open_other_image(file: BinaryIO) -> ImageHeader:
    """Return the header of an image in a format only Pillow knows (BMP, WebP, PGM, JPEG 2000, AVIF).

    Raises
    ------
    FormatError
        If it is no image.
    UnsupportedError
        If Pillow is not installed, or the voxels have a type that would not be exact.
    """
    image_module = _pillow()
    image_module.init()
    for name in ("BMP", "WEBP", "PPM", "JPEG2000", "AVIF"):
        factory, accept = image_module.OPEN.get(name, (None, None))
        file.seek(0)
        if factory is None or (accept is not None and not accept(file.read(16))):
            continue
        file.seek(0)
        try:
            image = factory(file, None)
        except (*_CORRUPT, image_module.DecompressionBombError) as error:
            raise _undecodable(str(error)) from error
        return _described(name.lower(), image)
    raise FormatError(
        "the file is no image that can be read here",
        code=Code.METADATA_INVALID,
        fix="save it as PNG or TIFF",
    )


def _described(kind: str, image: Any) -> ImageHeader:
    if image.mode not in _MODES:
        raise UnsupportedError(
            f"the image has colour mode {image.mode!r}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save it as greyscale or RGB, as PNG or TIFF",
        )
    code, samples = _MODES[image.mode]
    dtype: np.dtype[Any] = np.dtype(code)
    return ImageHeader(
        kind=kind,
        width=image.width,
        height=image.height,
        samples=samples,
        dtype=dtype.newbyteorder("="),
        bits=dtype.itemsize * 8,
    )
