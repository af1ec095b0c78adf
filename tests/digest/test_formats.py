"""One image in many formats has one digest, and so has one image in many chunkings."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.model.axes import Axis

SHAPE = (37, 70, 131)
PLACED = {"voxel_size": (40, 8, 8), "translation": (100, 20, -28), "unit": "nanometer"}


@pytest.fixture(scope="module")
def labels():
    z, y, x = np.indices(SHAPE)
    return ((np.hypot(np.hypot(z - 3, y - 40), x - 60) // 9) * 2.0**40 + 1).astype("<u8")


@pytest.fixture(scope="module")
def source(labels, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "labels.npy"
    np.save(path, labels)
    return path


TARGETS = {
    "zarr v2": ("a.zarr", {"format": "ome-zarr", "spec_version": "0.4", "chunk": (17, 64, 20)}),
    "zarr v3": ("a.zarr", {"format": "ome-zarr", "shard": (0,), "codec": "none"}),
    "zarr v3 sharded": ("a.zarr", {"format": "ome-zarr", "chunk": (32,), "shard": (64,)}),
    "ome-zarr 0.6": ("a.zarr", {"format": "ome-zarr", "spec_version": "0.6", "codec": "blosc:lz4:5"}),
    "n5": ("a.n5", {"format": "cosem"}),
    "n5-viewer": ("a.n5", {"format": "n5-viewer"}),
    "paintera": ("a.n5", {"format": "paintera"}),
    "precomputed": ("a", {"format": "precomputed", "codec": "raw", "shard": (0,)}),
    "precomputed sharded": (
        "a",
        {"format": "precomputed", "codec": "compressed_segmentation", "shard": (64,), "chunk": (32,)},
    ),
    "webknossos": ("a", {"format": "webknossos"}),
    "hdf5": ("a.h5", {"format": "hdf5"}),
    "cremi": ("a.h5", {"format": "cremi"}),
}


@pytest.fixture(scope="module")
def expected(source):
    return voxarium.logical_digest(source, axes="zyx").content


@pytest.fixture(scope="module")
def reference(source, tmp_path_factory):
    target = tmp_path_factory.mktemp("reference") / "a.zarr"
    voxarium.convert(source, target, axes="zyx", levels=1, role="label", accept=("all",), **PLACED)
    return voxarium.logical_digest(target)


@pytest.mark.parametrize("kind", TARGETS)
def test_copies_have_the_digest_of_their_source(kind, source, tmp_path, expected, reference):
    name, choices = TARGETS[kind]
    target = tmp_path / name
    voxarium.convert(source, target, axes="zyx", levels=1, role="label", accept=("all",), **PLACED, **choices)
    found = voxarium.logical_digest(target)
    assert found.content == expected
    assert found.bound == reference.bound is not None


@pytest.mark.parametrize("kind", ["n5", "precomputed sharded", "webknossos", "zarr v3 sharded"])
def test_one_voxel_that_changed_is_found_and_located(kind, labels, source, tmp_path):
    name, choices = TARGETS[kind]
    edited = labels.copy()
    edited[36, 2, 129] ^= 1 << 40
    np.save(tmp_path / "edited.npy", edited)
    target = tmp_path / name
    voxarium.convert(
        tmp_path / "edited.npy", target, axes="zyx", levels=1, role="label", accept=("all",), **PLACED, **choices
    )
    found = voxarium.compare(source, target)
    assert not found.equal and found.reason == ""
    assert found.blocks == (voxarium.Box((0, 0, 128), (37, 64, 3)),) and found.total == 6
    assert found.voxels == 1 and found.box == voxarium.Box((36, 2, 129), (1, 1, 1))


def test_sources_with_other_byte_order_or_order_of_axes_have_one_digest(labels, tmp_path, expected):
    np.save(tmp_path / "big.npy", labels.astype(">u8"))
    np.save(tmp_path / "fortran.npy", np.asfortranarray(labels))
    np.save(tmp_path / "xyz.npy", np.ascontiguousarray(labels.transpose(2, 1, 0)))
    raw = labels.astype(">u8").transpose(2, 1, 0).tobytes()
    (tmp_path / "raw.raw").write_bytes(raw)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", data=labels.astype(">u8"), chunks=(5, 7, 11), compression="gzip", shuffle=True)
    assert voxarium.logical_digest(tmp_path / "big.npy").content == expected
    assert voxarium.logical_digest(tmp_path / "fortran.npy").content == expected
    assert voxarium.logical_digest(tmp_path / "xyz.npy", axes="xyz").content == expected
    assert voxarium.logical_digest(tmp_path / "xyz.npy").content != expected
    given_raw = voxarium.logical_digest(tmp_path / "raw.raw", axes="xyz", shape=(131, 70, 37), dtype=">u8")
    assert given_raw.content == expected
    assert voxarium.logical_digest(f"{tmp_path / 'a.h5'}::/v").content == expected


def test_nifti_has_the_digest_of_its_voxels(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="writes the file")
    data = np.random.default_rng(1).integers(-500, 500, (13, 21, 34)).astype("i2")
    nibabel.save(nibabel.Nifti1Image(data.transpose(2, 1, 0), np.diag([2.0, 3.0, 4.0, 1.0])), tmp_path / "a.nii.gz")
    np.save(tmp_path / "a.npy", data)
    assert voxarium.compare(tmp_path / "a.nii.gz", tmp_path / "a.npy").equal


def test_interleaved_channels_have_the_digest_of_separate_ones(tmp_path):
    data = np.random.default_rng(2).integers(0, 255, (3, 20, 21, 22), np.uint8)
    np.save(tmp_path / "czyx.npy", data)
    np.save(tmp_path / "zyxc.npy", np.ascontiguousarray(np.moveaxis(data, 0, -1)))
    found = [voxarium.logical_digest(tmp_path / f"{axes}.npy", axes=axes) for axes in ("czyx", "zyxc")]
    assert found[0].content == found[1].content and found[0].axes == found[1].axes == ("c", "z", "y", "x")
    for i, format in enumerate(("precomputed", "webknossos", "ome-zarr")):
        voxarium.convert(
            tmp_path / "czyx.npy", tmp_path / str(i), axes="czyx", levels=1, format=format, voxel_size=8,
            translation=(4, 4, 4), unit="nanometer", accept=("all",),
        )  # fmt: skip
        assert voxarium.logical_digest(tmp_path / str(i)).content == found[0].content


CHUNKS = st.tuples(
    st.sampled_from([1, 7, 48, 64, 65, 70]), st.integers(20, 80), st.sampled_from([33, 64, 65, 128, 131, 140])
)


@settings(max_examples=40)
@given(
    chunk=CHUNKS,
    memory=st.sampled_from([1 << 12, 1 << 17, 1 << 30]),
    threads=st.integers(1, 3),
    contiguous=st.booleans(),
)
def test_any_chunks_memory_and_threads_give_one_digest(array_of, chunk, memory, threads, contiguous):
    data = np.random.default_rng(3).integers(0, 255, (70, 65, 131), np.uint8)
    array = array_of(data, chunk=chunk, contiguous=contiguous)
    found = voxarium.logical_digest(array, memory=memory, threads=threads)
    assert found.content == "vld1-content:946916f8d8588669643500edcd07a803d3d967be39423a2325d30dfc0ba2f29c"


@settings(max_examples=20)
@given(
    at=st.tuples(st.integers(0, 69), st.integers(0, 64), st.integers(0, 130)),
    bit=st.integers(0, 7),
    chunk=CHUNKS,
)
def test_any_change_changes_the_digest_and_is_located(array_of, at, bit, chunk):
    data = np.random.default_rng(3).integers(0, 255, (70, 65, 131), np.uint8)
    changed = data.copy()
    changed[at] ^= 1 << bit
    found = voxarium.compare(array_of(data), array_of(changed, chunk=chunk))
    assert not found.equal and len(found.blocks) == found.voxels == 1
    assert found.box == voxarium.Box(at, (1, 1, 1))
    assert found.blocks[0].contains(found.box)


def test_another_type_or_shape_is_another_image(array_of):
    data = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    digests = [
        voxarium.logical_digest(array_of(a)).content
        for a in (data, data.astype("u2"), data.view("i1"), data.reshape(3, 2, 4), data.reshape(6, 4), data.T)
    ]
    assert len(set(digests)) == len(digests)


def test_every_level_has_a_digest_of_its_own(source, tmp_path):
    voxarium.convert(source, tmp_path / "a.zarr", axes="zyx", levels=2, **PLACED)
    image = voxarium.open(tmp_path / "a.zarr")
    one = voxarium.logical_digest(image, level=1)
    assert one.shape == image.level(1).shape
    assert one.content == voxarium.logical_digest(image.level(1)).content
    with pytest.raises(voxarium.VoxariumError, match="no level 2"):
        voxarium.logical_digest(image, level=2)


def test_progress_ends_at_all_voxels(array_of):
    told = []
    voxarium.logical_digest(array_of(np.zeros((70, 65, 131), np.uint8), chunk=(8, 65, 131)), progress=told.append)
    assert told[-1].voxels == told[-1].total == 70 * 65 * 131
    assert [t.voxels for t in told] == sorted(t.voxels for t in told)


def test_names_of_axes_must_fit(array_of):
    with pytest.raises(voxarium.VoxariumError, match="do not fit"):
        voxarium.logical_digest(array_of(np.zeros((2, 3), np.uint8)), axes="zyx")


def axis(name, unit="nanometer"):
    return Axis(name=name, type="space", unit=unit)


@pytest.mark.parametrize(
    ("unit", "scale"), [("nanometer", 8.1), ("micrometer", 0.0081), ("angstrom", 81.0), ("meter", 8.1e-9)]
)
def test_units_do_not_count(array_of, unit, scale):
    from voxarium.model.transforms import Scale, Translation

    data = np.arange(6, dtype=np.uint8).reshape(2, 3)
    placed = Scale((scale, scale)).then(Translation((scale * 3, 0.1 * scale + 0.2 * scale)))
    found = voxarium.logical_digest(array_of(data, (axis("y", unit), axis("x", unit)), transform=placed))
    assert found.coordinates.matrix == (("81e-10", "0", "243e-10"), ("0", "81e-10", "243e-11"))
