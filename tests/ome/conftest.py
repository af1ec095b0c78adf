"""A store in a dictionary, and arrays that exist by their metadata alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxarium.errors import Code, NotFoundError
from voxarium.formats.ome_zarr import OmeZarrDriver
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.protocols import ByteRange, ObjectStat

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


class DictStore:
    """Bytes by key; counts what was asked for."""

    uri = "dict://"
    concurrency = 1

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.asked: list[str] = []

    def get(self, key: str, /) -> bytes | None:
        self.asked.append(key)
        return self.objects.get(key)

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> None:
        raise AssertionError("image drivers read whole documents")

    def stat(self, key: str, /) -> ObjectStat | None:
        raise AssertionError("image drivers read whole documents")


def array_info(shape: tuple[int, ...], dtype: str = "uint16") -> ArrayInfo:
    return ArrayInfo(format="fake", shape=shape, dtype=np.dtype(dtype), chunk_shape=shape)


class World:
    """A store with images whose arrays are only named."""

    def __init__(self) -> None:
        self.store = DictStore()
        self.arrays: dict[str, ArrayInfo] = {}
        self.driver = OmeZarrDriver()

    def open_array(self, key: str) -> ArrayInfo:
        if key not in self.arrays:
            raise NotFoundError(f"no array at {key}", code=Code.METADATA_MISSING, fix="check the path")
        return self.arrays[key]

    def put(self, key: str, document: object) -> None:
        self.store.objects[key] = json.dumps(document).encode()

    def put_v3(self, path: str, attributes: object) -> None:
        key = f"{path}/zarr.json" if path else "zarr.json"
        self.put(key, {"zarr_format": 3, "node_type": "group", "attributes": attributes})

    def put_v2(self, path: str, attributes: object) -> None:
        prefix = f"{path}/" if path else ""
        self.put(f"{prefix}.zgroup", {"zarr_format": 2})
        self.put(f"{prefix}.zattrs", attributes)

    def open(self, path: str = "") -> ImageInfo:
        return self.driver.open(self.store, path, self.open_array)

    def write(self, path: str, image: ImageInfo, spec_version: str) -> dict[str, bytes]:
        """Store an image's documents and make its arrays known."""
        keys = self.driver.touched(path, image, spec_version)
        existing = {k: self.store.objects[k] for k in keys if k in self.store.objects}
        documents = self.driver.dump(path, image, spec_version, existing)
        self.store.objects.update(documents)
        prefix = f"{path}/" if path else ""
        self.arrays.update({prefix + level.path: level.array for level in image.levels})
        return documents


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_array() -> Callable[..., ArrayInfo]:
    return array_info


def comparable(image: ImageInfo) -> ImageInfo:
    """Return the image without what says how it was written rather than what it is."""
    from dataclasses import replace

    from voxarium.model.image import Bag

    edges = tuple(replace(e, original={}) for e in image.edges)
    return replace(image, bag=Bag(extra=image.bag.extra), spec_version=None, edges=edges)


@pytest.fixture(name="comparable")
def comparable_fixture() -> Callable[[ImageInfo], ImageInfo]:
    return comparable


@pytest.fixture
def shared() -> Path:
    if not SHARED.exists():
        pytest.skip(f"shared data are not at {SHARED}")
    return SHARED


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())
