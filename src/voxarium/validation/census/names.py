"""Keys that are nobody's: what they were meant to be."""

from __future__ import annotations

import re
from typing import Final

from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import KeyedDriver

__all__ = ["KeySpelling", "is_leftover", "is_noise", "without_packing"]

_PACKED: Final = (".gz", ".br", ".zst", ".zstd", ".xz", ".bz2", ".lz4", ".gzip", ".Z")
_LEFTOVER: Final = re.compile(
    r"(?:^|[/._~-])(?:tmp|temp|partial|part|incomplete|filepart|crdownload|swp|lock|__lock|writing)(?:[._-][0-9A-Za-z-]*)?$"
    r"|~$|(?:^|/)\.nfs[0-9a-f]+$|(?:^|/)\.(?:tmp|temp|partial)(?:/|[._-])",
    re.IGNORECASE,
)
_NOISE: Final = re.compile(r"(?:^|/)(?:\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini|\.directory)$", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W\d_]+")
_NUMBER: Final = re.compile(r"[0-9]+")


def is_leftover(key: str) -> bool:
    """Tell whether a key is what writers call what they have not finished.

    Examples
    --------
    >>> is_leftover("c/0/0.partial"), is_leftover("c/0/0.__lock"), is_leftover("c/0/0"), is_leftover("parts/0")
    (True, True, False, False)
    """
    return _LEFTOVER.search(key) is not None


def is_noise(key: str) -> bool:
    """Tell whether a file is one that operating systems leave behind in folders that people look into."""
    return _NOISE.search(key) is not None


def without_packing(key: str) -> str | None:
    """Return a key without the ending of a compressor; None when it has none.

    Examples
    --------
    >>> without_packing("0-64_0-64_0-64.gz"), without_packing("c/0")
    ('0-64_0-64_0-64', None)
    """
    return next((key[: -len(ending)] for ending in _PACKED if key.endswith(ending)), None)


class KeySpelling:
    """Recognises keys of an array's objects that are spelt otherwise than the array says.

    The numbers of a key are put between the letters that keys of the array have; where that makes a key, the object was
    meant to have it. A key with words that no grid makes is something else: ``0/1.copy``.

    Parameters
    ----------
    driver, path, info
        The array.
    folder : str
        Where its objects are, with a slash behind, or empty.
    """

    __slots__ = ("_between", "_driver", "_folder", "_info", "_path", "_widths", "_words")

    def __init__(self, driver: KeyedDriver, path: str, info: ArrayInfo, folder: str) -> None:
        self._driver, self._path, self._info, self._folder = driver, path, info, folder
        first = driver.object_key(path, info, (0,) * info.ndim)[len(folder) :]
        self._between = _NUMBER.split(first)
        self._words = {*_WORD.findall(first), "c"}
        # Numbers with leading zeros have a fixed width.
        self._widths = [len(n) if len(n) > 1 and n[0] == "0" else 0 for n in _NUMBER.findall(first)]

    def meant(self, key: str) -> tuple[str, tuple[int, ...]] | None:
        """Return the key that an object was meant to have, and its grid index; None when it is something else."""
        own = key[len(self._folder) :]
        numbers = _NUMBER.findall(own)
        if not numbers or len(numbers) != len(self._widths) or not self._words.issuperset(_WORD.findall(own)):
            return None
        parts = [self._folder, self._between[0]]
        for number, width, between in zip(numbers, self._widths, self._between[1:], strict=True):
            parts += ((number.lstrip("0") or "0").zfill(width), between)
        made = "".join(parts)
        index = self._driver.object_index(self._path, self._info, made)
        return None if index is None or made == key else (made, index)
