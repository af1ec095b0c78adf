"""Chunks read by threads in compiled code are the same as chunks read one by one, whatever is wrong with them."""

from __future__ import annotations

import ctypes
import gzip
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.codecs import batch
from voxarium.codecs.batch import crew, inflating
from voxarium.codecs.batch.crew import crews_possible
from voxarium.codecs.batch.inflating import inflater_of
from voxarium.core import native_reading, reading
from voxarium.core.opening import open_array
from voxarium.errors import FormatError
from voxarium.model.box import Box
from voxarium.stores.local import LocalStore

pytestmark = pytest.mark.skipif(
    not (batch.available() and crews_possible()), reason="no semaphores in memory, or numcodecs does not show its zstd"
)

SHAPE, CHUNK = (23, 31, 38), (5, 8, 9)


@pytest.fixture(autouse=True)
def loaded(monkeypatch):
    """Do not wait for so many chunks that loading compiled code pays."""
    monkeypatch.setattr(batch, "_worth_loading", lambda _chunks: True)
    monkeypatch.setattr(inflating, "_PATIENCE", 0)


def write(path, data, chunk, shard=None, codec="zstd", driver="zarr3"):
    """Write with TensorStore."""
    if driver == "zarr":
        compressor = None if codec == "none" else {"id": codec, "level": 1}
        metadata = {"chunks": list(chunk), "compressor": compressor}
    else:
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
        if codec != "none":
            codecs.append({"name": codec, "configuration": {"level": 1}})
        if shard is not None:
            codecs = [{"name": "sharding_indexed", "configuration": {"chunk_shape": list(chunk), "codecs": codecs}}]
        grid = {"name": "regular", "configuration": {"chunk_shape": list(shard or chunk)}}
        metadata = {"chunk_grid": grid, "codecs": codecs}
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    array = ts.open(spec, create=True, delete_existing=True, dtype=data.dtype, shape=data.shape).result()
    array.write(data).result()
    return open_array(LocalStore(path))


def sparse(shape=SHAPE, dtype="u2", seed=1):
    data = np.random.default_rng(seed).integers(0, 99, shape).astype(dtype)
    data[tuple(slice(0, n // 2) for n in shape)] = 0  # chunks that TensorStore does not write
    return data


@pytest.fixture
def careful(monkeypatch):
    """Count the chunks that go the careful way."""
    seen = []
    inner = reading._read_payloads
    monkeypatch.setattr(reading, "_read_payloads", lambda s, b, o, i, w: (seen.extend(i), inner(s, b, o, i, w))[1])
    return seen


@st.composite
def arrays(draw):
    ndim = draw(st.integers(1, 6))
    most = 12 if ndim < 4 else 4
    shape = tuple(draw(st.lists(st.integers(1, 3 * most), min_size=ndim, max_size=ndim)))
    chunk = tuple(draw(st.lists(st.integers(1, most), min_size=ndim, max_size=ndim)))
    shard = draw(st.one_of(st.none(), st.just(tuple(c * draw(st.integers(1, 3)) for c in chunk))))
    start = tuple(draw(st.integers(0, n - 1)) for n in shape)
    stop = tuple(draw(st.integers(a + 1, n)) for a, n in zip(start, shape, strict=True))
    return {
        "data": sparse(shape, draw(st.sampled_from(["u1", "i2", "f4", "u8", "c16"])), draw(st.integers(0, 9))),
        "chunk": chunk,
        "shard": shard,
        "codec": draw(st.sampled_from(["zstd", "none", "gzip"])),
        "driver": "zarr3" if shard else draw(st.sampled_from(["zarr3", "zarr"])),
        "box": Box.from_bounds(start, stop),
        "threads": draw(st.sampled_from([1, 2, 5])),
        "strided": draw(st.booleans()),
        "disk": draw(st.booleans()),
    }


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays())
def test_any_region_of_any_array(tmp_path_factory, monkeypatch, case):
    array = write(
        tmp_path_factory.mktemp("a"), case["data"], case["chunk"], case["shard"], case["codec"], case["driver"]
    )
    box = case["box"]
    room = np.full(tuple(n + 3 for n in box.shape), 77, case["data"].dtype)
    inner = tuple(slice(1, 1 + n) for n in box.shape)
    out = room[inner] if case["strided"] else np.empty(box.shape, case["data"].dtype)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "in_memory", lambda *_: not case["disk"])
        array.read(box, out=out, threads=case["threads"])
    assert np.array_equal(out, case["data"][box.slices])
    room[inner] = 77
    assert (room == 77).all()  # nothing beside the region was touched


def test_chunks_that_are_there_are_not_read_twice(tmp_path, careful):
    data = sparse()
    array = write(tmp_path, data, CHUNK, (10, 16, 27))
    assert (array.read(threads=2) == data).all()
    written = np.array(careful)
    assert len(written) < 60
    assert all(not data[tuple(slice(i * c, (i + 1) * c) for i, c in zip(w, CHUNK, strict=True))].any() for w in written)


@pytest.mark.parametrize(("codec", "dtype"), [("zstd", "u2"), ("gzip", "u2"), ("gzip", "u1")])
@pytest.mark.parametrize("shard", [None, (10, 16, 27)])
@pytest.mark.parametrize("harm", ["flip", "cut", "grow", "empty"])
def test_a_damaged_chunk_is_named(tmp_path, shard, harm, codec, dtype):
    data = np.random.default_rng(1).integers(0, 99, SHAPE).astype(dtype)
    array = write(tmp_path, data, CHUNK, shard, codec)
    path = tmp_path / ("c/1/1/1" if shard is None else "c/0/0/0")
    raw = bytearray(path.read_bytes())
    if shard is not None:
        raw[0:4] = b"\0\0\0\0"
    elif harm == "flip":
        raw[2] ^= 255
    elif harm == "cut":
        raw = raw[: len(raw) // 2]
    elif harm == "grow":
        raw = raw + b"x" * 100_000
    else:
        raw = bytearray()
    path.write_bytes(raw)
    with pytest.raises(FormatError, match=r"chunk \(\d, \d, \d\)"):
        array.read(threads=2)


@pytest.mark.skipif(not inflater_of("gzip"), reason="the package deflate has no wheel for this machine")
@pytest.mark.parametrize(("driver", "codec"), [("zarr3", "gzip"), ("zarr", "gzip"), ("zarr", "zlib")])
@pytest.mark.parametrize("dtype", ["u1", "u2"])  # mostly literals, and not
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_deflate_is_decoded_so(tmp_path, careful, driver, codec, dtype, threads):
    data = np.random.default_rng(2).integers(1, 99, SHAPE).astype(dtype)
    array = write(tmp_path, data, CHUNK, None, codec, driver)
    assert (array.read(threads=threads) == data).all()
    for stop in ((5, 8, 9), (5, 8, 18), (5, 8, 27), (5, 16, 27), (7, 31, 38)):  # 1, 2, 3, 6 and many chunks
        box = Box.from_bounds((0, 0, 0), stop)
        assert (array.read(box, threads=threads) == data[box.slices]).all()
    assert careful == []


@pytest.mark.skipif(not inflater_of("gzip"), reason="the package deflate has no wheel for this machine")
def test_chunks_are_decoded_several_at_once_where_there_are_as_many(tmp_path, monkeypatch):
    from voxarium.codecs.batch import crew_abreast

    asked = []
    inner = crew_abreast.work_address
    monkeypatch.setattr(crew_abreast, "work_address", lambda: (asked.append(1), inner())[1])
    array = write(tmp_path, np.ones(SHAPE, "u1"), CHUNK, None, "gzip")
    for stop, often in (((5, 8, 18), 0), ((5, 8, 27), 1), ((5, 16, 27), 2)):
        array.read(Box.from_bounds((0, 0, 0), stop), threads=1)
        assert len(asked) == often
    monkeypatch.setattr(inflating, "_MOST_BYTES", 300)  # a chunk has 360
    array.read(threads=1)
    assert len(asked) == often


@pytest.mark.skipif(not inflater_of("gzip"), reason="the package deflate has no wheel for this machine")
def test_gzip_of_several_members_or_padded_or_of_another_size(tmp_path, careful):
    data = np.random.default_rng(2).integers(1, 99, CHUNK).astype("u2")
    array = write(tmp_path, data, CHUNK, None, "gzip")
    path, raw = tmp_path / "c/0/0/0", data.tobytes()
    for payload in (
        gzip.compress(raw) + bytes(7),
        gzip.compress(raw[:100]) + gzip.compress(raw[100:]),
        gzip.compress(raw),
    ):
        path.write_bytes(payload)
        assert (array.read(threads=1) == data).all()
    assert len(careful) == 2
    for payload in (gzip.compress(raw[:-2]), gzip.compress(raw + b"ab"), gzip.compress(bytes(1 << 28), 9)):
        path.write_bytes(payload)
        with pytest.raises(FormatError, match=r"chunk \(0, 0, 0\)"):
            array.read(threads=1)


@pytest.mark.parametrize("shard", [None, (10, 8, 9)])
def test_a_column_of_plain_chunks_is_read_where_it_goes(tmp_path, careful, shard):
    data = np.random.default_rng(2).integers(1, 99, SHAPE).astype("u2")
    array = write(tmp_path, data, CHUNK, shard, "none")
    box = Box.from_bounds((5, 8, 18), (20, 16, 27))
    room = np.full((17, 8, 9), 7, "u2")
    array.read(box, out=room[1:-1], threads=2)
    assert (room[1:-1] == data[box.slices]).all()
    assert (room[[0, -1]] == 7).all()
    assert careful == []


@pytest.mark.parametrize("harm", ["cut", "one more", "many more", "absent"])
def test_a_plain_chunk_of_another_length_touches_nothing_beside_it(tmp_path, harm):
    data = np.random.default_rng(2).integers(1, 99, SHAPE).astype("u2")
    array = write(tmp_path, data, CHUNK, None, "none")
    path = tmp_path / "c/3/1/2"
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[:-1], "one more": raw + b"x", "many more": raw * 90, "absent": b""}[harm])
    box = Box.from_bounds((15, 8, 18), (20, 16, 27))
    room = np.full((7, 8, 9), 7, "u2")
    if harm == "absent":
        path.unlink()
        array.read(box, out=room[1:-1], threads=1)
        assert (room[1:-1] == 0).all()
    else:
        with pytest.raises(FormatError, match=r"chunk \(3, 1, 2\)"):
            array.read(box, out=room[1:-1], threads=1)
    assert (room[[0, -1]] == 7).all()


def test_absurd_lengths_in_an_index_are_errors(tmp_path):
    from voxarium.codecs.crc32c import crc32c_extend

    data = np.random.default_rng(1).integers(0, 99, SHAPE).astype("u2")
    write(tmp_path, data, CHUNK, (25, 32, 45))
    path = tmp_path / "c/0/0/0"
    raw = bytearray(path.read_bytes())
    count = 5 * 4 * 5
    table = np.frombuffer(raw, "<u8", count * 2, len(raw) - count * 16 - 4).reshape(count, 2).copy()
    for length in (2**63, 2**64 - 1, 2**40, 2**63 - 1):
        table[7] = (3, length)
        index = table.tobytes()
        path.write_bytes(bytes(raw[: -count * 16 - 4]) + index + crc32c_extend(0, index).to_bytes(4, "little"))
        with pytest.raises(FormatError):
            open_array(LocalStore(tmp_path)).read(threads=2)


def test_many_threads_read_side_by_side(tmp_path):
    data = sparse((64, 70, 75), "u4")
    array = write(tmp_path, data, (16, 16, 16), (32, 32, 32))
    rng = np.random.default_rng(2)
    boxes = []
    for _ in range(200):
        start = [int(rng.integers(0, n - 1)) for n in data.shape]
        boxes.append(
            Box.from_bounds(start, [int(rng.integers(a + 1, n + 1)) for a, n in zip(start, data.shape, strict=True)])
        )
    with ThreadPoolExecutor(16) as pool:
        for box, found in zip(boxes, pool.map(lambda b: array.read(b, threads=3), boxes), strict=True):
            assert np.array_equal(found, data[box.slices])


def test_helping_threads_are_few(tmp_path):
    data = sparse((64, 70, 75), "u4")
    array = write(tmp_path, data, (16, 16, 16), (32, 32, 32))
    with ThreadPoolExecutor(32) as pool:
        assert all((a == data).all() for a in pool.map(lambda _: array.read(threads=9), range(64)))
    assert sum(t.name.startswith("voxarium-reader") for t in threading.enumerate()) <= native_reading._MOST_THREADS


_FORKS = """
import os, sys
import numpy as np
from voxarium.codecs import batch
batch._worth_loading = lambda chunks: True
from voxarium.core.opening import open_array
from voxarium.stores.local import LocalStore
array = open_array(LocalStore(sys.argv[1]))
first = array.read(threads=4)
child = os.fork()
again = array.read(threads=4)
if child == 0:
    os._exit(0 if (again == first).all() else 1)
status = os.waitpid(child, 0)[1]
sys.exit(0 if status == 0 and (again == first).all() else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_reads_and_both_end(tmp_path):
    data = sparse()
    write(tmp_path, data, CHUNK, (10, 16, 27))
    done = subprocess.run([sys.executable, "-c", _FORKS, tmp_path], timeout=120, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_only_the_blocks_needed_are_decoded(tmp_path, careful):
    """A large chunk is decoded up to the last row asked for; what lies behind may be damaged."""
    data = np.random.default_rng(4).integers(0, 2**40, (40, 64, 67)).astype("u8")  # a chunk has eleven blocks
    array = write(tmp_path, data, (40, 64, 67))
    path = tmp_path / "c/0/0/0"
    raw = bytearray(path.read_bytes())
    raw[-2000:] = bytes(2000)
    path.write_bytes(raw)
    for stop in (1, 7, 20):
        box = Box((0, 3, 5), (stop, 50, 60))
        assert np.array_equal(array.read(box), data[box.slices])
    assert not careful
    with pytest.raises(FormatError, match=r"chunk \(0, 0, 0\)"):
        array.read(Box((0, 0, 0), (40, 64, 67)))
    path.write_bytes(raw[:100_000])
    with pytest.raises(FormatError, match=r"chunk \(0, 0, 0\)"):
        array.read(Box((0, 0, 0), (20, 64, 67)))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's /proc")
def test_files_that_are_opened_ahead_are_all_closed(tmp_path, monkeypatch):
    data = sparse((40, 61, 70))
    array = write(tmp_path, data, CHUNK)
    array.read(threads=5)  # threads that stay have files of their own, if any
    monkeypatch.setattr(LocalStore, "in_memory", lambda *_: False)
    before = set(os.listdir("/proc/self/fd"))
    for threads in (1, 2, 5):
        for _ in range(20):
            assert np.array_equal(array.read(Box((1, 3, 2), (37, 50, 66)), threads=threads), data[1:38, 3:53, 2:68])
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1  # the listing itself


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's /proc")
@pytest.mark.parametrize("threads", [2, 5])
def test_a_disk_is_told_in_the_order_of_reading_and_of_each_chunk_once(tmp_path, monkeypatch, threads):
    """A disk works in the order of asking: what is read first must not come behind what another thread asks for."""
    chunk = (32, 32, 32)  # 64 KiB: announced in runs of four
    data = np.random.default_rng(3).integers(0, 2**16, (90, 120, 300)).astype("u2")
    array = write(tmp_path, data, chunk)
    told = []

    def noted(handle, _start, _length, _advice):
        told.append(os.readlink(f"/proc/self/fd/{handle}"))
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_int)(noted)
    monkeypatch.setattr(crew, "_advise", lambda: ctypes.cast(callback, ctypes.c_void_p).value)
    monkeypatch.setattr(LocalStore, "in_memory", lambda *_: False)
    assert np.array_equal(array.read(threads=threads), data)
    place = {f"{os.path.realpath(tmp_path)}/c/{z}/{y}/{x}": (z * 4 + y) * 10 + x for z, y, x in np.ndindex(3, 4, 10)}
    order = [place[path] for path in told]
    assert sorted(order) == list(range(len(place)))
    # Each other thread may have taken a run and be about to tell it; nothing else is overtaken.
    assert max(chunk - i for i, chunk in enumerate(order)) <= 4 * (threads - 1)
