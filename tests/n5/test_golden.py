"""Containers written by other software, from the shared data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore

import voxarium
from voxarium.core.opening import open_array
from voxarium.errors import NotFoundError, UnsupportedError
from voxarium.spec.n5 import is_array, parse_array, parse_attributes
from voxarium.stores.local import LocalStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not beside the repository"),
]
GOLDEN = SHARED / "n5/golden"
ARRAYS = sorted(p.parent for w in ("zarr2", "z5py") for p in GOLDEN.glob(f"n5_codecs_{w}.n5/*/attributes.json"))
BACKWARD = SHARED / "n5/src/test/resources/backward"
DOCUMENTS = sorted(SHARED.rglob("attributes.json"))


def read(folder: Path) -> Any:
    return open_array(LocalStore(folder.parent), folder.name).read()


@pytest.mark.parametrize("folder", ARRAYS, ids=lambda p: f"{p.parent.stem}-{p.name}")
def test_every_codec_of_two_writers_is_read_equal(folder: Path) -> None:
    """Blocks at the end are padded by one writer and cut by the other; lz4 has no framing."""
    data = read(folder)
    assert data.shape == (20, 25, 23)
    assert data.dtype == np.dtype(folder.name.rpartition("_")[2])
    truth = np.load(GOLDEN / "em_crop_zyx_80x100x90_uint8.npy")[:20, :25, :23]
    assert (data == truth).all()


@pytest.mark.parametrize("version", ["1.5.0", "2.5.1", "3.1.3"])
def test_containers_of_earlier_versions_of_the_java_library_are_read(version: str) -> None:
    data = read(BACKWARD / f"data-{version}.n5" / "raw")
    expected = np.zeros((5, 7), "u1")
    expected[:4, 5:], expected[4:, :5], expected[4:, 5:] = 1, 2, 3
    assert (data == expected).all()


@pytest.mark.parametrize("layer", ["em/fibsem-uint8", "labels/mito_seg"])
def test_levels_of_a_cosem_layout_are_read_as_tensorstore_reads_them(layer: str) -> None:
    root = GOLDEN / "cosem_layout/jrc_golden-1/jrc_golden-1.n5"
    for level in ("s0", "s1", "s2"):
        folder = root / layer / level
        other = tensorstore.open({"driver": "n5", "kvstore": f"file://{folder}/"}).result().read().result()
        array = open_array(LocalStore(root), f"{layer}/{level}")
        assert (array.read() == np.asarray(other).T).all()
        assert [a.name for a in array.axes or ()] == ["z", "y", "x"]
        assert set(array.info.attributes) >= {"transform", "pixelResolution"}
    if layer.startswith("em"):
        truth = np.load(GOLDEN / "em_crop_zyx_80x100x90_uint8.npy")
        assert (read(root / layer / "s0") == truth).all()


@pytest.mark.parametrize(
    "folder", sorted((SHARED / "neuroglancer/testdata/datasource/n5").glob("*/s*")), ids=lambda p: str(p)[-20:]
)
def test_arrays_of_neuroglancer_are_read_as_tensorstore_reads_them(folder: Path) -> None:
    other = tensorstore.open({"driver": "n5", "kvstore": f"file://{folder}/"}).result().read().result()
    assert (read(folder) == np.asarray(other).T).all()


def test_every_document_is_an_array_or_a_group() -> None:
    arrays = 0
    for document in DOCUMENTS:
        attributes = parse_attributes(document.read_bytes(), str(document))
        if is_array(attributes):
            meta = parse_array(attributes, str(document))
            assert list(meta.shape[::-1]) == json.loads(document.read_bytes())["dimensions"]
            arrays += 1
        else:
            with pytest.raises(NotFoundError):
                open_array(LocalStore(document.parent), "", format="n5")
    assert arrays > 60


def test_an_array_opens_by_its_address() -> None:
    image = voxarium.open(GOLDEN / "n5_codecs_z5py.n5/lz4_uint16")
    assert (image.info.format, image.info.axes_stated) == ("n5", False)
    assert image.shape == (20, 25, 23)


def test_a_container_of_arrays_opens_as_a_dataset() -> None:
    dataset = voxarium.open(GOLDEN / "n5_codecs_z5py.n5")
    assert len(dataset) == 21
    assert dataset["gzip_uint8"][...].shape == (20, 25, 23)
    with pytest.raises((NotFoundError, UnsupportedError)):
        open_array(LocalStore(GOLDEN), "n5_codecs_z5py.n5")
