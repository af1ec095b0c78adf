"""The rules of Zarr v3."""

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
Z3-001 must needs=document
    A `zarr.json` has zarr_format and node_type "array" or "group"; that of an array also shape, data_type, chunk_grid,
    chunk_key_encoding, fill_value and codecs.
    why: Readers refuse the node when one of them lacks.
    mend: Add it.
    bad: zarr3 zarr.json#/chunk_key_encoding remove
    bad: zarr3 zarr.json#/codecs remove
    bad: zarr3-group zarr.json#/node_type = "folder"
Z3-002 must needs=document
    Fields and extensions beyond those of the specification are objects with `must_understand: false`.
    why: Readers have to refuse a node with a field they do not know, as it may change what the bytes mean.
    mend: Put what it says into the attributes, or mark it with "must_understand": false if readers may ignore it.
    bad: zarr3 zarr.json#/unit = "nm"
    bad: zarr3-group zarr.json#/extension = {"must_understand": true}
    bad: zarr3-group zarr.json#/shape = [3]
Z3-003 must needs=document
    Codecs are any number from array to array, exactly one from array to bytes, any number from bytes to bytes; so are
    those within shards and of their index.
    why: In another order the chain cannot be put together.
    mend: Put them in this order; usual is `bytes` before a compressor.
    bad: zarr3 zarr.json#/codecs = [{"name": "zstd", "configuration": {"level": 1, "checksum": false}}, {"name":
      "bytes", "configuration": {"endian": "little"}}]
    bad: zarr3 zarr.json#/codecs = [{"name": "crc32c"}]
    bad: zarr3 zarr.json#/codecs = []
    bad: zarr3-sharded zarr.json#/codecs/0/configuration/codecs = [{"name": "crc32c"}]
Z3-004 must needs=document
    A regular chunk grid has a `chunk_shape` of positive whole numbers, one per axis of the shape.
    why: The names and sizes of all chunks follow from it.
    mend: Write the size of a chunk along each axis.
    bad: zarr3 zarr.json#/chunk_grid/configuration/chunk_shape = [2, 3]
    bad: zarr3 zarr.json#/chunk_grid/configuration/chunk_shape = [2, 3, 0]
    bad: zarr3 zarr.json#/chunk_grid = [2, 3, 4]
Z3-005 must needs=document
    The encodings of keys `default` and `v2` have "/" or "." as separator.
    why: It stands in the names of all chunks: with another, none is found and the array reads as empty.
    mend: Write the one the names of the chunks have; without it, it is "/" for default and "." for v2.
    bad: zarr3 zarr.json#/chunk_key_encoding/configuration/separator = "-"
    bad: zarr3 zarr.json#/chunk_key_encoding = 5
Z3-006 must needs=document
    `dimension_names` names as many dimensions as the shape has, with texts or null; no two alike (should).
    why: Readers that select by name take another axis, or refuse the array.
    mend: Name every dimension once, such as z, y, x.
    bad: zarr3 zarr.json#/dimension_names = ["y", "x"]
    bad: zarr3 zarr.json#/dimension_names = ["z", 1, "x"]
    bad: zarr3 zarr.json#/dimension_names = ["z", "x", "x"]
Z3-007 must needs=hierarchy
    Names of nodes are not only dots and do not begin with `__`; they are letters, digits, `-`, `_` and `.` (should).
    why: Names that begin with `__` are kept for Zarr itself; others are not possible in every store.
    mend: Rename the folder, and what refers to it.
    bad: zarr3-group __em/zarr.json = {"zarr_format": 3, "node_type": "group"}
    bad: zarr3-group größe/zarr.json = {"zarr_format": 3, "node_type": "group"}
Z3-008 must needs=document
    `sharding_indexed` has a chunk_shape that divides the shape of the shard along each axis, codecs, and index_codecs;
    its index stands at the start or the end.
    why: No chunk can be found in the shards.
    mend: Write the shape the chunks in the shards have.
    bad: zarr3-sharded zarr.json#/codecs/0/configuration/chunk_shape = [2, 3, 3]
    bad: zarr3-sharded zarr.json#/codecs/0/configuration/chunk_shape = [2, 3]
    bad: zarr3-sharded zarr.json#/codecs/0/configuration/index_location = "front"
    bad: zarr3-sharded zarr.json#/codecs/0/configuration/index_codecs remove
Z3-009 must needs=hierarchy basis=text
    Every folder above an array or group is a group of its own, up to the root.
    why: Since 3.1 there are no implicit groups; readers that walk from group to group do not find what is below.
    mend: Add a zarr.json of a group.
    bad: zarr3-group raw/zarr.json remove
Z3-010 should needs=document basis=text
    Codecs, grids and encodings of keys are objects with a name and a configuration, and do not say must_understand.
    why: A name alone is read by readers of 3.1 only, and several readers refuse must_understand within codecs.
    mend: Write {"name": …, "configuration": {}}.
    bad: zarr3 zarr.json#/codecs/3 = "crc32c"
    bad: zarr3 zarr.json#/codecs/3/must_understand = true
    bad: zarr3 zarr.json#/chunk_key_encoding = "default"
Z3-011 must needs=document
    Documents are JSON objects.
    why: Readers take the node for absent or stop.
    mend: Restore the document from a copy.
    bad: zarr3 zarr.json = "{ cut off"
    bad: zarr3-group zarr.json = []
Z3-012 must needs=document
    Documents are strict JSON: NaN and infinities are texts.
    why: Readers outside Python refuse the whole document for a bare NaN.
    mend: Write "NaN", "Infinity" or "-Infinity" as fill value; in attributes null or a text.
    bad: zarr3-group zarr.json = "{\\"zarr_format\\": 3, \\"node_type\\": \\"group\\", \\"attributes\\": {\\"offset\\":
      NaN}}"
Z3-013 must needs=document
    `zarr_format` is the number 3.
    why: Readers compare it with the number; a text makes them refuse the node.
    mend: Write 3 without quotation marks.
    bad: zarr3 zarr.json#/zarr_format = "3"
    bad: zarr3-group zarr.json#/zarr_format = 2
Z3-014 must needs=document
    `shape` is a list of whole numbers, none negative.
    why: Nothing can be read without it.
    mend: Write the size along each axis.
    bad: zarr3 zarr.json#/shape = [3, 4, -5]
    bad: zarr3 zarr.json#/shape = {"z": 3}
Z3-015 must needs=document
    `data_type` is a name of the core such as `uint16`, `r16` (a multiple of 8 bits), or the name of an extension.
    why: Names of numpy and of version 2 mean nothing to readers of version 3.
    mend: Write uint16 for <u2, float32 for <f4; byte order belongs into the codec `bytes`.
    bad: zarr3 zarr.json#/data_type = "<u2"
    bad: zarr3 zarr.json#/data_type = "r12"
    bad: zarr3 zarr.json#/data_type = {"configuration": {}}
Z3-016 must needs=document
    `fill_value` is a value of the data type: true or false, a whole number within its range, a number or "NaN",
    "Infinity", "-Infinity" or hexadecimal digits, a pair for complex numbers, a list of bytes for raw bits.
    why: Absent chunks read as something else, or the array does not open.
    mend: Write a value the type holds.
    bad: zarr3 zarr.json#/fill_value = 70000
    bad: zarr3 zarr.json#/fill_value = null
    bad: zarr3 zarr.json#/fill_value = 0.0
Z3-017 must needs=document
    The codecs of the core have the settings they need: `bytes` the byte order, `transpose` a permutation of the axes,
    gzip, zstd and blosc a level and what else tells how they packed.
    why: Chunks cannot be unpacked, or are unpacked wrongly.
    mend: Write the settings the chunks were packed with.
    bad: zarr3 zarr.json#/codecs/1/configuration/endian remove
    bad: zarr3 zarr.json#/codecs/0/configuration/order = [0, 1]
    bad: zarr3 zarr.json#/codecs/2/configuration/level = "fast"
    bad: zarr3 zarr.json#/codecs/2 = {"name": "blosc", "configuration": {"cname": "lz5", "clevel": 5, "shuffle":
      "noshuffle", "blocksize": 0}}
    bad: zarr3 zarr.json#/codecs/2 = {"name": "gzip", "configuration": {"level": 11}}
Z3-018 must needs=document
    `attributes` is an object and `storage_transformers` a list.
    why: Readers refuse the node.
    mend: Write {} for no attributes; leave storage_transformers away.
    bad: zarr3 zarr.json#/attributes = []
    bad: zarr3 zarr.json#/storage_transformers = {}
Z3-019 must needs=document basis=house
    Consolidated metadata are an object of kind `inline` with must_understand false, and list documents by path.
    why: Readers that use them cannot open the hierarchy, and readers that do not know them refuse it.
    mend: Write them again from the documents, or remove them: they are only a copy.
    bad: zarr3-consolidated zarr.json#/consolidated_metadata/kind = "beside"
    bad: zarr3-consolidated zarr.json#/consolidated_metadata/must_understand = true
    bad: zarr3-consolidated zarr.json#/consolidated_metadata/metadata = []
    bad: zarr3-consolidated zarr.json#/consolidated_metadata/metadata/em = 5
Z3-020 must needs=hierarchy basis=house
    Consolidated metadata say what the documents say, about all of them.
    why: Some readers look at the copy and some at the documents: they show different images.
    mend: Write them again from the documents, or remove them.
    bad: zarr3-consolidated em/zarr.json#/fill_value = 9
    bad: zarr3-consolidated zarr.json#/consolidated_metadata/metadata/em remove
    bad: zarr3-consolidated raw/em/zarr.json remove
Z3-021 must needs=document
    The codecs of a shard's index give it the same size always: no compressor.
    why: Readers find the index by its size.
    mend: Use `bytes` and `crc32c`.
    bad: zarr3-sharded zarr.json#/codecs/0/configuration/index_codecs/1 = {"name": "zstd", "configuration": {"level":
      1, "checksum": false}}
Z3-022 should needs=document
    The index of shards is little-endian with a crc32c behind it.
    why: Without the checksum, an index that was cut off or damaged leads to wrong bytes.
    mend: Write the shards again with the index codecs `bytes` (little) and `crc32c`.
    bad: zarr3-sharded zarr.json#/codecs/0/configuration/index_codecs = [{"name": "bytes", "configuration": {"endian":
      "big"}}, {"name": "crc32c"}]
    bad: zarr3-sharded zarr.json#/codecs/0/configuration/index_codecs = [{"name": "bytes", "configuration": {"endian":
      "little"}}]
""")
    }
)
