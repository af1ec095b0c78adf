"""Finished objects: what a ledger notes of them, and who is told when an image is complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voxarium.model.protocols import ReadableStore

__all__ = ["FinishedObject", "TakeObjects"]


@dataclass(frozen=True, slots=True)
class FinishedObject:
    """An object that stands under its final name, or that need not exist (`size` 0: every chunk absent).

    Checksum and digests are those that were asked for.
    """

    key: str
    size: int
    crc32c: int | None
    sha256: bytes | None = None
    blake3: bytes | None = None


TakeObjects = Callable[[ReadableStore, list[FinishedObject]], None]
"""Takes the objects of a complete image, documents included, and the store they are in."""
