"""Formats that are one file: parts beside it until it is complete, then nothing but the file."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

import voxarium
import zarr
from voxarium.archive.datasets import create_dataset, open_dataset
from voxarium.errors import ExistsError, InputError, InterruptedJobError, NotFoundError
from voxarium.spec.dataset_document import DatasetDocument

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


# -------------------------------------------------------------------------------------------------------- archives
@pytest.mark.parametrize(
    ("format", "name"),
    [("ome-zarr", "em.ozx"), ("n5-viewer", "em.zip"), ("cosem", "em.zip"), ("precomputed", "em.zip")],
)
def test_an_archive_holds_what_a_folder_would(source, tmp_path, format, name):
    choices = {"axes": "zyx", "voxel_size": (40, 8, 6), "unit": "nm", "chunk": 8, "format": format, "name": "em"}
    (tmp_path / "out").mkdir()
    voxarium.convert(source, tmp_path / "folder", accept="all", **choices)
    voxarium.convert(source, tmp_path / "out" / name, accept="all", **choices)
    assert names(tmp_path / "out") == [name]
    with zipfile.ZipFile(tmp_path / "out" / name) as archive:
        assert archive.testzip() is None
        inside = {i.filename: archive.read(i) for i in archive.infolist()}
    folder = tmp_path / "folder"
    assert inside == {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    image = voxarium.open(tmp_path / "out" / name)
    np.testing.assert_array_equal(np.squeeze(image[...]), DATA)
    assert len(image.info.levels) > 1


def test_others_read_an_archive_and_find_documents_first(source, tmp_path):
    voxarium.convert(source, tmp_path / "em.ozx", axes="zyx", voxel_size=8, unit="nm", chunk=8, shard=16)
    with zipfile.ZipFile(tmp_path / "em.ozx") as archive:
        listed = [i.filename for i in archive.infolist()]
        assert b"jsonFirst" in archive.comment
    documents = [n for n in listed if n.endswith("zarr.json")]
    assert listed[0] == "zarr.json" and listed[: len(documents)] == documents
    group = zarr.open_group(zarr.storage.ZipStore(tmp_path / "em.ozx", mode="r"), mode="r")
    np.testing.assert_array_equal(group["s0"][...], DATA)


def test_an_archive_is_resumed_to_the_same_bytes_and_replaced_only_when_asked(source, tmp_path):
    choices = {"axes": "zyx", "voxel_size": 8, "unit": "nm", "chunk": 8, "name": "em", "memory": 1 << 16}
    voxarium.convert(source, tmp_path / "whole.ozx", **choices)
    with pytest.raises((InterruptedJobError, KeyboardInterrupt)):
        voxarium.convert(source, tmp_path / "em.ozx", progress=_stop, **choices)
    assert names(tmp_path) == [".em.ozx.parts", "source.npy", "whole.ozx"]
    voxarium.convert(source, tmp_path / "em.ozx", resume=True, **choices)
    assert names(tmp_path) == ["em.ozx", "source.npy", "whole.ozx"]
    assert (tmp_path / "em.ozx").read_bytes() == (tmp_path / "whole.ozx").read_bytes()
    with pytest.raises(ExistsError):
        voxarium.convert(source, tmp_path / "em.ozx", **choices)
    voxarium.convert(source, tmp_path / "em.ozx", overwrite=True, **choices)
    assert names(tmp_path) == ["em.ozx", "source.npy", "whole.ozx"]


@pytest.mark.parametrize("name", ["em.ozx::labels/cells", "s3://bucket/em.ozx"])
def test_archives_are_written_whole_and_here(source, tmp_path, name):
    with pytest.raises(InputError, match="one file cannot be written"):
        voxarium.convert(source, name, axes="zyx", voxel_size=8, unit="nm")


def test_an_archive_in_a_dataset_is_its_image(source, tmp_path):
    create_dataset(tmp_path / "set", DatasetDocument(name="set"))
    voxarium.convert(source, tmp_path / "set/em.ozx", axes="zyx", voxel_size=8, unit="nm", chunk=8, accept="all")
    assert [m.path for m in open_dataset(tmp_path / "set").document.members] == ["em.ozx"]
