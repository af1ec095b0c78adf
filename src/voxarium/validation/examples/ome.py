"""Trees of OME-Zarr that break no rule: ``ome05`` an image, ``ome05-label`` one with a label image, and so on.

For each of 0.4, 0.5, 0.6 and 0.9.dev1, of one image of 2 × 1 × 3 × 6 × 5 voxels and its mean over 2 × 2 of them.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np

__all__ = ["BASES"]

Tree = dict[str, bytes]
_STATED: Final = {"0.4": "0.4", "0.5": "0.5", "0.6": "0.6", "0.9": "0.9.dev1"}
_SHAPE: Final = (2, 1, 3, 6, 5)
_CHUNK: Final = (1, 1, 3, 4, 5)
_NAMES: Final = ("t", "c", "z", "y", "x")


# -- Zarr
def _json(document: Any) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


def _join(*parts: str) -> str:
    return "/".join(p for p in parts if p)


def _group(version: str, path: str, content: Mapping[str, Any] | None = None) -> Tree:
    """Return the documents of a group."""
    if version == "0.4":
        marker = {_join(path, ".zgroup"): _json({"zarr_format": 2})}
        return marker | ({} if content is None else {_join(path, ".zattrs"): _json(content)})
    attributes = {} if content is None else {"ome": {"version": _STATED[version], **content}}
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    return {_join(path, "zarr.json"): _json(document)}


def _array(version: str, path: str, voxels: np.ndarray[Any, Any]) -> Tree:
    """Return the documents and chunks of an array."""
    chunk = tuple(min(a, b) for a, b in zip(_CHUNK, voxels.shape, strict=True))
    counts = [math.ceil(n / c) for n, c in zip(voxels.shape, chunk, strict=True)]
    padded = np.zeros([n * c for n, c in zip(counts, chunk, strict=True)], voxels.dtype.newbyteorder("<"))
    padded[tuple(map(slice, voxels.shape))] = voxels
    tree = _array_document(version, path, voxels, chunk)
    for index in np.ndindex(*counts):
        box = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunk, strict=True))
        key = "/".join(map(str, index))
        tree[f"{path}/{key}" if version == "0.4" else f"{path}/c/{key}"] = gzip.compress(padded[box].tobytes(), mtime=0)
    return tree


def _array_document(version: str, path: str, voxels: np.ndarray[Any, Any], chunk: tuple[int, ...]) -> Tree:
    if version == "0.4":
        older = {
            "zarr_format": 2,
            "shape": voxels.shape,
            "chunks": chunk,
            "dtype": voxels.dtype.newbyteorder("<").str,
            "compressor": {"id": "gzip", "level": 5},
            "fill_value": 0,
            "order": "C",
            "filters": None,
            "dimension_separator": "/",
        }
        return {f"{path}/.zarray": _json(older)}
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": voxels.shape,
        "data_type": voxels.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "gzip", "configuration": {"level": 5}},
        ],
        "attributes": {},
        "dimension_names": _NAMES,
    }
    return {f"{path}/zarr.json": _json(document)}


# -- images
def _axes() -> list[dict[str, Any]]:
    space = [{"name": n, "type": "space", "unit": "micrometer"} for n in _NAMES[2:]]
    return [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}, *space]


def _dataset(version: str, level: int) -> dict[str, Any]:
    factor = 2**level
    scale = {"type": "scale", "scale": [1, 1, 2, 0.5 * factor, 0.5 * factor]}
    shift = 0.25 * (factor - 1)
    translation = {"type": "translation", "translation": [0, 0, 0, 1.5 + shift, 2.5 + shift]}
    path = f"s{level}"
    if version < "0.6":
        return {"path": path, "coordinateTransformations": [scale, translation]}
    ends = {"input": {"path": path}, "output": {"name": "physical"}}
    steps = {"type": "sequence", "transformations": [scale, translation], **ends}
    return {"path": path, "coordinateTransformations": [steps]}


def _multiscale(version: str, method: str) -> dict[str, Any]:
    body: dict[str, Any] = {"version": "0.4"} if version == "0.4" else {}
    body |= {"name": "cells", "type": method, "metadata": {"method": method}}
    if version < "0.6":
        body["axes"] = _axes()
    else:
        body["coordinateSystems"] = [{"name": n, "axes": _axes()} for n in ("physical", "world")]
        ends = {"input": {"name": "physical"}, "output": {"name": "world"}}
        edge = {"type": "translation", "name": "placed", "translation": [0, 0, 4, 5, 6], **ends}
        body["coordinateTransformations"] = [edge]
    return body | {"datasets": [_dataset(version, i) for i in range(2)]}


def _blocks(dtype: str, labels: bool) -> np.ndarray[Any, Any]:
    """Return voxels that are equal in each window of 2 × 2: its mean, mode and first voxel are the same."""
    t, _, z, y, x = np.indices(_SHAPE)
    found = (y // 2 + x // 2) % 3 if labels else 100 * t + 17 * z + 5 * (y // 2) + x // 2 + 1
    return np.asarray(found, dtype)


def _levels(version: str, path: str, voxels: np.ndarray[Any, Any]) -> Tree:
    coarse = voxels[..., ::2, ::2]
    return _array(version, _join(path, "s0"), voxels) | _array(version, _join(path, "s1"), coarse)


def _image(version: str, path: str = "") -> Tree:
    window = {"min": 0, "max": 65535, "start": 0, "end": 199}
    omero = {"channels": [{"label": "membranes", "color": "00FF00", "active": True, "window": window}]}
    content = {"multiscales": [_multiscale(version, "mean")], "omero": omero}
    return _group(version, path, content) | _levels(version, path, _blocks("uint16", labels=False))


def _own(version: str) -> dict[str, Any]:
    """Return what objects of 0.4 and 0.5 state for themselves."""
    return {"version": version} if version < "0.6" else {}


def _label(version: str) -> Tree:
    found = {
        "colors": [{"label-value": i, "rgba": [90 * i, 200, 30, 255]} for i in (1, 2)],
        "properties": [{"label-value": i, "kind": "cell"} for i in (1, 2)],
        "source": {"image": "../../"},
    }
    content = {"multiscales": [_multiscale(version, "mode")], "image-label": found | _own(version)}
    tree = _image(version) | _group(version, "labels", {"labels": ["cells"]})
    voxels = _blocks("uint32", labels=True)
    return tree | _group(version, "labels/cells", content) | _levels(version, "labels/cells", voxels)


# -- collections
def _plate(version: str) -> Tree:
    body = {
        "name": "plate",
        "field_count": 2,
        "rows": [{"name": n} for n in "AB"],
        "columns": [{"name": n} for n in "123"],
        "wells": [{"path": "A/2", "rowIndex": 0, "columnIndex": 1}, {"path": "B/3", "rowIndex": 1, "columnIndex": 2}],
        "acquisitions": [{"id": i, "name": f"pass {i}", "maximumfieldcount": 1} for i in range(2)],
    }
    tree = _group(version, "", {"plate": body | _own(version)})
    for path in ("A/2", "B/3"):
        images = [{"path": f"{i}", "acquisition": i} for i in range(2)]
        tree |= _group(version, path[0]) | _group(version, path, {"well": {"images": images} | _own(version)})
        tree |= _image(version, f"{path}/0") | _image(version, f"{path}/1")
    return tree


_XML: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{}</OME>
"""
_PIXELS: Final = (
    '<Pixels ID="Pixels:{0}" DimensionOrder="XYZCT" Type="uint16" SizeX="5" SizeY="6" SizeZ="3" SizeC="1" SizeT="2">'
    '<Channel ID="Channel:{0}:0" SamplesPerPixel="1"/><MetadataOnly/></Pixels>'
)


def _container(version: str) -> Tree:
    images = "".join(f'<Image ID="Image:{i}" Name="scan {i}">{_PIXELS.format(i)}</Image>' for i in range(2))
    tree = _group(version, "", {"bioformats2raw.layout": 3}) | _group(version, "OME", {"series": ["0", "1"]})
    return tree | {"OME/METADATA.ome.xml": _XML.format(images).encode()} | _image(version, "0") | _image(version, "1")


def _scene(version: str) -> Tree:
    edges = [
        {
            "type": "translation",
            "translation": [0, 0, 0, 10 * i, 20 * i],
            "input": {"path": name, "name": "physical"},
            "output": {"name": "stage"},
        }
        for i, name in enumerate(("left", "right"))
    ]
    systems = [{"name": "stage", "axes": _axes()}]
    tree = _group(version, "", {"scene": {"coordinateSystems": systems, "coordinateTransformations": edges}})
    return tree | _image(version, "left") | _image(version, "right")


_KINDS: Final[Mapping[str, Callable[[str], Tree]]] = MappingProxyType(
    {"": _image, "-label": _label, "-plate": _plate, "-bf2raw": _container, "-scene": _scene}
)
BASES: Final[Mapping[str, Callable[[], Tree]]] = MappingProxyType(
    {
        f"ome{version.replace('.', '')}{name}": partial(make, version)
        for version in _STATED
        for name, make in _KINDS.items()
        if name != "-scene" or version >= "0.6"
    }
)
