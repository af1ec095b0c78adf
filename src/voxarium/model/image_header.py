"""What the header of a two-dimensional image file says, whatever its format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ImageHeader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """Size and type of one image.

    Parameters
    ----------
    kind : str
        ``png``, ``jpeg``, ``tiff``, or the name another reader uses.
    width, height : int
        Voxels.
    samples : int
        Values per voxel, interleaved: 1 for grey, 3 for RGB.
    dtype : numpy.dtype
        Type of one sample, with the byte order of the file.
    bits : int
        Bits per sample as stored.
    byte_offset : int or None
        Where the voxels begin, if they lie uncompressed and in one piece.
    tile : tuple of two int, or None
        Height and width of tiles, if the image is tiled.
    several : bool
        Whether the file holds further images.
    """

    kind: str
    width: int
    height: int
    samples: int
    dtype: np.dtype[Any]
    bits: int
    byte_offset: int | None = None
    tile: tuple[int, int] | None = None
    several: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, and samples if there are several."""
        return (self.height, self.width) if self.samples == 1 else (self.height, self.width, self.samples)

    @property
    def nbytes(self) -> int:
        """Size of the decoded image in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def agrees_with(self, other: ImageHeader) -> bool:
        """Tell whether both images can be slices of one stack."""
        same_type = self.dtype.newbyteorder("=") == other.dtype.newbyteorder("=")
        return self.shape == other.shape and same_type and self.bits == other.bits

    def __str__(self) -> str:
        text = f"{self.width} x {self.height} {self.dtype.newbyteorder('=')}"
        return text if self.samples == 1 else f"{text} with {self.samples} samples"
