"""Levels that other software made, whatever its rounding and its ties, and public data: none of it is accused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium
from voxarium.core.image import Image
from voxarium.errors import VoxariumError
from voxarium.model.rules import Finding
from voxarium.validation.census import checked_levels, take_census
from voxarium.validation.data import check_alignment, check_data
from voxarium.validation.examples.arrays import pyramid

from .conftest import SHARED, is_document, opened

METHODS = ["mean", "mode", "stride", "median", "min", "max"]


def said(image: Image) -> list[Finding]:
    census = take_census(checked_levels(image), known=is_document)
    return [*census.findings, *check_alignment(image), *check_data(image, census=census.maps).findings]


def write(folder: Path, levels: list[np.ndarray], method: str, *, label: bool = False, moved: float = 0.5) -> None:
    """An OME-Zarr image written by zarr-python."""
    zarr = pytest.importorskip("zarr")
    datasets = []
    for number, data in enumerate(levels):
        array = zarr.create_array(
            str(folder / str(number)), shape=data.shape, chunks=(8, 8, 8), dtype=data.dtype, dimension_names="zyx"
        )
        array[...] = data
        factor = 2**number
        shift = 0.0 if method == "stride" else (factor - 1) * moved
        transforms = [{"type": "scale", "scale": [factor] * 3}, {"type": "translation", "translation": [shift] * 3}]
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    ome: dict[str, Any] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets, "type": method}]}
    if label:
        ome["image-label"] = {}
    document = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
    (folder / "zarr.json").write_text(json.dumps(document))


def volume(kind: str, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(8)
    z, y, x = np.indices((29, 38, 43))
    if kind == "labels":
        return ((z // 5) * 31 + (y + z) // 6 * 7 + (x + y) // 4).astype(dtype)
    return (rng.integers(0, 100, (29, 38, 43)) + z).astype(dtype)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "uint64", "float32"])
@pytest.mark.parametrize("kind", ["noise", "labels"])
@pytest.mark.parametrize("method", METHODS)
def test_levels_made_by_tensorstore(tmp_path: Path, method: str, kind: str, dtype: str) -> None:
    ts = pytest.importorskip("tensorstore")
    levels = [volume(kind, dtype)]
    for _ in range(2):
        levels.append(np.asarray(ts.downsample(ts.array(levels[-1]), [2, 2, 2], method).read().result()))
    write(tmp_path, levels, method, label=kind == "labels" and method == "mode")
    image = voxarium.open(tmp_path)
    assert [(f.rule, f.message) for f in said(image) if f.rule != "CE-002"] == []
    assert set(check_data(image).methods.values()) == {method}


@pytest.mark.parametrize("rounding", [np.floor, np.ceil, np.rint, lambda v: np.floor(v + 0.5)])
def test_means_rounded_in_any_way(tmp_path: Path, rounding: Any) -> None:
    finest = volume("noise", "uint8")[:28, :38, :42]
    mean = finest.reshape(14, 2, 19, 2, 21, 2).mean((1, 3, 5))
    write(tmp_path, [finest, rounding(mean).astype(np.uint8)], "mean")
    assert said(voxarium.open(tmp_path)) == []


def test_means_of_one_axis_after_the_other(tmp_path: Path) -> None:
    finest = volume("noise", "uint16")[:28, :38, :42]
    coarse = finest
    for axis in range(3):
        parts = np.moveaxis(coarse, axis, 0)
        coarse = np.moveaxis((parts[::2].astype(int) + parts[1::2]) // 2, 0, axis).astype(np.uint16)
    write(tmp_path, [finest, coarse], "mean")
    assert said(voxarium.open(tmp_path)) == []


def test_every_level_made_from_the_finest(tmp_path: Path) -> None:
    finest = volume("labels", "uint32")[:28, :36, :40]
    levels = [finest]
    for factor in (2, 4):
        shape = tuple(n // factor for n in finest.shape)
        windows = finest.reshape(shape[0], factor, shape[1], factor, shape[2], factor).transpose(0, 2, 4, 1, 3, 5)
        flat = np.sort(windows.reshape(*shape, -1), -1)
        modes = np.apply_along_axis(lambda v: np.bincount(v).argmax(), -1, flat)
        levels.append(modes.astype(np.uint32))
    write(tmp_path, levels, "mode", label=True)
    assert said(voxarium.open(tmp_path)) == []


def test_smoothing_that_nobody_knows_is_no_fault(tmp_path: Path) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    finest = volume("noise", "uint8")
    levels = [finest]
    for _ in range(2):
        smooth = ndimage.gaussian_filter(levels[-1].astype(float), 1.1)
        levels.append(np.rint(ndimage.zoom(smooth, 0.5, order=1)).astype(np.uint8))
    shapes = [tuple(-(-n // 2**i) for n in finest.shape) for i in range(3)]
    levels = [np.ascontiguousarray(v[tuple(map(slice, s))]) for v, s in zip(levels, shapes, strict=True)]
    write(tmp_path, levels, "pyramid")
    found = said(voxarium.open(tmp_path))
    assert [f for f in found if f.level != "quality"] == []


# --------------------------------------------------------------------------------------------------- public data
PUBLIC = [
    "ngff/ome-zarr-py", "neuro/omezarr", "webknossos/fib25_wkw", "webknossos/fib25_zarr3", "n5/golden",
    "precomputed/golden_generated", "cellmap", "neuroglancer/testdata/datasource/precomputed",
]  # fmt: skip


def images_below(folder: Path) -> list[Image]:
    found: dict[tuple[str, str], Image] = {}
    markers = (".zattrs", ".zarray", "zarr.json", "info", "attributes.json", "datasource-properties.json")
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() or not any((path / name).exists() for name in markers):
            continue
        try:
            opened = voxarium.open(path)
        except VoxariumError:
            continue
        some = [opened] if isinstance(opened, Image) else [image for _, image in opened.iter_images()]
        found |= {(image.store.uri, image.path): image for image in some}
    return list(found.values())


@pytest.mark.parametrize("folder", PUBLIC)
def test_public_data_break_no_must(folder: str) -> None:
    if not (SHARED / folder).exists():
        pytest.skip(f"the shared data have no {folder} here")
    for image in images_below(SHARED / folder):
        if sum(a.size for a in image.arrays) > 1 << 27:
            continue
        must = [(f.rule, f.key, f.message) for f in said(image) if f.level == "must"]
        assert must == [], f"{image.store.uri} {image.path}"


# --------------------------------------------------------------------------------------------------- any software
def windows(voxels: np.ndarray) -> np.ndarray:
    """Windows of two voxels along each axis, NaN where there is none, along a last axis."""
    padded = np.pad(voxels.astype(float), [(0, n % 2) for n in voxels.shape], constant_values=np.nan)
    shape = [part for n in padded.shape for part in (n // 2, 2)]
    return padded.reshape(shape).transpose(0, 2, 4, 1, 3, 5).reshape(*(n // 2 for n in padded.shape), 8)


def modes(voxels: np.ndarray, rng: np.random.Generator, tie: str) -> np.ndarray:
    found = windows(voxels)
    out = np.empty(found.shape[:3])
    for place in np.ndindex(*out.shape):
        some = found[place][~np.isnan(found[place])]
        values, counts = np.unique(some, return_counts=True)
        best = values[counts == counts.max()]
        out[place] = {"last": best[-1], "any": rng.choice(best), "first": some[np.isin(some, best)][0]}[tie]
    return out


def along_axes(voxels: np.ndarray) -> np.ndarray:
    """Means of pairs along one axis after the other, rounded down each time."""
    out = voxels.astype(np.int64)
    for axis in range(3):
        if out.shape[axis] % 2:
            out = np.concatenate([out, np.take(out, [-1], axis)], axis)
        pairs = np.moveaxis(out, axis, 0)
        out = np.moveaxis((pairs[::2] + pairs[1::2]) // 2, 0, axis)
    return out


WAYS: dict[str, tuple[str, Any]] = {
    "floor": ("mean", lambda v, _: np.floor(np.nanmean(windows(v), -1))),
    "ceil": ("mean", lambda v, _: np.ceil(np.nanmean(windows(v), -1))),
    "half up": ("mean", lambda v, _: np.floor(np.nanmean(windows(v), -1) + 0.5)),
    "axes": ("mean", lambda v, _: along_axes(v)),
    "last mode": ("mode", lambda v, rng: modes(v, rng, "last")),
    "any mode": ("mode", lambda v, rng: modes(v, rng, "any")),
    "first mode": ("mode", lambda v, rng: modes(v, rng, "first")),
    "stride": ("stride", lambda v, _: v[::2, ::2, ::2]),
    "max": ("max", lambda v, _: np.nanmax(windows(v), -1)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(12))
def test_small_pyramids_of_any_software(way: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 24, 3))
    z, y, x = np.indices(shape)
    finest = {
        "noise": rng.integers(0, 120, shape),
        "labels": z // 5 * 40 + y // 6 * 7 + x // 9,
        "sparse": np.where(rng.random(shape) > 0.99, 100, 0),
        "smooth": (z * 3 + y * 2 + x) // 4 + rng.integers(0, 2, shape),
        "flat": 3 + (rng.random(shape) > 0.9),
        "blob": np.where((z - 8) ** 2 + (y - 9) ** 2 + (x - 7) ** 2 < 30, 50, 0),
    }[rng.choice(["noise", "labels", "sparse", "smooth", "flat", "blob"])]
    levels = [finest.astype(rng.choice(["u1", "u2", "i4", "u8"]))]
    method, make = WAYS[way]
    for _ in range(2):
        levels.append(np.ascontiguousarray(make(levels[-1], rng).astype(levels[0].dtype)))
    objects: dict[str, bytes] = {}
    facts = {"image-label": {}} if method == "mode" and seed % 3 else None
    pyramid(objects, "image", levels, [{"name": "bytes", "configuration": {"endian": "little"}}], method=method,
            chunk=(4, 8, 8), facts=facts)  # fmt: skip
    assert [(f.rule, f.key, f.message) for f in said(opened(objects)) if f.level != "quality"] == []
