from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from copying_data import CONTENT, publish

import voxarium
from voxarium.stores.local import LocalStore


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch, tmp_path_factory) -> None:
    """Tests see no credentials, keys and caches of the person who runs them."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "GCS_", "VOXARIUM_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("VOXARIUM_KEYS", str(tmp_path_factory.mktemp("keys")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


@pytest.fixture
def content() -> dict[str, bytes]:
    return dict(CONTENT)


@pytest.fixture
def dataset(tmp_path):
    """A local dataset with two releases; something was added after the second."""
    store = LocalStore(tmp_path / "brain")
    for key, data in CONTENT.items():
        store.put(key, data)
    publish(store, "v1.0")
    store.put("em/s1/c/0", b"more")
    store.put("dataset.json", CONTENT["dataset.json"].replace(b"Ada", b"Eve"))
    publish(store, "v1.1")
    store.put("draft/c/0", b"later")
    return store


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """An OME-Zarr image with three sharded levels and a label image."""
    folder, rng = tmp_path_factory.mktemp("template"), np.random.default_rng(0)
    np.save(folder / "em.npy", rng.integers(1, 200, (20, 28, 36)).astype(np.uint8))
    np.save(folder / "cells.npy", rng.integers(1, 9, (20, 28, 36)).astype(np.uint16))
    choices = {"axes": "zyx", "voxel_size": (8, 4, 4), "unit": "nanometer", "chunk": 4, "shard": 8, "levels": 3}
    voxarium.convert(folder / "em.npy", folder / "em.zarr", **choices)
    voxarium.convert(folder / "cells.npy", folder / "em.zarr/labels/cells", role="label", **choices)
    return folder


@pytest.fixture
def image(template, tmp_path):
    """A fresh copy of it."""
    shutil.copytree(template / "em.zarr", tmp_path / "em.zarr")
    return tmp_path / "em.zarr"
