"""A region of an image as OME-Zarr in one file (.ozx), where it lies in the world."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from typing import Any

from voxarium.conversion import convert
from voxarium.core.image import Image
from voxarium.errors import ExistsError, NotFoundError, StoreError, VoxariumError
from voxarium.model.box import Box
from voxarium.serve.arguments import RefusedError
from voxarium.serve.translated import shown_axes
from voxarium.stores.local import LocalStore
from voxarium.stores.zip_writer import ZipWriter

__all__ = ["zarr_file"]

_LONGEST_CHUNK = 64


def zarr_file(image: Image, level: int, box: Box) -> bytes:
    """Return OME-Zarr 0.5 with one level, in a zip file.

    Raises `RefusedError` if that cannot hold the image.
    """
    alone = Image(
        image.store, image.path, replace(image.info, levels=(image.info.levels[level],)), (image.arrays[level],)
    )
    with tempfile.TemporaryDirectory(prefix="voxarium-cutout-") as folder:
        path, packed = os.path.join(folder, "cutout.ome.zarr"), os.path.join(folder, "cutout.ozx")
        chunk = tuple(min(n, _LONGEST_CHUNK) for n in box.shape)
        choices: dict[str, Any] = {"name": image.name}  # Any: options
        if not image.info.axes_stated:
            choices["axes"] = tuple(axis.name for axis in shown_axes(image))
        try:
            convert(alone, path, threads=1, crop=box, levels=1, chunk=chunk, accept=("all",), **choices)
        except (StoreError, NotFoundError, ExistsError):
            raise
        except VoxariumError as error:
            raise RefusedError(400, f"zarr cannot hold this: {error.message}") from error
        stored = LocalStore(path)
        with ZipWriter(packed) as archive:
            for key, _ in stored.list():
                archive.put(key, stored.get(key) or b"")
        with open(packed, "rb") as whole:
            return whole.read()
