"""Transform files against SimpleITK, and by hand; round trips; refusals with a reason; junk."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.core.transform_files import read_transform, transform_dialects, write_transform
from voxarium.errors import ExistsError, FormatError, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.model.transforms import Affine, Identity, MapAxis, Rotation, Scale, Sequence, Transform, Translation
from voxarium.model.vector_field import ArrayField, VectorField
from voxarium.model.warps import Displacements, ProjectAxis

POINTS = np.random.default_rng(4).uniform(-40, 40, (25, 3))  # z, y, x


def sitk() -> Any:
    return pytest.importorskip("SimpleITK", reason="SimpleITK is the judge of ITK's transforms")


def as_itk(transform: Any, points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Map C-order points by a transform of SimpleITK, which takes x, y, z."""
    return np.array([transform.TransformPoint(p[::-1].tolist())[::-1] for p in points])


def made(kind: str) -> Any:  # noqa: PLR0911 - one return per kind
    s = sitk()
    centre = (3.0, -7.0, 11.0)
    match kind:
        case "translation":
            return s.TranslationTransform(3, (1.0, 2.0, 3.0))
        case "scale":
            return s.ScaleTransform(3, (2.0, 0.5, -3.0))
        case "scale around a centre":
            t = s.ScaleTransform(3, (2.0, 0.5, 3.0))
            t.SetCenter(centre)
            return t
        case "affine":
            t = s.AffineTransform(3)
            t.SetMatrix((1.1, 0.2, -0.3, 0.4, 0.9, 0.1, -0.2, 0.3, 1.3))
            t.SetTranslation((5.0, -6.0, 7.0))
            t.SetCenter(centre)
            return t
        case "euler":
            return s.Euler3DTransform(centre, 0.3, -0.5, 1.2, (4.0, 5.0, 6.0))
        case "euler zyx":
            t = s.Euler3DTransform(centre, 0.3, -0.5, 1.2, (4.0, 5.0, 6.0))
            t.SetComputeZYX(True)
            return t
        case "rigid":
            return s.VersorRigid3DTransform((0.3, -0.2, 0.9), 0.7, (1.0, 2.0, 3.0), centre)
        case "similarity":
            return s.Similarity3DTransform(1.7, (0.3, -0.2, 0.9), 0.7, (1.0, 2.0, 3.0), centre)
        case "identity":
            return s.Transform(3, s.sitkIdentity)
        case _:
            return s.CompositeTransform([made("affine"), made("translation"), made("euler"), made("scale")])


KINDS = [
    "translation", "scale", "scale around a centre", "affine", "euler", "euler zyx", "rigid", "similarity", "identity",
    "composite",
]  # fmt: skip


@pytest.mark.parametrize("suffix", [".tfm", ".txt", ".h5"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_simpleitk_writes_maps_points_as_it_does_and_survives_the_round_trip(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    theirs = made(kind)
    file = tmp_path / f"a{suffix}"
    sitk().WriteTransform(theirs, str(file))
    found = read_transform(file)
    assert (found.format, found.source.name, found.source.axes[0].orientation) == (
        "itk", "LPS", "inferior-to-superior",
    )  # fmt: skip
    np.testing.assert_allclose(found.transform.apply(POINTS), as_itk(theirs, POINTS), rtol=0, atol=1e-9)
    for again in (f"b{suffix}", "b.h5", "b.tfm"):
        write_transform(found, tmp_path / again, overwrite=True)
        back = sitk().ReadTransform(str(tmp_path / again))
        np.testing.assert_allclose(as_itk(back, POINTS), as_itk(theirs, POINTS), rtol=0, atol=1e-9)
        assert read_transform(tmp_path / again).transform == found.transform


def test_a_composite_applies_the_last_transform_first(tmp_path: Path) -> None:
    (tmp_path / "c.tfm").write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: CompositeTransform_double_2_2\n"
        "#Transform 1\nTransform: ScaleTransform_double_2_2\nParameters: 2 3\nFixedParameters: 0 0\n"
        "#Transform 2\nTransform: TranslationTransform_double_2_2\nParameters: 10 20\nFixedParameters:\n"
    )
    found = read_transform(tmp_path / "c.tfm").transform
    assert found == Sequence((Translation((20, 10)), Scale((3, 2))))
    assert found.apply((1, 1)).tolist() == [63, 22]


def test_two_dimensional_rotations_agree_with_simpleitk(tmp_path: Path) -> None:
    s = sitk()
    points = POINTS[:, :2]
    for theirs in (
        s.Euler2DTransform((3.0, 4.0), 0.4, (1.0, -2.0)),
        s.Similarity2DTransform(1.5, 0.4, (1.0, -2.0), (3.0, 4.0)),
    ):
        s.WriteTransform(theirs, str(tmp_path / "r.tfm"))
        found = read_transform(tmp_path / "r.tfm")
        np.testing.assert_allclose(found.transform.apply(points), as_itk(theirs, points), rtol=0, atol=1e-9)
        assert "centre" in found.notes[0]


def test_an_itk_displacement_field_agrees_inside_and_outside(tmp_path: Path) -> None:
    s = sitk()
    vectors = np.random.default_rng(8).normal(size=(6, 7, 8, 3))
    image = s.GetImageFromArray(vectors, isVector=True)
    image.SetOrigin((-10.0, 5.0, 2.0))
    image.SetSpacing((2.0, 3.0, 4.0))
    turn = np.linalg.qr(np.random.default_rng(9).normal(size=(3, 3)))[0]
    image.SetDirection(turn.ravel().tolist())
    theirs = s.DisplacementFieldTransform(s.Image(image))
    s.WriteTransform(s.CompositeTransform([made("affine"), theirs]), str(tmp_path / "d.h5"))
    found = read_transform(tmp_path / "d.h5").transform
    both = s.CompositeTransform([made("affine"), theirs])
    index = np.random.default_rng(10).uniform(-1, 1, (200, 3)) * (9, 8, 7) + (3, 3, 3)
    points = np.array([image.TransformContinuousIndexToPhysicalPoint(i.tolist())[::-1] for i in index])
    np.testing.assert_allclose(found.apply(points), as_itk(both, points), rtol=0, atol=1e-9)
    write_transform(found, tmp_path / "again.h5", orientation="LPS")
    np.testing.assert_allclose(
        as_itk(s.ReadTransform(str(tmp_path / "again.h5")), points), as_itk(both, points), rtol=0, atol=1e-9
    )
    with pytest.raises(UnsupportedError, match=r"\.h5|as text"):
        write_transform(found, tmp_path / "again.tfm", orientation="LPS")


def test_matrices_as_ants_writes_them_are_read(tmp_path: Path) -> None:
    def variable(name: bytes, values: list[float], order: str = "<") -> bytes:
        kind = 0 if order == "<" else 1000
        head = struct.pack(f"{order}5i", kind, len(values), 1, 0, len(name) + 1)
        return head + name + b"\0" + struct.pack(f"{order}{len(values)}d", *values)

    numbers = [1.0, 0.2, 0, 0, 1, 0, 0, 0, 1, 7, 8, 9]
    for order in "<>":
        raw = variable(b"AffineTransform_double_3_3", numbers, order) + variable(b"fixed", [1.0, 2, 3], order)
        (tmp_path / "a.mat").write_bytes(raw)
        found = read_transform(tmp_path / "a.mat").transform
        assert found.apply((0, 0, 0)).tolist() == [9, 8, 7 + 1 - (1 + 0.4)]
        for cut in range(21, len(raw), 9):
            (tmp_path / "cut.mat").write_bytes(raw[:cut])
            with pytest.raises(VoxariumError):
                read_transform(tmp_path / "cut.mat")


def test_orientations_change_exactly(tmp_path: Path) -> None:
    matrix = np.array([[1.0, 0.1, 0, 5], [0, 0.9, 0.2, -6], [0.3, 0, 1.1, 7], [0, 0, 0, 1]])
    (tmp_path / "m.txt").write_text("\n".join(" ".join(map(str, row)) for row in matrix))
    ras = read_transform(tmp_path / "m.txt")
    assert (ras.format, ras.source.name) == ("matrix", "RAS")
    p = np.array([1.0, 2.0, 3.0])
    assert ras.transform.apply(p[::-1]).tolist() == pytest.approx((matrix[:3, :3] @ p + matrix[:3, 3])[::-1])
    lps = read_transform(tmp_path / "m.txt", orientation="LPS")
    flip = np.diag([-1, -1, 1.0])
    by_hand = flip @ (matrix[:3, :3] @ flip @ p + matrix[:3, 3])
    assert lps.transform.apply(p[::-1]).tolist() == pytest.approx(by_hand[::-1])
    write_transform(ras, tmp_path / "m.tfm")
    assert read_transform(tmp_path / "m.tfm").transform.apply(p[::-1]).tolist() == pytest.approx(by_hand[::-1])
    back = read_transform(tmp_path / "m.tfm", orientation="RAS")
    write_transform(back, tmp_path / "again.mtx")
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "again.mtx"), matrix)
    undone = read_transform(tmp_path / "m.txt", backward=True).transform
    np.testing.assert_allclose(undone.apply(ras.transform.apply(POINTS)), POINTS, rtol=0, atol=1e-9)
    with pytest.raises(InputError, match=r"orientation"):
        read_transform(tmp_path / "m.txt", orientation="ASL")


def test_a_matrix_of_fsl_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "flirt.mat").write_text("1 0 0 5 \n0 1 0 6 \n0 0 1 7 \n0 0 0 1 \n")
    with pytest.raises(UnsupportedError, match="FSL"):
        read_transform(tmp_path / "flirt.mat")


def test_affines_of_bigdataviewer_round_trip(tmp_path: Path) -> None:
    numbers = [1.0, 2, 3, 4, 5, 6.5, 7, 8, 9, 10, 11.25, 12]
    (tmp_path / "a.txt").write_text(" ".join(map(str, numbers)))
    found = read_transform(tmp_path / "a.txt")
    assert found.format == "bdv-affine"
    assert found.transform.apply((0, 0, 1)).tolist() == [9 + 12, 5 + 8, 1 + 4]
    for name in ("b.xml", "b.txt"):
        write_transform(found, tmp_path / name, format="bdv-affine")
        assert read_transform(tmp_path / name).transform == found.transform
    (tmp_path / "v.xml").write_text(
        "<ViewRegistration timepoint='0' setup='0'><ViewTransform type='affine'><affine>1 0 0 10 0 1 0 0 0 0 1 0"
        "</affine></ViewTransform><ViewTransform type='affine'><affine>2 0 0 0 0 2 0 0 0 0 2 0</affine>"
        "</ViewTransform></ViewRegistration>"
    )
    assert read_transform(tmp_path / "v.xml").transform.apply((1, 1, 1)).tolist() == [2, 2, 12]
    for text in ("<affine>1 2</affine>", "<ViewRegistration/>", "<affine>" + "nan " * 12 + "</affine>"):
        (tmp_path / "bad.xml").write_text(text)
        with pytest.raises(FormatError):
            read_transform(tmp_path / "bad.xml")


def test_landmarks_of_bigwarp_give_a_spline_both_ways(tmp_path: Path) -> None:
    (tmp_path / "landmarks.csv").write_text(
        '"Pt-0","true","0.0","0.0","0.0","1.0","2.0","3.0"\n'
        '"Pt-1","true","10.0","0.0","0.0","11.5","2.0","3.0"\n'
        '"Pt-2","true","0.0","10.0","0.0","1.0","12.5","3.0"\n'
        '"Pt-3","true","0.0","0.0","10.0","1.0","2.0","13.5"\n'
        '"Pt-4","true","7.0","8.0","9.0","8.0","10.0","12.0"\n'
        '"Pt-5","false","7.0","7.0","7.0","0.0","0.0","0.0"\n'
        '"Pt-6","true","7.0","7.0","7.0","Infinity","Infinity","Infinity"\n'
    )
    there = read_transform(tmp_path / "landmarks.csv")
    assert (there.source.name, there.target.name) == ("moving", "fixed")
    assert there.notes == ("2 pairs of points are inactive or incomplete; they are left out",)
    assert there.transform.apply((9, 8, 7)).tolist() == pytest.approx([12, 10, 8])
    back = read_transform(tmp_path / "landmarks.csv", backward=True)
    assert (back.source.name, back.target.name) == ("fixed", "moving")
    assert back.transform.apply((12, 10, 8)).tolist() == pytest.approx([9, 8, 7])
    write_transform(there, tmp_path / "again.csv")
    assert read_transform(tmp_path / "again.csv").transform == there.transform


@pytest.mark.parametrize(
    ("transform", "name"),
    [
        (ProjectAxis((0,)), "a.tfm"),
        (Affine(((1, 0, 0, 0), (0, 1, 0, 0))), "a.tfm"),
        (Scale((1, 2, 3, 4)), "a.tfm"),
        (Displacements("elsewhere"), "a.h5"),
        (Displacements(field=VectorField(ArrayField(np.zeros((3, 3, 3, 3))), interpolation="nearest")), "a.h5"),
        (Scale((1, 2)), "a.mtx"),
        (Scale((1, 2, 3)), "a.csv"),
        (ThinPlateSpline(((0.0, 0, 0),), ((1.0, 0, 0),)), "a.tfm"),
    ],
)
def test_what_a_dialect_cannot_hold_is_refused(tmp_path: Path, transform: Transform, name: str) -> None:
    with pytest.raises((UnsupportedError, InputError)):
        write_transform(transform, tmp_path / name, orientation="LPS")
    assert not (tmp_path / name).exists()


def test_a_transform_without_orientation_is_not_written_as_an_anatomical_one(tmp_path: Path) -> None:
    for name in ("a.tfm", "a.mtx"):
        with pytest.raises(UnsupportedError, match=r"orientation|LPS"):
            write_transform(Scale((1, 2, 3)), tmp_path / name)
    write_transform(Identity(), tmp_path / "i.tfm", orientation="RAS")
    with pytest.raises(ExistsError):
        write_transform(Identity(), tmp_path / "i.tfm", orientation="RAS")
    with pytest.raises(InputError, match="ending"):
        write_transform(Identity(), tmp_path / "i.dat", orientation="RAS")
    with pytest.raises(NotFoundError):
        read_transform(tmp_path / "nothing.tfm")
    (tmp_path / "note.txt").write_text("see you at the microscope")
    with pytest.raises(NotFoundError):
        read_transform(tmp_path / "note.txt")


STEPS = st.sampled_from(
    [
        Identity(),
        Scale((2.0, -0.5, 4.0)),
        Translation((1.0, -2.0, 3.5)),
        MapAxis((2, 0, 1)),
        Rotation(((0, -1, 0), (1, 0, 0), (0, 0, 1))),
        Affine(((1, 0.2, 0.3, 4), (0.5, 1, 0.7, 8), (0.9, 0.1, 2, 12))),
    ]
)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(STEPS, min_size=1, max_size=5), orientation=st.sampled_from(["LPS", "RAS"]))
def test_any_chain_survives_itk_files(
    steps: list[Transform], orientation: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("t")
    for name in ("a.tfm", "a.h5"):
        write_transform(Sequence(tuple(steps)), folder / name, orientation=orientation)
        found = read_transform(folder / name, orientation=orientation).transform
        np.testing.assert_allclose(found.apply(POINTS), Sequence(tuple(steps)).apply(POINTS), rtol=1e-12, atol=1e-9)


@settings(max_examples=300, deadline=None)
@given(
    raw=st.binary(max_size=200)
    | st.text(alphabet=' \n,;:."0123456789-eTransformParametersFixed_<affine>/\t#inf', max_size=200).map(str.encode)
    | st.lists(st.floats().map(str), min_size=10, max_size=17).map(lambda v: " ".join(v).encode()),
    head=st.sampled_from(
        [b"", b"#Insight Transform File V1.0\nTransform: ", b"\x89HDF\r\n\x1a\n", b"<affine>", b'"a","true","1"']
    ),
    name=st.sampled_from(["a.tfm", "a.mat", "a.xml", "a.csv", "a.h5"]),
)
def test_junk_gives_errors_of_this_package_only(raw: bytes, head: bytes, name: str) -> None:
    for dialect in transform_dialects():
        dialect.claims(name, head + raw)
        with contextlib.suppress(FormatError, UnsupportedError):
            dialect.parse(name, head + raw)


def test_the_functions_are_public() -> None:
    assert voxarium.read_transform is read_transform
    assert voxarium.write_transform is write_transform
