"""Crackle, against its authors' package."""

from __future__ import annotations

import struct
import tracemalloc
from contextlib import suppress
from typing import Any

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxarium.codecs.crackle import Crackle, _crc8
from voxarium.errors import ChecksumError, Code, FormatError, InputError, UnsupportedError

crackle = pytest.importorskip("crackle")

VARIANTS = [
    {},
    {"allow_pins": True},
    {"markov_model_order": 1},
    {"markov_model_order": 5},
    {"markov_model_order": 3, "allow_pins": True},
]


@st.composite
def labels(draw: st.DrawFn) -> NDArray[Any]:
    """Few or many different labels in rows, small ones or the largest there are."""
    shape = (1, *draw(st.tuples(st.integers(1, 7), st.integers(1, 19), st.integers(1, 21))))
    dtype = np.dtype(draw(st.sampled_from(["u1", "u2", "u4", "u8"])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    largest = int(np.iinfo(dtype).max)
    low = draw(st.sampled_from([0, largest - 12]))
    ids = rng.integers(low, min(low + draw(st.sampled_from([1, 2, 12])), largest), 300, dtype, endpoint=True)
    length = draw(st.sampled_from([1, 3, 50]))
    voxels = np.repeat(rng.choice(ids, -(-int(np.prod(shape)) // length)), length)[: int(np.prod(shape))]
    return voxels.reshape(shape)


def foreign(array: NDArray[Any], **options: Any) -> bytes:
    return bytes(crackle.compress(np.asfortranarray(array[0].T), parallel=1, **options))


def resealed(packed: bytearray) -> bytes:
    """Make the checksums of a damaged stream agree again, as somebody would who wants to do harm."""
    packed[28] = _crc8(bytes(packed[5:28]))
    slices, labels = struct.unpack_from("<IBQ", packed, 15)[::2]
    end = 29 + 4 * slices
    if end + 4 + labels <= len(packed):
        packed[end : end + 4] = google_crc32c.value(bytes(packed[29:end])).to_bytes(4, "little")
        at = len(packed) - 4 * (slices + 1)
        packed[at : at + 4] = google_crc32c.value(bytes(packed[end + 4 : end + 4 + labels])).to_bytes(4, "little")
    return bytes(packed)


@given(labels())
def test_any_labels_come_back(array: NDArray[Any]) -> None:
    found = Crackle().decode(Crackle().encode(array), array.shape, array.dtype)
    assert found.dtype == array.dtype and found.flags.c_contiguous
    assert np.array_equal(found, array)


@pytest.mark.oracle
@pytest.mark.parametrize("options", VARIANTS, ids=str)
@settings(max_examples=60)
@given(array=labels())
def test_all_variants_of_the_format_are_read(options: dict[str, Any], array: NDArray[Any]) -> None:
    assert np.array_equal(Crackle().decode(foreign(array, **options), array.shape, array.dtype), array)
    rows = crackle.compress(np.ascontiguousarray(array[0].T), parallel=1, **options)
    assert np.array_equal(Crackle().decode(rows, array.shape, array.dtype), array)


@pytest.mark.oracle
@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_cells_of_a_segmentation_are_read(cells: Any, options: dict[str, Any]) -> None:
    array = cells((1, 17, 40, 51))
    packed = foreign(array, **options)
    assert np.array_equal(Crackle().decode(packed, array.shape, array.dtype), array)
    assert np.array_equal(crackle.decompress(Crackle().encode(array)).T, array[0])


def test_memory_may_be_given_and_any_layout_is_encoded(cells: Any) -> None:
    array = cells((1, 5, 6, 7))
    packed = Crackle().encode(array)
    out = np.zeros((1, 8, 8, 8), "u8")
    found = Crackle().decode(packed, array.shape, array.dtype, out)
    assert np.shares_memory(found, out) and np.array_equal(found, array)
    assert Crackle().encode(np.asfortranarray(array)) == packed
    assert Crackle().encode(array.astype(">u8")) == packed


def test_other_types_and_shapes_are_refused(cells: Any) -> None:
    for dtype in ("i4", "f4"):
        with pytest.raises(UnsupportedError) as caught:
            Crackle().encode(np.zeros((1, 2, 3, 4), dtype))
        assert caught.value.code is Code.DTYPE_UNSUPPORTED
    for shape in ((2, 3, 4, 5), (3, 4, 5), (1, 0, 4, 5)):
        with pytest.raises(InputError):
            Crackle().encode(np.zeros(shape, "u1"))
    array = cells((1, 5, 6, 7), "u4")
    packed = Crackle().encode(array)
    for shape, dtype in (((1, 5, 6, 8), "u4"), ((1, 7, 6, 5), "u4"), ((2, 5, 6, 7), "u4"), ((1, 5, 6, 7), "u8")):
        with pytest.raises(FormatError, match="instead of"):
            Crackle().decode(packed, shape, np.dtype(dtype))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ damaged payloads
@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_truncation_and_every_flipped_bit_is_noticed(cells: Any, options: dict[str, Any]) -> None:
    array = cells((1, 4, 10, 17), "u4")
    packed = foreign(array, **options)
    for n in range(len(packed)):
        with pytest.raises(FormatError):
            Crackle().decode(packed[:n], array.shape, array.dtype)
        damaged = bytearray(packed)
        damaged[n] ^= 1 << n % 8
        # What does not matter for the voxels is not covered: padding of moves, and of the model.
        with suppress(FormatError):
            assert np.array_equal(Crackle().decode(bytes(damaged), array.shape, array.dtype), array)


def test_a_wrong_checksum_is_a_checksum_error(cells: Any) -> None:
    array = cells((1, 4, 10, 17), "u4")
    packed = bytearray(Crackle().encode(array))
    packed[-1] ^= 1
    with pytest.raises(ChecksumError, match="slice 3"):
        Crackle().decode(bytes(packed), array.shape, array.dtype)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@settings(max_examples=300)
@given(data=st.data())
def test_damage_that_hides_from_the_checksums_is_a_format_error_or_labels(
    data: st.DataObject, options: dict[str, Any]
) -> None:
    array = np.repeat(np.arange(9 * 10, dtype="u4"), 17).reshape(1, 9, 10, 17) // 40
    array[:, ::2, ::3] += np.arange(17, dtype="u4") // 5
    packed = bytearray(foreign(array, **options))
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), min_size=1, max_size=4)):
        packed[at] = data.draw(st.integers(0, 255))
    with suppress(FormatError, UnsupportedError):
        assert Crackle().decode(resealed(packed), array.shape, array.dtype).shape == array.shape


@given(st.binary(max_size=100), st.booleans(), st.sampled_from([0, 2]))
def test_any_bytes_are_a_format_error_or_labels(junk: bytes, headed: bool, kind: int) -> None:
    # Format 0 has no checksums.
    head = struct.pack("<4sBH3IB", b"crkl", 0, 0b11 | 0b11 << 2 | kind << 5, 4, 3, 2, 31) if headed else b""
    with suppress(FormatError, UnsupportedError):
        Crackle().decode(head + junk, (1, 2, 3, 4), np.dtype("u8"))


@settings(max_examples=300)
@given(
    st.binary(max_size=40), st.lists(st.integers(0, 255), max_size=40), st.integers(0, 3), st.booleans(), st.booleans()
)
def test_any_outlines_are_a_format_error_or_areas(
    starts: bytes, moves: list[int], order: int, permitted: bool, pins: bool
) -> None:
    code = struct.pack("<I", len(starts)) + starts + bytes(moves)
    labels = (bytes(8) if pins else b"") + struct.pack("<QQ", 1, 7) + bytes(2) + bytes(60)
    model = bytes((4**order * 5 + 4) // 8) if order else b""
    fields = 0b11 | 0b11 << 2 | permitted << 4 | (2 if pins else 0) << 5 | order << 9
    head = struct.pack("<4sBH3IBI", b"crkl", 0, fields, 6, 7, 2, 31, len(labels)) + struct.pack("<II", len(code), 0)
    with suppress(FormatError):
        Crackle().decode(head + labels + model + code, (1, 2, 7, 6), np.dtype("u8"))


@pytest.mark.parametrize("number", [2**62, 2**64 - 1, 2**32])
def test_absurd_sizes_set_no_memory_aside(number: int) -> None:
    head = struct.pack("<4sBH3IBQ", b"crkl", 1, 0b1111, 512, 512, 512, 31, number)
    packed = head + bytes([_crc8(head[5:])]) + bytes(6000)
    tracemalloc.start()
    with pytest.raises(FormatError):
        Crackle().decode(packed, (1, 512, 512, 512), np.dtype("u8"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
