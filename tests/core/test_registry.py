"""What cannot be written says what can."""

from __future__ import annotations

import pytest

from voxarium.core.registry import writable_array_driver, writable_image_driver
from voxarium.errors import UnsupportedError


def test_a_format_that_is_only_read_names_those_that_are_written():
    with pytest.raises(UnsupportedError) as error:
        writable_array_driver("npy")
    assert "zarr3" in error.value.fix
    with pytest.raises(UnsupportedError) as error:
        writable_image_driver("no-such-format")
    assert "ome-zarr" in error.value.fix
