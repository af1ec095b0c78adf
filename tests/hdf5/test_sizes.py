"""What ``info`` says of arrays that share a file: the bytes of each, and its name in the file."""

from __future__ import annotations

import numpy as np
import pytest

import voxarium
from voxarium.core.report import image_json, image_text, stored_bytes

h5py = pytest.importorskip("h5py")


def test_levels_of_one_file_have_sizes_of_their_own(tmp_path):
    np.save(tmp_path / "data.npy", np.random.default_rng(1).integers(0, 200, (20, 33, 41), "u1"))
    target = tmp_path / "em.h5"
    voxarium.convert(tmp_path / "data.npy", target, format="hdf5", axes="zyx", levels=2, chunk=16, codec="none")
    image = voxarium.open(target)
    with h5py.File(target) as file:
        expected = [file[f"s{i}"].id.get_storage_size() for i in range(2)]
    assert [stored_bytes(image.level(i)) for i in range(2)] == expected
    assert [level["stored_bytes"] for level in image_json(image)["levels"]] == expected
    assert sum(expected) < target.stat().st_size and expected[0] > expected[1]
    text = image_text(image)
    assert "  /s1" in text and "::" not in text


def test_one_of_several_datasets_does_not_count_the_others(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.zeros((3, 4, 5), "u2")
        file["b"] = np.zeros((30, 40, 50), "u2")
    assert stored_bytes(voxarium.open(f"{tmp_path}/a.h5::/a").level(0)) == 120
