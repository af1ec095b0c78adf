from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from export_data import made


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> None:
    """Tests see no keys and no name of the person who runs them, and do not wait for the machine's disks."""
    for name in list(os.environ):
        if name.startswith("VOXARIUM_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("VOXARIUM_KEYS", str(tmp_path_factory.mktemp("keys")))
    monkeypatch.setattr(os, "sync", lambda: None)  # would wait for whatever else the machine writes


@pytest.fixture(scope="session")
def brain(tmp_path_factory) -> str:
    """A dataset with two releases, only to be read."""
    return made(tmp_path_factory.mktemp("data") / "brain")
