"""An image whose conversion has not ended is never mistaken for one that is whole."""

from __future__ import annotations

import json

import pytest

from voxarium.core.hierarchy import walk
from voxarium.core.opening import open_image, open_in
from voxarium.errors import Code, NotFoundError
from voxarium.stores.memory import MemoryStore

JOB = ".voxarium/job.json"
ARRAY = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [2, 3, 4],
    "data_type": "uint8",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 3, 4]}},
    "chunk_key_encoding": {"name": "default"},
    "fill_value": 0,
    "codecs": [{"name": "bytes"}],
}


class RemoteStore(MemoryStore):
    """A store where every question is a request."""

    concurrency = 32

    def __init__(self):
        super().__init__()
        self.asked = []

    def stat(self, key, /):
        self.asked.append(key)
        return super().stat(key)


@pytest.fixture(params=[MemoryStore, RemoteStore])
def store(request):
    """A target whose levels are written, but not the image."""
    store = request.param()
    store.put("em/s0/zarr.json", json.dumps(ARRAY).encode())
    store.put(f"em/{JOB}", b"{}")
    return store


def test_opening_says_incomplete_and_how_to_go_on(store):
    with pytest.raises(NotFoundError, match="incomplete") as caught:
        open_in(store, "em")
    assert caught.value.code == Code.IMAGE_INCOMPLETE
    assert "--resume" in caught.value.fix


def test_levels_of_an_incomplete_image_are_no_dataset(store):
    store.put("other/zarr.json", json.dumps(ARRAY).encode())
    assert open_in(store).keys() == ["other"]


def test_the_hierarchy_marks_it(store):
    store.put("other/zarr.json", json.dumps(ARRAY).encode())
    assert {n.name: n.kind for n in walk(store, "", depth=3).children} == {"em": "incomplete", "other": "array"}


def test_a_whole_image_costs_a_remote_store_no_further_request():
    store = RemoteStore()
    store.put("a/zarr.json", json.dumps(ARRAY).encode())
    assert open_image(store, "a").shape == (2, 3, 4)
    assert f"a/{JOB}" not in store.asked
