"""Frozen data classes and protocols: what an image is, independent of any format."""
