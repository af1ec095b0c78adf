"""Formats that are only read, as sources of every format that is written: kept, or declared lost, and nothing between.

The files are made by the tests of each format, which build them from its description and without its driver.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import voxarium
from voxarium.conversion.running import plan_for
from voxarium.core.opening import open_one
from voxarium.core.registry import image_drivers
from voxarium.errors import InputError, UnsupportedError, VoxariumError
from voxarium.model.axes import SPACE_UNITS

TESTS = Path(__file__).parents[1]
PLACES = {
    "webknossos": "{}/color", "hdf5": "{}.h5", "bdv-hdf5": "{}.h5", "cremi": "{}.hdf",
    "cellmap-annotation": "{}.zarr/crop/mito", "ome-zarr": "{}.ome.zarr", "ome-tiff": "{}.ome.tif",
}  # fmt: skip
TARGETS = {d.name: d for d in image_drivers() if "write" in d.capabilities and d.name != "cellmap-annotation"}
CHUNK = {"hdf5": 64, "bdv-hdf5": 64, "cremi": 64}


def made_by(path: str) -> ModuleType:
    name = f"made_by_{Path(path).stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, TESTS / path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


def volume(dtype="uint16", shape=(13, 22, 31)):
    return np.random.default_rng(3).integers(1, 200, shape).astype(dtype)


def npy(folder):
    np.save(folder / "slab.npy", volume())
    return folder / "slab.npy", {}


def raw(folder):
    volume().tofile(folder / "slab.raw")
    return folder / "slab.raw", {"shape": (13, 22, 31), "dtype": "uint16"}


def slices(folder):
    from PIL import Image

    (folder / "slices").mkdir()
    for i, plane in enumerate(volume("uint8")):
        Image.fromarray(plane).save(folder / "slices" / f"{i:03}.png")
    return folder / "slices", {}


def hdf5(folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "slab.h5", "w") as file:
        dataset = file.create_dataset("raw", data=volume("int32"), chunks=(4, 5, 6), compression="gzip")
        dataset.attrs["element_size_um"] = [0.04, 0.008, 0.006]
    return f"{folder}/slab.h5::/raw", {}


def zarr(version):
    def make(folder):
        tensorstore = pytest.importorskip("tensorstore")
        spec = {"driver": version, "kvstore": {"driver": "file", "path": str(folder / version)}}
        data = volume("float32")
        tensorstore.open(spec, create=True, dtype=data.dtype, shape=data.shape).result().write(data).result()
        return folder / version, {}

    return make


def imaris(folder):
    pytest.importorskip("h5py")
    made_by("hdf5/test_imaris.py").write(folder / "slab.ims")
    return folder / "slab.ims", {}


def imaris_of_two_channels(folder):
    pytest.importorskip("h5py")
    made_by("hdf5/test_imaris.py").write(folder / "slab.ims", channels=2)
    return folder / "slab.ims", {}


def knossos(folder):
    made = made_by("knossos/test_knossos.py")
    made.cubes(folder / "em", made.noise())
    (folder / "em" / "em.k.toml").write_text(made.ONE)
    return folder / "em", {}


def fibsem(folder):
    made = made_by("microscopes/test_fibsem_dat.py")
    (folder / "dats").mkdir()
    for i in range(4):
        made.file(folder / "dats", f"s_{i:02}.dat", shape=(9, 11), seed=i)
    return folder / "dats", {}


def mrc(folder):
    made = made_by("microscopes/test_mrc.py")
    data = volume("int16")
    (folder / "slab.mrc").write_bytes(
        made.header(data.shape, mode=1, origin=(12, 6, -8)) + data.astype("<i2").tobytes()
    )
    return folder / "slab.mrc", {}


def nrrd(folder):
    made = made_by("microscopes/test_nrrd.py")
    placed = ("space dimension: 3", "space directions: (0.5,0,0) (0,0.25,0) (0,0,2)", "space origin: (4,5,6)",
              'space units: "um" "um" "um"')  # fmt: skip
    head = made.header(*placed, sizes="31 22 13", kind="ushort")
    (folder / "slab.nrrd").write_bytes(head + b"\n\n" + volume().astype("<u2").tobytes())
    return folder / "slab.nrrd", {}


def metaimage(folder):
    made = made_by("microscopes/test_metaimage.py")
    placed = ("ElementSpacing = 0.5 0.25 2", "Offset = 4 5 6", "BinaryData = True", "BinaryDataByteOrderMSB = False")
    head = made.header(*placed, size="31 22 13", kind="MET_USHORT")
    (folder / "slab.mha").write_bytes(head + volume().astype("<u2").tobytes())
    return folder / "slab.mha", {}


def nifti(folder):
    nib = pytest.importorskip("nibabel", reason="nibabel, which makes the file, is not installed")
    image = nib.Nifti1Image(volume("int16").T, np.array([[0.5, 0, 0, 4], [0, 0.25, 0, 5], [0, 0, 2, 6], [0, 0, 0, 1]]))
    image.header.set_xyzt_units("mm")
    nib.save(image, folder / "slab.nii")
    return folder / "slab.nii", {}


def ndtiff(folder):
    made = made_by("microscopes/test_ndtiff.py")
    planes = [({"z": z}, plane) for z, plane in enumerate(volume().astype("<u2"))]
    made.dataset(folder / "nd", planes, summary={"z-step_um": 2.0, "Prefix": "slab"})
    return folder / "nd", {}


def tiff(folder):
    tifffile = pytest.importorskip("tifffile", reason="tifffile, which makes the file, is not installed")
    tifffile.imwrite(folder / "slab.tif", volume(), metadata={"axes": "ZYX"}, tile=(16, 16))
    return folder / "slab.tif", {}


def ome_tiff(folder):
    tifffile = pytest.importorskip("tifffile", reason="tifffile, which makes the file, is not installed")
    told = {"axes": "CZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0,
            "Channel": {"Name": ["red", "green"]}}  # fmt: skip
    tifffile.imwrite(folder / "slab.ome.tif", volume(shape=(2, 13, 22, 31)), metadata=told, photometric="minisblack")
    return folder / "slab.ome.tif", {}


def matlab(folder):
    pytest.importorskip("h5py")
    made_by("hdf5/test_dialects.py").write_mat(folder / "slab.mat", stack=("uint16", volume(), {}))
    return folder / "slab.mat", {}


def ilastik(folder):
    h5py = pytest.importorskip("h5py")
    tags = {"axes": [{"key": k, "typeFlags": 2, "resolution": 0, "description": ""} for k in "zyx"]}
    with h5py.File(folder / "slab.h5", "w") as file:
        dataset = file.create_dataset("exported_data", data=volume("uint8"), chunks=(4, 5, 6), compression="gzip")
        dataset.attrs["axistags"] = json.dumps(tags)
    return f"{folder}/slab.h5::/exported_data", {}


def cremi(kind):
    def make(folder):
        h5py = pytest.importorskip("h5py")
        with h5py.File(folder / "sample.hdf", "w") as file:
            file["volumes/raw"] = volume("uint8")
            file["volumes/raw"].attrs["resolution"] = [40.0, 8.0, 6.0]
            ids = file.create_dataset("volumes/labels/neuron_ids", data=volume("uint64"), chunks=(4, 5, 6))
            ids.attrs.update(resolution=[40.0, 8.0, 6.0], offset=[80.0, 16.0, 12.0])
        return f"{folder}/sample.hdf::/volumes/{kind}", {}

    return make


def bdv_hdf5(folder):
    h5py = pytest.importorskip("h5py")
    data = volume()
    with h5py.File(folder / "slab.h5", "w") as file:
        file["s00/resolutions"] = np.array([[1.0, 1, 1]])
        file["s00/subdivisions"] = np.array([[8, 8, 8]], "i4")
        file.create_dataset("t00000/s00/0/cells", data=data.view("i2"), chunks=(8, 8, 8))
    (folder / "slab.xml").write_text(
        """<SpimData version="0.2"><BasePath type="relative">.</BasePath><SequenceDescription>
        <ImageLoader format="bdv.hdf5"><hdf5 type="relative">slab.h5</hdf5></ImageLoader><ViewSetups><ViewSetup>
        <id>0</id><name>slab 7</name><size>31 22 13</size><voxelSize><unit>nm</unit><size>6 8 40</size></voxelSize>
        </ViewSetup></ViewSetups><Timepoints type="range"><first>0</first><last>0</last></Timepoints>
        </SequenceDescription><ViewRegistrations><ViewRegistration timepoint="0" setup="0">
        <ViewTransform type="affine"><affine>6 0 0 12 0 8 0 16 0 0 40 80</affine></ViewTransform>
        </ViewRegistration></ViewRegistrations></SpimData>"""
    )
    return folder / "slab.xml", {}


def old_precomputed(folder):
    """Shards as `.index` and `.data`, murmur hash, as they were once written."""
    tensorstore = pytest.importorskip("tensorstore")
    data = volume("uint64")
    sharding = {
        "@type": "neuroglancer_uint64_sharded_v1", "preshift_bits": 1, "hash": "murmurhash3_x86_128",
        "minishard_bits": 1, "shard_bits": 2, "minishard_index_encoding": "gzip", "data_encoding": "gzip",
    }  # fmt: skip
    spec = {
        "driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": f"{folder}/pc/"},
        "multiscale_metadata": {"type": "segmentation", "data_type": "uint64", "num_channels": 1},
        "scale_metadata": {
            "size": [31, 22, 13], "resolution": [6, 8, 40], "voxel_offset": [2, 2, 2], "chunk_size": [8, 8, 8],
            "encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8],
            "sharding": sharding,
        },
    }  # fmt: skip
    tensorstore.open(spec, create=True).result().write(data.T[..., None]).result()
    for shard in (folder / "pc").rglob("*.shard"):
        raw = shard.read_bytes()
        shard.with_suffix(".index").write_bytes(raw[:32])
        shard.with_suffix(".data").write_bytes(raw[32:])
        shard.unlink()
    return folder / "pc", {}


def wkw(folder):
    from voxarium.stores.local import LocalStore

    made_by("webknossos/conftest.py").put_wkw(LocalStore(folder), "1", volume(), origin=(0, 0, 0))
    return folder / "1", {"shape": (13, 22, 31)}


SOURCES = {
    "npy": npy, "raw": raw, "stack": slices, "hdf5": hdf5, "zarr2": zarr("zarr"), "zarr3": zarr("zarr3"),
    "imaris": imaris, "imaris-czyx": imaris_of_two_channels, "knossos": knossos, "fibsem-dat": fibsem,
    "mrc": mrc, "nrrd": nrrd, "metaimage": metaimage, "nifti": nifti, "ndtiff": ndtiff, "tiff": tiff,
    "ome-tiff-czyx": ome_tiff, "matlab": matlab, "ilastik": ilastik, "cremi": cremi("raw"),
    "cremi-labels": cremi("labels/neuron_ids"), "bdv-hdf5": bdv_hdf5, "precomputed-legacy": old_precomputed, "wkw": wkw,
}  # fmt: skip


def world(image, index):
    """The place of a voxel by the names of axes, lengths in metres."""
    placed = image.levels[0].transform.apply(index)
    return {a.name: v * SPACE_UNITS.get(a.unit, 1.0) for a, v in zip(image.axes, placed, strict=True)}


def hints(image):
    return [(c.label, c.color, c.window) for c in image.info.display.channels]


def check_conversion(source, target, driver):
    """Convert to one format, then compare everything that was not declared lost."""
    choices = {"format": driver.name, "levels": 1, "accept": "all", "chunk": CHUNK.get(driver.name, 32)}
    if source.dtype.name not in driver.holds.dtypes:
        with pytest.raises(UnsupportedError, match=source.dtype.name):
            voxarium.convert(source, target, **choices)
        return
    if not driver.holds.ndim[0] <= source.ndim <= driver.holds.ndim[1]:
        with pytest.raises(VoxariumError):
            voxarium.convert(source, target, **choices)
        return
    may_refuse = contextlib.suppress(InputError) if source.ndim > 3 else contextlib.nullcontext()
    lost = None
    with may_refuse:  # positions of three axes only
        lost = {loss.kind for loss in plan_for(source, target, choices).losses}
    if lost is None and driver.name != "precomputed":
        return
    voxarium.convert(source, target, **choices)
    image = open_one(target)
    assert image.info.format == driver.name
    order = [[a.name for a in source.axes].index(a.name) for a in image.axes]
    assert np.array_equal(image[...], source[...].transpose(order))
    for index in ([0] * source.ndim, [1, 2, 3, 4][: source.ndim]):
        found, wanted = world(image, [index[i] for i in order]), world(source, index)
        if "units" not in lost and "translation" not in lost:
            size = dict(zip((a.name for a in source.axes), source.scale_translation()[0], strict=True))
            for name, value in wanted.items():
                unit = next(SPACE_UNITS.get(a.unit, 1.0) for a in source.axes if a.name == name)
                assert abs(found[name] - value) <= 1e-9 * max(abs(value), size[name] * unit)
    if driver.holds.name and source.info.name:
        assert image.name == source.info.name and "name" not in lost
    told = hints(source)
    if not lost & {"windows", "colors"} and any(h != (None, None, None) for h in told):
        for (label, color, window), found in zip(told, hints(image), strict=True):
            assert found[0] == label and (window is None or found[2] == window)
            assert found[1] == color or (color is None and found[1] == "FFFFFF")  # OME-Zarr asks for a colour
    for kind, held, there in (
        ("windows", driver.holds.windows, any(w is not None for _, _, w in told)),
        ("colors", driver.holds.colors, any((label or color) is not None for label, color, _ in told)),
    ):
        assert (kind in lost) == (there and not held)


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_into_every_format(tmp_path, kind):
    address, reading = SOURCES[kind](tmp_path)
    source = open_one(address, **reading)
    stated = source.info.axes_stated and source.unit is not None
    given = {"axes": "zyx", "voxel_size": (40, 8, 6), "unit": "nanometer", "translation": (20, 4, 3)}
    if not stated:  # what a user adds to a source that says nothing
        voxarium.convert(source, tmp_path / "told.ome.zarr", levels=1, chunk=32, **given)
        source = open_one(tmp_path / "told.ome.zarr")
    for name, driver in TARGETS.items():
        target = str(tmp_path / "out" / PLACES.get(name, "{}.n5/em/raw").format(name))
        check_conversion(source, target, driver)


def test_a_channel_of_bossdb_into_every_format(tmp_path, monkeypatch):
    pytest.importorskip("blosc", reason="blosc (a dependency of intern) is not installed")
    for name in ("INTERN_TOKEN", "INTERN_HOST", "INTERN_PROTOCOL", "BOSSDB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    made = made_by("bossdb/test_bossdb.py")
    with made.serving(made.noise()) as (_, uri, _):
        source = open_one(uri)
        for name, driver in TARGETS.items():
            check_conversion(source, str(tmp_path / PLACES.get(name, "{}.n5/em/raw").format(name)), driver)
