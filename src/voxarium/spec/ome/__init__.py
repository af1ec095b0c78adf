"""OME-Zarr 0.1–0.6 and 0.9.dev1: metadata of images and labels as JSON in and out, no I/O.

Every version is read into the one image model; 0.4, 0.5 and 0.6 are written. `rules` checks
documents strictly. Reading is tolerant: what was
guessed is noted in the image's source record. Rule ids (``AX-008``) are those of the specification page.
"""

from __future__ import annotations

from voxarium.spec.ome.check import VERSIONS, check_image, check_version
from voxarium.spec.ome.copies import add_copies, has_copies, v2_copies, v3_copies
from voxarium.spec.ome.dialects import is_foreign, is_unmarked
from voxarium.spec.ome.document import malformed
from voxarium.spec.ome.groups import (
    add_label,
    check_group_version,
    dump_group,
    group_keys,
    join,
    parse_labels,
    parse_v2_attributes,
    parse_v3_attributes,
)
from voxarium.spec.ome.hcs import Field, Plate, Well, WellPlace, dump_plate, dump_well, parse_plate, parse_well
from voxarium.spec.ome.image import FORMAT, dump_attributes, level_paths, namespace, parse_image
from voxarium.spec.ome.scene import parse_scene
from voxarium.spec.ome.series import (
    METADATA_XML,
    SERIES_GROUP,
    dump_layout,
    dump_series,
    image_names,
    is_container,
    metadata_only,
    multiscale_notes,
    parse_series,
    scene_paths,
    with_chosen,
)

__all__ = [
    "FORMAT",
    "METADATA_XML",
    "SERIES_GROUP",
    "VERSIONS",
    "Field",
    "Plate",
    "Well",
    "WellPlace",
    "add_copies",
    "add_label",
    "check_group_version",
    "check_image",
    "check_version",
    "dump_attributes",
    "dump_group",
    "dump_layout",
    "dump_plate",
    "dump_series",
    "dump_well",
    "group_keys",
    "has_copies",
    "image_names",
    "is_container",
    "is_foreign",
    "is_unmarked",
    "join",
    "level_paths",
    "malformed",
    "metadata_only",
    "multiscale_notes",
    "namespace",
    "parse_image",
    "parse_labels",
    "parse_plate",
    "parse_scene",
    "parse_series",
    "parse_v2_attributes",
    "parse_v3_attributes",
    "parse_well",
    "scene_paths",
    "v2_copies",
    "v3_copies",
    "with_chosen",
]
