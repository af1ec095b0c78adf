"""The rules of OME-Zarr 0.4, 0.5, 0.6 and 0.9.dev1, and a check of documents against them.

`check_attributes` returns everything that is wrong with a document, each finding with the rule it breaks. Which of them
make it invalid depends on the profile:

========================  ============================================================================
``schema``                what the official JSON Schemas and their suites refuse
``schema-strict``         the same, with the official strict schemas
``spec``                  what the text of the specification demands, which is more
``strict``                the same, and what it only recommends
========================  ============================================================================

Rules need different things to be known (`Rule.needs`): the document's bytes, its attributes, its arrays, the hierarchy
around it, or voxels. A check of hierarchies is a further function over the same `Place`; its rules are in the registry.
"""

from __future__ import annotations

from voxarium.model.rules import PROFILES, Basis, Finding, Level, Needs, Profile, Rule, counting
from voxarium.spec.ome.rules.arrays import ArrayFacts
from voxarium.spec.ome.rules.check import GROUPS, check_attributes, check_document
from voxarium.spec.ome.rules.registry import RULES
from voxarium.spec.ome.rules.tables import VERSIONS

__all__ = [
    "GROUPS",
    "PROFILES",
    "RULES",
    "VERSIONS",
    "ArrayFacts",
    "Basis",
    "Finding",
    "Level",
    "Needs",
    "Profile",
    "Rule",
    "check_attributes",
    "check_document",
    "counting",
]
