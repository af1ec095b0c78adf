"""Files named by a pattern: which plane each is, and what they are together."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.core.opening import open_in
from voxarium.errors import Code, FormatError, InputError, NotFoundError, VoxariumError
from voxarium.spec.file_patterns import arrange, parse_pattern
from voxarium.stores.memory import MemoryStore

zarr = pytest.importorskip("zarr", reason="zarr-python reads what is written")

SHAPE = (11, 7)


def plane(*numbers):
    """A plane unlike any other."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    number = 0
    for n in numbers:
        number = number * 13 + n
    return (number + 100 * y + x).astype(np.uint16)


@pytest.fixture
def screen(tmp_path):
    """Two wells of two fields, two channels, three slices; one slice was never saved."""
    folder = tmp_path / "scan"
    folder.mkdir()
    for w, well in enumerate(("B03", "A11")):
        for field in (0, 1):
            for c, channel in enumerate(("dapi", "gfp-2")):
                for z in (8, 9, 10):
                    if (well, field, c, z) != ("A11", 1, 1, 9):
                        tifffile.imwrite(folder / f"{well}_{field}_{channel}_{z}.tif", plane(w, field, c, z))
    return folder


def expected(well, field):
    w = ("B03", "A11").index(well)
    out = np.stack([[plane(w, field, c, z) for z in (8, 9, 10)] for c in (0, 1)])
    if (well, field) == ("A11", 1):
        out[1, 1] = 0
    return out


# -- names
@pytest.mark.parametrize(
    ("pattern", "key", "values"),
    [
        ("{row}{column}_f{field}_t{t}_c{c}_z{z}.tif", "AB012_f3_t00_c1_z7.tif",
         {"row": "AB", "column": "012", "field": "3", "t": "00", "c": "1", "z": "7"}),
        ("r{row}c{column}f{field}-ch{c}.tiff", "r02c11f4-ch1.tiff",
         {"row": "02", "column": "11", "field": "4", "c": "1"}),
        ("{well}/f_{field}/{well}_{c}.png", "B3/f_1/B3_GFP.png", {"well": "B3", "field": "1", "c": "GFP"}),
        ("{well}/{well}.tif", "B3/B4.tif", None),
        ("*_{z}.tif", "a_1_2_33.tif", {"z": "33"}),
        ("{day}_{z}.tif", "mon_day_3.tif", {"day": "mon_day", "z": "3"}),
        ("{day}{z}.tif", "x12.tif", {"day": "x", "z": "12"}),
        ("c{c}z{z}.tif", "c1z2.tif", {"c": "1", "z": "2"}),
        ("*{z}.tif", "a/1.tif", None),
        ("z{z}.tif", "z1.tif.tif", None),
        ("z{z}.tif", "z٣.tif", None),
    ],
)  # fmt: skip
def test_placeholders_stand_for_what_they_can(pattern, key, values):
    assert parse_pattern(pattern).match(key) == values


@pytest.mark.parametrize(
    "pattern",
    [
        "{c}{z}.tif", "{t}{z}.tif", "{row}_{z}.tif", "{well}{column}.tif", "{well}_{row}{column}.tif", "{}.tif",
        "{a b}.tif", "{z.tif", "z}.tif", "{z}[0].tif", "../{z}.tif", "/x/{z}.tif", "a//{z}.tif", "*{name}.tif",
        "{z}" + "a" * 1000, "a{z}" * 60, "-".join("*" * 9) + "{z}.tif",
    ],
)  # fmt: skip
def test_unclear_and_unsafe_patterns_are_refused(pattern):
    with pytest.raises(InputError) as caught:
        parse_pattern(pattern)
    assert caught.value.code in (Code.ARGUMENT_INVALID, Code.KEY_UNSAFE)


def test_no_name_takes_long():
    pattern = parse_pattern("a".join("*" * 8) + "{z}.tif")
    assert pattern.match("a" * 900 + "1.tif") == {"z": "1"}
    assert pattern.match("a" * 900 + ".tif") is None
    assert pattern.match("a" * 5000 + "1.tif") is None


@given(st.text("{}*?abz_/.1", max_size=30), st.lists(st.text("abz_/.1B", max_size=12), max_size=5))
def test_any_pattern_and_names_are_sorted_or_refused(pattern, keys):
    try:
        found = arrange(pattern, tuple(dict.fromkeys(keys)))
    except (InputError, FormatError):
        return
    assert sum(len(g.planes) for g in found.groups.values()) <= len(keys)


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("xyz"), st.integers(0, 120)), unique=True, min_size=1))
def test_every_file_is_found_again_at_its_position(places):
    found = arrange("t{t}/{c}_{z}.tif", tuple(f"t{t:03}/{c}_{z}.tif" for t, c, z in places))
    (group,) = found.groups.values()
    ts, cs, zs = found.positions
    assert {(int(ts[p[0]]), cs[p[1]], int(zs[p[2]])) for p in group.planes} == set(places)
    assert list(map(int, ts)) == sorted({t for t, _, _ in places})


# -- one image
def test_without_wells_the_files_are_one_image(tmp_path):
    for t in (0, 5):
        for c in ("red", "blue"):
            for z in range(9, 12):
                tifffile.imwrite(tmp_path / f"t{t}_{c}_{z}.tif", plane(t, len(c), z))
    image = voxarium.open(tmp_path / "t{t}_{c}_{z}.tif")
    assert [a.name for a in image.axes] == ["t", "c", "z", "y", "x"] and image.shape == (2, 2, 3, *SHAPE)
    assert [a.type for a in image.axes] == ["time", "channel", "space", "space", "space"]
    assert image.axes[1].labels == ("blue", "red")
    np.testing.assert_array_equal(image[1, 0, 2], plane(5, 4, 11))
    np.testing.assert_array_equal(image[0, 1, 0:2, 3:9, 2:], np.stack([plane(0, 3, z) for z in (9, 10)])[:, 3:9, 2:])


def test_planes_without_a_file_read_as_0_and_numbers_left_out_are_told(tmp_path):
    for t, z in ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1)):
        tifffile.imwrite(tmp_path / f"{t}_{z}.tif", plane(t, z))
    (tmp_path / "x_1.tif").write_bytes(b"")
    image = voxarium.open(tmp_path / "{t}_{z}.tif")
    remarks = " ".join(image.arrays[0].info.remarks)
    assert "1 of 6 planes have no file (t=4, z=2" in remarks and "t leaves out 3" in remarks and "x_1.tif" in remarks
    assert not image[2, 1].any() and image[2, 0].any()


@pytest.mark.parametrize("other", [np.zeros((11, 8), "u2"), np.zeros((11, 7), "u1"), np.zeros((2, 11, 7), "u2")])
def test_a_plane_unlike_the_others_is_named(tmp_path, other):
    for z in range(4):
        tifffile.imwrite(tmp_path / f"z{z}.tif", other if z == 2 else plane(z))
    with pytest.raises(InputError, match=r"z2\.tif") as caught:
        voxarium.open(tmp_path / "z{z}.tif")
    assert caught.value.code == Code.SLICE_MISMATCH


def test_two_files_of_one_plane_are_named(tmp_path):
    for name in ("a_1.tif", "b_1.tif"):
        tifffile.imwrite(tmp_path / name, plane(1))
    with pytest.raises(InputError, match=r"a_1\.tif and b_1\.tif") as caught:
        voxarium.open(tmp_path / "*_{z}.tif")
    assert caught.value.code == Code.SLICE_MISMATCH


def test_colours_are_a_last_axis_and_no_second_one(tmp_path):
    for z in (1, 2):
        tifffile.imwrite(tmp_path / f"{z}.tif", np.full((*SHAPE, 3), z, "u1"), photometric="rgb")
    image = voxarium.open(tmp_path / "{z}.tif")
    assert [a.name for a in image.axes] == ["z", "y", "x", "c"] and image.shape == (2, *SHAPE, 3)
    with pytest.raises(InputError) as caught:
        voxarium.open(tmp_path / "{c}.tif")
    assert caught.value.code == Code.AXES_MISMATCH


def test_nothing_that_fits_is_an_error_that_shows_what_is_there(tmp_path):
    tifffile.imwrite(tmp_path / "B03.tif", plane(1))
    with pytest.raises(NotFoundError, match=r"there is B03\.tif") as caught:
        voxarium.open(tmp_path / "{z}.tif")
    assert caught.value.code == Code.PATH_MISSING
    with pytest.raises(NotFoundError) as caught:
        voxarium.open(tmp_path / "nowhere" / "{z}.tif")
    assert caught.value.code == Code.PATH_MISSING


def test_braces_in_the_name_of_a_file_are_no_placeholder_where_it_is_there(tmp_path):
    tifffile.imwrite(tmp_path / "{z}.tif", plane(1))
    np.testing.assert_array_equal(voxarium.open(tmp_path / "{z}.tif")[...], plane(1))


def test_folders_outside_are_never_looked_at():
    store = MemoryStore()
    store.put("a/1.tif", b"")
    with pytest.raises(VoxariumError) as caught:
        open_in(store, "a/../{z}.tif")
    assert caught.value.code == Code.KEY_UNSAFE


# -- plates
def test_wells_are_a_plate_whose_images_agree(screen):
    plate = voxarium.open(screen / "{well}_{field}_{c}_{z}.tif")
    assert plate.kind == "plate" and plate.keys() == ["::/A/11/0", "::/A/11/1", "::/B/03/0", "::/B/03/1"]
    assert plate.info.facts["rows"] == ["A", "B"] and plate.info.facts["columns"] == ["03", "11"]
    assert plate.members[3].facts == {"row": "B", "column": "03", "field": 1}
    for key, image in plate.iter_images():
        _, row, column, field = key.split("/")
        np.testing.assert_array_equal(image[...], expected(row + column, int(field)))
        assert image.axes[0].labels == ("dapi", "gfp-2")
    assert not plate.problems
    assert "1 of 6" in plate["::/A/11/1"].arrays[0].info.remarks[0]
    one = voxarium.open(f"{screen}/{{row}}{{column}}_{{field}}_{{c}}_{{z}}.tif::/B/03/1")
    np.testing.assert_array_equal(one[...], expected("B03", 1))
    with pytest.raises(NotFoundError):
        voxarium.open(f"{screen}/{{well}}_{{field}}_{{c}}_{{z}}.tif::/C/03/1")


def test_folders_can_be_placeholders(tmp_path):
    for well in ("C2", "C10", "notes"):
        for field in (1, 2):
            (tmp_path / "s" / well / f"field_{field}").mkdir(parents=True)
            for z in (1, 2):
                path = tmp_path / "s" / well / f"field_{field}" / f"img_GFP_{z}.tif"
                tifffile.imwrite(path, plane(len(well), field, z))
    plate = voxarium.open(tmp_path / "s" / "{well}/field_{field}/img_{c}_{z}.tif")
    assert plate.keys() == ["::/C/2/1", "::/C/2/2", "::/C/10/1", "::/C/10/2"]
    np.testing.assert_array_equal(plate["::/C/10/2"][0, 1], plane(3, 2, 2))


def test_fields_alone_are_a_series(tmp_path):
    for field in (1, 2, 10):
        tifffile.imwrite(tmp_path / f"f{field}.tif", plane(field))
    series = voxarium.open(tmp_path / "f{field}.tif")
    assert series.kind == "series" and series.keys() == ["::/1", "::/2", "::/10"]
    np.testing.assert_array_equal(series["::/10"][...], plane(10))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_pattern_becomes_a_plate(screen, tmp_path, version):
    target = tmp_path / "plate.zarr"
    source = f"{screen}/{{well}}_{{field}}_{{c}}_{{z}}.tif"
    voxarium.convert(source, target, voxel_size=(2, 0.5, 0.5), unit="micrometer", channels=["DAPI", "GFP"],
                     spec_version=version)  # fmt: skip
    group = zarr.open_group(str(target), mode="r")
    plate = (group.attrs["ome"] if version == "0.5" else group.attrs)["plate"]
    assert [w["path"] for w in plate["wells"]] == ["A/11", "B/03"] and plate["field_count"] == 2
    for row, column, field in (("A", "11", 1), ("B", "03", 0)):
        well = group[f"{row}/{column}"].attrs
        images = (well["ome"] if version == "0.5" else well)["well"]["images"]
        assert [i["path"] for i in images] == ["0", "1"]
        image = group[f"{row}/{column}/{field}"]
        about = image.attrs["ome"] if version == "0.5" else image.attrs
        assert [c["label"] for c in about["omero"]["channels"]] == ["DAPI", "GFP"]
        (multiscale,) = about["multiscales"]
        assert [a["name"] for a in multiscale["axes"]] == ["c", "z", "y", "x"]
        assert multiscale["datasets"][0]["coordinateTransformations"][0]["scale"] == [1, 2, 0.5, 0.5]
        np.testing.assert_array_equal(image[multiscale["datasets"][0]["path"]][...], expected(row + column, field))


def test_channels_are_called_as_the_files_call_them(screen, tmp_path):
    voxarium.convert(f"{screen}/B03_0_{{c}}_{{z}}.tif", tmp_path / "one.zarr", voxel_size=(2, 1, 1), unit="micrometer")
    shown = voxarium.open(tmp_path / "one.zarr").info.display.channels
    assert [c.label for c in shown] == ["dapi", "gfp-2"]
