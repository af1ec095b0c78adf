"""Trees for the rules of WEBKNOSSOS: an array of WKW, and datasets of WKW, Zarr 2 and Zarr 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.formats.wkw import WkwDriver
from voxarium.model.fields import dump_json
from voxarium.model.image import ArraySpec
from voxarium.spec.webknossos import DOCUMENT
from voxarium.validation.example_objects import halves, stored_objects

__all__ = ["BASES"]

_SIZE: Final = (9, 14, 21)
_CORNER: Final = (2, 4, 8)
_ORDER: Final = {"c": 0, "x": 1, "y": 2, "z": 3}


def _stored(dtype: str, many: int) -> list[NDArray[Any]]:
    """Return the arrays of two mags: they count from voxel 0 of the dataset, and are 0 in front of the layer."""
    out = []
    for level, data in enumerate(halves(dtype, _SIZE, many)):
        corner = tuple(n >> level for n in _CORNER)
        out.append(np.pad(data, [(n, 0) for n in corner]))
    return out


def _wkw(path: str, data: NDArray[Any], codec: str) -> dict[str, bytes]:
    driver = WkwDriver()
    spec = ArraySpec(shape=data.shape, dtype=data.dtype, chunk_shape=(8, 8, 8), shard_shape=(16, 16, 16), codec=codec)
    info = driver.create(spec)
    return driver.dump(path, info) | stored_objects(driver, path, info, data)


def _array() -> dict[str, bytes]:
    return _wkw("", halves("uint16", (16, 16, 32), 200)[0], "none")


def _layer(name: str, category: str, dtype: str, stored: str, **more: Any) -> dict[str, Any]:
    z, y, x = _SIZE
    extra = {"cubeLength": 16} if stored == "wkw" else {}
    return {
        "name": name,
        "category": category,
        "boundingBox": {"topLeft": list(_CORNER[::-1]), "width": x, "height": y, "depth": z},
        "elementClass": dtype,
        "numChannels": 1,
        "dataFormat": stored,
        "mags": [{"mag": [m] * 3, "path": f"./{name}/{m}", "axisOrder": _ORDER, **extra} for m in (1, 2)],
        **more,
    }


def _dataset(*layers: dict[str, Any]) -> dict[str, bytes]:
    document = {
        "id": {"name": "example", "team": ""},
        "scale": {"factor": [8, 8, 40], "unit": "nanometer"},
        "dataLayers": list(layers),
        "version": 1,
    }
    return {DOCUMENT: dump_json(document)}


def _of_wkw() -> dict[str, bytes]:
    mesh = {"name": "fine", "path": "./segmentation/meshes/fine.hdf5", "dataFormat": "hdf5"}
    tree = _dataset(
        _layer("color", "color", "uint8", "wkw"),
        _layer("segmentation", "segmentation", "uint32", "wkw", largestSegmentId=9, attachments={"meshes": [mesh]}),
    )
    for name, dtype, many in (("color", "uint8", 200), ("segmentation", "uint32", 9)):
        for level, data in enumerate(_stored(dtype, many)):
            tree |= _wkw(f"{name}/{1 << level}", data, "lz4")
    return tree | {"segmentation/meshes/fine.hdf5": b"a file of meshes"}


def _of_zarr() -> dict[str, bytes]:
    group = dump_json({"zarr_format": 2})
    tree = _dataset(_layer("color", "color", "uint8", "zarr")) | {".zgroup": group, "color/.zgroup": group}
    for level, data in enumerate(_stored("uint8", 200)):
        voxels = data.transpose()[None]
        array = {
            "zarr_format": 2, "shape": list(voxels.shape), "chunks": list(voxels.shape), "dtype": "|u1",
            "compressor": None, "fill_value": 0, "order": "C", "filters": None, "dimension_separator": "/",
        }  # fmt: skip
        tree |= {f"color/{1 << level}/.zarray": dump_json(array), f"color/{1 << level}/0/0/0/0": voxels.tobytes()}
    return tree


def _of_zarr3() -> dict[str, bytes]:
    group = dump_json({"zarr_format": 3, "node_type": "group"})
    tree = _dataset(_layer("color", "color", "uint8", "zarr3")) | {"zarr.json": group, "color/zarr.json": group}
    chunk = (1, 32, 32, 16)
    for level, data in enumerate(_stored("uint8", 200)):
        voxels = data.transpose()[None]
        array = {
            "zarr_format": 3, "node_type": "array", "shape": list(voxels.shape), "data_type": "uint8",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}}, "fill_value": 0,
            "codecs": [{"name": "bytes"}], "dimension_names": list(_ORDER), "attributes": {},
        }  # fmt: skip
        padded = np.pad(voxels, [(0, c - n) for c, n in zip(chunk, voxels.shape, strict=True)])
        tree |= {f"color/{1 << level}/zarr.json": dump_json(array), f"color/{1 << level}/c/0/0/0/0": padded.tobytes()}
    return tree


BASES: Final[Mapping[str, Callable[[], dict[str, bytes]]]] = {
    "wkw": _array,
    "webknossos": _of_wkw,
    "webknossos-zarr": _of_zarr,
    "webknossos-zarr3": _of_zarr3,
}
