"""Finding the ``info`` of a volume, and following its redirects inside the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxarium.errors import Code, FormatError, NotFoundError
from voxarium.model.array_specs import join_key
from voxarium.model.fields import parse_json_object
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import place
from voxarium.spec.precomputed import KIND, VolumeInfo, follow_redirect, level_names, parse_info, parse_redirect

__all__ = ["DOCUMENT", "Volume", "read_volume"]

DOCUMENT: Final = "info"
_MOST_REDIRECTS: Final = 10
# "info" is a name that anything may have; one of these words is in every info of Neuroglancer's.
_SIGNS: Final = (b'"scales"', b'"@type"', b'"redirect"', b'"num_channels"', b"neuroglancer")


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume as found.

    Parameters
    ----------
    folder : str
        Where its scales are, redirects followed.
    info : VolumeInfo
        Parsed.
    names : tuple of str
        Path of each scale below the folder that was opened.
    document : mapping
        The ``info`` as it is.
    """

    folder: str
    info: VolumeInfo
    names: tuple[str, ...]
    document: Mapping[str, Any]  # Any: JSON as found


def read_volume(store: ReadableStore, folder: str) -> Volume | None:
    """Return the volume whose ``info`` is in a folder; None when there is no ``info`` of Neuroglancer's.

    Raises
    ------
    NotFoundError
        If the ``info`` describes something else, such as meshes.
    FormatError
        If it is broken, or redirects lead in a circle or out of the store.
    UnsupportedError
        If it redirects to another store.
    """
    found = _document(store, folder)
    if found is None:
        return None
    seen = {folder}
    while (target := parse_redirect(found, join_key(folder, DOCUMENT))) is not None:
        folder = follow_redirect(folder, target, store.uri)
        if folder in seen or len(seen) > _MOST_REDIRECTS:
            raise FormatError(
                f"the redirects of info documents lead in a circle, or too far: {' → '.join(sorted(seen))} → {folder}",
                code=Code.METADATA_INVALID,
                fix="correct the redirects, or open the folder that holds the volume",
            )
        seen.add(folder)
        found = _document(store, folder)
        if found is None:
            raise FormatError(
                f"an info document redirects to {folder or 'the root'}, where there is none",
                code=Code.METADATA_INVALID,
                fix="correct the redirect, or copy the volume it names",
            )
    where = place(store, join_key(folder, DOCUMENT))
    kind = found.get("@type", KIND)
    if isinstance(kind, str) and kind.lower() != KIND:
        raise NotFoundError(
            f"{where} describes {kind[:80]!r}, not a volume",
            code=Code.FORMAT_UNRECOGNISED,
            fix="open the folder of the volume it belongs to",
        )
    info = parse_info(found, where)
    return Volume(folder, info, level_names([s.key for s in info.scales]), found)


def _document(store: ReadableStore, folder: str) -> dict[str, Any] | None:  # Any: JSON as found
    key = join_key(folder, DOCUMENT)
    raw = store.get(key)
    if raw is None or not any(sign in raw for sign in _SIGNS):
        return None
    return parse_json_object(raw, place(store, key))
