"""Real FIB-SEM slices and labels become one archive that independent readers read voxel for voxel."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import voxarium

pytestmark = pytest.mark.oracle

VOXEL = (10.0, 10.0, 10.0)
GEOMETRY = ("--axes", "zyx", "--voxel-size", "10,10,10", "--unit", "nanometer", "--quiet")


@pytest.fixture(scope="module")
def em(shared):
    from PIL import Image

    slices = sorted((shared / "fib25" / "grayscale_maps").glob("*.png"))
    return np.stack([np.asarray(Image.open(path)) for path in slices])


@pytest.fixture(scope="module")
def lab(shared, tmp_path_factory):
    """What the lab has: a folder of slices, and an HDF5 file of labels."""
    folder = tmp_path_factory.mktemp("lab")
    with gzip.open(shared / "fib25" / "groundtruth.h5.gz") as packed, (folder / "groundtruth.h5").open("wb") as file:
        shutil.copyfileobj(packed, file)
    return shared / "fib25" / "grayscale_maps", folder / "groundtruth.h5"


@pytest.fixture(scope="module")
def labels(lab):
    import h5py

    with h5py.File(lab[1]) as file:
        return file["stack"][:]


@pytest.fixture(scope="module")
def archive(lab, tmp_path_factory):
    """Both converted with the program, as a lab would."""
    from voxarium.cli.main import main

    target = tmp_path_factory.mktemp("archive") / "fib25.ome.zarr"
    sizes = ("--chunk", "32", "--shard", "128", "--levels", "4")
    assert main(["convert", str(lab[0]), str(target), *GEOMETRY, *sizes]) == 0
    goal = str(target / "labels" / "supervoxels")
    assert main(["convert", f"{lab[1]}::/stack", goal, *GEOMETRY, *sizes, "--role", "label"]) == 0
    return target


def attributes(group: Path) -> dict:
    return json.loads((group / "zarr.json").read_text())["attributes"]["ome"]


def tensorstore_read(path: Path, driver: str = "zarr3"):
    import tensorstore

    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(path)}}
    return tensorstore.open(spec, open=True).result().read().result()


def zarr_read(path: Path, level: str):
    import zarr

    return zarr.open_group(path, mode="r")[level][...]


def pyramid(data, reduce, levels=4):
    out = [data]
    for _ in range(levels - 1):
        out.append(reduce(out[-1], (2, 2, 2)))
    return out


@pytest.mark.parametrize("read", ["tensorstore", "zarr", "voxarium"])
def test_every_voxel_of_every_level_of_the_image(archive, em, references, read):
    assert em.dtype == np.uint8 and em.shape == (250, 250, 250)
    for i, expected in enumerate(pyramid(em, references.mean)):
        found = {
            "tensorstore": lambda i=i: tensorstore_read(archive / f"s{i}"),
            "zarr": lambda i=i: zarr_read(archive, f"s{i}"),
            "voxarium": lambda i=i: voxarium.open(archive).read(level=i),
        }[read]()
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected, f"level {i}")


@pytest.mark.parametrize("read", ["tensorstore", "zarr", "voxarium"])
def test_every_voxel_of_every_level_of_the_labels(archive, labels, references, read):
    assert labels.dtype == np.int32 and labels.min() >= 0
    place = archive / "labels" / "supervoxels"
    for i, expected in enumerate(pyramid(labels.astype(np.uint32), references.mode)):
        found = {
            "tensorstore": lambda i=i: tensorstore_read(place / f"s{i}"),
            "zarr": lambda i=i: zarr_read(archive, f"labels/supervoxels/s{i}"),
            "voxarium": lambda i=i: voxarium.open(place).read(level=i),
        }[read]()
        assert found.dtype == np.uint32  # what int32 labels become
        np.testing.assert_array_equal(found, expected, f"level {i}")


def expected_geometry(level):
    factor = 2.0**level
    return tuple(v * factor for v in VOXEL), tuple(v * (factor - 1) / 2 for v in VOXEL)


@pytest.mark.parametrize("where", ["", "labels/supervoxels"])
def test_world_coordinates_are_the_same_to_every_reader(archive, where):
    from ome_zarr_models.v05.image import Image
    from ome_zarr_models.v05.image_label import ImageLabel

    import zarr

    place = archive / where
    ours = voxarium.open(place)
    by_hand = attributes(place)["multiscales"][0]
    kind = ImageLabel if where else Image
    peer = kind.from_zarr(zarr.open_group(place, mode="r")).attributes.ome.multiscales[0]
    assert [a["name"] for a in by_hand["axes"]] == [a.name for a in peer.axes] == ["z", "y", "x"]
    assert {a["unit"] for a in by_hand["axes"]} == {a.unit for a in ours.axes} == {"nanometer"}
    assert len(by_hand["datasets"]) == len(ours.levels) == len(peer.datasets) == 4
    corners = np.array([[0, 0, 0], [31, 0, 5], [249, 249, 249]], float)
    for i, dataset in enumerate(by_hand["datasets"]):
        assert dataset["path"] == peer.datasets[i].path == f"s{i}"
        stated = {t["type"]: tuple(t[t["type"]]) for t in dataset["coordinateTransformations"]}
        parsed = {t.type: tuple(getattr(t, t.type)) for t in peer.datasets[i].coordinateTransformations}
        assert (stated["scale"], stated["translation"]) == expected_geometry(i)
        assert parsed == stated
        assert ours.scale_translation(i) == expected_geometry(i)
        world = corners * stated["scale"] + stated["translation"]
        np.testing.assert_array_equal(ours.levels[i].transform.apply(corners), world)
    assert not [t for t in by_hand.get("coordinateTransformations", ()) if t["type"] != "identity"]


def test_the_archive_lists_its_labels_and_names_its_axes(archive, cli):
    assert attributes(archive / "labels")["labels"] == ["supervoxels"]
    assert "image-label" in attributes(archive / "labels" / "supervoxels")
    assert voxarium.open(archive).info.labels == ("labels/supervoxels",)
    assert voxarium.open(archive / "labels" / "supervoxels").role == "label"
    stored = json.loads((archive / "s0" / "zarr.json").read_text())
    assert stored["dimension_names"] == ["z", "y", "x"]
    told = cli("info", archive, "--json").json
    assert told["spec_version"] == "0.5"
    assert [tuple(level["translation"]) for level in told["levels"]] == [expected_geometry(i)[1] for i in range(4)]
    assert told["levels"][0]["shard"] == [128, 128, 128] and told["levels"][0]["chunk"] == [32, 32, 32]


def test_nothing_but_the_archive_is_left(archive):
    names = {p.name for p in archive.rglob("*") if p.is_dir()}
    assert not [n for n in names if n.startswith(".")]
    assert not [p for p in archive.rglob("*") if "partial" in p.name or "job" in p.name]


def test_a_level_has_the_same_place_in_the_world_when_read_by_coordinates(archive, em):
    image = voxarium.open(archive)
    found = image.world(z=(100, 200), y=(0.5, 0.7), x=2, unit="micrometer")
    assert found.size == 0  # 100 µm is far outside
    found = image.world(z=(100, 200), y=(500, 700), x=2000, unit="nanometer")
    np.testing.assert_array_equal(found, em[10:20, 50:70, 200])


def test_labels_as_uint64(lab, labels, tmp_path):
    voxarium.convert(
        f"{lab[1]}::/stack", tmp_path / "l", axes="zyx", voxel_size=10, unit="nm", role="label", dtype="uint64",
        levels=2, crop=voxarium.Box((3, 5, 7), (100, 64, 61)),
    )  # fmt: skip
    found = tensorstore_read(tmp_path / "l" / "s0")
    assert found.dtype == np.uint64
    np.testing.assert_array_equal(found, labels[3:103, 5:69, 7:68])
    assert voxarium.open(tmp_path / "l").scale_translation(0)[1] == (30.0, 50.0, 70.0)


@pytest.mark.parametrize("version", ["0.4", "0.6"])
def test_other_versions_of_the_convention(lab, em, labels, references, tmp_path, version):
    box = voxarium.Box((0, 100, 100), (67, 90, 61))
    common = {"axes": "zyx", "voxel_size": 10, "unit": "nanometer", "chunk": 32, "levels": 3, "spec_version": version}
    target = tmp_path / "em.ome.zarr"
    voxarium.convert(lab[0], target, crop=box, **common)
    voxarium.convert(f"{lab[1]}::/stack", target / "labels" / "cells", crop=box, role="label", **common)
    driver = "zarr" if version == "0.4" else "zarr3"
    for i, expected in enumerate(pyramid(em[box.slices], references.mean, 3)):
        np.testing.assert_array_equal(tensorstore_read(target / f"s{i}", driver), expected)
        np.testing.assert_array_equal(zarr_read(target, f"s{i}"), expected)
    for i, expected in enumerate(pyramid(labels[box.slices].astype(np.uint32), references.mode, 3)):
        np.testing.assert_array_equal(tensorstore_read(target / f"labels/cells/s{i}", driver), expected)
        np.testing.assert_array_equal(zarr_read(target, f"labels/cells/s{i}"), expected)
    image = voxarium.open(target)
    assert image.info.spec_version == version
    assert image.info.labels == ("labels/cells",)
    for i in range(3):
        scale, translation = expected_geometry(i)
        moved = tuple(t + 10.0 * o for t, o in zip(translation, box.origin, strict=True))
        assert image.scale_translation(i) == (scale, moved)
        assert voxarium.open(target / "labels" / "cells").scale_translation(i) == (scale, moved)
    if version == "0.4":
        check_with_models_04(target)


def check_with_models_04(target):
    from ome_zarr_models.v04.image import Image

    import zarr

    peer = Image.from_zarr(zarr.open_group(target, mode="r"))
    assert json.loads((target / "labels" / ".zattrs").read_text())["labels"] == ["cells"]
    assert peer.labels is not None and peer.labels.attributes.labels == ["cells"]
    for i, dataset in enumerate(peer.attributes.multiscales[0].datasets):
        parsed = {t.type: tuple(getattr(t, t.type)) for t in dataset.coordinateTransformations}
        assert parsed["scale"] == expected_geometry(i)[0]
        assert parsed["translation"] == tuple(
            t + o for t, o in zip(expected_geometry(i)[1], (0.0, 1000.0, 1000.0), strict=True)
        )
