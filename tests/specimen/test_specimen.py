"""The synthetic specimen: the same voxels whatever box is asked for, and ground truth that is true."""

from __future__ import annotations

import csv
import pickle
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numcodecs import Zstd

from voxarium.errors import InputError
from voxarium.model.box import Box
from voxarium.testing.specimen import Specimen, write_hdf5_labels, write_tables, write_tiff_slices

SHAPE = (70, 150, 141)
CALM = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def specimen():
    return Specimen(shape=SHAPE, seed=3)


@pytest.fixture(scope="module")
def whole(specimen):
    return specimen.blocks()


@st.composite
def boxes(draw):
    start = tuple(draw(st.integers(0, n - 1)) for n in SHAPE)
    return Box(start, tuple(draw(st.integers(1, min(40, n - a))) for a, n in zip(start, SHAPE, strict=True)))


@CALM
@given(box=boxes())
def test_any_box_equals_the_crop_of_the_whole(specimen, whole, box):
    np.testing.assert_array_equal(specimen.em(box), whole.em[box.slices])
    np.testing.assert_array_equal(specimen.neurons(box), whole.neurons[box.slices])
    np.testing.assert_array_equal(specimen.supervoxels(box), whole.supervoxels[box.slices])


@pytest.mark.parametrize("box", [Box((33, 60, 77), (5, 41, 3)), Box((0, 149, 0), (70, 1, 141))])
def test_a_box_does_not_depend_on_what_was_asked_before(whole, box):
    fresh = Specimen(shape=SHAPE, seed=3, threads=1)
    for part, every in zip(fresh.blocks(box), whole, strict=True):
        np.testing.assert_array_equal(part, every[box.slices])


def test_same_arguments_same_specimen_and_other_seed_other_specimen(whole):
    box = Box((9, 8, 7), (31, 40, 20))
    again = Specimen(shape=SHAPE, seed=3, threads=1)
    np.testing.assert_array_equal(again.em(box), whole.em[box.slices])
    other = Specimen(shape=SHAPE, seed=4)
    assert (other.em(box) != whole.em[box.slices]).mean() > 0.5


def test_a_pickled_specimen_is_the_same(specimen, whole):
    copy = pickle.loads(pickle.dumps(specimen))
    assert copy == specimen
    box = Box((0, 3, 5), (4, 5, 6))
    np.testing.assert_array_equal(copy.em(box), whole.em[box.slices])


def test_every_voxel_has_a_supervoxel_of_its_neuron(specimen, whole):
    assert whole.supervoxels.dtype == whole.neurons.dtype == np.uint64
    assert whole.neurons.min() > 0
    np.testing.assert_array_equal(specimen.neuron_of(whole.supervoxels), whole.neurons)
    assert len(np.unique(whole.supervoxels)) > len(np.unique(whole.neurons)) > 30


def test_large_ids_do_not_fit_a_double_and_small_ones_fit_32_bits(whole):
    assert whole.supervoxels.min() > 2**53
    assert whole.neurons.min() > 2**53
    small = Specimen(shape=SHAPE, seed=3, large_ids=False)
    labels = small.supervoxels()
    assert labels.max() < 2**32
    np.testing.assert_array_equal(small.neuron_of(labels), small.neurons())
    np.testing.assert_array_equal(labels + np.uint64(1 << 56), whole.supervoxels)


def test_membranes_are_optional_background():
    box = Box((0, 0, 0), (40, 50, 60))
    plain, lined = Specimen(shape=SHAPE, seed=3), Specimen(shape=SHAPE, seed=3, membranes=True)
    labels, neurons = lined.supervoxels(box), lined.neurons(box)
    hidden = labels == 0
    assert 0.05 < hidden.mean() < 0.5
    np.testing.assert_array_equal(neurons == 0, hidden)
    np.testing.assert_array_equal(labels[~hidden], plain.supervoxels(box)[~hidden])


def test_foreign_ids_are_refused(specimen):
    assert specimen.neuron_of([0]).tolist() == [0]
    for bad in (5, 2**63 + 1, 2**62):
        with pytest.raises(InputError, match=str(bad)):
            specimen.neuron_of([bad])


def test_grey_values_compress_like_a_real_microscope_and_labels_strongly():
    specimen = Specimen(shape=(64, 192, 192), seed=1)
    blocks = specimen.blocks()
    codec = Zstd(level=1)

    def ratio(a):
        parts = [np.ascontiguousarray(a[b.slices]) for b in Box.whole(a.shape).tiles((64, 64, 64))]
        return sum(p.nbytes for p in parts) / sum(len(codec.encode(p)) for p in parts)

    assert 1.15 < ratio(blocks.em) < 1.3
    assert ratio(blocks.neurons) > 40
    assert ratio(blocks.supervoxels) > 25
    assert 100 < blocks.em.mean() < 160
    assert 25 < blocks.em.std() < 42


def test_synapses_lie_between_their_partners():
    specimen = Specimen(shape=(120, 200, 260), seed=5)
    neurons, em = specimen.neurons(), specimen.em()
    found = specimen.synapses()
    assert len(found) > 15
    assert len(np.unique(found["id"])) == len(found)
    assert (found["pre_neuron"] != found["post_neuron"]).all()
    np.testing.assert_array_equal(neurons[tuple(found["pre_position"].T)], found["pre_neuron"])
    np.testing.assert_array_equal(neurons[tuple(found["post_position"].T)], found["post_neuron"])
    np.testing.assert_array_equal(found["position_nm"], found["position"] * 8.0)
    assert (np.abs(found["pre_position"] - found["position"]) <= 4).all()
    assert (np.abs(found["post_position"] - found["position"]) <= 5).all()
    assert em[tuple(found["position"].T)].mean() < em.mean() - 30


def test_synapses_of_a_box_are_those_of_the_whole(specimen):
    every = specimen.synapses()
    box = Box((10, 20, 60), (50, 90, 70))
    inside = [(p >= box.origin).all() and (p < box.stop).all() for p in every["position"]]
    fresh = Specimen(shape=SHAPE, seed=3)
    np.testing.assert_array_equal(fresh.synapses(box), every[np.array(inside, bool)])


def test_connectome_counts_the_synapses():
    specimen = Specimen(shape=(90, 130, 200), seed=2)
    pairs = [(int(s["pre_neuron"]), int(s["post_neuron"])) for s in specimen.synapses()]
    table = {(int(c["pre_neuron"]), int(c["post_neuron"])): int(c["count"]) for c in specimen.connectome()}
    assert table == {p: pairs.count(p) for p in set(pairs)}


def test_the_far_corner_of_a_teravoxel_is_at_hand():
    specimen = Specimen(shape=(10_007, 10_007, 10_007), seed=9)
    box = Box((9_943, 9_943, 9_943), (64, 64, 64))
    specimen.em(Box((0, 0, 0), (1, 1, 1)))  # compile
    specimen.neurons(Box((0, 0, 0), (1, 1, 1)))
    begun = time.perf_counter()
    blocks = specimen.blocks(box)
    specimen.neuron_of(np.unique(blocks.supervoxels))
    assert time.perf_counter() - begun < 3
    assert blocks.em.std() > 15
    assert len(np.unique(blocks.neurons)) > 5


def test_anisotropic_voxels_keep_physical_size():
    fine = Specimen(shape=(96, 96, 96), seed=4, voxel_size=(8, 8, 8))
    coarse = Specimen(shape=(24, 96, 96), seed=4, voxel_size=(32, 8, 8))
    same = fine.neurons()[::4] == coarse.neurons()
    assert same.mean() > 0.9


@pytest.mark.parametrize(
    "bad", [{"shape": (0, 4, 4)}, {"shape": (4, 4)}, {"shape": (4, 4, 4), "voxel_size": (0, 8, 8)}]
)
def test_impossible_specimens_are_refused(bad):
    with pytest.raises(InputError):
        Specimen(**bad)


def test_boxes_outside_are_refused(specimen):
    with pytest.raises(InputError, match="does not lie"):
        specimen.em(Box((0, 0, 0), (1, 1, SHAPE[2] + 1)))
    assert specimen.em(Box((3, 3, 3), (0, 2, 2))).shape == (0, 2, 2)


def test_writers_store_the_same_voxels(tmp_path):
    h5py = pytest.importorskip("h5py")
    tifffile = pytest.importorskip("tifffile")
    specimen = Specimen(shape=(9, 70, 45), seed=6, voxel_size=(16, 8, 8))
    paths = write_tiff_slices(specimen, tmp_path / "em")
    assert [p.name for p in paths[:2]] == ["z00000.tif", "z00001.tif"]
    np.testing.assert_array_equal(np.stack([tifffile.imread(p) for p in paths]), specimen.em())
    write_hdf5_labels(specimen, tmp_path / "labels.h5")
    write_hdf5_labels(specimen, tmp_path / "labels.h5", "volumes/labels/fragments", kind="supervoxels")
    with h5py.File(tmp_path / "labels.h5") as f:
        np.testing.assert_array_equal(f["volumes/labels/neuron_ids"][:], specimen.neurons())
        np.testing.assert_array_equal(f["volumes/labels/fragments"][:], specimen.supervoxels())
        assert f["volumes/labels/neuron_ids"].attrs["resolution"].tolist() == [16, 8, 8]


def test_tables_hold_every_row(tmp_path):
    specimen = Specimen(shape=(60, 130, 130), seed=8)
    synapses, connectome = write_tables(specimen, tmp_path)
    with synapses.open() as f:
        rows = list(csv.DictReader(f))
    with connectome.open() as f:
        counts = [int(r["count"]) for r in csv.DictReader(f)]
    assert [int(r["pre_neuron"]) for r in rows] == specimen.synapses()["pre_neuron"].tolist()
    assert [int(r["position_x"]) for r in rows] == specimen.synapses()["position"][:, 2].tolist()
    assert sum(counts) == len(rows)
