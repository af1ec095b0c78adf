"""Names of images that nobody named: from where they are."""

from __future__ import annotations

from typing import Final

__all__ = ["image_name"]

# What says how an image is stored, and nothing about which one it is.
_ENDINGS: Final = frozenset({
    "bdv", "bz2", "czi", "dat", "gz", "h5", "hdf5", "ims", "json", "lif", "mha", "mhd", "mrc", "n5", "nd2", "nhdr",
    "nii", "npy", "nrrd", "ome", "ozx", "precomputed", "raw", "tf8", "tif", "tiff", "wkw", "xml", "zarr", "zip",
})  # fmt: skip


def image_name(address: str) -> str:
    """Return the last part of an address without the endings that formats have.

    Examples
    --------
    >>> image_name("s3://lab/sample.1.ome.zarr/"), image_name("brain.v2"), image_name("a.b/scan.NII.gz")
    ('sample.1', 'brain.v2', 'scan')
    """
    first, *rest = address.rstrip("/").rsplit("/", 1)[-1].split(".")
    while rest and rest[-1].lower() in _ENDINGS:
        rest.pop()
    return ".".join((first, *rest))
