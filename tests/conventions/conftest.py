"""A container in memory whose arrays exist by their metadata alone, and images to write into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from voxarium.errors import Code, NotFoundError
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo, LevelInfo
from voxarium.model.transforms import Scale, Transform, Translation
from voxarium.stores.memory import MemoryStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


class World:
    """Attributes by path; arrays are those with `dimensions`, presented with the slowest axis first."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.arrays: dict[str, ArrayInfo] = {}

    def put(self, path: str, attributes: object, document: str = "attributes.json") -> None:
        key = f"{path}/{document}" if path else document
        self.store.put(key, json.dumps(attributes).encode())

    def array(self, path: str, shape: tuple[int, ...], dtype: str = "uint8", **attributes: Any) -> None:
        """Put an N5 array of a shape in C order."""
        own = {
            "dimensions": list(shape[::-1]),
            "blockSize": [8] * len(shape),
            "dataType": dtype,
            "compression": {"type": "gzip"},
        }
        self.put(path, own | attributes)

    def get(self, path: str) -> dict[str, Any]:
        raw = self.store.get(f"{path}/attributes.json" if path else "attributes.json")
        assert raw is not None, path
        return json.loads(raw)

    def open_array(self, key: str) -> ArrayInfo:
        if key in self.arrays:
            return self.arrays[key]
        raw = self.store.get(f"{key}/attributes.json" if key else "attributes.json")
        attributes = {} if raw is None else json.loads(raw)
        if "dimensions" not in attributes:
            raise NotFoundError(f"no array at {key}", code=Code.METADATA_MISSING, fix="check the path")
        return ArrayInfo(
            format="n5",
            shape=tuple(attributes["dimensions"][::-1]),
            dtype=np.dtype(attributes.get("dataType", "uint8")),
            chunk_shape=tuple(attributes.get("blockSize", attributes["dimensions"])[::-1]),
            attributes=attributes,
        )

    def load(self, folder: Path) -> None:
        """Take over the metadata below a folder."""
        for file in folder.rglob("*"):
            if file.name in ("attributes.json", ".zattrs", ".zarray"):
                self.store.put(file.relative_to(folder).as_posix(), file.read_bytes())

    def open(self, driver: Any, path: str = "") -> ImageInfo:
        return driver.open(self.store, path, self.open_array)

    def write(self, driver: Any, path: str, image: ImageInfo) -> dict[str, bytes]:
        """Store arrays and documents of an image, in the order of the engine; return the documents."""
        driver.check(image, driver.spec_versions[0])
        for level in image.levels:
            self.array(f"{path}/{level.path}" if path else level.path, level.array.shape, level.array.dtype.name)
        keys = driver.touched(path, image, driver.spec_versions[0])
        existing = {k: raw for k in keys if (raw := self.store.get(k)) is not None}
        documents = driver.dump(path, image, driver.spec_versions[0], existing)
        for key, data in documents.items():
            self.store.put(key, data)
        return documents


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, which the repository does not hold."""
    if not (SHARED / "n5").is_dir():
        pytest.skip(f"real data is not there: {SHARED}/n5")
    return SHARED


def pair(scale: tuple[float, ...], translation: tuple[float, ...]) -> Transform:
    return Scale(scale).then(Translation(translation))


@pytest.fixture
def make_image():
    """Build an image with a pyramid of means: shapes and transforms in C order."""

    def call(
        format: str,
        *,
        shape=(21, 34, 55),
        factors=((1, 1, 1), (1, 2, 2), (2, 4, 4)),
        size=(40.0, 5.24, 4.0),
        start=(0.0, 0.0, 0.0),
        names="zyx",
        units=("nanometer",) * 3,
        dtype="uint16",
        half_pixel=True,
        path="s{}",
        **more: Any,
    ) -> ImageInfo:
        types = {"t": "time", "c": "channel"}
        axes = tuple(Axis(name=n, type=types.get(n, "space"), unit=u) for n, u in zip(names, units, strict=True))
        levels = []
        for i, f in enumerate(factors):
            own = tuple(-(-n // k) for n, k in zip(shape, f, strict=True))
            array = ArrayInfo(format="n5", shape=own, dtype=np.dtype(dtype), chunk_shape=own)
            shift = [s * (k - 1) / 2 if half_pixel else 0 for s, k in zip(size, f, strict=True)]
            transform = pair(
                tuple(s * k for s, k in zip(size, f, strict=True)),
                tuple(t + d for t, d in zip(start, shift, strict=True)),
            )
            levels.append(LevelInfo(path=path.format(i), array=array, transform=transform))
        return ImageInfo(format=format, axes=axes, levels=tuple(levels), **more)

    return call


def world_points(image: ImageInfo) -> list[list[float]]:
    """Return where the first and another voxel of every level are."""
    ndim = len(image.axes)
    return [lv.transform.apply(p).tolist() for lv in image.levels for p in ([0] * ndim, list(range(1, ndim + 1)))]


def json_junk(keys: list[str]) -> st.SearchStrategy[Any]:
    """JSON of any kind, whose objects have the keys of a convention."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(2**62)
    lists = st.lists(st.integers(-2, 3) | st.floats(), min_size=1, max_size=4)
    return st.recursive(
        leaves | lists,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, max_size=5),
        max_leaves=12,
    )
