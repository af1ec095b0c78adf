"""The rules of Neuroglancer's ``info`` documents, and checks of documents against them.

`read_info` takes a document; `check_info` checks it by its ``@type`` and says what it names. Checks know nothing of
stores: what has to be looked up is left to the caller, who reports it with the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from voxarium.model.checking import Place, Sheet
from voxarium.model.json_documents import read_object
from voxarium.spec.precomputed.info import KIND
from voxarium.spec.precomputed.rules.annotations import check_annotations
from voxarium.spec.precomputed.rules.meshes import check_legacy_meshes, check_meshes, check_skeletons
from voxarium.spec.precomputed.rules.properties import check_segment_properties
from voxarium.spec.precomputed.rules.tables import RULES
from voxarium.spec.precomputed.rules.values import word
from voxarium.spec.precomputed.rules.volume import LINKS, VolumeFacts, check_volume

__all__ = ["KINDS", "LINKS", "RULES", "InfoFacts", "check_info", "is_info", "kind_of", "read_info"]

_MESHES: Final = ("neuroglancer_multilod_draco", "neuroglancer_legacy_mesh")
_SKELETONS: Final = "neuroglancer_skeletons"
_ANNOTATIONS: Final = "neuroglancer_annotations_v1"
_SEGMENTS: Final = "neuroglancer_segment_properties"
_KNOWN: Final = (KIND, *_MESHES, _SKELETONS, _ANNOTATIONS, _SEGMENTS)
KINDS: Final = {"mesh": _MESHES, "skeletons": (_SKELETONS,), "segment_properties": (_SEGMENTS,)}
"""What the folders that a volume names may hold."""
_CHECKS: Final[Mapping[str, Callable[[Place], str | None]]] = MappingProxyType(
    {
        _MESHES[0]: check_meshes,
        _MESHES[1]: check_legacy_meshes,
        _SKELETONS: check_skeletons,
        _ANNOTATIONS: check_annotations,
        _SEGMENTS: check_segment_properties,
    }
)
# "info" is a name that anything may have; one of these words is in every info of Neuroglancer's.
_SIGNS: Final = (b'"scales"', b'"@type"', b'"redirect"', b'"num_channels"', b"neuroglancer")


@dataclass(frozen=True, slots=True)
class InfoFacts:
    """What an ``info`` is and names.

    Parameters
    ----------
    kind : str or None
        Its ``@type`` in lower case.
    volume : VolumeFacts or None
        Of a volume.
    links : tuple of (Place, str)
        Where the document names meshes, skeletons or properties of segments, and the keys of these folders.
    """

    kind: str | None
    volume: VolumeFacts | None = None
    links: tuple[tuple[Place, str], ...] = ()


def is_info(raw: bytes) -> bool:
    """Tell whether a file called ``info`` is one of Neuroglancer's, as far as a glance tells."""
    return any(sign in raw for sign in _SIGNS)


def read_info(raw: bytes, key: str) -> tuple[Sheet, Place | None]:
    """Return a sheet for findings about a document, and its object; None when it holds none."""
    sheet = Sheet("", RULES, key)
    return sheet, read_object(raw, sheet, "PC-001", "PC-002")


def kind_of(root: Place) -> str:
    """Return the ``@type`` of a document in lower case; that of a volume where none is stated."""
    found = root["@type"].value
    return found.lower() if isinstance(found, str) else KIND


def check_info(root: Place) -> InfoFacts:
    """Check a document that is not redirected."""
    kind = word(root["@type"], "PC-003", _KNOWN) if root["@type"].there else KIND
    if kind == KIND:
        volume = check_volume(root)
        return InfoFacts(kind, volume=volume, links=volume.links)
    check = _CHECKS.get(kind or "")
    segments = check(root) if check is not None else None
    return InfoFacts(kind, links=() if segments is None else ((root["segment_properties"], segments),))
