"""What cannot be written says what can."""

from __future__ import annotations

import numpy as np
import pytest

import voxarium
from voxarium.cli.main import main
from voxarium.core.registry import writable_array_driver, writable_image_driver
from voxarium.errors import InputError, UnsupportedError


def test_a_format_that_is_only_read_names_those_that_are_written():
    with pytest.raises(UnsupportedError) as error:
        writable_array_driver("npy")
    assert "zarr3" in error.value.fix
    with pytest.raises(InputError) as error:
        writable_image_driver("no-such-format")
    assert "ome-zarr" in error.value.fix


def test_a_format_that_nobody_knows_is_a_wrong_argument(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3), np.uint8))
    with pytest.raises(InputError, match="no format is called 'no-such-format'") as error:
        voxarium.open(tmp_path / "a.npy", format="no-such-format")
    assert all(name in error.value.fix for name in ("npy", "ome-zarr", "webknossos"))
    assert voxarium.open(tmp_path / "a.npy", format="npy").shape == (2, 3)
    assert main(["convert", str(tmp_path / "a.npy"), str(tmp_path / "b"), "--format", "nope", "--quiet"]) == 2
