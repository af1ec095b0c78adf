"""Files that only bioio reads; a stand-in for it where it is not installed, and itself where it is."""

import importlib.util
import sys
import types
from typing import ClassVar, NamedTuple

import numpy as np
import pytest

import voxarium
from voxarium.core.opening import open_one
from voxarium.errors import NotFoundError, VoxariumError

DATA = np.random.default_rng(4).integers(0, 250, (2, 1, 3, 4, 5, 7)).astype("uint16")  # scenes, t, c, z, y, x


class Sizes(NamedTuple):
    Z: float | None
    Y: float | None
    X: float | None


class Lazy:
    """What is used of dask arrays."""

    asked: ClassVar[list[tuple[int, ...]]] = []

    def __init__(self, data):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.chunks = tuple((n,) for n in data.shape)

    def __getitem__(self, key):
        return Lazy(self.data[key])

    def compute(self, scheduler):
        assert scheduler == "synchronous"
        self.asked.append(self.shape)
        return self.data


class Picture:
    scenes: ClassVar[tuple[str, ...]] = ("left", "right")
    channel_names: ClassVar[list[str]] = ["A", "B", "C"]
    physical_pixel_sizes = Sizes(2.0, 0.5, None)
    time_interval = None
    metadata: ClassVar[dict[str, int]] = {"a": 1}
    reader = object()

    def __init__(self, path):
        with open(path, "rb") as file:
            if file.read() != b"fine":
                raise ValueError("no plug-in reads this")
        self.set_scene(0)

    def set_scene(self, number):
        self.dask_data = Lazy(DATA[number])
        self.dims = types.SimpleNamespace(order="TCZYX")


@pytest.fixture
def stand_in(monkeypatch):
    module = types.ModuleType("bioio")
    module.BioImage = Picture
    module.__spec__ = importlib.util.spec_from_loader("bioio", None)
    monkeypatch.setitem(sys.modules, "bioio", module)
    monkeypatch.setattr(Lazy, "asked", [])


def test_scenes_are_a_collection_read_plane_by_plane(tmp_path, stand_in):
    (tmp_path / "a.dv").write_bytes(b"fine")
    found = voxarium.open(tmp_path / "a.dv")
    assert [(m.path, m.name) for m in found.members] == [("::/0", "left"), ("::/1", "right")]
    image = voxarium.open(f"{tmp_path}/a.dv::/right")
    assert (image.info.format, image.shape, image.dtype) == ("bioio", (3, 4, 5, 7), np.dtype("uint16"))
    assert [(a.name, a.unit) for a in image.axes] == [
        ("c", None),
        ("z", "micrometer"),
        ("y", "micrometer"),
        ("x", None),
    ]
    assert image.voxel_size() == (1, 2, 0.5, 1) and image.axes[0].labels == ("A", "B", "C")
    assert not Lazy.asked
    assert np.array_equal(image[1, 2, 1:4, 2:], DATA[1, 0, 1, 2, 1:4, 2:]) and len(Lazy.asked) == 1
    assert np.array_equal(image[...], DATA[1, 0])
    assert np.array_equal(found["left"][...], DATA[0, 0])


def test_a_file_of_another_driver_is_read_by_bioio_when_asked_by_name(tmp_path, stand_in):
    (tmp_path / "a.czi").write_bytes(b"fine")
    assert voxarium.open(tmp_path / "a.czi", format="bioio").kind == "series"
    assert voxarium.open(f"{tmp_path}/a.czi::/0", format="bioio").info.format == "bioio"


def test_what_plug_ins_say_about_broken_files_is_one_clear_error(tmp_path, stand_in):
    (tmp_path / "a.dv").write_bytes(b"broken")
    with pytest.raises(VoxariumError, match="no plug-in"):
        voxarium.open(tmp_path / "a.dv")


@pytest.mark.skipif(importlib.util.find_spec("bioio") is not None, reason="bioio is installed")
def test_without_bioio_nothing_is_recognised(tmp_path):
    (tmp_path / "a.dv").write_bytes(b"fine")
    with pytest.raises(NotFoundError):
        voxarium.open(tmp_path / "a.dv")


@pytest.mark.filterwarnings("default")  # those of its own packages are no concern here
def test_an_ome_tiff_read_through_bioio_is_the_same(tmp_path):
    pytest.importorskip("bioio_ome_tiff", reason="bioio and bioio-ome-tiff are not installed")
    tifffile = pytest.importorskip("tifffile", reason="tifffile, which makes the file, is not installed")
    told = {"axes": "CZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0,
            "Channel": {"Name": ["red", "green", "blue"]}}  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", DATA[0, 0], metadata=told, photometric="minisblack")
    ours = open_one(tmp_path / "a.ome.tif")
    theirs = open_one(tmp_path / "a.ome.tif", format="bioio")
    assert theirs.info.format == "bioio" and np.array_equal(ours[...], theirs[...])
    assert theirs.voxel_size() == ours.voxel_size() and [a.name for a in theirs.axes] == [a.name for a in ours.axes]
    assert theirs.axes[0].labels == ("red", "green", "blue")
    assert np.array_equal(theirs[1, 2, 1:3, 4:], ours[1, 2, 1:3, 4:])


@pytest.mark.filterwarnings("default")
def test_a_gif_opens_through_bioio(tmp_path):
    pytest.importorskip("bioio_imageio", reason="bioio and bioio-imageio are not installed")
    image = pytest.importorskip("PIL.Image")
    frames = [image.fromarray(plane.astype("uint8")) for plane in DATA[0, 0, 0]]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    opened = open_one(tmp_path / "a.gif")
    assert opened.info.format == "bioio" and opened.shape[-3:-1] == (5, 7)
    assert np.array_equal(opened[0][..., 0], DATA[0, 0, 0, 0])
