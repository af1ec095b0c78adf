"""What is written presents other formats as OME-Zarr, to this package and to others, without copying."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium
from voxarium.errors import ExistsError, InputError, UnsupportedError

SHAPE = (37, 50, 61)
VOXELS = np.random.default_rng(5).integers(0, 2000, SHAPE, np.uint16)
PLACE: dict[str, Any] = {"axes": "zyx", "voxel_size": (40.0, 5.0, 5.0), "unit": "nanometer"}


def hdf5(folder: Path) -> tuple[str, dict[str, Any]]:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("em", data=VOXELS, chunks=(16, 17, 18), compression="gzip", shuffle=True, fletcher32=True)
    return "a.h5::/em", PLACE


def hdf5_in_one_piece(folder: Path) -> tuple[str, dict[str, Any]]:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "b.h5", "w") as file:
        file.create_dataset("em", data=VOXELS.astype(">u2"))
    return "b.h5::/em", PLACE


def npy(folder: Path) -> tuple[str, dict[str, Any]]:
    np.save(folder / "a.npy", VOXELS)
    return "a.npy", PLACE


def npy_in_fortran_order(folder: Path) -> tuple[str, dict[str, Any]]:
    np.save(folder / "f.npy", np.asfortranarray(VOXELS))
    return "f.npy", PLACE


def raw(folder: Path) -> tuple[str, dict[str, Any]]:
    (folder / "a.raw").write_bytes(b"1234567" + VOXELS.tobytes())
    return "a.raw", PLACE | {"shape": SHAPE, "dtype": "uint16", "byte_offset": 7}


def tiff(name: str, **options: Any) -> Callable[[Path], tuple[str, dict[str, Any]]]:
    def make(folder: Path) -> tuple[str, dict[str, Any]]:
        tifffile = pytest.importorskip("tifffile")
        tifffile.imwrite(folder / name, VOXELS, photometric="minisblack", **options)
        return name, PLACE

    make.__name__ = name
    return make


def converted(name: str, **options: Any) -> Callable[[Path], tuple[str, dict[str, Any]]]:
    def make(folder: Path) -> tuple[str, dict[str, Any]]:
        np.save(folder / "source.npy", VOXELS)
        voxarium.convert(folder / "source.npy", folder / name, **PLACE, levels=3, chunk=16, accept=("all",), **options)
        return name, {}

    make.__name__ = name
    return make


SOURCES = [
    hdf5,
    hdf5_in_one_piece,
    npy,
    npy_in_fortran_order,
    raw,
    tiff("flat.tif"),
    tiff("big_endian_strips.tif", byteorder=">", rowsperstrip=11, compression="zlib"),
    tiff("tiles.tif", tile=(16, 32), compression="zstd"),
    tiff("plain_tiles.tif", tile=(32, 16)),
    converted("ome.zarr", spec_version="0.4"),
    converted("precomputed", format="precomputed", shard=0),
    converted("precomputed_shards", format="precomputed", shard=64),
    converted("c.n5/em", format="cosem", codec="gzip:1"),
    converted("d.n5/em", format="cosem", codec="zstd:1"),
]


@pytest.mark.parametrize("make", SOURCES, ids=lambda m: m.__name__)
@pytest.mark.parametrize("suffix", [".json", ".parq"])
def test_voxels_and_places_are_those_of_the_source(
    make: Callable[[Path], tuple[str, dict[str, Any]]], suffix: str, tmp_path: Path
) -> None:
    if suffix == ".parq":
        pytest.importorskip("pyarrow")
    source, options = make(tmp_path)
    target = tmp_path / f"refs{suffix}"
    report = voxarium.virtualize(tmp_path / source, target, **options)
    presented = voxarium.open(target)
    driver = {k: v for k, v in options.items() if k not in PLACE}
    original = voxarium.open(tmp_path / source, **driver)
    assert presented.info.format == "ome-zarr"
    assert report.levels == len(presented.levels) == len(original.levels)
    assert report.outside == ()
    for level in range(report.levels):
        assert np.array_equal(presented.level(level)[...], original.level(level)[...])
    assert presented.unit == "nanometer"
    for level in range(1 if options else report.levels):
        expected = (
            ((40.0, 5.0, 5.0), presented.scale_translation()[1]) if options else original.scale_translation(level)
        )
        assert presented.scale_translation(level) == expected


@pytest.mark.filterwarnings("ignore")  # of fsspec's and pandas' own
@pytest.mark.parametrize("make", SOURCES, ids=lambda m: m.__name__)
@pytest.mark.parametrize("suffix", [".json", ".parq"])
def test_zarr_python_reads_them_through_fsspec(
    make: Callable[[Path], tuple[str, dict[str, Any]]], suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    zarr = pytest.importorskip("zarr")
    if suffix == ".parq":
        pytest.importorskip("pyarrow")
        pytest.importorskip("fastparquet", reason="fsspec reads Parquet references with fastparquet")
    source, options = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    target = f"refs{suffix}"
    voxarium.virtualize(source, target, **options)
    path = voxarium.open(target).levels[0].path
    files = fsspec.filesystem("reference", fo=target, target_protocol="file", remote_protocol="file")
    array = zarr.open_array(zarr.storage.FsspecStore(_asynchronous(files), path=path), mode="r", zarr_format=2)
    assert np.array_equal(array[...], VOXELS)


def _asynchronous(files: Any) -> Any:
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    return AsyncFileSystemWrapper(files, asynchronous=True)


def test_chunks_that_are_cut_are_written_into_the_file(tmp_path: Path) -> None:
    source, _ = converted("c.n5/em", format="cosem", codec="gzip:1")(tmp_path)
    report = voxarium.virtualize(tmp_path / source, tmp_path / "refs.json", dry_run=True)
    shapes = [level.array.shape for level in voxarium.open(tmp_path / source).levels]
    assert report.references == sum(math.prod(n // 16 for n in shape) for shape in shapes)
    assert report.inlined == sum(math.prod(-(-n // 16) for n in shape) for shape in shapes) - report.references
    assert not (tmp_path / "refs.json").exists()
    with pytest.raises(InputError, match="more than 100 bytes"):
        voxarium.virtualize(tmp_path / source, tmp_path / "refs.json", most_inline=100)


def test_what_others_cannot_decode_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "l.npy", np.ones((9, 9, 9), np.uint32))
    voxarium.convert(
        tmp_path / "l.npy", tmp_path / "labels", format="precomputed", role="label", levels=1, accept=("all",), **PLACE
    )
    with pytest.raises(UnsupportedError, match="compressed_segmentation"):
        voxarium.virtualize(tmp_path / "labels", tmp_path / "refs.json")
    assert not (tmp_path / "refs.json").exists()


def test_predictors_and_other_compressions_of_tiff_are_refused(tmp_path: Path) -> None:
    for options in ({"compression": "lzw"}, {"compression": "zlib", "predictor": True}):
        source, place = tiff("a.tif", tile=(16, 16), **options)(tmp_path)
        with pytest.raises(UnsupportedError, match="without copying"):
            voxarium.virtualize(tmp_path / source, tmp_path / "refs.json", **place)


def test_existing_targets_are_kept(tmp_path: Path) -> None:
    source, options = npy(tmp_path)
    voxarium.virtualize(tmp_path / source, tmp_path / "refs.json", **options)
    with pytest.raises(ExistsError):
        voxarium.virtualize(tmp_path / source, tmp_path / "refs.json", **options)
    voxarium.virtualize(tmp_path / source, tmp_path / "refs.json", overwrite=True, **options)


def test_files_elsewhere_are_named_in_the_report(tmp_path: Path) -> None:
    source, options = npy(tmp_path)
    (tmp_path / "inner").mkdir()
    report = voxarium.virtualize(tmp_path / source, tmp_path / "inner/refs.json", **options)
    assert report.outside == (str(tmp_path / "a.npy"),)
    opened = voxarium.open(tmp_path / "inner/refs.json", references=[str(tmp_path)])
    assert np.array_equal(opened[...], VOXELS)


def test_the_program_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from voxarium.cli.main import main

    source, _ = npy(tmp_path)
    arguments = [str(tmp_path / source), str(tmp_path / "r.json"), "--axes", "zyx", "--voxel-size", "40,5,5"]
    assert main(["virtualize", *arguments, "--unit", "nm", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["levels"] == 1
    assert said["references"] >= 1
    assert main(["virtualize", *arguments[:1], str(tmp_path / "r.txt")]) == 2
