"""NDTiff datasets, written record by record and by ndtiff."""

from __future__ import annotations

import contextlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import FormatError, UnsupportedError, VoxariumError
from voxarium.formats.ndtiff import NdTiffDriver
from voxarium.spec.ndtiff import parse_index


def record(place, file="NDTiffStack.tif", offset=100, size=(7, 5), kind=1, metadata=(0, 0)):
    axes, name = json.dumps(place).encode(), file.encode()
    numbers = (offset, *size, kind, 0, *metadata, 0)
    return struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(name)) + name + struct.pack("<8I", *numbers)


def dataset(folder, planes, kind=1, summary=None):
    """Write (place, plane) pairs; the file begins as NDTiff files do."""
    summary = json.dumps(summary or {}).encode()
    out = b"II*\0\0\0\0\0" + struct.pack("<5I", 483729, 3, 1, 2355492, len(summary)) + summary
    index = b""
    for place, plane in planes:
        first = json.dumps({"PixelSizeUm": 0.5, "Channel": str(place.get("channel")), "place": place}).encode()
        height, width = plane.shape[:2]
        index += record(
            place, offset=len(out), size=(width, height), kind=kind, metadata=(len(out) + plane.nbytes, len(first))
        )
        out += plane.tobytes() + first
    folder.mkdir(exist_ok=True)
    (folder / "NDTiffStack.tif").write_bytes(out)
    (folder / "NDTiff.index").write_bytes(index)


def voxels(shape, dtype="<u2"):
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


def test_planes_are_where_the_index_says(tmp_path, reads_like):
    data = voxels((2, 2, 3, 5, 7))
    places = [
        ({"z": z, "time": t, "channel": "GC"[c]}, data[t, c, z]) for z in range(3) for c in (0, 1) for t in (1, 0)
    ]
    dataset(tmp_path / "d", places, summary={"z-step_um": 2.0, "Prefix": "x"})
    info = reads_like(NdTiffDriver(), "d", data)
    assert "".join(a.name for a in info.axes) == "tczyx"
    image = voxarium.open(tmp_path / "d")
    assert image.info.format == "ndtiff"
    assert image.axes[1].labels == ("G", "C")
    assert image.voxel_size() == (1, 1, 2, 0.5, 0.5)
    assert image.unit == "micrometer"
    assert info.attributes["ndtiff"]["summary"]["Prefix"] == "x"


def test_axes_of_users_and_planes_that_were_never_recorded(tmp_path):
    data = voxels((3, 2, 5, 7))
    places = [({"angle": a * 10, "position": p}, data[a, p]) for a in range(3) for p in range(2) if (a, p) != (1, 1)]
    dataset(tmp_path / "d", places)
    image = voxarium.open(tmp_path / "d")
    assert [a.name for a in image.axes] == ["angle", "p", "y", "x"]
    data[1, 1] = 0
    np.testing.assert_array_equal(image[...], data)
    assert "1 of 6 planes" in image.arrays[0].info.remarks[0]


def test_colours_are_a_last_axis(tmp_path):
    data = voxels((2, 5, 7, 3), "u1")
    dataset(tmp_path / "d", [({"z": z}, data[z]) for z in range(2)], kind=2)
    image = voxarium.open(tmp_path / "d")
    assert "".join(a.name for a in image.axes) == "zyxc"
    np.testing.assert_array_equal(image[...], data)


def test_what_cannot_be_is_refused(tmp_path):
    for broken in (record({"z": 0}, file="../a.tif"), record({"z": 0})[:-3], b"", record({"x": 1}), record({"z": []})):
        with pytest.raises(FormatError):
            parse_index(broken, "here")
    with pytest.raises(UnsupportedError, match="2 sizes"):
        parse_index(record({"z": 0}) + record({"z": 1}, size=(8, 5)), "here")
    dataset(tmp_path / "d", [({"z": 0}, voxels((5, 7)))])
    raw = (tmp_path / "d" / "NDTiffStack.tif").read_bytes()
    (tmp_path / "d" / "NDTiffStack.tif").write_bytes(raw[:90])
    with pytest.raises(FormatError, match="cut off"):
        voxarium.open(tmp_path / "d")


@pytest.mark.oracle
def test_the_reference_implementation_reads_the_same(tmp_path):
    ndtiff = pytest.importorskip("ndtiff", reason="the reference implementation is not installed")
    data = voxels((2, 3, 16, 20))
    names = ("DAPI", "GFP")
    places = [({"channel": names[c], "z": z}, data[c, z]) for c, z in np.ndindex(2, 3)]
    dataset(tmp_path / "d", places, summary={"z-step_um": 3})
    ours = voxarium.open(tmp_path / "d")
    theirs = ndtiff.Dataset(str(tmp_path / "d"))
    try:
        for c, z in np.ndindex(2, 3):
            np.testing.assert_array_equal(ours[c, z], theirs.read_image(channel=names[c], z=z))
        assert theirs.read_metadata(channel="GFP", z=2)["PixelSizeUm"] == ours.voxel_size()[2]
        assert theirs.summary_metadata == ours.arrays[0].info.attributes["ndtiff"]["summary"]
    finally:
        theirs.close()


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 150), junk=st.binary(min_size=1, max_size=20))
def test_junk_in_an_index_is_refused_or_read(at, junk):
    raw = bytearray(record({"z": 0, "channel": "a"}) + record({"z": 1, "time": 3}))
    raw[at : at + len(junk)] = junk
    with contextlib.suppress(VoxariumError):
        parse_index(bytes(raw), "here")
