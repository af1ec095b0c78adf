"""Comparing: blocks by digests, voxels by decoding the blocks that differ."""

from __future__ import annotations

import numpy as np
import pytest

import voxarium
from voxarium.core.digesting import open_digest, updated_digest
from voxarium.errors import ChecksumError, FormatError, NotFoundError
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.transforms import Scale, Translation
from voxarium.spec.logical_digest import BlockGrid, dump_tree, parse_tree

SHAPE = (70, 65, 131)


def voxels(shape=SHAPE, dtype="u1"):
    return np.random.default_rng(7).integers(0, 200, shape).astype(dtype)


def test_equal_images_are_equal(array_of):
    found = voxarium.compare(array_of(voxels()), array_of(voxels(), chunk=(7, 65, 20)))
    assert found.equal and found.blocks == () and found.voxels == 0 and found.box is None
    assert found.placed_equal is None and found.total == 12


def test_only_blocks_that_differ_are_decoded_again(array_of):
    data = voxels()
    changed = data.copy()
    changed[3, 4, 5] = changed[3, 4, 9] = 255
    a, b = array_of(data, chunk=(32, 32, 32)), array_of(changed, chunk=(32, 32, 32))
    digests = voxarium.logical_digest(a), voxarium.logical_digest(b)
    a.driver.reads.clear()
    found = voxarium.compare(*digests)
    assert found.voxels is None and found.box == found.blocks[0] == Box((0, 0, 0), (64, 64, 64))
    found = voxarium.compare(a, b)
    assert found.voxels == 2 and found.box == Box((3, 4, 5), (1, 1, 5))
    assert len(a.driver.reads) == a.grid.size + 8
    a.driver.reads.clear()
    assert voxarium.compare(a, b, count=False).voxels is None
    assert len(a.driver.reads) == a.grid.size


def test_with_trees_of_both_images_only_blocks_that_differ_are_decoded(array_of):
    data = voxels()
    changed = data.copy()
    changed[69, 64, 130] ^= 3
    a, b = array_of(data, chunk=(32, 32, 32)), array_of(changed, chunk=(16, 16, 16))
    trees = voxarium.logical_digest(a), voxarium.logical_digest(b)
    a.driver.reads.clear()
    b.driver.reads.clear()
    found = voxarium.compare(a, b, trees=trees)
    assert found.voxels == 1 and found.box == Box((69, 64, 130), (1, 1, 1))
    assert len(a.driver.reads) == len(b.driver.reads) == 1
    with pytest.raises(voxarium.VoxariumError, match="the image is uint8"):
        voxarium.compare(a, array_of(data[1:]), trees=trees)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_an_edit_needs_only_its_blocks_to_be_digested_again(array_of, order):
    shape = (150, 130, 131)
    axes = [Axis(name=n, type="space") for n in "zyx"]
    stored = tuple(axes[i] for i in order)
    data = voxels(shape)
    known = voxarium.logical_digest(array_of(data))
    changed = data.copy()
    changed[60:70, 3:5, 130] += 1
    changed[149, 129, 0] += 1
    array = array_of(np.ascontiguousarray(changed.transpose(order)), stored, chunk=(32, 32, 32))
    found = updated_digest(
        array, known, [Box((60, 3, 130), (10, 2, 1)), Box((149, 129, 0), (1, 1, 1)), Box((0,) * 3, (0,) * 3)]
    )
    assert found.content == voxarium.logical_digest(array_of(changed)).content
    assert len(array.driver.reads) <= 2 * 4 + 1 + 4
    assert updated_digest(array_of(data), known, []).content == known.content


def test_an_update_must_fit(array_of):
    known = voxarium.logical_digest(array_of(voxels()[None]))
    assert updated_digest(array_of(voxels()[None]), known, [Box.whole((1, *SHAPE))]) == known
    for source, box in [(voxels()[None], Box((0, 0, 0, 0), (1, 71, 1, 1))), (voxels(), Box.whole(SHAPE))]:
        with pytest.raises(voxarium.VoxariumError, match=r"not inside|the image is"):
            updated_digest(array_of(source), known, [box])


def test_chunks_with_several_differing_blocks_are_decoded_once(array_of):
    shape = (128, 128, 128)
    data = voxels(shape)
    a, b = array_of(data, chunk=shape), array_of(data + 1, chunk=shape)
    found = voxarium.compare(a, b)
    assert found.voxels == data.size and len(found.blocks) == 8 and found.box == Box.whole(shape)
    assert len(b.driver.reads) == 2


def test_many_edits_are_counted_exactly(array_of):
    data = voxels()
    changed = data.copy()
    at = np.random.default_rng(1).random(SHAPE) < 0.001
    changed[at] += 1
    found = voxarium.compare(array_of(data), array_of(changed, chunk=(5, 40, 50)))
    assert found.voxels == at.sum()
    where = np.argwhere(at)
    assert found.box == Box.from_bounds(tuple(where.min(0)), tuple(where.max(0) + 1))


@pytest.mark.parametrize("dtype", ["f4", "c8", "c16", "?"])
def test_voxels_are_compared_by_their_bits(array_of, dtype):
    data = np.zeros((3, 4, 5), dtype)
    other = data.copy()
    other[1, 2, 3] = True if dtype == "?" else np.nan
    assert voxarium.compare(array_of(other), array_of(other.copy())).equal
    assert voxarium.compare(array_of(data), array_of(other)).box == Box((1, 2, 3), (1, 1, 1))
    if dtype != "?":
        other[1, 2, 3] = -0.0
        assert voxarium.compare(array_of(data), array_of(other)).voxels == 1


def test_boxes_are_in_canonical_axes_with_those_of_length_one(array_of):
    data = voxels()
    axes = tuple(Axis(name=n, type="space") for n in "xyz")
    changed = np.ascontiguousarray(data.T)
    changed[130, 2, 69] ^= 1
    found = voxarium.compare(array_of(data[None]), array_of(changed, axes))
    assert found.box == Box((0, 69, 2, 130), (1, 1, 1, 1)) and found.axes == ("dim_0", "dim_1", "dim_2", "dim_3")
    assert voxarium.compare(array_of(changed, axes), array_of(data[None])).box == Box((69, 2, 130), (1, 1, 1))


def test_a_single_voxel_can_differ(array_of):
    found = voxarium.compare(array_of(np.zeros((1, 1), "u1")), array_of(np.ones((), "u1")))
    assert found.voxels == 1 and found.box == Box((0, 0), (1, 1))


@pytest.mark.parametrize(
    ("other", "reason"), [(voxels(dtype="u2"), "dtype"), (voxels()[1:], "shape"), (voxels(dtype="u2")[1:], "shape")]
)
def test_images_of_another_shape_or_type_are_not_compared_by_block(array_of, other, reason):
    found = voxarium.compare(array_of(voxels()), array_of(other))
    assert not found.equal and found.reason == reason and found.voxels is None and found.blocks == ()


def test_coordinates_are_compared_apart(array_of):
    axes = tuple(Axis(name=n, type="space", unit="nanometer") for n in "zyx")
    one, two = Scale((40.0, 8.0, 8.0)), Scale((40.0, 8.0, 8.0)).then(Translation((0.0, 0.0, 4.0)))
    a, b = (array_of(voxels(), axes, transform=t) for t in (one, two))
    found = voxarium.compare(a, b)
    assert found.equal and found.placed_equal is False and found.a.bound != found.b.bound
    assert voxarium.compare(a, a).placed_equal is True


# -- trees in files
@pytest.fixture
def tree(array_of):
    axes = tuple(Axis(name=n, type="space", unit="nanometer") for n in "zyx")
    return voxarium.logical_digest(array_of(voxels(), axes, transform=Scale((40.0, 8.0, 8.0))))


def test_a_tree_in_a_file_is_the_digest(tree, tmp_path, array_of):
    (tmp_path / "a.vldtree").write_bytes(dump_tree(tree))
    found = open_digest(tmp_path / "a.vldtree")
    assert found == tree and (found.leaves == tree.leaves).all()
    changed = voxels()
    changed[69, 64, 130] ^= 1
    told = voxarium.compare(tmp_path / "a.vldtree", array_of(changed))
    assert told.blocks == (Box((64, 64, 128), (6, 1, 3)),) and told.voxels is None


@pytest.mark.parametrize("shape", [(), (1, 1), (0, 3), (70, 65, 131), (2,) * 9])
def test_trees_of_any_shape_are_read(array_of, shape):
    digest = voxarium.logical_digest(array_of(np.zeros(shape, "f4")))
    found = parse_tree(dump_tree(digest), "here")
    assert found == digest and found.grid == BlockGrid(tuple(n for n in shape if n != 1))


def test_a_tree_that_was_changed_is_refused(tree):
    raw = dump_tree(tree)
    for at in range(0, len(raw), 7):
        broken = bytearray(raw)
        broken[at] ^= 0x20
        with pytest.raises(FormatError):
            parse_tree(bytes(broken), "here")
    for length in range(0, len(raw), 5):
        with pytest.raises(FormatError):
            parse_tree(raw[:length], "here")
    with pytest.raises(FormatError):
        parse_tree(raw + b"x", "here")
    with pytest.raises(ChecksumError, match="do not lead to"):
        parse_tree(raw[:-1] + bytes([raw[-1] ^ 1]), "here")


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [2**62, 2**62, 2**62]},
        {"shape": [-1, 2, 3]},
        {"shape": [1] * 1000, "axes": ["a"] * 1000},
        {"shape": None},
        {"axes": ["z", "y", "\ud800"]},
        {"axes": "zyx"},
        {"dtype": "object"},
        {"dtype": "ufloat32"},
        {"dtype": ["uint8"]},
        {"version": 2},
        {"content": 7},
        {"coordinates": {"axes": [], "matrix": [["1e0"]]}},
        {"coordinates": {"axes": [{"name": "z", "type": "space", "unit": 3}], "matrix": [["1e0", "0"]]}},
        {"coordinates": {"axes": [{"name": "z", "type": "space", "unit": None}], "matrix": [["1", "0"]]}},
        {"coordinates": []},
    ],
)
def test_a_header_of_junk_is_refused(tree, change):
    import json

    header = {k: v for k, v in tree.to_json().items() if k != "blocks"} | {"version": 1} | change
    text = json.dumps(header).encode()
    raw = dump_tree(tree)[:8] + len(text).to_bytes(4, "little") + text + tree.leaves.tobytes()
    with pytest.raises(FormatError):
        parse_tree(raw, "here")


def test_no_file_is_no_tree(tmp_path):
    with pytest.raises(NotFoundError, match="nothing at"):
        open_digest(tmp_path / "no.vldtree")


def test_nodes_of_equal_regions_are_equal(tree, array_of):
    changed = voxels()
    changed[0, 0, 0] ^= 1
    other = voxarium.logical_digest(array_of(changed))
    for a, b in zip(tree.nodes(), other.nodes(), strict=True):
        assert int((a != b).any(axis=-1).sum()) == 1
