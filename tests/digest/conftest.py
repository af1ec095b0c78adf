from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def array_of():
    """Make an Array of a NumPy array: ``array_of(data, axes, chunk, transform)``."""
    spec = importlib.util.spec_from_file_location("arrays", Path(__file__).with_name("arrays.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.array_of
