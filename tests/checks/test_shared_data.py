"""What its own project calls valid breaks no rule of a specification; what is known to be broken is listed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxarium.core.registry import check_drivers
from voxarium.stores.local import LocalStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
DRIVERS = {d.name: d for d in check_drivers() if d.name in ("zarr2", "zarr3", "n5", "cosem", "cellmap")}
FOLDERS = ("neuroglancer", "ngff", "neuro", "n5", "webknossos", "cellmap")

# Upstream faults, all described in docs/explanation/checked-formats.md: the start of the key, and the rule.
KNOWN = {
    # not JSON: a literal newline within a text, in documents that are to be invalid for another reason
    ("ngff", "ngff-spec/0.6rc0/tests/zarr/spec/invalid/label/colors_rgba_length.ome.zarr/zarr.json", "Z3-011"),
    ("ngff", "ngff-spec/0.6rc0/tests/zarr/spec/invalid/plate/zero_field_count.ome.zarr/zarr.json", "Z3-011"),
}
# Demands of the text alone, which the projects' own readers do not make.
TEXT = {
    ("neuroglancer", "testdata/datasource/zarr/zarr_v3/from_zarrita/data.zarr/1d.contiguous.b1/zarr.json", "Z3-016"),
    (
        "neuroglancer",
        "testdata/datasource/zarr/zarr_v3/from_zarrita/data.zarr/1d.contiguous.compressed.sharded.b1/zarr.json",
        "Z3-016",
    ),
    (
        "neuroglancer",
        "testdata/datasource/zarr/zarr_v3/from_zarrita/data.zarr/3d.chunked.mixed.i2.F/zarr.json",
        "Z3-017",
    ),
    ("n5", "universe/src/test/resources/ngff.n5/ngff_grpAttributes/attributes.json", "CO-005"),
    ("n5", "universe/src/test/resources/test.n5/c0/s0/attributes.json", "CO-003"),
    ("n5", "universe/src/test/resources/test.n5/c0/s1/attributes.json", "CO-003"),
}

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="shared data are not here")


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_valid_data_break_no_rule_of_a_specification(check_store, driver, folder):
    found = check_store(DRIVERS[driver], LocalStore(SHARED / folder), "hierarchy")
    broken = {(folder, f.key, f.rule) for f in found if f.level == "must" and f.basis in ("both", "schema")}
    assert broken - KNOWN == set()


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_demands_of_the_text_alone_are_those_known(check_store, driver):
    broken = set()
    for folder in FOLDERS:
        found = check_store(DRIVERS[driver], LocalStore(SHARED / folder), "hierarchy")
        broken |= {(folder, f.key, f.rule) for f in found if f.level == "must" and f.basis == "text"}
    assert broken == {t for t in TEXT if t[2][:2] == {"zarr3": "Z3", "cosem": "CO"}.get(driver)}


def test_golden_containers_are_read_with_hints_only(check_store):
    store = LocalStore(SHARED / "n5")
    found = {
        f.rule for name in ("n5", "cosem") for f in check_store(DRIVERS[name], store, "hierarchy") if "golden" in f.key
    }
    assert found == {"N5-010"}
