"""WKW files: what is read from files made byte by byte, what is written, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.core.opening import open_array
from voxarium.errors import Code, FormatError, InputError, NotFoundError, StoreError, UnsupportedError, VoxariumError
from voxarium.formats.wkw import WkwDriver
from voxarium.model.array_specs import join_key
from voxarium.model.image import ArraySpec
from voxarium.model.protocols import NativeDriver, ShardedArrayDriver
from voxarium.model.transforms import Scale, Sequence, Translation
from voxarium.spec import wkw
from voxarium.stores.memory import MemoryStore

DRIVER = WkwDriver()
VOXEL_TYPES = ["uint8", "uint16", "uint32", "uint64", "float32", "float64", "int8", "int16", "int32", "int64"]


def test_the_driver_keeps_to_its_protocols():
    assert isinstance(DRIVER, ShardedArrayDriver)
    assert isinstance(DRIVER, NativeDriver)


# ------------------------------------------------------------------------------------------------------- reading
@pytest.mark.parametrize("dtype", VOXEL_TYPES)
@pytest.mark.parametrize("block_type", [1, 2, 3])
@pytest.mark.parametrize("channels", [None, 3])
def test_every_voxel_type_is_read(kit, store, dtype, block_type, channels):
    shape = (9, 7, 11) if channels is None else (9, 7, 11, channels)
    data = kit.ramp(shape, dtype)
    whole = kit.put_wkw(store, "a", data, block_type=block_type)
    array = open_array(store, "a")
    assert array.dtype == np.dtype(dtype)
    assert [a.name for a in array.axes] == list("zyx" if channels is None else "zyxc")
    assert (array[...] == (whole if channels else whole[..., 0])).all()
    assert (array[3:8, 2:7, 5:11] == data[3:8, 2:7, 5:11]).all()


@pytest.mark.parametrize(("block_len", "file_len"), [(1, 1), (1, 8), (8, 1), (2, 4), (32, 1)])
def test_any_size_of_blocks_and_files_is_read(kit, store, block_len, file_len):
    data = kit.ramp((9, 7, 11))
    kit.put_wkw(store, "a", data, block_len=block_len, file_len=file_len)
    array = open_array(store, "a")
    assert array.info.chunk_shape == (block_len,) * 3
    assert array.info.shard_shape == (block_len * file_len,) * 3
    assert (array[:9, :7, :11] == data).all()


def test_a_file_that_is_absent_is_zeros_and_a_block_that_is_cut_off_an_error(kit, store):
    data = kit.ramp((16, 16, 16))
    kit.put_wkw(store, "a", data, absent=[(0, 1, 0)])
    want = data.copy()
    want[:8, 8:, :8] = 0
    assert (open_array(store, "a")[...] == want).all()
    key = "a/z1/y1/x1.wkw"
    store.put(key, store.get(key)[:-3])
    with pytest.raises(FormatError) as caught:
        open_array(store, "a")[...]
    assert caught.value.code == Code.SHARD_INDEX_CORRUPT and key in str(caught.value)


def test_a_raw_file_that_is_cut_off_is_an_error_where_it_matters(kit, store):
    data = kit.ramp((8, 8, 8))
    kit.put_wkw(store, "a", data, block_type=1)
    store.put("a/z0/y0/x0.wkw", store.get("a/z0/y0/x0.wkw")[:-1])
    array = open_array(store, "a")
    assert (array[:4, :4, :4] == data[:4, :4, :4]).all()
    with pytest.raises((FormatError, StoreError)):
        array[4:, 4:, 4:]


def test_an_array_without_files_is_empty(kit, store):
    store.put("a/header.wkw", kit.header_bytes("u1", 1, 8, 4, 2))
    assert open_array(store, "a").shape == (0, 0, 0)


def test_the_extent_is_told_by_a_dataset_by_the_user_or_by_the_files(kit, store):
    data = kit.ramp((10, 15, 20))
    kit.put_wkw(store, "ds/em/1", data, origin=(7, 5, 3))
    kit.put_wkw(store, "ds/em/2", data[::2, ::2, ::2], origin=(3, 2, 1))
    assert open_array(store, "ds/em/1").shape == (24, 24, 24)
    assert open_array(store, "ds/em/1", shape=(17, 20, 23)).shape == (17, 20, 23)
    kit.put_properties(store, kit.entry(mags=[{"mag": [1, 1, 1]}, {"mag": 2}]), folder="ds")
    array = open_array(store, "ds/em/1")
    assert array.shape == (17, 20, 23)
    assert (array[7:, 5:, 3:] == data).all() and not array[:7].any()
    assert open_array(store, "ds/em/2").shape == (9, 10, 12)
    world = open_array(store, "ds/em/2").info.transform.apply((0, 0, 0)).tolist()
    assert world == [30.0, 5.0, 4.0]  # the centre of the first voxel of mag 2 is a corner of mag 1


def test_a_store_that_cannot_be_listed_needs_to_be_told_the_extent(kit, store):
    kit.put_wkw(store, "a", kit.ramp((8, 8, 8)))

    class Unlisted:
        uri, concurrency = "blind:", 4
        get, get_ranges, stat = store.get, store.get_ranges, store.stat

    with pytest.raises(InputError, match="shape="):
        open_array(Unlisted(), "a", format="wkw")
    assert open_array(Unlisted(), "a", format="wkw", shape=(8, 8, 8))[7, 7, 7] == 512


@pytest.mark.parametrize("shape", [(1, 2), (1, 2, -3), (1, 2, 2**60), ("a", 1, 1)])
def test_an_impossible_extent_is_refused(kit, store, shape):
    kit.put_wkw(store, "a", kit.ramp((8, 8, 8)))
    with pytest.raises(InputError):
        DRIVER.open(store, "a", shape=shape)


def test_files_far_away_and_too_many_files_are_refused(kit, store):
    kit.put_wkw(store, "a", kit.ramp((8, 8, 8)))
    store.put("a/z99999999999999/y0/x0.wkw", b"")
    with pytest.raises(FormatError) as caught:
        DRIVER.open(store, "a")
    assert caught.value.code == Code.SIZE_IMPLAUSIBLE
    with pytest.raises(FormatError, match="more than 2 files"):
        wkw.extent(["z0/y0/x0.wkw"] * 3, 32, 2, "a")


def test_other_files_in_the_folder_do_not_matter():
    names = ["header.wkw", "z0/y0/x00.wkw", "z0/y0/x1.wkw.tmp", "z-1/y0/x0.wkw", "z0/y3/x2.wkw", "z0/x1.wkw"]
    assert wkw.extent(names, 32, 100, "a") == (32, 128, 96)


def test_no_header_is_not_mine(store):
    with pytest.raises(NotFoundError) as caught:
        DRIVER.open(store, "nowhere")
    assert caught.value.code == Code.METADATA_MISSING
    with pytest.raises(NotFoundError):
        DRIVER.open(store, "file.h5::/a")


# ------------------------------------------------------------------------------------------------- hostile bytes
GOOD = bytes.fromhex("574b570112020202") + bytes(8)


@pytest.mark.parametrize(
    ("at", "value", "word"),
    [
        (0, 0, "no WKW header"),
        (3, 2, "version 2"),
        (5, 0, "block type 0"),
        (5, 4, "block type 4"),
        (6, 0, "voxel type 0"),
        (6, 11, "voxel type 11"),
        (7, 0, "0 bytes"),
        (7, 3, "3 bytes"),
        (4, 0x0F, "not credible"),
        (4, 0xF1, "not credible"),
    ],
)
def test_a_header_that_breaks_the_specification_is_refused(at, value, word):
    raw = bytearray(GOOD)
    raw[at] = value
    with pytest.raises(FormatError, match=word):
        wkw.parse_header(raw, "header.wkw")


def test_an_example_of_the_specification():
    raw = bytes.fromhex("574b57 01 23 01 01 03 0000000000000000".replace(" ", ""))
    header = wkw.parse_header(raw, "header.wkw")
    assert (header.block_len, header.file_len, header.block_type) == (8, 4, "raw")
    assert (header.dtype, header.channels, header.byte_offset) == (np.uint8, 3, 0)
    assert wkw.dump_header(header) == raw


@given(st.binary(max_size=40))
def test_any_bytes_are_a_header_or_a_format_error(raw):
    try:
        header = wkw.parse_header(raw, "x")
    except FormatError:
        return
    assert wkw.dump_header(header) == raw[:16]


@given(st.data())
def test_damaged_files_give_an_error_or_voxels(kit, data):
    store = MemoryStore()
    kit.put_wkw(store, "a", kit.ramp((8, 8, 8)), block_type=data.draw(st.sampled_from([1, 2])))
    key = data.draw(st.sampled_from(["a/header.wkw", "a/z0/y0/x0.wkw"]))
    raw = bytearray(store.get(key))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, min(len(raw), 120) - 1))] = data.draw(st.integers(0, 255))
    store.put(key, bytes(raw[: data.draw(st.integers(0, len(raw)))]) if data.draw(st.booleans()) else bytes(raw))
    try:
        array = open_array(store, "a", format="wkw")
        if array.nbytes < 1 << 24:
            array[...]
    except VoxariumError:
        pass


@given(ends=st.lists(st.integers(0, 2**64 - 1), min_size=8, max_size=8), offset=st.integers(0, 2**64 - 1))
def test_any_table_is_in_order_and_inside_the_file_or_refused(ends, offset):
    header = wkw.Header(block_len=4, file_len=2, block_type="lz4", dtype=np.dtype("u1"), channels=1, byte_offset=offset)
    try:
        starts = wkw.parse_ends(np.array(ends, "<u8").tobytes(), header, 1000, "x")
    except FormatError:
        return
    assert starts.tolist() == [offset, *ends] and starts[0] >= 80 and starts[-1] <= 1000
    assert (np.diff(starts) >= 0).all()


def test_a_table_that_claims_huge_blocks_is_refused_before_anything_is_read():
    header = wkw.Header(block_len=4, file_len=1, block_type="lz4", dtype=np.dtype("u1"), byte_offset=24)
    with pytest.raises(FormatError, match="more than the"):
        wkw.parse_ends(np.array([10_000], "<u8").tobytes(), header, None, "x")


def test_a_file_of_another_array_is_refused(kit, store):
    kit.put_wkw(store, "a", kit.ramp((8, 8, 8)))
    store.put("a/z0/y0/x0.wkw", kit.wkw_file(kit.ramp((8, 8, 8, 1), "u1"), 4, 2))
    with pytest.raises(FormatError, match=r"contradicts header\.wkw"):
        open_array(store, "a")[...]


def test_a_table_larger_than_its_file_costs_nothing(kit, store):
    store.put("a/header.wkw", kit.header_bytes("u1", 1, 1, 256, 2))
    store.put("a/z0/y0/x0.wkw", kit.header_bytes("u1", 1, 1, 256, 2, 2**40) + bytes(100))
    with pytest.raises(FormatError) as caught:
        open_array(store, "a")[:3, :3, :3]
    assert caught.value.code == Code.SHARD_INDEX_CORRUPT


def test_a_block_of_junk_is_refused(kit, store):
    kit.put_wkw(store, "a", kit.ramp((8, 8, 8)))
    raw = bytearray(store.get("a/z0/y0/x0.wkw"))
    raw[80:100] = bytes(20)  # matches from before the beginning
    store.put("a/z0/y0/x0.wkw", bytes(raw))
    with pytest.raises(FormatError) as caught:
        open_array(store, "a")[...]
    assert caught.value.code in (Code.CHUNK_CORRUPT, Code.CHUNK_TRUNCATED)


# ------------------------------------------------------------------------------------------------------- writing
def written(spec, data, store, path="a"):
    """Write an array through the driver's protocol, file by file."""
    info = DRIVER.create(spec)
    for key, document in DRIVER.dump(path, info).items():
        store.put(key, document)
    layout = DRIVER.shard_layout(info)
    side, block = info.shard_shape[0], info.chunk_shape[0]
    per = side // block
    counts = [math.ceil(n / side) for n in data.shape[:3]]
    whole = np.zeros([c * side for c in counts] + list(data.shape[3:]), data.dtype)
    whole[tuple(slice(0, n) for n in data.shape)] = data
    for index in np.ndindex(*counts):
        table = np.zeros((per**3, 2), np.uint64)
        payloads, at = [], layout.head
        for slot in layout.order.tolist():
            place = np.unravel_index(slot, (per,) * 3)
            box = tuple(
                slice(f * side + i * block, f * side + (i + 1) * block) for f, i in zip(index, place, strict=True)
            )
            payload = bytes(memoryview(DRIVER.encode(info, np.ascontiguousarray(whole[box]))))
            table[slot] = at, len(payload)
            at += len(payload)
            payloads.append(payload)
        grid = (*index, 0) if data.ndim == 4 else index
        head, tail = DRIVER.pack_shard(info, grid, table)
        assert len(head) == layout.head and tail == b""
        store.put(DRIVER.object_key(path, info, grid), head + b"".join(payloads))
    return info


@pytest.mark.parametrize("dtype", VOXEL_TYPES)
@pytest.mark.parametrize("codec", [None, "lz4", "lz4hc", "none"])
@pytest.mark.parametrize("channels", [None, 2])
def test_what_is_written_is_read(kit, store, dtype, codec, channels):
    shape = (9, 17, 21) if channels is None else (9, 17, 21, channels)
    data = kit.ramp(shape, dtype)
    spec = ArraySpec(
        shape=shape, dtype=np.dtype(dtype), chunk_shape=(8, 8, 8, *shape[3:]),
        shard_shape=(16, 16, 16, *shape[3:]),
        codec=codec,
    )  # fmt: skip
    info = written(spec, data, store)
    assert info.chunk_shape[:3] == (8, 8, 8) and info.shard_shape[:3] == (16, 16, 16)
    found = open_array(store, "a", shape=shape)
    assert (found[...] == data).all() and found.dtype == np.dtype(dtype)
    assert store.get("a/z0/y0/x0.wkw") == kit.wkw_file(
        np.pad(data.reshape(*shape[:3], -1), ((0, 7), (0, 0), (0, 0), (0, 0)))[:, :16, :16], 8,
        {"lz4hc": 3, "none": 1}.get(codec, 2),
    ) or codec in (None, "lz4", "lz4hc")  # fmt: skip


@given(z=st.integers(0, 7), y=st.integers(0, 7), x=st.integers(0, 7))
def test_morton_order_interleaves_x_y_z(kit, z, y, x):
    place = kit.morton(z, y, x)
    assert wkw.morton_places(np.array([[z, y, x]]), 8).tolist() == [place]
    assert wkw.morton_order(8)[place] == (z * 8 + y) * 8 + x


@pytest.mark.parametrize(
    ("shape", "chunk", "shard", "sides"),
    [
        ((384, 384, 384), 64, 1024, (64, 512)),
        ((384, 384, 384), 64, None, (64, 64)),
        ((100, 30, 30), 32, 1024, (32, 128)),
        ((5, 4, 3), 64, 512, (8, 8)),
        ((5000, 5000, 5000), 64, 512, (64, 512)),
        ((5000, 5000, 5000), 48, 96, (32, 128)),
    ],
)
def test_files_are_cubes_no_larger_than_the_array_asks_for(shape, chunk, shard, sides):
    block = tuple(min(chunk, n) for n in shape)
    outer = None if shard is None else tuple(-(-min(shard, n) // c) * c for n, c in zip(shape, block, strict=True))
    info = DRIVER.create(ArraySpec(shape=shape, dtype=np.dtype("u1"), chunk_shape=block, shard_shape=outer))
    assert info.chunk_shape == (sides[0],) * 3 and info.shard_shape == (sides[1],) * 3


def test_files_that_are_not_compressed_are_kept_from_growing_by_padding():
    spec = ArraySpec(
        shape=(20, 2000, 2000), dtype=np.dtype("u1"), chunk_shape=(20, 64, 64), shard_shape=(20, 512, 512), codec="none"
    )
    info = DRIVER.create(spec)
    assert info.shard_shape == (32, 32, 32)
    padded = math.prod(-(-n // 32) * 32 for n in spec.shape)
    assert padded < 2 * math.prod(spec.shape)


def at(*corner):
    """Return the transform of an array of 8 nm voxels whose first voxel is voxel `corner`."""
    return Sequence((Scale((8.0,) * 3), Translation(tuple((n + 0.5) * 8 for n in corner))))


@pytest.mark.parametrize(
    ("transform", "key", "side"),
    [
        (None, "z0/y0/x0.wkw", 128),
        (at(0, 0, 0), "z0/y0/x0.wkw", 128),
        (at(128, 256, 0), "z1/y2/x0.wkw", 128),
        (at(96, 32, 64), "z3/y1/x2.wkw", 32),
        (at(1, 0, 0), "z0/y0/x0.wkw", 128),  # 1-voxel files would be worse than a transformation
        (at(0.5, 0, 0), "z0/y0/x0.wkw", 128),
        (at(-32, 0, 0), "z0/y0/x0.wkw", 128),
    ],
)
def test_an_array_stands_at_its_place_where_files_can_begin_there(transform, key, side):
    spec = ArraySpec(
        shape=(100, 100, 100), dtype=np.dtype("u1"), chunk_shape=(64,) * 3, shard_shape=(128,) * 3, transform=transform
    )
    info = DRIVER.create(spec)
    assert DRIVER.object_key("a", info, (0, 0, 0)) == f"a/{key}" and info.shard_shape == (side,) * 3


@pytest.mark.parametrize(
    ("changes", "error", "word"),
    [
        ({"dtype": np.dtype("f2")}, UnsupportedError, "float16"),
        ({"dtype": np.dtype("?")}, UnsupportedError, "bool"),
        ({"codec": "zstd:1"}, UnsupportedError, "zstd:1"),
        ({"fill_value": 7}, InputError, "0, not 7"),
        ({"dimension_names": ("x", "y", "z")}, InputError, "x, y, z"),
        ({"shape": (4, 4), "chunk_shape": (4, 4)}, InputError, "z, y"),
        ({"shape": (4, 4, 4, 200), "chunk_shape": (4, 4, 4, 1), "dtype": np.dtype("u2")}, InputError, "400 bytes"),
    ],
)
def test_what_wkw_cannot_hold_is_refused(changes, error, word):
    spec = {"shape": (4, 4, 4), "dtype": np.dtype("u1"), "chunk_shape": (4, 4, 4)} | changes
    with pytest.raises(error, match=word):
        DRIVER.create(ArraySpec(**spec))


@settings(max_examples=40)
@given(st.data())
def test_arrays_of_any_shape_come_back(data):
    store = MemoryStore()
    shape = tuple(data.draw(st.integers(1, 20)) for _ in range(3))
    voxels = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 4, shape).astype("u4")
    spec = ArraySpec(
        shape=shape, dtype=voxels.dtype, chunk_shape=(data.draw(st.sampled_from([2, 4, 8])),) * 3,
        shard_shape=(8,) * 3, codec=data.draw(st.sampled_from(["lz4", "none"])),
    )  # fmt: skip
    written(spec, voxels, store, "x/y")
    assert (open_array(store, join_key("x", "y"), shape=shape)[...] == voxels).all()
