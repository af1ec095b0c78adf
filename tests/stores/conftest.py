from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def no_cloud_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no credentials and no endpoints of the person who runs them."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "GCS_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
