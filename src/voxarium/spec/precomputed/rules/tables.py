"""The rules of Neuroglancer's ``info`` documents: PC."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from voxarium.model.rules import Rule, rules
from voxarium.spec.precomputed.rules.other_tables import OTHERS

__all__ = ["RULES"]

_VOLUMES: Final = rules(r"""
PC-001 must needs=document
    `info` is a JSON object in UTF-8.
    why: Every reader begins with it; without it nothing of the volume can be found.
    mend: Restore it from a copy. CloudVolume can make it again from what is known of the volume.
    bad: precomputed info truncate 40
    bad: precomputed info = "[\"neuroglancer_multiscale_volume\"]"
PC-002 should needs=document
    No object in it names a member twice.
    why: JSON leaves open which of them counts; readers take the first or the last.
    mend: Keep the one that is meant.
    bad: precomputed info = "{\"@type\": \"neuroglancer_multiscale_volume\", \"type\": \"image\", \"type\": \"image\"}"
PC-003 must needs=document
    `@type` is one that Neuroglancer knows; it may be absent for a volume.
    why: Neuroglancer refuses any other.
    mend: Write neuroglancer_multiscale_volume, or the word for what the folder holds.
    bad: precomputed info#/@type = "neuroglancer_volume"
PC-004 should needs=document
    Words are in lower case, and numbers are written as JSON numbers, whole ones without a fraction.
    why: Neuroglancer reads "64", 64.0 and RAW; other readers refuse them.
    mend: Write the number, or the word in lower case.
    bad: precomputed info#/scales/0/size/0 = "21"
    bad: precomputed info#/scales/0/size/0 = 21.0
    bad: precomputed info#/data_type = "UINT16"
PC-005 must needs=document
    `redirect`, where it is, is the address of a folder with an `info`; redirects end somewhere.
    why: Readers follow it; one that leads nowhere, or in a circle, hides the volume.
    mend: Correct the address, or remove it.
    bad: precomputed info#/redirect = 7
    bad: precomputed info#/redirect = "./"
    bad: precomputed info#/redirect = "nowhere"
PC-006 should needs=document basis=house
    Redirects and paths stay in the same storage, below what is validated.
    why: What lies elsewhere is not copied, moved and kept together with the volume; this check ends there too.
    mend: Copy it here, or validate a folder that holds both.
    bad: precomputed info#/redirect = "gs://elsewhere/volume"
    bad: precomputed-segmentation info#/mesh = "../../mesh"
PC-007 should needs=document basis=house
    Beside the `info` of a volume is a `provenance`, a JSON object.
    why: CloudVolume and Igneous record there what was done to the volume; without it nobody can tell how it was made.
    mend: Write one, such as {"description": "", "owners": [], "processing": [], "sources": []}.
    bad: precomputed provenance remove
    bad: precomputed provenance = "made by hand"
PC-010 must needs=document
    `type` is image or segmentation.
    why: It decides how voxels are shown; Neuroglancer refuses a volume without it.
    mend: Write which of the two it is.
    bad: precomputed info#/type remove
    bad: precomputed info#/type = "labels"
PC-011 must needs=document
    `data_type` is uint8, int8, uint16, int16, uint32, int32, uint64 or float32.
    why: Neuroglancer refuses others, int64 and float64 among them, though CloudVolume writes them.
    mend: Write the volume again in one of these types.
    bad: precomputed info#/data_type = "float64"
    bad: precomputed info#/data_type remove
PC-012 must needs=document
    `num_channels` is a whole number from 1; a segmentation has one channel.
    why: It is part of every chunk's size.
    mend: Write how many values a voxel has.
    bad: precomputed info#/num_channels = 0
    bad: precomputed info#/num_channels remove
    bad: precomputed-segmentation info#/num_channels = 2
PC-013 should needs=document
    Labels of a segmentation are unsigned integers.
    why: Neuroglancer shows labels of a signed type as grey values; float32 is for images only.
    mend: Write the volume again as uint32 or uint64.
    bad: precomputed info#/type = "segmentation"
    and: info#/data_type = "int16"
PC-014 must needs=document
    `scales` is a list of at least one object.
    why: Each scale is one level of the pyramid; without any there is nothing to show.
    mend: Describe the folders with chunks.
    bad: precomputed info#/scales = []
    bad: precomputed info#/scales remove
    bad: precomputed info#/scales/1 = "6_8_10"
PC-015 must needs=document
    A scale has a `key`, the path of its folder seen from that of the `info`.
    why: It is where readers look for chunks.
    mend: Write the name of the folder.
    bad: precomputed info#/scales/0/key remove
    bad: precomputed info#/scales/0/key = ""
    bad: precomputed info#/scales/0/key = "/data/8_8_40"
PC-016 must needs=document basis=house
    Keys of scales differ.
    why: Chunks of two scales in one folder have the same names where they overlap; one hides the other.
    mend: Give each scale a folder of its own.
    bad: precomputed info#/scales/1/key = "8_8_40"
PC-017 must needs=document
    `size` is three whole numbers from 1: voxels along x, y, z.
    why: It limits the grid of chunks, and names those at the end.
    mend: Write the size of this scale.
    bad: precomputed info#/scales/0/size = [21, 14]
    bad: precomputed info#/scales/1/size = [0, 7, 5]
PC-018 must needs=document
    `resolution` is three positive numbers: nanometers along x, y, z.
    why: It places and scales the level; other units are not known to any reader.
    mend: Write the size of a voxel of this scale in nanometers.
    bad: precomputed info#/scales/0/resolution = [8, 8, 0]
    bad: precomputed info#/scales/1/resolution remove
PC-019 must needs=document
    `chunk_sizes` lists at least one size of chunks, three whole numbers from 1 each.
    why: Names and sizes of chunks follow from it. Neuroglancer's JSON Schema calls it `chunk_size`, by mistake; no
    reader looks there.
    mend: Write "chunk_sizes": [[64, 64, 64]] with the size that was used.
    bad: precomputed info#/scales/0/chunk_sizes = [8, 8, 8]
    bad: precomputed info#/scales/0/chunk_size = [8, 8, 8]
    and: info#/scales/0/chunk_sizes remove
PC-020 must needs=document
    `voxel_offset`, where it is, is three whole numbers.
    why: Chunks are named by it; nothing between two voxels can be expressed.
    mend: Write whole voxels; a shift of half a voxel has no place here.
    bad: precomputed info#/scales/0/voxel_offset = [8, -4.5, 2]
PC-021 must needs=document
    `encoding` is raw, jpeg, png, jxl, compressed_segmentation or compresso.
    why: Neuroglancer refuses the volume for any other. crackle, fpzip, kempressed and zfpc are CloudVolume's alone.
    mend: Write the volume again in one of these encodings.
    bad: precomputed info#/scales/0/encoding = "crackle"
    bad: precomputed info#/scales/1/encoding remove
PC-022 must needs=document
    The encoding takes voxels of this type, and so many channels.
    why: jpeg and jxl hold uint8, png also uint16; compressed_segmentation holds uint32 and uint64, compresso unsigned
    integers of one channel. Other chunks cannot be decoded.
    mend: Correct data_type, num_channels or encoding to what the chunks are, or write them again as raw.
    bad: precomputed info#/scales/0/encoding = "jpeg"
PC-023 must needs=document
    `compressed_segmentation_block_size`, three whole numbers from 1, is there for that encoding.
    why: Chunks of compressed_segmentation cannot be decoded without it.
    mend: Write [8, 8, 8], which nearly everybody uses, if it was.
    bad: precomputed-segmentation info#/scales/0/compressed_segmentation_block_size remove
    bad: precomputed-segmentation info#/scales/0/compressed_segmentation_block_size = 8
PC-024 should needs=document
    It is not there for other encodings.
    why: It suggests an encoding that the chunks do not have.
    mend: Remove it.
    bad: precomputed info#/scales/0/compressed_segmentation_block_size = [8, 8, 8]
PC-025 must needs=document
    A chunk fits its encoding: no more than 65,535 columns, and rows, in jpeg; sides of at most 65,535 in compresso;
    the heads of all blocks of compressed_segmentation within 2^24 words.
    why: Larger ones cannot be encoded, as the formats count in so many bits.
    mend: Use smaller chunks, 64 × 64 × 64 for example.
    bad: precomputed-segmentation info#/scales/0/chunk_sizes = [[2048, 2048, 2048]]
    and: info#/scales/0/size = [2048, 2048, 2048]
PC-026 must needs=document
    `hidden`, where it is, is true or false.
    why: A text "false" hides the scale.
    mend: Write true or false.
    bad: precomputed info#/scales/1/hidden = "false"
PC-027 must needs=document
    A sharded scale has one size of chunks.
    why: A shard knows one grid.
    mend: Keep the size that the shards were made with.
    bad: precomputed-sharded info#/scales/0/chunk_sizes = [[8, 8, 8], [4, 4, 4]]
PC-028 must needs=document
    `sharding` is an object of neuroglancer_uint64_sharded_v1: `preshift_bits` 0 to 63, `minishard_bits` and
    `shard_bits` whole numbers, together at most 64, and `hash` identity or murmurhash3_x86_128.
    why: Which file holds a chunk, and where, is worked out from these numbers.
    mend: Write the numbers that the shards were made with.
    bad: precomputed-sharded info#/scales/0/sharding/@type = "neuroglancer_uint64_sharded_v2"
    bad: precomputed-sharded info#/scales/0/sharding/hash = "murmur"
    bad: precomputed-sharded info#/scales/0/sharding/shard_bits = 65
    bad: precomputed-sharded info#/scales/0/sharding/preshift_bits = 64
PC-029 must needs=document
    `minishard_index_encoding` and `data_encoding` are raw or gzip.
    why: Indexes and chunks are unpacked as these say.
    mend: Write how they were packed.
    bad: precomputed-sharded info#/scales/0/sharding/data_encoding = "zstd"
PC-030 should needs=document
    Both encodings are stated.
    why: The specification demands them; Neuroglancer takes raw where they are absent, others refuse the volume.
    mend: Write raw, which is what an absent one means.
    bad: precomputed-sharded info#/scales/0/sharding/data_encoding remove
PC-031 must needs=document
    The grid of a sharded scale needs at most 64 bits.
    why: A chunk is known by one number of 64 bits.
    mend: Use larger chunks, or write the scale without shards.
    bad: precomputed-sharded info#/scales/0/size = [4000000000000, 4000000000000, 4000000000000]
PC-032 quality needs=document basis=house
    Shards of volumes are boxes: hash identity, and as many bits for shards as the grid has beyond a shard's.
    why: Other shards take chunks from everywhere: none has one writer, and a region touches all of them.
    mend: Write the volume again, as voxarium convert does.
    bad: precomputed-sharded info#/scales/0/sharding/hash = "murmurhash3_x86_128"
PC-033 quality needs=document basis=house
    Indexes of shards are small: at most 9 bits of minishards, and of what precedes them 12.
    why: A reader fetches 16 bytes for each minishard of a shard, and 24 for each chunk of a minishard, to read one.
    mend: Write the volume again with more shards.
    bad: precomputed-sharded info#/scales/0/sharding/minishard_bits = 15
PC-034 should needs=document
    Scales go from fine to coarse.
    why: Neuroglancer takes the first for the full resolution: bounds and voxel size of the volume are the first one's.
    mend: Sort the scales.
    bad: precomputed info#/scales/0/resolution = [32, 32, 160]
PC-035 should needs=document basis=house
    All scales begin at one place: `voxel_offset` times `resolution` is the same for all.
    why: A level whose offset was rounded is shifted against the others by up to half of its voxels,
    unsaid. More than a voxel is no rounding, but another place.
    mend: Make the pyramid again from an offset that is a multiple of all factors, or cut level 0 to begin there.
    bad: precomputed info#/scales/1/voxel_offset = [5, -2, 1]
    bad: precomputed info#/scales/0/voxel_offset = [9, -4, 2]
PC-036 should needs=document basis=house
    All scales have the same extent, but for one voxel of the coarser one.
    why: A level that ends early lacks data; one that goes on shows what level 0 does not have.
    mend: Correct the size, or make the level again from all of level 0.
    bad: precomputed info#/scales/1/size = [11, 7, 3]
PC-037 quality needs=document basis=house
    No voxel lies beyond 16,777,216 voxels from the origin.
    why: Neuroglancer keeps positions as float32, which counts by twos from there.
    mend: Move the origin nearer to the volume.
    bad: precomputed info#/scales/0/voxel_offset = [20000000, -4, 2]
PC-038 must needs=document
    `mesh`, `skeletons` and `segment_properties` are paths of folders.
    why: Readers look there for what belongs to the segments.
    mend: Write the path of the folder, seen from that of the `info`.
    bad: precomputed-segmentation info#/mesh = 5
    bad: precomputed-segmentation info#/skeletons = "/skeletons"
PC-039 should needs=document
    Only a segmentation has them.
    why: Neuroglancer ignores them for an image.
    mend: Remove them, or say that it is a segmentation.
    bad: precomputed info#/mesh = "mesh"
PC-040 must needs=hierarchy
    What they name is there, and of that kind. A folder of legacy meshes may do without an `info`.
    why: Neuroglancer shows an error in place of the layer, or segments without their meshes.
    mend: Copy the folder, or remove the path from the `info`.
    bad: precomputed-segmentation segments/info remove
    bad: precomputed-segmentation info#/mesh = "skeletons"
    bad: precomputed-mesh info#/segment_properties = "segments"
PC-041 should needs=hierarchy basis=house
    Every scale has chunks.
    why: A folder without chunks, or a wrong key, looks like black; no reader says why.
    mend: Copy the chunks, correct the key, or remove the scale.
    bad: precomputed 16_16_80/4-12_-2-5_1-6 remove
    and: 16_16_80/12-15_-2-5_1-6 remove
PC-042 must needs=hierarchy
    Chunks have the names that the specification gives them, without `.gz`, `.br` or `.zst` behind.
    why: Such suffixes are CloudVolume's custom on local disks. Neuroglancer and TensorStore look for the bare names and
    read 0 everywhere, without an error.
    mend: Unpack the chunks and give them bare names, or serve them with a Content-Encoding under bare names.
    bad: precomputed 16_16_80/4-12_-2-5_1-6 move 16_16_80/4-12_-2-5_1-6.gz
PC-043 should needs=hierarchy
    Shards are single files, `.shard`.
    why: Pairs of .index and .data are an obsolete form that few readers know.
    mend: Join each pair, the .index first, into one .shard.
    bad: precomputed-sharded 16_16_80/0.shard copy 16_16_80/0.index
    and: 16_16_80/0.shard move 16_16_80/0.data
""")

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rule in (*_VOLUMES, *OTHERS)})
