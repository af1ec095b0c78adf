"""Trees for the rules of Neuroglancer's formats: volumes with and without shards, and what stands beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from voxarium.formats.precomputed import PrecomputedScaleDriver
from voxarium.model.fields import dump_json
from voxarium.model.image import ArrayInfo, ArraySpec, Role
from voxarium.spec.precomputed import VolumeInfo, centre_transform, dump_info, scale_key
from voxarium.validation.example_objects import halves, stored_objects

__all__ = ["BASES"]

_SIZE: Final = (9, 14, 21)
_CORNER: Final = (2, -4, 8)
_RESOLUTION: Final = (40, 8, 8)
_KIND: Final = "@type"
_SHARDING: Final = {
    _KIND: "neuroglancer_uint64_sharded_v1", "preshift_bits": 2, "hash": "murmurhash3_x86_128", "minishard_bits": 1,
    "shard_bits": 0, "minishard_index_encoding": "gzip", "data_encoding": "raw",
}  # fmt: skip
_PROVENANCE: Final = {"description": "an example", "owners": [], "processing": [], "sources": []}


def _volume(dtype: str, role: Role, codec: str, *, shard: int = 0, **links: str) -> dict[str, bytes]:
    driver = PrecomputedScaleDriver()
    tree: dict[str, bytes] = {}
    scales = []
    for level, data in enumerate(halves(dtype, _SIZE, 200 if role == "intensity" else 9)):
        factor = 1 << level
        resolution = tuple(r * factor for r in _RESOLUTION[::-1])
        corner = tuple(n // factor for n in _CORNER[::-1])
        info: ArrayInfo = driver.create(
            ArraySpec(
                shape=data.shape,
                dtype=data.dtype,
                chunk_shape=(8, 8, 8),
                shard_shape=(shard,) * 3 if shard else None,
                codec=codec,
                role=role,
                transform=centre_transform(resolution, corner, channels=False),
            )
        )
        key = scale_key(resolution)
        scales.append(replace(info.details.scale, key=key))
        tree |= stored_objects(driver, key, info, data)
    volume = VolumeInfo(
        kind="segmentation" if role == "label" else "image",
        data_type=dtype,
        num_channels=1,
        scales=tuple(scales),
        mesh=links.get("mesh"),
        skeletons=links.get("skeletons"),
        segment_properties=links.get("segment_properties"),
    )
    return {"info": dump_info(volume), "provenance": dump_json(_PROVENANCE), **tree}


def _image() -> dict[str, bytes]:
    return _volume("uint16", "intensity", "raw")


def _sharded() -> dict[str, bytes]:
    return _volume("uint16", "intensity", "raw", shard=16)


def _segmentation() -> dict[str, bytes]:
    tree = _volume(
        "uint64", "label", "compressed_segmentation", mesh="mesh", skeletons="skeletons", segment_properties="segments"
    )
    for folder, made in (("mesh", _mesh()), ("skeletons", _skeletons()), ("segments", _properties())):
        tree |= {f"{folder}/{key}": raw for key, raw in made.items()}
    return tree


def _mesh() -> dict[str, bytes]:
    info = {
        _KIND: "neuroglancer_multilod_draco",
        "vertex_quantization_bits": 10,
        "transform": [8, 0, 0, 0, 0, 8, 0, 0, 0, 0, 40, 0],
        "lod_scale_multiplier": 1,
        "sharding": _SHARDING,
    }
    return {"info": dump_json(info)}


def _skeletons() -> dict[str, bytes]:
    attributes = [
        {"id": "radius", "data_type": "float32", "num_components": 1},
        {"id": "normal", "data_type": "float32", "num_components": 3},
    ]
    return {"info": dump_json({_KIND: "neuroglancer_skeletons", "vertex_attributes": attributes})}


def _annotations() -> dict[str, bytes]:
    info = {
        _KIND: "neuroglancer_annotations_v1",
        "dimensions": {"x": [8, "nm"], "y": [8, "nm"], "z": [40, "nm"]},
        "lower_bound": [0, 0, 0],
        "upper_bound": [512, 512, 512],
        "annotation_type": "point",
        "properties": [
            {"id": "kind", "type": "uint8", "enum_values": [0, 3], "enum_labels": ["axon", "dendrite"]},
            {"id": "score", "type": "float32", "description": "from 0 to 1"},
        ],
        "relationships": [{"id": "segment", "key": "segment"}],
        "by_id": {"key": "by_id", "sharding": _SHARDING},
        "spatial": [
            {"key": "spatial0", "grid_shape": [1, 1, 1], "chunk_size": [512, 512, 512], "limit": 100},
            {
                "key": "spatial1",
                "grid_shape": [2, 1, 1],
                "chunk_size": [256, 512, 512],
                "limit": 100,
                "sharding": _SHARDING | {"hash": "identity"},
            },
        ],
    }
    return {"info": dump_json(info)}


def _properties() -> dict[str, bytes]:
    properties = [
        {"id": "name", "type": "label", "values": ["axon", "soma"]},
        {"id": "note", "type": "description", "values": ["", "cut"]},
        {"id": "voxels", "type": "number", "data_type": "uint32", "values": [5120, 77]},
        {"id": "tags", "type": "tags", "tags": ["left", "right"], "values": [[0, 1], [1]]},
    ]
    inline = {"ids": ["17", "720575940379279384"], "properties": properties}
    return {"info": dump_json({_KIND: "neuroglancer_segment_properties", "inline": inline})}


BASES: Final[Mapping[str, Callable[[], dict[str, bytes]]]] = {
    "precomputed": _image,
    "precomputed-sharded": _sharded,
    "precomputed-segmentation": _segmentation,
    "precomputed-mesh": _mesh,
    "precomputed-skeletons": _skeletons,
    "precomputed-annotations": _annotations,
    "precomputed-properties": _properties,
}
