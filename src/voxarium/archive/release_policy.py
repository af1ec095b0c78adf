"""What is checked before a dataset is published: each check has a name, and is reported."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.archive.trees import Listing
from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.core.opening import find
from voxarium.errors import Code, InputError, VoxariumError
from voxarium.model.protocols import ReadableStore
from voxarium.model.rules import DEPTHS, Finding
from voxarium.spec.release import PolicyResult
from voxarium.validation.publishing import LOSSY, secrets_in
from voxarium.validation.running import validate_in

__all__ = ["CHECKS", "MENDS", "Policy", "check_policy", "own_license", "parse_policy"]

CHECKS: Final[dict[str, str]] = {
    "validation": "the rules of the formats hold for documents, hierarchy and every listed object",
    "labels-lossless": "label images are stored without loss",
    "lossy-intensity": "intensity images stored with loss name the codec that did it",
    "checksums": "chunks carry checksums that any reader checks (accepted as manifest-only)",
    "license": "a licence is stated",
    "contact": "somebody is named who can be asked",
    "provenance": "it is known where the data come from",
    "leftovers": "nothing is left over from jobs or stopped writers",
    "secrets": "no document holds keys, passwords or tokens",
}
"""Checks by name."""

MENDS: Final = {
    "validation": "see voxarium validate DATASET",
    "checksums": "convert images with --checksum, or let the manifest alone protect them: --accept manifest-only",
    "license": "voxarium dataset describe DATASET --license SPDX",
    "contact": "voxarium dataset describe DATASET --contact TEXT",
    "provenance": "say where the data are from: voxarium log add DATASET ingest",
    "leftovers": "see voxarium release gc DATASET",
}
"""What to do about a check that failed."""

_ALIASES: Final = {"manifest-only": "checksums"}
_RULES: Final = {
    "PB-001": "license",
    "PB-002": "contact",
    "PB-003": "provenance",
    "PB-005": "leftovers",
    "PB-006": "secrets",
    "PB-007": "labels-lossless",
}
_CHECKED: Final = ("crc32", "checksum", "adler32", "fletcher32", "gzip", "zlib", "bz2", "xz")
_DOCUMENTS: Final = (".json", ".zattrs", ".zarray", ".zgroup", ".zmetadata", ".md", ".txt", ".yaml", ".yml", ".toml",
                     ".xml", "info", "provenance")  # fmt: skip
_ARRAY_DOCUMENTS: Final = ("zarr.json", ".zarray", "attributes.json")
_SWITCHED_ON: Final = re.compile(rb'"checksum"\s*:\s*true')
_MOST_DOCUMENT: Final = 4 << 20
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which checks must pass, and which only advise; those in neither are off.

    Parameters
    ----------
    require, advise : frozenset of str
        Names of `CHECKS`.
    depth : str
        How deep validation goes: ``document``, ``hierarchy``, ``census`` or ``data``.
    """

    require: frozenset[str] = frozenset(CHECKS)
    advise: frozenset[str] = frozenset()
    depth: Any = field(default="census")  # Any: a literal that `validate_in` checks


def parse_policy(data: bytes, where: str) -> Policy:
    """Parse ``{"require": [...], "advise": [...], "depth": "census"}``; what is left out is as by default.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    known = {"require": sorted(CHECKS), "advise": [], "depth": "census"}
    stated = {**known, **found} if isinstance(found, dict) else {}
    lists = [stated.get(name) for name in ("require", "advise")]
    good = all(isinstance(names, list) and all(isinstance(n, str) and n in CHECKS for n in names) for names in lists)
    if not good or set(stated) != set(known) or stated["depth"] not in DEPTHS:
        raise InputError(
            f"{where} is no policy",
            code=Code.ARGUMENT_INVALID,
            fix=f"list names of checks under require and advise: {', '.join(CHECKS)}",
        )
    advised = frozenset(stated["advise"])
    return Policy(require=frozenset(stated["require"]) - advised, advise=advised, depth=stated["depth"])


def check_policy(
    store: ReadableStore,
    listing: Listing,
    policy: Policy,
    *,
    accept: Mapping[str, str],
    license: str = "",
    left: Sequence[str] = (),
    tell: Callable[[PolicyResult], None] | None = None,
) -> tuple[PolicyResult, ...]:
    """Check a dataset; nothing is written.

    Parameters
    ----------
    store : ReadableStore
        The dataset.
    listing : Listing
        What it holds.
    policy : Policy
        What matters.
    accept : mapping of str to str
        Checks that may fail, and why.
    license : str
        A licence stated elsewhere than in the dataset.
    left : sequence of str
        Keys of leftovers.
    tell : callable or None
        Called with each result.

    Raises
    ------
    InputError
        If a check to be accepted does not exist, or is accepted without a reason.
    """
    accepted = _accepted(accept)
    wanted = policy.require | policy.advise
    found = _found(store, listing, policy, license) if wanted - {"leftovers"} else {}
    found.setdefault("leftovers", []).extend(left)
    results = []
    for name in CHECKS:
        problems, detail = found.get(name, []), ""
        if name == "lossy-intensity":
            problems, detail = _split_named(problems)
        result = PolicyResult(name, _state(name, problems, policy, accepted), _text(problems) or detail)
        if result.state == "accepted":
            result = PolicyResult(name, result.state, result.detail, accepted[name])
        results.append(result)
        if tell is not None:
            tell(result)
    return tuple(results)


def own_license(store: ReadableStore) -> str:
    """Return the licence that ``dataset.json`` states; empty when it does not."""
    value = _dataset(store).get("license")
    return value[:1000] if isinstance(value, str) else ""


def _accepted(accept: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, reason in accept.items():
        check = _ALIASES.get(name, name)
        if check not in CHECKS:
            raise InputError(
                f"there is no check {name}", code=Code.ARGUMENT_INVALID, fix=f"use one of {', '.join(CHECKS)}"
            )
        if not reason.strip() and name not in _ALIASES:
            raise InputError(
                f"{name} is not accepted without a reason",
                code=Code.ARGUMENT_INVALID,
                fix=f"say why: --accept {name}='…'; it becomes part of the release",
            )
        found[check] = reason.strip() or "the manifest alone protects the chunks"
    return found


def _state(name: str, problems: Sequence[str], policy: Policy, accepted: Mapping[str, str]) -> str:
    if name not in policy.require | policy.advise:
        return "off"
    if not problems:
        return "passed"
    if name in accepted:
        return "accepted"
    return "failed" if name in policy.require else "advised"


def _text(problems: Sequence[str]) -> str:
    more = len(problems) - _SHOWN
    return "; ".join(problems[:_SHOWN]) + (f"; and {more:,} more" if more > 0 else "")


# -------------------------------------------------------------------------------------------------------------- checks
def _found(store: ReadableStore, listing: Listing, policy: Policy, license: str) -> dict[str, list[str]]:
    """Return what speaks against each check."""
    report = validate_in(store, depth=policy.depth, profile="publish")
    found: dict[str, list[str]] = {name: [] for name in CHECKS}
    for finding in report.findings:
        if finding.counts("publish"):
            found[_RULES.get(finding.rule, "validation")].append(_finding_text(finding))
    if license:
        found["license"] = []
    for where, image, array in _arrays(store, listing):
        codecs = tuple(array.info.codecs)
        if any(word in c.lower() for c in codecs for word in LOSSY) and image.role != "label":
            found["lossy-intensity"].append(f"{where}: {', '.join(codecs)}")
        if not any(word in c.lower() for c in codecs for word in _CHECKED) and not _asks_for_checksums(store, where):
            found["checksums"].append(f"{where} has no checksum codec ({', '.join(codecs) or 'raw'})")
    found["secrets"] += _secrets(store, listing)
    return found


def _arrays(store: ReadableStore, listing: Listing) -> Iterator[tuple[str, Image, Array]]:
    """Yield (key, image, stored array) of everything that opens; what does not is for validation to tell."""
    folders = {key.rpartition("/")[0] for key in listing.keys if key.endswith(_DOCUMENTS)}
    seen: set[str] = set()
    for folder in ["", *sorted(folders - {""})]:
        try:
            found = find(store, folder)
        except VoxariumError:
            continue
        for image in [found] if isinstance(found, Image) else [i for _, i in found.iter_images()]:
            for level, array in zip(image.levels, image.arrays, strict=True):
                where = "/".join(p for p in (image.path, level.path) if p) or "the image"
                if where not in seen:
                    seen.add(where)
                    yield where, image, array


def _asks_for_checksums(store: ReadableStore, path: str) -> bool:
    """Tell whether a document of an array switches on checksums of a codec, such as those of zstd frames."""
    for name in _ARRAY_DOCUMENTS:
        stat = store.stat(f"{path}/{name}")
        data = None if stat is None or stat.size > _MOST_DOCUMENT else store.get(f"{path}/{name}")
        if data is not None and _SWITCHED_ON.search(data):
            return True
    return False


def _finding_text(finding: Finding) -> str:
    return f"{finding.key or 'the dataset'}: {finding.message} ({finding.rule})"


def _split_named(problems: Sequence[str]) -> tuple[list[str], str]:
    """Return images whose lossy codec has no name, and what is said of those where it has."""
    unnamed = [p for p in problems if p.endswith(": ")]
    return unnamed, _text([p for p in problems if p not in unnamed])


def _secrets(store: ReadableStore, listing: Listing) -> list[str]:
    return [f"{key} holds {what}" for key, text in _documents(store, listing) for what in secrets_in(text)]


def _documents(store: ReadableStore, listing: Listing) -> Iterator[tuple[str, str]]:
    for i, key in enumerate(listing.keys):
        if key.endswith(_DOCUMENTS) and listing.sizes[i] <= _MOST_DOCUMENT:
            data = store.get(key)
            if data is not None:
                yield key, data.decode("utf-8", "replace")


def _dataset(store: ReadableStore) -> Mapping[str, Any]:  # Any: JSON as found
    stat = store.stat("dataset.json")
    data = None if stat is None or stat.size > _MOST_DOCUMENT else store.get("dataset.json")
    try:
        found = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
