"""Volumes of other writers, and the dialects seen in the wild."""

from __future__ import annotations

import gzip
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import voxarium
from voxarium.core.opening import open_array, open_image
from voxarium.errors import Code, FormatError, NotFoundError, StoreError, UnsupportedError, VoxariumError
from voxarium.formats.precomputed import PrecomputedDriver, PrecomputedScaleDriver, shards
from voxarium.model.box import Box
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

SHAPE = (40, 50, 60)
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 2,
    "hash": "identity",
    "minishard_bits": 2,
    "shard_bits": 2,
    "minishard_index_encoding": "raw",
    "data_encoding": "raw",
}


@pytest.fixture
def data(kit):
    return kit.sample(SHAPE, "uint16", seed=4)


# ---------------------------------------------------------------------------------------------------- golden
@pytest.mark.parametrize(("name", "levels"), [("seg", 3), ("seg_sharded", 1)])
def test_golden_labels_equal_the_truth(golden, truth, name, levels):
    image = voxarium.open(golden / name)
    assert image.role == "label" and image.dtype == np.uint64 and len(image.levels) == levels
    assert [a.name for a in image.axes] == ["z", "y", "x"] and image.unit == "nanometer"
    assert np.array_equal(image[...], truth["bodies"])
    for level in image.levels:
        assert level.transform.apply([-0.5] * 3).tolist() == [3000.0, 2000.0, 1000.0]
    assert not image.arrays[0].info.remarks


def test_golden_compresso_equals_the_truth(golden, truth):
    image = voxarium.open(golden / "seg_compresso")
    assert image.dtype == np.uint32 and np.array_equal(image[...], truth["bodies"])


def test_golden_jpeg_resembles_the_truth(golden, truth, kit):
    image = voxarium.open(golden / "em_jpeg")
    found = image[...].astype(int)
    assert image.role == "intensity" and np.abs(found - truth["grey"]).mean() < 4
    pytest.importorskip("tensorstore")
    assert np.abs(found - kit.tensorstore_read(golden / "em_jpeg")[0]).max() <= 1  # decoders may round differently


@pytest.mark.oracle
def test_golden_coarse_levels_equal_what_tensorstore_reads(golden, kit):
    image = voxarium.open(golden / "seg")
    for number, array in enumerate(image.arrays):
        assert np.array_equal(array[...], kit.tensorstore_read(golden / "seg", number)[0])


# ----------------------------------------------------------------------------------------------- tensorstore
@pytest.mark.oracle
@pytest.mark.parametrize("hash", ["identity", "murmurhash3_x86_128"])
@pytest.mark.parametrize("index", ["raw", "gzip"])
@pytest.mark.parametrize("packing", ["raw", "gzip"])
@pytest.mark.parametrize("bits", [(2, 2, 2), (0, 3, 1), (7, 0, 0), (0, 0, 60), (1, 0, 2)])
def test_shards_of_tensorstore_are_read(kit, data, tmp_path, hash, index, packing, bits):
    names = ("preshift_bits", "minishard_bits", "shard_bits")
    sharding = SHARDING | dict(zip(names, bits, strict=True)) | {"hash": hash}
    sharding |= {"minishard_index_encoding": index, "data_encoding": packing}
    scale = {"chunk_size": [16, 16, 16], "sharding": sharding, "voxel_offset": [-5, 6, 7]}
    kit.tensorstore_write(tmp_path, data[None], scale)
    image = voxarium.open(tmp_path)
    assert np.array_equal(image[...], data)
    assert np.array_equal(image[3:9, 17:40, 5:6], data[3:9, 17:40, 5:6])
    assert image.levels[0].transform.apply([-0.5] * 3).tolist() == [7 * 40.0, 6 * 8.0, -5 * 4.0]
    remote = open_image(kit.BareStore(kit.load(tmp_path)))
    assert np.array_equal(remote[...], data)


@pytest.mark.oracle
@pytest.mark.parametrize("joined", [64, 0])  # whether indexes are short and few enough to be searched as one
def test_chunks_in_another_minishard_than_their_own_are_in_none(kit, data, tmp_path, monkeypatch, joined):
    monkeypatch.setattr(shards, "_MOST_JOINED", joined)
    kit.tensorstore_write(tmp_path, data[None], {"chunk_size": [16, 16, 16], "sharding": SHARDING})
    path = min(tmp_path.glob("*/*.shard"))
    raw = bytearray(path.read_bytes())
    raw[:16], raw[16:32] = raw[16:32], raw[:16]  # where the indexes of the first two minishards are
    path.write_bytes(raw)
    found, expected = voxarium.open(tmp_path)[...], kit.tensorstore_read(tmp_path)[0]
    assert np.array_equal(found, expected)
    assert 0 < (found != data).mean() < 0.5 and not found[found != data].any()


@pytest.mark.oracle
@pytest.mark.parametrize("most", [3, 64])
def test_threads_that_learn_of_minishards_together_find_every_chunk(kit, tmp_path, monkeypatch, most):
    monkeypatch.setattr(shards, "_MOST_JOINED", most)
    data = kit.sample((48, 64, 72), "uint8", seed=7)
    sharding = SHARDING | {"preshift_bits": 0, "minishard_bits": 4, "shard_bits": 0}
    kit.tensorstore_write(tmp_path, data[None], {"chunk_size": [8, 8, 8], "sharding": sharding})
    rng = np.random.default_rng(1)
    for _ in range(20):
        image = voxarium.open(tmp_path)
        starts = rng.integers(0, (40, 56, 64), (16, 3)).tolist()

        def same(start, image=image):
            where = tuple(slice(a, a + 8) for a in start)
            return np.array_equal(image[where], data[where])

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(same, starts))


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_chunks_of_tensorstore_are_read(kit, tmp_path, dtype, channels):
    data = kit.sample((channels, *SHAPE), dtype)
    kit.tensorstore_write(tmp_path, data, {"chunk_size": [13, 14, 15], "voxel_offset": [3, 2, 1]})
    image = voxarium.open(tmp_path)
    assert image.shape == (data.shape if channels > 1 else SHAPE)
    assert np.array_equal(image[...].reshape(data.shape), data)
    if channels > 1:
        assert [a.type for a in image.axes] == ["channel", "space", "space", "space"]
        assert np.array_equal(image[1:2, :, 7:20, 30:], data[1:2, :, 7:20, 30:])


@pytest.mark.oracle
@pytest.mark.parametrize("block", [[8, 8, 8], [3, 5, 7]])
@pytest.mark.parametrize("channels", [1, 2])
def test_labels_of_tensorstore_are_read(kit, tmp_path, block, channels):
    data = kit.sample((channels, *SHAPE), "uint64")
    scale = {"encoding": "compressed_segmentation", "compressed_segmentation_block_size": block}
    kit.tensorstore_write(tmp_path, data, scale | {"chunk_size": [16, 20, 24]})
    assert np.array_equal(voxarium.open(tmp_path)[...].reshape(data.shape), data)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"),
    [("jpeg", "uint8", 1), ("jpeg", "uint8", 3), ("png", "uint8", 4), ("png", "uint16", 1)],
)
@pytest.mark.parametrize("sharding", [None, SHARDING])
def test_images_of_tensorstore_are_read(kit, tmp_path, encoding, dtype, channels, sharding):
    pytest.importorskip("imagecodecs")
    data = np.kron(kit.sample((channels, 5, 7, 6), dtype), np.ones((1, 8, 8, 8), dtype))
    kit.tensorstore_write(tmp_path, data, {"encoding": encoding, "chunk_size": [17, 16, 15], "sharding": sharding})
    image = voxarium.open(tmp_path)
    found = image[...].reshape(data.shape).astype(int)
    assert np.abs(found - kit.tensorstore_read(tmp_path)).max() <= (1 if encoding == "jpeg" else 0)
    if encoding == "png":
        assert np.array_equal(found, data)


def test_a_scale_opens_by_its_own_path(kit, data, tmp_path):
    kit.write(tmp_path / "v", data)
    image = voxarium.open(tmp_path / "v" / "4_8_40")
    assert image.info.format == "precomputed-scale" and np.array_equal(image[...], data)
    assert image.voxel_size() == (40, 8, 4)
    array = open_array(LocalStore(tmp_path), "v/4_8_40")
    driver = PrecomputedScaleDriver()
    chunk = driver.read_chunk(LocalStore(tmp_path), "v/4_8_40", array.info, Box((32, 48, 48), (8, 2, 12)))
    assert np.array_equal(chunk, data[32:, 48:, 48:])


# ------------------------------------------------------------------------------------------ names of chunks
def packed(suffix, payload):
    if suffix == ".gz":
        return gzip.compress(payload)
    if suffix == ".br":
        return pytest.importorskip("brotli").compress(payload)
    import numcodecs.zstd

    return bytes(numcodecs.zstd.compress(payload, 1))


@pytest.mark.parametrize("listable", [True, False])
@pytest.mark.parametrize("suffix", [".gz", ".br", ".zst", ".zstd"])
def test_chunks_with_the_suffixes_of_cloudfiles_are_read(kit, data, tmp_path, suffix, listable):
    kit.write(tmp_path, data)
    objects = {
        k + suffix if "/" in k else k: packed(suffix, v) if "/" in k else v for k, v in kit.load(tmp_path).items()
    }
    image = open_image(MemoryStore(objects) if listable else kit.BareStore(objects))
    assert np.array_equal(image[...], data)
    assert not image.arrays[0].info.remarks


@pytest.mark.parametrize("codec", ["raw", "compressed_segmentation"])
def test_chunks_with_and_without_suffix_are_read_side_by_side(kit, tmp_path, codec):
    data = kit.sample(SHAPE, "uint32")
    kit.write(tmp_path, data, codec=codec)
    objects = kit.load(tmp_path)
    for number, key in enumerate(sorted(k for k in objects if "/" in k)):
        suffix = ("", ".gz", ".zst")[number % 3]
        if suffix:
            objects[key + suffix] = packed(suffix, objects.pop(key))
    image = open_image(MemoryStore(objects))
    assert np.array_equal(image[...], data)
    objects["4_8_40/0-16_0-16_0-16.br"] = b""
    with pytest.raises(UnsupportedError, match="cannot be told apart"):
        open_image(MemoryStore(objects))


def test_absent_chunks_are_zero(kit, data, tmp_path):
    kit.write(tmp_path, data)
    (tmp_path / "4_8_40" / "16-32_16-32_16-32").unlink()
    expected = data.copy()
    expected[16:32, 16:32, 16:32] = 0
    assert np.array_equal(voxarium.open(tmp_path)[...], expected)


@pytest.mark.parametrize("shard", [None, (32, 32, 32)])
def test_a_scale_without_any_chunk_is_told(kit, data, tmp_path, shard):
    kit.write(tmp_path, data, shard=shard)
    objects = {k: v for k, v in kit.load(tmp_path).items() if k == "info"}
    image = open_image(MemoryStore(objects))
    assert not image[...].any()
    assert "every voxel is read as 0" in image.arrays[0].info.remarks[0]
    if shard is None:
        assert "none of the chunks looked for" in open_image(kit.BareStore(objects)).arrays[0].info.remarks[0]


def test_chunks_of_another_grid_are_an_error_not_background(kit, data, tmp_path):
    kit.write(tmp_path, data)
    kit.edit(tmp_path, lambda doc: doc["scales"][0].update(voxel_offset=[1, 0, 0]))
    with pytest.raises(FormatError, match=r"holds chunks such as .* but none of the scale"):
        voxarium.open(tmp_path)


def test_chunks_with_an_unknown_suffix_are_an_error_not_background(kit, data, tmp_path):
    kit.write(tmp_path, data)
    for path in (tmp_path / "4_8_40").iterdir():
        path.rename(path.with_name(path.name + ".lz4"))
    with pytest.raises(FormatError, match=r"\.lz4"):
        voxarium.open(tmp_path)


def test_who_may_not_list_may_read(kit, data, tmp_path):
    kit.write(tmp_path, data)

    class NoList(MemoryStore):
        def list(self, prefix="", /):
            raise StoreError("403", code=Code.STORE_PERMISSION, fix="ask")

    assert np.array_equal(open_image(NoList(kit.load(tmp_path)))[...], data)


# --------------------------------------------------------------------------------------------------- shards
@pytest.mark.parametrize("listable", [True, False])
def test_shards_as_index_and_data_are_read(kit, data, tmp_path, listable):
    info = kit.write(tmp_path, data, shard=(32, 32, 32))
    size = info.details.scale.sharding.index_size
    objects = {}
    for key, value in kit.load(tmp_path).items():
        if key.endswith(".shard"):
            objects[key.replace(".shard", ".index")] = value[:size]
            objects[key.replace(".shard", ".data")] = value[size:]
        else:
            objects[key] = value
    assert np.array_equal(open_image(MemoryStore(objects) if listable else kit.BareStore(objects))[...], data)


def test_an_absent_shard_is_background(kit, data, tmp_path):
    kit.write(tmp_path, data, shard=(32, 32, 32))
    shards = sorted((tmp_path / "4_8_40").iterdir())
    assert len(shards) == 8
    shards[0].unlink()
    expected = data.copy()
    expected[:32, :32, :32] = 0
    assert np.array_equal(voxarium.open(tmp_path)[...], expected)


def test_the_index_of_a_shard_is_read_once(kit, data, tmp_path):
    kit.write(tmp_path, data, shard=(64, 64, 64))
    store = kit.BareStore(kit.load(tmp_path))
    driver, cache = PrecomputedScaleDriver(), kit.Cache()
    info = driver.open(store, "4_8_40")
    store.requests.clear()
    every = [(z, y, x) for z in range(3) for y in range(4) for x in range(4)]
    spans = driver.locate(store, "4_8_40", info, every, cache)
    again = driver.locate(store, "4_8_40", info, every[::-1], cache)
    assert spans == again[::-1] and all(s is not None for s in spans)
    assert store.requests == ["4_8_40/0.shard"] * 2  # the shard's index, and that of its minishard


# -------------------------------------------------------------------------------------------- the info
def test_redirects_inside_the_store_are_followed(kit, data, tmp_path):
    kit.write(tmp_path / "v2", data)
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "info").write_text('{"redirect": "../v2"}')
    (tmp_path / "v0").mkdir()
    (tmp_path / "v0" / "info").write_text('{"redirect": "../v1/"}')
    image = open_image(LocalStore(tmp_path), "v0")
    assert np.array_equal(image[...], data)
    assert "redirected to v2" in image.info.bag.records[0].notes


@pytest.mark.parametrize(
    ("targets", "error", "word"),
    [
        (["../b", "../a"], FormatError, "circle"),
        (["."], FormatError, "circle"),
        (["../../x"], FormatError, "inside the store"),
        (["../x"], FormatError, "where there is none"),
        (["https://example.org/volume"], UnsupportedError, "https://example.org/volume"),
        (["precomputed://gs://bucket/volume"], UnsupportedError, "gs://bucket/volume"),
        ([7], FormatError, "no address"),
    ],
)
def test_other_redirects_are_refused(tmp_path, targets, error, word):
    objects = {f"{n}/info": json.dumps({"redirect": t}).encode() for n, t in zip("ab", targets, strict=False)}
    for opened in (lambda s: open_image(s, "a"), lambda s: open_array(s, "a/8_8_8")):
        with pytest.raises(error) as caught:
            opened(MemoryStore(objects))
        assert word in caught.value.message


def test_long_chains_of_redirects_end(kit):
    objects = {f"{i}/info": json.dumps({"redirect": f"../{i + 1}"}).encode() for i in range(10_000)}
    store = kit.BareStore(objects)
    with pytest.raises(FormatError, match="too far"):
        PrecomputedDriver().open(store, "0", lambda key: None)
    assert len(store.requests) < 20


def test_scales_in_another_folder_are_read_and_out_of_the_store_refused(kit, data, tmp_path):
    kit.write(tmp_path / "v", data)
    shutil.move(tmp_path / "v" / "4_8_40", tmp_path / "elsewhere")
    kit.edit(tmp_path / "v", lambda doc: doc["scales"][0].update(key="../elsewhere"))
    assert np.array_equal(open_image(LocalStore(tmp_path), "v")[...], data)
    with pytest.raises(FormatError, match="no path inside the store") as caught:
        open_image(LocalStore(tmp_path / "v"))
    assert caught.value.code == Code.KEY_UNSAFE


def test_hidden_and_repeated_scales_are_no_levels(kit, data, tmp_path):
    kit.write(tmp_path, data)

    def change(doc):
        first = doc["scales"][0]
        doc["scales"] = [
            first | {"key": "coarse", "resolution": [8, 16, 80], "size": [30, 25, 20]},
            first,
            first | {"key": "flat", "chunk_sizes": [[64, 64, 1]]},
            first | {"key": "secret", "resolution": [16, 32, 160], "hidden": True},
        ]

    kit.edit(tmp_path, change)
    image = voxarium.open(tmp_path)
    assert [level.path for level in image.levels] == ["4_8_40", "coarse"]
    notes = " ".join(image.info.bag.records[0].notes)
    assert "secret" in notes and "flat" in notes and "fine to coarse" in notes
    (tmp_path / "secret").mkdir()
    assert voxarium.open(tmp_path / "secret").shape == SHAPE


def test_the_original_info_is_carried(kit, data, tmp_path):
    kit.write(tmp_path / "first", data)
    kit.edit(tmp_path / "first", lambda doc: doc.update(owner="lab", mesh="mesh"))
    image = voxarium.open(tmp_path / "first")
    assert image.info.bag.extra == {"owner": "lab"}
    assert image.info.bag.records[0].metadata["mesh"] == "mesh"
    voxarium.convert(tmp_path / "first", tmp_path / "again", format="precomputed", levels=1)
    doc = json.loads((tmp_path / "again" / "info").read_text())
    assert doc["owner"] == "lab" and "mesh" not in doc


def test_several_chunk_sizes_use_the_first(kit, data, tmp_path):
    kit.write(tmp_path, data)
    kit.edit(tmp_path, lambda doc: doc["scales"][0]["chunk_sizes"].append([60, 50, 1]))
    assert np.array_equal(voxarium.open(tmp_path)[...], data)


@pytest.mark.parametrize("text", ["", "not json at all", "{}", '{"name": "x"}', "[1, 2]"])
def test_a_file_called_info_of_something_else_is_not_mine(text):
    with pytest.raises(NotFoundError) as caught:
        PrecomputedDriver().open(MemoryStore({"info": text.encode()}), "", lambda key: None)
    assert caught.value.code == Code.METADATA_MISSING


@pytest.mark.parametrize(
    "kind", ["neuroglancer_multilod_draco", "neuroglancer_skeletons", "neuroglancer_annotations_v1"]
)
def test_other_sources_are_told_by_their_kind(kind):
    store = MemoryStore({"info": json.dumps({"@type": kind}).encode()})
    with pytest.raises(NotFoundError, match=kind):
        PrecomputedDriver().open(store, "", lambda key: None)


@pytest.mark.parametrize("encoding", ["fpzip", "kempressed", "zfpc", "magic"])
def test_encodings_that_cannot_be_decoded_are_named(kit, data, tmp_path, encoding):
    kit.write(tmp_path, data)
    kit.edit(tmp_path, lambda doc: doc["scales"][0].update(encoding=encoding))
    with pytest.raises(UnsupportedError, match=encoding) as caught:
        voxarium.open(tmp_path)
    assert caught.value.code == Code.CODEC_UNKNOWN


def test_encodings_refuse_voxels_they_do_not_hold(kit, data, tmp_path):
    kit.write(tmp_path, data)
    kit.edit(
        tmp_path,
        lambda doc: doc["scales"][0].update(
            encoding="compressed_segmentation", compressed_segmentation_block_size=[8, 8, 8]
        ),
    )
    with pytest.raises(UnsupportedError, match="uint16"):
        voxarium.open(tmp_path)


@pytest.mark.oracle
@pytest.mark.parametrize("compress", ["gzip", "br", "zstd", False])
@pytest.mark.parametrize("encoding", ["raw", "compressed_segmentation", "compresso", "crackle", "png", "jxl"])
def test_volumes_of_cloudvolume_are_read(tmp_path, kit, compress, encoding):
    cloudvolume = pytest.importorskip("cloudvolume", reason="CloudVolume is not installed")
    dtype = "uint8" if encoding in ("png", "jxl") else "uint64"
    data = kit.sample(SHAPE, dtype)
    info = cloudvolume.CloudVolume.create_new_info(
        num_channels=1,
        layer_type="image" if dtype == "uint8" else "segmentation",
        data_type=dtype,
        encoding=encoding,
        resolution=[4, 8, 40],
        voxel_offset=[5, -6, 7],
        chunk_size=[16, 20, 24],
        volume_size=SHAPE[::-1],
    )
    volume = cloudvolume.CloudVolume(f"file://{tmp_path}", info=info, compress=compress, progress=False)
    volume.commit_info()
    volume[...] = data.T
    off = np.abs(voxarium.open(tmp_path)[...].astype(float) - data).max()
    assert off <= (80 if encoding == "jxl" else 0)


# ------------------------------------------------------------------------------------------------ damage
def test_absurd_sizes_cost_nothing(kit, tmp_path):
    kit.write(tmp_path, np.ones((4, 4, 4), np.uint8))
    for more in ({}, {"sharding": SHARDING | {"shard_bits": 60}}):
        scale = {"size": [2**45, 2**44, 3], "voxel_offset": [-(2**51), 2**51, 0], "chunk_sizes": [[2**16, 2**16, 1]]}
        kit.edit(tmp_path, lambda doc, new=scale | more: doc["scales"][0].update(new))
        for store in (MemoryStore(kit.load(tmp_path) | {"x": b""}), kit.BareStore(kit.load(tmp_path))):
            store = kit.BareStore(kit.load(tmp_path)) if not more else store
            image = open_image(store)
            assert image.shape == (3, 2**44, 2**45)
            assert image[2:3, 2**44 - 1 :, 2**45 - 2 :].tolist() == [[[0, 0]]]


JUNK = [None, -1, 0, 7, 2**62, 1.5, 1e300, "x", "", "../../x", True, [], {}, [2**62] * 3, [-1] * 3, [1, 1], [[1, 2, 3]]]


def places(doc, path=()):
    """Yield the path of every value in a document."""
    for key, value in doc.items() if isinstance(doc, dict) else enumerate(doc):
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


@pytest.mark.parametrize("codec", ["raw", "compressed_segmentation"])
def test_any_value_anywhere_in_the_info_is_read_or_one_clear_error(kit, tmp_path, codec):
    kit.write(tmp_path, kit.sample((20, 21, 22), "uint32"), shard=(32, 32, 32), codec=codec)
    objects = kit.load(tmp_path)
    opened = 0
    for path in list(places(json.loads(objects["info"]))):
        for junk in JUNK:
            doc = json.loads(objects["info"])
            inner = doc
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = junk
            try:
                image = open_image(MemoryStore(objects | {"info": json.dumps(doc).encode()}))
                part = Box.whole(image.shape).intersection(Box((0,) * image.ndim, (40,) * image.ndim))
                opened += image[part.slices].size > 0
            except VoxariumError:
                pass  # anything else would fail the test
    assert opened > 20


@pytest.mark.parametrize("cut", [3, 40, 200])
def test_a_cut_info_is_broken_not_absent(kit, data, tmp_path, cut):
    kit.write(tmp_path, data)
    text = (tmp_path / "info").read_bytes()[:-cut]
    with pytest.raises(FormatError):
        open_image(MemoryStore({"info": text}))


def outcome(objects):
    try:
        return open_image(MemoryStore(objects))[...]
    except (FormatError, UnsupportedError) as error:
        return error


@pytest.mark.parametrize("shard", [None, (32, 32, 32)])
@pytest.mark.parametrize("codec", ["raw", "compressed_segmentation"])
def test_cut_objects_are_an_error(kit, tmp_path, shard, codec):
    data = kit.sample((20, 21, 22), "uint32") | np.uint32(1)
    kit.write(tmp_path, data, shard=shard, codec=codec)
    objects = kit.load(tmp_path)
    for key in (k for k in objects if k != "info"):
        for length in {0, 1, 7, len(objects[key]) // 2, len(objects[key]) - 1}:
            found = outcome(objects | {key: objects[key][:length]})
            assert isinstance(found, FormatError), (key, length, len(objects[key]))


def test_flipped_bits_in_a_shard_never_do_more_than_raise_or_change_voxels(kit, tmp_path):
    data = kit.sample((20, 21, 22), "uint8") | np.uint8(1)
    kit.write(tmp_path, data, shard=(16, 16, 16), chunk=(8, 8, 8))
    objects = kit.load(tmp_path)
    key = sorted(k for k in objects if k != "info")[0]
    whole = objects[key]
    rng = np.random.default_rng(0)
    errors = 0
    for place in [
        *range(0, 16 * 8, 3),
        *range(len(whole) - 60, len(whole)),
        *rng.integers(0, 8 * len(whole), 100) // 8,
    ]:
        broken = bytearray(whole)
        broken[place] ^= 1 << int(rng.integers(8))
        errors += isinstance(outcome(objects | {key: bytes(broken)}), FormatError)
    assert errors > 50


@pytest.mark.parametrize("entry", [(0, 2**63), (2**62, 2**62 + 24), (5, 4), (0, 2**40), (2**64 - 48, 2**64 - 24)])
@pytest.mark.parametrize("listable", [True, False])
def test_absurd_shard_indexes_are_an_error(kit, data, tmp_path, entry, listable):
    kit.write(tmp_path, data, shard=(64, 64, 64))
    objects = kit.load(tmp_path)
    whole = objects["4_8_40/0.shard"]
    objects["4_8_40/0.shard"] = np.array(entry, "<u8").tobytes() + whole[16:]
    store = MemoryStore(objects) if listable else kit.BareStore(objects)
    with pytest.raises(FormatError) as caught:
        open_image(store)[...]
    assert caught.value.code == Code.SHARD_INDEX_CORRUPT


def test_bombs_are_not_unpacked(kit, data, tmp_path):
    kit.write(tmp_path, data, shard=(64, 64, 64))
    objects = kit.load(tmp_path)
    bomb = gzip.compress(bytes(200 << 20), 9)
    head = np.array((0, len(bomb)), "<u8").tobytes()
    for value in (head + bomb,):
        with pytest.raises(FormatError):
            open_image(MemoryStore(objects | {"4_8_40/0.shard": value}))[...]
    kit.write(tmp_path / "plain", data)
    objects = kit.load(tmp_path / "plain")
    key = "4_8_40/16-32_16-32_16-32"
    objects = {k + (".gz" if "/" in k else ""): gzip.compress(v) if "/" in k else v for k, v in objects.items()}
    with pytest.raises(FormatError):
        open_image(MemoryStore(objects | {f"{key}.gz": bomb}))[...]
