"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# Timings never decide a test, and a run can be repeated.
settings.register_profile("voxarium", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("voxarium")
