"""How often a store is asked: as often as there are images, not as often as there are chunks."""

from __future__ import annotations

import json

import pytest

from voxarium.model.wrapping import StoreWrapper
from voxarium.stores.audit import AuditStore
from voxarium.stores.memory import MemoryStore
from voxarium.validation.examples import bases
from voxarium.validation.running import validate_in

MOST_PER_IMAGE = 20  # a well and its image, each asked for the documents of a few formats


class Far(StoreWrapper):
    """A store where questions cost."""

    @property
    def concurrency(self):
        return 16


def plate(wells):
    """Return a plate of one row, each well with one image, and the store's audit."""
    objects = {}
    image = dict(bases()["image"]())
    columns = [{"name": str(i + 1)} for i in range(wells)]
    listed = [{"path": f"A/{i + 1}", "rowIndex": 0, "columnIndex": i} for i in range(wells)]
    group = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    ome = {"version": "0.5", "plate": {"name": "p", "rows": [{"name": "A"}], "columns": columns, "wells": listed}}
    ome["plate"] |= {"field_count": 1, "version": "0.5"}
    objects["zarr.json"] = json.dumps({**group, "attributes": {"ome": ome}}).encode()
    objects["A/zarr.json"] = json.dumps(group).encode()
    for i in range(wells):
        well = {"ome": {"version": "0.5", "well": {"version": "0.5", "images": [{"path": "0"}]}}}
        objects[f"A/{i + 1}/zarr.json"] = json.dumps({**group, "attributes": well}).encode()
        objects |= {f"A/{i + 1}/0/{key}": raw for key, raw in image.items()}
    store = MemoryStore()
    for key, raw in objects.items():
        store.put(key, raw)
    return AuditStore(Far(store))


@pytest.mark.parametrize("wells", [3, 40])
def test_documents_of_a_plate_are_asked_for_a_few_times_each(wells):
    audit = plate(wells)
    report = validate_in(audit, depth="document")
    assert report.valid and report.examined["images"] == wells
    assert audit.round_trips <= 20 + MOST_PER_IMAGE * wells
    assert not any("/c/" in key for key in audit.reads_per_key)


def test_nothing_is_read_of_chunks_until_depth_data():
    audit = plate(3)
    for depth in ("hierarchy", "census"):
        assert validate_in(audit, depth=depth).valid
    assert not any("/c/" in key for key in audit.reads_per_key)
    assert validate_in(audit, depth="data").valid
    assert any("/c/" in key for key in audit.reads_per_key)


def test_a_well_that_is_missing_is_one_finding_and_a_few_requests():
    audit = plate(4)
    for key in list(dict(audit.list("A/2"))):
        audit.inner.inner.delete(key)
    audit.reset()
    validate_in(audit, depth="document")
    assert audit.round_trips <= 20 + MOST_PER_IMAGE * 4
    found = [f.rule for f in validate_in(audit, depth="hierarchy").findings]
    assert found == ["OZ05-PL-007"]
