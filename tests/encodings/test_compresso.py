"""Compresso, against its authors' package and a volume written with CloudVolume."""

from __future__ import annotations

import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxarium.codecs.compressed_segmentation import CompressedSegmentation
from voxarium.codecs.compresso import Compresso
from voxarium.errors import Code, FormatError, InputError, UnsupportedError

DTYPES = ["u1", "u2", "u4", "u8"]
VARIANTS = [
    {},
    {"random_access_z_index": False},
    {"connectivity": 6},
    {"steps": (8, 8, 1)},
    {"steps": (4, 2, 1)},
    {"steps": (4, 4, 2)},
    {"steps": (3, 5, 2)},
]


@st.composite
def labels(draw: st.DrawFn) -> NDArray[Any]:
    """Few or many different labels in rows, small ones or the largest there are."""
    shape = (1, *draw(st.tuples(st.integers(1, 7), st.integers(1, 19), st.integers(1, 21))))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    largest = int(np.iinfo(dtype).max)
    low = draw(st.sampled_from([0, largest - 12]))
    ids = rng.integers(low, min(low + draw(st.sampled_from([1, 2, 12])), largest), 300, dtype, endpoint=True)
    length = draw(st.sampled_from([1, 3, 50]))
    voxels = np.repeat(rng.choice(ids, -(-int(np.prod(shape)) // length)), length)[: int(np.prod(shape))]
    return voxels.reshape(shape)


def foreign(array: NDArray[Any], **options: Any) -> bytes:
    package = pytest.importorskip("compresso")
    return bytes(package.compress(np.asfortranarray(array[0].T), **options))


@given(labels())
def test_any_labels_come_back(array: NDArray[Any]) -> None:
    found = Compresso().decode(Compresso().encode(array), array.shape, array.dtype)
    assert found.dtype == array.dtype and found.flags.c_contiguous
    assert np.array_equal(found, array)


def test_any_layout_of_memory_is_encoded(cells: Any) -> None:
    array = cells((1, 7, 8, 9))
    expected = Compresso().encode(array)
    assert Compresso().encode(np.asfortranarray(array)) == expected
    assert Compresso().encode(array.astype(">u8")) == expected
    assert array.flags.writeable


def test_memory_may_be_given(cells: Any) -> None:
    array = cells((1, 5, 6, 7))
    out = np.zeros((1, 8, 8, 8), "u8")
    found = Compresso().decode(Compresso().encode(array), array.shape, array.dtype, out)
    assert np.shares_memory(found, out) and np.array_equal(found, array)


@pytest.mark.oracle
@given(labels())
def test_bytes_equal_those_of_the_authors_package(array: NDArray[Any]) -> None:
    assert Compresso().encode(array) == foreign(array)


@pytest.mark.oracle
@pytest.mark.parametrize("options", VARIANTS, ids=str)
@settings(max_examples=40)
@given(array=labels())
def test_all_variants_of_the_format_are_read(options: dict[str, Any], array: NDArray[Any]) -> None:
    assert np.array_equal(Compresso().decode(foreign(array, **options), array.shape, array.dtype), array)


@pytest.mark.oracle
def test_outlines_too_varied_for_small_windows_get_large_ones() -> None:
    array = (np.random.default_rng(0).random((1, 120, 400, 401)) < 0.3).astype("u4")
    packed = Compresso().encode(array)
    assert packed[12:15] == bytes([8, 8, 1])
    assert packed == foreign(array)
    assert np.array_equal(Compresso().decode(packed, array.shape, array.dtype), array)


@pytest.mark.oracle
def test_a_volume_of_cloudvolume_equals_its_twin(shared: Path) -> None:
    folder = shared / "precomputed/golden_generated"
    chunks = sorted((folder / "seg_compresso/10_10_10").iterdir())
    assert chunks
    pairs: dict[int, set[int]] = {}
    for chunk in chunks:
        ranges = [tuple(map(int, part.split("-"))) for part in chunk.name.split("_")]
        shape = (1, *(b - a for a, b in ranges[::-1]))
        found = Compresso().decode(chunk.read_bytes(), shape, np.dtype("u4"))
        assert Compresso().encode(found) == chunk.read_bytes()
        twin = (folder / "seg/10_10_10" / chunk.name).read_bytes()
        expected = CompressedSegmentation().decode(twin, shape, np.dtype("u8"))
        for ours, theirs in np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1).T.tolist():
            pairs.setdefault(theirs, set()).add(ours)
    assert len(pairs) > 100 and all(len(values) == 1 for values in pairs.values())


@pytest.mark.parametrize("dtype", ["i4", "f4", "b1"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        Compresso().encode(np.zeros((1, 2, 3, 4), dtype))
    assert caught.value.code is Code.DTYPE_UNSUPPORTED
    with pytest.raises(UnsupportedError):
        Compresso().decode(b"", (1, 2, 3, 4), np.dtype(dtype))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 5), (1, 1, 1, 65536), (1, 0, 4, 5)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        Compresso().encode(np.zeros(shape, "u1"))


def test_another_chunk_than_expected_is_a_format_error(cells: Any) -> None:
    array = cells((1, 5, 6, 7), "u4")
    packed = Compresso().encode(array)
    for shape, dtype in (((1, 5, 6, 8), "u4"), ((1, 7, 6, 5), "u4"), ((2, 5, 6, 7), "u4"), ((1, 5, 6, 7), "u8")):
        with pytest.raises(FormatError, match="instead of"):
            Compresso().decode(packed, shape, np.dtype(dtype))  # type: ignore[arg-type]


@pytest.mark.parametrize("version", [0, 1])
def test_every_truncation_is_a_format_error(cells: Any, version: int) -> None:
    array = cells((1, 6, 10, 17), "u4")
    packed = foreign(array, random_access_z_index=bool(version))
    for n in range(len(packed)):
        with pytest.raises(FormatError):
            Compresso().decode(packed[:n], array.shape, array.dtype)


@given(st.binary(max_size=100), st.booleans())
def test_any_bytes_are_a_format_error_or_labels(junk: bytes, headed: bool) -> None:
    head = struct.pack("<4sBB3H3B", b"cpso", 0, 8, 4, 3, 2, 4, 4, 1) if headed else b""
    with suppress(FormatError):
        Compresso().decode(head + junk, (1, 2, 3, 4), np.dtype("u8"))


@settings(max_examples=300)
@given(st.data(), st.sampled_from(VARIANTS))
def test_any_damage_is_a_format_error_or_labels(data: st.DataObject, options: dict[str, Any]) -> None:
    array = np.repeat(np.arange(9 * 10, dtype="u4"), 17).reshape(1, 9, 10, 17) * 3
    array[:, ::2, ::3] += np.arange(17, dtype="u4")
    packed = bytearray(foreign(array, **options))
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), min_size=1, max_size=4)):
        packed[at] = data.draw(st.integers(0, 255))
    with suppress(FormatError):
        assert Compresso().decode(bytes(packed), array.shape, array.dtype).shape == array.shape


@pytest.mark.parametrize("counts", [(2**62, 0, 0), (0, 2**32 - 1, 0), (0, 0, 2**64 - 1), (2**64 - 1, 1, 1)])
def test_absurd_sizes_set_no_memory_aside(counts: tuple[int, int, int]) -> None:
    head = struct.pack("<4sBB3H3BQIQB", b"cpso", 1, 8, 512, 512, 512, 4, 4, 1, *counts, 4)
    tracemalloc.start()
    with pytest.raises(FormatError):
        Compresso().decode(head + bytes(6000), (1, 512, 512, 512), np.dtype("u8"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
