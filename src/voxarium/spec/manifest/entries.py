"""`Manifest`: the entries as sorted columns, and how they come about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, InputError
from voxarium.spec.manifest.ordering import first_disorder, first_unsafe, sorting, taken
from voxarium.spec.manifest.strings import Strings

__all__ = [
    "ALGORITHMS", "LONGEST_KEY", "MOST_MEDIA", "Manifest", "checked_manifest", "make_manifest", "selected",
    "sorted_strings",
]  # fmt: skip

ALGORITHMS: Final = ("sha256", "blake3")
LONGEST_KEY: Final = 4096
MOST_MEDIA: Final = 256
_LARGEST: Final = 2**62
Digests = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifest:
    """Objects by key.

    Parameters
    ----------
    keys : Strings
        Sorted by their bytes, each once.
    sizes : array of int64
        Bytes.
    sha256 : array of uint8, shape (n, 32)
        Digest of each object.
    blake3 : array of uint8, shape (n, 32), or None
        Another one, for fast audits.
    media, media_names : array of uint8 and tuple of str, or None and ()
        What kind of object each is, as a position in the names.
    locations : Strings or None
        Where the bytes are, if not at their key: a key from the root of the manifest's tree, or a URL; empty = at
        the key.
    byte_offsets : array of int64 or None
        Where in that object the bytes begin.
    composed : bool
        Whether locations may lead to lists of pieces: whoever knows nothing of these must not read it.
    stated_roots : tuple of (str, str)
        Algorithm and hexadecimal digits of the roots that the file states, of a manifest that was read.
    """

    keys: Strings
    sizes: NDArray[np.int64]
    sha256: Digests
    blake3: Digests | None = None
    media: NDArray[np.uint8] | None = None
    media_names: tuple[str, ...] = ()
    locations: Strings | None = None
    byte_offsets: NDArray[np.int64] | None = None
    composed: bool = False
    stated_roots: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms whose digests it holds."""
        return ("sha256",) if self.blake3 is None else ("sha256", "blake3")

    @property
    def nbytes(self) -> int:
        """Bytes of all objects together."""
        high, low = self.sizes >> 32, self.sizes & 0xFFFFFFFF  # a plain sum might not fit
        return (int(high.sum()) << 32) + int(low.sum())

    def digests(self, algorithm: str) -> Digests:
        """Return the digests of an algorithm.

        Raises
        ------
        InputError
            If there are none.
        """
        found = {"sha256": self.sha256, "blake3": self.blake3}.get(algorithm)
        if found is None:
            raise InputError(
                f"the manifest holds no {algorithm} digests",
                code=Code.ARGUMENT_INVALID,
                fix=f"use {' or '.join(self.algorithms)}",
            )
        return found

    def find(self, key: str) -> int:
        """Return the position of a key, or -1."""
        wanted, low, high = key.encode("utf-8", "surrogatepass"), 0, len(self)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.keys.raw(middle) < wanted else (low, middle)
        return low if low < len(self) and self.keys.raw(low) == wanted else -1

    def medium(self, i: int) -> str:
        """Return the kind of an object; empty when it was not noted."""
        return "" if self.media is None else self.media_names[int(self.media[i])]

    def location(self, i: int) -> tuple[str, int]:
        """Return where the bytes of an object are: a key or URL, and the first byte in it."""
        where = "" if self.locations is None else self.locations[i]
        return where or self.keys[i], 0 if self.byte_offsets is None else int(self.byte_offsets[i])


def make_manifest(
    keys: Strings,
    sizes: NDArray[np.int64],
    sha256: Digests,
    *,
    blake3: Digests | None = None,
    media: tuple[NDArray[np.uint8], tuple[str, ...]] | None = None,
    places: tuple[Strings, NDArray[np.int64]] | None = None,
) -> Manifest:
    """Make a manifest of entries in any order.

    Parameters
    ----------
    keys, sizes, sha256, blake3
        See `Manifest`.
    media : (positions, names) or None
        See `Manifest`.
    places : (locations, byte offsets) or None
        See `Manifest`.

    Raises
    ------
    InputError
        If a key comes twice, is unsafe or too long, a size is negative, or columns differ in length.
    """
    sizes = np.asarray(sizes, np.int64)  # kernels and files take them as they are
    if places is not None:
        places = places[0], np.asarray(places[1], np.int64)
    columns = (sizes, sha256, blake3, *(media or ())[:1], *(places or ()))
    if any(column is not None and len(column) != len(keys) for column in columns):
        raise _impossible("columns differ in length")
    keys, order = sorted_strings(keys)
    made = Manifest(
        keys=keys,
        sizes=_rows(sizes, order),
        sha256=_rows(sha256, order),
        blake3=None if blake3 is None else _rows(blake3, order),
        media=None if media is None else _rows(media[0], order),
        media_names=() if media is None else media[1],
        locations=None if places is None else _taken(places[0], order),
        byte_offsets=None if places is None else _rows(places[1], order),
    )
    wrong = _problem(made)
    if wrong:
        raise _impossible(wrong)
    return made


def _impossible(wrong: str) -> InputError:
    return InputError(
        f"no manifest can be made: {wrong}", code=Code.ARGUMENT_INVALID, fix="give every object once, by a safe key"
    )


def checked_manifest(manifest: Manifest, where: str) -> Manifest:
    """Return a manifest that was read, after a look at it.

    Raises
    ------
    FormatError
        If its columns are no manifest.
    """
    wrong = _problem(manifest)
    if wrong:
        raise FormatError(f"{where}: {wrong}", code=Code.METADATA_INVALID, fix="get the manifest from its source again")
    return manifest


def _problem(manifest: Manifest) -> str:
    """Say what is wrong with columns; empty when nothing is."""
    count, keys = len(manifest), manifest.keys
    if not count:
        return ""
    if int(keys.lengths.max()) > LONGEST_KEY:
        return f"a key is longer than {LONGEST_KEY:,} bytes"
    if not keys.is_utf8() or not (manifest.locations is None or manifest.locations.is_utf8()):
        return "a text is not UTF-8"
    at = first_unsafe(keys.offsets, keys.data)
    if at >= 0:
        return f"{keys[at]!r} is not a safe key"
    at = first_disorder(keys.offsets, keys.data)
    if at >= 0:
        twice = keys.raw(at - 1) == keys.raw(at)
        return f"{keys[at]!r} {'comes twice' if twice else 'is out of order'}"
    for numbers in (manifest.sizes, manifest.byte_offsets):
        if numbers is not None and (int(numbers.min()) < 0 or int(numbers.max()) > _LARGEST):
            return "a size or offset is not credible"
    if manifest.media is not None and int(manifest.media.max()) >= len(manifest.media_names):
        return "a kind of object has no name"
    return ""


def _rows(column: NDArray[Any], order: NDArray[np.int64] | None) -> NDArray[Any]:
    return column if order is None else column[order]


def sorted_strings(texts: Strings) -> tuple[Strings, NDArray[np.int64] | None]:
    """Return texts in the order of their bytes, and where each was; None when they were in order."""
    if first_disorder(texts.offsets, texts.data) < 0:
        return texts, None
    order = sorting(texts.offsets, texts.data)
    return _taken(texts, order), order


def selected(manifest: Manifest, numbers: NDArray[np.int64]) -> Manifest:
    """Return some entries of a manifest, by their positions, which ascend."""
    return replace(
        manifest,
        keys=_taken(manifest.keys, numbers),
        sizes=manifest.sizes[numbers],
        sha256=manifest.sha256[numbers],
        blake3=None if manifest.blake3 is None else manifest.blake3[numbers],
        media=None if manifest.media is None else manifest.media[numbers],
        locations=None if manifest.locations is None else _taken(manifest.locations, numbers),
        byte_offsets=None if manifest.byte_offsets is None else manifest.byte_offsets[numbers],
        stated_roots=(),
    )


def _taken(texts: Strings, order: NDArray[np.int64] | None) -> Strings:
    return texts if order is None else Strings(*taken(texts.offsets, texts.data, order))
