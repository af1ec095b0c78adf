"""Trees for the rules about any image: an array, a sharded one, an image of two levels, a label image, a dataset."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.crc32c import crc32c_extend

__all__ = ["BASES"]

_BYTES: Final = {"name": "bytes", "configuration": {"endian": "little"}}
_CRC: Final = {"name": "crc32c"}
_AXES: Final = ("z", "y", "x")
_SCALE: Final = (40.0, 8.0, 8.0)


def _document(value: Any) -> bytes:  # Any: JSON
    return json.dumps(value, indent=2).encode() + b"\n"


def _checked(payload: bytes) -> bytes:
    return payload + crc32c_extend(0, payload).to_bytes(4, "little")


def _metadata(data: NDArray[Any], chunk: tuple[int, ...], codecs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(data.shape),
        "data_type": data.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": codecs,
        "dimension_names": list(_AXES),
        "attributes": {},
    }


def _chunks(data: NDArray[Any], chunk: tuple[int, ...]) -> dict[tuple[int, ...], bytes]:
    """Return the encoded chunks of an array by their place in the grid; the last ones are filled up with 0."""
    out = {}
    for index in product(*(range(-(-n // c)) for n, c in zip(data.shape, chunk, strict=True))):
        part = data[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunk, strict=True))]
        whole = np.zeros(chunk, data.dtype)
        whole[tuple(slice(n) for n in part.shape)] = part
        out[index] = _checked(whole.tobytes())
    return out


def _stored(path: str, data: NDArray[Any], chunk: tuple[int, ...]) -> dict[str, bytes]:
    """Return an array of Zarr 3 with chunks that carry checksums."""
    prefix = f"{path}/" if path else ""
    documents = {f"{prefix}zarr.json": _document(_metadata(data, chunk, [_BYTES, _CRC]))}
    return documents | {f"{prefix}c/{'/'.join(map(str, i))}": raw for i, raw in _chunks(data, chunk).items()}


def _values(dtype: str = "uint8") -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two levels: windows of 2 × 2 × 2 voxels are of one value, so that any method makes one of the other."""
    coarse = (np.arange(4 * 7 * 6).reshape(4, 7, 6) % 251 + 1).astype(dtype)
    return np.kron(coarse, np.ones((2, 2, 2), dtype))[:7, :13, :11].astype(dtype), coarse


def _array() -> dict[str, bytes]:
    return _stored("", _values()[0], (4, 7, 6))


def _sharded() -> dict[str, bytes]:
    """Return an array in one shard of 2 × 2 × 2 chunks."""
    data, chunk = _values()[0], (4, 7, 6)
    inner = {"chunk_shape": list(chunk), "codecs": [_BYTES, _CRC], "index_codecs": [_BYTES, _CRC]}
    codecs = [{"name": "sharding_indexed", "configuration": inner | {"index_location": "end"}}]
    payloads = list(_chunks(data, chunk).values())
    ends = np.cumsum([len(p) for p in payloads])
    index = np.stack([ends - [len(p) for p in payloads], [len(p) for p in payloads]], axis=1).astype("<u8")
    shard = b"".join(payloads) + _checked(index.tobytes())
    whole = tuple(2 * c for c in chunk)
    return {"zarr.json": _document(_metadata(data, whole, codecs)), "c/0/0/0": shard}


def _multiscales() -> dict[str, Any]:
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in _AXES]
    levels = []
    for i in range(2):
        scale = {"type": "scale", "scale": [s * 2**i for s in _SCALE]}
        shift = {"type": "translation", "translation": [s * (2**i - 1) / 2 for s in _SCALE]}
        levels.append({"path": f"s{i}", "coordinateTransformations": [scale, shift]})
    return {"name": "em", "type": "mean", "metadata": {"method": "mean"}, "axes": axes, "datasets": levels}


def _group(ome: Mapping[str, Any]) -> bytes:
    return _document({"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5", **ome}}})


def _image(prefix: str = "", dtype: str = "uint8", extra: Mapping[str, Any] = {}) -> dict[str, bytes]:
    out = {f"{prefix}zarr.json": _group({"multiscales": [_multiscales()], **extra})}
    for i, data in enumerate(_values(dtype)):
        out |= _stored(f"{prefix}s{i}", data, (4, 7, 6))
    return out


def _label_image() -> dict[str, bytes]:
    image = {"image-label": {"version": "0.5", "colors": [{"label-value": 1, "rgba": [255, 0, 0, 255]}]}}
    found = _image(dtype="uint32", extra=image)
    return found | {"zarr.json": found["zarr.json"].replace(b'"mean"', b'"mode"')}


def _published() -> dict[str, bytes]:
    """Return a dataset with all that an archive needs."""
    about = {"name": "specimen", "license": "CC-BY-4.0", "authors": [{"name": "A. Author"}]}
    beside = {"dataset.json": _document(about), "thumbnail.png": b"\x89PNG", "provenance": b"{}\n"}
    return beside | _image("em.ome.zarr/")


BASES: Final[Mapping[str, Callable[[], Mapping[str, bytes]]]] = {
    "array": _array,
    "sharded-array": _sharded,
    "image": _image,
    "label-image": _label_image,
    "published": _published,
}
