"""JSON attributes of groups and arrays that several conventions read and add to: ``attributes.json``, ``.zattrs``.

An ``attributes.json`` (N5) holds what describes the array and what anybody else has to say in one object. Who
writes it keeps the keys of the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from voxarium.errors import Code, FormatError
from voxarium.model.array_specs import join_key
from voxarium.model.axes import Axis
from voxarium.model.fields import dump_json, parse_json_object
from voxarium.model.image import ImageInfo
from voxarium.model.protocols import ReadableStore

__all__ = [
    "ATTRIBUTES",
    "N5_VERSION",
    "group_keys",
    "image_documents",
    "is_array",
    "kept_attributes",
    "merged_document",
    "numbered_levels",
    "numbers",
    "read_attributes",
    "split_container",
    "texts",
    "touched_keys",
    "unknown_attributes",
    "usual_order",
]

ATTRIBUTES: Final = "attributes.json"
N5_VERSION: Final = "2.0.0"
"""Version of N5 written into groups; readers built on zarr 2 know a group by it."""

_ARRAY: Final = frozenset({"dimensions", "blockSize", "dataType", "compression", "compressionType", "codecs", "n5"})
# Names of files that are one image or table each; asking for documents below them would be a request in vain.
_FILES: Final = (
    ".h5",
    ".hdf5",
    ".hdf",
    ".npy",
    ".tif",
    ".tiff",
    ".png",
    ".jpg",
    ".jpeg",
    ".gz",
    ".nii",
    ".xml",
    ".ims",
)
_MAX_DOCUMENT: Final = 64 * 2**20  # bytes; real documents stay below one
_MAX_LEVELS: Final = 64
_MAX_NUMBERS: Final = 4096


def read_attributes(
    store: ReadableStore, path: str, documents: Sequence[str] = (ATTRIBUTES,)
) -> dict[str, Any] | None:  # Any: JSON as found
    """Return the attributes at a path, from the first document there is; None when there is none.

    Raises
    ------
    FormatError
        If the document is no JSON object, or implausibly large.
    """
    if "::" in path or path.lower().endswith(_FILES):
        return None
    for name in documents:
        key = join_key(path, name)
        raw = store.get(key)
        if raw is None:
            continue
        if len(raw) > _MAX_DOCUMENT:
            raise FormatError(
                f"{key} has {len(raw)} bytes, more than metadata ever needs",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="check that the file is what its name says",
            )
        return parse_json_object(raw, key)
    return None


def is_array(attributes: Mapping[str, Any]) -> bool:
    """Tell whether N5 attributes describe an array."""
    return "dimensions" in attributes and "dataType" in attributes


def numbered_levels(
    store: ReadableStore, path: str, documents: Sequence[str] = (ATTRIBUTES,)
) -> dict[str, dict[str, Any]]:  # Any: JSON as found
    """Return the attributes of ``s0``, ``s1``, … below a path, up to the first that has none."""
    found: dict[str, dict[str, Any]] = {}
    for i in range(_MAX_LEVELS):
        attributes = read_attributes(store, join_key(path, f"s{i}"), documents)
        if attributes is None:
            break
        found[f"s{i}"] = attributes
    return found


def unknown_attributes(attributes: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return what neither the container nor the convention (`known`) has a meaning for."""
    return {k: v for k, v in attributes.items() if k not in _ARRAY and k not in known}


def numbers(value: Any, count: int | None = None, *, positive: bool = False) -> tuple[float, ...] | None:
    """Return a list of finite numbers, of `count` when given; None when it is none.

    Examples
    --------
    >>> numbers([4, 4.5], 2), numbers([4, "x"]), numbers([0, 1], positive=True)
    ((4.0, 4.5), None, None)
    """
    if not isinstance(value, (list, tuple)) or not value or len(value) > _MAX_NUMBERS:
        return None
    if count is not None and len(value) != count:
        return None
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
        return None
    try:
        found = tuple(map(float, value))
    except OverflowError:
        return None
    return found if all(math.isfinite(v) and (v > 0 or not positive) for v in found) else None


def texts(value: Any, count: int | None = None) -> tuple[str, ...] | None:
    """Return a list of strings, of `count` when given; None when it is none."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
        return None
    return tuple(value) if count is None or len(value) == count else None


# -- writing
def split_container(target: str) -> tuple[str, str]:
    """Return the outermost N5 container in an address, and the path within; the address itself where there is none.

    Examples
    --------
    >>> split_container("data/a.n5/em/x"), split_container("data/a.n5"), split_container("data/x")
    (('data/a.n5', 'em/x'), ('data/a.n5', ''), ('data/x', ''))
    """
    parts = target.rstrip("/").split("/")
    at = next((i for i, part in enumerate(parts) if part.lower().endswith(".n5")), len(parts) - 1)
    return "/".join(parts[: at + 1]), "/".join(parts[at + 1 :])


def usual_order(axes: tuple[Axis, ...]) -> tuple[str, ...] | None:
    """Return names of axes in the order time, channel, others, z, y, x; None when other axes of space are there.

    Examples
    --------
    >>> usual_order((Axis(name="x", type="space"), Axis(name="c", type="channel"), Axis(name="y", type="space")))
    ('c', 'y', 'x')
    """
    if not {a.name for a in axes if a.type == "space"} <= {*"zyx"}:
        return None
    types = {"time": 0, "channel": 1, "space": 3}
    order = sorted(axes, key=lambda a: (types.get(a.type, 2), "zyx".find(a.name) if a.type == "space" else 0))
    return tuple(a.name for a in order)


def group_keys(path: str) -> tuple[str, ...]:
    """Return the keys of the attributes of all groups around a path, the root's first.

    Examples
    --------
    >>> group_keys("em/fib")
    ('attributes.json', 'em/attributes.json')
    """
    parts = path.split("/") if path else []
    return tuple(join_key("/".join(parts[:i]), ATTRIBUTES) for i in range(len(parts)))


def touched_keys(path: str, levels: Iterable[str]) -> tuple[str, ...]:
    """Return the keys of all documents that `image_documents` extends."""
    own = tuple(join_key(join_key(path, level), ATTRIBUTES) for level in levels)
    return (*group_keys(path), *own, join_key(path, ATTRIBUTES))


def image_documents(
    path: str, existing: Mapping[str, bytes], levels: Mapping[str, Mapping[str, Any]], group: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return the documents of an image in N5: levels, the groups around, and its own attributes last.

    Raises
    ------
    FormatError
        If documents that are to be extended cannot be read.
    """
    out: dict[str, bytes] = {}
    for level, attributes in levels.items():
        key = join_key(join_key(path, level), ATTRIBUTES)
        out[key] = merged_document(existing.get(key), key, attributes)
    for key in group_keys(path):
        if key not in existing:
            out[key] = merged_document(None, key, {"n5": N5_VERSION})
    key = join_key(path, ATTRIBUTES)
    out[key] = merged_document(None, key, {"n5": N5_VERSION, **group})
    return out


def kept_attributes(image: ImageInfo, path: str, known: frozenset[str]) -> dict[str, Any]:  # Any: JSON as found
    """Return unknown attributes of a level that was read from the convention it is written in, under the same path."""
    for record in image.bag.records:
        levels = record.metadata.get("levels") if record.format == image.format else None
        found = levels.get(path) if isinstance(levels, Mapping) else None
        if isinstance(found, Mapping):
            return unknown_attributes(found, known)
    return {}


def merged_document(existing: bytes | None, key: str, new: Mapping[str, Any]) -> bytes:
    """Return a document with keys added or replaced, and all others kept.

    Raises
    ------
    FormatError
        If what is there is no JSON object.
    """
    present = {} if existing is None else parse_json_object(existing, key)
    return dump_json(dict(sorted({**present, **new}.items())))
