"""OME-XML: what microscopes and their programs say about images, read and written.

Spec: https://docs.openmicroscopy.org/ome-model/latest/. Any namespace and prefix is read, attributes that are not
understood stay in the document. Documents with a document type are refused.
"""

from __future__ import annotations

from voxarium.spec.ome_xml.carrying import NAMESPACE, only_image
from voxarium.spec.ome_xml.document import OmeDocument, OmeImage, TiffBlock, WellImage
from voxarium.spec.ome_xml.reading import image_of, parse_ome_xml
from voxarium.spec.ome_xml.tree import UNITS
from voxarium.spec.ome_xml.writing import OME_XML, RECORD, dump_ome_xml

__all__ = [
    "NAMESPACE",
    "OME_XML",
    "RECORD",
    "UNITS",
    "OmeDocument",
    "OmeImage",
    "TiffBlock",
    "WellImage",
    "dump_ome_xml",
    "image_of",
    "only_image",
    "parse_ome_xml",
]
