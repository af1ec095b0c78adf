"""CZI files, written by the library of their makers."""

from __future__ import annotations

import contextlib
import pickle

import numpy as np
import pytest

import voxarium
from voxarium.errors import NotFoundError, VoxariumError
from voxarium.formats.czi import CziArrayDriver
from voxarium.model.acquisition import acquisition_of
from voxarium.model.box import Box
from voxarium.stores.local import LocalStore

czi = pytest.importorskip("pylibCZIrw.czi", reason="pylibCZIrw is not installed")

SHAPE = (2, 2, 3, 5, 7)


def write(path, scenes=1, dtype="u2", samples=1, shape=SHAPE):
    data = np.random.default_rng(0).integers(0, 250, (scenes, *shape, samples)).astype(dtype)
    with czi.create_czi(str(path)) as file:
        for s, t, c, z in np.ndindex(scenes, *shape[:3]):
            file.write(data[s, t, c, z], plane={"T": t, "Z": z, "C": c}, scene=s, location=(s * 100 - 20, 10))
        blue = czi.Rgb8Color(np.uint8(1), np.uint8(2), np.uint8(255))
        shown = czi.ChannelDisplaySettingsDataClass(True, czi.TintingMode.Color, blue, 0.1, 0.9)
        file.write_metadata(
            "a title",
            channel_names={0: "DAPI", 1: "GFP"},
            scale_x=1e-7,
            scale_y=2e-7,
            scale_z=3e-7,
            display_settings={0: shown},
        )
    return data


def test_one_scene_opens_as_an_image(tmp_path):
    expected = write(tmp_path / "a.czi")[0, ..., 0]
    image = voxarium.open(tmp_path / "a.czi")
    assert "".join(a.name for a in image.axes) == "tczyx"
    assert image.axes[1].labels == ("DAPI", "GFP")
    assert image.voxel_size() == (1, 1, 0.3, 0.2, 0.1)
    assert image.unit == "micrometer"
    np.testing.assert_array_equal(image[...], expected)
    np.testing.assert_array_equal(image[1:, 1, 1:3, 2:4, 3:], expected[1:, 1, 1:3, 2:4, 3:])
    assert image.info.display.channels[0].color == "0102FF"
    assert [c.name for c in acquisition_of(image.info.bag).channels] == ["DAPI", "GFP"]
    assert "<ImageDocument>" in image.info.bag.records[0].metadata["xml"]


def test_scenes_are_a_collection(tmp_path):
    expected = write(tmp_path / "a.czi", scenes=3)[..., 0]
    found = voxarium.open(tmp_path / "a.czi")
    assert list(found.keys()) == ["::/0", "::/1", "::/2"]
    np.testing.assert_array_equal(found["::/2"][...], expected[2])
    image = voxarium.open(f"{tmp_path}/a.czi::/1")
    np.testing.assert_array_equal(image[...], expected[1])
    np.testing.assert_array_equal(voxarium.open(f"{tmp_path}/a.czi::/scene 2")[...], expected[2])
    with pytest.raises(NotFoundError):
        voxarium.open(f"{tmp_path}/a.czi::/7")
    voxarium.convert(f"{tmp_path}/a.czi::/1", tmp_path / "a.ome.zarr", levels=1)
    np.testing.assert_array_equal(voxarium.open(tmp_path / "a.ome.zarr")[...], expected[1])


def test_colours_are_a_last_axis_in_the_usual_order(tmp_path):
    expected = write(tmp_path / "a.czi", dtype="u1", samples=3, shape=(1, 1, 1, 5, 7))[0, 0, 0, 0]
    image = voxarium.open(tmp_path / "a.czi")
    assert "".join(a.name for a in image.axes) == "yxc"
    np.testing.assert_array_equal(image[...], expected[..., ::-1])
    np.testing.assert_array_equal(image[1:3, 2:, 1:2], expected[1:3, 2:, ::-1][..., 1:2])


def test_an_opened_file_survives_pickling(tmp_path):
    expected = write(tmp_path / "a.czi", dtype="f4")[0, ..., 0]
    store = LocalStore(tmp_path)
    info = pickle.loads(pickle.dumps(CziArrayDriver().open(store, "a.czi/series 0")))
    got = CziArrayDriver().read_chunk(store, "a.czi/series 0", info, Box((1, 0, 2, 1, 2), (1, 2, 1, 3, 4)))
    np.testing.assert_array_equal(got, expected[1:, :, 2:, 1:4, 2:6])


@pytest.mark.parametrize("at", [0, 32, 80, 100, 544, 600, 700, 1000])
def test_junk_inside_a_file_is_refused_or_read(tmp_path, at):
    write(tmp_path / "a.czi", shape=(1, 1, 1, 5, 7))
    raw = bytearray((tmp_path / "a.czi").read_bytes())
    raw[at : at + 16] = b"\xff" * 16
    (tmp_path / "b.czi").write_bytes(raw)
    with contextlib.suppress(VoxariumError):
        voxarium.open(tmp_path / "b.czi")[...]
    (tmp_path / "c.czi").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(VoxariumError):
        voxarium.open(tmp_path / "c.czi")[...]
