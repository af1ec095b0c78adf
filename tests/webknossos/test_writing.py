"""Layers that are written: the document, positions of any kind, what is refused, what is left alone."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.conversion import ConvertOptions, Target, plan, run
from voxarium.core.opening import open_in
from voxarium.errors import Code, ExistsError, FormatError, InputError, UnsupportedError, VoxariumError
from voxarium.model.image import ChannelDisplay, Display
from voxarium.model.transforms import Identity
from voxarium.spec import webknossos
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

SHAPE = (40, 50, 70)
CHOICES = {
    "format": "webknossos",
    "axes": "zyx",
    "voxel_size": (40, 8, 8),
    "unit": "nanometer",
    "chunk": 16,
    "shard": 32,
}


@pytest.fixture
def source(tmp_path):
    data = np.random.default_rng(1).integers(0, 200, SHAPE).astype("u1")
    data[:, :20] = 0
    np.save(tmp_path / "em.npy", data)
    return tmp_path / "em.npy", data


def document(folder):
    return json.loads((folder / "datasource-properties.json").read_text())


def corner(*voxels, size=(40, 8, 8)):
    """Return the translation of an image whose first voxel's corner is at `voxels`."""
    return tuple((n + 0.5) * s for n, s in zip(voxels, size, strict=True))


def test_the_document_is_as_its_specification_says(source, tmp_path):
    path, data = source
    voxarium.convert(path, tmp_path / "ds" / "em", **CHOICES, translation=corner(0, 0, 0), levels=3)
    order = {"c": 0, "x": 1, "y": 2, "z": 3}
    assert document(tmp_path / "ds") == {
        "id": {"name": "em", "team": ""},
        "scale": {"factor": [8.0, 8.0, 40.0], "unit": "nanometer"},
        "dataLayers": [
            {
                "name": "em",
                "category": "color",
                "boundingBox": {"topLeft": [0, 0, 0], "width": 70, "height": 50, "depth": 40},
                "dataFormat": "wkw",
                "mags": [
                    {"mag": [1, 1, 1], "path": "./em/1", "cubeLength": 32, "axisOrder": order},
                    {"mag": [2, 2, 1], "path": "./em/2-2-1", "cubeLength": 32, "axisOrder": order},
                    {"mag": [4, 4, 1], "path": "./em/4-4-1", "cubeLength": 32, "axisOrder": order},
                ],
                "numChannels": 1,
                "elementClass": "uint8",
            }
        ],
        "version": 1,
    }
    image = voxarium.open(tmp_path / "ds" / "em")
    assert (image[...] == data).all()
    assert image.scale_translation(0) == ((40.0, 8.0, 8.0), (20.0, 4.0, 4.0))
    assert image.scale_translation(2) == ((40.0, 32.0, 32.0), (20.0, 16.0, 16.0))
    header = (tmp_path / "ds" / "em" / "1" / "header.wkw").read_bytes()
    assert header == bytes.fromhex("574b5701 14 02 01 01".replace(" ", "")) + bytes(8)


@pytest.mark.parametrize(
    ("translation", "top_left", "shift"),
    [
        (corner(0, 0, 0), [0, 0, 0], None),
        (corner(32, 64, 0), [0, 64, 32], None),  # files can begin there
        (corner(16, 48, 8), [8, 48, 16], None),
        (corner(1, 2, 3), [0, 0, 0], [3.0, 2.0, 1.0]),
        ((0, 0, 0), [0, 0, 0], [-0.5, -0.5, -0.5]),
        ((-1234.5, 0.25, 1e6), [0, 0, 0], [1e6 / 8 - 0.5, 0.25 / 8 - 0.5, -1234.5 / 40 - 0.5]),
    ],
)
def test_every_position_is_held(source, tmp_path, translation, top_left, shift):
    path, data = source
    voxarium.convert(path, tmp_path / "ds" / "em", **CHOICES, translation=translation, levels=3)
    entry = document(tmp_path / "ds")["dataLayers"][0]
    assert entry["boundingBox"]["topLeft"] == top_left
    if shift is None:
        assert "coordinateTransformations" not in entry
    else:
        (found,) = entry["coordinateTransformations"]
        assert np.allclose(np.array(found["matrix"])[:3, 3], shift, rtol=1e-12)
    image = voxarium.open(tmp_path / "ds" / "em")
    assert (image[...] == data).all()
    plain = tmp_path / "em.zarr"
    choices = {k: v for k, v in CHOICES.items() if k != "format"}
    voxarium.convert(path, plain, **choices, translation=translation, levels=3)
    reference = voxarium.open(plain)
    for level in range(3):
        assert np.allclose(image.scale_translation(level), reference.scale_translation(level), rtol=1e-12, atol=1e-9)
        assert (image.read(level=level) == reference.read(level=level)).all()


@settings(max_examples=15)
@given(position=st.tuples(*[st.floats(-1e5, 1e5)] * 3))
def test_any_position_comes_back(position):
    store = MemoryStore()
    image = in_memory(np.ones((6, 7, 9), "u2"), store, translation=position, levels=2)
    want = plan(image[0], image[1]).image.levels
    found = open_in(store, "em")
    for level, expected in enumerate(want):
        points = np.array([(0, 0, 0), (1, 2, 3)])
        got = found.levels[level].transform.apply(points)
        assert np.allclose(got, expected.transform.apply(points), rtol=1e-9, atol=1e-6)


def in_memory(data, store, **choices):
    """Write an image into a store as the layer ``em``; return the source and the options."""
    source = MemoryStore()

    file = io.BytesIO()
    np.save(file, data)
    source.put("em.npy", file.getvalue())
    image = open_in(source, "em.npy")
    options = ConvertOptions(
        format="webknossos", axes=("z", "y", "x"), voxel_size=(40.0, 8.0, 8.0), unit="nanometer", chunk=(4,),
        shard=(8,), **choices,
    )  # fmt: skip
    run(plan(image, options), image, Target(Below(store, "em"), store, "em"))
    return image, options


class Below:
    """A store seen from one of its folders."""

    def __init__(self, store, folder):
        self._store, self._folder = store, f"{folder}/"
        self.uri, self.concurrency = f"{store.uri}/{folder}", store.concurrency

    def __getattr__(self, name):
        function = getattr(self._store, name)
        if name == "list":
            return lambda prefix="": (
                (k.removeprefix(self._folder), n) for k, n in function((self._folder + prefix).rstrip("/"))
            )
        if name == "list_dir":
            return lambda prefix="": function((self._folder + prefix).rstrip("/"))
        return lambda key, *more: function(self._folder + key, *more)


def test_layers_are_added_and_everything_else_is_kept(source, tmp_path):
    path, data = source
    folder = tmp_path / "ds"
    folder.mkdir()
    other = {"name": "other", "category": "segmentation", "mags": [], "unknown": {"a": 1}}
    before = {"id": {"name": "n", "team": "t"}, "scale": [4.0, 4.0, 20.0], "dataLayers": [other], "version": 1, "x": 2}
    (folder / "datasource-properties.json").write_text(json.dumps(before))
    voxarium.convert(path, folder / "em", **CHOICES, translation=corner(0, 0, 0), levels=1)
    voxarium.convert(path, folder / "seg", **CHOICES, translation=corner(0, 0, 0), levels=1, role="label")
    found = document(folder)
    assert {k: v for k, v in found.items() if k != "dataLayers"} == {
        k: v for k, v in before.items() if k != "dataLayers"
    }
    assert found["dataLayers"][0] == other
    assert [e["name"] for e in found["dataLayers"]] == ["other", "em", "seg"]
    assert [e["category"] for e in found["dataLayers"][1:]] == ["color", "segmentation"]
    # The dataset's voxels are half as large: level 0 is its mag 2.
    assert found["dataLayers"][1]["mags"][0]["mag"] == [2, 2, 2]
    assert found["dataLayers"][1]["boundingBox"] == {"topLeft": [0, 0, 0], "width": 140, "height": 100, "depth": 80}
    image = voxarium.open(folder / "seg")
    assert image.role == "label" and image.scale_translation() == ((40.0, 8.0, 8.0), (20.0, 4.0, 4.0))
    assert (image[...] == data).all()


@pytest.mark.parametrize("scale", [[3.0, 8.0, 40.0], {"factor": [0.008, 0.008, 0.03], "unit": "micrometer"}])
def test_other_voxel_sizes_become_a_transformation(source, tmp_path, scale):
    path, data = source
    folder = tmp_path / "ds"
    folder.mkdir()
    (folder / "datasource-properties.json").write_text(json.dumps({"scale": scale, "dataLayers": []}))
    voxarium.convert(path, folder / "em", **CHOICES, translation=(7, 6, 5), levels=2)
    image = voxarium.open(folder / "em")
    micro = isinstance(scale, dict)
    assert image.unit == ("micrometer" if micro else "nanometer")
    factor = 0.001 if micro else 1
    want = np.array([(40, 8, 8), (7, 6, 5)]) * factor
    assert np.allclose(image.scale_translation(0), want, rtol=1e-12)
    assert np.allclose(image.scale_translation(1), np.array([(40, 16, 16), (7, 10, 9)]) * factor, rtol=1e-12)
    assert (image[...] == data).all()


def test_a_layer_is_replaced_only_when_asked_and_only_its_entry(source, tmp_path):
    path, data = source
    for name in ("em", "more"):
        voxarium.convert(path, tmp_path / "ds" / name, **CHOICES, translation=corner(0, 0, 0), levels=2)
    with pytest.raises(ExistsError):
        voxarium.convert(path, tmp_path / "ds" / "em", **CHOICES, levels=1)
    before = document(tmp_path / "ds")
    voxarium.convert(path, tmp_path / "ds" / "em", **CHOICES, levels=1, overwrite=True)
    after = document(tmp_path / "ds")
    assert [e["name"] for e in after["dataLayers"]] == ["em", "more"]
    assert after["dataLayers"][1] == before["dataLayers"][1]
    assert len(after["dataLayers"][0]["mags"]) == 1
    assert not (tmp_path / "ds" / "em" / "2-2-1").exists() or not list(
        (tmp_path / "ds" / "em" / "2-2-1").rglob("*.wkw")
    )
    assert (voxarium.open(tmp_path / "ds" / "em")[...] == data).all()


def test_a_copy_keeps_view_configuration_and_unknown_keys_but_no_attachments(kit, tmp_path):
    store = LocalStore(tmp_path / "a")
    view = {"color": [255, 10, 0], "intensityRange": [3, 200], "min": 0, "max": 255, "isDisabled": True, "alpha": 40}
    kit.put_wkw(store, "em/1", kit.ramp((10, 15, 20)), origin=(7, 5, 3))
    more = {"attachments": {"meshes": [{"name": "m", "path": "./em/m"}]}, "new": [1], "largestSegmentId": 3}
    kit.put_properties(store, kit.entry(defaultViewConfiguration=view, **more))
    voxarium.convert(tmp_path / "a" / "em", tmp_path / "b" / "em2", format="webknossos")
    entry = document(tmp_path / "b")["dataLayers"][0]
    assert entry["defaultViewConfiguration"] == view and entry["new"] == [1]
    assert "attachments" not in entry and "largestSegmentId" not in entry
    assert document(tmp_path / "b")["id"]["name"] == "ds"
    first, second = voxarium.open(tmp_path / "a" / "em"), voxarium.open(tmp_path / "b" / "em2")
    assert first.scale_translation() == second.scale_translation() and (first[...] == second[...]).all()
    assert first.info.display == second.info.display


def test_display_hints_of_single_channels_come_back(tmp_path):
    data = np.ones((2, 8, 8, 8), "u1")
    np.save(tmp_path / "a.npy", data)
    voxarium.convert(
        tmp_path / "a.npy", tmp_path / "ds" / "em", format="webknossos", axes="czyx", voxel_size=8, unit="nm", levels=1
    )
    image = voxarium.open(tmp_path / "ds" / "em").info
    channels = (
        ChannelDisplay(label="DAPI", color="00FF7F", window=(1.0, 9.5), limits=(0.0, 255.0)),
        ChannelDisplay(label="GFP", color="FF0000", active=False),
    )
    level = image.levels[0]
    axes = tuple(image.axes[i] for i in (1, 2, 3, 0))
    array = replace(level.array, shape=(8, 8, 8, 2), chunk_shape=(8, 8, 8, 2), shard_shape=(8, 8, 8, 2))
    wide = replace(
        image, axes=axes, display=Display(channels=channels),
        levels=(replace(level, array=array, part=None, transform=Identity()),),
    )  # fmt: skip
    raw = webknossos.dump_properties("em", wide, None)
    (tmp_path / "ds" / "datasource-properties.json").write_bytes(raw)
    assert voxarium.open(tmp_path / "ds" / "em").info.display.channels == channels


def test_a_name_unlike_the_folders_comes_back(source, tmp_path):
    voxarium.convert(source[0], tmp_path / "ds" / "em", **CHOICES, levels=1, name="Mouse, left")
    assert document(tmp_path / "ds")["dataLayers"][0]["voxarium"] == {"name": "Mouse, left"}
    image = voxarium.open(tmp_path / "ds" / "em")
    assert image.name == image.info.name == "Mouse, left"
    voxarium.convert(source[0], tmp_path / "ds" / "other", **CHOICES, levels=1)
    assert "voxarium" not in document(tmp_path / "ds")["dataLayers"][1]
    assert voxarium.open(tmp_path / "ds" / "other").name == "other"


def test_a_default_write_of_a_small_image_makes_small_files(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((100, 384, 384), "u1"))
    choices = {"format": "webknossos", "axes": "zyx", "voxel_size": 8, "unit": "nm", "translation": 4}
    voxarium.convert(tmp_path / "a.npy", tmp_path / "ds" / "em", **choices)
    entry = document(tmp_path / "ds")["dataLayers"][0]
    assert entry["mags"][0]["cubeLength"] == 512
    assert sum(p.stat().st_size for p in (tmp_path / "ds").rglob("*.wkw")) < 1_000_000
    voxarium.convert(tmp_path / "a.npy", tmp_path / "ds" / "raw", **choices, codec="none", levels=1)
    assert sum(p.stat().st_size for p in (tmp_path / "ds" / "raw").rglob("*.wkw")) < 2 * 100 * 384 * 384


@pytest.mark.parametrize(
    ("changes", "error", "code", "word"),
    [
        ({"unit": None}, InputError, Code.UNIT_UNKNOWN, "unit of length"),
        ({"method": "stride"}, InputError, Code.TRANSFORM_INVALID, "stride"),
        ({"codec": "zstd:1"}, UnsupportedError, Code.CODEC_UNKNOWN, "lz4"),
        ({"dtype": "float16", "lossy": True}, UnsupportedError, Code.DTYPE_UNSUPPORTED, "float16"),
        ({"fill_value": 3}, InputError, Code.ARGUMENT_INVALID, "fill"),
        ({"axes": "tyx"}, VoxariumError, None, "t, y, x"),
        ({"spec_version": "0.5"}, InputError, Code.ARGUMENT_INVALID, "0.5"),
    ],
)
def test_what_a_layer_cannot_hold_is_refused_before_anything_is_written(source, tmp_path, changes, error, code, word):
    path, _ = source
    with pytest.raises(error) as caught:
        voxarium.convert(path, tmp_path / "ds" / "em", **CHOICES | changes)
    assert word in f"{caught.value.message} {caught.value.fix}"
    assert code is None or caught.value.code == code
    assert not (tmp_path / "ds").exists() or not list((tmp_path / "ds").rglob("*.wkw"))


@pytest.mark.parametrize("name", [".em", "em 1", "ém", "a#b"])
def test_a_name_that_no_layer_may_have_is_refused(source, tmp_path, name):
    with pytest.raises(InputError, match="name of a layer"):
        voxarium.convert(source[0], tmp_path / "ds" / name, **CHOICES)


@pytest.mark.parametrize("raw", ["{", "[]", '{"scale": [1, 1, 1], "dataLayers": 3}', '{"scale": 1, "dataLayers": []}'])
def test_a_broken_document_is_not_overwritten(source, tmp_path, raw):
    (tmp_path / "ds").mkdir()
    (tmp_path / "ds" / "datasource-properties.json").write_text(raw)
    with pytest.raises(FormatError):
        voxarium.convert(source[0], tmp_path / "ds" / "em", **CHOICES)
    assert (tmp_path / "ds" / "datasource-properties.json").read_text() == raw


@pytest.mark.parametrize("spec_version", ["wkw", "zarr3"])
@pytest.mark.parametrize("at", [(0, 0, 64), (32, 16, 0), (1, 2, 3)])
def test_layers_of_several_channels_are_where_the_document_says(tmp_path, spec_version, at):
    data = np.random.default_rng(4).integers(1, 200, (3, 13, 22, 31)).astype("u1")
    np.save(tmp_path / "a.npy", data)
    choices = CHOICES | {"axes": "czyx", "spec_version": spec_version, "translation": corner(*at), "levels": 2}
    voxarium.convert(tmp_path / "a.npy", tmp_path / "ds" / "rgb", **choices)
    image = voxarium.open(tmp_path / "ds" / "rgb")
    assert (image[...] == data).all() and np.allclose(image.scale_translation()[1][1:], corner(*at))
