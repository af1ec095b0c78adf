"""What is fuzzed: one line for each function that reads what others wrote. `run.py` makes a target of each module.

A line names a module below ``voxarium.``, a function of it (or of `calls.py`, where one call does not do), what the
function takes (kinds of `inputs.py`), and which files of the shared data are good examples.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["LINES", "WITHOUT", "Line"]


class Line(NamedTuple):
    """One function."""

    module: str
    function: str
    takes: str
    examples: str = ""


LINES: Final = (
    Line("spec.array_attributes", "stated_axes", "mapping ndim path"),
    Line("spec.bdv.layout", "n5_factors", "mapping levels"),
    Line("spec.bdv.layout", "own_placement", "mapping mapping"),
    Line("spec.bdv.layout", "parse_view_path", "text"),
    Line("spec.bdv.xml", "parse_spim_data", "bytes where", "*.xml"),
    Line("spec.bdv_affine", "parse_bdv_affine", "where bytes"),
    Line("spec.bigwarp", "parse_landmarks", "where bytes"),
    Line("spec.bossdb", "parse_address", "text"),
    Line("spec.bossdb", "parse_channel", "document document document document"),
    Line("spec.cellmap_annotation", "annotation_of", "mapping"),
    Line("spec.cellmap_annotation", "parse_array", "mapping where"),
    Line("spec.cellmap_annotation", "parse_crop", "mapping where"),
    Line("spec.cloudvolume_provenance", "calls:cloudvolume_provenance", "document"),
    Line("spec.cellmap_rules", "calls:cellmap_rules", "mapping mapping", ".zattrs"),
    Line("spec.collections", "parse_collection", "document", "zarr.json"),
    Line("spec.cosem", "parse_image", "mapping levels", "attributes.json"),
    Line("spec.cosem", "findings", "mapping levels", "attributes.json"),
    Line("spec.cosem_rules", "calls:cosem_rules", "mapping mapping", "attributes.json"),
    Line("spec.cremi", "parse_image", "path mapping ndim path"),
    Line("spec.dataset_document", "parse_dataset", "document where"),
    Line("spec.file_patterns", "calls:file_patterns", "text"),
    Line("spec.fibsem_dat", "parse_header", "bytes where"),
    Line("spec.hdf5_parts", "parse_dataset", "document where"),
    Line("spec.hdf5_parts", "parse_file", "document where"),
    Line("spec.image_headers", "calls:image_header", "bytes", "*.png"),
    Line("spec.image_headers", "calls:image_header", "bytes", "*.tif"),
    Line("spec.imaris", "calls:imaris", "levels"),
    Line("spec.itk_transform", "calls:itk_transform", "bytes"),
    Line("spec.knossos", "parse_conf", "bytes where", "*.conf"),
    Line("spec.logical_digest", "calls:vld_tree", "bytes"),
    Line("spec.manifest", "calls:manifest", "bytes"),
    Line("spec.matlab", "check_version", "bytes where"),
    Line("spec.matlab", "is_image_class", "mapping"),
    Line("spec.matrix_text", "parse_matrix_text", "where bytes"),
    Line("spec.metaimage", "parse_header", "bytes where"),
    Line("spec.mobie", "calls:mobie", "mapping mapping"),
    Line("spec.mrc", "parse_header", "bytes where"),
    Line("spec.n5", "parse_array", "document", "attributes.json"),
    Line("spec.n5", "parse_version", "json"),
    Line("spec.n5", "calls:n5_block", "bytes"),
    Line("spec.n5_rules", "calls:n5_rules", "mapping mapping", "attributes.json"),
    Line("spec.n5_canonical", "parse_image", "mapping levels", "attributes.json"),
    Line("spec.n5_canonical", "level_paths", "mapping"),
    Line("spec.n5_generic", "stated_transform", "mapping ndim", "attributes.json"),
    Line("spec.n5_viewer", "parse_image", "mapping levels", "attributes.json"),
    Line("spec.nd2_frames", "parse_frames", "bytes"),
    Line("spec.ndtiff", "parse_index", "bytes where"),
    Line("spec.neuroglancer_state", "parse_state", "document"),
    Line("spec.neuroglancer_state", "parse_link", "text"),
    Line("spec.nifti", "parse_header", "bytes where", "*.nii"),
    Line("spec.npy_header", "parse_npy_header", "bytes", "*.npy"),
    Line("spec.npy_header", "parse_plain_dtype", "text"),
    Line("spec.nrrd", "parse_header", "bytes where"),
    Line("spec.ome", "calls:ome_image", "mapping", ".zattrs"),
    Line("spec.ome", "calls:ome_collections", "mapping", ".zattrs"),
    Line("spec.ome", "image_names", "bytes", "*.ome.xml"),
    Line("spec.ome", "parse_v3_attributes", "document where", "zarr.json"),
    Line("spec.ome", "v3_copies", "document where", "zarr.json"),
    Line("spec.ome", "v2_copies", "document where", ".zmetadata"),
    Line("spec.ome", "parse_scene", "json"),
    Line("spec.ome", "calls:ome_rules", "mapping", ".zattrs"),
    Line("spec.ome", "calls:ome_rules", "mapping", "*.json"),
    Line("spec.ome", "calls:ome_tree", "mapping mapping", ".zattrs"),
    Line("spec.ome_n5", "c_order", "mapping", "attributes.json"),
    Line("spec.ome_upgrade", "calls:ome_upgrade", "mapping", ".zattrs"),
    Line("spec.ome_xml", "calls:ome_xml", "bytes", "*.ome.xml"),
    Line("spec.openorganelle", "parse_manifest", "document", "*.json"),
    Line("spec.ozx", "parse_comment", "document"),
    Line("spec.paintera", "parse_image", "mapping mapping levels", "attributes.json"),
    Line("spec.precomputed", "parse_info", "mapping where", "info"),
    Line("spec.precomputed", "calls:precomputed_places", "text"),
    Line("spec.precomputed", "calls:precomputed_shard", "bytes", "0.shard"),
    Line("spec.precomputed", "calls:precomputed_rules", "document", "info"),
    Line("spec.precomputed", "calls:precomputed_shard_check", "bytes", "0.shard"),
    Line("spec.provenance", "parse_entry", "document where"),
    Line("spec.provenance", "parse_payloads", "document where"),
    Line("spec.provenance", "split_segment", "bytes where"),
    Line("spec.release", "parse_release", "document where"),
    Line("spec.release", "parse_tombstone", "document where"),
    Line("spec.provenance", "activity_of", "path mapping where"),
    Line("spec.references", "parse_references", "bytes where"),
    Line("spec.references", "parse_parquet", "bytes where"),
    Line("spec.scene_bdv", "parse_spim_data", "bytes", "*.xml"),
    Line("spec.slice_names", "calls:slice_names", "text"),
    Line("spec.tiff_parts", "parse_level", "document where"),
    Line("spec.tiff_parts", "parse_file", "document where"),
    Line("spec.tiff_metadata", "calls:tiff_stated", "mapping"),
    Line("spec.transparency_log", "parse_note", "bytes"),
    Line("spec.transparency_log", "parse_checkpoint", "text"),
    Line("spec.transparency_log", "parse_public_key", "text"),
    Line("spec.webknossos", "calls:webknossos", "document", "datasource-properties.json"),
    Line("spec.webknossos", "calls:webknossos_rules", "document", "datasource-properties.json"),
    Line("spec.webknossos_scene", "parse_datasource", "document", "datasource-properties.json"),
    Line("spec.wkw", "calls:wkw", "bytes", "header.wkw"),
    Line("spec.wkw", "calls:wkw_rules", "bytes", "header.wkw"),
    Line("spec.zarr2", "parse_array", "document", ".zarray"),
    Line("spec.zarr2", "parse_consolidated", "document", ".zmetadata"),
    Line("spec.zarr2_rules", "calls:zarr2_rules", "mapping mapping", ".zarray"),
    Line("spec.zarr2_rules", "calls:zarr2_copies", "mapping mapping", ".zmetadata"),
    Line("spec.zarr3", "parse_node", "document", "zarr.json"),
    Line("spec.zarr3", "parse_consolidated", "document", "zarr.json"),
    Line("spec.zarr3_rules", "calls:zarr3_rules", "mapping mapping", "zarr.json"),
    Line("spec.zarr_checksum", "parse_zarr_checksum", "text"),
    Line("spec.zarr_checksum", "calls:zarr_tree", "text"),
    Line("spec.zip_directory", "calls:zip_file", "bytes", "*.zip"),
    Line("model.canonical_json", "parse_canonical", "document where"),
    Line("codecs.compressed_segmentation", "calls:compressed_segmentation", "bytes"),
    Line("codecs.compresso", "calls:compresso", "bytes"),
    Line("codecs.crackle", "calls:crackle", "bytes"),
    Line("codecs.chunk_images", "calls:chunk_images", "bytes"),
    Line("codecs.label_multiset", "calls:label_multiset", "bytes"),
    Line("codecs.lz4_block", "calls:lz4_block", "bytes"),
    Line("codecs.sharding", "calls:shard", "bytes"),
    Line("codecs", "calls:codec_chain", "json"),
)

WITHOUT: Final[dict[str, str]] = {
    "prov_json": "writes only",
    "ro_crate": "writes only",
}
"""Modules of `voxarium.spec` that need no line, and why."""
