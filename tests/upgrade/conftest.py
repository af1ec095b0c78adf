"""Trees of OME-Zarr 0.1 to 0.4 as zarr-python and hand-written metadata make them."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import numcodecs
import numpy as np
import pytest

import zarr

DOCUMENTS = {".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json"}
JOURNAL = ".voxarium-upgrade"


def axes(names="zyx", unit=True):
    types = {"t": "time", "c": "channel"}
    out = []
    for n in names:
        axis = {"name": n, "type": types.get(n, "space")}
        out.append(axis | ({"unit": "micrometer"} if unit and n in "zyx" else {}))
    return out


def array(path, shape=(4, 7, 9), dtype="<u2", chunks=(2, 3, 4), separator="/", seed=0, **how):
    """Write a Zarr v2 array, chunk by chunk, one of them never."""
    data = np.random.default_rng(seed).integers(1, 120, shape).astype(dtype)
    stored = zarr.create_array(
        store=str(path), shape=shape, dtype=dtype, chunks=chunks, zarr_format=2, fill_value=how.pop("fill_value", 0),
        chunk_key_encoding={"name": "v2", "separator": separator}, **how,
    )  # fmt: skip
    if data.ndim and data.size:
        data[tuple(slice(0, c) for c in chunks)] = 0  # absent
    stored[...] = data
    return data


def group(path, attributes=None):
    path.mkdir(parents=True, exist_ok=True)
    (path / ".zgroup").write_text('{\n    "zarr_format": 2\n}')
    if attributes is not None:
        (path / ".zattrs").write_text(json.dumps(attributes, indent=4))


def image(path, version="0.4", names="zyx", shape=(4, 7, 9), seed=0, more=None, **how):
    """Write a pyramid of two levels."""
    half = tuple(-(-n // 2) if a in "zyx" else n for n, a in zip(shape, names, strict=True))
    chunks = tuple(min(n, c) for n, c in zip(shape, (9, 9, 2, 3, 4)[-len(shape) :], strict=True))
    factors = [2.0 if a in "zyx" else 1.0 for a in names]
    datasets = [
        {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5] * len(names)}]},
        {
            "path": "1",
            "coordinateTransformations": [
                {"type": "scale", "scale": [0.5 * f for f in factors]},
                {"type": "translation", "translation": [0.25 * (f - 1) for f in factors]},
            ],
        },
    ]
    body = {
        "version": version,
        "name": "em",
        "axes": axes(names),
        "datasets": datasets,
        "type": "mean",
        "own": {"a": 1},
    }
    if version < "0.4":
        body["datasets"] = [{"path": d["path"]} for d in datasets]
        body["axes"] = list(names)
    if version < "0.3":
        del body["axes"]
    group(path, {"multiscales": [body], "unknown": [1, {"ä": None}]} | (more or {}))
    for i, s in enumerate((shape, half)):
        array(path / str(i), s, chunks=chunks, seed=seed + i, separator="." if version == "0.1" else "/", **how)


def labelled(path):
    """Write an image with a label image."""
    omero = {
        "channels": [{"color": "FF0000", "window": {"min": 0, "max": 255, "start": 0, "end": 99}}],
        "version": "0.4",
    }
    image(path, more={"omero": omero})
    group(path / "labels", {"labels": ["cells"]})
    label = {"version": "0.4", "colors": [{"label-value": 1, "rgba": [0, 1, 2, 3]}], "source": {"image": "../../"}}
    image(path / "labels" / "cells", more={"image-label": label}, seed=5, dtype="<u4", order="F")


def plate(path, rows="AB", columns=(1, 2), fields=2):
    """Write a plate whose wells have fields."""
    wells = [
        {"path": f"{r}/{c}", "rowIndex": i, "columnIndex": k} for i, r in enumerate(rows) for k, c in enumerate(columns)
    ]
    group(path, {"plate": {
        "version": "0.4", "name": "p", "field_count": fields, "rows": [{"name": r} for r in rows],
        "columns": [{"name": str(c)} for c in columns], "wells": wells, "acquisitions": [{"id": 0}],
    }})  # fmt: skip
    for row in rows:
        group(path / row)
    for n, well in enumerate(wells):
        images = [{"path": str(f), "acquisition": 0} for f in range(fields)]
        group(path / well["path"], {"well": {"version": "0.4", "images": images}})
        for f in range(fields):
            image(path / well["path"] / str(f), seed=n * 10 + f)


def container(path):
    """Write what bioformats2raw makes."""
    group(path, {"bioformats2raw.layout": 3})
    group(path / "OME", {"series": ["0", "1"]})
    (path / "OME" / "METADATA.ome.xml").write_text("<OME><MetadataOnly/></OME>")
    image(path / "0", names="tczyx", shape=(1, 2, 4, 7, 9))
    image(
        path / "1",
        names="tczyx",
        shape=(2, 1, 3, 5, 8),
        filters=[numcodecs.Delta("<u2")],
        compressors=numcodecs.Zlib(1),
    )


def mixture(path):
    """Write a group with everything in it."""
    group(path, {"own": {"labels": 3}})
    labelled(path / "image")
    plate(path / "plate", rows="A", columns=(3,), fields=1)
    container(path / "container.zarr")
    (path / "notes.txt").write_text("not metadata")
    group(path / "plain", {"labels": "not of OME"})
    array(path / "plain" / "flat", separator=".", dtype=">i4", fill_value=None)
    array(path / "plain" / "point", shape=(), chunks=(), dtype="<f8", fill_value=float("nan"))
    array(path / "plain" / "flags", dtype="?", filters=[numcodecs.PackBits()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(path), zarr_format=2)


def content(path, documents=None):
    """Return every file (or only metadata documents, or only others) with its digest; not those of the journal."""
    out = {}
    for file in sorted(Path(path).rglob("*")):
        key = str(file.relative_to(path))
        wanted = documents is None or (file.name in DOCUMENTS) == documents
        if file.is_file() and wanted and not key.startswith(JOURNAL):
            out[key] = hashlib.sha256(file.read_bytes()).hexdigest()
    return out


def voxels(path, zarr_format):
    """Return every array of a tree, as zarr-python reads it."""
    out = {}
    for file in sorted(Path(path).rglob(".zarray" if zarr_format == 2 else "zarr.json")):
        if zarr_format == 2 or json.loads(file.read_text())["node_type"] == "array":
            stored = zarr.open_array(str(file.parent), mode="r", zarr_format=zarr_format)
            out[str(file.parent.relative_to(path))] = stored[...]
    return out


def equal(a, b):
    def same(x, y):
        alike = x.dtype.newbyteorder("=") == y.dtype.newbyteorder("=") and x.shape == y.shape
        return alike and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")

    return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)


@pytest.fixture
def trees():
    return SimpleNamespace(
        array=array, axes=axes, container=container, content=content, equal=equal, group=group, image=image,
        journal=JOURNAL, labelled=labelled, mixture=mixture, plate=plate, voxels=voxels,
        kinds={"image": image, "labelled": labelled, "plate": plate, "container": container, "mixture": mixture},
    )  # fmt: skip
