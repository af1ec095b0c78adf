"""Rules about any image, whatever its format: that it opens, and that it can be read by name and place."""

from __future__ import annotations

from typing import Final

from voxarium.errors import StoreError, UnsupportedError, VoxariumError
from voxarium.model.rules import Rule, rules
from voxarium.validation.collecting import Collector

__all__ = ["RULES", "note_error"]

RULES: Final[dict[str, Rule]] = {
    rule.id: rule
    for rule in rules(
        """
GE-001 must needs=hierarchy
    What the metadata describe opens.
    why: What this library cannot open after reading its metadata, other readers will mostly refuse too, each in its
    own words, or open with values that are not there.
    mend: Do what the message says; it is the one that opening gives.
    bad: array zarr.json#/codecs = []
GE-002 should needs=hierarchy
    What is stored can be read with codecs and types that this library knows.
    why: A codec that few implementations know makes data depend on one program.
    mend: Install the extra that the message names, or write the data again with a codec of the Zarr registry.
    bad: array zarr.json#/codecs/0/name = "acme.secret"
GE-003 must needs=nothing
    Documents can be read from where they are.
    why: What the store does not give today may be lost; it was not checked, and is not known to be right.
    mend: Check the permissions, the disk and the network, and validate again.
GE-004 must needs=nothing
    A check comes to an end: documents are of sizes that metadata have, and name no more than can be visited.
    why: Metadata of gigabytes, or documents that name each other without end, stop every reader.
    mend: Look at what is stored there; it is no metadata that a writer made.
""",
        basis="house",
    )
}


def note_error(found: Collector, key: str, error: VoxariumError) -> None:
    """Add that something does not open."""
    rule = "GE-003" if isinstance(error, StoreError) else "GE-002" if isinstance(error, UnsupportedError) else "GE-001"
    found.note(RULES, rule, key, error.message, error.fix)
