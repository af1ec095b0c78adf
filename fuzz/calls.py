"""Calls of more than one step, and examples for formats of which the shared data have none."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from voxarium.errors import VoxariumError
from voxarium.model.codec import ChunkType
from voxarium.model.image import ArrayInfo

SHAPE = (1, 5, 10, 17)


def _cells(dtype: str) -> np.ndarray:
    z, y, x = np.indices(SHAPE[1:])
    return (np.hypot(np.hypot(z * 3 - 5, y - 4), x - 8) // 4).astype(dtype)[None]


# ------------------------------------------------------------------------------------------------ specifications
def cloudvolume_provenance(raw: bytes) -> object:
    """Parse the file of a layer, take its steps over, write it again."""
    from voxarium.spec.cloudvolume_provenance import activities_of, dump_layer, parse_layer

    layer = parse_layer(raw, "provenance")
    dump_layer(layer)
    return activities_of(layer, "em")


def bagit(raw: bytes) -> object:
    """Read the tag files of a bag."""
    from voxarium.spec import bagit as spec

    with suppress(VoxariumError):
        spec.parse_info(raw, "utf-8")
    for line in spec.iter_lines([raw[:7], raw[7:]], "utf-8", "list"):
        for payload in (True, False):
            for text in (line, f"{'0' * 64}  {line}", f"{'0' * 64}  data/{line}", f"https://e.org/a 7 {line}"):
                with suppress(VoxariumError):
                    spec.parse_manifest_line(text, "sha256", "list", payload=payload)
                with suppress(VoxariumError):
                    spec.parse_fetch_line(text)
        spec.parse_oxum(line)
    return None


def ocfl(raw: bytes) -> object:
    """Read the documents of an object."""
    from voxarium.spec import ocfl as spec

    for name in ("0=ocfl_object_1.1", raw[:20].decode("latin-1")):
        with suppress(VoxariumError):
            spec.parse_declaration(name, raw)
    with suppress(VoxariumError):
        spec.parse_sidecar(raw, "sha512", "sidecar")
    return spec.parse_inventory(raw)


def ocfl_inventory(body: Mapping[str, Any]) -> object:
    """Read an inventory whose facts are right and whose lists are anything."""
    import json

    from voxarium.spec import ocfl as spec

    facts = {"id": "urn:x", "type": "https://ocfl.io/1.1/spec/#inventory", "digestAlgorithm": "sha512", "head": "v1"}
    state = {"created": "2026-11-26T06:30:00Z", "state": body}
    blocks = {"manifest": body, "versions": {"v1": state, **body}, "fixity": {"md5": body, **body}}
    return spec.examine_inventory(json.dumps(facts | blocks).encode("utf-8", "replace"))


def itk_transform(raw: bytes) -> object:
    """Parse a transform in each of ITK's three kinds of file."""
    from voxarium.spec.itk_transform import parse_itk

    heads = (
        b"",
        b"#Insight Transform File V1.0\nTransform: ",
        b"#Insight Transform File V1.0\nTransform: AffineTransform_double_2_2\nParameters: ",
        b"#Insight Transform File V1.0\nTransform: Euler3DTransform_double_3_3\nParameters: ",
        b"\0\0\0\0\x06\0\0\0\x01\0\0\0\0\0\0\0\x1b\0\0\0AffineTransform_double_2_2\0",
    )
    for head in heads:
        with suppress(VoxariumError):
            parse_itk("file", head + raw)
    return None


def vld_tree(raw: bytes) -> object:
    """Parse a tree of digests; also one whose beginning is in order."""
    from voxarium.spec.logical_digest import MAGIC, parse_tree

    with suppress(VoxariumError):
        parse_tree(raw, "here")
    header, _, leaves = raw.partition(b"\n")
    return parse_tree(MAGIC + len(header).to_bytes(4, "little") + header + leaves, "here")


def ome_image(attributes: Mapping[str, Any]) -> object:
    """Parse an image whose arrays are all there."""
    from voxarium.spec import ome

    arrays = {}
    for path in ome.level_paths(attributes)[:20]:
        arrays[path] = ArrayInfo(
            format="zarr3", shape=(3, 5, 7), dtype=np.dtype("u1"), chunk_shape=(3, 5, 7), codecs=("bytes",)
        )
    return ome.parse_image(attributes, arrays)


def ome_upgrade(attributes: Mapping[str, Any]) -> object:
    """Bring a group's attributes to 0.5 and to 0.6."""
    from voxarium.spec import ome_upgrade

    ome, _ = ome_upgrade.ome_content(attributes, "OME")
    shapes = {path: (1, 2, 3, 5, 7) for path in ome_upgrade.level_paths(ome)[:20]}
    done = ome_upgrade.upgrade_to_05(ome, shapes)
    ome_upgrade.level_axes(done.ome)
    return ome_upgrade.upgrade_to_06(done.ome)


def ome_rules(attributes: Mapping[str, Any]) -> object:
    """Check a document by the rules of every version."""
    from voxarium.spec.ome import rules

    arrays = {"0": rules.ArrayFacts(shape=(3, 5, 7), dtype=np.dtype("u1"), zarr_format=3)}
    return [rules.check_attributes(attributes, version=v, arrays=arrays) for v in (None, *rules.VERSIONS)]


def ome_tree(root: Mapping[str, Any], below: Mapping[str, Any]) -> object:
    """Check a group and a group below it, which is also whatever else is asked for."""
    import json

    from voxarium.spec.ome.rules.around import Around, group_facts
    from voxarium.spec.ome.rules.tree import check_group

    found = []
    for name in ("zarr.json", ".zattrs"):
        node = {"zarr_format": 3, "node_type": "group", "shape": [3, 5, 7], "attributes": {"ome": root}}
        raws = [json.dumps(d).encode() for d in (root, below, node)]
        keys = {name: raws[2] if name == "zarr.json" else raws[0]}

        def document(
            key: str, keys: Mapping[str, bytes] = keys, other: bytes = raws[1], own: str = name
        ) -> bytes | None:
            return keys.get(key, other if key.endswith(own) else None)

        facts = group_facts(document, "")
        if facts is not None:
            around = Around(
                path="em", document=document, names=lambda folder: ([], ["0", "a"] if len(folder) < 20 else [])
            )
            found.append(check_group(facts, around, None, deep=True))
            found += [check_group(facts, around, told, deep=True) for _, told in found[-1].below[:3]]
    return found


def zarr2_rules(document: Mapping[str, Any], other: Mapping[str, Any]) -> object:
    """Check documents of a node of Zarr v2."""
    from voxarium.model.checking import Place, Sheet
    from voxarium.spec import zarr2_rules as rules

    place = Place(dict(document), "", Sheet("", rules.RULES, ".zarray"))
    rules.check_array(place)
    rules.check_group(place)
    rules.check_attributes(place)
    rules.check_twin(place, other)
    return place.sheet.findings


def zarr2_copies(document: Mapping[str, Any], other: Mapping[str, Any]) -> object:
    """Check consolidated metadata of Zarr v2."""
    from voxarium.model.checking import Place, Sheet
    from voxarium.spec import zarr2_rules as rules

    place = Place(dict(document), "", Sheet("", rules.RULES, ".zmetadata"))
    rules.check_consolidated(place, lambda _: other, lambda _: True)
    return place.sheet.findings


def zarr3_rules(document: Mapping[str, Any], other: Mapping[str, Any]) -> object:
    """Check a document of Zarr v3, and copies in it."""
    from voxarium.model.checking import Place, Sheet
    from voxarium.spec import zarr3_rules as rules

    place = Place(dict(document), "", Sheet("", rules.RULES, "zarr.json"))
    rules.check_node(place)
    rules.check_consolidated(place, lambda _: other)
    return place.sheet.findings


def n5_rules(document: Mapping[str, Any], other: Mapping[str, Any]) -> object:
    """Check a document of N5 as that of an array and of a group."""
    from voxarium.model.checking import Place, Sheet
    from voxarium.spec import n5_rules as rules

    sheet = Sheet("", rules.RULES, "attributes.json")
    place, level = Place(dict(document), "", sheet), Place(dict(other), "", sheet)
    for check in (rules.check_version, rules.check_array, rules.check_group, rules.check_root):
        check(place)
    rules.check_levels(place, {"s0": level, "s1": place})
    return sheet.findings


def cosem_rules(document: Mapping[str, Any], other: Mapping[str, Any]) -> object:
    """Check a document as a group of COSEM's and as a level of one."""
    from voxarium.model.checking import Place, Sheet
    from voxarium.spec import cosem_rules as rules

    sheet = Sheet("", rules.RULES, "attributes.json")
    place, level = Place(dict(document), "", sheet), Place(dict(other), "", sheet)
    rules.check_array(place)
    if rules.is_group(document):
        rules.check_group(place, {path: level for path in rules.dataset_paths(document)})
    return sheet.findings


def cellmap_rules(attributes: Mapping[str, Any], other: Mapping[str, Any]) -> object:
    """Check attributes as those of a crop, a class and an array, and as those of an image."""
    from voxarium.model.checking import Place, Sheet
    from voxarium.spec import cellmap_rules as rules

    sheet = Sheet("", rules.RULES, ".zattrs")
    root = Place(dict(attributes), "", sheet)
    for found in (rules.annotation_of(root), root):
        kinds = {rules.annotation_kind(found, is_array=a) for a in (True, False)} - {""}
        for kind in kinds:
            rules.check_annotation(found, kind, "mito")
        rules.check_members(found, ["mito"])
        rules.check_class_arrays(root, found, {"s0": Place(dict(other), "", sheet)})
        rules.check_counts(found.value, {0: 5, 9: 1})
    rules.placed(attributes, other, (3, 5, 7))
    return sheet.findings


def ome_collections(attributes: Mapping[str, Any]) -> object:
    """Parse what a group may be besides an image."""
    from voxarium.errors import FormatError
    from voxarium.spec import ome

    found: list[object] = []
    for parse in (ome.parse_plate, ome.parse_well, ome.parse_series, ome.scene_paths, ome.is_container):
        try:
            found.append(parse(attributes))
        except FormatError:
            continue
    return found


def slice_names(text: str) -> object:
    """Look at the names of a folder."""
    from voxarium.spec import slice_names as module

    names = text.split("\n")
    return module.one_kind(names, "somewhere"), module.missing_numbers(names)


def file_patterns(text: str) -> object:
    """Sort names by a pattern, which is the first line."""
    from voxarium.spec import file_patterns as module

    pattern, *names = text.split("\n")
    return module.arrange(pattern, tuple(dict.fromkeys(names)))


def image_header(data: bytes) -> object:
    """Parse the header of a file, and follow the pages of a TIFF file."""
    from voxarium.spec import image_headers

    def read(start: int, length: int) -> bytes:
        return data[start : start + length]

    header = image_headers.parse_image_header(read, len(data))
    return image_headers.check_page_chain(read, len(data)) if header and header.kind == "tiff" else header


def tiff_stated(found: Mapping[str, Any]) -> object:
    """Parse the same mapping as every dialect of TIFF files."""
    from voxarium.spec import tiff_metadata

    kinds = ("imagej", "lsm", "stk", "svs", "ndpi", "mmstack", "micromanager", "x")
    stated = dict.fromkeys(kinds, found)
    return [tiff_metadata.parse_stated(kind, stated, (2.0, None, "inch")) for kind in kinds]


def ome_xml(raw: bytes) -> object:
    """Parse a document, and take single images out of it."""
    from voxarium.spec import ome_xml as spec

    document = spec.parse_ome_xml(raw, "fuzz")
    return [spec.only_image(document, i) for i in range(min(3, len(document.images)))]


def zip_file(data: bytes) -> object:
    """Parse the directory of a whole file and the header of every member."""
    from voxarium.spec import zip_directory

    end = zip_directory.parse_end(data[-zip_directory.MAX_TAIL :], len(data))
    members = zip_directory.parse_directory(data[end.start : end.start + end.size], end)
    for member in list(members.values())[:20]:
        zip_directory.parse_local_header(data[member.header : member.header + 30], member)
    return members


def imaris(groups: Mapping[str, Mapping[str, Any]]) -> object:
    """Parse the attributes of an Imaris file, which are texts."""
    from voxarium.spec import imaris as module

    texts = {
        name: {key: module.attribute_text(value) for key, value in group.items()} for name, group in groups.items()
    }
    known = ("DataSetInfo/Image", "DataSetInfo/Channel 0", "DataSetInfo/TimeInfo", "Image")
    return module.parse_info(dict(zip(known, texts.values(), strict=False)), 1, 1)


def mobie(project: Mapping[str, Any], dataset: Mapping[str, Any]) -> object:
    """Parse a project of one dataset."""
    from voxarium.spec import mobie as module

    return module.parse_project({"project.json": {"datasets": ["d"], **project}, "d/dataset.json": dataset})


def webknossos(document: bytes) -> object:
    """Parse the properties of a dataset, and every layer."""
    from voxarium.spec import webknossos as module

    properties = module.parse_properties(document, "somewhere")
    return [module.parse_layer(properties, name, "somewhere") for name in module.layer_names(properties)]


def wkw(data: bytes) -> object:
    """Parse the header of a file, and its table of blocks."""
    from voxarium.spec import wkw as module

    header = module.parse_header(data[:16], "somewhere")
    return module.parse_ends(data[16:], header, len(data), "somewhere")


def webknossos_rules(document: bytes) -> object:
    """Check the properties of a dataset, and every layer."""
    from voxarium.spec.webknossos import rules

    sheet, root = rules.read_document(document, "ds/datasource-properties.json")
    for entry in rules.check_dataset(root) if root is not None else ():
        rules.check_layer(entry)
    return sheet.findings


def wkw_rules(data: bytes) -> object:
    """Check a header."""
    from voxarium.spec.wkw.rules import check_header_file

    return check_header_file(data, "header.wkw")


def ocdbt_manifest(data: bytes) -> object:
    """Parse a manifest as it stands, in an envelope, and after the usual beginning of one."""
    from voxarium.spec import ocdbt

    usual = bytes(16) + b"\x00\x64\x80\x80\x80\x04\x04\x00"
    with suppress(VoxariumError):
        ocdbt.parse_envelope(data, ocdbt.MANIFEST, "manifest")
    with suppress(VoxariumError):
        ocdbt.parse_manifest(data, "manifest")
    return ocdbt.parse_manifest(usual + data, "manifest")


def ocdbt_version_node(data: bytes) -> object:
    """Parse nodes of versions, low and high."""
    from voxarium.spec import ocdbt

    place = ocdbt.Place(ocdbt.DataFile("d/x", "d/"), 0, len(data))
    for height in (0, 1):
        with suppress(VoxariumError):
            ocdbt.parse_version_node(b"\x04" + bytes([height]) + data, "node", ocdbt.Subtree(1, 0, height, place))
    return None


def ocdbt_node(data: bytes) -> object:
    """Parse nodes of a B+tree, low and high, and use them."""
    from voxarium.spec import ocdbt

    for height in (0, 2):
        with suppress(VoxariumError):
            node = ocdbt.parse_btree_node(bytes([height]) + data, "node", "d/", height)
            i = max(0, node.position(b"zarr.json"))
            _ = node.value(i) if isinstance(node, ocdbt.Leaf) else node.child(i)
    return None


def n5_block(data: bytes) -> object:
    """Parse the header of a block, and its strings."""
    from voxarium.spec import n5

    header = n5.parse_block_header(data, (5, 10, 17))
    return header, n5.parse_strings(data, 5)


def precomputed_places(text: str) -> object:
    """Understand names and addresses."""
    from voxarium.spec import precomputed

    precomputed.parse_chunk_name(text)
    with suppress(VoxariumError):
        precomputed.parse_redirect({"redirect": text}, "somewhere")
    with suppress(VoxariumError):
        precomputed.follow_redirect("a/b", text, "memory://store")
    return precomputed.resolve_folder("a/b", text, "key")


def precomputed_shard(data: bytes) -> object:
    """Parse the tables of a shard."""
    from voxarium.spec import precomputed

    sharding = precomputed.Sharding(preshift_bits=0, minishard_bits=2, shard_bits=2)
    table = precomputed.parse_shard_index(data[:64].ljust(64, b"\0"), sharding)
    return table, precomputed.parse_minishard_index(data[64:], 1 << 20)


def precomputed_rules(document: bytes) -> object:
    """Check an info document."""
    from voxarium.spec.precomputed import rules

    sheet, root = rules.read_info(document, "a/info")
    if root is not None:
        rules.check_info(root)
    return sheet.findings


def precomputed_shard_check(data: bytes) -> object:
    """Check the indexes of a shard."""
    from voxarium.spec.precomputed import ShardCheck, Sharding

    sharding = Sharding(preshift_bits=data[0] % 4 if data else 0, minishard_bits=2, shard_bits=2)
    check = ShardCheck(sharding, 1, 1 << 16, (5, 3, 7))
    check.index(data[:64].ljust(64, b"\0"))
    check.minishard(1, data[64:1600])
    check.minishard(2, data[64 : 64 + (len(data) - 64) // 24 * 24] if len(data) > 64 else b"")
    check.overlaps()
    return check.found


def manifest(data: bytes) -> object:
    """Parse a manifest."""
    from voxarium.spec.manifest import parse_manifest

    return parse_manifest(data, "somewhere")


def zarr_tree(text: str) -> object:
    """Take the checksum of a tree whose keys are the lines of a text."""
    from voxarium.spec.zarr_checksum import zarr_checksum

    return zarr_checksum((key, len(key), "0" * 32) for key in text.split("\n"))


# ------------------------------------------------------------------------------------------------ codecs
def label_multiset(data: bytes) -> object:
    """Decode label multisets."""
    from voxarium.codecs.label_multiset import decode_label_multisets

    return decode_label_multisets(data, 24)


def lz4_block(data: bytes) -> object:
    """Decode LZ4 in Java's framing, or bare."""
    from voxarium.codecs.lz4_block import Lz4Block

    return Lz4Block().decode(data[1:], (850, 850) if data[:1] < b"\x80" else (0, 850))


def streams_abreast(data: bytes) -> object:
    """Inflate a stream together with two good ones; what is found good is what zlib makes of it."""
    from voxarium.codecs.batch import decode_many, inflating, loops
    from voxarium.codecs.deflate import Gzip, Zlib

    loops()
    inflating._PATIENCE = 0
    codec, bits = (Gzip(1), 31) if data[:1] < b"\x80" else (Zlib(1), 15)
    good = _cells("u1").tobytes()
    payloads = [codec.encode(good), data[1:], codec.encode(good)]
    places = np.array([[(0,), (850 * i,), (850,)] for i in range(3)], np.int64)
    out = np.zeros(3 * 850, np.uint8)
    done = decode_many(codec, payloads, places, np.empty(850, np.uint8), out, plain=False)
    if done == 3 and zlib.decompress(data[1:], bits) != out[850:1700].tobytes():
        raise ValueError("decoded to something else")
    if done not in {1, 3}:
        raise ValueError(f"a good stream was not decoded: {done}")
    return done


def compressed_segmentation(data: bytes) -> object:
    """Decode labels in the usual blocks, or others."""
    from voxarium.codecs.compressed_segmentation import CompressedSegmentation

    dtype = np.dtype("u8" if data[:1] < b"\x80" else "u4")
    block = [(8, 8, 8), (3, 5, 7), (1, 1, 32), (5, 10, 17)][(data[0] if data else 0) % 4]
    return CompressedSegmentation(block).decode(data[1:], SHAPE, dtype)


def compresso(data: bytes) -> object:
    """Decode labels."""
    from voxarium.codecs.compresso import Compresso

    return Compresso().decode(data[1:], SHAPE, np.dtype("u8" if data[:1] < b"\x80" else "u4"))


def crackle(data: bytes) -> object:
    """Decode labels, with checksums made right, so that something is found behind them."""
    import google_crc32c

    from voxarium.codecs.crackle import Crackle, _crc8

    stream = bytearray(data[1:])
    if len(stream) > 60 and stream[4] == 1:
        stream[28] = _crc8(bytes(stream[5:28]))
        slices = SHAPE[1]
        end, labels = 29 + 4 * slices, int.from_bytes(stream[20:28], "little")
        stream[end : end + 4] = google_crc32c.value(bytes(stream[29:end])).to_bytes(4, "little")
        if end + 4 + labels <= len(stream):
            found = google_crc32c.value(bytes(stream[end + 4 : end + 4 + labels]))
            tail = len(stream) - 4 * (slices + 1)
            stream[tail : tail + 4] = found.to_bytes(4, "little")
    elif stream[4:5] > b"\x01":
        stream[4] = 0
    return Crackle().decode(bytes(stream), SHAPE, np.dtype("u8" if data[:1] < b"\x80" else "u4"))


def chunk_images(data: bytes) -> object:
    """Decode an image of any kind."""
    from voxarium.codecs.chunk_images import Jpeg, JpegXl, Png

    codec = (Jpeg(), Png(), JpegXl())[(data[0] if data else 0) % 3]
    channels = 3 if data[:1] >= b"\x80" else 1
    return codec.decode(data[1:], (channels, *SHAPE[1:]), np.dtype("u1"))


def shard(data: bytes) -> object:
    """Decode a shard of Zarr v3."""
    from voxarium.codecs import build_chain

    inner = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 1}}]
    index = [{"name": "bytes", "configuration": {"endian": "little"}}]
    settings = {"chunk_shape": [2, 2, 4], "codecs": inner, "index_codecs": index}
    given = ChunkType((4, 4, 8), np.dtype("u2"), np.uint16(0))
    return build_chain([("sharding_indexed", settings)], given, "a").decode(data)


def codec_chain(found: Any) -> object:
    """Build the codecs of a document."""
    from voxarium.codecs import build_chain

    codecs = []
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            settings = item.get("configuration", {})
            codecs.append((item["name"], settings if isinstance(settings, dict) else {}))
    return build_chain(codecs, ChunkType((4, 4, 8), np.dtype("u2"), np.uint16(0)), "a")


# ------------------------------------------------------------------------------------------------ examples
def examples(function: str) -> Iterator[bytes]:
    """Yield bytes that a call understands."""
    makers = {
        "compressed_segmentation": _labels_examples,
        "compresso": _labels_examples,
        "crackle": _labels_examples,
        "chunk_images": _image_examples,
        "lz4_block": _lz4_examples,
        "streams_abreast": _deflate_examples,
        "manifest": _manifest_examples,
        "shard": _shard_examples,
        "vld_tree": _tree_examples,
    }
    if function in makers:
        yield from makers[function](function)


def _labels_examples(function: str) -> Iterator[bytes]:
    from voxarium.codecs.compressed_segmentation import CompressedSegmentation
    from voxarium.codecs.compresso import Compresso
    from voxarium.codecs.crackle import Crackle

    codec = {"compressed_segmentation": CompressedSegmentation(), "compresso": Compresso(), "crackle": Crackle()}
    for first, dtype in ((b"\x00", "u8"), (b"\x80", "u4")):
        for array in (_cells(dtype), np.zeros(SHAPE, dtype), np.arange(850, dtype=dtype).reshape(SHAPE)):
            yield first + codec[function].encode(array)
    if function == "crackle":
        import crackle as package

        for options in ({"allow_pins": True}, {"markov_model_order": 3}):
            yield b"\x00" + bytes(package.compress(np.asfortranarray(_cells("u8")[0].T), **options))


def _tree_examples(_: str) -> Iterator[bytes]:
    from voxarium.spec.logical_digest import Coordinates, LogicalDigest, dump_tree

    placed = Coordinates((("z", "space", "meter"), ("y", "space", None)), (("4e-8", "0", "0"), ("0", "1e0", "-5e-1")))
    for shape, axes, coordinates in (
        ((1, 600), ("z", "y"), placed),
        ((), (), None),
        ((0, 3, 5), ("z", "y", "x"), None),
    ):
        leaves = np.arange(64 if len(axes) == 2 else 0 if axes else 32, dtype=np.uint8).reshape(-1, 32)
        count = LogicalDigest(dtype="uint8", shape=shape, axes=axes, content="", leaves=leaves).grid.size
        raw = dump_tree(LogicalDigest.of("uint8", shape, axes, np.resize(leaves, (count, 32)), coordinates))
        yield raw
        length = int.from_bytes(raw[8:12], "little")
        yield raw[12 : 12 + length] + b"\n" + raw[12 + length :]


def _image_examples(_: str) -> Iterator[bytes]:
    from voxarium.codecs.chunk_images import Jpeg, JpegXl, Png

    for i, codec in enumerate((Jpeg(), Png(), JpegXl(100), JpegXl(85))):
        yield bytes([min(i, 2)]) + codec.encode(_cells("u1"))
        yield bytes([0x80 + (min(i, 2) - 0x80) % 3]) + codec.encode(np.repeat(_cells("u1"), 3, 0))


def _deflate_examples(_: str) -> Iterator[bytes]:
    rng = np.random.default_rng(1)
    for first, bits in ((b"\x00", 31), (b"\x80", 15)):
        for raw in (_cells("u1").tobytes(), rng.normal(99, 20, 850).astype("u1").tobytes(), rng.bytes(850)):
            for level, strategy in ((1, 0), (6, 0), (9, 0), (0, 0), (6, zlib.Z_HUFFMAN_ONLY), (6, zlib.Z_FIXED)):
                packer = zlib.compressobj(level, zlib.DEFLATED, bits, 8, strategy)
                yield first + packer.compress(raw) + packer.flush()


def _lz4_examples(_: str) -> Iterator[bytes]:
    from voxarium.codecs.lz4_block import Lz4Block

    yield b"\x00" + bytes(Lz4Block().encode(_cells("u1").tobytes()))
    yield b"\x80" + bytes(Lz4Block().encode(bytes(800)))


def _manifest_examples(_: str) -> Iterator[bytes]:
    from voxarium.spec.manifest import Strings, dump_manifest, make_manifest

    for n in (0, 1, 7):
        columns = (Strings.of(f"s0/c/{i}" for i in range(n)), np.arange(n), np.zeros((n, 32), np.uint8))
        yield dump_manifest(make_manifest(*columns))
        kinds, places = (np.zeros(n, np.uint8), ("data",)), (Strings.of(["pool/1"] * n), np.arange(n))
        yield dump_manifest(make_manifest(*columns, blake3=columns[2], media=kinds, places=places))


def _shard_examples(_: str) -> Iterator[bytes]:
    from voxarium.codecs import build_chain

    inner = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 1}}]
    index = [{"name": "bytes", "configuration": {"endian": "little"}}]
    settings = {"chunk_shape": [2, 2, 4], "codecs": inner, "index_codecs": index}
    given = ChunkType((4, 4, 8), np.dtype("u2"), np.uint16(0))
    chain = build_chain([("sharding_indexed", settings)], given, "a")
    yield bytes(memoryview(chain.encode(np.arange(128, dtype="u2").reshape(4, 4, 8))))
