"""Layers of Zarr 3 arrays: axes c, x, y, z on disk, at their own place in the dataset, as WEBKNOSSOS writes them.

The published client (AGPL, so never a dependency) opened such a dataset once by hand, version 4.3.3: boxes, mags,
voxels of every layer and parts of them are as written; three channels lie in one chunk as in what it writes itself.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import Code, InputError, UnsupportedError, VoxariumError

SHAPE = (40, 50, 70)
SIZE = (40, 8, 8)
CHOICES = {
    "format": "webknossos", "spec_version": "zarr3", "axes": "zyx", "voxel_size": SIZE, "unit": "nanometer",
    "chunk": 16, "shard": 32,
}  # fmt: skip


def corner(*voxels):
    """The translation of an image whose first voxel's corner is at `voxels`."""
    return tuple((n + 0.5) * s for n, s in zip(voxels, SIZE, strict=True))


def noise(dtype="uint8", shape=SHAPE):
    data = np.random.default_rng(1).integers(1, 200, shape).astype(dtype)
    data[..., :20, :] = 0
    return data


@pytest.fixture
def source(tmp_path):
    np.save(tmp_path / "em.npy", noise())
    return tmp_path / "em.npy"


def entries(folder):
    return json.loads((folder / "datasource-properties.json").read_text())["dataLayers"]


def array_document(folder):
    return json.loads((folder / "zarr.json").read_text())


def test_the_documents_are_as_their_specifications_say(source, tmp_path):
    voxarium.convert(source, tmp_path / "ds" / "em", **CHOICES, translation=corner(32, 0, 64), levels=2)
    order = {"c": 0, "x": 1, "y": 2, "z": 3}
    assert entries(tmp_path / "ds") == [
        {
            "name": "em",
            "category": "color",
            "boundingBox": {"topLeft": [64, 0, 32], "width": 70, "height": 50, "depth": 40},
            "dataFormat": "zarr3",
            "mags": [
                {"mag": [1, 1, 1], "path": "./em/1", "axisOrder": order},
                {"mag": [2, 2, 1], "path": "./em/2-2-1", "axisOrder": order},
            ],
            "numChannels": 1,
            "elementClass": "uint8",
        }
    ]
    found = array_document(tmp_path / "ds" / "em" / "1")
    assert found["shape"] == [1, 64 + 70, 50, 32 + 40]
    assert found["chunk_grid"]["configuration"]["chunk_shape"] == [1, 32, 32, 32]
    assert found["dimension_names"] == ["c", "x", "y", "z"]
    (shards,) = found["codecs"]
    assert shards["name"] == "sharding_indexed" and shards["configuration"]["chunk_shape"] == [1, 16, 16, 16]
    assert [c["name"] for c in shards["configuration"]["codecs"]] == ["transpose", "bytes", "zstd"]
    assert shards["configuration"]["codecs"][0]["configuration"] == {"order": [3, 2, 1, 0]}
    files = {str(p.relative_to(tmp_path / "ds" / "em" / "1")) for p in (tmp_path / "ds" / "em" / "1" / "c").rglob("*")}
    assert "c/0/2/0/1" in files and "c/0/4/1/2" in files and "c/0/0" not in files  # none before the image begins
    for group in ("ds", "ds/em"):
        assert array_document(tmp_path / group) == {"zarr_format": 3, "node_type": "group", "attributes": {}}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "uint64", "float32", "float64"])
def test_tensorstore_and_zarr_read_what_is_written(tmp_path, dtype):
    tensorstore = pytest.importorskip("tensorstore")
    data = noise(dtype)
    np.save(tmp_path / "em.npy", data)
    voxarium.convert(tmp_path / "em.npy", tmp_path / "ds" / "em", **CHOICES, translation=corner(8, 32, 0), levels=1)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "ds" / "em" / "1")}}
    found = tensorstore.open(spec).result().read().result()
    wide = np.zeros((48, 82, 70), dtype)
    wide[8:, 32:] = data
    assert found.shape == (1, 70, 82, 48) and (wide == found[0].T).all()
    zarr = pytest.importorskip("zarr", minversion="3")
    assert (wide == zarr.open_group(str(tmp_path / "ds"), mode="r")["em/1"][0].T).all()
    image = voxarium.open(tmp_path / "ds" / "em")
    assert image.dtype == data.dtype and (image[...] == data).all()


def test_channels_lie_in_one_chunk(tmp_path):
    tensorstore = pytest.importorskip("tensorstore")
    data = noise("uint16", (3, 13, 22, 31))
    np.save(tmp_path / "a.npy", data)
    choices = CHOICES | {"axes": "czyx", "shard": 16, "translation": corner(0, 0, 0)}
    voxarium.convert(tmp_path / "a.npy", tmp_path / "ds" / "em", **choices, levels=2)
    (entry,) = entries(tmp_path / "ds")
    assert entry["numChannels"] == 3 and entry["elementClass"] == "uint48"
    found = array_document(tmp_path / "ds" / "em" / "1")
    assert found["shape"] == [3, 31, 22, 13] and found["chunk_grid"]["configuration"]["chunk_shape"][0] == 3
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "ds" / "em" / "1")}}
    assert (tensorstore.open(spec).result().read().result() == data.transpose(0, 3, 2, 1)).all()
    image = voxarium.open(tmp_path / "ds" / "em")
    assert [a.name for a in image.axes] == ["c", "z", "y", "x"] and (image[...] == data).all()


@pytest.mark.parametrize(
    ("translation", "top_left", "shift"),
    [
        (corner(0, 0, 0), [0, 0, 0], None),
        (corner(32, 64, 0), [0, 64, 32], None),
        (corner(96, 48, 8), [8, 48, 96], None),
        (corner(1, 2, 3), [0, 0, 0], [3.0, 2.0, 1.0]),
        ((-1234.5, 0.25, 1e6), [0, 0, 0], [1e6 / 8 - 0.5, 0.25 / 8 - 0.5, -1234.5 / 40 - 0.5]),
    ],
)
@pytest.mark.parametrize("method", ["mean", "gaussian"])
def test_every_position_is_held(source, tmp_path, translation, top_left, shift, method):
    given = {"translation": translation, "levels": 3, "method": method}
    voxarium.convert(source, tmp_path / "ds" / "em", **CHOICES, **given)
    (entry,) = entries(tmp_path / "ds")
    assert entry["boundingBox"]["topLeft"] == top_left
    if shift is None:
        assert "coordinateTransformations" not in entry
    else:
        assert np.allclose(np.array(entry["coordinateTransformations"][0]["matrix"])[:3, 3], shift, rtol=1e-12)
    plain = {k: v for k, v in CHOICES.items() if k not in ("format", "spec_version")}
    voxarium.convert(source, tmp_path / "em.zarr", **plain, **given)
    image, reference = voxarium.open(tmp_path / "ds" / "em"), voxarium.open(tmp_path / "em.zarr")
    for level in range(3):
        assert np.allclose(image.scale_translation(level), reference.scale_translation(level), rtol=1e-12, atol=1e-9)
        assert (image.read(level=level) == reference.read(level=level)).all()


_numbers = itertools.count()


@settings(max_examples=20, deadline=None)
@given(
    at=st.tuples(*[st.integers(0, 130)] * 3),
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    chunk=st.integers(1, 20),
    per_shard=st.integers(0, 3),
    levels=st.integers(1, 2),
)
def test_any_place_shape_chunk_and_shard_comes_back(tmp_path_factory, at, shape, chunk, per_shard, levels):
    folder = tmp_path_factory.mktemp("any")
    data = noise(shape=shape)
    np.save(folder / "a.npy", data)
    # Only whole voxels of the coarsest level can be a corner of all levels.
    at = tuple(n - n % 2 for n in at)
    choices = CHOICES | {"chunk": chunk, "shard": chunk * per_shard, "translation": corner(*at), "levels": levels}
    voxarium.convert(folder / "a.npy", folder / "ds" / "em", **choices)
    image = voxarium.open(folder / "ds" / "em")
    assert (image[...] == data).all()
    assert np.allclose(image.scale_translation()[1], corner(*at), rtol=1e-12)


def test_layers_of_both_kinds_share_a_dataset(source, tmp_path):
    folder = tmp_path / "ds"
    wkw = {k: v for k, v in CHOICES.items() if k != "spec_version"}
    voxarium.convert(source, folder / "em", **wkw, translation=corner(0, 0, 0), levels=1)
    assert not (folder / "zarr.json").exists()
    voxarium.convert(source, folder / "seg", **CHOICES, translation=corner(0, 0, 0), levels=1, role="label")
    before = (folder / "zarr.json").read_bytes()
    plain = CHOICES | {"codec": "none", "shard": 0, "translation": corner(0, 0, 0), "levels": 1}
    voxarium.convert(source, folder / "more", **plain)
    assert [(e["name"], e["dataFormat"]) for e in entries(folder)] == [
        ("em", "wkw"), ("seg", "zarr3"), ("more", "zarr3"),
    ]  # fmt: skip
    assert (folder / "zarr.json").read_bytes() == before
    dataset = voxarium.open(folder)
    assert list(dataset.keys()) == ["em", "seg", "more"]
    assert all((dataset[name][...] == noise()).all() for name in dataset.keys())  # noqa: SIM118  a Dataset
    assert dataset["seg"].role == "label"
    errors = [f for f in voxarium.validate(folder).findings if f.level == "must"]
    assert not errors, errors
    voxarium.convert(source, folder / "seg", **CHOICES, translation=corner(0, 0, 0), levels=2, overwrite=True)
    assert len(voxarium.open(folder / "seg").levels) == 2 and len(entries(folder)) == 3


def test_a_default_write_of_a_small_image_makes_small_shards(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((100, 384, 384), "u1"))
    choices = {"format": "webknossos", "spec_version": "zarr3", "axes": "zyx", "voxel_size": 8, "unit": "nm"}
    voxarium.convert(tmp_path / "a.npy", tmp_path / "ds" / "em", **choices, translation=4)
    found = array_document(tmp_path / "ds" / "em" / "1")
    assert found["shape"] == [1, 384, 384, 100]
    assert found["chunk_grid"]["configuration"]["chunk_shape"] == [1, 384, 384, 128]


@pytest.mark.parametrize(
    ("changes", "error", "code", "word"),
    [
        ({"unit": None}, InputError, Code.UNIT_UNKNOWN, "unit of length"),
        ({"codec": "lz4"}, InputError, None, "zstd"),
        ({"dtype": "float16", "lossy": True}, UnsupportedError, Code.DTYPE_UNSUPPORTED, "float16"),
        ({"fill_value": 3}, InputError, Code.ARGUMENT_INVALID, "fill"),
        ({"axes": "tyx"}, VoxariumError, None, "t, y, x"),
        ({"spec_version": "zarr"}, InputError, Code.ARGUMENT_INVALID, "wkw, zarr3"),
    ],
)
def test_what_a_layer_cannot_hold_is_refused_before_anything_is_written(source, tmp_path, changes, error, code, word):
    with pytest.raises(error) as caught:
        voxarium.convert(source, tmp_path / "ds" / "em", **CHOICES | changes)
    assert word in f"{caught.value.message} {caught.value.fix}"
    assert code is None or caught.value.code == code
    assert not (tmp_path / "ds").exists() or not list((tmp_path / "ds").rglob("*"))


def test_the_published_client_opens_layers_of_both_kinds(tmp_path):
    interpreter = os.environ.get("VOXARIUM_WEBKNOSSOS_PYTHON")
    if not interpreter:
        pytest.skip("VOXARIUM_WEBKNOSSOS_PYTHON names no interpreter that has the webknossos client (it is AGPL)")
    truth = {}
    for version in ("wkw", "zarr3"):
        choices = CHOICES | {"spec_version": version, "levels": 2}
        for name, data, at in (
            ("em", noise("uint16"), (32, 64, 96)),
            ("seg", noise("uint32"), (0, 32, 0)),
            ("rgb", noise("uint8", (3, 13, 22, 31)), (0, 0, 64)),
        ):
            np.save(tmp_path / "a.npy", data)
            kind = {"role": "label"} if name == "seg" else {}
            axes = "czyx" if data.ndim == 4 else "zyx"
            target = tmp_path / "ds" / f"{name}_{version}"
            voxarium.convert(tmp_path / "a.npy", target, **choices | {"axes": axes}, translation=corner(*at), **kind)
            truth |= {target.name: data.reshape(-1, *data.shape[-3:]), f"{target.name}_at": at}
    np.savez(tmp_path / "truth.npz", **truth)
    script = Path(__file__).with_name("client_script.py")
    done = subprocess.run(
        [interpreter, str(script), str(tmp_path / "ds"), str(tmp_path / "truth.npz")],
        capture_output=True, text=True, timeout=300, check=False,
        env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "WK_TOKEN", "WK_URL")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
