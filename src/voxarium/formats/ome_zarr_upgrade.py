"""OME-Zarr 0.1 to 0.5, and any Zarr v2 around it, as Zarr v3 with OME-Zarr 0.5 or 0.6 over the same chunks.

https://ngff.openmicroscopy.org. Arrays keep their chunks' keys through the chunk key encoding ``v2``. What Zarr v3
would decode otherwise than Zarr v2 is refused: the chains of codecs of both are built and compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from voxarium.codecs import build_chain, build_chain_v2
from voxarium.codecs.translation import PORTABLE, codecs_for_v3
from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.model.codec import ChunkType
from voxarium.model.fields import Fields, Problems, dump_json, parse_json_object
from voxarium.model.upgrades import NodeUpgrade, ReadBelow
from voxarium.spec import ome_upgrade, zarr2, zarr3

__all__ = ["OmeZarrUpgrade"]

_V3: Final = "zarr.json"
_ARRAY, _GROUP, _ATTRIBUTES, _CONSOLIDATED = ".zarray", ".zgroup", ".zattrs", ".zmetadata"
_LARGEST: Final = 64 << 20  # bytes of a document that is parsed
_FEW_READERS: Final = "read by zarr-python 3 and Voxarium, not by TensorStore, Neuroglancer and others"
_CONVERT: Final = "convert it with voxarium convert, which writes chunks anew, or leave it with --skip-refused"


class OmeZarrUpgrade:
    """Upgrades Zarr v2 with OME-Zarr 0.1 to 0.4, and OME-Zarr 0.5."""

    name: ClassVar[str] = "ome-zarr"
    spec_url: ClassVar[str] = "https://ngff.openmicroscopy.org"
    targets: ClassVar[tuple[str, ...]] = ("0.5", "0.6")
    first: ClassVar[tuple[str, ...]] = (_V3, _ARRAY)
    documents: ClassVar[tuple[str, ...]] = (_V3, _ARRAY, _GROUP, _ATTRIBUTES, _CONSOLIDATED)

    def kind(self, found: Mapping[str, bytes], /) -> Literal["array", "group"] | None:
        """Tell what a folder is. What cannot be parsed counts as a group: `upgrade` says what is wrong with it."""
        if _V3 in found:
            try:
                return "array" if _parsed(found[_V3], _V3).get("node_type") == "array" else "group"
            except FormatError:
                return "group"
        if _ARRAY in found:
            return "array"
        return "group" if _GROUP in found or _ATTRIBUTES in found else None

    def upgrade(
        self, path: str, found: Mapping[str, bytes], target: str, told: Any, read_below: ReadBelow, /
    ) -> NodeUpgrade:
        """Return what becomes of a node.

        Raises
        ------
        FormatError, UnsupportedError
            If it has to stay as it is.
        """
        if _V3 in found:
            return _from_v3(path, found, target)
        if _ARRAY in found:
            return _array(path, found, told)
        return _group(path, found, target, read_below)


def _parsed(raw: bytes, where: str) -> dict[str, Any]:
    if len(raw) > _LARGEST:
        raise FormatError(
            f"{where} has {len(raw)} bytes, more than metadata ever needs",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="check that the file is what its name says",
        )
    return parse_json_object(raw, where)


def _at(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _attributes(path: str, found: Mapping[str, bytes], notes: list[str]) -> dict[str, Any]:
    raw = found.get(_ATTRIBUTES)
    if raw is None:
        return {}
    attributes = _parsed(raw, _at(path, _ATTRIBUTES))
    if b"NaN" in raw or b"Infinity" in raw:
        try:
            json.dumps(attributes, allow_nan=False)
        except ValueError:
            notes.append("NaN and infinities in attributes, which JSON does not have, become text")
    return attributes


def _note_extra(extra: Mapping[str, Any], name: str, notes: list[str]) -> None:
    if extra:
        notes.append(f"{name} has keys that Zarr v3 has no place for: {', '.join(sorted(extra))[:80]}")


# --------------------------------------------------------------------------------------------------------- arrays
def _array(path: str, found: Mapping[str, bytes], told: Any) -> NodeUpgrade:  # Any: see the protocol
    where = path or "the array"
    notes: list[str] = []
    meta = zarr2.parse_array(_parsed(found[_ARRAY], _at(path, _ARRAY)), where=_at(path, _ARRAY))
    if meta.dtype is None:
        raise UnsupportedError(
            f"{where} holds {_elements(meta.dtype_json)}, for which Zarr v3 has no data type that readers agree on",
            code=Code.DTYPE_UNSUPPORTED,
            fix="leave it as it is with --skip-refused, or store it otherwise",
        )
    attributes = _attributes(path, found, notes)
    codecs = _codecs(meta, where)
    notes += [f"codec {name}: {_FEW_READERS}" for name, _ in codecs if name not in PORTABLE]
    if json_value(found[_ARRAY]).get("fill_value") is None:
        notes.append("fill_value is null: absent chunks read as 0, as readers of Zarr v2 do")
    _note_extra(meta.extra, _ARRAY, notes)
    document = zarr3.ArrayMetadata(
        shape=meta.shape,
        data_type=meta.dtype.name,
        dtype=meta.dtype.newbyteorder("="),
        chunk_shape=meta.chunk_shape,
        codecs=tuple(zarr3.NamedConfiguration(name, settings) for name, settings in codecs),
        chunk_keys=zarr3.ChunkKeys("v2", meta.dimension_separator),
        fill_value=meta.fill_value,
        dimension_names=_dimension_names(told, attributes, len(meta.shape)),
        attributes=attributes,
    )
    return NodeUpgrade(written={_V3: zarr3.dump_array(document)}, replaced=_replaced(found), notes=tuple(notes))


def json_value(raw: bytes) -> dict[str, Any]:
    """Return a document that has been parsed before."""
    return parse_json_object(raw, _ARRAY)


def _replaced(found: Mapping[str, bytes]) -> tuple[str, ...]:
    return tuple(name for name in (_ARRAY, _GROUP, _ATTRIBUTES, _CONSOLIDATED) if name in found)


def _elements(dtype: Any) -> str:  # Any: JSON
    if not isinstance(dtype, str):
        return "structures"
    kinds = {"O": "objects", "U": "text", "S": "byte strings", "V": "raw bytes", "M": "times", "m": "time spans"}
    return kinds.get(dtype[1:2], f"elements of type {dtype[:20]}")


def _codecs(meta: zarr2.ArrayMetadata, where: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the codecs of Zarr v3, proven to decode what those of Zarr v2 encoded."""
    if meta.dtype is None:
        raise AssertionError  # pragma: no cover  refused before
    steps = [*meta.filters, *([] if meta.compressor is None else [meta.compressor])]
    given = ChunkType(meta.chunk_shape, meta.dtype.newbyteorder("="), meta.fill_value)
    before = build_chain_v2(steps, meta.order, meta.dtype, given, where)
    codecs = codecs_for_v3(steps, meta.order, meta.dtype, len(meta.shape), where)
    after = build_chain(codecs, given, where)
    if before.key != after.key:
        raise UnsupportedError(
            f"{where} is stored with {', '.join(before.texts)}, which Zarr v3 cannot say exactly",
            code=Code.FEATURE_UNSUPPORTED,
            fix=_CONVERT,
        )
    return codecs


def _dimension_names(told: Any, attributes: Mapping[str, Any], ndim: int) -> tuple[str, ...] | None:
    """Return the axes' names that an image states, or that xarray left with a Zarr v2 array."""
    for names in (told, attributes.get("_ARRAY_DIMENSIONS")):
        if isinstance(names, list | tuple) and len(names) == ndim and all(isinstance(n, str) for n in names):
            return tuple(names)
    return None


# --------------------------------------------------------------------------------------------------------- groups
def _group(path: str, found: Mapping[str, bytes], target: str, read_below: ReadBelow) -> NodeUpgrade:
    notes: list[str] = []
    if _GROUP in found:
        meta = zarr2.parse_group(_parsed(found[_GROUP], _at(path, _GROUP)), where=_at(path, _GROUP))
        _note_extra(meta.extra, _GROUP, notes)
    else:
        notes.append(f"there is {_ATTRIBUTES} without {_GROUP}; taken for a group")
    attributes = _attributes(path, found, notes)
    if _CONSOLIDATED in found:
        notes.append("consolidated metadata are not carried over; make them anew if a reader wants them")
    ome, rest = ome_upgrade.ome_content(attributes, path.rpartition("/")[2])
    if not ome and isinstance(rest.get("ome"), dict):
        ome = {k: v for k, v in rest.pop("ome").items() if k != "version"}
        notes.append('the metadata stand below "ome" already, as in 0.5')
    elif ome and "ome" in rest:
        raise FormatError(
            f"{path or 'the group'} states OME metadata twice: at the top and below ome",
            code=Code.METADATA_INVALID,
            fix="remove one of them",
        )
    below: dict[str, tuple[str, ...]] = {}
    if ome:
        shapes = {p: _checked_level(path, p, read_below(p)) for p in ome_upgrade.level_paths(ome)}
        done = ome_upgrade.upgrade_to_05(ome, {p: s for p, s in shapes.items() if s is not None})
        notes += done.notes
        below = ome_upgrade.level_axes(done.ome)
        if target != "0.5":
            done = ome_upgrade.upgrade_to_06(done.ome)
            notes += done.notes
        rest = {"ome": done.ome} | rest
    document = zarr3.dump_group(zarr3.GroupMetadata(attributes=rest))
    return NodeUpgrade(written={_V3: document}, replaced=_replaced(found), notes=tuple(notes), below=below)


def _checked_level(group: str, path: str, found: Mapping[str, bytes]) -> tuple[int, ...] | None:
    """Return the shape of a level, whose array must be one that can be upgraded; None if it is absent."""
    where = _at(group, path)
    if _V3 in found:
        shape = _parsed(found[_V3], _at(where, _V3)).get("shape")
        valid = isinstance(shape, list) and all(type(n) is int and 0 <= n < 2**63 for n in shape)
        return tuple(shape) if isinstance(shape, list) and valid else None
    if _ARRAY not in found:
        return None
    _array(where, found, None)
    return zarr2.parse_array(found[_ARRAY]).shape


# ------------------------------------------------------------------------------------------------------- Zarr v3
def _from_v3(path: str, found: Mapping[str, bytes], target: str) -> NodeUpgrade:
    """Upgrade a node that is Zarr v3 already. Documents of Zarr v2 beside it are of an earlier upgrade."""
    where = _at(path, _V3)
    document = _parsed(found[_V3], where)
    problems = Problems(where)
    fields = Fields(document, problems)
    fields.integer("zarr_format", 3, 3)
    kind = fields.choice("node_type", ("array", "group"))
    attributes = fields.mapping("attributes", {})
    problems.check()
    replaced = _replaced(found)
    ome = attributes.get("ome")
    if kind == "array" or (not isinstance(ome, dict) and target == "0.5"):
        return NodeUpgrade(replaced=replaced)
    notes: list[str] = []
    changed = dict(document)
    if isinstance(ome, dict):
        later = _later(ome, target, where, notes)
        if later is not None:
            changed["attributes"] = dict(attributes) | {"ome": later}
    if target != "0.5" and changed.get("consolidated_metadata") is not None:
        del changed["consolidated_metadata"]  # it repeats the metadata of nodes below, as they were
        notes.append("consolidated metadata are not carried over; make them anew if a reader wants them")
    written = {} if changed == document else {_V3: dump_json(changed)}
    return NodeUpgrade(written=written, replaced=replaced, notes=tuple(notes))


def _later(ome: Mapping[str, Any], target: str, where: str, notes: list[str]) -> dict[str, Any] | None:
    """Return the metadata in the later version; None when they are in it already."""
    version = ome.get("version", "0.5")
    if version == target or (target == "0.6" and version == "0.6rc0"):
        return None
    if version != "0.5":
        raise UnsupportedError(
            f"{where} follows OME-Zarr {str(version)[:20]!r}, which is not brought to {target}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="upgrades go from 0.1, 0.2, 0.3 and 0.4 to 0.5, and from all of these to 0.6",
        )
    done = ome_upgrade.upgrade_to_06(ome)
    notes += done.notes
    return done.ome
