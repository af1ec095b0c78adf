"""Labels like those of a segmentation, and the folder of foreign data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared data are not beside the repository")
    return SHARED


@pytest.fixture
def cells() -> Any:
    """Return a function that makes labels of compact cells, shape (c, z, y, x)."""

    def make(shape: tuple[int, ...], dtype: str = "u8", count: int = 40, seed: int = 0) -> NDArray[Any]:
        rng = np.random.default_rng(seed)
        places = np.indices(shape[1:]).reshape(3, -1).T
        out = np.empty(shape, dtype)
        for channel in out:
            centres = rng.uniform(0, shape[1:], (count, 3))
            nearest = np.zeros(len(places), int)
            best = np.full(len(places), np.inf)
            for i, centre in enumerate(centres):
                distance = ((places - centre) ** 2).sum(1)
                nearest[distance < best] = i
                best = np.minimum(best, distance)
            ids = rng.integers(0, np.iinfo(dtype).max, count, dtype=dtype, endpoint=True)
            ids[0] = 0
            channel[...] = ids[nearest].reshape(shape[1:])
        return out

    return make


@pytest.fixture
def tensorstore_volume(tmp_path: Path) -> Any:
    """Return a function that makes a precomputed volume of one chunk: (file of the chunk, function that opens it)."""
    tensorstore = pytest.importorskip("tensorstore")

    def make(shape: tuple[int, ...], dtype: str, encoding: str, extra: dict[str, Any]) -> tuple[Path, Any]:
        size = shape[:0:-1]
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{tmp_path}/"},
            "multiscale_metadata": {
                "type": "segmentation" if "seg" in encoding else "image",
                "data_type": dtype,
                "num_channels": shape[0],
            },
            "scale_metadata": {
                "key": "s",
                "size": size,
                "chunk_size": size,
                "resolution": [8, 9, 10],
                "encoding": encoding,
                **extra,
            },
        }
        name = "_".join(f"0-{n}" for n in size)
        return tmp_path / "s" / name, lambda: tensorstore.open(spec, open=True, create=True).result()

    return make
