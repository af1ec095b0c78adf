"""What is written in 0.4, 0.5 and 0.6 is read by others: levels, places, labels, channels.

zarr-python and TensorStore belong to the tests' packages. ngff-zarr and ome-zarr pull in more than these should, and
the latter needs CPython 3.12 for 0.6: install them into an environment of their own to have these tests run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium
from voxarium.model.transforms import scale_translation
from voxarium.spec.ome import rules

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore"),  # what other libraries warn of is their business
]
SCALE, TRANSLATION = (1.0, 4.0, 0.5, 0.25), (0.0, 12.0, -7.5, 100.25)
WINDOW = {"min": 0.0, "max": 65535.0, "start": 5.0, "end": 900.0}
CHANNELS = [
    {"label": "DNA", "color": "0000FF", "active": True, "window": WINDOW},
    {"label": "actin", "color": "00FF00", "active": False, "window": WINDOW | {"end": 70.0}},
]
COLORS = [{"label-value": 1, "rgba": [255, 0, 0, 255]}, {"label-value": 2, "rgba": [0, 255, 0, 128]}]


def write_source(path: Path, data: np.ndarray, axes: list[dict[str, str]], more: dict[str, Any]) -> None:
    """Write an image of one level without this library."""
    (path / "0").mkdir(parents=True)
    array = {
        "zarr_format": 3, "node_type": "array", "shape": data.shape, "data_type": str(data.dtype), "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": data.shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }  # fmt: skip
    (path / "0" / "zarr.json").write_text(json.dumps(array))
    (path / "0" / ".".join(["c", *"0" * data.ndim])).write_bytes(data.tobytes())
    ndim = data.ndim
    steps = [
        {"type": "scale", "scale": SCALE[-ndim:]},
        {"type": "translation", "translation": TRANSLATION[-ndim:]},
    ]
    image = {"name": "em", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    attributes = {"ome": {"version": "0.5", "multiscales": [image]} | more}
    (path / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}))


class Written:
    """An image of three levels with two channels, and a label image of three levels, in one version."""

    def __init__(self, folder: Path, version: str) -> None:
        rng = np.random.default_rng(7)
        self.version = version
        self.path = folder / "image.ome.zarr"
        self.data = rng.integers(0, 60000, (2, 11, 17, 23), dtype="uint16")
        self.labels = np.arange(11 * 17 * 23, dtype="uint32").reshape(11, 17, 23) // 700
        zyx = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
        czyx = [{"name": "c", "type": "channel"}, *zyx]
        write_source(folder / "a", self.data, czyx, {"omero": {"channels": CHANNELS}})
        write_source(folder / "b", self.labels, zyx, {"image-label": {"colors": COLORS}})
        options: dict[str, Any] = {"spec_version": version, "levels": 3, "chunk": 8}
        voxarium.convert(folder / "a", self.path, **options)
        voxarium.convert(folder / "b", self.path / "labels" / "cells", role="label", **options)

    def places(self, path: str = "") -> list[tuple[list[float], list[float]]]:
        """Return scale and translation of each level, as this library reads them."""
        image = voxarium.open(self.path / path)
        found = [scale_translation(level.transform, len(image.info.axes)) for level in image.info.levels]
        return [(list(pair[0]), list(pair[1])) for pair in found if pair is not None]

    def levels(self, path: str = "") -> list[np.ndarray]:
        """Return the voxels of each level, as this library reads them."""
        image = voxarium.open(self.path / path)
        return [np.asarray(image.level(i)[...]) for i in range(len(image.info.levels))]


@pytest.fixture(scope="module", params=["0.4", "0.5", "0.6"])
def written(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("written"), request.param)


def attributes(path: Path) -> dict[str, Any]:
    older = path / ".zattrs"
    found: dict[str, Any] = json.loads((older if older.exists() else path / "zarr.json").read_text())
    return found if older.exists() else found["attributes"]


def array_facts(path: Path) -> rules.ArrayFacts:
    older = path / ".zarray"
    document = json.loads((older if older.exists() else path / "zarr.json").read_text())
    return rules.ArrayFacts(
        shape=tuple(document["shape"]),
        dtype=np.dtype(document["dtype"] if older.exists() else document["data_type"]),
        zarr_format=document["zarr_format"],
        dimension_names=tuple(document["dimension_names"]) if "dimension_names" in document else None,
        separator=document.get("dimension_separator", ".") if older.exists() else None,
    )


def test_it_breaks_no_rule(written: Written) -> None:
    for path in (written.path, written.path / "labels/cells"):
        arrays = {p.name: array_facts(p) for p in path.glob("s*")}
        assert len(arrays) == 3
        assert rules.check_attributes(attributes(path), version=written.version, arrays=arrays) == ()
    listed = attributes(written.path / "labels")
    assert rules.check_attributes(listed, version=written.version, group="labels") == ()


def test_the_finest_level_is_the_source_where_it_was(written: Written) -> None:
    assert written.places()[0] == (list(SCALE), list(TRANSLATION))
    assert (written.levels()[0] == written.data).all()
    assert (written.levels("labels/cells")[0] == written.labels).all()
    for image, label in zip(written.places(), written.places("labels/cells"), strict=True):
        assert (image[0][1:], image[1][1:]) == label


def test_zarr_python_reads_levels_labels_and_attributes(written: Written) -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(written.path, mode="r", zarr_format=2 if written.version == "0.4" else 3)
    for path in ("", "labels/cells"):
        for i, expected in enumerate(written.levels(path)):
            assert (group[f"{path}/s{i}".strip("/")][...] == expected).all()
    found = group.attrs.asdict()
    ome = found if written.version == "0.4" else found["ome"]
    assert ome["omero"]["channels"] == CHANNELS
    inner = group["labels/cells"].attrs.asdict()
    assert (inner if written.version == "0.4" else inner["ome"])["image-label"]["colors"] == COLORS


def test_tensorstore_reads_levels_and_labels(written: Written) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    for path in ("", "labels/cells"):
        for i, expected in enumerate(written.levels(path)):
            place = written.path / path / f"s{i}"
            driver = "zarr" if written.version == "0.4" else "zarr3"
            array = tensorstore.open({"driver": driver, "kvstore": f"file://{place}/"}).result()
            assert (array.read().result() == expected).all()


def test_ngff_zarr_reads_and_validates_it(written: Written) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr", reason="ngff-zarr is not among the packages of the tests")
    for path in ("", "labels/cells"):
        found = ngff_zarr.from_ngff_zarr(str(written.path / path), validate=True, version=written.version)
        axes = "czyx" if path == "" else "zyx"
        for image, expected, (scale, translation) in zip(
            found.images, written.levels(path), written.places(path), strict=True
        ):
            assert "".join(image.dims) == axes
            assert [image.scale.get(a, 1.0) for a in axes] == scale
            assert [image.translation.get(a, 0.0) for a in axes] == translation
            assert (np.asarray(image.data) == expected).all()
    omero = ngff_zarr.from_ngff_zarr(str(written.path), version=written.version).metadata.omero
    assert [(c.label, c.color, c.window.start, c.window.end) for c in omero.channels] == [
        (c["label"], c["color"], c["window"]["start"], c["window"]["end"]) for c in CHANNELS
    ]


def test_ome_zarr_reads_it(written: Written) -> None:
    pytest.importorskip("ome_zarr", reason="ome-zarr is not among the packages of the tests")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    if written.version == "0.6":
        pytest.skip("its older reader ends at 0.5")
    nodes = list(Reader(parse_url(str(written.path)))())
    image = nodes[0]
    for level, expected in zip(image.data, written.levels(), strict=True):
        assert (np.asarray(level) == expected).all()
    stated = [[step[step["type"]] for step in steps] for steps in image.metadata["coordinateTransformations"]]
    assert stated == [[*map(list, pair)] for pair in written.places()]
    assert image.metadata["channel_names"] == [c["label"] for c in CHANNELS]
    label = next(n for n in nodes if "cells" in str(n.zarr))
    assert (np.asarray(label.data[0]) == written.labels).all()
    assert {1, 2} <= label.metadata["color"].keys()


def test_the_classes_of_ome_zarr_read_it(written: Written) -> None:
    classes = pytest.importorskip("ome_zarr.classes.image", reason="needs ome-zarr 0.21 or newer, on CPython 3.12")
    found = classes.OMEZarrMultiscale.from_ome_zarr(str(written.path))
    assert list(found.labels) == ["cells"]
    for path, many in (("", found), ("labels/cells", found.labels["cells"])):
        places, levels = written.places(path), written.levels(path)
        for image, place, expected in zip(many.images, places, levels, strict=True):
            assert list(image.scale.values()) == place[0]
            assert (np.asarray(image.data) == expected).all()
        assert [moved(d) for d in many.metadata.datasets] == [translation for _, translation in places]
    assert [(c.label, c.color) for c in found.omero.channels] == [(c["label"], c["color"]) for c in CHANNELS]


def moved(dataset: Any) -> list[float]:
    """Return the translation of a level in the models of ome-zarr-models, which ome-zarr uses."""
    first = dataset.coordinateTransformations[0]
    steps = getattr(first, "transformations", dataset.coordinateTransformations)
    return list(next(step.translation for step in steps if step.type == "translation"))


# -- and what others write is read here
@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6", "0.9.dev1"])
def test_images_of_ngff_zarr_are_read(tmp_path: Path, version: str) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr", reason="ngff-zarr is not among the packages of the tests")
    data = np.arange(2 * 9 * 10 * 11, dtype="uint16").reshape(2, 9, 10, 11)
    scale, translation = dict(zip("czyx", SCALE, strict=True)), dict(zip("czyx", TRANSLATION, strict=True))
    image = ngff_zarr.to_ngff_image(data, dims=tuple("czyx"), scale=scale, translation=translation)
    if version == "0.9.dev1":
        image.axes_orientations = ngff_zarr.LPS
    ngff_zarr.to_ngff_zarr(str(tmp_path / "a"), ngff_zarr.to_multiscales(image, scale_factors=[]), version=version)
    found = voxarium.open(tmp_path / "a")
    assert found.info.spec_version == version
    assert (found[...] == data).all()
    assert scale_translation(found.info.levels[0].transform, 4) == (SCALE, TRANSLATION)
    turned = [a.orientation for a in found.info.axes]
    assert turned[1:] == [
        *(["inferior-to-superior", "anterior-to-posterior", "right-to-left"] if version == "0.9.dev1" else [None] * 3)
    ]
    findings = rules.check_attributes(attributes(tmp_path / "a"))
    assert rules.counting(findings, "schema") == rules.counting(findings, "spec") == ()


def test_images_of_ngff_zarr_with_six_axes_are_read(tmp_path: Path) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr", reason="ngff-zarr is not among the packages of the tests")
    data = np.arange(2 * 3 * 2 * 5 * 4 * 7, dtype="uint16").reshape(2, 3, 2, 5, 4, 7)
    dims = ("angle", "t", "c", "z", "y", "x")
    ones = dict.fromkeys(dims, 1.0)
    image = ngff_zarr.NgffImage(data=ngff_zarr.to_ngff_image(data[0, 0]).data, dims=dims, scale=ones, translation=ones)
    image.data = pytest.importorskip("dask.array").from_array(data)
    image.axes_types = {"angle": "angle"}
    many = ngff_zarr.to_multiscales(image, scale_factors=[])
    ngff_zarr.to_ngff_zarr(str(tmp_path / "a"), many, version="0.9.dev1")
    found = voxarium.open(tmp_path / "a")
    assert tuple(a.name for a in found.info.axes) == dims
    assert (found[1, :, 0, 2:, 1] == data[1, :, 0, 2:, 1]).all()


@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
def test_images_of_the_classes_of_ome_zarr_are_read(tmp_path: Path, version: str) -> None:
    classes = pytest.importorskip("ome_zarr.classes.image", reason="needs ome-zarr 0.21 or newer, on CPython 3.12")
    data = np.arange(2 * 9 * 10 * 11, dtype="uint16").reshape(2, 9, 10, 11)
    scale = dict(zip("czyx", SCALE, strict=True))
    image = classes.OMEZarrImage(data=data, axes="czyx", scale=scale, name="em")
    many = classes.OMEZarrMultiscale(image, scale_factors=[2], channel_names=["DNA", "actin"])
    many.to_ome_zarr(tmp_path / "a", version=version)
    found = voxarium.open(tmp_path / "a")
    assert (found.info.spec_version, found.info.name) == (version, "em")
    assert (found[...] == data).all()
    assert [c.label for c in found.info.display.channels] == ["DNA", "actin"]
    assert found.voxel_size() == SCALE
