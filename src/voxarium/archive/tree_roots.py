"""The root of what a conversion wrote, from digests taken while it wrote: for the log of a dataset, without a manifest.

It is the root that a manifest of the same objects has (`voxarium manifest` prints it), so that anybody can tell later
whether they are still those which the conversion wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxarium.core.digests import has_blake3
from voxarium.core.registry import writable_array_driver, writable_image_driver
from voxarium.model.protocols import ReadableStore, ShardedArrayDriver
from voxarium.spec.manifest import Strings, format_root, make_manifest, manifest_root

if TYPE_CHECKING:
    from voxarium.conversion.finished import FinishedObject
    from voxarium.conversion.plan import Plan

__all__ = ["RootTaker", "is_cheap"]


def is_cheap(plan: Plan) -> bool:
    """Tell whether BLAKE3 digests can be taken without reading anything again.

    Shards that begin with what is known last would have to be read once more, over a network where the target is.
    """
    if not has_blake3():
        return False
    driver = writable_array_driver(writable_image_driver(plan.format).array_driver(plan.spec_version))
    if not isinstance(driver, ShardedArrayDriver):
        return True
    return not any(level.info.shard_shape and driver.shard_layout(level.info).head for level in plan.levels)


class RootTaker:
    """Computes the root of an image's objects; hand it over as ``take_objects``, with the option ``digests="blake3"``.

    Parameters
    ----------
    target : str
        Address of the image. Of one that is part of a larger hierarchy, whose keys begin further up, no root is taken.
    """

    digests = ("blake3",)

    def __init__(self, target: str) -> None:
        self._target = target.removeprefix("file://").rstrip("/")
        self.roots: tuple[str, ...] = ()

    def __call__(self, store: ReadableStore, objects: list[FinishedObject]) -> None:
        """Compute the root, unless an earlier run had finished an object without its digest."""
        taken = [o.blake3 for o in objects if o.blake3 is not None]
        if not objects or len(taken) < len(objects) or store.uri.removeprefix("file://").rstrip("/") != self._target:
            return
        digests = np.frombuffer(b"".join(taken), np.uint8).reshape(-1, 32)
        sizes = np.array([o.size for o in objects], np.int64)
        manifest = make_manifest(Strings.of(o.key for o in objects), sizes, digests, blake3=digests)
        self.roots = (format_root("blake3", manifest_root(manifest, "blake3")),)
