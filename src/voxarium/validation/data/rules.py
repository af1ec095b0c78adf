"""What voxels, and the levels they make, shall be: rules DA."""

from __future__ import annotations

from typing import Final

from voxarium.model.rules import Rule, rules

__all__ = ["RULES"]

RULES: Final[dict[str, Rule]] = {
    rule.id: rule
    for rule in rules(
        """
DA-001 must needs=data
    Every stored chunk can be decoded, and has the size of its voxels.
    why: What it held is lost to every reader; some show noise or zeros instead of an error.
    mend: Copy the object again from its source.
    bad: pyramid-zarr3-zstd image/0/c/0/0/1 truncate 20
DA-002 must needs=data
    Every checksum agrees with its bytes.
    why: The bytes are not those that were written.
    mend: Copy the object again from its source.
    bad: pyramid-zarr3-crc32c image/0/c/0/0/1 flip 7
DA-003 must needs=data
    The index of every shard can be read, and the chunks it names lie inside the shard, none over another.
    why: Without it no chunk of the shard is found, and with a wrong one others are read in their place.
    mend: Copy the object again from its source.
    bad: pyramid-zarr3-sharded image/0/c/0/0/0 flip -9
DA-007 must needs=data
    Stored objects are put together as their format demands.
    why: Reading does not notice it, and takes what is misplaced for absent.
    mend: Write the object again.
    bad: precomputed-sharded 8_8_40/0.shard copy 8_8_40/1.shard
DA-008 quality needs=nothing
    Every chunk is of a kind that this installation can decode.
    why: What cannot be decoded has not been checked.
    mend: Install what is named, and check again.
DA-010 must needs=hierarchy
    Levels get smaller, the finest first; no length grows.
    why: Viewers take the first level for the finest one and choose among the others by their order.
    mend: List the levels from the finest to the coarsest.
    bad: pyramid-zarr3 image/1/zarr.json#/shape = [3, 12, 7]
DA-011 should needs=hierarchy
    The scale of a level fits its lengths: all levels show the same region.
    why: Zooming makes the image jump or shrink, and measurements at coarser levels are wrong.
    mend: Correct the scale: voxel size of the finest level times the factors.
    bad: pyramid-zarr3 image/zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/scale
      = [40, 8, 9]
DA-012 should needs=hierarchy
    Levels lie on each other to less than half a voxel: a level that stands for windows of f voxels is moved by (f-1)/2.
    why: Coarser levels appear shifted against the finest one, and so does what was segmented on them.
    mend: Correct the translation of the level.
    bad: pyramid-zarr3 image/zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/1/translation
      = [0, 0, 0]
DA-013 should needs=hierarchy
    All levels have the same fill value.
    why: What was never written looks different from level to level.
    mend: Correct the fill value in the metadata of the level that differs.
    bad: pyramid-zarr3 image/1/zarr.json#/fill_value = 255
DA-014 quality needs=hierarchy
    Levels of an image whose method is not stated say where they are: a coarser one lies exactly at 0 only for strides.
    why: Means and modes of windows lie half a voxel further; readers cannot tell what was meant.
    mend: State the method, and the translation of the level.
    bad: pyramid-zarr3 image/zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/1/translation
      = [0, 0, 0]
    and: image/zarr.json#/attributes/ome/multiscales/0/type remove
DA-020 must needs=data
    Every level follows from the next finer one by the method of the other voxels.
    why: One of the levels is damaged or out of date: what people see zoomed out is not what is analysed.
    mend: Make the coarser levels again, once it is clear that the finer one is right.
    bad: pyramid-zarr3 image/0/c/0/0/1 copy image/0/c/0/0/0
DA-021 should needs=data
    The method that is stated is the one that was used.
    why: Who relies on it for intensities or positions of coarser levels is misled.
    mend: State the method that was used.
    bad: pyramid-zarr3 image/zarr.json#/attributes/ome/multiscales/0/type = "stride"
DA-022 must needs=data
    Coarser levels of label images hold no label that the voxels below have not.
    why: Averaged labels are ids of something else, or of nothing.
    mend: Make the coarser levels again with mode or stride.
    bad: labelled-zarr3 image/labels/cells/1/c/0/0/0 flip 0
DA-023 should needs=data
    The translation of a level agrees with the method that its voxels were made by.
    why: The level is shown half a voxel, or more, beside the finest one.
    mend: Correct the translation: (f-1)/2 voxels of the finest level for windows, 0 for strides.
    bad: pyramid-zarr3-stride image/zarr.json#/attributes/ome/multiscales/0/type remove
    and: image/zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/1/translation
      = [20, 4, 3]
DA-024 must needs=data
    No chunk is absent where another level shows that something was there.
    why: Readers take it for fill value, and so analyse voxels that never were.
    mend: Copy the object again from its source; make the coarser levels again where they are what is absent.
    bad: pyramid-zarr3 image/0/c/0/1/0 remove
DA-025 must needs=data
    Absent chunks read as the value that the coarser level was made from.
    why: The fill value was changed after the image was written, or never stated.
    mend: Correct the fill value in the metadata of the array.
    bad: pyramid-zarr3-sparse image/0/zarr.json#/fill_value = 9
    and: image/1/zarr.json#/fill_value = 9
DA-026 quality needs=data
    It is clear from what voxels a level was made, and how.
    why: Nobody can tell whether the level is right, or where its voxels lie.
    mend: State the method, or make the coarser levels again.
    bad: pyramid-zarr3 image/1/zarr.json#/shape = [4, 5, 7]
DA-027 must needs=data
    Every level shows the image at its place: not moved by whole voxels.
    why: Coarser levels are shown beside the finest one, whatever the metadata says.
    mend: Make the coarser levels again.
    bad: pyramid-zarr3-wide image/0/c/0/0/6 copy image/0/c/0/0/7
    and: image/0/c/0/0/5 copy image/0/c/0/0/6
    and: image/0/c/0/0/4 copy image/0/c/0/0/5
    and: image/0/c/0/0/3 copy image/0/c/0/0/4
    and: image/0/c/0/0/2 copy image/0/c/0/0/3
    and: image/0/c/0/0/1 copy image/0/c/0/0/2
    and: image/0/c/0/0/0 copy image/0/c/0/0/1
DA-028 quality needs=data
    Voxels lie within the range that is stated for them.
    why: Readers clip or misread what lies outside.
    mend: Correct the range.
    bad: pyramid-zarr3 image/zarr.json#/attributes/ome/omero
      = {"channels": [{"active": true, "color": "FFFFFF", "window": {"min": 0, "max": 9, "start": 0, "end": 9}}]}
DA-029 quality needs=data
    Voxels are numbers.
    why: Sums, means and filters over them are not.
    mend: Say in the documentation of the image what they stand for.
    bad: pyramid-zarr3-float image/0/zarr.json#/fill_value = "NaN"
    and: image/1/zarr.json#/fill_value = "NaN"
    and: image/0/c/0/0/0 remove
""",
        basis="house",
    )
}
