"""Formats that are one file: parts beside it until it is complete, then nothing but the file."""

from __future__ import annotations

import numpy as np
import pytest

import voxarium
from voxarium.errors import ExistsError, InputError, InterruptedJobError, NotFoundError

DATA = np.random.default_rng(7).integers(0, 900, (40, 33, 50)).astype("<u2")
CHOICES = {"format": "hdf5", "axes": "zyx", "chunk": 8, "memory": 1 << 16}


@pytest.fixture
def source(tmp_path):
    np.save(tmp_path / "source.npy", DATA)
    return tmp_path / "source.npy"


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_only_the_file_is_left(source, tmp_path):
    report = voxarium.convert(source, tmp_path / "em.h5", **CHOICES)
    assert report.target.endswith("em.h5")
    assert names(tmp_path) == ["em.h5", "source.npy"]
    np.testing.assert_array_equal(voxarium.open(tmp_path / "em.h5")[...], DATA)


def test_a_file_is_replaced_only_when_asked(source, tmp_path):
    (tmp_path / "em.h5").write_bytes(b"old")
    with pytest.raises(ExistsError):
        voxarium.convert(source, tmp_path / "em.h5", **CHOICES)
    assert names(tmp_path) == ["em.h5", "source.npy"]
    voxarium.convert(source, tmp_path / "em.h5", overwrite=True, **CHOICES)
    np.testing.assert_array_equal(voxarium.open(tmp_path / "em.h5")[...], DATA)


def test_a_job_that_was_stopped_resumes_and_ends_with_the_same_bytes(source, tmp_path, monkeypatch):
    voxarium.convert(source, tmp_path / "whole.h5", name="em", **CHOICES)
    with pytest.raises((InterruptedJobError, KeyboardInterrupt)):
        voxarium.convert(source, tmp_path / "em.h5", name="em", progress=_stop, **CHOICES)
    assert names(tmp_path) == [".em.h5.parts", "source.npy", "whole.h5"]
    voxarium.convert(source, tmp_path / "em.h5", name="em", resume=True, **CHOICES)
    assert names(tmp_path) == ["em.h5", "source.npy", "whole.h5"]
    assert (tmp_path / "em.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    with pytest.raises(NotFoundError, match="nothing to resume"):
        voxarium.convert(source, tmp_path / "em.h5", name="em", resume=True, **CHOICES)


def _stop(_):
    raise KeyboardInterrupt


def test_a_job_that_was_killed_while_it_was_put_together_resumes(source, tmp_path, monkeypatch):
    from voxarium.formats.hdf5_parts import Hdf5PartsDriver

    def killed(self, parts, path, file, /):
        file.write(b"half of a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Hdf5PartsDriver, "package", killed)
        with pytest.raises(KeyboardInterrupt):
            voxarium.convert(source, tmp_path / "em.h5", **CHOICES)
    assert names(tmp_path) == [".em.h5.parts", "source.npy"]
    voxarium.convert(source, tmp_path / "em.h5", resume=True, **CHOICES)
    assert names(tmp_path) == ["em.h5", "source.npy"]
    np.testing.assert_array_equal(voxarium.open(tmp_path / "em.h5")[...], DATA)


@pytest.mark.parametrize(
    ("format", "name", "good"),
    [
        ("hdf5", "em", ".h5"), ("hdf5", "em.zarr", ".h5"), ("cremi", "em.txt", ".hdf"), ("bdv-hdf5", "em.xml", ".h5"),
        ("bdv-hdf5", "em", ".h5"), ("ome-tiff", "em.jpg", ".tif"), ("bdv", "em.xml", "em.n5"),
    ],
)  # fmt: skip
def test_a_name_by_which_the_file_would_not_be_found_again_is_refused(tmp_path, format, name, good):
    np.save(tmp_path / "em.npy", np.ones((4, 5, 6), "u1"))
    (tmp_path / "out").mkdir()
    choices = {"format": format, "axes": "zyx", "voxel_size": 8, "unit": "nm", "levels": 1}
    with pytest.raises(InputError) as caught:
        voxarium.convert(tmp_path / "em.npy", tmp_path / "out" / name, **choices)
    assert good in caught.value.fix and not list((tmp_path / "out").iterdir())
