"""The Merkle tree of RFC 6962: hashes, proofs, and what a proof must show (RFC 9162, sections 2.1.3 and 2.1.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from voxarium.errors import Code, InputError

__all__ = ["EMPTY_ROOT", "MerkleTree", "leaf_hash", "node_hash", "verify_consistency", "verify_inclusion"]

EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of a tree without leaves."""

_HASH: Final = 32


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry: SHA-256 of a zero byte and its bytes."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees: SHA-256 of a one byte and their hashes."""
    return sha256(b"\1" + left + right).digest()


class MerkleTree:
    r"""A tree that grows, and proves things about itself at each of its sizes.

    It keeps the hash of every complete subtree: 64 bytes per entry.

    Parameters
    ----------
    hashes : iterable of bytes
        Hashes of the entries (`leaf_hash`), in their order.

    Examples
    --------
    >>> tree = MerkleTree(leaf_hash(bytes([i])) for i in range(7))
    >>> verify_inclusion(leaf_hash(b"\x03"), 3, 7, tree.root(), tree.prove_inclusion(3))
    True
    >>> verify_consistency(4, tree.root(4), 7, tree.root(), tree.prove_consistency(4))
    True
    """

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]  # of complete subtrees of 1, 2, 4 … entries
        for one in hashes:
            self.append(one)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, entry_hash: bytes) -> None:
        """Add an entry's hash."""
        for level in self._levels:
            level.append(entry_hash)
            if len(level) % 2:
                return
            entry_hash = node_hash(level[-2], level[-1])
        self._levels.append([entry_hash])

    def leaf(self, index: int) -> bytes:
        """Return the hash of an entry."""
        self._check(index + 1, 1)
        return self._levels[0][index]

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` entries, or over all.

        Raises
        ------
        InputError
            If there are not so many.
        """
        size = self._check(len(self) if size is None else size)
        return self._subtree(0, size) if size else EMPTY_ROOT

    def prove_inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the hashes that lead from an entry to the root over the first `size` entries.

        Raises
        ------
        InputError
            If there are not so many entries, or the entry is not among them.
        """
        size = self._check(len(self) if size is None else size)
        if not 0 <= index < size:
            raise _none_such(index + 1, 1, size)
        start, stop, proof = 0, size, list[bytes]()
        while stop - start > 1:
            middle = start + _split(stop - start)
            if index < middle:
                proof.append(self._subtree(middle, stop))
                stop = middle
            else:
                proof.append(self._subtree(start, middle))
                start = middle
        return proof[::-1]

    def prove_consistency(self, old: int, size: int | None = None) -> list[bytes]:
        """Return the hashes that show the tree of `size` entries to begin with the tree of the first `old` ones.

        Raises
        ------
        InputError
            If there are not so many entries, or `old` is not between 1 and `size`.
        """
        size = self._check(len(self) if size is None else size)
        if not 1 <= old <= size:
            raise _none_such(old, 1, size)
        start, stop, proof = 0, size, list[bytes]()
        while old < stop:
            middle = start + _split(stop - start)
            if old <= middle:
                proof.append(self._subtree(middle, stop))
                stop = middle
            else:
                proof.append(self._subtree(start, middle))
                start = middle
        if start:  # otherwise it is the old root, which the reader has
            proof.append(self._subtree(start, stop))
        return proof[::-1]

    def _check(self, size: int, least: int = 0) -> int:
        if not least <= size <= len(self):
            raise _none_such(size, least, len(self))
        return size

    def _subtree(self, start: int, stop: int) -> bytes:
        """Return the root over some entries; `start` is a multiple of the power of two that holds them."""
        length = stop - start
        if length & (length - 1) == 0:
            level = length.bit_length() - 1
            return self._levels[level][start >> level]
        middle = start + _split(length)
        return node_hash(self._subtree(start, middle), self._subtree(middle, stop))


def _none_such(size: int, least: int, most: int) -> InputError:
    return InputError(
        f"the log has no state of {size} entries to ask about",
        code=Code.ARGUMENT_INVALID,
        fix=f"name a number from {least} to {most}",
    )


def _split(length: int) -> int:
    """Return the largest power of two below a length."""
    return 1 << ((length - 1).bit_length() - 1)


def _are_hashes(values: Sequence[bytes]) -> bool:
    return all(len(v) == _HASH for v in values)


def verify_inclusion(entry_hash: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether a proof shows an entry to be in a tree at a place.

    Parameters
    ----------
    entry_hash : bytes
        Of the entry (`leaf_hash`).
    index, size : int
        Its place, from 0; how many entries the tree has.
    root : bytes
        Of the tree, from a checkpoint that is trusted.
    proof : sequence of bytes
        What `MerkleTree.prove_inclusion` returned, perhaps from somebody who lies.
    """
    if not 0 <= index < size or not _are_hashes([entry_hash, root, *proof]):
        return False
    place, last, found = index, size - 1, entry_hash
    for part in proof:
        if last == 0:
            return False
        if place % 2 or place == last:
            found = node_hash(part, found)
            place, last = _to_odd(place, last)
        else:
            found = node_hash(found, part)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether a proof shows that a log has only grown: its first `old` entries are what they were.

    Parameters
    ----------
    old, old_root : int, bytes
        What is known of the log from an earlier checkpoint.
    size, root : int, bytes
        What the log says now.
    proof : sequence of bytes
        What `MerkleTree.prove_consistency` returned, perhaps from somebody who lies.
    """
    if not 0 <= old <= size or not _are_hashes([old_root, root, *proof]):
        return False
    if old == 0:  # every log begins with nothing
        return not proof and old_root == EMPTY_ROOT and (size > 0 or root == EMPTY_ROOT)
    if old == size:
        return not proof and old_root == root
    parts = list(proof) if old & (old - 1) else [old_root, *proof]
    if not parts:
        return False
    place, last = _to_even(old - 1, size - 1)
    then = now = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            then, now = node_hash(part, then), node_hash(part, now)
            place, last = _to_odd(place, last)
        else:
            now = node_hash(now, part)
        place, last = place >> 1, last >> 1
    return last == 0 and then == old_root and now == root


def _to_odd(place: int, last: int) -> tuple[int, int]:
    """Go up while the subtree stands alone at the right edge."""
    while place % 2 == 0 and place:
        place, last = place >> 1, last >> 1
    return place, last


def _to_even(place: int, last: int) -> tuple[int, int]:
    """Go up while the subtree is the right one of two."""
    while place % 2:
        place, last = place >> 1, last >> 1
    return place, last
