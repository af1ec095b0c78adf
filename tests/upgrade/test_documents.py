"""Documents in, documents out: junk gives errors of ours, valid metadata of 0.4 become valid 0.5 and 0.6."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.errors import FormatError, UnsupportedError
from voxarium.formats.ome_zarr_upgrade import OmeZarrUpgrade
from voxarium.spec import ome_upgrade
from voxarium.spec.ome.rules import check_attributes, counting

SUITE = Path(__file__).resolve().parents[3] / "shared" / "data" / "ngff" / "ngff-spec" / "0.4" / "examples"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "multiscales",
                    "axes",
                    "datasets",
                    "path",
                    "coordinateTransformations",
                    "type",
                    "scale",
                    "name",
                    "ome",
                    "labels",
                    "plate",
                    "wells",
                    "version",
                    "translation",
                    "shape",
                    "chunks",
                    "dtype",
                    "filters",
                    "id",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=14,
)


@settings(max_examples=200, deadline=None)
@given(
    attributes=st.dictionaries(st.sampled_from(["multiscales", "ome", "labels", "plate"]), JSON),
    array=JSON,
    raw=st.binary(),
)
def test_junk_gives_documents_or_our_errors(attributes, array, raw):
    driver = OmeZarrUpgrade()
    documents = [
        {".zgroup": b'{"zarr_format": 2}', ".zattrs": json.dumps(attributes).encode()},
        {".zarray": json.dumps(array).encode()},
        {"zarr.json": json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {"ome": array}}).encode()},
        {"zarr.json": raw},
        {".zattrs": raw},
    ]
    for found in documents:
        for target in driver.targets:
            driver.kind(found)
            try:
                done = driver.upgrade("a", found, target, array, lambda path: {})
            except (FormatError, UnsupportedError):
                continue
            for data in done.written.values():
                json.loads(data, parse_constant=pytest.fail)


@pytest.mark.skipif(not SUITE.exists(), reason="the official examples are not here")
def test_the_official_examples_of_0_4_become_valid_0_5_and_0_6():
    seen = 0
    for file in sorted(SUITE.rglob("*.json")):
        attributes = json.loads("\n".join(x for x in file.read_text().splitlines() if not x.strip().startswith("//")))
        if list(counting(check_attributes(attributes), "spec")):
            continue
        ome, _ = ome_upgrade.ome_content(attributes, "OME")
        if not ome:
            continue
        shapes = {p: (1,) * len(ome["multiscales"][0]["axes"]) for p in ome_upgrade.level_paths(ome)}
        done = ome_upgrade.upgrade_to_05(ome, shapes)
        later = ome_upgrade.upgrade_to_06(done.ome)
        for found in (done.ome, later.ome):
            assert not list(counting(check_attributes({"ome": found}), "spec")), file
        seen += 1
    assert seen >= 5


def test_what_0_6_cannot_say_is_refused():
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "path": "numbers"}]}
    ome = {"version": "0.5", "multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [level]}]}
    with pytest.raises(UnsupportedError, match="in an array"):
        ome_upgrade.upgrade_to_06(ome)


def test_a_level_leads_to_the_one_coordinate_system():
    steps = [{"type": "scale", "scale": [2, 3]}, {"type": "translation", "translation": [0, 1]}]
    body = {"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    body |= {"coordinateTransformations": [{"type": "scale", "scale": [10, 10]}], "type": "mean"}
    done = ome_upgrade.upgrade_to_06({"version": "0.5", "multiscales": [body], "omero": {"a": 1}})
    moved = [{"type": "scale", "scale": [20, 30]}, {"type": "translation", "translation": [0, 10]}]
    assert done.ome == {
        "version": "0.6",
        "multiscales": [
            {
                "coordinateSystems": [{"name": "physical", "axes": [{"name": "y"}, {"name": "x"}]}],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [
                            {
                                "type": "sequence",
                                "transformations": moved,
                                "input": {"path": "0"},
                                "output": {"name": "physical"},
                            }
                        ],
                    }
                ],
                "type": "mean",
            }
        ],
        "omero": {"a": 1},
    }
