"""Volumes written through the drivers, and TensorStore as the other side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voxarium.formats.precomputed import PrecomputedDriver, PrecomputedScaleDriver
from voxarium.model.axes import Axis
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo, ArraySpec, ImageInfo, LevelInfo
from voxarium.model.keys import resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat
from voxarium.model.transforms import Scale, Translation
from voxarium.model.transforms import Sequence as Steps
from voxarium.stores.local import LocalStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
AXES = ("c", "z", "y", "x")
ABSENT = 2**64 - 1


class BareStore:
    """Objects in a dict, which cannot be listed, as on a plain web server."""

    concurrency = 8
    uri = "https://example.org/data"

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.requests: list[str] = []

    def get(self, key: str, /) -> bytes | None:
        self.requests.append(key)
        return self.objects.get(key)

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> list[memoryview] | None:
        self.requests.append(key)
        data = self.objects.get(key)
        return None if data is None else [memoryview(data)[slice(*resolve_range(r, len(data)))] for r in ranges]

    def stat(self, key: str, /) -> ObjectStat | None:
        self.requests.append(key)
        data = self.objects.get(key)
        return None if data is None else ObjectStat(len(data), "")


class Cache:
    def __init__(self) -> None:
        self.kept: dict[str, object] = {}

    def get(self, _store: Any, key: str, load: Any, /) -> object | None:
        if key not in self.kept:
            found = load()
            if found is None:
                return None
            self.kept[key] = found
        return self.kept[key]


def centre(resolution: Sequence[float], offset: Sequence[int], ndim: int = 3) -> Steps:
    """Return voxel centre → world for z, y, x (and channels in front), from resolution and offset in that order."""
    front = (1.0,) * (ndim - 3), (0.0,) * (ndim - 3)
    shift = tuple((o + 0.5) * r for o, r in zip(offset, resolution, strict=True))
    return Steps((Scale((*front[0], *resolution)), Translation((*front[1], *shift))))


def put_objects(folder: Path, path: str, info: ArrayInfo, data: NDArray[Any]) -> None:
    """Write objects as the engine does: chunks cut to the array, laid down in the order the driver demands."""
    driver = PrecomputedScaleDriver()
    objects, chunks = ChunkGrid(info.shape, info.object_shape), ChunkGrid(info.shape, info.chunk_shape)
    per_object = tuple(s // c for s, c in zip(info.object_shape, info.chunk_shape, strict=True))
    for index in objects.indices():
        key = driver.object_key(path, info, index)
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        if info.shard_shape is None:
            chunk = np.ascontiguousarray(data[chunks.clipped_box(index).slices])
            if chunk.any():
                target.write_bytes(bytes(memoryview(driver.encode(info, chunk))))
            continue
        assert not target.exists(), "two shards have one name"
        layout = driver.shard_layout(info)
        table = np.full((int(np.prod(per_object)), 2), ABSENT, np.uint64)
        assert sorted(layout.order.tolist()) == list(range(len(table)))
        body = bytes(layout.head)
        for slot in layout.order.tolist():
            inside = np.unravel_index(slot, per_object)
            at = tuple(i * n + int(k) for i, n, k in zip(index, per_object, inside, strict=True))
            if any(a >= n for a, n in zip(at, chunks.counts, strict=True)):
                continue
            chunk = np.ascontiguousarray(data[chunks.clipped_box(at).slices])
            if not chunk.any():
                continue
            payload = bytes(memoryview(driver.encode(info, chunk)))
            table[slot] = len(body), len(payload)
            body += payload
        if (table == ABSENT).all():
            continue
        head, tail = driver.pack_shard(info, index, table)
        assert len(head) == layout.head
        target.write_bytes(head + body[len(head) :] + tail)


def write(
    folder: Path,
    data: NDArray[Any],
    *,
    chunk: tuple[int, int, int] = (16, 16, 16),
    shard: tuple[int, int, int] | None = None,
    offset: tuple[int, int, int] = (0, 0, 0),
    resolution: tuple[float, float, float] = (40.0, 8.0, 4.0),
    codec: str | None = None,
    role: str = "intensity",
) -> ArrayInfo:
    """Write a volume of one scale; triples are z, y, x."""
    front = (1,) * (data.ndim - 3)
    transform = centre(resolution, offset, data.ndim)
    info = PrecomputedScaleDriver().create(
        ArraySpec(
            shape=data.shape,
            dtype=data.dtype,
            chunk_shape=(*front, *chunk),
            shard_shape=None if shard is None else (*front, *shard),
            codec=codec,
            role=role,
            transform=transform,
            dimension_names=AXES[-data.ndim :],
        )
    )
    convention = PrecomputedDriver()
    path = convention.level_path(0, transform, transform)
    axes = tuple(
        Axis(name=n, type="channel" if n == "c" else "space", unit=None if n == "c" else "nanometer")
        for n in AXES[-data.ndim :]
    )
    image = ImageInfo(
        format="precomputed", axes=axes, levels=(LevelInfo(path=path, array=info, transform=transform),), role=role
    )
    convention.check(image, "1")
    put_objects(folder, path, info, data)
    for key, document in convention.dump("", image, "1", {}).items():
        (folder / key).write_bytes(document)
    return info


def tensorstore_read(folder: Path, scale: int = 0) -> NDArray[Any]:
    """Return a scale as (c, z, y, x), read by TensorStore."""
    import tensorstore as ts

    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "scale_index": scale,
    }
    array: NDArray[Any] = ts.open(spec, read=True).result().read().result()
    return array.T


def tensorstore_write(folder: Path, data: NDArray[Any], scale: dict[str, Any], **multiscale: Any) -> None:
    """Write a volume, (c, z, y, x), with TensorStore; `scale` is in its words, x first."""
    import tensorstore as ts

    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "multiscale_metadata": {"type": "image", "data_type": data.dtype.name, "num_channels": len(data)} | multiscale,
        "scale_metadata": {"size": list(data.shape[:0:-1]), "resolution": [4, 8, 40], "encoding": "raw"} | scale,
    }
    store = ts.open(spec, create=True, open=True).result()
    store.write(data.T).result()


def sample(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    """Return values with every bit used somewhere, and much background."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.choice(np.array([0.0, 0.0, 1.5, -2.25, 1e-30], kind), shape)
    limits = np.iinfo(kind)
    return rng.choice(np.array([limits.min, limits.max, 0, 0, 1, limits.max // 3], kind), shape)


class Kit:
    """What test modules take from here; test folders are no packages, so they cannot import it."""

    BareStore, Cache = BareStore, Cache
    write, put_objects, centre = staticmethod(write), staticmethod(put_objects), staticmethod(centre)
    tensorstore_read, tensorstore_write = staticmethod(tensorstore_read), staticmethod(tensorstore_write)
    sample = staticmethod(sample)

    @staticmethod
    def load(folder: Path) -> dict[str, bytes]:
        store = LocalStore(folder)
        return {key: store.get(key) or b"" for key, _ in store.list("")}

    @staticmethod
    def edit(folder: Path, change: Any) -> None:
        """Change the ``info`` of a volume in place."""
        path = folder / "info"
        doc = json.loads(path.read_text())
        change(doc)
        path.write_text(json.dumps(doc))


@pytest.fixture
def kit() -> type[Kit]:
    return Kit


@pytest.fixture(scope="session")
def golden() -> Path:
    path = SHARED / "precomputed" / "golden_generated"
    if not path.is_dir():
        pytest.skip("the shared data are not beside the repository")
    return path


@pytest.fixture(scope="session")
def truth() -> dict[str, NDArray[Any]]:
    """The labels and grey values that the golden volumes were made from."""
    if not (SHARED / "fib25").is_dir():
        pytest.skip("the shared data are not beside the repository")
    h5py = pytest.importorskip("h5py")
    image = pytest.importorskip("PIL.Image")
    import gzip
    import io

    with h5py.File(io.BytesIO(gzip.open(SHARED / "fib25" / "groundtruth.h5.gz").read())) as file:
        atoms, table = file["stack"][...], file["transforms"][...]
    order = np.argsort(table[:, 0])
    bodies = table[order, 1][np.searchsorted(table[order, 0], atoms)]
    slices = sorted((SHARED / "fib25").rglob("iso.*.png"))
    grey = np.stack([np.asarray(image.open(p)) for p in slices]) if slices else np.empty(0)
    return {"atoms": atoms, "bodies": bodies.astype(np.uint64), "grey": grey}
