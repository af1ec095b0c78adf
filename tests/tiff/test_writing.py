"""OME-TIFF is written so that tifffile reads it, resumes, and keeps what the OME-XML of its source said."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.errors import FormatError, InputError, InterruptedJobError, UnsupportedError
from voxarium.spec import tiff_parts
from voxarium.spec.ome_xml import parse_ome_xml

CHOICES = {"format": "ome-tiff", "memory": 1 << 20}


def noise(shape, dtype="u2"):
    data = np.random.default_rng(7).integers(0, 250, shape)
    return data.astype(dtype)


def written(tmp_path, data, axes, **choices):
    np.save(tmp_path / "source.npy", data)
    voxarium.convert(tmp_path / "source.npy", tmp_path / "out.ome.tif", axes=axes, **(CHOICES | choices))
    return tmp_path / "out.ome.tif"


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((37, 43), "yx"),
        ((5, 300, 270), "zyx"),
        ((2, 3, 37, 43), "czyx"),
        ((2, 3, 5, 37, 43), "tczyx"),
        ((3, 2, 20, 21), "tcyx"),
        ((20, 21, 3), "yxc"),
    ],
)
def test_tifffile_reads_every_number_of_axes(tmp_path, shape, axes):
    data = noise(shape)
    path = written(tmp_path, data, axes, levels=1)
    order = [axes.index(a) for a in "tczyx" if a in axes]
    expected = data.transpose(order)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome and not file.is_bigtiff and len(file.series) == 1
        assert file.series[0].axes.lower() == "".join(a for a in "tczyx" if a in axes)
        np.testing.assert_array_equal(file.series[0].asarray(), expected)
    image = voxarium.open(path)
    assert [a.name for a in image.axes] == [a for a in "tczyx" if a in axes]
    np.testing.assert_array_equal(image[...], expected)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", ">u2"])
@pytest.mark.parametrize("codec", [None, "gzip:6", "zstd:3", "none"])
def test_every_type_and_compression_is_exact(tmp_path, dtype, codec):
    data = noise((3, 70, 90), dtype)
    path = written(tmp_path, data, "zyx", codec=codec, levels=1)
    np.testing.assert_array_equal(tifffile.imread(path), data)
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].tilewidth == 96 and file.pages[0].tilelength == 80
        assert file.pages[0].predictor == (1 if codec == "none" or np.dtype(dtype).kind == "f" else 2)


def test_levels_are_smaller_copies_of_every_plane(tmp_path):
    data = noise((4, 1030, 700), "u1")
    path = written(tmp_path, data, "zyx", voxel_size=(1.0, 1.0, 1.0), unit="micrometer")
    with tifffile.TiffFile(path) as file:
        levels = file.series[0].levels
        assert [lv.shape for lv in levels] == [(4, 1030, 700), (4, 515, 350), (4, 258, 175)]
        coarse = levels[1].asarray()
        assert file.pages[0].tags["XResolution"].value == (10_000, 1)
    image = voxarium.open(path)
    np.testing.assert_array_equal(image.read(level=1), coarse)
    mean = data.reshape(4, 515, 2, 350, 2).astype(float).mean((2, 4))
    assert np.abs(coarse - mean).max() <= 0.5
    assert image.scale_translation(1) == ((1.0, 2.0, 2.0), (0.0, 0.5, 0.5))
    assert image.levels[2].array.transform is not None


def test_levels_along_z_are_refused_with_a_way_out(tmp_path):
    with pytest.raises(InputError, match="y and x only"):
        written(tmp_path, noise((64, 64, 64), "u1"), "zyx", factors=(2, 2, 2), levels=2, chunk=16)
    written(tmp_path, noise((64, 64, 64), "u1"), "zyx", factors=(1, 2, 2), levels=2, chunk=16)


def test_what_ome_tiff_cannot_hold_is_said(tmp_path):
    with pytest.raises(UnsupportedError, match="uint64"):
        written(tmp_path, noise((4, 8, 8), "u8"), "zyx")
    with pytest.raises((InputError, UnsupportedError)):
        written(tmp_path, noise((4, 8, 8)), "qyx")


def test_place_role_windows_and_missing_units_come_back(tmp_path):
    np.save(tmp_path / "source.npy", noise((2, 3, 20, 24)))
    options = {"axes": "czyx", "voxel_size": (0.5, 0.2, 0.1), "translation": (1.0, -2.0, 3.5), "levels": 1}
    voxarium.convert(tmp_path / "source.npy", tmp_path / "a.ome.tif", role="label", **(CHOICES | options))
    image = voxarium.open(tmp_path / "a.ome.tif")
    assert image.scale_translation() == ((1.0, 0.5, 0.2, 0.1), (0.0, 1.0, -2.0, 3.5))
    assert image.unit is None and image.role == "label"
    voxarium.convert(tmp_path / "a.ome.tif", tmp_path / "b.ome.zarr", levels=1)
    voxarium.convert(tmp_path / "b.ome.zarr", tmp_path / "c.ome.tif", unit="nanometer", **CHOICES)
    again = voxarium.open(tmp_path / "c.ome.tif")
    assert again.scale_translation() == image.scale_translation() and again.unit == "nanometer"


def test_keys_nobody_knows_survive(tmp_path):
    import json

    np.save(tmp_path / "source.npy", noise((3, 20, 24)))
    voxarium.convert(tmp_path / "source.npy", tmp_path / "a.ome.zarr", axes="zyx", levels=1)
    document = json.loads((tmp_path / "a.ome.zarr/zarr.json").read_text())
    document["attributes"]["lab"] = {"mouse": 7, "text": 'a < b & "c" µ'}
    (tmp_path / "a.ome.zarr/zarr.json").write_text(json.dumps(document))
    voxarium.convert(tmp_path / "a.ome.zarr", tmp_path / "b.ome.tif", **CHOICES)
    assert voxarium.open(tmp_path / "b.ome.tif").info.bag.extra["lab"] == {"mouse": 7, "text": 'a < b & "c" µ'}


def test_an_absent_chunk_is_its_fill_value(tmp_path):
    np.save(tmp_path / "source.npy", np.zeros((3, 600, 600), "u1"))
    voxarium.convert(tmp_path / "source.npy", tmp_path / "a.ome.zarr", axes="zyx", levels=1, fill_value=0)
    voxarium.convert(tmp_path / "a.ome.zarr", tmp_path / "a.ome.tif", levels=1, **CHOICES)
    assert not tifffile.imread(tmp_path / "a.ome.tif").any()
    assert (tmp_path / "a.ome.tif").stat().st_size < 10_000  # equal tiles are stored once


def test_a_job_that_was_stopped_resumes_and_ends_with_the_same_bytes(tmp_path):
    np.save(tmp_path / "source.npy", noise((9, 600, 300)))
    choices = CHOICES | {"axes": "zyx", "chunk": 128, "name": "em"}
    voxarium.convert(tmp_path / "source.npy", tmp_path / "whole.ome.tif", **choices)

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises((InterruptedJobError, KeyboardInterrupt)):
        voxarium.convert(tmp_path / "source.npy", tmp_path / "a.ome.tif", progress=stop, **choices)
    assert not (tmp_path / "a.ome.tif").exists()
    voxarium.convert(tmp_path / "source.npy", tmp_path / "a.ome.tif", resume=True, **choices)
    assert (tmp_path / "a.ome.tif").read_bytes() == (tmp_path / "whole.ome.tif").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ome.tif", "source.npy", "whole.ome.tif"]


@pytest.mark.parametrize("codec", ["gzip:1", "none"])
def test_files_of_64_bit_offsets_are_read_alike(tmp_path, monkeypatch, codec):
    monkeypatch.setattr(tiff_parts, "_CLASSIC_LIMIT", 1000)
    data = noise((4, 300, 200))
    path = written(tmp_path, data, "zyx", codec=codec, chunk=128, levels=2)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff and len(file.series[0].levels) == 2
        np.testing.assert_array_equal(file.asarray(), data)
    np.testing.assert_array_equal(voxarium.open(path)[...], data)


def test_the_limit_of_32_bit_offsets():
    assert not tiff_parts.is_big(4_000_000_000, 1000, 1000, 10_000)
    assert tiff_parts.is_big((1 << 32) - 100, 1, 1, 1) and tiff_parts.is_big(4_000_000_000, 1_000_000, 1, 1)


def test_pillow_and_the_document_agree(tmp_path):
    from PIL import Image

    data = noise((40, 50), "u1")
    path = written(tmp_path, data, "yx", levels=1)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), data)
    with tifffile.TiffFile(path) as file:
        image = parse_ome_xml(file.ome_metadata.encode(), "x").images[0]
    assert image.sizes == {"X": 50, "Y": 40, "Z": 1, "C": 1, "T": 1} and image.dtype == "uint8"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_document_of_parts_is_read_or_refused(raw):
    for parse in (tiff_parts.parse_level, tiff_parts.parse_file):
        try:
            parse(raw, "x.json")
        except FormatError:
            continue


@given(st.floats(1e-5, 1e9))
def test_resolutions_are_fractions_of_32_bits(value):
    top, bottom = np.frombuffer(tiff_parts._rational(value), "<u4")
    assert bottom > 0 and math.isclose(top / bottom, value, rel_tol=1e-3, abs_tol=1e-6)


def test_a_page_can_be_parsed_by_itself():
    parts = tiff_parts.TileParts(shape=(40, 50), tile=(48, 64), dtype=np.dtype("u2"), compression="none")
    data = np.zeros(parts.tile, "<u2").tobytes()
    start = tiff_parts.dump_start(False)
    counts = np.array([len(data)], np.uint64)
    page = tiff_parts.PageLayout(parts=parts, offsets=np.array([8], np.uint64), counts=counts)
    at = len(start) + len(data)
    raw = start[:4] + tiff_parts.pointer(at, False) + data + tiff_parts.dump_page(page, at, False)[0]
    assert tifffile.imread(io.BytesIO(raw)).shape == (40, 50)
