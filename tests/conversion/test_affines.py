"""Rotations, shears and further systems come along where the target holds them, and are told lost elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import voxarium
from voxarium.conversion import ConvertOptions, plan
from voxarium.conversion.systems import further_edges
from voxarium.core.image import Image
from voxarium.core.registry import writable_image_driver
from voxarium.errors import Code, UnsupportedError
from voxarium.model.abilities import holds_of
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.image import LevelInfo, TransformEdge
from voxarium.model.transforms import Affine, Scale, Sequence, Transform, Translation
from voxarium.model.warps import Unresolved
from voxarium.spec.ome.rules.check import check_document

SHAPE = (13, 22, 31)
# z, y, x in and out; voxels of about 3 × 1.6 × 2.
ROWS = ((3.0, -0.3, 0.1, 7.0), (0.4, 1.5, -0.2, 12.5), (-0.1, 0.3, 2.0, -40.0))
MATRIX = np.array(ROWS)
TO_ATLAS = Affine(((1.0, 0.1, 0.0, 5.0), (0.0, 1.0, 0.2, -3.0), (0.3, 0.0, 2.0, 1.0)))
VOXELS = np.random.default_rng(5).integers(0, 255, SHAPE).astype("u1")


def changed(image: Image, transform: Transform | None = None, **changes) -> Image:
    """Return an image of one level that says something else about its place."""
    if transform is not None:
        changes["levels"] = (
            LevelInfo(path=image.info.levels[0].path, array=image.info.levels[0].array, transform=transform),
        )
    return Image(image.store, image.path, replace(image.info, **changes), image.arrays[:1])


@pytest.fixture
def plain(tmp_path):
    """An OME-Zarr 0.6 image of one level."""
    np.save(tmp_path / "em.npy", VOXELS)
    path = tmp_path / "plain.ome.zarr"
    voxarium.convert(
        tmp_path / "em.npy",
        path,
        axes="zyx",
        voxel_size=1,
        unit="um",
        levels=1,
        chunk=8,
        name="slab",
        spec_version="0.6",
    )
    return voxarium.open(path)


@pytest.fixture
def oblique(plain):
    return changed(plain, Affine(ROWS))


def positions(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 1, (20, len(shape))) * (np.array(shape) - 1)


def agree(a, b) -> None:
    assert np.abs(a - b).max() <= 1e-9 * np.abs(b).max()


def check_levels(image: Image, matrix: np.ndarray, *, method: str = "mean") -> None:
    """Every level lies where level 0 does: its points are centres of windows of level-0 voxels."""
    for number, level in enumerate(image.levels):
        factors = np.rint(np.array(image.shape) / level.array.shape).astype(int)
        factors = 2 ** np.rint(np.log2(factors))
        points = positions(level.array.shape)
        finest = points * factors + (0 if method == "stride" else (factors - 1) / 2)
        agree(level.transform.apply(points), finest @ matrix[:, :-1].T + matrix[:, -1]), number


def test_a_rotated_image_is_carried_at_every_level(oblique, tmp_path):
    voxarium.convert(oblique, tmp_path / "a.ome.zarr", spec_version="0.6", levels=3, chunk=8)
    image = voxarium.open(tmp_path / "a.ome.zarr")
    assert len(image.levels) == 3 and (image[...] == VOXELS).all()
    assert [a.unit for a in image.axes] == ["micrometer"] * 3
    check_levels(image, MATRIX)
    # And from there once more.
    voxarium.convert(image, tmp_path / "b.ome.zarr", spec_version="0.6", levels=3, chunk=8, method="stride")
    again = voxarium.open(tmp_path / "b.ome.zarr")
    check_levels(again, MATRIX, method="stride")
    assert again.info.world == image.info.world and len(again.info.systems) == len(image.info.systems) == 2


def test_sizes_of_voxels_are_lengths_of_columns(plain):
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])  # z and y change places; y is the coarse axis of the voxels
    rows = np.eye(3, 4)
    rows[:2, :2] = turn @ np.diag([8.0, 40.0])
    rows[2, 2] = 8
    image = changed(plain, Affine(tuple(map(tuple, rows.tolist()))))
    planned = plan(image, ConvertOptions(spec_version="0.6", levels=2, chunk=(8,)))
    assert planned.levels[1].factors == (2, 1, 2)


def test_a_part_of_a_rotated_image_stays_where_it_was(oblique, tmp_path):
    crop = voxarium.Box((3, 5, 7), (9, 11, 21))
    choices = ConvertOptions(spec_version="0.6", levels=2, chunk=(8,), crop=crop)
    assert not plan(oblique, choices).losses
    voxarium.convert(oblique, tmp_path / "part.ome.zarr", spec_version="0.6", levels=2, chunk=8, crop=crop)
    image = voxarium.open(tmp_path / "part.ome.zarr")
    shifted = MATRIX.copy()
    shifted[:, -1] += MATRIX[:, :-1] @ (3, 5, 7)
    assert (image[...] == VOXELS[3:12, 5:16, 7:28]).all()
    check_levels(image, shifted)


def test_axes_in_another_order_are_reordered_in_the_world_too(oblique, tmp_path):
    edge = TransformEdge(source="physical", target="atlas", transform=TO_ATLAS, original={"kept": 1})
    atlas = CoordinateSystem(name="atlas", axes=oblique.axes)
    source = changed(oblique, edges=(edge,), systems=(atlas,), world="physical")
    voxarium.convert(source, tmp_path / "t.ome.zarr", spec_version="0.6", levels=2, chunk=8, order="xzy")
    image = voxarium.open(tmp_path / "t.ome.zarr")
    p = [2, 0, 1]
    assert [a.name for a in image.axes] == ["x", "z", "y"] and (image[...] == VOXELS.transpose(p)).all()
    check_levels(image, MATRIX[p][:, [*p, 3]])
    found = next(e for e in further_edges(image.info) if e.target == "atlas")
    world = positions(SHAPE) * 10
    agree(found.transform.apply(world[:, p]), TO_ATLAS.apply(world)[:, p])
    assert [a.name for s in image.info.systems if s.name == "atlas" for a in s.axes] == ["x", "z", "y"]


def test_further_systems_come_along_and_come_back(plain, oblique, tmp_path):
    two = CoordinateSystem(name="plane", axes=tuple(Axis(name=n, type="space") for n in "yx"))
    atlas = CoordinateSystem(name="atlas", axes=oblique.axes)
    edges = (
        TransformEdge(source="atlas", target="plane", transform=Affine(((0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 4.0)))),
        TransformEdge(source="physical", target="atlas", transform=TO_ATLAS, name="registration"),
    )
    for number, start in enumerate((plain, oblique)):
        source = changed(start, edges=edges, systems=(atlas, two), world="physical")
        for turn in range(3):  # each time from what was written before
            path = tmp_path / f"{number}-{turn}.ome.zarr"
            assert not plan(source, ConvertOptions(spec_version="0.6", name="slab")).losses
            voxarium.convert(source, path, spec_version="0.6", levels=2, chunk=8)
            source = voxarium.open(path)
            found = {(e.source, e.target): e for e in further_edges(source.info)}
            assert found["physical", "atlas"].name == "registration"
            agree(found["physical", "atlas"].transform.matrix(3), TO_ATLAS.matrix(3))
            agree(found["atlas", "plane"].transform.matrix(3), edges[0].transform.matrix(3))


def test_transforms_that_begin_at_indices_begin_at_the_world_of_a_part(oblique, tmp_path):
    own = LevelInfo(path="s0", array=oblique.info.levels[0].array, transform=Affine(ROWS))
    index = CoordinateSystem(name="voxels", axes=oblique.axes)
    atlas = CoordinateSystem(name="atlas", axes=oblique.axes)
    edges = (
        TransformEdge(source=own.path, target="voxels", transform=Scale((1.0, 1.0, 1.0))),
        TransformEdge(source="voxels", target="physical", transform=Affine(ROWS)),
        TransformEdge(source="voxels", target="atlas", transform=Sequence((Affine(ROWS), TO_ATLAS))),
    )
    source = changed(oblique, edges=edges, systems=(index, atlas), world="physical")
    crop = voxarium.Box((3, 5, 7), (9, 11, 21))
    voxarium.convert(source, tmp_path / "p.ome.zarr", spec_version="0.6", levels=1, chunk=8, crop=crop)
    image = voxarium.open(tmp_path / "p.ome.zarr")
    found = next(e for e in further_edges(image.info) if e.target == "atlas")
    at = image.levels[0].transform.apply((0, 0, 0))
    agree(found.transform.apply(at), TO_ATLAS.apply(Affine(ROWS).apply((3, 5, 7))))


def test_what_cannot_be_carried_is_told(plain):
    atlas = CoordinateSystem(name="atlas", axes=plain.axes)
    edges = (
        TransformEdge(source="physical", target="atlas", transform=TO_ATLAS),
        TransformEdge(source="physical", target="atlas", transform=Unresolved("displacements", reason="elsewhere")),
        TransformEdge(source="elsewhere", target="atlas", transform=TO_ATLAS),
    )
    source = changed(plain, edges=edges, systems=(atlas,), world="physical")
    planned = plan(source, ConvertOptions(spec_version="0.6"))
    assert [loss.kind for loss in planned.losses] == ["transforms"]
    assert planned.losses[0].message.startswith("2 transform(s)") and "elsewhere → atlas" in planned.losses[0].message
    # With positions of the user's the world is another: nobody can say how it relates to the atlas.
    moved = plan(source, ConvertOptions(spec_version="0.6", voxel_size=(2,)))
    assert moved.losses[0].message.startswith("3 transform(s)")


def test_a_version_without_rotation_refuses_until_the_loss_is_accepted(oblique, tmp_path):
    target = tmp_path / "old.ome.zarr"
    with pytest.raises(UnsupportedError, match=r"rotation or shear.*z 3\.0.*y 1\.5.*x 2\.0.*first at z 7") as caught:
        voxarium.convert(oblique, target, spec_version="0.5", levels=2, chunk=8)
    assert caught.value.code == Code.LOSS_DECLARED and "--accept-loss transforms" in caught.value.fix
    assert not target.exists()
    crop = voxarium.Box((3, 5, 7), (9, 11, 21))
    voxarium.convert(oblique, target, spec_version="0.5", levels=2, chunk=8, crop=crop, accept="transforms")
    image = voxarium.open(target)
    scale, translation = image.scale_translation(0)
    agree(np.array(scale), np.linalg.norm(MATRIX[:, :3], axis=0))
    agree(np.array(translation), Affine(ROWS).apply((3, 5, 7)))
    assert (image[...] == VOXELS[3:12, 5:16, 7:28]).all()


def test_a_world_with_its_axes_in_another_order_is_no_rotation(plain, tmp_path):
    rows = np.array([[0.0, 0, 8, 1], [0, 4, 0, 2], [40, 0, 0, 3]])  # its axes are x, y, z
    world = CoordinateSystem(name="physical", axes=plain.axes[::-1])
    source = changed(plain, Affine(tuple(map(tuple, rows.tolist()))), systems=(world,), world="physical")
    for version in ("0.5", "0.6"):
        voxarium.convert(source, tmp_path / version, spec_version=version, levels=2, chunk=8)
        image = voxarium.open(tmp_path / version)
        assert image.scale_translation(0) == ((40, 4, 8), (3, 2, 1))


def test_what_is_written_breaks_no_rule(oblique, tmp_path):
    edge = TransformEdge(source="physical", target="atlas", transform=TO_ATLAS)
    atlas = CoordinateSystem(name="atlas", axes=oblique.axes)
    source = changed(oblique, edges=(edge,), systems=(atlas,), world="physical")
    voxarium.convert(source, tmp_path / "a.ome.zarr", spec_version="0.6", levels=3, chunk=8)
    raw = (tmp_path / "a.ome.zarr" / "zarr.json").read_bytes()
    assert not [f for f in check_document(raw, version="0.6") if f.level == "must"]
    found = json.loads(raw)["attributes"]["ome"]["multiscales"][0]
    steps = found["datasets"][1]["coordinateTransformations"][0]["transformations"]
    assert steps[0]["scale"] == [1, 2, 2] and steps[1]["translation"] == [0, 0.5, 0.5]


def test_a_voxel_size_places_the_image_anew(oblique):
    planned = plan(oblique, ConvertOptions(spec_version="0.6", voxel_size=(3, 2, 2), translation=(0,), levels=1))
    assert planned.image.levels[0].transform == Sequence((Scale((3, 2, 2)), Translation((0, 0, 0))))
    assert not planned.losses and any("rotated" in note for note in planned.notes)
    warped = changed(oblique, Unresolved("displacements", reason="elsewhere"))
    assert not plan(warped, ConvertOptions(voxel_size=(3, 2, 2), levels=1)).losses


@pytest.mark.parametrize(("format", "name"), [("bdv", "em.n5"), ("bdv-hdf5", "em.h5"), ("n5-canonical", "c.n5/em")])
def test_other_conventions_with_matrices_hold_rotations(oblique, tmp_path, format, name):
    assert holds_of(writable_image_driver(format), "1").affine
    voxarium.convert(oblique, tmp_path / name, format=format, levels=2, chunk=8, accept="name")
    image = voxarium.open(tmp_path / name)
    assert len(image.levels) == 2 and (image[...] == VOXELS).all()
    check_levels(image, MATRIX)


def test_versions_declare_what_they_hold():
    driver = writable_image_driver("ome-zarr")
    assert [holds_of(driver, v).affine for v in ("0.4", "0.5", "0.6")] == [False, False, True]
    assert not holds_of(writable_image_driver("precomputed"), "1").affine


def test_a_nifti_file_with_two_placements_lands_in_one_image(tmp_path):
    nib = pytest.importorskip("nibabel", reason="nibabel, which writes the file, is not installed")
    turned = np.array([[2.0, 0.3, -0.1, -40], [-0.2, 1.5, 0.4, 12.5], [0.1, -0.3, 3.0, 7], [0, 0, 0, 1]])
    header = nib.Nifti1Image(VOXELS.T.astype("i2"), turned)
    header.set_sform(turned, code=2)
    angle = np.cos(0.3), np.sin(0.3)
    rigid = np.array([[angle[0], -angle[1], 0, 1], [angle[1], angle[0], 0, 2], [0, 0, 1, 3], [0, 0, 0, 1.0]])
    header.set_qform(rigid @ np.diag([2, 1.5, 3, 1]), code=1)
    nib.save(header, tmp_path / "brain.nii")
    theirs = nib.load(tmp_path / "brain.nii")
    source = voxarium.open(tmp_path / "brain.nii")
    voxarium.convert(source, tmp_path / "brain.ome.zarr", spec_version="0.6", levels=2, chunk=8)
    image = voxarium.open(tmp_path / "brain.ome.zarr")
    check_levels(image, source.levels[0].transform.matrix(3))
    point = np.array((4, 9, 17))
    world = image.levels[0].transform.apply(point)
    assert np.allclose(world[::-1], nib.affines.apply_affine(theirs.get_sform(), point[::-1]), rtol=1e-6)
    (edge,) = [e for e in further_edges(image.info) if e.source == image.info.world]
    there = edge.transform.apply(world)
    assert np.allclose(there[::-1], nib.affines.apply_affine(theirs.get_qform(), point[::-1]), rtol=1e-5, atol=1e-4)
