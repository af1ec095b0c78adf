"""Trees of CellMap: a published dataset with its containers, and a crop of ground truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.validation.examples.n5 import cosem, pyramid

__all__ = ["BASES"]

_NAME: Final = "jrc_example-1"
_SCALE: Final = (30.0, 8.0, 8.0)  # nanometre, z y x
_GROUP: Final = {"zarr_format": 2}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


def _array(data: NDArray[Any], path: str, attributes: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """Return an array of Zarr v2 in one chunk."""
    document = {
        "zarr_format": 2,
        "shape": list(data.shape),
        "chunks": list(data.shape),
        "dtype": data.dtype.newbyteorder("<").str,
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }
    tree = {f"{path}/.zarray": _json(document), f"{path}/0/0/0": data.astype(data.dtype.newbyteorder("<")).tobytes()}
    return tree if attributes is None else tree | {f"{path}/.zattrs": _json(attributes)}


def _multiscales(name: str, levels: int) -> list[dict[str, Any]]:
    datasets = []
    for i in range(levels):
        factors = (1, 2**i, 2**i)
        scale = [s * f for s, f in zip(_SCALE, factors, strict=True)]
        shift = [s * (f - 1) / 2 for s, f in zip(_SCALE, factors, strict=True)]
        steps = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": f"s{i}", "coordinateTransformations": steps})
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    made = {"type": "mean", "metadata": {"method": "mean"}}
    return [{"version": "0.4", "name": name, "axes": axes, "datasets": datasets, **made}]


def _image(path: str, dtype: str = "uint8") -> dict[str, bytes]:
    tree = {f"{path}/.zgroup": _json(_GROUP)}
    tree[f"{path}/.zattrs"] = _json({"multiscales": _multiscales(path.rpartition("/")[2], 2)})
    for i, data in enumerate(pyramid(dtype)):
        tree |= _array(data, f"{path}/s{i}")
    return tree


def _dataset() -> dict[str, bytes]:
    n5, zarr = f"{_NAME}.n5", f"{_NAME}.zarr"
    tree = {"thumbnail.jpg": b"\xff\xd8\xff\xd9", f"{n5}/attributes.json": _json({"n5": "2.0.0"})}
    images = {"em/fibsem-uint8": "uint8", "labels/mito_seg": "uint16", "labels/mito_pred": "uint8"}
    for path, dtype in images.items():
        tree |= cosem(f"{n5}/{path}", dtype, path.rpartition("/")[2])
        tree |= _image(f"{zarr}/recon-1/{path}", dtype)
    truth = f"{zarr}/recon-1/labels/groundtruth"
    groups = (zarr, f"{zarr}/recon-1", f"{zarr}/recon-1/em", f"{zarr}/recon-1/labels", truth, f"{truth}/crop7")
    tree |= {f"{path}/.zgroup": _json(_GROUP) for path in groups}
    for name in ("mito", "all"):
        tree |= _image(f"{truth}/crop7/{name}", "uint16")
    mesh = {"@type": "neuroglancer_multilod_draco", "lod_scale_multiplier": 1, "vertex_quantization_bits": 10}
    place = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    return tree | {"neuroglancer/mesh/mito_seg/info": _json({**mesh, "transform": place})}


def _annotated(name: str, kind: str, encoding: Mapping[str, int], data: NDArray[Any]) -> dict[str, bytes]:
    own = {"class_name": name, "annotation_type": {"type": kind, "encoding": dict(encoding)}}
    counts = {key: int(np.count_nonzero(data == value)) for key, value in encoding.items() if key != "present"}
    tree = {f"{name}/.zgroup": _json(_GROUP)}
    tree[f"{name}/.zattrs"] = _json({"multiscales": _multiscales(name, 1), "cellmap": {"annotation": own}})
    return tree | _array(data, f"{name}/s0", {"cellmap": {"annotation": {**own, "complement_counts": counts}}})


def _crop() -> dict[str, bytes]:
    semantic = (np.arange(60, dtype=np.uint8).reshape(3, 4, 5) % 7 > 3).astype(np.uint8)
    instances = np.arange(60, dtype=np.uint32).reshape(3, 4, 5) // 20
    crop = {
        "version": "0.1.1",
        "name": "crop7",
        "description": None,
        "created_by": ["A. Annotator"],
        "created_with": ["software"],
        "start_date": "2022-03-01",
        "end_date": None,
        "duration_days": 2,
        "protocol_uri": None,
        "class_names": ["mito", "nucleus"],
    }
    return {
        ".zgroup": _json(_GROUP),
        ".zattrs": _json({"cellmap": {"annotation": crop}}),
        **_annotated("mito", "semantic_segmentation", {"absent": 0, "present": 1}, semantic),
        **_annotated("nucleus", "instance_segmentation", {"absent": 0}, instances),
    }


BASES: Final[Mapping[str, Callable[[], dict[str, bytes]]]] = MappingProxyType(
    {"cellmap": _dataset, "cellmap-crop": _crop}
)
