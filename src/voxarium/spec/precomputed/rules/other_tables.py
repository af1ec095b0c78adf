"""The rules of ``info`` documents that are none of volumes: meshes, skeletons, annotations, properties of segments."""

from __future__ import annotations

from typing import Final

from voxarium.model.rules import rules

__all__ = ["OTHERS"]

OTHERS: Final = rules(r"""
PC-101 must needs=document
    `vertex_quantization_bits` of multi-resolution meshes is 10 or 16.
    why: Neuroglancer refuses any other number.
    mend: Write how many bits the positions of vertices have.
    bad: precomputed-mesh info#/vertex_quantization_bits = 12
    bad: precomputed-mesh info#/vertex_quantization_bits remove
PC-102 must needs=document
    `transform` is twelve numbers, a matrix of three rows and four columns; skeletons may do without.
    why: It maps vertices to nanometers.
    mend: Write [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] for vertices in nanometers.
    bad: precomputed-mesh info#/transform = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    bad: precomputed-mesh info#/transform remove
    bad: precomputed-skeletons info#/transform = "identity"
PC-103 should needs=document basis=house
    It can be inverted.
    why: A matrix of determinant 0 flattens everything; it was left empty by mistake.
    mend: Write the sizes of voxels, or 1, on its diagonal.
    bad: precomputed-mesh info#/transform = [8, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0]
PC-104 must needs=document
    `lod_scale_multiplier` is a positive number.
    why: Neuroglancer chooses levels of detail by it.
    mend: Write 1.
    bad: precomputed-mesh info#/lod_scale_multiplier = 0
    bad: precomputed-mesh info#/lod_scale_multiplier remove
PC-105 must needs=document
    `segment_properties` of meshes and skeletons is the path of a folder.
    why: Viewers look there for names of segments.
    mend: Write the path of the folder, seen from that of the `info`, or remove it.
    bad: precomputed-mesh info#/segment_properties = ["../segments"]
PC-106 should needs=document
    Legacy meshes have no `sharding`.
    why: Only multi-resolution meshes can be sharded; Neuroglancer looks for single files.
    mend: Remove it, or write multi-resolution meshes.
    bad: precomputed-mesh info#/@type = "neuroglancer_legacy_mesh"
PC-111 must needs=document
    `vertex_attributes`, where it is, lists objects with `id`, a text, `data_type` (float32, or an integer of 8 to 32
    bits) and `num_components`, a whole number from 1.
    why: Attributes follow vertices and edges of each skeleton, one behind the other: a wrong size shifts the rest.
    mend: Describe the attributes as they were written.
    bad: precomputed-skeletons info#/vertex_attributes/0/data_type = "float64"
    bad: precomputed-skeletons info#/vertex_attributes/0/num_components = 0
    bad: precomputed-skeletons info#/vertex_attributes/0/id = ""
PC-112 must needs=document
    Ids of attributes differ.
    why: They become names in shaders.
    mend: Rename one of them.
    bad: precomputed-skeletons info#/vertex_attributes/1/id = "radius"
PC-113 should needs=document basis=house
    Attributes with names that have a meaning are what these mean: `radius` one float32, `vertex_types` one uint8.
    why: CloudVolume, and whoever reads SWC, take them for radii and types.
    mend: Rename the attribute, or write it in that type.
    bad: precomputed-skeletons info#/vertex_attributes/0/data_type = "uint16"
PC-121 must needs=document
    `dimensions` is an object that gives for each dimension [scale, unit]: a positive number, and a unit of length, time
    or frequency with an SI prefix, or "".
    why: Neuroglancer refuses others.
    mend: Write, for example, {"x": [8, "nm"], "y": [8, "nm"], "z": [40, "nm"]}.
    bad: precomputed-annotations info#/dimensions remove
    bad: precomputed-annotations info#/dimensions/x = [8, "pixel"]
    bad: precomputed-annotations info#/dimensions/x = 8
PC-122 must needs=document
    `lower_bound` and `upper_bound` have a number for each dimension.
    why: Cells of the spatial index are placed by them.
    mend: Write the least and the greatest coordinates of all annotations.
    bad: precomputed-annotations info#/upper_bound = [512, 512]
    bad: precomputed-annotations info#/lower_bound remove
PC-123 must needs=document
    No lower bound lies above its upper bound.
    why: Nothing lies in between; Neuroglancer's own writer made such bounds of lines and ellipsoids.
    mend: Compute both from all corners: centre and radii, or both ends.
    bad: precomputed-annotations info#/lower_bound = [0, 600, 0]
PC-124 must needs=document
    `annotation_type` is point, line, axis_aligned_bounding_box, ellipsoid or polyline.
    why: It decides how long a record is.
    mend: Write which of them it is.
    bad: precomputed-annotations info#/annotation_type = "sphere"
PC-125 must needs=document
    `relationships` lists objects with `id` and `key`, texts, and perhaps `sharding`; the list is there even if empty.
    why: Neuroglancer refuses the document without it.
    mend: Write [] where there are none.
    bad: precomputed-annotations info#/relationships remove
    bad: precomputed-annotations info#/relationships/0/key = 5
PC-126 must needs=document
    Ids of relationships differ, and so do those of properties.
    why: Viewers know them by their ids.
    mend: Rename one of them.
    bad: precomputed-annotations info#/properties/1/id = "kind"
PC-127 must needs=document
    `by_id` is an object with `key`, the path of a folder, and perhaps `sharding`.
    why: Single annotations are read there when somebody chooses one.
    mend: Write the folder that holds them.
    bad: precomputed-annotations info#/by_id remove
    bad: precomputed-annotations info#/by_id/key remove
PC-128 must needs=document
    `spatial` lists levels with `key`, `grid_shape` (a whole number from 1 for each dimension), `chunk_size` (a positive
    number each), `limit`, a whole number from 1, and perhaps `sharding`; the list is there even if empty.
    why: Neuroglancer refuses the document otherwise. The specification's JSON Schema says `chunk_shape`, by mistake.
    mend: Describe the levels as they were written.
    bad: precomputed-annotations info#/spatial remove
    bad: precomputed-annotations info#/spatial/0/grid_shape = [1, 1]
    bad: precomputed-annotations info#/spatial/1/limit = 0
    bad: precomputed-annotations info#/spatial/1/chunk_size remove
    and: info#/spatial/1/chunk_shape = [256, 512, 512]
PC-129 should needs=document
    Cells of each level fill the bounds: `grid_shape` times `chunk_size` is `upper_bound` less `lower_bound`.
    why: Annotations outside all cells are never shown.
    mend: Correct the cells, or the bounds.
    bad: precomputed-annotations info#/spatial/1/chunk_size = [100, 512, 512]
PC-130 should needs=document
    Levels go from coarse to fine.
    why: Neuroglancer reads them in this order until there are enough annotations on the screen.
    mend: Sort the levels.
    bad: precomputed-annotations info#/spatial/0/grid_shape = [4, 1, 1]
    and: info#/spatial/0/chunk_size = [128, 512, 512]
PC-131 must needs=document
    `properties`, where it is, lists objects with `id`, which begins with a lower-case letter and goes on in letters,
    digits and _, and `type`: rgb, rgba, float32, or an integer of 8 to 32 bits.
    why: Ids become names in shaders, and types decide how long a record is.
    mend: Rename the property, or correct its type.
    bad: precomputed-annotations info#/properties/0/id = "Class label"
    bad: precomputed-annotations info#/properties/0/type = "uint64"
PC-132 must needs=document
    `enum_values` and `enum_labels` come together, are equally long, and are not those of colours; values are numbers of
    the property's type.
    why: Neuroglancer refuses the document.
    mend: Give each value a label.
    bad: precomputed-annotations info#/properties/0/enum_labels = ["axon"]
    bad: precomputed-annotations info#/properties/0/enum_values remove
    bad: precomputed-annotations info#/properties/0/enum_values = [0, 300]
PC-133 should needs=document basis=house
    No value is named twice.
    why: Only one of the names is shown.
    mend: Remove one.
    bad: precomputed-annotations info#/properties/0/enum_values = [3, 3]
PC-134 quality needs=document basis=house
    A record, geometry and properties, has at most 255 bytes.
    why: Neuroglancer splits longer ones into groups, and pads each.
    mend: Use fewer or smaller properties.
    bad: precomputed-annotations info#/dimensions = {"a": [1, ""], "b": [1, ""], "c": [1, ""], "d": [1, ""],
    "e": [1, ""], "f": [1, ""], "g": [1, ""], "h": [1, ""], "i": [1, ""], "j": [1, ""], "k": [1, ""], "l": [1, ""],
    "m": [1, ""], "n": [1, ""], "o": [1, ""], "p": [1, ""], "q": [1, ""], "r": [1, ""], "s": [1, ""], "t": [1, ""],
    "u": [1, ""], "v": [1, ""], "w": [1, ""], "x": [1, ""], "y": [1, ""], "z": [1, ""], "aa": [1, ""], "bb": [1, ""],
    "cc": [1, ""], "dd": [1, ""], "ee": [1, ""], "ff": [1, ""]}
    and: info#/annotation_type = "line"
PC-135 must needs=document
    The grid of a sharded level needs at most 64 bits.
    why: A cell is known by one number of 64 bits.
    mend: Use larger cells, or write the level without shards.
    bad: precomputed-annotations info#/spatial/1/grid_shape = [9000000000, 9000000000, 9000000000]
PC-136 should needs=document
    Folders of a collection of annotations differ.
    why: One hides what is in the other.
    mend: Give each index a folder of its own.
    bad: precomputed-annotations info#/by_id/key = "spatial0"
PC-141 must needs=document
    `inline` is an object with `ids`, a list of texts, each a decimal number below 2^64, and `properties`, a list.
    why: JSON numbers lose digits beyond 2^53, so ids are texts; there is no other form than inline.
    mend: Write ids as texts.
    bad: precomputed-properties info#/inline remove
    bad: precomputed-properties info#/inline/ids/1 = 720575940379279384
    bad: precomputed-properties info#/inline/ids/1 = "0x10"
    bad: precomputed-properties info#/inline/properties remove
PC-142 must needs=document
    No id comes twice.
    why: Which of the entries counts is not said.
    mend: Merge the entries.
    bad: precomputed-properties info#/inline/ids/1 = "17"
PC-143 must needs=document
    A property is an object with `id`, a text that no other has, `type` (label, description, tags, string or number) and
    `values`; there is at most one label, one description and one list of tags.
    why: Neuroglancer refuses others.
    mend: Correct the type, or rename the property.
    bad: precomputed-properties info#/inline/properties/0/type = "name"
    bad: precomputed-properties info#/inline/properties/1/id = "name"
    bad: precomputed-properties info#/inline/properties/1/type = "label"
    bad: precomputed-properties info#/inline/properties/1/values remove
PC-144 must needs=document
    There is one value for each id.
    why: Values are matched with ids by their place.
    mend: Fill the gaps, with "" for texts.
    bad: precomputed-properties info#/inline/properties/0/values = ["axon"]
PC-145 must needs=document
    Values are texts; those of a number are numbers of its `data_type`: float32, or an integer of 8 to 32 bits.
    why: Others cannot be stored as they are; Neuroglancer refuses uint64.
    mend: Correct the values, or the type.
    bad: precomputed-properties info#/inline/properties/2/data_type = "uint64"
    bad: precomputed-properties info#/inline/properties/2/values/0 = -1
    bad: precomputed-properties info#/inline/properties/0/values/0 = 5
PC-146 must needs=document
    `tags` lists fewer than 65,536 texts that differ, without white space or a # in front; values are lists of their
    numbers, ascending; `tag_descriptions`, where it is, has a text for each.
    why: Neuroglancer refuses others, and searches by #tag.
    mend: Rename tags, and sort the lists.
    bad: precomputed-properties info#/inline/properties/3/tags/0 = "two words"
    bad: precomputed-properties info#/inline/properties/3/values/0 = [1, 0]
    bad: precomputed-properties info#/inline/properties/3/values/1 = [9]
    bad: precomputed-properties info#/inline/properties/3/tag_descriptions = ["one"]
""")
