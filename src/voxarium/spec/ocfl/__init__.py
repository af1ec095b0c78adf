"""OCFL objects: versions of files on disk, each content stored once, described by an inventory in JSON. 1.0 and 1.1.

https://ocfl.io/1.1/spec/. Findings carry the codes of the specification's list of errors (``E050``) and warnings
(``W004``). Inventories come from strangers: paths must stay in the object, and its size has a limit.
"""

from voxarium.spec.ocfl.parts import parse_declaration, parse_sidecar
from voxarium.spec.ocfl.reading import (
    MOST_INVENTORY,
    Inventory,
    Remark,
    examine_inventory,
    parse_inventory,
)
from voxarium.spec.ocfl.writing import (
    DECLARATION,
    DECLARATION_FILE,
    INVENTORY_FILE,
    LAYOUT,
    ROOT_DECLARATION,
    ROOT_DECLARATION_FILE,
    Group,
    VersionHead,
    inventory_pieces,
    layout_documents,
    layout_path,
    sidecar,
)

__all__ = [
    "DECLARATION",
    "DECLARATION_FILE",
    "INVENTORY_FILE",
    "LAYOUT",
    "MOST_INVENTORY",
    "ROOT_DECLARATION",
    "ROOT_DECLARATION_FILE",
    "Group",
    "Inventory",
    "Remark",
    "VersionHead",
    "examine_inventory",
    "inventory_pieces",
    "layout_documents",
    "layout_path",
    "parse_declaration",
    "parse_inventory",
    "parse_sidecar",
    "sidecar",
]
