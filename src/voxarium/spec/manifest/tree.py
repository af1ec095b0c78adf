"""The root: one digest of all entries, as a Merkle tree in the manner of RFC 6962 §2.1."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError
from voxarium.spec.manifest.entries import ALGORITHMS, Manifest
from voxarium.spec.manifest.hashing import hash_leaves, hash_pairs

__all__ = ["format_root", "manifest_root", "parse_root"]

_DOMAIN: Final = "voxarium-manifest-1"
_BLOCK: Final = 1 << 14


def manifest_root(manifest: Manifest, algorithm: str = "sha256") -> bytes:
    """Return the digest of keys, sizes and the digests of one algorithm; see docs/reference/manifest.md.

    Raises
    ------
    InputError
        If the manifest holds no digests of that algorithm.
    """
    digests = manifest.digests(algorithm)
    head = f"{_DOMAIN}\n{algorithm}\n".encode() + len(manifest).to_bytes(8, "big")
    return hashlib.sha256(head + _tree(manifest, digests)).digest()


def _tree(manifest: Manifest, digests: NDArray[np.uint8]) -> bytes:
    if not len(manifest):
        return hashlib.sha256(b"").digest()
    keys, count = manifest.keys, len(manifest)
    longest = int(keys.lengths.max())
    tops = np.empty((-(-count // _BLOCK), 32), np.uint8)
    # Blocks of a power of two of leaves are whole branches, whatever follows: each is settled before the next.
    for n, first in enumerate(range(0, count, _BLOCK)):
        stop = min(first + _BLOCK, count)
        leaves = np.empty((stop - first, 32), np.uint8)
        places = keys.offsets[first : stop + 1]
        hash_leaves(places, keys.data, manifest.sizes[first:stop], digests[first:stop], leaves, longest)
        tops[n] = _top(leaves)
    return _top(tops).tobytes()


def _top(row: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the digest above a row of digests."""
    while len(row) > 1:
        pairs, alone = divmod(len(row), 2)
        above = np.empty((pairs + alone, 32), np.uint8)
        hash_pairs(row[: 2 * pairs].reshape(pairs, 64), above[:pairs])
        if alone:  # the last one of an odd row moves up as it is: the largest power of two goes left
            above[-1] = row[-1]
        row = above
    top: NDArray[np.uint8] = row[0]
    return top


def format_root(algorithm: str, root: bytes) -> str:
    """Return a root as text.

    Examples
    --------
    >>> format_root("sha256", bytes(32))[:15]
    'sha256:00000000'
    """
    return f"{algorithm}:{root.hex()}"


def parse_root(text: str) -> tuple[str, bytes]:
    """Return algorithm and root of a text such as ``sha256:5f1a…``.

    Raises
    ------
    InputError
        If it is none.
    """
    algorithm, _, digits = text.strip().lower().partition(":")
    try:
        root = bytes.fromhex(digits) if digits.isalnum() else b""
    except ValueError:
        root = b""
    if algorithm in ALGORITHMS and len(root) == 32:
        return algorithm, root
    raise InputError(
        f"{text!r} is no root of a manifest",
        code=Code.ARGUMENT_INVALID,
        fix="give it as voxarium manifest printed it: sha256: and 64 hexadecimal digits",
    )
