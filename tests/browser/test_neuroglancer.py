"""What we write stands where it should in Neuroglancer: images and labels, measured on the screen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium

SHAPE = (37, 61, 83)
VOXEL_SIZE = (40.0, 5.0, 8.0)
TRANSLATION = (820.0, -32.5, 124.0)  # of the centre of the first voxel, in nanometres: whole voxels for its corner
BLOCK = ((11, 19), (14, 38), (21, 66))  # voxels that are lit, first and past the last
LABEL = 7
COLORS = {"image": np.array([255, 255, 255]), "labels": np.array([255, 0, 0])}
SCALE = 1e-9  # metres a screen pixel
PIXELS = 1.6  # how exactly edges are found: nearest-voxel drawing, and rounding to whole pixels

TARGETS = {
    "ome-zarr 0.4": ({"format": "ome-zarr", "spec_version": "0.4"}, "zarr2"),
    "ome-zarr 0.5": ({"format": "ome-zarr", "spec_version": "0.5", "shard": 32}, "zarr3"),
    "ome-zarr 0.6.dev3": ({"format": "ome-zarr", "spec_version": "0.6", "shard": 32}, "zarr3"),
    "precomputed": ({"format": "precomputed"}, "precomputed"),
    "precomputed, chunk files": ({"format": "precomputed", "shard": 0}, "precomputed"),
    "n5-viewer": ({"format": "n5-viewer"}, "n5"),
}


def written(folder: Path, target: str, options: dict[str, Any]) -> dict[str, str]:
    """Write an image and its labels; return their paths."""
    data = np.full(SHAPE, 0, np.uint8)
    data[tuple(slice(a, b) for a, b in BLOCK)] = 255
    place = folder / target.replace(" ", "_").replace(",", "")
    place.mkdir()
    paths = {}
    for name, values, role in (
        ("image", data, "intensity"),
        ("labels", (data // 255).astype(np.uint64) * LABEL, "label"),
    ):
        np.save(place / f"{name}.npy", values)
        below = {"ome-zarr": {"image": "all.zarr", "labels": "all.zarr/labels/cells"}}.get(options["format"], {})
        paths[name] = f"{place.name}/{below.get(name, name)}" + (".h5" if options["format"] == "hdf5" else "")
        voxarium.convert(
            place / f"{name}.npy",
            folder / paths[name],
            axes="zyx",
            voxel_size=VOXEL_SIZE,
            translation=TRANSLATION,
            unit="nanometer",
            role=role,
            chunk=16,
            levels=3,
            accept=("all",),
            **options,
        )
    return paths


def with_names_only(folder: Path) -> None:
    """Turn ends of transforms into what 0.6.dev3 had, which is what Neuroglancer reads: names and paths as texts.

    Neuroglancer's source of August 2026 refuses the objects of the released 0.6; its packages up to 2.41.2 know no 0.6.
    """
    for file in folder.rglob("zarr.json"):
        document = json.loads(file.read_text())
        for image in document["attributes"].get("ome", {}).get("multiscales", []):
            for transform in (t for level in image["datasets"] for t in level["coordinateTransformations"]):
                transform["input"], transform["output"] = transform["input"]["path"], transform["output"]["name"]
        file.write_text(json.dumps(document))


def state(source: str, kind: str, level: str) -> dict[str, Any]:
    """Return a Neuroglancer state that looks at the middle of the lit block, along an axis."""
    layer: dict[str, Any] = {"name": kind, "source": source, "type": "image" if kind == "image" else "segmentation"}
    if kind == "image":
        layer["shaderControls"] = {"normalized": {"range": [0, 255]}}
        layer["opacity"] = 1
    else:
        layer |= {"segments": [str(LABEL)], "segmentColors": {str(LABEL): "#ff0000"}, "selectedAlpha": 1}
    # N5 has no translation in Neuroglancer, which puts the corner of the first voxel at the origin.
    first = [v / 2 for v in VOXEL_SIZE] if source.startswith("n5:") else TRANSLATION
    middle = [t + (a + b - 1) / 2 * v for t, (a, b), v in zip(first, BLOCK, VOXEL_SIZE, strict=True)]
    return {
        "dimensions": {name: [1e-9, "m"] for name in "xyz"},
        "position": middle[::-1],
        "crossSectionScale": 1,
        "layers": [layer],
        "layout": level,
        "showAxisLines": False,
        "showScaleBar": False,
        "showDefaultAnnotations": False,
        "crossSectionBackgroundColor": "#000044",
    }


Measure = Callable[[np.ndarray, np.ndarray], tuple[float, ...]]


def stand_where_they_are(window: Any, bright: Measure, sources: dict[str, str]) -> None:
    """Look at an image and its labels in two cross sections, and measure where the lit block is."""
    # Across the screen, down the screen: the axes of the cross sections.
    for layout, down, across in (("xy", 1, 2), ("xz", 0, 2)):
        seen = {}
        for kind, source in sources.items():
            picture = window.look(state(source, kind, layout))
            seen[kind] = bright(picture, COLORS[kind])
            height, width = picture.shape[:2]
            expected = []
            for axis, middle in ((down, height / 2), (across, width / 2)):
                half = (BLOCK[axis][1] - BLOCK[axis][0]) * VOXEL_SIZE[axis] / 2
                expected += [middle - half, middle + half]
            assert np.abs(np.subtract(seen[kind], expected)).max() <= PIXELS, (kind, layout, seen[kind], expected)
        assert np.abs(np.subtract(seen["image"], seen["labels"])).max() <= 1


@pytest.mark.parametrize("target", TARGETS)
def test_images_and_labels_stand_where_they_are(
    target: str, served: tuple[Path, str], window: Any, bright: Measure
) -> None:
    if "0.6" in target and "VOXARIUM_NEUROGLANCER" not in os.environ:
        pytest.skip("no Neuroglancer that reads OME-Zarr 0.6: name a folder with its client as VOXARIUM_NEUROGLANCER")
    folder, url = served
    options, scheme = TARGETS[target]
    paths = written(folder, target, options)
    if "0.6" in target:
        with_names_only(folder / paths["image"])
    stand_where_they_are(window, bright, {kind: f"{scheme}://{url}/{path}" for kind, path in paths.items()})


@pytest.mark.parametrize(
    ("stored", "view"),
    [
        ({"format": "ome-zarr", "spec_version": "0.6", "shard": 32}, "ome-zarr-0.5"),
        ({"format": "ome-zarr", "spec_version": "0.6", "shard": 32}, "precomputed"),
        ({"format": "webknossos"}, "precomputed"),
        ({"format": "hdf5"}, "precomputed"),
    ],
    ids=["0.6 as 0.5", "0.6 as precomputed", "WKW as precomputed", "HDF5 as precomputed"],
)
def test_what_the_client_does_not_read_is_seen_through_the_server(
    stored: dict[str, Any], view: str, served: tuple[Path, str], window: Any, bright: Measure
) -> None:
    folder, url = served
    paths = written(folder, f"{stored['format']} {stored.get('spec_version', '')} as {view}", stored)
    scheme = "precomputed" if view == "precomputed" else "zarr3"
    shown = url.replace("/raw/", f"/as/{view}/")
    stand_where_they_are(window, bright, {kind: f"{scheme}://{shown}/{path}" for kind, path in paths.items()})
