"""The rules of CellMap's datasets and crops."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from voxarium.model.rules import Rule, rules

__all__ = ["RULES"]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        rule.id: rule
        for rule in rules("""
CM-001 must needs=hierarchy basis=house
    A dataset is called institute, underscore, specimen: `jrc_hela-2`, in lower case, digits and hyphens.
    why: OpenOrganelle makes addresses and links from the name; it never changes.
    mend: Rename the folder and its containers before it is published.
    bad: cellmap JRC-Example.zarr/.zgroup = {"zarr_format": 2}
CM-002 must needs=hierarchy basis=house
    A dataset has a `thumbnail.jpg` and containers that are called like it: `<dataset>.n5`, `<dataset>.zarr`; beside
    them `neuroglancer`. What else there is belongs to other tools (quality).
    why: The site shows the thumbnail and finds the containers by the name of the dataset.
    mend: Add the thumbnail; rename the container.
    bad: cellmap thumbnail.jpg remove
    bad: cellmap jrc_other-2.zarr/.zgroup = {"zarr_format": 2}
    bad: cellmap scratch/notes.txt = "to do"
CM-003 should needs=hierarchy basis=house
    Where a dataset has a container of N5 and one of Zarr, both have the same images.
    why: Readers of one of them miss images until the older container is removed.
    mend: Convert what lacks.
    bad: cellmap jrc_example-1.zarr/recon-1/em/tem-uint8/.zgroup = {"zarr_format": 2}
    and: jrc_example-1.zarr/recon-1/em/tem-uint8/s0/.zarray = {}
CM-004 must needs=hierarchy basis=house
    Images of electron microscopes are called `em/<modality>-<type>`, such as `em/fibsem-uint8`, with the type they
    have.
    why: Scripts choose by the name; the type in it is believed.
    mend: Rename the image, or convert it to the type.
    bad: cellmap jrc_example-1.n5/em/fibsem-uint8/s0/attributes.json#/dataType = "int8"
    bad: cellmap jrc_example-1.n5/em/raw/s0/attributes.json = {"dimensions": [1, 1, 1], "blockSize": [1, 1, 1],
      "dataType": "uint8", "compression": {"type": "raw"}}
CM-005 quality needs=nothing
    Images of light microscopes are called `lm/<identifier>`, in any form.
CM-006 should needs=hierarchy basis=house
    Label images are called `<name>_seg` and have an integer type; predictions are called `<name>_pred`, and a
    segmentation made from one has it beside (quality).
    why: The name tells whether numbers are objects or distances; readers interpolate predictions and not segmentations.
    mend: Rename the image, or store segmentations as integers.
    bad: cellmap jrc_example-1.n5/labels/mito_seg/s0/attributes.json#/dataType = "float32"
    bad: cellmap jrc_example-1.n5/labels/cells/s0/attributes.json = {"dimensions": [1, 1, 1], "blockSize": [1, 1, 1],
      "dataType": "uint8", "compression": {"type": "raw"}}
CM-007 should needs=hierarchy basis=house
    Folders of meshes are called like the label image they are made from, and hold meshes of Neuroglancer.
    why: The site links meshes and segmentation by the name.
    mend: Rename the folder; write meshes as neuroglancer_multilod_draco or neuroglancer_legacy_mesh.
    bad: cellmap neuroglancer/mesh/nucleus_seg/info = {"@type": "neuroglancer_multilod_draco"}
    bad: cellmap neuroglancer/mesh/mito_seg/info#/@type = "obj"
CM-008 must needs=hierarchy basis=house
    All images of a dataset are in one space: the same units and axes, and overlapping (should).
    why: The site shows them in one view; what is elsewhere is not seen.
    mend: Correct unit and translation of the image that differs.
    bad: cellmap jrc_example-1.n5/labels/mito_seg/s0/attributes.json#/transform/units = ["um", "um", "um"]
    bad: cellmap jrc_example-1.n5/labels/mito_seg/s0/attributes.json#/transform/translate = [0, 90000, 0]
CM-009 must needs=hierarchy basis=house
    An image has levels s0, s1 and so on, without a gap, s0 the largest, all of one type and as many dimensions.
    why: Scripts and the site look for s0 and count up.
    mend: Rename the levels, or write those that lack.
    bad: cellmap jrc_example-1.n5/em/fibsem-uint8/s1/attributes.json move
      jrc_example-1.n5/em/fibsem-uint8/s2/attributes.json
    bad: cellmap jrc_example-1.n5/em/fibsem-uint8/s1/attributes.json#/dimensions = [80, 3, 3]
    bad: cellmap jrc_example-1.n5/em/fibsem-uint8/s1/attributes.json#/dataType = "uint16"
CM-010 must needs=hierarchy basis=house
    Ground truth is `recon-<n>/labels/groundtruth/crop<k>/<class>/s0`, with a class `all` (should).
    why: The scripts of the segmentation challenge look for crops by this path.
    mend: Rename the folder of the crop.
    bad: cellmap jrc_example-1.zarr/recon-1/labels/groundtruth/first/.zgroup = {"zarr_format": 2}
    bad: cellmap jrc_example-1.zarr/recon-1/labels/groundtruth/crop7/all/s0/.zarray move elsewhere
    bad: cellmap jrc_example-1.zarr/recon-1/labels/groundtruth/crop7/er/.zgroup = {"zarr_format": 2}
CM-011 quality needs=nothing
    Published buckets allow everybody to list and to get, and answer requests of web pages with any header.
CM-101 must needs=hierarchy basis=house
    Every class that a crop lists is a group in it; further groups, such as `all`, are ignored.
    why: Readers go through the list and stop at a class that is not there.
    mend: Remove the class from the list, or restore its group.
    bad: cellmap-crop .zattrs#/cellmap/annotation/class_names/2 = "er"
CM-102 must needs=document basis=house
    The group of a class is called like the class, is a multiscale image, and its arrays are annotated alike.
    why: Voxels are taken for another class.
    mend: Correct the name in the annotation, or rename the group.
    bad: cellmap-crop mito/.zattrs#/cellmap/annotation/class_name = "mitochondria"
    bad: cellmap-crop mito/.zattrs#/multiscales remove
    bad: cellmap-crop mito/s0/.zattrs#/cellmap/annotation/annotation_type/encoding/absent = 5
    bad: cellmap-crop mito/s0/.zattrs#/cellmap/annotation/class_name = "er"
CM-103 must needs=document basis=house
    `complement_counts` are whole numbers by names that the encoding has, without `present`; or null.
    why: They count voxels that are not the object; with other names they cannot be compared.
    mend: Count unknown and absent voxels only.
    bad: cellmap-crop mito/s0/.zattrs#/cellmap/annotation/complement_counts = {"unknown": 3}
    bad: cellmap-crop mito/s0/.zattrs#/cellmap/annotation/complement_counts/present = 2
    bad: cellmap-crop mito/s0/.zattrs#/cellmap/annotation/complement_counts = [3]
CM-104 must needs=data basis=house
    `complement_counts` are the numbers of voxels there are.
    why: How much of a class is annotated is computed from them, without reading a voxel.
    mend: Count again.
    bad: cellmap-crop mito/s0/.zattrs#/cellmap/annotation/complement_counts/absent = 3
CM-105 must needs=document basis=house
    `annotation_type` is semantic_segmentation, which encodes unknown, absent and present, or instance_segmentation,
    which encodes unknown and absent; values are whole numbers, each used once, and there are no further keys.
    why: Values of objects are taken for something else.
    mend: Remove keys the type does not have.
    bad: cellmap-crop nucleus/.zattrs#/cellmap/annotation/annotation_type/encoding/present = 1
    bad: cellmap-crop mito/.zattrs#/cellmap/annotation/annotation_type/type = "segmentation"
    bad: cellmap-crop mito/.zattrs#/cellmap/annotation/annotation_type/encoding/absent = "0"
    bad: cellmap-crop mito/.zattrs#/cellmap/annotation/annotation_type/encoding/present = 0
    bad: cellmap-crop mito/.zattrs#/cellmap/annotation/annotation_type remove
CM-106 must needs=data basis=house
    A semantic array has no values but those of its encoding.
    why: Nobody knows what they mean.
    mend: Correct the encoding or the values.
    bad: cellmap-crop mito/s0/.zattrs#/cellmap/annotation/annotation_type/encoding/present = 9
    and: mito/.zattrs#/cellmap/annotation/annotation_type/encoding/present = 9
CM-107 must needs=document basis=house
    The annotation of a crop has version 0.1.1, name, description, created_by, created_with, start_date, end_date,
    duration_days, protocol_uri and class_names; dates are YYYY-MM-DD, and what is not known is null.
    why: cellmap-schemas refuses it.
    mend: Write null for what is not known.
    bad: cellmap-crop .zattrs#/cellmap/annotation/version = "0.2"
    bad: cellmap-crop .zattrs#/cellmap/annotation/created_by = "somebody"
    bad: cellmap-crop .zattrs#/cellmap/annotation/start_date = "1.3.2022"
    bad: cellmap-crop .zattrs#/cellmap/annotation/protocol_uri remove
    bad: cellmap-crop .zattrs#/cellmap/annotation/class_names = "mito"
    bad: cellmap-crop mito/.zattrs#/cellmap/annotation = {"class_name": 5}
""")
    }
)
