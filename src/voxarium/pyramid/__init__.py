"""Downsampling kernels and the geometry of pyramids."""

from __future__ import annotations

from voxarium.pyramid.gaussian import downsample_gaussian, gaussian_sigma, halo
from voxarium.pyramid.geometry import (
    LevelGeometry,
    downsampled_box,
    level_offset,
    level_shape,
    level_transform,
    plan_levels,
    source_box,
    split_boxes,
)
from voxarium.pyramid.methods import Method, check_method, default_method, downsample, parse_method, prepare
from voxarium.pyramid.planning import plan_factors

__all__ = [
    "LevelGeometry",
    "Method",
    "check_method",
    "default_method",
    "downsample",
    "downsample_gaussian",
    "downsampled_box",
    "gaussian_sigma",
    "halo",
    "level_offset",
    "level_shape",
    "level_transform",
    "parse_method",
    "plan_factors",
    "plan_levels",
    "prepare",
    "source_box",
    "split_boxes",
]
