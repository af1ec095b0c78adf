"""NumPy files: every version, order and byte order; hostile headers."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import Code, FormatError, NotFoundError, UnsupportedError
from voxarium.formats.npy import NpyDriver
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray, slab_shape
from voxarium.spec.npy_header import parse_npy_header
from voxarium.stores.memory import MemoryStore

DTYPES = ["|b1", "|u1", "|i1", "<u2", ">u2", "<i4", ">i8", "<f2", "<f4", ">f8", "<c8", ">c16"]


def ramp(shape, dtype):
    return (np.arange(int(np.prod(shape))) % 251).astype(dtype).reshape(shape)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_and_order(tmp_path, reads_like, dtype, order):
    data = np.asarray(ramp((5, 7, 9), dtype), order=order)
    np.save(tmp_path / "a.npy", data)
    info = reads_like(NpyDriver(), "a.npy", data)
    assert info.axes is None
    assert info.transform is None


@pytest.mark.parametrize("shape", [(11,), (3, 4), (2, 3, 4, 5), (1, 1, 1)])
def test_any_number_of_axes(tmp_path, reads_like, shape):
    data = ramp(shape, "u2")
    np.save(tmp_path / "a.npy", data)
    reads_like(NpyDriver(), "a.npy", data)


def test_long_runs_are_read_in_place(tmp_path, reads_like):
    data = ramp((5, 130, 1030), "u1")
    np.save(tmp_path / "a.npy", data)
    info = reads_like(NpyDriver(), "a.npy", data)
    box = Box((1, 3, 0), (3, 100, 1030))  # 103 kB in one piece per plane
    out = np.empty(box.shape, "u1")
    NpyDriver().read_region(None or _store(tmp_path), "a.npy", info, box, out)
    np.testing.assert_array_equal(out, data[box.slices])


def _store(folder: Path):
    from voxarium.stores.local import LocalStore

    return LocalStore(folder)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version(tmp_path, reads_like, version):
    data = ramp((3, 4, 5), "<f4")
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, data, version=version)
    reads_like(NpyDriver(), "a.npy", data)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", ">u2"])
def test_any_store_serves(order, dtype):
    data = np.asarray(ramp((20, 30, 40), dtype), order=order)
    file = io.BytesIO()
    np.save(file, data)
    store = MemoryStore()
    store.put("x/a.npy", file.getvalue())
    info = NpyDriver().open(store, "x/a.npy")
    box = Box((3, 5, 7), (11, 13, 17))
    np.testing.assert_array_equal(NpyDriver().read_chunk(store, "x/a.npy", info, box), data[box.slices])


def test_magic_is_enough_without_the_suffix(tmp_path, reads_like):
    data = ramp((3, 4), "u1")
    with (tmp_path / "array").open("wb") as file:
        np.save(file, data)
    reads_like(NpyDriver(), "array", data)


@pytest.mark.parametrize("path", ["", "other.txt", "absent.npy", "folder", "a.h5::/x", "a.h5::/"])
def test_declines_what_is_not_npy(tmp_path, store, path):
    (tmp_path / "other.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotFoundError) as caught:
        NpyDriver().open(store, path)
    assert caught.value.code == Code.METADATA_MISSING


@pytest.mark.parametrize("keep", [0, 5, 11, 60, 128, 1000, 2127])
def test_cut_off_file_is_noticed(tmp_path, store, keep):
    np.save(tmp_path / "a.npy", ramp((10, 10, 10), "u2"))
    raw = (tmp_path / "a.npy").read_bytes()
    assert len(raw) == 2128
    (tmp_path / "a.npy").write_bytes(raw[:keep])
    with pytest.raises(FormatError) as caught:
        NpyDriver().open(store, "a.npy")
    assert caught.value.code in (Code.FILE_TRUNCATED, Code.METADATA_INVALID)


def test_file_that_shrinks_after_opening_is_noticed(tmp_path, store):
    data = ramp((4, 300, 300), "u1")
    np.save(tmp_path / "a.npy", data)
    info = NpyDriver().open(store, "a.npy")
    raw = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(raw[: len(raw) // 2])
    for box in (Box.whole(data.shape), Box((3, 0, 0), (1, 300, 7))):
        with pytest.raises(FormatError) as caught:
            NpyDriver().read_chunk(store, "a.npy", info, box)
        assert caught.value.code == Code.FILE_TRUNCATED
    (tmp_path / "a.npy").unlink()
    with pytest.raises(NotFoundError):
        NpyDriver().read_chunk(store, "a.npy", info, Box.whole(data.shape))


@pytest.mark.parametrize(
    "array",
    [
        np.array([{"a": 1}], dtype=object),
        np.zeros(3, [("x", "u1"), ("y", "f4")]),
        np.array(["text"]),
        np.array([b"text"]),
        np.zeros(3, "M8[s]"),
        np.zeros(3, "V2"),
    ],
)
def test_other_than_plain_numbers_is_refused(tmp_path, store, array):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(UnsupportedError) as caught:
        NpyDriver().open(store, "a.npy")
    assert caught.value.code == Code.DTYPE_UNSUPPORTED


def header(text: str) -> bytes:
    raw = text.encode("latin-1")
    return b"\x93NUMPY\x01\0" + len(raw).to_bytes(2, "little") + raw


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (3,), 'shape': (4,)}",
        "{'descr': '<u2', 'fortran_order': 0, 'shape': (3,)}",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (-3,)}",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (3)}",
        "{'descr': '<u2', 'fortran_order': False, 'shape': [3]}",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (3,), 'more': True}",
        "{'descr': True, 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<u2', 'fortran_order': __import__('os'), 'shape': (3,)}",
    ],
)
def test_broken_headers_are_format_errors(text):
    with pytest.raises(FormatError):
        parse_npy_header(header(text))


def test_python_2_header_is_read():
    got = parse_npy_header(header("{'descr': '<f8', 'fortran_order': False, 'shape': (12L, 3L), }      \n"))
    assert got.shape == (12, 3)


def test_enormous_shape_is_never_allocated(tmp_path, store):
    (tmp_path / "a.npy").write_bytes(
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 999999999999)}\n")
    )
    with pytest.raises(FormatError) as caught:
        NpyDriver().open(store, "a.npy")
    assert caught.value.code == Code.FILE_TRUNCATED


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x93NUMPY\x01\0", b"\x93NUMPY\x02\0", b"\x93NUMPY\x03\0"]),
)
def test_any_bytes_give_a_header_or_a_format_error(junk, start):
    with contextlib.suppress(FormatError, UnsupportedError):
        parse_npy_header(start + junk)


@given(st.text("{}()[]'\",: descrfotan_ohpTulFs0123456789<>|ufi", max_size=90))
def test_any_text_gives_a_header_or_a_format_error(text):
    with contextlib.suppress(FormatError, UnsupportedError):
        parse_npy_header(header(text))


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.sampled_from(["C", "F"]),
    st.sampled_from(["<u2", ">f4"]),
    st.integers(0, 9),
    st.data(),
)
def test_flat_array_reads_any_box_from_any_place(shape, order, dtype, start, draw):
    data = np.asarray(ramp(shape, dtype), order=order)
    store = MemoryStore()
    store.put("a", b"x" * start + data.tobytes(order=order))
    origin = tuple(draw.draw(st.integers(0, n - 1)) for n in shape)
    size = tuple(draw.draw(st.integers(0, n - o)) for n, o in zip(shape, origin, strict=True))
    layout = FlatArray(shape=tuple(shape), dtype=np.dtype(dtype), byte_offset=start, order=order)
    box = Box(origin, size)
    np.testing.assert_array_equal(layout.read_new(store, "a", box), data[box.slices])


@given(st.lists(st.integers(0, 10**7), max_size=5), st.sampled_from([1, 2, 8, 16]))
def test_slabs_fit_the_array_and_memory(shape, itemsize):
    slab = slab_shape(tuple(shape), itemsize)
    assert all(1 <= s <= max(1, n) for s, n in zip(slab, shape, strict=True))
    assert int(np.prod(slab, dtype=object)) * itemsize <= max(64 << 20, itemsize)
