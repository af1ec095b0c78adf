"""What should be in a place that cannot be listed."""

from __future__ import annotations

from collections.abc import Iterator

from voxarium.archive.copying.options import CopyOptions
from voxarium.archive.trees import Tree
from voxarium.errors import Code, UnsupportedError

__all__ = ["expected_objects"]


def expected_objects(tree: Tree, options: CopyOptions) -> Iterator[tuple[str, int]]:
    """Yield (key, size)."""
    raise UnsupportedError(f"{tree.uri} cannot be listed", code=Code.FEATURE_UNSUPPORTED, fix="name a release")
