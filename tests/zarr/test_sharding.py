"""Shard indexes: where chunks are found, how little is read, and what damaged indexes lead to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google_crc32c import value as crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.errors import ChecksumError, Code, FormatError, NotFoundError, StoreError
from voxarium.formats.zarr3 import Zarr3Driver
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.protocols import Span

ZARR3 = Zarr3Driver()
INFO = ZARR3.create(
    ArraySpec(
        shape=(9, 10),
        dtype=np.dtype("u1"),
        chunk_shape=(2, 3),
        shard_shape=(4, 9),
        codec="none",
        fill_value=5,
    )
)
MOST = 2**64 - 1


def shard(rows: list[tuple[int, int]], body: int = 36) -> bytes:
    """Return a shard with this table; the rest of its entries are empty."""
    table = np.full((6, 2), MOST, np.uint64)
    table[: len(rows)] = rows
    return bytes(range(body)) + ZARR3.pack_shard(INFO, (0, 0), table)[1]


def locate(kit: Any, data: bytes | None, indices: list[tuple[int, int]], concurrency: int = 1) -> list[Span | None]:
    store = kit.DictStore({} if data is None else {"a/c/0/0": data}, concurrency)
    return ZARR3.locate(store, "a", INFO, indices, kit.DictCache())


def test_index_is_that_of_the_specification() -> None:
    table = np.array([[0, 6], [6, 6], [MOST, MOST], [12, 1], [MOST, MOST], [13, 3]], np.uint64)
    head, packed = ZARR3.pack_shard(INFO, (0, 0), table)
    assert packed[:-4] == table.astype("<u8").tobytes()
    assert packed[-4:] == crc32c(packed[:-4]).to_bytes(4, "little")
    assert head == b"" and ZARR3.shard_layout(INFO).head == 0


def test_chunks_are_found_in_order_of_asking(kit: Any) -> None:
    found = locate(
        kit, shard([(0, 6), (30, 6), (MOST, MOST), (6, 6)]), [(1, 0), (0, 0), (0, 2), (0, 1), (2, 0), (0, 3)]
    )
    key = "a/c/0/0"
    assert found == [Span(key, 6, 6), Span(key, 0, 6), None, Span(key, 30, 6), None, None]


def test_overlapping_and_shared_chunks_are_allowed(kit: Any) -> None:
    assert locate(kit, shard([(0, 6), (0, 6), (3, 6)]), [(0, 1), (0, 2)]) == [
        Span("a/c/0/0", 0, 6),
        Span("a/c/0/0", 3, 6),
    ]


def test_each_index_is_read_once_by_one_request(kit: Any) -> None:
    store = kit.DictStore({f"a/c/{y}/{x}": shard([(0, 6)]) for y in range(3) for x in range(2)}, concurrency=8)
    cache = kit.DictCache()
    indices = [(y, x) for y in range(5) for x in range(4)]
    found = ZARR3.locate(store, "a", INFO, indices, cache)
    assert sorted(store.requests) == [("ranges", f"a/c/{y}/{x}") for y in range(3) for x in range(2)]
    assert sum(s is not None for s in found) == 6
    assert all(isinstance(t, np.ndarray) and t.shape == (6, 2) and not t.flags.writeable for t in cache.kept.values())
    ZARR3.locate(store, "a", INFO, indices, cache)
    assert len(store.requests) == 6


def test_a_chunk_is_read_without_the_rest_of_the_shard(kit: Any) -> None:
    store = kit.DictStore({"a/c/0/0": shard([(0, 6), (6, 6)])})
    chunk = ZARR3.read_chunk(store, "a", INFO, Box((0, 3), (2, 3)))
    assert chunk is not None
    assert chunk.tolist() == [[6, 7, 8], [9, 10, 11]]
    assert ZARR3.read_chunk(store, "a", INFO, Box((2, 3), (2, 3))) is None
    assert ("get", "a/c/0/0") not in store.requests


def test_absent_shards_are_absent_and_broken_stores_raise(kit: Any) -> None:
    assert locate(kit, None, [(0, 0), (4, 3)]) == [None, None]
    with pytest.raises(StoreError) as caught:
        ZARR3.locate(kit.BrokenStore(), "a", INFO, [(0, 0)], kit.DictCache())
    assert not isinstance(caught.value, NotFoundError)


@pytest.mark.parametrize(
    "rows",
    [
        [(0, MOST)], [(MOST, 6)], [(31 + 100, 6)], [(0, 137)], [(2**63, 2**63)], [(2**64 - 3, 6)],
        [(6, 2**64 - 2)], [(2**62, 6)], [(133, 6)],
    ],
)  # fmt: skip
def test_entries_that_lead_out_of_the_shard(kit: Any, rows: list[tuple[int, int]]) -> None:
    data = shard(rows)
    assert len(data) == 136
    with pytest.raises(FormatError, match="a/c/0/0: shard index") as caught:
        locate(kit, data, [(1, 2)])  # whichever chunk is asked for
    assert caught.value.code is Code.SHARD_INDEX_CORRUPT


@pytest.mark.parametrize("rows", [[(0, MOST)], [(MOST, 6)], [(0, 10**6)], [(2**64 - 3, 6)], [(2**63, 6)]])
def test_impossible_entries_are_noticed_without_knowing_the_size(kit: Any, rows: list[tuple[int, int]]) -> None:
    with pytest.raises(FormatError):
        locate(kit, shard(rows), [(0, 0)], concurrency=8)


def test_a_wrong_checksum_is_told_apart(kit: Any) -> None:
    data = bytearray(shard([(0, 6)]))
    data[-20] ^= 1
    with pytest.raises(ChecksumError, match="a/c/0/0: shard index: crc32c") as caught:
        locate(kit, bytes(data), [(0, 0)])
    assert caught.value.code is Code.CHECKSUM_MISMATCH


@pytest.mark.parametrize("size", [0, 1, 99])
def test_shards_shorter_than_their_index(kit: Any, size: int) -> None:
    with pytest.raises(FormatError) as caught:
        locate(kit, bytes(size), [(0, 0)])
    assert caught.value.code is Code.SHARD_INDEX_CORRUPT


def with_codecs(kit: Any, **sharding: Any) -> tuple[Any, ArrayInfo]:
    import json

    document = json.loads(ZARR3.dump("a", INFO)["a/zarr.json"])
    document["codecs"][0]["configuration"].update(sharding)
    store = kit.DictStore({"a/zarr.json": json.dumps(document).encode()})
    return store, ZARR3.open(store, "a")


LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


@settings(max_examples=150)
@given(st.integers(0, 135), st.binary(min_size=1, max_size=9), st.sampled_from([1, 8]))
def test_any_damage_is_noticed_or_harmless(at: int, junk: bytes, concurrency: int) -> None:
    """Without a checksum on the index, chunks come out, or a FormatError, never anything else."""

    class Store:
        uri = "x"

        def __init__(self) -> None:
            self.concurrency = concurrency

        def get_ranges(self, _key: str, ranges: Any) -> list[bytes]:
            out = []
            for r in ranges:
                start = r.start % len(data)
                stop = len(data) if r.length is None else start + r.length
                if stop > len(data):
                    raise StoreError("beyond the end", code=Code.FILE_TRUNCATED, fix="copy it again")
                out.append(data[start:stop])
            return out

        def stat(self, _key: str) -> Any:
            from voxarium.model.protocols import ObjectStat

            return ObjectStat(len(data), "")

    whole = bytearray(shard([(0, 6), (6, 6), (12, 6), (18, 6), (24, 6), (30, 6)])[:-4])
    whole[at : at + len(junk)] = junk
    data = bytes(whole[:132])
    for box in (Box((0, 0), (2, 3)), Box((2, 6), (2, 3))):
        try:
            chunk = ZARR3.read_chunk(Store(), "a", UNCHECKED, box)  # type: ignore[arg-type]
        except FormatError:
            continue
        except StoreError:
            assert concurrency == 8
        else:
            assert chunk is None or chunk.shape == (2, 3)


def unchecked() -> ArrayInfo:
    import json

    document = json.loads(ZARR3.dump("", INFO)["zarr.json"])
    document["codecs"][0]["configuration"]["index_codecs"] = [LITTLE]

    class Store:
        uri = "x"

        def get(self, _key: str) -> bytes:
            return json.dumps(document).encode()

    return ZARR3.open(Store(), "")  # type: ignore[arg-type]


UNCHECKED = unchecked()


def test_the_index_may_stand_first_and_be_encoded_otherwise(kit: Any) -> None:
    index = [
        {"name": "transpose", "configuration": {"order": [2, 1, 0]}},
        {"name": "bytes", "configuration": {"endian": "big"}},
    ]
    store, info = with_codecs(kit, index_location="start", index_codecs=[*index, {"name": "crc32c"}])
    assert ZARR3.shard_layout(info).head == 100
    data = np.arange(90, dtype="u1").reshape(9, 10)
    kit.write_info(ZARR3, store, "a", info, data)
    assert np.array_equal(kit.read(ZARR3, store, "a"), data)


@pytest.mark.parametrize(
    "settings",
    [
        {"chunk_shape": [2]}, {"chunk_shape": [3, 3]}, {"chunk_shape": [0, 3]}, {"chunk_shape": None},
        {"codecs": []},
        {"codecs": [{"name": "zstd"}]}, {"index_codecs": []}, {"index_codecs": [LITTLE, {"name": "gzip"}]},
        {"index_location": "middle"}, {"extra": 1}, {"index_codecs": [{"name": "bytes"}]}, {"codecs": [3]},
    ],
)  # fmt: skip
def test_wrong_settings(kit: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        with_codecs(kit, **settings)
    assert caught.value.code is Code.METADATA_INVALID


def test_an_index_of_gigabytes_is_refused(kit: Any) -> None:
    import json

    document = json.loads(ZARR3.dump("a", INFO)["a/zarr.json"])
    document["chunk_grid"]["configuration"]["chunk_shape"] = [2**18, 2**18]
    document["codecs"][0]["configuration"]["chunk_shape"] = [1, 1]
    with pytest.raises(FormatError) as caught:
        ZARR3.open(kit.DictStore({"a/zarr.json": json.dumps(document).encode()}), "a")
    assert caught.value.code in (Code.SIZE_IMPLAUSIBLE, Code.METADATA_INVALID)


def test_inner_shards_that_are_damaged(kit: Any) -> None:
    inner = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [1, 3],
            "codecs": [LITTLE],
            "index_codecs": [LITTLE, {"name": "crc32c"}],
        },
    }
    _, info = with_codecs(kit, codecs=[inner])
    chunk = kit.sample((2, 3), "u1")
    payload = bytes(memoryview(ZARR3.encode(info, chunk)))
    assert np.array_equal(ZARR3.decode(info, payload), chunk)
    for n in range(len(payload)):
        with pytest.raises(FormatError):
            ZARR3.decode(info, payload[:n])
    only_fill = bytes(memoryview(ZARR3.encode(info, np.full((2, 3), 5, "u1"))))
    assert len(only_fill) == 36
    assert ZARR3.decode(info, only_fill).tolist() == [[5, 5, 5], [5, 5, 5]]
