"""ND2 files, made here byte by byte: chunks, attributes and loops as Nikon's "lite variant", and a map of chunks."""

from __future__ import annotations

import contextlib
import pickle
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import FormatError, VoxariumError
from voxarium.formats.nd2 import Nd2ArrayDriver
from voxarium.model.acquisition import acquisition_of
from voxarium.model.box import Box
from voxarium.stores.local import LocalStore

pytest.importorskip("nd2", reason="nd2 is not installed")

CODES = {bool: (1, "<B"), int: (3, "<I"), float: (6, "<d")}


def lite(name, value):
    """Return one entry; an object counts its entries, and ends with a table of them."""
    title = (name + "\0").encode("utf-16-le")
    if isinstance(value, dict):
        head = bytes([11, len(name) + 1]) + title
        entries = [lite(k, v) for k, v in value.items()]
        body = b"".join(entries)
        length = len(head) + 12 + len(body)
        return head + struct.pack("<IQ", len(value), length) + body + b"\0" * 8 * len(value)
    if isinstance(value, str):
        return bytes([8, len(name) + 1]) + title + (value + "\0").encode("utf-16-le")
    code, form = CODES[type(value)]
    return bytes([code, len(name) + 1]) + title + struct.pack(form, value)


def nd2(frames, experiment=None, left_out=()):
    """`frames` has shape (frames, y, x, channels)."""
    count, height, width, channels = frames.shape
    attributes = {
        "SLxImageAttributes": {
            "uiWidth": width,
            "uiWidthBytes": width * channels * 2,
            "uiHeight": height,
            "uiComp": channels,
            "uiBpcInMemory": 16,
            "uiBpcSignificant": 16,
            "uiSequenceCount": count,
            "uiTileWidth": width,
            "uiTileHeight": height,
            "eCompression": 2,
            "dCompressionParam": -1.0,
            "ePixelType": 1,
        }
    }
    chunks = {"ImageAttributesLV!": b"".join(lite(k, v) for k, v in attributes.items())}
    for i, frame in enumerate(frames):
        if i in left_out:
            continue
        chunks[f"ImageDataSeq|{i}!"] = struct.pack("<d", i * 10.0) + frame.tobytes()
    planes = {}
    for i in range(channels):
        spectra = {
            f"m_{kind}Spectrum": {"uiCount": 1, "pPoint": {"Point0": {"dTValue": 1.0, "dWavelength": wave + i}}}
            for kind, wave in (("Excitation", 488.0), ("Emission", 509.0))
        }
        planes[f"a{i}"] = {
            "sDescription": f"dye {i}",
            "uiCompCount": 1,
            "uiColor": 0x0000FF10,  # blue, green, red from the front
            "pFluorescentProbe": spectra,
        }
    pictures = {"uiCount": channels, "uiCompCount": channels, "sPlaneNew": planes}
    picture = {"dCalibration": 0.25, "bCalibrated": True, "sPicturePlanes": pictures}
    chunks["ImageMetadataSeqLV|0!"] = lite("SLxPictureMetadata", picture)
    if experiment is not None:
        chunks["ImageMetadataLV!"] = lite("SLxExperiment", experiment)
    out = struct.pack("<IIQ", 0x0ABECEDA, 32, 64) + b"ND2 FILE SIGNATURE CHUNK NAME01!" + b"Ver3.0".ljust(64, b"\0")
    table = b""
    for name, data in chunks.items():
        table += name.encode() + struct.pack("<QQ", len(out), len(data))
        title = name.encode().ljust(4072 if "DataSeq" in name else 0, b"\0")
        out += struct.pack("<IIQ", 0x0ABECEDA, len(title), len(data)) + title + data
    at = len(out)
    signature = b"ND2 CHUNK MAP SIGNATURE 0000001!"
    table += signature + struct.pack("<QQ", at, 0)
    out += struct.pack("<IIQ", 0x0ABECEDA, 32, len(table)) + b"ND2 FILEMAP SIGNATURE NAME 0001!" + table
    return out + signature + struct.pack("<Q", at)


def z_stack(count):
    return {"eType": 4, "uLoopPars": {"uiCount": count, "dZStep": 0.75, "bZInverted": False, "iType": 2}}


def positions(count, inner):
    points = {f"i{i}": {"dPosX": 10.0 * i, "dPosY": 5.0, "dPosZ": 1.0} for i in range(count)}
    return {
        "eType": 2,
        "uLoopPars": {"uiCount": count, "bUseZ": True, "Points": points},
        "ppNextLevelEx": {"i0": inner},
    }


def voxels(shape):
    return np.random.default_rng(0).integers(0, 60000, shape).astype("<u2")


def test_a_single_frame_with_channels(tmp_path):
    data = voxels((1, 5, 8, 2))
    (tmp_path / "a.nd2").write_bytes(nd2(data))
    image = voxarium.open(tmp_path / "a.nd2")
    assert "".join(a.name for a in image.axes) == "cyx"
    np.testing.assert_array_equal(image[...], np.moveaxis(data[0], -1, 0))
    np.testing.assert_array_equal(image[1:, 2:4, 3:], np.moveaxis(data[0], -1, 0)[1:, 2:4, 3:])
    assert image.axes[0].labels == ("dye 0", "dye 1")
    facts = acquisition_of(image.info.bag).channels
    assert [(c.excitation, c.emission, c.color) for c in facts] == [(488, 509, "10FF00"), (489, 510, "10FF00")]
    assert image.voxel_size() == (1, 0.25, 0.25)
    assert image.unit == "micrometer"
    metadata = image.info.bag.records[0].metadata
    assert metadata["attributes"]["widthPx"] == 8


def test_a_stack_along_z(tmp_path):
    data = voxels((3, 5, 8, 1))
    (tmp_path / "a.nd2").write_bytes(nd2(data, z_stack(3)))
    image = voxarium.open(tmp_path / "a.nd2")
    assert "".join(a.name for a in image.axes) == "zyx"
    np.testing.assert_array_equal(image[...], data[..., 0])
    voxarium.convert(tmp_path / "a.nd2", tmp_path / "a.ome.zarr", levels=1)
    np.testing.assert_array_equal(voxarium.open(tmp_path / "a.ome.zarr")[...], data[..., 0])


def test_stage_positions_are_a_collection(tmp_path):
    data = voxels((6, 5, 8, 1))
    (tmp_path / "a.nd2").write_bytes(nd2(data, positions(2, z_stack(3))))
    found = voxarium.open(tmp_path / "a.nd2")
    assert list(found.keys()) == ["::/0", "::/1"]
    np.testing.assert_array_equal(found["::/1"][...], data[3:, ..., 0])
    assert acquisition_of(found["::/1"].info.bag).position == (1.0, 5.0, 10.0)
    info = pickle.loads(pickle.dumps(Nd2ArrayDriver().open(LocalStore(tmp_path), "a.nd2/series 1")))
    got = Nd2ArrayDriver().read_chunk(LocalStore(tmp_path), "a.nd2/series 1", info, Box((1, 1, 2), (2, 3, 4)))
    np.testing.assert_array_equal(got, data[4:, 1:4, 2:6, 0])


def test_frames_that_were_never_recorded_are_told_and_lost_ones_are_an_error(tmp_path):
    data = voxels((3, 5, 8, 1))
    raw = nd2(data, z_stack(3), left_out=(1,))
    (tmp_path / "a.nd2").write_bytes(raw)
    image = voxarium.open(tmp_path / "a.nd2")
    assert "1 of 3 frames" in image.arrays[0].info.remarks[0]
    np.testing.assert_array_equal(image[...], data[..., 0] * np.array([1, 0, 1], "u2")[:, None, None])
    at = raw.rindex(b"ImageDataSeq|2!") + 15
    (tmp_path / "a.nd2").write_bytes(raw[:at] + struct.pack("<Q", len(raw) - 4100) + raw[at + 8 :])
    with pytest.raises(FormatError, match="cut off"):
        voxarium.open(tmp_path / "a.nd2")[...]
    (tmp_path / "a.nd2").write_bytes(raw[:-100])
    with pytest.raises(FormatError):
        voxarium.open(tmp_path / "a.nd2")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 1500), junk=st.binary(min_size=1, max_size=30))
def test_junk_inside_a_file_is_refused_or_read(tmp_path, at, junk):
    raw = bytearray(nd2(voxels((3, 5, 8, 1)), z_stack(3)))
    raw[at : at + len(junk)] = junk
    (tmp_path / "a.nd2").write_bytes(raw)
    with contextlib.suppress(VoxariumError):
        voxarium.open(tmp_path / "a.nd2")[:1]
