"""Neuroglancer precomputed volumes: one scale is an array, an ``info`` an image."""

from __future__ import annotations

from voxarium.formats.precomputed.array import PrecomputedScaleDriver
from voxarium.formats.precomputed.image import PrecomputedDriver

__all__ = ["PrecomputedDriver", "PrecomputedScaleDriver"]
