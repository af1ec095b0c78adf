"""Layouts: where members go, and which names are refused, with the rule and the mend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.archive.layouts import LAYOUTS, Facts, layout_named
from voxarium.errors import InputError

CELLMAP = LAYOUTS["cellmap"]
NAME = "jrc_hela-2"


@pytest.mark.parametrize(
    ("given_name", "facts", "name", "path"),
    [
        ("em/fibsem-uint8", Facts(), "em/fibsem-uint8", "jrc_hela-2.zarr/recon-1/em/fibsem-uint8"),
        ("recon-1/em/fibsem-uint8", Facts(), "em/fibsem-uint8", "jrc_hela-2.zarr/recon-1/em/fibsem-uint8"),
        ("recon-2/em/fibsem-uint8", Facts(), "recon-2/em/fibsem-uint8", "jrc_hela-2.zarr/recon-2/em/fibsem-uint8"),
        ("jrc_hela-2.zarr/em/tem-uint8", Facts(), "em/tem-uint8", "jrc_hela-2.zarr/em/tem-uint8"),
        ("em/tem-uint8", Facts(format="cosem"), "n5/em/tem-uint8", "jrc_hela-2.n5/em/tem-uint8"),
        ("n5/em/tem-uint8", Facts(), "n5/em/tem-uint8", "jrc_hela-2.n5/em/tem-uint8"),
        ("lm/er_palm", Facts(dtype="uint16"), "lm/er_palm", "jrc_hela-2.zarr/recon-1/lm/er_palm"),
        (
            "labels/ariadne/nucleus_instance_seg",
            Facts(dtype="uint64", role="label"),
            "labels/ariadne/nucleus_instance_seg",
            "jrc_hela-2.zarr/recon-1/labels/ariadne/nucleus_instance_seg",
        ),
        (
            "labels/groundtruth/crop7/mito",
            Facts(),
            "labels/groundtruth/crop7/mito",
            "jrc_hela-2.zarr/recon-1/labels/groundtruth/crop7/mito",
        ),
        ("mesh/mito_seg", Facts(kind="mesh"), "mesh/mito_seg", "neuroglancer/mesh/mito_seg"),
        ("neuroglancer/mesh/mito_seg", Facts(), "mesh/mito_seg", "neuroglancer/mesh/mito_seg"),
        (
            "neuroglancer/em/fibsem-uint8.precomputed",
            Facts(kind="image"),
            "neuroglancer/em/fibsem-uint8.precomputed",
            "neuroglancer/em/fibsem-uint8.precomputed",
        ),
        ("tables/synapses", Facts(kind="table"), "tables/synapses", "tables/synapses"),
    ],
)
def test_members_of_cellmap_go_where_its_conventions_say(given_name, facts, name, path):
    place = CELLMAP.place(NAME, given_name, facts)
    assert (place.name, place.path) == (name, path)
    assert CELLMAP.place(NAME, place.path, facts) == place


@pytest.mark.parametrize(
    ("given_name", "facts", "rule", "mend"),
    [
        ("fibsem", Facts(dtype="uint8"), "L2", "em/NAME"),
        ("em/fibsem", Facts(dtype="uint8"), "L4", "em/fibsem-uint8"),
        ("em/a/fibsem-uint8", Facts(), "L4", "em/MODALITY-TYPE"),
        ("em/fibsem-uint16", Facts(dtype="uint8"), "L4", "call it em/fibsem-uint8"),
        ("lm/a/b", Facts(), "L5", "one name"),
        ("labels/mito_seg", Facts(dtype="float32"), "L6", "labels/mito_pred"),
        ("labels/mito_pred", Facts(dtype="uint8", role="label"), "L6", "labels/mito_seg"),
        ("labels/groundtruth/mito", Facts(), "L10", "crop1"),
        ("labels/groundtruth/one/mito", Facts(), "L10", "crop1"),
        ("mesh/a/mito_seg", Facts(kind="mesh"), "L7", "mesh/mito_seg"),
        ("neuroglancer/fibsem", Facts(kind="image"), "L2", "precomputed"),
        ("em/fibsem-uint8", Facts(levels=("0", "1")), "L9", "s0, s1"),
        ("labels/what is this", Facts(), "L2", "letters"),
        ("plate", Facts(kind="collection"), "L2", "path of its own"),
    ],
)
def test_other_names_are_refused_with_the_rule_and_the_mend(given_name, facts, rule, mend):
    with pytest.raises(InputError, match=rf"\(rule {rule} ") as caught:
        CELLMAP.place(NAME, given_name, facts)
    assert mend in caught.value.fix


@pytest.mark.parametrize("name", ["jrc_hela-2", "aic_desmosome-2", "jrc_mus-pacinian-corpuscle"])
def test_names_of_real_datasets_are_accepted(name):
    CELLMAP.check_name(name)


@pytest.mark.parametrize("name", ["hela", "JRC_hela", "jrc_hela_2", "jrc_", "_hela", "jrc_hela 2", "jrc_../x"])
def test_other_names_of_datasets_are_refused(name):
    with pytest.raises(InputError, match="rule L1"):
        CELLMAP.check_name(name)


def test_recommendations_are_told_not_enforced():
    place = CELLMAP.place(NAME, "labels/mito_seg", Facts(dtype="uint32", role="label"))
    assert any("L6" in note for note in CELLMAP.notes(NAME, place, Facts(), {"labels/mito_seg": "label"}))
    assert not CELLMAP.notes(NAME, place, Facts(), {"labels/mito_seg": "label", "labels/mito_pred": "image"})
    mesh = CELLMAP.place(NAME, "mesh/er_seg", Facts(kind="mesh"))
    assert any("L7" in note for note in CELLMAP.notes(NAME, mesh, Facts(), {"labels/mito_seg": "label"}))


@pytest.mark.parametrize(
    ("given_name", "facts", "fits"),
    [
        ("color", Facts(kind="image"), True),
        ("color_1-b.c", Facts(kind="image"), True),
        ("em/color", Facts(kind="image"), False),
        ("colour image", Facts(kind="image"), False),
        ("segmentation/meshes/lod0", Facts(kind="mesh"), True),
        ("meshes", Facts(kind="mesh"), False),
        ("plate", Facts(kind="collection"), False),
    ],
)
def test_layers_of_webknossos_lie_side_by_side(given_name, facts, fits):
    layout = LAYOUTS["webknossos"]
    if fits:
        assert layout.place("ds", given_name, facts).path == given_name
        return
    with pytest.raises(InputError) as caught:
        layout.place("ds", given_name, facts)
    assert caught.value.fix


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@given(
    st.text(max_size=30) | st.lists(st.sampled_from(["em", "..", "labels", "", "recon-1", "n5"])).map("/".join),
    st.sampled_from(["", "image", "label", "mesh", "table", "collection"]),
)
def test_whatever_is_asked_for_stays_in_the_dataset(layout, given_name, kind):
    try:
        place = LAYOUTS[layout].place(NAME, given_name, Facts(kind=kind))
    except InputError as error:
        assert error.fix  # noqa: PT017  either is right
        return
    assert not {"..", "", "."} & {*place.path.split("/")}
    assert place.path.split("/")[0] not in ("provenance-log", "releases", "dataset.json")


def test_an_unknown_layout_is_refused():
    with pytest.raises(InputError, match="no layout is called 'bids'"):
        layout_named("bids")
