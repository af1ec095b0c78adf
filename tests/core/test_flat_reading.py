"""Files of plain voxels read by threads in compiled code hold the same as files read with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.codecs import batch
from voxarium.codecs.batch.crew import crews_possible
from voxarium.core import flat_reading
from voxarium.core.opening import open_array
from voxarium.errors import FormatError, NotFoundError
from voxarium.formats.npy import NpyDriver
from voxarium.model.box import Box
from voxarium.stores.local import LocalStore

pytestmark = pytest.mark.skipif(
    not (batch.available() and crews_possible()), reason="no semaphores in memory, or numcodecs does not show its zstd"
)


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Take this way for short runs, too, and at once."""
    monkeypatch.setattr(batch, "_worth_loading", lambda _chunks: True)
    monkeypatch.setattr(flat_reading, "_SHORTEST", 1)


@pytest.fixture
def careful(monkeypatch):
    """Count the regions that are read the other way."""
    seen = []
    inner = NpyDriver.read_region
    monkeypatch.setattr(NpyDriver, "read_region", lambda self, *a: (seen.append(a[3]), inner(self, *a))[1])
    return seen


def saved(folder, data):
    np.save(folder / "x.npy", data)
    return open_array(LocalStore(folder), "x.npy")


@st.composite
def cases(draw):
    ndim = draw(st.integers(1, 5))
    shape = tuple(draw(st.lists(st.integers(1, 13 if ndim < 4 else 6), min_size=ndim, max_size=ndim)))
    start = tuple(draw(st.integers(0, n - 1)) for n in shape)
    stop = tuple(draw(st.integers(a + 1, n)) for a, n in zip(start, shape, strict=True))
    dtype = draw(st.sampled_from(["u1", "i2", "f4", "c16", ">u4"]))
    return (
        np.random.default_rng(draw(st.integers(0, 9))).integers(0, 99, shape).astype(dtype),
        Box.from_bounds(start, stop),
        draw(st.sampled_from([1, 2, 5])),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from([1, 7, 64, 1 << 20])),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases())
def test_any_region_of_any_array(tmp_path_factory, monkeypatch, case):
    data, box, threads, strided, disk, piece = case
    array = saved(tmp_path_factory.mktemp("a"), data)
    room = np.full(tuple(n + 3 for n in box.shape), 77, array.dtype)
    inner = tuple(slice(1, 1 + n) for n in box.shape)
    out = room[inner] if strided else np.empty(box.shape, array.dtype)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "in_memory", lambda *_: not disk)
        patch.setattr(flat_reading, "_PIECE", piece)
        array.read(box, out=out, threads=threads)
    assert np.array_equal(out, data[box.slices])
    room[inner] = 77
    assert (room == 77).all()  # nothing beside the region was touched


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_voxels_that_are_turned_round_go_the_other_way(tmp_path, careful, order, dtype):
    data = np.arange(5 * 7 * 11).reshape(5, 7, 11).astype(dtype, order=order)
    array = saved(tmp_path, data)
    assert (array.read(threads=2) == data).all()
    assert bool(careful) == (order == "F" or dtype == ">u2")


def test_short_runs_are_mapped(tmp_path, careful, monkeypatch):
    monkeypatch.setattr(flat_reading, "_SHORTEST", 12)
    array = saved(tmp_path, np.arange(5 * 7 * 11, dtype="u1").reshape(5, 7, 11))
    array.read(Box((1, 0, 0), (2, 3, 11)))
    assert careful == []
    array.read(Box((1, 0, 0), (2, 3, 9)))
    assert len(careful) == 1


def test_a_file_that_became_too_short_or_vanished_is_told(tmp_path):
    data = np.arange(5 * 7 * 11, dtype="u4").reshape(5, 7, 11)
    array = saved(tmp_path, data)
    path = tmp_path / "x.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert (array.read(Box((0, 0, 0), (4, 7, 11))) == data[:4]).all()
    with pytest.raises(FormatError, match=r"x\.npy"):
        array.read()
    path.unlink()
    with pytest.raises(NotFoundError, match=r"x\.npy"):
        array.read()


@pytest.mark.parametrize(("run", "expected"), [(1 << 20, 1 << 20), (3 << 20, 1 << 20), (2_000_003, 2_000_003)])
def test_long_runs_are_cut_where_they_can_be(run, expected):
    assert flat_reading._piece(run) == expected
