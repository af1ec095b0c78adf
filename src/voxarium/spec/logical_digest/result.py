"""The result: two digests, and the leaves they were made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from voxarium.model.box import Box
from voxarium.spec.logical_digest.coordinates import Coordinates
from voxarium.spec.logical_digest.grid import BlockGrid, content_shape, with_single_axes
from voxarium.spec.logical_digest.hashing import bound_digest, content_digest, tree_nodes, tree_root

__all__ = ["BOUND_PREFIX", "CONTENT_PREFIX", "LogicalDigest"]

CONTENT_PREFIX: Final = "vld1-content:"
BOUND_PREFIX: Final = "vld1-bound:"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalDigest:
    """What an image's voxels are (`content`), and what they are in their place (`bound`).

    Parameters
    ----------
    dtype : str
        Type of a voxel; ``uint8`` for booleans.
    shape : tuple of int
        In canonical order: time, channels, others, z, y, x.
    axes : tuple of str
        Their names.
    content : str
        Digest of voxels, type and shape. Axes of length 1 and names do not count.
    bound : str or None
        Digest of `content` and coordinates; None where the file states none, or none that are affine.
    coordinates : Coordinates or None
        What was bound.
    leaves : ndarray of uint8, shape (blocks, 32)
        Digests of the blocks, in C order.
    """

    dtype: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    content: str
    bound: str | None = None
    coordinates: Coordinates | None = None
    leaves: NDArray[np.uint8] = field(repr=False, compare=False)

    @classmethod
    def of(
        cls,
        dtype: str,
        shape: tuple[int, ...],
        axes: tuple[str, ...],
        leaves: NDArray[np.uint8],
        coordinates: Coordinates | None,
    ) -> Self:
        """Return the digest of an image by the digests of its blocks.

        Raises
        ------
        InputError
            If there is not one leaf for each block.
        """
        reduced = content_shape(shape)
        content = content_digest(dtype, reduced, tree_root(leaves, BlockGrid(reduced).counts))
        bound = None if coordinates is None else bound_digest(content, coordinates.document())
        return cls(
            dtype=dtype,
            shape=shape,
            axes=axes,
            content=f"{CONTENT_PREFIX}{content.hex()}",
            bound=None if bound is None else f"{BOUND_PREFIX}{bound.hex()}",
            coordinates=coordinates,
            leaves=leaves,
        )

    @property
    def grid(self) -> BlockGrid:
        """The blocks, along the axes that count."""
        return BlockGrid(content_shape(self.shape))

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    def nodes(self) -> list[NDArray[np.uint8]]:
        """Return the tree: digests of every height, of shape (*counts, 32); the blocks first, the root last."""
        return tree_nodes(self.leaves, self.grid.counts)

    def block_box(self, number: int) -> Box:
        """Return the voxels of a block, in `axes`, by its number in C order."""
        return with_single_axes(self.grid.box(number), self.shape)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the leaves."""
        return {
            "content": self.content,
            "bound": self.bound,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "axes": list(self.axes),
            "coordinates": None if self.coordinates is None else self.coordinates.document(),
            "blocks": len(self.leaves),
        }
