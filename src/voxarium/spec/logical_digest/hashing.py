"""Leaves, inner nodes and roots."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voxarium.errors import Code, InputError, UnsupportedError

__all__ = [
    "DIGEST_BYTES",
    "TYPES",
    "LeafHasher",
    "bound_digest",
    "canonical_json",
    "content_digest",
    "leaf_digest",
    "leaf_header",
    "stored_type",
    "tree_nodes",
    "tree_root",
    "type_name",
]

DIGEST_BYTES: Final = 32
_LEAF, _NODE, _CONTENT, _BOUND = b"\x00", b"\x01", b"\x02", b"\x03"
_NAME_BYTES: Final = 15
_HEADER_BYTES: Final = 64
_LENGTHS: Final = 3
TYPES: Final = frozenset(
    {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
    | {"float16", "float32", "float64", "complex64", "complex128"}
)


def type_name(dtype: np.dtype[Any]) -> str:
    """Return the name under which a type is hashed; booleans are uint8, of values 0 and 1.

    Raises
    ------
    UnsupportedError
        If there is none: texts, records, objects.

    Examples
    --------
    >>> type_name(np.dtype(">u2")), type_name(np.dtype(bool))
    ('uint16', 'uint8')
    """
    name = "uint8" if dtype.kind == "b" else dtype.name
    if name not in TYPES:
        raise UnsupportedError(
            f"voxels of type {dtype} have no logical digest",
            code=Code.DTYPE_UNSUPPORTED,
            fix="only integers, floats, complex numbers and booleans have one",
        )
    return name


def stored_type(name: str) -> np.dtype[Any]:
    """Return the type whose bytes are hashed: little endian."""
    return np.dtype(name).newbyteorder("<")


def leaf_header(name: str, lengths: Sequence[int]) -> bytes:
    """Return the 64 bytes that are hashed in front of a block of a type and of some lengths."""
    last = [1] * _LENGTHS + list(lengths)
    header = _LEAF + name.encode("ascii").ljust(_NAME_BYTES, b"\0")
    return (header + np.array(last[-_LENGTHS:], "<u8").tobytes()).ljust(_HEADER_BYTES, b"\0")


def leaf_digest(header: bytes, block: NDArray[Any]) -> bytes:
    """Return the digest of a block, which is C-contiguous and of the type whose bytes are hashed."""
    return blake3(header).update(block.reshape(-1).view(np.uint8).data).digest()


class LeafHasher:
    """Takes a block piece by piece, in the order of its bytes."""

    __slots__ = ("_hasher",)

    def __init__(self, header: bytes) -> None:
        self._hasher = blake3(header)

    def update(self, piece: NDArray[Any]) -> None:
        """Add voxels, C-contiguous and of the type whose bytes are hashed."""
        self._hasher.update(piece.reshape(-1).view(np.uint8).data)

    def digest(self) -> bytes:
        """Return the digest of what was added."""
        return self._hasher.digest()


def tree_nodes(leaves: NDArray[np.uint8], counts: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Return the nodes of every height, the leaves first, the root last; each of shape (*counts, 32).

    A node stands for up to two nodes of the height below along each axis. The digest of a node is that of its children
    in C order.

    Raises
    ------
    InputError
        If there is not one leaf for each block.
    """
    if leaves.shape != (math.prod(counts), DIGEST_BYTES) or leaves.dtype != np.uint8:
        raise InputError(
            f"{leaves.shape} leaves do not fit a grid of {tuple(counts)} blocks",
            code=Code.ARGUMENT_INVALID,
            fix="give one digest of 32 bytes per block, in C order",
        )
    if len(leaves) == 0:
        return [np.frombuffer(blake3(_NODE).digest(), np.uint8)[None]]
    nodes = [leaves.reshape(*counts, DIGEST_BYTES)]
    while nodes[-1].size > DIGEST_BYTES:
        below = nodes[-1]
        shape = tuple(-(-n // 2) for n in below.shape[:-1])
        pairs = [[slice(2 * i, 2 * i + 2) for i in range(n)] for n in shape]
        found = b"".join(blake3(_NODE + below[at].tobytes()).digest() for at in itertools.product(*pairs))
        nodes.append(np.frombuffer(found, np.uint8).reshape(*shape, DIGEST_BYTES))
    return nodes


def tree_root(leaves: NDArray[np.uint8], counts: Sequence[int]) -> bytes:
    """Return the digest of the root."""
    return tree_nodes(leaves, counts)[-1].tobytes()


def canonical_json(document: Mapping[str, Any]) -> bytes:  # Any: JSON without fractions
    """Return JSON as RFC 8785 wants it: keys sorted, no spaces, UTF-8. Numbers are integers.

    Raises
    ------
    InputError
        If a name is no Unicode text.
    """
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"the name of an axis is no Unicode text: {error}",
            code=Code.ARGUMENT_INVALID,
            fix="correct the names of the axes",
        ) from error


def content_digest(name: str, shape: Sequence[int], root: bytes) -> bytes:
    """Return the digest of voxels: their type, the shape in canonical order without axes of length 1, the tree."""
    document = {"dtype": name, "shape": list(shape), "tree": root.hex(), "version": 1}
    return blake3(_CONTENT + canonical_json(document)).digest()


def bound_digest(content: bytes, coordinates: Mapping[str, Any]) -> bytes:  # Any: JSON without fractions
    """Return the digest of voxels in their place."""
    return blake3(_BOUND + canonical_json({**coordinates, "content": content.hex(), "version": 1})).digest()
