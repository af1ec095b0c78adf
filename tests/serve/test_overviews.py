"""Stacks of slices have smaller levels made of some slices; a viewer's first picture reads few of them."""

from __future__ import annotations

import json
import threading
from collections import Counter

import numpy as np
import pytest

import voxarium
from voxarium.model.box import Box
from voxarium.pyramid import downsample
from voxarium.serve.overviews import OverviewArray, begin_overview, with_overviews
from voxarium.serve.slabs import in_slabs
from voxarium.serve.translated import VIEWS, shown, shown_axes

SHAPE = (150, 260, 201)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    pictures = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    folder = tmp_path_factory.mktemp("overviews") / "stack"
    folder.mkdir()
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    data = ((z * 3 + y + x) // 4).astype(np.uint8)
    for i, plane in enumerate(data):
        pictures.fromarray(plane).save(folder / f"z{i:03}.png")
    return folder, data


@pytest.fixture
def decoded(monkeypatch):
    """Count how often each file is decoded."""
    from voxarium.formats.stack import folders

    seen: Counter[str] = Counter()
    real = folders.read_slice

    def counting(store, key, *rest):
        seen[key] += 1
        return real(store, key, *rest)

    monkeypatch.setattr(folders, "read_slice", counting)
    return seen


def smaller_levels(image):
    return with_overviews(image, shown_axes(image))


def test_levels_are_where_those_of_a_pyramid_are_and_nearly_what_they_are(stack):
    folder, data = stack
    image = smaller_levels(voxarium.open(folder))
    assert [a.shape for a in image.arrays] == [SHAPE, (75, 130, 101), (38, 65, 51), (19, 33, 26)]
    assert image.scale_translation(2) == ((4.0,) * 3, (1.5,) * 3)
    for number, array in enumerate(image.arrays[1:], 1):
        exact = downsample(data, (2**number,) * 3, "mean").astype(int)
        found = array.read().astype(int)
        assert np.abs(found - exact)[:-1, :-1, :-1].max() <= 3 * 2**number // 4 + 1
    for box in (Box((3, 4, 5), (10, 20, 3)), Box((0, 0, 0), (0, 3, 3)), Box((18, 32, 25), (1, 1, 1))):
        np.testing.assert_array_equal(array.read(box), array.read()[box.slices])


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8", "u8", "?", "c8"])
@pytest.mark.parametrize("shape", [(70, 65, 67), (3, 70, 1), (1, 1, 129), (130, 1, 64)])
def test_any_type_and_shape(tmp_path, dtype, shape):
    data = (np.arange(np.prod(shape)).reshape(shape) % 120).astype(dtype)
    np.save(tmp_path / "a.npy", data)
    image = smaller_levels(voxarium.open(tmp_path / "a.npy"))
    smallest = image.arrays[-1].read()
    assert smallest.dtype == data.dtype and max(smallest.shape) <= 64
    assert {*np.unique(smallest.astype(complex).real)} <= {*np.unique(data.astype(complex).real)} or dtype[0] in "uif"
    assert data.astype(complex).real.min() <= smallest.astype(complex).real.min()
    assert smallest.astype(complex).real.max() <= data.astype(complex).real.max()


def test_labels_are_never_invented(tmp_path):
    pictures = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    data = np.random.default_rng(1).choice(np.array([0, 7, 200], np.uint8), (20, 140, 150))
    for i, plane in enumerate(data):
        pictures.fromarray(plane).save(tmp_path / f"{i:02}.png")
    stored = voxarium.open(tmp_path)
    from dataclasses import replace

    labels = type(stored)(stored.store, stored.path, replace(stored.info, role="label"), stored.arrays)
    assert {*np.unique(smaller_levels(labels).arrays[-1].read())} <= {0, 7, 200}


def test_channels_and_times_stay_apart(tmp_path):
    data = np.zeros((3, 2, 70, 66, 68), np.uint16)
    for t in range(3):
        for c in range(2):
            data[t, c] = 100 * t + 10 * c
    np.save(tmp_path / "five.npy", data)
    image = smaller_levels(voxarium.open(tmp_path / "five.npy"))
    array = image.arrays[1]
    assert array.shape == (3, 2, 35, 33, 34)
    assert (array.read(Box((2, 1, 3, 4, 5), (1, 1, 5, 5, 5))) == 210).all()
    assert (array.read() == data[:, :, :35, :33, :34]).all()


def test_images_with_levels_or_cubic_chunks_are_left_alone(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((40, 50, 600), "uint8"))
    place = {"axes": "zyx", "voxel_size": 1, "unit": "nanometer", "chunk": 32}
    voxarium.convert(tmp_path / "a.npy", tmp_path / "a.zarr", **place)
    voxarium.convert(tmp_path / "a.npy", tmp_path / "one.zarr", levels=1, **place)
    for name in ("a.zarr", "one.zarr"):
        image = voxarium.open(tmp_path / name)
        assert smaller_levels(image) is image


def test_what_was_made_is_shared_and_let_go_with_the_image(stack, decoded):
    import gc
    import weakref

    folder, _ = stack
    image = voxarium.open(folder)
    views = [shown(VIEWS[name], image) for name in ("neuroglancer", "neuroglancer-channels")]
    begin_overview(in_slabs(smaller_levels(image)))
    before = sum(decoded.values())
    assert before == 19
    assert views[0].get("s3/c/0/0/0")
    assert sum(decoded.values()) == before
    gone = weakref.ref(image)
    del image, views
    gc.collect()
    assert gone() is None


def test_several_requests_share_the_work(stack, decoded):
    folder, _ = stack
    image = smaller_levels(voxarium.open(folder))
    array = image.arrays[1]
    assert isinstance(array, OverviewArray)
    threads = [threading.Thread(target=array.read) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(decoded.values()) == 75 and max(decoded.values()) == 1


def test_a_first_picture_of_slices_reads_few_of_them(serve, stack, decoded):
    """The requests of the stock client: state, metadata, the smallest level (which it shows first)."""
    pytest.importorskip("neuroglancer", reason="Neuroglancer is not installed")
    folder, data = stack
    client = serve(folder)
    state = json.loads(client.get("/view.json?image=stack").body)
    source = state["layers"][0]["source"]
    assert source == f"zarr3://{client.url}/as/neuroglancer/stack"
    shown_levels = json.loads(client.get("/as/neuroglancer/stack/zarr.json").body)["attributes"]["ome"]["multiscales"]
    smallest = shown_levels[0]["datasets"][-1]["path"]
    assert client.get(f"/as/neuroglancer/stack/{smallest}/c/0/0/0").status == 200
    assert sum(decoded.values()) <= 19 + 3, "the smallest level, and planes for the contrast"
    # A plane of level 0: the slab around it, once.
    before = Counter(decoded)
    for y in range(5):
        for x in range(4):
            assert client.get(f"/as/neuroglancer/stack/s0/c/1/{y}/{x}").status == 200
    assert sum((decoded - before).values()) <= 64
    assert sum(decoded.values()) < len(data)


def test_a_first_picture_of_hdf5_reads_a_part_of_the_file(serve, tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    data = np.random.default_rng(1).integers(0, 255, (150, 256, 256)).astype(np.uint8)
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file["em"] = data
    with h5py.File(tmp_path / "chunked.h5", "w") as file:
        file.create_dataset("em", data=data, chunks=(32, 64, 64), compression="gzip")
    from voxarium.codecs.hdf5_filters import Hdf5Voxels

    read = []
    real = Hdf5Voxels.read

    def counting(self, store, box, out):
        read.append(out.size)
        return real(self, store, box, out)

    monkeypatch.setattr(Hdf5Voxels, "read", counting)
    client = serve(tmp_path)
    for name, most in (("whole.h5", 0.3), ("chunked.h5", 0.5)):
        read.clear()
        address = f"/as/neuroglancer/{tmp_path.name}/{name}"
        assert client.get(f"/view.json?image={tmp_path.name}/{name}").status == 200
        levels = json.loads(client.get(f"{address}/zarr.json").body)["attributes"]["ome"]["multiscales"][0]["datasets"]
        assert client.get(f"{address}/{levels[-1]['path']}/c/0/0/0").status == 200
        assert sum(read) <= most * data.size, name
