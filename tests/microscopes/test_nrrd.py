"""NRRD files, written byte by byte and by pynrrd."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import FormatError, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.formats.nrrd import NrrdDriver
from voxarium.spec.nrrd import parse_header

DATA = (np.arange(3 * 5 * 7).reshape(3, 5, 7) * 311 % 30011).astype("<i2")


def header(*lines, sizes="7 5 3", kind="short", encoding="raw", endian="little"):
    first = ("NRRD0005", "# a comment", f"type: {kind}", f"dimension: {len(sizes.split())}", f"sizes: {sizes}")
    text = "\n".join((*first, f"encoding: {encoding}", f"endian: {endian}", *lines))
    return text.encode()


def packed(encoding, data):
    if encoding in ("raw", "gzip", "bzip2"):
        return {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}[encoding](data.tobytes())
    if encoding == "hex":
        return data.tobytes().hex().encode()
    return " ".join(map(str, data.ravel())).encode()


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii", "hex"])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_every_encoding_attached_and_detached(tmp_path, reads_like, encoding, endian):
    stored = DATA.astype(">i2" if endian == "big" else "<i2")
    body = packed(encoding, stored)
    (tmp_path / "a.nrrd").write_bytes(header(encoding=encoding, endian=endian) + b"\n\n" + body)
    info = reads_like(NrrdDriver(), "a.nrrd", DATA)
    assert info.contiguous == (encoding == "raw")
    assert [a.name for a in info.axes] == ["z", "y", "x"]
    assert info.transform is None
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "v.bin").write_bytes(b"a line\n" + body)
    detached = header("data file: d/v.bin", "line skip: 1", encoding=encoding, endian=endian)
    (tmp_path / "b.nhdr").write_bytes(detached)
    reads_like(NrrdDriver(), "b.nhdr", DATA)


def test_voxels_that_are_the_last_bytes_and_a_skip_inside_a_stream(tmp_path, reads_like):
    (tmp_path / "v.raw").write_bytes(b"x" * 99 + DATA.tobytes())
    (tmp_path / "a.nhdr").write_bytes(header("data file: v.raw", "byte skip: -1"))
    reads_like(NrrdDriver(), "a.nhdr", DATA)
    (tmp_path / "b.nrrd").write_bytes(
        header("byte skip: 5", encoding="gz") + b"\n\n" + gzip.compress(b"12345" + DATA.tobytes())
    )
    reads_like(NrrdDriver(), "b.nrrd", DATA)


def test_slices_in_files_of_a_pattern_or_a_list(tmp_path, reads_like):
    for i, plane in enumerate(DATA):
        (tmp_path / f"v{i + 8:03}.raw").write_bytes(plane.tobytes())
    (tmp_path / "a.nhdr").write_bytes(header("data file: v%03d.raw 8 10 1"))
    reads_like(NrrdDriver(), "a.nhdr", DATA)
    (tmp_path / "b.nhdr").write_bytes(header("data file: LIST 2\nv010.raw\nv009.raw\nv008.raw\n"))
    reads_like(NrrdDriver(), "b.nhdr", DATA[::-1])
    (tmp_path / "c.nhdr").write_bytes(header("data file: LIST\nv010.raw\nv009.raw\n"))
    with pytest.raises(FormatError, match="2 files for 3"):
        voxarium.open(tmp_path / "c.nhdr")


def test_files_outside_the_folder_are_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "v.raw").write_bytes(DATA.tobytes())
    for name in ("../v.raw", "/etc/passwd", str(tmp_path / "v.raw")):
        (tmp_path / "in" / "a.nhdr").write_bytes(header(f"data file: {name}"))
        with pytest.raises(InputError):
            voxarium.open(tmp_path / "in" / "a.nhdr")
    (tmp_path / "in" / "a.nhdr").write_bytes(header("data file: nowhere.raw"))
    with pytest.raises(NotFoundError, match="nowhere"):
        voxarium.open(tmp_path / "in" / "a.nhdr")


def test_directions_along_the_axes_are_a_scale_that_keeps_its_sign(tmp_path):
    lines = (
        "space: left-posterior-superior",
        "space directions: (-0.5,0,0) (0,0,2) (0,3,0)",
        "space origin: (10,20,30)",
    )
    (tmp_path / "a.nrrd").write_bytes(header(*lines) + b"\n\n" + DATA.tobytes())
    image = voxarium.open(tmp_path / "a.nrrd")
    assert [a.name for a in image.axes] == ["y", "z", "x"]
    assert image.scale_translation() == ((3, 2, -0.5), (20, 30, 10))
    assert [a.orientation for a in image.axes] == ["anterior-to-posterior", "inferior-to-superior", "right-to-left"]
    assert image.unit == "millimeter"


def test_oblique_directions_are_an_affine_transform(tmp_path):
    c, s = np.cos(0.3), np.sin(0.3)
    lines = (
        "space: RAS",
        f"space directions: ({2 * c},{2 * s},0) ({-3 * s},{3 * c},0) (0,0,4)",
        "space origin: (1,2,3)",
        'space units: "um" "um" "um"',
    )
    (tmp_path / "a.nrrd").write_bytes(header(*lines) + b"\n\n" + DATA.tobytes())
    image = voxarium.open(tmp_path / "a.nrrd")
    assert [a.name for a in image.axes] == ["z", "y", "x"]
    assert image.unit == "micrometer"
    assert image.axes[2].orientation == "left-to-right"
    i, j, k = 2, 3, 1
    x, y, z = 1 + 2 * c * i - 3 * s * j, 2 + 2 * s * i + 3 * c * j, 3 + 4 * k
    np.testing.assert_allclose(image.levels[0].transform.apply([k, j, i]), [z, y, x])


def test_axes_that_are_not_of_space(tmp_path):
    data = np.arange(4 * 3 * 2 * 3 * 2).reshape(2, 3, 2, 3, 4).astype("u1")
    lines = (
        "space dimension: 3",
        "space directions: none (2,0,0) (0,3,0) (0,0,4) none",
        "kinds: RGBA-color space space space time",
        "spacings: NaN NaN NaN NaN 0.5",
        'units: "" "" "" "" "s"',
    )
    raw = header(*lines, sizes="4 3 2 3 2", kind="uint8") + b"\n\n" + data.tobytes()
    (tmp_path / "a.nrrd").write_bytes(raw)
    image = voxarium.open(tmp_path / "a.nrrd")
    assert image.axes[0].unit == "second"
    assert "".join(a.name for a in image.axes) == "tzyxc"
    assert image.voxel_size() == (0.5, 4, 3, 2, 1)
    np.testing.assert_array_equal(image[...], data)


def test_spacings_units_and_minima_without_a_space(tmp_path):
    lines = ("spacings: 1.5 2.5 3.5", 'units: "nm" "nm" "nm"', "axis mins: 1 2 3", "centers: cell cell node")
    (tmp_path / "a.nrrd").write_bytes(header(*lines, "My:=key:=value") + b"\n\n" + DATA.tobytes())
    image = voxarium.open(tmp_path / "a.nrrd")
    assert image.unit == "nanometer"
    assert image.scale_translation() == ((3.5, 2.5, 1.5), (3, 3.25, 1.75))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"sizes": "7 5 0"}, FormatError),
        ({"sizes": f"{2**40} {2**40} 2"}, FormatError),
        ({"kind": "block"}, UnsupportedError),
        ({"encoding": "lzma"}, UnsupportedError),
        ({"endian": "middle"}, FormatError),
    ],
)
def test_what_cannot_be_is_refused(change, error):
    with pytest.raises(error):
        parse_header(header(**change), "here")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    raw = header(sizes="1000 1000 4000", kind="uint8", encoding="gzip") + b"\n\n" + gzip.compress(b"\0" * 100)
    (tmp_path / "a.nrrd").write_bytes(raw)
    with pytest.raises(FormatError):
        voxarium.open(tmp_path / "a.nrrd")[:1]
    raw = header(sizes="1000 1000 40000", encoding="gzip") + b"\n\n" + gzip.compress(b"\0" * 100)
    (tmp_path / "a.nrrd").write_bytes(raw)
    with pytest.raises(FormatError, match="unpack"):
        voxarium.open(tmp_path / "a.nrrd")


def test_an_opened_file_survives_pickling_and_is_converted(tmp_path, store):
    (tmp_path / "a.nrrd").write_bytes(header("spacings: 1 2 3", encoding="gzip") + b"\n\n" + packed("gzip", DATA))
    info = pickle.loads(pickle.dumps(NrrdDriver().open(store, "a.nrrd")))
    out = np.empty(DATA.shape, "i2")
    NrrdDriver().read_region(store, "a.nrrd", info, voxarium.Box.whole(DATA.shape), out)
    np.testing.assert_array_equal(out, DATA)
    voxarium.convert(tmp_path / "a.nrrd", tmp_path / "a.ome.zarr", levels=1)
    np.testing.assert_array_equal(voxarium.open(tmp_path / "a.ome.zarr")[...], DATA)


@pytest.mark.oracle
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr"])
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">u4", "<f4", ">f8", "<i8"])
def test_files_of_pynrrd(tmp_path, reads_like, encoding, name, dtype):
    nrrd = pytest.importorskip("nrrd", reason="the reference implementation is not installed")
    data = DATA.astype(dtype)
    fields = {"encoding": encoding, "space": "RAS", "space directions": np.diag([1.0, 2.0, 3.0]), "my key": "v: w"}
    nrrd.write(str(tmp_path / name), data.T, fields)
    info = reads_like(NrrdDriver(), name, data)
    assert info.attributes["nrrd"]["keys"]["my key"] == "v: w"
    assert voxarium.open(tmp_path / name).voxel_size() == (3, 2, 1)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 300), junk=st.binary(min_size=1, max_size=30))
def test_junk_in_a_header_is_refused_or_read(tmp_path, at, junk):
    lines = ("space: RAS", "space directions: (1,0,0) (0,2,0) (0,0,3)", 'space units: "mm" "mm" "mm"')
    raw = bytearray(header(*lines) + b"\n\n" + DATA.tobytes())
    raw[at : at + len(junk)] = junk
    (tmp_path / "a.nrrd").write_bytes(raw)
    with contextlib.suppress(VoxariumError):
        voxarium.open(tmp_path / "a.nrrd")[:1, :1, :1]
