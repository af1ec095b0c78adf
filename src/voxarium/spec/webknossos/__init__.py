"""WEBKNOSSOS datasets: ``datasource-properties.json`` as objects, in and out, no I/O.

Reading takes every dialect: a bare list as scale, ``wkwResolutions``, mags as numbers, ``uint24``, layers of five
formats.
"""

from __future__ import annotations

from voxarium.spec.webknossos.dumping import check_image, check_layer_name, dump_properties
from voxarium.spec.webknossos.extent import stored_extent
from voxarium.spec.webknossos.geometry import (
    LayerFrame,
    centre_transform,
    corner_of,
    layer_frame,
    mag_name,
    native_corner,
)
from voxarium.spec.webknossos.image import FORMAT, StoredMag, parse_image, with_notes
from voxarium.spec.webknossos.names import layer_names, mag_literal, mag_paths, segmentation_names
from voxarium.spec.webknossos.properties import (
    DOCUMENT,
    FORMATS,
    AdditionalAxis,
    Layer,
    Mag,
    Properties,
    parse_layer,
    parse_properties,
)

__all__ = [
    "DOCUMENT",
    "FORMAT",
    "FORMATS",
    "AdditionalAxis",
    "Layer",
    "LayerFrame",
    "Mag",
    "Properties",
    "StoredMag",
    "centre_transform",
    "check_image",
    "check_layer_name",
    "corner_of",
    "dump_properties",
    "layer_frame",
    "layer_names",
    "mag_literal",
    "mag_name",
    "mag_paths",
    "native_corner",
    "parse_image",
    "parse_layer",
    "parse_properties",
    "segmentation_names",
    "stored_extent",
    "with_notes",
]
