"""What a user may choose about an audit."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from voxarium.core.digests import has_blake3
from voxarium.errors import ChecksumError, Code, InputError
from voxarium.spec.manifest import format_root, parse_root

__all__ = ["LEVELS", "VerifyOptions", "check_roots", "chosen_algorithm", "is_logical_digest", "parse_sample"]

LEVELS: Final = ("list", "size", "sample", "full", "logical")
"""Each finds what those before it find. `running.verify` has one step for the first two, one for the next two, and one
for the last, which needs no manifest."""

_LOGICAL: Final = re.compile(r"vld1-(content|bound):[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """Choices about an audit.

    Parameters
    ----------
    level : str
        ``list``: every object is there, and nothing else. ``size``: sizes too. ``sample``: some objects are read, drawn
        by chance. ``full``: all are. ``logical``: images are decoded too, and compared with their logical digests; the
        objects are looked at if there is a manifest.
    sample : float or int
        For ``sample``: a share of the objects (0.01), or their number.
    seed : int
        What chance is made of; the same seed draws the same objects.
    roots : tuple of str
        What the manifest's roots must be (``sha256:5f…``). Only digests that one of them covers are then used.
    digests : tuple of str
        For ``logical``: digests that the only image must have (``vld1-content:5b…``, ``vld1-bound:…``).
    threads : int or None
        None = one per processor, or as many as the store takes requests.
    """

    level: str = "full"
    sample: float = 0.01
    seed: int = field(default_factory=lambda: secrets.randbits(48))
    roots: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    threads: int | None = None

    def check(self) -> None:
        """Refuse what cannot be done.

        Raises
        ------
        InputError
            If a choice makes no sense.
        """
        if self.level not in LEVELS:
            raise InputError(
                f"there is no level {self.level!r}", code=Code.ARGUMENT_INVALID, fix=f"use one of {', '.join(LEVELS)}"
            )
        if not self.sample > 0:
            raise InputError(
                "an empty sample says nothing", code=Code.ARGUMENT_INVALID, fix="give a share such as 1%, or a number"
            )
        for root in self.roots:
            parse_root(root)
        wrong = [text for text in self.digests if not is_logical_digest(text)]
        if wrong or (self.digests and self.level != "logical"):
            raise InputError(
                f"{wrong[0]!r} is no logical digest" if wrong else "only level logical looks at logical digests",
                code=Code.ARGUMENT_INVALID,
                fix="write it as voxarium digest prints it, vld1-content:… or vld1-bound:…, with --level logical",
            )


def is_logical_digest(text: str) -> bool:
    """Tell whether a text is written as a logical digest.

    Examples
    --------
    >>> is_logical_digest("vld1-content:" + "ab" * 32), is_logical_digest("sha256:" + "ab" * 32)
    (True, False)
    """
    return _LOGICAL.fullmatch(text) is not None


def parse_sample(text: str) -> float:
    """Return what ``1%``, ``0.01`` or ``500`` mean: a share of the objects, or, as an integer, their number.

    Raises
    ------
    InputError
        If it is none of these.

    Examples
    --------
    >>> parse_sample("1%"), parse_sample("500"), parse_sample("100%")
    (0.01, 500, 1.0)
    """
    try:
        if text.endswith("%"):
            share = float(text[:-1]) / 100
            if 0 < share <= 1:
                return share
        elif text.isdecimal() and int(text) > 0:
            return int(text)
        elif 0 < float(text) < 1:
            return float(text)
    except ValueError:
        pass
    raise InputError(
        f"{text!r} is no sample", code=Code.ARGUMENT_INVALID, fix="give a share such as 1%, or a number of objects"
    )


def check_roots(found: Mapping[str, bytes], roots: Sequence[str]) -> frozenset[str]:
    """Return the algorithms whose digests are trusted.

    Parameters
    ----------
    found : mapping of str to bytes
        Roots of the manifest.
    roots : sequence of str
        Those it must have; without any, all of its digests are trusted.

    Raises
    ------
    ChecksumError
        If the manifest has another root.
    """
    if not roots:
        return frozenset(found)
    trusted = set()
    for text in roots:
        algorithm, wanted = parse_root(text)
        if found.get(algorithm) != wanted:
            has = ", ".join(format_root(a, r) for a, r in found.items())
            raise ChecksumError(
                f"the manifest has the root {has}, not the one that was given",
                code=Code.CHECKSUM_MISMATCH,
                fix="it is another manifest, or it was changed; get the one that belongs to this root",
            )
        trusted.add(algorithm)
    return frozenset(trusted)


def chosen_algorithm(trusted: frozenset[str]) -> str:
    """Return the digest to compare: BLAKE3 where it is trusted and can be computed, else SHA-256."""
    if "blake3" in trusted and (has_blake3() or "sha256" not in trusted):
        return "blake3"
    return "sha256"
