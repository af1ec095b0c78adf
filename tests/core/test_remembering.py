"""Opening asks a remote store each question once, however many drivers want the answer."""

from __future__ import annotations

from collections import Counter

import numpy as np

import voxarium
from voxarium.core.opening import open_in
from voxarium.stores.latency import LatencyStore
from voxarium.stores.local import LocalStore


def test_no_document_is_asked_for_twice(tmp_path, monkeypatch):
    np.save(tmp_path / "em.npy", np.ones((9, 10, 11), "u1"))
    voxarium.convert(tmp_path / "em.npy", tmp_path / "em.ome.zarr", axes="zyx", levels=2, chunk=4, shard=8)
    asked: Counter[str] = Counter()
    get = LocalStore.get

    def counting(self, key, /):
        asked[key] += 1
        return get(self, key)

    monkeypatch.setattr(LocalStore, "get", counting)
    remote = LatencyStore(LocalStore(tmp_path / "em.ome.zarr"), 0.0)
    image = open_in(remote)
    assert image.info.format == "ome-zarr"
    assert max(asked.values()) == 1, asked
    assert sum(asked.values()) <= 8, asked
    before = sum(asked.values())
    array = open_in(remote, "s0")
    assert array.info.format == "zarr3"
    assert sum(asked.values()) - before <= 20, asked
    assert (image[...] == 1).all()
