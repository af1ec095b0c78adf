"""Synthetic neuropil of any size, with its true labels, synapses and connectome."""

from __future__ import annotations

from voxarium.testing.specimen.generator import CONNECTION, SYNAPSE, Blocks, Specimen
from voxarium.testing.specimen.writers import write_hdf5_labels, write_tables, write_tiff_slices

__all__ = [
    "CONNECTION",
    "SYNAPSE",
    "Blocks",
    "Specimen",
    "write_hdf5_labels",
    "write_tables",
    "write_tiff_slices",
]
