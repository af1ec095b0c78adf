"""What is written is read by TensorStore, and by CloudVolume where it is installed."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import Code, InputError, UnsupportedError, VoxariumError
from voxarium.formats.precomputed import PrecomputedDriver, PrecomputedScaleDriver
from voxarium.model.axes import Axis
from voxarium.model.image import ArraySpec, ImageInfo, LevelInfo

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")

lengths = st.tuples(*[st.integers(1, 40)] * 3)
chunks = st.tuples(*[st.sampled_from([1, 3, 8, 13, 64])] * 3)
offsets = st.tuples(*[st.integers(-70, 70)] * 3)


def small(shape, chunk):
    """Tell whether a volume has few enough chunks to write them all as files."""
    return math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True)) <= 400


@pytest.mark.oracle
@settings(max_examples=40, deadline=None)
@given(
    lengths,
    chunks,
    offsets,
    st.sampled_from(TYPES),
    st.integers(1, 3),
    st.none() | st.tuples(*[st.integers(1, 5)] * 3),
)
def test_raw_volumes_are_read_by_tensorstore(shape, chunk, offset, dtype, channels, shard):
    from hypothesis import assume

    assume(small(shape, chunk))
    kit = CURRENT[0]
    data = kit.sample((channels, *shape), dtype)
    if channels == 1:
        data = data[0]
    wanted = None if shard is None else tuple(s * min(c, n) for s, c, n in zip(shard, chunk, shape, strict=True))
    fitted = tuple(min(c, n) for c, n in zip(chunk, shape, strict=True))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kit.write(folder, data, chunk=fitted, shard=wanted, offset=offset)
        if data.any():
            assert np.array_equal(kit.tensorstore_read(folder).reshape(data.shape), data)
        image = voxarium.open(folder)
        assert np.array_equal(image[...], data)
        first = image.levels[0].transform.apply([0.0] * data.ndim)[-3:]
        assert first.tolist() == [(o + 0.5) * r for o, r in zip(offset, (40.0, 8.0, 4.0), strict=True)]


CURRENT = []


@pytest.fixture(autouse=True)
def current(kit):
    """Let property tests, which take no fixtures, find the kit."""
    CURRENT[:] = [kit]


@pytest.mark.oracle
@settings(max_examples=15, deadline=None)
@given(lengths, chunks, st.sampled_from(["uint32", "uint64"]), st.booleans())
def test_labels_are_compressed_segmentation_and_read_by_tensorstore(shape, chunk, dtype, sharded):
    from hypothesis import assume

    assume(small(shape, chunk))
    kit = CURRENT[0]
    data = np.kron(kit.sample(tuple(-(-n // 4) for n in shape), dtype), np.ones((4, 4, 4), dtype))
    data = np.ascontiguousarray(data[tuple(slice(n) for n in shape)])
    fitted = tuple(min(c, n) for c, n in zip(chunk, shape, strict=True))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        info = kit.write(
            folder, data, chunk=fitted, shard=tuple(2 * c for c in fitted) if sharded else None, role="label"
        )
        assert info.codecs[0] == "compressed_segmentation"
        if data.any():
            assert np.array_equal(kit.tensorstore_read(folder)[0], data)
        image = voxarium.open(folder)
        assert image.role == "label" and np.array_equal(image[...], data)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("codec", "dtype", "channels", "off"),
    [("jpeg:95", "uint8", 1, 40), ("jpeg", "uint8", 3, 80), ("png:9", "uint16", 2, 0), ("png", "uint8", 1, 0)],
)
@pytest.mark.parametrize("shard", [None, (32, 32, 32)])
def test_images_are_read_by_tensorstore(kit, tmp_path, codec, dtype, channels, off, shard):
    pytest.importorskip("imagecodecs")
    data = np.kron(kit.sample((channels, 5, 7, 6), dtype), np.ones((1, 8, 8, 8), dtype))
    data = data if channels > 1 else data[0]
    info = kit.write(tmp_path, data, codec=codec, shard=shard)
    assert info.codecs == ({"jpeg": "jpeg:85", "png": "png:6"}.get(codec, codec),)
    assert voxarium.open(tmp_path).arrays[0].info.codecs == info.codecs
    found = voxarium.open(tmp_path)[...]
    assert np.abs(found.astype(int) - data).max() <= off
    seen = kit.tensorstore_read(tmp_path).reshape(data.shape).astype(int)
    assert np.abs(found - seen).max() <= (1 if off else 0)


@pytest.mark.parametrize("codec", ["compresso", "crackle"])
def test_other_encodings_of_labels_are_read_back_and_their_limits_told(kit, tmp_path, codec):
    pytest.importorskip("crackle")
    data = np.kron(kit.sample((5, 7, 6), "uint32"), np.ones((4, 4, 4), np.uint32))
    info = kit.write(tmp_path, data, codec=codec, role="label", shard=(32, 32, 32))
    assert np.array_equal(voxarium.open(tmp_path)[...], data)
    assert ("Neuroglancer" in info.remarks[0]) == (codec == "crackle")


def test_jpeg_xl_is_read_back(kit, tmp_path):
    pytest.importorskip("imagecodecs")
    data = kit.sample((3, 20, 21, 22), "uint8")
    kit.write(tmp_path, data, codec="jxl:100", shard=(32, 32, 32))
    assert np.array_equal(voxarium.open(tmp_path)[...], data)


def test_the_info_is_what_the_specification_shows(kit, tmp_path):
    kit.write(tmp_path, kit.sample((20, 30, 50), "uint8"), chunk=(8, 16, 32), shard=(16, 32, 64), offset=(3, -2, 1))
    assert json.loads((tmp_path / "info").read_text()) == {
        "@type": "neuroglancer_multiscale_volume",
        "type": "image",
        "data_type": "uint8",
        "num_channels": 1,
        "scales": [
            {
                "key": "4_8_40",
                "size": [50, 30, 20],
                "resolution": [4, 8, 40],
                "voxel_offset": [1, -2, 3],
                "chunk_sizes": [[32, 16, 8]],
                "encoding": "raw",
                "sharding": {
                    "@type": "neuroglancer_uint64_sharded_v1",
                    "preshift_bits": 3,
                    "hash": "identity",
                    "minishard_bits": 0,
                    "shard_bits": 1,
                    "minishard_index_encoding": "gzip",
                    "data_encoding": "gzip",
                },
            }
        ],
    }
    assert sorted(p.name for p in (tmp_path / "4_8_40").iterdir()) == ["0.shard", "1.shard"]


def test_chunks_have_bare_names_and_are_cut_at_the_end(kit, tmp_path):
    data = np.full((5, 6, 7), 9, np.uint16)
    kit.write(tmp_path, data, chunk=(4, 4, 4), offset=(0, -3, 10))
    names = {p.name: p.stat().st_size for p in (tmp_path / "4_8_40").iterdir()}
    assert names["10-14_-3-1_0-4"] == 128 and names["14-17_1-3_4-5"] == 3 * 2 * 1 * 2
    assert len(names) == 8


@pytest.mark.oracle
@pytest.mark.parametrize("minishards", [5, 70])
def test_shards_with_many_minishards_are_read_by_tensorstore(kit, tmp_path, minishards):
    data = kit.sample((24, 24, 40), "uint8", seed=minishards)
    info = kit.write(tmp_path, data, chunk=(2, 2, 2), shard=(16, 16, 32))
    assert info.details.scale.sharding.minishard_bits == 1
    assert info.shard_shape == (16, 16, 32)
    assert np.array_equal(kit.tensorstore_read(tmp_path)[0], data)
    assert np.array_equal(voxarium.open(tmp_path)[...], data)


# ----------------------------------------------------------------------------------------------- conversion
@pytest.mark.oracle
@pytest.mark.parametrize("shard", [None, 0])
@pytest.mark.parametrize("role", ["intensity", "label"])
def test_conversion_writes_pyramids_that_tensorstore_reads(kit, tmp_path, shard, role):
    data = kit.sample((70, 90, 130), "uint32" if role == "label" else "uint8")
    np.save(tmp_path / "source.npy", data)
    target = tmp_path / "volume"
    voxarium.convert(
        tmp_path / "source.npy",
        target,
        format="precomputed",
        axes="zyx",
        voxel_size=(40, 8, 8),
        unit="nanometer",
        translation=(20 + 40 * 4, 4 + 8 * 16, 4),
        chunk=(32,),
        shard=None if shard is None else (shard,),
        levels=3,
        role=role,
    )
    image = voxarium.open(target)
    assert image.info.format == "precomputed" and image.role == role and len(image.levels) == 3
    assert np.array_equal(image[...], data)
    for number, level in enumerate(image.levels):
        found = kit.tensorstore_read(target, number)[0]
        assert np.array_equal(found, image.arrays[number][...])
        corner = level.transform.apply([-0.5] * 3)
        assert corner.tolist() == [160, 128, 0]
    again = voxarium.convert(target, tmp_path / "back.ome.zarr", levels=1)
    assert again is not None
    assert np.array_equal(voxarium.open(tmp_path / "back.ome.zarr")[...], data)


def test_overwriting_replaces_volumes_and_nothing_else(kit, tmp_path):
    np.save(tmp_path / "source.npy", kit.sample((20, 20, 20), "uint8"))
    choices = {"format": "precomputed", "axes": "zyx", "voxel_size": 8, "unit": "nanometer", "translation": 4}
    kit.write(tmp_path / "volume", kit.sample((40, 40, 40), "uint8"), resolution=(9, 9, 9))
    with pytest.raises(VoxariumError) as caught:
        voxarium.convert(tmp_path / "source.npy", tmp_path / "volume", **choices)
    assert caught.value.code == Code.TARGET_EXISTS
    voxarium.convert(tmp_path / "source.npy", tmp_path / "volume", overwrite=True, **choices)
    assert sorted(p.name for p in (tmp_path / "volume").iterdir()) == ["8_8_8", "info", "provenance"]
    assert np.array_equal(voxarium.open(tmp_path / "volume")[...], np.load(tmp_path / "source.npy"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "info").write_text("my notes")
    with pytest.raises(VoxariumError):
        voxarium.convert(tmp_path / "source.npy", tmp_path / "other", overwrite=True, **choices)
    assert (tmp_path / "other" / "info").read_text() == "my notes"


@pytest.mark.oracle
def test_a_single_channel_is_written_without_its_axis(kit, tmp_path):
    data = kit.sample((1, 20, 21, 22), "uint8")
    kit.write(tmp_path, data, shard=(32, 32, 32))
    assert np.array_equal(voxarium.open(tmp_path)[...], data[0])
    assert np.array_equal(kit.tensorstore_read(tmp_path), data)


def test_micrometers_become_nanometers_as_written(kit, tmp_path):
    np.save(tmp_path / "source.npy", kit.sample((9, 10, 11), "uint8"))
    voxarium.convert(
        tmp_path / "source.npy",
        tmp_path / "volume",
        format="precomputed",
        axes="zyx",
        voxel_size=(0.04, 0.0041, 0.0041),
        unit="micrometer",
        translation=(0.02, 0.00205, 0.00205),
        levels=1,
    )
    doc = json.loads((tmp_path / "volume" / "info").read_text())
    assert doc["scales"][0]["resolution"] == [4.1, 4.1, 40]


# ----------------------------------------------------------------------------------------------- refusals
def spec(**more):
    given = {"shape": (8, 8, 8), "dtype": np.dtype("u1"), "chunk_shape": (4, 4, 4)}
    return ArraySpec(**(given | more))


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"dtype": np.dtype("f8")}, "float64"),
        ({"dtype": np.dtype("i8")}, "int64"),
        ({"dtype": np.dtype("f2")}, "float16"),
        ({"dtype": np.dtype("?")}, "bool"),
        ({"fill_value": 7}, "fill value"),
        ({"shape": (8, 0, 8)}, "empty"),
        ({"shape": (8, 8), "chunk_shape": (4, 4)}, "axes"),
        ({"dimension_names": ("x", "y", "z")}, "x, y, z"),
        ({"codec": "zstd:1"}, "zstd:1"),
        ({"codec": "raw:3"}, "no setting"),
        ({"codec": "gzip:12", "shard_shape": (8, 8, 8)}, "0 to 9"),
        ({"codec": "gzip:5"}, "not packed"),
        ({"codec": "none:1"}, "no setting"),
        ({"codec": "jpeg:0"}, "1 to 100"),
        ({"codec": "jpeg", "dtype": np.dtype("u2")}, "uint16"),
        ({"codec": "jpeg", "shape": (2, 8, 8, 8), "chunk_shape": (2, 4, 4, 4)}, "2 channels"),
        ({"codec": "compresso", "dtype": np.dtype("i4")}, "int32"),
        ({"codec": "compressed_segmentation"}, "uint8"),
        ({"shape": (2, 8, 8, 8), "chunk_shape": (2, 4, 4, 4), "role": "label"}, "2 channels"),
        ({"shape": (2**40,) * 3, "chunk_shape": (1,) * 3, "shard_shape": (1 << 20,) * 3}, "too large"),
    ],
)
def test_what_cannot_be_written_is_refused_with_a_remedy(more, word):
    with pytest.raises((InputError, UnsupportedError)) as caught:
        PrecomputedScaleDriver().create(spec(**more))
    assert word in caught.value.message and len(caught.value.fix) > 8


def image_of(kit, transform, *, unit="nanometer", names="zyx", role="intensity", levels=1):
    axes = tuple(Axis(name=n, type="space", unit=unit) for n in names)
    info = PrecomputedScaleDriver().create(spec(transform=kit.centre((8, 8, 8), (0, 0, 0)), role=role))
    level = LevelInfo(path="a", array=info, transform=transform)
    return ImageInfo(format="precomputed", axes=axes, levels=(level,) * levels, role=role)


def test_an_image_without_a_unit_is_refused(kit):
    with pytest.raises(InputError) as caught:
        PrecomputedDriver().check(image_of(kit, kit.centre((8, 8, 8), (0, 0, 0)), unit=None), "1")
    assert caught.value.code == Code.VOXEL_SIZE_UNKNOWN


def test_a_level_between_voxels_is_refused_with_the_reason(kit, tmp_path):
    with pytest.raises(UnsupportedError) as caught:
        PrecomputedDriver().check(image_of(kit, kit.centre((8, 8, 8), (0.5, 0, 0))), "1")
    assert "z 0.5" in caught.value.message and "4,4,4" in caught.value.fix
    np.save(tmp_path / "source.npy", np.ones((40, 40, 40), np.uint8))
    with pytest.raises(VoxariumError, match="position of level 16_16_16"):
        voxarium.convert(  # the coarser level would begin at voxel 0.5
            tmp_path / "source.npy",
            tmp_path / "volume",
            format="precomputed",
            axes="zyx",
            voxel_size=8,
            unit="nanometer",
            translation=12,
            chunk=(16,),
            levels=2,
        )
    assert not (tmp_path / "volume").exists()


@pytest.mark.parametrize("change", [{"names": "xyz"}, {"names": "tyx"}, {"levels": 2}])
def test_images_that_break_a_rule_are_refused(kit, change):
    with pytest.raises(InputError):
        PrecomputedDriver().check(image_of(kit, kit.centre((8, 8, 8), (0, 0, 0)), **change), "1")


def test_an_array_made_for_another_place_is_refused(kit):
    with pytest.raises(InputError, match="was created for"):
        PrecomputedDriver().check(image_of(kit, kit.centre((8, 8, 8), (1, 0, 0))), "1")


def test_how_chunks_are_packed_in_shards_can_be_chosen():
    driver = PrecomputedScaleDriver()
    for codec, expected in ((None, "gzip"), ("gzip:9", "gzip"), ("none", "raw"), ("png", "raw"), ("raw", "gzip")):
        info = driver.create(spec(codec=codec, shard_shape=(8, 8, 8)))
        assert info.details.scale.sharding.data_encoding == expected


# ----------------------------------------------------------------------------------------------- pass through
def test_chunks_of_equal_encoding_have_equal_keys(kit):
    driver = PrecomputedScaleDriver()
    plain = driver.create(spec())
    assert driver.encoding_key(plain) == ()  # as any container with plain chunks
    assert driver.encoding_key(driver.create(spec(shard_shape=(8, 8, 8)))) == ("gzip",)
    assert driver.encoding_key(driver.create(spec(shape=(9, 8, 8)))) == ("precomputed", "raw")
    labels = driver.create(spec(dtype=np.dtype("u8"), role="label"))
    assert driver.encoding_key(labels) != driver.encoding_key(driver.create(spec(dtype=np.dtype("u8"))))


def test_chunks_pass_through_between_volumes(kit, tmp_path):
    data = np.kron(kit.sample((5, 6, 7), "uint64"), np.ones((8, 8, 8), np.uint64))
    kit.write(tmp_path / "a", data, chunk=(32, 32, 32), role="label", resolution=(8, 8, 8))
    voxarium.convert(tmp_path / "a", tmp_path / "b", format="precomputed", chunk=(32,), shard=(0,), levels=1)
    first, second = kit.load(tmp_path / "a"), kit.load(tmp_path / "b")
    assert {k: v for k, v in first.items() if k not in ("info", "provenance")} == {
        k: v for k, v in second.items() if k not in ("info", "provenance") and not k.startswith(".voxarium")
    }


# ----------------------------------------------------------------------------------------------- CloudVolume
@pytest.mark.oracle
@pytest.mark.parametrize("shard", [None, (32, 32, 32)])
@pytest.mark.parametrize(
    ("codec", "dtype"),
    [
        ("raw", "uint8"),
        ("raw", "float32"),
        ("compressed_segmentation", "uint64"),
        ("compresso", "uint32"),
        ("crackle", "uint16"),
        ("png", "uint8"),
        ("jxl:100", "uint8"),
    ],
)
def test_cloudvolume_reads_what_is_written(kit, tmp_path, shard, codec, dtype):
    cloudvolume = pytest.importorskip("cloudvolume", reason="CloudVolume is not installed")
    data = kit.sample((40, 50, 60), dtype)
    kit.write(tmp_path, data, shard=shard, offset=(2, 3, -4), codec=codec)
    volume = cloudvolume.CloudVolume(f"file://{tmp_path}", fill_missing=True, progress=False)
    assert np.array_equal(np.asarray(volume[...])[..., 0].T, data)


@pytest.mark.parametrize("codec", ["jpeg", "jpeg:100", "jxl"])
def test_encodings_that_change_voxels_are_told_and_refused_for_labels(tmp_path, codec):
    pytest.importorskip("imagecodecs", reason="imagecodecs is not installed")
    np.save(tmp_path / "a.npy", np.arange(8**3, dtype="u2").reshape((8,) * 3).astype("u1"))
    choices = {"format": "precomputed", "axes": "zyx", "voxel_size": 8, "unit": "nanometer", "translation": 4}
    report = voxarium.convert(tmp_path / "a.npy", tmp_path / "em", codec=codec, **choices)
    assert any("changes voxels" in note for note in report.notes)
    with pytest.raises(VoxariumError, match="another label") as caught:
        voxarium.convert(tmp_path / "a.npy", tmp_path / "seg", codec=codec, role="label", **choices)
    assert "without loss" in caught.value.fix and not (tmp_path / "seg").exists()
    for lossless in ("png", "jxl:100", "compresso"):
        target = tmp_path / f"seg_{lossless}".replace(":", "")
        report = voxarium.convert(tmp_path / "a.npy", target, codec=lossless, role="label", **choices)
        assert (voxarium.open(target)[...] == np.load(tmp_path / "a.npy")).all()
        assert not any("changes voxels" in note for note in report.notes)
