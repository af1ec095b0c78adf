"""Which chunk or shard a stored object is, and whether a shard is put together as it should be."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.formats.precomputed import PrecomputedScaleDriver
from voxarium.model.array_specs import join_key
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArraySpec
from voxarium.spec.precomputed import Sharding, centre_transform, dump_minishard_index, dump_shard_index
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore
from voxarium.validation.examples.precomputed import BASES

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
DRIVER = PrecomputedScaleDriver()


def created(shape, chunk, offset, shard=None, channels=1):
    front = () if channels == 1 else (channels,)
    return DRIVER.create(
        ArraySpec(
            shape=front + shape,
            dtype=np.dtype("uint8"),
            chunk_shape=front + chunk,
            shard_shape=None if shard is None else front + shard,
            transform=centre_transform((4.0, 8.0, 40.0), offset[::-1], channels=channels > 1),
        )
    )


lengths = st.tuples(*[st.integers(1, 50)] * 3)
chunks = st.tuples(*[st.sampled_from([1, 3, 8, 64])] * 3)
offsets = st.tuples(*[st.integers(-70, 70)] * 3)


@settings(max_examples=60, deadline=None)
@given(lengths, chunks, offsets, st.none() | st.tuples(*[st.integers(1, 5)] * 3), st.integers(1, 3), st.data())
def test_keys_and_places_are_each_others_inverse(shape, chunk, offset, shard, channels, data):
    fitted = tuple(min(c, n) for c, n in zip(chunk, shape, strict=True))
    wanted = None if shard is None else tuple(s * c for s, c in zip(shard, fitted, strict=True))
    info = created(shape, fitted, offset, wanted, channels)
    counts = ChunkGrid(info.shape, info.object_shape).counts
    index = tuple(data.draw(st.integers(0, n - 1)) for n in counts)
    for path in ("", "a/b"):
        key = DRIVER.object_key(path, info, index)
        assert DRIVER.object_index(path, info, key) == index
        for other in (key.upper() + "x", f"{key}.gz", f"x/{key}", key[1:], f"{path}/info", "info", f"{key}/x"):
            assert DRIVER.object_index(path, info, other) is None


def test_chunks_outside_the_grid_have_a_place_and_those_with_wrong_ends_have_none():
    info = created((9, 14, 21), (8, 8, 8), (2, -4, 8))
    place = {
        name: DRIVER.object_index("s", info, f"s/{name}")
        for name in (
            "24-29_-4-4_10-11", "24-32_-4-4_10-11", "32-40_-4-4_2-10", "0-8_-4-4_2-10", "8-16_-12--4_2-10",
            "08-16_-4-4_2-10", "9-17_-4-4_2-10", "8-16_-4-4", "8-16_-4-4_2-10_0-1", "24-29_-4-4_10-11.gz",
        )
    }  # fmt: skip
    assert list(place.values()) == [(1, 0, 2), None, (0, 0, 3), (0, 0, -1), (0, -1, 0), None, None, None, None, None]


def test_names_of_shards_are_in_lower_case_with_all_zeros():
    info = created((64, 64, 64), (1, 1, 1), (0, 0, 0), (2, 2, 2))
    keys = [DRIVER.object_key("s", info, (1, 2, 3)), "s/0000.shard"]
    assert DRIVER.object_index("s", info, keys[0]) == (1, 2, 3)
    for wrong in (keys[0].upper(), "s/0.shard", "s/00000.shard", "s/000A.shard", "s/8000.shard", "s/0000.index"):
        assert DRIVER.object_index("s", info, wrong) is None
    assert DRIVER.object_index("s", info, keys[1]) == (0, 0, 0)


def test_shards_that_are_no_boxes_have_no_place_and_the_driver_says_so():
    objects = BASES["precomputed-sharded"]()
    doc = json.loads(objects["info"])
    assert not DRIVER.shares_objects(DRIVER.open(MemoryStore(objects), "8_8_40"))
    doc["scales"][0]["sharding"]["hash"] = "murmurhash3_x86_128"
    info = DRIVER.open(MemoryStore(objects | {"info": json.dumps(doc).encode()}), "8_8_40")
    assert DRIVER.shares_objects(info)
    assert DRIVER.object_index("8_8_40", info, "8_8_40/0.shard") is None


def test_scales_beside_the_volume_are_looked_for_where_they_are():
    objects = BASES["precomputed"]()
    doc = json.loads(objects["info"])
    doc["scales"][0]["key"] = "../shared/8_8_40"
    moved = {f"shared/{k}": v for k, v in objects.items() if k.startswith("8_8_40/")}
    store = MemoryStore({f"v/{k}": v for k, v in objects.items()} | moved | {"v/info": json.dumps(doc).encode()})
    info = DRIVER.open(store, "v/shared/8_8_40")
    key = DRIVER.object_key("v/shared/8_8_40", info, (0, 0, 0))
    assert key == "shared/8_8_40/8-16_-4-4_2-10"
    assert DRIVER.object_index("v/shared/8_8_40", info, key) == (0, 0, 0)


# ------------------------------------------------------------------------------------------------------ shards
def shard_of(tables, sharding, body=b"", order=None, zipped=True):
    """Return a shard: `body`, then an index for each minishard from (keys, starts, sizes)."""
    index = np.zeros((1 << sharding.minishard_bits, 2), np.uint64)
    tail = b""
    for m in order or range(len(index)):
        index[m] = len(body) + len(tail)
        if tables.get(m):
            columns = (np.array(column, np.uint64) for column in zip(*tables[m], strict=True))
            packed = dump_minishard_index(*columns)
            tail += gzip.compress(packed) if zipped else packed
        index[m, 1] = len(body) + len(tail)
    return dump_shard_index(index) + body + tail


@pytest.fixture
def scale():
    """Return a scale with 4 × 4 × 4 chunks in 2 shards of 2 minishards with 16 chunks."""
    info = created((8, 8, 8), (2, 2, 2), (0, 0, 0), (8, 8, 8))
    sharding = Sharding(preshift_bits=4, minishard_bits=1, shard_bits=1)
    details = replace(info.details, scale=replace(info.details.scale, sharding=sharding), gzip=None)
    return replace(info, details=details)


def problems(scale, raw, name="1.shard", **others):
    store = MemoryStore({f"s/{name}": raw} | others)
    return DRIVER.check_object(store, "s", scale, f"s/{name}", (0, 0, 0))


GOOD = {0: [(32, 0, 5), (33, 5, 5)], 1: [(48, 10, 5), (63, 15, 5)]}
BODY = bytes(20)


def test_a_shard_in_order_is_in_order(scale):
    assert not problems(scale, shard_of(GOOD, scale.details.scale.sharding, BODY))
    empty = shard_of({}, scale.details.scale.sharding)
    assert not problems(scale, empty)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({0: [(5, 0, 5), (32, 5, 5)]}, "of other shards"),
        ({0: [(32, 0, 5), (50, 5, 5)]}, "of other minishards"),
        ({0: [(33, 0, 5), (32, 5, 5)]}, "do not ascend"),
        ({0: [(33, 0, 5), (33, 5, 5)]}, "a key twice"),
        ({0: [(32, 0, 7), (33, 5, 5)]}, "overlap"),
        ({1: [(48, 10, 5), (63, 15, 5000)]}, "beyond the end"),
        ({1: [(48, 10, 5), (63, 15, 2**64 - 3)]}, "beyond the end"),
        ({0: [(32, 0, 5), (96, 5, 5)]}, "outside the grid"),
    ],
)
def test_what_reading_does_not_notice_is_said(scale, change, said):
    found = problems(scale, shard_of(GOOD | change, scale.details.scale.sharding, BODY))
    assert [what for what, _ in found if said in what], found
    assert len(found) == 1


def test_two_keys_may_share_one_chunk(scale):
    same = {0: [(32, 0, 5), (33, 0, 5)]}
    assert not problems(scale, shard_of(same, scale.details.scale.sharding, BODY))


def test_indexes_out_of_order_backwards_or_outside_are_said(scale):
    sharding = scale.details.scale.sharding
    assert any("in order" in what for what, _ in problems(scale, shard_of(GOOD, sharding, BODY, order=[1, 0])))
    good = bytearray(shard_of(GOOD, sharding, BODY))
    for value, said in ((2**40, "beyond the end"), (1, "before they start")):
        raw = good.copy()
        raw[24:32] = value.to_bytes(8, "little")
        assert any(said in what for what, _ in problems(scale, bytes(raw)))


def test_damaged_indexes_are_said(scale):
    raw = bytearray(shard_of(GOOD, scale.details.scale.sharding, BODY))
    raw[-6] ^= 1  # the length in the end of the gzip member
    assert any("cannot be read" in what for what, _ in problems(scale, bytes(raw)))
    assert any("shorter than its index" in what for what, _ in problems(scale, bytes(raw[:20])))


def test_old_pairs_of_files_are_checked_as_one(scale):
    raw = shard_of({0: [(33, 0, 5), (32, 5, 5)]}, scale.details.scale.sharding, BODY)
    store = MemoryStore({"s/1.index": raw[:32], "s/1.data": raw[32:]})
    found = DRIVER.check_object(store, "s", scale, "s/1.data", (0, 0, 0))
    assert [what for what, _ in found] == ["the keys of minishard 0 do not ascend"]
    del store
    assert DRIVER.check_object(MemoryStore({"s/1.index": raw[:32]}), "s", scale, "s/1.index", ())


def test_shards_of_others_are_in_order():
    folder = SHARED / "precomputed" / "golden_generated" / "seg_sharded"
    if not folder.is_dir():
        pytest.skip(f"shared data are not at {SHARED}")
    store = LocalStore(folder)
    info = DRIVER.open(store, "10_10_10")
    key = DRIVER.object_key("10_10_10", info, (0, 0, 0))
    assert store.stat(key) is not None
    assert not DRIVER.check_object(store, "10_10_10", info, key, (0, 0, 0))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_whatever_a_shard_holds_it_is_answered(raw, zipped):
    info = created((8, 8, 8), (2, 2, 2), (0, 0, 0), (8, 8, 8))
    sharding = Sharding(
        preshift_bits=1, minishard_bits=2, shard_bits=3, minishard_index_encoding="gzip" if zipped else "raw"
    )
    details = replace(info.details, scale=replace(info.details.scale, sharding=sharding))
    DRIVER.check_object(MemoryStore({"1.shard": raw}), "", replace(info, details=details), "1.shard", (0, 0, 0))


def test_an_index_that_unpacks_to_too_much_is_refused(scale):
    bomb = gzip.compress(bytes(50_000_000))
    index = np.array([[0, len(bomb)], [0, len(bomb)]], np.uint64)
    found = problems(scale, dump_shard_index(index) + bomb)
    assert any("cannot be read" in what for what, _ in found)


def test_bare_keys_stay_the_keys_of_packed_chunks():
    objects = BASES["precomputed"]()
    packed = {f"{k}.gz" if k.startswith("8_8_40/") else k: v for k, v in objects.items()}
    info = DRIVER.open(MemoryStore(packed), "8_8_40")
    key = DRIVER.object_key("8_8_40", info, (0, 0, 0))
    assert key == join_key("8_8_40", "8-16_-4-4_2-10")
    assert DRIVER.object_index("8_8_40", info, f"{key}.gz") is None
    assert ".gz" in DRIVER.packed_suffixes
