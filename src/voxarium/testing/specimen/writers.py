"""A specimen as files, the way laboratories hand over their data. Memory stays bounded."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, UnsupportedError
from voxarium.model.box import Box
from voxarium.testing.specimen.generator import Specimen

__all__ = ["write_hdf5_labels", "write_tables", "write_tiff_slices"]

_SLAB_BYTES: Final = 256 << 20


def write_tiff_slices(specimen: Specimen, folder: str | os.PathLike[str], *, prefix: str = "z") -> list[Path]:
    """Write grey values as one uncompressed TIFF per z, ``z00000.tif`` and on; return the paths.

    The pixel size is stored as TIFF resolution in pixels per centimetre.

    Raises
    ------
    UnsupportedError
        If tifffile is not installed.
    """
    try:
        import tifffile
    except ImportError as e:
        raise _not_installed("tifffile", "tiff") from e
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    depth, height, width = specimen.shape
    digits = max(5, len(str(depth - 1)))
    per_cm = (1e7 / specimen.voxel_size[2], 1e7 / specimen.voxel_size[1])
    slab = max(1, min(64, _SLAB_BYTES // (height * width)))
    paths = []
    for box in Box.whole(specimen.shape).tiles((slab, height, width)):
        for i, plane in enumerate(specimen.em(box), box.origin[0]):
            paths.append(target / f"{prefix}{i:0{digits}d}.tif")
            tifffile.imwrite(
                paths[-1],
                plane,
                photometric="minisblack",
                resolution=per_cm,
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    return paths


def write_hdf5_labels(
    specimen: Specimen,
    file: str | os.PathLike[str],
    dataset: str = "volumes/labels/neuron_ids",
    *,
    kind: Literal["neurons", "supervoxels"] = "neurons",
    chunk_shape: tuple[int, int, int] = (64, 64, 64),
) -> None:
    """Write labels (uint64, gzip) to an HDF5 file, in the layout of CREMI; the file's other datasets stay.

    The dataset has attributes ``resolution`` (voxel size, nm) and ``offset`` (nm), both z, y, x.

    Raises
    ------
    UnsupportedError
        If h5py is not installed.
    """
    try:
        import h5py
    except ImportError as e:
        raise _not_installed("h5py", "hdf5") from e
    chunks = tuple(min(c, n) for c, n in zip(chunk_shape, specimen.shape, strict=True))
    _, height, width = specimen.shape
    rows = max(1, _SLAB_BYTES // (8 * width * chunks[0] * chunks[1])) * chunks[1]
    with h5py.File(file, "a") as f:
        d = f.create_dataset(
            dataset,
            specimen.shape,
            np.uint64,
            chunks=chunks,
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        d.attrs["resolution"] = np.array(specimen.voxel_size)
        d.attrs["offset"] = np.zeros(3)
        for box in Box.whole(specimen.shape).tiles((chunks[0], min(height, rows), width)):
            d[box.slices] = specimen.neurons(box) if kind == "neurons" else specimen.supervoxels(box)


def write_tables(specimen: Specimen, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write ``synapses.csv`` and ``connectome.csv``, one row each; vectors take three columns (z, y, x)."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    synapses, connectome = target / "synapses.csv", target / "connectome.csv"
    _write_csv(synapses, specimen.synapses())
    _write_csv(connectome, specimen.connectome())
    return synapses, connectome


def _write_csv(path: Path, table: NDArray[np.void]) -> None:
    names: list[str] = []
    columns: list[Any] = []  # Any: Python numbers of either kind
    for name in table.dtype.names or ():
        values = table[name]
        if values.ndim == 1:
            names.append(name)
            columns.append(values.tolist())
        else:
            names += [f"{name}_{axis}" for axis in "zyx"]
            columns += [values[:, k].tolist() for k in range(3)]
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(names)
        writer.writerows(zip(*columns, strict=True))


def _not_installed(package: str, extra: str) -> UnsupportedError:
    return UnsupportedError(
        f"writing this needs {package}, which is not installed",
        code=Code.EXTRA_NOT_INSTALLED,
        fix=f"pip install 'voxarium[{extra}]'",
    )
