"""Neuroglancer's compressed segmentation, against two other implementations and foreign files."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxarium.codecs.compressed_segmentation import CompressedSegmentation
from voxarium.errors import Code, FormatError, InputError, UnsupportedError

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 17), st.integers(1, 19), st.integers(1, 21))
BLOCKS = st.one_of(st.just((8, 8, 8)), st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 17)))


@st.composite
def labels(draw: st.DrawFn) -> NDArray[Any]:
    """Few or many different labels in rows, in any layout of memory."""
    shape = draw(SHAPES)
    dtype = draw(st.sampled_from(["u4", "u8"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids = rng.integers(0, np.iinfo(dtype).max, draw(st.sampled_from([1, 2, 3, 5, 16, 17, 300])), dtype, endpoint=True)
    length = draw(st.sampled_from([1, 3, 50]))
    voxels = np.repeat(rng.choice(ids, -(-int(np.prod(shape)) // length)), length)[: int(np.prod(shape))]
    array = voxels.astype(dtype).reshape(shape)
    layout = draw(st.sampled_from(["C", "F", "part", "reversed", "swapped"]))
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "part":
        larger = np.zeros([n + 2 for n in shape], dtype)
        larger[1:-1, 1:-1, 1:-1, 1:-1] = array
        return larger[1:-1, 1:-1, 1:-1, 1:-1]
    if layout == "reversed":
        return array[:, ::-1, :, ::-1]
    return array.astype(array.dtype.newbyteorder()) if layout == "swapped" else array


# --------------------------------------------------------------------------------------------- round trips
@given(labels(), BLOCKS)
def test_any_labels_come_back(array: NDArray[Any], block: tuple[int, int, int]) -> None:
    codec = CompressedSegmentation(block)
    found = codec.decode(codec.encode(array), array.shape, array.dtype)
    assert found.dtype == array.dtype.newbyteorder("=") and found.flags.c_contiguous
    assert np.array_equal(found, array)


def test_blocks_with_equal_tables_share_them(cells: Any) -> None:
    codec = CompressedSegmentation()
    one = codec.encode(np.full((1, 8, 8, 8), 7, "u8"))
    many = codec.encode(np.full((1, 64, 64, 64), 7, "u8"))
    assert len(one) == 4 + 8 + 8 and len(many) == 4 + 512 * 8 + 8


def test_memory_may_be_given_and_may_be_larger(cells: Any) -> None:
    array = cells((2, 5, 6, 7))
    codec = CompressedSegmentation()
    packed = codec.encode(array)
    out = np.zeros((2, 8, 8, 8), "u8")
    found = codec.decode(packed, array.shape, array.dtype, out)
    assert np.shares_memory(found, out) and np.array_equal(found, array)
    for useless in (np.zeros((1, 2, 2, 2), "u8"), np.zeros((2, 8, 8, 8), "u4"), out[..., ::2]):
        found = codec.decode(packed, array.shape, array.dtype, useless)
        assert not np.shares_memory(found, useless) and np.array_equal(found, array)


@pytest.mark.parametrize("start", range(4))
def test_payloads_may_begin_at_any_address(cells: Any, start: int) -> None:
    array = cells((1, 9, 10, 11))
    packed = bytes(start) + CompressedSegmentation().encode(array)
    found = CompressedSegmentation().decode(memoryview(packed)[start:], array.shape, array.dtype)
    assert np.array_equal(found, array)


def test_threads_do_not_share_memory(cells: Any) -> None:
    arrays = [cells((1, 9, 10, 11 + i % 5), count=5 + i, seed=i) for i in range(40)]
    codec = CompressedSegmentation()
    expected = [codec.encode(a) for a in arrays]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(codec.encode, arrays)) == expected


def test_tables_out_of_reach_are_refused_with_the_remedy() -> None:
    array = np.arange(192**3, dtype="u8").reshape(1, 192, 192, 192)
    with pytest.raises(UnsupportedError, match="64 MiB") as caught:
        CompressedSegmentation().encode(array)
    assert "smaller chunks" in caught.value.fix
    part = np.ascontiguousarray(array[:, :64, :64, :64])
    codec = CompressedSegmentation()
    assert np.array_equal(codec.decode(codec.encode(part), part.shape, part.dtype), part)


@pytest.mark.parametrize("dtype", ["i4", "u2", "f4", "i8"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        CompressedSegmentation().encode(np.zeros((1, 2, 3, 4), dtype))
    assert caught.value.code is Code.DTYPE_UNSUPPORTED
    with pytest.raises(UnsupportedError):
        CompressedSegmentation().decode(b"", (1, 2, 3, 4), np.dtype(dtype))


def test_impossible_blocks_are_refused() -> None:
    for block in ((0, 8, 8), (-8, 8, 8), (8, 8), (1 << 20, 1 << 20, 1), (8.0, 8, 8)):
        with pytest.raises(FormatError, match="block"):
            CompressedSegmentation(block)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        CompressedSegmentation((512, 512, 512)).encode(np.zeros((1, 2, 3, 4), "u8"))
    with pytest.raises(InputError):
        CompressedSegmentation().encode(np.zeros((2, 3, 4), "u8"))


# -------------------------------------------------------------------------------------------- other writers
# The package crashes on several channels (2.3.3), so it sees one at a time; TensorStore sees all.
def foreign(array: NDArray[Any], block: tuple[int, int, int]) -> bytes:
    package = pytest.importorskip("compressed_segmentation")
    return bytes(package.compress(np.asfortranarray(array.T), block[::-1], order="F"))


@pytest.mark.oracle
@given(labels(), BLOCKS)
def test_bytes_equal_those_of_the_reference_encoder(array: NDArray[Any], block: tuple[int, int, int]) -> None:
    one = array[:1]
    native = np.ascontiguousarray(one.astype(one.dtype.newbyteorder("=")))
    assert CompressedSegmentation(block).encode(one) == foreign(native, block)


@pytest.mark.oracle
@given(labels(), BLOCKS)
def test_the_reference_decoder_reads_what_is_written(array: NDArray[Any], block: tuple[int, int, int]) -> None:
    package = pytest.importorskip("compressed_segmentation")
    one = array[-1:]
    packed = CompressedSegmentation(block).encode(one)
    found = package.decompress(packed, one.T.shape, one.dtype.newbyteorder("="), block[::-1], order="F")
    assert np.array_equal(found.T, one)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["uint32", "uint64"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("block", [(8, 8, 8), (3, 5, 7), (16, 4, 32)])
def test_tensorstore_reads_and_writes_the_same(
    tensorstore_volume: Any, cells: Any, dtype: str, channels: int, block: tuple[int, int, int]
) -> None:
    array = cells((channels, 17, 30, 41), dtype)
    extra = {"compressed_segmentation_block_size": block[::-1]}
    file, opened = tensorstore_volume(array.shape, dtype, "compressed_segmentation", extra)
    opened().write(array.T).result()
    codec = CompressedSegmentation(block)
    assert np.array_equal(codec.decode(file.read_bytes(), array.shape, array.dtype), array)
    other = array[:, ::-1, ::-1, ::-1]
    file.write_bytes(codec.encode(other))
    assert np.array_equal(opened().read().result().T, other)


@pytest.mark.oracle
def test_a_volume_of_cloudvolume_equals_its_truth(shared: Path) -> None:
    h5py = pytest.importorskip("h5py")
    raw = gzip.decompress((shared / "fib25/groundtruth.h5.gz").read_bytes())
    with h5py.File(io.BytesIO(raw), "r") as file:
        truth = file["stack"][:]
    codec = CompressedSegmentation()
    chunks = sorted((shared / "precomputed/golden_generated/seg/10_10_10").iterdir())
    assert len(chunks) == 64
    pairs: dict[int, set[int]] = {}
    for chunk in chunks:
        ranges = [tuple(map(int, part.split("-"))) for part in chunk.name.split("_")]
        place = tuple(slice(a - o, b - o) for (a, b), o in zip(ranges[::-1], (300, 200, 100), strict=True))
        expected = truth[place][None]
        found = codec.decode(chunk.read_bytes(), expected.shape, np.dtype("u8"))
        for ours, theirs in np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1).T.tolist():
            pairs.setdefault(theirs, set()).add(ours)
        assert codec.encode(found) == chunk.read_bytes()
    # Supervoxels or the bodies they belong to: either way one supervoxel has one value.
    assert len(pairs) > 10_000 and all(len(values) == 1 for values in pairs.values())


@pytest.mark.oracle
def test_neuroglancers_own_block_comes_back(shared: Path) -> None:
    path = shared / "neuroglancer/testdata/codec/compressed_segmentation/64x64x64-raw-uint64-segmentation.dat"
    array = np.frombuffer(path.read_bytes(), "<u8").reshape(1, 64, 64, 64)
    codec = CompressedSegmentation()
    packed = codec.encode(array)
    assert packed == foreign(array.astype("u8"), (8, 8, 8))
    assert np.array_equal(codec.decode(packed, array.shape, array.dtype), array)


# ------------------------------------------------------------------------------------------ damaged payloads
def test_values_may_stop_with_the_last_voxel() -> None:
    header = np.array([1, 2 | 4 << 24, 9, 5, 6, 7, 8, 9, 10, 11], "<u4")
    packed = np.concatenate([header, np.array([0x76543210], "<u4")]).tobytes()
    found = CompressedSegmentation((1, 8, 8)).decode(packed[:44], (1, 1, 1, 6), np.dtype("u4"))
    assert found.tolist() == [[[[5, 6, 7, 8, 9, 10]]]]


@pytest.mark.parametrize("dtype", ["u4", "u8"])
def test_every_truncation_is_a_format_error(cells: Any, dtype: str) -> None:
    array = cells((2, 9, 10, 17), dtype)
    codec = CompressedSegmentation()
    packed = codec.encode(array)
    for n in range(len(packed)):
        with pytest.raises(FormatError):
            codec.decode(packed[:n], array.shape, array.dtype)


WORDS = st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1), st.sampled_from([2**24, 2**25 + 3, 2**31, 2**32 - 1]))


@settings(max_examples=300)
@given(st.lists(WORDS, max_size=60), SHAPES, BLOCKS, st.sampled_from(["u4", "u8"]))
def test_any_words_are_a_format_error_or_labels(
    words: list[int], shape: tuple[int, int, int, int], block: tuple[int, int, int], dtype: str
) -> None:
    with suppress(FormatError):
        found = CompressedSegmentation(block).decode(np.array(words, "<u4").tobytes(), shape, np.dtype(dtype))
        assert found.shape == shape


@given(st.binary(max_size=100))
def test_any_bytes_are_a_format_error_or_labels(junk: bytes) -> None:
    with suppress(FormatError):
        CompressedSegmentation().decode(junk, (1, 2, 3, 4), np.dtype("u8"))


@settings(max_examples=200)
@given(st.data())
def test_any_damage_is_a_format_error_or_labels(data: st.DataObject) -> None:
    array = np.repeat(np.arange(9 * 10, dtype="u8"), 17).reshape(1, 9, 10, 17) * 3
    codec = CompressedSegmentation()
    packed = bytearray(codec.encode(array))
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), min_size=1, max_size=4)):
        packed[at] = data.draw(st.integers(0, 255))
    with suppress(FormatError):
        assert codec.decode(bytes(packed), array.shape, array.dtype).shape == array.shape


@pytest.mark.parametrize("shape", [(1, 2**20, 2**20, 2**20), (2**31, 1, 1, 1), (1, 2**62, 2**62, 2**62)])
def test_chunks_of_absurd_size_set_no_memory_aside(shape: tuple[int, int, int, int]) -> None:
    tracemalloc.start()
    with pytest.raises(FormatError):
        CompressedSegmentation((2**10, 2**10, 2**10)).decode(bytes(4096), shape, np.dtype("u8"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
