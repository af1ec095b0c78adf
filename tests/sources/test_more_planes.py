"""JPEG 2000 and AVIF, as single planes and as slices."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import voxarium
from voxarium.errors import VoxariumError


def plane(seed, dtype="u1", shape=(20, 24)):
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_lossless_jpeg_2000(tmp_path, dtype):
    planes = [plane(i, dtype) for i in range(3)]
    for i, p in enumerate(planes):
        Image.fromarray(p).save(tmp_path / f"s{i + 9}.jp2", irreversible=False)
    np.testing.assert_array_equal(voxarium.open(tmp_path)[...], np.stack(planes))
    np.testing.assert_array_equal(voxarium.open(tmp_path / "s9.jp2")[2:5, 3:], planes[0][2:5, 3:])


def test_colours_of_jpeg_2000(tmp_path):
    colours = plane(0, shape=(20, 24, 3))
    Image.fromarray(colours).save(tmp_path / "a.jp2", irreversible=False)
    image = voxarium.open(tmp_path / "a.jp2")
    assert "".join(a.name for a in image.axes) == "yxc"
    np.testing.assert_array_equal(image[...], colours)


def test_avif_is_what_its_decoder_gives(tmp_path):
    Image.init()
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow has no AVIF")
    for i in range(2):
        Image.fromarray(plane(i, shape=(20, 24, 3))).save(tmp_path / f"s{i}.avif", quality=90)
    image = voxarium.open(tmp_path)
    assert "".join(a.name for a in image.axes) == "zyxc"
    for i in range(2):
        with Image.open(tmp_path / f"s{i}.avif") as expected:
            np.testing.assert_array_equal(image[i], np.asarray(expected))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 400), junk=st.binary(min_size=1, max_size=20), suffix=st.sampled_from(["jp2", "avif"]))
def test_junk_is_refused_or_read(tmp_path, at, junk, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.init()
    if suffix == "avif" and "AVIF" not in Image.SAVE:
        return
    Image.fromarray(plane(0, shape=(20, 24, 3))).save(path)
    raw = bytearray(path.read_bytes())
    raw[at : at + len(junk)] = junk
    path.write_bytes(raw)
    with contextlib.suppress(VoxariumError):
        voxarium.open(path)[...]
