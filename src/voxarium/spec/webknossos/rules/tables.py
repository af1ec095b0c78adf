"""The rules of ``datasource-properties.json``: WK."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from voxarium.model.rules import Rule, rules

__all__ = ["RULES"]

_DOCUMENT: Final = rules(r"""
WK-001 must needs=document
    `datasource-properties.json` is a JSON object in UTF-8.
    why: It is all that is known of layers, mags and voxel sizes.
    mend: Restore it from a copy.
    bad: webknossos datasource-properties.json truncate 60
    bad: webknossos datasource-properties.json = "[]"
WK-002 should needs=document
    No object in it names a member twice.
    why: JSON leaves open which of them counts.
    mend: Keep the one that is meant.
    bad: webknossos datasource-properties.json = "{\"version\": 1, \"version\": 2}"
WK-003 must needs=document
    `id` is an object with `name` and `team`, texts; the team may be empty.
    why: WEBKNOSSOS refuses the dataset without it, though it takes the name of the folder.
    mend: Write {"name": "my_dataset", "team": ""}.
    bad: webknossos datasource-properties.json#/id remove
    bad: webknossos datasource-properties.json#/id/team = 5
WK-004 must needs=document
    `scale` says how large a voxel of mag 1 is: three positive numbers along x, y, z, as `factor`.
    why: Without it nothing can be measured, and no mag can be placed.
    mend: Write {"factor": [8, 8, 40], "unit": "nanometer"}.
    bad: webknossos datasource-properties.json#/scale remove
    bad: webknossos datasource-properties.json#/scale/factor = [8, 8, 0]
WK-005 should needs=document
    It is an object with `factor` and `unit`, not a bare list.
    why: A bare list is the older dialect, in nanometers; new readers need not know it.
    mend: Write the list as factor, and nanometer as unit.
    bad: webknossos datasource-properties.json#/scale = [8, 8, 40]
WK-006 must needs=document
    `unit` is the whole name of a unit of length, such as nanometer, micrometer, angstrom or inch.
    why: Other words are refused.
    mend: Write the name out.
    bad: webknossos datasource-properties.json#/scale/unit = "pixel"
    bad: webknossos datasource-properties.json#/scale/unit = "nm"
WK-007 should needs=document
    `version` is there, and is 1.
    why: It is how a reader will tell a later layout.
    mend: Write 1.
    bad: webknossos datasource-properties.json#/version remove
    bad: webknossos datasource-properties.json#/version = "1"
WK-008 must needs=document
    `dataLayers` is a list of objects.
    why: What it does not list is not shown.
    mend: Describe each layer.
    bad: webknossos datasource-properties.json#/dataLayers remove
    bad: webknossos datasource-properties.json#/dataLayers/0 = "color"
WK-009 must needs=document
    The name of a layer has letters, digits, _, $, @, - and dots, no dot first.
    why: It is the name of its folder and part of addresses.
    mend: Rename the layer and its folder.
    bad: webknossos datasource-properties.json#/dataLayers/0/name = "raw data"
    bad: webknossos datasource-properties.json#/dataLayers/0/name remove
WK-010 must needs=document
    Names of layers differ.
    why: One hides the other.
    mend: Rename one of them, and its folder.
    bad: webknossos datasource-properties.json#/dataLayers/1/name = "color"
WK-011 must needs=document
    `category` is color or segmentation.
    why: It decides how a layer is shown; others are refused.
    mend: Write which of the two it is.
    bad: webknossos datasource-properties.json#/dataLayers/0/category = "image"
    bad: webknossos datasource-properties.json#/dataLayers/0/category remove
WK-012 must needs=document
    `boundingBox` has `topLeft`, three whole numbers along x, y, z, and `width`, `height` and `depth`, whole
    numbers from 0, all in voxels of mag 1.
    why: Nothing outside it is read.
    mend: Write where the voxels of the layer are.
    bad: webknossos datasource-properties.json#/dataLayers/0/boundingBox remove
    bad: webknossos datasource-properties.json#/dataLayers/0/boundingBox/width = -1
    bad: webknossos datasource-properties.json#/dataLayers/0/boundingBox/topLeft = [8, 4.5, 2]
WK-013 must needs=document
    `elementClass` is an integer or float type with the bits of all channels of a voxel: uint8, uint24 for three
    channels of uint8, float, double.
    why: It says how bytes become numbers.
    mend: Write the type of a channel, with its bits times numChannels.
    bad: webknossos datasource-properties.json#/dataLayers/0/elementClass remove
    bad: webknossos datasource-properties.json#/dataLayers/0/elementClass = "byte"
    bad: webknossos datasource-properties.json#/dataLayers/0/elementClass = "uint24"
    and: datasource-properties.json#/dataLayers/0/numChannels = 2
WK-014 must needs=document
    `numChannels`, where it is, is a whole number from 1.
    why: It is part of a voxel's size.
    mend: Write how many values a voxel has.
    bad: webknossos datasource-properties.json#/dataLayers/0/numChannels = 0
WK-015 should needs=document
    It is there where a voxel has several channels.
    why: uint24 stands for three channels of uint8; readers that take the default, 1, find no such type.
    mend: Write 3.
    bad: webknossos datasource-properties.json#/dataLayers/0/elementClass = "uint24"
    and: datasource-properties.json#/dataLayers/0/numChannels remove
WK-016 must needs=document
    `dataFormat` is wkw, zarr, zarr3, n5 or neuroglancerPrecomputed.
    why: It says how arrays are stored.
    mend: Write which of them it is.
    bad: webknossos datasource-properties.json#/dataLayers/0/dataFormat = "tiff"
    bad: webknossos datasource-properties.json#/dataLayers/0/dataFormat remove
WK-017 must needs=document
    `mags` lists at least one object with `mag`, three whole numbers from 1 along x, y, z.
    why: Each is a level of the pyramid; without any there are no voxels.
    mend: List the folders of the layer.
    bad: webknossos datasource-properties.json#/dataLayers/0/mags = []
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/mag = [2, 2]
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/mag remove
WK-018 should needs=document
    They are written so, not as `wkwResolutions`, single numbers or texts.
    why: These are older dialects; new readers need not know them.
    mend: Write "mags": [{"mag": [1, 1, 1]}, …].
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/mag = 2
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/mag = "2-2-2"
    bad: webknossos datasource-properties.json#/dataLayers/0/mags remove
    and: datasource-properties.json#/dataLayers/0/wkwResolutions = [{"resolution": 1, "cubeLength": 16},
    {"resolution": [2, 2, 2], "cubeLength": 16}]
WK-019 must needs=document
    Mags differ.
    why: Only one of two equal ones is ever read.
    mend: Remove one of them.
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/mag = [1, 1, 1]
WK-020 should needs=document basis=house
    The numbers of a mag are powers of two.
    why: WEBKNOSSOS and its library refuse or skip others.
    mend: Make the pyramid again in steps of 2.
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/mag = [3, 3, 3]
WK-021 must needs=document
    `path`, where it is, is a path seen from the dataset, or an address.
    why: It is where readers look for the array.
    mend: Write ./layer/mag, or an address with its scheme.
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/path = 2
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/path = ".\\color\\2"
WK-022 should needs=document basis=house
    Arrays and attachments are in the dataset's own storage, below what is validated.
    why: What lies elsewhere is not copied, moved and kept together with the dataset; this check ends there too.
    mend: Copy them into the dataset, or validate the address by itself.
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/path = "s3://elsewhere/color/2"
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/path = "../../color/2"
WK-023 must needs=document
    `axisOrder`, where it is, gives x, y, z, and perhaps c, a place of their own in the stored array.
    why: A wrong order transposes the layer.
    mend: Write {"c": 0, "x": 1, "y": 2, "z": 3} for arrays with the axes c, x, y, z.
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/axisOrder = {"c": 0, "x": 1, "y": 2, "z": 2}
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/axisOrder = [0, 1, 2, 3]
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/axisOrder = {"x": 0, "y": 1}
WK-024 must needs=document
    All mags of a layer have the same.
    why: Readers take the first.
    mend: Store the mags alike.
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/axisOrder = {"c": 0, "x": 3, "y": 2, "z": 1}
WK-025 must needs=document
    `cubeLength` is a whole number from 1, and `channelIndex` one of a channel.
    why: They say how large files are, and which part of an array the layer shows.
    mend: Write a whole number, or remove it.
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/cubeLength = 0
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/channelIndex = -1
WK-026 must needs=document
    `additionalAxes` lists objects with `name`, `bounds`, two whole numbers that ascend, and `index`, the place in the
    stored array; names and places differ, also from those of c, x, y, z.
    why: Time points and the like are found by them.
    mend: Describe the axes that the arrays have.
    bad: webknossos datasource-properties.json#/dataLayers/0/additionalAxes =
    [{"name": "t", "bounds": [5, 0], "index": 4}]
    bad: webknossos datasource-properties.json#/dataLayers/0/additionalAxes =
    [{"name": "x", "bounds": [0, 5], "index": 4}]
    bad: webknossos datasource-properties.json#/dataLayers/0/additionalAxes =
    [{"name": "t", "bounds": [0, 5], "index": 1}]
WK-027 must needs=document
    `largestSegmentId` is a whole number that the type of the layer can hold, or null.
    why: New segments get ids above it.
    mend: Write the largest id there is.
    bad: webknossos datasource-properties.json#/dataLayers/1/largestSegmentId = -1
    bad: webknossos datasource-properties.json#/dataLayers/1/largestSegmentId = 5000000000
WK-028 should needs=document
    A segmentation has it.
    why: Nobody can add segments to a layer whose largest id is not known.
    mend: Write the largest id there is.
    bad: webknossos datasource-properties.json#/dataLayers/1/largestSegmentId remove
    bad: webknossos datasource-properties.json#/dataLayers/1/largestSegmentId = null
WK-029 should needs=document
    `largestSegmentId`, `mappings` and `attachments` are those of segmentations only.
    why: They mean nothing for a color layer.
    mend: Remove them, or state the category segmentation.
    bad: webknossos datasource-properties.json#/dataLayers/0/largestSegmentId = 5
WK-030 must needs=document
    `mappings` is a list of texts.
    why: They are names of files in the folder of mappings.
    mend: List the names.
    bad: webknossos datasource-properties.json#/dataLayers/1/mappings = [5]
WK-031 must needs=document
    `attachments` is an object of meshes, agglomerates, connectomes, segmentIndex, segmentStatistics and cumsum; each
    entry has `name`, `path`, and `dataFormat` zarr3, hdf5, json or neuroglancerPrecomputed. Names of one kind differ.
    why: What is described otherwise is not offered.
    mend: Describe the attachment as the specification does.
    bad: webknossos datasource-properties.json#/dataLayers/1/attachments/meshes/0/dataFormat = "stl"
    bad: webknossos datasource-properties.json#/dataLayers/1/attachments/meshes/0/path remove
    bad: webknossos datasource-properties.json#/dataLayers/1/attachments/mesh = []
    bad: webknossos datasource-properties.json#/dataLayers/1/attachments = ["meshes"]
WK-032 must needs=document
    `coordinateTransformations` lists affine transformations, a matrix of 4 × 4 numbers with 0 0 0 1 last, and
    thin_plate_spline, with source and target points in equal number.
    why: The layer is shown where they put it.
    mend: Write the matrix row by row, for x, y, z.
    bad: webknossos datasource-properties.json#/dataLayers/0/coordinateTransformations = [{"type": "affine",
    "matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}]
    bad: webknossos datasource-properties.json#/dataLayers/0/coordinateTransformations = [{"type": "rigid"}]
    bad: webknossos datasource-properties.json#/dataLayers/0/coordinateTransformations =
    [{"type": "thin_plate_spline", "correspondences": {"source": [[0, 0, 0]], "target": []}}]
WK-033 should needs=document
    An affine transformation can be inverted.
    why: A layer flattened to nothing is not seen.
    mend: Correct the matrix.
    bad: webknossos datasource-properties.json#/dataLayers/0/coordinateTransformations = [{"type": "affine",
    "matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]}]
WK-034 should needs=document
    View configurations are objects with values of the kinds that are known: color three numbers from 0 to 255, alpha 0
    to 100, intensityRange, min and max numbers, and so on.
    why: Others are ignored, or keep the layer from being shown.
    mend: Correct the value, or remove it.
    bad: webknossos datasource-properties.json#/dataLayers/0/defaultViewConfiguration = {"color": "red"}
    bad: webknossos datasource-properties.json#/dataLayers/0/defaultViewConfiguration = {"intensityRange": [5, 0]}
    bad: webknossos datasource-properties.json#/defaultViewConfiguration = {"position": [1, 2]}
WK-035 should needs=document basis=house
    WEBKNOSSOS can show the layer: no color of 64 bits, no double.
    why: Such layers are listed and stay black.
    mend: Write the layer again as float or uint32.
    bad: webknossos datasource-properties.json#/dataLayers/0/elementClass = "uint64"
WK-036 should needs=document
    `zarr_format` of groups beside layers of Zarr 2 is the number 2.
    why: WEBKNOSSOS writes the text "2", which zarr-python refuses.
    mend: Write the number.
    bad: webknossos-zarr color/.zgroup#/zarr_format = "2"
""")

_HIERARCHY: Final = rules(r"""
WK-040 must needs=hierarchy
    The array of every mag is there.
    why: Readers skip the mag with a warning, or fail when it is looked at.
    mend: Copy the array, or remove the mag from the list.
    bad: webknossos color/2/header.wkw remove
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/path = "./color/3"
WK-041 must needs=hierarchy
    It is of the layer's `dataFormat`.
    why: Readers look for the documents of that format only.
    mend: Correct dataFormat, or the path of the mag.
    bad: webknossos datasource-properties.json#/dataLayers/0/dataFormat = "zarr3"
WK-042 must needs=hierarchy
    Its type and its number of channels are those that `elementClass` and `numChannels` tell.
    why: Voxels are taken for other numbers than they are.
    mend: Correct elementClass and numChannels; the array is as it is.
    bad: webknossos datasource-properties.json#/dataLayers/0/elementClass = "uint16"
    bad: webknossos datasource-properties.json#/dataLayers/0/elementClass = "uint24"
    and: datasource-properties.json#/dataLayers/0/numChannels = 3
WK-043 must needs=hierarchy
    It reaches to the end of the bounding box, divided by the mag and rounded up.
    why: Voxels beyond the end of an array are not there.
    mend: Correct the bounding box, or write the mag again.
    bad: webknossos-zarr datasource-properties.json#/dataLayers/0/boundingBox/width = 400
WK-044 quality needs=hierarchy basis=house
    It ends there.
    why: WEBKNOSSOS pads shapes to whole shards. It reads them within the bounding box; everybody else reads the shape,
    and finds levels that are larger than level 0.
    mend: Write the length that the bounding box has in this mag into the array's metadata.
    bad: webknossos-zarr color/2/.zarray#/shape = [1, 32, 16, 8]
    bad: webknossos-zarr3 color/2/zarr.json#/shape = [1, 32, 16, 8]
WK-045 must needs=hierarchy
    It has the axes that `axisOrder` and `additionalAxes` place; without `axisOrder`, c, x, y, z.
    why: A reader that finds other axes cannot tell which is which.
    mend: Write the axisOrder of the stored array.
    bad: webknossos-zarr datasource-properties.json#/dataLayers/0/mags/0/axisOrder = {"x": 0, "y": 1, "z": 2}
    bad: webknossos-zarr datasource-properties.json#/dataLayers/0/mags/0/axisOrder = {"c": 0, "x": 1, "y": 2, "z": 4}
WK-046 should needs=hierarchy basis=house
    Names of dimensions of the array are those that `axisOrder` gives its axes.
    why: One of the two is wrong, and readers differ in which they believe.
    mend: Correct the one that is wrong.
    bad: webknossos-zarr3 color/1/zarr.json#/dimension_names = ["c", "z", "y", "x"]
WK-047 should needs=hierarchy
    `cubeLength` is the side of the array's files in voxels.
    why: It is a copy of what header.wkw says; a wrong one misleads.
    mend: Write the side, or remove it.
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1/cubeLength = 1024
WK-048 must needs=hierarchy
    Attachments are where the document says.
    why: They are offered and cannot be opened.
    mend: Copy them, or remove the entry.
    bad: webknossos segmentation/meshes/fine.hdf5 remove
WK-049 quality needs=hierarchy basis=house
    Folders in a layer that are called like mags are listed.
    why: Nobody reads a mag that is not listed; it takes room, or was forgotten.
    mend: List it, or remove the folder.
    bad: webknossos datasource-properties.json#/dataLayers/0/mags/1 remove
""")

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rule in (*_DOCUMENT, *_HIERARCHY)})
