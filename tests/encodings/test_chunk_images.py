"""Chunks as JPEG, PNG and JPEG XL, against TensorStore, Pillow and a volume written with CloudVolume."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxarium.codecs.chunk_images import Jpeg, JpegXl, Png
from voxarium.errors import Code, FormatError, InputError, UnsupportedError

imagecodecs = pytest.importorskip("imagecodecs")
Image = pytest.importorskip("PIL.Image")

CASES = [
    *((Jpeg(), c, "u1") for c in (1, 3)),
    *((Png(1), c, d) for c in (1, 2, 3, 4) for d in ("u1", "u2")),
    *((JpegXl(100, 1), c, "u1") for c in (1, 3, 4)),
    *((JpegXl(85, 1), c, "u1") for c in (1, 3, 4)),
]
IDS = [f"{codec.text}-{c}-{d}" for codec, c, d in CASES]


def smooth(shape: tuple[int, ...], dtype: str = "u1") -> NDArray[Any]:
    """Return slow waves, which no encoder blurs, different in every channel."""
    places = np.indices(shape)
    wave = sum(np.sin(p / (7.0 + i)) for i, p in enumerate(places)) / len(shape)
    return ((wave + 1) / 2 * np.iinfo(dtype).max).astype(dtype)


def close(codec: Any, found: NDArray[Any], expected: NDArray[Any]) -> bool:
    if isinstance(codec, Png) or codec == JpegXl(100, 1):
        return np.array_equal(found, expected)
    return bool(np.abs(found.astype(int) - expected).mean() < 3)


@pytest.mark.parametrize(("codec", "channels", "dtype"), CASES, ids=IDS)
@settings(max_examples=15)
@given(lengths=st.tuples(st.integers(1, 9), st.integers(1, 20), st.integers(1, 21)))
def test_chunks_of_any_shape_come_back(codec: Any, channels: int, dtype: str, lengths: tuple[int, int, int]) -> None:
    array = smooth((channels, *lengths), dtype)
    packed = codec.encode(array)
    found = codec.decode(packed, array.shape, array.dtype)
    assert found.dtype == array.dtype and found.flags.c_contiguous and found.shape == array.shape
    assert close(codec, found, array)
    out = np.zeros((channels, *(n + 1 for n in lengths)), dtype)
    again = codec.decode(memoryview(packed), array.shape, array.dtype, out)
    assert np.shares_memory(again, out) and np.array_equal(again, found)
    assert codec.encode(np.asfortranarray(array)) == packed


@pytest.mark.parametrize("codec", [Jpeg(), Png(), JpegXl(100, 1)], ids=lambda c: c.text)
@pytest.mark.parametrize("size", [(4 * 5, 6), (4, 5 * 6), (4 * 5 * 6, 1), (1, 4 * 5 * 6), (8, 15)])
def test_images_of_any_width_with_the_right_product_are_read(codec: Any, size: tuple[int, int]) -> None:
    array = smooth((1, 4, 5, 6))
    image = array.reshape(size)
    encode = {"jpeg": imagecodecs.jpeg8_encode, "png": imagecodecs.png_encode, "jxl": imagecodecs.jpegxl_encode}
    packed = encode[codec.key](image, **({"lossless": True} if codec.key == "jxl" else {"level": 95}))
    assert close(codec, codec.decode(packed, array.shape, array.dtype), array)


SIZES = [(w, h) for w in (1, 3, 8, 64, 100, 512, 513, 70_000) for h in (1, 8, 333, 512, 300_000) if w * h <= 1 << 23]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("boxed", [False, True])
def test_jpeg_xl_sizes_of_every_form_are_understood(width: int, height: int, boxed: bool) -> None:
    image = np.zeros((height, width), "u1")
    packed = imagecodecs.jpegxl_encode(image, lossless=True, effort=1, usecontainer=boxed)
    assert JpegXl().decode(packed, (1, 1, height, width), image.dtype).sum() == 0
    with pytest.raises(FormatError, match=f"{width} × {height} voxels"):
        JpegXl().decode(packed, (1, 1, height, width + 1), image.dtype)


@pytest.mark.parametrize("size", [(64, 64), (48, 40), (40, 30), (36, 24), (32, 18), (50, 40), (64, 32)])
def test_jpeg_xl_sizes_as_a_ratio_are_understood(size: tuple[int, int]) -> None:
    packed = imagecodecs.jpegxl_encode(np.zeros(size[::-1], "u1"), lossless=True)
    assert JpegXl().decode(packed, (1, 1, *size[::-1]), np.dtype("u1")).size == size[0] * size[1]


def test_chunks_too_long_for_a_jpeg_are_laid_out_wider_or_refused() -> None:
    array = np.zeros((1, 300, 300, 2), "u1")
    packed = Jpeg().encode(array)
    assert Image.open(io.BytesIO(packed)).size == (600, 300)
    assert Jpeg().decode(packed, array.shape, array.dtype).shape == array.shape
    with pytest.raises(InputError, match="65500") as caught:
        Jpeg().encode(np.zeros((1, 300, 300, 300), "u1"))
    assert "smaller chunks" in caught.value.fix


@pytest.mark.parametrize(
    ("codec", "channels", "dtype"), [(Jpeg(), 2, "u1"), (Jpeg(), 1, "u2"), (Png(), 5, "u1"), (JpegXl(), 1, "f4")]
)
def test_other_types_are_refused(codec: Any, channels: int, dtype: str) -> None:
    array = np.zeros((channels, 2, 3, 4), dtype)
    for call in (lambda: codec.encode(array), lambda: codec.decode(b"", array.shape, array.dtype)):
        with pytest.raises(UnsupportedError) as caught:
            call()
        assert caught.value.code is Code.DTYPE_UNSUPPORTED


@pytest.mark.parametrize("make", [lambda: Jpeg(0), lambda: Png(10), lambda: JpegXl(101), lambda: JpegXl(85, 10)])
def test_impossible_settings_are_refused(make: Any) -> None:
    with pytest.raises(InputError):
        make()


# -------------------------------------------------------------------------------------------- other writers
@pytest.mark.oracle
@pytest.mark.parametrize(
    ("codec", "channels", "dtype"),
    [case for case in CASES if not isinstance(case[0], JpegXl)],
    ids=[i for i in IDS if not i.startswith("jxl")],
)
def test_tensorstore_reads_and_writes_the_same(tensorstore_volume: Any, codec: Any, channels: int, dtype: str) -> None:
    array = smooth((channels, 9, 17, 23), dtype)
    extra = {"jpeg_quality": 95} if codec.key == "jpeg" else {}
    file, opened = tensorstore_volume(array.shape, np.dtype(dtype).name, codec.key, extra)
    opened().write(array.T).result()
    assert close(codec, codec.decode(file.read_bytes(), array.shape, array.dtype), array)
    other = array[:, ::-1, ::-1, ::-1]
    file.write_bytes(codec.encode(other))
    assert close(codec, opened().read().result().T, other)


@pytest.mark.oracle
def test_a_volume_of_cloudvolume_is_the_image_it_was_made_of(shared: Path) -> None:
    folder = shared / "fib25/grayscale_maps"
    truth = np.stack([np.asarray(Image.open(p)) for p in sorted(folder.glob("*.png"))])
    chunks = sorted((shared / "precomputed/golden_generated/em_jpeg/10_10_10").iterdir())
    assert len(chunks) == 64
    for chunk in chunks:
        ranges = [tuple(map(int, part.split("-"))) for part in chunk.name.split("_")]
        place = tuple(slice(a - o, b - o) for (a, b), o in zip(ranges[::-1], (300, 200, 100), strict=True))
        expected = truth[place][None]
        found = Jpeg().decode(chunk.read_bytes(), expected.shape, expected.dtype)
        assert np.abs(found.astype(int) - expected).mean() < 8


# ------------------------------------------------------------------------------------------ damaged payloads
@pytest.mark.parametrize("codec", [Jpeg(), Png(), JpegXl(100, 1), JpegXl(85, 1)], ids=lambda c: c.text)
def test_truncations_are_format_errors(codec: Any) -> None:
    array = smooth((1, 5, 6, 7)) ^ np.random.default_rng(0).integers(0, 8, (1, 5, 6, 7), "u1")
    packed = codec.encode(array)
    for n in range(len(packed)):
        # What comes after the last voxel may lack.
        with suppress(FormatError):
            assert close(codec, codec.decode(packed[:n], array.shape, array.dtype), array)
    for n in (0, 1, 20, len(packed) // 2, len(packed) * 3 // 4):
        with pytest.raises(FormatError):
            codec.decode(packed[:n], array.shape, array.dtype)


@pytest.mark.parametrize(("codec", "channels", "dtype"), CASES, ids=IDS)
@settings(max_examples=100)
@given(data=st.data())
def test_any_damage_is_a_format_error_or_a_chunk(codec: Any, channels: int, dtype: str, data: st.DataObject) -> None:
    array = smooth((channels, 5, 6, 7), dtype)
    packed = bytearray(codec.encode(array))
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), min_size=1, max_size=4)):
        packed[at] = data.draw(st.integers(0, 255))
    with suppress(FormatError):
        assert codec.decode(bytes(packed), array.shape, array.dtype).shape == array.shape


@pytest.mark.parametrize(
    "head", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"]
)
@given(junk=st.binary(max_size=80))
def test_any_bytes_are_a_format_error_or_a_chunk(head: bytes, junk: bytes) -> None:
    for codec in (Jpeg(), Png(), JpegXl()):
        with suppress(FormatError):
            codec.decode(head + junk, (1, 2, 3, 4), np.dtype("u1"))


def png_of(width: int, height: int, color: int = 0, bits: int = 8) -> bytes:
    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b"")


def test_images_larger_than_their_chunk_set_no_memory_aside() -> None:
    jpeg = bytearray(Jpeg().encode(np.zeros((1, 2, 3, 4), "u1")))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
    bombs = [
        (Png(), png_of(2**31 - 1, 2**31 - 1)),
        (Png(), png_of(4, 6, color=3)),
        (Jpeg(), bytes(jpeg)),
        (JpegXl(), b"\xff\x0a" + (0b11 << 1 | (2**30 - 1) << 3 | 1 << 33).to_bytes(10, "little")),
    ]
    for codec, packed in bombs:
        tracemalloc.start()
        with pytest.raises(FormatError):
            codec.decode(packed, (1, 2, 3, 4), np.dtype("u1"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 20


def test_a_jpeg_of_thousands_of_scans_is_refused() -> None:
    packed = Jpeg().encode(np.zeros((1, 2, 3, 4), "u1"))
    scan = packed[packed.index(b"\xff\xda") : -2]
    with pytest.raises(FormatError, match="scans"):
        Jpeg().decode(packed[:-2] + scan * 1000 + packed[-2:], (1, 2, 3, 4), np.dtype("u1"))
