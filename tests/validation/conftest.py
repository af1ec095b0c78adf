"""Images whose census is taken and whose voxels are checked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium
from voxarium.core.image import Image
from voxarium.core.opening import open_image
from voxarium.model.rules import Finding
from voxarium.stores.memory import MemoryStore

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
DOCUMENTS = (
    "zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata", "attributes.json", "info", "provenance", "header.wkw",
    "datasource-properties.json", "knossos.conf", "METADATA.ome.xml",
)  # fmt: skip


def is_document(key: str) -> bool:
    """What the drivers of checks know of documents, for tests without them."""
    return key.rpartition("/")[2] in DOCUMENTS


def in_memory(objects: dict[str, bytes]) -> MemoryStore:
    store = MemoryStore()
    for key, data in objects.items():
        store.put(key, data)
    return store


def opened(objects: dict[str, bytes], path: str = "image") -> Image:
    return open_image(in_memory(objects), path)


def rule_ids(findings: Iterable[Finding], *levels: str) -> set[str]:
    return {f.rule for f in findings if not levels or f.level in levels}


def folder_of(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def written(folder: Path, data: np.ndarray, name: str = "image", **choices: Any) -> Path:
    """An image written by this library."""
    source = folder / "source.npy"
    np.save(source, data)
    target = folder / name
    axes = "tczyx"[-data.ndim :]
    voxarium.convert(source, target, axes=axes, voxel_size=(40, 8, 6), unit="nanometer", accept="all", **choices)
    return target


@pytest.fixture(scope="session")
def noisy() -> np.ndarray:
    return np.random.default_rng(5).integers(1, 255, (37, 45, 51), np.uint8)
