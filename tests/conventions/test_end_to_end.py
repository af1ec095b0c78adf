"""Conventions through the whole program: detected in order, converted into and out of, read by others."""

from __future__ import annotations

import json

import numpy as np
import pytest

import voxarium
from voxarium.cli.main import main
from voxarium.errors import Code, InputError

SIZE, START = (40.0, 5.24, 4.0), (7.0, -5.0, 0.25)
OPTIONS = {"axes": ("z", "y", "x"), "voxel_size": SIZE, "translation": START, "unit": "nanometer"}
TARGETS = {
    "cosem": ("a.n5/em/x", "a.n5/em/x"),
    "n5-viewer": ("a.n5/em/x", "a.n5/em/x"),
    "paintera": ("a.n5/em/x", "a.n5/em/x"),
    "n5-canonical": ("a.n5/em/x", "a.n5/em/x"),
    "ome-n5": ("a.n5/em/x", "a.n5/em/x"),
    "bdv": ("a.n5", "a.xml"),
}


def data(dtype, shape=(9, 37, 50)):
    raw = np.random.default_rng(7).integers(0, 2**63, shape, np.uint64)
    return (raw % 1000).astype(dtype) / 7 if np.dtype(dtype).kind == "f" else raw.astype(dtype)


@pytest.fixture
def source(tmp_path):
    def call(array):
        np.save(tmp_path / "source.npy", array)
        return tmp_path / "source.npy"

    return call


def world(image):
    ndim = len(image.axes)
    return [lv.transform.apply(p).tolist() for lv in image.levels for p in ([0] * ndim, list(range(1, ndim + 1)))]


class TestConverting:
    """Into each convention and out of it again."""

    @pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "uint64", "float32"])
    @pytest.mark.parametrize("format", TARGETS)
    def test_voxels_and_places_are_kept(self, tmp_path, source, format, dtype):
        voxels = data(dtype)
        target, opened = TARGETS[format]
        first = voxarium.convert(source(voxels), tmp_path / "first.ome.zarr", levels=3, chunk=(16, 16, 16), **OPTIONS)
        voxarium.convert(tmp_path / "first.ome.zarr", tmp_path / target, format=format, levels=3, chunk=(16, 16, 16))
        image, reference = voxarium.open(tmp_path / opened), voxarium.open(tmp_path / "first.ome.zarr")
        assert image.info.format == format and first.levels == 3
        assert (image[...] == voxels).all() and image.dtype == voxels.dtype
        assert [a.name for a in image.axes] == ["z", "y", "x"] and image.unit == "nanometer"
        assert np.allclose(world(image), world(reference), rtol=1e-9)
        for level in range(3):
            assert (image.level(level).read() == reference.level(level).read()).all()
        voxarium.convert(tmp_path / opened, tmp_path / "back.ome.zarr", levels=3, chunk=(16, 16, 16))
        back = voxarium.open(tmp_path / "back.ome.zarr")
        assert (back[...] == voxels).all() and np.allclose(world(back), world(reference), rtol=1e-9)

    @pytest.mark.parametrize("format", ["cosem", "n5-viewer", "paintera", "n5-canonical", "ome-n5"])
    def test_axes_in_another_order_are_put_in_order(self, tmp_path, source, format):
        voxels = data("uint8", (11, 12, 13))
        options = OPTIONS | {"axes": ("x", "y", "z"), "voxel_size": SIZE[::-1], "translation": START[::-1]}
        voxarium.convert(source(voxels), tmp_path / "a.n5/x", format=format, levels=1, **options)
        image = voxarium.open(tmp_path / "a.n5/x")
        assert [a.name for a in image.axes] == ["z", "y", "x"]
        assert (image[...] == voxels.T).all() and image.scale_translation() == (SIZE, START)

    @pytest.mark.parametrize("format", ["n5-viewer", "bdv", "paintera"])
    def test_levels_that_readers_would_misplace_are_refused_before_anything_is_written(self, tmp_path, source, format):
        path = source(data("uint8"))
        with pytest.raises(InputError) as caught:
            voxarium.convert(path, tmp_path / "a.n5", format=format, method="stride", levels=2, **OPTIONS)
        assert caught.value.code == Code.TRANSFORM_INVALID and not (tmp_path / "a.n5").exists()
        voxarium.convert(path, tmp_path / "a.n5", format="cosem", method="stride", levels=2, **OPTIONS)
        assert voxarium.open(tmp_path / "a.n5").scale_translation(1)[1] == START

    @pytest.mark.parametrize("format", TARGETS)
    def test_a_target_is_replaced_only_when_told(self, tmp_path, source, format):
        target = tmp_path / TARGETS[format][0]
        path = source(data("uint8"))
        voxarium.convert(path, target, format=format, levels=2, chunk=16, **OPTIONS)
        with pytest.raises(voxarium.VoxariumError) as caught:
            voxarium.convert(path, target, format=format, levels=2, **OPTIONS)
        assert caught.value.code == Code.TARGET_EXISTS
        voxarium.convert(path, target, format=format, levels=1, chunk=16, overwrite=True, **OPTIONS)
        assert len(voxarium.open(tmp_path / TARGETS[format][1]).levels) == 1

    @pytest.mark.oracle
    @pytest.mark.parametrize("format", ["cosem", "n5-viewer"])
    def test_tensorstore_reads_every_level(self, tmp_path, source, format):
        tensorstore = pytest.importorskip("tensorstore")
        voxels = data("uint16")
        voxarium.convert(source(voxels), tmp_path / "a.n5/em", format=format, levels=3, chunk=(16, 16, 16), **OPTIONS)
        image = voxarium.open(tmp_path / "a.n5/em")
        for i in range(3):
            spec = {"driver": "n5", "kvstore": f"file://{tmp_path}/a.n5/em/s{i}/"}
            found = np.asarray(tensorstore.open(spec).result().read().result())
            assert (image.level(i).read() == found.T).all()

    def test_labels_of_cosem_are_labels(self, tmp_path, source):
        target = tmp_path / "a.n5/labels/mito_seg"
        voxarium.convert(source(data("uint64")), target, format="cosem", role="label", levels=2, **OPTIONS)
        assert voxarium.open(target).role == "label"
        assert json.loads((tmp_path / "a.n5/attributes.json").read_text()) == {"n5": "2.0.0"}


class TestDetection:
    """Which convention counts where several are there."""

    def test_order(self, tmp_path, source):
        """OME in N5, COSEM, Neuroglancer and n5-viewer, Paintera, canonical; each taken away in turn."""
        found = []
        group: dict = {}
        levels: dict = {}
        for format in ("ome-n5", "cosem", "n5-viewer", "paintera", "n5-canonical"):
            options = OPTIONS | {"translation": (0, 0, 0)}
            voxarium.convert(source(data("uint8")), tmp_path / f"{format}.n5", format=format, levels=1, **options)
            found.append(json.loads((tmp_path / f"{format}.n5/attributes.json").read_text()))
            level = "data/s0" if format == "paintera" else "s0"
            levels |= json.loads((tmp_path / f"{format}.n5/{level}/attributes.json").read_text())
        ome, cosem, viewer, paintera, canonical = found
        folder = tmp_path / "cosem.n5"

        def opened(document, drop=()):
            group = {k: v for k, v in document.items() if k not in drop}
            own = {k: v for k, v in levels.items() if k not in drop}
            (folder / "attributes.json").write_text(json.dumps(group))
            (folder / "s0/attributes.json").write_text(json.dumps(own))
            return voxarium.open(folder).info.format

        group = canonical | viewer | cosem | ome
        assert opened(group) == "ome-n5"
        group = canonical | viewer | cosem
        assert opened(group) == "cosem"
        viewer_keys = ("transform",)
        assert opened(canonical | viewer, (*viewer_keys, "spatialTransform", "multiscales")) == "n5-viewer"
        only = ("transform", "pixelResolution", "downsamplingFactors", "scales", "resolution", "axes", "units")
        assert opened(canonical, only) == "n5-canonical"
        assert voxarium.open(tmp_path / "paintera.n5").info.format == "paintera"
        assert "painteraData" in paintera

    def test_what_no_convention_describes_is_a_folder_of_arrays(self, tmp_path, source):
        voxarium.convert(source(data("uint8")), tmp_path / "a.n5/x", format="cosem", levels=2, **OPTIONS)
        for i in range(2):
            file = tmp_path / f"a.n5/x/s{i}/attributes.json"
            own = json.loads(file.read_text())
            file.write_text(json.dumps({k: v for k, v in own.items() if k not in ("transform", "pixelResolution")}))
        (tmp_path / "a.n5/x/attributes.json").unlink()
        dataset = voxarium.open(tmp_path / "a.n5/x")
        assert sorted(dataset.keys()) == ["s0", "s1"]
        assert not dataset["s0"].info.axes_stated

    def test_a_single_level_opens_with_its_own_place(self, tmp_path, source):
        voxarium.convert(source(data("uint8")), tmp_path / "a.n5/x", format="cosem", levels=2, **OPTIONS)
        level = voxarium.open(tmp_path / "a.n5/x/s1")
        whole = voxarium.open(tmp_path / "a.n5/x")
        assert level.scale_translation() == whole.scale_translation(1) and level.unit == "nanometer"
        dataset = voxarium.open(f"{tmp_path}/a.n5::x")
        assert dataset.scale_translation(1) == whole.scale_translation(1)

    def test_a_level_says_nothing_that_its_group_knows_better(self, tmp_path, source):
        voxarium.convert(source(data("uint8")), tmp_path / "a.n5/x", format="n5-viewer", levels=2, **OPTIONS)
        for i in range(2):
            file = tmp_path / f"a.n5/x/s{i}/attributes.json"
            own = json.loads(file.read_text())
            file.write_text(json.dumps({k: v for k, v in own.items() if k != "pixelResolution"}))
        plan = voxarium.plan(voxarium.open(tmp_path / "a.n5/x"), voxarium.ConvertOptions())
        assert not any("voxel" in note for note in plan.notes)

    @pytest.mark.parametrize("opened", ["dataset.n5", "dataset.n5/setup0/timepoint0"])
    def test_dataset_xml_counts_for_what_lies_below_it(self, tmp_path, source, opened):
        voxarium.convert(source(data("uint8")), tmp_path / "dataset.n5", format="bdv", levels=2, **OPTIONS)
        xml = tmp_path / "dataset.xml"
        xml.write_text(xml.read_text().replace(" 0.25 ", " 77.25 "))  # the translation along x
        image = voxarium.open(tmp_path / opened)
        assert image.info.format == "bdv" and image.scale_translation()[1] == (7.0, -5.0, 77.25)


class TestForeignFiles:
    """Files that others wrote."""

    def test_the_golden_cosem_layout(self, shared, tmp_path):
        root = shared / "n5/golden/cosem_layout/jrc_golden-1/jrc_golden-1.n5"
        image = voxarium.open(root / "em/fibsem-uint8")
        truth = np.load(shared / "n5/golden/em_crop_zyx_80x100x90_uint8.npy")
        assert image.info.format == "cosem" and (image[...] == truth).all()
        assert image.voxel_size() == (5.24, 4.0, 4.0) and image.unit == "nanometer"
        labels = voxarium.open(root / "labels/mito_seg")
        assert labels.role == "label" and [lv.array.shape for lv in labels.levels][2] == (20, 25, 22)
        voxarium.convert(root / "em/fibsem-uint8", tmp_path / "x.ome.zarr", levels=3)
        assert np.allclose(world(voxarium.open(tmp_path / "x.ome.zarr")), world(image), rtol=1e-9)

    def test_a_container_is_a_dataset_of_its_images(self, shared, capsys):
        root = shared / "n5/golden/cosem_layout/jrc_golden-1/jrc_golden-1.n5"
        dataset = voxarium.open(root)
        assert sorted(dataset.keys()) == ["em/fibsem-uint8", "labels/mito_seg"]
        assert main(["tree", str(root)]) == 0
        assert "fibsem-uint8" in capsys.readouterr().out

    def test_every_array_of_n5_universe_opens_or_says_why_not(self, shared):
        dataset = voxarium.open(shared / "n5/universe/src/test/resources/test.n5")
        formats = {k: dataset[k].info.format for k in dataset}
        assert formats["cosem_ms"] == formats["c0"] == "cosem"
        assert formats["n5v_pr-ds"] == "n5" and dataset["n5v_pr-ds"].scale_translation() == ((3,) * 3, (0.75,) * 3)
        assert dataset["cosem"].scale_translation() == ((64,) * 3, (28,) * 3)

    @pytest.mark.parametrize(("name", "size"), [("t_bdv", (0.04, 0.004, 0.004)), ("n_bdv", (1, 1, 1))])
    def test_bdv_hdf5(self, shared, name, size):
        h5py = pytest.importorskip("h5py")
        folder = shared / "neuro/h5_generated"
        image = voxarium.open(folder / f"{name}.xml")
        assert image.info.format == "bdv-hdf5" and image.voxel_size() == size
        with h5py.File(folder / f"{name}.h5") as file:
            for i in range(2):
                cells = file[f"t00000/s00/{i}/cells"][()]
                assert (image.level(i).read() == (cells.view("u2") if cells.dtype == "i2" else cells)).all()
                assert image.level(i).dtype.kind == "u"
        assert voxarium.open(f"{folder}/{name}.h5::/t00000/s00").info.format == "bdv-hdf5"

    @pytest.mark.parametrize("kind", ["modern", "deprecated"])
    def test_neuroglancers_test_data(self, shared, kind):
        image = voxarium.open(shared / f"neuroglancer/testdata/datasource/n5/n5_viewer_multiscale_{kind}")
        assert image.info.format == "n5-viewer" and len(image.levels) == 3
        assert image[...].shape == (20, 10)
