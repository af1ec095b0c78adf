"""Resampling: an image seen on another grid, computed where it is read."""

from voxarium.core.resampling.grid import Grid, grid_of_level, grid_of_voxels
from voxarium.core.resampling.options import INTERPOLATIONS, ResampleOptions
from voxarium.core.resampling.view import resampled

__all__ = ["INTERPOLATIONS", "Grid", "ResampleOptions", "grid_of_level", "grid_of_voxels", "resampled"]
