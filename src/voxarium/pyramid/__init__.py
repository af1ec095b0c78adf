"""Downsampling kernels and the geometry of pyramids."""
