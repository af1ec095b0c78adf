"""Images shown as another format without writing them: as a conversion of the same image would read."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import voxarium
from voxarium.conversion.presenting import present
from voxarium.core.opening import open_image
from voxarium.core.registry import image_drivers, writable_array_driver
from voxarium.errors import StoreError, UnsupportedError
from voxarium.model.box import Box
from voxarium.model.protocols import ByteRange, KeyedDriver, WritableImageDriver
from voxarium.stores.audit import AuditStore
from voxarium.stores.memory import MemoryStore

SHAPE = (37, 91, 118)


def shown_formats():
    for driver in image_drivers():
        if driver.name in ("bdv", "webknossos", "cellmap-annotation"):
            continue  # views and layers are described in documents above them; crops hold labels only
        if isinstance(driver, WritableImageDriver) and "write" in driver.capabilities:
            for version in driver.spec_versions:
                if isinstance(writable_array_driver(driver.array_driver(version)), KeyedDriver):
                    yield driver.name, version


FORMATS = list(shown_formats())


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """An image of 3 levels, anisotropic, off the origin."""
    folder = tmp_path_factory.mktemp("source")
    data = np.random.default_rng(1).integers(0, 250, SHAPE).astype("uint8")
    data[:16, :32, :32] = 0
    np.save(folder / "em.npy", data)
    voxarium.convert(
        folder / "em.npy", folder / "em.zarr", axes="zyx", voxel_size=(8, 4, 4), unit="nanometer",
        translation=(324, 1602, 4802), chunk=16, shard=32, levels=3,
    )  # fmt: skip
    return folder / "em.zarr"


def stored(shown, folder=""):
    """Return everything a presented store has, as a store of its own."""
    out = MemoryStore()
    for key in shown.documents:
        out.put(key, shown.get(key))
    driver = shown._driver
    for level, grid in zip(shown.plan.levels, shown._grids, strict=True):
        for index in itertools.product(*map(range, grid.counts)):
            key = driver.object_key(level.path, level.info, index)
            raw = shown.get(key)
            if raw is not None:
                out.put(key, raw)
    return out


@pytest.mark.parametrize(("format", "version"), FORMATS, ids=[f"{f}-{v}" for f, v in FORMATS])
def test_every_format_shows_the_same_voxels_in_the_same_place(source, format, version):
    image = voxarium.open(source)
    try:
        shown = present(image, format, spec_version=version)
    except UnsupportedError:
        pytest.skip("not object by object")
    found = open_image(stored(shown), format=format)
    assert found.shape == SHAPE and len(found.levels) >= 3
    for level in range(3):
        np.testing.assert_array_equal(found.level(level).read(), image.level(level).read())
        for a, b in zip(found.scale_translation(level), image.scale_translation(level), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9)


def test_missing_levels_are_what_a_conversion_makes(source, tmp_path):
    image = voxarium.open(source)
    np.save(tmp_path / "flat.npy", image.read())
    choices = {"axes": "zyx", "voxel_size": (8, 4, 4), "unit": "nanometer"}
    flat = voxarium.open(tmp_path / "flat.npy")
    shown = present(flat, chunk=(16,), axes=tuple("zyx"), voxel_size=(8.0, 4.0, 4.0), unit="nanometer")
    steps = [level.factors for level in shown.plan.levels]
    voxarium.convert(tmp_path / "flat.npy", tmp_path / "made.zarr", **choices, chunk=16, levels=len(steps))
    made, found = voxarium.open(tmp_path / "made.zarr"), open_image(stored(shown))
    assert len(found.levels) == len(steps)
    for level in range(len(steps)):
        np.testing.assert_array_equal(found.level(level).read(), made.level(level).read())


def test_a_large_image_without_levels_gets_overviews(tmp_path):
    big = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", "uint8", (3, 2000, 1500))
    big[1, 100:200, 50:900] = 7
    shown = present(voxarium.open(tmp_path / "big.npy"), axes=tuple("zyx"))
    found = open_image(stored(shown))
    assert max(found.levels[-1].array.shape) <= 256
    assert found.level(len(found.levels) - 1).read().any()


def test_labels_keep_their_numbers_and_their_mode(tmp_path):
    labels = np.random.default_rng(2).integers(0, 2**40, (20, 70, 600)).astype("uint64")
    np.save(tmp_path / "seg.npy", labels)
    place = {"axes": tuple("zyx"), "voxel_size": (8.0,), "unit": "nanometer"}
    shown = present(voxarium.open(tmp_path / "seg.npy"), "precomputed", **place, role="label")
    found = open_image(stored(shown))
    assert shown.plan.method == "mode" and len(found.levels) > 1
    np.testing.assert_array_equal(found.read(), labels)
    assert set(np.unique(found.level(1).read())) <= set(np.unique(labels))


def test_a_pyramid_that_lies_elsewhere_is_made_anew(tmp_path):
    """A stored level half a voxel off would be shown off."""
    import json

    np.save(tmp_path / "a.npy", np.random.default_rng(3).integers(0, 99, (16, 64, 600)).astype("uint8"))
    voxarium.convert(tmp_path / "a.npy", tmp_path / "a.zarr", axes="zyx", voxel_size=4, unit="nanometer", levels=2)
    path = tmp_path / "a.zarr/zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["ome"]["multiscales"][0]["datasets"][1]["coordinateTransformations"].pop(1)
    document["attributes"]["ome"]["multiscales"][0]["datasets"][1]["coordinateTransformations"].append(
        {"type": "translation", "translation": [1.0, 1.0, 1.0]}
    )
    path.write_text(json.dumps(document))
    shown = present(voxarium.open(tmp_path / "a.zarr"))
    assert shown._stored == 1 and len(shown.plan.levels) > 1


def test_only_the_chunks_behind_a_request_are_read(source):
    audit = AuditStore(voxarium.open(source).store)
    shown = present(open_image(audit), "precomputed", chunk=(16,))
    audit.reset()
    assert shown.get(list(keys_of(shown, 0))[-1]) is not None
    assert set(audit.reads_per_key) == {"s0/c/1/2/3"}


def keys_of(shown, level):
    planned, grid = shown.plan.levels[level], shown._grids[level]
    for index in itertools.product(*map(range, grid.counts)):
        yield shown._driver.object_key(planned.path, planned.info, index)


def test_ranges_sizes_and_absent_keys(source):
    shown = present(voxarium.open(source), "ome-zarr", spec_version="0.5", chunk=(16,))
    absent = [k for k in keys_of(shown, 0) if shown.get(k) is None]
    assert absent, "chunks of nothing but fill value are absent"
    key = next(k for k in keys_of(shown, 0) if shown.get(k) is not None)
    raw = shown.get(key)
    assert shown.stat(key).size == len(raw)
    assert [bytes(b) for b in shown.get_ranges(key, [ByteRange(3, 5), ByteRange(-4), ByteRange(2)])] == [
        raw[3:8], raw[-4:], raw[2:],
    ]  # fmt: skip
    with pytest.raises(StoreError):
        shown.get_ranges(key, [ByteRange(0, len(raw) + 1)])
    for wrong in ("nothing", "s0/c/99/0/0", "s0/c/0/0", "s9/zarr.json", "s0/c/-1/0/0", "../zarr.json", ""):
        assert shown.get(wrong) is None and shown.stat(wrong) is None and shown.get_ranges(wrong, []) is None


def test_memory_is_bounded(source):
    shown = present(voxarium.open(source), "ome-zarr", chunk=(16,), cache=20_000)
    for level in range(len(shown.plan.levels)):
        for key in keys_of(shown, level):
            shown.get(key)
    assert shown._objects.held <= 20_000 and shown._voxels.held <= 20_000


def test_many_threads_see_the_same(source):
    shown = present(voxarium.open(source), "n5-viewer", chunk=(16,), cache=30_000)
    keys = [k for level in range(len(shown.plan.levels)) for k in keys_of(shown, level)]
    alone = {k: shown.get(k) for k in keys}
    with ThreadPoolExecutor(8) as pool:
        assert dict(zip(keys, pool.map(shown.get, keys), strict=True)) == alone


def test_a_file_cannot_be_shown_object_by_object(source):
    for format in ("nifti", "ome-tiff", "cremi"):
        with pytest.raises(UnsupportedError):
            present(voxarium.open(source), format)


def test_a_region_of_the_presented_image_reads_like_the_source(source):
    image = voxarium.open(source)
    found = open_image(present(image, "precomputed"))
    box = Box((3, 17, 40), (20, 33, 51))
    np.testing.assert_array_equal(found.level(0).read(box), image.level(0).read(box))
