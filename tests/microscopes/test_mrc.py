"""MRC files, written byte by byte and by mrcfile."""

from __future__ import annotations

import contextlib
import gzip
import pickle
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import FormatError, UnsupportedError, VoxariumError
from voxarium.formats.mrc import MrcDriver
from voxarium.model.box import Box
from voxarium.spec.mrc import parse_header
from voxarium.stores.memory import MemoryStore

SHAPE = (3, 5, 7)
DTYPES = {0: "i1", 1: "i2", 2: "f4", 4: "c8", 6: "u2", 12: "f2"}


def header(shape=SHAPE, mode=2, order="<", extended=0, word=b"MAP ", **fields):
    raw = bytearray(1024)
    nz, ny, nx = shape
    struct.pack_into(order + "4i", raw, 0, nx, ny, nz, mode)
    struct.pack_into(order + "3i", raw, 16, *fields.get("start", (0, 0, 0)))
    struct.pack_into(order + "3i", raw, 28, *fields.get("grid", (nx, ny, nz)))
    struct.pack_into(order + "3f", raw, 40, *fields.get("cell", (nx * 2.0, ny * 3.0, nz * 4.0)))
    struct.pack_into(order + "3f", raw, 52, *fields.get("angles", (90, 90, 90)))
    struct.pack_into(order + "3i", raw, 64, *fields.get("axes", (1, 2, 3)))
    struct.pack_into(order + "2i", raw, 88, fields.get("group", 1), extended)
    raw[104:108] = b"SERI" if extended else b"\0\0\0\0"
    struct.pack_into(order + "2i", raw, 152, *fields.get("imod", (0, 0)))
    struct.pack_into(order + "3f", raw, 196, *fields.get("origin", (0, 0, 0)))
    raw[208:212] = word
    raw[212:216] = b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0"
    struct.pack_into(order + "i", raw, 220, 1)
    raw[224:236] = b"made by hand"
    return bytes(raw) + b"e" * extended


def voxels(mode, shape=SHAPE):
    data = np.random.default_rng(mode).integers(0, 100, shape)
    return (data + 1j * data[::-1]).astype("c8") if mode == 4 else data.astype(DTYPES[mode])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("mode", DTYPES)
@pytest.mark.parametrize("extended", [0, 160])
def test_every_mode_in_both_byte_orders(tmp_path, reads_like, mode, order, extended):
    expected = voxels(mode)
    stored = expected.astype(expected.dtype.newbyteorder(order)).tobytes()
    (tmp_path / "a.mrc").write_bytes(header(mode=mode, order=order, extended=extended) + stored)
    info = reads_like(MrcDriver(), "a.mrc", expected)
    assert info.contiguous
    assert [(a.name, a.unit) for a in info.axes] == [(n, "angstrom") for n in "zyx"]
    assert voxarium.open(tmp_path / "a.mrc").voxel_size() == (4, 3, 2)
    fields = info.attributes["mrc"]
    assert fields["labels"] == ["made by hand"]
    assert fields["extended_type"] == ("SERI" if extended else "")
    assert bool(fields.get("extended_header")) == bool(extended)


@pytest.mark.parametrize("width", [6, 7])
def test_four_bits_to_a_voxel(tmp_path, reads_like, width):
    expected = np.random.default_rng(0).integers(0, 16, (3, 5, width)).astype("u1")
    padded = np.pad(expected, ((0, 0), (0, 0), (0, width % 2)))
    stored = (padded[..., 0::2] | padded[..., 1::2] << 4).astype("u1")
    (tmp_path / "a.mrc").write_bytes(header(expected.shape, mode=101) + stored.tobytes())
    reads_like(MrcDriver(), "a.mrc", expected)


def test_colours_are_a_last_axis(tmp_path, reads_like):
    expected = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3)).astype("u1")
    (tmp_path / "a.mrc").write_bytes(header(mode=16) + expected.tobytes())
    info = reads_like(MrcDriver(), "a.mrc", expected)
    assert "".join(a.name for a in info.axes) == "zyxc"
    assert voxarium.open(tmp_path / "a.mrc").voxel_size() == (4, 3, 2, 1)


def test_axes_are_named_by_the_header_and_stay_where_they_are(tmp_path):
    # Columns run along Z, rows along X, sections along Y, as in EMD-3001.
    expected = voxels(2)
    raw = header(axes=(3, 1, 2), grid=(10, 20, 40), cell=(10, 40, 160), start=(5, -2, 1))
    (tmp_path / "a.map").write_bytes(raw + expected.tobytes())
    image = voxarium.open(tmp_path / "a.map")
    assert [a.name for a in image.axes] == ["y", "x", "z"]
    scale, translation = image.scale_translation()
    assert scale == (2, 1, 4)
    assert translation == (2, -2, 20)  # start: columns (z) 5, rows (x) -2, sections (y) 1
    voxarium.convert(tmp_path / "a.map", tmp_path / "a.ome.zarr", levels=1)
    out = voxarium.open(tmp_path / "a.ome.zarr")
    assert [a.name for a in out.axes] == ["y", "x", "z"]
    np.testing.assert_array_equal(out[...], expected)
    assert out.scale_translation() == ((2, 1, 4), (2, -2, 20))


def test_the_origin_goes_before_the_start_and_a_contradiction_is_told(tmp_path):
    raw = header(origin=(10, 20, 30), start=(1, 1, 1))
    (tmp_path / "a.mrc").write_bytes(raw + voxels(2).tobytes())
    image = voxarium.open(tmp_path / "a.mrc")
    assert image.scale_translation()[1] == (30, 20, 10)
    assert "disagree" in image.arrays[0].info.remarks[0]


def test_a_cell_with_other_angles_is_an_affine_transform(tmp_path):
    raw = header(angles=(90, 90, 120), grid=(7, 5, 3), cell=(7, 5, 3))
    (tmp_path / "a.mrc").write_bytes(raw + voxels(2).tobytes())
    image = voxarium.open(tmp_path / "a.mrc")
    at = image.levels[0].transform.apply([0, 1, 0])  # one row on: along the second edge of the cell
    np.testing.assert_allclose(at, [0, np.sqrt(3) / 2, -0.5], atol=1e-6)


def test_a_stack_of_volumes_has_an_axis_for_them(tmp_path, reads_like):
    expected = voxels(1, (6, 5, 7))
    (tmp_path / "a.mrc").write_bytes(header((6, 5, 7), 1, group=401, grid=(7, 5, 3)) + expected.tobytes())
    info = reads_like(MrcDriver(), "a.mrc", expected.reshape(2, 3, 5, 7))
    assert "".join(a.name for a in info.axes) == "nzyx"
    with pytest.raises(FormatError, match="stack of volumes"):
        parse_header(header((7, 5, 7), 1, group=401, grid=(7, 5, 3)), "here")


def test_a_stack_of_images_has_no_distance_between_them(tmp_path):
    (tmp_path / "a.mrcs").write_bytes(header(group=0, grid=(7, 5, 1), cell=(14, 15, 1)) + voxels(2).tobytes())
    image = voxarium.open(tmp_path / "a.mrcs")
    assert [a.name for a in image.axes] == ["n", "y", "x"]
    assert image.voxel_size() == (1, 3, 2)


def test_unsigned_bytes_of_imod(tmp_path, reads_like):
    expected = np.arange(105, dtype="u1").reshape(SHAPE) + 100
    (tmp_path / "a.mrc").write_bytes(header(mode=0, imod=(1146047817, 0)) + expected.tobytes())
    reads_like(MrcDriver(), "a.mrc", expected)


def test_files_from_before_the_word(tmp_path, reads_like):
    expected = voxels(1)
    (tmp_path / "a.mrc").write_bytes(header(mode=1, word=b"\0" * 4, axes=(0, 0, 0)) + expected.tobytes())
    reads_like(MrcDriver(), "a.mrc", expected)


def test_a_compressed_file_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "a.mrc.gz").write_bytes(gzip.compress(header() + voxels(2).tobytes()))
    with pytest.raises(UnsupportedError, match="compressed") as caught:
        voxarium.open(tmp_path / "a.mrc.gz")
    assert "gunzip" in caught.value.fix


def test_a_file_that_is_cut_off_is_an_error(tmp_path):
    (tmp_path / "a.mrc").write_bytes(header() + voxels(2).tobytes()[:-1])
    with pytest.raises(FormatError, match="cut off"):
        voxarium.open(tmp_path / "a.mrc")


def test_complex_integers_are_refused():
    with pytest.raises(UnsupportedError, match="complex"):
        parse_header(header(mode=3), "here")


def test_far_away_only_what_is_asked_for_is_fetched():
    expected = voxels(2, (20, 30, 40))
    store = MemoryStore()
    store.put("em/a.mrc", header(expected.shape) + expected.tobytes())
    info = pickle.loads(pickle.dumps(MrcDriver().open(store, "em/a.mrc")))
    got = MrcDriver().read_chunk(store, "em/a.mrc", info, Box((1, 3, 2), (2, 4, 5)))
    np.testing.assert_array_equal(got, expected[1:3, 3:7, 2:7])


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f4", "f2", "c8"])
def test_files_of_mrcfile(tmp_path, reads_like, dtype):
    mrcfile = pytest.importorskip("mrcfile", reason="the reference implementation is not installed")
    expected = np.random.default_rng(0).integers(0, 99, SHAPE).astype(dtype)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(expected)
        file.voxel_size = (1.5, 2.5, 3.5)
        file.nstart = (1, 2, 3)
    reads_like(MrcDriver(), "a.mrc", expected)
    image = voxarium.open(tmp_path / "a.mrc")
    assert image.voxel_size() == pytest.approx((3.5, 2.5, 1.5))
    assert image.scale_translation()[1] == pytest.approx((10.5, 5, 1.5))
    with mrcfile.new(tmp_path / "b.mrc") as file:
        file.set_data(np.stack([expected, expected[::-1]]))
    reads_like(MrcDriver(), "b.mrc", np.stack([expected, expected[::-1]]))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 230), junk=st.binary(min_size=1, max_size=40))
def test_junk_in_a_header_is_refused_or_read(tmp_path, at, junk):
    raw = bytearray(header() + voxels(2).tobytes())
    raw[at : at + len(junk)] = junk
    (tmp_path / "a.mrc").write_bytes(raw)
    with contextlib.suppress(VoxariumError):
        voxarium.open(tmp_path / "a.mrc")[:1, :1, :1]


@given(st.binary(max_size=1100))
def test_junk_is_no_header(junk):
    with contextlib.suppress(FormatError, UnsupportedError):
        parse_header(junk, "here")
