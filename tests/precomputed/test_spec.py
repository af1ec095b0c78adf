"""The pure part: vectors of the format, what is tolerated, what is refused."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.errors import FormatError, UnsupportedError, VoxariumError
from voxarium.model.fields import parse_json_object
from voxarium.model.transforms import Affine, Scale, Sequence, Translation
from voxarium.spec.precomputed import (
    Sharding,
    box_bits,
    centre_transform,
    choose_sharding,
    chunk_name,
    dump_info,
    dump_minishard_index,
    follow_redirect,
    in_nanometers,
    level_names,
    morton_codes,
    morton_dimensions,
    murmur_codes,
    parse_chunk_name,
    parse_info,
    parse_minishard_index,
    parse_redirect,
    parse_shard_index,
    resolve_folder,
    voxel_offset,
)

SCALE = {
    "key": "8_8_40",
    "size": [100, 200, 300],
    "resolution": [8, 8, 40],
    "chunk_sizes": [[64, 64, 64]],
    "encoding": "raw",
}
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 3,
    "hash": "identity",
    "minishard_bits": 3,
    "shard_bits": 4,
}


def volume(scale=None, **more):
    doc = {"type": "image", "data_type": "uint8", "num_channels": 1, "scales": [SCALE | (scale or {})]}
    return doc | more


MURMUR = {
    0: 0x4772B084E028AE41,
    1: 0xE8BD67D616D4CE9A,
    114488: 0x830FDA4439AEF662,
    2**53 + 1: 0xDFDE6C7958396398,
    720575940379279384: 0x0F514B4A3FCBCB94,
    2**64 - 1: 0x574F66BD212B5D1A,
}


def test_murmur_hashes_are_those_of_other_implementations():
    keys = np.array(list(MURMUR), np.uint64)
    assert murmur_codes(keys).tolist() == list(MURMUR.values())


def test_a_hashed_key_names_its_minishard_and_shard():
    sharding = Sharding(preshift_bits=0, hash="murmurhash3_x86_128", minishard_bits=6, shard_bits=10)
    shard, minishard = sharding.place(np.array([1], np.uint64))
    assert minishard.tolist() == [26]
    assert sharding.file_name(int(shard[0])) == "33a"
    assert Sharding(preshift_bits=0, minishard_bits=0, shard_bits=0).file_name(0) == "0"
    assert Sharding(preshift_bits=0, minishard_bits=0, shard_bits=13).file_name(255) == "00ff"


@pytest.mark.parametrize(
    ("grid", "cell", "code"),
    [
        ((5, 3, 1), (4, 2, 0), 24),
        ((5, 3, 1), (3, 1, 0), 7),
        ((1, 1, 7), (0, 0, 6), 6),
        ((8, 8, 8), (5, 6, 7), 501),
        ((42943, 16383, 2**24), (42942, 16382, 2**24 - 1), 18009923153297404),
    ],
)
def test_compressed_morton_codes_are_those_of_other_implementations(grid, cell, code):
    assert morton_codes(np.array([cell]), grid).tolist() == [code]


@given(st.tuples(*[st.integers(1, 5000)] * 3), st.integers(0, 99))
def test_codes_by_table_are_those_bit_by_bit(grid, seed):
    cells = np.random.default_rng(seed).integers(0, grid, (7, 3))
    bits = [sum((int(cell[d]) >> bit & 1) << i for i, (d, bit) in enumerate(morton_dimensions(grid))) for cell in cells]
    assert morton_codes(cells, grid).tolist() == bits


@given(st.tuples(*[st.integers(1, 9)] * 3))
def test_every_cell_of_a_grid_has_a_code_of_its_own(grid):
    cells = np.stack([a.ravel() for a in np.indices(grid)], axis=1)
    codes = morton_codes(cells, grid)
    assert len(np.unique(codes)) == len(cells)
    assert int(codes.max()) < 1 << len(morton_dimensions(grid))


@given(st.tuples(*[st.integers(1, 40)] * 3), st.tuples(*[st.integers(1, 50)] * 3))
def test_shards_are_boxes(grid, wanted):
    sharding, counts = choose_sharding(grid, wanted, "gzip")
    cells = np.stack([a.ravel() for a in np.indices(grid)], axis=1)[:20_000]
    shard, _ = sharding.place(morton_codes(cells, grid))
    boxes = cells // np.array(counts)
    pairs = {(int(s), *map(int, b)) for s, b in zip(shard, boxes, strict=True)}
    assert len(pairs) == len({p[0] for p in pairs}) == len({p[1:] for p in pairs})
    assert counts == tuple(1 << b for b in box_bits(grid, sharding.local_bits))
    assert sharding.preshift_bits + sharding.minishard_bits + sharding.shard_bits == len(morton_dimensions(grid))


def test_a_shard_of_512_voxels_holds_512_chunks_in_one_minishard():
    sharding, counts = choose_sharding((100, 90, 80), (8, 8, 8), "raw")
    assert counts == (8, 8, 8)
    assert (sharding.preshift_bits, sharding.minishard_bits) == (9, 0)
    assert choose_sharding((4, 4, 4), (8, 8, 8), "raw")[0].shard_bits == 0


@given(
    st.tuples(*[st.integers(0, 30)] * 3),
    st.tuples(*[st.integers(1, 70)] * 3),
    st.tuples(*[st.integers(-(2**52), 2**52)] * 3),
    st.sampled_from(["", ".gz", ".br", ".zstd"]),
)
def test_names_of_chunks_are_parsed_back(cell, chunk, offset, suffix):
    size = tuple((g + 1) * c - c // 2 for g, c in zip(cell, chunk, strict=True))
    name = chunk_name(cell, chunk, offset, size)
    start = tuple(o + g * c for o, g, c in zip(offset, cell, chunk, strict=True))
    assert parse_chunk_name(name + suffix) == (start, tuple(o + n for o, n in zip(offset, size, strict=True)), suffix)


@pytest.mark.parametrize("name", ["info", "0-1_0-1", "0-1_0-1_0-1_0-1", "a-b_0-1_0-1", "0-1_0-1_0-1.", "0-1_0-1_0-1/x"])
def test_other_names_are_no_chunks(name):
    assert parse_chunk_name(name) is None


# ----------------------------------------------------------------------------------------------------- info
def test_words_in_any_case_and_numbers_as_text_are_read():
    doc = volume(
        {
            "size": ["100", 200.0, 300],
            "encoding": "RAW",
            "sharding": SHARDING | {"hash": "Identity", "shard_bits": "4"},
        },
        type="Image",
        data_type="UINT8",
        num_channels="1",
    )
    doc["@type"] = "Neuroglancer_Multiscale_Volume"
    info = parse_info(doc)
    assert (info.kind, info.data_type, info.num_channels) == ("image", "uint8", 1)
    assert info.scales[0].size == (100, 200, 300)
    assert info.scales[0].sharding == Sharding(
        preshift_bits=3, minishard_bits=3, shard_bits=4, minishard_index_encoding="raw", data_encoding="raw"
    )


def test_unknown_keys_are_carried():
    doc = volume({"jpeg_quality": 80, "sharding": SHARDING | {"note": 1}}, owner="lab", mesh="mesh")
    info = parse_info(doc)
    assert info.extra == {"owner": "lab"} and info.scales[0].extra == {"jpeg_quality": 80}
    again = json.loads(dump_info(info))
    assert again["owner"] == "lab" and again["mesh"] == "mesh"
    assert again["scales"][0]["jpeg_quality"] == 80 and again["scales"][0]["sharding"]["note"] == 1
    assert parse_info(again) == info


def test_the_chunk_size_of_the_json_schema_and_a_null_sharding_are_read():
    scale = {k: v for k, v in SCALE.items() if k != "chunk_sizes"} | {"chunk_size": [32, 16, 8], "sharding": None}
    info = parse_info({"type": "image", "data_type": "uint8", "num_channels": 1, "scales": [scale]})
    assert info.scales[0].chunk_sizes == ((32, 16, 8),) and info.scales[0].sharding is None


@pytest.mark.parametrize(
    ("doc", "word"),
    [
        ({}, "type is missing"),
        (volume(type="mesh"), "type"),
        (volume(data_type="float16"), "data_type"),
        (volume(num_channels=0), "num_channels"),
        (volume(num_channels=2**62), "num_channels"),
        (volume(scales=[]), "scales"),
        (volume(scales={}), "scales"),
        (volume(scales=[[]]), "scales[0]"),
        (volume({"size": [1, 2]}), "size"),
        (volume({"size": [0, 2, 3]}), "size"),
        (volume({"size": [2**62, 2, 3]}), "size"),
        (volume({"size": [1.5, 2, 3]}), "size"),
        (volume({"size": ["1e3", 2, 3]}), "size"),
        (volume({"voxel_offset": [2**62, 0, 0]}), "voxel_offset"),
        (volume({"resolution": [0, 1, 1]}), "resolution"),
        (volume({"resolution": [-1, 1, 1]}), "resolution"),
        (volume({"resolution": [float("nan"), 1, 1]}), "resolution"),
        (volume({"resolution": [1e200, 1, 1]}), "resolution"),
        (volume({"chunk_sizes": []}), "chunk_sizes"),
        (volume({"chunk_sizes": [[64, 64, 0]]}), "chunk_sizes"),
        (volume({"chunk_sizes": [64, 64, 64]}), "chunk_sizes"),
        (volume({"size": [2**40] * 3, "chunk_sizes": [[2**40] * 3]}), "chunks of"),
        (volume({"key": ""}), "key"),
        (volume({"key": 7}), "key"),
        (volume({"encoding": "compressed_segmentation"}), "compressed_segmentation_block_size"),
        (volume({"sharding": SHARDING | {"minishard_bits": 60}}), "minishard_bits"),
        (volume({"sharding": SHARDING | {"minishard_bits": 20, "shard_bits": 60}}), "80 bits"),
        (volume({"sharding": SHARDING | {"hash": "md5"}}), "hash"),
        (volume({"sharding": SHARDING | {"@type": "other"}}), "@type"),
        (volume({"sharding": SHARDING | {"data_encoding": "zstd"}}), "data_encoding"),
        (volume({"size": [2**50] * 3, "chunk_sizes": [[1, 1, 1]], "sharding": SHARDING}), "64 bits"),
    ],
)
def test_broken_infos_say_what_is_wrong(doc, word):
    with pytest.raises(FormatError) as caught:
        parse_info(doc)
    assert word in caught.value.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
SCALE_KEYS = [*SCALE, "voxel_offset", "sharding", "hidden", "compressed_segmentation_block_size"]


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(["@type", "type", "data_type", "num_channels", "scales", "redirect"]), json_values),
    st.dictionaries(st.sampled_from(SCALE_KEYS), json_values),
    st.dictionaries(st.sampled_from([*SHARDING, "data_encoding"]), json_values),
)
def test_any_values_give_an_info_or_one_clear_error(top, scale, sharding):
    for doc in (volume(scale) | top, volume(scale | {"sharding": SHARDING | sharding}, encoding="raw")):
        try:
            info = parse_info(doc)
            assert parse_info(json.loads(dump_info(info))) == info
            parse_redirect(doc, "info")
        except FormatError:
            pass


@given(st.binary(max_size=60))
def test_any_bytes_give_an_object_or_one_clear_error(data):
    with contextlib.suppress(FormatError):
        parse_info(parse_json_object(data, "info"))


# ---------------------------------------------------------------------------------------------------- paths
def test_scales_keep_inside_the_store():
    assert resolve_folder("seg/v1", "../v2/8_8_8", "a scale") == "seg/v2/8_8_8"
    for bad in ("../../../x", "/etc", "gs://other/x", "a\\b", "a\x00b"):
        with pytest.raises(FormatError):
            resolve_folder("seg/v1", bad, "a scale")


def test_levels_have_names_of_their_own_below_the_volume():
    assert level_names(["8_8_8", "../a/8_8_8", "8_8_8", "..", "a\\b"]) == (
        "8_8_8",
        "a/8_8_8",
        "8_8_8@2",
        "scale3",
        "scale4",
    )


def test_redirects_inside_the_store_are_followed_and_others_are_named():
    assert follow_redirect("a/b", "../c", "gs://bucket") == "a/c"
    assert follow_redirect("a", "precomputed://gs://bucket/x/y/", "gs://bucket") == "x/y"
    assert follow_redirect("a", "gs://bucket/x|neuroglancer-precomputed:", "gs://bucket/") == "x"
    with pytest.raises(UnsupportedError, match=r"https://evil\.example/x") as caught:
        follow_redirect("a", "precomputed://https://evil.example/x", "gs://bucket")
    assert "https://evil.example/x" in caught.value.fix
    with pytest.raises(UnsupportedError):
        follow_redirect("a", "gs://bucket-of-others/x", "gs://bucket")
    with pytest.raises(UnsupportedError):
        follow_redirect("a", "gs://bucket/../others/x", "gs://bucket")
    with pytest.raises(FormatError):
        follow_redirect("a", "../../x", "gs://bucket")


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_path_is_safe_or_refused(folder, path):
    for function in (lambda: resolve_folder("a", path, "x"), lambda: follow_redirect("a", path, "mem://s")):
        with contextlib.suppress(VoxariumError):
            assert ".." not in function().split("/")


# ------------------------------------------------------------------------------------------------ positions
@given(
    st.tuples(*[st.integers(-(10**9), 10**9)] * 3),
    st.tuples(*[st.floats(1e-3, 1e6)] * 3),
    st.booleans(),
)
def test_corner_and_centre_are_converted_exactly(offset, resolution, channels):
    transform = centre_transform(resolution, offset, channels=channels)
    axes = ("c", "z", "y", "x") if channels else ("z", "y", "x")
    assert voxel_offset(transform, axes) == offset
    corner = transform.apply([0.0] * (len(axes) - 3) + [-0.5] * 3)[-3:]
    assert np.allclose(corner, [o * r for o, r in zip(offset[::-1], resolution[::-1], strict=True)], rtol=1e-12)


@pytest.mark.parametrize(
    ("transform", "word"),
    [
        (Scale((8.0, 8.0, 8.0)), "-0.5"),
        (Sequence((Scale((8.0, 8.0, 8.0)), Translation((4.0, 6.0, 4.0)))), "origin: y 0.25"),
        (Scale((-8.0, 8.0, 8.0)), "backwards"),
        (Affine(((1, 1, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))), "sheared"),
        (Sequence((Scale((1.0, 1.0, 1.0)), Translation((1e300, 0.5, 0.5)))), "1e+300"),
    ],
)
def test_positions_that_cannot_be_expressed_are_refused_with_the_reason(transform, word):
    with pytest.raises(UnsupportedError) as caught:
        voxel_offset(transform, ("z", "y", "x"))
    assert word in caught.value.message and len(caught.value.fix) > 10


def test_positions_are_moved_only_on_request():
    between = Sequence((Scale((8.0, 8.0, 8.0)), Translation((5.0, 12.0, -4.0))))
    assert voxel_offset(between, ("z", "y", "x"), nearest=True) == (-1, 1, 0)


@given(st.integers(1, 10**6), st.sampled_from([1, 10, 100, 1000, 10**4, 10**5]))
def test_units_are_converted_as_written(number, parts):
    from decimal import Decimal

    value = number / parts
    assert in_nanometers(value, "micrometer") == float(Decimal(repr(value)) * 1000)
    assert in_nanometers(value, "nanometer") == value


# ------------------------------------------------------------------------------------------------- indexes
entries = st.dictionaries(st.integers(0, 2**64 - 1), st.integers(0, 1000), min_size=1, max_size=20)


@given(entries, st.integers(0, 50), st.randoms(use_true_random=False))
def test_indexes_of_minishards_are_parsed_back(sizes, gap, random):
    keys = sorted(sizes)
    order = list(keys)
    random.shuffle(order)  # data need not stand in the order of the keys
    at, starts = gap, {}
    for key in order:
        starts[key] = at
        at += sizes[key] + gap
    rows = [np.array(v, np.uint64) for v in (keys, [starts[k] for k in keys], [sizes[k] for k in keys])]
    table = parse_minishard_index(dump_minishard_index(*rows), at)
    assert np.array_equal(table, np.stack(rows))
    end = max(starts[k] + sizes[k] for k in keys)
    if end:
        with pytest.raises(FormatError):
            parse_minishard_index(dump_minishard_index(*rows), end - 1)


@given(st.binary(max_size=100))
def test_any_bytes_give_an_index_inside_the_shard_or_one_clear_error(data):
    try:
        table = parse_minishard_index(data, 1000)
        assert (table[1].astype(object) + table[2].astype(object) <= 1000).all()
        assert (np.diff(table[0].astype(object)) > 0).all()
    except FormatError:
        pass
    sharding = Sharding(preshift_bits=0, minishard_bits=1, shard_bits=0)
    try:
        index = parse_shard_index(data[:32], sharding)
        assert (index[:, 0] <= index[:, 1]).all()
    except FormatError:
        pass
