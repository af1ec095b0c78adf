"""LIF files, made here byte by byte: a header of XML, and a block of memory per image."""

from __future__ import annotations

import contextlib
import pickle
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import NotFoundError, VoxariumError
from voxarium.formats.lif import LifArrayDriver
from voxarium.model.acquisition import acquisition_of
from voxarium.model.box import Box
from voxarium.stores.memory import MemoryStore

pytest.importorskip("liffile", reason="liffile is not installed")

DIMS = {"x": 1, "y": 2, "z": 3, "t": 4}


def image_xml(name, number, data, names, steps):
    """Describe data of axes `names`, of which c may be one."""
    stride, dims, channels = data.itemsize, [], ""
    for axis, length in reversed(list(zip(names, data.shape, strict=True))):
        if axis == "c":
            channels = "".join(
                f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
                f'Max="65535" Unit="" LUTName="{lut}" IsLUTInverted="0" BytesInc="{i * stride}" BitInc="0">'
                f"<ChannelProperty><Key>DyeName</Key><Value>dye {i}</Value></ChannelProperty></ChannelDescription>"
                for i, lut in zip(range(length), ["Blue", "Green", "Fire"], strict=False)
            )
        else:
            unit = "s" if axis == "t" else "m"
            dims.append(
                f'<DimensionDescription DimID="{DIMS[axis]}" NumberOfElements="{length}" Origin="0" '
                f'Length="{steps[axis] * (length - 1)}" Unit="{unit}" BytesInc="{stride}" BitInc="0"/>'
            )
        stride *= length
    if not channels:
        channels = (
            '<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
            'Max="1" Unit="" LUTName="Gray" IsLUTInverted="0" BytesInc="0" BitInc="0"/>'
        )
    return (
        f'<Element Name="{name}" Visibility="1" UniqueID="u{number}"><Data><Image><ImageDescription>'
        f"<Channels>{channels}</Channels><Dimensions>{''.join(dims)}</Dimensions></ImageDescription>"
        f'<Attachment Name="HardwareSetting" Objective="HC PL APO"/></Image></Data>'
        f'<Memory Size="{data.nbytes}" MemoryBlockID="MemBlock_{number}"/><Children/></Element>'
    )


def lif(*images):
    elements = "".join(image_xml(name, i, data, names, steps) for i, (name, data, names, steps) in enumerate(images))
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="project"><Memory Size="0" MemoryBlockID="M"/>'
        f"<Children>{elements}</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    out = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml
    for i, (_, data, _, _) in enumerate(images):
        name = f"MemBlock_{i}".encode("utf-16-le")
        out += struct.pack("<IIBQBI", 0x70, 14 + len(name), 0x2A, data.nbytes, 0x2A, len(name) // 2) + name
        out += data.tobytes()
    return out


STEPS = {"x": 1e-7, "y": 2e-7, "z": 3e-7, "t": 2.5}


def voxels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 60000, shape).astype("<u2")


def test_a_file_with_one_image_opens_as_it(tmp_path):
    data = voxels((2, 3, 2, 5, 7))
    (tmp_path / "a.lif").write_bytes(lif(("scan", data, "tzcyx", STEPS)))
    image = voxarium.open(tmp_path / "a.lif")
    assert "".join(a.name for a in image.axes) == "tzcyx"
    assert image.axes[2].labels == ("dye 0", "dye 1")
    assert image.voxel_size() == pytest.approx((2.5, 0.3, 1, 0.2, 0.1))
    assert image.unit == "micrometer"
    np.testing.assert_array_equal(image[...], data)
    np.testing.assert_array_equal(image[1, 1:, 1, 2:4, 3:], data[1, 1:, 1, 2:4, 3:])
    assert [c.color for c in image.info.display.channels] == ["0000FF", "00FF00"]
    assert [c.fluor for c in acquisition_of(image.info.bag).channels] == ["dye 0", "dye 1"]
    assert "HC PL APO" in str(image.info.bag.records[0].metadata)
    voxarium.convert(tmp_path / "a.lif", tmp_path / "a.ome.zarr", levels=1)
    out = voxarium.open(tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(np.asarray(out[...]).ravel(), np.moveaxis(data, 2, 1).ravel())


def test_several_images_are_a_collection(tmp_path):
    parts = [voxels((3, 5, 7), 1), voxels((4, 6), 2), voxels((2, 5, 3), 3)]
    raw = lif(("a", parts[0], "zyx", STEPS), ("b", parts[1], "yx", STEPS), ("c", parts[2], "tyx", STEPS))
    (tmp_path / "a.lif").write_bytes(raw)
    found = voxarium.open(tmp_path / "a.lif")
    assert list(found.keys()) == ["::/0", "::/1", "::/2"]
    for i, data in enumerate(parts):
        np.testing.assert_array_equal(voxarium.open(f"{tmp_path}/a.lif::/{i}")[...], data)
    np.testing.assert_array_equal(voxarium.open(f"{tmp_path}/a.lif::/b")[...], parts[1])
    with pytest.raises(NotFoundError):
        voxarium.open(f"{tmp_path}/a.lif::/d")


def test_far_away_and_in_another_process(tmp_path):
    data = voxels((3, 5, 7))
    store = MemoryStore()
    store.put("d/a.lif", lif(("a", data, "zyx", STEPS)))
    driver = LifArrayDriver()
    info = pickle.loads(pickle.dumps(driver.open(store, "d/a.lif/series 0")))
    got = driver.read_chunk(store, "d/a.lif/series 0", info, Box((1, 1, 2), (2, 3, 4)))
    np.testing.assert_array_equal(got, data[1:, 1:4, 2:6])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 2500), junk=st.binary(min_size=1, max_size=30))
def test_junk_inside_a_file_is_refused_or_read(tmp_path, at, junk):
    raw = bytearray(lif(("a", voxels((3, 5, 7)), "zyx", STEPS)))
    raw[at : at + len(junk)] = junk
    (tmp_path / "a.lif").write_bytes(raw)
    with contextlib.suppress(VoxariumError):
        voxarium.open(tmp_path / "a.lif")[:1]
