"""MetaImage files, written byte by byte and by SimpleITK."""

from __future__ import annotations

import contextlib
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import FormatError, InputError, UnsupportedError, VoxariumError
from voxarium.formats.metaimage import MetaImageDriver
from voxarium.spec.metaimage import parse_header

DATA = (np.arange(3 * 5 * 7).reshape(3, 5, 7) * 311 % 30011).astype("<i2")


def header(*lines, file="LOCAL", size="7 5 3", kind="MET_SHORT"):
    first = ("ObjectType = Image", f"NDims = {len(size.split())}", f"DimSize = {size}", f"ElementType = {kind}")
    return "\n".join((*first, *lines, f"ElementDataFile = {file}\n")).encode()


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("way", ["raw", "zlib", "text"])
def test_every_way_to_store_voxels(tmp_path, reads_like, big, way):
    stored = DATA.astype(">i2" if big else "<i2").tobytes()
    lines = [f"BinaryDataByteOrderMSB = {big}", f"BinaryData = {way != 'text'}", f"CompressedData = {way == 'zlib'}"]
    text = " ".join(map(str, DATA.ravel())).encode()
    body = {"raw": stored, "zlib": zlib.compress(stored), "text": text}[way]
    (tmp_path / "a.mha").write_bytes(header(*lines) + body)
    info = reads_like(MetaImageDriver(), "a.mha", DATA)
    assert info.contiguous == (way == "raw")
    (tmp_path / "v.raw").write_bytes(body)
    (tmp_path / "b.mhd").write_bytes(header(*lines, file="v.raw"))
    reads_like(MetaImageDriver(), "b.mhd", DATA)


def test_slices_in_files_and_bytes_before_the_voxels(tmp_path, reads_like):
    for i, plane in enumerate(DATA):
        (tmp_path / f"v{i + 1}.raw").write_bytes(b"xyz" + plane.tobytes())
    (tmp_path / "a.mhd").write_bytes(header("HeaderSize = 3", file="LIST\nv1.raw\nv2.raw\nv3.raw"))
    reads_like(MetaImageDriver(), "a.mhd", DATA)
    (tmp_path / "b.mhd").write_bytes(header("HeaderSize = -1", file="v%d.raw 1 3 1"))
    reads_like(MetaImageDriver(), "b.mhd", DATA)


def test_files_outside_the_folder_are_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "v.raw").write_bytes(DATA.tobytes())
    (tmp_path / "in" / "a.mhd").write_bytes(header(file="../v.raw"))
    with pytest.raises(InputError):
        voxarium.open(tmp_path / "in" / "a.mhd")


def test_directions_names_and_letters(tmp_path):
    # The first axis runs along -x, the second along z, the third along y.
    lines = ("TransformMatrix = -1 0 0 0 0 1 0 1 0", "Offset = 10 20 30", "ElementSpacing = 0.5 2 3")
    (tmp_path / "a.mha").write_bytes(header(*lines, "AnatomicalOrientation = LIA") + DATA.tobytes())
    image = voxarium.open(tmp_path / "a.mha")
    assert [a.name for a in image.axes] == ["y", "z", "x"]
    assert image.scale_translation() == ((3, 2, -0.5), (20, 30, 10))
    assert [a.orientation for a in image.axes] == ["anterior-to-posterior", "inferior-to-superior", "right-to-left"]
    assert image.unit == "millimeter"
    assert not image.arrays[0].info.remarks


def test_channels_and_time(tmp_path, reads_like):
    data = np.arange(2 * 3 * 5 * 7 * 3).reshape(2, 3, 5, 7, 3).astype("u1")
    raw = header("ElementNumberOfChannels = 3", "ElementSpacing = 1 2 3 0.5", size="7 5 3 2", kind="MET_UCHAR_ARRAY")
    (tmp_path / "a.mha").write_bytes(raw + data.tobytes())
    info = reads_like(MetaImageDriver(), "a.mha", data)
    assert "".join(a.name for a in info.axes) == "tzyxc"
    assert voxarium.open(tmp_path / "a.mha").voxel_size() == (0.5, 3, 2, 1, 1)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (header(size="7 5 -3"), FormatError),
        (header(size=f"{2**40} {2**40} 1"), FormatError),
        (header(kind="MET_STRING"), UnsupportedError),
        (header().replace(b"Image", b"Tube"), UnsupportedError),
        (header().replace(b"ElementDataFile = LOCAL\n", b""), FormatError),
        (header("TransformMatrix = 1 0 0"), FormatError),
    ],
)
def test_what_cannot_be_is_refused(raw, error):
    with pytest.raises(error):
        parse_header(raw, "here")


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
@pytest.mark.parametrize("compressed", [False, True])
def test_files_of_simpleitk(tmp_path, reads_like, name, compressed):
    sitk = pytest.importorskip("SimpleITK", reason="the reference implementation is not installed")
    c, s = np.cos(0.4), np.sin(0.4)
    image = sitk.GetImageFromArray(DATA)
    image.SetSpacing((0.5, 2, 3))
    image.SetOrigin((10, 20, 30))
    image.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / name), compressed)
    reads_like(MetaImageDriver(), name, DATA)
    got = voxarium.open(tmp_path / name)
    for k, j, i in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 3, 5)]:
        expected = image.TransformIndexToPhysicalPoint((i, j, k))
        np.testing.assert_allclose(got.levels[0].transform.apply([k, j, i]), expected[::-1], rtol=1e-9)


@pytest.mark.oracle
def test_nrrd_files_of_simpleitk(tmp_path):
    sitk = pytest.importorskip("SimpleITK", reason="the reference implementation is not installed")
    c, s = np.cos(0.4), np.sin(0.4)
    image = sitk.GetImageFromArray(DATA)
    image.SetSpacing((0.5, 2, 3))
    image.SetOrigin((10, 20, 30))
    image.SetDirection((1, 0, 0, 0, c, -s, 0, s, c))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"), True)
    got = voxarium.open(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(got[...], DATA)
    for k, j, i in [(0, 0, 0), (2, 3, 5)]:
        expected = image.TransformIndexToPhysicalPoint((i, j, k))
        np.testing.assert_allclose(got.levels[0].transform.apply([k, j, i]), expected[::-1], rtol=1e-9)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 200), junk=st.binary(min_size=1, max_size=30))
def test_junk_in_a_header_is_refused_or_read(tmp_path, at, junk):
    raw = bytearray(header("TransformMatrix = 1 0 0 0 1 0 0 0 1", "ElementSpacing = 1 2 3") + DATA.tobytes())
    raw[at : at + len(junk)] = junk
    (tmp_path / "a.mha").write_bytes(raw)
    with contextlib.suppress(VoxariumError):
        voxarium.open(tmp_path / "a.mha")[:1, :1, :1]
