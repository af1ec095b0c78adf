"""NIfTI files mean what nibabel says they mean."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.errors import FormatError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.transforms import scale_translation
from voxarium.spec.nifti import has_magic, parse_header

nib = pytest.importorskip("nibabel", reason="nibabel, which these files are compared with, is not installed")

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "neuro"
FILES = sorted([*SHARED.glob("nifti/*.nii*"), *SHARED.glob("nifti_edge/*.nii*")])
OBLIQUE = np.array([[2.0, 0.3, -0.1, -40], [-0.2, 1.5, 0.4, 12.5], [0.1, -0.3, 3.0, 7], [0, 0, 0, 1]])


def raw_voxels(image: Any) -> np.ndarray:
    """Return the voxels as stored, in C order."""
    return np.asarray(image.dataobj.get_unscaled()).T


def check(path: Path) -> Any:
    """Compare a file with what nibabel reads; return our image."""
    image, theirs = voxarium.open(path), nib.load(path)
    expected = raw_voxels(theirs)
    assert image.shape == expected.shape
    assert image.dtype == expected.dtype.newbyteorder("=")
    assert np.array_equal(image[...], expected, equal_nan=expected.dtype.kind in "fc")
    assert (image.info.value.slope, image.info.value.intercept) == (theirs.dataobj.slope, theirs.dataobj.inter)
    for index in ((0, 0, 0), (3, 1, 2), (1, 5, 4)):
        point = np.zeros(image.ndim)
        point[-3:] = index
        mapped = image.levels[0].transform.apply(point)[-3:][::-1]
        assert np.allclose(mapped, nib.affines.apply_affine(theirs.affine, index[::-1]), rtol=1e-6, atol=1e-4)
    return image


@pytest.mark.skipif(not FILES, reason=f"no files at {SHARED}")
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_published_files(path: Path) -> None:
    try:
        theirs = nib.load(path)
        theirs.dataobj.get_unscaled()
    except Exception:  # noqa: BLE001  whatever nibabel raises: it is a file nobody can read
        with pytest.raises(VoxariumError):
            voxarium.open(path)[...]
        return
    check(path)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8", "u2", "u8", "c8", ">i2", ">f4"])
def test_versions_types_and_packing(kind: Any, suffix: str, dtype: str, tmp_path: Path) -> None:
    voxels = np.random.default_rng(2).integers(0, 100, (7, 6, 5, 3)).astype(dtype)
    header = kind.header_class(endianness=">" if dtype[0] == ">" else "<")
    image = kind(voxels, OBLIQUE, header)
    image.set_data_dtype(np.dtype(dtype))
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 800.0
    nib.save(image, tmp_path / f"a{suffix}")
    ours = check(tmp_path / f"a{suffix}")
    assert [a.name for a in ours.axes] == ["t", "z", "y", "x"]
    assert [a.unit for a in ours.axes] == ["millisecond", "millimeter", "millimeter", "millimeter"]
    assert ours.levels[0].transform.apply((2, 0, 0, 0))[0] == 1600.0


def test_a_straight_file_keeps_scale_and_translation(tmp_path: Path) -> None:
    affine = np.diag([-2.0, 1.5, 3.0, 1.0])
    affine[:3, 3] = (90, -126, -72)
    nib.save(nib.Nifti1Image(np.zeros((7, 6, 5), np.uint8), affine), tmp_path / "a.nii")
    image = voxarium.open(tmp_path / "a.nii")
    assert scale_translation(image.levels[0].transform, 3) == ((3.0, 1.5, -2.0), (-72.0, -126.0, 90.0))
    assert [a.orientation for a in image.axes] == ["inferior-to-superior", "posterior-to-anterior", "left-to-right"]


def test_both_placements_are_kept(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((7, 6, 5), np.uint8), OBLIQUE)
    turned = np.diag([2.0, 1.5, 3.0, 1.0])
    turned[:3, 3] = (1, 2, 3)
    image.set_qform(turned, code="scanner")
    image.set_sform(OBLIQUE, code="mni")
    nib.save(image, tmp_path / "a.nii")
    ours = voxarium.open(tmp_path / "a.nii").info
    assert ours.world == "mni"
    (edge,) = ours.edges
    assert (edge.source, edge.target, edge.role) == ("mni", "scanner:qform", "nifti:qform:1")
    inside = ours.levels[0].transform.then(edge.transform).apply((1.0, 2.0, 3.0))
    assert np.allclose(inside, (3 * 1 + 3, 1.5 * 2 + 2, 2 * 3 + 1), atol=1e-5)


def test_half_turns_and_mirrors(tmp_path: Path) -> None:
    for signs in ((1, 1, -1), (-1, -1, 1), (-1, 1, 1), (1, -1, -1)):
        image = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), None)
        image.set_qform(np.diag([2.0 * signs[0], 3.0 * signs[1], 4.0 * signs[2], 1]), code=1)
        image.set_sform(None, code=0)
        nib.save(image, tmp_path / "a.nii")
        matrix = voxarium.open(tmp_path / "a.nii").levels[0].transform.matrix(3)
        assert np.allclose(matrix[:, :3], np.diag([4 * signs[2], 3 * signs[1], 2 * signs[0]]), atol=1e-5)


def test_pairs_and_colors(tmp_path: Path) -> None:
    voxels = np.random.default_rng(1).integers(0, 255, (5, 6, 7), np.uint8)
    nib.save(nib.Nifti1Pair(voxels, np.eye(4)), tmp_path / "a.img")
    for name in ("a.img", "a.hdr"):
        assert np.array_equal(voxarium.open(tmp_path / name)[...], voxels.T)
    (tmp_path / "a.img").rename(tmp_path / "b.img")
    with pytest.raises(NotFoundError, match="holds the voxels"):
        voxarium.open(tmp_path / "a.hdr")
    colors = np.random.default_rng(1).integers(0, 255, (5, 6, 7, 3), np.uint8)
    packed = np.ascontiguousarray(colors).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nib.save(nib.Nifti1Image(packed, np.eye(4)), tmp_path / "c.nii")
    image = voxarium.open(tmp_path / "c.nii")
    assert [a.name for a in image.axes] == ["z", "y", "x", "c"]
    assert np.array_equal(image[...], colors.transpose(2, 1, 0, 3))


def test_it_converts_and_is_presented_without_copying(tmp_path: Path) -> None:
    voxels = np.random.default_rng(1).integers(0, 999, (13, 12, 11, 4), np.int16)
    image = nib.Nifti1Image(voxels, np.diag([2.0, 1.5, 3.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "a.nii")
    voxarium.convert(tmp_path / "a.nii", tmp_path / "a.zarr", levels=2)
    voxarium.virtualize(tmp_path / "a.nii", tmp_path / "a.json")
    for name in ("a.zarr", "a.json"):
        written = voxarium.open(tmp_path / name)
        assert np.array_equal(written[...], voxels.T)
        assert written.voxel_size()[-3:] == (3.0, 1.5, 2.0)
        assert [a.name for a in written.axes] == ["t", "z", "y", "x"]
    nib.save(image, tmp_path / "b.nii.gz")
    with pytest.raises(UnsupportedError, match="gzipped as a whole"):
        voxarium.virtualize(tmp_path / "b.nii.gz", tmp_path / "b.json")


@pytest.mark.parametrize("packed", [False, True])
def test_damage_is_named(packed: bool, tmp_path: Path) -> None:
    voxels = np.random.default_rng(1).integers(0, 999, (9, 8, 7), np.int16)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    whole = (tmp_path / "a.nii").read_bytes()
    cut = gzip.compress(whole)[:-20] if packed else whole[:-5]
    target = tmp_path / ("b.nii.gz" if packed else "b.nii")
    target.write_bytes(cut)
    with pytest.raises(FormatError):
        voxarium.open(target)[...]
    bomb = bytearray(whole)
    bomb[40:56] = np.array([3, 32767, 32767, 32767, 1, 1, 1, 1], "<i2").tobytes()
    (tmp_path / "c.nii.gz").write_bytes(gzip.compress(bytes(bomb)))
    with pytest.raises(UnsupportedError, match="gunzip"):
        voxarium.open(tmp_path / "c.nii.gz")
    (tmp_path / "d.nii").write_bytes(b"not an image" * 90)
    with pytest.raises(FormatError, match="no NIfTI header"):
        voxarium.open(tmp_path / "d.nii")


@given(st.data())
def test_damaged_headers_are_refused_cleanly(data: Any) -> None:
    head = bytearray(nib.Nifti1Header().binaryblock + b"\0\0\0\0")
    for at in data.draw(st.lists(st.integers(0, 343), max_size=8)):
        head[at] = data.draw(st.integers(0, 255))
    head[344:348] = b"n+1\0"
    assert has_magic(bytes(head))
    with contextlib.suppress(VoxariumError):
        parse_header(bytes(head), "a.nii")
