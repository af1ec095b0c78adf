"""Janelia FIB-SEM files, made here byte by byte after the public tables of fields."""

from __future__ import annotations

import contextlib
import pickle
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import Code, FormatError, InputError, NotFoundError, VoxariumError
from voxarium.formats.fibsem_dat import FibsemDatDriver
from voxarium.model.box import Box
from voxarium.spec.fibsem_dat import HEADER_BYTES, parse_header
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

MAGIC = 3555587570


def header(version=8, shape=(5, 7), channels=1, eight=False, pixel_size=8.0, on=(1, 1, 0, 0), stop=0):
    raw = bytearray(1024)
    struct.pack_into(">IHH10s", raw, 0, MAGIC, version, 1, b"25/12/2021")
    struct.pack_into(">dBB", raw, 24, 4e-7, channels, int(eight))
    struct.pack_into(">4f", raw, 36, -1.5, 0.25, 1.0, 2.0)
    struct.pack_into(">II", raw, 100, shape[1], shape[0])
    struct.pack_into(">4B", raw, 151, *on)
    raw[180 : 180 + 7] = b"a note\0"
    raw[380 : 380 + 6] = b"InLens"
    raw[390 : 390 + 3] = b"ESB"
    if version < 3:
        struct.pack_into(">d", raw, 416, pixel_size)
    else:
        struct.pack_into(">f", raw, 464, pixel_size)
    if version >= 5:
        raw[800 : 800 + 6] = b"Merlin"
    struct.pack_into(">q", raw, 1000, stop)
    return bytes(raw)


def data(shape, channels=1, eight=False, seed=0):
    values = np.random.default_rng(seed).integers(0 if eight else -30000, 255 if eight else 30000, (*shape, channels))
    return values.astype("u1" if eight else "i2")


def file(folder, name, shape=(5, 7), seed=0, tail=b"recipe" * 20, **options):
    voxels = data(shape, options.get("channels", 1), options.get("eight", False), seed)
    stored = voxels.astype(voxels.dtype.newbyteorder(">")).tobytes()
    head = header(shape=shape, stop=1024 + len(stored), **options)
    (folder / name).write_bytes(head + stored + tail)
    return voxels if voxels.shape[-1] > 1 else voxels[..., 0]


@pytest.mark.parametrize("version", range(1, 10))
@pytest.mark.parametrize("eight", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_one_slice_of_every_version(tmp_path, reads_like, version, eight, channels):
    expected = file(tmp_path, "a.dat", (9, 13), version=version, eight=eight, channels=channels, pixel_size=4.0)
    info = reads_like(FibsemDatDriver(), "a.dat", expected)
    assert "".join(a.name for a in info.axes) == ("yx" if channels == 1 else "yxc")
    assert info.transform.apply(np.eye(info.ndim)[0])[0] == 4.0
    assert info.axes[0].unit == "nanometer"
    fields = info.attributes["fibsem"]
    assert fields["FileVersion"] == version
    assert fields["SWdate"] == "25/12/2021"
    assert fields["Notes"] == "a note"
    assert fields.get("MachineID") == ("Merlin" if version >= 5 else None)


def test_channels_are_named_after_the_detectors_that_were_on(tmp_path):
    file(tmp_path, "a.dat", channels=2)
    assert voxarium.open(tmp_path / "a.dat").axes[2].labels == ("InLens", "ESB")
    file(tmp_path, "b.dat", channels=2, on=(1, 0, 0, 0))
    assert voxarium.open(tmp_path / "b.dat").axes[2].labels == ()


def test_samples_are_raw_and_the_scaling_is_told(tmp_path):
    expected = file(tmp_path, "a.dat", seed=4)
    image = voxarium.open(tmp_path / "a.dat")
    assert image.dtype == np.int16
    np.testing.assert_array_equal(image[...], expected)
    assert image.arrays[0].info.attributes["fibsem"]["Scaling"][0] == [-1.5, 0.25, 1.0, 2.0]


# --------------------------------------------------------------------------------------------------------- stacks
def test_a_folder_of_files_is_a_stack(tmp_path, reads_like):
    expected = np.stack([file(tmp_path, f"M_21-05-{n}.dat", (9, 13), seed=n) for n in (8, 9, 10, 11)])
    (tmp_path / "notes.txt").write_text("x")
    info = reads_like(FibsemDatDriver(), "", expected)
    assert info.chunk_shape[0] == 1
    image = voxarium.open(tmp_path)
    assert "".join(a.name for a in image.axes) == "zyx"
    assert image.unit is None
    assert "8 nm" in info.remarks[0]
    np.testing.assert_array_equal(image[1:3, 2:5, 4:], expected[1:3, 2:5, 4:])


def test_a_stack_with_channels_is_converted_with_the_voxel_size_given(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    expected = np.stack([file(folder, f"M_{n:04}.dat", (9, 13), seed=n, channels=2) for n in range(3)])
    voxarium.convert(folder, tmp_path / "a.ome.zarr", levels=1, voxel_size=(8, 4, 4), unit="nanometer")
    image = voxarium.open(tmp_path / "a.ome.zarr")
    assert [a.name for a in image.axes] == ["c", "z", "y", "x"]
    np.testing.assert_array_equal(image[...], np.moveaxis(expected, -1, 0))
    assert image.voxel_size()[1:] == (8, 4, 4)


def test_tiles_side_by_side_are_no_stack(tmp_path):
    for name in ("M_1_0-0-0.dat", "M_1_0-0-1.dat", "M_2_0-0-0.dat", "M_2_0-0-1.dat"):
        file(tmp_path, name, seed=len(name))
    with pytest.raises(InputError, match="side by side") as caught:
        voxarium.open(tmp_path)
    assert caught.value.code == Code.SLICE_MISMATCH
    assert "*_0-0-0.dat" in caught.value.fix
    assert voxarium.open(f"{tmp_path}/*_0-0-0.dat").shape == (2, 5, 7)


def test_slices_that_differ_are_named(tmp_path):
    file(tmp_path, "a1.dat")
    file(tmp_path, "a2.dat", (5, 8))
    with pytest.raises(InputError, match=r"a2\.dat"):
        voxarium.open(tmp_path)
    (tmp_path / "a2.dat").write_bytes(b"x" * 5000)
    with pytest.raises(FormatError, match=r"a2\.dat"):
        voxarium.open(tmp_path)


def test_far_away_only_the_rows_asked_for_are_fetched(tmp_path):
    expected = [file(tmp_path, f"{n}.dat", (40, 13), seed=n) for n in range(3)]
    store = MemoryStore()
    for n in range(3):
        store.put(f"em/{n}.dat", (tmp_path / f"{n}.dat").read_bytes())
    info = pickle.loads(pickle.dumps(FibsemDatDriver().open(store, "em")))
    got = FibsemDatDriver().read_chunk(store, "em", info, Box((1, 3, 2), (2, 4, 5)))
    np.testing.assert_array_equal(got, np.stack(expected)[1:3, 3:7, 2:7])


# --------------------------------------------------------------------------------------------------------- broken
@pytest.mark.parametrize("size", [0, 3, 100, 1023, 1024, 1024 + 69])
def test_files_cut_off_are_errors(tmp_path, size):
    file(tmp_path, "a.dat")
    (tmp_path / "a.dat").write_bytes((tmp_path / "a.dat").read_bytes()[:size])
    with pytest.raises(VoxariumError) as caught:
        voxarium.open(tmp_path / "a.dat")
    assert caught.value.code == (Code.ARGUMENT_INVALID if size < 4 else Code.FILE_TRUNCATED)


@pytest.mark.parametrize(
    "change",
    [{"version": 0}, {"version": 10}, {"channels": 0}, {"channels": 255}, {"shape": (0, 5)}, {"shape": (2**31, 2**31)}],
)
def test_absurd_headers_are_errors(tmp_path, change):
    (tmp_path / "a.dat").write_bytes(header(**change) + bytes(5000))
    with pytest.raises(FormatError, match=r"a\.dat"):
        voxarium.open(tmp_path / "a.dat")


def test_a_size_larger_than_the_file_is_a_cut_off_file(tmp_path):
    (tmp_path / "a.dat").write_bytes(header(shape=(2**20, 2**20), channels=4) + bytes(5000))
    with pytest.raises(FormatError) as caught:
        voxarium.open(tmp_path / "a.dat")
    assert caught.value.code == Code.FILE_TRUNCATED


@pytest.mark.parametrize("path", ["", "a.txt", "absent.dat", "empty", "b.dat::/x"])
def test_declines_what_is_no_dat(tmp_path, path):
    (tmp_path / "a.txt").write_bytes(header() + bytes(70))
    (tmp_path / "b.dat").write_bytes(b"1 2 3\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError):
        FibsemDatDriver().open(LocalStore(tmp_path), path)


def test_other_dat_files_still_open_as_raw(tmp_path):
    np.arange(6, dtype="<u2").tofile(tmp_path / "a.dat")
    assert voxarium.open(tmp_path / "a.dat", shape=(2, 3), dtype="uint16")[1, 2] == 5


@given(st.binary(min_size=1020, max_size=1020), st.integers(0, 12))
def test_any_header_gives_a_header_or_a_format_error(noise, version):
    head = struct.pack(">IH", MAGIC, version) + noise[:-2]
    with contextlib.suppress(FormatError):
        found = parse_header(head, "here")
        assert 0 < found.stop - HEADER_BYTES <= 2**20 * 2**20 * 4 * 2
        assert found.axes
        import json

        json.dumps(found.metadata, allow_nan=False)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), max_size=5), st.integers(0, 1300))
def test_damaged_files_give_our_errors_only(tmp_path, changes, size):
    file(tmp_path, "a.dat")
    raw = bytearray((tmp_path / "a.dat").read_bytes())
    for at, value in changes:
        raw[at % len(raw)] = value
    (tmp_path / "a.dat").write_bytes(raw[:size])
    with contextlib.suppress(VoxariumError):
        assert voxarium.open(tmp_path / "a.dat")[...].size
